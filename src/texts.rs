//! Several texts in one piece of memory: each on its own would cost more in bookkeeping than in letters, and there may be very many.

use std::fmt;

/// Octets of a number.
const NUMBER: usize = 4;
/// Bits in each of them, so that they are ASCII and may stand in a `str`.
const BITS: usize = 7;
/// Largest position that a number can hold beside its mark: 128 MiB less one. A response has a quarter of a megabyte at most, so
/// nothing that is kept here comes near.
const FARTHEST: usize = (1 << (NUMBER * BITS - 1)) - 1;

/// Texts, each of them there or absent, in one exact allocation.
///
/// In front stand numbers: where the first text begins, and where each ends with a mark whether it is there.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Texts(Box<str>);

impl Texts {
    /// These texts. What lies beyond 128 MiB in all is cut off.
    pub fn new(parts: &[Option<&str>]) -> Self {
        let mut at = NUMBER * (parts.len() + 1);
        let letters: usize = parts.iter().flatten().map(|part| part.len()).sum();
        let mut text = String::with_capacity(at + letters);
        push_number(&mut text, at, true);
        for part in parts {
            at += part.map_or(0, str::len);
            push_number(&mut text, at, part.is_some());
        }
        parts.iter().flatten().for_each(|part| text.push_str(part));
        Self(text.into())
    }

    /// The text at a place; `None` when it is absent, or there is no such place.
    pub fn get(&self, place: usize) -> Option<&str> {
        if place >= self.len() {
            return None;
        }
        let (from, _) = self.number(place)?;
        let (until, is_there) = self.number(place + 1)?;
        if is_there { self.0.get(from..until) } else { None }
    }

    /// How many places there are.
    pub fn len(&self) -> usize {
        self.number(0).map_or(0, |(first, _)| (first / NUMBER).saturating_sub(1))
    }

    /// Whether there is no place.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Octets of all of it in memory.
    pub fn octets(&self) -> usize {
        self.0.len()
    }

    fn number(&self, place: usize) -> Option<(usize, bool)> {
        let octets = self.0.as_bytes().get(place * NUMBER..)?.first_chunk::<NUMBER>()?;
        let number = octets.iter().fold(0, |number, octet| (number << BITS) | usize::from(*octet));
        Some((number >> 1, number & 1 == 1))
    }
}

fn push_number(text: &mut String, position: usize, mark: bool) {
    let number = (position.min(FARTHEST) << 1) | usize::from(mark);
    for place in (0..NUMBER).rev() {
        let octet = (number >> (place * BITS)) & ((1 << BITS) - 1);
        text.push(char::from(u8::try_from(octet).unwrap_or_default()));
    }
}

impl fmt::Debug for Texts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries((0..self.len()).map(|place| self.get(place))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn every_text_comes_back_as_it_was(parts in proptest::collection::vec(proptest::option::of("\\PC{0,200}"), 0..12)) {
            let parts: Vec<Option<&str>> = parts.iter().map(Option::as_deref).collect();
            let texts = Texts::new(&parts);
            let back: Vec<Option<&str>> = (0..texts.len()).map(|place| texts.get(place)).collect();
            proptest::prop_assert_eq!(&back, &parts);
            proptest::prop_assert_eq!(texts.get(parts.len()), None);
            proptest::prop_assert_eq!(texts.is_empty(), parts.is_empty());
            let letters: usize = parts.iter().flatten().map(|part| part.len()).sum();
            proptest::prop_assert_eq!(texts.octets(), letters + 4 * (parts.len() + 1));
        }
    }

    #[test]
    fn long_texts_have_their_places() {
        let long = "ä".repeat(300_000);
        let texts = Texts::new(&[Some(&long), None, Some(""), Some("end")]);
        assert_eq!((texts.get(0), texts.get(1), texts.get(2), texts.get(3)), (Some(&*long), None, Some(""), Some("end")));
        assert_eq!(texts.get(usize::MAX), None);
    }

    #[test]
    fn equal_texts_at_other_places_differ() {
        let texts = |parts: &[Option<&str>]| Texts::new(parts);
        assert_ne!(texts(&[Some("ab"), Some("c")]), texts(&[Some("a"), Some("bc")]));
        assert_ne!(texts(&[Some(""), None]), texts(&[None, Some("")]));
        assert_eq!(texts(&[Some("ab"), None]), texts(&[Some("ab"), None]));
    }
}
