//! Between client and application: streams, connections, limits, failures.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use samlgate::access::{Allow, Rule};
use samlgate::proxy::settings::UpstreamUrl;
use samlgate::token::{PlainToken, SystemEntropy};

use crate::store_away::Away;
use crate::support::gateway::{Gateway, Wanted, certificate};
use crate::support::http2::{Http2, tls};
use crate::support::raw::{Raw, ask};
use crate::support::upstream::{Seen, Then, Upstream};

fn everything_open() -> Vec<Rule> {
    vec![Rule::new("/**", Allow::Anyone)]
}

fn open(upstream: &Upstream) -> Gateway {
    Wanted::before(upstream.address).rules(everything_open()).start()
}

fn get(path: &str, lines: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: app.example\r\n{lines}\r\n")
}

fn write(stream: &mut std::net::TcpStream, text: &str) -> Then {
    match stream.write_all(text.as_bytes()) {
        Ok(()) => Then::Keep,
        Err(_) => Then::Close,
    }
}

#[test]
fn who_is_signed_in_is_told_and_who_isn_t_is_asked() {
    let upstream = Upstream::start();
    let gateway = Wanted::before(upstream.address).start();
    let navigation = ask(gateway.address, get("/deep?link=1", "Sec-Fetch-Mode: navigate\r\n"));
    assert_eq!(navigation.status(), 302, "{}", navigation.head);
    assert!(navigation.header("location").unwrap().starts_with("https://idp.example/sso?SAMLRequest="));
    let fetch = ask(gateway.address, get("/", "Sec-Fetch-Mode: cors\r\n"));
    assert_eq!((fetch.status(), fetch.header("www-authenticate")), (401, Some("SAML")));
    assert!(fetch.text().contains("login_required"));
    assert!(upstream.seen().is_empty());

    let cookie = gateway.sign_in("alice", &[("role", &["admin"]), ("groups", &["a", "b"]), ("mail", &["alice@example.com"])]);
    let request = get("/deep?link=1", &format!("Cookie: a=b; {cookie}; c=d\r\n"));
    assert_eq!(ask(gateway.address, &request).text(), "hello");
    let seen = upstream.only();
    assert_eq!(seen.line(), "GET /deep?link=1 HTTP/1.1");
    for (name, value) in
        [("x-user", "alice"), ("x-role", "admin"), ("x-groups", "a,b"), ("x-email", "alice@example.com"), ("cookie", "a=b; c=d")]
    {
        assert_eq!(seen.one(name), Some(value));
    }
    assert_eq!((seen.one("x-name"), seen.one("x-tenant")), (None, None));
    assert_eq!(seen.one("x-samlgate-assertion").unwrap().split('.').count(), 3);
    assert!(seen.one("x-request-id").unwrap().len() >= 16);
    assert_eq!(ask(gateway.address, get("/_samlgate/me", &format!("Cookie: {cookie}\r\n"))).status(), 200);
    assert_eq!(upstream.seen().len(), 1, "its own endpoints are answered by samlgate");

    gateway.sign_out("alice");
    assert_eq!(ask(gateway.address, get("/", &format!("Cookie: {cookie}\r\nSec-Fetch-Mode: cors\r\n"))).status(), 401);
}

