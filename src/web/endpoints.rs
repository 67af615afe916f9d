//! Which endpoint answers: the map of everything under the prefix.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, FromRequest, Path, Query, State};
use axum::routing::{any, get, post};
use axum::{Form, Router};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt as _, Full};
use tokio::runtime::Handle;
use tower::ServiceExt as _;

use super::bodies::{self, Bodies, Whole};
use super::context::RequestContext;
use super::{Problem, Reply, Site, acs, choosing, documents, kept_form, logout, sign_in, slo};

/// Most fields of a form or a query; the bindings need two.
const MAX_FIELDS: usize = 32;

/// A request for one of our endpoints, its body read where the endpoint takes one.
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    pub(super) body: Whole,
    pub(super) context: RequestContext,
}

/// Longer forms, in octets, are decoded beside the event loop: that takes some tenths of a millisecond.
const SHORT_FORM: usize = 16 * 1024;

/// Names and values, in order.
pub(super) type Fields = Vec<(String, String)>;

type Shared = State<Arc<Site>>;
type This = Extension<Arc<Call>>;

/// The router. It knows nothing of the configured prefix: paths reach it without.
pub(super) struct Endpoints {
    router: Router,
    bodies: Bodies,
}

impl Endpoints {
    pub(super) fn new(site: &Arc<Site>) -> Self {
        let router = Router::new()
            .route(
                "/login",
                get(async |State(site): Shared, Extension(call): This| sign_in::login(&site, &call).await)
                    .post(async |State(site): Shared, Extension(call): This| choosing::by_address(&site, &call).await),
            )
            .route("/test", get(async |State(site): Shared, Extension(call): This| sign_in::test(&site, &call).await))
            // Which methods, it decides itself: by GET only artifacts come.
            .route("/acs", any(async |State(site): Shared, Extension(call): This| acs::consume(&site, &call, None).await))
            .route(
                "/acs/{idp}",
                any(async |State(site): Shared, Extension(call): This, Path(idp): Path<String>| {
                    acs::consume(&site, &call, Some(idp)).await
                }),
            )
            .route(
                "/logout",
                get(async |State(site): Shared, Extension(call): This| logout::ask(&site, &call).await)
                    .post(async |State(site): Shared, Extension(call): This| logout::end(&site, &call).await),
            )
            .route(
                "/slo",
                get(async |State(site): Shared, Extension(call): This| slo::by_browser(&site, &call).await)
                    .post(async |State(site): Shared, Extension(call): This| slo::by_browser(&site, &call).await),
            )
            .route("/slo/soap", post(async |State(site): Shared, Extension(call): This| slo::by_soap(&site, &call).await))
            .route("/form", get(async |State(site): Shared, Extension(call): This| kept_form::show(&site, &call).await))
            .route("/me", get(async |State(site): Shared, Extension(call): This| documents::me(&site, &call)))
            .route("/metadata", get(async |State(site): Shared| documents::metadata(&site)))
            .route("/jwks.json", get(async |State(site): Shared| documents::jwks(&site)))
            .fallback(async |State(site): Shared, Extension(call): This| call.refuse(&site, Problem::NotFound))
            .method_not_allowed_fallback(async |State(site): Shared, Extension(call): This| {
                call.refuse(&site, Problem::MethodNotAllowed)
            })
            .with_state(Arc::clone(site));
        Self { router, bodies: Bodies::new() }
    }

    /// Reads the body of a request that isn't for an endpoint, within the bound of all bodies.
    pub(super) async fn read<B>(&self, body: B, most: usize) -> Result<Whole, Problem>
    where
        B: http_body::Body<Data = Bytes>,
    {
        self.bodies.read(body, most).await
    }

