//! `samlgate explain` with logout messages: why the single logout service refuses one.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::commands::{Folder, err, out, run};
use super::support::app::{IDP, SSO};
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
        format!("{SLO}?{query}#top"),
        // As proxies log it.
        format!("/_samlgate/slo?{query} HTTP/1.1"),
    ] {
        let (status, text, json) = explain(&folder, &message, &[]);
        assert_eq!((status, &json["accepted"]), (Some(0), &Value::Bool(true)), "{message}: {text}");
        assert_eq!(json["idp"], "corp");
        assert!(text.contains("LogoutRequest") && text.contains("alice") && text.contains("s1"), "{text}");
        let logout = &json["logout"];
        let means = (&logout["message"], &logout["name_id"], &logout["session_indexes"]);
        assert_eq!(means, (&"LogoutRequest".into(), &"alice".into(), &serde_json::json!(["s1"])), "{json}");
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
        answer.redirect(None),
    ] {
        let (status, text, json) = explain(&folder, &message, &["--request-id", "_42"]);
        assert_eq!((status, &json["reason"]), (Some(1), &"signature_missing".into()), "{message}: {text}");
        assert!(text.contains("Keycloak: \"Sign documents\""), "{text}");
        assert!(json["logout"]["binding"].is_string() && json["logout"]["name_id"].is_null(), "{json}");
        // Read out of an address by hand, a message has lost its signature.
        assert_eq!(text.contains("give the whole address"), json["logout"]["binding"] == "post", "{text}");
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
        (idp.logout_request().issuer(Some("https://nobody.example")).redirect(None), "issuer_mismatch"),
        (idp.logout_request().post().replace("<saml:NameID>", r#"<samlp:LogoutRequest ID="_n"/><saml:NameID>"#), "forbidden_xml"),
        (idp.logout_request().post().replace(" ID=", " Id="), "duplicate_id"),
        (format!("{SLO}?{}&SAMLRequest=x", idp.logout_request().redirect(None)), "malformed_query"),
        (form("SAMLRequest", "<AuthnRequest/>"), "wrong_document"),
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

#[test]
fn idps_that_share_a_key_are_told_apart_by_their_names() {
    let folder = Folder::new();
    folder.write("another.xml", &FakeIdp::new("https://another.example").metadata(SSO));
    let corp = "[[idp]]\nid = \"corp\"";
    let two = folder.changed("two.toml", corp, &format!("[[idp]]\nid = \"another\"\nmetadata_file = \"another.xml\"\n{corp}"));
    fs::rename(two, folder.path("samlgate.toml")).expect("it can be replaced");
    let request = FakeIdp::new(IDP).logout_request();
    let (status, text, json) = explain(&folder, &request.redirect(None), &[]);
    assert_eq!((status, &json["idp"]), (Some(0), &"corp".into()), "{text}");
    // Nobody is named as the sender of what nobody has signed.
    let (_, text, json) = explain(&folder, &request.unsigned().redirect(None), &[]);
    assert_eq!((&json["reason"], &json["idp"]), (&"signature_missing".into(), &Value::Null), "{text}");
}
