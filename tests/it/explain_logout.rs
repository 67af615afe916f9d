//! `samlgate explain` with logout messages: why the single logout service refuses one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::commands::{Folder, err, out, run};
use super::support::app::IDP;
use super::support::fake_idp::{Algorithm, FakeIdp, OTHER, SLO};

const AT: &str = "2026-03-01T12:00:30Z";

/// Exit code, text and JSON.
fn explain(folder: &Folder, message: &str, more: &[&str]) -> (Option<i32>, String, Value) {
    folder.write("message", message);
    let (config, file) = (folder.path("samlgate.toml"), folder.path("message"));
    let arguments = [&["explain", "--config", &config, "--at", AT], more, &[&file]].concat();
    let text = run(&arguments);
    let json = run(&[&arguments[..], &["--json"]].concat());
    assert_eq!(text.status.code(), json.status.code());
    let json = serde_json::from_slice(&json.stdout).unwrap_or_else(|error| panic!("{error}: {}", err(&json)));
    (text.status.code(), out(&text), json)
}

/// The body that a browser posts.
fn form(field: &str, xml: &str) -> String {
    format!("{field}={}&RelayState=x", utf8_percent_encode(&STANDARD.encode(xml), NON_ALPHANUMERIC))
}

#[test]
fn a_good_message_in_each_form_that_an_operator_has() {
    let folder = Folder::new();
    let request = FakeIdp::new(IDP).logout_request();
    let query = request.redirect(Some("x"));
    for message in [
        request.post(),
        STANDARD.encode(request.post()),
        form("SAMLRequest", &request.post()),
        request.soap(),
        query.clone(),
        format!("{SLO}?{query}"),
    ] {
        let (status, text, json) = explain(&folder, &message, &[]);
        assert_eq!((status, &json["accepted"]), (Some(0), &Value::Bool(true)), "{message}: {text}");
        assert_eq!(json["idp"], "corp");
        assert!(text.contains("LogoutRequest") && text.contains("alice") && text.contains("s1"), "{text}");
    }
}

#[test]
fn an_unsigned_one_names_the_switch_in_every_form() {
    let folder = Folder::new();
    let request = FakeIdp::new(IDP).logout_request().unsigned();
    let answer = FakeIdp::new(IDP).logout_response("_42", "Success").unsigned();
    for message in [
        request.xml(),
        form("SAMLRequest", &request.post()),
        request.soap(),
        request.redirect(None),
        form("SAMLResponse", &answer.post()),
        format!("{SLO}?{}", answer.redirect(None)),
    ] {
        let (status, text, json) = explain(&folder, &message, &["--request-id", "_42"]);
        assert_eq!((status, &json["reason"]), (Some(1), &"signature_missing".into()), "{message}: {text}");
        assert!(text.contains("Keycloak: \"Sign documents\""), "{text}");
    }
}

#[test]
fn what_else_is_wrong_has_the_reason_of_the_service() {
    let folder = Folder::new();
    let idp = FakeIdp::new(IDP);
    let elsewhere = "https://elsewhere.example/slo";
    let stranger = FakeIdp::with_key(IDP, OTHER, Algorithm::RsaSha256);
    for (message, reason) in [
        (idp.logout_request().destination(Some(elsewhere)).post(), "destination_mismatch"),
        (idp.logout_request().destination(Some(elsewhere)).redirect(None), "destination_mismatch"),
        (stranger.logout_request().post(), "signature_invalid"),
        (stranger.logout_request().redirect(None), "signature_invalid"),
        (FakeIdp::new("https://nobody.example").logout_request().post(), "unknown_issuer"),
        (idp.logout_response("_42", "Success").post(), "in_response_to_mismatch"),
    ] {
        let (status, text, json) = explain(&folder, &message, &[]);
        assert_eq!((status, &json["reason"]), (Some(1), &reason.into()), "{text}");
    }
    let (status, text, _) = explain(&folder, &idp.logout_response("_42", "Success").post(), &["--request-id", "_42"]);
    assert!(status == Some(0) && text.contains("ended everything"), "{text}");
    let partial = idp.logout_response("_42", "Success/PartialLogout").post();
    let (status, text, _) = explain(&folder, &partial, &["--request-id", "_42"]);
    assert!(status == Some(0) && text.contains("not ended everything"), "{text}");
}
