//! Fills in the signature of a changed document with a trusted key, so that the change comes as far as the engines.

use std::sync::OnceLock;

use bergshamra::keys::loader;
use bergshamra::{DsigContext, KeysManager};
use openssl::pkey::PKey;
use samael::crypto::{Crypto, CryptoProvider};

use crate::fake_idp::EC;

/// An engine that signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Bergshamra,
    Xmlsec,
}

unsafe extern "C" {
    /// Of libxmlsec1: whether it writes to stderr what it refuses.
    fn xmlSecErrorsDefaultCallbackEnableOutput(enabled: std::ffi::c_int);
}

/// Keeps libxmlsec1 from writing a line about every document that it refuses, here nearly all.
pub(crate) fn silence() {
    // SAFETY: sets a flag of the library, before any other thread is there.
    unsafe { xmlSecErrorsDefaultCallbackEnableOutput(0) };
}

/// The document with dummy values in place of the empty ones, to ask whether the signature has a lawful form at all. `None` when
/// there is no signature to be filled in.
pub(crate) fn with_dummies(xml: &str) -> Option<String> {
    const DIGEST: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    filled(xml, DIGEST, DIGEST)
}

/// The document with the first signature filled in. Only to be called for what has a lawful form: this engine would obey anything.
pub(crate) fn signed(xml: &str, engine: Engine) -> Option<String> {
    match engine {
        Engine::Bergshamra => {
            static KEYS: OnceLock<DsigContext> = OnceLock::new();
            let context = KEYS.get_or_init(|| {
                let mut keys = KeysManager::new();
                keys.add_key(loader::load_ec_p256_private_pem(pkcs8(EC.0).as_bytes()).expect("a key"));
                DsigContext::new(keys)
            });
            bergshamra::sign(context, xml).ok()
        }
        Engine::Xmlsec => {
            static KEY: OnceLock<Vec<u8>> = OnceLock::new();
            let key = KEY.get_or_init(|| {
                PKey::private_key_from_pem(EC.0.as_bytes()).and_then(|key| key.private_key_to_pkcs8()).expect("a key")
            });
            let done = Crypto::sign_xml(xml, key).ok()?;
            // xmlsec writes the document anew, which would undo much of what was changed: only its values are taken.
            filled(xml, &content(&done, "DigestValue")?, &content(&done, "SignatureValue")?)
        }
    }
}

fn pkcs8(pem: &str) -> String {
    let key = PKey::private_key_from_pem(pem.as_bytes()).and_then(|key| key.private_key_to_pem_pkcs8()).expect("a key");
    String::from_utf8(key).expect("PEM")
}

/// The text of the first element of a name, as it was written by xmlsec.
fn content(xml: &str, name: &str) -> Option<String> {
    let start = xml.find(&format!(":{name}>")).map(|at| at + name.len() + 2)?;
    let text = xml[start..].split('<').next()?;
    Some(text.split_whitespace().collect())
}

/// Both empty elements with these texts.
fn filled(xml: &str, digest: &str, signature: &str) -> Option<String> {
    let xml = fill(xml, "DigestValue", digest)?;
    fill(&xml, "SignatureValue", signature)
}

fn fill(xml: &str, name: &str, text: &str) -> Option<String> {
    let end = format!("{name}/>");
    let at = xml.find(&end)?;
    let start = xml[..at].rfind('<')? + 1;
    let prefix = &xml[start..at];
    let plain = prefix.is_empty() || (prefix.ends_with(':') && prefix.len() < 40);
    plain.then(|| format!("{}{name}>{text}</{prefix}{name}>{}", &xml[..at], &xml[at + end.len()..]))
}
