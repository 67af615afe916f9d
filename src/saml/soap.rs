//! The SOAP 1.1 envelope around a protocol message (Bindings 3.2).

use super::error::{SamlError, cut};
use super::guard::Guarded;
use super::xml::Element;

/// SOAP 1.1, which the binding is written for (Bindings 3.2.2).
pub(in crate::saml) const SOAP: &str = "http://schemas.xmlsoap.org/soap/envelope/";

/// The one element in the Body of a document that is an envelope (Bindings 3.2.2.1). `expected` says what the Body should hold.
///
/// # Errors
/// `WrongDocument`.
pub(in crate::saml) fn content<'d>(guarded: &'d Guarded<'_>, expected: &'static str) -> Result<Element<'d>, SamlError> {
    let root = guarded.root()?;
    if !root.is(SOAP, "Envelope") {
        return Err(wrong("a SOAP 1.1 Envelope", root));
    }
    let parts: Vec<_> = root.children().take(3).collect();
    let (header, body) = match parts.as_slice() {
        [body] => (None, *body),
        [header, body] if header.is(SOAP, "Header") => (Some(*header), *body),
        _ => return Err(wrong("an Envelope of at most a Header and one Body", root)),
    };
    if !body.is(SOAP, "Body") {
        return Err(wrong("a SOAP 1.1 Body", body));
    }
    // SOAP 1.1, 4.2.3: what must be understood, and isn't, must be refused.
    let demanding = |block: Element<'_>| block.attribute_in(SOAP, "mustUnderstand").is_some_and(|value| value != "0");
    if let Some(block) = header.and_then(|header| header.children().find(|block| demanding(*block))) {
        return Err(wrong("no SOAP header that must be understood", block));
    }
    let content: Vec<_> = body.children().take(2).collect();
    match content.as_slice() {
        [message] => Ok(*message),
        _ => Err(wrong(expected, body)),
    }
}

/// Another element than the expected one.
pub(in crate::saml) fn wrong(expected: &'static str, got: Element<'_>) -> SamlError {
    SamlError::WrongDocument { expected, got: cut(&got.expanded_name()) }
}
