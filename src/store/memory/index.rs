//! Whose sessions there are: what a cache by key can't answer.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::session::{KeptOnce, Session};
use crate::store::Which;

/// Sessions by public id, by user and by subject. Small, because every session is in it three times: sessions have numbered
/// places, and beside them stand pairs of a name's keyed hash and a place; when two names share a hash, the session itself tells.
#[derive(Default)]
pub(super) struct Index {
    places: Vec<Option<Arc<Session>>>,
    free: Vec<u32>,
    names: BTreeSet<(u32, u32)>,
    kept_once: KeptOnce,
    hasher: RandomState,
    cursor: usize,
}

/// The kinds of names, kept apart in the hash.
#[derive(Hash)]
enum Name<'a> {
    Sid(&'a str),
    User(&'a str),
    Subject(&'a str, &'a str),
}

impl Index {
    /// Has a new session share what it has in common with those that are here.
    pub(super) fn share(&mut self, session: &mut Session) {
        session.share(&mut self.kept_once);
    }

    /// Adds a session.
    pub(super) fn add(&mut self, session: &Arc<Session>) {
        let place = match self.free.pop() {
            Some(place) => place,
            None => {
                // More than 2^32 sessions don't fit into any memory; the last place would be shared, never misread.
                let place = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
                self.places.push(None);
                place
            }
        };
        if let Some(slot) = self.places.get_mut(place as usize) {
            *slot = Some(Arc::clone(session));
        }
        self.names.extend(self.hashes(session).map(|hash| (hash, place)));
    }

    /// Forgets a session; nothing when it isn't there.
    pub(super) fn remove(&mut self, session: &Arc<Session>) {
        let hashes = self.hashes(session);
        let [by_sid, ..] = hashes;
        let place = self.under(by_sid).find(|(_, kept)| Arc::ptr_eq(kept, session)).map(|(place, _)| place);
        let Some(place) = place else { return };
        for hash in hashes {
            self.names.remove(&(hash, place));
        }
        if let Some(slot) = self.places.get_mut(place as usize) {
            *slot = None;
            self.free.push(place);
        }
    }

    /// All sessions that are meant.
    pub(super) fn find(&self, which: &Which) -> Vec<Arc<Session>> {
        let name = match which {
            Which::Sid(sid) => Name::Sid(sid),
            Which::User(user) => Name::User(user),
            Which::Subject(issuer, name_id) => Name::Subject(issuer, name_id),
        };
        let meant = |session: &Arc<Session>| match which {
            Which::Sid(sid) => session.sid() == sid,
            Which::User(user) => session.identity().user() == user,
            Which::Subject(issuer, name_id) => session.subject() == (issuer, name_id),
        };
        let found = self.under(self.hash(name)).map(|(_, session)| session);
        found.filter(|session| meant(session)).cloned().collect()
    }

    /// The user's oldest live sessions that must go so that one more makes at most `max` (0: no limit).
    pub(super) fn surplus(&self, user: &str, max: usize, now: Timestamp) -> Vec<Arc<Session>> {
        if max == 0 {
            return Vec::new();
        }
        let mut live = self.find(&Which::User(user.to_owned()));
        live.retain(|session| session.is_live(now));
        live.sort_by_key(|session| session.created());
        live.truncate((live.len() + 1).saturating_sub(max));
        live
    }

    /// At most `limit` live sessions.
    pub(super) fn live(&self, limit: usize, now: Timestamp) -> Vec<Arc<Session>> {
        self.places.iter().flatten().filter(|session| session.is_live(now)).take(limit).cloned().collect()
    }

    /// Looks at the next `count` places, round and round, for sessions that have ended.
    pub(super) fn next_dead(&mut self, count: usize, now: Timestamp) -> Vec<Arc<Session>> {
        let mut dead = Vec::new();
        for _ in 0..count.min(self.places.len()) {
            self.cursor = if self.cursor < self.places.len() { self.cursor } else { 0 };
            if let Some(Some(session)) = self.places.get(self.cursor)
                && !session.is_live(now)
            {
                dead.push(Arc::clone(session));
            }
            self.cursor += 1;
        }
        dead
    }

    /// How many sessions there are.
    pub(super) fn len(&self) -> usize {
        self.places.len().saturating_sub(self.free.len())
    }

    /// How many places there are, free ones included.
    pub(super) fn slots(&self) -> usize {
        self.places.len()
    }

    /// Places and sessions that stand under a hash.
    fn under(&self, hash: u32) -> impl Iterator<Item = (u32, &Arc<Session>)> {
        let places = self.names.range((hash, 0)..=(hash, u32::MAX)).map(|(_, place)| *place);
        places.filter_map(|place| Some((place, self.places.get(place as usize)?.as_ref()?)))
    }

    /// By public id first.
    fn hashes(&self, session: &Session) -> [u32; 3] {
        let (issuer, name_id) = session.subject();
        [
            self.hash(Name::Sid(session.sid())),
            self.hash(Name::User(session.identity().user())),
            self.hash(Name::Subject(issuer, name_id)),
        ]
    }

    /// Half of a hash: of a million sessions it tells all but some hundreds apart, and who looks compares the names themselves.
    fn hash(&self, name: Name<'_>) -> u32 {
        (self.hasher.hash_one(name) >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::contract::{at, session_of};

    #[test]
    fn forgets_without_leaving_anything_behind() {
        let mut index = Index::default();
        let sessions: Vec<_> = (0..10).map(|n| Arc::new(session_of("u", n))).collect();
        sessions.iter().for_each(|session| index.add(session));
        assert_eq!(index.find(&Which::User("u".into())).len(), 10);
        for session in &sessions {
            index.remove(session);
            index.remove(session);
        }
        assert_eq!((index.len(), index.names.len(), index.slots()), (0, 0, 10));
        index.add(&sessions[0]);
        assert_eq!((index.len(), index.slots()), (1, 10), "places are used again");
        assert!(index.next_dead(100, at(0)).is_empty());
        assert_eq!(index.next_dead(100, at(90_000)).len(), 1);
    }
}
