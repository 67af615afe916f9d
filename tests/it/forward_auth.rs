//! `/_samlgate/auth`: what a front proxy is told about a request is what samlgate itself would do with it.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::Method;
use percent_encoding::percent_decode_str;
use samlgate::access::{Allow, Assurance, LoginTerms, Rule};

use crate::store_away::Away;
use crate::support::gateway::{Gateway, Wanted};
use crate::support::raw::{Answer, Raw, ask};
use crate::support::upstream::Upstream;

const NAVIGATION: &str = "Accept: text/html\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n";
const SCRIPT: &str = "Accept: application/json\r\nSec-Fetch-Mode: cors\r\n";

/// The front proxies, by how they ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Front {
    Nginx,
    IngressNginx,
    Traefik,
    Envoy,
}

const FRONTS: [Front; 4] = [Front::Nginx, Front::IngressNginx, Front::Traefik, Front::Envoy];

impl Front {
    /// Its question about a request with these header lines.
    fn question(self, method: &str, target: &str, lines: &str) -> String {
        let (line, told) = match self {
            Self::Nginx => {
                ("GET /_samlgate/auth".to_owned(), format!("X-Original-Method: {method}\r\nX-Original-URI: {target}\r\n"))
            }
            Self::IngressNginx => {
                let told = format!("X-Original-Method: {method}\r\nX-Original-URL: https://app.example{target}\r\n");
                ("GET /_samlgate/auth".to_owned(), told)
            }
            Self::Traefik => {
                let told = format!(
                    "X-Forwarded-Method: {method}\r\nX-Forwarded-Uri: {target}\r\nX-Forwarded-Host: app.example\r\n\
                     X-Forwarded-Proto: https\r\n"
                );
                ("GET /_samlgate/auth".to_owned(), told)
            }
            Self::Envoy => (format!("{method} /_samlgate/auth{target}"), "Content-Length: 0\r\n".to_owned()),
        };
        format!("{line} HTTP/1.1\r\nHost: app.example\r\n{told}{lines}\r\n")
    }

    fn ask(self, gateway: &Gateway, method: &str, target: &str, lines: &str) -> Answer {
        Raw::connect(gateway.address).ask(self.question(method, target, lines))
    }
}

fn trusting(upstream: &Upstream) -> Wanted {
    let mut wanted = Wanted::before(upstream.address);
    wanted.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    wanted
}

fn members(role: &str) -> Allow {
    Allow::Members { roles: vec![role.to_owned()], groups: Vec::new(), users: Vec::new(), tenants: Vec::new() }
}

/// Header lines that could be identity, in lower case and in order; an empty one says nothing.
fn identity(head: &str) -> BTreeSet<String> {
    let lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    let lines = lines.map(|(name, value)| (name.to_ascii_lowercase(), value.trim()));
    let ours = ["x-user", "x-email", "x-name", "x-tenant", "x-role", "x-groups", "x-samlgate-assertion"];
    lines
        .filter(|(name, value)| ours.contains(&name.as_str()) && !value.is_empty())
        .map(|(name, value)| format!("{name}: {value}"))
        .collect()
}

