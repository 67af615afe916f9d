//! Signed requests (RFC 9421), checked as an application would: from what it received, and with openssl.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::ecdsa::EcdsaSig;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey};
use openssl::sign::{Signer, Verifier};
use samlgate::access::{Allow, Rule};
use samlgate::clock::Clock as _;
use samlgate::identity::signature::{Algorithm, RequestSigner};
use serde_json::Value;

use crate::commands::{Folder, err, out, run};
use crate::support::app::Setup;
use crate::support::browser::Kind;
use crate::support::gateway::{Gateway, Wanted};
use crate::support::h2_upstream::H2Upstream;
use crate::support::raw::{Raw, ask};
use crate::support::upstream::{Seen, Then, Upstream};

const SECRET: &[u8; 32] = b"a key that both sides have: 32 o";

/// What the application has to check signatures with.
#[derive(Clone, Debug)]
enum Known {
    Secret,
    Jwk(Value),
}

/// A signature as it was received.
#[derive(Clone, Debug)]
struct Received {
    /// Its components, in order.
    covered: Vec<String>,
    parameters: BTreeMap<String, String>,
    /// Its parameters as they were sent.
    input: String,
    octets: Vec<u8>,
}

/// The only signature, if there is one.
fn received(seen: &Seen) -> Option<Received> {
    let input = seen.one("signature-input")?.strip_prefix("samlgate=").unwrap().to_owned();
    let octets = seen.one("signature").unwrap().strip_prefix("samlgate=:").unwrap().strip_suffix(':').unwrap();
    let (covered, parameters) = input.strip_prefix('(').unwrap().split_once(')').unwrap();
    let covered = covered.split(' ').map(|name| name.trim_matches('"').to_owned()).collect();
    let parameters = parameters.split(';').skip(1).map(|one| one.split_once('=').unwrap());
    let parameters = parameters.map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned())).collect();
    Some(Received { covered, parameters, octets: STANDARD.decode(octets).unwrap(), input })
}

/// The signature base of what was received (RFC 9421, 2.5). `None` when something that is covered isn't there.
fn base(seen: &Seen, signature: &Received) -> Option<String> {
    let mut line = seen.line().split(' ');
    let (method, target) = (line.next()?, line.next()?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut base = String::new();
    for name in &signature.covered {
        let value = match name.as_str() {
            "@method" => method.to_owned(),
            "@authority" => seen.one("host")?.to_lowercase(),
            "@path" => path.to_owned(),
            "@query" => format!("?{query}"),
            field => seen.one(field)?.to_owned(),
        };
        base.push_str(&format!("\"{name}\": {value}\n"));
    }
    Some(format!("{base}\"@signature-params\": {}", signature.input))
}

/// Whether the signature is one over this request, by this key.
fn holds(seen: &Seen, known: &Known) -> bool {
    let signature = received(seen).expect("a signature");
    let Some(base) = base(seen, &signature) else { return false };
    let (base, octets) = (base.as_bytes(), &signature.octets);
    let Known::Jwk(jwk) = known else {
        let key = PKey::hmac(SECRET).unwrap();
        return Signer::new(MessageDigest::sha256(), &key).unwrap().sign_oneshot_to_vec(base).unwrap() == *octets;
    };
    assert!(jwk.get("d").is_none(), "no private key is published");
    let part = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    if jwk["kty"] == "OKP" {
        let key = PKey::public_key_from_raw_bytes(&part("x"), Id::ED25519).unwrap();
        return Verifier::new_without_digest(&key).unwrap().verify_oneshot(octets, base).unwrap();
    }
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let [x, y] = [part("x"), part("y")].map(|octets| BigNum::from_slice(&octets).unwrap());
    let key = EcKey::from_public_key_affine_coordinates(&group, &x, &y).unwrap();
    let [r, s] = [&octets[..32], &octets[32..]].map(|octets| BigNum::from_slice(octets).unwrap());
    EcdsaSig::from_private_components(r, s).unwrap().verify(&openssl::sha::sha256(base), &key).unwrap()
}

const ALGORITHMS: [Algorithm; 3] = [Algorithm::HmacSha256, Algorithm::Ed25519, Algorithm::EcdsaP256Sha256];

/// What stands in a new key's file.
fn new_key(algorithm: Algorithm) -> String {
    let made = match algorithm {
        Algorithm::HmacSha256 => return STANDARD.encode(SECRET),
        Algorithm::Ed25519 => rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519),
        Algorithm::EcdsaP256Sha256 => rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
    };
    made.unwrap().serialize_pem()
}

