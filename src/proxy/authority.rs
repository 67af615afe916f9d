//! Which host a request is for: named once, or not served.

use http::header::HOST;
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderValue, Version};

/// The one host that a request names: of `:authority` or of the Host header (RFC 9112 section 3.2, RFC 9113 section 8.3.1).
///
/// # Errors
/// When there is none, more than one Host header, something that is no authority, or a target that names another host.
pub(crate) fn authority_of(head: &Parts) -> Result<HeaderValue, &'static str> {
    let mut hosts = head.headers.get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err("two Host headers");
    }
    let named = head.uri.authority();
    if !matches!(head.uri.scheme_str(), None | Some("http" | "https")) {
        return Err("the request target has a scheme that is not served");
    }
    match (host, named) {
        (Some(host), None) => {
            host.to_str().ok().and_then(|text| text.parse().ok()).filter(is_plain).ok_or("the Host header names no host")?;
            Ok(host.clone())
        }
        (Some(host), Some(named)) if host.as_bytes().eq_ignore_ascii_case(named.as_str().as_bytes()) && is_plain(named) => {
            Ok(host.clone())
        }
        (Some(_), Some(_)) => Err("the request target names another host"),
        (None, Some(named)) if head.version >= Version::HTTP_2 && is_plain(named) => {
            HeaderValue::from_str(named.as_str()).map_err(|_| "the request names no host")
        }
        (None, _) => Err("no Host header"),
    }
}

/// Whether a request names this host and no other, as the request before it on the same connection did.
pub(crate) fn is_again(head: &Parts, known: &HeaderValue) -> bool {
    let mut hosts = head.headers.get_all(HOST).iter();
    head.uri.authority().is_none() && head.uri.scheme().is_none() && hosts.next() == Some(known) && hosts.next().is_none()
}

/// Host and perhaps port, nothing else.
fn is_plain(authority: &Authority) -> bool {
    let text = authority.as_str();
    let port = text.strip_prefix(authority.host()).is_some_and(|rest| rest.is_empty() || authority.port_u16().is_some());
    port && !authority.host().is_empty() && text.bytes().all(|octet| octet.is_ascii_alphanumeric() || b".-_:[]".contains(&octet))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn of(target: &str, version: Version, hosts: &[&str]) -> Result<String, &'static str> {
        let mut request = Request::get(target).version(version);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        authority_of(&head).map(|host| host.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_host_is_named_once() {
        for host in ["app.example.com", "app.example.com:8443", "[::1]:80", "127.0.0.1", "my_app"] {
            assert_eq!(of("/", Version::HTTP_11, &[host]).as_deref(), Ok(host));
        }
        assert!(of("http://app.example.com/x", Version::HTTP_11, &["App.example.com"]).is_ok());
        assert!(of("https://app.example.com/x", Version::HTTP_2, &[]).is_ok());
        for bad in ["", "a b", "user@a", "a,b", "a/b", "a:x", "a:99999", "a:", ":80", "\u{e9}"] {
            assert!(of("/", Version::HTTP_11, &[bad]).is_err(), "{bad:?}");
        }
        assert!(of("/", Version::HTTP_11, &[]).is_err());
        assert!(of("/", Version::HTTP_11, &["a", "a"]).is_err());
        assert!(of("http://b/", Version::HTTP_11, &["a"]).is_err());
        assert!(of("https://a/", Version::HTTP_2, &["b"]).is_err());
        assert!(of("http://a/", Version::HTTP_11, &[]).is_err());
        assert!(of("ftp://a/", Version::HTTP_11, &["a"]).is_err());
    }

    #[test]
    fn the_host_of_the_request_before_is_known_again_only_when_it_is_the_only_one() {
        let again = |target: &str, hosts: &[&str]| {
            let request = hosts.iter().fold(Request::get(target), |request, host| request.header(HOST, *host));
            is_again(&request.body(()).unwrap().into_parts().0, &HeaderValue::from_static("a"))
        };
        assert!(again("/x", &["a"]));
        for (target, hosts) in [("/x", &["b"][..]), ("/x", &["A"]), ("/x", &["a", "a"]), ("/x", &[]), ("http://a/x", &["a"])] {
            assert!(!again(target, hosts), "{target} {hosts:?}");
        }
    }
}
