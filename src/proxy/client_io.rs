//! A client's connection: TCP, TLS or unix socket, its octets judged before anybody reads them, its pauses limited.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::inbox::Readable;
use super::transport::Transport;
use super::watch::Watch;
use super::wire::Wire;

/// A request's head must be complete within this time, however it drips in.
const HEAD_LIMIT: Duration = Duration::from_secs(20);
/// A connection without a request is kept so long.
const IDLE_LIMIT: Duration = Duration::from_secs(75);
/// Ticks after which an idle connection is put to sleep.
const AWAKE_FOR: u32 = 5;
/// A connection that is closed for being too slow has this long to take notice.
const CLOSING_LIMIT: Duration = Duration::from_secs(5);
/// A client that has closed its side is answered if the answer begins within this time. After that its first octets show whether
/// anybody listens.
const DEAF_LIMIT: Duration = Duration::from_secs(10);
/// What a client hears that began a head and didn't end it (RFC 9110 section 15.5.9).
const TOO_SLOW: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// What can't be read, wherever it is: no NUL is taken for anything but in a chunk's extension, where the bare LF is refused; and
/// trailers are read when they are complete.
const POISON: &[u8] = b"\0\n\r\n\r\n";

/// In which phase a client's connection is; shared by its octets, its requests and its task.
#[derive(Debug)]
pub(crate) struct Phase {
    watch: Rc<Watch>,
    /// Requests that are being answered.
    busy: Cell<u32>,
    /// A head has begun.
    in_head: Cell<bool>,
    /// Every request that has begun to arrive has arrived, body and all.
    between: Cell<bool>,
    /// The octets are no longer HTTP/1.
    upgraded: Cell<bool>,
    /// Nothing more is read as a request.
    closing: Cell<bool>,
    /// The tick in which an octet was last read, or an exchange ended.
    heard: Cell<u32>,
    /// The client doesn't take what is written.
    blocked: Cell<bool>,
    /// Nothing is done but waiting for the next request.
    waiting: Cell<bool>,
    /// The client has closed its side, and nothing was sent to it since.
    deaf: Cell<bool>,
    /// Wakes about once a second while idle, so that it can be put to sleep.
    sleeps: Cell<bool>,
    /// While a request is answered, octets must move at least so often.
    stall_limit: Duration,
}

impl Phase {
    /// A connection that has just come and must say something.
    pub(crate) fn new(watch: Rc<Watch>, stall_limit: Duration) -> Self {
        watch.limit_total(HEAD_LIMIT);
        let heard = Cell::new(watch.tick());
        let no = || Cell::new(false);
        let (busy, in_head) = (Cell::new(0), Cell::new(true));
        Self {
            watch,
            busy,
            in_head,
            upgraded: no(),
            closing: no(),
            between: no(),
            heard,
            blocked: no(),
            waiting: no(),
            deaf: no(),
            sleeps: no(),
            stall_limit,
        }
    }

    /// The limits.
    pub(crate) fn watch(&self) -> &Watch {
        &self.watch
    }

    /// Whether a request is being answered.
    pub(crate) fn is_busy(&self) -> bool {
        self.busy.get() > 0
    }

    /// Whether the head of a request has begun and isn't complete.
    pub(crate) fn in_head(&self) -> bool {
        self.in_head.get()
    }

    /// The connection's octets are a WebSocket's from now on.
    pub(crate) fn set_upgraded(&self) {
        self.upgraded.set(true);
    }

    /// Stops reading requests; the connection ends soon, one way or another.
    pub(crate) fn close(&self) {
        self.closing.set(true);
        self.watch.limit_total(CLOSING_LIMIT);
    }

