//! Attributes -> identity; identity -> headers and the assertion. Pure.

pub mod assertion;
pub mod headers;
pub mod mapping;
pub mod presets;
mod reserved;
pub mod signature;
pub mod values;

use std::collections::BTreeMap;

use crate::texts::Texts;

/// The values of which there is one at most, in the order in which they are kept: user, mail address, display name, tenant, role.
const SINGLE: usize = 5;

/// Who a user is to the application. Only [`mapping::Mapping::apply`] makes one (from a verified assertion).
///
/// There is one for every session, so it is one piece of memory: the single values, then the groups, then names and values of extra
/// fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    texts: Texts,
    groups: u32,
    groups_left_out: u32,
}

impl Identity {
    /// The user's name, non-empty.
    pub fn user(&self) -> &str {
        self.texts.get(0).unwrap_or_default()
    }
    /// Mail address.
    pub fn email(&self) -> Option<&str> {
        self.texts.get(1)
    }
    /// Display name.
    pub fn name(&self) -> Option<&str> {
        self.texts.get(2)
    }
    /// Tenant.
    pub fn tenant(&self) -> Option<&str> {
        self.texts.get(3)
    }
    /// Role.
    pub fn role(&self) -> Option<&str> {
        self.texts.get(4)
    }
    /// Groups, without duplicates, in the order asserted.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        (SINGLE..self.first_extra()).filter_map(|place| self.texts.get(place))
    }
    /// Whether groups were left out because there are more than `max`.
    pub fn groups_cut(&self) -> bool {
        self.groups_left_out > 0
    }
    /// How many groups were left out because there are more than `max`.
    pub fn groups_left_out(&self) -> usize {
        self.groups_left_out as usize
    }
    /// `[identity.extra.<name>]`: names and values, by name.
    pub fn extra(&self) -> impl Iterator<Item = (&str, &str)> {
        let places = (self.first_extra()..self.texts.len()).step_by(2);
        places.filter_map(|place| Some((self.texts.get(place)?, self.texts.get(place + 1)?)))
    }
    /// Octets of all values and their bookkeeping in memory.
    pub fn octets(&self) -> usize {
        self.texts.octets()
    }

    fn first_extra(&self) -> usize {
        SINGLE + self.groups as usize
    }
}

/// What an [`Identity`] is made of.
#[derive(Clone, Debug, Default)]
pub(in crate::identity) struct Fields {
    pub(in crate::identity) user: String,
    pub(in crate::identity) email: Option<String>,
    pub(in crate::identity) name: Option<String>,
    pub(in crate::identity) tenant: Option<String>,
    pub(in crate::identity) role: Option<String>,
    pub(in crate::identity) groups: Vec<String>,
    pub(in crate::identity) groups_left_out: usize,
    pub(in crate::identity) extra: BTreeMap<String, String>,
}

impl From<Fields> for Identity {
    fn from(fields: Fields) -> Self {
        let Fields { user, email, name, tenant, role, groups, groups_left_out, extra } = &fields;
        let single: [Option<&str>; SINGLE] = [Some(user), email.as_deref(), name.as_deref(), tenant.as_deref(), role.as_deref()];
        let extra = extra.iter().flat_map(|(name, value)| [name, value]);
        let others = groups.iter().chain(extra).map(|text| Some(text.as_str()));
        // A response of a quarter of a megabyte can't name 2^32 groups.
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Self {
            texts: Texts::new(&single.into_iter().chain(others).collect::<Vec<_>>()),
            groups: count(groups.len()),
            groups_left_out: count(*groups_left_out),
        }
    }
}

#[cfg(test)]
impl Fields {
    /// Somebody, for tests.
    pub(in crate::identity) fn for_tests(user: &str, role: Option<&str>, groups: &[&str]) -> Self {
        Self {
            user: user.to_owned(),
            role: role.map(str::to_owned),
            groups: groups.iter().map(|&group| group.to_owned()).collect(),
            ..Self::default()
        }
    }
}

#[cfg(test)]
impl Identity {
    /// An identity for the tests of the floors above.
    pub(crate) fn for_tests(user: &str, role: Option<&str>, groups: &[&str]) -> Self {
        Fields::for_tests(user, role, groups).into()
    }

    /// One with mail address and display name.
    pub(crate) fn with_contact(user: &str, role: Option<&str>, groups: &[&str], email: &str, name: &str) -> Self {
        let (email, name) = (Some(email.to_owned()), Some(name.to_owned()));
        Fields { email, name, ..Fields::for_tests(user, role, groups) }.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_comes_back_and_absent_ones_stay_absent() {
        let some = |text: &str| Some(text.to_owned());
        let extra = [("department", "R&D"), ("cost_centre", "")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let identity = Identity::from(Fields {
            email: some("a@x"),
            name: some("\u{141}ukasz"),
            tenant: some(""),
            groups_left_out: 3,
            extra: extra.into(),
            ..Fields::for_tests("alice", Some("admin"), &["a", "b,c"])
        });
        assert_eq!((identity.user(), identity.email(), identity.name()), ("alice", Some("a@x"), Some("\u{141}ukasz")));
        assert_eq!((identity.tenant(), identity.role()), (Some(""), Some("admin")));
        assert_eq!(identity.groups().collect::<Vec<_>>(), ["a", "b,c"]);
        assert_eq!(identity.extra().collect::<Vec<_>>(), [("cost_centre", ""), ("department", "R&D")]);
        assert_eq!((identity.groups_left_out(), identity.groups_cut()), (3, true));

        let identity = Identity::for_tests("alice", None, &[]);
        assert_eq!((identity.email(), identity.name(), identity.tenant(), identity.role()), (None, None, None, None));
        assert_eq!((identity.groups().count(), identity.extra().count(), identity.groups_cut()), (0, 0, false));
    }
}
