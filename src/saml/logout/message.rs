//! What a verified logout message says.

use std::fmt;

use crate::clock::Timestamp;
use crate::saml::verified::{NameId, SecondOpinion};

const SUCCESS: &str = "urn:oasis:names:tc:SAML:2.0:status:Success";
const PARTIAL: &str = "urn:oasis:names:tc:SAML:2.0:status:PartialLogout";
const UNSPECIFIED: &str = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified";

/// Which of the two messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// A LogoutRequest: parameter or form field `SAMLRequest`.
    Request,
    /// A LogoutResponse: `SAMLResponse`.
    Response,
}

impl MessageKind {
    /// The element's name.
    pub fn element(self) -> &'static str {
        match self {
            Self::Request => "LogoutRequest",
            Self::Response => "LogoutResponse",
        }
    }
}

impl fmt::Display for MessageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.element())
    }
}

/// Which sessions a logout is about: those of a subject of an IdP, all of them or some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutScope {
    /// The IdP's entity ID.
    pub issuer: String,
    /// The subject.
    pub name_id: NameId,
    /// SessionIndexes; empty: all sessions.
    pub session_indexes: Vec<String>,
}

impl LogoutScope {
    /// Whether a session of this IdP that began with this NameID and SessionIndex is meant.
    ///
    /// Value and SessionIndex are compared exactly; Format and qualifiers only where both sides give one (an unspecified Format
    /// gives none), since IdPs are careless with them and a session that ends too early is the smaller harm. A session without a
    /// SessionIndex is meant by everything that names its NameID.
    pub fn concerns(&self, name_id: &NameId, session_index: Option<&str>) -> bool {
        let format = |name_id: &NameId| name_id.format.clone().filter(|format| format != UNSPECIFIED);
        let agree = |one: Option<&str>, other: Option<&str>| one.zip(other).is_none_or(|(one, other)| one == other);
        let own = &self.name_id;
        own.value == name_id.value
            && agree(format(own).as_deref(), format(name_id).as_deref())
            && agree(own.name_qualifier.as_deref(), name_id.name_qualifier.as_deref())
            && agree(own.sp_name_qualifier.as_deref(), name_id.sp_name_qualifier.as_deref())
            && (self.session_indexes.is_empty()
                || session_index.is_none_or(|index| self.session_indexes.iter().any(|known| known == index)))
    }
}

/// A LogoutRequest that the IdP signed, read from the octets that it signed (Core 3.7.1). Only `saml::logout` makes one.
#[derive(Clone, Debug)]
pub struct LogoutRequest {
    pub(super) id: String,
    pub(super) issue_instant: Timestamp,
    pub(super) destination: Option<String>,
    pub(super) scope: LogoutScope,
    pub(super) not_on_or_after: Option<Timestamp>,
    pub(super) reason: Option<String>,
    pub(super) claim_until: Timestamp,
}

impl LogoutRequest {
    /// ID: what the answer names, and, with the issuer, what may be used once.
    pub fn id(&self) -> &str {
        &self.id
    }
    /// IssueInstant.
    pub fn issue_instant(&self) -> Timestamp {
        self.issue_instant
    }
    /// The IdP's entity ID.
    pub fn issuer(&self) -> &str {
        &self.scope.issuer
    }
    /// Destination, one of our URLs. Only a request by SOAP may have none.
    pub fn destination(&self) -> Option<&str> {
        self.destination.as_deref()
    }
    /// Whose sessions end.
    pub fn name_id(&self) -> &NameId {
        &self.scope.name_id
    }
    /// Which of them; empty: all.
    pub fn session_indexes(&self) -> &[String] {
        &self.scope.session_indexes
    }
    /// Both, with the issuer.
    pub fn scope(&self) -> &LogoutScope {
        &self.scope
    }
    /// NotOnOrAfter.
    pub fn not_on_or_after(&self) -> Option<Timestamp> {
        self.not_on_or_after
    }
    /// Reason, a URI, cut.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }
    /// How long the ID must be remembered so that the request can't be used twice.
    pub fn claim_until(&self) -> Timestamp {
        self.claim_until
    }

    /// Whether a session of this IdP is to end: see [`LogoutScope::concerns`].
    pub fn concerns(&self, name_id: &NameId, session_index: Option<&str>) -> bool {
        self.scope.concerns(name_id, session_index)
    }
}

/// How a logout went, as the IdP says (Core 3.2.2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutStatus {
    /// The top-level code, a URN, cut; empty when there is none.
    pub top: String,
    /// The second-level code, a URN, cut.
    pub second: Option<String>,
    /// StatusMessage, cut: a stranger's words.
    pub message: Option<String>,
}

