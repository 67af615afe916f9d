//! The gate: the order of a request, from its head to a permit or a refusal. Nothing reaches the application but through
//! here.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{CONNECTION, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, Version};
use ipnet::IpNet;
use tokio::sync::oneshot;

use super::authority::{authority_of, is_again};
use super::body::Outgoing;
use super::client_io::{Busy, ClientIo, Phase};
use super::connect::Upstreams;
use super::extended_connect;
use super::forward::{self, Exchange};
use super::forward_auth;
use super::forwarded::{Peer, Provenance};
use super::hop_by_hop::asks_for_websocket;
use super::incoming::Incoming;
use super::judge::{Question, Verdict, readable};
use super::measure::{Measure, Outcome};
use super::pool::Pool;
use super::request_id::{RequestId, RequestIds};
use super::sending::Answered;
use super::upgrade;
use super::watch::Sweep;
use super::worker::Open;
use crate::access::{LoginTerms, Rules, Target};
use crate::clock::Clock;
use crate::identity::assertion::AssertionSigner;
use crate::identity::headers::HeaderPlan;
use crate::public_url::PublicUrl;
use crate::session::Session;
use crate::store::Store;
use crate::token::Entropy;
use crate::web::{Problem, Reply, RequestContext, Unanswered, Web};

/// One of samlgate's own endpoints must have read its request and answered within this time.
const OWN_LIMIT: Duration = Duration::from_secs(30);

/// Everything that a request is judged by. Replaced as a whole when the configuration is loaded again.
pub struct GateParts {
    /// samlgate's own endpoints and pages.
    pub web: Arc<Web>,
    /// Where sessions are.
    pub store: Arc<dyn Store>,
    /// `[[access]]`.
    pub rules: Arc<Rules>,
    /// `[headers]`.
    pub headers: Arc<HeaderPlan>,
    /// Signs assertions.
    pub signer: Arc<AssertionSigner>,
    /// "Now".
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// How users see the application.
    pub public_url: PublicUrl,
    /// The applications.
    pub upstreams: Upstreams,
    /// Peers whose word on where a request comes from is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether they may ask about requests that they pass on themselves.
    pub forward_auth: bool,
}

impl GateParts {
    /// Whether a peer is one of the trusted proxies.
    pub(crate) fn is_trusted(&self, peer: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|net| net.contains(&peer))
    }
}

/// What a worker has of its own, whatever the configuration.
pub(crate) struct Own {
    pub(crate) ids: RequestIds,
    pub(crate) measure: Measure,
    pub(crate) sweep: Rc<Sweep>,
    pub(crate) open: Open,
}

/// One worker's gate.
pub(crate) struct Gate {
    pub(crate) parts: Arc<GateParts>,
    /// Connections to each application.
    pub(crate) pools: Vec<Rc<Pool>>,
    pub(crate) own: Rc<Own>,
}

/// Where a client's connection will come, when its request offers another protocol and the answer takes it.
pub(crate) type Offer = oneshot::Receiver<ClientIo>;

/// One client's connection, as its requests know it.
pub(crate) struct ClientConnection {
    peer: Peer,
    pub(crate) phase: Rc<Phase>,
    /// What the last request's host led to; nearly always it is the next one's too.
    provenance: RefCell<Option<(HeaderValue, Rc<Provenance>)>>,
    /// Of the request that is being answered.
    pub(crate) offer: RefCell<Option<Offer>>,
}

impl ClientConnection {
    /// A client that has just connected.
    pub(crate) fn new(peer: Peer, phase: Rc<Phase>) -> Self {
        Self { peer, phase, provenance: RefCell::default(), offer: RefCell::default() }
    }
}

/// What is known of a request that is let through or answered.
pub(crate) struct Facts {
    pub(crate) id: RequestId,
    pub(crate) host: HeaderValue,
    pub(crate) provenance: Rc<Provenance>,
}

impl Facts {
    pub(crate) fn context(&self) -> RequestContext {
        RequestContext { id: self.id.as_str().to_owned(), client: self.provenance.client, secure: self.provenance.secure }
    }
}

/// Why a request isn't let through, or why letting it through came to nothing.
pub(crate) struct Refusal {
    pub(crate) problem: Problem,
    pub(crate) outcome: Outcome,
}

impl Refusal {
    pub(crate) fn new(problem: Problem, outcome: Outcome) -> Self {
        Self { problem, outcome }
    }

    /// A request that can't be read in one way.
    pub(crate) fn malformed(why: &'static str) -> Self {
        Self::new(Problem::BadRequest(why), Outcome::BadRequest)
    }
}

