//! Rule 9, and the attributes: what the assertion states about its subject.

use std::collections::HashMap;

use super::response::only_child;
use super::validity::{Moment, instant, required_instant};
use crate::clock::Timestamp;
use crate::saml::decrypt::Decryptor;
use crate::saml::error::{SamlError, cut};
use crate::saml::expectations::Expectations;
use crate::saml::verified::Attribute;
use crate::saml::xml::{ASSERTION, Element, SCHEMA_INSTANCE, trim};

/// How and when the subject authenticated.
pub(super) struct Authentication {
    /// AuthnInstant, at the latest now.
    pub(super) instant: Timestamp,
    /// SessionIndex.
    pub(super) session_index: Option<String>,
    /// The earliest SessionNotOnOrAfter.
    pub(super) session_not_on_or_after: Option<Timestamp>,
    /// AuthnContextClassRef.
    pub(super) context: Option<String>,
}

/// Profiles 4.1.4.2: at least one AuthnStatement; the IdP's session, if it ends, has not ended (Core 2.7.2); the context is one
/// that is accepted; after a request with ForceAuthn (Core 3.4.1) the user authenticated after it. With several statements, the
/// first that fits counts, and the earliest end.
pub(super) fn authentication(
    assertion: Element<'_>,
    expectations: &Expectations<'_>,
    moment: &Moment,
) -> Result<(Authentication, String), SamlError> {
    let accepted = expectations.authn_context;
    let mut chosen: Option<Authentication> = None;
    let mut refused: Option<SamlError> = None;
    let mut ends: Option<Timestamp> = None;
    for statement in assertion.children_named(ASSERTION, "AuthnStatement") {
        let end = instant(statement, "SessionNotOnOrAfter")?;
        // Without the skew: a session that is over by our clock would only send the user back at once.
        if let Some(at) = end
            && moment.now >= at
        {
            return Err(SamlError::SessionExpiredAtIdp { at: at.to_string() });
        }
        ends = [ends, end].into_iter().flatten().min();
        let authentication = read(statement, moment)?;
        let context = authentication.context.as_deref().unwrap_or_default();
        if !accepted.is_empty() && !accepted.iter().any(|class| class == context) {
            refused.get_or_insert(SamlError::AuthnContext { got: cut(context) });
        } else if let Some(asked) =
            expectations.authenticated_since.filter(|asked| is_before(authentication.instant, *asked, moment))
        {
            refused.get_or_insert(SamlError::AuthnTooOld { at: authentication.instant.to_string(), asked: asked.to_string() });
        } else {
            chosen.get_or_insert(authentication);
        }
    }
    match (chosen, refused) {
        (Some(chosen), _) => {
            let context = chosen.context.as_deref().map_or_else(String::new, |context| format!(", {}", cut(context)));
            let detail = format!("at {}{context}", chosen.instant);
            Ok((Authentication { session_not_on_or_after: ends, ..chosen }, detail))
        }
        (None, Some(refused)) => Err(refused),
        (None, None) => Err(SamlError::AuthnStatementMissing),
    }
}

/// Whether the user authenticated before a request was sent, as far as the clocks agree. Many IdPs write whole seconds only.
fn is_before(instant: Timestamp, asked: Timestamp, moment: &Moment) -> bool {
    instant < Timestamp::from_unix(asked.unix()).minus(moment.skew)
}

fn read(statement: Element<'_>, moment: &Moment) -> Result<Authentication, SamlError> {
    // Some IdPs' clocks disagree with themselves; but a later authentication than now would pass every rule about its age.
    let instant = required_instant(statement, "AuthnInstant")?.min(moment.now);
    // An empty one names no session, and a logout that names one would pass it by.
    let session_index = statement.attribute("SessionIndex").filter(|index| !index.is_empty()).map(str::to_owned);
    if session_index.as_deref().is_some_and(|index| index.chars().any(char::is_control)) {
        return Err(SamlError::WrongDocument { expected: "a SessionIndex without control characters", got: String::new() });
    }
    let context = only_child(statement, ASSERTION, "AuthnContext")?;
    let class = context.map(|context| only_child(context, ASSERTION, "AuthnContextClassRef")).transpose()?.flatten();
    let context = class.and_then(Element::text).map(|text| trim(&text).to_owned()).filter(|text| !text.is_empty());
    Ok(Authentication { instant, session_index, session_not_on_or_after: None, context })
}

/// Most EncryptedAttributes: each may cost as much as a login.
const MAX_ENCRYPTED: usize = 32;

/// Core 2.7.3: all attributes in order; several elements of one Name are one attribute with all their values, so that none of
/// them silently wins. Attributes without a Name are left out. An encrypted one that can't be decrypted refuses the response: a
/// role that we can't read is not the same as none.
pub(super) fn attributes(assertion: Element<'_>, decryptor: &Decryptor<'_>) -> Result<(Vec<Attribute>, String), SamlError> {
    let mut attributes = Attributes::default();
    let mut encrypted = 0;
    for statement in assertion.children_named(ASSERTION, "AttributeStatement") {
        for element in statement.children() {
            if element.is(ASSERTION, "Attribute") {
                attributes.add(element);
            } else if element.is(ASSERTION, "EncryptedAttribute") {
                encrypted += 1;
                if encrypted > MAX_ENCRYPTED {
                    return Err(SamlError::TooLarge("more than 32 encrypted attributes"));
                }
                decryptor.inside(element, |inside| {
                    if !inside.is(ASSERTION, "Attribute") {
                        let got = cut(&inside.expanded_name());
                        return Err(SamlError::WrongDocument { expected: "an Attribute in EncryptedAttribute", got });
                    }
                    attributes.add(inside);
                    Ok(())
                })?;
            }
        }
    }
    let attributes = attributes.all;
    let names: Vec<_> = attributes.iter().map(|attribute| format!("{:?}", cut(&attribute.name))).collect();
    let detail = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    Ok((attributes, detail))
}

#[derive(Default)]
struct Attributes {
    all: Vec<Attribute>,
    places: HashMap<String, usize>,
}

impl Attributes {
    fn add(&mut self, element: Element<'_>) {
        let Some(name) = element.attribute("Name") else { return };
        let values = element.children_named(ASSERTION, "AttributeValue").filter_map(value);
        let place = *self.places.entry(name.to_owned()).or_insert(self.all.len());
        match self.all.get_mut(place) {
            Some(known) => known.values.extend(values),
            None => self.all.push(Attribute {
                name: name.to_owned(),
                friendly_name: element.attribute("FriendlyName").map(str::to_owned),
                values: values.collect(),
            }),
        }
    }
}

/// The whole text of a value, unchanged; an empty element is the empty string. `None` for xsi:nil and for other content than
/// text, except a NameID (as eduPersonTargetedID has it), of which the text is taken.
fn value(element: Element<'_>) -> Option<String> {
    if matches!(element.attribute_in(SCHEMA_INSTANCE, "nil"), Some("true" | "1")) {
        return None;
    }
    let mut children = element.children();
    match (children.next(), children.next()) {
        (None, _) => element.text(),
        (Some(name_id), None) if name_id.is(ASSERTION, "NameID") => name_id.text(),
        _ => None,
    }
}
