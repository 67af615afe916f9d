//! Whether a trusted key made a signature over some octets: of a query (Bindings 3.4.4.1), or of a SignedInfo before an engine sees it.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P256_SHA512_ASN1, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1,
    ECDSA_P384_SHA512_ASN1, ECDSA_P521_SHA256_ASN1, ECDSA_P521_SHA384_ASN1, ECDSA_P521_SHA512_ASN1, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, VerificationAlgorithm,
};

use super::error::SamlError;
use super::keys::{KeyKind, TrustAnchors, TrustedCertificate};
use super::signature_form::{Hash, KeyFamily};

/// Why a signature isn't good when nothing could have made it.
pub(in crate::saml) const NO_KEY_OF_THAT_KIND: &str =
    "no certificate in the IdP's metadata has a key of the kind that it was made with";

/// The certificates whose keys are of a kind.
pub(in crate::saml) fn certificates_of(anchors: &TrustAnchors, family: KeyFamily) -> impl Iterator<Item = &TrustedCertificate> {
    anchors.certificates().iter().filter(move |certificate| match certificate.kind {
        KeyKind::Rsa(_) => family == KeyFamily::Rsa,
        KeyKind::Ec(_) => family == KeyFamily::Ec,
    })
}

/// Whether one of the trusted keys of a kind made `value` over `octets`.
///
/// An ECDSA signature is r and s side by side, as XML Signature has them (6.4.3), or in DER, as Java's and .NET's plain interfaces
/// give them. Either is a sound signature by the same key.
///
/// # Errors
/// `SignatureInvalid` when there is no key of that kind.
pub(in crate::saml) fn made_by_trusted_key(
    anchors: &TrustAnchors,
    (family, hash): (KeyFamily, Hash),
    octets: &[u8],
    value: &[u8],
) -> Result<bool, SamlError> {
    let mut candidates = certificates_of(anchors, family).peekable();
    if candidates.peek().is_none() {
        return Err(SamlError::SignatureInvalid(NO_KEY_OF_THAT_KIND));
    }
    Ok(candidates.any(|certificate| {
        let Some(algorithm) = algorithm(certificate.kind, hash) else { return false };
        let Ok(key) = ParsedPublicKey::new(algorithm, &certificate.spki) else { return false };
        let good = |value: &[u8]| key.verify_sig(octets, value).is_ok();
        let as_der = match certificate.kind {
            KeyKind::Rsa(_) => None,
            KeyKind::Ec(bits) => der_of(value, bits.div_ceil(8)),
        };
        good(value) || as_der.is_some_and(|value| good(&value))
    }))
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

/// DER of r and s side by side, each of `length` octets or, as older Java writes them, without zeros that both begin with (RFC 3279,
/// 2.2.3). `None` when it has another length.
fn der_of(value: &[u8], length: usize) -> Option<Vec<u8>> {
    if value.is_empty() || !value.len().is_multiple_of(2) || value.len() > 2 * length {
        return None;
    }
    let (r, s) = value.split_at(value.len() / 2);
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
    use super::der_of;

    #[test]
    fn der_has_the_lengths_that_it_says() {
        assert_eq!(der_of(&[0, 1, 0x80, 2], 2).unwrap(), [0x30, 8, 2, 1, 1, 2, 3, 0, 0x80, 2]);
        assert_eq!(der_of(&[0, 0], 1).unwrap(), [0x30, 6, 2, 1, 0, 2, 1, 0]);
        let large = der_of(&[0x7f; 132], 66).unwrap();
        assert_eq!((large.len(), &large[..5]), (3 + 2 * 68, &[0x30, 0x81, 136, 2, 66][..]));
        assert_eq!(der_of(&[1, 2, 3], 2), None);
    }
}
