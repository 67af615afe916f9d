//! An open WebSocket: octets in both directions until one side, the session or silence ends it. When it is samlgate that ends it,
//! both sides are told why.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use super::client_io::Busy;
use super::connect::UpstreamIo;
use super::direction::{Direction, poll_discard};
use super::frames::close_frame;
use super::gate::GateParts;
use super::watch::Watch;
use super::worker::Counted;
use crate::clock::Timestamp;
use crate::session::Session;

/// Both sides have this long to take the last words.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Why samlgate ends a WebSocket (RFC 6455 section 7.4.1).
#[derive(Clone, Copy, Debug)]
enum End {
    /// Whoever opened it has no session any more.
    Session,
    /// Nothing was said for too long.
    Silence,
    /// samlgate stops.
    Shutdown,
}

impl End {
    fn close_frame(self, mask: Option<[u8; 4]>) -> Vec<u8> {
        match self {
            Self::Session => close_frame(1008, "session ended", mask),
            Self::Silence => close_frame(1001, "nothing was said for too long", mask),
            Self::Shutdown => close_frame(1001, "shutting down", mask),
        }
    }
}

/// An open WebSocket.
pub(crate) struct Tunnel {
    application: UpstreamIo,
    /// Of the connection to the application: every octet of either direction passes there.
    watch: Rc<Watch>,
    session: Option<Arc<Session>>,
    parts: Arc<GateParts>,
    /// From the client to the application.
    up: Direction,
    down: Direction,
    /// The last words are being said.
    ending: bool,
    /// The client's connection isn't idle.
    _busy: Busy,
    /// The client's connection, which isn't HTTP any more and is waited for at shutdown. That of an HTTP/2 stream counts by itself.
    _counted: Option<Counted>,
}

impl Tunnel {
    /// Between a client and the application, which has agreed.
    pub(crate) fn new(
        application: UpstreamIo,
        watch: Rc<Watch>,
        session: Option<Arc<Session>>,
        parts: Arc<GateParts>,
        busy: Busy,
        counted: Option<Counted>,
    ) -> Self {
        watch.beat();
        let (up, down) = (Direction::new(), Direction::new());
        Self { application, watch, session, parts, up, down, ending: false, _busy: busy, _counted: counted }
    }

    /// Until it ends. `client_side` is the client's connection, once it has heard that the application agrees.
    pub(crate) async fn run<C: AsyncRead + AsyncWrite + Unpin>(mut self, client_side: impl Future<Output = Option<C>>) {
        let mut client_side = pin!(client_side);
        let opened = poll_fn(|cx| {
            self.watch.wakes(cx.waker());
            match client_side.as_mut().poll(cx) {
                Poll::Ready(opened) => Poll::Ready(opened),
                Poll::Pending if self.end(self.parts.clock.now()).is_some() => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        });
        if let Some(mut client) = opened.await {
            poll_fn(|cx| self.poll(cx, &mut client)).await;
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>, client: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Poll<()> {
        self.watch.wakes(cx.waker());
        if self.ending {
            return self.poll_end(cx, client);
        }
        // Before anything passes: what is sent under a session that has ended must not arrive.
        let now = self.parts.clock.now();
        let Some(end) = self.end(now) else { return self.pass(cx, client, now) };
        let mut mask = [0; 4];
        self.parts.entropy.fill(&mut mask);
        // What the client sends is cut where it is.
        self.up.end(end.close_frame(Some(mask)), false);
        self.down.end(end.close_frame(None), true);
        self.ending = true;
        self.watch.limit_total(LAST_WORDS);
        self.poll_end(cx, client)
    }

    /// Why it must end now.
    fn end(&self, now: Timestamp) -> Option<End> {
        if self.session.as_ref().is_some_and(|session| !session.is_live(now)) {
            Some(End::Session)
        } else if self.watch.draining() {
            Some(End::Shutdown)
        } else if self.watch.expired() {
            Some(End::Silence)
        } else {
            None
        }
    }

    fn pass(&mut self, cx: &mut Context<'_>, client: &mut (impl AsyncRead + AsyncWrite + Unpin), now: Timestamp) -> Poll<()> {
        let up = self.up.poll(cx, client, &mut self.application);
        let down = self.down.poll(cx, &mut self.application, client);
        if let (true, Some(session)) = (self.up.take_said(), &self.session) {
            // What the user sends counts as use. What the application sends doesn't, nor does what a browser answers to its pings.
            session.touch(now);
        }
        match (up, down) {
            (Poll::Ready(Err(_)), _) | (_, Poll::Ready(Err(_))) | (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(()),
            // hyper takes a stream of HTTP/2 that the client has cancelled for one that has ended in this direction. Whether the other
            // one is gone too, writing shows.
            (Poll::Ready(Ok(())), Poll::Pending) => match Pin::new(client).poll_flush(cx) {
                Poll::Ready(Err(_)) => Poll::Ready(()),
                Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
            },
            (Poll::Pending, _) => Poll::Pending,
        }
    }

    /// Says the last words, and waits a little until both sides have heard them.
    fn poll_end(&mut self, cx: &mut Context<'_>, client: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Poll<()> {
        // Whoever is gone needs no last words; the other side still does.
        let up = self.up.poll(cx, client, &mut self.application).is_ready();
        let down = self.down.poll(cx, &mut self.application, client).is_ready();
        let client = poll_discard(cx, client).is_ready();
        let application = !self.down.is_reading() && poll_discard(cx, &mut self.application).is_ready();
        if (up && down && client && application) || self.watch.expired() { Poll::Ready(()) } else { Poll::Pending }
    }
}
