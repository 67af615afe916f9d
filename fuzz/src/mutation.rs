//! Mutations that know XML: whole elements move, are doubled, swapped, wrapped, cut out; attributes change places; what parsers
//! differ about is put where text or a name stands. Plain mutations of octets nearly always leave what is no XML any more, and
//! that never comes as far as the interesting code.

use std::ops::Range;
use std::sync::OnceLock;

use crate::PlainMutation;
use crate::context::World;

/// Small differences that readers might not agree about.
const PIECES: [&str; 46] = [
    "<!---->",
    "<!--x-->",
    "<?x y?>",
    "<![CDATA[x]]>",
    "<![CDATA[]]>",
    "]]>",
    "&#13;",
    "&#10;",
    "&#9;",
    "&#x20;",
    "&amp;",
    "&lt;",
    "&quot;",
    "\r\n",
    "\r",
    "\t",
    "\n",
    " ",
    "\u{a0}",
    "\u{85}",
    "\u{2028}",
    "\u{feff}",
    "\u{fffd}",
    "e\u{301}",
    "\u{10000}",
    "&#0;",
    "&#xFFFE;",
    "&#x10FFFF;",
    "&nbsp;",
    "<!DOCTYPE a>",
    "<x/>",
    "<x></x>",
    "<x xmlns=''/>",
    "<x xmlns='urn:x'>y</x>",
    "<x xml:space='preserve'> </x>",
    "<x xml:id='_x'/>",
    "mallory",
    "alice",
    "#_assertion",
    "<saml:Advice><saml:Assertion ID=\"_advice\"/></saml:Advice>",
    "<samlp:Extensions/>",
    "<ds:Object/>",
    "<ds:Object><ds:Manifest/></ds:Object>",
    "<saml:NameID>mallory</saml:NameID>",
    "<saml:EncryptedAssertion/>",
    "<saml:AttributeStatement><saml:Attribute Name=\"role\"><saml:AttributeValue>admin</saml:AttributeValue></saml:Attribute></saml:AttributeStatement>",
];

const ATTRIBUTES: [&str; 26] = [
    " xmlns=\"\"",
    " xmlns=\"urn:oasis:names:tc:SAML:2.0:assertion\"",
    " xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\"",
    " xmlns:samlp=\"urn:oasis:names:tc:SAML:2.0:protocol\"",
    " xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"",
    " xmlns:x=\"urn:x\"",
    " xmlns:x=\"x\"",
    " xmlns:saml=\"urn:x\"",
    " xmlns:xml=\"http://www.w3.org/XML/1998/namespace\"",
    " xml:lang=\"en\"",
    " xml:space=\"preserve\"",
    " xml:base=\"http://x/\"",
    " xml:id=\"_x\"",
    " ID=\"_x\"",
    " Id=\"_x\"",
    " id=\"_assertion\"",
    " x:ID=\"_assertion\"",
    " xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:nil=\"true\"",
    " xsi:type=\"xs:string\"",
    " a=\"&#10;&#13;&#9; x\"",
    " a=\"\t\r\n\"",
    " a='\"'",
    " a=\"&lt;&amp;&quot;&apos;>\"",
    " InResponseTo=\"_x\"",
    " Algorithm=\"http://www.w3.org/TR/2001/REC-xml-c14n-20010315\"",
    " PrefixList=\"#default saml xs\"",
];

/// Values that mean something in a signature.
const ALGORITHMS: [&str; 10] = [
    "http://www.w3.org/2001/10/xml-exc-c14n#",
    "http://www.w3.org/2001/10/xml-exc-c14n#WithComments",
    "http://www.w3.org/TR/2001/REC-xml-c14n-20010315",
    "http://www.w3.org/2006/12/xml-c14n11",
    "http://www.w3.org/2000/09/xmldsig#enveloped-signature",
    "http://www.w3.org/2001/04/xmlenc#sha256",
    "http://www.w3.org/2001/04/xmldsig-more#sha384",
    "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256",
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
    "http://www.w3.org/2000/09/xmldsig#sha1",
];

/// xorshift64*.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    fn below(&mut self, most: usize) -> usize {
        (self.next() % most.max(1) as u64) as usize
    }

    fn one<'l, T>(&mut self, list: &'l [T]) -> Option<&'l T> {
        list.get(self.below(list.len()))
    }
}

/// What is there, as far as a quick scan can tell.
#[derive(Default)]
struct Seen {
    /// Whole elements.
    elements: Vec<Range<usize>>,
    /// Start tags and empty-element tags.
    tags: Vec<Range<usize>>,
    /// Attributes, with the white space before them.
    attributes: Vec<Range<usize>>,
    /// Text between tags.
    texts: Vec<Range<usize>>,
}

