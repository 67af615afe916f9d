//! WebSockets over HTTP/2 (RFC 8441) pass the same gate as those over HTTP/1.1, stream by stream.

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use h2::Reason;
use samlgate::access::{Allow, Rule};
use samlgate::proxy::settings::TlsFiles;
use samlgate::token::PlainToken;
use tempfile::TempDir;

use crate::support::gateway::{Gateway, Wanted, certificate};
use crate::support::upstream::{PATIENCE, Then, Upstream};
use crate::support::websocket_application::{Application, Frame, agreement, is_over, passes, text};
use crate::support::websocket_http2::Connection;

/// Headers.
type Lines<'a> = &'a [(&'a str, &'a str)];

struct Site {
    gateway: Gateway,
    files: TlsFiles,
    _directory: TempDir,
}

impl Site {
    fn start(mut wanted: Wanted) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let files = certificate(directory.path());
        wanted.tls = Some(files.clone());
        Self { gateway: wanted.start(), files, _directory: directory }
    }

    fn connect(&self) -> Connection {
        Connection::open(self.gateway.address, &self.files)
    }
}

#[test]
fn it_reaches_the_application_as_a_websocket_of_http1_with_the_users_identity() {
    let application = Application::start();
    let only_get = Rule { methods: vec![http::Method::GET], ..Rule::new("/ws", Allow::SignedIn) };
    let rules = vec![only_get, Rule::new("/**", Allow::Nobody)];
    let site = Site::start(Wanted::before(application.address()).rules(rules));
    let cookie = site.gateway.sign_in("alice", &[("role", &["viewer"])]);
    let connection = site.connect();
    let forged = [
        ("cookie", cookie.as_str()),
        ("cookie", "theirs=1"),
        ("origin", "https://app.example"),
        ("x-user", "root"),
        ("x_user", "root"),
        ("x-samlgate-assertion", "root"),
        ("x-forwarded-for", "root"),
        ("sec-websocket-key", "cm9vdHJvb3Ryb290cm9vdA=="),
        ("sec_websocket_key", "cm9vdHJvb3Ryb290cm9vdA=="),
        ("sec-websocket-extensions", "permessage-deflate"),
    ];
    let mut client = connection.websocket("/ws?x=y", &forged);
    assert_eq!(client.status(), 200);
    for absent in ["upgrade", "connection", "sec-websocket-accept", "content-length"] {
        assert!(!client.headers().contains_key(absent), "{absent}");
    }
    assert_eq!(client.headers()["sec-websocket-protocol"], "chat");
    assert_eq!(client.headers().get_all("set-cookie").iter().collect::<Vec<_>>(), ["theirs=1"]);

    let (seen, mut server) = application.next();
    assert_eq!(seen.line(), "GET /ws?x=y HTTP/1.1");
    for (name, value) in [
        ("host", "app.example"),
        ("x-user", "alice"),
        ("x-role", "viewer"),
        ("upgrade", "websocket"),
        ("connection", "Upgrade"),
        ("cookie", "theirs=1"),
        ("origin", "https://app.example"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-protocol", "chat"),
        ("sec-websocket-extensions", "permessage-deflate"),
    ] {
        assert_eq!(seen.one(name), Some(value), "{name}");
    }
    assert_eq!(seen.one("sec-websocket-key").map(str::len), Some(24));
    assert!(!seen.head.contains("root") && !seen.head.contains("cm9vd"), "{}", seen.head);
    assert!(seen.one("x-samlgate-assertion").is_some());

    passes(&mut client, &mut server, &text("hello", true));
    passes(&mut server, &mut client, &text("hello yourself", false));
    passes(&mut server, &mut client, &vec![7; 300_000]);
    passes(&mut client, &mut server, &vec![7; 300_000]);
}

#[test]
fn whoever_may_not_gets_the_refusal_of_a_script_and_nothing_arrives() {
    let application = Application::start();
    let admins = Allow::Members { roles: vec!["admin".to_owned()], groups: vec![], users: vec![], tenants: vec![] };
    let rules =
        vec![Rule::new("/admin/**", admins), Rule::new("/public/**", Allow::Anyone), Rule::new("/closed/**", Allow::Nobody)];
    let site = Site::start(Wanted::before(application.address()).rules(rules));
    let cookie = site.gateway.sign_in("alice", &[("role", &["viewer"])]);
    let alice = ("cookie", cookie.as_str());
    let connection = site.connect();
    let navigation = ("accept", "text/html");
    let grpc = ("content-type", "application/grpc");
    let cases: &[(&str, u16, Lines<'_>)] = &[
        ("/ws", 401, &[]),
        ("/ws", 401, &[navigation]),
        ("/ws", 401, &[navigation, ("sec-fetch-mode", "navigate")]),
        ("/ws", 401, &[grpc]),
        ("/ws", 401, &[("cookie", "__Host-samlgate=0123456789012345678901234567890123456789012")]),
        ("/admin/ws", 403, &[alice]),
        ("/admin/ws", 403, &[alice, grpc]),
        ("/closed/ws", 403, &[alice]),
        ("/ws", 403, &[alice, ("origin", "https://evil.example")]),
        ("/ws", 403, &[alice, ("origin", "http://app.example")]),
        ("/ws", 403, &[alice, ("origin", "null")]),
        ("/ws", 403, &[alice, ("origin", "https://app.example"), ("origin", "https://evil.example")]),
        ("/public/ws", 400, &[("host", "evil.example")]),
        ("/public/%2e%2e/ws", 400, &[]),
        // Nothing of ours is a WebSocket, whatever it would answer.
        ("/_samlgate/me", 400, &[alice]),
        ("/_samlgate/metadata", 400, &[]),
        ("/_samlgate/auth", 400, &[alice]),
        ("/_samlgate/auth/public/ws", 400, &[alice]),
    ];
    for (path, status, lines) in cases {
        let answer = connection.websocket(path, lines);
        assert_eq!(answer.status(), *status, "{path} {lines:?}");
        assert!(!answer.headers().contains_key("set-cookie") && !answer.headers().contains_key("location"));
        if *status == 401 {
            assert_eq!(answer.headers()["www-authenticate"], "SAML");
            assert!(answer.text().contains("login_required"));
        }
    }
    // Other tunnels, and other versions.
    let uri = "https://app.example/public/ws";
    let version = |version| [("sec-websocket-version", version)];
    assert_eq!(connection.ask(uri, Some("connect-udp"), &version("13")).status(), 400);
    assert_eq!(connection.ask("app.example:443", None, &[]).status(), 400);
    assert_eq!(connection.ask("https://app.example/_samlgate/auth", Some("connect-udp"), &[alice]).status(), 400);
    assert_eq!(connection.ask("ftp://app.example/public/ws", Some("websocket"), &version("13")).status(), 400);
    assert_eq!(connection.ask(uri, Some("websocket"), &version("12")).status(), 400);
    assert_eq!(connection.ask(uri, Some("websocket"), &[]).status(), 400);
    assert!(application.upstream.seen().is_empty());
    // The connection goes on all the while, and public paths are public.
    assert_eq!(connection.websocket("/public/ws", &[("x-user", "root")]).status(), 200);
    assert_eq!(application.next().0.one("x-user"), None);
}

#[test]
fn an_application_must_mean_this_handshake_and_may_decline() {
    let upstream = Upstream::answering(|seen, stream| {
        let agreed = agreement(seen);
        let answer = match seen.line().split(' ').nth(1).unwrap() {
            "/other-key" => agreed.replace("Sec-WebSocket-Accept: ", "Sec-WebSocket-Accept: x"),
            "/no-key" => agreed.replace("Sec-WebSocket-Accept", "X-Accept"),
            "/twice" => agreed.replace("Connection: Upgrade\r\n", "Connection: Upgrade\r\nSec-WebSocket-Accept: x\r\n"),
            "/other-protocol" => agreed.replace("Upgrade: websocket", "Upgrade: h2c"),
            "/as-a-page" => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_owned(),
            "/empty" => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
            "/moved" => "HTTP/1.1 302 Found\r\nLocation: /ws\r\nContent-Length: 0\r\n\r\n".to_owned(),
            _ => "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nSet-Cookie: __Host-samlgate=evil\r\n\r\nno".to_owned(),
        };
        stream.write_all(answer.as_bytes()).unwrap();
        Then::Keep
    });
    let site = Site::start(Wanted::before(upstream.address).rules(vec![Rule::new("/**", Allow::Anyone)]));
    let connection = site.connect();
    for path in ["/other-key", "/no-key", "/twice", "/other-protocol", "/as-a-page", "/empty"] {
        assert_eq!(connection.websocket(path, &[]).status(), 502, "{path}");
    }
    let moved = connection.websocket("/moved", &[]);
    assert_eq!((moved.status(), &moved.headers()["location"]), (302, &http::HeaderValue::from_static("/ws")));
    let declined = connection.websocket("/declined", &[]);
    assert_eq!((declined.status(), declined.headers().get("set-cookie")), (403, None));
    assert_eq!(declined.text(), "no");
}

#[test]
fn streams_of_one_connection_are_each_their_own_sessions() {
    let application = Application::start();
    let site = Site::start(Wanted::before(application.address()).rules(vec![Rule::new("/public/**", Allow::Anyone)]));
    let gateway = &site.gateway;
    let connection = site.connect();
    let open = |user: &str| {
        let cookie = gateway.sign_in(user, &[]);
        let client = connection.websocket("/ws", &[("cookie", &cookie)]);
        let (seen, server) = application.next();
        assert_eq!(seen.one("x-user"), Some(user));
        (client, server)
    };
    let (mut alice, mut for_alice) = open("alice");
    let (mut bob, mut for_bob) = open("bob");
    let (mut carol, mut for_carol) = open("carol");
    // Sessions last an hour after their last use. What bob says is bob's use; what is said to alice is nobody's.
    gateway.clock.advance(Duration::from_secs(50 * 60));
    for (client, server) in [(&mut bob, &mut for_bob), (&mut carol, &mut for_carol)] {
        passes(client, server, &text("still here", true));
    }
    passes(&mut for_alice, &mut alice, &text("are you there?", false));
    gateway.clock.advance(Duration::from_secs(20 * 60));
    let began = Instant::now();
    assert_eq!(Frame::read(&mut alice), Some(Frame::close(1008, "session ended", false)));
    assert!(is_over(&mut alice));
    assert_eq!(Frame::read(&mut for_alice), Some(Frame::close(1008, "session ended", true)));
    assert!(is_over(&mut for_alice));
    for (client, server) in [(&mut bob, &mut for_bob), (&mut carol, &mut for_carol)] {
        passes(client, server, &text("and still", true));
        passes(server, client, &text("indeed", false));
    }
    gateway.sign_out("bob");
    bob.write_all(&text("do it all the same", true)).unwrap();
    for_bob.write_all(&text("for your eyes only", false)).unwrap();
    assert_eq!(Frame::read(&mut bob), Some(Frame::close(1008, "session ended", false)));
    assert_eq!(Frame::read(&mut for_bob), Some(Frame::close(1008, "session ended", true)));
    assert!(is_over(&mut bob) && is_over(&mut for_bob));
    assert!(began.elapsed() < Duration::from_secs(12));
    // Other streams go on, whatever they are.
    passes(&mut carol, &mut for_carol, &text("and still", true));
    assert_eq!(connection.ask("https://app.example/public/x", None, &[]).text(), "ok");
}

#[test]
fn ends_are_passed_on_in_both_directions() {
    let application = Application::start();
    let site = Site::start(Wanted::before(application.address()).rules(vec![Rule::new("/**", Allow::Anyone)]));
    let connection = site.connect();
    let open = || (connection.websocket("/ws", &[]), application.next().1);

    // Half of it, and then the other.
    let (mut client, mut server) = open();
    client.write_all(&text("bye", true)).unwrap();
    client.finish();
    let mut rest = Vec::new();
    server.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, text("bye", true));
    passes(&mut server, &mut client, &text("bye yourself", false));
    drop(server);
    assert!(is_over(&mut client));

    // The application goes first.
    let (mut client, mut server) = open();
    server.write_all(&text("last words", false)).unwrap();
    server.shutdown(std::net::Shutdown::Write).unwrap();
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, text("last words", false));
    passes(&mut client, &mut server, &text("oh", true));
    client.finish();
    assert!(is_over(&mut server));

    // A reset ends both: nothing is kept for the application to speak to nobody.
    let cookie = site.gateway.sign_in("alice", &[]);
    let key = PlainToken::parse(cookie.split_once('=').unwrap().1).unwrap().hash();
    let session = site.gateway.store.session(&key).unwrap().unwrap();
    let held = Arc::strong_count(&session);
    for reason in [Reason::CANCEL, Reason::NO_ERROR, Reason::INTERNAL_ERROR] {
        let mut client = connection.websocket("/ws", &[("cookie", &cookie)]);
        let mut server = application.next().1;
        passes(&mut client, &mut server, &text("hello", true));
        assert!(Arc::strong_count(&session) > held);
        client.reset(reason);
        assert!(is_over(&mut server), "{reason}");
        let began = Instant::now();
        while Arc::strong_count(&session) > held {
            assert!(began.elapsed() < PATIENCE, "{reason}");
            std::thread::yield_now();
        }
    }
    let (mut client, mut server) = open();
    passes(&mut client, &mut server, &text("hello", true));
    socket2::SockRef::from(&server).set_linger(Some(Duration::ZERO)).unwrap();
    drop(server);
    assert!(is_over(&mut client));
    // The other streams' connection is still there.
    let (mut client, mut server) = open();
    passes(&mut client, &mut server, &text("hello", true));
}

