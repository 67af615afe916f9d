//! One HTTP/1.1 connection to the application, driven by whoever uses it.
//!
//! hyper's client hands every request and answer through channels to a task, and copies a request that may have to be sent twice;
//! that was a third of what a request cost. Here an exchange is a few calls: octets out, octets in.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as _, Frame};

use super::answer::{Answer, take_answer};
use super::body::{BodyError, Upload};
use super::body_lines::Malformed;
use super::connect::UpstreamIo;
use super::inbox::Inbox;
use super::outbox::Outbox;
use super::remaining::{Piece, Remaining};
use super::watch::Watch;
use crate::web::Cookies;

/// A request on its way to the application.
pub(crate) struct Outbound<'a> {
    /// Its head, as octets.
    pub(crate) head: Vec<u8>,
    /// Its body.
    pub(crate) upload: Upload,
    /// How the body is framed: its length, or chunks.
    pub(crate) length: Option<u64>,
    /// The answer has no body, whatever it says.
    pub(crate) to_head: bool,
    /// The head of the answer is made into lines, where it can be; these cookies are ours.
    pub(crate) lines: Option<&'a Cookies>,
}

/// A connection, and the exchange on it.
pub(crate) struct Link {
    io: UpstreamIo,
    watch: Rc<Watch>,
    /// What was read and not yet taken.
    inbox: Inbox,
    outbox: Outbox,
    upload: Upload,
    /// Octets of the upload that must still come; `None`: it is sent in chunks.
    upload_left: Option<u64>,
    /// Of the answer's body.
    remaining: Remaining,
    /// Carries no other request.
    retired: bool,
    /// The tick in which it became idle.
    pub(crate) idle_since: u32,
}

/// Why there is no answer.
pub(crate) enum Failure {
    /// The connection had ended before anything was answered. The request may be sent once more, with this body.
    Again(Upload),
    /// The connection ended.
    Lost,
    /// What came isn't HTTP, or is ambiguous.
    Malformed(Malformed),
    /// Nothing came in time.
    UpstreamTimeout,
    /// The client stopped sending its body.
    ClientTimeout,
    /// The client's body is too large.
    TooLarge,
    /// The client's body is malformed or broke off.
    ClientBroken,
    /// The session ended while its body was sent.
    SessionEnded,
}

impl Failure {
    /// What an upload's end before its end means.
    pub(crate) fn of_upload(error: &BodyError) -> Self {
        match error {
            BodyError::TooLarge => Self::TooLarge,
            BodyError::SessionEnded => Self::SessionEnded,
            _ => Self::ClientBroken,
        }
    }

    /// How it is counted, when it is the application's.
    pub(crate) fn of_the_application(&self) -> Option<&'static str> {
        match self {
            Self::Again(_) | Self::Lost => Some("lost"),
            Self::Malformed(_) => Some("malformed"),
            Self::UpstreamTimeout => Some("timeout"),
            Self::ClientTimeout | Self::TooLarge | Self::ClientBroken | Self::SessionEnded => None,
        }
    }

    /// For the log: whose fault it is and what happened.
    pub(crate) fn explain(&self) -> &'static str {
        match self {
            Self::Again(_) | Self::Lost => "the application closed the connection without an answer",
            Self::Malformed(Malformed(why)) => why,
            Self::UpstreamTimeout => {
                "the application didn't answer in time (upstream.connect_timeout, upstream.response_timeout)"
            }
            Self::ClientTimeout => "the client stopped sending its body (upstream.idle_timeout)",
            Self::TooLarge => "the client's body is larger than upstream.max_body",
            Self::SessionEnded => "the session ended while the client sent its body",
            Self::ClientBroken => "the client's body is malformed or broke off",
        }
    }
}

/// Time limits of an exchange.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// From the end of the request to the head of the answer.
    pub(crate) response: Duration,
    /// Between two octets of a body.
    pub(crate) idle: Duration,
}

