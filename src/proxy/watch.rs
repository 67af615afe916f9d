//! Time limits without a timer per request: one slow tick per worker looks at everything that may take too long.
//!
//! Whoever does something over and over (reads a head, waits for an answer, streams) has a [`Watch`] and writes the number
//! of the current tick into it whenever it gets on. The worker's [`Sweep`] compares.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::task::Waker;
use std::time::Duration;

/// Length of a tick: limits are kept to this precision.
pub(crate) const TICK: Duration = Duration::from_millis(200);

/// Ticks in about a second.
const SECOND: u32 = 5;

/// A worker's clock: ticks since it began. Read everywhere, written by the worker's one ticker.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ticks(Rc<Cell<u32>>);

impl Ticks {
    /// The current tick.
    pub(crate) fn now(&self) -> u32 {
        self.0.get()
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
    last: Cell<u32>,
    /// Ticks that may pass without anything happening; 0: any number.
    limit: Cell<u32>,
    /// Progress doesn't count: the limit is on the whole.
    total: Cell<bool>,
    expired: Cell<bool>,
    /// Somebody wants to be woken about once a second.
    beats: Cell<bool>,
    /// The worker shuts down.
    draining: Cell<bool>,
    task: RefCell<Option<Waker>>,
}

impl Watch {
    /// Something happened.
    pub(crate) fn progress(&self) {
        if !self.total.get() {
            self.last.set(self.now.now());
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
        self.total.set(total);
        self.last.set(self.now.now());
        self.limit.set(ticks(limit));
        self.expired.set(false);
    }

    /// No limit.
    pub(crate) fn rest(&self) {
        self.limit.set(0);
        self.beats.set(false);
        self.expired.set(false);
    }

    /// Whether the limit has passed.
    pub(crate) fn expired(&self) -> bool {
        self.expired.get()
    }

    /// Whether the worker shuts down.
    pub(crate) fn draining(&self) -> bool {
        self.draining.get()
    }

    /// The current tick.
    pub(crate) fn tick(&self) -> u32 {
        self.now.now()
    }

    /// From now on, and until it rests or is hushed, wakes about once a second: long streams look whether their session still lives.
    pub(crate) fn beat(&self) {
        self.beats.set(true);
    }

    /// No more of that.
    pub(crate) fn hush(&self) {
        self.beats.set(false);
    }

    /// Who is woken when the limit passes, with every beat, and when the worker shuts down.
    pub(crate) fn wakes(&self, task: &Waker) {
        let known = self.task.borrow().as_ref().is_some_and(|known| known.will_wake(task));
        if !known {
            self.task.replace(Some(task.clone()));
        }
    }

    fn wake(&self) {
        if let Some(task) = self.task.take() {
            task.wake();
        }
    }

    fn look(&self, now: u32) {
        let limit = self.limit.get();
        if limit == 0 {
            return;
        }
        // The tick in which it was armed is part of the way through, so the limit passes with the tick after it.
        if now.wrapping_sub(self.last.get()) > limit {
            self.expired.set(true);
            self.wake();
        } else if now.is_multiple_of(SECOND) && self.beats.get() {
            self.wake();
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
    pub(crate) fn watch(&self) -> Rc<Watch> {
        let watch = Rc::new(Watch {
            now: self.now.clone(),
            last: Cell::new(self.now.now()),
            limit: Cell::new(0),
            total: Cell::new(false),
            expired: Cell::new(false),
            beats: Cell::new(false),
            draining: Cell::new(self.draining.get()),
            task: RefCell::default(),
        });
        self.watches.borrow_mut().push(Rc::downgrade(&watch));
        watch
    }

    /// One tick: looks at all watches and forgets those that are gone.
    pub(crate) fn tick(&self) {
        let now = self.now.now().wrapping_add(1);
        self.now.0.set(now);
        self.each(|watch| watch.look(now));
    }

    /// Tells all that the worker shuts down, and all that come later.
    pub(crate) fn drain(&self) {
        self.draining.set(true);
        self.each(|watch| {
            watch.draining.set(true);
            watch.wake();
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
