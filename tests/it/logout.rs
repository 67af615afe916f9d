//! Logout messages of an identity provider that signs with other engines than those under test.

use std::time::Duration;

use samlgate::clock::Timestamp;
use samlgate::saml::logout::{
    LogoutError, LogoutExpectations, LogoutMessage, LogoutRequest, MessageKind, Received, peek, peek_redirect, peek_soap,
    verify_post, verify_redirect, verify_soap,
};
use samlgate::saml::{Compat, SecondOpinion, TrustAnchors, TrustedCertificate};

use crate::support::fake_idp::{Algorithm, EC, EMAIL, FakeIdp, LogoutBuilder, OTHER, RSA, SLO};

const IDP: &str = "https://idp.example/metadata";

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

fn now() -> Timestamp {
    at("2026-03-01T12:00:30Z")
}

fn idp() -> FakeIdp {
    FakeIdp::new(IDP)
}

/// The three bindings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Redirect,
    Post,
    Soap,
}

const ALL: [By; 3] = [By::Redirect, By::Post, By::Soap];

fn slo_urls() -> [String; 3] {
    [SLO.to_owned(), "https://app.example/old-slo".to_owned(), format!("{SLO}/soap")]
}

fn anchors(trusted: &FakeIdp) -> TrustAnchors {
    TrustAnchors::new(vec![TrustedCertificate::from_der(&trusted.certificate_der()).unwrap()]).unwrap()
}

fn expectations<'a>(slo_urls: &'a [String], in_response_to: Option<&'a str>) -> LogoutExpectations<'a> {
    LogoutExpectations {
        idp_entity_id: IDP,
        sp_entity_id: "https://app.example/_samlgate/metadata",
        decryption_keys: &[],
        slo_urls,
        in_response_to,
        compat: Compat::default(),
        clock_skew: Duration::from_secs(60),
        max_age: Duration::from_secs(300),
    }
}

fn reason(result: Result<Received, LogoutError>) -> &'static str {
    result.map_or_else(|error| error.code(), |_| "accepted")
}

fn verified_query(query: &str) -> &'static str {
    reason(verify_redirect(query, &anchors(&idp()), &expectations(&slo_urls(), None), now()))
}

fn verified_post(xml: &str) -> &'static str {
    let slo_urls = slo_urls();
    reason(verify_post(xml.as_bytes(), MessageKind::Request, &anchors(&idp()), &expectations(&slo_urls, None), now()))
}

fn verified_soap(xml: &str) -> &'static str {
    let slo_urls = slo_urls();
    let compat = Compat { empty_reference: true, ..Compat::default() };
    let expectations = LogoutExpectations { compat, ..expectations(&slo_urls, None) };
    reason(verify_soap(xml.as_bytes(), &anchors(&idp()), &expectations, now()))
}

/// Sends a message and verifies it with one trusted certificate.
fn send_to(trusted: &FakeIdp, by: By, message: &LogoutBuilder, in_response_to: Option<&str>) -> Result<Received, LogoutError> {
    let (anchors, slo_urls) = (anchors(trusted), slo_urls());
    let expectations = expectations(&slo_urls, in_response_to);
    let kind = if in_response_to.is_some() { MessageKind::Response } else { MessageKind::Request };
    match by {
        By::Redirect => verify_redirect(&message.redirect(Some("r s+€")), &anchors, &expectations, now()),
        By::Post => verify_post(message.post().as_bytes(), kind, &anchors, &expectations, now()),
        By::Soap => verify_soap(message.soap().as_bytes(), &anchors, &expectations, now()),
    }
}

fn send(by: By, message: &LogoutBuilder) -> Result<LogoutRequest, LogoutError> {
    match send_to(&idp(), by, message, None)?.into_message() {
        LogoutMessage::Request(request) => Ok(request),
        LogoutMessage::Response(_) => panic!("a response"),
    }
}

fn code(by: By, message: &LogoutBuilder) -> &'static str {
    send(by, message).map_or_else(|error| error.code(), |_| "accepted")
}

