//! What the guard lets through, and where its budgets end.

use std::fmt::Write;
use std::time::{Duration, Instant};

use super::*;

fn code(text: &str) -> &'static str {
    Guarded::read(text.as_bytes()).map_or_else(|error| error.code(), |_| "good")
}

#[test]
fn characters_that_xml_has_no_place_for_are_refused_everywhere() {
    // Found by fuzzing: in attribute values the parser let them pass.
    for character in (0..0x20).filter(|code| ![9, 10, 13].contains(code)).chain([0xfffe, 0xffff]) {
        let raw = char::from_u32(character).unwrap().to_string();
        for written in [raw, format!("&#{character};"), format!("&#x{character:x};")] {
            for place in ["<a>_</a>", "<a b='_'/>", "<a b=\"x_y\"/>", "<a><![CDATA[_]]></a>", "<a><!--_--></a>"] {
                let is_reference = written.starts_with('&') && place.contains("<!");
                let read = Guarded::read(place.replace('_', &written).as_bytes()).map(drop);
                assert_eq!(read.is_err(), !is_reference, "{place} {written:?}: {read:?}");
            }
        }
    }
    for good in ["<a b='\t\u{7f}\u{85}\u{fffd}\u{10ffff}'>\u{7f}\u{fffd}</a>", "<a b='&#9;&#10;&#13;'/>"] {
        Guarded::read(good.as_bytes()).unwrap();
    }
}

#[test]
fn reads_plain_xml() {
    for good in [
        "<a/>",
        "\u{feff}<?xml version='1.0' encoding='utf-8'?>\n<!-- x --><a><x><!-- > --></x><b c='>' d=\"'\"/> \n<![CDATA[<?x <!y]]>&lt;</a><!---->",
        "<a xmlns='http://www.w3.org/2000/09/xmldsig#' xmlns:b='urn:mace:x?y=%c3%bc' xmlns:c='http://h.example:8080/x/'/>",
        "<a xmlns='urn:x' xmlns:b='http://x' xmlns:xml='http://www.w3.org/XML/1998/namespace'><c xmlns='' b:d='' xml:e=''/></a>",
        "<a ID='1-2'><b Id='_1' xmlns:c='urn:c' c:d='1-2'/></a>",
    ] {
        assert_eq!(code(good), "good", "{good}");
    }
}

#[test]
fn refuses_what_is_not_well_formed() {
    for bad in [
        "",
        " ",
        "x",
        "<a>",
        "<a></b>",
        "<a/><b/>",
        "<a/>x",
        "<a",
        "<a b='",
        "<a><![CDATA[</a>",
        "<!--",
        "</a>",
        "<a/></a>",
        "<a b='1' b='2'/>",
        "<a b=1/>",
        "<a b='<'/>",
        "<a>&b;</a>",
        "<a>&#0;</a>",
        "<a>\u{0}</a>",
        "<a>]]></a>",
        "<a><!-- -- --></a>",
        "<b:a/>",
        "<a b:c=''/>",
        "<a xmlns:b='urn:x' xmlns:c='urn:x' b:d='' c:d=''/>",
        "<a:b:c xmlns:a='urn:x'/>",
        "<:a/>",
        "<a xmlns:b=''/>",
        "<a xmlns:xmlns='urn:x'/>",
        "<a xmlns:xml='urn:x'/>",
        "<a xmlns:b='http://www.w3.org/XML/1998/namespace'/>",
        "<a xmlns='http://www.w3.org/2000/xmlns/'/>",
        "<?xml version='1.1'?><a/>",
        "<?xml version='1.0' encoding='ISO-8859-1'?><a/>",
        "<?xml version='1.0' encoding='UTF-7'?><a/>",
        "<?xml version='1.0'?><?xml version='1.0'?><a/>x",
    ] {
        assert!(matches!(code(bad), "not_xml" | "forbidden_xml"), "{bad}: {}", code(bad));
    }
    for bad in [b"<a>\xff</a>".as_slice(), b"\xff\xfe<\0a\0/\0>\0", b"\0<\0a\0/\0>", b"<a>\xed\xa0\x80</a>"] {
        assert_eq!(Guarded::read(bad).map(|_| ()).unwrap_err().code(), "not_xml", "{bad:?}");
    }
}

#[test]
fn refuses_what_has_no_place_in_a_message() {
    for bad in [
        "<!DOCTYPE a><a/>",
        "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
        "<a><!ENTITY b 'c'></a>",
        "<!doctype a><a/>",
        "<?b?><a/>",
        "<a><?b?></a>",
        "<a/><?b?>",
        "<a><b/><?xml version='1.0'?></a>",
        " <?xml version='1.0'?><a/>",
        "<a>b<!-- c --></a>",
        "<a><![CDATA[b]]><!----></a>",
        "<a><!----><b/>c</a>",
        "<a xmlns='x'/>",
        "<a xmlns:b='./x'/>",
        "<a><b xmlns:c='1:x'/></a>",
        "<a xmlns='urn:oasis:%tc:x'/>",
        "<a xmlns='urn:a b'/>",
        "<a xmlns='urn:\u{fc}'/>",
        "<a xmlns='urn:a#b#c'/>",
        "<a xmlns='urn:a[b]'/>",
        "<a xmlns='http://h:x/'/>",
        "<a xmlns='http://h:/'/>",
        "<a xmlns='http://h:'/>",
        "<a xmlns='http://h:http://h/'/>",
        "<a xmlns='http://u@h/'/>",
        "<a xmlns='urn:x&amp;'/>",
    ] {
        assert_eq!(code(bad), "forbidden_xml", "{bad}");
    }
}

