//! Logins by artifact: the browser brings a reference, and samlgate asks the IdP for the response, over a real connection.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use samlgate::saml::{IdentityProvider, IdpInitiated, ResponseBinding, read_idp};
use samlgate::store::MemoryStore;
use samlgate::store::memory::MemoryLimits;

use crate::support::app::{self, COOKIE, Setup};
use crate::support::artifact_server::ArtifactServer;
use crate::support::fake_idp::{Encryption, FakeIdp, Sign, parse_authn_request};
use crate::support::site::{Got, IDP, Jar, Plan, SSO, Site, request_id, sp_key, start_of_time};

pub(crate) const ACS: &str = "/_samlgate/acs";
pub(crate) const FORBIDDEN: StatusCode = StatusCode::FORBIDDEN;
pub(crate) const SEE_OTHER: StatusCode = StatusCode::SEE_OTHER;

/// A site whose IdP answers by artifact.
pub(crate) fn plan(server: &ArtifactServer) -> Plan {
    let mut plan = Plan::new();
    plan.keys = vec![sp_key()];
    plan.idps = vec![IdentityProvider { response_binding: ResponseBinding::Artifact, ..resolving("corp", IDP, server) }];
    plan
}

/// An IdP with that resolution service, as its metadata says.
fn resolving(id: &str, entity_id: &str, server: &ArtifactServer) -> IdentityProvider {
    let metadata = FakeIdp::new(entity_id).metadata_with_artifacts(SSO, &server.url());
    IdentityProvider::new(id, read_idp(metadata.as_bytes(), None, start_of_time()).unwrap())
}

pub(crate) fn server() -> ArtifactServer {
    ArtifactServer::start(FakeIdp::new(IDP), start_of_time())
}

