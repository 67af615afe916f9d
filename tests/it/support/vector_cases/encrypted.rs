//! Rule 4: encrypted assertions, names and attributes.

use super::super::fake_idp::{
    Encryption, KeyPlace, OTHER, ResponseBuilder, SP, SP_OLD_CERTIFICATE, SP_SHORT_CERTIFICATE, Sign, Wrap, element,
};
use super::{Case, case, response};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = [lawful(), refused(), names_and_attributes()].concat();
    for case in &mut cases {
        case.decryption_keys = vec!["sp", "sp-old"];
        // Content keys, IVs and paddings are random.
        case.reproducible = false;
    }
    for case in &mut cases {
        match case.id {
            "encrypted-short-key" => case.decryption_keys.push("sp-short"),
            "encrypted-no-key" => case.decryption_keys.clear(),
            _ => {}
        }
    }
    cases
}

fn by(encryption: Encryption) -> ResponseBuilder {
    response().encrypt(encryption)
}

fn gcm() -> Encryption {
    Encryption::default()
}

fn cbc() -> Encryption {
    gcm().cipher("aes256-cbc")
}

fn lawful() -> Vec<Case> {
    let accept = |id, about, response: ResponseBuilder| case(4, id, "accept", about, response);
    vec![
        accept("encrypted-aes128-gcm", "AES-128-GCM", by(gcm().cipher("aes128-gcm"))),
        accept("encrypted-aes192-gcm", "AES-192-GCM", by(gcm().cipher("aes192-gcm"))),
        accept("encrypted-aes256-gcm", "AES-256-GCM", by(gcm())),
        accept("encrypted-mgf1p-plain", "rsa-oaep-mgf1p without a DigestMethod", by(gcm().wrap(Wrap::Mgf1p("")))),
        accept("encrypted-mgf1p-sha256", "SHA-256 with a mask of SHA-1, as Keycloak", by(gcm().wrap(Wrap::Mgf1p("sha256")))),
        accept("encrypted-mgf1p-sha384", "SHA-384 with a mask of SHA-1", by(gcm().wrap(Wrap::Mgf1p("sha384")))),
        accept("encrypted-mgf1p-sha512", "SHA-512 with a mask of SHA-1", by(gcm().wrap(Wrap::Mgf1p("sha512")))),
        accept("encrypted-oaep-sha1", "rsa-oaep of 1.1 with nothing said", by(gcm().wrap(Wrap::Oaep("", "")))),
        accept("encrypted-oaep-sha256", "rsa-oaep of 1.1, SHA-256 twice", by(gcm().wrap(Wrap::Oaep("sha256", "sha256")))),
        accept("encrypted-oaep-sha384", "rsa-oaep of 1.1, SHA-384 twice", by(gcm().wrap(Wrap::Oaep("sha384", "sha384")))),
        accept("encrypted-oaep-sha512", "rsa-oaep of 1.1, SHA-512 twice", by(gcm().wrap(Wrap::Oaep("sha512", "sha512")))),
        accept("encrypted-oaep-mixed", "rsa-oaep of 1.1, SHA-512 and SHA-256", by(gcm().wrap(Wrap::Oaep("sha512", "sha256")))),
        accept("encrypted-oaep-default-mask", "without MGF the mask is SHA-1", by(gcm().wrap(Wrap::Oaep("sha256", "")))),
        accept("encrypted-label", "OAEPparams", by(gcm().label(b"samlgate"))),
        accept("encrypted-label-mixed", "OAEPparams, two hashes", by(gcm().label(b"x").wrap(Wrap::Mgf1p("sha256")))),
        accept("encrypted-key-beside", "the EncryptedKey beside EncryptedData", by(gcm().place(KeyPlace::Beside))),
        accept(
            "encrypted-key-retrieved",
            "with RetrievalMethod and ReferenceList, as Okta",
            by(gcm().place(KeyPlace::Retrieved)),
        ),
        accept("encrypted-key-named", "with KeyName and CarriedKeyName", by(gcm().place(KeyPlace::Named))),
        accept("encrypted-old-key", "for a key that was replaced", by(gcm().recipients(&[(SP_OLD_CERTIFICATE, None)]))),
        accept(
            "encrypted-short-key",
            "for an old key of 1024 bits, which does nothing else any more",
            by(gcm().recipients(&[(SP_SHORT_CERTIFICATE, None)])),
        ),
        accept(
            "encrypted-two-recipients",
            "two EncryptedKeys, one for us",
            by(gcm().recipients(&[(OTHER.1, Some("https://other.example")), (SP_OLD_CERTIFICATE, Some(SP))])),
        ),
        accept("encrypted-response-signed", "only the Response is signed", by(gcm()).sign(Sign::Response)),
        accept("encrypted-both-signed", "Response and Assertion are signed", by(gcm()).sign(Sign::Both)),
        accept("encrypted-cbc", "AES-CBC with its switch", by(cbc())).with_compat("aes-cbc"),
        accept("encrypted-cbc-signed", "AES-CBC in a signed Response", by(cbc()).sign(Sign::Response)).with_compat("aes-cbc"),
        accept("encrypted-rsa15", "RSA 1.5 with its switch", by(gcm().wrap(Wrap::Rsa15))).with_compat("rsa-1.5"),
    ]
}

