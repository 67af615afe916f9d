//! One connection to the application, driven by whoever uses it.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper_util::rt::TokioIo;

use super::body::{Fate, Upload};
use super::connect::{Upstream, UpstreamIo};
use super::watch::{Sweep, Watch};

/// Who lets the connection do its work.
enum Driver {
    /// Whoever holds the link.
    Holder(Box<Connection<TokioIo<UpstreamIo>, Upload>>),
    /// A task of its own.
    Task,
    /// It is closed.
    Nobody,
}

impl Driver {
    /// True when it is closed.
    fn drive(&mut self, cx: &mut Context<'_>) -> bool {
        if let Self::Holder(connection) = self
            && Pin::new(&mut **connection).poll(cx).is_ready()
        {
            *self = Self::Nobody;
        }
        matches!(self, Self::Nobody)
    }
}

/// An HTTP/1.1 connection to the application. No task of its own: an exchange polls it together with what it waits for.
pub(crate) struct Link {
    sender: SendRequest<Upload>,
    driver: Driver,
    watch: Arc<Watch>,
    /// Carries no other request.
    retired: bool,
    /// The tick in which it became idle.
    pub(crate) idle_since: u32,
}

/// Why there is no answer.
pub(crate) enum Failure {
    /// Nothing of the request was sent; here it is back.
    Unsent(Box<Request<Upload>>),
    /// The connection ended, or what came isn't HTTP.
    Lost,
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
    /// For the log: whose fault it is and what happened.
    pub(crate) fn explain(&self) -> &'static str {
        match self {
            Self::Unsent(_) => "the application closed the connection before the request was sent",
            Self::Lost => "the application closed the connection, or its answer isn't HTTP",
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
    /// Connects.
    pub(crate) async fn open(upstream: &Upstream, sweep: &Sweep) -> io::Result<Self> {
        let watch = sweep.watch();
        let io = upstream.connect(Arc::clone(&watch)).await?;
        let handshake = http1::Builder::new().title_case_headers(true).handshake(TokioIo::new(io));
        let (sender, connection) = handshake.await.map_err(io::Error::other)?;
        Ok(Self { sender, driver: Driver::Holder(Box::new(connection)), watch, retired: false, idle_since: 0 })
    }

    /// Its time limits.
    pub(crate) fn watch(&self) -> &Arc<Watch> {
        &self.watch
    }

    /// Lets the connection do what it can; true when it is closed.
    pub(crate) fn drive(&mut self, cx: &mut Context<'_>) -> bool {
        self.driver.drive(cx)
    }

    /// Whether another request can be sent at once.
    pub(crate) fn is_ready(&self) -> bool {
        self.may_be_kept() && self.sender.is_ready()
    }

    /// Whether another request may come, as far as is known without looking.
    pub(crate) fn may_be_kept(&self) -> bool {
        !self.retired && matches!(self.driver, Driver::Holder(_))
    }

    /// After this exchange the connection is closed, whatever the application says.
    pub(crate) fn retire(&mut self) {
        self.retired = true;
    }

    /// Leaves the connection to a task of its own, which hands the transport over when the application switches protocols.
    pub(crate) fn detach(&mut self) {
        if let Driver::Holder(connection) = std::mem::replace(&mut self.driver, Driver::Task) {
            tokio::task::spawn_local(connection.with_upgrades());
        }
    }

    /// Sends a request and waits for the head of the answer; the body then comes with [`Self::drive`]. `fate` tells of the
    /// request's body.
    pub(crate) async fn send(
        &mut self,
        request: Request<Upload>,
        fate: Option<&Rc<Cell<Fate>>>,
        limits: Limits,
    ) -> Result<Response<Incoming>, Failure> {
        let fate = || fate.map_or(Fate::Done, |fate| fate.get());
        let mut sent = fate() == Fate::Done;
        if sent {
            self.watch.limit_total(limits.response);
        } else {
            self.watch.limit_pauses(limits.idle);
        }
        let mut answer = pin!(self.sender.try_send_request(request));
        let (driver, watch) = (&mut self.driver, &self.watch);
        let answered = poll_fn(|cx| {
            watch.wakes(cx.waker());
            let closed = driver.drive(cx);
            let polled = answer.as_mut().poll(cx);
            if !sent && fate() == Fate::Done {
                // Only now the application can be asked to be quick.
                sent = true;
                watch.limit_total(limits.response);
            }
            match polled {
                Poll::Ready(Ok(response)) => Poll::Ready(Ok(response)),
                Poll::Ready(Err(mut error)) => Poll::Ready(Err(match (fate(), error.take_message()) {
                    (Fate::TooLarge, _) => Failure::TooLarge,
                    (Fate::Broken, _) => Failure::ClientBroken,
                    (Fate::SessionEnded, _) => Failure::SessionEnded,
                    (_, Some(request)) => Failure::Unsent(Box::new(request)),
                    (_, None) => Failure::Lost,
                })),
                Poll::Pending if closed => Poll::Ready(Err(Failure::Lost)),
                Poll::Pending if watch.expired() => {
                    Poll::Ready(Err(if sent { Failure::UpstreamTimeout } else { Failure::ClientTimeout }))
                }
                Poll::Pending => Poll::Pending,
            }
        });
        let response = answered.await?;
        self.watch.limit_pauses(limits.idle);
        Ok(response)
    }
}
