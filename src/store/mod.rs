//! Everything kept: sessions, pending logins, one-time claims, behind one contract that every store keeps.

#[cfg(test)]
pub(crate) mod contract;
pub mod logout;
pub mod memory;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;

use crate::access::Assurance;
use crate::clock::Timestamp;
use crate::return_path::ReturnPath;
use crate::session::Session;
use crate::token::HashedToken;

/// The store can't be reached or doesn't work. Never widens access: whoever gets it answers 503.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the session store does not answer: {0}")]
pub struct StoreError(pub String);

/// An answer of the store that may take a while.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

pub use logout::{LogoutMark, NewLogin, PendingLogout};
pub use memory::MemoryStore;

/// How long a login may take, from the click to the IdP's answer: time for a slow second factor or a new password.
pub const PENDING_LIFETIME: Duration = Duration::from_secs(3600);

/// A login that was started and not finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingLogin {
    /// ID of the AuthnRequest.
    pub request_id: String,
    /// The browser that started it: hash of its login cookie.
    pub browser: HashedToken,
    /// The IdP's short name.
    pub idp: String,
    /// RelayState that was sent.
    pub relay_state: String,
    /// Where the user wanted to go.
    pub return_to: ReturnPath,
    /// ForceAuthn was asked for.
    pub force_authn: bool,
    /// IsPassive was asked for.
    pub passive: bool,
    /// What the login must be good enough for.
    pub assurance: Assurance,
    /// A login of the test page: shows what was asserted and makes no session.
    pub test: bool,
    /// The session that the browser had when it began: a new one replaces it. (The session cookie itself doesn't travel with
    /// the IdP's cross-site POST.)
    pub previous: Option<HashedToken>,
    /// When it began.
    pub started: Timestamp,
}

/// What remains of a pending login that was taken, for as long as one is kept: enough to tell a reload of the IdP's POST from
/// an answer nobody asked for, and to send the user on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinishedLogin {
    /// ID of the AuthnRequest.
    pub request_id: String,
    /// The browser that started it: hash of its login cookie.
    pub browser: HashedToken,
    /// The session it led to, if any.
    pub session: Option<HashedToken>,
    /// Where the user wanted to go.
    pub return_to: ReturnPath,
    /// It was a login of the test page.
    pub test: bool,
}

/// A form that was sent to a page without a good enough session, kept so that its sender need not write it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptForm {
    /// Random public id.
    pub id: String,
    /// The browser that sent it: hash of its login cookie.
    pub browser: HashedToken,
    /// Whose session it was sent with, if there was one: the hash of issuer and NameID. Nobody else may see it.
    pub subject: Option<HashedToken>,
    /// The page that it was sent to.
    pub page: ReturnPath,
    /// What was sent, `application/x-www-form-urlencoded`.
    pub octets: Bytes,
}

/// Which sessions are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// The one with this public id.
    Sid(String),
    /// All of a user.
    User(String),
    /// All of a subject of an IdP (entity ID, NameID value).
    Subject(String, String),
}

/// What every store does. `session` is on the hot path and never waits; all others may.
pub trait Store: Send + Sync {
    /// The session under a key, live or not; the caller asks `is_live`.
    ///
    /// # Errors
    /// When the store is away and nothing fresh enough is known.
    fn session(&self, key: &HashedToken) -> Result<Option<Arc<Session>>, StoreError>;

    /// Keeps a new session; ends the user's oldest ones beyond `max_per_user` (0: no limit).
    fn save_session(&self, session: Session, max_per_user: usize, now: Timestamp) -> Answer<'_, Arc<Session>>;

    /// Ends one session; true when there was one.
    fn end_session<'a>(&'a self, key: &'a HashedToken) -> Answer<'a, bool>;

    /// Ends all that are meant; how many.
    fn end_sessions(&self, which: Which) -> Answer<'_, usize>;

    /// Live sessions, at most `limit`.
    fn sessions(&self, limit: usize, now: Timestamp) -> Answer<'_, Vec<Arc<Session>>>;

    /// How many are kept, about.
    fn session_count(&self) -> u64;

