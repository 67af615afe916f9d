use openssl::bn::BigNum;
use openssl::ecdsa::EcdsaSig;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::{Signer, Verifier};
use proptest::prelude::*;

use super::*;
use crate::identity::Identity;
use crate::identity::headers::{HeaderPlan, HeaderSettings};

/// The keys of RFC 9421, B.1.5 and B.1.4.
const SHARED: &str = "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==";
const ED25519: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF
-----END PRIVATE KEY-----
";
/// Made by `openssl ecparam -name prime256v1 -genkey`, for tests only: the one of the assertion's tests.
const P256: &str = "-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIFYBfn8vQ/RzZVLzMPVA3q50+m+rykRkxmf1kpMO4gqPoAoGCCqGSM49
AwEHoUQDQgAEc9aDQ9dPbkbV5ThZh3joavVr8MZ+njrPx7lhydi9F3oDYE0bdbzs
MvguLnbgTy8KVJAWVTcaSzp/tKofJjc4Vg==
-----END EC PRIVATE KEY-----
";

const KEYS: [(Algorithm, &str); 3] =
    [(Algorithm::HmacSha256, SHARED), (Algorithm::Ed25519, ED25519), (Algorithm::EcdsaP256Sha256, P256)];

fn signer(algorithm: Algorithm, key: &str) -> Result<RequestSigner, KeyError> {
    RequestSigner::new(algorithm, key.as_bytes(), Duration::from_secs(60))
}

fn now() -> Timestamp {
    Timestamp::parse_rfc3339("2026-03-01T12:00:00.900Z").unwrap()
}

fn get(target: &str) -> SignedRequest<'_> {
    SignedRequest { method: "GET", host: b"app.example", tls: false, target }
}

/// What is signed, as text.
fn base(request: SignedRequest<'_>, lines: &str) -> String {
    let signature = signer(Algorithm::HmacSha256, SHARED).unwrap().sign(request, lines.as_bytes(), now()).unwrap();
    String::from_utf8(signature.base).unwrap()
}

/// Whether openssl takes a signature for one of these octets.
fn holds(algorithm: Algorithm, key: &str, signed: &[u8], signature: &[u8]) -> bool {
    if algorithm == Algorithm::HmacSha256 {
        let key = PKey::hmac(&openssl::base64::decode_block(key).unwrap()).unwrap();
        return Signer::new(MessageDigest::sha256(), &key).unwrap().sign_oneshot_to_vec(signed).unwrap() == signature;
    }
    let key = PKey::private_key_from_pem(key.as_bytes()).unwrap();
    if algorithm == Algorithm::Ed25519 {
        return Verifier::new_without_digest(&key).unwrap().verify_oneshot(signature, signed).unwrap();
    }
    assert_eq!(signature.len(), 64, "both numbers in full, not ASN.1 (3.3.4)");
    let [r, s] = [&signature[..32], &signature[32..]].map(|number| BigNum::from_slice(number).unwrap());
    let signature = EcdsaSig::from_private_components(r, s).unwrap();
    signature.verify(&openssl::sha::sha256(signed), &key.ec_key().unwrap()).unwrap()
}

#[test]
fn signatures_are_those_of_the_standards_examples() {
    let sign = |algorithm, key, base: &str| {
        let (text, length) = signer(algorithm, key).unwrap().key.sign(base.as_bytes()).unwrap();
        String::from_utf8(text[..length].to_vec()).unwrap()
    };
    // B.2.5
    let base = "\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n\"@authority\": example.com\n\"content-type\": application/json\n\
        \"@signature-params\": (\"date\" \"@authority\" \"content-type\");created=1618884473;keyid=\"test-shared-secret\"";
    assert_eq!(sign(Algorithm::HmacSha256, SHARED, base), "pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=");
    // B.2.6
    let base = "\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n\"@method\": POST\n\"@path\": /foo\n\"@authority\": example.com\n\
        \"content-type\": application/json\n\"content-length\": 18\n\"@signature-params\": (\"date\" \"@method\" \"@path\" \
        \"@authority\" \"content-type\" \"content-length\");created=1618884473;keyid=\"test-key-ed25519\"";
    let expected = "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==";
    assert_eq!(sign(Algorithm::Ed25519, ED25519, base), expected);
}

