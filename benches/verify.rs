//! CPU time of verifying one response, and of refusing the most expensive hostile ones.
//!
//! `cargo bench --bench verify`. The responses are those of `../shared/vectors`; without that folder only the hostile ones run.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark may stop at anything unexpected")]

use std::fmt::Write;
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use samlgate::clock::Timestamp;
use samlgate::saml::{
    Checks, Compat, Expectations, Expected, SpKey, TrustAnchors, TrustedCertificate, decode_response, prepare, verify_response,
};

/// Name, file, certificate, IdP, SP, ACS, request, clock.
const GENUINE: [(&str, [&str; 7]); 2] = [
    (
        "response signed, RSA-2048 (Google Workspace)",
        [
            "crewjam-saml/testdata__TestSPCanHandlePlaintextResponse_response",
            "crewjam-saml/certs/google-idp.pem",
            "https://accounts.google.com/o/saml2?idpid=C02dfl1r1",
            "https://29ee6d2e.ngrok.io/saml/metadata",
            "https://29ee6d2e.ngrok.io/saml/acs",
            "id-fd419a5ab0472645427f8e07d87a3a5dd0b2e9a6",
            "2016-01-05T16:55:50Z",
        ],
    ),
    (
        "assertion signed, P-256",
        [
            "generated/ok-ecdsa-p256.xml",
            "generated/certs/idp-ec.pem",
            "https://idp.test/metadata",
            "https://app.test/saml/metadata",
            "https://app.test/saml/acs",
            "_req-4f1c2a",
            "2026-03-01T12:00:30Z",
        ],
    ),
];

fn genuine(criterion: &mut Criterion) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors");
    prepare().unwrap();
    for (name, [file, certificate, idp, sp, acs, request, now]) in GENUINE {
        let Ok(octets) = std::fs::read(folder.join(file)) else {
            eprintln!("SKIPPED: ../shared/vectors is not there");
            return;
        };
        let octets =
            if octets.starts_with(b"<") { octets } else { decode_response(std::str::from_utf8(&octets).unwrap()).unwrap() };
        let certificate = TrustedCertificate::from_pem(&std::fs::read(folder.join(certificate)).unwrap()).unwrap();
        let anchors = TrustAnchors::new(vec![certificate]).unwrap();
        let acs_urls = [acs.to_owned()];
        let expectations = Expectations {
            idp_entity_id: idp,
            sp_entity_id: sp,
            acs_urls: &acs_urls,
            expected: Expected::AnswerTo(request),
            compat: Compat::default(),
            clock_skew: Duration::from_secs(60),
            max_age: Duration::from_secs(3600),
            authn_context: &[],
            authenticated_since: None,
            decryption_keys: &[],
        };
        let now = Timestamp::parse_rfc3339(now).unwrap();
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut checks = Checks::default();
                verify_response(black_box(&octets), &anchors, &expectations, now, &mut checks).unwrap()
            });
        });
    }
}

/// Decrypting with two RSA keys of 2048 bits, of which the first fits, and verifying: the project's own cases.
fn encrypted(criterion: &mut Criterion) {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let fixture = |name: &str| std::fs::read(tests.join("fixtures").join(name)).unwrap();
    let anchors = TrustAnchors::new(vec![TrustedCertificate::from_pem(&fixture("idp.crt")).unwrap()]).unwrap();
    let keys =
        ["sp", "sp-old"].map(|name| SpKey::from_pem(&fixture(&format!("{name}.key")), &fixture(&format!("{name}.crt"))).unwrap());
    let acs_urls = ["https://app.example/_samlgate/acs".to_owned()];
    prepare().unwrap();
    for (name, file, keys) in [
        ("one key", "encrypted-aes256-gcm", &keys[..1]),
        ("one key, Response and Assertion signed", "encrypted-both-signed", &keys[..1]),
        ("one key, OAEP of two hashes (Keycloak)", "encrypted-mgf1p-sha256", &keys[..1]),
        ("two keys", "encrypted-aes256-gcm", &keys[..]),
    ] {
        let octets = std::fs::read(tests.join(format!("vectors/responses/{file}.xml"))).unwrap();
        let expectations = Expectations {
            idp_entity_id: "https://idp.example/metadata",
            sp_entity_id: "https://app.example/_samlgate/metadata",
            acs_urls: &acs_urls,
            expected: Expected::Unsolicited,
            compat: Compat::default(),
            clock_skew: Duration::from_secs(60),
            max_age: Duration::from_secs(300),
            authn_context: &[],
            authenticated_since: None,
            decryption_keys: keys,
        };
        let now = Timestamp::parse_rfc3339("2026-03-01T12:00:10Z").unwrap();
        criterion.bench_function(&format!("encrypted, RSA-2048: {name}"), |bencher| {
            bencher.iter(|| {
                let mut checks = Checks::default();
                verify_response(black_box(&octets), &anchors, &expectations, now, &mut checks).unwrap()
            });
        });
    }
}

