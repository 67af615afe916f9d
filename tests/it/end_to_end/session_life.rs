//! When a session ends: by time, by logout, by an operator. Nothing makes it longer.

use crate::support::app::{COOKIE, SSO, Setup, TestApp, minutes};
use crate::support::browser::{From, Kind};

#[test]
fn an_idle_session_ends() {
    let app = TestApp::start();
    let mut ada = app.browser();
    app.login(&mut ada, "/");
    for _ in 0..3 {
        app.clock.advance(minutes(50));
        assert!(app.is_signed_in(&mut ada), "each request counts");
    }
    app.clock.advance(minutes(61));
    assert!(!app.is_signed_in(&mut ada));
    assert!(ada.visit(&app.url("/")).redirect().starts_with(SSO), "a page load starts a login");
}

#[test]
fn no_session_outlives_its_lifetime() {
    let app = Setup::new().sections("[session]\nidle_timeout = \"1h\"\nlifetime = \"3h\"").start();
    let mut ada = app.browser();
    app.login(&mut ada, "/");
    for _ in 0..3 {
        app.clock.advance(minutes(59));
        assert!(app.is_signed_in(&mut ada));
    }
    app.clock.advance(minutes(4));
    assert!(!app.is_signed_in(&mut ada));
}

#[test]
fn a_session_ends_when_it_ends_at_the_identity_provider() {
    let app = TestApp::start();
    let mut ada = app.browser();
    let request = app.begin(&mut ada, "/");
    let end = samlgate::clock::Clock::now(&*app.clock).plus(minutes(20));
    app.finish(&mut ada, &request, app.answer(&request).session_not_on_or_after(end));
    app.clock.advance(minutes(19));
    assert!(app.is_signed_in(&mut ada));
    app.clock.advance(minutes(2));
    assert!(!app.is_signed_in(&mut ada));
}

#[test]
fn a_session_that_is_over_at_the_identity_provider_is_no_login() {
    let app = TestApp::start();
    let mut ada = app.browser();
    let request = app.begin(&mut ada, "/");
    let end = samlgate::clock::Clock::now(&*app.clock).minus(minutes(5));
    let page = app.finish(&mut ada, &request, app.answer(&request).session_not_on_or_after(end));
    assert!(page.status >= 400 && page.text().contains("session_expired_at_idp"), "{}", page.text());
}

#[test]
fn logging_out_takes_a_button_and_ends_the_session_everywhere() {
    let app = TestApp::start();
    let mut ada = app.browser();
    app.login(&mut ada, "/");
    let old = ada.cookie(COOKIE).expect("a session").value.clone();
    let mut other = app.browser();
    app.login(&mut other, "/");

    let page = ada.open(&app.url("/_samlgate/logout"));
    assert_eq!(page.status, 200, "a link from a mail must not log anyone out: there is a button");
    assert!(app.is_signed_in(&mut ada));
    let policy = page.header("content-security-policy").expect("a policy").to_owned();
    let form = page.form();
    let page = ada.submit(&page, &form);
    assert!(page.status < 400, "{}", page.text());
    // browsers hold the policy against every redirect that follows the form, and the last one leads to the identity provider
    let allowed = policy.split(';').find_map(|part| part.trim().strip_prefix("form-action ")).expect("a rule for forms");
    assert!(ada.follow(page).redirect().starts_with(SSO) && allowed.split(' ').any(|source| source == "https:"), "{policy}");
    assert!(ada.cookie(COOKIE).is_none(), "the browser forgets the cookie");
    let mut thief = app.browser();
    thief.plant("app.example", COOKIE, &old);
    assert!(!app.is_signed_in(&mut thief), "the cookie is worth nothing, wherever it was copied to");
    assert!(app.is_signed_in(&mut other), "another session is another session");
}

