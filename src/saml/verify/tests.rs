//! Rules 2 to 11, where the shared vectors don't reach.

use crate::clock::Timestamp;
use crate::saml::SamlError;
use crate::saml::expectations::Expected;
use crate::saml::fixture::{Sign, now, response, verify, verify_with};
use crate::saml::verified::SecondOpinion;

fn code(sign: Sign, changes: &[(&str, &str)]) -> &'static str {
    verify(&response(sign, changes)).map_or_else(|error| error.code(), |_| "accepted")
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

#[test]
fn a_good_response_is_accepted_however_it_is_signed() {
    for sign in [Sign::Assertion, Sign::Response, Sign::Both] {
        let assertion = verify(&response(sign, &[])).unwrap();
        assert_eq!((assertion.id(), assertion.issuer()), ("_a", "https://idp.test/metadata"));
        assert_eq!(assertion.name_id().value, "alice@example.com");
        assert_eq!(assertion.session_index(), Some("_s"));
        assert_eq!(assertion.authn_instant(), at("2026-03-01T11:59:59Z"));
        assert_eq!(assertion.authn_context(), Some("urn:password"));
        assert_eq!(assertion.session_not_on_or_after(), None);
        // IssueInstant and max_age end first, with the confirmation at 12:05:00; twice the skew is added.
        assert_eq!(assertion.claim_until(), at("2026-03-01T12:07:00Z"));
        let built = if cfg!(feature = "second-opinion") { SecondOpinion::Agreed } else { SecondOpinion::NotBuilt };
        assert_eq!(assertion.second_opinion(), built);
    }
    assert_eq!(code(Sign::Nothing, &[]), "signature_missing");
}

#[test]
fn a_change_after_signing_is_found_at_every_level() {
    for sign in [Sign::Assertion, Sign::Response, Sign::Both] {
        let good = response(sign, &[]);
        let evil = good.replace("alice@", "admin@");
        assert_eq!(verify(&evil).unwrap_err().code(), "signature_invalid");
    }
    // Both must verify, also the one that isn't needed.
    let good = response(Sign::Both, &[]);
    let evil = good.replacen("2026-03-01T12:00:00Z", "2026-03-01T12:00:01Z", 1);
    assert_ne!(good, evil);
    assert_eq!(verify(&evil).unwrap_err().code(), "signature_invalid");
}

#[test]
fn what_stands_in_an_unsigned_response_refuses() {
    for (change, code) in [
        (("status:Success", "status:Responder"), "status_not_success"),
        (("Destination=\"https://app.test/acs\"", "Destination=\"https://app.test/acs/\""), "destination_mismatch"),
        (("ID=\"_r\" Version=\"2.0\"", "ID=\"_r\" Version=\"2.1\""), "wrong_document"),
        (("IssueInstant=\"2026-03-01T12:00:00Z\" Destination", "IssueInstant=\"2026-03-01T11:00:00Z\" Destination"), "too_old"),
        (("InResponseTo=\"_q\"><a:Issuer>", "InResponseTo=\"_other\"><a:Issuer>"), "in_response_to_mismatch"),
        ((" InResponseTo=\"_q\"><a:Issuer>", "><a:Issuer>"), "in_response_to_mismatch"),
        (("</a:Issuer><p:Status>", "x</a:Issuer><p:Status>"), "issuer_mismatch"),
    ] {
        let good = response(Sign::Assertion, &[]);
        let evil = good.replacen(change.0, change.1, 1);
        assert_ne!(good, evil);
        assert_eq!(verify(&evil).unwrap_err().code(), code, "{change:?}");
    }
    // It may leave out who it is from and for whom.
    let bare = response(Sign::Assertion, &[]).replacen(" Destination=\"https://app.test/acs\"", "", 1).replacen(
        "<a:Issuer>https://idp.test/metadata</a:Issuer><p:Status>",
        "<p:Status>",
        1,
    );
    assert!(verify(&bare).is_ok());
    // A signed one may not.
    assert_eq!(code(Sign::Response, &[(" Destination=\"https://app.test/acs\"", "")]), "destination_mismatch");
    let nameless = [("<a:Issuer>https://idp.test/metadata</a:Issuer>RSIG", "RSIG")];
    assert_eq!(code(Sign::Response, &nameless), "issuer_mismatch");
}

