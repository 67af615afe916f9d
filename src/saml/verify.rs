//! The verification core: octets in, a verified assertion or a reason out. Pure: no clock, no randomness, no input or output.

mod conditions;
mod encrypted;
pub(in crate::saml) mod response;
mod statements;
pub(in crate::saml) mod subject;
#[cfg(test)]
mod tests;
pub(in crate::saml) mod validity;

use super::decrypt::Decryptor;
use super::error::{SamlError, cut};
use super::expectations::{Checks, Expectations};
use super::guard::Guarded;
use super::keys::TrustAnchors;
use super::shape::{Content, ResponseShape};
use super::signature::{self, Covered, SignedXml};
use super::verified::{SecondOpinion, VerifiedAssertion};
use super::xml::{ASSERTION, Element};
use crate::clock::Timestamp;
use crate::give_way::give_way;
use encrypted::Rules;
use validity::Moment;

/// Verifies a Response that was posted to the assertion consumer service and returns its one assertion.
///
/// In this order, each rule noted in `checks` once, the last one being the one that failed:
/// 1. The guard: size, UTF-8, strict XML, budgets, no DOCTYPE or processing instruction, unique IDs, a Response with exactly one
///    Assertion or EncryptedAssertion, signatures only at the two lawful places (Core 3.2.2, 3.3.3, 5.4).
/// 2. The signatures: at least one, all of them good, by a trusted key, over the Response or the Assertion that they stand in,
///    with allowed algorithms only (Core 5.4, Profiles 4.1.4.5).
/// 3. Only what was signed is read: the octets whose digest the key signed. The second engine hashed the same.
/// 4. An encrypted assertion is decrypted (Core 2.3.4), then rules 1 to 3 hold for what is inside.
/// 5. Version, Status, Issuer, Destination and IssueInstant (Core 3.2.2, 2.3.3; Bindings 3.5.5.2; Profiles 4.1.4.2, 4.1.4.3).
/// 6. Conditions and every AudienceRestriction (Core 2.5.1).
/// 7. A bearer SubjectConfirmation with Recipient and NotOnOrAfter (Profiles 4.1.4.2, 4.1.4.3).
/// 8. InResponseTo: that of our request, or nowhere when nothing was asked (Profiles 4.1.4.3, 4.1.5).
/// 9. An AuthnStatement, the IdP's session, the authentication context (Core 2.7.2, Profiles 4.1.4.2).
/// 10. The NameID: one, whole, not empty (Core 2.2.3).
/// 11. No condition that is not understood (Core 2.5.1.1).
///
/// That an assertion is used only once is state, and the caller's to check: [`VerifiedAssertion::id`] and
/// [`VerifiedAssertion::claim_until`] say what to remember and how long.
///
/// # Errors
/// One [`SamlError`] per rule that can fail.
pub fn verify_response(
    octets: &[u8],
    anchors: &TrustAnchors,
    expectations: &Expectations<'_>,
    now: Timestamp,
    checks: &mut Checks,
) -> Result<VerifiedAssertion, SamlError> {
    // Rule 1 (Core 3.2.2, 3.3.3).
    let guarded = checks.rule(
        "form",
        Guarded::read(octets).map(|guarded| (guarded, format!("well-formed XML of {} octets, nothing forbidden", octets.len()))),
    )?;
    let shape = checks.rule("structure", ResponseShape::of(&guarded).map(|shape| (shape, describe(&shape))))?;
    let wanted = match shape.content {
        Content::Assertion(assertion) => assertion,
        // Rule 4 (Core 2.3.4) comes before the others when only what is inside is signed.
        Content::Encrypted(encrypted) => {
            return encrypted::verify(&guarded, &shape, encrypted, &Rules { anchors, expectations, now }, checks);
        }
        // An IdP that refuses sends no assertion, and often no signature. Nothing is believed of it but that it refuses.
        Content::Nothing => {
            checks.rule("status", response::status(shape.response))?;
            return checks.rule("assertion", Err(SamlError::AssertionCount(0)));
        }
    };

    // Rules 2 and 3 (Core 5.4).
    let (signed, second_opinion) = believe(&guarded, &shape, anchors, expectations, checks)?;
    let inner = checks.rule(
        "signed content",
        Guarded::read(signed.octets()).map(|inner| (inner, "parsed from the octets whose digest is signed".to_owned())),
    )?;
    let (response, assertion) = checks.rule("assertion", signed_parts(&inner, &shape, wanted))?;
    let moment = Moment { now, skew: expectations.clock_skew, max_age: expectations.max_age };
    accept(response, shape.covered(), assertion, expectations, &moment, second_opinion, checks)
}

