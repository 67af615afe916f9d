//! The `[identity]` section, compiled, and what it makes of an assertion.

use std::collections::BTreeMap;

use regex::Regex;
use thiserror::Error;

use super::values::{Fate, is_blank, prepare};
use super::{Fields, Identity};
use crate::saml::{Attribute, VerifiedAssertion};

/// A step of `transform`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transform {
    /// White space at both ends goes.
    Trim,
    /// Lower case. No letter outside ASCII becomes one inside.
    Lowercase,
    /// Upper case. No letter outside ASCII becomes one inside.
    Uppercase,
    /// What stands before the first `@`; a value without one stays whole.
    BeforeAt,
}

/// How one field is read from the assertion, in this order:
///
/// 1. `from`: the first of these that has a value, all its values; or `join`: the first value of each, joined, those without
///    one left out. A value of white space only is none.
/// 2. `split` makes several of each.
/// 3. Control and invisible characters are looked for ([`super::values::judge`]), after a `trim`, before anything else.
/// 4. `transform`, in the order given.
/// 5. `pattern`: a capture replaces the value, a value without a match is dropped.
/// 6. `map`, 7. `allowed`. 8. Equal values become one; groups beyond `max` are cut, other fields keep one value.
/// 9. `default`, when no value is left, and then `required`.
#[derive(Clone, Debug, Default)]
pub struct FieldMapping {
    /// Attribute Names (exact) or `NameID`; the first that has a value.
    pub from: Vec<String>,
    /// Instead: all of `from`, joined.
    pub join: Option<String>,
    /// Applied in order.
    pub transform: Vec<Transform>,
    /// A capture replaces the value; a value that doesn't match is dropped.
    pub pattern: Option<Regex>,
    /// One value into many.
    pub split: Option<String>,
    /// Renamed values; unmapped ones pass unless `allowed` says otherwise.
    pub map: BTreeMap<String, String>,
    /// The only values allowed; `None`: any. Of several, role takes the one that stands first here.
    pub allowed: Option<Vec<String>>,
    /// More values are cut.
    pub max: Option<usize>,
    /// When nothing was asserted.
    pub default: Option<String>,
    /// Missing refuses the login.
    pub required: bool,
}

/// The whole `[identity]` section.
#[derive(Clone, Debug, Default)]
pub struct Mapping {
    /// `[identity.user]`. Always required: nobody can be signed in as nobody.
    pub user: FieldMapping,
    /// `[identity.email]`; `None`: not read.
    pub email: Option<FieldMapping>,
    /// `[identity.name]`.
    pub name: Option<FieldMapping>,
    /// `[identity.tenant]`.
    pub tenant: Option<FieldMapping>,
    /// `[identity.role]`.
    pub role: Option<FieldMapping>,
    /// `[identity.groups]`.
    pub groups: Option<FieldMapping>,
    /// `[identity.extra.<name>]`.
    pub extra: BTreeMap<String, FieldMapping>,
}

/// Why an assertion gives no identity.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum IdentityError {
    /// A required field has no value.
    #[error("{field} is required, but the IdP sent no usable value of {from:?}; it sent the attributes {sent:?}")]
    AttributeMissing {
        /// `user`, `role`, `extra.department` ...
        field: String,
        /// The attribute Names looked for.
        from: Vec<String>,
        /// The attribute Names that were sent, at most twenty.
        sent: Vec<String>,
    },
    /// A value stands not in `allowed`, or can't be used (control characters).
    #[error("{field} has a value that is not allowed: {value:?}")]
    ValueNotAllowed {
        /// `role`, `tenant`, ...
        field: String,
        /// The value, cut.
        value: String,
    },
}

impl IdentityError {
    /// The stable reason code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::AttributeMissing { .. } => "attribute_missing",
            Self::ValueNotAllowed { .. } => "value_not_allowed",
        }
    }
}

/// How many characters of a value and how many attribute Names an error shows.
const SHOWN_CHARACTERS: usize = 100;
const SHOWN_NAMES: usize = 20;

impl Mapping {
    /// What the assertion says about the user.
    ///
    /// # Errors
    /// When a required field is missing or a value is not allowed.
    pub fn apply(&self, assertion: &VerifiedAssertion) -> Result<Identity, IdentityError> {
        self.read(&Asserted { name_id: &assertion.name_id().value, attributes: assertion.attributes() })
    }

