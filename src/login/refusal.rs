//! Why a login doesn't succeed: for the operator, for the user, and what the user can do.

use std::time::Duration;

use thiserror::Error;

use super::PENDING_PER_BROWSER;
use crate::access::Assurance;
use crate::identity::mapping::IdentityError;
use crate::return_path::ReturnPath;
use crate::saml::artifact::ArtifactError;
use crate::saml::logout::LogoutError;
use crate::saml::{RequestError, SamlError};
use crate::store::{PENDING_LIFETIME, StoreError};

/// Why a login doesn't succeed: one variant per cause. The message is for the log and says what an operator must change.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LoginError {
    /// The response is not believed.
    #[error("{}", .0.explained())]
    Saml(#[from] SamlError),
    /// The logout message is not believed.
    #[error("{}", .0.explained())]
    Logout(LogoutError),
    /// The artifact leads to no response.
    #[error("{}", .0.explained())]
    Artifact(#[from] ArtifactError),
    /// An artifact in a browser that isn't signing in with its IdP.
    #[error(
        "an artifact came, but no login with its IdP is pending in this browser, and idp_initiated is \"off\", so it was not \
         resolved: the login began in another browser, or more than {} minutes ago, or the browser did not keep the login cookie",
        PENDING_LIFETIME.as_secs() / 60
    )]
    NoLoginForArtifact,
    /// It is believed, and makes no identity.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The request can't be written.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The store is away.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No login with this InResponseTo is pending.
    #[error(
        "no login with this InResponseTo is pending: it began more than {} minutes ago, or {PENDING_PER_BROWSER} newer ones pushed \
         it out, or samlgate was restarted, or the IdP made it up",
        PENDING_LIFETIME.as_secs() / 60
    )]
    LoginExpired,
    /// Another browser began it.
    #[error(
        "another browser than the one that began this login posted the answer, or it did not keep the login cookie, which needs \
         https (or localhost) for the IdP's cross-site POST"
    )]
    BrowserMismatch,
    /// The answer was used before.
    #[error("{0}")]
    Replayed(&'static str),
    /// The answer of one IdP was posted to the address of another one.
    #[error("the answer of {answered} was posted to the assertion consumer service of {named:?}")]
    OtherAddress {
        /// The IdP that its issuer names.
        answered: String,
        /// What the address names.
        named: String,
    },
    /// The IdP begins login after login.
    #[error(
        "the IdP seems to answer login requests with unsolicited responses (without InResponseTo), over and over; it must answer \
         the request, or idp_initiated must be \"accept\""
    )]
    GoesRound,
    /// The user logged out at the IdP after it had issued this answer.
    #[error("the user logged out at the IdP after it had issued this assertion, so it signs nobody in any more")]
    LoggedOutAtIdp,
    /// The IdP was taken out of the configuration.
    #[error("this IdP is not configured any more")]
    UnknownIdp,
    /// An IdP whose metadata could not be had since the start.
    #[error(
        "the metadata of {0} is not available yet, so nothing that it says can be believed; the log says why (metadata_failed), and \
         it is tried again by itself"
    )]
    NoMetadata(String),
    /// The metadata that we have has ended.
    #[error(
        "the metadata of this IdP ended at {0} (validUntil) and no newer one could be had; the log says why (metadata_failed); \
         metadata_file must be replaced by a fresh copy"
    )]
    MetadataExpired(String),
    /// A rule and the IdP's own `authn_context` ask for different things.
    #[error(
        "none of the authentication context classes that the rule asks for is in this IdP's own authn_context, so no login with it \
         could be good enough"
    )]
    NoContextLeft,
    /// The answer to a request with ForceAuthn came when the authentication was too old again.
    #[error("the user authenticated anew, but the answer came more than max_auth_age ({} s) later", .0.as_secs())]
    TookTooLong(Duration),
    /// More responses than can be verified.
    #[error("too many sign-ins at once")]
    Busy,
    /// A mistake of ours.
    #[error("verification did not come to an end")]
    Internal,
}

