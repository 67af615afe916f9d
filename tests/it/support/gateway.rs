//! The data plane in front of an [`Upstream`](super::upstream::Upstream), without a configuration file: sessions are put straight into the store.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread::JoinHandle;
use std::time::Duration;

use http::HeaderName;
use samlgate::access::{Rule, Rules};
use samlgate::clock::{Clock, Timestamp};
use samlgate::identity::assertion::{AssertionSigner, generate_key};
use samlgate::identity::headers::{HeaderPlan, HeaderSettings};
use samlgate::identity::mapping::{FieldMapping, Mapping};
use samlgate::identity::signature::RequestSigner;
use samlgate::login::{BackChannel, Login, LoginParts};
use samlgate::proxy::settings::{Address, ListenSettings, TlsFiles, UpstreamSettings, UpstreamUrl};
use samlgate::proxy::{GateParts, Handle, Server, Upstreams};
use samlgate::public_url::PublicUrl;
use samlgate::return_path::ReturnPath;
use samlgate::saml::{
    Checks, Compat, Expectations, Expected, IdentityProvider, NameIdFormat, ServiceProvider, VerifiedAssertion, read_idp,
    verify_response,
};
use samlgate::session::{Origin, Session, SessionSettings};
use samlgate::store::memory::{MemoryLimits, MemoryStore};
use samlgate::store::{Store, Which};
use samlgate::token::{PlainToken, SystemEntropy, public_id};
use samlgate::web::{Cookies, Web, WebParts};

use super::fake_idp::{ACS, FakeIdp, SP};

/// How users see the application in these tests.
pub(crate) const HOST: &str = "app.example";
const IDP: &str = "https://idp.example/metadata";
const START: i64 = 1_772_366_400;

/// A clock that stands still until a test moves it.
pub(crate) struct HandClock(AtomicI64);

impl HandClock {
    pub(crate) fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// What a test wants to be different.
pub(crate) struct Wanted {
    pub(crate) rules: Vec<Rule>,
    pub(crate) header_names: fn(&mut HeaderSettings),
    pub(crate) signer: Option<Arc<RequestSigner>>,
    pub(crate) upstream: UpstreamSettings,
    pub(crate) other_upstreams: Vec<UpstreamSettings>,
    pub(crate) trusted_proxies: Vec<ipnet::IpNet>,
    pub(crate) forward_auth: bool,
    pub(crate) proxy_protocol: bool,
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) workers: usize,
    pub(crate) store: Option<Arc<dyn Store>>,
}

impl Wanted {
    /// In front of an application.
    pub(crate) fn before(upstream: SocketAddr) -> Self {
        let url = UpstreamUrl::Http { host: upstream.ip().to_string(), port: upstream.port() };
        Self {
            rules: Vec::new(),
            header_names: |_| {},
            signer: None,
            upstream: UpstreamSettings {
                url,
                preserve_host: true,
                connect_timeout: Duration::from_secs(5),
                response_timeout: Duration::from_secs(30),
                idle_timeout: Duration::from_secs(60),
                ca: None,
                client_certificate: None,
                server_name: None,
                max_body: None,
            },
            other_upstreams: Vec::new(),
            trusted_proxies: Vec::new(),
            forward_auth: true,
            proxy_protocol: false,
            tls: None,
            workers: 1,
            store: None,
        }
    }

    pub(crate) fn rules(mut self, rules: Vec<Rule>) -> Self {
        self.rules = rules;
        self
    }

    pub(crate) fn upstream(mut self, change: impl FnOnce(&mut UpstreamSettings)) -> Self {
        change(&mut self.upstream);
        self
    }

    /// Another application, for rules: the first is number 1.
    pub(crate) fn another(mut self, upstream: SocketAddr) -> Self {
        let url = UpstreamUrl::Http { host: upstream.ip().to_string(), port: upstream.port() };
        self.other_upstreams.push(UpstreamSettings { url, ..self.upstream.clone() });
        self
    }

    pub(crate) fn headers(mut self, change: fn(&mut HeaderSettings)) -> Self {
        self.header_names = change;
        self
    }

    /// Requests are signed.
    pub(crate) fn signed_by(mut self, signer: RequestSigner) -> Self {
        self.signer = Some(Arc::new(signer));
        self
    }

    pub(crate) fn start(self) -> Gateway {
        Gateway::start(self)
    }

    /// What a gateway that runs already can be given instead.
    pub(crate) fn parts(&self, clock: &Arc<HandClock>, store: &Arc<dyn Store>) -> GateParts {
        parts(self, clock, store)
    }
}

