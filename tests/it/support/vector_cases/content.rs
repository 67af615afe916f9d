//! Rules 5 to 11: what a message says. All of it is properly signed.

use std::time::Duration;

use super::super::fake_idp::{PASSWORD, ResponseBuilder, Sign, UNSPECIFIED, without_element};
use super::{Case, at, case, idp, response};

const OTHER_IDP: &str = "https://other.example/metadata";
const OTHER_SP: &str = "https://other.example/sp";
const OTHER_ACS: &str = "https://other.example/acs";
const CLOSE_AUDIENCE: &str = "</saml:AudienceRestriction>";
const AUDIENCE: &str = "<saml:AudienceRestriction>";

pub(super) fn cases() -> Vec<Case> {
    [envelope(), times(), audiences(), confirmations(), answers(), statements(), names(), unknown()].concat()
}

fn later(seconds: u64) -> samlgate::clock::Timestamp {
    at().plus(Duration::from_secs(seconds))
}

/// Rule 5.
fn envelope() -> Vec<Case> {
    let signed = || response().sign(Sign::Response);
    vec![
        case(
            5,
            "version-response",
            "wrong_document",
            "the Response is of SAML 2.1",
            signed().replace("Version=\"2.0\"", "Version=\"2.1\""),
        ),
        case(
            5,
            "version-assertion",
            "wrong_document",
            "the Assertion is of SAML 1.1",
            response().edit(|xml| xml.replace("ID=\"_assertion\" Version=\"2.0\"", "ID=\"_assertion\" Version=\"1.1\"")),
        ),
        case(
            5,
            "status-no-passive",
            "status_not_success",
            "the identity provider refuses, unsigned as many do",
            response().status("Responder/NoPassive", Some("User is not signed in")).unsigned(),
        ),
        case(
            5,
            "status-signed",
            "status_not_success",
            "a signed refusal",
            response().status("Requester", None).sign(Sign::Response),
        ),
        case(
            5,
            "status-with-assertion",
            "status_not_success",
            "a refusal with an Assertion in it",
            response().damage_by_replacing("status:Success", "status:Responder"),
        ),
        case(
            5,
            "status-nested-success",
            "status_not_success",
            "Success as the second-level code only",
            response().status("Responder/Success", None).unsigned(),
        ),
        case(
            5,
            "status-missing",
            "status_not_success",
            "no Status",
            response().damage(|xml| without_element(&xml, "samlp:Status")),
        ),
        case(
            5,
            "issuer-both",
            "issuer_mismatch",
            "another identity provider, with a key that is trusted",
            response().issuer(OTHER_IDP),
        ),
        case(5, "issuer-assertion", "issuer_mismatch", "of the Assertion only", signed().assertion_issuer(Some(OTHER_IDP))),
        case(5, "issuer-response", "issuer_mismatch", "of the Response only", signed().response_issuer(Some(OTHER_IDP))),
        case(5, "issuer-missing", "issuer_mismatch", "the Assertion has none", signed().assertion_issuer(None)),
        case(5, "issuer-missing-in-response", "accept", "an unsigned Response needs none", response().response_issuer(None)),
        case(
            5,
            "destination-other",
            "destination_mismatch",
            "the Response is for another endpoint",
            signed().destination(Some(OTHER_ACS)),
        ),
        case(5, "destination-missing", "destination_mismatch", "a signed Response must have one", signed().destination(None)),
        case(
            5,
            "destination-second",
            "accept",
            "our second assertion consumer service",
            signed().destination(Some("https://app.example/saml/acs")).recipient(Some("https://app.example/saml/acs")),
        ),
        case(
            5,
            "destination-and-recipient-differ",
            "recipient_mismatch",
            "each is one of our services, but not the same one",
            signed().recipient(Some("https://app.example/saml/acs")),
        ),
        case(
            5,
            "issued-long-ago",
            "too_old",
            "valid for an hour, but issued before max_age",
            response().lifetime(Duration::from_secs(3600)),
        )
        .now(361),
        case(
            5,
            "issued-at-the-edge",
            "accept",
            "the last second of max_age and clock_skew",
            response().lifetime(Duration::from_secs(3600)),
        )
        .now(359),
        case(5, "issued-in-the-future", "not_yet_valid", "IssueInstant is ahead of our clock", response().at(later(100))),
    ]
}

