use std::fs;
use std::path::Path;

use percent_encoding::percent_decode_str;
use proptest::prelude::*;

use super::*;
use crate::identity::Fields;
use crate::identity::presets::Preset;

fn settings() -> HeaderSettings {
    let name = |name: &str| Some(name.parse().unwrap());
    HeaderSettings {
        user: name("X-Remote-User"),
        email: name("X-Email"),
        name: name("X-Name"),
        tenant: None,
        role: name("X-Role"),
        groups: name("X-Groups"),
        extra: BTreeMap::from([("department".to_owned(), "Company.Department".parse().unwrap())]),
        separator: ",".to_owned(),
        value_maps: BTreeMap::new(),
        assertion: "X-Signed-Identity".parse().unwrap(),
        strip: vec!["My_Own_Header".to_owned()],
    }
}

fn headers(names: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in names {
        headers.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_static("evil"));
    }
    headers
}

fn reserved(name: &str) -> bool {
    HeaderPlan::new(settings()).is_reserved(&HeaderName::try_from(name).unwrap())
}

#[test]
fn every_spelling_of_every_own_name_goes_and_nothing_else() {
    let plan = HeaderPlan::new(settings());
    let mut map = headers(&[
        "x-remote-user",
        "X-Remote_User",
        "X-Remote.User",
        "X-Remote-User",
        "company_department",
        "my-own-header",
        "X_Signed~Identity",
        "host",
        "X-Remote-User-Agent",
        "X-Remote-User-",
        "X--Remote-User",
        "cookie",
        "Authorization",
    ]);
    plan.strip(&mut map);
    let mut left: Vec<&str> = map.keys().map(HeaderName::as_str).collect();
    left.sort_unstable();
    assert_eq!(left, ["authorization", "cookie", "host", "x--remote-user", "x-remote-user-", "x-remote-user-agent"]);
}

#[test]
fn names_of_other_products_are_reserved_too() {
    for name in [
        "Remote_User",
        "X-Forwarded-Email",
        "X-Forwarded-Preferred-Username",
        "X-Auth-Request-Anything",
        "X_WEBAUTH_ROLE",
        "CF-Access-Jwt-Assertion",
        "Impersonate-User",
        "SM_USER",
        "Proxy",
        "x-proxy-roles",
        "X-Samlgate-Assertion",
        "X-Rewrite-URL",
        "X-Forwarded-Uri",
        "X-Sendfile",
        "X-User",
        "X-Tenant",
        "X-MS-Client-Principal-Name",
        "X-Hasura-Role",
        "Script-Name",
        "SCRIPT_NAME",
        "any_thing",
        "any.thing",
    ] {
        assert!(reserved(name), "{name}");
    }
    let long = format!("x-auth_request-{}", "a".repeat(200));
    assert!(reserved(&long));
    for name in ["user-agent", "x-requested-with", "sec-fetch-mode", "x-forwarded-userx", "proxyless", &"a".repeat(200)] {
        assert!(!reserved(name), "{name}");
    }
}

#[test]
fn names_that_the_data_plane_sets_are_left_to_it_unless_misspelled() {
    assert!(!reserved("X-Forwarded-For") && !reserved("x-real-ip"));
    assert!(reserved("X_Forwarded_For") && reserved("x-forwarded_proto") && reserved("X.Real-IP"));
}

