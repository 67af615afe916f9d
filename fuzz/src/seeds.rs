//! Where a corpus begins.

use std::fmt::Write as _;
use std::path::Path;

use crate::LARGEST;

/// Writes each seed under a name that its content gives, beside what is there.
pub(crate) fn write(folder: &Path, seeds: &[Vec<u8>]) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for seed in seeds {
        let hash = openssl::sha::sha1(seed);
        let name = hash.iter().fold(String::new(), |mut name, octet| {
            let _ = write!(name, "{octet:02x}");
            name
        });
        std::fs::write(folder.join(name), seed)?;
    }
    Ok(())
}

/// `front`, and then the seed.
pub(crate) fn behind(front: &[u8], seed: &[u8]) -> Vec<u8> {
    [front, seed].concat()
}

/// Documents that stay just below every limit of the guard, and cost as much as that allows. `inside` wraps what is to stand in a
/// message.
pub(crate) fn worst(inside: impl Fn(&str) -> String) -> Vec<String> {
    let room = LARGEST - inside("").len() - 200;
    let fill = |piece: &str| piece.repeat(room / piece.len());
    let numbered = |count: usize, piece: fn(usize) -> String| (0..count).map(piece).collect::<String>();
    let namespaces = numbered(48, |at| format!(" xmlns:n{at}='urn:n{at}'"));
    let attributes = numbered(60, |at| format!(" b{at}=''"));
    let prefixed = numbered(40, |at| format!(" n{at}:b=''"));
    let deep = |tag: &str, depth: usize| format!("{}{}", format!("<{tag}>").repeat(depth), "</a>".repeat(depth));
    let list = vec![
        "<!---->".repeat(4900),
        "<![CDATA[a]]>".repeat(4900),
        format!("<a{attributes}/>").repeat(26),
        fill("<a/>x"),
        "<a/>".repeat(4900),
        fill("&#x61;"),
        fill("<!---->"),
        fill("<![CDATA[a]]>"),
        fill("\u{10000}"),
        fill("&lt;"),
        fill("\r\n"),
        format!("<a b='{}'/>", fill("&amp;").split_off(10)),
        format!("<a b='{}'/>", fill("&#xA;").split_off(10)),
        format!("<a{attributes}/>").repeat(room / (attributes.len() + 4)),
        format!("<c{namespaces}>{}</c>", format!("<n0:c{prefixed}/>").repeat(400)),
        format!("<c{namespaces}>{}</c>", "<b/>".repeat(1900)),
        format!("<c{namespaces}>{}</c>", deep("a", 50)),
        deep("a b='x'", 55).repeat(80),
        numbered(4500, |at| format!("<a ID='_{at}'/>")),
        numbered(4500, |at| format!("<a xmlns='urn:x{at}'/>")),
    ];
    list.iter().map(|content| inside(content)).filter(|document| document.len() <= LARGEST).collect()
}
