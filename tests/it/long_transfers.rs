//! Transfers that take longer than a session may be idle, and answers that come before a body was sent.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use samlgate::access::{Allow, Rule};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::support::gateway::{Gateway, Wanted, certificate};
use crate::support::http2::stream;
use crate::support::raw::Raw;
use crate::support::upstream::{PATIENCE, read_head};

/// Sessions of these tests end after an hour without a request.
const MOST_OF_AN_HOUR: Duration = Duration::from_secs(50 * 60);

/// An application whose connections the test serves itself, their heads already read.
fn application() -> (SocketAddr, Receiver<(String, TcpStream)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (arrived, arrivals) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let head = read_head(&mut stream).unwrap_or_default();
            if arrived.send((head, stream)).is_err() {
                return;
            }
        }
    });
    (address, arrivals)
}

fn ask(gateway: &Gateway, cookie: &str, method: &str, lines: &str) -> Raw {
    let mut raw = Raw::connect(gateway.address);
    raw.send(format!("{method} / HTTP/1.1\r\nHost: app.example\r\nSec-Fetch-Mode: cors\r\nCookie: {cookie}\r\n{lines}\r\n"));
    raw
}

#[test]
fn an_upload_is_use_however_long_it_takes() {
    let (address, arrivals) = application();
    let gateway = Wanted::before(address).start();
    let cookie = gateway.sign_in("alice", &[]);
    let mut client = ask(&gateway, &cookie, "PUT", "Transfer-Encoding: chunked\r\n");
    client.send("1\r\n0\r\n");
    let (_, mut application) = arrivals.recv_timeout(PATIENCE).unwrap();
    for part in 1..5 {
        // Each part has arrived before the next hour begins.
        application.read_exact(&mut [0; 6]).unwrap();
        gateway.clock.advance(MOST_OF_AN_HOUR);
        client.send(format!("1\r\n{part}\r\n"));
    }
    application.read_exact(&mut [0; 6]).unwrap();
    client.send("0\r\n\r\n");
    application.read_exact(&mut [0; 5]).unwrap();
    application.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
    assert_eq!(client.answer().unwrap().status(), 200);
}

#[test]
fn an_upload_without_a_session_is_told_to_sign_in() {
    let (address, arrivals) = application();
    let gateway = Wanted::before(address).start();
    let cookie = gateway.sign_in("alice", &[]);
    let mut client = ask(&gateway, &cookie, "PUT", "Transfer-Encoding: chunked\r\n");
    client.send("1\r\n0\r\n");
    let (_, mut application) = arrivals.recv_timeout(PATIENCE).unwrap();
    application.read_exact(&mut [0; 6]).unwrap();
    gateway.sign_out("alice");
    gateway.clock.advance(Duration::from_secs(2));
    let answer = client.send("1\r\n1\r\n").answer().unwrap();
    assert_eq!((answer.status(), answer.header("www-authenticate")), (401, Some("SAML")));
    assert!(answer.text().contains("\"login_required\""), "{}", answer.text());
}