#[test]
fn a_signed_request_is_read_whole_on_every_binding() {
    for (key, algorithm) in
        [(RSA, Algorithm::RsaSha256), (RSA, Algorithm::RsaSha384), (RSA, Algorithm::RsaSha512), (EC, Algorithm::EcdsaSha256)]
    {
        for by in ALL {
            let idp = FakeIdp::with_key(IDP, key, algorithm);
            let message = idp
                .logout_request()
                .id("_l1")
                .subject("al<ice> & \"co\"", EMAIL)
                .session_indexes(&["s1", "s&2"])
                .not_on_or_after(at("2026-03-01T12:02:00Z"))
                .replace(" Version", " Reason=\"urn:oasis:names:tc:SAML:2.0:logout:admin\" Version");
            let received = send_to(&idp, by, &message, None).unwrap_or_else(|error| panic!("{by:?} {algorithm:?}: {error}"));
            assert_eq!(received.relay_state(), (by == By::Redirect).then_some("r s+€"));
            let built = if cfg!(feature = "second-opinion") { SecondOpinion::Agreed } else { SecondOpinion::NotBuilt };
            assert_eq!(received.second_opinion(), (by != By::Redirect).then_some(built));
            let LogoutMessage::Request(request) = received.into_message() else { panic!("{by:?}") };
            assert_eq!((request.id(), request.issuer(), request.destination()), ("_l1", IDP, Some(SLO)));
            assert_eq!(
                (request.name_id().value.as_str(), request.name_id().format.as_deref()),
                ("al<ice> & \"co\"", Some(EMAIL))
            );
            assert_eq!(request.session_indexes(), ["s1", "s&2"]);
            assert_eq!(request.reason(), Some("urn:oasis:names:tc:SAML:2.0:logout:admin"));
            assert_eq!(request.issue_instant(), at("2026-03-01T12:00:00Z"));
            assert_eq!(request.not_on_or_after(), Some(at("2026-03-01T12:02:00Z")));
            // NotOnOrAfter ends before max_age; twice the skew is added.
            assert_eq!(request.claim_until(), at("2026-03-01T12:04:00Z"));
        }
    }
    // Without NotOnOrAfter, as Keycloak sends it, max_age ends it.
    assert_eq!(send(By::Post, &idp().logout_request()).unwrap().claim_until(), at("2026-03-01T12:07:00Z"));
}

#[test]
fn an_unsigned_message_is_refused_and_says_which_switch_to_turn() {
    for by in ALL {
        let error = send(by, &idp().logout_request().unsigned()).unwrap_err();
        assert_eq!(error, LogoutError::Unsigned(MessageKind::Request), "{by:?}");
        assert!(error.explained().contains("Keycloak: \"Sign documents\""), "{}", error.explained());
    }
    for by in [By::Redirect, By::Post] {
        let message = idp().logout_response("_q", "Success").unsigned();
        let error = send_to(&idp(), by, &message, Some("_q")).unwrap_err();
        assert_eq!(error, LogoutError::Unsigned(MessageKind::Response));
    }
}

#[test]
fn another_key_is_refused() {
    let other = FakeIdp::with_key(IDP, OTHER, Algorithm::RsaSha256);
    for by in ALL {
        assert_eq!(code(by, &other.logout_request()), "signature_invalid", "{by:?}");
        let ec = FakeIdp::with_key(IDP, EC, Algorithm::EcdsaSha256);
        assert_eq!(code(by, &ec.logout_request()), "signature_invalid", "{by:?}");
    }
    // Of a query nothing is inflated, or even decoded, before the signature is good.
    for message in ["bm90IGRlZmxhdGU%3D", "%00"] {
        let query = format!("SAMLRequest={message}");
        assert_eq!(verified_query(&other.sign_query(&query)), "signature_invalid");
    }
    assert_eq!(verified_query(&idp().sign_query("SAMLRequest=bm90IGRlZmxhdGU%3D")), "not_deflated");
    assert_eq!(verified_query(&idp().sign_query("SAMLRequest=%00")), "not_base64");
}