/// Documents within the guard's budgets that cost the most before they are refused: their signatures have a lawful form, so
/// that the engine canonicalises all of it.
fn hostile(criterion: &mut Criterion) {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["idp.test".to_owned()]).unwrap().self_signed(&key).unwrap();
    let anchors = TrustAnchors::new(vec![TrustedCertificate::from_der(certificate.der()).unwrap()]).unwrap();
    let acs_urls = ["https://app.test/acs".to_owned()];
    let expectations = Expectations {
        idp_entity_id: "https://idp.test",
        sp_entity_id: "https://app.test",
        acs_urls: &acs_urls,
        expected: Expected::Unsolicited,
        compat: Compat::default(),
        clock_skew: Duration::from_secs(60),
        max_age: Duration::from_secs(300),
        authn_context: &[],
        authenticated_since: None,
        decryption_keys: &[],
    };
    let list = |count: usize, piece: &dyn Fn(usize) -> String| {
        (0..count).fold(String::new(), |mut all, at| {
            write!(all, "{}", piece(at)).unwrap();
            all
        })
    };
    let namespaces = |count: usize| list(count, &|at| format!(" xmlns:n{at}='urn:{at}'"));
    let attributes = list(60, &|at| format!(" n0:b{at}=''"));
    let prefixes = list(16, &|at| format!("n{at} "));
    let exclusive = format!(
        "<s:Transform Algorithm='http://www.w3.org/2001/10/xml-exc-c14n#'><e:InclusiveNamespaces \
         xmlns:e='http://www.w3.org/2001/10/xml-exc-c14n#' PrefixList='{prefixes}'/></s:Transform>"
    );
    let inclusive = "<s:Transform Algorithm='http://www.w3.org/TR/2001/REC-xml-c14n-20010315'/>";
    let signature = |id: &str, transform: &str| {
        format!(
            "<s:Signature xmlns:s='http://www.w3.org/2000/09/xmldsig#'><s:SignedInfo><s:CanonicalizationMethod \
             Algorithm='http://www.w3.org/2001/10/xml-exc-c14n#'/><s:SignatureMethod \
             Algorithm='http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256'/><s:Reference URI='#{id}'><s:Transforms><s:Transform \
             Algorithm='http://www.w3.org/2000/09/xmldsig#enveloped-signature'/>{transform}</s:Transforms><s:DigestMethod \
             Algorithm='http://www.w3.org/2001/04/xmlenc#sha256'/><s:DigestValue>{}=</s:DigestValue></s:Reference></s:SignedInfo>\
             <s:SignatureValue>{}==</s:SignatureValue></s:Signature>",
            "A".repeat(43),
            "A".repeat(86)
        )
    };
    let document = |transform: &str, scope: usize, filling: &str| {
        format!(
            "<p:Response xmlns:p='urn:oasis:names:tc:SAML:2.0:protocol' xmlns:a='urn:oasis:names:tc:SAML:2.0:assertion' \
             ID='r'{}>{}<a:Assertion ID='a' xmlns='urn:d'>{}{filling}</a:Assertion></p:Response>",
            namespaces(scope),
            signature("r", transform),
            signature("a", transform)
        )
    };
    let deep = format!("{}{}", "<b>".repeat(60), "</b>".repeat(60)).repeat(80);
    let cases = [
        ("many elements, exclusive with many prefixes", document(&exclusive, 17, &"<b/>".repeat(4900))),
        ("many elements, inclusive", document(inclusive, 17, &"<b/>".repeat(4900))),
        ("many namespaces, inclusive", document(inclusive, 58, &"<b/>".repeat(1600))),
        ("deep elements, inclusive", document(inclusive, 17, &deep)),
        ("many attributes", document(&exclusive, 58, &format!("<b{attributes}/>").repeat(370))),
        ("many comments", document(&exclusive, 17, &"<!---->".repeat(34_000))),
        ("many character references", document(&exclusive, 17, &"&#10;&lt;".repeat(26_000))),
        ("one text", document(&exclusive, 17, &">".repeat(240_000))),
    ];
    let now = Timestamp::from_unix(1_772_366_430);
    for (name, document) in cases {
        let verify = || {
            let mut checks = Checks::default();
            verify_response(black_box(document.as_bytes()), &anchors, &expectations, now, &mut checks).map(|_| ()).unwrap_err()
        };
        assert_eq!(verify().code(), "signature_invalid", "{name}: {} octets: {}", document.len(), verify());
        criterion.bench_function(&format!("hostile: {name}"), |bencher| bencher.iter(verify));
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_millis(500));
    targets = genuine, encrypted, hostile
}
criterion_main!(benches);
