//! The gate: the order of a request, from its head to a permit or a refusal. Nothing reaches the application but through
//! here.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{ACCEPT, CONNECTION, CONTENT_TYPE, HeaderName, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Version};
use hyper::body::Incoming;
use ipnet::IpNet;

use super::authority::{authority_of, is_again};
use super::body::Outgoing;
use super::client_io::{Busy, Phase};
use super::connect::Upstreams;
use super::forward::{self, Exchange};
use super::forwarded::{Peer, Provenance};
use super::hop_by_hop::asks_for_websocket;
use super::measure::{Measure, Outcome};
use super::pool::Pool;
use super::request_id::{RequestId, RequestIds};
use super::upgrade;
use super::watch::Sweep;
use crate::access::{Decision, Forbidden, LoginTerms, Rules, Target, TargetError};
use crate::clock::Clock;
use crate::identity::assertion::AssertionSigner;
use crate::identity::headers::HeaderPlan;
use crate::public_url::PublicUrl;
use crate::session::Session;
use crate::store::{Store, StoreError};
use crate::token::Entropy;
use crate::web::cookies::SessionCookie;
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
}

/// What a worker has of its own, whatever the configuration.
pub(crate) struct Own {
    pub(crate) ids: RequestIds,
    pub(crate) measure: Measure,
    pub(crate) sweep: Rc<Sweep>,
}

/// One worker's gate.
pub(crate) struct Gate {
    pub(crate) parts: Arc<GateParts>,
    /// Connections to each application.
    pub(crate) pools: Vec<Rc<Pool>>,
    pub(crate) own: Rc<Own>,
}

/// One client's connection, as its requests know it.
pub(crate) struct ClientConnection {
    peer: Peer,
    pub(crate) phase: Arc<Phase>,
    /// What the last request's host led to; nearly always it is the next one's too.
    provenance: RefCell<Option<(HeaderValue, Rc<Provenance>)>>,
}

impl ClientConnection {
    /// A client that has just connected.
    pub(crate) fn new(peer: Peer, phase: Arc<Phase>) -> Self {
        Self { peer, phase, provenance: RefCell::default() }
    }
}

/// What is known of a request that is let through or answered.
pub(crate) struct Facts {
    pub(crate) id: RequestId,
    pub(crate) host: HeaderValue,
    pub(crate) provenance: Rc<Provenance>,
    pub(crate) manner: Manner,
}

impl Facts {
    fn context(&self) -> RequestContext {
        RequestContext { id: self.id.as_str().to_owned(), client: self.provenance.client, secure: self.provenance.secure }
    }
}

/// The few headers that decide whether a refusal is a page or JSON, kept while the others go to the application.
#[derive(Clone, Debug, Default)]
pub(crate) struct Manner([Option<HeaderValue>; 4]);

const MANNERS: [HeaderName; 4] =
    [ACCEPT, CONTENT_TYPE, HeaderName::from_static("sec-fetch-mode"), HeaderName::from_static("sec-fetch-dest")];

impl Manner {
    fn of(headers: &HeaderMap) -> Self {
        Self(MANNERS.map(|name| headers.get(name).cloned()))
    }

    fn to_headers(&self) -> HeaderMap {
        MANNERS.into_iter().zip(&self.0).filter_map(|(name, value)| Some((name, value.clone()?))).collect()
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

    fn malformed(why: &'static str) -> Self {
        Self::new(Problem::BadRequest(why), Outcome::BadRequest)
    }
}

/// What the gate lets through, or says itself.
enum Passed {
    Own(Reply, Outcome),
    Forwarded(Response<Outgoing>, Outcome),
}

impl Gate {
    /// Answers a request.
    pub(crate) async fn handle(self: Rc<Self>, request: Request<Incoming>, connection: &ClientConnection) -> Response<Outgoing> {
        let busy = Busy::new(&connection.phase);
        let id = self.own.ids.next(&*self.parts.entropy);
        let log = tracing::enabled!(target: "samlgate::request", tracing::Level::DEBUG)
            .then(|| (Instant::now(), request.method().clone(), request.uri().path().to_owned()));
        let version = request.version();
        let (head, body) = request.into_parts();
        let (answer, outcome) = self.answer(head, body, id, connection, busy, version).await;
        self.own.measure.request(outcome, answer.status());
        if let Some((began, method, path)) = log {
            let (status, micros) = (answer.status().as_u16(), began.elapsed().as_micros());
            // `?`: what a client controls is written escaped.
            tracing::debug!(target: "samlgate::request", request_id = id.as_str(), %method, ?path, status, outcome = outcome.label(), micros);
        }
        answer
    }

