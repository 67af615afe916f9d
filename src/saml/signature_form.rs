//! What an XML signature may look like. This is checked before any engine sees it, because engines obey what a signature asks
//! for (transforms, references to elsewhere) before they check its key.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::error::{SamlError, cut};
use super::expectations::Compat;
use super::guard::is_ncname_char;
use super::xml::{Element, SIGNATURE, SIGNATURE_11, is_space};

/// Exclusive Canonical XML 1.0 without comments.
const EXCLUSIVE: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
/// Canonical XML 1.0 without comments.
const INCLUSIVE: &str = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315";
/// Canonical XML 1.1 without comments.
const INCLUSIVE_11: &str = "http://www.w3.org/2006/12/xml-c14n11";
/// What the prefix `xml` stands for.
const XML: &str = "http://www.w3.org/XML/1998/namespace";
const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";
/// Most prefixes in an InclusiveNamespaces PrefixList: each is looked up at every element.
const MAX_PREFIXES: usize = 16;

/// A hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::saml) enum Hash {
    /// Broken; only with `compat = ["sha1"]`.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Hash {
    /// DigestMethod's names.
    pub(in crate::saml) fn of_digest_method(uri: &str) -> Option<Self> {
        match uri {
            "http://www.w3.org/2000/09/xmldsig#sha1" => Some(Self::Sha1),
            "http://www.w3.org/2001/04/xmlenc#sha256" => Some(Self::Sha256),
            "http://www.w3.org/2001/04/xmldsig-more#sha384" => Some(Self::Sha384),
            "http://www.w3.org/2001/04/xmlenc#sha512" => Some(Self::Sha512),
            _ => None,
        }
    }

    /// Length of its output, in octets.
    pub(in crate::saml) fn length(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

/// What kind of key a signature was made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::saml) enum KeyFamily {
    /// RSA, PKCS #1 v1.5.
    Rsa,
    /// ECDSA.
    Ec,
}

/// The signatures that may be trusted; the Redirect binding's SigAlg has the same names (Bindings 3.4.4.1).
pub(in crate::saml) fn of_signature_method(uri: &str) -> Option<(KeyFamily, Hash)> {
    match uri {
        "http://www.w3.org/2000/09/xmldsig#rsa-sha1" => Some((KeyFamily::Rsa, Hash::Sha1)),
        "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256" => Some((KeyFamily::Rsa, Hash::Sha256)),
        "http://www.w3.org/2001/04/xmldsig-more#rsa-sha384" => Some((KeyFamily::Rsa, Hash::Sha384)),
        "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512" => Some((KeyFamily::Rsa, Hash::Sha512)),
        "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256" => Some((KeyFamily::Ec, Hash::Sha256)),
        "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384" => Some((KeyFamily::Ec, Hash::Sha384)),
        "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512" => Some((KeyFamily::Ec, Hash::Sha512)),
        _ => None,
    }
}

/// How the signed element is written before it is hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::saml) enum Canonical {
    /// Exclusive Canonical XML with these InclusiveNamespaces prefixes.
    Exclusive(Vec<String>),
    /// Canonical XML 1.0: also what applies when no canonicalisation is named (XML Signature 4.4.3.2).
    Inclusive,
    /// Canonical XML 1.1.
    Inclusive11,
}

/// A signature of lawful form over the element that it stands in (Core 5.4).
pub(in crate::saml) struct SignatureForm<'d> {
    /// The Signature element.
    pub(in crate::saml) signature: Element<'d>,
    /// What it stands in and, by its Reference, covers.
    pub(in crate::saml) signed: Element<'d>,
    /// What kind of key it was made with.
    pub(in crate::saml) family: KeyFamily,
    /// Of the signature.
    pub(in crate::saml) signature_hash: Hash,
    /// Of the Reference.
    pub(in crate::saml) digest_hash: Hash,
    /// How the signed element is written.
    pub(in crate::saml) canonical: Canonical,
    /// DigestValue.
    pub(in crate::saml) digest: Vec<u8>,
    /// SignedInfo.
    pub(in crate::saml) signed_info: Element<'d>,
    /// How SignedInfo is written before it is signed.
    pub(in crate::saml) signed_info_canonical: Canonical,
    /// SignatureValue.
    pub(in crate::saml) value: Vec<u8>,
}

