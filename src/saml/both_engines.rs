//! Both signature engines on one document, each asked without the other: for tests and for fuzzing, no part of the product.
//!
//! At a login the second engine sees only what the first has verified. Whether the first refuses something that the second would
//! believe, nobody would ever learn. Here both see every document that could come as far as an engine: whatever passes the guard,
//! has its signatures where they belong, and in the form that they must have. So nothing is fetched or run here either.

use super::error::SamlError;
use super::expectations::Compat;
use super::guard::Guarded;
use super::keys::TrustAnchors;
use super::logout::{LogoutError, MessageKind, signed_message};
use super::second_opinion;
use super::shape::ResponseShape;
use super::signature::{self, Placed};
use super::signature_form::SignatureForm;
use super::verified::Abstention;

/// What kind of message a document is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// A Response.
    Response,
    /// A LogoutRequest or LogoutResponse.
    Logout(MessageKind),
    /// A LogoutRequest in a SOAP envelope.
    Soap,
}

/// Which engine is asked first. Neither may leave anything behind that changes what the other says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// bergshamra, then libxmlsec1, as at a login.
    FirstThenSecond,
    /// The other way round.
    SecondThenFirst,
}

/// What came of it, when there is nothing to be worried about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Refused before any engine is asked, for this reason code.
    NotAsked(&'static str),
    /// Neither believes it.
    BothRefuse,
    /// Both hashed these octets, and a trusted key signed them.
    Agree(Vec<u8>),
    /// The second engine is known not to be able to judge it, and doesn't. What the first one read, if it believes it.
    Abstained(Abstention, Option<Vec<u8>>),
}

/// The engines do not say the same: always a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disagreement {
    /// The octets that the first engine and our digest check read, or why they don't.
    pub first: Result<Vec<u8>, SamlError>,
    /// The octets that the second engine hashed, or why it didn't.
    pub second: Result<Vec<u8>, &'static str>,
}

/// Asks both.
///
/// # Errors
/// [`Disagreement`].
pub fn ask(
    octets: &[u8],
    message: Message,
    anchors: &TrustAnchors,
    compat: Compat,
    order: Order,
) -> Result<Outcome, Disagreement> {
    let guarded = match Guarded::read(octets) {
        Ok(guarded) => guarded,
        Err(error) => return Ok(Outcome::NotAsked(error.code())),
    };
    let placed = match placed(&guarded, message) {
        Ok(placed) => placed,
        Err(code) => return Ok(Outcome::NotAsked(code)),
    };
    let forms: Result<Vec<_>, _> = placed.iter().map(|at| SignatureForm::read(at.signature, at.signed, compat)).collect();
    let forms = match forms {
        Ok(forms) => forms,
        Err(error) => return Ok(Outcome::NotAsked(error.code())),
    };
    let Some(family) = forms.first().map(|form| form.family) else {
        return Ok(Outcome::NotAsked(SamlError::SignatureMissing.code()));
    };
    if forms.iter().any(|form| form.family != family) {
        // Ours to refuse: the second engine takes keys of one kind only.
        return Ok(Outcome::NotAsked("algorithm_forbidden"));
    }

    let sha1 = forms.iter().any(SignatureForm::uses_sha1);
    let ask_first = || signature::verify(&guarded, &placed, anchors, compat).map(|signed| signed.octets().to_vec());
    let ask_second = || second_opinion::alone(&guarded, anchors, family, sha1);
    let (first, second) = match order {
        Order::FirstThenSecond => {
            let first = ask_first();
            (first, ask_second())
        }
        Order::SecondThenFirst => {
            let second = ask_second();
            (ask_first(), second)
        }
    };
    match (second_opinion::abstention(&guarded), first, second) {
        (Some(why), first, Err(_)) => Ok(Outcome::Abstained(why, first.ok())),
        (_, Err(_), Err(_)) => Ok(Outcome::BothRefuse),
        (_, Ok(first), Ok(second)) if first == second => Ok(Outcome::Agree(first)),
        (_, first, second) => Err(Disagreement { first, second }),
    }
}

/// Which signatures stand where signatures may stand; otherwise the reason code.
fn placed<'d>(guarded: &'d Guarded<'_>, message: Message) -> Result<Vec<Placed<'d>>, &'static str> {
    let message = match message {
        Message::Response => return ResponseShape::of(guarded).map(|shape| shape.signatures()).map_err(|error| error.code()),
        Message::Logout(kind) => signed_message(guarded, Some(kind)),
        Message::Soap => signed_message(guarded, None),
    };
    message.map(|placed| vec![placed]).map_err(|error: LogoutError| error.code())
}

#[cfg(test)]
mod tests;