#[test]
fn what_a_request_must_say() {
    let good = || idp().logout_request();
    let encrypted = "<saml:EncryptedID><x/></saml:EncryptedID>";
    for by in ALL {
        let soap = by == By::Soap;
        for (expected, message) in [
            ("accepted", good()),
            ("accepted", good().destination(Some("https://app.example/old-slo"))),
            ("accepted", good().session_indexes(&[])),
            (if soap { "accepted" } else { "destination_mismatch" }, good().destination(None)),
            ("destination_mismatch", good().destination(Some("https://app.example/_samlgate/slo/"))),
            ("destination_mismatch", good().destination(Some("https://other.example/_samlgate/slo"))),
            ("issuer_mismatch", good().issuer(None)),
            ("issuer_mismatch", good().issuer(Some("https://idp.example/other"))),
            ("wrong_document", good().replace("Version=\"2.0\"", "Version=\"1.1\"")),
            ("wrong_document", good().replace(" IssueInstant=\"2026-03-01T12:00:00Z\"", "")),
            ("too_old", good().at(at("2026-03-01T11:54:30Z"))),
            ("accepted", good().at(at("2026-03-01T11:54:31Z"))),
            ("not_yet_valid", good().at(at("2026-03-01T12:01:31Z"))),
            ("expired", good().not_on_or_after(at("2026-03-01T11:59:30Z"))),
            ("accepted", good().not_on_or_after(at("2026-03-01T11:59:31Z"))),
            ("wrong_document", good().replace(" Version", " NotOnOrAfter=\"soon\" Version")),
            ("name_id_missing", good().name_id_xml("")),
            ("name_id_missing", good().name_id_xml("<saml:NameID> </saml:NameID>")),
            ("name_id_missing", good().name_id_xml("<saml:NameID>a</saml:NameID><saml:NameID>b</saml:NameID>")),
            ("name_id_missing", good().name_id_xml("<saml:NameID>a<x/>b</saml:NameID>")),
            ("name_id_missing", good().name_id_xml("<saml:BaseID/>")),
            ("name_id_missing", good().name_id_xml("<NameID>alice</NameID>")),
            ("decryption_failed", good().name_id_xml(encrypted)),
            ("name_id_missing", good().name_id_xml(&format!("<saml:NameID>alice</saml:NameID>{encrypted}"))),
            ("wrong_document", good().session_indexes(&["s1", " "])),
            ("wrong_document", good().session_indexes(&["a\nb"])),
            ("forbidden_xml", good().name_id_xml("<saml:NameID>alice<!-- -->.evil</saml:NameID>")),
        ] {
            assert_eq!(code(by, &message), expected, "{by:?}: {}", message.xml());
        }
    }
}

#[test]
fn a_response_answers_our_request_and_no_other() {
    for by in [By::Redirect, By::Post] {
        let verify = |message: &LogoutBuilder, ours| send_to(&idp(), by, message, ours).map(Received::into_message);
        let Ok(LogoutMessage::Response(response)) =
            verify(&idp().logout_response("_q", "Success/PartialLogout").id("_r"), Some("_q"))
        else {
            panic!("{by:?}")
        };
        assert_eq!((response.id(), response.in_response_to(), response.issuer()), ("_r", "_q", IDP));
        assert_eq!(response.status().top, "urn:oasis:names:tc:SAML:2.0:status:Success");
        assert_eq!(response.status().second.as_deref(), Some("urn:oasis:names:tc:SAML:2.0:status:PartialLogout"));
        assert!(!response.status().is_complete());
        assert_eq!(response.claim_until(), at("2026-03-01T12:07:00Z"));
        let Ok(LogoutMessage::Response(response)) = verify(&idp().logout_response("_q", "Success"), Some("_q")) else {
            panic!("{by:?}")
        };
        assert!(response.status().is_complete());
        let error = verify(&idp().logout_response("_other", "Success"), Some("_q")).unwrap_err();
        assert_eq!(error, LogoutError::InResponseToMismatch);
        let unasked = idp().logout_response("_q", "Success").replace(" InResponseTo=\"_q\"", "");
        assert_eq!(verify(&unasked, Some("_q")).unwrap_err().code(), "in_response_to_mismatch");
    }
    // Nothing was asked.
    let error = send_to(&idp(), By::Redirect, &idp().logout_response("_q", "Success"), None).unwrap_err();
    assert_eq!(error, LogoutError::InResponseToMismatch);
    // The form field says which message it is.
    let error = send_to(&idp(), By::Post, &idp().logout_response("_q", "Success"), None).unwrap_err();
    assert_eq!(error.code(), "wrong_document");
    // Only requests come by SOAP.
    let error = send_to(&idp(), By::Soap, &idp().logout_response("_q", "Success"), Some("_q")).unwrap_err();
    assert_eq!(error.code(), "wrong_document");
}

