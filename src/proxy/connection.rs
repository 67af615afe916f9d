//! One client's connection: TLS or not, HTTP/1.1 or HTTP/2, until it ends, is too slow, or the worker shuts down.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};

use super::client_io::{ClientIo, ClientStream, Phase};
use super::forwarded::Peer;
use super::gate::ClientConnection;
use super::proxy_protocol;
use super::worker::Worker;

/// A TLS handshake must be done within this time.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// Largest head of a request, in octets.
const LARGEST_HEAD: usize = 64 * 1024;
/// Streams of one HTTP/2 connection at a time.
const MOST_STREAMS: u32 = 128;

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
    let io = TokioIo::new(ClientIo::new(stream, !http2, Arc::clone(&phase)));
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
            .max_header_list_size(u32::try_from(LARGEST_HEAD).unwrap_or(u32::MAX))
            // WebSockets (RFC 8441 section 3).
            .enable_connect_protocol()
            // Rapid reset (CVE-2023-44487): streams that are reset before they were answered end the connection.
            .max_pending_accept_reset_streams(32)
            .max_local_error_reset_streams(256)
            .keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(Duration::from_secs(20));
        let serving = pin!(builder.serve_connection(io, service));
        Guarded { serving, wind_up: http2::Connection::graceful_shutdown, winding: false, phase }.await;
    } else {
        let mut builder = http1::Builder::new();
        // The limits of `Phase` take the place of hyper's timer, which would cost every request a timer of its own.
        builder.max_header_size(LARGEST_HEAD).header_read_timeout(None);
        let serving = pin!(builder.serve_connection(io, service).with_upgrades());
        Guarded { serving, wind_up: http1::UpgradeableConnection::graceful_shutdown, winding: false, phase }.await;
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

/// A connection with its limits.
struct Guarded<'a, S> {
    serving: Pin<&'a mut S>,
    /// Answers what has been asked and closes.
    wind_up: fn(Pin<&mut S>),
    winding: bool,
    phase: Arc<Phase>,
}

impl<S: Future> Future for Guarded<'_, S> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { serving, wind_up, winding, phase } = self.get_mut();
        let watch = phase.watch();
        watch.wakes(cx.waker());
        if watch.expired() {
            // A client that takes part in nothing any more, or had its chance to close.
            if phase.is_busy() || phase.is_closing() {
                return Poll::Ready(());
            }
            phase.close();
            wind_up(serving.as_mut());
        } else if watch.draining() && !*winding {
            *winding = true;
            wind_up(serving.as_mut());
        }
        serving.as_mut().poll(cx).map(|_| ())
    }
}
