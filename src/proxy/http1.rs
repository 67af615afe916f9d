//! The octets of a client's HTTP/1.1 connection: heads and bodies of requests in, answers out (RFC 9112).
//!
//! A connection is at one request at a time. Its task reads the head and writes the answer; whoever wants the body reads it through
//! here meanwhile, on the same thread, until the answer is written.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http::request::Parts;
use http_body::Frame;
use tokio::io::AsyncWrite as _;

use super::body::BodyError;
use super::body_lines::Malformed;
use super::client_head::{Asked, MALFORMED, Refused, take_request};
use super::client_io::ClientIo;
use super::inbox::{Inbox, Readable as _};
use super::outbox::Outbox;
use super::remaining::{Piece, Remaining};
use super::transport::Transport;

/// So often is read from what has arrived of a body that nobody wants.
const MOST_UNWANTED: u32 = 8;
/// What a client that asked for it hears before it sends its body (RFC 9110 section 15.2.1).
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A client's connection.
pub(crate) struct Http1 {
    io: ClientIo,
    /// What was read and not yet taken.
    inbox: Inbox,
    /// So much of it holds no end of a head.
    searched: usize,
    /// Of the request's body.
    remaining: Remaining,
    /// What the client waits for before it sends the body.
    awaited: &'static [u8],
    /// Some of that may be kept back on its way.
    unflushed: bool,
    /// Counts the requests, so that whoever reads the body of one never reads that of another.
    request: u32,
    /// Who waits for more of the body.
    reader: Reader,
    /// Whatever comes now isn't read as a request.
    over: bool,
}

impl Http1 {
    /// A connection on which nothing was said yet.
    pub(crate) fn new(io: ClientIo) -> Self {
        Self {
            io,
            inbox: Inbox::new(),
            searched: 0,
            remaining: Remaining::Nothing,
            awaited: b"",
            unflushed: false,
            request: 0,
            reader: Reader(None),
            over: false,
        }
    }

    /// Which request the connection is at.
    pub(crate) fn request(&self) -> u32 {
        self.request
    }

    /// The next request, its head in the place of another's; `None` at the end. The last one's body must be whole.
    ///
    /// # Errors
    /// When what comes is no request. Then nothing more can be read.
    pub(crate) fn poll_request(&mut self, cx: &mut Context<'_>, head: &mut Parts) -> Poll<Result<Option<Asked>, Refused>> {
        loop {
            self.io.wait_for_request(false);
            if self.over {
                return Poll::Ready(Ok(None));
            }
            match take_request(&mut self.inbox.octets, &mut self.searched, head) {
                Ok(Some(asked)) => {
                    self.inbox.give_room_back();
                    self.remaining = asked.body;
                    self.awaited = if asked.expects { CONTINUE } else { b"" };
                    return Poll::Ready(Ok(Some(asked)));
                }
                Ok(None) => match self.poll_read(cx) {
                    Poll::Ready(Ok(1..)) => {}
                    Poll::Ready(Ok(0) | Err(_)) => {
                        self.over = true;
                        if self.io.is_refused() {
                            return Poll::Ready(Err(MALFORMED));
                        }
                    }
                    Poll::Pending => {
                        self.io.wait_for_request(self.is_between());
                        return Poll::Pending;
                    }
                },
                Err(refused) => {
                    self.over = true;
                    return Poll::Ready(Err(refused));
                }
            }
        }
    }

    /// The length of what is left of the body of this request, when it is known.
    pub(crate) fn body_left(&self, request: u32) -> Option<u64> {
        if request == self.request { self.remaining.length() } else { None }
    }

    /// The next piece of the body of this request. Asking for it says `100 Continue`, if nothing of an answer was said yet.
    pub(crate) fn poll_body(&mut self, cx: &mut Context<'_>, request: u32) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if request != self.request {
            return Poll::Ready(Some(Err(BodyError::Cut)));
        }
        let polled = self.poll_piece(cx);
        if polled.is_pending() {
            self.reader.waits(cx.waker());
        }
        polled
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if ready!(self.poll_continue(cx)).is_err() {
            return Poll::Ready(Some(Err(self.broken(BodyError::Cut))));
        }
        loop {
            return Poll::Ready(match self.remaining.take(&mut self.inbox.octets) {
                Ok(Piece::Data(data)) => Some(Ok(Frame::data(data))),
                Ok(Piece::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
                Ok(Piece::End) => None,
                Err(Malformed(why)) => Some(Err(self.broken(BodyError::Malformed(why)))),
                Ok(Piece::Starved) => match ready!(self.poll_read(cx)) {
                    Ok(0) | Err(_) => Some(Err(self.broken(BodyError::Cut))),
                    Ok(_) => continue,
                },
            });
        }
    }

