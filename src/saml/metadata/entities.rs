//! The entities of a metadata document, one after the other: whatever the size of a federation, one is held at a time.

use uppsala::pull::{PullEvent, PullParser};

use super::error::{MetadataError, shown};
use super::validity::Validity;

/// SAML 2.0 metadata.
pub(super) const MD: &str = "urn:oasis:names:tc:SAML:2.0:metadata";
/// Deepest element. Genuine metadata has about ten levels, nested federations included.
const DEPTH: u32 = 32;
/// Elements of one entity. The largest genuine ones have a few thousand.
const ELEMENTS: usize = 100_000;

/// An element of an entity: expanded names, attributes without a namespace, the text directly in it (comments left out, so
/// that a value is read whole).
#[derive(Debug, Default)]
pub(super) struct Element {
    namespace: String,
    name: String,
    attributes: Vec<(String, String)>,
    children: Vec<Element>,
    pub(super) text: String,
}

impl Element {
    /// Whether this is that element.
    pub(super) fn is(&self, namespace: &str, name: &str) -> bool {
        self.namespace == namespace && self.name == name
    }

    /// An attribute's value with outer white space removed, as the schema's types have it.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.trim())
    }

    /// Direct children of that name.
    pub(super) fn children<'a>(&'a self, namespace: &'a str, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.is(namespace, name))
    }
}

/// An EntityDescriptor with what the EntitiesDescriptors around it say of its validity.
pub(super) struct Entity {
    pub(super) element: Element,
    pub(super) around: Vec<Validity>,
}

/// Calls `visit` for every EntityDescriptor that is the root or stands in EntitiesDescriptors only (Metadata 2.3.1).
pub(super) fn each(text: &str, mut visit: impl FnMut(Entity)) -> Result<(), MetadataError> {
    let mut groups: Vec<Validity> = Vec::new();
    let mut open: Vec<Element> = Vec::new();
    // Depth of an element that is neither group nor entity: all below it is passed over.
    let mut skipped: Option<u32> = None;
    let mut elements = 0;
    let mut parser = PullParser::new(text).with_max_depth(DEPTH).with_forbid_dtd(true);
    while let Some(event) = parser.next_event().map_err(|error| not_xml(&error))? {
        match event {
            PullEvent::XmlDeclaration(declaration)
                if declaration.encoding.as_ref().is_some_and(|name| !name.eq_ignore_ascii_case("utf-8")) =>
            {
                return Err(MetadataError::NotUtf8);
            }
            PullEvent::StartElement { name, attributes, depth, .. } if skipped.is_none() => {
                let namespace = name.namespace_uri.as_deref().unwrap_or_default();
                let local = &*name.local_name;
                let is_entity = namespace == MD && local == "EntityDescriptor";
                let is_group = namespace == MD && local == "EntitiesDescriptor";
                if depth == 0 && !is_entity && !is_group {
                    return Err(MetadataError::NotMetadata(format!("{} in namespace {}", shown(local), shown(namespace))));
                }
                let element = Element {
                    namespace: namespace.to_owned(),
                    name: local.to_owned(),
                    attributes: attributes
                        .into_iter()
                        .filter(|attribute| attribute.name.namespace_uri.is_none())
                        .map(|attribute| (attribute.name.local_name.into_owned(), attribute.value.into_owned()))
                        .collect(),
                    ..Element::default()
                };
                if !open.is_empty() || is_entity {
                    elements = if open.is_empty() { 0 } else { elements + 1 };
                    if elements > ELEMENTS {
                        return Err(MetadataError::TooComplex("an entity with too many elements"));
                    }
                    open.push(element);
                } else if is_group {
                    groups.push(Validity::of(&element, "EntitiesDescriptor"));
                } else {
                    skipped = Some(depth);
                }
            }
            PullEvent::EndElement { depth, .. } => {
                if skipped == Some(depth) {
                    skipped = None;
                } else if skipped.is_none() {
                    match (open.pop(), open.last_mut()) {
                        (Some(done), Some(parent)) => parent.children.push(done),
                        (Some(element), None) => visit(Entity { element, around: groups.clone() }),
                        (None, _) => drop(groups.pop()),
                    }
                }
            }
            PullEvent::Text { content, .. } | PullEvent::CData { content, .. } => {
                if let Some(element) = open.last_mut().filter(|_| skipped.is_none()) {
                    element.text.push_str(&content);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn not_xml(error: &uppsala::XmlError) -> MetadataError {
    let text = error.to_string();
    if text.contains("maximum depth") {
        MetadataError::TooComplex("elements nested too deeply")
    } else {
        MetadataError::NotXml(text.chars().take(200).collect())
    }
}
