//! The lines of a head that say where its body will end (RFC 9112 section 6.3), of requests and answers alike. Two lengths, or a coding
//! that isn't known, are refused: whichever we believed, somebody could believe the other.

use super::remaining::Remaining;

/// The octets aren't HTTP, or it isn't certain what they mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

/// What those lines say.
#[derive(Debug, Default)]
pub(crate) struct BodyLines {
    /// Of the one line that names a length.
    pub(crate) length: Option<u64>,
    /// How many lines name a transfer coding.
    pub(crate) codings: usize,
    /// The last of them names only `chunked`.
    chunked: bool,
}

impl BodyLines {
    /// Reads a line, if it is one of them.
    ///
    /// # Errors
    /// When a length is given twice or is none.
    pub(crate) fn read(&mut self, line: &httparse::Header<'_>) -> Result<(), Malformed> {
        match line.name.len() {
            14 if line.name.eq_ignore_ascii_case("content-length") => {
                let length = digits(line.value)?;
                if self.length.replace(length).is_some() {
                    return Err(Malformed("its length is given twice"));
                }
            }
            17 if line.name.eq_ignore_ascii_case("transfer-encoding") => {
                self.codings += 1;
                self.chunked = line.value.eq_ignore_ascii_case(b"chunked");
            }
            _ => {}
        }
        Ok(())
    }

    /// The body; `None` when nothing was said about it. `minor` is that of the version: HTTP/1.0 has no codings.
    ///
    /// # Errors
    /// When it could be read in two ways.
    pub(crate) fn body(&self, minor: u8) -> Result<Option<Remaining>, Malformed> {
        match (self.length, self.codings) {
            (length, 0) => Ok(length.map(Remaining::sized)),
            (_, codings) if codings > 1 || !self.chunked || minor != 1 => {
                Err(Malformed("its transfer coding is another than chunked"))
            }
            (Some(_), _) => Err(Malformed("it has both a length and a transfer coding")),
            (None, _) => Ok(Some(Remaining::chunked())),
        }
    }
}

/// The value of a Content-Length line (RFC 9110 section 8.6).
///
/// # Errors
/// When it is anything but digits, or too large.
pub(crate) fn digits(value: &[u8]) -> Result<u64, Malformed> {
    let text = std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|octet| octet.is_ascii_digit()));
    text.and_then(|text| text.parse().ok()).ok_or(Malformed("its length is no number"))
}
