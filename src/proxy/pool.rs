//! A worker's idle connections to the application.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::connect::Upstream;
use super::link::Link;
use super::watch::{Sweep, TICK};

/// Most idle connections of one worker.
const MOST_IDLE: usize = 256;
/// An idle connection is kept so long. Applications close theirs after 2 to 75 seconds; the longer we wait, the more
/// often a request meets a connection that is just being closed.
const IDLE_LIFETIME: Duration = Duration::from_secs(15);

/// Idle connections to one upstream, the last used on top. Belongs to one worker, so nobody contends for it.
pub(crate) struct Pool {
    upstream: Arc<Upstream>,
    sweep: Rc<Sweep>,
    idle: RefCell<Vec<Link>>,
}

impl Pool {
    /// An empty one.
    pub(crate) fn new(upstream: Arc<Upstream>, sweep: Rc<Sweep>) -> Self {
        Self { upstream, sweep, idle: RefCell::default() }
    }

    /// To where.
    pub(crate) fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// An idle connection that the application hasn't closed, as far as is known.
    pub(crate) fn take(&self) -> Option<Link> {
        loop {
            let mut link = self.idle.borrow_mut().pop()?;
            if self.is_good(&mut link) {
                return Some(link);
            }
        }
    }

    /// A new connection.
    pub(crate) async fn open(&self) -> std::io::Result<Link> {
        Link::open(&self.upstream, &self.sweep).await
    }

    /// Takes back a connection whose answer is whole, if it can carry another request.
    pub(crate) fn give(&self, mut link: Link) {
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
    }

    /// Whether an idle connection can carry another request, as far as is known after looking.
    fn is_good(&self, link: &mut Link) -> bool {
        let idle = TICK * self.sweep.ticks().now().wrapping_sub(link.idle_since);
        idle <= IDLE_LIFETIME && link.is_quiet()
    }
}
