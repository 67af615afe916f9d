//! One worker: a thread with its own event loop, its own socket and its own connections to the application.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::sync::{Notify, watch};
use tokio::time::MissedTickBehavior;
use tokio_rustls::TlsAcceptor;

use super::connection::serve;
use super::gate::{Gate, GateParts, Own};
use super::listener::{Bound, Listener};
use super::measure::Measure;
use super::pool::Pool;
use super::request_id::RequestIds;
use super::watch::{Sweep, TICK};
use crate::give_way::EventLoop;

/// Connections of one worker at a time; more wait to be accepted.
const MOST_CONNECTIONS: usize = 20_000;
/// At shutdown, requests have this long to be answered.
const DRAIN_LIMIT: Duration = Duration::from_secs(25);
/// How much the threads beside a worker give way to it, as nice(2) counts. They read and verify what strangers may have sent.
const GIVES_WAY: i32 = 10;
/// How many ticks pass between two looks at the idle connections to the application.
const PURGE_EVERY: u32 = 5;

/// What all workers judge by, replaced as a whole.
pub(crate) struct Shared {
    version: AtomicU64,
    parts: ArcSwap<GateParts>,
}

impl Shared {
    /// The first configuration.
    pub(crate) fn new(parts: Arc<GateParts>) -> Self {
        Self { version: AtomicU64::new(0), parts: ArcSwap::new(parts) }
    }

    /// Another one, from the next request on.
    pub(crate) fn replace(&self, parts: Arc<GateParts>) {
        self.parts.store(parts);
        self.version.fetch_add(1, Ordering::Release);
    }
}

/// What belongs to one thread.
pub(crate) struct Worker {
    pub(crate) own: Rc<Own>,
    pub(crate) tls: Option<TlsAcceptor>,
    /// Trusted proxies begin with a header of the PROXY protocol.
    pub(crate) proxy_protocol: bool,
    shared: Arc<Shared>,
    gate: RefCell<(u64, Rc<Gate>)>,
}

/// How many connections of clients are open.
#[derive(Default)]
pub(crate) struct Open {
    count: Cell<usize>,
    one_less: Notify,
}

impl Worker {
    fn new(shared: Arc<Shared>, tls: Option<TlsAcceptor>, proxy_protocol: bool) -> Self {
        let (sweep, open) = (Rc::new(Sweep::default()), Open::default());
        let own = Rc::new(Own { ids: RequestIds::new(), measure: Measure::new(), sweep, open });
        let version = shared.version.load(Ordering::Acquire);
        let parts = shared.parts.load_full();
        let pools = pools(&parts, &[], &own.sweep);
        let gate = Rc::new(Gate { parts, pools, own: Rc::clone(&own) });
        Self { own, tls, proxy_protocol, shared, gate: RefCell::new((version, gate)) }
    }

    /// The gate as configured now. Asking costs one read of a number that hardly ever changes.
    pub(crate) fn gate(&self) -> Rc<Gate> {
        let version = self.shared.version.load(Ordering::Acquire);
        let mut gate = self.gate.borrow_mut();
        if gate.0 != version {
            let parts = self.shared.parts.load_full();
            let pools = pools(&parts, &gate.1.pools, &self.own.sweep);
            *gate = (version, Rc::new(Gate { parts, pools, own: Rc::clone(&self.own) }));
        }
        Rc::clone(&gate.1)
    }

    /// A client may take part in nothing for so long while it is being answered. The exchange itself has finer limits.
    pub(crate) fn stall_limit(&self) -> Duration {
        let gate = self.gate();
        let settings = gate.parts.upstreams.settings();
        settings.idle_timeout.max(settings.response_timeout).saturating_add(settings.connect_timeout)
    }

    async fn accept(self: &Rc<Self>, listener: &Listener) {
        if self.own.open.count.get() >= MOST_CONNECTIONS {
            return self.own.open.one_less.notified().await;
        }
        match listener.accept().await {
            Ok((stream, address)) => {
                let counted = Counted::new(&self.own);
                let worker = Rc::clone(self);
                tokio::task::spawn_local(async move {
                    serve(worker, stream, address).await;
                    drop(counted);
                });
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "no connection can be accepted; is the limit of open files too low?");
                tokio::time::sleep(TICK).await;
            }
        }
    }

    async fn tick(self: Rc<Self>) {
        let mut interval = tokio::time::interval(TICK);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            self.own.sweep.tick();
            self.own.measure.flush();
            let purge = self.own.sweep.ticks().now().is_multiple_of(PURGE_EVERY);
            for pool in &self.gate().pools {
                pool.measure().flush();
                if purge {
                    pool.purge();
                }
            }
        }
    }
}

