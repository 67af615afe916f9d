//! From sections to settings: what the values mean, and whether they go together.

mod choosing;
mod data_dir;
mod files;
mod headers;
mod identity_providers;
mod listen;
mod login_terms;
mod mapping;
mod metadata_sources;
mod own_paths;
mod request_signature;
mod rules;
mod service_provider;
mod site;
mod unavailable;
mod upstreams;

use std::path::Path;
use std::sync::Arc;

use super::problems::Report;
use super::sections::File;
use super::source::Source;
use super::{AssertionSettings, Config};
use crate::clock::Timestamp;
use crate::identity::assertion::AssertionSigner;
use crate::public_url::PublicUrl;

/// What every part of the work needs.
struct Work<'a> {
    /// File names are relative to it.
    folder: &'a Path,
    /// For dates in certificates and metadata.
    now: Timestamp,
    /// Where mistakes go.
    report: &'a mut Report,
}

/// Makes the configuration. `None` only when mistakes were noted; all parts are looked at in any case.
pub(super) fn of(file: File, source: &Source, now: Timestamp, report: &mut Report) -> Option<Config> {
    let mut work = Work { folder: &source.folder, now, report };
    unavailable::refuse(&file, work.report);
    let public_url = site::public_url(&file, source.file.is_some(), work.report);
    let site = public_url.as_ref();
    let prefix = own_paths::prefix(&file.prefix, work.report);
    let has_key = file.headers.assertion.key.is_some() || file.headers.assertion.key_file.is_some();
    let data_dir = data_dir::of(file.data_dir.as_deref(), has_key, &mut work);
    let listen = listen::of(&file.listen, site, &mut work);
    let applications = upstreams::all(&file, listen.as_ref(), &mut work);
    let idps = identity_providers::all(&file.idp, file.sp.sign_requests, &mut work);
    let sp = service_provider::of(&file.sp, site, prefix.as_deref(), &idps.known, &mut work);
    let sp = sp.map(|sp| service_provider::with_artifacts(sp, &file.idp, work.report));
    let mapping = mapping::of(&file.identity, work.report);
    let headers = headers::plan(&file.headers, &file.identity, work.report);
    let assertion = assertion(&file, site, &mut work);
    let signer = request_signature::signer(&file.headers, assertion.as_ref(), data_dir.as_deref(), &mut work);
    let headers = headers.map(|plan| match signer {
        Some(signer) => plan.signed_by(Arc::new(signer)),
        None => plan,
    });
    let session = site::session(&file.session, work.report);
    let session_cookie = site::cookie(&file.session, site, work.report);
    let rules = rules::all(&file, prefix.as_deref(), &applications.of_rules, work.report);
    let logout_return_to = site::logout_return_to(&file, site, prefix.as_deref(), work.report);
    let log = site::log(&file.log, work.report);
    Some(Config {
        file: source.file.clone(),
        public_url: public_url?,
        prefix: prefix?,
        data_dir,
        listen: listen?,
        upstream: applications.main?,
        other_upstreams: applications.others,
        service_provider: sp?,
        identity_providers: idps.known,
        metadata_sources: idps.sources,
        idp_order: idps.order,
        mapping: mapping?,
        headers: headers?,
        assertion: assertion?,
        session: session?,
        session_cookie: session_cookie?,
        rules,
        logout_return_to: logout_return_to?,
        log: log?,
        warnings: Vec::new(),
    })
}

/// `[headers.assertion]`, but for the header's name.
fn assertion(file: &File, site: Option<&PublicUrl>, work: &mut Work<'_>) -> Option<AssertionSettings> {
    let section = &file.headers.assertion;
    let lifetime = section.lifetime.get();
    if !(5..=3600).contains(&lifetime.as_secs()) {
        work.report.problem(
            "headers.assertion.lifetime",
            "must be between 5s and 1h; a minute is enough, since a new one is made at half of it",
        );
    }
    let audience = section.audience.clone().or_else(|| site.map(ToString::to_string));
    if audience.as_deref().is_some_and(|audience| audience.trim().is_empty()) {
        work.report.problem("headers.assertion.audience", "is empty; leave it out to use public_url");
    }
    let given = section.key.is_some() || section.key_file.is_some();
    let key = work.secret("headers.assertion.key", section.key.as_deref(), section.key_file.as_deref());
    if let Some(pem) = &key
        && let Err(error) = AssertionSigner::from_pem(pem, String::new(), String::new(), lifetime)
    {
        work.report.problem("headers.assertion.key", format!("is {error}; make one with `samlgate keygen`"));
    }
    if !given && file.data_dir.is_none() {
        let what = "is not set, and there is no data_dir: a new key is made at every start, and replicas have different ones";
        work.report.warning("headers.assertion.key", what);
    }
    Some(AssertionSettings { key_pem: key, audience: audience?, lifetime })
}
