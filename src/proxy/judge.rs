//! What becomes of a request for the application: the same whether samlgate forwards it or a front proxy does.

use std::sync::Arc;

use http::header::ORIGIN;
use http::{HeaderMap, Method, Uri};

use super::gate::{Facts, Gate, Refusal};
use super::measure::Outcome;
use crate::access::{Decision, Forbidden, LoginTerms, Permit, Target, TargetError};
use crate::clock::Timestamp;
use crate::public_url::PublicUrl;
use crate::session::Session;
use crate::store::StoreError;
use crate::web::{Problem, SessionCookie};

/// A request for the application.
pub(crate) struct Question<'a> {
    pub(crate) method: &'a Method,
    pub(crate) target: Target,
    pub(crate) headers: &'a HeaderMap,
    /// Whether it opens a WebSocket.
    pub(crate) websocket: bool,
}

/// What becomes of it.
pub(crate) enum Verdict {
    /// It may pass, under this session if there is one.
    Pass(Permit, Option<Arc<Session>>),
    /// Somebody must sign in first, or better than for the session that there is.
    SignIn { target: Target, terms: Arc<LoginTerms>, session: Option<Arc<Session>> },
    /// It may not pass, whoever signs in how.
    Forbidden(Forbidden),
}

/// The one target of a request.
///
/// # Errors
/// When the method isn't served: no tunnels, and no echo of headers that only the application may see (RFC 9110 section 9.3.8). No
/// `post` either: it is another method than POST for a rule, and the same one for many an application. Or when servers could read
/// the target differently.
pub(crate) fn readable(method: &Method, uri: &Uri) -> Result<Target, Refusal> {
    let lower_case = method.as_str().bytes().any(|octet| octet.is_ascii_lowercase());
    if matches!(*method, Method::CONNECT | Method::TRACE) || lower_case {
        return Err(Refusal::malformed("the method is not served"));
    }
    Target::parse(uri).map_err(unreadable)
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

impl Gate {
    /// Finds the session, and asks the rules.
    ///
    /// # Errors
    /// When nobody knows who asks, when another site opens a WebSocket, or when readings of the path lead to different rules.
    pub(crate) fn judge(&self, question: Question<'_>, facts: &Facts, now: Timestamp) -> Result<Verdict, Refusal> {
        let parts = &*self.parts;
        let Question { method, target, headers, websocket } = question;

        // The session, if it lives.
        let session = match self.session(headers) {
            Ok(session) => session.filter(|session| session.is_live(now)),
            Err(_) if parts.rules.is_public(&target, method) => None,
            Err(error) => {
                tracing::warn!(request_id = facts.id.as_str(), %error, "the session store is away; the request is refused");
                return Err(Refusal::new(Problem::StoreAway, Outcome::StoreAway));
            }
        };
        // A WebSocket that another site's page opens is not the user's doing: browsers send the cookie along and ask nobody
        // (RFC 6455 section 10.2).
        if websocket && session.is_some() && !self.is_same_origin(headers) {
            return Err(Refusal::new(Problem::CrossSite, Outcome::Forbidden));
        }

        // The rule decides, and only it can make a permit.
        match parts.rules.decide(target, method, session.as_deref(), now) {
            Decision::Permit(permit) => {
                if let Some(session) = &session {
                    session.touch(now);
                }
                Ok(Verdict::Pass(permit, session))
            }
            Decision::LoginRequired(target, terms) => Ok(Verdict::SignIn { target, terms, session: None }),
            Decision::StepUpRequired(target, terms) => Ok(Verdict::SignIn { target, terms, session }),
            Decision::Forbidden(why) => {
                let user = session.as_ref().map(|session| session.identity().user());
                tracing::info!(request_id = facts.id.as_str(), reason = why.code(), ?user, "access refused");
                Ok(Verdict::Forbidden(why))
            }
            Decision::Ambiguous => Err(Refusal::malformed("the path can be read in several ways")),
        }
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
}
