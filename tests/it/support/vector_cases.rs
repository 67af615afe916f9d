//! The project's own SAML cases, at least one for every rule of the verification core and every reason that a document can
//! give. `cargo run --example make_vectors` writes them to tests/vectors, where the tests read them.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "included by the tests and by the generator")]
#![allow(clippy::expect_used, reason = "a test's tool: what goes wrong ends the test")]

#[path = "vector_cases/content.rs"]
mod content;
#[path = "vector_cases/encrypted.rs"]
mod encrypted;
#[path = "vector_cases/form.rs"]
mod form;
#[path = "vector_cases/signature.rs"]
mod signature;

use std::time::Duration;

use samlgate::clock::Timestamp;
use serde_json::{Value, json};

use super::fake_idp::{ACS, FakeIdp, ResponseBuilder, SP};

/// The identity provider of all cases.
pub const IDP: &str = "https://idp.example/metadata";

/// A message, what is expected of it, and what must come of it.
#[derive(Clone, Debug)]
pub struct Case {
    pub id: &'static str,
    /// The rule of `saml::verify::verify_response` that decides.
    pub rule: u8,
    pub about: &'static str,
    /// `accept` or a reason code.
    pub expected: &'static str,
    pub octets: Vec<u8>,
    /// Certificates of the fixtures that are trusted.
    pub trusted: Vec<&'static str>,
    pub acs_urls: Vec<&'static str>,
    pub in_response_to: Option<&'static str>,
    pub now: Timestamp,
    pub clock_skew: Duration,
    pub max_age: Duration,
    pub compat: Vec<&'static str>,
    pub authn_context: Vec<&'static str>,
    /// Our keys of the fixtures.
    pub decryption_keys: Vec<&'static str>,
    /// Whether the octets come out the same every time: signatures of elliptic curves and what is encrypted don't.
    pub reproducible: bool,
}

impl Case {
    fn trusting(mut self, certificates: &[&'static str]) -> Self {
        self.trusted = certificates.to_vec();
        self
    }

    fn with_compat(mut self, name: &'static str) -> Self {
        self.compat.push(name);
        self
    }

    fn answering(mut self, request: &'static str) -> Self {
        self.in_response_to = Some(request);
        self
    }

    fn now(mut self, seconds_later: u64) -> Self {
        self.now = at().plus(Duration::from_secs(seconds_later));
        self
    }

    /// The case as it stands in the manifest.
    pub fn manifest(&self) -> Value {
        json!({
            "id": self.id,
            "file": self.file(),
            "rule": self.rule,
            "about": self.about,
            "expected": self.expected,
            "must_not_name_id": "mallory",
            "trusted": self.trusted,
            "idp_entity_id": IDP,
            "sp_entity_id": SP,
            "acs_urls": self.acs_urls,
            "in_response_to": self.in_response_to,
            "now": self.now.to_string(),
            "clock_skew_seconds": self.clock_skew.as_secs(),
            "max_age_seconds": self.max_age.as_secs(),
            "compat": self.compat,
            "authn_context": self.authn_context,
            "decryption_keys": self.decryption_keys,
        })
    }

    /// Its file, relative to tests/vectors.
    pub fn file(&self) -> String {
        format!("responses/{}.xml", self.id)
    }
}

/// All cases.
pub fn all() -> Vec<Case> {
    [form::cases(), signature::cases(), encrypted::cases(), content::cases()].concat()
}

/// When all responses are issued, unless they say otherwise.
fn at() -> Timestamp {
    Timestamp::parse_rfc3339("2026-03-01T12:00:00Z").expect("a time")
}

fn idp() -> FakeIdp {
    FakeIdp::new(IDP)
}

/// A response that holds, its IDs fixed.
fn response() -> ResponseBuilder {
    fixed(idp().response())
}

fn fixed(response: ResponseBuilder) -> ResponseBuilder {
    response.at(at()).ids("_response", "_assertion").attribute("mail", &["alice@example.com"])
}

fn case(rule: u8, id: &'static str, expected: &'static str, about: &'static str, octets: impl Into<Message>) -> Case {
    let Message(octets) = octets.into();
    Case {
        id,
        rule,
        about,
        expected,
        octets,
        trusted: vec!["idp.crt"],
        acs_urls: vec![ACS, "https://app.example/saml/acs"],
        in_response_to: None,
        now: at().plus(Duration::from_secs(10)),
        clock_skew: Duration::from_secs(60),
        max_age: Duration::from_secs(300),
        compat: Vec::new(),
        authn_context: Vec::new(),
        decryption_keys: Vec::new(),
        reproducible: true,
    }
}

/// The octets of a case.
struct Message(Vec<u8>);

impl From<ResponseBuilder> for Message {
    fn from(response: ResponseBuilder) -> Self {
        Self(response.build().into_bytes())
    }
}

impl From<Vec<u8>> for Message {
    fn from(octets: Vec<u8>) -> Self {
        Self(octets)
    }
}
