//! The flows: start, finish, logout. They return outcomes, never HTTP responses.

pub mod artifact;
mod assurance;
pub mod finish;
pub mod logout;
pub mod refusal;
pub mod start;
pub mod test_report;
mod verifying;

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::clock::Timestamp;
use crate::identity::headers::HeaderPlan;
use crate::identity::mapping::Mapping;
use crate::public_url::PublicUrl;
use crate::return_path::ReturnPath;
use crate::saml::{IdentityProvider, SamlError, ServiceProvider};
use crate::session::SessionSettings;
use crate::store::Store;
pub use artifact::BackChannel;
use finish::another_issuer;
pub use finish::{Carried, Finished, Posted, SignedIn};
pub use logout::received::{Answer, Arrived, Concluded, Ended, Refused};
pub use logout::{LoggedOut, Next};
pub use refusal::{Fault, LoginError, Refusal};
pub use start::{Begun, Wish};
pub use test_report::TestReport;
use verifying::Workers;

/// How many logins one browser may have begun at a time; the oldest are forgotten.
pub const PENDING_PER_BROWSER: usize = 5;

/// What logins need to know.
pub struct LoginParts {
    /// The site.
    pub public_url: PublicUrl,
    /// Where our own endpoints are, `/_samlgate`.
    pub prefix: String,
    /// What we are to every IdP.
    pub sp: ServiceProvider,
    /// The IdPs whose metadata is known.
    pub idps: Vec<IdentityProvider>,
    /// Short names of all IdPs, in the order of the configuration. Those that aren't among `idps` are waited for.
    pub order: Vec<String>,
    /// `[identity]`.
    pub mapping: Mapping,
    /// `[headers]`.
    pub headers: Arc<HeaderPlan>,
    /// `[session]`.
    pub session: SessionSettings,
    /// Where sessions, pending logins and claims are kept.
    pub store: Arc<dyn Store>,
    /// How many responses are verified at the same time, each on a thread of its own; at least one. As many more are read,
    /// and requests signed.
    pub verifications: usize,
    /// How artifacts are resolved.
    pub back_channel: BackChannel,
}

/// An entity ID that two would have: whose it is already.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its entity ID is that of {0} too")]
pub struct EntityIdTaken(pub String);

/// All login flows.
pub struct Login {
    public_url: PublicUrl,
    prefix: String,
    sp: Arc<ServiceProvider>,
    idps: ArcSwap<Vec<Arc<IdentityProvider>>>,
    order: Vec<String>,
    mapping: Mapping,
    headers: Arc<HeaderPlan>,
    session: SessionSettings,
    store: Arc<dyn Store>,
    workers: Workers,
    /// Paths of the assertion consumer services. Every request is compared with them.
    acs_paths: Vec<String>,
    /// Path of the single logout service outside the prefix.
    slo_path: Option<String>,
    back_channel: BackChannel,
}

impl Login {
    /// Puts the parts together.
    pub fn new(parts: LoginParts) -> Self {
        let path = |url: &String| own_path(&parts.public_url, url);
        Self {
            acs_paths: parts.sp.acs_urls.iter().filter_map(path).collect(),
            slo_path: parts.sp.slo_url.as_ref().and_then(path),
            public_url: parts.public_url,
            prefix: parts.prefix,
            sp: Arc::new(parts.sp),
            idps: ArcSwap::from_pointee(parts.idps.into_iter().map(Arc::new).collect()),
            order: parts.order,
            mapping: parts.mapping,
            headers: parts.headers,
            session: parts.session,
            store: parts.store,
            workers: Workers::new(parts.verifications),
            back_channel: parts.back_channel,
        }
    }

    /// The IdPs whose metadata is known, in the order of the configuration. It may be past its validUntil.
    pub fn idps(&self) -> Arc<Vec<Arc<IdentityProvider>>> {
        self.idps.load_full()
    }

    /// Puts other IdPs in the place of all that are known: their metadata was read anew. A key that is gone is trusted no more
    /// from the next response on.
    pub fn replace_idps(&self, idps: Vec<IdentityProvider>) {
        self.idps.store(Arc::new(idps.into_iter().map(Arc::new).collect()));
    }

    /// Puts an IdP, whose metadata was read anew, in the place of the one with its short name, or into its place in the order.
    /// Others keep theirs.
    ///
    /// # Errors
    /// When its entity ID is that of another one or ours: nobody could tell whose responses are whose.
    pub fn put_idp(&self, idp: IdentityProvider) -> Result<(), EntityIdTaken> {
        if idp.entity_id == self.sp.entity_id {
            return Err(EntityIdTaken("samlgate itself".to_owned()));
        }
        let known = self.idps.load();
        if let Some(other) = known.iter().find(|other| other.id != idp.id && other.entity_id == idp.entity_id) {
            return Err(EntityIdTaken(other.id.clone()));
        }
        let idp = Arc::new(idp);
        self.idps.rcu(|idps| {
            let mut idps = Vec::clone(idps);
            match idps.iter_mut().find(|known| known.id == idp.id) {
                Some(place) => *place = Arc::clone(&idp),
                None => idps.push(Arc::clone(&idp)),
            }
            let position = |id: &str| self.order.iter().position(|other| other == id).unwrap_or(usize::MAX);
            idps.sort_by_key(|idp| position(&idp.id));
            idps
        });
        Ok(())
    }

