//! Reading elements by their expanded names. A local name in another namespace is another element (Namespaces in XML, 2.1).

use uppsala::{Document, NodeId, NodeKind};

/// Namespace of protocol messages (Core 1.1).
pub(in crate::saml) const PROTOCOL: &str = "urn:oasis:names:tc:SAML:2.0:protocol";
/// Namespace of assertions (Core 1.1).
pub(in crate::saml) const ASSERTION: &str = "urn:oasis:names:tc:SAML:2.0:assertion";
/// Namespace of XML Signature.
pub(in crate::saml) const SIGNATURE: &str = "http://www.w3.org/2000/09/xmldsig#";
/// Namespace of XML Signature 1.1's additions.
pub(in crate::saml) const SIGNATURE_11: &str = "http://www.w3.org/2009/xmldsig11#";
/// Namespace of XML Encryption.
pub(in crate::saml) const ENCRYPTION: &str = "http://www.w3.org/2001/04/xmlenc#";
/// Namespace of XML Encryption 1.1's additions.
pub(in crate::saml) const ENCRYPTION_11: &str = "http://www.w3.org/2009/xmlenc11#";
/// Namespace of `xsi:nil`.
pub(in crate::saml) const SCHEMA_INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// An element of a document that passed the guard.
#[derive(Clone, Copy)]
pub(in crate::saml) struct Element<'d> {
    document: &'d Document<'d>,
    node: NodeId,
}

impl<'d> Element<'d> {
    /// The document's root element. `None` can't happen for a parsed document.
    pub(in crate::saml) fn root(document: &'d Document<'d>) -> Option<Self> {
        Self::at(document, document.document_element()?)
    }

    /// The element at a node, if it is one.
    pub(in crate::saml) fn at(document: &'d Document<'d>, node: NodeId) -> Option<Self> {
        document.element(node).map(|_| Self { document, node })
    }

    /// The node.
    pub(in crate::saml) fn node(self) -> NodeId {
        self.node
    }

    /// The element that this one stands in; `None` for the root.
    pub(in crate::saml) fn parent(self) -> Option<Self> {
        Self::at(self.document, self.document.parent(self.node)?)
    }

    fn data(self) -> Option<&'d uppsala::Element<'d>> {
        self.document.element(self.node)
    }

    /// The namespace; empty for none.
    pub(in crate::saml) fn namespace(self) -> &'d str {
        self.data().and_then(|data| data.name.namespace_uri.as_deref()).unwrap_or_default()
    }

    /// The local name.
    pub(in crate::saml) fn local_name(self) -> &'d str {
        self.data().map_or("", |data| &data.name.local_name)
    }

    /// Whether this is that element.
    pub(in crate::saml) fn is(self, namespace: &str, local_name: &str) -> bool {
        self.namespace() == namespace && self.local_name() == local_name
    }

    /// `{namespace}local`, to show.
    pub(in crate::saml) fn expanded_name(self) -> String {
        format!("{{{}}}{}", self.namespace(), self.local_name())
    }

    /// An attribute that is in no namespace, as all attributes of SAML and XML Signature are.
    pub(in crate::saml) fn attribute(self, name: &str) -> Option<&'d str> {
        let mut attributes = self.data()?.attributes.iter();
        attributes.find(|attribute| is_plain(&attribute.name) && attribute.name.local_name == name).map(|found| &*found.value)
    }

    /// An attribute in a namespace.
    pub(in crate::saml) fn attribute_in(self, namespace: &str, name: &str) -> Option<&'d str> {
        self.data()?.get_attribute_ns(namespace, name)
    }

    /// Whether all attributes are in no namespace and have one of these names.
    pub(in crate::saml) fn has_only_attributes(self, names: &[&str]) -> bool {
        self.data().is_some_and(|data| {
            data.attributes.iter().all(|attribute| is_plain(&attribute.name) && names.contains(&&*attribute.name.local_name))
        })
    }

    /// The prefixes that are bound here (the empty one for the default namespace) with their namespaces, the nearest declaration
    /// of each (Namespaces in XML 1.0, 6). A default namespace that is undeclared is left out.
    pub(in crate::saml) fn namespaces_in_scope(self) -> Vec<(&'d str, &'d str)> {
        let mut scope: Vec<(&str, &str)> = Vec::new();
        for element in std::iter::successors(Some(self), |element| element.parent()) {
            for (prefix, uri) in element.data().map(|data| data.namespace_declarations.as_slice()).unwrap_or_default() {
                if !scope.iter().any(|(known, _)| *known == &**prefix) {
                    scope.push((prefix, uri));
                }
            }
        }
        scope.retain(|(prefix, uri)| !uri.is_empty() && *prefix != "xml");
        scope
    }

    /// Child elements, all of them, in order.
    pub(in crate::saml) fn children(self) -> impl Iterator<Item = Element<'d>> {
        let document = self.document;
        document.children_iter(self.node).filter_map(move |node| Self::at(document, node))
    }

    /// Child elements of a name, in order.
    pub(in crate::saml) fn children_named(
        self,
        namespace: &'static str,
        local_name: &'static str,
    ) -> impl Iterator<Item = Element<'d>> {
        self.children().filter(move |child| child.is(namespace, local_name))
    }

    /// The whole text: character data and CDATA sections joined. `None` when something else stands in it too, so that no part
    /// of a value can be hidden from one reader and shown to another.
    pub(in crate::saml) fn text(self) -> Option<String> {
        let mut text = String::new();
        for child in self.document.children_iter(self.node) {
            match self.document.node_kind(child) {
                Some(NodeKind::Text(part) | NodeKind::CData(part)) => text.push_str(part),
                _ => return None,
            }
        }
        Some(text)
    }

    /// Whether some text directly in this element, not in its children, is like that.
    pub(in crate::saml) fn has_own_text(self, like: impl Fn(&str) -> bool) -> bool {
        self.document.children_iter(self.node).any(|child| match self.document.node_kind(child) {
            Some(NodeKind::Text(text) | NodeKind::CData(text)) => like(text),
            _ => false,
        })
    }

    /// The text when it is one piece of character data: no CDATA section, comment or element.
    pub(in crate::saml) fn plain_text(self) -> Option<&'d str> {
        let mut children = self.document.children_iter(self.node);
        match (children.next().and_then(|child| self.document.node_kind(child)), children.next()) {
            (Some(NodeKind::Text(text)), None) => Some(text),
            _ => None,
        }
    }
}

fn is_plain(name: &uppsala::QName<'_>) -> bool {
    name.namespace_uri.is_none() && name.prefix.is_none()
}

/// Whether this is XML's white space (XML 2.3).
pub(in crate::saml) fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r' | '\n')
}

/// Without XML's white space at both ends.
pub(in crate::saml) fn trim(text: &str) -> &str {
    text.trim_matches(is_space)
}
