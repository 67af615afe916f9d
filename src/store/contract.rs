//! What every store must do, as tests that each of them runs, and what the tests are made of.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use http::HeaderName;

use super::{FinishedLogin, KeptForm, LogoutMark, NewLogin, PENDING_LIFETIME, PendingLogin, PendingLogout, Store, Which};
use crate::access::Assurance;
use crate::clock::Timestamp;
use crate::identity::Identity;
use crate::identity::headers::{HeaderPlan, HeaderSettings};
use crate::return_path::ReturnPath;
use crate::saml::NameId;
use crate::saml::logout::LogoutScope;
use crate::session::{Origin, Session, SessionSettings};
use crate::token::HashedToken;

/// Seconds after the tests' beginning.
pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_unix(1_772_000_000 + second)
}

/// The n-th session, one hour idle, twelve in all.
pub(crate) fn session_of(user: &str, n: u32) -> Session {
    session_at(user, n, at(0))
}

/// The same, begun at another time.
pub(crate) fn session_at(user: &str, n: u32, now: Timestamp) -> Session {
    let origin = Origin {
        idp: "corp".into(),
        issuer: "https://idp.example.com/metadata".into(),
        name_id: NameId {
            value: format!("name-{user}"),
            format: Some("urn:oasis:names:tc:SAML:2.0:nameid-format:persistent".into()),
            name_qualifier: None,
            sp_name_qualifier: None,
        },
        session_index: Some(format!("_index{n}")),
        auth_time: now,
        reauthenticated: None,
        acr: Some("urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport".into()),
        not_on_or_after: None,
    };
    let settings =
        SessionSettings { idle_timeout: Duration::from_secs(3600), lifetime: Duration::from_secs(12 * 3600), max_per_user: 0 };
    let key = HashedToken::of(&format!("session {n}"));
    Session::new(
        key,
        format!("sid{n}"),
        Identity::with_contact(user, Some("viewer"), &["staff", "web"], &format!("{user}@example.com"), "Some One"),
        origin,
        plan(),
        &settings,
        now,
    )
}

/// The headers that everybody has.
fn plan() -> Arc<HeaderPlan> {
    static PLAN: LazyLock<Arc<HeaderPlan>> = LazyLock::new(|| {
        let name = |name| Some(HeaderName::from_static(name));
        Arc::new(HeaderPlan::new(HeaderSettings {
            user: name("x-user"),
            email: name("x-email"),
            name: name("x-name"),
            tenant: None,
            role: name("x-role"),
            groups: name("x-groups"),
            extra: BTreeMap::new(),
            separator: ",".to_owned(),
            value_maps: BTreeMap::new(),
            assertion: HeaderName::from_static("x-samlgate-assertion"),
            strip: Vec::new(),
        }))
    });
    Arc::clone(&PLAN)
}

/// The n-th pending login, of a numbered browser.
pub(crate) fn pending_of(n: u32, browser: u32) -> PendingLogin {
    PendingLogin {
        request_id: format!("_{n}"),
        browser: HashedToken::of(&format!("browser {browser}")),
        idp: "corp".into(),
        relay_state: "state".into(),
        return_to: ReturnPath::root(),
        force_authn: false,
        passive: false,
        assurance: Assurance::default(),
        test: false,
        previous: None,
        started: at(0),
    }
}

/// The IdP of [`session_at`].
const ISSUER: &str = "https://idp.example.com/metadata";

fn persistent(name: &str) -> NameId {
    NameId {
        value: name.to_owned(),
        format: Some("urn:oasis:names:tc:SAML:2.0:nameid-format:persistent".into()),
        name_qualifier: None,
        sp_name_qualifier: None,
    }
}

