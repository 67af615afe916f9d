//! HTTP/2 to the application (RFC 9113): one connection carries many exchanges, each with its own time limits.

use std::cell::{Cell, RefCell};
use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::response::Parts;
use http_body::{Body, Frame};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::task::JoinHandle;

use super::body::{BodyError, Upload};
use super::body_lines::Malformed;
use super::connect::UpstreamIo;
use super::connection::Local;
use super::link::{Failure, Limits};
use super::watch::{TICK, Watch};

/// Exchanges on one connection at a time, if the application allows so many; with more, another one is opened.
const MOST_STREAMS: usize = 64;
/// So much of an answer may be on its way before the client takes it: the smallest window there is.
const STREAM_WINDOW: u32 = 65_535;
/// A client that doesn't read keeps no other from its answer: the connection has room for all. h2 counts a small frame that waits as
/// one of 256 octets, and ends the connection at half of this window, so it has room for all even in frames of one octet.
const CONNECTION_WINDOW: u32 = 2 * 255 * STREAM_WINDOW * MOST_STREAMS as u32;
/// Largest head of an answer, in octets.
const LARGEST_HEAD: u32 = 64 * 1024;
/// What waits to be sent of one request, in octets.
const SEND_BUFFER: usize = 128 * 1024;
/// After so long a connection gets no new exchanges: servers, and h2, count some oddities over a connection's whole life.
const LIFETIME: Duration = Duration::from_secs(300);
/// After so many exchanges that clients broke off it gets no new ones either: an application takes too many for an attack
/// (CVE-2023-44487), and ends the connection for everybody.
const MOST_BROKEN_OFF: usize = 32;

/// A connection.
pub(crate) struct Multiplexed {
    sender: SendRequest<Sending>,
    /// What drives it.
    task: JoinHandle<()>,
    state: Rc<State>,
    /// The tick in which it was last used.
    pub(crate) used: Cell<u32>,
    began: u32,
}

/// What a connection's exchanges have in common.
struct State {
    /// How many there are.
    active: Cell<usize>,
    /// How many the application allows.
    allowed: Cell<usize>,
    broken_off: Cell<usize>,
    /// Exchanges whose answer nobody waits for any more, while a piece of their request can't be sent.
    abandoned: Cell<usize>,
}

impl Multiplexed {
    /// Agrees on HTTP/2. The connection is then driven by a task of its own, until nobody holds a part of it. `now` is the current
    /// tick.
    pub(crate) async fn begin(io: UpstreamIo, now: u32) -> io::Result<Self> {
        let mut builder = Builder::new(Local);
        builder
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(LARGEST_HEAD)
            .max_send_buf_size(SEND_BUFFER)
            // An application that went away without a word.
            .keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(Duration::from_secs(20));
        let (sender, connection) = builder.handshake(TokioIo::new(io)).await.map_err(io::Error::other)?;
        let state = Rc::new(State {
            active: Cell::new(0),
            allowed: Cell::new(MOST_STREAMS),
            broken_off: Cell::new(0),
            abandoned: Cell::new(0),
        });
        let seen = Rc::clone(&state);
        let task = tokio::task::spawn_local(async move {
            let mut connection = pin!(connection);
            // Whoever has an exchange on it hears of an error.
            poll_fn(|cx| {
                let ended = connection.as_mut().poll(cx).map(|_| ());
                seen.allowed.set(connection.current_max_send_streams().min(MOST_STREAMS));
                ended
            })
            .await;
        });
        Ok(Self { sender, task, state, used: Cell::new(now), began: now })
    }

    /// Whether it can carry another exchange. `now` is the current tick.
    pub(crate) fn has_room(&self, now: u32) -> bool {
        let state = &self.state;
        !self.sender.is_closed()
            && state.active.get() < state.allowed.get()
            && state.broken_off.get() < MOST_BROKEN_OFF
            && state.abandoned.get() == 0
            && TICK * now.wrapping_sub(self.began) < LIFETIME
    }

