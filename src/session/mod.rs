//! What a session is and when it ends. Pure.

mod texts;

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwapOption;

use crate::access::Visitor;
use crate::clock::Timestamp;
use crate::identity::Identity;
use crate::identity::assertion::MintedAssertion;
use crate::identity::headers::HeaderPlan;
use crate::saml::NameId;
use crate::token::HashedToken;
use texts::Texts;

/// `[session]` times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionSettings {
    /// Without a request for so long it ends.
    pub idle_timeout: Duration,
    /// It never lives longer.
    pub lifetime: Duration,
    /// Sessions per user; 0: no limit, else the oldest ends.
    pub max_per_user: usize,
}

/// Where a session comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The IdP's short name.
    pub idp: String,
    /// The IdP's entity ID.
    pub issuer: String,
    /// The subject.
    pub name_id: NameId,
    /// SessionIndex.
    pub session_index: Option<String>,
    /// When the user authenticated, as the IdP says.
    pub auth_time: Timestamp,
    /// When the user authenticated because we had asked for it anew (ForceAuthn); `None` when the IdP may have answered from a
    /// session of its own. By our clock: not before the request, not after the answer.
    pub reauthenticated: Option<Timestamp>,
    /// AuthnContextClassRef.
    pub acr: Option<String>,
    /// SessionNotOnOrAfter.
    pub not_on_or_after: Option<Timestamp>,
}

/// A signed-in browser.
///
/// There may be very many, most of them idle, so what is rarely asked lies in one piece of memory (see [`Session::origin`]), and
/// what only requests need is made by the first one.
#[derive(Debug)]
pub struct Session {
    key: HashedToken,
    identity: Identity,
    plan: Arc<HeaderPlan>,
    headers: OnceLock<Box<[u8]>>,
    texts: Texts,
    auth_time: Timestamp,
    reauthenticated: Option<Timestamp>,
    not_on_or_after: Option<Timestamp>,
    assertion: ArcSwapOption<MintedAssertion>,
    created: Timestamp,
    expires: Timestamp,
    idle_timeout: Duration,
    last_seen: AtomicI64,
    ended: AtomicBool,
}

impl Session {
    /// A new session. It ends after the lifetime or at SessionNotOnOrAfter, whichever comes first.
    pub fn new(
        key: HashedToken,
        sid: String,
        identity: Identity,
        origin: Origin,
        plan: Arc<HeaderPlan>,
        settings: &SessionSettings,
        now: Timestamp,
    ) -> Self {
        let by_lifetime = now.plus(settings.lifetime);
        let expires = origin.not_on_or_after.map_or(by_lifetime, |at| at.min(by_lifetime));
        Self {
            key,
            identity,
            plan,
            headers: OnceLock::new(),
            texts: Texts::new(&sid, &origin),
            auth_time: origin.auth_time,
            reauthenticated: origin.reauthenticated,
            not_on_or_after: origin.not_on_or_after,
            assertion: ArcSwapOption::empty(),
            created: now,
            expires,
            idle_timeout: settings.idle_timeout,
            last_seen: AtomicI64::new(now.millis()),
            ended: AtomicBool::new(false),
        }
    }

    /// Whether it still counts. Time and revocation only shorten a session; a clock that runs back doesn't revive it.
    pub fn is_live(&self, now: Timestamp) -> bool {
        !self.is_over(now) && now < self.last_seen().plus(self.idle_timeout)
    }

    /// Whether it was ended, or its lifetime has passed; that it wasn't used for a while doesn't count.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.ended.load(Ordering::Acquire) || now >= self.expires
    }

    /// Notes a request. Writes at most once a second, so that workers don't contend for the cache line.
    pub fn touch(&self, now: Timestamp) {
        if now.millis().saturating_sub(self.last_seen.load(Ordering::Relaxed)) >= 1000 {
            self.last_seen.fetch_max(now.millis(), Ordering::Relaxed);
        }
    }

    /// Ends it, for ever and for all who hold it; true for whoever ends it first.
    pub fn end(&self) -> bool {
        !self.ended.swap(true, Ordering::AcqRel)
    }

    /// About how many octets it takes in memory, with what its first request makes: headers, and an assertion.
    pub fn weight(&self) -> u32 {
        /// A minted assertion, and what an index and a cache keep beside the session itself.
        const AROUND: usize = 1536;
        /// Beside the text of a value: its own place here and its header's.
        const VALUE: usize = size_of::<String>() + size_of::<(http::HeaderName, http::HeaderValue)>();
        let identity = &self.identity;
        let single = [Some(identity.user()), identity.email(), identity.name(), identity.tenant(), identity.role()];
        let single = single.into_iter().flatten();
        let extra = identity.extra().iter().flat_map(|(name, value)| [name.as_str(), value]);
        let values: usize = single.chain(extra).map(|value| VALUE + 2 * value.len()).sum();
        let groups: usize = identity.groups().iter().map(|group| size_of::<String>() + 2 * group.len()).sum();
        u32::try_from(size_of::<Self>() + AROUND + self.texts.len() + values + groups).unwrap_or(u32::MAX)
    }

    /// The key under which it is stored.
    pub fn key(&self) -> &HashedToken {
        &self.key
    }
    /// Public id, for logs and the assertion; not a secret.
    pub fn sid(&self) -> &str {
        self.texts.sid()
    }
    /// The user.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }
    /// The IdP's short name.
    pub fn idp(&self) -> &str {
        self.texts.idp()
    }
    /// The IdP's entity ID and the NameID's value.
    pub fn subject(&self) -> (&str, &str) {
        self.texts.subject()
    }
    /// Where it comes from, put together anew: not for the hot path.
    pub fn origin(&self) -> Origin {
        self.texts.origin(self.auth_time, self.reauthenticated, self.not_on_or_after)
    }
    /// Identity headers, rendered once.
    pub fn headers(&self) -> &[u8] {
        self.headers.get_or_init(|| self.plan.write(&self.identity))
    }
    /// The cached assertion's place.
    pub fn assertion(&self) -> &ArcSwapOption<MintedAssertion> {
        &self.assertion
    }
    /// When it began.
    pub fn created(&self) -> Timestamp {
        self.created
    }
    /// When it ends at the latest.
    pub fn expires(&self) -> Timestamp {
        self.expires
    }
    /// When it ends unless another request comes.
    pub fn idle_until(&self) -> Timestamp {
        self.last_seen().plus(self.idle_timeout).min(self.expires)
    }
    /// The last request.
    pub fn last_seen(&self) -> Timestamp {
        Timestamp::from_millis(self.last_seen.load(Ordering::Relaxed))
    }
}

/// Who asks, for the rules.
impl Visitor for Session {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn reauthenticated(&self) -> Option<Timestamp> {
        self.reauthenticated
    }

    fn authn_context(&self) -> Option<&str> {
        self.texts.acr()
    }
}
