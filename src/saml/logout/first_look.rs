//! A first look at a logout message that nothing vouches for yet.

use super::error::LogoutError;
use super::message::MessageKind;
use super::query::Query;
use super::query_signature;
use super::shape::LogoutShape;
use crate::saml::envelope::issuer_of;
use crate::saml::expectations::Compat;
use crate::saml::guard::Guarded;
use crate::saml::keys::TrustAnchors;

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

fn claims(shape: &LogoutShape<'_>) -> LogoutEnvelope {
    LogoutEnvelope {
        kind: shape.kind,
        issuer: issuer_of(shape.message),
        in_response_to: shape.message.attribute("InResponseTo").map(str::to_owned),
        relay_state: None,
    }
}
