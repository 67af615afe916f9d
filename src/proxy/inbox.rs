//! What was read from a connection and not yet taken, and room for more.

use std::future::Future as _;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Room for what is read: at first, and while large bodies come.
const SMALLEST_READ: usize = 8 * 1024;
const LARGEST_READ: usize = 128 * 1024;

/// A transport that can be asked whether reading is worth while.
pub(crate) trait Readable: AsyncRead + Unpin {
    /// Ready when the transport has something to say, be it the end.
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// Whether something may be there to read though the transport has nothing: TLS reads ahead, and so may whoever put something back.
    fn has_read_ahead(&self) -> bool;
}

/// Octets that wait to be taken.
pub(crate) struct Inbox {
    pub(crate) octets: BytesMut,
    /// For the next read.
    room: usize,
}

impl Inbox {
    /// Nothing was read yet.
    pub(crate) fn new() -> Self {
        Self { octets: BytesMut::new(), room: SMALLEST_READ }
    }

    /// Reads what there is; 0 at the end. Room is taken only when there is something to read: the next connection gets the same piece of
    /// memory, which is in the caches still. `grows`: whoever fills the room gets more of it the next time.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, io: &mut impl Readable, grows: bool) -> Poll<io::Result<usize>> {
        if self.octets.is_empty() && !io.has_read_ahead() {
            ready!(io.poll_readable(cx));
        }
        self.octets.reserve(self.room);
        let Poll::Ready(read) = pin!(io.read_buf(&mut self.octets)).poll(cx) else {
            self.give_room_back();
            return Poll::Pending;
        };
        if grows && read.as_ref().is_ok_and(|read| *read >= self.room) {
            self.room = (self.room * 2).min(LARGEST_READ);
        }
        Poll::Ready(read)
    }

    /// When nothing is in it.
    pub(crate) fn give_room_back(&mut self) {
        if self.octets.is_empty() {
            self.octets = BytesMut::new();
        }
    }

    /// What comes next is not expected to be large.
    pub(crate) fn shrink(&mut self) {
        self.room = SMALLEST_READ;
    }
}
