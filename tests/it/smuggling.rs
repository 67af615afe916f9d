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

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: app.example\r\n\r\n";

#[test]
fn ambiguous_heads_are_refused_and_the_application_sees_nothing() {
    let upstream = Upstream::start();
    let gateway = open(&upstream);
    let heads = [
        (
            "both lengths",
            "POST / HTTP/1.1\r\nHost: app.example\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX",
        ),
        (
            "both lengths, the other way round",
            "POST / HTTP/1.1\r\nHost: app.example\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\nX",
        ),
        ("two lengths", "POST / HTTP/1.1\r\nHost: app.example\r\nContent-Length: 0\r\nContent-Length: 44\r\n\r\n"),
        ("two equal lengths", "POST / HTTP/1.1\r\nHost: app.example\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n"),
        ("a list of lengths", "POST / HTTP/1.1\r\nHost: app.example\r\nContent-Length: 0, 44\r\n\r\n"),
        ("a signed length", "POST / HTTP/1.1\r\nHost: app.example\r\nContent-Length: +0\r\n\r\n"),
        ("a huge length", "POST / HTTP/1.1\r\nHost: app.example\r\nContent-Length: 18446744073709551616\r\n\r\n"),
        ("no length", "POST / HTTP/1.1\r\nHost: app.example\r\nContent-Length:\r\n\r\n"),
        ("space before the colon", "POST / HTTP/1.1\r\nHost: app.example\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
        ("tab before the colon", "POST / HTTP/1.1\r\nHost: app.example\r\nTransfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n"),
        ("an odd coding", "POST / HTTP/1.1\r\nHost: app.example\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
        ("identity", "POST / HTTP/1.1\r\nHost: app.example\r\nTransfer-Encoding: identity\r\n\r\n"),
        ("two codings", "POST / HTTP/1.1\r\nHost: app.example\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        (
            "chunked twice",
            "POST / HTTP/1.1\r\nHost: app.example\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "chunked, then another",
            "POST / HTTP/1.1\r\nHost: app.example\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n",
        ),
        ("a coding with a parameter", "POST / HTTP/1.1\r\nHost: app.example\r\nTransfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n"),
        ("a coding of HTTP/1.0", "POST / HTTP/1.0\r\nHost: app.example\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("obs-fold", "POST / HTTP/1.1\r\nHost: app.example\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
        ("obs-fold by tab", "GET / HTTP/1.1\r\nHost: app.example\r\nX: a\r\n\tb\r\n\r\n"),
        ("space before the first header", "GET / HTTP/1.1\r\n Host: app.example\r\n\r\n"),
        ("bare LF after the request line", "GET / HTTP/1.1\nHost: app.example\r\n\r\n"),
        ("bare LF after a header", "GET / HTTP/1.1\r\nHost: app.example\nX: y\r\n\r\n"),
        ("bare LF everywhere", "GET / HTTP/1.1\nHost: app.example\n\n"),
        ("bare LF at the end", "GET / HTTP/1.1\r\nHost: app.example\r\n\n"),
        ("bare CR", "GET / HTTP/1.1\r\nHost: app.example\r\nX: a\rTransfer-Encoding: chunked\r\n\r\n"),
        ("NUL in a value", "GET / HTTP/1.1\r\nHost: app.example\r\nX: a\0b\r\n\r\n"),
        ("NUL in a name", "GET / HTTP/1.1\r\nHost: app.example\r\nTransfer-\0Encoding: chunked\r\n\r\n"),
        ("no colon", "GET / HTTP/1.1\r\nHost: app.example\r\nX\r\n\r\n"),
        ("no name", "GET / HTTP/1.1\r\nHost: app.example\r\n: x\r\n\r\n"),
        ("two spaces", "GET  / HTTP/1.1\r\nHost: app.example\r\n\r\n"),
        ("a tab", "GET\t/ HTTP/1.1\r\nHost: app.example\r\n\r\n"),
        ("a space in the target", "GET /a b HTTP/1.1\r\nHost: app.example\r\n\r\n"),
        ("no version", "GET /\r\nHost: app.example\r\n\r\n"),
        ("HTTP/0.9", "GET /\r\n\r\n"),
        ("an odd version", "GET / HTTP/1.2\r\nHost: app.example\r\n\r\n"),
        ("version 2 without TLS", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("a fragment", "GET /#x HTTP/1.1\r\nHost: app.example\r\n\r\n"),
    ];
    for (name, head) in heads {
        let mut raw = Raw::connect(gateway.address);
        raw.send(format!("{head}{SMUGGLED}"));
        let answer = raw.answer().unwrap_or_else(|| panic!("{name}: no answer"));
        assert_eq!(answer.status(), 400, "{name}: {}", answer.head);
        assert!(raw.is_closed(), "{name}");
        assert!(upstream.seen().is_empty(), "{name}: {:?}", upstream.seen());

        // The same, dripping in, behind a lawful request.
        let upstream = Upstream::start();
        let gateway = open(&upstream);
        let mut raw = Raw::connect(gateway.address);
        assert_eq!(raw.ask("GET /first HTTP/1.1\r\nHost: app.example\r\n\r\n").status(), 200);
        for octet in head.as_bytes() {
            use std::io::Write;
            if raw.stream.write_all(&[*octet]).is_err() {
                break; // closed already, and rightly so
            }
        }
        let status = raw.answer().map(|answer| answer.status());
        assert!([Some(400), None].contains(&status), "{name}: {status:?}");
        assert_eq!(upstream.only().line(), "GET /first HTTP/1.1", "{name}");
    }
}

#[test]
fn broken_chunks_end_the_request_and_the_connection() {
    let bodies = [
        ("bare LF after the size", "3\nabc\r\n0\r\n\r\n"),
        ("too much data", "3\r\nabcd\r\n0\r\n\r\n"),
        ("an odd size", "0x3\r\nabc\r\n0\r\n\r\n"),
        ("a negative size", "-3\r\nabc\r\n0\r\n\r\n"),
        ("a size that overflows", "10000000000000003\r\nabc\r\n0\r\n\r\n"),
        ("space before the size", " 3\r\nabc\r\n0\r\n\r\n"),
        ("bare LF in an extension", "3;a\nb\r\nabc\r\n0\r\n\r\n"),
        ("bare LF in the trailers", "3\r\nabc\r\n0\r\nX: y\n\r\n"),
        ("a folded trailer", "3\r\nabc\r\n0\r\nX: y\r\n z\r\n\r\n"),
    ];
    for (name, body) in bodies {
        let upstream = Upstream::start();
        let gateway = open(&upstream);
        let mut raw = Raw::connect(gateway.address);
        raw.send(format!("POST / HTTP/1.1\r\nHost: app.example\r\nTransfer-Encoding: chunked\r\n\r\n{body}{SMUGGLED}"));
        let status = raw.answer().map(|answer| answer.status());
        assert!([Some(400), None].contains(&status), "{name}: {status:?}");
        assert!(raw.is_closed(), "{name}");
        for seen in upstream.seen() {
            assert_eq!(seen.line(), "POST / HTTP/1.1", "{name}");
            assert!(!seen.body.ends_with(b"0\r\n\r\n"), "{name}: a broken body was passed off as whole");
        }
    }
}

#[test]
fn lawful_requests_in_one_packet_are_as_many_requests() {
    let upstream = Upstream::start();
    let gateway = open(&upstream);
    let mut raw = Raw::connect(gateway.address);
    raw.send(
        "\r\nPOST /1 HTTP/1.1\r\nHost: app.example\r\nContent-Length: 5\r\n\r\nGET /POST /2 HTTP/1.1\r\nHost: app.example\r\nTransfer-Encoding: chunked\r\n\r\n\
         5;x=\"y\"\r\nGET /\r\n0\r\n\r\nGET /3 HTTP/1.1\r\nHost: app.example\r\n\r\n",
    );
    for _ in 0..3 {
        assert_eq!(raw.answer().unwrap().status(), 200);
    }
    let lines: Vec<String> = upstream.seen().iter().map(|seen| seen.line().to_owned()).collect();
    assert_eq!(lines, ["POST /1 HTTP/1.1", "POST /2 HTTP/1.1", "GET /3 HTTP/1.1"]);
    assert_eq!(upstream.seen()[0].body, b"GET /");
    assert_eq!(upstream.seen()[1].body, b"5\r\nGET /\r\n0\r\n\r\n");
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
