//! `[[access]]`: the first rule that matches decides; without a match, whoever is signed in may pass.

use std::ptr;
use std::sync::Arc;

use http::Method;

use super::assurance::{LoginTerms, Visitor};
use super::pattern::Pattern;
use super::target::Target;
use crate::clock::Timestamp;

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
    /// What it asks of the login.
    pub login: LoginTerms,
    /// Which application gets the requests: 0 is `[upstream]`'s, others count from there.
    pub application: usize,
}

impl Rule {
    /// A rule for every method that asks nothing of the login but that there is one.
    pub fn new(path: impl Into<String>, allow: Allow) -> Self {
        Self { path: path.into(), methods: Vec::new(), allow, login: LoginTerms::default(), application: 0 }
    }
}

/// All rules, compiled.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    rules: Vec<Compiled>,
    otherwise: Consequence,
}

#[derive(Clone, Debug)]
struct Compiled {
    pattern: Pattern,
    methods: Vec<Method>,
    consequence: Consequence,
}

/// What a rule leads to.
#[derive(Clone, Debug)]
struct Consequence {
    allow: Allow,
    login: Arc<LoginTerms>,
    application: usize,
}

/// Without a match.
impl Default for Consequence {
    fn default() -> Self {
        Self { allow: Allow::SignedIn, login: Arc::default(), application: 0 }
    }
}

impl Consequence {
    /// Whether both let the same requests pass, to the same application.
    fn agrees_with(&self, other: &Self) -> bool {
        let same = || {
            (&self.allow, &self.login.assurance, self.application) == (&other.allow, &other.login.assurance, other.application)
        };
        ptr::eq(self, other) || same()
    }
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
    application: usize,
}

impl Permit {
    /// What is forwarded.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Which application gets it: 0 is `[upstream]`'s.
    pub fn application(&self) -> usize {
        self.application
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
    /// It needs a session first, by a login on these terms.
    LoginRequired(Target, Arc<LoginTerms>),
    /// Its user may pass, but the login that the session comes from is too old or of another kind: they must authenticate anew.
    StepUpRequired(Target, Arc<LoginTerms>),
    /// It may not pass.
    Forbidden(Forbidden),
    /// The path can be read in several ways, and they lead to different rules: 400.
    Ambiguous,
}

impl Rules {
    /// Compiles rules in order.
    pub fn new(rules: Vec<Rule>) -> Self {
        let compile = |rule: Rule| Compiled {
            pattern: Pattern::new(&rule.path),
            methods: rule.methods,
            consequence: Consequence { allow: rule.allow, login: Arc::new(rule.login), application: rule.application },
        };
        Self { rules: rules.into_iter().map(compile).collect(), otherwise: Consequence::default() }
    }

    /// Decides. `visitor` is who has a live session, or `None`.
    ///
    /// A path that servers could read in several ways passes only when all of them lead to the same answer.
    pub fn decide(&self, target: Target, method: &Method, visitor: Option<&impl Visitor>, now: Timestamp) -> Decision {
        let Some(&Consequence { ref allow, ref login, application }) = self.consequence(&target, method) else {
            return Decision::Ambiguous;
        };
        match (allow, visitor) {
            (Allow::Nobody, _) => Decision::Forbidden(Forbidden::NotAllowed),
            (Allow::Anyone, _) => Decision::Permit(Permit { target, signed_in: visitor.is_some(), application }),
            (Allow::SignedIn | Allow::Members { .. }, None) => Decision::LoginRequired(target, Arc::clone(login)),
            (members, Some(visitor)) if !is_member(members, visitor) => Decision::Forbidden(Forbidden::RoleRequired),
            (_, Some(visitor)) if !login.assurance.is_met_by(visitor, now) => Decision::StepUpRequired(target, Arc::clone(login)),
            (_, Some(_)) => Decision::Permit(Permit { target, signed_in: true, application }),
        }
    }

    /// Whether a target needs no session, whatever reading: the store isn't asked in vain when it is away.
    pub fn is_public(&self, target: &Target, method: &Method) -> bool {
        self.consequence(target, method).is_some_and(|consequence| consequence.allow == Allow::Anyone)
    }

