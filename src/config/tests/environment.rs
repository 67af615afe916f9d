//! Settings by variables.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use super::*;

fn with_variables(variables: &[(&str, &str)]) -> Result<Config, Problems> {
    load_in(&folder(), "samlgate.toml", SMALLEST, variables)
}

#[test]
fn octets_that_are_not_utf_8_are_reported_of_our_variables_only() {
    let folder = folder();
    let file = folder.path().join("samlgate.toml");
    fs::write(&file, SMALLEST).unwrap();
    let octets = |text: &[u8]| OsString::from_vec(text.to_vec());
    let load_with = |variables: &[(&[u8], &[u8])]| {
        load(Some(&file), variables.iter().map(|(name, text)| (octets(name), octets(text))), now())
    };
    assert!(load_with(&[(b"FOO", b"\xff"), (b"\xff", b"x"), (b"SAMLGATE_PORT", b"\xff")]).is_ok());
    let problems = load_with(&[(b"SAMLGATE_LOG__LEVEL", b"\xff"), (b"SAMLGATE_\xff", b"x")]).unwrap_err();
    assert_eq!(
        problems.to_string(),
        "SAMLGATE_LOG__LEVEL: is not UTF-8\nSAMLGATE_\u{fffd}: is no setting: the name is not UTF-8"
    );
}

#[test]
fn texts_stay_as_they_are() {
    let field = |variable: &str, text: &str| {
        let variables = [(variable, text), ("SAMLGATE_IDENTITY__NAME__FROM", "[givenName,sn]")];
        with_variables(&variables).unwrap().mapping.name.unwrap()
    };
    for text in [" ", ", ", " - "] {
        assert_eq!(field("SAMLGATE_IDENTITY__NAME__JOIN", text).join.as_deref(), Some(text));
    }
    assert_eq!(field("SAMLGATE_IDENTITY__NAME__JOIN", "\" \"").join.as_deref(), Some(" "), "quotes are taken off");
    assert_eq!(field("SAMLGATE_IDENTITY__NAME__DEFAULT", " 5 ").default.as_deref(), Some(" 5 "));
    // A line's end, as a file has it from which the variable was filled.
    assert_eq!(with_variables(&[("SAMLGATE_UPSTREAM__URL", "http://127.0.0.1:3001\n")]).unwrap().warnings.len(), 1);
}

#[test]
fn mistakes_of_meaning_name_the_variable() {
    let problems = with_variables(&[
        ("SAMLGATE_LISTEN__TRUSTED_PROXIES", "[everybody]"),
        ("SAMLGATE_LOG__LEVEL", "loud"),
        ("SAMLGATE_IDP__0__CLOCK_SKEW", "2h"),
        ("SAMLGATE_LISTEN__ADDRESS", "here"),
    ])
    .unwrap_err();
    let keys: Vec<&str> = problems.all().iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(
        keys,
        [
            "listen.address (SAMLGATE_LISTEN__ADDRESS)",
            "listen.trusted_proxies.0 (SAMLGATE_LISTEN__TRUSTED_PROXIES)",
            "idp.0.clock_skew (SAMLGATE_IDP__0__CLOCK_SKEW)",
            "log.level (SAMLGATE_LOG__LEVEL)",
        ]
    );
    let warnings = with_variables(&[("SAMLGATE_LISTEN__OPS_ADDRESS", "0.0.0.0:9090")]).unwrap().warnings;
    assert!(warnings[0].starts_with("listen.ops_address (SAMLGATE_LISTEN__OPS_ADDRESS): "), "{warnings:?}");
}

#[test]
fn a_misspelt_section_and_a_gap_name_the_variable() {
    let said = |name: &str, text: &str| with_variables(&[(name, text)]).unwrap_err().to_string();
    assert!(said("SAMLGATE__LOG__LEVEL", "info").starts_with("_log (SAMLGATE__LOG__LEVEL): unknown key"));
    assert!(said("SAMLGATE_UPSTREM__URL", "x").starts_with("upstrem (SAMLGATE_UPSTREM__URL): unknown key"));
    assert_eq!(
        said("SAMLGATE_ACCESS__1__PATH", "/x"),
        "SAMLGATE_ACCESS__1__PATH: leads into a value that has no such part; positions in a list begin at 0 and leave no gap"
    );
}

#[test]
fn names_of_the_operators_own_are_small_letters_or_given_as_a_whole() {
    let role = |variables: &[(&str, &str)]| {
        let from = [("SAMLGATE_IDENTITY__ROLE__FROM", "[groups]")];
        with_variables(&[&from, variables].concat()).unwrap().mapping.role.unwrap().map
    };
    let whole = role(&[("SAMLGATE_IDENTITY__ROLE__MAP", "{\"Domain Admins\"=admin, Users=viewer}")]);
    assert_eq!((whole["Domain Admins"].as_str(), whole["Users"].as_str()), ("admin", "viewer"));
    let single = role(&[("SAMLGATE_IDENTITY__ROLE__MAP__STAFF", "viewer"), ("SAMLGATE_IDENTITY__ROLE__MAP__0", "admin")]);
    assert_eq!((single["staff"].as_str(), single["0"].as_str()), ("viewer", "admin"));
}
