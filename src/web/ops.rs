//! The ops address: health, metrics, and the operator's view of sessions. Nothing of it is on the public address.

mod trust;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;
use serde::{Deserialize, Serialize};
use tracing::info;

use crate::clock::Clock;
use crate::login::Login;
use crate::metadata::Board;
use crate::session::Session;
use crate::store::{Store, StoreError, Which};

/// Most sessions that one answer lists.
const MOST_LISTED: usize = 1000;

/// What the ops endpoints need.
#[derive(Clone)]
pub struct OpsParts {
    /// Sessions.
    pub store: Arc<dyn Store>,
    /// "Now".
    pub clock: Arc<dyn Clock>,
    /// Renders the metrics.
    pub metrics: PrometheusHandle,
    /// The IdPs.
    pub login: Arc<Login>,
    /// How their metadata does.
    pub board: Arc<Board>,
}

/// The peer of a connection to the ops address; whoever serves [`router`] puts it into each request's extensions.
#[derive(Clone, Copy, Debug)]
pub struct OpsPeer(pub IpAddr);

/// `/livez`, `/readyz`, `/metrics`, `/sessions`, `/metadata/refresh`.
///
/// Browsers are refused: a page that an operator has open must not reach an address on loopback by way of the browser. And
/// sessions are shown and ended (and sources of metadata bothered) for peers on this machine only, since in a pod the ops address is open to the cluster.
pub fn router(parts: OpsParts) -> Router {
    let sessions = Router::new()
        .route("/sessions", get(list).delete(revoke_user))
        .route("/sessions/{sid}", delete(revoke))
        .route("/metadata/refresh", post(refresh_metadata))
        .layer(middleware::from_fn(refuse_other_machines));
    Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .merge(sessions)
        .layer(middleware::from_fn(refuse_browsers))
        .with_state(parts)
}

/// From this machine, and addressed as such: a name in Host that a stranger made to point at loopback (DNS rebinding) is none.
async fn refuse_other_machines(request: Request, next: Next) -> Response {
    let here = request.extensions().get::<OpsPeer>().is_some_and(|peer| peer.0.to_canonical().is_loopback());
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    if !here || !host.is_none_or(is_loopback) {
        return (StatusCode::FORBIDDEN, "only for this machine\n").into_response();
    }
    next.run(request).await
}

fn is_loopback(host: &str) -> bool {
    let address = host.parse::<SocketAddr>().map(|address| address.ip()).or_else(|_| host.parse());
    match address {
        Ok(address) => address.is_loopback() || address.is_unspecified(),
        // RFC 6761, 6.3: nobody can own a name below localhost.
        Err(_) => host.split(':').next().is_some_and(|name| {
            let name = name.to_ascii_lowercase();
            name == "localhost" || name.ends_with(".localhost")
        }),
    }
}

async fn refuse_browsers(request: Request, next: Next) -> Response {
    const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
    let foreign = |headers: &HeaderMap| {
        headers.contains_key(header::ORIGIN) || headers.get(SITE).is_some_and(|site| site != "none" && site != "same-origin")
    };
    if foreign(request.headers()) {
        return (StatusCode::FORBIDDEN, "the ops address is not for web pages\n").into_response();
    }
    next.run(request).await
}

/// Ready when the store answers and there has been metadata of at least one IdP. That it ended since then, or that others have none,
/// is said and changes nothing: whoever is signed in still has work to do, and other instances have no more than this one.
async fn ready(State(parts): State<OpsParts>) -> Response {
    let now = parts.clock.now();
    let store = parts.store.sessions(1, now).await;
    let idps = trust::states(&parts.login, &parts.board, now);
    let ready = store.is_ok() && !parts.login.idps().is_empty();
    let store = store.map_or_else(|error| error.to_string(), |_| "ok".to_owned());
    let body = Json(serde_json::json!({"ready": ready, "store": store, "identity_providers": idps}));
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, body).into_response()
}

/// Looks at all sources of metadata now.
async fn refresh_metadata(State(parts): State<OpsParts>) -> Response {
    info!(event = "metadata_refresh_wanted", "an operator wants the metadata of all identity providers now");
    parts.board.refresh_now();
    (StatusCode::ACCEPTED, "the log and /readyz say what comes of it\n").into_response()
}

async fn metrics(State(parts): State<OpsParts>) -> Response {
    // Sessions that time has ended don't count any more; looking at very many of them takes a moment.
    let (store, now) = (Arc::clone(&parts.store), parts.clock.now());
    let _ = tokio::task::spawn_blocking(move || store.sweep(now)).await;
    metrics::gauge!("samlgate_sessions").set(parts.store.session_count() as f64);
    metrics::gauge!("samlgate_pending_logins").set(parts.store.pending_count() as f64);
    let mut text = parts.metrics.render();
    text.push_str(&trust::metrics(&parts.login, &parts.board, parts.clock.now()));
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

/// A session as operators see it: nothing that could be used as one.
#[derive(Debug, Serialize)]
struct Row<'a> {
    sid: &'a str,
    user: &'a str,
    role: Option<&'a str>,
    idp: &'a str,
    created: String,
    last_seen: String,
    expires: String,
}

impl<'a> From<&'a Session> for Row<'a> {
    fn from(session: &'a Session) -> Self {
        Self {
            sid: session.sid(),
            user: session.identity().user(),
            role: session.identity().role(),
            idp: session.idp(),
            created: session.created().to_string(),
            last_seen: session.last_seen().to_string(),
            expires: session.expires().to_string(),
        }
    }
}

async fn list(State(parts): State<OpsParts>) -> Response {
    match parts.store.sessions(MOST_LISTED, parts.clock.now()).await {
        Ok(sessions) => {
            let rows: Vec<_> = sessions.iter().map(|session| Row::from(&**session)).collect();
            Json(serde_json::json!({"sessions": rows, "kept": parts.store.session_count()})).into_response()
        }
        Err(error) => away(&error),
    }
}

async fn revoke(State(parts): State<OpsParts>, Path(sid): Path<String>) -> Response {
    end(&parts, Which::Sid(sid)).await
}

#[derive(Debug, Deserialize)]
struct OfUser {
    user: String,
}

async fn revoke_user(State(parts): State<OpsParts>, Query(of): Query<OfUser>) -> Response {
    end(&parts, Which::User(of.user)).await
}

async fn end(parts: &OpsParts, which: Which) -> Response {
    match parts.store.end_sessions(which.clone()).await {
        Ok(ended) => {
            info!(event = "sessions_revoked", which = ?which, ended, "an operator ended sessions");
            let outcome = if ended == 0 { "no_session" } else { "success" };
            super::logout::counted("any", "operator", outcome, "");
            let status = if ended == 0 { StatusCode::NOT_FOUND } else { StatusCode::OK };
            (status, Json(serde_json::json!({"ended": ended}))).into_response()
        }
        Err(error) => away(&error),
    }
}

fn away(error: &StoreError) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, Json(serde_json::json!({"error": error.to_string()}))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_nobody_else_can_give_are_this_machine() {
        for here in ["127.0.0.1:9090", "127.0.0.1", "[::1]:9090", "localhost:9090", "ops.LOCALHOST", "0.0.0.0:9090"] {
            assert!(is_loopback(here), "{here}");
        }
        for elsewhere in ["rebound.example:9090", "10.0.0.7:9090", "localhost.example", "notlocalhost", "", "10.0.0.7"] {
            assert!(!is_loopback(elsewhere), "{elsewhere}");
        }
    }
}