#[test]
fn a_request_is_only_what_it_says_itself_whoever_asked_before_on_the_connection() {
    let upstream = Upstream::start();
    let gateway = Wanted::before(upstream.address).start();
    let cookie = |user| format!("Cookie: {}\r\n", gateway.sign_in(user, &[("role", &[user])]));
    let (alice, bob) = (cookie("alice"), cookie("bob"));
    let mut connection = Raw::connect(gateway.address);
    assert_eq!(
        connection.ask(get("/a?b", &format!("{alice}X-Custom: 1\r\nTE: trailers\r\nAccept: text/html\r\n"))).status(),
        200
    );
    assert_eq!(connection.ask(get("/b", &bob)).status(), 200);
    let stranger = connection.ask(get("/c", "Sec-Fetch-Mode: cors\r\n"));
    assert_eq!((stranger.status(), stranger.text().contains("<html")), (401, false), "{}", stranger.head);
    assert_eq!(connection.ask(get("/d", &alice)).status(), 200);
    // All at once: the next head is here while the one before is answered.
    connection.send([get("/e", &bob), get("/f", "Sec-Fetch-Mode: cors\r\n"), get("/g", &alice)].concat());
    let statuses = [(); 3].map(|()| connection.answer().unwrap().status());
    assert_eq!(statuses, [200, 401, 200]);
    let seen = upstream.seen();
    let told: Vec<_> =
        seen.iter().map(|seen| (seen.line(), seen.one("x-user"), seen.one("x-role"), seen.one("x-custom"))).collect();
    let line = |path| format!("GET {path} HTTP/1.1");
    let expected = [("/a?b", "alice"), ("/b", "bob"), ("/d", "alice"), ("/e", "bob"), ("/g", "alice")];
    let expected = expected.map(|(path, user)| (line(path), user));
    let custom = |path: &str| Some("1").filter(|_| path.contains("/a?b"));
    let expected: Vec<_> = expected.iter().map(|(line, user)| (line.as_str(), Some(*user), Some(*user), custom(line))).collect();
    assert_eq!(told, expected);
}

#[test]
fn an_assertion_is_minted_once_and_again_at_half_its_life() {
    let upstream = Upstream::start();
    let gateway = Wanted::before(upstream.address).start();
    let request = get("/", &format!("Cookie: {}\r\n", gateway.sign_in("alice", &[])));
    let assertion = |count: usize| {
        assert_eq!(ask(gateway.address, &request).status(), 200);
        upstream.wait_for(count).one("x-samlgate-assertion").unwrap().to_owned()
    };
    let first = assertion(1);
    gateway.clock.advance(Duration::from_secs(29));
    assert_eq!(assertion(2), first);
    gateway.clock.advance(Duration::from_secs(2));
    assert_ne!(assertion(3), first);
}

#[test]
fn sessions_end_by_silence_and_public_routes_know_who_is_there() {
    let upstream = Upstream::start();
    let rules = vec![Rule::new("/public/**", Allow::Anyone)];
    let gateway = Wanted::before(upstream.address).rules(rules).start();
    let lines = format!("Cookie: {}\r\nSec-Fetch-Mode: cors\r\n", gateway.sign_in("alice", &[]));
    assert_eq!(ask(gateway.address, get("/public/x", &lines)).status(), 200);
    assert_eq!(upstream.wait_for(1).one("x-user"), Some("alice"));
    for _ in 0..3 {
        gateway.clock.advance(Duration::from_secs(3000));
        assert_eq!(ask(gateway.address, get("/", &lines)).status(), 200, "use keeps it alive");
    }
    gateway.clock.advance(Duration::from_secs(3601));
    assert_eq!(ask(gateway.address, get("/", &lines)).status(), 401);
    assert_eq!(ask(gateway.address, get("/public/x", &lines)).status(), 200);
    assert_eq!(upstream.wait_for(5).one("x-user"), None);
    // Two session cookies are none.
    let two = format!("Cookie: {0}; {0}\r\nSec-Fetch-Mode: cors\r\n", gateway.sign_in("alice", &[]));
    assert_eq!(ask(gateway.address, get("/", &two)).status(), 401);
}