/// What the gate lets through, or says itself.
enum Passed {
    Own(Reply, Outcome),
    Forwarded(Answered<Outgoing>, Outcome),
}

impl Gate {
    /// Answers a request.
    pub(crate) async fn handle(
        self: Rc<Self>,
        head: &mut Parts,
        body: Incoming,
        connection: &ClientConnection,
    ) -> Answered<Outgoing> {
        let busy = Busy::new(&connection.phase);
        let id = self.own.ids.next(&*self.parts.entropy);
        let log = tracing::enabled!(target: "samlgate::request", tracing::Level::DEBUG)
            .then(|| Box::new((Instant::now(), head.method.clone(), head.uri.path().to_owned())));
        let (answer, outcome) = self.answer(head, body, id, connection, busy).await;
        self.own.measure.request(outcome, answer.status());
        if let Some((began, method, path)) = log.map(|log| *log) {
            let (status, micros) = (answer.status().as_u16(), began.elapsed().as_micros());
            // `?`: what a client controls is written escaped.
            tracing::debug!(target: "samlgate::request", request_id = id.as_str(), %method, ?path, status, outcome = outcome.label(), micros);
        }
        answer
    }

    async fn answer(
        &self,
        head: &mut Parts,
        body: Incoming,
        id: RequestId,
        connection: &ClientConnection,
        busy: Busy,
    ) -> (Answered<Outgoing>, Outcome) {
        // A 200 would open a tunnel, so no CONNECT is a proxy's question.
        let tunnel = head.method == Method::CONNECT;
        extended_connect::take(head);
        let asked = !tunnel && self.parts.forward_auth && self.parts.web.asked_about(&head.uri).is_some();
        if asked || tunnel {
            // gRPC's way to say no has status 200, which would let the request pass, or open the tunnel.
            head.headers.remove(CONTENT_TYPE);
        }
        let facts = match self.facts(head, id, connection) {
            Ok(facts) => facts,
            Err(refusal) => {
                let peer = connection.peer;
                let context = RequestContext { id: id.as_str().to_owned(), client: peer.address, secure: peer.tls };
                let (response, outcome) = self.refuse(refusal, head, &context, busy);
                return (Answered::Fields(response), outcome);
            }
        };
        let mut busy = Some(busy);
        let passed = if asked {
            forward_auth::answer(self, head, &facts, connection.peer).map(|(reply, outcome)| Passed::Own(reply, outcome))
        } else {
            self.pass(head, body, &facts, connection, &mut busy).await
        };
        let (mut response, outcome) = match passed {
            Ok(Passed::Forwarded(answer, outcome)) => return (answer, outcome),
            Ok(Passed::Own(reply, outcome)) => {
                let busy = busy.unwrap_or_else(|| Busy::new(&connection.phase));
                (reply.map(|body| Outgoing::own(body, busy)), outcome)
            }
            Err(refusal) => {
                let busy = busy.unwrap_or_else(|| Busy::new(&connection.phase));
                self.refuse(refusal, head, &facts.context(), busy)
            }
        };
        if asked {
            forward_auth::keep_shut(&mut response, outcome);
        }
        (Answered::Fields(response), outcome)
    }

    /// Who asks, and for which host.
    fn facts(&self, head: &Parts, id: RequestId, connection: &ClientConnection) -> Result<Facts, Refusal> {
        let parts = &*self.parts;
        let peer = connection.peer;
        let trusted = parts.is_trusted(peer.address);
        let known = connection.provenance.borrow().clone().filter(|_| !trusted);
        let host = match &known {
            Some((host, _)) if is_again(head, host) => host.clone(),
            _ => authority_of(head).map_err(Refusal::malformed)?,
        };
        if let Some((_, provenance)) = known.filter(|(known, _)| *known == host) {
            return Ok(Facts { id, host, provenance });
        }
        let text = host.to_str().unwrap_or_default();
        let found = Provenance::of(peer, &head.headers, text, &parts.trusted_proxies, &parts.public_url);
        let found = Rc::new(found.ok_or(Refusal::malformed("the Host header names no host"))?);
        // A copy: the value itself would keep the whole buffer that it was read into for as long as the connection lives.
        let kept = HeaderValue::from_bytes(host.as_bytes()).map_err(|_| Refusal::malformed("the Host header names no host"))?;
        *connection.provenance.borrow_mut() = Some((kept, Rc::clone(&found)));
        Ok(Facts { id, host, provenance: found })
    }

