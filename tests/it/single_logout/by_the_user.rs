//! A user logs out here: the session ends first, then the identity provider is told, and whatever it says, the user is signed out.

use std::sync::Arc;

use http::{Method, StatusCode};
use samlgate::saml::{Binding, Endpoint, RequestBinding};

use super::{By, encoded, idp, log_out, outgoing, send};
use crate::support::fake_idp::{Algorithm, EMAIL, FakeIdp, LogoutBuilder, OTHER, UNSPECIFIED, parse_authn_request};
use crate::support::flaky_store::{Broken, Flaky};
use crate::support::site::{IDP, Jar, Plan, SLO_AT_IDP, SSO, Site, request_id, slo_of};

/// Signs in as the IdP names her, with a SessionIndex of her own.
async fn sign_in(site: &Site, jar: &mut Jar) {
    let away = site.open_application(jar, "/").await;
    let request = match away.status {
        StatusCode::OK => parse_authn_request(&encoded(&[("SAMLRequest", away.form().field("SAMLRequest"))]), None).unwrap().id,
        _ => request_id(&away),
    };
    let response = site.response().in_response_to(&request).subject("a<l>i&ce", EMAIL).session_index(Some("s<7>"));
    let format = format!("Format=\"{EMAIL}\"");
    let response = response.replace(&format, &format!("{format} NameQualifier=\"{IDP}\""));
    assert_eq!(site.post(jar, "/_samlgate/acs", &response.base64(), None).await.status, StatusCode::SEE_OTHER);
}

/// The answer to the request that the browser has just taken away.
fn answer(site: &Site, request_id: &str, status: &str) -> LogoutBuilder {
    idp().logout_response(request_id, status).at(site.now())
}

#[tokio::test]
async fn the_session_ends_and_the_idp_is_told_by_either_binding() {
    for binding in [RequestBinding::Auto, RequestBinding::Post] {
        let site = Plan::new().with_logout().with_idp(|idp| idp.request_binding = binding).build();
        let mut jar = Jar::default();
        sign_in(&site, &mut jar).await;
        let held = site.session(&jar).unwrap();
        let got = log_out(&site, &mut jar, "/_samlgate/logout?return_to=/bye").await;
        assert!(!held.is_live(site.now()), "whatever the IdP does now");
        assert_eq!((jar.session(), got.cookies()), (None, vec![("__Host-samlgate".to_owned(), String::new())]));
        let told = outgoing(&got);
        assert_eq!((told.element.as_str(), told.name_id.as_deref()), ("LogoutRequest", Some("a<l>i&ce")));
        let attributes = [("Format", EMAIL), ("NameQualifier", IDP)].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(told.name_id_attributes, attributes, "as it was asserted");
        assert_eq!(told.session_indexes, ["s<7>"]);
        assert_eq!(
            (told.issuer.as_str(), told.destination.as_deref()),
            ("https://app.example/_samlgate/metadata", Some(SLO_AT_IDP))
        );
        assert_eq!(told.not_on_or_after.as_deref(), Some("2026-03-01T12:05:00Z"));
        assert_eq!(told.relay_state, None);
        if binding == RequestBinding::Post {
            assert!(got.text.contains("<h1>Signing out</h1>"), "{}", got.text);
            let policy = got.header("content-security-policy");
            assert!(policy.contains("form-action https:;") && policy.contains("script-src 'sha256-"), "{policy}");
        }
        for by in [By::Redirect, By::Post] {
            let again = log_out_anew(&site).await;
            let got = send(&site, by, &answer(&site, &again, "Success")).await;
            assert_eq!((got.status, got.location()), (StatusCode::SEE_OTHER, "/bye"), "{by:?}: {}", got.text);
            let got = send(&site, by, &answer(&site, &again, "Success")).await;
            assert_eq!((got.status, got.reason()), (StatusCode::FORBIDDEN, "in_response_to_mismatch"), "{by:?}: the second time");
            assert!(got.text.contains("This sign-out is over") && got.button() == "/", "{}", got.text);
        }
    }
}

