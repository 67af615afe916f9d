//! Rule 4: an assertion that is encrypted, in a Response that is signed or not (Core 2.3.4).
//!
//! - Signed Response: the ciphertext is taken from the octets that were signed, so what it decrypts to was signed with it. The
//!   assertion needs no signature of its own; when it has one, that must verify too, and only its octets are read.
//! - Unsigned Response: anybody can have encrypted this. The assertion must be signed itself.

mod inside;

use inside::{Inside, Places, own_signature, signed_inside, signed_inside_blindly};

use super::validity::Moment;
use super::{accept, believe, opinion_on};
use crate::clock::Timestamp;
use crate::saml::decrypt::{Decryptor, Sealed, Surrounded};
use crate::saml::error::{SamlError, cut};
use crate::saml::expectations::{Checks, Expectations};
use crate::saml::guard::Guarded;
use crate::saml::keys::TrustAnchors;
use crate::saml::shape::{Content, ResponseShape};
use crate::saml::signature::Covered;
use crate::saml::verified::{SecondOpinion, VerifiedAssertion};
use crate::saml::xml::{ASSERTION, Element};

/// What an encrypted assertion is verified against.
pub(super) struct Rules<'r> {
    pub(super) anchors: &'r TrustAnchors,
    pub(super) expectations: &'r Expectations<'r>,
    pub(super) now: Timestamp,
}

impl<'r> Rules<'r> {
    fn decryptor(&self) -> Decryptor<'r> {
        Decryptor::of(self.expectations)
    }

    fn moment(&self) -> Moment {
        Moment { now: self.now, skew: self.expectations.clock_skew, max_age: self.expectations.max_age }
    }
}

/// Verifies a Response with an EncryptedAssertion.
///
/// # Errors
/// `DecryptionFailed`; as for any other response.
pub(super) fn verify(
    guarded: &Guarded<'_>,
    shape: &ResponseShape<'_>,
    encrypted: Element<'_>,
    rules: &Rules<'_>,
    checks: &mut Checks,
) -> Result<VerifiedAssertion, SamlError> {
    let places = Places { response: shape.response, encrypted };
    match shape.response_signature {
        Some(_) => in_signed_response(guarded, shape, &places, rules, checks),
        None => in_unsigned_response(&places, rules, checks),
    }
}

fn in_unsigned_response(places: &Places<'_>, rules: &Rules<'_>, checks: &mut Checks) -> Result<VerifiedAssertion, SamlError> {
    let sealed = lawful(places.encrypted, rules, checks)?;
    let opened = rules.decryptor().open(&sealed);
    let inside = if sealed.is_malleable() {
        // Whoever changes a ciphertext of CBC must not learn how far the plaintext got (the padding oracle's younger sister).
        let inside = signed_inside_blindly(opened, sealed.length(), places, rules);
        let inside = checks.rule("decryption", inside.map(|inside| (inside, "by one of our keys".to_owned())))?;
        checks.passed("signature", OWN_SIGNATURE);
        inside
    } else {
        let plaintext = checks.rule("decryption", opened.map(|plaintext| (plaintext, "by one of our keys".to_owned())))?;
        checks.rule("signature", signed_inside(&plaintext, places, rules).map(|inside| (inside, OWN_SIGNATURE.to_owned())))?
    };
    let Inside { signed, opinion } = inside;
    let opinion = checks.rule("second opinion", opinion_on(opinion))?;
    let document = checks.rule("signed content", read(signed.octets()))?;
    let assertion = checks.rule("assertion", document.root().and_then(described))?;
    accept(places.response, Covered::Assertion, assertion, rules.expectations, &rules.moment(), opinion, checks)
}

const OWN_SIGNATURE: &str = "the encrypted Assertion is signed by a certificate of the IdP";

fn in_signed_response(
    guarded: &Guarded<'_>,
    shape: &ResponseShape<'_>,
    places: &Places<'_>,
    rules: &Rules<'_>,
    checks: &mut Checks,
) -> Result<VerifiedAssertion, SamlError> {
    let (signed, opinion) = believe(guarded, shape, rules.anchors, rules.expectations, checks)?;
    let outer = checks.rule("signed content", read(signed.octets()))?;
    let outer = ResponseShape::of(&outer).and_then(|outer| match outer.content {
        Content::Encrypted(encrypted) => Ok((outer.response, encrypted)),
        Content::Assertion(_) | Content::Nothing => Err(SamlError::SignatureNotCovering("the EncryptedAssertion is not signed")),
    });
    let (response, encrypted) = match outer {
        Ok(outer) => outer,
        Err(error) => return checks.rule("signed structure", Err(error)),
    };
    let sealed = lawful(encrypted, rules, checks)?;
    let plaintext = rules.decryptor().open(&sealed).map(|plaintext| (plaintext, "by one of our keys".to_owned()));
    let plaintext = checks.rule("decryption", plaintext)?;

    // Without a signature of its own it is read with the namespaces that were signed around it, and no others: a declaration that
    // the signature does not cover could give it other names.
    let text = Surrounded::inside(encrypted, &plaintext);
    let document = text.as_ref().map_err(SamlError::clone).and_then(Surrounded::read);
    let unreadable = match document.as_ref().map_err(SamlError::clone).and_then(own_signature) {
        Ok((assertion, None)) => {
            let assertion = checks.rule("assertion", described(assertion))?;
            return accept(response, Covered::Response, assertion, rules.expectations, &rules.moment(), opinion, checks);
        }
        Ok((_, Some(_))) => None,
        Err(error) => Some(error),
    };
    let inside = signed_inside(&plaintext, places, rules).map_err(|error| unreadable.unwrap_or(error));
    let Inside { signed, opinion: own } =
        checks.rule("assertion signature", inside.map(|inside| (inside, "the encrypted Assertion is signed, too".to_owned())))?;
    let own = checks.rule("assertion second opinion", opinion_on(own))?;
    let document = checks.rule("assertion content", read(signed.octets()))?;
    let assertion = checks.rule("assertion", document.root().and_then(described))?;
    let opinion = if own == SecondOpinion::Agreed { opinion } else { own };
    accept(response, Covered::Response, assertion, rules.expectations, &rules.moment(), opinion, checks)
}

/// The encrypted element's form and algorithms: public, so that a refusal may say to `samlgate explain` what is wrong.
fn lawful(encrypted: Element<'_>, rules: &Rules<'_>, checks: &mut Checks) -> Result<Sealed, SamlError> {
    match rules.decryptor().sealed(encrypted) {
        Ok(sealed) => {
            checks.passed("encryption", sealed.describe());
            Ok(sealed)
        }
        Err((error, why)) => {
            checks.failed("encryption", format!("{error}: {why}"));
            Err(error)
        }
    }
}

fn read(octets: &[u8]) -> Result<(Guarded<'_>, String), SamlError> {
    Guarded::read(octets).map(|document| (document, "parsed from the octets whose digest is signed".to_owned()))
}

fn described(assertion: Element<'_>) -> Result<(Element<'_>, String), SamlError> {
    if !assertion.is(ASSERTION, "Assertion") {
        return Err(SamlError::SignatureNotCovering("the signed element is not the Response's Assertion"));
    }
    let detail = format!("its ID is {:?}", cut(assertion.attribute("ID").unwrap_or_default()));
    Ok((assertion, detail))
}
