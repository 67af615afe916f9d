//! Artifacts (Core 3.5, Bindings 3.6): the browser brings a reference, and the IdP hands out the Response for it, by SOAP. Pure, as
//! all of SAML here: what is sent, and what is made of the answer.
//!
//! The channel vouches for nothing. A Response that came this way is verified like a posted one, by its own signature or its
//! Assertion's; the ArtifactResponse around it can only refuse. When it is signed, that signature must be good as well.

mod error;
mod shape;

use std::time::Duration;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use uppsala::XmlWriter;

pub use self::error::ArtifactError;
use self::shape::{ArtifactShape, Body};
use super::digest::alone;
use super::enveloped;
use super::error::{SamlError, cut};
use super::expectations::Compat;
use super::guard::{self, Guarded};
use super::keys::TrustAnchors;
use super::outgoing::{Head, Message};
use super::provider::ServiceProvider;
use super::request::RequestError;
use super::signature;
use super::soap::SOAP;
use super::verify::response::{issuer, read_status, version};
use super::verify::validity::{Moment, required_instant};
use super::xml::{Element, PROTOCOL};
use crate::clock::Timestamp;

const SUCCESS: &str = "urn:oasis:names:tc:SAML:2.0:status:Success";
/// Most octets of an answer: as many as of any message.
pub const MAX_OCTETS: usize = guard::MAX_OCTETS;
/// TypeCode, EndpointIndex, SourceID, MessageHandle (Bindings 3.6.4).
const OCTETS: usize = 2 + 2 + 20 + 20;

/// A type 4 artifact (Bindings 3.6.4), as a browser brought it: nothing vouches for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    text: String,
    index: u16,
    source: [u8; 20],
}

impl Artifact {
    /// Reads the parameter or form field `SAMLart`.
    ///
    /// # Errors
    /// `Malformed`.
    pub fn parse(text: &str) -> Result<Self, ArtifactError> {
        // A longer one isn't even decoded.
        let octets = if text.len() > 2 * OCTETS { None } else { STANDARD.decode(text).ok() };
        let octets = octets.ok_or(ArtifactError::Malformed("it is no base64 of 44 octets"))?;
        let octets: [u8; OCTETS] = octets.try_into().map_err(|_| ArtifactError::Malformed("it has not 44 octets"))?;
        let [0, 4, high, low, rest @ ..] = octets else {
            return Err(ArtifactError::Malformed("it is not of type 4, the only type of SAML 2.0"));
        };
        let mut source = [0; 20];
        source.copy_from_slice(rest.first_chunk::<20>().unwrap_or(&[0; 20]));
        Ok(Self { text: text.to_owned(), index: u16::from_be_bytes([high, low]), source })
    }

    /// As it came: base64.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// EndpointIndex: which of the issuer's artifact resolution services has the message.
    pub fn index(&self) -> u16 {
        self.index
    }

    /// Whether its SourceID is that of an entity ID.
    pub fn is_from(&self, entity_id: &str) -> bool {
        self.source == source_id(entity_id)
    }
}

/// The SourceID of an entity (Bindings 3.6.4.2): the SHA-1 of its entity ID. It names somebody, and proves nothing.
pub fn source_id(entity_id: &str) -> [u8; 20] {
    let mut octets = [0; 20];
    octets.copy_from_slice(digest(&SHA1_FOR_LEGACY_USE_ONLY, entity_id.as_bytes()).as_ref());
    octets
}

/// What asks for the message of an artifact.
#[derive(Clone, Copy, Debug)]
pub struct ResolveParts<'a> {
    /// The request's ID: an NCName that nobody can guess (`token::message_id`).
    pub id: &'a str,
    /// IssueInstant.
    pub now: Timestamp,
    /// The artifact resolution service that it goes to.
    pub destination: &'a str,
    /// The artifact.
    pub artifact: &'a Artifact,
}

/// The XML of an envelope around a signed ArtifactResolve (Core 3.5.1, Bindings 3.2.2).
///
/// # Errors
/// `NoKey`, `Signing`.
pub fn resolve(sp: &ServiceProvider, parts: ResolveParts<'_>) -> Result<String, RequestError> {
    let key = sp.signing_key().ok_or(RequestError::NoKey)?;
    enveloped::signed_in_soap(&Resolve { issuer: &sp.entity_id, parts }, key)
}

struct Resolve<'a> {
    issuer: &'a str,
    parts: ResolveParts<'a>,
}

impl Message for Resolve<'_> {
    const FIELD: &'static str = "SAMLRequest";

    fn id(&self) -> &str {
        self.parts.id
    }

    fn write(&self, xml: &mut XmlWriter, after_issuer: impl FnOnce(&mut XmlWriter)) {
        let ResolveParts { id, now, destination, artifact } = self.parts;
        let element = "samlp:ArtifactResolve";
        Head { element, id, issue_instant: now, destination: Some(destination), issuer: self.issuer }.write(xml, &[]);
        after_issuer(xml);
        xml.start_element("samlp:Artifact", &[]);
        xml.text(artifact.text());
        xml.end_element("samlp:Artifact");
        xml.end_element(element);
    }
}

