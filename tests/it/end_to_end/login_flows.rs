//! Logins that go well, in all the ways in which people come: the browser's and the identity provider's part are played by the
//! test, the rest is the whole of samlgate.

use crate::support::app::{COOKIE, SSO, Setup, TestApp, minutes};
use crate::support::browser::{From, Kind};
use crate::support::fake_idp::parse_authn_request;

const DEEP: &str = "/reports/q3?region=emea&next=%2Fx%3Fy#part";

#[test]
fn a_deep_link_survives_the_login_and_the_application_learns_who_it_is() {
    let app = TestApp::start();
    let mut ada = app.browser();
    let request = app.begin(&mut ada, "/reports/q3?region=emea&next=%2Fx%3Fy");
    assert_eq!(request.issuer, "https://app.example/_samlgate/metadata");
    assert_eq!(request.acs.as_deref(), Some("https://app.example/_samlgate/acs"));
    assert_eq!(request.destination.as_deref(), Some(SSO));
    assert!(!request.force_authn && !request.is_passive);
    assert!(app.upstream.seen().is_empty(), "nothing reaches the application before the login");

    let page = app.finish(&mut ada, &request, app.answer(&request));
    assert_eq!(page.status, 303);
    let page = ada.follow(page);
    assert_eq!(page.url, app.url("/reports/q3?region=emea&next=%2Fx%3Fy"));
    assert_eq!(page.text(), "the application's /reports/q3?region=emea&next=%2Fx%3Fy");
    let told = app.told();
    assert_eq!(told.one("x-user"), Some("ada@example.com"));
    assert_eq!(told.one("x-email"), Some("ada@example.com"));
    assert_eq!(told.one("x-role"), Some("admin"));
    assert_eq!(told.one("x-samlgate-assertion").map(|jws| jws.split('.').count()), Some(3));
}

#[test]
fn relay_state_is_opaque() {
    let app = TestApp::start();
    let request = app.begin(&mut app.browser(), "/reports/q3?secret=1");
    let relay_state = request.relay_state.expect("RelayState is sent");
    assert!(relay_state.len() <= 80, "Bindings 3.4.3: at most 80 octets, not {}", relay_state.len());
    assert!(!relay_state.contains("reports") && !relay_state.contains("secret"), "{relay_state}");
}

#[test]
fn a_fragment_is_never_sent_so_it_is_not_lost() {
    let app = TestApp::start();
    let mut ada = app.browser();
    let page = app.login(&mut ada, DEEP);
    assert_eq!(page.url, app.url(DEEP.split('#').next().unwrap()));
}

#[test]
fn the_post_binding_sends_a_form_that_posts_itself() {
    let app = Setup::new().idp("request_binding = \"post\"").start();
    let mut ada = app.browser();
    let page = ada.visit(&app.url("/reports"));
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(!policy.contains("unsafe-inline"), "{policy}");
    assert!(page.header("cache-control").is_some_and(|value| value.contains("no-store")));
    let form = page.form();
    assert_eq!((form.action.as_str(), form.method.as_str()), (SSO, "post"));
    let fields = [("SAMLRequest", form.field("SAMLRequest")), ("RelayState", form.field("RelayState"))];
    let certificate = include_str!("../../fixtures/sp.crt");
    let request = parse_authn_request(&crate::support::browser::encode(&fields), Some(certificate)).expect("a signed request");
    let page = app.finish(&mut ada, &request, app.answer(&request));
    assert_eq!(ada.follow(page).url, app.url("/reports"));
}

#[test]
fn two_tabs_both_end_where_they_wanted_to_go() {
    let app = TestApp::start();
    let mut ada = app.browser();
    let first = app.begin(&mut ada, "/first");
    let second = app.begin(&mut ada, "/second");
    let page = app.finish(&mut ada, &second, app.answer(&second));
    assert_eq!(ada.follow(page).url, app.url("/second"));
    let page = app.finish(&mut ada, &first, app.answer(&first));
    assert_eq!(ada.follow(page).url, app.url("/first"));
}

#[test]
fn going_back_and_starting_again_does_no_harm() {
    let app = TestApp::start();
    let mut ada = app.browser();
    let abandoned = app.begin(&mut ada, "/reports");
    let request = app.begin(&mut ada, "/reports");
    assert_ne!(abandoned.id, request.id);
    let page = app.finish(&mut ada, &request, app.answer(&request));
    assert_eq!(ada.follow(page).url, app.url("/reports"));
    // the login page of the first try was still in the history
    let page = app.finish(&mut ada, &abandoned, app.answer(&abandoned));
    assert_eq!(ada.follow(page).url, app.url("/reports"));
    assert!(app.is_signed_in(&mut ada));
}

