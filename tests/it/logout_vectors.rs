//! Every logout message of `../shared/vectors/logout`, attacks and public samples, with its verdict.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;
use samlgate::clock::Timestamp;
use samlgate::saml::logout::{
    LogoutError, LogoutExpectations, LogoutMessage, MessageKind, Received, peek, peek_redirect, peek_soap, verify_post,
    verify_redirect, verify_soap,
};
use samlgate::saml::{Compat, NameId, TrustAnchors, TrustedCertificate};
use serde::Deserialize;

use crate::support::fake_idp::FakeIdp;

#[derive(Deserialize)]
struct Index {
    idp_entity_id: String,
    slo_url: String,
    idp_certs: Vec<PathBuf>,
    now: String,
    session: Session,
    cases: Vec<Case>,
    public_samples: Vec<Sample>,
}

#[derive(Deserialize)]
struct Session {
    nameid: String,
    session_index: String,
}

#[derive(Deserialize)]
struct Case {
    id: String,
    file: PathBuf,
    binding: String,
    expected: String,
    max_ms: Option<u64>,
    outstanding: Option<String>,
    why: String,
}

#[derive(Deserialize)]
struct Sample {
    file: PathBuf,
}

/// The reason of every case that isn't accepted, so that none is refused for the wrong one.
const REASONS: [(&str, &str); 21] = [
    ("redirect-no-signature", "signature_missing"),
    ("redirect-sigalg-mgf1", "algorithm_forbidden"),
    ("redirect-sigalg-hmac", "algorithm_forbidden"),
    ("redirect-relaystate-tampered", "signature_invalid"),
    ("redirect-dup-request-evil-first", "malformed_query"),
    ("redirect-dup-sigalg", "malformed_query"),
    ("redirect-response-in-request-signed", "signature_invalid"),
    ("redirect-semicolon", "signature_invalid"),
    ("redirect-deflate-bomb", "too_large"),
    ("redirect-not-deflated", "not_deflated"),
    ("redirect-sig-base64-junk", "accepted"),
    ("redirect-sem-destination-missing", "destination_mismatch"),
    ("redirect-sem-expired", "expired"),
    ("redirect-sem-nameid-missing", "name_id_missing"),
    ("redirect-sem-is-authnrequest", "wrong_document"),
    ("redirect-sem-other-session", "accepted"),
    ("redirect-sem-nameid-comment", "forbidden_xml"),
    ("redirect-response-unsigned", "signature_missing"),
    ("post-unsigned-request", "signature_missing"),
    ("post-xsw-signed-inside-extensions", "forbidden_xml"),
    ("post-dtd", "forbidden_xml"),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors")
}

fn index() -> Option<Index> {
    match std::fs::read(folder().join("logout/index.json")) {
        Ok(octets) => Some(serde_json::from_slice(&octets).unwrap()),
        Err(error) => {
            eprintln!("SKIPPED: no logout vectors at {} ({error})", folder().display());
            None
        }
    }
}

fn read(name: &Path) -> String {
    std::fs::read_to_string(folder().join(name)).unwrap_or_else(|error| panic!("{}: {error}", name.display()))
}

fn expectations<'a>(idp: &'a str, slo_urls: &'a [String]) -> LogoutExpectations<'a> {
    LogoutExpectations {
        idp_entity_id: idp,
        sp_entity_id: "https://app.example/_samlgate/metadata",
        decryption_keys: &[],
        slo_urls,
        in_response_to: None,
        compat: Compat::default(),
        clock_skew: Duration::from_secs(60),
        max_age: Duration::from_secs(300),
    }
}

fn code(result: &Result<Received, LogoutError>) -> &'static str {
    result.as_ref().map_or_else(LogoutError::code, |_| "accepted")
}

#[test]
fn every_case_gives_its_verdict() {
    let Some(index) = index() else { return };
    let certificates = index.idp_certs.iter().map(|name| TrustedCertificate::from_pem(read(name).as_bytes()).unwrap());
    let anchors = TrustAnchors::new(certificates.collect()).unwrap();
    let slo_urls = [index.slo_url.clone()];
    let now = Timestamp::parse_rfc3339(&index.now).unwrap();
    let session = NameId {
        value: index.session.nameid.clone(),
        format: Some("urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress".to_owned()),
        name_qualifier: None,
        sp_name_qualifier: None,
    };
    assert_eq!(index.cases.len(), 25);
    for case in &index.cases {
        let content = read(&case.file);
        let expectations =
            LogoutExpectations { in_response_to: case.outstanding.as_deref(), ..expectations(&index.idp_entity_id, &slo_urls) };
        let began = Instant::now();
        let result = match case.binding.as_str() {
            "HTTP-Redirect" => verify_redirect(content.trim_end_matches('\n'), &anchors, &expectations, now),
            "HTTP-POST" => verify_post(content.as_bytes(), MessageKind::Request, &anchors, &expectations, now),
            other => panic!("{}: {other}", case.id),
        };
        let took = began.elapsed();
        assert!(case.max_ms.is_none_or(|most| took < Duration::from_millis(most)), "{}: took {took:?}", case.id);
        let ends = match result.as_ref().map(Received::message) {
            Ok(LogoutMessage::Request(request)) => request.concerns(&session, Some(&index.session.session_index)),
            Ok(LogoutMessage::Response(_)) => panic!("{}: no case has a good response", case.id),
            Err(_) => false,
        };
        let kept = match case.expected.as_str() {
            "accept" => ends,
            "reject" => result.is_err(),
            "no-effect" => !ends,
            "either" => true,
            other => panic!("{}: {other}", case.id),
        };
        assert!(kept, "{} ({}): expected {}, got {}", case.id, case.why, case.expected, code(&result));
        let name = case.id.strip_prefix("logout/").unwrap();
        let reason = REASONS.iter().find(|(known, _)| *known == name).map_or("accepted", |(_, reason)| reason);
        assert_eq!(code(&result), reason, "{} ({})", case.id, case.why);
    }
}

