//! From a permit to the application's answer.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderName, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version};
use hyper::body::Incoming;

use super::answer::{Answer, content_length};
use super::body::{Outgoing, Relay, Upload, is_lawful_trailer};
use super::client_io::Busy;
use super::gate::{Facts, Gate, Refusal};
use super::hop_by_hop;
use super::link::{Failure, Limits, Link, Outbound};
use super::measure::Outcome;
use super::request_head::RequestHead;
use crate::access::Permit;
use crate::clock::Timestamp;
use crate::identity::assertion::{AssertionFacts, SignerError};
use crate::identity::signature::SignedRequest;
use crate::session::Session;
use crate::token::public_id;
use crate::web::Problem;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A request that may pass, and what it passes with.
pub(crate) struct Exchange<'a> {
    pub(crate) gate: &'a Gate,
    /// The right to do so. It is used up.
    pub(crate) permit: Permit,
    pub(crate) session: Option<Arc<Session>>,
    pub(crate) facts: &'a Facts,
    pub(crate) now: Timestamp,
}

/// Sends a request to the application; its answer is streamed.
///
/// # Errors
/// When the application doesn't answer, or the client breaks off.
pub(crate) async fn forward(
    exchange: Exchange<'_>,
    mut head: Parts,
    body: Incoming,
    busy: Busy,
) -> Result<Response<Outgoing>, Refusal> {
    let gate = exchange.gate;
    let length = judge_length(&head.headers, gate)?;
    let http2 = head.version == Version::HTTP_2;
    let announced = hop_by_hop::announced_trailers(&mut head.headers, |name| is_lawful_trailer(name, &gate.parts));
    let upload = Upload::new(body, http2, announced, exchange.session.as_ref(), &gate.parts);
    let framing = match (upload.is_empty(), length) {
        (true, None) => Framing::NoBody,
        (true, Some(0)) => Framing::Zero,
        (true, Some(_)) => return Err(malformed_length()),
        (false, None) => Framing::Chunks,
        (false, Some(length)) => Framing::Length(length),
    };
    let to_head = head.method == Method::HEAD;
    // Idempotent (RFC 9110 section 9.2.2).
    let idempotent = matches!(head.method, Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE);
    let repeatable = idempotent && upload.is_empty();
    let head = write_head(&exchange, head, framing)?;
    let (answer, mut link) = send(gate, Outbound { head, upload, length, to_head, repeatable }, exchange.facts).await?;
    let mut head = answer.head;
    finish(gate, &mut head)?;
    if let Some(whole) = link.take_whole() {
        gate.pool.give(link);
        return Ok(Response::from_parts(head, Outgoing::own(whole.into(), busy)));
    }
    let relay = Relay::new(link, Rc::clone(&gate.pool), exchange.session, Arc::clone(&gate.parts), busy);
    Ok(Response::from_parts(head, Outgoing::Relay(Box::new(relay))))
}

/// What the application is told about a request's body, and what else the connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// There is none.
    NoBody,
    /// There is none, and the client said so.
    Zero,
    /// The client said how long it is.
    Length(u64),
    /// Nobody knows how long it is.
    Chunks,
    /// There is none, and another protocol is to follow.
    WebSocket,
}

impl Framing {
    /// Says it. A connection that a body was sent on carries no other request afterwards: an application that answers without
    /// reading the body would take the body for the next request, with whatever identity its sender wrote there.
    fn write(self, head: &mut RequestHead) {
        let mut line = |name, value: &'static str| head.line(&name, &HeaderValue::from_static(value));
        match self {
            Self::NoBody => {}
            Self::Zero => line(CONTENT_LENGTH, "0"),
            Self::Length(length) => {
                line(CONNECTION, "close");
                head.line(&CONTENT_LENGTH, &length.into());
            }
            Self::Chunks => {
                line(CONNECTION, "close");
                line(TRANSFER_ENCODING, "chunked");
            }
            Self::WebSocket => {
                line(CONNECTION, "Upgrade");
                line(UPGRADE, "websocket");
            }
        }
    }
}

/// Refuses a length that is no number or given twice (HTTP/2 lets that pass), and a body whose length is beyond `max_body`, before
/// any of it is read.
pub(crate) fn judge_length(headers: &HeaderMap, gate: &Gate) -> Result<Option<u64>, Refusal> {
    let announced = content_length(headers).map_err(|_| malformed_length())?;
    match (announced, gate.parts.upstream.settings().max_body) {
        (Some(announced), Some(most)) if announced > most => Err(refusal(Failure::TooLarge)),
        _ => Ok(announced),
    }
}

fn malformed_length() -> Refusal {
    Refusal::new(Problem::BadRequest("the length of the body is malformed"), Outcome::BadRequest)
}

