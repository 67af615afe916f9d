//! What a response must say to be believed, and the record of what was checked.

use std::time::Duration;

use super::error::SamlError;
use super::keys::SpKey;
use crate::clock::Timestamp;

/// Weaknesses that an operator allows for one IdP by name (`compat`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compat {
    /// `sha1`: SHA-1 in signatures and digests.
    pub sha1: bool,
    /// `aes-cbc`: unauthenticated encryption.
    pub aes_cbc: bool,
    /// `rsa-1.5`: PKCS #1 v1.5 key transport.
    pub rsa_15: bool,
    /// `no-audience`: no AudienceRestriction needed.
    pub no_audience: bool,
    /// `empty-reference`: a signature's Reference may have `URI=""` (the whole document, when the Response is signed).
    pub empty_reference: bool,
}

/// Whether a request of ours is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected<'a> {
    /// The answer to the AuthnRequest with this ID: InResponseTo must equal it, on the Response and on the confirmation.
    AnswerTo(&'a str),
    /// Nothing was asked: InResponseTo must be absent everywhere (Profiles 4.1.5).
    Unsolicited,
}

/// What a response must say.
#[derive(Clone, Debug)]
pub struct Expectations<'a> {
    /// The IdP's entity ID.
    pub idp_entity_id: &'a str,
    /// Our entity ID: the audience.
    pub sp_entity_id: &'a str,
    /// Our assertion consumer service URLs, the first of which is published: Destination and Recipient must equal one, the same.
    pub acs_urls: &'a [String],
    /// Solicited or not.
    pub expected: Expected<'a>,
    /// Weaknesses allowed.
    pub compat: Compat,
    /// How far the IdP's clock may be off.
    pub clock_skew: Duration,
    /// Oldest IssueInstant of Response and Assertion.
    pub max_age: Duration,
    /// Accepted AuthnContextClassRefs; empty: any.
    pub authn_context: &'a [String],
    /// When a request with ForceAuthn began: an AuthnInstant before it, and before the skew, says that the user wasn't asked.
    pub authenticated_since: Option<Timestamp>,
    /// Our keys, current and old: each may decrypt. Those that are not RSA are passed over.
    pub decryption_keys: &'a [SpKey],
}

/// One rule that was checked, for `samlgate explain` and the test page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The rule's name.
    pub name: &'static str,
    /// Whether it held.
    pub ok: bool,
    /// What was seen, in plain words.
    pub detail: String,
}

/// The rules in the order in which they were checked; the last one is the one that failed, if any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checks(Vec<Check>);

impl Checks {
    /// Notes a rule that held.
    pub fn passed(&mut self, name: &'static str, detail: impl Into<String>) {
        self.0.push(Check { name, ok: true, detail: detail.into() });
    }

    /// Notes the rule that failed.
    pub fn failed(&mut self, name: &'static str, detail: impl Into<String>) {
        self.0.push(Check { name, ok: false, detail: detail.into() });
    }

    /// Notes a rule's outcome, held or failed, and hands its value on: every rule passes through here once.
    pub(in crate::saml) fn rule<T>(
        &mut self,
        name: &'static str,
        outcome: Result<(T, String), SamlError>,
    ) -> Result<T, SamlError> {
        match outcome {
            Ok((value, detail)) => {
                self.passed(name, detail);
                Ok(value)
            }
            Err(error) => {
                self.failed(name, error.explained());
                Err(error)
            }
        }
    }

    /// All of them.
    pub fn all(&self) -> &[Check] {
        &self.0
    }
}
