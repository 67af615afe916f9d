//! An encrypted assertion: the input is what is inside, or the encrypted element itself with `CONTENT` and `KEY` where a good
//! ciphertext and a good wrapped key go. Two octets choose cipher, place and what is signed.
//!
//! - In an unsigned Response, whoever is accepted was signed by a trusted key in some vector: anybody can encrypt for us.
//! - There, with CBC, every failure before the signature is good is `decryption_failed`, whatever the plaintext was.
//! - In a signed Response, whoever is accepted is the one that an independent reader finds in the plaintext.

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openssl::symm::{Cipher, encrypt, encrypt_aead};

use crate::context::{Context, Identity, World, json, root, text};
use crate::fake_idp::{ACS, Algorithm, EC, Encryption, FakeIdp, RSA, SP, SP_CERTIFICATE, Sign, Wrap, element};
use crate::independent::assertion_surrounded;
use crate::seeds::{behind, worst};

const IDP: &str = "https://idp.example/metadata";
const SEALED: &str = r#"<saml:EncryptedAssertion><xenc:EncryptedData xmlns:xenc="http://www.w3.org/2001/04/xmlenc#" xmlns:ds="http://www.w3.org/2000/09/xmldsig#" Type="http://www.w3.org/2001/04/xmlenc#Element"><xenc:EncryptionMethod Algorithm="CIPHER"/><ds:KeyInfo><xenc:EncryptedKey><xenc:EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p"/><xenc:CipherData><xenc:CipherValue>KEY</xenc:CipherValue></xenc:CipherData></xenc:EncryptedKey></ds:KeyInfo><xenc:CipherData><xenc:CipherValue>CONTENT</xenc:CipherValue></xenc:CipherData></xenc:EncryptedData></saml:EncryptedAssertion>"#;

/// A content key, and as it is wrapped for us.
struct ContentKey {
    uri: &'static str,
    cipher: fn() -> Cipher,
    key: Vec<u8>,
    wrapped: String,
}

fn content_keys() -> &'static [ContentKey] {
    static KEYS: OnceLock<Vec<ContentKey>> = OnceLock::new();
    let made = |uri, cipher: fn() -> Cipher| {
        let key = vec![7; cipher().key_len()];
        let wrapped = STANDARD.encode(Encryption::default().wrap(Wrap::Mgf1p("")).wrapped(&key, SP_CERTIFICATE));
        ContentKey { uri, cipher, key, wrapped }
    };
    KEYS.get_or_init(|| {
        vec![
            made("http://www.w3.org/2009/xmlenc11#aes256-gcm", Cipher::aes_256_gcm),
            made("http://www.w3.org/2001/04/xmlenc#aes128-cbc", Cipher::aes_128_cbc),
        ]
    })
}

impl ContentKey {
    fn is_cbc(&self) -> bool {
        self.uri.ends_with("cbc")
    }

    fn sealed(&self, plaintext: &[u8]) -> String {
        let cipher = (self.cipher)();
        let iv = vec![3; cipher.iv_len().unwrap_or_default()];
        let content = if self.is_cbc() {
            [iv.clone(), encrypt(cipher, &self.key, Some(&iv), plaintext).expect("CBC")].concat()
        } else {
            let mut tag = [0; 16];
            let sealed = encrypt_aead(cipher, &self.key, Some(&iv), &[], plaintext, &mut tag).expect("GCM");
            [iv, sealed, tag.to_vec()].concat()
        };
        STANDARD.encode(content)
    }
}

/// The context of the vectors that has our key, with weaknesses allowed or not.
fn context() -> &'static Context {
    static PLACE: OnceLock<usize> = OnceLock::new();
    let place = PLACE.get_or_init(|| {
        let manifest = json(root().join("tests/vectors/manifest.json"));
        let cases = manifest["cases"].as_array().expect("cases");
        let at = cases.iter().position(|case| text(case, "id") == "encrypted-cbc").expect("a case with CBC");
        World::get().responses[at].context
    });
    let context = &World::get().contexts[*place];
    assert!(context.compat.aes_cbc, "the vector allows CBC");
    context
}

fn unsigned(sealed: &str) -> String {
    static AROUND: OnceLock<(String, String)> = OnceLock::new();
    let (before, after) = AROUND.get_or_init(|| {
        let response = FakeIdp::new(IDP).response().ids("_response", "_assertion").unsigned().build();
        let assertion = element(&response, "saml:Assertion");
        let (before, after) = response.split_once(&assertion).expect("it holds its assertion");
        (before.to_owned(), after.to_owned())
    });
    format!("{before}{sealed}{after}")
}

