//! Rule 1: what a message may look like at all. Wherever it can be, the message is signed by a trusted key: the guard comes first.

use super::super::fake_idp::{element, without_element};
use super::{Case, case, response};

/// Puts a text into the signed AttributeValue.
const VALUE: &str = "alice@example.com";

pub(super) fn cases() -> Vec<Case> {
    let nested = |depth: usize| {
        let (open, close) = ("<x xmlns=\"urn:x\">".repeat(depth), "</x>".repeat(depth));
        format!("<samlp:Extensions>{open}{close}</samlp:Extensions><samlp:Status>")
    };
    let many = format!("<samlp:Extensions>{}</samlp:Extensions><samlp:Status>", "<x xmlns=\"urn:x\"/>".repeat(5_001));
    let wide: String = (0..65).map(|n| format!(" a{n}=\"\"")).collect();
    let wide = format!("<samlp:Extensions><x xmlns=\"urn:x\"{wide}/></samlp:Extensions><samlp:Status>");
    let mut not_utf8 = response().build().into_bytes();
    not_utf8.extend_from_slice(b"<!-- \xff -->");
    let bare = element(&response().build(), "saml:Assertion");
    let without_id = |xml: String, id: &str| xml.replacen(&format!(" ID=\"{id}\""), "", 1);

    vec![
        case(1, "form-too-deep", "too_large", "70 elements inside each other", response().replace("<samlp:Status>", &nested(70))),
        case(1, "form-too-many-elements", "too_large", "5,001 elements", response().replace("<samlp:Status>", &many)),
        case(
            1,
            "form-too-many-attributes",
            "too_large",
            "65 attributes of one element",
            response().replace("<samlp:Status>", &wide),
        ),
        case(1, "form-truncated", "not_xml", "the end is missing", response().damage(|xml| xml.replace("</samlp:Response>", ""))),
        case(1, "form-two-roots", "not_xml", "a second root element", response().damage(|xml| xml + "<x/>")),
        case(1, "form-not-utf8", "not_xml", "an octet that is not UTF-8", not_utf8),
        case(
            1,
            "form-latin-1",
            "not_xml",
            "declared as another encoding than UTF-8",
            response().damage(|xml| format!("<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>{xml}")),
        ),
        case(
            1,
            "form-unbound-prefix",
            "not_xml",
            "a prefix that is not declared",
            response().damage_by_replacing("<samlp:Status>", "<x:y/><samlp:Status>"),
        ),
        case(1, "form-empty", "not_xml", "nothing at all", Vec::new()),
        case(1, "form-doctype", "forbidden_xml", "a DOCTYPE", response().damage(|xml| format!("<!DOCTYPE x>{xml}"))),
        case(
            1,
            "form-entity",
            "forbidden_xml",
            "an entity in the NameID",
            response().damage(|xml| format!("<!DOCTYPE x [<!ENTITY e \"mallory\">]>{}", xml.replace(">alice<", ">&e;<"))),
        ),
        case(
            1,
            "form-external-entity",
            "forbidden_xml",
            "an external entity: nothing may be opened",
            response().damage(|xml| format!("<!DOCTYPE x SYSTEM \"http://127.0.0.1:9/x.dtd\">{xml}")),
        ),
        case(
            1,
            "form-processing-instruction",
            "forbidden_xml",
            "a processing instruction inside a signed value",
            response().replace(VALUE, "alice@<?x?>example.com"),
        ),
        case(
            1,
            "form-relative-namespace",
            "forbidden_xml",
            "a relative namespace URI, which canonicalization doesn't define",
            response()
                .damage_by_replacing("<samlp:Status>", "<samlp:Extensions><x xmlns=\"x\"/></samlp:Extensions><samlp:Status>"),
        ),
        case(
            1,
            "form-logout-response",
            "wrong_document",
            "another protocol message",
            response().damage(|xml| without_element(&xml, "saml:Assertion").replace("samlp:Response", "samlp:LogoutResponse")),
        ),
        case(1, "form-bare-assertion", "wrong_document", "an Assertion without a Response", bare.into_bytes()),
        case(
            1,
            "form-foreign-namespace",
            "wrong_document",
            "a Response of another namespace",
            response().damage_by_replacing("SAML:2.0:protocol", "SAML:2.0:other"),
        ),
        case(
            1,
            "form-id-twice",
            "duplicate_id",
            "Response and Assertion have the same ID",
            response().damage_by_replacing("ID=\"_response\"", "ID=\"_assertion\""),
        ),
        case(
            1,
            "form-no-response-id",
            "duplicate_id",
            "the Response has no ID",
            response().damage(move |xml| without_id(xml, "_response")),
        ),
        case(
            1,
            "form-no-assertion",
            "assertion_count",
            "success, but no Assertion",
            response().damage(|xml| without_element(&xml, "saml:Assertion")),
        ),
        case(
            1,
            "form-assertion-twice",
            "assertion_count",
            "a second, unsigned Assertion behind the signed one",
            response().damage(|xml| {
                let second = without_element(&element(&xml, "saml:Assertion"), "ds:Signature");
                let second = second.replace("_assertion", "_second").replace(">alice<", ">mallory<");
                xml.replace("</samlp:Response>", &format!("{second}</samlp:Response>"))
            }),
        ),
        case(
            1,
            "form-assertion-beside-encrypted",
            "assertion_count",
            "an EncryptedAssertion beside a signed Assertion",
            response().damage_by_replacing("</samlp:Response>", "<saml:EncryptedAssertion/></samlp:Response>"),
        ),
        case(
            1,
            "form-declared",
            "accept",
            "a byte order mark, an XML declaration and comments outside of values are lawful",
            response().damage(|xml| {
                format!(
                    "\u{feff}<?xml version=\"1.0\" encoding=\"UTF-8\"?><!-- x -->{}",
                    xml.replace("<samlp:Status>", "<!-- y --><samlp:Status>")
                )
            }),
        ),
    ]
}
