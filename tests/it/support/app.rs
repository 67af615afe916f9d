//! A whole samlgate in this process: read from a configuration file, on real sockets, with a clock that the test moves, an
//! identity provider and an application.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use samlgate::app::App;
use samlgate::clock::{Clock, Timestamp};
use samlgate::config;
use samlgate::proxy::settings::Address;
use samlgate::token::SystemEntropy;
use tempfile::TempDir;

use super::browser::Browser;
use super::fake_idp::{ACS, EMAIL, FakeIdp, ParsedRequest, ResponseBuilder, SP, SP_OLD_CERTIFICATE, parse_authn_request};
use super::page::Page;
use super::upstream::{Seen, Then, Upstream};

/// Where users find the application. TLS ends in front of samlgate, as at an ingress.
pub(crate) const PUBLIC: &str = "https://app.example";
/// The identity provider.
pub(crate) const IDP: &str = "https://idp.example/metadata";
/// Its login service.
pub(crate) const SSO: &str = "https://idp.example/sso";
/// Its logout service, when it has one.
pub(crate) const SLO_AT_IDP: &str = "https://idp.example/slo";
/// The session cookie.
pub(crate) const COOKIE: &str = "__Host-samlgate";

const SP_KEY: &str = include_str!("../../fixtures/sp.key");
pub(crate) const SP_CERTIFICATE: &str = include_str!("../../fixtures/sp.crt");
const SP_OLD_KEY: &str = include_str!("../../fixtures/sp-old.key");

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub(crate) struct ManualClock(AtomicI64);

impl ManualClock {
    pub(crate) fn at(at: Timestamp) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(at.millis())))
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_millis()).expect("a sensible time"), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// Minutes.
pub(crate) const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

/// What differs from the usual configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct Setup {
    metadata: Option<String>,
    sp_keys: Option<String>,
    listen: String,
    idp: String,
    sections: String,
    public_url: Option<String>,
    upstream: Option<String>,
    logout: bool,
}

impl Setup {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Another line than that of the metadata's file, `idp.xml`.
    pub(crate) fn metadata(mut self, line: &str) -> Self {
        self.metadata = Some(line.to_owned());
        self
    }

    /// Other key pairs than `sp`: names of fixtures, the first one signs.
    pub(crate) fn sp_keys(mut self, names: &[&str]) -> Self {
        let pairs = names.iter().map(|name| format!("{{ key = \"{name}.key\", certificate = \"{name}.crt\" }}"));
        self.sp_keys = Some(pairs.collect::<Vec<_>>().join(", "));
        self
    }

    /// More lines of `[listen]`.
    pub(crate) fn listen(mut self, lines: &str) -> Self {
        self.listen.push_str(lines);
        self
    }

    /// More lines of `[[idp]]`.
    pub(crate) fn idp(mut self, lines: &str) -> Self {
        self.idp.push_str(lines);
        self.idp.push('\n');
        self
    }

    /// More sections.
    pub(crate) fn sections(mut self, toml: &str) -> Self {
        self.sections.push_str(toml);
        self.sections.push('\n');
        self
    }

    /// Another public URL than [`PUBLIC`].
    pub(crate) fn public_url(mut self, url: &str) -> Self {
        self.public_url = Some(url.to_owned());
        self
    }

    /// Another application than the recording one.
    pub(crate) fn upstream(mut self, url: &str) -> Self {
        self.upstream = Some(url.to_owned());
        self
    }

    /// The identity provider has a logout service: [`SLO_AT_IDP`].
    pub(crate) fn logout(mut self) -> Self {
        self.logout = true;
        self
    }

