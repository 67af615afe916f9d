//! `[[access]]`: the first rule that matches decides; without a match, whoever is signed in may pass.

use http::Method;

use super::pattern::Pattern;
use super::target::Target;
use crate::identity::Identity;

/// Whom a rule lets pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allow {
    /// Everybody, signed in or not.
    Anyone,
    /// Whoever has a session.
    SignedIn,
    /// Nobody.
    Nobody,
    /// Sessions with one of these.
    Members {
        /// Roles.
        roles: Vec<String>,
        /// Groups.
        groups: Vec<String>,
        /// Users.
        users: Vec<String>,
        /// Tenants.
        tenants: Vec<String>,
    },
}

/// One `[[access]]` entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Exact, or `*` within and `**` across segments. `/x/**` also means `/x`.
    pub path: String,
    /// Empty: every method. `GET` also means `HEAD`, which asks for the same thing: a rule that keeps people from reading
    /// a page would else let them see its headers. Compared exactly: the gate lets no method with lower-case letters this far.
    pub methods: Vec<Method>,
    /// Whom it lets pass.
    pub allow: Allow,
}

/// All rules, compiled.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    rules: Vec<Compiled>,
}

#[derive(Clone, Debug)]
struct Compiled {
    pattern: Pattern,
    methods: Vec<Method>,
    allow: Allow,
}

impl Compiled {
    fn applies_to(&self, method: &Method) -> bool {
        let named = |wanted: &Method| self.methods.contains(wanted);
        self.methods.is_empty() || named(method) || (*method == Method::HEAD && named(&Method::GET))
    }
}

/// The right to reach the application with one target. Only [`Rules::decide`] makes one; `proxy::forward` can't be called
/// without.
#[derive(Debug)]
pub struct Permit {
    target: Target,
    signed_in: bool,
}

impl Permit {
    /// What is forwarded.
    pub fn target(&self) -> &Target {
        &self.target
    }
    /// Whether a session stands behind it.
    pub fn signed_in(&self) -> bool {
        self.signed_in
    }
}

/// Why a known user may not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forbidden {
    /// The rule asks for a role, group, user or tenant that the session doesn't have: `role_required`.
    RoleRequired,
    /// Nobody may: `not_allowed`.
    NotAllowed,
}

impl Forbidden {
    /// The stable reason code.
    pub fn code(self) -> &'static str {
        match self {
            Self::RoleRequired => "role_required",
            Self::NotAllowed => "not_allowed",
        }
    }
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Decision {
    /// It may pass.
    Permit(Permit),
    /// It needs a session first.
    LoginRequired(Target),
    /// It may not pass.
    Forbidden(Forbidden),
    /// The path can be read in several ways, and they lead to different rules: 400.
    Ambiguous,
}

impl Rules {
    /// Compiles rules in order.
    pub fn new(rules: Vec<Rule>) -> Self {
        let compile = |rule: Rule| Compiled { pattern: Pattern::new(&rule.path), methods: rule.methods, allow: rule.allow };
        Self { rules: rules.into_iter().map(compile).collect() }
    }

    /// Decides. `identity` is that of a live session, or `None`.
    ///
    /// A path that servers could read in several ways passes only when all of them lead to the same answer.
    pub fn decide(&self, target: Target, method: &Method, identity: Option<&Identity>) -> Decision {
        let Some(allow) = self.outcome(&target, method) else {
            return Decision::Ambiguous;
        };
        match (allow, identity) {
            (Allow::Nobody, _) => Decision::Forbidden(Forbidden::NotAllowed),
            (Allow::Anyone, _) => Decision::Permit(Permit { target, signed_in: identity.is_some() }),
            (Allow::SignedIn | Allow::Members { .. }, None) => Decision::LoginRequired(target),
            (Allow::SignedIn, Some(_)) => Decision::Permit(Permit { target, signed_in: true }),
            (Allow::Members { roles, groups, users, tenants }, Some(identity)) => {
                let named = |list: &[String], value: Option<&str>| value.is_some_and(|value| list.iter().any(|v| v == value));
                let member = named(roles, identity.role())
                    || named(users, Some(identity.user()))
                    || named(tenants, identity.tenant())
                    || identity.groups().iter().any(|group| groups.contains(group));
                if member {
                    Decision::Permit(Permit { target, signed_in: true })
                } else {
                    Decision::Forbidden(Forbidden::RoleRequired)
                }
            }
        }
    }

    /// Whether a target needs no session, whatever reading: the store isn't asked in vain when it is away.
    pub fn is_public(&self, target: &Target, method: &Method) -> bool {
        self.outcome(target, method) == Some(&Allow::Anyone)
    }

    /// Whether a rule looks at methods: then the application must not be told another one by a header.
    pub fn name_methods(&self) -> bool {
        self.rules.iter().any(|rule| !rule.methods.is_empty())
    }

