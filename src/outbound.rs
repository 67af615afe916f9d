//! What samlgate asks others by HTTP: one request on one connection, bounded in time and size. No redirects, cookies, compression or
//! proxies, and only where an operator or an IdP's metadata said.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HOST, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, LAST_MODIFIED, LOCATION, USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;

use crate::saml::metadata::MAX_OCTETS;
use crate::web_url::WebUrl;

/// The longest time until a connection stands, TLS included.
const CONNECT: Duration = Duration::from_secs(10);
/// The longest ETag or date that is sent back, in octets.
const LONGEST_VALIDATOR: usize = 512;
/// SOAP 1.1, 6.1.1.
const SOAP_ACTION: HeaderName = HeaderName::from_static("soapaction");

/// Why nothing was fetched.
#[derive(Debug, Error)]
pub enum FetchError {
    /// No connection.
    #[error("the server can't be reached: {0}")]
    Unreachable(io::Error),
    /// TLS failed: another server, or one whose certificate isn't trusted.
    #[error("no TLS with the server: {0} (certificate authorities are the system's; SSL_CERT_FILE can name others)")]
    Tls(io::Error),
    /// The system has no certificate authorities.
    #[error("the system has no trusted certificates; SSL_CERT_FILE can name a file with some")]
    NoRoots,
    /// Too slow.
    #[error("the server took longer than {} seconds", .0.as_secs())]
    Timeout(Duration),
    /// Not HTTP, or cut off.
    #[error("the answer broke off: {0}")]
    Broken(hyper::Error),
    /// Sent elsewhere.
    #[error("the server redirects to {0:?}, which is not followed; the address must be where the answer really is")]
    Redirect(String),
    /// Another status than 200.
    #[error("the server answered with status {0}")]
    Status(u16),
    /// Compressed, though nobody asked.
    #[error("the server compressed the answer without being asked")]
    Compressed,
    /// Larger than we read.
    #[error("the answer has more than {0} octets")]
    TooLarge(usize),
}

impl FetchError {
    /// The stable code of the cause.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "fetch_unreachable",
            Self::Tls(_) | Self::NoRoots => "fetch_tls",
            Self::Timeout(_) => "fetch_timeout",
            Self::Broken(_) => "fetch_broken",
            Self::Redirect(_) => "fetch_redirect",
            Self::Status(_) => "fetch_status",
            Self::Compressed => "fetch_compressed",
            Self::TooLarge(_) => "metadata_too_large",
        }
    }
}

/// What the server said by which it can tell whether a document has changed (RFC 9110, 8.8).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validators {
    etag: Option<HeaderValue>,
    last_modified: Option<HeaderValue>,
}

impl Validators {
    fn of(headers: &HeaderMap) -> Self {
        let kept = |name| headers.get(name).filter(|value: &&HeaderValue| value.len() <= LONGEST_VALIDATOR).cloned();
        Self { etag: kept(ETAG), last_modified: kept(LAST_MODIFIED) }
    }

    fn is_none(&self) -> bool {
        self.etag.is_none() && self.last_modified.is_none()
    }
}

/// What came.
#[derive(Debug)]
pub enum Got {
    /// A document.
    Fresh {
        /// Its octets.
        octets: Vec<u8>,
        /// For the next time.
        validators: Validators,
    },
    /// Nothing, because it is the same as before.
    NotModified,
}

/// Fetches documents.
#[derive(Clone)]
pub struct Client {
    /// Made for the first `https` address: with metadata from files, nobody needs the system's certificates.
    tls: Arc<OnceCell<Option<TlsConnector>>>,
}

impl Client {
    /// One that trusts the system's certificate authorities.
    pub fn new() -> Self {
        Self { tls: Arc::default() }
    }

    /// One that trusts these certificate authorities.
    pub fn trusting(roots: RootCertStore) -> Self {
        Self { tls: Arc::new(OnceCell::new_with(Some(connector(roots)))) }
    }

    /// What speaks TLS with those that are trusted.
    ///
    /// # Errors
    /// When nobody is trusted.
    async fn tls(&self) -> Result<&TlsConnector, FetchError> {
        let of_the_system = async || tokio::task::spawn_blocking(|| connector(system_roots())).await.ok().flatten();
        self.tls.get_or_init(of_the_system).await.as_ref().ok_or(FetchError::NoRoots)
    }

    /// Gets a document, all of it within `limit`; not even that when `validators` say that it is known.
    ///
    /// # Errors
    /// One variant of [`FetchError`] per cause.
    pub async fn get(&self, url: &WebUrl, validators: &Validators, limit: Duration) -> Result<Got, FetchError> {
        let request = get_request(url, validators)?;
        within(limit, self.ask(url, request, limit, validators, MAX_OCTETS)).await
    }

