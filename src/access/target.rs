//! One request target, read once: the rule is decided on the same octets that the application gets.
//!
//! Servers disagree about paths. Some take `%2F` for a slash, some cut `;params` off segments, some fold `//` into `/`,
//! some decode twice. A target that could climb out of its directory for any of them is refused. What remains is forwarded
//! byte for byte, and [`Target::readings`] tells the rules in which other ways a server may read it.

use std::borrow::Cow;

use http::Uri;
use http::uri::PathAndQuery;
use thiserror::Error;

/// How often a path may be percent-decoded again before it is refused; nobody needs more.
const DEEPEST_DECODING: usize = 4;
/// Longest path, in octets: what most servers take of a request line.
const LONGEST: usize = 8 * 1024;
/// Longest path that can be read in several ways: each of them is matched with every rule, which costs time on the event loop.
const LONGEST_AMBIGUOUS: usize = 4 * 1024;

/// A request target in origin form (RFC 9112 section 3.2.1) that everybody reads alike, or at least in known ways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    path_and_query: PathAndQuery,
    /// No escape, no parameter, no empty segment: there is one way to read it.
    plain: bool,
}

/// Why a target is refused with 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TargetError {
    /// Not `/...`.
    #[error("the request target is not a path")]
    NotAPath,
    /// Absolute form that names another host.
    #[error("the request target names another host")]
    OtherHost,
    /// Dot segments, encoded or not, that lead somewhere else.
    #[error("the path has dot segments")]
    DotSegments,
    /// Control characters, backslashes, fragments or broken percent-encoding.
    #[error("the path has characters that servers read differently")]
    Forbidden,
    /// More than 8 KiB, or more than 4 KiB of a path that can be read in several ways.
    #[error("the path is too long")]
    TooLong,
}

impl Target {
    /// Normalises and judges the target of a request (authority checked by the caller).
    ///
    /// The only change that is made: whole segments that are a single raw dot (`/a/./b`, `/a/.`) are taken out, as every
    /// client is allowed to do (RFC 3986 section 6.2.2.3). All else stays as received.
    ///
    /// # Errors
    /// When two servers could read the path differently in a way that no rule could catch.
    pub fn parse(uri: &Uri) -> Result<Self, TargetError> {
        let received = uri.path_and_query().ok_or(TargetError::NotAPath)?;
        let path = received.path();
        if !path.starts_with('/') {
            return Err(TargetError::NotAPath);
        }
        if path.len() > LONGEST {
            return Err(TargetError::TooLong);
        }
        if received.query().is_some_and(|query| !query.bytes().all(|octet| octet.is_ascii_graphic() && octet != b'#')) {
            return Err(TargetError::Forbidden);
        }
        let seen = judge(path)?;
        if !seen.plain && path.len() > LONGEST_AMBIGUOUS {
            return Err(TargetError::TooLong);
        }
        let path_and_query = if seen.single_dots { without_single_dots(received)? } else { received.clone() };
        Ok(Self { path_and_query, plain: seen.plain })
    }

    /// The path: what rules see and what is forwarded, byte for byte.
    pub fn path(&self) -> &str {
        self.path_and_query.path()
    }

    /// Path and query as forwarded.
    pub fn path_and_query(&self) -> &str {
        self.path_and_query.as_str()
    }

    /// The URI of the request to the application.
    pub fn to_uri(&self) -> Uri {
        Uri::from(self.path_and_query.clone())
    }

    /// Every way in which a server may read the path, without duplicates; the first is [`canonical`] of the path itself.
    pub fn readings(&self) -> Vec<Cow<'_, [u8]>> {
        let path = self.path();
        if self.plain {
            return vec![Cow::Borrowed(path.as_bytes())];
        }
        let mut readings = Vec::new();
        for base in decoded_again(path.as_bytes()) {
            for decoding in [Decoding::Needless, Decoding::Reserved, Decoding::Slashes] {
                let decoded = decode(&base, decoding);
                for parameters in [decoded.clone(), without_parameters(&decoded), without_parameters(&base)] {
                    // Cut before decoding, or after it, or not at all.
                    let text = decode(&parameters, decoding);
                    for reading in [before_query(&text), without_authority(&text), one_slash(&text), text] {
                        if !readings.contains(&reading) {
                            readings.push(reading);
                        }
                    }
                }
            }
        }
        let first = decode(path.as_bytes(), Decoding::Needless);
        if let Some(at) = readings.iter().position(|known| *known == first) {
            readings.swap(0, at);
        }
        readings.into_iter().map(Cow::Owned).collect()
    }
}

