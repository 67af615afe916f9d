//! The demo's application: a dashboard without a login of its own. It believes `X-User` and `X-Role`, because only samlgate can
//! reach it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::Stream;
use futures_util::stream::unfold;
use samlgate::clock::{Clock as _, SystemClock};

use crate::html::{escape, page};

/// Who asks, as the headers say.
struct Visitor {
    user: String,
    name: String,
    role: String,
}

impl Visitor {
    fn of(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let user = text("x-user").unwrap_or_default();
        Self { name: text("x-name").unwrap_or_else(|| user.clone()), role: text("x-role").unwrap_or_default(), user }
    }

    fn may_edit(&self) -> bool {
        matches!(self.role.as_str(), "admin" | "editor")
    }
}

/// All pages of the dashboard.
pub(crate) fn router(idp_url: &str) -> Router {
    Router::new()
        .route("/", get(start))
        .route("/reports/{name}", get(report))
        .route("/admin/{page}", get(admin))
        .route("/status", get(status))
        .route("/clock", get(clock))
        .with_state(Arc::new(idp_url.to_owned()))
}

fn show(visitor: &Visitor, status: StatusCode, title: &str, body: &str) -> Response {
    let admin = if visitor.role == "admin" { "<a href=\"/admin/users\">Administration</a>" } else { "" };
    let links = format!(
        "<a href=\"/\">Start</a><a href=\"/reports/q3?region=emea\">Report</a>{admin}<a href=\"/_samlgate/logout\">Sign out</a>"
    );
    page(status, "app", title, &links, body)
}

async fn start(State(idp): State<Arc<String>>, headers: HeaderMap) -> Response {
    let visitor = Visitor::of(&headers);
    let rows = told(&headers);
    let body = format!(
        "<h2>Hello {}</h2><p>You are <b id=\"user\">{}</b>, your role is <b id=\"role\">{}</b>. It is <span id=\"clock\">...</span>, \
         by an event stream through samlgate.</p>{}<h3>What the dashboard was told</h3><table>{rows}</table>\
         <p>Signed out here, you are signed in again without a question for as long as \
         <a href=\"{}/logout\">the identity provider</a> knows you.</p>\
         <script>new EventSource('/clock').onmessage = e => document.getElementById('clock').textContent = e.data</script>",
        escape(&visitor.name),
        escape(&visitor.user),
        escape(&visitor.role),
        if visitor.may_edit() { "<p><button>Edit the dashboard</button></p>" } else { "<p>You may look, not edit.</p>" },
        escape(&idp),
    );
    show(&visitor, StatusCode::OK, "Dashboard", &body)
}

/// The rows of a table: who the visitor is first, where the request came from after it.
fn told(headers: &HeaderMap) -> String {
    let about_the_way = |name: &str| name.contains("forwarded") || matches!(name, "x-real-ip" | "x-request-id" | "cookie");
    let mut shown: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes())))
        .filter(|(name, _)| name.starts_with("x-") || about_the_way(name))
        .collect();
    shown.sort_by_key(|(name, _)| (about_the_way(name), name.len()));
    shown.iter().map(|(name, value)| format!("<tr><td>{}<td>{}", escape(name), escape(value))).collect()
}

async fn report(Path(name): Path<String>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let visitor = Visitor::of(&headers);
    let body = format!(
        "<h2>Report {}</h2><p>Filter: <code id=\"query\">{}</code></p><p>Read by {}, {}.</p>",
        escape(&name),
        escape(&query.unwrap_or_default()),
        escape(&visitor.user),
        escape(&visitor.role)
    );
    show(&visitor, StatusCode::OK, "Report", &body)
}

/// samlgate's access rule keeps others out before this is asked; the dashboard looks all the same.
async fn admin(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let visitor = Visitor::of(&headers);
    if visitor.role != "admin" {
        return show(&visitor, StatusCode::FORBIDDEN, "Administration", "<p>Only administrators may see this.</p>");
    }
    let body = format!(
        "<h2>Administration: {}</h2><p>Only <b>{}</b> and other administrators see this.</p>",
        escape(&name),
        escape(&visitor.user)
    );
    show(&visitor, StatusCode::OK, "Administration", &body)
}

/// The one page that anyone may see. Whoever claims to be someone here is nobody: the headers never arrive.
async fn status(headers: HeaderMap) -> Response {
    let visitor = Visitor::of(&headers);
    let who = if visitor.user.is_empty() { "nobody".to_owned() } else { escape(&visitor.user) };
    show(&visitor, StatusCode::OK, "Status", &format!("<p>All systems are well. To me you are <b id=\"user\">{who}</b>.</p>"))
}

async fn clock() -> impl IntoResponse {
    fn ticks() -> impl Stream<Item = Result<Event, Infallible>> {
        unfold(Duration::ZERO, |pause| async move {
            tokio::time::sleep(pause).await;
            Some((Ok(Event::default().data(SystemClock.now().to_string())), Duration::from_secs(1)))
        })
    }
    Sse::new(ticks())
}