    /// On which terms a login towards a target begins; the usual ones when its readings disagree, which lets nobody pass anyway.
    pub fn login_terms(&self, target: &Target, method: &Method) -> Arc<LoginTerms> {
        Arc::clone(&self.consequence(target, method).unwrap_or(&self.otherwise).login)
    }

    /// Whether some rule asks for this authentication context class.
    pub fn name_context(&self, class: &str) -> bool {
        let mut named = self.rules.iter().flat_map(|rule| &rule.consequence.login.assurance.authn_context);
        named.any(|own| own == class)
    }

    /// Whether there are none: then every path needs a session and nothing else.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether a rule looks at methods: then the application must not be told another one by a header.
    pub fn name_methods(&self) -> bool {
        self.rules.iter().any(|rule| !rule.methods.is_empty())
    }

    /// What all readings agree on; `None` when they don't.
    fn consequence(&self, target: &Target, method: &Method) -> Option<&Consequence> {
        if self.rules.is_empty() {
            return Some(&self.otherwise);
        }
        let mut agreed: Option<&Consequence> = None;
        for reading in target.readings() {
            let first = self.rules.iter().find(|rule| rule.applies_to(method) && rule.pattern.matches(&reading));
            let consequence = first.map_or(&self.otherwise, |rule| &rule.consequence);
            match agreed {
                None => agreed = Some(consequence),
                Some(before) if before.agrees_with(consequence) => {}
                Some(_) => return None,
            }
        }
        agreed
    }
}

/// Whether a visitor is on one of the lists; without lists, everybody is.
fn is_member(allow: &Allow, visitor: &impl Visitor) -> bool {
    let Allow::Members { roles, groups, users, tenants } = allow else { return true };
    let identity = visitor.identity();
    let named = |list: &[String], value: Option<&str>| value.is_some_and(|value| list.iter().any(|v| v == value));
    named(roles, identity.role())
        || named(users, Some(identity.user()))
        || named(tenants, identity.tenant())
        || identity.groups().any(|group| groups.iter().any(|listed| listed == group))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use std::time::Duration;

    use super::*;
    use crate::access::Assurance;
    use crate::identity::Identity;

    const NOW: Timestamp = Timestamp::from_unix(1_772_366_400);

    /// Somebody who is signed in.
    struct Somebody {
        identity: Identity,
        reauthenticated: Option<Timestamp>,
        context: Option<&'static str>,
    }

    impl Visitor for Somebody {
        fn identity(&self) -> &Identity {
            &self.identity
        }
        fn reauthenticated(&self) -> Option<Timestamp> {
            self.reauthenticated
        }
        fn authn_context(&self) -> Option<&str> {
            self.context
        }
    }

    fn somebody(seconds_ago: Option<u64>, context: Option<&'static str>) -> Somebody {
        let reauthenticated = seconds_ago.map(|seconds| NOW.minus(Duration::from_secs(seconds)));
        Somebody { identity: Identity::for_tests("u", Some("admin"), &[]), reauthenticated, context }
    }

    fn rule(path: &str, allow: Allow) -> Rule {
        Rule::new(path, allow)
    }

    fn parse(target: &str) -> Target {
        Target::parse(&target.parse().unwrap()).unwrap()
    }

    fn ask(rules: &Rules, method: Method, target: &str) -> Decision {
        rules.decide(parse(target), &method, None::<&Somebody>, NOW)
    }

    #[test]
    fn without_a_rule_one_must_be_signed_in() {
        assert!(matches!(ask(&Rules::default(), Method::GET, "/x"), Decision::LoginRequired(..)));
        let rules = Rules::new(vec![rule("/public/**", Allow::Anyone)]);
        assert!(matches!(ask(&rules, Method::GET, "/publicadmin"), Decision::LoginRequired(..)));
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
        let rules = Rules::new(vec![Rule { methods: vec![Method::GET], ..rule("/a", Allow::Anyone) }]);
        assert!(matches!(ask(&rules, Method::HEAD, "/a"), Decision::Permit(_)));
        assert!(matches!(ask(&rules, Method::POST, "/a"), Decision::LoginRequired(..)));
        let rules = Rules::new(vec![Rule { methods: vec![Method::HEAD], ..rule("/a", Allow::Anyone) }]);
        assert!(matches!(ask(&rules, Method::GET, "/a"), Decision::LoginRequired(..)));
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
            assert!(matches!(ask(&rules, Method::GET, harmless), Decision::LoginRequired(..)), "{harmless}");
        }
    }