/// The form in which a rule's pattern is compared: escapes of octets that can't stand in a path are decoded, all others
/// kept. `/a b` and `/a%20b` are one.
pub fn canonical(text: &str) -> Vec<u8> {
    decode(text.as_bytes(), Decoding::Needless)
}

struct Seen {
    plain: bool,
    single_dots: bool,
}

/// Refuses what can't be forwarded safely.
fn judge(path: &str) -> Result<Seen, TargetError> {
    let octets = path.as_bytes();
    if !octets.iter().all(|octet| octet.is_ascii_graphic() && !matches!(octet, b'\\' | b'#')) {
        return Err(TargetError::Forbidden);
    }
    let mut seen = Seen { plain: true, single_dots: false };
    let mut before = 0;
    let mut dot_segment_possible = false;
    for &octet in octets {
        match octet {
            b'%' | b';' => seen.plain = false,
            b'/' if before == b'/' => seen.plain = false,
            b'.' if before == b'/' => dot_segment_possible = true,
            _ => {}
        }
        before = octet;
    }
    if seen.plain && !dot_segment_possible {
        return Ok(seen);
    }
    for segment in path.split('/') {
        match segment {
            "." => seen.single_dots = true,
            _ if is_dots(segment.as_bytes()) => return Err(TargetError::DotSegments),
            _ => {}
        }
    }
    if !octets.contains(&b'%') {
        return Ok(seen);
    }
    // What a server sees that decodes once, twice, ...
    let mut text = octets.to_vec();
    for depth in 0..DEEPEST_DECODING {
        let Some(decoded) = percent_decoded(&text) else {
            // A lone percent sign is an error as received; behind `%25` it is just text.
            return if depth == 0 { Err(TargetError::Forbidden) } else { Ok(seen) };
        };
        if decoded.iter().any(|octet| octet.is_ascii_control() || *octet == b'\\') || has_overlong(&decoded) {
            return Err(TargetError::Forbidden);
        }
        // Dots that were in the text before are judged already, or are the single ones that are taken out.
        let fresh = decoded.split(|octet| *octet == b'/').filter(|segment| is_dots(segment)).count();
        let known = text.split(|octet| *octet == b'/').filter(|segment| is_dots(segment)).count();
        if fresh > known {
            return Err(TargetError::DotSegments);
        }
        if decoded == text || !decoded.contains(&b'%') {
            return Ok(seen);
        }
        text = decoded;
    }
    Err(TargetError::Forbidden)
}

/// An ASCII character, or another one, written in more octets than UTF-8 allows (RFC 3629 section 3): a lenient decoder would take
/// `%c0%ae` for a dot.
fn has_overlong(text: &[u8]) -> bool {
    text.windows(2).any(|pair| matches!(pair, [0xC0 | 0xC1, 0x80..=0xBF] | [0xE0, 0x80..=0x9F] | [0xF0, 0x80..=0x8F]))
}

/// `.` or `..`, with or without `;parameters`.
fn is_dots(segment: &[u8]) -> bool {
    let name = segment.split(|octet| *octet == b';').next().unwrap_or_default();
    name == b"." || name == b".."
}

fn without_single_dots(received: &PathAndQuery) -> Result<PathAndQuery, TargetError> {
    let path = received.path();
    let mut kept: Vec<&str> = path.split('/').collect();
    if kept.last() == Some(&".") {
        // `/a/.` is the directory `/a/`.
        kept.push("");
    }
    kept.retain(|segment| *segment != ".");
    let mut text = kept.join("/");
    if let Some(query) = received.query() {
        text.push('?');
        text.push_str(query);
    }
    PathAndQuery::try_from(text).map_err(|_| TargetError::Forbidden)
}

