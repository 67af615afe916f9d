//! AuthnRequests on both bindings, as an identity provider reads and verifies them; our metadata, read back.

use std::time::Duration;

use samael::crypto::UrlVerifier;
use samlgate::clock::Timestamp;
use samlgate::saml::keygen::generate_sp;
use samlgate::saml::{
    Binding, Endpoint, IdentityProvider, NameIdFormat, Outgoing, RequestBinding, RequestError, RequestParts, ServiceProvider,
    SpKey, read_idp, request, sp_metadata,
};

use crate::support::fake_idp::{FakeIdp, ParsedRequest, parse_authn_request};

const SP_RSA: (&str, &str) = (include_str!("../fixtures/sp.key"), include_str!("../fixtures/sp.crt"));
const SP_EC: (&str, &str) = (include_str!("../fixtures/sp-ec.key"), include_str!("../fixtures/sp-ec.crt"));
const SP_P384: (&str, &str) = (include_str!("../fixtures/sp-p384.key"), include_str!("../fixtures/sp-p384.crt"));

fn now() -> Timestamp {
    Timestamp::parse_rfc3339("2026-03-01T12:00:00Z").unwrap()
}

fn idp() -> IdentityProvider {
    let metadata = FakeIdp::new("https://idp.example/metadata").metadata("https://idp.example/sso");
    IdentityProvider::new("test", read_idp(metadata.as_bytes(), None, now()).unwrap())
}

fn sp(keys: &[(&str, &str)]) -> ServiceProvider {
    ServiceProvider {
        entity_id: "https://app.example/meta?a=1&b=\"<2>\"".to_owned(),
        acs_urls: vec!["https://app.example/acs?x=1&y=2".to_owned(), "https://app.example/saml/acs".to_owned()],
        keys: keys.iter().map(|(key, certificate)| SpKey::from_pem(key.as_bytes(), certificate.as_bytes()).unwrap()).collect(),
        sign_requests: !keys.is_empty(),
        name_id_format: NameIdFormat::Email,
        slo_url: None,
        takes_artifacts: false,
    }
}

fn parts<'a>(relay_state: Option<&'a str>) -> RequestParts<'a> {
    RequestParts { id: "_0123abc", now: now(), relay_state, force_authn: false, is_passive: false, authn_context: &[] }
}

/// What the identity provider gets: the URL, or the body of the form.
fn sent(outgoing: Outgoing) -> String {
    match outgoing {
        Outgoing::Redirect(url) => url,
        Outgoing::Post(form) => {
            assert_eq!(form.action, "https://idp.example/sso");
            let encode = |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
            form.fields.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect::<Vec<_>>().join("&")
        }
    }
}

fn expected() -> ParsedRequest {
    ParsedRequest {
        id: "_0123abc".to_owned(),
        acs: Some("https://app.example/acs?x=1&y=2".to_owned()),
        issuer: "https://app.example/meta?a=1&b=\"<2>\"".to_owned(),
        destination: Some("https://idp.example/sso".to_owned()),
        name_id_format: Some("urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress".to_owned()),
        relay_state: Some("r&s=t +%".to_owned()),
        signed: true,
        ..ParsedRequest::default()
    }
}

#[test]
fn both_bindings_carry_the_request_and_its_signature() {
    for binding in [RequestBinding::Redirect, RequestBinding::Post] {
        for key in [SP_RSA, SP_EC, SP_P384] {
            let idp = IdentityProvider { request_binding: binding, ..idp() };
            let outgoing = sent(request::start(&idp, &sp(&[key]), parts(Some("r&s=t +%"))).unwrap());
            let got = parse_authn_request(&outgoing, Some(key.1)).unwrap();
            assert_eq!(ParsedRequest { xml: String::new(), ..got }, expected(), "{binding:?}");
            // Another key's certificate doesn't verify it: the check above can fail.
            let wrong = if key == SP_RSA { include_str!("../fixtures/idp.crt") } else { SP_RSA.1 };
            assert!(parse_authn_request(&outgoing, Some(wrong)).is_err());
        }
    }
}

