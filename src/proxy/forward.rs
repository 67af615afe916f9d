//! From a permit to the application's answer.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderName, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::Body as _;
use hyper::body::Incoming;

use super::body::{Fate, Outgoing, Relay, Upload, is_lawful_trailer};
use super::client_io::Busy;
use super::gate::{Facts, Gate, Refusal};
use super::hop_by_hop;
use super::link::{Failure, Limits, Link};
use super::measure::Outcome;
use crate::access::Permit;
use crate::clock::Timestamp;
use crate::identity::assertion::{AssertionFacts, SignerError};
use crate::session::Session;
use crate::token::public_id;
use crate::web::Problem;

/// Headers that samlgate adds to every request, identity aside: room for them is made at once.
const OURS: usize = 12;
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
    head: Parts,
    body: Incoming,
    busy: Busy,
) -> Result<Response<Outgoing>, Refusal> {
    let gate = exchange.gate;
    judge_length(&head.headers, gate)?;
    let mut head = prepare(&exchange, head)?;
    let (upload, fate) = Upload::new(body, exchange.session.as_ref(), &gate.parts);
    frame(&mut head.headers, &upload);
    let asked_for_head = head.method == Method::HEAD;
    let (response, mut link) = send(gate, Request::from_parts(head, upload), fate.as_ref(), exchange.facts).await?;
    let (mut head, incoming) = response.into_parts();
    if fate.is_some() || asked_for_head || announces_what_cannot_come(&head) {
        link.retire();
    }
    finish(gate, &mut head)?;
    let relay = Relay::new(incoming, Some(link), Rc::clone(&gate.pool), exchange.session, Arc::clone(&gate.parts), busy);
    Ok(Response::from_parts(head, Outgoing::Relay(relay)))
}

/// How a body travels to the application. Its connection carries no other request afterwards: an application that answers
/// without reading the body would take the body for the next request, with whatever identity its sender wrote there.
fn frame(headers: &mut HeaderMap, upload: &Upload) {
    if upload.is_empty() {
        return;
    }
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    if upload.size_hint().exact().is_none() {
        // Said aloud, or a GET's body would be left out.
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

/// An answer that can have no body but names the length of one: a careless application may send it all the same, and late, when
/// the next user's answer is waited for (RFC 9112 section 6.3). HEAD always is such a case.
fn announces_what_cannot_come(head: &http::response::Parts) -> bool {
    let bodiless = matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let announced = head.headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0");
    bodiless && (announced || head.headers.contains_key(TRANSFER_ENCODING))
}

/// Refuses a length that is no number or given twice (HTTP/2 lets that pass), and a body whose length is beyond `max_body`, before
/// any of it is read.
pub(crate) fn judge_length(headers: &HeaderMap, gate: &Gate) -> Result<(), Refusal> {
    let announced = announced_length(headers)
        .map_err(|()| Refusal::new(Problem::BadRequest("the length of the body is malformed"), Outcome::BadRequest))?;
    match (announced, gate.parts.upstream.settings().max_body) {
        (Some(announced), Some(most)) if announced > most => Err(refusal(Failure::TooLarge)),
        _ => Ok(()),
    }
}

/// Content-Length (RFC 9110 section 8.6): digits, once.
fn announced_length(headers: &HeaderMap) -> Result<Option<u64>, ()> {
    let mut lines = headers.get_all(CONTENT_LENGTH).iter();
    match (lines.next(), lines.next()) {
        (None, _) => Ok(None),
        (Some(line), None) if line.as_bytes().iter().all(u8::is_ascii_digit) => {
            line.to_str().ok().and_then(|text| text.parse().ok()).map(Some).ok_or(())
        }
        _ => Err(()),
    }
}

/// The head that the application gets: the client's, without what isn't its to say, with what we know.
pub(crate) fn prepare(exchange: &Exchange<'_>, mut head: Parts) -> Result<Parts, Refusal> {
    let Exchange { gate, permit, session, facts, now } = exchange;
    let parts = &*gate.parts;
    head.version = Version::HTTP_11;
    head.uri = permit.target().to_uri();

    let headers = &mut head.headers;
    headers.reserve(OURS + session.as_ref().map_or(0, |session| session.headers().len()));
    hop_by_hop::strip_request(headers, parts.rules.name_methods());
    hop_by_hop::filter_announced_trailers(headers, |name| is_lawful_trailer(name, parts));
    parts.web.cookies().strip_request(headers);

    let upstream = &parts.upstream;
    let host = if upstream.settings().preserve_host { &facts.host } else { upstream.host() };
    headers.insert(HOST, host.clone());
    facts.provenance.set(headers);
    headers.insert(REQUEST_ID, facts.id.to_header());

    if let Some(session) = session {
        for (name, value) in session.headers().iter() {
            headers.insert(name.clone(), value.clone());
        }
        let assertion = assertion(gate, session, *now).map_err(|error| {
            tracing::error!(request_id = facts.id.as_str(), %error, "no assertion could be signed; the request is refused");
            Refusal::new(Problem::Internal, Outcome::Internal)
        })?;
        headers.insert(parts.headers.assertion.clone(), assertion);
    }
    Ok(head)
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

/// Sends over a pooled connection, or a new one. A pooled connection may turn out to have been closed by the application;
/// then the request is sent once more, when that can't do anything twice.
async fn send(
    gate: &Gate,
    mut request: Request<Upload>,
    fate: Option<&Rc<Cell<Fate>>>,
    facts: &Facts,
) -> Result<(Response<Incoming>, Link), Refusal> {
    let settings = gate.parts.upstream.settings();
    let limits = Limits { response: settings.response_timeout, idle: settings.idle_timeout };
    let began = Instant::now();
    let mut pooled = gate.pool.take();
    loop {
        let reused = pooled.is_some();
        let mut link = match pooled.take() {
            Some(link) => link,
            None => gate.pool.open().await.map_err(|error| unreachable(facts, &error))?,
        };
        let spare = if reused { spare(&request) } else { None };
        let failure = match link.send(request, fate, limits).await {
            Ok(response) => {
                gate.own.measure.answered(began.elapsed());
                return Ok((response, link));
            }
            Err(failure) => failure,
        };
        request = match (failure, spare) {
            (Failure::Unsent(unsent), _) if reused => *unsent,
            (Failure::Lost, Some(spare)) => spare,
            (failure, _) => {
                return Err(no_answer(facts, failure));
            }
        };
    }
}

/// A copy of a request that may be sent twice: idempotent (RFC 9110 section 9.2.2) and without a body.
fn spare(request: &Request<Upload>) -> Option<Request<Upload>> {
    let idempotent = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE);
    if !idempotent || !request.body().is_empty() {
        return None;
    }
    let mut copy = Request::new(Upload::Empty);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
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
        Failure::Unsent(_) | Failure::Lost => Refusal::new(Problem::UpstreamUnreachable, Outcome::UpstreamUnreachable),
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
    if head.headers.contains_key(TRANSFER_ENCODING) && head.headers.contains_key(CONTENT_LENGTH) {
        // Two lengths: whichever we believed, somebody could believe the other (RFC 9112 section 6.3).
        return Err(refusal(Failure::Lost));
    }
    head.version = Version::HTTP_11;
    hop_by_hop::strip_response(&mut head.headers);
    gate.parts.web.cookies().strip_response(&mut head.headers);
    Ok(())
}
