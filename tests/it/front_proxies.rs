//! Real front proxies that ask samlgate about each request, configured as docs/forward-auth.md says.

use std::net::SocketAddr;

use crate::support::app::{COOKIE, Setup, TestApp};
use crate::support::browser::{Browser, From, Kind};
use crate::support::front_proxy::{FrontProxy, caddy, nginx};
use crate::support::raw::ask;

const RULES: &str = r#"
[[access]]
path = "/public/**"
allow = "anyone"
[[access]]
path = "/admin/**"
roles = ["admin"]
"#;

const HANDSHAKE: &str =
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

const IDENTITY: [&str; 7] = ["X-User", "X-Email", "X-Name", "X-Tenant", "X-Role", "X-Groups", "X-Samlgate-Assertion"];

/// An application that only a front proxy forwards to.
struct Site {
    app: TestApp,
    front: FrontProxy,
}

impl Site {
    fn behind(start: fn(SocketAddr, SocketAddr) -> Option<FrontProxy>) -> Option<Self> {
        let app = Setup::new().listen("trusted_proxies = [\"127.0.0.1\"]").sections(RULES).start();
        let front = start(app.address(), app.upstream.address)?;
        Some(Self { app, front })
    }

    fn browser(&self) -> Browser {
        let mut browser = self.app.browser();
        browser.resolve("app.example", self.front.address);
        browser
    }

    /// What the application was told last under the names of identity headers. An empty value says nothing.
    fn told(&self) -> Vec<String> {
        let seen = self.app.told();
        let value = |name: &&str| seen.one(name).filter(|value| !value.is_empty()).map(|value| format!("{name}: {value}"));
        IDENTITY.iter().filter_map(value).collect()
    }
}

/// Every header that somebody could be believed by.
const FORGED: [(&str, &str); 13] = [
    ("Connection", "X-Role, X-User, X-Samlgate-Assertion, root"),
    ("X-User", "root"),
    ("x-email", "root@example.com"),
    ("X-Name", "root"),
    ("X-Tenant", "root"),
    ("X-Role", "admin"),
    ("X-Groups", "root"),
    ("X-Samlgate-Assertion", "root"),
    ("X-Original-URL", "/public/root"),
    ("X-Rewrite-URL", "/public/root"),
    ("X-Forwarded-Uri", "/reports"),
    ("X-Samlgate-Login", "https://evil.example/"),
    ("X-Forwarded-For", "10.0.0.1"),
];

fn a_user_signs_in_and_the_application_knows(site: &Site) {
    let mut ada = site.browser();
    let wanted = "/reports/%C3%BCbersicht?a=1&b=%26x&return_to=/z";
    let page = site.app.login(&mut ada, wanted);
    assert_eq!((page.status, page.url.as_str()), (200, site.app.url(wanted).as_str()));
    assert_eq!(page.text(), format!("the application's {wanted}"));
    let told = site.told();
    assert_eq!(told[..3], ["X-User: ada@example.com", "X-Email: ada@example.com", "X-Role: admin"]);
    assert!(told.len() == 4 && told[3].starts_with("X-Samlgate-Assertion: ey"), "{told:?}");
    // In-line, the application would be told the same.
    let cookie = ada.cookie(COOKIE).expect("a session").value.clone();
    let direct = format!("GET / HTTP/1.1\r\nHost: app.example\r\nCookie: {COOKIE}={cookie}\r\n\r\n");
    assert_eq!(ask(site.app.address(), direct).status(), 200);
    assert_eq!(site.told(), told);

    let page = ada.send("POST", &site.app.url("/api"), From::Page(&site.app.url("/")), Kind::Fetch, &[], Some(b"the body"));
    assert_eq!(
        (page.status, site.app.told().line(), site.app.told().body.as_slice()),
        (200, "POST /api HTTP/1.1", &b"the body"[..])
    );
    assert_eq!(site.told(), told);
    assert_eq!(ada.open(&site.app.url("/admin/x")).status, 200);

    let live = format!(
        "GET /live HTTP/1.1\r\nHost: app.example\r\nOrigin: https://app.example\r\nCookie: {COOKIE}={cookie}\r\n{HANDSHAKE}\r\n"
    );
    assert_eq!(ask(site.front.address, live).status(), 200, "this application speaks no WebSocket");
    assert_eq!((site.app.told().line(), site.app.told().one("Upgrade")), ("GET /live HTTP/1.1", Some("websocket")));
    assert_eq!(site.told(), told);
}

