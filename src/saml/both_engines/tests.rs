//! Every known document through both engines, in either order.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::*;
use crate::saml::fixture::{Sign, anchors, idp, key_pair, response, signed, signed_by, to_be_signed};
use crate::saml::{TrustedCertificate, decode_response};

const EVERYTHING: Compat = Compat { sha1: true, aes_cbc: true, rsa_15: true, no_audience: true, empty_reference: true };

/// Both orders say the same, and the engines agree.
fn ask_in_both_orders(octets: &[u8], message: Message, anchors: &TrustAnchors, compat: Compat) -> Result<Outcome, Disagreement> {
    let one = ask(octets, message, anchors, compat, Order::FirstThenSecond);
    let other = ask(octets, message, anchors, compat, Order::SecondThenFirst);
    assert_eq!(one, other, "the order makes a difference");
    one
}

/// What came of many documents.
#[derive(Default)]
struct Tally {
    outcomes: BTreeMap<&'static str, usize>,
    findings: Vec<String>,
}

impl Tally {
    fn add(&mut self, name: &str, octets: &[u8], message: Message, anchors: &TrustAnchors) {
        for compat in [Compat::default(), EVERYTHING] {
            let outcome = match ask_in_both_orders(octets, message, anchors, compat) {
                Ok(Outcome::NotAsked(_)) => "not asked",
                Ok(Outcome::BothRefuse) => "both refuse",
                Ok(Outcome::Agree(_)) => "agree",
                Ok(Outcome::Abstained(..)) => "abstained",
                Err(disagreement) => {
                    self.findings.push(format!("{name}: {disagreement:?}"));
                    "disagree"
                }
            };
            *self.outcomes.entry(outcome).or_default() += 1;
        }
    }

    fn holds(&self, agree: usize, both_refuse: usize) {
        println!("{:?}", self.outcomes);
        assert!(self.findings.is_empty(), "{} findings:\n{}", self.findings.len(), self.findings.join("\n"));
        let count = |name| self.outcomes.get(name).copied().unwrap_or_default();
        assert!(count("agree") >= agree && count("both refuse") >= both_refuse, "{:?}", self.outcomes);
    }
}

fn read(path: PathBuf) -> Vec<u8> {
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn json(path: PathBuf) -> serde_json::Value {
    serde_json::from_slice(&read(path)).unwrap()
}

fn texts(list: &serde_json::Value) -> impl Iterator<Item = &str> {
    list.as_array().unwrap().iter().map(|item| item.as_str().unwrap())
}

/// The usable certificates; `None` when there are none, so that there is nothing to verify with.
fn trusted(folder: &Path, names: &serde_json::Value) -> Option<TrustAnchors> {
    let certificates = texts(names).filter_map(|name| TrustedCertificate::from_pem(&read(folder.join(name))).ok()).collect();
    TrustAnchors::new(certificates).ok()
}

#[test]
fn our_own_vectors() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut tally = Tally::default();
    for case in json(tests.join("vectors/manifest.json"))["cases"].as_array().unwrap() {
        let octets = read(tests.join("vectors").join(case["file"].as_str().unwrap()));
        let anchors = trusted(&tests.join("fixtures"), &case["trusted"]).unwrap();
        tally.add(case["id"].as_str().unwrap(), &octets, Message::Response, &anchors);
    }
    tally.holds(150, 10);
}

#[test]
fn shared_vectors() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors");
    if !folder.exists() {
        eprintln!("SKIPPED: ../shared/vectors is not there");
        return;
    }
    let mut tally = Tally::default();
    for case in json(folder.join("index.json"))["cases"].as_array().unwrap() {
        let Some(anchors) = trusted(&folder, &case["idp_certs"]) else { continue };
        let posted = read(folder.join(case["file"].as_str().unwrap()));
        let octets = if case["encoding"] == "base64" {
            match std::str::from_utf8(&posted).ok().and_then(|field| decode_response(field).ok()) {
                Some(octets) => octets,
                None => continue,
            }
        } else {
            posted
        };
        tally.add(case["id"].as_str().unwrap(), &octets, Message::Response, &anchors);
    }
    let logout = json(folder.join("logout/index.json"));
    let anchors = trusted(&folder, &logout["idp_certs"]).unwrap();
    for case in logout["cases"].as_array().unwrap().iter().filter(|case| case["binding"] == "HTTP-POST") {
        let octets = read(folder.join(case["file"].as_str().unwrap()));
        for message in [Message::Logout(MessageKind::Request), Message::Logout(MessageKind::Response), Message::Soap] {
            tally.add(case["id"].as_str().unwrap(), &octets, message, &anchors);
        }
    }
    tally.holds(80, 8);
}

