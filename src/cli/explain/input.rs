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

/// The input's name in messages.
pub(super) fn name(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() }
}

/// Why there is no XML in the input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum InputError {
    /// The field is no message.
    Message(SamlError),
    /// A form field that may be there once: the assertion consumer service answers such a form with 400.
    Twice(&'static str),
    /// There is a form without a response in it.
    NoResponse,
}

impl InputError {
    /// The stable reason code.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Message(error) => error.code(),
            Self::Twice(_) => "bad_request",
            Self::NoResponse => SamlError::NotBase64.code(),
        }
    }

    /// What is wrong.
    pub(super) fn explained(&self) -> String {
        match self {
            Self::Message(error) => error.explained(),
            Self::Twice(name) => format!("the form field {name} is there twice"),
            Self::NoResponse => "the form field SAMLResponse is empty".to_owned(),
        }
    }
}

/// The XML, by what the input looks like. Editors and shells may have written it as UTF-16, or with a byte order mark.
pub(super) fn decode(octets: &[u8]) -> Result<Vec<u8>, InputError> {
    let text = from_utf16(octets).map(String::into_bytes);
    let octets = text.as_deref().unwrap_or(octets);
    let octets = octets.strip_prefix("\u{feff}".as_bytes()).unwrap_or(octets).trim_ascii();
    if octets.starts_with(b"<") {
        return Ok(octets.to_vec());
    }
    let text = std::str::from_utf8(octets).map_err(|_| InputError::Message(SamlError::NotBase64))?;
    let field = match (field(text, "SAMLResponse")?, field(text, "SAMLRequest")?, field(text, "RelayState")?) {
        (Some(response), _, _) => Some(response),
        (None, request, _) => request,
    };
    // A `+` that was not escaped when the body was copied: base64 has no spaces.
    let encoded = field.map_or_else(|| text.to_owned(), |field| field.replace(' ', "+"));
    if encoded.trim().is_empty() {
        return Err(InputError::NoResponse);
    }
    decode_response(&encoded).map_err(InputError::Message)
}

/// Text in UTF-16 of either order, by its byte order mark.
fn from_utf16(octets: &[u8]) -> Option<String> {
    let (is_little, rest) = match octets {
        [0xff, 0xfe, rest @ ..] => (true, rest),
        [0xfe, 0xff, rest @ ..] => (false, rest),
        _ => return None,
    };
    let (units, odd) = rest.as_chunks::<2>();
    let text = char::decode_utf16(
        units.iter().map(|unit| if is_little { u16::from_le_bytes(*unit) } else { u16::from_be_bytes(*unit) }),
    );
    text.collect::<Result<String, _>>().ok().filter(|_| odd.is_empty())
}

/// The value of a form field that may be there once.
fn field(body: &str, name: &'static str) -> Result<Option<String>, InputError> {
    let decoded = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8().map(|text| text.into_owned()).ok();
    let pairs = body.split('&').filter_map(|pair| pair.split_once('='));
    let mut values = pairs.filter(|(own, _)| decoded(own).as_deref() == Some(name)).map(|(_, value)| value);
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(InputError::Twice(name)),
        (Some(value), None) => decoded(value).map(Some).ok_or(InputError::Message(SamlError::NotBase64)),
        (None, None) => Ok(None),
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
        assert_eq!(decode(b"!").unwrap_err(), InputError::Message(SamlError::NotBase64));
        assert_eq!(decode(&[0xff]).unwrap_err(), InputError::Message(SamlError::NotBase64));
        assert_eq!(decode(b"SAMLResponse=&RelayState=x").unwrap_err(), InputError::NoResponse);
    }

    #[test]
    fn editors_and_shells_leave_their_marks() {
        for text in ["<a/>", "PGEvPg==", "SAMLResponse=PGEvPg%3D%3D", "\r\nPGEvPg==\r\n"] {
            let marked = format!("\u{feff}{text}");
            assert_eq!(decode(marked.as_bytes()).unwrap(), b"<a/>", "{text}");
            let little: Vec<u8> = marked.encode_utf16().flat_map(u16::to_le_bytes).collect();
            let big: Vec<u8> = marked.encode_utf16().flat_map(u16::to_be_bytes).collect();
            assert_eq!((decode(&little).unwrap(), decode(&big).unwrap()), (b"<a/>".to_vec(), b"<a/>".to_vec()), "{text}");
        }
    }

    #[test]
    fn a_field_twice_is_refused_as_by_the_service() {
        for body in [
            "SAMLResponse=PGEvPg==&SAMLResponse=PGEvPg==",
            "SAMLResponse=PGEvPg==&SAML%52esponse=",
            "SAMLResponse=PGEvPg==&RelayState=a&RelayState=a",
        ] {
            assert_eq!(decode(body.as_bytes()).unwrap_err().code(), "bad_request", "{body}");
        }
    }

    #[test]
    fn a_plus_sign_survives_either_way_of_copying() {
        assert_eq!(decode(b"SAMLResponse=Pj4%2B").unwrap(), decode(b"SAMLResponse=Pj4+").unwrap());
    }
}
