//! `samlgate check`: what the configuration means, in a page.

use std::fmt::Write as _;
use std::process::ExitCode;

use super::fetched::{self, Missing};
use super::{USAGE, say, say_error};
use crate::access::Allow;
use crate::clock::{Clock as _, SystemClock, Timestamp};
use crate::config::Config;
use crate::metadata::source::NotHad;
use crate::saml::keys::{KeyKind, TrustedCertificate};
use crate::saml::{Binding, IdentityProvider, IdpInitiated, ServiceProvider};

/// Shorter than this until a certificate ends is said loudly.
const SOON_DAYS: i64 = 30;

/// A source that can't be reached is no mistake in the configuration: samlgate starts without it. What comes from there and is no use
/// will stay so until somebody changes something.
pub(super) fn run(mut config: Config) -> ExitCode {
    let now = SystemClock.now();
    let mut useless = false;
    for Missing { id, url, why } in fetched::complete(&mut config, now) {
        let at = config.idp_order.iter().position(|other| *other == id).unwrap_or_default();
        match why {
            NotHad::Away(why) => config.warnings.push(format!("idp.{at}.metadata_url: {url} can't be fetched now: {why}")),
            NotHad::Unusable(why) => {
                useless = true;
                say_error(&format!("idp.{at}.metadata_url: {url}: {why}"));
            }
        }
    }
    if useless { ExitCode::from(USAGE) } else { say(&summary(&config, now)) }
}

fn summary(config: &Config, now: Timestamp) -> String {
    let mut text = String::from("The configuration is good.\n");
    let mut line = |label: &str, value: String| {
        let _ = write!(text, "\n{label:<14}{value}");
    };
    line("users come to", config.public_url.to_string());
    line("application", config.upstream.url.to_string());
    line("entity ID", config.service_provider.entity_id.clone());
    for url in &config.service_provider.acs_urls {
        line("ACS URL", url.clone());
    }
    let sp = &config.service_provider;
    line(
        "SLO URL",
        sp.slo_url.clone().unwrap_or_else(|| "none: logout messages are signed, and [sp] keys has no key for it".to_owned()),
    );
    for idp in &config.identity_providers {
        let bindings: Vec<_> = idp.sso.iter().map(|endpoint| binding(endpoint.binding)).collect();
        let unsolicited = match idp.idp_initiated {
            IdpInitiated::Off => "off",
            IdpInitiated::Restart => "restart",
            IdpInitiated::Accept => "accept",
        };
        line("IdP", format!("{}: {}", idp.id, idp.entity_id));
        line("", format!("logins by {}, IdP-initiated {unsolicited}", bindings.join(" or ")));
        line("", logout_line(idp, sp));
        for certificate in idp.anchors.certificates() {
            line("", certificate_line(certificate, now));
        }
    }
    for rule in &config.rules {
        let methods: Vec<_> = rule.methods.iter().map(ToString::to_string).collect();
        let methods = if methods.is_empty() { String::new() } else { format!(" {}", methods.join(" ")) };
        let other = rule.application.checked_sub(1).and_then(|at| config.other_upstreams.get(at));
        let to = other.map(|other| format!(", to {}", other.url)).unwrap_or_default();
        line("access", format!("{}{methods}: {}{to}", rule.path, allow(&rule.allow)));
    }
    line("access", "everything else: whoever is signed in".to_owned());
    for (what, name) in config.headers.all() {
        line("header", format!("{name}: {what}"));
    }
    if let Some(signer) = config.headers.signer() {
        line("signature", format!("{} over every request, keyid {}", signer.algorithm().name(), signer.key_id()));
    }
    for warning in &config.warnings {
        line("warning", warning.clone());
    }
    text
}

/// What a logout does at an IdP.
fn logout_line(idp: &IdentityProvider, sp: &ServiceProvider) -> String {
    let here = "a logout ends the session here, and the next visit may sign the user in without a question";
    if sp.signing_key().is_none() {
        return format!("no logouts: there is no key to sign them with; {here}");
    }
    let mut bindings: Vec<_> = idp.slo.iter().map(|service| binding(service.binding)).collect();
    bindings.dedup();
    if bindings.is_empty() {
        return format!("no logout service in its metadata (SingleLogoutService by Redirect or POST): {here}");
    }
    format!("logouts by {}", bindings.join(" or "))
}

fn binding(binding: Binding) -> &'static str {
    match binding {
        Binding::Redirect => "Redirect",
        Binding::Post => "POST",
    }
}

fn certificate_line(certificate: &TrustedCertificate, now: Timestamp) -> String {
    let kind = match certificate.kind {
        KeyKind::Rsa(bits) => format!("RSA {bits}"),
        KeyKind::Ec(bits) => format!("EC P-{bits}"),
    };
    let days = (certificate.not_after - now.unix()).div_euclid(24 * 3600);
    match days {
        ..0 => format!("key {kind}: its certificate ended {} days ago (the key is still trusted)", -days),
        0..=SOON_DAYS => format!("key {kind}: its certificate ends in {days} days; ask the IdP for its next one"),
        _ => format!("key {kind}: its certificate ends in {days} days"),
    }
}

fn allow(allow: &Allow) -> String {
    match allow {
        Allow::Anyone => "anyone".to_owned(),
        Allow::SignedIn => "signed in".to_owned(),
        Allow::Nobody => "nobody".to_owned(),
        Allow::Members { roles, groups, users, tenants } => {
            let kinds = [("roles", roles), ("groups", groups), ("users", users), ("tenants", tenants)];
            let kinds = kinds.iter().filter(|(_, members)| !members.is_empty());
            kinds.map(|(kind, members)| format!("{kind} {}", members.join(", "))).collect::<Vec<_>>().join("; or ")
        }
    }
}
