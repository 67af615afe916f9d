//! An answer on its way to a client of HTTP/1.1: its head (RFC 9112 section 4) and its body in the framing that the head names.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, HeaderName, TRAILER};
use http::response::Parts;
use http::{HeaderMap, Response, StatusCode, Version};
use http_body::{Body, Frame};
use hyper::ext::ReasonPhrase;

use super::answer::{Lines, USUAL, write_plain_line, write_status};
use super::body::belongs_in_head;
use super::hop_by_hop::tokens;
use super::http1::Http1;
use super::outbox::Outbox;
use super::request_head::Head as _;

/// An answer, as far as it is made into octets.
pub(crate) enum Answered<B> {
    /// Not at all.
    Fields(Response<B>),
    /// Its head is, for a client of HTTP/1.1.
    Lines(Lines, B),
}

impl<B> Answered<B> {
    /// The status.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Fields(answer) => answer.status(),
            Self::Lines(lines, _) => lines.status,
        }
    }

    /// For a client of HTTP/2.
    pub(crate) fn into_fields(self) -> Response<B> {
        match self {
            Self::Fields(answer) => answer,
            Self::Lines(lines, body) => {
                let mut answer = Response::new(body);
                *answer.status_mut() = lines.status;
                answer.headers_mut().lines(&lines.octets);
                answer
            }
        }
    }
}

/// Whom an answer is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker {
    /// What the client speaks.
    pub(crate) version: Version,
    /// The request was a HEAD.
    pub(crate) to_head: bool,
    /// Whether another request may follow.
    pub(crate) keeps: bool,
    /// Whether the client understands trailers.
    pub(crate) trailers: bool,
}

/// An answer that is being written.
pub(crate) struct Sending<B> {
    outbox: Outbox,
    body: B,
    /// All of the body is in the outbox, or what there will ever be of it.
    packed: bool,
    failed: bool,
    framing: Framing,
    /// Whether another request may follow.
    pub(crate) keeps: bool,
}

/// How a body is framed, and what of it must still come.
#[derive(Debug, PartialEq, Eq)]
enum Framing {
    /// There is none, whatever the head says.
    Nothing,
    /// So many octets.
    Length(u64),
    /// Chunks, and then these trailers.
    Chunks(Vec<HeaderName>),
    /// Octets until the connection ends.
    UntilClose,
}

/// The client is gone, or the body has failed: then what was sent must not pass for the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BrokenOff;

impl<B: Body<Data = Bytes> + Unpin> Sending<B> {
    /// Writes the head. `begun` are octets that go before it; `date` is for answers that have none.
    pub(crate) fn new(answer: Answered<B>, asker: Asker, begun: &[u8], date: impl FnOnce() -> String) -> Self {
        let (lines, connection, body) = match answer {
            Answered::Lines(lines, body) => (lines, Connection::Unsaid, body),
            Answered::Fields(answer) => {
                let (head, body) = answer.into_parts();
                let (lines, connection) = to_lines(&head, asker.version);
                (lines, connection, body)
            }
        };
        let (mut octets, framing, keeps) = finish_head(lines, connection, body.size_hint().exact(), asker, date);
        if !begun.is_empty() {
            octets.splice(..0, begun.iter().copied());
        }
        let mut outbox = Outbox::default();
        outbox.begin(octets);
        let packed = matches!(framing, Framing::Nothing | Framing::Length(0));
        Self { outbox, body, packed, failed: false, framing, keeps }
    }

    /// Whether the client takes the end of the connection for the end of the body.
    pub(crate) fn ends_with_connection(&self) -> bool {
        self.framing == Framing::UntilClose
    }

