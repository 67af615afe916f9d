//! What a session is and when it ends. Pure.

mod prepared;
mod shared;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use parking_lot::RwLock;

use crate::access::Visitor;
use crate::clock::Timestamp;
use crate::identity::Identity;
use crate::identity::assertion::MintedAssertion;
use crate::identity::headers::HeaderPlan;
use crate::saml::NameId;
use crate::texts::Texts;
use crate::token::HashedToken;
use shared::Shared;

pub use prepared::Prepared;
pub use shared::KeptOnce;

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
/// There may be very many, most of them idle, so texts lie in few pieces of memory, what sessions have in common is kept once
/// ([`Session::share`]), and what only requests need is made by the first one. Of the others, each reads this struct and what is
/// [`Prepared`], and nothing else that is the session's own.
#[derive(Debug)]
pub struct Session {
    key: HashedToken,
    identity: Identity,
    /// Public id, NameID's value, SessionIndex.
    texts: Texts,
    shared: Arc<Shared>,
    /// Locked for a moment only by whoever has a new one; those who read don't wait for each other.
    prepared: RwLock<Option<Prepared>>,
    auth_time: Timestamp,
    reauthenticated: Moment,
    not_on_or_after: Moment,
    created: Timestamp,
    expires: Timestamp,
    last_seen: AtomicI64,
    ended: AtomicBool,
    used: AtomicBool,
}

/// A point in time or none, in the room of a point in time.
#[derive(Clone, Copy, Debug)]
struct Moment(Timestamp);

impl Moment {
    /// Nothing happens then.
    const NEVER: Timestamp = Timestamp::from_millis(i64::MIN);

    fn new(at: Option<Timestamp>) -> Self {
        Self(at.unwrap_or(Self::NEVER))
    }

    fn get(self) -> Option<Timestamp> {
        Some(self.0).filter(|at| *at != Self::NEVER)
    }
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
            texts: Texts::new(&[Some(&sid), Some(&origin.name_id.value), origin.session_index.as_deref()]),
            shared: Arc::new(Shared::new(&origin, plan, settings.idle_timeout)),
            prepared: RwLock::new(None),
            auth_time: origin.auth_time,
            reauthenticated: Moment::new(origin.reauthenticated),
            not_on_or_after: Moment::new(origin.not_on_or_after),
            created: now,
            expires,
            last_seen: AtomicI64::new(now.millis()),
            ended: AtomicBool::new(false),
            used: AtomicBool::new(false),
        }
    }

    /// Takes what it has in common with others from there. To be called once, by whoever keeps sessions.
    pub fn share(&mut self, kept: &mut KeptOnce) {
        self.shared = kept.share(Arc::clone(&self.shared));
    }

    /// Whether it still counts. Time and revocation only shorten a session; a clock that runs back doesn't revive it.
    pub fn is_live(&self, now: Timestamp) -> bool {
        !self.is_over(now) && now < self.last_seen().plus(self.shared.idle_timeout)
    }

    /// Whether it was ended, or its lifetime has passed; that it wasn't used for a while doesn't count.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.ended.load(Ordering::Acquire) || now >= self.expires
    }

    /// Notes a request. Writes at most once a second, so that workers don't contend for the cache line.
    pub fn touch(&self, now: Timestamp) {
        let before = self.last_seen.load(Ordering::Relaxed);
        if now.millis().saturating_sub(before) >= 1000 {
            self.last_seen.fetch_max(now.millis(), Ordering::Relaxed);
            if now.unix().div_euclid(60) != Timestamp::from_millis(before).unix().div_euclid(60) {
                self.used.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Whether it was touched in a minute that hasn't been asked about: true once for each such minute.
    pub fn take_used(&self) -> bool {
        self.used.load(Ordering::Relaxed) && self.used.swap(false, Ordering::Relaxed)
    }

    /// Ends it, for ever and for all who hold it; true for whoever ends it first.
    pub fn end(&self) -> bool {
        !self.ended.swap(true, Ordering::AcqRel)
    }

    /// About how many octets it takes in memory, with what its first request makes: headers, and an assertion.
    pub fn weight(&self) -> u32 {
        /// What an index and a cache keep beside the session, and an assertion of no values.
        const AROUND: usize = 1536;
        /// So many octets of what is shared don't count.
        const USUALLY_SHARED: usize = 512;
        // Every value stands in the identity, in its header, and in the assertion in base64.
        let values = self.identity.octets().saturating_mul(10) / 3;
        // What is usual is shared by many; an IdP may also say something long that is about one user.
        let shared = self.shared.texts.octets().saturating_sub(USUALLY_SHARED);
        u32::try_from(size_of::<Self>() + AROUND + self.texts.octets() + shared + values).unwrap_or(u32::MAX)
    }

    /// The key under which it is stored.
    pub fn key(&self) -> &HashedToken {
        &self.key
    }
    /// Public id, for logs and the assertion; not a secret.
    pub fn sid(&self) -> &str {
        self.texts.get(0).unwrap_or_default()
    }
    /// The user.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }
    /// The IdP's short name.
    pub fn idp(&self) -> &str {
        self.shared.idp()
    }
    /// The IdP's entity ID and the NameID's value.
    pub fn subject(&self) -> (&str, &str) {
        (self.shared.issuer(), self.name_id())
    }
    /// Where it comes from, put together anew: not for the hot path.
    pub fn origin(&self) -> Origin {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let [format, name_qualifier, sp_name_qualifier] = self.shared.name_id().map(owned);
        Origin {
            idp: self.shared.idp().to_owned(),
            issuer: self.shared.issuer().to_owned(),
            name_id: NameId { value: self.name_id().to_owned(), format, name_qualifier, sp_name_qualifier },
            session_index: owned(self.texts.get(2)),
            auth_time: self.auth_time,
            reauthenticated: self.reauthenticated.get(),
            acr: owned(self.shared.acr()),
            not_on_or_after: self.not_on_or_after.get(),
        }
    }
    /// Has `read` see the header lines that the application is told with every request; false, and nothing is read, when there are
    /// none yet or a new assertion is due.
    pub fn read_prepared(&self, now: Timestamp, read: impl FnOnce(&[u8])) -> bool {
        let prepared = self.prepared.read();
        let fresh = prepared.as_ref().filter(|prepared| prepared.is_fresh(now));
        fresh.map(|prepared| read(prepared.lines())).is_some()
    }
    /// Those lines with an assertion that was just minted.
    pub fn prepare(&self, minted: &MintedAssertion) -> Prepared {
        Prepared::new(&self.shared.plan, &self.identity, minted)
    }
    /// Keeps them for the requests to come.
    pub fn keep(&self, prepared: Prepared) {
        let before = self.prepared.write().replace(prepared);
        drop(before);
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
        self.last_seen().plus(self.shared.idle_timeout).min(self.expires)
    }
    /// The last request.
    pub fn last_seen(&self) -> Timestamp {
        Timestamp::from_millis(self.last_seen.load(Ordering::Relaxed))
    }

    fn name_id(&self) -> &str {
        self.texts.get(1).unwrap_or_default()
    }
}

/// Who asks, for the rules.
impl Visitor for Session {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn reauthenticated(&self) -> Option<Timestamp> {
        self.reauthenticated.get()
    }

    fn authn_context(&self) -> Option<&str> {
        self.shared.acr()
    }
}

#[cfg(test)]
mod tests;
