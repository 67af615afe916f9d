//! One request is one request, for everybody on the way: what could be cut at two places is refused, and the connection closed.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use samlgate::access::{Allow, Rule};

use crate::support::gateway::{Gateway, Wanted, certificate};
use crate::support::http2::Http2;
use crate::support::raw::Raw;
use crate::support::upstream::Upstream;

/// Everything is open: only the wire can refuse.
fn open(upstream: &Upstream) -> Gateway {
    let rules = vec![Rule::new("/**", Allow::Anyone)];
    Wanted::before(upstream.address).rules(rules).start()
}

#[test]
fn names_that_a_cgi_program_mixes_up_don_t_pass() {
    let upstream = Upstream::start();
    let gateway = open(&upstream);
    let request = "POST / HTTP/1.1\r\nHost: app.example\r\nContent_Length: 40\r\nTransfer_Encoding: chunked\r\ncontent.length: 9\r\nContent-Length: 2\r\n\r\nok";
    assert_eq!(crate::support::raw::ask(gateway.address, request).status(), 200);
    let seen = upstream.only();
    assert_eq!((seen.one("content-length"), seen.body.as_slice()), (Some("2"), &b"ok"[..]));
    assert!(!seen.head.contains('_') && !seen.head.to_lowercase().contains("content.length"), "{}", seen.head);
}

#[test]
fn other_protocols_are_not_offered_to_the_application() {
    let upstream = Upstream::start();
    let gateway = open(&upstream);
    for upgrade in ["h2c", "HTTP/2.0", "TLS/1.0", "h2c, websockets"] {
        let request = format!(
            "GET / HTTP/1.1\r\nHost: app.example\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: {upgrade}\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
        );
        let before = upstream.seen().len();
        assert_eq!(crate::support::raw::ask(gateway.address, request).status(), 200);
        let seen = upstream.wait_for(before + 1);
        assert!(
            seen.all("upgrade").is_empty() && seen.all("http2-settings").is_empty() && seen.all("connection").is_empty(),
            "{}",
            seen.head
        );
    }
    // Beside a WebSocket, only the WebSocket is.
    let request = "GET / HTTP/1.1\r\nHost: app.example\r\nConnection: Upgrade\r\nUpgrade: websocket, h2c\r\n\r\n";
    let before = upstream.seen().len();
    assert_eq!(crate::support::raw::ask(gateway.address, request).status(), 200);
    assert_eq!(upstream.wait_for(before + 1).all("upgrade"), ["websocket"]);
}

#[test]
fn limits_say_what_they_are() {
    let upstream = Upstream::start();
    let gateway = open(&upstream);
    let ask = |request: String| Raw::connect(gateway.address).send(request).answer().map(|answer| answer.status());
    let many: String = (0..150).map(|number| format!("X-{number}: y\r\n")).collect();
    assert_eq!(ask(format!("GET / HTTP/1.1\r\nHost: app.example\r\n{many}\r\n")), Some(431));
    let long = "x".repeat(70 * 1024);
    assert_eq!(ask(format!("GET / HTTP/1.1\r\nHost: app.example\r\nX: {long}\r\n\r\n")), Some(431));
    assert!([Some(414), Some(431)].contains(&ask(format!("GET /{long} HTTP/1.1\r\nHost: app.example\r\n\r\n"))));
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn http2_can_t_be_used_to_split_http1() {
    let directory = tempfile::tempdir().unwrap();
    let files = certificate(directory.path());
    let upstream = Upstream::start();
    let rules = vec![Rule::new("/**", Allow::Anyone)];
    let mut wanted = Wanted::before(upstream.address).rules(rules);
    wanted.tls = Some(files.clone());
    let gateway = wanted.start();
    let mut client = Http2::connect(gateway.address, &files).await;
    // A body of a length that isn't the one announced ends the stream (RFC 9113 section 8.1.1), and with it the request.
    let body = Full::new(Bytes::from_static(b"GET /smuggled HTTP/1.1\r\nHost: app.example\r\n\r\n"));
    let request = Request::post("https://app.example/x").header("content-length", "3").body(body).unwrap();
    let answer = tokio::time::timeout(Duration::from_secs(20), client.ask(request)).await.unwrap();
    assert!(answer.is_none_or(|answer| answer.status() == 400 || answer.status() == 502));
    // A length that is none, or stands there twice, is refused even where there is no body.
    for lines in [&[""][..], &["0", "0"]] {
        let mut client = Http2::connect(gateway.address, &files).await;
        let request = lines.iter().fold(Request::get("https://app.example/l"), |head, line| head.header("content-length", *line));
        let request = request.body(Full::default()).unwrap();
        let answer = tokio::time::timeout(Duration::from_secs(20), client.ask(request)).await.unwrap();
        assert!(answer.is_none_or(|answer| answer.status() == 400), "{lines:?}");
    }
    assert!(!upstream.seen().iter().any(|seen| seen.line().contains("/l ")));
    // Coding and connection headers don't exist there (section 8.2.2).
    for (name, value) in [("transfer-encoding", "chunked"), ("connection", "x-user"), ("upgrade", "h2c")] {
        let mut client = Http2::connect(gateway.address, &files).await;
        let request =
            Request::post("https://app.example/y").header(name, value).body(Full::new(Bytes::from_static(b"abc"))).unwrap();
        let answer = tokio::time::timeout(Duration::from_secs(20), client.ask(request)).await.unwrap();
        for seen in upstream.seen() {
            assert!(!seen.line().contains("smuggled"), "{}", seen.head);
            // `Connection: close` is our own: a request with a body is the last one of its connection.
            let ours = name == "transfer-encoding" || seen.all(name) == ["close"];
            assert!(answer.is_none() || seen.all(name).is_empty() || ours, "{name}: {}", seen.head);
        }
    }
}