#[test]
fn a_browser_has_at_most_five_logins_at_a_time_and_the_latest_count() {
    let app = TestApp::start();
    let mut ada = app.browser();
    let requests: Vec<_> = (0..7).map(|tab| app.begin(&mut ada, &format!("/tab/{tab}"))).collect();
    for (tab, request) in requests.iter().enumerate().skip(2) {
        let page = app.finish(&mut ada, request, app.answer(request));
        assert_eq!(ada.follow(page).url, app.url(&format!("/tab/{tab}")));
    }
    let mut fresh = app.browser();
    let requests: Vec<_> = (0..6).map(|tab| app.begin(&mut fresh, &format!("/tab/{tab}"))).collect();
    let page = app.finish(&mut fresh, &requests[0], app.answer(&requests[0]));
    assert!(page.status >= 400 && page.text().contains("login_expired"), "{}: {}", page.status, page.text());
    assert!(!app.is_signed_in(&mut fresh));
}

#[test]
fn a_slow_second_factor_has_an_hour() {
    let app = TestApp::start();
    let mut ada = app.browser();
    let request = app.begin(&mut ada, "/reports");
    app.clock.advance(minutes(50));
    let page = app.finish(&mut ada, &request, app.answer(&request));
    assert_eq!(ada.follow(page).url, app.url("/reports"));
}

#[test]
fn each_login_has_a_new_session_and_the_old_one_is_gone() {
    let app = TestApp::start();
    let mut ada = app.browser();
    app.login(&mut ada, "/");
    let first = ada.cookie(COOKIE).expect("a session").value.clone();
    let request = app.asked(&ada.visit(&app.url("/_samlgate/login?return_to=/again&force=true")));
    let page = app.finish(&mut ada, &request, app.answer(&request));
    assert_eq!(ada.follow(page).url, app.url("/again"));
    let second = ada.cookie(COOKIE).expect("a session").value.clone();
    assert_ne!(first, second);
    let mut thief = app.browser();
    thief.plant("app.example", COOKIE, &first);
    assert!(!app.is_signed_in(&mut thief), "the first session has ended with the second login");
    assert!(app.is_signed_in(&mut ada));
}

#[test]
fn a_session_that_someone_planted_is_not_the_users() {
    let app = TestApp::start();
    let mut attacker = app.browser();
    app.login(&mut attacker, "/");
    let planted = attacker.cookie(COOKIE).expect("a session").value.clone();
    for value in [planted.as_str(), "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        let mut ada = app.browser();
        ada.plant("app.example", COOKIE, value);
        let request = app.asked(&ada.visit(&app.url("/_samlgate/login?return_to=/&force=true")));
        app.finish(&mut ada, &request, app.answer(&request));
        assert_ne!(ada.cookie(COOKIE).expect("a session").value, value);
    }
}

#[test]
fn a_second_browser_sees_nothing_of_the_first_ones_session() {
    let app = TestApp::start();
    app.login(&mut app.browser(), "/");
    let reached = app.upstream.seen().len();
    let mut other = app.browser();
    assert!(other.visit(&app.url("/")).redirect().starts_with(SSO));
    assert!(!app.is_signed_in(&mut other));
    assert_eq!(app.upstream.seen().len(), reached);
}

#[test]
fn what_is_no_page_load_gets_401_and_no_cookie() {
    let app = TestApp::start();
    let websocket: &[(&str, &str)] = &[
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    type Case<'a> = (&'a str, Kind, &'a str, &'a [(&'a str, &'a str)]);
    let cases: &[Case<'_>] = &[
        ("fetch", Kind::Fetch, "GET", &[]),
        ("an event stream", Kind::EventSource, "GET", &[]),
        ("an old XMLHttpRequest", Kind::OldXhr, "GET", &[]),
        ("a posted form", Kind::Navigation, "POST", &[]),
        ("PUT", Kind::Fetch, "PUT", &[]),
        ("DELETE", Kind::Fetch, "DELETE", &[]),
        ("OPTIONS", Kind::Fetch, "OPTIONS", &[]),
        ("a WebSocket", Kind::Fetch, "GET", websocket),
    ];
    for (what, kind, method, headers) in cases {
        let mut browser = app.browser();
        let page = browser.send(method, &app.url("/data?x=1"), From::Page("https://app.example/"), *kind, headers, None);
        assert_eq!(page.status, 401, "{what}");
        assert_eq!(page.header("www-authenticate"), Some("SAML"), "{what}");
        assert_eq!(page.all("set-cookie"), Vec::<&str>::new(), "{what}");
        assert_eq!(page.header("location"), None, "{what}");
        let accepts_html = *kind == Kind::Navigation;
        if !accepts_html {
            let answer = page.json();
            assert_eq!(answer["error"], "login_required", "{what}");
            let login_url = answer["login_url"].as_str().expect("a URL");
            assert!(login_url.contains("/_samlgate/login"), "{what}: {login_url}");
        }
    }
    assert!(app.upstream.seen().is_empty());
}

