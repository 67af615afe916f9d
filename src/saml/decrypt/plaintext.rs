//! Decrypted XML, put where its namespaces are known.
//!
//! What is encrypted may use prefixes that are declared around it, and an inclusively canonicalised signature even covers those
//! declarations. So the plaintext is read inside one element that declares what is in scope at a place of the message: for
//! parser and canonicaliser that is the same as standing in that place.

use std::fmt::Write;

use crate::saml::error::SamlError;
use crate::saml::guard::Guarded;
use crate::saml::xml::{Element, is_space};

const START: &str = "<decrypted";
const END: &str = "</decrypted>";

/// A document whose root is ours and holds decrypted XML.
#[derive(PartialEq, Eq)]
pub(in crate::saml) struct Surrounded(String);

impl Surrounded {
    /// The plaintext as if it stood directly in `place`.
    ///
    /// # Errors
    /// `NotXml` when it isn't UTF-8.
    pub(in crate::saml) fn inside(place: Element<'_>, plaintext: &[u8]) -> Result<Self, SamlError> {
        Self::with(&place.namespaces_in_scope(), plaintext)
    }

    /// The plaintext by itself.
    ///
    /// # Errors
    /// `NotXml` when it isn't UTF-8.
    pub(in crate::saml) fn alone(plaintext: &[u8]) -> Result<Self, SamlError> {
        Self::with(&[], plaintext)
    }

    fn with(namespaces: &[(&str, &str)], plaintext: &[u8]) -> Result<Self, SamlError> {
        let plaintext = std::str::from_utf8(plaintext).map_err(|_| SamlError::NotXml("not UTF-8".to_owned()))?;
        let mut text = String::with_capacity(plaintext.len() + 256);
        text.push_str(START);
        for (prefix, uri) in namespaces {
            let colon = if prefix.is_empty() { "" } else { ":" };
            // Writing to a String doesn't fail.
            let _ = write!(text, " xmlns{colon}{prefix}=\"{}\"", escaped(uri));
        }
        text.push('>');
        text.push_str(plaintext);
        text.push_str(END);
        Ok(Self(text))
    }

    /// Through the guard.
    ///
    /// # Errors
    /// As [`Guarded::read`].
    pub(in crate::saml) fn read(&self) -> Result<Guarded<'_>, SamlError> {
        Guarded::read(self.0.as_bytes())
    }
}

/// The one element that was decrypted, and nothing beside it but white space.
///
/// # Errors
/// `WrongDocument`.
pub(in crate::saml) fn only_element<'d>(guarded: &'d Guarded<'_>) -> Result<Element<'d>, SamlError> {
    let root = guarded.root()?;
    let mut children = root.children();
    match (children.next(), children.next()) {
        (Some(element), None) if !root.has_own_text(|text| !text.chars().all(is_space)) => Ok(element),
        _ => Err(SamlError::WrongDocument { expected: "one encrypted element", got: String::new() }),
    }
}

fn escaped(uri: &str) -> String {
    let mut text = String::with_capacity(uri.len());
    for character in uri.chars() {
        match character {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '"' => text.push_str("&quot;"),
            '\t' => text.push_str("&#9;"),
            '\n' => text.push_str("&#10;"),
            '\r' => text.push_str("&#13;"),
            other => text.push(other),
        }
    }
    text
}
