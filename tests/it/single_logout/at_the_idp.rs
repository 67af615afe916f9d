//! A user logs out at the identity provider, or an administrator does it: sessions end here, in whatever browser they are.

use std::sync::Arc;

use http::{Method, StatusCode};

use super::{ALL, By, SLO, encoded, idp, outgoing, posted, request, send, send_to};
use crate::store_away::Away;
use crate::support::fake_idp::{EMAIL, Encryption, SP_OLD_CERTIFICATE, UNSPECIFIED};
use crate::support::site::{Jar, Plan, Site, request_id};

/// A browser with a session of its own.
async fn signed_in(site: &Site, user: &str, session_index: Option<&str>) -> Jar {
    let mut jar = Jar::default();
    let request = request_id(&site.open_application(&mut jar, "/").await);
    let response = site.response().in_response_to(&request).subject(user, UNSPECIFIED).session_index(session_index);
    assert_eq!(site.post(&mut jar, "/_samlgate/acs", &response.base64(), None).await.status, StatusCode::SEE_OTHER);
    jar
}

#[tokio::test]
async fn a_session_ends_in_another_browser_and_the_idp_gets_its_answer() {
    for by in ALL {
        let site = Plan::new().with_logout().build();
        let jar = signed_in(&site, "alice", Some("s1")).await;
        let held = site.session(&jar).unwrap();
        let got = send(&site, by, &request(&site).id("_l1")).await;
        assert!(!held.is_live(site.now()), "{by:?}");
        let answer = outgoing(&got);
        assert_eq!((answer.element.as_str(), answer.status.as_str()), ("LogoutResponse", "Success"));
        assert_eq!(answer.in_response_to.as_deref(), Some("_l1"));
        assert_eq!(answer.issuer, "https://app.example/_samlgate/metadata");
        assert_eq!(answer.relay_state.as_deref(), (by != By::Soap).then_some("state & more"), "{by:?}: as it came");
        assert!(got.cookies().is_empty());
        assert_eq!(got.header("cache-control"), "no-store");
    }
}

#[tokio::test]
async fn the_sessions_that_are_named_end_and_no_others() {
    for by in ALL {
        let site = Plan::new().with_logout().build();
        let mut jars = Vec::new();
        for index in [Some("s1"), Some("s2"), Some("s3"), None] {
            jars.push(signed_in(&site, "alice", index).await);
        }
        jars.push(signed_in(&site, "bob", Some("s1")).await);
        let live = || jars.iter().map(|jar| site.session(jar).is_some()).collect::<Vec<_>>();
        send(&site, by, &request(&site).session_indexes(&["s2", "s3", "s9"])).await;
        // One without a SessionIndex can be any of alice's.
        assert_eq!(live(), [true, false, false, false, true], "{by:?}");
        send(&site, by, &request(&site).subject("alice", EMAIL)).await;
        assert_eq!(
            live(),
            [false, false, false, false, true],
            "{by:?}: with an unspecified format on one side, both are the same"
        );
    }
}

#[tokio::test]
async fn without_a_session_index_all_sessions_of_the_name_end() {
    for by in ALL {
        let site = Plan::new().with_logout().build();
        let mut jars = Vec::new();
        for (user, index) in [("alice", Some("s1")), ("alice", Some("s2")), ("alice", None), ("Alice", Some("s1")), ("bob", None)]
        {
            jars.push(signed_in(&site, user, index).await);
        }
        let answer = outgoing(&send(&site, by, &request(&site).session_indexes(&[])).await);
        assert_eq!(answer.status, "Success");
        let live: Vec<_> = jars.iter().map(|jar| site.session(jar).is_some()).collect();
        assert_eq!(live, [false, false, false, true, true], "{by:?}");
    }
}

#[tokio::test]
async fn who_is_not_signed_in_is_answered_politely() {
    for by in ALL {
        let site = Plan::new().with_logout().build();
        let answer = outgoing(&send(&site, by, &request(&site)).await);
        assert_eq!(answer.status, "Success", "{by:?}: and nobody learns who is signed in");
    }
}

#[tokio::test]
async fn a_request_counts_once() {
    for by in ALL {
        let site = Plan::new().with_logout().build();
        let jar = signed_in(&site, "alice", Some("s1")).await;
        let recorded = request(&site);
        send(&site, by, &recorded).await;
        assert!(site.session(&jar).is_none());
        site.pass(1);
        let back = signed_in(&site, "alice", Some("s1")).await;
        for by in ALL {
            assert_eq!(outgoing(&send(&site, by, &recorded).await).status, "Success");
            assert!(site.session(&back).is_some(), "{by:?}: what was recorded ends no session that began after it");
        }
        send(&site, by, &request(&site)).await;
        assert!(site.session(&back).is_none());
    }
}

#[tokio::test]
async fn keycloak_gives_no_end_and_posts_forms_itself() {
    // As a server posts it: no cookies, no Sec-Fetch headers, any Accept.
    let site = Plan::new().with_logout().build();
    let jar = signed_in(&site, "alice", Some("s1")).await;
    let message = request(&site);
    assert!(!message.xml().contains("NotOnOrAfter"));
    let lines = [("content-type", "application/x-www-form-urlencoded; charset=UTF-8")];
    let got = site.send(Method::POST, SLO, &lines, &posted(&message)).await;
    assert_eq!(outgoing(&got).status, "Success");
    assert!(site.session(&jar).is_none());
}