#[test]
fn openssl_agrees_on_the_redirect_signature() {
    let Outgoing::Redirect(url) = request::start(&idp(), &sp(&[SP_RSA]), parts(Some("state"))).unwrap() else {
        panic!("Redirect is offered, so it is chosen")
    };
    let verifier = UrlVerifier::from_x509_cert_pem(SP_RSA.1).unwrap();
    let query = format!("/sso?{}", url.split_once('?').unwrap().1);
    assert!(verifier.verify_percent_encoded_request_uri_string(&query).unwrap());
    assert!(!verifier.verify_percent_encoded_request_uri_string(&query.replace("=state", "=stale")).unwrap());
}

#[test]
fn unsigned_requests_carry_no_signature() {
    for binding in [RequestBinding::Redirect, RequestBinding::Post] {
        let idp = IdentityProvider { request_binding: binding, ..idp() };
        let outgoing = sent(request::start(&idp, &sp(&[]), parts(None)).unwrap());
        let got = parse_authn_request(&outgoing, None).unwrap();
        let unsigned = ParsedRequest { xml: String::new(), signed: false, relay_state: None, ..expected() };
        assert_eq!(ParsedRequest { xml: String::new(), ..got }, unsigned);
        assert!(!outgoing.contains("RelayState") && !outgoing.contains("SigAlg"));
    }
}

#[test]
fn a_query_at_the_identity_provider_stays_and_is_not_signed() {
    for (location, prefix) in [
        ("https://idp.example/sso?idpid=C01&x=%20", "https://idp.example/sso?idpid=C01&x=%20&SAMLRequest="),
        ("https://idp.example/sso?", "https://idp.example/sso?SAMLRequest="),
        ("https://idp.example/sso?a=b&", "https://idp.example/sso?a=b&SAMLRequest="),
    ] {
        let idp = IdentityProvider { sso: vec![Endpoint::new(Binding::Redirect, location)], ..idp() };
        let url = sent(request::start(&idp, &sp(&[SP_EC]), parts(Some("s"))).unwrap());
        assert!(url.starts_with(prefix), "{url}");
        parse_authn_request(&url, Some(SP_EC.1)).unwrap();
    }
}

#[test]
fn the_wishes_of_operator_and_flow_reach_the_request() {
    let idp = IdentityProvider { force_authn: true, ..idp() };
    let classes = ["urn:x:mfa".to_owned(), "urn:y".to_owned()];
    let mut sp = sp(&[]);
    sp.name_id_format = NameIdFormat::Unspecified;
    let wishes = RequestParts { authn_context: &classes, ..parts(None) };
    let got = parse_authn_request(&sent(request::start(&idp, &sp, wishes).unwrap()), None).unwrap();
    assert!(got.force_authn && !got.is_passive);
    assert_eq!(got.authn_context, ["urn:x:mfa", "urn:y"]);
    assert_eq!(got.name_id_format, None);
    assert!(got.xml.contains("Comparison=\"exact\""));

    let idp = self::idp();
    sp.name_id_format = NameIdFormat::Transient;
    let wishes = RequestParts { force_authn: true, is_passive: true, ..parts(None) };
    let got = parse_authn_request(&sent(request::start(&idp, &sp, wishes).unwrap()), None).unwrap();
    assert!(got.force_authn && got.is_passive && got.authn_context.is_empty());
    assert!(!got.xml.contains("AllowCreate"), "{}", got.xml);
}

#[test]
fn what_cannot_be_sent_is_an_error() {
    let only_post = IdentityProvider { sso: vec![Endpoint::new(Binding::Post, "https://idp.example/sso")], ..idp() };
    assert!(matches!(request::start(&only_post, &sp(&[]), parts(None)), Ok(Outgoing::Post(_))));
    let redirect = IdentityProvider { request_binding: RequestBinding::Redirect, ..only_post };
    assert_eq!(request::start(&redirect, &sp(&[]), parts(None)), Err(RequestError::NoEndpoint));

    let (fits, long) = ("x".repeat(80), "x".repeat(81));
    assert!(request::start(&idp(), &sp(&[]), parts(Some(&fits))).is_ok());
    assert_eq!(request::start(&idp(), &sp(&[]), parts(Some(&long))), Err(RequestError::RelayStateTooLong(81)));

    let wants = IdentityProvider { wants_signed_requests: true, ..idp() };
    assert_eq!(request::start(&wants, &sp(&[]), parts(None)), Err(RequestError::NoKey));
    let nowhere = ServiceProvider { acs_urls: Vec::new(), ..sp(&[]) };
    assert_eq!(request::start(&idp(), &nowhere, parts(None)), Err(RequestError::NoAcs));
}