impl LoginError {
    /// The stable reason code (INTERFACE, "Refusals").
    pub fn code(&self) -> &'static str {
        match self {
            Self::Saml(error) => error.code(),
            Self::Logout(error) => error.code(),
            Self::Artifact(error) => error.code(),
            Self::Identity(error) => error.code(),
            Self::Request(error) => error.code(),
            Self::Store(_) => "store_unavailable",
            Self::LoginExpired | Self::NoLoginForArtifact => "login_expired",
            Self::BrowserMismatch => "browser_mismatch",
            Self::Replayed(_) => "replayed",
            Self::OtherAddress { .. } => "issuer_mismatch",
            Self::GoesRound => "unsolicited_not_allowed",
            Self::LoggedOutAtIdp => "logged_out_at_idp",
            Self::UnknownIdp => "unknown_idp",
            Self::NoMetadata(_) => "metadata_unavailable",
            Self::MetadataExpired(_) => "metadata_expired",
            Self::NoContextLeft => "authn_context",
            Self::TookTooLong(_) => "authn_too_old",
            Self::Busy => "busy",
            Self::Internal => "internal_error",
        }
    }

    /// Whose turn it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Saml(SamlError::TooLarge(_)) => Fault::TooLarge,
            Self::Saml(
                SamlError::NotBase64
                | SamlError::NotXml(_)
                | SamlError::ForbiddenXml(_)
                | SamlError::WrongDocument { .. }
                | SamlError::DuplicateId(_),
            )
            | Self::Artifact(ArtifactError::Malformed(_))
            | Self::Logout(LogoutError::Query(_) | LogoutError::NotDeflated(_)) => Fault::Malformed,
            Self::Store(_)
            | Self::Busy
            | Self::Artifact(ArtifactError::Unresolved(_))
            | Self::NoMetadata(_)
            | Self::MetadataExpired(_) => Fault::Unavailable,
            Self::Request(_) | Self::Internal => Fault::Internal,
            _ => Fault::Refused,
        }
    }
}

impl From<LogoutError> for LoginError {
    /// What every message can be refused for is the same thing in a logout message.
    fn from(error: LogoutError) -> Self {
        match error {
            LogoutError::Saml(error) => Self::Saml(error),
            error => Self::Logout(error),
        }
    }
}

/// Whose turn it is to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// What was sent can't be read at all.
    Malformed,
    /// It is larger than we read.
    TooLarge,
    /// It can be read, and is not believed or not enough.
    Refused,
    /// The store is away, or too much is going on: later it may work.
    Unavailable,
    /// A mistake in the configuration or in samlgate.
    Internal,
}

/// A login that does not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The stable reason code (INTERFACE, "Refusals").
    pub code: &'static str,
    /// Whose turn it is.
    pub fault: Fault,
    /// The IdP's short name, when it is known.
    pub idp: Option<String>,
    /// For the log: what happened and what an operator must change. One line; strangers' values are escaped.
    pub detail: String,
    /// For the page: what the user can do.
    pub hint: &'static str,
    /// What the IdP itself said, in its own words, when it answered this browser's own request.
    pub said: Option<String>,
    /// Where the user wanted to go: trying again leads there.
    pub try_again: ReturnPath,
    /// Trying again must ask the user anew (ForceAuthn), as the login did that is refused.
    pub force_authn: bool,
    /// Trying again must ask for one of these authentication context classes; empty: any.
    pub authn_context: Vec<String>,
    /// The user is signed in already and may go on to that page without doing anything.
    pub signed_in: bool,
}

impl Refusal {
    /// About an IdP.
    #[must_use]
    pub(super) fn by(mut self, idp: &str) -> Self {
        self.idp = Some(idp.to_owned());
        self
    }

    /// Of a user who wanted to go somewhere.
    #[must_use]
    pub(super) fn towards(mut self, page: &ReturnPath) -> Self {
        self.try_again = page.clone();
        self
    }

    /// Of a login that asked for so much; the next one does too.
    #[must_use]
    pub(super) fn asking(mut self, force_authn: bool, assurance: &Assurance) -> Self {
        self.force_authn = force_authn;
        self.authn_context.clone_from(&assurance.authn_context);
        self
    }
}

impl<E: Into<LoginError>> From<E> for Refusal {
    fn from(error: E) -> Self {
        let error = error.into();
        Self {
            code: error.code(),
            fault: error.fault(),
            idp: None,
            detail: one_line(&error.to_string()),
            hint: hint(error.code()),
            said: None,
            try_again: ReturnPath::root(),
            force_authn: false,
            authn_context: Vec::new(),
            signed_in: false,
        }
    }
}

