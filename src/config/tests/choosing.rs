//! Names and domains of several IdPs, and rules that name one.

use super::*;

fn second(lines: &str) -> String {
    with(&format!(
        "[[idp]]\nid = \"second\"\nentity_id = \"https://second.example\"\nsso_url = \"https://second.example/sso\"\n\
         certificates = [\"idp.crt\"]\n{lines}\n"
    ))
}

#[test]
fn names_and_domains_are_read() {
    let config = loaded(&second("name = \" Second Corp \"\ndomains = [\"Second.Example\", \"B\u{dc}CHER.example\"]")).unwrap();
    let [first, second] = &config.identity_providers[..] else { panic!("two") };
    assert_eq!((first.display_name(), first.domains.len()), ("main", 0));
    assert_eq!(second.display_name(), "Second Corp");
    assert_eq!(second.domains, ["second.example", "b\u{fc}cher.example"]);
}

#[test]
fn a_name_or_domain_leads_to_one_idp() {
    for (lines, begin) in [
        ("name = \" \"", "idp.1.name: must be 1 to 80 characters"),
        ("name = \"a\\nb\"", "idp.1.name: must be 1 to 80 characters"),
        ("domains = [\"ada@example.com\"]", "idp.1.domains.0: \"ada@example.com\" is no mail domain"),
        ("domains = [\"example.com.\"]", "idp.1.domains.0: \"example.com.\" is no mail domain"),
        ("domains = [\"*.example.com\"]", "idp.1.domains.0: \"*.example.com\" is no mail domain"),
        ("domains = [\"a.example\", \"A.example\"]", "idp.1.domains.1: \"A.example\" stands there twice"),
    ] {
        let problems = refused(&second(lines));
        assert!(problems.len() == 1 && problems[0].starts_with(begin), "{problems:?}");
    }
    let both = second("name = \"One\"\ndomains = [\"one.example\"]").replacen(
        "\"id\":\"main\"",
        "\"id\":\"main\",\"name\":\"One\",\"domains\":[\"One.example\"]",
        1,
    );
    let problems = refused(&both);
    assert!(problems[0].starts_with("idp.1.name: \"One\" is the name of another IdP"), "{problems:?}");
    assert!(problems[1].starts_with("idp.1.domains.0: \"one.example\" is a domain of \"main\" too"), "{problems:?}");
    let alone = SMALLEST.replace("id = \"main\"", "id = \"main\"\ndomains = [\"example.com\"]");
    assert!(loaded(&alone).unwrap().warnings.iter().any(|warning| warning.starts_with("idp.0.domains: has no effect")));
}

#[test]
fn a_rule_names_an_idp_that_there_is() {
    let rule = |lines: &str| with(&format!("[[access]]\npath = \"/x\"\n{lines}\n"));
    let config = loaded(&rule("allow = \"signed-in\"\nidp = \"main\"")).unwrap();
    assert_eq!(config.rules[0].login.idp.as_deref(), Some("main"));
    assert_eq!(
        refused(&rule("allow = \"signed-in\"\nidp = \"mian\"")),
        ["access.0.idp: there is no [[idp]] with the id \"mian\"; did you mean \"main\"?"]
    );
    assert!(refused(&rule("allow = \"anyone\"\nidp = \"main\""))[0].starts_with("access.0.idp: has no effect beside"));
}
