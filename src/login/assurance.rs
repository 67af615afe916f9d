//! How good a login is: what the IdP is asked for, and what its answer proves.

use super::refusal::LoginError;
use crate::access::{Assurance, Visitor};
use crate::clock::Timestamp;
use crate::saml::VerifiedAssertion;
use crate::session::Session;
use crate::store::PendingLogin;

/// The context classes that a login may have, both to request and to accept: those of the rule that stand in the IdP's own
/// `authn_context` too. A list that is empty means any; so does the result, and it is empty only when both are.
///
/// # Errors
/// `NoContextLeft`, when each asks for what the other one excludes. It is never "any".
pub(super) fn accepted_contexts(idp: &[String], rule: &[String]) -> Result<Vec<String>, LoginError> {
    if idp.is_empty() || rule.is_empty() {
        return Ok([idp, rule].concat());
    }
    let both: Vec<String> = rule.iter().filter(|class| idp.contains(class)).cloned().collect();
    if both.is_empty() { Err(LoginError::NoContextLeft) } else { Ok(both) }
}

/// When the user authenticated anew, if it is certain: the answer is to a request with ForceAuthn that we remember, and AuthnInstant
/// was found not to contradict it. By our clock the moment lies between the request and the answer, whatever the IdP's clock says.
pub(super) fn reauthenticated(pending: &PendingLogin, assertion: &VerifiedAssertion, now: Timestamp) -> Option<Timestamp> {
    pending.force_authn.then(|| assertion.authn_instant().max(pending.started).min(now))
}

/// A login that took longer at the IdP than the rule allows would only be sent back there: the user is told instead.
///
/// # Errors
/// `TookTooLong`.
pub(super) fn must_be_young_enough(
    assurance: &Assurance,
    reauthenticated: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), LoginError> {
    match assurance.max_auth_age {
        Some(most) if reauthenticated.is_none_or(|at| now.since(at) > most) => Err(LoginError::TookTooLong(most)),
        _ => Ok(()),
    }
}

/// What a session that is replaced proves about its successor: the same subject authenticated anew in this browser then.
pub(super) fn inherited(old: &Session, assertion: &VerifiedAssertion, now: Timestamp) -> Option<Timestamp> {
    let same = old.subject() == (assertion.issuer(), assertion.name_id().value.as_str());
    if same && old.is_live(now) { old.reauthenticated() } else { None }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn list(classes: &[&str]) -> Vec<String> {
        classes.iter().map(|&class| class.to_owned()).collect()
    }

    #[test]
    fn what_both_ask_for_is_accepted_and_a_contradiction_is_not_taken_for_any() {
        let accepted = |idp: &[&str], rule: &[&str]| accepted_contexts(&list(idp), &list(rule));
        assert_eq!(accepted(&[], &[]), Ok(Vec::new()));
        assert_eq!(accepted(&["a", "b"], &[]), Ok(list(&["a", "b"])));
        assert_eq!(accepted(&[], &["c"]), Ok(list(&["c"])));
        assert_eq!(accepted(&["a", "b"], &["c", "b"]), Ok(list(&["b"])));
        assert_eq!(accepted(&["a"], &["c"]), Err(LoginError::NoContextLeft));
    }

    #[test]
    fn a_login_that_proves_nothing_is_never_young_enough() {
        let within = |at: Option<i64>| {
            let assurance = Assurance { max_auth_age: Some(Duration::from_secs(60)), authn_context: Vec::new() };
            must_be_young_enough(&assurance, at.map(Timestamp::from_unix), Timestamp::from_unix(1_000))
        };
        assert!(within(Some(1_000)).is_ok() && within(Some(940)).is_ok());
        assert_eq!(within(Some(939)), Err(LoginError::TookTooLong(Duration::from_secs(60))));
        assert!(within(None).is_err());
        assert!(must_be_young_enough(&Assurance::default(), None, Timestamp::from_unix(1_000)).is_ok());
    }
}
