//! `{prefix}/auth`: a front proxy asks about a request that it passes on itself, and is answered as the gate would decide.

use http::header::{CACHE_CONTROL, HeaderName};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri};

use super::forward::{mark_sensitive, write_session};
use super::forwarded::Peer;
use super::gate::{Facts, Gate, GateParts, Refusal};
use super::hop_by_hop::{asks_for_websocket, overrides_method};
use super::judge::{Question, Verdict, readable};
use super::measure::Outcome;
use crate::identity::headers::folded;
use crate::identity::signature::NAMES;
use crate::web::{Handover, Problem, Reply, Unanswered};

const ORIGINAL_METHOD: HeaderName = HeaderName::from_static("x-original-method");
const ORIGINAL_URI: HeaderName = HeaderName::from_static("x-original-uri");
const ORIGINAL_URL: HeaderName = HeaderName::from_static("x-original-url");
const FORWARDED_METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
const FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");
/// By this answer header, Envoy's ext_authz removes headers of the request.
const TO_REMOVE: HeaderName = HeaderName::from_static("x-envoy-auth-headers-to-remove");

const NOTHING_TOLD: &str =
    "The front proxy must send X-Original-URI and X-Original-Method, or X-Forwarded-Uri and X-Forwarded-Method.";
const NO_ORIGINAL_METHOD: &str = "The front proxy must send X-Original-Method beside X-Original-URI.";
const NO_FORWARDED_METHOD: &str = "The front proxy must send X-Forwarded-Method beside X-Forwarded-Uri.";
const CONTRADICTION: &str = "The headers that tell of the original request contradict each other.";
const REPEATED: &str = "A header that tells of the original request is there twice.";
const NO_PATH: &str = "A header that tells of the original request holds no path.";
const NO_METHOD: &str = "A header that tells of the original request holds no method.";
const NOT_AS_RECEIVED: &str = "the path has dot segments, or begins with two slashes";
const OWN_PATH: &str = "The front proxy must pass samlgate's own paths to samlgate without asking.";
const NOT_REMOVED: &str = "The request has a header that the front proxy must remove.";

/// How a front proxy tells what it asks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// nginx: `X-Original-*`.
    Original,
    /// Traefik and Caddy: `X-Forwarded-*`.
    Forwarded,
    /// Envoy: the path behind ours, and the method.
    Path,
}

/// The request that a front proxy asks about.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Original {
    method: Method,
    target: PathAndQuery,
    way: Way,
    /// `X-Forwarded-Uri` is among what is told, so it may be Caddy that asks, whatever a client has added.
    forwarded: bool,
}