impl Link {
    /// An exchange's beginning. `watch` is the transport's too.
    pub(crate) fn new(io: UpstreamIo, watch: Rc<Watch>) -> Self {
        Self {
            io,
            watch,
            inbox: Inbox::new(),
            outbox: Outbox::default(),
            upload: Upload::Empty,
            upload_left: None,
            remaining: Remaining::Nothing,
            retired: false,
            idle_since: 0,
        }
    }

    /// Its time limits.
    pub(crate) fn watch(&self) -> &Rc<Watch> {
        &self.watch
    }

    /// Whether another request may come, as far as is known without looking. Octets that nobody asked for may be meant as an answer
    /// to the next request, so there won't be one.
    pub(crate) fn may_be_kept(&self) -> bool {
        !self.retired && self.is_whole() && self.inbox.octets.is_empty() && self.outbox.is_sent()
    }

    /// Has no limits and needs little room until the next exchange.
    pub(crate) fn rest(&mut self) {
        self.watch.rest();
        self.inbox.shrink();
        self.inbox.give_room_back();
    }

    /// After this exchange the connection is closed, whatever the application says.
    pub(crate) fn retire(&mut self) {
        self.retired = true;
    }

    /// Whether an idle connection is still silent and open.
    pub(crate) fn is_quiet(&mut self) -> bool {
        self.poll_read(&mut Context::from_waker(std::task::Waker::noop())).is_pending()
    }

    /// Sends a request and waits for the head of the answer; the body then comes with [`Self::poll_body`]. `repeatable`: it may be
    /// sent twice, since it is idempotent (RFC 9110 section 9.2.2) and has no body.
    ///
    /// # Errors
    /// When there is no answer; then the connection is of no more use.
    pub(crate) async fn send(&mut self, request: Outbound<'_>, limits: Limits, repeatable: bool) -> Result<Answer, Failure> {
        let Outbound { head, upload, length, to_head, lines } = request;
        self.outbox.begin(head);
        (self.upload, self.upload_left) = (upload, length);
        if !self.upload.is_empty() {
            // An application that answers without reading the body would take the body for the next request, with whatever
            // identity its sender wrote there.
            self.retired = true;
        }
        let mut sent = self.upload.is_empty();
        if sent {
            self.watch.limit_total(limits.response);
        } else {
            self.watch.limit_pauses(limits.idle);
        }
        let answered = poll_fn(|cx| {
            self.watch.wakes(cx.waker());
            let pumped = self.pump(cx);
            if !sent && self.upload.is_empty() {
                // Only now the application can be asked to be quick.
                sent = true;
                self.watch.limit_total(limits.response);
            }
            match (self.poll_answer(cx, to_head, lines), pumped) {
                (Poll::Ready(answer), _) => Poll::Ready(answer),
                (Poll::Pending, Err(failure)) => Poll::Ready(Err(failure)),
                (Poll::Pending, Ok(())) if self.watch.expired() => {
                    Poll::Ready(Err(if sent { Failure::UpstreamTimeout } else { Failure::ClientTimeout }))
                }
                (Poll::Pending, Ok(())) => Poll::Pending,
            }
        });
        let answer = answered.await.map_err(|failure| match failure {
            Failure::Lost if self.inbox.octets.is_empty() && repeatable => Failure::Again(Upload::Empty),
            failure => failure,
        })?;
        self.remaining = answer.body;
        self.retired |= !answer.keeps;
        self.watch.limit_pauses(limits.idle);
        Ok(answer)
    }

    /// Whether the answer's body was taken as a whole.
    pub(crate) fn is_whole(&self) -> bool {
        self.remaining == Remaining::Nothing
    }

    /// The length of what is left of the answer's body, when it is known.
    pub(crate) fn length_left(&self) -> Option<u64> {
        self.remaining.length()
    }

    /// The answer's body, when all of it was read together with the head.
    pub(crate) fn take_whole(&mut self) -> Option<Bytes> {
        self.remaining.take_whole(&mut self.inbox.octets)
    }

