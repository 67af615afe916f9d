//! A map whose entries have one lifetime and a bound on their memory: the oldest go first.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::clock::Timestamp;

/// What an entry costs beside its value, about: the key twice, the map's and the queue's own.
const AROUND: usize = 160;

struct Entry<V> {
    number: u64,
    since: Timestamp,
    weight: usize,
    value: V,
}

/// Values by name, in the order in which they came.
pub(super) struct Ageing<V> {
    entries: HashMap<String, Entry<V>>,
    order: BTreeMap<u64, String>,
    next: u64,
    weight: usize,
    capacity: usize,
    lifetime: Duration,
}

impl<V> Ageing<V> {
    /// For `capacity` octets; entries live for `lifetime`.
    pub(super) fn new(capacity: usize, lifetime: Duration) -> Self {
        Self { entries: HashMap::new(), order: BTreeMap::new(), next: 0, weight: 0, capacity, lifetime }
    }

    /// Adds a value of `weight` octets, and gives back what had to go: too old ones, and the oldest ones while there are too many.
    pub(super) fn insert(&mut self, name: String, value: V, weight: usize, now: Timestamp) -> Vec<V> {
        let mut gone: Vec<V> = self.remove(&name).into_iter().collect();
        let weight = weight.saturating_add(AROUND).saturating_add(name.len());
        self.order.insert(self.next, name.clone());
        self.entries.insert(name, Entry { number: self.next, since: now, weight, value });
        self.next += 1;
        self.weight = self.weight.saturating_add(weight);
        while let Some(oldest) = self.order.values().next() {
            let old = self.entries.get(oldest).is_none_or(|entry| self.is_old(entry, now));
            if !old && self.weight <= self.capacity {
                break;
            }
            let oldest = oldest.clone();
            match self.remove(&oldest) {
                Some(value) => gone.push(value),
                None => break,
            }
        }
        gone
    }

    /// A value that is not too old.
    pub(super) fn get(&self, name: &str, now: Timestamp) -> Option<&V> {
        self.entries.get(name).filter(|entry| !self.is_old(entry, now)).map(|entry| &entry.value)
    }

    /// A value to be changed in place, however old; its weight stays.
    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut V> {
        self.entries.get_mut(name).map(|entry| &mut entry.value)
    }

    /// Takes a value out, however old.
    pub(super) fn remove(&mut self, name: &str) -> Option<V> {
        let entry = self.entries.remove(name)?;
        self.order.remove(&entry.number);
        self.weight = self.weight.saturating_sub(entry.weight);
        Some(entry.value)
    }

    /// How many there are, too old ones that nobody has met yet included.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    fn is_old(&self, entry: &Entry<V>, now: Timestamp) -> bool {
        now >= entry.since.plus(self.lifetime)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(second: i64) -> Timestamp {
        Timestamp::from_unix(second)
    }

    #[test]
    fn old_ones_are_unseen_and_go_with_the_next_insert() {
        let mut map = Ageing::new(1 << 20, Duration::from_secs(60));
        map.insert("a".into(), 1, 10, at(0));
        assert_eq!(map.get("a", at(59)), Some(&1));
        assert_eq!(map.get("a", at(60)), None);
        assert_eq!(map.insert("b".into(), 2, 10, at(60)), [1]);
        assert_eq!((map.len(), map.order.len()), (1, 1));
    }

    #[test]
    fn weight_is_given_back() {
        let mut map = Ageing::new(3 * (AROUND + 11), Duration::from_secs(60));
        for (n, name) in ["a", "b", "c"].into_iter().enumerate() {
            assert!(map.insert(name.into(), n, 10, at(0)).is_empty());
        }
        assert_eq!(map.remove("b"), Some(1));
        assert!(map.insert("d".into(), 3, 10, at(0)).is_empty());
        assert_eq!(map.insert("e".into(), 4, 10, at(0)), [0]);
        assert_eq!(map.insert("e".into(), 5, 10, at(0)), [4], "a name is there once");
        for name in ["c", "d", "e"] {
            map.remove(name);
        }
        assert_eq!((map.weight, map.order.len()), (0, 0));
    }
}