/// Decodes every escape; `None` when one is broken.
fn percent_decoded(text: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(&octet) = rest.next() {
        decoded.push(if octet == b'%' { hex(*rest.next()?)? << 4 | hex(*rest.next()?)? } else { octet });
    }
    Some(decoded)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// How much a reading decodes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Decoding {
    /// Only octets that can't stand in a path without an escape: nobody means two things by them.
    Needless,
    /// Also letters, digits and reserved characters, but not the slash.
    Reserved,
    /// Also the slash.
    Slashes,
}

fn decode(text: &[u8], how: Decoding) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [octet, tail @ ..] = rest {
        rest = tail;
        let escaped = match (octet, tail) {
            (b'%', [high, low, after @ ..]) => hex(*high).zip(hex(*low)).map(|(high, low)| (high << 4 | low, after)),
            _ => None,
        };
        match escaped {
            Some((value, after)) => {
                rest = after;
                let literal = match value {
                    b'%' => false,
                    b'/' => how == Decoding::Slashes,
                    _ => how != Decoding::Needless || !may_stand_raw(value),
                };
                if literal {
                    decoded.push(value);
                } else {
                    decoded.extend_from_slice(format!("%{value:02X}").as_bytes());
                }
            }
            None => decoded.push(*octet),
        }
    }
    decoded
}

/// RFC 3986: pchar, beside the escape itself.
fn may_stand_raw(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&octet)
}

/// Every segment up to its first `;`.
fn without_parameters(text: &[u8]) -> Vec<u8> {
    let segments = text.split(|octet| *octet == b'/');
    let cut: Vec<&[u8]> = segments.map(|s| s.split(|octet| *octet == b';').next().unwrap_or_default()).collect();
    cut.join(&b'/')
}

/// The path, and what servers see that decode it more than once.
fn decoded_again(path: &[u8]) -> Vec<Vec<u8>> {
    let mut bases = vec![path.to_vec()];
    while let Some(last) = bases.last().filter(|_| bases.len() <= DEEPEST_DECODING) {
        let next = unescaped_percent(last);
        if next == *last {
            break;
        }
        bases.push(next);
    }
    bases
}

/// `%25` as `%`, where an escape begins with it.
fn unescaped_percent(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [octet, tail @ ..] = rest {
        rest = tail;
        decoded.push(*octet);
        if let (b'%', [b'2', b'5', after @ ..]) = (octet, tail)
            && let [high, low, ..] = after
            && hex(*high).zip(hex(*low)).is_some()
        {
            rest = after;
        }
    }
    decoded
}

/// Up to a `?` or `#` that was escaped: rewriting servers take it for the query's beginning.
fn before_query(text: &[u8]) -> Vec<u8> {
    text.split(|octet| matches!(octet, b'?' | b'#')).next().unwrap_or_default().to_vec()
}

/// `//host/path` is a whole URL to many libraries (RFC 3986 section 4.2): what they take for the path.
fn without_authority(text: &[u8]) -> Vec<u8> {
    let slashes = text.iter().take_while(|octet| **octet == b'/').count();
    let rest = text.get(slashes..).unwrap_or_default();
    match (slashes, rest.iter().position(|octet| *octet == b'/')) {
        (0 | 1, _) => text.to_vec(),
        (_, Some(at)) => rest.get(at..).unwrap_or_default().to_vec(),
        (_, None) => b"/".to_vec(),
    }
}

