//! Keys that later versions fill: refused, never silently ignored.

use crate::config::problems::Report;
use crate::config::sections::{EmailConflict, File, FirstLogin, LocalAllow, ProvisioningMode, StorageKind};

/// Refuses whatever is set and would have no effect.
pub(super) fn refuse(file: &File, report: &mut Report) {
    let mut set = |key: &str, is_set: bool, advice: &str| {
        if is_set {
            report.problem(key, format!("is not available in this version; {advice}"));
        }
    };
    const AWAY: &str = "take it away";
    let storage = &file.storage;
    set("storage.kind", storage.kind != StorageKind::Memory, "use \"memory\"");
    set("storage.url", storage.url.is_some() || storage.url_file.is_some(), AWAY);
    set("storage.encryption_key", storage.encryption_key.is_some() || storage.encryption_key_file.is_some(), AWAY);
    set("storage.cache_staleness", storage.cache_staleness != File::default().storage.cache_staleness, AWAY);
    let provisioning = &file.provisioning;
    set("provisioning.mode", provisioning.mode != ProvisioningMode::LoginOnly, "use \"login-only\"");
    set("provisioning.first_login", provisioning.first_login != FirstLogin::Any, "use \"any\"");
    set("provisioning.scim_tokens", !provisioning.scim_tokens.is_empty(), AWAY);
    set("provisioning.email_conflict", provisioning.email_conflict != EmailConflict::Refuse, "use \"refuse\"");
    set("local_login.allow", file.local_login.allow != LocalAllow::Off, "use \"off\"");
    set("local_login.networks", !file.local_login.networks.is_empty(), AWAY);
    set("local_user", !file.local_user.is_empty(), AWAY);
    set("admin.roles", !file.admin.roles.is_empty(), AWAY);
    set("telemetry.otlp_endpoint", !file.telemetry.otlp_endpoint.is_empty(), "leave it empty");
}