impl LogoutStatus {
    /// Whether all of the user's sessions that the IdP knows have ended.
    pub fn is_complete(&self) -> bool {
        self.top == SUCCESS && self.second.as_deref() != Some(PARTIAL)
    }
}

/// A LogoutResponse that the IdP signed, the answer to our request (Core 3.7.2). Only `saml::logout` makes one.
#[derive(Clone, Debug)]
pub struct LogoutResponse {
    pub(super) id: String,
    pub(super) in_response_to: String,
    pub(super) issuer: String,
    pub(super) status: LogoutStatus,
    pub(super) claim_until: Timestamp,
}

impl LogoutResponse {
    /// ID: with the issuer, what may be used once.
    pub fn id(&self) -> &str {
        &self.id
    }
    /// The ID of our request.
    pub fn in_response_to(&self) -> &str {
        &self.in_response_to
    }
    /// The IdP's entity ID.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }
    /// How it went.
    pub fn status(&self) -> &LogoutStatus {
        &self.status
    }
    /// How long the ID must be remembered so that the response can't be used twice.
    pub fn claim_until(&self) -> Timestamp {
        self.claim_until
    }
}

/// A verified logout message.
#[derive(Clone, Debug)]
pub enum LogoutMessage {
    /// The IdP ends sessions.
    Request(LogoutRequest),
    /// The IdP answers.
    Response(LogoutResponse),
}

/// A verified logout message and what came with it.
#[derive(Clone, Debug)]
pub struct Received {
    pub(super) message: LogoutMessage,
    pub(super) relay_state: Option<String>,
    pub(super) second_opinion: Option<SecondOpinion>,
}

impl Received {
    /// The message.
    pub fn message(&self) -> &LogoutMessage {
        &self.message
    }
    /// The message, to keep.
    pub fn into_message(self) -> LogoutMessage {
        self.message
    }
    /// RelayState of the Redirect binding, which is signed. An answer must repeat it.
    pub fn relay_state(&self) -> Option<&str> {
        self.relay_state.as_deref()
    }
    /// What the second engine said of the XML signature; `None` by the Redirect binding, which has no XML signature.
    pub fn second_opinion(&self) -> Option<SecondOpinion> {
        self.second_opinion
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name_id(value: &str, format: Option<&str>, qualifiers: (Option<&str>, Option<&str>)) -> NameId {
        NameId {
            value: value.to_owned(),
            format: format.map(str::to_owned),
            name_qualifier: qualifiers.0.map(str::to_owned),
            sp_name_qualifier: qualifiers.1.map(str::to_owned),
        }
    }

    fn request(name_id: NameId, session_indexes: &[&str]) -> LogoutRequest {
        LogoutRequest {
            id: "_1".to_owned(),
            issue_instant: Timestamp::from_unix(0),
            destination: None,
            scope: LogoutScope {
                issuer: "idp".to_owned(),
                name_id,
                session_indexes: session_indexes.iter().map(|&index| index.to_owned()).collect(),
            },
            not_on_or_after: None,
            reason: None,
            claim_until: Timestamp::from_unix(0),
        }
    }

    #[test]
    fn a_session_is_concerned_by_name_and_index() {
        let alice = name_id("alice", Some("urn:persistent"), (Some("idp"), Some("sp")));
        let all = request(alice.clone(), &[]);
        assert!(all.concerns(&alice, Some("s1")) && all.concerns(&alice, None));
        let two = request(alice.clone(), &["s1", "s2"]);
        assert!(two.concerns(&alice, Some("s2")) && two.concerns(&alice, None));
        assert!(!two.concerns(&alice, Some("s3")));
        for other in [
            name_id("Alice", Some("urn:persistent"), (Some("idp"), Some("sp"))),
            name_id("alice", Some("urn:transient"), (Some("idp"), Some("sp"))),
            name_id("alice", Some("urn:persistent"), (Some("idp2"), Some("sp"))),
            name_id("alice", Some("urn:persistent"), (Some("idp"), Some("sp2"))),
        ] {
            assert!(!all.concerns(&other, Some("s1")), "{other:?}");
        }
        for careless in [name_id("alice", None, (None, None)), name_id("alice", Some(UNSPECIFIED), (None, Some("sp")))] {
            assert!(all.concerns(&careless, None) && request(careless.clone(), &[]).concerns(&alice, None), "{careless:?}");
        }
    }

    #[test]
    fn a_partial_logout_is_not_complete() {
        let status = |top: &str, second: Option<&str>| LogoutStatus {
            top: top.to_owned(),
            second: second.map(str::to_owned),
            message: None,
        };
        assert!(status(SUCCESS, None).is_complete());
        assert!(!status(SUCCESS, Some(PARTIAL)).is_complete());
        assert!(!status("urn:oasis:names:tc:SAML:2.0:status:Responder", None).is_complete());
        assert!(!status("", None).is_complete());
    }
}
