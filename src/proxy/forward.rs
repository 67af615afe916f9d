//! From a permit to the application's answer.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, HOST, HeaderName, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};

use super::answer::{AnswerHead, content_length, may_have_length};
use super::body::{Origin, Outgoing, Relay, Upload, is_lawful_trailer};
use super::client_io::Busy;
use super::gate::{Facts, Gate, Refusal};
use super::hop_by_hop;
use super::incoming::Incoming;
use super::link::{Failure, Limits, Outbound};
use super::measure::Outcome;
use super::pool::{Connection, Pool};
use super::request_head::{Head, RequestHead};
use super::sending::Answered;
use crate::access::Permit;
use crate::clock::Timestamp;
use crate::identity::assertion::{AssertionFacts, MintedAssertion, SignerError};
use crate::identity::signature::{NAMES, SignedRequest};
use crate::session::Session;
use crate::token::public_id;
use crate::web::Problem;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A request that may pass, and what it passes with.
pub(crate) struct Exchange<'a> {
    pub(crate) gate: &'a Gate,
    /// Connections to the application that the permit is for.
    pub(crate) pool: &'a Rc<Pool>,
    /// The right to do so. It is used up.
    pub(crate) permit: Permit,
    pub(crate) session: Option<Arc<Session>>,
    pub(crate) facts: &'a Facts,
    pub(crate) now: Timestamp,
}

impl Exchange<'_> {
    /// As the application is told its own name.
    fn host(&self) -> &HeaderValue {
        let upstream = self.pool.upstream();
        if upstream.settings().preserve_host { &self.facts.host } else { upstream.host() }
    }
}

/// Sends a request to the application; its answer is streamed.
///
/// # Errors
/// When the application doesn't answer, or the client breaks off.
pub(crate) async fn forward(
    exchange: &Exchange<'_>,
    head: &mut Parts,
    body: Incoming,
    busy: Busy,
) -> Result<Answered<Outgoing>, Refusal> {
    let gate = exchange.gate;
    let length = judge_length(&head.headers, gate)?;
    let announced = hop_by_hop::announced_trailers(&mut head.headers, |name| is_lawful_trailer(name, &gate.parts));
    let upload = Upload::new(body, announced, exchange.session.as_ref(), &gate.parts);
    let framing = match (upload.is_empty(), length) {
        (true, None) => Framing::NoBody,
        (true, Some(0)) => Framing::Zero,
        (true, Some(_)) => return Err(malformed_length()),
        (false, None) => Framing::Chunks,
        (false, Some(length)) => Framing::Length(length),
    };
    // Idempotent (RFC 9110 section 9.2.2).
    let idempotent = matches!(head.method, Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE);
    let repeatable = idempotent && upload.is_empty();
    strip(exchange, &mut head.headers);
    let told = Told { head, framing, repeatable };
    let (head, body) = send(exchange, &told, upload).await?;
    let body = match body {
        Body::Whole(whole) => Outgoing::own(whole.into(), busy),
        Body::From(origin) => {
            Outgoing::Relay(Box::new(Relay::new(origin, exchange.session.clone(), Arc::clone(&gate.parts), busy)))
        }
    };
    match head {
        AnswerHead::Fields(mut head) => {
            finish(gate, &mut head)?;
            Ok(Answered::Fields(Response::from_parts(head, body)))
        }
        // Nobody asked for another protocol.
        AnswerHead::Lines(lines) if lines.status == StatusCode::SWITCHING_PROTOCOLS => Err(refusal(Failure::Lost)),
        AnswerHead::Lines(lines) => Ok(Answered::Lines(lines, body)),
    }
}

/// A request, but for its body.
struct Told<'a> {
    /// What the client sent, without what isn't its to say.
    head: &'a Parts,
    framing: Framing,
    repeatable: bool,
}

/// The body of an answer.
enum Body {
    /// All of it is here.
    Whole(Bytes),
    From(Origin),
}

