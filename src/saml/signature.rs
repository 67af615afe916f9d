//! Our own check of a signature, then the first engine, bergshamra on aws-lc, which is memory-safe (rules 2 and 3).

use bergshamra::keys::loader::load_spki_der;
use bergshamra::{DsigContext, KeysManager, VerifyResult};
use uppsala::Document;

use super::digest::{CHANGED, signed_info, signed_octets};
use super::error::SamlError;
use super::expectations::Compat;
use super::guard::Guarded;
use super::keys::TrustAnchors;
use super::signature_form::{KeyFamily, SignatureForm};
use super::trusted_key::{NO_KEY_OF_THAT_KIND, certificates_of, made_by_trusted_key};
use super::xml::Element;
use crate::give_way::give_way;

const MADE_WITH_ANOTHER_KEY: &str = "it was not made with the key of any certificate in the IdP's metadata";

/// Which element a trusted key signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::saml) enum Covered {
    /// The whole Response.
    Response,
    /// Only its Assertion.
    Assertion,
}

/// A Signature, and the element that it stands in and must cover.
#[derive(Clone, Copy)]
pub(in crate::saml) struct Placed<'d> {
    /// The Signature.
    pub(in crate::saml) signature: Element<'d>,
    /// What it is for.
    pub(in crate::saml) signed: Element<'d>,
}

/// Octets that a trusted key signed: the canonical form of an element. Only [`verify`] makes one.
pub(in crate::saml) struct SignedXml {
    octets: Vec<u8>,
    signatures: usize,
    family: KeyFamily,
    sha1: bool,
}

impl SignedXml {
    /// What is to be read.
    pub(in crate::saml) fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// What is to be read, alone.
    pub(in crate::saml) fn into_octets(self) -> Vec<u8> {
        self.octets
    }

    /// How many signatures there were, all good.
    pub(in crate::saml) fn signatures(&self) -> usize {
        self.signatures
    }

    /// What kind of keys made them.
    #[cfg_attr(not(feature = "second-opinion"), expect(dead_code, reason = "only the second engine asks"))]
    pub(in crate::saml) fn family(&self) -> KeyFamily {
        self.family
    }

    /// Whether SHA-1 was used anywhere in them.
    #[cfg_attr(not(feature = "second-opinion"), expect(dead_code, reason = "only the second engine asks"))]
    pub(in crate::saml) fn uses_sha1(&self) -> bool {
        self.sha1
    }
}

