//! Paths that ask more of a login than that there is one: `max_auth_age` and `authn_context`, and what becomes of an identity
//! provider that doesn't give it.

use samlgate::clock::Clock as _;

use crate::support::app::{COOKIE, SSO, Setup, TestApp, minutes};
use crate::support::browser::{Browser, From, Kind};
use crate::support::fake_idp::{EMAIL, FakeIdp, PASSWORD, ParsedRequest, ResponseBuilder};
use crate::support::page::Page;

const OTP: &str = "urn:oasis:names:tc:SAML:2.0:ac:classes:TimeSyncToken";
const CARD: &str = "urn:oasis:names:tc:SAML:2.0:ac:classes:SmartcardPKI";

const RULES: &str = r#"
[[access]]
path = "/payroll/**"
allow = "signed-in"
max_auth_age = "15m"
[[access]]
path = "/vault/**"
allow = "signed-in"
authn_context = ["urn:oasis:names:tc:SAML:2.0:ac:classes:TimeSyncToken", "urn:oasis:names:tc:SAML:2.0:ac:classes:SmartcardPKI"]
[[access]]
path = "/both"
allow = "signed-in"
max_auth_age = "15m"
authn_context = ["urn:oasis:names:tc:SAML:2.0:ac:classes:TimeSyncToken"]
"#;

fn start() -> TestApp {
    Setup::new().sections(RULES).start()
}

/// Opens a page, and the identity provider is asked: what it is asked.
fn stepped_up(app: &TestApp, browser: &mut Browser, path: &str) -> ParsedRequest {
    let page = browser.open(&app.url(path));
    assert_eq!(page.status, 302, "{}", page.text());
    app.asked(&page)
}

/// The answer of an identity provider that did what it was asked for.
fn good(app: &TestApp, request: &ParsedRequest) -> ResponseBuilder {
    let class = request.authn_context.first().map_or(PASSWORD, String::as_str);
    app.answer(request).authn_context(Some(class))
}

/// A page on which a login ends that isn't good enough: no redirect, a reason, and a link that begins the same once more.
fn told(app: &TestApp, page: &Page, code: &str, browser: &mut Browser) -> ParsedRequest {
    assert_eq!((page.status, page.header("location")), (403, None), "{}", page.text());
    assert!(page.text().contains(&format!("<code>{code}</code>")), "{}", page.text());
    assert!(page.header("refresh").is_none() && page.header("set-cookie").is_none());
    let again = page.links().pop().expect("a link to try again");
    let page = browser.click(&page.url, &again);
    app.asked(&page)
}

#[test]
fn a_login_that_begins_at_a_demanding_page_asks_for_everything_at_once() {
    let app = start();
    let mut ada = app.browser();
    let request = stepped_up(&app, &mut ada, "/both?x=1");
    assert!(request.force_authn);
    assert_eq!(request.authn_context, [OTP]);
    assert!(request.xml.contains("Comparison=\"exact\""), "{}", request.xml);
    let page = app.finish(&mut ada, &request, good(&app, &request));
    let page = ada.follow(page);
    assert_eq!((page.status, page.url), (200, app.url("/both?x=1")));
    for open in ["/payroll/june", "/vault/x", "/"] {
        assert_eq!(ada.open(&app.url(open)).status, 200, "{open}");
    }
}

#[test]
fn an_ordinary_login_proves_no_fresh_authentication() {
    let app = start();
    let mut ada = app.browser();
    // AuthnInstant says "now", as Keycloak's always does; but nobody asked for a new authentication.
    app.login(&mut ada, "/");
    let before = ada.cookie(COOKIE).expect("a session").value.clone();
    let request = stepped_up(&app, &mut ada, "/payroll/june?y=2");
    assert!(request.force_authn && request.authn_context.is_empty());
    assert_eq!(ada.open(&app.url("/")).status, 200, "the old session serves all else meanwhile");

    let page = app.finish(&mut ada, &request, app.answer(&request));
    let page = ada.follow(page);
    assert_eq!((page.status, page.url), (200, app.url("/payroll/june?y=2")));
    let after = ada.cookie(COOKIE).expect("a session").value.clone();
    assert_ne!(before, after);
    assert!(app.is_signed_in(&mut ada));
    ada.plant("app.example", COOKIE, &before);
    assert!(!app.is_signed_in(&mut ada), "the new session took the place of the old one");
}

