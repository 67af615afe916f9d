//! `[sp]`: what samlgate is to every IdP.

use super::Work;
use super::files::end_of;
use crate::config::problems::Report;
use crate::config::sections::SpSection;
use crate::public_url::PublicUrl;
use crate::saml::{IdentityProvider, NameIdFormat, ServiceProvider, SpKey};

/// Longest entity ID (Metadata 2.2.1).
const ENTITY_ID: usize = 1024;

/// `[sp]`. `site` is public_url and prefix.
pub(super) fn of(
    section: &SpSection,
    site: Option<(&PublicUrl, &str)>,
    idps: &[IdentityProvider],
    work: &mut Work<'_>,
) -> Option<ServiceProvider> {
    let keys = keys(section, work);
    let name_id_format = name_id_format(&section.name_id_format, work.report);
    let (public_url, prefix) = site?;

    let own = |path: &str| public_url.join(&format!("{prefix}{path}"));
    let entity_id = section.entity_id.clone().unwrap_or_else(|| own("/metadata"));
    if entity_id.is_empty()
        || entity_id.chars().count() > ENTITY_ID
        || entity_id.contains(|c: char| c.is_control() || c.is_whitespace())
    {
        work.report.problem("sp.entity_id", "must be a URI of at most 1024 characters without spaces, as the IdP knows us");
    }
    if let Some(idp) = idps.iter().find(|idp| idp.entity_id == entity_id) {
        work.report.problem("sp.entity_id", format!("is the entity ID of the IdP {:?}; ours must be another one", idp.id));
    }
    let default = own("/acs");
    let acs_urls = match section.acs_url.as_deref().map(|text| acs_url(text, public_url, prefix, work.report)) {
        Some(url) => url.into_iter().chain([default]).collect(),
        None => vec![default],
    };
    let slo_url = match section.slo_url.as_deref() {
        Some(text) => slo_url(text, public_url, prefix, work.report),
        None => Some(own("/slo")),
    };
    if let Some(url) = &slo_url
        && acs_urls.iter().any(|acs| acs == url || *acs == format!("{url}/soap"))
    {
        work.report.problem("sp.slo_url", format!("{url:?} (or, for SOAP, {url}/soap) is an assertion consumer service already"));
    }
    let sp = ServiceProvider {
        entity_id,
        acs_urls: without_duplicates(acs_urls),
        keys,
        sign_requests: section.sign_requests,
        name_id_format: name_id_format?,
        slo_url: None,
    };
    // Logout messages are always signed, so without a key there is no service to publish.
    let can_sign = sp.signing_key().is_some();
    if section.slo_url.is_some() && section.keys.is_empty() {
        work.report
            .problem("sp.slo_url", "needs a key: logout messages are always signed. Run `samlgate keygen` and set sp.keys");
    }
    Some(ServiceProvider { slo_url: slo_url.filter(|_| can_sign), ..sp })
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
        let (Some(private), Some(certificate)) = (private, certificate) else { continue };
        let Some(read) = work.report.take(&key, SpKey::from_pem(&private, &certificate)) else { continue };
        work.warn_of_end(&format!("{key}.certificate"), "the certificate", end_of(read.certificate()));
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

fn acs_url(text: &str, public_url: &PublicUrl, prefix: &str, report: &mut Report) -> Option<String> {
    own_url("sp.acs_url", text, public_url, prefix, &|path| path == "/acs" || path.starts_with("/acs/"), report)
}

fn slo_url(text: &str, public_url: &PublicUrl, prefix: &str, report: &mut Report) -> Option<String> {
    if text.ends_with('/') {
        report.problem(
            "sp.slo_url",
            format!("{text:?} ends with a slash, and SOAP comes in at /soap behind it; leave the slash out"),
        );
        return None;
    }
    own_url("sp.slo_url", text, public_url, prefix, &|path| path == "/slo", report)
}

/// A path or a URL of this site, at which nothing else of ours stands; below the prefix only where `fits`.
fn own_url(
    key: &str,
    text: &str,
    public_url: &PublicUrl,
    prefix: &str,
    fits: &dyn Fn(&str) -> bool,
    report: &mut Report,
) -> Option<String> {
    let mut wrong = |what: &str| {
        report.problem(key, format!("{text:?} {what}"));
        None
    };
    let base = public_url.to_string();
    let path = text.strip_prefix(&base).unwrap_or(text);
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || b"-._~/:@!$&'()*+,;=".contains(&octet);
    if !path.starts_with('/') || path.starts_with("//") || path.len() == 1 {
        return wrong(&format!("is not under public_url ({base}), where alone samlgate can take the IdP's messages"));
    }
    if !path.bytes().all(plain) || path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return wrong("may have no query, fragment, escapes or dot segments");
    }
    if path.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/') && !fits(rest)) {
        return wrong(&format!("is another endpoint of samlgate; leave {key} out, or take a path outside of prefix"));
    }
    Some(public_url.join(path))
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
