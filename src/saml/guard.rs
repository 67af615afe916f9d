//! The guard: what octets must be like before anything believes or even canonicalises them (rule 1).
//!
//! A linear scan counts depth, elements and attributes before the parser sees the document, so that no input can make the
//! parser slow. Then uppsala, the parser below the first signature engine, reads it, and one walk over the tree refuses what
//! has no place in a SAML message.

use std::borrow::Cow;
use std::collections::HashSet;

use uppsala::{Document, NodeKind, Parser};

use super::error::{SamlError, cut};
use super::xml::{Element, is_space};
use crate::give_way::give_way;

/// Most octets of a message.
pub(in crate::saml) const MAX_OCTETS: usize = 256 * 1024;
/// Deepest nesting of elements.
const MAX_DEPTH: usize = 64;
/// Most attributes of an element, namespace declarations included.
const MAX_ATTRIBUTES: usize = 64;
/// Most namespace declarations in scope at one place: resolving a name costs this much.
const MAX_NAMESPACES: usize = 64;
/// Longest ID, in octets.
const MAX_ID: usize = 256;

const XML_NAMESPACE: &str = "http://www.w3.org/XML/1998/namespace";
const XMLNS_NAMESPACE: &str = "http://www.w3.org/2000/xmlns/";

/// What differs between kinds of documents.
#[derive(Clone, Copy, Debug)]
pub(in crate::saml) struct Limits {
    /// Most octets, and how that is said.
    octets: (usize, &'static str),
    /// Most elements, comments and CDATA sections, and how that is said.
    nodes: (usize, &'static str),
    /// Most attributes squared, summed over all elements: finding two of one name costs this much.
    attribute_cost: usize,
    /// Most namespace declarations in scope, summed over all elements: inclusive canonicalisation costs this much, twice.
    namespace_cost: usize,
    /// Whether a comment may stand inside a value. It may where only canonical octets are read, which have none.
    comments_in_values: bool,
}

impl Limits {
    /// A protocol message, from anybody.
    const MESSAGE: Self = Self {
        octets: (MAX_OCTETS, "more than 256 KiB"),
        nodes: (5000, "more than 5000 elements or comments"),
        attribute_cost: 100_000,
        namespace_cost: 100_000,
        comments_in_values: false,
    };

    /// Metadata of at most so many octets, from where the operator said. An element costs at least four octets.
    pub(in crate::saml) fn metadata(octets: usize) -> Self {
        Self {
            octets: (octets, "more octets than are read"),
            nodes: (octets / 4, "too many elements"),
            attribute_cost: octets.saturating_mul(2),
            namespace_cost: octets.saturating_mul(2),
            comments_in_values: true,
        }
    }
}

/// A document that passed the guard.
pub(in crate::saml) struct Guarded<'t> {
    text: Cow<'t, str>,
    document: Document<'t>,
}

impl<'t> Guarded<'t> {
    /// Reads a message.
    ///
    /// # Errors
    /// `TooLarge`, `NotXml`, `ForbiddenXml`, `DuplicateId`.
    pub(in crate::saml) fn read(octets: &'t [u8]) -> Result<Self, SamlError> {
        Self::read_within(octets, &Limits::MESSAGE)
    }

    /// Reads a document of another kind.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(in crate::saml) fn read_within(octets: &'t [u8], limits: &Limits) -> Result<Self, SamlError> {
        if octets.len() > limits.octets.0 {
            return Err(SamlError::TooLarge(limits.octets.1));
        }
        let text = std::str::from_utf8(octets).map_err(|_| SamlError::NotXml("not UTF-8".to_owned()))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        check_characters(text)?;
        let text = normalized(text, limits)?;
        give_way();
        let (text, document) = match text {
            Cow::Borrowed(text) => (Cow::Borrowed(text), parse(text)?),
            Cow::Owned(text) => {
                let document = parse(&text)?.into_static();
                (Cow::Owned(text), document)
            }
        };
        give_way();
        check_declaration(&document)?;
        check_tree(&document, limits)?;
        Ok(Self { text, document })
    }

