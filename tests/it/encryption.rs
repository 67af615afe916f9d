//! Encrypted responses: every way of encrypting them, and that no failure tells more than another. OpenSSL encrypts here.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use samael::crypto::{Crypto, CryptoProvider};
use samlgate::clock::Timestamp;
use samlgate::saml::{
    Check, Checks, Compat, Expectations, Expected, SamlError, SecondOpinion, SpKey, TrustAnchors, TrustedCertificate,
    VerifiedAssertion, verify_response,
};

use crate::support::fake_idp::{
    ACS, Encryption, FakeIdp, KeyPlace, OTHER, RSA, ResponseBuilder, SP, SP_CERTIFICATE, SP_OLD_CERTIFICATE, Sign, Wrap, element,
};

const IDP: &str = "https://idp.example/metadata";
const NOW: &str = "2026-03-01T12:00:10Z";
const CIPHERS: [&str; 6] = ["aes128-gcm", "aes192-gcm", "aes256-gcm", "aes128-cbc", "aes192-cbc", "aes256-cbc"];
const SIGNS: [Sign; 3] = [Sign::Assertion, Sign::Response, Sign::Both];

fn keys() -> Vec<SpKey> {
    let old = include_bytes!("../fixtures/sp-old.key");
    let now = include_bytes!("../fixtures/sp.key");
    let curve = include_bytes!("../fixtures/sp-ec.key");
    vec![
        SpKey::from_pem(curve, include_bytes!("../fixtures/sp-ec.crt")).unwrap(),
        SpKey::from_pem(now, SP_CERTIFICATE.as_bytes()).unwrap(),
        SpKey::from_pem(old, SP_OLD_CERTIFICATE.as_bytes()).unwrap(),
    ]
}

/// What came of a response when everything is allowed that `compat` knows for encryption.
fn verify(xml: &str, keys: &[SpKey]) -> (Result<VerifiedAssertion, SamlError>, Vec<Check>) {
    let anchors = TrustAnchors::new(vec![TrustedCertificate::from_pem(RSA.1.as_bytes()).unwrap()]).unwrap();
    let acs_urls = [ACS.to_owned()];
    let expectations = Expectations {
        idp_entity_id: IDP,
        sp_entity_id: SP,
        acs_urls: &acs_urls,
        expected: Expected::Unsolicited,
        compat: Compat { aes_cbc: true, rsa_15: true, ..Compat::default() },
        clock_skew: Duration::from_secs(60),
        max_age: Duration::from_secs(300),
        authn_context: &[],
        authenticated_since: None,
        decryption_keys: keys,
    };
    let mut checks = Checks::default();
    let now = Timestamp::parse_rfc3339(NOW).unwrap();
    let result = verify_response(xml.as_bytes(), &anchors, &expectations, now, &mut checks);
    let (last, before) = checks.all().split_last().unwrap();
    assert!(before.iter().all(|check| check.ok), "{checks:?}");
    assert_eq!(last.ok, result.is_ok(), "{checks:?}");
    let mut names: Vec<_> = checks.all().iter().map(|check| check.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), checks.all().len(), "every rule is noted once: {checks:?}");
    (result, checks.all().to_vec())
}

fn response() -> ResponseBuilder {
    let at = Timestamp::parse_rfc3339("2026-03-01T12:00:00Z").unwrap();
    FakeIdp::new(IDP).response().at(at).ids("_response", "_assertion").attribute("mail", &["alice@example.com"])
}

fn code(xml: &str) -> &'static str {
    verify(xml, &keys()).0.map_or_else(|error| error.code(), |_| "accept")
}

#[track_caller]
fn accept(xml: &str) {
    let (result, checks) = verify(xml, &keys());
    let assertion = result.unwrap_or_else(|error| panic!("{error}: {checks:?}"));
    assert_eq!(assertion.name_id().value, "alice");
    assert_eq!(assertion.attributes()[0].values, ["alice@example.com"]);
    let opinion = if cfg!(feature = "second-opinion") { SecondOpinion::Agreed } else { SecondOpinion::NotBuilt };
    assert_eq!(assertion.second_opinion(), opinion);
}

#[test]
fn every_cipher_with_every_key_transport() {
    for cipher in CIPHERS {
        for wrap in [
            Wrap::Mgf1p(""),
            Wrap::Mgf1p("sha256"),
            Wrap::Mgf1p("sha512"),
            Wrap::Oaep("", ""),
            Wrap::Oaep("sha256", "sha256"),
            Wrap::Oaep("sha384", "sha512"),
            Wrap::Rsa15,
        ] {
            accept(&response().encrypt(Encryption::default().cipher(cipher).wrap(wrap)).build());
        }
    }
}

