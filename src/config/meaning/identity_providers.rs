//! `[[idp]]`: each IdP with its metadata, or written by hand.

use std::time::Duration;

use super::metadata_sources::Signers;
use super::{Work, choosing, metadata_sources};
use crate::config::sections::{IdpInitiatedWord, IdpSection, RequestBindingWord, ResponseBindingWord};
use crate::metadata::{Source, Template};
use crate::saml::{
    Binding, Compat, IdentityProvider, IdpInitiated, IdpMetadata, MetadataError, RequestBinding, ResponseBinding,
    TrustedCertificate, read_idp, read_signed_idp,
};

/// Longest short name: it stands in URLs and metrics.
const ID: usize = 32;
/// An IdP whose clock is further off has another problem.
const LARGE_SKEW: Duration = Duration::from_secs(300);
/// Whoever sets more hides that a clock isn't set at all.
const LONGEST_SKEW: Duration = Duration::from_secs(3600);
/// No login takes longer from the IdP to us.
const LONGEST_AGE: Duration = Duration::from_secs(24 * 3600);

/// `[[idp]]`, all of them.
#[derive(Default)]
pub(super) struct IdentityProviders {
    /// Those whose metadata is known.
    pub(super) known: Vec<IdentityProvider>,
    /// Where the metadata of those comes from whose metadata can change.
    pub(super) sources: Vec<Source>,
    /// All short names, in order.
    pub(super) order: Vec<String>,
}

/// All usable IdPs.
pub(super) fn all(sections: &[IdpSection], sign_requests: bool, work: &mut Work<'_>) -> IdentityProviders {
    if sections.is_empty() {
        work.report.problem("idp", "is missing; at least one [[idp]] with an id and a metadata_file is needed");
    }
    choosing::judge(sections, work.report);
    let (mut idps, mut sources, mut order): (Vec<IdentityProvider>, Vec<Source>, Vec<String>) = Default::default();
    for (at, section) in sections.iter().enumerate() {
        let key = format!("idp.{at}");
        let id = id(section.id.as_deref(), &key, work);
        if let Some(id) = &id
            && sections.iter().take(at).any(|other| other.id.as_ref() == Some(id))
        {
            work.report.problem(format!("{key}.id"), format!("{id:?} is the id of another IdP too; ids must differ"));
        }
        let compat = compat(section, &key, work);
        judge_settings(section, &key, work);
        let signers = metadata_sources::signers(section, &key, work);
        let metadata = metadata(section, &key, &signers, work);
        // Whatever the short name is like.
        let provider = metadata.map(|metadata| idp(section, id.as_deref().unwrap_or("?").to_owned(), metadata, compat));
        if let Some(provider) = &provider {
            judge(provider, &key, sign_requests, work);
        }
        let Some(id) = id else { continue };
        order.push(id.clone());
        let template = template(section, &id, compat, sign_requests);
        sources.extend(metadata_sources::of(section, &id, &key, signers, template, work));
        let Some(provider) = provider else { continue };
        if let Some(other) = idps.iter().find(|other| other.entity_id == provider.entity_id) {
            let what = format!(
                "has the entity ID of {:?}, {:?}; a response couldn't be told to be of either",
                other.id, other.entity_id
            );
            work.report.problem(&key, what);
        }
        idps.push(provider);
    }
    IdentityProviders { known: idps, sources, order }
}

/// What is done with metadata that is read while samlgate runs.
fn template(section: &IdpSection, id: &str, compat: Compat, sign_requests: bool) -> Template {
    let (section, id) = (section.clone(), id.to_owned());
    Template::new(move |metadata| {
        let mut idp = idp(&section, id.clone(), metadata, compat);
        idp.warnings.extend(unsigned_requests(&idp, sign_requests));
        match missing_binding(&idp) {
            Some(name) => Err(format!("the IdP takes no login requests by {name}, which request_binding demands")),
            None if nowhere_to_resolve(&idp) => {
                Err("the IdP has no artifact resolution service for SOAP by https, which response_binding demands".to_owned())
            }
            None => Ok(idp),
        }
    })
}

fn id(text: Option<&str>, key: &str, work: &mut Work<'_>) -> Option<String> {
    let key = format!("{key}.id");
    let Some(text) = text else {
        work.report.problem(key, "is required; give the IdP a short name, such as \"entra\"");
        return None;
    };
    let plain = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || b"-_".contains(&octet);
    if text.is_empty() || text.len() > ID || !text.bytes().all(plain) {
        work.report
            .problem(key, format!("{text:?} must be 1 to {ID} small letters, digits, - and _: it stands in URLs and metrics"));
        return None;
    }
    Some(text.to_owned())
}