    /// The text that was read: without a byte order mark, and normalised as XML demands.
    pub(in crate::saml) fn text(&self) -> &str {
        &self.text
    }

    /// The parsed document.
    pub(in crate::saml) fn document(&self) -> &Document<'t> {
        &self.document
    }

    /// The root element.
    pub(in crate::saml) fn root(&self) -> Result<Element<'_>, SamlError> {
        Element::root(&self.document).ok_or_else(|| SamlError::NotXml("no root element".to_owned()))
    }
}

/// Characters that XML has no place for (XML 2.2); the parser looks for them in text only. What is written as a reference, it refuses
/// everywhere.
///
/// # Errors
/// `NotXml`.
fn check_characters(text: &str) -> Result<(), SamlError> {
    let control = |octet: u8| octet < b' ' && !matches!(octet, b'\t' | b'\n' | b'\r');
    if text.bytes().any(control) || text.contains(['\u{fffe}', '\u{ffff}']) {
        return Err(SamlError::NotXml("a character that XML does not allow".to_owned()));
    }
    Ok(())
}

/// Line ends become LF everywhere (XML 2.11), and white space in attribute values becomes spaces (3.3.3), what is written as a
/// character reference aside. The parser does neither in attribute values; what was signed would then seem to have changed.
///
/// # Errors
/// As [`scan`].
fn normalized<'t>(text: &'t str, limits: &Limits) -> Result<Cow<'t, str>, SamlError> {
    let text = match text.contains('\r') {
        true => Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n")),
        false => Cow::Borrowed(text),
    };
    let breaks = scan(&text, limits)?;
    if breaks.is_empty() {
        return Ok(text);
    }
    let mut octets = text.into_owned().into_bytes();
    for at in breaks {
        if let Some(octet) = octets.get_mut(at) {
            *octet = b' ';
        }
    }
    String::from_utf8(octets).map(Cow::Owned).map_err(|_| SamlError::NotXml("not UTF-8".to_owned()))
}

fn parse(text: &str) -> Result<Document<'_>, SamlError> {
    let parser = Parser::new().with_forbid_dtd(true).with_forbid_entities(true).with_max_depth(MAX_DEPTH as u32);
    parser.parse(text).map_err(|error| SamlError::NotXml(cut(&error.to_string())))
}

/// Counts, in one pass, what costs a parser time, and refuses declarations and processing instructions. It needn't understand
/// more of XML than where markup begins and ends: what it lets through is still parsed strictly. Returns where in attribute values
/// white space stands that isn't a space.
fn scan(text: &str, limits: &Limits) -> Result<Vec<usize>, SamlError> {
    let mut breaks = Vec::new();
    let mut rest = text;
    if let Some(declaration) = text.strip_prefix("<?xml").filter(|after| after.starts_with(is_space)) {
        rest = after(declaration, "?>")?;
    }
    let mut nodes = 0_usize;
    let mut attribute_cost = 0_usize;
    let mut namespaces = 0_usize;
    let mut namespace_cost = 0_usize;
    let mut open: Vec<usize> = Vec::new();
    while let Some(at) = rest.find('<') {
        let markup = rest.get(at..).unwrap_or_default();
        nodes += usize::from(!markup.starts_with("</"));
        if nodes > limits.nodes.0 {
            return Err(SamlError::TooLarge(limits.nodes.1));
        }
        if let Some(comment) = markup.strip_prefix("<!--") {
            rest = after(comment, "-->")?;
        } else if let Some(section) = markup.strip_prefix("<![CDATA[") {
            rest = after(section, "]]>")?;
        } else if markup.starts_with("<!") {
            return Err(SamlError::ForbiddenXml("a DOCTYPE or entity declaration"));
        } else if markup.starts_with("<?") {
            return Err(SamlError::ForbiddenXml("a processing instruction"));
        } else if let Some(end_tag) = markup.strip_prefix("</") {
            rest = after(end_tag, ">")?;
            namespaces = namespaces.saturating_sub(open.pop().unwrap_or(0));
        } else {
            let tag = Tag::scan(markup, text.len() - markup.len(), &mut breaks)?;
            rest = tag.rest;
            namespaces += tag.namespaces;
            if tag.attributes > MAX_ATTRIBUTES {
                return Err(SamlError::TooLarge("an element with more than 64 attributes"));
            }
            attribute_cost += tag.attributes * tag.attributes;
            if attribute_cost > limits.attribute_cost {
                return Err(SamlError::TooLarge("too many attributes"));
            }
            namespace_cost += namespaces;
            if namespaces > MAX_NAMESPACES || namespace_cost > limits.namespace_cost {
                return Err(SamlError::TooLarge("too many namespaces"));
            }
            if tag.empty {
                namespaces -= tag.namespaces;
            } else {
                open.push(tag.namespaces);
                if open.len() > MAX_DEPTH {
                    return Err(SamlError::TooLarge("elements nested more than 64 deep"));
                }
            }
        }
    }
    Ok(breaks)
}

