//! What a rule asks of the login itself, beside who it is: how long ago, by which means, and where it begins.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::identity::Identity;

/// Who has a live session, as far as rules look at it.
pub trait Visitor {
    /// The user.
    fn identity(&self) -> &Identity;

    /// When the user authenticated because we had asked for it anew (ForceAuthn, Core 3.4.1). `None` when it isn't known: an IdP may
    /// have answered from a session of its own, and some write the time of the answer into AuthnInstant all the same.
    fn reauthenticated(&self) -> Option<Timestamp>;

    /// AuthnContextClassRef.
    fn authn_context(&self) -> Option<&str>;
}

/// How good a login must be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assurance {
    /// The user must have authenticated anew within this time.
    pub max_auth_age: Option<Duration>,
    /// The authentication must have been of one of these classes; empty: any.
    pub authn_context: Vec<String>,
}

impl Assurance {
    /// Whether a visitor's login is good enough. Without demands, nothing is asked of the visitor.
    pub fn is_met_by(&self, visitor: &impl Visitor, now: Timestamp) -> bool {
        self.max_auth_age.is_none_or(|most| visitor.reauthenticated().is_some_and(|at| now.since(at) <= most))
            && self.admits(|| visitor.authn_context())
    }

    /// Whether an authentication of this class is one that is asked for.
    fn admits<'a>(&self, class: impl FnOnce() -> Option<&'a str>) -> bool {
        self.authn_context.is_empty() || class().is_some_and(|class| self.authn_context.iter().any(|own| own == class))
    }
}

/// The terms on which a login begins at a rule's path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoginTerms {
    /// How good it must be, also later on.
    pub assurance: Assurance,
    /// The short name of the IdP that it begins with; `None`: the user's choice. It says nothing about sessions from other IdPs.
    pub idp: Option<String>,
    /// Whether a page's fragment, which browsers don't send, is asked for and kept through the login.
    pub keep_fragment: bool,
    /// The largest form, in octets, that is kept through a login when it was sent without a good enough session; `None`: no form is.
    pub keep_form: Option<usize>,
}
