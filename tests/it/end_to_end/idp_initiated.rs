//! Magic URLs: logins that start at the identity provider.

use crate::support::app::{COOKIE, SSO, Setup, TestApp, minutes};
use crate::support::browser::Browser;

fn accepting() -> TestApp {
    let app = Setup::new().idp("idp_initiated = \"accept\"").start();
    // Right after its start samlgate can't know what was used before.
    app.clock.advance(minutes(2));
    app
}

fn magic(app: &TestApp, browser: &mut Browser, relay_state: Option<&str>) -> crate::support::page::Page {
    app.deliver(browser, &app.unsolicited().base64(), relay_state)
}

#[test]
fn restart_takes_the_response_as_a_wish_and_lands_on_the_page() {
    let app = TestApp::start();
    for relay_state in ["/reports/q3?region=emea", "https://app.example/reports/q3?region=emea"] {
        let mut ada = app.browser();
        let page = magic(&app, &mut ada, Some(relay_state));
        assert!(ada.cookie(COOKIE).is_none(), "no session from a response that nobody asked for");
        let page = ada.follow(page);
        let request = app.asked(&page);
        assert!(!request.force_authn, "the identity provider knows the user already");
        let page = app.finish(&mut ada, &request, app.answer(&request));
        assert_eq!(ada.follow(page).url, app.url("/reports/q3?region=emea"));
    }
}

/// The identity provider's POST comes from another site, so it brings no session cookie along; the old session must end all
/// the same.
#[test]
fn restart_ends_the_session_that_it_replaces() {
    let app = TestApp::start();
    let mut ada = app.browser();
    app.login(&mut ada, "/");
    let old = ada.cookie(COOKIE).expect("a session").value.clone();
    let page = magic(&app, &mut ada, Some("/reports"));
    let page = ada.follow(page);
    let request = app.asked(&page);
    let page = app.finish(&mut ada, &request, app.answer(&request));
    assert_eq!(ada.follow(page).url, app.url("/reports"));
    let mut thief = app.browser();
    thief.plant("app.example", COOKIE, &old);
    assert!(!app.is_signed_in(&mut thief), "the first session has ended");
    assert!(app.is_signed_in(&mut ada));
}

#[test]
fn restart_makes_a_stolen_response_worth_nothing() {
    let app = TestApp::start();
    let mut thief = app.browser();
    let page = magic(&app, &mut thief, None);
    let page = thief.follow(page);
    assert!(page.redirect().starts_with(SSO), "the thief must sign in at the identity provider");
    assert!(!app.is_signed_in(&mut thief));
}

#[test]
fn restart_verifies_before_it_does_anything() {
    let app = TestApp::start();
    let mut browser = app.browser();
    let page = app.deliver(&mut browser, &app.unsolicited().unsigned().base64(), Some("/"));
    assert!(page.status >= 400 && page.text().contains("signature_missing"), "{}: {}", page.status, page.text());
    assert_eq!(page.location(), None);
}

#[test]
fn off_refuses_and_offers_a_login() {
    let app = Setup::new().idp("idp_initiated = \"off\"").start();
    let mut ada = app.browser();
    let page = magic(&app, &mut ada, Some("/reports"));
    assert_eq!(page.status, 403, "{}", page.text());
    assert!(page.text().contains("unsolicited_not_allowed"), "{}", page.text());
    assert!(!app.is_signed_in(&mut ada));
    assert!(page.links().iter().any(|link| link.starts_with(&app.public_url)), "{}", page.text());
}

#[test]
fn accept_signs_in_directly_and_once() {
    let app = accepting();
    let mut ada = app.browser();
    let response = app.unsolicited().base64();
    let page = app.deliver(&mut ada, &response, Some("/reports/q3?region=emea"));
    assert_eq!(ada.follow(page).url, app.url("/reports/q3?region=emea"));
    assert_eq!(app.told().one("x-user"), Some("ada@example.com"));

    let mut thief = app.browser();
    let page = app.deliver(&mut thief, &response, Some("/"));
    assert!(page.status >= 400 && page.text().contains("replayed"), "{}: {}", page.status, page.text());
    assert!(!app.is_signed_in(&mut thief));
    app.clock.advance(minutes(4));
    let page = app.deliver(&mut thief, &response, Some("/"));
    assert!(page.text().contains("replayed"), "the claim lives as long as the response: {}", page.text());
    app.clock.advance(minutes(10));
    let page = app.deliver(&mut thief, &response, Some("/"));
    assert!(page.status >= 400, "{}", page.status);
    assert!(!app.is_signed_in(&mut thief));
}

#[test]
fn accept_refuses_the_answer_to_someone_elses_request() {
    let app = accepting();
    let mut ada = app.browser();
    let request = app.begin(&mut ada, "/");
    let mut victim = app.browser();
    let page = app.deliver(&mut victim, &app.answer(&request).base64(), request.relay_state.as_deref());
    assert!(page.status >= 400, "{}", page.status);
    assert!(!app.is_signed_in(&mut victim));
}

#[test]
fn relay_state_that_leads_away_leads_to_the_start_page() {
    let app = accepting();
    for evil in
        ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "", "reports", "\"><script>"]
    {
        let mut ada = app.browser();
        let page = magic(&app, &mut ada, Some(evil));
        assert_eq!(page.redirect(), app.url("/"), "{evil:?}");
    }
    let page = magic(&app, &mut app.browser(), None);
    assert_eq!(page.redirect(), app.url("/"));
}
