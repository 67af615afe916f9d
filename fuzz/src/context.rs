//! Circumstances under which responses are verified: those of all vectors, ours (tests/vectors) and, where it is there, the shared
//! folder's. And what trusted keys have really signed in all of them.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::x509::X509;
use samlgate::clock::Timestamp;
use samlgate::saml::artifact::{self, ArtifactExpectations, response_in};
use samlgate::saml::both_engines::{Message, Order, Outcome, ask};
use samlgate::saml::{
    Checks, Compat, Expectations, Expected, SamlError, SpKey, TrustAnchors, TrustedCertificate, VerifiedAssertion,
    decode_response, verify_response,
};
use serde_json::Value;

use crate::targets::response::in_envelope;

/// A response without the signature over the whole of it; `None` when it has none.
fn without_outer_signature(response: &[u8]) -> Option<Vec<u8>> {
    let document = roxmltree::Document::parse(std::str::from_utf8(response).ok()?).ok()?;
    let signature = document.root_element().children().find(|child| child.has_tag_name((DSIG, "Signature")))?.range();
    Some([response.get(..signature.start)?, response.get(signature.end..)?].concat())
}

const DSIG: &str = "http://www.w3.org/2000/09/xmldsig#";

/// Every weakness allowed.
pub(crate) const EVERYTHING: Compat =
    Compat { sha1: true, aes_cbc: true, rsa_15: true, no_audience: true, empty_reference: true };

/// What a response is verified with.
pub(crate) struct Context {
    pub(crate) anchors: TrustAnchors,
    pub(crate) compat: Compat,
    idp_entity_id: String,
    sp_entity_id: String,
    acs_urls: Vec<String>,
    request_id: Option<String>,
    now: Timestamp,
    clock_skew: Duration,
    max_age: Duration,
    authn_context: Vec<String>,
    keys: Vec<SpKey>,
}

impl Context {
    /// Verifies, and sees to it that the checks tell the same as the result.
    pub(crate) fn verify(&self, octets: &[u8]) -> Result<VerifiedAssertion, SamlError> {
        let expectations = Expectations {
            idp_entity_id: &self.idp_entity_id,
            sp_entity_id: &self.sp_entity_id,
            acs_urls: &self.acs_urls,
            expected: self.request_id.as_deref().map_or(Expected::Unsolicited, Expected::AnswerTo),
            compat: self.compat,
            clock_skew: self.clock_skew,
            max_age: self.max_age,
            authn_context: &self.authn_context,
            authenticated_since: None,
            decryption_keys: &self.keys,
        };
        let mut checks = Checks::default();
        let result = verify_response(octets, &self.anchors, &expectations, self.now, &mut checks);
        let (last, before) = checks.all().split_last().expect("something was checked");
        assert!(before.iter().all(|check| check.ok), "a rule failed and others were checked after it: {checks:?}");
        assert_eq!(last.ok, result.is_ok(), "the checks and the verdict differ: {checks:?}");
        assert!(!matches!(result, Err(SamlError::EnginesDisagree(_))), "the engines disagree: {checks:?}");
        result
    }
}

impl Context {
    /// Takes the response out of an IdP's answer to an artifact; only that this never panics is of interest, and that the engines agree.
    pub(crate) fn open(&self, octets: &[u8]) {
        let expectations = ArtifactExpectations {
            idp_entity_id: &self.idp_entity_id,
            in_response_to: "_resolve",
            compat: self.compat,
            clock_skew: self.clock_skew,
            max_age: self.max_age,
        };
        let opened = artifact::open(octets, &self.anchors, &expectations, self.now);
        assert!(opened.err().is_none_or(|error| error.code() != "engines_disagree"));
    }
}

/// Who an accepted response says the user is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Identity {
    name_id: String,
    attributes: Vec<(String, Vec<String>)>,
}

impl Identity {
    pub(crate) fn of(accepted: &VerifiedAssertion) -> Self {
        let attributes = accepted.attributes().iter().map(|attribute| (attribute.name.clone(), attribute.values.clone()));
        Self { name_id: accepted.name_id().value.clone(), attributes: attributes.collect() }
    }
}

/// A response of the vectors, and the context that belongs to it.
pub(crate) struct Known {
    pub(crate) octets: Vec<u8>,
    pub(crate) context: usize,
}