/// A logout of a user of [`session_at`], or of some of its sessions, with assertions accepted for five minutes and clocks a minute off.
pub(crate) fn mark_of(request_id: &str, user: &str, session_indexes: &[&str], issued: Timestamp) -> LogoutMark {
    let scope = LogoutScope {
        issuer: ISSUER.to_owned(),
        name_id: persistent(&format!("name-{user}")),
        session_indexes: session_indexes.iter().map(|&index| index.to_owned()).collect(),
    };
    LogoutMark::new(request_id, &scope, issued, Duration::from_secs(300), Duration::from_secs(60))
}

/// A login that is about to begin, as [`session_at`]'s.
pub(crate) struct Login {
    issuer: &'static str,
    name_id: NameId,
    session_index: Option<&'static str>,
    issued: Timestamp,
}

/// By a NameID, with SessionIndex `_index1`, issued at the beginning.
pub(crate) fn login_of(name_id: &str) -> Login {
    Login { issuer: ISSUER, name_id: persistent(name_id), session_index: Some("_index1"), issued: at(0) }
}

impl Login {
    pub(crate) fn from(self, issuer: &'static str) -> Self {
        Self { issuer, ..self }
    }

    pub(crate) fn index(self, session_index: Option<&'static str>) -> Self {
        Self { session_index, ..self }
    }

    pub(crate) fn at(self, issued: Timestamp) -> Self {
        Self { issued, ..self }
    }

    pub(crate) fn login(&self) -> NewLogin<'_> {
        let Self { issuer, name_id, session_index, issued } = self;
        NewLogin { issuer, name_id, session_index: *session_index, issued: *issued }
    }
}

/// The n-th kept form, of so many octets.
pub(crate) fn form_of(n: u32, octets: usize) -> KeptForm {
    KeptForm {
        id: format!("form{n}"),
        browser: HashedToken::of("browser 1"),
        subject: None,
        page: ReturnPath::root(),
        octets: vec![b'x'; octets].into(),
    }
}

/// Everything that a store must do. `new` makes an empty one.
pub(crate) async fn check(new: impl Fn() -> Arc<dyn Store>) {
    sessions_are_found_and_ended(&*new()).await;
    all_sessions_that_are_meant_end(&*new()).await;
    a_user_has_so_many_sessions(&*new()).await;
    live_sessions_are_listed(&*new()).await;
    pending_logins_are_taken_once(&*new()).await;
    pending_logins_end_after_an_hour(&*new()).await;
    a_browser_has_so_many_pending_logins(&*new()).await;
    a_login_is_followed_by_the_browsers_others(&*new()).await;
    finished_logins_are_remembered(&*new()).await;
    pending_logouts_are_taken_once(&*new()).await;
    a_logout_at_the_idp_ends_what_it_concerns_once(&*new()).await;
    a_login_from_before_a_logout_is_over(&*new()).await;
    kept_forms_are_taken_once_by_their_browser(&*new()).await;
    claims_hold(&*new()).await;
}

async fn kept_forms_are_taken_once_by_their_browser(store: &dyn Store) {
    let (form, other) = (form_of(1, 100), HashedToken::of("browser 2"));
    store.save_form(form.clone(), at(0)).await.unwrap();
    assert_eq!(store.take_form("form1", &[other], at(1)).await.unwrap(), None);
    assert_eq!(store.take_form("form1", &[], at(1)).await.unwrap(), None);
    assert_eq!(store.take_form("form2", &[form.browser], at(1)).await.unwrap(), None);
    assert_eq!(store.take_form("form1", &[other, form.browser], at(1)).await.unwrap(), Some(form.clone()));
    assert_eq!(store.take_form("form1", &[form.browser], at(1)).await.unwrap(), None);
    store.save_form(form.clone(), at(10)).await.unwrap();
    assert_eq!(store.take_form("form1", &[form.browser], at(10 + 3600)).await.unwrap(), None, "it ends with the login");
}

