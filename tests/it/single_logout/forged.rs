//! Whoever is not the identity provider ends nobody's session, and learns nothing.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode};
use samlgate::saml::{IdentityProvider, read_idp};

use super::{ALL, By, SLO, encoded, idp, outgoing, request, send};
use crate::support::fake_idp::{Algorithm, EC, FakeIdp, LogoutBuilder, OTHER};
use crate::support::site::{IDP, Jar, Plan, SSO, Site, request_id, slo_of, start_of_time};

const OTHER_IDP: &str = "https://other.example/metadata";

/// Two IdPs; `keys` of the second.
fn two_idps(second: &FakeIdp) -> Site {
    let mut plan = Plan::new().with_logout();
    let metadata = read_idp(second.metadata(SSO).as_bytes(), None, start_of_time()).unwrap();
    plan.idps.push(IdentityProvider { slo: slo_of("https://idp.example/slo"), ..IdentityProvider::new("other", metadata) });
    plan.build()
}

/// A session of alice at the first IdP.
async fn alice(site: &Site) -> Jar {
    let mut jar = Jar::default();
    let request = request_id(&site.open(&mut jar, "/_samlgate/login?idp=corp").await);
    let response = site.response().in_response_to(&request).base64();
    assert_eq!(site.post(&mut jar, "/_samlgate/acs", &response, None).await.status, StatusCode::SEE_OTHER);
    jar
}

/// The reason that a browser or the IdP is given.
fn reason(by: By, got: &super::Got) -> String {
    if by != By::Soap {
        return got.reason().to_owned();
    }
    let fault = got.text.split_once("<faultstring>").and_then(|(_, rest)| rest.split_once("</faultstring>"));
    fault.unwrap_or_else(|| panic!("{}", got.text)).0.to_owned()
}

#[tokio::test]
async fn no_forged_or_misdirected_request_ends_a_session() {
    let site = Plan::new().with_logout().build();
    let jar = alice(&site).await;
    let good = request(&site);
    let with_key = |key, algorithm| FakeIdp::with_key(IDP, key, algorithm).logout_request().at(site.now());
    let cases: Vec<(&str, LogoutBuilder)> = vec![
        ("signature_invalid", with_key(OTHER, Algorithm::RsaSha256)),
        ("signature_invalid", with_key(EC, Algorithm::EcdsaSha256)),
        ("signature_missing", good.clone().unsigned()),
        ("destination_mismatch", good.clone().destination(Some("https://app.example/_samlgate/acs"))),
        ("destination_mismatch", good.clone().destination(Some("https://other.example/_samlgate/slo"))),
        ("too_old", good.clone().at(site.now().minus(Duration::from_secs(361)))),
        ("not_yet_valid", good.clone().at(site.now().plus(Duration::from_secs(61)))),
        ("expired", good.clone().not_on_or_after(site.now().minus(Duration::from_secs(61)))),
        ("wrong_document", good.clone().session_indexes(&[""])),
        ("name_id_missing", good.clone().name_id_xml("")),
        ("decryption_failed", good.clone().name_id_xml("<saml:EncryptedID/>")),
    ];
    for by in ALL {
        for (expected, message) in &cases {
            let got = send(&site, by, message).await;
            assert_eq!(reason(by, &got), *expected, "{by:?}: {}", got.text);
            assert!(got.status.is_client_error() || by == By::Soap && got.status == StatusCode::INTERNAL_SERVER_ERROR);
            assert!(
                got.cookies().is_empty() && got.header("location").is_empty() && !got.text.contains("LogoutResponse"),
                "{by:?}"
            );
            if by == By::Soap {
                assert!(got.header("content-type").starts_with("text/xml") && got.text.contains("soap:Client"), "{}", got.text);
            } else {
                assert_eq!(got.button(), "/_samlgate/logout", "a way out for whoever really wanted to");
            }
            assert!(site.session(&jar).is_some(), "{by:?} {expected}");
        }
        let unknown = good.clone().issuer(Some("https://nobody.example/"));
        let got = send(&site, by, &unknown).await;
        assert_eq!(reason(by, &got), if by == By::Redirect { "issuer_mismatch" } else { "unknown_issuer" });
        assert!(site.session(&jar).is_some());
    }
    send(&site, By::Soap, &good).await;
    assert!(site.session(&jar).is_none(), "the good one does");
}

#[tokio::test]
async fn one_idp_ends_no_session_of_another() {
    for second in [FakeIdp::with_key(OTHER_IDP, OTHER, Algorithm::RsaSha256), FakeIdp::new(OTHER_IDP)] {
        let site = two_idps(&second);
        let jar = alice(&site).await;
        for by in ALL {
            // In its own name: its own alice, who isn't here.
            let got = send(&site, by, &second.logout_request().at(site.now())).await;
            assert_eq!(outgoing(&got).status, "Success", "{by:?}");
            assert!(site.session(&jar).is_some(), "{by:?}");
        }
        let same_key = second.certificate_pem() == idp().certificate_pem();
        for by in ALL.into_iter().filter(|_| !same_key) {
            // In the other's name, with its own key.
            let got = send(&site, by, &second.logout_request().issuer(Some(IDP)).at(site.now())).await;
            assert_eq!(reason(by, &got), if by == By::Redirect { "issuer_mismatch" } else { "signature_invalid" });
            assert!(site.session(&jar).is_some(), "{by:?}");
        }
        send(&site, By::Redirect, &request(&site)).await;
        assert!(site.session(&jar).is_none(), "its own IdP can, whichever comes first");
    }
}

