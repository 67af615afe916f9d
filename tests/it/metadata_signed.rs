//! Metadata whose signer is pinned.

use std::time::Instant;

use rustls_pki_types::pem::PemObject as _;
use samael::crypto::{CertificateDer, Crypto, CryptoProvider};
use samlgate::clock::Timestamp;
use samlgate::metadata::{MetadataUrl, Place, Source};
use samlgate::saml::{IdpMetadata, MetadataError, SamlError, TrustAnchors, TrustedCertificate, read_signed_idp};

use crate::metadata_refresh::{at, state, waiting_site, watch};
use crate::support::fake_idp::{Algorithm, EC, FakeIdp, OTHER, RSA};
use crate::support::metadata_server::MetadataServer;
use crate::support::site::{IDP, SSO};

fn federation() -> FakeIdp {
    FakeIdp::with_key("https://federation.example", OTHER, Algorithm::RsaSha256)
}

fn pinned(certificates: &[(&str, &str)]) -> TrustAnchors {
    TrustAnchors::new(certificates.iter().map(|pair| TrustedCertificate::from_pem(pair.1.as_bytes()).unwrap()).collect()).unwrap()
}

fn read(xml: &str, entity_id: Option<&str>) -> Result<IdpMetadata, MetadataError> {
    let now = Timestamp::parse_rfc3339("2026-03-01T12:00:00Z").unwrap();
    read_signed_idp(xml.as_bytes(), &pinned(&[OTHER]), entity_id, now)
}

/// The reason, by the first engine: that the second one would have noticed is no excuse.
fn code(xml: &str) -> &'static str {
    match read(xml, None).unwrap_err() {
        MetadataError::Signature(SamlError::EnginesDisagree(_)) => "engines_disagree",
        error => error.code(),
    }
}

fn group(inner: &str) -> String {
    format!(
        "<md:EntitiesDescriptor xmlns:md=\"urn:oasis:names:tc:SAML:2.0:metadata\" Name=\"all\">{inner}</md:EntitiesDescriptor>"
    )
}

#[test]
fn one_identity_provider_or_a_whole_federation_is_signed() {
    let one = federation().sign_metadata(&FakeIdp::new(IDP).metadata(SSO));
    let idp = read(&one, None).unwrap();
    assert_eq!((idp.entity_id.as_str(), idp.anchors), (IDP, pinned(&[RSA])));
    let members: String = (0..50).map(|n| FakeIdp::new(&format!("https://idp{n}.example")).metadata(SSO)).collect();
    let all = federation().sign_metadata(&group(&group(&members)));
    assert_eq!(read(&all, Some("https://idp7.example")).unwrap().entity_id, "https://idp7.example");
    assert_eq!(read(&all, Some("https://idp77.example")).unwrap_err().code(), "metadata_entity_not_found");
    // A comment in a value is not what was signed, and nobody sees it.
    let commented = one.replace("<ds:X509Certificate>MII", "<ds:X509Certificate>MI<!-- x -->I");
    assert_ne!(commented, one);
    assert_eq!(read(&commented, None).unwrap().anchors, pinned(&[RSA]));
    // The signer's next key stands beside its old one.
    let ec = FakeIdp::with_key("https://federation.example", EC, Algorithm::EcdsaSha256)
        .sign_metadata(&FakeIdp::new(IDP).metadata(SSO));
    let now = Timestamp::parse_rfc3339("2026-03-01T12:00:00Z").unwrap();
    for signed in [&one, &ec] {
        assert!(read_signed_idp(signed.as_bytes(), &pinned(&[OTHER, EC]), None, now).is_ok());
    }
}

