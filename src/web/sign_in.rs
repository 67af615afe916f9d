//! The beginning of a login: `/login`, `/test`, and whoever is sent to sign in.

use http::{HeaderMap, Method, StatusCode};
use tracing::debug;

use super::context::{Asker, RequestContext};
use super::endpoints::{Call, at_most_one};
use super::pages::{ChooserPage, Forms, Link, PostPage, page, redirect};
use super::{Problem, Reply, SessionCookie, Site, acs, refusal};
use crate::login::Wish;
use crate::return_path::ReturnPath;
use crate::saml::Outgoing;
use crate::token::PlainToken;

/// `GET /login?return_to=/path[&idp=id][&force=true][&again=true]`. Whoever is signed in goes straight on, unless another IdP, a new
/// authentication (`force`) or a new session (`again`: the IdP is asked, and may answer from its own session) is asked for.
pub(super) async fn login(site: &Site, call: &Call) -> Reply {
    if Asker::of(&call.method, &call.headers) != Asker::Navigation {
        return site.unauthorized(&call.headers);
    }
    let asked = match Asked::read(site, call) {
        Ok(asked) => asked,
        Err(problem) => return call.refuse(site, problem),
    };
    if !asked.force && !asked.again {
        match site.session(&call.headers) {
            Ok(Some(session)) if asked.idp.as_ref().is_none_or(|idp| session.idp() == *idp) => {
                let onwards = redirect(StatusCode::FOUND, asked.return_to.as_str());
                return onwards.unwrap_or_else(|| call.refuse(site, Problem::Internal));
            }
            Ok(_) => {}
            Err(_) => return call.refuse(site, Problem::StoreAway),
        }
    }
    site.choose(asked, &call.headers, &call.context).await
}

/// `GET /test[?idp=id]`: a login that shows what the IdP says and makes no session.
pub(super) async fn test(site: &Site, call: &Call) -> Reply {
    if Asker::of(&call.method, &call.headers) != Asker::Navigation {
        return site.unauthorized(&call.headers);
    }
    match Asked::read(site, call) {
        Ok(asked) => site.choose(Asked { test: true, force: false, ..asked }, &call.headers, &call.context).await,
        Err(problem) => call.refuse(site, problem),
    }
}

/// A login that is asked for.
struct Asked {
    idp: Option<String>,
    return_to: ReturnPath,
    force: bool,
    again: bool,
    test: bool,
}

impl Asked {
    fn read(site: &Site, call: &Call) -> Result<Self, Problem> {
        let fields = call.query()?;
        let return_to = at_most_one(&fields, "return_to")?.unwrap_or_default();
        let force = at_most_one(&fields, "force")?.is_some_and(|force| force == "true");
        let again = at_most_one(&fields, "again")?.is_some_and(|again| again == "true");
        let idp = at_most_one(&fields, "idp")?;
        Ok(Self { idp, return_to: site.parts.login.return_path(&return_to), force, again, test: false })
    }
}

impl Site {
    /// A navigation without a session is on its way to a page: it begins a login.
    pub(super) async fn towards(&self, headers: &HeaderMap, return_to: ReturnPath, context: &RequestContext) -> Reply {
        if self.parts.cookies.session(headers) == SessionCookie::Ambiguous {
            // A login would not help, because the other cookie stays: the browser would go round for ever. Ours can't be
            // deleted either, or what somebody planted would be the only one left.
            let what =
                "Your browser sends two session cookies, and one of them is not ours. Delete this site's cookies and try again.";
            return self.refuse(Problem::BadRequest(what), headers, context);
        }
        if self.parts.login.idp_ids().len() > 1 {
            let chooser = refusal::try_again(&self.path("/login"), &return_to, None);
            let chooser = redirect(StatusCode::FOUND, &chooser);
            return chooser.unwrap_or_else(|| self.refuse(Problem::Internal, headers, context));
        }
        self.choose(Asked { idp: None, return_to, force: false, again: false, test: false }, headers, context).await
    }

