use futures_util::StreamExt as _;
use http_body_util::{BodyExt as _, Full, StreamBody};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::super::client_io::Busy;
use super::super::watch::{Sweep, TICK};
use super::*;
use crate::clock::SystemClock;

/// A client, the connection that it has, its limits, and its clock.
fn connected() -> (UnixStream, impl Future<Output = ()>, Rc<Phase>, Sweep) {
    let (ours, client) = UnixStream::pair().unwrap();
    let sweep = Sweep::default();
    let phase = Rc::new(Phase::new(sweep.watch(), Duration::from_secs(600)));
    let io = ClientIo::new(Transport::Unix(ours), true, Rc::clone(&phase));
    let its_phase = Rc::clone(&phase);
    let answer = async move |head: &mut Parts, _, _| {
        drop(Busy::new(&its_phase));
        said(head.uri.path().to_owned())
    };
    (client, serve_http1(io, answer, Arc::new(SystemClock), Rc::clone(&phase)), phase, sweep)
}

async fn pass(sweep: &Sweep, ticks: u32) {
    for _ in 0..ticks {
        sweep.tick();
        for _ in 0..4 {
            tokio::task::yield_now().await;
        }
    }
}

async fn answer(client: &mut UnixStream, path: &str) {
    let mut read = Vec::new();
    while !read.ends_with(format!("\r\n\r\n{path}").as_bytes()) {
        read.push(client.read_u8().await.unwrap());
    }
}

#[tokio::test]
async fn an_idle_connection_sleeps_and_wakes_up_for_the_next_request() {
    tokio::task::LocalSet::new()
        .run_until(async {
            let (mut client, serving, phase, sweep) = connected();
            tokio::task::spawn_local(serving);
            pass(&sweep, 10).await;
            let awake = Rc::strong_count(&phase);
            for path in ["/a", "/b", "/c"] {
                let (head, end) = (format!("GET {path} HTTP/1.1\r\n"), "Host: a\r\n\r\n");
                client.write_all(head.as_bytes()).await.unwrap();
                pass(&sweep, 10).await;
                assert_eq!(Rc::strong_count(&phase), awake, "half a head has come");
                client.write_all(end.as_bytes()).await.unwrap();
                answer(&mut client, path).await;
                pass(&sweep, 10).await;
                assert_eq!(Rc::strong_count(&phase), awake - 1, "it sleeps");
            }
            // Empty lines don't keep it awake, nor end it.
            for _ in 0..2 {
                client.write_all(b"\r\n").await.unwrap();
                pass(&sweep, 10).await;
                assert_eq!(Rc::strong_count(&phase), awake - 1, "it sleeps again");
            }
            // Two at once, and a body in two parts.
            client
                .write_all(b"GET /d HTTP/1.1\r\nHost: a\r\n\r\nPOST /e HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nGET ")
                .await
                .unwrap();
            answer(&mut client, "/d").await;
            answer(&mut client, "/e").await;
            pass(&sweep, 10).await;
            let _ = client.write_all(b"/f HT").await;
            let mut rest = Vec::new();
            let _ = client.read_to_end(&mut rest).await;
            assert!(rest.is_empty(), "no part of a body is a request: {}", String::from_utf8_lossy(&rest));
        })
        .await;
}

