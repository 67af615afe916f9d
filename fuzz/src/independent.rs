//! Reads once more what was accepted, with another XML reader than any engine or samlgate itself.

use std::collections::BTreeMap;

use roxmltree::{Document, Node};
use samlgate::saml::{Attribute, NameId, VerifiedAssertion};

const ASSERTION: &str = "urn:oasis:names:tc:SAML:2.0:assertion";
const PROTOCOL: &str = "urn:oasis:names:tc:SAML:2.0:protocol";

/// What an assertion says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) id: String,
    /// `None` when it is encrypted.
    name_id: Option<(String, Option<String>)>,
    /// `None` when some are encrypted.
    attributes: Option<BTreeMap<String, Vec<String>>>,
    session_index: Option<String>,
}

/// Reads the one assertion in canonical XML: it is the root, or a child of a Response. `None` when it is encrypted.
///
/// # Panics
/// When there is none, or several.
pub(crate) fn assertion_in(octets: &[u8]) -> Option<Said> {
    let text = std::str::from_utf8(octets).expect("signed octets are UTF-8");
    let document = Document::parse(text).expect("signed octets are XML");
    let root = document.root_element();
    if root.has_tag_name((ASSERTION, "Assertion")) {
        return Some(said(root));
    }
    assert!(root.has_tag_name((PROTOCOL, "Response")), "the signed element is {:?}", root.tag_name());
    let children = |name| root.children().filter(move |child| child.has_tag_name((ASSERTION, name)));
    let assertions: Vec<_> = children("Assertion").collect();
    match (assertions.as_slice(), children("EncryptedAssertion").count()) {
        ([one], 0) => Some(said(*one)),
        ([], 1) => None,
        (some, encrypted) => panic!("{} assertions and {encrypted} encrypted ones are signed", some.len()),
    }
}

/// Reads what was decrypted: not canonical, and with prefixes that the Response around it declares.
///
/// # Panics
/// When it isn't an assertion.
pub(crate) fn assertion_surrounded(plaintext: &[u8]) -> Said {
    let text = std::str::from_utf8(plaintext).expect("an accepted assertion is UTF-8");
    let text = format!("<x xmlns:saml=\"{ASSERTION}\" xmlns:samlp=\"{PROTOCOL}\">{text}</x>");
    let document = Document::parse(&text).expect("an accepted assertion is XML");
    let assertion = document.root_element().first_element_child().expect("an element");
    assert!(assertion.has_tag_name((ASSERTION, "Assertion")), "accepted: {:?}", assertion.tag_name());
    said(assertion)
}

fn said(assertion: Node<'_, '_>) -> Said {
    fn named<'a, 'd: 'a>(node: Node<'a, 'd>, name: &'static str) -> impl Iterator<Item = Node<'a, 'd>> {
        node.children().filter(move |child| child.has_tag_name((ASSERTION, name)))
    }
    let subject = named(assertion, "Subject").next().expect("an accepted assertion has a Subject");
    let name_id = named(subject, "NameID").next();
    let name_id =
        name_id.map(|node| (trim(&text(node)).to_owned(), node.attribute("Format").filter(|f| !f.is_empty()).map(str::to_owned)));
    let mut attributes = Some(BTreeMap::<String, Vec<String>>::new());
    for statement in named(assertion, "AttributeStatement") {
        if named(statement, "EncryptedAttribute").next().is_some() {
            attributes = None;
        }
        let Some(all) = attributes.as_mut() else { break };
        for attribute in named(statement, "Attribute") {
            let Some(name) = attribute.attribute("Name") else { continue };
            let values = named(attribute, "AttributeValue").filter_map(value);
            all.entry(name.to_owned()).or_default().extend(values);
        }
    }
    let statement = named(assertion, "AuthnStatement").next();
    Said {
        id: assertion.attribute("ID").expect("an accepted assertion has an ID").to_owned(),
        name_id,
        attributes,
        session_index: statement.and_then(|node| node.attribute("SessionIndex")).map(str::to_owned),
    }
}

fn value(node: Node<'_, '_>) -> Option<String> {
    const INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";
    if matches!(node.attribute((INSTANCE, "nil")), Some("true" | "1")) {
        return None;
    }
    let elements: Vec<_> = node.children().filter(Node::is_element).collect();
    match elements.as_slice() {
        [] => Some(text(node)),
        [name_id] if name_id.has_tag_name((ASSERTION, "NameID")) && !name_id.children().any(|child| child.is_element()) => {
            Some(text(*name_id))
        }
        _ => None,
    }
}

/// All text directly in an element.
fn text(node: Node<'_, '_>) -> String {
    node.children().filter(Node::is_text).filter_map(|child| child.text()).collect()
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\r', '\n'])
}

impl Said {
    /// samlgate must have read the same.
    ///
    /// # Panics
    /// When it has not.
    pub(crate) fn must_be(&self, accepted: &VerifiedAssertion) {
        assert_eq!(accepted.id(), self.id);
        if let Some(name_id) = &self.name_id {
            assert_eq!(&shown(accepted.name_id()), name_id, "another NameID than the one that is signed");
        }
        if let Some(attributes) = &self.attributes {
            assert_eq!(&by_name(accepted.attributes()), attributes, "other attributes than the ones that are signed");
        }
        assert_eq!(accepted.session_index().map(str::to_owned), self.session_index);
    }
}

fn shown(name_id: &NameId) -> (String, Option<String>) {
    (name_id.value.clone(), name_id.format.clone())
}

fn by_name(attributes: &[Attribute]) -> BTreeMap<String, Vec<String>> {
    attributes.iter().map(|attribute| (attribute.name.clone(), attribute.values.clone())).collect()
}

/// What a LogoutRequest or LogoutResponse says: ID, NameID, SessionIndexes.
///
/// # Panics
/// When it isn't one.
pub(crate) fn logout_in(octets: &[u8]) -> (String, Option<String>, Vec<String>) {
    let text_of = std::str::from_utf8(octets).expect("an accepted message is UTF-8");
    let document = Document::parse(text_of.strip_prefix('\u{feff}').unwrap_or(text_of)).expect("an accepted message is XML");
    let root = document.root_element();
    let id = root.attribute("ID").expect("an accepted message has an ID").to_owned();
    let name_id = root.children().find(|child| child.has_tag_name((ASSERTION, "NameID")));
    let indexes = root.children().filter(|child| child.has_tag_name((PROTOCOL, "SessionIndex")));
    (id, name_id.map(|node| trim(&text(node)).to_owned()), indexes.map(|node| trim(&text(node)).to_owned()).collect())
}
