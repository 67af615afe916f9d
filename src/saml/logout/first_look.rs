//! A first look at a logout message that nothing vouches for yet.

use std::borrow::Borrow;

use super::error::LogoutError;
use super::message::MessageKind;
use super::query::Query;
use super::query_signature;
use super::shape::LogoutShape;
use crate::saml::envelope::issuer_of;
use crate::saml::error::SamlError;
use crate::saml::expectations::Compat;
use crate::saml::guard::Guarded;
use crate::saml::keys::TrustAnchors;
use crate::saml::provider::IdentityProvider;
use crate::saml::soap::{self, SOAP};
use crate::saml::xml::{Element, PROTOCOL};

/// What an unverified logout message claims. A stranger may have written it: it may choose which IdP's keys and which pending
/// logout a verification is tried with, or refuse, and must never be believed or shown as a fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutEnvelope {
    /// Which message.
    pub kind: MessageKind,
    /// Issuer. `None` by the Redirect binding, as long as its signature wasn't looked at: nothing is inflated before.
    pub issuer: Option<String>,
    /// InResponseTo of a LogoutResponse; `None` as above.
    pub in_response_to: Option<String>,
    /// RelayState of the Redirect binding.
    pub relay_state: Option<String>,
}

/// Looks at a message of the POST binding, behind the guard.
///
/// # Errors
/// Those of the guard and of the structure.
pub fn peek(octets: &[u8], kind: MessageKind) -> Result<LogoutEnvelope, LogoutError> {
    let guarded = Guarded::read(octets)?;
    Ok(claims(&LogoutShape::of_document(&guarded, kind)?))
}

/// Looks at a LogoutRequest in a SOAP envelope, behind the guard.
///
/// # Errors
/// Those of the guard and of the structure.
pub fn peek_soap(octets: &[u8]) -> Result<LogoutEnvelope, LogoutError> {
    let guarded = Guarded::read(octets)?;
    Ok(claims(&LogoutShape::in_envelope(&guarded)?))
}

/// Looks at a query of the Redirect binding, without inflating the message.
///
/// # Errors
/// `malformed_query`.
pub fn peek_redirect(raw_query: &str) -> Result<LogoutEnvelope, LogoutError> {
    let query = Query::split(raw_query)?;
    Ok(LogoutEnvelope { kind: query.kind, issuer: None, in_response_to: None, relay_state: query.relay_state()? })
}

/// Looks at a query of the Redirect binding that one of these keys has signed, and inflates the message only then. What it claims
/// may name another IdP than the one whose keys these are.
///
/// # Errors
/// Those of the query, its signature, the guard and the structure.
pub fn peek_signed_redirect(raw_query: &str, anchors: &TrustAnchors, compat: Compat) -> Result<LogoutEnvelope, LogoutError> {
    let query = Query::split(raw_query)?;
    query_signature::verify(&query.signature()?, anchors, compat)?;
    let octets = query.inflated()?;
    let guarded = Guarded::read(&octets)?;
    let seen = claims(&LogoutShape::of_document(&guarded, query.kind)?);
    Ok(LogoutEnvelope { relay_state: query.relay_state()?, ..seen })
}

/// Finds the IdP whose message a query of the Redirect binding is: its key has signed it, and it names that IdP. The signature comes
/// before everything else here, so each IdP's keys are tried. IdPs may share a key; the issuer then tells them apart.
///
/// # Errors
/// Those of [`peek_signed_redirect`], `unknown_issuer`, `issuer_mismatch`: of several, the one that says most.
pub fn attribute_redirect<'a, I: Borrow<IdentityProvider>>(
    raw_query: &str,
    idps: &'a [I],
) -> Result<(&'a I, LogoutEnvelope), LogoutError> {
    let mut why = LogoutError::from(SamlError::UnknownIssuer(String::new()));
    for idp in idps {
        let known: &IdentityProvider = idp.borrow();
        match peek_signed_redirect(raw_query, &known.anchors, known.compat) {
            Ok(envelope) if envelope.issuer.as_ref() == Some(&known.entity_id) => return Ok((idp, envelope)),
            Ok(envelope) => {
                let got = envelope.issuer.unwrap_or_default().chars().take(200).collect();
                let expected = known.entity_id.clone();
                why = SamlError::IssuerMismatch { element: envelope.kind.element(), expected, got }.into();
            }
            // A message of an IdP that is known comes before a signature that is nobody's.
            Err(error) if is_vague(&why) => why = error,
            Err(_) => {}
        }
    }
    Err(why)
}

fn is_vague(error: &LogoutError) -> bool {
    matches!(
        error,
        LogoutError::Saml(SamlError::UnknownIssuer(_) | SamlError::SignatureInvalid(_) | SamlError::AlgorithmForbidden(_))
    )
}

/// Whether a query holds XML that is compressed as the Redirect binding has it, signed or not. For an operator's own input: what a
/// stranger sends is inflated only once its signature is good.
pub fn is_deflated_query(raw_query: &str) -> bool {
    Query::split(raw_query).and_then(|query| query.inflated()).is_ok_and(|octets| octets.trim_ascii_start().starts_with(b"<"))
}

/// A document that is meant for the single logout service, whoever wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogoutDocument {
    /// The message itself.
    Message(MessageKind),
    /// A SOAP envelope, unless it is about an artifact.
    Envelope,
}

/// Whether a document is meant for the single logout service, by the name of its root. `None` also for what the guard refuses.
pub fn logout_document(octets: &[u8]) -> Option<LogoutDocument> {
    let guarded = Guarded::read(octets).ok()?;
    let root = guarded.root().ok()?;
    let kinds = [MessageKind::Request, MessageKind::Response];
    let message = kinds.into_iter().find(|kind| root.is(PROTOCOL, kind.element())).map(LogoutDocument::Message);
    // What answers a question about an artifact comes in an envelope too.
    let of_artifact = |content: Element<'_>| content.is(PROTOCOL, "ArtifactResponse") || content.is(SOAP, "Fault");
    message.or_else(|| {
        let envelope = root.is(SOAP, "Envelope") && !soap::content(&guarded, "one message").is_ok_and(of_artifact);
        envelope.then_some(LogoutDocument::Envelope)
    })
}

fn claims(shape: &LogoutShape<'_>) -> LogoutEnvelope {
    LogoutEnvelope {
        kind: shape.kind,
        issuer: issuer_of(shape.message),
        in_response_to: shape.message.attribute("InResponseTo").map(str::to_owned),
        relay_state: None,
    }
}
