//! The SAML 2.0 protocol, pure: no clock, no randomness, no input or output.

pub mod artifact;
pub mod bindings;
#[cfg(all(feature = "second-opinion", any(test, feature = "fuzzing")))]
#[doc(hidden)]
pub mod both_engines;
mod decrypt;
mod digest;
pub mod envelope;
mod enveloped;
pub mod error;
pub mod expectations;
#[cfg(test)]
mod fixture;
mod guard;
pub mod keygen;
pub mod keys;
pub mod logout;
pub mod metadata;
mod outgoing;
pub mod post_form;
pub mod provider;
mod redirect;
pub mod request;
#[cfg(feature = "second-opinion")]
mod second_opinion;
mod shape;
mod signature;
mod signature_form;
mod soap;
pub mod sp_metadata;
mod trusted_key;
pub mod verified;
pub mod verify;
mod xml;

pub use bindings::decode_response;
pub use envelope::{Envelope, peek};
pub use error::SamlError;
pub use expectations::{Check, Checks, Compat, Expectations, Expected};
pub use keys::{KeyError, KeyKind, SpKey, TrustAnchors, TrustedCertificate};
pub use metadata::{IdpMetadata, MetadataError, read_idp, read_signed_idp};
pub use outgoing::Outgoing;
pub use post_form::PostForm;
pub use provider::{
    Binding, Endpoint, IdentityProvider, IdpInitiated, NameIdFormat, RequestBinding, ResolutionService, ResponseBinding,
    ServiceProvider,
};
pub use request::{RequestError, RequestParts};
pub use verified::{Abstention, Attribute, NameId, SecondOpinion, VerifiedAssertion};
pub use verify::{prepare, verify_response};
