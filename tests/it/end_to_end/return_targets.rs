//! No redirect leaves the site: every case of `../shared/vectors/http/return-targets.json`, by every door.

use std::path::Path;

use serde::Deserialize;

use crate::support::app::{Setup, TestApp, minutes};
use crate::support::browser::encode;

#[derive(Deserialize)]
struct Cases {
    origin: String,
    safe: Vec<String>,
    #[serde(rename = "unsafe")]
    unsafe_: Vec<String>,
    either: Vec<String>,
}

fn cases() -> Option<Cases> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors/http/return-targets.json");
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    };
    Some(serde_json::from_str(&text).expect("return-targets.json"))
}

fn app(cases: &Cases) -> TestApp {
    let app = Setup::new().public_url(&cases.origin).idp("idp_initiated = \"accept\"").start();
    // Right after its start samlgate can't know what was used before.
    app.clock.advance(minutes(2));
    app
}

/// Where `/login?return_to=` leads after the login.
fn by_login(app: &TestApp, target: &str) -> String {
    let mut ada = app.browser();
    let page = ada.visit(&app.url(&format!("/_samlgate/login?{}", encode(&[("return_to", target)]))));
    let request = app.asked(&page);
    app.finish(&mut ada, &request, app.answer(&request)).redirect()
}

/// Where a magic URL's RelayState leads.
fn by_relay_state(app: &TestApp, target: &str) -> String {
    app.deliver(&mut app.browser(), &app.unsolicited().base64(), Some(target)).redirect()
}

/// What a browser makes of a Location that starts with our origin must stay there.
fn stays(origin: &str, location: &str) -> bool {
    let rest = location.strip_prefix(origin).unwrap_or_default();
    let plain = location.bytes().all(|octet| octet.is_ascii_graphic() && octet != b'\\');
    rest.starts_with('/') && !rest.starts_with("//") && plain
}

#[test]
fn a_safe_target_is_kept_and_an_unsafe_one_leads_to_the_start_page() {
    let Some(cases) = cases() else { return };
    let app = app(&cases);
    let start = app.url("/");
    for (door, through) in [("login", by_login as fn(&TestApp, &str) -> String), ("RelayState", by_relay_state)] {
        for target in &cases.safe {
            assert_eq!(through(&app, target), app.url(target), "{door}: {target:?}");
        }
        for target in &cases.unsafe_ {
            assert_eq!(through(&app, target), start, "{door}: {target:?}");
        }
        for target in &cases.either {
            let location = through(&app, target);
            assert!(stays(&cases.origin, &location), "{door}: {target:?} leads to {location:?}");
        }
    }
}

#[test]
fn logging_out_stays_on_the_site_too() {
    let Some(cases) = cases() else { return };
    let app = app(&cases);
    for target in cases.unsafe_.iter().chain(&cases.either) {
        let mut ada = app.browser();
        app.login(&mut ada, "/");
        let logout = app.url(&format!("/_samlgate/logout?{}", encode(&[("return_to", target)])));
        let page = ada.post(&app.url("/"), &logout, &[("return_to", target)]);
        if let Some(location) = page.location() {
            assert!(stays(&cases.origin, &location), "{target:?} leads to {location:?}");
        }
    }
}