/// From exactly one of metadata_file, metadata_xml, or entity_id with sso_url and certificates. `None` for a metadata_url too: what is
/// there is nobody's mistake in the configuration.
fn metadata(section: &IdpSection, key: &str, signers: &Signers, work: &mut Work<'_>) -> Option<IdpMetadata> {
    let by_hand = section.sso_url.is_some() || section.slo_url.is_some() || !section.certificates.is_empty();
    let ways = [section.metadata_file.is_some(), section.metadata_xml.is_some(), section.metadata_url.is_some(), by_hand];
    match ways.iter().filter(|way| **way).count() {
        1 => {}
        0 => {
            let what = "has no metadata; set metadata_url or metadata_file to what the IdP offers, or entity_id, sso_url and certificates";
            work.report.problem(key, what);
            return None;
        }
        _ => {
            let what = "is described twice; keep one of metadata_url, metadata_file, metadata_xml, or sso_url with certificates";
            work.report.problem(key, what);
            return None;
        }
    }
    if by_hand {
        return written_by_hand(section, key, work);
    }
    let (key, xml) = match (&section.metadata_file, &section.metadata_xml) {
        (Some(name), _) => {
            let key = format!("{key}.metadata_file");
            let xml = work.read(&key, name)?;
            (key, xml)
        }
        (None, Some(text)) => (format!("{key}.metadata_xml"), text.as_bytes().to_vec()),
        (None, None) => return None,
    };
    let entity_id = section.entity_id.as_deref();
    let read = match signers {
        Signers::Anybody => read_idp(&xml, entity_id, work.now),
        Signers::Pinned(signers) => read_signed_idp(&xml, signers, entity_id, work.now),
        Signers::Unusable => return None,
    };
    let read = read.map_err(|error| match error {
        MetadataError::SeveralIdps { .. } => format!("{error}; say which with entity_id"),
        error => error.to_string(),
    });
    work.report.take(&key, read)
}

fn written_by_hand(section: &IdpSection, key: &str, work: &mut Work<'_>) -> Option<IdpMetadata> {
    for (name, missing) in [
        ("entity_id", section.entity_id.is_none()),
        ("sso_url", section.sso_url.is_none()),
        ("certificates", section.certificates.is_empty()),
    ] {
        if missing {
            work.report
                .problem(format!("{key}.{name}"), "is missing; without metadata, entity_id, sso_url and certificates are needed");
        }
    }
    let mut certificates = Vec::new();
    for (at, name) in section.certificates.iter().enumerate() {
        let key = format!("{key}.certificates.{at}");
        let pem = work.read(&key, name);
        let read = pem.and_then(|pem| work.report.take(&key, TrustedCertificate::from_pem(&pem)));
        certificates.extend(read);
    }
    let (entity_id, sso_url, slo_url) = (section.entity_id.as_deref(), section.sso_url.as_deref(), section.slo_url.as_deref());
    let mistakes = IdpMetadata::mistakes_by_hand(entity_id, sso_url, slo_url);
    for (name, error) in &mistakes {
        work.report.problem(format!("{key}.{name}"), error.to_string());
    }
    if certificates.is_empty() || !mistakes.is_empty() {
        return None;
    }
    work.report.take(key, IdpMetadata::by_hand(entity_id?, sso_url?, slo_url, certificates))
}

/// The weaknesses that are named, each warned about.
fn compat(section: &IdpSection, key: &str, work: &mut Work<'_>) -> Compat {
    let mut compat = Compat::default();
    for (at, name) in section.compat.iter().enumerate() {
        let (flag, meaning) = match name.as_str() {
            "sha1" => (&mut compat.sha1, "signatures with SHA-1 are believed, and SHA-1 can be forged"),
            "aes-cbc" => (&mut compat.aes_cbc, "encryption that doesn't notice changes is taken"),
            "rsa-1.5" => (&mut compat.rsa_15, "content keys wrapped by PKCS #1 v1.5 are taken"),
            "no-audience" => (&mut compat.no_audience, "assertions for any service provider are believed"),
            "empty-reference" => (&mut compat.empty_reference, "signatures that name no element are taken"),
            other => {
                let what = format!("{other:?} is not one of sha1, aes-cbc, rsa-1.5, no-audience, empty-reference");
                work.report.problem(format!("{key}.compat.{at}"), what);
                continue;
            }
        };
        *flag = true;
        let id = section.id.as_deref().unwrap_or("?");
        work.report.warning(format!("{key}.compat"), format!("{name} weakens logins by {id}: {meaning}"));
    }
    compat
}

