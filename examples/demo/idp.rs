//! The demo's identity provider: a login page, a portal with tiles, and signed answers.
//!
//! It behaves as real ones do where that matters to samlgate: one login serves many visits, a wrong password is its own affair,
//! requests must be signed, single logout works in both directions (`single_logout.rs`), and a tile of the portal starts a login
//! that nobody asked for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::{Form, Query, RawForm, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use samlgate::clock::{Clock as _, SystemClock};
use samlgate::token::{PlainToken, SystemEntropy};
use serde::Deserialize;

use crate::fake_idp::{Algorithm, EMAIL, FakeIdp, ParsedRequest, Sign, parse_authn_request};
use crate::html::{escape, page};
use crate::single_logout;

const COOKIE: &str = "demo-idp";

/// A person.
pub(crate) struct User {
    pub(crate) name: &'static str,
    pub(crate) password: &'static str,
    pub(crate) full_name: &'static str,
    pub(crate) groups: &'static [&'static str],
    pub(crate) about: &'static str,
}

impl User {
    /// The address that the application knows this person by.
    pub(crate) fn mail(&self) -> String {
        format!("{}@example.com", self.name)
    }
}

/// The people of the demo.
pub(crate) const USERS: &[User] = &[
    User {
        name: "ada",
        password: "ada-demo",
        full_name: "Ada Adams",
        groups: &["Everyone", "Dashboard Admins"],
        about: "an administrator",
    },
    User {
        name: "erik",
        password: "erik-demo",
        full_name: "Erik Ek",
        groups: &["Everyone", "Dashboard Editors"],
        about: "an editor",
    },
    User { name: "vera", password: "vera-demo", full_name: "Vera Vinter", groups: &["Everyone"], about: "may look, no more" },
    User { name: "gus", password: "gus-demo", full_name: "Gus Guest", groups: &[], about: "has no role: samlgate refuses him" },
];

/// The one application that this IdP knows.
pub(crate) struct ServiceProvider {
    pub(crate) name: &'static str,
    pub(crate) url: String,
    pub(crate) entity_id: String,
    pub(crate) acs: String,
    pub(crate) slo: String,
    pub(crate) certificate: String,
}

/// The identity provider.
pub(crate) struct Idp {
    pub(crate) signer: FakeIdp,
    url: String,
    pub(crate) sp: ServiceProvider,
    sessions: Mutex<HashMap<String, &'static User>>,
}

impl Idp {
    /// With a key and its certificate, PEM.
    pub(crate) fn new(url: &str, key: (&str, &str), sp: ServiceProvider) -> Self {
        let signer = FakeIdp::with_key(&format!("{url}/metadata"), key, Algorithm::RsaSha256);
        Self { signer, url: url.to_owned(), sp, sessions: Mutex::default() }
    }

    /// What samlgate's operator is given.
    pub(crate) fn metadata(&self) -> String {
        self.signer.metadata_with_logout(&format!("{}/sso", self.url), &format!("{}/slo", self.url))
    }

