//! Everything kept in this process: lost at a restart, not shared with other replicas, never waits.

mod ageing;
mod claims;
mod index;
mod marks;
mod pending;
mod table;

use std::sync::Arc;

use moka::notification::RemovalCause;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use parking_lot::Mutex;

use super::logout::{LogoutMark, NewLogin, PendingLogout};
use super::{Answer, FinishedLogin, KeptForm, PENDING_LIFETIME, PendingLogin, Store, StoreError, Which};
use crate::clock::Timestamp;
use crate::session::Session;
use crate::token::HashedToken;
use ageing::Ageing;
use claims::Claims;
use index::Index;
use marks::LogoutMarks;
use pending::PendingLogins;
use table::Table;

/// How much a [`MemoryStore`] keeps at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryLimits {
    /// Sessions, in octets as [`Session::weight`] counts them; beyond it the least used end.
    pub sessions: u64,
    /// Pending logins, in octets; beyond it the oldest go. Whoever can reach us can start logins, so this one fills up first.
    pub pending: usize,
    /// Finished logins, in octets; beyond it the oldest are forgotten.
    pub finished: usize,
    /// Logouts that wait for the IdP's answer, in octets; beyond it the oldest are forgotten.
    pub logouts: usize,
    /// Marks of logouts that IdPs have asked for, in octets; beyond it they are merged, and refuse more.
    pub marks: usize,
    /// Kept forms, in octets; beyond it the oldest are forgotten. Whoever can reach us can send one.
    pub forms: usize,
    /// Claims; beyond it new ones are refused.
    pub claims: usize,
}

impl Default for MemoryLimits {
    /// Some 250,000 sessions of the usual size in use, 100,000 pending logins, 1,000,000 claims.
    fn default() -> Self {
        Self {
            sessions: 512 << 20,
            pending: 64 << 20,
            finished: 16 << 20,
            logouts: 8 << 20,
            marks: 16 << 20,
            forms: 16 << 20,
            claims: 1_000_000,
        }
    }
}

/// How many sessions are looked at with every new one, to let go of those that have ended: so at most about an eighth of what is
/// kept is dead, without a task of its own.
const SWEPT_PER_SAVE: usize = 8;

/// The store in memory. Requests find sessions in a table; a moka cache has all of them too and ends the least used first; an index
/// beside it knows whose they are.
///
/// The cache would find sessions as well, but reads and writes many more places in memory for it, some of which all workers share. So
/// it is told about use once per session and minute, at the first lookup after it: what counts is the use before the last.
///
/// The index holds the sessions themselves, not their keys: who ends all sessions of a user also reaches one that is being saved
/// at that moment. The cache is never called while the index or the table is locked, because the cache calls back into both.
pub struct MemoryStore {
    table: Arc<Table>,
    sessions: Cache<HashedToken, Arc<Session>>,
    index: Arc<Mutex<Index>>,
    pending: Mutex<PendingLogins>,
    finished: Mutex<Ageing<FinishedLogin>>,
    logouts: Mutex<Ageing<PendingLogout>>,
    marks: Mutex<LogoutMarks>,
    forms: Mutex<Ageing<KeptForm>>,
    claims: Mutex<Claims>,
    began: Option<Timestamp>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new(limits: MemoryLimits) -> Self {
        let index = Arc::new(Mutex::new(Index::default()));
        let table = Arc::new(Table::new());
        let listening = (Arc::clone(&index), Arc::clone(&table));
        let sessions = Cache::builder()
            .name("sessions")
            .max_capacity(limits.sessions)
            .weigher(|_: &HashedToken, session: &Arc<Session>| session.weight())
            .eviction_policy(EvictionPolicy::lru())
            .eviction_listener(move |_, session: Arc<Session>, cause| {
                if session.end() && cause == RemovalCause::Size {
                    metrics::counter!("samlgate_sessions_evicted_total").increment(1);
                }
                let (index, table) = &listening;
                table.remove(&session);
                index.lock().remove(&session);
            })
            .build();
        Self {
            table,
            sessions,
            index,
            pending: Mutex::new(PendingLogins::new(limits.pending)),
            finished: Mutex::new(Ageing::new(limits.finished, PENDING_LIFETIME)),
            logouts: Mutex::new(Ageing::new(limits.logouts, PENDING_LIFETIME)),
            marks: Mutex::new(LogoutMarks::new(limits.marks)),
            forms: Mutex::new(Ageing::new(limits.forms, PENDING_LIFETIME)),
            claims: Mutex::new(Claims::new(limits.claims)),
            began: None,
        }
    }

