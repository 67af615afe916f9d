//! Our logout messages, as an identity provider with other engines reads and verifies them.

use samael::crypto::UrlVerifier;
use samlgate::clock::Timestamp;
use samlgate::saml::logout::{AnswerParts, AnswerStatus, LogoutParts, answer, answer_soap, start};
use samlgate::saml::{
    Binding, Endpoint, IdentityProvider, NameId, NameIdFormat, Outgoing, RequestBinding, RequestError, ServiceProvider, SpKey,
    read_idp,
};

use crate::support::fake_idp::{FakeIdp, OTHER, ParsedLogout, SLO, parse_logout, parse_logout_soap};

const SP_RSA: (&str, &str) = (include_str!("../fixtures/sp.key"), include_str!("../fixtures/sp.crt"));
const SP_P384: (&str, &str) = (include_str!("../fixtures/sp-p384.key"), include_str!("../fixtures/sp-p384.crt"));

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

fn now() -> Timestamp {
    at("2026-03-01T12:00:30Z")
}

fn known_idp() -> IdentityProvider {
    let metadata = FakeIdp::new("https://idp.example/metadata")
        .metadata_with_logout("https://idp.example/sso", "https://idp.example/slo?x=1");
    IdentityProvider::new("test", read_idp(metadata.as_bytes(), None, now()).unwrap())
}

fn sp(keys: &[(&str, &str)]) -> ServiceProvider {
    ServiceProvider {
        entity_id: "https://app.example/meta?a=1&b=\"<2>\"".to_owned(),
        acs_urls: vec!["https://app.example/acs".to_owned()],
        keys: keys.iter().map(|(key, certificate)| SpKey::from_pem(key.as_bytes(), certificate.as_bytes()).unwrap()).collect(),
        sign_requests: false,
        name_id_format: NameIdFormat::Email,
        slo_url: Some(SLO.to_owned()),
        takes_artifacts: false,
    }
}

/// What the identity provider gets: the URL, or the body of the form.
fn sent(outgoing: Outgoing, to: &str) -> String {
    match outgoing {
        Outgoing::Redirect(url) => {
            assert!(url.starts_with(to), "{url}");
            url
        }
        Outgoing::Post(form) => {
            assert_eq!(form.action, to);
            let encode = |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
            form.fields.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect::<Vec<_>>().join("&")
        }
    }
}

fn asserted() -> NameId {
    NameId {
        value: "a<l>i&ce \"".to_owned(),
        format: Some("urn:persistent".to_owned()),
        name_qualifier: Some("https://idp.example/?a&b".to_owned()),
        sp_name_qualifier: Some("sp \"1\"".to_owned()),
    }
}

fn logout_parts<'a>(name_id: &'a NameId, relay_state: Option<&'a str>) -> LogoutParts<'a> {
    LogoutParts {
        id: "_lr1",
        now: now(),
        not_on_or_after: at("2026-03-01T12:05:30Z"),
        relay_state,
        name_id,
        session_index: Some("s<1>"),
    }
}

#[test]
fn our_request_names_the_user_as_asserted() {
    let name_id = asserted();
    for key in [SP_RSA, SP_P384] {
        for binding in [RequestBinding::Auto, RequestBinding::Post] {
            let idp = IdentityProvider { request_binding: binding, ..known_idp() };
            let outgoing = start(&idp, &sp(&[key]), logout_parts(&name_id, Some("r&s=t +%"))).unwrap().unwrap();
            assert_eq!(matches!(outgoing, Outgoing::Post(_)), binding == RequestBinding::Post);
            let outgoing = sent(outgoing, "https://idp.example/slo?x=1");
            let expected = ParsedLogout {
                element: "LogoutRequest".to_owned(),
                id: "_lr1".to_owned(),
                issuer: "https://app.example/meta?a=1&b=\"<2>\"".to_owned(),
                destination: Some("https://idp.example/slo?x=1".to_owned()),
                not_on_or_after: Some("2026-03-01T12:05:30Z".to_owned()),
                name_id: Some("a<l>i&ce \"".to_owned()),
                name_id_attributes: [
                    ("Format", "urn:persistent"),
                    ("NameQualifier", "https://idp.example/?a&b"),
                    ("SPNameQualifier", "sp \"1\""),
                ]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec(),
                session_indexes: vec!["s<1>".to_owned()],
                relay_state: Some("r&s=t +%".to_owned()),
                ..ParsedLogout::default()
            };
            assert_eq!(parse_logout(&outgoing, Some(key.1)).unwrap(), expected, "{binding:?}");
            assert!(parse_logout(&outgoing, Some(OTHER.1)).is_err());
        }
    }
    // Nothing that wasn't asserted.
    let plain = NameId { value: "alice".to_owned(), format: None, name_qualifier: None, sp_name_qualifier: None };
    let parts = LogoutParts { session_index: None, ..logout_parts(&plain, None) };
    let outgoing = start(&known_idp(), &sp(&[SP_RSA]), parts).unwrap().unwrap();
    let parsed = parse_logout(&sent(outgoing, "https://idp.example/slo?x=1&"), Some(SP_RSA.1)).unwrap();
    assert_eq!((parsed.name_id_attributes.len(), parsed.session_indexes.len(), parsed.relay_state), (0, 0, None));
}

