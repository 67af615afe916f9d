//! A form that somebody sends without a good enough session: kept, shown after the login, and sent again at a click.
//!
//! Only a form of this site's own pages is kept (Origin), and nothing is sent by itself: neither another site nor a stale tab can
//! have a user's session do something that the user doesn't see and want.

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, ORIGIN};
use http::{HeaderMap, Method, StatusCode};
use percent_encoding::percent_decode;

use super::context::{Asker, RequestContext, is_only};
use super::endpoints::{Call, at_most_one, fields_of_form, query_of};
use super::pages::{FormPage, Forms, page, redirect};
use super::{Problem, Reply, Site, Unanswered, refusal};
use crate::return_path::ReturnPath;
use crate::session::Session;
use crate::store::KeptForm;
use crate::token::{HashedToken, PlainToken, public_id};

/// Most fields of a form that is kept: the page shows them all.
const MAX_FIELDS: usize = 500;

/// Whether a request is a form that a person has sent from a page of this site. Browsers name the page's origin with every POST.
pub(super) fn may_be_kept(site: &Site, request: &Unanswered<'_>) -> bool {
    let headers = request.headers;
    let own_origin = is_only(headers, ORIGIN.as_str(), &site.parts.public_url.to_string());
    request.method == Method::POST
        && own_origin
        && is_urlencoded(headers)
        && Asker::of(&Method::GET, headers) == Asker::Navigation
}

/// `application/x-www-form-urlencoded`, and nothing around it that would have to be taken off first.
fn is_urlencoded(headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(CONTENT_TYPE).iter();
    let kind = match (lines.next().and_then(|line| line.to_str().ok()), lines.next()) {
        (Some(line), None) => line.split(';').next().unwrap_or_default().trim(),
        _ => "",
    };
    kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") && !headers.contains_key(CONTENT_ENCODING)
}

/// Keeps a form, and begins a login that leads to the page that shows it.
pub(super) async fn keep(
    site: &Site,
    request: &Unanswered<'_>,
    octets: &[u8],
    session: Option<&Session>,
    context: &RequestContext,
) -> Reply {
    let refuse = |problem| site.refuse(problem, request.headers, context);
    if let Some(refused) = site.two_sessions(request.headers, context) {
        return refused;
    }
    if percent_decode(octets).decode_utf8().is_err() || octets.iter().filter(|octet| **octet == b'&').count() >= MAX_FIELDS {
        return refuse(Problem::BadRequest("What you sent can't be kept for your sign-in. Sign in first, then send it again."));
    }
    let parts = &site.parts;
    let id = public_id(&*parts.entropy);
    let to = parts.login.return_path(request.target.path_and_query());
    let here = format!("{}&to={}", site.path(&format!("/form?id={id}")), refusal::component(to.as_str()));
    let here = parts.login.return_path(&here);
    if to.as_str() != request.target.path_and_query() || !parts.login.is_form_page(here.route()) {
        return refuse(Problem::BadRequest(
            "What you sent to this address can't be kept for your sign-in. Sign in first, then send it again.",
        ));
    }
    let known = parts.cookies.browsers(request.headers).into_iter().next();
    let browser = known.unwrap_or_else(|| PlainToken::generate(&*parts.entropy));
    let form = KeptForm {
        id,
        browser: browser.hash(),
        subject: session.map(subject_of),
        page: to,
        octets: Bytes::copy_from_slice(octets),
    };
    if parts.store.save_form(form, parts.clock.now()).await.is_err() {
        return refuse(Problem::StoreAway);
    }
    match redirect(StatusCode::SEE_OTHER, &refusal::try_again(&site.path("/login"), &here, None)) {
        Some(mut reply) => {
            parts.cookies.bind_browser(reply.headers_mut(), &browser);
            reply
        }
        None => refuse(Problem::Internal),
    }
}

/// `GET /form?id=ID&to=/path`: shows a kept form, once, to the browser that sent it, when its user is signed in.
pub(super) async fn show(site: &Site, call: &Call) -> Reply {
    if call.method != Method::GET || Asker::of(&call.method, &call.headers) != Asker::Navigation {
        return call.refuse(site, Problem::MethodNotAllowed);
    }
    let session = match site.session(&call.headers) {
        Ok(Some(session)) => session,
        Ok(None) => {
            let here = call.uri.path_and_query().map(http::uri::PathAndQuery::as_str).unwrap_or_default();
            return site.sign_in_towards(site.parts.login.return_path(here), &call.headers, &call.context).await;
        }
        Err(_) => return call.refuse(site, Problem::StoreAway),
    };
    let id = match call.query().and_then(|fields| at_most_one(&fields, "id")) {
        Ok(id) => id.unwrap_or_default(),
        Err(problem) => return call.refuse(site, problem),
    };
    let parts = &site.parts;
    let browsers: Vec<HashedToken> = parts.cookies.browsers(&call.headers).iter().map(PlainToken::hash).collect();
    let form = match parts.store.take_form(&id, &browsers, parts.clock.now()).await {
        Ok(form) => form.filter(|form| form.subject.is_none_or(|subject| subject == subject_of(&session))),
        Err(_) => return call.refuse(site, Problem::StoreAway),
    };
    let Some(form) = form else { return call.refuse(site, Problem::FormGone) };
    match fields_of_form(form.octets).await {
        Ok(fields) => {
            let address = parts.public_url.join(form.page.as_str());
            let shown =
                FormPage { user: session.identity().user(), address: &address, page: form.page.as_str(), fields: &fields };
            page(StatusCode::OK, &shown, Forms::Own)
        }
        Err(problem) => call.refuse(site, problem),
    }
}

/// The page that a form goes to in the end, of an address of [`show`]; `None` for every other address. It only says on which terms
/// the login begins: whether the form may pass is decided when it is sent.
pub(super) fn destination(site: &Site, here: &ReturnPath) -> Option<ReturnPath> {
    if !site.parts.login.is_form_page(here.route()) {
        return None;
    }
    let fields = query_of(&here.as_str().parse().ok()?).ok()?;
    at_most_one(&fields, "to").ok().flatten().map(|to| site.parts.login.return_path(&to))
}

fn subject_of(session: &Session) -> HashedToken {
    // Neither part can contain a NUL, so no two pairs have the same text.
    let (issuer, name_id) = session.subject();
    HashedToken::of(&format!("{issuer}\0{name_id}"))
}
