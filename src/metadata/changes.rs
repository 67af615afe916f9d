//! What operators must know of keys: which came and went, and which end soon.

use tracing::{info, warn};

use crate::clock::Timestamp;
use crate::login::Login;
use crate::saml::keys::fingerprint;
use crate::saml::{IdentityProvider, TrustedCertificate};

/// Shorter than this until a certificate ends is warned about, in days.
const SOON: i64 = 30;
const DAY: i64 = 86_400;

/// Fingerprints of the certificates that are in `new` and not in `old`.
fn added(old: &[TrustedCertificate], new: &[TrustedCertificate]) -> Vec<String> {
    new.iter().filter(|certificate| !old.contains(certificate)).map(TrustedCertificate::fingerprint).collect()
}

/// Says what changed when an IdP's metadata did, or what it is when there was none before.
pub(super) fn tell(old: Option<&IdentityProvider>, new: &IdentityProvider, origin: &str, now: Timestamp) {
    let before = old.map(|idp| idp.anchors.certificates()).unwrap_or_default();
    let after = new.anchors.certificates();
    let (keys_added, keys_removed) = (added(before, after).join(" "), added(after, before).join(" "));
    let endpoints_changed = old.is_some_and(|old| old.sso != new.sso || old.slo != new.slo);
    let valid_until = new.valid_until.map(|until| until.to_string());
    let what =
        if old.is_some() { "the identity provider's metadata has changed" } else { "the identity provider's metadata was read" };
    info!(
        event = "metadata_changed",
        idp = new.id,
        entity_id = new.entity_id,
        from = origin,
        keys = after.len(),
        keys_added,
        keys_removed,
        endpoints_changed,
        valid_until,
        "{what}"
    );
    for warning in &new.warnings {
        warn!(event = "metadata_warning", idp = new.id, "{warning}");
    }
    for certificate in after.iter().filter(|certificate| !before.contains(certificate)) {
        warn_of_end("an identity provider", Some(&new.id), &certificate.fingerprint(), certificate.not_after, now);
    }
}

/// Warns of all certificates that have ended or will within 30 days: those of the IdPs and our own. To be called daily.
pub fn warn_of_ends(login: &Login, now: Timestamp) {
    for idp in login.idps().iter() {
        for certificate in idp.anchors.certificates() {
            warn_of_end("an identity provider", Some(&idp.id), &certificate.fingerprint(), certificate.not_after, now);
        }
        if let Some(until) = idp.valid_until.filter(|until| until.unix() - now.unix() < DAY) {
            let valid_until = until.to_string();
            warn!(event = "metadata_ends", idp = idp.id, valid_until, "the identity provider's metadata ends soon, or has ended");
        }
    }
    for key in &login.service_provider().keys {
        if let Some(end) = key.not_after() {
            warn_of_end("samlgate (sp.keys)", None, &fingerprint(key.certificate()), end, now);
        }
    }
}

fn warn_of_end(whose: &str, idp: Option<&str>, fingerprint: &str, end: i64, now: Timestamp) {
    let days = end.saturating_sub(now.unix()).div_euclid(DAY);
    if days < SOON {
        let ends = Timestamp::from_unix(end).to_string();
        warn!(event = "certificate_ends", idp, fingerprint, ends, days, "a certificate of {whose} ends soon, or has ended");
    }
}
