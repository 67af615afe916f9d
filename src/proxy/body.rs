//! Bodies in both directions: streamed, never whole in memory, and never passed off as whole when they aren't.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderName;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use thiserror::Error;

use super::client_io::Busy;
use super::gate::GateParts;
use super::incoming::Incoming;
use super::link::Link;
use super::multiplexed::Received;
use super::pool::Pool;
use super::watch::Watch;
use crate::clock::Timestamp;
use crate::identity::headers::remove_where;
use crate::session::Session;

/// How often an upload looks whether its session still lives.
const SESSION_CHECK: Duration = Duration::from_secs(1);

/// Why a body ends before its end.
#[derive(Debug, Error)]
pub(crate) enum BodyError {
    /// The transport, or broken framing.
    #[error(transparent)]
    Http(#[from] hyper::Error),
    /// Larger than `upstream.max_body`.
    #[error("the request body is larger than allowed")]
    TooLarge,
    /// No octet for `upstream.idle_timeout`.
    #[error("nothing was sent for too long")]
    Idle,
    /// The connection that it comes from ended in the middle.
    #[error("the connection was closed")]
    Cut,
    /// Its framing is broken.
    #[error("{0}")]
    Malformed(&'static str),
    /// The session under which the stream was opened ended.
    #[error("the session ended")]
    SessionEnded,
}

/// A request's body on its way to the application.
pub(crate) enum Upload {
    /// None.
    Empty,
    /// The client's.
    Stream(Box<UploadStream>),
}

/// A client's body, counted, its trailers filtered.
pub(crate) struct UploadStream {
    incoming: Incoming,
    announced: Vec<HeaderName>,
    /// Octets that may still come; `None`: any number.
    left: Option<u64>,
    session: Option<Arc<Session>>,
    /// When it was last looked whether the session lives.
    checked: Timestamp,
    parts: Arc<GateParts>,
}

impl Upload {
    /// Wraps a client's body; `announced` are the trailers that may follow it.
    pub(crate) fn new(
        incoming: Incoming,
        announced: Vec<HeaderName>,
        session: Option<&Arc<Session>>,
        parts: &Arc<GateParts>,
    ) -> Self {
        if incoming.is_end_stream() {
            return Self::Empty;
        }
        let left = parts.upstreams.settings().max_body;
        let (session, checked) = (session.cloned(), parts.clock.now());
        Self::Stream(Box::new(UploadStream { incoming, announced, left, session, checked, parts: Arc::clone(parts) }))
    }

    /// Whether there is none, so that a request can be sent again.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Stream(stream) => stream.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Stream(stream) => stream.incoming.is_end_stream(),
        }
    }
}

impl UploadStream {
    /// Looks about once a second, when more comes.
    fn session_ended(&mut self) -> bool {
        let Some(session) = &self.session else { return false };
        let now = self.parts.clock.now();
        if now.since(self.checked) < SESSION_CHECK {
            return false;
        }
        self.checked = now;
        let ended = !session.is_live(now);
        if !ended {
            // What the user sends counts as use: an upload may take longer than idle_timeout.
            session.touch(now);
        }
        ended
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = std::task::ready!(Pin::new(&mut self.incoming).poll_frame(cx));
        Poll::Ready(match polled {
            None => None,
            Some(Err(error)) => Some(Err(error)),
            Some(Ok(frame)) => {
                if self.session_ended() {
                    return Poll::Ready(Some(Err(BodyError::SessionEnded)));
                }
                if let (Some(data), Some(left)) = (frame.data_ref(), &mut self.left) {
                    match left.checked_sub(data.len() as u64) {
                        Some(rest) => *left = rest,
                        None => return Poll::Ready(Some(Err(BodyError::TooLarge))),
                    }
                }
                Some(Ok(match frame.into_trailers() {
                    Ok(mut trailers) => {
                        remove_where(&mut trailers, |name| !self.announced.contains(name));
                        Frame::trailers(trailers)
                    }
                    Err(frame) => frame,
                }))
            }
        })
    }
}

/// What no trailer may say, whoever sends it: it could be merged into what is believed of the head (RFC 9110 section 6.5.1).
pub(crate) fn belongs_in_head(name: &HeaderName) -> bool {
    const HEAD_ONLY: &[&str] = &[
        "authorization",
        "cache-control",
        "content-encoding",
        "content-length",
        "content-range",
        "content-type",
        "cookie",
        "host",
        "max-forwards",
        "pragma",
        "range",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
    ];
    HEAD_ONLY.contains(&name.as_str())
}