#[test]
fn roles_and_groups_decide() {
    let upstream = Upstream::start();
    let some = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<String>>();
    let members = |roles: &[&str], groups: &[&str], users: &[&str], tenants: &[&str]| Allow::Members {
        roles: some(roles),
        groups: some(groups),
        users: some(users),
        tenants: some(tenants),
    };
    let rule = |path: &str, allow: Allow| Rule::new(path, allow);
    let rules = vec![rule("/admin/**", members(&["admin"], &["wheel"], &["root"], &["hq"])), rule("/closed", Allow::Nobody)];
    let gateway = Wanted::before(upstream.address).rules(rules).start();
    type Case<'a> = (&'a str, &'a [(&'a str, &'a [&'a str])], u16);
    let cases: [Case<'_>; 6] = [
        ("alice", &[("role", &["viewer"]), ("groups", &["admin", "staff"]), ("tenant", &["wheel"])], 403),
        ("alice", &[("role", &["admin"])], 200),
        ("alice", &[("groups", &["staff", "wheel"])], 200),
        ("root", &[], 200),
        ("alice", &[("tenant", &["hq"])], 200),
        ("admin", &[("role", &["Admin"])], 403),
    ];
    for (user, attributes, status) in cases {
        let lines = format!("Cookie: {}\r\n", gateway.sign_in(user, attributes));
        for path in ["/admin", "/admin/x"] {
            assert_eq!(ask(gateway.address, get(path, &lines)).status(), status, "{user} {attributes:?} {path}");
        }
        assert_eq!(ask(gateway.address, get("/closed", &lines)).status(), 403);
        assert_eq!(ask(gateway.address, get("/else", &lines)).status(), 200);
    }
    assert_eq!(ask(gateway.address, get("/closed", "Accept: text/html\r\n")).status(), 403);
}

#[test]
fn a_store_that_is_away_widens_nothing() {
    let upstream = Upstream::start();
    let rules = vec![Rule::new("/public/**", Allow::Anyone)];
    let mut wanted = Wanted::before(upstream.address).rules(rules);
    wanted.store = Some(Arc::new(Away));
    let gateway = wanted.start();
    let lines = format!("Cookie: __Host-samlgate={}\r\n", PlainToken::generate(&SystemEntropy).expose());
    assert_eq!(ask(gateway.address, get("/x", &lines)).status(), 503);
    assert!(upstream.seen().is_empty());
    assert_eq!(ask(gateway.address, get("/public/x", &lines)).status(), 200);
    assert_eq!(upstream.only().one("x-user"), None);
    assert_eq!(ask(gateway.address, get("/x", "Sec-Fetch-Mode: cors\r\n")).status(), 401, "without a cookie nothing is asked");
}

#[test]
fn connections_to_the_application_are_used_again() {
    let upstream = Upstream::start();
    let gateway = open(&upstream);
    for _ in 0..5 {
        assert_eq!(ask(gateway.address, get("/", "")).status(), 200);
    }
    let mut raw = Raw::connect(gateway.address);
    for _ in 0..5 {
        assert_eq!(raw.ask(get("/", "")).text(), "hello");
    }
    assert!(upstream.seen().iter().all(|seen| seen.connection == 0));
}

