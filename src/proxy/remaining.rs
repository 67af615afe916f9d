//! What is still to come of an answer's body (RFC 9112 sections 6 and 7.1).

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;

use super::answer::{append_lines, shared};
use super::body_lines::Malformed;
use super::wire::chunk_size;

/// Longest line with a chunk's size and extensions.
const LONGEST_SIZE_LINE: usize = 4096;
/// Most octets of trailers, and most lines.
const LARGEST_TRAILERS: usize = 16 * 1024;
const MOST_TRAILERS: usize = 32;

/// The rest of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remaining {
    /// It is whole.
    Nothing,
    /// So many octets, at least one.
    Length(u64),
    /// Chunks, of which so much was taken.
    Chunks(Place),
    /// Whatever comes until the connection ends.
    UntilClose,
}

/// Where in chunked octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Size,
    Data(u64),
    DataEnd,
    Trailers,
}

/// What could be taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
    /// More octets must be read first.
    Starved,
    End,
}

impl Remaining {
    /// A body of this length.
    pub(crate) fn sized(length: u64) -> Self {
        if length == 0 { Self::Nothing } else { Self::Length(length) }
    }

    /// A body in chunks.
    pub(crate) fn chunked() -> Self {
        Self::Chunks(Place::Size)
    }

    /// The length of it, when that is known.
    pub(crate) fn length(self) -> Option<u64> {
        match self {
            Self::Nothing => Some(0),
            Self::Length(left) => Some(left),
            Self::Chunks(_) | Self::UntilClose => None,
        }
    }

    /// Takes the next piece of what was read.
    ///
    /// # Errors
    /// When it isn't framed as it must be.
    pub(crate) fn take(&mut self, inbox: &mut BytesMut) -> Result<Piece, Malformed> {
        loop {
            match *self {
                Self::Nothing => return Ok(Piece::End),
                _ if inbox.is_empty() => return Ok(Piece::Starved),
                Self::UntilClose => return Ok(Piece::Data(inbox.split().freeze())),
                Self::Length(left) => {
                    let (data, left) = take_data(inbox, left);
                    *self = Self::sized(left);
                    return Ok(Piece::Data(data));
                }
                Self::Chunks(Place::Data(left)) => {
                    let (data, left) = take_data(inbox, left);
                    *self = Self::Chunks(if left == 0 { Place::DataEnd } else { Place::Data(left) });
                    return Ok(Piece::Data(data));
                }
                Self::Chunks(Place::DataEnd) => {
                    match &**inbox {
                        [b'\r', b'\n', ..] => inbox.advance(2),
                        [b'\r'] => return Ok(Piece::Starved),
                        _ => return Err(Malformed("a chunk doesn't end where it said")),
                    }
                    *self = Self::Chunks(Place::Size);
                }
                Self::Chunks(Place::Size) => {
                    let Some(end) = memchr::memchr(b'\n', inbox) else {
                        return if inbox.len() > LONGEST_SIZE_LINE { Err(NO_SIZE) } else { Ok(Piece::Starved) };
                    };
                    let line = inbox.split_to(end + 1);
                    let line = line.strip_suffix(b"\r\n").filter(|line| line.len() <= LONGEST_SIZE_LINE);
                    // Some applications fill the size up with blanks; nothing stands behind them that could be read otherwise.
                    let size = line.and_then(|line| line.split(|octet| *octet == b';').next()).map(<[u8]>::trim_ascii_end);
                    let size = size.and_then(chunk_size);
                    *self = Self::Chunks(match size.ok_or(NO_SIZE)? {
                        0 => Place::Trailers,
                        size => Place::Data(size),
                    });
                }
                Self::Chunks(Place::Trailers) => {
                    if inbox.starts_with(b"\r\n") {
                        inbox.advance(2);
                        *self = Self::Nothing;
                        return Ok(Piece::End);
                    }
                    let Some(end) = memchr::memmem::find(inbox, b"\r\n\r\n") else {
                        return if inbox.len() > LARGEST_TRAILERS { Err(NO_TRAILERS) } else { Ok(Piece::Starved) };
                    };
                    let trailers = trailers(&inbox.split_to(end + 4).freeze())?;
                    *self = Self::Nothing;
                    return Ok(Piece::Trailers(trailers));
                }
            }
        }
    }

    /// The whole rest, when that was read and is all in one piece.
    pub(crate) fn take_whole(&mut self, inbox: &mut BytesMut) -> Option<Bytes> {
        match *self {
            Self::Nothing => Some(Bytes::new()),
            Self::Length(left) if inbox.len() as u64 >= left => {
                *self = Self::Nothing;
                Some(take_data(inbox, left).0)
            }
            Self::Length(_) | Self::Chunks(_) | Self::UntilClose => None,
        }
    }
}

const NO_SIZE: Malformed = Malformed("a chunk has no size");
const NO_TRAILERS: Malformed = Malformed("its trailers are malformed");

/// At most `left` octets, and how many are left then.
fn take_data(inbox: &mut BytesMut, left: u64) -> (Bytes, u64) {
    let taken = usize::try_from(left).unwrap_or(usize::MAX).min(inbox.len());
    (inbox.split_to(taken).freeze(), left - taken as u64)
}

