//! What may happen once: ids of assertions that were used.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::store::StoreError;
use crate::token::HashedToken;

/// A claim is kept at least so long, whatever was asked for: two who come at the same moment must not both be the first.
const AT_LEAST: Duration = Duration::from_secs(60);

/// Claims, each until its time. None is forgotten early, because a forgotten claim is a replay: when there is no room, new ones
/// are refused.
pub(super) struct Claims {
    until: HashMap<HashedToken, Timestamp>,
    order: BTreeSet<(Timestamp, HashedToken)>,
    capacity: usize,
}

impl Claims {
    /// For `capacity` claims.
    pub(super) fn new(capacity: usize) -> Self {
        Self { until: HashMap::new(), order: BTreeSet::new(), capacity }
    }

    /// True for the first.
    ///
    /// # Errors
    /// When there is no room.
    pub(super) fn claim(&mut self, what: HashedToken, until: Timestamp, now: Timestamp) -> Result<bool, StoreError> {
        while let Some((_, oldest)) = self.order.first().copied().filter(|(until, _)| *until <= now) {
            self.order.pop_first();
            self.until.remove(&oldest);
        }
        if self.until.contains_key(&what) {
            return Ok(false);
        }
        if self.until.len() >= self.capacity {
            return Err(StoreError(format!("all {} places for used assertion ids are taken", self.capacity)));
        }
        let until = until.max(now.plus(AT_LEAST));
        self.until.insert(what, until);
        self.order.insert((until, what));
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_holds_until_its_time_and_a_minute_at_least() {
        let at = Timestamp::from_unix;
        let mut claims = Claims::new(10);
        let what = HashedToken::of("a");
        assert_eq!(claims.claim(what, at(500), at(0)), Ok(true));
        assert_eq!(claims.claim(what, at(500), at(499)), Ok(false));
        assert_eq!(claims.claim(what, at(0), at(500)), Ok(true));
        assert_eq!(claims.claim(what, at(0), at(500)), Ok(false));
        assert_eq!(claims.claim(what, at(0), at(560)), Ok(true));
        assert_eq!((claims.until.len(), claims.order.len()), (1, 1));
    }
}
