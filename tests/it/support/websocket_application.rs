//! An application that agrees to every WebSocket and hands it to the test; and the frames that pass through it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, channel};

use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::upstream::{PATIENCE, Seen, Then, Upstream};

/// The application.
pub(crate) struct Application {
    pub(crate) upstream: Upstream,
    arrivals: Receiver<(Seen, TcpStream)>,
}

impl Application {
    pub(crate) fn start() -> Self {
        let (arrived, arrivals) = channel();
        let upstream = Upstream::answering(move |seen, stream| {
            if seen.one("upgrade") != Some("websocket") {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
                return Then::Keep;
            }
            stream.write_all(agreement(seen).as_bytes()).unwrap();
            // A test may be over before.
            let _ = arrived.send((seen.clone(), stream.try_clone().unwrap()));
            Then::Close
        });
        Self { upstream, arrivals }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.upstream.address
    }

    /// The next WebSocket, and the request for it.
    pub(crate) fn next(&self) -> (Seen, TcpStream) {
        self.arrivals.recv_timeout(PATIENCE).expect("a WebSocket comes")
    }
}

/// What RFC 6455 section 4.2.2 wants said to a request.
pub(crate) fn agreement(seen: &Seen) -> String {
    let accept = derive_accept_key(seen.one("sec-websocket-key").unwrap_or_default().as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\
         Sec-WebSocket-Protocol: chat\r\nSet-Cookie: __Host-samlgate=evil\r\nSet-Cookie: theirs=1\r\n\r\n"
    )
}

/// The head of a binary frame, of which so many octets of payload follow.
pub(crate) fn head(payload: usize, masked: bool) -> Vec<u8> {
    let mut octets = vec![0x82, if masked { 0xff } else { 0x7f }];
    octets.extend((payload as u64).to_be_bytes());
    if masked {
        octets.extend([0; 4]);
    }
    octets
}

/// A text frame.
pub(crate) fn text(text: &str, masked: bool) -> Vec<u8> {
    let mut octets = vec![0x81, u8::try_from(text.len()).unwrap() | if masked { 0x80 } else { 0 }];
    if masked {
        octets.extend([0; 4]);
    }
    octets.extend(text.bytes());
    octets
}

/// A short frame, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) first: u8,
    pub(crate) masked: bool,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The next one; `None` when the stream ends instead.
    pub(crate) fn read(stream: &mut impl Read) -> Option<Self> {
        let mut head = [0; 2];
        stream.read_exact(&mut head).ok()?;
        let masked = head[1] & 0x80 != 0;
        let mut mask = [0; 4];
        if masked {
            stream.read_exact(&mut mask).ok()?;
        }
        let mut payload = vec![0; usize::from(head[1] & 0x7f)];
        stream.read_exact(&mut payload).ok()?;
        payload.iter_mut().zip(mask.into_iter().cycle()).for_each(|(octet, mask)| *octet ^= mask);
        Some(Self { first: head[0], masked, payload })
    }

    /// A Close frame.
    pub(crate) fn close(status: u16, reason: &str, masked: bool) -> Self {
        Self { first: 0x88, masked, payload: [&status.to_be_bytes()[..], reason.as_bytes()].concat() }
    }
}

/// Whether the other side has ended, in whatever way, and nothing came before.
pub(crate) fn is_over(stream: &mut impl Read) -> bool {
    match stream.read(&mut [0; 1]) {
        Ok(read) => read == 0,
        Err(error) => !matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut),
    }
}

/// What is sent arrives.
pub(crate) fn passes(from: &mut impl Write, to: &mut impl Read, octets: &[u8]) {
    from.write_all(octets).unwrap();
    let mut arrived = vec![0; octets.len()];
    to.read_exact(&mut arrived).unwrap();
    assert_eq!(arrived, octets);
}
