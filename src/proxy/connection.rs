//! One client's connection: TLS or not, HTTP/1.1 or HTTP/2, until it ends, is too slow, or the worker shuts down.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Version};
use http_body::Body;
use http_body_util::Empty;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;

use super::client_head::{Asked, LARGEST_HEAD, Refused, forget, no_head};
use super::client_io::{ClientIo, Phase};
use super::direction::poll_discard;
use super::forwarded::Peer;
use super::gate::{ClientConnection, Offer};
use super::http1::Http1;
use super::incoming::Incoming;
use super::proxy_protocol;
use super::remaining::Remaining;
use super::sending::{Answered, Asker, BrokenOff, Sending};
use super::transport::Transport;
use super::watch::Watch;
use super::worker::Worker;
use crate::clock::{Clock, Timestamp};

/// A TLS handshake must be done within this time.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// A client that goes on sending after its answer has this long to notice.
const LINGERING_LIMIT: Duration = Duration::from_secs(30);
/// At shutdown, a client that has connected and said nothing yet has this long to ask.
const FIRST_WORD_LIMIT: Duration = Duration::from_secs(1);
/// Streams of one HTTP/2 connection at a time.
const MOST_STREAMS: u32 = 128;
/// So much of an upload or a WebSocket by HTTP/2 may be on its way before the application takes it, in octets.
const STREAM_WINDOW: u32 = 512 * 1024;
/// The same of all streams of a connection together: those that an application doesn't read must not hold up the others.
const CONNECTION_WINDOW: u32 = 16 * STREAM_WINDOW;

/// Runs HTTP/2 streams on the worker's own event loop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Local;

impl<F: Future + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move {
            future.await;
        });
    }
}

/// Serves a client that has just connected.
pub(crate) async fn serve(worker: Rc<Worker>, mut stream: Transport, mut address: IpAddr) {
    if worker.proxy_protocol && worker.gate().parts.is_trusted(address) {
        match announced(&mut stream).await {
            // Who it is, isn't said: nobody to be trusted, whoever passes the octets on.
            Ok(client) => address = client.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            // A health check that only connects.
            Err(error) if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => return,
            Err(error) => {
                tracing::warn!(proxy = %address, %error, "a trusted proxy's connection is refused (listen.proxy_protocol)");
                return;
            }
        }
    }
    let stream = match (stream, &worker.tls) {
        (Transport::Tcp(tcp), Some(tls)) => {
            let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_LIMIT, tls.accept(tcp)).await else {
                return;
            };
            Transport::tls(stream)
        }
        (stream, _) => stream,
    };
    let http2 = stream.protocol() == Some(b"h2");
    let peer = Peer { address, tls: stream.is_tls() };
    let phase = Rc::new(Phase::new(worker.own.sweep.watch(), worker.stall_limit()));
    let connection = Rc::new(ClientConnection::new(peer, Rc::clone(&phase)));
    let io = ClientIo::new(stream, !http2, Rc::clone(&phase));
    // Errors are the client's: it went away, or has heard 400 already.
    if http2 {
        let service = service_fn(move |request: Request<hyper::body::Incoming>| {
            let (gate, connection) = (worker.gate(), Rc::clone(&connection));
            async move {
                let (mut head, body) = request.into_parts();
                Ok::<_, Infallible>(gate.handle(&mut head, Incoming::Http2(body), &connection).await.into_fields())
            }
        });
        let mut builder = http2::Builder::new(Local);
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(MOST_STREAMS)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(u32::try_from(LARGEST_HEAD).unwrap_or(u32::MAX))
            // WebSockets (RFC 8441 section 3).
            .enable_connect_protocol()
            // Rapid reset (CVE-2023-44487): streams that are reset before they were answered end the connection.
            .max_pending_accept_reset_streams(32)
            .max_local_error_reset_streams(256)
            .keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(Duration::from_secs(20));
        let serving = pin!(builder.serve_connection(TokioIo::new(io), service));
        Guarded { serving, wind_up: http2::Connection::graceful_shutdown, winding: false, phase }.await;
    } else {
        let clock = Arc::clone(&worker.gate().parts.clock);
        let answer = async |head: &mut Parts, body, offer| {
            connection.offer.replace(offer);
            worker.gate().handle(head, body, &connection).await
        };
        serve_http1(io, answer, clock, phase).await;
    }
}