    /// Writes as much as the client takes and the body gives; ready when all is written. When the body fails, what came before still goes
    /// out: a client that hears nothing at all may take the request for one that never arrived, and send it again.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, connection: &std::cell::RefCell<Http1>) -> Poll<Result<(), BrokenOff>> {
        loop {
            if self.outbox.has_room() && !self.packed {
                self.failed = self.pack(cx).is_err();
                self.packed |= self.failed;
            }
            if self.outbox.is_sent() {
                return match (self.packed, self.failed) {
                    (true, false) => Poll::Ready(Ok(())),
                    (true, true) => Poll::Ready(Err(BrokenOff)),
                    (false, _) => Poll::Pending,
                };
            }
            ready!(connection.borrow_mut().poll_write(cx, &mut self.outbox)).map_err(|_| BrokenOff)?;
        }
    }

    /// Takes the next piece of the body, when there is one.
    fn pack(&mut self, cx: &mut Context<'_>) -> Result<(), BrokenOff> {
        while !self.packed {
            let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else { return Ok(()) };
            let frame = frame.transpose().map_err(|_| BrokenOff)?;
            match (frame.map(Frame::into_data), &mut self.framing) {
                (Some(Ok(data)), _) if data.is_empty() => continue,
                (Some(Ok(data)), Framing::Length(left)) => {
                    *left = left.checked_sub(data.len() as u64).ok_or(BrokenOff)?;
                    self.packed = *left == 0;
                    self.outbox.put_data(data);
                }
                (Some(Ok(data)), Framing::Chunks(_)) => {
                    self.packed = self.body.is_end_stream();
                    self.outbox.put_chunk(data, self.packed);
                }
                (Some(Ok(data)), Framing::UntilClose | Framing::Nothing) => self.outbox.put_data(data),
                (Some(Err(frame)), Framing::Chunks(announced)) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    let lawful = |name: &HeaderName| announced.contains(name) && !belongs_in_head(name);
                    let kept: HeaderMap = trailers
                        .iter()
                        .filter(|(name, _)| lawful(name))
                        .map(|(name, value)| (name.clone(), value.clone()))
                        .collect();
                    self.outbox.put_end(Some(&kept));
                    self.packed = true;
                }
                (None, Framing::Chunks(_)) => {
                    self.outbox.put_end(None);
                    self.packed = true;
                }
                // It is shorter than the head says.
                (Some(Err(_)) | None, Framing::Length(_)) => return Err(BrokenOff),
                (Some(Err(_)) | None, Framing::UntilClose | Framing::Nothing) => self.packed = true,
            }
            return Ok(());
        }
        Ok(())
    }
}

/// Finishes a head: `length` is the body's, when it is known. The octets, how the body behind them is framed, and whether another
/// request may follow.
fn finish_head(
    lines: Lines,
    connection: Connection,
    length: Option<u64>,
    asker: Asker,
    date: impl FnOnce() -> String,
) -> (Vec<u8>, Framing, bool) {
    let Lines { status, mut octets, length: said, is_dated, trailers } = lines;
    if !is_dated {
        write_plain_line(&mut octets, "date", date().as_bytes());
    }
    let switches = status == StatusCode::SWITCHING_PROTOCOLS;
    let no_length = switches || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let http_10 = asker.version == Version::HTTP_10;
    let mut keeps = asker.keeps && !switches && connection != Connection::Close;
    let framing = match (said, length) {
        _ if no_length => Framing::Nothing,
        (None, Some(1..)) | (Some(_), _) if asker.to_head => {
            if let (None, Some(length)) = (said, length) {
                write_plain_line(&mut octets, "content-length", length.to_string().as_bytes());
            }
            Framing::Nothing
        }
        _ if asker.to_head => Framing::Nothing,
        // If they differ, the body is what there is, and it ends too early or not where it was said.
        (Some(said), _) => Framing::Length(said),
        (None, Some(length)) => {
            write_plain_line(&mut octets, "content-length", length.to_string().as_bytes());
            Framing::Length(length)
        }
        (None, None) if http_10 => {
            keeps = false;
            Framing::UntilClose
        }
        (None, None) => {
            write_plain_line(&mut octets, "transfer-encoding", b"chunked");
            Framing::Chunks(if asker.trailers { trailers } else { Vec::new() })
        }
    };
    match (connection, http_10, keeps) {
        (Connection::Unsaid, false, false) => write_plain_line(&mut octets, "connection", b"close"),
        (Connection::Unsaid, true, true) => write_plain_line(&mut octets, "connection", b"keep-alive"),
        _ => {}
    }
    octets.extend_from_slice(b"\r\n");
    (octets, framing, keeps)
}

/// What a head says about the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Connection {
    Unsaid,
    /// It ends with this answer.
    Close,
    /// Something else.
    Other,
}