#[test]
fn what_the_application_does_not_read_is_not_taken_from_the_client() {
    const MOST: usize = 64 << 20;
    let application = Application::start();
    let wanted = Wanted::before(application.address()).rules(vec![Rule::new("/**", Allow::Anyone)]);
    let site = Site::start(wanted.upstream(|upstream| upstream.idle_timeout = Duration::from_millis(600)));
    let connection = site.connect();
    let (mut client, server) = (connection.websocket("/ws", &[]), application.next().1);
    let mut sent = 0;
    // Until nothing has moved for too long, and samlgate says so. The system's own buffers take some.
    while sent < MOST && client.write_as_allowed(vec![0x82; 64 * 1024]) {
        sent += 64 * 1024;
    }
    assert!(sent < MOST, "{sent} octets were taken");
    drop(server);
}

#[test]
fn streams_that_are_not_read_leave_room_for_the_others() {
    let application = Application::start();
    let site = Site::start(Wanted::before(application.address()).rules(vec![Rule::new("/**", Allow::Anyone)]));
    let connection = site.connect();
    let mut streams: Vec<_> = (0..8).map(|_| (connection.websocket("/ws", &[]), application.next().1)).collect();
    let rooms: Vec<_> = streams.iter_mut().map(|(client, _)| client.allowance()).collect();
    assert!(rooms.iter().all(|room| *room == rooms[0]), "{rooms:?}");
}

