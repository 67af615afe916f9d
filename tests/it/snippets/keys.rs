//! Keys that sign whatever they are told to.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};

/// In base64url.
pub(crate) fn part(octets: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

/// The octets of base64url.
pub(crate) fn octets(part: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(part).unwrap()
}

/// An EC key and its name.
pub(crate) struct SigningKey {
    pair: EcdsaKeyPair,
    pub(crate) kid: String,
}

impl SigningKey {
    /// samlgate's own, from its file.
    pub(crate) fn from_pem(pem: &str) -> Self {
        let der = PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap();
        Self::new(EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, der.secret_der()).unwrap())
    }

    /// A stranger's.
    pub(crate) fn generate() -> Self {
        Self::of(&ECDSA_P256_SHA256_FIXED_SIGNING)
    }

    /// Of another curve.
    pub(crate) fn of(algorithm: &'static EcdsaSigningAlgorithm) -> Self {
        Self::new(EcdsaKeyPair::generate(algorithm).unwrap())
    }

    fn new(pair: EcdsaKeyPair) -> Self {
        let mut key = Self { pair, kid: String::new() };
        let (x, y) = key.coordinates();
        let members = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        key.kid = part(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, members.as_bytes()));
        key
    }

    fn coordinates(&self) -> (String, String) {
        let point = &self.point()[1..];
        let (x, y) = point.split_at(point.len() / 2);
        (part(x), part(y))
    }

    /// The public key as a point (SEC 1, 2.3.3).
    pub(crate) fn point(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// The public key for a key set.
    pub(crate) fn jwk(&self) -> Value {
        let (x, y) = self.coordinates();
        let (curve, algorithm) = if x.len() == 43 { ("P-256", "ES256") } else { ("P-384", "ES384") };
        json!({"kty": "EC", "crv": curve, "use": "sig", "alg": algorithm, "kid": self.kid, "x": x, "y": y})
    }

    /// The header that samlgate would write.
    pub(crate) fn header(&self) -> Value {
        json!({"typ": "JWT", "alg": "ES256", "kid": self.kid})
    }

    /// Any header over any claims.
    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&header.to_string(), &claims.to_string())
    }

    /// Any texts, which need not be JSON.
    pub(crate) fn sign_text(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", part(header), part(claims));
        format!("{signed}.{}", part(self.raw(&signed)))
    }

    /// A signature as RFC 7518, 3.4 wants it.
    pub(crate) fn raw(&self, signed: &str) -> Vec<u8> {
        self.pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap().as_ref().to_vec()
    }
}
