//! An HTTP/2 client over TLS.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use samlgate::proxy::settings::TlsFiles;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// TLS that trusts just this certificate and offers these protocols.
pub(crate) fn tls(
    files: &TlsFiles,
    protocols: &[&str],
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> tokio_rustls::TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&files.certificate).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config).into()
}

/// TLS for an application: this certificate and these protocols.
pub(crate) fn acceptor(files: &TlsFiles, protocols: &[&str]) -> tokio_rustls::TlsAcceptor {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let chain = vec![CertificateDer::from_pem_file(&files.certificate).unwrap()];
    let key = rustls::pki_types::PrivateKeyDer::from_pem_file(&files.key).unwrap();
    let mut config = builder.with_no_client_auth().with_single_cert(chain, key).unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config).into()
}

/// A connection on which HTTP/2 was agreed.
pub(crate) async fn stream(address: SocketAddr, files: &TlsFiles) -> TlsStream<TcpStream> {
    let tcp = TcpStream::connect(address).await.unwrap();
    let connector = tls(files, &["h2"], rustls::ALL_VERSIONS);
    let stream = connector.connect(ServerName::try_from("localhost").unwrap(), tcp).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    stream
}

/// One connection.
pub(crate) struct Http2(SendRequest<Full<Bytes>>);

impl Http2 {
    /// Must run in a tokio runtime, which drives the connection.
    pub(crate) async fn connect(address: SocketAddr, files: &TlsFiles) -> Self {
        let stream = stream(address, files).await;
        let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    /// Asks; `None` when the stream is reset instead.
    pub(crate) async fn ask(&mut self, request: Request<Full<Bytes>>) -> Option<Response<Bytes>> {
        self.0.ready().await.ok()?;
        let (head, body) = self.0.send_request(request).await.ok()?.into_parts();
        Some(Response::from_parts(head, body.collect().await.ok()?.to_bytes()))
    }
}