/// The Response and its Assertion: both from the signed octets, or, when only the Assertion is signed, the Assertion from there
/// and the Response from the message. What stands in an unsigned Response may only refuse.
fn signed_parts<'d>(
    inner: &'d Guarded<'_>,
    outer: &ResponseShape<'d>,
    wanted: Element<'_>,
) -> Result<((Element<'d>, Element<'d>), String), SamlError> {
    let (response, assertion) = match outer.covered() {
        Covered::Response => {
            let shape = ResponseShape::of(inner)?;
            let Content::Assertion(assertion) = shape.content else { return Err(SamlError::AssertionCount(0)) };
            (shape.response, assertion)
        }
        Covered::Assertion => (outer.response, inner.root()?),
    };
    let id = assertion.attribute("ID").unwrap_or_default();
    if !assertion.is(ASSERTION, "Assertion") || wanted.attribute("ID") != Some(id) {
        return Err(SamlError::SignatureNotCovering("the signed element is not the Response's Assertion"));
    }
    Ok(((response, assertion), format!("its ID is {:?}", cut(id))))
}

/// Whether a Response, verified or not, reports success (Core 3.2.2.2).
///
/// # Errors
/// `StatusNotSuccess`, or `WrongDocument` for more than one status.
pub(in crate::saml) fn response_status(response: Element<'_>) -> Result<(), SamlError> {
    response::status(response).map(|_| ())
}

fn describe(shape: &ResponseShape<'_>) -> String {
    let content = match shape.content {
        Content::Assertion(_) => "one assertion",
        Content::Encrypted(_) => "one encrypted assertion",
        Content::Nothing => "no assertion",
    };
    format!("a SAML 2.0 Response with {content}")
}

/// Rules 2 and 3: the signatures, the second engine.
fn believe(
    guarded: &Guarded<'_>,
    shape: &ResponseShape<'_>,
    anchors: &TrustAnchors,
    expectations: &Expectations<'_>,
    checks: &mut Checks,
) -> Result<(SignedXml, SecondOpinion), SamlError> {
    give_way();
    let signed = signature::verify(guarded, &shape.signatures(), anchors, expectations.compat).map(|signed| {
        let what = match (shape.covered(), signed.signatures()) {
            (Covered::Response, 1) => "the Response is signed",
            (Covered::Response, _) => "the Response and its Assertion are signed",
            (Covered::Assertion, _) => "the Assertion is signed",
        };
        (signed, format!("{what} by a certificate of the IdP"))
    });
    let signed = checks.rule("signature", signed)?;
    give_way();
    let opinion = checks.rule("second opinion", opinion_on(second_opinion(guarded, &signed, anchors)))?;
    Ok((signed, opinion))
}

/// What the second engine said, in plain words.
fn opinion_on(opinion: Result<SecondOpinion, SamlError>) -> Result<(SecondOpinion, String), SamlError> {
    opinion.map(|opinion| {
        let detail = match opinion {
            SecondOpinion::Agreed => "the second engine read the same octets".to_owned(),
            SecondOpinion::Abstained(why) => format!("the second engine abstains: {}", why.code()),
            SecondOpinion::NotBuilt => "not part of this build".to_owned(),
        };
        (opinion, detail)
    })
}

