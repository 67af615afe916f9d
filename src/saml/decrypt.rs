//! Decryption (rule 4; Core 2.2.4, 2.3.4; XML Encryption 1.1), without an oracle.
//!
//! Who posts a response chooses its ciphertexts, and learns from every difference between one failure and another. So:
//! - The form and the algorithms are checked first, and only on what everybody can see.
//! - Every wrapped key is unwrapped with every key of ours of its length, and which of them succeeded is chosen without a branch.
//!   When none did, a key stands in that only we can compute, and decryption goes on.
//! - Content is decrypted once, and there is one outcome for every failure: [`DecryptionFailed`](super::SamlError).
//!
//! The XML of it is ours, because the engine would search keys, references and ciphertexts by itself. AES is the engine's
//! (bergshamra on aws-lc); for RSA see [`private_key`].

mod form;
mod plaintext;
mod private_key;
#[cfg(test)]
mod tests;
mod transport;

use subtle::Choice;

pub(in crate::saml) use form::Sealed;
pub(in crate::saml) use plaintext::{Surrounded, only_element};
pub(in crate::saml) use private_key::{PrivateKey, PublicNumbers};

use super::error::SamlError;
use super::expectations::{Compat, Expectations};
use super::keys::SpKey;
use super::shape::refuse_misplaced_signature;
use super::xml::Element;

/// Our keys, and what may be decrypted with them.
#[derive(Clone, Copy)]
pub(in crate::saml) struct Decryptor<'a> {
    keys: &'a [SpKey],
    compat: Compat,
    us: &'a str,
}

impl<'a> Decryptor<'a> {
    /// By what is expected of a response.
    pub(in crate::saml) fn of(expectations: &Expectations<'a>) -> Self {
        Self::new(expectations.decryption_keys, expectations.compat, expectations.sp_entity_id)
    }

    /// With keys of ours, by whatever else the IdP is allowed; `us` is our entity ID.
    pub(in crate::saml) fn new(keys: &'a [SpKey], compat: Compat, us: &'a str) -> Self {
        Self { keys, compat, us }
    }

    /// Reads an encrypted element's form. The second part of an error says why, for `samlgate explain`.
    ///
    /// # Errors
    /// `DecryptionFailed`.
    pub(in crate::saml) fn sealed(&self, encrypted: Element<'_>) -> Result<Sealed, (SamlError, &'static str)> {
        Sealed::read(encrypted, self.compat, self.us).map_err(|why| (SamlError::DecryptionFailed, why))
    }

    /// Decrypts.
    ///
    /// # Errors
    /// `DecryptionFailed`, whatever went wrong.
    pub(in crate::saml) fn open(&self, sealed: &Sealed) -> Result<Vec<u8>, SamlError> {
        let keys: Vec<_> = self.keys.iter().filter_map(SpKey::private).collect();
        let (Some(first), Some(wrapped)) = (keys.first(), sealed.keys.first()) else {
            return Err(SamlError::DecryptionFailed);
        };
        let length = sealed.cipher.key_octets;
        let mut content_key = first.stand_in(&wrapped.octets);
        for wrapped in &sealed.keys {
            for key in keys.iter().filter(|key| key.octets() == wrapped.octets.len()) {
                let (found, good): (_, Choice) = wrapped.unwrap(key, length);
                transport::choose(&mut content_key, &found, good);
            }
        }
        let cipher = bergshamra::crypto::cipher::from_uri(sealed.cipher.uri).map_err(|_| SamlError::DecryptionFailed)?;
        let content_key = content_key.get(..length).unwrap_or_default();
        cipher.decrypt(content_key, &sealed.content).map_err(|_| SamlError::DecryptionFailed)
    }

    /// Decrypts an EncryptedID or EncryptedAttribute that stands in XML which is already believed, and hands the one element in it
    /// to `read`. Its namespaces are those in scope where it stood.
    ///
    /// # Errors
    /// `DecryptionFailed`; as the guard; as `read`.
    pub(in crate::saml) fn inside<T>(
        &self,
        encrypted: Element<'_>,
        read: impl FnOnce(Element<'_>) -> Result<T, SamlError>,
    ) -> Result<T, SamlError> {
        let sealed = self.sealed(encrypted).map_err(|(error, _)| error)?;
        let text = Surrounded::inside(encrypted, &self.open(&sealed)?)?;
        let guarded = text.read()?;
        let element = only_element(&guarded)?;
        let mut stack = vec![element];
        while let Some(element) = stack.pop() {
            refuse_misplaced_signature(element, &[], "a signature in an encrypted name or attribute")?;
            stack.extend(element.children());
        }
        read(element)
    }
}
