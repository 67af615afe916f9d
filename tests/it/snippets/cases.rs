//! Assertions and what is to be thought of them. Whatever is to be refused differs in one thing from what is accepted.

use aws_lc_rs::signature::ECDSA_P384_SHA384_FIXED_SIGNING;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::AUDIENCE;
use super::keys::{SigningKey, octets, part};
use crate::support::app::PUBLIC;

/// A header's value, and what is to be said about it.
pub(crate) struct Case {
    name: String,
    /// When it comes, in seconds since the epoch.
    pub(crate) at: i64,
    pub(crate) token: String,
    /// Who it is; `None`: refused.
    pub(crate) user: Option<&'static str>,
}

impl Case {
    /// What is wrong with a verdict.
    pub(crate) fn wrong(&self, verdict: &str) -> Option<String> {
        let good = match self.user {
            Some(user) => verdict == format!("ok {user}"),
            // a reason for people, without the token
            None => {
                let reason = verdict.strip_prefix("refused ").unwrap_or_default();
                let secret = self.token.split('.').next_back().unwrap_or_default();
                !reason.is_empty() && (secret.len() < 20 || !reason.contains(secret))
            }
        };
        (!good).then(|| format!("{}: {verdict}", self.name))
    }
}

const ADA: &str = "ada@example.com";
const OTHER_KEY: &str = "rsa";

/// The claims of an assertion that is minted now.
pub(crate) fn claims(now: i64) -> Value {
    json!({
        "iss": PUBLIC, "aud": AUDIENCE, "sub": "c3ViamVjdA", "iat": now, "nbf": now, "exp": now + 60, "jti": "j", "sid": "s",
        "user": ADA, "email": ADA, "role": "admin", "groups": ["Staff", "Admins"], "idp": "corp", "auth_time": now,
        "method": "saml",
    })
}

/// The published set among keys of other kinds, which none of the snippets may stumble over or use.
pub(crate) fn key_set_with_others(published: &Value) -> Value {
    let modulus = part([0xc5_u8; 256]);
    let mut keys = vec![
        json!({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": OTHER_KEY, "n": modulus, "e": "AQAB"}),
        SigningKey::of(&ECDSA_P384_SHA384_FIXED_SIGNING).jwk(),
        json!({"kty": "oct", "kid": "secret", "k": part("a secret")}),
    ];
    keys.extend(published["keys"].as_array().unwrap().iter().cloned());
    json!({ "keys": keys })
}

/// A JSON object with members replaced, added, or (null) removed.
fn with(object: &Value, changes: &Value) -> Value {
    let mut object = object.as_object().unwrap().clone();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            object.remove(name)
        } else {
            object.insert(name.clone(), value.clone())
        };
    }
    Value::Object(object)
}

/// Every case. `token` is samlgate's own, `key` its key, `other` a stranger's.
pub(crate) fn all(token: &str, key: &SigningKey, other: &SigningKey, published: &Value) -> Vec<Case> {
    let [header, payload, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!("not a JWS: {token}") };
    let genuine: Value = serde_json::from_slice(&octets(payload)).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&octets(header)).unwrap(), key.header(), "the test knows the key");
    let (from, to) = (genuine["nbf"].as_i64().unwrap(), genuine["exp"].as_i64().unwrap());
    let mut cases = Vec::new();
    let mut add = |name: &str, at: i64, token: String, user: Option<&'static str>| {
        cases.push(Case { name: name.to_owned(), at, token, user });
    };
    add("samlgate's own", from, token.to_owned(), Some(ADA));
    add("the same, signed anew by its key", from, key.sign(&key.header(), &genuine), Some(ADA));
    add("these claims, signed by its key", from, key.sign(&key.header(), &claims(from)), Some(ADA));
    add("without claims that may be absent", from, key.sign(&key.header(), &without_the_optional(&genuine)), Some(ADA));
    add("its clock is a little slow", from - 5, token.to_owned(), Some(ADA));
    add("its clock is a little fast", to + 4, token.to_owned(), Some(ADA));
    add("not yet valid", from - 6, token.to_owned(), None);
    add("expired", to + 5, token.to_owned(), None);
    add("expired long ago", to + 86_400, token.to_owned(), None);
    let mut refuse = |name: &str, token: String| add(name, from, token, None);
    for (name, token) in spellings(token, header, payload, signature) {
        refuse(name, token);
    }
    for changes in other_headers(other) {
        let name = format!("header {changes:.60}");
        refuse(&name, key.sign(&with(&key.header(), &changes), &genuine));
    }
    for changes in other_claims(from) {
        refuse(&format!("claims {changes}"), key.sign(&key.header(), &with(&genuine, &changes)));
    }
    let genuine_header = key.header().to_string();
    for text in ["null", "[]", "7", "\"text\"", "", "{", "{}", "\u{feff}{}"] {
        refuse(&format!("claims are {text:?}"), key.sign_text(&genuine_header, text));
        refuse(&format!("header is {text:?}"), key.sign_text(text, &genuine.to_string()));
    }
    let deep =
        |count: usize| format!(r#"{{"alg":"ES256","kid":"{}","x":{}{}}}"#, other.kid, "[".repeat(count), "]".repeat(count));
    refuse("a stranger's header, nested", other.sign_text(&deep(20_000), &genuine.to_string()));
    refuse("a stranger's key", other.sign(&other.header(), &genuine));
    refuse("a stranger's key under its name", other.sign(&key.header(), &genuine));
    for (name, token) in by_public_key(key, &genuine, published) {
        refuse(&name, token);
    }
    let unsigned = |alg: &str| format!("{}.{payload}.", part(with(&key.header(), &json!({"alg": alg})).to_string()));
    for alg in ["none", "None", "NONE", "nOnE"] {
        refuse(&format!("unsigned, {alg}"), unsigned(alg));
        refuse(&format!("{alg} with a signature"), format!("{}{signature}", unsigned(alg)));
    }
    refuse("unsigned, ES256", unsigned("ES256"));
    cases
}

