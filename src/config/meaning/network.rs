//! `[listen]` and `[upstream]`.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::Work;
use crate::config::problems::Report;
use crate::config::sections::{ListenSection, UpstreamSection};
use crate::proxy::settings::{Address, ListenSettings, UpstreamSettings, UpstreamUrl};
use crate::public_url::{PublicUrl, port, without_user};

/// `[listen]`.
pub(super) fn listen(section: &ListenSection, site: Option<&PublicUrl>, work: &mut Work<'_>) -> Option<ListenSettings> {
    let address = address(&section.address, work);
    let ops_address = ops_address(&section.ops_address, work.report);
    if let (Some(Address::Tcp(one)), Some(Some(other))) = (&address, ops_address)
        && one.port() == other.port()
        && one.port() != 0
    {
        work.report.problem("listen.ops_address", "has the port of listen.address; take another one");
    }
    let tls = work.tls("listen", section.certificate.as_deref(), [section.key.as_deref(), section.key_file.as_deref()]);
    let trusted_proxies = trusted_proxies(&section.trusted_proxies, work.report);
    if section.workers > 1024 {
        work.report.problem("listen.workers", "is more than 1024; 0 takes one a core");
    }
    let wants_tls = section.certificate.is_some();
    match site.map(PublicUrl::is_https) {
        Some(false) if wants_tls => {
            work.report.warning("listen.certificate", "is set, but public_url is http: users are sent to http addresses");
        }
        Some(true) if !wants_tls && section.trusted_proxies.is_empty() => {
            let what = "is empty, and there is no listen.certificate: name the proxy that ends TLS, or every client is logged under \
                        the proxy's address";
            work.report.warning("listen.trusted_proxies", what);
        }
        _ => {}
    }
    Some(ListenSettings { address: address?, ops_address: ops_address?, tls, trusted_proxies, workers: section.workers })
}

fn address(text: &str, work: &mut Work<'_>) -> Option<Address> {
    if let Some(path) = text.strip_prefix("unix:") {
        if path.is_empty() {
            work.report.problem("listen.address", "names no socket; write \"unix:/run/samlgate.sock\"");
        }
        return Some(Address::Unix(work.resolve(path)));
    }
    let wrong = |_| format!("{text:?} is neither IP and port, such as \"0.0.0.0:8080\", nor \"unix:/run/samlgate.sock\"");
    work.report.take("listen.address", text.parse().map(Address::Tcp).map_err(wrong))
}

fn ops_address(text: &str, report: &mut Report) -> Option<Option<SocketAddr>> {
    if text == "off" {
        return Some(None);
    }
    let wrong = |_| format!("{text:?} is neither IP and port, such as \"127.0.0.1:9090\", nor \"off\"");
    let address: SocketAddr = report.take("listen.ops_address", text.parse().map_err(wrong))?;
    if !address.ip().is_loopback() {
        report.warning(
            "listen.ops_address",
            format!("{address} can be reached from other machines: let nobody but probes and scrapers near it, since it can end sessions"),
        );
    }
    Some(Some(address))
}

fn trusted_proxies(list: &[String], report: &mut Report) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for (at, text) in list.iter().enumerate() {
        let key = format!("listen.trusted_proxies.{at}");
        let parsed = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        let wrong = |_| format!("{text:?} is not a network; write it as \"10.0.0.0/8\", or an address as \"10.0.0.7\"");
        let Some(network) = report.take(&key, parsed.map_err(wrong)) else { continue };
        if network.prefix_len() == 0 {
            report.warning(&key, "trusts everybody to say who the client is");
        }
        networks.push(network.trunc());
    }
    networks
}

/// `[upstream]`.
pub(super) fn upstream(section: &UpstreamSection, work: &mut Work<'_>) -> Option<UpstreamSettings> {
    let url = upstream_url(section.url.as_deref(), work);
    let secure_only = [
        ("ca", section.ca.is_some()),
        ("certificate", section.certificate.is_some()),
        ("key", section.key.is_some()),
        ("key_file", section.key_file.is_some()),
        ("server_name", section.server_name.is_some()),
    ];
    if matches!(url, Some(UpstreamUrl::Http { .. } | UpstreamUrl::Unix(_))) {
        for (key, _) in secure_only.iter().filter(|(_, set)| *set) {
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

fn upstream_url(text: Option<&str>, work: &mut Work<'_>) -> Option<UpstreamUrl> {
    const KEY: &str = "upstream.url";
    let Some(text) = text else {
        work.report.problem(KEY, "is required; say where the application is, such as \"http://127.0.0.1:3000\"");
        return None;
    };
    if let Some(path) = text.strip_prefix("unix:") {
        if path.is_empty() {
            work.report.problem(KEY, "names no socket; write \"unix:/run/app.sock\"");
        }
        return Some(UpstreamUrl::Unix(work.resolve(path)));
    }
    if text.starts_with("h2c://") {
        work.report.problem(KEY, "h2c is not available in this version; use http");
        return None;
    }
    let mut wrong = |what: &str| {
        work.report.problem(KEY, format!("{:?} {what}", without_user(text)));
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
        Some("https") => Some(UpstreamUrl::Https { host, port: port.unwrap_or(443) }),
        _ => wrong("has another scheme than http, https or unix"),
    }
}

/// An upstream that is samlgate itself would go round until something breaks, or show everybody what is for operators.
pub(super) fn must_not_call_itself(listen: Option<&ListenSettings>, upstream: Option<&UpstreamSettings>, report: &mut Report) {
    let (Some(listen), Some(upstream)) = (listen, upstream) else { return };
    let same = match (&listen.address, &upstream.url) {
        (Address::Tcp(address), url) => leads_to(url, *address),
        (Address::Unix(socket), UpstreamUrl::Unix(path)) => socket == path,
        _ => false,
    };
    if same {
        report.problem("upstream.url", "is listen.address: samlgate would call itself; the application needs another port");
    } else if listen.ops_address.is_some_and(|address| leads_to(&upstream.url, address)) {
        let what = "is listen.ops_address: whoever is signed in could end sessions of others; the application needs another port";
        report.problem("upstream.url", what);
    }
}

/// Whether an upstream is a TCP address of ours.
fn leads_to(url: &UpstreamUrl, address: SocketAddr) -> bool {
    let (UpstreamUrl::Http { host, port } | UpstreamUrl::Https { host, port }) = url else { return false };
    let (ours, host) = (address.ip().to_canonical(), host.trim_end_matches('.').to_ascii_lowercase());
    let ip = host.trim_matches(['[', ']']).parse::<IpAddr>().map(|ip| ip.to_canonical()).ok();
    // To connect to 0.0.0.0 is to connect to this machine.
    let is_loopback =
        host == "localhost" || host.ends_with(".localhost") || ip.is_some_and(|ip| ip.is_loopback() || ip.is_unspecified());
    *port == address.port() && (ip == Some(ours) || (is_loopback && (ours.is_loopback() || ours.is_unspecified())))
}
