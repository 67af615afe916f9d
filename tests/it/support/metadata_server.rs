//! A server of metadata on loopback, as good or bad as a test wants it.

use std::io::{Read as _, Write as _};
use std::sync::{Arc, Mutex};

use super::upstream::{Seen, Then, Upstream};

/// What it answers.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// A document, with an ETag when it has one: whoever knows it gets 304.
    Document(Vec<u8>, Option<&'static str>),
    /// These octets, and the end of the connection.
    Raw(Vec<u8>),
    /// Nothing, as long as anybody waits.
    Silence,
    /// A document without an end.
    Endless,
}

/// The server.
pub(crate) struct MetadataServer {
    upstream: Upstream,
    answer: Arc<Mutex<Answer>>,
}

impl MetadataServer {
    pub(crate) fn start(document: &str) -> Self {
        let answer = Arc::new(Mutex::new(Answer::Document(document.as_bytes().to_vec(), None)));
        let current = Arc::clone(&answer);
        let upstream = Upstream::answering(move |seen, stream| {
            let answer = current.lock().unwrap().clone();
            // a client that has gone is no event
            drop(respond(&answer, seen, stream));
            Then::Close
        });
        Self { upstream, answer }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/metadata", self.upstream.address)
    }

    pub(crate) fn host(&self) -> String {
        self.upstream.address.to_string()
    }

    pub(crate) fn answers(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    pub(crate) fn serves(&self, document: &str) {
        self.answers(Answer::Document(document.as_bytes().to_vec(), None));
    }

    /// Waits until it was asked so often.
    pub(crate) fn wait_for(&self, count: usize) {
        self.upstream.wait_for(count);
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.upstream.seen()
    }
}

fn respond(answer: &Answer, seen: &Seen, stream: &mut std::net::TcpStream) -> std::io::Result<()> {
    match answer {
        Answer::Document(_, Some(etag)) if seen.one("if-none-match") == Some(*etag) => {
            stream.write_all(b"HTTP/1.1 304 Not Modified\r\n\r\n")
        }
        Answer::Document(octets, etag) => {
            let etag = etag.map(|etag| format!("ETag: {etag}\r\n")).unwrap_or_default();
            let kind = "application/samlmetadata+xml";
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{etag}Content-Length: {}\r\n\r\n", octets.len())?;
            stream.write_all(octets)
        }
        Answer::Raw(octets) => stream.write_all(octets),
        Answer::Silence => {
            let _ = stream.read(&mut [0]);
            Ok(())
        }
        Answer::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
            let some = vec![b' '; 1 << 20];
            loop {
                stream.write_all(&some)?;
            }
        }
    }
}