/// A running data plane. It is stopped when dropped.
pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    pub(crate) clock: Arc<HandClock>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) handle: Handle,
    plan: Arc<HeaderPlan>,
    running: Option<(tokio::sync::oneshot::Sender<()>, JoinHandle<std::io::Result<()>>)>,
}

impl Gateway {
    fn start(wanted: Wanted) -> Self {
        let clock = Arc::new(HandClock(AtomicI64::new(START * 1000)));
        let store = wanted.store.clone().unwrap_or_else(|| Arc::new(MemoryStore::new(MemoryLimits::default())));
        let listen = ListenSettings {
            address: Address::Tcp(SocketAddr::from(([127, 0, 0, 1], 0))),
            ops_address: None,
            tls: wanted.tls.clone(),
            trusted_proxies: wanted.trusted_proxies.clone(),
            forward_auth: wanted.forward_auth,
            proxy_protocol: wanted.proxy_protocol,
            workers: wanted.workers,
        };
        let parts = parts(&wanted, &clock, &store);
        let plan = Arc::clone(&parts.headers);
        let server = Server::bind(&listen, Arc::new(parts)).unwrap();
        let Address::Tcp(address) = *server.local_address() else { panic!("TCP was asked for") };
        let handle = server.handle();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(server.run(async {
                let _ = stopped.await;
            }))
        });
        Self { address, clock, store, handle, plan, running: Some((stop, thread)) }
    }

    /// Puts a session into the store: the Cookie header that opens it.
    pub(crate) fn sign_in(&self, user: &str, attributes: &[(&str, &[&str])]) -> String {
        let idp = FakeIdp::new(IDP);
        let assertion = verified(&idp, user, attributes);
        let identity = mapping().apply(&assertion).unwrap();
        let token = PlainToken::generate(&SystemEntropy);
        let now = self.clock.now();
        let origin = Origin {
            idp: "idp".to_owned(),
            issuer: IDP.to_owned(),
            name_id: assertion.name_id().clone(),
            session_index: None,
            auth_time: now,
            reauthenticated: None,
            acr: None,
            not_on_or_after: None,
        };
        let headers = Arc::clone(&self.plan);
        let sid = public_id(&SystemEntropy);
        let session = Session::new(token.hash(), sid, identity, origin, headers, &session_settings(), now);
        wait(self.store.save_session(session, 0, now)).unwrap();
        format!("__Host-samlgate={}", token.expose())
    }

    /// Ends all sessions of a user.
    pub(crate) fn sign_out(&self, user: &str) {
        assert!(wait(self.store.end_sessions(Which::User(user.to_owned()))).unwrap() > 0);
    }

    /// Asks the data plane to stop and waits for it.
    pub(crate) fn stop(mut self) {
        let (stop, thread) = self.running.take().unwrap();
        stop.send(()).unwrap();
        thread.join().unwrap().unwrap();
    }

    /// Asks the data plane to stop.
    pub(crate) fn begin_to_stop(&mut self) -> JoinHandle<std::io::Result<()>> {
        let (stop, thread) = self.running.take().unwrap();
        stop.send(()).unwrap();
        thread
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some((stop, _)) = self.running.take() {
            let _ = stop.send(());
        }
    }
}

fn wait<T>(answer: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(answer)
}

fn verified(idp: &FakeIdp, user: &str, attributes: &[(&str, &[&str])]) -> VerifiedAssertion {
    let now = Timestamp::from_unix(START);
    let metadata = read_idp(idp.metadata("https://idp.example/sso").as_bytes(), None, now).unwrap();
    let mut response = idp.response().subject(user, super::fake_idp::UNSPECIFIED).at(now);
    for (name, values) in attributes {
        response = response.attribute(name, values);
    }
    let expectations = Expectations {
        idp_entity_id: IDP,
        sp_entity_id: SP,
        acs_urls: &[ACS.to_owned()],
        expected: Expected::Unsolicited,
        compat: Compat::default(),
        clock_skew: Duration::from_secs(60),
        max_age: Duration::from_secs(300),
        authn_context: &[],
        authenticated_since: None,
        decryption_keys: &[],
    };
    verify_response(response.build().as_bytes(), &metadata.anchors, &expectations, now, &mut Checks::default()).unwrap()
}

