//! Our cookies: the only file that writes Set-Cookie, and the one that decides which cookies are ours.

use std::time::Duration;

use cookie::{Cookie, SameSite};
use http::header::{COOKIE, Entry, SET_COOKIE};
use http::{HeaderMap, HeaderValue};

use crate::public_url::PublicUrl;
use crate::store::PENDING_LIFETIME;
use crate::token::PlainToken;

/// How long the choice of an IdP is remembered: browsers keep no cookie for much longer.
const REMEMBERED: Duration = Duration::from_secs(365 * 24 * 3600);

/// What a request says about its session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionCookie {
    /// No session cookie, or one that can't be ours.
    None,
    /// More than one: whoever planted the other must not decide which one counts.
    Ambiguous,
    /// A token; whether it opens anything is the store's answer.
    Token(PlainToken),
}

/// Names and attributes of our cookies.
///
/// - The session cookie: HttpOnly, Secure with TLS, SameSite=Lax, for the whole site, until the browser closes.
/// - The login cookie binds a pending login to its browser. It must come back with the IdP's cross-site POST, so it is
///   SameSite=None, which browsers take only with Secure. Without TLS (localhost) some browsers drop it; a second one,
///   SameSite=Lax, then serves where the IdP is on the same site.
/// - The choice cookie: which of several IdPs the last login was with. It only says what stands first on the page where users
///   choose, and whoever forges it gains nothing.
#[derive(Clone, Debug)]
pub struct Cookies {
    session: String,
    login: String,
    login_lax: Option<String>,
    choice: String,
    secure: bool,
}

impl Cookies {
    /// With the session cookie's name from the configuration, or the default: `__Host-samlgate` with TLS, which keeps sibling
    /// hosts from setting it (RFC 6265bis 4.1.3.2), `samlgate` without.
    pub fn new(public_url: &PublicUrl, name: Option<&str>) -> Self {
        let secure = public_url.is_https();
        let session = name.unwrap_or(if secure { "__Host-samlgate" } else { "samlgate" }).to_owned();
        let login = format!("{session}-login");
        let login_lax = (!secure).then(|| format!("{session}-login-lax"));
        let choice = format!("{session}-idp");
        Self { session, login, login_lax, choice, secure }
    }

    /// The session cookie of a request. Names are compared exactly; a value that is no token is no session.
    pub fn session(&self, headers: &HeaderMap) -> SessionCookie {
        let mut values = values(headers, &self.session);
        match (values.next(), values.next()) {
            (None, _) => SessionCookie::None,
            (Some(_), Some(_)) => SessionCookie::Ambiguous,
            (Some(value), None) => token(value).map_or(SessionCookie::None, SessionCookie::Token),
        }
    }

    /// Every session that a request names, at most four: who signs out leaves none of them behind.
    pub fn sessions(&self, headers: &HeaderMap) -> Vec<PlainToken> {
        values(headers, &self.session).filter_map(token).take(4).collect()
    }

    /// The login cookies of a request, at most two; one that is there twice counts as absent.
    pub fn browsers(&self, headers: &HeaderMap) -> Vec<PlainToken> {
        let names = [Some(&self.login), self.login_lax.as_ref()];
        let once = |name: &String| {
            let mut values = values(headers, name);
            values.next().filter(|_| values.next().is_none()).and_then(token)
        };
        names.into_iter().flatten().filter_map(once).collect()
    }