    /// The only IdP, the one that is asked for, or the question which one.
    async fn choose(&self, asked: Asked, headers: &HeaderMap, context: &RequestContext) -> Reply {
        let idps = self.parts.login.idp_ids();
        let idp = match (&asked.idp, idps.as_slice()) {
            (Some(id), all) if all.contains(id) => id.clone(),
            (Some(_), _) => {
                return self.refuse(Problem::BadRequest("There is no identity provider with this name."), headers, context);
            }
            (None, [only]) => only.clone(),
            (None, all) => {
                let endpoint = self.path(if asked.test { "/test" } else { "/login" });
                let force = if asked.force { "&force=true" } else { "" };
                let link = |id: &str| Link {
                    href: format!("{}{force}", refusal::try_again(&endpoint, &asked.return_to, Some(id))),
                    label: id.to_owned(),
                };
                let links = all.iter().map(|id| link(id)).collect();
                return page(StatusCode::OK, &ChooserPage { links }, Forms::None);
            }
        };
        let begin = Begin { idp, return_to: asked.return_to, force: asked.force, test: asked.test };
        self.begin(begin, headers, context).await
    }

    /// Begins a login: the login cookie, and a redirect or a form to the IdP.
    pub(super) async fn begin(&self, begin: Begin, headers: &HeaderMap, context: &RequestContext) -> Reply {
        let parts = &self.parts;
        let known = parts.cookies.browsers(headers).into_iter().next();
        let browser = known.unwrap_or_else(|| PlainToken::generate(&*parts.entropy));
        let previous = match parts.cookies.session(headers) {
            SessionCookie::Token(token) => Some(token.hash()),
            SessionCookie::None | SessionCookie::Ambiguous => None,
        };
        let wish = Wish {
            idp: begin.idp.clone(),
            browser: browser.hash(),
            return_to: begin.return_to,
            force_authn: begin.force,
            test: begin.test,
            previous,
        };
        let begun = match parts.login.start(wish, parts.clock.now(), &*parts.entropy).await {
            Ok(begun) => begun,
            Err(refused) => return acs::refuse(self, &refused, headers, context),
        };
        debug!(request_id = context.id, idp = begin.idp, saml_request_id = begun.request_id, "login begun");
        let mut reply = match &begun.outgoing {
            Outgoing::Redirect(url) => match redirect(StatusCode::FOUND, url) {
                Some(reply) => reply,
                None => return self.refuse(Problem::Internal, headers, context),
            },
            Outgoing::Post(form) => {
                let forms = if form.action.starts_with("https:") { Forms::Idp } else { Forms::PlainIdp };
                page(StatusCode::OK, &PostPage { form, heading: "Signing in" }, forms)
            }
        };
        parts.cookies.bind_browser(reply.headers_mut(), &browser);
        reply
    }
}

/// A login that begins now.
pub(super) struct Begin {
    pub(super) idp: String,
    pub(super) return_to: ReturnPath,
    pub(super) force: bool,
    pub(super) test: bool,
}

/// Whether a request was sent by a page of this site: browsers say so, old ones by Origin only. One that says neither is no
/// browser of the last years, and other sites' pages have none of our cookies (SameSite).
pub(super) fn from_this_site(site: &Site, method: &Method, headers: &HeaderMap) -> bool {
    let mut origins = headers.get_all(http::header::ORIGIN).iter();
    let own_origin = match (origins.next(), origins.next()) {
        (Some(origin), None) => Some(origin.as_bytes() == site.parts.public_url.to_string().as_bytes()),
        (Some(_), Some(_)) => Some(false),
        (None, _) => None,
    };
    let own_site =
        headers.contains_key("sec-fetch-site").then(|| super::context::is_only(headers, "sec-fetch-site", "same-origin"));
    match (own_site, own_origin) {
        (Some(own), _) | (None, Some(own)) => own,
        (None, None) => method == Method::POST,
    }
}
