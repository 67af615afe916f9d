//! `[headers]`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::units::Span;

/// How the application gets the identity. "" for a name: the header isn't sent.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct HeadersSection {
    /// Names, separator and role words of an application; the keys below replace single ones.
    pub(in crate::config) preset: String,
    /// Header of the user's name.
    pub(in crate::config) user: Option<String>,
    /// Header of the mail address.
    pub(in crate::config) email: Option<String>,
    /// Header of the name for display.
    pub(in crate::config) name: Option<String>,
    /// Header of the tenant.
    pub(in crate::config) tenant: Option<String>,
    /// Header of the role.
    pub(in crate::config) role: Option<String>,
    /// Header of the groups.
    pub(in crate::config) groups: Option<String>,
    /// Headers of extra fields, by field.
    pub(in crate::config) extra: BTreeMap<String, String>,
    /// Between groups.
    pub(in crate::config) separator: Option<String>,
    /// More names that clients may not send.
    pub(in crate::config) strip: Vec<String>,
    /// The signed assertion.
    pub(in crate::config) assertion: AssertionSection,
    /// A signature over the request.
    pub(in crate::config) signature: SignatureSection,
}

impl Default for HeadersSection {
    fn default() -> Self {
        Self {
            preset: "none".to_owned(),
            user: None,
            email: None,
            name: None,
            tenant: None,
            role: None,
            groups: None,
            extra: BTreeMap::new(),
            separator: None,
            strip: Vec::new(),
            assertion: AssertionSection::default(),
            signature: SignatureSection::default(),
        }
    }
}

/// A JWS over the identity, always sent.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct AssertionSection {
    /// Its header.
    pub(in crate::config) header: String,
    /// EC P-256 private key: a file (PEM), or the PEM text itself. Without one it is made, in data_dir or in memory.
    pub(in crate::config) key: Option<String>,
    /// The key's file.
    pub(in crate::config) key_file: Option<String>,
    /// Whom it is meant for. Default: public_url.
    pub(in crate::config) audience: Option<String>,
    /// How long one is valid; a new one is made at half of it.
    pub(in crate::config) lifetime: Span,
}

impl Default for AssertionSection {
    fn default() -> Self {
        Self { header: "X-Samlgate-Assertion".to_owned(), key: None, key_file: None, audience: None, lifetime: Span::seconds(60) }
    }
}

/// RFC 9421 over method, target and identity headers.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct SignatureSection {
    /// How requests are signed, if they are.
    pub(in crate::config) algorithm: SignatureAlgorithm,
    /// The key's file: base64 of at least 32 octets for hmac-sha256, else a private key (PEM), or its PEM text itself.
    pub(in crate::config) key: Option<String>,
    /// The key's file.
    pub(in crate::config) key_file: Option<String>,
}

/// Algorithm of the request signature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::config) enum SignatureAlgorithm {
    /// No signature.
    #[default]
    Off,
    /// HMAC with SHA-256: the application has the same key.
    HmacSha256,
    /// Ed25519.
    Ed25519,
    /// ECDSA on P-256 with SHA-256.
    EcdsaP256Sha256,
}
