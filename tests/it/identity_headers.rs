//! Identity headers that reach the application are samlgate's own or absent: on every route, in every spelling.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use samlgate::access::{Allow, Rule};
use samlgate::identity::headers::HeaderSettings;
use samlgate::identity::values::LONGEST_VALUE;

use crate::support::gateway::{Gateway, Wanted, certificate};
use crate::support::http2::Http2;
use crate::support::raw::{Answer, Raw, ask};
use crate::support::upstream::{Seen, Upstream};
use crate::support::vector_file;

const FORGED: &str = "forged-by-the-client";

fn names(settings: &mut HeaderSettings) {
    settings.user = Some(http::HeaderName::from_static("x-remote-user"));
}

fn gateway(upstream: &Upstream) -> Gateway {
    let rules = vec![Rule::new("/public/**", Allow::Anyone)];
    Wanted::before(upstream.address).headers(names).rules(rules).start()
}

/// The three kinds of routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    SignedIn,
    Public,
    WebSocket,
}

const ROUTES: [Route; 3] = [Route::SignedIn, Route::Public, Route::WebSocket];

fn request(route: Route, cookie: &str, lines: &str) -> String {
    let path = if route == Route::Public { "/public/x" } else { "/x" };
    let cookie = if route == Route::Public { String::new() } else { format!("Cookie: {cookie}; theirs=1\r\n") };
    let upgrade = match route {
        Route::WebSocket => {
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        }
        _ => "",
    };
    format!("GET {path} HTTP/1.1\r\nHost: app.example\r\n{cookie}{upgrade}{lines}\r\n")
}

/// Asks, and gives what the application saw, if anything.
fn through(gateway: &Gateway, upstream: &Upstream, request: &str) -> (Option<Answer>, Option<Seen>) {
    let before = upstream.seen().len();
    let answer = Raw::connect(gateway.address).send(request).answer();
    let seen = upstream.seen();
    assert!(seen.len() <= before + 1);
    (answer, seen.into_iter().nth(before))
}

/// What must be true of whatever the application sees.
fn check(route: Route, seen: &Seen, about: &str) {
    assert!(!seen.head.to_lowercase().contains(FORGED), "{about} {route:?}: {}", seen.head);
    let user = if route == Route::Public { None } else { Some("alice") };
    assert_eq!(seen.one("x-remote-user"), user, "{about} {route:?}");
    assert_eq!(seen.one("x-role"), user.map(|_| "viewer"), "{about} {route:?}");
    assert_eq!(seen.one("x-samlgate-assertion").is_some(), user.is_some(), "{about} {route:?}");
    assert!(!seen.head.contains("__Host-samlgate"), "{about} {route:?}: {}", seen.head);
    assert_eq!(seen.one("host"), Some("app.example"), "{about} {route:?}");
}

fn strings(vectors: &serde_json::Value, key: &str) -> Vec<String> {
    let some: Vec<String> = vectors[key].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect();
    assert!(!some.is_empty(), "{key}");
    some
}

#[test]
fn no_spelling_of_an_identity_header_gets_through() {
    let Some(vectors) = vector_file("http/identity-headers.json") else { return };
    let upstream = Upstream::with_websockets();
    let gateway = gateway(&upstream);
    let cookie = gateway.sign_in("alice", &[("role", &["viewer"])]);
    for route in ROUTES {
        for name in strings(&vectors, "must_strip") {
            for lines in [
                format!("{name}: {FORGED}\r\n"),
                format!("{name}: {FORGED}\r\n{name}: {FORGED}\r\nX-Role: {FORGED}\r\nx_role: {FORGED}\r\n"),
            ] {
                let (answer, seen) = through(&gateway, &upstream, &request(route, &cookie, &lines));
                assert!([101, 200].contains(&answer.unwrap().status()), "{name}");
                check(route, &seen.unwrap(), &name);
            }
        }
        for name in strings(&vectors, "invalid").into_iter().chain(strings(&vectors, "pass_or_drop")) {
            let (answer, seen) = through(&gateway, &upstream, &request(route, &cookie, &format!("{name}: {FORGED}\r\n")));
            let refused = answer.is_some_and(|answer| answer.status() == 400);
            assert_eq!(refused, seen.is_none(), "{name}");
            if let Some(mut seen) = seen {
                // A name that no server takes for ours may pass under its own.
                seen.head =
                    seen.head.lines().filter(|line| !line.to_lowercase().starts_with("http")).collect::<Vec<_>>().join("\r\n");
                check(route, &seen, &name);
            }
        }
        for name in strings(&vectors, "pass_through") {
            let (_, seen) = through(&gateway, &upstream, &request(route, &cookie, &format!("{name}: harmless\r\n")));
            let seen = seen.unwrap();
            assert_eq!(seen.one(&name), Some("harmless"));
            check(route, &seen, &name);
        }
    }
}