/// What a user can do, by reason code.
fn hint(code: &str) -> &'static str {
    match code {
        "login_expired" => "This sign-in took too long, or it was finished already. Please try again.",
        "browser_mismatch" => {
            "This sign-in was started in another browser or window, or your browser doesn't keep our cookies. Please try again here."
        }
        "replayed" => "This sign-in has been used already. If you are signed in, go on to the page; otherwise try again.",
        "status_not_success" => "Your identity provider did not sign you in.",
        "not_yet_valid" | "expired" | "too_old" => {
            "The answer of your identity provider came too late, or a clock is wrong. Please try again; if that doesn't help, tell your administrator."
        }
        "logged_out_at_idp" => "You were signed out at your identity provider meanwhile. Please sign in again.",
        "session_expired_at_idp" => "Your session at the identity provider has ended. Please sign in there again.",
        "unsolicited_not_allowed" => "Please start here and not at your identity provider.",
        "in_response_to_mismatch" => "This answer belongs to another sign-in. Please try again.",
        "authn_context" => "This application asks for a stronger way of signing in. Please ask your administrator.",
        "authn_too_old" => {
            "This page asks you to prove again who you are, and your identity provider didn't ask you, or it took too long. Please try again; if that doesn't help, tell your administrator."
        }
        "attribute_missing" => {
            "Your identity provider did not send everything that this application needs to know about you. Please ask your administrator."
        }
        "value_not_allowed" | "role_required" | "not_allowed" => {
            "Your account may not use this application. Please ask your administrator for access."
        }
        "store_unavailable" | "busy" => "This service can't sign anybody in at the moment. Please try again in a minute.",
        "metadata_unavailable" | "metadata_expired" => {
            "Your identity provider's details (its metadata) are not available here at the moment. Please try again in a few minutes; if that doesn't help, tell your administrator."
        }
        "artifact_unresolved" => {
            "Your identity provider did not hand out its answer. Please try again in a minute; if that doesn't help, tell your administrator."
        }
        "artifact_unknown" => "The answer of your identity provider was used already, or it came too late. Please try again.",
        "too_large" | "not_base64" | "not_xml" | "forbidden_xml" | "wrong_document" | "duplicate_id" => {
            "What arrived here is not an answer of an identity provider. Please try again."
        }
        _ => {
            "The answer of your identity provider could not be accepted. Please try again; if that doesn't help, tell your administrator the reason below."
        }
    }
}

/// Nothing in a log line may look like another line.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detail_is_one_line_whatever_a_stranger_wrote() {
        let refusal = Refusal::from(SamlError::SubjectConfirmation("a\r\nlevel=INFO forged\u{2028}\u{1b}[0m ä".into()));
        assert!(refusal.detail.contains("a\\r\\nlevel=INFO forged\\u{2028}\\u{1b}[0m ä"), "{}", refusal.detail);
        assert!(!refusal.detail.contains(char::is_control));
    }

    #[test]
    fn what_cannot_be_read_is_told_from_what_is_not_believed() {
        assert_eq!(Refusal::from(SamlError::NotBase64).fault, Fault::Malformed);
        assert_eq!(Refusal::from(SamlError::TooLarge("x")).fault, Fault::TooLarge);
        assert_eq!(Refusal::from(SamlError::SignatureMissing).fault, Fault::Refused);
        assert_eq!(Refusal::from(LoginError::Replayed("x")).fault, Fault::Refused);
        assert_eq!(Refusal::from(StoreError("x".into())).fault, Fault::Unavailable);
        assert_eq!(Refusal::from(RequestError::NoKey).fault, Fault::Internal);
    }

    #[test]
    fn an_operator_reads_what_to_change() {
        let mismatch = SamlError::AudienceMismatch { expected: "sp".into(), got: vec!["other".into()] };
        assert!(Refusal::from(mismatch).detail.contains("sp.entity_id"));
        assert!(LoginError::LoginExpired.to_string().contains("more than 60 minutes ago, or 5 newer ones"));
    }
}