#[test]
fn every_place_of_the_key_in_every_signed_response() {
    for place in [KeyPlace::Inside, KeyPlace::Beside, KeyPlace::Retrieved, KeyPlace::Named] {
        for sign in SIGNS {
            for recipients in [[(SP_OLD_CERTIFICATE, None), (OTHER.1, None)], [(OTHER.1, Some("x")), (SP_CERTIFICATE, Some(SP))]]
            {
                let encryption = Encryption::default().place(place).recipients(&recipients).label(b"label");
                // A RetrievalMethod names one key: the first.
                if place == KeyPlace::Retrieved && recipients[0].0 == OTHER.1 {
                    continue;
                }
                accept(&response().sign(sign).encrypt(encryption).build());
            }
        }
    }
}

#[test]
fn names_and_attributes_are_read_in_their_places() {
    for sign in SIGNS {
        let builder = || response().sign(sign).attribute("groups", &["staff", "admins"]).encrypt_attribute(Encryption::default());
        accept(&builder().encrypt_name_id(Encryption::default().cipher("aes128-cbc")).build());
        let xml = builder().encrypt_name_id(Encryption::default()).encrypt(Encryption::default()).build();
        accept(&xml);
        let attributes = verify(&xml, &keys()).0.unwrap().attributes().to_vec();
        assert_eq!(attributes[1].name, "groups");
        assert_eq!(attributes[1].values, ["staff", "admins"]);
    }
    let forged = response().encrypt_name_id(Encryption::default()).damage(|xml| {
        let evil = Encryption::default().element("saml:EncryptedID", b"<saml:NameID>mallory</saml:NameID>");
        xml.replace(&element(&xml, "saml:EncryptedID"), &evil)
    });
    assert_eq!(code(&forged.build()), "signature_invalid");
}

/// Octets of the nth CipherValue, changed.
fn damaged(xml: &str, nth: usize, change: impl Fn(&mut Vec<u8>)) -> String {
    let value = xml.split("<xenc:CipherValue>").nth(nth + 1).and_then(|rest| rest.split('<').next()).unwrap();
    let mut octets = STANDARD.decode(value).unwrap();
    change(&mut octets);
    xml.replacen(value, &STANDARD.encode(octets), 1)
}

#[test]
fn no_failure_looks_different_from_another() {
    for wrap in [Wrap::Mgf1p("sha1"), Wrap::Mgf1p("sha256"), Wrap::Rsa15] {
        for cipher in CIPHERS {
            let encryption = Encryption::default().cipher(cipher).wrap(wrap);
            let good = response().encrypt(encryption.clone()).build();
            let unsigned = response().unsigned().encrypt(encryption.clone()).build();
            let not_ours = response().encrypt(encryption.clone().recipients(&[(OTHER.1, None)])).build();
            let garbage = |plain: &[u8]| {
                let element = encryption.element("saml:EncryptedAssertion", plain);
                good.replace(&crate::support::fake_idp::element(&good, "saml:EncryptedAssertion"), &element)
            };
            let mut failures = vec![
                not_ours,
                damaged(&good, 0, |octets| octets[255] ^= 1),
                damaged(&good, 0, |octets| {
                    octets[0] = 0;
                    octets[1] ^= 1; // one ciphertext in two hundred begins with a zero
                }),
                damaged(&good, 1, |octets| octets[3] ^= 0x80),
                damaged(&good, 1, |octets| octets[100] ^= 1),
                damaged(&good, 1, |octets| *octets.last_mut().unwrap() ^= 0xff),
            ];
            if cipher.ends_with("cbc") {
                // What the padding oracle and its relatives tell apart: padding, characters, XML, names, signatures.
                failures.extend([
                    unsigned,
                    garbage(b"\xff\xfe not UTF-8"),
                    garbage(b"no markup at all"),
                    garbage(b"<saml:Assertion"),
                    garbage(b"<saml:Assertion ID=\"_x\"/>"),
                    garbage(b"<other/>"),
                    response().forge_assertion(">alice<", ">mallory<").encrypt(encryption.clone()).build(),
                ]);
                failures.extend((1..16).map(|last| {
                    damaged(&good, 1, move |octets| {
                        let at = octets.len() - 17;
                        octets[at] ^= last;
                    })
                }));
            }
            let mut seen: Vec<(SamlError, Vec<Check>)> = Vec::new();
            for xml in failures {
                let (result, checks) = verify(&xml, &keys());
                // How long the message is stands in the first; nothing else may differ.
                let failure = (result.unwrap_err(), checks.into_iter().skip(1).collect());
                if !seen.contains(&failure) {
                    seen.push(failure);
                }
            }
            assert_eq!(seen.len(), 1, "{cipher} {wrap:?}: {seen:#?}");
            assert_eq!(seen[0].0, SamlError::DecryptionFailed);
        }
    }
}

