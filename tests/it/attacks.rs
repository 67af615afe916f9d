//! Somebody who has read the source, has an account of their own at the IdP, and got hold of a response that was made for somebody
//! else: every way of putting these together that we could think of. docs/threat-model.md, "What was tried".

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use samlgate::clock::Clock as _;

use crate::support::app::{COOKIE, IDP, SSO, Setup, TestApp, minutes};
use crate::support::browser::Browser;
use crate::support::fake_idp::{
    ACS, Algorithm, EMAIL, Encryption, FakeIdp, OTHER, ParsedRequest, ResponseBuilder, SP, Sign, element, without_element,
};
use crate::support::page::Page;
use crate::support::raw;

const VICTIM: &str = "ada@example.com";
const THIEF: &str = "mallory@example.com";

/// Refused for this reason, and no session.
fn refused(what: &str, page: &Page, code: &str) {
    assert!((400..500).contains(&page.status), "{what}: {}", page.status);
    assert!(page.text().contains(code), "{what}: expected {code} in: {}", page.text());
    let given = page.all("set-cookie").into_iter().find(|line| line.starts_with(COOKIE) && !line.contains("Max-Age"));
    assert_eq!(given, None, "{what}");
}

fn posted(app: &TestApp, thief: &mut Browser, xml: &str) -> Page {
    app.deliver(thief, &STANDARD.encode(xml), None)
}

/// The thief's own answer from the IdP, genuine.
fn own(app: &TestApp, request: &ParsedRequest) -> ResponseBuilder {
    app.answer_with_viewer(request, THIEF)
}

fn is_thief(app: &TestApp, thief: &mut Browser) {
    assert_eq!(thief.visit(&app.url("/whoami")).status, 200);
    assert_eq!((app.told().one("x-user"), app.told().one("x-role")), (Some(THIEF), Some("viewer")));
}

/// Cuts `name` out of one message and puts it in the place of the other's.
fn transplanted(into: &str, from: &str, name: &str) -> String {
    into.replace(&element(into, name), &element(from, name))
}

#[test]
fn with_an_account_of_ones_own_nobody_becomes_somebody_else() {
    let app = TestApp::start();
    let mut thief = app.browser();
    let request = app.begin(&mut thief, "/whoami");
    for variant in 1..=8 {
        let page = app.finish(&mut thief, &request, own(&app, &request).wrapped(variant).evil(VICTIM));
        let code = if matches!(variant, 1 | 2 | 8) { "forbidden_xml" } else { "assertion_count" };
        refused(&format!("wrapping {variant}"), &page, code);
    }
    for sign in [Sign::Assertion, Sign::Response, Sign::Both] {
        let genuine = own(&app, &request).sign(sign).build();
        let name_id = element(&genuine, "saml:NameID");
        let with = |new: &str| genuine.replace(&name_id, new);
        let named = name_id.replace(THIEF, VICTIM);
        for (what, forged, code) in [
            ("another name", with(&named), "signature_invalid"),
            ("a second name", with(&format!("{named}{name_id}")), "signature_invalid"),
            ("a name cut short", with(&name_id.replace(THIEF, &format!("{VICTIM}<!-- -->.evil"))), "forbidden_xml"),
            ("a name behind an instruction", with(&name_id.replace(THIEF, &format!("{VICTIM}<?x?>.evil"))), "forbidden_xml"),
            ("a role", genuine.replace(">viewer<", ">Admins<"), "signature_invalid"),
            ("no signature", without_element(&genuine, "ds:Signature").replace(THIEF, VICTIM), "signature_"),
            ("an entity", format!("<!DOCTYPE x [<!ENTITY v \"{VICTIM}\">]>{}", genuine.replace(THIEF, "&v;")), "forbidden_xml"),
            ("an assertion beside it", beside(&genuine, VICTIM), "assertion_count"),
        ] {
            refused(&format!("{what} ({sign:?})"), &posted(&app, &mut thief, &forged), code);
        }
    }
    // Every attempt left the login as it was, and it is the thief's.
    assert_eq!(app.finish(&mut thief, &request, own(&app, &request)).status, 303);
    is_thief(&app, &mut thief);
}

