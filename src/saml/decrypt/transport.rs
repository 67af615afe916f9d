//! How a content key is wrapped for us (XML Encryption 5.5), and how it is unwrapped without telling whether it could be.

use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384, OAEP_SHA512_MGF1SHA512, OaepAlgorithm};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use super::private_key::PrivateKey;
use crate::saml::digest;
use crate::saml::signature_form::Hash;

/// A content key; the first octets of it, as many as the cipher needs.
pub(super) type ContentKey = [u8; 32];

/// An algorithm that wraps content keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    /// RSA-OAEP (RFC 8017, 7.1).
    Oaep {
        /// DigestMethod: of the label.
        hash: Hash,
        /// MGF: of the mask.
        mask: Hash,
        /// OAEPparams.
        label: Vec<u8>,
    },
    /// RSA PKCS #1 v1.5 (RFC 8017, 7.2); only with `compat = ["rsa-1.5"]`.
    Pkcs1,
}

/// A content key, wrapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WrappedKey {
    /// How.
    pub(super) transport: Transport,
    /// The ciphertext.
    pub(super) octets: Vec<u8>,
}

impl WrappedKey {
    /// Unwraps a content key of a length, and says whether that is one: both in a time that does not tell.
    pub(super) fn unwrap(&self, key: &PrivateKey, length: usize) -> (ContentKey, Choice) {
        let found = match &self.transport {
            Transport::Oaep { hash, mask, label } => match (key.standard(), aws_name(*hash, *mask)) {
                (Some(key), Some(algorithm)) => {
                    let mut buffer = vec![0; key.min_output_size()];
                    // aws-lc checks the padding in constant time, and only its outcome is seen here.
                    match key.decrypt(algorithm, &self.octets, &mut buffer, Some(label.as_slice())) {
                        Ok(octets) if octets.len() == length => Some((content_key(octets), Choice::from(1))),
                        _ => None,
                    }
                }
                _ => key.bare(&self.octets).and_then(|encoded| oaep(&encoded, *hash, *mask, label, length)),
            },
            Transport::Pkcs1 => key.bare(&self.octets).and_then(|encoded| pkcs1(&encoded, length)),
        };
        found.unwrap_or(([0; 32], Choice::from(0)))
    }

    /// In plain words.
    pub(super) fn describe(&self) -> String {
        match &self.transport {
            Transport::Oaep { hash, mask, .. } if hash == mask => format!("RSA-OAEP with {hash:?}"),
            Transport::Oaep { hash, mask, .. } => format!("RSA-OAEP with {hash:?} and MGF1 {mask:?}"),
            Transport::Pkcs1 => "RSA 1.5".to_owned(),
        }
    }
}

fn aws_name(hash: Hash, mask: Hash) -> Option<&'static OaepAlgorithm> {
    match (hash, mask) {
        (Hash::Sha1, Hash::Sha1) => Some(&OAEP_SHA1_MGF1SHA1),
        (Hash::Sha256, Hash::Sha256) => Some(&OAEP_SHA256_MGF1SHA256),
        (Hash::Sha384, Hash::Sha384) => Some(&OAEP_SHA384_MGF1SHA384),
        (Hash::Sha512, Hash::Sha512) => Some(&OAEP_SHA512_MGF1SHA512),
        _ => None,
    }
}

fn content_key(octets: &[u8]) -> ContentKey {
    let mut key = [0; 32];
    for (octet, found) in key.iter_mut().zip(octets) {
        *octet = *found;
    }
    key
}

/// EME-OAEP decoding (RFC 8017, 7.1.2). The length of the key is known, so every part has its place and all are looked at.
/// `None` only when the modulus has no room for them, which anybody can see.
fn oaep(encoded: &[u8], hash: Hash, mask: Hash, label: &[u8], length: usize) -> Option<(ContentKey, Choice)> {
    let (first, rest) = encoded.split_first()?;
    let (seed, block) = rest.split_at_checked(hash.length())?;
    let mut seed = seed.to_vec();
    apply_mask(mask, block, &mut seed);
    let mut block = block.to_vec();
    apply_mask(mask, &seed, &mut block);
    let (label_hash, rest) = block.split_at_checked(hash.length())?;
    let (padding, key) = rest.split_at_checked(rest.len().checked_sub(length)?)?;
    let (one, zeros) = padding.split_last()?;
    let good = first.ct_eq(&0)
        & label_hash.ct_eq(&digest::hash(hash, label))
        & zeros.iter().fold(Choice::from(1), |all, octet| all & octet.ct_eq(&0))
        & one.ct_eq(&1);
    Some((content_key(key), good))
}

/// EME-PKCS1-v1_5 decoding (RFC 8017, 7.2.2; RFC 3218, 2.3.2), likewise.
fn pkcs1(encoded: &[u8], length: usize) -> Option<(ContentKey, Choice)> {
    let (padding, key) = encoded.split_at_checked(encoded.len().checked_sub(length)?)?;
    let (zero, padding) = padding.split_last()?;
    let (start, random) = padding.split_at_checked(2)?;
    if random.len() < 8 {
        return None;
    }
    let good = start.ct_eq(&[0, 2]) & random.iter().fold(Choice::from(1), |all, octet| all & !octet.ct_eq(&0)) & zero.ct_eq(&0);
    Some((content_key(key), good))
}

/// Exclusive or with MGF1 (RFC 8017, B.2.1).
fn apply_mask(hash: Hash, seed: &[u8], to: &mut [u8]) {
    for (counter, chunk) in (0_u32..).zip(to.chunks_mut(hash.length())) {
        let mut input = seed.to_vec();
        input.extend_from_slice(&counter.to_be_bytes());
        for (octet, mask) in chunk.iter_mut().zip(digest::hash(hash, &input)) {
            *octet ^= mask;
        }
    }
}

/// Puts one content key in place of another when `choice` says so, in a time that doesn't tell.
pub(super) fn choose(into: &mut ContentKey, other: &ContentKey, choice: Choice) {
    for (octet, of_other) in into.iter_mut().zip(other) {
        octet.conditional_assign(of_other, choice);
    }
}
