//! The signature of the Redirect binding: over octets, without XML (Bindings 3.4.4.1).

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P256_SHA512_ASN1, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1,
    ECDSA_P384_SHA512_ASN1, ECDSA_P521_SHA256_ASN1, ECDSA_P521_SHA384_ASN1, ECDSA_P521_SHA512_ASN1, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, VerificationAlgorithm,
};

use super::query::QuerySignature;
use crate::saml::error::{SamlError, cut};
use crate::saml::expectations::Compat;
use crate::saml::keys::{KeyKind, TrustAnchors};
use crate::saml::signature::certificates_of;
use crate::saml::signature_form::{Hash, of_signature_method};

/// Verifies the signature of a query with the trusted keys of the right kind; one must have made it.
///
/// An ECDSA signature is r and s side by side, as XML Signature has them (which the binding refers to), or in DER, as Java's and
/// .NET's plain interfaces give them. Either is a sound signature by the same key.
///
/// # Errors
/// `AlgorithmForbidden`, `SignatureInvalid`.
pub(super) fn verify(signature: &QuerySignature, anchors: &TrustAnchors, compat: Compat) -> Result<(), SamlError> {
    let method = &signature.method;
    let (family, hash) =
        of_signature_method(method).ok_or_else(|| SamlError::AlgorithmForbidden(format!("signature method {}", cut(method))))?;
    if hash == Hash::Sha1 && !compat.sha1 {
        return Err(SamlError::AlgorithmForbidden("SHA-1 in a signature".to_owned()));
    }
    let mut candidates = certificates_of(anchors, family).peekable();
    if candidates.peek().is_none() {
        return Err(SamlError::SignatureInvalid(
            "no certificate in the IdP's metadata has a key of the kind that it was made with",
        ));
    }
    let made = candidates.any(|certificate| {
        let Some(algorithm) = algorithm(certificate.kind, hash) else { return false };
        let Ok(key) = ParsedPublicKey::new(algorithm, &certificate.spki) else { return false };
        let good = |value: &[u8]| key.verify_sig(signature.octets.as_bytes(), value).is_ok();
        let as_der = match certificate.kind {
            KeyKind::Rsa(_) => None,
            KeyKind::Ec(bits) => der_of(&signature.value, bits.div_ceil(8)),
        };
        good(&signature.value) || as_der.is_some_and(|value| good(&value))
    });
    if made {
        return Ok(());
    }
    Err(SamlError::SignatureInvalid("it was not made over this query with the key of any certificate in the IdP's metadata"))
}

fn algorithm(kind: KeyKind, hash: Hash) -> Option<&'static dyn VerificationAlgorithm> {
    let algorithm: &'static dyn VerificationAlgorithm = match (kind, hash) {
        (KeyKind::Rsa(_), Hash::Sha1) => &RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
        (KeyKind::Rsa(_), Hash::Sha256) => &RSA_PKCS1_2048_8192_SHA256,
        (KeyKind::Rsa(_), Hash::Sha384) => &RSA_PKCS1_2048_8192_SHA384,
        (KeyKind::Rsa(_), Hash::Sha512) => &RSA_PKCS1_2048_8192_SHA512,
        (KeyKind::Ec(256), Hash::Sha256) => &ECDSA_P256_SHA256_ASN1,
        (KeyKind::Ec(256), Hash::Sha384) => &ECDSA_P256_SHA384_ASN1,
        (KeyKind::Ec(256), Hash::Sha512) => &ECDSA_P256_SHA512_ASN1,
        (KeyKind::Ec(384), Hash::Sha256) => &ECDSA_P384_SHA256_ASN1,
        (KeyKind::Ec(384), Hash::Sha384) => &ECDSA_P384_SHA384_ASN1,
        (KeyKind::Ec(384), Hash::Sha512) => &ECDSA_P384_SHA512_ASN1,
        (KeyKind::Ec(521), Hash::Sha256) => &ECDSA_P521_SHA256_ASN1,
        (KeyKind::Ec(521), Hash::Sha384) => &ECDSA_P521_SHA384_ASN1,
        (KeyKind::Ec(521), Hash::Sha512) => &ECDSA_P521_SHA512_ASN1,
        (KeyKind::Ec(_), _) => return None,
    };
    Some(algorithm)
}