/// Another whole logout: the ID of the request that went to the IdP.
async fn log_out_anew(site: &Site) -> String {
    let mut jar = Jar::default();
    site.pass(1);
    sign_in(site, &mut jar).await;
    outgoing(&log_out(site, &mut jar, "/_samlgate/logout?return_to=/bye").await).id
}

#[tokio::test]
async fn a_link_on_a_page_of_the_site_logs_out_too_and_a_script_is_told_where_to_go() {
    let site = Plan::new().with_logout().build();
    let mut jar = Jar::default();
    sign_in(&site, &mut jar).await;
    let cookie = format!("__Host-samlgate={}", jar.session().unwrap());
    let lines = [("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "navigate"), ("cookie", &*cookie)];
    let got = site.send(Method::GET, "/_samlgate/logout", &lines, "").await;
    assert_eq!(outgoing(&got).element, "LogoutRequest");
    assert!(site.session(&jar).is_none());

    site.pass(1);
    sign_in(&site, &mut jar).await;
    let got = site.log_out(&mut jar, "/_samlgate/logout", &[("sec-fetch-mode", "cors")]).await;
    assert_eq!((got.status, &got.json()["signed_out"]), (StatusCode::OK, &true.into()));
    assert!(got.json()["continue_at"].as_str().unwrap().starts_with(&format!("{SLO_AT_IDP}?SAMLRequest=")), "{}", got.text);
    assert_eq!(jar.session(), None);
    let got = site.log_out(&mut jar, "/_samlgate/logout?return_to=/bye", &[("sec-fetch-mode", "cors")]).await;
    assert_eq!(got.json()["continue_at"], "https://app.example/bye", "without a session too");
}

#[tokio::test]
async fn an_idp_that_was_not_wholly_successful_leaves_nobody_signed_in_or_in_the_dark() {
    let site = Plan::new().with_logout().build();
    for (by, status) in [
        (By::Redirect, "Success/PartialLogout"),
        (By::Post, "Responder/PartialLogout"),
        (By::Redirect, "Requester/RequestDenied"),
        (By::Post, "Responder"),
    ] {
        let request = log_out_anew(&site).await;
        let message = answer(&site, &request, status)
            .replace("</samlp:Status>", "<samlp:StatusMessage>&lt;b&gt;ask us&lt;/b&gt;</samlp:StatusMessage></samlp:Status>");
        let got = send(&site, by, &message).await;
        assert_eq!((got.status, got.reason()), (StatusCode::OK, "logout_incomplete"), "{status}");
        assert!(got.text.contains("You are signed out here, but perhaps not everywhere"), "{}", got.text);
        assert!(got.text.contains("&#60;b&#62;ask us") && !got.text.contains("<b>"), "{}", got.text);
        assert_eq!(got.button(), "/bye");
    }
    assert_eq!(site.sessions().await, 0);
}

#[tokio::test]
async fn without_a_logout_service_or_a_key_the_session_ends_here() {
    let without_key = Plan { keys: Vec::new(), slo_url: None, ..Plan::new().with_logout() };
    let no_service = Plan::new().with_logout().with_idp(|idp| idp.slo.clear());
    for plan in [without_key, no_service] {
        let site = plan.build();
        let mut jar = Jar::default();
        sign_in(&site, &mut jar).await;
        let got = log_out(&site, &mut jar, "/_samlgate/logout").await;
        assert_eq!((got.status, got.location()), (StatusCode::SEE_OTHER, "/"));
        assert_eq!((jar.session(), site.sessions().await), (None, 0));
    }
}

#[tokio::test]
async fn without_a_session_there_is_nothing_to_tell() {
    let site = Plan::new().with_logout().build();
    let mut jar = Jar::default();
    let got = log_out(&site, &mut jar, "/_samlgate/logout?return_to=/bye").await;
    assert_eq!((got.status, got.location()), (StatusCode::SEE_OTHER, "/bye"));
    sign_in(&site, &mut jar).await;
    let cookie = format!("__Host-samlgate={}", jar.session().unwrap());
    let lines = [("origin", "https://app.example"), ("cookie", &*cookie)];
    assert_eq!(outgoing(&site.send(Method::POST, "/_samlgate/logout", &lines, "").await).element, "LogoutRequest");
    let got = site.send(Method::POST, "/_samlgate/logout", &lines, "").await;
    assert_eq!((got.status, got.location()), (StatusCode::SEE_OTHER, "/"), "an ended session tells nobody a second time");
}

#[tokio::test]
async fn who_was_away_for_too_long_still_logs_out_at_the_idp() {
    let site = Plan::new().with_logout().build();
    let mut jar = Jar::default();
    sign_in(&site, &mut jar).await;
    site.pass(2 * 3600);
    assert!(site.session(&jar).is_none(), "idle for too long");
    assert_eq!(outgoing(&log_out(&site, &mut jar, "/_samlgate/logout").await).name_id.as_deref(), Some("a<l>i&ce"));
}

#[tokio::test]
async fn an_answer_that_comes_too_late_or_from_nowhere_changes_nothing() {
    let site = Plan::new().with_logout().build();
    let request = log_out_anew(&site).await;
    for by in [By::Redirect, By::Post] {
        let unknown = answer(&site, "_0123456789012345678901234567890123456789", "Success");
        let unnamed = answer(&site, "_x", "Success").replace(" InResponseTo=\"_x\"", "");
        for message in [unknown, unnamed] {
            let got = send(&site, by, &message).await;
            assert_eq!((got.status, got.reason()), (StatusCode::FORBIDDEN, "in_response_to_mismatch"), "{by:?}");
            assert!(got.cookies().is_empty());
        }
    }
    site.pass(3600);
    let got = send(&site, By::Post, &answer(&site, &request, "Success")).await;
    assert_eq!((got.status, got.reason()), (StatusCode::FORBIDDEN, "in_response_to_mismatch"));
}

#[tokio::test]
async fn only_the_idp_that_was_told_can_answer_and_a_forgery_spoils_nothing() {
    let mut plan = Plan::new().with_logout();
    plan.idps.push(crate::support::site::idp("other", "https://other.example/metadata", SSO));
    plan.idps[1].slo = slo_of("https://other.example/slo");
    let site = plan.build();
    let mut jar = Jar::default();
    let away = site.open(&mut jar, "/_samlgate/login?idp=corp").await;
    let response = site.response().in_response_to(&request_id(&away)).subject("alice", UNSPECIFIED);
    site.post(&mut jar, "/_samlgate/acs", &response.base64(), None).await;
    let request = outgoing(&log_out(&site, &mut jar, "/_samlgate/logout?return_to=/bye").await).id;
    let good = answer(&site, &request, "Success");
    for by in [By::Redirect, By::Post] {
        // The other IdP has the same key here, so only its name tells them apart.
        let other = good.clone().issuer(Some("https://other.example/metadata"));
        let forged = FakeIdp::with_key(IDP, OTHER, Algorithm::RsaSha256);
        let forged = forged.logout_response(&request, "Success").at(site.now());
        for (message, reason) in [
            (other, "issuer_mismatch"),
            (forged, "signature_invalid"),
            (good.clone().unsigned(), "signature_missing"),
            (good.clone().destination(Some("https://elsewhere.example/slo")), "destination_mismatch"),
            (good.clone().destination(None), "destination_mismatch"),
            (good.clone().at(site.now().minus(std::time::Duration::from_secs(600))), "too_old"),
        ] {
            let got = send(&site, by, &message).await;
            assert_eq!((got.status, got.reason()), (StatusCode::FORBIDDEN, reason), "{by:?}");
            assert!(got.text.contains("could not be accepted") && got.button() == "/", "{}", got.text);
        }
    }
    let got = send(&site, By::Redirect, &good).await;
    assert_eq!((got.status, got.location()), (StatusCode::SEE_OTHER, "/bye"));
}

#[tokio::test]
async fn what_can_not_be_told_is_said_and_a_store_that_is_away_too() {
    let plan = Plan::new().with_logout();
    let store = Flaky::around(Arc::clone(&plan.store));
    let site = Plan { store: Arc::<Flaky>::clone(&store), ..plan }.build();
    let mut jar = Jar::default();
    sign_in(&site, &mut jar).await;
    let kept = jar.clone();
    store.breaks(Broken::EndSession);
    let got = log_out(&site, &mut jar, "/_samlgate/logout").await;
    assert_eq!((got.status, got.reason()), (StatusCode::SERVICE_UNAVAILABLE, "store_unavailable"));
    assert!(got.cookies().is_empty() && site.session(&kept).is_some(), "who is still signed in is not told otherwise");

    // The session ends and can't be noted as pending: the IdP is told, and its answer finds nothing.
    store.breaks(Broken::PendingLogouts);
    let told = outgoing(&log_out(&site, &mut jar, "/_samlgate/logout").await);
    assert!(site.session(&kept).is_none());
    let got = send(&site, By::Post, &answer(&site, &told.id, "Success")).await;
    assert_eq!((got.status, got.reason()), (StatusCode::SERVICE_UNAVAILABLE, "store_unavailable"));
    store.breaks(Broken::Nothing);
    let got = send(&site, By::Post, &answer(&site, &told.id, "Success")).await;
    assert_eq!((got.status, got.reason()), (StatusCode::FORBIDDEN, "in_response_to_mismatch"));

    // A key that can't sign (it only decrypts) is none.
    let short = samlgate::saml::SpKey::from_pem(
        include_bytes!("../../fixtures/sp-short.key"),
        include_bytes!("../../fixtures/sp-short.crt"),
    );
    let site = Plan { keys: vec![short.unwrap()], ..Plan::new().with_logout() }.build();
    sign_in(&site, &mut jar).await;
    assert_eq!(log_out(&site, &mut jar, "/_samlgate/logout").await.location(), "/");
}

#[tokio::test]
async fn whoever_signs_out_with_two_session_cookies_leaves_neither_behind() {
    let site = Plan::new().with_logout().build();
    let (mut one, mut other) = (Jar::default(), Jar::default());
    sign_in(&site, &mut one).await;
    sign_in(&site, &mut other).await;
    let name = "__Host-samlgate";
    let lines = format!("{name}={}; {name}=planted; {name}={}", one.session().unwrap(), other.session().unwrap());
    let headers = [("cookie", &*lines), ("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "navigate")];
    let got = site.send(Method::GET, "/_samlgate/logout", &headers, "").await;
    assert_eq!(outgoing(&got).element, "LogoutRequest");
    assert!(site.session(&one).is_none() && site.session(&other).is_none());
}

#[tokio::test]
async fn an_address_that_takes_answers_elsewhere_gets_requests_at_its_own() {
    let service = Endpoint {
        response_location: Some("https://idp.example/slo/answers".to_owned()),
        ..Endpoint::new(Binding::Post, SLO_AT_IDP)
    };
    let site = Plan::new().with_logout().with_idp(|idp| idp.slo = vec![service]).build();
    let mut jar = Jar::default();
    sign_in(&site, &mut jar).await;
    assert_eq!(log_out(&site, &mut jar, "/_samlgate/logout").await.form().action, SLO_AT_IDP);
    let got = send(&site, By::Redirect, &super::request(&site)).await;
    assert_eq!(got.form().action, "https://idp.example/slo/answers", "by POST, since it takes nothing else");
    assert_eq!(got.status, StatusCode::OK);
}