#[test]
fn what_they_say_of_one_document() {
    let ask = |xml: &str| ask_in_both_orders(xml.as_bytes(), Message::Response, &anchors(), Compat::default()).unwrap();
    for sign in [Sign::Assertion, Sign::Response, Sign::Both] {
        let good = response(sign, &[]);
        let Outcome::Agree(octets) = ask(&good) else { panic!("a good response") };
        assert!(String::from_utf8(octets).unwrap().contains(">alice@example.com<"));
        assert_eq!(ask(&good.replace("alice@", "admin@")), Outcome::BothRefuse);
    }
    assert_eq!(ask(&response(Sign::Nothing, &[])), Outcome::NotAsked("signature_missing"));
    assert_eq!(ask("<a/>"), Outcome::NotAsked("wrong_document"));
    assert_eq!(ask("<a>"), Outcome::NotAsked("not_xml"));
    let elsewhere = response(Sign::Assertion, &[]).replace("URI=\"#_a\"", "URI=\"file:///etc/passwd\"");
    assert_eq!(ask(&elsewhere), Outcome::NotAsked("signature_not_covering"));
    let digit = response(Sign::Assertion, &[]).replace("ID=\"_r\"", "ID=\"1-r\"");
    assert!(matches!(ask(&digit), Outcome::Abstained(Abstention::IdIsNoNcName, Some(_))));
}

#[test]
fn what_only_one_of_them_believes_is_found() {
    // As if an engine were mistaken: each takes another key for the trusted one (one looks at the key, the other at the certificate).
    let (key, certificate) = key_pair(&rcgen::PKCS_ECDSA_P256_SHA256);
    let (ours, theirs) = (TrustedCertificate::from_der(&idp().1).unwrap(), TrustedCertificate::from_der(&certificate).unwrap());
    let mixed = TrustedCertificate { der: theirs.der, ..ours };
    let anchors = TrustAnchors::new(vec![mixed]).unwrap();
    let ask = |xml: &str| ask_in_both_orders(xml.as_bytes(), Message::Response, &anchors, Compat::default()).unwrap_err();
    let found = ask(&signed(&to_be_signed(Sign::Assertion)));
    assert!(found.first.is_ok() && found.second.is_err(), "{found:?}");
    let found = ask(&signed_by(&to_be_signed(Sign::Assertion), &key));
    assert!(found.first.is_err() && found.second.is_ok(), "{found:?}");
}

/// Found by fuzzing: the parser below the first engine took CR LF in an attribute value for two spaces.
#[test]
fn line_ends_are_read_alike() {
    for spaced in ["\r\n", "\r", "\n", "\t\r\n\r\n ", "&#13;&#10;", "\r&#10;"] {
        for sign in [Sign::Assertion, Sign::Response] {
            // What xmlsec writes has no line ends of that kind any more, so its values go into the original.
            let template = to_be_signed(sign).replace("SessionIndex=\"_s\"", &format!("SessionIndex=\"_s{spaced}_t\""));
            let template = template.replace(">staff<", &format!(">st{spaced}aff<"));
            let done = signed(&template);
            let value = |name: &str| done.split(&format!("<ds:{name}>")).nth(1).unwrap().split('<').next().unwrap().to_owned();
            let mut xml = template.clone();
            for name in ["DigestValue", "SignatureValue"] {
                xml = xml.replace(&format!("<ds:{name}/>"), &format!("<ds:{name}>{}</ds:{name}>", value(name)));
            }
            let outcome = ask_in_both_orders(xml.as_bytes(), Message::Response, &anchors(), Compat::default());
            assert!(matches!(outcome, Ok(Outcome::Agree(_))), "{spaced:?}: {outcome:?}");
        }
    }
}
