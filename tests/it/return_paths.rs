//! Where users are sent after a login, a magic URL or a logout: never off the site.

use http::{Method, StatusCode};

use crate::support::site::{Jar, Plan, request_id};

const ACS: &str = "/_samlgate/acs";

#[tokio::test]
async fn no_return_target_leaves_the_site() {
    let Ok(text) = std::fs::read_to_string("../shared/vectors/http/return-targets.json") else {
        eprintln!("skipped: ../shared/vectors is not there");
        return;
    };
    let file: serde_json::Value = serde_json::from_str(&text).unwrap();
    let list = |name: &str| -> Vec<String> {
        file[name].as_array().unwrap().iter().map(|target| target.as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(file["origin"], "https://app.example.com");
    let site = Plan::at("https://app.example.com").with_idp(|idp| idp.idp_initiated = samlgate::saml::IdpInitiated::Accept);
    let site = site.build();
    let all = ["safe", "unsafe", "either"].map(|kind| (kind, list(kind)));
    let reasons: Vec<String> = file["why"].as_object().unwrap().keys().cloned().collect();
    assert!(all.iter().map(|(_, targets)| targets.len()).sum::<usize>() > 40);
    for (kind, targets) in all.into_iter().chain([("either", reasons)]) {
        for target in targets {
            let encoded = percent_encoding::utf8_percent_encode(&target, percent_encoding::NON_ALPHANUMERIC).to_string();
            let mut jar = Jar::default();
            let away = site.open(&mut jar, &format!("/_samlgate/login?return_to={encoded}")).await;
            let response = site.response().in_response_to(&request_id(&away)).base64();
            let login = site.post(&mut jar, ACS, &response, None).await;
            let magic = site.post(&mut Jar::default(), ACS, &site.response().base64(), Some(&target)).await;
            let cookie = format!("__Host-samlgate={}", jar.session().unwrap());
            let lines = [("sec-fetch-site", "same-origin"), ("cookie", &*cookie)];
            let logout = site.send(Method::POST, &format!("/_samlgate/logout?return_to={encoded}"), &lines, "").await;
            for got in [login, magic, logout] {
                let location = got.location();
                assert_eq!(got.status, StatusCode::SEE_OTHER, "{target:?}");
                match kind {
                    "safe" => assert_eq!(location, target),
                    "unsafe" => assert_eq!(location, "/", "{target:?}"),
                    _ => {
                        let own = location.starts_with('/') && !location.starts_with("//");
                        assert!(own && !location.contains(['\\', '\t', '\n']), "{target:?} {location}");
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn our_own_endpoints_are_no_place_to_return_to() {
    let site = Plan::new().build();
    for target in ["/_samlgate/logout", "/_samlgate/login?return_to=/", "/_samlgate", "https://app.example/_samlgate/acs"] {
        let mut jar = Jar::default();
        let encoded = percent_encoding::utf8_percent_encode(target, percent_encoding::NON_ALPHANUMERIC).to_string();
        let away = site.open(&mut jar, &format!("/_samlgate/login?return_to={encoded}")).await;
        let response = site.response().in_response_to(&request_id(&away)).base64();
        assert_eq!(site.post(&mut jar, ACS, &response, None).await.location(), "/", "{target}");
    }
}
