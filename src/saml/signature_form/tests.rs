//! Which forms of a signature reach the engines.

use crate::saml::fixture::{Sign, response, signed, to_be_signed, verify, verify_with};

/// What comes of a good signature of the Assertion with a change in it.
fn changed(from: &str, to: &str) -> &'static str {
    let good = response(Sign::Assertion, &[]);
    assert!(good.contains(from), "{from}");
    verify(&good.replace(from, to)).map_or_else(|error| error.code(), |_| "accepted")
}

#[test]
fn a_reference_is_to_the_element_that_it_stands_in() {
    for uri in ["", "#_r", "#", "_a", "#xpointer(id('_a'))", "#element(/1)", "http://127.0.0.1:9/#_a", "/etc/hostname", "cid:_a"]
    {
        assert_eq!(changed("URI=\"#_a\"", &format!("URI=\"{uri}\"")), "signature_not_covering", "{uri}");
    }
    assert_eq!(changed(" URI=\"#_a\"", ""), "signature_not_covering");
    assert_eq!(changed("</ds:SignedInfo>", "<ds:Reference URI=\"#_a\"/></ds:SignedInfo>"), "signature_invalid");
}

#[test]
fn an_empty_reference_is_the_whole_document_when_it_is_allowed() {
    let of_response = signed(&to_be_signed(Sign::Response).replace("URI=\"#_r\"", "URI=\"\""));
    assert_eq!(verify(&of_response).unwrap_err().code(), "signature_not_covering");
    let allowed = verify_with(&of_response, |expectations| expectations.compat.empty_reference = true).unwrap();
    assert_eq!(allowed.name_id().value, "alice@example.com");
    let evil = of_response.replace("alice", "admin");
    let evil = verify_with(&evil, |expectations| expectations.compat.empty_reference = true);
    assert_eq!(evil.unwrap_err().code(), "signature_invalid");
    // In an Assertion it would cover the Response around it, too.
    let of_assertion = response(Sign::Assertion, &[]).replace("URI=\"#_a\"", "URI=\"\"");
    let of_assertion = verify_with(&of_assertion, |expectations| expectations.compat.empty_reference = true);
    assert_eq!(of_assertion.unwrap_err().code(), "signature_not_covering");
}

#[test]
fn only_strong_algorithms_are_allowed() {
    let method = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256";
    for uri in [
        "http://www.w3.org/2000/09/xmldsig#rsa-sha1",
        "http://www.w3.org/2000/09/xmldsig#hmac-sha1",
        "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256",
        "http://www.w3.org/2000/09/xmldsig#dsa-sha1",
        "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha1",
        "http://www.w3.org/2001/04/xmldsig-more#rsa-md5",
        "",
    ] {
        assert_eq!(changed(method, uri), "algorithm_forbidden", "{uri}");
    }
    let digest = "<ds:DigestMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha256\"/>";
    for uri in ["http://www.w3.org/2001/04/xmldsig-more#md5", "http://www.w3.org/2001/04/xmldsig-more#sha224", "sha256"] {
        let other = format!("<ds:DigestMethod Algorithm=\"{uri}\"/>");
        assert_eq!(changed(digest, &other), "algorithm_forbidden", "{uri}");
    }
    // SHA-1's digest has another length: with SHA-1 allowed, it is only the form that refuses.
    let sha1 = "<ds:DigestMethod Algorithm=\"http://www.w3.org/2000/09/xmldsig#sha1\"/>";
    assert_eq!(changed(digest, sha1), "signature_invalid");
    let method = "<ds:CanonicalizationMethod Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#";
    assert_eq!(changed(method, &format!("{method}WithComments")), "algorithm_forbidden");
    // A key of the named kind is needed, and there is none.
    assert_eq!(changed("xmldsig-more#ecdsa-sha256", "xmldsig-more#rsa-sha256"), "signature_invalid");
    let mixed = response(Sign::Both, &[]).replacen("xmldsig-more#ecdsa-sha256", "xmldsig-more#rsa-sha256", 1);
    assert_eq!(verify(&mixed).unwrap_err().code(), "algorithm_forbidden");
}

