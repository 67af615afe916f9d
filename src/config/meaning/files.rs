//! Files that the configuration names: found beside it, read at once, and judged.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::Work;
use crate::clock::Timestamp;
use crate::proxy::settings::TlsFiles;

/// Longest file name that is taken for one, in octets; beyond, somebody has put the secret itself there, and it isn't shown.
const FILE_NAME: usize = 200;
/// How long before its end a certificate is warned about, in days.
const SOON: i64 = 30;
const DAY: i64 = 86_400;

impl Work<'_> {
    /// A file name, relative to the configuration file.
    pub(super) fn resolve(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// What stands in a file.
    pub(super) fn read(&mut self, key: &str, name: &str) -> Option<Vec<u8>> {
        let path = self.resolve(name);
        let read = fs::read(&path).map_err(|error| format!("{} cannot be read: {error}", path.display()));
        self.report.take(key, read)
    }

    /// A secret: the file that `value` names, `value` itself when it is PEM, or the file that `<key>_file` names.
    pub(super) fn secret(&mut self, key: &str, value: Option<&str>, file: Option<&str>) -> Option<Vec<u8>> {
        match (value, file) {
            (Some(_), Some(_)) => {
                self.report.problem(key, format!("is given twice; take away either it or {key}_file"));
                None
            }
            (Some(pem), None) if pem.trim_start().starts_with("-----BEGIN") => Some(pem.as_bytes().to_vec()),
            (Some(name), None) | (None, Some(name)) if name.len() > FILE_NAME || name.contains('\n') => {
                self.report.problem(key, "is neither a file name nor PEM, which begins with -----BEGIN");
                None
            }
            (Some(name), None) => self.read(key, name),
            (None, Some(name)) => self.read(&format!("{key}_file"), name),
            (None, None) => None,
        }
    }

    /// A certificate chain and its key for TLS: both or none, readable, and belonging together.
    pub(super) fn tls(&mut self, section: &str, certificate: Option<&str>, key: Option<&str>) -> Option<TlsFiles> {
        let (certificate, key) = match (certificate, key) {
            (Some(certificate), Some(key)) => (certificate, key),
            (Some(_), None) => {
                self.report.problem(format!("{section}.key"), format!("is missing; {section}.certificate needs its private key"));
                return None;
            }
            (None, Some(_)) => {
                self.report.problem(format!("{section}.certificate"), format!("is missing; {section}.key needs its certificate"));
                return None;
            }
            (None, None) => return None,
        };
        let (certificate_key, key_key) = (format!("{section}.certificate"), format!("{section}.key"));
        let chain = self.read(&certificate_key, certificate);
        let private = self.read(&key_key, key);
        let chain = self.certificates(&certificate_key, &chain?)?;
        let private = PrivateKeyDer::from_pem_slice(&private?).map_err(|_| "is not a private key in PEM");
        let private = self.report.take(&key_key, private)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let pair = CertifiedKey::from_der(chain, private, &provider);
        self.report.take(&key_key, pair.map_err(|error| format!("does not go with {section}.certificate: {error}")))?;
        Some(TlsFiles { certificate: self.resolve(certificate), key: self.resolve(key) })
    }

    /// The certificates in a PEM file, at least one. The first one's end is warned about.
    pub(super) fn certificates(&mut self, key: &str, pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let chain = read.ok().filter(|chain| !chain.is_empty()).ok_or("has no certificate in PEM");
        let chain = self.report.take(key, chain)?;
        if let Some(first) = chain.first() {
            self.warn_of_end(key, "the certificate", end_of(first));
        }
        Some(chain)
    }

    /// Warns when a certificate has ended or will soon.
    pub(super) fn warn_of_end(&mut self, key: &str, what: &str, end: Option<i64>) {
        let Some(end) = end else { return };
        match days_until(end, self.now) {
            days if days < 0 => self.report.warning(key, format!("{what} ended on {}", Timestamp::from_unix(end))),
            1 => self.report.warning(key, format!("{what} ends in 1 day")),
            days if days < SOON => self.report.warning(key, format!("{what} ends in {days} days")),
            _ => {}
        }
    }
}

/// notAfter of a certificate, in seconds since the epoch.
pub(super) fn end_of(der: &[u8]) -> Option<i64> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    Some(certificate.validity().not_after.timestamp())
}

/// Whole days until then; negative when it is past.
fn days_until(end: i64, now: Timestamp) -> i64 {
    end.saturating_sub(now.unix()).div_euclid(DAY)
}
