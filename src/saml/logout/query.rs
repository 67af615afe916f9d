//! The HTTP-Redirect binding, receiving side (Bindings 3.4.4.1): one message in a query, as it stands on the wire.
//!
//! The signature is over the octets of the query and not over what they mean, so the query is split here and nowhere else, and
//! never decoded and encoded again.

use flate2::{Decompress, FlushDecompress, Status};
use percent_encoding::percent_decode_str;

use super::error::LogoutError;
use super::message::MessageKind;
use crate::saml::bindings::decode_response;
use crate::saml::error::SamlError;

/// Most octets of a message after inflating.
const MAX_INFLATED: usize = 64 * 1024;
/// Most octets of a RelayState, decoded. The bindings allow 80 (3.4.3), but some IdPs put a URL there.
const MAX_RELAY_STATE: usize = 2048;
const DEFLATE: &str = "urn:oasis:names:tc:SAML:2.0:bindings:URL-Encoding:DEFLATE";

/// The parameters that mean something to us.
const NAMES: [&str; 6] = ["SAMLRequest", "SAMLResponse", "RelayState", "SigAlg", "Signature", "SAMLEncoding"];

/// A query with one message; every value as it stands there.
pub(super) struct Query<'q> {
    /// Which message.
    pub(super) kind: MessageKind,
    message: &'q str,
    relay_state: Option<&'q str>,
    sig_alg: Option<&'q str>,
    signature: Option<&'q str>,
}

/// What signs the message.
pub(super) struct QuerySignature {
    /// SigAlg.
    pub(super) method: String,
    /// What is signed.
    pub(super) octets: String,
    /// Signature.
    pub(super) value: Vec<u8>,
}

