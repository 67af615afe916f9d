//! The application behind samlgate, as the tests want it: it keeps every octet that it gets and answers whatever a test says.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// How long a test waits for something before it is called a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// One request, as it came over the wire.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Request line and headers, with the empty line.
    pub(crate) head: String,
    /// The body as sent: with the lines of its chunks, if it has them.
    pub(crate) body: Vec<u8>,
    /// Which connection it came on, counted from 0.
    pub(crate) connection: usize,
}

impl Seen {
    /// The request line.
    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap()
    }

    /// Every value under a name, whatever its case.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.filter(|(given, _)| given.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
    }

    /// The only value under a name.
    pub(crate) fn one(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() <= 1, "{name} is there {} times: {}", all.len(), self.head);
        all.first().copied()
    }
}

/// What the application does after an answer.
pub(crate) enum Then {
    Keep,
    Close,
}

type Answer = dyn Fn(&Seen, &mut TcpStream) -> Then + Send + Sync;

/// A recording application.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    seen: Arc<(Mutex<Vec<Seen>>, Condvar)>,
}

impl Upstream {
    /// Answers every request with 200 and `hello`.
    pub(crate) fn start() -> Self {
        Self::answering(|_, stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").unwrap();
            Then::Keep
        })
    }

    /// Also a WebSocket server.
    pub(crate) fn with_websockets() -> Self {
        Self::answering(|seen, stream| {
            if seen.one("upgrade") == Some("websocket") {
                stream
                    .write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
                    .unwrap();
                return Then::Close;
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
            Then::Keep
        })
    }

    /// Answers as told. The stream may be read and written at will.
    pub(crate) fn answering(answer: impl Fn(&Seen, &mut TcpStream) -> Then + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<(Mutex<Vec<Seen>>, Condvar)> = Arc::default();
        let recorded = Arc::clone(&seen);
        let answer: Arc<Answer> = Arc::new(answer);
        thread::spawn(move || {
            for (connection, stream) in listener.incoming().enumerate() {
                let (recorded, answer) = (Arc::clone(&recorded), Arc::clone(&answer));
                thread::spawn(move || serve(stream.unwrap(), connection, &recorded, &*answer));
            }
        });
        Self { address, seen }
    }

    /// All requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.0.lock().unwrap().clone()
    }

    /// The only request.
    pub(crate) fn only(&self) -> Seen {
        let seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:#?}");
        seen.into_iter().next().unwrap()
    }

    /// Waits until so many requests have come, and gives the last.
    pub(crate) fn wait_for(&self, count: usize) -> Seen {
        let seen = self.seen.0.lock().unwrap();
        let (seen, timeout) = self.seen.1.wait_timeout_while(seen, PATIENCE, |seen| seen.len() < count).unwrap();
        assert!(!timeout.timed_out(), "only {} of {count} requests came", seen.len());
        seen.last().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, connection: usize, seen: &(Mutex<Vec<Seen>>, Condvar), answer: &Answer) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    while let Some(head) = read_head(&mut stream) {
        let mut request = Seen { head, body: Vec::new(), connection };
        let length = request.one("content-length").map(|length| length.parse::<usize>().unwrap());
        let chunked = request.one("transfer-encoding") == Some("chunked");
        let whole = match (length, chunked) {
            (Some(length), false) => {
                request.body = vec![0; length];
                stream.read_exact(&mut request.body).is_ok()
            }
            (None, true) => read_chunks(&mut stream, &mut request.body),
            (None, false) => true,
            (Some(_), true) => panic!("the application got an ambiguous request: {}", request.head),
        };
        seen.0.lock().unwrap().push(request.clone());
        seen.1.notify_all();
        if !whole || matches!(answer(&request, &mut stream), Then::Close) {
            return;
        }
    }
}

/// Octet by octet, so that nothing of what follows is taken.
pub(crate) fn read_head(stream: &mut impl Read) -> Option<String> {
    let mut head = Vec::new();
    let mut octet = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_exact(&mut octet).is_err() {
            return None;
        }
        head.push(octet[0]);
    }
    Some(String::from_utf8_lossy(&head).into_owned())
}

fn read_line(stream: &mut impl Read, line: &mut Vec<u8>) -> bool {
    let mut octet = [0];
    loop {
        if stream.read_exact(&mut octet).is_err() {
            return false;
        }
        line.push(octet[0]);
        if line.ends_with(b"\r\n") {
            return true;
        }
    }
}

/// A chunked body with its trailers; false when it breaks off.
pub(crate) fn read_chunks(stream: &mut impl Read, body: &mut Vec<u8>) -> bool {
    loop {
        let mut line = Vec::new();
        if !read_line(stream, &mut line) {
            return false;
        }
        body.extend_from_slice(&line);
        let size = usize::from_str_radix(std::str::from_utf8(&line).unwrap().trim(), 16).unwrap();
        if size == 0 {
            break;
        }
        let mut data = vec![0; size + 2];
        if stream.read_exact(&mut data).is_err() {
            return false;
        }
        body.extend_from_slice(&data);
    }
    loop {
        let mut line = Vec::new();
        if !read_line(stream, &mut line) {
            return false;
        }
        body.extend_from_slice(&line);
        if line == b"\r\n" {
            return true;
        }
    }
}
