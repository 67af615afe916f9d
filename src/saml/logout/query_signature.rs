//! The signature of the Redirect binding: over octets, without XML (Bindings 3.4.4.1).

use super::query::QuerySignature;
use crate::saml::error::{SamlError, cut};
use crate::saml::expectations::Compat;
use crate::saml::keys::TrustAnchors;
use crate::saml::signature_form::{Hash, of_signature_method};
use crate::saml::trusted_key::made_by_trusted_key;

/// Verifies the signature of a query with the trusted keys of the right kind; one must have made it.
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
    if made_by_trusted_key(anchors, (family, hash), signature.octets.as_bytes(), &signature.value)? {
        return Ok(());
    }
    Err(SamlError::SignatureInvalid("it was not made over this query with the key of any certificate in the IdP's metadata"))
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
}