/// Sends over a connection that is there, or a new one; once more when it turns out that the application had closed it.
async fn send(exchange: &Exchange<'_>, told: &Told<'_>, mut upload: Upload) -> Result<(AnswerHead, Body), Refusal> {
    let Exchange { pool, facts, .. } = exchange;
    let settings = pool.upstream().settings();
    let limits = Limits { response: settings.response_timeout, idle: settings.idle_timeout };
    let length = told.framing.length();
    let lines_for = (told.head.version == Version::HTTP_11).then_some(&exchange.gate.parts.web);
    let began = Instant::now();
    let mut may_try_again = true;
    loop {
        let repeatable = told.repeatable && may_try_again;
        let (connection, reused) =
            pool.connection(repeatable, !may_try_again).await.map_err(|error| unreachable(facts, pool, &error))?;
        let failure = match connection {
            Connection::Http1(mut link) => {
                let head = http1_head(exchange, told.head, told.framing)?;
                let to_head = told.head.method == Method::HEAD;
                let lines = lines_for.map(|web| web.cookies());
                match link.send(Outbound { head, upload, length, to_head, lines }, limits, repeatable).await {
                    Ok(answer) => {
                        pool.measure().answered(began.elapsed());
                        let body = match link.take_whole() {
                            Some(whole) => {
                                pool.give(link);
                                Body::Whole(whole)
                            }
                            None => Body::From(Origin::Http1(link, Rc::clone(pool))),
                        };
                        return Ok((answer.head, body));
                    }
                    Err(failure) => failure,
                }
            }
            Connection::Http2(place) => {
                let request = http2_request(exchange, told.head, length, upload)?;
                match Box::pin(place.send(request, pool.watch(), limits, repeatable)).await {
                    Ok((head, received)) => {
                        pool.measure().answered(began.elapsed());
                        return Ok((AnswerHead::Fields(head), Body::From(Origin::Http2(received))));
                    }
                    Err(failure) => failure,
                }
            }
        };
        upload = match failure {
            Failure::Again(unsent) if reused && may_try_again => unsent,
            failure => return Err(no_answer(facts, pool, failure)),
        };
        may_try_again = false;
    }
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
    /// The length, when the client said it.
    fn length(self) -> Option<u64> {
        match self {
            Self::NoBody | Self::Chunks | Self::WebSocket => None,
            Self::Zero => Some(0),
            Self::Length(length) => Some(length),
        }
    }

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
    match (announced, gate.parts.upstreams.settings().max_body) {
        (Some(announced), Some(most)) if announced > most => Err(refusal(Failure::TooLarge)),
        _ => Ok(announced),
    }
}

fn malformed_length() -> Refusal {
    Refusal::new(Problem::BadRequest("the length of the body is malformed"), Outcome::BadRequest)
}

/// Removes from a request what isn't the client's to say.
pub(crate) fn strip(exchange: &Exchange<'_>, headers: &mut HeaderMap) {
    let parts = &*exchange.gate.parts;
    hop_by_hop::strip_request(headers, parts.rules.name_methods());
    parts.web.cookies().strip_request(headers);
}

/// The head that the application gets by HTTP/1.1. `from` must be stripped.
pub(crate) fn http1_head(exchange: &Exchange<'_>, from: &Parts, framing: Framing) -> Result<Vec<u8>, Refusal> {
    let mut head = RequestHead::new(&from.method, exchange.permit.target().path_and_query());
    head.line(&HOST, exchange.host());
    write_client_lines(&mut head, from);
    framing.write(&mut head);
    write_own_lines(&mut head, exchange, &from.method)?;
    Ok(head.end())
}

/// The request that the application gets by HTTP/2 (RFC 9113 section 8.3.1). `from` must be stripped.
fn http2_request(exchange: &Exchange<'_>, from: &Parts, length: Option<u64>, upload: Upload) -> Result<Request<Upload>, Refusal> {
    let mut request = Request::new(upload);
    *request.method_mut() = from.method.clone();
    *request.version_mut() = Version::HTTP_2;
    let scheme = if exchange.pool.upstream().is_tls() { Scheme::HTTPS } else { Scheme::HTTP };
    let authority = Authority::try_from(exchange.host().as_bytes()).ok();
    let uri = Uri::builder().scheme(scheme).path_and_query(exchange.permit.target().path_and_query());
    let uri = authority.map(|authority| uri.authority(authority)).and_then(|uri| uri.build().ok());
    *request.uri_mut() =
        uri.ok_or_else(|| Refusal::new(Problem::BadRequest("the target can't be sent by HTTP/2"), Outcome::BadRequest))?;
    let headers = request.headers_mut();
    write_client_lines(headers, from);
    if let Some(length) = length {
        headers.insert(CONTENT_LENGTH, length.into());
    }
    write_own_lines(headers, exchange, &from.method)?;
    // Secrets stay out of the memory of headers, and so does what no other request has: it would only push out what others have.
    let signature = NAMES.map(HeaderName::from_static);
    let others = [&COOKIE, &AUTHORIZATION, &REQUEST_ID, &exchange.gate.parts.headers.assertion];
    mark_sensitive(headers, others.into_iter().chain(&signature));
    Ok(request)
}

