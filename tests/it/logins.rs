//! Logins, from the click to the session, and every way in which they don't get there.

use std::sync::Arc;

use http::StatusCode;
use samlgate::identity::mapping::FieldMapping;
use samlgate::saml::IdpInitiated;
use samlgate::store::MemoryStore;
use samlgate::store::memory::MemoryLimits;

use crate::support::fake_idp::{FakeIdp, OTHER, parse_authn_request};
use crate::support::site::{Got, IDP, Jar, Plan, SSO, Site, idp, request_id};

const ACS: &str = "/_samlgate/acs";
const FORBIDDEN: StatusCode = StatusCode::FORBIDDEN;
const SEE_OTHER: StatusCode = StatusCode::SEE_OTHER;

fn refused_as(got: &Got, status: StatusCode, reason: &str) {
    assert_eq!((got.status, got.reason()), (status, reason), "{}", got.text);
    assert!(got.text.contains("request1"), "the request's id: {}", got.text);
    assert!(!got.cookies().iter().any(|(name, _)| name == "__Host-samlgate"), "no session: {:?}", got.cookies());
}

#[tokio::test]
async fn a_deep_link_survives_the_login() {
    let site = Plan::new().build();
    let mut jar = Jar::default();
    let away = site.open_application(&mut jar, "/reports?from=2026&to=%2Fx").await;
    assert_eq!(away.status, StatusCode::FOUND);
    assert!(away.location().starts_with(SSO));
    assert_eq!(jar.names(), ["__Host-samlgate-login"]);
    let request = parse_authn_request(away.location(), None).unwrap();
    let relay_state = request.relay_state.unwrap();
    assert!(relay_state.len() <= 80 && !relay_state.contains("reports"), "RelayState says nothing: {relay_state}");

    let response = site.response().in_response_to(&request.id).attribute("role", &["admin"]).base64();
    let back = site.post(&mut jar, ACS, &response, Some(&relay_state)).await;
    assert_eq!((back.status, back.location()), (SEE_OTHER, "/reports?from=2026&to=%2Fx"));
    assert_eq!(back.header("cache-control"), "no-store");
    let session = site.session(&jar).unwrap();
    assert_eq!((session.identity().user(), session.identity().role()), ("alice", Some("admin")));
    assert_eq!(session.origin().idp, "corp");
}

