//! The signed request: HTTP Message Signatures (RFC 9421) over what the application is asked for, and on whose behalf.

use std::fmt;
use std::io::Write as _;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use super::assertion::{coordinates, thumbprint};
use crate::clock::Timestamp;

/// The headers that carry a signature. While requests are signed, clients may not send them.
pub const NAMES: [&str; 2] = ["signature", "signature-input"];
/// Which signature of a request is ours: the member's name in both headers, and the parameter `tag` (2.3).
pub const LABEL: &str = "samlgate";
/// Least length of a shared key, in octets: that of the hash (RFC 2104 section 3).
const SHORTEST_SECRET: usize = 32;
/// The longest signature in base64: 64 octets.
const ENCODED: usize = 88;

/// How requests are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256 (3.3.3): the application has the same key.
    HmacSha256,
    /// Ed25519 (3.3.6).
    Ed25519,
    /// ECDSA on P-256 with SHA-256 (3.3.4).
    EcdsaP256Sha256,
}

impl Algorithm {
    /// Its registered name (6.2.2).
    pub fn name(self) -> &'static str {
        match self {
            Self::HmacSha256 => "hmac-sha256",
            Self::Ed25519 => "ed25519",
            Self::EcdsaP256Sha256 => "ecdsa-p256-sha256",
        }
    }

    /// The command that makes a key for it.
    pub fn key_command(self) -> &'static str {
        match self {
            Self::HmacSha256 => "openssl rand -base64 48 > sig.key",
            Self::Ed25519 => "openssl genpkey -algorithm ed25519 -out sig.key",
            Self::EcdsaP256Sha256 => "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out sig.key",
        }
    }
}

/// Why a key can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A shared key that isn't base64.
    #[error("not base64, which the key of hmac-sha256 is written in")]
    NotBase64,
    /// A shared key that could be guessed.
    #[error("only {0} octets long, and hmac-sha256 needs a key of at least {SHORTEST_SECRET}")]
    Short(usize),
    /// Another key than one for Ed25519.
    #[error("not an Ed25519 private key in PEM (PKCS #8)")]
    NotEd25519,
    /// Another key than one on P-256.
    #[error("not an EC P-256 private key in PEM (PKCS #8 or SEC 1)")]
    NotP256,
}

/// The cryptographic provider gave no signature. The request must not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("signing failed")]
pub struct SigningFailed;

/// What a request to the application asks for, as it is sent.
#[derive(Clone, Copy, Debug)]
pub struct SignedRequest<'a> {
    /// The method.
    pub method: &'a str,
    /// The Host header.
    pub host: &'a [u8],
    /// Whether it goes to the application by TLS: which port is the usual one.
    pub tls: bool,
    /// Path and query.
    pub target: &'a str,
}

/// A signature, to be written to the head of its request.
pub struct RequestSignature {
    /// The signature base (2.5).
    base: Vec<u8>,
    /// Where in it the signature's parameters begin.
    parameters: usize,
    /// The signature in base64, and how long that is.
    encoded: ([u8; ENCODED], usize),
}

/// Signs requests; holds the key.
pub struct RequestSigner {
    key: Key,
    algorithm: Algorithm,
    key_id: String,
    jwk: Option<Value>,
    /// The parameters that are always the same.
    fixed: String,
    lifetime: Duration,
}

enum Key {
    Hmac(Box<hmac::Key>),
    Ed25519(Ed25519KeyPair),
    Ecdsa(EcdsaKeyPair),
}

impl Key {
    /// ECDSA's nonce is the provider's own.
    fn sign(&self, base: &[u8]) -> Result<([u8; ENCODED], usize), SigningFailed> {
        let mut text = [0; ENCODED];
        let mut encode = |octets: &[u8]| STANDARD.encode_slice(octets, &mut text).map_err(|_| SigningFailed);
        let length = match self {
            Self::Hmac(key) => encode(hmac::sign(key, base).as_ref()),
            Self::Ed25519(key) => encode(key.try_sign(base).map_err(|_| SigningFailed)?.as_ref()),
            Self::Ecdsa(key) => encode(key.sign(&SystemRandom::new(), base).map_err(|_| SigningFailed)?.as_ref()),
        }?;
        Ok((text, length))
    }
}

