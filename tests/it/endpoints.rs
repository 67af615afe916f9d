//! samlgate's own endpoints, one by one.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body::Frame;
use http_body_util::StreamBody;
use samlgate::access::Forbidden;
use samlgate::saml::IdpInitiated;
use samlgate::web::Problem;

use crate::support::site::{Jar, Plan, Site, context, form, read, request_id};

const ACS: &str = "/_samlgate/acs";
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    lines.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())).collect()
}

#[tokio::test]
async fn problems_are_pages_for_people_and_json_for_programs() {
    let site = Plan::new().build();
    let problems = [
        (Problem::BadRequest("Two Host headers."), 400, "bad_request"),
        (Problem::Forbidden(Forbidden::RoleRequired), 403, "role_required"),
        (Problem::Forbidden(Forbidden::NotAllowed), 403, "not_allowed"),
        (Problem::NotFound, 404, "not_found"),
        (Problem::PayloadTooLarge, 413, "too_large"),
        (Problem::HeadersTooLarge, 431, "headers_too_large"),
        (Problem::RequestTimeout, 408, "request_timeout"),
        (Problem::UpstreamUnreachable, 502, "upstream_unreachable"),
        (Problem::UpstreamTimeout, 504, "upstream_timeout"),
        (Problem::StoreAway, 503, "store_unavailable"),
        (Problem::Busy, 503, "busy"),
        (Problem::Internal, 500, "internal_error"),
    ];
    for (problem, status, code) in problems {
        let page = read(site.web.refuse(problem, &headers(&[("accept", "text/html")]), &context())).await;
        assert_eq!((page.status.as_u16(), page.reason()), (status, code));
        assert!(page.text.contains("request1") && page.text.contains("lang=\"en\"") && page.text.contains("<h1>"));
        assert_eq!(page.header("cache-control"), "no-store");
        let json = read(site.web.refuse(problem, &headers(&[("accept", "*/*")]), &context())).await;
        assert_eq!(json.status.as_u16(), status);
        assert_eq!((&json.json()["error"], &json.json()["request_id"]), (&code.into(), &"request1".into()));
    }
}

#[tokio::test]
async fn the_acs_takes_one_response_in_a_form_and_nothing_else() {
    let site = Plan::new().build();
    let page = ("accept", "text/html");
    let response = site.response().base64();
    let one = form(&response, None);
    let bad: &[(&[(&str, &str)], String)] = &[
        (&[page, FORM], String::new()),
        (&[page, FORM], format!("{one}&{one}")),
        (&[page, FORM], format!("{one}&RelayState=a&RelayState=b")),
        (&[page, FORM], format!("{one}{}", "&a=b".repeat(40))),
        (&[page, FORM], one.replace("SAMLResponse", "samlresponse")),
        (&[page], one.clone()),
        (&[page, ("content-type", "text/plain")], one.clone()),
        (&[page, ("content-type", "multipart/form-data; boundary=x")], one.clone()),
    ];
    for (lines, body) in bad {
        let got = site.send(Method::POST, ACS, lines, body).await;
        assert_eq!((got.status, got.reason()), (StatusCode::BAD_REQUEST, "bad_request"), "{lines:?} {body:.80}");
        assert!(got.cookies().is_empty());
    }
    let large = form(&"A".repeat(512 * 1024), None);
    let got = site.send(Method::POST, ACS, &[page, FORM], &large).await;
    assert_eq!((got.status, got.reason()), (StatusCode::PAYLOAD_TOO_LARGE, "too_large"));
    for (field, status, reason) in [
        ("%%%", 400, "not_base64"),
        ("bm8geG1s", 400, "not_xml"),
        ("PCFET0NUWVBFIGE+PGEvPg==", 400, "forbidden_xml"),
        ("PGEvPg==", 400, "wrong_document"),
    ] {
        let got = site.send(Method::POST, ACS, &[page, FORM], &form(field, None)).await;
        assert_eq!((got.status.as_u16(), got.reason()), (status, reason), "{field}");
    }
    let got = site.send(Method::POST, ACS, &[FORM], &form("%%%", None)).await;
    assert_eq!(got.json()["error"], "not_base64");
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let got = site.send(method, ACS, &[page], "").await;
        assert_eq!((got.status, got.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, "GET, POST"));
    }
}

