//! What rules ask of logins.

use super::*;
use crate::access::Assurance;

fn rule(lines: &str) -> String {
    with(&format!("[[access]]\npath = \"/x\"\n{lines}\n"))
}

#[test]
fn a_rule_says_how_good_a_login_must_be() {
    let config = loaded(&rule("allow = \"signed-in\"\nmax_auth_age = \"15m\"\nauthn_context = [\"urn:otp\"]")).unwrap();
    let expected = Assurance { max_auth_age: Some(Duration::from_secs(900)), authn_context: vec!["urn:otp".to_owned()] };
    assert_eq!(config.rules[0].login.assurance, expected);
    assert!(!config.warnings.iter().any(|warning| warning.contains("access")), "{:?}", config.warnings);
    let config = loaded(&rule("allow = \"signed-in\"")).unwrap();
    assert_eq!(config.rules[0].login.assurance, Assurance::default());
}

#[test]
fn what_could_never_be_satisfied_or_has_no_effect_is_refused() {
    for (lines, begin) in [
        ("allow = \"signed-in\"\nmax_auth_age = \"10s\"", "access.0.max_auth_age: is 10s: too short"),
        ("allow = \"anyone\"\nmax_auth_age = \"15m\"", "access.0.max_auth_age: has no effect beside allow = \"anyone\""),
        ("allow = \"nobody\"\nauthn_context = [\"x\"]", "access.0.authn_context: has no effect beside allow = \"nobody\""),
        ("allow = \"signed-in\"\nauthn_context = [\"x\", \" \"]", "access.0.authn_context.1: is empty"),
    ] {
        let problems = refused(&rule(lines));
        assert!(problems.len() == 1 && problems[0].starts_with(begin), "{problems:?}");
    }
}

#[test]
fn a_rule_and_the_idps_must_agree_on_some_class() {
    let narrow = SMALLEST.replace("id = \"main\"", "id = \"main\"\nauthn_context = [\"urn:password\"]");
    let asks = "\n[[access]]\npath = \"/x\"\nallow = \"signed-in\"\nauthn_context = [\"urn:otp\"]\n";
    let problems = refused(&format!("{narrow}{asks}"));
    assert!(
        problems[0].starts_with("access.0.authn_context: has no class that authn_context of \"main\" accepts"),
        "{problems:?}"
    );
    let second = "\n[[idp]]\nid = \"second\"\nentity_id = \"https://second.example\"\nsso_url = \"https://second.example/sso\"\ncertificates = [\"idp.crt\"]\n";
    let config = loaded(&format!("{narrow}{asks}{second}")).unwrap();
    assert!(config.warnings.iter().any(|warning| warning.starts_with("access.0.authn_context: has no class")));
}

#[test]
fn requests_that_can_be_changed_on_the_way_are_warned_about() {
    let unsigned = rule("allow = \"signed-in\"\nmax_auth_age = \"15m\"").replace("\"sp\":{", "\"sp\":{\"sign_requests\":false,");
    let config = loaded(&unsigned).unwrap();
    assert!(
        config.warnings.iter().any(|warning| warning.starts_with("access.0.max_auth_age: is asked for")),
        "{:?}",
        config.warnings
    );
}

#[test]
fn a_kept_form_has_a_size() {
    let config = loaded(&rule("allow = \"signed-in\"\nkeep_form = \"64KiB\"\nkeep_fragment = true")).unwrap();
    assert_eq!(config.rules[0].login.keep_form, Some(64 << 10));
    assert!(config.rules[0].login.keep_fragment);
    for size in ["unlimited", "0B", "2MiB"] {
        let problems = refused(&rule(&format!("allow = \"signed-in\"\nkeep_form = \"{size}\"")));
        assert!(problems[0].starts_with(&format!("access.0.keep_form: is {size}; write a size")), "{problems:?}");
    }
    let problems = refused(&rule("allow = \"anyone\"\nkeep_form = \"1KiB\"\nkeep_fragment = true"));
    assert_eq!(problems.len(), 2, "{problems:?}");
}