fn without_the_optional(genuine: &Value) -> Value {
    with(genuine, &json!({"email": null, "role": null, "groups": null, "tenant": null, "acr": null, "name": null}))
}

/// Other octets for the same token, and other content under the same signature.
fn spellings(token: &str, header: &str, payload: &str, signature: &str) -> Vec<(&'static str, String)> {
    let claims: Value = serde_json::from_slice(&octets(payload)).unwrap();
    let changed = part(with(&claims, &json!({"user": "root"})).to_string());
    let raw = octets(signature);
    let (r, s) = raw.split_at(32);
    let flipped: Vec<u8> = raw.iter().enumerate().map(|(at, octet)| octet ^ u8::from(at == 40)).collect();
    let of = |octets: &[u8]| format!("{header}.{payload}.{}", part(octets));
    // 64 octets leave four bits of the last letter unused: this is another spelling of the same octets
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = alphabet.find(token.chars().last().unwrap()).unwrap();
    let respelled = format!("{}{}", &token[..token.len() - 1], &alphabet[last + 1..last + 2]);
    let der = in_der(r, s);
    vec![
        ("no header", String::new()),
        ("a word", "hello".to_owned()),
        ("dots", "..".to_owned()),
        ("two headers joined", format!("{token}, {token}")),
        ("two headers joined tightly", format!("{token},{token}")),
        ("a stranger's header before it", format!("x,{token}")),
        ("a scheme before it", format!("Bearer {token}")),
        ("a blank before it", format!(" {token}")),
        ("a blank after it", format!("{token} ")),
        ("a tab after it", format!("{token}\t")),
        ("a zero octet after it", format!("{token}\0")),
        ("signs after it", format!("{token}!!")),
        ("letters after it", format!("{token}AAAA")),
        ("a dot after it", format!("{token}.")),
        ("a fourth part", format!("{token}.e30")),
        ("padded", format!("{token}==")),
        ("another alphabet", format!("{header}.{payload}.+/{}", &signature[2..])),
        ("a sign amid the signature", format!("{header}.{payload}.{}!{}", &signature[..9], &signature[9..])),
        ("another spelling of the signature", respelled),
        ("without signature", format!("{header}.{payload}")),
        ("an empty signature", format!("{header}.{payload}.")),
        ("a shortened signature", of(&raw[..63])),
        ("a longer signature", of(&[&raw[..], &[0]].concat())),
        ("one bit of the signature changed", of(&flipped)),
        ("a signature of zeros", of(&[0; 64])),
        ("r is zero", of(&[&[0; 32], s].concat())),
        ("s is zero", of(&[r, &[0; 32]].concat())),
        ("the numbers swapped", of(&[s, r].concat())),
        ("the signature in DER", of(&der)),
        ("the payload changed", format!("{header}.{changed}.{signature}")),
        ("the payload without its end", format!("{header}.{}.{signature}", &payload[..payload.len() - 4])),
        ("no payload", format!("{header}..{signature}")),
        ("header and payload swapped", format!("{payload}.{header}.{signature}")),
        ("an encrypted one, by its form", format!("{token}.AAAA.AAAA")),
        ("not ASCII", format!("{token}\u{e9}")),
    ]
}

