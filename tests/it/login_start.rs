//! Who is sent to the IdP, how, and who is not.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use samlgate::access::{LoginTerms, Target};
use samlgate::saml::{RequestBinding, SpKey};
use samlgate::web::{Problem, Unanswered};

use crate::support::fake_idp::parse_authn_request;
use crate::support::site::{Got, Jar, Plan, SSO, Site, context, idp, read, request_id};

const ACS: &str = "/_samlgate/acs";

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    lines.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())).collect()
}

async fn login_required(site: &Site, method: Method, lines: &[(&'static str, &str)]) -> Got {
    let target = Target::parse(&"/page?x=1".parse().unwrap()).unwrap();
    let request = Unanswered { method: &method, headers: &headers(lines), target: &target };
    read(site.web.login_required(request, &LoginTerms::default(), &context()).await).await
}

#[tokio::test]
async fn whoever_is_no_navigation_gets_401_and_no_cookie() {
    let site = Plan::new().build();
    let programs: &[(Method, &[(&'static str, &str)])] = &[
        (Method::GET, &[("sec-fetch-mode", "cors"), ("accept", "*/*"), ("referer", "https://app.example/reports?x=1")]),
        (Method::POST, &[("accept", "text/html"), ("referer", "https://app.example/reports?x=1")]),
        (Method::GET, &[("upgrade", "websocket"), ("referer", "https://app.example/reports?x=1")]),
        (
            Method::GET,
            &[("sec-fetch-mode", "navigate"), ("sec-purpose", "prefetch"), ("referer", "https://app.example/reports?x=1")],
        ),
    ];
    for (method, lines) in programs {
        let got = login_required(&site, method.clone(), lines).await;
        assert_eq!(got.status, StatusCode::UNAUTHORIZED);
        assert_eq!(got.header("www-authenticate"), "SAML");
        assert_eq!(got.header("content-type"), "application/json");
        assert!(got.cookies().is_empty());
        let expected = serde_json::json!({
            "error": "login_required",
            "login_url": "https://app.example/_samlgate/login?return_to=/reports%3Fx%3D1",
        });
        assert_eq!(got.json(), expected);
    }
    let elsewhere = login_required(&site, Method::POST, &[("referer", "https://evil.example/x")]).await;
    assert_eq!(elsewhere.json()["login_url"], "https://app.example/_samlgate/login?return_to=/");
    assert_eq!(site.store.pending_count(), 0);
}

#[tokio::test]
async fn grpc_is_answered_in_its_own_way() {
    let site = Plan::new().build();
    let got = login_required(&site, Method::POST, &[("content-type", "application/grpc+proto")]).await;
    assert_eq!((got.status, got.header("grpc-status"), &*got.text), (StatusCode::OK, "16", ""));
    assert_eq!(got.header("content-type"), "application/grpc");
    let refused = site.web.refuse(Problem::StoreAway, &headers(&[("content-type", "application/grpc")]), &context());
    assert_eq!(read(refused).await.header("grpc-status"), "14");
}

#[tokio::test]
async fn a_prefetch_of_the_login_page_begins_nothing() {
    let site = Plan::new().build();
    for lines in [
        [("sec-fetch-mode", "navigate"), ("sec-purpose", "prefetch;prerender")],
        [("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")],
    ] {
        for path in ["/_samlgate/login", "/_samlgate/test"] {
            let got = site.send(Method::GET, path, &lines, "").await;
            assert_eq!(got.status, StatusCode::UNAUTHORIZED);
            assert!(got.cookies().is_empty());
        }
    }
    assert_eq!(site.store.pending_count(), 0);
}

#[tokio::test]
async fn with_several_idps_the_user_chooses() {
    let mut plan = Plan::new();
    plan.idps.push(idp("partner", "https://partner.example/", "https://partner.example/sso"));
    let site = plan.build();
    let mut jar = Jar::default();
    let chooser = site.open_application(&mut jar, "/page?x=1").await;
    assert_eq!((chooser.status, chooser.location()), (StatusCode::FOUND, "/_samlgate/login?return_to=/page%3Fx%3D1"));
    assert!(chooser.cookies().is_empty());
    let page = site.open(&mut jar, chooser.location()).await;
    assert_eq!(page.status, StatusCode::OK);
    for id in ["corp", "partner"] {
        assert!(page.text.contains(&format!("return_to=/page%3Fx%3D1&#38;idp={id}\">{id}</a>")), "{}", page.text);
    }
    let away = site.open(&mut jar, "/_samlgate/login?return_to=/page%3Fx%3D1&idp=partner").await;
    assert!(away.location().starts_with("https://partner.example/sso?"), "{}", away.location());
    let got = site.open(&mut jar, "/_samlgate/login?idp=nobody").await;
    assert_eq!((got.status, got.reason()), (StatusCode::BAD_REQUEST, "bad_request"));
    let got = site.open(&mut jar, "/_samlgate/login?idp=corp&idp=partner").await;
    assert_eq!(got.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn whoever_is_signed_in_goes_straight_on() {
    let mut plan = Plan::new();
    plan.idps.push(idp("partner", "https://partner.example/", "https://partner.example/sso"));
    let site = plan.build();
    let mut jar = Jar::default();
    let away = site.open(&mut jar, "/_samlgate/login?idp=corp").await;
    let response = site.response().in_response_to(&request_id(&away)).base64();
    site.post(&mut jar, ACS, &response, None).await;
    for path in ["/_samlgate/login?return_to=/page", "/_samlgate/login?return_to=/page&idp=corp"] {
        let got = site.open(&mut jar, path).await;
        assert_eq!((got.status, got.location()), (StatusCode::FOUND, "/page"));
    }
    let other = site.open(&mut jar, "/_samlgate/login?idp=partner").await;
    assert!(other.location().starts_with("https://partner.example/sso?"));
    let anew = site.open(&mut jar, "/_samlgate/login?idp=corp&force=true").await;
    assert!(parse_authn_request(anew.location(), None).unwrap().force_authn);
}

#[tokio::test]
async fn the_post_binding_is_a_page_that_posts_itself() {
    let site = Plan::new().with_idp(|idp| idp.request_binding = RequestBinding::Post).build();
    let mut jar = Jar::default();
    let got = site.open_application(&mut jar, "/page").await;
    assert_eq!(got.status, StatusCode::OK);
    assert!(got.text.contains(&format!("<form method=\"post\" action=\"{SSO}\">")), "{}", got.text);
    assert!(got.text.contains("<button class=\"act\" type=\"submit\">"), "works without a script");
    let policy = got.header("content-security-policy");
    assert!(policy.contains("script-src 'sha256-") && policy.contains("form-action https:;"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(got.header("referrer-policy"), "strict-origin", "or browsers would post it with Origin: null");
    let field = got.text.split_once("name=\"SAMLRequest\" value=\"").unwrap().1.split_once('"').unwrap().0;
    let field = field.replace("&#43;", "+");
    let encoded = percent_encoding::utf8_percent_encode(&field, percent_encoding::NON_ALPHANUMERIC);
    let request = parse_authn_request(&format!("SAMLRequest={encoded}"), None).unwrap();
    let response = site.response().in_response_to(&request.id).base64();
    assert_eq!(site.post(&mut jar, ACS, &response, None).await.location(), "/page");
}

#[tokio::test]
async fn plain_http_on_localhost_has_a_second_login_cookie() {
    let site = Plan::at("http://localhost:8080").build();
    let mut jar = Jar::default();
    site.open_application(&mut jar, "/").await;
    assert_eq!(jar.names(), ["samlgate-login", "samlgate-login-lax"]);
    site.sign_in(&mut jar, "/page").await;
    assert_eq!(jar.names(), ["samlgate", "samlgate-login", "samlgate-login-lax"]);
    assert!(site.session(&jar).is_some());
}

#[tokio::test]
async fn two_session_cookies_are_told_and_do_not_go_round() {
    let site = Plan::new().build();
    let mut jar = Jar::default();
    site.sign_in(&mut jar, "/").await;
    let twice = format!("__Host-samlgate={}; __Host-samlgate=planted", jar.session().unwrap());
    let lines = [("cookie", &*twice), ("accept", "text/html"), ("sec-fetch-mode", "navigate")];
    let got = login_required(&site, Method::GET, &lines).await;
    assert_eq!((got.status, got.reason()), (StatusCode::BAD_REQUEST, "bad_request"));
    assert!(got.cookies().is_empty(), "ours is not deleted: the planted one would be left");
}

#[tokio::test]
async fn so_many_logins_begin_at_once_and_no_more() {
    // Signing takes so long that people come faster than requests are written, however busy the machine is.
    let (key, certificate) = (include_str!("../fixtures/sp.key"), include_str!("../fixtures/sp.crt"));
    let mut plan = Plan::new();
    plan.keys = vec![SpKey::from_pem(key.as_bytes(), certificate.as_bytes()).unwrap()];
    plan.sign_requests = true;
    let site = std::sync::Arc::new(plan.build());
    let mut people = tokio::task::JoinSet::new();
    for _ in 0..600 {
        let site = std::sync::Arc::clone(&site);
        people.spawn(async move { site.open_application(&mut Jar::default(), "/page").await });
    }
    let (mut away, mut busy) = (0, 0);
    while let Some(got) = people.join_next().await {
        let got = got.unwrap();
        if got.status == StatusCode::FOUND {
            away += 1;
        } else {
            assert_eq!((got.status, got.reason()), (StatusCode::SERVICE_UNAVAILABLE, "busy"));
            assert_eq!(got.header("retry-after"), "5");
            assert_eq!(got.button(), "/_samlgate/login?return_to=/page&idp=corp");
            assert!(got.cookies().is_empty());
            busy += 1;
        }
    }
    assert!(away >= 4 * 65 && busy > 0, "{away} {busy}");
    assert_eq!(site.store.pending_count(), away);
    assert_eq!(site.open_application(&mut Jar::default(), "/page").await.status, StatusCode::FOUND, "and then they do again");
}
