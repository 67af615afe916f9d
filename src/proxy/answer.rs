//! The head of the application's answer: what it says, and where its body will end (RFC 9112 sections 4 and 6).

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderName, TRANSFER_ENCODING};
use http::response::Parts;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use hyper::ext::ReasonPhrase;

use super::hop_by_hop::tokens;
use super::remaining::Remaining;

/// Largest head, in octets.
const LARGEST_HEAD: usize = 64 * 1024;
/// Most header lines.
const MOST_LINES: usize = 128;

/// The octets aren't HTTP, or it isn't certain what they mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

/// A head, and what follows from it.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Status and headers.
    pub(crate) head: Parts,
    /// Its body.
    pub(crate) body: Remaining,
    /// Whether the connection may carry another request afterwards.
    pub(crate) keeps: bool,
}

impl Answer {
    /// Whether the final answer is still to come (RFC 9110 section 15.2).
    pub(crate) fn is_interim(&self) -> bool {
        self.head.status.is_informational() && self.head.status != StatusCode::SWITCHING_PROTOCOLS
    }
}

/// Takes a head from the front of what was read; `None` while it isn't complete. `to_head`: the request was a HEAD.
///
/// # Errors
/// When it isn't HTTP/1, or says in two ways where its body ends.
pub(crate) fn take_answer(inbox: &mut BytesMut, to_head: bool) -> Result<Option<Answer>, Malformed> {
    let Some(length) = end_of_head(inbox) else {
        return if inbox.len() > LARGEST_HEAD { Err(Malformed("its head is too large")) } else { Ok(None) };
    };
    let octets = inbox.split_to(length).freeze();
    let mut lines = [const { std::mem::MaybeUninit::uninit() }; MOST_LINES];
    let mut parsed = httparse::Response::new(&mut []);
    match httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, &octets, &mut lines) {
        Ok(httparse::Status::Complete(parsed)) if parsed == length => {}
        _ => return Err(Malformed("its head is no HTTP/1")),
    }
    let (Some(code), Some(minor)) = (parsed.code, parsed.version) else { return Err(Malformed("its head is no HTTP/1")) };
    let status = StatusCode::from_u16(code).map_err(|_| Malformed("its status is no status"))?;
    let (mut head, ()) = Response::new(()).into_parts();
    head.status = status;
    if let Some(reason) = parsed.reason.filter(|reason| !reason.is_empty() && Some(*reason) != status.canonical_reason())
        && let Ok(reason) = ReasonPhrase::try_from(reason.as_bytes())
    {
        head.extensions.insert(reason);
    }
    append_lines(&mut head.headers, parsed.headers, &octets)?;
    let bodiless = to_head || status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let body = body_after(&head.headers, minor, bodiless)?;
    let closes = head.headers.get_all(CONNECTION).iter().flat_map(tokens).any(|token| token.eq_ignore_ascii_case("close"));
    let late = to_head || (bodiless && announces_a_body(&head.headers));
    let keeps = minor == 1 && body != Remaining::UntilClose && !closes && !late;
    Ok(Some(Answer { head, body, keeps }))
}

/// Behind the first empty line. Lines may end in a bare LF, as old applications write them.
fn end_of_head(octets: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'\n', octets).find_map(|at| match octets.get(at + 1..)? {
        [b'\n', ..] => Some(at + 2),
        [b'\r', b'\n', ..] => Some(at + 3),
        _ => None,
    })
}

/// RFC 9112 section 6.3. Two lengths, or a coding that isn't known, are refused: whichever we believed, somebody could believe the
/// other.
fn body_after(headers: &HeaderMap, minor: u8, bodiless: bool) -> Result<Remaining, Malformed> {
    let length = content_length(headers)?;
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let chunked = match (codings.next(), codings.next()) {
        (None, _) => false,
        (Some(coding), None) if minor == 1 && coding.as_bytes().eq_ignore_ascii_case(b"chunked") => true,
        _ => return Err(Malformed("its transfer coding is another than chunked")),
    };
    match (length, chunked) {
        (Some(_), true) => Err(Malformed("it has both a length and a transfer coding")),
        _ if bodiless => Ok(Remaining::Nothing),
        (Some(length), false) => Ok(Remaining::sized(length)),
        (None, true) => Ok(Remaining::chunked()),
        (None, false) => Ok(Remaining::UntilClose),
    }
}

/// An answer that can have no body but names the length of one: a careless application may send it all the same, and late, when
/// the next user's answer is waited for (RFC 9112 section 6.3). HEAD always is such a case.
fn announces_a_body(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0") || headers.contains_key(TRANSFER_ENCODING)
}

/// Takes over lines that were parsed from `octets`, without copying the values.
///
/// # Errors
/// When a name or a value is none.
pub(crate) fn append_lines(headers: &mut HeaderMap, lines: &[httparse::Header<'_>], octets: &Bytes) -> Result<(), Malformed> {
    headers.reserve(lines.len());
    for line in lines {
        let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| Malformed("a header has no name"))?;
        let value = HeaderValue::from_maybe_shared(octets.slice_ref(line.value));
        headers.append(name, value.map_err(|_| Malformed("a header has control characters"))?);
    }
    Ok(())
}

/// Digits, once (RFC 9110 section 8.6).
pub(crate) fn content_length(headers: &HeaderMap) -> Result<Option<u64>, Malformed> {
    let mut lines = headers.get_all(CONTENT_LENGTH).iter();
    match (lines.next(), lines.next()) {
        (None, _) => Ok(None),
        (Some(line), None) if line.as_bytes().iter().all(u8::is_ascii_digit) => {
            line.to_str().ok().and_then(|text| text.parse().ok()).map(Some).ok_or(Malformed("its length is no number"))
        }
        _ => Err(Malformed("its length is no number, or given twice")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(text: &str) -> Result<Option<Answer>, Malformed> {
        take_answer(&mut BytesMut::from(text), false)
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
        let answer = take_answer(&mut inbox, false).unwrap().unwrap();
        assert_eq!((&inbox[..], answer.body, answer.keeps), (&b"abc"[..], Remaining::sized(3), true));
        assert_eq!(answer.head.status, 203);
        assert_eq!(answer.head.headers.get_all("a").iter().collect::<Vec<_>>(), ["b", "c"]);
        assert_eq!(answer.head.extensions.get::<ReasonPhrase>().unwrap().as_bytes(), b"Fine By Me");
        let old = take("HTTP/1.0 200 OK\nA: b\n\n").unwrap().unwrap();
        assert!(!old.keeps && old.head.extensions.get::<ReasonPhrase>().is_none());
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
        assert_eq!(take_answer(&mut to_head, true).unwrap().unwrap().body, Remaining::Nothing);
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
        assert!(!take_answer(&mut to_head, true).unwrap().unwrap().keeps);
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
