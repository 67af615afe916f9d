//! `/logout`: the end of a session that its user wants, and not another site's page.

use http::StatusCode;
use serde_json::json;
use tracing::{info, warn};

use super::context::is_only;
use super::endpoints::{Call, at_most_one};
use super::pages::{Forms, LogoutPage, PostPage, json as json_reply, page, redirect};
use super::sign_in::from_this_site;
use super::{Problem, Reply, Site, refusal};
use crate::login::{LoggedOut, Next};
use crate::return_path::ReturnPath;
use crate::saml::{Outgoing, PostForm};

/// `GET /logout[?return_to=/path]`: from a page of this site it is a click on "log out"; from anywhere else it shows a button,
/// so that an image or a link elsewhere signs nobody out.
pub(super) async fn ask(site: &Site, call: &Call) -> Reply {
    if from_this_site(site, &call.method, &call.headers) {
        return end(site, call).await;
    }
    match return_to(site, call) {
        Ok(None) => page(StatusCode::OK, &LogoutPage { action: site.path("/logout") }, Forms::Own),
        Ok(Some(page_of_theirs)) => {
            let action = refusal::try_again(&site.path("/logout"), &page_of_theirs, None);
            page(StatusCode::OK, &LogoutPage { action }, Forms::Own)
        }
        Err(problem) => call.refuse(site, problem),
    }
}

/// `POST /logout`, from this site only: the session ends, and the browser forgets it. Then the browser tells the IdP, when that has a
/// logout service, and goes on to `[logout] return_to` or where the page asked.
pub(super) async fn end(site: &Site, call: &Call) -> Reply {
    if !from_this_site(site, &call.method, &call.headers) {
        return call.refuse(site, Problem::CrossSite);
    }
    let return_to = match return_to(site, call) {
        Ok(page) => page.unwrap_or_else(|| site.parts.logout_return_to.clone()),
        Err(problem) => return call.refuse(site, problem),
    };
    let parts = &site.parts;
    let mut next = Next::Nothing;
    for token in parts.cookies.sessions(&call.headers) {
        match parts.login.logout(&token.hash(), &return_to, parts.clock.now(), &*parts.entropy).await {
            Ok(LoggedOut::Here { sid, user, idp, next: then }) => {
                record(call, &idp, &sid, &user, &then);
                next = then;
            }
            Ok(LoggedOut::NoSession) => {}
            Err(_) => return call.refuse(site, Problem::StoreAway),
        }
    }
    let mut reply = if by_script(call) { for_script(site, &return_to, &next) } else { onwards(site, call, &return_to, &next) };
    parts.cookies.take_session(reply.headers_mut());
    reply
}

/// What a browser that shows pages does next.
fn onwards(site: &Site, call: &Call, return_to: &ReturnPath, next: &Next) -> Reply {
    match next {
        Next::Nothing => redirect(StatusCode::SEE_OTHER, return_to.as_str()),
        Next::TellIdp { outgoing, .. } => carry(site, outgoing),
        Next::Untold { code, .. } => Some(refusal::logout_incomplete(code, None, return_to, &call.context)),
    }
    .unwrap_or_else(|| call.refuse(site, Problem::Internal))
}

/// A logout message on its way to an IdP; `None` when its address can't stand in a header.
pub(super) fn carry(site: &Site, outgoing: &Outgoing) -> Option<Reply> {
    match outgoing {
        Outgoing::Redirect(url) => redirect(StatusCode::SEE_OTHER, url),
        Outgoing::Post(form) => {
            let post = PostPage { form, heading: "Signing out" };
            Some(page(StatusCode::OK, &post, forms(site, form)))
        }
    }
}

/// The form goes to the IdP; the redirects that follow it may come back here.
fn forms(site: &Site, form: &PostForm) -> Forms {
    let https = form.action.starts_with("https:") && site.parts.public_url.is_https();
    if https { Forms::Idp } else { Forms::PlainIdp }
}

/// Whether a script of the application asked. It can't follow a redirect to another site, so it is told where its page must go.
fn by_script(call: &Call) -> bool {
    call.headers.contains_key("sec-fetch-mode") && !is_only(&call.headers, "sec-fetch-mode", "navigate")
}

fn for_script(site: &Site, return_to: &ReturnPath, next: &Next) -> Reply {
    let continue_at = match next {
        Next::TellIdp { outgoing: Outgoing::Redirect(url), .. } => url.clone(),
        _ => site.parts.public_url.join(return_to.as_str()),
    };
    json_reply(StatusCode::OK, &json!({"signed_out": true, "continue_at": continue_at}))
}

fn record(call: &Call, idp: &str, sid: &str, user: &str, next: &Next) {
    let request_id = call.context.id.as_str();
    let (outcome, reason) = match next {
        Next::Nothing => {
            info!(request_id, idp, sid, user = ?user, idp_told = false, "logout");
            ("here", "")
        }
        Next::TellIdp { request_id: saml_request_id, .. } => {
            info!(request_id, idp, sid, user = ?user, idp_told = true, saml_request_id, "logout");
            ("idp_told", "")
        }
        Next::Untold { code, detail } => {
            warn!(request_id, idp, sid, user = ?user, idp_told = false, reason = code, detail, "logout");
            ("idp_untold", *code)
        }
    };
    counted(idp, "user", outcome, reason);
}

/// One more logout. `idp` is always one of the configured names, so that strangers can't make up label values.
pub(super) fn counted(idp: &str, how: &'static str, outcome: &'static str, reason: &'static str) {
    let idp = idp.to_owned();
    metrics::counter!("samlgate_logouts_total", "idp" => idp, "how" => how, "outcome" => outcome, "reason" => reason)
        .increment(1);
}

fn return_to(site: &Site, call: &Call) -> Result<Option<ReturnPath>, Problem> {
    Ok(at_most_one(&call.query()?, "return_to")?.map(|text| site.parts.login.return_path(&text)))
}
