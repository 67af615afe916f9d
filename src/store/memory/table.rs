//! Sessions by the hash of their token: what every request asks for.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;

use parking_lot::RwLock;

use crate::session::Session;
use crate::token::HashedToken;

/// So many parts, each with a lock of its own: two workers seldom meet at one, those that read don't wait for each other, and while
/// a part grows only its share of all requests waits, for microseconds.
const PARTS: usize = 256;

/// All sessions that are kept. A lookup reads a line or two of a part and then the session itself, which the request needs anyway.
pub(super) struct Table {
    parts: Vec<Part>,
}

/// On lines of its own, so that workers at neighbouring parts don't take them from each other.
#[repr(align(128))]
#[derive(Default)]
struct Part(RwLock<HashSet<Kept, BuildHasherDefault<AsIs>>>);

/// A session, and beside it the number that gives it its place, so that the table grows without reading sessions.
struct Kept {
    short: u64,
    session: Arc<Session>,
}

impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        self.short == other.short && self.session.key() == other.session.key()
    }
}

impl Eq for Kept {}

impl Hash for Kept {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.short);
    }
}

impl Borrow<HashedToken> for Kept {
    fn borrow(&self) -> &HashedToken {
        self.session.key()
    }
}

/// Keys are hashes of random tokens that we made ourselves: nobody can choose them so that they meet, and they need no other hash.
#[derive(Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn write(&mut self, octets: &[u8]) {
        self.0 = octets.iter().fold(self.0, |number, octet| number.rotate_left(8) ^ u64::from(*octet));
    }
}

impl Table {
    pub(super) fn new() -> Self {
        Self { parts: (0..PARTS).map(|_| Part::default()).collect() }
    }

    /// The session under a key.
    pub(super) fn get(&self, key: &HashedToken) -> Option<Arc<Session>> {
        self.part(key)?.0.read().get(key).map(|kept| Arc::clone(&kept.session))
    }

    /// Adds a session, in the place of one that had the same key.
    pub(super) fn insert(&self, session: &Arc<Session>) {
        let kept = Kept { short: session.key().short(), session: Arc::clone(session) };
        if let Some(part) = self.part(session.key()) {
            part.0.write().replace(kept);
        }
    }

    /// Forgets this session; another one under the same key stays.
    pub(super) fn remove(&self, session: &Arc<Session>) {
        let Some(part) = self.part(session.key()) else { return };
        let mut kept = part.0.write();
        if kept.get(session.key()).is_some_and(|kept| Arc::ptr_eq(&kept.session, session)) {
            kept.take(session.key());
        }
    }

    /// By octets that decide nothing inside a part: the table there uses both ends of the number.
    fn part(&self, key: &HashedToken) -> Option<&Part> {
        self.parts.get((key.short() >> 32) as usize % PARTS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::contract::session_of;

    #[test]
    fn finds_what_is_there_and_forgets_only_what_is_meant() {
        let table = Table::new();
        let sessions: Vec<_> = (0..5000).map(|n| Arc::new(session_of("u", n))).collect();
        sessions.iter().for_each(|session| table.insert(session));
        let finds = |session: &Arc<Session>| table.get(session.key()).is_some_and(|found| Arc::ptr_eq(&found, session));
        assert!(sessions.iter().all(finds));
        assert!(table.get(&HashedToken::of("another")).is_none());

        let again = Arc::new(session_of("u", 7));
        table.remove(&again);
        assert!(finds(&sessions[7]), "another session of that key was meant");
        table.insert(&again);
        table.remove(&sessions[7]);
        assert!(finds(&again));

        sessions.iter().chain([&again]).for_each(|session| table.remove(session));
        assert!(table.parts.iter().all(|part| part.0.read().is_empty()));
    }

    #[test]
    fn a_key_that_begins_like_a_sessions_is_not_its_key() {
        let (table, session) = (Table::new(), Arc::new(session_of("u", 0)));
        table.insert(&session);
        let mut octets = *session.key().octets();
        assert!(table.get(&HashedToken::from_octets(octets)).is_some());
        octets[31] ^= 1;
        assert!(table.get(&HashedToken::from_octets(octets)).is_none());
    }

    #[test]
    fn parts_are_used_alike() {
        let table = Table::new();
        (0..25_600).for_each(|n| table.insert(&Arc::new(session_of("u", n))));
        let most = table.parts.iter().map(|part| part.0.read().len()).max().unwrap();
        assert!(most < 200, "{most} where 100 are to be expected");
    }
}
