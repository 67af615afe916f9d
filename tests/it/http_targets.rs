//! Request targets: what the rule sees is what the application gets, byte for byte.

use samlgate::access::{Allow, Rule};

use crate::support::gateway::{Gateway, Wanted};
use crate::support::raw::{Answer, Raw};
use crate::support::upstream::Upstream;
use crate::support::vector_file;

fn public() -> Vec<Rule> {
    vec![Rule::new("/public/**", Allow::Anyone)]
}

fn ask(gateway: &Gateway, target: &str, cookie: Option<&str>) -> Option<Answer> {
    let cookie = cookie.map(|cookie| format!("Cookie: {cookie}\r\n")).unwrap_or_default();
    Raw::connect(gateway.address)
        .send(format!("GET {target} HTTP/1.1\r\nHost: app.example\r\nSec-Fetch-Mode: cors\r\n{cookie}\r\n"))
        .answer()
}

#[test]
fn the_shared_cases_hold() {
    let Some(cases) = vector_file("http/request-targets.json") else { return };
    let cases = cases["cases"].as_array().unwrap();
    assert!(cases.len() >= 15);
    for case in cases {
        let (target, expected) = (case["target"].as_str().unwrap(), case["expected"].as_str().unwrap());
        let upstream = Upstream::start();
        let gateway = Wanted::before(upstream.address).rules(public()).start();
        let status = ask(&gateway, target, None).map_or(400, |answer| answer.status());
        let good: &[u16] = match expected {
            "public" => &[200],
            "protected" => &[401],
            "protected-or-400" => &[401, 400],
            "400" => &[400],
            other => panic!("an unknown verdict: {other}"),
        };
        assert!(good.contains(&status), "{target}: {status}");
        assert_eq!(upstream.seen().len(), usize::from(status == 200), "{target}");

        // Somebody who is signed in gets to the same target or nowhere.
        let cookie = gateway.sign_in("alice", &[]);
        let status = ask(&gateway, target, Some(&cookie)).map_or(400, |answer| answer.status());
        assert!([200, 400].contains(&status), "{target}: {status}");
        if let Some(seen) = upstream.seen().last() {
            let sent = if target == "/admin/." { "/admin/" } else { target };
            assert_eq!(seen.line(), format!("GET {sent} HTTP/1.1"));
        }
    }
}

#[test]
fn what_passes_is_forwarded_as_it_came() {
    let upstream = Upstream::start();
    let gateway = Wanted::before(upstream.address).rules(public()).start();
    let cookie = gateway.sign_in("alice", &[]);
    let targets = [
        "/",
        "//x//y",
        "/a%2Fb",
        "/a;b=c/d;e",
        "/A%7eb?q=%zz&r=/../x",
        "/?",
        "/public/%c3%bc%20x",
        "/x%2fy?%2e%2e/",
        "/a:b@c!$&'()*+,=~",
    ];
    for (count, target) in targets.into_iter().enumerate() {
        assert_eq!(ask(&gateway, target, Some(&cookie)).unwrap().status(), 200, "{target}");
        assert_eq!(upstream.wait_for(count + 1).line(), format!("GET {target} HTTP/1.1"));
    }
}

#[test]
fn paths_that_servers_read_differently_don_t_pass_when_rules_differ() {
    let upstream = Upstream::start();
    let mut rules = public();
    rules.push(Rule::new("/admin/**", Allow::Nobody));
    let gateway = Wanted::before(upstream.address).rules(rules).start();
    let cookie = gateway.sign_in("alice", &[]);
    for target in [
        "/public%2Fx",
        "/public;x/y",
        "//public/x",
        "/%61dmin/x",
        "/admin;/x",
        "//admin/x",
        "/x%2f..%2fadmin",
        "/public/%2e%2e/admin",
    ] {
        for cookie in [None, Some(cookie.as_str())] {
            let answer = ask(&gateway, target, cookie).unwrap();
            assert_eq!((answer.status(), answer.header("connection")), (400, Some("close")), "{target}");
        }
    }
    assert!(upstream.seen().is_empty());
}

#[test]
fn a_method_in_lower_case_is_no_way_around_a_rule() {
    let upstream = Upstream::start();
    let rules = vec![Rule { methods: vec![http::Method::POST], ..Rule::new("/api/**", Allow::Nobody) }];
    let gateway = Wanted::before(upstream.address).rules(rules).start();
    let cookie = gateway.sign_in("alice", &[]);
    for (method, status) in [("POST", 403), ("post", 400), ("Post", 400), ("pATCH", 400), ("M-SEARCH", 200)] {
        let request =
            format!("{method} /api/x HTTP/1.1\r\nHost: app.example\r\nSec-Fetch-Mode: cors\r\nCookie: {cookie}\r\n\r\n");
        assert_eq!(Raw::connect(gateway.address).ask(request).status(), status, "{method}");
    }
    assert_eq!(upstream.only().line(), "M-SEARCH /api/x HTTP/1.1");
}

#[test]
fn a_path_has_an_end_and_an_ambiguous_one_sooner() {
    let upstream = Upstream::start();
    let gateway = Wanted::before(upstream.address).rules(public()).start();
    let plain = |length: usize| format!("/public/{}", "a".repeat(length - 8));
    let ambiguous = |length: usize| format!("/public/{};", "a".repeat(length - 9));
    let status = |target: &str| ask(&gateway, target, None).unwrap().status();
    assert_eq!((status(&plain(8192)), status(&plain(8193))), (200, 414));
    assert_eq!((status(&ambiguous(4096)), status(&ambiguous(4097))), (200, 414));
    assert_eq!(status(&format!("/public/x?{}", "a".repeat(20_000))), 200, "a query is not matched with anything");
    assert_eq!(upstream.seen().len(), 3);
}