    /// Whether [`Self::close`] was called.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.get()
    }

    /// Whether nothing has come for a while, nothing is being answered, nothing has come in part, and all that was written is gone.
    pub(crate) fn is_idle(&self) -> bool {
        let quiet = !self.is_busy() && !self.is_closing() && !self.blocked.get();
        let waits = self.waiting.get() && self.between.get();
        quiet && waits && self.silent_for() >= AWAKE_FOR
    }

    /// Ticks since an octet was last read, or an exchange ended.
    fn silent_for(&self) -> u32 {
        self.watch.tick().wrapping_sub(self.heard.get())
    }

    fn settle(&self) {
        match (self.is_busy(), self.in_head()) {
            (true, _) => self.watch.limit_pauses(self.stall_limit),
            (false, true) => self.watch.limit_total(HEAD_LIMIT),
            (false, false) => {
                self.watch.limit_total(IDLE_LIMIT);
                if self.sleeps.get() {
                    self.watch.beat();
                }
            }
        }
    }

    /// What was written is gone, or is held up by the client.
    fn wrote<T>(&self, outcome: &Poll<T>) {
        self.blocked.set(outcome.is_pending());
        if self.deaf.get() {
            self.deaf.set(false);
            self.watch.limit_pauses(self.stall_limit);
        }
        if outcome.is_ready() {
            self.watch.progress();
        }
    }

    fn set_in_head(&self, in_head: bool) {
        if self.in_head.replace(in_head) != in_head && !self.is_busy() {
            self.settle();
        }
    }
}

/// Held while a request is answered, body included.
#[derive(Debug)]
pub(crate) struct Busy(Rc<Phase>);

impl Busy {
    /// A request has come.
    pub(crate) fn new(phase: &Rc<Phase>) -> Self {
        if phase.busy.replace(phase.busy.get() + 1) == 0 {
            phase.settle();
        }
        Self(Rc::clone(phase))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if self.0.busy.replace(self.0.busy.get() - 1) == 1 {
            // More may have been read already.
            self.0.heard.set(self.0.watch.tick());
            self.0.settle();
        }
    }
}

/// The transport with its judge.
pub(crate) struct ClientIo {
    stream: Transport,
    /// Absent for HTTP/2.
    wire: Option<Wire>,
    phase: Rc<Phase>,
    /// What was read already, and is to be read once more.
    unread: BytesMut,
    /// As if the client had closed its side.
    ended: bool,
}

impl ClientIo {
    /// `strict`: the octets are HTTP/1.
    pub(crate) fn new(stream: Transport, strict: bool, phase: Rc<Phase>) -> Self {
        if !strict {
            // HTTP/2 has its own idea of a head; a connection without streams is idle.
            phase.set_in_head(false);
        }
        phase.sleeps.set(strict);
        Self { stream, wire: strict.then(Wire::default), phase, unread: BytesMut::new(), ended: false }
    }

    /// Sleeps until the client says something, with no more memory than the transport takes. Whether it woke up; else it was idle for
    /// too long, or the worker shuts down.
    pub(crate) fn poll_sleep(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        self.phase.watch.hush();
        self.phase.watch.wakes(cx.waker());
        if self.phase.watch.expired() || self.phase.watch.draining() {
            return Poll::Ready(false);
        }
        self.poll_readable(cx).map(|()| {
            // If it was nothing, it sleeps again.
            self.phase.watch.beat();
            true
        })
    }

    /// Whether nothing is done but waiting for the next request, of which nothing has come.
    pub(crate) fn wait_for_request(&mut self, waits: bool) {
        self.phase.waiting.set(waits);
    }

    /// In which phase the connection is.
    pub(crate) fn phase(&self) -> &Phase {
        &self.phase
    }

    /// Whether something malformed has come.
    pub(crate) fn is_refused(&self) -> bool {
        self.ended && self.wire.is_some()
    }

    /// The end will be an abrupt one.
    pub(crate) fn tear(&mut self) {
        // TLS has an end of its own, and a unix socket's peer is on this machine.
        if let Transport::Tcp(stream) = &self.stream {
            // Without it the end is an ordinary one.
            let _ = stream.set_zero_linger();
        }
    }

    /// The client says nothing more, and perhaps hears nothing more.
    pub(crate) fn client_closed_its_side(&mut self) {
        self.phase.deaf.set(true);
        self.phase.watch.limit_pauses(DEAF_LIMIT);
    }

    /// These octets are read again, before all others, and not judged once more.
    pub(crate) fn put_back(&mut self, octets: BytesMut) {
        self.unread = octets;
    }

    /// The transport, if the client may still be sending what nobody reads: the rest of a body, or whatever follows something malformed.
    pub(crate) fn into_unheard(self) -> Option<Transport> {
        self.wire.is_some_and(|wire| !wire.is_between()).then_some(self.stream)
    }