/// Answers a front proxy. Every answer but the one with [`Outcome::Permitted`] has a status that lets nothing pass.
///
/// # Errors
/// When the peer isn't trusted, or the request that it tells of can't be judged.
pub(crate) fn answer(gate: &Gate, head: &Parts, facts: &Facts, peer: Peer) -> Result<(Reply, Outcome), Refusal> {
    let parts = &*gate.parts;
    // Who isn't trusted could ask about another request than the one that it sends to the application.
    if !parts.is_trusted(peer.address) {
        let id = facts.id.as_str();
        tracing::warn!(request_id = id, peer = %peer.address, "refused as a front proxy: listen.trusted_proxies lacks its address");
        return Err(Refusal::new(Problem::UntrustedProxy, Outcome::Forbidden));
    }
    let misconfigured = |why: &'static str| {
        tracing::info!(request_id = facts.id.as_str(), why, "a front proxy's question is refused");
        Refusal::malformed(why)
    };
    let behind = parts.web.asked_about(&head.uri).unwrap_or_default();
    let needed = Needed { path: !parts.rules.is_empty(), method: parts.rules.name_methods() };
    let original = Original::read(&head.method, behind, &head.headers, needed).map_err(misconfigured)?;
    let target = readable(&original.method, &Uri::from(original.target.clone()))?;
    // What was judged must be what the front proxy passes on: it takes no dots out, and Caddy makes one slash of two at the beginning.
    if target.path_and_query() != original.target.as_str() || target.path().starts_with("//") {
        return Err(Refusal::malformed(NOT_AS_RECEIVED));
    }
    if parts.web.owns(target.path()) {
        return Err(misconfigured(OWN_PATH));
    }
    if let Some(name) = head.headers.keys().find(|name| is_beyond_the_front(parts, name)) {
        tracing::info!(request_id = facts.id.as_str(), ?name, "the client sends a header that only samlgate could remove");
        return Err(Refusal::malformed(NOT_REMOVED));
    }

    let now = parts.clock.now();
    let headers = without_identity(parts, &head.headers);
    let websocket = original.method == Method::GET && is_websocket(&headers);
    let question = Question { method: &original.method, target, headers: &headers, websocket };
    match gate.judge(question, facts, now)? {
        Verdict::Pass(_, session) => {
            let mut told = HeaderMap::new();
            if let Some(session) = &session {
                write_session(&mut told, gate, session, facts, now)?;
                mark_sensitive(&mut told, [&parts.headers.assertion]);
            }
            Ok((permitted(parts, told, &original), Outcome::Permitted))
        }
        Verdict::SignIn { target, terms, session } => {
            let request = Unanswered { method: &original.method, headers: &headers, target: &target };
            let handover = if original.way == Way::Original { Handover::Status } else { Handover::Whole };
            let reply = parts.web.sign_in_through_front(request, &terms, session.as_deref(), handover, &facts.context());
            Ok((reply, if session.is_some() { Outcome::StepUpRequired } else { Outcome::LoginRequired }))
        }
        Verdict::Forbidden(why) => {
            let page = Some(original.target.as_str()).filter(|_| original.method == Method::GET);
            Ok((parts.web.forbidden(why, page, &headers, &facts.context()), Outcome::Forbidden))
        }
    }
}

/// Makes sure that a front proxy takes no other answer for a yes, whatever pages and codes there will be.
pub(crate) fn keep_shut<B>(answer: &mut Response<B>, outcome: Outcome) {
    if outcome != Outcome::Permitted && answer.status().is_success() {
        *answer.status_mut() = StatusCode::FORBIDDEN;
    }
}

/// 200, with what the application is to be told, and what makes a front proxy clear the other identity headers: nginx does so by
/// itself; Caddy 2.6 would write its own placeholder for a header that isn't there, so it gets empty ones; Envoy only replaces
/// headers, so it is named those to remove.
fn permitted(parts: &GateParts, told: HeaderMap, original: &Original) -> Reply {
    let mut reply = Reply::default();
    *reply.status_mut() = StatusCode::OK;
    *reply.headers_mut() = told;
    let headers = reply.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let names = parts.headers.all().map(|(_, name)| name);
    let absent: Vec<HeaderName> = names.filter(|name| !headers.contains_key(*name)).cloned().collect();
    if original.way == Way::Path {
        let list = absent.iter().map(HeaderName::as_str).collect::<Vec<_>>().join(", ");
        headers.extend(HeaderValue::try_from(list).ok().filter(|list| !list.is_empty()).map(|list| (TO_REMOVE, list)));
    }
    if original.forwarded {
        headers.extend(absent.into_iter().map(|name| (name, HeaderValue::from_static(""))));
    }
    reply
}

/// Whether a client's header would get past a front proxy that replaces the identity headers by name: another spelling of one, one that
/// the operator forbids, or another method than the one that the rules see. When samlgate forwards, it is removed.
fn is_beyond_the_front(parts: &GateParts, name: &HeaderName) -> bool {
    if parts.rules.name_methods() && overrides_method(name.as_str()) {
        return true;
    }
    if !parts.headers.is_reserved(name) || parts.headers.all().any(|(_, own)| own == name) {
        return false;
    }
    let given = folded(name.as_str());
    let own = parts.headers.all().any(|(_, own)| folded(own.as_str()) == given);
    let signature = parts.headers.signer().is_some() && NAMES.iter().any(|name| folded(name) == given);
    own || signature || parts.headers.strip.iter().any(|stripped| folded(stripped) == given)
}

