//! What metadata may look like at all, decided in one pass over the octets before anything parses them.

use super::error::{MetadataError, shown};

/// Attributes of one element, namespace declarations included. Genuine metadata has a dozen.
const ATTRIBUTES: usize = 128;

/// Refuses what is too large, not UTF-8, or has a DOCTYPE, a processing instruction, an element of absurd width or a name with
/// colons in odd places (Namespaces in XML section 4, about which parsers differ). Linear in the document's length, without recursion; otherwise
/// well-formedness is left to the parser.
pub(super) fn admit(xml: &[u8], max_octets: usize) -> Result<&str, MetadataError> {
    if xml.len() > max_octets {
        return Err(MetadataError::TooLarge(max_octets));
    }
    let text = std::str::from_utf8(xml).map_err(|_| MetadataError::NotUtf8)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut rest = text;
    if let Some(declaration) = text.strip_prefix("<?xml").filter(|after| after.starts_with([' ', '\t', '\r', '\n'])) {
        rest = past(declaration, "?>")?;
    }
    while let Some((_, markup)) = rest.split_once('<') {
        rest = if let Some(comment) = markup.strip_prefix("!--") {
            past(comment, "-->")?
        } else if let Some(cdata) = markup.strip_prefix("![CDATA[") {
            past(cdata, "]]>")?
        } else if markup.starts_with('!') {
            return Err(MetadataError::Forbidden("a DOCTYPE"));
        } else if markup.starts_with('?') {
            return Err(MetadataError::Forbidden("a processing instruction"));
        } else {
            past_tag(markup)?
        };
    }
    Ok(text)
}

fn past<'a>(text: &'a str, end: &str) -> Result<&'a str, MetadataError> {
    text.split_once(end).map(|(_, rest)| rest).ok_or_else(|| MetadataError::NotXml(format!("{end} is missing")))
}

/// Skips a start or end tag, counting its attributes by the equals signs outside quotes, and looking at every name.
fn past_tag(markup: &str) -> Result<&str, MetadataError> {
    let mut quote = None;
    let (mut attributes, mut name_from) = (0, 0);
    for (at, octet) in markup.bytes().enumerate() {
        match (quote, octet) {
            (Some(open), _) if octet == open => (quote, name_from) = (None, at + 1),
            (Some(_), _) => {}
            (None, b'"' | b'\'') => quote = Some(octet),
            (None, b'=' | b'/' | b'>' | b' ' | b'\t' | b'\r' | b'\n') => {
                let name = markup.get(name_from..at).unwrap_or_default();
                if !name.is_empty() && !may_be_qualified(name) {
                    return Err(MetadataError::NotXml(format!("a name is malformed: {}", shown(name))));
                }
                name_from = at + 1;
                match octet {
                    b'=' => attributes += 1,
                    b'>' => return Ok(markup.get(at + 1..).unwrap_or_default()),
                    _ => {}
                }
            }
            (None, _) => {}
        }
        if attributes > ATTRIBUTES {
            return Err(MetadataError::TooComplex("an element with too many attributes"));
        }
    }
    Err(MetadataError::NotXml(format!("a tag does not end: {}", shown(markup))))
}

/// Whether a name has at most one colon, with something that can begin a name on both sides.
fn may_be_qualified(name: &str) -> bool {
    let mut parts = name.split(':');
    let begins = |part: &str| !part.is_empty() && !part.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '.');
    parts.by_ref().take(2).all(begins) && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doctype_and_instructions_are_refused_wherever_they_stand() {
        for (xml, what) in [
            ("<!DOCTYPE a><a/>", "a DOCTYPE"),
            ("\u{feff}<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "a DOCTYPE"),
            ("<a x='>'><!ELEMENT b ANY></a>", "a DOCTYPE"),
            ("<?xml-stylesheet href='x'?><a/>", "a processing instruction"),
            ("<a><?php x ?></a>", "a processing instruction"),
            ("<a/><?xml version='1.0'?>", "a processing instruction"),
        ] {
            assert_eq!(admit(xml.as_bytes(), 1000), Err(MetadataError::Forbidden(what)), "{xml}");
        }
    }

    #[test]
    fn what_only_looks_like_a_doctype_passes() {
        for xml in ["<a><!-- <!DOCTYPE x> <?pi?> --></a>", "<a><![CDATA[<!DOCTYPE x>]]></a>", "<a b='<?x'/>"] {
            assert_eq!(admit(xml.as_bytes(), 1000), Ok(xml));
        }
    }

    #[test]
    fn a_name_has_at_most_one_colon_and_that_within() {
        for xml in [
            "<a:b:c/>",
            "<a b:c:d=''/>",
            "<a xmlns:b:c='u'/>",
            "<a></a:b:c>",
            "<a b='' n20:b19:b=''/>",
            "<:a/>",
            "<a:/>",
            "<a :b=''/>",
            "<a b: =''/>",
            "<a b:1=''/>",
            "</:a>",
            "<a b=''-c=''/>",
        ] {
            assert!(matches!(admit(xml.as_bytes(), 100), Err(MetadataError::NotXml(_))), "{xml}");
        }
        for xml in ["<a:b xmlns:c='::' c:d=\"x:y:z\"\tc:e=''>a:b:c</a:b>", "<a:b/>:<c:d/>:"] {
            assert_eq!(admit(xml.as_bytes(), 100), Ok(xml));
        }
    }

    #[test]
    fn size_width_and_encoding_are_bounded() {
        assert_eq!(admit(b"<a/>", 3), Err(MetadataError::TooLarge(3)));
        assert_eq!(admit(b"<a>\xff</a>", 100), Err(MetadataError::NotUtf8));
        let wide = format!("<a{}/>", (0..200).map(|n| format!(" a{n}=''")).collect::<String>());
        assert_eq!(admit(wide.as_bytes(), 10_000), Err(MetadataError::TooComplex("an element with too many attributes")));
        for open in ["<a", "<a b='", "<!-- x", "<![CDATA[ x", "<?xml version='1.0'"] {
            assert!(matches!(admit(open.as_bytes(), 100), Err(MetadataError::NotXml(_))), "{open}");
        }
    }
}
