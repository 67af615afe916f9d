//! A store of which a part doesn't answer.

use std::sync::Arc;

use parking_lot::Mutex;
use samlgate::clock::Timestamp;
use samlgate::session::Session;
use samlgate::store::{
    Answer, FinishedLogin, KeptForm, LogoutMark, NewLogin, PendingLogin, PendingLogout, Store, StoreError, Which,
};
use samlgate::token::HashedToken;

/// What doesn't answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    Nothing,
    EndSession,
    PendingLogouts,
}

/// A store around another one.
pub(crate) struct Flaky {
    inner: Arc<dyn Store>,
    broken: Mutex<Broken>,
}

impl Flaky {
    pub(crate) fn around(inner: Arc<dyn Store>) -> Arc<Self> {
        Arc::new(Self { inner, broken: Mutex::new(Broken::Nothing) })
    }

    /// From now on.
    pub(crate) fn breaks(&self, what: Broken) {
        *self.broken.lock() = what;
    }

    fn unless<'a, T: 'a>(&self, what: Broken, answer: Answer<'a, T>) -> Answer<'a, T> {
        if *self.broken.lock() == what { Box::pin(async { Err(StoreError("down".to_owned())) }) } else { answer }
    }
}

impl Store for Flaky {
    fn session(&self, key: &HashedToken) -> Result<Option<Arc<Session>>, StoreError> {
        self.inner.session(key)
    }
    fn save_session(&self, session: Session, max_per_user: usize, now: Timestamp) -> Answer<'_, Arc<Session>> {
        self.inner.save_session(session, max_per_user, now)
    }
    fn end_session<'a>(&'a self, key: &'a HashedToken) -> Answer<'a, bool> {
        self.unless(Broken::EndSession, self.inner.end_session(key))
    }
    fn end_sessions(&self, which: Which) -> Answer<'_, usize> {
        self.inner.end_sessions(which)
    }
    fn sessions(&self, limit: usize, now: Timestamp) -> Answer<'_, Vec<Arc<Session>>> {
        self.inner.sessions(limit, now)
    }
    fn session_count(&self) -> u64 {
        self.inner.session_count()
    }
    fn sweep(&self, now: Timestamp) {
        self.inner.sweep(now);
    }
    fn save_pending(&self, pending: PendingLogin, per_browser: usize, now: Timestamp) -> Answer<'_, ()> {
        self.inner.save_pending(pending, per_browser, now)
    }
    fn pending<'a>(&'a self, request_id: &'a str, now: Timestamp) -> Answer<'a, Option<PendingLogin>> {
        self.inner.pending(request_id, now)
    }
    fn pending_in<'a>(&'a self, browsers: &'a [HashedToken], now: Timestamp) -> Answer<'a, Vec<PendingLogin>> {
        self.inner.pending_in(browsers, now)
    }
    fn take_pending<'a>(
        &'a self,
        request_id: &'a str,
        session: Option<HashedToken>,
        now: Timestamp,
    ) -> Answer<'a, Option<PendingLogin>> {
        self.inner.take_pending(request_id, session, now)
    }
    fn pending_count(&self) -> u64 {
        self.inner.pending_count()
    }
    fn finished<'a>(&'a self, request_id: &'a str, now: Timestamp) -> Answer<'a, Option<FinishedLogin>> {
        self.inner.finished(request_id, now)
    }
    fn save_pending_logout(&self, pending: PendingLogout, now: Timestamp) -> Answer<'_, ()> {
        self.unless(Broken::PendingLogouts, self.inner.save_pending_logout(pending, now))
    }
    fn pending_logout<'a>(&'a self, request_id: &'a str, now: Timestamp) -> Answer<'a, Option<PendingLogout>> {
        self.unless(Broken::PendingLogouts, self.inner.pending_logout(request_id, now))
    }
    fn take_pending_logout<'a>(&'a self, request_id: &'a str, now: Timestamp) -> Answer<'a, Option<PendingLogout>> {
        self.unless(Broken::PendingLogouts, self.inner.take_pending_logout(request_id, now))
    }
    fn end_at_idp(&self, mark: LogoutMark, now: Timestamp) -> Answer<'_, Option<usize>> {
        self.inner.end_at_idp(mark, now)
    }
    fn is_logged_out<'a>(&'a self, login: NewLogin<'a>, now: Timestamp) -> Answer<'a, bool> {
        self.inner.is_logged_out(login, now)
    }
    fn save_form(&self, form: KeptForm, now: Timestamp) -> Answer<'_, ()> {
        self.inner.save_form(form, now)
    }
    fn take_form<'a>(&'a self, id: &'a str, browsers: &'a [HashedToken], now: Timestamp) -> Answer<'a, Option<KeptForm>> {
        self.inner.take_form(id, browsers, now)
    }
    fn claim(&self, what: HashedToken, until: Timestamp, now: Timestamp) -> Answer<'_, bool> {
        self.inner.claim(what, until, now)
    }
}
