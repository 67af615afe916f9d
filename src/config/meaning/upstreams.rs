//! `[upstream]`, and `upstream` of `[[access]]`: where the applications are.

use std::net::{IpAddr, SocketAddr};

use super::Work;
use crate::config::problems::Report;
use crate::config::sections::{File, UpstreamSection};
use crate::proxy::settings::{Address, ListenSettings, UpstreamSettings, UpstreamUrl};
use crate::public_url::{port, without_user};

/// All applications that are named. A rule's place among them is its `application`.
pub(super) struct Applications {
    /// `[upstream]`'s.
    pub(super) main: Option<UpstreamSettings>,
    /// Those of single paths.
    pub(super) others: Vec<UpstreamSettings>,
    /// For each `[[access]]`, which of them: 0 is `[upstream]`'s.
    pub(super) of_rules: Vec<usize>,
}

/// `[upstream]`, and `upstream` of every `[[access]]`. What `[upstream]` says besides its address holds for all of them, but for the
/// name in the certificate.
pub(super) fn all(file: &File, listen: Option<&ListenSettings>, work: &mut Work<'_>) -> Applications {
    let named = || file.access.iter().filter_map(|rule| rule.upstream.as_deref());
    let main = main(&file.upstream, named().any(|url| url.to_ascii_lowercase().starts_with("https:")), work);
    must_not_call_itself(listen, main.as_ref().map(|main| &main.url), "upstream.url", work.report);
    let mut others: Vec<UpstreamSettings> = Vec::new();
    let mut of_rules = Vec::new();
    for (at, rule) in file.access.iter().enumerate() {
        let key = format!("access.{at}.upstream");
        let url = rule.upstream.as_deref().and_then(|text| url(text, &key, work));
        must_not_call_itself(listen, url.as_ref(), &key, work.report);
        let (Some(url), Some(main)) = (url, &main) else {
            of_rules.push(0);
            continue;
        };
        let known = std::iter::once(main).chain(&others).position(|known| known.url == url);
        of_rules.push(known.unwrap_or_else(|| {
            others.push(UpstreamSettings { url, server_name: None, ..main.clone() });
            others.len()
        }));
    }
    Applications { main, others, of_rules }
}

fn main(section: &UpstreamSection, others_have_tls: bool, work: &mut Work<'_>) -> Option<UpstreamSettings> {
    const KEY: &str = "upstream.url";
    let url = match &section.url {
        Some(text) => url(text, KEY, work),
        None => {
            work.report.problem(KEY, "is required; say where the application is, such as \"http://127.0.0.1:3000\"");
            None
        }
    };
    let secure_only = [
        ("ca", section.ca.is_some()),
        ("certificate", section.certificate.is_some()),
        ("key", section.key.is_some()),
        ("key_file", section.key_file.is_some()),
        ("server_name", section.server_name.is_some()),
    ];
    if matches!(url, Some(UpstreamUrl::Http { .. } | UpstreamUrl::H2c { .. } | UpstreamUrl::Unix(_))) {
        for (key, _) in secure_only.iter().filter(|(key, set)| *set && (*key == "server_name" || !others_have_tls)) {
            work.report
                .problem(format!("upstream.{key}"), "has no meaning without TLS; take it away, or use an https upstream.url");
        }
    }
    let ca = section.ca.as_ref().map(|name| {
        if let Some(pem) = work.read("upstream.ca", name) {
            work.certificates("upstream.ca", &pem);
        }
        work.resolve(name)
    });
    let client_certificate =
        work.tls("upstream", section.certificate.as_deref(), [section.key.as_deref(), section.key_file.as_deref()]);
    if let Some(name) = &section.server_name
        && rustls_pki_types::ServerName::try_from(name.as_str()).is_err()
    {
        work.report.problem("upstream.server_name", format!("{name:?} is no host name"));
    }
    for (key, span) in [
        ("connect_timeout", &section.connect_timeout),
        ("response_timeout", &section.response_timeout),
        ("idle_timeout", &section.idle_timeout),
    ] {
        if span.get().is_zero() {
            work.report.problem(format!("upstream.{key}"), "is zero: nothing would ever be in time");
        }
    }
    if section.max_body.get() == Some(0) {
        work.report.problem("upstream.max_body", "is zero: no request could have a body; write \"unlimited\" for no limit");
    }
    Some(UpstreamSettings {
        url: url?,
        preserve_host: section.preserve_host,
        connect_timeout: section.connect_timeout.get(),
        response_timeout: section.response_timeout.get(),
        idle_timeout: section.idle_timeout.get(),
        ca,
        client_certificate,
        server_name: section.server_name.clone(),
        max_body: section.max_body.get(),
    })
}

