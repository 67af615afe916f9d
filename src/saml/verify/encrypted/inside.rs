//! The signature of an assertion that was encrypted.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Rules;
use crate::saml::decrypt::{Surrounded, only_element};
use crate::saml::error::SamlError;
use crate::saml::guard::Guarded;
use crate::saml::keys::KeyKind;
use crate::saml::shape::decrypted_assertion;
use crate::saml::signature::{self, Placed, SignedXml};
use crate::saml::signature_form::SignatureForm;
use crate::saml::verified::SecondOpinion;
use crate::saml::verify::second_opinion;
use crate::saml::xml::Element;

/// Where the assertion stood when it was signed: one of these, or nowhere.
pub(super) struct Places<'d> {
    /// In the Response, before it was encrypted.
    pub(super) response: Element<'d>,
    /// In the EncryptedAssertion, where XML Encryption puts what was decrypted.
    pub(super) encrypted: Element<'d>,
}

/// What an assertion's own signature covers.
pub(super) struct Inside {
    /// By the first engine.
    pub(super) signed: SignedXml,
    /// Of the second engine.
    pub(super) opinion: Result<SecondOpinion, SamlError>,
}

/// A failure, and whether an engine had looked at the signature before.
struct Failure {
    error: SamlError,
    in_engine: bool,
}

impl From<SamlError> for Failure {
    fn from(error: SamlError) -> Self {
        Self { error, in_engine: false }
    }
}

/// The decrypted assertion in its document, and its own signature.
///
/// # Errors
/// As the shape of a Response.
pub(super) fn own_signature<'d>(document: &'d Guarded<'_>) -> Result<(Element<'d>, Option<Element<'d>>), SamlError> {
    decrypted_assertion(document.root()?, only_element(document)?)
}

/// Verifies the signature of a decrypted assertion.
///
/// # Errors
/// As for an assertion that was not encrypted.
pub(super) fn signed_inside(plaintext: &[u8], places: &Places<'_>, rules: &Rules<'_>) -> Result<Inside, SamlError> {
    try_places(plaintext, places, rules).map_err(|failure| failure.error)
}

/// The same, when whoever chose the ciphertext must not learn what became of it: every failure is `DecryptionFailed`, and takes as
/// long as it takes to refuse a signature. A plaintext that doesn't get that far is followed by a constant one that does.
///
/// # Errors
/// `DecryptionFailed`.
pub(super) fn signed_inside_blindly(
    opened: Result<Vec<u8>, SamlError>,
    length: usize,
    places: &Places<'_>,
    rules: &Rules<'_>,
) -> Result<Inside, SamlError> {
    let tried = opened.map_err(Failure::from).and_then(|plaintext| try_places(&plaintext, places, rules));
    tried.map_err(|failure| {
        if !failure.in_engine {
            // Only for the time it takes: it is signed by nobody.
            let _ = try_places(decoy(length, rules).as_bytes(), places, rules);
        }
        SamlError::DecryptionFailed
    })
}

/// An exclusively canonicalised signature verifies in any place. An inclusive one covers the namespaces around the assertion, too,
/// so each place where it may have stood is tried.
fn try_places(plaintext: &[u8], places: &Places<'_>, rules: &Rules<'_>) -> Result<Inside, Failure> {
    let mut texts: Vec<Surrounded> = Vec::with_capacity(3);
    for text in [
        Surrounded::inside(places.response, plaintext)?,
        Surrounded::inside(places.encrypted, plaintext)?,
        Surrounded::alone(plaintext)?,
    ] {
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    let mut failures = Vec::with_capacity(texts.len());
    for text in &texts {
        match verify(text, rules) {
            Ok(inside) => return Ok(inside),
            Err(failure) => failures.push(failure),
        }
    }
    // The one that came furthest says why.
    failures.sort_by_key(|failure| !failure.in_engine);
    Err(failures.into_iter().next().unwrap_or_else(|| SamlError::DecryptionFailed.into()))
}

fn verify(text: &Surrounded, rules: &Rules<'_>) -> Result<Inside, Failure> {
    let document = text.read()?;
    let (assertion, signature) = own_signature(&document)?;
    let signature = signature.ok_or(SamlError::SignatureMissing)?;
    let compat = rules.expectations.compat;
    SignatureForm::read(signature, assertion, compat)?;
    let signed = signature::verify(&document, &[Placed { signature, signed: assertion }], rules.anchors, compat)
        .map_err(|error| Failure { error, in_engine: true })?;
    let opinion = second_opinion(&document, &signed, rules.anchors);
    Ok(Inside { signed, opinion })
}

/// An assertion about as long as a ciphertext, with a signature of the kind that this IdP makes, and of nobody.
fn decoy(length: usize, rules: &Rules<'_>) -> String {
    let (method, octets) = match rules.anchors.certificates().first().map(|certificate| certificate.kind) {
        Some(KeyKind::Ec(bits)) => ("ecdsa-sha256", bits.div_ceil(8) * 2),
        Some(KeyKind::Rsa(bits)) => ("rsa-sha256", bits / 8),
        None => ("rsa-sha256", 256),
    };
    let value = STANDARD.encode(vec![1; octets]);
    let digest = STANDARD.encode([0; 32]);
    let filler = "x".repeat(length.saturating_sub(1200));
    format!(
        "<a:Assertion xmlns:a=\"urn:oasis:names:tc:SAML:2.0:assertion\" ID=\"_decoy\" Version=\"2.0\"><a:Issuer>{filler}</a:Issuer>\
         <s:Signature xmlns:s=\"http://www.w3.org/2000/09/xmldsig#\"><s:SignedInfo>\
         <s:CanonicalizationMethod Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"/>\
         <s:SignatureMethod Algorithm=\"http://www.w3.org/2001/04/xmldsig-more#{method}\"/><s:Reference URI=\"#_decoy\"><s:Transforms>\
         <s:Transform Algorithm=\"http://www.w3.org/2000/09/xmldsig#enveloped-signature\"/>\
         <s:Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"/></s:Transforms>\
         <s:DigestMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha256\"/><s:DigestValue>{digest}</s:DigestValue>\
         </s:Reference></s:SignedInfo><s:SignatureValue>{value}</s:SignatureValue></s:Signature></a:Assertion>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::saml::fixture::{anchors, expectations};

    #[test]
    fn the_decoy_gets_as_far_as_an_engine_and_no_further() {
        let (anchors, expectations) = (anchors(), expectations());
        let rules = Rules { anchors: &anchors, expectations: &expectations, now: Timestamp::from_unix(0) };
        for length in [0, 32, 5000, 200_000] {
            let decoy = decoy(length, &rules);
            assert!(decoy.len() < length + 2000 && decoy.len() + 400 > length, "{length}: {}", decoy.len());
            let failure = verify(&Surrounded::alone(decoy.as_bytes()).unwrap(), &rules).err().unwrap();
            assert!(failure.in_engine, "{}", failure.error);
        }
    }
}