    async fn answer(
        &self,
        head: Parts,
        body: Incoming,
        id: RequestId,
        connection: &ClientConnection,
        busy: Busy,
        version: Version,
    ) -> (Response<Outgoing>, Outcome) {
        let manner = Manner::of(&head.headers);
        let facts = match self.facts(&head, id, connection, manner.clone()) {
            Ok(facts) => facts,
            Err(refusal) => {
                let peer = connection.peer;
                let context = RequestContext { id: id.as_str().to_owned(), client: peer.address, secure: peer.tls };
                return self.refuse(refusal, &manner, &context, version, busy);
            }
        };
        let mut busy = Some(busy);
        match self.pass(head, body, &facts, connection, &mut busy).await {
            Ok(Passed::Forwarded(response, outcome)) => (response, outcome),
            Ok(Passed::Own(reply, outcome)) => {
                let busy = busy.unwrap_or_else(|| Busy::new(&connection.phase));
                (reply.map(|body| Outgoing::own(body, busy)), outcome)
            }
            Err(refusal) => {
                let busy = busy.unwrap_or_else(|| Busy::new(&connection.phase));
                self.refuse(refusal, &facts.manner, &facts.context(), version, busy)
            }
        }
    }

    /// Whether a peer's word on where a request comes from is believed.
    pub(crate) fn trusts(&self, peer: IpAddr) -> bool {
        self.parts.trusted_proxies.iter().any(|net| net.contains(&peer))
    }

    /// Who asks, and for which host.
    fn facts(&self, head: &Parts, id: RequestId, connection: &ClientConnection, manner: Manner) -> Result<Facts, Refusal> {
        let parts = &*self.parts;
        let peer = connection.peer;
        let trusted = self.trusts(peer.address);
        let known = connection.provenance.borrow().clone().filter(|_| !trusted);
        let host = match &known {
            Some((host, _)) if is_again(head, host) => host.clone(),
            _ => authority_of(head).map_err(Refusal::malformed)?,
        };
        if let Some((_, provenance)) = known.filter(|(known, _)| *known == host) {
            return Ok(Facts { id, host, provenance, manner });
        }
        let text = host.to_str().unwrap_or_default();
        let found = Provenance::of(peer, &head.headers, text, &parts.trusted_proxies, &parts.public_url);
        let found = Rc::new(found.ok_or(Refusal::malformed("the Host header names no host"))?);
        *connection.provenance.borrow_mut() = Some((host.clone(), Rc::clone(&found)));
        Ok(Facts { id, host, provenance: found, manner })
    }

