//! samlgate's own endpoints and pages.

mod acs;
mod bodies;
mod choosing;
pub mod context;
pub mod cookies;
mod documents;
mod endpoints;
mod kept_form;
mod logout;
pub mod ops;
mod pages;
pub mod refusal;
mod sign_in;
mod slo;
mod through_front;

use std::sync::Arc;

use bytes::Bytes;
use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use serde_json::json;
use tracing::{debug, error, info, warn};

use crate::access::{Assurance, Forbidden, LoginTerms, Rules, Target};
use crate::clock::Clock;
use crate::identity::assertion::AssertionSigner;
use crate::login::Login;
use crate::public_url::PublicUrl;
use crate::return_path::ReturnPath;
use crate::session::Session;
use crate::store::{Store, StoreError};
use crate::token::Entropy;
use context::Asker;
pub use context::RequestContext;
pub use cookies::{Cookies, SessionCookie};
use endpoints::Endpoints;
pub use refusal::Problem;
pub use through_front::Handover;

/// An answer of samlgate's own: always whole, never streamed.
pub type Reply = http::Response<http_body_util::Full<bytes::Bytes>>;

/// What the endpoints need.
pub struct WebParts {
    /// The site.
    pub public_url: PublicUrl,
    /// Where our own endpoints are, `/_samlgate`.
    pub prefix: String,
    /// `[[access]]`: on which terms a login begins.
    pub rules: Arc<Rules>,
    /// The login flows.
    pub login: Arc<Login>,
    /// Sessions.
    pub store: Arc<dyn Store>,
    /// Our cookies.
    pub cookies: Cookies,
    /// Its key set is published; the key of signed requests is in it.
    pub signer: Arc<AssertionSigner>,
    /// "Now".
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Our metadata, as XML.
    pub sp_metadata: String,
    /// Where users go after a logout.
    pub logout_return_to: ReturnPath,
}

/// samlgate's own side of the site: endpoints, the way to a login, and every page that says no.
pub struct Web {
    site: Arc<Site>,
    endpoints: Endpoints,
}

/// A request for the application that it won't get.
#[derive(Clone, Copy, Debug)]
pub struct Unanswered<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// What it asks for.
    pub target: &'a Target,
}

/// What a program is told to have its user do.
struct Wanted<'a> {
    error: &'static str,
    idp: Option<&'a str>,
    force_authn: bool,
    authn_context: &'a [String],
}

impl<'a> Wanted<'a> {
    /// A session.
    fn login(terms: &'a LoginTerms) -> Self {
        let Assurance { max_auth_age, authn_context } = &terms.assurance;
        Self { error: "login_required", idp: terms.idp.as_deref(), force_authn: max_auth_age.is_some(), authn_context }
    }

    /// A session of a better login.
    fn step_up(terms: &'a LoginTerms, session: &'a Session) -> Self {
        let idp = terms.idp.as_deref().unwrap_or(session.idp());
        Self { error: "reauthentication_required", idp: Some(idp), ..Self::login(terms) }
    }
}

/// What all endpoints share.
struct Site {
    parts: WebParts,
}

impl Web {
    /// Puts the parts together.
    pub fn new(parts: WebParts) -> Self {
        let site = Arc::new(Site { parts });
        Self { endpoints: Endpoints::new(&site), site }
    }

    /// Whether a path is ours: everything under the prefix, every assertion consumer service, the single logout service, the
    /// well-known key set.
    pub fn owns(&self, path: &str) -> bool {
        self.site.parts.login.is_own(path)
    }

    /// Answers a request for a path of ours.
    pub async fn endpoint<B>(&self, request: Request<B>, context: &RequestContext) -> Reply
    where
        B: http_body::Body<Data = Bytes>,
    {
        self.endpoints.answer(&self.site, request, context).await
    }

    /// Answers a request that needs a session and has none. A navigation begins a login; everything else gets 401 and no
    /// cookie, a gRPC client its own kind of 401.
    pub async fn login_required(&self, request: Unanswered<'_>, terms: &LoginTerms, context: &RequestContext) -> Reply {
        match Asker::of(request.method, request.headers) {
            Asker::Navigation => self.site.towards(&request, terms, None, context).await,
            Asker::Grpc => refusal::grpc("16", "login_required"),
            Asker::Program => self.site.unauthorized(request.headers, &Wanted::login(terms)),
        }
    }

