//! Headers that belong to one connection (RFC 9110 section 7.6.1), and headers that only a proxy may set.

use std::borrow::Cow;

use http::header::{CONNECTION, COOKIE, EXPECT, HOST, TE, TRAILER, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::identity::headers::remove_where;

/// Of one connection; `Trailer` is not, its trailers pass.
const HOP_BY_HOP: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

/// What an application, or its framework, believes about where a request came from or goes to: set by us or absent.
/// Some frameworks route by `X-Original-URL`, which would go around every rule.
const ROUTING: &[&str] = &[
    "cf-connecting-ip",
    "client-ip",
    "fastly-client-ip",
    "forwarded",
    "forwarded-for",
    "front-end-https",
    "proxy",
    "true-client-ip",
    "via",
];

/// More of them: those that begin with `x-`.
const X_ROUTING: &[&str] = &[
    "x-accel-redirect",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-host",
    "x-http-destinationurl",
    "x-http-host-override",
    "x-lighttpd-send-file",
    "x-original-forwarded-for",
    "x-original-host",
    "x-original-uri",
    "x-original-url",
    "x-originating-ip",
    "x-proxyuser-ip",
    "x-real-ip",
    "x-remote-addr",
    "x-remote-ip",
    "x-request-id",
    "x-rewrite-url",
    "x-scheme",
    "x-sendfile",
    "x-url-scheme",
    "x-wap-profile",
];

/// Headers that make another method of a request than the one that the rules saw.
const METHOD_OVERRIDES: &[&str] = &["x-http-method", "x-http-method-override", "x-method-override"];

/// Names that servers with a CGI-like environment would mix up when they are spelled with `_` or `.`.
const FRAMING: &[&str] = &["content-length", "content-type", "cookie", "expect", "host", "trailer"];

/// Whether only we may set this header, in whatever spelling.
pub(crate) fn is_ours(name: &str) -> bool {
    // The first letters of all the names above; most headers end here.
    if !matches!(name.as_bytes().first(), Some(b'c' | b'e' | b'f' | b'h' | b'k' | b'p' | b't' | b'u' | b'v' | b'x')) {
        return false;
    }
    let folded = fold(name);
    let odd = matches!(folded, Cow::Owned(_));
    let folded = folded.as_ref();
    if folded.starts_with("x-") {
        return folded.starts_with("x-forwarded") || X_ROUTING.contains(&folded);
    }
    HOP_BY_HOP.contains(&folded) || ROUTING.contains(&folded) || (odd && FRAMING.contains(&folded))
}

/// Whether a header makes another method of a request, in whatever spelling.
pub(crate) fn overrides_method(name: &str) -> bool {
    name.starts_with('x') && METHOD_OVERRIDES.contains(&fold(name).as_ref())
}

/// `_` and `.` as `-`: what they become in a CGI environment.
pub(crate) fn fold(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|octet| matches!(octet, b'_' | b'.')) {
        Cow::Owned(name.replace(['_', '.'], "-"))
    } else {
        Cow::Borrowed(name)
    }
}

