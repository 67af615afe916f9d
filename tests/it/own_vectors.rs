//! The project's own SAML cases: every one must give what its manifest expects, neither more nor less.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use samlgate::clock::Timestamp;
use samlgate::saml::{Checks, Compat, Expectations, Expected, SpKey, TrustAnchors, TrustedCertificate, verify_response};
use serde::Deserialize;

use crate::support::vector_cases;

/// Reason codes that no document can provoke in the verification core, and why not.
const NOT_BY_A_DOCUMENT: [(&str, &str); 7] = [
    ("not_base64", "the binding decodes before the core sees anything"),
    ("unknown_issuer", "the login chooses the identity provider before the core is asked"),
    ("unsolicited_not_allowed", "the login knows whether unsolicited responses are wanted"),
    ("engines_disagree", "both engines read every known document alike"),
    ("replayed", "state"),
    ("login_expired", "state"),
    ("browser_mismatch", "state"),
];

/// The codes of INTERFACE, "Refusals", Response.
const CODES: &str = "too_large not_base64 not_xml forbidden_xml wrong_document duplicate_id signature_missing signature_invalid \
    signature_not_covering engines_disagree algorithm_forbidden unknown_issuer issuer_mismatch status_not_success \
    destination_mismatch decryption_failed assertion_count conditions_missing not_yet_valid expired too_old audience_mismatch \
    subject_confirmation recipient_mismatch in_response_to_mismatch unsolicited_not_allowed authn_statement_missing \
    authn_context session_expired_at_idp name_id_missing unknown_condition replayed login_expired browser_mismatch";

#[derive(Deserialize)]
struct Manifest {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    id: String,
    file: PathBuf,
    rule: u8,
    about: String,
    expected: String,
    must_not_name_id: String,
    trusted: Vec<String>,
    idp_entity_id: String,
    sp_entity_id: String,
    acs_urls: Vec<String>,
    in_response_to: Option<String>,
    now: String,
    clock_skew_seconds: u64,
    max_age_seconds: u64,
    compat: Vec<String>,
    authn_context: Vec<String>,
    decryption_keys: Vec<String>,
}

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

fn manifest() -> Manifest {
    let text = std::fs::read(tests().join("vectors/manifest.json")).expect("run `cargo run --example make_vectors`");
    serde_json::from_slice(&text).unwrap()
}

impl Case {
    fn run(&self) -> (String, Option<String>) {
        let octets = std::fs::read(tests().join("vectors").join(&self.file)).unwrap();
        let certificate =
            |file: &String| TrustedCertificate::from_pem(&std::fs::read(tests().join("fixtures").join(file)).unwrap()).unwrap();
        let file = |name: &str, ending: &str| std::fs::read(tests().join("fixtures").join(format!("{name}.{ending}"))).unwrap();
        let key = |name: &String| SpKey::from_pem(&file(name, "key"), &file(name, "crt")).unwrap();
        let keys: Vec<SpKey> = self.decryption_keys.iter().map(key).collect();
        let anchors = TrustAnchors::new(self.trusted.iter().map(certificate).collect()).unwrap();
        let allowed = |name: &str| self.compat.iter().any(|allowed| allowed == name);
        let expectations = Expectations {
            idp_entity_id: &self.idp_entity_id,
            sp_entity_id: &self.sp_entity_id,
            acs_urls: &self.acs_urls,
            expected: self.in_response_to.as_deref().map_or(Expected::Unsolicited, Expected::AnswerTo),
            compat: Compat {
                sha1: allowed("sha1"),
                no_audience: allowed("no-audience"),
                empty_reference: allowed("empty-reference"),
                aes_cbc: allowed("aes-cbc"),
                rsa_15: allowed("rsa-1.5"),
            },
            clock_skew: Duration::from_secs(self.clock_skew_seconds),
            max_age: Duration::from_secs(self.max_age_seconds),
            authn_context: &self.authn_context,
            authenticated_since: None,
            decryption_keys: &keys,
        };
        let now = Timestamp::parse_rfc3339(&self.now).unwrap();
        let mut checks = Checks::default();
        match verify_response(&octets, &anchors, &expectations, now, &mut checks) {
            Ok(assertion) => {
                assert!(checks.all().iter().all(|check| check.ok), "{}: {checks:?}", self.id);
                ("accept".to_owned(), Some(assertion.name_id().value.clone()))
            }
            Err(error) => {
                let (last, before) = checks.all().split_last().unwrap_or_else(|| panic!("{}: nothing was checked", self.id));
                assert!(!last.ok && before.iter().all(|check| check.ok), "{}: {checks:?}", self.id);
                (error.code().to_owned(), None)
            }
        }
    }
}

#[test]
fn every_case_gives_what_the_manifest_expects() {
    let mut wrong = Vec::new();
    for case in manifest().cases {
        let (got, name_id) = case.run();
        if got != case.expected {
            wrong.push(format!("{} (rule {}, {}): expected {}, got {got}", case.id, case.rule, case.about, case.expected));
        }
        assert_ne!(name_id.as_ref(), Some(&case.must_not_name_id), "{}: the attacker's name came through", case.id);
        assert!(name_id.is_none_or(|name_id| name_id == "alice"), "{}", case.id);
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_rule_and_every_reason_has_a_case() {
    let cases = manifest().cases;
    let rules: BTreeSet<u8> = cases.iter().map(|case| case.rule).collect();
    assert_eq!(rules, (1..=11).collect());
    let mut reasons: BTreeSet<&str> = cases.iter().map(|case| case.expected.as_str()).collect();
    assert!(reasons.remove("accept"));
    for (code, why) in NOT_BY_A_DOCUMENT {
        assert!(reasons.insert(code), "{code} has a case although {why}");
    }
    assert_eq!(reasons, CODES.split_whitespace().collect());
}

#[test]
fn the_files_are_what_the_cases_say() {
    let folder = tests().join("vectors");
    let cases = vector_cases::all();
    let written: BTreeSet<PathBuf> =
        std::fs::read_dir(folder.join("responses")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(written, cases.iter().map(|case| folder.join(case.file())).collect(), "run `cargo run --example make_vectors`");
    let manifest: serde_json::Value = serde_json::from_slice(&std::fs::read(folder.join("manifest.json")).unwrap()).unwrap();
    for (case, written) in cases.iter().zip(manifest["cases"].as_array().unwrap()) {
        assert_eq!(&case.manifest(), written);
        let octets = std::fs::read(folder.join(case.file())).unwrap();
        assert!(!case.reproducible || octets == case.octets, "{} differs; run `cargo run --example make_vectors`", case.id);
    }
}
