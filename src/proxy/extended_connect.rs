//! WebSockets over HTTP/2 (RFC 8441). Past this file they are those of HTTP/1.1: the same rules, the same application.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONNECTION, CONTENT_LENGTH, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, response};
use hyper::ext::Protocol;

use super::hop_by_hop::fold;
use crate::identity::headers::remove_where;
use crate::token::Entropy;

/// What is hashed together with a key (RFC 6455 section 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Turns a CONNECT whose `:protocol` is `websocket` into the GET that asks for the same by HTTP/1.1 (RFC 8441 section 5). Other
/// CONNECTs stay what they are, and are not served.
pub(crate) fn take(head: &mut Parts) {
    let asked = head.extensions.get::<Protocol>().is_some_and(|protocol| protocol.as_str() == "websocket");
    if head.method != Method::CONNECT || !asked {
        return;
    }
    head.method = Method::GET;
    let headers = &mut head.headers;
    // The key is ours to make, since the answer to it is ours to check.
    remove_where(headers, |name| fold(name.as_str()) == SEC_WEBSOCKET_KEY.as_str());
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
}

/// Whether the client speaks the one version that there is (RFC 6455 section 4.1).
pub(crate) fn is_version_13(headers: &HeaderMap) -> bool {
    let mut versions = headers.get_all(SEC_WEBSOCKET_VERSION).iter();
    matches!((versions.next(), versions.next()), (Some(version), None) if version == "13")
}

/// A `Sec-WebSocket-Key`: proves that the application means this handshake.
pub(crate) struct Key(String);

impl Key {
    /// A fresh one, of 16 octets.
    pub(crate) fn generate(entropy: &dyn Entropy) -> Self {
        let mut octets = [0; 16];
        entropy.fill(&mut octets);
        Self(STANDARD.encode(octets))
    }

    /// Asks with it.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        let value = HeaderValue::from_str(&self.0).unwrap_or(HeaderValue::from_static(""));
        headers.insert(SEC_WEBSOCKET_KEY, value);
    }

    /// Whether an answer was made for this key (RFC 6455 section 4.1, point 4 of what a client checks).
    pub(crate) fn is_answered_by(&self, headers: &HeaderMap) -> bool {
        let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{}{GUID}", self.0).as_bytes());
        let mut answers = headers.get_all(SEC_WEBSOCKET_ACCEPT).iter();
        matches!((answers.next(), answers.next()), (Some(answer), None) if answer == STANDARD.encode(hash.as_ref()).as_str())
    }
}

/// Turns the application's agreement into that of HTTP/2 (RFC 8441 section 5.1). Hop-by-hop headers must be gone.
pub(crate) fn agree(head: &mut response::Parts) {
    head.status = StatusCode::OK;
    head.headers.remove(SEC_WEBSOCKET_ACCEPT);
    head.headers.remove(CONTENT_LENGTH);
}

#[cfg(test)]
mod tests {
    use http::{Request, Response, Version};

    use super::*;

    fn connect(protocol: Option<&'static str>) -> Parts {
        let request = Request::connect("https://app.example/ws").version(Version::HTTP_2);
        let request = request.header("sec-websocket-key", "theirs").header("sec_websocket.key", "theirs too");
        let mut request = request.header("origin", "x").body(()).unwrap();
        if let Some(protocol) = protocol {
            request.extensions_mut().insert(Protocol::from_static(protocol));
        }
        request.into_parts().0
    }

    #[test]
    fn only_a_connect_for_a_websocket_becomes_a_get() {
        let mut head = connect(Some("websocket"));
        take(&mut head);
        assert_eq!((&head.method, head.uri.path()), (&Method::GET, "/ws"));
        let mut names: Vec<_> = head.headers.keys().map(http::HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["connection", "origin", "upgrade"]);
        assert!(super::super::hop_by_hop::asks_for_websocket(&head.headers));
        for protocol in [None, Some("connect-udp"), Some("WebSocket"), Some("websocket2"), Some("")] {
            let mut head = connect(protocol);
            take(&mut head);
            assert_eq!((head.method, head.headers.len()), (Method::CONNECT, 3), "{protocol:?}");
        }
        let mut post = connect(Some("websocket"));
        post.method = Method::POST;
        take(&mut post);
        assert_eq!(post.method, Method::POST);
    }

    #[test]
    fn only_the_answer_to_this_very_key_will_do() {
        // RFC 6455 section 1.3.
        let key = Key("dGhlIHNhbXBsZSBub25jZQ==".to_owned());
        let answer = |values: &[&str]| {
            let answer = values.iter().fold(Response::builder(), |head, value| head.header("sec-websocket-accept", *value));
            key.is_answered_by(answer.body(()).unwrap().headers())
        };
        const GOOD: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
        assert!(answer(&[GOOD]));
        for bad in [&[][..], &[""], &[GOOD, GOOD], &["s3pPLMBiTxaQ9kYGzzhZRbK+xOo"], &["S3PPLMBITXAQ9KYGZZHZRBK+XOO="]] {
            assert!(!answer(bad), "{bad:?}");
        }
    }

    #[test]
    fn keys_are_16_octets_and_differ() {
        let make = || Key::generate(&crate::token::SystemEntropy).0;
        assert_eq!(STANDARD.decode(make()).unwrap().len(), 16);
        assert_ne!(make(), make());
    }

    #[test]
    fn the_version_is_13_said_once() {
        let of = |values: &[&str]| {
            let head = values.iter().fold(Request::builder(), |head, value| head.header("sec-websocket-version", *value));
            is_version_13(head.body(()).unwrap().headers())
        };
        assert!(of(&["13"]));
        for bad in [&[][..], &["12"], &["13, 8"], &["13", "13"]] {
            assert!(!of(bad), "{bad:?}");
        }
    }
}
