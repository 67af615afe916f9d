//! For this module's own tests: an IdP that signs with the other engine, xmlsec. The integration tests have a richer one.

use std::sync::OnceLock;
use std::time::Duration;

use samael::crypto::{Crypto, CryptoProvider};

use super::expectations::{Checks, Compat, Expectations, Expected};
use super::keys::{TrustAnchors, TrustedCertificate};
use super::{SamlError, VerifiedAssertion, verify_response};
use crate::clock::Timestamp;

pub(in crate::saml) const IDP: &str = "https://idp.test/metadata";
pub(in crate::saml) const SP: &str = "https://app.test/metadata";
pub(in crate::saml) const ACS: &str = "https://app.test/acs";

const SIGNATURE: &str = "<ds:Signature xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"><ds:SignedInfo>\
    <ds:CanonicalizationMethod Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"/>\
    <ds:SignatureMethod Algorithm=\"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256\"/>\
    <ds:Reference URI=\"#ID\"><ds:Transforms>\
    <ds:Transform Algorithm=\"http://www.w3.org/2000/09/xmldsig#enveloped-signature\"/>\
    <ds:Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"/></ds:Transforms>\
    <ds:DigestMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha256\"/><ds:DigestValue/></ds:Reference></ds:SignedInfo>\
    <ds:SignatureValue/></ds:Signature>";

/// A response to request `_q`, good at 2026-03-01T12:00:30Z. `RSIG` and `ASIG` are where signatures go.
const RESPONSE: &str = r#"<p:Response xmlns:p="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:a="urn:oasis:names:tc:SAML:2.0:assertion" ID="_r" Version="2.0" IssueInstant="2026-03-01T12:00:00Z" Destination="https://app.test/acs" InResponseTo="_q"><a:Issuer>https://idp.test/metadata</a:Issuer>RSIG<p:Status><p:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/></p:Status><a:Assertion ID="_a" Version="2.0" IssueInstant="2026-03-01T12:00:00Z"><a:Issuer>https://idp.test/metadata</a:Issuer>ASIG<a:Subject><a:NameID>alice@example.com</a:NameID><a:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer"><a:SubjectConfirmationData NotOnOrAfter="2026-03-01T12:05:00Z" Recipient="https://app.test/acs" InResponseTo="_q"/></a:SubjectConfirmation></a:Subject><a:Conditions NotBefore="2026-03-01T11:59:30Z" NotOnOrAfter="2026-03-01T12:10:00Z"><a:AudienceRestriction><a:Audience>https://app.test/metadata</a:Audience></a:AudienceRestriction></a:Conditions><a:AuthnStatement AuthnInstant="2026-03-01T11:59:59Z" SessionIndex="_s"><a:AuthnContext><a:AuthnContextClassRef>urn:password</a:AuthnContextClassRef></a:AuthnContext></a:AuthnStatement><a:AttributeStatement><a:Attribute Name="groups"><a:AttributeValue>staff</a:AttributeValue></a:Attribute></a:AttributeStatement></a:Assertion></p:Response>"#;

/// The IdP's private key (PKCS #8) and certificate (DER).
pub(in crate::saml) fn idp() -> &'static (Vec<u8>, Vec<u8>) {
    static IDP_KEY: OnceLock<(Vec<u8>, Vec<u8>)> = OnceLock::new();
    IDP_KEY.get_or_init(|| key_pair(&rcgen::PKCS_ECDSA_P256_SHA256))
}

/// A new key with a certificate.
pub(in crate::saml) fn key_pair(algorithm: &'static rcgen::SignatureAlgorithm) -> (Vec<u8>, Vec<u8>) {
    let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["idp.test".to_owned()]).unwrap().self_signed(&key).unwrap();
    (key.serialize_der(), certificate.der().to_vec())
}

pub(in crate::saml) fn anchors() -> TrustAnchors {
    TrustAnchors::new(vec![TrustedCertificate::from_der(&idp().1).unwrap()]).unwrap()
}