#[test]
fn what_is_no_navigation_is_told_how_to_step_up() {
    let app = start();
    let mut ada = app.browser();
    app.login(&mut ada, "/");
    let referer = format!("{}/dashboard?x=1", app.public_url);
    for (method, path, query) in [
        ("GET", "/payroll/api", "&force=true".to_owned()),
        ("POST", "/vault/api", format!("&authn_context={}&authn_context={}", encoded(OTP), encoded(CARD))),
        ("POST", "/both", format!("&force=true&authn_context={}", encoded(OTP))),
    ] {
        let page = ada.send(method, &app.url(path), From::Page(&referer), Kind::Fetch, &[("Referer", &referer)], Some(b""));
        assert_eq!(page.status, 401, "{}", page.text());
        assert_eq!((page.header("www-authenticate"), page.header("set-cookie")), (Some("SAML"), None));
        let url = format!("{}/_samlgate/login?return_to=/dashboard%3Fx%3D1&idp=corp{query}", app.public_url);
        assert_eq!(page.json(), serde_json::json!({"error": "reauthentication_required", "login_url": url}));
        // A script sends its user there, and it is no detour: the identity provider is asked for what was missing.
        let request = app.asked(&ada.click(&referer, &url));
        assert_eq!(request.force_authn, query.contains("force"));
        assert_eq!(request.authn_context.is_empty(), !query.contains("authn_context"));
    }
    let websocket = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13")];
    let page = ada.send("GET", &app.url("/payroll/live"), From::Outside, Kind::Fetch, &websocket, None);
    assert_eq!(page.status, 401);
    let grpc = [("Content-Type", "application/grpc")];
    let page = ada.send("POST", &app.url("/payroll/rpc"), From::Outside, Kind::Tool, &grpc, Some(b""));
    assert_eq!((page.status, page.header("grpc-status")), (200, Some("16")));
    assert_eq!(page.header("grpc-message"), Some("reauthentication_required"));
    // Without a session the way in already asks for it.
    let page = app.browser().send("GET", &app.url("/both"), From::Outside, Kind::Fetch, &[], None);
    let expected = format!("{}/_samlgate/login?return_to=/&force=true&authn_context={}", app.public_url, encoded(OTP));
    assert_eq!(page.json(), serde_json::json!({"error": "login_required", "login_url": expected}));
    let reached = app.upstream.seen();
    assert!(reached.iter().all(|seen| !seen.line().contains("/payroll") && !seen.line().contains("/vault")));
}

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
        .to_string()
        .replace("%2D", "-")
        .replace("%2E", ".")
}

