//! What a login brings back beside the path: the fragment of the address, and a form that was sent without a session.

use crate::support::app::{COOKIE, Setup, TestApp, minutes};
use crate::support::browser::{Browser, From, Kind, encode};
use crate::support::page::Page;

const RULES: &str = r#"
[[access]]
path = "/app/**"
allow = "signed-in"
keep_fragment = true
max_auth_age = "15m"
[[access]]
path = "/orders/**"
allow = "signed-in"
keep_form = "2KiB"
[[access]]
path = "/payroll/**"
methods = ["POST"]
allow = "signed-in"
max_auth_age = "15m"
keep_form = "2KiB"
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
    let long = "a".repeat(5000);
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

const FIELDS: [(&str, &str); 5] = [
    ("item", "42"),
    ("note", "two lines\r\n& \u{fc}ber \"quotes\" <b>"),
    ("item", ""),
    ("password", "hunter2-very-secret"),
    ("\"><script>alert(1)</script>", "\"><script>alert(2)</script>"),
];

/// Sends the form without a session, from a page of this site, and signs in: the page that shows it.
fn sent_and_signed_in(app: &TestApp, browser: &mut Browser, path: &str) -> Page {
    let page = browser.post(&app.url("/orders/new"), &app.url(path), &FIELDS);
    assert_eq!(page.status, 303, "{}", page.text());
    let away = browser.follow(page);
    let request = app.asked(&away);
    let page = app.finish(browser, &request, app.answer(&request));
    assert!(page.redirect().starts_with(&app.url("/_samlgate/form?id=")), "{}", page.redirect());
    browser.follow(page)
}

/// A page on which there is no form any more.
fn is_gone(page: &Page) {
    assert_eq!(page.status, 410, "{}", page.text());
    assert!(page.text().contains("form_gone") && !page.text().contains("hunter2"), "{}", page.text());
}

fn reached_with_post(app: &TestApp) -> usize {
    app.upstream.seen().iter().filter(|seen| seen.line().starts_with("POST")).count()
}

#[test]
fn a_form_is_shown_after_the_login_and_sent_at_a_click() {
    let app = start();
    let mut ada = app.browser();
    let page = sent_and_signed_in(&app, &mut ada, "/orders/new?draft=1&x=%22");
    assert_eq!((page.status, page.header("cache-control")), (200, Some("no-store")));
    assert_eq!(reached_with_post(&app), 0, "nothing is sent by itself");
    let text = page.text();
    assert!(!text.contains("<script"), "no script, and nobody else's: {text}");
    assert!(text.contains("ada@example.com") && text.contains("https://app.example/orders/new?draft=1&#38;x=%22"), "{text}");
    assert!(text.contains("<th scope=\"row\">password</th><td>19 characters</td>"), "{text}");
    assert_eq!(text.matches("hunter2").count(), 1, "only where the browser sends it from: {text}");
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.contains("default-src 'none'") && !policy.contains("script-src"), "{policy}");

    let form = page.form();
    assert_eq!((form.method.as_str(), form.action.as_str()), ("post", &*app.url("/orders/new?draft=1&x=%22")));
    let expected: Vec<(String, String)> = FIELDS.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    assert_eq!(form.fields, expected);
    assert_eq!(ada.submit(&page, &form).status, 200);
    let told = app.told();
    assert_eq!(told.line(), "POST /orders/new?draft=1&x=%22 HTTP/1.1");
    assert_eq!(String::from_utf8_lossy(&told.body), encode(&FIELDS));
    assert_eq!(told.one("x-user"), Some("ada@example.com"));
    is_gone(&ada.open(&page.url));
    assert_eq!(reached_with_post(&app), 1);
}

#[test]
fn only_a_form_of_this_site_s_own_pages_is_kept() {
    let app = start();
    let url = app.url("/orders/new");
    let kind = ("Content-Type", "application/x-www-form-urlencoded");
    let body = encode(&FIELDS);
    let refused = |page: Page| {
        assert_eq!(page.status, 401, "{}", page.text());
        assert_eq!(page.json()["error"], "login_required");
        assert!(page.header("set-cookie").is_none());
    };
    let send = |from: From<'_>, to: Kind, headers: &[(&str, &str)]| {
        refused(app.browser().send("POST", &url, from, to, headers, Some(body.as_bytes())));
    };
    send(From::Page("https://evil.example/"), Kind::Navigation, &[kind]);
    send(From::Page("http://app.example/"), Kind::Navigation, &[kind]);
    send(From::Outside, Kind::Navigation, &[kind]);
    send(From::Outside, Kind::Navigation, &[kind, ("Origin", "null")]);
    send(From::Page(&url), Kind::Navigation, &[kind, ("Origin", "https://evil.example")]);
    send(From::Page(&url), Kind::Fetch, &[kind]);
    send(From::Page(&url), Kind::OldXhr, &[kind]);
    send(From::Page(&url), Kind::Navigation, &[("Content-Type", "multipart/form-data; boundary=x")]);
    send(From::Page(&url), Kind::Navigation, &[kind, ("Content-Encoding", "gzip")]);
    send(From::Page(&url), Kind::Navigation, &[]);
    let page = app.browser().post(&url, &app.url("/elsewhere"), &FIELDS);
    refused(page);
}

