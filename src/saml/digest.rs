//! Our own digest check (rule 3): the octets that are read are the octets that are hashed, by us.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, SHA512, digest};
use bergshamra::c14n::{C14nMode, canonicalize_doc};
use bergshamra::xml::NodeSet;
use uppsala::{Document, NodeId};

use super::error::SamlError;
use super::signature_form::{Canonical, Hash, SignatureForm};

/// Why a signature isn't good whose SignedInfo is.
pub(in crate::saml) const CHANGED: &str = "what it covers was changed after it was signed";

/// Writes the signed element without its signature in canonical form, hashes that, and compares it with the DigestValue that
/// the key signed. Returns the octets.
///
/// # Errors
/// `SignatureInvalid` when they differ, `SignatureNotCovering` when the element can't be written.
pub(in crate::saml) fn signed_octets(document: &Document<'_>, form: &SignatureForm<'_>) -> Result<Vec<u8>, SamlError> {
    let mut selected = NodeSet::tree_without_comments(form.signed.node(), document);
    remove(document, &mut selected, form.signature.node());
    let octets = canonical(document, &selected, &form.canonical)
        .ok_or(SamlError::SignatureNotCovering("the signed element cannot be canonicalised"))?;
    if hash(form.digest_hash, &octets) != form.digest {
        return Err(SamlError::SignatureInvalid(CHANGED));
    }
    Ok(octets)
}

/// The canonical form of SignedInfo: what the signature's value is made over (XML Signature 3.2.2).
///
/// # Errors
/// `SignatureInvalid` when it can't be written.
pub(in crate::saml) fn signed_info(document: &Document<'_>, form: &SignatureForm<'_>) -> Result<Vec<u8>, SamlError> {
    let selected = NodeSet::tree_without_comments(form.signed_info.node(), document);
    canonical(document, &selected, &form.signed_info_canonical)
        .ok_or(SamlError::SignatureInvalid("its SignedInfo cannot be canonicalised"))
}

fn canonical(document: &Document<'_>, selected: &NodeSet, canonical: &Canonical) -> Option<Vec<u8>> {
    let none = Vec::new();
    let (mode, prefixes) = match canonical {
        Canonical::Exclusive(prefixes) => (C14nMode::Exclusive, prefixes),
        Canonical::Inclusive => (C14nMode::Inclusive, &none),
        Canonical::Inclusive11 => (C14nMode::Inclusive11, &none),
    };
    canonicalize_doc(document, mode, Some(selected), prefixes).ok()
}

/// An element as a document by itself: its inclusive canonical form, without comments. It declares all that is in scope where the
/// element stands, so whatever is signed in it keeps its canonical form.
///
/// # Errors
/// `NotXml` when it can't be written.
pub(in crate::saml) fn alone(document: &Document<'_>, element: NodeId) -> Result<Vec<u8>, SamlError> {
    let selected = NodeSet::tree_without_comments(element, document);
    canonicalize_doc(document, C14nMode::Inclusive, Some(&selected), &Vec::<String>::new())
        .map_err(|_| SamlError::NotXml("it cannot be canonicalised".to_owned()))
}

/// The enveloped-signature transform (XML Signature 6.6.4).
fn remove(document: &Document<'_>, selected: &mut NodeSet, signature: NodeId) {
    selected.remove_id(signature);
    for node in document.descendants(signature) {
        selected.remove_id(node);
    }
}

/// A hash.
pub(in crate::saml) fn hash(hash: Hash, octets: &[u8]) -> Vec<u8> {
    let algorithm = match hash {
        Hash::Sha1 => &SHA1_FOR_LEGACY_USE_ONLY,
        Hash::Sha256 => &SHA256,
        Hash::Sha384 => &SHA384,
        Hash::Sha512 => &SHA512,
    };
    digest(algorithm, octets).as_ref().to_vec()
}