/// All of it.
pub(crate) struct World {
    pub(crate) contexts: Vec<Context>,
    pub(crate) responses: Vec<Known>,
    signed: HashSet<Vec<u8>>,
    identities: BTreeSet<Identity>,
}

impl World {
    /// Read once.
    pub(crate) fn get() -> &'static Self {
        static WORLD: OnceLock<World> = OnceLock::new();
        WORLD.get_or_init(Self::read)
    }

    /// The context that an octet chooses.
    pub(crate) fn context(&self, choice: u8) -> &Context {
        &self.contexts[usize::from(choice) % self.contexts.len()]
    }

    /// Whether a trusted key signed these octets in some vector.
    pub(crate) fn is_signed(&self, octets: &[u8]) -> bool {
        self.signed.contains(octets)
    }

    /// Whether some vector, as it is, says that this is the user.
    pub(crate) fn knows(&self, identity: &Identity) -> bool {
        self.identities.contains(identity)
    }

    fn read() -> Self {
        let mut world = Self { contexts: Vec::new(), responses: Vec::new(), signed: HashSet::new(), identities: BTreeSet::new() };
        let mut places = BTreeMap::new();
        own(&mut world, &mut places);
        shared(&mut world, &mut places);
        assert!(world.contexts.len() <= 256, "one octet chooses the context");
        for known in &world.responses {
            let context = &world.contexts[known.context];
            // What is refused for its prolog is genuine without it, as it comes for an artifact.
            let inner = response_in(&in_envelope(&known.octets)).and_then(Result::ok);
            // Where all is signed, what is signed within it is just as genuine when it comes alone.
            let alone = without_outer_signature(&known.octets);
            for octets in [Some(&known.octets), inner.as_ref(), alone.as_ref()].into_iter().flatten() {
                for compat in [context.compat, EVERYTHING] {
                    match ask(octets, Message::Response, &context.anchors, compat, Order::FirstThenSecond) {
                        Ok(Outcome::Agree(octets) | Outcome::Abstained(_, Some(octets))) => drop(world.signed.insert(octets)),
                        Ok(_) => {}
                        Err(found) => panic!("a vector is a finding: {found:?}"),
                    }
                }
                if let Ok(accepted) = context.verify(octets) {
                    world.identities.insert(Identity::of(&accepted));
                }
            }
        }
        world
    }

    fn add(
        &mut self,
        places: &mut BTreeMap<String, usize>,
        key: String,
        octets: Vec<u8>,
        context: impl FnOnce() -> Option<Context>,
    ) {
        let place = match places.get(&key) {
            Some(place) => *place,
            None => {
                let Some(context) = context() else { return };
                self.contexts.push(context);
                places.insert(key, self.contexts.len() - 1);
                self.contexts.len() - 1
            }
        };
        self.responses.push(Known { octets, context: place });
    }
}

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The shared vectors, `None` where they aren't there.
pub(crate) fn shared_folder() -> Option<PathBuf> {
    Some(root().join("../shared/vectors")).filter(|folder| folder.exists())
}

pub(crate) fn read(path: PathBuf) -> Vec<u8> {
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn json(path: PathBuf) -> Value {
    serde_json::from_slice(&read(path)).expect("JSON")
}

/// A key that stands under a name.
pub(crate) fn text<'v>(case: &'v Value, name: &str) -> &'v str {
    case[name].as_str().unwrap_or_default()
}

