//! What the octets of an HTTP/1 client must look like before anything is read from them.
//!
//! Request smuggling lives on messages that two parsers cut at different places. Parsers are lenient where RFC 9112 lets a
//! server be: they take a bare LF for a line end, for one. In front of us may stand a server that doesn't. So every head is looked at
//! here first, line by line, and so are the framing of chunks and trailers. This file can only refuse: what a request says and where
//! its body ends is found out a second time, from whole heads (`client_head`) and chunks (`remaining`).

/// Longest line; such a head is refused earlier, with 431.
const LONGEST_LINE: usize = 256 * 1024;
/// Longest line of a chunk's size and extensions.
const LONGEST_CHUNK_LINE: usize = 4096;

/// Follows the octets of one connection.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    place: Place,
    /// The start of a line whose end hasn't come yet.
    partial: Vec<u8>,
    head: Head,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Before a request line.
    #[default]
    Start,
    Fields,
    Body(u64),
    ChunkSize,
    /// That many octets of data, then CRLF.
    Chunk(u64),
    ChunkEnd,
    Trailers,
    /// Something was wrong; nothing more is read.
    Refused,
}

/// What is known of the head so far.
#[derive(Debug, Default)]
struct Head {
    http_10: bool,
    length: Option<u64>,
    chunked: bool,
}

/// The octets break RFC 9112, or are ambiguous.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    /// So many octets of the last piece may still be believed.
    pub(crate) good: usize,
}

impl Wire {
    /// Looks at the next octets.
    ///
    /// # Errors
    /// At the first line that is malformed or ambiguous; from then on always.
    pub(crate) fn feed(&mut self, octets: &[u8]) -> Result<(), Malformed> {
        let mut rest = octets;
        while !rest.is_empty() {
            let good = octets.len() - rest.len();
            rest = self.step(rest).ok_or_else(|| {
                self.place = Place::Refused;
                Malformed { good }
            })?;
        }
        Ok(())
    }

    /// Whether a head has begun and isn't complete.
    pub(crate) fn in_head(&self) -> bool {
        self.place == Place::Fields || (self.place == Place::Start && !self.partial.is_empty())
    }

    /// Whether a request has ended, or none has begun: what comes next is a request line.
    pub(crate) fn is_between(&self) -> bool {
        self.place == Place::Start && self.partial.is_empty()
    }