#[test]
fn a_connection_that_the_application_closed_is_noticed_and_a_request_that_can_be_repeated_is() {
    // Answers once on every connection, then hangs up when the next request comes.
    let served = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&served);
    let upstream = Upstream::answering(move |seen, stream| {
        let first_on_this = seen.line().starts_with("GET /warm") || counted.fetch_add(1, Ordering::SeqCst) % 2 == 1;
        if !first_on_this {
            return Then::Close;
        }
        write(stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    });
    let gateway = open(&upstream);
    let request =
        |line: &str, body: &str| format!("{line} HTTP/1.1\r\nHost: app.example\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    assert_eq!(ask(gateway.address, get("/warm", "")).status(), 200);
    assert_eq!(ask(gateway.address, get("/again", "")).status(), 200, "sent once more on a new connection");
    assert_eq!(upstream.seen().len(), 3);
    assert_eq!(ask(gateway.address, request("DELETE /again", "")).status(), 200);
    // A POST might do its work twice, and a body is gone: they get a connection that can't be stale.
    for line in ["POST /once", "PUT /once"] {
        assert_eq!(ask(gateway.address, get("/warm", "")).status(), 200);
        served.store(0, Ordering::SeqCst);
        let before = upstream.seen().len();
        assert_eq!(ask(gateway.address, request(line, "body")).status(), 502, "{line}");
        assert_eq!(upstream.seen().len(), before + 1, "{line}");
        let seen = upstream.seen();
        let alone = seen.iter().filter(|other| other.connection == seen[before].connection).count() == 1;
        assert!(alone, "{line}");
    }
    // On a fresh connection nothing is repeated: it isn't stale.
    served.store(0, Ordering::SeqCst);
    let gateway = open(&upstream);
    assert_eq!(ask(gateway.address, get("/fresh", "")).status(), 502);
}

#[test]
fn an_application_that_is_gone_or_talks_nonsense_is_502_and_a_slow_one_504() {
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gateway = Wanted::before(nowhere).start();
    let cookie = gateway.sign_in("alice", &[]);
    let page = ask(gateway.address, get("/", &format!("Cookie: {cookie}\r\nAccept: text/html\r\n")));
    assert_eq!((page.status(), page.header("content-type").unwrap().starts_with("text/html")), (502, true));
    let json = ask(gateway.address, get("/", &format!("Cookie: {cookie}\r\nAccept: application/json\r\n")));
    assert_eq!((json.status(), json.header("content-type")), (502, Some("application/json")));
    assert!(json.text().contains("request_id"), "{}", json.text());
    assert_eq!(ask(gateway.address, get("/_samlgate/me", &format!("Cookie: {cookie}\r\n"))).status(), 200, "the session is kept");

    for nonsense in [
        "SSH-2.0-OpenSSH\r\n",
        "HTTP/1.1 abc\r\n\r\n",
        "",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
    ] {
        let upstream = Upstream::answering(move |_, stream| {
            write(stream, nonsense);
            Then::Close
        });
        let gateway = open(&upstream);
        assert_eq!(ask(gateway.address, get("/", "")).status(), 502, "{nonsense:?}");
    }

    let (hold, held) = std::sync::mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let upstream = Upstream::answering(move |_, _| {
        let _ = held.lock().unwrap().recv();
        Then::Close
    });
    let wanted = Wanted::before(upstream.address).rules(everything_open());
    let gateway = wanted.upstream(|upstream| upstream.response_timeout = Duration::from_millis(300)).start();
    assert_eq!(ask(gateway.address, get("/", "")).status(), 504);
    drop(hold);
}

#[test]
fn what_is_cut_off_is_not_passed_off_as_whole() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nnonsense",
    ] {
        let upstream = Upstream::answering(move |_, stream| {
            write(stream, answer);
            Then::Close
        });
        let gateway = open(&upstream);
        let mut raw = Raw::connect(gateway.address);
        raw.send(get("/", ""));
        if let Some(answer) = raw.answer() {
            assert!(!answer.whole, "{answer:?}");
        }
        assert!(raw.is_closed());
    }
    // Without a length, the end of the connection is the end.
    let upstream = Upstream::answering(|_, stream| {
        write(stream, "HTTP/1.0 200 OK\r\n\r\nhello");
        Then::Close
    });
    let gateway = open(&upstream);
    let answer = ask(gateway.address, get("/", ""));
    assert!(answer.head.starts_with("HTTP/1.1 200"));
    assert!(answer.whole && answer.text().contains("hello"));
}

#[test]
fn an_answer_that_can_have_no_body_names_no_length() {
    let upstream = Upstream::answering(|_, stream| write(stream, "HTTP/1.1 204 Nothing\r\nX-A: b\r\nContent-Length: 5\r\n\r\n"));
    let gateway = open(&upstream);
    // By HTTP/1.0 the answer goes another way.
    for request in [get("/", ""), get("/", "").replace("HTTP/1.1", "HTTP/1.0")] {
        let head = ask(gateway.address, request).head.to_lowercase();
        assert!(head.contains(" 204 nothing\r\n") && head.contains("x-a: b\r\n") && !head.contains("content-length"), "{head}");
    }
}

