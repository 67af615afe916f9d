//! The shape of a Response: which element is its assertion, and which signatures stand where signatures may stand.

use super::error::{SamlError, cut};
use super::guard::Guarded;
use super::signature::{Covered, Placed};
use super::xml::{ASSERTION, Element, PROTOCOL, SIGNATURE};

/// What a Response is about.
#[derive(Clone, Copy)]
pub(in crate::saml) enum Content<'d> {
    /// Its one Assertion.
    Assertion(Element<'d>),
    /// Its one EncryptedAssertion.
    Encrypted(Element<'d>),
    /// Neither: what an IdP sends with an error status.
    Nothing,
}

/// A Response whose parts stand where they belong (rule 1).
#[derive(Clone, Copy)]
pub(in crate::saml) struct ResponseShape<'d> {
    /// The root.
    pub(in crate::saml) response: Element<'d>,
    /// What it holds.
    pub(in crate::saml) content: Content<'d>,
    /// The Response's own signature.
    pub(in crate::saml) response_signature: Option<Element<'d>>,
    /// The Assertion's own signature.
    pub(in crate::saml) assertion_signature: Option<Element<'d>>,
}

impl<'d> ResponseShape<'d> {
    /// Finds the parts of a Response.
    ///
    /// # Errors
    /// `WrongDocument`, `AssertionCount`, `DuplicateId`, `ForbiddenXml`.
    pub(in crate::saml) fn of(guarded: &'d Guarded<'_>) -> Result<Self, SamlError> {
        let response = guarded.root()?;
        if !response.is(PROTOCOL, "Response") {
            return Err(SamlError::WrongDocument { expected: "a SAML 2.0 Response", got: cut(&response.expanded_name()) });
        }
        let assertion = one(response.children_named(ASSERTION, "Assertion"))?;
        let encrypted = one(response.children_named(ASSERTION, "EncryptedAssertion"))?;
        let content = match (assertion, encrypted) {
            (Some(assertion), None) => Content::Assertion(assertion),
            (None, Some(encrypted)) => Content::Encrypted(encrypted),
            (None, None) => Content::Nothing,
            (Some(_), Some(_)) => return Err(SamlError::AssertionCount(2)),
        };
        refuse_misplaced(response, assertion)?;
        for element in [Some(response), assertion].into_iter().flatten() {
            if element.attribute("ID").is_none() {
                return Err(SamlError::DuplicateId("the Response or the Assertion has none"));
            }
        }
        Ok(Self {
            response,
            content,
            response_signature: signature_in(response)?,
            assertion_signature: assertion.map(signature_in).transpose()?.flatten(),
        })
    }

    /// Its signatures: the Response's first, which covers the Assertion too.
    pub(in crate::saml) fn signatures(&self) -> Vec<Placed<'d>> {
        let of_response = self.response_signature.map(|signature| Placed { signature, signed: self.response });
        let of_assertion = match (self.assertion_signature, self.content) {
            (Some(signature), Content::Assertion(signed)) => Some(Placed { signature, signed }),
            _ => None,
        };
        of_response.into_iter().chain(of_assertion).collect()
    }

    /// What its signatures cover, once they are verified.
    pub(in crate::saml) fn covered(&self) -> Covered {
        if self.response_signature.is_some() { Covered::Response } else { Covered::Assertion }
    }
}

/// The one Assertion in a document that holds what was decrypted, and its own Signature: nothing else in there may be an
/// assertion or a signature, as in a Response.
///
/// # Errors
/// `AssertionCount`, `DuplicateId`, `ForbiddenXml`.
pub(in crate::saml) fn decrypted_assertion<'d>(
    root: Element<'d>,
    decrypted: Element<'d>,
) -> Result<(Element<'d>, Option<Element<'d>>), SamlError> {
    if !decrypted.is(ASSERTION, "Assertion") {
        return Err(SamlError::AssertionCount(0));
    }
    refuse_misplaced(root, Some(decrypted))?;
    if decrypted.attribute("ID").is_none() {
        return Err(SamlError::DuplicateId("the Response or the Assertion has none"));
    }
    Ok((decrypted, signature_in(decrypted)?))
}