    /// Whether nobody uses it.
    pub(crate) fn is_idle(&self) -> bool {
        self.state.active.get() == self.state.abandoned.get()
    }

    /// Ends a connection that nobody uses, and with it what is abandoned on it.
    pub(crate) fn end(&self) {
        if self.state.abandoned.get() > 0 {
            self.task.abort();
        }
    }

    /// A place for an exchange.
    pub(crate) fn place(&self) -> Place {
        self.state.active.set(self.state.active.get() + 1);
        Place {
            sender: self.sender.clone(),
            taken: Taken { state: Rc::clone(&self.state), done: Cell::new(true), over: Cell::new(false) },
        }
    }
}

/// A place that is taken, until both directions have ended.
struct Taken {
    state: Rc<State>,
    /// It ended by itself, or hasn't begun.
    done: Cell<bool>,
    /// The answer is whole, or nobody waits for it any more: the rest of the request is of no use.
    over: Cell<bool>,
}

impl Drop for Taken {
    fn drop(&mut self) {
        let state = &self.state;
        state.active.set(state.active.get().saturating_sub(1));
        if self.over.get() {
            state.abandoned.set(state.abandoned.get().saturating_sub(1));
        }
        if !self.done.get() {
            state.broken_off.set(state.broken_off.get() + 1);
        }
    }
}

/// The right to one exchange.
pub(crate) struct Place {
    sender: SendRequest<Sending>,
    taken: Taken,
}

impl Place {
    /// Sends a request and waits for the head of the answer. `repeatable`: it is idempotent and has no body.
    ///
    /// # Errors
    /// When there is no answer. `Again` when the application hasn't begun to work on it, or when it is repeatable and the connection
    /// ended.
    pub(crate) async fn send(
        mut self,
        request: Request<Upload>,
        watch: Rc<Watch>,
        limits: Limits,
        repeatable: bool,
    ) -> Result<(Parts, Received), Failure> {
        let bodiless = request.body().is_end_stream();
        let exchange = Rc::new(Progress {
            watch,
            limits,
            sent: Cell::new(false),
            fault: RefCell::new(None),
            sending: RefCell::new(None),
            taken: self.taken,
        });
        let watch = &exchange.watch;
        watch.limit_pauses(limits.idle);
        if bodiless {
            exchange.sent();
        }
        let request = request.map(|upload| Sending { upload, exchange: Rc::clone(&exchange) });
        exchange.taken.done.set(false);
        let mut answering = pin!(self.sender.try_send_request(request));
        let answered = poll_fn(|cx| {
            watch.wakes(cx.waker());
            match (answering.as_mut().poll(cx), exchange.fault.take()) {
                (Poll::Ready(Ok(answer)), _) => Poll::Ready(Ok(answer)),
                (_, Some(fault)) => Poll::Ready(Err(fault)),
                (Poll::Ready(Err(mut error)), None) => Poll::Ready(Err(match error.take_message() {
                    Some(unsent) => Failure::Again(unsent.into_body().upload),
                    None => failure_of(error.error(), repeatable, bodiless),
                })),
                (Poll::Pending, None) if watch.expired() => {
                    Poll::Ready(Err(if exchange.sent.get() { Failure::UpstreamTimeout } else { Failure::ClientTimeout }))
                }
                (Poll::Pending, None) => Poll::Pending,
            }
        });
        let answered = answered.await;
        if matches!(answered, Err(Failure::Again(_) | Failure::Lost | Failure::Malformed(_))) {
            exchange.taken.done.set(true);
        }
        let (head, incoming) = answered?.into_parts();
        // From here on there is no haste, even when the rest of the upload ends later.
        exchange.sent.set(true);
        watch.limit_pauses(limits.idle);
        Ok((head, Received { incoming, exchange }))
    }
}

