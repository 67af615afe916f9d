//! A logout message by POST or SOAP. One octet chooses which, and which engine is asked first.
//!
//! - A first look never panics, and sees whatever verification believes.
//! - The engines agree, and what they believe was signed by a trusted key in some seed, octet for octet.
//! - What is accepted is what an independent reader finds in these octets.

use std::collections::HashSet;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use samlgate::clock::Timestamp;
use samlgate::saml::both_engines::{Message, Order, Outcome, ask};
use samlgate::saml::logout::{
    LogoutExpectations, LogoutMessage, MessageKind, Received, peek, peek_soap, verify_post, verify_soap,
};
use samlgate::saml::{Compat, TrustAnchors, TrustedCertificate};

use super::order;
use crate::context::{json, read, shared_folder, text};
use crate::fake_idp::{Algorithm, EC, FakeIdp, RSA, SLO, SP};
use crate::independent::logout_in;
use crate::seeds::{behind, worst};

/// What logout messages are verified with: two issuers' keys are trusted as one's.
pub(crate) struct Logout {
    pub(crate) anchors: TrustAnchors,
    slo_urls: Vec<String>,
    now: Timestamp,
}

/// Of the shared vectors, and ours too.
pub(crate) const IDP: &str = "https://idp.test/metadata";

pub(crate) fn logout() -> &'static Logout {
    static LOGOUT: OnceLock<Logout> = OnceLock::new();
    LOGOUT.get_or_init(|| {
        let mut pems = vec![RSA.1.as_bytes().to_vec(), EC.1.as_bytes().to_vec()];
        if let Some(folder) = shared_folder() {
            pems.push(read(folder.join("logout/certs/idp-rsa.pem")));
        }
        let certificates = pems.iter().map(|pem| TrustedCertificate::from_pem(pem).expect("a certificate"));
        Logout {
            anchors: TrustAnchors::new(certificates.collect()).expect("certificates"),
            slo_urls: vec!["https://app.test/saml/slo".to_owned(), SLO.to_owned()],
            now: Timestamp::parse_rfc3339("2026-03-01T12:00:30Z").expect("a time"),
        }
    })
}

impl Logout {
    pub(crate) fn expectations(&self) -> LogoutExpectations<'_> {
        LogoutExpectations {
            idp_entity_id: IDP,
            slo_urls: &self.slo_urls,
            in_response_to: Some("_ours"),
            sp_entity_id: SP,
            decryption_keys: &[],
            compat: Compat::default(),
            clock_skew: Duration::from_secs(60),
            max_age: Duration::from_secs(300),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }
}

/// Which message an octet means.
fn message(choice: u8) -> Message {
    match (choice >> 1) % 3 {
        0 => Message::Logout(MessageKind::Request),
        1 => Message::Logout(MessageKind::Response),
        _ => Message::Soap,
    }
}

/// ID, NameID and SessionIndexes of what was accepted.
pub(crate) fn accepted(received: &Received) -> (String, Option<String>, Vec<String>) {
    match received.message() {
        LogoutMessage::Request(request) => {
            (request.id().to_owned(), Some(request.name_id().value.clone()), request.session_indexes().to_vec())
        }
        LogoutMessage::Response(response) => (response.id().to_owned(), None, Vec::new()),
    }
}

pub(crate) fn run(input: &[u8]) {
    let [choice, octets @ ..] = input else { return };
    let (logout, message) = (logout(), message(*choice));
    let look = match message {
        Message::Logout(kind) => peek(octets, kind),
        Message::Soap | Message::Response => peek_soap(octets),
    };
    let outcome = match ask(octets, message, &logout.anchors, Compat::default(), order(*choice)) {
        Ok(outcome) => outcome,
        Err(found) => panic!("the engines disagree: {found:?}"),
    };
    let expectations = logout.expectations();
    let result = match message {
        Message::Logout(kind) => verify_post(octets, kind, &logout.anchors, &expectations, logout.now),
        Message::Soap | Message::Response => verify_soap(octets, &logout.anchors, &expectations, logout.now),
    };
    if let Outcome::Agree(octets) | Outcome::Abstained(_, Some(octets)) = &outcome {
        assert!(signed().contains(octets), "believed though nobody signed it: {}", String::from_utf8_lossy(octets));
    }
    match result {
        Ok(received) => {
            let look = look.expect("a first look refuses what is accepted");
            assert_eq!(look.issuer.as_deref(), Some(IDP));
            let (Outcome::Agree(octets) | Outcome::Abstained(_, Some(octets))) = outcome else {
                panic!("accepted though the engines don't believe it: {outcome:?}")
            };
            assert_eq!(accepted(&received), logout_in(&octets));
        }
        Err(error) => assert_ne!(error.code(), "engines_disagree"),
    }
}

/// What trusted keys signed in the seeds.
fn signed() -> &'static HashSet<Vec<u8>> {
    static SIGNED: OnceLock<HashSet<Vec<u8>>> = OnceLock::new();
    SIGNED.get_or_init(|| {
        let outcomes = messages()
            .into_iter()
            .map(|(choice, octets)| ask(&octets, message(choice), &logout().anchors, Compat::default(), Order::FirstThenSecond));
        let octets = outcomes.filter_map(|outcome| match outcome {
            Ok(Outcome::Agree(octets) | Outcome::Abstained(_, Some(octets))) => Some(octets),
            Ok(_) => None,
            Err(found) => panic!("a seed is a finding: {found:?}"),
        });
        octets.collect()
    })
}

/// The same every time: RSA signatures are.
fn messages() -> Vec<(u8, Vec<u8>)> {
    let idp = FakeIdp::with_key(IDP, RSA, Algorithm::RsaSha256);
    let mut all = Vec::new();
    let request = || idp.logout_request().id("_request");
    for built in [
        request(),
        request().session_indexes(&[]),
        request().session_indexes(&["a", "b"]),
        request().unsigned(),
        request().subject("mallory@example.com", "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"),
        request().issuer(Some("https://other.example")),
    ] {
        all.push((0, built.post().into_bytes()));
        all.push((4, built.soap().into_bytes()));
    }
    for status in ["Success", "Success/PartialLogout", "Responder"] {
        all.push((2, idp.logout_response("_ours", status).id("_answer").post().into_bytes()));
    }
    if let Some(folder) = shared_folder() {
        let index = json(folder.join("logout/index.json"));
        let cases = index["cases"].as_array().expect("cases").iter().filter(|case| text(case, "binding") == "HTTP-POST");
        all.extend(cases.map(|case| (0, read(folder.join(Path::new(text(case, "file")))))));
    }
    all
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<_> = messages()
        .into_iter()
        .flat_map(|(choice, octets)| [behind(&[choice], &octets), behind(&[choice + 1], &octets)])
        .collect();
    let request = FakeIdp::with_key(IDP, RSA, Algorithm::RsaSha256).logout_request().id("_request").post();
    let (before, after) = request.split_once("</samlp:LogoutRequest>").expect("its end");
    let around = |content: &str| format!("{before}{content}</samlp:LogoutRequest>{after}");
    seeds.extend(worst(around).iter().map(|document| behind(&[0], document.as_bytes())));
    seeds
}
