//! WebSockets: the handshake with the application, by HTTP/1.1 whatever the client speaks.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use http::header::{CONNECTION, UPGRADE};
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode, Version};
use http_body::Body as _;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use super::answer::AnswerHead;
use super::body::{Origin, Outgoing, Relay, Upload};
use super::body_lines::Malformed;
use super::client_io::Busy;
use super::extended_connect::{self, Key};
use super::forward::{Exchange, Framing, finish, http1_head, judge_length, no_answer, refusal, strip, unreachable};
use super::gate::{ClientConnection, Offer, Refusal};
use super::hop_by_hop;
use super::incoming::Incoming;
use super::link::{Failure, Limits, Outbound};
use super::measure::Outcome;
use super::tunnel::Tunnel;
use super::worker::Counted;

/// What becomes of the client's side once it has heard that the application agrees.
enum ClientSide {
    /// The whole connection, handed over by its task.
    Http1(Offer),
    /// A stream.
    Http2(OnUpgrade),
}

/// Opens a WebSocket to the application. It gets a connection of its own. When the application declines, its answer is
/// passed on.
///
/// # Errors
/// When the request is none for a WebSocket after all, or the application doesn't answer, or not to this request.
pub(crate) async fn upgrade(
    exchange: Exchange<'_>,
    head: &mut Parts,
    body: Incoming,
    connection: &ClientConnection,
    busy: Busy,
) -> Result<(Response<Outgoing>, Outcome), Refusal> {
    let (gate, pool) = (exchange.gate, exchange.pool);
    let http2 = head.version == Version::HTTP_2;
    let client_side = if http2 {
        head.extensions.remove::<OnUpgrade>().map(ClientSide::Http2)
    } else {
        connection.offer.take().map(ClientSide::Http1)
    };
    if !body.is_end_stream() || judge_length(&head.headers, gate)?.is_some_and(|length| length > 0) {
        return Err(Refusal::malformed("a request for a WebSocket has no body"));
    }
    if http2 && !extended_connect::is_version_13(&head.headers) {
        return Err(Refusal::malformed("the version of WebSocket is not served"));
    }
    strip(&exchange, &mut head.headers);
    let key = http2.then(|| Key::generate(&*gate.parts.entropy));
    if let Some(key) = &key {
        key.write(&mut head.headers);
    }
    let head = http1_head(&exchange, head, Framing::WebSocket)?;

    let settings = gate.parts.upstreams.settings();
    let limits = Limits { response: settings.response_timeout, idle: settings.idle_timeout };
    let began = Instant::now();
    let mut link = pool.open().await.map_err(|error| unreachable(exchange.facts, pool, &error))?;
    let request = Outbound { head, upload: Upload::Empty, length: None, to_head: false, lines: None };
    let answer = link.send(request, limits, false).await.map_err(|failure| no_answer(exchange.facts, pool, failure))?;
    // They were asked for.
    let AnswerHead::Fields(mut head) = answer.head else { return Err(refusal(Failure::Lost)) };
    pool.measure().answered(began.elapsed());
    let malformed = |why| no_answer(exchange.facts, pool, Failure::Malformed(Malformed(why)));

    if head.status != StatusCode::SWITCHING_PROTOCOLS {
        if http2 && head.status.is_success() {
            // To the client it would say that the WebSocket is open.
            return Err(malformed("the application answered a request for a WebSocket as if it had been another one"));
        }
        link.retire();
        finish(gate, &mut head)?;
        if let Some(whole) = link.take_whole() {
            return Ok((Response::from_parts(head, Outgoing::own(whole.into(), busy)), Outcome::Forwarded));
        }
        let relay = Relay::new(Origin::Http1(link, Rc::clone(pool)), exchange.session, Arc::clone(&gate.parts), busy);
        return Ok((Response::from_parts(head, Outgoing::Relay(Box::new(relay))), Outcome::Forwarded));
    }
    let agreed = head.headers.get_all(UPGRADE).iter().flat_map(hop_by_hop::tokens).any(|to| to.eq_ignore_ascii_case("websocket"));
    let (Some(client_side), true) = (client_side, agreed) else {
        return Err(refusal(Failure::Lost));
    };
    if key.is_some_and(|key| !key.is_answered_by(&head.headers)) {
        return Err(malformed("the application's Sec-WebSocket-Accept is none for this request"));
    }
    hop_by_hop::strip_response(&mut head.headers);
    gate.parts.web.cookies().strip_response(&mut head.headers);
    let counted = if http2 {
        // The connection goes on as it was: other streams are on it.
        extended_connect::agree(&mut head);
        None
    } else {
        connection.phase.set_upgraded();
        head.headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        head.headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        Some(Counted::new(&gate.own))
    };
    let watch = Rc::clone(link.watch());
    let tunnel = Tunnel::new(link.into_io(), watch, exchange.session, Arc::clone(&gate.parts), busy, counted);
    match client_side {
        ClientSide::Http1(opened) => tokio::task::spawn_local(tunnel.run(async { opened.await.ok() })),
        ClientSide::Http2(opened) => tokio::task::spawn_local(tunnel.run(async { opened.await.ok().map(TokioIo::new) })),
    };
    let empty = Outgoing::own(http_body_util::Full::default(), Busy::new(&connection.phase));
    Ok((Response::from_parts(head, empty), Outcome::Upgraded))
}
