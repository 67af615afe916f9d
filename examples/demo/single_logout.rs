//! Single logout at the demo's identity provider: it ends its own session when the application says that the user has signed out,
//! and tells the application when the user signs out here.

use std::sync::Arc;

use axum::extract::{RawForm, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use samlgate::clock::{Clock as _, SystemClock};

use crate::fake_idp::{EMAIL, parse_logout};
use crate::html::page;
use crate::idp::{Idp, forgotten, refuse};

pub(crate) async fn by_redirect(State(idp): State<Arc<Idp>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    receive(&idp, &query.unwrap_or_default(), &headers)
}

pub(crate) async fn by_post(State(idp): State<Arc<Idp>>, headers: HeaderMap, RawForm(form): RawForm) -> Response {
    receive(&idp, &String::from_utf8_lossy(&form), &headers)
}

/// The application's request to end the session, which is done and answered; or its answer to ours.
fn receive(idp: &Idp, encoded: &str, headers: &HeaderMap) -> Response {
    let message = match parse_logout(encoded, Some(&idp.sp.certificate)) {
        Ok(message) if message.issuer == idp.sp.entity_id => message,
        Ok(_) => return refuse("I don't know this service provider."),
        Err(why) => return refuse(&why),
    };
    if message.element == "LogoutResponse" {
        return signed_out(if message.status == "Success" {
            "You are signed out, here and at the application, in every browser."
        } else {
            "You are signed out here, but the application could not end your session."
        });
    }
    idp.sign_out(headers);
    let answer = idp.signer.logout_response(&message.id, "Success").destination(Some(&idp.sp.slo)).at(SystemClock.now());
    let url = format!("{}?{}", idp.sp.slo, answer.redirect(message.relay_state.as_deref()));
    (forgotten(), Redirect::to(&url)).into_response()
}

/// The user signs out here: without a SessionIndex, which means everywhere.
pub(crate) async fn start(State(idp): State<Arc<Idp>>, headers: HeaderMap) -> Response {
    let Some(user) = idp.sign_out(&headers) else { return signed_out("You are not signed in here.") };
    let request = idp.signer.logout_request().destination(Some(&idp.sp.slo)).subject(&user.mail(), EMAIL).session_indexes(&[]);
    let url = format!("{}?{}", idp.sp.slo, request.at(SystemClock.now()).redirect(None));
    (forgotten(), Redirect::to(&url)).into_response()
}

fn signed_out(text: &str) -> Response {
    let body = format!("<p>{text}</p><p><a href=\"/portal\">Sign in again</a></p>");
    page(StatusCode::OK, "idp", "Demo identity provider", "", &body)
}
