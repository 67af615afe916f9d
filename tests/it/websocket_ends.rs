//! How a WebSocket ends when samlgate ends it: both sides are told, and nothing passes any more.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::gateway::{Gateway, Wanted};
use crate::support::raw::Raw;
use crate::support::websocket_application::{Application, Frame, head, is_over, passes, text};

/// About a second each for noticing and for the last words, on a machine with nothing else to do.
const SOON: Duration = Duration::from_secs(8);

/// alice's WebSocket, seen from both ends.
fn opened(gateway: &Gateway, application: &Application) -> (TcpStream, TcpStream) {
    let cookie = gateway.sign_in("alice", &[]);
    let mut raw = Raw::connect(gateway.address);
    let answer = raw.ask(format!(
        "GET /ws HTTP/1.1\r\nHost: app.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nCookie: {cookie}\r\n\r\n"
    ));
    assert_eq!(answer.status(), 101, "{}", answer.head);
    (raw.stream, application.next().1)
}

fn both() -> (Gateway, TcpStream, TcpStream) {
    let application = Application::start();
    let gateway = Wanted::before(application.address()).start();
    let (mut client, mut server) = opened(&gateway, &application);
    passes(&mut client, &mut server, &text("hello", true));
    passes(&mut server, &mut client, &text("hello yourself", false));
    (gateway, client, server)
}

#[test]
fn both_sides_are_told_that_the_session_is_over() {
    let (gateway, mut client, mut server) = both();
    let began = Instant::now();
    gateway.sign_out("alice");
    assert_eq!(Frame::read(&mut client), Some(Frame::close(1008, "session ended", false)));
    assert!(is_over(&mut client));
    assert_eq!(Frame::read(&mut server), Some(Frame::close(1008, "session ended", true)));
    assert!(is_over(&mut server));
    assert!(began.elapsed() < SOON);
}

#[test]
fn what_is_said_keeps_the_session_and_answers_to_pings_do_not() {
    // Sessions of these tests end after an hour without a request.
    const MOST_OF_AN_HOUR: Duration = Duration::from_secs(50 * 60);
    let (gateway, mut client, mut server) = both();
    gateway.clock.advance(MOST_OF_AN_HOUR);
    passes(&mut client, &mut server, &text("still here", true));
    // What comes back shows that the first was noticed.
    passes(&mut server, &mut client, b"\x89\x00");
    gateway.clock.advance(MOST_OF_AN_HOUR);
    passes(&mut client, &mut server, b"\x8a\x80\0\0\0\0");
    passes(&mut server, &mut client, b"\x89\x00");
    gateway.clock.advance(MOST_OF_AN_HOUR);
    assert_eq!(Frame::read(&mut client), Some(Frame::close(1008, "session ended", false)));
    assert_eq!(Frame::read(&mut server), Some(Frame::close(1008, "session ended", true)));
}

#[test]
fn nothing_passes_after_the_end() {
    let (gateway, mut client, mut server) = both();
    gateway.sign_out("alice");
    // At once, before samlgate has looked by itself.
    client.write_all(&text("do it all the same", true)).unwrap();
    server.write_all(&text("for your eyes only", false)).unwrap();
    assert_eq!(Frame::read(&mut client), Some(Frame::close(1008, "session ended", false)));
    assert_eq!(Frame::read(&mut server), Some(Frame::close(1008, "session ended", true)));
    assert!(is_over(&mut client) && is_over(&mut server));
}

#[test]
fn a_frame_that_the_application_has_begun_is_finished_and_no_other_begins() {
    const SIZE: usize = 200_000;
    let (gateway, mut client, mut server) = both();
    passes(&mut server, &mut client, &[head(SIZE, false), vec![0x88; SIZE / 2]].concat());
    gateway.sign_out("alice");
    server.write_all(&[vec![0x88; SIZE / 2], text("for your eyes only", false)].concat()).unwrap();
    let mut rest = vec![0; SIZE / 2];
    client.read_exact(&mut rest).unwrap();
    assert!(rest.iter().all(|octet| *octet == 0x88));
    assert_eq!(Frame::read(&mut client), Some(Frame::close(1008, "session ended", false)));
    assert!(is_over(&mut client));
}