    /// Lets go of sessions that have ended by time. A store that does so by itself does nothing.
    fn sweep(&self, now: Timestamp);

    /// Keeps a pending login for [`PENDING_LIFETIME`]; a browser has at most `per_browser`, the oldest go.
    fn save_pending(&self, pending: PendingLogin, per_browser: usize, now: Timestamp) -> Answer<'_, ()>;

    /// A pending login that is not too old.
    fn pending<'a>(&'a self, request_id: &'a str, now: Timestamp) -> Answer<'a, Option<PendingLogin>>;

    /// The pending logins of these browsers that are not too old, the newest last.
    fn pending_in<'a>(&'a self, browsers: &'a [HashedToken], now: Timestamp) -> Answer<'a, Vec<PendingLogin>>;

    /// Takes it: of all who ask, one gets it. In the same step it becomes a [`FinishedLogin`] that names the session it will
    /// lead to, so that whoever comes second finds one or the other; and that session becomes the `previous` one of the browser's
    /// other pending logins, so that the last of several tabs leaves one session and not as many as there are tabs.
    fn take_pending<'a>(
        &'a self,
        request_id: &'a str,
        session: Option<HashedToken>,
        now: Timestamp,
    ) -> Answer<'a, Option<PendingLogin>>;

    /// How many logins are pending, about.
    fn pending_count(&self) -> u64;

    /// A login that was taken in the last [`PENDING_LIFETIME`]; a store short of room may forget it earlier.
    fn finished<'a>(&'a self, request_id: &'a str, now: Timestamp) -> Answer<'a, Option<FinishedLogin>>;

    /// Keeps a logout that began here, for [`PENDING_LIFETIME`]. A store short of room forgets the oldest.
    fn save_pending_logout(&self, pending: PendingLogout, now: Timestamp) -> Answer<'_, ()>;

    /// A logout that began here and that the IdP has not answered.
    fn pending_logout<'a>(&'a self, request_id: &'a str, now: Timestamp) -> Answer<'a, Option<PendingLogout>>;

    /// Takes it: of all who ask, one gets it.
    fn take_pending_logout<'a>(&'a self, request_id: &'a str, now: Timestamp) -> Answer<'a, Option<PendingLogout>>;

    /// Ends all sessions that an IdP's logout concerns, and leaves the mark: how many had not ended. `None`: this very request was
    /// here before, and nothing was done. A failure leaves it undone, so that the IdP may send it again.
    ///
    /// The mark comes first. So whoever saves a session and asks [`Store::is_logged_out`] afterwards finds the mark, or the session
    /// was there to be ended; a login that races with a logout loses in any order. A mark is never forgotten early; a store
    /// without room for it may only refuse more logins than it must.
    fn end_at_idp(&self, mark: LogoutMark, now: Timestamp) -> Answer<'_, Option<usize>>;

    /// Whether a mark refuses a login ([`LogoutMark`] has the rule). To be asked when its session is saved, and before anybody gets
    /// the token of it.
    fn is_logged_out<'a>(&'a self, login: NewLogin<'a>, now: Timestamp) -> Answer<'a, bool>;
    /// Keeps a form for [`PENDING_LIFETIME`]; a store short of room may forget it earlier.
    fn save_form(&self, form: KeptForm, now: Timestamp) -> Answer<'_, ()>;

    /// Takes a form that is not too old and that one of these browsers sent: of all who ask, one gets it.
    fn take_form<'a>(&'a self, id: &'a str, browsers: &'a [HashedToken], now: Timestamp) -> Answer<'a, Option<KeptForm>>;

    /// Claims what may happen once (`issuer` and assertion id, hashed): true for the first, until `until`. A claim is never
    /// forgotten early: a store that has no room for it refuses it.
    fn claim(&self, what: HashedToken, until: Timestamp, now: Timestamp) -> Answer<'_, bool>;

    /// Since when every claim is remembered; `None` for a store that outlives the process. What may have been claimed before that
    /// must not be believed on the strength of a claim alone.
    fn remembers_since(&self) -> Option<Timestamp> {
        None
    }
}