/// The client's headers without what could pass as identity.
fn without_identity(parts: &GateParts, headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    parts.headers.strip(&mut headers);
    headers
}

/// Whether the original request opens a WebSocket. Front proxies keep `Upgrade` to themselves, so what stays counts too
/// (RFC 6455 section 4.1).
fn is_websocket(headers: &HeaderMap) -> bool {
    asks_for_websocket(headers) || headers.contains_key("sec-websocket-key") || headers.contains_key("sec-websocket-version")
}

/// What of a request the rules look at. What they don't look at needn't be told: then every path, or method, is like any other.
#[derive(Clone, Copy, Debug)]
struct Needed {
    path: bool,
    method: bool,
}

impl Original {
    /// Reads what is told. `behind` is what follows `{prefix}/auth`.
    ///
    /// # Errors
    /// When it is nothing, not all, twice, or two different things.
    fn read(method: &Method, behind: &str, headers: &HeaderMap, needed: Needed) -> Result<Self, &'static str> {
        let original = agreed(path_of(headers, &ORIGINAL_URI)?, path_of(headers, &ORIGINAL_URL)?)?;
        let forwarded = path_of(headers, &FORWARDED_URI)?;
        let (original_method, forwarded_method) = (method_of(headers, &ORIGINAL_METHOD)?, method_of(headers, &FORWARDED_METHOD)?);
        let way = match (&original, &original_method, &forwarded, &forwarded_method) {
            _ if behind.starts_with('/') => Way::Path,
            _ if !behind.is_empty() && !behind.starts_with('?') => return Err(NOTHING_TOLD),
            (Some(_), None, ..) if needed.method => return Err(NO_ORIGINAL_METHOD),
            (Some(_), ..) => Way::Original,
            (None, _, Some(_), None) if needed.method => return Err(NO_FORWARDED_METHOD),
            (None, _, Some(_), _) => Way::Forwarded,
            (None, _, None, _) if needed.path => return Err(NOTHING_TOLD),
            (None, _, None, _) => Way::Original,
        };
        // What a client may have added must say the same as the front proxy.
        let is_forwarded = forwarded.is_some();
        let mut target = agreed(original, forwarded)?;
        let mut told_method = agreed(original_method, forwarded_method)?;
        if way == Way::Path {
            target = agreed(target, Some(path(behind)?))?;
            told_method = agreed(told_method, Some(method.clone()))?;
        }
        // Nothing that is missing here is needed.
        let (method, target) = (told_method.unwrap_or(Method::GET), target.unwrap_or_else(|| PathAndQuery::from_static("/")));
        Ok(Self { method, target, way, forwarded: is_forwarded })
    }
}

/// The one of two, if there is any; both must be the same.
fn agreed<T: PartialEq>(one: Option<T>, other: Option<T>) -> Result<Option<T>, &'static str> {
    match (one, other) {
        (Some(one), Some(other)) if one != other => Err(CONTRADICTION),
        (one, other) => Ok(one.or(other)),
    }
}

/// The only value under a name.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, &'static str> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (line, None) => Ok(line),
        _ => Err(REPEATED),
    }
}

fn method_of(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Method>, &'static str> {
    let Some(value) = only(headers, name)? else { return Ok(None) };
    Method::from_bytes(value.as_bytes()).map(Some).map_err(|_| NO_METHOD)
}

