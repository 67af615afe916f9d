//! Keys: those of the IdP that are trusted, and our own.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P384_SHA384_FIXED,
    ECDSA_P521_SHA512_ASN1_SIGNING, ECDSA_P521_SHA512_FIXED, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, VerificationAlgorithm,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_NIST_EC_P521, OID_PKCS1_RSAENCRYPTION,
};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::decrypt::{PrivateKey, PublicNumbers};

/// The shortest RSA modulus that is trusted, in bits (NIST SP 800-131A).
const MIN_RSA_BITS: usize = 2048;
/// The shortest RSA key of our own that still decrypts. It can't sign, and isn't published.
const MIN_OWN_RSA_BITS: usize = 1024;
/// The longest, in bits: the most that aws-lc verifies with.
const MAX_RSA_BITS: usize = 8192;

/// Why a certificate or key can't be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// Not PEM or DER of the right kind.
    #[error("cannot be read as a certificate or private key: {0}")]
    Unreadable(String),
    /// Too short or of an unsupported kind.
    #[error("{0}; RSA of at least 2048 bits, or EC P-256, P-384 or P-521 is needed")]
    TooWeak(String),
    /// Key and certificate don't belong together.
    #[error("the private key does not belong to the certificate")]
    Mismatch,
    /// There is no usable certificate at all.
    #[error("there is no usable signing certificate")]
    None,
}

/// Kind of a trusted key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA with the modulus' length in bits.
    Rsa(usize),
    /// Elliptic curve with the field's length in bits: 256, 384 or 521.
    Ec(usize),
}

/// A certificate whose key is trusted to sign for an IdP. The certificate is a container for the key: neither its dates nor
/// its issuer are checked (SAML metadata interoperability profile 2.6), its end is only reported.
#[derive(Clone, PartialEq, Eq)]
pub struct TrustedCertificate {
    /// The certificate, DER.
    pub(crate) der: Vec<u8>,
    /// Its SubjectPublicKeyInfo, DER: what is really trusted.
    pub(crate) spki: Vec<u8>,
    /// Kind and size of the key.
    pub kind: KeyKind,
    /// notAfter, in seconds since the epoch: reported, not enforced.
    pub not_after: i64,
}

impl TrustedCertificate {
    /// Reads DER.
    ///
    /// # Errors
    /// When it isn't a certificate, or its key is too weak or of an unsupported kind.
    pub fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        let (rest, certificate) =
            X509Certificate::from_der(der).map_err(|error| KeyError::Unreadable(format!("not an X.509 certificate: {error}")))?;
        if !rest.is_empty() {
            return Err(KeyError::Unreadable("something follows the certificate".to_owned()));
        }
        let spki = certificate.public_key();
        let kind = kind_of(spki, MIN_RSA_BITS)?;
        // A key that the engine could not use is refused here, at start, and not at somebody's login.
        ParsedPublicKey::new(kind.verification(), spki.raw)
            .map_err(|_| KeyError::Unreadable("the public key is not valid".to_owned()))?;
        Ok(Self { der: der.to_vec(), spki: spki.raw.to_vec(), kind, not_after: certificate.validity().not_after.timestamp() })
    }

    /// Reads the first certificate of a PEM file.
    ///
    /// # Errors
    /// As [`Self::from_der`].
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        Self::from_der(&first_certificate(pem)?)
    }
}

impl TrustedCertificate {
    /// SHA-256 of the certificate in hexadecimal, as tools for certificates show it, without colons.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.der)
    }
}

/// SHA-256 of a certificate in hexadecimal.
pub fn fingerprint(der: &[u8]) -> String {
    use fmt::Write as _;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der);
    digest.as_ref().iter().fold(String::with_capacity(64), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}

fn first_certificate(pem: &[u8]) -> Result<CertificateDer<'static>, KeyError> {
    CertificateDer::from_pem_slice(pem).map_err(|error| KeyError::Unreadable(format!("no PEM certificate: {error}")))
}

