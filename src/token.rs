//! Secrets that are handed out, and the one place that makes random octets.

use std::fmt;
use std::hash::{Hash, Hasher};

use aws_lc_rs::{digest, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Where randomness comes from.
pub trait Entropy: Send + Sync {
    /// Fills `octets` with unpredictable ones.
    fn fill(&self, octets: &mut [u8]);
}

/// The cryptographic generator of the process.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[allow(clippy::expect_used, reason = "without randomness nothing safe can be done; the generator can't fail once seeded")]
    fn fill(&self, octets: &mut [u8]) {
        rand::fill(octets).expect("the system's random generator works");
    }
}

/// A bearer secret as the browser keeps it: 256 bits, 43 characters of base64url. Never stored, never logged.
#[derive(Clone, PartialEq, Eq)]
pub struct PlainToken(String);

impl PlainToken {
    /// A fresh one.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        let mut octets = [0; 32];
        entropy.fill(&mut octets);
        Self(URL_SAFE_NO_PAD.encode(octets))
    }

    /// Reads what a browser sent; `None` unless it has exactly the shape of a token.
    pub fn parse(text: &str) -> Option<Self> {
        // Without an early end, several octets are looked at at once.
        let lawful = |octet: u8| octet.is_ascii_alphanumeric() | (octet == b'-') | (octet == b'_');
        let shape = text.len() == 43 && text.bytes().fold(true, |all, octet| all & lawful(octet));
        shape.then(|| Self(text.to_owned()))
    }

    /// What may be stored of it.
    pub fn hash(&self) -> HashedToken {
        HashedToken::of(&self.0)
    }

    /// The secret itself, for a Set-Cookie and nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PlainToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlainToken(..)")
    }
}

/// SHA-256 of a token: the key under which something is stored. Who reads the store can't use it as a cookie.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HashedToken([u8; 32]);

/// Eight octets of a hash do for a table.
impl Hash for HashedToken {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.short());
    }
}

impl HashedToken {
    /// The hash of a token's text.
    pub fn of(text: &str) -> Self {
        let mut octets = [0; 32];
        let hash = digest::digest(&digest::SHA256, text.as_bytes());
        octets.copy_from_slice(hash.as_ref());
        Self(octets)
    }

    /// One that is made up.
    #[cfg(test)]
    pub(crate) fn from_octets(octets: [u8; 32]) -> Self {
        Self(octets)
    }

    /// The first eight octets as a number.
    pub fn short(&self) -> u64 {
        self.0.first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
    }

    /// The 32 octets.
    pub fn octets(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for HashedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashedToken(..)")
    }
}

/// An id for a protocol message: `_` and 160 random bits in hex, an NCName (SAML Core 1.3.4).
pub fn message_id(entropy: &dyn Entropy) -> String {
    format!("_{}", hex(entropy, [0; 20]))
}

/// A short public id, 96 random bits in hex: request ids in logs and pages, `jti`.
pub fn public_id(entropy: &dyn Entropy) -> String {
    hex(entropy, [0; 12])
}

fn hex<const N: usize>(entropy: &dyn Entropy, mut octets: [u8; N]) -> String {
    use fmt::Write as _;
    entropy.fill(&mut octets);
    octets.iter().fold(String::with_capacity(N * 2), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_the_browser_and_hides_itself() {
        let token = PlainToken::generate(&SystemEntropy);
        assert_eq!(PlainToken::parse(token.expose()), Some(token.clone()));
        assert_ne!(token, PlainToken::generate(&SystemEntropy));
        assert!(!format!("{token:?} {:?}", token.hash()).contains(token.expose()));
    }

    #[test]
    fn only_the_exact_shape_is_a_token() {
        for bad in [
            "",
            "short",
            "\"0123456789012345678901234567890123456789012\"",
            "012345678901234567890123456789012345678901=",
            "01234567890123456789012345678901234567890123",
        ] {
            assert_eq!(PlainToken::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn message_ids_are_ncnames_of_160_bits() {
        let id = message_id(&SystemEntropy);
        assert_eq!(id.len(), 41);
        assert!(id.starts_with('_'));
    }
}