async fn sessions_are_found_and_ended(store: &dyn Store) {
    let key = *session_of("u", 1).key();
    assert!(store.session(&key).unwrap().is_none());
    let saved = store.save_session(session_of("u", 1), 0, at(0)).await.unwrap();
    let found = store.session(&key).unwrap().unwrap();
    assert_eq!(found.sid(), "sid1");
    assert_eq!(found.identity(), saved.identity());
    assert!(store.end_session(&key).await.unwrap());
    assert!(store.session(&key).unwrap().is_none_or(|session| !session.is_live(at(0))));
    assert!(!saved.is_live(at(0)) && !found.is_live(at(0)), "whoever holds it sees that it ended");
    assert!(!store.end_session(&key).await.unwrap());
}

async fn all_sessions_that_are_meant_end(store: &dyn Store) {
    for (n, user) in ["a", "a", "b", "A", "c"].into_iter().enumerate() {
        store.save_session(session_of(user, u32::try_from(n).unwrap()), 0, at(0)).await.unwrap();
    }
    let live = |n: u32| store.session(session_of("", n).key()).unwrap().is_some_and(|session| session.is_live(at(1)));
    assert_eq!(store.end_sessions(Which::User("a".into())).await.unwrap(), 2);
    assert_eq!([live(0), live(1), live(2), live(3), live(4)], [false, false, true, true, true]);
    assert_eq!(store.end_sessions(Which::User("a".into())).await.unwrap(), 0);
    assert_eq!(store.end_sessions(Which::Sid("sid2".into())).await.unwrap(), 1);
    let subject = |issuer: &str, name: &str| Which::Subject(issuer.into(), name.into());
    assert_eq!(store.end_sessions(subject("https://other.example.com/", "name-c")).await.unwrap(), 0);
    assert_eq!(store.end_sessions(subject("https://idp.example.com/metadata", "name-c")).await.unwrap(), 1);
    assert_eq!([live(2), live(3), live(4)], [false, true, false]);
}

async fn a_user_has_so_many_sessions(store: &dyn Store) {
    for n in 0..4 {
        store.save_session(session_at("u", n, at(i64::from(n))), 2, at(i64::from(n))).await.unwrap();
    }
    store.save_session(session_of("other", 9), 2, at(4)).await.unwrap();
    let live = |n: u32| store.session(session_of("", n).key()).unwrap().is_some_and(|session| session.is_live(at(4)));
    assert_eq!([live(0), live(1), live(2), live(3), live(9)], [false, false, true, true, true]);
}

async fn live_sessions_are_listed(store: &dyn Store) {
    for n in 0..3 {
        store.save_session(session_of("u", n), 0, at(0)).await.unwrap();
    }
    store.end_sessions(Which::Sid("sid1".into())).await.unwrap();
    let mut sids: Vec<_> = store.sessions(10, at(1)).await.unwrap().iter().map(|s| s.sid().to_owned()).collect();
    sids.sort();
    assert_eq!(sids, ["sid0", "sid2"]);
    assert_eq!(store.sessions(1, at(1)).await.unwrap().len(), 1);
    assert_eq!(store.session_count(), 2);
    assert!(store.sessions(10, at(7200)).await.unwrap().is_empty(), "idle for too long");
    store.sweep(at(7200));
    assert_eq!(store.session_count(), 0);
}

async fn pending_logins_are_taken_once(store: &dyn Store) {
    store.save_pending(pending_of(1, 1), 5, at(0)).await.unwrap();
    assert_eq!(store.pending_count(), 1);
    assert_eq!(store.pending("_1", at(1)).await.unwrap(), Some(pending_of(1, 1)));
    assert_eq!(store.pending("_2", at(1)).await.unwrap(), None);
    assert_eq!(store.take_pending("_1", None, at(1)).await.unwrap(), Some(pending_of(1, 1)));
    assert_eq!(store.take_pending("_1", None, at(1)).await.unwrap(), None);
    assert_eq!(store.pending("_1", at(1)).await.unwrap(), None);
}

async fn pending_logins_end_after_an_hour(store: &dyn Store) {
    assert_eq!(PENDING_LIFETIME, Duration::from_secs(3600));
    store.save_pending(pending_of(1, 1), 5, at(0)).await.unwrap();
    assert!(store.pending("_1", at(3599)).await.unwrap().is_some());
    assert_eq!(store.pending("_1", at(3600)).await.unwrap(), None);
    assert_eq!(store.take_pending("_1", None, at(3600)).await.unwrap(), None);
}

