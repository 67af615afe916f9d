//! A store that doesn't answer: nobody is signed in by it, and everybody is told.

use std::sync::Arc;

use http::{Method, StatusCode};
use samlgate::clock::Timestamp;
use samlgate::session::Session;
use samlgate::store::{
    Answer, FinishedLogin, KeptForm, LogoutMark, NewLogin, PendingLogin, PendingLogout, Store, StoreError, Which,
};
use samlgate::token::HashedToken;

use crate::support::site::{Jar, Plan};

const ACS: &str = "/_samlgate/acs";

#[tokio::test]
async fn a_store_that_is_away_widens_nothing() {
    let mut plan = Plan::new();
    plan.store = Arc::new(Away);
    let site = plan.build();
    let mut jar = Jar::default();
    jar.plant("__Host-samlgate", "SSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSS");
    let response = site.response().in_response_to("_x").base64();
    let answers = [
        site.open_application(&mut jar, "/page").await,
        site.open(&mut jar, "/_samlgate/login").await,
        site.open(&mut jar, "/_samlgate/test").await,
        site.open(&mut jar, "/_samlgate/me").await,
        site.post(&mut jar, ACS, &response, None).await,
        site.send(Method::POST, "/_samlgate/logout", &[("cookie", &format!("__Host-samlgate={}", "S".repeat(43)))], "").await,
    ];
    for got in answers {
        assert_eq!(got.status, StatusCode::SERVICE_UNAVAILABLE, "{}", got.text);
        assert!(got.text.contains("store_unavailable") && got.cookies().is_empty());
        assert_eq!(got.header("retry-after"), "5");
    }
}

/// A store that never answers.
pub(crate) struct Away;

fn away<'a, T: 'a>() -> Answer<'a, T> {
    Box::pin(async { Err(StoreError("down".to_owned())) })
}

impl Store for Away {
    fn session(&self, _: &HashedToken) -> Result<Option<Arc<Session>>, StoreError> {
        Err(StoreError("down".to_owned()))
    }
    fn save_session(&self, _: Session, _: usize, _: Timestamp) -> Answer<'_, Arc<Session>> {
        away()
    }
    fn end_session<'a>(&'a self, _: &'a HashedToken) -> Answer<'a, bool> {
        away()
    }
    fn end_sessions(&self, _: Which) -> Answer<'_, usize> {
        away()
    }
    fn sessions(&self, _: usize, _: Timestamp) -> Answer<'_, Vec<Arc<Session>>> {
        away()
    }
    fn session_count(&self) -> u64 {
        0
    }
    fn sweep(&self, _: Timestamp) {}
    fn save_pending(&self, _: PendingLogin, _: usize, _: Timestamp) -> Answer<'_, ()> {
        away()
    }
    fn pending<'a>(&'a self, _: &'a str, _: Timestamp) -> Answer<'a, Option<PendingLogin>> {
        away()
    }
    fn pending_in<'a>(&'a self, _: &'a [HashedToken], _: Timestamp) -> Answer<'a, Vec<PendingLogin>> {
        away()
    }
    fn take_pending<'a>(&'a self, _: &'a str, _: Option<HashedToken>, _: Timestamp) -> Answer<'a, Option<PendingLogin>> {
        away()
    }
    fn pending_count(&self) -> u64 {
        0
    }
    fn finished<'a>(&'a self, _: &'a str, _: Timestamp) -> Answer<'a, Option<FinishedLogin>> {
        away()
    }
    fn save_pending_logout(&self, _: PendingLogout, _: Timestamp) -> Answer<'_, ()> {
        away()
    }
    fn pending_logout<'a>(&'a self, _: &'a str, _: Timestamp) -> Answer<'a, Option<PendingLogout>> {
        away()
    }
    fn take_pending_logout<'a>(&'a self, _: &'a str, _: Timestamp) -> Answer<'a, Option<PendingLogout>> {
        away()
    }
    fn end_at_idp(&self, _: LogoutMark, _: Timestamp) -> Answer<'_, Option<usize>> {
        away()
    }
    fn is_logged_out<'a>(&'a self, _: NewLogin<'a>, _: Timestamp) -> Answer<'a, bool> {
        away()
    }
    fn save_form(&self, _: KeptForm, _: Timestamp) -> Answer<'_, ()> {
        away()
    }
    fn take_form<'a>(&'a self, _: &'a str, _: &'a [HashedToken], _: Timestamp) -> Answer<'a, Option<KeptForm>> {
        away()
    }
    fn claim(&self, _: HashedToken, _: Timestamp, _: Timestamp) -> Answer<'_, bool> {
        away()
    }
}
