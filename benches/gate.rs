//! CPU time of what the gate asks about a request with a session, among 1,000 live sessions and among 1,000,000; and the memory that
//! a session takes.
//!
//! `cargo bench --bench gate`. The steps are those of `proxy::gate` and `proxy::judge`, called by their public names in the same order:
//! target, removal of identity headers, cookie, hash, store, rule, identity headers and assertion. Reading from and writing to
//! sockets is not in it: `make bench` measures all of it together. Two gigabytes of memory are needed.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark may stop at anything unexpected")]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use futures_util::FutureExt as _;
use http::header::{ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, COOKIE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use samlgate::access::{Allow, Decision, Rule, Rules, Target};
use samlgate::clock::Timestamp;
use samlgate::identity::assertion::{AssertionFacts, AssertionSigner, generate_key};
use samlgate::identity::headers::{HeaderPlan, HeaderSettings};
use samlgate::identity::mapping::{FieldMapping, Mapping};
use samlgate::public_url::PublicUrl;
use samlgate::saml::{
    Checks, Compat, Expectations, Expected, NameId, TrustAnchors, TrustedCertificate, VerifiedAssertion, prepare, verify_response,
};
use samlgate::session::{Origin, Session, SessionSettings};
use samlgate::store::Store;
use samlgate::store::memory::{MemoryLimits, MemoryStore};
use samlgate::token::{PlainToken, SystemEntropy, public_id};
use samlgate::web::{Cookies, SessionCookie};

/// The binary's own, since memory is measured too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const COUNTS: [u32; 2] = [1_000, 1_000_000];
/// Few enough that what was prepared for them is still in a cache.
const BATCH: BatchSize = BatchSize::NumIterations(128);

/// What a request is judged by.
struct Gate {
    store: MemoryStore,
    rules: Rules,
    plan: Arc<HeaderPlan>,
    cookies: Cookies,
    uri: Uri,
    now: Timestamp,
}

impl Gate {
    fn new() -> Self {
        let name = |text| Some(HeaderName::from_static(text));
        let settings = HeaderSettings {
            user: name("x-user"),
            email: name("x-email"),
            name: name("x-name"),
            tenant: name("x-tenant"),
            role: name("x-role"),
            groups: name("x-groups"),
            extra: Default::default(),
            separator: ",".to_owned(),
            value_maps: Default::default(),
            assertion: HeaderName::from_static("x-samlgate-assertion"),
            strip: Vec::new(),
        };
        let admins =
            Allow::Members { roles: vec!["admin".to_owned()], groups: Vec::new(), users: Vec::new(), tenants: Vec::new() };
        Self {
            store: MemoryStore::new(MemoryLimits { sessions: u64::MAX, ..MemoryLimits::default() }),
            rules: Rules::new(vec![Rule::new("/status", Allow::Anyone), Rule::new("/admin/**", admins)]),
            plan: Arc::new(HeaderPlan::new(settings)),
            cookies: Cookies::new(&PublicUrl::parse("https://app.example").unwrap(), None),
            uri: Uri::from_static("/reports/q3?region=emea"),
            now: Timestamp::from_unix(1_772_366_410),
        }
    }

    /// The octets of a request's head that say whose it is; `None` without a session.
    fn answer(&self, headers: &mut HeaderMap) -> Option<Vec<u8>> {
        let target = Target::parse(&self.uri).unwrap();
        self.plan.strip(headers);
        let session = match self.cookies.session(headers) {
            SessionCookie::Token(token) => self.store.session(&token.hash()).unwrap(),
            SessionCookie::None | SessionCookie::Ambiguous => None,
        };
        let session = session.filter(|session| session.is_live(self.now));
        let Decision::Permit(permit) = self.rules.decide(target, &Method::GET, session.as_deref(), self.now) else { return None };
        black_box(&permit);
        let session = session?;
        session.touch(self.now);
        let mut head = Vec::with_capacity(3072);
        session.read_prepared(self.now, |lines| head.extend_from_slice(lines)).then_some(head)
    }
}

/// Of one of the project's own cases.
fn verified(now: Timestamp) -> VerifiedAssertion {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let certificate = std::fs::read(tests.join("fixtures/idp.crt")).unwrap();
    let anchors = TrustAnchors::new(vec![TrustedCertificate::from_pem(&certificate).unwrap()]).unwrap();
    prepare().unwrap();
    let expectations = Expectations {
        idp_entity_id: "https://idp.example/metadata",
        sp_entity_id: "https://app.example/_samlgate/metadata",
        acs_urls: &["https://app.example/_samlgate/acs".to_owned()],
        expected: Expected::Unsolicited,
        compat: Compat::default(),
        clock_skew: Duration::from_secs(60),
        max_age: Duration::from_secs(300),
        authn_context: &[],
        authenticated_since: None,
        decryption_keys: &[],
    };
    let octets = std::fs::read(tests.join("vectors/responses/signature-both.xml")).unwrap();
    verify_response(&octets, &anchors, &expectations, now, &mut Checks::default()).unwrap()
}

/// The session cookie of each, without keeping them all.
fn token(number: u32) -> PlainToken {
    PlainToken::parse(&format!("{number:043}")).unwrap()
}

/// Session number so and so, of a user of its own.
fn session(number: u32, assertion: &VerifiedAssertion, gate: &Gate) -> Session {
    let user = format!("user-{number:07}");
    let field = |default: String| Some(FieldMapping { default: Some(default), ..FieldMapping::default() });
    let mapping = Mapping {
        user: FieldMapping { default: Some(user.clone()), ..FieldMapping::default() },
        email: field(format!("{user}@example.com")),
        name: field(format!("Ada {user}")),
        role: field("viewer".to_owned()),
        groups: field("Dashboard Viewers".to_owned()),
        ..Mapping::default()
    };
    let origin = Origin {
        idp: "corp".to_owned(),
        issuer: assertion.issuer().to_owned(),
        name_id: NameId { value: user, ..assertion.name_id().clone() },
        session_index: assertion.session_index().map(str::to_owned),
        auth_time: assertion.authn_instant(),
        reauthenticated: None,
        acr: assertion.authn_context().map(str::to_owned),
        not_on_or_after: None,
    };
    let settings =
        SessionSettings { idle_timeout: Duration::from_secs(3600), lifetime: Duration::from_secs(43_200), max_per_user: 0 };
    let identity = mapping.apply(assertion).unwrap();
    let sid = public_id(&SystemEntropy);
    Session::new(token(number).hash(), sid, identity, origin, Arc::clone(&gate.plan), &settings, gate.now)
}

/// What the first request of a session makes: headers, and an assertion.
fn first_requests(gate: &Gate, count: u32) {
    let url = || "https://app.example".to_owned();
    let signer = AssertionSigner::from_pem(generate_key().unwrap().as_bytes(), url(), url(), Duration::from_secs(60)).unwrap();
    for number in 0..count {
        let session = gate.store.session(&token(number).hash()).unwrap().unwrap();
        let origin = session.origin();
        let facts = AssertionFacts {
            identity: session.identity(),
            idp: &origin.idp,
            issuer: &origin.issuer,
            name_id: &origin.name_id,
            sid: session.sid(),
            auth_time: origin.auth_time,
            acr: origin.acr.as_deref(),
            method: "saml",
        };
        session.keep(session.prepare(&signer.mint(&facts, gate.now, &public_id(&SystemEntropy)).unwrap()));
    }
}

/// Resident memory of this process, in octets.
fn resident() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<i64>().unwrap() * 1024
}