    /// What all readings agree on; `None` when they don't.
    fn outcome(&self, target: &Target, method: &Method) -> Option<&Allow> {
        if self.rules.is_empty() {
            return Some(&Allow::SignedIn);
        }
        let mut agreed = None;
        for reading in target.readings() {
            let first = self.rules.iter().find(|rule| rule.applies_to(method) && rule.pattern.matches(&reading));
            let allow = first.map_or(&Allow::SignedIn, |rule| &rule.allow);
            match agreed {
                None => agreed = Some(allow),
                Some(before) if before == allow => {}
                Some(_) => return None,
            }
        }
        agreed
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rule(path: &str, allow: Allow) -> Rule {
        Rule { path: path.to_owned(), methods: Vec::new(), allow }
    }

    fn ask(rules: &Rules, method: Method, target: &str) -> Decision {
        rules.decide(Target::parse(&target.parse().unwrap()).unwrap(), &method, None)
    }

    #[test]
    fn without_a_rule_one_must_be_signed_in() {
        assert!(matches!(ask(&Rules::default(), Method::GET, "/x"), Decision::LoginRequired(_)));
        let rules = Rules::new(vec![rule("/public/**", Allow::Anyone)]);
        assert!(matches!(ask(&rules, Method::GET, "/publicadmin"), Decision::LoginRequired(_)));
        assert!(matches!(ask(&rules, Method::GET, "/public/x"), Decision::Permit(permit) if !permit.signed_in()));
    }

    #[test]
    fn the_first_match_decides() {
        let rules = Rules::new(vec![rule("/a/secret", Allow::Nobody), rule("/a/**", Allow::Anyone), rule("/**", Allow::Nobody)]);
        assert!(matches!(ask(&rules, Method::GET, "/a/secret"), Decision::Forbidden(Forbidden::NotAllowed)));
        assert!(matches!(ask(&rules, Method::GET, "/a/b"), Decision::Permit(_)));
        assert!(matches!(ask(&rules, Method::GET, "/b"), Decision::Forbidden(_)));
    }

    #[test]
    fn head_is_get_and_nothing_else_is() {
        let rules = Rules::new(vec![Rule { path: "/a".into(), methods: vec![Method::GET], allow: Allow::Anyone }]);
        assert!(matches!(ask(&rules, Method::HEAD, "/a"), Decision::Permit(_)));
        assert!(matches!(ask(&rules, Method::POST, "/a"), Decision::LoginRequired(_)));
        let rules = Rules::new(vec![Rule { path: "/a".into(), methods: vec![Method::HEAD], allow: Allow::Anyone }]);
        assert!(matches!(ask(&rules, Method::GET, "/a"), Decision::LoginRequired(_)));
    }

    #[test]
    fn readings_that_disagree_are_ambiguous() {
        let rules = Rules::new(vec![rule("/public/**", Allow::Anyone), rule("/admin/**", Allow::Nobody)]);
        for target in ["/public%2Fx", "/public;/x", "/%70ublic/x", "//admin", "//public", "/admin;x", "/x%2f%2fy;/..a/%2Fadmin"] {
            let decision = ask(&rules, Method::GET, target);
            let agreed = target.starts_with("/x");
            assert_eq!(matches!(decision, Decision::Ambiguous), !agreed, "{target} {decision:?}");
        }
        assert!(matches!(ask(&rules, Method::GET, "/public/a%2Fb;c//d"), Decision::Permit(_)));
        assert!(rules.is_public(&Target::parse(&"/public/a".parse().unwrap()).unwrap(), &Method::GET));
    }

    #[test]
    fn what_some_servers_make_of_a_path_is_no_way_around_a_rule() {
        let rules = Rules::new(vec![rule("/admin/**", Allow::Nobody), rule("/admin", Allow::Nobody)]);
        // A host where a path was meant; decoded twice; a query behind an escaped question mark.
        for target in [
            "//x/admin/y",
            "///x/admin/y",
            "//x:1@app/admin/s",
            "/%2f/x/admin/y",
            "/%2561dmin/x",
            "/admin%252fx",
            "/admin%3fx",
            "/admin%23",
        ] {
            assert!(matches!(ask(&rules, Method::GET, target), Decision::Ambiguous), "{target}");
        }
        for harmless in ["//x/y", "/a%2561", "/a%3fb", "/100%25", "/x//admin"] {
            assert!(matches!(ask(&rules, Method::GET, harmless), Decision::LoginRequired(_)), "{harmless}");
        }
    }

    proptest! {
        #[test]
        fn nothing_under_a_closed_path_is_ever_open(path in "/[admin/;%2fF6.]{0,16}") {
            let rules = Rules::new(vec![rule("/admin/**", Allow::Nobody), rule("/**", Allow::Anyone)]);
            let Ok(uri) = path.parse() else { return Ok(()) };
            let Ok(target) = Target::parse(&uri) else { return Ok(()) };
            if let Decision::Permit(permit) = rules.decide(target, &Method::GET, None) {
                let decoded = percent_encoding::percent_decode_str(permit.target().path()).decode_utf8_lossy().into_owned();
                let lenient: Vec<_> = decoded.split('/').map(|s| s.split(';').next().unwrap()).filter(|s| !s.is_empty()).collect();
                prop_assert_ne!(lenient.first().copied(), Some("admin"), "{}", path);
            }
        }
    }
}
