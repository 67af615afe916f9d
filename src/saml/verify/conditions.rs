//! Rules 6 and 11: Conditions (Core 2.5.1).

use super::response::only_child;
use super::validity::{Moment, instant};
use crate::clock::Timestamp;
use crate::saml::error::{SamlError, cut};
use crate::saml::expectations::Expectations;
use crate::saml::xml::{ASSERTION, Element, trim};

/// The Conditions element, and when it ends.
#[derive(Clone, Copy)]
pub(super) struct Conditions<'d> {
    /// The element.
    pub(super) element: Element<'d>,
    /// NotOnOrAfter, which is optional (Core 2.5.1.2): the bearer confirmation always ends.
    pub(super) not_on_or_after: Option<Timestamp>,
}

/// Core 2.5.1.2: valid now. That there are Conditions is Profiles 4.1.4.2's demand, since it demands an audience.
pub(super) fn window<'d>(assertion: Element<'d>, moment: &Moment) -> Result<(Conditions<'d>, String), SamlError> {
    let element = only_child(assertion, ASSERTION, "Conditions")?.ok_or(SamlError::ConditionsMissing)?;
    let not_before = instant(element, "NotBefore")?;
    let not_on_or_after = instant(element, "NotOnOrAfter")?;
    if let Some(at) = not_before {
        moment.begun("the Assertion", at)?;
    }
    if let Some(at) = not_on_or_after {
        moment.not_ended("the Assertion", at)?;
    }
    let show = |at: Option<Timestamp>| at.map_or_else(|| "any time".to_owned(), |at| at.to_string());
    let detail = format!("valid from {} until {}, now is {}", show(not_before), show(not_on_or_after), moment.now);
    Ok((Conditions { element, not_on_or_after }, detail))
}

/// Core 2.5.1.4: of every AudienceRestriction, one Audience is us. Profiles 4.1.4.2: there is at least one.
pub(super) fn audience(conditions: Element<'_>, expectations: &Expectations<'_>) -> Result<((), String), SamlError> {
    let mut restrictions = 0;
    for restriction in conditions.children_named(ASSERTION, "AudienceRestriction") {
        restrictions += 1;
        let audiences: Vec<_> = restriction.children_named(ASSERTION, "Audience").filter_map(Element::text).collect();
        if !audiences.iter().any(|audience| trim(audience) == expectations.sp_entity_id) {
            let got = audiences.iter().take(10).map(|audience| cut(trim(audience))).collect();
            return Err(SamlError::AudienceMismatch { expected: expectations.sp_entity_id.to_owned(), got });
        }
    }
    match restrictions {
        0 if expectations.compat.no_audience => Ok(((), "none given, which compat = [\"no-audience\"] allows".to_owned())),
        0 => Err(SamlError::AudienceMismatch { expected: expectations.sp_entity_id.to_owned(), got: Vec::new() }),
        _ => Ok(((), expectations.sp_entity_id.to_owned())),
    }
}

/// Core 2.5.1.1: a condition that is not understood makes the validity undetermined, so it refuses. OneTimeUse (2.5.1.5) is kept
/// for every assertion anyway; ProxyRestriction (2.5.1.6) binds those who issue further assertions.
pub(super) fn known(conditions: Element<'_>) -> Result<((), String), SamlError> {
    let unknown = conditions.children().find(|condition| {
        !(condition.namespace() == ASSERTION
            && matches!(condition.local_name(), "AudienceRestriction" | "OneTimeUse" | "ProxyRestriction"))
    });
    match unknown {
        Some(condition) => Err(SamlError::UnknownCondition(cut(&condition.expanded_name()))),
        None => Ok(((), "all conditions are understood".to_owned())),
    }
}
