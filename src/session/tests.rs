use http::{HeaderName, HeaderValue};

use super::*;
use crate::identity::headers::HeaderSettings;

pub(super) fn plan() -> Arc<HeaderPlan> {
    Arc::new(HeaderPlan::new(HeaderSettings {
        user: Some(HeaderName::from_static("x-user")),
        email: None,
        name: None,
        tenant: None,
        role: None,
        groups: None,
        extra: Default::default(),
        separator: ",".to_owned(),
        value_maps: Default::default(),
        assertion: HeaderName::from_static("x-samlgate-assertion"),
        strip: Vec::new(),
    }))
}

pub(super) fn origin() -> Origin {
    let some = |text: &str| Some(text.to_owned());
    Origin {
        idp: "corp".into(),
        issuer: "https://idp.example/\u{e4}".into(),
        name_id: NameId {
            value: "alice\u{1F600}".into(),
            format: some("urn:f"),
            name_qualifier: some("nq"),
            sp_name_qualifier: some("sp"),
        },
        session_index: some("_1"),
        auth_time: Timestamp::from_unix(5),
        reauthenticated: Some(Timestamp::from_unix(7)),
        acr: some("urn:acr"),
        not_on_or_after: Some(Timestamp::from_unix(9)),
    }
}

fn session(origin: Origin) -> Session {
    let settings =
        SessionSettings { idle_timeout: Duration::from_secs(3600), lifetime: Duration::from_secs(43_200), max_per_user: 0 };
    let identity = Identity::for_tests("alice", None, &[]);
    Session::new(HashedToken::of("t"), "sid1".into(), identity, origin, plan(), &settings, Timestamp::from_unix(0))
}

#[test]
fn where_it_comes_from_is_kept_whole() {
    let mut other = origin();
    (other.name_id.format, other.name_id.sp_name_qualifier, other.session_index) = (None, None, None);
    (other.reauthenticated, other.not_on_or_after, other.acr) = (None, None, None);
    let mut kept = KeptOnce::default();
    for origin in [origin(), other] {
        let mut session = session(origin.clone());
        assert_eq!(session.origin(), origin);
        session.share(&mut kept);
        assert_eq!(session.origin(), origin);
        assert_eq!((session.sid(), session.idp()), ("sid1", "corp"));
        assert_eq!(session.subject(), ("https://idp.example/\u{e4}", "alice\u{1F600}"));
        assert_eq!(session.authn_context(), origin.acr.as_deref());
        assert_eq!(session.reauthenticated(), origin.reauthenticated);
    }
}

#[test]
fn what_is_prepared_is_read_until_it_is_due_and_never_shown() {
    let session = session(origin());
    let read = |second| {
        let mut octets = Vec::new();
        let fresh = session.read_prepared(Timestamp::from_unix(second), |lines| octets.extend_from_slice(lines));
        fresh.then_some(octets)
    };
    assert_eq!(read(0), None);
    for (text, second) in [("e30.secret1.x", 30), ("e30.secret2.x", 60)] {
        let header = HeaderValue::from_static(text);
        let prepared = session.prepare(&MintedAssertion { header, renew_at: Timestamp::from_unix(second) });
        assert!(!format!("{prepared:?}").contains("secret"));
        session.keep(prepared);
        let lines = format!("X-User: alice\r\nX-Samlgate-Assertion: {text}\r\n").into_bytes();
        assert_eq!((read(second - 1), read(second)), (Some(lines), None));
        assert!(!format!("{session:?}").contains("secret"));
    }
}

#[test]
fn that_it_was_used_is_told_once_a_minute() {
    let session = session(origin());
    session.touch(Timestamp::from_unix(59));
    assert!(!session.take_used(), "the minute in which it was made");
    session.touch(Timestamp::from_unix(60));
    assert!(session.take_used() && !session.take_used());
    session.touch(Timestamp::from_unix(119));
    assert!(!session.take_used());
    session.touch(Timestamp::from_unix(600));
    assert!(session.take_used());
}

#[test]
fn what_every_session_costs_itself_stays_small() {
    // With the two counts of an `Arc` no more than 192 octets, a size in which allocators hand out memory.
    assert!(size_of::<Session>() <= 176, "{}", size_of::<Session>());
}