#[tokio::test]
async fn who_goes_on_sending_after_the_answer_is_heard_out_for_a_while() {
    enum By {
        Client,
        Time,
        Worker,
    }
    for by in [By::Client, By::Time, By::Worker] {
        tokio::task::LocalSet::new()
            .run_until(async {
                let (mut client, serving, _phase, sweep) = connected();
                let serving = tokio::task::spawn_local(serving);
                client.write_all(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n").await.unwrap();
                let mut read = Vec::new();
                client.read_to_end(&mut read).await.unwrap();
                assert!(read.ends_with(b"\r\n\r\n/a"), "the answer and the end");
                client.write_all(&vec![b'x'; 4 << 20]).await.unwrap();
                pass(&sweep, 20).await;
                assert!(!serving.is_finished());
                match by {
                    By::Client => drop(client),
                    By::Time => {
                        pass(&sweep, u32::try_from((LINGERING_LIMIT + TICK * 2).as_millis() / TICK.as_millis()).unwrap()).await
                    }
                    By::Worker => sweep.drain(),
                }
                serving.await.unwrap();
            })
            .await;
    }
}

#[tokio::test]
async fn a_sleeping_connection_ends_when_it_is_idle_for_too_long_or_the_worker_ends() {
    for drains in [false, true] {
        tokio::task::LocalSet::new()
            .run_until(async {
                let (mut client, serving, _phase, sweep) = connected();
                let serving = tokio::task::spawn_local(serving);
                client.write_all(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
                answer(&mut client, "/a").await;
                pass(&sweep, 10).await;
                assert!(!serving.is_finished());
                match drains {
                    true => sweep.drain(),
                    false => pass(&sweep, u32::try_from(80_000 / TICK.as_millis()).unwrap()).await,
                }
                assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
                serving.await.unwrap();
            })
            .await;
    }
}

#[tokio::test]
async fn requests_that_wait_behind_a_slow_one_are_all_answered() {
    tokio::task::LocalSet::new()
        .run_until(async {
            let (ours, mut client) = UnixStream::pair().unwrap();
            let sweep = Sweep::default();
            let phase = Rc::new(Phase::new(sweep.watch(), Duration::from_secs(600)));
            let io = ClientIo::new(Transport::Unix(ours), true, Rc::clone(&phase));
            let (its_phase, go) = (Rc::clone(&phase), Rc::new(tokio::sync::Notify::new()));
            let slow = Rc::clone(&go);
            let answering = async move |head: &mut Parts, _, _| {
                let busy = Busy::new(&its_phase);
                if head.uri.path() == "/slow" {
                    slow.notified().await;
                }
                drop(busy);
                said("x")
            };
            let serving = serve_http1(io, answering, Arc::new(SystemClock), Rc::clone(&phase));
            let serving = tokio::task::spawn_local(serving);
            let head = |path| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
            client.write_all(format!("{}{}", head("/slow"), head("/quick").repeat(20)).as_bytes()).await.unwrap();
            pass(&sweep, 10).await;
            go.notify_one();
            for _ in 0..21 {
                answer(&mut client, "x").await;
            }
            assert!(!serving.is_finished());
        })
        .await;
}

/// What a test does with the requests of a connection.
async fn with<B: Body<Data = Bytes> + Unpin + 'static>(
    answer: impl AsyncFn(Request<Incoming>, Option<Offer>) -> Answered<B> + 'static,
    test: impl AsyncFnOnce(UnixStream, tokio::task::JoinHandle<()>, Sweep),
) {
    let (ours, client) = UnixStream::pair().unwrap();
    let sweep = Sweep::default();
    let phase = Rc::new(Phase::new(sweep.watch(), Duration::from_secs(600)));
    let io = ClientIo::new(Transport::Unix(ours), true, Rc::clone(&phase));
    // As long as something is being answered, and here from then on.
    let (busy, its_phase) = (RefCell::new(None), Rc::clone(&phase));
    let answer = async move |head: &mut Parts, body, offer| {
        busy.borrow_mut().get_or_insert_with(|| Busy::new(&its_phase));
        answer(Request::from_parts(head.clone(), body), offer).await
    };
    tokio::task::LocalSet::new()
        .run_until(async {
            let serving = tokio::task::spawn_local(serve_http1(io, answer, Arc::new(SystemClock), phase));
            test(client, serving, sweep).await;
        })
        .await;
}

fn said(text: impl Into<Bytes>) -> Answered<Full<Bytes>> {
    Answered::Fields(Response::new(Full::new(text.into())))
}

async fn until(client: &mut UnixStream, end: &str) -> String {
    let mut read = Vec::new();
    while !read.ends_with(end.as_bytes()) {
        read.push(client.read_u8().await.unwrap());
    }
    String::from_utf8(read).unwrap()
}

#[tokio::test]
async fn whoever_goes_away_ends_what_is_being_answered() {
    let never = async |_: Request<Incoming>, _: Option<Offer>| -> Answered<Full<Bytes>> { std::future::pending().await };
    for request in ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab"] {
        with(
            async move |request, offer| {
                let _whole = request.into_body().collect().await;
                never(Request::new(Incoming::Nothing), offer).await
            },
            async |mut client, serving, sweep| {
                client.write_all(request.as_bytes()).await.unwrap();
                pass(&sweep, 3).await;
                drop(client);
                pass(&sweep, 40).await;
                assert!(!serving.is_finished(), "it may be listening");
                pass(&sweep, 20).await;
                serving.await.unwrap();
            },
        )
        .await;
    }
    // An answer that is being written, too.
    with(
        async |_, _| {
            let first = futures_util::stream::iter([Ok::<_, Infallible>(http_body::Frame::data(Bytes::from("x")))]);
            Answered::Fields(Response::new(StreamBody::new(first.chain(futures_util::stream::pending()))))
        },
        async |mut client, serving, sweep| {
            client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
            until(&mut client, "1\r\nx\r\n").await;
            drop(client);
            pass(&sweep, 60).await;
            serving.await.unwrap();
        },
    )
    .await;
}

