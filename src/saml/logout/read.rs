//! From the XML of a logout message to what it says, with the rules of the profile (Profiles 4.4).

use super::LogoutExpectations;
use super::error::LogoutError;
use super::message::{LogoutMessage, LogoutRequest, LogoutResponse, LogoutScope, LogoutStatus, MessageKind};
use super::shape::LogoutShape;
use crate::clock::Timestamp;
use crate::saml::decrypt::Decryptor;
use crate::saml::error::{SamlError, cut};
use crate::saml::verify::response::{issuer, read_status, version};
use crate::saml::verify::subject::plain_or_encrypted_name_id;
use crate::saml::verify::validity::{Moment, instant, required_instant};
use crate::saml::xml::{Element, PROTOCOL, trim};

/// Whether a message must say where it goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Destination {
    /// By a browser, signed: it must (Bindings 3.4.5.2, 3.5.5.2).
    Required,
    /// Directly, by SOAP.
    Optional,
}

/// Reads a message whose signature is good, and refuses what isn't for us, now.
///
/// # Errors
/// One [`LogoutError`] per rule.
pub(super) fn read(
    shape: &LogoutShape<'_>,
    destination: Destination,
    expectations: &LogoutExpectations<'_>,
    now: Timestamp,
) -> Result<LogoutMessage, LogoutError> {
    let moment = Moment { now, skew: expectations.clock_skew, max_age: expectations.max_age };
    let element = shape.message;
    let what = match shape.kind {
        MessageKind::Request => "the LogoutRequest",
        MessageKind::Response => "the LogoutResponse",
    };
    // Core 3.2.1, 3.2.2; Profiles 4.4.4.1, 4.4.4.2: the Issuer must be there.
    version(element)?;
    issuer(element, shape.kind.element(), true, expectations.idp_entity_id)?;
    let destination = check_destination(element, destination, expectations.slo_urls)?;
    let issue_instant = required_instant(element, "IssueInstant")?;
    moment.recent(what, issue_instant)?;
    let fresh_until = issue_instant.plus(expectations.max_age);
    let id = element.attribute("ID").unwrap_or_default().to_owned();
    let issuer = expectations.idp_entity_id.to_owned();
    // Two skews: one is tolerated, one more for replicas whose clocks differ.
    let claim_until = |last: Timestamp| last.plus(expectations.clock_skew).plus(expectations.clock_skew);
    match shape.kind {
        MessageKind::Request => {
            // Core 3.7.1. Keycloak leaves it out; the age is bounded anyway.
            let not_on_or_after = instant(element, "NotOnOrAfter")?;
            if let Some(at) = not_on_or_after {
                moment.not_ended(what, at)?;
            }
            let decryptor = Decryptor::new(expectations.decryption_keys, expectations.compat, expectations.sp_entity_id);
            Ok(LogoutMessage::Request(LogoutRequest {
                id,
                issue_instant,
                destination,
                scope: LogoutScope {
                    issuer,
                    name_id: plain_or_encrypted_name_id(element, &decryptor)?,
                    session_indexes: session_indexes(element)?,
                },
                not_on_or_after,
                reason: element.attribute("Reason").map(cut),
                claim_until: claim_until(not_on_or_after.map_or(fresh_until, |at| at.min(fresh_until))),
            }))
        }
        MessageKind::Response => {
            let in_response_to = match (element.attribute("InResponseTo"), expectations.in_response_to) {
                (Some(got), Some(ours)) if got == ours => got.to_owned(),
                _ => return Err(LogoutError::InResponseToMismatch),
            };
            let status = read_status(element)?;
            let mut codes = status.codes.iter().map(|code| cut(code));
            let status = LogoutStatus { top: codes.next().unwrap_or_default(), second: codes.next(), message: status.message };
            Ok(LogoutMessage::Response(LogoutResponse {
                id,
                in_response_to,
                issuer,
                status,
                claim_until: claim_until(fresh_until),
            }))
        }
    }
}

fn check_destination(element: Element<'_>, rule: Destination, slo_urls: &[String]) -> Result<Option<String>, LogoutError> {
    match element.attribute("Destination") {
        Some(got) if slo_urls.iter().any(|url| url == got) => Ok(Some(got.to_owned())),
        None if rule == Destination::Optional => Ok(None),
        got => {
            let expected = slo_urls.first().cloned().unwrap_or_default();
            Err(LogoutError::DestinationMismatch { expected, got: cut(got.unwrap_or_default()) })
        }
    }
}

/// Core 3.7.1. An index without a value is refused and not left out: with none left the request would end all sessions.
fn session_indexes(element: Element<'_>) -> Result<Vec<String>, SamlError> {
    let read = |index: Element<'_>| {
        let text = index.text().map(|text| trim(&text).to_owned());
        let text = text.filter(|text| !text.is_empty() && !text.chars().any(char::is_control));
        text.ok_or(SamlError::WrongDocument { expected: "a SessionIndex of plain text", got: String::new() })
    };
    element.children_named(PROTOCOL, "SessionIndex").map(read).collect()
}