    fn terms(assurance: Assurance) -> LoginTerms {
        LoginTerms { assurance, ..LoginTerms::default() }
    }

    /// A rule for administrators that asks for more than a session.
    fn demanding(max_auth_age: Option<u64>, authn_context: &[&str]) -> Rules {
        let assurance = Assurance {
            max_auth_age: max_auth_age.map(Duration::from_secs),
            authn_context: authn_context.iter().map(|&class| class.to_owned()).collect(),
        };
        let admins = Allow::Members { roles: vec!["admin".into()], groups: Vec::new(), users: Vec::new(), tenants: Vec::new() };
        Rules::new(vec![Rule { login: terms(assurance), ..rule("/admin/**", admins) }])
    }

    #[test]
    fn a_login_must_be_as_young_and_of_the_kind_that_the_rule_says() {
        let passes = |rules: &Rules, who: &Somebody| match rules.decide(parse("/admin/x"), &Method::GET, Some(who), NOW) {
            Decision::Permit(permit) => permit.signed_in(),
            Decision::StepUpRequired(target, _) => target.path() != "/admin/x",
            other => panic!("{other:?}"),
        };
        let young = demanding(Some(900), &[]);
        assert!(passes(&young, &somebody(Some(0), None)) && passes(&young, &somebody(Some(900), None)));
        assert!(!passes(&young, &somebody(Some(901), None)) && !passes(&young, &somebody(None, Some("otp"))));
        let strong = demanding(None, &["otp", "card"]);
        assert!(passes(&strong, &somebody(None, Some("card"))));
        assert!(!passes(&strong, &somebody(Some(0), Some("password"))) && !passes(&strong, &somebody(Some(0), None)));
        let both = demanding(Some(900), &["otp"]);
        assert!(passes(&both, &somebody(Some(1), Some("otp"))));
        assert!(!passes(&both, &somebody(Some(1), Some("x"))) && !passes(&both, &somebody(None, Some("otp"))));
        assert!(both.name_context("otp") && !both.name_context("card") && !young.name_context("otp"));
    }

    #[test]
    fn whoever_may_not_pass_at_all_is_not_asked_to_authenticate() {
        let outsider = Somebody { identity: Identity::for_tests("u", Some("viewer"), &[]), ..somebody(None, None) };
        let decision = demanding(Some(900), &["otp"]).decide(parse("/admin/x"), &Method::GET, Some(&outsider), NOW);
        assert!(matches!(decision, Decision::Forbidden(Forbidden::RoleRequired)), "{decision:?}");
    }

    #[test]
    fn readings_that_differ_in_what_they_ask_of_the_login_are_ambiguous() {
        // Who is signed in may pass either way, but one reading asks for a young login.
        let assurance = Assurance { max_auth_age: Some(Duration::from_secs(60)), authn_context: Vec::new() };
        let open = Rules::new(vec![Rule { login: terms(assurance), ..rule("/admin/**", Allow::SignedIn) }]);
        let decision = open.decide(parse("//admin/x"), &Method::GET, Some(&somebody(None, None)), NOW);
        assert!(matches!(decision, Decision::Ambiguous), "{decision:?}");
    }

    proptest! {
        #[test]
        fn nothing_under_a_closed_path_is_ever_open(path in "/[admin/;%2fF6.]{0,16}") {
            let rules = Rules::new(vec![rule("/admin/**", Allow::Nobody), rule("/**", Allow::Anyone)]);
            let Ok(uri) = path.parse() else { return Ok(()) };
            let Ok(target) = Target::parse(&uri) else { return Ok(()) };
            if let Decision::Permit(permit) = rules.decide(target, &Method::GET, None::<&Somebody>, NOW) {
                let decoded = percent_encoding::percent_decode_str(permit.target().path()).decode_utf8_lossy().into_owned();
                let lenient: Vec<_> = decoded.split('/').map(|s| s.split(';').next().unwrap()).filter(|s| !s.is_empty()).collect();
                prop_assert_ne!(lenient.first().copied(), Some("admin"), "{}", path);
            }
        }
    }
}
