//! Every SAML response of `../shared/vectors`, public samples and attacks, with its verdict.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::x509::X509;
use samlgate::clock::Timestamp;
use samlgate::saml::{
    Checks, Compat, Expectations, Expected, SamlError, SecondOpinion, SpKey, TrustAnchors, TrustedCertificate, VerifiedAssertion,
    decode_response, peek, verify_response,
};
use serde::Deserialize;

const YEAR: Duration = Duration::from_secs(366 * 24 * 3600);

#[derive(Deserialize)]
struct Index {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    id: String,
    file: PathBuf,
    encoding: String,
    idp_entity_id: String,
    idp_certs: Vec<PathBuf>,
    sp_entity_id: String,
    acs: String,
    #[serde(default)]
    sp_keys: Vec<PathBuf>,
    request_id: Option<String>,
    now: String,
    policy: Policy,
    /// Present when the verdict is about IssueInstant's age.
    policy_note: Option<String>,
    expected: Verdict,
    expected_strict_default: Verdict,
    expect: Option<Expect>,
    max_ms: Option<u64>,
    why: String,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct Policy {
    allow_sha1: bool,
    allow_cbc: bool,
    allow_rsa15: bool,
    allow_missing_audience: bool,
    allow_empty_ref: bool,
    allow_unsolicited: bool,
    min_rsa_bits: Option<usize>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Accept,
    Reject,
    Either,
}

#[derive(Deserialize)]
struct Expect {
    nameid: Option<String>,
    session_index: Option<Vec<Option<String>>>,
    attribute_names: Option<Vec<String>>,
    must_not_nameid: Option<String>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors")
}

/// A private key with a certificate made for it: the public samples come without.
fn sp_key(pem: &[u8]) -> SpKey {
    let key = PKey::private_key_from_pem(pem).unwrap();
    let mut certificate = X509::builder().unwrap();
    certificate.set_pubkey(&key).unwrap();
    certificate.set_not_before(&Asn1Time::from_unix(0).unwrap()).unwrap();
    certificate.set_not_after(&Asn1Time::from_unix(4_000_000_000).unwrap()).unwrap();
    certificate.sign(&key, MessageDigest::sha256()).unwrap();
    SpKey::from_pem(pem, &certificate.build().to_pem().unwrap()).unwrap()
}

/// What came of a case: the assertion, or the reason code.
fn run(case: &Case, policy: Policy, checks: &mut Checks) -> Result<VerifiedAssertion, &'static str> {
    let read = |name: &Path| std::fs::read(folder().join(name)).unwrap_or_else(|error| panic!("{}: {error}", name.display()));
    let certificates = case.idp_certs.iter().filter_map(|name| TrustedCertificate::from_pem(&read(name)).ok()).collect();
    let anchors = TrustAnchors::new(certificates);
    // Without a usable key there are no anchors to verify with. Another key stands in, so that the document is still tried.
    let (anchors, unusable) = match anchors {
        Ok(anchors) => (anchors, false),
        Err(_) => {
            let stand_in = TrustedCertificate::from_pem(&read(Path::new("generated/certs/idp-rsa.pem"))).unwrap();
            (TrustAnchors::new(vec![stand_in]).unwrap(), true)
        }
    };
    let posted = read(&case.file);
    let octets = match case.encoding.as_str() {
        "raw" => posted,
        "base64" => {
            let field = std::str::from_utf8(&posted).map_err(|_| SamlError::NotBase64.code())?;
            decode_response(field).map_err(|error| error.code())?
        }
        other => panic!("{}: encoding {other}", case.id),
    };
    let expected = match &case.request_id {
        Some(id) => Expected::AnswerTo(id),
        None if policy.allow_unsolicited => Expected::Unsolicited,
        // Decided by the caller, before anything is verified.
        None => return Err(SamlError::UnsolicitedNotAllowed.code()),
    };
    let keys: Vec<_> = case.sp_keys.iter().map(|name| sp_key(&read(name))).collect();
    let acs_urls = [case.acs.clone()];
    let expectations = Expectations {
        idp_entity_id: &case.idp_entity_id,
        sp_entity_id: &case.sp_entity_id,
        acs_urls: &acs_urls,
        expected,
        compat: Compat {
            sha1: policy.allow_sha1,
            aes_cbc: policy.allow_cbc,
            rsa_15: policy.allow_rsa15,
            no_audience: policy.allow_missing_audience,
            empty_reference: policy.allow_empty_ref,
        },
        clock_skew: Duration::from_secs(60),
        max_age: if case.policy_note.is_some() { Duration::from_secs(600) } else { 100 * YEAR },
        authn_context: &[],
        authenticated_since: None,
        decryption_keys: &keys,
    };
    let now = Timestamp::parse_rfc3339(&case.now).unwrap();
    // A first look may fail, but must never take long or panic.
    let _ = peek(&octets);
    let result = verify_response(&octets, &anchors, &expectations, now, checks);
    assert!(!unusable || result.is_err(), "{}: verified with another IdP's key", case.id);
    result.map_err(|error| error.code())
}

