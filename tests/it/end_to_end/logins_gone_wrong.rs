//! Logins that must be refused: with the right code, without a session, and so that the user can go on.

use std::time::{Duration, Instant};

use crate::support::app::{COOKIE, Setup, TestApp, minutes};
use crate::support::browser::{Browser, From, Kind};
use crate::support::fake_idp::{EMAIL, Sign};
use crate::support::page::Page;

/// A refusal: a page of ours with its reason, no redirect, no session.
fn refused(page: &Page, code: &str) {
    assert!((400..500).contains(&page.status), "{}: {}", page.status, page.text());
    assert_eq!(page.location(), None);
    assert!(page.text().contains(code), "expected {code} in: {}", page.text());
    let session =
        page.all("set-cookie").into_iter().find(|line| line.starts_with("__Host-samlgate=") && !line.contains("Max-Age=0"));
    assert_eq!(session, None);
    assert!(page.header("content-type").is_some_and(|kind| kind.starts_with("text/html")));
}

/// "Try again" on a refusal's page leads through a login to the application.
fn try_again(app: &TestApp, browser: &mut Browser, page: &Page) -> Page {
    let link = page.links().into_iter().find(|link| link.starts_with(&app.public_url));
    let link = link.unwrap_or_else(|| panic!("no way to go on: {}", page.text()));
    let mut next = browser.click(&page.url, &link);
    next = browser.follow(next);
    if next.location().is_some() {
        let request = app.asked(&next);
        next = app.finish(browser, &request, app.answer(&request));
        next = browser.follow(next);
    }
    assert_eq!(next.status, 200, "{}", next.text());
    next
}

#[test]
fn after_an_hour_a_login_has_expired_and_trying_again_works() {
    let app = TestApp::start();
    let mut ada = app.browser();
    let request = app.begin(&mut ada, "/reports");
    app.clock.advance(minutes(61));
    let page = app.finish(&mut ada, &request, app.answer(&request));
    refused(&page, "login_expired");
    try_again(&app, &mut ada, &page);
    assert!(app.is_signed_in(&mut ada));
}

#[test]
fn a_response_posted_twice_is_refused_and_the_user_goes_on() {
    let app = TestApp::start();
    let mut ada = app.browser();
    let request = app.begin(&mut ada, "/reports");
    let response = app.answer(&request).base64();
    let relay_state = request.relay_state.as_deref();
    assert_eq!(app.deliver(&mut ada, &response, relay_state).status, 303);
    let session = ada.cookie(COOKIE).expect("a session").value.clone();
    let page = app.deliver(&mut ada, &response, relay_state);
    refused(&page, "replayed");
    assert_eq!(ada.cookie(COOKIE).expect("the session stays").value, session);
    try_again(&app, &mut ada, &page);

    let mut thief = app.browser();
    let page = app.deliver(&mut thief, &response, relay_state);
    assert!(page.status >= 400, "{}", page.status);
    assert!(!app.is_signed_in(&mut thief));
}

#[test]
fn of_two_posts_at_the_same_moment_one_is_taken() {
    let app = TestApp::start();
    let mut ada = app.browser();
    let request = app.begin(&mut ada, "/reports");
    let response = app.answer(&request).base64();
    let cookies: Vec<_> =
        ada.cookies("app.example").into_iter().map(|cookie| (cookie.name.clone(), cookie.value.clone())).collect();
    let results: Vec<u16> = std::thread::scope(|scope| {
        let posts: Vec<_> = (0..8)
            .map(|_| {
                let mut browser = app.browser();
                cookies.iter().for_each(|(name, value)| browser.plant("app.example", name, value));
                let (app, response, relay_state) = (&app, &response, request.relay_state.as_deref());
                // a planted cookie is Lax; a form on our own page brings it along
                scope.spawn(move || {
                    let mut fields = vec![("SAMLResponse", response.as_str())];
                    fields.extend(relay_state.map(|state| ("RelayState", state)));
                    browser.post(&app.url("/"), &app.url("/_samlgate/acs"), &fields).status
                })
            })
            .collect();
        posts.into_iter().map(|post| post.join().expect("an answer")).collect()
    });
    assert_eq!(results.iter().filter(|status| **status == 303).count(), 1, "{results:?}");
}

