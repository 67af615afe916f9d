//! A whole samlgate on sockets: what is open when a session ends at the identity provider closes, and what stays in logs.

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use samlgate::clock::Clock as _;

use crate::support::app::{COOKIE, IDP, SLO_AT_IDP, SP_CERTIFICATE, SSO, Setup, TestApp};
use crate::support::browser::Browser;
use crate::support::fake_idp::{EMAIL, FakeIdp, parse_authn_request, parse_logout, parse_logout_soap};
use crate::support::raw::Raw;
use crate::support::upstream::{Then, Upstream};

const SLO: &str = "https://app.example/_samlgate/slo";

/// A WebSocket that says everything back, and an event stream that never ends.
fn application() -> Upstream {
    Upstream::answering(|seen, stream| {
        if seen.one("upgrade").is_some() {
            let accept = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
            stream.write_all(accept).unwrap();
            let mut octets = [0; 64];
            while let Ok(read @ 1..) = stream.read(&mut octets) {
                if stream.write_all(&octets[..read]).is_err() {
                    break;
                }
            }
            return Then::Close;
        }
        if seen.line().contains("/events") {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: hello\n\n").unwrap();
            // Until the other side goes.
            let _ = stream.read(&mut [0; 1]);
            return Then::Close;
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
        Then::Keep
    })
}

fn cookie(browser: &Browser) -> String {
    format!("Cookie: {COOKIE}={}\r\n", browser.cookie(COOKIE).expect("a session").value)
}

fn websocket(app: &TestApp, cookie: &str) -> Raw {
    let mut raw = Raw::connect(app.address());
    let answer = raw.ask(format!(
        "GET /ws HTTP/1.1\r\nHost: app.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{cookie}\r\n"
    ));
    assert_eq!(answer.status(), 101, "{}", answer.head);
    raw.send(b"hello");
    let mut back = [0; 5];
    raw.stream.read_exact(&mut back).unwrap();
    raw
}

fn event_stream(app: &TestApp, cookie: &str) -> Raw {
    let mut raw = Raw::connect(app.address());
    raw.send(format!("GET /events HTTP/1.1\r\nHost: app.example\r\nAccept: text/event-stream\r\n{cookie}\r\n"));
    let mut read = Vec::new();
    let mut octet = [0; 1];
    while !read.ends_with(b"data: hello\n\n") {
        raw.stream.read_exact(&mut octet).unwrap();
        read.push(octet[0]);
    }
    raw
}

/// The IdP's own request, by SOAP.
fn end_at_idp(app: &TestApp, session_indexes: &[&str]) -> String {
    let message = FakeIdp::new(IDP).logout_request().subject("ada@example.com", EMAIL).session_indexes(session_indexes);
    let body = message.at(app.clock.now()).soap();
    let answer = Raw::connect(app.address()).ask(format!(
        "POST /_samlgate/slo/soap HTTP/1.1\r\nHost: app.example\r\nContent-Type: text/xml\r\nSOAPAction: \
         \"http://www.oasis-open.org/committees/security\"\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    assert_eq!(answer.status(), 200, "{}", answer.text());
    parse_logout_soap(&answer.text(), SP_CERTIFICATE).unwrap().status
}

#[test]
fn websockets_and_event_streams_end_with_the_session_at_the_idp() {
    let upstream = application();
    let app = Setup::new().logout().upstream(&format!("http://{}", upstream.address)).start();
    let (mut ada, mut elsewhere) = (app.browser(), app.browser());
    app.login(&mut ada, "/");
    let request = app.begin(&mut elsewhere, "/");
    app.finish(&mut elsewhere, &request, app.answer(&request).session_index(Some("s2")));
    let (first, second) = (cookie(&ada), cookie(&elsewhere));
    let mut ended = [websocket(&app, &first), event_stream(&app, &first)];
    let mut other = websocket(&app, &second);
    let began = Instant::now();
    assert_eq!(end_at_idp(&app, &["s1"]), "Success");
    for raw in &mut ended {
        while !raw.is_closed() {
            // The end of the chunked body.
        }
    }
    assert!(began.elapsed() < Duration::from_secs(5), "about a second, on a machine with nothing else to do");
    assert!(!app.is_signed_in(&mut ada) && app.is_signed_in(&mut elsewhere));
    other.send(b"still");
    let mut back = [0; 5];
    other.stream.read_exact(&mut back).unwrap();
    assert_eq!(end_at_idp(&app, &[]), "Success");
    assert!(other.is_closed(), "all sessions of that name");
}

#[test]
fn a_whole_logout_leads_to_the_idp_and_back_and_asks_for_the_password_again() {
    let app = Setup::new().logout().sections("[logout]\nreturn_to = \"/bye?x=1\"").start();
    let mut ada = app.browser();
    app.login(&mut ada, "/");
    let page = ada.open(&app.url("/_samlgate/logout"));
    let form = page.form();
    let policy = page.header("content-security-policy").expect("a policy").to_owned();
    let away = ada.submit(&page, &form);
    assert!(ada.cookie(COOKIE).is_none());
    // Browsers hold the policy of the page with the form against the redirect to the IdP, too.
    let allowed = policy.split(';').find_map(|part| part.trim().strip_prefix("form-action ")).expect("a rule for forms");
    assert!(away.redirect().starts_with(SLO_AT_IDP) && allowed.split(' ').any(|source| source == "https:"), "{policy}");
    let told = parse_logout(&away.redirect(), Some(SP_CERTIFICATE)).unwrap();
    assert_eq!((told.name_id.as_deref(), told.session_indexes.as_slice()), (Some("ada@example.com"), &["s1".to_owned()][..]));

    // The IdP's page posts the answer: from another site, so the browser sends no session cookie.
    use base64::Engine as _;
    let answer = FakeIdp::new(IDP).logout_response(&told.id, "Success").at(app.clock.now()).post();
    let answer = base64::engine::general_purpose::STANDARD.encode(answer);
    let landed = ada.post(SLO_AT_IDP, SLO, &[("SAMLResponse", &answer)]);
    assert_eq!((landed.status, landed.redirect()), (303, app.url("/bye?x=1")));
    let again = ada.follow(landed).redirect();
    assert!(again.starts_with(SSO), "a page that needs a login begins one: {again}");
    assert!(!parse_authn_request(&again, Some(SP_CERTIFICATE)).unwrap().is_passive);

    // By Redirect, through the real sockets: the query must come through octet for octet.
    app.clock.advance(Duration::from_secs(1));
    app.login(&mut ada, "/");
    let request = FakeIdp::new(IDP).logout_request().subject("ada@example.com", EMAIL).at(app.clock.now());
    let unsigned = request.unsigned().redirect(Some("a/b+c%20 d~e")).replace("%2F", "%2f").replace("%20d", "+d");
    let query = FakeIdp::new(IDP).sign_query(&unsigned);
    let answered = ada.click("https://idp.example/slo", &format!("{SLO}?{query}"));
    let answered = parse_logout(&answered.redirect(), Some(SP_CERTIFICATE)).unwrap();
    assert_eq!((answered.status.as_str(), answered.relay_state.as_deref()), ("Success", Some("a/b+c%20 d~e")));
    assert!(!app.is_signed_in(&mut ada));
}

#[test]
fn metadata_names_the_three_services() {
    let app = Setup::new().logout().start();
    let text = app.browser().open(&app.url("/_samlgate/metadata")).text();
    for (binding, url) in [("HTTP-Redirect", SLO.to_owned()), ("HTTP-POST", SLO.to_owned()), ("SOAP", format!("{SLO}/soap"))] {
        assert!(text.contains(&format!("bindings:{binding}\" Location=\"{url}\"")), "{text}");
    }
}
