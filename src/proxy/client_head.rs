//! The head of a client's request: what it asks, and where its body will end (RFC 9112 sections 3 and 6).

use bytes::{Buf as _, BytesMut};
use http::request::Parts;
use http::{Method, Request, StatusCode, Uri, Version};

use super::answer::{append_lines, shared};
use super::body_lines::BodyLines;
use super::remaining::Remaining;

/// Largest head, in octets.
pub(crate) const LARGEST_HEAD: usize = 64 * 1024;
/// Most header lines.
const MOST_LINES: usize = 100;

/// So much of the beginning of a head is looked at while it isn't complete.
const SHORT: usize = 512;

/// The request can't be read, and that is what the client hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused(pub(crate) StatusCode);

/// It isn't HTTP/1, or is ambiguous.
pub(crate) const MALFORMED: Refused = Refused(StatusCode::BAD_REQUEST);
const TOO_LARGE: Refused = Refused(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);

/// What follows from a head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    /// Its body.
    pub(crate) body: Remaining,
    /// Whether the client may send another request afterwards.
    pub(crate) keeps: bool,
    /// Whether it waits for `100 Continue`.
    pub(crate) expects: bool,
    /// Whether it offers another protocol.
    pub(crate) upgrades: bool,
    /// Whether it understands trailers.
    pub(crate) trailers: bool,
}

/// An empty head.
pub(crate) fn no_head() -> Parts {
    Request::new(()).into_parts().0
}

/// Gives back the octets that a head was read from. Room for as many headers is kept.
pub(crate) fn forget(head: &mut Parts) {
    head.method = Method::GET;
    head.uri = Uri::default();
    head.headers.clear();
    head.extensions.clear();
}

/// Takes a head, method, target and headers, from the front of what was read, into the place of another; `None` while it isn't complete.
/// `searched` is where the last look ended.
///
/// # Errors
/// When it is too large, isn't HTTP/1, or says in two ways where its body ends.
pub(crate) fn take_request(inbox: &mut BytesMut, searched: &mut usize, head: &mut Parts) -> Result<Option<Asked>, Refused> {
    if inbox.is_empty() {
        return Ok(None);
    }
    if *searched == 0 {
        // Empty lines before the request line (section 2.2).
        let empty = inbox.iter().take_while(|octet| matches!(octet, b'\r' | b'\n')).count();
        inbox.advance(empty);
    }
    let Some(length) = end_of_head(inbox, searched.saturating_sub(2)) else {
        let seen = std::mem::replace(searched, inbox.len());
        return match inbox.len() {
            _ if seen < SHORT && !may_be_a_request(inbox.get(..SHORT).unwrap_or(inbox)) => Err(MALFORMED),
            ..=LARGEST_HEAD => Ok(None),
            _ => Err(TOO_LARGE),
        };
    };
    *searched = 0;
    if length > LARGEST_HEAD {
        return Err(TOO_LARGE);
    }
    let octets = inbox.split_to(length).freeze();
    let mut lines = [const { std::mem::MaybeUninit::uninit() }; MOST_LINES];
    let mut parsed = httparse::Request::new(&mut []);
    match httparse::ParserConfig::default().parse_request_with_uninit_headers(&mut parsed, &octets, &mut lines) {
        Ok(httparse::Status::Complete(parsed)) if parsed == length => {}
        Err(httparse::Error::TooManyHeaders) => return Err(TOO_LARGE),
        _ => return Err(MALFORMED),
    }
    let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version) else { return Err(MALFORMED) };
    let said = Said::read(parsed.headers)?;
    forget(head);
    head.method = Method::from_bytes(method.as_bytes()).map_err(|_| MALFORMED)?;
    head.uri = Uri::from_maybe_shared(octets.slice_ref(target.as_bytes())).map_err(|_| MALFORMED)?;
    head.version = if minor == 1 { Version::HTTP_11 } else { Version::HTTP_10 };
    append_lines(&mut head.headers, parsed.headers, shared(&octets)).map_err(|_| MALFORMED)?;
    let body = said.body.body(minor).map_err(|_| MALFORMED)?.unwrap_or(Remaining::Nothing);
    Ok(Some(Asked {
        keeps: !said.close && (minor == 1 || said.keep_alive),
        expects: minor == 1 && said.expects && body != Remaining::Nothing,
        upgrades: minor == 1 && said.upgrades,
        trailers: said.trailers,
        body,
    }))
}