    /// Reads the body, if the endpoint takes one, and lets the endpoint answer.
    pub(super) async fn answer<B>(&self, site: &Site, request: Request<B>, context: &RequestContext) -> Reply
    where
        B: http_body::Body<Data = Bytes>,
    {
        let (parts, body) = request.into_parts();
        let Some(own) = own_uri(site, &parts.uri) else { return site.refuse(Problem::NotFound, &parts.headers, context) };
        let body = match bodies::most(&parts.method, own.path()) {
            Some(most) => match self.bodies.read(body, most).await {
                Ok(body) => body,
                Err(problem) => return site.refuse(problem, &parts.headers, context),
            },
            None => Whole::default(),
        };
        let mut routed = Request::new(Body::empty());
        *routed.method_mut() = parts.method.clone();
        *routed.uri_mut() = own;
        let call = Call { method: parts.method, uri: parts.uri, headers: parts.headers, body, context: context.clone() };
        routed.extensions_mut().insert(Arc::new(call));
        let (parts, body) = match self.router.clone().oneshot(routed).await {
            Ok(reply) => reply.into_parts(),
            Err(never) => match never {},
        };
        let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        Reply::from_parts(parts, Full::new(body))
    }
}

impl Call {
    /// The fields of the query.
    pub(super) fn query(&self) -> Result<Fields, Problem> {
        query_of(&self.uri)
    }

    /// The fields of the posted form (Bindings 3.5.4).
    pub(super) async fn form(&self) -> Result<Fields, Problem> {
        within_bounds(&self.body.octets)?;
        let form = read_form(self.body.octets.clone(), self.headers.get(CONTENT_TYPE).cloned());
        if self.body.octets.len() <= SHORT_FORM {
            return form.await;
        }
        let here = Handle::current();
        tokio::task::spawn_blocking(move || here.block_on(form)).await.unwrap_or(Err(Problem::Internal))
    }

    /// Says no.
    pub(super) fn refuse(&self, site: &Site, problem: Problem) -> Reply {
        site.refuse(problem, &self.headers, &self.context)
    }
}

/// The fields of a form that was found to be one.
pub(super) async fn fields_of_form(octets: Bytes) -> Result<Fields, Problem> {
    read_form(octets, Some(HeaderValue::from_static("application/x-www-form-urlencoded"))).await
}

async fn read_form(octets: Bytes, kind: Option<HeaderValue>) -> Result<Fields, Problem> {
    let mut request = Request::new(Body::from(octets));
    *request.method_mut() = Method::POST;
    request.headers_mut().extend(kind.map(|kind| (CONTENT_TYPE, kind)));
    let form = Form::from_request(request, &()).await;
    form.map(|Form(fields)| fields).map_err(|_| Problem::BadRequest("This address takes a form that a browser posts."))
}

/// The fields of an address's query.
pub(super) fn query_of(uri: &Uri) -> Result<Fields, Problem> {
    within_bounds(uri.query().unwrap_or_default().as_bytes())?;
    let query = Query::try_from_uri(uri).map_err(|_| Problem::BadRequest("The address has a query that can't be read."))?;
    Ok(query.0)
}

/// Whether there are so few fields that they may be read.
fn within_bounds(fields: &[u8]) -> Result<(), Problem> {
    let many = fields.iter().filter(|octet| **octet == b'&').nth(MAX_FIELDS).is_some();
    if many { Err(Problem::BadRequest("There are too many fields.")) } else { Ok(()) }
}

/// The value of a field that may be there once.
pub(super) fn at_most_one(fields: &Fields, name: &str) -> Result<Option<String>, Problem> {
    let mut values = fields.iter().filter(|(own, _)| own == name).map(|(_, value)| value.clone());
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        _ => Err(Problem::BadRequest("A field is there twice.")),
    }
}

/// The address without the prefix; the other addresses of an endpoint become its own.
fn own_uri(site: &Site, uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    let own = match path.strip_prefix(&site.parts.prefix) {
        Some(rest) if rest.starts_with('/') => rest,
        _ if path == "/.well-known/samlgate/jwks.json" => "/jwks.json",
        _ if site.parts.login.is_acs(path) => "/acs",
        _ => site.parts.login.slo(path)?,
    };
    own.parse().ok()
}