#[test]
fn the_application_never_sees_our_cookies_and_cannot_set_them() {
    let app = TestApp::start();
    app.application_answers_with(&[
        ("Set-Cookie", "theme=dark; Path=/"),
        ("Set-Cookie", "__Host-samlgate=EVIL; Path=/; Secure"),
        ("Set-Cookie", "__Host-samlgate-login=EVIL; Path=/; Secure; SameSite=None"),
        ("Set-Cookie", "__host-SAMLGATE=EVIL; Path=/; Secure"),
    ]);
    let mut ada = app.browser();
    ada.plant("app.example", "theme", "light");
    app.login(&mut ada, "/");
    let session = ada.cookie(COOKIE).expect("a session").value.clone();
    assert_eq!(app.told().one("cookie"), Some("theme=light"));
    assert_eq!(ada.cookie("theme").expect("the application's own").value, "dark");
    let page = ada.open(&app.url("/again"));
    assert_eq!(page.all("set-cookie"), ["theme=dark; Path=/"]);
    assert_eq!(ada.cookie(COOKIE).expect("a session").value, session);
    assert_eq!(app.told().one("cookie"), Some("theme=dark"));
}

#[test]
fn the_session_cookie_is_out_of_reach_of_scripts_and_other_hosts() {
    let app = TestApp::start();
    let mut ada = app.browser();
    let request = app.begin(&mut ada, "/");
    let page = app.finish(&mut ada, &request, app.answer(&request));
    let line =
        page.all("set-cookie").into_iter().find(|line| line.starts_with("__Host-samlgate=")).expect("a session").to_owned();
    for part in ["HttpOnly", "Secure", "SameSite=Lax", "Path=/"] {
        assert!(line.contains(part), "{line}");
    }
    assert!(!line.contains("Domain") && !line.contains("Max-Age") && !line.contains("Expires"), "{line}");
    assert!(page.header("cache-control").is_some_and(|value| value.contains("no-store")), "a login must not be cached");
}

#[test]
fn plain_http_on_localhost_works_too() {
    let app = Setup::new().public_url("http://reports.localhost:8080").start();
    let mut ada = app.browser();
    let page = app.login(&mut ada, "/reports?x=1");
    assert_eq!(page.url, "http://reports.localhost:8080/reports?x=1");
    let session = ada.cookie("samlgate").expect("a session");
    assert!(session.http_only && !session.secure);
    assert!(app.is_signed_in(&mut ada));
}

#[test]
fn a_signed_in_user_without_the_role_is_refused_and_may_go_elsewhere() {
    let app = Setup::new().sections("[[access]]\npath = \"/admin/**\"\nroles = [\"admin\"]").start();
    let mut vera = app.browser();
    let request = app.begin(&mut vera, "/admin/users");
    let page = app.finish(&mut vera, &request, app.answer_with_viewer(&request, "vera@example.com"));
    let page = vera.follow(page);
    assert_eq!((page.status, page.url.as_str()), (403, "https://app.example/admin/users"));
    assert!(page.text().contains("role_required"), "{}", page.text());
    let other = "href=\"/_samlgate/login?return_to=/admin/users&#38;force=true\"";
    assert!(page.text().contains(other), "another account comes back to the page: {}", page.text());
    assert!(app.upstream.seen().is_empty());
    assert_eq!(vera.visit(&app.url("/reports")).status, 200);
    assert_eq!(app.told().one("x-role"), Some("viewer"));
    assert_eq!(vera.script(Kind::Fetch, "GET", &app.url("/admin/users")).json()["error"], "role_required");
}