/// Rule 6, times.
fn times() -> Vec<Case> {
    let not_before = |seconds| {
        let (from, to) = (format!("NotBefore=\"{}\"", at()), format!("NotBefore=\"{}\"", later(seconds)));
        response().replace(&from, &to)
    };
    let short = || response().lifetime(Duration::from_secs(30));
    vec![
        case(
            6,
            "conditions-missing",
            "conditions_missing",
            "no Conditions",
            response().edit(|xml| without_element(&xml, "saml:Conditions")),
        ),
        case(6, "conditions-not-yet", "not_yet_valid", "NotBefore is ahead by more than clock_skew", not_before(71)),
        case(6, "conditions-almost", "accept", "NotBefore is ahead by clock_skew", not_before(70)),
        case(6, "conditions-over", "expired", "NotOnOrAfter and clock_skew are over", short()).now(90),
        case(6, "conditions-last-second", "accept", "the last second of NotOnOrAfter and clock_skew", short()).now(89),
        case(
            6,
            "conditions-no-time",
            "wrong_document",
            "NotOnOrAfter is not a time",
            response().edit(|xml| {
                let (head, tail) = xml.split_once("<saml:Conditions").unwrap_or_default();
                let until = format!("NotOnOrAfter=\"{}\"", later(300));
                format!("{head}<saml:Conditions{}", tail.replacen(&until, "NotOnOrAfter=\"tomorrow\"", 1))
            }),
        ),
    ]
}

/// Rule 6, audiences.
fn audiences() -> Vec<Case> {
    let none = || response().audience(None);
    let second = format!("{AUDIENCE}<saml:Audience>{OTHER_SP}</saml:Audience>{CLOSE_AUDIENCE}");
    vec![
        case(6, "audience-other", "audience_mismatch", "for another service provider", response().audience(Some(OTHER_SP))),
        case(
            6,
            "audience-longer",
            "audience_mismatch",
            "our entity ID with something behind",
            response().audience(Some("https://app.example/_samlgate/metadata/")),
        ),
        case(6, "audience-missing", "audience_mismatch", "no AudienceRestriction", none()),
        case(6, "audience-missing-allowed", "accept", "the same, allowed by name", none()).with_compat("no-audience"),
        case(
            6,
            "audience-other-though-none-is-needed",
            "audience_mismatch",
            "what is there must hold even then",
            response().audience(Some(OTHER_SP)),
        )
        .with_compat("no-audience"),
        case(
            6,
            "audience-one-of-two",
            "accept",
            "two Audiences in one restriction: one must be ours",
            response().replace(CLOSE_AUDIENCE, &format!("<saml:Audience>{OTHER_SP}</saml:Audience>{CLOSE_AUDIENCE}")),
        ),
        case(
            6,
            "audience-two-restrictions",
            "audience_mismatch",
            "two restrictions: both must hold",
            response().replace(CLOSE_AUDIENCE, &format!("{CLOSE_AUDIENCE}{second}")),
        ),
    ]
}

/// Rule 7.
fn confirmations() -> Vec<Case> {
    let data =
        |change: &str| response().replace("<saml:SubjectConfirmationData ", &format!("<saml:SubjectConfirmationData {change} "));
    let until = format!(" NotOnOrAfter=\"{}\" Recipient", later(300));
    vec![
        case(7, "recipient-other", "recipient_mismatch", "for another endpoint", response().recipient(Some(OTHER_ACS))),
        case(7, "recipient-missing", "recipient_mismatch", "no Recipient", response().recipient(None)),
        case(
            7,
            "confirmation-not-yet",
            "not_yet_valid",
            "NotBefore, which the profile forbids here, is heeded",
            data(&format!("NotBefore=\"{}\"", later(100))),
        ),
        case(
            7,
            "confirmation-begun",
            "accept",
            "a NotBefore that is past changes nothing: real identity providers send it",
            data("NotBefore=\"2026-03-01T11:00:00Z\""),
        ),
        case(7, "confirmation-no-end", "subject_confirmation", "no NotOnOrAfter", response().replace(&until, " Recipient")),
        case(
            7,
            "confirmation-over",
            "expired",
            "its NotOnOrAfter is over",
            response().replace(&until, " NotOnOrAfter=\"2026-03-01T11:59:00Z\" Recipient"),
        ),
        case(
            7,
            "confirmation-holder-of-key",
            "subject_confirmation",
            "another method than bearer",
            response().replace("cm:bearer", "cm:holder-of-key"),
        ),
        case(
            7,
            "confirmation-missing",
            "subject_confirmation",
            "no SubjectConfirmation",
            response().edit(|xml| without_element(&xml, "saml:SubjectConfirmation")),
        ),
        case(
            7,
            "confirmation-one-of-two",
            "accept",
            "one of another kind before the bearer's",
            response().edit(|xml| {
                let other = "<saml:SubjectConfirmation Method=\"urn:oasis:names:tc:SAML:2.0:cm:sender-vouches\"/>";
                xml.replacen("<saml:SubjectConfirmation ", &format!("{other}<saml:SubjectConfirmation "), 1)
            }),
        ),
    ]
}