#[test]
fn the_signature_base_is_what_the_standard_says() {
    let request = SignedRequest { method: "POST", host: b"App.Example:3000", tls: false, target: "/a%20B//c?x=%2F&y" };
    let lines = "X-User: alice\r\nX-Groups: a, b\r\nX-Samlgate-Assertion: e.y.J\r\nX-Request-Id: 0123\r\n";
    let expected = r#""@method": POST
"@authority": app.example:3000
"@path": /a%20B//c
"@query": ?x=%2F&y
"x-user": alice
"x-groups": a, b
"x-samlgate-assertion": e.y.J
"x-request-id": 0123
"@signature-params": ("@method" "@authority" "@path" "@query" "x-user" "x-groups" "x-samlgate-assertion" "x-request-id");created=1772366400;expires=1772366460;keyid="KEY";alg="ALG";tag="samlgate""#;
    for (algorithm, key) in KEYS {
        let signer = signer(algorithm, key).unwrap();
        let signature = signer.sign(request, lines.as_bytes(), now()).unwrap();
        let expected = expected.replace("KEY", signer.key_id()).replace("ALG", algorithm.name());
        let mut head = Vec::new();
        signature.write(&mut head);
        let head = String::from_utf8(head).unwrap();
        let parameters = expected.split("\"@signature-params\": ").nth(1).unwrap();
        let (input, value) = head.strip_suffix(":\r\n").unwrap().split_once("\r\nSignature: samlgate=:").unwrap();
        assert_eq!(input, format!("Signature-Input: samlgate={parameters}"));
        let octets = STANDARD.decode(value).unwrap();
        assert!(holds(algorithm, key, expected.as_bytes(), &octets), "{algorithm:?}");
        assert!(!holds(algorithm, key, expected.replace("alice", "alicf").as_bytes(), &octets), "{algorithm:?}");
    }
}

#[test]
fn without_an_identity_the_request_itself_is_signed() {
    assert!(
        base(get("/"), "")
            .contains("\n\"@query\": ?\n\"@signature-params\": (\"@method\" \"@authority\" \"@path\" \"@query\");created=")
    );
}

#[test]
fn path_and_query_are_told_apart_at_the_first_question_mark() {
    for (target, path, query) in
        [("/", "/", "?"), ("/a?", "/a", "?"), ("/a??b?", "/a", "??b?"), ("/a;b?c", "/a;b", "?c"), ("/%3F?%3f", "/%3F", "?%3f")]
    {
        let expected = format!("\n\"@path\": {path}\n\"@query\": {query}\n");
        assert!(base(get(target), "").contains(&expected), "{target}");
    }
}

#[test]
fn the_authority_is_normalised() {
    for (host, tls, expected) in [
        ("App.EXAMPLE", false, "app.example"),
        ("app.example:80", false, "app.example"),
        ("app.example:443", false, "app.example:443"),
        ("app.example:443", true, "app.example"),
        ("app.example:80", true, "app.example:80"),
        ("app.example:8080", false, "app.example:8080"),
        ("[::1]:80", false, "[::1]"),
        ("[::80]", false, "[::80]"),
    ] {
        let request = SignedRequest { host: host.as_bytes(), tls, ..get("/") };
        assert!(base(request, "").contains(&format!("\n\"@authority\": {expected}\n")), "{host} {tls}");
    }
}