    /// Short names of all IdPs, in the order of the configuration: also of those whose metadata isn't known yet.
    pub fn idp_ids(&self) -> Vec<String> {
        let idps = self.idps.load();
        let unordered = idps.iter().map(|idp| &idp.id).filter(|id| !self.order.contains(id));
        self.order.iter().chain(unordered).cloned().collect()
    }

    /// What we are to every IdP.
    pub fn service_provider(&self) -> &ServiceProvider {
        &self.sp
    }

    /// Where a user may be sent: a path on this site that is none of our own endpoints (which would only send on in circles; the page
    /// that shows a kept form doesn't), and the start page instead of everything else.
    pub fn return_path(&self, text: &str) -> ReturnPath {
        let own = |path: &ReturnPath| self.is_own(path.route()) && !self.is_form_page(path.route());
        ReturnPath::parse(text, &self.public_url).filter(|path| !own(path)).unwrap_or_else(ReturnPath::root)
    }

    /// Whether a path belongs to samlgate itself: what stands under the prefix, every assertion consumer service, and the single
    /// logout service.
    pub fn is_own(&self, path: &str) -> bool {
        let under_prefix = path.strip_prefix(&self.prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        under_prefix || path == "/.well-known/samlgate/jwks.json" || self.is_acs(path) || self.slo(path).is_some()
    }

    /// Whether a path is that of our page that shows a kept form.
    pub fn is_form_page(&self, path: &str) -> bool {
        path.strip_prefix(&self.prefix) == Some("/form")
    }

    /// Whether a path is one of the configured assertion consumer services.
    pub fn is_acs(&self, path: &str) -> bool {
        self.acs_paths.iter().any(|own| own == path)
    }

    /// Which of our own logout endpoints stands at a path outside the prefix (`sp.slo_url`): `/slo` or `/slo/soap`.
    pub fn slo(&self, path: &str) -> Option<&'static str> {
        match path.strip_prefix(self.slo_path.as_deref()?)? {
            "" => Some("/slo"),
            "/soap" => Some("/slo/soap"),
            _ => None,
        }
    }

    /// The IdP with a short name, when it may be believed now.
    ///
    /// # Errors
    /// `UnknownIdp`, `NoMetadata`, `MetadataExpired`.
    fn idp(&self, id: &str, now: Timestamp) -> Result<Arc<IdentityProvider>, LoginError> {
        match self.idps.load().iter().find(|idp| idp.id == id) {
            Some(idp) => still_valid(idp, now),
            None if self.order.iter().any(|known| known == id) => Err(LoginError::NoMetadata(id.to_owned())),
            None => Err(LoginError::UnknownIdp),
        }
    }

    /// The IdP with an entity ID, when it may be believed now.
    ///
    /// # Errors
    /// `UnknownIssuer`, `NoMetadata` when it may be an IdP whose metadata isn't known yet, `MetadataExpired`.
    fn idp_of_issuer(&self, issuer: &str, now: Timestamp) -> Result<Arc<IdentityProvider>, LoginError> {
        let idps = self.idps.load();
        if let Some(idp) = idps.iter().find(|idp| idp.entity_id == issuer) {
            return still_valid(idp, now);
        }
        match self.order.iter().find(|id| !idps.iter().any(|idp| idp.id == **id)) {
            Some(awaited) => Err(LoginError::NoMetadata(awaited.clone())),
            None => Err(SamlError::UnknownIssuer(issuer.chars().take(200).collect()).into()),
        }
    }

    /// Every URL at which logout messages may be addressed to us, the published ones first. What comes by SOAP may name the
    /// address for browsers too, since an operator may have given the IdP only that one.
    fn slo_urls(&self, soap: bool) -> Vec<String> {
        slo_urls(&self.sp, &self.public_url, &self.prefix, soap)
    }

    fn acs_urls(&self, idp: &IdentityProvider) -> Vec<String> {
        acs_urls(&self.sp, &self.public_url, &self.prefix, &idp.id)
    }
}

/// What metadata says holds until its validUntil and no longer, also for a copy that couldn't be renewed.
fn still_valid(idp: &Arc<IdentityProvider>, now: Timestamp) -> Result<Arc<IdentityProvider>, LoginError> {
    match idp.valid_until.filter(|_| !idp.is_valid(now)) {
        Some(until) => Err(LoginError::MetadataExpired(until.to_string())),
        None => Ok(Arc::clone(idp)),
    }
}

/// The path of a URL of this site.
fn own_path(public_url: &PublicUrl, url: &str) -> Option<String> {
    let path = url.strip_prefix(&public_url.to_string())?;
    path.split('?').next().map(str::to_owned)
}

/// Every URL of our single logout service, the published one first; for SOAP, those of SOAP before them.
pub fn slo_urls(sp: &ServiceProvider, public_url: &PublicUrl, prefix: &str, soap: bool) -> Vec<String> {
    let own = public_url.join(&format!("{prefix}/slo"));
    let for_browsers = sp.slo_url.iter().chain([&own]);
    let for_soap = for_browsers.clone().map(|url| format!("{url}/soap")).filter(|_| soap);
    for_soap.chain(for_browsers.cloned()).collect()
}

/// Every URL at which an IdP may post to us, the published ones first: Destination and Recipient may name any of them.
pub fn acs_urls(sp: &ServiceProvider, public_url: &PublicUrl, prefix: &str, idp: &str) -> Vec<String> {
    let mut urls = sp.acs_urls.clone();
    for own in [format!("{prefix}/acs"), format!("{prefix}/acs/{idp}")] {
        let url = public_url.join(&own);
        if !urls.contains(&url) {
            urls.push(url);
        }
    }
    urls
}
