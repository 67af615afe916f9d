//! Rule 5: the Response as such, and what it has in common with its Assertion.

use super::validity::{Moment, required_instant};
use crate::clock::Timestamp;
use crate::saml::error::{SamlError, cut};
use crate::saml::signature::Covered;
use crate::saml::xml::{ASSERTION, Element, PROTOCOL, trim};

const SUCCESS: &str = "urn:oasis:names:tc:SAML:2.0:status:Success";
const ENTITY: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:entity";
/// Status codes nest; more than this many say nothing.
const MAX_STATUS_CODES: usize = 4;

/// The child of that name, of which there may be only one.
///
/// # Errors
/// `WrongDocument` for more.
pub(in crate::saml) fn only_child<'d>(
    parent: Element<'d>,
    namespace: &'static str,
    name: &'static str,
) -> Result<Option<Element<'d>>, SamlError> {
    let mut children = parent.children_named(namespace, name);
    match (children.next(), children.next()) {
        (_, Some(_)) => Err(SamlError::WrongDocument { expected: name, got: "more than one".to_owned() }),
        (first, None) => Ok(first),
    }
}

/// Core 3.2.2 and 2.3.3: Version 2.0, on both.
pub(super) fn versions(response: Element<'_>, assertion: Element<'_>) -> Result<((), String), SamlError> {
    version(response)?;
    version(assertion)?;
    Ok(((), "2.0".to_owned()))
}

/// Version 2.0 (Core 4.1).
///
/// # Errors
/// `WrongDocument`.
pub(in crate::saml) fn version(element: Element<'_>) -> Result<(), SamlError> {
    match element.attribute("Version").unwrap_or_default() {
        "2.0" => Ok(()),
        other => Err(SamlError::WrongDocument { expected: "Version 2.0", got: cut(other) }),
    }
}

/// What a Status says (Core 3.2.2.1).
pub(in crate::saml) struct Status<'d> {
    /// The codes, URNs, the top-level one first; none when there is no Status.
    pub(in crate::saml) codes: Vec<&'d str>,
    /// StatusMessage, cut.
    pub(in crate::saml) message: Option<String>,
}

/// Reads the Status of an answer.
///
/// # Errors
/// `WrongDocument` for more than one.
pub(in crate::saml) fn read_status(response: Element<'_>) -> Result<Status<'_>, SamlError> {
    let status = only_child(response, PROTOCOL, "Status")?;
    let mut codes = Vec::new();
    let mut at = status;
    while let Some(parent) = at.filter(|_| codes.len() < MAX_STATUS_CODES) {
        at = only_child(parent, PROTOCOL, "StatusCode")?;
        codes.extend(at.map(|code| code.attribute("Value").unwrap_or_default()));
    }
    let message = status.map(|status| only_child(status, PROTOCOL, "StatusMessage")).transpose()?.flatten();
    let message = message.and_then(Element::text).map(|text| cut(trim(&text))).filter(|text| !text.is_empty());
    Ok(Status { codes, message })
}

/// Core 3.2.2.2: the top-level status is Success.
pub(super) fn status(response: Element<'_>) -> Result<((), String), SamlError> {
    let Status { codes, message } = read_status(response)?;
    if codes.first() == Some(&SUCCESS) {
        return Ok(((), "Success".to_owned()));
    }
    let names: Vec<_> =
        codes.iter().map(|code| code.rsplit(':').next().unwrap_or_default()).filter(|name| !name.is_empty()).collect();
    let status = if names.is_empty() { "no status".to_owned() } else { cut(&names.join("/")) };
    Err(SamlError::StatusNotSuccess { status, message })
}

/// Profiles 4.1.4.2: the Issuer is the IdP; the Response's may be absent unless it is signed.
pub(super) fn issuers(
    response: Element<'_>,
    covered: Covered,
    assertion: Element<'_>,
    idp: &str,
) -> Result<((), String), SamlError> {
    issuer(response, "Response", covered == Covered::Response, idp)?;
    issuer(assertion, "Assertion", true, idp)?;
    Ok(((), idp.to_owned()))
}

/// The Issuer of one element is the IdP (Core 2.2.5).
///
/// # Errors
/// `IssuerMismatch`; `WrongDocument` for more than one.
pub(in crate::saml) fn issuer(element: Element<'_>, name: &'static str, required: bool, idp: &str) -> Result<(), SamlError> {
    let Some(issuer) = only_child(element, ASSERTION, "Issuer")? else {
        if required {
            return Err(SamlError::IssuerMismatch { element: name, expected: idp.to_owned(), got: String::new() });
        }
        return Ok(());
    };
    let text = issuer.text().unwrap_or_default();
    let format = issuer.attribute("Format").unwrap_or(ENTITY);
    if trim(&text) != idp || format != ENTITY {
        return Err(SamlError::IssuerMismatch { element: name, expected: idp.to_owned(), got: cut(trim(&text)) });
    }
    Ok(())
}

/// Bindings 3.5.5.2: a signed Response must name its Destination; a Destination that is there must be ours. Returns which of
/// our URLs it is.
pub(super) fn destination(
    response: Element<'_>,
    covered: Covered,
    acs_urls: &[String],
) -> Result<(Option<String>, String), SamlError> {
    let mismatch =
        |got: &str| SamlError::DestinationMismatch { expected: acs_urls.first().cloned().unwrap_or_default(), got: cut(got) };
    match response.attribute("Destination") {
        Some(destination) => match acs_urls.iter().find(|url| *url == destination) {
            Some(url) => Ok((Some(url.clone()), url.clone())),
            None => Err(mismatch(destination)),
        },
        None if covered == Covered::Response => Err(mismatch("")),
        None => Ok((None, "not given; the Response is not signed".to_owned())),
    }
}

/// Core 1.3.3 and 2.3.3: issued by now, and not too long ago. Returns the Assertion's or the Response's IssueInstant, the earlier.
pub(super) fn issued(response: Element<'_>, assertion: Element<'_>, moment: &Moment) -> Result<(Timestamp, String), SamlError> {
    let of_response = required_instant(response, "IssueInstant")?;
    moment.recent("the Response", of_response)?;
    let of_assertion = required_instant(assertion, "IssueInstant")?;
    moment.recent("the Assertion", of_assertion)?;
    Ok((of_response.min(of_assertion), of_assertion.to_string()))
}
