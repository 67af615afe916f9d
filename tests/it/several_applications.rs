//! `[[access]] upstream`: paths that have an application of their own.

use samlgate::access::{Allow, Rule};

use crate::support::gateway::{Gateway, Wanted};
use crate::support::raw::{Answer, Raw};
use crate::support::upstream::{Then, Upstream};

fn named(name: &'static str) -> Upstream {
    Upstream::answering(move |_, stream| {
        let answer = format!("HTTP/1.1 200 OK\r\nX-Who: {name}\r\nContent-Length: 0\r\n\r\n");
        std::io::Write::write_all(stream, answer.as_bytes()).unwrap();
        Then::Keep
    })
}

fn rules() -> Vec<Rule> {
    let at = |path: &str, allow: Allow, application: usize| Rule { application, ..Rule::new(path, allow) };
    vec![
        at("/reports/**", Allow::SignedIn, 1),
        at("/open/**", Allow::Anyone, 2),
        at("/a;x", Allow::SignedIn, 1),
        at("/a", Allow::SignedIn, 0),
    ]
}

fn ask(gateway: &Gateway, target: &str, lines: &str) -> Answer {
    let request = format!("GET {target} HTTP/1.1\r\nHost: app.example\r\nSec-Fetch-Mode: cors\r\n{lines}\r\n");
    Raw::connect(gateway.address).ask(request)
}

#[test]
fn each_path_reaches_its_application_with_the_same_identity() {
    let (main, reports, open) = (named("main"), named("reports"), named("open"));
    let gateway = Wanted::before(main.address).another(reports.address).another(open.address).rules(rules()).start();
    let cookie = format!("Cookie: {}\r\nX-User: forged\r\n", gateway.sign_in("alice", &[]));
    for (target, who) in
        [("/reports/1", "reports"), ("/", "main"), ("/open/x", "open"), ("/reports", "reports"), ("/reportsx", "main")]
    {
        // Twice: over a new connection, and over one that was kept.
        for _ in 0..2 {
            assert_eq!(ask(&gateway, target, &cookie).header("x-who"), Some(who), "{target}");
        }
    }
    for (application, requests) in [(&main, 4), (&reports, 4), (&open, 2)] {
        let seen = application.seen();
        assert_eq!(seen.len(), requests);
        assert!(seen.iter().all(|seen| seen.all("x-user") == ["alice"] && seen.one("x-samlgate-assertion").is_some()));
    }
    assert_eq!(ask(&gateway, "/reports/1", "").status(), 401);
    assert_eq!(ask(&gateway, "/open/x", "X-User: forged\r\n").header("x-who"), Some("open"));
    assert_eq!(open.seen().last().unwrap().one("x-user"), None);
}

#[test]
fn a_path_that_could_be_either_application_s_is_neither_s() {
    let (main, reports) = (named("main"), named("reports"));
    let gateway = Wanted::before(main.address).another(reports.address).rules(rules()).start();
    let cookie = format!("Cookie: {}\r\n", gateway.sign_in("alice", &[]));
    // Some servers cut `;x` off, some don't.
    assert_eq!(ask(&gateway, "/a;x", &cookie).status(), 400);
    assert_eq!(ask(&gateway, "/a", &cookie).header("x-who"), Some("main"));
}

#[test]
fn one_that_is_away_is_told_apart() {
    let main = named("main");
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gateway = Wanted::before(main.address).another(nobody).rules(rules()).start();
    let cookie = format!("Cookie: {}\r\n", gateway.sign_in("alice", &[]));
    assert_eq!(ask(&gateway, "/reports/1", &cookie).status(), 502);
    let websocket = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    assert_eq!(ask(&gateway, "/reports/ws", &format!("{cookie}{websocket}")).status(), 502);
    assert_eq!(ask(&gateway, "/", &cookie).header("x-who"), Some("main"));
}