#[test]
fn the_answer_has_the_headers_that_forwarding_adds() {
    let upstream = Upstream::start();
    let gateway = trusting(&upstream).start();
    let attributes: &[(&str, &[&str])] =
        &[("mail", &["zoë@example.com"]), ("role", &["admin"]), ("groups", &["Staff", "a,b"]), ("tenant", &["north"])];
    let cookie = gateway.sign_in("zoë", attributes);
    let forged = "X-User: root\r\nX-Role: superuser\r\nX-Name: Root\r\nRemote-User: root\r\n";
    let lines = format!("Cookie: {cookie}\r\n{forged}");
    let inline = ask(gateway.address, format!("GET /page?x=1 HTTP/1.1\r\nHost: app.example\r\n{lines}\r\n"));
    assert_eq!(inline.status(), 200);
    let expected = identity(&upstream.only().head);
    assert_eq!(expected.len(), 6, "user, email, role, groups, tenant and the assertion: {expected:?}");
    for front in FRONTS {
        let answer = front.ask(&gateway, "GET", "/page?x=1", &lines);
        assert_eq!((answer.status(), answer.body.len()), (200, 0), "{front:?}");
        assert_eq!(identity(&answer.head), expected, "{front:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert!(!answer.head.contains("root") && answer.header("remote-user").is_none(), "{}", answer.head);
        assert!(answer.header("set-cookie").is_none());
        // Envoy replaces headers and removes none, unless it is told.
        let removed = (front == Front::Envoy).then_some("x-name");
        assert_eq!(answer.header("x-envoy-auth-headers-to-remove"), removed, "{front:?}");
        // Caddy 2.6 takes what isn't there for a text of its own.
        assert_eq!(answer.header("x-name"), (front == Front::Traefik).then_some(""), "{front:?}");
    }
    assert_eq!(upstream.seen().len(), 1, "a question is never forwarded");
}

#[test]
fn without_a_session_a_public_path_passes_without_identity() {
    let upstream = Upstream::start();
    let gateway = trusting(&upstream).rules(vec![Rule::new("/public/**", Allow::Anyone)]).start();
    for front in FRONTS {
        let answer = front.ask(&gateway, "GET", "/public/a", "X-User: root\r\nX-Samlgate-Assertion: x\r\n");
        assert_eq!(answer.status(), 200, "{front:?}");
        assert!(identity(&answer.head).is_empty(), "{}", answer.head);
        if front == Front::Envoy {
            let removed = answer.header("x-envoy-auth-headers-to-remove").unwrap();
            assert_eq!(removed, "x-user, x-email, x-name, x-tenant, x-role, x-groups, x-samlgate-assertion");
        }
    }
    // A client can't make Caddy's question look like nginx's.
    let added = "X-Original-URI: /public/a\r\nX-Original-Method: GET\r\n";
    assert_eq!(Front::Traefik.ask(&gateway, "GET", "/public/a", added).header("x-user"), Some(""));
    let ended = gateway.sign_in("ada", &[]);
    gateway.sign_out("ada");
    let answer = Front::Nginx.ask(&gateway, "GET", "/public/a", &format!("Cookie: {ended}\r\n"));
    assert!(answer.status() == 200 && identity(&answer.head).is_empty());
}

#[test]
fn only_trusted_proxies_may_ask() {
    let upstream = Upstream::start();
    let mut wanted = Wanted::before(upstream.address).rules(vec![Rule::new("/**", Allow::Anyone)]);
    wanted.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
    let gateway = wanted.start();
    let cookie = gateway.sign_in("ada", &[]);
    for front in FRONTS {
        for more in ["", "Content-Type: application/grpc\r\n", "X-Forwarded-For: 10.0.0.1\r\n"] {
            let answer = front.ask(&gateway, "GET", "/", &format!("Cookie: {cookie}\r\n{more}"));
            assert_eq!(answer.status(), 403, "{front:?} {more}");
            assert!(answer.text().contains("untrusted_proxy") && answer.text().contains("trusted"), "{}", answer.text());
            assert!(identity(&answer.head).is_empty() && answer.header("x-samlgate-login").is_none());
        }
    }
}

#[test]
fn rules_are_those_of_forwarding_by_path_and_method() {
    let upstream = Upstream::start();
    let delete = Rule { methods: vec![Method::DELETE], ..Rule::new("/api/**", members("admin")) };
    let rules = vec![
        delete,
        Rule::new("/admin/**", members("admin")),
        Rule::new("/closed", Allow::Nobody),
        Rule::new("/public/**", Allow::Anyone),
    ];
    let gateway = trusting(&upstream).rules(rules).start();
    let admin = gateway.sign_in("ada", &[("role", &["admin"])]);
    let viewer = gateway.sign_in("bob", &[("role", &["viewer"])]);
    for (method, target, for_admin, for_viewer, for_nobody) in [
        ("GET", "/api/x", 200, 200, 401),
        ("DELETE", "/api/x", 200, 403, 401),
        ("POST", "/api/x", 200, 200, 401),
        ("GET", "/admin/x?y", 200, 403, 401),
        ("HEAD", "/admin/x", 200, 403, 401),
        ("GET", "/admin;x/y", 400, 400, 400),
        ("GET", "/%61dmin/y", 400, 400, 400),
        ("GET", "/closed", 403, 403, 403),
        ("PATCH", "/public/x", 200, 200, 200),
        ("PROPFIND", "/x", 200, 200, 401),
    ] {
        for front in FRONTS {
            for (cookie, expected) in [(&admin, for_admin), (&viewer, for_viewer), (&String::new(), for_nobody)] {
                let lines = format!("Cookie: {cookie}\r\n{SCRIPT}");
                let mut connection = Raw::connect(gateway.address);
                let question = front.question(method, target, &lines);
                assert_eq!(connection.ask(&question).status(), expected, "{front:?} {method} {target} {cookie}");
                let inline = format!("{method} {target} HTTP/1.1\r\nHost: app.example\r\n{lines}\r\n");
                assert_eq!(ask(gateway.address, inline).status(), expected, "in-line {method} {target} {cookie}");
            }
        }
    }
    // The page for people is the same too, with its way to another account.
    let page = Front::Traefik.ask(&gateway, "GET", "/admin/x?y", &format!("Cookie: {viewer}\r\n{NAVIGATION}"));
    assert!(page.text().contains("role_required") && page.text().contains("/_samlgate/login?return_to=/admin/x%3Fy"));
}

#[test]
fn who_must_sign_in_is_sent_there_and_comes_back() {
    let upstream = Upstream::start();
    let gateway = trusting(&upstream).start();
    let target = "/reports/%C3%BCbersicht?a=1&b=%26&c=x%20y&return_to=/z";
    for front in FRONTS {
        let answer = front.ask(&gateway, "GET", target, NAVIGATION);
        let login = if matches!(front, Front::Nginx | Front::IngressNginx) {
            assert_eq!((answer.status(), answer.header("location")), (401, None), "{front:?}");
            assert_eq!(answer.header("www-authenticate"), Some("SAML"));
            assert!(answer.text().contains("\"login_required\""));
            answer.header("x-samlgate-login")
        } else {
            assert_eq!((answer.status(), answer.header("x-samlgate-login")), (302, None), "{front:?}");
            answer.header("location")
        };
        let login = login.expect("an address").to_owned();
        let escaped = login.strip_prefix("https://app.example/_samlgate/login?return_to=").expect("our login page");
        assert!(!escaped.contains('&'), "{escaped}");
        assert_eq!(percent_decode_str(escaped).decode_utf8().unwrap(), target);
        assert!(answer.header("set-cookie").is_none() && answer.header("cache-control") == Some("no-store"));
        // The login page goes on to the identity provider.
        let path = login.strip_prefix("https://app.example").unwrap();
        let away = ask(gateway.address, format!("GET {path} HTTP/1.1\r\nHost: app.example\r\n{NAVIGATION}\r\n"));
        assert!(away.status() == 302 && away.header("location").unwrap().starts_with("https://idp.example/sso?"));

        for (method, lines) in
            [("GET", SCRIPT), ("POST", NAVIGATION), ("GET", "Sec-WebSocket-Key: x\r\nOrigin: https://app.example\r\n")]
        {
            let answer = front.ask(&gateway, method, target, lines);
            assert_eq!(answer.status(), 401, "{front:?} {lines}");
            assert!(answer.text().contains("\"login_required\"") && answer.text().contains("\"login_url\""));
            assert_eq!((answer.header("x-samlgate-login"), answer.header("location")), (None, None), "{front:?}");
        }
    }
    // Two session cookies: a login would go round for ever.
    let two = format!("Cookie: __Host-samlgate={}; __Host-samlgate={}\r\n{NAVIGATION}", "A".repeat(43), "B".repeat(43));
    for front in FRONTS {
        assert_eq!(front.ask(&gateway, "GET", "/", &two).status(), 400, "{front:?}");
    }
}

#[test]
fn a_login_that_is_not_good_enough_is_no_yes() {
    let upstream = Upstream::start();
    let assurance = Assurance { max_auth_age: Some(std::time::Duration::from_secs(900)), authn_context: Vec::new() };
    let demanding =
        Rule { login: LoginTerms { assurance, ..LoginTerms::default() }, ..Rule::new("/payroll/**", Allow::SignedIn) };
    let gateway = trusting(&upstream).rules(vec![demanding]).start();
    let cookie = gateway.sign_in("ada", &[]);
    for front in FRONTS {
        let answer = front.ask(&gateway, "GET", "/payroll/june", &format!("Cookie: {cookie}\r\n{SCRIPT}"));
        assert_eq!(answer.status(), 401, "{front:?}");
        assert!(answer.text().contains("reauthentication_required") && answer.text().contains("force=true"), "{}", answer.text());
        let answer = front.ask(&gateway, "GET", "/payroll/june", &format!("Cookie: {cookie}\r\n{NAVIGATION}"));
        let login = answer.header("location").or(answer.header("x-samlgate-login")).unwrap().to_owned();
        // The page's own rule makes the login page ask for a better one, although there is a session.
        let path = login.strip_prefix("https://app.example").unwrap();
        let away =
            ask(gateway.address, format!("GET {path} HTTP/1.1\r\nHost: app.example\r\nCookie: {cookie}\r\n{NAVIGATION}\r\n"));
        assert!(
            away.status() == 302 && away.header("location").unwrap().starts_with("https://idp.example/sso?"),
            "{}",
            away.head
        );
    }
}

#[test]
fn what_cannot_be_judged_is_no_yes() {
    let upstream = Upstream::start();
    let rules = vec![Rule::new("/**", Allow::Anyone)];
    let gateway = trusting(&upstream).rules(rules).headers(|headers| headers.strip.push("X-Legacy-User".to_owned())).start();
    for front in FRONTS {
        for target in [
            "/a/../b",
            "/a/..;/b",
            "/%2e%2e/b",
            "/a\\b",
            "/a%5cb",
            "/a/./b",
            "//a",
            "/./_samlgate/login",
            "/_samlgate/login",
            "/_samlgate",
        ] {
            for more in ["", NAVIGATION, "Content-Type: application/grpc\r\nTE: trailers\r\n"] {
                assert_eq!(front.ask(&gateway, "GET", target, more).status(), 400, "{front:?} {target} {more}");
            }
        }
        for method in ["TRACE", "CONNECT", "get", "pOST"] {
            if front == Front::Envoy && method == "CONNECT" {
                continue; // has no path (RFC 9110 section 9.3.6), so it can't be asked like this
            }
            assert_eq!(front.ask(&gateway, method, "/a", "").status(), 400, "{front:?} {method}");
        }
        // Spellings that a front proxy would pass on to an application that takes them for the header.
        for forged in ["X_User: root", "x.role: admin", "X_Samlgate_Assertion: x", "X-Legacy-User: root", "x_legacy_user: root"] {
            assert_eq!(front.ask(&gateway, "GET", "/a", &format!("{forged}\r\n")).status(), 400, "{front:?} {forged}");
        }
        assert_eq!(
            front.ask(&gateway, "GET", "/a", "X-HTTP-Method-Override: DELETE\r\n").status(),
            200,
            "no rule looks at methods"
        );
    }
    let told = "GET /_samlgate/auth HTTP/1.1\r\nHost: app.example\r\n";
    for (lines, word) in [
        ("", "must send X-Original-URI"),
        ("X-Original-URI: /a\r\nX-Original-URI: /a\r\nX-Original-Method: GET\r\n", "twice"),
        ("X-Original-URI: /a\r\nX-Original-Method: GET\r\nX-Forwarded-Uri: /b\r\n", "contradict"),
    ] {
        let answer = ask(gateway.address, format!("{told}{lines}\r\n"));
        assert_eq!(answer.status(), 400, "{lines}");
        assert!(answer.text().contains(word), "{}", answer.text());
    }
    assert!(upstream.seen().is_empty());
}

#[test]
fn without_rules_nothing_needs_to_be_told() {
    let upstream = Upstream::start();
    let gateway = trusting(&upstream).start();
    let cookie = gateway.sign_in("alice", &[]);
    let told = "GET /_samlgate/auth HTTP/1.1\r\nHost: app.example\r\n";
    assert_eq!(ask(gateway.address, format!("{told}\r\n")).status(), 401);
    let answer = ask(gateway.address, format!("{told}Cookie: {cookie}\r\n\r\n"));
    assert_eq!((answer.status(), answer.header("x-user")), (200, Some("alice")));
}

#[test]
fn where_nobody_needs_to_ask_nobody_can() {
    let upstream = Upstream::start();
    let mut wanted = trusting(&upstream);
    wanted.forward_auth = false;
    let gateway = wanted.start();
    let cookie = gateway.sign_in("alice", &[]);
    for front in FRONTS {
        let answer = front.ask(&gateway, "GET", "/", &format!("Cookie: {cookie}\r\n"));
        assert_eq!((answer.status(), answer.header("x-user")), (404, None), "{front:?}");
    }
}

#[test]
fn a_header_that_makes_another_method_is_refused_where_rules_look_at_methods() {
    let upstream = Upstream::start();
    let delete = Rule { methods: vec![Method::DELETE], ..Rule::new("/**", Allow::Nobody) };
    let gateway = trusting(&upstream).rules(vec![delete, Rule::new("/**", Allow::Anyone)]).start();
    for front in FRONTS {
        assert_eq!(front.ask(&gateway, "POST", "/a", "").status(), 200, "{front:?}");
        for name in ["X-HTTP-Method-Override", "X-HTTP-Method", "X_Method_Override"] {
            assert_eq!(front.ask(&gateway, "POST", "/a", &format!("{name}: DELETE\r\n")).status(), 400, "{front:?} {name}");
        }
    }
    // And then the method must be told.
    for (line, word) in [("X-Original-URI: /a", "X-Original-Method"), ("X-Forwarded-Uri: /a", "X-Forwarded-Method")] {
        let answer = ask(gateway.address, format!("GET /_samlgate/auth HTTP/1.1\r\nHost: app.example\r\n{line}\r\n\r\n"));
        assert!(answer.status() == 400 && answer.text().contains(word), "{}", answer.text());
    }
}

#[test]
fn grpc_is_refused_by_status() {
    let upstream = Upstream::start();
    let gateway = trusting(&upstream).rules(vec![Rule::new("/closed/**", Allow::Nobody)]).start();
    for front in FRONTS {
        for (target, expected) in [("/service/call", 401), ("/closed/call", 403), ("/a/../b", 400)] {
            let answer = front.ask(&gateway, "POST", target, "Content-Type: application/grpc\r\nTE: trailers\r\n");
            assert_eq!((answer.status(), answer.header("grpc-status")), (expected, None), "{front:?} {target}");
        }
    }
    let two_hosts = "GET /_samlgate/auth/x HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Type: application/grpc\r\n\r\n";
    assert_eq!(ask(gateway.address, two_hosts).status(), 400);
}

#[test]
fn a_websocket_of_another_site_is_refused_though_the_front_proxy_keeps_upgrade_to_itself() {
    let upstream = Upstream::start();
    let gateway = trusting(&upstream).start();
    let cookie = gateway.sign_in("ada", &[]);
    for front in FRONTS {
        for signs in [
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n",
            "Sec-WebSocket-Key: x\r\n",
            "Sec-WebSocket-Version: 13\r\n",
        ] {
            for (origin, expected) in [("https://app.example", 200), ("https://evil.example", 403)] {
                let lines = format!("Cookie: {cookie}\r\nOrigin: {origin}\r\n{signs}");
                assert_eq!(front.ask(&gateway, "GET", "/live", &lines).status(), expected, "{front:?} {origin} {signs}");
            }
        }
    }
}

#[test]
fn a_store_that_is_away_lets_only_public_paths_pass() {
    let upstream = Upstream::start();
    let mut wanted = trusting(&upstream).rules(vec![Rule::new("/public", Allow::Anyone)]);
    wanted.store = Some(Arc::new(Away));
    let gateway = wanted.start();
    let cookie = format!("Cookie: __Host-samlgate={}\r\n", "S".repeat(43));
    for front in FRONTS {
        assert_eq!(front.ask(&gateway, "GET", "/public", &cookie).status(), 200, "{front:?}");
        for more in ["", "Content-Type: application/grpc\r\n"] {
            let answer = front.ask(&gateway, "GET", "/x", &format!("{cookie}{more}"));
            assert_eq!((answer.status(), answer.header("retry-after")), (503, Some("5")), "{front:?}");
        }
    }
}

#[test]
fn an_announced_body_is_not_read() {
    let upstream = Upstream::start();
    let gateway = trusting(&upstream).start();
    let cookie = gateway.sign_in("ada", &[]);
    let mut connection = Raw::connect(gateway.address);
    let question = Front::Nginx.question("POST", "/a", &format!("Cookie: {cookie}\r\nContent-Length: 1000000\r\n"));
    assert_eq!(connection.ask(question).status(), 200);
    assert!(connection.is_closed());
}

#[test]
fn a_question_counts_as_use_of_the_session() {
    let upstream = Upstream::start();
    let gateway = trusting(&upstream).start();
    let cookie = format!("Cookie: {}\r\n", gateway.sign_in("ada", &[]));
    for _ in 0..3 {
        gateway.clock.advance(std::time::Duration::from_secs(50 * 60));
        assert_eq!(Front::Traefik.ask(&gateway, "GET", "/a", &cookie).status(), 200);
    }
    gateway.clock.advance(std::time::Duration::from_secs(61 * 60));
    assert_eq!(Front::Traefik.ask(&gateway, "GET", "/a", &format!("{cookie}{SCRIPT}")).status(), 401);
}