    fn signed_in(&self, headers: &HeaderMap) -> Option<&'static User> {
        let token = cookie(headers)?;
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).get(&token).copied()
    }

    fn sign_in(&self, user: &'static User) -> String {
        let token = PlainToken::generate(&SystemEntropy).expose().to_owned();
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).insert(token.clone(), user);
        format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Lax")
    }

    /// The session at this IdP ends; whose it was.
    pub(crate) fn sign_out(&self, headers: &HeaderMap) -> Option<&'static User> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).remove(&cookie(headers)?)
    }

    /// A page that posts a signed response to the application.
    fn answer(&self, user: &User, request: Option<&ParsedRequest>, relay_state: Option<&str>) -> Response {
        let mail = user.mail();
        let mut response = self
            .signer
            .response()
            .to(&self.sp.entity_id, &self.sp.acs)
            .subject(&mail, EMAIL)
            .attribute("mail", &[&mail])
            .attribute("displayName", &[user.full_name])
            .at(SystemClock.now())
            .sign(Sign::Both);
        if !user.groups.is_empty() {
            response = response.attribute("groups", user.groups);
        }
        if let Some(request) = request {
            response = response.in_response_to(&request.id);
        }
        let relay = relay_state.map_or_else(String::new, |state| hidden("RelayState", state));
        let body = format!(
            "<p>Taking you to {}.</p><form method=\"post\" action=\"{}\">{}{relay}<button>Continue</button></form>\
             <script>document.forms[0].submit()</script>",
            escape(self.sp.name),
            escape(&self.sp.acs),
            hidden("SAMLResponse", &response.base64()),
        );
        page(StatusCode::OK, "idp", "Demo identity provider", "", &body)
    }

    fn login_page(&self, status: StatusCode, next: &str, wrong: bool) -> Response {
        let complaint = if wrong { "<p class=\"wrong\">This user and password don't match.</p>" } else { "" };
        let rows: String = USERS
            .iter()
            .map(|user| format!("<tr><td>{}<td><code>{}</code><td>{}", user.name, user.password, escape(user.about)))
            .collect();
        let body = format!(
            "{complaint}<form method=\"post\" action=\"/login\">{}\
             <label>User<br><input name=\"user\" autofocus autocomplete=\"username\"></label>\
             <label>Password<br><input name=\"password\" type=\"password\" autocomplete=\"current-password\"></label>\
             <button>Sign in</button></form><h3>Users of this demo</h3><table><tr><th>User<th>Password<th>{rows}</table>",
            hidden("next", next)
        );
        page(status, "idp", "Demo identity provider", "", &body)
    }

    /// Reads a request.
    ///
    /// # Errors
    /// In words, when it is none that this IdP answers.
    fn read(&self, encoded: &str) -> Result<ParsedRequest, String> {
        let request = parse_authn_request(encoded, Some(&self.sp.certificate))?;
        if request.issuer != self.sp.entity_id || request.acs.as_ref().is_some_and(|acs| *acs != self.sp.acs) {
            return Err("I don't know this service provider.".to_owned());
        }
        Ok(request)
    }
}

/// Who sends a bad request is told so, and goes nowhere.
pub(crate) fn refuse(why: &str) -> Response {
    let body = format!("<p>This is not a request that I answer: {}</p>", escape(why));
    page(StatusCode::BAD_REQUEST, "idp", "Demo identity provider", "", &body)
}

/// All pages of the identity provider.
pub(crate) fn router(idp: Arc<Idp>) -> Router {
    Router::new()
        .route("/", get(|| async { Redirect::to("/portal") }))
        .route("/metadata", get(metadata))
        .route("/sso", get(sso_by_redirect).post(sso_by_post))
        .route("/login", get(login_form).post(login))
        .route("/portal", get(portal))
        .route("/magic", get(magic))
        .route("/logout", get(single_logout::start))
        .route("/slo", get(single_logout::by_redirect).post(single_logout::by_post))
        .with_state(idp)
}

async fn metadata(State(idp): State<Arc<Idp>>) -> Response {
    ([(header::CONTENT_TYPE, "application/samlmetadata+xml")], idp.metadata()).into_response()
}

async fn sso_by_redirect(State(idp): State<Arc<Idp>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    sso(&idp, &query.unwrap_or_default(), &headers)
}

/// A request that came as a form is answered from its address too: the login page leads back to it by Redirect's spelling.
async fn sso_by_post(State(idp): State<Arc<Idp>>, headers: HeaderMap, RawForm(form): RawForm) -> Response {
    sso(&idp, &String::from_utf8_lossy(&form), &headers)
}

fn sso(idp: &Idp, encoded: &str, headers: &HeaderMap) -> Response {
    let request = match idp.read(encoded) {
        Ok(request) => request,
        Err(why) => return refuse(&why),
    };
    match idp.signed_in(headers) {
        Some(user) if !request.force_authn => idp.answer(user, Some(&request), request.relay_state.as_deref()),
        _ => idp.login_page(StatusCode::OK, &format!("/sso?{encoded}"), false),
    }
}