    /// The order of a request. It reads from top to bottom; each step may end it. What is rare stands in a box, since every
    /// connection keeps room for this future, and every request moves it.
    async fn pass(
        &self,
        head: &mut Parts,
        body: Incoming,
        facts: &Facts,
        connection: &ClientConnection,
        busy: &mut Option<Busy>,
    ) -> Result<Passed, Refusal> {
        let parts = &*self.parts;
        let now = parts.clock.now();

        // 1. A method that is served, and 2. one target, for rule and application alike.
        let target = readable(&head.method, &head.uri)?;

        // 3. Whatever the client says about its own identity is gone before anybody could read it.
        parts.headers.strip(&mut head.headers);

        // 4. samlgate's own endpoints decide for themselves. None is a WebSocket, and to HTTP/2 a 200 would say that it is.
        let websocket = head.method == Method::GET && asks_for_websocket(&head.headers);
        if parts.web.owns(target.path()) {
            if websocket && head.version == Version::HTTP_2 {
                return Err(Refusal::malformed("there is no WebSocket here"));
            }
            head.uri = target.to_uri();
            let context = facts.context();
            let answered = Box::pin(parts.web.endpoint(Request::from_parts(head.clone(), body), &context));
            let reply = tokio::time::timeout(OWN_LIMIT, answered).await;
            let reply = reply.map_err(|_| Refusal::new(Problem::RequestTimeout, Outcome::Timeout))?;
            return Ok(Passed::Own(reply, Outcome::Own));
        }

        // 5. The session, if it lives, and 6. the rule, which alone can make a permit.
        let question = Question { method: &head.method, target, headers: &head.headers, websocket };
        let (permit, session) = match self.judge(question, facts, now)? {
            Verdict::Pass(permit, session) => (permit, session),
            Verdict::SignIn { target, terms, session } => {
                return Box::pin(self.sign_in(head, body, &target, &terms, session.as_deref(), facts)).await;
            }
            Verdict::Forbidden(why) => {
                let page = head.uri.path_and_query().filter(|_| head.method == Method::GET).map(|page| page.as_str());
                let reply = parts.web.forbidden(why, page, &head.headers, &facts.context());
                return Ok(Passed::Own(reply, Outcome::Forbidden));
            }
        };

        // 7. To the application.
        let busy = busy.take().unwrap_or_else(|| Busy::new(&connection.phase));
        let pool = self.pools.get(permit.application()).ok_or_else(|| Refusal::new(Problem::Internal, Outcome::Internal))?;
        let exchange = Exchange { gate: self, pool, permit, session, facts, now };
        if websocket {
            let (response, outcome) = Box::pin(upgrade::upgrade(exchange, head, body, connection, busy)).await?;
            return Ok(Passed::Forwarded(Answered::Fields(response), outcome));
        }
        Ok(Passed::Forwarded(forward::forward(&exchange, head, body, busy).await?, Outcome::Forwarded))
    }

    /// Answers somebody who must sign in first, or better than for the session that there is.
    async fn sign_in(
        &self,
        head: &Parts,
        body: Incoming,
        target: &Target,
        terms: &LoginTerms,
        session: Option<&Session>,
        facts: &Facts,
    ) -> Result<Passed, Refusal> {
        let (web, context) = (&self.parts.web, facts.context());
        let request = Unanswered { method: &head.method, headers: &head.headers, target };
        let answered = async {
            match (web.form_limit(request, terms), session) {
                (Some(most), _) => web.keep_form(request, body, most, session, &context).await,
                (None, Some(session)) => web.step_up_required(request, terms, session, &context).await,
                (None, None) => web.login_required(request, terms, &context).await,
            }
        };
        let reply = tokio::time::timeout(OWN_LIMIT, answered).await;
        let reply = reply.map_err(|_| Refusal::new(Problem::RequestTimeout, Outcome::Timeout))?;
        Ok(Passed::Own(reply, if session.is_some() { Outcome::StepUpRequired } else { Outcome::LoginRequired }))
    }

    /// `head` decides whether it is a page or JSON.
    fn refuse(&self, refusal: Refusal, head: &Parts, context: &RequestContext, busy: Busy) -> (Response<Outgoing>, Outcome) {
        let closes = matches!(
            refusal.problem,
            Problem::BadRequest(_)
                | Problem::PayloadTooLarge
                | Problem::TargetTooLong
                | Problem::RequestTimeout
                | Problem::SessionEnded
        );
        let mut reply = self.parts.web.refuse(refusal.problem, &head.headers, context);
        if closes && head.version < Version::HTTP_2 {
            // Whoever sends one ambiguous message may have sent half of another.
            reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        (reply.map(|body| Outgoing::own(body, busy)), refusal.outcome)
    }
}
