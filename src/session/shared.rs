//! What sessions have in common, kept once for all of them.

use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use super::Origin;
use crate::identity::headers::HeaderPlan;
use crate::texts::Texts;

/// What doesn't differ from one session of an IdP to the next, or rarely.
#[derive(Debug)]
pub(super) struct Shared {
    /// IdP, issuer; format and both qualifiers of the NameID; AuthnContextClassRef.
    pub(super) texts: Texts,
    pub(super) plan: Arc<HeaderPlan>,
    pub(super) idle_timeout: Duration,
}

impl Shared {
    pub(super) fn new(origin: &Origin, plan: Arc<HeaderPlan>, idle_timeout: Duration) -> Self {
        let name_id = &origin.name_id;
        let texts = Texts::new(&[
            Some(&origin.idp),
            Some(&origin.issuer),
            name_id.format.as_deref(),
            name_id.name_qualifier.as_deref(),
            name_id.sp_name_qualifier.as_deref(),
            origin.acr.as_deref(),
        ]);
        Self { texts, plan, idle_timeout }
    }

    pub(super) fn idp(&self) -> &str {
        self.texts.get(0).unwrap_or_default()
    }

    pub(super) fn issuer(&self) -> &str {
        self.texts.get(1).unwrap_or_default()
    }

    /// Format, NameQualifier and SPNameQualifier.
    pub(super) fn name_id(&self) -> [Option<&str>; 3] {
        [2, 3, 4].map(|place| self.texts.get(place))
    }

    /// AuthnContextClassRef.
    pub(super) fn acr(&self) -> Option<&str> {
        self.texts.get(5)
    }
}

impl PartialEq for Shared {
    fn eq(&self, other: &Self) -> bool {
        self.texts == other.texts && self.idle_timeout == other.idle_timeout && Arc::ptr_eq(&self.plan, &other.plan)
    }
}

impl Eq for Shared {}

impl Hash for Shared {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.texts.hash(state);
    }
}

/// How many there may be before those are looked for that no session has any more.
const FEW: usize = 64;

/// What is kept once for all sessions of a store that have it.
#[derive(Debug, Default)]
pub struct KeptOnce {
    all: HashSet<Arc<Shared>>,
    /// How many there may be until unused ones go.
    until: usize,
}

impl KeptOnce {
    /// The one that is kept already, or this one from now on.
    pub(super) fn share(&mut self, shared: Arc<Shared>) -> Arc<Shared> {
        if let Some(kept) = self.all.get(&shared) {
            return Arc::clone(kept);
        }
        if self.all.len() >= self.until.max(FEW) {
            // An IdP may say something else about every user, so there is no end to it but that of the sessions.
            self.all.retain(|kept| Arc::strong_count(kept) > 1);
            self.until = self.all.len().saturating_mul(2);
        }
        self.all.insert(Arc::clone(&shared));
        shared
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{origin, plan};
    use super::*;

    fn shared(acr: &str, plan: &Arc<HeaderPlan>, seconds: u64) -> Arc<Shared> {
        let origin = Origin { acr: Some(acr.to_owned()), ..origin() };
        Arc::new(Shared::new(&origin, Arc::clone(plan), Duration::from_secs(seconds)))
    }

    #[test]
    fn equal_ones_are_kept_once_and_others_apart() {
        let (mut once, plan) = (KeptOnce::default(), plan());
        let first = once.share(shared("a", &plan, 60));
        assert!(Arc::ptr_eq(&first, &once.share(shared("a", &plan, 60))));
        let others = [shared("b", &plan, 60), shared("a", &plan, 61), shared("a", &self::plan(), 60)];
        for other in others {
            assert!(Arc::ptr_eq(&other, &once.share(Arc::clone(&other))), "{other:?}");
        }
    }

    #[test]
    fn those_that_no_session_has_any_more_are_let_go() {
        let (mut once, plan) = (KeptOnce::default(), plan());
        let held: Vec<_> = (0..100).map(|n| once.share(shared(&n.to_string(), &plan, 60))).collect();
        (100..10_000).for_each(|n| drop(once.share(shared(&n.to_string(), &plan, 60))));
        assert!(once.all.len() <= 2 * held.len() + FEW, "{}", once.all.len());
        for (n, one) in held.iter().enumerate() {
            assert!(Arc::ptr_eq(one, &once.share(shared(&n.to_string(), &plan, 60))));
        }
    }
}