#[test]
fn every_case_of_the_shared_vectors_holds() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors/http/identity-headers.json");
    let Ok(text) = fs::read_to_string(&file) else {
        eprintln!("SKIPPED: {} is not here", file.display());
        return;
    };
    let cases: serde_json::Value = serde_json::from_str(&text).unwrap();
    let plan = HeaderPlan::new(settings());
    let list = |key: &str| -> Vec<String> { serde_json::from_value(cases[key].clone()).unwrap() };
    for name in list("must_strip") {
        assert!(reserved(&name), "{name}");
    }
    for name in list("pass_through") {
        assert!(!reserved(&name), "{name}");
    }
    for name in list("invalid") {
        assert!(HeaderName::try_from(name.as_str()).is_err(), "{name:?}");
    }
    // What the data plane sets itself (proxy::forwarded) is its own to overwrite.
    let elsewhere = ["X-Forwarded-For", "X-Forwarded-Proto", "X-Real-IP", "Via"];
    for name in list("forwarded").iter().filter(|name| !elsewhere.contains(&name.as_str())) {
        assert!(reserved(name), "{name}");
    }
    for value in list("values") {
        let identity = Identity::from(Fields { name: Some(value.clone()), ..Fields::for_tests(&value, None, &[&value, "b"]) });
        for (header, rendered) in plan.render(&identity).iter() {
            let text = rendered.to_str().unwrap();
            assert!(text.bytes().all(|octet| octet == b' ' || octet.is_ascii_graphic()));
            let first = if header == "x-groups" { text.split(',').next().unwrap() } else { text };
            assert_eq!(percent_decode_str(first).decode_utf8().unwrap(), value);
        }
    }
}

#[test]
fn lines_hold_what_is_there_and_are_absent_otherwise() {
    let plan = HeaderPlan::new(settings());
    let lines = |identity: &Identity| -> Vec<String> {
        plan.render(identity).iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect()
    };
    assert_eq!(lines(&Identity::for_tests("alice", None, &[])), ["x-remote-user: alice"]);
    let extra = [("department", "R & D"), ("unsent", "x")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let identity = Identity::from(Fields {
        tenant: Some("has no header".to_owned()),
        extra: extra.into(),
        ..Fields::for_tests(" Łukasz 100% ", Some("admin, or so"), &["a", "b,c", "d e"])
    });
    assert_eq!(
        lines(&identity),
        ["x-remote-user: %20%C5%81ukasz 100%25%20", "x-role: admin, or so", "x-groups: a,b%2Cc,d e", "company.department: R & D",]
    );
}

#[test]
fn a_preset_speaks_the_applications_words() {
    let preset = Preset::named("grafana").unwrap();
    let roles = preset.roles.iter().map(|&(ours, theirs)| (ours.to_owned(), theirs.to_owned())).collect();
    let plan = HeaderPlan::new(HeaderSettings { value_maps: BTreeMap::from([("role".to_owned(), roles)]), ..settings() });
    let role = |role| plan.render(&Identity::for_tests("a", Some(role), &[]))[1].1.to_str().unwrap().to_owned();
    assert_eq!((role("editor"), role("Other")), ("Editor".to_owned(), "Other".to_owned()));
}

proptest! {
    #[test]
    fn splitting_and_decoding_gives_back_exactly_the_groups(
        groups in proptest::collection::vec("[ -~\u{e9}\u{4e2d}\n\u{85}]{1,6}", 1..5),
        separator in "[,;|: /]{1,2}",
    ) {
        let plan = HeaderPlan::new(HeaderSettings { separator: separator.clone(), ..settings() });
        let borrowed: Vec<&str> = groups.iter().map(String::as_str).collect();
        let lines = plan.render(&Identity::for_tests("a", None, &borrowed));
        let text = lines[1].1.to_str().unwrap();
        let decoded: Vec<String> =
            text.split(&separator).map(|part| percent_decode_str(part).decode_utf8().unwrap().into_owned()).collect();
        prop_assert_eq!(decoded, groups);
    }

    #[test]
    fn any_respelling_of_an_own_name_is_reserved(upper in proptest::bits::u16::ANY, marks in "[-_.~!+*]{2}") {
        let mut marks = marks.chars();
        let spelled: String = "x-remote-user"
            .chars()
            .enumerate()
            .map(|(at, c)| match c {
                '-' => marks.next().unwrap(),
                c if upper & (1 << at) != 0 => c.to_ascii_uppercase(),
                c => c,
            })
            .collect();
        prop_assert!(reserved(&spelled), "{}", spelled);
    }
}