    fn poll_continue(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.awaited.is_empty() {
            let written = ready!(Pin::new(&mut self.io).poll_write(cx, self.awaited))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.awaited = self.awaited.get(written..).unwrap_or_default();
            self.unflushed = true;
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.io).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn broken(&mut self, error: BodyError) -> BodyError {
        self.over = true;
        error
    }

    /// Ready when the client is gone, as far as that can be seen while it is answered: what it sends ahead is looked at only once. One
    /// that has only closed its side may still be listening, and is given up when the answer doesn't begin within some seconds.
    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.over || !self.is_between() {
            return Poll::Pending;
        }
        ready!(self.io.poll_readable(cx));
        match ready!(self.poll_read(cx)) {
            Err(_) => return Poll::Ready(()),
            Ok(0) => {
                self.over = true;
                self.io.client_closed_its_side();
            }
            Ok(_) => {}
        }
        Poll::Pending
    }

    /// Whether all of the body was read.
    pub(crate) fn is_whole(&self) -> bool {
        self.remaining == Remaining::Nothing
    }

    /// An answer begins; whoever waits for `100 Continue` waits no more. What must be written first, since it has been begun.
    pub(crate) fn begin_answer(&mut self) -> &'static [u8] {
        let awaited = std::mem::take(&mut self.awaited);
        if awaited.len() < CONTINUE.len() { awaited } else { b"" }
    }

    /// Writes.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, outbox: &mut Outbox) -> Poll<io::Result<()>> {
        outbox.poll_write(&mut self.io, cx)
    }

    /// Nobody reads more of the body. Whether another request can be read: all of this one was, but for what has arrived and nobody
    /// wanted.
    pub(crate) fn end_request(&mut self) -> bool {
        self.request = self.request.wrapping_add(1);
        self.reader = Reader(None);
        self.inbox.shrink();
        let mut cx = Context::from_waker(Waker::noop());
        let mut reads = 0;
        while !self.over && !self.is_whole() {
            match self.remaining.take(&mut self.inbox.octets) {
                Ok(Piece::Starved) if reads < MOST_UNWANTED && matches!(self.poll_read(&mut cx), Poll::Ready(Ok(1..))) => {
                    reads += 1
                }
                Ok(Piece::Starved) | Err(_) => self.over = true,
                Ok(Piece::Data(_) | Piece::Trailers(_) | Piece::End) => {}
            }
        }
        !self.over
    }

    /// The answer breaks off, and only the end of the connection can tell the client so.
    pub(crate) fn tear(&mut self) {
        self.io.tear();
    }

    /// Whether nothing of a request has been read.
    pub(crate) fn is_between(&self) -> bool {
        self.is_whole() && self.inbox.octets.is_empty()
    }

    /// Sleeps until the client says something; see [`ClientIo::poll_sleep`].
    pub(crate) fn poll_sleep(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        (self.inbox, self.searched) = (Inbox::new(), 0);
        self.io.poll_sleep(cx)
    }

    /// Says that nothing more will be said. The client has some seconds to take what was.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.io.phase().is_closing() {
            self.io.phase().close();
        }
        // If it can't, nobody listens.
        Pin::new(&mut self.io).poll_shutdown(cx).map(|_| ())
    }

    /// The octets, for another protocol. `None` when what has come of it was refused as if it were a request.
    pub(crate) fn into_io(mut self) -> Option<ClientIo> {
        self.io.put_back(self.inbox.octets);
        Some(self.io).filter(|io| !io.is_refused())
    }

    /// See [`ClientIo::into_unheard`].
    pub(crate) fn into_unheard(self) -> Option<Transport> {
        self.io.into_unheard()
    }

    /// Reads what there is; 0 at the end.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let in_body = !self.is_whole();
        self.inbox.poll_read(cx, &mut self.io, in_body)
    }
}

/// Somebody who waits for more of a body, and is woken when it is no longer theirs.
struct Reader(Option<Waker>);

impl Reader {
    fn waits(&mut self, waker: &Waker) {
        match &mut self.0 {
            Some(known) => known.clone_from(waker),
            None => self.0 = Some(waker.clone()),
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(waker) = self.0.take() {
            waker.wake();
        }
    }
}