#[test]
fn an_idp_that_refuses_is_heard_without_a_signature() {
    let assertion = ("<a:Assertion", "</a:Assertion>");
    let xml = response(
        Sign::Nothing,
        &[(
            "Success\"/>",
            "Responder\"><p:StatusCode Value=\"urn:x:status:NoPassive\"/></p:StatusCode><p:StatusMessage> not\nnow </p:StatusMessage>",
        )],
    );
    let (head, tail) = (xml.split(assertion.0).next().unwrap(), xml.split(assertion.1).nth(1).unwrap());
    let error = verify(&format!("{head}{tail}")).unwrap_err();
    assert_eq!(error.to_string(), "the IdP answered Responder/NoPassive: \"not\\nnow\"");
    let xml = response(Sign::Nothing, &[]);
    let (head, tail) = (xml.split(assertion.0).next().unwrap(), xml.split(assertion.1).nth(1).unwrap());
    assert_eq!(verify(&format!("{head}{tail}")).unwrap_err().code(), "assertion_count");
}

#[test]
fn issuers_are_entities_and_trimmed() {
    assert_eq!(
        code(Sign::Both, &[("<a:Issuer>", "<a:Issuer Format=\"urn:oasis:names:tc:SAML:2.0:nameid-format:entity\">\n ")]),
        "accepted"
    );
    assert_eq!(
        code(Sign::Both, &[("<a:Issuer>", "<a:Issuer Format=\"urn:oasis:names:tc:SAML:2.0:nameid-format:persistent\">")]),
        "issuer_mismatch"
    );
    let other = verify_with(&response(Sign::Both, &[]), |expectations| expectations.idp_entity_id = "https://idp.test/other");
    assert_eq!(other.unwrap_err().code(), "issuer_mismatch");
}

#[test]
fn destination_and_recipient_are_the_same_one_of_ours() {
    let old = "https://app.test/old-acs";
    let destination = ("Destination=\"https://app.test/acs\"", "Destination=\"https://app.test/old-acs\"");
    let recipient = ("Recipient=\"https://app.test/acs\"", "Recipient=\"https://app.test/old-acs\"");
    assert_eq!(code(Sign::Both, &[destination, recipient]), "accepted");
    let error = verify(&response(Sign::Both, &[destination])).unwrap_err();
    assert_eq!(error.code(), "recipient_mismatch");
    assert!(error.to_string().contains(old), "{error}");
    assert_eq!(code(Sign::Both, &[recipient]), "recipient_mismatch");
    assert_eq!(code(Sign::Both, &[(" Recipient=\"https://app.test/acs\"", "")]), "recipient_mismatch");
}

#[test]
fn conditions_hold_now() {
    for (change, expected) in [
        (("NotBefore=\"2026-03-01T11:59:30Z\"", "NotBefore=\"2026-03-01T12:01:30Z\""), "accepted"),
        (("NotBefore=\"2026-03-01T11:59:30Z\"", "NotBefore=\"2026-03-01T12:01:31Z\""), "not_yet_valid"),
        (("NotOnOrAfter=\"2026-03-01T12:10:00Z\"", "NotOnOrAfter=\"2026-03-01T11:59:31Z\""), "accepted"),
        (("NotOnOrAfter=\"2026-03-01T12:10:00Z\"", "NotOnOrAfter=\"2026-03-01T11:59:30Z\""), "expired"),
        (("NotOnOrAfter=\"2026-03-01T12:10:00Z\"", "NotOnOrAfter=\"tomorrow\""), "wrong_document"),
        (("NotOnOrAfter=\"2026-03-01T12:10:00Z\"", "NotOnOrAfter=\"2026-03-01T12:10:00\""), "wrong_document"),
        (("a:Conditions", "a:Advice"), "conditions_missing"),
        (("a:Conditions", "p:Conditions"), "conditions_missing"),
        (("<a:Conditions", "<a:Conditions/><a:Conditions"), "wrong_document"),
        (("<a:AudienceRestriction>", "<a:OneTimeUse/><a:ProxyRestriction Count=\"0\"/><a:AudienceRestriction>"), "accepted"),
        (("<a:AudienceRestriction>", "<a:Condition/><a:AudienceRestriction>"), "unknown_condition"),
        (("<a:AudienceRestriction>", "<p:OneTimeUse/><a:AudienceRestriction>"), "unknown_condition"),
    ] {
        assert_eq!(code(Sign::Assertion, &[change]), expected, "{change:?}");
    }
}

