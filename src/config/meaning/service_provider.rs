//! `[sp]`: what samlgate is to every IdP.

use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;

use super::{Work, own_paths};
use crate::config::problems::Report;
use crate::config::sections::{IdpSection, ResponseBindingWord, SpSection};
use crate::public_url::PublicUrl;
use crate::saml::{IdentityProvider, NameIdFormat, ServiceProvider, SpKey};

/// Longest entity ID (Metadata 2.2.1).
const ENTITY_ID: usize = 1024;

/// `[sp]`.
pub(super) fn of(
    section: &SpSection,
    site: Option<&PublicUrl>,
    prefix: Option<&str>,
    idps: &[IdentityProvider],
    work: &mut Work<'_>,
) -> Option<ServiceProvider> {
    let keys = keys(section, work);
    let name_id_format = name_id_format(&section.name_id_format, work.report);
    if section.entity_id.as_deref().is_some_and(|id| !is_entity_id(id)) {
        work.report.problem("sp.entity_id", "must be a URI of at most 1024 characters without spaces, as the IdP knows us");
    }
    let acs_path = section.acs_url.as_deref().map(|text| {
        let may_be = |below: &str| below == "/acs" || below.starts_with("/acs/");
        own_paths::endpoint("sp.acs_url", text, site, prefix, may_be, work.report)
    });
    let slo_path = section.slo_url.as_deref().map(|text| {
        if text.ends_with('/') {
            let what = format!("{text:?} ends with a slash, and SOAP comes in at /soap behind it; leave the slash out");
            work.report.problem("sp.slo_url", what);
            return None;
        }
        own_paths::endpoint("sp.slo_url", text, site, prefix, |below| below == "/slo", work.report)
    });
    let (public_url, prefix) = site.zip(prefix)?;

    let own = |path: &str| public_url.join(&format!("{prefix}{path}"));
    let entity_id = section.entity_id.clone().unwrap_or_else(|| own("/metadata"));
    if let Some(idp) = idps.iter().find(|idp| idp.entity_id == entity_id) {
        work.report.problem("sp.entity_id", format!("is the entity ID of the IdP {:?}; ours must be another one", idp.id));
    }
    let join = |path: String| public_url.join(&path);
    let acs_urls = without_duplicates(acs_path.flatten().map(join).into_iter().chain([own("/acs")]).collect());
    let slo_url = match slo_path {
        Some(path) => path.map(join),
        None => Some(own("/slo")),
    };
    if let Some(url) = &slo_url
        && acs_urls.iter().any(|acs| acs == url || *acs == format!("{url}/soap"))
    {
        work.report.problem("sp.slo_url", format!("{url:?} (or, for SOAP, {url}/soap) is an assertion consumer service already"));
    }
    let sp = ServiceProvider {
        entity_id,
        acs_urls,
        keys,
        sign_requests: section.sign_requests,
        name_id_format: name_id_format?,
        slo_url: None,
        takes_artifacts: false,
    };
    // Logout messages are always signed, so without a key there is no service to publish.
    let can_sign = sp.signing_key().is_some();
    if section.slo_url.is_some() && section.keys.is_empty() {
        work.report
            .problem("sp.slo_url", "needs a key: logout messages are always signed. Run `samlgate keygen` and set sp.keys");
    }
    Some(ServiceProvider { slo_url: slo_url.filter(|_| can_sign), ..sp })
}

/// Whether it takes artifacts, which it does when an IdP is asked for them.
pub(super) fn with_artifacts(sp: ServiceProvider, idps: &[IdpSection], report: &mut Report) -> ServiceProvider {
    let mut takes_artifacts = false;
    for (at, idp) in idps.iter().enumerate() {
        if idp.response_binding == ResponseBindingWord::Artifact {
            takes_artifacts = true;
            if sp.signing_key().is_none() {
                let what = "is artifact, which needs a key: what asks for a response is always signed. Run `samlgate keygen` and set sp.keys";
                report.problem(format!("idp.{at}.response_binding"), what);
            }
        }
    }
    ServiceProvider { takes_artifacts, ..sp }
}

fn keys(section: &SpSection, work: &mut Work<'_>) -> Vec<SpKey> {
    let mut keys = Vec::new();
    for (at, pair) in section.keys.iter().enumerate() {
        let key = format!("sp.keys.{at}");
        if pair.key.is_none() && pair.key_file.is_none() {
            work.report.problem(format!("{key}.key"), "is missing; name the private key's file");
        }
        if pair.certificate.is_none() {
            work.report.problem(format!("{key}.certificate"), "is missing; name the certificate's file");
        }
        let private = work.secret(&format!("{key}.key"), pair.key.as_deref(), pair.key_file.as_deref());
        let certificate = pair.certificate.as_ref().and_then(|name| work.read(&format!("{key}.certificate"), name));
        // Each is judged, whatever the other one is like.
        let private = private.and_then(|pem| {
            let read = PrivateKeyDer::from_pem_slice(&pem);
            work.report
                .take(&format!("{key}.key"), read.map(|_| pem).map_err(|_| "is not a private key in PEM, or an encrypted one"))
        });
        let certificate = certificate.filter(|pem| work.certificates(&format!("{key}.certificate"), pem).is_some());
        let (Some(private), Some(certificate)) = (private, certificate) else { continue };
        let Some(read) = work.report.take(&key, SpKey::from_pem(&private, &certificate)) else { continue };
        if !read.may_sign() {
            let what = "is a key of less than 2048 bits: it only decrypts what is still encrypted for it, and is not published";
            work.report.warning(&*key, what);
            if at == 0 && section.sign_requests {
                let what = "is too short to sign with; put a key of at least 2048 bits first (`samlgate keygen`), or set \
                            sp.sign_requests = false";
                work.report.problem(&*key, what);
            }
        }
        keys.push(read);
    }
    if section.sign_requests && section.keys.is_empty() {
        let what = "is empty, but sp.sign_requests is true; run `samlgate keygen` and write keys = [{ key = \"sp.key\", certificate = \
                    \"sp.crt\" }], or set sp.sign_requests = false";
        work.report.problem("sp.keys", what);
    }
    keys
}

fn is_entity_id(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= ENTITY_ID && !text.contains(|c: char| c.is_control() || c.is_whitespace())
}

fn name_id_format(text: &str, report: &mut Report) -> Option<NameIdFormat> {
    let is_urn = text.starts_with("urn:") && !text.contains(|c: char| c.is_control() || c.is_whitespace());
    Some(match text {
        "unspecified" => NameIdFormat::Unspecified,
        "email" => NameIdFormat::Email,
        "persistent" => NameIdFormat::Persistent,
        "transient" => NameIdFormat::Transient,
        urn if is_urn => NameIdFormat::Urn(urn.to_owned()),
        other => {
            report.problem(
                "sp.name_id_format",
                format!("{other:?} is not one of unspecified, email, persistent, transient or a URN (\"urn:...\")"),
            );
            return None;
        }
    })
}

fn without_duplicates(mut urls: Vec<String>) -> Vec<String> {
    let mut seen = std::collections::BTreeSet::new();
    urls.retain(|url| seen.insert(url.clone()));
    urls
}
