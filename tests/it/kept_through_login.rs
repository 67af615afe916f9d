//! What a login brings back beside the path: the fragment of the address, and a form that was sent without a session.

use crate::support::app::{Setup, TestApp, minutes};
use crate::support::browser::{Browser, From, Kind};
use crate::support::page::Page;

const RULES: &str = r#"
[[access]]
path = "/app/**"
allow = "signed-in"
keep_fragment = true
max_auth_age = "15m"
"#;

fn start() -> TestApp {
    Setup::new().sections(RULES).start()
}

fn component(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// Where the script of the page leads in a browser that shows the page's address with this fragment.
fn script_leads_to(page: &Page, fragment: &str) -> String {
    assert_eq!(page.status, 200, "{}", page.text());
    assert!(page.text().contains(".href+encodeURIComponent(location.hash)"), "{}", page.text());
    let link = page.links().pop().expect("a link");
    let hash = if fragment.is_empty() { String::new() } else { component(&format!("#{fragment}")) };
    format!("{link}{hash}")
}

/// From a page to the identity provider and back: where the browser ends.
fn there_and_back(app: &TestApp, browser: &mut Browser, page: &Page, fragment: &str) -> String {
    let away = browser.click(&page.url, &script_leads_to(page, fragment));
    let request = app.asked(&away);
    let page = app.finish(browser, &request, app.answer(&request));
    page.redirect()
}

#[test]
fn a_fragment_survives_where_a_rule_says_so() {
    let app = start();
    let mut ada = app.browser();
    for fragment in ["/users/7?tab=a&b=%20c", "", "a#b", "x&idp=evil&force=true", "%3Cscript%3E"] {
        let page = ada.open(&app.url("/app/list?q=1"));
        assert!(page.header("set-cookie").is_none() && page.header("cache-control") == Some("no-store"));
        let expected = if fragment.is_empty() { String::new() } else { format!("#{fragment}") };
        assert_eq!(there_and_back(&app, &mut ada, &page, fragment), format!("{}{expected}", app.url("/app/list?q=1")));
        ada.post(&app.url("/"), &app.url("/_samlgate/logout"), &[]);
    }
    assert!(app.upstream.seen().is_empty());
}

#[test]
fn elsewhere_the_first_answer_is_the_redirect() {
    let app = start();
    app.begin(&mut app.browser(), "/reports#x");
    let page = app.browser().send("GET", &app.url("/app/api"), From::Outside, Kind::Fetch, &[], None);
    assert_eq!(page.status, 401);
    assert_eq!(page.json()["error"], "login_required");
}

#[test]
fn the_page_for_the_fragment_works_without_scripts_and_can_not_be_misused() {
    let app = start();
    let mut ada = app.browser();
    let page = ada.open(&app.url("/app/x?a=%22%3E%3Cscript%3Ealert(1)%3C/script%3E"));
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.contains("default-src 'none'; script-src 'sha256-") && policy.contains("form-action 'none'"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(page.text().matches("<script>").count(), 1, "{}", page.text());
    let link = page.links().pop().expect("a link");
    let refresh =
        format!("<noscript><meta http-equiv=\"refresh\" content=\"0; url={}\"></noscript>", &link[app.public_url.len()..]);
    assert!(page.text().contains(&refresh), "{}", page.text());
    // Without the script, the path and its query are kept all the same.
    assert!(there_and_back(&app, &mut ada, &page, "").ends_with("/app/x?a=%22%3E%3Cscript%3Ealert(1)%3C/script%3E"));
}

#[test]
fn what_is_no_fragment_of_a_browser_leads_nowhere_else() {
    let app = start();
    for (fragment, expected) in [
        ("\\\\evil.example", "/app/x#%5C%5Cevil.example"),
        ("\"><script>", "/app/x#%22%3E%3Cscript%3E"),
        ("\r\nSet-Cookie: a=b", "/"),
    ] {
        let mut ada = app.browser();
        let page = ada.open(&app.url("/app/x"));
        assert_eq!(there_and_back(&app, &mut ada, &page, fragment), app.url(expected), "{fragment:?}");
    }
    let mut ada = app.browser();
    let page = ada.open(&app.url("/app/x"));
    let long = "a".repeat(3000);
    assert_eq!(there_and_back(&app, &mut ada, &page, &long), app.url("/app/x"), "the page is worth more than the place on it");
}

#[test]
fn a_step_up_with_a_fragment_is_no_loop() {
    let app = start();
    let mut ada = app.browser();
    app.login(&mut ada, "/");
    let page = ada.open(&app.url("/app/x"));
    let away = ada.click(&page.url, &script_leads_to(&page, "part"));
    let request = app.asked(&away);
    assert!(request.force_authn, "our login page sees that the session isn't good enough");
    let page = app.finish(&mut ada, &request, app.answer(&request));
    assert_eq!(page.redirect(), app.url("/app/x#part"));
    assert_eq!(ada.follow(page).status, 200);
    // When another tab has done it meanwhile, it goes straight on.
    app.clock.advance(minutes(16));
    let (first, second) = (ada.open(&app.url("/app/1")), ada.open(&app.url("/app/2")));
    there_and_back(&app, &mut ada, &first, "a");
    let onwards = ada.click(&second.url, &script_leads_to(&second, "b"));
    assert_eq!(onwards.redirect(), app.url("/app/2#b"));
}