    /// Takes one line or one piece of a body; what is left.
    fn step<'a>(&mut self, octets: &'a [u8]) -> Option<&'a [u8]> {
        match self.place {
            Place::Refused => None,
            Place::Body(left) | Place::Chunk(left) => {
                let taken = usize::try_from(left).unwrap_or(usize::MAX).min(octets.len());
                let left = left - taken as u64;
                self.place = match (self.place, left) {
                    (Place::Body(_), 0) => Place::Start,
                    (Place::Body(_), _) => Place::Body(left),
                    (_, 0) => Place::ChunkEnd,
                    _ => Place::Chunk(left),
                };
                octets.get(taken..)
            }
            Place::Start | Place::Fields | Place::ChunkSize | Place::ChunkEnd | Place::Trailers => {
                let end = memchr::memchr(b'\n', octets).map_or(octets.len(), |end| end + 1);
                let longest = if self.place == Place::ChunkSize { LONGEST_CHUNK_LINE } else { LONGEST_LINE };
                if self.partial.len() + end > longest {
                    return None;
                }
                let (line, rest) = octets.split_at_checked(end)?;
                if !line.ends_with(b"\n") {
                    self.partial.extend_from_slice(line);
                    return Some(rest);
                }
                if self.partial.is_empty() {
                    self.line(line)?;
                } else {
                    let mut whole = std::mem::take(&mut self.partial);
                    whole.extend_from_slice(line);
                    self.line(&whole)?;
                }
                Some(rest)
            }
        }
    }

    /// Judges a whole line, with its end.
    fn line(&mut self, line: &[u8]) -> Option<()> {
        // RFC 9112 section 2.2: a bare LF or a CR elsewhere is what parsers differ about.
        let line = line.strip_suffix(b"\r\n")?;
        if memchr::memchr(b'\r', line).is_some() {
            return None;
        }
        self.place = match self.place {
            // An empty line before the request line is allowed (section 2.2).
            Place::Start if line.is_empty() => Place::Start,
            Place::Start => {
                self.head = Head { http_10: request_line(line)?, ..Head::default() };
                Place::Fields
            }
            Place::Fields if line.is_empty() => self.after_head()?,
            Place::Fields => {
                self.field(line)?;
                Place::Fields
            }
            Place::ChunkSize => match chunk_size(line)? {
                0 => Place::Trailers,
                size => Place::Chunk(size),
            },
            Place::ChunkEnd => line.is_empty().then_some(Place::ChunkSize)?,
            Place::Trailers if line.is_empty() => Place::Start,
            Place::Trailers => {
                field_name(line)?;
                Place::Trailers
            }
            Place::Body(_) | Place::Chunk(_) | Place::Refused => return None,
        };
        Some(())
    }

    /// A field line: those that frame the body are read, each may stand only once.
    fn field(&mut self, line: &[u8]) -> Option<()> {
        let (name, value) = field_name(line)?;
        if name.eq_ignore_ascii_case(b"content-length") {
            if self.head.length.is_some() || value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
                return None;
            }
            // To servers that count with a sign, a larger one is negative.
            let length: i64 = std::str::from_utf8(value).ok()?.parse().ok()?;
            self.head.length = Some(u64::try_from(length).ok()?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            // Only the one coding that every server knows (section 6.1); HTTP/1.0 has none.
            if self.head.chunked || self.head.http_10 || !value.eq_ignore_ascii_case(b"chunked") {
                return None;
            }
            self.head.chunked = true;
        }
        Some(())
    }

    fn after_head(&self) -> Option<Place> {
        match (self.head.length, self.head.chunked) {
            (Some(_), true) => None,
            (None, true) => Some(Place::ChunkSize),
            (None | Some(0), false) => Some(Place::Start),
            (Some(length), false) => Some(Place::Body(length)),
        }
    }
}