#[test]
fn a_client_that_closes_its_side_gets_its_answer() {
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let upstream = Upstream::answering(move |_, stream| {
        wait.lock().unwrap().recv().unwrap();
        write(stream, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
    });
    let gateway = open(&upstream);
    let mut raw = Raw::connect(gateway.address);
    raw.send(get("/", ""));
    raw.stream.shutdown(std::net::Shutdown::Write).unwrap();
    go_on.send(()).unwrap();
    let answer = raw.answer().expect("an answer");
    assert!(answer.whole && answer.text().contains("hello"), "{answer:?}");
    assert!(raw.is_closed());
}

#[test]
fn answers_stream_and_connection_headers_stay_behind() {
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let upstream = Upstream::answering(move |_, stream| {
        write(
            stream,
            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nConnection: X-Private, keep-alive\r\nX-Private: 1\r\nKeep-Alive: timeout=5\r\n\
             Proxy-Authenticate: x\r\nUpgrade: h2c\r\nSet-Cookie: __Host-samlgate=evil\r\nSet-Cookie: theirs=1\r\nLocation: http://elsewhere/\r\n\
             Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nfirst\n\r\n",
        );
        wait.lock().unwrap().recv().unwrap();
        write(stream, "7\r\nsecond\n\r\n0\r\nX-Sum: 42\r\n\r\n")
    });
    let gateway = open(&upstream);
    let mut raw = Raw::connect(gateway.address);
    raw.send(get("/", ""));
    let head = crate::support::upstream::read_head(&mut raw.stream).unwrap();
    let mut first = [0; 11];
    raw.stream.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"6\r\nfirst\n\r\n", "it comes while the answer isn't over");
    go_on.send(()).unwrap();
    let mut rest = Vec::new();
    assert!(crate::support::upstream::read_chunks(&mut raw.stream, &mut rest));
    assert!(rest.starts_with(b"7\r\nsecond\n\r\n0\r\n"));
    let head = head.to_lowercase();
    for absent in ["x-private", "keep-alive", "proxy-authenticate", "upgrade", "evil", "connection"] {
        assert!(!head.contains(absent), "{absent}: {head}");
    }
    for present in ["set-cookie: theirs=1", "location: http://elsewhere/", "text/event-stream"] {
        assert!(head.contains(present), "{present}: {head}");
    }
}