    /// Posts a SOAP 1.1 message (Bindings 3.2.3) and returns the answer, all of it within `limit` and `most` octets.
    ///
    /// # Errors
    /// One variant of [`FetchError`] per cause.
    pub async fn post_soap(&self, url: &WebUrl, envelope: String, limit: Duration, most: usize) -> Result<Vec<u8>, FetchError> {
        let mut request = request(Method::POST, url, "text/xml", Bytes::from(envelope))?;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/xml; charset=utf-8"));
        headers.insert(SOAP_ACTION, HeaderValue::from_static("\"http://www.oasis-open.org/committees/security\""));
        let none = Validators::default();
        match within(limit, self.ask(url, request, limit, &none, most)).await? {
            Got::Fresh { octets, .. } => Ok(octets),
            Got::NotModified => Err(FetchError::Status(StatusCode::NOT_MODIFIED.as_u16())),
        }
    }

    async fn ask(
        &self,
        url: &WebUrl,
        request: Request<Full<Bytes>>,
        limit: Duration,
        validators: &Validators,
        most: usize,
    ) -> Result<Got, FetchError> {
        let connect = CONNECT.min(limit);
        let tcp = within(connect, async {
            let tcp = TcpStream::connect((url.resolved_host(), url.port)).await.map_err(FetchError::Unreachable)?;
            tcp.set_nodelay(true).map_err(FetchError::Unreachable)?;
            Ok(tcp)
        });
        let tcp = tcp.await?;
        if !url.https {
            return exchange(tcp, request, validators, most).await;
        }
        let tls = self.tls().await?;
        let name = ServerName::try_from(url.host.clone()).map_err(|error| FetchError::Tls(io::Error::other(error)))?;
        let stream = within(connect, async { tls.connect(name, tcp).await.map_err(FetchError::Tls) }).await?;
        exchange(stream, request, validators, most).await
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

/// The system's certificate authorities; perhaps none.
pub(crate) fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

/// `None` when nobody is trusted.
fn connector(roots: RootCertStore) -> Option<TlsConnector> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.ok().filter(|_| !roots.is_empty())?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Some(TlsConnector::from(Arc::new(config)))
}

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, FetchError>>) -> Result<T, FetchError> {
    tokio::time::timeout(limit, work).await.unwrap_or(Err(FetchError::Timeout(limit)))
}

fn request(method: Method, url: &WebUrl, wanted: &str, body: Bytes) -> Result<Request<Full<Bytes>>, FetchError> {
    Request::builder()
        .method(method)
        .uri(url.path.as_str())
        .header(HOST, url.authority.as_str())
        .header(USER_AGENT, concat!("samlgate/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT, wanted)
        .header(ACCEPT_ENCODING, "identity")
        .header(CONNECTION, "close")
        .body(Full::new(body))
        .map_err(|error| FetchError::Unreachable(io::Error::other(error)))
}

fn get_request(url: &WebUrl, validators: &Validators) -> Result<Request<Full<Bytes>>, FetchError> {
    const WANTED: &str = "application/samlmetadata+xml, application/xml;q=0.9, text/xml;q=0.9, */*;q=0.1";
    let mut request = request(Method::GET, url, WANTED, Bytes::new())?;
    let headers = request.headers_mut();
    headers.extend(validators.etag.clone().map(|etag| (IF_NONE_MATCH, etag)));
    headers.extend(validators.last_modified.clone().map(|date| (IF_MODIFIED_SINCE, date)));
    Ok(request)
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>, validators: &Validators, most: usize) -> Result<Got, FetchError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(FetchError::Broken)?;
    let conversation = async {
        let response = sender.send_request(request).await.map_err(FetchError::Broken)?;
        answer(response, validators, most).await
    };
    // The connection ends with the answer, not before: whatever its own end says, the answer counts.
    tokio::pin!(connection);
    tokio::pin!(conversation);
    tokio::select! {
        biased;
        got = &mut conversation => got,
        _ = &mut connection => conversation.await,
    }
}

async fn answer(response: Response<Incoming>, validators: &Validators, most: usize) -> Result<Got, FetchError> {
    let (head, mut body) = response.into_parts();
    match head.status {
        StatusCode::OK => {}
        StatusCode::NOT_MODIFIED if !validators.is_none() => return Ok(Got::NotModified),
        status if status.is_redirection() && head.headers.contains_key(LOCATION) => {
            let location = head.headers.get(LOCATION).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
            return Err(FetchError::Redirect(location.unwrap_or_default().chars().take(200).collect()));
        }
        status => return Err(FetchError::Status(status.as_u16())),
    }
    if head.headers.get_all(CONTENT_ENCODING).iter().any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(FetchError::Compressed);
    }
    let announced = head.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > most) {
        return Err(FetchError::TooLarge(most));
    }
    let mut octets = Vec::with_capacity(announced.unwrap_or_default());
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(FetchError::Broken)?.into_data() else { continue };
        if octets.len() + data.len() > most {
            return Err(FetchError::TooLarge(most));
        }
        octets.extend_from_slice(&data);
    }
    Ok(Got::Fresh { octets, validators: Validators::of(&head.headers) })
}
