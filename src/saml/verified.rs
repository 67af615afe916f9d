//! What a verified assertion says.

use crate::clock::Timestamp;

/// The subject's name (Core 2.2.3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NameId {
    /// The name: non-empty, no control characters.
    pub value: String,
    /// Format, a URN.
    pub format: Option<String>,
    /// NameQualifier.
    pub name_qualifier: Option<String>,
    /// SPNameQualifier.
    pub sp_name_qualifier: Option<String>,
}

/// An attribute with all its values, in order; several Attribute elements of one Name are one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Name, exact.
    pub name: String,
    /// FriendlyName, for display only.
    pub friendly_name: Option<String>,
    /// Text of the values.
    pub values: Vec<String>,
}

/// What the second signature engine said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecondOpinion {
    /// It hashed the same octets.
    Agreed,
    /// It can't judge this document.
    Abstained(Abstention),
    /// It was left out of this build (cargo feature `second-opinion`).
    NotBuilt,
}

/// A known limit of the second engine: the closed list of what it may abstain for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abstention {
    /// An ID is no NCName (it begins with a digit), which xs:ID forbids and libxml2 can't register.
    IdIsNoNcName,
}

impl Abstention {
    /// A stable name, for metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::IdIsNoNcName => "id_is_no_ncname",
        }
    }
}

/// An assertion whose content was read from exactly the octets that a trusted key signed, and that holds here and now.
/// Only `saml::verify_response` makes one.
#[derive(Clone, Debug)]
pub struct VerifiedAssertion {
    pub(in crate::saml) id: String,
    pub(in crate::saml) issuer: String,
    pub(in crate::saml) name_id: NameId,
    pub(in crate::saml) attributes: Vec<Attribute>,
    pub(in crate::saml) session_index: Option<String>,
    pub(in crate::saml) authn_instant: Timestamp,
    pub(in crate::saml) session_not_on_or_after: Option<Timestamp>,
    pub(in crate::saml) authn_context: Option<String>,
    pub(in crate::saml) issued: Timestamp,
    pub(in crate::saml) claim_until: Timestamp,
    pub(in crate::saml) second_opinion: SecondOpinion,
}

impl VerifiedAssertion {
    /// The assertion's ID: with the issuer, what may be used once.
    pub fn id(&self) -> &str {
        &self.id
    }
    /// The IdP's entity ID.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }
    /// The subject.
    pub fn name_id(&self) -> &NameId {
        &self.name_id
    }
    /// Attributes in document order.
    pub fn attributes(&self) -> &[Attribute] {
        &self.attributes
    }
    /// SessionIndex of the first AuthnStatement.
    pub fn session_index(&self) -> Option<&str> {
        self.session_index.as_deref()
    }
    /// When the user authenticated, as the IdP says; never later than when this was verified.
    pub fn authn_instant(&self) -> Timestamp {
        self.authn_instant
    }
    /// When the session at the IdP ends: the earliest of all AuthnStatements.
    pub fn session_not_on_or_after(&self) -> Option<Timestamp> {
        self.session_not_on_or_after
    }
    /// AuthnContextClassRef.
    pub fn authn_context(&self) -> Option<&str> {
        self.authn_context.as_deref()
    }
    /// When it was issued, by the IdP's clock: IssueInstant of the Assertion or the Response, the earlier.
    pub fn issued(&self) -> Timestamp {
        self.issued
    }
    /// How long the assertion's ID must be remembered so that it can't be used twice.
    pub fn claim_until(&self) -> Timestamp {
        self.claim_until
    }
    /// What the second engine said, for the metrics.
    pub fn second_opinion(&self) -> SecondOpinion {
        self.second_opinion
    }
}
