//! `[headers]`: names that no client can send and no application can mix up.

use std::collections::{BTreeMap, BTreeSet};

use http::HeaderName;

use super::mapping::is_read;
use crate::config::known;
use crate::config::problems::Report;
use crate::config::sections::{HeadersSection, IdentitySection};
use crate::identity::headers::{HeaderPlan, HeaderSettings, LONGEST_HEADER_NAME, folded};
use crate::identity::presets::{PRESETS, Preset};

/// Headers of HTTP itself and those that samlgate sets for other reasons, folded.
const TAKEN: &[&str] = &[
    "authorization",
    "cookie",
    "connection",
    "date",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "origin",
    "range",
    "referer",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-real-ip",
    "x-request-id",
    "traceparent",
    "tracestate",
    "signature",
    "signature-input",
];
/// Beginnings of such names.
const TAKEN_PREFIXES: &[&str] = &["accept", "access-control-", "cache-", "content-", "if-", "proxy-", "sec-"];

/// `[headers]`, but for the assertion's key.
pub(super) fn plan(section: &HeadersSection, identity: &IdentitySection, report: &mut Report) -> Option<HeaderPlan> {
    let preset = preset(&section.preset, report);
    let base = preset.or_else(|| Preset::named("none"))?;
    let own = [
        ("user", &section.user, base.user, &identity.user),
        ("email", &section.email, base.email, &identity.email),
        ("name", &section.name, base.display_name, &identity.name),
        ("tenant", &section.tenant, base.tenant, &identity.tenant),
        ("role", &section.role, base.role, &identity.role),
        ("groups", &section.groups, base.groups, &identity.groups),
    ];
    let mut names: BTreeMap<&str, HeaderName> = BTreeMap::new();
    for (field, given, default, read) in own {
        if let Some(name) = header(&format!("headers.{field}"), given.as_deref().unwrap_or(default), report) {
            names.insert(field, name);
            if given.is_some() && !is_read(read) {
                report.warning(format!("headers.{field}"), format!("is never sent: identity.{field}.from is empty"));
            }
        }
    }
    let extra = extra(section, base, identity, report);
    let separator = separator(section.separator.as_deref().unwrap_or(base.separator), report);
    strip(&section.strip, report);
    let assertion = header("headers.assertion.header", &section.assertion.header, report);
    if section.assertion.header.is_empty() {
        report.problem("headers.assertion.header", "is empty, but the assertion is always sent; leave it out for the default");
    }
    let roles: BTreeMap<_, _> = base.roles.iter().map(|&(ours, theirs)| (ours.to_owned(), theirs.to_owned())).collect();
    let settings = HeaderSettings {
        user: names.remove("user"),
        email: names.remove("email"),
        name: names.remove("name"),
        tenant: names.remove("tenant"),
        role: names.remove("role"),
        groups: names.remove("groups"),
        extra,
        separator: separator.clone().unwrap_or_default(),
        value_maps: if roles.is_empty() { BTreeMap::new() } else { BTreeMap::from([("role".to_owned(), roles)]) },
        assertion: assertion.clone().unwrap_or_else(|| HeaderName::from_static("x-samlgate-assertion")),
        strip: section.strip.clone(),
    };
    distinct(&settings, report);
    separator.and(assertion).map(|_| HeaderPlan::new(settings))
}

fn preset(name: &str, report: &mut Report) -> Option<&'static Preset> {
    let found = Preset::named(name);
    if found.is_none() {
        let names: Vec<&str> = PRESETS.iter().map(|preset| preset.name).collect();
        let near = known::nearest(name, names.iter().copied()).map(|near| format!("; did you mean {near:?}?"));
        let what = format!("{name:?} is not one of {}{}", names.join(", "), near.unwrap_or_default());
        report.problem("headers.preset", what);
    }
    found
}

/// A header that samlgate may set; `None` for "" and for a mistake.
fn header(key: &str, text: &str, report: &mut Report) -> Option<HeaderName> {
    if text.is_empty() {
        return None;
    }
    let name = HeaderName::try_from(text).ok().filter(|name| name.as_str().len() <= LONGEST_HEADER_NAME);
    if name.is_none() {
        report.problem(key, format!("{text:?} is no header name; use letters, digits and -, at most {LONGEST_HEADER_NAME}"));
    } else if is_taken(text) {
        report.problem(key, format!("{text:?} means something else in HTTP or is set by samlgate itself; take another name"));
        return None;
    }
    name
}

fn is_taken(name: &str) -> bool {
    let name = folded(name);
    TAKEN.contains(&name.as_str()) || TAKEN_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

fn extra(
    section: &HeadersSection,
    base: &Preset,
    identity: &IdentitySection,
    report: &mut Report,
) -> BTreeMap<String, HeaderName> {
    let mut headers = BTreeMap::new();
    for (field, name) in &section.extra {
        let key = format!("headers.extra.{field}");
        if !identity.extra.contains_key(field) {
            report.problem(&key, format!("there is no [identity.extra.{field}] to fill it; add one, or take it away"));
        }
        headers.extend(header(&key, name, report).map(|name| (field.clone(), name)));
    }
    for &(field, name) in base.extra {
        if identity.extra.contains_key(field) && !section.extra.contains_key(field) {
            headers.extend(header("headers.preset", name, report).map(|name| (field.to_owned(), name)));
        }
    }
    for field in identity.extra.keys().filter(|field| !headers.contains_key(*field)) {
        if section.extra.get(field).is_none_or(|name| !name.is_empty()) {
            report.warning(
                format!("identity.extra.{field}"),
                format!("stands in the assertion only: there is no headers.extra.{field}"),
            );
        }
    }
    headers
}

/// What stands between groups must be told from what stands in them, and decoded from it.
fn separator(text: &str, report: &mut Report) -> Option<String> {
    let plain = |octet: u8| octet == b' ' || (octet.is_ascii_punctuation() && octet != b'%');
    let good = (1..=4).contains(&text.len()) && text.bytes().all(plain);
    if !good {
        let what = "must be one to four spaces or ASCII signs, and no letter, digit or %, such as \",\" or \"|\"";
        report.problem("headers.separator", format!("{text:?} {what}"));
    }
    good.then(|| text.to_owned())
}

fn strip(names: &[String], report: &mut Report) {
    const NEEDED: &[&str] = &["host", "cookie", "connection", "upgrade", "transfer-encoding", "te"];
    for (at, name) in names.iter().enumerate() {
        let key = format!("headers.strip.{at}");
        let name_folded = folded(name);
        if HeaderName::try_from(name.as_str()).is_err() || name.len() > LONGEST_HEADER_NAME {
            report.problem(key, format!("{name:?} is no header name"));
        } else if NEEDED.contains(&name_folded.as_str())
            || name_folded.starts_with("content-")
            || name_folded.starts_with("sec-websocket")
        {
            report.problem(key, format!("without {name:?} no request would arrive as it was sent; take it away"));
        }
    }
}

/// No two headers may be one to an application that can't tell `-` from `_`.
fn distinct(settings: &HeaderSettings, report: &mut Report) {
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    let mut said = BTreeSet::new();
    for (key, name) in settings.all() {
        if let Some(other) = seen.insert(folded(name.as_str()), key.clone())
            && said.insert(key.clone())
        {
            report.problem(
                format!("headers.{key}"),
                format!("{name} is the header of headers.{other} too, at least to applications that can't tell - from _; take another one"),
            );
        }
    }
}