#[test]
fn transforms_are_enveloped_signature_and_one_canonicalisation() {
    let enveloped = "<ds:Transform Algorithm=\"http://www.w3.org/2000/09/xmldsig#enveloped-signature\"/>";
    let exclusive = "<ds:Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"/>";
    let list = format!("{enveloped}{exclusive}");
    for (to, code) in [
        (exclusive.replace("xml-exc-c14n#", "xml-exc-c14n#WithComments"), "algorithm_forbidden"),
        (
            format!("{enveloped}{}", exclusive.replace("2001/10/xml-exc-c14n#", "TR/1999/REC-xpath-19991116")),
            "algorithm_forbidden",
        ),
        (
            format!("{enveloped}{}", exclusive.replace("2001/10/xml-exc-c14n#", "TR/1999/REC-xslt-19991116")),
            "algorithm_forbidden",
        ),
        (format!("{exclusive}{enveloped}"), "signature_invalid"),
        (exclusive.to_owned(), "signature_invalid"),
        (format!("{enveloped}{enveloped}"), "signature_invalid"),
        (format!("{list}{exclusive}"), "signature_invalid"),
        (String::new(), "signature_invalid"),
        (list.replace("<ds:Transform ", "<ds:transform "), "signature_invalid"),
        (list.replace("<ds:Transform ", "<ds:Transform xmlns:x=\"urn:x\" x:Algorithm=\"\" "), "signature_invalid"),
        (list.replacen("/>", "><ds:XPath>1</ds:XPath></ds:Transform>", 1), "signature_invalid"),
    ] {
        assert_eq!(changed(&list, &to), code, "{to}");
    }
    let prefixes = |list: &str| {
        let inclusive = "<e:InclusiveNamespaces xmlns:e=\"http://www.w3.org/2001/10/xml-exc-c14n#\" PrefixList=\"";
        exclusive.replace("/>", &format!(">{inclusive}{list}\"/></ds:Transform>"))
    };
    // Well-formed, so the engine sees it; what was hashed has another transform.
    assert_eq!(changed(exclusive, &prefixes("xs #default")), "signature_invalid");
    let error = |list: &str| verify(&response(Sign::Assertion, &[]).replace(exclusive, &prefixes(list))).unwrap_err().to_string();
    assert!(error(&"x ".repeat(16)).contains("not made with the key"), "{}", error(&"x ".repeat(16)));
    assert!(error(&"x ".repeat(17)).contains("InclusiveNamespaces"));
    // Found by fuzzing: one engine takes a carriage return for white space, the other for a part of the name.
    for list in ["#default xs&#13; saml", "xs&#10;saml", "xs&#9;saml", "x:s", "#xs", "\u{e9}"] {
        assert!(error(list).contains("InclusiveNamespaces"), "{list}");
    }
    assert!(error(" #default\nxs\tsaml  x-1_.y ").contains("not made with the key"));
    // Found by fuzzing: without a list one engine takes it for an empty one, the other refuses it.
    let without = response(Sign::Assertion, &[]).replace(exclusive, &prefixes("").replace(" PrefixList=\"\"", ""));
    assert!(verify(&without).unwrap_err().to_string().contains("InclusiveNamespaces"));
}

