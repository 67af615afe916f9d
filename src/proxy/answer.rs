//! The head of the application's answer: what it says, and where its body will end (RFC 9112 sections 4 and 6).

use std::mem::MaybeUninit;

use bytes::{Buf as _, Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, HeaderName, InvalidHeaderValue};
use http::response::Parts;
use http::{HeaderMap, HeaderValue, Response, StatusCode, Version};
use hyper::ext::ReasonPhrase;

use super::body_lines::{BodyLines, Malformed, digits};
use super::hop_by_hop::{has, is_hop_by_hop};
use super::remaining::Remaining;
use crate::web::Cookies;

/// Largest head, in octets.
const LARGEST_HEAD: usize = 64 * 1024;
/// Most header lines.
const MOST_LINES: usize = 128;
/// Room for a usual head and a small body.
pub(crate) const USUAL: usize = 2048;

/// A head, and what follows from it.
#[derive(Debug)]
pub(crate) struct Answer {
    /// What it says.
    pub(crate) head: AnswerHead,
    /// Its body.
    pub(crate) body: Remaining,
    /// Whether the connection may carry another request afterwards.
    pub(crate) keeps: bool,
}

/// What an answer says.
#[derive(Debug)]
pub(crate) enum AnswerHead {
    /// Status and headers, as they came.
    Fields(Parts),
    /// Lines that a client of HTTP/1.1 may get.
    Lines(Lines),
}

/// The head of an answer as a client of HTTP/1.1 gets it: without what was meant for one connection only, and without cookies that
/// could be taken for ours. No value was copied to anywhere else on its way.
#[derive(Debug)]
pub(crate) struct Lines {
    /// The status.
    pub(crate) status: StatusCode,
    /// The status line and the others, as octets.
    pub(crate) octets: Vec<u8>,
    /// The length that it names.
    pub(crate) length: Option<u64>,
    /// Whether it says when it was made.
    pub(crate) is_dated: bool,
    /// The trailers that it announces.
    pub(crate) trailers: Vec<HeaderName>,
}

impl Answer {
    /// The status.
    pub(crate) fn status(&self) -> StatusCode {
        match &self.head {
            AnswerHead::Fields(head) => head.status,
            AnswerHead::Lines(lines) => lines.status,
        }
    }

    /// Whether the final answer is still to come (RFC 9110 section 15.2).
    pub(crate) fn is_interim(&self) -> bool {
        self.status().is_informational() && self.status() != StatusCode::SWITCHING_PROTOCOLS
    }
}

/// Takes a head from the front of what was read; `None` while it isn't complete. `to_head`: the request was a HEAD. `lines`: if it can
/// be, the head is made into lines for a client of HTTP/1.1; these cookies are ours.
///
/// # Errors
/// When it isn't HTTP/1, or says in two ways where its body ends.
pub(crate) fn take_answer(inbox: &mut BytesMut, to_head: bool, lines: Option<&Cookies>) -> Result<Option<Answer>, Malformed> {
    let mut room = [const { MaybeUninit::uninit() }; MOST_LINES];
    let Some(read) = Read::head(inbox, &mut room, to_head)? else { return Ok(None) };
    let head = match lines {
        Some(cookies) if !read.said.nominates => AnswerHead::Lines(read.to_lines(cookies)),
        _ => AnswerHead::Fields(read.to_fields()?),
    };
    let Read { length, body, keeps, .. } = read;
    inbox.advance(length);
    Ok(Some(Answer { head, body, keeps }))
}

/// A head that was read.
struct Read<'a> {
    /// In octets.
    length: usize,
    status: StatusCode,
    reason: Option<&'a str>,
    lines: &'a [httparse::Header<'a>],
    said: Said,
    body: Remaining,
    keeps: bool,
}

/// What the lines of a head say about the message and the connection.
#[derive(Debug, Default)]
struct Said {
    body: BodyLines,
    /// The connection ends with this answer.
    closes: bool,
    /// Other lines are meant for this connection only.
    nominates: bool,
    is_dated: bool,
    has_trailers: bool,
}

