//! The HTTP-Redirect binding, writing half (Bindings 3.4).

use std::io::Write as _;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair,
    RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::keys::{KeyKind, SpKey};
use super::outgoing::Message;
use super::request::RequestError;

/// All but RFC 3986's unreserved characters is escaped, so that the signed octets can't be read in two ways.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The URL that carries a message. With a key, the signature is over exactly the octets `SAMLRequest=..&RelayState=..&SigAlg=..`
/// as they stand in the URL (Bindings 3.4.4.1); a query that the IdP's URL has already stays in front and is not signed.
pub(super) fn url<M: Message>(
    message: &M,
    to: &str,
    relay_state: Option<&str>,
    key: Option<&SpKey>,
) -> Result<String, RequestError> {
    let mut query = format!("{}={}", M::FIELD, escaped(&STANDARD.encode(deflated(&message.to_xml())?)));
    if let Some(relay_state) = relay_state {
        query.push_str("&RelayState=");
        query.push_str(&escaped(relay_state));
    }
    if let Some(key) = key {
        query.push_str("&SigAlg=");
        query.push_str(&escaped(signature_method(key.kind)?));
        let signature = sign(key, query.as_bytes())?;
        query.push_str("&Signature=");
        query.push_str(&escaped(&STANDARD.encode(signature)));
    }
    let joint = match to.split_once('?') {
        None => "?",
        Some((_, "")) => "",
        Some((_, given)) if given.ends_with('&') => "",
        Some(_) => "&",
    };
    Ok(format!("{to}{joint}{query}"))
}

/// SignatureMethod for a key of ours (XML Signature 1.1): SHA-256, or the hash that fits the larger curves.
pub(super) fn signature_method(kind: KeyKind) -> Result<&'static str, RequestError> {
    match kind {
        KeyKind::Rsa(_) => Ok("http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"),
        KeyKind::Ec(256) => Ok("http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"),
        KeyKind::Ec(384) => Ok("http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384"),
        KeyKind::Ec(521) => Ok("http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512"),
        KeyKind::Ec(_) => Err(RequestError::Signing("the key's curve is not supported")),
    }
}

/// A signature with that method; of an elliptic curve r and s side by side, as XML Signature has them.
fn sign(key: &SpKey, octets: &[u8]) -> Result<Vec<u8>, RequestError> {
    const UNREADABLE: RequestError = RequestError::Signing("the key can't be read");
    const FAILED: RequestError = RequestError::Signing("the key refused");
    let random = SystemRandom::new();
    let algorithm = match key.kind {
        KeyKind::Rsa(_) => {
            let pair = RsaKeyPair::from_pkcs8(&key.pkcs8).map_err(|_| UNREADABLE)?;
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(&RSA_PKCS1_SHA256, &random, octets, &mut signature).map_err(|_| FAILED)?;
            return Ok(signature);
        }
        KeyKind::Ec(384) => &ECDSA_P384_SHA384_FIXED_SIGNING,
        KeyKind::Ec(521) => &ECDSA_P521_SHA512_FIXED_SIGNING,
        KeyKind::Ec(_) => &ECDSA_P256_SHA256_FIXED_SIGNING,
    };
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, &key.pkcs8).map_err(|_| UNREADABLE)?;
    pair.sign(&random, octets).map(|signature| signature.as_ref().to_vec()).map_err(|_| FAILED)
}

/// Raw DEFLATE, without zlib's frame (Bindings 3.4.4.1).
fn deflated(xml: &str) -> Result<Vec<u8>, RequestError> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    let written = encoder.write_all(xml.as_bytes());
    written.and_then(|()| encoder.finish()).map_err(|_| RequestError::Signing("the message could not be compressed"))
}

fn escaped(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}