#[test]
fn a_signature_over_the_whole_document_is_one_over_its_root() {
    let whole: fn(&str) -> String = |signature| signature.replace("URI=\"#_metadata\"", "URI=\"\"");
    let signed = federation().sign_metadata_with(&FakeIdp::new(IDP).metadata(SSO), Some(whole));
    assert!(signed.contains("URI=\"\""));
    assert_eq!(read(&signed, None).unwrap().entity_id, IDP);
    assert_eq!(read(&format!("<!-- before -->{signed}<!-- after -->"), None).unwrap().entity_id, IDP);
    assert_eq!(code(&signed.replace(SSO, "https://evil.example/sso")), "metadata_signature");
    // It is over the whole of another document then.
    assert_eq!(code(&group(&signed)), "metadata_unsigned");
    let inclusive: fn(&str) -> String =
        |signature| signature.replacen("<ds:Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"/>", "", 1);
    let signed = federation().sign_metadata_with(&FakeIdp::new(IDP).metadata(SSO), Some(inclusive));
    assert_eq!(read(&signed, None).unwrap().entity_id, IDP);
}

#[test]
fn signatures_of_members_are_nobody_s_business() {
    let own = FakeIdp::new(IDP).sign_metadata(&FakeIdp::new(IDP).metadata(SSO)).replace("_metadata", "_member");
    let all = federation().sign_metadata(&group(&own));
    assert_eq!(read(&all, None).unwrap().entity_id, IDP);
}

/// Genuine products' metadata, as if the certificate that came along had been pinned: both engines say the same. Some were changed by
/// those who published them.
#[test]
fn signatures_of_products_are_judged_alike_by_both_engines() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors/metadata");
    if !folder.exists() {
        eprintln!("SKIPPED: ../shared/vectors/metadata is not here");
        return;
    }
    let files = [
        "adfs-opensaml.xml",
        "adfs-v2.xml",
        "adfs-v4.xml",
        "entra-tenant.xml",
        "shibboleth-idp.xml",
        "aaitest-signed-invalid.xml",
    ];
    let mut good = Vec::new();
    for file in files {
        let xml = std::fs::read_to_string(folder.join(file)).unwrap();
        let signature = xml.split("Signature>").find(|part| part.contains("SignatureValue")).unwrap();
        let certificate = signature.split("X509Certificate>").nth(1).and_then(|rest| rest.split("</").next()).unwrap();
        let lines: Vec<&str> = certificate.split_whitespace().collect();
        let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"));
        // A key of 1024 bits can't be pinned.
        let Ok(signer) = TrustedCertificate::from_pem(pem.as_bytes()) else { continue };
        let der = rustls_pki_types::CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let now = Timestamp::parse_rfc3339("2017-04-22T13:00:00Z").unwrap();
        let read = |xml: &str| {
            let signers = TrustAnchors::new(vec![signer.clone()]).unwrap();
            read_signed_idp(xml.as_bytes(), &signers, None, now)
        };
        let other = Crypto::verify_signed_xml(&xml, &CertificateDer::from(der.to_vec()), Some("ID"));
        let ours = read(&xml);
        let signed = !matches!(ours, Err(MetadataError::Signature(_) | MetadataError::Unsigned));
        assert_eq!(signed, other.is_ok(), "{file}: {ours:?}, {other:?}");
        if signed {
            good.push(file);
            let damaged = xml.replacen("Location=\"https://", "Location=\"https://evil.", 1);
            assert_eq!(read(&damaged).unwrap_err().code(), "metadata_signature");
        }
    }
    assert!(good.contains(&"adfs-v4.xml") && good.contains(&"shibboleth-idp.xml"), "{good:?}");
}

#[test]
fn what_the_pinned_key_did_not_sign_is_not_believed() {
    let plain = FakeIdp::new(IDP).metadata(SSO);
    assert_eq!(code(&plain), "metadata_unsigned");
    // The IdP itself, or its certificate in KeyInfo, vouches for nothing.
    assert_eq!(code(&FakeIdp::new(IDP).sign_metadata(&plain)), "metadata_signature");
    let signed = federation().sign_metadata(&plain);
    assert_eq!(code(&signed.replace(SSO, "https://evil.example/sso")), "metadata_signature");
    assert_eq!(code(&signed.replace("ID=\"_metadata\"", "")), "metadata_signature");
    assert_eq!(code(&signed.replace("ID=\"_metadata\"", "ID=\"_other\"")), "metadata_signature");
    assert_eq!(code(&signed.replace("URI=\"#_metadata\"", "URI=\"\"")), "metadata_signature");
    assert_eq!(code(&signed.replace("xmldsig-more#rsa-sha256", "xmldsig-more#rsa-sha1")), "metadata_signature");
    assert_eq!(code(&format!("<!DOCTYPE x>{signed}")), "metadata_forbidden_xml");
    let weak = FakeIdp::with_key("x", OTHER, Algorithm::RsaSha1).sign_metadata(&plain);
    assert_eq!(code(&weak), "metadata_signature");
}