/// Runs of slashes as one.
fn one_slash(text: &[u8]) -> Vec<u8> {
    let mut folded = text.to_vec();
    folded.dedup_by(|next, before| *next == b'/' && *before == b'/');
    folded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(target: &str) -> Result<Target, TargetError> {
        Target::parse(&target.parse().map_err(|_| TargetError::Forbidden)?)
    }

    fn readings(target: &str) -> Vec<String> {
        let target = parse(target).unwrap();
        target.readings().iter().map(|reading| String::from_utf8(reading.to_vec()).unwrap()).collect()
    }

    #[test]
    fn ordinary_targets_stay_as_they_are() {
        for good in
            ["/", "/a/b?x=/../y%zz", "/a%20b", "/%C3%BC", "//a", "/a;x=1/b", "/a%2Fb", "/.well-known/x", "/a..b", "/100%25"]
        {
            assert_eq!(parse(good).unwrap().path_and_query(), good);
        }
        let absolute = parse("http://app.example.com/a?b").unwrap();
        assert_eq!((absolute.path(), absolute.path_and_query()), ("/a", "/a?b"));
    }

    #[test]
    fn single_dots_are_taken_out() {
        for (given, kept) in [("/a/./b", "/a/b"), ("/admin/.", "/admin/"), ("/.", "/"), ("/./a?q=/./", "/a?q=/./")] {
            assert_eq!(parse(given).unwrap().path_and_query(), kept);
        }
    }

    #[test]
    fn whatever_climbs_is_refused() {
        let climbing = [
            "/a/../b",
            "/..",
            "/a/..%2fb",
            "/a/%2e%2e/b",
            "/a/.%2E",
            "/a/..;/b",
            "/a/..;x=1",
            "/a%2f..%2fb",
            "/%252e%252e/a",
            "/a/%2e/b",
            "/.;x/b",
            "/a/.%3bx/b",
            "/%25252e%25252e/",
            "/a/%2e%252e/b",
        ];
        for bad in climbing {
            assert_eq!(parse(bad), Err(TargetError::DotSegments), "{bad}");
        }
    }

    #[test]
    fn what_servers_read_differently_is_refused() {
        for bad in [
            "/a\\b",
            "/a%5cb",
            "/a%00",
            "/a%0d%0ab",
            "/a%7f",
            "/%",
            "/a%2",
            "/a%zz",
            "/\u{fc}",
            "/a%255cb",
            "/%2525252525252541",
            "/p/%c0%ae%c0%ae/a",
            "/%e0%80%af",
        ] {
            assert_eq!(parse(bad), Err(TargetError::Forbidden), "{bad}");
        }
        assert_eq!(Target::parse(&Uri::from_static("*")), Err(TargetError::NotAPath));
        assert_eq!(Target::parse(&Uri::from_static("app.example.com:443")), Err(TargetError::NotAPath));
    }

    #[test]
    fn other_readings_are_known() {
        assert_eq!(readings("/a/b"), ["/a/b"]);
        assert_eq!(readings("/a%20b"), ["/a b"]);
        assert_eq!(readings("/%61/b"), ["/%61/b", "/a/b"]);
        for (target, other) in [
            ("/a%2Fb", "/a/b"),
            ("//a", "/a"),
            ("/a;x/b", "/a/b"),
            ("/a%3bx/b", "/a/b"),
            ("/public;/%2Fx", "/public/x"),
            ("/a%2f;x%2fb", "/a/"),
            ("/%7Eu", "/~u"),
        ] {
            assert!(readings(target).contains(&other.to_owned()), "{target}: {:?}", readings(target));
        }
        assert_eq!(readings("/100%25%32%46"), ["/100%25%32%46", "/100%252F"]);
    }

    proptest! {
        #[test]
        fn no_reading_of_what_passes_has_dot_segments(path in "/[a./;%25fFeEcC\\\\0]{0,14}") {
            if let Ok(target) = parse(&path) {
                for reading in target.readings() {
                    let text = String::from_utf8_lossy(&reading).into_owned();
                    prop_assert!(!text.split(['/', '\\']).any(|segment| is_dots(segment.as_bytes())), "{} -> {}", path, text);
                }
            }
        }

        #[test]
        fn parsing_again_changes_nothing(path in "/[ -~]{0,20}") {
            if let Ok(target) = parse(&path) {
                let again = parse(target.path_and_query()).unwrap();
                prop_assert_eq!(again.path_and_query(), target.path_and_query());
            }
        }
    }
}