#[test]
fn nothing_can_be_named_away() {
    let Some(vectors) = vector_file("http/identity-headers.json") else { return };
    let upstream = Upstream::with_websockets();
    let gateway = gateway(&upstream);
    let cookie = gateway.sign_in("alice", &[("role", &["viewer"])]);
    let mut lines = strings(&vectors, "connection");
    lines.extend(
        ["X-Role, X-Samlgate-Assertion, X-Forwarded-For", "x-request-id", "close, X-Remote-User"]
            .map(|names| format!("Connection: {names}")),
    );
    for route in ROUTES {
        for line in &lines {
            let (_, seen) =
                through(&gateway, &upstream, &request(route, &cookie, &format!("{line}\r\nX-Remote-User: {FORGED}\r\n")));
            let seen = seen.unwrap();
            check(route, &seen, line);
            assert_eq!(seen.one("x-forwarded-for"), Some("127.0.0.1"));
            assert!(seen.one("x-request-id").is_some());
            let named = seen.one("connection").unwrap_or_default().to_lowercase();
            assert!(["", "upgrade"].contains(&named.as_str()), "{named}");
            if route != Route::Public {
                assert_eq!(seen.one("cookie"), Some("theirs=1"));
            }
        }
    }
}

#[test]
fn where_a_request_comes_from_is_ours_to_say() {
    let Some(vectors) = vector_file("http/identity-headers.json") else { return };
    let upstream = Upstream::with_websockets();
    let gateway = gateway(&upstream);
    let cookie = gateway.sign_in("alice", &[("role", &["viewer"])]);
    for route in ROUTES {
        for name in strings(&vectors, "forwarded") {
            for name in [name.clone(), name.replace('-', "_")] {
                let (_, seen) = through(&gateway, &upstream, &request(route, &cookie, &format!("{name}: {FORGED}\r\n")));
                let seen = seen.unwrap();
                check(route, &seen, &name);
                assert_eq!(seen.one("x-forwarded-for"), Some("127.0.0.1"));
                assert_eq!(seen.one("x-real-ip"), Some("127.0.0.1"));
                assert_eq!(seen.one("x-forwarded-host"), Some("app.example"));
                assert_eq!(seen.one("x-forwarded-proto"), Some("https"));
                assert_eq!(seen.one("forwarded"), Some("for=127.0.0.1;host=\"app.example\";proto=https"));
            }
        }
    }
}

#[test]
fn trailers_are_no_way_in() {
    let Some(vectors) = vector_file("http/identity-headers.json") else { return };
    let upstream = Upstream::with_websockets();
    let gateway = gateway(&upstream);
    let cookie = gateway.sign_in("alice", &[("role", &["viewer"])]);
    assert_eq!(
        strings(&vectors, "trailers"),
        ["Trailer: X-Remote-User + chunked trailer X-Remote-User: evil must not be merged into upstream headers"]
    );
    let names = strings(&vectors, "must_strip")
        .into_iter()
        .chain(["X-Role", "Cookie", "Host", "Content-Length", "X-Forwarded-For"].map(String::from));
    for (route, cookie) in [("/x", format!("Cookie: {cookie}\r\n")), ("/public/x", String::new())] {
        for name in names.clone() {
            let request = format!(
                "POST {route} HTTP/1.1\r\nHost: app.example\r\n{cookie}TE: trailers\r\nTrailer: {name}, X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n\
                 3\r\nabc\r\n0\r\n{name}: {FORGED}\r\nX-Sum: {FORGED}\r\n\r\n"
            );
            let before = upstream.seen().len();
            assert_eq!(ask(gateway.address, request).status(), 200);
            let seen = upstream.wait_for(before + 1);
            let body = String::from_utf8(seen.body.clone()).unwrap();
            assert!(body.starts_with("3\r\nabc\r\n0\r\n"), "{body}");
            assert!(!body.contains(FORGED), "{name}: {body}");
            assert!(!seen.head.contains(FORGED));
        }
        // An announced trailer that nobody takes for anything else does pass.
        let request = format!(
            "POST {route} HTTP/1.1\r\nHost: app.example\r\n{cookie}Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 42\r\nX-Remote-User: {FORGED}\r\n\r\n"
        );
        let before = upstream.seen().len();
        assert_eq!(ask(gateway.address, request).status(), 200);
        let body = String::from_utf8(upstream.wait_for(before + 1).body).unwrap().to_lowercase();
        assert!(body.contains("x-sum: 42") && !body.contains(FORGED), "{body}");
    }
}

