//! An application that speaks HTTP/2 and nothing else, whose streams the test serves itself.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{RecvStream, SendStream};
use http::{Request, Response, StatusCode};
use samlgate::proxy::settings::{TlsFiles, UpstreamSettings, UpstreamUrl};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::upstream::PATIENCE;

/// One request, and how to answer it.
pub(crate) struct Stream {
    pub(crate) head: Request<()>,
    pub(crate) body: RecvStream,
    pub(crate) respond: SendResponse<Bytes>,
}

impl Stream {
    /// All values of a header.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.head.headers().get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    }

    /// The next piece of the body; `None` at its end.
    pub(crate) async fn piece(&mut self) -> Option<Result<Bytes, h2::Error>> {
        let piece = tokio::time::timeout(PATIENCE, self.body.data()).await.expect("a piece comes");
        if let Some(Ok(piece)) = &piece {
            self.body.flow_control().release_capacity(piece.len()).unwrap();
        }
        piece
    }

    /// Begins an answer.
    pub(crate) fn answer(&mut self, status: u16) -> SendStream<Bytes> {
        let mut head = Response::new(());
        *head.status_mut() = StatusCode::from_u16(status).unwrap();
        self.respond.send_response(head, false).unwrap()
    }

    /// A whole answer.
    pub(crate) fn say(mut self, text: &'static str) {
        let head = Response::builder().header("content-length", text.len()).body(()).unwrap();
        let mut body = self.respond.send_response(head, false).unwrap();
        body.send_data(Bytes::from_static(text.as_bytes()), true).unwrap();
    }
}

/// The application.
pub(crate) struct H2Upstream {
    pub(crate) address: SocketAddr,
    streams: UnboundedReceiver<Stream>,
    connections: Arc<AtomicUsize>,
}

impl H2Upstream {
    /// Without TLS.
    pub(crate) async fn plain(change: fn(&mut Builder)) -> Self {
        Self::start(change, None).await
    }

    /// With TLS and HTTP/2 by ALPN.
    pub(crate) async fn tls(files: &TlsFiles) -> Self {
        Self::start(|_| {}, Some(super::http2::acceptor(files, &["h2"]))).await
    }

    async fn start(change: fn(&mut Builder), tls: Option<tokio_rustls::TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (arrived, streams) = unbounded_channel();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let (tls, arrived) = (tls.clone(), arrived.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(tcp, change, arrived).await,
                        Some(tls) => serve(tls.accept(tcp).await.unwrap(), change, arrived).await,
                    }
                });
            }
        });
        Self { address, streams, connections }
    }

    /// As `[upstream]` names it.
    pub(crate) fn named(&self, settings: &mut UpstreamSettings) {
        settings.url = UpstreamUrl::H2c { host: "127.0.0.1".to_owned(), port: self.address.port() };
    }

    /// The next request.
    pub(crate) async fn next(&mut self) -> Stream {
        tokio::time::timeout(PATIENCE, self.streams.recv()).await.expect("a request comes").unwrap()
    }

    /// So many connections were made.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// A test may be over before the connection is.
async fn serve(io: impl AsyncRead + AsyncWrite + Unpin, change: fn(&mut Builder), arrived: UnboundedSender<Stream>) {
    let mut builder = Builder::new();
    change(&mut builder);
    let Ok(mut connection) = builder.handshake(io).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        let (head, body) = request.into_parts();
        let goodbye = head.uri.path() == "/goodbye";
        if arrived.send(Stream { head: Request::from_parts(head, ()), body, respond }).is_err() {
            return;
        }
        if goodbye {
            connection.graceful_shutdown();
        }
    }
}