/// Changes the octets of the first CipherValue (`0`: the content's when the key stands beside), or of the second.
fn in_cipher_value(xml: &str, nth: usize, change: impl Fn(Vec<u8>) -> Vec<u8>) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let value = xml.split("<xenc:CipherValue>").nth(nth + 1).and_then(|rest| rest.split('<').next()).expect("a CipherValue");
    let changed = STANDARD.encode(change(STANDARD.decode(value).expect("base64")));
    xml.replacen(value, &changed, 1)
}

fn refused() -> Vec<Case> {
    let refuse = |id, about, response: ResponseBuilder| case(4, id, "decryption_failed", about, response);
    let edited = |from: &'static str, to: &'static str| by(gcm()).damage_by_replacing(from, to);
    let flipped = |nth: usize| {
        by(gcm()).damage(move |xml| {
            in_cipher_value(&xml, nth, |mut octets| {
                let middle = octets.len() / 2;
                octets[middle] ^= 1;
                octets
            })
        })
    };
    let truncated = |to: usize| {
        by(gcm()).damage(move |xml| {
            in_cipher_value(&xml, 1, |mut octets| {
                octets.truncate(to);
                octets
            })
        })
    };
    vec![
        refuse("encrypted-cbc-by-default", "AES-CBC without its switch", by(cbc())),
        refuse("encrypted-rsa15-by-default", "RSA 1.5 without its switch", by(gcm().wrap(Wrap::Rsa15))),
        refuse("encrypted-tripledes", "Triple DES", by(gcm().cipher("tripledes-cbc"))).with_compat("aes-cbc"),
        refuse("encrypted-other-key", "for another service provider", by(gcm().recipients(&[(OTHER.1, None)]))),
        refuse("encrypted-no-key", "without a key of ours", by(gcm())),
        refuse("encrypted-key-damaged", "one bit of the wrapped key changed", flipped(0)),
        refuse("encrypted-content-damaged", "one bit of the ciphertext changed", flipped(1)),
        refuse(
            "encrypted-tag-cut",
            "a tag of 12 octets",
            by(gcm()).damage(|xml| {
                in_cipher_value(&xml, 1, |mut octets| {
                    octets.truncate(octets.len() - 4);
                    octets
                })
            }),
        ),
        refuse("encrypted-too-short", "a ciphertext without room for a tag", truncated(27)),
        refuse("encrypted-empty", "an IV and a tag, and nothing between them", truncated(28)),
        refuse(
            "encrypted-no-ciphertext",
            "an empty CipherValue",
            by(gcm()).damage(|xml| {
                let (start, end) = xml.rsplit_once("<xenc:CipherValue>").expect("a CipherValue");
                let rest = end.split_once('<').expect("it ends").1;
                format!("{start}<xenc:CipherValue><{rest}")
            }),
        ),
        refuse(
            "encrypted-cipher-reference",
            "a CipherReference, which is not followed",
            by(gcm()).damage(|xml| {
                let (start, end) = xml.rsplit_once("<xenc:CipherValue>").expect("a CipherValue");
                let rest = end.split_once("</xenc:CipherValue>").expect("it ends").1;
                format!(r#"{start}<xenc:CipherReference URI="http://127.0.0.1:9/x"/>{rest}"#)
            }),
        ),
        refuse("encrypted-content-type", "Type is not Element", edited("xmlenc#Element", "xmlenc#Content")),
        refuse(
            "encrypted-unknown-attribute",
            "an attribute that may not be there",
            edited(" Type=\"", " Encoding=\"x\" Type=\""),
        ),
        refuse(
            "encrypted-two-data",
            "two EncryptedData",
            by(gcm()).damage(|xml| {
                let data = element(&xml, "xenc:EncryptedData");
                let again = data.replace("Id=\"_", "Id=\"_again");
                xml.replace(&data, &format!("{data}{again}"))
            }),
        ),
        refuse("encrypted-agreement", "a key by agreement", edited("<ds:KeyInfo>", "<ds:KeyInfo><xenc:AgreementMethod/>")),
        refuse(
            "encrypted-dangling-retrieval",
            "a RetrievalMethod to nowhere",
            by(gcm().place(KeyPlace::Retrieved)).damage_by_replacing("URI=\"#_key", "URI=\"#_nokey"),
        ),
        refuse(
            "encrypted-fetched-key",
            "a RetrievalMethod to elsewhere",
            by(gcm().place(KeyPlace::Retrieved)).damage_by_replacing("URI=\"#_key", "URI=\"http://127.0.0.1:9/"),
        ),
        refuse(
            "encrypted-key-for-other-data",
            "an EncryptedKey for other data",
            by(gcm().place(KeyPlace::Retrieved)).damage_by_replacing("DataReference URI=\"#_data", "DataReference URI=\"#_other"),
        ),
        refuse("encrypted-digest-unknown", "an unknown hash", edited("xmldsig#sha1", "xmldsig#md5")),
        refuse(
            "encrypted-unknown-parameter",
            "an unknown parameter of the transport",
            edited("<ds:DigestMethod", "<xenc:KeySize>128</xenc:KeySize><ds:DigestMethod"),
        ),
        refuse(
            "encrypted-nine-keys",
            "too many EncryptedKeys",
            by(gcm().recipients(&[(SP_OLD_CERTIFICATE, None)])).damage(|xml| {
                let key = element(&xml, "xenc:EncryptedKey");
                let keys: String = (0..9).map(|nth| key.replace("Id=\"_", &format!("Id=\"_{nth}"))).collect();
                xml.replace(&key, &keys)
            }),
        ),
        refuse(
            "encrypted-cbc-damaged",
            "AES-CBC, changed, in an unsigned Response",
            by(cbc()).damage(|xml| {
                in_cipher_value(&xml, 1, |mut octets| {
                    octets[200] ^= 1;
                    octets
                })
            }),
        )
        .with_compat("aes-cbc"),
        refuse("encrypted-cbc-unsigned", "AES-CBC around something that nobody signed", by(cbc()).unsigned())
            .with_compat("aes-cbc"),
        case(4, "encrypted-unsigned", "signature_missing", "encrypted, but signed nowhere", by(gcm()).unsigned()),
        case(
            4,
            "encrypted-forged",
            "signature_invalid",
            "an Assertion changed before it was encrypted",
            response()
                .damage(|xml| gcm().around(&xml.replace(">alice<", ">mallory<"), "saml:Assertion", "saml:EncryptedAssertion")),
        ),
        case(
            4,
            "encrypted-response-changed",
            "signature_invalid",
            "another ciphertext under the Response's signature",
            by(gcm()).sign(Sign::Response).damage(|xml| {
                in_cipher_value(&xml, 1, |mut octets| {
                    octets[20] ^= 1;
                    octets
                })
            }),
        ),
        case(
            4,
            "encrypted-inner-signature-bad",
            "signature_invalid",
            "the Response is signed, but the Assertion's own signature is bad",
            by(gcm()).sign(Sign::Both).forge_assertion(">alice<", ">mallory<"),
        ),
        case(
            4,
            "encrypted-other-element",
            "assertion_count",
            "not an Assertion in EncryptedAssertion",
            response().sign(Sign::Response).edit(|xml| {
                let assertion = element(&xml, "saml:Assertion");
                xml.replace(&assertion, &gcm().element("saml:EncryptedAssertion", b"<saml:Advice/>"))
            }),
        ),
        case(
            4,
            "encrypted-doctype",
            "forbidden_xml",
            "a DOCTYPE in the plaintext",
            response().sign(Sign::Response).edit(|xml| {
                let assertion = element(&xml, "saml:Assertion");
                let plain = format!("<!DOCTYPE a [<!ENTITY e \"x\">]>{assertion}");
                xml.replace(&assertion, &gcm().element("saml:EncryptedAssertion", plain.as_bytes()))
            }),
        ),
        case(
            4,
            "encrypted-two-assertions",
            "wrong_document",
            "two Assertions in one EncryptedAssertion",
            response().sign(Sign::Response).edit(|xml| {
                let assertion = element(&xml, "saml:Assertion");
                let two = format!("{assertion}{}", assertion.replace("ID=\"_", "ID=\"_evil").replace(">alice<", ">mallory<"));
                xml.replace(&assertion, &gcm().element("saml:EncryptedAssertion", two.as_bytes()))
            }),
        ),
        case(
            4,
            "encrypted-twice",
            "assertion_count",
            "an EncryptedAssertion in an EncryptedAssertion",
            response().sign(Sign::Response).edit(|xml| {
                let once = gcm().around(&xml, "saml:Assertion", "saml:EncryptedAssertion");
                gcm().around(&once, "saml:EncryptedAssertion", "saml:EncryptedAssertion")
            }),
        ),
    ]
}

fn names_and_attributes() -> Vec<Case> {
    vec![
        case(4, "encrypted-name", "accept", "an EncryptedID", response().encrypt_name_id(gcm())),
        case(
            4,
            "encrypted-everything",
            "accept",
            "an EncryptedID and an EncryptedAttribute in an EncryptedAssertion",
            response().encrypt_name_id(gcm()).encrypt_attribute(gcm().cipher("aes128-gcm")).encrypt(gcm()),
        ),
        case(
            4,
            "encrypted-attribute",
            "accept",
            "an EncryptedAttribute",
            response().sign(Sign::Response).encrypt_attribute(gcm().place(KeyPlace::Beside)),
        ),
        case(
            4,
            "encrypted-attribute-for-another",
            "decryption_failed",
            "an EncryptedAttribute that we can't read is not the same as none",
            response().encrypt_attribute(gcm().recipients(&[(OTHER.1, None)])),
        ),
        case(
            4,
            "encrypted-name-twice",
            "name_id_missing",
            "an EncryptedID beside a NameID",
            response().edit(|xml| {
                let name = element(&xml, "saml:NameID");
                let evil = name.replace("alice", "mallory");
                xml.replace(&name, &format!("{}{name}", gcm().element("saml:EncryptedID", evil.as_bytes())))
            }),
        ),
        case(
            4,
            "encrypted-name-other",
            "name_id_missing",
            "an EncryptedID that holds no NameID",
            response().edit(|xml| {
                let name = element(&xml, "saml:NameID");
                xml.replace(&name, &gcm().element("saml:EncryptedID", b"<saml:Issuer>alice</saml:Issuer>"))
            }),
        ),
    ]
}
