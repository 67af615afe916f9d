//! The second engine, libxmlsec1 by way of samael (rule 3). It sees only documents that the first engine has verified with a
//! trusted key, and it must have hashed the very octets that we read.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use samael::crypto::{AllowedSignatureAlgorithm, CertificateDer, Crypto, CryptoError, CryptoProvider, ReduceMode};

use super::error::SamlError;
use super::guard::{Guarded, is_ncname};
use super::keys::TrustAnchors;
use super::signature::SignedXml;
#[cfg(any(test, feature = "fuzzing"))]
use super::signature_form::KeyFamily;
use super::trusted_key::certificates_of;
use super::verified::{Abstention, SecondOpinion};

/// Everything that we allow but SHA-1, which samael has no name for.
const ALGORITHMS: [AllowedSignatureAlgorithm; 6] = [
    AllowedSignatureAlgorithm::RsaSha256,
    AllowedSignatureAlgorithm::RsaSha384,
    AllowedSignatureAlgorithm::RsaSha512,
    AllowedSignatureAlgorithm::EcdsaSha256,
    AllowedSignatureAlgorithm::EcdsaSha384,
    AllowedSignatureAlgorithm::EcdsaSha512,
];

/// Asks the second engine.
///
/// # Errors
/// `EnginesDisagree`.
pub(in crate::saml) fn ask(
    guarded: &Guarded<'_>,
    signed: &SignedXml,
    anchors: &TrustAnchors,
) -> Result<SecondOpinion, SamlError> {
    if let Some(abstention) = abstention(guarded) {
        return Ok(SecondOpinion::Abstained(abstention));
    }
    self_test()?;
    let certificates: Vec<_> =
        certificates_of(anchors, signed.family()).map(|certificate| CertificateDer::from(certificate.der.clone())).collect();
    // The allow-list has been applied to what we read; with SHA-1 allowed by name, samael's own can't be.
    let algorithms = (!signed.uses_sha1()).then_some(ALGORITHMS.as_slice());
    let outcome = catch_unwind(AssertUnwindSafe(|| reduce(guarded.text(), &certificates, algorithms)));
    match outcome {
        Ok(Ok(octets)) if octets.as_bytes() == signed.octets() => Ok(SecondOpinion::Agreed),
        Ok(Ok(_)) => Err(SamlError::EnginesDisagree("the second one hashed other octets")),
        Ok(Err(_)) => Err(SamlError::EnginesDisagree("the second one does not accept the signature")),
        Err(_) => Err(SamlError::EnginesDisagree("the second one panicked")),
    }
}

fn reduce(
    text: &str,
    certificates: &[CertificateDer],
    algorithms: Option<&[AllowedSignatureAlgorithm]>,
) -> Result<String, CryptoError> {
    Crypto::reduce_xml_to_signed_with_allowed_algorithms(text, certificates, ReduceMode::PreDigest, algorithms)
}

/// Its verdict without the first engine's, for [`both_engines`](super::both_engines). The document must have passed the guard, and
/// its signatures the check of their form: this engine obeys what a signature asks for before it knows whose it is.
#[cfg(any(test, feature = "fuzzing"))]
pub(in crate::saml) fn alone(
    guarded: &Guarded<'_>,
    anchors: &TrustAnchors,
    family: KeyFamily,
    sha1: bool,
) -> Result<Vec<u8>, &'static str> {
    self_test().map_err(|_| "it fails its self-test")?;
    let certificates: Vec<_> =
        certificates_of(anchors, family).map(|certificate| CertificateDer::from(certificate.der.clone())).collect();
    if certificates.is_empty() {
        return Err("there is no key of that kind");
    }
    let algorithms = (!sha1).then_some(ALGORITHMS.as_slice());
    match catch_unwind(AssertUnwindSafe(|| reduce(guarded.text(), &certificates, algorithms))) {
        Ok(Ok(octets)) => Ok(octets.into_bytes()),
        Ok(Err(_)) => Err("it does not accept the signature"),
        Err(_) => Err("it panicked"),
    }
}

/// What samael is known not to be able to do.
pub(in crate::saml) fn abstention(guarded: &Guarded<'_>) -> Option<Abstention> {
    let document = guarded.document();
    let malformed = document.descendants(document.root()).into_iter().any(|node| {
        let attributes = document.element(node).map(|element| element.attributes.as_slice()).unwrap_or_default();
        attributes.iter().any(|attribute| attribute.name.local_name == "ID" && !is_ncname(&attribute.value))
    });
    malformed.then_some(Abstention::IdIsNoNcName)
}

/// Verifies a constant document, once per process. That sets libxml2 and xmlsec up before threads could race for it (samael
/// parses before it initialises), and finds a library that doesn't work at start instead of at somebody's login.
///
/// # Errors
/// `EnginesDisagree` when the document doesn't verify.
pub(in crate::saml) fn self_test() -> Result<(), SamlError> {
    static WORKS: OnceLock<bool> = OnceLock::new();
    let works = WORKS.get_or_init(|| {
        let certificate = CertificateDer::from(include_bytes!("second_opinion/self_test.der").to_vec());
        let document = include_str!("second_opinion/self_test.xml");
        let reduced = catch_unwind(AssertUnwindSafe(|| reduce(document, &[certificate], Some(&ALGORITHMS))));
        matches!(reduced, Ok(Ok(octets)) if octets == "<a ID=\"_a\"></a>")
    });
    if *works { Ok(()) } else { Err(SamlError::EnginesDisagree("the second one fails its self-test")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::saml::expectations::Compat;
    use crate::saml::fixture::{Sign, anchors, response};
    use crate::saml::shape::ResponseShape;
    use crate::saml::signature;

    /// What the second engine says of one document, when the first has read another.
    fn ask_of(seen: &str, read: &str) -> Result<SecondOpinion, SamlError> {
        let first = Guarded::read(read.as_bytes()).unwrap();
        let signed =
            signature::verify(&first, &ResponseShape::of(&first).unwrap().signatures(), &anchors(), Compat::default()).unwrap();
        ask(&Guarded::read(seen.as_bytes()).unwrap(), &signed, &anchors())
    }

    #[test]
    fn the_self_test_passes() {
        assert_eq!(self_test(), Ok(()));
    }

    #[test]
    fn the_same_octets_agree_and_others_do_not() {
        for sign in [Sign::Assertion, Sign::Response, Sign::Both] {
            let alice = response(sign, &[]);
            let bob = response(sign, &[("alice@", "bob@")]);
            assert_eq!(ask_of(&alice, &alice), Ok(SecondOpinion::Agreed));
            assert_eq!(ask_of(&bob, &alice), Err(SamlError::EnginesDisagree("the second one hashed other octets")));
            let changed = alice.replace("alice@", "admin@");
            let refused = SamlError::EnginesDisagree("the second one does not accept the signature");
            assert_eq!(ask_of(&changed, &alice), Err(refused));
        }
    }

    #[test]
    fn it_abstains_for_ids_that_are_no_names_and_for_nothing_else() {
        // xmlsec can't sign such a document either: only what it would be asked counts.
        let plain = response(Sign::Assertion, &[]);
        let digit = plain.replace("ID=\"_r\"", "ID=\"1-r\"");
        assert_eq!(ask_of(&digit, &plain), Ok(SecondOpinion::Abstained(Abstention::IdIsNoNcName)));
        assert_eq!(abstention(&Guarded::read(plain.as_bytes()).unwrap()), None);
        assert_eq!(abstention(&Guarded::read(b"<a id='1'><b Id='2' ID='e-1._'/></a>").unwrap()), None);
    }
}
