//! The flows: start, finish, logout. They return outcomes, never HTTP responses.

mod assurance;
pub mod finish;
pub mod logout;
pub mod refusal;
pub mod start;
pub mod test_report;
mod verifying;

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::identity::headers::HeaderPlan;
use crate::identity::mapping::Mapping;
use crate::public_url::PublicUrl;
use crate::return_path::ReturnPath;
use crate::saml::{IdentityProvider, ServiceProvider};
use crate::session::SessionSettings;
use crate::store::Store;
pub use finish::{Finished, Posted, SignedIn};
pub use logout::LoggedOut;
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
    /// The IdPs, in the order of the configuration.
    pub idps: Vec<IdentityProvider>,
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
}

/// All login flows.
pub struct Login {
    public_url: PublicUrl,
    prefix: String,
    sp: Arc<ServiceProvider>,
    idps: ArcSwap<Vec<Arc<IdentityProvider>>>,
    mapping: Mapping,
    headers: Arc<HeaderPlan>,
    session: SessionSettings,
    store: Arc<dyn Store>,
    workers: Workers,
}

impl Login {
    /// Puts the parts together.
    pub fn new(parts: LoginParts) -> Self {
        Self {
            public_url: parts.public_url,
            prefix: parts.prefix,
            sp: Arc::new(parts.sp),
            idps: ArcSwap::from_pointee(parts.idps.into_iter().map(Arc::new).collect()),
            mapping: parts.mapping,
            headers: parts.headers,
            session: parts.session,
            store: parts.store,
            workers: Workers::new(parts.verifications),
        }
    }

    /// The IdPs, in the order of the configuration.
    pub fn idps(&self) -> Arc<Vec<Arc<IdentityProvider>>> {
        self.idps.load_full()
    }

    /// Puts other IdPs in the place of all that are known: their metadata was read anew. A key that is gone is trusted no more
    /// from the next response on.
    pub fn replace_idps(&self, idps: Vec<IdentityProvider>) {
        self.idps.store(Arc::new(idps.into_iter().map(Arc::new).collect()));
    }

    /// Where a user may be sent: a path on this site that is none of our own endpoints (which would only send on in circles; the page
    /// that shows a kept form doesn't), and the start page instead of everything else.
    pub fn return_path(&self, text: &str) -> ReturnPath {
        let own = |path: &ReturnPath| self.is_own(path.route()) && !self.is_form_page(path.route());
        ReturnPath::parse(text, &self.public_url).filter(|path| !own(path)).unwrap_or_else(ReturnPath::root)
    }

    /// Whether a path belongs to samlgate itself: what stands under the prefix, and every assertion consumer service.
    pub fn is_own(&self, path: &str) -> bool {
        let under_prefix = path.strip_prefix(&self.prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        under_prefix || path == "/.well-known/samlgate/jwks.json" || self.is_acs(path)
    }

    /// Whether a path is that of our page that shows a kept form.
    pub fn is_form_page(&self, path: &str) -> bool {
        path.strip_prefix(&self.prefix) == Some("/form")
    }

    /// Whether a path is one of the configured assertion consumer services.
    pub fn is_acs(&self, path: &str) -> bool {
        let base = self.public_url.to_string();
        let own = |url: &String| url.strip_prefix(&base).is_some_and(|own| own.split('?').next() == Some(path));
        self.sp.acs_urls.iter().any(own)
    }

    fn idp(&self, id: &str) -> Option<Arc<IdentityProvider>> {
        self.idps.load().iter().find(|idp| idp.id == id).cloned()
    }

    fn acs_urls(&self, idp: &IdentityProvider) -> Vec<String> {
        acs_urls(&self.sp, &self.public_url, &self.prefix, &idp.id)
    }
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
