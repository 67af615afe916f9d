//! The forms in which an operator has a message: XML, base64, the body that the browser posted, or the address that it went to.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use percent_encoding::percent_decode_str;

use crate::saml::SamlError;
use crate::saml::bindings::decode_response;
use crate::saml::logout::{MessageKind, is_deflated_query};

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

/// A message, by what the input looks like.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// XML, and the form field that it came in, if it came in one.
    Xml(Vec<u8>, Option<MessageKind>),
    /// The query of an address, with a message by the Redirect binding.
    Query(String),
}

/// Why there is no message in the input.
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

/// The message. Editors and shells may have written it as UTF-16, or with a byte order mark.
pub(super) fn decode(octets: &[u8]) -> Result<Input, InputError> {
    let text = from_utf16(octets).map(String::into_bytes);
    let octets = text.as_deref().unwrap_or(octets);
    let octets = octets.strip_prefix("\u{feff}".as_bytes()).unwrap_or(octets).trim_ascii();
    if octets.starts_with(b"<") {
        return Ok(Input::Xml(octets.to_vec(), None));
    }
    let text = std::str::from_utf8(octets).map_err(|_| InputError::Message(SamlError::NotBase64))?;
    if let Some(query) = query_of_address(text).or_else(|| is_signed_query(text).then_some(text)) {
        return Ok(Input::Query(query.to_owned()));
    }
    let (response, request) = (field(text, "SAMLResponse")?, field(text, "SAMLRequest")?);
    field(text, "RelayState")?;
    let (encoded, kind) = match (response, request) {
        // A `+` that was not escaped when the body was copied: base64 has no spaces.
        (Some(field), _) => (field.replace(' ', "+"), Some(MessageKind::Response)),
        (None, Some(field)) => (field.replace(' ', "+"), Some(MessageKind::Request)),
        (None, None) => (text.to_owned(), None),
    };
    if encoded.trim().is_empty() {
        return Err(InputError::NoResponse);
    }
    let decoded = decode_response(&encoded).map_err(InputError::Message)?;
    // What is compressed came by the Redirect binding.
    if kind.is_some() && is_deflated_query(text) {
        return Ok(Input::Query(text.to_owned()));
    }
    Ok(Input::Xml(decoded, kind))
}

/// The query of a whole address, or of the path and query that logs have.
fn query_of_address(text: &str) -> Option<&str> {
    let is_address = ["https://", "http://", "/"].iter().any(|start| text.starts_with(start));
    let (_, query) = text.split_once('?').filter(|_| is_address)?;
    query.split(|character: char| character == '#' || character.is_whitespace()).next()
}

/// A query without the address. Forms have neither parameter.
fn is_signed_query(text: &str) -> bool {
    text.split('&').filter_map(|pair| pair.split_once('=')).any(|(name, _)| name == "SigAlg" || name == "Signature")
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

    fn xml(input: &[u8]) -> Vec<u8> {
        match decode(input).unwrap() {
            Input::Xml(octets, _) => octets,
            Input::Query(query) => panic!("{query}"),
        }
    }

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
            assert_eq!(xml(input.as_bytes()), b"<a/>", "{input}");
        }
        assert_eq!(decode(b"!").unwrap_err(), InputError::Message(SamlError::NotBase64));
        assert_eq!(decode(&[0xff]).unwrap_err(), InputError::Message(SamlError::NotBase64));
        assert_eq!(decode(b"SAMLResponse=&RelayState=x").unwrap_err(), InputError::NoResponse);
    }

    #[test]
    fn editors_and_shells_leave_their_marks() {
        for text in ["<a/>", "PGEvPg==", "SAMLResponse=PGEvPg%3D%3D", "\r\nPGEvPg==\r\n"] {
            let marked = format!("\u{feff}{text}");
            assert_eq!(xml(marked.as_bytes()), b"<a/>", "{text}");
            let little: Vec<u8> = marked.encode_utf16().flat_map(u16::to_le_bytes).collect();
            let big: Vec<u8> = marked.encode_utf16().flat_map(u16::to_be_bytes).collect();
            assert_eq!((xml(&little), xml(&big)), (b"<a/>".to_vec(), b"<a/>".to_vec()), "{text}");
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
        assert_eq!(xml(b"SAMLResponse=Pj4%2B"), xml(b"SAMLResponse=Pj4+"));
    }

    #[test]
    fn knows_the_redirect_binding_by_the_address_or_the_signature() {
        let query = "SAMLRequest=abc%3D&RelayState=x&SigAlg=y&Signature=z";
        for input in [
            query.to_owned(),
            format!("https://app.example/_samlgate/slo?{query}#top"),
            format!("/_samlgate/slo?{query} HTTP/1.1"),
        ] {
            assert_eq!(decode(input.as_bytes()).unwrap(), Input::Query(query.to_owned()), "{input}");
        }
        // Without a signature it is known by the compression; this is `<a/>` in a stored block.
        let unsigned = "SAMLRequest=AQQA%2B%2F88YS8%2B";
        assert_eq!(decode(unsigned.as_bytes()).unwrap(), Input::Query(unsigned.to_owned()));
        let posted = Input::Xml(b"<a/>".to_vec(), Some(MessageKind::Request));
        assert_eq!(decode(b"SAMLRequest=PGEvPg%3D%3D&RelayState=x").unwrap(), posted);
    }
}
