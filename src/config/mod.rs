//! Files and environment become a [`Config`] that cannot be wrong: all mistakes are reported at once.

mod document;
mod known;
mod meaning;
mod problems;
mod read;
mod sections;
mod source;
mod units;

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use known::schema;
pub use problems::{Problem, Problems};

use crate::access::Rule;
use crate::clock::Timestamp;
use crate::identity::headers::HeaderPlan;
use crate::identity::mapping::Mapping;
use crate::metadata::Source;
use crate::proxy::settings::{ListenSettings, UpstreamSettings};
use crate::public_url::PublicUrl;
use crate::return_path::ReturnPath;
use crate::saml::{IdentityProvider, ServiceProvider};
use crate::session::SessionSettings;
use problems::Report;

/// A configuration that holds: every file was read, every key is usable, nothing contradicts itself.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it was read from; `None`: from the environment alone.
    pub file: Option<PathBuf>,
    /// The site.
    pub public_url: PublicUrl,
    /// Where samlgate's own endpoints are: begins with a slash, doesn't end with one.
    pub prefix: String,
    /// Where embedded state lives.
    pub data_dir: Option<PathBuf>,
    /// `[listen]`.
    pub listen: ListenSettings,
    /// `[upstream]`.
    pub upstream: UpstreamSettings,
    /// What single `[[access]]` paths name instead: a rule's application 1 is the first of them.
    pub other_upstreams: Vec<UpstreamSettings>,
    /// `[sp]`.
    pub service_provider: ServiceProvider,
    /// Every `[[idp]]` whose metadata is in the configuration or in a file.
    pub identity_providers: Vec<IdentityProvider>,
    /// Where the metadata of IdPs is that is fetched (they aren't among `identity_providers`) or read again from a file.
    pub metadata_sources: Vec<Source>,
    /// Short names of all IdPs, at least one, in order.
    pub idp_order: Vec<String>,
    /// `[identity]`.
    pub mapping: Mapping,
    /// `[headers]`.
    pub headers: HeaderPlan,
    /// `[headers.assertion]`.
    pub assertion: AssertionSettings,
    /// `[session]`.
    pub session: SessionSettings,
    /// Name of the session cookie.
    pub session_cookie: String,
    /// `[[access]]`.
    pub rules: Vec<Rule>,
    /// Where a user lands after logging out.
    pub logout_return_to: ReturnPath,
    /// `[log]`.
    pub log: LogSettings,
    /// What works and is better done otherwise; to be shown at every start. Each begins with its key.
    pub warnings: Vec<String>,
}

/// `[headers.assertion]`, but for the header's name.
#[derive(Clone, PartialEq, Eq)]
pub struct AssertionSettings {
    /// EC P-256 private key, PEM, known to be good; `None`: one must be made.
    pub key_pem: Option<Vec<u8>>,
    /// `aud`.
    pub audience: String,
    /// `exp - iat`.
    pub lifetime: Duration,
}

impl fmt::Debug for AssertionSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (audience, lifetime) = (&self.audience, &self.lifetime);
        f.debug_struct("AssertionSettings").field("audience", audience).field("lifetime", lifetime).finish_non_exhaustive()
    }
}

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// Form.
    pub format: LogFormat,
    /// A level, or directives of tracing's EnvFilter, known to be good.
    pub level: String,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Reads the configuration: defaults, then the file (`path`, or `SAMLGATE_CONFIG`, `./samlgate.toml`,
/// `/etc/samlgate/samlgate.toml`), then `SAMLGATE_<KEY>` of the environment. `now` is for the dates in metadata and certificates.
///
/// # Errors
/// All mistakes, each with its key path and how to fix it.
pub fn load(
    path: Option<&Path>,
    environment: impl Iterator<Item = (OsString, OsString)>,
    now: Timestamp,
) -> Result<Config, Problems> {
    let mut report = Report::default();
    let config = source::read(path, environment, &mut report).and_then(|mut source| {
        let file = read::sections(&mut source, &mut report);
        meaning::of(file, &source, now, &mut report)
    });
    let warnings = report.finish()?;
    config.map(|config| Config { warnings, ..config }).ok_or_else(Problems::unknown)
}

impl Config {
    /// Every URL at which this IdP may post responses to us, the published one first.
    pub fn acs_urls(&self, idp: &IdentityProvider) -> Vec<String> {
        crate::login::acs_urls(&self.service_provider, &self.public_url, &self.prefix, &idp.id)
    }

    /// Every URL of our single logout service, the published one first; with `soap`, those for the back channel before them.
    pub fn slo_urls(&self, soap: bool) -> Vec<String> {
        crate::login::slo_urls(&self.service_provider, &self.public_url, &self.prefix, soap)
    }
}

#[cfg(test)]
mod tests;
