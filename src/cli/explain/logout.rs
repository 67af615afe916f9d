//! A logout message, judged by the functions of the single logout service.

use super::Verdict;
use crate::clock::Timestamp;
use crate::config::Config;
use crate::saml::logout::{
    LogoutError, LogoutExpectations, LogoutMessage, MessageKind, attribute_redirect, peek, peek_redirect, peek_soap, verify_post,
    verify_redirect, verify_soap,
};
use crate::saml::{IdentityProvider, SamlError};

/// A logout message, by the binding that it came by.
pub(super) enum Logout {
    /// The query.
    Redirect(String),
    /// XML, and the form field that it is for.
    Post(Vec<u8>, MessageKind),
    /// A SOAP envelope.
    Soap(Vec<u8>),
}

/// What is known of a logout message.
pub(super) struct Seen {
    /// Which message, if that can be told.
    pub(super) kind: Option<MessageKind>,
    /// `redirect`, `post` or `soap`.
    pub(super) binding: &'static str,
    /// The message, once it is verified.
    pub(super) verified: Option<LogoutMessage>,
}

impl Logout {
    fn seen(&self) -> Seen {
        let (kind, binding) = match self {
            Self::Redirect(query) => (peek_redirect(query).ok().map(|seen| seen.kind), "redirect"),
            Self::Post(_, kind) => (Some(*kind), "post"),
            Self::Soap(_) => (Some(MessageKind::Request), "soap"),
        };
        Seen { kind, binding, verified: None }
    }
}

/// Judges a message as the single logout service would. Which logouts began here, and which messages were here before, it can't know.
pub(super) fn judge<'a>(
    config: &'a Config,
    message: &Logout,
    request_id: Option<&str>,
    now: Timestamp,
    verdict: &mut Verdict<'a>,
) -> Result<(), (&'static str, String)> {
    verdict.logout = Some(message.seen());
    let failed = |verdict: &mut Verdict<'a>, error: LogoutError| {
        verdict.checks.failed("logout message", error.explained());
        let note = match (&error, message) {
            (LogoutError::Unsigned(_), Logout::Post(..)) => Some(
                "If it came by the Redirect binding, its signature stood in the address: give the whole address instead of the XML",
            ),
            (LogoutError::InResponseToMismatch, _) => {
                Some("--request-id says which logout request of ours it answers: saml_request_id in the log")
            }
            _ => None,
        };
        verdict.notes.extend(note.map(str::to_owned));
        (error.code(), error.explained())
    };
    let idp = match attribute(config, message) {
        Ok(found) => found,
        Err(error) => return Err(failed(verdict, error)),
    };
    verdict.idp = Some(idp);
    verdict.checks.passed("issuer", format!("it is, or claims to be, from {}", idp.id));
    let slo_urls = config.slo_urls(matches!(message, Logout::Soap(_)));
    let expectations = LogoutExpectations {
        idp_entity_id: &idp.entity_id,
        slo_urls: &slo_urls,
        in_response_to: request_id,
        sp_entity_id: &config.service_provider.entity_id,
        decryption_keys: &config.service_provider.keys,
        compat: idp.compat,
        clock_skew: idp.clock_skew,
        max_age: idp.max_age,
    };
    let received = match message {
        Logout::Redirect(query) => verify_redirect(query, &idp.anchors, &expectations, now),
        Logout::Post(octets, kind) => verify_post(octets, *kind, &idp.anchors, &expectations, now),
        Logout::Soap(octets) => verify_soap(octets, &idp.anchors, &expectations, now),
    };
    let received = match received {
        Ok(received) => received.into_message(),
        Err(error) => return Err(failed(verdict, error)),
    };
    verdict.checks.passed("logout message", "its signature, address, age and content are as they must be");
    if let Some(seen) = &mut verdict.logout {
        seen.verified = Some(received);
    }
    Ok(())
}

/// Whose message it claims to be; by the Redirect binding, the one that has signed it.
fn attribute<'a>(config: &'a Config, message: &Logout) -> Result<&'a IdentityProvider, LogoutError> {
    let idps = config.identity_providers.as_slice();
    let envelope = match message {
        Logout::Redirect(query) => return attribute_redirect(query, idps).map(|(idp, _)| idp),
        Logout::Post(octets, kind) => peek(octets, *kind)?,
        Logout::Soap(octets) => peek_soap(octets)?,
    };
    let issuer = envelope.issuer.unwrap_or_default();
    let idp = idps.iter().find(|idp| idp.entity_id == issuer);
    idp.ok_or_else(|| SamlError::UnknownIssuer(issuer.chars().take(200).collect()).into())
}