fn scan(text: &str) -> Seen {
    let mut seen = Seen::default();
    let mut open: Vec<usize> = Vec::new();
    let mut at = 0;
    while let Some(start) = text[at..].find('<').map(|found| at + found) {
        if start > at {
            seen.texts.push(at..start);
        }
        let rest = &text[start..];
        let end = |mark: &str| rest.find(mark).map_or(text.len(), |found| start + found + mark.len());
        at = if rest.starts_with("<!--") {
            end("-->")
        } else if rest.starts_with("<![CDATA[") {
            end("]]>")
        } else {
            end(">")
        };
        if rest.starts_with("</") {
            if let Some(began) = open.pop() {
                seen.elements.push(began..at);
            }
        } else if !rest.starts_with("<!") && !rest.starts_with("<?") {
            seen.tags.push(start..at);
            attributes(text, start..at, &mut seen.attributes);
            if text[start..at].ends_with("/>") {
                seen.elements.push(start..at);
            } else {
                open.push(start);
            }
        }
    }
    seen
}

fn attributes(text: &str, tag: Range<usize>, found: &mut Vec<Range<usize>>) {
    let mut at = tag.start;
    while let Some(equals) = text[at..tag.end].find('=').map(|found| at + found) {
        let Some(quote) = text[equals + 1..tag.end].chars().next().filter(|quote| matches!(quote, '"' | '\'')) else { return };
        let Some(close) = text[equals + 2..tag.end].find(quote).map(|found| equals + 2 + found + 1) else { return };
        let Some(start) = text[at..equals].rfind([' ', '\t', '\r', '\n']).map(|found| at + found) else { return };
        found.push(start..close);
        at = close;
    }
}

/// Changes the XML behind the first `front` octets, one to four times; or, one time in four, any octets.
pub(crate) fn mutate(data: &mut [u8], size: usize, most: usize, seed: u32, front: usize, plain: PlainMutation) -> usize {
    let mut dice = Dice(u64::from(seed) << 20 | 0x9E37_79B9);
    dice.next();
    if dice.below(16) == 0 {
        let at = dice.below(front);
        data[at] = dice.next() as u8;
        return size;
    }
    let xml = std::str::from_utf8(&data[front..size]).ok().filter(|_| dice.below(4) > 0);
    let Some(mut text) = xml.map(str::to_owned) else { return plain(data, size, most) };
    for _ in 0..=dice.below(4) {
        if let Some(changed) = change(&text, &mut dice) {
            text = changed;
        }
    }
    if text.len() + front > most.min(data.len()) {
        return plain(data, size, most);
    }
    data[front..front + text.len()].copy_from_slice(text.as_bytes());
    front + text.len()
}

