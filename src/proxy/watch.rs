//! Time limits without a timer per request: one slow tick per worker looks at everything that may take too long.
//!
//! Whoever does something over and over (reads a head, waits for an answer, streams) has a [`Watch`] and writes the number
//! of the current tick into it whenever it gets on. The worker's [`Sweep`] compares.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::task::Waker;
use std::time::Duration;

use futures_util::task::AtomicWaker;

/// Length of a tick: limits are kept to this precision.
pub(crate) const TICK: Duration = Duration::from_millis(200);

/// Ticks in about a second.
const SECOND: u32 = 5;

/// A worker's clock: ticks since it began. Read everywhere, written by the worker's one ticker.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ticks(Arc<AtomicU32>);

impl Ticks {
    /// The current tick.
    pub(crate) fn now(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A duration in ticks, rounded up, at least one.
fn ticks(limit: Duration) -> u32 {
    u32::try_from(limit.as_millis().div_ceil(TICK.as_millis())).unwrap_or(u32::MAX).max(1)
}

/// Something that may take too long.
#[derive(Debug)]
pub(crate) struct Watch {
    now: Ticks,
    /// When something last happened.
    last: AtomicU32,
    /// Ticks that may pass without anything happening; 0: any number.
    limit: AtomicU32,
    /// Progress doesn't count: the limit is on the whole.
    total: AtomicBool,
    expired: AtomicBool,
    /// Somebody wants to be woken about once a second.
    beats: AtomicBool,
    /// The worker shuts down.
    draining: AtomicBool,
    task: AtomicWaker,
}

impl Watch {
    /// Something happened.
    pub(crate) fn progress(&self) {
        if !self.total.load(Ordering::Relaxed) {
            self.last.store(self.now.now(), Ordering::Relaxed);
        }
    }

    /// From now on `limit` may pass between two signs of life.
    pub(crate) fn limit_pauses(&self, limit: Duration) {
        self.arm(limit, false);
    }

    /// From now on `limit` may pass, whatever happens.
    pub(crate) fn limit_total(&self, limit: Duration) {
        self.arm(limit, true);
    }

    fn arm(&self, limit: Duration, total: bool) {
        self.total.store(total, Ordering::Relaxed);
        self.last.store(self.now.now(), Ordering::Relaxed);
        self.limit.store(ticks(limit), Ordering::Relaxed);
        self.expired.store(false, Ordering::Relaxed);
    }

    /// No limit.
    pub(crate) fn rest(&self) {
        self.limit.store(0, Ordering::Relaxed);
        self.beats.store(false, Ordering::Relaxed);
        self.expired.store(false, Ordering::Relaxed);
    }

    /// Whether the limit has passed.
    pub(crate) fn expired(&self) -> bool {
        self.expired.load(Ordering::Relaxed)
    }

    /// Whether the worker shuts down.
    pub(crate) fn draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// The current tick.
    pub(crate) fn tick(&self) -> u32 {
        self.now.now()
    }

    /// From now on, and until it rests or is hushed, wakes about once a second: long streams look whether their session still lives.
    pub(crate) fn beat(&self) {
        self.beats.store(true, Ordering::Relaxed);
    }

    /// No more of that.
    pub(crate) fn hush(&self) {
        self.beats.store(false, Ordering::Relaxed);
    }

    /// Who is woken when the limit passes, with every beat, and when the worker shuts down.
    pub(crate) fn wakes(&self, task: &Waker) {
        self.task.register(task);
    }

    fn look(&self, now: u32) {
        let limit = self.limit.load(Ordering::Relaxed);
        if limit == 0 {
            return;
        }
        // The tick in which it was armed is part of the way through, so the limit passes with the tick after it.
        if now.wrapping_sub(self.last.load(Ordering::Relaxed)) > limit {
            self.expired.store(true, Ordering::Relaxed);
            self.task.wake();
        } else if now.is_multiple_of(SECOND) && self.beats.load(Ordering::Relaxed) {
            self.task.wake();
        }
    }
}

/// All watches of a worker.
#[derive(Debug, Default)]
pub(crate) struct Sweep {
    now: Ticks,
    draining: Cell<bool>,
    watches: RefCell<Vec<Weak<Watch>>>,
}

impl Sweep {
    /// The worker's clock.
    pub(crate) fn ticks(&self) -> &Ticks {
        &self.now
    }

    /// A new watch without a limit.
    pub(crate) fn watch(&self) -> Arc<Watch> {
        let watch = Arc::new(Watch {
            now: self.now.clone(),
            last: AtomicU32::new(self.now.now()),
            limit: AtomicU32::new(0),
            total: AtomicBool::new(false),
            expired: AtomicBool::new(false),
            beats: AtomicBool::new(false),
            draining: AtomicBool::new(self.draining.get()),
            task: AtomicWaker::new(),
        });
        self.watches.borrow_mut().push(Arc::downgrade(&watch));
        watch
    }

    /// One tick: looks at all watches and forgets those that are gone.
    pub(crate) fn tick(&self) {
        let now = self.now.now().wrapping_add(1);
        self.now.0.store(now, Ordering::Relaxed);
        self.each(|watch| watch.look(now));
    }

    /// Tells all that the worker shuts down, and all that come later.
    pub(crate) fn drain(&self) {
        self.draining.set(true);
        self.each(|watch| {
            watch.draining.store(true, Ordering::Relaxed);
            watch.task.wake();
        });
    }

    fn each(&self, act: impl Fn(&Watch)) {
        // Waking only marks tasks as ready, so nobody asks for a new watch meanwhile.
        self.watches.borrow_mut().retain(|weak| {
            let alive = weak.upgrade();
            if let Some(watch) = &alive {
                act(watch);
            }
            alive.is_some()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_and_totals_expire_after_their_time() {
        let sweep = Sweep::default();
        let (pauses, total, free) = (sweep.watch(), sweep.watch(), sweep.watch());
        pauses.limit_pauses(TICK * 2);
        total.limit_total(TICK * 2);
        for _ in 0..2 {
            sweep.tick();
            pauses.progress();
            total.progress();
        }
        assert!(!pauses.expired() && !total.expired());
        sweep.tick();
        assert!(!pauses.expired() && total.expired() && !free.expired());
        for _ in 0..2 {
            sweep.tick();
        }
        assert!(pauses.expired() && !free.expired());
        pauses.limit_pauses(TICK);
        assert!(!pauses.expired());
    }

    #[test]
    fn the_dropped_are_forgotten_and_the_rest_is_told_to_drain() {
        let sweep = Sweep::default();
        let kept = sweep.watch();
        drop(sweep.watch());
        sweep.drain();
        assert!(kept.draining());
        assert_eq!(sweep.watches.borrow().len(), 1);
        assert!(sweep.watch().draining(), "who comes later is told too");
    }
}