#[test]
fn every_audience_restriction_names_us() {
    let other = "<a:AudienceRestriction><a:Audience>https://other.test</a:Audience></a:AudienceRestriction>";
    let one_of_two = "<a:Audience>https://other.test</a:Audience><a:Audience>\n https://app.test/metadata </a:Audience>";
    let ours = "<a:Audience>https://app.test/metadata</a:Audience>";
    assert_eq!(code(Sign::Assertion, &[(ours, one_of_two)]), "accepted");
    assert_eq!(code(Sign::Assertion, &[("</a:Conditions>", &format!("{other}</a:Conditions>"))]), "audience_mismatch");
    assert_eq!(code(Sign::Assertion, &[(ours, "")]), "audience_mismatch");
    let none = response(Sign::Assertion, &[(&format!("<a:AudienceRestriction>{ours}</a:AudienceRestriction>"), "")]);
    assert_eq!(verify(&none).unwrap_err().code(), "audience_mismatch");
    assert!(verify_with(&none, |expectations| expectations.compat.no_audience = true).is_ok());
    // The switch is for a missing one, not for a wrong one.
    let wrong = response(Sign::Assertion, &[("<a:Audience>https://app", "<a:Audience>https://other")]);
    let wrong = verify_with(&wrong, |expectations| expectations.compat.no_audience = true);
    assert_eq!(wrong.unwrap_err().code(), "audience_mismatch");
}

#[test]
fn one_bearer_confirmation_must_hold_as_a_whole() {
    let start = "<a:SubjectConfirmation Method=\"urn:oasis:names:tc:SAML:2.0:cm:bearer\">";
    let second = |data: &str| format!("{start}<a:SubjectConfirmationData {data}/></a:SubjectConfirmation>{start}");
    let wrong_recipient = second("NotOnOrAfter=\"2026-03-01T12:05:00Z\" Recipient=\"https://x.test\" InResponseTo=\"_q\"");
    assert_eq!(code(Sign::Assertion, &[(start, &wrong_recipient)]), "accepted");
    for (change, expected) in [
        (("cm:bearer", "cm:holder-of-key"), "subject_confirmation"),
        (("NotOnOrAfter=\"2026-03-01T12:05:00Z\"", "NotOnOrAfter=\"2026-03-01T11:59:30Z\""), "expired"),
        (("NotOnOrAfter=\"2026-03-01T12:05:00Z\" Recipient=\"https://app", "Recipient=\"https://x"), "subject_confirmation"),
        (("<a:SubjectConfirmationData ", "<a:SubjectConfirmationData NotBefore=\"2026-03-01T12:01:31Z\" "), "not_yet_valid"),
        (("<a:SubjectConfirmationData ", "<a:SubjectConfirmationData NotBefore=\"2026-03-01T12:01:30Z\" "), "accepted"),
        (("a:SubjectConfirmationData", "p:SubjectConfirmationData"), "subject_confirmation"),
        (("Recipient=\"https://app.test/acs\"", "Recipient=\"https://app.test/acs?\""), "recipient_mismatch"),
        (("InResponseTo=\"_q\"/>", "InResponseTo=\"_q2\"/>"), "in_response_to_mismatch"),
        ((" InResponseTo=\"_q\"/>", "/>"), "in_response_to_mismatch"),
    ] {
        assert_eq!(code(Sign::Assertion, &[change]), expected, "{change:?}");
    }
    // Two that each hold in part don't make one that holds.
    let other_request = second("NotOnOrAfter=\"2026-03-01T12:05:00Z\" Recipient=\"https://app.test/acs\" InResponseTo=\"_x\"");
    let ours_elsewhere =
        ("Recipient=\"https://app.test/acs\" InResponseTo=\"_q\"/>", "Recipient=\"https://x.test\" InResponseTo=\"_q\"/>");
    assert_eq!(code(Sign::Assertion, &[ours_elsewhere, (start, &other_request)]), "in_response_to_mismatch");
}

