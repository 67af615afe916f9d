//! `[[access]]`.

use http::Method;

use super::login_terms;
use super::mapping::is_read;
use crate::access::{Allow, Rule};
use crate::config::problems::Report;
use crate::config::sections::{AccessSection, AllowWord, FieldSection, File};

/// All rules, in order. `applications` are the places of their applications.
pub(super) fn all(file: &File, prefix: Option<&str>, applications: &[usize], report: &mut Report) -> Vec<Rule> {
    let sections = &file.access;
    let mut rules = Vec::new();
    let mut all_matched_by: Option<usize> = None;
    for (at, section) in sections.iter().enumerate() {
        let key = format!("access.{at}");
        path(&section.path, &key, prefix, report);
        let methods = methods(&section.methods, &key, report);
        let allow = allow(section, file, &key, report);
        let login = login_terms::of(section, file, &key, report);
        if let Some(before) = all_matched_by {
            report.warning(&key, format!("is never reached: access.{before} matches every request"));
        }
        if section.methods.is_empty() && matches!(section.path.as_str(), "/**" | "**") {
            all_matched_by.get_or_insert(at);
        }
        let application = applications.get(at).copied().unwrap_or_default();
        rules.extend(allow.map(|allow| Rule { path: section.path.clone(), methods, allow, login, application }));
    }
    rules
}

fn path(path: &str, key: &str, prefix: Option<&str>, report: &mut Report) {
    let key = format!("{key}.path");
    if path.is_empty() {
        report.problem(key, "is required; write a path such as \"/api/**\"");
        return;
    }
    let mut wrong = |what: &str| report.problem(key.clone(), format!("{path:?} {what}"));
    if !path.starts_with('/') {
        wrong("must begin with a slash");
    } else if path.contains(['?', '#']) {
        wrong("may have no query or fragment: rules are compared with the path alone");
    } else if path.contains(|c: char| c.is_control() || c == '\\') {
        wrong("may have no control character or backslash");
    } else if path.contains("//") {
        wrong("has an empty segment, which no request has after normalisation");
    } else if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        wrong("has a dot segment, which no request has after normalisation");
    } else if has_needless_escape(path) {
        wrong("escapes a letter, digit or one of - . _ ~ /; write it plainly");
    } else if path.contains("***") {
        wrong("has more than two stars in a row; * is within a segment, ** across segments");
    } else if prefix.is_some_and(|prefix| path == prefix || path.starts_with(&format!("{prefix}/"))) {
        report.warning(key, "is samlgate's own: rules are for the application");
    }
}

/// Requests are compared with such octets unescaped, so a pattern with an escape would never match.
fn has_needless_escape(path: &str) -> bool {
    let mut escapes = path.split('%').skip(1).filter_map(|rest| u8::from_str_radix(rest.get(..2)?, 16).ok());
    escapes.any(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_' | b'~' | b'/'))
}

fn methods(words: &[String], key: &str, report: &mut Report) -> Vec<Method> {
    let mut methods = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let key = format!("{key}.methods.{at}");
        match Method::from_bytes(word.as_bytes()) {
            Ok(_) if word.contains(|c: char| c.is_ascii_lowercase()) => {
                report.problem(key, format!("{word:?}: methods are case-sensitive; write {:?}", word.to_ascii_uppercase()));
            }
            Ok(method) => methods.push(method),
            Err(_) => report.problem(key, format!("{word:?} is no method; write \"GET\", \"POST\" ...")),
        }
    }
    methods
}

fn allow(section: &AccessSection, file: &File, key: &str, report: &mut Report) -> Option<Allow> {
    let identity = &file.identity;
    let lists: [(&str, &[String], &FieldSection); 4] = [
        ("roles", &section.roles, &identity.role),
        ("groups", &section.groups, &identity.groups),
        ("users", &section.users, &identity.user),
        ("tenants", &section.tenants, &identity.tenant),
    ];
    let named = lists.iter().any(|(_, list, _)| !list.is_empty());
    for (name, list, field) in lists {
        let field_name = name.trim_end_matches('s').replace("group", "groups");
        if !list.is_empty() && !is_read(field) {
            report.problem(format!("{key}.{name}"), format!("nobody ever has one: identity.{field_name}.from is empty"));
        }
        for (at, value) in list.iter().enumerate() {
            if value.trim().is_empty() {
                report.problem(format!("{key}.{name}.{at}"), "is empty");
            } else if field.allowed.as_ref().is_some_and(|allowed| !allowed.contains(value)) {
                report.warning(
                    format!("{key}.{name}.{at}"),
                    format!("{value:?} is not in identity.{field_name}.allowed: nobody ever has it"),
                );
            }
        }
    }
    match (section.allow, named) {
        (Some(_), true) => {
            report.problem(format!("{key}.allow"), "stands beside roles, groups, users or tenants; keep one of them");
            None
        }
        (None, false) => {
            report.problem(key, "lets nobody in and keeps nobody out; add allow = \"anyone\", \"signed-in\" or \"nobody\", or roles, groups, users or tenants");
            None
        }
        (Some(AllowWord::Anyone), false) => Some(Allow::Anyone),
        (Some(AllowWord::SignedIn), false) => Some(Allow::SignedIn),
        (Some(AllowWord::Nobody), false) => Some(Allow::Nobody),
        (None, true) => Some(Allow::Members {
            roles: section.roles.clone(),
            groups: section.groups.clone(),
            users: section.users.clone(),
            tenants: section.tenants.clone(),
        }),
    }
}
