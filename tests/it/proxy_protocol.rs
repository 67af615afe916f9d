//! The PROXY protocol: who says whose connection it is, and who doesn't.

use samlgate::access::{Allow, Rule};

use crate::support::gateway::{Gateway, Wanted, certificate};
use crate::support::raw::Raw;
use crate::support::upstream::Upstream;

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: app.example\r\nX-Forwarded-For: 192.0.2.9\r\n\r\n";

fn before(upstream: &Upstream, trusted: &str) -> Wanted {
    let mut wanted = Wanted::before(upstream.address).rules(vec![Rule::new("/**", Allow::Anyone)]);
    wanted.trusted_proxies = vec![trusted.parse().unwrap()];
    wanted.proxy_protocol = true;
    wanted
}

fn told(gateway: &Gateway, upstream: &Upstream, header: &str) -> Option<String> {
    let mut raw = Raw::connect(gateway.address);
    let answer = raw.send(format!("{header}{REQUEST}")).answer();
    answer.filter(|answer| answer.status() == 200)?;
    upstream.seen().pop().unwrap().one("x-forwarded-for").map(str::to_owned)
}

#[test]
fn only_trusted_proxies_say_whose_connection_it_is() {
    let upstream = Upstream::start();
    let trusting = before(&upstream, "127.0.0.0/8").start();
    let told_trusting = |header: &str| told(&trusting, &upstream, header);
    // Whose connection it is isn't trusted to say more, unless that address is.
    assert_eq!(told_trusting("PROXY TCP4 203.0.113.7 10.0.0.1 4660 443\r\n").as_deref(), Some("203.0.113.7"));
    assert_eq!(told_trusting("PROXY TCP4 127.0.0.5 10.0.0.1 4660 443\r\n").as_deref(), Some("192.0.2.9, 127.0.0.5"));
    assert_eq!(told_trusting("PROXY UNKNOWN\r\n").as_deref(), Some("0.0.0.0"), "nobody's word is believed");
    assert_eq!(told_trusting(""), None, "a trusted proxy that sends no header is closed");

    let strict = before(&upstream, "10.0.0.0/8").start();
    assert_eq!(told(&strict, &upstream, "PROXY TCP4 203.0.113.7 10.0.0.1 4660 443\r\n"), None);
    assert_eq!(told(&strict, &upstream, "").as_deref(), Some("127.0.0.1"));
}

#[test]
fn the_header_comes_before_tls() {
    let upstream = Upstream::start();
    let directory = tempfile::tempdir().unwrap();
    let files = certificate(directory.path());
    let mut wanted = before(&upstream, "127.0.0.0/8");
    wanted.tls = Some(files.clone());
    let gateway = wanted.start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        use tokio::io::AsyncWriteExt as _;
        let mut tcp = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
        tcp.write_all(b"PROXY TCP6 2001:db8::7 ::1 4660 443\r\n").await.unwrap();
        let connector = crate::support::http2::tls(&files, &["http/1.1"], rustls::ALL_VERSIONS);
        let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
        let mut tls = connector.connect(name, tcp).await.unwrap();
        tls.write_all(REQUEST.as_bytes()).await.unwrap();
        let mut answer = [0; 15];
        tokio::io::AsyncReadExt::read_exact(&mut tls, &mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
    });
    assert_eq!(upstream.only().one("x-forwarded-for"), Some("2001:db8::7"));
}