/// Of a sample: what was sent, with the key in it trusted, and everything else as the sample needs it.
fn verify_sample(name: &str, compat: Compat, idp: &str, slo: &str, now: &str) -> Result<Received, LogoutError> {
    let xml = read(&Path::new("logout/public").join(name));
    let certificate = xml.split("X509Certificate>").nth(1).and_then(|rest| rest.split('<').next()).unwrap();
    let certificate: String = certificate.split_whitespace().collect();
    let anchors = TrustAnchors::new(vec![TrustedCertificate::from_der(&STANDARD.decode(certificate).unwrap()).unwrap()]).unwrap();
    let slo_urls = [slo.to_owned()];
    let expectations = LogoutExpectations { compat, ..expectations(idp, &slo_urls) };
    verify_post(xml.as_bytes(), MessageKind::Request, &anchors, &expectations, Timestamp::parse_rfc3339(now).unwrap())
}

/// A query that carries a sample's message, deflated already or not, signed by an identity provider of ours.
fn resigned(idp: &FakeIdp, field: &str, deflated: &str) -> String {
    let dense: String = deflated.split_whitespace().collect();
    idp.sign_query(&format!("{field}={}", utf8_percent_encode(&dense, NON_ALPHANUMERIC)))
}

fn deflated(xml: &str) -> String {
    use std::io::Write as _;
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(xml.as_bytes()).unwrap();
    STANDARD.encode(encoder.finish().unwrap())
}