/// Whether a trailer may pass to the application: not one that it could merge into what it believes of the head, as identity,
/// routing, framing or credentials.
pub(crate) fn is_lawful_trailer(name: &HeaderName, parts: &GateParts) -> bool {
    let text = name.as_str();
    let of_the_head = text.starts_with("content-") || text.starts_with("if-") || super::hop_by_hop::is_ours(text);
    !of_the_head && !belongs_in_head(name) && !parts.headers.is_reserved(name)
}

/// An answer's body on its way to the client.
pub(crate) enum Outgoing {
    /// samlgate's own.
    Own {
        /// All of it.
        body: Full<Bytes>,
        /// Until it is sent.
        _busy: Busy,
    },
    /// The application's.
    Relay(Box<Relay>),
}

/// Where an answer comes from.
pub(crate) enum Origin {
    /// A connection of its own, and where it goes afterwards. The answer drives it, in the client connection's own task: no other
    /// task needs to be woken, and a client that doesn't read stops the application from sending.
    Http1(Box<Link>, Rc<Pool>),
    /// A stream of a connection that others use too.
    Http2(Received),
}

impl Origin {
    fn watch(&self) -> &Rc<Watch> {
        match self {
            Self::Http1(link, _) => link.watch(),
            Self::Http2(received) => received.watch(),
        }
    }

    fn length_left(&self) -> Option<u64> {
        match self {
            Self::Http1(link, _) => link.length_left(),
            Self::Http2(received) => received.length_left(),
        }
    }

    fn is_whole(&self) -> bool {
        match self {
            Self::Http1(link, _) => link.is_whole(),
            Self::Http2(received) => received.is_whole(),
        }
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self {
            Self::Http1(link, _) => link.poll_body(cx),
            Self::Http2(received) => received.poll(cx),
        }
    }
}

/// The application's answer.
pub(crate) struct Relay {
    /// Absent once the body is whole, or has failed.
    origin: Option<Origin>,
    session: Option<Arc<Session>>,
    /// It has a length, so it ends by itself.
    sized: bool,
    checked: u32,
    parts: Arc<GateParts>,
    _busy: Busy,
}

impl Relay {
    /// The body that comes from there.
    pub(crate) fn new(origin: Origin, session: Option<Arc<Session>>, parts: Arc<GateParts>, busy: Busy) -> Self {
        let checked = origin.watch().tick();
        let sized = origin.length_left().is_some();
        if session.is_some() {
            origin.watch().beat();
        }
        let origin = Some(origin).filter(|origin| !origin.is_whole());
        Self { origin, session, sized, checked, parts, _busy: busy }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(origin) = &mut self.origin else { return Poll::Ready(None) };
        origin.watch().wakes(cx.waker());
        let frame = match origin.poll_body(cx) {
            Poll::Pending if origin.watch().expired() => Some(Err(BodyError::Idle)),
            _ if self.session_ended() => Some(Err(BodyError::SessionEnded)),
            Poll::Pending => return Poll::Pending,
            Poll::Ready(frame) => frame,
        };
        let whole = self.origin.take_if(|origin| origin.is_whole());
        match (&frame, whole) {
            (Some(Err(_)), _) => self.origin = None,
            // The body is whole: the connection can carry another request.
            (_, Some(Origin::Http1(link, pool))) => pool.give(link),
            (_, Some(Origin::Http2(_)) | None) => {}
        }
        Poll::Ready(frame)
    }

    /// Long answers look about once a second whether their session still lives. A download that was begun may take longer than
    /// `idle_timeout`; a stream without an end may not, or a page left open would keep a session for ever.
    fn session_ended(&mut self) -> bool {
        let (Some(session), Some(origin)) = (&self.session, &self.origin) else { return false };
        let tick = origin.watch().tick();
        if tick == self.checked {
            return false;
        }
        self.checked = tick;
        let now = self.parts.clock.now();
        if self.sized { session.is_over(now) } else { !session.is_live(now) }
    }
}

impl Outgoing {
    /// samlgate's own answer.
    pub(crate) fn own(body: Full<Bytes>, busy: Busy) -> Self {
        Self::Own { body, _busy: busy }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Own { body: full, .. } => Pin::new(full).poll_frame(cx).map_err(|never| match never {}),
            Self::Relay(relay) => relay.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own { body: full, .. } => full.is_end_stream(),
            Self::Relay(relay) => relay.origin.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own { body: full, .. } => full.size_hint(),
            Self::Relay(relay) => relay
                .origin
                .as_ref()
                .map_or(Some(0), |origin| origin.length_left())
                .map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}