/// What an ArtifactResponse must say.
#[derive(Clone, Copy, Debug)]
pub struct ArtifactExpectations<'a> {
    /// The entity ID of the IdP that was asked.
    pub idp_entity_id: &'a str,
    /// The ID of our ArtifactResolve.
    pub in_response_to: &'a str,
    /// Weaknesses allowed.
    pub compat: Compat,
    /// How far the IdP's clock may be off.
    pub clock_skew: Duration,
    /// Oldest IssueInstant.
    pub max_age: Duration,
}

/// Takes the Response out of the IdP's answer (Core 3.5.2): a SOAP envelope around an ArtifactResponse. The guard; every signature in
/// it, when the ArtifactResponse itself is signed; then Version, Issuer, InResponseTo, IssueInstant and Status of the ArtifactResponse,
/// from the signed octets when there are some.
///
/// The result is a document by itself, and nothing in it is believed yet: it has still to be verified, as one that was posted. It
/// is the inclusive canonical form of the Response where it stood. So every declaration that was in scope there is in it, each
/// signature inside covers the same octets as before, and both engines read them from the same document.
///
/// # Errors
/// One [`ArtifactError`] per cause.
pub fn open(
    octets: &[u8],
    anchors: &TrustAnchors,
    expectations: &ArtifactExpectations<'_>,
    now: Timestamp,
) -> Result<Vec<u8>, ArtifactError> {
    let guarded = Guarded::read(octets)?;
    let shape = match ArtifactShape::in_envelope(&guarded)? {
        Body::Answer(shape) => shape,
        Body::Fault(words) => return Err(ArtifactError::Unresolved(format!("the IdP answered with a SOAP fault: {words:?}"))),
    };
    if shape.is_signed() {
        let signed = signature::verify(&guarded, &shape.signatures(), anchors, expectations.compat)?;
        // The second engine isn't asked: it can't say which octets the outermost of three signatures covers. It is asked about the
        // Response, which is all that is believed.
        let inner = Guarded::read(signed.octets())?;
        let root = inner.root()?;
        if !root.is(PROTOCOL, "ArtifactResponse") {
            return Err(SamlError::SignatureNotCovering("the signed element is not the ArtifactResponse").into());
        }
        judge(root, expectations, now)?;
    } else {
        judge(shape.answer, expectations, now)?;
    }
    let response = shape.response.ok_or(ArtifactError::Empty)?;
    Ok(alone(guarded.document(), response.node())?)
}

/// The Response in a saved answer, whatever the ArtifactResponse says: for `samlgate explain`. `None` when this is no SOAP envelope.
///
/// # Errors
/// As [`open`].
pub fn response_in(octets: &[u8]) -> Option<Result<Vec<u8>, ArtifactError>> {
    let guarded = Guarded::read(octets).ok()?;
    if !guarded.root().ok()?.is(SOAP, "Envelope") {
        return None;
    }
    let response = match ArtifactShape::in_envelope(&guarded) {
        Ok(Body::Answer(shape)) => shape.response.ok_or(ArtifactError::Empty),
        Ok(Body::Fault(words)) => Err(ArtifactError::Unresolved(format!("this is a SOAP fault: {words:?}"))),
        Err(error) => Err(error.into()),
    };
    Some(response.and_then(|response| Ok(alone(guarded.document(), response.node())?)))
}

/// The ArtifactResponse answers our question, now, and says that it went well.
fn judge(answer: Element<'_>, expectations: &ArtifactExpectations<'_>, now: Timestamp) -> Result<(), ArtifactError> {
    version(answer)?;
    issuer(answer, "ArtifactResponse", true, expectations.idp_entity_id)?;
    if answer.attribute("InResponseTo") != Some(expectations.in_response_to) {
        return Err(ArtifactError::InResponseToMismatch);
    }
    let moment = Moment { now, skew: expectations.clock_skew, max_age: expectations.max_age };
    moment.recent("the ArtifactResponse", required_instant(answer, "IssueInstant")?)?;
    let status = read_status(answer)?;
    if status.codes.first() == Some(&SUCCESS) {
        return Ok(());
    }
    let codes: Vec<_> = status.codes.iter().map(|code| code.rsplit(':').next().unwrap_or_default()).collect();
    let said = status.message.map(|message| format!(": {message:?}")).unwrap_or_default();
    Err(ArtifactError::Unresolved(format!("the IdP refuses to resolve it: {:?}{said}", cut(&codes.join("/")))))
}

#[cfg(test)]
mod tests;