#[tokio::test]
async fn the_same_holds_for_http2() {
    let Some(vectors) = vector_file("http/identity-headers.json") else { return };
    let directory = tempfile::tempdir().unwrap();
    let files = certificate(directory.path());
    let upstream = Upstream::with_websockets();
    let rules = vec![Rule::new("/public/**", Allow::Anyone)];
    let mut wanted = Wanted::before(upstream.address).headers(names).rules(rules);
    wanted.tls = Some(files.clone());
    let gateway = tokio::task::spawn_blocking(|| wanted.start()).await.unwrap();
    let (gateway, cookie) = tokio::task::spawn_blocking(move || {
        let cookie = gateway.sign_in("alice", &[("role", &["viewer"])]);
        (gateway, cookie)
    })
    .await
    .unwrap();
    let mut client = Http2::connect(gateway.address, &files).await;
    let mut count = 0;
    for name in strings(&vectors, "must_strip").into_iter().chain(strings(&vectors, "forwarded")) {
        for (path, route) in [("/x", Route::SignedIn), ("/public/x", Route::Public)] {
            let mut request = Request::get(format!("https://app.example{path}")).header(name.to_lowercase(), FORGED);
            if route == Route::SignedIn {
                // Two lines, as HTTP/2 may split them.
                request = request.header("cookie", &cookie).header("cookie", "theirs=1");
            }
            let answer = client.ask(request.body(Full::<Bytes>::default()).unwrap()).await.unwrap();
            assert_eq!(answer.status(), 200, "{name}");
            count += 1;
            let seen = upstream.seen().into_iter().nth(count - 1).unwrap();
            check(route, &seen, &name);
            assert_eq!(seen.one("cookie"), (route == Route::SignedIn).then_some("theirs=1"));
            assert_eq!(seen.line(), format!("GET {path} HTTP/1.1"));
        }
    }
    // Two names for the host.
    let request = Request::get("https://app.example/public/x").header("host", "evil.example").body(Full::default()).unwrap();
    assert_eq!(client.ask(request).await.map(|answer| answer.status().as_u16()), Some(400));
}

#[test]
fn values_reach_the_application_without_a_way_to_mistake_them() {
    let Some(vectors) = vector_file("http/identity-headers.json") else { return };
    let upstream = Upstream::with_websockets();
    let gateway = gateway(&upstream);
    for value in strings(&vectors, "values") {
        // What can't be a value in XML, or in an identity, is refused at login: nothing to send then.
        if value.chars().any(char::is_control) {
            continue;
        }
        let cookie = gateway.sign_in("alice", &[("role", &["viewer"]), ("name", &[&value]), ("groups", &[&value, "second"])]);
        let (_, seen) = through(&gateway, &upstream, &request(Route::SignedIn, &cookie, ""));
        let seen = seen.unwrap();
        let decode = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8().unwrap().into_owned();
        if value.len() > LONGEST_VALUE {
            assert_eq!(seen.one("x-name"), None, "too long for a header of any server");
            continue;
        }
        assert_eq!(seen.one("x-name").map(decode).as_deref(), Some(value.as_str()));
        let groups: Vec<String> = seen.one("x-groups").unwrap().split(',').map(decode).collect();
        assert_eq!(groups, [value.as_str(), "second"]);
    }
}