/// DER of r and s side by side, each of `length` octets (RFC 3279, 2.2.3). `None` when it has another length.
fn der_of(value: &[u8], length: usize) -> Option<Vec<u8>> {
    if value.len() != 2 * length {
        return None;
    }
    let (r, s) = value.split_at(length);
    let mut integers = Vec::with_capacity(value.len() + 8);
    for number in [r, s] {
        let zeros = number.iter().take_while(|octet| **octet == 0).count();
        let significant = number.get(zeros..).unwrap_or_default();
        // A leading zero keeps it positive, and stands alone for zero.
        let sign: &[u8] = if significant.first().is_none_or(|first| *first >= 0x80) { &[0] } else { &[] };
        integers.push(0x02);
        integers.push(u8::try_from(sign.len() + significant.len()).ok()?);
        integers.extend_from_slice(sign);
        integers.extend_from_slice(significant);
    }
    let mut der = vec![0x30];
    let length = u8::try_from(integers.len()).ok()?;
    if length >= 0x80 {
        der.push(0x81);
    }
    der.push(length);
    der.append(&mut integers);
    Some(der)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair,
        EcdsaSigningAlgorithm,
    };

    use super::*;
    use crate::saml::keys::TrustedCertificate;

    const ECDSA_SHA256: &str = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256";
    const ECDSA_SHA512: &str = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512";

    fn pair(kind: &'static rcgen::SignatureAlgorithm) -> (Vec<u8>, TrustedCertificate) {
        let key = rcgen::KeyPair::generate_for(kind).unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["idp.test".to_owned()]).unwrap().self_signed(&key).unwrap();
        (key.serialize_der(), TrustedCertificate::from_der(certificate.der()).unwrap())
    }

    fn signed(key: &[u8], algorithm: &'static EcdsaSigningAlgorithm, method: &str, octets: &str) -> QuerySignature {
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, key).unwrap();
        let value = pair.sign(&SystemRandom::new(), octets.as_bytes()).unwrap().as_ref().to_vec();
        QuerySignature { method: method.to_owned(), octets: octets.to_owned(), value }
    }

    fn code(signature: &QuerySignature, trusted: &[&TrustedCertificate]) -> &'static str {
        let anchors = TrustAnchors::new(trusted.iter().map(|&certificate| certificate.clone()).collect()).unwrap();
        verify(signature, &anchors, Compat::default()).map_or_else(|error| error.code(), |()| "good")
    }

    #[test]
    fn ecdsa_is_taken_in_both_forms_from_any_trusted_key() {
        let (key, certificate) = pair(&rcgen::PKCS_ECDSA_P256_SHA256);
        let (large, large_certificate) = pair(&rcgen::PKCS_ECDSA_P521_SHA512);
        let (_, other) = pair(&rcgen::PKCS_ECDSA_P256_SHA256);
        let trusted = [&other, &large_certificate, &certificate];
        // Several times, since lengths of DER differ from one signature to the next.
        for at in 0..40 {
            let octets = format!("SAMLRequest={at}");
            for mut signature in [
                signed(&key, &ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_SHA256, &octets),
                signed(&key, &ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_SHA256, &octets),
                signed(&large, &ECDSA_P521_SHA512_FIXED_SIGNING, ECDSA_SHA512, &octets),
            ] {
                assert_eq!(code(&signature, &trusted), "good");
                assert_eq!(code(&signature, &[&other]), "signature_invalid");
                signature.octets.push(' ');
                assert_eq!(code(&signature, &trusted), "signature_invalid");
            }
        }
    }

    #[test]
    fn the_method_must_be_allowed_and_fit_the_key() {
        let (key, certificate) = pair(&rcgen::PKCS_ECDSA_P256_SHA256);
        let good = signed(&key, &ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_SHA256, "x");
        let with =
            |method: &str| QuerySignature { method: method.to_owned(), octets: good.octets.clone(), value: good.value.clone() };
        for (method, expected) in [
            (ECDSA_SHA512, "signature_invalid"),
            ("http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", "signature_invalid"),
            ("http://www.w3.org/2000/09/xmldsig#rsa-sha1", "algorithm_forbidden"),
            ("http://www.w3.org/2001/04/xmldsig-more#hmac-sha256", "algorithm_forbidden"),
            ("", "algorithm_forbidden"),
        ] {
            assert_eq!(code(&with(method), &[&certificate]), expected, "{method}");
        }
    }

    #[test]
    fn der_has_the_lengths_that_it_says() {
        assert_eq!(der_of(&[0, 1, 0x80, 2], 2).unwrap(), [0x30, 8, 2, 1, 1, 2, 3, 0, 0x80, 2]);
        assert_eq!(der_of(&[0, 0], 1).unwrap(), [0x30, 6, 2, 1, 0, 2, 1, 0]);
        let large = der_of(&[0x7f; 132], 66).unwrap();
        assert_eq!((large.len(), &large[..5]), (3 + 2 * 68, &[0x30, 0x81, 136, 2, 66][..]));
        assert_eq!(der_of(&[1, 2, 3], 2), None);
    }
}