pub(crate) fn texts(case: &Value, name: &str) -> Vec<String> {
    let list = case[name].as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

pub(crate) fn anchors(folder: &Path, names: &[String]) -> Option<TrustAnchors> {
    let certificates = names.iter().filter_map(|name| TrustedCertificate::from_pem(&read(folder.join(name))).ok());
    TrustAnchors::new(certificates.collect()).ok()
}

/// All but some members, as a text: what two cases must have in common to have one context.
fn without(case: &Value, names: &[&str]) -> String {
    let members = case.as_object().expect("an object").iter().filter(|(name, _)| !names.contains(&name.as_str()));
    members.map(|(name, value)| format!("{name}={value} ")).collect()
}

fn own(world: &mut World, places: &mut BTreeMap<String, usize>) {
    let tests = root().join("tests");
    let fixtures = tests.join("fixtures");
    for case in json(tests.join("vectors/manifest.json"))["cases"].as_array().expect("cases") {
        let octets = read(tests.join("vectors").join(text(case, "file")));
        let seconds = |name: &str| Duration::from_secs(case[name].as_u64().expect("seconds"));
        let allowed = texts(case, "compat");
        let allows = |name: &str| allowed.iter().any(|allowed| allowed == name);
        let key = |name: String| {
            SpKey::from_pem(&read(fixtures.join(format!("{name}.key"))), &read(fixtures.join(format!("{name}.crt"))))
                .expect("a key")
        };
        let context = || {
            Some(Context {
                anchors: anchors(&fixtures, &texts(case, "trusted"))?,
                compat: Compat {
                    sha1: allows("sha1"),
                    aes_cbc: allows("aes-cbc"),
                    rsa_15: allows("rsa-1.5"),
                    no_audience: allows("no-audience"),
                    empty_reference: allows("empty-reference"),
                },
                idp_entity_id: text(case, "idp_entity_id").to_owned(),
                sp_entity_id: text(case, "sp_entity_id").to_owned(),
                acs_urls: texts(case, "acs_urls"),
                request_id: case["in_response_to"].as_str().map(str::to_owned),
                now: Timestamp::parse_rfc3339(text(case, "now")).expect("a time"),
                clock_skew: seconds("clock_skew_seconds"),
                max_age: seconds("max_age_seconds"),
                authn_context: texts(case, "authn_context"),
                keys: texts(case, "decryption_keys").into_iter().map(key).collect(),
            })
        };
        world.add(places, without(case, &["id", "file", "rule", "about", "expected"]), octets, context);
    }
}

fn shared(world: &mut World, places: &mut BTreeMap<String, usize>) {
    let Some(folder) = shared_folder() else {
        eprintln!("SKIPPED: ../shared/vectors is not there");
        return;
    };
    const YEAR: Duration = Duration::from_secs(366 * 24 * 3600);
    for case in json(folder.join("index.json"))["cases"].as_array().expect("cases") {
        let posted = read(folder.join(text(case, "file")));
        let octets = match text(case, "encoding") {
            "base64" => std::str::from_utf8(&posted).ok().and_then(|field| decode_response(field).ok()),
            _ => Some(posted),
        };
        let Some(octets) = octets else { continue };
        let allows = |name: &str| case["policy"][name].as_bool().unwrap_or_default();
        let context = || {
            Some(Context {
                anchors: anchors(&folder, &texts(case, "idp_certs"))?,
                compat: Compat {
                    sha1: allows("allow_sha1"),
                    aes_cbc: allows("allow_cbc"),
                    rsa_15: allows("allow_rsa15"),
                    no_audience: allows("allow_missing_audience"),
                    empty_reference: allows("allow_empty_ref"),
                },
                idp_entity_id: text(case, "idp_entity_id").to_owned(),
                sp_entity_id: text(case, "sp_entity_id").to_owned(),
                acs_urls: vec![text(case, "acs").to_owned()],
                request_id: case["request_id"].as_str().map(str::to_owned),
                now: Timestamp::parse_rfc3339(text(case, "now")).expect("a time"),
                clock_skew: Duration::from_secs(60),
                max_age: 100 * YEAR,
                authn_context: Vec::new(),
                keys: texts(case, "sp_keys").iter().map(|name| sp_key(&read(folder.join(name)))).collect(),
            })
        };
        let circumstances = ["idp_entity_id", "idp_certs", "sp_entity_id", "acs", "sp_keys", "request_id", "now", "policy"];
        let key = circumstances.map(|name| format!("{name}={} ", case[name])).concat();
        world.add(places, key, octets, context);
    }
}

/// A private key with a certificate made for it: the public samples come without.
fn sp_key(pem: &[u8]) -> SpKey {
    let key = PKey::private_key_from_pem(pem).expect("a key");
    let made = || -> Result<Vec<u8>, openssl::error::ErrorStack> {
        let mut certificate = X509::builder()?;
        certificate.set_pubkey(&key)?;
        certificate.set_not_before(&*Asn1Time::from_unix(0)?)?;
        certificate.set_not_after(&*Asn1Time::from_unix(4_000_000_000)?)?;
        certificate.sign(&key, MessageDigest::sha256())?;
        certificate.build().to_pem()
    };
    SpKey::from_pem(pem, &made().expect("a certificate")).expect("a key of ours")
}
