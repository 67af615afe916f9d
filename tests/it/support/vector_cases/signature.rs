//! Rules 2 to 4: who signed, what, and how.

use super::super::fake_idp::{Algorithm, EC, FakeIdp, OTHER, ResponseBuilder, Sign, element, without_element};
use super::{Case, IDP, case, fixed, response};

pub(super) fn cases() -> Vec<Case> {
    [lawful(), forged(), misplaced(), wrapped()].concat()
}

fn lawful() -> Vec<Case> {
    let ec = FakeIdp::with_key(IDP, EC, Algorithm::EcdsaSha256);
    let sha1 = || response().algorithm(Algorithm::RsaSha1);
    let empty = || response().sign(Sign::Response).edit_signature(|xml| xml.replace("URI=\"#_response\"", "URI=\"\""));
    let ec_case = case(2, "signature-ecdsa", "accept", "ECDSA with P-256", fixed(ec.response())).trusting(&["idp-ec.crt"]);
    vec![
        case(2, "signature-assertion", "accept", "the Assertion is signed", response()),
        case(2, "signature-response", "accept", "the Response is signed", response().sign(Sign::Response)),
        case(2, "signature-both", "accept", "both are signed", response().sign(Sign::Both)),
        case(2, "signature-sha384", "accept", "RSA with SHA-384", response().algorithm(Algorithm::RsaSha384)),
        case(2, "signature-sha512", "accept", "RSA with SHA-512", response().algorithm(Algorithm::RsaSha512)),
        Case { reproducible: false, ..ec_case },
        case(2, "signature-rollover", "accept", "the second of two trusted keys signed", response())
            .trusting(&["idp-other.crt", "idp.crt"]),
        case(2, "signature-rollover-mixed", "accept", "keys of two kinds are trusted", response())
            .trusting(&["idp-ec.crt", "idp.crt"]),
        case(2, "signature-sha1", "algorithm_forbidden", "RSA with SHA-1", sha1()),
        case(2, "signature-sha1-allowed", "accept", "RSA with SHA-1, allowed by name", sha1()).with_compat("sha1"),
        case(2, "signature-empty-reference", "signature_not_covering", "the Response's signature has URI=\"\"", empty()),
        case(2, "signature-empty-reference-allowed", "accept", "the same, allowed by name", empty())
            .with_compat("empty-reference"),
        case(
            2,
            "signature-keyinfo-of-a-stranger",
            "accept",
            "KeyInfo is ignored, so another certificate in it changes nothing",
            with_key_info(response()),
        ),
    ]
}

fn forged() -> Vec<Case> {
    let other = FakeIdp::with_key(IDP, OTHER, Algorithm::RsaSha256);
    let ec = FakeIdp::with_key(IDP, EC, Algorithm::EcdsaSha256);
    let by_ec =
        case(2, "signature-untrusted-kind", "signature_invalid", "signed by an EC key, RSA is trusted", fixed(ec.response()));
    vec![
        case(2, "signature-none", "signature_missing", "nothing is signed", response().unsigned()),
        case(
            2,
            "signature-stripped",
            "signature_missing",
            "the signature was cut out and the user changed",
            response().damage(|xml| without_element(&xml, "ds:Signature").replace(">alice<", ">mallory<")),
        ),
        case(2, "signature-untrusted", "signature_invalid", "signed by a key that is not trusted", fixed(other.response())),
        case(
            2,
            "signature-untrusted-with-certificate",
            "signature_invalid",
            "signed by a stranger whose certificate is in KeyInfo",
            with_key_info(fixed(other.response())),
        ),
        Case { reproducible: false, ..by_ec },
        case(
            3,
            "signature-user-changed",
            "signature_invalid",
            "the user was changed after signing",
            response().damage_by_replacing(">alice<", ">mallory<"),
        ),
        case(
            3,
            "signature-user-changed-in-response",
            "signature_invalid",
            "the same when the Response is signed",
            response().sign(Sign::Response).damage_by_replacing(">alice<", ">mallory<"),
        ),
        case(
            2,
            "signature-one-of-two-bad",
            "signature_invalid",
            "both are signed, and the Response was changed around the Assertion",
            response().sign(Sign::Both).damage_by_replacing("status:Success", "status:Responder"),
        ),
        case(
            2,
            "signature-value-changed",
            "signature_invalid",
            "another DigestValue than the key signed",
            response().damage(|xml| {
                let digest = element(&xml, "ds:DigestValue");
                let swapped = element(&response().subject("mallory", "urn:x").build(), "ds:DigestValue");
                xml.replace(&digest, &swapped)
            }),
        ),
    ]
}

