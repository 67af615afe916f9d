//! `[identity]`.

use std::collections::BTreeMap;

use regex::RegexBuilder;

use crate::config::problems::Report;
use crate::config::sections::{FieldSection, IdentitySection, TransformWord};
use crate::identity::mapping::{FieldMapping, Mapping, Transform};
use crate::identity::values;

/// Compiled patterns may take so much memory, in octets.
const PATTERN: usize = 1 << 20;

/// `[identity]`.
pub(super) fn of(section: &IdentitySection, report: &mut Report) -> Option<Mapping> {
    let user = field("user", &section.user, report);
    if section.user.default.is_some() {
        report.problem("identity.user.default", "would sign in whoever has no name as somebody; take it away");
    }
    if section.user.from.is_empty() {
        report.problem("identity.user.from", "is empty; name the attribute that holds the user's name, or NameID");
    }
    let mut extra = BTreeMap::new();
    for (name, section) in &section.extra {
        let plain = |octet: u8| octet.is_ascii_alphanumeric() || b"-_".contains(&octet);
        if name.is_empty() || name.len() > 64 || !name.bytes().all(plain) {
            report.problem(format!("identity.extra.{name}"), "the name must be letters, digits, - and _");
        }
        if let Some(field) = optional(&format!("extra.{name}"), section, report) {
            extra.insert(name.clone(), field);
        }
    }
    Some(Mapping {
        email: optional("email", &section.email, report),
        name: optional("name", &section.name, report),
        tenant: optional("tenant", &section.tenant, report),
        role: optional("role", &section.role, report),
        groups: optional("groups", &section.groups, report),
        extra,
        user: user?,
    })
}

/// Whether a field can ever have a value.
pub(super) fn is_read(section: &FieldSection) -> bool {
    !section.from.is_empty() || section.default.is_some()
}

fn optional(name: &str, section: &FieldSection, report: &mut Report) -> Option<FieldMapping> {
    let compiled = field(name, section, report);
    if is_read(section) {
        return compiled;
    }
    let key = format!("identity.{name}");
    if section.required {
        report.problem(format!("{key}.from"), "is empty, but the field is required; name the attribute that holds it");
    }
    let says = section.join.is_some() || section.split.is_some() || section.pattern.is_some() || section.allowed.is_some();
    if says || !section.map.is_empty() || name.starts_with("extra.") {
        report.problem(format!("{key}.from"), "is empty, so that nothing is ever read; name the attribute that holds it");
    }
    None
}

fn field(name: &str, section: &FieldSection, report: &mut Report) -> Option<FieldMapping> {
    let key = |part: &str| format!("identity.{name}.{part}");
    for (at, source) in section.from.iter().enumerate() {
        if source.trim().is_empty() {
            report.problem(key(&format!("from.{at}")), "is empty; write the attribute's Name as the IdP sends it");
        }
    }
    if section.split.as_deref() == Some("") {
        report.problem(key("split"), "is empty; name what stands between values, such as \",\"");
    }
    if section.max.is_some() && name != "groups" {
        report.problem(key("max"), "is for identity.groups only; take it away");
    }
    if section.max == Some(0) {
        report.problem(key("max"), "is 0, so that nobody has a group; leave identity.groups out instead");
    }
    let pattern = match &section.pattern {
        Some(text) => {
            let compiled = RegexBuilder::new(text).size_limit(PATTERN).build();
            // The last line says what is wrong; those before draw it.
            let wrong = |error: regex::Error| {
                let text = error.to_string();
                format!(
                    "{:?} is no regular expression: {}",
                    section.pattern.as_deref().unwrap_or_default(),
                    text.lines().last().unwrap_or_default().trim_start_matches("error: ")
                )
            };
            report.take(&key("pattern"), compiled.map(Some).map_err(wrong))
        }
        None => Some(None),
    };
    if let Some(text) = &section.pattern
        && name != "name"
        && !(text.starts_with('^') && text.ends_with('$'))
    {
        report.warning(key("pattern"), "does not begin with ^ and end with $: it also matches in the middle of a value");
    }
    words(name, section, report);
    Some(FieldMapping {
        from: section.from.clone(),
        join: section.join.clone(),
        transform: section.transform.iter().copied().map(step).collect(),
        pattern: pattern?,
        split: section.split.clone(),
        map: section.map.clone(),
        allowed: section.allowed.clone(),
        max: section.max,
        default: section.default.clone(),
        required: section.required,
    })
}

/// The values that the configuration itself names: usable, and in agreement with each other.
fn words(name: &str, section: &FieldSection, report: &mut Report) {
    let key = |part: &str| format!("identity.{name}.{part}");
    let usable = |text: &str| !text.trim().is_empty() && values::judge(text).is_ok();
    let is_allowed = |text: &String| section.allowed.as_ref().is_none_or(|allowed| allowed.contains(text));
    if let Some(allowed) = &section.allowed {
        if allowed.is_empty() {
            report.problem(key("allowed"), "is empty, so that every value is refused; list values, or leave it out");
        }
        for (at, text) in allowed.iter().enumerate() {
            if !usable(text) {
                report.problem(key(&format!("allowed.{at}")), format!("{text:?} can never be a value"));
            } else if allowed.iter().take(at).any(|other| other == text) {
                report.problem(key(&format!("allowed.{at}")), format!("{text:?} stands there twice"));
            }
        }
    }
    if let Some(default) = &section.default {
        if !usable(default) {
            report.problem(key("default"), format!("{default:?} can't be a value; leave it out for no value"));
        } else if !is_allowed(default) {
            report.problem(key("default"), format!("{default:?} is not in identity.{name}.allowed; add it there"));
        }
    }
    for (from, to) in &section.map {
        if !usable(to) {
            report.problem(key("map"), format!("{to:?} can't be a value"));
        } else if !is_allowed(to) {
            report.warning(key("map"), format!("{from:?} becomes {to:?}, which identity.{name}.allowed refuses"));
        }
        let folded = section.transform.iter().fold(from.clone(), |text, step| match step {
            TransformWord::Trim => text.trim().to_owned(),
            TransformWord::Lowercase => text.to_lowercase(),
            TransformWord::Uppercase => text.to_uppercase(),
            TransformWord::BeforeAt => text,
        });
        if folded != *from {
            report.warning(key("map"), format!("{from:?} never matches: transform makes {folded:?} of it first"));
        }
    }
}

fn step(word: TransformWord) -> Transform {
    match word {
        TransformWord::Trim => Transform::Trim,
        TransformWord::Lowercase => Transform::Lowercase,
        TransformWord::Uppercase => Transform::Uppercase,
        TransformWord::BeforeAt => Transform::BeforeAt,
    }
}