fn signed(sealed: &str) -> String {
    let sealed = sealed.to_owned();
    FakeIdp::new(IDP)
        .response()
        .ids("_response", "_assertion")
        .sign(Sign::Response)
        .edit(move |xml| {
            let assertion = element(&xml, "saml:Assertion");
            xml.replace(&assertion, &sealed)
        })
        .build()
}

pub(crate) fn run(input: &[u8]) {
    let [flags, choice, content @ ..] = input else { return };
    let keys = content_keys();
    let key = &keys[usize::from(*choice) % keys.len()];
    let whole_response_signed = flags & 1 == 1;
    let form_is_the_input = flags & 2 == 2;
    let sealed = if form_is_the_input {
        let Ok(form) = std::str::from_utf8(content) else { return };
        form.replace("CONTENT", &key.sealed(good())).replace("KEY", &key.wrapped).replace("CIPHER", key.uri)
    } else {
        SEALED.replace("CONTENT", &key.sealed(content)).replace("KEY", &key.wrapped).replace("CIPHER", key.uri)
    };
    // The form of it comes before the signature, and xmlsec repairs what it signs: only a good form may be signed.
    if whole_response_signed && form_is_the_input {
        return;
    }
    let response = if whole_response_signed { signed(&sealed) } else { unsigned(&sealed) };
    match context().verify(response.as_bytes()) {
        Ok(accepted) if whole_response_signed => {
            assertion_surrounded(content).must_be(&accepted);
        }
        Ok(accepted) => {
            assert!(World::get().knows(&Identity::of(&accepted)) || accepted.name_id().value == "alice", "{accepted:?}")
        }
        Err(error) => {
            let about_the_plaintext = [
                "not_xml",
                "forbidden_xml",
                "duplicate_id",
                "signature_missing",
                "signature_invalid",
                "signature_not_covering",
                "algorithm_forbidden",
            ];
            let names_it = about_the_plaintext.contains(&error.code()) && !form_is_the_input;
            assert!(!(key.is_cbc() && !whole_response_signed && names_it), "an oracle: {error}");
        }
    }
}

/// An assertion that a trusted key signed.
fn good() -> &'static [u8] {
    static GOOD: OnceLock<Vec<u8>> = OnceLock::new();
    GOOD.get_or_init(|| {
        element(&FakeIdp::new(IDP).response().ids("_response", "_assertion").build(), "saml:Assertion").into_bytes()
    })
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut plain: Vec<String> = Vec::new();
    for known in &World::get().responses {
        let Ok(xml) = std::str::from_utf8(&known.octets) else { continue };
        if xml.len() < 20_000 && xml.contains("<saml:Assertion ") && xml.contains("</saml:Assertion>") {
            plain.push(element(xml, "saml:Assertion"));
        }
    }
    plain.push(element(
        &FakeIdp::with_key(IDP, EC, Algorithm::EcdsaSha256).response().subject("mallory", "urn:x").build(),
        "saml:Assertion",
    ));
    plain.push(element(&FakeIdp::with_key(IDP, RSA, Algorithm::RsaSha256).response().to(SP, ACS).build(), "saml:Assertion"));
    let good = String::from_utf8(good().to_vec()).expect("XML");
    plain.extend(
        worst(|content| good.replace("<saml:Conditions", &format!("<saml:Advice>{content}</saml:Advice><saml:Conditions")))
            .into_iter()
            .filter(|text| text.len() < 180_000),
    );
    let mut seeds: Vec<_> = plain.iter().flat_map(|text| (0..4).map(|at| behind(&[at & 1, at >> 1], text.as_bytes()))).collect();
    seeds.push(behind(&[2, 0], SEALED.as_bytes()));
    seeds.push(behind(&[2, 1], SEALED.as_bytes()));
    for known in &World::get().responses {
        let Ok(xml) = std::str::from_utf8(&known.octets) else { continue };
        if xml.len() < 20_000 && xml.contains("<saml:EncryptedAssertion>") && xml.contains("</saml:EncryptedAssertion>") {
            seeds.push(behind(&[2, 0], element(xml, "saml:EncryptedAssertion").as_bytes()));
        }
    }
    seeds
}
