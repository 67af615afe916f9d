//! Public ids of requests: random, without asking the generator for every single one.

use std::cell::RefCell;

use crate::token::Entropy;

/// 96 random bits in hex.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestId([u8; 24]);

impl RequestId {
    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The line `X-Request-Id`.
    pub(crate) fn to_line(self) -> [u8; 40] {
        let mut line = *b"X-Request-Id: 000000000000000000000000\r\n";
        for (to, from) in line.iter_mut().skip(14).zip(self.0) {
            *to = from;
        }
        line
    }
}

/// Ids in store for this many requests.
const IN_STORE: usize = 256;

/// One worker's source of ids.
pub(crate) struct RequestIds {
    random: RefCell<(Vec<u8>, usize)>,
}

impl RequestIds {
    /// Empty: the first id fills it.
    pub(crate) fn new() -> Self {
        Self { random: RefCell::new((vec![0; IN_STORE * 12], usize::MAX)) }
    }

    /// The next one.
    pub(crate) fn next(&self, entropy: &dyn Entropy) -> RequestId {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut random = self.random.borrow_mut();
        let (octets, at) = &mut *random;
        if *at >= IN_STORE {
            entropy.fill(octets);
            *at = 0;
        }
        let taken = octets.chunks_exact(12).nth(*at).unwrap_or_default();
        *at += 1;
        let mut text = [b'0'; 24];
        for (pair, octet) in text.chunks_exact_mut(2).zip(taken) {
            if let [high, low] = pair {
                *high = DIGITS.get(usize::from(octet >> 4)).copied().unwrap_or(b'0');
                *low = DIGITS.get(usize::from(octet & 15)).copied().unwrap_or(b'0');
            }
        }
        RequestId(text)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::token::SystemEntropy;

    #[test]
    fn ids_are_hex_and_differ() {
        let ids = RequestIds::new();
        let some: HashSet<String> = (0..1000).map(|_| ids.next(&SystemEntropy).as_str().to_owned()).collect();
        assert_eq!(some.len(), 1000);
        let id = ids.next(&SystemEntropy);
        assert_eq!(id.to_line(), format!("X-Request-Id: {}\r\n", id.as_str()).as_bytes());
        assert!(some.iter().all(|id| id.len() == 24 && id.bytes().all(|octet| octet.is_ascii_hexdigit())));
    }
}
