//! What operators see of the IdPs' metadata, and how they ask for a look at once.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::clock::Timestamp;

/// How one IdP's metadata does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// When the source last gave what is believed, or said that it is unchanged.
    pub last_success: Option<Timestamp>,
    /// Failures in a row.
    pub failures: u32,
    /// Code of the last failure, as long as it lasts.
    pub failing: Option<&'static str>,
    /// Whether what is believed is the copy from `data_dir`.
    pub from_copy: bool,
}

/// All of them, for the ops address.
#[derive(Debug, Default)]
pub struct Board {
    states: Mutex<BTreeMap<String, State>>,
    wanted: Notify,
}

impl Board {
    /// How an IdP's metadata does; nothing about IdPs whose metadata can't change.
    pub fn states(&self) -> BTreeMap<String, State> {
        self.states.lock().clone()
    }

    pub(super) fn change(&self, id: &str, change: impl FnOnce(&mut State)) {
        change(self.states.lock().entry(id.to_owned()).or_default());
    }

    /// Asks every source for a look now.
    pub fn refresh_now(&self) {
        self.wanted.notify_waiters();
    }

    /// Ends when somebody wants a look now.
    pub async fn wanted(&self) {
        self.wanted.notified().await;
    }
}