#[test]
fn public_samples_are_read_when_they_are_signed_and_only_then() {
    const SIGNED: [(&str, &[&str]); 2] = [
        ("node-saml__test__static__logout_request_with_good_signature.xml", &[]),
        ("node-saml__test__static__logout_request_with_session_index.xml", &["1"]),
    ];
    let Some(index) = index() else { return };
    assert_eq!(index.public_samples.len(), 8);
    assert!(index.public_samples.iter().all(|sample| folder().join(&sample.file).exists()));

    // node-saml's, signed with SHA-1.
    for (name, session_indexes) in SIGNED {
        let sha1 = Compat { sha1: true, ..Compat::default() };
        let verify = |compat| {
            verify_sample(
                name,
                compat,
                "http://sp.example.com/demo1/metadata.php",
                "http://idp.example.com/SingleLogoutService.php",
                "2014-07-18T01:13:30Z",
            )
        };
        assert_eq!(code(&verify(Compat::default())), "algorithm_forbidden", "{name}");
        let LogoutMessage::Request(request) = verify(sha1).unwrap().into_message() else { panic!("{name}") };
        assert_eq!(request.name_id().value, "ONELOGIN_f92cc1834efc0f73e9c09f482fce80037a6251e7");
        assert_eq!(request.name_id().sp_name_qualifier.as_deref(), Some("http://sp.example.com/demo1/metadata.php"));
        assert_eq!(request.session_indexes(), session_indexes, "{name}");
        assert_eq!(request.not_on_or_after(), None);
    }

    let public = |name: &str| read(&Path::new("logout/public").join(name));
    let idp = FakeIdp::new("http://idp.example.com/");
    let anchors = TrustAnchors::new(vec![TrustedCertificate::from_der(&idp.certificate_der()).unwrap()]).unwrap();
    let slo_urls = ["http://stuff.com/endpoints/endpoints/sls.php".to_owned()];
    let now = Timestamp::parse_rfc3339("2013-12-10T04:40:00Z").unwrap();
    let answering = LogoutExpectations {
        in_response_to: Some("ONELOGIN_21584ccdfaca36a145ae990442dcd96bfe60151e"),
        ..expectations("http://idp.example.com/", &slo_urls)
    };
    let verify = |query: &str| verify_redirect(query, &anchors, &answering, now);

    // Signed with SHA-1 by keys that nobody has: refused for the algorithm, and where that is allowed, for the key.
    let sp_slo: serde_json::Value = serde_json::from_str(&public("node-saml__test__static__sp_slo_redirect.json")).unwrap();
    let crewjam = public("crewjam-saml__testdata__TestSPCanProduceSignedRequestRedirectBinding__rsa-sha512_queryString");
    for query in [sp_slo["originalQuery"].as_str().unwrap(), crewjam.trim_end()] {
        assert_eq!(code(&verify(query)), "algorithm_forbidden");
        let sha1 = LogoutExpectations { compat: Compat { sha1: true, ..Compat::default() }, ..answering.clone() };
        assert_eq!(code(&verify_redirect(query, &anchors, &sha1, now)), "signature_invalid");
    }

    // Unsigned: refused as they are, read when a trusted key signs them.
    let request = public("php-saml__tests__data__logout_requests__logout_request_deflated.xml.base64");
    let response = public("php-saml__tests__data__logout_responses__invalids__status_code_responder.xml.base64");
    let indexed = deflated(&public("python3-saml__tests__data__logout_requests__logout_request_with_sessionindex.xml"));
    let nameless = public("php-saml__tests__data__logout_requests__invalids__no_nameId.xml");
    let nameless = deflated(&nameless.replace("https://example.hello.com/access/saml", "http://idp.example.com/"));
    for (field, message) in
        [("SAMLRequest", &request), ("SAMLResponse", &response), ("SAMLRequest", &indexed), ("SAMLRequest", &nameless)]
    {
        let signed = resigned(&idp, field, message);
        let unsigned = signed.split("&SigAlg=").next().unwrap();
        assert_eq!(code(&verify(unsigned)), "signature_missing");
    }
    let read = |field, message: &str| verify(&resigned(&idp, field, message)).map(Received::into_message);
    let Ok(LogoutMessage::Request(all)) = read("SAMLRequest", &request) else { panic!("php-saml's request") };
    assert_eq!(all.name_id().value, "ONELOGIN_1e442c129e1f822c8096086a1103c5ee2c7cae1c");
    assert!(all.session_indexes().is_empty());
    let Ok(LogoutMessage::Request(one)) = read("SAMLRequest", &indexed) else { panic!("python3-saml's request") };
    assert_eq!(one.session_indexes(), ["_ac72a76526cb6ca19f8438e73879a0e6c8ae5131"]);
    let Ok(LogoutMessage::Response(response)) = read("SAMLResponse", &response) else { panic!("php-saml's response") };
    assert_eq!(response.status().top, "urn:oasis:names:tc:SAML:2.0:status:Responder");
    assert!(!response.status().is_complete());
    assert_eq!(read("SAMLRequest", &nameless).unwrap_err().code(), "name_id_missing");
}

/// Whatever comes, nothing panics, and nothing is accepted that wasn't signed.
fn survives(text: &str) -> Result<(), TestCaseError> {
    let idp = FakeIdp::new("https://idp.example/metadata");
    let anchors = TrustAnchors::new(vec![TrustedCertificate::from_der(&idp.certificate_der()).unwrap()]).unwrap();
    let slo_urls = ["https://app.example/_samlgate/slo".to_owned()];
    let expectations = expectations("https://idp.example/metadata", &slo_urls);
    let now = Timestamp::parse_rfc3339("2026-03-01T12:00:30Z").unwrap();
    let _ = (peek_redirect(text), peek(text.as_bytes(), MessageKind::Response), peek_soap(text.as_bytes()));
    prop_assert!(verify_redirect(text, &anchors, &expectations, now).is_err());
    prop_assert!(verify_post(text.as_bytes(), MessageKind::Request, &anchors, &expectations, now).is_err());
    prop_assert!(verify_soap(text.as_bytes(), &anchors, &expectations, now).is_err());
    Ok(())
}

proptest! {
    #[test]
    fn random_queries_never_panic(
        parameters in proptest::collection::vec(("(SAMLRe(quest|sponse)|RelayState|SigAlg|Signature|SAMLEncoding|[A-Za-z%0-9]{0,8})", "[!-~€ ]{0,40}"), 0..7)
    ) {
        let query: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
        survives(&query.join("&"))?;
    }

    #[test]
    fn a_signed_query_with_one_octet_changed_never_passes(at in 0_usize..2000, octet in 0x20_u8..0x7f) {
        let idp = FakeIdp::new("https://idp.example/metadata");
        let good = idp.logout_request().id("_fixed").redirect(Some("state"));
        let mut changed = good.clone().into_bytes();
        let at = at % changed.len();
        prop_assume!(changed[at] != octet);
        changed[at] = octet;
        let changed = String::from_utf8(changed).unwrap();
        // Another spelling of the same signature is the same signature: what it signs has not changed.
        let signed = |query: &str| query.split("&Signature=").next().map(str::to_owned);
        prop_assume!(signed(&changed) != signed(&good));
        survives(&changed)?;
    }

    #[test]
    fn random_text_never_panics(text in "\\PC{0,200}") {
        survives(&text)?;
    }
}