    /// Judges what was read behind `before`; what is malformed is replaced by what nobody takes for a request.
    fn judge(&mut self, buf: &mut ReadBuf<'_>, before: usize) {
        let Some(wire) = &mut self.wire else { return };
        if self.phase.upgraded.get() {
            self.wire = None;
            return;
        }
        let read = buf.filled().get(before..).unwrap_or_default();
        let verdict = wire.feed(read);
        self.phase.set_in_head(wire.in_head());
        self.phase.between.set(wire.is_between());
        if let Err(malformed) = verdict {
            buf.set_filled(before + malformed.good);
            // There was room for what was refused, at least one octet.
            buf.put_slice(POISON.get(..buf.remaining().min(POISON.len())).unwrap_or_default());
            self.ended = true;
        }
    }
}

impl Readable for ClientIo {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.stream.poll_readable(cx)
    }

    fn has_read_ahead(&self) -> bool {
        self.stream.is_tls() || !self.unread.is_empty() || self.ended || self.phase.is_closing()
    }
}

impl AsyncRead for ClientIo {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.unread.is_empty() {
            let taken = self.unread.len().min(buf.remaining());
            buf.put_slice(&self.unread.split_to(taken));
            if self.unread.is_empty() {
                self.unread = BytesMut::new();
            }
            return Poll::Ready(Ok(()));
        }
        if self.phase.is_closing() && self.wire.is_some() {
            if self.wire.take().is_some_and(|wire| wire.in_head()) {
                // If it doesn't go out at once, the client isn't listening either.
                let _ = Pin::new(&mut self.stream).poll_write(cx, TOO_SLOW);
            }
            self.ended = true;
        }
        if self.ended {
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Poll::Ready(Ok(())) = read
            && buf.filled().len() > before
        {
            self.phase.watch.progress();
            self.phase.heard.set(self.phase.watch.tick());
            self.judge(buf, before);
        }
        read
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, octets);
        self.phase.wrote(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.phase.wrote(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.phase.blocked.set(flushed.is_pending());
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpStream, UnixStream};

    use std::future::poll_fn;
    use std::sync::Arc;

    use super::super::watch::{Sweep, TICK};
    use super::*;

    fn connected(sweep: &Sweep) -> (ClientIo, UnixStream, Rc<Phase>) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let phase = Rc::new(Phase::new(sweep.watch(), Duration::from_secs(600)));
        (ClientIo::new(Transport::Unix(ours), true, Rc::clone(&phase)), theirs, phase)
    }

    fn pass(sweep: &Sweep, time: Duration) {
        for _ in 0..time.as_millis() / TICK.as_millis() {
            sweep.tick();
        }
    }

    async fn read(io: &mut ClientIo) -> Vec<u8> {
        let mut octets = vec![0; 1024];
        let count = io.read(&mut octets).await.unwrap();
        octets.truncate(count);
        octets
    }

    #[tokio::test]
    async fn a_head_that_drips_in_is_refused_in_time() {
        let sweep = Sweep::default();
        let (mut io, mut client, phase) = connected(&sweep);
        for piece in ["GET / HTTP/1.1\r\n", "Host: a\r\n", "X: y\r\n"] {
            client.write_all(piece.as_bytes()).await.unwrap();
            assert_eq!(read(&mut io).await, piece.as_bytes());
            assert!(!phase.watch().expired() && phase.in_head());
            pass(&sweep, HEAD_LIMIT / 3);
        }
        pass(&sweep, TICK * 3);
        assert!(phase.watch().expired(), "octets don't buy time");
        phase.close();
        assert!(read(&mut io).await.is_empty());
        let mut answer = [0; TOO_SLOW.len()];
        client.read_exact(&mut answer).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 408 "));
        pass(&sweep, CLOSING_LIMIT + TICK * 2);
        assert!(phase.watch().expired() && phase.is_closing(), "then it is cut");
    }