impl Said {
    /// # Errors
    /// When a length is given twice or is none.
    fn read(lines: &[httparse::Header<'_>]) -> Result<Self, Malformed> {
        let mut said = Self::default();
        for line in lines {
            said.body.read(line)?;
            let is = |name: &str| line.name.eq_ignore_ascii_case(name);
            match line.name.len() {
                4 if is("date") => said.is_dated = true,
                7 if is("trailer") => said.has_trailers = true,
                10 if is("connection") => {
                    for token in line.value.split(|octet| *octet == b',').map(<[u8]>::trim_ascii) {
                        let closes = token.eq_ignore_ascii_case(b"close");
                        said.closes |= closes;
                        said.nominates |= !closes && !token.is_empty() && !token.eq_ignore_ascii_case(b"keep-alive");
                    }
                }
                _ => {}
            }
        }
        Ok(said)
    }
}

impl<'a> Read<'a> {
    /// Reads it; `None` while it isn't complete.
    fn head(
        octets: &'a [u8],
        room: &'a mut [MaybeUninit<httparse::Header<'a>>],
        to_head: bool,
    ) -> Result<Option<Self>, Malformed> {
        const NO_HTTP: Malformed = Malformed("its head is no HTTP/1");
        // Behind a body, careless applications write one empty line more; httparse would skip any number.
        let (empty, octets) = match octets {
            [b'\r', b'\n', rest @ ..] => (2, rest),
            [b'\n', rest @ ..] => (1, rest),
            all => (0, all),
        };
        if empty > 0 && matches!(octets.first(), Some(b'\r' | b'\n')) {
            return Err(NO_HTTP);
        }
        let mut parsed = httparse::Response::new(&mut []);
        let length = match httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, octets, room) {
            Ok(httparse::Status::Complete(length)) if length <= LARGEST_HEAD => length,
            Ok(httparse::Status::Partial) if octets.len() <= LARGEST_HEAD => return Ok(None),
            Ok(_) => return Err(Malformed("its head is too large")),
            Err(_) => return Err(NO_HTTP),
        };
        let (Some(code), Some(minor)) = (parsed.code, parsed.version) else { return Err(NO_HTTP) };
        let lines = &*parsed.headers;
        let status = StatusCode::from_u16(code).map_err(|_| Malformed("its status is no status"))?;
        let said = Said::read(lines)?;
        let bodiless =
            to_head || status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let body = match said.body.body(minor)? {
            _ if bodiless => Remaining::Nothing,
            said => said.unwrap_or(Remaining::UntilClose),
        };
        // An answer that can have no body but names the length of one: a careless application may send it all the same, and late, when
        // the next user's answer is waited for (RFC 9112 section 6.3). HEAD always is such a case.
        let late = to_head || (bodiless && (said.body.length.is_some_and(|length| length > 0) || said.body.codings > 0));
        let keeps = minor == 1 && body != Remaining::UntilClose && !said.closes && !late;
        let reason = parsed.reason.filter(|reason| !reason.is_empty());
        Ok(Some(Self { length: empty + length, status, reason, lines, said, body, keeps }))
    }

    /// Without what was meant for one connection only, and without cookies that could be taken for ours.
    fn to_lines(&self, cookies: &Cookies) -> Lines {
        let mut octets = Vec::with_capacity(USUAL);
        write_status(&mut octets, self.status, self.reason.map(str::as_bytes), Version::HTTP_11);
        let mut trailers = Vec::new();
        for line in self.lines {
            let unlawful = !may_have_length(self.status) && line.name.eq_ignore_ascii_case("content-length");
            if unlawful || is_hop_by_hop(line.name) || cookies.could_set_ours(line.name, line.value) {
                continue;
            }
            if self.said.has_trailers && line.name.eq_ignore_ascii_case("trailer") {
                let names = line.value.split(|octet| *octet == b',').map(<[u8]>::trim_ascii);
                trailers.extend(names.filter_map(|name| HeaderName::from_bytes(name).ok()));
            }
            write_plain_line(&mut octets, line.name, line.value);
        }
        Lines { status: self.status, octets, length: self.said.body.length, is_dated: self.said.is_dated, trailers }
    }

    /// Status and headers.
    fn to_fields(&self) -> Result<Parts, Malformed> {
        let (mut head, ()) = Response::new(()).into_parts();
        head.status = self.status;
        if let Some(reason) = self.reason.filter(|reason| Some(*reason) != self.status.canonical_reason())
            && let Ok(reason) = ReasonPhrase::try_from(reason.as_bytes())
        {
            head.extensions.insert(reason);
        }
        append_lines(&mut head.headers, self.lines, HeaderValue::from_bytes)?;
        Ok(head)
    }
}