/// What an error means: whether the application may have begun to work on the request (RFC 9113 section 8.7), and whose fault it is.
fn failure_of(error: &hyper::Error, repeatable: bool, bodiless: bool) -> Failure {
    let h2 = std::error::Error::source(error).and_then(|source| source.downcast_ref::<h2::Error>());
    let again = |may: bool| if may { Failure::Again(Upload::Empty) } else { Failure::Lost };
    match h2 {
        Some(h2) if h2.is_remote() && h2.is_reset() => again(bodiless && h2.reason() == Some(h2::Reason::REFUSED_STREAM)),
        Some(h2) if h2.is_remote() && h2.is_go_away() => {
            again(repeatable || (bodiless && h2.reason() == Some(h2::Reason::NO_ERROR)))
        }
        Some(h2) if h2.is_library() => Failure::Malformed(Malformed("its HTTP/2 is malformed")),
        _ => again(repeatable),
    }
}

/// An exchange under way.
struct Progress {
    watch: Rc<Watch>,
    limits: Limits,
    sent: Cell<bool>,
    /// Why the request can't be sent to its end.
    fault: RefCell<Option<Failure>>,
    /// Who sends.
    sending: RefCell<Option<Waker>>,
    taken: Taken,
}

impl Progress {
    /// Only now the application can be asked to be quick.
    fn sent(&self) {
        if !self.sent.replace(true) {
            self.watch.limit_total(self.limits.response);
        }
    }
}

/// A request's body on its way.
struct Sending {
    upload: Upload,
    exchange: Rc<Progress>,
}

impl Body for Sending {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.exchange.taken.over.get() {
            // Resets the stream.
            return Poll::Ready(Some(Err(BodyError::Cut)));
        }
        let Poll::Ready(polled) = Pin::new(&mut self.upload).poll_frame(cx) else {
            *self.exchange.sending.borrow_mut() = Some(cx.waker().clone());
            return Poll::Pending;
        };
        match polled {
            Some(Err(error)) => {
                // The exchange is told why; the stream is only reset.
                *self.exchange.fault.borrow_mut() = Some(Failure::of_upload(&error));
                Poll::Ready(Some(Err(error)))
            }
            polled => {
                self.exchange.watch.progress();
                let last = polled.as_ref().is_none_or(|frame| frame.as_ref().is_ok_and(Frame::is_trailers));
                if last || self.upload.is_end_stream() {
                    self.exchange.sent();
                }
                Poll::Ready(polled)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.upload.is_end_stream()
    }
}

/// The body of an answer.
pub(crate) struct Received {
    incoming: Incoming,
    exchange: Rc<Progress>,
}

impl Drop for Received {
    fn drop(&mut self) {
        let taken = &self.exchange.taken;
        if self.is_whole() {
            taken.done.set(true);
        }
        // Who still sends is either woken, and resets the stream, or waits for the application to take a piece.
        taken.over.set(true);
        taken.state.abandoned.set(taken.state.abandoned.get() + 1);
        let sending = self.exchange.sending.take();
        if let Some(sending) = sending {
            sending.wake();
        }
    }
}

impl Received {
    /// Its time limits.
    pub(crate) fn watch(&self) -> &Rc<Watch> {
        &self.exchange.watch
    }

    /// Whether all of it was taken.
    pub(crate) fn is_whole(&self) -> bool {
        self.incoming.is_end_stream()
    }

    /// The length of what is left, when it is known.
    pub(crate) fn length_left(&self) -> Option<u64> {
        if self.is_whole() { Some(0) } else { self.incoming.size_hint().exact() }
    }

    /// The next piece.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.is_whole() {
            return Poll::Ready(None);
        }
        let polled = ready!(Pin::new(&mut self.incoming).poll_frame(cx));
        self.exchange.watch.progress();
        Poll::Ready(match polled {
            // hyper takes a stream that is reset without an error for one that has ended.
            None if self.is_whole() => None,
            None | Some(Err(_)) => {
                self.exchange.taken.done.set(true);
                Some(Err(BodyError::Cut))
            }
            Some(Ok(frame)) => Some(Ok(frame)),
        })
    }
}