fn trailers(octets: &Bytes) -> Result<HeaderMap, Malformed> {
    let mut lines = [httparse::EMPTY_HEADER; MOST_TRAILERS];
    let Ok(httparse::Status::Complete((length, lines))) = httparse::parse_headers(octets, &mut lines) else {
        return Err(NO_TRAILERS);
    };
    if length != octets.len() {
        return Err(NO_TRAILERS);
    }
    let mut trailers = HeaderMap::new();
    append_lines(&mut trailers, lines, shared(octets))?;
    Ok(trailers)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Data and trailers; fed in pieces of `step` octets. What is left over, or where it fails.
    fn read(mut body: Remaining, octets: &[u8], step: usize) -> Result<(Vec<u8>, HeaderMap, bool, usize), Malformed> {
        let (mut inbox, mut data, mut found) = (BytesMut::new(), Vec::new(), HeaderMap::new());
        let mut pieces = octets.chunks(step);
        loop {
            match body.take(&mut inbox)? {
                Piece::Data(piece) => data.extend_from_slice(&piece),
                Piece::Trailers(trailers) => found = trailers,
                Piece::Starved => match pieces.next() {
                    Some(piece) => inbox.extend_from_slice(piece),
                    None => return Ok((data, found, false, 0)),
                },
                Piece::End => return Ok((data, found, true, inbox.len() + pieces.map(<[u8]>::len).sum::<usize>())),
            }
        }
    }

    #[test]
    fn bodies_end_where_they_say_in_any_pieces() {
        let chunks = b"3  \r\nabc\r\n0a ;x=y\r\n0123456789\r\n0\r\nX-T: 1\r\nx-t: 2\r\n\r\nHTTP";
        for step in 1..=chunks.len() {
            let (data, trailers, whole, _) = read(Remaining::chunked(), chunks, step).unwrap();
            assert_eq!((&data[..], whole), (&b"abc0123456789"[..], true));
            assert_eq!(trailers.get_all("x-t").iter().collect::<Vec<_>>(), ["1", "2"]);
            let (data, _, whole, left) = read(Remaining::sized(4), b"abcdef", step).unwrap();
            assert_eq!((&data[..], whole, left), (&b"abcd"[..], true, 2));
        }
        assert_eq!(read(Remaining::chunked(), b"0\r\n\r\nx", 100).unwrap(), (vec![], HeaderMap::new(), true, 1));
        assert!(!read(Remaining::sized(4), b"abc", 9).unwrap().2, "it was cut off");
        assert!(!read(Remaining::chunked(), b"3\r\nabc\r\n", 9).unwrap().2);
        assert!(!read(Remaining::UntilClose, b"abc", 9).unwrap().2);
    }

    #[test]
    fn malformed_chunks_are_refused() {
        for bad in [
            "3\nabc\r\n0\r\n\r\n",
            "3\r\nabcd\r\n",
            "3\r\nabc\n0\r\n\r\n",
            "\r\n",
            " 3\r\nabc\r\n",
            "0x3\r\nabc\r\n",
            "-1\r\n",
            "10000000000000000\r\n",
            "0\r\nno colon\r\n\r\n",
            "0\r\nA : b\r\n\r\n",
            "0\r\nA: b\n\r\nB: c\r\n\r\n",
        ] {
            for step in [1, 100] {
                assert!(read(Remaining::chunked(), bad.as_bytes(), step).is_err(), "{bad:?} in pieces of {step}");
            }
        }
        let long = "1".repeat(LONGEST_SIZE_LINE + 2);
        assert!(read(Remaining::chunked(), long.as_bytes(), 100).is_err());
        assert!(read(Remaining::chunked(), format!("0\r\n{}", "a".repeat(LARGEST_TRAILERS + 1)).as_bytes(), 100).is_err());
    }

    #[test]
    fn a_whole_body_is_taken_at_once_only_when_it_is_there() {
        let mut inbox = BytesMut::from("abcde");
        assert_eq!(Remaining::sized(6).take_whole(&mut inbox), None);
        assert_eq!(Remaining::UntilClose.take_whole(&mut inbox), None);
        assert_eq!(Remaining::chunked().take_whole(&mut inbox), None);
        let mut body = Remaining::sized(4);
        assert_eq!(body.take_whole(&mut inbox), Some(Bytes::from("abcd")));
        assert_eq!((body, &inbox[..]), (Remaining::Nothing, &b"e"[..]));
        assert_eq!(body.take_whole(&mut inbox), Some(Bytes::new()));
    }

    proptest! {
        #[test]
        fn pieces_don_t_matter(text in "([0-3]\r\n|[a-c]{0,4}\r\n|0\r\n|\r\n|[a-c]: [a-c]\r\n){0,8}", step in 1..9usize) {
            let whole = read(Remaining::chunked(), text.as_bytes(), text.len().max(1));
            prop_assert_eq!(read(Remaining::chunked(), text.as_bytes(), step), whole);
        }
    }
}