#[test]
fn uploads_stream_sized_and_chunked_and_wait_for_100() {
    let upstream = Upstream::answering(|seen, stream| {
        let text = format!("{}", seen.body.len());
        write(stream, &format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()))
    });
    let gateway = open(&upstream);
    let big = vec![b'x'; 3 << 20];
    let mut raw = Raw::connect(gateway.address);
    raw.send(format!("POST / HTTP/1.1\r\nHost: app.example\r\nContent-Length: {}\r\n\r\n", big.len())).send(&big);
    assert_eq!(raw.answer().unwrap().text(), big.len().to_string());
    assert_eq!(upstream.wait_for(1).one("content-length"), Some(big.len().to_string().as_str()));
    raw.send("POST / HTTP/1.1\r\nHost: app.example\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    raw.send("6\r\n world\r\n0\r\n\r\n");
    assert_eq!(raw.answer().unwrap().status(), 200);
    let seen = upstream.wait_for(2);
    assert_eq!(seen.one("transfer-encoding"), Some("chunked"));
    assert!(seen.body.ends_with(b"world\r\n0\r\n\r\n"));
    // The client waits until it is let through.
    raw.send("POST / HTTP/1.1\r\nHost: app.example\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(raw.answer().unwrap().status(), 100);
    raw.send("hello");
    assert_eq!(raw.answer().unwrap().text(), "5");
    assert_eq!(upstream.wait_for(3).one("expect"), None);
    let closed = Wanted::before(upstream.address).start();
    let refused =
        ask(closed.address, "POST / HTTP/1.1\r\nHost: app.example\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(refused.status(), 401, "whoever isn't let through isn't asked for a body");
}

#[test]
fn bodies_have_a_limit_when_one_is_set() {
    let upstream = Upstream::start();
    let wanted = Wanted::before(upstream.address).rules(everything_open());
    let gateway = wanted.upstream(|upstream| upstream.max_body = Some(10)).start();
    let sized =
        |length: usize| format!("POST / HTTP/1.1\r\nHost: app.example\r\nContent-Length: {length}\r\n\r\n{}", "x".repeat(length));
    let chunked = |length: usize| {
        format!(
            "POST / HTTP/1.1\r\nHost: app.example\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{}\r\n0\r\n\r\n",
            "x".repeat(length)
        )
    };
    assert_eq!(ask(gateway.address, sized(10)).status(), 200);
    assert_eq!(ask(gateway.address, chunked(10)).status(), 200);
    assert_eq!(ask(gateway.address, sized(11)).status(), 413);
    assert_eq!(upstream.seen().len(), 2);
    assert_eq!(ask(gateway.address, chunked(11)).status(), 413);
}

#[test]
fn an_early_answer_reaches_the_client_before_its_body_is_sent() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            crate::support::upstream::read_head(&mut stream).unwrap();
            stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").unwrap();
            let _ = stream.read(&mut [0; 16]);
        }
    });
    let gateway = Wanted::before(address).rules(everything_open()).start();
    let mut raw = Raw::connect(gateway.address);
    raw.send("POST / HTTP/1.1\r\nHost: app.example\r\nContent-Length: 1000000\r\n\r\nsome");
    let answer = raw.answer().unwrap();
    assert_eq!((answer.status(), answer.text()), (403, "no".to_owned()));
}

#[test]
fn head_and_bodiless_answers_keep_their_headers() {
    let upstream = Upstream::answering(|seen, stream| match seen.line().split(' ').next().unwrap() {
        "HEAD" => write(stream, "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n"),
        _ => write(stream, "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n"),
    });
    let gateway = open(&upstream);
    let mut raw = Raw::connect(gateway.address);
    raw.send("HEAD / HTTP/1.1\r\nHost: app.example\r\n\r\n");
    let head = crate::support::upstream::read_head(&mut raw.stream).unwrap().to_lowercase();
    assert!(head.starts_with("http/1.1 200") && head.contains("content-length: 1234"), "{head}");
    let answer = raw.ask(get("/", ""));
    assert_eq!((answer.status(), answer.header("etag")), (304, Some("\"x\"")));
    assert_eq!(raw.ask(get("/", "")).status(), 304);
    let connections: Vec<_> = upstream.seen().iter().map(|seen| seen.connection).collect();
    assert_eq!(connections, [0, 1, 1], "only the HEAD request's connection isn't used again");
}

#[test]
fn the_host_is_kept_or_the_application_s_own() {
    let upstream = Upstream::start();
    let wanted = Wanted::before(upstream.address).rules(everything_open());
    let gateway = wanted.upstream(|upstream| upstream.preserve_host = false).start();
    assert_eq!(ask(gateway.address, get("/", "")).status(), 200);
    let seen = upstream.only();
    assert_eq!(seen.one("host"), Some(upstream.address.to_string().as_str()));
    assert_eq!(seen.one("x-forwarded-host"), Some("app.example"));
}

#[test]
fn trusted_proxies_say_where_a_request_comes_from() {
    let upstream = Upstream::start();
    let mut wanted = Wanted::before(upstream.address).rules(everything_open());
    wanted.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let gateway = wanted.start();
    let lines = "X-Forwarded-For: 9.9.9.9, 192.0.2.7\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: users.example\r\nX-Forwarded-User: root\r\n";
    assert_eq!(ask(gateway.address, get("/", lines)).status(), 200);
    let seen = upstream.only();
    assert_eq!(seen.one("x-forwarded-for"), Some("192.0.2.7, 127.0.0.1"));
    assert_eq!(seen.one("x-real-ip"), Some("192.0.2.7"));
    assert_eq!((seen.one("x-forwarded-proto"), seen.one("x-forwarded-host")), (Some("http"), Some("users.example")));
    assert_eq!(seen.one("x-forwarded-user"), None);
}

