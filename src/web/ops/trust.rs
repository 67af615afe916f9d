//! Whom we believe and for how long: the IdPs' metadata and all certificates, as operators and their monitoring see them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use crate::clock::Timestamp;
use crate::login::Login;
use crate::metadata::Board;
use crate::saml::keys::fingerprint;

/// One IdP's metadata.
#[derive(Debug, Serialize)]
pub(super) struct IdpState {
    /// `ok`, `missing` or `expired`.
    metadata: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    valid_until: Option<String>,
    /// When the source last gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_success: Option<String>,
    /// Why it can't be had anew, while it can't.
    #[serde(skip_serializing_if = "Option::is_none")]
    failing: Option<&'static str>,
    /// It is the copy from `data_dir`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    copy: bool,
}

/// All IdPs by their short names.
pub(super) fn states(login: &Login, board: &Board, now: Timestamp) -> BTreeMap<String, IdpState> {
    let (idps, mut states) = (login.idps(), board.states());
    let state = |id: String| {
        let known = idps.iter().find(|idp| idp.id == id);
        let watched = states.remove(&id).unwrap_or_default();
        let metadata = match known {
            None => "missing",
            Some(idp) if idp.is_valid(now) => "ok",
            Some(_) => "expired",
        };
        let state = IdpState {
            metadata,
            valid_until: known.and_then(|idp| idp.valid_until).map(|at| at.to_string()),
            last_success: watched.last_success.map(|at| at.to_string()),
            failing: watched.failing,
            copy: watched.from_copy,
        };
        (id, state)
    };
    login.idp_ids().into_iter().map(state).collect()
}

/// A gauge and its lines.
struct Gauge<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl<'a> Gauge<'a> {
    fn new(text: &'a mut String, name: &'static str, help: &str) -> Self {
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n");
        Self { text, name }
    }

    /// Values of labels are short names and hexadecimal digits: nothing in them needs escaping.
    fn line(&mut self, labels: &[(&str, &str)], value: i64) {
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        let _ = writeln!(self.text, "{}{{{}}} {value}", self.name, labels.join(","));
    }
}

/// Lines for `/metrics`, made when they are asked for: a certificate that is gone has none.
pub(super) fn metrics(login: &Login, board: &Board, now: Timestamp) -> String {
    let mut text = String::new();
    let idps = login.idps();
    let mut gauge = Gauge::new(&mut text, "samlgate_idp_metadata_valid", "1: there is metadata of the IdP, and it has not ended");
    for id in login.idp_ids() {
        let valid = idps.iter().any(|idp| idp.id == id && idp.is_valid(now));
        gauge.line(&[("idp", &id)], valid.into());
    }
    let help = "when the source of the metadata last gave it";
    let mut gauge = Gauge::new(&mut text, "samlgate_idp_metadata_last_success_timestamp_seconds", help);
    let states = board.states();
    for (id, state) in &states {
        if let Some(at) = state.last_success {
            gauge.line(&[("idp", id)], at.unix());
        }
    }
    let help = "looks at the source that failed since the last one that didn't";
    let mut gauge = Gauge::new(&mut text, "samlgate_idp_metadata_failing", help);
    for (id, state) in &states {
        gauge.line(&[("idp", id)], state.failures.into());
    }
    let mut gauge = Gauge::new(&mut text, "samlgate_idp_metadata_valid_until_timestamp_seconds", "validUntil, when it has one");
    for idp in idps.iter() {
        if let Some(until) = idp.valid_until {
            gauge.line(&[("idp", &idp.id)], until.unix());
        }
    }
    let help = "when a certificate ends: one that an IdP signs with, or one of sp.keys";
    let mut gauge = Gauge::new(&mut text, "samlgate_certificate_expires_timestamp_seconds", help);
    // Each only once, also when the configuration names it twice: two lines of the same labels would spoil the whole answer.
    let mut ends: BTreeMap<(&str, &str, String), i64> = BTreeMap::new();
    for idp in idps.iter() {
        let certificates = idp.anchors.certificates().iter();
        ends.extend(certificates.map(|certificate| (("idp", idp.id.as_str(), certificate.fingerprint()), certificate.not_after)));
    }
    for key in &login.service_provider().keys {
        ends.extend(key.not_after().map(|end| (("sp", "", fingerprint(key.certificate())), end)));
    }
    for ((owner, idp, fingerprint), end) in ends {
        gauge.line(&[("owner", owner), ("idp", idp), ("fingerprint", &fingerprint)], end);
    }
    text
}
