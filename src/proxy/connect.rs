//! How a connection to the application is made: TCP, TLS or a unix socket.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use http::HeaderValue;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::inbox::Readable;
use super::settings::{UpstreamSettings, UpstreamUrl};
use super::transport::Transport;
use super::watch::Watch;
use crate::outbound::system_roots;

/// The application, ready to be connected to: certificates are read, names are checked.
#[derive(Clone)]
pub(crate) struct Upstream {
    settings: UpstreamSettings,
    host: HeaderValue,
    tls: Option<Tls>,
}

/// TLS towards an application.
#[derive(Clone)]
struct Tls {
    /// Offers HTTP/2 too.
    any: TlsConnector,
    http1: TlsConnector,
    name: ServerName<'static>,
}

impl Tls {
    fn new(settings: &UpstreamSettings, host: &str) -> Result<Self, UpstreamError> {
        let name = settings.server_name.as_deref().unwrap_or(host).trim_matches(['[', ']']);
        let name = ServerName::try_from(name.to_owned()).map_err(|_| UpstreamError::Name(name.to_owned()))?;
        let http1 = tls_config(settings)?;
        let mut any = http1.clone();
        any.alpn_protocols.insert(0, HTTP_2.to_vec());
        Ok(Self { any: Arc::new(any).into(), http1: Arc::new(http1).into(), name })
    }
}

/// The protocol's name (RFC 9113 section 3.2).
const HTTP_2: &[u8] = b"h2";

/// Why `[upstream]` can't be used.
#[derive(Debug, Error)]
pub enum UpstreamError {
    /// A file can't be read or holds no certificate or key.
    #[error("{0}: {1}")]
    File(PathBuf, String),
    /// Certificate and key don't belong together, or the provider refuses them.
    #[error("the client certificate can't be used: {0}")]
    ClientCertificate(rustls::Error),
    /// The system has no certificate store.
    #[error("the system has no trusted certificates; name a file with upstream.ca")]
    NoRoots,
    /// `server_name`, or the URL's host, is neither a DNS name nor an address.
    #[error("\"{0}\" is not a name that a certificate can be checked against")]
    Name(String),
}

/// All applications: `[upstream]`'s, and those that single paths have.
#[derive(Clone, Debug)]
pub struct Upstreams {
    main: Arc<Upstream>,
    others: Vec<Arc<Upstream>>,
}

impl Upstreams {
    /// `[upstream]`, and the others as `[[access]]` counts them.
    ///
    /// # Errors
    /// As [`Upstream::new`].
    pub fn new(main: UpstreamSettings, others: Vec<UpstreamSettings>) -> Result<Self, UpstreamError> {
        let others = others.into_iter().map(|other| Upstream::new(other).map(Arc::new)).collect::<Result<_, _>>()?;
        Ok(Self { main: Arc::new(Upstream::new(main)?), others })
    }

    /// What `[upstream]` says: all of it but the address and the name in the certificate holds for the others too.
    pub(crate) fn settings(&self) -> &UpstreamSettings {
        &self.main.settings
    }

    /// Each of them, `[upstream]`'s first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Upstream>> {
        std::iter::once(&self.main).chain(&self.others)
    }
}

impl Upstream {
    /// Reads what the settings name.
    ///
    /// # Errors
    /// When a file, a certificate or a name can't be used.
    pub(crate) fn new(settings: UpstreamSettings) -> Result<Self, UpstreamError> {
        let (authority, tls) = match &settings.url {
            UpstreamUrl::Http { host, port } | UpstreamUrl::H2c { host, port } => (authority(host, *port, 80), None),
            UpstreamUrl::Unix(_) => ("localhost".to_owned(), None),
            UpstreamUrl::Https { host, port } => (authority(host, *port, 443), Some(Tls::new(&settings, host)?)),
        };
        let host = HeaderValue::from_str(&authority).map_err(|_| UpstreamError::Name(authority))?;
        Ok(Self { settings, host, tls })
    }

    /// The settings.
    pub(crate) fn settings(&self) -> &UpstreamSettings {
        &self.settings
    }

    /// Whether it is reached by TLS.
    pub(crate) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// The Host header when the client's isn't kept.
    pub(crate) fn host(&self) -> &HeaderValue {
        &self.host
    }

    /// A new connection, within `connect_timeout`; `http1`: for HTTP/1.1 and nothing else.
    pub(crate) async fn connect(&self, watch: Rc<Watch>, http1: bool) -> io::Result<UpstreamIo> {
        let connected = tokio::time::timeout(self.settings.connect_timeout, self.dial(http1));
        let stream = connected.await.map_err(|_| io::ErrorKind::TimedOut)??;
        let known = matches!(self.settings.url, UpstreamUrl::H2c { .. }) && !http1;
        let http2 = known || stream.protocol() == Some(HTTP_2);
        Ok(UpstreamIo { stream, http2, watch, unread: BytesMut::new(), deaf: false })
    }

