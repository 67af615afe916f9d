//! One direction of a WebSocket: octets as they come, never more of them in memory than one read, and a last frame when samlgate
//! ends it.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::Frames;

/// Most octets of one read.
const ROOM: usize = 16 * 1024;
/// How often is read, of what is thrown away, before others have their turn.
const READS_PER_TURN: usize = 8;

thread_local! {
    /// Where a worker's WebSockets read to: one that is silent keeps no room for what may come.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; ROOM]);
}

/// One direction.
#[derive(Debug)]
pub(crate) struct Direction {
    frames: Frames,
    /// What was read and could not be written yet.
    held: BytesMut,
    step: Step,
    /// Something was written and may be kept back on its way.
    unflushed: bool,
}

#[derive(Debug)]
enum Step {
    /// Everything passes.
    Pass,
    /// What is left of the frame that has begun, then this one.
    Finish(Vec<u8>),
    /// What is held, then the end.
    Last,
    /// The end was passed on.
    Over,
}

impl Direction {
    /// Nothing has passed yet.
    pub(crate) fn new() -> Self {
        Self { frames: Frames::new(), held: BytesMut::new(), step: Step::Pass, unflushed: false }
    }

    /// Whether anything was passed on since the last call but pings and pongs.
    pub(crate) fn take_said(&mut self) -> bool {
        self.frames.take_said()
    }

    /// Whether anything is still read.
    pub(crate) fn is_reading(&self) -> bool {
        matches!(self.step, Step::Pass | Step::Finish(_))
    }

    /// Passes on whatever can be; ready when the end was passed on.
    ///
    /// # Errors
    /// When one side is gone. Then the direction is over.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<()>> {
        let polled = self.poll_steps(cx, from, to);
        if let Poll::Ready(Err(_)) = polled {
            (self.step, self.held) = (Step::Over, BytesMut::new());
        }
        polled
    }

    /// From now on nothing passes but what is left of the frame that has begun, if it may be finished (`finish`), and then this
    /// one, if it can stand there.
    pub(crate) fn end(&mut self, frame: Vec<u8>, finish: bool) {
        match self.step {
            Step::Over => return,
            Step::Last if self.held.is_empty() => return,
            Step::Pass | Step::Finish(_) | Step::Last => {}
        }
        let left = if finish { self.frames.rest(&self.held) } else { 0 };
        self.held.truncate(left);
        self.step = if finish || !self.frames.is_within() { Step::Finish(frame) } else { Step::Last };
    }

    fn poll_steps(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_held(cx, to))?;
            match &mut self.step {
                Step::Over => return Poll::Ready(Ok(())),
                Step::Last => {
                    ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                    self.step = Step::Over;
                }
                Step::Finish(frame) if !self.frames.is_within() => {
                    if self.frames.may_begin() {
                        self.held.extend_from_slice(frame);
                    }
                    self.step = Step::Last;
                }
                Step::Finish(_) | Step::Pass => {
                    let read = SCRATCH.with_borrow_mut(|scratch| self.poll_through(cx, from, to, scratch));
                    match read? {
                        Poll::Ready(true) => {}
                        Poll::Ready(false) => self.step = Step::Last,
                        Poll::Pending => {
                            if self.unflushed {
                                self.unflushed = Pin::new(&mut *to).poll_flush(cx)?.is_pending();
                            }
                            return Poll::Pending;
                        }
                    }
                }
            }
        }
    }

    /// Writes what is held.
    fn poll_held(&mut self, cx: &mut Context<'_>, to: &mut (impl AsyncWrite + Unpin)) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            let written = ready!(Pin::new(&mut *to).poll_write(cx, &self.held))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.frames.pass(self.held.get(..written).unwrap_or_default());
            self.held.advance(written);
            self.unflushed = true;
            if self.held.is_empty() {
                self.held = BytesMut::new();
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Reads once, and writes what is taken at once; false at the end.
    fn poll_through(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        scratch: &mut [u8],
    ) -> Poll<io::Result<bool>> {
        let mut room = ReadBuf::new(scratch);
        ready!(Pin::new(from).poll_read(cx, &mut room))?;
        let mut octets = room.filled();
        if octets.is_empty() {
            return Poll::Ready(Ok(false));
        }
        if matches!(self.step, Step::Finish(_)) {
            octets = octets.get(..self.frames.rest(octets)).unwrap_or_default();
        }
        let written = match Pin::new(to).poll_write(cx, octets)? {
            Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(written) => written,
            Poll::Pending => 0,
        };
        let (written, held) = octets.split_at(written.min(octets.len()));
        self.frames.pass(written);
        self.held.extend_from_slice(held);
        self.unflushed = true;
        Poll::Ready(Ok(true))
    }
}

/// Reads to the end and passes nothing on; ready at the end. A connection that is closed with octets unread is reset, and the other
/// side loses what it has not read yet. However fast it comes, others have their turn in between.
pub(crate) fn poll_discard(cx: &mut Context<'_>, from: &mut (impl AsyncRead + Unpin)) -> Poll<()> {
    SCRATCH.with_borrow_mut(|scratch| {
        for _ in 0..READS_PER_TURN {
            let mut room = ReadBuf::new(scratch);
            match ready!(Pin::new(&mut *from).poll_read(cx, &mut room)) {
                Ok(()) if !room.filled().is_empty() => {}
                Ok(()) | Err(_) => return Poll::Ready(()),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
}
