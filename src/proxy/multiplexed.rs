//! HTTP/2 to the application (RFC 9113): one connection carries many exchanges, each with its own time limits.

use std::cell::{Cell, RefCell};
use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::response::Parts;
use http_body::{Body, Frame};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioIo, TokioTimer};

use super::body::{BodyError, Upload};
use super::connect::UpstreamIo;
use super::connection::Local;
use super::link::{Failure, Limits};
use super::watch::Watch;

/// Exchanges on one connection at a time; with more, another one is opened. Hardly a server allows fewer (RFC 9113 section 6.5.2).
const MOST_STREAMS: usize = 100;
/// So much of an answer may be on its way before the client takes it. A client that doesn't read keeps no other from its answer: the
/// connection has room for all.
const STREAM_WINDOW: u32 = 128 * 1024;
/// Largest head of an answer, in octets.
const LARGEST_HEAD: u32 = 64 * 1024;

/// A connection.
pub(crate) struct Multiplexed {
    sender: SendRequest<Sending>,
    /// One more than there are exchanges.
    places: Rc<()>,
    /// The tick in which it was last used.
    pub(crate) used: Cell<u32>,
}

impl Multiplexed {
    /// Agrees on HTTP/2. The connection is then driven by a task of its own, until nobody holds a part of it.
    pub(crate) async fn begin(io: UpstreamIo) -> io::Result<Self> {
        let mut builder = Builder::new(Local);
        builder
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(STREAM_WINDOW * MOST_STREAMS as u32)
            .max_header_list_size(LARGEST_HEAD)
            // An application that went away without a word.
            .keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(Duration::from_secs(20));
        let (sender, connection) = builder.handshake(TokioIo::new(io)).await.map_err(io::Error::other)?;
        tokio::task::spawn_local(async move {
            // Whoever has an exchange on it hears of an error.
            let _ = connection.await;
        });
        Ok(Self { sender, places: Rc::new(()), used: Cell::new(0) })
    }

    /// Whether it can carry another exchange.
    pub(crate) fn has_room(&self) -> bool {
        !self.sender.is_closed() && Rc::strong_count(&self.places) <= MOST_STREAMS
    }

    /// Whether nobody uses it.
    pub(crate) fn is_idle(&self) -> bool {
        Rc::strong_count(&self.places) == 1
    }

    /// A place for an exchange.
    pub(crate) fn place(&self) -> Place {
        Place { sender: self.sender.clone(), place: Rc::clone(&self.places) }
    }
}

/// The right to one exchange.
pub(crate) struct Place {
    sender: SendRequest<Sending>,
    place: Rc<()>,
}

impl Place {
    /// Sends a request and waits for the head of the answer. `repeatable`: it is idempotent and has no body.
    ///
    /// # Errors
    /// When there is no answer. `Again` when the application can't have begun to work on it, or it is repeatable.
    pub(crate) async fn send(
        mut self,
        request: Request<Upload>,
        watch: Arc<Watch>,
        limits: Limits,
        repeatable: bool,
    ) -> Result<(Parts, Received), Failure> {
        let progress = Rc::new(Progress { watch: Arc::clone(&watch), limits, sent: Cell::new(false), fault: RefCell::new(None) });
        watch.limit_pauses(limits.idle);
        if request.body().is_end_stream() {
            progress.sent();
        }
        let request = request.map(|upload| Sending { upload, progress: Rc::clone(&progress) });
        let mut answering = pin!(self.sender.try_send_request(request));
        let answered = poll_fn(|cx| {
            watch.wakes(cx.waker());
            let answered = answering.as_mut().poll(cx);
            match (progress.fault.take(), answered) {
                (Some(fault), _) => Poll::Ready(Err(fault)),
                (None, Poll::Ready(Ok(answer))) => Poll::Ready(Ok(answer)),
                (None, Poll::Ready(Err(mut error))) => Poll::Ready(Err(match error.take_message() {
                    Some(unsent) => Failure::Again(unsent.into_body().upload),
                    None if repeatable => Failure::Again(Upload::Empty),
                    None => Failure::Lost,
                })),
                (None, Poll::Pending) if watch.expired() => {
                    Poll::Ready(Err(if progress.sent.get() { Failure::UpstreamTimeout } else { Failure::ClientTimeout }))
                }
                (None, Poll::Pending) => Poll::Pending,
            }
        });
        let (head, incoming) = answered.await?.into_parts();
        watch.limit_pauses(limits.idle);
        let whole = incoming.is_end_stream();
        Ok((head, Received { incoming, watch, whole, _place: self.place }))
    }
}

/// How far the sending of a request is.
struct Progress {
    watch: Arc<Watch>,
    limits: Limits,
    sent: Cell<bool>,
    /// Why it can't be sent to its end.
    fault: RefCell<Option<Failure>>,
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
    progress: Rc<Progress>,
}

impl Body for Sending {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = ready!(Pin::new(&mut self.upload).poll_frame(cx));
        match polled {
            Some(Err(error)) => {
                // The exchange is told why; the stream is only reset.
                *self.progress.fault.borrow_mut() = Some(Failure::of_upload(&error));
                Poll::Ready(Some(Err(error)))
            }
            polled => {
                self.progress.watch.progress();
                if polled.is_none() || self.upload.is_end_stream() {
                    self.progress.sent();
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
    watch: Arc<Watch>,
    whole: bool,
    _place: Rc<()>,
}

impl Received {
    /// Its time limits.
    pub(crate) fn watch(&self) -> &Arc<Watch> {
        &self.watch
    }

    /// Whether all of it was taken.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole
    }

    /// The length of what is left, when it is known.
    pub(crate) fn length_left(&self) -> Option<u64> {
        if self.whole { Some(0) } else { self.incoming.size_hint().exact() }
    }

    /// The next piece.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.whole {
            return Poll::Ready(None);
        }
        let polled = ready!(Pin::new(&mut self.incoming).poll_frame(cx));
        self.watch.progress();
        self.whole = self.incoming.is_end_stream();
        Poll::Ready(match polled {
            // hyper takes a stream that is reset without an error for one that has ended.
            None if !self.whole => Some(Err(BodyError::Cut)),
            Some(Err(_)) => Some(Err(BodyError::Cut)),
            polled => polled.map(|frame| frame.map_err(BodyError::Http)),
        })
    }
}
