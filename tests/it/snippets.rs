//! The snippets of examples/verify, in each language that is here, judge what samlgate signs and what others make of it.
//!
//! `make verify` gets them ready and says in `SAMLGATE_SNIPPETS` which ones there are; the tests are left out without it.

mod cases;
mod keys;
mod program;

use serde_json::json;

use crate::support::app::{PUBLIC, Setup, TestApp};
use crate::support::browser::Kind;
use crate::support::metadata_server::{Answer, MetadataServer};
use keys::SigningKey;
use program::{Program, languages};

/// The audience, another one than the issuer so that neither passes for the other.
const AUDIENCE: &str = "https://reports.example";

/// samlgate with a key that the test knows too, for assertions that are like its own but for one thing.
fn samlgate(folder: &tempfile::TempDir) -> (TestApp, SigningKey) {
    let pem = samlgate::identity::assertion::generate_key().unwrap();
    let file = folder.path().join("assertion.key");
    std::fs::write(&file, &pem).unwrap();
    let section = format!("[headers.assertion]\nkey = {:?}\naudience = \"{AUDIENCE}\"", file.to_str().unwrap());
    (Setup::new().sections(&section).start(), SigningKey::from_pem(&pem))
}

/// What the application got in the header after a login.
fn assertion_of(app: &TestApp) -> String {
    app.login(&mut app.browser(), "/page");
    app.told().one("x-samlgate-assertion").unwrap().to_owned()
}

#[test]
#[ignore = "needs other languages: make verify"]
fn what_samlgate_signs_is_accepted_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (app, key) = samlgate(&folder);
    let token = assertion_of(&app);
    let published = app.browser().script(Kind::Tool, "GET", &app.url("/_samlgate/jwks.json")).json();
    let of_others = SigningKey::generate();
    let cases = cases::all(&token, &key, &of_others, &published);
    let file = folder.path().join("jwks.json");
    std::fs::write(&file, cases::key_set_with_others(&published).to_string()).unwrap();
    for language in languages() {
        let mut program = Program::start(&language, PUBLIC, AUDIENCE, file.to_str().unwrap());
        let wrong: Vec<String> = cases.iter().filter_map(|case| case.wrong(&program.judge(case.at, &case.token))).collect();
        program.end();
        assert!(wrong.is_empty(), "{language}: {} of {} are wrong:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
        let good = cases.iter().filter(|case| case.user.is_some()).count();
        println!("verify: {language}: {good} assertions accepted, {} refused", cases.len() - good);
    }
}

#[test]
#[ignore = "needs other languages: make verify"]
fn keys_come_from_samlgate_itself() {
    let folder = tempfile::tempdir().unwrap();
    let (app, _) = samlgate(&folder);
    let token = assertion_of(&app);
    for path in ["/_samlgate/jwks.json", "/.well-known/samlgate/jwks.json"] {
        let url = format!("http://{}{path}", app.address());
        for language in languages() {
            let mut program = Program::start(&language, PUBLIC, AUDIENCE, &url);
            assert_eq!(program.judge(app.clock_seconds(), &token), "ok ada@example.com", "{language} {path}");
            program.end();
        }
    }
}

#[test]
#[ignore = "needs other languages: make verify"]
fn an_unknown_key_is_asked_for_once_in_ten_seconds_and_an_old_one_ends() {
    let (first, second, stranger) = (SigningKey::generate(), SigningKey::generate(), SigningKey::generate());
    let set = |key: &SigningKey| json!({ "keys": [key.jwk()] }).to_string();
    let start = 1_772_366_400;
    let broken = || Answer::Raw(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n".to_vec());
    for language in languages() {
        let server = MetadataServer::start(&set(&first));
        server.answers(broken());
        let mut program = Program::start(&language, PUBLIC, AUDIENCE, &server.url());
        let mut step = |after: i64, key: &SigningKey, accepted: bool, fetches: usize, about: &str| {
            let now = start + after;
            let answer = program.judge(now, &key.sign(&key.header(), &cases::claims(now)));
            assert_eq!(answer == "ok ada@example.com", accepted, "{language}, {about}: {answer}");
            assert_eq!(server.seen().len(), fetches, "{language}, {about}");
        };
        step(0, &first, false, 1, "no keys yet");
        server.serves(&set(&first));
        step(9, &first, false, 1, "too soon to ask again");
        step(10, &first, true, 2, "there they are");
        for _ in 0..3 {
            step(19, &stranger, false, 2, "not for strangers either");
            step(19, &first, true, 2, "known");
        }
        for _ in 0..3 {
            step(20, &stranger, false, 3, "one question for all strangers");
        }
        server.serves(&set(&second));
        step(29, &second, false, 3, "a new key, but too soon");
        step(30, &second, true, 4, "a new key");
        step(30, &first, false, 4, "the old key has ended");
        server.answers(broken());
        step(40, &stranger, false, 5, "a server that fails");
        step(41, &second, true, 5, "takes no key away");
        for (after, fetches, nonsense) in [(50, 6, "<html>"), (60, 7, "[]"), (70, 8, r#"{"keys":7}"#), (80, 9, "null")] {
            server.serves(nonsense);
            step(after, &stranger, false, fetches, nonsense);
            step(after, &second, true, fetches, nonsense);
        }
        server.serves(&set(&first));
        step(329, &second, true, 9, "five minutes are not over");
        step(330, &second, false, 10, "a key that was withdrawn ends within five minutes");
        server.answers(broken());
        step(330 + 3599, &first, true, 11, "good for an hour while the server fails");
        step(330 + 3611, &first, false, 12, "and no longer");
        program.end();
    }
}