/// Sets the signature engines up and tries them on a constant document. To be called once at start; without it, the first
/// response pays for it.
///
/// # Errors
/// `EnginesDisagree` when an engine of this build doesn't work.
pub fn prepare() -> Result<(), SamlError> {
    #[cfg(feature = "second-opinion")]
    super::second_opinion::self_test()?;
    Ok(())
}

#[cfg(feature = "second-opinion")]
pub(in crate::saml) use super::second_opinion::ask as second_opinion;

/// Without the second engine.
#[cfg(not(feature = "second-opinion"))]
pub(in crate::saml) fn second_opinion(_: &Guarded<'_>, _: &SignedXml, _: &TrustAnchors) -> Result<SecondOpinion, SamlError> {
    Ok(SecondOpinion::NotBuilt)
}

/// Rules 5 to 11, on what was signed and on the Response around it.
fn accept(
    response: Element<'_>,
    covered: Covered,
    assertion: Element<'_>,
    expectations: &Expectations<'_>,
    moment: &Moment,
    second_opinion: SecondOpinion,
    checks: &mut Checks,
) -> Result<VerifiedAssertion, SamlError> {
    // Rule 5 (Core 3.2.2, 2.3.3; Bindings 3.5.5.2; Profiles 4.1.4.2).
    checks.rule("version", response::versions(response, assertion))?;
    checks.rule("status", response::status(response))?;
    checks.rule("issuer", response::issuers(response, covered, assertion, expectations.idp_entity_id))?;
    let destination = checks.rule("destination", response::destination(response, covered, expectations.acs_urls))?;
    let issued = checks.rule("issue instant", response::issued(response, assertion, moment))?;
    // Rule 6 (Core 2.5.1).
    let conditions = checks.rule("conditions", conditions::window(assertion, moment))?;
    checks.rule("audience", conditions::audience(conditions.element, expectations))?;
    // Rule 7 (Profiles 4.1.4.2, 4.1.4.3).
    let acs_urls = match &destination {
        Some(url) => std::slice::from_ref(url),
        None => expectations.acs_urls,
    };
    let (subject, confirmations) = checks.rule("subject confirmation", subject::confirmations(assertion, acs_urls, moment))?;
    // Rule 8 (Profiles 4.1.4.3, 4.1.5).
    let in_response_to = subject::in_response_to(response, subject, confirmations, &expectations.expected);
    let confirmed_until = checks.rule("in response to", in_response_to)?;
    // Rule 9 (Core 2.7.2, Profiles 4.1.4.2).
    let authentication = checks.rule("authentication", statements::authentication(assertion, expectations, moment))?;
    // Rule 10 (Core 2.2.3).
    let decryptor = Decryptor::of(expectations);
    let name_id = checks.rule("name id", subject::name_id(subject, expectations.sp_entity_id, &decryptor))?;
    // Rule 11 (Core 2.5.1.1).
    checks.rule("unknown conditions", conditions::known(conditions.element))?;
    let attributes = checks.rule("attributes", statements::attributes(assertion, &decryptor))?;

    let last = [Some(confirmed_until), conditions.not_on_or_after, Some(issued.plus(expectations.max_age))];
    let last = last.into_iter().flatten().min().unwrap_or(confirmed_until);
    Ok(VerifiedAssertion {
        id: assertion.attribute("ID").unwrap_or_default().to_owned(),
        issuer: expectations.idp_entity_id.to_owned(),
        name_id,
        attributes,
        session_index: authentication.session_index,
        authn_instant: authentication.instant,
        session_not_on_or_after: authentication.session_not_on_or_after,
        authn_context: authentication.context,
        issued,
        // Accepted until `last` and the skew; one skew more, for replicas whose clocks differ.
        claim_until: last.plus(expectations.clock_skew).plus(expectations.clock_skew),
        second_opinion,
    })
}