/// What a browser sends.
fn headers() -> HeaderMap {
    [
        (HOST, "app.example"),
        (USER_AGENT, "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        (ACCEPT, "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        (ACCEPT_LANGUAGE, "en-GB,en;q=0.5"),
        (ACCEPT_ENCODING, "gzip, deflate, br, zstd"),
        (HeaderName::from_static("sec-fetch-mode"), "navigate"),
        (HeaderName::from_static("sec-fetch-dest"), "document"),
        (HeaderName::from_static("sec-fetch-site"), "same-origin"),
    ]
    .into_iter()
    .map(|(name, value)| (name, HeaderValue::from_static(value)))
    .collect()
}

/// Requests of sessions in no order, so that none lies in a cache because its neighbour was asked for.
struct Requests {
    browser: HeaderMap,
    count: u32,
    state: u32,
}

impl Requests {
    fn among(count: u32) -> Self {
        Self { browser: headers(), count, state: 1 }
    }

    /// The next one; `first` is the number of the first session.
    fn next(&mut self, first: u32) -> HeaderMap {
        self.state = self.state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let token = token(first + (self.state >> 8) % self.count);
        let mut headers = self.browser.clone();
        let cookie = format!("theme=dark; __Host-samlgate={}", token.expose());
        headers.insert(COOKIE, HeaderValue::from_str(&cookie).unwrap());
        headers
    }
}

/// A gate with so many sessions that have all been used.
fn filled(count: u32) -> Gate {
    let gate = Gate::new();
    let assertion = verified(gate.now);
    let before = resident();
    for number in 0..count {
        let saved = gate.store.save_session(session(number, &assertion, &gate), 0, gate.now);
        saved.now_or_never().unwrap().unwrap();
    }
    let saved = resident();
    first_requests(&gate, count);
    let each = |octets: i64| octets / i64::from(count);
    if count >= 1_000_000 {
        println!("memory of a session: {} octets without traffic, {} in use", each(saved - before), each(resident() - before));
    }
    let mut requests = Requests::among(count);
    assert!(
        gate.answer(&mut requests.next(0)).is_some_and(|head| head.starts_with(b"X-User: user-")),
        "a session's request passes"
    );
    assert!(gate.answer(&mut requests.next(count)).is_none(), "a stranger's doesn't");
    gate
}

/// Nanoseconds of CPU that this thread has used so far (the kernel's `schedstat`).
fn spent() -> u64 {
    std::fs::read_to_string("/proc/thread-self/schedstat").unwrap().split(' ').next().unwrap().parse().unwrap()
}

/// Nanoseconds of CPU per request with a session.
fn round(gate: &Gate, requests: &mut Requests) -> f64 {
    let (mut total, mut count) = (0, 0);
    for _ in 0..200 {
        let mut asked: Vec<HeaderMap> = (0..128).map(|_| requests.next(0)).collect();
        let before = spent();
        asked.iter_mut().for_each(|headers| drop(black_box(gate.answer(headers))));
        total += spent() - before;
        count += asked.len();
    }
    total as f64 / count as f64
}

/// Few and many sessions in turn, so that a busy minute of the machine meets both alike.
fn in_turn(few: &Gate, many: &Gate) {
    let [mut of_few, mut of_many] = COUNTS.map(Requests::among);
    let median = |mut numbers: Vec<f64>| {
        numbers.sort_by(f64::total_cmp);
        numbers[numbers.len() / 2]
    };
    let rounds: Vec<(f64, f64)> = (0..15).map(|_| (round(few, &mut of_few), round(many, &mut of_many))).collect();
    println!(
        "in turn, medians of {} rounds: {:.0} ns of CPU among {} sessions, {:.0} among {}, {:.0} more",
        rounds.len(),
        median(rounds.iter().map(|(few, _)| *few).collect()),
        COUNTS[0],
        median(rounds.iter().map(|(_, many)| *many).collect()),
        COUNTS[1],
        median(rounds.iter().map(|(few, many)| many - few).collect()),
    );
}

fn gate(criterion: &mut Criterion) {
    let gates = COUNTS.map(filled);
    in_turn(&gates[0], &gates[1]);
    for (gate, count) in gates.iter().zip(COUNTS) {
        let mut requests = Requests::among(count);
        criterion.bench_function(&format!("a request with a session, among {count}"), |bencher| {
            bencher.iter_batched(|| requests.next(0), |mut headers| gate.answer(&mut headers), BATCH);
        });
        criterion.bench_function(&format!("a cookie that opens nothing, among {count}"), |bencher| {
            bencher.iter_batched(|| requests.next(count), |mut headers| gate.answer(&mut headers), BATCH);
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(50).measurement_time(Duration::from_secs(5)).warm_up_time(Duration::from_secs(1));
    targets = gate
}
criterion_main!(benches);
