//! A browser that opens WebSockets over HTTP/2 (RFC 8441). It blocks, as the rest of what a test does.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::task::Poll;

use bytes::{Buf as _, Bytes, BytesMut};
use h2::client::SendRequest;
use h2::ext::Protocol;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use samlgate::proxy::settings::TlsFiles;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::time::timeout;

use super::upstream::PATIENCE;

/// One connection.
pub(crate) struct Connection {
    runtime: Runtime,
    sender: SendRequest<Bytes>,
}

impl Connection {
    /// Returns when the server has said that it takes such requests.
    pub(crate) fn open(address: SocketAddr, files: &TlsFiles) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let sender = runtime.block_on(async {
            let stream = super::http2::stream(address, files).await;
            let (sender, connection) = h2::client::handshake(stream).await.unwrap();
            tokio::spawn(connection);
            let mut sender = timeout(PATIENCE, sender.ready()).await.unwrap().unwrap();
            let said = async {
                while !sender.is_extended_connect_protocol_enabled() {
                    tokio::task::yield_now().await;
                    sender = sender.clone().ready().await.unwrap();
                }
            };
            timeout(PATIENCE, said).await.expect("SETTINGS_ENABLE_CONNECT_PROTOCOL");
            sender
        });
        Self { runtime, sender }
    }

    /// Asks for something; `protocol`: by a CONNECT for it.
    pub(crate) fn ask(&self, uri: &str, protocol: Option<&'static str>, lines: &[(&str, &str)]) -> Stream {
        let mut request = match protocol {
            Some(protocol) => Request::connect(uri).extension(Protocol::from_static(protocol)),
            None if uri.starts_with('/') || uri.contains("://") => Request::get(uri),
            None => Request::connect(uri),
        };
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        let request = request.body(()).unwrap();
        let is_get = request.method() == http::Method::GET;
        self.runtime.block_on(async {
            let mut sender = self.sender.clone().ready().await.unwrap();
            let (answer, send) = sender.send_request(request, is_get).unwrap();
            let answer = timeout(PATIENCE, answer).await.expect("an answer in time").expect("an answer");
            let (head, recv) = answer.into_parts();
            let head = Response::from_parts(head, ());
            Stream { handle: self.runtime.handle().clone(), head, send, recv, unread: BytesMut::new() }
        })
    }

    /// Asks for a WebSocket as a browser does.
    pub(crate) fn websocket(&self, path: &str, lines: &[(&str, &str)]) -> Stream {
        let usual = [("sec-websocket-version", "13"), ("sec-websocket-protocol", "chat")];
        self.ask(&format!("https://app.example{path}"), Some("websocket"), &[&usual, lines].concat())
    }
}

/// One stream: what is read and written is its DATA.
pub(crate) struct Stream {
    handle: Handle,
    head: Response<()>,
    send: SendStream<Bytes>,
    recv: RecvStream,
    unread: BytesMut,
}

impl Stream {
    pub(crate) fn status(&self) -> u16 {
        self.head.status().as_u16()
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        self.head.headers()
    }

    /// All that comes to the end, which must be a good one.
    pub(crate) fn text(mut self) -> String {
        let mut text = String::new();
        self.read_to_string(&mut text).unwrap();
        text
    }

    /// Sends as soon as the other side lets it; false when something comes from there.
    pub(crate) fn write_as_allowed(&mut self, octets: Vec<u8>) -> bool {
        let (mut left, send, recv) = (Bytes::from(octets), &mut self.send, &mut self.recv);
        self.handle.block_on(async {
            while !left.is_empty() {
                send.reserve_capacity(left.len());
                let allowed = std::future::poll_fn(|cx| match recv.poll_data(cx) {
                    Poll::Ready(_) => Poll::Ready(None),
                    Poll::Pending => send.poll_capacity(cx),
                });
                let allowed = timeout(PATIENCE, allowed).await.expect("a word in time");
                let Some(Ok(allowed)) = allowed else { return false };
                if send.send_data(left.split_to(allowed.min(left.len())), false).is_err() {
                    return false;
                }
            }
            true
        })
    }

    /// How much could be sent now, which is kept for it.
    pub(crate) fn allowance(&mut self) -> usize {
        self.send.reserve_capacity(64 << 20);
        let allowed = std::future::poll_fn(|cx| self.send.poll_capacity(cx));
        self.handle.block_on(async { timeout(PATIENCE, allowed).await }).expect("room for this stream").unwrap().unwrap()
    }

    /// Ends its own direction.
    pub(crate) fn finish(&mut self) {
        self.send.send_data(Bytes::new(), true).unwrap();
    }

    /// Ends both.
    pub(crate) fn reset(&mut self, reason: Reason) {
        self.send.send_reset(reason);
    }
}

impl Write for Stream {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.send.send_data(Bytes::copy_from_slice(octets), false).map_err(io::Error::other)?;
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Stream {
    fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        while self.unread.is_empty() {
            let next = self.handle.block_on(async { timeout(PATIENCE, self.recv.data()).await });
            match next.map_err(|_| io::ErrorKind::TimedOut)? {
                None => return Ok(0),
                Some(data) => {
                    let data = data.map_err(io::Error::other)?;
                    self.recv.flow_control().release_capacity(data.len()).map_err(io::Error::other)?;
                    self.unread.extend_from_slice(&data);
                }
            }
        }
        let count = octets.len().min(self.unread.len());
        octets[..count].copy_from_slice(&self.unread[..count]);
        self.unread.advance(count);
        Ok(count)
    }
}