/// Kind and size of a public key that may be trusted. RSA-PSS-only and explicit curve parameters are not supported.
fn kind_of(spki: &SubjectPublicKeyInfo<'_>, min_rsa_bits: usize) -> Result<KeyKind, KeyError> {
    let algorithm = &spki.algorithm.algorithm;
    if *algorithm == OID_PKCS1_RSAENCRYPTION {
        let Ok(PublicKey::RSA(key)) = spki.parsed() else {
            return Err(KeyError::Unreadable("the RSA key is not valid".to_owned()));
        };
        return match modulus_bits(key.modulus) {
            bits if bits < min_rsa_bits => Err(KeyError::TooWeak(format!("the RSA key has {bits} bits"))),
            bits if bits > MAX_RSA_BITS => {
                Err(KeyError::Unreadable(format!("the RSA key has {bits} bits, more than {MAX_RSA_BITS}")))
            }
            bits => Ok(KeyKind::Rsa(bits)),
        };
    }
    if *algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY {
        let curve = spki.algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
        return match curve {
            Some(oid) if oid == OID_EC_P256 => Ok(KeyKind::Ec(256)),
            Some(oid) if oid == OID_NIST_EC_P384 => Ok(KeyKind::Ec(384)),
            Some(oid) if oid == OID_NIST_EC_P521 => Ok(KeyKind::Ec(521)),
            _ => Err(KeyError::TooWeak("the EC key is on an unsupported curve".to_owned())),
        };
    }
    Err(KeyError::TooWeak(format!("the key is of an unsupported kind ({algorithm})")))
}

fn modulus_bits(modulus: &[u8]) -> usize {
    let significant = modulus.iter().skip_while(|octet| **octet == 0);
    let first = significant.clone().next().map_or(0, |octet| octet.leading_zeros() as usize);
    (significant.count() * 8).saturating_sub(first)
}

impl KeyKind {
    fn verification(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::Rsa(_) => &RSA_PKCS1_2048_8192_SHA256,
            Self::Ec(256) => &ECDSA_P256_SHA256_FIXED,
            Self::Ec(384) => &ECDSA_P384_SHA384_FIXED,
            Self::Ec(_) => &ECDSA_P521_SHA512_FIXED,
        }
    }

    fn ec_signing(bits: usize) -> &'static EcdsaSigningAlgorithm {
        match bits {
            256 => &ECDSA_P256_SHA256_ASN1_SIGNING,
            384 => &ECDSA_P384_SHA384_ASN1_SIGNING,
            _ => &ECDSA_P521_SHA512_ASN1_SIGNING,
        }
    }
}

impl fmt::Debug for TrustedCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrustedCertificate").field("kind", &self.kind).field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

/// The certificates whose keys are trusted to sign for one IdP: at least one, by construction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustAnchors(Vec<TrustedCertificate>);

impl TrustAnchors {
    /// Takes the usable certificates.
    ///
    /// # Errors
    /// [`KeyError::None`] when there are none: without a key nothing may be believed.
    pub fn new(certificates: Vec<TrustedCertificate>) -> Result<Self, KeyError> {
        if certificates.is_empty() { Err(KeyError::None) } else { Ok(Self(certificates)) }
    }

    /// All of them.
    pub fn certificates(&self) -> &[TrustedCertificate] {
        &self.0
    }
}

/// One of our own key pairs with its certificate: signs requests and metadata, decrypts assertions.
#[derive(Clone)]
pub struct SpKey {
    /// PKCS #8, DER (PKCS #1 of a key that only decrypts).
    pub(crate) pkcs8: Vec<u8>,
    /// The certificate, DER, as it is published.
    pub(crate) certificate: Vec<u8>,
    /// Kind and size.
    pub kind: KeyKind,
    /// Of an RSA key: ready to decrypt.
    private: Option<Arc<PrivateKey>>,
}

impl SpKey {
    /// Reads a private key (PKCS #8, PKCS #1 or SEC 1, PEM) and its certificate (PEM). An RSA key of 1024 to 2047 bits is taken
    /// too, but only to decrypt what an IdP still encrypts for it: see [`Self::may_sign`].
    ///
    /// # Errors
    /// When one can't be read, is too weak, or they don't belong together.
    pub fn from_pem(key: &[u8], certificate: &[u8]) -> Result<Self, KeyError> {
        let certificate = first_certificate(certificate)?;
        let (_, parsed) = X509Certificate::from_der(&certificate)
            .map_err(|error| KeyError::Unreadable(format!("not an X.509 certificate: {error}")))?;
        let spki = parsed.public_key();
        let kind = kind_of(spki, MIN_OWN_RSA_BITS)?;
        let private = PrivateKeyDer::from_pem_slice(key)
            .map_err(|error| KeyError::Unreadable(format!("no PEM private key (an encrypted one is not supported): {error}")))?;
        let (pkcs8, public) = match kind {
            KeyKind::Rsa(bits) if bits < MIN_RSA_BITS => {
                return Self::only_decrypting(&private, spki, certificate.to_vec(), kind);
            }
            KeyKind::Rsa(_) => rsa_pair(&private)?,
            KeyKind::Ec(bits) => ec_pair(&private, KeyKind::ec_signing(bits))?,
        };
        // Both aws-lc and the certificate write the public key in its only form: PKCS #1 for RSA, uncompressed for EC.
        if public != spki.subject_public_key.data.as_ref() {
            return Err(KeyError::Mismatch);
        }
        let private = match kind {
            KeyKind::Rsa(_) => {
                let (private, _) = PrivateKey::from_der(&pkcs8)
                    .ok_or_else(|| KeyError::Unreadable("an RSA key without its two primes".to_owned()))?;
                Some(Arc::new(private))
            }
            KeyKind::Ec(_) => None,
        };
        Ok(Self { pkcs8, certificate: certificate.to_vec(), kind, private })
    }