#[test]
fn ids_are_unique_whatever_they_are_called() {
    for bad in [
        "<a ID='x'><b ID='x'/></a>",
        "<a ID='x'><b Id='x'/></a>",
        "<a ID='x'><b id='x'/></a>",
        "<a ID='x'><b xml:id='x'/></a>",
        "<a ID='x'><b xmlns:c='urn:c' c:ID='x'/></a>",
        "<a ID='x' xmlns:c='urn:c' c:ID='x'/>",
        "<a ID='x' Id='x'/>",
        "<a ID='x'><b AssertionID='x'/></a>",
        "<a ID=''/>",
        "<a ID='x y'/>",
        "<a ID='x:y'/>",
        "<a ID='#x'/>",
        "<a ID=\"x'\"/>",
        "<a ID='\u{e9}'/>",
        "<a ID='x\u{10000}'/>",
    ] {
        assert_eq!(code(bad), "duplicate_id", "{bad}");
    }
    assert_eq!(code(&format!("<a ID='{}'/>", "x".repeat(256))), "good");
    assert_eq!(code(&format!("<a ID='{}'/>", "x".repeat(257))), "duplicate_id");
}

#[test]
fn budgets_end_where_they_say() {
    let deep = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
    assert_eq!((code(&deep(64)), code(&deep(65))), ("good", "too_large"));
    let wide = |elements: usize| format!("<a>{}</a>", "<b/>".repeat(elements - 1));
    assert_eq!((code(&wide(5000)), code(&wide(5001))), ("good", "too_large"));
    for node in ["<!---->", "<![CDATA[]]>"] {
        let many = |nodes: usize| format!("<a>{}</a>", node.repeat(nodes - 1));
        assert_eq!((code(&many(5000)), code(&many(5001))), ("good", "too_large"), "{node}");
    }
    let attributes = |count: usize| {
        let list = (0..count).fold(String::new(), |mut list, at| {
            write!(list, " b{at}='>'").unwrap();
            list
        });
        format!("<a{list}/>")
    };
    assert_eq!((code(&attributes(64)), code(&attributes(65))), ("good", "too_large"));
    let broad = |elements: usize| format!("<a>{}</a>", attributes(10).repeat(elements));
    assert_eq!((code(&broad(1000)), code(&broad(1001))), ("good", "too_large"));
    let nested = |depth: usize, more: &str| {
        format!("<a xmlns='urn:a'\txmlns:b='urn:b'{more}>{}{}", "<a xmlns='urn:a'>".repeat(depth), "</a>".repeat(depth + 1))
    };
    assert_eq!((code(&nested(62, "")), code(&nested(62, "\nxmlns:c='urn:c'"))), ("good", "too_large"));
    // Not in scope at the same time.
    assert_eq!(code(&format!("<x>{}</x>", "<a xmlns:b='urn:b'/><a xmlns:b='urn:b'></a>".repeat(200))), "good");
    let spread = |count: usize| {
        let list = (0..49).map(|at| format!(" xmlns:n{at}='urn:n'")).collect::<String>();
        format!("<a{list}>{}</a>", "<b/>".repeat(count))
    };
    assert_eq!((code(&spread(2039)), code(&spread(2040))), ("good", "too_large"));
    let long = |length: usize| format!("<a>{}</a>", "x".repeat(length - 7));
    assert_eq!((code(&long(MAX_OCTETS)), code(&long(MAX_OCTETS + 1))), ("good", "too_large"));
}

#[test]
fn the_worst_that_fits_is_read_quickly() {
    let fill = |piece: &str| piece.repeat((MAX_OCTETS - 100) / piece.len());
    let spaces: String = (0..60).fold(String::new(), |mut list, at| {
        write!(list, " xmlns:n{at}='urn:n'").unwrap();
        list
    });
    let prefixed: String = (0..60).fold(String::new(), |mut list, at| {
        write!(list, " n0:b{at}=''").unwrap();
        list
    });
    for worst in [
        fill("<!---->"),
        fill("<"),
        fill("<a>"),
        fill("<![CDATA["),
        fill("]]>"),
        fill("&#x61;"),
        format!("<a>{}</a>", fill("<!---->")),
        format!("<a>{}</a>", fill("&#x61;")),
        format!("<a>{}</a>", fill("<![CDATA[]]>")),
        format!("<a>{}</a>", fill("x<!---->")),
        format!("<a b='{}'/>", fill("&amp;")),
        format!("<a{spaces}>{}</a>", format!("<n0:c{prefixed}/>").repeat(300)),
        format!("<a>{}</a>", "<b ID='x' id='y'/>".repeat(4000)),
    ] {
        let started = Instant::now();
        let _ = code(&worst);
        // Unoptimised and beside other tests: this finds what is quadratic, not what is slow.
        assert!(started.elapsed() < Duration::from_secs(3), "{}: {:?}", worst.get(..60).unwrap(), started.elapsed());
    }
}

#[test]
fn line_ends_and_attribute_values_are_normalised() {
    let guarded = Guarded::read(
        b"\xef\xbb\xbf<a\r\nb='1\r\n2\r3\n\t4&#13;&#9;\">'>4\r\n5\r6\t&#13;<![CDATA[<b c='\r\n'>]]></a ><!--<b c='\n'-->",
    )
    .unwrap();
    assert_eq!(guarded.text(), "<a\nb='1 2 3  4&#13;&#9;\">'>4\n5\n6\t&#13;<![CDATA[<b c='\n'>]]></a ><!--<b c='\n'-->");
    assert_eq!(guarded.root().unwrap().attribute("b"), Some("1 2 3  4\r\t\">"));
    let plain = "<a b='1 2&#10;'>\n\t</a>";
    assert_eq!(Guarded::read(plain.as_bytes()).unwrap().text(), plain);
}