#[tokio::test]
async fn a_client_that_closes_its_side_after_asking_gets_its_answer() {
    let (go, wait) = (Rc::new(tokio::sync::Notify::new()), Rc::new(tokio::sync::Notify::new()));
    let waited = Rc::clone(&wait);
    let (going, body) = (Rc::clone(&go), vec![b'x'; 4 << 20]);
    with(
        async move |_, _| {
            waited.notify_one();
            going.notified().await;
            said(body.clone())
        },
        async |mut client, serving, sweep| {
            client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
            client.shutdown().await.unwrap();
            wait.notified().await;
            pass(&sweep, 20).await;
            go.notify_one();
            until(&mut client, "\r\n\r\n").await;
            // However long it takes, as long as it gets on.
            let mut rest = vec![0; 1 << 20];
            for _ in 0..4 {
                pass(&sweep, 100).await;
                client.read_exact(&mut rest).await.unwrap();
            }
            assert_eq!(client.read(&mut rest).await.unwrap(), 0);
            serving.await.unwrap();
        },
    )
    .await;
}

#[tokio::test]
async fn a_client_is_told_to_go_on_when_its_body_is_wanted_and_never_in_an_answer() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    with(
        async |request, _| said(request.into_body().collect().await.unwrap().to_bytes()),
        async |mut client, _serving, _sweep| {
            for body in ["abc", "def"] {
                client.write_all(head.as_bytes()).await.unwrap();
                assert_eq!(until(&mut client, "\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
                client.write_all(body.as_bytes()).await.unwrap();
                assert!(until(&mut client, body).await.starts_with("HTTP/1.1 200 OK\r\n"));
            }
        },
    )
    .await;
    with(
        async |_, _| said("no"),
        async |mut client, serving, _sweep| {
            client.write_all(head.as_bytes()).await.unwrap();
            let got = until(&mut client, "\r\n\r\nno").await;
            assert!(got.starts_with("HTTP/1.1 200 OK\r\n") && got.contains("\r\nconnection: close\r\n"), "{got}");
            assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
            drop(client);
            serving.await.unwrap();
        },
    )
    .await;
}

#[tokio::test]
async fn a_body_that_nobody_wants_is_passed_over_if_it_is_here() {
    with(
        async |request, _| said(request.uri().path().to_owned()),
        async |mut client, _serving, _sweep| {
            let small = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
            let chunks = "POST /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
            client.write_all(format!("{small}{chunks}{small}").as_bytes()).await.unwrap();
            for path in ["/a", "/b", "/a"] {
                let got = until(&mut client, &format!("\r\n\r\n{path}")).await;
                assert!(!got.contains("connection: close"), "{got}");
            }
        },
    )
    .await;
}

#[tokio::test]
async fn whoever_still_reads_a_body_after_its_answer_gets_nothing_of_what_follows() {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let tell = RefCell::new(Some(tell));
    with(
        async move |request: Request<Incoming>, _| {
            let (tell, path) = (tell.take().unwrap(), request.uri().path().to_owned());
            tokio::task::spawn_local(async move {
                let mut body = request.into_body();
                while let Some(Ok(frame)) = body.frame().await {
                    tell.send(frame.into_data().unwrap()).unwrap();
                }
            });
            said(path)
        },
        async |mut client, serving, _sweep| {
            client.write_all(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 70\r\n\r\n").await.unwrap();
            until(&mut client, "\r\n\r\n/a").await;
            let _ = client.write_all(b"GET /b HTTP/1.1\r\nHost: a\r\n\r\n").await;
            assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
            drop(client);
            serving.await.unwrap();
            assert!(told.recv().await.is_none(), "it has heard that there is no more");
        },
    )
    .await;
}

#[tokio::test]
async fn what_can_t_be_read_to_its_end_ends_the_connection() {
    let trailers: String = (0..40).map(|at| format!("t{at}: x\r\n")).collect();
    let head = "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for rest in [format!("0\r\n{trailers}\r\n"), "0\r\nX: y\n\r\n".to_owned(), "z\r\n".to_owned()] {
        with(
            async |request, _| said(request.uri().path().to_owned()),
            async |mut client, serving, sweep| {
                client.write_all(format!("{head}{rest}GET /b HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).await.unwrap();
                let mut got = String::new();
                client.read_to_string(&mut got).await.unwrap();
                assert!(got.ends_with("\r\n\r\n/a"), "{got}");
                drop(client);
                pass(&sweep, 10).await;
                serving.await.unwrap();
            },
        )
        .await;
    }
}

#[tokio::test]
async fn another_protocol_gets_the_octets_that_came_ahead_of_it() {
    let (taken, handed) = tokio::sync::mpsc::unbounded_channel();
    let mut handed = handed;
    with(
        async move |_, offer: Option<Offer>| {
            taken.send(offer.unwrap()).unwrap();
            let switches = Response::builder().status(101).header("connection", "Upgrade").header("upgrade", "websocket");
            Answered::Fields(switches.body(Full::new(Bytes::new())).unwrap())
        },
        async |mut client, serving, _sweep| {
            let ask = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nahead";
            client.write_all(ask).await.unwrap();
            let got = until(&mut client, "\r\n\r\n").await;
            assert!(got.starts_with("HTTP/1.1 101 ") && !got.contains("length") && !got.contains("chunked"), "{got}");
            let mut io = handed.recv().await.unwrap().await.unwrap();
            client.write_all(b", behind").await.unwrap();
            let mut read = [0; 13];
            io.read_exact(&mut read).await.unwrap();
            assert_eq!(&read, b"ahead, behind");
            serving.await.unwrap();
        },
    )
    .await;
}

#[tokio::test]
async fn a_client_that_has_just_come_is_waited_for_only_a_moment_at_shutdown() {
    for asks in [false, true] {
        with(
            async |_, _| said("x"),
            async |mut client, serving, sweep| {
                pass(&sweep, 2).await;
                sweep.drain();
                pass(&sweep, 2).await;
                assert!(!serving.is_finished());
                if asks {
                    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
                    let got = until(&mut client, "\r\n\r\nx").await;
                    assert!(got.contains("\r\nconnection: close\r\n"), "{got}");
                } else {
                    pass(&sweep, 10).await;
                }
                assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
                serving.await.unwrap();
            },
        )
        .await;
    }
}