#[test]
fn the_end_of_samlgate_is_told_too() {
    let application = Application::start();
    let site = Site::start(Wanted::before(application.address()).rules(vec![Rule::new("/**", Allow::Anyone)]));
    let connection = site.connect();
    let mut client = connection.websocket("/ws", &[]);
    let mut server = application.next().1;
    passes(&mut client, &mut server, &text("hello", true));
    let began = Instant::now();
    site.gateway.stop();
    assert!(began.elapsed() < Duration::from_secs(8));
    assert_eq!(Frame::read(&mut client), Some(Frame::close(1001, "shutting down", false)));
    assert!(is_over(&mut client));
    assert_eq!(Frame::read(&mut server), Some(Frame::close(1001, "shutting down", true)));
    assert!(is_over(&mut server));
}

#[test]
fn no_connect_is_answered_with_success() {
    let application = Application::start();
    let rules = vec![Rule::new("/public/**", Allow::Anyone)];
    let site = Site::start(Wanted::before(application.address()).rules(rules));
    let connection = site.connect();
    let grpc = [("content-type", "application/grpc"), ("sec-websocket-version", "13")];
    for (uri, protocol) in [("https://app.example/public/ws", Some("connect-udp")), ("app.example:443", None)] {
        let answer = connection.ask(uri, protocol, &grpc);
        assert_eq!(answer.status(), 400, "{uri} {protocol:?}");
    }
}