    /// An empty store that begins now: what was claimed before is forgotten.
    pub fn beginning(limits: MemoryLimits, now: Timestamp) -> Self {
        Self { began: Some(now), ..Self::new(limits) }
    }

    /// Ends sessions and lets go of them; how many had not ended yet.
    fn drop_sessions(&self, sessions: &[Arc<Session>]) -> usize {
        sessions
            .iter()
            .filter(|session| {
                let first = session.end();
                self.table.remove(session);
                self.sessions.invalidate(session.key());
                first
            })
            .count()
    }

    fn save(&self, mut session: Session, max_per_user: usize, now: Timestamp) -> Arc<Session> {
        let (session, surplus) = {
            let mut index = self.index.lock();
            index.share(&mut session);
            let session = Arc::new(session);
            let surplus = index.surplus(session.identity().user(), max_per_user, now);
            index.add(&session);
            (session, surplus)
        };
        self.drop_sessions(&surplus);
        self.table.insert(&session);
        self.sessions.insert(*session.key(), Arc::clone(&session));
        if !session.is_live(now) {
            // Ended between the index and the others: it must not stay.
            self.table.remove(&session);
            self.sessions.invalidate(session.key());
        }
        let dead = self.index.lock().next_dead(SWEPT_PER_SAVE, now);
        self.drop_sessions(&dead);
        session
    }
}

impl Store for MemoryStore {
    fn session(&self, key: &HashedToken) -> Result<Option<Arc<Session>>, StoreError> {
        let session = self.table.get(key);
        if session.as_ref().is_some_and(|session| session.take_used()) {
            self.sessions.get(key);
        }
        Ok(session)
    }