#[test]
fn an_idp_that_ignores_force_authn_is_told_from_one_that_asks() {
    let app = start();
    let mut ada = app.browser();
    app.login(&mut ada, "/");
    let request = stepped_up(&app, &mut ada, "/payroll/june");
    let began = app.clock.now();
    app.clock.advance(minutes(3));
    // It answers from its own session, and says so: the user authenticated an hour ago.
    let authenticated = |at: samlgate::clock::Timestamp| {
        let now = format!("AuthnInstant=\"{}\"", app.clock.now());
        app.answer(&request).replace(&now, &format!("AuthnInstant=\"{at}\""))
    };
    let page = app.finish(&mut ada, &request, authenticated(began.minus(minutes(60))));
    let again = told(&app, &page, "authn_too_old", &mut ada);
    assert!(again.force_authn, "trying again asks for the same");
    assert_eq!(ada.open(&app.url("/")).status, 200, "the old session lives on");
    assert_eq!(ada.open(&app.url("/payroll/june")).status, 302);

    // One whose clock is a little behind is believed.
    let page = app.finish(&mut ada, &request, authenticated(began.minus(std::time::Duration::from_secs(45))));
    let page = ada.follow(page);
    assert_eq!((page.status, page.url), (200, app.url("/payroll/june")));
    // What counts is the moment of the request then, by our own clock: three minutes ago.
    let me = ada.open(&app.url("/_samlgate/me")).json();
    assert_eq!(me["reauthenticated"], began.to_string());
    assert_eq!(me["auth_time"], began.minus(std::time::Duration::from_secs(45)).to_string(), "this one is the IdP's word");
    app.clock.advance(minutes(12));
    assert_eq!(ada.open(&app.url("/payroll/june")).status, 200);
    app.clock.advance(minutes(1));
    assert_eq!(ada.open(&app.url("/payroll/june")).status, 302);
}

#[test]
fn another_kind_of_authentication_ends_on_a_page_and_not_in_a_loop() {
    let app = start();
    let mut ada = app.browser();
    app.login(&mut ada, "/");
    let request = stepped_up(&app, &mut ada, "/vault/x");
    assert!(!request.force_authn);
    assert_eq!(request.authn_context, [OTP, CARD]);
    let page = app.finish(&mut ada, &request, app.answer(&request));
    let again = told(&app, &page, "authn_context", &mut ada);
    assert_eq!(again.authn_context, [OTP, CARD]);
    let page = app.finish(&mut ada, &again, app.answer(&again).status("Responder/NoAuthnContext", None));
    let again = told(&app, &page, "status_not_success", &mut ada);
    let page = app.finish(&mut ada, &again, app.answer(&again).authn_context(Some(CARD)));
    assert_eq!(ada.follow(page).status, 200);
}

#[test]
fn a_new_authentication_that_took_too_long_is_told_and_not_asked_for_in_a_loop() {
    let app = start();
    let mut ada = app.browser();
    let request = stepped_up(&app, &mut ada, "/payroll/june");
    let began = app.clock.now().to_string();
    app.clock.advance(minutes(20));
    let now = format!("AuthnInstant=\"{}\"", app.clock.now());
    let late = app.answer(&request).replace(&now, &format!("AuthnInstant=\"{began}\""));
    let page = app.finish(&mut ada, &request, late);
    let again = told(&app, &page, "authn_too_old", &mut ada);
    let page = app.finish(&mut ada, &again, app.answer(&again));
    assert_eq!(ada.follow(page).status, 200);
}

#[test]
fn whoever_comes_back_as_somebody_else_is_somebody_else() {
    let app = start();
    let mut ada = app.browser();
    app.login(&mut ada, "/");
    let request = stepped_up(&app, &mut ada, "/payroll/june");
    let page = app.finish(&mut ada, &request, app.answer_with_viewer(&request, "eve@example.com"));
    ada.follow(page);
    let told = app.told();
    assert_eq!((told.one("x-user"), told.one("x-role")), (Some("eve@example.com"), Some("viewer")));
    assert_eq!(ada.open(&app.url("/_samlgate/me")).json()["user"], "eve@example.com");
}