#[test]
fn a_frame_that_the_client_has_begun_is_cut() {
    let (gateway, mut client, mut server) = both();
    passes(&mut client, &mut server, &[head(1000, true), vec![1; 500]].concat());
    gateway.sign_out("alice");
    client.write_all(&[2; 500]).unwrap();
    assert!(is_over(&mut server), "neither the rest, nor a frame in the middle of another");
    assert_eq!(Frame::read(&mut client), Some(Frame::close(1008, "session ended", false)));
    assert!(is_over(&mut client));
}

#[test]
fn an_application_that_never_finishes_its_frame_is_not_waited_for() {
    let (gateway, mut client, mut server) = both();
    passes(&mut server, &mut client, &[head(1000, false), vec![1; 500]].concat());
    let began = Instant::now();
    gateway.sign_out("alice");
    assert!(is_over(&mut client), "no frame in the middle of another");
    assert_eq!(Frame::read(&mut server), Some(Frame::close(1008, "session ended", true)));
    assert!(is_over(&mut server));
    assert!(began.elapsed() < SOON);
}

#[test]
fn a_client_that_does_not_read_is_not_waited_for() {
    let (gateway, _client, mut server) = both();
    let mut sender = server.try_clone().unwrap();
    // Until nobody takes any more, and then until the connection ends.
    let sending = std::thread::spawn(move || while sender.write_all(&[head(60_000, false), vec![0; 60_000]].concat()).is_ok() {});
    let began = Instant::now();
    gateway.sign_out("alice");
    assert_eq!(Frame::read(&mut server), Some(Frame::close(1008, "session ended", true)));
    assert!(is_over(&mut server));
    sending.join().unwrap();
    assert!(began.elapsed() < SOON);
}

#[test]
fn an_application_that_does_not_read_is_not_waited_for() {
    let (gateway, mut client, server) = both();
    let mut sender = client.try_clone().unwrap();
    let sending = std::thread::spawn(move || while sender.write_all(&[head(60_000, true), vec![0; 60_000]].concat()).is_ok() {});
    let began = Instant::now();
    gateway.sign_out("alice");
    assert_eq!(Frame::read(&mut client), Some(Frame::close(1008, "session ended", false)));
    assert!(is_over(&mut client));
    sending.join().unwrap();
    assert!(began.elapsed() < SOON);
    drop(server);
}

#[test]
fn who_has_closed_is_not_closed_again_and_what_is_no_frame_gets_none() {
    let (gateway, mut client, mut server) = both();
    passes(&mut client, &mut server, b"\x88\x82\0\0\0\0\x03\xe8");
    passes(&mut server, &mut client, &[0x82, 0x7f, 0x80, 0, 0, 0, 0, 0, 0, 0]);
    gateway.sign_out("alice");
    assert!(is_over(&mut server), "a Close frame is the last one");
    assert!(is_over(&mut client), "nobody knows where a frame could begin");
}

#[test]
fn silence_and_the_end_of_samlgate_are_told_too() {
    let application = Application::start();
    let wanted = Wanted::before(application.address());
    let gateway = wanted.upstream(|upstream| upstream.idle_timeout = Duration::from_millis(600)).start();
    let (mut client, mut server) = opened(&gateway, &application);
    assert_eq!(Frame::read(&mut client), Some(Frame::close(1001, "nothing was said for too long", false)));
    assert_eq!(Frame::read(&mut server), Some(Frame::close(1001, "nothing was said for too long", true)));
    assert!(is_over(&mut client) && is_over(&mut server));

    let (gateway, mut client, mut server) = both();
    let began = Instant::now();
    // It waits for a little, but not for ever: neither side goes by itself.
    gateway.stop();
    assert!(began.elapsed() < SOON);
    assert_eq!(Frame::read(&mut client), Some(Frame::close(1001, "shutting down", false)));
    assert_eq!(Frame::read(&mut server), Some(Frame::close(1001, "shutting down", true)));
    assert!(is_over(&mut client) && is_over(&mut server));
}