fn url(text: &str, key: &str, work: &mut Work<'_>) -> Option<UpstreamUrl> {
    if let Some(path) = text.strip_prefix("unix:") {
        if path.is_empty() {
            work.report.problem(key, "names no socket; write \"unix:/run/app.sock\"");
        }
        return Some(UpstreamUrl::Unix(work.resolve(path)));
    }
    let mut wrong = |what: &str| {
        work.report.problem(key, format!("{:?} {what}", without_user(text)));
        None
    };
    let uri = match text.parse::<http::Uri>() {
        Ok(uri) if uri.authority().is_some_and(|authority| !authority.host().is_empty()) => uri,
        _ => return wrong("is no address; write \"http://127.0.0.1:3000\", \"https://host\" or \"unix:/run/app.sock\""),
    };
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return wrong("has a user name in it; samlgate logs in to no application");
    }
    if uri.path() != "/" || uri.query().is_some() || text.contains('#') {
        return wrong("has a path; the application gets the path that the user asked for, so write scheme, host and port only");
    }
    let Ok(port) = port(uri.authority()?) else {
        return wrong("has no port after the colon; it must be a number from 1 to 65535");
    };
    let host = uri.host()?.to_owned();
    match uri.scheme_str() {
        Some("http") => Some(UpstreamUrl::Http { host, port: port.unwrap_or(80) }),
        Some("h2c") => Some(UpstreamUrl::H2c { host, port: port.unwrap_or(80) }),
        Some("https") => Some(UpstreamUrl::Https { host, port: port.unwrap_or(443) }),
        _ => wrong("has another scheme than http, https, h2c or unix"),
    }
}

/// An upstream that is samlgate itself would go round until something breaks, or show everybody what is for operators.
fn must_not_call_itself(listen: Option<&ListenSettings>, url: Option<&UpstreamUrl>, key: &str, report: &mut Report) {
    let (Some(listen), Some(url)) = (listen, url) else { return };
    let same = match (&listen.address, url) {
        (Address::Tcp(address), url) => leads_to(url, *address),
        (Address::Unix(socket), UpstreamUrl::Unix(path)) => socket == path,
        _ => false,
    };
    if same {
        report.problem(key, "is listen.address: samlgate would call itself; the application needs another port");
    } else if listen.ops_address.is_some_and(|address| leads_to(url, address)) {
        let what = "is listen.ops_address: whoever is signed in could end sessions of others; the application needs another port";
        report.problem(key, what);
    }
}

/// Whether an upstream is a TCP address of ours.
fn leads_to(url: &UpstreamUrl, address: SocketAddr) -> bool {
    let (UpstreamUrl::Http { host, port } | UpstreamUrl::H2c { host, port } | UpstreamUrl::Https { host, port }) = url else {
        return false;
    };
    let (ours, host) = (address.ip().to_canonical(), host.trim_end_matches('.').to_ascii_lowercase());
    let ip = host.trim_matches(['[', ']']).parse::<IpAddr>().map(|ip| ip.to_canonical()).ok();
    // To connect to 0.0.0.0 is to connect to this machine.
    let is_loopback =
        host == "localhost" || host.ends_with(".localhost") || ip.is_some_and(|ip| ip.is_loopback() || ip.is_unspecified());
    *port == address.port() && (ip == Some(ours) || (is_loopback && (ours.is_loopback() || ours.is_unspecified())))
}
