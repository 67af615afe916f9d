//! Keys for a new installation (`samlgate keygen`).

use std::fmt;

use rcgen::{
    CertificateParams, DistinguishedName, DnType, DnValue, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RsaKeySize,
};
use thiserror::Error;
use time::OffsetDateTime;

use crate::clock::Timestamp;

const DAY: i64 = 24 * 60 * 60;
/// How long the certificate lasts: five years. IdPs mostly ignore the end, but some warn of it.
const DAYS: i64 = 5 * 365 + 1;
/// The longest common name (X.520, ub-common-name).
const NAME_CHARACTERS: usize = 64;

/// Why no keys could be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeygenError {
    /// The clock is beyond all calendars.
    #[error("the machine's clock is out of range")]
    Clock,
    /// Making a key or the certificate failed.
    #[error("no {what} could be made: {why}")]
    Failed {
        /// What was to be made.
        what: &'static str,
        /// The generator's words.
        why: String,
    },
}

impl KeygenError {
    /// The stable code of the cause.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Clock => "keygen_clock",
            Self::Failed { .. } => "keygen_failed",
        }
    }
}

/// What `samlgate keygen` writes: PEM all of it, the keys in PKCS #8.
#[derive(Clone, PartialEq, Eq)]
pub struct GeneratedKeys {
    /// The service provider's private key: RSA, 3072 bits.
    pub sp_key_pem: String,
    /// Its certificate, self-signed, valid for five years from the day before.
    pub sp_certificate_pem: String,
    /// The key of the assertion that applications get: EC P-256.
    pub assertion_key_pem: String,
}

impl fmt::Debug for GeneratedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GeneratedKeys").finish_non_exhaustive()
    }
}

/// Makes the keys. The certificate names `common_name` (usually the public host), cut to 64 characters. The keys' randomness is
/// the cryptographic provider's own.
///
/// # Errors
/// When the clock is out of range or the provider can't make a key.
pub fn generate_sp(common_name: &str, now: Timestamp) -> Result<GeneratedKeys, KeygenError> {
    let failed = |what| move |error: rcgen::Error| KeygenError::Failed { what, why: error.to_string() };
    // The day before, so that an IdP whose clock is behind takes it at once.
    let from = now.unix().saturating_sub(DAY);
    let at = |seconds: i64| OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| KeygenError::Clock);

    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_3072).map_err(failed("RSA key"))?;
    let mut certificate = CertificateParams::default();
    certificate.not_before = at(from)?;
    certificate.not_after = at(from.saturating_add(DAYS * DAY))?;
    certificate.distinguished_name = DistinguishedName::new();
    let name: String = common_name.chars().take(NAME_CHARACTERS).collect();
    certificate.distinguished_name.push(DnType::CommonName, DnValue::Utf8String(name));
    let certificate = certificate.self_signed(&key).map_err(failed("certificate"))?;
    let assertion = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed("EC key"))?;
    Ok(GeneratedKeys {
        sp_key_pem: key.serialize_pem(),
        sp_certificate_pem: certificate.pem(),
        assertion_key_pem: assertion.serialize_pem(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_certificate_lasts_five_years_and_belongs_to_the_key() {
        let now = Timestamp::parse_rfc3339("2026-03-01T12:00:00Z").unwrap();
        let keys = generate_sp(&"reports.example.com".repeat(5), now).unwrap();
        let (_, pem) = x509_parser::pem::parse_x509_pem(keys.sp_certificate_pem.as_bytes()).unwrap();
        let certificate = pem.parse_x509().unwrap();
        assert_eq!(certificate.validity().not_before.timestamp(), now.unix() - DAY);
        assert_eq!(certificate.validity().not_after.timestamp(), now.unix() + 5 * 365 * DAY);
        let name = certificate.subject().iter_common_name().next().unwrap().as_str().unwrap();
        assert_eq!(name.len(), 64);
        let key = crate::saml::SpKey::from_pem(keys.sp_key_pem.as_bytes(), keys.sp_certificate_pem.as_bytes()).unwrap();
        assert_eq!(key.kind, crate::saml::keys::KeyKind::Rsa(3072));
        assert!(keys.assertion_key_pem.starts_with("-----BEGIN PRIVATE KEY-----"));
        assert!(!format!("{keys:?}").contains("PRIVATE"));
    }

    #[test]
    fn a_clock_beyond_all_calendars_is_an_error() {
        assert_eq!(generate_sp("x", Timestamp::from_millis(i64::MAX)), Err(KeygenError::Clock));
    }
}