/// Verifies every signature of a document with the trusted keys of the right kind. `placed` is where they lawfully stand, the
/// outermost element first: its octets are the result.
///
/// # Errors
/// As of the form of a signature; `SignatureMissing`; `SignatureInvalid`; `SignatureNotCovering`.
pub(in crate::saml) fn verify(
    guarded: &Guarded<'_>,
    placed: &[Placed<'_>],
    anchors: &TrustAnchors,
    compat: Compat,
) -> Result<SignedXml, SamlError> {
    let forms: Vec<_> = placed.iter().map(|at| SignatureForm::read(at.signature, at.signed, compat)).collect::<Result<_, _>>()?;
    let Some(first) = forms.first() else { return Err(SamlError::SignatureMissing) };
    let family = first.family;
    if forms.iter().any(|form| form.family != family) {
        return Err(SamlError::AlgorithmForbidden("Response and Assertion are signed with keys of different kinds".to_owned()));
    }

    let document = guarded.document();
    let octets = forms.iter().map(|form| authentic(document, form, anchors)).collect::<Result<Vec<_>, _>>()?;

    let context = strict_context(anchors, family)?;
    let results = bergshamra::dsig::verify::verify_all_document_with_source(&context, document, Some(guarded.text()))
        .map_err(|_| SamlError::SignatureInvalid("it cannot be processed"))?;
    if results.len() != forms.len() {
        return Err(SamlError::SignatureInvalid("the engine sees other signatures than the guard"));
    }
    for form in &forms {
        require_valid(&results, form)?;
    }

    let sha1 = forms.iter().any(SignatureForm::uses_sha1);
    let signatures = forms.len();
    // The outermost one comes first, and holds the others too.
    match octets.into_iter().next() {
        Some(octets) => Ok(SignedXml { octets, signatures, family, sha1 }),
        None => Err(SamlError::SignatureMissing),
    }
}

/// Verifies the one signature of a document's root, whatever signatures stand below it: those of a federation's members in its
/// metadata are nobody's business here, and are part of what the root's covers.
///
/// # Errors
/// As [`verify`].
pub(in crate::saml) fn verify_root(
    guarded: &Guarded<'_>,
    placed: Placed<'_>,
    anchors: &TrustAnchors,
) -> Result<SignedXml, SamlError> {
    // The root and the whole document are the same to canonicalisation without comments, and some tools sign the latter.
    let compat = Compat { empty_reference: true, ..Compat::default() };
    let form = SignatureForm::read(placed.signature, placed.signed, compat)?;
    let document = guarded.document();
    let octets = authentic(document, &form, anchors)?;

    let context = strict_context(anchors, form.family)?;
    // The engine takes the first one in document order; that it is the one we mean is seen from its result.
    let result = bergshamra::dsig::verify::verify_document_with_source(&context, document, Some(guarded.text()))
        .map_err(|_| SamlError::SignatureInvalid("it cannot be processed"))?;
    require_valid(&[result], &form)?;
    Ok(SignedXml { octets, signatures: 1, family: form.family, sha1: form.uses_sha1() })
}

/// What a signature covers, once a trusted key has signed it, by our own check. It comes first: strangers without such a key make no
/// engine work, and obey no reference (XML Signature Best Practices 2.1).
fn authentic(document: &Document<'_>, form: &SignatureForm<'_>, anchors: &TrustAnchors) -> Result<Vec<u8>, SamlError> {
    let made_by = (form.family, form.signature_hash);
    if !made_by_trusted_key(anchors, made_by, &signed_info(document, form)?, &form.value)? {
        return Err(SamlError::SignatureInvalid(MADE_WITH_ANOTHER_KEY));
    }
    give_way();
    signed_octets(document, form)
}

fn strict_context(anchors: &TrustAnchors, family: KeyFamily) -> Result<DsigContext, SamlError> {
    Ok(DsigContext::new(trusted_keys(anchors, family)?)
        .with_trusted_keys_only(true)
        .with_strict_verification(true)
        .with_require_reference_digests(true))
}

fn trusted_keys(anchors: &TrustAnchors, family: KeyFamily) -> Result<KeysManager, SamlError> {
    let mut keys = KeysManager::new();
    // From the bare public key: dates and issuer of the certificate are not ours to check.
    keys.add_keys(certificates_of(anchors, family).filter_map(|certificate| load_spki_der(&certificate.spki).ok()));
    if keys.is_empty() {
        return Err(SamlError::SignatureInvalid(NO_KEY_OF_THAT_KIND));
    }
    Ok(keys)
}

/// The engine found this signature valid, and resolved its one Reference to the element that we mean.
fn require_valid(results: &[VerifyResult], form: &SignatureForm<'_>) -> Result<(), SamlError> {
    for result in results {
        match result {
            VerifyResult::Valid { signature_node, references, .. } if *signature_node == form.signature.node() => {
                let [reference] = references.as_slice() else {
                    return Err(SamlError::SignatureNotCovering("it has several References"));
                };
                let covers = match reference.resolved_node {
                    Some(node) => node == form.signed.node(),
                    None => reference.uri.is_empty() && form.signed.parent().is_none(),
                };
                if !covers || !reference.digest_verified {
                    return Err(SamlError::SignatureNotCovering("the engine resolves its Reference to another element"));
                }
                return Ok(());
            }
            // The engine's words may hold what a stranger wrote: they only choose among ours.
            VerifyResult::Invalid { reason } if reason.starts_with("Reference digest failed") => {
                return Err(SamlError::SignatureInvalid(CHANGED));
            }
            VerifyResult::Invalid { .. } => return Err(SamlError::SignatureInvalid(MADE_WITH_ANOTHER_KEY)),
            VerifyResult::Valid { .. } => {}
        }
    }
    Err(SamlError::SignatureInvalid(MADE_WITH_ANOTHER_KEY))
}

#[cfg(test)]
mod tests {
    use rustls_pki_types::pem::PemObject;

    use crate::saml::expectations::Checks;
    use crate::saml::fixture::{Sign, anchors, expectations, idp, key_pair, now, response, signed_by, to_be_signed, verify};
    use crate::saml::keys::{TrustAnchors, TrustedCertificate};
    use crate::saml::{SamlError, VerifiedAssertion, verify_response};

    fn verify_by(xml: &str, certificates: &[&[u8]]) -> Result<VerifiedAssertion, SamlError> {
        let trusted = certificates.iter().map(|der| TrustedCertificate::from_der(der).unwrap()).collect();
        let anchors = TrustAnchors::new(trusted).unwrap();
        verify_response(xml.as_bytes(), &anchors, &expectations(), now(), &mut Checks::default())
    }

    #[test]
    fn every_curve_verifies_with_every_hash() {
        for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ECDSA_P521_SHA512] {
            let (key, certificate) = key_pair(algorithm);
            for (method, digest) in [
                ("sha256", "2001/04/xmlenc#sha256"),
                ("sha384", "2001/04/xmldsig-more#sha384"),
                ("sha512", "2001/04/xmlenc#sha512"),
            ] {
                let template = to_be_signed(Sign::Assertion)
                    .replace("#ecdsa-sha256", &format!("#ecdsa-{method}"))
                    .replace("2001/04/xmlenc#sha256", digest);
                let xml = signed_by(&template, &key);
                assert!(
                    verify_by(&xml, &[&certificate]).is_ok(),
                    "{algorithm:?} {method}: {:?}",
                    verify_by(&xml, &[&certificate])
                );
            }
        }
    }

    #[test]
    fn any_trusted_key_will_do_and_no_other() {
        let rsa = rustls_pki_types::CertificateDer::from_pem_slice(include_bytes!("keys/testdata/rsa_2048.crt")).unwrap();
        let (other, curve) = (key_pair(&rcgen::PKCS_ECDSA_P256_SHA256), key_pair(&rcgen::PKCS_ECDSA_P384_SHA384));
        let (key, certificate) = key_pair(&rcgen::PKCS_ECDSA_P256_SHA256);
        let xml = signed_by(&to_be_signed(Sign::Response), &key);
        assert!(verify_by(&xml, &[&rsa, &other.1, &curve.1, &certificate]).is_ok());
        let error = verify_by(&xml, &[&rsa, &other.1, &curve.1]).unwrap_err();
        assert_eq!(error, SamlError::SignatureInvalid(super::MADE_WITH_ANOTHER_KEY));
        assert!(error.explained().contains("after a key change at the IdP"));
        assert_eq!(verify_by(&xml, &[&rsa]).unwrap_err().code(), "signature_invalid");
    }

    #[test]
    fn whose_key_it_is_is_asked_before_what_it_covers() {
        let changed = response(Sign::Both, &[]).replace("alice", "admin");
        let error = verify(&changed).unwrap_err();
        assert_eq!(error, SamlError::SignatureInvalid("what it covers was changed after it was signed"));
        let (_, other) = key_pair(&rcgen::PKCS_ECDSA_P256_SHA256);
        assert_eq!(verify_by(&changed, &[&other]).unwrap_err(), SamlError::SignatureInvalid(super::MADE_WITH_ANOTHER_KEY));
        // What the key signed is SignedInfo as a whole.
        for sign in [Sign::Response, Sign::Assertion] {
            let changed = response(sign, &[]).replace("<ds:Reference URI=", "<ds:Reference Id=\"x\" URI=");
            assert_eq!(verify(&changed).unwrap_err(), SamlError::SignatureInvalid(super::MADE_WITH_ANOTHER_KEY));
        }
    }

    #[test]
    fn the_certificate_in_the_message_is_not_trusted() {
        use base64::Engine;
        let (key, certificate) = key_pair(&rcgen::PKCS_ECDSA_P256_SHA256);
        let certificate = base64::engine::general_purpose::STANDARD.encode(certificate);
        let info = format!(
            "<ds:SignatureValue/><ds:KeyInfo><ds:X509Data><ds:X509Certificate>{certificate}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>"
        );
        let xml = signed_by(&to_be_signed(Sign::Assertion).replace("<ds:SignatureValue/>", &info), &key);
        assert_eq!(verify(&xml).unwrap_err().code(), "signature_invalid");
        // And a good signature stays good with that certificate beside it.
        let good = response(Sign::Assertion, &[]);
        let info = info.replace("<ds:SignatureValue/>", "</ds:SignatureValue>");
        assert!(verify(&good.replace("</ds:SignatureValue>", &info)).is_ok());
        assert_eq!(anchors().certificates().len(), 1);
    }

    #[test]
    fn every_genuine_form_is_accepted() {
        let exclusive = "http://www.w3.org/2001/10/xml-exc-c14n#";
        let inclusive = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315";
        let inclusive_11 = "http://www.w3.org/2006/12/xml-c14n11";
        let bare = |name: &str, uri: &str| format!("<ds:{name} Algorithm=\"{uri}\"/>");
        let method = |uri: &str| bare("CanonicalizationMethod", uri);
        let transform = |uri: &str| bare("Transform", uri);
        let listing = |name: &str, list: &str| {
            let inside = format!("<ec:InclusiveNamespaces xmlns:ec=\"{exclusive}\" PrefixList=\"{list}\"/>");
            format!("<ds:{name} Algorithm=\"{exclusive}\">{inside}</ds:{name}>")
        };
        let forms = [
            (method(inclusive), transform(exclusive)),
            (method(inclusive_11), transform(exclusive)),
            (method(inclusive), transform(inclusive)),
            (method(inclusive_11), transform(inclusive_11)),
            (method(inclusive), String::new()),
            (listing("CanonicalizationMethod", "xs p a"), transform(exclusive)),
            (listing("CanonicalizationMethod", "#default xs"), listing("Transform", "#default xs a")),
            (listing("CanonicalizationMethod", "nowhere"), listing("Transform", "")),
            (format!("\n <!-- c -->\n{}<!-- d -->", method(exclusive)), format!("\n\t{}\n", transform(exclusive))),
            (format!("\n <!-- c -->\n{}", method(inclusive)), format!("\n\t{}\n", transform(inclusive))),
            (format!("&#13;&#10;{}&#13;", method(inclusive)), format!("\r\n{}\r\n", transform(exclusive))),
        ];
        let above = [
            "xmlns:xs=\"http://www.w3.org/2001/XMLSchema\" xmlns:unused=\"urn:u\"",
            "xmlns=\"urn:d\" xmlns:xs=\"http://www.w3.org/2001/XMLSchema\" xml:lang=\"en\" xml:space=\"preserve\"",
        ];
        for sign in [Sign::Response, Sign::Assertion] {
            for (method_of_form, transform_of_form) in &forms {
                for above in above {
                    let xml = to_be_signed(sign).replace(&method(exclusive), method_of_form);
                    let xml = xml.replace(&transform(exclusive), transform_of_form);
                    let xml = signed_by(&xml.replacen("<p:Response ", &format!("<p:Response {above} "), 1), &idp().0);
                    let verified = verify(&xml).map(drop);
                    assert!(verified.is_ok(), "{method_of_form} {transform_of_form} {above}: {verified:?}");
                }
            }
        }
    }

    #[test]
    fn ecdsa_as_older_java_writes_it() {
        use base64::Engine;
        let engine = base64::engine::general_purpose::STANDARD;
        let (key, certificate) = key_pair(&rcgen::PKCS_ECDSA_P521_SHA512);
        let template = to_be_signed(Sign::Assertion).replace("#ecdsa-sha256", "#ecdsa-sha512");
        for _ in 0..60 {
            let xml = signed_by(&template, &key);
            let (before, rest) = xml.split_once("<ds:SignatureValue>").unwrap();
            let (value, after) = rest.split_once("</ds:SignatureValue>").unwrap();
            let value: String = value.chars().filter(|c| !c.is_whitespace()).collect();
            let value = engine.decode(value).unwrap();
            assert_eq!(value.len(), 132);
            // r and s in as many octets as the longer one needs.
            if value[0] != 0 || value[66] != 0 {
                continue;
            }
            let short = engine.encode([&value[1..66], &value[67..]].concat());
            let xml = format!("{before}<ds:SignatureValue>{short}</ds:SignatureValue>{after}");
            let outcome = verify_by(&xml, &[&certificate]);
            assert!(outcome.is_ok(), "{:?}", outcome.err());
            return;
        }
        panic!("no such signature");
    }
}