/// Answers the requests of an HTTP/1.1 connection until it ends. Buffers, and room for an exchange, are there only while there is
/// something to do: an idle connection costs little more than its socket.
async fn serve_http1<B>(
    io: ClientIo,
    answer: impl AsyncFn(&mut Parts, Incoming, Option<Offer>) -> Answered<B>,
    clock: Arc<dyn Clock>,
    phase: Rc<Phase>,
) where
    B: Body<Data = Bytes> + Unpin,
{
    let http1 = Rc::new(RefCell::new(Http1::new(io)));
    let mut said_something = false;
    let over = loop {
        let mut serving = Box::pin(answer_requests(&http1, &answer, &*clock, phase.watch(), &mut said_something));
        let guarded = Guarded { serving: serving.as_mut(), wind_up: |_| {}, winding: false, phase: Rc::clone(&phase) };
        match guarded.await {
            Over::Idle => drop(serving),
            Over::Ended(end) => break end,
            Over::Cut => return,
        }
        if !poll_fn(|cx| http1.borrow_mut().poll_sleep(cx)).await {
            // If it doesn't go out at once, nobody listens.
            let _ = http1.borrow_mut().poll_shutdown(&mut Context::from_waker(Waker::noop()));
            return;
        }
    };
    let Some(http1) = Rc::into_inner(http1).map(RefCell::into_inner) else { return };
    match over {
        End::HandedOver(to) => {
            if let Some(io) = http1.into_io() {
                // If nobody takes it, it ends.
                drop(to.send(io));
            }
        }
        End::Closed => linger(http1, phase.watch()).await,
        End::Torn => {}
    }
}

/// Answers one request after the other.
async fn answer_requests<B>(
    http1: &Rc<RefCell<Http1>>,
    answer: &impl AsyncFn(&mut Parts, Incoming, Option<Offer>) -> Answered<B>,
    clock: &dyn Clock,
    watch: &Watch,
    said_something: &mut bool,
) -> End
where
    B: Body<Data = Bytes> + Unpin,
{
    let date = || httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + clock.now().since(Timestamp::from_unix(0)));
    let (mut head, mut hurried) = (no_head(), false);
    let last = loop {
        let next = poll_fn(|cx| {
            let mut http1 = http1.borrow_mut();
            if watch.draining() && http1.is_between() {
                if *said_something {
                    return Poll::Ready(Ok(None));
                }
                // A client that has just connected, and many a browser does so for a request that it may have later.
                if !std::mem::replace(&mut hurried, true) {
                    watch.limit_total(FIRST_WORD_LIMIT);
                }
            }
            http1.poll_request(cx, &mut head)
        });
        let asked = match next.await {
            Ok(Some(asked)) => asked,
            Ok(None) => return goodbye(http1).await,
            Err(Refused(status)) => break status,
        };
        *said_something = true;
        let Asked { body, keeps, trailers, upgrades, .. } = asked;
        let mut asker = Asker { version: head.version, to_head: head.method == Method::HEAD, keeps, trailers };
        let (taker, offer) = if upgrades { Some(oneshot::channel()).unzip() } else { (None, None) };
        let body = match body {
            Remaining::Nothing => Incoming::Nothing,
            _ => Incoming::Http1(Rc::downgrade(http1), http1.borrow().request()),
        };
        let answered = {
            let mut answering = pin!(answer(&mut head, body, offer));
            let answered = poll_fn(|cx| match answering.as_mut().poll(cx) {
                Poll::Ready(answer) => Poll::Ready(Some(answer)),
                Poll::Pending => http1.borrow_mut().poll_gone(cx).map(|()| None),
            });
            answered.await
        };
        forget(&mut head);
        let Some(answer) = answered else { return End::Closed };
        let switches = answer.status() == StatusCode::SWITCHING_PROTOCOLS;
        if Rc::weak_count(http1) == 0 {
            // Of a body that nobody reads any more, only what is here already can be passed over.
            http1.borrow_mut().end_request();
        }
        asker.keeps &= !watch.draining() && http1.borrow().is_whole();
        let begun = http1.borrow_mut().begin_answer();
        let mut sending = Sending::new(answer, asker, begun, date);
        let sent = poll_fn(|cx| match sending.poll(cx, http1) {
            Poll::Ready(sent) => Poll::Ready(sent),
            Poll::Pending => http1.borrow_mut().poll_gone(cx).map(|()| Err(BrokenOff)),
        });
        if sent.await.is_err() {
            if !sending.ends_with_connection() {
                return End::Closed;
            }
            http1.borrow_mut().tear();
            return End::Torn;
        }
        let keeps = sending.keeps && !watch.draining();
        drop(sending);
        match taker {
            Some(taker) if switches => return End::HandedOver(taker),
            _ if http1.borrow_mut().end_request() && keeps => {}
            _ => return goodbye(http1).await,
        }
    };
    let mut refusal = Response::new(Empty::<Bytes>::new());
    *refusal.status_mut() = last;
    let asker = Asker { version: Version::HTTP_11, to_head: false, keeps: false, trailers: false };
    let mut sending = Sending::new(Answered::Fields(refusal), asker, b"", date);
    match poll_fn(|cx| sending.poll(cx, http1)).await {
        Ok(()) => goodbye(http1).await,
        Err(BrokenOff) => End::Closed,
    }
}