#[test]
fn a_response_posted_to_another_browser_is_refused_and_the_right_one_can_still_use_it() {
    let app = TestApp::start();
    let (mut ada, mut victim) = (app.browser(), app.browser());
    let request = app.begin(&mut ada, "/reports");
    let response = app.answer(&request).base64();
    let page = app.deliver(&mut victim, &response, request.relay_state.as_deref());
    refused(&page, "browser_mismatch");
    assert!(!app.is_signed_in(&mut victim));
    // also when the other browser has a login of its own under way
    app.begin(&mut victim, "/other");
    refused(&app.deliver(&mut victim, &response, request.relay_state.as_deref()), "browser_mismatch");
    let page = app.deliver(&mut ada, &response, request.relay_state.as_deref());
    assert_eq!(ada.follow(page).url, app.url("/reports"));
}

#[test]
fn an_answer_to_a_request_that_was_never_made_is_refused() {
    let app = TestApp::start();
    let mut ada = app.browser();
    let request = app.begin(&mut ada, "/reports");
    let other = app.answer(&request).in_response_to("_0123456789abcdef0123456789abcdef01234567");
    refused(&app.finish(&mut ada, &request, other), "login_expired");
    assert!(!app.is_signed_in(&mut ada));
}

#[test]
fn the_identity_providers_error_is_shown_in_plain_words() {
    let app = TestApp::start();
    let mut ada = app.browser();
    let request = app.begin(&mut ada, "/reports");
    let message = "Your account <b>expired</b> & needs renewal";
    let response = app.answer(&request).sign(Sign::Response).status("Responder/AuthnFailed", Some(message));
    let page = app.finish(&mut ada, &request, response);
    refused(&page, "status_not_success");
    assert!(!page.text().contains("<b>expired</b>"), "a stranger's markup is escaped: {}", page.text());
    assert!(page.text().contains("needs renewal"), "{}", page.text());
    try_again(&app, &mut ada, &page);
}

#[test]
fn what_is_wrong_with_a_response_stands_on_the_page() {
    type Change = fn(crate::support::fake_idp::ResponseBuilder) -> crate::support::fake_idp::ResponseBuilder;
    let cases: &[(&str, Change)] = &[
        ("signature_missing", |response| response.unsigned()),
        ("audience_mismatch", |response| response.audience(Some("https://other.example"))),
        ("destination_mismatch", |response| response.destination(Some("https://other.example/acs"))),
        ("recipient_mismatch", |response| response.recipient(Some("https://other.example/acs"))),
        ("unknown_issuer", |response| response.issuer("https://evil.example")),
        ("name_id_missing", |response| response.no_name_id()),
        ("authn_statement_missing", |response| response.authn_context(None)),
        ("signature", |response| response.damage_by_replacing("ada@example.com", "eve@example.com")),
        ("value_not_allowed", |response| response.replace(">Admins<", ">Guests<")),
    ];
    // the default only helps who asserts nothing
    let app = TestApp::start();
    for (code, change) in cases {
        let mut ada = app.browser();
        let request = app.begin(&mut ada, "/reports");
        let response = change(app.answer(&request).replace("<saml:AttributeValue>Staff</saml:AttributeValue>", ""));
        let page = app.finish(&mut ada, &request, response);
        refused(&page, code);
        assert!(!app.is_signed_in(&mut ada), "{code}");
        try_again(&app, &mut ada, &page);
    }
}

#[test]
fn a_response_that_is_too_old_or_from_the_future_is_refused() {
    let app = TestApp::start();
    for (code, moved) in [("too_old", -10_i64), ("not_yet_valid", 10)] {
        let mut ada = app.browser();
        let request = app.begin(&mut ada, "/");
        let now = samlgate::clock::Clock::now(&*app.clock);
        let at = if moved < 0 { now.minus(minutes(moved.unsigned_abs())) } else { now.plus(minutes(moved.unsigned_abs())) };
        let response = app.answer(&request).at(at).lifetime(minutes(60));
        refused(&app.finish(&mut ada, &request, response), code);
    }
}

