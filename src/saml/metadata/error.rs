//! Why metadata can't be used: one variant per cause, for the operator who wrote the configuration.

use thiserror::Error;

use crate::saml::error::SamlError;

/// Why an IdP's metadata can't be used. The messages are for operators; what a document says is shown escaped and cut.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MetadataError {
    /// More octets than are read.
    #[error("the metadata has more than {0} octets")]
    TooLarge(usize),
    /// Not UTF-8, or it says that it is something else.
    #[error("the metadata is not UTF-8; save it in that encoding")]
    NotUtf8,
    /// Not well-formed.
    #[error("the metadata is not well-formed XML: {0}")]
    NotXml(String),
    /// Well-formed, but with something that has no place in metadata.
    #[error("the metadata contains {0}, which has no place there")]
    Forbidden(&'static str),
    /// Deeper, wider or longer than any genuine metadata.
    #[error("the metadata has {0}")]
    TooComplex(&'static str),
    /// Another kind of document.
    #[error("expected a SAML 2.0 EntityDescriptor or EntitiesDescriptor, got {0}")]
    NotMetadata(String),
    /// No IdP in it: perhaps it is the metadata of a service provider.
    #[error("there is no identity provider (IDPSSODescriptor) in the metadata; is it a service provider's?")]
    NoIdp,
    /// Several IdPs and none chosen.
    #[error("the metadata has {count} identity providers; set entity_id to one of them: {}", .some.join(", "))]
    SeveralIdps {
        /// How many there are.
        count: usize,
        /// The first few entity IDs.
        some: Vec<String>,
    },
    /// The chosen IdP isn't there.
    #[error("there is no identity provider {wanted} in the metadata, but: {}", .some.join(", "))]
    EntityNotFound {
        /// The entity ID that was asked for.
        wanted: String,
        /// The first few entity IDs that are there.
        some: Vec<String>,
    },
    /// The chosen IdP stands there more than once.
    #[error("the identity provider {0} stands in the metadata more than once")]
    EntityTwice(String),
    /// The IdP doesn't speak SAML 2.0.
    #[error("the identity provider {0} does not list SAML 2.0 in protocolSupportEnumeration")]
    NotSaml2(String),
    /// entityID is missing or against Metadata 2.2.1.
    #[error("the entityID {0}")]
    EntityId(&'static str),
    /// Entra's metadata for all tenants: every tenant would be trusted under a name that none of them uses.
    #[error("the entityID {0} is a template; use the metadata of your own tenant")]
    TenantTemplate(String),
    /// Past validUntil.
    #[error("the metadata expired: {element} is valid until {at}; get a fresh copy from the identity provider")]
    Expired {
        /// Whose validUntil it is.
        element: &'static str,
        /// validUntil.
        at: String,
    },
    /// validUntil isn't a point in time.
    #[error("validUntil of {element} is not a time: {got}")]
    ValidUntil {
        /// Whose validUntil it is.
        element: &'static str,
        /// What stands there.
        got: String,
    },
    /// No signature, though a certificate is pinned.
    #[error("the metadata is not signed as a whole, but metadata_signing_certificate is set")]
    Unsigned,
    /// Its signature is not that of a pinned certificate, or is of a form that isn't trusted.
    #[error("the signature of the metadata is not believed: {0}")]
    Signature(SamlError),
    /// No single sign-on service that we can talk to.
    #[error("the identity provider has no SingleSignOnService with the HTTP-Redirect or HTTP-POST binding")]
    NoSso,
    /// A place where no browser may be sent.
    #[error("the Location of {service} is not an absolute http or https URL: {got}")]
    Location {
        /// Which service.
        service: &'static str,
        /// What stands there.
        got: String,
    },
    /// No key to verify with: nothing could ever be believed.
    #[error("the identity provider has no usable signing certificate{}", .0.iter().map(|w| format!("; {w}")).collect::<String>())]
    NoUsableKey(Vec<String>),
}

impl MetadataError {
    /// The stable code of the cause, for logs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge(_) => "metadata_too_large",
            Self::NotUtf8 => "metadata_not_utf8",
            Self::NotXml(_) => "metadata_not_xml",
            Self::Forbidden(_) => "metadata_forbidden_xml",
            Self::TooComplex(_) => "metadata_too_complex",
            Self::NotMetadata(_) => "metadata_wrong_document",
            Self::NoIdp => "metadata_no_idp",
            Self::SeveralIdps { .. } => "metadata_several_idps",
            Self::EntityNotFound { .. } => "metadata_entity_not_found",
            Self::EntityTwice(_) => "metadata_entity_twice",
            Self::NotSaml2(_) => "metadata_not_saml2",
            Self::EntityId(_) => "metadata_entity_id",
            Self::TenantTemplate(_) => "metadata_tenant_template",
            Self::Expired { .. } => "metadata_expired",
            Self::ValidUntil { .. } => "metadata_valid_until",
            Self::Unsigned => "metadata_unsigned",
            Self::Signature(_) => "metadata_signature",
            Self::NoSso => "metadata_no_sso",
            Self::Location { .. } => "metadata_location",
            Self::NoUsableKey(_) => "metadata_no_usable_key",
        }
    }
}

/// What a document says, fit for a message: escaped and cut.
pub(super) fn shown(text: &str) -> String {
    let cut: String = text.chars().take(120).collect();
    if cut.len() < text.len() { format!("{cut:?}...") } else { format!("{cut:?}") }
}