/// What is wrong with the result of a case, if anything.
fn judge(case: &Case, verdict: Verdict, result: &Result<VerifiedAssertion, &'static str>, checks: &Checks) -> Vec<String> {
    let mut wrong = Vec::new();
    let last = checks.all().last().map(|check| format!("{}: {}", check.name, check.detail)).unwrap_or_default();
    match (verdict, result) {
        (Verdict::Accept, Err(code)) => wrong.push(format!("refused as {code}: {last}")),
        (Verdict::Reject, Ok(_)) => wrong.push("accepted".to_owned()),
        _ => {}
    }
    if checks.all().iter().rev().skip(1).any(|check| !check.ok) {
        wrong.push("a rule failed and others were checked after it".to_owned());
    }
    if !checks.all().is_empty() && checks.all().iter().all(|check| check.ok) != result.is_ok() {
        wrong.push("the checks and the verdict disagree".to_owned());
    }
    if matches!(result, Err("engines_disagree")) {
        wrong.push(format!("the engines disagree: {last}"));
    }
    let (Ok(assertion), Some(expect)) = (result, &case.expect) else { return wrong };
    let name_id = &assertion.name_id().value;
    if expect.must_not_nameid.as_ref() == Some(name_id) {
        wrong.push(format!("an attacker's identity was accepted: {name_id}"));
    }
    if expect.nameid.as_ref().is_some_and(|wanted| wanted != name_id) {
        wrong.push(format!("NameID {name_id:?}, wanted {:?}", expect.nameid));
    }
    if let Some(wanted) = &expect.session_index
        && wanted.first().and_then(|index| index.as_deref()) != assertion.session_index()
    {
        wrong.push(format!("SessionIndex {:?}, wanted {wanted:?}", assertion.session_index()));
    }
    if let Some(wanted) = &expect.attribute_names {
        let mut names: Vec<_> = assertion.attributes().iter().map(|attribute| attribute.name.clone()).collect();
        names.sort();
        let mut wanted = wanted.clone();
        wanted.sort();
        wanted.dedup();
        if names != wanted {
            wrong.push(format!("attributes {names:?}, wanted {wanted:?}"));
        }
    }
    wrong
}

#[test]
fn every_vector_gets_its_verdict() {
    let Ok(index) = std::fs::read(folder().join("index.json")) else {
        eprintln!("SKIPPED: ../shared/vectors is not there");
        return;
    };
    let index: Index = serde_json::from_slice(&index).unwrap();
    // Some documents want this address fetched. Without the right to listen there, that is not watched.
    let listener = TcpListener::bind("127.0.0.1:9").ok();

    let mut wrong = Vec::new();
    let (mut codes, mut opinions) = (BTreeMap::<&str, usize>::new(), BTreeMap::<String, usize>::new());
    let (mut accepted, mut refused) = (0, 0);
    for case in &index.cases {
        for (name, policy, expected) in
            [("policy", case.policy, case.expected), ("strict", Policy::default(), case.expected_strict_default)]
        {
            let mut checks = Checks::default();
            let started = Instant::now();
            let result = run(case, policy, &mut checks);
            let took = started.elapsed();
            // Built without optimisation and on a busy machine: this only finds what hangs.
            let most = Duration::from_millis(case.max_ms.unwrap_or(1000) * 10);
            // A key of the IdP below 2048 bits has no switch here: refused.
            let verdict = if policy.min_rsa_bits.is_some_and(|bits| bits < 2048) { Verdict::Reject } else { expected };
            let mut complaints = judge(case, verdict, &result, &checks);
            if took > most {
                complaints.push(format!("took {took:?}"));
            }
            wrong.extend(complaints.into_iter().map(|complaint| format!("{} ({name}; {}): {complaint}", case.id, case.why)));
            match result {
                Ok(assertion) => {
                    accepted += 1;
                    *opinions.entry(format!("{:?}", assertion.second_opinion())).or_default() += 1;
                    let built = cfg!(feature = "second-opinion");
                    assert_eq!(built, assertion.second_opinion() != SecondOpinion::NotBuilt);
                }
                Err(code) => {
                    refused += 1;
                    *codes.entry(code).or_default() += 1;
                }
            }
        }
    }
    println!("{} cases, each with its policy and without: {accepted} accepted, {refused} refused", index.cases.len());
    println!("second opinions: {opinions:?}; codes: {codes:?}");
    if let Some(listener) = listener {
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_err(), "something was fetched because a document said so");
    } else {
        println!("not watched: 127.0.0.1:9");
    }
    assert!(wrong.is_empty(), "{} disagreements:\n{}", wrong.len(), wrong.join("\n"));
}
