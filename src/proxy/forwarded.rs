//! Where a request comes from: what is known, what trusted proxies say, and what the application is told.

use std::net::{IpAddr, SocketAddr};

use http::header::{FORWARDED, HeaderName};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue};
use ipnet::IpNet;

use super::hop_by_hop::tokens;
use super::request_head::Head;
use crate::identity::headers::write_line;
use crate::public_url::PublicUrl;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Its address; loopback for a unix socket.
    pub(crate) address: IpAddr,
    /// Whether it speaks TLS with us.
    pub(crate) tls: bool,
}

/// Where a request comes from, and the headers that say so.
#[derive(Clone, Debug)]
pub(crate) struct Provenance {
    /// The client, through trusted proxies when there are any.
    pub(crate) client: IpAddr,
    /// Whether the client came by TLS: to us, or to a trusted proxy.
    pub(crate) secure: bool,
    /// The header lines, as octets.
    lines: Vec<u8>,
}

impl Provenance {
    /// Finds out. From a peer that isn't trusted, nothing is believed. From a trusted one: the addresses of
    /// `X-Forwarded-For` (or, without any such header, `Forwarded`) from the right, up to the first that isn't a trusted proxy itself; what
    /// stands left of that is the client's own claim and dropped. Scheme and host likewise from the right.
    ///
    /// `host` is the request's authority. `None`: a value can't be put in a header (it can't happen with a valid authority).
    pub(crate) fn of(peer: Peer, headers: &HeaderMap, host: &str, trusted: &[IpNet], public_url: &PublicUrl) -> Option<Self> {
        let is_trusted = |address: IpAddr| trusted.iter().any(|net| net.contains(&address));
        let mut client = peer.address;
        let mut chain = vec![peer.address];
        let mut said_proto = None;
        let mut said_host = None;
        let mut prefix = None;
        if is_trusted(peer.address) {
            let said = Said::read(headers);
            for address in said.addresses {
                let Some(address) = address else { break };
                chain.push(address);
                client = address;
                if !is_trusted(address) {
                    break;
                }
            }
            (said_proto, said_host) = (said.https, said.host);
            // An application may put it before a path that it redirects to: `//host` would lead away.
            let is_path = |value: &&HeaderValue| value.as_bytes().starts_with(b"/") && !value.as_bytes().starts_with(b"//");
            prefix = headers.get(PREFIX).filter(is_path).cloned();
        }
        let secure = said_proto.unwrap_or(peer.tls);
        let host = said_host.as_deref().unwrap_or(host);
        // Without a word from a proxy, `public_url` knows how users come.
        let https = secure || (said_proto.is_none() && public_url.is_https() && public_url.is_authority(host));
        let port = host.parse::<Authority>().ok().and_then(|host| host.port_u16()).unwrap_or(if https { 443 } else { 80 });
        let proto = if https { "https" } else { "http" };
        let chain: Vec<String> = chain.iter().rev().map(ToString::to_string).collect();
        let hops: Vec<String> = chain.iter().map(|hop| format!("for={}", node(hop))).collect();
        let forwarded = format!("{};host=\"{host}\";proto={proto}", hops.join(", "));
        let told = [
            (FOR, Some(HeaderValue::try_from(chain.join(", ")).ok()?)),
            (REAL_IP, Some(HeaderValue::try_from(client.to_string()).ok()?)),
            (PROTO, Some(HeaderValue::from_static(proto))),
            (HOST, Some(HeaderValue::from_str(host).ok()?)),
            (PORT, Some(HeaderValue::from(port))),
            (PREFIX, prefix),
            (FORWARDED, Some(HeaderValue::try_from(forwarded).ok()?)),
        ];
        let mut lines = Vec::new();
        for (name, value) in told {
            if let Some(value) = value {
                write_line(&mut lines, &name, &value);
            }
        }
        Some(Self { client, secure, lines })
    }

    /// Tells the application. All other headers of this kind must have been removed.
    pub(crate) fn write(&self, head: &mut impl Head) {
        head.lines(&self.lines);
    }
}

/// RFC 7239 section 6: an IPv6 address is quoted and bracketed.
fn node(address: &str) -> String {
    if address.contains(':') { format!("\"[{address}]\"") } else { address.to_owned() }
}

/// What a trusted proxy says.
struct Said {
    /// The addresses, nearest first; `None` where something stands that is no address.
    addresses: Vec<Option<IpAddr>>,
    https: Option<bool>,
    host: Option<String>,
}

impl Said {
    fn read(headers: &HeaderMap) -> Self {
        let all =
            |name: &HeaderName| -> Vec<String> { headers.get_all(name).iter().flat_map(tokens).map(ToOwned::to_owned).collect() };
        let proto = all(&PROTO).pop();
        let host = all(&HOST).pop();
        let mut addresses: Vec<Option<IpAddr>> = all(&FOR).iter().map(|text| address(text)).collect();
        // A proxy that says something by one kind of header leaves the other kind as the client sent it.
        let nothing_said = addresses.is_empty() && proto.is_none() && host.is_none();
        let mut said = Self { addresses: Vec::new(), https: proto.as_deref().and_then(is_https), host: host.and_then(authority) };
        if nothing_said {
            for hop in headers.get_all(FORWARDED).iter().flat_map(hops) {
                let value = |wanted: &str| hop.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value);
                addresses.push(value("for").and_then(|text| address(text)));
                said.https = value("proto").and_then(|text| is_https(text)).or(said.https);
                said.host = value("host").cloned().and_then(authority).or(said.host);
            }
        }
        addresses.reverse();
        said.addresses = addresses;
        said
    }
}

