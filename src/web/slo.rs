//! The single logout service: takes logout messages from IdPs (Bindings 3.2, 3.4, 3.5, Profiles 4.4).

use http::{Method, StatusCode};
use tracing::{error, info, warn};

use super::endpoints::{Call, at_most_one};
use super::logout::{carry, counted};
use super::pages::{redirect, whole};
use super::{Problem, Reply, Site, refusal};
use crate::login::{Answer, Arrived, Concluded, Ended, Fault, Refused};
use crate::saml::logout::{LogoutStatus, MessageKind, SoapFault};

/// The reason why a user may still be signed in elsewhere.
const INCOMPLETE: &str = "logout_incomplete";
/// SOAP 1.1, 6.
const XML: &str = "text/xml; charset=utf-8";

/// `GET /slo` and `POST /slo`: a message that a browser brings; or that the IdP itself posts as if it were one, as Keycloak does.
pub(super) async fn by_browser(site: &Site, call: &Call) -> Reply {
    match arrived(call).await {
        Ok(arrived) => conclude(site, call, arrived).await,
        Err(problem) => call.refuse(site, problem),
    }
}

/// `POST /slo/soap`: a message that the IdP sends itself.
pub(super) async fn by_soap(site: &Site, call: &Call) -> Reply {
    conclude(site, call, Arrived::Soap(call.body.octets.to_vec())).await
}

async fn arrived(call: &Call) -> Result<Arrived, Problem> {
    const NOT_ONE: Problem = Problem::BadRequest("This address takes one logout message of an identity provider.");
    if call.method != Method::POST {
        let query = call.uri.query().unwrap_or_default();
        // What was sent by mistake, or typed, is no message that could be refused.
        return if query.contains("SAML") { Ok(Arrived::Redirect(query.to_owned())) } else { Err(NOT_ONE) };
    }
    let fields = call.form().await?;
    let (request, response) = (at_most_one(&fields, "SAMLRequest")?, at_most_one(&fields, "SAMLResponse")?);
    let relay_state = at_most_one(&fields, "RelayState")?;
    let (kind, field) = match (request, response) {
        (Some(field), None) => (MessageKind::Request, field),
        (None, Some(field)) => (MessageKind::Response, field),
        _ => return Err(NOT_ONE),
    };
    Ok(Arrived::Post { kind, field, relay_state })
}

async fn conclude(site: &Site, call: &Call, arrived: Arrived) -> Reply {
    let soap = matches!(arrived, Arrived::Soap(_));
    let parts = &site.parts;
    match parts.login.receive_logout(arrived, parts.clock.now(), &*parts.entropy).await {
        Ok(Concluded::AtIdp { idp, saml_request_id, ended, answer }) => {
            record(call, &idp, &saml_request_id, &ended, &answer);
            answered(site, call, soap, &ended, &answer)
        }
        Ok(Concluded::AtUser { idp, status, return_to }) => {
            let complete = status.is_complete();
            record_answer(call, &idp, &status);
            let reply = if complete {
                redirect(StatusCode::SEE_OTHER, return_to.as_str())
            } else {
                Some(refusal::logout_incomplete(INCOMPLETE, status.message.as_deref(), &return_to, &call.context))
            };
            reply.unwrap_or_else(|| call.refuse(site, Problem::Internal))
        }
        Err(refused) => refuse(site, call, soap, &refused),
    }
}

/// What the IdP, or the browser on its behalf, gets for a request.
fn answered(site: &Site, call: &Call, soap: bool, ended: &Ended, answer: &Answer) -> Reply {
    let reply = match answer {
        Answer::Browser(outgoing) => carry(site, outgoing),
        Answer::Soap(envelope) => Some(whole(StatusCode::OK, XML, envelope.clone())),
        Answer::None(code) if soap => Some(refusal::soap(SoapFault::Server, code)),
        Answer::None(_) if matches!(ended, Ended::Failed(_)) => Some(call.refuse(site, Problem::StoreAway)),
        Answer::None(code) => {
            let return_to = &site.parts.logout_return_to;
            Some(refusal::logout_incomplete(code, None, return_to, &call.context))
        }
    };
    reply.unwrap_or_else(|| call.refuse(site, Problem::Internal))
}

fn record(call: &Call, idp: &str, saml_request_id: &str, ended: &Ended, answer: &Answer) {
    let request_id = call.context.id.as_str();
    let unanswered = match answer {
        Answer::None(code) => *code,
        Answer::Browser(_) | Answer::Soap(_) => "",
    };
    let (outcome, reason) = match ended {
        Ended::Sessions(count) => {
            info!(request_id, idp, saml_request_id = ?saml_request_id, ended = count, unanswered, "logout at the identity provider");
            (if *count == 0 { "no_session" } else { "success" }, "")
        }
        Ended::Already => {
            info!(request_id, idp, saml_request_id = ?saml_request_id, ended = 0, repeated = true, unanswered, "logout at the identity provider");
            ("repeated", "")
        }
        Ended::Failed(error) => {
            let reason = "store_unavailable";
            warn!(request_id, idp, saml_request_id = ?saml_request_id, reason, detail = %error, "logout at the identity provider failed, sessions may still live");
            ("failed", reason)
        }
    };
    counted(idp, "idp", outcome, reason);
}

fn record_answer(call: &Call, idp: &str, status: &LogoutStatus) {
    let request_id = call.context.id.as_str();
    if status.is_complete() {
        info!(request_id, idp, "logout confirmed by the identity provider");
        counted(idp, "user", "confirmed", "");
    } else {
        // `?`: what the IdP writes is written escaped.
        let (top, second, message) = (&status.top, &status.second, &status.message);
        info!(request_id, idp, reason = INCOMPLETE, status = ?top, second = ?second, said = ?message, "logout incomplete at the identity provider");
        counted(idp, "user", "incomplete", INCOMPLETE);
    }
}

/// A message that is refused: one event, one count, one page or fault.
fn refuse(site: &Site, call: &Call, soap: bool, refused: &Refused) -> Reply {
    let Refused { kind, why } = refused;
    let (request_id, reason, detail) = (call.context.id.as_str(), why.code, why.detail.as_str());
    let idp = why.idp.as_deref().unwrap_or("unknown");
    let message = kind.map_or("a logout message", MessageKind::element);
    match why.fault {
        Fault::Internal => error!(request_id, idp, reason, detail, message, client = %call.context.client, "logout refused"),
        Fault::Unavailable => warn!(request_id, idp, reason, detail, message, client = %call.context.client, "logout refused"),
        _ => info!(request_id, idp, reason, detail, message, client = %call.context.client, "logout refused"),
    }
    let how = if *kind == Some(MessageKind::Response) { "user" } else { "idp" };
    counted(idp, how, "refused", reason);
    if soap {
        let fault = match why.fault {
            Fault::Malformed | Fault::TooLarge | Fault::Refused => SoapFault::Client,
            Fault::Unavailable | Fault::Internal => SoapFault::Server,
        };
        return refusal::soap(fault, reason);
    }
    refusal::logout(refused, &call.headers, &call.context, &site.path("/logout"), &site.parts.logout_return_to)
}