fn path_of(headers: &HeaderMap, name: &HeaderName) -> Result<Option<PathAndQuery>, &'static str> {
    let Some(value) = only(headers, name)? else { return Ok(None) };
    let text = value.to_str().map_err(|_| NO_PATH)?;
    if text.starts_with('/') {
        return path(text).map(Some);
    }
    // A whole address. What stands before the path may have come from the client's Host header: it must not end before the path does.
    let address: Uri = text.parse().map_err(|_| NO_PATH)?;
    let is_web = matches!(address.scheme_str(), Some("http" | "https"));
    let behind_host = text.split_once("://").and_then(|(_, rest)| rest.find('/').and_then(|at| rest.get(at..)));
    match behind_host {
        Some(rest) if is_web && address.path_and_query().is_some_and(|found| found.as_str() == rest) => path(rest).map(Some),
        _ => Err(NO_PATH),
    }
}

/// A path and query. A fragment is none: parsers drop it, and others take it for a part of the path.
fn path(text: &str) -> Result<PathAndQuery, &'static str> {
    let parsed = PathAndQuery::try_from(text).map_err(|_| NO_PATH)?;
    if text.starts_with('/') && parsed.as_str() == text { Ok(parsed) } else { Err(NO_PATH) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(method: &str, behind: &str, lines: &[(&'static str, &str)]) -> Result<(String, String, Way), &'static str> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let needed = Needed { path: true, method: true };
        let original = Original::read(&method.parse().unwrap(), behind, &headers, needed)?;
        Ok((original.method.to_string(), original.target.to_string(), original.way))
    }

    fn told(method: &str, target: &str, way: Way) -> Result<(String, String, Way), &'static str> {
        Ok((method.to_owned(), target.to_owned(), way))
    }

    #[test]
    fn every_front_proxy_is_understood() {
        let nginx = [("x-original-method", "POST"), ("x-original-uri", "/a?b=/c&d")];
        assert_eq!(read("GET", "", &nginx), told("POST", "/a?b=/c&d", Way::Original));
        let ingress = [("x-original-method", "GET"), ("x-original-url", "https://app.example:8443/a?b")];
        assert_eq!(read("GET", "?ignored", &ingress), told("GET", "/a?b", Way::Original));
        let traefik = [("x-forwarded-method", "PUT"), ("x-forwarded-uri", "//a")];
        assert_eq!(read("GET", "", &traefik), told("PUT", "//a", Way::Forwarded));
        assert_eq!(read("DELETE", "/a?b", &[]), told("DELETE", "/a?b", Way::Path));
        assert_eq!(read("GET", "/", &[]), told("GET", "/", Way::Path));
    }

    #[test]
    fn what_is_said_twice_must_be_the_same() {
        let both = [
            ("x-original-method", "GET"),
            ("x-original-uri", "/a"),
            ("x-original-url", "http://h/a"),
            ("x-forwarded-uri", "/a"),
            ("x-forwarded-method", "GET"),
        ];
        assert_eq!(read("GET", "", &both), told("GET", "/a", Way::Original));
        assert_eq!(read("GET", "/a", &both), told("GET", "/a", Way::Path));
        for (name, other) in [
            ("x-original-method", "HEAD"),
            ("x-original-uri", "/b"),
            ("x-original-url", "http://h/a?"),
            ("x-forwarded-uri", "/a/"),
            ("x-forwarded-method", "POST"),
        ] {
            let changed = both.map(|(own, value)| (own, if own == name { other } else { value }));
            assert_eq!(read("GET", "", &changed), Err(CONTRADICTION), "{name}");
            assert_eq!(read("GET", "/a", &changed), Err(CONTRADICTION), "{name}");
            let twice: Vec<_> = both.into_iter().chain([(name, both.iter().find(|(own, _)| *own == name).unwrap().1)]).collect();
            assert_eq!(read("GET", "", &twice), Err(REPEATED), "{name}");
        }
        // The path is the front proxy's word, the header may be a client's.
        assert_eq!(read("GET", "/admin", &[("x-forwarded-uri", "/public")]), Err(CONTRADICTION));
        assert_eq!(read("POST", "/a", &[("x-original-method", "GET")]), Err(CONTRADICTION));
    }

    #[test]
    fn what_the_front_proxy_leaves_out_the_client_cannot_add() {
        for lines in [
            &[][..],
            &[("x-original-method", "GET")],
            &[("x-forwarded-method", "GET")],
            &[("x-original-method", "GET"), ("x-forwarded-method", "GET")],
        ] {
            assert_eq!(read("GET", "", lines), Err(NOTHING_TOLD), "{lines:?}");
            assert_eq!(read("GET", "?x=/a", lines), Err(NOTHING_TOLD), "{lines:?}");
        }
        assert_eq!(read("GET", "", &[("x-original-uri", "/a"), ("x-forwarded-method", "GET")]), Err(NO_ORIGINAL_METHOD));
        assert_eq!(read("GET", "", &[("x-forwarded-uri", "/a"), ("x-original-method", "GET")]), Err(NO_FORWARDED_METHOD));
        let nginx = [("x-original-method", "GET"), ("x-original-uri", "/a")];
        assert_eq!(read("GET", "entication", &nginx), Err(NOTHING_TOLD));
    }

    #[test]
    fn what_the_rules_do_not_look_at_need_not_be_told() {
        let read = |lines: &[(&'static str, &'static str)], path: bool, method: bool| {
            let lines = lines.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
            let original = Original::read(&Method::GET, "", &lines.collect(), Needed { path, method })?;
            Ok((original.method.to_string(), original.target.to_string(), original.way))
        };
        let uri = [("x-original-uri", "/a")];
        assert_eq!(read(&uri, true, false), told("GET", "/a", Way::Original));
        assert_eq!(read(&uri, true, true), Err(NO_ORIGINAL_METHOD));
        assert_eq!(read(&[("x-forwarded-uri", "/a")], true, false), told("GET", "/a", Way::Forwarded));
        assert_eq!(read(&[], false, false), told("GET", "/", Way::Original));
        assert_eq!(read(&[], true, false), Err(NOTHING_TOLD));
        assert_eq!(read(&[("x-original-uri", "a")], false, false), Err(NO_PATH));
    }

    #[test]
    fn what_is_no_path_or_no_method_is_refused() {
        for bad in [
            "",
            "a",
            "?a",
            "*",
            "/a#b",
            "/a b",
            "/a, /b",
            "/\u{e4}",
            "ftp://h/a",
            "https://h",
            "https://",
            "https:/a",
            // A Host header that would end the host before the path does.
            "https://h?/admin",
            "https://h#/admin/",
            "https://h\\/admin",
            "h:80",
        ] {
            for name in ["x-original-uri", "x-original-url", "x-forwarded-uri"] {
                let lines = [("x-original-method", "GET"), ("x-forwarded-method", "GET"), (name, bad)];
                assert_eq!(read("GET", "", &lines), Err(NO_PATH), "{name}: {bad}");
            }
        }
        for bad in ["", "GET, POST", "GET /"] {
            assert_eq!(read("GET", "", &[("x-original-uri", "/"), ("x-original-method", bad)]), Err(NO_METHOD), "{bad}");
        }
    }

    #[test]
    fn a_status_that_says_yes_needs_a_permit() {
        let mut answer = Response::new(());
        keep_shut(&mut answer, Outcome::Permitted);
        assert_eq!(answer.status(), StatusCode::OK);
        for outcome in [Outcome::Own, Outcome::LoginRequired, Outcome::BadRequest] {
            let mut answer = Response::builder().status(204).body(()).unwrap();
            keep_shut(&mut answer, outcome);
            assert_eq!(answer.status(), StatusCode::FORBIDDEN);
        }
        let mut answer = Response::builder().status(503).body(()).unwrap();
        keep_shut(&mut answer, Outcome::StoreAway);
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}