#[test]
fn an_envelope_holds_one_signed_request_and_nothing_that_counts_beside_it() {
    let good = idp().logout_request().id("_l1").soap();
    let bare = idp().logout_request().post();
    let evil = idp().logout_request().unsigned().subject("mallory", EMAIL).xml();
    assert_eq!(verified_soap(&good), "accepted");
    for (from, to, expected) in [
        // Unsigned additions around it may refuse, and change nothing that is read.
        ("<SOAP-ENV:Header/>", "", "accepted"),
        ("<SOAP-ENV:Header/>", "<SOAP-ENV:Header><x xmlns=\"urn:x\"/></SOAP-ENV:Header>", "accepted"),
        (
            "<SOAP-ENV:Header/>",
            "<SOAP-ENV:Header><x xmlns=\"urn:x\" SOAP-ENV:mustUnderstand=\"1\"/></SOAP-ENV:Header>",
            "wrong_document",
        ),
        ("<SOAP-ENV:Header/>", "<SOAP-ENV:Header/><SOAP-ENV:Header/>", "wrong_document"),
        ("<SOAP-ENV:Header/>", "<SOAP-ENV:Body/>", "wrong_document"),
        ("</SOAP-ENV:Body>", "</SOAP-ENV:Body><SOAP-ENV:Body/>", "wrong_document"),
        ("</SOAP-ENV:Body>", "<x xmlns=\"urn:x\"/></SOAP-ENV:Body>", "wrong_document"),
        ("schemas.xmlsoap.org/soap/envelope/", "www.w3.org/2003/05/soap-envelope", "wrong_document"),
        (">alice<", ">mallory<", "signature_invalid"),
    ] {
        assert!(good.contains(from), "{from}");
        assert_eq!(verified_soap(&good.replacen(from, to, 1)), expected, "{from} {to}");
    }
    // The genuine request moved elsewhere, with another one in its place.
    let (head, rest) = good.split_once("<SOAP-ENV:Body>").unwrap();
    let (genuine, tail) = rest.split_once("</SOAP-ENV:Body>").unwrap();
    for wrapped in [
        good.replace(genuine, &format!("{evil}{genuine}")),
        good.replace(genuine, &format!("{genuine}{evil}")),
        good.replace(
            genuine,
            &evil.replace("<saml:NameID", &format!("<samlp:Extensions>{genuine}</samlp:Extensions><saml:NameID")),
        ),
        format!(
            "{}<SOAP-ENV:Body>{evil}</SOAP-ENV:Body>{tail}",
            head.replace("Header/>", &format!("Header>{genuine}</SOAP-ENV:Header>"))
        ),
        good.replace(genuine, &format!("<x xmlns=\"urn:x\">{genuine}</x>")),
        good.replace("#_l1", ""),
        bare,
    ] {
        let got = verified_soap(&wrapped);
        assert!(["wrong_document", "forbidden_xml", "signature_not_covering"].contains(&got), "{got}: {wrapped}");
    }
}

#[test]
fn a_posted_request_is_not_wrapped() {
    let genuine = idp().logout_request().id("_l1").post();
    let evil = idp().logout_request().unsigned().subject("mallory", EMAIL).xml();
    let signature = crate::support::fake_idp::element(&genuine, "ds:Signature");
    let unsigned = crate::support::fake_idp::without_element(&genuine, "ds:Signature");
    assert_eq!(verified_post(&genuine), "accepted");
    let with = |inner: &str| evil.replace("<saml:NameID", &format!("{inner}<saml:NameID"));
    for (wrapped, expected) in [
        (genuine.replace(">alice<", ">mallory<"), "signature_invalid"),
        (with(&format!("<samlp:Extensions>{genuine}</samlp:Extensions>")), "forbidden_xml"),
        (with(&format!("{signature}<samlp:Extensions>{unsigned}</samlp:Extensions>")), "forbidden_xml"),
        (with(&signature), "signature_not_covering"),
        (
            with(&signature.replace("</ds:Signature>", &format!("<ds:Object>{unsigned}</ds:Object></ds:Signature>"))),
            "forbidden_xml",
        ),
        (genuine.replace(&signature, &format!("{signature}{signature}")), "forbidden_xml"),
    ] {
        assert_eq!(verified_post(&wrapped), expected, "{wrapped}");
    }
    // A query is signed as a query: an XML signature in it has no place.
    use base64::Engine as _;
    use std::io::Write as _;
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(genuine.as_bytes()).unwrap();
    let message = base64::engine::general_purpose::STANDARD.encode(encoder.finish().unwrap()).replace('+', "%2B");
    let both = idp().sign_query(&format!("SAMLRequest={message}"));
    assert_eq!(verified_query(&both), "forbidden_xml");
}

#[test]
fn a_first_look_tells_whose_keys_to_take() {
    let request = idp().logout_request();
    let envelope = peek(request.unsigned().post().as_bytes(), MessageKind::Request).unwrap();
    assert_eq!((envelope.issuer.as_deref(), envelope.kind), (Some(IDP), MessageKind::Request));
    assert_eq!(peek_soap(idp().logout_request().soap().as_bytes()).unwrap().issuer.as_deref(), Some(IDP));
    let response = idp().logout_response("_q", "Success");
    assert_eq!(peek(response.post().as_bytes(), MessageKind::Response).unwrap().in_response_to.as_deref(), Some("_q"));
    let envelope = peek_redirect(&response.redirect(Some("token"))).unwrap();
    assert_eq!((envelope.kind, envelope.relay_state.as_deref()), (MessageKind::Response, Some("token")));
    assert_eq!((envelope.issuer, envelope.in_response_to), (None, None));
    assert_eq!(peek(b"<x/>", MessageKind::Request).unwrap_err().code(), "wrong_document");
}