#[tokio::test]
async fn a_signature_is_over_the_query_as_it_came() {
    let site = Plan::new().with_logout().build();
    let jar = alice(&site).await;
    let page = [("accept", "text/html"), ("sec-fetch-mode", "navigate")];
    let signed = request(&site).redirect(Some("state"));
    for (query, status, reason) in [
        (signed.replace("RelayState=state", "RelayState=other"), 403, "signature_invalid"),
        (signed.replace("RelayState=state&", ""), 403, "signature_invalid"),
        (format!("{signed}&RelayState=other"), 400, "malformed_query"),
        (format!("{signed}&SAMLRequest=x"), 400, "malformed_query"),
        (format!("{signed}&SAMLResponse=x"), 400, "malformed_query"),
        (format!("{signed}&SAML%52equest=x"), 400, "malformed_query"),
        (signed.replace("SAMLRequest=", "SAMLResponse="), 403, "signature_invalid"),
    ] {
        let got = site.send(Method::GET, &format!("{SLO}?{query}"), &page, "").await;
        assert_eq!((got.status.as_u16(), got.reason()), (status, reason), "{query:.40}");
        assert!(site.session(&jar).is_some());
    }
    let got = site.send(Method::GET, &format!("{SLO}?{signed}&utm=1"), &page, "").await;
    assert_eq!(outgoing(&got).status, "Success", "what isn't signed and means nothing may stand beside it");
}

#[tokio::test]
async fn what_is_no_message_is_refused_before_anything_is_verified() {
    let site = Plan::new().with_logout().build();
    let page = ("accept", "text/html");
    let form = ("content-type", "application/x-www-form-urlencoded");
    let xml = STANDARD.encode(request(&site).post());
    let response = site.response().base64();
    for (path, lines, body, status, expected) in [
        (SLO, &[page, form][..], String::new(), 400, "bad_request"),
        (SLO, &[page, form], encoded(&[("SAMLRequest", &xml), ("SAMLResponse", &xml)]), 400, "bad_request"),
        (SLO, &[page, form], encoded(&[("SAMLRequest", &xml), ("SAMLRequest", &xml)]), 400, "bad_request"),
        (SLO, &[page, form], encoded(&[("SAMLRequest", &xml), ("RelayState", "a"), ("RelayState", "b")]), 400, "bad_request"),
        (SLO, &[page, ("content-type", "text/plain")], encoded(&[("SAMLRequest", &xml)]), 400, "bad_request"),
        (SLO, &[page, form], encoded(&[("SAMLResponse", &xml)]), 400, "wrong_document"),
        (SLO, &[page, form], encoded(&[("SAMLResponse", &response)]), 400, "wrong_document"),
        (SLO, &[page, form], encoded(&[("SAMLRequest", "%%%")]), 400, "not_base64"),
        (SLO, &[page, form], encoded(&[("SAMLRequest", &"A".repeat(130 * 1024))]), 413, "too_large"),
    ] {
        let got = site.send(Method::POST, path, lines, &body).await;
        assert_eq!((got.status.as_u16(), got.reason()), (status, expected), "{body:.60}");
    }
    for query in ["", "?", "?x=y"] {
        let got = site.send(Method::GET, &format!("{SLO}{query}"), &[page], "").await;
        assert_eq!((got.status, got.reason()), (StatusCode::BAD_REQUEST, "bad_request"), "{query}");
    }
    let soap = format!("{SLO}/soap");
    for (body, expected) in [
        (String::new(), "not_xml"),
        ("<a/>".to_owned(), "wrong_document"),
        (request(&site).post(), "wrong_document"),
        ("<!DOCTYPE a><a/>".to_owned(), "forbidden_xml"),
    ] {
        let got = site.send(Method::POST, &soap, &[("content-type", "text/xml")], &body).await;
        assert_eq!(reason(By::Soap, &got), expected);
        assert_eq!(got.status, StatusCode::INTERNAL_SERVER_ERROR, "as SOAP has it");
    }
    let got = site.send(Method::POST, &soap, &[], &"x".repeat(130 * 1024)).await;
    assert_eq!(got.status, StatusCode::PAYLOAD_TOO_LARGE);
    for (method, path) in [(Method::GET, soap.as_str()), (Method::PUT, SLO), (Method::DELETE, SLO)] {
        assert_eq!(site.send(method, path, &[page], "").await.status, StatusCode::METHOD_NOT_ALLOWED);
    }
    let bare = site.send(Method::POST, SLO, &[form], &encoded(&[("SAMLRequest", "%%%")])).await;
    assert_eq!(bare.json()["error"], "not_base64");
}

#[tokio::test]
async fn a_log_says_what_to_switch_on_when_logout_messages_are_unsigned() {
    // Keycloak with "Sign assertions" alone.
    let got = samlgate::login::Refusal::from(samlgate::login::LoginError::from(samlgate::saml::logout::LogoutError::Unsigned(
        samlgate::saml::logout::MessageKind::Request,
    )));
    assert_eq!(got.code, "signature_missing");
    assert!(got.detail.contains("\"Sign documents\"") && got.detail.contains("'sign.logout' => true"), "{}", got.detail);
}
