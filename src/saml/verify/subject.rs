//! Rules 7, 8 and 10: whom the assertion is about, and why its bearer is that person.

use super::response::only_child;
use super::validity::{Moment, instant};
use crate::clock::Timestamp;
use crate::saml::decrypt::Decryptor;
use crate::saml::error::{SamlError, cut};
use crate::saml::expectations::Expected;
use crate::saml::verified::NameId;
use crate::saml::xml::{ASSERTION, Element, trim};

const BEARER: &str = "urn:oasis:names:tc:SAML:2.0:cm:bearer";

/// A bearer confirmation that holds here and now.
pub(super) struct Confirmation<'d> {
    in_response_to: Option<&'d str>,
    until: Timestamp,
}

/// Profiles 4.1.4.2, 4.1.4.3: at least one bearer confirmation holds. When none does, the one that came closest says why.
pub(super) fn confirmations<'d>(
    assertion: Element<'d>,
    acs_urls: &[String],
    moment: &Moment,
) -> Result<((Element<'d>, Vec<Confirmation<'d>>), String), SamlError> {
    let subject = only_child(assertion, ASSERTION, "Subject")?;
    let subject = subject.ok_or_else(|| SamlError::SubjectConfirmation("the assertion has no Subject".to_owned()))?;
    let mut confirmed = Vec::new();
    let mut closest: Option<Vec<SamlError>> = None;
    for confirmation in subject.children_named(ASSERTION, "SubjectConfirmation") {
        if confirmation.attribute("Method") != Some(BEARER) {
            continue;
        }
        match confirm(confirmation, acs_urls, moment) {
            Ok(holds) => confirmed.push(holds),
            Err(failures) if closest.as_ref().is_none_or(|closest| failures.len() < closest.len()) => closest = Some(failures),
            Err(_) => {}
        }
    }
    if confirmed.is_empty() {
        return Err(most_helpful(closest.unwrap_or_default()));
    }
    let until = confirmed.iter().map(|confirmation| confirmation.until).max();
    let detail = format!("a bearer confirmation for our ACS URL, until {}", until.map(|at| at.to_string()).unwrap_or_default());
    Ok(((subject, confirmed), detail))
}

/// The one thing that is wrong, or all of them in one.
fn most_helpful(mut failures: Vec<SamlError>) -> SamlError {
    match failures.len() {
        0 => SamlError::SubjectConfirmation("there is none with method bearer".to_owned()),
        1 => failures.remove(0),
        _ => {
            let all: Vec<_> = failures.iter().map(ToString::to_string).collect();
            SamlError::SubjectConfirmation(all.join("; "))
        }
    }
}

fn confirm<'d>(confirmation: Element<'d>, acs_urls: &[String], moment: &Moment) -> Result<Confirmation<'d>, Vec<SamlError>> {
    let missing = |what: &str| SamlError::SubjectConfirmation(what.to_owned());
    let data = match only_child(confirmation, ASSERTION, "SubjectConfirmationData") {
        Ok(Some(data)) => data,
        Ok(None) => return Err(vec![missing("it has no SubjectConfirmationData")]),
        Err(error) => return Err(vec![error]),
    };
    let mut failures = Vec::new();
    let recipient = data.attribute("Recipient").unwrap_or_default();
    if !acs_urls.iter().any(|url| url == recipient) {
        let expected = acs_urls.first().cloned().unwrap_or_default();
        failures.push(SamlError::RecipientMismatch { expected, got: cut(recipient) });
    }
    // The profile forbids NotBefore here, but some IdPs send it. Heeding it can only refuse more.
    let not_before = instant(data, "NotBefore").and_then(|at| match at {
        Some(at) => moment.begun("the SubjectConfirmation", at),
        None => Ok(()),
    });
    failures.extend(not_before.err());
    let until = instant(data, "NotOnOrAfter").and_then(|at| {
        let at = at.ok_or_else(|| missing("SubjectConfirmationData has no NotOnOrAfter"))?;
        moment.not_ended("the SubjectConfirmation", at).map(|()| at)
    });
    match until {
        Ok(until) if failures.is_empty() => Ok(Confirmation { in_response_to: data.attribute("InResponseTo"), until }),
        Ok(_) => Err(failures),
        Err(error) => {
            failures.push(error);
            Err(failures)
        }
    }
}