fn after<'t>(text: &'t str, end: &'static str) -> Result<&'t str, SamlError> {
    text.split_once(end).map(|(_, rest)| rest).ok_or_else(unfinished)
}

fn unfinished() -> SamlError {
    SamlError::NotXml("unfinished markup".to_owned())
}

/// What the scan sees of a start tag.
struct Tag<'t> {
    attributes: usize,
    namespaces: usize,
    empty: bool,
    rest: &'t str,
}

impl<'t> Tag<'t> {
    fn scan(markup: &'t str, start: usize, breaks: &mut Vec<usize>) -> Result<Self, SamlError> {
        let (mut attributes, mut namespaces) = (0, 0);
        let mut quote = None;
        let mut before = b'<';
        for (at, octet) in markup.bytes().enumerate().skip(1) {
            match (quote, octet) {
                (Some(open), _) if octet == open => quote = None,
                (Some(_), b'\t' | b'\n') => breaks.push(start + at),
                (Some(_), _) => {}
                (None, b'"' | b'\'') => {
                    quote = Some(octet);
                    attributes += 1;
                }
                (None, b'<') => return Err(unfinished()),
                (None, b'>') => {
                    let rest = markup.get(at + 1..).unwrap_or_default();
                    return Ok(Self { attributes, namespaces, empty: before == b'/', rest });
                }
                (None, b'x') if is_space(char::from(before)) => {
                    let name = markup.get(at..).unwrap_or_default();
                    namespaces += usize::from(name.starts_with("xmlns"));
                }
                _ => {}
            }
            before = octet;
        }
        Err(unfinished())
    }
}

fn check_declaration(document: &Document<'_>) -> Result<(), SamlError> {
    let Some(declaration) = &document.xml_declaration else { return Ok(()) };
    if declaration.version != "1.0" {
        return Err(SamlError::NotXml("not XML 1.0".to_owned()));
    }
    match declaration.encoding.as_deref() {
        None => Ok(()),
        Some(encoding) if encoding.eq_ignore_ascii_case("UTF-8") => Ok(()),
        Some(_) => Err(SamlError::NotXml("declared as another encoding than UTF-8".to_owned())),
    }
}

