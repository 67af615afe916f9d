//! Enveloped signatures of ours (Core 5.4), made by bergshamra.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bergshamra::keys::loader;
use bergshamra::{DsigContext, Key, KeysManager};
use uppsala::XmlWriter;

use super::keys::{KeyKind, SpKey};
use super::outgoing::Message;
use super::redirect::signature_method;
use super::request::RequestError;
use super::soap::SOAP;

const EXCLUSIVE: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";

/// The message with its signature.
///
/// # Errors
/// `Signing`.
pub(super) fn signed(message: &impl Message, key: &SpKey) -> Result<String, RequestError> {
    let mut xml = XmlWriter::new();
    write_template(&mut xml, message, key)?;
    fill_in(&xml.into_string(), key)
}

/// A document with that ID, its signature standing where `write` calls for it.
///
/// # Errors
/// `Signing`.
pub(super) fn signed_with(
    id: &str,
    key: &SpKey,
    write: impl FnOnce(&mut XmlWriter, Box<dyn FnOnce(&mut XmlWriter) + '_>),
) -> Result<String, RequestError> {
    let method = signature_method(key.kind)?;
    let mut xml = XmlWriter::new();
    write(&mut xml, Box::new(|xml| signature_template(xml, id, method, key.certificate())));
    fill_in(&xml.into_string(), key)
}

/// The message with its signature, in a SOAP 1.1 envelope (Bindings 3.2.2): what is signed is the message alone.
///
/// # Errors
/// `Signing`.
pub(super) fn signed_in_soap(message: &impl Message, key: &SpKey) -> Result<String, RequestError> {
    let mut xml = XmlWriter::new();
    xml.start_element("soap:Envelope", &[("xmlns:soap", SOAP)]);
    xml.start_element("soap:Body", &[]);
    write_template(&mut xml, message, key)?;
    xml.end_element("soap:Body");
    xml.end_element("soap:Envelope");
    fill_in(&xml.into_string(), key)
}

fn write_template(xml: &mut XmlWriter, message: &impl Message, key: &SpKey) -> Result<(), RequestError> {
    let method = signature_method(key.kind)?;
    message.write(xml, |xml| signature_template(xml, message.id(), method, key.certificate()));
    Ok(())
}

fn fill_in(template: &str, key: &SpKey) -> Result<String, RequestError> {
    let mut keys = KeysManager::new();
    keys.add_key(signing_key(key)?);
    bergshamra::sign(&DsigContext::new(keys), template).map_err(|_| RequestError::Signing("the key refused"))
}

/// A Signature over the element with that ID, its values still empty.
fn signature_template(xml: &mut XmlWriter, id: &str, method: &str, certificate: &[u8]) {
    let reference = format!("#{id}");
    xml.start_element("ds:Signature", &[("xmlns:ds", "http://www.w3.org/2000/09/xmldsig#")]);
    xml.start_element("ds:SignedInfo", &[]);
    xml.empty_element("ds:CanonicalizationMethod", &[("Algorithm", EXCLUSIVE)]);
    xml.empty_element("ds:SignatureMethod", &[("Algorithm", method)]);
    xml.start_element("ds:Reference", &[("URI", &reference)]);
    xml.start_element("ds:Transforms", &[]);
    xml.empty_element("ds:Transform", &[("Algorithm", "http://www.w3.org/2000/09/xmldsig#enveloped-signature")]);
    xml.empty_element("ds:Transform", &[("Algorithm", EXCLUSIVE)]);
    xml.end_element("ds:Transforms");
    xml.empty_element("ds:DigestMethod", &[("Algorithm", "http://www.w3.org/2001/04/xmlenc#sha256")]);
    xml.empty_element_expanded("ds:DigestValue", &[]);
    xml.end_element("ds:Reference");
    xml.end_element("ds:SignedInfo");
    xml.empty_element_expanded("ds:SignatureValue", &[]);
    xml.start_element("ds:KeyInfo", &[]);
    xml.start_element("ds:X509Data", &[]);
    xml.start_element("ds:X509Certificate", &[]);
    xml.text(&STANDARD.encode(certificate));
    xml.end_element("ds:X509Certificate");
    xml.end_element("ds:X509Data");
    xml.end_element("ds:KeyInfo");
    xml.end_element("ds:Signature");
}

/// The key as the XML signature engine takes it; it reads PEM only.
fn signing_key(key: &SpKey) -> Result<Key, RequestError> {
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", wrapped(&STANDARD.encode(&key.pkcs8)));
    let pem = pem.as_bytes();
    let read = match key.kind {
        KeyKind::Rsa(_) => loader::load_rsa_private_pem(pem),
        KeyKind::Ec(384) => loader::load_ec_p384_private_pem(pem),
        KeyKind::Ec(521) => loader::load_ec_p521_private_pem(pem),
        KeyKind::Ec(_) => loader::load_ec_p256_private_pem(pem),
    };
    read.map_err(|_| RequestError::Signing("the key can't be read"))
}

/// Lines of 64 characters, which strict readers of PEM want (RFC 7468).
fn wrapped(base64: &str) -> String {
    let mut lines = String::with_capacity(base64.len() + base64.len() / 64);
    for (at, character) in base64.chars().enumerate() {
        if at > 0 && at % 64 == 0 {
            lines.push('\n');
        }
        lines.push(character);
    }
    lines
}