#[test]
fn unsolicited_means_no_request_anywhere() {
    let unsolicited = |changes: &[(&str, &str)]| {
        verify_with(&response(Sign::Both, changes), |expectations| expectations.expected = Expected::Unsolicited)
            .map_or_else(|error| error.code(), |_| "accepted")
    };
    let on_response = (" InResponseTo=\"_q\"><a:Issuer>", "><a:Issuer>");
    let on_confirmation = (" InResponseTo=\"_q\"/>", "/>");
    let sender = "<a:SubjectConfirmation Method=\"urn:x\"><a:SubjectConfirmationData InResponseTo=\"_q\"/></a:SubjectConfirmation></a:Subject>";
    assert_eq!(unsolicited(&[on_response, on_confirmation]), "accepted");
    assert_eq!(unsolicited(&[on_response]), "in_response_to_mismatch");
    assert_eq!(unsolicited(&[on_confirmation]), "in_response_to_mismatch");
    assert_eq!(unsolicited(&[on_response, on_confirmation, ("</a:Subject>", sender)]), "in_response_to_mismatch");
    // And an unsolicited one is no answer.
    assert_eq!(code(Sign::Both, &[on_response, on_confirmation]), "in_response_to_mismatch");
}

#[test]
fn the_session_at_the_idp_and_its_strength() {
    let end = "AuthnInstant=\"2026-03-01T11:59:59Z\"";
    let statement = "<a:AuthnStatement ";
    assert_eq!(code(Sign::Assertion, &[("a:AuthnStatement", "a:AuthzStatement")]), "authn_statement_missing");
    for (until, expected) in [("12:00:30", "session_expired_at_idp"), ("12:00:31", "accepted")] {
        let ends = format!("SessionNotOnOrAfter=\"2026-03-01T{until}Z\" {end}");
        assert_eq!(code(Sign::Assertion, &[(end, &ends)]), expected);
    }
    assert_eq!(code(Sign::Assertion, &[(end, "AuthnInstant=\"\"")]), "wrong_document");
    assert_eq!(code(Sign::Assertion, &[("SessionIndex=\"_s\"", "SessionIndex=\"_s&#10;\"")]), "wrong_document");
    // Of several statements, the earliest end; of an authentication in the future, now.
    let several = format!(
        "<a:AuthnStatement AuthnInstant=\"2027-01-01T00:00:00Z\" SessionNotOnOrAfter=\"2026-03-01T20:00:00Z\" SessionIndex=\"_1\">\
         <a:AuthnContext><a:AuthnContextClassRef> urn:token\n</a:AuthnContextClassRef></a:AuthnContext></a:AuthnStatement>\
         <a:AuthnStatement AuthnInstant=\"2026-03-01T11:00:00Z\" SessionNotOnOrAfter=\"2026-03-01T18:00:00Z\"/>{statement}"
    );
    let xml = response(Sign::Assertion, &[(statement, &several)]);
    let assertion = verify(&xml).unwrap();
    assert_eq!(assertion.session_not_on_or_after(), Some(at("2026-03-01T18:00:00Z")));
    assert_eq!((assertion.authn_instant(), assertion.session_index()), (now(), Some("_1")));
    assert_eq!(assertion.authn_context(), Some("urn:token"));
    let wanted = ["urn:smartcard".to_owned(), "urn:password".to_owned()];
    let assertion = verify_with(&xml, |expectations| expectations.authn_context = &wanted).unwrap();
    assert_eq!((assertion.authn_context(), assertion.session_index()), (Some("urn:password"), Some("_s")));
    let unnamed = verify(&response(Sign::Assertion, &[("SessionIndex=\"_s\"", "SessionIndex=\"\"")])).unwrap();
    assert_eq!(unnamed.session_index(), None);
    let wanted = ["urn:smartcard".to_owned()];
    let error = verify_with(&xml, |expectations| expectations.authn_context = &wanted).unwrap_err();
    assert_eq!(error.code(), "authn_context");
}