/// Whether an answer may name a length (RFC 9110 section 8.6); one to HEAD and 304 may, without having a body.
pub(crate) fn may_have_length(status: StatusCode) -> bool {
    !status.is_informational() && status != StatusCode::NO_CONTENT
}

/// The first line of an answer (RFC 9112 section 4); without a reason, the usual one.
pub(crate) fn write_status(octets: &mut Vec<u8>, status: StatusCode, reason: Option<&[u8]>, version: Version) {
    octets.extend_from_slice(if version == Version::HTTP_10 { b"HTTP/1.0 " } else { b"HTTP/1.1 " });
    octets.extend_from_slice(status.as_str().as_bytes());
    octets.push(b' ');
    octets.extend_from_slice(reason.unwrap_or_else(|| status.canonical_reason().unwrap_or_default().as_bytes()));
    octets.extend_from_slice(b"\r\n");
}

/// A header line of an answer, the name as it is.
pub(crate) fn write_plain_line(octets: &mut Vec<u8>, name: &str, value: &[u8]) {
    octets.reserve(name.len() + value.len() + 4);
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        octets.extend_from_slice(part);
    }
}

/// Takes over lines, each value as `to_value` makes one of it.
///
/// # Errors
/// When a name or a value is none.
pub(crate) fn append_lines<E>(
    headers: &mut HeaderMap,
    lines: &[httparse::Header<'_>],
    to_value: impl Fn(&[u8]) -> Result<HeaderValue, E>,
) -> Result<(), Malformed> {
    headers.reserve(lines.len());
    for line in lines {
        let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| Malformed("a header has no name"))?;
        headers.append(name, to_value(line.value).map_err(|_| Malformed("a header has control characters"))?);
    }
    Ok(())
}

/// Makes values of what was read from `octets`, which stay where they are.
pub(crate) fn shared(octets: &Bytes) -> impl Fn(&[u8]) -> Result<HeaderValue, InvalidHeaderValue> {
    |value| HeaderValue::from_maybe_shared(octets.slice_ref(value))
}

