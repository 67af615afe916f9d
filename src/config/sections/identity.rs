//! `[identity]`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How an assertion becomes an identity.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct IdentitySection {
    /// The user's name; always required.
    pub(in crate::config) user: FieldSection,
    /// Mail address.
    pub(in crate::config) email: FieldSection,
    /// Name for display.
    pub(in crate::config) name: FieldSection,
    /// Tenant.
    pub(in crate::config) tenant: FieldSection,
    /// Role.
    pub(in crate::config) role: FieldSection,
    /// Groups.
    pub(in crate::config) groups: FieldSection,
    /// More fields, by name.
    pub(in crate::config) extra: BTreeMap<String, FieldSection>,
}

impl Default for IdentitySection {
    fn default() -> Self {
        Self {
            user: FieldSection::from_names(&["NameID"]),
            email: FieldSection::from_names(&[
                "email",
                "mail",
                "urn:oid:0.9.2342.19200300.100.1.3",
                "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress",
            ]),
            name: FieldSection::from_names(&[
                "displayName",
                "urn:oid:2.16.840.1.113730.3.1.241",
                "http://schemas.microsoft.com/identity/claims/displayname",
            ]),
            tenant: FieldSection::default(),
            role: FieldSection::default(),
            groups: FieldSection { max: Some(100), ..FieldSection::default() },
            extra: BTreeMap::new(),
        }
    }
}

/// How one field is read. The steps apply in this order: from or join, split, transform, pattern, map, allowed, max, default,
/// required.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct FieldSection {
    /// Attribute Names (exact, case-sensitive) or NameID; the first that has a value counts.
    pub(in crate::config) from: Vec<String>,
    /// Instead: the first value of each of from, joined by this.
    pub(in crate::config) join: Option<String>,
    /// Makes several values of one.
    pub(in crate::config) split: Option<String>,
    /// Applied in order.
    pub(in crate::config) transform: Vec<TransformWord>,
    /// A regular expression. A capture replaces the value; a value that doesn't match is dropped.
    pub(in crate::config) pattern: Option<String>,
    /// New names for values; other values stay.
    pub(in crate::config) map: BTreeMap<String, String>,
    /// Allowed values, best first. Another one refuses the login (user, email, tenant, role) or is dropped.
    pub(in crate::config) allowed: Option<Vec<String>>,
    /// Groups only: more are cut, and the assertion says so.
    pub(in crate::config) max: Option<usize>,
    /// When nothing was asserted.
    pub(in crate::config) default: Option<String>,
    /// Whether a missing value refuses the login.
    pub(in crate::config) required: bool,
}

impl Default for FieldSection {
    fn default() -> Self {
        Self {
            from: Vec::new(),
            join: None,
            split: None,
            transform: vec![TransformWord::Trim],
            pattern: None,
            map: BTreeMap::new(),
            allowed: None,
            max: None,
            default: None,
            required: false,
        }
    }
}

impl FieldSection {
    fn from_names(names: &[&str]) -> Self {
        Self { from: names.iter().map(|&name| name.to_owned()).collect(), ..Self::default() }
    }
}

/// A step of transform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum TransformWord {
    /// White space at both ends goes.
    Trim,
    /// Lower case.
    Lowercase,
    /// Upper case.
    Uppercase,
    /// What stands before the first @.
    BeforeAt,
}
