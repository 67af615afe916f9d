use openssl::pkey::{PKey, Private};
use openssl::rsa::{Padding, Rsa};
use subtle::Choice;

use super::private_key::PrivateKey;
use super::transport::{Transport, WrappedKey};
use super::*;
use crate::saml::guard::Guarded;
use crate::saml::signature_form::Hash;

fn key(bits: u32) -> (Rsa<Private>, PrivateKey) {
    let rsa = Rsa::generate(bits).unwrap();
    let pkcs8 = PKey::from_rsa(rsa.clone()).unwrap().private_key_to_pkcs8().unwrap();
    let (key, public) = PrivateKey::from_der(&pkcs8).unwrap();
    let (same, same_public) = PrivateKey::from_der(&rsa.private_key_to_der().unwrap()).unwrap();
    assert_eq!(public.modulus, rsa.n().to_vec());
    assert!(public == same_public && key.octets() == same.octets());
    (rsa, key)
}

fn unwrapped(wrapped: &WrappedKey, key: &PrivateKey, length: usize) -> Option<Vec<u8>> {
    let (content, good) = wrapped.unwrap(key, length);
    bool::from(good).then(|| content[..length].to_vec())
}

#[test]
fn the_bare_operation_undoes_that_of_another_engine() {
    // Lengths of the modulus that are no multiple of anything, too.
    for bits in [1024, 1032, 2048, 2050, 3072] {
        let (rsa, key) = key(bits);
        for first in [0_u8, 1, 0x7f] {
            let mut message = vec![0xa5; rsa.size() as usize];
            message[0] = if bits % 8 == 0 { first } else { 0 };
            let mut encrypted = vec![0; message.len()];
            rsa.public_encrypt(&message, &mut encrypted, Padding::NONE).unwrap();
            assert_eq!(key.bare(&encrypted), Some(message), "{bits}");
        }
        assert_eq!(key.bare(&rsa.n().to_vec()), None, "not below the modulus");
        assert_eq!(key.bare(&[0; 20]), None);
    }
}

#[test]
fn rsa_15_is_exact_and_never_an_error() {
    let (rsa, key) = key(2048);
    let encrypt = |message: &[u8]| {
        let mut octets = vec![0; 256];
        rsa.public_encrypt(message, &mut octets, Padding::NONE).unwrap();
        WrappedKey { transport: Transport::Pkcs1, octets }
    };
    let mut good = vec![0xff; 256];
    good[0] = 0;
    good[1] = 2;
    good[256 - 33] = 0;
    good[256 - 32..].fill(7);
    assert_eq!(unwrapped(&encrypt(&good), &key, 32), Some(vec![7; 32]));
    assert_eq!(unwrapped(&encrypt(&good), &key, 16), None, "a key of another length");
    for (at, octet) in [(0, 1), (1, 1), (2, 0), (100, 0), (256 - 34, 0), (256 - 33, 1)] {
        let mut bad = good.clone();
        bad[at] = octet;
        assert_eq!(unwrapped(&encrypt(&bad), &key, 32), None, "{at}");
    }
}