/// Keeps values out of the memory of headers that all requests of a connection share (RFC 7541 section 7.1), and out of logs.
pub(crate) fn mark_sensitive<'a>(headers: &mut HeaderMap, names: impl IntoIterator<Item = &'a HeaderName>) {
    for name in names {
        if let http::header::Entry::Occupied(mut values) = headers.entry(name) {
            values.iter_mut().for_each(|value| value.set_sensitive(true));
        }
    }
}

/// What the client said. Host is ours to say, and the length is written by whoever sends the body: a client could name its own line
/// away.
fn write_client_lines(head: &mut impl Head, from: &Parts) {
    for (name, value) in from.headers.iter().filter(|(name, _)| *name != HOST && *name != CONTENT_LENGTH) {
        head.line(name, value);
    }
}

/// What we know: where the request comes from, and who sends it.
fn write_own_lines(head: &mut impl Head, exchange: &Exchange<'_>, method: &Method) -> Result<(), Refusal> {
    let Exchange { gate, pool, permit, facts, now, .. } = exchange;
    facts.provenance.write(head);
    let Some(signer) = gate.parts.headers.signer() else { return write_identity(head, exchange) };
    // What is signed is octets, however they are sent then.
    let mut lines = Vec::new();
    write_identity(&mut lines, exchange)?;
    let target = permit.target().path_and_query();
    let tls = pool.upstream().is_tls();
    let request = SignedRequest { method: method.as_str(), host: exchange.host().as_bytes(), tls, target };
    let signature = signer.sign(request, &lines, *now).map_err(|error| not_signed(facts, "request", &error))?;
    signature.write(&mut lines);
    head.lines(&lines);
    Ok(())
}

/// What is signed, when requests are.
fn write_identity(head: &mut impl Head, exchange: &Exchange<'_>) -> Result<(), Refusal> {
    let Exchange { gate, session, facts, now, .. } = exchange;
    if let Some(session) = session {
        write_session(head, gate, session, facts, *now)?;
    }
    head.lines(&facts.id.to_line());
    Ok(())
}

/// Whose request it is, and the assertion of that: as prepared before while the assertion is fresh, else with a new one.
///
/// # Errors
/// When none can be signed.
pub(crate) fn write_session(
    head: &mut impl Head,
    gate: &Gate,
    session: &Session,
    facts: &Facts,
    now: Timestamp,
) -> Result<(), Refusal> {
    if session.read_prepared(now, |lines| head.lines(lines)) {
        return Ok(());
    }
    let minted = mint(gate, session, now).map_err(|error| not_signed(facts, "assertion", &error))?;
    let prepared = session.prepare(&minted);
    head.lines(prepared.lines());
    session.keep(prepared);
    Ok(())
}

fn not_signed(facts: &Facts, what: &str, error: &dyn std::error::Error) -> Refusal {
    tracing::error!(request_id = facts.id.as_str(), %error, "the {what} could not be signed; the request is refused");
    Refusal::new(Problem::Internal, Outcome::Internal)
}

/// A new signed assertion for a session.
fn mint(gate: &Gate, session: &Session, now: Timestamp) -> Result<MintedAssertion, SignerError> {
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
    gate.parts.signer.mint(&facts, now, &public_id(&*gate.parts.entropy))
}

pub(crate) fn unreachable(facts: &Facts, pool: &Pool, error: &std::io::Error) -> Refusal {
    let upstream = pool.name();
    tracing::warn!(request_id = facts.id.as_str(), upstream, %error, "the application can't be reached");
    if error.kind() == std::io::ErrorKind::TimedOut { refusal(Failure::UpstreamTimeout) } else { refusal(Failure::Lost) }
}

/// Logs why there is no answer, and refuses.
pub(crate) fn no_answer(facts: &Facts, pool: &Pool, failure: Failure) -> Refusal {
    let upstream = pool.name();
    if let Some(kind) = failure.of_the_application() {
        pool.measure().failed(kind);
    }
    tracing::warn!(request_id = facts.id.as_str(), upstream, why = failure.explain(), "no answer for the client");
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
    if !may_have_length(head.status) {
        head.headers.remove(CONTENT_LENGTH);
    }
    hop_by_hop::strip_response(&mut head.headers);
    gate.parts.web.cookies().strip_response(&mut head.headers);
    Ok(())
}