fn change(text: &str, dice: &mut Dice) -> Option<String> {
    let seen = scan(text);
    let with = |range: Range<usize>, new: &str| Some(format!("{}{new}{}", &text[..range.start], &text[range.end..]));
    let insert = |at: usize, new: &str| with(at..at, new);
    match dice.below(18) {
        // An element once more, somewhere else.
        0 | 1 => {
            let copied = dice.one(&seen.elements)?.clone();
            insert(somewhere(&seen, dice)?, &text[copied])
        }
        // An element moves.
        2 | 3 => {
            let moved = dice.one(&seen.elements)?.clone();
            let to = somewhere(&seen, dice)?;
            let piece = &text[moved.clone()];
            if to <= moved.start {
                Some(format!("{}{piece}{}{}", &text[..to], &text[to..moved.start], &text[moved.end..]))
            } else if to >= moved.end {
                Some(format!("{}{}{piece}{}", &text[..moved.start], &text[moved.end..to], &text[to..]))
            } else {
                None
            }
        }
        4 => with(dice.one(&seen.elements)?.clone(), ""),
        // Two change places.
        5 => {
            let (one, other) = (dice.one(&seen.elements)?.clone(), dice.one(&seen.elements)?.clone());
            let (first, second) = if one.start < other.start { (one, other) } else { (other, one) };
            (first.end <= second.start).then(|| {
                format!(
                    "{}{}{}{}{}",
                    &text[..first.start],
                    &text[second.clone()],
                    &text[first.end..second.start],
                    &text[first.clone()],
                    &text[second.end..]
                )
            })
        }
        // One element's tags around another.
        6 => {
            let tag = &text[dice.one(&seen.tags)?.clone()];
            let name: String = tag[1..].chars().take_while(|c| !c.is_whitespace() && !matches!(c, '>' | '/')).collect();
            let inside = dice.one(&seen.elements)?.clone();
            let open = tag.trim_end_matches("/>").trim_end_matches('>');
            let piece = format!("{open}>{}</{name}>", &text[inside.clone()]);
            with(inside, &piece)
        }
        // What readers differ about, in a text, between elements, or in an attribute's value.
        7 | 8 => {
            let piece = dice.one(&PIECES)?;
            let place = match dice.below(3) {
                0 => dice.one(&seen.texts)?.clone(),
                1 => dice.one(&seen.attributes)?.clone(),
                _ => return insert(somewhere(&seen, dice)?, piece),
            };
            insert(boundary(text, &place, dice), piece)
        }
        9 | 10 => {
            let tag = dice.one(&seen.tags)?;
            let name = text[tag.clone()].find([' ', '>', '/', '\t', '\n']).map_or(tag.end, |found| tag.start + found);
            insert(name, dice.one(&ATTRIBUTES)?)
        }
        11 => with(dice.one(&seen.attributes)?.clone(), ""),
        // An attribute of one element at another one too, or two that change places.
        12 => {
            let copied = dice.one(&seen.attributes)?.clone();
            let place = dice.one(&seen.attributes)?.clone();
            if dice.below(2) == 0 { insert(place.end, &text[copied]) } else { with(place, &text[copied]) }
        }
        13 => {
            let place = dice.one(&seen.texts)?.clone();
            let other = dice.one(&seen.texts)?.clone();
            with(place, &text[other])
        }
        // Another spelling of the same: an empty element, a character by number, other quotes.
        14 => match dice.below(3) {
            0 => {
                let tag = dice.one(&seen.tags)?.clone();
                let open = text[tag.clone()].strip_suffix("/>")?;
                let name: String = open[1..].chars().take_while(|c| !c.is_whitespace()).collect();
                with(tag.clone(), &format!("{open}></{name}>"))
            }
            1 => {
                let place = dice.one(&seen.texts)?.clone();
                let at = boundary(text, &place, dice);
                let c = text[at..].chars().next().filter(|c| !matches!(c, '<' | '&'))?;
                with(at..at + c.len_utf8(), &format!("&#x{:X};", c as u32))
            }
            _ => {
                let place = dice.one(&seen.attributes)?.clone();
                with(place.clone(), &text[place].replace('"', "'"))
            }
        },
        // Another prefix for the same namespace, everywhere.
        15 => {
            let (from, to) = *dice.one(&[("saml:", "a:"), ("samlp:", "saml:"), ("ds:", ""), ("saml:", ""), ("a:", "saml2:")])?;
            let declared = |prefix: &str| match prefix.strip_suffix(':') {
                Some(prefix) => format!("xmlns:{prefix}="),
                None => "xmlns=".to_owned(),
            };
            let text = text.replace(&format!("<{from}"), &format!("<{to}")).replace(&format!("</{from}"), &format!("</{to}"));
            Some(text.replace(&declared(from), &declared(to)))
        }
        16 => {
            let place = dice.one(&seen.attributes).filter(|place| text[(*place).clone()].contains("Algorithm="))?.clone();
            with(place, &format!(" Algorithm=\"{}\"", dice.one(&ALGORITHMS)?))
        }
        // An element of another message.
        _ => {
            let donor = dice.one(donors())?;
            let theirs = scan(donor);
            let piece = dice.one(&theirs.elements)?.clone();
            insert(somewhere(&seen, dice)?, &donor[piece])
        }
    }
}

/// A place between tags, or between a tag and a text.
fn somewhere(seen: &Seen, dice: &mut Dice) -> Option<usize> {
    let element = dice.one(&seen.elements)?;
    let tag = dice.one(&seen.tags)?;
    Some(match dice.below(3) {
        0 => element.start,
        1 => element.end,
        _ => tag.end,
    })
}

/// A place in a text, between characters.
fn boundary(text: &str, place: &Range<usize>, dice: &mut Dice) -> usize {
    let mut at = place.start + dice.below(place.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Messages of the vectors to take elements from.
fn donors() -> &'static [String] {
    static DONORS: OnceLock<Vec<String>> = OnceLock::new();
    DONORS.get_or_init(|| {
        let known = World::get().responses.iter().filter(|known| known.octets.len() < 20_000);
        known.filter_map(|known| String::from_utf8(known.octets.clone()).ok()).collect()
    })
}