async fn a_browser_has_so_many_pending_logins(store: &dyn Store) {
    for n in 0..7 {
        store.save_pending(pending_of(n, 1), 5, at(i64::from(n))).await.unwrap();
    }
    store.save_pending(pending_of(7, 2), 5, at(7)).await.unwrap();
    for n in 0..8 {
        let there = store.pending(&format!("_{n}"), at(8)).await.unwrap().is_some();
        assert_eq!(there, n >= 2, "{n}");
    }
    let of = async |browsers: &[u32], now| {
        let browsers: Vec<_> = browsers.iter().map(|browser| pending_of(0, *browser).browser).collect();
        let found = store.pending_in(&browsers, at(now)).await.unwrap();
        found.into_iter().map(|pending| pending.request_id).collect::<Vec<_>>()
    };
    assert_eq!(of(&[1], 8).await, ["_2", "_3", "_4", "_5", "_6"], "the newest last");
    assert_eq!(of(&[2, 9], 8).await, ["_7"]);
    assert!(of(&[], 8).await.is_empty());
    assert_eq!(of(&[1, 2], 3605).await, ["_6", "_7"], "those that are not too old");
}

async fn a_login_is_followed_by_the_browsers_others(store: &dyn Store) {
    for (n, browser) in [(1, 1), (2, 1), (3, 2), (4, 1)] {
        store.save_pending(pending_of(n, browser), 5, at(0)).await.unwrap();
    }
    let first = Some(HashedToken::of("first"));
    store.take_pending("_1", first, at(1)).await.unwrap();
    store.take_pending("_4", None, at(1)).await.unwrap();
    let previous = |login: Option<PendingLogin>| login.unwrap().previous;
    assert_eq!(previous(store.pending("_2", at(1)).await.unwrap()), first, "that session is what the second one replaces");
    assert_eq!(previous(store.pending("_3", at(1)).await.unwrap()), None, "another browser");
}

async fn finished_logins_are_remembered(store: &dyn Store) {
    let pending = pending_of(1, 1);
    let session = Some(HashedToken::of("session"));
    store.save_pending(pending.clone(), 5, at(0)).await.unwrap();
    assert_eq!(store.finished("_1", at(0)).await.unwrap(), None);
    assert!(store.take_pending("_1", session, at(0)).await.unwrap().is_some());
    assert!(store.take_pending("_1", None, at(0)).await.unwrap().is_none());
    let PendingLogin { request_id, browser, return_to, test, .. } = pending;
    let finished = FinishedLogin { request_id, browser, session, return_to, test };
    assert_eq!(store.finished("_1", at(3599)).await.unwrap(), Some(finished), "the second one changes nothing");
    assert_eq!(store.finished("_2", at(1)).await.unwrap(), None);
    assert_eq!(store.finished("_1", at(3600)).await.unwrap(), None);
}

async fn pending_logouts_are_taken_once(store: &dyn Store) {
    let pending = PendingLogout { request_id: "_1".into(), idp: "corp".into(), return_to: ReturnPath::root() };
    store.save_pending_logout(pending.clone(), at(0)).await.unwrap();
    assert_eq!(store.pending_logout("_1", at(3599)).await.unwrap(), Some(pending.clone()));
    assert_eq!(store.pending_logout("_2", at(1)).await.unwrap(), None);
    assert_eq!(store.take_pending_logout("_1", at(1)).await.unwrap(), Some(pending.clone()));
    assert_eq!(store.take_pending_logout("_1", at(1)).await.unwrap(), None);
    assert_eq!(store.pending_logout("_1", at(1)).await.unwrap(), None);
    store.save_pending_logout(pending, at(0)).await.unwrap();
    assert_eq!(store.pending_logout("_1", at(3600)).await.unwrap(), None);
    assert_eq!(store.take_pending_logout("_1", at(3600)).await.unwrap(), None);
}

