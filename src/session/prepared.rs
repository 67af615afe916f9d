//! What the application is told with every request of a session, put together once.

use std::fmt;

use crate::clock::Timestamp;
use crate::identity::Identity;
use crate::identity::assertion::MintedAssertion;
use crate::identity::headers::HeaderPlan;

/// Identity headers and the signed assertion as they are sent, one after the other: one thing to read, and no octet to spare.
pub struct Prepared {
    lines: Box<[u8]>,
    renew_at: Timestamp,
}

impl Prepared {
    pub(super) fn new(plan: &HeaderPlan, identity: &Identity, minted: &MintedAssertion) -> Self {
        Self { lines: plan.write(identity, &minted.header), renew_at: minted.renew_at }
    }

    /// Header lines (RFC 9112 section 5), each with its end. The assertion is a secret of the application's.
    pub fn lines(&self) -> &[u8] {
        &self.lines
    }

    /// Whether no new assertion is due.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        now < self.renew_at
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("renew_at", &self.renew_at).finish_non_exhaustive()
    }
}