#[derive(Deserialize)]
struct Next {
    #[serde(default)]
    next: String,
}

async fn login_form(State(idp): State<Arc<Idp>>, Query(Next { next }): Query<Next>) -> Response {
    idp.login_page(StatusCode::OK, &next, false)
}

#[derive(Deserialize)]
struct Credentials {
    user: String,
    password: String,
    #[serde(default)]
    next: String,
}

async fn login(State(idp): State<Arc<Idp>>, Form(given): Form<Credentials>) -> Response {
    let Some(user) = USERS.iter().find(|user| user.name == given.user.trim() && user.password == given.password) else {
        return idp.login_page(StatusCode::UNAUTHORIZED, &given.next, true);
    };
    let set_cookie = [(header::SET_COOKIE, idp.sign_in(user))];
    // A request for a fresh login (ForceAuthn) would ask again for ever, so it is answered here.
    if let Some(encoded) = given.next.strip_prefix("/sso?") {
        let answer = idp.read(encoded).map(|request| idp.answer(user, Some(&request), request.relay_state.as_deref()));
        return (set_cookie, answer.unwrap_or_else(|why| refuse(&why))).into_response();
    }
    let ours = given.next.starts_with('/') && !given.next.starts_with("//") && !given.next.contains('\\');
    (set_cookie, Redirect::to(if ours { &given.next } else { "/portal" })).into_response()
}

async fn portal(State(idp): State<Arc<Idp>>, headers: HeaderMap) -> Response {
    let Some(user) = idp.signed_in(&headers) else { return to_login("/portal") };
    let tile = |text: &str, path: &str| {
        let page = utf8_percent_encode(path, NON_ALPHANUMERIC);
        format!("<tr><td><a href=\"/magic?page={page}\">{}</a><td><code>{}</code>", escape(text), escape(path))
    };
    let tiles = [
        tile("Dashboard", "/"),
        tile("Report of the third quarter, EMEA", "/reports/q3?region=emea"),
        tile("Administration", "/admin/users"),
        tile("A link that leads away (samlgate goes to its start page)", "https://evil.example/"),
    ];
    let body = format!(
        "<p>Signed in as <b>{}</b>.</p><p>Each tile is a magic URL: the login starts here, nobody asked for it, and it lands on \
         its page.</p><table><tr><th>Tile<th>RelayState{}</table><p><a href=\"/logout\">Sign out everywhere</a></p>",
        escape(user.full_name),
        tiles.concat()
    );
    page(StatusCode::OK, "idp", "Demo portal", &format!("<a href=\"{}/\">{}</a>", escape(&idp.sp.url), idp.sp.name), &body)
}

#[derive(Deserialize)]
struct Magic {
    page: Option<String>,
}

async fn magic(
    State(idp): State<Arc<Idp>>,
    Query(magic): Query<Magic>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    match idp.signed_in(&headers) {
        Some(user) => idp.answer(user, None, magic.page.as_deref()),
        None => to_login(&format!("/magic?{}", query.unwrap_or_default())),
    }
}

/// Takes the cookie back.
pub(crate) fn forgotten() -> [(header::HeaderName, String); 1] {
    [(header::SET_COOKIE, format!("{COOKIE}=; Path=/; Max-Age=0"))]
}

fn to_login(next: &str) -> Response {
    Redirect::to(&format!("/login?next={}", utf8_percent_encode(next, NON_ALPHANUMERIC))).into_response()
}

fn hidden(name: &str, value: &str) -> String {
    format!("<input type=\"hidden\" name=\"{name}\" value=\"{}\">", escape(value))
}

fn cookie(headers: &HeaderMap) -> Option<String> {
    let line = headers.get(header::COOKIE)?.to_str().ok()?;
    line.split(';').find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('=')).map(str::to_owned)
}
