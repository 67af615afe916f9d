//! The two sides: what is known of an IdP, and what we are to it.

use std::time::Duration;

use super::expectations::Compat;
use super::keys::{SpKey, TrustAnchors};
use super::metadata::IdpMetadata;
use crate::clock::Timestamp;
use crate::web_url::WebUrl;

/// How a message travels (Bindings 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// HTTP-Redirect (3.4).
    Redirect,
    /// HTTP-POST (3.5).
    Post,
}

/// Where an IdP takes messages of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// How.
    pub binding: Binding,
    /// Where: an absolute http or https URL.
    pub location: String,
    /// Where answers to the IdP's own messages go when that is another place (ResponseLocation, Metadata 2.2.2).
    pub response_location: Option<String>,
}

impl Endpoint {
    /// An endpoint that takes requests and answers at one place.
    pub fn new(binding: Binding, location: impl Into<String>) -> Self {
        Self { binding, location: location.into(), response_location: None }
    }
}

/// What a login that the IdP started itself leads to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdpInitiated {
    /// Refused.
    Off,
    /// Verified, then taken as a wish: an SP-initiated login to RelayState's page begins.
    #[default]
    Restart,
    /// A session, directly.
    Accept,
}

/// Which binding carries AuthnRequests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RequestBinding {
    /// Redirect when the IdP offers it, else POST.
    #[default]
    Auto,
    /// Redirect.
    Redirect,
    /// POST.
    Post,
}

/// Which binding brings responses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResponseBinding {
    /// HTTP-POST.
    #[default]
    Post,
    /// HTTP-Artifact; a response by POST is taken all the same.
    Artifact,
}

/// Where an IdP hands out responses for artifacts, by SOAP (ArtifactResolutionService, Metadata 2.4.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolutionService {
    /// The index by which artifacts name it.
    pub index: u16,
    /// Where: an https URL, or an http one on this machine.
    pub location: WebUrl,
}

/// NameIDPolicy's Format (Core 8.3); also published in our metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NameIdFormat {
    /// No NameIDPolicy is sent.
    #[default]
    Unspecified,
    /// emailAddress.
    Email,
    /// persistent.
    Persistent,
    /// transient.
    Transient,
    /// Another URN.
    Urn(String),
}

impl NameIdFormat {
    /// The URN that asks for it; `None` when nothing is asked for.
    pub fn urn(&self) -> Option<&str> {
        match self {
            Self::Unspecified => None,
            Self::Email => Some("urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"),
            Self::Persistent => Some("urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"),
            Self::Transient => Some("urn:oasis:names:tc:SAML:2.0:nameid-format:transient"),
            Self::Urn(urn) => Some(urn),
        }
    }
}

/// An IdP as configured and as its metadata says.
#[derive(Clone, Debug)]
pub struct IdentityProvider {
    /// Short name, for URLs, logs and metrics.
    pub id: String,
    /// Name for people, where they choose an IdP.
    pub name: Option<String>,
    /// Mail domains of its users, in small letters.
    pub domains: Vec<String>,
    /// entityID.
    pub entity_id: String,
    /// Single sign-on services, at least one.
    pub sso: Vec<Endpoint>,
    /// Single logout services.
    pub slo: Vec<Endpoint>,
    /// Artifact resolution services.
    pub resolution: Vec<ResolutionService>,
    /// WantAuthnRequestsSigned.
    pub wants_signed_requests: bool,
    /// The trusted keys.
    pub anchors: TrustAnchors,
    /// What was skipped in the metadata and why, for the log.
    pub warnings: Vec<String>,
    /// The metadata's validUntil: from then on the IdP is believed nothing.
    pub valid_until: Option<Timestamp>,
    /// Unsolicited responses.
    pub idp_initiated: IdpInitiated,
    /// AuthnRequest's binding.
    pub request_binding: RequestBinding,
    /// The binding that responses are asked for by.
    pub response_binding: ResponseBinding,
    /// Weaknesses allowed.
    pub compat: Compat,
    /// How far the IdP's clock may be off.
    pub clock_skew: Duration,
    /// Oldest IssueInstant.
    pub max_age: Duration,
    /// ForceAuthn on every request.
    pub force_authn: bool,
    /// Accepted AuthnContextClassRefs; empty: any. Also requested.
    pub authn_context: Vec<String>,
}

impl IdentityProvider {
    /// What people read.
    pub fn display_name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.id)
    }

    /// Puts what the metadata says under a short name, with the default for everything that an operator may set.
    pub fn new(id: impl Into<String>, metadata: IdpMetadata) -> Self {
        Self {
            id: id.into(),
            name: None,
            domains: Vec::new(),
            entity_id: metadata.entity_id,
            sso: metadata.sso,
            slo: metadata.slo,
            resolution: metadata.resolution,
            wants_signed_requests: metadata.wants_signed_requests,
            anchors: metadata.anchors,
            warnings: metadata.warnings,
            valid_until: metadata.valid_until,
            idp_initiated: IdpInitiated::default(),
            request_binding: RequestBinding::default(),
            response_binding: ResponseBinding::default(),
            compat: Compat::default(),
            clock_skew: Duration::from_secs(60),
            max_age: Duration::from_secs(5 * 60),
            force_authn: false,
            authn_context: Vec::new(),
        }
    }

    /// Whether its metadata still holds (Metadata 2.3.2: validUntil).
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.valid_until.is_none_or(|until| now < until)
    }
}

/// What we are to every IdP.
#[derive(Clone, Debug)]
pub struct ServiceProvider {
    /// Our entity ID.
    pub entity_id: String,
    /// Assertion consumer service URLs; the first is published and asked for, all are served.
    pub acs_urls: Vec<String>,
    /// Our keys; the first signs. May be empty when `sign_requests` is false.
    pub keys: Vec<SpKey>,
    /// Whether AuthnRequests are signed.
    pub sign_requests: bool,
    /// NameIDPolicy.
    pub name_id_format: NameIdFormat,
    /// Our single logout service, when there is one to publish.
    pub slo_url: Option<String>,
    /// Whether an IdP is asked for artifacts, so that our metadata says that we take them.
    pub takes_artifacts: bool,
}

impl ServiceProvider {
    /// The key that signs: the first, unless it is so short that it only decrypts.
    pub fn signing_key(&self) -> Option<&SpKey> {
        self.keys.first().filter(|key| key.may_sign())
    }

    /// Our single logout service for SOAP, which has a place of its own beside the one for browsers.
    pub fn soap_slo_url(&self) -> Option<String> {
        self.slo_url.as_ref().map(|url| format!("{url}/soap"))
    }
}
