//! Our private RSA key, ready to decrypt: parsed once, when the configuration is read.
//!
//! aws-lc-rs has names for OAEP with one hash for label and mask only, and answers a bad RSA 1.5 padding with an error. Keycloak
//! sends OAEP with SHA-256 and a mask of SHA-1, and an error for RSA 1.5 is an oracle (Bleichenbacher). So there is a bare RSA
//! operation too, on arithmetic that takes the same time for every key and every input.

use aws_lc_rs::hmac;
use aws_lc_rs::rsa::{OaepPrivateDecryptingKey, PrivateDecryptingKey};
use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, ConcatenatingMul, NonZero};
use x509_parser::asn1_rs::{Any, FromDer, Integer, OctetString, Sequence};

/// The smallest aws-lc accepts; shorter ones only decrypt by the bare operation.
const MIN_AWS_BITS: usize = 2048;

/// An RSA private key.
pub(in crate::saml) struct PrivateKey {
    octets: usize,
    modulus: BoxedUint,
    p: Prime,
    q: Prime,
    /// q⁻¹ mod p, in Montgomery form.
    q_inverse: BoxedMontyForm,
    standard: Option<OaepPrivateDecryptingKey>,
    rejection: hmac::Key,
}

/// One of the two primes with its exponent (RFC 8017, 3.2).
struct Prime {
    prime: NonZero<BoxedUint>,
    params: BoxedMontyParams,
    exponent: BoxedUint,
}

impl Prime {
    fn new(prime: &[u8], exponent: &[u8], bits: u32) -> Option<Self> {
        let prime = BoxedUint::from_be_slice(prime, bits).ok()?;
        let odd = prime.to_odd().into_option()?;
        let exponent = BoxedUint::from_be_slice(exponent, bits).ok()?;
        Some(Self { prime: prime.to_nz().into_option()?, params: BoxedMontyParams::new(odd), exponent })
    }

    fn form(&self, value: &BoxedUint) -> BoxedMontyForm {
        BoxedMontyForm::new(value.rem(&self.prime), &self.params)
    }
}

impl PrivateKey {
    /// Reads PKCS #1 or PKCS #8. `None` when it is no RSA key with two primes. Also returns the public key (PKCS #1).
    pub(in crate::saml) fn from_der(der: &[u8]) -> Option<(Self, PublicNumbers)> {
        let pkcs1 = inside_pkcs8(der).unwrap_or_else(|| der.to_vec());
        let (_, sequence) = Sequence::from_der(&pkcs1).ok()?;
        let mut rest: &[u8] = &sequence.content;
        let mut numbers = Vec::with_capacity(9);
        while !rest.is_empty() {
            let (after, number) = Integer::from_der(rest).ok()?;
            let number: &[u8] = number.as_ref();
            let zeros = number.iter().take_while(|octet| **octet == 0).count();
            numbers.push(number.get(zeros..)?.to_vec());
            rest = after;
        }
        // version, n, e, d, p, q, d mod p-1, d mod q-1, q⁻¹ mod p (RFC 8017, A.1.2)
        let [version, n, e, _, p, q, dp, dq, q_inverse] = numbers.try_into().ok()?;
        let octets = n.len();
        if !version.is_empty() || octets < 64 {
            return None;
        }
        let bits = u32::try_from(p.len().max(q.len()).checked_mul(8)?.next_multiple_of(64)).ok()?;
        let (p, q) = (Prime::new(&p, &dp, bits)?, Prime::new(&q, &dq, bits)?);
        let q_inverse = p.form(&BoxedUint::from_be_slice(&q_inverse, bits).ok()?);
        let modulus_bits = octets * 8;
        let standard = (modulus_bits >= MIN_AWS_BITS)
            .then(|| PrivateDecryptingKey::from_pkcs8(der).ok().and_then(|key| OaepPrivateDecryptingKey::new(key).ok()))
            .flatten();
        let key = Self {
            octets,
            modulus: BoxedUint::from_be_slice(&n, u32::try_from(modulus_bits).ok()?.next_multiple_of(64)).ok()?,
            p,
            q,
            q_inverse,
            standard,
            rejection: hmac::Key::new(hmac::HMAC_SHA256, der),
        };
        Some((key, PublicNumbers { modulus: n, exponent: e }))
    }

    /// Length of the modulus and of every ciphertext, in octets.
    pub(super) fn octets(&self) -> usize {
        self.octets
    }

    /// The key as aws-lc takes it: of 2048 bits and more.
    pub(super) fn standard(&self) -> Option<&OaepPrivateDecryptingKey> {
        self.standard.as_ref()
    }

    /// RSADP (RFC 8017, 5.1.2) by the Chinese remainders: as many octets as the modulus has. `None` for a number that is none
    /// below the modulus, which anybody can see.
    pub(super) fn bare(&self, ciphertext: &[u8]) -> Option<Vec<u8>> {
        if ciphertext.len() != self.octets {
            return None;
        }
        let ciphertext = BoxedUint::from_be_slice(ciphertext, self.modulus.bits_precision()).ok()?;
        if ciphertext >= self.modulus {
            return None;
        }
        let by_p = self.p.form(&ciphertext).pow(&self.p.exponent);
        let by_q = self.q.form(&ciphertext).pow(&self.q.exponent).retrieve();
        let difference = by_p.sub(&self.p.form(&by_q)).mul(&self.q_inverse).retrieve();
        let message = difference.concatenating_mul(self.q.prime.as_ref()).concatenating_add(&by_q);
        let octets = message.to_be_bytes();
        octets.get(octets.len().checked_sub(self.octets)?..).map(<[u8]>::to_vec)
    }

    /// The content key that stands in for one that can't be had: nobody else can know it, and it is the same every time, so that
    /// decryption stays a function of what it is given.
    pub(super) fn stand_in(&self, ciphertext: &[u8]) -> [u8; 32] {
        let mut key = [0; 32];
        for (octet, of_tag) in key.iter_mut().zip(hmac::sign(&self.rejection, ciphertext).as_ref()) {
            *octet = *of_tag;
        }
        key
    }
}

/// The public half of a key, without leading zeros.
#[derive(PartialEq, Eq)]
pub(in crate::saml) struct PublicNumbers {
    /// n.
    pub(in crate::saml) modulus: Vec<u8>,
    /// e.
    pub(in crate::saml) exponent: Vec<u8>,
}

/// The PKCS #1 key in a PKCS #8 one (RFC 5208, 5).
fn inside_pkcs8(der: &[u8]) -> Option<Vec<u8>> {
    let (_, sequence) = Sequence::from_der(der).ok()?;
    let (rest, _) = Integer::from_der(&sequence.content).ok()?;
    let (rest, _) = Any::from_der(rest).ok().filter(|(_, algorithm)| algorithm.tag() == x509_parser::asn1_rs::Tag::Sequence)?;
    let (_, key) = OctetString::from_der(rest).ok()?;
    Some(key.as_ref().to_vec())
}