#[test]
fn after_force_authn_an_older_authentication_says_that_the_idp_did_not_ask() {
    let plain = response(Sign::Assertion, &[]);
    let since = |asked: &str, xml: &str| {
        let asked = Some(at(asked));
        verify_with(xml, |expectations| expectations.authenticated_since = asked).map(|assertion| assertion.authn_instant())
    };
    // AuthnInstant is 11:59:59, the skew a minute.
    for asked in ["2026-03-01T11:50:00Z", "2026-03-01T11:59:59.9Z", "2026-03-01T12:00:59.9Z"] {
        assert_eq!(since(asked, &plain), Ok(at("2026-03-01T11:59:59Z")), "{asked}");
    }
    let error = since("2026-03-01T12:01:00Z", &plain).unwrap_err();
    assert_eq!(error.code(), "authn_too_old");
    assert!(error.explained().contains("11:59:59Z") && error.explained().contains("ForceAuthn"), "{}", error.explained());
    // Of several statements, one that fits is enough, whatever its place.
    let old = "<a:AuthnStatement AuthnInstant=\"2026-03-01T08:00:00Z\"/>";
    let two = response(Sign::Assertion, &[("<a:AuthnStatement ", &format!("{old}<a:AuthnStatement "))]);
    assert_eq!(since("2026-03-01T11:59:00Z", &two), Ok(at("2026-03-01T11:59:59Z")));
    assert_eq!(since("2026-03-01T12:01:00Z", &two).unwrap_err().code(), "authn_too_old");
}

#[test]
fn a_name_id_is_one_whole_text() {
    let name = "<a:NameID>alice@example.com</a:NameID>";
    for (with, expected) in [
        ("", "name_id_missing"),
        ("<p:NameID>alice</p:NameID>", "name_id_missing"),
        ("<a:NameID>alice<a:b/></a:NameID>", "name_id_missing"),
        ("<a:NameID>alice&#13;\nroot</a:NameID>", "name_id_missing"),
        ("<a:NameID>alice&#x85;</a:NameID>", "name_id_missing"),
        ("<a:NameID> \n</a:NameID>", "name_id_missing"),
        ("<a:NameID SPNameQualifier=\"https://other.test\">alice</a:NameID>", "name_id_missing"),
        ("<a:NameID>alice</a:NameID><a:NameID>bob</a:NameID>", "name_id_missing"),
        ("<a:EncryptedID/><a:NameID>alice</a:NameID>", "name_id_missing"),
        ("<a:NameID SPNameQualifier=\"https://app.test/metadata\">alice</a:NameID>", "accepted"),
    ] {
        assert_eq!(code(Sign::Response, &[(name, with)]), expected, "{with}");
    }
    let pieces = "<a:NameID Format=\"urn:f\" NameQualifier=\"q\">\n al<![CDATA[ice&]]>&lt;&#xe9; </a:NameID>";
    let assertion = verify(&response(Sign::Response, &[(name, pieces)])).unwrap();
    assert_eq!(assertion.name_id().value, "alice&<é");
    assert_eq!(assertion.name_id().format.as_deref(), Some("urn:f"));
    assert_eq!(assertion.name_id().name_qualifier.as_deref(), Some("q"));
}