    /// What the choice cookie of a request says, unless it is there twice. It may be anything.
    pub fn chosen_idp<'a>(&'a self, headers: &'a HeaderMap) -> Option<&'a str> {
        let mut values = values(headers, &self.choice);
        values.next().filter(|_| values.next().is_none()).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Remembers which IdP a user has signed in with, by its short name.
    pub fn remember_idp(&self, answer: &mut HeaderMap, idp: &str) {
        let mut cookie = self.cookie(&self.choice, idp, SameSite::Lax, self.secure);
        cookie.set_max_age(whole_seconds(REMEMBERED));
        set(answer, &cookie);
    }

    /// Lets a browser keep a new session.
    pub fn give_session(&self, answer: &mut HeaderMap, token: &PlainToken) {
        set(answer, &self.cookie(&self.session, token.expose(), SameSite::Lax, self.secure));
    }

    /// Makes a browser forget its session.
    pub fn take_session(&self, answer: &mut HeaderMap) {
        let mut cookie = self.cookie(&self.session, "", SameSite::Lax, self.secure);
        cookie.set_max_age(cookie::time::Duration::ZERO);
        set(answer, &cookie);
    }

    /// Binds pending logins to a browser.
    pub fn bind_browser(&self, answer: &mut HeaderMap, token: &PlainToken) {
        let none = Some(self.cookie(&self.login, token.expose(), SameSite::None, true));
        let lax = self.login_lax.as_ref().map(|name| self.cookie(name, token.expose(), SameSite::Lax, false));
        for mut cookie in [none, lax].into_iter().flatten() {
            cookie.set_max_age(whole_seconds(PENDING_LIFETIME));
            set(answer, &cookie);
        }
    }

    /// Removes our cookies from what the application gets; all others stay as they are, octet for octet. Several Cookie lines, which
    /// HTTP/2 allows and HTTP/1.1 doesn't (RFC 9113 section 8.2.3), become one.
    pub fn strip_request(&self, headers: &mut HeaderMap) {
        let Entry::Occupied(mut lines) = headers.entry(COOKIE) else { return };
        let mut kept: Vec<u8> = Vec::new();
        let mut changed = lines.iter().nth(1).is_some();
        for line in lines.iter() {
            for pair in pairs(line.as_bytes()) {
                if self.is_ours(name_of(pair)) {
                    changed = true;
                } else if !pair.is_empty() {
                    if !kept.is_empty() {
                        kept.extend_from_slice(b"; ");
                    }
                    kept.extend_from_slice(pair);
                }
            }
        }
        match Some(kept).filter(|kept| !kept.is_empty()).and_then(|kept| HeaderValue::try_from(kept).ok()) {
            _ if !changed => {}
            Some(value) => drop(lines.insert(value)),
            None => drop(lines.remove()),
        }
    }

    /// Removes the application's Set-Cookie lines that a browser could take for one of ours, disguised spellings included.
    pub fn strip_response(&self, headers: &mut HeaderMap) {
        if !headers.get_all(SET_COOKIE).iter().any(|line| self.could_be_ours(line.as_bytes())) {
            return;
        }
        let kept: Vec<HeaderValue> =
            headers.get_all(SET_COOKIE).iter().filter(|line| !self.could_be_ours(line.as_bytes())).cloned().collect();
        headers.remove(SET_COOKIE);
        for line in kept {
            headers.append(SET_COOKIE, line);
        }
    }

    /// Whether a line of the application's answer is one of those.
    pub(crate) fn could_set_ours(&self, name: &str, value: &[u8]) -> bool {
        name.eq_ignore_ascii_case("set-cookie") && self.could_be_ours(value)
    }

    /// The session cookie, the login cookies, the choice cookie, and whatever else begins like them.
    fn is_ours(&self, name: &[u8]) -> bool {
        name.starts_with(self.session.as_bytes())
    }

    /// Browsers trim names, differ in what they take for white space, and keep `=name=value` as a cookie without a name that
    /// they send as `name=value`.
    fn could_be_ours(&self, line: &[u8]) -> bool {
        let text = String::from_utf8_lossy(line);
        let odd = |c: char| c == '=' || c.is_whitespace() || c.is_control() || c == char::REPLACEMENT_CHARACTER;
        let name = text.trim_start_matches(odd);
        name.get(..self.session.len()).is_some_and(|start| start.eq_ignore_ascii_case(&self.session))
    }

    fn cookie(&self, name: &str, value: &str, same_site: SameSite, secure: bool) -> Cookie<'static> {
        Cookie::build((name.to_owned(), value.to_owned())).path("/").http_only(true).secure(secure).same_site(same_site).build()
    }
}

/// The values under exactly this name, of all Cookie lines together (RFC 9113 8.2.3).
fn values<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    headers.get_all(COOKIE).iter().flat_map(|line| pairs(line.as_bytes())).filter_map(move |pair| {
        let at = memchr::memchr(b'=', pair)?;
        let (own, value) = (trim(pair.get(..at)?), trim(pair.get(at + 1..)?));
        (own == name.as_bytes()).then_some(value)
    })
}

/// The parts of a Cookie line between semicolons. Quotes have no meaning (RFC 6265 5.2).
fn pairs(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let line = rest.take()?;
        let Some(at) = memchr::memchr(b';', line) else { return Some(line) };
        rest = line.get(at + 1..);
        line.get(..at)
    })
    .map(trim)
}

