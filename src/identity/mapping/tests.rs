use super::*;

/// A field read from one attribute called as the field, trimmed.
fn field(from: &[&str]) -> FieldMapping {
    let from = from.iter().map(|&name| name.to_owned()).collect();
    FieldMapping { from, transform: vec![Transform::Trim], ..FieldMapping::default() }
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

/// user from NameID, all other fields from the attribute of their name.
fn mapping() -> Mapping {
    Mapping {
        user: field(&["NameID"]),
        email: Some(field(&["email"])),
        name: Some(field(&["name"])),
        tenant: Some(field(&["tenant"])),
        role: Some(field(&["role"])),
        groups: Some(field(&["groups"])),
        extra: BTreeMap::from([("department".to_owned(), field(&["department"]))]),
    }
}

fn read(mapping: &Mapping, name_id: &str, attributes: &[(&str, &[&str])]) -> Result<Identity, IdentityError> {
    let attribute = |&(name, values): &(&str, &[&str])| Attribute {
        name: name.to_owned(),
        friendly_name: Some("groups".to_owned()),
        values: strings(values),
    };
    let attributes: Vec<Attribute> = attributes.iter().map(attribute).collect();
    mapping.read(&Asserted { name_id, attributes: &attributes })
}

fn refused(field: &str, value: &str) -> Result<Identity, IdentityError> {
    Err(IdentityError::ValueNotAllowed { field: field.to_owned(), value: value.to_owned() })
}

#[test]
fn every_field_is_read_from_the_attribute_of_exactly_its_name() {
    let all: &[(&str, &[&str])] = &[
        ("email", &["alice@example.com", "second@example.com"]),
        ("Name", &["wrong case"]),
        ("tenant", &["acme"]),
        ("role", &["admin"]),
        ("groups", &["a", " b ", "a", "", " \n"]),
        ("department", &["R&D"]),
    ];
    let identity = read(&mapping(), "alice", all).unwrap();
    assert_eq!((identity.user(), identity.email()), ("alice", Some("alice@example.com")));
    assert_eq!(identity.name(), None, "names are case-sensitive, and FriendlyName counts for nothing");
    assert_eq!((identity.tenant(), identity.role()), (Some("acme"), Some("admin")));
    assert_eq!(identity.groups().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(identity.extra().collect::<Vec<_>>(), [("department", "R&D")]);
    assert!(!identity.groups_cut());
}

#[test]
fn the_first_source_that_has_a_value_counts() {
    let mut mapping = mapping();
    mapping.user = field(&["uid", "mail", "NameID"]);
    let user = |attributes: &[(&str, &[&str])]| read(&mapping, "fallback", attributes).unwrap().user().to_owned();
    assert_eq!(user(&[("mail", &["m"]), ("uid", &["u"])]), "u");
    assert_eq!(user(&[("mail", &["m"]), ("uid", &["", "  "])]), "m", "blank is not asserted");
    assert_eq!(user(&[("mail", &["\n m \n"])]), "m");
    assert_eq!(user(&[]), "fallback");
    assert_eq!(user(&[("NameID", &["an attribute of that name is not the NameID"])]), "fallback");
}

#[test]
fn join_takes_the_first_value_of_each_and_leaves_out_what_is_not_there() {
    let mut mapping = mapping();
    let name = FieldMapping { join: Some(" ".to_owned()), ..field(&["given", "middle", "sn"]) };
    mapping.name = Some(name);
    let name = |attributes: &[(&str, &[&str])]| read(&mapping, "a", attributes).unwrap().name().map(str::to_owned);
    assert_eq!(name(&[("sn", &["Lovelace"]), ("given", &["Ada", "Augusta"])]).as_deref(), Some("Ada Lovelace"));
    assert_eq!(name(&[]), None);
}

#[test]
fn split_comes_before_transform_pattern_map_and_allowed() {
    let mut mapping = mapping();
    mapping.groups = Some(FieldMapping {
        split: Some(";".to_owned()),
        transform: vec![Transform::Trim, Transform::Lowercase],
        pattern: Some(Regex::new("^cn=([^,]+),").unwrap()),
        map: BTreeMap::from([("domain admins".to_owned(), "admin".to_owned())]),
        allowed: Some(strings(&["admin", "users"])),
        ..field(&["groups"])
    });
    let values: &[&str] = &["CN=Domain Admins,DC=x; CN=Users,DC=x ;; CN=Guests,DC=x;plain"];
    assert_eq!(read(&mapping, "a", &[("groups", values)]).unwrap().groups().collect::<Vec<_>>(), ["admin", "users"]);
}

#[test]
fn a_pattern_replaces_by_its_first_capture_and_drops_what_does_not_match() {
    let user = |pattern: &str, name_id: &str| {
        let mut mapping = mapping();
        mapping.user.pattern = Some(Regex::new(pattern).unwrap());
        read(&mapping, name_id, &[]).map(|identity| identity.user().to_owned())
    };
    assert_eq!(user("^(.+)@example\\.com$", "alice@example.com").unwrap(), "alice");
    assert_eq!(user("^(?:EX\\\\(.+)|(.+)@ex)$", "bob@ex").unwrap(), "bob", "the first capture that took part");
    assert_eq!(user("^[a-z]+$", "carol").unwrap(), "carol", "without a capture the value stays");
    assert_eq!(user("^(.+)@example\\.com$", "alice@example.com.evil").unwrap_err().code(), "attribute_missing");
    assert_eq!(user("^(x?)", "alice").unwrap_err().code(), "attribute_missing", "an empty capture is no value");
}

#[test]
fn transforms_apply_in_order() {
    let mut mapping = mapping();
    mapping.user.transform = vec![Transform::Trim, Transform::BeforeAt, Transform::Uppercase];
    assert_eq!(read(&mapping, " al@ice@x ", &[]).unwrap().user(), "AL");
    assert_eq!(read(&mapping, "@x", &[]).unwrap_err().code(), "attribute_missing");
    mapping.user.transform = vec![];
    assert_eq!(read(&mapping, "  alice  ", &[]).unwrap().user(), "  alice  ");
}

#[test]
fn role_takes_the_allowed_value_that_stands_first_in_allowed() {
    let mut mapping = mapping();
    mapping.role = Some(FieldMapping { allowed: Some(strings(&["admin", "editor"])), ..field(&["role"]) });
    let role = |values: &[&str]| read(&mapping, "a", &[("role", values)]).map(|identity| identity.role().map(str::to_owned));
    assert_eq!(role(&["everyone", "editor", "admin"]), Ok(Some("admin".to_owned())));
    assert_eq!(role(&["editor"]), Ok(Some("editor".to_owned())));
    assert_eq!(role(&[]), Ok(None));
    assert_eq!(read(&mapping, "a", &[("role", &["everyone", "root"])]), refused("role", "everyone"));
    assert_eq!(read(&mapping, "a", &[("role", &["Admin"])]), refused("role", "Admin"), "compared exactly");
}

#[test]
fn a_default_is_for_what_was_not_asserted_never_for_what_was_refused() {
    let mut mapping = mapping();
    let role = FieldMapping {
        allowed: Some(strings(&["admin", "viewer"])),
        default: Some("viewer".to_owned()),
        required: true,
        ..field(&["role"])
    };
    mapping.role = Some(role);
    assert_eq!(read(&mapping, "a", &[]).unwrap().role(), Some("viewer"));
    assert_eq!(read(&mapping, "a", &[("role", &["root"])]), refused("role", "root"));
    mapping.groups = Some(FieldMapping { default: Some("staff".to_owned()), ..field(&["groups"]) });
    assert_eq!(read(&mapping, "a", &[]).unwrap().groups().collect::<Vec<_>>(), ["staff"]);
}

#[test]
fn one_strange_tenant_refuses_even_beside_an_allowed_one() {
    let mut mapping = mapping();
    mapping.tenant = Some(FieldMapping { allowed: Some(strings(&["acme"])), ..field(&["tenant"]) });
    assert_eq!(read(&mapping, "a", &[("tenant", &["acme"])]).unwrap().tenant(), Some("acme"));
    assert_eq!(read(&mapping, "a", &[("tenant", &["acme", "evil"])]), refused("tenant", "evil"));
}

#[test]
fn a_required_field_without_a_value_says_what_was_looked_for_and_what_was_sent() {
    let mut mapping = mapping();
    mapping.role = Some(FieldMapping { required: true, ..field(&["role", "Role"]) });
    let error = read(&mapping, "a", &[("roles", &["admin"])]).unwrap_err();
    assert_eq!(error.code(), "attribute_missing");
    assert_eq!(
        error.to_string(),
        r#"role is required, but the IdP sent no usable value of ["role", "Role"]; it sent the attributes ["roles"]"#
    );
    mapping.role = None;
    mapping.user = field(&["uid"]);
    assert_eq!(read(&mapping, "a", &[]).unwrap_err().code(), "attribute_missing", "user is always required");
}

#[test]
fn too_many_groups_are_cut_counted_and_marked() {
    let mut mapping = mapping();
    mapping.groups = Some(FieldMapping { max: Some(2), ..field(&["groups"]) });
    let identity = read(&mapping, "a", &[("groups", &["a", "b", "a", "c", "d"])]).unwrap();
    assert_eq!(identity.groups().collect::<Vec<_>>(), ["a", "b"]);
    assert!(identity.groups_cut());
    assert_eq!(identity.groups_left_out(), 2);
}

#[test]
fn control_characters_refuse_where_they_could_change_who_the_user_is_and_are_dropped_elsewhere() {
    for bad in ["al\nice", "alice\0", "alice\u{85}admin", "a\u{2028}b", "alice\u{202e}x", "alice\u{7f}"] {
        assert_eq!(read(&mapping(), bad, &[]), refused("user", bad));
        for field in ["email", "tenant", "role"] {
            assert_eq!(read(&mapping(), "a", &[(field, &["good", bad])]), refused(field, bad));
        }
        let others: &[(&str, &[&str])] = &[("name", &[bad]), ("groups", &["g", bad]), ("department", &[bad, "d"])];
        let identity = read(&mapping(), "a", others).unwrap();
        assert_eq!((identity.name(), identity.groups().collect()), (None, vec!["g"]));
        assert_eq!(identity.extra().collect::<Vec<_>>(), [("department", "d")]);
    }
}

#[test]
fn no_step_hides_a_control_character() {
    let mut mapping = mapping();
    mapping.user.transform = vec![Transform::Trim, Transform::BeforeAt];
    mapping.user.pattern = Some(Regex::new("^([a-z]+)").unwrap());
    assert_eq!(read(&mapping, "admin@x\0y", &[]), refused("user", "admin@x\0y"));
    let long = "x".repeat(9000);
    let Err(IdentityError::ValueNotAllowed { value, .. }) = read(&mapping, &long, &[]) else { panic!("must be refused") };
    assert_eq!(value.len(), 100);
}

proptest::proptest! {
    #[test]
    fn an_identity_never_holds_what_could_not_be_judged(values in proptest::collection::vec("\\PC{0,12}|[\\x00-\\x20a-c\u{85}\u{202e}]{0,6}", 0..6)) {
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let name_id = values.first().copied().unwrap_or("x");
        if let Ok(identity) = read(&mapping(), name_id, &[("groups", &values), ("name", &values), ("role", &values)]) {
            let fields = [Some(identity.user()), identity.name(), identity.role()];
            for value in fields.into_iter().flatten().chain(identity.groups()) {
                proptest::prop_assert!(crate::identity::values::judge(value).is_ok() && !value.trim().is_empty());
            }
        }
    }
}