#[test]
fn a_download_outlasts_idleness_and_an_endless_stream_does_not() {
    let (address, arrivals) = application();
    let gateway = Wanted::before(address).start();
    let cookie = gateway.sign_in("alice", &[]);
    let open = |answer: &str| {
        let mut client = ask(&gateway, &cookie, "GET", "");
        let (_, mut application) = arrivals.recv_timeout(PATIENCE).unwrap();
        application.write_all(answer.as_bytes()).unwrap();
        read_head(&mut client.stream).unwrap();
        (client, application)
    };
    let (mut download, mut application) = open("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
    let (mut stream, _endless) = open("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    let (mut ended, _other) = open("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
    gateway.clock.advance(2 * MOST_OF_AN_HOUR);
    assert!(stream.is_closed());
    // By now the download was looked at as well.
    application.write_all(b"0123456789").unwrap();
    let mut got = [0; 10];
    download.stream.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"0123456789");
    // But a session that somebody ended is over for downloads, too.
    gateway.sign_out("alice");
    assert!(ended.is_closed());
}

#[test]
fn an_answer_counts_though_the_application_closes_without_reading() {
    let (address, arrivals) = application();
    let rules = vec![Rule::new("/**", Allow::Anyone)];
    let gateway = Wanted::before(address).rules(rules).start();
    const SIZE: usize = 8 << 20;
    for _ in 0..10 {
        let client = ask(&gateway, "", "POST", &format!("Content-Length: {SIZE}\r\n"));
        let mut sender = client.stream.try_clone().unwrap();
        let sending = std::thread::spawn(move || {
            let _ = sender.write_all(&vec![0; SIZE]);
        });
        let (_, mut application) = arrivals.recv_timeout(PATIENCE).unwrap();
        application.write_all(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig").unwrap();
        drop(application);
        let answer = { client }.answer().unwrap();
        assert_eq!((answer.status(), answer.text().as_str()), (413, "big"));
        sending.join().unwrap();
    }
}

#[tokio::test]
async fn whoever_looks_for_the_answer_only_after_sending_everything_still_finds_it() {
    const SIZE: usize = 32 << 20;
    async fn send_then_read(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> String {
        let head = format!("POST / HTTP/1.1\r\nHost: app.example\r\nSec-Fetch-Mode: cors\r\nContent-Length: {SIZE}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![0; SIZE]).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }
    let refused = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig";
    let (upstream, arrivals) = application();
    std::thread::spawn(move || {
        for (_, mut application) in arrivals {
            application.write_all(refused.as_bytes()).unwrap();
        }
    });
    let directory = tempfile::tempdir().unwrap();
    let files = certificate(directory.path());
    for (open, expected) in [(true, "HTTP/1.1 413 "), (false, "HTTP/1.1 401 ")] {
        for tls in [false, true] {
            let rules = if open { vec![Rule::new("/**", Allow::Anyone)] } else { Vec::new() };
            let mut wanted = Wanted::before(upstream).rules(rules);
            wanted.tls = tls.then(|| files.clone());
            let gateway = wanted.start();
            let tcp = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
            let answer = if tls {
                let connector = crate::support::http2::tls(&files, &["http/1.1"], rustls::ALL_VERSIONS);
                send_then_read(connector.connect("localhost".try_into().unwrap(), tcp).await.unwrap()).await
            } else {
                send_then_read(tcp).await
            };
            assert!(answer.starts_with(expected), "TLS: {tls}, {answer}");
        }
    }
}

#[tokio::test]
async fn an_upload_that_http2_cuts_off_is_not_whole() {
    for reason in [h2::Reason::NO_ERROR, h2::Reason::CANCEL] {
        let (address, arrivals) = application();
        let directory = tempfile::tempdir().unwrap();
        let files = certificate(directory.path());
        let mut wanted = Wanted::before(address).rules(vec![Rule::new("/**", Allow::Anyone)]);
        wanted.tls = Some(files.clone());
        let gateway = wanted.start();
        let (mut client, connection) = h2::client::handshake(stream(gateway.address, &files).await).await.unwrap();
        tokio::spawn(connection);
        let request = http::Request::post("https://app.example/").body(()).unwrap();
        let (_answer, mut upload) = client.send_request(request, false).unwrap();
        upload.send_data("half".into(), false).unwrap();
        let arrived = tokio::task::spawn_blocking(move || {
            let (head, mut application) = arrivals.recv_timeout(PATIENCE).unwrap();
            application.read_exact(&mut [0; "4\r\nhalf\r\n".len()]).unwrap();
            (head, application)
        });
        let (head, mut application) = arrived.await.unwrap();
        assert!(head.to_lowercase().contains("transfer-encoding: chunked"), "{head}");
        upload.send_reset(reason);
        let rest = tokio::task::spawn_blocking(move || {
            let mut rest = Vec::new();
            // However it ends.
            let _ = application.read_to_end(&mut rest);
            rest
        });
        assert_eq!(rest.await.unwrap(), b"", "{reason}");
    }
}