#[test]
fn the_same_subject_keeps_what_was_proven_and_another_one_does_not() {
    let app = start();
    let mut ada = app.browser();
    let request = stepped_up(&app, &mut ada, "/payroll/june");
    app.finish(&mut ada, &request, app.answer(&request));
    app.clock.advance(minutes(5));
    // A step-up by class only: no new authentication is asked for.
    let request = stepped_up(&app, &mut ada, "/vault/x");
    assert!(!request.force_authn);
    app.finish(&mut ada, &request, good(&app, &request));
    for open in ["/vault/x", "/payroll/june"] {
        assert_eq!(ada.open(&app.url(open)).status, 200, "{open}");
    }
    app.clock.advance(minutes(11));
    assert_eq!(ada.open(&app.url("/payroll/june")).status, 302, "five and eleven minutes are sixteen");

    let request = stepped_up(&app, &mut ada, "/payroll/june");
    app.finish(&mut ada, &request, app.answer(&request));
    let page = ada.open(&app.url("/_samlgate/login?return_to=/&again=true"));
    let request = app.asked(&page);
    let other = app.answer(&request).subject("eve@example.com", EMAIL);
    app.finish(&mut ada, &request, other);
    assert_eq!(ada.open(&app.url("/payroll/june")).status, 302, "it was not eve who proved it");
}

#[test]
fn a_response_that_nobody_asked_for_proves_nothing() {
    let app = Setup::new().idp("idp_initiated = \"accept\"").sections(RULES).start();
    let mut ada = app.browser();
    let page = app.deliver(&mut ada, &app.unsolicited().base64(), Some("/payroll/june"));
    let page = ada.follow(page);
    assert!(app.asked(&page).force_authn);

    let app = start();
    let mut ada = app.browser();
    let page = app.deliver(&mut ada, &app.unsolicited().base64(), Some("/payroll/june"));
    let request = app.asked(&ada.follow(page));
    assert!(request.force_authn, "the login that begins instead asks for everything at once");
    let page = app.finish(&mut ada, &request, app.answer(&request));
    assert_eq!(ada.follow(page).status, 200);
}

#[test]
fn what_nobody_asks_for_can_not_be_asked_of_the_idp() {
    let app = start();
    let page = app.browser().open(&app.url("/_samlgate/login?authn_context=urn:x:anything"));
    assert_eq!((page.status, page.header("set-cookie")), (400, None));
    let page = app.browser().open(&app.url(&format!("/_samlgate/login?authn_context={OTP}")));
    assert_eq!(app.asked(&page).authn_context, [OTP]);
}

#[test]
fn an_idp_s_own_list_is_never_widened_by_a_rule() {
    let partner = FakeIdp::new("https://partner.example").metadata("https://partner.example/sso");
    let partner = format!("[[idp]]\nid = \"partner\"\nmetadata_xml = '{partner}'\n");
    let narrow = format!("authn_context = [\"{PASSWORD}\", \"{CARD}\"]");
    let app = Setup::new().idp(&narrow).sections(RULES).sections(&partner).start();
    let mut ada = app.browser();
    let request = app.begin(&mut ada, "/_samlgate/login?idp=corp");
    assert_eq!(request.authn_context, [PASSWORD, CARD]);
    app.finish(&mut ada, &request, app.answer(&request));
    let request = stepped_up(&app, &mut ada, "/vault/x");
    assert_eq!(request.authn_context, [CARD], "what both lists have");
    let page = app.finish(&mut ada, &request, app.answer(&request).authn_context(Some(OTP)));
    told(&app, &page, "authn_context", &mut ada);
    // A rule that this IdP can't satisfy: nobody is sent there in vain.
    let page = ada.open(&app.url("/both"));
    assert_eq!((page.status, page.header("location")), (403, None));
    assert!(page.text().contains("<code>authn_context</code>"), "{}", page.text());
}

#[test]
fn with_force_authn_every_login_must_be_a_new_authentication() {
    let app = Setup::new().idp("force_authn = true").sections(RULES).start();
    let mut ada = app.browser();
    let request = app.begin(&mut ada, "/");
    assert!(request.force_authn);
    let now = format!("AuthnInstant=\"{}\"", app.clock.now());
    let old = format!("AuthnInstant=\"{}\"", app.clock.now().minus(minutes(30)));
    let page = app.finish(&mut ada, &request, app.answer(&request).replace(&now, &old));
    let again = told(&app, &page, "authn_too_old", &mut ada);
    app.finish(&mut ada, &again, app.answer(&again));
    assert_eq!(ada.open(&app.url("/payroll/june")).status, 200, "and each one proves it");
}