/// The head that the application gets: the client's, without what isn't its to say, with what we know.
pub(crate) fn write_head(exchange: &Exchange<'_>, mut from: Parts, framing: Framing) -> Result<Vec<u8>, Refusal> {
    let Exchange { gate, permit, session, facts, now } = exchange;
    let parts = &*gate.parts;
    let headers = &mut from.headers;
    hop_by_hop::strip_request(headers, parts.rules.name_methods());
    parts.web.cookies().strip_request(headers);

    let mut head = RequestHead::new(&from.method, permit.target().path_and_query());
    let upstream = &parts.upstream;
    let host = if upstream.settings().preserve_host { &facts.host } else { upstream.host() };
    head.line(&HOST, host);
    // The length is written by whoever sends the body: a client could name its own line away.
    for (name, value) in from.headers.iter().filter(|(name, _)| *name != HOST && *name != CONTENT_LENGTH) {
        head.line(name, value);
    }
    framing.write(&mut head);
    facts.provenance.write(&mut head);
    // From here on, every line is signed.
    let unsigned = head.len();
    if let Some(session) = session {
        head.lines(session.headers());
        let assertion = assertion(gate, session, *now).map_err(|error| not_signed(facts, "assertion", &error))?;
        head.line(&parts.headers.assertion, &assertion);
    }
    head.line(&REQUEST_ID, &facts.id.to_header());
    if let Some(signer) = parts.headers.signer() {
        let target = permit.target().path_and_query();
        let request = SignedRequest { method: from.method.as_str(), host: host.as_bytes(), tls: upstream.is_tls(), target };
        head.sign(signer, request, unsigned, *now).map_err(|error| not_signed(facts, "request", &error))?;
    }
    Ok(head.end())
}

fn not_signed(facts: &Facts, what: &str, error: &dyn std::error::Error) -> Refusal {
    tracing::error!(request_id = facts.id.as_str(), %error, "the {what} could not be signed; the request is refused");
    Refusal::new(Problem::Internal, Outcome::Internal)
}

/// The session's signed assertion: the one from before while it is fresh, else a new one.
fn assertion(gate: &Gate, session: &Session, now: Timestamp) -> Result<HeaderValue, SignerError> {
    if let Some(minted) = &*session.assertion().load()
        && now < minted.renew_at
    {
        return Ok(minted.header.clone());
    }
    let origin = session.origin();
    let facts = AssertionFacts {
        identity: session.identity(),
        idp: &origin.idp,
        issuer: &origin.issuer,
        name_id: &origin.name_id,
        sid: session.sid(),
        auth_time: origin.auth_time,
        acr: origin.acr.as_deref(),
        method: "saml",
    };
    let minted = gate.parts.signer.mint(&facts, now, &public_id(&*gate.parts.entropy))?;
    let header = minted.header.clone();
    session.assertion().store(Some(Arc::new(minted)));
    Ok(header)
}

/// Sends over a pooled connection, or a new one. A pooled connection may turn out to have been closed by the application; so it
/// is used only for what may be sent once more.
async fn send(gate: &Gate, mut request: Outbound, facts: &Facts) -> Result<(Answer, Link), Refusal> {
    let settings = gate.parts.upstream.settings();
    let limits = Limits { response: settings.response_timeout, idle: settings.idle_timeout };
    let began = Instant::now();
    let mut pooled = if request.repeatable { gate.pool.take() } else { None };
    loop {
        let reused = pooled.is_some();
        let mut link = match pooled.take() {
            Some(link) => link,
            None => gate.pool.open().await.map_err(|error| unreachable(facts, &error))?,
        };
        request = match link.send(request, limits).await {
            Ok(answer) => {
                gate.own.measure.answered(began.elapsed());
                return Ok((answer, link));
            }
            Err(Failure::Again(request)) if reused => *request,
            Err(failure) => return Err(no_answer(facts, failure)),
        };
    }
}

pub(crate) fn unreachable(facts: &Facts, error: &std::io::Error) -> Refusal {
    tracing::warn!(request_id = facts.id.as_str(), %error, "the application (upstream.url) can't be reached");
    if error.kind() == std::io::ErrorKind::TimedOut { refusal(Failure::UpstreamTimeout) } else { refusal(Failure::Lost) }
}

/// Logs why there is no answer, and refuses.
pub(crate) fn no_answer(facts: &Facts, failure: Failure) -> Refusal {
    tracing::warn!(request_id = facts.id.as_str(), why = failure.explain(), "no answer for the client");
    refusal(failure)
}

pub(crate) fn refusal(failure: Failure) -> Refusal {
    match failure {
        Failure::Again(_) | Failure::Lost | Failure::Malformed(_) => {
            Refusal::new(Problem::UpstreamUnreachable, Outcome::UpstreamUnreachable)
        }
        Failure::UpstreamTimeout => Refusal::new(Problem::UpstreamTimeout, Outcome::Timeout),
        Failure::ClientTimeout => Refusal::new(Problem::RequestTimeout, Outcome::Timeout),
        Failure::TooLarge => Refusal::new(Problem::PayloadTooLarge, Outcome::BadRequest),
        Failure::SessionEnded => Refusal::new(Problem::SessionEnded, Outcome::Forbidden),
        Failure::ClientBroken => Refusal::new(Problem::BadRequest("the request body is malformed"), Outcome::BadRequest),
    }
}

/// Cleans the head of an answer.
pub(crate) fn finish(gate: &Gate, head: &mut http::response::Parts) -> Result<(), Refusal> {
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        // Nobody asked for it.
        return Err(refusal(Failure::Lost));
    }
    head.version = Version::HTTP_11;
    hop_by_hop::strip_response(&mut head.headers);
    gate.parts.web.cookies().strip_response(&mut head.headers);
    Ok(())
}
