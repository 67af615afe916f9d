//! How work that takes milliseconds makes room for requests.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

/// While requests are being served, work pauses so often between two of its parts, at most.
const MOST_PAUSES: u32 = 8;
const PAUSE: Duration = Duration::from_micros(100);

static EVENT_LOOPS: Mutex<Vec<Weak<EventLoop>>> = Mutex::new(Vec::new());

/// An event loop that serves requests, as those see it who give way. It has a cache line of its own: each loop writes here whenever it
/// begins and ends to work, and none reads what others write.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct EventLoop {
    busy: AtomicBool,
}

impl EventLoop {
    /// One more. It counts until it is dropped.
    pub(crate) fn new() -> Arc<Self> {
        let event_loop = Arc::new(Self::default());
        let mut all = EVENT_LOOPS.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|other| other.strong_count() > 0);
        all.push(Arc::downgrade(&event_loop));
        event_loop
    }

    /// It has something to do, or nothing any more.
    pub(crate) fn set_busy(&self, busy: bool) {
        self.busy.store(busy, Ordering::Relaxed);
    }
}

fn requests_are_served() -> bool {
    let all = EVENT_LOOPS.lock().unwrap_or_else(PoisonError::into_inner);
    all.iter().filter_map(Weak::upgrade).any(|event_loop| event_loop.busy.load(Ordering::Relaxed))
}

/// Lets others have this core, and requests have all of them for a moment. Called between the parts of work that strangers can cause.
///
/// A lower priority alone says how time is shared in the long run; a thread that just began may still keep its core until the
/// scheduler's next tick, some milliseconds later, although a request is waiting. Costs about a microsecond when nobody waits, and a
/// millisecond at most.
pub(crate) fn give_way() {
    std::thread::yield_now();
    for _ in 0..MOST_PAUSES {
        if !requests_are_served() {
            return;
        }
        std::thread::park_timeout(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_counts_while_it_is_busy_and_there() {
        // Other tests' loops may be busy meanwhile, so only this one is looked at.
        let event_loop = EventLoop::new();
        event_loop.set_busy(true);
        assert!(requests_are_served());
        give_way();
        event_loop.set_busy(false);
        let known = || EVENT_LOOPS.lock().unwrap().iter().any(|other| std::ptr::eq(other.as_ptr(), Arc::as_ptr(&event_loop)));
        assert!(known());
        let _another = EventLoop::new();
        assert!(known(), "those that are there stay");
    }
}
