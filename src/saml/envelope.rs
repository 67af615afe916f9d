//! A first look at a Response that nothing vouches for yet.

use super::error::SamlError;
use super::guard::Guarded;
use super::shape::{Content, ResponseShape};
use super::verify::response_status;
use super::xml::{ASSERTION, Element, trim};

/// What an unverified Response claims. A stranger may have written it: it may choose which IdP's keys and which pending login a
/// verification is tried with, or refuse, and must never be believed or shown as a fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Issuer of the Response or, when that has none, of its Assertion. `None` when neither says.
    pub issuer: Option<String>,
    /// InResponseTo of the Response or, when that has none, of its Assertion's first SubjectConfirmationData that has one.
    pub in_response_to: Option<String>,
    /// The status that it reports when that isn't Success: always a [`SamlError::StatusNotSuccess`].
    pub failure: Option<SamlError>,
    /// Whether the assertion is encrypted, so that only the Response around it could be looked at.
    pub encrypted: bool,
}

/// Looks at a Response, behind the guard.
///
/// # Errors
/// Those of the guard: `too_large`, `not_xml`, `forbidden_xml`, `wrong_document`, `duplicate_id`, `assertion_count`.
pub fn peek(octets: &[u8]) -> Result<Envelope, SamlError> {
    let guarded = Guarded::read(octets)?;
    let shape = ResponseShape::of(&guarded)?;
    let assertion = match shape.content {
        Content::Assertion(assertion) => Some(assertion),
        Content::Encrypted(_) | Content::Nothing => None,
    };
    let issuer = issuer_of(shape.response).or_else(|| assertion.and_then(issuer_of));
    let of_response = shape.response.attribute("InResponseTo").map(str::to_owned);
    Ok(Envelope {
        issuer,
        in_response_to: of_response.or_else(|| assertion.and_then(in_response_to_of)),
        failure: response_status(shape.response).err(),
        encrypted: matches!(shape.content, Content::Encrypted(_)),
    })
}

/// The Issuer that an element claims.
pub(in crate::saml) fn issuer_of(element: Element<'_>) -> Option<String> {
    let issuer = element.children_named(ASSERTION, "Issuer").next()?.text()?;
    Some(trim(&issuer).to_owned()).filter(|issuer| !issuer.is_empty())
}

fn in_response_to_of(assertion: Element<'_>) -> Option<String> {
    let subjects = assertion.children_named(ASSERTION, "Subject");
    let confirmations = subjects.flat_map(|subject| subject.children_named(ASSERTION, "SubjectConfirmation"));
    let mut data = confirmations.flat_map(|confirmation| confirmation.children_named(ASSERTION, "SubjectConfirmationData"));
    data.find_map(|data| data.attribute("InResponseTo")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::saml::fixture::{IDP, Sign, response};

    fn look(changes: &[(&str, &str)]) -> Envelope {
        peek(response(Sign::Nothing, changes).as_bytes()).unwrap()
    }

    #[test]
    fn sees_what_selects_idp_and_login() {
        let seen = look(&[]);
        assert_eq!(seen.issuer.as_deref(), Some(IDP));
        assert_eq!(seen.in_response_to.as_deref(), Some("_q"));
        assert_eq!((seen.failure, seen.encrypted), (None, false));
    }

    #[test]
    fn asks_the_assertion_when_the_response_does_not_say() {
        let issuer = ("<a:Issuer>https://idp.test/metadata</a:Issuer>RSIG", "");
        let seen = look(&[issuer, (" InResponseTo=\"_q\">", ">"), ("InResponseTo=\"_q\"", "InResponseTo=\"_q2\"")]);
        assert_eq!(seen.issuer.as_deref(), Some(IDP));
        assert_eq!(seen.in_response_to.as_deref(), Some("_q2"));
        let seen = look(&[(" InResponseTo=\"_q\"", "")]);
        assert_eq!(seen.in_response_to, None);
        let seen = look(&[issuer, ("a:Assertion", "a:EncryptedAssertion")]);
        assert_eq!((seen.issuer, seen.encrypted), (None, true));
    }

    #[test]
    fn reports_a_refusal() {
        let seen = look(&[("status:Success", "status:Responder")]);
        assert_eq!(seen.failure.map(|error| error.code()), Some("status_not_success"));
        assert_eq!(peek(b"<a/>").unwrap_err().code(), "wrong_document");
        assert_eq!(peek(b"<!DOCTYPE a><a/>").unwrap_err().code(), "forbidden_xml");
    }
}