impl<'d> SignatureForm<'d> {
    /// Reads a Signature that stands in `signed`.
    ///
    /// # Errors
    /// `SignatureInvalid` for another form, `SignatureNotCovering`, `AlgorithmForbidden`, `ForbiddenXml`.
    pub(in crate::saml) fn read(signature: Element<'d>, signed: Element<'d>, compat: Compat) -> Result<Self, SamlError> {
        let parts: Vec<_> = signature.children().collect();
        let (info, value, key_info) = match parts.as_slice() {
            [info, value] => (*info, *value, None),
            [info, value, key_info] => (*info, *value, Some(*key_info)),
            _ => return Err(form("it must hold SignedInfo, SignatureValue and at most KeyInfo")),
        };
        expect(signature, "Signature", &["Id"])?;
        expect(value, "SignatureValue", &["Id"])?;
        let value = base64_of(value)?;
        if let Some(key_info) = key_info {
            check_key_info(key_info)?;
        }

        let [canonicalization, method, reference] = exactly(info)?;
        expect(info, "SignedInfo", &["Id"])?;
        let signed_info_canonical = canonicalization_of(canonicalization)?;
        expect(method, "SignatureMethod", &["Algorithm"])?;
        let uri = algorithm(method)?;
        let (family, signature_hash) =
            of_signature_method(uri).ok_or_else(|| SamlError::AlgorithmForbidden(format!("signature method {}", cut(uri))))?;
        if method.children().next().is_some() {
            return Err(form("SignatureMethod has parameters"));
        }

        expect(reference, "Reference", &["Id", "URI", "Type"])?;
        let [transforms, digest_method, digest_value] = exactly(reference)?;
        // URI="" is the whole document, which is the signed element only when that is the root.
        check_reference(reference, signed, compat.empty_reference && signed.parent().is_none())?;
        let canonical = canonical_of(transforms)?;
        if [&canonical, &signed_info_canonical].contains(&&Canonical::Inclusive11) {
            check_inherited(signature)?;
        }
        expect(digest_method, "DigestMethod", &["Algorithm"])?;
        let uri = algorithm(digest_method)?;
        let digest_hash =
            Hash::of_digest_method(uri).ok_or_else(|| SamlError::AlgorithmForbidden(format!("digest method {}", cut(uri))))?;
        expect(digest_value, "DigestValue", &[])?;
        let digest = base64_of(digest_value)?;
        if digest.len() != digest_hash.length() {
            return Err(form("DigestValue has not the length of its algorithm"));
        }

        if !compat.sha1 && (signature_hash == Hash::Sha1 || digest_hash == Hash::Sha1) {
            return Err(SamlError::AlgorithmForbidden("SHA-1 in a signature".to_owned()));
        }
        Ok(Self {
            signature,
            signed,
            family,
            signature_hash,
            digest_hash,
            canonical,
            digest,
            signed_info: info,
            signed_info_canonical,
            value,
        })
    }

    /// Whether SHA-1 is used in it.
    pub(in crate::saml) fn uses_sha1(&self) -> bool {
        self.signature_hash == Hash::Sha1 || self.digest_hash == Hash::Sha1
    }
}

fn form(why: &'static str) -> SamlError {
    SamlError::SignatureInvalid(why)
}

/// The element is of XML Signature, has this name and no other attributes than these. Namespaced attributes are refused too:
/// an engine that looks for `Algorithm` by its local name could find another one.
fn expect(element: Element<'_>, name: &'static str, attributes: &[&str]) -> Result<(), SamlError> {
    if !element.is(SIGNATURE, name) {
        return Err(form("its elements are not those of a signature, in their order"));
    }
    if !element.has_only_attributes(attributes) {
        return Err(form("an element in it has an unknown attribute"));
    }
    Ok(())
}

fn exactly<const N: usize>(element: Element<'_>) -> Result<[Element<'_>; N], SamlError> {
    let children: Vec<_> = element.children().collect();
    children.try_into().map_err(|_| form("its elements are not those of a signature, in their order"))
}

fn algorithm(element: Element<'_>) -> Result<&str, SamlError> {
    element.attribute("Algorithm").ok_or_else(|| form("an algorithm is missing"))
}

/// Strict base64 in one piece of text, white space aside.
fn base64_of(element: Element<'_>) -> Result<Vec<u8>, SamlError> {
    let text = element.plain_text().ok_or_else(|| form("DigestValue and SignatureValue must be plain text"))?;
    let text: String = text.chars().filter(|character| !is_space(*character)).collect();
    match STANDARD.decode(text) {
        Ok(octets) if !octets.is_empty() => Ok(octets),
        _ => Err(form("DigestValue and SignatureValue must be base64")),
    }
}

/// KeyInfo is ignored, since keys come from metadata only; but nothing in it may point elsewhere.
fn check_key_info(key_info: Element<'_>) -> Result<(), SamlError> {
    expect(key_info, "KeyInfo", &["Id"])?;
    let mut stack = vec![key_info];
    while let Some(element) = stack.pop() {
        if element.is(SIGNATURE, "RetrievalMethod") || element.is(SIGNATURE_11, "KeyInfoReference") {
            return Err(SamlError::ForbiddenXml("a reference to a key elsewhere"));
        }
        stack.extend(element.children());
    }
    Ok(())
}

