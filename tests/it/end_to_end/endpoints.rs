//! samlgate's own endpoints, and the ops address.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::support::app::{COOKIE, Setup, TestApp, minutes};
use crate::support::browser::Kind;

#[test]
fn me_tells_a_signed_in_user_who_they_are() {
    let app = TestApp::start();
    let mut ada = app.browser();
    let me = app.url("/_samlgate/me");
    assert_eq!(ada.script(Kind::Fetch, "GET", &me).status, 401);
    app.login(&mut ada, "/");
    let page = ada.script(Kind::Fetch, "GET", &me);
    assert_eq!(page.status, 200);
    assert!(page.header("cache-control").is_some_and(|value| value.contains("no-store")));
    let answer = page.json();
    assert_eq!(answer["user"], "ada@example.com");
    assert_eq!(answer["role"], "admin");
    let shown = page.text();
    assert!(!shown.contains(&ada.cookie(COOKIE).expect("a session").value), "the session's secret is not shown");
    assert!(app.upstream.seen().len() == 1, "own endpoints are not the application's");
}

/// What an application does with the assertion: finds the key by `kid`, verifies, compares with the headers.
#[test]
fn the_assertion_verifies_with_the_published_keys_and_says_what_the_headers_say() {
    let app = Setup::new().sections("[identity.groups]\nfrom = [\"groups\"]").start();
    let mut ada = app.browser();
    app.login(&mut ada, "/");
    let told = app.told();
    let jws = told.one("x-samlgate-assertion").expect("always sent").to_owned();
    let mut browser = app.browser();
    let keys = browser.script(Kind::Tool, "GET", &app.url("/_samlgate/jwks.json")).json();
    assert_eq!(keys, browser.script(Kind::Tool, "GET", &app.url("/.well-known/samlgate/jwks.json")).json());

    let parts: Vec<&str> = jws.split('.').collect();
    let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).expect("base64url");
    let header: Value = serde_json::from_slice(&decoded(parts[0])).expect("JSON");
    assert_eq!(header["alg"], "ES256");
    let key =
        keys["keys"].as_array().expect("keys").iter().find(|key| key["kid"] == header["kid"]).expect("the key is published");
    assert!(key.get("d").is_none(), "no private key is published");
    let coordinate = |name: &str| decoded(key[name].as_str().expect("a coordinate"));
    let point = [vec![4], coordinate("x"), coordinate("y")].concat();
    let signed = jws.rsplit_once('.').expect("three parts").0;
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
        .verify(signed.as_bytes(), &decoded(parts[2]))
        .expect("a good signature");

    let claims: Value = serde_json::from_slice(&decoded(parts[1])).expect("JSON");
    let now = samlgate::clock::Clock::now(&*app.clock).unix();
    assert_eq!(claims["iss"], "https://app.example");
    assert_eq!(claims["aud"], "https://app.example");
    assert_eq!(claims["user"], told.one("x-user").expect("a user"));
    assert_eq!(claims["email"], told.one("x-email").expect("an email"));
    assert_eq!(claims["role"], told.one("x-role").expect("a role"));
    assert_eq!(claims["groups"], serde_json::json!(["Staff", "Admins"]));
    assert_eq!((&claims["idp"], &claims["method"]), (&"corp".into(), &"saml".into()));
    assert!(claims["exp"].as_i64().expect("a time") > now && claims["exp"].as_i64().expect("a time") <= now + 120);
    assert!(claims.get("tenant").is_none(), "absent values are left out");
}

#[test]
fn the_assertion_is_minted_once_per_half_life_and_never_sent_expired() {
    let app = TestApp::start();
    let mut ada = app.browser();
    app.login(&mut ada, "/");
    let first = app.told().one("x-samlgate-assertion").map(str::to_owned);
    ada.open(&app.url("/again"));
    assert_eq!(app.told().one("x-samlgate-assertion").map(str::to_owned), first);
    app.clock.advance(minutes(2));
    ada.open(&app.url("/later"));
    assert_ne!(app.told().one("x-samlgate-assertion").map(str::to_owned), first);
}