/// One walk over all nodes.
fn check_tree(document: &Document<'_>, limits: &Limits) -> Result<(), SamlError> {
    let mut ids = HashSet::new();
    for node in document.descendants(document.root()) {
        match document.node_kind(node) {
            Some(NodeKind::ProcessingInstruction(_)) => return Err(SamlError::ForbiddenXml("a processing instruction")),
            Some(NodeKind::Element(element)) => {
                check_namespaces(element)?;
                check_ids(element, &mut ids)?;
                let (mut comment, mut text) = (false, false);
                for child in document.children_iter(node) {
                    match document.node_kind(child) {
                        Some(NodeKind::Comment(_)) => comment = true,
                        Some(NodeKind::Text(value) | NodeKind::CData(value)) => text |= !value.chars().all(is_space),
                        _ => {}
                    }
                }
                if comment && text && !limits.comments_in_values {
                    return Err(SamlError::ForbiddenXml("a comment inside a value"));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Namespaces in XML 1.0, sections 3 and 5, where the parser is more lenient; and no relative namespace URI, over which
/// canonicalisers disagree (Canonical XML 1.3).
fn check_namespaces(element: &uppsala::Element<'_>) -> Result<(), SamlError> {
    let ill = |why: &str| Err(SamlError::NotXml(why.to_owned()));
    for (prefix, uri) in &element.namespace_declarations {
        if prefix == "xmlns" || uri == XMLNS_NAMESPACE || (prefix == "xml") != (uri == XML_NAMESPACE) {
            return ill("a reserved namespace is declared");
        }
        if prefix.contains(':') || (uri.is_empty() && !prefix.is_empty()) {
            return ill("a namespace declaration is malformed");
        }
        if !uri.is_empty() && !is_absolute(uri) {
            return Err(SamlError::ForbiddenXml("a relative namespace URI"));
        }
    }
    let names = std::iter::once(&element.name).chain(element.attributes.iter().map(|attribute| &attribute.name));
    for name in names {
        if name.local_name.contains(':') {
            return ill("a name with more than one colon");
        }
    }
    Ok(())
}

/// Whether a text is a URI with a scheme (RFC 3986), as every namespace that anybody uses is: with a plain host, if it has one, and
/// nothing that needs an escape. The second engine canonicalises with nothing else.
fn is_absolute(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once(':') else { return false };
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let host_is_plain = rest.strip_prefix("//").is_none_or(|rest| {
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        // A colon with no port behind it is lawful, and not to the second engine.
        let (host, port) = authority.split_once(':').unwrap_or((authority, "80"));
        host.bytes().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-' | b'_'))
            && matches!(port.len(), 1..=5)
            && port.bytes().all(|octet| octet.is_ascii_digit())
    });
    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.chars().all(|next| next.is_ascii_alphanumeric() || matches!(next, '+' | '-' | '.'))
        && host_is_plain
        && has_uri_characters(rest)
        && has_uri_characters(fragment)
}

/// pchar, `/` and `?` (RFC 3986, 3.3 to 3.5), but for `&`: the engines write it differently.
fn has_uri_characters(text: &str) -> bool {
    let mut parts = text.split('%');
    let plain = |part: &str| part.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-._~!$'()*+,;=:@/?".contains(&octet));
    let escaped = |part: &str| part.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    parts.next().is_none_or(plain) && parts.all(|part| escaped(part) && plain(part))
}

/// Every attribute that some engine could take for an ID, whatever its namespace: each value only once in the document.
fn check_ids<'d>(element: &'d uppsala::Element<'_>, ids: &mut HashSet<&'d str>) -> Result<(), SamlError> {
    for attribute in &element.attributes {
        if !matches!(&*attribute.name.local_name, "ID" | "Id" | "id" | "AssertionID") {
            continue;
        }
        let value = &*attribute.value;
        // An NCName, except that some IdPs' IDs begin with a digit (a bare UUID): harmless here, and the second engine abstains.
        if value.is_empty() || value.len() > MAX_ID || !value.chars().all(is_ncname_char) {
            return Err(SamlError::DuplicateId("one is malformed"));
        }
        if !ids.insert(value) {
            return Err(SamlError::DuplicateId("one occurs twice"));
        }
    }
    Ok(())
}

/// NCNameChar (Namespaces in XML 1.0, 4) within ASCII: beyond it XML's editions differ, and so do the engines. Nobody's IDs or
/// prefixes go there.
pub(in crate::saml) fn is_ncname_char(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.')
}

#[cfg_attr(not(feature = "second-opinion"), expect(dead_code, reason = "only the second engine asks"))]
/// Whether an ID that passed the guard is an NCName, as xs:ID demands.
pub(in crate::saml) fn is_ncname(value: &str) -> bool {
    value.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
}

#[cfg(test)]
mod tests;
