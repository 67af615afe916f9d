//! `[listen]`.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::Work;
use crate::config::problems::Report;
use crate::config::sections::ListenSection;
use crate::proxy::settings::{Address, ListenSettings};
use crate::public_url::PublicUrl;

/// The address of whoever comes by a unix socket.
const LOCAL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// `[listen]`.
pub(super) fn of(section: &ListenSection, site: Option<&PublicUrl>, work: &mut Work<'_>) -> Option<ListenSettings> {
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
    if section.forward_auth.is_none() && !section.trusted_proxies.is_empty() {
        let what = "isn't set: trusted proxies may ask at /auth, and a page's scripts may through them, which shows them their user's \
                    assertion; write false where samlgate forwards, and true where a proxy asks";
        work.report.warning("listen.forward_auth", what);
    }
    if section.proxy_protocol
        && matches!(address, Some(Address::Unix(_)))
        && !trusted_proxies.iter().any(|net| net.contains(&LOCAL))
    {
        work.report.problem(
            "listen.proxy_protocol",
            "needs 127.0.0.1 in listen.trusted_proxies: whoever opens the unix socket has this address",
        );
    }
    if section.proxy_protocol && section.trusted_proxies.is_empty() {
        work.report.problem("listen.proxy_protocol", "needs listen.trusted_proxies: name the balancers that send the header");
    }
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
    Some(ListenSettings {
        address: address?,
        ops_address: ops_address?,
        tls,
        trusted_proxies,
        forward_auth: section.forward_auth.unwrap_or(true),
        proxy_protocol: section.proxy_protocol,
        workers: section.workers,
    })
}

fn address(text: &str, work: &mut Work<'_>) -> Option<Address> {
    if text == "systemd" {
        return Some(Address::Systemd);
    }
    if let Some(path) = text.strip_prefix("unix:") {
        if path.is_empty() {
            work.report.problem("listen.address", "names no socket; write \"unix:/run/samlgate.sock\"");
        }
        return Some(Address::Unix(work.resolve(path)));
    }
    let wrong =
        |_| format!("{text:?} is neither IP and port, such as \"0.0.0.0:8080\", \"unix:/run/samlgate.sock\" nor \"systemd\"");
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
