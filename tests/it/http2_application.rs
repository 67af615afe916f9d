//! Applications that speak HTTP/2, with TLS (by ALPN) and without (h2c).

use std::io::Read as _;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request};
use http_body_util::Full;
use samlgate::access::{Allow, Rule};
use samlgate::proxy::settings::UpstreamUrl;
use tokio::task::block_in_place;

use crate::support::gateway::{Gateway, Wanted, certificate};
use crate::support::h2_upstream::H2Upstream;
use crate::support::http2::{Http2, stream};
use crate::support::raw::Raw;
use crate::support::upstream::{PATIENCE, Then, Upstream};

fn before(application: &H2Upstream) -> Wanted {
    let nobody = "127.0.0.1:9".parse().unwrap();
    Wanted::before(nobody).upstream(|settings| application.named(settings))
}

/// A gateway before an application without TLS, and alice's cookie.
async fn signed_in() -> (H2Upstream, Gateway, String) {
    let application = H2Upstream::plain(|_| {}).await;
    let gateway = before(&application).start();
    let cookie = block_in_place(|| gateway.sign_in("alice", &[]));
    (application, gateway, cookie)
}

fn ask(gateway: &Gateway, cookie: &str, line: &str, lines: &str) -> Raw {
    let mut raw = Raw::connect(gateway.address);
    raw.send(format!("{line} HTTP/1.1\r\nHost: app.example\r\nSec-Fetch-Mode: cors\r\nCookie: {cookie}\r\n{lines}\r\n"));
    raw
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_the_same_by_http_2() {
    let mut application = H2Upstream::plain(|_| {}).await;
    let gateway = before(&application).start();
    let cookie = block_in_place(|| gateway.sign_in("alice", &[("groups", &["a", "b"])]));
    let forged = "X-User: mallory\r\nx_user: mallory\r\nConnection: x-mine, content-length\r\nX-Mine: 1\r\nTE: trailers\r\nKeep-Alive: 5\r\n\
                  Cookie: own=1\r\nContent-Length: 5\r\nExpect: 100-continue\r\n";
    let mut client = ask(&gateway, &cookie, "PUT /a%20b?c=%C3%A9", forged);
    client.send("12345");
    let mut request = application.next().await;
    let uri = request.head.uri();
    assert_eq!((request.head.method().as_str(), uri.to_string().as_str()), ("PUT", "http://app.example/a%20b?c=%C3%A9"));
    for (name, values) in [
        ("x-user", &["alice"][..]),
        ("x_user", &[]),
        ("x-groups", &["a,b"]),
        ("x-forwarded-for", &["127.0.0.1"]),
        ("cookie", &["own=1"]),
        ("content-length", &["5"]),
        ("te", &["trailers"]),
        ("host", &[]),
        ("x-mine", &[]),
        ("connection", &[]),
        ("keep-alive", &[]),
        ("expect", &[]),
    ] {
        assert_eq!(request.all(name), values, "{name}");
    }
    assert_eq!(request.all("x-samlgate-assertion").len(), 1);
    let mut body = Vec::new();
    while let Some(piece) = request.piece().await {
        body.extend(piece.unwrap());
    }
    assert_eq!(body, b"12345");
    let mut answer = request.answer(201);
    answer.send_data(Bytes::from_static(b"made"), false).unwrap();
    answer.send_trailers(HeaderMap::from_iter([("x-sum".parse().unwrap(), HeaderValue::from_static("7"))])).unwrap();
    let mut continued = [0; 25];
    client.stream.read_exact(&mut continued).unwrap();
    assert_eq!(&continued, b"HTTP/1.1 100 Continue\r\n\r\n");
    let answer = client.answer().unwrap();
    assert_eq!((answer.status(), answer.text().as_str()), (201, "4\r\nmade\r\n0\r\n\r\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_exchanges_share_a_connection_and_more_get_another() {
    let (mut application, gateway, cookie) = signed_in().await;
    let mut clients = vec![ask(&gateway, &cookie, "GET /first", "")];
    application.next().await.say("hello");
    assert_eq!(clients.pop().unwrap().answer().unwrap().text(), "hello");
    let mut held = Vec::new();
    for _ in 0..65 {
        clients.push(ask(&gateway, &cookie, "GET /held", ""));
        held.push(application.next().await);
    }
    assert_eq!(application.connections(), 2);
    held.drain(..).for_each(|held| held.say("all"));
    assert!(clients.iter_mut().all(|client| client.answer().unwrap().text() == "all"));
    // HEAD has a length and no body.
    let mut client = ask(&gateway, &cookie, "HEAD /", "");
    let mut request = application.next().await;
    let head = http::Response::builder().header("content-length", "1234").body(()).unwrap();
    request.respond.send_response(head, true).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut octet = [0; 1];
        client.stream.read_exact(&mut octet).unwrap();
        answer.extend(octet);
    }
    assert!(String::from_utf8(answer).unwrap().to_lowercase().contains("content-length: 1234\r\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_says_goodbye_takes_no_more_and_loses_nothing() {
    let (mut application, gateway, cookie) = signed_in().await;
    let mut last = ask(&gateway, &cookie, "GET /goodbye", "");
    let under_way = application.next().await;
    for at in 0..20 {
        // Not even what may not be sent twice.
        let mut client = ask(&gateway, &cookie, "POST /", "Content-Length: 2\r\n");
        client.send("hi");
        application.next().await.say("next");
        assert_eq!(client.answer().unwrap().text(), "next", "{at}");
    }
    under_way.say("bye");
    assert_eq!(last.answer().unwrap().text(), "bye");
    assert_eq!(application.connections(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sides_may_speak_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let files = certificate(directory.path());
    let mut application = H2Upstream::plain(|_| {}).await;
    let mut wanted = before(&application);
    wanted.tls = Some(files.clone());
    let gateway = wanted.start();
    let cookie = block_in_place(|| gateway.sign_in("alice", &[]));
    let io = stream(gateway.address, &files).await;
    let (client, connection) = h2::client::handshake(io).await.unwrap();
    tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    let request = Request::post("https://app.example/echo.Echo/Both")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("cookie", cookie)
        .body(())
        .unwrap();
    let (answer, mut upload) = client.send_request(request, false).unwrap();
    let mut request = application.next().await;
    assert_eq!(request.all("te"), ["trailers"]);
    let mut out = request.answer(200);
    let mut answer = answer.await.unwrap().into_body();
    for round in 0..3_u8 {
        upload.send_data(Bytes::copy_from_slice(&[round; 9]), false).unwrap();
        let got = request.piece().await.unwrap().unwrap();
        out.send_data(got, false).unwrap();
        let back = answer.data().await.unwrap().unwrap();
        answer.flow_control().release_capacity(back.len()).unwrap();
        assert_eq!(&back[..], [round; 9]);
    }
    upload.send_data(Bytes::new(), true).unwrap();
    assert!(request.piece().await.is_none_or(|piece| piece.unwrap().is_empty()));
    out.send_trailers(HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from_static("0"))])).unwrap();
    assert!(answer.data().await.is_none());
    assert_eq!(answer.trailers().await.unwrap().unwrap()["grpc-status"], "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_cut_off_is_not_passed_off_as_whole() {
    let (mut application, gateway, cookie) = signed_in().await;
    for reason in [h2::Reason::NO_ERROR, h2::Reason::CANCEL, h2::Reason::INTERNAL_ERROR] {
        let mut client = ask(&gateway, &cookie, "GET /", "");
        let mut request = application.next().await;
        let mut answer = request.answer(200);
        answer.send_data(Bytes::from_static(b"half"), false).unwrap();
        let mut first = [0; 1];
        client.stream.read_exact(&mut first).unwrap();
        answer.send_reset(reason);
        let mut rest = Vec::new();
        let _ = client.stream.read_to_end(&mut rest);
        assert!(!rest.ends_with(b"0\r\n\r\n"), "{reason:?}: {}", String::from_utf8_lossy(&rest));
    }
    // And an upload that the client breaks off isn't whole for the application.
    let mut client = ask(&gateway, &cookie, "POST /", "Transfer-Encoding: chunked\r\n");
    client.send("2\r\nhi\r\n");
    let mut request = application.next().await;
    assert_eq!(request.piece().await.unwrap().unwrap(), "hi");
    drop(client);
    assert!(request.piece().await.unwrap().is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_have_their_limits_and_so_does_waiting() {
    let mut application = H2Upstream::plain(|_| {}).await;
    let wanted = before(&application).upstream(|settings| {
        settings.max_body = Some(4);
        settings.response_timeout = Duration::from_millis(400);
    });
    let gateway = wanted.start();
    let cookie = block_in_place(|| gateway.sign_in("alice", &[]));
    let mut large = ask(&gateway, &cookie, "POST /", "Transfer-Encoding: chunked\r\n");
    large.send("3\r\n123\r\n");
    let mut request = application.next().await;
    assert_eq!(request.piece().await.unwrap().unwrap(), "123");
    large.send("2\r\n45\r\n");
    assert_eq!(large.answer().unwrap().status(), 413);
    assert!(request.piece().await.unwrap().is_err());
    let mut slow = ask(&gateway, &cookie, "GET /", "");
    let _kept = application.next().await;
    assert_eq!(slow.answer().unwrap().status(), 504);
    // The connection is none the worse for it.
    let mut next = ask(&gateway, &cookie, "GET /", "");
    application.next().await.say("fine");
    assert_eq!(next.answer().unwrap().text(), "fine");
    assert_eq!(application.connections(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_doesn_t_read_keeps_nobody_waiting() {
    let (mut application, gateway, cookie) = signed_in().await;
    let mut idle = Vec::new();
    for _ in 0..20 {
        let client = ask(&gateway, &cookie, "GET /large", "");
        let mut request = application.next().await;
        let mut answer = request.answer(200);
        // All that the stream takes, and more.
        answer.send_data(Bytes::from(vec![0; 64 << 20]), false).unwrap();
        idle.push((client, answer));
    }
    let mut other = ask(&gateway, &cookie, "GET /", "");
    application.next().await.say("at once");
    assert_eq!(other.answer().unwrap().text(), "at once");
    assert_eq!(application.connections(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_pieces_that_wait_are_no_reason_to_end_a_connection() {
    let (mut application, gateway, cookie) = signed_in().await;
    let mut idle = Vec::new();
    for _ in 0..4 {
        let client = ask(&gateway, &cookie, "GET /events", "");
        let mut request = application.next().await;
        let mut answer = request.answer(200);
        for _ in 0..20_000 {
            answer.send_data(Bytes::from_static(b"0123456789"), false).unwrap();
        }
        idle.push((client, answer));
    }
    for _ in 0..3 {
        let mut other = ask(&gateway, &cookie, "GET /", "");
        application.next().await.say("at once");
        assert_eq!(other.answer().unwrap().text(), "at once");
    }
    assert_eq!(application.connections(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_may_allow_fewer_exchanges() {
    let mut application = H2Upstream::plain(|builder| {
        builder.max_concurrent_streams(2);
    })
    .await;
    let gateway = before(&application).start();
    let cookie = block_in_place(|| gateway.sign_in("alice", &[]));
    let mut held = Vec::new();
    for _ in 0..6 {
        let client = ask(&gateway, &cookie, "GET /events", "");
        held.push((client, application.next().await));
    }
    assert!(application.connections() >= 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_began_has_no_limit_as_a_whole() {
    let mut application = H2Upstream::plain(|_| {}).await;
    let wanted = before(&application).upstream(|settings| settings.response_timeout = Duration::from_millis(300));
    let gateway = wanted.start();
    let cookie = block_in_place(|| gateway.sign_in("alice", &[]));
    let mut client = ask(&gateway, &cookie, "POST /both", "Transfer-Encoding: chunked\r\n");
    client.send("2\r\nhi\r\n");
    let mut request = application.next().await;
    let mut answer = request.answer(200);
    answer.send_data(Bytes::from_static(b"a"), false).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"1\r\na\r\n") {
        let mut octet = [0; 1];
        client.stream.read_exact(&mut octet).unwrap();
        head.extend(octet);
    }
    client.send("0\r\n\r\n");
    while let Some(piece) = request.piece().await {
        piece.unwrap();
    }
    let began = std::time::Instant::now();
    while began.elapsed() < Duration::from_millis(1200) {
        answer.send_data(Bytes::from_static(b"b"), false).unwrap();
        let mut piece = [0; 6];
        client.stream.read_exact(&mut piece).unwrap();
        assert_eq!(&piece, b"1\r\nb\r\n");
    }
    // The next one waits for nothing: what expires, expires while nothing comes.
    answer.send_data(Bytes::new(), true).unwrap();
    let mut end = [0; 5];
    client.stream.read_exact(&mut end).unwrap();
    assert_eq!(&end, b"0\r\n\r\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rest_of_an_upload_ends_with_the_answer() {
    let (mut application, gateway, cookie) = signed_in().await;
    let mut client = ask(&gateway, &cookie, "POST /", "Transfer-Encoding: chunked\r\n");
    client.send("2\r\nhi\r\n");
    let mut request = application.next().await;
    assert_eq!(request.piece().await.unwrap().unwrap(), "hi");
    let head = http::Response::builder().status(413).header("content-length", 0).body(()).unwrap();
    request.respond.send_response(head, true).unwrap();
    assert_eq!(client.answer().unwrap().status(), 413);
    // The client keeps its side open, and the application hears all the same that nothing more comes.
    assert!(request.piece().await.unwrap().is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_application_doesn_t_take_any_more_is_in_nobody_s_way() {
    let (mut application, gateway, cookie) = signed_in().await;
    let mut client = ask(&gateway, &cookie, "POST /both", "Content-Length: 1000000\r\n");
    client.send(vec![b'x'; 300_000]);
    let mut request = application.next().await;
    let mut answer = request.answer(200);
    answer.send_data(Bytes::from_static(b"a"), false).unwrap();
    client.stream.read_exact(&mut [0; 1]).unwrap();
    // The client leaves, which is noticed as more comes for it. The application has taken nothing of what it sent, and never will.
    drop(client);
    let mut asked = 0;
    while application.connections() < 2 {
        asked += 1;
        assert!(asked < 10_000, "requests still go where something is stuck");
        let _ = answer.send_data(Bytes::from_static(b"b"), false);
        let mut other = ask(&gateway, &cookie, "GET /", "");
        application.next().await.say("fine");
        assert_eq!(other.answer().unwrap().text(), "fine");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_was_not_begun_is_sent_once_more() {
    let (mut application, gateway, cookie) = signed_in().await;
    let mut first = ask(&gateway, &cookie, "GET /", "");
    application.next().await.say("first");
    assert_eq!(first.answer().unwrap().text(), "first");
    // Refused before any work: even a POST, as it has no body.
    let mut refused = ask(&gateway, &cookie, "POST /", "Content-Length: 0\r\n");
    application.next().await.respond.send_reset(h2::Reason::REFUSED_STREAM);
    application.next().await.say("second");
    assert_eq!(refused.answer().unwrap().text(), "second");
    // Begun, perhaps: not even a GET.
    let mut broken = ask(&gateway, &cookie, "GET /", "");
    application.next().await.respond.send_reset(h2::Reason::INTERNAL_ERROR);
    assert_eq!(broken.answer().unwrap().status(), 502);
    let mut last = ask(&gateway, &cookie, "GET /last", "");
    let request = application.next().await;
    assert_eq!(request.head.uri().path(), "/last");
    request.say("last");
    assert_eq!(last.answer().unwrap().text(), "last");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_end_with_their_session() {
    let (mut application, gateway, cookie) = signed_in().await;
    let mut client = ask(&gateway, &cookie, "GET /events", "");
    let mut request = application.next().await;
    let mut answer = request.answer(200);
    answer.send_data(Bytes::from_static(b"event"), false).unwrap();
    client.stream.read_exact(&mut [0; 1]).unwrap();
    block_in_place(|| gateway.sign_out("alice"));
    let ended = tokio::time::timeout(PATIENCE, std::future::poll_fn(|cx| answer.poll_reset(cx))).await.expect("it is reset");
    assert!(ended.is_ok());
    let mut rest = Vec::new();
    let _ = client.stream.read_to_end(&mut rest);
    assert!(!rest.ends_with(b"0\r\n\r\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_tls_the_application_chooses() {
    let directory = tempfile::tempdir().unwrap();
    let files = certificate(directory.path());
    let mut application = H2Upstream::tls(&files).await;
    let port = application.address.port();
    let gateway = before(&application)
        .upstream(|settings| {
            settings.url = UpstreamUrl::Https { host: "localhost".to_owned(), port };
            settings.ca = Some(files.certificate.clone());
        })
        .start();
    let cookie = block_in_place(|| gateway.sign_in("alice", &[]));
    let mut client = ask(&gateway, &cookie, "GET /x", "");
    let request = application.next().await;
    assert_eq!(request.head.uri().to_string(), "https://app.example/x");
    request.say("by TLS");
    assert_eq!(client.answer().unwrap().text(), "by TLS");
}

#[test]
fn an_application_that_is_no_http_2_server_is_no_gateway() {
    let upstream = Upstream::answering(|_, _| Then::Close);
    let port = upstream.address.port();
    let rules = vec![Rule::new("/**", Allow::Anyone)];
    let wanted = Wanted::before(upstream.address).rules(rules);
    let gateway = wanted.upstream(|settings| settings.url = UpstreamUrl::H2c { host: "127.0.0.1".to_owned(), port }).start();
    for _ in 0..2 {
        let answer = ask(&gateway, "", "GET /", "").answer().unwrap();
        assert_eq!(answer.status(), 502);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_by_http_2_reach_applications_by_http_2() {
    let directory = tempfile::tempdir().unwrap();
    let files = certificate(directory.path());
    let mut application = H2Upstream::plain(|_| {}).await;
    let mut wanted = before(&application);
    wanted.tls = Some(files.clone());
    let gateway = wanted.start();
    let cookie = block_in_place(|| gateway.sign_in("alice", &[]));
    let mut client = Http2::connect(gateway.address, &files).await;
    let request = Request::post("https://app.example/").header("cookie", cookie).header("x-user", "mallory");
    let asking = tokio::spawn(async move {
        let answer = client.ask(request.body(Full::new(Bytes::from_static(b"body"))).unwrap()).await;
        answer.map(|answer| answer.into_body())
    });
    let request = application.next().await;
    assert_eq!((request.all("x-user"), request.all("content-length")), (vec!["alice"], vec!["4"]));
    request.say("yes");
    assert_eq!(asking.await.unwrap().unwrap(), "yes");
}
