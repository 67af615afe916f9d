//! `[[idp]] metadata_url`, `metadata_signing_certificate` and `refresh`: where metadata is had anew.

use std::time::Duration;

use super::Work;
use crate::config::sections::IdpSection;
use crate::metadata::{MetadataUrl, Place, Source, Template};
use crate::saml::{TrustAnchors, TrustedCertificate};

/// How often a source may be asked at most, and must be at least.
const REFRESH: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(7 * 24 * 3600));
/// From here on it is said that a key lives long after its end.
const LONG: Duration = Duration::from_secs(24 * 3600);

/// Who may sign an IdP's metadata.
pub(super) enum Signers {
    /// Nobody is named.
    Anybody,
    /// These.
    Pinned(TrustAnchors),
    /// Somebody is named, and can't be used: a mistake, noted already.
    Unusable,
}

/// The IdP's source, when it has one that can change.
pub(super) fn of(
    section: &IdpSection,
    id: &str,
    key: &str,
    signers: Signers,
    template: Template,
    work: &mut Work<'_>,
) -> Option<Source> {
    let place = match (&section.metadata_url, &section.metadata_file) {
        (Some(text), _) => Place::Url(url(text, section, key, work)?),
        (None, Some(name)) => Place::File(work.resolve(name)),
        (None, None) => return None,
    };
    let signers = match signers {
        Signers::Anybody => None,
        Signers::Pinned(signers) => Some(signers),
        Signers::Unusable => return None,
    };
    let must_end = matches!(&place, Place::Url(url) if !url.is_private());
    let entity_id = section.entity_id.clone();
    Some(Source { id: id.to_owned(), place, entity_id, signers, must_end, refresh: section.refresh.get(), template })
}

fn url(text: &str, section: &IdpSection, key: &str, work: &mut Work<'_>) -> Option<MetadataUrl> {
    let name = format!("{key}.metadata_url");
    let refresh = section.refresh.get();
    if refresh < REFRESH.0 || refresh > REFRESH.1 {
        work.report.problem(format!("{key}.refresh"), "must be between 1m and 7d");
    } else if refresh > LONG {
        let what = format!("is {}: a key that the IdP withdraws is believed so long", section.refresh);
        work.report.warning(format!("{key}.refresh"), what);
    }
    let url = MetadataUrl::parse(text, section.entity_id.as_deref()).map_err(|error| format!("{text:?} {error}"));
    let url = work.report.take(&name, url)?;
    if !url.is_private() && section.metadata_signing_certificate.is_none() {
        let what = "is http: whoever is on the way could put keys of their own into the metadata. Use https, or have the metadata signed \
                    and set metadata_signing_certificate";
        work.report.problem(name, what);
        return None;
    }
    Some(url)
}

/// Those who may sign the metadata: every certificate of the file, so that the signer's key can change.
pub(super) fn signers(section: &IdpSection, key: &str, work: &mut Work<'_>) -> Signers {
    let Some(name) = &section.metadata_signing_certificate else { return Signers::Anybody };
    let key = format!("{key}.metadata_signing_certificate");
    if section.metadata_url.is_none() && section.metadata_file.is_none() && section.metadata_xml.is_none() {
        work.report.problem(&*key, "has no effect without metadata; take it away");
    }
    read_signers(name, &key, work).map_or(Signers::Unusable, Signers::Pinned)
}

fn read_signers(name: &str, key: &str, work: &mut Work<'_>) -> Option<TrustAnchors> {
    let pem = work.read(key, name)?;
    let chain = work.certificates(key, &pem)?;
    let signers: Option<Vec<_>> =
        chain.iter().map(|certificate| work.report.take(key, TrustedCertificate::from_der(certificate))).collect();
    work.report.take(key, TrustAnchors::new(signers?))
}