    fn save_session(&self, session: Session, max_per_user: usize, now: Timestamp) -> Answer<'_, Arc<Session>> {
        Box::pin(async move { Ok(self.save(session, max_per_user, now)) })
    }

    fn end_session<'a>(&'a self, key: &'a HashedToken) -> Answer<'a, bool> {
        Box::pin(async move { Ok(self.table.get(key).is_some_and(|session| self.drop_sessions(&[session]) > 0)) })
    }

    fn end_sessions(&self, which: Which) -> Answer<'_, usize> {
        Box::pin(async move {
            let found = self.index.lock().find(&which);
            Ok(self.drop_sessions(&found))
        })
    }

    fn sessions(&self, limit: usize, now: Timestamp) -> Answer<'_, Vec<Arc<Session>>> {
        Box::pin(async move { Ok(self.index.lock().live(limit, now)) })
    }

    fn session_count(&self) -> u64 {
        self.index.lock().len() as u64
    }

    fn sweep(&self, now: Timestamp) {
        const CHUNK: usize = 4096;
        let mut left = self.index.lock().slots();
        while left > 0 {
            let dead = self.index.lock().next_dead(CHUNK, now);
            self.drop_sessions(&dead);
            left = left.saturating_sub(CHUNK);
        }
        self.sessions.run_pending_tasks();
    }

    fn save_pending(&self, pending: PendingLogin, per_browser: usize, now: Timestamp) -> Answer<'_, ()> {
        Box::pin(async move {
            self.pending.lock().insert(pending, per_browser, now);
            Ok(())
        })
    }

    fn pending<'a>(&'a self, request_id: &'a str, now: Timestamp) -> Answer<'a, Option<PendingLogin>> {
        Box::pin(async move { Ok(self.pending.lock().get(request_id, now).cloned()) })
    }

    fn pending_in<'a>(&'a self, browsers: &'a [HashedToken], now: Timestamp) -> Answer<'a, Vec<PendingLogin>> {
        Box::pin(async move {
            let pending = self.pending.lock();
            Ok(browsers.iter().flat_map(|browser| pending.of(browser, now)).cloned().collect())
        })
    }

    fn take_pending<'a>(
        &'a self,
        request_id: &'a str,
        session: Option<HashedToken>,
        now: Timestamp,
    ) -> Answer<'a, Option<PendingLogin>> {
        Box::pin(async move {
            let mut pending = self.pending.lock();
            let Some(taken) = pending.take(request_id, session, now) else { return Ok(None) };
            let finished = FinishedLogin {
                request_id: taken.request_id.clone(),
                browser: taken.browser,
                session,
                return_to: taken.return_to.clone(),
                test: taken.test,
            };
            let weight = size_of::<FinishedLogin>() + finished.request_id.len() + finished.return_to.as_str().len();
            self.finished.lock().insert(finished.request_id.clone(), finished, weight, now);
            Ok(Some(taken))
        })
    }

    fn pending_count(&self) -> u64 {
        self.pending.lock().len() as u64
    }

    fn finished<'a>(&'a self, request_id: &'a str, now: Timestamp) -> Answer<'a, Option<FinishedLogin>> {
        Box::pin(async move { Ok(self.finished.lock().get(request_id, now).cloned()) })
    }

    fn save_pending_logout(&self, pending: PendingLogout, now: Timestamp) -> Answer<'_, ()> {
        Box::pin(async move {
            let weight =
                size_of::<PendingLogout>() + pending.request_id.len() + pending.idp.len() + pending.return_to.as_str().len();
            self.logouts.lock().insert(pending.request_id.clone(), pending, weight, now);
            Ok(())
        })
    }

    fn save_form(&self, form: KeptForm, now: Timestamp) -> Answer<'_, ()> {
        Box::pin(async move {
            let weight = size_of::<KeptForm>() + form.id.len() + form.page.as_str().len() + form.octets.len();
            self.forms.lock().insert(form.id.clone(), form, weight, now);
            Ok(())
        })
    }

    fn pending_logout<'a>(&'a self, request_id: &'a str, now: Timestamp) -> Answer<'a, Option<PendingLogout>> {
        Box::pin(async move { Ok(self.logouts.lock().get(request_id, now).cloned()) })
    }

    fn take_pending_logout<'a>(&'a self, request_id: &'a str, now: Timestamp) -> Answer<'a, Option<PendingLogout>> {
        Box::pin(async move {
            let mut logouts = self.logouts.lock();
            let there = logouts.get(request_id, now).is_some();
            Ok(logouts.remove(request_id).filter(|_| there))
        })
    }

    fn end_at_idp(&self, mark: LogoutMark, now: Timestamp) -> Answer<'_, Option<usize>> {
        Box::pin(async move {
            let scope = mark.scope.clone();
            if !self.marks.lock().keep(mark, now) {
                return Ok(None);
            }
            let subject = Which::Subject(scope.issuer.clone(), scope.name_id.value.clone());
            let mut found = self.index.lock().find(&subject);
            found.retain(|session| {
                let origin = session.origin();
                scope.concerns(&origin.name_id, origin.session_index.as_deref())
            });
            Ok(Some(self.drop_sessions(&found)))
        })
    }

    fn is_logged_out<'a>(&'a self, login: NewLogin<'a>, now: Timestamp) -> Answer<'a, bool> {
        Box::pin(async move { Ok(self.marks.lock().refuse(&login, now)) })
    }

    fn take_form<'a>(&'a self, id: &'a str, browsers: &'a [HashedToken], now: Timestamp) -> Answer<'a, Option<KeptForm>> {
        Box::pin(async move {
            let mut forms = self.forms.lock();
            let own = forms.get(id, now).is_some_and(|form| browsers.contains(&form.browser));
            Ok(if own { forms.remove(id) } else { None })
        })
    }

    fn claim(&self, what: HashedToken, until: Timestamp, now: Timestamp) -> Answer<'_, bool> {
        Box::pin(async move { self.claims.lock().claim(what, until, now) })
    }

    fn remembers_since(&self) -> Option<Timestamp> {
        self.began
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::assertion::MintedAssertion;
    use crate::store::contract::{self, at, session_of};

    fn store(limits: MemoryLimits) -> MemoryStore {
        MemoryStore::new(limits)
    }

    #[tokio::test]
    async fn forms_have_a_bound_and_the_oldest_go() {
        let store = store(MemoryLimits { forms: 100_000, ..MemoryLimits::default() });
        for n in 0..20 {
            store.save_form(contract::form_of(n, 40_000), at(0)).await.unwrap();
        }
        let browsers = [contract::form_of(0, 0).browser];
        let mut there = Vec::new();
        for n in 0..20 {
            if store.take_form(&format!("form{n}"), &browsers, at(1)).await.unwrap().is_some() {
                there.push(n);
            }
        }
        assert_eq!(there, [18, 19]);
        store.save_form(contract::form_of(20, 200_000), at(1)).await.unwrap();
        assert!(store.take_form("form20", &browsers, at(1)).await.unwrap().is_none(), "larger than all the room there is");
    }

    #[tokio::test]
    async fn keeps_the_contract() {
        contract::check(|| Arc::new(store(MemoryLimits::default()))).await;
    }

    #[tokio::test]
    async fn beyond_its_memory_the_least_used_session_ends() {
        let one = u64::from(session_of("u", 0).weight());
        let store = store(MemoryLimits { sessions: one * 10 + one / 2, ..MemoryLimits::default() });
        let mut kept = Vec::new();
        for n in 0..10 {
            kept.push(store.save_session(session_of("u", n), 0, at(0)).await.unwrap());
            store.sessions.run_pending_tasks();
        }
        // Number 0 is used, so that number 1 is the least used one.
        kept[0].touch(at(60));
        assert!(store.session(kept[0].key()).unwrap().is_some());
        store.sessions.run_pending_tasks();
        store.save_session(session_of("u", 10), 0, at(0)).await.unwrap();
        store.sessions.run_pending_tasks();
        assert!(kept[0].is_live(at(0)));
        assert!(!kept[1].is_live(at(0)), "whoever still holds the evicted session sees that it ended");
        assert_eq!(store.session(kept[1].key()).unwrap().map(|s| s.sid().to_owned()), None);
        assert_eq!(store.session_count(), 10, "the index forgets it too");
    }

    #[tokio::test]
    async fn new_sessions_push_out_those_that_time_has_ended() {
        let store = store(MemoryLimits::default());
        for n in 0..100 {
            store.save_session(session_of("u", n), 0, at(0)).await.unwrap();
        }
        let next_day = at(86_400);
        for n in 100..120 {
            store.save_session(contract::session_at("u", n, next_day), 0, next_day).await.unwrap();
        }
        assert!(store.session_count() < 30, "{} are left", store.session_count());
        assert_eq!(store.sessions(1000, next_day).await.unwrap().len(), 20);
        store.sweep(next_day);
        assert_eq!(store.session_count(), 20);
    }

    #[tokio::test]
    async fn a_full_memory_of_claims_refuses_instead_of_forgetting() {
        let store = store(MemoryLimits { claims: 2, ..MemoryLimits::default() });
        let what = |n: u8| HashedToken::of(&n.to_string());
        assert_eq!(store.claim(what(1), at(100), at(0)).await, Ok(true));
        assert_eq!(store.claim(what(2), at(200), at(0)).await, Ok(true));
        assert!(store.claim(what(3), at(300), at(0)).await.is_err());
        assert_eq!(store.claim(what(1), at(100), at(0)).await, Ok(false));
        assert_eq!(store.claim(what(3), at(300), at(100)).await, Ok(true), "the first has run out");
    }

    #[tokio::test]
    async fn beyond_its_memory_the_oldest_pending_login_goes() {
        let store = store(MemoryLimits { pending: 4096, ..MemoryLimits::default() });
        for n in 0..100 {
            store.save_pending(contract::pending_of(n, n), 5, at(0)).await.unwrap();
        }
        assert!(store.pending_count() < 20);
        assert_eq!(store.pending("_0", at(0)).await.unwrap(), None);
        assert!(store.pending("_99", at(0)).await.unwrap().is_some());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn of_many_at_once_one_takes_and_one_claims() {
        let store = Arc::new(store(MemoryLimits::default()));
        for round in 0..50 {
            store.save_pending(contract::pending_of(round, round), 5, at(0)).await.unwrap();
            let tasks: Vec<_> = (0..8)
                .map(|_| {
                    let store = Arc::clone(&store);
                    tokio::spawn(async move {
                        let taken = store.take_pending(&format!("_{round}"), None, at(1)).await.unwrap().is_some();
                        let claimed = store.claim(HashedToken::of(&round.to_string()), at(99), at(1)).await.unwrap();
                        (usize::from(taken), usize::from(claimed))
                    })
                })
                .collect();
            let mut sums = (0, 0);
            for task in tasks {
                let (taken, claimed) = task.await.unwrap();
                sums = (sums.0 + taken, sums.1 + claimed);
            }
            assert_eq!(sums, (1, 1));
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn of_a_login_and_a_logout_at_once_the_logout_wins() {
        let store = Arc::new(store(MemoryLimits::default()));
        for round in 0..200 {
            let user = format!("u{round}");
            let (own, name) = (Arc::clone(&store), user.clone());
            let login = tokio::spawn(async move {
                let session = own.save_session(session_of(&name, round), 0, at(0)).await.unwrap();
                let issued = contract::login_of(&format!("name-{name}")).at(at(0));
                (session, own.is_logged_out(issued.login(), at(0)).await.unwrap())
            });
            let (own, mark) = (Arc::clone(&store), contract::mark_of(&format!("_{round}"), &user, &[], at(0)));
            let logout = tokio::spawn(async move { own.end_at_idp(mark, at(0)).await.unwrap() });
            let (session, refused) = login.await.unwrap();
            logout.await.unwrap();
            assert!(refused || !session.is_live(at(0)), "round {round}");
        }
    }

    /// Measures resident memory, so it needs a process for itself: the next test starts one.
    #[tokio::test]
    #[ignore = "run by `a_session_takes_little_memory`"]
    async fn resident_memory_of_a_session() {
        fn resident() -> usize {
            let text = std::fs::read_to_string("/proc/self/statm").unwrap();
            text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
        }
        const COUNT: u32 = 50_000;
        let store = store(MemoryLimits { sessions: 4 << 30, ..MemoryLimits::default() });
        let user = |n: u32| format!("user{n}@example.com");
        let before = resident();
        for n in 0..COUNT {
            store.save_session(session_of(&user(n), n), 0, at(0)).await.unwrap();
        }
        store.sessions.run_pending_tasks();
        let idle = (resident() - before) / COUNT as usize;
        for n in 0..COUNT {
            let session = store.session(session_of(&user(n), n).key()).unwrap().unwrap();
            // As long as one of the usual size.
            let header = http::HeaderValue::try_from("e".repeat(880)).unwrap();
            session.keep(session.prepare(&MintedAssertion { header, renew_at: at(30) }));
        }
        let used = (resident() - before) / COUNT as usize;
        let weight = session_of(&user(1), 1).weight();
        println!("{idle} octets each without traffic, {used} in use; weighed as {weight}");
        assert_eq!(store.session_count(), u64::from(COUNT));
        assert!((500..1024).contains(&idle) && (1500..2048).contains(&used), "{idle} without traffic, {used} in use");
        assert!((used..2 * used).contains(&(weight as usize)), "weighed as {weight}, but {used} in use");
    }

    #[test]
    fn a_session_takes_little_memory() {
        let measure = "store::memory::tests::resident_memory_of_a_session";
        let own = std::env::current_exe().unwrap();
        let output = std::process::Command::new(own).args(["--ignored", "--nocapture", "--exact", measure]).output().unwrap();
        let told = [output.stdout, output.stderr].map(|octets| String::from_utf8_lossy(&octets).into_owned()).concat();
        assert!(output.status.success() && told.contains("1 passed"), "{told}");
    }
}