/// Which signatures a response gets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::saml) enum Sign {
    Nothing,
    Assertion,
    Response,
    Both,
}

/// A response with changes (what stands there, what shall), made before it is signed. Each must apply.
pub(in crate::saml) fn response(sign: Sign, changes: &[(&str, &str)]) -> String {
    let mut xml = RESPONSE.to_owned();
    for (from, to) in changes {
        assert!(xml.contains(from), "{from:?} does not stand in the response");
        xml = xml.replace(from, to);
    }
    let id = xml.split("Assertion ID=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or("_a").to_owned();
    // The inner signature first: the outer one covers it.
    if matches!(sign, Sign::Assertion | Sign::Both) {
        xml = signed(&xml.replace("ASIG", &SIGNATURE.replace("ID", &id)).replace("RSIG", "<!--RSIG-->"));
        xml = xml.replace("<!--RSIG-->", "RSIG");
    }
    if matches!(sign, Sign::Response | Sign::Both) {
        // xmlsec signs the first signature, which is the Response's.
        xml = signed(&xml.replace("RSIG", &SIGNATURE.replace("ID", "_r")).replace("ASIG", ""));
    }
    xml.replace("RSIG", "").replace("ASIG", "")
}

/// A response whose Assertion or Response has a signature that is still to be filled in.
pub(in crate::saml) fn to_be_signed(sign: Sign) -> String {
    let (place, id) = if sign == Sign::Response { ("RSIG", "_r") } else { ("ASIG", "_a") };
    RESPONSE.replace(place, &SIGNATURE.replace("ID", id)).replace("RSIG", "").replace("ASIG", "")
}

/// Fills in the first signature of a document.
pub(in crate::saml) fn signed(xml: &str) -> String {
    signed_by(xml, &idp().0)
}

/// Fills in the first signature of a document with a key (PKCS #8).
pub(in crate::saml) fn signed_by(xml: &str, key: &[u8]) -> String {
    let signed = Crypto::sign_xml(xml, key).unwrap();
    signed.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n").unwrap_or(&signed).trim_end().to_owned()
}

pub(in crate::saml) fn now() -> Timestamp {
    Timestamp::parse_rfc3339("2026-03-01T12:00:30Z").unwrap()
}

/// What the fixture's response is verified against.
pub(in crate::saml) fn expectations<'a>() -> Expectations<'a> {
    static ACS_URLS: OnceLock<[String; 2]> = OnceLock::new();
    let acs_urls = ACS_URLS.get_or_init(|| [ACS.to_owned(), "https://app.test/old-acs".to_owned()]);
    Expectations {
        idp_entity_id: IDP,
        sp_entity_id: SP,
        acs_urls,
        expected: Expected::AnswerTo("_q"),
        compat: Compat::default(),
        clock_skew: Duration::from_secs(60),
        max_age: Duration::from_secs(300),
        authn_context: &[],
        authenticated_since: None,
        decryption_keys: &[],
    }
}

/// Verifies with what is expected changed, and sees to it that the checks tell the same as the result.
pub(in crate::saml) fn verify_with<'a>(
    xml: &str,
    change: impl FnOnce(&mut Expectations<'a>),
) -> Result<VerifiedAssertion, SamlError> {
    let mut expectations = expectations();
    change(&mut expectations);
    let mut checks = Checks::default();
    let result = verify_response(xml.as_bytes(), &anchors(), &expectations, now(), &mut checks);
    let failed: Vec<_> = checks.all().iter().filter(|check| !check.ok).collect();
    match &result {
        Ok(_) => assert!(failed.is_empty(), "{failed:?}"),
        Err(error) => {
            assert_eq!(failed.len(), 1, "{:?}", checks.all());
            assert!(!checks.all().last().unwrap().ok);
            assert!(failed[0].detail.starts_with(&error.to_string()));
        }
    }
    result
}

pub(in crate::saml) fn verify(xml: &str) -> Result<VerifiedAssertion, SamlError> {
    verify_with(xml, |_| {})
}
