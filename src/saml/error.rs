//! Why a SAML message is refused: one variant per cause.

use thiserror::Error;

/// Why a SAML response is refused. `code()` is stable and public; the message names what an operator must look at and
/// holds no secret. Values that a stranger controls are only ever shown escaped (`{:?}`) and cut.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SamlError {
    /// More octets, nodes or depth than the guard reads.
    #[error("the message is too large: {0}")]
    TooLarge(&'static str),
    /// The form field is not base64.
    #[error("the SAML message is not base64")]
    NotBase64,
    /// Not well-formed XML in UTF-8.
    #[error("not well-formed XML: {0}")]
    NotXml(String),
    /// Well-formed, but with something that has no place in a SAML message: DOCTYPE, processing instruction, ds:Object ...
    #[error("the message contains {0}, which has no place in a SAML message")]
    ForbiddenXml(&'static str),
    /// The root, or something in the message that must be there in one form only, is not what belongs here.
    #[error("expected {expected}, got {got:?}")]
    WrongDocument {
        /// What belongs here.
        expected: &'static str,
        /// The root element's name, cut.
        got: String,
    },
    /// An ID occurs twice, is missing or is no NCName.
    #[error("IDs in the message are not unique and well-formed: {0}")]
    DuplicateId(&'static str),
    /// No signature at a lawful place.
    #[error("neither the Response nor the Assertion is signed; turn on signing at the IdP")]
    SignatureMissing,
    /// A signature of another form than SAML's, or one that no trusted key verifies.
    #[error("the signature is not valid: {0}")]
    SignatureInvalid(&'static str),
    /// A signature covers something else than the element it stands in, or the octets read are not those signed.
    #[error("the signature does not cover what is read: {0}")]
    SignatureNotCovering(&'static str),
    /// The two engines read different octets.
    #[error("the two signature engines disagree ({0}); please report this message to the samlgate developers")]
    EnginesDisagree(&'static str),
    /// An algorithm or key that is not allowed.
    #[error("algorithm not allowed: {0}")]
    AlgorithmForbidden(String),
    /// No configured IdP has this entity ID.
    #[error("no configured IdP has the entity ID {0:?}")]
    UnknownIssuer(String),
    /// Another issuer than the IdP that was asked.
    #[error("the {element}'s Issuer is {got:?}, expected {expected:?}")]
    IssuerMismatch {
        /// `Response` or `Assertion`.
        element: &'static str,
        /// The entity ID of the IdP that was asked.
        expected: String,
        /// What stands there; empty when absent.
        got: String,
    },
    /// The IdP reports an error.
    #[error("the IdP answered {status}{}", .message.as_ref().map(|m| format!(": {m:?}")).unwrap_or_default())]
    StatusNotSuccess {
        /// The last part of the status codes' URNs, `Responder/NoPassive`.
        status: String,
        /// The IdP's StatusMessage, cut.
        message: Option<String>,
    },
    /// The Response is addressed to another endpoint.
    #[error("Destination is {got:?}, but this assertion consumer service is {expected:?}")]
    DestinationMismatch {
        /// Our assertion consumer service.
        expected: String,
        /// What stands there; empty when absent.
        got: String,
    },
    /// Decryption failed; never says how.
    #[error("what is encrypted in the response could not be decrypted")]
    DecryptionFailed,
    /// Not exactly one assertion.
    #[error("the message has {0} assertions, expected exactly one")]
    AssertionCount(usize),
    /// No Conditions element.
    #[error("the assertion has no Conditions")]
    ConditionsMissing,
    /// Not valid yet.
    #[error("{what} is not valid before {at}, now is {now}; check the clocks")]
    NotYetValid {
        /// Which element says so.
        what: &'static str,
        /// From when it is valid.
        at: String,
        /// Our clock.
        now: String,
    },
    /// No longer valid.
    #[error("{what} ended at {at}, now is {now}; check the clocks")]
    Expired {
        /// Which element says so.
        what: &'static str,
        /// Until when it was valid.
        at: String,
        /// Our clock.
        now: String,
    },
    /// Issued too long ago.
    #[error("{what} was issued at {at}, longer ago than max_age")]
    TooOld {
        /// Which element says so.
        what: &'static str,
        /// IssueInstant.
        at: String,
    },
    /// Meant for another service provider.
    #[error("Audience is {got:?}, but our entity ID is {expected:?}")]
    AudienceMismatch {
        /// Our entity ID.
        expected: String,
        /// The audiences given; empty when there is no AudienceRestriction.
        got: Vec<String>,
    },
    /// No usable bearer SubjectConfirmation.
    #[error("no valid bearer SubjectConfirmation: {0}")]
    SubjectConfirmation(String),
    /// The bearer confirmation names another recipient.
    #[error("Recipient is {got:?}, but this assertion consumer service is {expected:?}")]
    RecipientMismatch {
        /// Our assertion consumer service.
        expected: String,
        /// What stands there; empty when absent.
        got: String,
    },
    /// InResponseTo is not the request's id, or is there when nothing was asked.
    #[error("InResponseTo of the {element} does not match the login request")]
    InResponseToMismatch {
        /// Where: `Response` or `SubjectConfirmationData`.
        element: &'static str,
    },
    /// Unsolicited, and this IdP may not start logins.
    #[error("the IdP started this login itself, and idp_initiated is \"off\"")]
    UnsolicitedNotAllowed,
    /// No AuthnStatement.
    #[error("the assertion has no AuthnStatement")]
    AuthnStatementMissing,
    /// The authentication was not of an accepted class.
    #[error("AuthnContextClassRef is {got:?}, which authn_context does not accept")]
    AuthnContext {
        /// What stands there; empty when absent.
        got: String,
    },
    /// The user was to be asked anew (ForceAuthn) and was not.
    #[error(
        "AuthnInstant is {at}, but the login request with ForceAuthn was sent at {asked}: the IdP did not ask the user again"
    )]
    AuthnTooOld {
        /// AuthnInstant.
        at: String,
        /// When the request began, by our clock.
        asked: String,
    },
    /// SessionNotOnOrAfter is past.
    #[error("the session at the IdP ended at {at}")]
    SessionExpiredAtIdp {
        /// SessionNotOnOrAfter.
        at: String,
    },
    /// No NameID, an empty one, or one that isn't plain text.
    #[error("there is no usable NameID: {0}")]
    NameIdMissing(&'static str),
    /// A condition that is not understood.
    #[error("the assertion has a condition that is not understood: {0:?}")]
    UnknownCondition(String),
}

impl SamlError {
    /// The stable reason code (INTERFACE, "Refusals").
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge(_) => "too_large",
            Self::NotBase64 => "not_base64",
            Self::NotXml(_) => "not_xml",
            Self::ForbiddenXml(_) => "forbidden_xml",
            Self::WrongDocument { .. } => "wrong_document",
            Self::DuplicateId(_) => "duplicate_id",
            Self::SignatureMissing => "signature_missing",
            Self::SignatureInvalid(_) => "signature_invalid",
            Self::SignatureNotCovering(_) => "signature_not_covering",
            Self::EnginesDisagree(_) => "engines_disagree",
            Self::AlgorithmForbidden(_) => "algorithm_forbidden",
            Self::UnknownIssuer(_) => "unknown_issuer",
            Self::IssuerMismatch { .. } => "issuer_mismatch",
            Self::StatusNotSuccess { .. } => "status_not_success",
            Self::DestinationMismatch { .. } => "destination_mismatch",
            Self::DecryptionFailed => "decryption_failed",
            Self::AssertionCount(_) => "assertion_count",
            Self::ConditionsMissing => "conditions_missing",
            Self::NotYetValid { .. } => "not_yet_valid",
            Self::Expired { .. } => "expired",
            Self::TooOld { .. } => "too_old",
            Self::AudienceMismatch { .. } => "audience_mismatch",
            Self::SubjectConfirmation(_) => "subject_confirmation",
            Self::RecipientMismatch { .. } => "recipient_mismatch",
            Self::InResponseToMismatch { .. } => "in_response_to_mismatch",
            Self::UnsolicitedNotAllowed => "unsolicited_not_allowed",
            Self::AuthnStatementMissing => "authn_statement_missing",
            Self::AuthnContext { .. } => "authn_context",
            Self::AuthnTooOld { .. } => "authn_too_old",
            Self::SessionExpiredAtIdp { .. } => "session_expired_at_idp",
            Self::NameIdMissing(_) => "name_id_missing",
            Self::UnknownCondition(_) => "unknown_condition",
        }
    }

    /// What an operator can do about it, in a sentence or two; empty when the message says it all.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::SignatureInvalid(why) if why.contains("certificate") => {
                "Compare the certificate that the IdP signs with and the one in its metadata here: after a key change at the IdP its \
                 metadata must be loaded again."
            }
            Self::SignatureInvalid(_) | Self::SignatureNotCovering(_) => {
                "Either something changed the message on its way, or the IdP writes signatures that SAML doesn't allow."
            }
            Self::AlgorithmForbidden(_) => {
                "At the IdP, choose RSA or ECDSA with SHA-256, and exclusive canonicalization; SHA-1 is accepted only with \
                 compat = [\"sha1\"]."
            }
            Self::UnknownIssuer(_) | Self::IssuerMismatch { .. } => {
                "The IdP's entity ID here comes from its metadata or from entity_id; load the metadata of the IdP that sends this."
            }
            Self::DestinationMismatch { .. } | Self::RecipientMismatch { .. } => {
                "At the IdP, set the assertion consumer service URL (also called ACS URL, Reply URL or Single Sign-On URL) to ours. \
                 If ours is wrong, correct public_url or sp.acs_url."
            }
            Self::AudienceMismatch { .. } => {
                "At the IdP, set the audience (also called Audience URI, SP Entity ID, Identifier or Client ID) to our entity ID, or \
                 set sp.entity_id to what the IdP sends."
            }
            Self::NotYetValid { .. } | Self::Expired { .. } | Self::TooOld { .. } => {
                "If both clocks are right (NTP), the response was used too late or twice: try again. clock_skew and max_age say how \
                 much is tolerated."
            }
            Self::DecryptionFailed => {
                "At the IdP, encrypt for a certificate that is in our metadata now, with AES-GCM and RSA-OAEP. AES-CBC and RSA 1.5 are \
                 accepted only with compat = [\"aes-cbc\"] and [\"rsa-1.5\"]; `samlgate explain` says what the response uses. With AES-CBC a \
                 signature by a certificate that the metadata doesn't name looks the same."
            }
            Self::NameIdMissing(_) => "At the IdP, choose what is sent as the Name ID (the subject's unique name).",
            Self::InResponseToMismatch { .. } => {
                "The answer belongs to another login attempt, often after Back or a bookmark of the IdP's page: try again."
            }
            Self::UnsolicitedNotAllowed => "Start at the application, or set idp_initiated to \"restart\" or \"accept\".",
            Self::SessionExpiredAtIdp { .. } => "Log out at the IdP and try again.",
            Self::AuthnContext { .. } => "Require that kind of authentication at the IdP, or add its class to authn_context.",
            Self::AuthnTooOld { .. } => {
                "At the IdP, let this application ask for a new authentication (ForceAuthn). If it did ask, compare the clocks: \
                 clock_skew says how much is tolerated."
            }
            Self::StatusNotSuccess { .. } => "The IdP refused; its own log says why.",
            _ => "",
        }
    }

    /// The message and the advice.
    pub fn explained(&self) -> String {
        match self.advice() {
            "" => self.to_string(),
            advice => format!("{self}. {advice}"),
        }
    }
}

/// The most that is shown of a value a stranger controls, in characters.
const SHOWN: usize = 200;

/// A stranger's value, cut for an error message.
pub(in crate::saml) fn cut(value: &str) -> String {
    match value.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", value.get(..end).unwrap_or_default()),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strangers_value_is_cut_between_characters() {
        assert_eq!(cut("short"), "short");
        let long = cut(&"ä".repeat(300));
        assert_eq!(long.chars().count(), SHOWN + 1);
        assert!(long.ends_with('…'));
    }

    #[test]
    fn advice_follows_the_message() {
        let error = SamlError::AudienceMismatch { expected: "sp".into(), got: vec!["other".into()] };
        let text = error.explained();
        assert!(text.starts_with(&error.to_string()) && text.contains("SP Entity ID"), "{text}");
        assert_eq!(SamlError::ConditionsMissing.explained(), SamlError::ConditionsMissing.to_string());
    }
}
