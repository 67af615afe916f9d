//! The site itself: its address, its own endpoints, sessions, logout and log.

use tracing_subscriber::EnvFilter;

use super::own_paths;
use crate::config::problems::Report;
use crate::config::sections::{File, LogFormatWord, LogSection, SessionSection};
use crate::config::{LogFormat, LogSettings};
use crate::public_url::{PublicUrl, without_user};
use crate::return_path::ReturnPath;
use crate::session::SessionSettings;

/// `public_url`.
pub(super) fn public_url(file: &File, has_file: bool, report: &mut Report) -> Option<PublicUrl> {
    let Some(text) = &file.public_url else {
        let hint =
            if has_file { "" } else { " (there is no configuration file: give --config, or put samlgate.toml into this folder)" };
        report.problem(
            "public_url",
            format!("is required; set it to the address that users see, such as \"https://reports.example.com\"{hint}"),
        );
        return None;
    };
    let url = report.take("public_url", PublicUrl::parse(text).map_err(|error| format!("{:?} {error}", without_user(text))))?;
    if !url.is_https() && !is_local(&url) {
        report.warning(
            "public_url",
            "is http: whoever listens on the way can take over sessions, and browsers drop the cookie of a login",
        );
    }
    Some(url)
}

fn is_local(url: &PublicUrl) -> bool {
    let host = url.authority().rsplit_once(':').map_or(url.authority(), |(host, _)| host);
    host == "localhost" || host.ends_with(".localhost") || host.starts_with("127.") || host == "[::1]"
}

/// `[session]`, but for the cookie.
pub(super) fn session(section: &SessionSection, report: &mut Report) -> Option<SessionSettings> {
    let (idle_timeout, lifetime) = (section.idle_timeout.get(), section.lifetime.get());
    for (key, value) in [("session.idle_timeout", idle_timeout), ("session.lifetime", lifetime)] {
        if value.as_secs() < 10 {
            report.problem(key, "is too short to log in; take at least \"10s\"");
        }
    }
    if idle_timeout > lifetime {
        report
            .warning("session.idle_timeout", format!("is longer than session.lifetime ({}) and has no effect", section.lifetime));
    }
    Some(SessionSettings { idle_timeout, lifetime, max_per_user: section.max_per_user })
}

/// `session.cookie` (RFC 6265bis 4.1.1, 4.1.3).
pub(super) fn cookie(section: &SessionSection, site: Option<&PublicUrl>, report: &mut Report) -> Option<String> {
    let https = site.map(PublicUrl::is_https);
    let Some(name) = &section.cookie else {
        return Some(if https? { "__Host-samlgate" } else { "samlgate" }.to_owned());
    };
    let token = |octet: u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet);
    let prefixed = name.to_ascii_lowercase().starts_with("__host-") || name.to_ascii_lowercase().starts_with("__secure-");
    if name.is_empty() || name.len() > 64 || !name.bytes().all(token) {
        report.problem("session.cookie", format!("{name:?} is no cookie name; use letters, digits, - and _"));
    } else if prefixed && https == Some(false) {
        report.problem(
            "session.cookie",
            format!("browsers take {name:?} with https only; use \"samlgate\", or an https public_url"),
        );
    } else if !name.starts_with("__Host-") && https == Some(true) {
        report.warning(
            "session.cookie",
            "does not begin with __Host-: other hosts of the same domain can plant a cookie of this name",
        );
    }
    Some(name.clone())
}

/// `logout.return_to`. Its form is judged even when public_url is not known.
pub(super) fn logout_return_to(
    file: &File,
    site: Option<&PublicUrl>,
    prefix: Option<&str>,
    report: &mut Report,
) -> Option<ReturnPath> {
    const KEY: &str = "logout.return_to";
    let text = &file.logout.return_to;
    let absolute = PublicUrl::split(text).ok().filter(|(origin, _)| site.is_none_or(|site| site == origin));
    let (origin, path) = match &absolute {
        Some((origin, "")) => (Some(origin), "/"),
        Some((origin, path)) => (Some(origin), *path),
        None => (site, text.as_str()),
    };
    // A path is judged alike on every site.
    let anywhere = PublicUrl::parse("https://localhost").ok();
    let path = ReturnPath::parse(path, origin.or(anywhere.as_ref())?);
    let Some(path) = path else {
        let what = "is neither a path, such as \"/\", nor a URL under public_url";
        report.problem(KEY, format!("{:?} {what}", without_user(text)));
        return None;
    };
    if own_paths::is_own(path.route(), prefix, [file.sp.acs_url.as_deref(), file.sp.slo_url.as_deref()]) {
        let what = "is samlgate's own, which would log out again or begin a login at once; name a page of the application";
        report.problem(KEY, format!("{text:?} {what}"));
        return None;
    }
    Some(path)
}

/// `[log]`.
pub(super) fn log(section: &LogSection, report: &mut Report) -> Option<LogSettings> {
    let format = match section.format {
        LogFormatWord::Json => LogFormat::Json,
        LogFormatWord::Text => LogFormat::Text,
    };
    // A filter takes any word for the name of a module.
    let level = &section.level;
    let is_level = ["off", "error", "warn", "info", "debug", "trace"].contains(&level.to_ascii_lowercase().as_str());
    if !is_level && (!level.contains('=') || EnvFilter::try_new(level).is_err()) {
        let what = "is no level; use error, warn, info, debug or trace, or directives such as \"info,samlgate::login=debug\"";
        report.problem("log.level", format!("{level:?} {what}"));
    }
    Some(LogSettings { format, level: level.clone() })
}