#[test]
fn key_ids_are_thumbprints_and_say_nothing_of_a_shared_key() {
    // RFC 8037, A.3.
    let pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";
    let ed25519 = signer(Algorithm::Ed25519, pem).unwrap();
    assert_eq!(ed25519.key_id(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    assert_eq!(
        ed25519.jwk().unwrap(),
        &json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": ed25519.key_id(), "x": x})
    );
    // As in the assertion's tests.
    let p256 = signer(Algorithm::EcdsaP256Sha256, P256).unwrap();
    assert_eq!(p256.key_id(), "l0NQBDxtMFoM5m7qeL3boqTWL2_R8HpYN-vTLjnYIWY");
    let jwk = p256.jwk().unwrap();
    assert_eq!((&jwk["alg"], &jwk["use"], &jwk["d"]), (&json!("ES256"), &json!("sig"), &Value::Null));
    // SHA-256 over "samlgate request signature key id", a zero octet and the key.
    let shared = signer(Algorithm::HmacSha256, SHARED).unwrap();
    assert_eq!((shared.key_id(), shared.jwk()), ("27812243bf0f34c6", None));
}

#[test]
fn only_keys_of_the_algorithm_are_taken() {
    let secret = |octets: usize| STANDARD.encode(vec![7; octets]);
    assert!(signer(Algorithm::HmacSha256, &format!("{}\n", secret(32))).is_ok());
    assert_eq!(signer(Algorithm::HmacSha256, &secret(31)).unwrap_err(), KeyError::Short(31));
    assert_eq!(signer(Algorithm::HmacSha256, "").unwrap_err(), KeyError::Short(0));
    for bad in [ED25519, P256, "correct horse battery staple correct horse"] {
        assert_eq!(signer(Algorithm::HmacSha256, bad).unwrap_err(), KeyError::NotBase64);
    }
    let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap().serialize_pem();
    for bad in ["", SHARED, P256, &p384] {
        assert_eq!(signer(Algorithm::Ed25519, bad).unwrap_err(), KeyError::NotEd25519);
    }
    for bad in ["", SHARED, ED25519, &p384] {
        assert_eq!(signer(Algorithm::EcdsaP256Sha256, bad).unwrap_err(), KeyError::NotP256);
    }
    let pkcs8 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap().serialize_pem();
    assert!(signer(Algorithm::EcdsaP256Sha256, &pkcs8).is_ok());
    // Version 2, with the public key in it.
    let with_public = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap().serialize_pem();
    assert!(signer(Algorithm::Ed25519, &with_public).is_ok());
}

#[test]
fn no_key_is_shown() {
    for (algorithm, key) in KEYS {
        let shown = format!("{:?}", signer(algorithm, key).unwrap());
        assert!(shown.contains("key_id") && !shown.contains("key:"), "{shown}");
    }
}

#[test]
fn what_is_signed_can_never_be_an_assertion() {
    // A JWS signs `base64url.base64url` (RFC 7515 section 5.1). The first octet here is the quote of "@method".
    for method in ["GET", "eyJhbGciOiJFUzI1NiJ9.e30", "\""] {
        let request = SignedRequest { method, ..get("/") };
        assert!(base(request, "").starts_with("\"@method\": "));
    }
}

proptest! {
    /// A component has one line, whatever the identity is: nobody's name can add or replace one.
    #[test]
    fn no_value_adds_a_component(user in ".{1,30}", group in "[\\PC\\n\\r\":;() ]{1,30}") {
        let name = |name: &'static str| Some(http::HeaderName::from_static(name));
        let plan = HeaderPlan::new(HeaderSettings {
            user: name("x-user"),
            email: None,
            name: None,
            tenant: None,
            role: None,
            groups: name("x-groups"),
            extra: Default::default(),
            separator: ",".to_owned(),
            value_maps: Default::default(),
            assertion: http::HeaderName::from_static("x-samlgate-assertion"),
            strip: Vec::new(),
        });
        let lines = plan.write(&Identity::for_tests(&user, None, &[&group]), &http::HeaderValue::from_static("e30.e30.x"));
        let base = base(get("/"), std::str::from_utf8(&lines).unwrap());
        let names: Vec<&str> = base.lines().map(|line| line.split(": ").next().unwrap()).collect();
        let expected = ["@method", "@authority", "@path", "@query", "x-user", "x-groups", "x-samlgate-assertion", "@signature-params"];
        prop_assert_eq!(names, expected.map(|name| format!("\"{name}\"")));
    }
}
