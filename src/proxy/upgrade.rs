//! WebSockets: the same gate, then octets in both directions until one side, the session or silence ends it.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use http::header::{CONNECTION, UPGRADE};
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use hyper::body::{Body as _, Incoming};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;

use super::body::{Origin, Outgoing, Relay, Upload};
use super::client_io::{Busy, Phase};
use super::connect::UpstreamIo;
use super::forward::{Exchange, Framing, finish, http1_head, judge_length, no_answer, refusal, strip, unreachable};
use super::gate::{ClientConnection, GateParts, Refusal};
use super::hop_by_hop;
use super::link::{Failure, Limits, Outbound};
use super::measure::Outcome;
use super::watch::Watch;
use crate::session::Session;
use crate::web::Problem;

/// Opens a WebSocket to the application. It gets a connection of its own. When the application declines, its answer is
/// passed on.
///
/// # Errors
/// When the application doesn't answer.
pub(crate) async fn upgrade(
    exchange: Exchange<'_>,
    mut head: Parts,
    body: Incoming,
    connection: &ClientConnection,
    busy: Busy,
) -> Result<Response<Outgoing>, Refusal> {
    let (gate, pool) = (exchange.gate, exchange.pool);
    let client_side = head.extensions.remove::<OnUpgrade>();
    if !body.is_end_stream() || judge_length(&head.headers, gate)?.is_some_and(|length| length > 0) {
        return Err(Refusal::new(Problem::BadRequest("a request for a WebSocket has no body"), Outcome::BadRequest));
    }
    strip(&exchange, &mut head.headers);
    let head = http1_head(&exchange, &head, Framing::WebSocket)?;

    let settings = gate.parts.upstreams.settings();
    let limits = Limits { response: settings.response_timeout, idle: settings.idle_timeout };
    let began = Instant::now();
    let mut link = pool.open().await.map_err(|error| unreachable(exchange.facts, pool, &error))?;
    let request = Outbound { head, upload: Upload::Empty, length: None, to_head: false };
    let mut answer = link.send(request, limits, false).await.map_err(|failure| no_answer(exchange.facts, pool, failure))?;
    pool.measure().answered(began.elapsed());

    if answer.head.status != StatusCode::SWITCHING_PROTOCOLS {
        link.retire();
        finish(gate, &mut answer.head)?;
        if let Some(whole) = link.take_whole() {
            return Ok(Response::from_parts(answer.head, Outgoing::own(whole.into(), busy)));
        }
        let relay = Relay::new(Box::new(Origin::Http1(link, Rc::clone(pool))), exchange.session, Arc::clone(&gate.parts), busy);
        return Ok(Response::from_parts(answer.head, Outgoing::Relay(Box::new(relay))));
    }
    let mut head = answer.head;
    let agreed = head.headers.get_all(UPGRADE).iter().flat_map(hop_by_hop::tokens).any(|to| to.eq_ignore_ascii_case("websocket"));
    let (Some(client_side), true) = (client_side, agreed) else {
        return Err(refusal(Failure::Lost));
    };
    let watch = Arc::clone(link.watch());
    watch.beat();
    connection.phase.set_upgraded();
    hop_by_hop::strip_response(&mut head.headers);
    gate.parts.web.cookies().strip_response(&mut head.headers);
    head.headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    head.headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    let phase = Arc::clone(&connection.phase);
    let tunnel = Tunnel {
        client_side,
        application_side: link.into_io(),
        watch,
        session: exchange.session,
        parts: Arc::clone(&gate.parts),
        phase,
        _busy: busy,
    };
    tokio::task::spawn_local(tunnel.run());
    let empty = Outgoing::own(http_body_util::Full::default(), Busy::new(&connection.phase));
    Ok(Response::from_parts(head, empty))
}

/// An open WebSocket.
struct Tunnel {
    client_side: OnUpgrade,
    application_side: UpstreamIo,
    /// Of the connection to the application: every octet of either direction passes there.
    watch: Arc<Watch>,
    session: Option<Arc<Session>>,
    parts: Arc<GateParts>,
    phase: Arc<Phase>,
    /// The client's connection isn't idle.
    _busy: Busy,
}

impl Tunnel {
    async fn run(self) {
        let Self { client_side, mut application_side, watch, session, parts, phase, _busy } = self;
        let copying = async {
            let copied = copy_bidirectional(&mut TokioIo::new(client_side.await?), &mut application_side).await;
            Ok::<_, hyper::Error>(copied.is_ok())
        };
        let mut copying = pin!(copying);
        let (mut seen, mut heard) = (watch.tick(), phase.heard());
        poll_fn(|cx| {
            watch.wakes(cx.waker());
            if copying.as_mut().poll(cx).is_ready() || watch.expired() || watch.draining() {
                return Poll::Ready(());
            }
            // About once a second.
            if let Some(session) = &session
                && watch.tick() != seen
            {
                seen = watch.tick();
                let now = parts.clock.now();
                if !session.is_live(now) {
                    return Poll::Ready(());
                }
                // What the user sends counts as use, what the application sends doesn't.
                if std::mem::replace(&mut heard, phase.heard()) != phase.heard() {
                    session.touch(now);
                }
            }
            Poll::Pending
        })
        .await;
    }
}