/// Rule 8.
fn answers() -> Vec<Case> {
    let answer = |id: &str| response().in_response_to(id);
    let first_only = |xml: String| xml.replacen(" InResponseTo=\"_request\"", "", 1);
    let second_only = |xml: String| {
        let (head, tail) = xml.split_once(" InResponseTo=\"_request\"").unwrap_or_default();
        format!("{head} InResponseTo=\"_request\"{}", tail.replace(" InResponseTo=\"_request\"", ""))
    };
    let mismatch = "in_response_to_mismatch";
    vec![
        case(8, "answer", "accept", "the answer to our request", answer("_request")).answering("_request"),
        case(8, "answer-to-another", mismatch, "the answer to another request", answer("_other")).answering("_request"),
        case(8, "answer-to-nothing", mismatch, "an answer, but nothing was asked", answer("_request")),
        case(8, "answer-missing", mismatch, "no InResponseTo, but a request is open", response()).answering("_request"),
        case(8, "answer-only-in-confirmation", mismatch, "not on the Response", answer("_request").edit(first_only))
            .answering("_request"),
        case(8, "answer-only-on-response", mismatch, "not on the confirmation", answer("_request").edit(second_only))
            .answering("_request"),
        case(
            8,
            "answer-two-requests",
            mismatch,
            "the unsigned Response names our request, the signed confirmation another",
            answer("_other").damage_by_replacing("InResponseTo=\"_other\"", "InResponseTo=\"_request\""),
        )
        .answering("_request"),
        case(
            8,
            "unsolicited-with-hidden-request",
            mismatch,
            "unsolicited to the eye: the confirmation names a request",
            answer("_request").edit(first_only),
        ),
    ]
}

/// Rule 9.
fn statements() -> Vec<Case> {
    let strong = "urn:oasis:names:tc:SAML:2.0:ac:classes:TimeSyncToken";
    let demanding = |mut case: Case| {
        case.authn_context.push(strong);
        case
    };
    vec![
        case(9, "authn-statement-missing", "authn_statement_missing", "no AuthnStatement", response().authn_context(None)),
        demanding(case(
            9,
            "authn-context-other",
            "authn_context",
            "a password, but a token is demanded",
            response().authn_context(Some(PASSWORD)),
        )),
        demanding(case(9, "authn-context-met", "accept", "the class that is demanded", response().authn_context(Some(strong)))),
        case(
            9,
            "session-over",
            "session_expired_at_idp",
            "the session at the identity provider is over",
            response().session_not_on_or_after(at().minus(Duration::from_secs(60))),
        ),
        case(
            9,
            "session-limited",
            "accept",
            "the session at the identity provider ends in an hour",
            response().session_not_on_or_after(later(3600)),
        ),
    ]
}

/// Rule 10.
fn names() -> Vec<Case> {
    let named = |name: &str| response().subject(name, UNSPECIFIED);
    let with = |inner: &str| response().replace(">alice</saml:NameID>", &format!(">{inner}</saml:NameID>"));
    vec![
        case(10, "name-missing", "name_id_missing", "no NameID", response().no_name_id()),
        case(10, "name-empty", "name_id_missing", "an empty one", named("")),
        case(10, "name-blank", "name_id_missing", "one of white space", named(" \n ")),
        case(10, "name-line-break", "name_id_missing", "a carriage return in it", named("alice\rmallory")),
        case(10, "name-with-element", "name_id_missing", "an element in it", with("alice<saml:x/>")),
        case(10, "name-with-comment", "forbidden_xml", "a comment in it: never the part before", with("alice<!-- x -->.evil")),
        case(10, "name-with-cdata", "accept", "a CDATA section is text like any other", with("<![CDATA[alice]]>")),
        case(
            10,
            "name-of-other-namespace",
            "name_id_missing",
            "a NameID of another namespace",
            response().edit(|xml| {
                xml.replace("<saml:NameID ", "<x:NameID xmlns:x=\"urn:x\" ").replace("</saml:NameID>", "</x:NameID>")
            }),
        ),
        case(
            10,
            "name-encrypted",
            "decryption_failed",
            "an EncryptedID that holds nothing encrypted",
            response()
                .edit(|xml| xml.replace("<saml:NameID ", "<saml:EncryptedID ").replace("</saml:NameID>", "</saml:EncryptedID>")),
        ),
    ]
}

/// Rule 11.
fn unknown() -> Vec<Case> {
    let condition = |xml: &str| -> ResponseBuilder { response().replace(CLOSE_AUDIENCE, &format!("{CLOSE_AUDIENCE}{xml}")) };
    vec![
        case(
            11,
            "condition-unknown",
            "unknown_condition",
            "a Condition of an unknown type",
            condition(
                "<saml:Condition xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xmlns:x=\"urn:x\" xsi:type=\"x:Weekdays\"/>",
            ),
        ),
        case(
            11,
            "condition-foreign",
            "unknown_condition",
            "an element that is no condition of SAML",
            condition("<x:Weekdays xmlns:x=\"urn:x\"/>"),
        ),
        case(
            11,
            "condition-one-time-use",
            "accept",
            "OneTimeUse: every assertion is used once anyway",
            condition("<saml:OneTimeUse/>"),
        ),
        case(
            11,
            "condition-proxy",
            "accept",
            "ProxyRestriction: nothing is passed on",
            condition("<saml:ProxyRestriction Count=\"0\"/>"),
        ),
        case(11, "attributes-absent", "accept", "no attribute at all", {
            idp().response().at(at()).ids("_response", "_assertion")
        }),
    ]
}