/// Digits, once (RFC 9110 section 8.6).
pub(crate) fn content_length(headers: &HeaderMap) -> Result<Option<u64>, Malformed> {
    if !has(headers, &CONTENT_LENGTH) {
        return Ok(None);
    }
    let mut lines = headers.get_all(CONTENT_LENGTH).iter();
    match (lines.next(), lines.next()) {
        (None, _) => Ok(None),
        (Some(line), None) => digits(line.as_bytes()).map(Some),
        _ => Err(Malformed("its length is given twice")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(text: &str) -> Result<Option<Answer>, Malformed> {
        take_answer(&mut BytesMut::from(text), false, None)
    }

    fn fields(answer: Answer) -> Parts {
        let AnswerHead::Fields(head) = answer.head else { panic!("lines") };
        head
    }

    /// As a client of HTTP/1.1 gets it.
    fn lines(text: &str) -> Option<(Lines, String)> {
        let cookies = Cookies::new(&crate::public_url::PublicUrl::parse("https://app.example").unwrap(), None);
        let answer = take_answer(&mut BytesMut::from(text), false, Some(&cookies)).unwrap().unwrap();
        let AnswerHead::Lines(lines) = answer.head else { return None };
        let text = String::from_utf8(lines.octets.clone()).unwrap();
        Some((lines, text))
    }

    #[test]
    fn lines_are_handed_on_as_they_came_but_for_what_isn_t_the_client_s() {
        let head = "HTTP/1.1 203 Fine By Me\r\nServer: a\r\nX-A:  b \r\nX-a: c\r\nConnection: Keep-Alive\r\nKEEP-ALIVE: timeout=5\r\n\
            Proxy-Connection: x\r\nUpgrade: h2c\r\nTE: x\r\ncontent-length: 3\r\nSet-Cookie: a=b\r\nset-cookie: __Host-samlgate=x\r\n\
            SET-COOKIE: =__host-SAMLGATE-login=x\r\nTrailer: A, b\r\nDate: now\r\n\r\n";
        let (read, text) = lines(head).unwrap();
        let expected = "HTTP/1.1 203 Fine By Me\r\nServer: a\r\nX-A: b\r\nX-a: c\r\ncontent-length: 3\r\nSet-Cookie: a=b\r\n\
            Trailer: A, b\r\nDate: now\r\n";
        assert_eq!(text, expected);
        assert_eq!((read.status.as_u16(), read.length, read.is_dated), (203, Some(3), true));
        assert_eq!(read.trailers, ["a", "b"]);
        let (read, text) = lines("HTTP/1.0 404 \nA: b\n\n").unwrap();
        assert_eq!((text.as_str(), read.length, read.is_dated), ("HTTP/1.1 404 Not Found\r\nA: b\r\n", None, false));
        let (_, text) = lines("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nA: b\r\n\r\n").unwrap();
        assert_eq!(text, "HTTP/1.1 204 No Content\r\nA: b\r\n");
        // Which lines those are, is said in the head.
        assert!(lines("HTTP/1.1 200 OK\r\nConnection: close, X-A\r\nX-A: b\r\n\r\n").is_none());
        assert!(lines("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").is_none());
    }

    #[test]
    fn lines_are_read_like_fields() {
        let cookies = Cookies::new(&crate::public_url::PublicUrl::parse("https://app.example").unwrap(), None);
        for head in [
            "200 OK\r\nContent-Length: 1",
            "200 OK\r\nTransfer-Encoding: chunked",
            "200 OK\r\nConnection: close",
            "304 Not Modified\r\nContent-Length: 1",
            "204 No Content\r\nTransfer-Encoding: chunked",
            "200 OK\r\nContent-Length: 1\r\ncontent-length: 1",
            "200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked",
            "200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "200 OK\r\nTransfer-Encoding: gzip, chunked",
            "200 OK\r\nA: b\u{1}",
            "200 OK\r\nA: b\r\n c",
            "200 OK\r\nA : b",
        ] {
            let text = format!("HTTP/1.1 {head}\r\n\r\n");
            let take = |lines| take_answer(&mut BytesMut::from(text.as_str()), false, lines);
            let known = |answer: Answer| (answer.status(), answer.body, answer.keeps);
            let (fields, lines) = (take(None), take(Some(&cookies)));
            assert_eq!(fields.map(|answer| answer.map(known)), lines.map(|answer| answer.map(known)), "{head}");
        }
    }

    fn body(text: &str) -> Remaining {
        take(text).unwrap().unwrap().body
    }

    #[test]
    fn a_head_is_taken_when_it_is_complete_and_nothing_behind_it() {
        let text = "HTTP/1.1 203 Fine By Me\r\nA: b\r\na:  c \r\nContent-Length: 3\r\n\r\n";
        for cut in 0..text.len() {
            assert!(take(&text[..cut]).unwrap().is_none(), "{cut}");
        }
        let mut inbox = BytesMut::from(format!("{text}abc").as_str());
        let answer = take_answer(&mut inbox, false, None).unwrap().unwrap();
        assert_eq!((&inbox[..], answer.body, answer.keeps), (&b"abc"[..], Remaining::sized(3), true));
        let head = fields(answer);
        assert_eq!(head.status, 203);
        assert_eq!(head.headers.get_all("a").iter().collect::<Vec<_>>(), ["b", "c"]);
        assert_eq!(head.extensions.get::<ReasonPhrase>().unwrap().as_bytes(), b"Fine By Me");
        let old = take("HTTP/1.0 200 OK\nA: b\n\n").unwrap().unwrap();
        assert!(!old.keeps && fields(old).extensions.get::<ReasonPhrase>().is_none());
    }

    #[test]
    fn the_body_s_end_is_what_the_standard_says() {
        assert_eq!(body("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n"), Remaining::chunked());
        assert_eq!(body("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), Remaining::Nothing);
        assert_eq!(body("HTTP/1.1 200 OK\r\n\r\n"), Remaining::UntilClose);
        for none in ["204 No Content", "304 Not Modified", "101 Switching Protocols", "100 Continue"] {
            assert_eq!(body(&format!("HTTP/1.1 {none}\r\nContent-Length: 7\r\n\r\n")), Remaining::Nothing);
        }
        let mut to_head = BytesMut::from("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n");
        assert_eq!(take_answer(&mut to_head, true, None).unwrap().unwrap().body, Remaining::Nothing);
    }

    #[test]
    fn whether_another_request_may_follow() {
        let keeps = |head: &str| take(&format!("HTTP/1.1 {head}\r\n\r\n")).unwrap().unwrap().keeps;
        assert!(keeps("200 OK\r\nContent-Length: 1"));
        assert!(keeps("204 No Content\r\nConnection: keep-alive"));
        assert!(!keeps("200 OK\r\nContent-Length: 1\r\nConnection: x, Close"));
        assert!(!keeps("200 OK"));
        assert!(keeps("304 Not Modified\r\nContent-Length: 0"));
        assert!(!keeps("304 Not Modified\r\nContent-Length: 1"));
        assert!(!keeps("204 No Content\r\nTransfer-Encoding: chunked"));
        let mut to_head = BytesMut::from("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        assert!(!take_answer(&mut to_head, true, None).unwrap().unwrap().keeps);
    }

    #[test]
    fn one_empty_line_before_a_head_is_passed_over() {
        for empty in ["\r\n", "\n"] {
            let text = format!("{empty}HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
            let mut inbox = BytesMut::new();
            for (at, octet) in text[..text.len() - 4].bytes().enumerate() {
                inbox.extend_from_slice(&[octet]);
                assert!(take_answer(&mut inbox, false, None).unwrap().is_none(), "{at}");
            }
            inbox.extend_from_slice(b"\nabc");
            let answer = take_answer(&mut inbox, false, None).unwrap().unwrap();
            assert_eq!((answer.status(), answer.body, &inbox[..]), (StatusCode::OK, Remaining::sized(3), &b"abc"[..]));
        }
    }

    #[test]
    fn what_is_ambiguous_or_no_http_is_refused() {
        for bad in [
            "SSH-2.0-x\r\n\r\n",
            "HTTP/2 200 OK\r\n\r\n",
            "HTTP/1.1 99 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\u{1}\r\n\r\n",
            "HTTP/1.1 200 OK\r\n: b\r\n\r\n",
            "\n\r\nHTTP/1.1 200 OK\r\n\r\n",
            "\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 204 No Content\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        ] {
            assert!(take(bad).is_err(), "{bad:?}");
        }
        assert!(take(&"x".repeat(LARGEST_HEAD + 1)).is_err());
        let many: String = (0..=MOST_LINES).map(|at| format!("A: {at}\r\n")).collect();
        assert!(take(&format!("HTTP/1.1 200 OK\r\n{many}\r\n")).is_err());
    }
}
