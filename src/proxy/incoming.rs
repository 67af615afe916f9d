//! A client's body as it comes, whatever the client speaks.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Weak;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming as Http2Body;

use super::body::BodyError;
use super::http1::Http1;

/// A client's body.
pub(crate) enum Incoming {
    /// There is none.
    Nothing,
    /// Of this request on an HTTP/1.1 connection. Whoever has it doesn't hold the connection.
    Http1(Weak<RefCell<Http1>>, u32),
    /// Of a stream of HTTP/2.
    Http2(Http2Body),
}

impl Incoming {
    /// The length of what is left, when it is known.
    fn http1_left(&self) -> Option<u64> {
        let Self::Http1(connection, request) = self else { return None };
        connection.upgrade().and_then(|connection| connection.borrow().body_left(*request))
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Nothing => Poll::Ready(None),
            Self::Http1(connection, request) => match connection.upgrade() {
                Some(connection) => connection.borrow_mut().poll_body(cx, *request),
                None => Poll::Ready(Some(Err(BodyError::Cut))),
            },
            Self::Http2(body) => match std::task::ready!(Pin::new(&mut *body).poll_frame(cx)) {
                // hyper takes a stream that is reset without an error, as when the client went silent, for one that has ended.
                None if !body.is_end_stream() => Poll::Ready(Some(Err(BodyError::Cut))),
                frame => Poll::Ready(frame.map(|frame| frame.map_err(BodyError::Http))),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Nothing => true,
            Self::Http1(..) => self.http1_left() == Some(0),
            Self::Http2(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Nothing => SizeHint::with_exact(0),
            Self::Http1(..) => self.http1_left().map_or_else(SizeHint::default, SizeHint::with_exact),
            Self::Http2(body) => body.size_hint(),
        }
    }
}