#[test]
fn a_form_that_is_too_large_or_unreadable_is_told_and_not_kept() {
    let app = start();
    let url = app.url("/orders/new");
    let page = app.browser().post(&url, &url, &[("note", &"x".repeat(3000))]);
    assert_eq!((page.status, page.header("set-cookie")), (413, None));
    let many = vec![("a", ""); 510];
    let page = app.browser().post(&url, &url, &many);
    assert_eq!((page.status, page.header("set-cookie")), (400, None), "nobody reads a page of so many fields");
    let kind = [("Content-Type", "application/x-www-form-urlencoded")];
    let page = app.browser().send("POST", &url, From::Page(&url), Kind::Navigation, &kind, Some(b"a=%ff"));
    assert_eq!((page.status, page.header("set-cookie")), (400, None), "what isn't UTF-8 would be changed");
    let long = app.url(&format!("/orders/{}", "x".repeat(4500)));
    let page = app.browser().post(&url, &long, &FIELDS);
    assert_eq!((page.status, page.header("set-cookie")), (400, None));
}

#[test]
fn a_form_is_its_browser_s_and_its_user_s_own() {
    let app = start();
    let mut ada = app.browser();
    let page = ada.post(&app.url("/orders/new"), &app.url("/orders/new"), &FIELDS);
    let here = ada.follow(page.clone());
    let request = app.asked(&here);
    let address = percent_encoding::percent_decode_str(page.redirect().split_once("return_to=").unwrap().1)
        .decode_utf8_lossy()
        .into_owned();
    let mut eve = app.browser();
    app.login(&mut eve, "/");
    is_gone(&eve.open(&app.url(&address)));
    // It is still there for the browser that sent it, by its own login.
    let page = app.finish(&mut ada, &request, app.answer(&request));
    let page = ada.follow(page);
    assert_eq!(page.status, 200);

    // With a session it belongs to that user: another one who signs in instead doesn't see it.
    app.clock.advance(minutes(20));
    let page = ada.post(&app.url("/payroll/june"), &app.url("/payroll/june"), &FIELDS);
    assert_eq!(page.status, 303);
    let request = app.asked(&ada.follow(page));
    assert!(request.force_authn, "on the terms of what is sent, not of the page that shows it");
    let page = app.finish(&mut ada, &request, app.answer_with_viewer(&request, "eve@example.com"));
    is_gone(&ada.follow(page));
}

#[test]
fn a_step_up_keeps_a_form_too() {
    let app = start();
    let mut ada = app.browser();
    app.login(&mut ada, "/");
    let page = ada.post(&app.url("/payroll/june"), &app.url("/payroll/june"), &FIELDS);
    let request = app.asked(&ada.follow(page));
    assert!(request.force_authn);
    let page = app.finish(&mut ada, &request, app.answer(&request));
    let page = ada.follow(page);
    assert_eq!(ada.submit(&page, &page.form()).status, 200);
    assert_eq!(reached_with_post(&app), 1);
}

#[test]
fn a_kept_form_ends_with_its_login_and_is_shown_once() {
    let app = start();
    let mut ada = app.browser();
    let page = ada.post(&app.url("/orders/new"), &app.url("/orders/new"), &FIELDS);
    let here =
        app.url(&percent_encoding::percent_decode_str(page.redirect().split_once("return_to=").unwrap().1).decode_utf8_lossy());
    let head = ada.send("HEAD", &here, From::Outside, Kind::Navigation, &[], None);
    let fetched = ada.send("GET", &here, From::Outside, Kind::Fetch, &[], None);
    assert_eq!((head.status, fetched.status), (405, 405), "neither shows it, so neither uses it up");
    app.clock.advance(minutes(61));
    let request = app.asked(&ada.visit(&here));
    let page = app.finish(&mut ada, &request, app.answer(&request));
    is_gone(&ada.follow(page));

    let page = sent_and_signed_in(&app, &mut app.browser(), "/orders/new");
    let mut thief = app.browser();
    app.login(&mut thief, "/");
    is_gone(&thief.open(&page.url));
}

#[test]
fn two_session_cookies_and_a_form_do_not_go_round() {
    let app = start();
    let mut ada = app.browser();
    ada.extra = vec![("Cookie".to_owned(), format!("{COOKIE}=a; {COOKIE}=b"))];
    let page = ada.post(&app.url("/orders/new"), &app.url("/orders/new"), &FIELDS);
    assert_eq!((page.status, page.header("set-cookie")), (400, None));
    assert_eq!(ada.open(&app.url("/_samlgate/form?id=x&to=/")).status, 400);
}
