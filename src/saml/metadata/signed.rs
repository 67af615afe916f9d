//! Metadata whose signer is pinned: what is read of it is what that signer signed.

use super::entities::MD;
use super::error::{MetadataError, shown};
use super::guard::admit;
use crate::saml::error::SamlError;
use crate::saml::guard::{Guarded, Limits};
use crate::saml::keys::TrustAnchors;
use crate::saml::signature::{Placed, verify_root};
#[cfg(feature = "second-opinion")]
use crate::saml::xml::Element;
use crate::saml::xml::SIGNATURE;

/// The largest document that the second engine is asked about too. It has seen messages of a few hundred KiB so far; what it would
/// need for a whole federation is nobody's guess.
#[cfg(feature = "second-opinion")]
const SECOND_OPINION: usize = 2 * 1024 * 1024;

/// The canonical octets of the root, without its signature, when one of `signers` signed it (Metadata 3). The same rules hold as
/// for a response: the signature's form, the engine, our own digest, and for documents of up to 2 MiB with
/// this one signature the second engine.
///
/// # Errors
/// Those of the form; `Unsigned`; `Signature`.
pub(super) fn octets(xml: &[u8], signers: &TrustAnchors, max_octets: usize) -> Result<Vec<u8>, MetadataError> {
    // First, because its words are about metadata.
    admit(xml, max_octets)?;
    let guarded = Guarded::read_within(xml, &Limits::metadata(max_octets)).map_err(of_form)?;
    let root = guarded.root().map_err(of_form)?;
    if !root.is(MD, "EntityDescriptor") && !root.is(MD, "EntitiesDescriptor") {
        return Err(MetadataError::NotMetadata(shown(&root.expanded_name())));
    }
    let mut signatures = root.children_named(SIGNATURE, "Signature");
    let signature = match (signatures.next(), signatures.next()) {
        (None, _) => return Err(MetadataError::Unsigned),
        (Some(signature), None) => signature,
        (Some(_), Some(_)) => return Err(MetadataError::Signature(SamlError::SignatureInvalid("there are two"))),
    };
    let signed = verify_root(&guarded, Placed { signature, signed: root }, signers)
        .map_err(|error| MetadataError::Signature(spoken(error)))?;
    #[cfg(feature = "second-opinion")]
    if xml.len() <= SECOND_OPINION && is_the_only_one(&guarded) {
        crate::saml::second_opinion::ask(&guarded, &signed, signers).map_err(MetadataError::Signature)?;
    }
    Ok(signed.into_octets())
}

/// Whether the root's Signature is the only one: the second engine would judge those of members too, with the wrong keys. The root's has
/// been found good before this is asked.
#[cfg(feature = "second-opinion")]
fn is_the_only_one(guarded: &Guarded<'_>) -> bool {
    let document = guarded.document();
    let elements = document.descendants(document.root()).into_iter().filter_map(|node| Element::at(document, node));
    elements.filter(|element| element.is(SIGNATURE, "Signature")).count() == 1
}

/// What the guard has against a document.
fn of_form(error: SamlError) -> MetadataError {
    match error {
        SamlError::TooLarge(what) => MetadataError::TooComplex(what),
        SamlError::ForbiddenXml(what) => MetadataError::Forbidden(what),
        SamlError::NotXml(why) => MetadataError::NotXml(why),
        other => MetadataError::Signature(other),
    }
}

/// The engine's words speak of an IdP's keys; here it is another's.
fn spoken(error: SamlError) -> SamlError {
    match error {
        SamlError::SignatureInvalid(why) if why.contains("certificate") => {
            SamlError::SignatureInvalid("it was not made with the key of metadata_signing_certificate")
        }
        other => other,
    }
}
