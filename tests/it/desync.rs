//! What one request leaves behind on a connection to the application must not reach the next one.

use std::io::Write as _;
use std::time::Duration;

use samlgate::access::{Allow, Rule};

use crate::support::gateway::{Gateway, Wanted};
use crate::support::raw::{Raw, ask};
use crate::support::upstream::{Then, Upstream};

fn open(upstream: &Upstream) -> Gateway {
    let rules = vec![Rule::new("/**", Allow::Anyone)];
    Wanted::before(upstream.address).rules(rules).start()
}

fn request(method: &str, lines: &str) -> String {
    format!("{method} / HTTP/1.1\r\nHost: app.example\r\n{lines}\r\n")
}

/// Whether a GET goes over the connection of the request before it.
fn shares_its_connection(before: &str) -> bool {
    let upstream = Upstream::start();
    let gateway = open(&upstream);
    assert_eq!(ask(gateway.address, before).status(), 200, "{before}");
    let first = upstream.wait_for(1);
    assert_eq!(ask(gateway.address, request("GET", "")).status(), 200);
    first.connection == upstream.wait_for(2).connection
}

#[test]
fn a_connection_that_carried_a_body_carries_no_other_request() {
    assert!(shares_its_connection(&request("GET", "")), "connections are kept");
    let smuggled = request("GET", "X-User: root\r\n");
    for method in ["GET", "POST", "PUT", "DELETE"] {
        let sized = format!("{}{smuggled}", request(method, &format!("Content-Length: {}\r\n", smuggled.len())));
        assert!(!shares_its_connection(&sized), "{method}");
        let chunked =
            format!("{}{:x}\r\n{smuggled}\r\n0\r\n\r\n", request(method, "Transfer-Encoding: chunked\r\n"), smuggled.len());
        assert!(!shares_its_connection(&chunked), "{method}");
    }
}

#[test]
fn the_length_of_a_body_can_t_be_named_away() {
    for connection in ["content-length", "close, Content-Length", "keep-alive, transfer-encoding, content-length"] {
        let upstream = Upstream::start();
        let gateway = open(&upstream);
        let smuggled = request("GET", "X-User: root\r\n");
        let lines = format!("Connection: {connection}\r\nContent-Length: {}\r\n", smuggled.len());
        assert_eq!(ask(gateway.address, format!("{}{smuggled}", request("POST", &lines))).status(), 200);
        let seen = upstream.only();
        assert_eq!(seen.all("content-length"), [smuggled.len().to_string()], "{connection}");
        assert_eq!(seen.body, smuggled.as_bytes());
        let empty = request("POST", &format!("Connection: {connection}\r\nContent-Length: 0\r\n"));
        assert_eq!(ask(gateway.address, empty).status(), 200);
        assert_eq!(upstream.wait_for(2).all("content-length"), ["0"]);
        let chunked = request("POST", &format!("Connection: {connection}\r\nTransfer-Encoding: chunked\r\n"));
        assert_eq!(ask(gateway.address, format!("{chunked}3\r\nabc\r\n0\r\n\r\n")).status(), 200);
        assert_eq!(upstream.wait_for(3).body, b"3\r\nabc\r\n0\r\n\r\n");
    }
}

#[test]
fn a_head_request_leaves_nothing_for_the_next() {
    assert!(!shares_its_connection(&request("HEAD", "")));
}

#[test]
fn a_body_without_a_length_arrives_whatever_the_method() {
    for method in ["GET", "POST", "DELETE", "OPTIONS"] {
        let upstream = Upstream::start();
        let gateway = open(&upstream);
        let chunked = format!("{}5\r\nhello\r\n0\r\n\r\n", request(method, "Transfer-Encoding: chunked\r\n"));
        assert_eq!(ask(gateway.address, chunked).status(), 200);
        // As it came, chunk by chunk.
        assert_eq!(upstream.only().body, b"5\r\nhello\r\n0\r\n\r\n", "{method}");
    }
}

#[test]
fn an_answer_with_two_lengths_is_none() {
    let upstream = Upstream::answering(|_, stream| {
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n123456789\r\n0\r\n\r\n";
        if stream.write_all(answer.as_bytes()).is_ok() { Then::Keep } else { Then::Close }
    });
    let gateway = open(&upstream);
    assert_eq!(ask(gateway.address, request("GET", "")).status(), 502);
}

#[test]
fn octets_that_nobody_asked_for_are_nobody_s_answer() {
    // Behind its first answer the application says another one: at once, or after the client has got the first.
    for at_once in [true, false] {
        let (got_it, told) = std::sync::mpsc::channel();
        let told = std::sync::Mutex::new(told);
        let (said, hear) = std::sync::mpsc::channel();
        let upstream = Upstream::answering(move |seen, stream| {
            let answer = |body: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            if seen.connection > 0 {
                stream.write_all(answer("mine").as_bytes()).unwrap();
                return Then::Keep;
            }
            if at_once {
                stream.write_all([answer("first"), answer("stray")].concat().as_bytes()).unwrap();
            } else {
                stream.write_all(answer("first").as_bytes()).unwrap();
                told.lock().unwrap().recv().unwrap();
                stream.write_all(answer("stray").as_bytes()).unwrap();
            }
            said.send(()).unwrap();
            Then::Keep
        });
        let gateway = open(&upstream);
        assert_eq!(ask(gateway.address, request("GET", "")).text(), "first");
        let _ = got_it.send(());
        hear.recv_timeout(Duration::from_secs(20)).unwrap();
        assert_eq!(ask(gateway.address, request("GET", "")).text(), "mine", "at once: {at_once}");
    }
}

#[test]
fn an_answer_in_an_unknown_coding_is_none_and_what_comes_before_the_answer_is_not_it() {
    let upstream = Upstream::answering(|seen, stream| {
        let answer = match seen.line() {
            "GET /coded HTTP/1.1" => "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            _ => {
                "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 203 Odd\r\nContent-Length: 2\r\n\r\nok"
            }
        };
        if stream.write_all(answer.as_bytes()).is_ok() { Then::Keep } else { Then::Close }
    });
    let gateway = open(&upstream);
    assert_eq!(ask(gateway.address, "GET /coded HTTP/1.1\r\nHost: app.example\r\n\r\n").status(), 502);
    let answer = ask(gateway.address, request("GET", ""));
    assert_eq!((answer.status(), answer.text().as_str(), answer.header("link")), (203, "ok", None));
    assert!(answer.head.starts_with("HTTP/1.1 203 Odd\r\n"), "{}", answer.head);
}

#[test]
fn an_upload_ends_with_its_session() {
    let upstream = Upstream::start();
    let gateway = Wanted::before(upstream.address).start();
    let cookie = gateway.sign_in("alice", &[]);
    let mut client = Raw::connect(gateway.address);
    client.send(request("POST", &format!("Cookie: {cookie}\r\nTransfer-Encoding: chunked\r\n"))).send("5\r\nhello\r\n");
    gateway.sign_out("alice");
    gateway.clock.advance(Duration::from_secs(2));
    client.send("5\r\nworld\r\n0\r\n\r\n");
    assert!(client.answer().is_none_or(|answer| answer.status() != 200));
    let whole = |body: &[u8]| body.ends_with(b"0\r\n\r\n");
    assert!(!upstream.seen().iter().any(|seen| whole(&seen.body)), "no whole request arrives");
}
