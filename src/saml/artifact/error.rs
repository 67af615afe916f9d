//! Why an artifact leads to no Response: one variant per cause.

use thiserror::Error;

use crate::saml::error::SamlError;

/// Why an artifact leads to no Response that could be verified.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ArtifactError {
    /// Not an artifact.
    #[error("this is no artifact: {0}")]
    Malformed(&'static str),
    /// Its SourceID is that of no IdP here.
    #[error("its SourceID is that of no configured IdP")]
    UnknownSource,
    /// From an IdP that isn't asked for artifacts.
    #[error("this IdP sent an artifact, but its response_binding is \"post\"")]
    NotEnabled,
    /// The IdP's metadata has no such service.
    #[error("the IdP's metadata has no ArtifactResolutionService for SOAP by https with index {0}, which the artifact names")]
    NoService(u16),
    /// The IdP didn't answer, or said no.
    #[error("the artifact was not resolved: {0}")]
    Unresolved(String),
    /// The IdP answered that it has no message for this artifact.
    #[error("the IdP has no response for this artifact: it was used before, or too late, or is made up")]
    Empty,
    /// The answer to another question.
    #[error("InResponseTo of the ArtifactResponse is not the ID of our ArtifactResolve")]
    InResponseToMismatch,
    /// The answer is refused for a reason that every SAML message can be refused for.
    #[error("the IdP's answer to the artifact: {0}")]
    Answer(#[from] SamlError),
}

impl ArtifactError {
    /// The stable reason code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) | Self::UnknownSource | Self::NoService(_) => "artifact_invalid",
            Self::NotEnabled => "artifact_not_enabled",
            Self::Unresolved(_) => "artifact_unresolved",
            Self::Empty => "artifact_unknown",
            Self::InResponseToMismatch => "in_response_to_mismatch",
            Self::Answer(error) => error.code(),
        }
    }

    /// What an operator can do about it; empty when the message says it all.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::UnknownSource => {
                "The entity ID here comes from the IdP's metadata or from entity_id; load the metadata of the IdP that sends this."
            }
            Self::NotEnabled => {
                "Set [[idp]] response_binding = \"artifact\", or let the IdP send responses by POST (Keycloak: \"Force artifact \
                 binding\" off; SimpleSAMLphp: 'saml20.sendartifact' off)."
            }
            Self::NoService(_) => "Load the IdP's current metadata.",
            Self::Unresolved(_) => {
                "Its artifact resolution service must be reachable from here, trusted by TLS, and know our metadata, with the \
                 certificate that we sign with."
            }
            Self::Empty => "If it happens at every login, the IdP's nodes may not share their artifacts.",
            Self::Answer(error) => error.advice(),
            Self::Malformed(_) | Self::InResponseToMismatch => "",
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