    /// Starts it.
    pub(crate) fn start(self) -> TestApp {
        let answer_headers = Arc::<Mutex<String>>::default();
        let upstream = application(Arc::clone(&answer_headers));
        let idp = FakeIdp::new(IDP);
        let folder = tempfile::tempdir().expect("a folder");
        let public_url = self.public_url.clone().unwrap_or_else(|| PUBLIC.to_owned());
        let text = self.toml(&format!("http://{}", upstream.address), &public_url);
        let metadata = if self.logout { idp.metadata_with_logout(SSO, SLO_AT_IDP) } else { idp.metadata(SSO) };
        write_files(folder.path(), &text, &metadata);
        let clock = ManualClock::at(Timestamp::parse_rfc3339("2026-03-01T12:00:00Z").expect("a time"));
        let config = config::load(Some(&folder.path().join("samlgate.toml")), std::iter::empty(), clock.now())
            .unwrap_or_else(|problems| panic!("{problems}\n{text}"));
        let app = App::start(config, Arc::<ManualClock>::clone(&clock), Arc::new(SystemEntropy)).expect("samlgate starts");
        TestApp { app: Some(app), clock, upstream, answer_headers, idp, public_url, _folder: folder }
    }

    fn toml(&self, recorder: &str, public_url: &str) -> String {
        let upstream = self.upstream.as_deref().unwrap_or(recorder);
        let sp_keys = self.sp_keys.as_deref().unwrap_or("{ key = \"sp.key\", certificate = \"sp.crt\" }");
        let metadata = self.metadata.as_deref().unwrap_or("metadata_file = \"idp.xml\"");
        format!(
            r#"
public_url = "{public_url}"
[listen]
address = "127.0.0.1:0"
ops_address = "127.0.0.1:0"
workers = 1
{}
[upstream]
url = "{upstream}"
[sp]
keys = [{sp_keys}]
[[idp]]
id = "corp"
{metadata}
{}
[identity.email]
from = ["mail"]
[identity.role]
from = ["groups"]
map = {{ "Admins" = "admin" }}
allowed = ["admin", "viewer"]
default = "viewer"
{}
"#,
            self.listen, self.idp, self.sections
        )
    }
}

fn write_files(folder: &Path, toml: &str, idp_metadata: &str) {
    let keys = [("sp.key", SP_KEY), ("sp.crt", SP_CERTIFICATE), ("sp-old.key", SP_OLD_KEY), ("sp-old.crt", SP_OLD_CERTIFICATE)];
    for (name, text) in [("samlgate.toml", toml), ("idp.xml", idp_metadata)].into_iter().chain(keys) {
        std::fs::write(folder.join(name), text).expect("a file can be written");
    }
}

/// An application that says what it was asked for.
fn application(answer_headers: Arc<Mutex<String>>) -> Upstream {
    Upstream::answering(move |seen, stream| {
        let body = format!("the application's {}", seen.line().split(' ').nth(1).unwrap_or_default());
        let headers = answer_headers.lock().expect("no panic").clone();
        let answer =
            format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len());
        // a client that has gone is no event
        if stream.write_all(answer.as_bytes()).is_ok() { Then::Keep } else { Then::Close }
    })
}

/// A running samlgate.
pub(crate) struct TestApp {
    app: Option<App>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) upstream: Upstream,
    answer_headers: Arc<Mutex<String>>,
    pub(crate) idp: FakeIdp,
    pub(crate) public_url: String,
    _folder: TempDir,
}

impl TestApp {
    /// With the usual configuration.
    pub(crate) fn start() -> Self {
        Setup::new().start()
    }

    /// What the application was told last.
    pub(crate) fn told(&self) -> Seen {
        self.upstream.seen().pop().expect("a request reached the application")
    }

    /// Headers of every answer of the application from now on.
    pub(crate) fn application_answers_with(&self, headers: &[(&str, &str)]) {
        let lines = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
        *self.answer_headers.lock().expect("no panic") = lines.collect();
    }

    fn app(&self) -> &App {
        self.app.as_ref().expect("it runs until it is dropped")
    }

    /// Where it really listens.
    pub(crate) fn address(&self) -> SocketAddr {
        match self.app().address() {
            Address::Tcp(address) => *address,
            other => panic!("not a socket address: {other:?}"),
        }
    }

