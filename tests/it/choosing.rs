//! Several identity providers: which one a login begins with, and that only that one may answer.

use crate::support::app::{COOKIE, IDP, SSO, Setup, TestApp};
use crate::support::browser::{Browser, From, Kind};
use crate::support::fake_idp::{FakeIdp, ParsedRequest, ResponseBuilder, SP_CERTIFICATE, parse_authn_request};
use crate::support::page::Page;

const PARTNER: &str = "https://partner.example/metadata";
const PARTNER_SSO: &str = "https://partner.example/sso";
const CHOICE: &str = "__Host-samlgate-idp";

/// `corp`, and `partner` with a name and domains; a path of the partner's.
fn start() -> TestApp {
    with_partner("name = \"Partner & Söhne\"\ndomains = [\"Partner.example\", \"sub.partner.example\"]")
}

fn with_partner(lines: &str) -> TestApp {
    let metadata = FakeIdp::new(PARTNER).metadata(PARTNER_SSO);
    let partner = format!("[[idp]]\nid = \"partner\"\nmetadata_xml = '{metadata}'\n{lines}\n");
    let rules = "[[access]]\npath = \"/partner/**\"\nallow = \"signed-in\"\nidp = \"partner\"\n";
    Setup::new().sections(&partner).sections(rules).start()
}

/// What an identity provider is asked by a redirect to it.
fn asked(page: &Page, sso: &str) -> ParsedRequest {
    let to = page.redirect();
    assert!(to.starts_with(sso), "expected a redirect to {sso}, not to {to}");
    parse_authn_request(&to, Some(SP_CERTIFICATE)).expect("a signed request")
}

/// The partner's answer.
fn of_partner(app: &TestApp, request: &ParsedRequest) -> ResponseBuilder {
    app.answer(request).issuer(PARTNER)
}

/// The choices on a page: what they say and where they lead.
fn choices(page: &Page) -> Vec<(String, String)> {
    let text = page.text();
    let list = text.split_once("<ul class=\"choices\">").expect("a list").1.split_once("</ul>").expect("its end").0.to_owned();
    let label = |item: &str| {
        let inside = item.split_once("\">").unwrap().1.rsplit_once("</a>").unwrap().0;
        inside.replace("<span class=\"note\">", "").replace("</span>", "")
    };
    let labels = list.split("<li>").skip(1).map(label);
    labels.zip(page.links()).collect()
}

fn typed(browser: &mut Browser, page: &Page, address: &str) -> Page {
    let form = page.form();
    assert_eq!(form.method, "post");
    browser.post(&page.url, &form.action, &[("email", address)])
}