    /// A key too short for anything but reading what was encrypted for it.
    fn only_decrypting(
        private: &PrivateKeyDer<'_>,
        spki: &SubjectPublicKeyInfo<'_>,
        certificate: Vec<u8>,
        kind: KeyKind,
    ) -> Result<Self, KeyError> {
        let der = private.secret_der();
        let (key, public) = PrivateKey::from_der(der).ok_or(KeyError::Mismatch)?;
        let Ok(PublicKey::RSA(published)) = spki.parsed() else { return Err(KeyError::Mismatch) };
        let plain = |number: &[u8]| number.iter().copied().skip_while(|octet| *octet == 0).collect::<Vec<u8>>();
        if public != (PublicNumbers { modulus: plain(published.modulus), exponent: plain(published.exponent) }) {
            return Err(KeyError::Mismatch);
        }
        Ok(Self { pkcs8: der.to_vec(), certificate, kind, private: Some(Arc::new(key)) })
    }

    /// The certificate, DER.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// notAfter of the certificate, in seconds since the epoch.
    pub fn not_after(&self) -> Option<i64> {
        let (_, certificate) = X509Certificate::from_der(&self.certificate).ok()?;
        Some(certificate.validity().not_after.timestamp())
    }

    /// Whether the key is long enough to sign and to be published. A shorter one only decrypts.
    pub fn may_sign(&self) -> bool {
        !matches!(self.kind, KeyKind::Rsa(bits) if bits < MIN_RSA_BITS)
    }

    /// The key to decrypt with; `None` for elliptic curves, for which no IdP encrypts.
    pub(in crate::saml) fn private(&self) -> Option<&PrivateKey> {
        self.private.as_deref()
    }
}

impl fmt::Debug for SpKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpKey").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// PKCS #8 and the public key of an RSA private key.
fn rsa_pair(private: &PrivateKeyDer<'_>) -> Result<(Vec<u8>, Vec<u8>), KeyError> {
    let pair = match private {
        PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
        PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
        _ => return Err(KeyError::Mismatch),
    }
    // Also what an EC key beside an RSA certificate comes to.
    .map_err(|_| KeyError::Mismatch)?;
    let pkcs8 = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'static>>::as_der(&pair)
        .map_err(|_| KeyError::Unreadable("the RSA key cannot be written as PKCS #8".to_owned()))?;
    Ok((pkcs8.as_ref().to_vec(), pair.public_key().as_ref().to_vec()))
}