fn what_a_client_says_of_itself_is_gone(site: &Site) {
    let mut stranger = site.browser();
    for (name, value) in FORGED.iter().filter(|(name, _)| *name != "X-Forwarded-Uri" && *name != "X-Original-URL") {
        stranger.extra.push(((*name).to_owned(), (*value).to_owned()));
    }
    let page = stranger.open(&site.app.url("/public/page"));
    assert_eq!(page.status, 200, "{}", page.text());
    assert!(site.told().is_empty(), "{}", site.app.told().head);
    assert!(site.app.told().one("X-Rewrite-URL").is_none());
    let page = stranger.open(&site.app.url("/reports"));
    assert_eq!(page.status, 302);
    assert!(page.redirect().starts_with(&site.app.url("/_samlgate/login?return_to=/reports")), "{}", page.redirect());

    let mut ada = site.browser();
    site.app.login(&mut ada, "/");
    let told = site.told();
    for (name, value) in FORGED {
        ada.extra = vec![(name.to_owned(), value.to_owned())];
        let page = ada.open(&site.app.url("/reports"));
        assert_eq!(page.status, 200, "{name}: {}", page.text());
        assert_eq!(site.told(), told, "{name}");
        let seen = site.app.told();
        assert!(seen.line() == "GET /reports HTTP/1.1" && !seen.head.contains("root"), "{name}: {}", seen.head);
    }
    // Other spellings are dropped here or refused there; none arrives.
    for name in ["X_User", "x_samlgate_assertion", "X.Role", "X_Name"] {
        ada.extra = vec![(name.to_owned(), "root".to_owned())];
        let before = site.app.upstream.seen().len();
        let page = ada.open(&site.app.url("/reports"));
        let arrived = site.app.upstream.seen().split_off(before);
        assert_eq!(page.status == 200, !arrived.is_empty(), "{name}");
        assert!(arrived.iter().all(|seen| !seen.head.contains("root")), "{name}: {arrived:?}");
    }
}

fn whoever_may_not_pass_does_not_reach_the_application(site: &Site) {
    let mut viewer = site.browser();
    let request = site.app.begin(&mut viewer, "/public-looking");
    let page = site.app.finish(&mut viewer, &request, site.app.answer_with_viewer(&request, "bob@example.com"));
    assert_eq!(viewer.follow(page).status, 200);
    let before = site.app.upstream.seen().len();
    assert_eq!(viewer.open(&site.app.url("/admin/x")).status, 403);

    let mut stranger = site.browser();
    let page = stranger.script(Kind::Fetch, "GET", &site.app.url("/reports"));
    assert_eq!((page.status, page.header("location")), (401, None));
    assert_eq!(page.json()["error"], "login_required");
    let page = stranger.send("POST", &site.app.url("/reports"), From::Outside, Kind::Fetch, &[], Some(b"x"));
    assert_eq!(page.status, 401);
    for target in
        ["/public/../admin/x", "/public/..%2fadmin", "/public/%2e%2e/admin", "//public/x", "/public/./x", "/public/..;/admin"]
    {
        let status = ask(site.front.address, format!("GET {target} HTTP/1.1\r\nHost: app.example\r\n\r\n")).status();
        assert!([400, 401, 404, 500].contains(&status), "{target}: {status}");
    }
    let cookie = format!("{COOKIE}={}", viewer.cookie(COOKIE).expect("a session").value);
    let hijack =
        format!("GET /live HTTP/1.1\r\nHost: app.example\r\nOrigin: https://evil.example\r\nCookie: {cookie}\r\n{HANDSHAKE}\r\n");
    assert_eq!(ask(site.front.address, hijack).status(), 403);
    let grpc = "POST /service/call HTTP/1.1\r\nHost: app.example\r\nContent-Type: application/grpc\r\nTE: trailers\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(ask(site.front.address, grpc).status(), 401);
    // Nobody outside may ask, whose answer a script could read.
    let told = "X-Original-URI: /reports\r\nX-Original-Method: GET\r\nX-Forwarded-Uri: /reports\r\nX-Forwarded-Method: GET\r\n";
    for path in [
        "/_samlgate/auth",
        "/_samlgate/auth?x",
        "/_samlgate/auth/reports",
        "/_samlgate/%61uth",
        "/_samlgate//auth",
        "/_samlgate/./auth",
        "/_samlgate/x/../auth",
    ] {
        let answer =
            ask(site.front.address, format!("GET {path} HTTP/1.1\r\nHost: app.example\r\nCookie: {cookie}\r\n{told}\r\n"));
        assert!([400, 404].contains(&answer.status()), "{path}: {}", answer.head);
        assert!(!answer.head.to_ascii_lowercase().contains("x-samlgate-assertion"), "{path}: {}", answer.head);
    }
    assert_eq!(site.app.upstream.seen().len(), before, "{:#?}", site.app.upstream.seen().split_off(before));
}

fn all(start: fn(SocketAddr, SocketAddr) -> Option<FrontProxy>) {
    for test in [
        a_user_signs_in_and_the_application_knows,
        what_a_client_says_of_itself_is_gone,
        whoever_may_not_pass_does_not_reach_the_application,
    ] {
        if let Some(site) = Site::behind(start) {
            test(&site);
        }
    }
}

#[test]
fn nginx_asks() {
    all(nginx);
}

#[test]
fn caddy_asks() {
    all(caddy);
}
