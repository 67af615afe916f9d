//! `[headers.signature]`: a key that fits, or a reason.

use super::*;
use crate::identity::signature::Algorithm;

const SECRET: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// What is said of a key file with this in it; nothing when it is taken.
fn judged(algorithm: &str, key: &str) -> Vec<String> {
    let folder = folder();
    fs::write(folder.path().join("sig.key"), key).unwrap();
    let text = format!("{SMALLEST}\n[headers.signature]\nalgorithm = \"{algorithm}\"\nkey = \"sig.key\"\n");
    let problems = load_in(&folder, "samlgate.toml", &text, &[]).err();
    problems.iter().flat_map(|problems| problems.all()).map(ToString::to_string).collect()
}

fn pem(algorithm: &'static rcgen::SignatureAlgorithm) -> String {
    rcgen::KeyPair::generate_for(algorithm).unwrap().serialize_pem()
}

#[test]
fn requests_are_not_signed_unless_asked() {
    assert!(loaded(SMALLEST).unwrap().headers.signer().is_none());
    let key = "[headers.signature]\nkey = \"sig.key\"\n";
    assert_eq!(
        refused_after(key),
        [
            "headers.signature.key: has no effect: headers.signature.algorithm is \"off\"; choose an algorithm, or take the key away"
        ]
    );
}

#[test]
fn each_algorithm_takes_its_own_kind_of_key() {
    let (ed25519, p256) = (pem(&rcgen::PKCS_ED25519), pem(&rcgen::PKCS_ECDSA_P256_SHA256));
    let shared = "not base64, which the key of hmac-sha256 is written in; make one with `openssl rand -base64 48 > sig.key`";
    let eddsa = "not an Ed25519 private key in PEM (PKCS #8); make one with `openssl genpkey -algorithm ed25519 -out sig.key`";
    let ecdsa = "not an EC P-256 private key in PEM (PKCS #8 or SEC 1); make one with `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out sig.key`";
    for (algorithm, good, bad, why) in [
        ("hmac-sha256", SECRET, [&*ed25519, "pa ssword"], shared),
        ("ed25519", &*ed25519, [&*p256, SECRET], eddsa),
        ("ecdsa-p256-sha256", &*p256, [&*ed25519, SECRET], ecdsa),
    ] {
        assert_eq!(judged(algorithm, good), [""; 0], "{algorithm}");
        for bad in bad {
            assert_eq!(judged(algorithm, bad), [format!("headers.signature.key: is {why}")]);
        }
    }
    assert_eq!(
        judged("hmac-sha256", "c2hvcnQ=\n"),
        [
            "headers.signature.key: is only 5 octets long, and hmac-sha256 needs a key of at least 32; make one with `openssl rand -base64 48 > sig.key`"
        ]
    );
}

#[test]
fn a_key_is_given_and_no_other_than_the_assertions() {
    let none = refused_after("[headers.signature]\nalgorithm = \"ed25519\"\n");
    let what = "is missing, and ed25519 needs one; make it with `openssl genpkey -algorithm ed25519 -out sig.key` and name the file here";
    assert_eq!(none, [format!("headers.signature.key: {what}")]);
    let both = "[headers.signature]\nalgorithm = \"ecdsa-p256-sha256\"\nkey = \"assertion.key\"\n";
    assert!(
        refused_after(both)[0].starts_with("headers.signature.key: is the assertion's key too; make another one with `openssl")
    );
    let kept = SMALLEST
        .replace("[headers.assertion]\nkey = \"assertion.key\"", both)
        .replace("[upstream]", "data_dir = \".\"\n[upstream]");
    assert!(refused(&kept)[0].starts_with("headers.signature.key: is the assertion's key too"));
    let twice = "[headers.signature]\nalgorithm = \"ed25519\"\nkey = \"a\"\nkey_file = \"a\"\n";
    assert_eq!(
        refused_after(twice),
        ["headers.signature.key: is given twice; take away either it or headers.signature.key_file"]
    );
}

#[test]
fn a_key_comes_from_its_file_or_as_pem_and_is_never_shown() {
    let folder = folder();
    fs::write(folder.path().join("sig.key"), format!("{SECRET}\n")).unwrap();
    let text = format!("{SMALLEST}\n[headers.signature]\nalgorithm = \"hmac-sha256\"\nkey_file = \"sig.key\"\n");
    let config = load_in(&folder, "samlgate.toml", &text, &[]).unwrap();
    assert_eq!(config.headers.signer().unwrap().algorithm(), Algorithm::HmacSha256);
    let pem = pem(&rcgen::PKCS_ED25519);
    let variables = [("SAMLGATE_HEADERS__SIGNATURE__ALGORITHM", "ed25519"), ("SAMLGATE_HEADERS__SIGNATURE__KEY", &*pem)];
    let config = load_in(&folder, "samlgate.toml", SMALLEST, &variables).unwrap();
    assert_eq!(config.headers.signer().unwrap().algorithm(), Algorithm::Ed25519);
    assert!(!format!("{config:?}").contains(pem.lines().nth(1).unwrap()));
    // The key itself where its file's name belongs: refused, and not said.
    let bare = text.replace("key_file = \"sig.key\"", &format!("key = \"{SECRET}\""));
    let said = load_in(&folder, "samlgate.toml", &bare, &[]).unwrap_err().to_string();
    assert!(said.starts_with("headers.signature.key: names no file") && !said.contains(&SECRET[..8]), "{said}");
}

#[test]
fn no_identity_header_has_a_signatures_name() {
    for name in ["Signature", "signature-input", "Signature_Input"] {
        assert!(refused_after(&format!("[headers]\nrole = \"{name}\"\n"))[0].starts_with("headers.role: "), "{name}");
    }
}