#[test]
fn openssl_agrees_on_the_signature_of_the_query() {
    let verifier = UrlVerifier::from_x509_cert_pem(SP_RSA.1).unwrap();
    let idp = IdentityProvider { slo: vec![Endpoint::new(Binding::Redirect, "https://idp.example/slo")], ..known_idp() };
    let name_id = asserted();
    let Some(Outgoing::Redirect(request)) = start(&idp, &sp(&[SP_RSA]), logout_parts(&name_id, Some("state"))).unwrap() else {
        panic!("Redirect is all there is")
    };
    let Some(Outgoing::Redirect(response)) =
        answer(&idp, &sp(&[SP_RSA]), Binding::Post, Some("state"), answer_parts(AnswerStatus::Success)).unwrap()
    else {
        panic!("Redirect is all there is")
    };
    let uri = |url: &str| format!("/slo?{}", url.split_once('?').unwrap().1);
    assert!(verifier.verify_percent_encoded_request_uri_string(&uri(&request)).unwrap());
    assert!(verifier.verify_percent_encoded_response_uri_string(&uri(&response)).unwrap());
    assert!(!verifier.verify_percent_encoded_response_uri_string(&uri(&response).replace("=state", "=stale")).unwrap());
}

fn answer_parts(status: AnswerStatus) -> AnswerParts<'static> {
    AnswerParts { id: "_a1", now: now(), in_response_to: "_l<1>", status }
}

#[test]
fn our_answer_goes_back_the_way_the_request_came() {
    let endpoint =
        Endpoint { response_location: Some("https://idp.example/slo-answers".to_owned()), ..Endpoint::new(Binding::Post, "x") };
    let idp =
        IdentityProvider { slo: vec![Endpoint::new(Binding::Redirect, "https://idp.example/slo"), endpoint], ..known_idp() };
    let long = "https://idp.example/state?".repeat(10);
    for (came_by, to) in [(Binding::Redirect, "https://idp.example/slo"), (Binding::Post, "https://idp.example/slo-answers")] {
        for (status, codes) in [
            (AnswerStatus::Success, "Success"),
            (AnswerStatus::PartialLogout, "Success/PartialLogout"),
            (AnswerStatus::Requester, "Requester"),
            (AnswerStatus::Responder, "Responder"),
        ] {
            let outgoing = answer(&idp, &sp(&[SP_RSA]), came_by, Some(&long), answer_parts(status)).unwrap().unwrap();
            assert_eq!(matches!(outgoing, Outgoing::Post(_)), came_by == Binding::Post);
            let expected = ParsedLogout {
                element: "LogoutResponse".to_owned(),
                id: "_a1".to_owned(),
                issuer: "https://app.example/meta?a=1&b=\"<2>\"".to_owned(),
                destination: Some(to.to_owned()),
                in_response_to: Some("_l<1>".to_owned()),
                status: codes.to_owned(),
                relay_state: Some(long.clone()),
                ..ParsedLogout::default()
            };
            assert_eq!(parse_logout(&sent(outgoing, to), Some(SP_RSA.1)).unwrap(), expected);
            let soap = answer_soap(&sp(&[SP_P384]), answer_parts(status)).unwrap();
            let expected = ParsedLogout { destination: None, relay_state: None, ..expected };
            assert_eq!(parse_logout_soap(&soap, SP_P384.1).unwrap(), expected);
            assert!(parse_logout_soap(&soap.replace("_l&lt;1&gt;", "_l2"), SP_P384.1).is_err());
        }
    }
}

#[test]
fn what_cannot_be_sent_is_an_error_and_no_service_is_none() {
    let name_id = asserted();
    let long = "x".repeat(81);
    let parts = |relay_state| logout_parts(&name_id, relay_state);
    let (with, without) = (sp(&[SP_RSA]), sp(&[]));
    assert_eq!(start(&known_idp(), &with, parts(Some(&long))), Err(RequestError::RelayStateTooLong(81)));
    // Logout messages are signed even where login requests aren't.
    assert!(!without.sign_requests);
    assert_eq!(start(&known_idp(), &without, parts(None)), Err(RequestError::NoKey));
    let answered = answer(&known_idp(), &without, Binding::Post, None, answer_parts(AnswerStatus::Success));
    assert_eq!(answered, Err(RequestError::NoKey));
    assert_eq!(answer_soap(&without, answer_parts(AnswerStatus::Success)), Err(RequestError::NoKey));
    let deaf = IdentityProvider { slo: Vec::new(), ..known_idp() };
    assert_eq!(start(&deaf, &with, parts(None)), Ok(None));
    assert_eq!(answer(&deaf, &with, Binding::Redirect, None, answer_parts(AnswerStatus::Success)), Ok(None));
}
