//! Work that takes milliseconds, off the event loops, so that it delays nobody who is signed in: so much of each kind at a time
//! and no more.

use std::sync::Arc;

use tokio::sync::{Semaphore, TryAcquireError};
use tracing::error;

use super::refusal::LoginError;
use crate::give_way::begin;

/// The kinds of work. Each has places of its own, so that none of them can take another's.
pub(super) struct Workers {
    /// Decodes responses and looks at them. Whoever posts junk gets this far, so it is cheap and many may wait; their memory is
    /// bounded where bodies are read.
    pub(super) reading: Places,
    /// Verifies answers to logins that are pending in the browser that posted them, and whatever else strangers can't send.
    pub(super) verifying: Places,
    /// Verifies responses that nobody asked for: anybody can post them, so they get less.
    unsolicited: Places,
    /// Verifies logout messages that anybody can send.
    pub(super) logouts: Places,
    /// Writes and signs requests and answers.
    pub(super) signing: Places,
}

impl Workers {
    /// For `at_once` pieces of work of each kind at the same time, at least one.
    pub(super) fn new(at_once: usize) -> Self {
        let at_once = at_once.clamp(1, 256);
        Self {
            reading: Places::new(at_once, 256),
            verifying: Places::new(at_once, 64),
            unsolicited: Places::new(at_once.div_ceil(2), 8),
            logouts: Places::new(at_once.div_ceil(2), 64),
            signing: Places::new(at_once, 64),
        }
    }

    /// Where the answer to a request is verified, which is pending in the browser that posted it; or a response that nobody asked
    /// for.
    pub(super) fn for_answer_to(&self, request_id: Option<&str>) -> &Places {
        if request_id.is_some() { &self.verifying } else { &self.unsolicited }
    }
}

/// Runs work of one kind on blocking threads.
pub(super) struct Places {
    running: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
}

impl Places {
    /// `waiting` may wait for each one that runs.
    fn new(at_once: usize, waiting: usize) -> Self {
        Self { running: Arc::new(Semaphore::new(at_once)), admitted: Arc::new(Semaphore::new(at_once * (1 + waiting))) }
    }

    /// Runs `work`. A panic in it costs one login and no more.
    ///
    /// # Errors
    /// `Busy` when too many wait already, `Internal` after a panic.
    pub(super) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, LoginError> {
        let admitted = Arc::clone(&self.admitted).try_acquire_owned().map_err(|refused| match refused {
            TryAcquireError::NoPermits => LoginError::Busy,
            TryAcquireError::Closed => LoginError::Internal,
        })?;
        let running = Arc::clone(&self.running).acquire_owned().await.map_err(|_| LoginError::Internal)?;
        // The work keeps its places: a client that goes away doesn't end it, and must not make room for more.
        let work = move || {
            let _places = (admitted, running);
            begin();
            work()
        };
        tokio::task::spawn_blocking(work).await.map_err(|failed| {
            if failed.is_panic() {
                metrics::counter!("samlgate_verify_panics_total").increment(1);
                error!("reading or verifying a response, or writing a request, panicked; please report this to the samlgate developers");
            }
            LoginError::Internal
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_costs_one_login() {
        let places = Places::new(1, 16);
        assert_eq!(places.run(|| -> u8 { panic!("on purpose") }).await, Err(LoginError::Internal));
        assert_eq!(places.run(|| 7).await, Ok(7));
    }

    #[tokio::test]
    async fn beyond_the_queue_it_is_busy() {
        let places = Arc::new(Places::new(1, 16));
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let wait = Arc::new(std::sync::Mutex::new(wait));
        let tasks: Vec<_> = (0..=16)
            .map(|_| {
                let (places, wait) = (Arc::clone(&places), Arc::clone(&wait));
                tokio::spawn(async move { places.run(move || wait.lock().unwrap().recv().is_ok()).await })
            })
            .collect();
        while places.admitted.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(places.run(|| true).await, Err(LoginError::Busy));
        for _ in &tasks {
            release.send(()).unwrap();
        }
        for task in tasks {
            assert_eq!(task.await.unwrap(), Ok(true));
        }
        assert_eq!(places.run(|| true).await, Ok(true));
    }

    #[tokio::test]
    async fn the_event_loop_does_no_work() {
        let here = std::thread::current().id();
        let there = Places::new(1, 1).run(|| std::thread::current().id()).await;
        assert!(there.is_ok_and(|there| there != here));
    }

    #[tokio::test]
    async fn one_kind_leaves_the_places_of_the_others() {
        let workers = Workers::new(1);
        let taken = workers.unsolicited.admitted.acquire_many(9).await.unwrap();
        assert_eq!(workers.for_answer_to(None).run(|| 1).await, Err(LoginError::Busy));
        assert_eq!(workers.reading.run(|| 2).await, Ok(2));
        assert_eq!(workers.for_answer_to(Some("_1")).run(|| 3).await, Ok(3));
        assert_eq!(workers.signing.run(|| 4).await, Ok(4));
        assert_eq!(workers.logouts.run(|| 5).await, Ok(5));
        let _all = workers.logouts.admitted.acquire_many(65).await.unwrap();
        assert_eq!(workers.logouts.run(|| 6).await, Err(LoginError::Busy));
        assert_eq!(workers.for_answer_to(Some("_1")).run(|| 7).await, Ok(7));
        drop(taken);
        assert_eq!(workers.for_answer_to(None).run(|| 1).await, Ok(1));
    }

    #[tokio::test]
    async fn work_keeps_its_places_when_nobody_waits_for_it() {
        let places = Arc::new(Places::new(1, 0));
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let own = Arc::clone(&places);
        let work = move || begun.send(()).is_ok() && wait.recv().is_ok();
        let task = tokio::spawn(async move { own.run(work).await });
        has_begun.await.unwrap();
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(places.run(|| 1).await, Err(LoginError::Busy));
        release.send(()).unwrap();
        while places.admitted.available_permits() == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(places.run(|| 2).await, Ok(2));
    }
}
