//! A client that sends exactly the octets it is told to.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::upstream::{PATIENCE, read_chunks, read_head};

/// An answer as it came over the wire.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// Whether the body came as its head announced.
    pub(crate) whole: bool,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.find(|(given, _)| given.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// One connection.
pub(crate) struct Raw {
    pub(crate) stream: TcpStream,
}

impl Raw {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream }
    }

    pub(crate) fn send(&mut self, octets: impl AsRef<[u8]>) -> &mut Self {
        self.stream.write_all(octets.as_ref()).unwrap();
        self
    }

    /// The next answer; `None` when the connection is closed instead.
    pub(crate) fn answer(&mut self) -> Option<Answer> {
        self.answer_to("GET")
    }

    fn answer_to(&mut self, method: &str) -> Option<Answer> {
        let head = read_head(&mut self.stream)?;
        let mut answer = Answer { head, body: Vec::new(), whole: true };
        let bodiless = method == "HEAD" || [101, 204, 304].contains(&answer.status());
        if let Some(length) = answer.header("content-length").map(|length| length.parse().unwrap()).filter(|_| !bodiless) {
            answer.body = vec![0; length];
            let mut read = 0;
            while read < length {
                match self.stream.read(&mut answer.body[read..]) {
                    Ok(0) | Err(_) => break,
                    Ok(more) => read += more,
                }
            }
            answer.body.truncate(read);
            answer.whole = read == length;
        } else if answer.header("transfer-encoding") == Some("chunked") && !bodiless {
            answer.whole = read_chunks(&mut self.stream, &mut answer.body);
        }
        Some(answer)
    }

    /// Sends, and gives the answer.
    pub(crate) fn ask(&mut self, octets: impl AsRef<[u8]>) -> Answer {
        let octets = octets.as_ref();
        let method = if octets.starts_with(b"HEAD ") { "HEAD" } else { "GET" };
        self.send(octets).answer_to(method).expect("an answer")
    }

    /// Whether the other side has closed, after everything that it had to say was read.
    pub(crate) fn is_closed(&mut self) -> bool {
        match self.stream.read(&mut [0; 1]) {
            Ok(read) => read == 0,
            Err(error) => matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
        }
    }
}

/// One request on a connection of its own.
pub(crate) fn ask(address: SocketAddr, octets: impl AsRef<[u8]>) -> Answer {
    Raw::connect(address).ask(octets)
}
