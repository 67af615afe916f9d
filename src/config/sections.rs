//! The file as it is written: one struct per section, no meaning yet. The doc comments are the documentation of the keys, in the
//! JSON schema and so in editors too.

mod headers;
mod identity;
mod later;
mod network;
mod saml;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(super) use headers::{HeadersSection, SignatureAlgorithm};
pub(super) use identity::{FieldSection, IdentitySection, TransformWord};
pub(super) use later::{
    AdminSection, EmailConflict, FirstLogin, LocalAllow, LocalLoginSection, LocalUserSection, ProvisioningMode,
    ProvisioningSection, StorageKind, StorageSection, TelemetrySection,
};
pub(super) use network::{ListenSection, UpstreamSection};
pub(super) use saml::{IdpInitiatedWord, IdpSection, RequestBindingWord, ResponseBindingWord, SpSection};

use super::units::{SizeLimit, Span};

/// The configuration of samlgate. Durations are "90s", "15m", "12h", "30d"; sizes "256KiB"; file names are relative to the
/// configuration file.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct File {
    /// Required: scheme, host and port as users see them, such as https://reports.example.com.
    pub(super) public_url: Option<String>,
    /// Where embedded state lives, such as a generated key of the assertion.
    pub(super) data_dir: Option<String>,
    /// All of samlgate's own endpoints are under this path.
    pub(super) prefix: String,
    /// Where samlgate listens.
    pub(super) listen: ListenSection,
    /// The application.
    pub(super) upstream: UpstreamSection,
    /// samlgate as a SAML service provider.
    pub(super) sp: SpSection,
    /// Identity providers; at least one.
    pub(super) idp: Vec<IdpSection>,
    /// How an assertion becomes an identity.
    pub(super) identity: IdentitySection,
    /// How the application gets the identity.
    pub(super) headers: HeadersSection,
    /// How long a login lasts.
    pub(super) session: SessionSection,
    /// Where sessions are kept.
    pub(super) storage: StorageSection,
    /// Who may pass. The first match decides; without a match: whoever is signed in.
    pub(super) access: Vec<AccessSection>,
    /// Users and groups that samlgate keeps itself.
    pub(super) provisioning: ProvisioningSection,
    /// Logins without an IdP.
    pub(super) local_login: LocalLoginSection,
    /// Users of such logins.
    pub(super) local_user: Vec<LocalUserSection>,
    /// The admin pages.
    pub(super) admin: AdminSection,
    /// Logging out.
    pub(super) logout: LogoutSection,
    /// The log, on standard error.
    pub(super) log: LogSection,
    /// Traces.
    pub(super) telemetry: TelemetrySection,
}

impl Default for File {
    fn default() -> Self {
        Self {
            public_url: None,
            data_dir: None,
            prefix: "/_samlgate".to_owned(),
            listen: ListenSection::default(),
            upstream: UpstreamSection::default(),
            sp: SpSection::default(),
            idp: Vec::new(),
            identity: IdentitySection::default(),
            headers: HeadersSection::default(),
            session: SessionSection::default(),
            storage: StorageSection::default(),
            access: Vec::new(),
            provisioning: ProvisioningSection::default(),
            local_login: LocalLoginSection::default(),
            local_user: Vec::new(),
            admin: AdminSection::default(),
            logout: LogoutSection::default(),
            log: LogSection::default(),
            telemetry: TelemetrySection::default(),
        }
    }
}

/// How long a login lasts.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct SessionSection {
    /// Without a request for so long it ends.
    pub(super) idle_timeout: Span,
    /// It never lives longer, and never longer than the IdP says.
    pub(super) lifetime: Span,
    /// Name of the session cookie. Default: __Host-samlgate with https, samlgate without.
    pub(super) cookie: Option<String>,
    /// Sessions per user; 0: no limit, else the oldest ends.
    pub(super) max_per_user: usize,
}

impl Default for SessionSection {
    fn default() -> Self {
        Self { idle_timeout: Span::seconds(3600), lifetime: Span::seconds(12 * 3600), cookie: None, max_per_user: 0 }
    }
}

/// One rule. Either allow, or lists of which one must fit.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct AccessSection {
    /// Exact, or * within and ** across segments; compared with the normalised path, never with the query.
    pub(super) path: String,
    /// Methods; none: all.
    pub(super) methods: Vec<String>,
    /// Whoever it is, whoever is signed in, or nobody.
    pub(super) allow: Option<AllowWord>,
    /// Who has one of these roles.
    pub(super) roles: Vec<String>,
    /// Who is in one of these groups.
    pub(super) groups: Vec<String>,
    /// These users.
    pub(super) users: Vec<String>,
    /// Who belongs to one of these tenants.
    pub(super) tenants: Vec<String>,
    /// The IdP must have asked the user anew within this time; else it is asked to (ForceAuthn).
    pub(super) max_auth_age: Option<Span>,
    /// Authentication context classes, of which the login must have one; else one of them is asked for.
    pub(super) authn_context: Vec<String>,
    /// The id of the IdP that a login begins with here. Sessions from other IdPs pass all the same.
    pub(super) idp: Option<String>,
    /// The largest form that a login keeps, such as "64KiB", when somebody sends one without a session; they must confirm it.
    pub(super) keep_form: Option<SizeLimit>,
    /// Whether a login keeps the #fragment of the address. Browsers then send it to samlgate.
    pub(super) keep_fragment: bool,
    /// Not available in this version: another application for this path.
    pub(super) upstream: Option<String>,
}

/// Whom a rule lets pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum AllowWord {
    /// Everybody, signed in or not.
    Anyone,
    /// Whoever has a session.
    SignedIn,
    /// Nobody.
    Nobody,
}

/// Logging out.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct LogoutSection {
    /// Where a user lands after logging out: a path, or a URL under public_url.
    pub(super) return_to: String,
}

impl Default for LogoutSection {
    fn default() -> Self {
        Self { return_to: "/".to_owned() }
    }
}

/// The log.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct LogSection {
    /// One JSON object a line, or text.
    pub(super) format: LogFormatWord,
    /// error, warn, info, debug or trace, or directives as of tracing's EnvFilter.
    pub(super) level: String,
}

impl Default for LogSection {
    fn default() -> Self {
        Self { format: LogFormatWord::Json, level: "info".to_owned() }
    }
}

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum LogFormatWord {
    /// For programs.
    Json,
    /// For people.
    Text,
}
