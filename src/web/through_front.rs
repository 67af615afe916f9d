//! What a front proxy is told that asks about a request and passes it on itself (`/auth`).

use http::header::{HeaderName, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode, Uri};
use serde_json::json;

use super::context::{Asker, RequestContext};
use super::pages::{json, redirect};
use super::{Problem, Reply, Unanswered, Wanted, Web, refusal};
use crate::access::LoginTerms;
use crate::session::Session;

/// Where a front proxy finds the address of the login that a navigation needs.
const LOGIN: HeaderName = HeaderName::from_static("x-samlgate-login");

/// What becomes of an answer that says no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handover {
    /// The proxy hands it on to the client as it is.
    Whole,
    /// The proxy looks at status and headers, and answers the client itself.
    Status,
}

impl Web {
    /// What follows `{prefix}/auth` in a target, as received: empty, or a path and query that is asked about. `None`: nothing is asked.
    pub fn asked_about<'a>(&self, uri: &'a Uri) -> Option<&'a str> {
        let target = uri.path_and_query()?.as_str();
        target.strip_prefix(&self.site.parts.prefix)?.strip_prefix("/auth")
    }

    /// Answers for a request that needs a session, or a better one than it has: 401, and a navigation is sent to our own login page,
    /// which knows on which terms a login towards the page begins. Unlike [`Web::login_required`], it never has a status that lets the
    /// request pass.
    pub fn sign_in_through_front(
        &self,
        request: Unanswered<'_>,
        terms: &LoginTerms,
        session: Option<&Session>,
        handover: Handover,
        context: &RequestContext,
    ) -> Reply {
        let site = &self.site;
        let wanted = session.map_or_else(|| Wanted::login(terms), |session| Wanted::step_up(terms, session));
        if Asker::of(request.method, request.headers) != Asker::Navigation {
            return site.unauthorized(request.headers, &wanted);
        }
        if let Some(refused) = site.two_sessions(request.headers, context) {
            return refused;
        }
        let page = site.parts.login.return_path(request.target.path_and_query());
        let login = site.parts.public_url.join(&refusal::try_again(&site.path("/login"), &page, None));
        let reply = match handover {
            Handover::Whole => redirect(StatusCode::FOUND, &login),
            Handover::Status => HeaderValue::from_str(&login).ok().map(|address| {
                let mut reply = json(StatusCode::UNAUTHORIZED, &json!({"error": wanted.error, "login_url": login}));
                reply.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("SAML"));
                reply.headers_mut().insert(LOGIN, address);
                reply
            }),
        };
        reply.unwrap_or_else(|| self.refuse(Problem::Internal, request.headers, context))
    }
}