    async fn dial(&self, http1: bool) -> io::Result<Transport> {
        match &self.settings.url {
            UpstreamUrl::Unix(path) => Ok(Transport::Unix(UnixStream::connect(path).await?)),
            UpstreamUrl::Http { host, port } | UpstreamUrl::H2c { host, port } | UpstreamUrl::Https { host, port } => {
                let tcp = TcpStream::connect((host.trim_matches(['[', ']']), *port)).await?;
                tcp.set_nodelay(true)?;
                Ok(match &self.tls {
                    None => Transport::Tcp(tcp),
                    Some(tls) => {
                        let connector = if http1 { &tls.http1 } else { &tls.any };
                        Transport::tls(connector.connect(tls.name.clone(), tcp).await?)
                    }
                })
            }
        }
    }
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstream").field("settings", &self.settings).finish_non_exhaustive()
    }
}

fn authority(host: &str, port: u16, default: u16) -> String {
    let host = if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() };
    if port == default { host } else { format!("{host}:{port}") }
}

fn tls_config(settings: &UpstreamSettings) -> Result<ClientConfig, UpstreamError> {
    let roots = match &settings.ca {
        Some(file) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(file)? {
                roots.add(certificate).map_err(|error| UpstreamError::File(file.clone(), error.to_string()))?;
            }
            roots
        }
        None => Some(system_roots()).filter(|roots| !roots.is_empty()).ok_or(UpstreamError::NoRoots)?,
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(UpstreamError::ClientCertificate)?
        .with_root_certificates(roots);
    let mut config = match &settings.client_certificate {
        None => builder.with_no_client_auth(),
        Some(files) => builder
            .with_client_auth_cert(certificates(&files.certificate)?, private_key(&files.key)?)
            .map_err(UpstreamError::ClientCertificate)?,
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// The certificates of a PEM file, at least one.
pub(crate) fn certificates(file: &PathBuf) -> Result<Vec<CertificateDer<'static>>, UpstreamError> {
    let fail = |error: rustls::pki_types::pem::Error| UpstreamError::File(file.clone(), error.to_string());
    let read: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file).map_err(fail)?.collect();
    match read.map_err(fail)? {
        none if none.is_empty() => Err(UpstreamError::File(file.clone(), "holds no certificate".to_owned())),
        some => Ok(some),
    }
}

/// The private key of a PEM file.
pub(crate) fn private_key(file: &PathBuf) -> Result<PrivateKeyDer<'static>, UpstreamError> {
    PrivateKeyDer::from_pem_file(file).map_err(|error| UpstreamError::File(file.clone(), error.to_string()))
}

/// A connection to the application; every octet that moves is progress.
pub(crate) struct UpstreamIo {
    stream: Transport,
    /// HTTP/2 was agreed on, or is known to be spoken.
    http2: bool,
    watch: Rc<Watch>,
    /// What was read already, and is to be read once more.
    unread: BytesMut,
    /// The application takes nothing more. It may have said why before it closed, and that answer is still to be read.
    deaf: bool,
}

impl UpstreamIo {
    /// Whether the application expects HTTP/2.
    pub(crate) fn is_http2(&self) -> bool {
        self.http2
    }

    /// These octets are read again, before all others.
    pub(crate) fn put_back(&mut self, octets: BytesMut) {
        self.unread = octets;
    }

    /// What becomes of a write: an application that has stopped listening ends the conversation by what it said, or by the end
    /// that the next read finds, and not by what could no longer be written.
    fn written(&mut self, written: Poll<io::Result<usize>>, length: usize) -> Poll<io::Result<usize>> {
        use io::ErrorKind::{BrokenPipe, ConnectionReset};
        match written {
            Poll::Ready(Err(error)) if matches!(error.kind(), BrokenPipe | ConnectionReset) => {
                self.deaf = true;
                Poll::Ready(Ok(length))
            }
            Poll::Ready(_) => {
                self.watch.progress();
                written
            }
            Poll::Pending => written,
        }
    }
}

impl Readable for UpstreamIo {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.stream.poll_readable(cx)
    }

    fn has_read_ahead(&self) -> bool {
        self.stream.is_tls() || !self.unread.is_empty()
    }
}

impl AsyncRead for UpstreamIo {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.unread.is_empty() {
            let again = self.unread.len().min(buf.remaining());
            buf.put_slice(&self.unread.split_to(again));
            return Poll::Ready(Ok(()));
        }
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if read.is_ready() {
            self.watch.progress();
        }
        read
    }
}

impl AsyncWrite for UpstreamIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        if self.deaf {
            return Poll::Ready(Ok(octets.len()));
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, octets);
        self.written(written, octets.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = slices.iter().map(|slice| slice.len()).sum();
        if self.deaf {
            return Poll::Ready(Ok(length));
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.written(written, length)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.deaf {
            return Poll::Ready(Ok(()));
        }
        match Pin::new(&mut self.stream).poll_flush(cx) {
            Poll::Ready(Err(error)) => self.written(Poll::Ready(Err(error)), 0).map_ok(|_| ()),
            flushed => flushed,
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.deaf {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_headers_leave_out_the_scheme_s_port() {
        assert_eq!(authority("app", 80, 80), "app");
        assert_eq!(authority("app", 3000, 80), "app:3000");
        assert_eq!(authority("::1", 443, 443), "[::1]");
    }
}
