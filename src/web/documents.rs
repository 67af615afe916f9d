//! What can be read: our metadata, our keys, one's own session.

use http::header::CACHE_CONTROL;
use http::{HeaderValue, StatusCode};
use serde_json::{Map, Value};

use super::endpoints::Call;
use super::pages::{json as json_reply, whole};
use super::{Problem, Reply, Site, Wanted};
use crate::access::LoginTerms;
use crate::session::Session;

/// `GET /metadata`: what the IdP must know of us (Metadata 2.4.4).
pub(super) fn metadata(site: &Site) -> Reply {
    whole(StatusCode::OK, "application/samlmetadata+xml", site.parts.sp_metadata.clone())
}

/// `GET /jwks.json`: the keys that the identity assertion and signed requests are checked with (RFC 7517).
pub(super) fn jwks(site: &Site) -> Reply {
    let mut reply = whole(StatusCode::OK, "application/json", site.parts.signer.jwks().to_owned());
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    reply
}

/// `GET /me`: the session, for pages that want to say who is signed in. It doesn't count as use: a page that asks every minute
/// doesn't keep a session alive.
pub(super) fn me(site: &Site, call: &Call) -> Reply {
    match site.session(&call.headers) {
        Ok(Some(session)) => json_reply(StatusCode::OK, &Value::Object(described(&session))),
        Ok(None) => site.unauthorized(&call.headers, &Wanted::login(&LoginTerms::default())),
        Err(_) => call.refuse(site, Problem::StoreAway),
    }
}

/// Names as in the assertion; absent values are left out.
fn described(session: &Session) -> Map<String, Value> {
    let (identity, origin) = (session.identity(), session.origin());
    let optional = |value: Option<&str>| value.map_or(Value::Null, Value::from);
    let extra: Map<String, Value> = identity.extra().map(|(name, value)| (name.to_owned(), value.into())).collect();
    let all = [
        ("sid", session.sid().into()),
        ("user", identity.user().into()),
        ("email", optional(identity.email())),
        ("name", optional(identity.name())),
        ("tenant", optional(identity.tenant())),
        ("role", optional(identity.role())),
        ("groups", identity.groups().collect()),
        ("groups_cut", if identity.groups_cut() { true.into() } else { Value::Null }),
        ("extra", if extra.is_empty() { Value::Null } else { extra.into() }),
        ("idp", session.idp().into()),
        ("acr", optional(origin.acr.as_deref())),
        ("auth_time", origin.auth_time.to_string().into()),
        ("reauthenticated", origin.reauthenticated.map_or(Value::Null, |at| at.to_string().into())),
        ("created", session.created().to_string().into()),
        ("expires", session.expires().to_string().into()),
        ("idle_until", session.idle_until().to_string().into()),
    ];
    all.into_iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.to_owned(), value)).collect()
}