#[tokio::test]
async fn every_configured_acs_is_served() {
    let mut plan = Plan::new();
    plan.acs_urls = vec!["https://app.example/saml/acs".to_owned(), "https://app.example/old/consume?tenant=1".to_owned()];
    let site = plan.build();
    for own in ["/_samlgate", "/_samlgate/", "/_samlgate/x", "/saml/acs", "/old/consume", "/.well-known/samlgate/jwks.json"] {
        assert!(site.web.owns(own), "{own}");
    }
    for other in ["/", "/_samlgatex", "/saml/acs/", "/saml", "/.well-known/samlgate", "/%5fsamlgate/me"] {
        assert!(!site.web.owns(other), "{other}");
    }
    for (path, url) in [
        ("/saml/acs", "https://app.example/saml/acs"),
        ("/old/consume?tenant=1", "https://app.example/old/consume?tenant=1"),
        (ACS, "https://app.example/_samlgate/acs"),
    ] {
        let mut jar = Jar::default();
        let request = request_id(&site.open_application(&mut jar, "/p").await);
        let response = site.response().in_response_to(&request).destination(Some(url)).recipient(Some(url)).base64();
        assert_eq!(site.post(&mut jar, path, &response, None).await.location(), "/p");
    }
}

#[tokio::test]
async fn what_does_not_exist_yet_is_not_found() {
    let site = Plan::new().build();
    for path in
        ["", "/", "/slo/", "/slo/soap/x", "/auth", "/scim/v2/Users", "/admin", "/local", "/acs/", "/ME", "/artifact", "/%61cs"]
    {
        let got = site.send(Method::GET, &format!("/_samlgate{path}"), &[("accept", "text/html")], "").await;
        assert_eq!((got.status, got.reason()), (StatusCode::NOT_FOUND, "not_found"), "{path}");
    }
}

#[tokio::test]
async fn documents_can_be_read_by_get_and_head() {
    let site = Plan::new().build();
    let kinds = [
        ("/_samlgate/metadata", "application/samlmetadata+xml", "EntityDescriptor"),
        ("/_samlgate/jwks.json", "application/json", "\"kty\":\"EC\""),
        ("/.well-known/samlgate/jwks.json", "application/json", "\"kty\":\"EC\""),
    ];
    for (path, kind, part) in kinds {
        let got = site.send(Method::GET, path, &[], "").await;
        assert_eq!((got.status, got.header("content-type")), (StatusCode::OK, kind));
        assert!(got.text.contains(part), "{}", got.text);
        assert!(!got.text.contains("\"d\":"), "no private key");
        let head = site.send(Method::HEAD, path, &[], "").await;
        assert_eq!((head.status, head.header("content-type"), &*head.text), (StatusCode::OK, kind, ""));
    }
    let keys = site.send(Method::GET, "/_samlgate/jwks.json", &[], "").await;
    assert_eq!(keys.header("cache-control"), "public, max-age=300");
}

