//! TLS towards clients: 1.2 and 1.3, HTTP/2 by ALPN only, and a certificate that is replaced while serving.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use thiserror::Error;

use super::connect::{UpstreamError, certificates, private_key};
use super::settings::TlsFiles;

/// Why `listen.certificate` and `listen.key` can't be used.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file can't be read or holds no certificate or key.
    #[error(transparent)]
    File(#[from] UpstreamError),
    /// They don't belong together, or the provider refuses them.
    #[error("listen.certificate and listen.key can't be used: {0}")]
    Pair(#[from] rustls::Error),
}

/// Certificate and key as they were last read.
#[derive(Debug)]
pub struct Certificate {
    files: TlsFiles,
    current: ArcSwap<CertifiedKey>,
    read: parking_lot::Mutex<Option<Stamp>>,
}

/// When the files were last written.
type Stamp = [Option<SystemTime>; 2];

impl Certificate {
    /// Reads certificate and key.
    ///
    /// # Errors
    /// When they can't be used.
    pub fn read(files: TlsFiles) -> Result<Arc<Self>, TlsError> {
        let stamp = stamp(&files);
        let current = ArcSwap::from_pointee(load(&files)?);
        Ok(Arc::new(Self { files, current, read: parking_lot::Mutex::new(Some(stamp)) }))
    }

    /// Reads them again when they were written since; true when there is a new one.
    ///
    /// # Errors
    /// When the new ones can't be used: the old ones stay. Certificate and key are two files, so this may be because only one of
    /// them has been replaced yet; the next call tries again.
    pub fn refresh(&self) -> Result<bool, TlsError> {
        let mut read = self.read.lock();
        let stamp = stamp(&self.files);
        if *read == Some(stamp) {
            return Ok(false);
        }
        *read = None;
        self.current.store(Arc::new(load(&self.files)?));
        *read = Some(stamp);
        Ok(true)
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

fn load(files: &TlsFiles) -> Result<CertifiedKey, TlsError> {
    let chain = certificates(&files.certificate)?;
    Ok(CertifiedKey::from_der(chain, private_key(&files.key)?, &aws_lc_rs::default_provider())?)
}

fn stamp(files: &TlsFiles) -> Stamp {
    let written = |file: &PathBuf| std::fs::metadata(file).and_then(|about| about.modified()).ok();
    [written(&files.certificate), written(&files.key)]
}

/// The server's side of TLS.
///
/// # Errors
/// When the provider has no protocol version in common with us, which it has.
pub(crate) fn server_config(certificate: Arc<Certificate>) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(directory: &std::path::Path, name: &str) -> TlsFiles {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        let files = TlsFiles { certificate: directory.join("tls.crt"), key: directory.join("tls.key") };
        std::fs::write(&files.certificate, made.cert.pem()).unwrap();
        std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        files
    }

    #[test]
    fn a_new_certificate_is_taken_and_a_broken_one_isn_t() {
        let directory = tempfile::tempdir().unwrap();
        let certificate = Certificate::read(write(directory.path(), "a.example")).unwrap();
        let first = certificate.current.load_full();
        assert!(!certificate.refresh().unwrap());

        let files = write(directory.path(), "b.example");
        *certificate.read.lock() = None; // the file system's clock may be coarse
        assert!(certificate.refresh().unwrap());
        let second = certificate.current.load_full();
        assert_ne!(first.cert, second.cert);

        std::fs::write(&files.key, "broken").unwrap();
        *certificate.read.lock() = None;
        assert!(certificate.refresh().is_err());
        assert!(certificate.refresh().is_err(), "tried again until it is good");
        assert_eq!(certificate.current.load_full().cert, second.cert);
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let files = write(directory.path(), "a.example");
        let other = rcgen::generate_simple_self_signed(vec!["b.example".to_owned()]).unwrap();
        std::fs::write(&files.key, other.signing_key.serialize_pem()).unwrap();
        assert!(matches!(Certificate::read(files), Err(TlsError::Pair(_))));
    }
}