/// `METHOD SP target SP HTTP/1.x`, single spaces; a fragment doesn't belong to a target and is read differently. True for
/// HTTP/1.0.
fn request_line(line: &[u8]) -> Option<bool> {
    let mut words = line.split(|octet| *octet == b' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    let whole = words.next().is_none() && !method.is_empty() && !target.is_empty() && !target.contains(&b'#');
    match version {
        b"HTTP/1.1" if whole => Some(false),
        b"HTTP/1.0" if whole => Some(true),
        _ => None,
    }
}

/// What a token is made of (RFC 9110 section 5.6.2).
fn is_token(octet: u8) -> bool {
    octet.is_ascii_alphanumeric()
        || matches!(
            octet,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
}

/// Name and trimmed value. No space before the colon and no continuation of the line before (sections 5.1 and 5.2).
fn field_name(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr::memchr(b':', line)?;
    let (name, value) = line.split_at_checked(colon)?;
    let token = !name.is_empty() && name.iter().copied().all(is_token);
    token.then_some((name, value.get(1..)?.trim_ascii()))
}

/// Hexadecimal digits, at most 16, then nothing or extensions.
pub(super) fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|octet| *octet == b';').next()?;
    if digits.is_empty() || digits.len() > 16 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn feed(octets: &str) -> Result<Wire, Malformed> {
        let mut wire = Wire::default();
        wire.feed(octets.as_bytes()).map(|()| wire)
    }

    const GOOD: &[&str] = &[
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\r\nGET / HTTP/1.0\r\n\r\nGET /x?y HTTP/1.1\r\nA: b c\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na\nbPOST / HTTP/1.1\r\ncontent-length:0\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n0a;x=y\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    ];

    #[test]
    fn lawful_messages_pass_in_any_pieces() {
        for good in GOOD {
            let whole = feed(good).unwrap();
            assert_eq!((whole.place, whole.in_head()), (Place::Start, false), "{good}");
            let mut pieces = Wire::default();
            for octet in good.as_bytes() {
                pieces.feed(&[*octet]).unwrap();
            }
            assert_eq!(pieces.place, Place::Start);
        }
        assert!(feed("GET").unwrap().in_head());
        assert!(feed("GET / HTTP/1.1\r\n").unwrap().in_head());
    }

    #[test]
    fn whatever_parsers_differ_about_is_refused() {
        let bad = [
            "GET / HTTP/1.1\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\n",
            "GET / HTTP/1.1\r\nA: b\r c\r\n\r\n",
            "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
            "GET / HTTP/1.1\r\n A: b\r\n\r\n",
            "GET / HTTP/1.1\r\nA : b\r\n\r\n",
            "GET / HTTP/1.1\r\nA\t: b\r\n\r\n",
            "GET / HTTP/1.1\r\nA\r\n\r\n",
            "GET / HTTP/1.1\r\n: b\r\n\r\n",
            "GET / HTTP/1.1\r\nX-Remot\u{435}-User: b\r\n\r\n",
            "GET  / HTTP/1.1\r\n\r\n",
            "GET / a HTTP/1.1\r\n\r\n",
            "GET /#a HTTP/1.1\r\n\r\n",
            "GET / HTTP/2.0\r\n\r\n",
            "GET /\r\n",
            "PRI * HTTP/2.0\r\n\r\n",
            "P / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
            "P / HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\n",
            "P / HTTP/1.1\r\nContent-Length: +1\r\n\r\n",
            "P / HTTP/1.1\r\nContent-Length: 9223372036854775808\r\n\r\n",
            "P / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
            "P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            "P / HTTP/1.1\r\nTransfer-Encoding : chunked\r\n\r\n",
            "P / HTTP/1.1\r\nTransfer-Encoding: \u{b}chunked\r\n\r\n",
            "P / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "P / HTTP/1.1\r\nTransfer-Encoding: chunked, identity\r\n\r\n",
            "P / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
            "P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n",
            "P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n",
            "P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n",
            "P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n 3\r\nabc\r\n",
            "P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\nabc\r\n",
            "P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: a\n\r\n",
        ];
        for bad in bad {
            assert!(feed(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_line_has_an_end_in_one_piece_or_in_many() {
        for (spare, good) in [(0, true), (1, false)] {
            let extension = "x".repeat(LONGEST_CHUNK_LINE - "3;\r\n".len() + spare);
            let text = format!("P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;{extension}\r\nabc\r\n");
            assert_eq!(feed(&text).is_ok(), good);
            let mut pieces = Wire::default();
            assert_eq!(text.as_bytes().chunks(1000).all(|piece| pieces.feed(piece).is_ok()), good);
        }
    }

    #[test]
    fn what_came_before_the_malformed_line_is_told_and_nothing_is_read_after_it() {
        let mut wire = Wire::default();
        assert_eq!(wire.feed(b"GET / HTTP/1.1\r\nHost: a\n\r\n"), Err(Malformed { good: 16 }));
        assert_eq!(wire.feed(b"GET / HTTP/1.1\r\n\r\n"), Err(Malformed { good: 0 }));
    }

    proptest! {
        #[test]
        fn pieces_don_t_matter(text in "(P / HTTP/1.1\r\n|[a-c:; \r\n0-3]{0,6}|Content-Length: [0-3]\r\n|Transfer-Encoding: chunked\r\n|\r\n){0,6}", cut in 0..40usize) {
            let octets = text.as_bytes();
            let (first, second) = octets.split_at(cut.min(octets.len()));
            let mut pieces = Wire::default();
            let in_two = pieces.feed(first).is_ok() && pieces.feed(second).is_ok();
            prop_assert_eq!(feed(&text).is_ok(), in_two);
        }
    }
}
