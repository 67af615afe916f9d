//! `/logout`: the end of a session that its user wants, and not another site's page.

use http::StatusCode;
use tracing::info;

use super::endpoints::{Call, at_most_one};
use super::pages::{Forms, LogoutPage, page, redirect};
use super::sign_in::from_this_site;
use super::{Problem, Reply, SessionCookie, Site, refusal};
use crate::login::LoggedOut;
use crate::return_path::ReturnPath;

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

/// `POST /logout`, from this site only: the session ends, then the user goes to `[logout] return_to` or where the page asked.
pub(super) async fn end(site: &Site, call: &Call) -> Reply {
    if !from_this_site(site, &call.method, &call.headers) {
        return call.refuse(site, Problem::CrossSite);
    }
    let onwards = match return_to(site, call) {
        Ok(page) => page.unwrap_or_else(|| site.parts.logout_return_to.clone()),
        Err(problem) => return call.refuse(site, problem),
    };
    if let SessionCookie::Token(token) = site.parts.cookies.session(&call.headers) {
        match site.parts.login.logout(&token.hash()).await {
            Ok(LoggedOut::Here { sid, user, idp }) => {
                info!(request_id = call.context.id, idp, sid, user = ?user, "logout");
                metrics::counter!("samlgate_logouts_total", "idp" => idp).increment(1);
            }
            Ok(LoggedOut::NoSession) => {}
            Err(_) => return call.refuse(site, Problem::StoreAway),
        }
    }
    match redirect(StatusCode::SEE_OTHER, onwards.as_str()) {
        Some(mut reply) => {
            site.parts.cookies.take_session(reply.headers_mut());
            reply
        }
        None => call.refuse(site, Problem::Internal),
    }
}

fn return_to(site: &Site, call: &Call) -> Result<Option<ReturnPath>, Problem> {
    Ok(at_most_one(&call.query()?, "return_to")?.map(|text| site.parts.login.return_path(&text)))
}
