//! WebSockets pass the same gate, and end with their session.

use std::io::{Read, Write};
use std::time::Duration;

use samlgate::access::{Allow, Rule};

use crate::support::gateway::{Gateway, Wanted};
use crate::support::raw::Raw;
use crate::support::upstream::{Then, Upstream};

/// Sends back every octet.
fn echo() -> Upstream {
    Upstream::answering(|seen, stream| {
        if seen.one("upgrade") != Some("websocket") {
            stream.write_all(b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n").unwrap();
            return Then::Keep;
        }
        let accept = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
            Set-Cookie: __Host-samlgate=evil\r\nSet-Cookie: theirs=1\r\n\r\n";
        stream.write_all(accept).unwrap();
        let mut octets = [0; 4096];
        while let Ok(read @ 1..) = stream.read(&mut octets) {
            if stream.write_all(&octets[..read]).is_err() {
                break;
            }
        }
        Then::Close
    })
}

fn handshake(path: &str, lines: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: app.example\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: chat\r\n{lines}\r\n"
    )
}

fn opened(gateway: &Gateway, lines: &str) -> Raw {
    let mut raw = Raw::connect(gateway.address);
    let answer = raw.ask(handshake("/ws?x=y", lines));
    assert_eq!(answer.status(), 101, "{}", answer.head);
    assert_eq!(answer.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(answer.header("set-cookie"), Some("theirs=1"));
    raw
}

fn echoes(raw: &mut Raw, octets: &[u8]) {
    raw.send(octets);
    let mut back = vec![0; octets.len()];
    raw.stream.read_exact(&mut back).unwrap();
    assert_eq!(back, octets);
}

#[test]
fn octets_pass_both_ways_whatever_they_are() {
    let upstream = echo();
    let gateway = Wanted::before(upstream.address).start();
    let cookie = format!("Cookie: {}\r\nOrigin: https://app.example\r\n", gateway.sign_in("alice", &[("role", &["viewer"])]));
    let mut raw = opened(&gateway, &cookie);
    // Also what looks like a malformed request.
    for octets in [&b"\x81\x05hello"[..], b"GET / HTTP/1.1\nHost: a\n\n", &[0; 100_000]] {
        echoes(&mut raw, octets);
    }
    let seen = upstream.only();
    assert_eq!(seen.line(), "GET /ws?x=y HTTP/1.1");
    for (name, value) in [
        ("x-user", "alice"),
        ("x-role", "viewer"),
        ("upgrade", "websocket"),
        ("connection", "Upgrade"),
        ("sec-websocket-protocol", "chat"),
        ("sec-websocket-version", "13"),
        ("origin", "https://app.example"),
    ] {
        assert_eq!(seen.one(name), Some(value));
    }
    assert_eq!(seen.one("cookie"), None);
    drop(raw);
}

#[test]
fn what_the_application_says_at_once_arrives_and_a_body_has_no_place() {
    let upstream = Upstream::answering(|_, stream| {
        let said = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x05hello";
        stream.write_all(said).unwrap();
        // Until the client goes.
        let _ = stream.read(&mut [0; 16]);
        Then::Close
    });
    let gateway = Wanted::before(upstream.address).start();
    let cookie = format!("Cookie: {}\r\nOrigin: https://app.example\r\n", gateway.sign_in("alice", &[]));
    let mut raw = Raw::connect(gateway.address);
    assert_eq!(raw.ask(handshake("/ws", &cookie)).status(), 101);
    let mut hello = [0; 7];
    raw.stream.read_exact(&mut hello).unwrap();
    assert_eq!(&hello, b"\x81\x05hello");
    let mut with_body = Raw::connect(gateway.address);
    assert_eq!(with_body.ask(handshake("/ws", &format!("{cookie}Content-Length: 5\r\n")) + "hello").status(), 400);
}

#[test]
fn without_a_session_there_is_none() {
    let upstream = echo();
    let rules = vec![Rule::new("/public/**", Allow::Anyone), Rule::new("/closed/**", Allow::Nobody)];
    let gateway = Wanted::before(upstream.address).rules(rules).start();
    let refused = Raw::connect(gateway.address).ask(handshake("/ws", "Accept: text/html\r\n"));
    assert_eq!((refused.status(), refused.header("set-cookie"), refused.header("location")), (401, None, None));
    assert_eq!(Raw::connect(gateway.address).ask(handshake("/closed/ws", "")).status(), 403);
    assert!(upstream.seen().is_empty());
    assert_eq!(Raw::connect(gateway.address).ask(handshake("/public/ws", "X-User: root\r\n")).status(), 101);
    assert_eq!(upstream.only().one("x-user"), None);
}

#[test]
fn another_site_s_page_can_t_use_the_session() {
    let upstream = echo();
    let gateway = Wanted::before(upstream.address).start();
    let cookie = gateway.sign_in("alice", &[]);
    for origin in [
        "https://evil.example",
        "http://app.example",
        "https://app.example.evil.example",
        "https://app.example:8443",
        "null",
        "https://app.example\r\nOrigin: https://evil.example",
    ] {
        let answer = Raw::connect(gateway.address).ask(handshake("/ws", &format!("Cookie: {cookie}\r\nOrigin: {origin}\r\n")));
        assert_eq!(answer.status(), 403, "{origin}");
    }
    assert!(upstream.seen().is_empty());
    for origin in ["Origin: https://app.example\r\n", "Origin: https://APP.example:443\r\n", ""] {
        opened(&gateway, &format!("Cookie: {cookie}\r\n{origin}"));
    }
}

#[test]
fn an_application_may_decline() {
    let upstream = Upstream::answering(|_, stream| {
        stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").unwrap();
        Then::Keep
    });
    let gateway = Wanted::before(upstream.address).start();
    let cookie = gateway.sign_in("alice", &[]);
    let mut raw = Raw::connect(gateway.address);
    let answer = raw.ask(handshake("/ws", &format!("Cookie: {cookie}\r\n")));
    assert_eq!((answer.status(), answer.text()), (403, "no".to_owned()));
    let again = raw.ask(format!("GET / HTTP/1.1\r\nHost: app.example\r\nCookie: {cookie}\r\n\r\n"));
    assert_eq!(again.status(), 403, "the connection goes on");
}

#[test]
fn it_ends_with_its_session_and_by_silence() {
    let upstream = echo();
    let wanted = Wanted::before(upstream.address);
    let gateway = wanted.upstream(|upstream| upstream.idle_timeout = Duration::from_millis(600)).start();
    let cookie = format!("Cookie: {}\r\n", gateway.sign_in("alice", &[]));
    let mut silent = opened(&gateway, &cookie);
    echoes(&mut silent, b"hello");
    assert!(silent.is_closed(), "nothing was said for too long");
    let gateway = Wanted::before(upstream.address).start();
    let cookie = format!("Cookie: {}\r\n", gateway.sign_in("alice", &[]));
    let mut ended = opened(&gateway, &cookie);
    echoes(&mut ended, b"hello");
    gateway.sign_out("alice");
    assert!(ended.is_closed(), "the session is over");
}

#[test]
fn each_side_can_end_it() {
    let upstream = Upstream::answering(|_, stream| {
        stream
            .write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nlast words")
            .unwrap();
        Then::Close
    });
    let gateway = Wanted::before(upstream.address).start();
    let cookie = gateway.sign_in("alice", &[]);
    let mut raw = Raw::connect(gateway.address);
    assert_eq!(raw.ask(handshake("/ws", &format!("Cookie: {cookie}\r\n"))).status(), 101);
    let mut words = [0; 10];
    raw.stream.read_exact(&mut words).unwrap();
    assert_eq!(&words, b"last words");
    assert!(raw.is_closed());
}

#[test]
fn stopping_doesn_t_wait_for_it() {
    let upstream = echo();
    let gateway = Wanted::before(upstream.address).start();
    let mut raw = opened(&gateway, &format!("Cookie: {}\r\n", gateway.sign_in("alice", &[])));
    echoes(&mut raw, b"hello");
    gateway.stop();
    assert!(raw.is_closed());
}