    /// Answers a request whose session comes from a login that is too old, or of another kind, for what it asks. A navigation
    /// begins a better login with the rule's IdP, or the one that the session is from; everything else gets 401.
    pub async fn step_up_required(
        &self,
        request: Unanswered<'_>,
        terms: &LoginTerms,
        session: &Session,
        context: &RequestContext,
    ) -> Reply {
        match Asker::of(request.method, request.headers) {
            Asker::Navigation => self.site.towards(&request, terms, Some(session), context).await,
            Asker::Grpc => refusal::grpc("16", "reauthentication_required"),
            Asker::Program => self.site.unauthorized(request.headers, &Wanted::step_up(terms, session)),
        }
    }

    /// How large the form may be that a request sends and that is to be kept for a login; `None`: it is no such request.
    pub fn form_limit(&self, request: Unanswered<'_>, terms: &LoginTerms) -> Option<usize> {
        terms.keep_form.filter(|_| kept_form::may_be_kept(&self.site, &request))
    }

    /// Answers a request that [`Web::form_limit`] has a limit for: its form is kept, and a login begins that leads to a page where
    /// the user can send it again.
    pub async fn keep_form<B>(
        &self,
        request: Unanswered<'_>,
        body: B,
        most: usize,
        session: Option<&Session>,
        context: &RequestContext,
    ) -> Reply
    where
        B: http_body::Body<Data = Bytes>,
    {
        match self.endpoints.read(body, most).await {
            Ok(body) => kept_form::keep(&self.site, &request, &body.octets, session, context).await,
            Err(problem) => self.refuse(problem, request.headers, context),
        }
    }

    /// Says no: as a page for browsers, as JSON otherwise, with the request's id.
    pub fn refuse(&self, problem: Problem, headers: &HeaderMap, context: &RequestContext) -> Reply {
        self.site.refuse(problem, headers, context)
    }

    /// Says no to who may not see a page; who signs in with another account comes back to it.
    pub fn forbidden(&self, why: Forbidden, page: Option<&str>, headers: &HeaderMap, context: &RequestContext) -> Reply {
        let sign_in = page.map(|page| {
            let page = self.site.parts.login.return_path(page);
            refusal::try_again(&self.site.path("/login"), &page, None) + &refusal::asking(true, &[])
        });
        self.site.refuse_with(Problem::Forbidden(why), sign_in, headers, context)
    }

    /// Our cookies.
    pub fn cookies(&self) -> &Cookies {
        &self.site.parts.cookies
    }
}

impl Site {
    /// One of our own paths.
    fn path(&self, rest: &str) -> String {
        format!("{}{rest}", self.parts.prefix)
    }

    /// The live session of a request, if it has one.
    fn session(&self, headers: &HeaderMap) -> Result<Option<Arc<Session>>, StoreError> {
        let SessionCookie::Token(token) = self.parts.cookies.session(headers) else { return Ok(None) };
        let session = self.parts.store.session(&token.hash())?;
        Ok(session.filter(|session| session.is_live(self.parts.clock.now())))
    }

    /// 401 for programs. A page that gets it can send its user to `login_url`, and they come back to that page.
    fn unauthorized(&self, headers: &HeaderMap, wanted: &Wanted<'_>) -> Reply {
        let page = headers.get(http::header::REFERER).and_then(|referer| referer.to_str().ok()).unwrap_or_default();
        let return_to = self.parts.login.return_path(page);
        let login = refusal::try_again(&self.path("/login"), &return_to, wanted.idp);
        let login = login + &refusal::asking(wanted.force_authn, wanted.authn_context);
        let body = json!({"error": wanted.error, "login_url": self.parts.public_url.join(&login)});
        let mut reply = pages::json(StatusCode::UNAUTHORIZED, &body);
        reply.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("SAML"));
        reply
    }

    fn refuse(&self, problem: Problem, headers: &HeaderMap, context: &RequestContext) -> Reply {
        self.refuse_with(problem, None, headers, context)
    }

    /// `sign_in` is the link for another login; without one it leads to the start page.
    fn refuse_with(&self, problem: Problem, sign_in: Option<String>, headers: &HeaderMap, context: &RequestContext) -> Reply {
        let (request_id, reason) = (context.id.as_str(), problem.code());
        match problem {
            Problem::Forbidden(_) | Problem::CrossSite => info!(request_id, reason, "refused"),
            Problem::UpstreamUnreachable | Problem::UpstreamTimeout | Problem::StoreAway | Problem::Busy => {
                warn!(request_id, reason, "refused")
            }
            Problem::Internal => error!(request_id, reason, "refused"),
            _ => debug!(request_id, reason, "refused"),
        }
        refusal::problem(problem, headers, context, sign_in.unwrap_or_else(|| self.path("/login?force=true")))
    }
}