/// Whether this may be the beginning of a head. What can't, as TLS where none is spoken, is told so at once.
fn may_be_a_request(octets: &[u8]) -> bool {
    let mut lines = [httparse::EMPTY_HEADER; MOST_LINES];
    httparse::Request::new(&mut lines).parse(octets).is_ok()
}

/// Behind the first empty line, which ends at `from` or later.
fn end_of_head(octets: &[u8], from: usize) -> Option<usize> {
    let ends = memchr::memchr_iter(b'\n', octets.get(from..)?).map(|at| from + at + 1);
    ends.filter_map(|end| octets.get(end..)?.starts_with(b"\r\n").then_some(end + 2)).next()
}

/// What the lines of a head say about the message and the connection.
#[derive(Debug, Default)]
struct Said {
    body: BodyLines,
    close: bool,
    keep_alive: bool,
    expects: bool,
    upgrades: bool,
    trailers: bool,
}

impl Said {
    fn read(lines: &[httparse::Header<'_>]) -> Result<Self, Refused> {
        let mut said = Self::default();
        for line in lines {
            said.body.read(line).map_err(|_| MALFORMED)?;
            let is = |name: &str| line.name.eq_ignore_ascii_case(name);
            let lists =
                |word: &[u8]| line.value.split(|octet| *octet == b',').any(|token| token.trim_ascii().eq_ignore_ascii_case(word));
            match line.name.len() {
                2 if is("te") => said.trailers |= lists(b"trailers"),
                6 if is("expect") => said.expects = line.value.eq_ignore_ascii_case(b"100-continue"),
                7 if is("upgrade") => said.upgrades = true,
                10 if is("connection") => {
                    said.close |= lists(b"close");
                    said.keep_alive |= lists(b"keep-alive");
                }
                _ => {}
            }
        }
        Ok(said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(text: &str) -> Result<Option<Asked>, Refused> {
        take_request(&mut BytesMut::from(text), &mut 0, &mut no_head())
    }

    fn asked(lines: &str) -> Asked {
        take(&format!("{lines}\r\n\r\n")).unwrap().unwrap()
    }

    #[test]
    fn a_head_is_taken_when_it_is_complete_and_nothing_behind_it() {
        let text = "\r\n\r\nPOST /a?b HTTP/1.1\r\nHost: h\r\nA: b\r\na:  c \r\nContent-Length: 3\r\n\r\n";
        let (mut inbox, mut searched, mut head) = (BytesMut::new(), 0, no_head());
        for (at, octet) in text.bytes().enumerate() {
            assert!(take_request(&mut inbox, &mut searched, &mut head).unwrap().is_none(), "{at}");
            inbox.extend_from_slice(&[octet]);
        }
        inbox.extend_from_slice(b"abc");
        let asked = take_request(&mut inbox, &mut searched, &mut head).unwrap().unwrap();
        assert_eq!((&inbox[..], searched, asked.body), (&b"abc"[..], 0, Remaining::sized(3)));
        assert_eq!((&head.method, head.uri.to_string(), head.version), (&Method::POST, "/a?b".to_owned(), Version::HTTP_11));
        assert_eq!(head.headers.get_all("a").iter().collect::<Vec<_>>(), ["b", "c"]);
    }

    #[test]
    fn nothing_of_the_request_before_is_left() {
        let mut head = no_head();
        let mut take = |text: &str| {
            take_request(&mut BytesMut::from(text), &mut 0, &mut head).unwrap();
            let names: Vec<_> = head.headers.keys().map(ToString::to_string).collect();
            let kept = head.extensions.insert("of this request").is_some();
            (head.method.clone(), head.uri.to_string(), head.version, names, kept)
        };
        let first =
            take("POST /a?b HTTP/1.0\r\nHost: h\r\nCookie: a=b\r\nCookie: c=d\r\nX-Custom: 1\r\nContent-Length: 3\r\n\r\n");
        let names = ["host", "cookie", "x-custom", "content-length"].map(str::to_owned).to_vec();
        assert_eq!(first, (Method::POST, "/a?b".to_owned(), Version::HTTP_10, names, false));
        let second = take("GET / HTTP/1.1\r\nAccept: */*\r\n\r\n");
        assert_eq!(second, (Method::GET, "/".to_owned(), Version::HTTP_11, vec!["accept".to_owned()], false));
    }

    #[test]
    fn the_body_s_end_is_what_the_standard_says() {
        let body = |lines: &str| asked(&format!("POST / HTTP/1.1\r\nHost: h{lines}")).body;
        assert_eq!(body(""), Remaining::Nothing);
        assert_eq!(body("\r\nContent-Length: 0"), Remaining::Nothing);
        assert_eq!(body("\r\nContent-Length: 70"), Remaining::sized(70));
        assert_eq!(body("\r\nTransfer-Encoding: Chunked"), Remaining::chunked());
    }

    #[test]
    fn what_the_client_wants_of_the_connection() {
        for (line, keeps) in [
            ("GET / HTTP/1.1", true),
            ("GET / HTTP/1.1\r\nConnection: x, Close", false),
            ("GET / HTTP/1.1\r\nConnection: close\r\nConnection: keep-alive", false),
            ("GET / HTTP/1.0", false),
            ("GET / HTTP/1.0\r\nConnection: Keep-Alive", true),
            ("GET / HTTP/1.0\r\nConnection: keep-alive, close", false),
        ] {
            assert_eq!(asked(line).keeps, keeps, "{line}");
        }
        let expects = |lines: &str| asked(&format!("{lines}\r\nExpect: 100-Continue")).expects;
        assert!(expects("POST / HTTP/1.1\r\nContent-Length: 1"));
        assert!(!expects("POST / HTTP/1.1\r\nContent-Length: 0"));
        assert!(!expects("POST / HTTP/1.0\r\nContent-Length: 1"));
        assert!(asked("GET / HTTP/1.1\r\nUpgrade: websocket").upgrades);
        assert!(!asked("GET / HTTP/1.0\r\nUpgrade: websocket").upgrades);
        assert!(asked("GET / HTTP/1.1\r\nTE: gzip, trailers").trailers && !asked("GET / HTTP/1.1").trailers);
    }

    #[test]
    fn what_is_ambiguous_or_no_http_is_refused() {
        for bad in [
            "GET /",
            "GET / HTTP/2.0\r\nHost: h",
            "G@T / HTTP/1.1",
            "GET /\u{0} HTTP/1.1",
            "GET http:// HTTP/1.1",
            "GET / HTTP/1.1\r\nA : b",
            "GET / HTTP/1.1\r\nA: b\r\n c",
            "GET / HTTP/1.1\r\nA: b\u{1}",
            "GET / HTTP/1.1\r\n: b",
            "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1",
            "GET / HTTP/1.1\r\nContent-Length: +1",
            "GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked",
            "GET / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked",
            "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "GET / HTTP/1.0\r\nTransfer-Encoding: chunked",
        ] {
            assert_eq!(take(&format!("{bad}\r\n\r\n")).unwrap_err(), MALFORMED, "{bad:?}");
        }
    }

    #[test]
    fn what_can_t_become_a_request_is_refused_at_once() {
        for at in [10, SHORT - 1, SHORT + 1] {
            let start = format!("GET /{}\u{0}{}", "x".repeat(at - 5), "x".repeat(1000));
            assert_eq!(take(&start).is_err(), at < SHORT, "{at}");
        }
        for start in ["\u{16}\u{3}\u{1}", "GET /\u{0}", "GET / HTTP/3", "SSH-2.0-x\r\n", "GET / HTTP/1.1\r\nA\u{0}"] {
            assert_eq!(take(start).unwrap_err(), MALFORMED, "{start:?}");
        }
        for start in
            ["G", "GET", "GET ", "GET /a", "GET / HTTP/1.", "GET / HTTP/1.1\r", "GET / HTTP/1.1\r\nA", "GET / HTTP/1.1\r\nA: b\r"]
        {
            assert!(take(start).unwrap().is_none(), "{start:?}");
        }
    }

    #[test]
    fn what_is_too_large_is_refused_as_such() {
        let many: String = (0..=MOST_LINES).map(|at| format!("A: {at}\r\n")).collect();
        assert_eq!(take(&format!("GET / HTTP/1.1\r\n{many}\r\n")).unwrap_err(), TOO_LARGE);
        assert_eq!(take(&format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "x".repeat(LARGEST_HEAD))).unwrap_err(), TOO_LARGE);
        assert_eq!(take(&format!("GET / HTTP/1.1\r\nA: {}", "x".repeat(LARGEST_HEAD))).unwrap_err(), TOO_LARGE);
    }
}
