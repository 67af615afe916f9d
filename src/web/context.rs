//! What is known of a request before anything is decided.

use std::net::IpAddr;

use http::header::{ACCEPT, CONTENT_TYPE, UPGRADE};
use http::{HeaderMap, Method};

/// Facts about one request, found out once by the listener.
#[derive(Clone, Debug)]
pub struct RequestContext {
    /// Random public id: on every page of ours, in logs, and sent to the application as X-Request-Id.
    pub id: String,
    /// The client's address, through trusted proxies when there are any.
    pub client: IpAddr,
    /// Whether the client came by TLS (to us, or to a trusted proxy).
    pub secure: bool,
}

/// Who waits for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// A person in front of a browser: may be sent to the IdP.
    Navigation,
    /// A gRPC client.
    Grpc,
    /// A script, an image, a WebSocket, an event stream, a prefetch: must not start a login.
    Program,
}

impl Asker {
    /// Tells them apart. A navigation is a GET or HEAD that says so (`Sec-Fetch-Mode: navigate`), or that comes from something
    /// older than Sec-Fetch headers and either accepts HTML or carries no sign of a script. Nobody looks at what is fetched in
    /// advance, so that is none.
    pub fn of(method: &Method, headers: &HeaderMap) -> Self {
        if is_grpc(headers) {
            return Self::Grpc;
        }
        let reads = method == Method::GET || method == Method::HEAD;
        let in_advance = ["sec-purpose", "purpose", "x-purpose", "x-moz"]
            .iter()
            .any(|name| has(headers, name, "prefetch") || has(headers, name, "prerender") || has(headers, name, "preview"));
        if !reads || in_advance || headers.contains_key(UPGRADE) {
            return Self::Program;
        }
        let says = headers.keys().any(|name| name.as_str().starts_with("sec-fetch-"));
        let navigates = if says { is_only(headers, "sec-fetch-mode", "navigate") } else { !by_script(headers) };
        if navigates { Self::Navigation } else { Self::Program }
    }
}

/// Whether an answer should be a page: the client is a browser that will show it.
pub(super) fn wants_page(headers: &HeaderMap) -> bool {
    has(headers, ACCEPT.as_str(), "text/html")
        || is_only(headers, "sec-fetch-mode", "navigate")
        || is_only(headers, "sec-fetch-dest", "document")
}

/// Whether the client speaks gRPC.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.get(..16).is_some_and(|start| start.eq_ignore_ascii_case("application/grpc"))
}

/// Signs of a script, for clients without Sec-Fetch headers.
fn by_script(headers: &HeaderMap) -> bool {
    // Android's web views put the application's name here on navigations, so only this value counts.
    if has(headers, "x-requested-with", "xmlhttprequest") {
        return true;
    }
    let html = has(headers, ACCEPT.as_str(), "text/html");
    let data = has(headers, ACCEPT.as_str(), "json") || has(headers, ACCEPT.as_str(), "text/event-stream");
    !html && (data || headers.contains_key(http::header::ORIGIN))
}

/// Whether a header is there exactly once, with exactly this value.
pub(super) fn is_only(headers: &HeaderMap, name: &str, value: &str) -> bool {
    let mut lines = headers.get_all(name).iter();
    matches!((lines.next(), lines.next()), (Some(line), None) if line.as_bytes() == value.as_bytes())
}

/// Whether a header's text contains `word`, which is in lower case.
fn has(headers: &HeaderMap, name: &str, word: &str) -> bool {
    let text = |line: &http::HeaderValue| String::from_utf8_lossy(line.as_bytes()).to_ascii_lowercase();
    headers.get_all(name).iter().any(|line| text(line).contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(method: &Method, lines: &[(&'static str, &str)]) -> Asker {
        let headers: HeaderMap = lines
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), http::HeaderValue::from_str(value).unwrap()))
            .collect();
        Asker::of(method, &headers)
    }

    #[test]
    fn people_are_sent_to_the_idp() {
        let navigations: &[&[(&'static str, &str)]] = &[
            &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document"), ("accept", "text/html")],
            &[("sec-fetch-mode", "navigate")],
            &[("accept", "text/html,application/xhtml+xml,*/*;q=0.8")],
            &[("accept", "*/*")],
            &[],
            &[("accept", "text/html"), ("x-requested-with", "com.example.app")],
        ];
        for lines in navigations {
            assert_eq!(of(&Method::GET, lines), Asker::Navigation, "{lines:?}");
            assert_eq!(of(&Method::HEAD, lines), Asker::Navigation, "{lines:?}");
            assert_eq!(of(&Method::POST, lines), Asker::Program, "{lines:?}");
        }
    }

    #[test]
    fn programs_are_not() {
        let programs: &[&[(&'static str, &str)]] = &[
            &[("sec-fetch-mode", "cors"), ("accept", "text/html")],
            &[("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")],
            &[("sec-fetch-mode", "same-origin"), ("sec-fetch-dest", "serviceworker"), ("service-worker", "script")],
            &[("sec-fetch-site", "same-origin"), ("accept", "text/html")],
            &[("sec-fetch-mode", "navigate"), ("sec-fetch-mode", "cors")],
            &[("sec-fetch-mode", "navigate"), ("sec-purpose", "prefetch;prerender")],
            &[("accept", "text/html"), ("purpose", "prefetch")],
            &[("accept", "text/html"), ("x-moz", "prefetch")],
            &[("accept", "text/html, */*"), ("x-requested-with", "XMLHttpRequest")],
            &[("accept", "application/json")],
            &[("accept", "text/event-stream")],
            &[("accept", "*/*"), ("origin", "https://elsewhere.example")],
            &[("upgrade", "websocket"), ("connection", "Upgrade")],
        ];
        for lines in programs {
            assert_eq!(of(&Method::GET, lines), Asker::Program, "{lines:?}");
        }
        assert_eq!(of(&Method::OPTIONS, &[]), Asker::Program);
    }

    #[test]
    fn grpc_is_told_by_its_content_type() {
        assert_eq!(of(&Method::POST, &[("content-type", "application/grpc+proto")]), Asker::Grpc);
        assert_eq!(of(&Method::POST, &[("content-type", "Application/gRPC-web")]), Asker::Grpc);
        assert_eq!(of(&Method::POST, &[("content-type", "application/json")]), Asker::Program);
    }
}