fn canonicalization_of(element: Element<'_>) -> Result<Canonical, SamlError> {
    expect(element, "CanonicalizationMethod", &["Algorithm"])?;
    let bare = element.children().next().is_none();
    match algorithm(element)? {
        EXCLUSIVE => inclusive_prefixes(element).map(Canonical::Exclusive),
        INCLUSIVE if bare => Ok(Canonical::Inclusive),
        INCLUSIVE_11 if bare => Ok(Canonical::Inclusive11),
        uri => Err(SamlError::AlgorithmForbidden(format!("canonicalization method {}", cut(uri)))),
    }
}

/// Canonical XML 1.1, 2.4: `xml:id` isn't inherited and `xml:base` is joined, about which engines differ. No IdP writes either.
fn check_inherited(signature: Element<'_>) -> Result<(), SamlError> {
    let mut above = std::iter::successors(signature.parent(), |element| element.parent());
    let inherits = |element: Element<'_>| ["id", "base"].iter().any(|name| element.attribute_in(XML, name).is_some());
    if above.any(inherits) {
        return Err(form("it is by Canonical XML 1.1, below xml:id or xml:base"));
    }
    Ok(())
}

/// Core 5.4.2: a same-document reference to the ID of the element that the signature stands in.
fn check_reference(reference: Element<'_>, signed: Element<'_>, may_be_empty: bool) -> Result<(), SamlError> {
    let not_covering = |why| Err(SamlError::SignatureNotCovering(why));
    match reference.attribute("URI") {
        None => not_covering("its Reference has no URI"),
        Some("") if may_be_empty => Ok(()),
        Some("") => not_covering("its Reference is to the whole document; compat = [\"empty-reference\"] allows that"),
        Some(uri) => match (uri.strip_prefix('#'), signed.attribute("ID")) {
            (Some(id), Some(own)) if id == own => Ok(()),
            _ => not_covering("its Reference is not to the element that it stands in"),
        },
    }
}

/// Core 5.4.4: enveloped-signature, then at most one canonicalisation, without comments. The inclusive ones are as harmless as
/// the exclusive one, since only canonical octets are ever read, and some IdPs use them.
fn canonical_of(transforms: Element<'_>) -> Result<Canonical, SamlError> {
    expect(transforms, "Transforms", &[])?;
    let list: Vec<_> = transforms.children().take(3).collect();
    let mut uris = Vec::with_capacity(list.len());
    for transform in &list {
        expect(*transform, "Transform", &["Algorithm"])?;
        let uri = algorithm(*transform)?;
        if ![ENVELOPED, EXCLUSIVE, INCLUSIVE, INCLUSIVE_11].contains(&uri) {
            return Err(SamlError::AlgorithmForbidden(format!("transform {}", cut(uri))));
        }
        uris.push((uri, *transform));
    }
    let bare = |transform: Element<'_>| transform.children().next().is_none();
    match uris.as_slice() {
        [(ENVELOPED, first), rest @ ..] if bare(*first) => match rest {
            [] => Ok(Canonical::Inclusive),
            [(EXCLUSIVE, transform)] => Ok(Canonical::Exclusive(inclusive_prefixes(*transform)?)),
            [(INCLUSIVE, transform)] if bare(*transform) => Ok(Canonical::Inclusive),
            [(INCLUSIVE_11, transform)] if bare(*transform) => Ok(Canonical::Inclusive11),
            _ => Err(form("its transforms are not enveloped-signature and one canonicalisation")),
        },
        _ => Err(form("its first transform is not enveloped-signature")),
    }
}

/// Exclusive Canonical XML 4: the PrefixList of an optional InclusiveNamespaces.
fn inclusive_prefixes(element: Element<'_>) -> Result<Vec<String>, SamlError> {
    let children: Vec<_> = element.children().take(2).collect();
    match children.as_slice() {
        [] => Ok(Vec::new()),
        [list] if list.is(EXCLUSIVE, "InclusiveNamespaces") && list.has_only_attributes(&["PrefixList"]) => {
            // Without a list it says nothing, and the engines disagree about that.
            let Some(prefixes) = list.attribute("PrefixList") else { return Err(form("its InclusiveNamespaces is malformed")) };
            // The engines differ about carriage returns between names, which only a character reference can bring here.
            let prefixes: Vec<String> = prefixes.split(' ').filter(|prefix| !prefix.is_empty()).map(str::to_owned).collect();
            let well_formed = prefixes.iter().all(|prefix| prefix == "#default" || prefix.chars().all(is_ncname_char));
            if prefixes.len() > MAX_PREFIXES || !well_formed || list.children().next().is_some() {
                return Err(form("its InclusiveNamespaces is malformed"));
            }
            Ok(prefixes)
        }
        _ => Err(form("a canonicalisation has unknown parameters")),
    }
}

#[cfg(test)]
mod tests;