fn one<'d>(mut elements: impl Iterator<Item = Element<'d>>) -> Result<Option<Element<'d>>, SamlError> {
    let first = elements.next();
    match elements.count() {
        0 => Ok(first),
        more => Err(SamlError::AssertionCount(more + 1)),
    }
}

/// The Signature that stands directly in an element.
///
/// # Errors
/// `ForbiddenXml` for two.
pub(in crate::saml) fn signature_in(element: Element<'_>) -> Result<Option<Element<'_>>, SamlError> {
    let mut signatures = element.children_named(SIGNATURE, "Signature");
    match (signatures.next(), signatures.next()) {
        (_, Some(_)) => Err(SamlError::ForbiddenXml("two signatures in one element")),
        (first, None) => Ok(first),
    }
}

/// Refuses a Signature that doesn't stand directly in one of these elements, and what a signature may refer to or hide things in.
/// To be asked of every element below the root.
///
/// # Errors
/// `ForbiddenXml`, saying `elsewhere` of a Signature.
pub(in crate::saml) fn refuse_misplaced_signature(
    element: Element<'_>,
    lawful: &[Element<'_>],
    elsewhere: &'static str,
) -> Result<(), SamlError> {
    match (element.namespace(), element.local_name()) {
        (SIGNATURE, "Signature") => {
            let parent = element.parent().map(Element::node);
            if lawful.iter().any(|known| parent == Some(known.node())) {
                return Ok(());
            }
            Err(SamlError::ForbiddenXml(elsewhere))
        }
        (SIGNATURE, "Object" | "Manifest" | "SignatureProperties") => {
            Err(SamlError::ForbiddenXml("an Object or a Manifest in a signature"))
        }
        _ => Ok(()),
    }
}

/// Refuses an assertion, a Response or a signature anywhere but at its lawful place. The one exception is the Advice of the Assertion itself,
/// which may hold further assertions (Core 2.6.1): they are never read, and may not be signed.
fn refuse_misplaced(response: Element<'_>, assertion: Option<Element<'_>>) -> Result<(), SamlError> {
    let lawful: Vec<_> = [Some(response), assertion].into_iter().flatten().collect();
    let is_assertion = |element: Element<'_>| assertion.is_some_and(|known| known.node() == element.node());
    let mut stack: Vec<(Element<'_>, bool)> = response.children().map(|child| (child, false)).collect();
    while let Some((element, in_advice)) = stack.pop() {
        refuse_misplaced_signature(element, &lawful, "a signature elsewhere than in the Response or its Assertion")?;
        let parent = element.parent();
        let in_response = parent.is_some_and(|parent| parent.node() == response.node());
        match (element.namespace(), element.local_name()) {
            (PROTOCOL, "Response") => return Err(SamlError::ForbiddenXml("a Response inside the Response")),
            (ASSERTION, "Assertion" | "EncryptedAssertion") if !in_advice && !in_response => {
                return Err(SamlError::AssertionCount(2));
            }
            _ => {}
        }
        let in_advice = in_advice || (element.is(ASSERTION, "Advice") && parent.is_some_and(is_assertion));
        stack.extend(element.children().map(|child| (child, in_advice)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::saml::fixture::{Sign, response, verify};

    fn code(xml: &str) -> &'static str {
        verify(xml).map_or_else(|error| error.code(), |_| "accepted")
    }

    /// A good response, signed, with a change that no signature covers.
    fn after_signing(sign: Sign, from: &str, to: &str) -> &'static str {
        let good = response(sign, &[]);
        assert!(good.contains(from), "{from}");
        code(&good.replacen(from, to, 1))
    }

    const EVIL: &str = "<a:Assertion ID=\"_evil\"/>";

    #[test]
    fn there_is_one_assertion_in_the_whole_message() {
        let both = |evil: &str| [format!("{evil}<a:Assertion"), format!("<p:Extensions>{evil}</p:Extensions><a:Assertion")];
        for evil in [EVIL, "<a:EncryptedAssertion/>", "<x><a:Assertion ID=\"_evil\"/></x>"] {
            for change in both(evil) {
                assert_eq!(after_signing(Sign::Assertion, "<a:Assertion", &change), "assertion_count", "{change}");
            }
            assert_eq!(after_signing(Sign::Assertion, "</p:Response>", &format!("{evil}</p:Response>")), "assertion_count");
            assert_eq!(after_signing(Sign::Assertion, "<a:Subject>", &format!("{evil}<a:Subject>")), "assertion_count");
        }
        let deep = "<p:Extensions><p:Response/></p:Extensions><a:Assertion";
        assert_eq!(after_signing(Sign::Assertion, "<a:Assertion", deep), "forbidden_xml");
    }

    #[test]
    fn advice_may_hold_assertions_that_nobody_reads() {
        let subject = "<a:Subject><a:NameID>root</a:NameID></a:Subject>";
        let advice = format!(
            "<a:Advice><a:Assertion ID=\"_b\">{subject}</a:Assertion><a:EncryptedAssertion/></a:Advice><a:AuthnStatement "
        );
        let assertion = verify(&response(Sign::Both, &[("<a:AuthnStatement ", &advice)])).unwrap();
        assert_eq!((assertion.id(), assertion.name_id().value.as_str()), ("_a", "alice@example.com"));
        // Only the Assertion's own, and without a signature that could be taken for its.
        let elsewhere = format!("<p:Extensions>{}</p:Extensions><p:Status>", advice.replace("<a:AuthnStatement ", ""));
        assert_eq!(code(&response(Sign::Both, &[("<p:Status>", &elsewhere)])), "assertion_count");
        let signed = response(Sign::Assertion, &[]);
        let genuine = signed.split("<a:Assertion").nth(1).and_then(|rest| rest.split("</a:Assertion>").next()).unwrap();
        let evil = format!("<a:Assertion ID=\"_evil\">{subject}<a:Advice><a:Assertion{genuine}</a:Assertion></a:Advice>");
        let wrapped = signed.replace(&format!("<a:Assertion{genuine}"), &evil);
        assert_ne!(wrapped, signed);
        assert_eq!(code(&wrapped), "forbidden_xml");
    }

    #[test]
    fn signatures_stand_in_the_response_or_its_assertion_once_each() {
        let empty = "<s:Signature xmlns:s=\"http://www.w3.org/2000/09/xmldsig#\"/>";
        for place in ["<a:Subject>", "<p:Status>"] {
            let inside = format!("{place}{empty}");
            assert_eq!(after_signing(Sign::Both, place, &inside), "forbidden_xml");
        }
        for place in ["<a:Subject>", "<a:Assertion"] {
            let beside = format!("{empty}{place}");
            assert_eq!(after_signing(Sign::Both, place, &beside), "forbidden_xml");
        }
        // Beside the one good signature, an empty one in the other lawful place is still a signature that must verify.
        assert_eq!(after_signing(Sign::Assertion, "<p:Status>", &format!("{empty}<p:Status>")), "signature_invalid");
        let object = "<ds:Object xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"/>";
        assert_eq!(after_signing(Sign::Both, "</ds:Signature>", &format!("{object}</ds:Signature>")), "forbidden_xml");
    }

    #[test]
    fn names_are_expanded_names() {
        for (from, to) in [("SAML:2.0:protocol", "SAML:1.0:protocol"), ("p:Response", "p:LogoutResponse")] {
            assert_eq!(code(&response(Sign::Both, &[]).replace(from, to)), "wrong_document");
        }
        let foreign =
            response(Sign::Response, &[("a:Assertion", "x:Assertion"), ("<p:Response ", "<p:Response xmlns:x=\"urn:x\" ")]);
        assert_eq!(code(&foreign), "assertion_count");
        assert_eq!(after_signing(Sign::Nothing, " ID=\"_r\"", ""), "duplicate_id");
        assert_eq!(after_signing(Sign::Nothing, " ID=\"_a\"", ""), "duplicate_id");
    }
}
