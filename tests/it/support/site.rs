//! samlgate's own side of a site without sockets: the endpoints are called, and a cookie jar plays the browser.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{COOKIE, LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use samlgate::access::{LoginTerms, Target};
use samlgate::clock::{Clock, Timestamp};
use samlgate::identity::assertion::{AssertionSigner, generate_key};
use samlgate::identity::headers::{HeaderPlan, HeaderSettings};
use samlgate::identity::mapping::{FieldMapping, Mapping};
use samlgate::login::{BackChannel, Login, LoginParts};
use samlgate::outbound::Client;
use samlgate::public_url::PublicUrl;
use samlgate::return_path::ReturnPath;
use samlgate::saml::{Binding, Endpoint, IdentityProvider, NameIdFormat, ServiceProvider, SpKey, read_idp, sp_metadata};
use samlgate::session::{Session, SessionSettings};
use samlgate::store::memory::MemoryLimits;
use samlgate::store::{MemoryStore, Store};
use samlgate::token::{PlainToken, SystemEntropy};
use samlgate::web::{Cookies, RequestContext, Unanswered, Web, WebParts};

use super::fake_idp::{FakeIdp, ResponseBuilder, UNSPECIFIED, parse_authn_request};
use super::page::{Form, Page};

/// The IdP that every site knows as `corp`.
pub(crate) const IDP: &str = "https://idp.example/metadata";
/// Its address for logins.
pub(crate) const SSO: &str = "https://idp.example/sso";
/// Its address for logouts, when it has one.
pub(crate) const SLO_AT_IDP: &str = "https://idp.example/slo";

/// A clock that stands still until it is moved.
pub(crate) struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix(self.0.load(Ordering::SeqCst))
    }
}

/// What a site is made of; change it before [`Plan::build`].
pub(crate) struct Plan {
    pub(crate) public_url: &'static str,
    pub(crate) acs_urls: Vec<String>,
    pub(crate) idps: Vec<IdentityProvider>,
    pub(crate) slo_url: Option<String>,
    pub(crate) order: Vec<String>,
    pub(crate) mapping: Mapping,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) max_per_user: usize,
    pub(crate) keys: Vec<SpKey>,
    /// How long an IdP may take to resolve an artifact.
    pub(crate) patience: Duration,
    /// With the first of the keys.
    pub(crate) sign_requests: bool,
}

/// The IdP `id` with this entity ID, as its metadata says.
pub(crate) fn idp(id: &str, entity_id: &str, sso: &str) -> IdentityProvider {
    let metadata = FakeIdp::new(entity_id).metadata(sso);
    IdentityProvider::new(id, read_idp(metadata.as_bytes(), None, start_of_time()).unwrap())
}

/// The key that samlgate signs with, where it does.
pub(crate) fn sp_key() -> SpKey {
    SpKey::from_pem(include_bytes!("../../fixtures/sp.key"), include_bytes!("../../fixtures/sp.crt")).unwrap()
}

/// A logout service that takes both bindings.
pub(crate) fn slo_of(url: &str) -> Vec<Endpoint> {
    [Binding::Redirect, Binding::Post].map(|binding| Endpoint::new(binding, url)).to_vec()
}

pub(crate) fn start_of_time() -> Timestamp {
    Timestamp::parse_rfc3339("2026-03-01T12:00:00Z").unwrap()
}

impl Plan {
    pub(crate) fn new() -> Self {
        Self::at("https://app.example")
    }

    pub(crate) fn at(public_url: &'static str) -> Self {
        let from = |name: &str| FieldMapping { from: vec![name.to_owned()], ..FieldMapping::default() };
        Self {
            public_url,
            acs_urls: vec![format!("{public_url}/_samlgate/acs")],
            idps: vec![idp("corp", IDP, SSO)],
            slo_url: None,
            order: Vec::new(),
            mapping: Mapping {
                user: FieldMapping { required: true, ..from("NameID") },
                email: Some(from("mail")),
                role: Some(FieldMapping { default: Some("viewer".to_owned()), ..from("role") }),
                groups: Some(from("groups")),
                ..Mapping::default()
            },
            store: Arc::new(MemoryStore::new(MemoryLimits::default())),
            max_per_user: 0,
            keys: Vec::new(),
            sign_requests: false,
            patience: Duration::from_secs(10),
        }
    }

    /// With this change to the IdP.
    pub(crate) fn with_idp(mut self, change: impl FnOnce(&mut IdentityProvider)) -> Self {
        change(&mut self.idps[0]);
        self
    }

    /// With a key, a single logout service, and one at the IdP, by Redirect and by POST.
    pub(crate) fn with_logout(mut self) -> Self {
        self.keys = vec![sp_key()];
        self.slo_url = Some(format!("{}/_samlgate/slo", self.public_url));
        self.with_idp(|idp| idp.slo = slo_of(SLO_AT_IDP))
    }

