//! Files that the configuration names: found beside it, read at once, and judged.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::Work;
use crate::clock::Timestamp;
use crate::proxy::settings::TlsFiles;

/// Longest file name that is taken for one, in octets.
const FILE_NAME: usize = 200;
/// Shortest text that may be a key or a part of it, in octets.
const SECRET: usize = 24;
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
        if is_no_name(name) {
            self.report.problem(key, "is no file name; put the text into a file and name it here");
            return None;
        }
        let path = self.resolve(name);
        let read = fs::read(&path).map_err(|error| match may_be_secret(name) && !stands_in_a_folder(&path, self.folder) {
            true => {
                format!("names no file that can be read: {error}; the name isn't shown, since it could be a part of a secret")
            }
            false => format!("{} cannot be read: {error}", path.display()),
        });
        self.report.take(key, read)
    }

    /// A secret: the file that `value` names, `value` itself when it is PEM, or the file that `<key>_file` names.
    pub(super) fn secret(&mut self, key: &str, value: Option<&str>, file: Option<&str>) -> Option<Vec<u8>> {
        let (key, name) = self.one_of(key, value, file)?;
        if value.is_some() && is_pem(name) {
            return Some(name.as_bytes().to_vec());
        }
        if is_no_name(name) {
            self.report.problem(key, "is neither a file name nor PEM, which begins with -----BEGIN");
            return None;
        }
        self.read(&key, name)
    }

    /// The one of `<key>` and `<key>_file` that is given, with its key.
    fn one_of<'v>(&mut self, key: &str, value: Option<&'v str>, file: Option<&'v str>) -> Option<(String, &'v str)> {
        match (value, file) {
            (Some(_), Some(_)) => {
                self.report.problem(key, format!("is given twice; take away either it or {key}_file"));
                None
            }
            (Some(value), None) => Some((key.to_owned(), value)),
            (None, Some(file)) => Some((format!("{key}_file"), file)),
            (None, None) => None,
        }
    }

    /// A certificate chain and its key for TLS: both or none, readable, and belonging together. `key` is the key, and its
    /// `_file`.
    pub(super) fn tls(&mut self, section: &str, certificate: Option<&str>, key: [Option<&str>; 2]) -> Option<TlsFiles> {
        let certificate_key = format!("{section}.certificate");
        let [value, file] = key;
        match (certificate.is_some(), value.or(file).is_some()) {
            (true, false) => {
                self.report.problem(format!("{section}.key"), format!("is missing; {section}.certificate needs its private key"));
            }
            (false, true) => {
                self.report.problem(&*certificate_key, format!("is missing; {section}.key needs its certificate"));
            }
            _ => {}
        }
        let chain = certificate.and_then(|name| self.read(&certificate_key, name));
        let chain = chain.and_then(|pem| self.certificates(&certificate_key, &pem));
        let key = self.one_of(&format!("{section}.key"), value, file);
        let private = key.as_ref().and_then(|(key, name)| self.tls_key(key, name));
        let (certificate, (key, name), chain, private) = (certificate?, key?, chain?, private?);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let pair = CertifiedKey::from_der(chain, private, &provider);
        self.report.take(&key, pair.map_err(|error| format!("does not go with {certificate_key}: {error}")))?;
        Some(TlsFiles { certificate: self.resolve(certificate), key: self.resolve(name) })
    }

    /// A private key for TLS: always a file, since it is read again when it changes.
    fn tls_key(&mut self, key: &str, name: &str) -> Option<PrivateKeyDer<'static>> {
        if is_pem(name) {
            self.report
                .problem(key, "is the key itself; put it into a file, which is read again when it changes, and name it here");
            return None;
        }
        let pem = self.read(key, name)?;
        self.report.take(key, PrivateKeyDer::from_pem_slice(&pem).map_err(|_| "is not a private key in PEM"))
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

fn is_pem(text: &str) -> bool {
    text.trim_start().starts_with("-----BEGIN")
}

/// Whether somebody put into a name's place what the file should hold.
fn is_no_name(text: &str) -> bool {
    text.len() > FILE_NAME
        || text.contains(['\n', '\r', '\0'])
        || text.contains("-----BEGIN")
        || text.trim_start().starts_with('<')
}

/// Whether a text could be a key without its PEM, or a line of it: base64 of either alphabet, or hexadecimal. A slash is of
/// base64 too, so only a dot makes a name of it.
fn may_be_secret(name: &str) -> bool {
    name.len() >= SECRET && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"+/=-_".contains(&octet))
}

/// Whether a path leads into a folder that is there and isn't merely the one that all names are relative to.
fn stands_in_a_folder(path: &Path, folder: &Path) -> bool {
    path.parent().is_some_and(|parent| parent != folder && parent != Path::new("/") && parent.is_dir())
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
