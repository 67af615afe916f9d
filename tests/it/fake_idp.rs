//! The FakeIdp itself: what it signs verifies with another engine than ours, and its attacks keep a genuine signature.

use samael::crypto::{CertificateDer, Crypto, CryptoProvider, ReduceMode};

use crate::support::fake_idp::{Algorithm, EC, FakeIdp, RSA, Sign, UNSPECIFIED};

fn reduced(xml: &str, idp: &FakeIdp) -> Result<String, String> {
    let certificate = CertificateDer::from(idp.certificate_der());
    Crypto::reduce_xml_to_signed_with_allowed_algorithms(xml, &[certificate], ReduceMode::PreDigest, None)
        .map_err(|error| error.to_string())
}

#[test]
fn every_way_of_signing_verifies() {
    let rsa = FakeIdp::new("https://idp.example/metadata");
    let ec = FakeIdp::with_key("https://idp.example/metadata", EC, Algorithm::EcdsaSha256);
    for (idp, algorithm) in [
        (&rsa, Algorithm::RsaSha256),
        (&rsa, Algorithm::RsaSha384),
        (&rsa, Algorithm::RsaSha512),
        (&rsa, Algorithm::RsaSha1),
        (&ec, Algorithm::EcdsaSha256),
    ] {
        for (sign, root) in
            [(Sign::Assertion, "<saml:Assertion"), (Sign::Response, "<samlp:Response"), (Sign::Both, "<samlp:Response")]
        {
            let response = idp.response().subject("al<ice> & \"co\"", UNSPECIFIED).attribute("mail", &["a@b", ""]);
            let xml = response.algorithm(algorithm).sign(sign).build();
            assert_eq!(xml.matches("<ds:Signature ").count(), if sign == Sign::Both { 2 } else { 1 });
            let signed = reduced(&xml, idp).unwrap_or_else(|error| panic!("{algorithm:?} {sign:?}: {error}"));
            assert!(signed.starts_with(root), "{signed}");
            assert!(signed.contains("al&lt;ice&gt; &amp; \"co\""), "{signed}");
        }
    }
}

#[test]
fn what_is_unsigned_damaged_or_another_key_s_does_not_verify() {
    let idp = FakeIdp::new("https://idp.example/metadata");
    assert!(reduced(&idp.response().unsigned().build(), &idp).is_err());
    assert!(reduced(&idp.response().damage_by_replacing(">alice<", ">mallory<").build(), &idp).is_err());
    let other = FakeIdp::with_key("https://idp.example/metadata", crate::support::fake_idp::OTHER, Algorithm::RsaSha256);
    assert!(reduced(&other.response().build(), &idp).is_err());
}

#[test]
fn a_wrapped_message_keeps_what_was_signed_and_shows_another_user() {
    let idp = FakeIdp::with_key("https://idp.example/metadata", RSA, Algorithm::RsaSha256);
    for variant in 1..=8 {
        let xml = idp.response().wrapped(variant).evil("mallory").build();
        assert!(uppsala::parse(&xml).is_ok(), "{variant}");
        assert!(xml.contains(">mallory</saml:NameID>"), "{variant}");
        assert!(xml.contains(">alice</saml:NameID>"), "{variant}");
        assert_eq!(xml.matches("<ds:Signature ").count(), 1, "{variant}");
        // libxmlsec1 alone finds the signature good: the attack is genuine, and only coverage rules stop it. (It minds foreign
        // children of a Signature, which 1 and 6 need, and of 8 it takes the signed element away with the Signature.)
        let certificate = CertificateDer::from(idp.certificate_der());
        let genuine = Crypto::verify_signed_xml(&xml, &certificate, Some("ID"));
        assert_eq!(genuine.is_ok(), ![1, 6, 8].contains(&variant), "{variant}: {genuine:?}");
    }
}

#[test]
fn ids_are_never_the_same_twice() {
    let idp = FakeIdp::new("https://idp.example/metadata");
    let ids: std::collections::HashSet<String> = (0..50).map(|_| idp.response().unsigned().build()).collect();
    assert_eq!(ids.len(), 50);
}
