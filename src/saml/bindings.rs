//! The HTTP-POST binding, receiving side (Bindings 3.5).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::error::SamlError;
use super::guard::MAX_OCTETS;

/// Most octets of the form field as it is sent: twice a message, which leaves room for base64 and line breaks.
pub const MAX_ENCODED: usize = 512 * 1024;

/// Decodes the form field `SAMLResponse` or `SAMLRequest` (Bindings 3.5.4). White space is skipped, since some IdPs break lines; anything else
/// that is no base64, missing padding included, refuses.
///
/// # Errors
/// `TooLarge` above 512 KiB encoded or 256 KiB decoded, `NotBase64`.
pub fn decode_response(field: &str) -> Result<Vec<u8>, SamlError> {
    if field.len() > MAX_ENCODED {
        return Err(SamlError::TooLarge("more than 512 KiB of base64"));
    }
    let dense: Vec<u8> = field.bytes().filter(|octet| !octet.is_ascii_whitespace()).collect();
    let octets = STANDARD.decode(dense).map_err(|_| SamlError::NotBase64)?;
    match octets.len() {
        0 => Err(SamlError::NotBase64),
        length if length > MAX_OCTETS => Err(SamlError::TooLarge("more than 256 KiB")),
        _ => Ok(octets),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_with_line_breaks_and_nothing_sloppier() {
        assert_eq!(decode_response("PGE+\r\n PC9h\tPg==").unwrap(), b"<a></a>");
        for bad in ["", "  ", "PGE", "PGE-", "PGE+PA", "<a/>", "PGE+=", "PGE\u{2003}+"] {
            assert_eq!(decode_response(bad), Err(SamlError::NotBase64), "{bad:?}");
        }
    }

    #[test]
    fn the_sizes_end_where_they_say() {
        let most = STANDARD.encode(vec![b'a'; MAX_OCTETS]);
        assert_eq!(decode_response(&most).unwrap().len(), MAX_OCTETS);
        let more = STANDARD.encode(vec![b'a'; MAX_OCTETS + 1]);
        assert_eq!(decode_response(&more).unwrap_err().code(), "too_large");
        assert_eq!(decode_response(&" ".repeat(MAX_ENCODED + 1)).unwrap_err().code(), "too_large");
    }
}