fn name_of(pair: &[u8]) -> &[u8] {
    trim(pair.split(|octet| *octet == b'=').next().unwrap_or_default())
}

/// Without spaces and tabs at both ends. Nothing else is white space in a header.
fn trim(mut octets: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = octets {
        octets = rest;
    }
    octets
}

fn token(value: &[u8]) -> Option<PlainToken> {
    std::str::from_utf8(value).ok().and_then(PlainToken::parse)
}

fn whole_seconds(duration: Duration) -> cookie::time::Duration {
    cookie::time::Duration::seconds(i64::try_from(duration.as_secs()).unwrap_or(i64::MAX))
}

/// Adds the header line, marked so that nobody logs it. A name that can't stand in one is refused with the configuration.
fn set(answer: &mut HeaderMap, cookie: &Cookie<'static>) {
    if let Ok(mut line) = HeaderValue::from_str(&cookie.to_string()) {
        line.set_sensitive(true);
        answer.append(SET_COOKIE, line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "GGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGG";
    const EVIL: &str = "EEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEE";

    fn https() -> Cookies {
        Cookies::new(&PublicUrl::parse("https://app.example.com").unwrap(), None)
    }

    fn http() -> Cookies {
        Cookies::new(&PublicUrl::parse("http://localhost:8080").unwrap(), None)
    }

    fn sent(lines: &[&[u8]]) -> HeaderMap {
        lines.iter().map(|line| (COOKIE, HeaderValue::from_bytes(line).unwrap())).collect()
    }

    fn stripped(cookies: &Cookies, lines: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut headers = sent(lines);
        cookies.strip_request(&mut headers);
        headers.get_all(COOKIE).iter().map(|value| value.as_bytes().to_vec()).collect()
    }

    #[test]
    fn every_vector_gets_its_verdict() {
        let Ok(text) = std::fs::read_to_string("../shared/vectors/http/cookies.json") else {
            eprintln!("skipped: ../shared/vectors is not there");
            return;
        };
        let file: serde_json::Value = serde_json::from_str(&text).unwrap();
        let cases = file["cases"].as_array().unwrap();
        assert!(cases.len() >= 11);
        for case in cases {
            let header = case["header"].as_str().unwrap().replace("GOODSESSION", GOOD).replace("EVILSESSION", EVIL);
            let got = https().session(&sent(&[header.as_bytes()]));
            let good = SessionCookie::Token(PlainToken::parse(GOOD).unwrap());
            let holds = match case["expected"].as_str().unwrap() {
                "session" => got == good,
                "no-session" => got == SessionCookie::None,
                "no-session-or-400" => got == SessionCookie::None || got == SessionCookie::Ambiguous,
                "either" => true,
                other => panic!("unknown verdict {other}"),
            };
            assert!(holds, "{header:?}: {got:?}");
            for line in stripped(&https(), &[header.as_bytes()]) {
                let left = String::from_utf8(line).unwrap();
                assert!(!left.split(';').any(|pair| pair.trim_matches([' ', '\t']).starts_with("__Host-samlgate")), "{left:?}");
            }
        }
    }

    #[test]
    fn duplicates_are_ambiguous_across_lines_too() {
        let (good, evil) = (format!("__Host-samlgate={GOOD}"), format!("__Host-samlgate={EVIL}"));
        assert_eq!(https().session(&sent(&[good.as_bytes(), evil.as_bytes()])), SessionCookie::Ambiguous);
        assert_eq!(https().session(&sent(&[good.as_bytes(), b"__Host-samlgate=x"])), SessionCookie::Ambiguous);
        assert!(matches!(https().session(&sent(&[b"a=b", good.as_bytes()])), SessionCookie::Token(_)));
    }

    #[test]
    fn other_cookies_pass_octet_for_octet() {
        let cookies = https();
        let untouched: &[&[u8]] = &[
            b"a=1; b=\"x y\";c=%20 ;  d",
            b"__host-samlgate=x",
            "\u{2000}__Host-samlgate=x".as_bytes(),
            b"\x85__Host-samlgate=\xff",
            b"samlgate=x",
        ];
        for line in untouched {
            assert_eq!(stripped(&cookies, &[line]), [line.to_vec()], "{line:?}");
        }
        let own =
            format!("a=1; __Host-samlgate={GOOD}; b=\u{fc}\"; __Host-samlgate-login=x;__Host-samlgate.0=y; __Host-samlgate");
        assert_eq!(stripped(&cookies, &[own.as_bytes()]), ["a=1; b=\u{fc}\"".as_bytes()]);
        assert!(stripped(&cookies, &[b" __Host-samlgate =x"]).is_empty());
        assert_eq!(stripped(&cookies, &[b"a=1", b"__Host-samlgate=x; b=2", b"c"]), [b"a=1; b=2; c"]);
        assert_eq!(stripped(&http(), &[b"samlgate=1; samlgate-login-lax=2; theme=dark"]), [b"theme=dark"]);
    }

    #[test]
    fn the_application_cannot_set_our_cookies() {
        let cookies = https();
        let kept = ["session=1; Path=/", "x=__Host-samlgate=1", "__Host-other=1; Secure; Path=/"];
        let dropped = [
            "__Host-samlgate=1; Secure; Path=/",
            " \t__Host-samlgate =1",
            "__host-SAMLGATE=1",
            "__Host-samlgate",
            "__Host-samlgate-login=1",
            "=__Host-samlgate=1",
            " = __Host-samlgate=1",
            "\u{2000}__Host-samlgate=1",
            "\u{85}__Host-samlgate=1",
        ];
        let mut headers = HeaderMap::new();
        for line in kept.into_iter().chain(dropped) {
            headers.append(SET_COOKIE, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        cookies.strip_response(&mut headers);
        let left: Vec<_> = headers.get_all(SET_COOKIE).iter().map(|line| line.to_str().unwrap().to_owned()).collect();
        assert_eq!(left, kept);
    }

    #[test]
    fn attributes_are_those_that_each_cookie_needs() {
        let token = PlainToken::parse(GOOD).unwrap();
        let lines = |set: &dyn Fn(&mut HeaderMap)| {
            let mut answer = HeaderMap::new();
            set(&mut answer);
            assert!(answer.values().all(HeaderValue::is_sensitive));
            let text = |line: &HeaderValue| line.to_str().unwrap().replace(GOOD, "T");
            answer.get_all(SET_COOKIE).iter().map(text).collect::<Vec<_>>()
        };
        let (https, http) = (https(), http());
        assert_eq!(
            lines(&|answer| https.give_session(answer, &token)),
            ["__Host-samlgate=T; HttpOnly; SameSite=Lax; Secure; Path=/"]
        );
        assert_eq!(
            lines(&|answer| https.take_session(answer)),
            ["__Host-samlgate=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0"]
        );
        assert_eq!(
            lines(&|answer| https.bind_browser(answer, &token)),
            ["__Host-samlgate-login=T; HttpOnly; SameSite=None; Secure; Path=/; Max-Age=3600"]
        );
        assert_eq!(
            lines(&|answer| https.remember_idp(answer, "corp")),
            ["__Host-samlgate-idp=corp; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=31536000"]
        );
        assert_eq!(lines(&|answer| http.give_session(answer, &token)), ["samlgate=T; HttpOnly; SameSite=Lax; Path=/"]);
        assert_eq!(
            lines(&|answer| http.bind_browser(answer, &token)),
            [
                "samlgate-login=T; HttpOnly; SameSite=None; Secure; Path=/; Max-Age=3600",
                "samlgate-login-lax=T; HttpOnly; SameSite=Lax; Path=/; Max-Age=3600",
            ]
        );
    }

    #[test]
    fn the_choice_is_read_when_there_is_one() {
        let chosen = |line: &'static str| https().chosen_idp(&sent(&[line.as_bytes()])).map(str::to_owned);
        assert_eq!(chosen("a=b; __Host-samlgate-idp=corp").as_deref(), Some("corp"));
        assert_eq!(chosen("__Host-samlgate-idp=corp; __Host-samlgate-idp=evil"), None);
        assert_eq!(chosen("samlgate-idp=corp"), None);
        assert!(stripped(&https(), &[b"__Host-samlgate-idp=corp"]).is_empty(), "the application doesn't see it");
    }

    #[test]
    fn either_login_cookie_is_read() {
        let line = format!("samlgate-login-lax={GOOD}; samlgate-login={EVIL}; samlgate-login=x");
        assert_eq!(http().browsers(&sent(&[line.as_bytes()])), [PlainToken::parse(GOOD).unwrap()]);
        assert!(https().browsers(&sent(&[line.as_bytes()])).is_empty());
    }
}