#[test]
fn oaep_of_two_hashes_is_exact() {
    let (rsa, key) = key(2048);
    let pkey = PKey::from_rsa(rsa.clone()).unwrap();
    let wrap = |content: &[u8], label: &[u8]| {
        let mut encrypter = openssl::encrypt::Encrypter::new(&pkey).unwrap();
        encrypter.set_rsa_padding(Padding::PKCS1_OAEP).unwrap();
        encrypter.set_rsa_oaep_md(openssl::hash::MessageDigest::sha256()).unwrap();
        encrypter.set_rsa_mgf1_md(openssl::hash::MessageDigest::sha1()).unwrap();
        encrypter.set_rsa_oaep_label(label).unwrap();
        let mut octets = vec![0; 256];
        let length = encrypter.encrypt(content, &mut octets).unwrap();
        octets.truncate(length);
        octets
    };
    let oaep = |octets: Vec<u8>, mask: Hash, label: &[u8]| WrappedKey {
        transport: Transport::Oaep { hash: Hash::Sha256, mask, label: label.to_vec() },
        octets,
    };
    let octets = wrap(&[9; 16], b"label");
    assert_eq!(unwrapped(&oaep(octets.clone(), Hash::Sha1, b"label"), &key, 16), Some(vec![9; 16]));
    assert_eq!(unwrapped(&oaep(octets.clone(), Hash::Sha1, b"labels"), &key, 16), None);
    assert_eq!(unwrapped(&oaep(octets.clone(), Hash::Sha512, b"label"), &key, 16), None);
    assert_eq!(unwrapped(&oaep(octets.clone(), Hash::Sha256, b"label"), &key, 16), None, "aws-lc's one refuses, too");
    for length in [15, 17, 24, 32] {
        assert_eq!(unwrapped(&oaep(octets.clone(), Hash::Sha1, b"label"), &key, length), None, "{length}");
    }
    let mut encoded = key.bare(&octets).unwrap();
    for at in [0, 1, 32, 33, 64, 200, 255] {
        encoded[at] ^= 1;
        let mut changed = vec![0; 256];
        rsa.public_encrypt(&encoded, &mut changed, Padding::NONE).unwrap();
        assert_eq!(unwrapped(&oaep(changed, Hash::Sha1, b"label"), &key, 16), None, "{at}");
        encoded[at] ^= 1;
    }
}

#[test]
fn the_key_that_stands_in_is_ours_alone_and_always_the_same() {
    let ((_, one), (_, other)) = (key(1024), key(1024));
    assert_eq!(one.stand_in(b"x"), one.stand_in(b"x"));
    assert_ne!(one.stand_in(b"x"), one.stand_in(b"y"));
    assert_ne!(one.stand_in(b"x"), other.stand_in(b"x"));
    let mut chosen = [1; 32];
    transport::choose(&mut chosen, &[2; 32], Choice::from(0));
    assert_eq!(chosen, [1; 32]);
    transport::choose(&mut chosen, &[2; 32], Choice::from(1));
    assert_eq!(chosen, [2; 32]);
}

#[test]
fn what_is_no_rsa_key_is_none() {
    assert!(PrivateKey::from_der(b"").is_none());
    assert!(PrivateKey::from_der(&[0x30, 0x03, 0x02, 0x01, 0x00]).is_none());
    let curve = include_bytes!("../keys/testdata/p256_sec1.key");
    assert!(PrivateKey::from_der(curve).is_none());
}

#[test]
fn plaintext_sees_the_nearest_declarations_of_its_place_and_stays_in_it() {
    let around = r#"<a xmlns="urn:1" xmlns:p="urn:p&apos;" xmlns:q="urn:q"><b xmlns="" xmlns:q="urn:q2"><c/></b></a>"#;
    let guarded = Guarded::read(around.as_bytes()).unwrap();
    let b = guarded.root().unwrap().children().next().unwrap();
    let text = Surrounded::inside(b.children().next().unwrap(), b"\n<x p:y='1'><q:z/></x> ").unwrap();
    let inside = text.read().unwrap();
    let x = only_element(&inside).unwrap();
    assert_eq!(x.expanded_name(), "{}x");
    assert_eq!(x.attribute_in("urn:p'", "y"), Some("1"));
    assert_eq!(x.children().next().unwrap().expanded_name(), "{urn:q2}z");
    assert!(Surrounded::alone(b"<q:z/>").unwrap().read().is_err());
    assert!(Surrounded::alone(b"\xff").is_err());
    for outside in ["", "text", "<a/><b/>", "<a/>text", "text<a/>", "<a/><![CDATA[x]]>"] {
        let text = Surrounded::alone(outside.as_bytes()).unwrap();
        assert!(only_element(&text.read().unwrap()).is_err(), "{outside}");
    }
    for outside in ["</decrypted><decrypted>", "<a/></decrypted><!--", "<?xml version=\"1.0\"?><a/>", "<!DOCTYPE a><a/>"] {
        assert!(Surrounded::alone(outside.as_bytes()).unwrap().read().is_err(), "{outside}");
    }
}
