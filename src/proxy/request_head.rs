//! The head of a request to the application: as octets (RFC 9112 section 3), or as the fields of HTTP/2.

use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::identity::headers::write_line;

/// Room for a usual head, so that nothing is copied while it grows.
const USUAL: usize = 4096;

/// A head that is being written.
pub(crate) trait Head {
    /// One line.
    fn line(&mut self, name: &HeaderName, value: &HeaderValue);
    /// Lines that [`write_line`] wrote.
    fn lines(&mut self, lines: &[u8]);
}

/// HTTP/2: hyper writes them.
impl Head for HeaderMap {
    fn line(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.append(name, value.clone());
    }

    fn lines(&mut self, lines: &[u8]) {
        for line in lines.split(|octet| *octet == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let Some(colon) = memchr::memchr(b':', line) else { continue };
            let (name, value) = line.split_at(colon);
            let value = value.strip_prefix(b": ").unwrap_or(value);
            if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
                self.append(name, value);
            }
        }
    }
}

/// HTTP/1.1. Names are in title case, as applications expect them that compare letter by letter.
#[derive(Debug)]
pub(crate) struct RequestHead(Vec<u8>);

impl RequestHead {
    /// The request line.
    pub(crate) fn new(method: &Method, target: &str) -> Self {
        let mut octets = Vec::with_capacity(USUAL);
        for part in [method.as_str().as_bytes(), b" ", target.as_bytes(), b" HTTP/1.1\r\n"] {
            octets.extend_from_slice(part);
        }
        Self(octets)
    }

    /// The empty line.
    pub(crate) fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(b"\r\n");
        self.0
    }
}

impl Head for RequestHead {
    fn line(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.0.line(name, value);
    }

    fn lines(&mut self, lines: &[u8]) {
        self.0.lines(lines);
    }
}

/// Lines alone.
impl Head for Vec<u8> {
    fn line(&mut self, name: &HeaderName, value: &HeaderValue) {
        write_line(self, name, value);
    }

    fn lines(&mut self, lines: &[u8]) {
        self.extend_from_slice(lines);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_written_as_the_standard_says() {
        let mut head = RequestHead::new(&Method::GET, "/a?b");
        head.line(&HeaderName::from_static("x-forwarded-for"), &HeaderValue::from_static("::1"));
        let mut rendered = Vec::new();
        write_line(&mut rendered, &HeaderName::from_static("a1-2b_c"), &HeaderValue::from_bytes(b"\xff").unwrap());
        head.lines(&rendered);
        assert_eq!(head.end(), b"GET /a?b HTTP/1.1\r\nX-Forwarded-For: ::1\r\nA1-2b_c: \xff\r\n\r\n");
    }

    #[test]
    fn rendered_lines_become_the_same_fields() {
        let mut rendered = Vec::new();
        let lines = [("x-user", &b"a: b"[..]), ("x-groups", b""), ("x-name", b"%C3%A9 \xff"), ("x-groups", b"two")];
        for (name, value) in lines {
            write_line(&mut rendered, &HeaderName::from_static(name), &HeaderValue::from_bytes(value).unwrap());
        }
        let mut fields = HeaderMap::new();
        fields.lines(&rendered);
        let all: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        assert_eq!(all, [lines[0], lines[1], lines[3], lines[2]]);
    }
}
