//! Why a logout message is refused: one variant per cause.

use thiserror::Error;

use super::message::MessageKind;
use crate::saml::error::SamlError;

/// Why a logout message is refused. What it has in common with the refusal of a Response is a [`SamlError`]; reason codes are the
/// same for the same cause.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LogoutError {
    /// Refused for a reason that every SAML message can be refused for.
    #[error(transparent)]
    Saml(#[from] SamlError),
    /// The query isn't one message by the Redirect binding.
    #[error("the query does not carry one SAML message: {0}")]
    Query(&'static str),
    /// The message in the query isn't DEFLATE.
    #[error("the message in the query is not compressed as the Redirect binding demands: {0}")]
    NotDeflated(&'static str),
    /// Not signed. A logout message must be (Profiles 4.4.3.1, 4.4.4.1): otherwise anybody could end anybody's sessions.
    #[error("the {0} is not signed")]
    Unsigned(MessageKind),
    /// Addressed to another endpoint.
    #[error("Destination is {got:?}, but this single logout service is {expected:?}")]
    DestinationMismatch {
        /// Our single logout service.
        expected: String,
        /// What stands there, cut; empty when absent.
        got: String,
    },
    /// A LogoutResponse to another request than ours, or to none.
    #[error("InResponseTo of the LogoutResponse does not match a logout request of ours")]
    InResponseToMismatch,
}

impl LogoutError {
    /// The stable reason code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Saml(error) => error.code(),
            Self::Query(_) => "malformed_query",
            Self::NotDeflated(_) => "not_deflated",
            Self::Unsigned(_) => "signature_missing",
            Self::DestinationMismatch { .. } => "destination_mismatch",
            Self::InResponseToMismatch => "in_response_to_mismatch",
        }
    }

    /// What an operator can do about it; empty when the message says it all.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Saml(error) => error.advice(),
            Self::Unsigned(_) => {
                "At the IdP, turn on signing of logout messages, which signing of assertions does not include. Keycloak: \"Sign \
                 documents\" in the client's settings; SimpleSAMLphp: 'sign.logout' => true in saml20-sp-remote."
            }
            Self::DestinationMismatch { .. } => {
                "At the IdP, set the single logout URL (also called SLO URL or Logout URL) to ours. If ours is wrong, correct \
                 public_url or sp.slo_url."
            }
            Self::InResponseToMismatch => "The answer belongs to another logout, often after Back; nothing needs to be done.",
            Self::Query(_) | Self::NotDeflated(_) => "",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unsigned_message_names_the_switch() {
        let text = LogoutError::Unsigned(MessageKind::Request).explained();
        assert!(text.starts_with("the LogoutRequest is not signed. ") && text.contains("\"Sign documents\""), "{text}");
        let common = LogoutError::from(SamlError::NotBase64);
        assert_eq!((common.code(), common.explained()), ("not_base64", SamlError::NotBase64.explained()));
    }
}
