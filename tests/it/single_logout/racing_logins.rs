//! A login that was on its way when its user logged out at the identity provider is no login; one that begins afterwards is.

use http::StatusCode;
use samlgate::saml::IdpInitiated;

use super::{ALL, request, send};
use crate::support::site::{Got, Jar, Plan, Site, request_id};

const ACS: &str = "/_samlgate/acs";

/// A browser on its way back from the IdP: with an answer that was issued now and is posted later.
struct OnItsWay {
    jar: Jar,
    response: String,
}

async fn on_its_way(site: &Site, session_index: Option<&str>) -> OnItsWay {
    let mut jar = Jar::default();
    let request = request_id(&site.open_application(&mut jar, "/page").await);
    let response = site.response().in_response_to(&request).session_index(session_index).base64();
    OnItsWay { jar, response }
}

impl OnItsWay {
    async fn arrives(&mut self, site: &Site) -> Got {
        site.post(&mut self.jar, ACS, &self.response, None).await
    }
}

#[tokio::test]
async fn a_login_from_before_the_logout_is_refused_and_the_next_one_counts() {
    for by in ALL {
        let site = Plan::new().with_logout().build();
        let mut racing = on_its_way(&site, Some("s1")).await;
        let mut same_second = on_its_way(&site, Some("s1")).await;
        let mut other_session = on_its_way(&site, Some("s2")).await;
        site.pass(1);
        send(&site, by, &request(&site)).await;
        let got = racing.arrives(&site).await;
        assert_eq!((got.status, got.reason()), (StatusCode::FORBIDDEN, "logged_out_at_idp"), "{by:?}");
        assert!(got.text.contains("You were signed out at your identity provider meanwhile"), "{}", got.text);
        assert_eq!((got.button(), got.cookies()), ("/_samlgate/login?return_to=/page&idp=corp".to_owned(), Vec::new()));
        assert_eq!((racing.jar.session(), site.sessions().await), (None, 0), "{by:?}");
        assert_eq!(same_second.arrives(&site).await.reason(), "logged_out_at_idp");
        assert_eq!(other_session.arrives(&site).await.location(), "/page", "another session at the IdP");

        let mut in_that_second = on_its_way(&site, Some("s1")).await;
        assert_eq!(
            in_that_second.arrives(&site).await.reason(),
            "logged_out_at_idp",
            "{by:?}: it can't be told which came first"
        );
        site.pass(1);
        // Whatever the SessionIndex: some IdPs use the same ones over and over.
        for index in [Some("s1"), Some("s2"), None] {
            let mut back = on_its_way(&site, index).await;
            assert_eq!(back.arrives(&site).await.location(), "/page", "{by:?} {index:?}: the user came back");
        }
    }
}

#[tokio::test]
async fn a_logout_of_all_sessions_beats_every_login_from_before_it() {
    let site = Plan::new().with_logout().build();
    let mut racing = Vec::new();
    for index in [Some("s1"), Some("s2"), None] {
        racing.push(on_its_way(&site, index).await);
    }
    site.pass(2);
    send(&site, super::By::Soap, &request(&site).session_indexes(&[])).await;
    for browser in &mut racing {
        assert_eq!(browser.arrives(&site).await.reason(), "logged_out_at_idp");
    }
    // As long as the answer could be posted at all: afterwards it is too old.
    let mut late = on_its_way(&site, Some("s1")).await;
    send(&site, super::By::Soap, &request(&site).session_indexes(&[]).at(site.now())).await;
    site.pass(299);
    assert_eq!(late.arrives(&site).await.reason(), "logged_out_at_idp");
    site.pass(100);
    assert_ne!(late.arrives(&site).await.status, StatusCode::SEE_OTHER);
    assert_eq!(site.sessions().await, 0);
}

#[tokio::test]
async fn a_clock_that_is_off_changes_nothing() {
    // The IdP's clock is 50 seconds ahead of ours, or behind: both times that are compared are its own.
    for off in [50, -50] {
        let site = Plan::new().with_logout().build();
        let theirs = |site: &Site| samlgate::clock::Timestamp::from_unix(site.now().unix() + off);
        let answer = async |site: &Site| {
            let mut jar = Jar::default();
            let request = request_id(&site.open_application(&mut jar, "/page").await);
            OnItsWay { jar, response: site.response().at(theirs(site)).in_response_to(&request).base64() }
        };
        let mut racing = answer(&site).await;
        site.pass(1);
        send(&site, super::By::Post, &request(&site).at(theirs(&site))).await;
        assert_eq!(racing.arrives(&site).await.reason(), "logged_out_at_idp", "{off}");
        site.pass(1);
        assert_eq!(answer(&site).await.arrives(&site).await.location(), "/page", "{off}");
    }
}

#[tokio::test]
async fn an_unsolicited_answer_from_before_the_logout_signs_nobody_in() {
    let site = Plan::new().with_logout().with_idp(|idp| idp.idp_initiated = IdpInitiated::Accept).build();
    let (stolen, fresh) = (site.response().base64(), site.response());
    site.pass(1);
    send(&site, super::By::Redirect, &request(&site)).await;
    let mut jar = Jar::default();
    assert_eq!(site.post(&mut jar, ACS, &stolen, Some("/page")).await.reason(), "logged_out_at_idp");
    site.pass(1);
    let fresh = fresh.at(site.now()).base64();
    assert_eq!(site.post(&mut jar, ACS, &fresh, Some("/page")).await.location(), "/page");
}

#[tokio::test]
async fn another_user_and_another_idps_user_of_that_name_are_not_concerned() {
    let mut plan = Plan::new().with_logout();
    plan.idps.push(crate::support::site::idp("other", "https://other.example/metadata", "https://other.example/sso"));
    let site = plan.build();
    let away = async |jar: &mut Jar, idp: &str| request_id(&site.open(jar, &format!("/_samlgate/login?idp={idp}")).await);
    let (mut bob, mut other) = (Jar::default(), Jar::default());
    let bobs =
        site.response().in_response_to(&away(&mut bob, "corp").await).subject("bob", crate::support::fake_idp::UNSPECIFIED);
    let others = site.response().in_response_to(&away(&mut other, "other").await).issuer("https://other.example/metadata");
    site.pass(1);
    send(&site, super::By::Soap, &request(&site).session_indexes(&[])).await;
    for (jar, response) in [(&mut bob, bobs), (&mut other, others)] {
        let got = site.post(jar, ACS, &response.base64(), None).await;
        assert_eq!(got.status, StatusCode::SEE_OTHER, "{}", got.text);
    }
}
