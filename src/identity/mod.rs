//! Attributes -> identity; identity -> headers and the assertion. Pure.

pub mod assertion;
pub mod headers;
pub mod mapping;
pub mod presets;
mod reserved;
pub mod signature;
pub mod values;

use std::collections::BTreeMap;

/// Who a user is to the application. Only [`mapping::Mapping::apply`] makes one (from a verified assertion).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub(in crate::identity) user: String,
    pub(in crate::identity) email: Option<String>,
    pub(in crate::identity) name: Option<String>,
    pub(in crate::identity) tenant: Option<String>,
    pub(in crate::identity) role: Option<String>,
    pub(in crate::identity) groups: Vec<String>,
    pub(in crate::identity) groups_left_out: usize,
    pub(in crate::identity) extra: BTreeMap<String, String>,
}

impl Identity {
    /// The user's name, non-empty.
    pub fn user(&self) -> &str {
        &self.user
    }
    /// Mail address.
    pub fn email(&self) -> Option<&str> {
        self.email.as_deref()
    }
    /// Display name.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
    /// Tenant.
    pub fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }
    /// Role.
    pub fn role(&self) -> Option<&str> {
        self.role.as_deref()
    }
    /// Groups, without duplicates, in the order asserted.
    pub fn groups(&self) -> &[String] {
        &self.groups
    }
    /// Whether groups were left out because there are more than `max`.
    pub fn groups_cut(&self) -> bool {
        self.groups_left_out > 0
    }
    /// How many groups were left out because there are more than `max`.
    pub fn groups_left_out(&self) -> usize {
        self.groups_left_out
    }
    /// `[identity.extra.<name>]`.
    pub fn extra(&self) -> &BTreeMap<String, String> {
        &self.extra
    }
}

#[cfg(test)]
impl Identity {
    /// An identity for the tests of the floors above.
    pub(crate) fn for_tests(user: &str, role: Option<&str>, groups: &[&str]) -> Self {
        Self {
            user: user.to_owned(),
            email: None,
            name: None,
            tenant: None,
            role: role.map(str::to_owned),
            groups: groups.iter().map(|&group| group.to_owned()).collect(),
            groups_left_out: 0,
            extra: BTreeMap::new(),
        }
    }

    /// The same person, with mail address and display name.
    pub(crate) fn with_contact(mut self, email: &str, name: &str) -> Self {
        (self.email, self.name) = (Some(email.to_owned()), Some(name.to_owned()));
        self
    }
}