#[tokio::test]
async fn me_tells_who_is_signed_in_and_no_secret() {
    let site = Plan::new().build();
    let mut jar = Jar::default();
    assert_eq!(site.open(&mut jar, "/_samlgate/me").await.status, StatusCode::UNAUTHORIZED);
    site.sign_in(&mut jar, "/").await;
    let got = site.open(&mut jar, "/_samlgate/me").await;
    let me = got.json();
    assert_eq!((&me["user"], &me["role"], &me["idp"]), (&"alice".into(), &"viewer".into(), &"corp".into()));
    assert_eq!(me["expires"], "2026-03-02T00:00:00Z");
    assert!(me.get("email").is_none() && !got.text.contains(jar.session().unwrap()));
    site.pass(3600);
    assert_eq!(site.open(&mut jar, "/_samlgate/me").await.status, StatusCode::UNAUTHORIZED, "asking is not use");
    // A second session cookie, whoever planted it, makes the first worth nothing.
    let mut jar = Jar::default();
    site.sign_in(&mut jar, "/").await;
    let twice = format!("__Host-samlgate={0}; __Host-samlgate={0}", jar.session().unwrap());
    let got = site.send(Method::GET, "/_samlgate/me", &[("cookie", &twice)], "").await;
    assert_eq!(got.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn logging_out_takes_a_click_on_this_site() {
    let site = Plan::new().build();
    let mut jar = Jar::default();
    site.sign_in(&mut jar, "/").await;
    let cookie = format!("__Host-samlgate={}", jar.session().unwrap());
    let send = async |method: Method, path: &str, lines: &[(&str, &str)]| {
        let lines: Vec<_> = lines.iter().copied().chain([("cookie", &*cookie), ("accept", "text/html")]).collect();
        site.send(method, path, &lines, "").await
    };
    for site_said in ["cross-site", "same-site", "none", ""] {
        let got = send(Method::GET, "/_samlgate/logout", &[("sec-fetch-site", site_said)]).await;
        assert_eq!(got.status, StatusCode::OK);
        assert!(got.text.contains("<form method=\"post\" action=\"/_samlgate/logout\">"), "{}", got.text);
        assert!(got.header("content-security-policy").contains("form-action 'self'"));
    }
    assert_eq!(send(Method::GET, "/_samlgate/logout", &[]).await.status, StatusCode::OK);
    for foreign in [
        &[("sec-fetch-site", "cross-site")][..],
        &[("sec-fetch-site", "same-site"), ("origin", "https://app.example")],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("origin", "https://app.example"), ("origin", "https://evil.example")],
    ] {
        let got = send(Method::POST, "/_samlgate/logout", foreign).await;
        assert_eq!((got.status, got.reason()), (StatusCode::FORBIDDEN, "cross_site"), "{foreign:?}");
    }
    let held = site.session(&jar).unwrap();
    let got = send(Method::POST, "/_samlgate/logout", &[("origin", "https://app.example")]).await;
    assert_eq!((got.status, got.location()), (StatusCode::SEE_OTHER, "/"));
    assert_eq!(got.cookies(), [("__Host-samlgate".to_owned(), String::new())]);
    assert!(!held.is_live(site.now()), "who holds the session sees that it ended");

    site.sign_in(&mut jar, "/").await;
    let own = format!("__Host-samlgate={}", jar.session().unwrap());
    let lines = [("sec-fetch-site", "same-origin"), ("cookie", &*own)];
    let got = site.send(Method::GET, "/_samlgate/logout?return_to=/bye", &lines, "").await;
    assert_eq!((got.status, got.location()), (StatusCode::SEE_OTHER, "/bye"));
    assert!(site.session(&jar).is_none());
    let got = site.send(Method::POST, "/_samlgate/logout?return_to=//evil.example", &lines, "").await;
    assert_eq!((got.status, got.location()), (StatusCode::SEE_OTHER, "/"), "without a session too");
}

#[tokio::test]
async fn a_test_login_shows_everything_and_makes_no_session() {
    let site = Plan::new().build();
    let mut jar = Jar::default();
    let request = request_id(&site.open(&mut jar, "/_samlgate/test").await);
    let response = site.response().in_response_to(&request).attribute("role", &["<script>alert(1)</script>"]);
    let got = site.post(&mut jar, ACS, &response.base64(), None).await;
    assert_eq!(got.status, StatusCode::OK);
    assert!(got.text.contains("A real login would succeed") && got.text.contains("x-role"), "{}", got.text);
    assert!(got.text.contains("&#60;script&#62;alert(1)") && !got.text.contains("<script>"));
    assert!(got.text.contains("signature") && got.text.contains("holds"));
    assert_eq!((jar.session(), site.sessions().await), (None, 0));

    let request = request_id(&site.open(&mut jar, "/_samlgate/test?idp=corp").await);
    let response = site.response().in_response_to(&request).audience(Some("https://other.example/")).base64();
    let got = site.post(&mut jar, ACS, &response, None).await;
    assert!(got.text.contains("would be refused") && got.text.contains("audience_mismatch"), "{}", got.text);
    assert!(got.text.contains("https://other.example/"), "says what was sent");
    assert_eq!(site.sessions().await, 0);
    let again = site.post(&mut jar, ACS, &response, None).await;
    assert_eq!(again.reason(), "replayed");
}

/// Sends a body that counts how often somebody asks for more of it.
async fn asked_for_body(site: &Site, method: &Method, path: &str) -> (StatusCode, usize) {
    let mut asked = 0;
    let (tell, told) = std::sync::mpsc::channel();
    let frames = futures_util::stream::poll_fn(move |_| {
        asked += 1;
        tell.send(()).unwrap();
        let frame = Frame::data(Bytes::from(vec![b'x'; 4096]));
        std::task::Poll::Ready((asked < 4).then_some(Ok::<_, Infallible>(frame)))
    });
    let mut request = Request::new(StreamBody::new(frames));
    *request.method_mut() = method.clone();
    *request.uri_mut() = path.parse().unwrap();
    let got = read(site.web.endpoint(request, &context()).await).await;
    (got.status, told.iter().count())
}

#[tokio::test]
async fn a_body_is_read_only_where_one_is_taken() {
    let site = Plan::new().build();
    for (method, path, status) in [
        (Method::POST, "/_samlgate/nowhere", 404),
        (Method::POST, "/_samlgate/acs/a/b", 404),
        (Method::POST, "/_samlgate/test", 405),
        (Method::POST, "/_samlgate/metadata", 405),
        (Method::PUT, ACS, 405),
        (Method::GET, "/_samlgate/metadata", 200),
    ] {
        let (got, asked) = asked_for_body(&site, &method, path).await;
        assert_eq!((got.as_u16(), asked), (status, 0), "{method} {path}");
    }
    // Read to its end and found to be no form; and read until it is more than 8 KiB.
    for (path, status, expected) in
        [(ACS, 400, 4), ("/_samlgate/acs/corp", 400, 4), ("/_samlgate/logout", 413, 3), ("/_samlgate/login", 413, 3)]
    {
        let (got, asked) = asked_for_body(&site, &Method::POST, path).await;
        assert_eq!((got.as_u16(), asked), (status, expected), "{path}");
    }
}

#[tokio::test]
async fn a_query_has_few_fields() {
    let site = Plan::new().build();
    let page = [("accept", "text/html"), ("sec-fetch-mode", "navigate")];
    let many = format!("/_samlgate/login?return_to=/{}", "&a=b".repeat(40));
    let got = site.send(Method::GET, &many, &page, "").await;
    assert_eq!((got.status, got.reason()), (StatusCode::BAD_REQUEST, "bad_request"));
}

#[tokio::test]
async fn junk_takes_no_place_of_people_who_are_signing_in() {
    let site = Arc::new(Plan::new().with_idp(|idp| idp.idp_initiated = IdpInitiated::Accept).build());
    let mut people = Vec::new();
    for _ in 0..20 {
        let mut jar = Jar::default();
        let away = site.open_application(&mut jar, "/page").await;
        people.push((jar, site.response().in_response_to(&request_id(&away)).base64()));
    }
    let stolen = people[0].1.clone();
    // Really signed, so it takes long to verify; and used up, so it signs nobody in.
    let used = site.response().base64();
    assert_eq!(site.post(&mut Jar::default(), ACS, &used, None).await.status, StatusCode::SEE_OTHER);
    let unknown = site.response().unsigned().in_response_to("_0123456789012345678901234567890123456789").base64();
    let mut junk = tokio::task::JoinSet::new();
    for n in 0..700 {
        let response = match n % 7 {
            0 => "bm8geG1s".to_owned(),
            1 => unknown.clone(),
            2 => stolen.clone(),
            _ => used.clone(),
        };
        let site = Arc::clone(&site);
        junk.spawn(async move { site.post(&mut Jar::default(), ACS, &response, None).await });
    }
    // All the junk is on its way (this runtime has one thread, and takes tasks in order) when the people's answers come.
    let mut logins = tokio::task::JoinSet::new();
    for (mut jar, response) in people {
        let site = Arc::clone(&site);
        logins.spawn(async move { site.post(&mut jar, ACS, &response, None).await });
    }
    while let Some(got) = logins.join_next().await {
        let got = got.unwrap();
        assert_eq!((got.status, got.location()), (StatusCode::SEE_OTHER, "/page"), "{}", got.text);
    }
    let mut busy = 0;
    while let Some(got) = junk.join_next().await {
        let got = got.unwrap();
        assert_ne!(got.status, StatusCode::SEE_OTHER);
        busy += usize::from(got.status == StatusCode::SERVICE_UNAVAILABLE);
    }
    assert!(busy <= 400, "only what nobody asked for is sent away without being looked at: {busy}");
}
