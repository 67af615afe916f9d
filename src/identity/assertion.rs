//! The signed identity: a JWS (ES256) that travels with every request of a session.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde::Serialize;

use super::Identity;
use crate::clock::Timestamp;
use crate::saml::NameId;

/// What the assertion says beside the identity.
#[derive(Clone, Debug)]
pub struct AssertionFacts<'a> {
    /// The user.
    pub identity: &'a Identity,
    /// The IdP's short name.
    pub idp: &'a str,
    /// The IdP's entity ID and the subject: `sub` is a stable opaque digest of both.
    pub issuer: &'a str,
    /// The subject.
    pub name_id: &'a NameId,
    /// Public id of the session.
    pub sid: &'a str,
    /// When the user authenticated.
    pub auth_time: Timestamp,
    /// AuthnContextClassRef.
    pub acr: Option<&'a str>,
    /// `saml` or `local`.
    pub method: &'a str,
}

/// A minted assertion, good for several requests.
#[derive(Clone, Debug)]
pub struct MintedAssertion {
    /// The header's value, marked sensitive.
    pub header: HeaderValue,
    /// From when a new one is minted: half of its life.
    pub renew_at: Timestamp,
}

/// Signs assertions; holds the EC P-256 key.
pub struct AssertionSigner {
    key: EncodingKey,
    header: Header,
    jwk: serde_json::Value,
    jwks: String,
    issuer: String,
    audience: String,
    /// `exp - iat`.
    pub lifetime: Duration,
}

/// Why a signer can't be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignerError {
    /// Not an EC P-256 private key in PEM.
    #[error("not an EC P-256 private key in PEM (PKCS #8 or SEC 1)")]
    Key,
    /// Signing failed.
    #[error("signing failed")]
    Sign,
}

/// The claims (RFC 7519). What is absent is left out: an application must not take "" for a value.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    iat: i64,
    nbf: i64,
    exp: i64,
    jti: &'a str,
    sid: &'a str,
    user: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    groups: Vec<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    groups_cut: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a str>,
    idp: &'a str,
    auth_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    acr: Option<&'a str>,
    method: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    extra: BTreeMap<&'a str, &'a str>,
    #[serde(flatten)]
    own: BTreeMap<&'a str, &'a str>,
}

/// Names of claims with a meaning. An extra field of such a name stands under `extra` and can't replace one.
pub const CLAIMS: &[&str] = &[
    "iss",
    "aud",
    "sub",
    "iat",
    "nbf",
    "exp",
    "jti",
    "sid",
    "user",
    "email",
    "name",
    "role",
    "groups",
    "groups_cut",
    "tenant",
    "idp",
    "auth_time",
    "acr",
    "amr",
    "azp",
    "nonce",
    "cnf",
    "scope",
    "method",
    "extra",
];

impl AssertionSigner {
    /// From an EC P-256 key in PEM; `issuer` is public_url.
    ///
    /// # Errors
    /// When the key is another one.
    pub fn from_pem(pem: &[u8], issuer: String, audience: String, lifetime: Duration) -> Result<Self, SignerError> {
        let der = PrivateKeyDer::from_pem_slice(pem).map_err(|_| SignerError::Key)?;
        let key = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, der.secret_der())
            .map_err(|_| SignerError::Key)?;
        let (x, y) = coordinates(key.public_key().as_ref()).ok_or(SignerError::Key)?;
        let kid = thumbprint(&format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#));
        let jwk = serde_json::json!({"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": kid, "x": x, "y": y});
        let pkcs8 = key.to_pkcs8v1().map_err(|_| SignerError::Key)?;
        let header = Header { kid: Some(kid), ..Header::new(Algorithm::ES256) };
        let jwks = serde_json::json!({ "keys": [jwk] }).to_string();
        Ok(Self { key: EncodingKey::from_ec_der(pkcs8.as_ref()), header, jwk, jwks, issuer, audience, lifetime })
    }

    /// Publishes another public key (RFC 7517) in the key set, after the assertion's own.
    #[must_use]
    pub fn publishing(mut self, other: &serde_json::Value) -> Self {
        self.jwks = serde_json::json!({ "keys": [self.jwk, other] }).to_string();
        self
    }

    /// A signed assertion for a session. `jti` is random.
    ///
    /// # Errors
    /// When signing fails; then no request may pass.
    pub fn mint(&self, facts: &AssertionFacts<'_>, now: Timestamp, jti: &str) -> Result<MintedAssertion, SignerError> {
        let identity = facts.identity;
        let (extra, own) = identity.extra().partition(|(name, _)| CLAIMS.contains(name));
        let claims = Claims {
            iss: &self.issuer,
            aud: &self.audience,
            sub: &subject(facts.issuer, facts.name_id),
            iat: now.unix(),
            nbf: now.unix(),
            exp: now.plus(self.lifetime).unix(),
            jti,
            sid: facts.sid,
            user: identity.user(),
            email: identity.email(),
            name: identity.name(),
            role: identity.role(),
            groups: identity.groups().collect(),
            groups_cut: identity.groups_cut(),
            tenant: identity.tenant(),
            idp: facts.idp,
            auth_time: facts.auth_time.unix(),
            acr: facts.acr,
            method: facts.method,
            extra,
            own,
        };
        let token = jsonwebtoken::encode(&self.header, &claims, &self.key).map_err(|_| SignerError::Sign)?;
        let mut header = HeaderValue::try_from(token).map_err(|_| SignerError::Sign)?;
        header.set_sensitive(true);
        Ok(MintedAssertion { header, renew_at: now.plus(self.lifetime / 2) })
    }

    /// The key's RFC 7638 thumbprint.
    pub fn kid(&self) -> Option<&str> {
        self.header.kid.as_deref()
    }

    /// The key set (RFC 7517) as JSON; `kid` is the RFC 7638 thumbprint.
    pub fn jwks(&self) -> &str {
        &self.jwks
    }
}

impl fmt::Debug for AssertionSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AssertionSigner").field("kid", &self.header.kid).field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

/// A new EC P-256 key in PEM (PKCS #8), for when none is configured. Its randomness is the cryptographic provider's own.
///
/// # Errors
/// When the provider can't make one.
pub fn generate_key() -> Result<String, SignerError> {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(|_| SignerError::Key)?;
    Ok(key.serialize_pem())
}

/// The two coordinates of an uncompressed point (SEC 1, 2.3.3), in base64url.
pub(super) fn coordinates(point: &[u8]) -> Option<(String, String)> {
    let (x, y) = point.strip_prefix(&[4])?.split_at_checked(32)?;
    (y.len() == 32).then(|| (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y)))
}

/// A key's thumbprint (RFC 7638, 3.2): `members` are the required ones in order, without white space.
pub(super) fn thumbprint(members: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, members.as_bytes()))
}

/// `sub`: the same for the same subject of the same IdP, and of no use to find either. XML text can't hold a zero octet, so
/// the parts can't run into each other; an absent qualifier differs from an empty one.
fn subject(issuer: &str, name_id: &NameId) -> String {
    let mut text = format!("{issuer}\0{}", name_id.value);
    for qualifier in [&name_id.name_qualifier, &name_id.sp_name_qualifier] {
        match qualifier {
            Some(qualifier) => text.extend(["\0+", qualifier]),
            None => text.push_str("\0-"),
        }
    }
    URL_SAFE_NO_PAD.encode(digest(&SHA256, text.as_bytes()))
}

#[cfg(test)]
mod tests;
