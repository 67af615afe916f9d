//! One client's connection: TLS or not, HTTP/1.1 or HTTP/2, until it ends, is too slow, or the worker shuts down.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use super::client_io::{ClientIo, ClientStream, Phase};
use super::direction::poll_discard;
use super::forwarded::Peer;
use super::gate::ClientConnection;
use super::proxy_protocol;
use super::watch::Watch;
use super::worker::Worker;

/// A TLS handshake must be done within this time.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// A client that goes on sending after its answer has this long to notice.
const LINGERING_LIMIT: Duration = Duration::from_secs(30);
/// Largest head of a request, in octets.
const LARGEST_HEAD: usize = 64 * 1024;
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
pub(crate) async fn serve(worker: Rc<Worker>, mut stream: ClientStream, mut address: IpAddr) {
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
    let (stream, http2) = match (stream, &worker.tls) {
        (ClientStream::Tcp(tcp), Some(tls)) => {
            let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_LIMIT, tls.accept(tcp)).await else {
                return;
            };
            let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            (ClientStream::Tls(Box::new(stream)), http2)
        }
        (stream, _) => (stream, false),
    };
    let peer = Peer { address, tls: matches!(stream, ClientStream::Tls(_)) };
    let phase = Arc::new(Phase::new(worker.own.sweep.watch(), worker.stall_limit()));
    let connection = Rc::new(ClientConnection::new(peer, Arc::clone(&phase)));
    let io = ClientIo::new(stream, !http2, Arc::clone(&phase));
    let service = service_fn(move |request: Request<Incoming>| {
        let (gate, connection) = (worker.gate(), Rc::clone(&connection));
        async move { Ok::<_, Infallible>(gate.handle(request, &connection).await) }
    });
    // Errors are the client's: it went away, or hyper has answered 400 already.
    if http2 {
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
        http1(io, service, phase).await;
    }
}

/// Answers the requests of an HTTP/1 connection until it ends. hyper and its buffers are there only while there is something to do: an
/// idle connection costs little more than its socket.
async fn http1<S, B>(mut io: ClientIo, mut service: S, phase: Arc<Phase>)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    B: Body<Error: std::error::Error + Send + Sync> + 'static,
{
    let mut builder = http1::Builder::new();
    // The limits of `Phase` take the place of hyper's timer, which would cost every request a timer of its own.
    builder.max_header_size(LARGEST_HEAD).header_read_timeout(None);
    loop {
        let mut serving = Box::new(builder.serve_connection(TokioIo::new(io), service).with_upgrades());
        let (wind_up, shared) = (http1::UpgradeableConnection::graceful_shutdown, Arc::clone(&phase));
        let over = Guarded { serving: Pin::new(&mut *serving), wind_up, winding: false, phase: shared }.await;
        let Some(parts) = serving.into_parts() else { return };
        match over {
            Over::Idle => {}
            Over::Ended => {
                let io = parts.io.into_inner();
                drop((parts.read_buf, parts.service));
                return linger(io, phase.watch()).await;
            }
            Over::Cut => return,
        }
        (io, service) = (parts.io.into_inner(), parts.service);
        // Between two requests there may be empty lines (RFC 9112 section 2.2), and nothing else.
        let understood = parts.read_buf.iter().all(|octet| matches!(octet, b'\r' | b'\n'));
        drop(parts.read_buf);
        if !understood || !io.sleep().await {
            // Says goodbye in TLS. If it doesn't go out at once, nobody listens.
            let _ = poll_fn(|cx| Poll::Ready(Pin::new(&mut io).poll_shutdown(cx))).await;
            return;
        }
    }
}

/// Closes a connection whose client may still be sending what nobody reads, as the rest of an upload that was refused. Such octets would
/// make the kernel reset the connection, and many a client then loses the answer, or never looks for it (RFC 9112 section 9.6).
async fn linger(io: ClientIo, watch: &Watch) {
    let Some(mut stream) = io.into_unheard() else { return };
    watch.limit_total(LINGERING_LIMIT);
    poll_fn(|cx| {
        watch.wakes(cx.waker());
        if watch.expired() || watch.draining() {
            return Poll::Ready(());
        }
        match &mut stream {
            ClientStream::Tcp(stream) => poll_last(cx, stream),
            // What comes is thrown away, so nobody needs to decrypt it.
            ClientStream::Tls(stream) => poll_last(cx, stream.get_mut().0),
            ClientStream::Unix(stream) => poll_last(cx, stream),
        }
    })
    .await;
}

