//! A worker's idle connections to the application.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::connect::{Upstream, UpstreamIo};
use super::link::Link;
use super::measure::UpstreamMeasure;
use super::multiplexed::{Multiplexed, Place};
use super::watch::{Sweep, TICK, Watch};

/// Most idle connections of one worker.
const MOST_IDLE: usize = 256;
/// An idle connection is kept so long. Applications close theirs after 2 to 75 seconds; the longer we wait, the more
/// often a request meets a connection that is just being closed.
const IDLE_LIFETIME: Duration = Duration::from_secs(15);

/// What a request is sent on.
pub(crate) enum Connection {
    /// A connection of its own, for now.
    Http1(Box<Link>),
    /// A place among others.
    Http2(Place),
}

/// Idle connections to one upstream, the last used on top. Belongs to one worker, so nobody contends for it.
pub(crate) struct Pool {
    upstream: Arc<Upstream>,
    sweep: Rc<Sweep>,
    /// In boxes, since every request moves one out and in.
    #[expect(clippy::vec_box, reason = "see above")]
    idle: RefCell<Vec<Box<Link>>>,
    /// Connections that speak HTTP/2, in use or not.
    multiplexed: RefCell<Vec<Multiplexed>>,
    /// As it is called in logs and metrics.
    name: String,
    measure: UpstreamMeasure,
}

impl Pool {
    /// An empty one.
    pub(crate) fn new(upstream: Arc<Upstream>, sweep: Rc<Sweep>) -> Self {
        let name = upstream.settings().url.to_string();
        let measure = UpstreamMeasure::new(&name);
        Self { upstream, sweep, idle: RefCell::default(), multiplexed: RefCell::default(), name, measure }
    }

    /// To where.
    pub(crate) fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// Its address, for logs and metrics.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// How it does.
    pub(crate) fn measure(&self) -> &UpstreamMeasure {
        &self.measure
    }

    /// A connection for a request, and whether it was used before. One that was idle may turn out to have been closed by the
    /// application, so it is only for what may be sent once more: `repeatable`. HTTP/2 says which requests weren't begun. `fresh`: a
    /// new one in any case.
    ///
    /// # Errors
    /// When the application can't be reached.
    pub(crate) async fn connection(&self, repeatable: bool, fresh: bool) -> io::Result<(Connection, bool)> {
        if !fresh {
            if let Some(place) = self.place() {
                return Ok((Connection::Http2(place), true));
            }
            if let Some(link) = if repeatable { self.take() } else { None } {
                return Ok((Connection::Http1(link), true));
            }
        }
        Box::pin(self.dial()).await
    }

    async fn dial(&self) -> io::Result<(Connection, bool)> {
        let (io, watch) = self.connect(false).await?;
        if !io.is_http2() {
            return Ok((Connection::Http1(Box::new(Link::new(io, watch))), false));
        }
        let begun = Multiplexed::begin(io, self.sweep.ticks().now()).await;
        self.measure.connected(begun.is_ok());
        let multiplexed = begun?;
        let place = multiplexed.place();
        self.multiplexed.borrow_mut().push(multiplexed);
        Ok((Connection::Http2(place), false))
    }

    /// A place on a connection that speaks HTTP/2.
    fn place(&self) -> Option<Place> {
        let multiplexed = self.multiplexed.borrow();
        let now = self.sweep.ticks().now();
        let with_room = multiplexed.iter().find(|connection| connection.has_room(now))?;
        with_room.used.set(now);
        Some(with_room.place())
    }

    /// An idle connection that the application hasn't closed, as far as is known.
    fn take(&self) -> Option<Box<Link>> {
        loop {
            let mut link = self.idle.borrow_mut().pop()?;
            if self.is_good(&mut link) {
                return Some(link);
            }
        }
    }

    /// A new connection for a WebSocket, which speaks HTTP/1.1.
    ///
    /// # Errors
    /// When the application can't be reached.
    pub(crate) async fn open(&self) -> io::Result<Box<Link>> {
        let (io, watch) = self.connect(true).await?;
        Ok(Box::new(Link::new(io, watch)))
    }

    async fn connect(&self, http1: bool) -> io::Result<(UpstreamIo, Rc<Watch>)> {
        let watch = self.watch();
        let connected = self.upstream.connect(Rc::clone(&watch), http1).await;
        self.measure.connected(connected.is_ok());
        Ok((connected?, watch))
    }

    /// Time limits for another exchange.
    pub(crate) fn watch(&self) -> Rc<Watch> {
        self.sweep.watch()
    }

    /// Takes back a connection whose answer is whole, if it can carry another request.
    pub(crate) fn give(&self, mut link: Box<Link>) {
        link.rest();
        let mut idle = self.idle.borrow_mut();
        if link.may_be_kept() && idle.len() < MOST_IDLE {
            link.idle_since = self.sweep.ticks().now();
            idle.push(link);
        }
    }

    /// Closes what has been idle for too long or was closed by the application.
    pub(crate) fn purge(&self) {
        let mut idle = self.idle.borrow_mut();
        idle.retain_mut(|link| self.is_good(link));
        idle.shrink_to(MOST_IDLE / 8);
        self.multiplexed.borrow_mut().retain(|connection| {
            let is_used = !connection.is_idle() || self.is_recent(connection.used.get());
            if !is_used {
                connection.end();
            }
            is_used
        });
    }

    /// Whether an idle connection can carry another request, as far as is known after looking.
    fn is_good(&self, link: &mut Link) -> bool {
        self.is_recent(link.idle_since) && link.is_quiet()
    }

    /// Whether this tick is recent enough.
    fn is_recent(&self, tick: u32) -> bool {
        TICK * self.sweep.ticks().now().wrapping_sub(tick) <= IDLE_LIFETIME
    }
}
