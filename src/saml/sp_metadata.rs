//! Our own metadata (Metadata 2.4.4), for the operator to give to the IdP.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use uppsala::XmlWriter;

use super::enveloped;
use super::keys::{KeyKind, SpKey};
use super::provider::ServiceProvider;
use super::request::RequestError;
use crate::clock::Timestamp;

const POST: &str = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST";
const REDIRECT: &str = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect";
const ARTIFACT: &str = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Artifact";
const SOAP: &str = "urn:oasis:names:tc:SAML:2.0:bindings:SOAP";
/// What we decrypt, best first: ciphers, then the key transports.
const ENCRYPTION: [&str; 5] = [
    "http://www.w3.org/2009/xmlenc11#aes256-gcm",
    "http://www.w3.org/2009/xmlenc11#aes192-gcm",
    "http://www.w3.org/2009/xmlenc11#aes128-gcm",
    "http://www.w3.org/2009/xmlenc11#rsa-oaep",
    "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p",
];

/// Writes the EntityDescriptor. It has no validUntil: IdPs keep an uploaded file for years, and must not stop at a date.
pub fn write(sp: &ServiceProvider) -> String {
    write_until(sp, None)
}

/// As [`write`], with a validUntil (Metadata 2.3.2).
pub fn write_until(sp: &ServiceProvider, valid_until: Option<Timestamp>) -> String {
    let mut xml = XmlWriter::new();
    xml.write_declaration();
    descriptor(&mut xml, sp, None, valid_until, |_| {});
    xml.into_string()
}

/// As [`write_until`], signed by the first key as a whole (Metadata 3). `id` names the document in its signature.
///
/// # Errors
/// Without a key that may sign.
pub fn write_signed(sp: &ServiceProvider, id: &str, valid_until: Option<Timestamp>) -> Result<String, RequestError> {
    let key = sp.keys.first().filter(|key| key.may_sign()).ok_or(RequestError::NoKey)?;
    enveloped::signed_with(id, key, |xml, signature| descriptor(xml, sp, Some(id), valid_until, signature))
}

/// The EntityDescriptor, with `signature` writing at the place of its Signature.
///
/// Every KeyDescriptor says its use, because Keycloak passes over those that don't. Keys of elliptic curves only sign: no
/// IdP encrypts for them.
fn descriptor(
    xml: &mut XmlWriter,
    sp: &ServiceProvider,
    id: Option<&str>,
    valid_until: Option<Timestamp>,
    signature: impl FnOnce(&mut XmlWriter),
) {
    let valid_until = valid_until.map(|until| until.to_string());
    let mut attributes = vec![("xmlns:md", "urn:oasis:names:tc:SAML:2.0:metadata"), ("entityID", sp.entity_id.as_str())];
    attributes.extend(id.map(|id| ("ID", id)));
    attributes.extend(valid_until.as_deref().map(|until| ("validUntil", until)));
    xml.start_element("md:EntityDescriptor", &attributes);
    signature(xml);
    xml.start_element(
        "md:SPSSODescriptor",
        &[
            ("protocolSupportEnumeration", "urn:oasis:names:tc:SAML:2.0:protocol"),
            ("AuthnRequestsSigned", if sp.sign_requests { "true" } else { "false" }),
            ("WantAssertionsSigned", "true"),
        ],
    );
    for key in sp.keys.iter().filter(|key| key.may_sign()) {
        key_descriptor(xml, key, "signing", &[]);
    }
    for key in sp.keys.iter().filter(|key| matches!(key.kind, KeyKind::Rsa(_)) && key.may_sign()) {
        key_descriptor(xml, key, "encryption", &ENCRYPTION);
    }
    if let (Some(slo_url), Some(soap_url)) = (&sp.slo_url, sp.soap_slo_url()) {
        for (binding, url) in [(REDIRECT, slo_url), (POST, slo_url), (SOAP, &soap_url)] {
            xml.empty_element("md:SingleLogoutService", &[("Binding", binding), ("Location", url)]);
        }
    }
    if let Some(format) = sp.name_id_format.urn() {
        xml.start_element("md:NameIDFormat", &[]);
        xml.text(format);
        xml.end_element("md:NameIDFormat");
    }
    for (index, url) in sp.acs_urls.iter().enumerate() {
        let index = index.to_string();
        let mut attributes = vec![("Binding", POST), ("Location", url.as_str()), ("index", index.as_str())];
        if index == "0" {
            attributes.push(("isDefault", "true"));
        }
        xml.empty_element("md:AssertionConsumerService", &attributes);
    }
    if let (true, Some(url)) = (sp.takes_artifacts, sp.acs_urls.first()) {
        // The last: Keycloak uses the first endpoint of a binding, and several products the first of all.
        let index = sp.acs_urls.len().to_string();
        xml.empty_element(
            "md:AssertionConsumerService",
            &[("Binding", ARTIFACT), ("Location", url), ("index", &index), ("isDefault", "false")],
        );
    }
    xml.end_element("md:SPSSODescriptor");
    xml.end_element("md:EntityDescriptor");
}

fn key_descriptor(xml: &mut XmlWriter, key: &SpKey, purpose: &str, methods: &[&str]) {
    xml.start_element("md:KeyDescriptor", &[("use", purpose)]);
    xml.start_element("ds:KeyInfo", &[("xmlns:ds", "http://www.w3.org/2000/09/xmldsig#")]);
    xml.start_element("ds:X509Data", &[]);
    xml.start_element("ds:X509Certificate", &[]);
    xml.text(&STANDARD.encode(key.certificate()));
    xml.end_element("ds:X509Certificate");
    xml.end_element("ds:X509Data");
    xml.end_element("ds:KeyInfo");
    for method in methods {
        xml.empty_element("md:EncryptionMethod", &[("Algorithm", method)]);
    }
    xml.end_element("md:KeyDescriptor");
}