#[test]
fn without_a_key_of_ours_nothing_is_decrypted() {
    let xml = response().encrypt(Encryption::default()).build();
    let all = keys();
    for keys in [&all[..0], &all[..1], &all[2..]] {
        assert_eq!(verify(&xml, keys).0.unwrap_err(), SamlError::DecryptionFailed);
    }
    assert!(verify(&xml, &all[1..2]).0.is_ok());
}

const INCLUSIVE: &str = "<ds:Transform Algorithm=\"http://www.w3.org/TR/2001/REC-xml-c14n-20010315\"/>";

fn inclusive(template: &str) -> String {
    template.replace("<ds:Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"/>", INCLUSIVE)
}

#[test]
fn an_inclusive_signature_verifies_where_it_was_made() {
    // In the Response, whose declarations it covers.
    let within = || response().replace("<samlp:Response ", "<samlp:Response xmlns:x=\"urn:x\" ").edit_signature(inclusive);
    accept(&within().encrypt(Encryption::default()).build());
    accept(&within().sign(Sign::Both).encrypt(Encryption::default()).build());
    let moved = within().encrypt(Encryption::default()).damage_by_replacing(" xmlns:x=\"urn:x\"", " xmlns:y=\"urn:y\"");
    assert_eq!(code(&moved.build()), "signature_invalid");

    // By itself, before it came into a Response with other declarations.
    let xml = within().build();
    let assertion = element(&xml, "saml:Assertion");
    let mut template = assertion.clone();
    for name in ["ds:DigestValue", "ds:SignatureValue"] {
        template = template.replace(&element(&template, name), &format!("<{name}/>"));
    }
    let key: String = RSA.0.lines().filter(|line| !line.starts_with("-----")).collect();
    let alone = Crypto::sign_xml(template.as_str(), &STANDARD.decode(key).unwrap()).unwrap();
    let alone = element(&alone, "saml:Assertion");
    assert_ne!(alone, assertion);
    accept(&xml.replace(&assertion, &Encryption::default().element("saml:EncryptedAssertion", alone.as_bytes())));
}

#[test]
fn prefixes_may_be_declared_around_what_is_encrypted_when_a_signature_covers_that() {
    let bare = |sign: Sign| {
        let declared = "<saml:Assertion xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\" ";
        response().sign(sign).replace(declared, "<saml:Assertion ").encrypt(Encryption::default())
    };
    for sign in SIGNS {
        accept(&bare(sign).build());
    }
    // `xsi` stands on the Response only. Its exclusive signature doesn't cover that: nobody could say what was meant.
    let outside = |sign: Sign| {
        response()
            .sign(sign)
            .replace("<samlp:Response ", "<samlp:Response xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" ")
            .replace("<saml:AttributeValue>", "<saml:AttributeValue xsi:nil=\"false\">")
            .encrypt(Encryption::default())
            .build()
    };
    assert_eq!(code(&outside(Sign::Response)), "not_xml");
    // The assertion's own signature does.
    accept(&outside(Sign::Assertion));
    accept(&outside(Sign::Both));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Changes of single octets, in the XML or in a ciphertext: no panic, and never another identity.
    #[test]
    fn no_change_gives_another_identity(
        which in 0_usize..8,
        place in 0.0_f64..1.0,
        octet in any::<u8>(),
        in_ciphertext in any::<bool>(),
        nth in 0_usize..2,
    ) {
        static GOOD: std::sync::OnceLock<Vec<String>> = std::sync::OnceLock::new();
        let good = GOOD.get_or_init(|| {
            let mut all = Vec::new();
            for cipher in ["aes256-gcm", "aes128-cbc"] {
                for wrap in [Wrap::Mgf1p("sha256"), Wrap::Rsa15] {
                    for sign in [Sign::Assertion, Sign::Both] {
                        all.push(response().sign(sign).encrypt(Encryption::default().cipher(cipher).wrap(wrap)).build());
                    }
                }
            }
            all
        });
        let at = |length: usize| ((length - 1) as f64 * place) as usize;
        let changed = if in_ciphertext {
            damaged(&good[which], nth, |octets| { let at = at(octets.len()); octets[at] = octet; }).into_bytes()
        } else {
            let mut octets = good[which].clone().into_bytes();
            let at = at(octets.len());
            octets[at] = octet;
            octets
        };
        let Ok(changed) = String::from_utf8(changed) else { return Ok(()) };
        if let Ok(assertion) = verify(&changed, &keys()).0 {
            prop_assert_eq!(assertion.name_id().value.as_str(), "alice");
            prop_assert_eq!(assertion.id(), "_assertion");
            prop_assert_eq!(&assertion.attributes()[0].values, &["alice@example.com"]);
        } else {
            prop_assert_ne!(&changed, &good[which]);
        }
    }
}
