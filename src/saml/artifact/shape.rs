//! Where an ArtifactResponse and its Response stand in a SOAP envelope, and where signatures may stand.

use crate::saml::error::{SamlError, cut};
use crate::saml::guard::Guarded;
use crate::saml::shape::{refuse_misplaced_signature, signature_in};
use crate::saml::signature::Placed;
use crate::saml::soap::{self, SOAP, wrong};
use crate::saml::xml::{ASSERTION, Element, PROTOCOL};

/// What an envelope holds.
pub(super) enum Body<'d> {
    /// An ArtifactResponse.
    Answer(ArtifactShape<'d>),
    /// A SOAP fault, with its words, cut.
    Fault(String),
}

/// An ArtifactResponse whose parts stand where they belong.
pub(super) struct ArtifactShape<'d> {
    /// The ArtifactResponse.
    pub(super) answer: Element<'d>,
    /// The one Response in it; `None` when there is nothing.
    pub(super) response: Option<Element<'d>>,
    own_signature: Option<Element<'d>>,
    inner: Vec<Placed<'d>>,
}

impl<'d> ArtifactShape<'d> {
    /// Finds the parts.
    ///
    /// # Errors
    /// `WrongDocument`, `DuplicateId`, `ForbiddenXml`, `AssertionCount`.
    pub(super) fn in_envelope(guarded: &'d Guarded<'_>) -> Result<Body<'d>, SamlError> {
        let answer = soap::content(guarded, "a Body of one ArtifactResponse")?;
        if answer.is(SOAP, "Fault") {
            let words = answer.children().find(|child| child.local_name() == "faultstring").and_then(Element::text);
            return Ok(Body::Fault(cut(words.unwrap_or_default().trim())));
        }
        if !answer.is(PROTOCOL, "ArtifactResponse") {
            return Err(wrong("a SAML 2.0 ArtifactResponse", answer));
        }
        if answer.attribute("ID").is_none() {
            return Err(SamlError::DuplicateId("the ArtifactResponse has none"));
        }
        let response = message(answer)?;
        let assertions: Vec<_> =
            response.iter().flat_map(|response| response.children_named(ASSERTION, "Assertion")).take(2).collect();
        if assertions.len() > 1 {
            return Err(SamlError::AssertionCount(assertions.len()));
        }
        let lawful: Vec<_> = [answer].into_iter().chain(response).chain(assertions.iter().copied()).collect();
        refuse_misplaced(guarded.root()?, &lawful)?;
        let mut inner = Vec::new();
        for signed in lawful.iter().skip(1).copied() {
            inner.extend(signature_in(signed)?.map(|signature| Placed { signature, signed }));
        }
        Ok(Body::Answer(Self { answer, response, own_signature: signature_in(answer)?, inner }))
    }

    /// Whether the ArtifactResponse itself is signed.
    pub(super) fn is_signed(&self) -> bool {
        self.own_signature.is_some()
    }

    /// All signatures, its own first: the engines look at the document as a whole.
    pub(super) fn signatures(&self) -> Vec<Placed<'d>> {
        let own = self.own_signature.map(|signature| Placed { signature, signed: self.answer });
        own.into_iter().chain(self.inner.iter().copied()).collect()
    }
}

/// The message in an ArtifactResponse: the one element beside those that every answer has (Core 3.5.2).
fn message(answer: Element<'_>) -> Result<Option<Element<'_>>, SamlError> {
    let usual = |child: &Element<'_>| {
        child.is(ASSERTION, "Issuer")
            || child.is(crate::saml::xml::SIGNATURE, "Signature")
            || child.is(PROTOCOL, "Extensions")
            || child.is(PROTOCOL, "Status")
    };
    let others: Vec<_> = answer.children().filter(|child| !usual(child)).take(2).collect();
    match others.as_slice() {
        [] => Ok(None),
        [response] if response.is(PROTOCOL, "Response") => Ok(Some(*response)),
        [other] => Err(wrong("a SAML 2.0 Response in the ArtifactResponse", *other)),
        _ => Err(SamlError::ForbiddenXml("more than one message in the ArtifactResponse")),
    }
}

/// No signature and no message but those at their places.
fn refuse_misplaced(root: Element<'_>, lawful: &[Element<'_>]) -> Result<(), SamlError> {
    let mut stack: Vec<Element<'_>> = root.children().collect();
    while let Some(element) = stack.pop() {
        refuse_misplaced_signature(element, lawful, "a signature elsewhere than in the message")?;
        let is_message = element.is(PROTOCOL, "ArtifactResponse") || element.is(PROTOCOL, "Response");
        if is_message && !lawful.iter().any(|known| known.node() == element.node()) {
            return Err(SamlError::ForbiddenXml("a message beside or inside the message"));
        }
        stack.extend(element.children());
    }
    Ok(())
}