fn signer(algorithm: Algorithm) -> (RequestSigner, Known) {
    let signer = RequestSigner::new(algorithm, new_key(algorithm).as_bytes(), Duration::from_secs(60)).unwrap();
    let known = signer.jwk().map_or(Known::Secret, |jwk| Known::Jwk(jwk.clone()));
    (signer, known)
}

fn wanted(upstream: &Upstream) -> Wanted {
    Wanted::before(upstream.address).rules(vec![Rule::new("/public/**", Allow::Anyone)])
}

/// Asks, and gives what the application saw.
fn through(gateway: &Gateway, upstream: &Upstream, request: &str) -> Seen {
    let before = upstream.seen().len();
    let answer = ask(gateway.address, request);
    assert!([101, 200].contains(&answer.status()), "{request}\n{}", answer.head);
    let seen = upstream.wait_for(before + 1);
    assert_eq!(upstream.seen().len(), before + 1);
    seen
}

fn get(target: &str, lines: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: app.example\r\n{lines}\r\n")
}

const UPGRADE: &str =
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
/// What a request has that nobody is signed in to.
const BARE: [&str; 5] = ["@method", "@authority", "@path", "@query", "x-request-id"];
/// What a request of alice's has.
const WHOLE: [&str; 9] =
    ["@method", "@authority", "@path", "@query", "x-user", "x-role", "x-groups", "x-samlgate-assertion", "x-request-id"];
const ALICE: &[(&str, &[&str])] = &[("role", &["viewer"]), ("groups", &["a,b", "Łódź"])];