#[test]
fn attributes_of_one_name_are_one_and_values_are_whole() {
    let statement = "<a:AttributeStatement>";
    let more = "<a:AttributeStatement>\
        <a:Attribute Name=\"mail\" FriendlyName=\"Mail\"><a:AttributeValue> a@<![CDATA[b]]>&#10;</a:AttributeValue></a:Attribute>\
        <a:Attribute Name=\"groups\"><a:AttributeValue/><a:AttributeValue \
        xmlns:i=\"http://www.w3.org/2001/XMLSchema-instance\" i:nil=\"true\"/>\
        <a:AttributeValue>a<a:b/></a:AttributeValue><p:AttributeValue>c</p:AttributeValue></a:Attribute>\
        <a:Attribute><a:AttributeValue>nameless</a:AttributeValue></a:Attribute></a:AttributeStatement>\
        <a:AttributeStatement><a:Attribute Name=\"id\"><a:AttributeValue><a:NameID>xyz</a:NameID></a:AttributeValue></a:Attribute>";
    let assertion = verify(&response(Sign::Assertion, &[(statement, more)])).unwrap();
    let seen: Vec<_> =
        assertion.attributes().iter().map(|attribute| (attribute.name.as_str(), attribute.values.clone())).collect();
    assert_eq!(
        seen,
        [
            ("mail", vec![" a@b\n".to_owned()]),
            ("groups", vec![String::new(), "staff".to_owned()]),
            ("id", vec!["xyz".to_owned()])
        ]
    );
    assert_eq!(assertion.attributes()[0].friendly_name.as_deref(), Some("Mail"));
}

#[test]
fn ages_end_with_max_age_and_the_skew() {
    for (issued, expected) in [
        ("2026-03-01T11:54:31Z", "accepted"),
        ("2026-03-01T11:54:30Z", "too_old"),
        ("2026-03-01T12:01:30Z", "accepted"),
        ("2026-03-01T12:01:31Z", "not_yet_valid"),
    ] {
        for element in ["ID=\"_a\" Version=\"2.0\"", "ID=\"_r\" Version=\"2.0\""] {
            let from = format!("{element} IssueInstant=\"2026-03-01T12:00:00Z\"");
            let to = format!("{element} IssueInstant=\"{issued}\"");
            assert_eq!(code(Sign::Both, &[(&from, &to)]), expected, "{to}");
        }
    }
    // What may be used longest is remembered longest: 11:58 and five minutes, twice the skew.
    let xml = response(
        Sign::Assertion,
        &[(
            "ID=\"_a\" Version=\"2.0\" IssueInstant=\"2026-03-01T12:00:00Z\"",
            "ID=\"_a\" Version=\"2.0\" IssueInstant=\"2026-03-01T11:58:00Z\"",
        )],
    );
    assert_eq!(verify(&xml).unwrap().claim_until(), at("2026-03-01T12:05:00Z"));
}

#[test]
fn what_is_no_encrypted_element_is_refused_behind_the_signature() {
    let xml = response(Sign::Nothing, &[("a:Assertion", "a:EncryptedAssertion")]);
    assert_eq!(verify(&xml).unwrap_err(), SamlError::DecryptionFailed);
    let xml = response(Sign::Response, &[("a:Assertion", "a:EncryptedAssertion")]);
    assert_eq!(verify(&xml).unwrap_err(), SamlError::DecryptionFailed);
    assert_eq!(verify(&xml.replace("alice", "admin")).unwrap_err().code(), "signature_invalid");
}

#[test]
fn no_change_of_one_octet_gives_another_identity() {
    for sign in [Sign::Assertion, Sign::Response, Sign::Both] {
        let good = response(sign, &[]);
        let wanted = verify(&good).unwrap();
        for (at, with) in (0..good.len()).step_by(11).zip(b"x<\"&' !->;0".iter().cycle()) {
            let mut octets = good.clone().into_bytes();
            octets[at] = *with;
            let Ok(changed) = String::from_utf8(octets) else { continue };
            if let Ok(assertion) = verify(&changed) {
                assert_eq!(assertion.name_id(), wanted.name_id(), "{changed}");
                assert_eq!(assertion.attributes(), wanted.attributes(), "{changed}");
                assert_eq!(assertion.id(), wanted.id(), "{changed}");
            }
        }
    }
}