#[test]
fn an_application_can_listen_on_a_unix_socket() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        crate::support::upstream::read_head(&mut stream).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nunix").unwrap();
    });
    let wanted = Wanted::before(([127, 0, 0, 1], 9).into()).rules(everything_open());
    let gateway = wanted.upstream(|upstream| upstream.url = UpstreamUrl::Unix(path)).start();
    assert_eq!(ask(gateway.address, get("/", "")).text(), "unix");
}

#[tokio::test]
async fn tls_speaks_1_2_and_1_3_http1_and_http2() {
    let directory = tempfile::tempdir().unwrap();
    let files = certificate(directory.path());
    let upstream = Upstream::start();
    let mut wanted = Wanted::before(upstream.address).rules(everything_open());
    wanted.tls = Some(files.clone());
    let gateway = wanted.start();
    let request = || http::Request::get("https://app.example/x").body(http_body_util::Full::default()).unwrap();
    let mut http2 = Http2::connect(gateway.address, &files).await;
    let answers = [http2.ask(request()).await.unwrap(), http2.ask(request()).await.unwrap()];
    assert!(answers.iter().all(|answer| answer.body() == "hello"));
    assert_eq!(upstream.wait_for(2).one("x-forwarded-proto"), Some("https"));
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let tcp = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
        let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
        let stream = tls(&files, &["http/1.1"], &[version]).connect(name, tcp).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        assert_eq!(stream.get_ref().1.protocol_version(), Some(version.version));
    }
}

#[tokio::test]
async fn an_application_can_speak_tls_and_must_be_the_right_one() {
    let directory = tempfile::tempdir().unwrap();
    let files = certificate(directory.path());
    // samlgate in front of samlgate in front of the application.
    let upstream = Upstream::start();
    let mut inner = Wanted::before(upstream.address).rules(everything_open());
    inner.tls = Some(files.clone());
    let inner = inner.start();
    let outer = |ca: bool, name: &str| {
        let url = UpstreamUrl::Https { host: "127.0.0.1".to_owned(), port: inner.address.port() };
        let (ca, name) = (ca.then(|| files.certificate.clone()), Some(name.to_owned()));
        let wanted = Wanted::before(inner.address).rules(everything_open());
        wanted.upstream(|upstream| (upstream.url, upstream.ca, upstream.server_name) = (url, ca, name)).start()
    };
    let status = |gateway: Gateway| ask(gateway.address, get("/", "")).status();
    assert_eq!(status(outer(true, "app.example")), 200);
    assert_eq!(upstream.only().one("x-forwarded-proto"), Some("https"));
    let large = "x".repeat(3_000_000);
    let upload = format!("POST / HTTP/1.1\r\nHost: app.example\r\nContent-Length: {}\r\n\r\n{large}", large.len());
    assert_eq!(ask(outer(true, "app.example").address, upload).status(), 200);
    assert_eq!(upstream.wait_for(2).body.len(), large.len());
    assert_eq!(status(outer(true, "evil.example")), 502);
    assert_eq!(status(outer(false, "app.example")), 502, "the system doesn't know it");
}

