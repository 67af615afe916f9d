use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};

use super::*;
use crate::identity::Fields;

// Made by `openssl ecparam -name prime256v1 -genkey`, for this test only.
const SEC1: &str = "-----BEGIN EC PARAMETERS-----
BggqhkjOPQMBBw==
-----END EC PARAMETERS-----
-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIFYBfn8vQ/RzZVLzMPVA3q50+m+rykRkxmf1kpMO4gqPoAoGCCqGSM49
AwEHoUQDQgAEc9aDQ9dPbkbV5ThZh3joavVr8MZ+njrPx7lhydi9F3oDYE0bdbzs
MvguLnbgTy8KVJAWVTcaSzp/tKofJjc4Vg==
-----END EC PRIVATE KEY-----
";

fn signer(pem: &str) -> Result<AssertionSigner, SignerError> {
    let (issuer, audience) = ("https://app.example.com".to_owned(), "https://reports.example.com".to_owned());
    AssertionSigner::from_pem(pem.as_bytes(), issuer, audience, Duration::from_secs(60))
}

fn name_id(value: &str) -> NameId {
    NameId { value: value.to_owned(), format: None, name_qualifier: None, sp_name_qualifier: None }
}

fn now() -> Timestamp {
    Timestamp::parse_rfc3339("2026-03-01T12:00:00.900Z").unwrap()
}

fn mint(signer: &AssertionSigner, identity: &Identity) -> MintedAssertion {
    let facts = AssertionFacts {
        identity,
        idp: "entra",
        issuer: "https://idp.example.com",
        name_id: &name_id("alice@example.com"),
        sid: "s1",
        auth_time: Timestamp::from_unix(1_772_366_000),
        acr: None,
        method: "saml",
    };
    signer.mint(&facts, now(), "j1").unwrap()
}

/// Reads a token as an application would: with the key set alone.
fn claims(signer: &AssertionSigner, token: &str) -> Value {
    let keys: JwkSet = serde_json::from_str(signer.jwks()).unwrap();
    let header = decode_header(token).unwrap();
    assert_eq!((header.typ.as_deref(), header.alg), (Some("JWT"), Algorithm::ES256));
    let key = keys.find(&header.kid.unwrap()).expect("the key set has the kid");
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_audience(&["https://reports.example.com"]);
    validation.set_issuer(&["https://app.example.com"]);
    validation.validate_exp = false;
    decode::<Value>(token, &DecodingKey::from_jwk(key).unwrap(), &validation).unwrap().claims
}

#[test]
fn the_claims_are_those_of_the_interface_and_absent_ones_are_left_out() {
    let signer = signer(&generate_key().unwrap()).unwrap();
    let minted = mint(&signer, &Identity::for_tests("alice", None, &[]));
    assert!(minted.header.is_sensitive());
    assert_eq!(minted.renew_at, now().plus(Duration::from_secs(30)));
    let sub = subject("https://idp.example.com", &name_id("alice@example.com"));
    assert_eq!(
        claims(&signer, minted.header.to_str().unwrap()),
        json!({
            "iss": "https://app.example.com", "aud": "https://reports.example.com", "sub": sub,
            "iat": 1_772_366_400, "nbf": 1_772_366_400, "exp": 1_772_366_460, "jti": "j1", "sid": "s1",
            "user": "alice", "idp": "entra", "auth_time": 1_772_366_000, "method": "saml",
        })
    );
}

#[test]
fn every_field_has_its_claim_and_extra_ones_never_replace_another() {
    let signer = signer(&generate_key().unwrap()).unwrap();
    let identity = Identity::from(Fields {
        email: Some("a@x".to_owned()),
        name: Some("Łukasz".to_owned()),
        tenant: Some("acme".to_owned()),
        groups_left_out: 3,
        extra: [("department", "R&D"), ("sub", "root"), ("exp", "9"), ("user", "root"), ("amr", "mfa")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        ..Fields::for_tests("alice", Some("admin"), &["a", "b,c"])
    });
    let claims = claims(&signer, mint(&signer, &identity).header.to_str().unwrap());
    assert_eq!(claims["user"], "alice");
    assert_eq!(claims["exp"], 1_772_366_460);
    assert_eq!((&claims["email"], &claims["name"], &claims["tenant"]), (&json!("a@x"), &json!("Łukasz"), &json!("acme")));
    assert_eq!(
        (&claims["role"], &claims["groups"], &claims["groups_cut"]),
        (&json!("admin"), &json!(["a", "b,c"]), &json!(true))
    );
    assert_eq!(claims["department"], "R&D");
    assert_eq!(claims["extra"], json!({"sub": "root", "exp": "9", "user": "root", "amr": "mfa"}));
}

#[test]
fn kid_is_the_thumbprint_and_the_signature_verifies_with_the_plain_library_too() {
    let signer = signer(SEC1).unwrap();
    let keys: Value = serde_json::from_str(signer.jwks()).unwrap();
    let key = &keys["keys"][0];
    // The coordinates as openssl prints them, the thumbprint computed by hand (RFC 7638, 3.1).
    assert_eq!(key["x"], "c9aDQ9dPbkbV5ThZh3joavVr8MZ-njrPx7lhydi9F3o");
    assert_eq!(key["y"], "A2BNG3W87DL4Li524E8vClSQFlU3Gks6f7SqHyY3OFY");
    assert_eq!(key["kid"], "l0NQBDxtMFoM5m7qeL3boqTWL2_R8HpYN-vTLjnYIWY");
    assert_eq!(key["d"], Value::Null, "never the private key");

    let minted = mint(&signer, &Identity::for_tests("alice", None, &[]));
    let (message, signature) = minted.header.to_str().unwrap().rsplit_once('.').unwrap();
    let octets = |text: &Value| URL_SAFE_NO_PAD.decode(text.as_str().unwrap()).unwrap();
    let point = [vec![4], octets(&key["x"]), octets(&key["y"])].concat();
    let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
    public.verify(message.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
}

#[test]
fn sub_is_stable_and_tells_all_subjects_apart() {
    let with = |name: Option<&str>, sp: Option<&str>| NameId {
        name_qualifier: name.map(str::to_owned),
        sp_name_qualifier: sp.map(str::to_owned),
        ..name_id("alice")
    };
    let subjects = [
        subject("https://a", &with(None, None)),
        subject("https://b", &with(None, None)),
        subject("https://a", &with(Some(""), None)),
        subject("https://a", &with(None, Some(""))),
        subject("https://a", &with(Some("q"), None)),
        subject("https://a", &with(None, Some("q"))),
        subject("https://aalice", &name_id("")),
    ];
    assert_eq!(subjects.iter().collect::<std::collections::BTreeSet<_>>().len(), subjects.len());
    assert_eq!(subject("https://a", &NameId { format: Some("f".to_owned()), ..with(None, None) }), subjects[0]);
    assert!(!subjects[0].contains("alice"));
}

#[test]
fn only_a_p256_key_in_pem_is_taken() {
    let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap().serialize_pem();
    for bad in ["", "x", &p384, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
        assert_eq!(signer(bad).unwrap_err(), SignerError::Key);
    }
    assert!(!format!("{:?}", signer(SEC1).unwrap()).contains("key:"));
}
