//! A logout message in a query. The first octet says what follows: a whole query as a stranger sends it; or what a trusted key
//! signs then, the deflated message or the XML alone, so that what comes after the signature sees hostile octets too.
//!
//! - A first look never panics, and says the same kind of message.
//! - A query that nobody signed is refused, whatever it looks like: what is accepted is what some seed says.
//! - What is signed here and accepted is what an independent reader finds in it.

use std::collections::HashSet;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use samlgate::saml::logout::{LogoutMessage, MessageKind, Received, peek_redirect, verify_redirect};

use super::logout_message::{IDP, accepted, logout};
use crate::context::{json, read, shared_folder, text};
use crate::fake_idp::{Algorithm, EC, FakeIdp, RSA};
use crate::independent::logout_in;
use crate::seeds::{behind, worst};

/// ID, NameID, SessionIndexes and RelayState.
type Meaning = ((String, Option<String>, Vec<String>), Option<String>);

fn meaning(received: &Received) -> Meaning {
    (accepted(received), received.relay_state().map(str::to_owned))
}

fn verify(query: &str) -> Option<Received> {
    let logout = logout();
    let look = peek_redirect(query);
    match verify_redirect(query, &logout.anchors, &logout.expectations(), logout.now()) {
        Ok(received) => {
            let look = look.expect("a first look refuses what is accepted");
            let kind = match received.message() {
                LogoutMessage::Request(_) => MessageKind::Request,
                LogoutMessage::Response(_) => MessageKind::Response,
            };
            assert_eq!((look.kind, look.relay_state.as_deref()), (kind, received.relay_state()));
            Some(received)
        }
        Err(error) => {
            assert!(!error.code().is_empty());
            None
        }
    }
}

pub(crate) fn run(input: &[u8]) {
    let [how, content @ ..] = input else { return };
    let field = if how & 4 == 0 { "SAMLRequest" } else { "SAMLResponse" };
    let deflated = match how % 4 {
        0 => {
            let Ok(query) = std::str::from_utf8(content) else { return };
            if let Some(received) = verify(query) {
                assert!(known().contains(&meaning(&received)), "nobody signed that: {received:?}");
            }
            return;
        }
        1 => content.to_vec(),
        2 => deflate(content),
        // The message is good, and the input is RelayState and whatever follows.
        _ => {
            let Ok(rest) = std::str::from_utf8(content) else { return };
            let query = format!("{field}={}&RelayState={rest}", encoded(&STANDARD.encode(deflate(good()))));
            let signed = signer().sign_query(&query);
            if let Some(received) = verify(&signed) {
                assert_eq!(accepted(&received), logout_in(good()));
            }
            return;
        }
    };
    let query = format!("{field}={}", encoded(&STANDARD.encode(&deflated)));
    if let Some(received) = verify(&signer().sign_query(&query)) {
        let mut xml = Vec::new();
        DeflateDecoder::new(deflated.as_slice()).take(1 << 20).read_to_end(&mut xml).expect("what was accepted inflates");
        assert!(xml.len() <= 64 * 1024, "more was inflated than promised");
        assert_eq!(accepted(&received), logout_in(&xml));
    }
}

fn signer() -> &'static FakeIdp {
    static SIGNER: OnceLock<FakeIdp> = OnceLock::new();
    SIGNER.get_or_init(|| FakeIdp::with_key(IDP, EC, Algorithm::EcdsaSha256))
}

fn good() -> &'static [u8] {
    static GOOD: OnceLock<Vec<u8>> = OnceLock::new();
    GOOD.get_or_init(|| signer().logout_request().id("_request").xml().into_bytes())
}

fn deflate(octets: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(octets).and_then(|()| encoder.finish()).expect("memory")
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// What the seeds say.
fn known() -> &'static HashSet<Meaning> {
    static KNOWN: OnceLock<HashSet<Meaning>> = OnceLock::new();
    KNOWN.get_or_init(|| queries().iter().filter_map(|query| verify(query)).map(|received| meaning(&received)).collect())
}

/// The same every time: RSA signatures are.
fn queries() -> Vec<String> {
    let idp = FakeIdp::with_key(IDP, RSA, Algorithm::RsaSha256);
    let request = idp.logout_request().id("_request");
    let mut all = vec![
        request.redirect(None),
        request.redirect(Some("state")),
        request.redirect(Some("")),
        request.clone().session_indexes(&["a", "b"]).redirect(Some("a b+c%")),
        request.clone().unsigned().redirect(None),
        idp.logout_response("_ours", "Success").id("_answer").redirect(Some("state")),
        idp.logout_response("_other", "Success").id("_answer").redirect(None),
    ];
    if let Some(folder) = shared_folder() {
        let index = json(folder.join("logout/index.json"));
        let cases = index["cases"].as_array().expect("cases").iter().filter(|case| text(case, "binding") == "HTTP-Redirect");
        all.extend(cases.map(|case| {
            let query = read(folder.join(Path::new(text(case, "file"))));
            String::from_utf8(query).expect("a query").trim_end_matches('\n').to_owned()
        }));
    }
    all
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<_> = queries().iter().map(|query| behind(&[0], query.as_bytes())).collect();
    let xml = String::from_utf8(good().to_vec()).expect("XML");
    seeds.push(behind(&[1], &deflate(good())));
    seeds.push(behind(&[1], &deflate(&vec![b'a'; 10_000_000])));
    seeds.push(behind(&[2], good()));
    seeds.push(behind(&[6], signer().logout_response("_ours", "Success").id("_answer").xml().as_bytes()));
    seeds.push(behind(
        &[3],
        b"state&Other=x&SAMLEncoding=urn%3Aoasis%3Anames%3Atc%3ASAML%3A2.0%3Abindings%3AURL-Encoding%3ADEFLATE",
    ));
    let (before, after) = xml.split_once("<saml:NameID>").expect("a NameID");
    let small = |content: &str| format!("{before}<saml:x>{content}</saml:x><saml:NameID>{after}");
    seeds.extend(worst(small).iter().map(|document| behind(&[2], document.as_bytes())));
    seeds
}