/// Ready when the client has closed its side, or is gone.
fn poll_last(cx: &mut Context<'_>, stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Poll<()> {
    // hyper has done so already, unless something went wrong.
    match Pin::new(&mut *stream).poll_shutdown(cx) {
        Poll::Ready(Ok(())) => poll_discard(cx, stream),
        Poll::Ready(Err(_)) => Poll::Ready(()),
        Poll::Pending => Poll::Pending,
    }
}

/// Whose connection it is, by the PROXY protocol.
async fn announced(stream: &mut ClientStream) -> io::Result<Option<IpAddr>> {
    let taken = async {
        match stream {
            ClientStream::Tcp(stream) => proxy_protocol::take(stream).await,
            ClientStream::Unix(stream) => proxy_protocol::take(stream).await,
            ClientStream::Tls(stream) => proxy_protocol::take(stream).await,
        }
    };
    tokio::time::timeout(HANDSHAKE_LIMIT, taken).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// How it goes on with a connection.
enum Over {
    /// Not at all.
    Ended,
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
    phase: Arc<Phase>,
}

impl<S: Future> Future for Guarded<'_, S> {
    type Output = Over;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Over> {
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
            Poll::Ready(_) => Poll::Ready(Over::Ended),
            Poll::Pending if phase.is_idle() && !*winding => Poll::Ready(Over::Idle),
            Poll::Pending => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixStream;

    use super::super::client_io::Busy;
    use super::super::watch::{Sweep, TICK};
    use super::*;

    /// A client, the connection that it has, its limits, and its clock.
    fn connected() -> (UnixStream, impl Future<Output = ()>, Arc<Phase>, Sweep) {
        let (ours, client) = UnixStream::pair().unwrap();
        let sweep = Sweep::default();
        let phase = Arc::new(Phase::new(sweep.watch(), Duration::from_secs(600)));
        let io = ClientIo::new(ClientStream::Unix(ours), true, Arc::clone(&phase));
        let service_phase = Arc::clone(&phase);
        let service = service_fn(move |request: Request<Incoming>| {
            let busy = Busy::new(&service_phase);
            async move {
                drop(busy);
                let path = request.uri().path().to_owned();
                Ok::<_, Infallible>(Response::new(Full::new(bytes::Bytes::from(path))))
            }
        });
        (client, http1(io, service, Arc::clone(&phase)), phase, sweep)
    }

    async fn pass(sweep: &Sweep, ticks: u32) {
        for _ in 0..ticks {
            sweep.tick();
            for _ in 0..4 {
                tokio::task::yield_now().await;
            }
        }
    }

    async fn answer(client: &mut UnixStream, path: &str) {
        let mut read = Vec::new();
        while !read.ends_with(format!("\r\n\r\n{path}").as_bytes()) {
            read.push(client.read_u8().await.unwrap());
        }
    }

    #[tokio::test]
    async fn an_idle_connection_sleeps_and_wakes_up_for_the_next_request() {
        tokio::task::LocalSet::new()
            .run_until(async {
                let (mut client, serving, phase, sweep) = connected();
                tokio::task::spawn_local(serving);
                pass(&sweep, 10).await;
                let awake = Arc::strong_count(&phase);
                for path in ["/a", "/b", "/c"] {
                    let (head, end) = (format!("GET {path} HTTP/1.1\r\n"), "Host: a\r\n\r\n");
                    client.write_all(head.as_bytes()).await.unwrap();
                    pass(&sweep, 10).await;
                    assert_eq!(Arc::strong_count(&phase), awake, "half a head has come");
                    client.write_all(end.as_bytes()).await.unwrap();
                    answer(&mut client, path).await;
                    pass(&sweep, 10).await;
                    assert_eq!(Arc::strong_count(&phase), awake - 1, "it sleeps");
                }
                // Empty lines don't keep it awake, nor end it.
                for _ in 0..2 {
                    client.write_all(b"\r\n").await.unwrap();
                    pass(&sweep, 10).await;
                    assert_eq!(Arc::strong_count(&phase), awake - 1, "it sleeps again");
                }
                // Two at once, and a body in two parts.
                client
                    .write_all(b"GET /d HTTP/1.1\r\nHost: a\r\n\r\nPOST /e HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nGET ")
                    .await
                    .unwrap();
                answer(&mut client, "/d").await;
                answer(&mut client, "/e").await;
                pass(&sweep, 10).await;
                let _ = client.write_all(b"/f HT").await;
                let mut rest = Vec::new();
                let _ = client.read_to_end(&mut rest).await;
                assert!(rest.is_empty(), "no part of a body is a request: {}", String::from_utf8_lossy(&rest));
            })
            .await;
    }

    #[tokio::test]
    async fn who_goes_on_sending_after_the_answer_is_heard_out_for_a_while() {
        enum By {
            Client,
            Time,
            Worker,
        }
        for by in [By::Client, By::Time, By::Worker] {
            tokio::task::LocalSet::new()
                .run_until(async {
                    let (mut client, serving, _phase, sweep) = connected();
                    let serving = tokio::task::spawn_local(serving);
                    client.write_all(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n").await.unwrap();
                    let mut read = Vec::new();
                    client.read_to_end(&mut read).await.unwrap();
                    assert!(read.ends_with(b"\r\n\r\n/a"), "the answer and the end");
                    client.write_all(&vec![b'x'; 4 << 20]).await.unwrap();
                    pass(&sweep, 20).await;
                    assert!(!serving.is_finished());
                    match by {
                        By::Client => drop(client),
                        By::Time => {
                            pass(&sweep, u32::try_from((LINGERING_LIMIT + TICK * 2).as_millis() / TICK.as_millis()).unwrap())
                                .await
                        }
                        By::Worker => sweep.drain(),
                    }
                    serving.await.unwrap();
                })
                .await;
        }
    }

    #[tokio::test]
    async fn a_sleeping_connection_ends_when_it_is_idle_for_too_long_or_the_worker_ends() {
        for drains in [false, true] {
            tokio::task::LocalSet::new()
                .run_until(async {
                    let (mut client, serving, _phase, sweep) = connected();
                    let serving = tokio::task::spawn_local(serving);
                    client.write_all(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
                    answer(&mut client, "/a").await;
                    pass(&sweep, 10).await;
                    assert!(!serving.is_finished());
                    match drains {
                        true => sweep.drain(),
                        false => pass(&sweep, u32::try_from(80_000 / TICK.as_millis()).unwrap()).await,
                    }
                    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
                    serving.await.unwrap();
                })
                .await;
        }
    }

    #[tokio::test]
    async fn requests_that_wait_behind_a_slow_one_are_all_answered() {
        tokio::task::LocalSet::new()
            .run_until(async {
                let (ours, mut client) = UnixStream::pair().unwrap();
                let sweep = Sweep::default();
                let phase = Arc::new(Phase::new(sweep.watch(), Duration::from_secs(600)));
                let io = ClientIo::new(ClientStream::Unix(ours), true, Arc::clone(&phase));
                let (service_phase, go) = (Arc::clone(&phase), Rc::new(tokio::sync::Notify::new()));
                let slow = Rc::clone(&go);
                let service = service_fn(move |request: Request<Incoming>| {
                    let (busy, slow) = (Busy::new(&service_phase), Rc::clone(&slow));
                    async move {
                        if request.uri().path() == "/slow" {
                            slow.notified().await;
                        }
                        drop(busy);
                        Ok::<_, Infallible>(Response::new(Full::new(bytes::Bytes::from("x"))))
                    }
                });
                let serving = tokio::task::spawn_local(http1(io, service, Arc::clone(&phase)));
                let head = |path| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
                client.write_all(format!("{}{}", head("/slow"), head("/quick").repeat(20)).as_bytes()).await.unwrap();
                pass(&sweep, 10).await;
                go.notify_one();
                // hyper pauses after every 16 of them.
                for _ in 0..21 {
                    answer(&mut client, "x").await;
                }
                assert!(!serving.is_finished());
            })
            .await;
    }
}