/// A pool for each application; those that are known already keep theirs.
fn pools(parts: &GateParts, known: &[Rc<Pool>], sweep: &Rc<Sweep>) -> Vec<Rc<Pool>> {
    let pool = |upstream| {
        let had = known.iter().find(|pool| Arc::ptr_eq(upstream, pool.upstream()));
        had.map_or_else(|| Rc::new(Pool::new(Arc::clone(upstream), Rc::clone(sweep))), Rc::clone)
    };
    parts.upstreams.iter().map(pool).collect()
}

/// A connection of a client that counts, whatever is spoken on it.
pub(crate) struct Counted(Rc<Own>);

impl Counted {
    /// One more.
    pub(crate) fn new(own: &Rc<Own>) -> Self {
        own.open.count.set(own.open.count.get() + 1);
        own.measure.connected();
        Self(Rc::clone(own))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let open = &self.0.open;
        open.count.set(open.count.get().saturating_sub(1));
        self.0.measure.disconnected();
        open.one_less.notify_one();
    }
}

/// The client went away before it was accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, InvalidInput, NotConnected};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted | InvalidInput | NotConnected)
}

/// The event loop of this thread. Work that takes longer is done by threads beside it, which get what it leaves, so that a flood of
/// hostile messages slows the requests of nobody who is signed in.
fn runtime() -> io::Result<LocalRuntime> {
    let give_way = || {
        // For a thread, the calling one is meant. Where it isn't allowed, all are alike, as before.
        let _ = rustix::process::getpriority_process(None)
            .and_then(|now| rustix::process::setpriority_process(None, (now + GIVES_WAY).min(19)));
    };
    let event_loop = EventLoop::new();
    let same = Arc::clone(&event_loop);
    Builder::new_current_thread()
        .enable_all()
        .on_thread_start(give_way)
        .on_thread_park(move || event_loop.set_busy(false))
        .on_thread_unpark(move || same.set_busy(true))
        .build_local(LocalOptions::default())
}

/// Runs a worker on this thread until `stop` says so and its clients are served, or time is up.
///
/// # Errors
/// When the event loop can't be made.
pub(crate) fn run(
    bound: Bound,
    shared: Arc<Shared>,
    tls: Option<TlsAcceptor>,
    proxy_protocol: bool,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    runtime()?.block_on(async move {
        let listener = Listener::new(bound)?;
        let worker = Rc::new(Worker::new(shared, tls, proxy_protocol));
        tokio::task::spawn_local(Rc::clone(&worker).tick());
        let stopped = async { stop.wait_for(|stop| *stop).await.map(|_| ()) };
        let accepting = async {
            loop {
                worker.accept(&listener).await;
            }
        };
        tokio::select! {
            _ = stopped => {}
            () = accepting => {}
        }
        drop(listener);
        worker.own.sweep.drain();
        let empty = async {
            while worker.own.open.count.get() > 0 {
                worker.own.open.one_less.notified().await;
            }
        };
        if tokio::time::timeout(DRAIN_LIMIT, empty).await.is_err() {
            tracing::warn!(connections = worker.own.open.count.get(), "connections are cut: they took too long to end");
        }
        worker.own.measure.flush();
        worker.gate().pools.iter().for_each(|pool| pool.measure().flush());
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// proc(5), field 19.
    fn nice() -> i32 {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        stat.rsplit_once(") ").unwrap().1.split(' ').nth(16).unwrap().parse().unwrap()
    }

    #[test]
    fn the_threads_beside_give_way() {
        let before = nice();
        let beside = runtime().unwrap().block_on(async { tokio::task::spawn_blocking(nice).await.unwrap() });
        assert_eq!((nice(), beside), (before, (before + GIVES_WAY).min(19)));
    }
}