pub(crate) fn encode(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// The browser comes back with an artifact, by redirect.
pub(crate) async fn bring(site: &Site, jar: &mut Jar, artifact: &str, relay_state: &str) -> Got {
    site.open(jar, &format!("{ACS}?SAMLart={}&RelayState={}", encode(artifact), encode(relay_state))).await
}

pub(crate) fn refused_as(got: &Got, status: StatusCode, reason: &str) {
    assert_eq!((got.status, got.reason()), (status, reason), "{}", got.text);
    assert!(got.text.contains("request1"), "the request's id: {}", got.text);
    assert!(!got.cookies().iter().any(|(name, _)| name == "__Host-samlgate"), "no session: {:?}", got.cookies());
}

#[tokio::test]
async fn a_login_by_redirect() {
    let server = server();
    let site = plan(&server).build();
    let mut jar = Jar::default();
    let away = site.open_application(&mut jar, "/reports?from=2026").await;
    let request = parse_authn_request(away.location(), None).unwrap();
    assert!(request.xml.contains("ProtocolBinding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Artifact\""), "{}", request.xml);
    assert_eq!(request.acs.as_deref(), Some("https://app.example/_samlgate/acs"));

    let artifact = server.keeps(site.response().in_response_to(&request.id).attribute("role", &["admin"]).build());
    let back = bring(&site, &mut jar, &artifact, &request.relay_state.unwrap()).await;
    assert_eq!((back.status, back.location()), (SEE_OTHER, "/reports?from=2026"), "{}", back.text);
    let session = site.session(&jar).unwrap();
    assert_eq!((session.identity().user(), session.identity().role()), ("alice", Some("admin")));

    let asked = server.asked();
    assert_eq!(asked.len(), 1, "our signature is good: {:?}", server.contacts());
    let asked = &asked[0];
    assert_eq!((asked.artifact.as_str(), asked.destination.as_str()), (artifact.as_str(), server.url().as_str()));
    assert_eq!(asked.issuer, "https://app.example/_samlgate/metadata");
    assert_eq!(asked.issue_instant, site.now().to_string());
    assert!(asked.id.len() >= 28 && asked.id.starts_with('_'), "{}", asked.id);
    let contact = &server.contacts()[0];
    assert_eq!(contact.line(), "POST /resolve HTTP/1.1");
    assert_eq!(contact.one("soapaction"), Some("\"http://www.oasis-open.org/committees/security\""));
    assert_eq!(contact.one("content-type"), Some("text/xml; charset=utf-8"));
    assert!(contact.all("cookie").is_empty() && contact.all("authorization").is_empty());
}

#[tokio::test]
async fn a_login_by_form() {
    let server = server();
    let site = plan(&server).build();
    for path in [ACS, "/_samlgate/acs/corp"] {
        let mut jar = Jar::default();
        let away = site.open_application(&mut jar, "/page").await;
        let artifact = server.keeps(site.response().in_response_to(&request_id(&away)).build());
        let got = post(&site, &mut jar, path, &artifact).await;
        assert_eq!((got.status, got.location()), (SEE_OTHER, "/page"), "{}", got.text);
    }
    // An address of another IdP is that of another IdP, and nobody is asked.
    let mut jar = Jar::default();
    let away = site.open_application(&mut jar, "/page").await;
    let artifact = server.keeps(site.response().in_response_to(&request_id(&away)).build());
    refused_as(&post(&site, &mut jar, "/_samlgate/acs/other", &artifact).await, FORBIDDEN, "issuer_mismatch");
    assert_eq!(server.asked().len(), 2);
}

async fn post(site: &Site, jar: &mut Jar, path: &str, artifact: &str) -> Got {
    let cookies = jar.cookies_of_post();
    let headers = [
        ("accept", "text/html"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-site", "cross-site"),
        ("content-type", "application/x-www-form-urlencoded"),
        ("cookie", &cookies),
    ];
    let got = site.send(Method::POST, path, &headers, &format!("SAMLart={}", encode(artifact))).await;
    jar.keep(&got);
    got
}

#[tokio::test]
async fn every_way_of_signing_and_encrypting_that_a_post_may_have() {
    let server = server();
    let site = plan(&server).build();
    for sign in [Sign::Assertion, Sign::Response, Sign::Both] {
        for outer in [true, false] {
            server.answers(move |answer| if outer { answer.envelope() } else { answer.unsigned().envelope() });
            for encrypted in [false, true] {
                let mut jar = Jar::default();
                let away = site.open_application(&mut jar, "/page").await;
                let response = site.response().in_response_to(&request_id(&away)).sign(sign);
                let response = if encrypted { response.encrypt(Encryption::default()) } else { response };
                let artifact = server.keeps(response.build());
                let got = bring(&site, &mut jar, &artifact, "").await;
                assert_eq!(got.status, SEE_OTHER, "{sign:?}, outer {outer}, encrypted {encrypted}: {}", got.text);
            }
        }
    }
}

/// Namespaces that are declared in the envelope only, and signatures made there, exclusively and inclusively canonicalised.
#[tokio::test]
async fn what_was_signed_in_its_envelope_verifies() {
    let inclusive = |template: &str| {
        let (exclusive, inclusive) =
            ("http://www.w3.org/2001/10/xml-exc-c14n#", "http://www.w3.org/TR/2001/REC-xml-c14n-20010315");
        template.replace(exclusive, inclusive)
    };
    let server = server();
    let site = plan(&server).build();
    for template in [None, Some(inclusive as fn(&str) -> String)] {
        server.answers(move |answer| {
            let declared = " xmlns:xs=\"http://www.w3.org/2001/XMLSchema\" xmlns:extra=\"urn:extra\"><soap:Body>";
            let envelope = answer.unsigned().replace("><soap:Body>", declared).envelope();
            // The second declaration of each is the Response's or the Assertion's own.
            let namespaces = [
                " xmlns:samlp=\"urn:oasis:names:tc:SAML:2.0:protocol\"",
                " xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\"",
            ];
            let (head, inner) = envelope.split_once("<samlp:Response").unwrap();
            let inner = namespaces.iter().fold(inner.to_owned(), |inner, declaration| inner.replace(declaration, ""));
            let id = inner.split("<saml:Assertion ID=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
            FakeIdp::new(IDP).sign_in_place(&format!("{head}<samlp:Response{inner}"), "<saml:Assertion ", &id, template)
        });
        let mut jar = Jar::default();
        let away = site.open_application(&mut jar, "/page").await;
        let artifact = server.keeps(site.response().in_response_to(&request_id(&away)).unsigned().build());
        let got = bring(&site, &mut jar, &artifact, "").await;
        assert_eq!(got.status, SEE_OTHER, "{}", got.text);
    }
}

#[tokio::test]
async fn brought_twice_it_is_replayed_and_the_user_goes_on() {
    let server = server();
    let site = plan(&server).build();
    let mut jar = Jar::default();
    let away = site.open_application(&mut jar, "/page").await;
    let artifact = server.keeps(site.response().in_response_to(&request_id(&away)).build());
    assert_eq!(bring(&site, &mut jar, &artifact, "").await.status, SEE_OTHER);
    let again = bring(&site, &mut jar, &artifact, "").await;
    refused_as(&again, FORBIDDEN, "replayed");
    assert_eq!(again.header("refresh"), "0; url=/page", "a reload goes on by itself");
    refused_as(&bring(&site, &mut Jar::default(), &artifact, "").await, FORBIDDEN, "browser_mismatch");
    assert_eq!((server.asked().len(), site.sessions().await), (1, 1), "nobody is asked again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_at_once_one_asks() {
    let server = server();
    let site = Arc::new(plan(&server).build());
    let mut jar = Jar::default();
    let away = site.open_application(&mut jar, "/").await;
    let artifact = server.keeps(site.response().in_response_to(&request_id(&away)).build());
    let all: Vec<_> = (0..8)
        .map(|_| {
            let (site, mut jar, artifact) = (Arc::clone(&site), jar.clone(), artifact.clone());
            tokio::spawn(async move { bring(&site, &mut jar, &artifact, "").await })
        })
        .collect();
    let mut signed_in = 0;
    for one in all {
        let got = one.await.unwrap();
        if got.status == SEE_OTHER { signed_in += 1 } else { refused_as(&got, FORBIDDEN, "replayed") }
    }
    assert_eq!((signed_in, site.sessions().await, server.asked().len()), (1, 1, 1));
}

#[tokio::test]
async fn an_artifact_of_another_browsers_login_makes_no_session() {
    let server = server();
    let site = plan(&server).build();
    let mut victim = Jar::default();
    let away = site.open_application(&mut victim, "/page").await;
    let artifact = server.keeps(site.response().in_response_to(&request_id(&away)).build());
    let mut thief = Jar::default();
    site.open_application(&mut thief, "/").await;
    refused_as(&bring(&site, &mut thief, &artifact, "").await, FORBIDDEN, "browser_mismatch");
    assert_eq!(site.sessions().await, 0);
}

#[tokio::test]
async fn begun_at_the_idp_it_is_a_wish_or_a_session_or_nothing() {
    let server = server();
    let site = plan(&server).build();
    let mut jar = Jar::default();
    let artifact = server.keeps(site.response().build());
    let got = bring(&site, &mut jar, &artifact, "/reports").await;
    assert_eq!(got.status, SEE_OTHER, "{}", got.text);
    assert!(got.location().starts_with("/_samlgate/login?return_to=/reports"), "{}", got.location());
    assert!(jar.session().is_none());

    let site = plan(&server).with_idp(|idp| idp.idp_initiated = IdpInitiated::Accept).build();
    let mut jar = Jar::default();
    let artifact = server.keeps(site.response().build());
    let got = bring(&site, &mut jar, &artifact, "/reports").await;
    assert_eq!((got.status, got.location()), (SEE_OTHER, "/reports"), "{}", got.text);
    assert!(site.session(&jar).is_some());
    refused_as(&bring(&site, &mut jar, &artifact, "/reports").await, FORBIDDEN, "replayed");

    let before = server.contacts().len();
    let site = plan(&server).with_idp(|idp| idp.idp_initiated = IdpInitiated::Off).build();
    let artifact = server.keeps(site.response().build());
    refused_as(&bring(&site, &mut Jar::default(), &artifact, "/reports").await, FORBIDDEN, "login_expired");
    assert_eq!(server.contacts().len(), before, "without a login of this browser nobody is asked");
}

#[tokio::test]
async fn an_idp_that_is_not_asked_for_artifacts_is_not_contacted() {
    let server = server();
    let mut plan = plan(&server);
    plan.idps[0].response_binding = ResponseBinding::Post;
    let site = plan.build();
    let mut jar = Jar::default();
    let away = site.open_application(&mut jar, "/page").await;
    let request = parse_authn_request(away.location(), None).unwrap();
    assert!(request.xml.contains("bindings:HTTP-POST"), "{}", request.xml);
    let artifact = server.keeps(site.response().in_response_to(&request.id).build());
    refused_as(&bring(&site, &mut jar, &artifact, "").await, FORBIDDEN, "artifact_not_enabled");
    let got = post(&site, &mut jar, ACS, &artifact).await;
    refused_as(&got, FORBIDDEN, "artifact_not_enabled");
    assert!(server.contacts().is_empty());
    // By POST the login goes on.
    let response = site.response().in_response_to(&request.id).base64();
    assert_eq!(site.post(&mut jar, ACS, &response, None).await.status, SEE_OTHER);
}

#[tokio::test]
async fn a_response_by_post_is_taken_all_the_same() {
    let server = server();
    let site = plan(&server).build();
    assert_eq!(site.sign_in(&mut Jar::default(), "/page").await.location(), "/page");
    assert!(server.contacts().is_empty());
}

#[tokio::test]
async fn what_is_no_artifact_of_ours_asks_nobody() {
    let server = server();
    let site = plan(&server).build();
    let mut jar = Jar::default();
    site.open_application(&mut jar, "/page").await;
    let good = FakeIdp::new(IDP).artifact(1, "x");
    let type_3 = good.replacen("AAQ", "AAM", 1);
    let longer = "A".repeat(4000);
    for bad in ["", "AAQ", "not base64!", &good[..56], &type_3, &longer, &format!("{good}AAAA")] {
        refused_as(&bring(&site, &mut jar, bad, "").await, StatusCode::BAD_REQUEST, "artifact_invalid");
    }
    let stranger = FakeIdp::new("https://stranger.example").artifact(1, "x");
    for bad in [stranger, FakeIdp::new(IDP).artifact(2, "x"), FakeIdp::new(IDP).artifact(0, "x")] {
        refused_as(&bring(&site, &mut jar, &bad, "").await, FORBIDDEN, "artifact_invalid");
    }
    let both = format!("{ACS}?SAMLart={}&SAMLart={}", encode(&good), encode(&good));
    assert_eq!(site.open(&mut jar, &both).await.status, StatusCode::BAD_REQUEST);
    for query in ["", "?SAMLResponse=PGEvPg%3D%3D", "?RelayState=x"] {
        assert_eq!(site.open(&mut jar, &format!("{ACS}{query}")).await.status, StatusCode::METHOD_NOT_ALLOWED, "{query}");
    }
    let head = site.send(Method::HEAD, &format!("{ACS}?SAMLart={}", encode(&good)), &[], "").await;
    assert_eq!(head.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(server.contacts().is_empty());
}

#[tokio::test]
async fn strangers_can_make_it_ask_only_so_often() {
    let server = server();
    let store = Arc::new(MemoryStore::new(MemoryLimits::default()));
    let mut plan = plan(&server);
    plan.store = store;
    let site = plan.build();
    let mut busy = 0;
    for n in 0..25 {
        let got = bring(&site, &mut Jar::default(), &FakeIdp::new(IDP).artifact(1, &format!("made up {n}")), "").await;
        match got.reason() {
            "artifact_unknown" => {}
            "busy" => busy += 1,
            other => panic!("{other}: {}", got.text),
        }
    }
    assert_eq!((busy, server.contacts().len()), (5, 20));
    let mut jar = Jar::default();
    let away = site.open_application(&mut jar, "/page").await;
    let artifact = server.keeps(site.response().in_response_to(&request_id(&away)).build());
    assert_eq!(bring(&site, &mut jar, &artifact, "").await.status, SEE_OTHER, "who is signing in has a share of their own");
}

#[tokio::test]
async fn an_idp_that_is_silent_is_given_up_in_time() {
    let server = server();
    let mut plan = plan(&server);
    plan.patience = Duration::from_millis(50);
    let site = plan.build();
    server.is_silent();
    let mut jar = Jar::default();
    let away = site.open_application(&mut jar, "/page").await;
    let request = parse_authn_request(away.location(), None).unwrap();
    let artifact = server.keeps(site.response().in_response_to(&request.id).build());
    let got = bring(&site, &mut jar, &artifact, &request.relay_state.unwrap()).await;
    refused_as(&got, StatusCode::SERVICE_UNAVAILABLE, "artifact_unresolved");
    assert!(got.button().contains("return_to=/page"), "{}", got.button());
    // The login is still pending: another answer finishes it.
    server.is_proper();
    let artifact = server.keeps(site.response().in_response_to(&request.id).build());
    assert_eq!(bring(&site, &mut jar, &artifact, "").await.status, SEE_OTHER);
}

/// The whole of samlgate, from its configuration file, with a browser.
#[test]
fn from_the_configuration_to_the_application() {
    let server = ArtifactServer::start(FakeIdp::new(app::IDP), start_of_time());
    let metadata = FakeIdp::new(app::IDP).metadata_with_artifacts(app::SSO, &server.url());
    let app = Setup::new().metadata(&format!("metadata_xml = '''{metadata}'''")).idp("response_binding = \"artifact\"").start();
    let mut ada = app.browser();
    let published = ada.open(&app.url("/_samlgate/metadata")).text();
    let post =
        published.find("bindings:HTTP-POST\" Location=\"https://app.example/_samlgate/acs\" index=\"0\" isDefault=\"true\"");
    let artifact =
        published.find("bindings:HTTP-Artifact\" Location=\"https://app.example/_samlgate/acs\" index=\"1\" isDefault=\"false\"");
    assert!(post.unwrap() < artifact.unwrap(), "{published}");

    let request = app.begin(&mut ada, "/reports");
    let artifact = server.keeps(app.answer(&request).build());
    let relay_state = request.relay_state.unwrap();
    let url = app.url(&format!("{ACS}?SAMLart={}&RelayState={}", encode(&artifact), encode(&relay_state)));
    let page = ada.click(app::SSO, &url);
    assert_eq!(page.status, 303, "{}", page.text());
    assert!(ada.cookie(COOKIE).is_some());
    assert_eq!(ada.follow(page).text(), "the application's /reports");
    assert_eq!(app.told().one("x-user"), Some("ada@example.com"));
}
