//! Sections whose keys are known and of which this version takes only the defaults.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::units::Span;

/// Where sessions are kept.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct StorageSection {
    /// memory in this version.
    pub(in crate::config) kind: StorageKind,
    /// Not available in this version: where redis is.
    pub(in crate::config) url: Option<String>,
    /// The file in which url stands.
    pub(in crate::config) url_file: Option<String>,
    /// Not available in this version: base64 of 32 octets, with which values are sealed.
    pub(in crate::config) encryption_key: Option<String>,
    /// The file in which encryption_key stands.
    pub(in crate::config) encryption_key_file: Option<String>,
    /// How long a replica may believe its own copy when the store is away; has no effect in this version.
    pub(in crate::config) cache_staleness: Span,
}

impl Default for StorageSection {
    fn default() -> Self {
        Self {
            kind: StorageKind::Memory,
            url: None,
            url_file: None,
            encryption_key: None,
            encryption_key_file: None,
            cache_staleness: Span::seconds(2),
        }
    }
}

/// Kind of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum StorageKind {
    /// In the process.
    Memory,
    /// A file in data_dir.
    Sqlite,
    /// Shared by replicas.
    Redis,
}

/// Users and groups that samlgate keeps itself.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct ProvisioningSection {
    /// login-only in this version.
    pub(in crate::config) mode: ProvisioningMode,
    /// any in this version.
    pub(in crate::config) first_login: FirstLogin,
    /// Not available in this version: hashes of SCIM tokens.
    pub(in crate::config) scim_tokens: Vec<String>,
    /// refuse in this version.
    pub(in crate::config) email_conflict: EmailConflict,
}

impl Default for ProvisioningSection {
    fn default() -> Self {
        Self {
            mode: ProvisioningMode::LoginOnly,
            first_login: FirstLogin::Any,
            scim_tokens: Vec::new(),
            email_conflict: EmailConflict::Refuse,
        }
    }
}

/// Who makes users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::config) enum ProvisioningMode {
    /// Nobody: a user is what the assertion says.
    LoginOnly,
    /// The first login.
    Jit,
    /// A SCIM client.
    Scim,
}

/// Where a user's first login must begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::config) enum FirstLogin {
    /// Anywhere.
    Any,
    /// At the IdP.
    IdpInitiated,
}

/// What becomes of one mail address under two subjects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum EmailConflict {
    /// The second is refused.
    Refuse,
    /// They are one user.
    Link,
}

/// Logins without an IdP.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct LocalLoginSection {
    /// off in this version.
    pub(in crate::config) allow: LocalAllow,
    /// Not available in this version: from which networks.
    pub(in crate::config) networks: Vec<String>,
}

impl Default for LocalLoginSection {
    fn default() -> Self {
        Self { allow: LocalAllow::Off, networks: Vec::new() }
    }
}

/// Who may log in locally.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::config) enum LocalAllow {
    /// Nobody.
    Off,
    /// Users marked break_glass.
    BreakGlass,
    /// All local users.
    All,
}

/// Not available in this version: a local user.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct LocalUserSection {
    /// The user's name.
    pub(in crate::config) name: Option<String>,
    /// argon2id string.
    pub(in crate::config) password_hash: Option<String>,
    /// The file in which password_hash stands.
    pub(in crate::config) password_hash_file: Option<String>,
    /// TOTP secret.
    pub(in crate::config) totp_secret: Option<String>,
    /// The file in which totp_secret stands.
    pub(in crate::config) totp_secret_file: Option<String>,
    /// Role.
    pub(in crate::config) role: Option<String>,
    /// Whether the user is for emergencies.
    pub(in crate::config) break_glass: bool,
}

/// The admin pages.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct AdminSection {
    /// Not available in this version: roles that see the admin pages.
    pub(in crate::config) roles: Vec<String>,
}

/// Traces.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct TelemetrySection {
    /// Not available in this version: where traces go by OTLP.
    pub(in crate::config) otlp_endpoint: String,
}