    fn read(&self, asserted: &Asserted<'_>) -> Result<Identity, IdentityError> {
        let one = |name: &str, field: &Option<FieldMapping>, strictness| match field {
            Some(field) => Ok(Reader { name, field, asserted }.values(strictness)?.into_iter().next()),
            None => Ok(None),
        };
        let user = Reader { name: "user", field: &self.user, asserted };
        let mut groups = match &self.groups {
            Some(field) => Reader { name: "groups", field, asserted }.values(Strictness::Drop)?,
            None => Vec::new(),
        };
        let max = self.groups.as_ref().and_then(|field| field.max).unwrap_or(usize::MAX);
        let groups_left_out = groups.len().saturating_sub(max);
        groups.truncate(max);

        let mut extra = BTreeMap::new();
        for (key, field) in &self.extra {
            let reader = Reader { name: &format!("extra.{key}"), field, asserted };
            if let Some(value) = reader.values(Strictness::Drop)?.into_iter().next() {
                extra.insert(key.clone(), value);
            }
        }
        Ok(Identity::from(Fields {
            user: user.values(Strictness::RefuseAny)?.into_iter().next().ok_or_else(|| user.missing())?,
            email: one("email", &self.email, Strictness::RefuseAny)?,
            name: one("name", &self.name, Strictness::Drop)?,
            tenant: one("tenant", &self.tenant, Strictness::RefuseAny)?,
            role: one("role", &self.role, Strictness::TakeBest)?,
            groups,
            groups_left_out,
            extra,
        }))
    }
}

/// What the mapping reads.
struct Asserted<'a> {
    name_id: &'a str,
    attributes: &'a [Attribute],
}

impl Asserted<'_> {
    /// The values under a Name that say something.
    fn values(&self, name: &str) -> Vec<&str> {
        let values: Vec<&str> = if name == "NameID" {
            vec![self.name_id]
        } else {
            let named = self.attributes.iter().filter(|attribute| attribute.name == name);
            named.flat_map(|attribute| &attribute.values).map(String::as_str).collect()
        };
        values.into_iter().filter(|value| !is_blank(value)).collect()
    }
}

/// What a value that can't be used, or isn't allowed, leads to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Strictness {
    /// The login is refused: who the user is, and whose, may never be a guess.
    RefuseAny,
    /// As above for unusable ones. Of usable ones the best allowed is taken, and only if none is, the login is refused:
    /// roles are often read from attributes that say much else.
    TakeBest,
    /// The value is dropped: less is said about the user, and nothing untrue.
    Drop,
}

/// Reads one field.
struct Reader<'a> {
    name: &'a str,
    field: &'a FieldMapping,
    asserted: &'a Asserted<'a>,
}

impl Reader<'_> {
    /// All values, each once, in the order asserted (role: in the order of `allowed`).
    fn values(&self, strictness: Strictness) -> Result<Vec<String>, IdentityError> {
        let mut values: Vec<String> = Vec::new();
        let mut refused = None;
        for raw in self.raw() {
            match prepare(&raw, self.field) {
                Fate::Dropped => {}
                Fate::Unusable(_) if strictness == Strictness::Drop => {}
                Fate::Unusable(value) => return Err(self.not_allowed(&value)),
                Fate::Kept(value) if !self.is_allowed(&value) => {
                    if strictness == Strictness::RefuseAny {
                        return Err(self.not_allowed(&value));
                    }
                    refused.get_or_insert(value);
                }
                Fate::Kept(value) => {
                    if !values.contains(&value) {
                        values.push(value);
                    }
                }
            }
        }
        if strictness == Strictness::TakeBest {
            if let (true, Some(value)) = (values.is_empty(), refused) {
                return Err(self.not_allowed(&value));
            }
            if let Some(allowed) = &self.field.allowed {
                values.sort_by_key(|value| allowed.iter().position(|one| one == value));
            }
        }
        if values.is_empty() {
            values.extend(self.field.default.clone());
        }
        if values.is_empty() && self.field.required { Err(self.missing()) } else { Ok(values) }
    }

    /// Steps 1 and 2: what stands there, joined or split.
    fn raw(&self) -> Vec<String> {
        let FieldMapping { from, join, split, .. } = self.field;
        let found: Vec<String> = match join {
            Some(join) => {
                let firsts: Vec<&str> = from.iter().filter_map(|name| self.asserted.values(name).first().copied()).collect();
                vec![firsts.join(join)]
            }
            None => {
                let first = from.iter().map(|name| self.asserted.values(name)).find(|values| !values.is_empty());
                first.unwrap_or_default().into_iter().map(str::to_owned).collect()
            }
        };
        match split.as_deref() {
            Some(split) if !split.is_empty() => found.iter().flat_map(|value| value.split(split)).map(str::to_owned).collect(),
            _ => found,
        }
    }

    fn is_allowed(&self, value: &String) -> bool {
        self.field.allowed.as_ref().is_none_or(|allowed| allowed.contains(value))
    }

    fn missing(&self) -> IdentityError {
        let names = self.asserted.attributes.iter().map(|attribute| cut(&attribute.name));
        IdentityError::AttributeMissing {
            field: self.name.to_owned(),
            from: self.field.from.clone(),
            sent: names.take(SHOWN_NAMES).collect(),
        }
    }

    fn not_allowed(&self, value: &str) -> IdentityError {
        IdentityError::ValueNotAllowed { field: self.name.to_owned(), value: cut(value) }
    }
}

fn cut(text: &str) -> String {
    text.chars().take(SHOWN_CHARACTERS).collect()
}

#[cfg(test)]
mod tests;