/// PKCS #8 and the public key of an EC private key.
fn ec_pair(private: &PrivateKeyDer<'_>, algorithm: &'static EcdsaSigningAlgorithm) -> Result<(Vec<u8>, Vec<u8>), KeyError> {
    let pair = EcdsaKeyPair::from_private_key_der(algorithm, private.secret_der()).map_err(|_| KeyError::Mismatch)?;
    let pkcs8 = pair.to_pkcs8v1().map_err(|_| KeyError::Unreadable("the EC key cannot be written as PKCS #8".to_owned()))?;
    Ok((pkcs8.as_ref().to_vec(), pair.public_key().as_ref().to_vec()))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair as Generated, SignatureAlgorithm};

    use super::*;

    fn certificate(key: &Generated) -> String {
        CertificateParams::new(vec!["idp.test".to_owned()]).unwrap().self_signed(key).unwrap().pem()
    }

    fn generated(algorithm: &'static SignatureAlgorithm) -> Generated {
        Generated::generate_for(algorithm).unwrap()
    }

    #[test]
    fn reads_certificates_of_every_supported_kind() {
        for (algorithm, kind) in [
            (&rcgen::PKCS_ECDSA_P256_SHA256, KeyKind::Ec(256)),
            (&rcgen::PKCS_ECDSA_P384_SHA384, KeyKind::Ec(384)),
            (&rcgen::PKCS_ECDSA_P521_SHA512, KeyKind::Ec(521)),
        ] {
            let key = generated(algorithm);
            let pem = certificate(&key);
            let trusted = TrustedCertificate::from_pem(pem.as_bytes()).unwrap();
            assert_eq!(trusted.kind, kind);
            assert!(trusted.not_after > 0);
            let own = SpKey::from_pem(key.serialize_pem().as_bytes(), pem.as_bytes()).unwrap();
            assert_eq!((own.kind, own.certificate()), (kind, trusted.der.as_slice()));
            assert!(
                EcdsaKeyPair::from_pkcs8(
                    KeyKind::ec_signing(match own.kind {
                        KeyKind::Ec(bits) | KeyKind::Rsa(bits) => bits,
                    }),
                    &own.pkcs8
                )
                .is_ok()
            );
        }
    }

    #[test]
    fn reads_rsa_keys_in_both_forms() {
        let pem = include_bytes!("keys/testdata/rsa_2048.crt");
        for key in
            [include_bytes!("keys/testdata/rsa_2048_pkcs8.key").as_slice(), include_bytes!("keys/testdata/rsa_2048_pkcs1.key")]
        {
            let own = SpKey::from_pem(key, pem).unwrap();
            assert_eq!(own.kind, KeyKind::Rsa(2048));
            assert!(RsaKeyPair::from_pkcs8(&own.pkcs8).is_ok());
        }
        let sec1 = include_bytes!("keys/testdata/p256_sec1.key");
        assert_eq!(SpKey::from_pem(sec1, include_bytes!("keys/testdata/p256.crt")).unwrap().kind, KeyKind::Ec(256));
        assert_eq!(SpKey::from_pem(sec1, pem).unwrap_err(), KeyError::Mismatch);
    }

    #[test]
    fn refuses_weak_and_unsupported_keys() {
        let weak = TrustedCertificate::from_pem(include_bytes!("keys/testdata/rsa_1024.crt")).unwrap_err();
        assert_eq!(
            weak.to_string(),
            "the RSA key has 1024 bits; RSA of at least 2048 bits, or EC P-256, P-384 or P-521 is needed"
        );
        let edwards = certificate(&generated(&rcgen::PKCS_ED25519));
        assert!(matches!(TrustedCertificate::from_pem(edwards.as_bytes()), Err(KeyError::TooWeak(_))));
    }

    #[test]
    fn refuses_what_does_not_belong_together_or_cannot_be_read() {
        let (one, other) = (generated(&rcgen::PKCS_ECDSA_P256_SHA256), generated(&rcgen::PKCS_ECDSA_P256_SHA256));
        let curve = generated(&rcgen::PKCS_ECDSA_P384_SHA384);
        let pem = certificate(&one);
        for key in [&other, &curve] {
            let error = SpKey::from_pem(key.serialize_pem().as_bytes(), pem.as_bytes()).unwrap_err();
            assert_eq!(error, KeyError::Mismatch);
        }
        for bad in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", &one.serialize_pem()] {
            assert!(matches!(TrustedCertificate::from_pem(bad.as_bytes()), Err(KeyError::Unreadable(_))), "{bad}");
            assert!(matches!(SpKey::from_pem(bad.as_bytes(), bad.as_bytes()), Err(KeyError::Unreadable(_))), "{bad}");
        }
        let trusted = TrustedCertificate::from_pem(pem.as_bytes()).unwrap();
        let mut longer = trusted.der.clone();
        longer.push(0);
        assert!(matches!(TrustedCertificate::from_der(&longer), Err(KeyError::Unreadable(_))));
        assert_eq!(TrustAnchors::new(Vec::new()), Err(KeyError::None));
        assert_eq!(TrustAnchors::new(vec![trusted]).unwrap().certificates().len(), 1);
    }

    #[test]
    fn debug_output_has_no_key_in_it() {
        let key = generated(&rcgen::PKCS_ECDSA_P256_SHA256);
        let own = SpKey::from_pem(key.serialize_pem().as_bytes(), certificate(&key).as_bytes()).unwrap();
        assert_eq!(format!("{own:?}"), "SpKey { kind: Ec(256), .. }");
    }

    #[test]
    fn a_short_key_of_our_own_only_decrypts() {
        let (key, certificate) =
            (include_bytes!("../../tests/fixtures/sp-short.key"), include_bytes!("../../tests/fixtures/sp-short.crt"));
        let short = SpKey::from_pem(key, certificate).unwrap();
        assert_eq!(short.kind, KeyKind::Rsa(1024));
        assert!(!short.may_sign() && short.private().is_some());
        assert!(TrustedCertificate::from_pem(certificate).is_err(), "and nobody else's is trusted");
        let other = include_bytes!("../../tests/fixtures/sp.key");
        assert_eq!(SpKey::from_pem(other, certificate).unwrap_err(), KeyError::Mismatch);
        let long = SpKey::from_pem(other, include_bytes!("../../tests/fixtures/sp.crt")).unwrap();
        assert!(long.may_sign() && long.private().is_some());
    }
}