impl<'q> Query<'q> {
    /// Splits a query, given without the `?`. Each parameter of ours may stand there once, under its exact name; others are
    /// ignored, since they are not signed.
    ///
    /// # Errors
    /// `Query`.
    pub(super) fn split(raw: &'q str) -> Result<Self, LogoutError> {
        let mut found: [Option<&'q str>; NAMES.len()] = [None; NAMES.len()];
        for parameter in raw.split('&') {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let Some(place) = NAMES.iter().position(|known| *known == name) else {
                // A reader that decodes names would take it for one of ours.
                if NAMES.iter().any(|known| percent_decode_str(name).eq(known.bytes())) {
                    return Err(LogoutError::Query("a parameter's name is escaped"));
                }
                continue;
            };
            if let Some(slot) = found.get_mut(place)
                && slot.replace(value).is_some()
            {
                return Err(LogoutError::Query("a parameter occurs twice"));
            }
        }
        let [request, response, relay_state, sig_alg, signature, encoding] = found;
        let (kind, message) = match (request, response) {
            (Some(message), None) => (MessageKind::Request, message),
            (None, Some(message)) => (MessageKind::Response, message),
            (None, None) => return Err(LogoutError::Query("neither SAMLRequest nor SAMLResponse is there")),
            (Some(_), Some(_)) => return Err(LogoutError::Query("both SAMLRequest and SAMLResponse are there")),
        };
        if encoding.is_some_and(|encoding| !percent_decode_str(encoding).eq(DEFLATE.bytes())) {
            return Err(LogoutError::Query("SAMLEncoding is not DEFLATE"));
        }
        Ok(Self { kind, message, relay_state, sig_alg, signature })
    }

    /// RelayState, decoded as forms are: `+` is a space.
    ///
    /// # Errors
    /// `Query` when it is too long or no UTF-8.
    pub(super) fn relay_state(&self) -> Result<Option<String>, LogoutError> {
        let Some(raw) = self.relay_state else { return Ok(None) };
        let spaced = raw.replace('+', " ");
        let decoded = percent_decode_str(&spaced).decode_utf8().map_err(|_| LogoutError::Query("RelayState is not UTF-8"))?;
        if decoded.len() > MAX_RELAY_STATE {
            return Err(LogoutError::Query("RelayState is longer than 2048 octets"));
        }
        Ok(Some(decoded.into_owned()))
    }

    /// The signature, and the octets that it is over: the values in this order, whatever order they came in.
    ///
    /// # Errors
    /// `Unsigned`, `not_base64`.
    pub(super) fn signature(&self) -> Result<QuerySignature, LogoutError> {
        let (Some(sig_alg), Some(signature)) = (self.sig_alg, self.signature) else {
            return Err(LogoutError::Unsigned(self.kind));
        };
        let name = match self.kind {
            MessageKind::Request => "SAMLRequest",
            MessageKind::Response => "SAMLResponse",
        };
        let relay_state = self.relay_state.map(|value| format!("&RelayState={value}")).unwrap_or_default();
        Ok(QuerySignature {
            method: percent_decode_str(sig_alg).decode_utf8_lossy().into_owned(),
            octets: format!("{name}={}{relay_state}&SigAlg={sig_alg}", self.message),
            value: base64(signature)?,
        })
    }

    /// The XML. Only to be called when the signature is good: inflating is work that a stranger may not ask for.
    ///
    /// # Errors
    /// `not_base64`, `NotDeflated`, `too_large`.
    pub(super) fn inflated(&self) -> Result<Vec<u8>, LogoutError> {
        inflate(&base64(self.message)?)
    }
}

/// Base64 under percent-encoding. A bare `+`, which a form would make a space, is what it looks like.
fn base64(raw: &str) -> Result<Vec<u8>, LogoutError> {
    let text = percent_decode_str(raw).decode_utf8().map_err(|_| SamlError::NotBase64)?;
    Ok(decode_response(&text)?)
}

/// Raw DEFLATE that ends where the octets end.
fn inflate(deflated: &[u8]) -> Result<Vec<u8>, LogoutError> {
    let mut decoder = Decompress::new(false);
    let mut octets = Vec::with_capacity(MAX_INFLATED + 1);
    let status = decoder.decompress_vec(deflated, &mut octets, FlushDecompress::Finish);
    let status = status.map_err(|_| LogoutError::NotDeflated("it is no DEFLATE stream"))?;
    if octets.len() > MAX_INFLATED {
        return Err(SamlError::TooLarge("more than 64 KiB when inflated").into());
    }
    if status != Status::StreamEnd {
        return Err(LogoutError::NotDeflated("the stream is cut off"));
    }
    if decoder.total_in() != deflated.len() as u64 {
        return Err(LogoutError::NotDeflated("something follows the stream"));
    }
    Ok(octets)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn why(raw: &str) -> String {
        match Query::split(raw) {
            Ok(_) => "split".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn exactly_one_message_and_nothing_twice() {
        assert_eq!(why("SAMLRequest=a&other&x=y&x=z"), "split");
        assert_eq!(why("&SAMLResponse=a&"), "split");
        for (raw, part) in [
            ("", "neither"),
            ("samlrequest=a", "neither"),
            ("SAMLRequest=a&SAMLResponse=b", "both"),
            ("SAMLRequest=a&SAMLRequest=a", "twice"),
            ("SAMLRequest=a&SAMLRequest", "twice"),
            ("SAMLRequest=a&RelayState=&RelayState=", "twice"),
            ("SAMLRequest=a&SigAlg=b&SigAlg=b", "twice"),
            ("SAMLRequest=a&Signature=b&Signature=b", "twice"),
            ("SAMLRequest=a&SAML%52equest=b", "escaped"),
            ("SAMLRequest=a&%53igAlg=b", "escaped"),
            ("SAMLRequest=a&SAMLEncoding=urn:x", "SAMLEncoding"),
            ("SAMLRequest=a&SAMLEncoding", "SAMLEncoding"),
        ] {
            assert!(why(raw).contains(part), "{raw}: {}", why(raw));
        }
        assert_eq!(
            why("SAMLRequest=a&SAMLEncoding=urn%3Aoasis%3Anames%3Atc%3ASAML%3A2.0%3Abindings%3AURL-Encoding%3ADEFLATE"),
            "split"
        );
    }

    #[test]
    fn what_is_signed_is_what_stands_there_in_its_own_order() {
        let query = Query::split("Signature=YQ%3D%3D&SigAlg=x%2fy&x=1&RelayState=a+%20&SAMLResponse=a=b%3d").unwrap();
        let signature = query.signature().unwrap();
        assert_eq!(signature.octets, "SAMLResponse=a=b%3d&RelayState=a+%20&SigAlg=x%2fy");
        assert_eq!((signature.method.as_str(), signature.value.as_slice()), ("x/y", &b"a"[..]));
        assert_eq!(query.relay_state().unwrap().unwrap(), "a  ");
        let empty = Query::split("SAMLRequest=a&RelayState=&SigAlg=b&Signature=YQ==").unwrap();
        assert_eq!(empty.signature().unwrap().octets, "SAMLRequest=a&RelayState=&SigAlg=b");
        let none = Query::split("SAMLRequest=a&SigAlg=b&Signature=YQ==").unwrap();
        assert_eq!(none.signature().unwrap().octets, "SAMLRequest=a&SigAlg=b");
        for unsigned in ["SAMLRequest=a", "SAMLRequest=a&SigAlg=b", "SAMLRequest=a&Signature=YQ=="] {
            let error = Query::split(unsigned).unwrap().signature().err().unwrap();
            assert_eq!(error, LogoutError::Unsigned(MessageKind::Request));
        }
    }

    #[test]
    fn relay_state_is_text_of_some_length() {
        let relay_state = |value: &str| Query::split(&format!("SAMLRequest=a&RelayState={value}")).unwrap().relay_state();
        assert_eq!(relay_state("%E2%82%AC").unwrap().unwrap(), "€");
        assert_eq!(relay_state("%FF").unwrap_err().code(), "malformed_query");
        assert!(relay_state(&"x".repeat(2048)).is_ok());
        assert_eq!(relay_state(&"x".repeat(2049)).unwrap_err().code(), "malformed_query");
    }

    fn deflated(octets: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(octets).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn inflating_ends_at_64_kib_and_at_the_end() {
        assert_eq!(inflate(&deflated(b"<a/>")).unwrap(), b"<a/>");
        assert_eq!(inflate(&deflated(&vec![b'a'; MAX_INFLATED])).unwrap().len(), MAX_INFLATED);
        assert_eq!(inflate(&deflated(&vec![b'a'; MAX_INFLATED + 1])).unwrap_err().code(), "too_large");
        assert_eq!(inflate(&deflated(&vec![b'a'; 100 * MAX_INFLATED])).unwrap_err().code(), "too_large");
        let mut trailing = deflated(b"<a/>");
        trailing.push(0);
        let cut = deflated(b"<abcdefghijklmnopqrstuvwxyz/>");
        for bad in [&trailing[..], &cut[..cut.len() - 3], b"", b"<a/>"] {
            assert_eq!(inflate(bad).unwrap_err().code(), "not_deflated", "{bad:?}");
        }
    }
}
