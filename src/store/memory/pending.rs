//! Logins that were started and not finished.

use std::collections::HashMap;

use super::ageing::Ageing;
use crate::clock::Timestamp;
use crate::store::{PENDING_LIFETIME, PendingLogin};
use crate::token::HashedToken;

/// Pending logins by request id, and whose they are.
pub(super) struct PendingLogins {
    logins: Ageing<PendingLogin>,
    of_browser: HashMap<HashedToken, Vec<String>>,
}

impl PendingLogins {
    /// For `capacity` octets.
    pub(super) fn new(capacity: usize) -> Self {
        Self { logins: Ageing::new(capacity, PENDING_LIFETIME), of_browser: HashMap::new() }
    }

    /// Adds one; of the same browser's only the newest `per_browser` stay.
    pub(super) fn insert(&mut self, pending: PendingLogin, per_browser: usize, now: Timestamp) {
        let browser = pending.browser;
        let request_id = pending.request_id.clone();
        let weight = size_of::<PendingLogin>()
            + pending.request_id.len()
            + pending.idp.len()
            + pending.relay_state.len()
            + pending.return_to.as_str().len()
            + pending.assurance.authn_context.iter().map(|class| size_of::<String>() + class.len()).sum::<usize>()
            + size_of::<HashedToken>();
        for gone in self.logins.insert(request_id.clone(), pending, weight, now) {
            self.forget(&gone);
        }
        let own = self.of_browser.entry(browser).or_default();
        own.push(request_id);
        let surplus: Vec<String> = own.drain(..own.len().saturating_sub(per_browser.max(1))).collect();
        for request_id in surplus {
            self.logins.remove(&request_id);
        }
    }

    /// One that is not too old.
    pub(super) fn get(&self, request_id: &str, now: Timestamp) -> Option<&PendingLogin> {
        self.logins.get(request_id, now)
    }

    /// Those of a browser that are not too old, the newest last.
    pub(super) fn of(&self, browser: &HashedToken, now: Timestamp) -> impl Iterator<Item = &PendingLogin> {
        let own = self.of_browser.get(browser).map(Vec::as_slice).unwrap_or_default();
        own.iter().filter_map(move |request_id| self.logins.get(request_id, now))
    }

    /// Takes one that is not too old. The session that it leads to is the one that the browser's other logins will replace.
    pub(super) fn take(&mut self, request_id: &str, session: Option<HashedToken>, now: Timestamp) -> Option<PendingLogin> {
        self.logins.get(request_id, now)?;
        let taken = self.logins.remove(request_id)?;
        self.forget(&taken);
        let others = self.of_browser.get(&taken.browser).map(Vec::as_slice).unwrap_or_default();
        if session.is_some() {
            for other in others {
                if let Some(other) = self.logins.get_mut(other) {
                    other.previous = session;
                }
            }
        }
        Some(taken)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.logins.len()
    }

    fn forget(&mut self, gone: &PendingLogin) {
        if let Some(own) = self.of_browser.get_mut(&gone.browser) {
            own.retain(|request_id| *request_id != gone.request_id);
            if own.is_empty() {
                self.of_browser.remove(&gone.browser);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::contract::{at, pending_of};

    #[test]
    fn browsers_are_forgotten_with_their_logins() {
        let mut logins = PendingLogins::new(1 << 20);
        for n in 0..20 {
            logins.insert(pending_of(n, n % 4), 3, at(0));
        }
        assert_eq!((logins.len(), logins.of_browser.len()), (12, 4));
        logins.insert(pending_of(20, 9), 3, at(3600));
        assert_eq!((logins.len(), logins.of_browser.len()), (1, 1));
        assert!(logins.take("_20", None, at(3601)).is_some());
        assert_eq!((logins.len(), logins.of_browser.len()), (0, 0));
    }
}
