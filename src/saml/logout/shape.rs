//! Where a logout message stands in a document, and where its signature may stand.

use super::error::LogoutError;
use super::message::MessageKind;
use crate::saml::error::SamlError;
use crate::saml::guard::Guarded;
use crate::saml::shape::{refuse_misplaced_signature, signature_in};
use crate::saml::soap::{self, wrong};
use crate::saml::xml::{Element, PROTOCOL};

/// A logout message whose parts stand where they belong.
#[derive(Clone, Copy)]
pub(super) struct LogoutShape<'d> {
    /// Which message.
    pub(super) kind: MessageKind,
    /// The LogoutRequest or LogoutResponse.
    pub(super) message: Element<'d>,
    /// Its own signature.
    pub(super) signature: Option<Element<'d>>,
}

impl<'d> LogoutShape<'d> {
    /// The document is the message.
    ///
    /// # Errors
    /// `WrongDocument`, `DuplicateId`, `ForbiddenXml`.
    pub(super) fn of_document(guarded: &'d Guarded<'_>, kind: MessageKind) -> Result<Self, LogoutError> {
        let root = guarded.root()?;
        Self::find(root, root, kind)
    }

    /// The document is a SOAP envelope around one LogoutRequest (Bindings 3.2.2.1).
    ///
    /// # Errors
    /// `WrongDocument`, `DuplicateId`, `ForbiddenXml`.
    pub(super) fn in_envelope(guarded: &'d Guarded<'_>) -> Result<Self, LogoutError> {
        let message = soap::content(guarded, "a Body of one LogoutRequest")?;
        Self::find(guarded.root()?, message, MessageKind::Request)
    }

    fn find(root: Element<'d>, message: Element<'d>, kind: MessageKind) -> Result<Self, LogoutError> {
        if !message.is(PROTOCOL, kind.element()) {
            let expected = match kind {
                MessageKind::Request => "a SAML 2.0 LogoutRequest",
                MessageKind::Response => "a SAML 2.0 LogoutResponse",
            };
            return Err(wrong(expected, message).into());
        }
        if message.attribute("ID").is_none() {
            return Err(SamlError::DuplicateId("the message has none").into());
        }
        refuse_misplaced(root, message)?;
        Ok(Self { kind, message, signature: signature_in(message)? })
    }
}

/// No other logout message in the document, and no signature but the message's own.
fn refuse_misplaced(root: Element<'_>, message: Element<'_>) -> Result<(), SamlError> {
    let mut stack: Vec<Element<'_>> = root.children().collect();
    while let Some(element) = stack.pop() {
        refuse_misplaced_signature(element, &[message], "a signature elsewhere than in the message")?;
        let is_message = element.is(PROTOCOL, "LogoutRequest") || element.is(PROTOCOL, "LogoutResponse");
        if is_message && element.node() != message.node() {
            return Err(SamlError::ForbiddenXml("a message beside or inside the message"));
        }
        stack.extend(element.children());
    }
    Ok(())
}