fn is_https(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "https" | "wss" => Some(true),
        "http" | "ws" => Some(false),
        _ => None,
    }
}

fn authority(text: String) -> Option<String> {
    let parsed: Authority = text.parse().ok()?;
    (!parsed.host().is_empty() && !text.contains('@')).then_some(text)
}

/// An address, with or without port and brackets.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|with_port| with_port.ip()))
        .map(|ip: IpAddr| ip.to_canonical())
}

/// The elements of a `Forwarded` line, each with its pairs; commas and semicolons in quotes don't count.
fn hops(line: &HeaderValue) -> Vec<Vec<(String, String)>> {
    let text = line.to_str().unwrap_or_default();
    let mut elements = vec![vec![String::new()]];
    let mut quoted = false;
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => elements.push(vec![String::new()]),
            ';' if !quoted => {
                if let Some(pairs) = elements.last_mut() {
                    pairs.push(String::new());
                }
            }
            _ => {
                if let Some(pair) = elements.last_mut().and_then(|pairs| pairs.last_mut()) {
                    pair.push(c);
                }
            }
        }
    }
    let pair = |text: String| text.split_once('=').map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
    elements.into_iter().map(|pairs| pairs.into_iter().filter_map(pair).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(peer: &str, tls: bool, lines: &[(&'static str, &'static str)]) -> (Provenance, HeaderMap) {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let public_url = PublicUrl::parse("https://app.example.com").unwrap();
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let peer = Peer { address: peer.parse().unwrap(), tls };
        let found = Provenance::of(peer, &headers, "app.example.com", &trusted, &public_url).unwrap();
        let mut said = HeaderMap::new();
        for line in std::str::from_utf8(&found.lines).unwrap().lines() {
            let (name, value) = line.split_once(": ").unwrap();
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            assert!(said.insert(name, value.parse().unwrap()).is_none(), "each is told once");
        }
        (found, said)
    }

    #[test]
    fn strangers_are_not_believed() {
        let lines = [
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "evil.example"),
            ("forwarded", "for=1.2.3.4;host=evil.example"),
            ("x-forwarded-prefix", "/evil"),
        ];
        let (found, said) = told("192.0.2.7", true, &lines);
        assert_eq!((found.client.to_string().as_str(), found.secure), ("192.0.2.7", true));
        assert_eq!(said["x-forwarded-for"], "192.0.2.7");
        assert_eq!(said["x-real-ip"], "192.0.2.7");
        assert_eq!(said["x-forwarded-host"], "app.example.com");
        assert_eq!((&said["x-forwarded-proto"], &said["x-forwarded-port"]), (&"https".parse().unwrap(), &443.into()));
        assert_eq!(said["forwarded"], "for=192.0.2.7;host=\"app.example.com\";proto=https");
        assert!(!said.contains_key("x-forwarded-prefix"));
    }

    #[test]
    fn trusted_proxies_are_believed_from_the_right_up_to_the_first_stranger() {
        let lines = [
            ("x-forwarded-for", "9.9.9.9, 192.0.2.7"),
            ("x-forwarded-for", "10.0.0.2:4711"),
            ("x-forwarded-proto", "http, https"),
            ("x-forwarded-host", "users.example:8443"),
            ("x-forwarded-prefix", "/app"),
        ];
        let (found, said) = told("10.0.0.1", false, &lines);
        assert_eq!((found.client.to_string().as_str(), found.secure), ("192.0.2.7", true));
        assert_eq!(said["x-forwarded-for"], "192.0.2.7, 10.0.0.2, 10.0.0.1");
        assert_eq!(
            (&said["x-forwarded-host"], &said["x-forwarded-port"]),
            (&"users.example:8443".parse().unwrap(), &8443.into())
        );
        assert_eq!(said["x-forwarded-prefix"], "/app");
    }

    #[test]
    fn garbage_ends_the_chain() {
        let (found, said) =
            told("10.0.0.1", false, &[("x-forwarded-for", "192.0.2.7, unknown, 10.0.0.3"), ("x-forwarded-proto", "gopher")]);
        assert_eq!(found.client.to_string(), "10.0.0.3");
        assert_eq!(said["x-forwarded-for"], "10.0.0.3, 10.0.0.1");
        assert_eq!(said["x-forwarded-proto"], "https", "public_url says so");
    }

    #[test]
    fn what_the_proxy_did_not_touch_is_the_clients() {
        let lines = [("x-forwarded-proto", "https"), ("forwarded", "for=9.9.9.9;host=evil.example;proto=http")];
        let (found, said) = told("10.0.0.1", false, &lines);
        assert_eq!((found.client.to_string().as_str(), found.secure), ("10.0.0.1", true));
        assert_eq!(said["x-forwarded-host"], "app.example.com");
        let (_, said) = told("10.0.0.1", false, &[("x-forwarded-prefix", "//evil.example")]);
        assert!(!said.contains_key("x-forwarded-prefix"));
    }

    #[test]
    fn forwarded_counts_when_there_is_nothing_else() {
        let line = "for=\"[2001:db8::1]:47,11\", for=\"[2001:db8::2]:4711\";proto=https;host=\"h.example\", for=10.0.0.9";
        let (found, said) = told("fd00::1", false, &[("forwarded", line)]);
        assert_eq!((found.client.to_string().as_str(), found.secure), ("2001:db8::2", true));
        assert_eq!(said["x-forwarded-for"], "2001:db8::2, 10.0.0.9, fd00::1");
        assert_eq!(said["forwarded"], "for=\"[2001:db8::2]\", for=10.0.0.9, for=\"[fd00::1]\";host=\"h.example\";proto=https");
    }
}