    /// The next piece of the answer's body. What is left of the request's is sent meanwhile.
    pub(crate) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.pump(cx).is_err() {
            return Poll::Ready(Some(Err(BodyError::Cut)));
        }
        loop {
            return Poll::Ready(match self.remaining.take(&mut self.inbox.octets) {
                Ok(Piece::Data(data)) => Some(Ok(Frame::data(data))),
                Ok(Piece::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
                Ok(Piece::End) => None,
                Err(Malformed(why)) => Some(Err(BodyError::Malformed(why))),
                Ok(Piece::Starved) => match ready!(self.poll_read(cx)) {
                    Ok(0) if self.remaining == Remaining::UntilClose => {
                        self.remaining = Remaining::Nothing;
                        None
                    }
                    Ok(0) | Err(_) => Some(Err(BodyError::Cut)),
                    Ok(_) => continue,
                },
            });
        }
    }

    /// The octets, for another protocol, when the application has agreed to it.
    pub(crate) fn into_io(mut self) -> UpstreamIo {
        self.io.put_back(self.inbox.octets);
        self.io
    }

    /// Reads what there is; 0 at the end.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.inbox.poll_read(cx, &mut self.io, true)
    }

    /// The head of the final answer.
    fn poll_answer(&mut self, cx: &mut Context<'_>, to_head: bool, lines: Option<&Cookies>) -> Poll<Result<Answer, Failure>> {
        loop {
            match take_answer(&mut self.inbox.octets, to_head, lines) {
                Ok(Some(answer)) if answer.is_interim() => {}
                Ok(Some(answer)) => return Poll::Ready(Ok(answer)),
                Err(malformed) => return Poll::Ready(Err(Failure::Malformed(malformed))),
                Ok(None) => match ready!(self.poll_read(cx)) {
                    Ok(0) | Err(_) => return Poll::Ready(Err(Failure::Lost)),
                    Ok(_) => {}
                },
            }
        }
    }

    /// Writes as much as the application takes and the client sends.
    fn pump(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        loop {
            if self.outbox.has_room() && !self.upload.is_empty() {
                self.pack(cx)?;
            }
            if self.outbox.is_sent() {
                return Ok(());
            }
            match self.outbox.poll_write(&mut self.io, cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Err(Failure::Lost),
                Poll::Pending => return Ok(()),
            }
        }
    }

    /// Takes the next piece of the upload, when there is one.
    fn pack(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        loop {
            let Poll::Ready(frame) = Pin::new(&mut self.upload).poll_frame(cx) else { return Ok(()) };
            let frame = match frame {
                Some(Ok(frame)) => Some(frame),
                None => None,
                Some(Err(error)) => {
                    self.upload = Upload::Empty;
                    return Err(Failure::of_upload(&error));
                }
            };
            match (frame.map(Frame::into_data), &mut self.upload_left) {
                (Some(Ok(data)), _) if data.is_empty() => continue,
                (Some(Ok(data)), None) => {
                    let last = self.upload.is_end_stream();
                    self.outbox.put_chunk(data, last);
                    if last {
                        self.upload = Upload::Empty;
                    }
                }
                (Some(Ok(data)), Some(left)) => {
                    let Some(rest) = left.checked_sub(data.len() as u64) else {
                        self.upload = Upload::Empty;
                        return Err(Failure::ClientBroken);
                    };
                    *left = rest;
                    self.outbox.put_data(data);
                }
                (Some(Err(trailers)), None) => {
                    self.outbox.put_end(trailers.trailers_ref());
                    self.upload = Upload::Empty;
                }
                (None, None) => {
                    self.outbox.put_end(None);
                    self.upload = Upload::Empty;
                }
                (Some(Err(_)), Some(_)) => continue,
                (None, Some(0)) => self.upload = Upload::Empty,
                (None, Some(_)) => {
                    self.upload = Upload::Empty;
                    return Err(Failure::ClientBroken);
                }
            }
            // As soon as all was taken, the application can be asked to be quick.
            if self.upload_left == Some(0) && self.upload.is_end_stream() {
                self.upload = Upload::Empty;
            }
            return Ok(());
        }
    }
}