/// Removes from a client's headers what doesn't reach the application: hop-by-hop headers, those that `Connection` names,
/// and those that only we may set. Must run before ours are added, so that a client can't name them away. `fixed_method`:
/// rules look at methods, so the application must not be told another one.
pub(crate) fn strip_request(headers: &mut HeaderMap, fixed_method: bool) {
    // One look at what is there costs less than several at what may be.
    let (mut te, mut connection) = (false, false);
    for name in headers.keys() {
        te |= *name == TE;
        connection |= *name == CONNECTION;
    }
    let trailers = te && headers.get_all(TE).iter().any(|line| tokens(line).any(|token| token.eq_ignore_ascii_case("trailers")));
    if connection {
        // A client must not name away what a server in front of us added, or what the request is about.
        strip_nominated(headers, &[HOST, COOKIE]);
    }
    // We answer `Expect: 100-continue` ourselves, once the request is let through.
    let is_doomed =
        |name: &HeaderName| is_ours(name.as_str()) || (fixed_method && overrides_method(name.as_str())) || *name == EXPECT;
    remove_where(headers, is_doomed);
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Removes hop-by-hop headers from an answer.
pub(crate) fn strip_response(headers: &mut HeaderMap) {
    strip_nominated(headers, &[]);
    remove_where(headers, |name| is_hop_by_hop(name.as_str()));
}

/// Whether a header belongs to one connection.
pub(crate) fn is_hop_by_hop(name: &str) -> bool {
    // The first letters of the names; most headers end here.
    let first = name.as_bytes().first().map(u8::to_ascii_lowercase);
    matches!(first, Some(b'c' | b'h' | b'k' | b'p' | b't' | b'u'))
        && HOP_BY_HOP.iter().any(|each| name.eq_ignore_ascii_case(each))
}

fn strip_nominated(headers: &mut HeaderMap, protected: &[HeaderName]) {
    let named = |headers: &HeaderMap| -> Vec<HeaderName> {
        let lines = headers.get_all(CONNECTION).iter();
        lines.flat_map(tokens).filter_map(|token| HeaderName::from_bytes(token.as_bytes()).ok()).collect()
    };
    // Nearly always `keep-alive`, `close` or nothing.
    let usual = |line: &HeaderValue| matches!(line.as_bytes(), b"keep-alive" | b"Keep-Alive" | b"close");
    if headers.get_all(CONNECTION).iter().all(usual) {
        return;
    }
    for name in named(headers).into_iter().filter(|name| !protected.contains(name)) {
        headers.remove(name);
    }
}

/// The members of a comma-separated list.
pub(crate) fn tokens(line: &HeaderValue) -> impl Iterator<Item = &str> {
    let members = line.as_bytes().split(|octet| *octet == b',');
    members.filter_map(|member| std::str::from_utf8(member).ok()).map(str::trim).filter(|token| !token.is_empty())
}

/// Whether a header is there. Nearly always it isn't, and a look at the few names that are costs less than to look it up.
pub(crate) fn has(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers.keys().any(|each| each == name)
}

/// Whether a request wants to become a WebSocket (RFC 6455 section 4.1). Other upgrades are not offered to the
/// application: `Upgrade: h2c` would open a way around every rule.
pub(crate) fn asks_for_websocket(headers: &HeaderMap) -> bool {
    let lists = |name, word: &str| headers.get_all(name).iter().flat_map(tokens).any(|token| token.eq_ignore_ascii_case(word));
    has(headers, &UPGRADE) && lists(UPGRADE, "websocket") && lists(CONNECTION, "upgrade")
}

/// The trailers that a client announces. If any of them may not pass, `Trailer` is removed, and none does.
pub(crate) fn announced_trailers(headers: &mut HeaderMap, may_pass: impl Fn(&HeaderName) -> bool) -> Vec<HeaderName> {
    if !has(headers, &TRAILER) {
        return Vec::new();
    }
    let lawful = |token: &str| HeaderName::from_bytes(token.as_bytes()).ok().filter(|name| may_pass(name));
    match headers.get_all(TRAILER).iter().flat_map(tokens).map(lawful).collect() {
        Some(names) => names,
        None => {
            headers.remove(TRAILER);
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_static(value));
        }
        headers
    }

    fn left(lines: &[(&'static str, &'static str)]) -> Vec<String> {
        let mut headers = headers(lines);
        strip_request(&mut headers, true);
        let mut names: Vec<_> = headers.keys().map(ToString::to_string).collect();
        names.sort();
        names
    }

    #[test]
    fn hop_by_hop_and_named_headers_go_but_not_host_and_cookies() {
        let lines = [
            ("connection", "X-Thing, keep-alive"),
            ("connection", "cookie,Host"),
            ("x-thing", "1"),
            ("cookie", "a=b"),
            ("host", "a"),
            ("keep-alive", "1"),
            ("upgrade", "h2c"),
            ("http2-settings", "x"),
            ("proxy-authorization", "x"),
            ("expect", "100-continue"),
            ("transfer-encoding", "chunked"),
            ("accept", "*/*"),
        ];
        assert_eq!(left(&lines), ["accept", "cookie", "host"]);
        assert_eq!(left(&[("te", "gzip, trailers"), ("trailer", "x")]), ["te", "trailer"]);
    }

    #[test]
    fn what_only_we_may_set_goes_in_every_spelling() {
        let lines = [
            ("x-forwarded-for", "1"),
            ("x_forwarded_for", "1"),
            ("x-forwarded.uri", "1"),
            ("x-forwarded", "1"),
            ("x-original-url", "/"),
            ("x_rewrite_url", "/"),
            ("forwarded", "for=1"),
            ("via", "x"),
            ("proxy", "x"),
            ("content_length", "3"),
            ("transfer_encoding", "x"),
            ("x-http-method-override", "DELETE"),
            ("x_method.override", "DELETE"),
            ("x-requested-with", "x"),
            ("content-length", "3"),
        ];
        let mut rest = left(&lines);
        rest.sort();
        assert_eq!(rest, ["content-length", "x-requested-with"]);
    }

    #[test]
    fn every_known_name_passes_the_first_letter_check() {
        for name in HOP_BY_HOP.iter().chain(ROUTING).chain(X_ROUTING) {
            assert!(is_ours(name), "{name}");
            assert!(is_ours(&name.replace('-', "_")), "{name}");
        }
        for name in FRAMING.iter().filter(|name| name.contains('-')) {
            assert!(is_ours(&name.replace('-', "_")) && !is_ours(name), "{name}");
        }
    }

    #[test]
    fn only_websockets_are_upgrades() {
        assert!(asks_for_websocket(&headers(&[("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket")])));
        assert!(!asks_for_websocket(&headers(&[("connection", "upgrade"), ("upgrade", "h2c")])));
        assert!(!asks_for_websocket(&headers(&[("upgrade", "websocket")])));
    }

    #[test]
    fn announced_trailers_pass_only_when_all_may() {
        let may_pass = |name: &HeaderName| name.as_str() != "x-user";
        let mut good = headers(&[("trailer", "x-sum, grpc-status")]);
        assert_eq!(announced_trailers(&mut good, may_pass), ["x-sum", "grpc-status"]);
        assert!(good.contains_key(TRAILER));
        let mut bad = headers(&[("trailer", "x-sum"), ("trailer", "X-User")]);
        assert!(announced_trailers(&mut bad, may_pass).is_empty());
        assert!(!bad.contains_key(TRAILER));
    }
}
