//! What is being written to an application or a client: a head, and pieces of a body in their framing.

use std::fmt::Write as _;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http::HeaderMap;
use tokio::io::AsyncWrite;

use crate::identity::headers::write_line;

/// Octets in three parts, written as one.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// The head of the message, a chunk's size, or the end of all chunks.
    front: Vec<u8>,
    data: Bytes,
    /// What ends a chunk.
    back: &'static [u8],
    /// So much of all three is written.
    written: usize,
    /// The transport may hold something back.
    unflushed: bool,
    /// `front` holds the whole head and nothing else.
    only_head: bool,
}

impl Outbox {
    /// A new message.
    pub(crate) fn begin(&mut self, head: Vec<u8>) {
        *self = Self { front: head, only_head: true, unflushed: true, ..Self::default() };
    }

    /// Whether all is written.
    pub(crate) fn is_sent(&self) -> bool {
        self.written == self.length() && !self.unflushed
    }

    /// Whether a piece can be put in: all is written, or a head waits, which goes out together with it.
    pub(crate) fn has_room(&self) -> bool {
        self.is_sent() || (self.only_head && self.written == 0)
    }

    /// A piece of a body whose length was announced. A small one goes where the head has room to spare: one piece is written with less
    /// work than two.
    pub(crate) fn put_data(&mut self, data: Bytes) {
        self.make_room();
        if data.len() <= self.front.capacity() - self.front.len() {
            self.front.extend_from_slice(&data);
        } else {
            self.data = data;
        }
    }

    /// A chunk (RFC 9112 section 7.1), not an empty one; `last`: and the end of all chunks.
    pub(crate) fn put_chunk(&mut self, data: Bytes, last: bool) {
        self.make_room();
        let mut size = String::new();
        // Writing to a string can't fail.
        let _ = write!(size, "{:x}\r\n", data.len());
        self.front.extend_from_slice(size.as_bytes());
        (self.data, self.back) = (data, if last { &b"\r\n0\r\n\r\n"[..] } else { b"\r\n" });
    }

    /// The end of all chunks.
    pub(crate) fn put_end(&mut self, trailers: Option<&HeaderMap>) {
        self.make_room();
        self.front.extend_from_slice(b"0\r\n");
        for (name, value) in trailers.into_iter().flatten() {
            write_line(&mut self.front, name, value);
        }
        self.front.extend_from_slice(b"\r\n");
    }

    fn make_room(&mut self) {
        if self.is_sent() {
            self.front.clear();
            (self.data, self.back, self.written) = (Bytes::new(), b"", 0);
        }
        (self.only_head, self.unflushed) = (false, true);
    }

    fn length(&self) -> usize {
        self.front.len() + self.data.len() + self.back.len()
    }

    /// Writes until all is written.
    pub(crate) fn poll_write(&mut self, io: &mut (impl AsyncWrite + Unpin), cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.length() {
            let mut rest = (&self.front[..]).chain(&self.data[..]).chain(self.back);
            rest.advance(self.written);
            let mut slices = [IoSlice::new(&[]); 3];
            let used = rest.chunks_vectored(&mut slices);
            let slices = slices.get(..used).unwrap_or_default();
            let written = match slices {
                [only] => ready!(Pin::new(&mut *io).poll_write(cx, only))?,
                several => ready!(Pin::new(&mut *io).poll_write_vectored(cx, several))?,
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += written;
        }
        ready!(Pin::new(io).poll_flush(cx))?;
        self.unflushed = false;
        if self.only_head {
            // While the answer is waited for, others can use its room.
            *self = Self::default();
        }
        Poll::Ready(Ok(()))
    }
}
