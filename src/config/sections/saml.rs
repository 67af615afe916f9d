//! `[sp]` and `[[idp]]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::units::Span;

/// samlgate as a SAML service provider.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct SpSection {
    /// Default: public_url, prefix and /metadata.
    pub(in crate::config) entity_id: Option<String>,
    /// Default: public_url, prefix and /acs, which is served in any case. Another one lets a migration leave the IdP as it is.
    pub(in crate::config) acs_url: Option<String>,
    /// Default: public_url, prefix and /slo, which is served in any case; by SOAP with /soap behind it. Published when there is a key.
    pub(in crate::config) slo_url: Option<String>,
    /// Key pairs: the first signs, all decrypt, all are published.
    pub(in crate::config) keys: Vec<SpKeySection>,
    /// Whether login requests are signed; needs a key.
    pub(in crate::config) sign_requests: bool,
    /// The NameID that is asked for: unspecified, email, persistent, transient or a URN.
    pub(in crate::config) name_id_format: String,
}

impl Default for SpSection {
    fn default() -> Self {
        Self {
            entity_id: None,
            acs_url: None,
            slo_url: None,
            keys: Vec::new(),
            sign_requests: true,
            name_id_format: "unspecified".to_owned(),
        }
    }
}

/// A key pair.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct SpKeySection {
    /// Private key: a file (PEM), or the PEM text itself.
    pub(in crate::config) key: Option<String>,
    /// The private key's file.
    pub(in crate::config) key_file: Option<String>,
    /// The certificate's file (PEM).
    pub(in crate::config) certificate: Option<String>,
}

/// An identity provider: with its metadata, or with entity_id, sso_url and certificates.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct IdpSection {
    /// Required: a short name for URLs, logs and metrics.
    pub(in crate::config) id: Option<String>,
    /// Name for people, where they choose an IdP; default: the id.
    pub(in crate::config) name: Option<String>,
    /// Mail domains of its users: with several IdPs, whoever types an address goes to the right one.
    pub(in crate::config) domains: Vec<String>,
    /// The metadata's file (XML).
    pub(in crate::config) metadata_file: Option<String>,
    /// Where the metadata is fetched from, by https. {entity_id} in it stands for entity_id, escaped (a metadata query service).
    pub(in crate::config) metadata_url: Option<String>,
    /// The metadata itself.
    pub(in crate::config) metadata_xml: Option<String>,
    /// File (PEM) with the certificates of which one must have signed the metadata as a whole.
    pub(in crate::config) metadata_signing_certificate: Option<String>,
    /// With the metadata of a federation: which IdP. Without metadata: the IdP's entity ID.
    pub(in crate::config) entity_id: Option<String>,
    /// Without metadata: where logins begin.
    pub(in crate::config) sso_url: Option<String>,
    /// Without metadata: where logouts go.
    pub(in crate::config) slo_url: Option<String>,
    /// Without metadata: files (PEM) with the certificates that the IdP signs with.
    pub(in crate::config) certificates: Vec<String>,
    /// How often metadata_url is read again, at the latest; validUntil and cacheDuration can only shorten it.
    pub(in crate::config) refresh: Span,
    /// What a login that the IdP started itself leads to: nothing, a login started here, or a session.
    pub(in crate::config) idp_initiated: IdpInitiatedWord,
    /// How login requests travel.
    pub(in crate::config) request_binding: RequestBindingWord,
    /// How responses come: in the browser's form, or by an artifact for which samlgate asks the IdP itself.
    pub(in crate::config) response_binding: ResponseBindingWord,
    /// Weaknesses this IdP needs: sha1, aes-cbc, rsa-1.5, no-audience, empty-reference.
    pub(in crate::config) compat: Vec<String>,
    /// How far the IdP's clock may be off.
    pub(in crate::config) clock_skew: Span,
    /// Oldest IssueInstant that is accepted.
    pub(in crate::config) max_age: Span,
    /// Whether the IdP must ask the user again at every login.
    pub(in crate::config) force_authn: bool,
    /// Accepted authentication context classes; none: any.
    pub(in crate::config) authn_context: Vec<String>,
}

impl Default for IdpSection {
    fn default() -> Self {
        Self {
            id: None,
            name: None,
            domains: Vec::new(),
            metadata_file: None,
            metadata_url: None,
            metadata_xml: None,
            metadata_signing_certificate: None,
            entity_id: None,
            sso_url: None,
            slo_url: None,
            certificates: Vec::new(),
            refresh: Span::seconds(3600),
            idp_initiated: IdpInitiatedWord::Restart,
            request_binding: RequestBindingWord::Auto,
            response_binding: ResponseBindingWord::Post,
            compat: Vec::new(),
            clock_skew: Span::seconds(60),
            max_age: Span::seconds(300),
            force_authn: false,
            authn_context: Vec::new(),
        }
    }
}

/// What a login that the IdP started itself leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum IdpInitiatedWord {
    /// It is refused.
    Off,
    /// It is verified, and a login starts here.
    Restart,
    /// The user is signed in.
    Accept,
}

/// How login requests travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum RequestBindingWord {
    /// Redirect when the IdP takes it, else POST.
    Auto,
    /// HTTP-Redirect.
    Redirect,
    /// HTTP-POST.
    Post,
}

/// How responses come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum ResponseBindingWord {
    /// HTTP-POST.
    Post,
    /// HTTP-Artifact.
    Artifact,
}
