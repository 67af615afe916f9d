//! A verdict in words, and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::Verdict;
use super::logout::Seen;
use crate::identity::Identity;
use crate::saml::VerifiedAssertion;
use crate::saml::logout::{LogoutMessage, LogoutStatus};

/// For people. Values that the IdP sent are shown escaped.
pub(super) fn text(verdict: &Verdict<'_>) -> String {
    let mut text = match &verdict.refused {
        None => String::from("ACCEPTED\n"),
        Some((code, detail)) => format!("REFUSED: {code}\n{detail}\n"),
    };
    if let Some(idp) = verdict.idp {
        let _ = writeln!(text, "\nIdP {}: {}", idp.id, idp.entity_id);
    }
    if !verdict.checks.all().is_empty() {
        text.push_str("\nChecked, in this order:\n");
    }
    for check in verdict.checks.all() {
        let _ = writeln!(text, "  {} {:<21} {}", if check.ok { "ok  " } else { "FAIL" }, check.name, check.detail);
    }
    if let Some(assertion) = &verdict.assertion {
        subject(&mut text, assertion);
    }
    if let Some(seen) = &verdict.logout {
        logout(&mut text, seen);
    }
    if let Some(identity) = &verdict.identity {
        text.push_str("\nThe application would see:\n");
        for (field, value) in fields(identity) {
            let _ = writeln!(text, "  {field:<8} {value}");
        }
    }
    for note in &verdict.notes {
        let _ = write!(text, "\n{note}\n");
    }
    text
}

fn subject(text: &mut String, assertion: &VerifiedAssertion) {
    let name_id = assertion.name_id();
    let _ =
        writeln!(text, "\nThe IdP asserts:\n  NameID {:?} ({})", name_id.value, name_id.format.as_deref().unwrap_or("no format"));
    for attribute in assertion.attributes() {
        let _ = writeln!(text, "  {:?} = {:?}", attribute.name, attribute.values);
    }
}

fn logout(text: &mut String, seen: &Seen) {
    let kind = seen.kind.map_or("message", |kind| kind.element());
    let _ = writeln!(text, "\nA {kind} for the single logout service, by {}.", seen.binding);
    match &seen.verified {
        Some(LogoutMessage::Request(request)) => {
            let name_id = request.name_id();
            let format = name_id.format.as_deref().unwrap_or("no format");
            let which = match request.session_indexes() {
                [] => "all sessions".to_owned(),
                indexes => format!("the sessions with SessionIndex {indexes:?}, and those without any"),
            };
            let _ = writeln!(text, "It ends {which} of NameID {:?} ({format}), once.", name_id.value);
        }
        Some(LogoutMessage::Response(response)) => {
            let how =
                if response.status().is_complete() { "the IdP has ended everything" } else { "the IdP has not ended everything" };
            let _ =
                writeln!(text, "It answers the request {:?}: {how} ({}).", response.in_response_to(), status(response.status()));
        }
        None => {}
    }
}

fn status(status: &LogoutStatus) -> String {
    let parts = [Some(&status.top), status.second.as_ref(), status.message.as_ref()];
    parts.into_iter().flatten().map(|part| format!("{part:?}")).collect::<Vec<_>>().join(", ")
}

fn fields(identity: &Identity) -> Vec<(String, String)> {
    let one = |value: Option<&str>| value.map(|value| format!("{value:?}"));
    let groups: Vec<_> = identity.groups().collect();
    let mut fields: Vec<_> = [
        ("user", Some(format!("{:?}", identity.user()))),
        ("email", one(identity.email())),
        ("name", one(identity.name())),
        ("tenant", one(identity.tenant())),
        ("role", one(identity.role())),
        ("groups", (!groups.is_empty()).then(|| format!("{groups:?}"))),
    ]
    .into_iter()
    .filter_map(|(field, value)| Some((field.to_owned(), value?)))
    .collect();
    fields.extend(identity.extra().map(|(field, value)| (field.to_owned(), format!("{value:?}"))));
    fields
}

/// For programs (INTERFACE, "Commands").
pub(super) fn json(verdict: &Verdict<'_>) -> String {
    let checks: Vec<_> =
        verdict.checks.all().iter().map(|check| json!({"name": check.name, "ok": check.ok, "detail": check.detail})).collect();
    let accepted = verdict.refused.is_none();
    let detail = match &verdict.refused {
        Some((_, detail)) => {
            let sentences = std::iter::once(detail).chain(&verdict.notes).map(|sentence| sentence.trim_end_matches('.'));
            sentences.collect::<Vec<_>>().join(". ")
        }
        None => verdict.notes.first().cloned().unwrap_or_else(|| "accepted".to_owned()),
    };
    let mut value = json!({
        "accepted": accepted,
        "reason": verdict.refused.as_ref().map(|(code, _)| *code),
        "detail": detail,
        "idp": verdict.idp.map(|idp| &idp.id),
        "subject": verdict.assertion.as_ref().map(subject_json),
        "attributes": verdict.assertion.as_ref().map(attributes_json),
        "identity": verdict.identity.as_ref().map(identity_json),
        "checks": checks,
    });
    if let (Some(seen), Some(object)) = (&verdict.logout, value.as_object_mut()) {
        object.insert("logout".to_owned(), logout_json(seen));
    }
    format!("{value:#}")
}

fn logout_json(seen: &Seen) -> Value {
    let (request, response) = match &seen.verified {
        Some(LogoutMessage::Request(request)) => (Some(request), None),
        Some(LogoutMessage::Response(response)) => (None, Some(response)),
        None => (None, None),
    };
    json!({
        "message": seen.kind.map(|kind| kind.element()),
        "binding": seen.binding,
        "name_id": request.map(|request| &request.name_id().value),
        "format": request.map(|request| &request.name_id().format),
        "session_indexes": request.map(|request| request.session_indexes()),
        "in_response_to": response.map(|response| response.in_response_to()),
        "status": response.map(|response| &response.status().top),
    })
}

fn subject_json(assertion: &VerifiedAssertion) -> Value {
    json!({
        "name_id": assertion.name_id().value,
        "format": assertion.name_id().format,
        "session_index": assertion.session_index(),
        "session_not_on_or_after": assertion.session_not_on_or_after().map(|at| at.to_string()),
        "authn_context": assertion.authn_context(),
    })
}

fn attributes_json(assertion: &VerifiedAssertion) -> Value {
    let attributes: BTreeMap<_, _> =
        assertion.attributes().iter().map(|attribute| (&attribute.name, &attribute.values)).collect();
    json!(attributes)
}

fn identity_json(identity: &Identity) -> Value {
    json!({
        "user": identity.user(),
        "email": identity.email(),
        "name": identity.name(),
        "tenant": identity.tenant(),
        "role": identity.role(),
        "groups": identity.groups().collect::<Vec<_>>(),
    })
}