    pub(crate) fn build(self) -> Site {
        let public_url = PublicUrl::parse(self.public_url).unwrap();
        let sp = ServiceProvider {
            entity_id: format!("{public_url}/_samlgate/metadata"),
            acs_urls: self.acs_urls,
            sign_requests: self.sign_requests,
            keys: self.keys,
            name_id_format: NameIdFormat::Unspecified,
            slo_url: self.slo_url,
            takes_artifacts: false,
        };
        let name = |name| Some(HeaderName::from_static(name));
        let headers = HeaderPlan::new(HeaderSettings {
            user: name("x-user"),
            email: name("x-email"),
            name: None,
            tenant: None,
            role: name("x-role"),
            groups: name("x-groups"),
            extra: BTreeMap::new(),
            separator: ",".to_owned(),
            value_maps: BTreeMap::new(),
            assertion: HeaderName::from_static("x-samlgate-assertion"),
            strip: Vec::new(),
        });
        let key = generate_key().unwrap();
        let signer =
            AssertionSigner::from_pem(key.as_bytes(), public_url.to_string(), public_url.to_string(), Duration::from_secs(60));
        let clock = Arc::new(TestClock(AtomicI64::new(start_of_time().unix())));
        let sp_metadata = sp_metadata::write(&sp);
        let login = Arc::new(Login::new(LoginParts {
            public_url: public_url.clone(),
            prefix: "/_samlgate".to_owned(),
            sp,
            idps: self.idps,
            order: self.order,
            mapping: self.mapping,
            headers: Arc::new(headers),
            session: SessionSettings {
                idle_timeout: Duration::from_secs(3600),
                lifetime: Duration::from_secs(12 * 3600),
                max_per_user: self.max_per_user,
            },
            store: Arc::clone(&self.store),
            verifications: 4,
            back_channel: BackChannel::within(Client::trusting(rustls::RootCertStore::empty()), self.patience),
        }));
        let web = Web::new(WebParts {
            public_url: public_url.clone(),
            prefix: "/_samlgate".to_owned(),
            rules: Arc::default(),
            login: Arc::clone(&login),
            store: Arc::clone(&self.store),
            cookies: Cookies::new(&public_url, None),
            signer: Arc::new(signer.unwrap()),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            entropy: Arc::new(SystemEntropy),
            sp_metadata,
            logout_return_to: ReturnPath::root(),
        });
        Site { web, login, store: self.store, clock, public_url }
    }
}

/// A site.
pub(crate) struct Site {
    pub(crate) web: Web,
    pub(crate) login: Arc<Login>,
    pub(crate) store: Arc<dyn Store>,
    clock: Arc<TestClock>,
    public_url: PublicUrl,
}

/// An answer, read.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Got {
    /// A header's text; empty when absent.
    pub(crate) fn header(&self, name: impl http::header::AsHeaderName) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    pub(crate) fn location(&self) -> &str {
        self.header(LOCATION)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).unwrap()
    }

    /// The reason code that the page shows.
    pub(crate) fn reason(&self) -> &str {
        let after = self.text.split_once("<dt>Reason</dt><dd><code>").map(|(_, after)| after).unwrap_or_default();
        after.split_once("</code>").map(|(code, _)| code).unwrap_or_default()
    }

    /// Where the page's button leads.
    pub(crate) fn button(&self) -> String {
        let after = self.text.split_once("class=\"act\" href=\"").map(|(_, after)| after).unwrap_or_default();
        after.split_once('"').map(|(href, _)| href.replace("&#38;", "&")).unwrap_or_default()
    }

    /// The form that must be on the page.
    pub(crate) fn form(&self) -> Form {
        let page = Page {
            url: "https://app.example/".to_owned(),
            status: self.status.as_u16(),
            headers: Vec::new(),
            body: self.text.clone().into_bytes(),
        };
        page.form()
    }

    /// Cookies that it sets or clears, name and value.
    pub(crate) fn cookies(&self) -> Vec<(String, String)> {
        let pair = |line: &HeaderValue| {
            let (name, rest) = line.to_str().unwrap().split_once('=').unwrap();
            (name.to_owned(), rest.split(';').next().unwrap().to_owned())
        };
        self.headers.get_all(SET_COOKIE).iter().map(pair).collect()
    }
}

/// A browser's cookies, with what SameSite makes of them. `None`: it keeps no cookies at all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Jar(BTreeMap<String, (String, bool)>);

impl Jar {
    pub(crate) fn keep(&mut self, got: &Got) {
        for line in got.headers.get_all(SET_COOKIE) {
            let line = line.to_str().unwrap();
            let (name, rest) = line.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            if line.contains("Max-Age=0") {
                self.0.remove(name);
            } else {
                self.0.insert(name.to_owned(), (value.to_owned(), line.contains("SameSite=None")));
            }
        }
    }

    /// What a cross-site POST brings along.
    pub(crate) fn cookies_of_post(&self) -> String {
        self.line(true)
    }

    fn line(&self, cross_site_post: bool) -> String {
        let sent = self.0.iter().filter(|(_, (_, everywhere))| *everywhere || !cross_site_post);
        sent.map(|(name, (value, _))| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    /// Somebody put a cookie into the browser.
    pub(crate) fn plant(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), (value.to_owned(), true));
    }

    /// The value of the session cookie.
    pub(crate) fn session(&self) -> Option<&str> {
        self.0.get("__Host-samlgate").or_else(|| self.0.get("samlgate")).map(|(value, _)| value.as_str())
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }
}