#[test]
fn wrapping_leads_nowhere() {
    let signed = federation().sign_metadata(&FakeIdp::new(IDP).metadata(SSO));
    let evil = FakeIdp::new("https://evil.example").metadata("https://evil.example/sso");
    // Around the signed one an unsigned group.
    assert_eq!(code(&group(&format!("{signed}{evil}"))), "metadata_unsigned");
    // Its Signature moved into a group of both, which it doesn't cover.
    let signature =
        &signed[signed.find("<ds:Signature").unwrap()..signed.find("</ds:Signature>").unwrap() + "</ds:Signature>".len()];
    let moved = group(&format!("{signature}{}{evil}", signed.replace(signature, "")));
    assert_eq!(code(&moved), "metadata_signature");
    // The signed one hidden in the evil one's Extensions, under the evil one's Signature element.
    let hidden = evil.replacen(
        "<md:IDPSSO",
        &format!("{signature}<md:Extensions>{}</md:Extensions><md:IDPSSO", signed.replace(signature, "")),
        1,
    );
    assert_eq!(code(&hidden), "metadata_signature");
    // Two with one ID.
    let twice = hidden.replacen("entityID=", "ID=\"_metadata\" entityID=", 1);
    assert_eq!(code(&twice), "metadata_signature");
    // A second Signature beside the good one.
    let second = signed.replacen(signature, &format!("{signature}{signature}"), 1);
    assert_eq!(code(&second), "metadata_signature");
    // One before it that isn't the root's own.
    let first = signed.replacen(signature, &format!("<md:Extensions>{signature}</md:Extensions>{signature}"), 1);
    assert_eq!(code(&first), "metadata_signature");
}

#[tokio::test]
async fn a_copy_is_verified_again_when_it_is_read() {
    let server = MetadataServer::start(&federation().sign_metadata(&FakeIdp::new(IDP).metadata(SSO)));
    let folder = tempfile::tempdir().unwrap();
    let source = || Source { signers: Some(pinned(&[OTHER])), ..at(&server.url()) };
    let site = waiting_site();
    watch(&site, source(), Some(folder.path())).0.step().await;
    assert_eq!(site.login.idps().len(), 1);
    server.serves(&FakeIdp::new(IDP).metadata(SSO));
    let again = async || {
        let site = waiting_site();
        let (mut watched, board) = watch(&site, source(), Some(folder.path()));
        watched.step().await;
        assert_eq!(state(&board).failing, Some("metadata_unsigned"));
        site.login.idps().len()
    };
    assert_eq!(again().await, 1);
    let copy = std::fs::read_dir(folder.path().join("metadata")).unwrap().next().unwrap().unwrap().path();
    let text = std::fs::read_to_string(&copy).unwrap();
    std::fs::write(&copy, text.replace(SSO, "https://evil.example/sso")).unwrap();
    assert_eq!(again().await, 0);
}

#[tokio::test]
async fn what_comes_without_tls_must_end() {
    let plain = FakeIdp::new(IDP).metadata(SSO);
    let server = MetadataServer::start(&federation().sign_metadata(&plain));
    let site = waiting_site();
    let source = Source { signers: Some(pinned(&[OTHER])), must_end: true, ..at(&server.url()) };
    let (mut watched, board) = watch(&site, source, None);
    watched.step().await;
    assert_eq!((state(&board).failing, site.login.idps().len()), (Some("metadata_without_end"), 0));
    let ending = plain.replace(" entityID=", " validUntil=\"2026-03-08T00:00:00Z\" entityID=");
    server.serves(&federation().sign_metadata(&ending));
    watched.step().await;
    assert_eq!((state(&board).failing, site.login.idps().len()), (None, 1));
}

#[tokio::test]
async fn a_query_service_is_asked_for_one_entity() {
    let server = MetadataServer::start(&federation().sign_metadata(&FakeIdp::new(IDP).metadata(SSO)));
    let template = server.url().replace("/metadata", "/entities/{entity_id}");
    let place = Place::Url(MetadataUrl::parse(&template, Some(IDP)).unwrap());
    let source = Source { place, entity_id: Some(IDP.to_owned()), signers: Some(pinned(&[OTHER])), ..at(&server.url()) };
    let site = waiting_site();
    watch(&site, source, None).0.step().await;
    assert_eq!(server.seen()[0].line(), "GET /entities/https%3A%2F%2Fidp.example%2Fmetadata HTTP/1.1");
    assert_eq!(site.login.idps().len(), 1);
}

/// The sizes that count are measured with a release build (docs/performance.md); here it is enough that time grows as the size does.
#[test]
fn a_large_federation_is_read_in_time() {
    let member = |n: usize| FakeIdp::new(&format!("https://idp{n}.example")).metadata(SSO);
    let members: String = (0..4000).map(member).collect();
    let all = federation().sign_metadata(&group(&members));
    assert!(all.len() > 6_000_000, "{}", all.len());
    let started = Instant::now();
    assert_eq!(read(&all, Some("https://idp3999.example")).unwrap().entity_id, "https://idp3999.example");
    assert!(started.elapsed().as_secs() < 30, "{:?}", started.elapsed());
}