    #[tokio::test]
    async fn a_request_that_is_answered_has_other_limits_and_an_idle_connection_is_closed_quietly() {
        let sweep = Sweep::default();
        let (mut io, mut client, phase) = connected(&sweep);
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        assert!(!read(&mut io).await.is_empty());
        let busy = Busy::new(&phase);
        pass(&sweep, Duration::from_secs(500));
        assert!(!phase.in_head() && !phase.watch().expired());
        io.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        pass(&sweep, Duration::from_secs(500));
        assert!(!phase.watch().expired(), "octets count");
        drop(busy);
        pass(&sweep, IDLE_LIMIT + TICK * 2);
        assert!(phase.watch().expired() && !phase.is_busy());
        phase.close();
        assert!(read(&mut io).await.is_empty());
        let mut answer = [0; 64];
        let count = client.read(&mut answer).await.unwrap();
        assert!(answer[..count].starts_with(b"HTTP/1.1 204"), "and nothing of 408");
        drop(io);
        assert_eq!(client.read(&mut answer).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn it_is_idle_when_nothing_is_left_to_read_answer_or_write() {
        use futures_util::FutureExt;
        let sweep = Sweep::default();
        let (mut io, mut client, phase) = connected(&sweep);
        pass(&sweep, TICK * 10);
        assert!(!phase.is_idle(), "nothing was asked yet");
        client.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx").await.unwrap();
        read(&mut io).await;
        pass(&sweep, TICK * 10);
        assert!(!phase.is_idle(), "the body isn't whole");
        client.write_all(b"x").await.unwrap();
        read(&mut io).await;
        assert!(!phase.is_idle(), "the next request may come at once");
        pass(&sweep, TICK * 10);
        assert!(!phase.is_idle(), "something is still done");
        io.wait_for_request(true);
        assert!(phase.is_idle());
        let busy = Busy::new(&phase);
        assert!(!phase.is_idle());
        drop(busy);
        assert!(io.write_all(&vec![b'x'; 16 << 20]).now_or_never().is_none(), "the client doesn't read");
        assert!(!phase.is_idle());
        phase.close();
        assert!(!phase.is_idle());
    }

    #[tokio::test]
    async fn malformed_octets_are_never_handed_on() {
        let sweep = Sweep::default();
        let (mut io, mut client, _) = connected(&sweep);
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n").await.unwrap();
        let handed = read(&mut io).await;
        assert_eq!(handed, [b"GET / HTTP/1.1\r\n", POISON].concat());
        client.write_all(b"GET /smuggled HTTP/1.1\r\n").await.unwrap();
        assert!(read(&mut io).await.is_empty(), "nothing more is read");
    }

    #[tokio::test]
    async fn it_is_idle_too_when_tls_was_written_late() {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let der = made.cert.der().clone();
        let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let server = rustls::ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![der.clone()], key)
            .unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(der).unwrap();
        let client = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connecting = async {
            let tcp = TcpStream::connect(address).await.unwrap();
            tokio_rustls::TlsConnector::from(Arc::new(client)).connect("localhost".try_into().unwrap(), tcp).await.unwrap()
        };
        let accepting = async {
            let (tcp, _) = listener.accept().await.unwrap();
            tokio_rustls::TlsAcceptor::from(Arc::new(server)).accept(tcp).await.unwrap()
        };
        let (mut client, server) = tokio::join!(connecting, accepting);
        let sweep = Sweep::default();
        let phase = Rc::new(Phase::new(sweep.watch(), Duration::from_secs(600)));
        let mut io = ClientIo::new(Transport::tls(server), true, Rc::clone(&phase));
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        read(&mut io).await;
        io.wait_for_request(true);
        pass(&sweep, TICK * 10);
        assert!(phase.is_idle());
        // Write what is taken, then flush.
        let mut written = 0;
        loop {
            let piece = vec![b'x'; 16 * 1024];
            let wrote = poll_fn(|cx| Poll::Ready(Pin::new(&mut io).poll_write(cx, &piece))).await;
            let Poll::Ready(Ok(count)) = wrote else { panic!("{wrote:?}") };
            written += count;
            let flushed = poll_fn(|cx| Poll::Ready(Pin::new(&mut io).poll_flush(cx))).await;
            if flushed.is_pending() {
                break;
            }
        }
        assert!(!phase.is_idle(), "the client doesn't read");
        let reading = async {
            let mut all = vec![0; written];
            client.read_exact(&mut all).await.unwrap();
        };
        let flushing = async { io.flush().await.unwrap() };
        tokio::join!(reading, flushing);
        assert!(phase.is_idle(), "all that was written is gone");
    }
}