#[test]
fn the_page_says_who_there_is_and_works_for_everybody() {
    let app = start();
    let page = app.browser().visit(&app.url("/reports?x=1#y"));
    assert_eq!(page.status, 200);
    let text = page.text();
    for part in [
        "<html lang=\"en\">",
        "<main>",
        "<h1>Sign in</h1>",
        "<label for=\"email\">",
        "<input id=\"email\" name=\"email\" type=\"email\" autocomplete=\"username\"",
        "aria-describedby=\"email-use\"",
        "<nav aria-labelledby=\"choices\">",
        "<h2 id=\"choices\">",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(!text.contains("<script") && !text.contains("autofocus") && !text.contains("tabindex"), "{text}");
    let choices = choices(&page);
    assert_eq!(choices[0].0, "corp", "without a name, the id");
    assert_eq!(choices[1].0, "Partner &#38; Söhne");
    assert!(page.header("content-security-policy").unwrap().contains("default-src 'none'"));
    let request = asked(&app.browser().click(&page.url, &choices[1].1), PARTNER_SSO);
    assert_eq!(request.destination.as_deref(), Some(PARTNER_SSO));
}

#[test]
fn the_last_choice_stands_first_and_is_no_more_than_that() {
    let app = start();
    let mut ada = app.browser();
    let page = ada.visit(&app.url("/reports"));
    let partner = choices(&page)[1].1.clone();
    let page = ada.click(&page.url, &partner);
    let request = asked(&page, PARTNER_SSO);
    assert!(ada.cookie(CHOICE).is_none(), "a link from elsewhere chooses nothing; a login does");
    let page = app.finish(&mut ada, &request, of_partner(&app, &request));
    let page = ada.follow(page);
    assert_eq!(page.url, app.url("/reports"));
    let cookie = ada.cookie(CHOICE).expect("remembered");
    assert_eq!((cookie.value.as_str(), cookie.secure, cookie.http_only), ("partner", true, true));
    assert_eq!(app.told().one("cookie"), None, "the application doesn't see it");

    ada.post(&app.url("/"), &app.url("/_samlgate/logout"), &[]);
    let page = ada.visit(&app.url("/reports"));
    assert_eq!(choices(&page)[0].0, "Partner &#38; Söhne (used last)");
    assert_eq!(choices(&page)[1].0, "corp");
    for forged in ["nobody", "\"><script>", "corp; Path=/"] {
        ada.plant("app.example", CHOICE, forged);
        let page = ada.visit(&app.url("/reports"));
        assert_eq!(page.status, 200);
        assert!(!page.text().contains("<script") && !page.text().contains("nobody"));
    }
    ada.plant("app.example", CHOICE, "corp");
    assert!(!app.is_signed_in(&mut ada), "it is no identity");
}

#[test]
fn a_mail_address_leads_to_the_idp_of_its_domain() {
    let app = start();
    let mut ada = app.browser();
    let page = ada.visit(&app.url("/reports?x=1"));
    for address in ["ada@partner.example", " Ada@PARTNER.example ", "x@sub.partner.example"] {
        let onwards = typed(&mut ada, &page, address);
        assert_eq!(onwards.status, 303);
        assert!(!onwards.redirect().to_ascii_lowercase().contains("ada"), "{}", onwards.redirect());
        assert!(onwards.header("set-cookie").is_none());
        let request = asked(&ada.follow(onwards), PARTNER_SSO);
        assert!(!request.xml.contains("ada@") && !request.force_authn);
        let page = app.finish(&mut app.browser(), &request, of_partner(&app, &request));
        assert_eq!(page.status, 403, "another browser's");
        let page = app.finish(&mut ada, &request, of_partner(&app, &request));
        assert_eq!(page.location(), Some(app.url("/reports?x=1")));
        ada.post(&app.url("/"), &app.url("/_samlgate/logout"), &[]);
    }
    for unknown in ["ada@other.example", "ada@evil.partner.example", "ada@partner.example.evil", "ada", "", "@"] {
        let page = typed(&mut ada, &page, unknown);
        assert_eq!(page.status, 200, "{unknown}");
        let text = page.text();
        assert!(text.contains("role=\"alert\"") && text.contains("aria-invalid=\"true\""), "{text}");
        assert!(!text.contains("evil") && !text.contains("value="), "what was typed is not repeated: {text}");
        assert_eq!(choices(&page).len(), 2);
        assert!(page.form().action.contains("return_to=/reports%3Fx%3D1"), "and the page that was wanted is not lost");
    }
}

#[test]
fn only_our_own_page_sends_addresses() {
    let app = start();
    let action = app.url("/_samlgate/login?return_to=/");
    let page = app.browser().post("https://evil.example/", &action, &[("email", "ada@partner.example")]);
    assert_eq!(page.status, 403, "{}", page.text());
    assert!(page.text().contains("cross_site"));
    let large = "a".repeat(9000);
    let page = app.browser().post(&app.url("/"), &action, &[("email", &large)]);
    assert_eq!(page.status, 413);
    let page = app.browser().post(&app.url("/"), &action, &[("email", "a@b.example"), ("email", "c@d.example")]);
    assert_eq!(page.status, 400);
}

#[test]
fn without_domains_nobody_is_asked_for_an_address() {
    let app = with_partner("");
    let page = app.browser().visit(&app.url("/reports"));
    assert!(!page.text().contains("<form") && !page.text().contains("<input"), "{}", page.text());
    assert!(page.header("content-security-policy").unwrap().contains("form-action 'none'"));
    assert_eq!(choices(&page).len(), 2);
}

#[test]
fn a_rule_says_where_a_login_begins() {
    let app = start();
    let mut ada = app.browser();
    let request = asked(&ada.open(&app.url("/partner/x")), PARTNER_SSO);
    let page = app.finish(&mut ada, &request, of_partner(&app, &request));
    assert_eq!(ada.follow(page).url, app.url("/partner/x"));
    // A link to our login page does too, unless it says otherwise.
    let page = app.browser().open(&app.url("/_samlgate/login?return_to=/partner/x"));
    asked(&page, PARTNER_SSO);
    let page = app.browser().open(&app.url("/_samlgate/login?return_to=/partner/x&idp=corp"));
    asked(&page, SSO);
    let page = app.browser().send("GET", &app.url("/partner/api"), From::Outside, Kind::Fetch, &[], None);
    assert_eq!(page.json()["login_url"], app.url("/_samlgate/login?return_to=/&idp=partner"));
}

#[test]
fn a_session_of_another_idp_passes_where_a_rule_only_says_where_logins_begin() {
    let app = start();
    let mut ada = app.browser();
    let request = asked(&ada.open(&app.url("/_samlgate/login?idp=corp")), SSO);
    app.finish(&mut ada, &request, app.answer(&request));
    assert_eq!(ada.open(&app.url("/partner/x")).status, 200);
    assert_eq!(ada.open(&app.url("/_samlgate/login?return_to=/partner/x")).redirect(), app.url("/partner/x"));
}

#[test]
fn only_the_idp_that_was_asked_may_answer() {
    let app = start();
    let mut ada = app.browser();
    let request = asked(&ada.open(&app.url("/partner/x")), PARTNER_SSO);
    let page = app.finish(&mut ada, &request, app.answer(&request));
    assert_eq!(page.status, 403);
    assert!(page.text().contains("issuer_mismatch"), "{}", page.text());
    // Nor does it help to hide who answers.
    let page = app.finish(&mut ada, &request, app.answer(&request).response_issuer(None).assertion_issuer(Some(IDP)));
    assert!(page.text().contains("issuer_mismatch"), "{}", page.text());
    assert!(ada.cookie(COOKIE).is_none());
    let page = app.finish(&mut ada, &request, of_partner(&app, &request));
    assert_eq!(page.status, 303);
}

#[test]
fn a_step_up_goes_to_the_idp_that_the_session_is_from() {
    let metadata = FakeIdp::new(PARTNER).metadata(PARTNER_SSO);
    let partner = format!("[[idp]]\nid = \"partner\"\nmetadata_xml = '{metadata}'\n");
    let rules = "[[access]]\npath = \"/a\"\nallow = \"signed-in\"\nmax_auth_age = \"5m\"\n\
                 [[access]]\npath = \"/b\"\nallow = \"signed-in\"\nmax_auth_age = \"5m\"\nidp = \"corp\"\n";
    let app = Setup::new().sections(&partner).sections(rules).start();
    let mut ada = app.browser();
    let request = asked(&ada.open(&app.url("/_samlgate/login?idp=partner")), PARTNER_SSO);
    app.finish(&mut ada, &request, of_partner(&app, &request));
    assert!(asked(&ada.open(&app.url("/a")), PARTNER_SSO).force_authn);
    assert!(asked(&ada.open(&app.url("/_samlgate/login?return_to=/a")), PARTNER_SSO).force_authn);
    assert!(asked(&ada.open(&app.url("/b")), SSO).force_authn, "unless the rule says which");
    // Whoever has no session chooses, and is asked for everything at once.
    let mut eve = app.browser();
    let page = eve.visit(&app.url("/a"));
    let request = asked(&eve.click(&page.url, &choices(&page)[0].1), SSO);
    assert!(request.force_authn);
    app.finish(&mut eve, &request, app.answer(&request));
    assert_eq!(eve.open(&app.url("/a")).status, 200);
}
