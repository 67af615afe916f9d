//! How work that takes milliseconds makes room for requests.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

/// While requests are being served, work pauses as long as it has worked since the last time, at most so often.
const MOST_PAUSES: u32 = 8;
const PAUSE: Duration = Duration::from_micros(100);
/// Work that took less goes on: pauses must not cost more than what they are for.
const SHORT: Duration = Duration::from_micros(300);

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

thread_local! {
    /// Since when this thread has worked without a pause.
    static WORKING_SINCE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// A piece of work begins on this thread; whoever waits for this core has it first.
pub(crate) fn begin() {
    std::thread::yield_now();
    WORKING_SINCE.set(Some(Instant::now()));
}

/// Lets others have this core, and requests have all of them for a moment. Called between the parts of work that strangers can cause.
///
/// A lower priority alone says how time is shared in the long run; a thread that just began may still keep its core until the
/// scheduler's next tick, some milliseconds later, although a request is waiting. Costs about a microsecond when nobody waits, and never
/// more time than was worked since the last time, nor more than a millisecond.
pub(crate) fn give_way() {
    std::thread::yield_now();
    let now = Instant::now();
    let worked = WORKING_SINCE.get().map_or(Duration::ZERO, |since| now.duration_since(since));
    if worked < SHORT {
        // It goes on counting.
        WORKING_SINCE.set(WORKING_SINCE.get().or(Some(now)));
        return;
    }
    for _ in 0..MOST_PAUSES {
        if !requests_are_served() || now.elapsed() >= worked {
            break;
        }
        std::thread::park_timeout(PAUSE);
    }
    WORKING_SINCE.set(Some(Instant::now()));
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
        begin();
        give_way();
        event_loop.set_busy(false);
        let known = || EVENT_LOOPS.lock().unwrap().iter().any(|other| std::ptr::eq(other.as_ptr(), Arc::as_ptr(&event_loop)));
        assert!(known());
        let _another = EventLoop::new();
        assert!(known(), "those that are there stay");
    }
}