#[tokio::test]
async fn a_response_that_is_posted_twice_is_replayed_and_the_user_goes_on() {
    let site = Plan::new().build();
    let mut jar = Jar::default();
    let away = site.open_application(&mut jar, "/page").await;
    let response = site.response().in_response_to(&request_id(&away)).base64();
    assert_eq!(site.post(&mut jar, ACS, &response, None).await.status, SEE_OTHER);
    let first = jar.session().unwrap().to_owned();

    let again = site.post(&mut jar, ACS, &response, None).await;
    refused_as(&again, FORBIDDEN, "replayed");
    assert_eq!(again.header("refresh"), "0; url=/page", "a reload goes on by itself");
    assert_eq!(again.button(), "/page");
    assert_eq!((jar.session(), site.sessions().await), (Some(&*first), 1));
    assert!(site.session(&jar).is_some());

    site.store.end_session(site.session(&jar).unwrap().key()).await.unwrap();
    let later = site.post(&mut jar, ACS, &response, None).await;
    refused_as(&later, FORBIDDEN, "replayed");
    assert_eq!(later.header("refresh"), "", "without a session nothing goes on by itself");
    let try_again = site.open(&mut jar, &later.button()).await;
    let response = site.response().in_response_to(&request_id(&try_again)).base64();
    assert_eq!(site.post(&mut jar, ACS, &response, None).await.location(), "/page");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_posts_at_once_one_makes_a_session() {
    let site = Arc::new(Plan::new().build());
    let mut jar = Jar::default();
    let away = site.open_application(&mut jar, "/").await;
    let response = site.response().in_response_to(&request_id(&away)).base64();
    let posts: Vec<_> = (0..8)
        .map(|_| {
            let (site, mut jar, response) = (Arc::clone(&site), jar.clone(), response.clone());
            tokio::spawn(async move { site.post(&mut jar, ACS, &response, None).await })
        })
        .collect();
    let mut signed_in = 0;
    for post in posts {
        let got = post.await.unwrap();
        if got.status == SEE_OTHER {
            signed_in += 1;
        } else {
            refused_as(&got, FORBIDDEN, "replayed");
        }
    }
    assert_eq!((signed_in, site.sessions().await), (1, 1));
}

#[tokio::test]
async fn another_browser_gets_nothing_and_spoils_nothing() {
    let site = Plan::new().build();
    let mut victim = Jar::default();
    let away = site.open_application(&mut victim, "/page").await;
    let response = site.response().in_response_to(&request_id(&away)).base64();
    for mut other in [Jar::default(), {
        let mut jar = Jar::default();
        site.open_application(&mut jar, "/elsewhere").await;
        jar
    }] {
        let got = site.post(&mut other, ACS, &response, None).await;
        refused_as(&got, FORBIDDEN, "browser_mismatch");
        let try_again = site.open(&mut other, &got.button()).await;
        assert!(try_again.location().starts_with(SSO), "{try_again:?}");
    }
    assert_eq!(site.post(&mut victim, ACS, &response, None).await.status, SEE_OTHER);
    let got = site.post(&mut Jar::default(), ACS, &response, None).await;
    refused_as(&got, FORBIDDEN, "browser_mismatch");
    assert_eq!(site.sessions().await, 1);
}

#[tokio::test]
async fn after_an_hour_the_login_has_expired_and_a_new_one_begins() {
    let site = Plan::new().build();
    let mut jar = Jar::default();
    let away = site.open_application(&mut jar, "/page").await;
    site.pass(3600);
    let response = site.response().in_response_to(&request_id(&away)).base64();
    let got = site.post(&mut jar, ACS, &response, None).await;
    refused_as(&got, FORBIDDEN, "login_expired");
    let again = site.open(&mut jar, &got.button()).await;
    let response = site.response().in_response_to(&request_id(&again)).base64();
    assert_eq!(site.post(&mut jar, ACS, &response, None).await.status, SEE_OTHER);
}

#[tokio::test]
async fn a_slow_second_factor_may_take_most_of_an_hour() {
    let site = Plan::new().build();
    let mut jar = Jar::default();
    let away = site.open_application(&mut jar, "/page").await;
    site.pass(3590);
    let response = site.response().in_response_to(&request_id(&away)).base64();
    assert_eq!(site.post(&mut jar, ACS, &response, None).await.location(), "/page");
}

#[tokio::test]
async fn five_tabs_can_log_in_at_the_same_time_and_a_sixth_pushes_out_the_first() {
    let site = Plan::new().build();
    let mut jar = Jar::default();
    let mut requests = Vec::new();
    for tab in 0..6 {
        let away = site.open_application(&mut jar, &format!("/tab{tab}")).await;
        requests.push(request_id(&away));
    }
    for (tab, request) in requests.iter().enumerate() {
        let got = site.post(&mut jar, ACS, &site.response().in_response_to(request).base64(), None).await;
        if tab == 0 {
            refused_as(&got, FORBIDDEN, "login_expired");
        } else {
            assert_eq!((got.status, got.location()), (SEE_OTHER, &*format!("/tab{tab}")));
        }
    }
}

#[tokio::test]
async fn every_login_has_a_new_session_and_the_old_one_ends() {
    let site = Plan::new().build();
    let mut jar = Jar::default();
    site.sign_in(&mut jar, "/").await;
    let (first, first_token) = (site.session(&jar).unwrap(), jar.session().unwrap().to_owned());
    // The session cookie doesn't come with the cross-site POST, and the old session ends all the same.
    site.sign_in(&mut jar, "/").await;
    let second = site.session(&jar).unwrap();
    assert_ne!(jar.session().unwrap(), first_token);
    assert_ne!(first.sid(), second.sid());
    assert!(!first.is_live(site.now()));
    assert_eq!(site.sessions().await, 1);
}

#[tokio::test]
async fn a_session_id_that_somebody_planted_is_never_taken_over() {
    let site = Plan::new().build();
    let planted = "PPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPP";
    let mut jar = Jar::default();
    jar.plant("__Host-samlgate", planted);
    assert!(site.session(&jar).is_none());
    site.sign_in(&mut jar, "/").await;
    assert_ne!(jar.session().unwrap(), planted);
    assert!(site.session(&jar).is_some());
    jar.plant("__Host-samlgate", planted);
    assert!(site.session(&jar).is_none(), "nobody else can use it afterwards either");
}

#[tokio::test]
async fn what_the_idp_refuses_is_told_in_its_words_to_its_own_user_only() {
    let site = Plan::new().build();
    let mut jar = Jar::default();
    let away = site.open_application(&mut jar, "/page").await;
    let request = request_id(&away);
    let error = || site.response().status("Responder/AuthnFailed", Some("Your <account> is locked")).unsigned();
    let got = site.post(&mut jar, ACS, &error().in_response_to(&request).base64(), None).await;
    refused_as(&got, FORBIDDEN, "status_not_success");
    assert!(got.text.contains("Your &#60;account&#62; is locked"), "{}", got.text);
    assert_eq!(got.header("refresh"), "", "nothing goes round by itself");
    assert_eq!(got.button(), "/_samlgate/login?return_to=/page&idp=corp");

    let stranger = site.post(&mut Jar::default(), ACS, &error().base64(), None).await;
    refused_as(&stranger, FORBIDDEN, "status_not_success");
    assert!(!stranger.text.contains("locked"));

    // The user went back at the IdP and succeeded.
    let got = site.post(&mut jar, ACS, &site.response().in_response_to(&request).base64(), None).await;
    assert_eq!((got.status, got.location()), (SEE_OTHER, "/page"));
}

#[tokio::test]
async fn a_refused_response_leaves_the_login_pending() {
    let site = Plan::new().build();
    let mut jar = Jar::default();
    let request = request_id(&site.open_application(&mut jar, "/page").await);
    let forged = FakeIdp::with_key(IDP, OTHER, crate::support::fake_idp::Algorithm::RsaSha256);
    let forged = forged.response().to("https://app.example/_samlgate/metadata", "https://app.example/_samlgate/acs");
    let forged = forged.at(site.now()).in_response_to(&request).base64();
    refused_as(&site.post(&mut jar, ACS, &forged, None).await, FORBIDDEN, "signature_invalid");
    let wrong = site.response().in_response_to(&request).audience(Some("https://other.example")).base64();
    refused_as(&site.post(&mut jar, ACS, &wrong, None).await, FORBIDDEN, "audience_mismatch");
    let good = site.response().in_response_to(&request).base64();
    assert_eq!(site.post(&mut jar, ACS, &good, None).await.status, SEE_OTHER);
}

#[tokio::test]
async fn the_idp_that_was_asked_must_answer_at_its_own_address() {
    let mut plan = Plan::new();
    plan.idps.push(idp("partner", "https://partner.example/", "https://partner.example/sso"));
    let site = plan.build();
    let mut jar = Jar::default();
    let request = request_id(&site.open(&mut jar, "/_samlgate/login?return_to=/p&idp=corp").await);
    let partner = FakeIdp::new("https://partner.example/").response();
    let partner = partner.to("https://app.example/_samlgate/metadata", "https://app.example/_samlgate/acs");
    let partner = partner.at(site.now()).in_response_to(&request).base64();
    refused_as(&site.post(&mut jar, ACS, &partner, None).await, FORBIDDEN, "issuer_mismatch");
    let corp = || site.response().in_response_to(&request);
    refused_as(&site.post(&mut jar, "/_samlgate/acs/partner", &corp().base64(), None).await, FORBIDDEN, "issuer_mismatch");
    let unknown = corp().issuer("https://nobody.example/").base64();
    refused_as(&site.post(&mut jar, ACS, &unknown, None).await, FORBIDDEN, "unknown_issuer");
    let own = "https://app.example/_samlgate/acs/corp";
    let addressed = corp().destination(Some(own)).recipient(Some(own)).base64();
    assert_eq!(site.post(&mut jar, "/_samlgate/acs/corp", &addressed, None).await.location(), "/p");
}

#[tokio::test]
async fn an_account_that_is_not_enough_is_told_so_and_may_try_another() {
    let mut plan = Plan::new();
    let role = FieldMapping { from: vec!["role".into()], allowed: Some(vec!["admin".into()]), ..FieldMapping::default() };
    plan.mapping.role = Some(FieldMapping { required: true, ..role });
    let site = plan.build();
    let mut jar = Jar::default();
    let request = request_id(&site.open_application(&mut jar, "/page").await);
    let got = site.post(&mut jar, ACS, &site.response().in_response_to(&request).base64(), None).await;
    refused_as(&got, FORBIDDEN, "attribute_missing");
    let request = request_id(&site.open(&mut jar, &got.button()).await);
    let guest = site.response().in_response_to(&request).attribute("role", &["guest"]).base64();
    let got = site.post(&mut jar, ACS, &guest, None).await;
    refused_as(&got, FORBIDDEN, "value_not_allowed");
    assert!(!got.text.contains("guest"), "the page doesn't say what would be allowed or was sent");
    let request = request_id(&site.open(&mut jar, &got.button()).await);
    let admin = site.response().in_response_to(&request).attribute("role", &["admin"]).base64();
    assert_eq!(site.post(&mut jar, ACS, &admin, None).await.location(), "/page");
}

fn idp_initiated(how: IdpInitiated) -> Site {
    Plan::new().with_idp(|idp| idp.idp_initiated = how).build()
}

#[tokio::test]
async fn a_magic_url_is_refused_when_it_is_off() {
    let site = idp_initiated(IdpInitiated::Off);
    let got = site.post(&mut Jar::default(), ACS, &site.response().base64(), Some("/page")).await;
    refused_as(&got, FORBIDDEN, "unsolicited_not_allowed");
    assert_eq!(got.button(), "/_samlgate/login?return_to=/page&idp=corp");
}

#[tokio::test]
async fn a_magic_url_is_a_wish_that_the_idp_must_confirm() {
    let site = idp_initiated(IdpInitiated::Restart);
    let mut jar = Jar::default();
    let magic = site.response().base64();
    let away = site.post(&mut jar, ACS, &magic, Some("/page?x=1")).await;
    assert_eq!(away.status, SEE_OTHER);
    let away = site.open(&mut jar, away.location()).await;
    assert_eq!((jar.session(), site.sessions().await), (None, 0), "worth nothing by itself");
    let response = site.response().in_response_to(&request_id(&away)).base64();
    assert_eq!(site.post(&mut jar, ACS, &response, None).await.location(), "/page?x=1");
    // A reload of the magic URL's POST begins once more, and ends at the page again.
    let away = site.post(&mut jar, ACS, &magic, Some("/page?x=1")).await;
    let away = site.open(&mut jar, away.location()).await;
    let response = site.response().in_response_to(&request_id(&away)).base64();
    assert_eq!(site.post(&mut jar, ACS, &response, None).await.location(), "/page?x=1");
}

#[tokio::test]
async fn a_wish_is_verified_before_anything_follows_from_it() {
    let site = idp_initiated(IdpInitiated::Restart);
    let unsigned = site.response().unsigned().base64();
    refused_as(&site.post(&mut Jar::default(), ACS, &unsigned, Some("/page")).await, FORBIDDEN, "signature_missing");
    let stale = site.response().in_response_to("_0123456789012345678901234567890123456789").base64();
    refused_as(&site.post(&mut Jar::default(), ACS, &stale, Some("/page")).await, FORBIDDEN, "login_expired");
}

#[tokio::test]
async fn an_idp_that_answers_requests_unsolicited_does_not_go_round_for_ever() {
    let site = idp_initiated(IdpInitiated::Restart);
    for keeps_cookies in [true, false] {
        site.pass(120);
        let mut jar = Jar::default();
        let mut rounds = 0;
        let last = loop {
            let got = site.post(&mut jar, ACS, &site.response().base64(), Some("/page")).await;
            if !keeps_cookies {
                jar = Jar::default();
            }
            if got.status != SEE_OTHER {
                break got;
            }
            rounds += 1;
            assert!(rounds < 20);
        };
        refused_as(&last, FORBIDDEN, "unsolicited_not_allowed");
        assert_eq!(rounds, 5);
    }
}

#[tokio::test]
async fn a_magic_url_signs_in_directly_once_when_it_is_accepted() {
    let site = idp_initiated(IdpInitiated::Accept);
    let mut jar = Jar::default();
    let magic = site.response().base64();
    let got = site.post(&mut jar, ACS, &magic, Some("https://app.example/page?x=1")).await;
    assert_eq!((got.status, got.location()), (SEE_OTHER, "/page?x=1"));
    assert_eq!(site.session(&jar).unwrap().identity().user(), "alice");
    for mut jar in [jar, Jar::default()] {
        let again = site.post(&mut jar, ACS, &magic, Some("/page")).await;
        refused_as(&again, FORBIDDEN, "replayed");
        assert_eq!(again.button(), "/_samlgate/login?return_to=/page&idp=corp");
    }
    let got = site.post(&mut Jar::default(), ACS, &site.response().base64(), Some("https://evil.example/")).await;
    assert_eq!((got.status, got.location()), (SEE_OTHER, "/"));
    // InResponseTo anywhere makes it an answer to something that nobody asked.
    let injected = site.response().in_response_to("_made_up").base64();
    refused_as(&site.post(&mut Jar::default(), ACS, &injected, None).await, FORBIDDEN, "login_expired");
}

#[tokio::test]
async fn what_may_have_been_used_before_a_restart_is_only_a_wish() {
    // The thief has a response that signed its owner in, and waits until samlgate has forgotten it.
    let before = idp_initiated(IdpInitiated::Accept);
    let magic = before.response().base64();
    assert_eq!(before.post(&mut Jar::default(), ACS, &magic, Some("/page")).await.status, SEE_OTHER);

    let mut plan = Plan::new().with_idp(|idp| idp.idp_initiated = IdpInitiated::Accept);
    plan.store = Arc::new(MemoryStore::beginning(MemoryLimits::default(), before.now()));
    let after = plan.build();
    let mut thief = Jar::default();
    let got = after.post(&mut thief, ACS, &magic, Some("/page")).await;
    assert_eq!(got.location(), "/_samlgate/login?return_to=/page&idp=corp&again=true", "the IdP is asked who that is");
    assert_eq!((thief.session(), after.sessions().await), (None, 0));
    // What was issued for certain after the restart signs in, once.
    after.pass(61);
    let magic = after.response().base64();
    assert_eq!(after.post(&mut Jar::default(), ACS, &magic, Some("/page")).await.location(), "/page");
    refused_as(&after.post(&mut thief, ACS, &magic, None).await, FORBIDDEN, "replayed");
}

#[tokio::test]
async fn without_room_for_claims_nobody_is_signed_in() {
    let mut plan = Plan::new();
    plan.store = Arc::new(MemoryStore::new(MemoryLimits { claims: 1, ..MemoryLimits::default() }));
    let site = plan.build();
    site.sign_in(&mut Jar::default(), "/").await;
    let mut jar = Jar::default();
    let request = request_id(&site.open_application(&mut jar, "/page").await);
    let got = site.post(&mut jar, ACS, &site.response().in_response_to(&request).base64(), None).await;
    refused_as(&got, StatusCode::SERVICE_UNAVAILABLE, "store_unavailable");
    assert_eq!(site.sessions().await, 1);
}

#[tokio::test]
async fn a_user_has_so_many_sessions_and_the_oldest_ends() {
    let site = Plan { max_per_user: 2, ..Plan::new() }.build();
    let mut jars = [Jar::default(), Jar::default(), Jar::default()];
    for jar in &mut jars {
        site.sign_in(jar, "/").await;
        site.pass(1);
    }
    assert_eq!(jars.each_ref().map(|jar| site.session(jar).is_some()), [false, true, true]);
}

#[tokio::test]
async fn a_session_ends_when_the_idp_said_so() {
    let site = Plan::new().build();
    let mut jar = Jar::default();
    let request = request_id(&site.open_application(&mut jar, "/").await);
    let until = site.now().plus(std::time::Duration::from_secs(600));
    let response = site.response().in_response_to(&request).session_not_on_or_after(until).base64();
    assert_eq!(site.post(&mut jar, ACS, &response, None).await.status, SEE_OTHER);
    site.pass(599);
    assert!(site.session(&jar).is_some());
    site.pass(1);
    assert!(site.session(&jar).is_none());
}

#[tokio::test]
async fn keys_that_leave_the_metadata_are_trusted_no_more() {
    let site = Plan::new().build();
    let mut jar = Jar::default();
    let request = request_id(&site.open_application(&mut jar, "/").await);
    let metadata = FakeIdp::with_key(IDP, OTHER, crate::support::fake_idp::Algorithm::RsaSha256).metadata(SSO);
    let read = samlgate::saml::read_idp(metadata.as_bytes(), None, site.now()).unwrap();
    site.login.replace_idps(vec![samlgate::saml::IdentityProvider::new("corp", read)]);
    let got = site.post(&mut jar, ACS, &site.response().in_response_to(&request).base64(), None).await;
    refused_as(&got, FORBIDDEN, "signature_invalid");
}