/// Writes the lines of an answer that has none yet.
fn to_lines(head: &Parts, version: Version) -> (Lines, Connection) {
    let headers = &head.headers;
    let mut octets = Vec::with_capacity(USUAL);
    write_status(&mut octets, head.status, head.extensions.get::<ReasonPhrase>().map(ReasonPhrase::as_bytes), version);
    for (name, value) in headers {
        write_plain_line(&mut octets, name.as_str(), value.as_bytes());
    }
    let tokens = |name: HeaderName| headers.get_all(name).iter().flat_map(tokens);
    let connection = match tokens(CONNECTION).any(|token| token.eq_ignore_ascii_case("close")) {
        true => Connection::Close,
        false if headers.contains_key(CONNECTION) => Connection::Other,
        false => Connection::Unsaid,
    };
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let trailers = tokens(TRAILER).filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok()).collect();
    (Lines { status: head.status, octets, length, is_dated: headers.contains_key(DATE), trailers }, connection)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use http_body_util::{Full, StreamBody};
    use proptest::prelude::*;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::UnixStream;

    use super::super::client_io::{ClientIo, Phase};
    use super::super::transport::Transport;
    use super::super::watch::Sweep;
    use super::*;

    const ASKER: Asker = Asker { version: Version::HTTP_11, to_head: false, keeps: true, trailers: false };

    type Frames = Vec<Result<Frame<Bytes>, &'static str>>;

    /// What the client gets, whether it was all, and whether another request may follow.
    fn send<B: Body<Data = Bytes> + Unpin>(answer: Answered<B>, asker: Asker, begun: &[u8]) -> (String, bool, bool) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (ours, mut client) = UnixStream::pair().unwrap();
            let phase = std::rc::Rc::new(Phase::new(Sweep::default().watch(), std::time::Duration::from_secs(9)));
            let http1 = std::cell::RefCell::new(Http1::new(ClientIo::new(Transport::Unix(ours), true, phase)));
            let mut sending = Sending::new(answer, asker, begun, || "now".to_owned());
            let sent = std::future::poll_fn(|cx| sending.poll(cx, &http1)).await;
            drop(http1);
            let mut got = String::new();
            client.read_to_string(&mut got).await.unwrap();
            (got, sent.is_ok(), sending.keeps)
        })
    }

    fn whole(answer: http::response::Builder, body: &'static str, asker: Asker) -> (String, bool, bool) {
        send(Answered::Fields(answer.body(Full::new(Bytes::from_static(body.as_bytes()))).unwrap()), asker, b"")
    }

    /// A body of these pieces, whose length nobody knows.
    fn pieces(frames: Frames) -> impl Body<Data = Bytes, Error = &'static str> + Unpin {
        let mut frames = VecDeque::from(frames);
        StreamBody::new(futures_util::stream::poll_fn(move |_| Poll::Ready(frames.pop_front())))
    }

    fn data(text: &'static str) -> Result<Frame<Bytes>, &'static str> {
        Ok(Frame::data(Bytes::from_static(text.as_bytes())))
    }

    #[test]
    fn an_answer_is_written_as_the_standard_says() {
        let ok = || Response::builder().header("a", "b");
        let got = whole(ok(), "abc", ASKER);
        assert_eq!(got, ("HTTP/1.1 200 OK\r\na: b\r\ndate: now\r\ncontent-length: 3\r\n\r\nabc".to_owned(), true, true));
        let (got, ..) = whole(ok().header("date", "then").header("content-length", "3"), "abc", ASKER);
        assert_eq!(got, "HTTP/1.1 200 OK\r\na: b\r\ndate: then\r\ncontent-length: 3\r\n\r\nabc");
        let (got, ..) = whole(ok(), "", ASKER);
        assert_eq!(got, "HTTP/1.1 200 OK\r\na: b\r\ndate: now\r\ncontent-length: 0\r\n\r\n");
    }

    #[test]
    fn what_has_no_body_gets_none() {
        for (status, length) in [(204, ""), (304, ""), (200, "content-length: 3\r\n")] {
            let asker = Asker { to_head: status == 200, ..ASKER };
            let (got, all, keeps) = whole(Response::builder().status(status).header("date", "d"), "abc", asker);
            assert!(got.ends_with(&format!("\r\ndate: d\r\n{length}\r\n")) && all && keeps, "{got}");
        }
        let told = Response::builder().header("content-length", "77");
        let (got, ..) = whole(told, "", Asker { to_head: true, ..ASKER });
        assert!(got.ends_with("\r\ncontent-length: 77\r\ndate: now\r\n\r\n"), "{got}");
        let upgrade = Response::builder().status(101).header("connection", "Upgrade").header("upgrade", "websocket");
        let (got, all, keeps) = whole(upgrade, "", ASKER);
        assert!(all && !keeps);
        assert!(got.ends_with("connection: Upgrade\r\nupgrade: websocket\r\ndate: now\r\n\r\n"), "{got}");
    }

    #[test]
    fn whether_another_request_may_follow_is_said() {
        let old = Asker { version: Version::HTTP_10, ..ASKER };
        for (asker, line, keeps) in [
            (ASKER, "", true),
            (Asker { keeps: false, ..ASKER }, "connection: close\r\n", false),
            (old, "connection: keep-alive\r\n", true),
            (Asker { keeps: false, ..old }, "", false),
        ] {
            let (got, _, kept) = whole(Response::builder(), "", asker);
            let version = if asker.version == Version::HTTP_10 { "1.0" } else { "1.1" };
            assert_eq!(got, format!("HTTP/{version} 200 OK\r\ndate: now\r\ncontent-length: 0\r\n{line}\r\n"));
            assert_eq!(kept, keeps);
        }
        let (got, _, keeps) = whole(Response::builder().header("connection", "close"), "", ASKER);
        assert_eq!((got.matches("connection").count(), keeps), (1, false));
    }

    #[test]
    fn a_body_without_a_length_comes_in_chunks_or_ends_with_the_connection() {
        let mut trailers = HeaderMap::new();
        trailers.insert("a", "1".parse().unwrap());
        trailers.insert("b", "2".parse().unwrap());
        trailers.insert("set-cookie", "x=y".parse().unwrap());
        let answer = || {
            let frames = vec![data("abc"), data(""), data("0123456789abcdef"), Ok(Frame::trailers(trailers.clone()))];
            let head = Response::builder().header("date", "d").header("trailer", "A, Set-Cookie");
            Answered::Fields(head.body(pieces(frames)).unwrap())
        };
        let head = "HTTP/1.1 200 OK\r\ndate: d\r\ntrailer: A, Set-Cookie\r\ntransfer-encoding: chunked\r\n\r\n";
        let chunks = "3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\n";
        assert_eq!(send(answer(), ASKER, b""), (format!("{head}{chunks}\r\n"), true, true));
        let (got, ..) = send(answer(), Asker { trailers: true, ..ASKER }, b"");
        assert_eq!(got, format!("{head}{chunks}A: 1\r\n\r\n"), "those that were announced and may be");
        let (got, all, keeps) = send(answer(), Asker { version: Version::HTTP_10, ..ASKER }, b"");
        assert!(got.ends_with("\r\n\r\nabc0123456789abcdef") && all && !keeps && !got.contains("transfer-encoding"), "{got}");
    }

    #[test]
    fn a_body_that_fails_never_passes_for_a_whole_one() {
        let long = Response::builder().header("content-length", "9");
        let (got, all, _) = send(Answered::Fields(long.body(pieces(vec![data("abc")])).unwrap()), ASKER, b"");
        assert!(!all && got.ends_with("\r\n\r\nabc"), "{got}");
        let short = Response::builder().header("content-length", "2");
        assert!(!send(Answered::Fields(short.body(pieces(vec![data("abc")])).unwrap()), ASKER, b"").1);
        let (got, all, _) = send(Answered::Fields(Response::new(pieces(vec![Err("no")]))), ASKER, b"");
        assert!(!all && got.ends_with("\r\ntransfer-encoding: chunked\r\n\r\n"), "{got}");
        let (got, all, _) = send(Answered::Fields(Response::new(pieces(vec![data("abc"), Err("no")]))), ASKER, b"");
        assert!(!all && got.ends_with("3\r\nabc\r\n"), "{got}");
    }

    #[test]
    fn what_was_begun_goes_before_it_and_lines_go_out_as_they_are() {
        let octets = b"HTTP/1.1 200 Good\r\nA: b\r\nContent-Length: 3\r\n".to_vec();
        let lines = Lines { status: StatusCode::OK, octets, length: Some(3), is_dated: false, trailers: Vec::new() };
        let (got, ..) = send(Answered::Lines(lines, Full::new(Bytes::from("abc"))), ASKER, b"\r\n\r\n");
        assert_eq!(got, "\r\n\r\nHTTP/1.1 200 Good\r\nA: b\r\nContent-Length: 3\r\ndate: now\r\n\r\nabc");
    }

    proptest! {
        #[test]
        fn chunks_are_what_was_put_in(parts in proptest::collection::vec("[a-z]{0,40}", 0..6)) {
            let frames = parts.iter().map(|part| Ok(Frame::data(Bytes::from(part.clone())))).collect();
            let (got, all, keeps) = send(Answered::Fields(Response::new(pieces(frames))), ASKER, b"");
            let (_, body) = got.split_once("\r\n\r\n").unwrap();
            let (mut inbox, mut rest, mut read) = (bytes::BytesMut::from(body), super::super::remaining::Remaining::chunked(), String::new());
            while let super::super::remaining::Piece::Data(data) = rest.take(&mut inbox).unwrap() {
                read.push_str(std::str::from_utf8(&data).unwrap());
            }
            prop_assert!(all && keeps && inbox.is_empty());
            prop_assert_eq!(read, parts.concat());
        }
    }
}