fn mapping() -> Mapping {
    let from = |name: &str| Some(FieldMapping { from: vec![name.to_owned()], ..FieldMapping::default() });
    Mapping {
        user: from("NameID").unwrap(),
        email: from("mail"),
        name: from("name"),
        tenant: from("tenant"),
        role: from("role"),
        groups: from("groups"),
        ..Mapping::default()
    }
}

fn session_settings() -> SessionSettings {
    SessionSettings { idle_timeout: Duration::from_secs(3600), lifetime: Duration::from_secs(12 * 3600), max_per_user: 0 }
}

static SIGNING_KEY: LazyLock<String> = LazyLock::new(|| generate_key().unwrap());

fn parts(wanted: &Wanted, clock: &Arc<HandClock>, store: &Arc<dyn Store>) -> GateParts {
    let clock: Arc<dyn Clock> = Arc::<HandClock>::clone(clock);
    let name = |text: &'static str| Some(HeaderName::from_static(text));
    let mut settings = HeaderSettings {
        user: name("x-user"),
        email: name("x-email"),
        name: name("x-name"),
        tenant: name("x-tenant"),
        role: name("x-role"),
        groups: name("x-groups"),
        extra: Default::default(),
        separator: ",".to_owned(),
        value_maps: Default::default(),
        assertion: HeaderName::from_static("x-samlgate-assertion"),
        strip: Vec::new(),
    };
    (wanted.header_names)(&mut settings);
    let plan = HeaderPlan::new(settings);
    let headers = Arc::new(match &wanted.signer {
        Some(signer) => plan.signed_by(Arc::clone(signer)),
        None => plan,
    });
    let public_url = PublicUrl::parse(&format!("https://{HOST}")).unwrap();
    let idp = FakeIdp::new(IDP);
    let metadata = read_idp(idp.metadata("https://idp.example/sso").as_bytes(), None, clock.now()).unwrap();
    let sp = ServiceProvider {
        entity_id: SP.to_owned(),
        acs_urls: vec![ACS.to_owned()],
        keys: Vec::new(),
        sign_requests: false,
        name_id_format: NameIdFormat::Unspecified,
        slo_url: None,
        takes_artifacts: false,
    };
    let login = Arc::new(Login::new(LoginParts {
        public_url: public_url.clone(),
        prefix: "/_samlgate".to_owned(),
        sp,
        idps: vec![IdentityProvider::new("idp", metadata)],
        order: Vec::new(),
        mapping: mapping(),
        headers: Arc::clone(&headers),
        session: session_settings(),
        store: Arc::clone(store),
        verifications: 2,
        back_channel: BackChannel::new(samlgate::outbound::Client::trusting(rustls::RootCertStore::empty())),
    }));
    let lifetime = Duration::from_secs(60);
    let signer = AssertionSigner::from_pem(SIGNING_KEY.as_bytes(), public_url.to_string(), public_url.to_string(), lifetime);
    let signer = Arc::new(signer.unwrap());
    let entropy = Arc::new(SystemEntropy);
    let rules = Arc::new(Rules::new(wanted.rules.clone()));
    let web = Web::new(WebParts {
        public_url: public_url.clone(),
        prefix: "/_samlgate".to_owned(),
        rules: Arc::clone(&rules),
        login,
        store: Arc::clone(store),
        cookies: Cookies::new(&public_url, None),
        signer: Arc::clone(&signer),
        clock: Arc::clone(&clock),
        entropy: entropy.clone(),
        sp_metadata: "<metadata/>".to_owned(),
        logout_return_to: ReturnPath::root(),
    });
    GateParts {
        web: Arc::new(web),
        store: Arc::clone(store),
        rules,
        headers,
        signer,
        clock,
        entropy,
        public_url,
        upstreams: Upstreams::new(wanted.upstream.clone(), wanted.other_upstreams.clone()).unwrap(),
        trusted_proxies: wanted.trusted_proxies.clone(),
        forward_auth: wanted.forward_auth,
    }
}

/// A self-signed certificate for `app.example` and localhost in a directory: its files.
pub(crate) fn certificate(directory: &std::path::Path) -> TlsFiles {
    let made = rcgen::generate_simple_self_signed(vec![HOST.to_owned(), "localhost".to_owned()]).unwrap();
    let write = |name: &str, text: String| -> PathBuf {
        let file = directory.join(name);
        std::fs::write(&file, text).unwrap();
        file
    };
    TlsFiles { certificate: write("tls.crt", made.cert.pem()), key: write("tls.key", made.signing_key.serialize_pem()) }
}
