//! A message that a trusted key signs after it was changed: what a careless identity provider, or one of which an attacker chooses
//! the names and values, could send. One engine signs, then both verify, so every difference in how they canonicalise is seen.
//!
//! - Whatever one engine signs, both verify, to the same octets. (Of two signatures only the first is filled in.)
//! - Whoever is accepted is the one that an independent reader finds in these octets.

use samlgate::saml::both_engines::{Message, Outcome, ask};
use samlgate::saml::logout::MessageKind;

use super::order;
use crate::context::{World, json, root, text};
use crate::fake_idp::{Algorithm, EC, FakeIdp, Sign, element};
use crate::independent::assertion_in;
use crate::seeds::behind;
use crate::signing::{Engine, signed, with_dummies};

const IDP: &str = "https://idp.example/metadata";

pub(crate) fn run(input: &[u8]) {
    let [kind, flags, octets @ ..] = input else { return };
    let Ok(xml) = std::str::from_utf8(octets) else { return };
    let message = match kind % 4 {
        0 => Message::Response,
        1 => Message::Logout(MessageKind::Request),
        2 => Message::Logout(MessageKind::Response),
        _ => Message::Soap,
    };
    let engine = if flags & 2 == 0 { Engine::Xmlsec } else { Engine::Bergshamra };
    let context = elliptic();
    let ask = |xml: &str| match ask(xml.as_bytes(), message, &context.anchors, context.compat, order(*flags)) {
        Ok(outcome) => outcome,
        Err(found) => panic!("the engines disagree about what {engine:?} signed: {found:?}\n{xml}"),
    };
    // Neither engine may sign what has no lawful form: it would fetch and run what the form asks for.
    let Some(dummies) = with_dummies(xml) else { return };
    if matches!(ask(&dummies), Outcome::NotAsked(_)) {
        return;
    }
    let Some(xml) = signed(xml, engine) else { return };
    let octets = match ask(&xml) {
        Outcome::Agree(octets) => octets,
        // Two signatures, or none that is the signer's.
        Outcome::NotAsked(_) | Outcome::BothRefuse | Outcome::Abstained(..) => return,
    };
    if message != Message::Response {
        return;
    }
    if let Ok(accepted) = context.verify(xml.as_bytes())
        && let Some(said) = assertion_in(&octets)
    {
        said.must_be(&accepted);
    }
}

/// The context of the vectors that trusts the elliptic key and nothing else.
fn elliptic() -> &'static crate::context::Context {
    static PLACE: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    let world = World::get();
    let place = PLACE.get_or_init(|| {
        let manifest = json(root().join("tests/vectors/manifest.json"));
        let cases = manifest["cases"].as_array().expect("cases");
        let at = cases.iter().position(|case| text(case, "id") == "signature-ecdsa").expect("a case with an EC key");
        world.responses[at].context
    });
    &world.contexts[*place]
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let idp = FakeIdp::with_key(IDP, EC, Algorithm::EcdsaSha256);
    let mut seeds = Vec::new();
    let mut add = |kind: u8, xml: &str| {
        // With its values taken out again.
        let mut xml = xml.to_owned();
        for name in ["ds:DigestValue", "ds:SignatureValue"] {
            if xml.contains(&format!("<{name}>")) {
                let filled = element(&xml, name);
                xml = xml.replacen(&filled, &format!("<{name}/>"), 1);
            }
        }
        seeds.extend((0..4).map(|flags| behind(&[kind, flags], xml.as_bytes())));
    };
    let response = || idp.response().ids("_response", "_assertion").attribute("mail", &["alice@example.com", ""]);
    const EXCLUSIVE: &str = "<ds:Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"/>";
    for sign in [Sign::Assertion, Sign::Response] {
        add(0, &response().sign(sign).build());
        for value in ["a\tb\nc", "<&>\"'", "\u{e9}\u{10000}\u{2028}", " x ", "\r\n"] {
            add(0, &response().attribute("a", &[value]).sign(sign).build());
        }
        for edit in [
            (|xml: &str| xml.replace(EXCLUSIVE, "")) as fn(&str) -> String,
            |xml| xml.replace(EXCLUSIVE, "<ds:Transform Algorithm=\"http://www.w3.org/TR/2001/REC-xml-c14n-20010315\"/>"),
            |xml| xml.replace(EXCLUSIVE, "<ds:Transform Algorithm=\"http://www.w3.org/2006/12/xml-c14n11\"/>"),
            |xml| {
                let list = "<ds:Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"><ec:InclusiveNamespaces xmlns:ec=\"http://www.w3.org/2001/10/xml-exc-c14n#\" PrefixList=\"#default xs saml\"/></ds:Transform>";
                xml.replace(EXCLUSIVE, list)
            },
        ] {
            let typed = "<saml:AttributeValue xmlns:xs=\"http://www.w3.org/2001/XMLSchema\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"xs:string\">";
            add(0, &response().replace("<saml:AttributeValue>", typed).sign(sign).edit_signature(edit).build());
            add(
                0,
                &response()
                    .replace("<saml:AttributeValue>", "<saml:AttributeValue xmlns=\"urn:x\" xml:lang=\"en\">")
                    .sign(sign)
                    .edit_signature(edit)
                    .build(),
            );
        }
    }
    add(1, &idp.logout_request().id("_request").post());
    add(2, &idp.logout_response("_ours", "Success").id("_answer").post());
    add(3, &idp.logout_request().id("_request").soap());
    seeds
}