/// One more assertion, unsigned, about somebody else.
fn beside(genuine: &str, user: &str) -> String {
    let evil = element(genuine, "saml:Assertion").replace(THIEF, user).replacen(" ID=\"", " ID=\"_evil", 1);
    let evil = if evil.contains("<ds:Signature") { without_element(&evil, "ds:Signature") } else { evil };
    genuine.replace("</samlp:Response>", &format!("{evil}</samlp:Response>"))
}

#[test]
fn a_stolen_response_fits_no_other_login() {
    let app = TestApp::start();
    let (mut victim, mut thief) = (app.browser(), app.browser());
    let theirs = app.begin(&mut victim, "/whoami");
    let ours = app.begin(&mut thief, "/whoami");
    for sign in [Sign::Assertion, Sign::Response, Sign::Both] {
        let stolen = app.answer(&theirs).sign(sign).build();
        let genuine = own(&app, &ours).sign(sign).build();
        let renamed = stolen.replace(&theirs.id, &ours.id);
        let outside = stolen.replacen(&format!("InResponseTo=\"{}\"", theirs.id), &format!("InResponseTo=\"{}\"", ours.id), 1);
        let silent = stolen.replacen(&format!(" InResponseTo=\"{}\"", theirs.id), "", 1);
        let covered = if sign == Sign::Assertion { "in_response_to_mismatch" } else { "signature_invalid" };
        for (what, message, code) in [
            ("as it is", stolen.clone(), "browser_mismatch"),
            ("with the thief's request in the envelope", outside, covered),
            ("with the thief's request everywhere", renamed, "signature_invalid"),
            ("without a request in the envelope", silent, "browser_mismatch"),
            ("in the thief's envelope", transplanted(&genuine, &stolen, "saml:Assertion"), covered),
            (
                "with the thief's signature",
                transplanted(&stolen, &genuine, "ds:Signature").replacen(&theirs.id, &ours.id, 1),
                "signature_",
            ),
            (
                "beside the thief's assertion",
                genuine.replace("</samlp:Response>", &format!("{}</samlp:Response>", element(&stolen, "saml:Assertion"))),
                "assertion_count",
            ),
            (
                "in Extensions of the thief's response",
                genuine.replacen(
                    "<samlp:Status>",
                    &format!("<samlp:Extensions>{}</samlp:Extensions><samlp:Status>", element(&stolen, "saml:Assertion")),
                    1,
                ),
                "assertion_count",
            ),
            ("encrypted by the thief", encrypted(&stolen).replacen(&theirs.id, &ours.id, 1), covered),
        ] {
            refused(&format!("{what} ({sign:?})"), &posted(&app, &mut thief, &message), code);
        }
    }
    assert!(!app.is_signed_in(&mut thief));
    // Its owner is not disturbed, and the thief still comes in as nobody but themselves.
    assert_eq!(app.finish(&mut victim, &theirs, app.answer(&theirs)).status, 303);
    assert_eq!(app.finish(&mut thief, &ours, own(&app, &ours)).status, 303);
    is_thief(&app, &mut thief);
}

/// Anybody can encrypt for us. The signature of a Response no longer fits then, that of an Assertion does.
fn encrypted(stolen: &str) -> String {
    Encryption::default().around(stolen, "saml:Assertion", "saml:EncryptedAssertion")
}

