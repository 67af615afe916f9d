//! Metadata of an identity provider, as it may come from a URL or a federation. One octet says which entity is asked for.
//!
//! Whatever is taken from it:
//! - is XML without a DOCTYPE for an independent reader too, and this one finds the entity with a role of SAML 2.0;
//! - has at least one key that it says is for signing, and none that it doesn't say there;
//! - has addresses of http or https only, that stand there;
//! - has not ended.

use std::path::Path;

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use roxmltree::{Document, Node};
use samlgate::clock::Timestamp;
use samlgate::saml::{IdpMetadata, TrustAnchors, TrustedCertificate, read_idp};

use crate::context::{json, read, shared_folder, text};
use crate::fake_idp::FakeIdp;
use crate::seeds::{behind, worst};

/// Certificates in the field lack padding, or have stray bits.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent).with_decode_allow_trailing_bits(true),
);
const MD: &str = "urn:oasis:names:tc:SAML:2.0:metadata";
const IDP: &str = "https://idp.example/metadata";

fn now() -> Timestamp {
    Timestamp::parse_rfc3339("2026-03-01T12:00:00Z").expect("a time")
}

pub(crate) fn run(input: &[u8]) {
    let [choice, xml @ ..] = input else { return };
    let wanted = if choice & 1 == 0 { None } else { Some(IDP) };
    let Ok(found) = read_idp(xml, wanted, now()) else { return };
    assert!(wanted.is_none_or(|wanted| wanted == found.entity_id), "another entity than the one that was asked for");
    assert!(!found.entity_id.is_empty() && found.entity_id.chars().count() <= 1024);
    assert!(found.valid_until.is_none_or(|until| until > now()), "it has ended");
    let text = std::str::from_utf8(xml).expect("what is taken is UTF-8");
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // Not every document that is taken is one for this reader: it limits the number of nodes and of attributes differently.
    let document = match Document::parse(text) {
        Ok(document) => document,
        Err(
            roxmltree::Error::NodesLimitReached
            | roxmltree::Error::AttributesLimitReached
            | roxmltree::Error::NamespacesLimitReached,
        ) => return,
        Err(error) => panic!("taken, though it is no XML for another reader: {error}"),
    };
    let roles = document.descendants().filter(|node| {
        let entity = node.parent_element();
        node.has_tag_name((MD, "IDPSSODescriptor"))
            && entity.and_then(|entity| entity.attribute("entityID")).is_some_and(|id| trim(id) == found.entity_id)
    });
    let roles: Vec<_> = roles.collect();
    assert!(!roles.is_empty(), "there is no identity provider {:?}", found.entity_id);
    check_keys(&found.anchors, &roles);
    check_addresses(&found, &roles);
}

/// An entity ID is an anyURI: white space around it isn't part of it (XML Schema 2, 4.3.6).
fn trim(id: &str) -> &str {
    id.trim_matches([' ', '\t', '\n', '\r'])
}

fn check_keys(anchors: &TrustAnchors, roles: &[Node<'_, '_>]) {
    let descriptors = roles.iter().flat_map(|role| role.children()).filter(|node| node.has_tag_name((MD, "KeyDescriptor")));
    let signing = descriptors.filter(|node| node.attribute("use").is_none_or(|what| what.trim() != "encryption"));
    // Of whatever namespace: some products forget to declare it.
    let texts = signing.flat_map(|node| node.descendants()).filter(|node| node.tag_name().name() == "X509Certificate");
    let certificates: Vec<Vec<u8>> = texts
        .flat_map(|node| {
            let text: String = node.children().filter(Node::is_text).filter_map(|child| child.text()).collect();
            parts(&text)
        })
        .collect();
    assert!(!anchors.certificates().is_empty(), "there is no key");
    let trusted: Vec<_> = certificates.iter().filter_map(|der| TrustedCertificate::from_der(der).ok()).collect();
    for certificate in anchors.certificates() {
        assert!(trusted.contains(certificate), "a key that no KeyDescriptor of it says is for signing");
    }
}

/// What stands in a text in base64: by itself, in PEM, or as base64 of PEM.
fn parts(text: &str) -> Vec<Vec<u8>> {
    let decoded = |part: &str| LENIENT.decode(part.split_ascii_whitespace().collect::<String>()).ok();
    let found: Vec<Vec<u8>> = text.split("-----").filter_map(decoded).collect();
    let again = found.iter().filter_map(|octets| std::str::from_utf8(octets).ok().filter(|text| text.contains("-----")));
    let again: Vec<Vec<u8>> = again.flat_map(|text| text.split("-----").filter_map(decoded).collect::<Vec<_>>()).collect();
    found.into_iter().chain(again).collect()
}

fn check_addresses(found: &IdpMetadata, roles: &[Node<'_, '_>]) {
    assert!(!found.sso.is_empty(), "there is no address");
    let locations: Vec<_> = roles
        .iter()
        .flat_map(|role| role.children())
        .flat_map(|node| [node.attribute("Location"), node.attribute("ResponseLocation")])
        .flatten()
        .map(str::trim)
        .collect();
    for endpoint in found.sso.iter().chain(&found.slo) {
        let url = url::Url::parse(&endpoint.location).expect("an address is a URL");
        assert!(matches!(url.scheme(), "http" | "https") && url.has_host(), "{}", endpoint.location);
        assert!(!endpoint.location.chars().any(|c| c.is_control() || c.is_whitespace()), "{:?}", endpoint.location);
        assert!(locations.contains(&endpoint.location.as_str()), "{:?} does not stand there", endpoint.location);
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let idp = FakeIdp::new(IDP);
    let mut documents = vec![
        idp.metadata("https://idp.example/sso"),
        idp.metadata_with_logout("https://idp.example/sso", "https://idp.example/slo"),
    ];
    let one = idp.metadata("https://idp.example/sso");
    let other = FakeIdp::new("https://other.example").metadata("https://other.example/sso");
    documents.push(format!("<md:EntitiesDescriptor xmlns:md=\"{MD}\" validUntil=\"2030-01-01T00:00:00Z\" cacheDuration=\"PT1H\">{other}{one}</md:EntitiesDescriptor>"));
    let (before, after) = one.split_once("<md:IDPSSODescriptor").expect("a role");
    let around = |content: &str| format!("{before}<md:Extensions>{content}</md:Extensions><md:IDPSSODescriptor{after}");
    documents.extend(worst(around));
    let mut seeds: Vec<_> =
        documents.iter().flat_map(|document| [behind(&[0], document.as_bytes()), behind(&[1], document.as_bytes())]).collect();
    if let Some(folder) = shared_folder() {
        for entry in json(folder.join("metadata/index.json"))["entries"].as_array().expect("entries") {
            seeds.push(behind(&[0], &read(folder.join("metadata").join(Path::new(text(entry, "file"))))));
        }
    }
    seeds
}