#[test]
fn another_site_cannot_log_anyone_out() {
    let app = TestApp::start();
    let mut ada = app.browser();
    app.login(&mut ada, "/");
    let logout = app.url("/_samlgate/logout");
    ada.click("https://evil.example/", &logout);
    ada.post("https://evil.example/", &logout, &[]);
    ada.send("GET", &logout, From::Page("https://evil.example/"), Kind::Fetch, &[], None);
    assert!(app.is_signed_in(&mut ada));
}

#[test]
fn an_operator_can_end_sessions() {
    let app = TestApp::start();
    let mut ada = app.browser();
    app.login(&mut ada, "/");
    let mut operator = app.browser();
    let listed = operator.script(Kind::Tool, "GET", "http://ops.localhost/sessions").json();
    let session = &listed["sessions"][0];
    assert_eq!(session["user"], "ada@example.com");
    let shown = listed.to_string();
    assert!(!shown.contains(&ada.cookie(COOKIE).expect("a session").value), "the list can't be used as a session");
    let sid = session["sid"].as_str().expect("an id");
    assert_eq!(operator.script(Kind::Tool, "DELETE", &format!("http://ops.localhost/sessions/{sid}")).status, 200);
    assert!(!app.is_signed_in(&mut ada));
}

#[test]
fn the_oldest_session_of_a_user_ends_when_there_are_too_many() {
    let app = Setup::new().sections("[session]\nmax_per_user = 2").start();
    let mut browsers: Vec<_> = (0..3).map(|_| app.browser()).collect();
    for browser in &mut browsers {
        app.login(browser, "/");
        app.clock.advance(minutes(1));
    }
    let signed_in: Vec<bool> = browsers.iter_mut().map(|browser| app.is_signed_in(browser)).collect();
    assert_eq!(signed_in, [false, true, true]);
}

#[test]
fn an_application_that_is_down_costs_no_session() {
    let nobody =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port that was free");
    let app = Setup::new().upstream(&format!("http://{nobody}")).start();
    let mut ada = app.browser();
    app.login(&mut ada, "/");
    let session = ada.cookie(COOKIE).expect("a session").value.clone();
    let page = ada.open(&app.url("/reports"));
    assert_eq!(page.status, 502);
    assert!(page.header("content-type").is_some_and(|kind| kind.starts_with("text/html")), "{:?}", page.headers);
    let answer = ada.script(Kind::Fetch, "GET", &app.url("/data"));
    assert_eq!(answer.status, 502);
    assert!(answer.header("content-type").is_some_and(|kind| kind.starts_with("application/json")));
    assert!(answer.json()["request_id"].is_string(), "{}", answer.text());
    assert_eq!(ada.cookie(COOKIE).expect("the session stays").value, session);
    assert_eq!(ada.script(Kind::Fetch, "GET", &app.url("/_samlgate/me")).status, 200);
}

#[test]
fn a_cookie_that_is_there_twice_or_odd_is_no_session() {
    let app = TestApp::start();
    let mut ada = app.browser();
    app.login(&mut ada, "/");
    let good = ada.cookie(COOKIE).expect("a session").value.clone();
    for (odd, why) in [
        (format!("{COOKIE}={good}; {COOKIE}={good}"), "twice"),
        (format!("{COOKIE}=\"{good}\""), "quoted"),
        (format!("{COOKIE}={good}="), "longer"),
        (format!("{COOKIE}="), "empty"),
        (COOKIE.to_owned(), "no value"),
        (format!("__host-samlgate={good}"), "another case"),
        (format!("$Version=1,{COOKIE}={good}"), "an old notation"),
    ] {
        let mut browser = app.browser();
        browser.extra.push(("Cookie".to_owned(), odd));
        let status = browser.script(Kind::Fetch, "GET", &app.url("/data")).status;
        assert!(matches!(status, 400 | 401), "{why}: {status}");
    }
    let mut browser = app.browser();
    browser.extra.push(("Cookie".to_owned(), format!("a=b; {COOKIE}={good}; c=d")));
    assert_eq!(browser.script(Kind::Fetch, "GET", &app.url("/data")).status, 200);
    assert_eq!(app.told().one("cookie"), Some("a=b; c=d"));
}