#[test]
fn metadata_is_public_and_names_the_endpoints() {
    let app = TestApp::start();
    let page = app.browser().open(&app.url("/_samlgate/metadata"));
    assert_eq!(page.status, 200);
    let text = page.text();
    for part in ["entityID=\"https://app.example/_samlgate/metadata\"", "https://app.example/_samlgate/acs", "X509Certificate"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("PRIVATE"));
}

#[test]
fn a_test_login_shows_what_was_asserted_and_makes_no_session() {
    let app = TestApp::start();
    let mut ada = app.browser();
    let page = ada.visit(&app.url("/_samlgate/test"));
    let page = if page.location().is_some() {
        page
    } else {
        let form = page.form();
        let page = ada.submit(&page, &form);
        ada.follow(page)
    };
    let request = app.asked(&page);
    let page = app.finish(&mut ada, &request, app.answer(&request).attribute("odd", &["<script>alert(1)</script>"]));
    let page = ada.follow(page);
    assert_eq!(page.status, 200, "{}", page.text());
    for part in ["ada@example.com", "groups", "Admins", "admin"] {
        assert!(page.text().contains(part), "{part}: {}", page.text());
    }
    assert!(!page.text().contains("<script>alert(1)"), "asserted values are escaped");
    assert!(!app.is_signed_in(&mut ada));
}

#[test]
fn what_is_not_there_is_404_and_never_the_applications() {
    let app = TestApp::start();
    let mut ada = app.browser();
    app.login(&mut ada, "/");
    let reached = app.upstream.seen().len();
    for path in ["/_samlgate", "/_samlgate/", "/_samlgate/nothing", "/_samlgate/acs/unknown", "/_samlgate/scim/v2/Users"] {
        let page = ada.open(&app.url(path));
        assert!(matches!(page.status, 404 | 405), "{path}: {}", page.status);
    }
    assert_eq!(app.upstream.seen().len(), reached);
    assert_eq!(ada.open(&app.url("/_samlgatex")).text(), "the application's /_samlgatex");
}

#[test]
fn operators_have_an_address_of_their_own() {
    let app = TestApp::start();
    app.login(&mut app.browser(), "/");
    let mut refused = app.browser();
    let request = app.begin(&mut refused, "/");
    app.finish(&mut refused, &request, app.answer(&request).unsigned());

    let mut operator = app.browser();
    let mut ask = |path: &str| operator.script(Kind::Tool, "GET", &format!("http://ops.localhost{path}"));
    assert_eq!(ask("/livez").status, 200);
    assert_eq!(ask("/readyz").status, 200);
    let metrics = ask("/metrics").text();
    assert!(metrics.lines().any(|line| line.starts_with("samlgate_sessions ")), "{metrics}");
    assert!(metrics.lines().any(|line| line.starts_with("samlgate_upstream_up{") && line.ends_with(" 1")), "{metrics}");
    assert!(metrics.contains("signature_missing"), "refused logins are counted by their reason: {metrics}");
    assert_eq!(ask("/anything").status, 404);
    let mut user = app.browser();
    for path in ["/livez", "/readyz", "/metrics", "/sessions"] {
        let page = user.open(&app.url(path));
        assert_ne!(page.status, 200, "{path} is not on the public address");
    }
}

#[test]
fn pages_of_ours_cannot_be_framed_or_run_scripts_of_strangers() {
    let app = TestApp::start();
    let mut ada = app.browser();
    let request = app.begin(&mut ada, "/");
    let pages = [
        app.finish(&mut ada, &request, app.answer(&request).unsigned()),
        ada.open(&app.url("/_samlgate/nothing")),
        ada.open(&app.url("/_samlgate/logout")),
    ];
    for page in pages {
        let policy = page.header("content-security-policy").unwrap_or_else(|| panic!("{}: no policy", page.url)).to_owned();
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{}: {policy}", page.url);
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"), "{}", page.url);
        assert!(page.header("cache-control").is_some_and(|value| value.contains("no-store")), "{}", page.url);
    }
}