#[test]
fn a_response_for_another_service_or_of_yesterday_is_no_use() {
    let app = TestApp::start();
    let mut thief = app.browser();
    let ours = app.begin(&mut thief, "/whoami");
    // The thief runs a service at the same IdP, and the victim signed in there, with a request that the thief chose.
    let elsewhere = app.answer(&ours).to("https://thief.example/metadata", "https://thief.example/acs");
    refused("another service", &app.finish(&mut thief, &ours, elsewhere), "destination_mismatch");
    let elsewhere = app.answer(&ours).to("https://thief.example/metadata", "https://thief.example/acs");
    let readdressed = elsewhere.build().replacen("https://thief.example/acs", ACS, 1);
    refused("readdressed", &posted(&app, &mut thief, &readdressed), "_mismatch");
    let audience = app.answer(&ours).audience(Some("https://thief.example/metadata"));
    refused("another audience", &app.finish(&mut thief, &ours, audience), "audience_mismatch");
    let old = app.answer(&ours).at(app.clock.now().minus(minutes(60)));
    refused("an hour old", &app.finish(&mut thief, &ours, old), "too_old");
    // The thief's own IdP, which nobody configured, says what the thief wants under the name of ours.
    let forged = FakeIdp::with_key(IDP, OTHER, Algorithm::RsaSha256);
    let forged = forged.response().to(SP, ACS).subject(VICTIM, EMAIL).in_response_to(&ours.id).at(app.clock.now());
    refused("the thief's own key", &app.finish(&mut thief, &ours, forged), "signature_invalid");
    assert!(!app.is_signed_in(&mut thief));
}

#[test]
fn what_was_used_once_is_worth_nothing_to_whoever_reads_the_log() {
    for initiated in ["restart", "accept", "off"] {
        let app = Setup::new().idp(&format!("idp_initiated = \"{initiated}\"")).start();
        let mut victim = app.browser();
        let theirs = app.begin(&mut victim, "/whoami");
        let response = app.answer(&theirs);
        let used = response.build();
        assert_eq!(posted(&app, &mut victim, &used).status, 303);
        let mut thief = app.browser();
        refused(initiated, &posted(&app, &mut thief, &used), "browser_mismatch");
        // Cut down to what an unsolicited response would look like: the assertion still names the request.
        let bare = used.replacen(&format!(" InResponseTo=\"{}\"", theirs.id), "", 1);
        refused(initiated, &posted(&app, &mut thief, &bare), "browser_mismatch");
        let barer = bare.replace(&format!(" InResponseTo=\"{}\"", theirs.id), "");
        let code = if initiated == "off" { "unsolicited_not_allowed" } else { "signature_invalid" };
        refused(initiated, &posted(&app, &mut thief, &barer), code);
        assert!(!app.is_signed_in(&mut thief));
    }
}

#[test]
fn side_doors_of_other_products_are_not_there() {
    let app = TestApp::start();
    let host = "Host: app.example\r\nX-Forwarded-Proto: https\r\n";
    // Enhanced clients (PAOS) are sent to the IdP as everybody is.
    let profile = "ver=\"urn:liberty:paos:2003-08\";\"urn:oasis:names:tc:SAML:2.0:profiles:SSO:ecp\"";
    let enhanced = raw::ask(
        app.address(),
        format!("GET /whoami HTTP/1.1\r\n{host}Accept: text/html, application/vnd.paos+xml\r\nPAOS: {profile}\r\n\r\n"),
    );
    assert_eq!(enhanced.status(), 302, "{}", enhanced.text());
    assert!(enhanced.header("location").is_some_and(|to| to.starts_with(SSO)), "{}", enhanced.text());
    // Responses by GET, headers that other gateways believe.
    for (head, status) in [
        (
            format!("POST /_samlgate/acs HTTP/1.1\r\n{host}Content-Type: application/vnd.paos+xml\r\nContent-Length: 0\r\n\r\n"),
            400,
        ),
        (format!("GET /_samlgate/acs?SAMLResponse=PGE%2BPC9hPg%3D%3D HTTP/1.1\r\n{host}\r\n"), 405),
        (
            format!(
                "GET /whoami HTTP/1.1\r\n{host}Authorization: Bearer x\r\nX-Remote-User: {VICTIM}\r\nRemote-User: {VICTIM}\r\nAccept: application/json\r\n\r\n"
            ),
            401,
        ),
    ] {
        let answer = raw::ask(app.address(), &head);
        assert_eq!(answer.status(), status, "{head}: {}", answer.text());
        assert_eq!(answer.header("set-cookie"), None, "{head}");
    }
    assert!(app.upstream.seen().is_empty(), "nothing came as far as the application");
}