/// A signature as X9.62 writes it: a sequence of two integers.
fn in_der(r: &[u8], s: &[u8]) -> Vec<u8> {
    let element = |tag: u8, content: &[u8]| [&[tag, u8::try_from(content.len()).unwrap()], content].concat();
    let number = |octets: &[u8]| {
        let start = octets.iter().position(|octet| *octet != 0).unwrap();
        let sign: &[u8] = if octets[start] > 127 { &[0] } else { &[] };
        element(2, &[sign, &octets[start..]].concat())
    };
    element(0x30, &[number(r), number(s)].concat())
}

/// Headers that samlgate's key signed, as if by mistake.
fn other_headers(other: &SigningKey) -> Vec<Value> {
    vec![
        json!({"alg": null}),
        json!({"alg": "es256"}),
        json!({"alg": "ES256K"}),
        json!({"alg": "ES384"}),
        json!({"alg": "RS256"}),
        json!({"alg": "HS256"}),
        json!({"alg": "EdDSA"}),
        json!({"alg": ""}),
        json!({"alg": 256}),
        json!({"alg": ["ES256"]}),
        json!({"kid": null}),
        json!({"kid": ""}),
        json!({"kid": 1}),
        json!({"kid": ["x"]}),
        json!({"kid": {"x": 1}}),
        json!({"kid": other.kid}),
        json!({"kid": other.kid, "jwk": other.jwk()}),
        json!({"kid": OTHER_KEY}),
        json!({"kid": "secret"}),
        json!({"kid": "../../jwks.json"}),
        json!({"kid": "__proto__"}),
        json!({"kid": "constructor"}),
        json!({"kid": "get"}),
        json!({"crit": ["exp"]}),
        json!({"crit": []}),
        json!({"crit": ["b64"], "b64": true}),
        json!({"crit": ["b64"], "b64": false}),
        json!({"crit": "x"}),
    ]
}

/// Claims that samlgate's key signed, for somebody else or by mistake.
fn other_claims(now: i64) -> Vec<Value> {
    vec![
        json!({"iss": null}),
        json!({"iss": "https://evil.example"}),
        json!({"iss": format!("{PUBLIC}/")}),
        json!({"iss": AUDIENCE}),
        json!({"iss": [PUBLIC]}),
        json!({"aud": null}),
        json!({"aud": PUBLIC}),
        json!({"aud": format!("{AUDIENCE}.evil.example")}),
        json!({"aud": &AUDIENCE[..AUDIENCE.len() - 1]}),
        json!({"aud": []}),
        json!({"aud": ["https://other.example"]}),
        json!({"aud": {AUDIENCE: true}}),
        json!({"aud": true}),
        json!({"exp": null}),
        json!({"exp": now - 5}),
        json!({"exp": 0}),
        json!({"exp": (now + 60).to_string()}),
        json!({"exp": [now + 60]}),
        json!({"exp": true}),
        json!({"nbf": null}),
        json!({"nbf": now + 6}),
        json!({"nbf": now.to_string()}),
        json!({"nbf": [now]}),
        json!({"nbf": (now + 60) * 1000}),
        json!({"sub": null}),
        json!({"sub": ""}),
        json!({"sub": 7}),
        json!({"sub": ["x"]}),
        json!({"user": null}),
        json!({"user": ""}),
        json!({"user": 0}),
        json!({"user": [ADA]}),
    ]
}

/// What anybody can make of the public key: tokens that it is taken for the secret of (HS256).
fn by_public_key(key: &SigningKey, claims: &Value, published: &Value) -> Vec<(String, String)> {
    // RFC 5480, 2: what stands before the point in a public key of P-256
    let before = "3059301306072a8648ce3d020106082a8648ce3d030107034200";
    let before = (0..before.len()).step_by(2).map(|at| u8::from_str_radix(&before[at..at + 2], 16).unwrap());
    let der: Vec<u8> = before.chain(key.point().iter().copied()).collect();
    let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &der);
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n{}\n-----END PUBLIC KEY-----\n", &text[..64], &text[64..]);
    let jwk = published["keys"][0].to_string();
    let secrets: [(&str, &[u8]); 5] =
        [("DER", &der), ("PEM", pem.as_bytes()), ("point", key.point()), ("JWK", jwk.as_bytes()), ("nothing", b"")];
    let signed = |secret: &[u8], algorithm: Algorithm| {
        let header = Header { kid: Some(key.kid.clone()), ..Header::new(algorithm) };
        jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(secret)).unwrap()
    };
    // HS512 too: its signature is as long as one of ES256
    let algorithms = [Algorithm::HS256, Algorithm::HS512];
    let of = |(name, secret): (&str, &[u8])| {
        algorithms.map(|algorithm| (format!("{algorithm:?} by {name}"), signed(secret, algorithm)))
    };
    secrets.into_iter().flat_map(of).collect()
}