#[test]
fn a_slow_head_is_refused_and_a_silent_application_is_left() {
    // Neither limit is waited for in full here: what is shown is that silence in a stream ends it, on both sides.
    let upstream = Upstream::answering(|_, stream| {
        write(stream, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome");
        let _ = stream.read(&mut [0; 1]);
        Then::Close
    });
    let wanted = Wanted::before(upstream.address).rules(everything_open());
    let gateway = wanted.upstream(|upstream| upstream.idle_timeout = Duration::from_millis(300)).start();
    let mut raw = Raw::connect(gateway.address);
    let answer = raw.ask(get("/", ""));
    assert_eq!((answer.whole, answer.text()), (false, "some".to_owned()));
    assert!(raw.is_closed());
    // A client that stops in the middle of its body.
    let mut raw = Raw::connect(gateway.address);
    let answer = raw.ask("POST / HTTP/1.1\r\nHost: app.example\r\nContent-Length: 100\r\n\r\nsome");
    assert_eq!((answer.status(), answer.header("connection")), (408, Some("close")));
    assert!(raw.is_closed());
}

#[test]
fn a_stream_ends_with_its_session() {
    let upstream = Upstream::answering(|_, stream| {
        write(stream, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nfirst\n\r\n");
        let _ = stream.read(&mut [0; 1]);
        Then::Close
    });
    let gateway = Wanted::before(upstream.address).start();
    let cookie = gateway.sign_in("alice", &[]);
    let mut raw = Raw::connect(gateway.address);
    raw.send(get("/events", &format!("Cookie: {cookie}\r\n")));
    crate::support::upstream::read_head(&mut raw.stream).unwrap();
    raw.stream.read_exact(&mut [0; 11]).unwrap();
    gateway.sign_out("alice");
    assert!(raw.is_closed());
}

#[test]
fn a_new_configuration_counts_from_the_next_request_on() {
    let (first, second) = (Upstream::start(), Upstream::start());
    let gateway = open(&first);
    let mut raw = Raw::connect(gateway.address);
    assert_eq!(raw.ask(get("/", "")).status(), 200);
    let parts = Wanted::before(second.address).parts(&gateway.clock, &gateway.store);
    gateway.handle.replace(Arc::new(parts));
    assert_eq!(raw.ask(get("/", "Sec-Fetch-Mode: cors\r\n")).status(), 401, "other rules");
    let cookie = gateway.sign_in("alice", &[]);
    assert_eq!(raw.ask(get("/", &format!("Cookie: {cookie}\r\n"))).status(), 200);
    assert_eq!((first.seen().len(), second.only().one("x-user")), (1, Some("alice")));
}

#[test]
fn stopping_answers_what_has_begun_and_takes_nothing_new() {
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let upstream = Upstream::answering(move |_, stream| {
        wait.lock().unwrap().recv().unwrap();
        write(stream, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate")
    });
    let mut gateway = open(&upstream);
    let mut idle = Raw::connect(gateway.address);
    let mut busy = Raw::connect(gateway.address);
    busy.send(get("/", ""));
    upstream.wait_for(1);
    let stopped = gateway.begin_to_stop();
    assert!(idle.is_closed(), "idle connections are closed at once");
    go_on.send(()).unwrap();
    let answer = busy.answer().unwrap();
    assert_eq!(answer.text(), "late");
    assert!(busy.is_closed());
    stopped.join().unwrap().unwrap();
    assert!(std::net::TcpStream::connect(gateway.address).is_err());
}

#[test]
fn several_workers_share_one_port_and_all_sessions() {
    let upstream = Upstream::start();
    let mut wanted = Wanted::before(upstream.address);
    wanted.workers = 4;
    let gateway = wanted.start();
    let cookie = gateway.sign_in("alice", &[]);
    for _ in 0..32 {
        assert_eq!(ask(gateway.address, get("/", &format!("Cookie: {cookie}\r\n"))).status(), 200);
    }
    let seen: Vec<Seen> = upstream.seen();
    assert!(seen.iter().map(|seen| seen.connection).max().unwrap() >= 1, "more than one worker took part");
    let assertions: std::collections::HashSet<_> = seen.iter().map(|seen| seen.one("x-samlgate-assertion").unwrap()).collect();
    assert_eq!(assertions.len(), 1);
    gateway.stop();
}