#[test]
fn what_canonical_xml_1_1_inherits_in_its_own_way_is_refused() {
    // Found by fuzzing: under an xml:id of the Response one engine refuses what the other signed and accepts.
    let exclusive = "Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"";
    let inclusive_11 = "Algorithm=\"http://www.w3.org/2006/12/xml-c14n11\"";
    let template = to_be_signed(Sign::Assertion);
    assert_eq!(template.matches(exclusive).count(), 2, "of SignedInfo and of the Assertion");
    let (of_signed_info, of_assertion) =
        (template.replacen(exclusive, inclusive_11, 1), template.replace(exclusive, inclusive_11));
    for template in [&of_signed_info, &of_assertion] {
        for (attribute, good) in [("", true), (" xml:lang=\"en\"", true), (" xml:id=\"x\"", false), (" xml:base=\"/x\"", false)] {
            for element in ["<p:Response", "<a:Assertion"] {
                let with = template.replacen(element, &format!("{element}{attribute}"), 1);
                assert!(with.contains(&format!("{element}{attribute} ")));
                let verified = verify(&signed(&with)).map(drop).map_err(|error| error.to_string());
                assert_eq!(verified.is_ok(), good, "{element}{attribute}: {verified:?}");
                assert!(good || verified.as_ref().is_err_and(|why| why.contains("Canonical XML 1.1")), "{verified:?}");
            }
        }
    }
    // Exclusive Canonical XML inherits nothing.
    let with = template.replacen("<p:Response", "<p:Response xml:id=\"x\" xml:base=\"/x\"", 1);
    verify(&signed(&with)).unwrap();
}

#[test]
fn values_are_plain_base64_of_the_right_length() {
    let good = response(Sign::Assertion, &[]);
    let digest = good.split("<ds:DigestValue>").nth(1).and_then(|rest| rest.split('<').next()).unwrap().to_owned();
    let value = format!("<ds:DigestValue>{digest}</ds:DigestValue>");
    let accepted = |to: &str| verify(&good.replace(&value, to)).map_or_else(|error| error.code(), |_| "accepted");
    assert_eq!(accepted(&value), "accepted");
    for bad in [
        format!("{value}{value}"),
        "<ds:DigestValue/>".to_owned(),
        format!("<ds:DigestValue><![CDATA[{digest}]]></ds:DigestValue>"),
        format!("<ds:DigestValue><x/>{digest}</ds:DigestValue>"),
        format!("<ds:DigestValue>{}</ds:DigestValue>", digest.trim_end_matches('=')),
        format!("<ds:DigestValue>{digest}AAAA</ds:DigestValue>"),
        format!("<ds:DigestValue>{}</ds:DigestValue>", digest.replacen(&digest[..1], "-", 1)),
        "<ds:DigestValue>AAAA</ds:DigestValue>".to_owned(),
        format!("<x:DigestValue xmlns:x=\"urn:x\">{digest}</x:DigestValue>"),
    ] {
        assert_eq!(accepted(&bad), "signature_invalid", "{bad}");
    }
    let comment = format!("<ds:DigestValue><!---->{digest}</ds:DigestValue>");
    assert_eq!(accepted(&comment), "forbidden_xml");
    assert_eq!(
        changed("</ds:SignatureValue>", "</ds:SignatureValue><ds:SignatureValue>AAAA</ds:SignatureValue>"),
        "signature_invalid"
    );
}

#[test]
fn key_info_is_ignored_but_points_nowhere() {
    let end = "</ds:SignatureValue>";
    let with = |inside: &str| changed(end, &format!("{end}<ds:KeyInfo>{inside}</ds:KeyInfo>"));
    assert_eq!(
        with("<ds:KeyName>x</ds:KeyName><ds:X509Data><ds:X509Certificate>AAAA</ds:X509Certificate></ds:X509Data>"),
        "accepted"
    );
    assert_eq!(with("<ds:RetrievalMethod URI=\"http://127.0.0.1:9/\"/>"), "forbidden_xml");
    assert_eq!(with("<x:y xmlns:x=\"urn:x\"><ds:RetrievalMethod URI=\"#_a\"/></x:y>"), "forbidden_xml");
    assert_eq!(with("<x:KeyInfoReference xmlns:x=\"http://www.w3.org/2009/xmldsig11#\" URI=\"#_a\"/>"), "forbidden_xml");
    assert_eq!(changed(end, &format!("{end}<ds:KeyInfo/><ds:KeyInfo/>")), "signature_invalid");
}
