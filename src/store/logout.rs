//! What a logout leaves in the store: one of ours, until the IdP answers; one of the IdP's, until no login can race with it.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::return_path::ReturnPath;
use crate::saml::NameId;
use crate::saml::logout::LogoutScope;

/// A logout that began here and that the IdP was told of. Nothing depends on the answer but what the user is shown: the session
/// has ended before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingLogout {
    /// ID of the LogoutRequest.
    pub request_id: String,
    /// The IdP's short name.
    pub idp: String,
    /// Where the user goes afterwards.
    pub return_to: ReturnPath,
}

/// A logout that an IdP has asked for, kept for as long as an assertion from before it could still be accepted.
///
/// The rule, for a session of the same IdP with a NameID and a SessionIndex that the logout concerns
/// ([`LogoutScope::concerns`]; a request without a SessionIndex concerns all of them):
/// - A session that exists ends.
/// - A login is refused when its assertion was issued no later than the logout request, in whole seconds. One that was issued
///   later counts, with whatever SessionIndex: the user has come back.
///
/// Both times are IssueInstants, which the IdP writes by its own clock, so that its being off from ours doesn't matter; ours only
/// decides how long the mark is kept. Seconds, because many IdPs write no more, and in the same second a login might be either: it is
/// refused, and the next try is accepted. AuthnInstant doesn't count, because with single sign-on it lies before a logout in
/// another browser, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutMark {
    /// ID of the LogoutRequest.
    pub request_id: String,
    /// Whose sessions.
    pub scope: LogoutScope,
    /// IssueInstant of the LogoutRequest.
    pub issued: Timestamp,
    /// Until when it is kept.
    pub until: Timestamp,
}

impl LogoutMark {
    /// A mark that outlives every assertion from before the request: those are accepted for `max_age` and `clock_skew` after they were
    /// issued. One skew more is for replicas whose clocks differ, one second for the rounding.
    pub fn new(request_id: &str, scope: &LogoutScope, issued: Timestamp, max_age: Duration, clock_skew: Duration) -> Self {
        let until = issued.plus(Duration::from_secs(1)).plus(max_age).plus(clock_skew).plus(clock_skew);
        Self { request_id: request_id.to_owned(), scope: scope.clone(), issued, until }
    }

    /// Whether this logout ends a login before it begins.
    pub fn refuses(&self, login: &NewLogin<'_>) -> bool {
        self.scope.issuer == login.issuer
            && is_before(login.issued, self.issued)
            && self.scope.concerns(login.name_id, login.session_index)
    }
}

/// What a login is measured by.
#[derive(Clone, Copy, Debug)]
pub struct NewLogin<'a> {
    /// The IdP's entity ID.
    pub issuer: &'a str,
    /// The subject.
    pub name_id: &'a NameId,
    /// SessionIndex.
    pub session_index: Option<&'a str>,
    /// IssueInstant of the assertion.
    pub issued: Timestamp,
}

/// Whether an assertion was issued no later than a logout request, in whole seconds.
pub(super) fn is_before(assertion: Timestamp, request: Timestamp) -> bool {
    assertion.unix() <= request.unix()
}
