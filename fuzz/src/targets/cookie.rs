//! Cookies: lines of a request, and Set-Cookie lines of the application. The first octet says which; lines are separated by LF.
//!
//! - A session token is believed only when it is the one value under exactly that name, for a naive reader too.
//! - What the application gets has none of samlgate's cookies, by any reading of names, and every other one as it was.
//! - No Set-Cookie that passes can make a browser send something that samlgate takes for its own.

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue};
use samlgate::public_url::PublicUrl;
use samlgate::web::cookies::{Cookies, SessionCookie};

use crate::context::{json, shared_folder, text};
use crate::seeds::behind;

const GOOD: &str = "GGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGG";
const EVIL: &str = "EEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEE";

fn cookies(how: u8) -> (Cookies, &'static str) {
    let url = |text| PublicUrl::parse(text).expect("a URL");
    match how % 3 {
        0 => (Cookies::new(&url("https://app.example"), None), "__Host-samlgate"),
        1 => (Cookies::new(&url("http://localhost:8080"), None), "samlgate"),
        _ => (Cookies::new(&url("https://app.example"), Some("sid")), "sid"),
    }
}

fn lines(name: &HeaderName, content: &[u8]) -> HeaderMap {
    let values = content.split(|octet| *octet == b'\n').filter_map(|line| HeaderValue::from_bytes(line).ok());
    values.map(|value| (name.clone(), value)).collect()
}

pub(crate) fn run(input: &[u8]) {
    let [how, content @ ..] = input else { return };
    let (cookies, name) = cookies(how >> 1);
    if how & 1 == 0 { request(&cookies, name, content) } else { answer(&cookies, name, content) }
}

fn request(cookies: &Cookies, name: &str, content: &[u8]) {
    let mut headers = lines(&COOKIE, content);
    let parts = |headers: &HeaderMap| -> Vec<Vec<u8>> {
        let lines = headers.get_all(COOKIE).iter().flat_map(|line| line.as_bytes().split(|octet| *octet == b';'));
        lines.map(|part| part.trim_ascii().to_vec()).filter(|part| !part.is_empty()).collect()
    };
    let before = parts(&headers);
    // Naive: whoever trims generously sees at least as many cookies under that name.
    let values: Vec<_> = before
        .iter()
        .filter_map(|part| {
            let equals = part.iter().position(|octet| *octet == b'=')?;
            (part[..equals].trim_ascii() == name.as_bytes()).then(|| part[equals + 1..].trim_ascii().to_vec())
        })
        .collect();
    match (cookies.session(&headers), values.as_slice()) {
        (SessionCookie::Token(token), [value]) => assert_eq!(token.expose().as_bytes(), value),
        (SessionCookie::Token(_), values) => panic!("a token, though there are {} values", values.len()),
        (SessionCookie::None | SessionCookie::Ambiguous, _) => {}
    }
    assert!(cookies.browsers(&headers).len() <= 2);

    cookies.strip_request(&mut headers);
    assert_eq!(cookies.session(&headers), SessionCookie::None);
    assert!(cookies.browsers(&headers).is_empty());
    let after = parts(&headers);
    let is_ours = |part: &[u8]| part.starts_with(name.as_bytes());
    assert!(!after.iter().any(|part| is_ours(part)), "left over: {:?}", String::from_utf8_lossy(&after.concat()));
    let others: Vec<_> = before.into_iter().filter(|part| !is_ours(part)).collect();
    assert_eq!(after, others, "another cookie was changed");
    let once = headers.clone();
    cookies.strip_request(&mut headers);
    assert_eq!(headers, once);
}

fn answer(cookies: &Cookies, name: &str, content: &[u8]) {
    let mut headers = lines(&SET_COOKIE, content);
    let count = headers.len();
    let _ = count;
    cookies.strip_response(&mut headers);
    for line in headers.get_all(SET_COOKIE) {
        for sent in as_browsers_send(line.as_bytes()) {
            let Ok(value) = HeaderValue::from_bytes(&sent) else { continue };
            let request: HeaderMap = [(COOKIE, value)].into_iter().collect();
            let ours = cookies.session(&request) != SessionCookie::None || !cookies.browsers(&request).is_empty();
            assert!(!ours, "{line:?} makes a browser send {:?}", String::from_utf8_lossy(&sent));
            assert!(!sent.starts_with(name.as_bytes()), "{line:?} makes a browser send {:?}", String::from_utf8_lossy(&sent));
        }
    }
}

/// What a Set-Cookie line makes of a later Cookie line: by RFC 6265bis 5.6, by readers that take other octets for white space, and
/// by those that leave the first equals signs out.
fn as_browsers_send(line: &[u8]) -> Vec<Vec<u8>> {
    let pair = line.split(|octet| *octet == b';').next().unwrap_or_default();
    let trims: [fn(&[u8]) -> Vec<u8>; 2] = [
        |octets| {
            let text = octets.iter().skip_while(|octet| matches!(octet, b' ' | b'\t')).copied().collect::<Vec<_>>();
            let kept = text.iter().rposition(|octet| !matches!(octet, b' ' | b'\t')).map_or(0, |at| at + 1);
            text[..kept].to_vec()
        },
        |octets| String::from_utf8_lossy(octets).trim().as_bytes().to_vec(),
    ];
    let mut sent = Vec::new();
    for trim in trims {
        let pair = trim(pair);
        sent.push(pair.clone());
        let (name, value) = match pair.iter().position(|octet| *octet == b'=') {
            Some(at) => (trim(&pair[..at]), trim(&pair[at + 1..])),
            None => (Vec::new(), pair),
        };
        sent.push(if name.is_empty() { value } else { [name, b"=".to_vec(), value].concat() });
    }
    sent
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    if let Some(folder) = shared_folder() {
        for case in json(folder.join("http/cookies.json"))["cases"].as_array().expect("cases") {
            let header = text(case, "header").replace("GOODSESSION", GOOD).replace("EVILSESSION", EVIL);
            seeds.push(behind(&[0], header.as_bytes()));
            seeds.push(behind(&[1], header.as_bytes()));
        }
    }
    for (how, name) in [(0, "__Host-samlgate"), (2, "samlgate"), (4, "sid")] {
        for line in [
            format!("a=b; {name}={GOOD}; c=\"d; e\""),
            format!("{name}={GOOD}\n{name}={EVIL}"),
            format!("{name}-login={GOOD}; {name}-login-lax={EVIL}"),
            format!("={name}={GOOD}"),
            format!(" {name} = {GOOD} ; {}={EVIL}", name.to_uppercase()),
            format!("\u{2003}{name}={GOOD}; Path=/; Secure"),
        ] {
            seeds.push(behind(&[how], line.as_bytes()));
            seeds.push(behind(&[how + 1], line.as_bytes()));
        }
    }
    seeds
}