    /// Where operators find it.
    pub(crate) fn ops_address(&self) -> SocketAddr {
        self.app().ops_address().expect("there is an ops address")
    }

    /// A person's browser, signed in nowhere.
    pub(crate) fn browser(&self) -> Browser {
        let mut browser = Browser::new(Arc::<ManualClock>::clone(&self.clock));
        browser.resolve(self.public_url.split_once("://").expect("a URL").1, self.address());
        browser.resolve("ops.localhost", self.ops_address());
        browser
    }

    /// "Now".
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// "Now" in seconds since the epoch.
    pub(crate) fn clock_seconds(&self) -> i64 {
        self.now().unix()
    }

    /// An absolute URL of the application.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.public_url)
    }

    /// Opens a page that needs a login: what the identity provider is asked.
    pub(crate) fn begin(&self, browser: &mut Browser, path: &str) -> ParsedRequest {
        let page = browser.visit(&self.url(path));
        self.asked(&page)
    }

    /// What the identity provider is asked by a redirect, its signature verified.
    pub(crate) fn asked(&self, page: &Page) -> ParsedRequest {
        let to = page.redirect();
        assert!(to.starts_with(SSO), "expected a redirect to the identity provider, not to {to}");
        parse_authn_request(&to, Some(SP_CERTIFICATE)).expect("a signed request")
    }

    /// The identity provider's answer: ada, an administrator. Change what the test is about.
    pub(crate) fn answer(&self, request: &ParsedRequest) -> ResponseBuilder {
        self.unsolicited().in_response_to(&request.id)
    }

    /// A response that nobody asked for: ada, an administrator.
    pub(crate) fn unsolicited(&self) -> ResponseBuilder {
        let (sp, acs) = (SP.replace(PUBLIC, &self.public_url), ACS.replace(PUBLIC, &self.public_url));
        let response = self.idp.response().to(&sp, &acs).subject("ada@example.com", EMAIL).at(self.clock.now());
        response.attribute("mail", &["ada@example.com"]).attribute("groups", &["Staff", "Admins"])
    }

    /// The identity provider's answer: someone else, who may look and no more.
    pub(crate) fn answer_with_viewer(&self, request: &ParsedRequest, mail: &str) -> ResponseBuilder {
        let (sp, acs) = (SP.replace(PUBLIC, &self.public_url), ACS.replace(PUBLIC, &self.public_url));
        let response = self.idp.response().to(&sp, &acs).subject(mail, EMAIL).at(self.clock.now());
        response.attribute("mail", &[mail]).attribute("groups", &["viewer"]).in_response_to(&request.id)
    }

    /// The identity provider's page posts a response: one step, no redirect is followed.
    pub(crate) fn deliver(&self, browser: &mut Browser, response: &str, relay_state: Option<&str>) -> Page {
        let mut fields = vec![("SAMLResponse", response)];
        fields.extend(relay_state.map(|state| ("RelayState", state)));
        browser.post(SSO, &ACS.replace(PUBLIC, &self.public_url), &fields)
    }

    /// Answers a request as asked.
    pub(crate) fn finish(&self, browser: &mut Browser, request: &ParsedRequest, response: ResponseBuilder) -> Page {
        self.deliver(browser, &response.base64(), request.relay_state.as_deref())
    }

    /// A whole login as ada, an administrator: the page that it ends on.
    pub(crate) fn login(&self, browser: &mut Browser, path: &str) -> Page {
        let request = self.begin(browser, path);
        let page = self.finish(browser, &request, self.answer(&request));
        assert_eq!(page.status, 303, "{}", page.text());
        browser.follow(page)
    }

    /// Whether a script on the application's page is let through.
    pub(crate) fn is_signed_in(&self, browser: &mut Browser) -> bool {
        browser.script(super::browser::Kind::Fetch, "GET", &self.url("/is-signed-in")).status == 200
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        if let Some(app) = self.app.take() {
            app.shutdown().expect("samlgate ends well");
        }
    }
}