impl RequestSigner {
    /// From what a key file holds: base64 of at least 32 octets for HMAC, else a private key in PEM. A signature ends
    /// `lifetime` after it was made.
    ///
    /// # Errors
    /// When the key is none for this algorithm.
    pub fn new(algorithm: Algorithm, key: &[u8], lifetime: Duration) -> Result<Self, KeyError> {
        let (key, key_id, jwk) = match algorithm {
            Algorithm::HmacSha256 => {
                let secret = STANDARD.decode(key.trim_ascii()).map_err(|_| KeyError::NotBase64)?;
                if secret.len() < SHORTEST_SECRET {
                    return Err(KeyError::Short(secret.len()));
                }
                (Key::Hmac(Box::new(hmac::Key::new(hmac::HMAC_SHA256, &secret))), secret_id(&secret), None)
            }
            Algorithm::Ed25519 => {
                let Ok(PrivateKeyDer::Pkcs8(der)) = PrivateKeyDer::from_pem_slice(key) else { return Err(KeyError::NotEd25519) };
                let key = Ed25519KeyPair::from_pkcs8(der.secret_pkcs8_der()).map_err(|_| KeyError::NotEd25519)?;
                let x = URL_SAFE_NO_PAD.encode(key.public_key().as_ref());
                let id = thumbprint(&format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#));
                let jwk = json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": id, "x": x});
                (Key::Ed25519(key), id, Some(jwk))
            }
            Algorithm::EcdsaP256Sha256 => {
                let der = PrivateKeyDer::from_pem_slice(key).map_err(|_| KeyError::NotP256)?;
                let key = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, der.secret_der());
                let key = key.map_err(|_| KeyError::NotP256)?;
                let (x, y) = coordinates(key.public_key().as_ref()).ok_or(KeyError::NotP256)?;
                let id = thumbprint(&format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#));
                let jwk = json!({"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": id, "x": x, "y": y});
                (Key::Ecdsa(key), id, Some(jwk))
            }
        };
        let fixed = format!(";keyid=\"{key_id}\";alg=\"{}\";tag=\"{LABEL}\"", algorithm.name());
        Ok(Self { key, algorithm, key_id, jwk, fixed, lifetime })
    }

    /// The algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// `keyid`: the public key's RFC 7638 thumbprint; of a shared key, the beginning of a hash.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The public key (RFC 7517); none for a shared key.
    pub fn jwk(&self) -> Option<&Value> {
        self.jwk.as_ref()
    }

    /// Signs a request with some of its header lines, as [`write_line`](super::headers::write_line) wrote them; no name is there
    /// twice.
    ///
    /// Covered are, in this order: `@method`, `@authority`, `@path`, `@query` (2.2) and every one of the lines. What stands in the
    /// signature base are the octets that are sent, but for the host, which is normalised as 2.2.3 says.
    ///
    /// # Errors
    /// When signing fails; then the request may not pass.
    pub fn sign(&self, request: SignedRequest<'_>, lines: &[u8], now: Timestamp) -> Result<RequestSignature, SigningFailed> {
        let SignedRequest { method, host, tls, target } = request;
        // Room for the values, the names twice, and the parameters.
        let mut base = Vec::with_capacity(method.len() + host.len() + target.len() + 2 * lines.len() + 512);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        base.extend_from_slice(b"\"@method\": ");
        base.extend_from_slice(method.as_bytes());
        base.extend_from_slice(b"\n\"@authority\": ");
        base.extend(without_usual_port(host, tls).iter().map(u8::to_ascii_lowercase));
        base.extend_from_slice(b"\n\"@path\": ");
        base.extend_from_slice(path.as_bytes());
        // A query that isn't there is an empty one (2.2.7).
        base.extend_from_slice(b"\n\"@query\": ?");
        base.extend_from_slice(query.as_bytes());
        base.push(b'\n');
        for (name, value) in fields(lines) {
            push_quoted(&mut base, name);
            base.extend_from_slice(b": ");
            base.extend_from_slice(value);
            base.push(b'\n');
        }
        base.extend_from_slice(b"\"@signature-params\": ");
        let parameters = base.len();
        base.extend_from_slice(b"(\"@method\" \"@authority\" \"@path\" \"@query\"");
        for (name, _) in fields(lines) {
            base.push(b' ');
            push_quoted(&mut base, name);
        }
        let (created, expires) = (now.unix(), now.plus(self.lifetime).unix());
        write!(base, ");created={created};expires={expires}").map_err(|_| SigningFailed)?;
        base.extend_from_slice(self.fixed.as_bytes());
        let encoded = self.key.sign(&base)?;
        Ok(RequestSignature { base, parameters, encoded })
    }
}

/// Never the key.
impl fmt::Debug for RequestSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (algorithm, key_id) = (&self.algorithm, &self.key_id);
        f.debug_struct("RequestSigner").field("algorithm", algorithm).field("key_id", key_id).finish_non_exhaustive()
    }
}

impl RequestSignature {
    /// Writes both header lines (4.1, 4.2).
    pub fn write(&self, head: &mut Vec<u8>) {
        let (text, length) = &self.encoded;
        head.extend_from_slice(b"Signature-Input: samlgate=");
        head.extend_from_slice(self.base.get(self.parameters..).unwrap_or_default());
        head.extend_from_slice(b"\r\nSignature: samlgate=:");
        head.extend_from_slice(text.get(..*length).unwrap_or_default());
        head.extend_from_slice(b":\r\n");
    }
}

/// Names and values of written lines. A value has no white space around it (2.1).
fn fields(lines: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    lines.split(|octet| *octet == b'\n').filter_map(|line| {
        let colon = line.iter().position(|octet| *octet == b':')?;
        let (name, value) = line.split_at_checked(colon)?;
        Some((name, value.get(1..)?.trim_ascii()))
    })
}

/// A field's component identifier (2.1): its name in lower case, quoted.
fn push_quoted(base: &mut Vec<u8>, name: &[u8]) {
    base.push(b'"');
    base.extend(name.iter().map(u8::to_ascii_lowercase));
    base.push(b'"');
}

/// A host without the port that its scheme has in any case (2.2.3).
fn without_usual_port(host: &[u8], tls: bool) -> &[u8] {
    let usual: &[u8] = if tls { b":443" } else { b":80" };
    host.strip_suffix(usual).unwrap_or(host)
}

/// Which shared key it is, without saying anything of it.
fn secret_id(secret: &[u8]) -> String {
    use std::fmt::Write as _;
    let whole = digest(&SHA256, &[b"samlgate request signature key id\0", secret].concat());
    whole.as_ref().iter().take(8).fold(String::with_capacity(16), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}

#[cfg(test)]
mod tests;