#[test]
fn an_identity_provider_that_wants_signatures_gets_them_even_when_they_are_off() {
    let idp = IdentityProvider { wants_signed_requests: true, ..idp() };
    let sp = ServiceProvider { sign_requests: false, ..sp(&[SP_RSA]) };
    parse_authn_request(&sent(request::start(&idp, &sp, parts(None)).unwrap()), Some(SP_RSA.1)).unwrap();
}

#[test]
fn our_metadata_reads_back() {
    const MD: &str = "urn:oasis:names:tc:SAML:2.0:metadata";
    let sp = sp(&[SP_RSA, SP_EC]);
    let xml = sp_metadata::write(&sp);
    let document = uppsala::parse(&xml).unwrap();
    let all = |name: &str| document.get_elements_by_tag_name_ns(MD, name);
    let attribute = |id, name: &str| document.get_attribute(id, name).unwrap_or_default().to_owned();
    assert_eq!(attribute(document.document_element().unwrap(), "entityID"), sp.entity_id);
    let role = all("SPSSODescriptor")[0];
    assert_eq!(attribute(role, "AuthnRequestsSigned"), "true");
    assert_eq!(attribute(role, "WantAssertionsSigned"), "true");
    assert_eq!(attribute(role, "protocolSupportEnumeration"), "urn:oasis:names:tc:SAML:2.0:protocol");

    let uses: Vec<String> = all("KeyDescriptor").into_iter().map(|id| attribute(id, "use")).collect();
    assert_eq!(uses, ["signing", "signing", "encryption"]);
    let certificates: Vec<String> = document
        .get_elements_by_tag_name_ns("http://www.w3.org/2000/09/xmldsig#", "X509Certificate")
        .into_iter()
        .map(|id| document.text_content_deep(id))
        .collect();
    let body = |pem: &str| pem.lines().filter(|line| !line.starts_with('-')).collect::<String>();
    assert_eq!(certificates, [body(SP_RSA.1), body(SP_EC.1), body(SP_RSA.1)]);
    let methods: Vec<String> = all("EncryptionMethod").into_iter().map(|id| attribute(id, "Algorithm")).collect();
    assert!(methods.iter().all(|method| method.ends_with("-gcm") || method.contains("rsa-oaep")), "{methods:?}");
    assert_eq!(methods.len(), 5);

    let acs: Vec<(String, String, String)> = all("AssertionConsumerService")
        .into_iter()
        .map(|id| (attribute(id, "Location"), attribute(id, "index"), attribute(id, "isDefault")))
        .collect();
    assert_eq!(
        acs,
        [(sp.acs_urls[0].clone(), "0".to_owned(), "true".to_owned()), (sp.acs_urls[1].clone(), "1".to_owned(), String::new())]
    );
    assert!(all("SingleLogoutService").is_empty());
    assert_eq!(document.text_content_deep(all("NameIDFormat")[0]), "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress");

    let with_logout = ServiceProvider { slo_url: Some("https://app.example/slo".to_owned()), ..sp };
    let xml = sp_metadata::write(&with_logout);
    let document = uppsala::parse(&xml).unwrap();
    let services: Vec<(&str, &str)> = document
        .get_elements_by_tag_name_ns(MD, "SingleLogoutService")
        .into_iter()
        .map(|id| {
            let attribute = |name: &str| document.get_attribute(id, name).unwrap();
            (attribute("Binding").rsplit(':').next().unwrap(), attribute("Location"))
        })
        .collect();
    let slo = "https://app.example/slo";
    assert_eq!(services, [("HTTP-Redirect", slo), ("HTTP-POST", slo), ("SOAP", "https://app.example/slo/soap")]);
}

#[test]
fn generated_keys_sign_requests() {
    let keys = generate_sp("reports.example.com", now()).unwrap();
    let sp = sp(&[(&keys.sp_key_pem, &keys.sp_certificate_pem)]);
    for binding in [RequestBinding::Redirect, RequestBinding::Post] {
        let idp = IdentityProvider { request_binding: binding, max_age: Duration::from_secs(60), ..idp() };
        let outgoing = sent(request::start(&idp, &sp, parts(None)).unwrap());
        parse_authn_request(&outgoing, Some(&keys.sp_certificate_pem)).unwrap();
    }
}
