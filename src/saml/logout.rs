//! Single logout (Core 3.7, Profiles 4.4): verifying the IdP's messages, and writing ours. Pure, as all of SAML here.
//!
//! A logout message must be signed, whoever sends it: an unsigned one would let anybody end anybody's sessions. What a verified
//! message says is read from signed octets only. That a message is used only once is state, and the caller's to check, by the ID
//! and `claim_until` of the message.

mod error;
mod first_look;
mod message;
mod query;
mod query_signature;
mod read;
mod shape;
mod write;

use std::time::Duration;

use super::error::SamlError;
use super::expectations::Compat;
use super::guard::Guarded;
use super::keys::{SpKey, TrustAnchors};
use super::signature::{self, Placed};
use super::verify::second_opinion;
use crate::clock::Timestamp;
pub use error::LogoutError;
pub use first_look::{
    LogoutDocument, LogoutEnvelope, attribute_redirect, is_deflated_query, logout_document, peek, peek_redirect,
    peek_signed_redirect, peek_soap,
};
pub use message::{LogoutMessage, LogoutRequest, LogoutResponse, LogoutScope, LogoutStatus, MessageKind, Received};
use query::Query;
use read::{Destination, read};
use shape::LogoutShape;
pub use write::{AnswerParts, AnswerStatus, LogoutParts, SoapFault, answer, answer_soap, soap_fault, start};

/// What a logout message must say.
#[derive(Clone, Debug)]
pub struct LogoutExpectations<'a> {
    /// The IdP's entity ID.
    pub idp_entity_id: &'a str,
    /// Our single logout service URLs, the first of which is published; for SOAP, that of SOAP among them.
    pub slo_urls: &'a [String],
    /// The ID of the LogoutRequest that a LogoutResponse must answer. `None`: we asked for nothing, and every response is refused.
    pub in_response_to: Option<&'a str>,
    /// Our entity ID.
    pub sp_entity_id: &'a str,
    /// Our keys, any of which may decrypt the NameID.
    pub decryption_keys: &'a [SpKey],
    /// Weaknesses allowed.
    pub compat: Compat,
    /// How far the IdP's clock may be off.
    pub clock_skew: Duration,
    /// Oldest IssueInstant.
    pub max_age: Duration,
}

/// Verifies a message that came by the Redirect binding (Bindings 3.4). `raw_query` is the query as it came, without the `?`.
///
/// The signature is verified over the octets of the query before anything is inflated; no other reading of the query than this
/// one may be used beside it.
///
/// # Errors
/// One [`LogoutError`] per cause.
pub fn verify_redirect(
    raw_query: &str,
    anchors: &TrustAnchors,
    expectations: &LogoutExpectations<'_>,
    now: Timestamp,
) -> Result<Received, LogoutError> {
    let query = Query::split(raw_query)?;
    query_signature::verify(&query.signature()?, anchors, expectations.compat)?;
    let octets = query.inflated()?;
    let guarded = Guarded::read(&octets)?;
    let shape = LogoutShape::of_document(&guarded, query.kind)?;
    // Bindings 3.4.4.1: it must be removed, so that no two signatures can say different things.
    if shape.signature.is_some() {
        return Err(SamlError::ForbiddenXml("an XML signature beside the signature of the query").into());
    }
    let message = read(&shape, Destination::Required, expectations, now)?;
    Ok(Received { message, relay_state: query.relay_state()?, second_opinion: None })
}

/// Verifies a message that came by the POST binding (Bindings 3.5). `kind` is the form field that it came in, decoded by
/// [`decode_response`](super::decode_response).
///
/// It goes the way of a Response: the guard, the signature by two engines, the digest of what is read. The field RelayState is not
/// signed, and not looked at here.
///
/// # Errors
/// One [`LogoutError`] per cause.
pub fn verify_post(
    octets: &[u8],
    kind: MessageKind,
    anchors: &TrustAnchors,
    expectations: &LogoutExpectations<'_>,
    now: Timestamp,
) -> Result<Received, LogoutError> {
    let guarded = Guarded::read(octets)?;
    let shape = LogoutShape::of_document(&guarded, kind)?;
    believe(&guarded, &shape, Destination::Required, anchors, expectations, now)
}

/// Verifies a LogoutRequest that the IdP sent itself, in a SOAP envelope (Bindings 3.2). The LogoutRequest must be signed, and is
/// all that is read of the envelope.
///
/// # Errors
/// One [`LogoutError`] per cause.
pub fn verify_soap(
    octets: &[u8],
    anchors: &TrustAnchors,
    expectations: &LogoutExpectations<'_>,
    now: Timestamp,
) -> Result<Received, LogoutError> {
    let guarded = Guarded::read(octets)?;
    let shape = LogoutShape::in_envelope(&guarded)?;
    believe(&guarded, &shape, Destination::Optional, anchors, expectations, now)
}

/// A message and its signature, as an engine gets them: for [`both_engines`](super::both_engines). Without a kind, it is one in a SOAP envelope.
#[cfg(all(feature = "second-opinion", any(test, feature = "fuzzing")))]
pub(in crate::saml) fn signed_message<'d>(
    guarded: &'d Guarded<'_>,
    kind: Option<MessageKind>,
) -> Result<Placed<'d>, LogoutError> {
    let shape = match kind {
        Some(kind) => LogoutShape::of_document(guarded, kind)?,
        None => LogoutShape::in_envelope(guarded)?,
    };
    let signature = shape.signature.ok_or(LogoutError::Unsigned(shape.kind))?;
    Ok(Placed { signature, signed: shape.message })
}

/// Verifies the XML signature and reads what it covers, from the octets whose digest is signed.
fn believe(
    guarded: &Guarded<'_>,
    shape: &LogoutShape<'_>,
    destination: Destination,
    anchors: &TrustAnchors,
    expectations: &LogoutExpectations<'_>,
    now: Timestamp,
) -> Result<Received, LogoutError> {
    let signature = shape.signature.ok_or(LogoutError::Unsigned(shape.kind))?;
    let placed = [Placed { signature, signed: shape.message }];
    let signed = signature::verify(guarded, &placed, anchors, expectations.compat)?;
    let opinion = second_opinion(guarded, &signed, anchors)?;
    let inner = Guarded::read(signed.octets())?;
    let inner = LogoutShape::of_document(&inner, shape.kind)?;
    let message = read(&inner, destination, expectations, now)?;
    Ok(Received { message, relay_state: None, second_opinion: Some(opinion) })
}