    /// The order of a request. It reads from top to bottom; each step may end it.
    async fn pass(
        &self,
        mut head: Parts,
        body: Incoming,
        facts: &Facts,
        connection: &ClientConnection,
        busy: &mut Option<Busy>,
    ) -> Result<Passed, Refusal> {
        let parts = &*self.parts;
        let now = parts.clock.now();

        // 1. No tunnels, and no echo of headers that only the application may see (RFC 9110 section 9.3.8). No `post` either: it is
        // another method than POST for a rule, and the same one for many an application.
        let lower_case = head.method.as_str().bytes().any(|octet| octet.is_ascii_lowercase());
        if matches!(head.method, Method::CONNECT | Method::TRACE) || lower_case {
            return Err(Refusal::malformed("the method is not served"));
        }

        // 2. One target, for rule and application alike.
        let target = Target::parse(&head.uri).map_err(unreadable)?;

        // 3. Whatever the client says about its own identity is gone before anybody could read it.
        parts.headers.strip(&mut head.headers);

        // 4. samlgate's own endpoints decide for themselves.
        if parts.web.owns(target.path()) {
            head.uri = target.to_uri();
            let context = facts.context();
            let answered = parts.web.endpoint(Request::from_parts(head, body), &context);
            let reply = tokio::time::timeout(OWN_LIMIT, answered).await;
            let reply = reply.map_err(|_| Refusal::new(Problem::RequestTimeout, Outcome::Timeout))?;
            return Ok(Passed::Own(reply, Outcome::Own));
        }

        // 5. The session, if it lives.
        let session = match self.session(&head.headers) {
            Ok(session) => session.filter(|session| session.is_live(now)),
            Err(_) if parts.rules.is_public(&target, &head.method) => None,
            Err(error) => {
                tracing::warn!(request_id = facts.id.as_str(), %error, "the session store is away; the request is refused");
                return Err(Refusal::new(Problem::StoreAway, Outcome::StoreAway));
            }
        };
        // A WebSocket that another site's page opens is not the user's doing: browsers send the cookie along and ask nobody
        // (RFC 6455 section 10.2).
        let websocket = head.method == Method::GET && asks_for_websocket(&head.headers);
        if websocket && session.is_some() && !self.is_same_origin(&head.headers) {
            return Err(Refusal::new(Problem::CrossSite, Outcome::Forbidden));
        }

        // 6. The rule decides, and only it can make a permit.
        let permit = match parts.rules.decide(target, &head.method, session.as_deref(), now) {
            Decision::Permit(permit) => permit,
            Decision::LoginRequired(target, terms) => {
                return self.sign_in(&head, body, &target, &terms, None, facts).await;
            }
            Decision::StepUpRequired(target, terms) => {
                return self.sign_in(&head, body, &target, &terms, session.as_deref(), facts).await;
            }
            Decision::Forbidden(why) => {
                log_forbidden(facts, why, session.as_deref());
                let page = head.uri.path_and_query().filter(|_| head.method == Method::GET).map(|page| page.as_str());
                let reply = parts.web.forbidden(why, page, &head.headers, &facts.context());
                return Ok(Passed::Own(reply, Outcome::Forbidden));
            }
            Decision::Ambiguous => return Err(Refusal::malformed("the path can be read in several ways")),
        };

        // 7. To the application.
        if let Some(session) = &session {
            session.touch(now);
        }
        let busy = busy.take().unwrap_or_else(|| Busy::new(&connection.phase));
        let pool = self.pools.get(permit.application()).ok_or_else(|| Refusal::new(Problem::Internal, Outcome::Internal))?;
        let exchange = Exchange { gate: self, pool, permit, session, facts, now };
        if websocket {
            let response = upgrade::upgrade(exchange, head, body, connection, busy).await?;
            let outcome =
                if response.status() == http::StatusCode::SWITCHING_PROTOCOLS { Outcome::Upgraded } else { Outcome::Forwarded };
            return Ok(Passed::Forwarded(response, outcome));
        }
        Ok(Passed::Forwarded(forward::forward(exchange, head, body, busy).await?, Outcome::Forwarded))
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

    /// The session that the cookie opens, live or not.
    fn session(&self, headers: &HeaderMap) -> Result<Option<Arc<Session>>, StoreError> {
        match self.parts.web.cookies().session(headers) {
            SessionCookie::Token(token) => self.parts.store.session(&token.hash()),
            SessionCookie::None | SessionCookie::Ambiguous => Ok(None),
        }
    }

    /// Whether a request comes from a page of ours, or from something that isn't a browser and sends no Origin.
    fn is_same_origin(&self, headers: &HeaderMap) -> bool {
        let mut origins = headers.get_all(ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (None, _) => true,
            (Some(origin), None) => {
                let origin = origin.to_str().ok().and_then(|text| PublicUrl::parse(text).ok());
                origin.as_ref() == Some(&self.parts.public_url)
            }
            (Some(_), Some(_)) => false,
        }
    }

    fn refuse(
        &self,
        refusal: Refusal,
        manner: &Manner,
        context: &RequestContext,
        version: Version,
        busy: Busy,
    ) -> (Response<Outgoing>, Outcome) {
        let closes = matches!(
            refusal.problem,
            Problem::BadRequest(_)
                | Problem::PayloadTooLarge
                | Problem::TargetTooLong
                | Problem::RequestTimeout
                | Problem::SessionEnded
        );
        let mut reply = self.parts.web.refuse(refusal.problem, &manner.to_headers(), context);
        if closes && version < Version::HTTP_2 {
            // Whoever sends one ambiguous message may have sent half of another.
            reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        (reply.map(|body| Outgoing::own(body, busy)), refusal.outcome)
    }
}

fn unreadable(error: TargetError) -> Refusal {
    Refusal::malformed(match error {
        TargetError::NotAPath => "the request target is not a path",
        TargetError::OtherHost => "the request target names another host",
        TargetError::DotSegments => "the path has dot segments",
        TargetError::Forbidden => "the path has characters that servers read differently",
        TargetError::TooLong => return Refusal::new(Problem::TargetTooLong, Outcome::BadRequest),
    })
}

fn log_forbidden(facts: &Facts, why: Forbidden, session: Option<&Session>) {
    let user = session.map(|session| session.identity().user());
    tracing::info!(request_id = facts.id.as_str(), reason = why.code(), ?user, "access refused");
}