#[test]
fn every_request_is_signed_and_openssl_agrees() {
    for algorithm in ALGORITHMS {
        let (signer, known) = signer(algorithm);
        let key_id = signer.key_id().to_owned();
        let upstream = Upstream::with_websockets();
        let gateway = wanted(&upstream).signed_by(signer).start();
        let cookie = format!("Cookie: {}\r\n", gateway.sign_in("alice", ALICE));
        let post = format!("POST /form?a=b%2F HTTP/1.1\r\nHost: App.Example\r\n{cookie}Content-Length: 4\r\n\r\nbody");
        let chunked =
            format!("PUT /x HTTP/1.1\r\nHost: app.example:8443\r\n{cookie}Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n");
        for (request, covered) in [
            (get("/page?x=1&y=%20", &cookie), &WHOLE[..]),
            (get("/", &cookie), &WHOLE),
            (get("/?", &cookie), &WHOLE),
            (get("/ws?room=1", &format!("{cookie}{UPGRADE}")), &WHOLE),
            (post, &WHOLE),
            (chunked, &WHOLE),
            (get("/public/x?q", &cookie), &WHOLE),
            (get("/public/x?q", ""), &BARE),
            (get("/public/ws", UPGRADE), &BARE),
        ] {
            let seen = through(&gateway, &upstream, &request);
            let signature = received(&seen).expect("a signature");
            assert_eq!(signature.covered, covered, "{}", seen.head);
            assert_eq!(seen.one("x-user").is_some(), covered.len() == WHOLE.len());
            assert!(holds(&seen, &known), "{algorithm:?}: {}", seen.head);
            let now = gateway.clock.now().unix();
            let expected = [
                ("alg", algorithm.name().to_owned()),
                ("created", now.to_string()),
                ("expires", (now + 60).to_string()),
                ("keyid", key_id.clone()),
                ("tag", "samlgate".to_owned()),
            ];
            assert_eq!(signature.parameters, expected.map(|(name, value)| (name.to_owned(), value)).into());
            gateway.clock.advance(Duration::from_secs(7));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_http_2_the_same_is_signed() {
    let (signer, known) = signer(Algorithm::Ed25519);
    let mut application = H2Upstream::plain(|_| {}).await;
    let nobody = "127.0.0.1:9".parse().unwrap();
    let gateway = Wanted::before(nobody).upstream(|settings| application.named(settings)).signed_by(signer).start();
    let cookie = tokio::task::block_in_place(|| gateway.sign_in("alice", ALICE));
    let mut client = Raw::connect(gateway.address);
    client.send(get("/page?x=1&y=%20", &format!("Cookie: {cookie}\r\nSignature: samlgate=:AAAA:\r\n")));
    let request = application.next().await;
    let uri = request.head.uri();
    let mut head = format!("GET {} HTTP/2\r\nhost: {}\r\n", uri.path_and_query().unwrap(), uri.authority().unwrap());
    for (name, value) in request.head.headers() {
        head.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
    }
    let seen = Seen { head: format!("{head}\r\n"), body: Vec::new(), connection: 0 };
    assert_eq!(received(&seen).expect("a signature").covered, WHOLE);
    assert!(holds(&seen, &known), "{}", seen.head);
    request.say("ok");
    assert_eq!(client.answer().unwrap().text(), "ok");
}

#[test]
fn what_is_changed_on_the_way_is_noticed() {
    for algorithm in ALGORITHMS {
        let (signer, known) = signer(algorithm);
        let upstream = Upstream::with_websockets();
        let gateway = wanted(&upstream).signed_by(signer).start();
        let cookie = format!("Cookie: {}\r\n", gateway.sign_in("alice", ALICE));
        let seen = through(&gateway, &upstream, &get("/page?x=1", &cookie));
        assert!(holds(&seen, &known));
        let assertion = seen.one("x-samlgate-assertion").unwrap();
        let created = format!("created={}", gateway.clock.now().unix());
        for (from, to) in [
            ("GET /page", "PUT /page"),
            ("/page?", "/Page?"),
            ("?x=1", "?x=2"),
            ("?x=1", ""),
            ("Host: app.example", "Host: other.example"),
            ("X-User: alice", "X-User: root"),
            ("X-User: alice\r\n", ""),
            ("X-Role: viewer", "X-Role: admin"),
            ("X-Groups: a", "X-Groups: c"),
            ("X-Request-Id: ", "X-Request-Id: 0"),
            (assertion, "e30.e30.AA"),
            (&*created, "created=1"),
            (";tag=\"samlgate\"", ""),
            (" \"x-role\"", ""),
        ] {
            let mut changed = seen.clone();
            changed.head = seen.head.replacen(from, to, 1);
            assert_ne!(changed.head, seen.head, "{from}");
            assert!(!holds(&changed, &known), "{algorithm:?}: {from} -> {to}");
        }
    }
    // Nor does another key's signature hold.
    let upstream = Upstream::with_websockets();
    let gateway = wanted(&upstream).signed_by(signer(Algorithm::Ed25519).0).start();
    let seen = through(&gateway, &upstream, &get("/public/x", ""));
    assert!(!holds(&seen, &signer(Algorithm::Ed25519).1));
}

/// Ways of sending a signature.
const FORGERIES: [&str; 8] = [
    "Signature: samlgate=:AAAA:\r\nSignature-Input: samlgate=(\"x-user\");created=1;keyid=\"x\"\r\nX-User: root\r\n",
    "signature: mine=:AAAA:\r\nSIGNATURE-INPUT: mine=();created=1\r\n",
    "Signature_Input: samlgate=()\r\nSignature.Input: samlgate=()\r\nsignature~input: samlgate=()\r\n",
    "Signature: a=:AAAA:\r\nSignature: samlgate=:AAAA:\r\nSignature-Input: a=()\r\nSignature-Input: samlgate=()\r\n",
    "Connection: Signature, Signature-Input, X-Request-Id, X-User\r\n",
    "Signature:\r\nSignature-Input:\r\n",
    "Signature: samlgate=:AAAA:, \r\n",
    "Signature-Input: samlgate=(\"@method\");tag=\"samlgate\", samlgate=()\r\n",
];

#[test]
fn signatures_of_clients_are_gone() {
    let (signer, known) = signer(Algorithm::Ed25519);
    let upstream = Upstream::with_websockets();
    let gateway = wanted(&upstream).signed_by(signer).start();
    let cookie = format!("Cookie: {}\r\n", gateway.sign_in("alice", ALICE));
    for forged in FORGERIES {
        let upgrade = match forged.contains("Connection") {
            true => UPGRADE.replace("Connection: Upgrade\r\n", &forged.replace("Connection: ", "Connection: Upgrade, ")),
            false => format!("{UPGRADE}{forged}"),
        };
        for (request, covered) in [
            (get("/x", &format!("{cookie}{forged}")), &WHOLE[..]),
            (get("/public/x", forged), &BARE),
            (get("/ws", &format!("{cookie}{upgrade}")), &WHOLE),
        ] {
            let seen = through(&gateway, &upstream, &request);
            let lines = seen.head.lines().filter(|line| line.to_lowercase().starts_with("signature"));
            assert_eq!(lines.count(), 2, "{}", seen.head);
            assert_eq!(received(&seen).unwrap().covered, covered);
            assert!(holds(&seen, &known), "{}", seen.head);
        }
    }
}

#[test]
fn a_trailer_is_no_signature() {
    let upstream = Upstream::with_websockets();
    let gateway = wanted(&upstream).signed_by(signer(Algorithm::Ed25519).0).start();
    let cookie = gateway.sign_in("alice", ALICE);
    for announced in ["X-Checksum", "Signature, Signature-Input"] {
        let head = format!(
            "POST /x HTTP/1.1\r\nHost: app.example\r\nCookie: {cookie}\r\nTrailer: {announced}\r\nTransfer-Encoding: chunked\r\n\r\n"
        );
        let body = "1\r\na\r\n0\r\nSignature: samlgate=:AAAA:\r\nSignature-Input: samlgate=()\r\nX-Checksum: 1\r\n\r\n";
        let seen = through(&gateway, &upstream, &format!("{head}{body}"));
        let trailers = String::from_utf8(seen.body.clone()).unwrap().to_lowercase();
        assert_eq!(trailers.contains("x-checksum: 1"), announced == "X-Checksum", "{trailers}");
        assert!(!trailers.contains("signature"), "{trailers}");
        assert!(!seen.one("trailer").unwrap_or_default().to_lowercase().contains("signature"), "{}", seen.head);
    }
}

#[test]
fn without_a_key_nothing_is_signed_and_clients_own_signatures_pass() {
    let upstream = Upstream::with_websockets();
    let gateway = wanted(&upstream).start();
    let cookie = gateway.sign_in("alice", ALICE);
    let seen = through(&gateway, &upstream, &get("/x", &format!("Cookie: {cookie}\r\n")));
    assert_eq!((seen.one("signature"), seen.one("signature-input")), (None, None));
    let own = "Signature: mine=:AAAA:\r\nSignature-Input: mine=();created=1\r\nSignature_Input: mine=()\r\n";
    let seen = through(&gateway, &upstream, &get("/public/x", own));
    assert_eq!((seen.one("signature"), seen.one("signature-input")), (Some("mine=:AAAA:"), Some("mine=();created=1")));
    assert_eq!(seen.one("signature_input"), None);
}

#[test]
fn the_host_is_signed_as_it_is_sent() {
    let (signer, known) = signer(Algorithm::Ed25519);
    let upstream = Upstream::with_websockets();
    let gateway = wanted(&upstream).upstream(|upstream| upstream.preserve_host = false).signed_by(signer).start();
    let seen = through(&gateway, &upstream, &get("/public/x", ""));
    assert_eq!(seen.one("host"), Some(&*upstream.address.to_string()));
    assert!(holds(&seen, &known), "{}", seen.head);
}

#[test]
fn a_request_that_is_sent_once_more_has_its_signature() {
    // The first connection is closed after one answer, which samlgate can't know before it sends the next request.
    let upstream = Upstream::answering(|_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
        Then::Close
    });
    let (signer, known) = signer(Algorithm::HmacSha256);
    let gateway = wanted(&upstream).signed_by(signer).start();
    let mut raw = Raw::connect(gateway.address);
    for _ in 0..3 {
        assert_eq!(raw.ask(get("/public/x", "")).status(), 200);
    }
    let seen = upstream.seen();
    assert!(seen.len() == 3 && seen.iter().all(|seen| holds(seen, &known)));
    let ids: std::collections::BTreeSet<_> = seen.iter().map(|seen| seen.one("x-request-id")).collect();
    assert_eq!(ids.len(), 3, "each request has an id of its own, so that an application can tell replays");
}

/// From the configuration to the key set, as an operator and an application would see it.
#[test]
fn public_keys_are_published_beside_the_assertions_and_a_shared_one_is_not() {
    for algorithm in ALGORITHMS {
        let key = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(key.path(), new_key(algorithm)).unwrap();
        let (name, file) = (algorithm.name(), key.path().display());
        let app = Setup::new().sections(&format!("[headers.signature]\nalgorithm = \"{name}\"\nkey_file = \"{file}\"")).start();
        let mut ada = app.browser();
        app.login(&mut ada, "/");
        let seen = app.told();
        let signature = received(&seen).expect("a signature");
        let keys = app.browser().script(Kind::Tool, "GET", &app.url("/_samlgate/jwks.json")).json();
        let keys = keys["keys"].as_array().unwrap();
        let mut found = keys.iter().filter(|key| key["kid"] == signature.parameters["keyid"].as_str());
        let known = found.next().map_or(Known::Secret, |jwk| Known::Jwk(jwk.clone()));
        assert!(holds(&seen, &known), "{}", seen.head);
        let alg = match algorithm {
            Algorithm::HmacSha256 => None,
            Algorithm::Ed25519 => Some("EdDSA"),
            Algorithm::EcdsaP256Sha256 => Some("ES256"),
        };
        assert_eq!((keys.len(), keys.get(1).and_then(|key| key["alg"].as_str())), (1 + usize::from(alg.is_some()), alg));
        // The assertion names its own key, never the other one.
        let header = seen.one("x-samlgate-assertion").unwrap().split('.').next().unwrap();
        let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
        assert_eq!(header["kid"], keys[0]["kid"]);
        assert!(keys.iter().all(|key| key["use"] == "sig" && key.get("d").is_none() && key.get("k").is_none()));
        assert!(keys.get(1).is_none_or(|key| key["kid"] != keys[0]["kid"]));
    }
}

#[test]
fn keys_made_as_told_are_good_and_check_names_them() {
    let folder = Folder::new();
    for algorithm in ALGORITHMS {
        let made = Command::new("sh").current_dir(folder.path("")).args(["-c", algorithm.key_command()]).output().unwrap();
        if made.status.code() == Some(127) {
            eprintln!("SKIPPED: openssl is not installed");
            return;
        }
        assert!(made.status.success(), "{algorithm:?}");
        let name = algorithm.name();
        let section = format!("[headers.signature]\nalgorithm = \"{name}\"\nkey = \"sig.key\"\n[identity.role]");
        let output = run(&["check", "--config", &folder.changed("signed.toml", "[identity.role]", &section)]);
        assert_eq!(output.status.code(), Some(0), "{}", err(&output));
        let key = std::fs::read(folder.path("sig.key")).unwrap();
        let key_id = RequestSigner::new(algorithm, &key, Duration::ZERO).unwrap().key_id().to_owned();
        let line = format!("{name} over every request, keyid {key_id}\n");
        assert!(out(&output).contains(&line), "{}", out(&output));
    }
}

/// Runs the page's example on requests, a JSON document each line: whom it takes them to be from.
fn example(requests: &[Value]) -> Option<Vec<String>> {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/request-signature.md");
    let page = std::fs::read_to_string(page).unwrap();
    let code = page.split("```python\n").nth(1).and_then(|rest| rest.split("```").next()).expect("the page has an example");
    let program = format!(
        "{code}\nimport json, sys\nfor line in sys.stdin:\n    r = json.loads(line)\n    try:\n        \
         print(verified(r['method'], r['target'], r['headers'], bytes.fromhex(r['key']), r['now']))\n    \
         except Forged as error:\n        print('refused:', error)\n"
    );
    let python = Command::new("python3").args(["-c", &program]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut python = match python {
        Ok(python) => python,
        Err(error) => {
            eprintln!("SKIPPED: python3: {error}");
            return None;
        }
    };
    let mut input = python.stdin.take().unwrap();
    for request in requests {
        writeln!(input, "{request}").unwrap();
    }
    drop(input);
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    Some(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect())
}

fn as_json(seen: &Seen, now: i64) -> Value {
    let mut line = seen.line().split(' ');
    let headers: Vec<(&str, &str)> = seen.head.lines().skip(1).filter_map(|line| line.split_once(": ")).collect();
    let key: String = SECRET.iter().map(|octet| format!("{octet:02x}")).collect();
    serde_json::json!({"method": line.next(), "target": line.next(), "headers": headers, "key": key, "now": now})
}

#[test]
fn the_pages_example_takes_what_is_good_and_nothing_else() {
    let upstream = Upstream::with_websockets();
    let gateway = wanted(&upstream).signed_by(signer(Algorithm::HmacSha256).0).start();
    let cookie = format!("Cookie: {}\r\n", gateway.sign_in("alice", ALICE));
    let seen = through(&gateway, &upstream, &get("/page?x=1", &cookie));
    let nobody = through(&gateway, &upstream, &get("/public/x", ""));
    let now = gateway.clock.now().unix();
    let changed = |from: &str, to: &str| {
        assert!(seen.head.contains(from), "{from}");
        as_json(&Seen { head: seen.head.replacen(from, to, 1), ..seen.clone() }, now)
    };
    let added = |head: &str, line: &str| as_json(&Seen { head: head.replacen("\r\n\r\n", line, 1), ..seen.clone() }, now);
    let requests = [
        (as_json(&seen, now), "{'x-user': 'alice', 'x-role': 'viewer', 'x-groups': 'a%2Cb,%C5%81%C3%B3d%C5%BA'}"),
        (as_json(&seen, now + 65), "{'x-user': 'alice', 'x-role': 'viewer', 'x-groups': 'a%2Cb,%C5%81%C3%B3d%C5%BA'}"),
        (as_json(&nobody, now), "{}"),
        (as_json(&seen, now + 66), "refused: it has expired"),
        (as_json(&seen, now - 6), "refused: it is not valid yet"),
        (changed("X-Role: viewer", "X-Role: admin"), "refused: the signature does not hold"),
        (changed("?x=1", "?x=2"), "refused: the signature does not hold"),
        (changed("hmac-sha256", "ed25519"), "refused: another algorithm, tag or list of what is signed"),
        (changed("tag=\"samlgate\"", "tag=\"other\""), "refused: another algorithm, tag or list of what is signed"),
        (changed("\"@path\" ", ""), "refused: another algorithm, tag or list of what is signed"),
        (changed("Signature: samlgate", "Signature: other"), "refused: no signature of samlgate's"),
        (changed("X-User: alice", "X-User: alice\r\nX-User: root"), "refused: x-user is there twice"),
        (added(&nobody.head, "\r\nX-User: root\r\n\r\n"), "refused: x-user is not signed"),
        (added(&nobody.head, "\r\nSignature: samlgate=:AAAA:\r\n\r\n"), "refused: signature is there twice"),
    ];
    let (requests, expected): (Vec<Value>, Vec<&str>) = requests.into_iter().unzip();
    if let Some(said) = example(&requests) {
        assert_eq!(said, expected);
    }
}
