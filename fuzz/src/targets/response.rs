//! A response, as a stranger posts it who has many that are genuine, or as an IdP hands it out for an artifact. Two octets choose
//! whose it is to be, which engine is asked first, and which of the ways it comes.
//!
//! - A first look never panics, and sees whatever verification believes.
//! - The engines agree, in either order.
//! - What they believe was signed by a trusted key in some vector, octet for octet: nothing else can be.
//! - Whoever is accepted is the one that an independent reader finds in these octets, or (encrypted) somebody that some vector says.

use samlgate::saml::artifact::response_in;
use samlgate::saml::both_engines::{Message, Outcome, ask};
use samlgate::saml::peek;

use super::order;
use crate::context::{Identity, World};
use crate::independent::assertion_in;
use crate::seeds::{behind, worst};

pub(crate) fn run(input: &[u8]) {
    let [choice, first, octets @ ..] = input else { return };
    let world = World::get();
    let context = world.context(*choice);
    let opened;
    let octets = match by_artifact(*first) {
        false => octets,
        true => {
            context.open(octets);
            let Some(Ok(inner)) = response_in(octets) else { return };
            opened = inner;
            &opened
        }
    };
    let envelope = peek(octets);
    let outcome = match ask(octets, Message::Response, &context.anchors, context.compat, order(*first)) {
        Ok(outcome) => outcome,
        Err(found) => panic!("the engines disagree: {found:?}"),
    };
    let read = match &outcome {
        Outcome::Agree(octets) | Outcome::Abstained(_, Some(octets)) => {
            assert!(world.is_signed(octets), "believed though nobody signed it: {}", String::from_utf8_lossy(octets));
            Some(octets)
        }
        Outcome::NotAsked(_) | Outcome::BothRefuse | Outcome::Abstained(_, None) => None,
    };
    let Ok(accepted) = context.verify(octets) else { return };
    assert!(envelope.is_ok_and(|envelope| envelope.failure.is_none()), "a first look refuses what is accepted");
    match read {
        Some(octets) => match assertion_in(octets) {
            Some(said) => said.must_be(&accepted),
            None => must_be_known(world, &Identity::of(&accepted)),
        },
        // What is signed is inside what is encrypted.
        None => {
            assert_eq!(outcome, Outcome::NotAsked("signature_missing"), "accepted though the engines don't believe it");
            must_be_known(world, &Identity::of(&accepted));
        }
    }
}

/// Whether it is the answer to an artifact.
fn by_artifact(choice: u8) -> bool {
    choice & 2 != 0
}

/// What an IdP answers that holds this response.
pub(crate) fn in_envelope(response: &[u8]) -> Vec<u8> {
    let (before, after) = (
        "<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Body><q:ArtifactResponse \
         xmlns:q=\"urn:oasis:names:tc:SAML:2.0:protocol\" ID=\"_answer\" Version=\"2.0\" IssueInstant=\"2026-03-01T12:00:00Z\" \
         InResponseTo=\"_resolve\"><q:Status><q:StatusCode Value=\"urn:oasis:names:tc:SAML:2.0:status:Success\"/></q:Status>",
        "</q:ArtifactResponse></e:Body></e:Envelope>",
    );
    let text = String::from_utf8_lossy(response);
    let text = text.trim_start_matches('\u{feff}');
    let text = match text.strip_prefix("<?xml").and_then(|rest| rest.split_once("?>")) {
        Some((_, rest)) => rest,
        None => text,
    };
    format!("{before}{}{after}", text.trim()).into_bytes()
}

fn must_be_known(world: &World, identity: &Identity) {
    assert!(world.knows(identity), "nobody was ever asserted to be {identity:?}");
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let world = World::get();
    let front = |context: usize, at: usize| [context as u8, at as u8 & 1];
    let mut seeds: Vec<_> =
        world.responses.iter().enumerate().map(|(at, known)| behind(&front(known.context, at), &known.octets)).collect();
    let by_artifact = world.responses.iter().enumerate().filter(|(_, known)| known.octets.len() < crate::LARGEST / 2);
    seeds.extend(by_artifact.map(|(at, known)| {
        let [context, first] = front(known.context, at);
        behind(&[context, first | 2], &in_envelope(&known.octets))
    }));
    // One that is signed as a whole, too.
    let idp = crate::fake_idp::FakeIdp::new("https://idp.example/metadata");
    let whole = idp.artifact_response("_resolve", &idp.response().ids("_response", "_assertion").build()).envelope();
    seeds.push(behind(&[0, 2], whole.as_bytes()));
    // As expensive as it gets: before the signature, in an unsigned Response around a signed assertion, and in what is signed.
    let signed = crate::fake_idp::FakeIdp::new("https://idp.example/metadata").response().ids("_response", "_assertion").build();
    for (from, to) in [
        ("<samlp:Status>", "<samlp:Extensions>*</samlp:Extensions><samlp:Status>"),
        ("<saml:Conditions", "<saml:Advice>*</saml:Advice><saml:Conditions"),
    ] {
        let (before, after) = signed.split_once(from).expect("it is there");
        let around = |content: &str| format!("{before}{}{after}", to.replace('*', content));
        seeds.extend(worst(around).iter().map(|document| behind(&[0, 0], document.as_bytes())));
    }
    seeds
}