fn idp(section: &IdpSection, id: String, metadata: IdpMetadata, compat: Compat) -> IdentityProvider {
    IdentityProvider {
        name: section.name.as_ref().map(|name| name.trim().to_owned()),
        domains: section.domains.iter().map(|domain| domain.to_lowercase()).collect(),
        idp_initiated: match section.idp_initiated {
            IdpInitiatedWord::Off => IdpInitiated::Off,
            IdpInitiatedWord::Restart => IdpInitiated::Restart,
            IdpInitiatedWord::Accept => IdpInitiated::Accept,
        },
        request_binding: match section.request_binding {
            RequestBindingWord::Auto => RequestBinding::Auto,
            RequestBindingWord::Redirect => RequestBinding::Redirect,
            RequestBindingWord::Post => RequestBinding::Post,
        },
        response_binding: match section.response_binding {
            ResponseBindingWord::Post => ResponseBinding::Post,
            ResponseBindingWord::Artifact => ResponseBinding::Artifact,
        },
        compat,
        clock_skew: section.clock_skew.get(),
        max_age: section.max_age.get(),
        force_authn: section.force_authn,
        authn_context: section.authn_context.clone(),
        ..IdentityProvider::new(id, metadata)
    }
}

/// Whether the settings go with what the metadata says.
fn judge(idp: &IdentityProvider, key: &str, sign_requests: bool, work: &mut Work<'_>) {
    for warning in &idp.warnings {
        work.report.warning(key, format!("({}) {warning}", idp.id));
    }
    for certificate in idp.anchors.certificates() {
        work.warn_of_end(key, &format!("a certificate of {}", idp.id), Some(certificate.not_after));
    }
    if let Some(name) = missing_binding(idp) {
        work.report.problem(format!("{key}.request_binding"), format!("the IdP takes no login requests by {name}; use \"auto\""));
    }
    if nowhere_to_resolve(idp) {
        let what = "is artifact, but the IdP's metadata has no ArtifactResolutionService for SOAP by https; use \"post\", or metadata \
                    that has one";
        work.report.problem(format!("{key}.response_binding"), what);
    }
    if let Some(what) = unsigned_requests(idp, sign_requests) {
        work.report.warning("sp.sign_requests", what);
    }
}

/// What is to be said when the IdP wants signatures that it doesn't get.
fn unsigned_requests(idp: &IdentityProvider, sign_requests: bool) -> Option<String> {
    let unmet = idp.wants_signed_requests && !sign_requests;
    unmet.then(|| format!("is false, but {} wants signed login requests and will refuse others", idp.id))
}

/// Whether the settings make sense, whatever the metadata says.
fn judge_settings(section: &IdpSection, key: &str, work: &mut Work<'_>) {
    if section.metadata_url.is_none() && section.refresh != IdpSection::default().refresh {
        work.report.warning(
            format!("{key}.refresh"),
            "has no effect without metadata_url; a metadata_file is looked at every 10 seconds",
        );
    }
    if section.idp_initiated == IdpInitiatedWord::Accept {
        let what = "is accept: whoever steals or plants an unused response can sign a browser in with it; restart is safe and works alike";
        work.report.warning(format!("{key}.idp_initiated"), what);
    }
    let skew = section.clock_skew.get();
    if skew > LONGEST_SKEW {
        let what = "is more than 1h: a response could be used so long after its end; set the clocks by NTP instead";
        work.report.problem(format!("{key}.clock_skew"), what);
    } else if skew > LARGE_SKEW {
        work.report
            .warning(format!("{key}.clock_skew"), format!("{} is long: every limit of time grows by it", section.clock_skew));
    }
    let max_age = section.max_age.get();
    if max_age.is_zero() {
        work.report.problem(format!("{key}.max_age"), "is zero: every response would be too old");
    } else if max_age > LONGEST_AGE {
        let what = "is more than 1d: browsers post a response at once, so an older one was kept by somebody; \"5m\" is enough";
        work.report.problem(format!("{key}.max_age"), what);
    }
    for (at, class) in section.authn_context.iter().enumerate() {
        if class.trim().is_empty() {
            work.report.problem(format!("{key}.authn_context.{at}"), "is empty; name a class, or take the entry away");
        }
    }
}

/// The binding that is demanded for login requests, when the IdP doesn't take them by it.
fn missing_binding(idp: &IdentityProvider) -> Option<&'static str> {
    let (binding, name) = match idp.request_binding {
        RequestBinding::Auto => return None,
        RequestBinding::Redirect => (Binding::Redirect, "HTTP-Redirect"),
        RequestBinding::Post => (Binding::Post, "HTTP-POST"),
    };
    (!idp.sso.iter().any(|endpoint| endpoint.binding == binding)).then_some(name)
}

/// Whether artifacts are asked for that nobody would resolve.
fn nowhere_to_resolve(idp: &IdentityProvider) -> bool {
    idp.response_binding == ResponseBinding::Artifact && idp.resolution.is_empty()
}