/// Nothing more will be said.
async fn goodbye(http1: &RefCell<Http1>) -> End {
    poll_fn(|cx| http1.borrow_mut().poll_shutdown(cx)).await;
    End::Closed
}

/// Closes a connection whose client may still be sending what nobody reads, as the rest of an upload that was refused. Such octets would
/// make the kernel reset the connection, and many a client then loses the answer, or never looks for it (RFC 9112 section 9.6).
async fn linger(http1: Http1, watch: &Watch) {
    let Some(mut stream) = http1.into_unheard() else { return };
    watch.limit_total(LINGERING_LIMIT);
    poll_fn(|cx| {
        watch.wakes(cx.waker());
        if watch.expired() || watch.draining() {
            return Poll::Ready(());
        }
        match &mut stream {
            Transport::Tcp(stream) => poll_last(cx, stream),
            // What comes is thrown away, so nobody needs to decrypt it.
            Transport::Tls(stream) => poll_last(cx, stream.get_mut().0),
            Transport::Unix(stream) => poll_last(cx, stream),
        }
    })
    .await;
}

/// Ready when the client has closed its side, or is gone.
fn poll_last(cx: &mut Context<'_>, stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Poll<()> {
    // It was done already, unless something went wrong.
    match Pin::new(&mut *stream).poll_shutdown(cx) {
        Poll::Ready(Ok(())) => poll_discard(cx, stream),
        Poll::Ready(Err(_)) => Poll::Ready(()),
        Poll::Pending => Poll::Pending,
    }
}

/// Whose connection it is, by the PROXY protocol.
async fn announced(stream: &mut Transport) -> io::Result<Option<IpAddr>> {
    tokio::time::timeout(HANDSHAKE_LIMIT, proxy_protocol::take(stream))
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// How an HTTP/1.1 connection ends.
enum End {
    /// Nothing more is said.
    Closed,
    /// It breaks off, and that must be felt.
    Torn,
    /// It is somebody else's.
    HandedOver(oneshot::Sender<ClientIo>),
}

/// How it goes on with a connection.
enum Over<T> {
    /// Not at all.
    Ended(T),
    /// Not at all, and nothing more is said: it took too long.
    Cut,
    /// With the next request, sometime.
    Idle,
}

/// A connection with its limits.
struct Guarded<'a, S> {
    serving: Pin<&'a mut S>,
    /// Answers what has been asked and closes.
    wind_up: fn(Pin<&mut S>),
    winding: bool,
    phase: Rc<Phase>,
}

impl<S: Future> Future for Guarded<'_, S> {
    type Output = Over<S::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Over<S::Output>> {
        let Self { serving, wind_up, winding, phase } = self.get_mut();
        let watch = phase.watch();
        watch.wakes(cx.waker());
        if watch.expired() {
            // A client that takes part in nothing any more, or had its chance to close.
            if phase.is_busy() || phase.is_closing() {
                return Poll::Ready(Over::Cut);
            }
            phase.close();
            wind_up(serving.as_mut());
        } else if watch.draining() && !*winding {
            *winding = true;
            wind_up(serving.as_mut());
        }
        match serving.as_mut().poll(cx) {
            Poll::Ready(ended) => Poll::Ready(Over::Ended(ended)),
            Poll::Pending if phase.is_idle() && !*winding => Poll::Ready(Over::Idle),
            Poll::Pending => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests;
