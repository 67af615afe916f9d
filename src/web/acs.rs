//! The assertion consumer service: takes what the browser brings from the IdP (Bindings 3.5, 3.6, Profiles 4.1.4).

use http::header::ALLOW;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use tracing::{debug, error, info, warn};

use super::context::RequestContext;
use super::endpoints::{Call, at_most_one};
use super::pages::{Forms, TestPage, page, redirect};
use super::{Problem, Reply, SessionCookie, Site, refusal};
use crate::login::{Carried, Fault, Finished, Posted, Refusal, SignedIn, TestReport};
use crate::token::PlainToken;

/// `POST /acs`, `POST /acs/{idp}` and every other assertion consumer service; by `GET` for artifacts.
pub(super) async fn consume(site: &Site, call: &Call, idp: Option<String>) -> Reply {
    let posted = match read(site, call, idp).await {
        Ok(posted) => posted,
        Err(Problem::MethodNotAllowed) => {
            let mut reply = call.refuse(site, Problem::MethodNotAllowed);
            reply.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, POST"));
            return reply;
        }
        Err(problem) => return call.refuse(site, problem),
    };
    let parts = &site.parts;
    match parts.login.finish(posted, parts.clock.now(), &*parts.entropy).await {
        Ok(Finished::SignedIn(signed_in)) => welcome(site, call, &signed_in),
        Ok(Finished::Restart { idp, return_to }) => {
            info!(request_id = call.context.id, idp, "login begun at the IdP, asking it again");
            // By way of our own login page: this POST came from another site, so the browser kept the session cookie back, and the
            // session that the new one replaces would never be ended.
            let own = format!("{}&again=true", refusal::try_again(&site.path("/login"), &return_to, Some(&idp)));
            redirect(StatusCode::SEE_OTHER, &own).unwrap_or_else(|| call.refuse(site, Problem::Internal))
        }
        Ok(Finished::NotSignedIn { idp, return_to }) => {
            debug!(request_id = call.context.id, idp, "passive login: nobody is signed in at the IdP");
            counted(Some(&idp), "passive", "");
            let onwards = redirect(StatusCode::SEE_OTHER, return_to.as_str());
            onwards.unwrap_or_else(|| call.refuse(site, Problem::Internal))
        }
        Ok(Finished::Tested(report)) => tested(site, call, &report),
        Err(refused) => refuse(site, &refused, &call.headers, &call.context),
    }
}

async fn read(site: &Site, call: &Call, idp: Option<String>) -> Result<Posted, Problem> {
    let fields = match call.method {
        Method::POST => call.form().await?,
        Method::GET => call.query()?,
        _ => return Err(Problem::MethodNotAllowed),
    };
    let carried = match (at_most_one(&fields, "SAMLResponse")?, at_most_one(&fields, "SAMLart")?) {
        // A response by Redirect is none (Profiles 4.1.2): it would lie in the logs of every proxy.
        (Some(response), None) if call.method == Method::POST => Carried::Response(response),
        (None, Some(artifact)) => Carried::Artifact(artifact),
        _ if call.method == Method::GET => return Err(Problem::MethodNotAllowed),
        _ => return Err(Problem::BadRequest("This address takes the answer of an identity provider.")),
    };
    let cookies = &site.parts.cookies;
    Ok(Posted {
        carried,
        relay_state: at_most_one(&fields, "RelayState")?,
        idp,
        browsers: cookies.browsers(&call.headers).iter().map(PlainToken::hash).collect(),
        session: match cookies.session(&call.headers) {
            SessionCookie::Token(token) => Some(token.hash()),
            SessionCookie::None | SessionCookie::Ambiguous => None,
        },
    })
}

fn welcome(site: &Site, call: &Call, signed_in: &SignedIn) -> Reply {
    let session = &signed_in.session;
    info!(
        request_id = call.context.id,
        idp = session.idp(),
        sid = session.sid(),
        user = ?session.identity().user(),
        client = %call.context.client,
        solicited = signed_in.solicited,
        "login"
    );
    counted(Some(session.idp()), "success", "");
    match redirect(StatusCode::SEE_OTHER, signed_in.return_to.as_str()) {
        Some(mut reply) => {
            site.parts.cookies.give_session(reply.headers_mut(), &signed_in.token);
            if signed_in.solicited && site.parts.login.idps().len() > 1 {
                site.parts.cookies.remember_idp(reply.headers_mut(), session.idp());
            }
            reply
        }
        None => call.refuse(site, Problem::Internal),
    }
}

fn tested(site: &Site, call: &Call, report: &TestReport) -> Reply {
    let reason = report.refusal.as_ref().map(|refusal| refusal.code).unwrap_or_default();
    info!(request_id = call.context.id, idp = report.idp, reason, "test login");
    counted(Some(&report.idp), "test", reason);
    let again = format!("{}?idp={}", site.path("/test"), report.idp);
    page(StatusCode::OK, &TestPage { report, again, request_id: &call.context.id }, Forms::None)
}

/// A login that was refused: one event, one count, one page.
pub(super) fn refuse(site: &Site, refused: &Refusal, headers: &HeaderMap, context: &RequestContext) -> Reply {
    let (request_id, reason, detail) = (context.id.as_str(), refused.code, refused.detail.as_str());
    let idp = refused.idp.as_deref().unwrap_or("unknown");
    match refused.fault {
        Fault::Internal => error!(request_id, idp, reason, detail, client = %context.client, "login refused"),
        Fault::Unavailable => warn!(request_id, idp, reason, detail, client = %context.client, "login refused"),
        _ => info!(request_id, idp, reason, detail, client = %context.client, "login refused"),
    }
    counted(refused.idp.as_deref(), "refused", reason);
    refusal::login(refused, headers, context, &site.path("/login"))
}

/// `idp` is always one of the configured names, so that strangers can't make up label values.
fn counted(idp: Option<&str>, outcome: &'static str, reason: &'static str) {
    let idp = idp.unwrap_or("unknown").to_owned();
    metrics::counter!("samlgate_logins_total", "idp" => idp, "outcome" => outcome, "reason" => reason).increment(1);
}