#[tokio::test]
async fn an_encrypted_name_is_read_with_our_key_and_no_other() {
    let site = Plan::new().with_logout().build();
    for by in ALL {
        let jar = signed_in(&site, "alice", Some("s1")).await;
        let name = "<saml:NameID>alice</saml:NameID>";
        let foreign =
            Encryption::default().recipients(&[(SP_OLD_CERTIFICATE, None)]).around(name, "saml:NameID", "saml:EncryptedID");
        let got = send(&site, by, &request(&site).name_id_xml(&foreign)).await;
        assert!(got.text.contains("decryption_failed") && site.session(&jar).is_some(), "{by:?}: {}", got.text);
        let ours = Encryption::default().around(name, "saml:NameID", "saml:EncryptedID");
        let got = send(&site, by, &request(&site).name_id_xml(&ours)).await;
        assert_eq!(outgoing(&got).status, "Success", "{by:?}");
        assert!(site.session(&jar).is_none(), "{by:?}");
        site.pass(1);
    }
}

#[tokio::test]
async fn a_form_without_relay_state_is_answered_without() {
    use base64::Engine as _;
    let site = Plan::new().with_logout().build();
    let xml = base64::engine::general_purpose::STANDARD.encode(request(&site).post());
    let lines = [("content-type", "application/x-www-form-urlencoded")];
    let got = site.send(Method::POST, SLO, &lines, &encoded(&[("SAMLRequest", &xml)])).await;
    assert_eq!(outgoing(&got).relay_state, None);
    let long = encoded(&[("SAMLRequest", &xml), ("RelayState", &"x".repeat(2049))]);
    let got = site.send(Method::POST, SLO, &lines, &long).await;
    assert_eq!((got.status, &got.json()["error"]), (StatusCode::BAD_REQUEST, &"malformed_query".into()));
}

#[tokio::test]
async fn another_address_of_the_service_is_served_with_the_usual_one() {
    let mut plan = Plan::new().with_logout();
    plan.slo_url = Some("https://app.example/saml/slo".to_owned());
    let site = plan.build();
    for own in ["/saml/slo", "/saml/slo/soap"] {
        assert!(site.web.owns(own), "{own}");
    }
    for other in ["/saml/slo/", "/saml/slo/x", "/saml/slox", "/saml"] {
        assert!(!site.web.owns(other), "{other}");
    }
    let metadata = site.send(Method::GET, "/_samlgate/metadata", &[], "").await.text;
    for (binding, location) in [("HTTP-Redirect", "slo"), ("HTTP-POST", "slo"), ("SOAP", "slo/soap")] {
        let service = format!("bindings:{binding}\" Location=\"https://app.example/saml/{location}\"");
        assert!(metadata.contains(&service), "{metadata}");
    }
    for by in ALL {
        for path in ["/saml/slo", SLO] {
            let end = if by == By::Soap { "/soap" } else { "" };
            let message = request(&site).destination(Some(&format!("https://app.example{path}{end}")));
            assert_eq!(outgoing(&send_to(&site, path, by, &message).await).status, "Success", "{by:?} {path}");
        }
    }
    assert_eq!(outgoing(&send(&site, By::Soap, &request(&site).destination(None)).await).status, "Success");
}

#[tokio::test]
async fn sessions_end_even_when_the_idp_takes_no_answer() {
    let no_service = Plan::new().with_logout().with_idp(|idp| idp.slo.clear());
    let no_key = Plan { keys: Vec::new(), slo_url: None, ..Plan::new().with_logout() };
    for (plan, reason) in [(no_service, "no_logout_service"), (no_key, "request_no_key")] {
        let site = plan.build();
        for by in [By::Redirect, By::Post] {
            let jar = signed_in(&site, "alice", Some("s1")).await;
            let got = send(&site, by, &request(&site)).await;
            assert_eq!((got.status, got.reason()), (StatusCode::OK, reason));
            assert!(site.session(&jar).is_none());
            site.pass(1);
        }
    }
    let site = Plan { keys: Vec::new(), slo_url: None, ..Plan::new() }.build();
    let jar = signed_in(&site, "alice", Some("s1")).await;
    let got = send(&site, By::Soap, &request(&site)).await;
    assert_eq!(got.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(got.text.contains("soap:Server") && got.text.contains("request_no_key"), "{}", got.text);
    assert!(site.session(&jar).is_none());
}

#[tokio::test]
async fn a_store_that_is_away_is_no_success() {
    let site = Plan { store: Arc::new(Away), ..Plan::new().with_logout() }.build();
    for by in ALL {
        let answer = outgoing(&send(&site, by, &request(&site)).await);
        assert_eq!(answer.status, "Responder", "{by:?}: the IdP can tell its user");
    }
    let site = Plan { store: Arc::new(Away), ..Plan::new().with_logout() }.with_idp(|idp| idp.slo.clear()).build();
    let got = send(&site, By::Post, &request(&site)).await;
    assert_eq!((got.status, got.reason()), (StatusCode::SERVICE_UNAVAILABLE, "store_unavailable"));
    let answer = idp().logout_response("_x", "Success").at(site.now());
    let got = send(&site, By::Post, &answer).await;
    assert_eq!((got.status, got.reason()), (StatusCode::SERVICE_UNAVAILABLE, "store_unavailable"));
}