impl Site {
    pub(crate) fn pass(&self, seconds: i64) {
        self.clock.0.fetch_add(seconds, Ordering::SeqCst);
    }

    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        Arc::<TestClock>::clone(&self.clock)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Any request at all to an endpoint.
    pub(crate) async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Got {
        let mut request = Request::new(Full::new(Bytes::copy_from_slice(body.as_bytes())));
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().unwrap();
        for (name, value) in headers {
            request.headers_mut().append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        read(self.web.endpoint(request, &context()).await).await
    }

    /// A person opens an address of ours.
    pub(crate) async fn open(&self, jar: &mut Jar, path: &str) -> Got {
        let cookies = jar.line(false);
        let headers = [("accept", "text/html"), ("sec-fetch-mode", "navigate"), ("sec-fetch-site", "none"), ("cookie", &cookies)];
        let got = self.send(Method::GET, path, &headers, "").await;
        jar.keep(&got);
        got
    }

    /// A person opens a page of the application without a session.
    pub(crate) async fn open_application(&self, jar: &mut Jar, path: &str) -> Got {
        let mut headers = HeaderMap::new();
        headers.insert("accept", HeaderValue::from_static("text/html"));
        headers.insert("sec-fetch-mode", HeaderValue::from_static("navigate"));
        if let Ok(line) = HeaderValue::from_str(&jar.line(false)) {
            headers.insert(COOKIE, line);
        }
        let target = Target::parse(&path.parse().unwrap()).unwrap();
        let request = Unanswered { method: &Method::GET, headers: &headers, target: &target };
        let got = read(self.web.login_required(request, &LoginTerms::default(), &context()).await).await;
        jar.keep(&got);
        got
    }

    /// The IdP's page posts a response, as browsers do across sites.
    pub(crate) async fn post(&self, jar: &mut Jar, path: &str, response: &str, relay_state: Option<&str>) -> Got {
        let cookies = jar.line(true);
        let headers = [
            ("accept", "text/html"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-site", "cross-site"),
            ("origin", "https://idp.example"),
            ("content-type", "application/x-www-form-urlencoded"),
            ("cookie", &cookies),
        ];
        let got = self.send(Method::POST, path, &headers, &form(response, relay_state)).await;
        jar.keep(&got);
        got
    }

    /// Logs out by a form or a script of the application, with more headers.
    pub(crate) async fn log_out(&self, jar: &mut Jar, path: &str, more: &[(&str, &str)]) -> Got {
        let (cookies, origin) = (jar.line(false), self.public_url.to_string());
        let mut headers =
            vec![("accept", "text/html"), ("sec-fetch-site", "same-origin"), ("origin", &origin), ("cookie", &cookies)];
        headers.extend_from_slice(more);
        let got = self.send(Method::POST, path, &headers, "").await;
        jar.keep(&got);
        got
    }

    /// A response of the IdP `corp` for this site, issued now.
    pub(crate) fn response(&self) -> ResponseBuilder {
        let acs = self.public_url.join("/_samlgate/acs");
        let entity_id = self.public_url.join("/_samlgate/metadata");
        FakeIdp::new(IDP).response().to(&entity_id, &acs).at(self.now()).subject("alice", UNSPECIFIED)
    }

    /// A login from the application's page to the session; the answer to the IdP's POST.
    pub(crate) async fn sign_in(&self, jar: &mut Jar, path: &str) -> Got {
        let away = self.open_application(jar, path).await;
        let response = self.response().in_response_to(&request_id(&away)).base64();
        let got = self.post(jar, "/_samlgate/acs", &response, None).await;
        assert_eq!(got.status, StatusCode::SEE_OTHER, "{}", got.text);
        got
    }

    /// The live session of a jar.
    pub(crate) fn session(&self, jar: &Jar) -> Option<Arc<Session>> {
        let token = PlainToken::parse(jar.session()?).unwrap();
        self.store.session(&token.hash()).unwrap().filter(|session| session.is_live(self.now()))
    }

    /// How many live sessions there are.
    pub(crate) async fn sessions(&self) -> usize {
        self.store.sessions(100, self.now()).await.unwrap().len()
    }
}

/// The body of the IdP's POST.
pub(crate) fn form(response: &str, relay_state: Option<&str>) -> String {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let relay_state = relay_state.map(|state| format!("&RelayState={}", encode(state))).unwrap_or_default();
    format!("SAMLResponse={}{relay_state}", encode(response))
}

/// The id of the request that a redirect takes to the IdP.
pub(crate) fn request_id(away: &Got) -> String {
    assert!(away.location().starts_with("https://"), "{away:?}");
    parse_authn_request(away.location(), None).unwrap().id
}

pub(crate) fn context() -> RequestContext {
    RequestContext { id: "request1".to_owned(), client: "192.0.2.7".parse().unwrap(), secure: true }
}

pub(crate) async fn read(reply: samlgate::web::Reply) -> Got {
    let (parts, body) = reply.into_parts();
    let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    Got { status: parts.status, headers: parts.headers, text }
}