#[test]
fn a_required_attribute_that_is_missing_refuses_the_login() {
    let app = Setup::new().sections("[identity.tenant]\nfrom = [\"tenant\"]\nrequired = true").start();
    let mut ada = app.browser();
    let request = app.begin(&mut ada, "/");
    let page = app.finish(&mut ada, &request, app.answer(&request));
    refused(&page, "attribute_missing");
    let request = app.begin(&mut ada, "/");
    let page = app.finish(&mut ada, &request, app.answer(&request).attribute("tenant", &["acme"]));
    assert_eq!(ada.follow(page).status, 200);
    assert_eq!(app.told().one("x-tenant"), Some("acme"));
}

/// Half a second; the parsers of a debug build, with other tests beside it, may take longer.
const SOON: Duration = Duration::from_millis(if cfg!(debug_assertions) { 5_000 } else { 500 });

/// Malformed, oversized and hostile posts: a refusal soon, and samlgate as well as before.
#[test]
fn hostile_posts_get_a_refusal_soon_and_change_nothing() {
    let app = TestApp::start();
    let acs = app.url("/_samlgate/acs");
    let form = "application/x-www-form-urlencoded";
    let deep = format!("SAMLResponse={}", base64_of(&"<a>".repeat(50_000)));
    let wide = format!("SAMLResponse={}", base64_of(&format!("<r>{}</r>", "<a/>".repeat(40_000))));
    let doctype = base64_of("<!DOCTYPE r [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><r>&x;</r>");
    let cases: Vec<(&str, &str, String)> = vec![
        ("nothing", form, String::new()),
        ("no SAMLResponse", form, "RelayState=x".to_owned()),
        ("an empty one", form, "SAMLResponse=".to_owned()),
        ("no base64", form, "SAMLResponse=%00%ff%3c%3e".to_owned()),
        ("no XML", form, format!("SAMLResponse={}", base64_of("hello"))),
        ("two of them", form, "SAMLResponse=YQ%3D%3D&SAMLResponse=YQ%3D%3D".to_owned()),
        ("deep", form, deep),
        ("wide", form, wide),
        ("a DOCTYPE", form, format!("SAMLResponse={doctype}")),
        ("5 MiB", form, format!("SAMLResponse={}", "A".repeat(5 << 20))),
        ("many fields", form, "a=b&".repeat(100_000)),
        (
            "multipart",
            "multipart/form-data; boundary=x",
            "--x\r\nContent-Disposition: form-data; name=\"SAMLResponse\"\r\n\r\nYQ==\r\n--x--".to_owned(),
        ),
        ("JSON", "application/json", "{\"SAMLResponse\":\"YQ==\"}".to_owned()),
        ("no content type", "", "SAMLResponse=YQ==".to_owned()),
    ];
    for (what, content_type, body) in &cases {
        let mut browser = app.browser();
        let headers: Vec<(&str, &str)> = if content_type.is_empty() { Vec::new() } else { vec![("Content-Type", *content_type)] };
        let before = Instant::now();
        let from = From::Page("https://evil.example/");
        let page = browser.send("POST", &acs, from, Kind::Navigation, &headers, Some(body.as_bytes()));
        let took = before.elapsed();
        assert!((400..500).contains(&page.status), "{what}: {} {}", page.status, page.text());
        assert!(took < SOON, "{what}: {took:?}");
        assert_eq!(page.all("set-cookie"), Vec::<&str>::new(), "{what}");
        assert!(!page.text().contains("root:"), "{what}");
    }
    for method in ["GET", "PUT", "DELETE"] {
        let page = app.browser().send(method, &acs, From::Outside, Kind::Navigation, &[], None);
        assert_eq!(page.status, 405, "{method}");
    }
    assert_eq!(app.browser().open("http://ops.localhost/readyz").status, 200);
    assert_eq!(app.login(&mut app.browser(), "/").status, 200);
}

fn base64_of(text: &str) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(text);
    text.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")
}

#[test]
fn a_refused_login_leaves_an_older_session_as_it_was() {
    let app = TestApp::start();
    let mut ada = app.browser();
    app.login(&mut ada, "/");
    let request = app.asked(&ada.visit(&app.url("/_samlgate/login?return_to=/&force=true")));
    refused(
        &app.finish(&mut ada, &request, app.answer(&request).subject("eve@example.com", EMAIL).unsigned()),
        "signature_missing",
    );
    assert!(app.is_signed_in(&mut ada));
    assert_eq!(app.told().one("x-user"), Some("ada@example.com"));
}