fn misplaced() -> Vec<Case> {
    const EXCLUSIVE: &str = "<ds:Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"/>";
    vec![
        case(
            2,
            "signature-of-another-element",
            "signature_not_covering",
            "the Response's signature is over the Assertion",
            response().damage(|xml| {
                let signature = element(&xml, "ds:Signature");
                let rest = without_element(&xml, "ds:Signature");
                rest.replacen("<samlp:Status>", &format!("{signature}<samlp:Status>"), 1)
            }),
        ),
        case(
            2,
            "signature-in-extensions",
            "forbidden_xml",
            "a signature at a place where none belongs",
            response().damage(|xml| {
                let signature = element(&xml, "ds:Signature");
                let rest = without_element(&xml, "ds:Signature");
                let extensions = format!("<samlp:Extensions>{signature}</samlp:Extensions><samlp:Status>");
                rest.replacen("<samlp:Status>", &extensions, 1)
            }),
        ),
        case(
            2,
            "signature-two-references",
            "signature_invalid",
            "a second Reference",
            response().sign(Sign::Response).edit_signature(|xml| {
                let reference = element(xml, "ds:Reference");
                xml.replace(&reference, &format!("{reference}{}", reference.replace("#_response", "#_assertion")))
            }),
        ),
        case(
            2,
            "signature-xpath",
            "algorithm_forbidden",
            "an XPath transform that leaves the user out of what is signed",
            response().edit_signature(|xml| {
                let xpath = "<ds:Transform Algorithm=\"http://www.w3.org/TR/1999/REC-xpath-19991116\"><ds:XPath>not(self::text())</ds:XPath></ds:Transform>";
                xml.replace(EXCLUSIVE, &format!("{xpath}{EXCLUSIVE}"))
            }),
        ),
        case(
            2,
            "signature-c14n-with-comments",
            "algorithm_forbidden",
            "canonicalization that keeps comments",
            response().edit_signature(|xml| xml.replace("xml-exc-c14n#\"/></ds:Transforms>", "xml-exc-c14n#WithComments\"/></ds:Transforms>")),
        ),
        case(
            2,
            "signature-object",
            "forbidden_xml",
            "an Object in the Signature",
            response().edit_signature(|xml| xml.replace("</ds:Signature>", "<ds:Object>x</ds:Object></ds:Signature>")),
        ),
        case(
            4,
            "encrypted",
            "decryption_failed",
            "an EncryptedAssertion that no key of ours opens, in a signed Response",
            response().sign(Sign::Response).edit(|xml| {
                let assertion = element(&xml, "saml:Assertion");
                xml.replace(&assertion, ENCRYPTED)
            }),
        ),
    ]
}

fn wrapped() -> Vec<Case> {
    const CASES: [(&str, &str, &str); 8] = [
        ("wrapping-1", "forbidden_xml", "the signed Response inside the Signature of an evil one"),
        ("wrapping-2", "forbidden_xml", "the signed Response before the Signature of an evil one"),
        ("wrapping-3", "assertion_count", "an evil Assertion before the signed one"),
        ("wrapping-4", "assertion_count", "the signed Assertion inside an evil one"),
        ("wrapping-5", "assertion_count", "the Signature in an evil Assertion, what it signs at the end"),
        ("wrapping-6", "assertion_count", "the signed Assertion inside the Signature of an evil one"),
        ("wrapping-7", "assertion_count", "an evil Assertion in Extensions"),
        ("wrapping-8", "forbidden_xml", "the signed Assertion in an Object inside the Signature of an evil one"),
    ];
    (1..=8)
        .zip(CASES)
        .map(|(variant, (id, expected, about))| case(3, id, expected, about, response().wrapped(variant).evil("mallory")))
        .collect()
}

/// Puts a stranger's certificate into KeyInfo, which no signature covers.
fn with_key_info(response: ResponseBuilder) -> ResponseBuilder {
    let certificate: String = OTHER.1.lines().filter(|line| !line.starts_with('-')).collect();
    let info =
        format!("<ds:KeyInfo><ds:X509Data><ds:X509Certificate>{certificate}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>");
    response.damage_by_replacing("</ds:Signature>", &format!("{info}</ds:Signature>"))
}

const ENCRYPTED: &str = r#"<saml:EncryptedAssertion><xenc:EncryptedData xmlns:xenc="http://www.w3.org/2001/04/xmlenc#" Type="http://www.w3.org/2001/04/xmlenc#Element"><xenc:EncryptionMethod Algorithm="http://www.w3.org/2009/xmlenc11#aes256-gcm"/><ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><xenc:EncryptedKey><xenc:EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p"/><xenc:CipherData><xenc:CipherValue>AAAA</xenc:CipherValue></xenc:CipherData></xenc:EncryptedKey></ds:KeyInfo><xenc:CipherData><xenc:CipherValue>AAAA</xenc:CipherValue></xenc:CipherData></xenc:EncryptedData></saml:EncryptedAssertion>"#;
