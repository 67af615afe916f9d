//! What applications call the headers in which they take an identity.

/// The names, the separator and the role words of one application. An empty name: the application doesn't read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preset {
    /// What `headers.preset` calls it.
    pub name: &'static str,
    /// Header of the user.
    pub user: &'static str,
    /// Header of the mail address.
    pub email: &'static str,
    /// Header of the display name.
    pub display_name: &'static str,
    /// Header of the tenant.
    pub tenant: &'static str,
    /// Header of the role.
    pub role: &'static str,
    /// Header of the groups.
    pub groups: &'static str,
    /// Headers of extra fields, sent when `[identity.extra.<field>]` is there.
    pub extra: &'static [(&'static str, &'static str)],
    /// Between groups.
    pub separator: &'static str,
    /// Our word for a role, and the application's.
    pub roles: &'static [(&'static str, &'static str)],
}

/// No application in particular: the names that INTERFACE's example gives.
const NONE: Preset = Preset {
    name: "none",
    user: "X-User",
    email: "X-Email",
    display_name: "X-Name",
    tenant: "X-Tenant",
    role: "X-Role",
    groups: "X-Groups",
    extra: &[],
    separator: ",",
    roles: &[],
};

/// An application that reads nothing but the user's name.
const fn user_only(name: &'static str, user: &'static str) -> Preset {
    Preset { name, user, email: "", display_name: "", tenant: "", role: "", groups: "", extra: &[], separator: ",", roles: &[] }
}

/// All presets. The applications' own settings for these names stand in docs/applications.
pub const PRESETS: &[Preset] = &[
    NONE,
    Preset {
        email: "X-WEBAUTH-EMAIL",
        display_name: "X-WEBAUTH-NAME",
        role: "X-WEBAUTH-ROLE",
        groups: "X-WEBAUTH-GROUPS",
        // Grafana compares role names exactly.
        roles: &[("admin", "Admin"), ("editor", "Editor"), ("viewer", "Viewer")],
        ..user_only("grafana", "X-WEBAUTH-USER")
    },
    Preset { email: "X-WEBAUTH-EMAIL", display_name: "X-WEBAUTH-FULLNAME", ..user_only("gitea", "X-WEBAUTH-USER") },
    Preset { email: "X-WEBAUTH-EMAIL", display_name: "X-WEBAUTH-FULLNAME", ..user_only("forgejo", "X-WEBAUTH-USER") },
    Preset {
        email: "X-Forwarded-Mail",
        display_name: "X-Forwarded-DisplayName",
        groups: "X-Forwarded-Groups",
        separator: "|",
        ..user_only("jenkins", "X-Forwarded-User")
    },
    Preset {
        display_name: "X-Full-name",
        role: "X-Role",
        groups: "X-Team",
        extra: &[("first_name", "X-First-name"), ("last_name", "X-Last-name")],
        separator: "|",
        ..user_only("cloudbeaver", "X-User")
    },
    Preset {
        email: "Remote-User-Email",
        groups: "Remote-User-Group",
        extra: &[("first_name", "Remote-User-First-Name"), ("last_name", "Remote-User-Last-Name")],
        separator: "|",
        ..user_only("netbox", "Remote-User")
    },
    Preset {
        email: "X-Forwarded-Email",
        display_name: "X-Forwarded-Name",
        groups: "X-Forwarded-Groups",
        ..user_only("sonarqube", "X-Forwarded-Login")
    },
    Preset {
        email: "X-Forwarded-User-Email",
        groups: "X-Forwarded-Roles",
        extra: &[("first_name", "X-Forwarded-User-FirstName"), ("last_name", "X-Forwarded-User-LastName")],
        ..user_only("rundeck", "X-Forwarded-Uuid")
    },
    Preset { groups: "x-proxy-roles", ..user_only("opensearch", "x-proxy-user") },
    user_only("superset", "X-User"),
    user_only("airflow", "X-User"),
    user_only("pgadmin", "X-User"),
    user_only("jupyterhub", "X-User"),
    user_only("radicale", "X-Remote-User"),
    user_only("paperless", "Remote-User"),
];

impl Preset {
    /// The preset of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        PRESETS.iter().find(|preset| preset.name == name)
    }

    /// All header names in it.
    pub fn headers(&self) -> impl Iterator<Item = &'static str> {
        let plain = [self.user, self.email, self.display_name, self.tenant, self.role, self.groups];
        plain.into_iter().chain(self.extra.iter().map(|&(_, header)| header)).filter(|header| !header.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_headers_usable_and_distinct() {
        for (at, preset) in PRESETS.iter().enumerate() {
            assert_eq!(PRESETS.iter().position(|other| other.name == preset.name), Some(at));
            let mut headers: Vec<String> = preset.headers().map(str::to_ascii_lowercase).collect();
            assert!(headers.iter().all(|header| http::HeaderName::try_from(header).is_ok()), "{}", preset.name);
            let count = headers.len();
            headers.sort();
            headers.dedup();
            assert_eq!(headers.len(), count, "{}", preset.name);
        }
        assert_eq!(Preset::named("grafana").map(|preset| preset.user), Some("X-WEBAUTH-USER"));
        assert_eq!(Preset::named("Grafana"), None);
    }
}
