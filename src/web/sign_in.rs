//! The beginning of a login: `/login`, `/test`, and whoever is sent to sign in.

use std::sync::Arc;

use http::{HeaderMap, Method, StatusCode};
use tracing::debug;

use super::context::{Asker, RequestContext};
use super::endpoints::{Call, at_most_one};
use super::pages::{Forms, FragmentPage, PostPage, page, redirect};
use super::{Problem, Reply, SessionCookie, Site, Unanswered, Wanted, acs, choosing, kept_form, refusal};
use crate::access::{Assurance, LoginTerms, Target};
use crate::login::Wish;
use crate::return_path::ReturnPath;
use crate::saml::Outgoing;
use crate::session::Session;
use crate::token::PlainToken;

/// `GET /login?return_to=/path[&idp=id][&force=true][&again=true][&passive=true][&authn_context=class...]`. Whoever is signed in goes
/// straight on, unless another IdP, a better login, a new authentication (`force`) or a new session (`again`: the IdP is asked, and
/// may answer from its own session) is asked for.
pub(super) async fn login(site: &Site, call: &Call) -> Reply {
    if Asker::of(&call.method, &call.headers) != Asker::Navigation {
        return site.unauthorized(&call.headers, &Wanted::login(&LoginTerms::default()));
    }
    let mut asked = match Asked::read(site, call) {
        Ok(asked) => asked,
        Err(problem) => return call.refuse(site, problem),
    };
    if !asked.force && !asked.again {
        match site.session(&call.headers) {
            Ok(Some(session)) if asked.idp.as_ref().is_none_or(|idp| session.idp() == *idp) => {
                if asked.assurance.is_met_by(&*session, site.parts.clock.now()) {
                    let onwards = redirect(StatusCode::FOUND, asked.return_to.as_str());
                    return onwards.unwrap_or_else(|| call.refuse(site, Problem::Internal));
                }
                asked.prefer_idp_of(&session);
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
        return site.unauthorized(&call.headers, &Wanted::login(&LoginTerms::default()));
    }
    match Asked::read(site, call) {
        Ok(Asked { idp, return_to, .. }) => {
            let asked = Asked { idp, test: true, ..Asked::nothing_but(return_to) };
            site.choose(asked, &call.headers, &call.context).await
        }
        Err(problem) => call.refuse(site, problem),
    }
}

/// A login that is asked for.
pub(super) struct Asked {
    /// The IdP that is asked for.
    idp: Option<String>,
    /// Else: that of the rule, or of a session whose user is to come back.
    preferred: Option<String>,
    return_to: ReturnPath,
    force: bool,
    again: bool,
    passive: bool,
    assurance: Assurance,
    pub(super) test: bool,
}

impl Asked {
    /// A login that leads to a page.
    fn nothing_but(return_to: ReturnPath) -> Self {
        let assurance = Assurance::default();
        Self { idp: None, preferred: None, return_to, force: false, again: false, passive: false, assurance, test: false }
    }

    /// A login on the terms of the rule for the page that it leads to.
    fn towards(site: &Site, return_to: ReturnPath) -> Self {
        let terms = site.terms_of(&return_to);
        Self { preferred: terms.idp.clone(), assurance: terms.assurance.clone(), ..Self::nothing_but(return_to) }
    }

    pub(super) fn read(site: &Site, call: &Call) -> Result<Self, Problem> {
        let fields = call.query()?;
        let is_true = |name| Ok(at_most_one(&fields, name)?.is_some_and(|value| value == "true"));
        let return_to = at_most_one(&fields, "return_to")?.unwrap_or_default();
        let mut asked = Self::towards(site, site.parts.login.return_path(&return_to));
        asked.idp = at_most_one(&fields, "idp")?;
        (asked.force, asked.again, asked.passive) = (is_true("force")?, is_true("again")?, is_true("passive")?);
        // The classes of a rule for something that a script on the page has asked for.
        let classes = fields.iter().filter(|(name, _)| name == "authn_context").map(|(_, class)| class.clone());
        let classes: Vec<String> = classes.collect();
        if !classes.iter().all(|class| site.parts.rules.name_context(class)) {
            return Err(Problem::BadRequest("No rule asks for this authentication context."));
        }
        if !classes.is_empty() {
            asked.assurance.authn_context = classes;
        }
        Ok(asked)
    }

    /// The user of a session is to come back, so the IdP that it is from is asked, unless the rule says which.
    fn prefer_idp_of(&mut self, session: &Session) {
        self.preferred.get_or_insert_with(|| session.idp().to_owned());
    }

    /// The link to our own login page that asks for the same, of one IdP or of the user's choice.
    pub(super) fn link(&self, site: &Site, idp: Option<&str>) -> String {
        let endpoint = site.path(if self.test { "/test" } else { "/login" });
        let more = [(self.again, "&again=true"), (self.passive, "&passive=true")];
        let more: String = more.into_iter().filter_map(|(is_set, field)| is_set.then_some(field)).collect();
        let link = refusal::try_again(&endpoint, &self.return_to, idp);
        link + &refusal::asking(self.force, &self.assurance.authn_context) + &more
    }
}

impl Site {
    /// A navigation without a session, or with one that isn't good enough, is on its way to a page: it begins a login.
    pub(super) async fn towards(
        &self,
        request: &Unanswered<'_>,
        terms: &LoginTerms,
        session: Option<&Session>,
        context: &RequestContext,
    ) -> Reply {
        let headers = request.headers;
        if let Some(refused) = self.two_sessions(headers, context) {
            return refused;
        }
        let mut asked = Asked::towards(self, self.parts.login.return_path(request.target.path_and_query()));
        if terms.keep_fragment {
            // Browsers send no fragment, so a script must. It goes to our own login page, which looks at the session once more.
            let href = refusal::try_again(&self.path("/login"), &asked.return_to, None);
            return page(StatusCode::OK, &FragmentPage { href }, Forms::Fragment);
        }
        if let Some(session) = session {
            asked.prefer_idp_of(session);
        }
        if self.idp_for(&asked).is_none() {
            let chooser = redirect(StatusCode::FOUND, &refusal::try_again(&self.path("/login"), &asked.return_to, None));
            return chooser.unwrap_or_else(|| self.refuse(Problem::Internal, headers, context));
        }
        self.choose(asked, headers, context).await
    }

    /// A login that leads to a page of our own.
    pub(super) async fn sign_in_towards(&self, page: ReturnPath, headers: &HeaderMap, context: &RequestContext) -> Reply {
        match self.two_sessions(headers, context) {
            Some(refused) => refused,
            None => self.choose(Asked::towards(self, page), headers, context).await,
        }
    }

    /// Refuses a browser that sends two session cookies. A login would not help, because the other cookie stays: the browser would
    /// go round for ever. Ours can't be deleted either, or what somebody planted would be the only one left.
    pub(super) fn two_sessions(&self, headers: &HeaderMap, context: &RequestContext) -> Option<Reply> {
        let what =
            "Your browser sends two session cookies, and one of them is not ours. Delete this site's cookies and try again.";
        let twice = self.parts.cookies.session(headers) == SessionCookie::Ambiguous;
        twice.then(|| self.refuse(Problem::BadRequest(what), headers, context))
    }

    /// The terms of the rule for a page, or for what is sent to it.
    fn terms_of(&self, page: &ReturnPath) -> Arc<LoginTerms> {
        let sent_to = kept_form::destination(self, page);
        let (page, method) = sent_to.as_ref().map_or((page, Method::GET), |page| (page, Method::POST));
        let path = page.as_str().split('#').next().unwrap_or_default();
        let target = path.parse().ok().and_then(|uri| Target::parse(&uri).ok());
        target.map(|target| self.parts.rules.login_terms(&target, &method)).unwrap_or_default()
    }

    /// The IdP that is asked for, the preferred one, or the only one; `None`: the user must choose, or asked for one that isn't there.
    fn idp_for(&self, asked: &Asked) -> Option<String> {
        // Also one whose metadata isn't known yet: the answer says so.
        let ids = self.parts.login.idp_ids();
        let known = |id: &String| ids.contains(id).then(|| id.clone());
        if let Some(id) = &asked.idp {
            return known(id);
        }
        let only = || if let [only] = ids.as_slice() { Some(only.clone()) } else { None };
        asked.preferred.as_ref().and_then(known).or_else(only)
    }

    /// Begins the login, or asks with which IdP.
    async fn choose(&self, asked: Asked, headers: &HeaderMap, context: &RequestContext) -> Reply {
        match self.idp_for(&asked) {
            Some(idp) => self.begin(&idp, asked, headers, context).await,
            None if asked.idp.is_some() => {
                self.refuse(Problem::BadRequest("There is no identity provider with this name."), headers, context)
            }
            None => choosing::chooser(self, &asked, headers, false),
        }
    }

    /// Begins a login: the login cookie, and a redirect or a form to the IdP.
    async fn begin(&self, idp: &str, asked: Asked, headers: &HeaderMap, context: &RequestContext) -> Reply {
        let parts = &self.parts;
        let known = parts.cookies.browsers(headers).into_iter().next();
        let browser = known.unwrap_or_else(|| PlainToken::generate(&*parts.entropy));
        let previous = match parts.cookies.session(headers) {
            SessionCookie::Token(token) => Some(token.hash()),
            SessionCookie::None | SessionCookie::Ambiguous => None,
        };
        let wish = Wish {
            idp: idp.to_owned(),
            browser: browser.hash(),
            return_to: asked.return_to,
            force_authn: asked.force,
            passive: asked.passive,
            assurance: asked.assurance,
            test: asked.test,
            previous,
        };
        let begun = match parts.login.start(wish, parts.clock.now(), &*parts.entropy).await {
            Ok(begun) => begun,
            Err(refused) => return acs::refuse(self, &refused, headers, context),
        };
        debug!(request_id = context.id, idp, saml_request_id = begun.request_id, "login begun");
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