#[test]
fn a_passive_login_signs_in_whoever_has_a_session_at_the_idp_and_nobody_else() {
    let app = Setup::new().sections("[[access]]\npath = \"/public/**\"\nallow = \"anyone\"").start();
    let mut ada = app.browser();
    let ask = |browser: &mut Browser| app.asked(&browser.open(&app.url("/_samlgate/login?return_to=/public/x&passive=true")));
    let request = ask(&mut ada);
    assert!(request.is_passive && !request.force_authn);
    let nobody = || app.answer(&request).status("Responder/NoPassive", None);
    let page = app.deliver(&mut app.browser(), &nobody().base64(), None);
    assert_eq!(page.status, 403, "another browser's login is not this one's: {}", page.text());
    let page = app.finish(&mut ada, &request, nobody());
    assert_eq!((page.status, page.location()), (303, Some(app.url("/public/x"))));
    assert!(ada.cookie(COOKIE).is_none());
    assert_eq!(ada.follow(page).status, 200);
    let page = app.finish(&mut ada, &request, app.answer(&request));
    assert_eq!(page.status, 403, "it is used: {}", page.text());

    let request = ask(&mut ada);
    let page = app.finish(&mut ada, &request, app.answer(&request));
    assert_eq!(page.location(), Some(app.url("/public/x")));
    assert!(app.is_signed_in(&mut ada));
    // Some IdPs don't say which request it is that they refuse (Keycloak 26.0): RelayState does, to the browser that has it.
    let mut bea = app.browser();
    let request = ask(&mut bea);
    let nobody = || app.unsolicited().status("Responder/NoPassive", None);
    let state = request.relay_state.as_deref();
    let mut mallory = app.browser();
    for (ours, state) in [(false, state), (true, Some("/public/x")), (true, None)] {
        let browser = if ours { &mut bea } else { &mut mallory };
        let page = app.deliver(browser, &nobody().base64(), state);
        assert_eq!((page.status, page.location()), (403, None), "{}", page.text());
    }
    let page = app.deliver(&mut bea, &nobody().base64(), state);
    assert_eq!((page.status, page.location()), (303, Some(app.url("/public/x"))));
    // Only to be refused: nobody is signed in without InResponseTo.
    let request = app.begin(&mut bea, "/");
    app.deliver(&mut bea, &app.unsolicited().base64(), request.relay_state.as_deref());
    assert!(!app.is_signed_in(&mut bea) && bea.cookie(COOKIE).is_none());

    // An ordinary login that is refused this way is refused.
    let request = app.begin(&mut app.browser(), "/");
    let page = app.finish(&mut ada, &request, app.answer(&request).status("Responder/NoPassive", None));
    assert_eq!(page.status, 403);
}

#[test]
fn an_idp_that_refuses_without_saying_what_leads_back_to_the_page_all_the_same() {
    let app = start();
    let mut ada = app.browser();
    let request = stepped_up(&app, &mut ada, "/both?x=1");
    let refusal = app.unsolicited().status("Responder/AuthnFailed", Some("Not today")).base64();
    let page = app.deliver(&mut ada, &refusal, request.relay_state.as_deref());
    assert!(page.text().contains("Not today"), "{}", page.text());
    let again = told(&app, &page, "status_not_success", &mut ada);
    assert!(again.force_authn && again.authn_context == [OTP], "it asks for as much as before");
    let page = app.finish(&mut ada, &again, good(&app, &again));
    assert_eq!(ada.follow(page).url, app.url("/both?x=1"));
}

#[test]
fn head_is_asked_as_get_is() {
    let app = start();
    let mut ada = app.browser();
    app.login(&mut ada, "/");
    let page = ada.send("HEAD", &app.url("/payroll/june"), From::Outside, Kind::Navigation, &[], None);
    assert!(page.status == 302 && page.redirect().starts_with(SSO));
}
