//! The identity provider's side of an AuthnRequest: reading one and checking its signature, with other engines than the one
//! that made it.

use std::io::Read as _;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use samael::crypto::{CertificateDer, Crypto, CryptoProvider};

/// What an identity provider reads from a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParsedRequest {
    pub id: String,
    pub acs: Option<String>,
    pub issuer: String,
    pub destination: Option<String>,
    pub force_authn: bool,
    pub is_passive: bool,
    pub relay_state: Option<String>,
    pub name_id_format: Option<String>,
    pub authn_context: Vec<String>,
    pub signed: bool,
    pub xml: String,
}

/// Reads a URL, its query, or the body of a form. With the service provider's certificate (PEM) the signature must be there and
/// must verify.
///
/// # Errors
/// In words, for the test that failed.
pub fn parse_authn_request(encoded: &str, sp_certificate: Option<&str>) -> Result<ParsedRequest, String> {
    let Incoming { xml, relay_state, signed } = receive(encoded, "SAMLRequest", sp_certificate)?;
    read(xml, relay_state, signed)
}

/// A message as it came.
pub(super) struct Incoming {
    pub(super) xml: String,
    pub(super) relay_state: Option<String>,
    pub(super) signed: bool,
}

/// Takes a message from a URL, its query, or the body of a form, and verifies its signature when there is a certificate.
pub(super) fn receive(encoded: &str, field: &str, sp_certificate: Option<&str>) -> Result<Incoming, String> {
    let query = encoded.split_once('?').map_or(encoded, |(_, query)| query);
    let pairs: Vec<(&str, &str)> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
    let raw = |name: &str| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    let decoded = |name: &str| {
        let value = raw(name)?.replace('+', "%20");
        percent_decode_str(&value).decode_utf8().ok().map(|text| text.into_owned())
    };
    let message = STANDARD.decode(decoded(field).ok_or_else(|| format!("no {field}"))?).map_err(|error| error.to_string())?;
    let post = message.starts_with(b"<");
    let xml = if post {
        String::from_utf8(message).map_err(|error| error.to_string())?
    } else {
        let mut xml = String::new();
        let mut inflated = flate2::read::DeflateDecoder::new(&*message).take(1 << 20);
        inflated.read_to_string(&mut xml).map_err(|error| error.to_string())?;
        xml
    };
    let signed = if post { xml.contains("<ds:Signature ") } else { raw("Signature").is_some() };
    if let Some(certificate) = sp_certificate {
        let der = super::der(certificate);
        if post {
            let der = CertificateDer::from(der);
            Crypto::verify_signed_xml(&xml, &der, Some("ID")).map_err(|error| format!("the XML signature: {error}"))?;
        } else {
            let (octets, _) = query.split_once("&Signature=").ok_or("not signed")?;
            let octets = octets.get(octets.find(&format!("{field}=")).unwrap_or(0)..).unwrap_or_default();
            let method = decoded("SigAlg").ok_or("no SigAlg")?;
            let signature = STANDARD.decode(decoded("Signature").unwrap_or_default()).map_err(|error| error.to_string())?;
            verify(&der, &method, octets.as_bytes(), &signature)?;
        }
    }
    Ok(Incoming { relay_state: decoded("RelayState"), xml, signed })
}

fn verify(certificate: &[u8], method: &str, octets: &[u8], signature: &[u8]) -> Result<(), String> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).map_err(|error| error.to_string())?;
    let key = &certificate.public_key().subject_public_key.data;
    let algorithm: &'static dyn VerificationAlgorithm = match method.rsplit('#').next() {
        Some("rsa-sha256") => &RSA_PKCS1_2048_8192_SHA256,
        Some("ecdsa-sha256") => &ECDSA_P256_SHA256_FIXED,
        Some("ecdsa-sha384") => &ECDSA_P384_SHA384_FIXED,
        _ => return Err(format!("unexpected SigAlg {method}")),
    };
    UnparsedPublicKey::new(algorithm, key).verify(octets, signature).map_err(|_| "the signature does not verify".to_owned())
}

fn read(xml: String, relay_state: Option<String>, signed: bool) -> Result<ParsedRequest, String> {
    const SAMLP: &str = "urn:oasis:names:tc:SAML:2.0:protocol";
    const SAML: &str = "urn:oasis:names:tc:SAML:2.0:assertion";
    let document = uppsala::parse(&xml).map_err(|error| error.to_string())?;
    let root = document.document_element().ok_or("empty")?;
    let element = document.element(root).ok_or("empty")?;
    if !element.matches_name_ns(SAMLP, "AuthnRequest") {
        return Err(format!("not an AuthnRequest: {}", element.name));
    }
    let attribute = |name: &str| element.get_attribute(name).map(str::to_owned);
    let texts = |name: &str| -> Vec<String> {
        document.get_elements_by_tag_name_ns(SAML, name).into_iter().map(|id| document.text_content_deep(id)).collect()
    };
    let policy = document.get_elements_by_tag_name_ns(SAMLP, "NameIDPolicy").into_iter().next();
    let parsed = ParsedRequest {
        id: attribute("ID").ok_or("no ID")?,
        acs: attribute("AssertionConsumerServiceURL"),
        issuer: texts("Issuer").into_iter().next().ok_or("no Issuer")?,
        destination: attribute("Destination"),
        force_authn: attribute("ForceAuthn").as_deref() == Some("true"),
        is_passive: attribute("IsPassive").as_deref() == Some("true"),
        relay_state,
        name_id_format: policy.and_then(|id| document.get_attribute(id, "Format").map(str::to_owned)),
        authn_context: texts("AuthnContextClassRef"),
        signed,
        xml: String::new(),
    };
    Ok(ParsedRequest { xml: xml.clone(), ..parsed })
}
