//! The head of a request to the application, as octets (RFC 9112 section 3).

use http::{HeaderName, HeaderValue, Method};

use crate::clock::Timestamp;
use crate::identity::headers::write_line;
use crate::identity::signature::{RequestSigner, SignedRequest, SigningFailed};

/// Room for a usual head, so that nothing is copied while it grows.
const USUAL: usize = 3072;

/// A head that is being written. Names are in title case, as applications expect them that compare letter by letter.
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

    /// One line.
    pub(crate) fn line(&mut self, name: &HeaderName, value: &HeaderValue) {
        write_line(&mut self.0, name, value);
    }

    /// Lines that [`write_line`] wrote.
    pub(crate) fn lines(&mut self, lines: &[u8]) {
        self.0.extend_from_slice(lines);
    }

    /// How many octets are written.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Has the request signed, with the lines that were written after the first `from` octets, and writes the signature.
    ///
    /// # Errors
    /// When signing fails.
    pub(crate) fn sign(
        &mut self,
        signer: &RequestSigner,
        request: SignedRequest<'_>,
        from: usize,
        now: Timestamp,
    ) -> Result<(), SigningFailed> {
        let lines = self.0.get(from..).unwrap_or_default();
        signer.sign(request, lines, now)?.write(&mut self.0);
        Ok(())
    }

    /// The empty line.
    pub(crate) fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(b"\r\n");
        self.0
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
}
