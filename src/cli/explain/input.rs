//! The forms in which an operator has a response: XML, base64, or the body that the browser posted.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use percent_encoding::percent_decode_str;

use crate::saml::SamlError;
use crate::saml::bindings::decode_response;

/// Most that is read: more than any response that is accepted, so that "too large" is said by the rule for it.
const MOST: u64 = 4 * 1024 * 1024;

/// Reads a file, or standard input for `-`.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    if path == Path::new("-") {
        io::stdin().lock().take(MOST).read_to_end(&mut octets)?;
    } else {
        File::open(path)?.take(MOST).read_to_end(&mut octets)?;
    }
    Ok(octets)
}

/// The XML, by what the input looks like.
pub(super) fn decode(octets: &[u8]) -> Result<Vec<u8>, SamlError> {
    let without_mark = octets.strip_prefix("\u{feff}".as_bytes()).unwrap_or(octets);
    if without_mark.trim_ascii_start().starts_with(b"<") {
        return Ok(octets.trim_ascii_start().to_vec());
    }
    let text = std::str::from_utf8(octets).map_err(|_| SamlError::NotBase64)?.trim();
    match text.split('&').find_map(|pair| pair.strip_prefix("SAMLResponse=")) {
        Some(field) => {
            let field = field.replace('+', " ");
            let field = percent_decode_str(&field).decode_utf8().map_err(|_| SamlError::NotBase64)?;
            // A `+` that was not escaped when the body was copied: base64 has no spaces.
            decode_response(&field.replace(' ', "+"))
        }
        None => decode_response(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_xml_base64_and_form_bodies() {
        for input in [
            "<a/>",
            "\n <a/>",
            "PGEvPg==",
            "PGEv\nPg==\n",
            "SAMLResponse=PGEvPg%3D%3D&RelayState=x",
            "RelayState=x&SAMLResponse=PGEvPg==",
        ] {
            assert_eq!(decode(input.as_bytes()).unwrap(), b"<a/>", "{input}");
        }
        assert_eq!(decode(b"!").unwrap_err(), SamlError::NotBase64);
        assert_eq!(decode(&[0xff]).unwrap_err(), SamlError::NotBase64);
    }

    #[test]
    fn a_plus_sign_survives_either_way_of_copying() {
        assert_eq!(decode(b"SAMLResponse=Pj4%2B").unwrap(), decode(b"SAMLResponse=Pj4+").unwrap());
    }
}