async fn a_logout_at_the_idp_ends_what_it_concerns_once(store: &dyn Store) {
    for (n, user) in ["a", "a", "a", "b"].into_iter().enumerate() {
        store.save_session(session_of(user, u32::try_from(n).unwrap()), 0, at(0)).await.unwrap();
    }
    let live = |n: u32| store.session(session_of("", n).key()).unwrap().is_some_and(|session| session.is_live(at(1)));
    let mut other = mark_of("_0", "a", &[], at(1));
    other.scope.issuer = "https://other.example.com/".into();
    assert_eq!(store.end_at_idp(other, at(1)).await.unwrap(), Some(0), "another IdP's");
    assert_eq!(store.end_at_idp(mark_of("_1", "a", &["_index7", "_index1"], at(1)), at(1)).await.unwrap(), Some(1));
    assert_eq!([live(0), live(1), live(2), live(3)], [true, false, true, true]);
    assert_eq!(store.end_at_idp(mark_of("_2", "a", &[], at(1)), at(1)).await.unwrap(), Some(2));
    assert_eq!([live(0), live(2), live(3)], [false, false, true]);
    assert_eq!(store.end_at_idp(mark_of("_3", "a", &[], at(1)), at(1)).await.unwrap(), Some(0), "nobody is left");
    // The user comes back, and somebody sends what they have recorded.
    store.save_session(session_of("a", 4), 0, at(2)).await.unwrap();
    assert_eq!(store.end_at_idp(mark_of("_2", "a", &[], at(1)), at(3)).await.unwrap(), None);
    assert!(live(4));
}

async fn a_login_from_before_a_logout_is_over(store: &dyn Store) {
    store.end_at_idp(mark_of("_1", "one", &["_index1", "_index2"], at(100)), at(100)).await.unwrap();
    store.end_at_idp(mark_of("_2", "all", &[], at(100)), at(100)).await.unwrap();
    let over = async |login: Login, now: i64| store.is_logged_out(login.login(), at(now)).await.unwrap();
    let in_the_same_second = at(100).plus(Duration::from_millis(900));
    for user in ["name-one", "name-all"] {
        assert!(over(login_of(user).at(at(99)), 101).await, "{user}");
        assert!(over(login_of(user).at(in_the_same_second), 101).await, "{user}");
        assert!(over(login_of(user).index(None).at(at(99)), 101).await, "{user}: it may be either");
        assert!(!over(login_of(user).at(at(101)), 101).await, "{user}: came back at once");
        assert!(!over(login_of(user).at(at(101)), 99).await, "{user}: our clock is behind");
        assert!(!over(login_of(user).from("https://other.example.com/").at(at(99)), 101).await, "{user}");
        // Accepted for five minutes and a minute more, by a replica whose clock is a minute behind.
        assert!(over(login_of(user).at(at(100)), 100 + 300 + 60 + 60).await, "{user}");
        assert!(!over(login_of(user).at(at(100)), 100 + 300 + 60 + 61).await, "{user}: nothing is kept for ever");
    }
    assert!(!over(login_of("name-one").index(Some("_index3")).at(at(99)), 101).await, "another session at the IdP");
    assert!(over(login_of("name-all").index(Some("_index3")).at(at(99)), 101).await);
    assert!(!over(login_of("name-other").at(at(99)), 101).await);
}

async fn claims_hold(store: &dyn Store) {
    let (one, two) = (HashedToken::of("1"), HashedToken::of("2"));
    assert!(store.claim(one, at(300), at(0)).await.unwrap());
    assert!(!store.claim(one, at(300), at(1)).await.unwrap());
    assert!(store.claim(two, at(300), at(1)).await.unwrap());
    assert!(!store.claim(one, at(900), at(299)).await.unwrap());
    assert!(store.claim(one, at(900), at(300)).await.unwrap(), "its time is over");
}