/// Profiles 4.1.4.3: InResponseTo is our request's ID, on the Response and on the confirmation. Profiles 4.1.5: when nothing was
/// asked, it stands nowhere. Returns until when the assertion is confirmed.
pub(super) fn in_response_to(
    response: Element<'_>,
    subject: Element<'_>,
    confirmations: Vec<Confirmation<'_>>,
    expected: &Expected<'_>,
) -> Result<(Timestamp, String), SamlError> {
    let mismatch = |element| Err(SamlError::InResponseToMismatch { element });
    let (wanted, detail) = match expected {
        Expected::AnswerTo(id) => (Some(*id), "the answer to our request"),
        Expected::Unsolicited => (None, "unsolicited, and nowhere said to answer a request"),
    };
    if response.attribute("InResponseTo") != wanted {
        return mismatch("Response");
    }
    if wanted.is_none() {
        let all = subject.children_named(ASSERTION, "SubjectConfirmation");
        let mut data = all.flat_map(|confirmation| confirmation.children_named(ASSERTION, "SubjectConfirmationData"));
        if data.any(|data| data.attribute("InResponseTo").is_some()) {
            return mismatch("SubjectConfirmationData");
        }
    }
    let matching = confirmations.iter().filter(|confirmation| confirmation.in_response_to == wanted);
    match matching.map(|confirmation| confirmation.until).max() {
        Some(until) => Ok((until, detail.to_owned())),
        None => mismatch("SubjectConfirmationData"),
    }
}

/// Core 2.2.3: the NameID of a Subject, for us.
pub(super) fn name_id(
    subject: Element<'_>,
    sp_entity_id: &str,
    decryptor: &Decryptor<'_>,
) -> Result<(NameId, String), SamlError> {
    let name_id = plain_or_encrypted_name_id(subject, decryptor)?;
    if name_id.sp_name_qualifier.as_deref().is_some_and(|qualifier| qualifier != sp_entity_id) {
        return Err(SamlError::NameIdMissing("its SPNameQualifier is another service provider"));
    }
    let detail = format!("{:?}", cut(&name_id.value));
    Ok((name_id, detail))
}

/// The one NameID in an element that is believed, encrypted (EncryptedID, Core 2.2.4) or not.
///
/// # Errors
/// `NameIdMissing`; `DecryptionFailed`; as the guard.
pub(in crate::saml) fn plain_or_encrypted_name_id(subject: Element<'_>, decryptor: &Decryptor<'_>) -> Result<NameId, SamlError> {
    let mut encrypted = subject.children_named(ASSERTION, "EncryptedID");
    match (encrypted.next(), encrypted.next(), subject.children_named(ASSERTION, "NameID").next()) {
        (Some(encrypted), None, None) => decryptor.inside(encrypted, |name| match name.parent() {
            Some(root) => read_name_id(root),
            None => Err(SamlError::NameIdMissing("there is none")),
        }),
        (None, ..) => read_name_id(subject),
        _ => Err(SamlError::NameIdMissing("there are several")),
    }
}

/// The one NameID in an element, with a whole, non-empty text. White space around it is not part of it (Core 1.3.1).
///
/// # Errors
/// `NameIdMissing`.
fn read_name_id(subject: Element<'_>) -> Result<NameId, SamlError> {
    let refuse = |why| Err(SamlError::NameIdMissing(why));
    if subject.children_named(ASSERTION, "EncryptedID").next().is_some() {
        return refuse("it is encrypted (EncryptedID), which is not supported here");
    }
    let mut names = subject.children_named(ASSERTION, "NameID");
    let element = match (names.next(), names.next()) {
        (Some(element), None) => element,
        (None, _) => return refuse("there is none"),
        (Some(_), Some(_)) => return refuse("there are several"),
    };
    let Some(text) = element.text() else { return refuse("it is not plain text") };
    let value = trim(&text);
    if value.is_empty() {
        return refuse("it is empty");
    }
    if value.chars().any(char::is_control) {
        return refuse("it has control characters");
    }
    let attribute = |name| element.attribute(name).filter(|value| !value.is_empty()).map(str::to_owned);
    Ok(NameId {
        value: value.to_owned(),
        format: attribute("Format"),
        name_qualifier: attribute("NameQualifier"),
        sp_name_qualifier: attribute("SPNameQualifier"),
    })
}
