//! A verdict in words, and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::Verdict;
use crate::identity::Identity;
use crate::saml::VerifiedAssertion;

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

fn fields(identity: &Identity) -> Vec<(String, String)> {
    let one = |value: Option<&str>| value.map(|value| format!("{value:?}"));
    let mut fields: Vec<_> = [
        ("user", Some(format!("{:?}", identity.user()))),
        ("email", one(identity.email())),
        ("name", one(identity.name())),
        ("tenant", one(identity.tenant())),
        ("role", one(identity.role())),
        ("groups", (!identity.groups().is_empty()).then(|| format!("{:?}", identity.groups()))),
    ]
    .into_iter()
    .filter_map(|(field, value)| Some((field.to_owned(), value?)))
    .collect();
    fields.extend(identity.extra().iter().map(|(field, value)| (field.clone(), format!("{value:?}"))));
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
    let value = json!({
        "accepted": accepted,
        "reason": verdict.refused.as_ref().map(|(code, _)| *code),
        "detail": detail,
        "idp": verdict.idp.map(|idp| &idp.id),
        "subject": verdict.assertion.as_ref().map(subject_json),
        "attributes": verdict.assertion.as_ref().map(attributes_json),
        "identity": verdict.identity.as_ref().map(identity_json),
        "checks": checks,
    });
    format!("{value:#}")
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
        "groups": identity.groups(),
    })
}
