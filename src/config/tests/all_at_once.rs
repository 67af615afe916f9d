//! No mistake hides another one.

use super::*;

/// The keys of all mistakes.
fn keys(text: &str) -> Vec<String> {
    refused(text).iter().map(|line| line.split(": ").next().unwrap().to_owned()).collect()
}

#[test]
fn a_misspelt_key_hides_nothing_of_the_key_that_is_there() {
    let text = SMALLEST.replace("[upstream]\nurl = \"http://127.0.0.1:3000\"", "[upstream]\nurl = \"nowhere\"\nurll = \"x\"");
    assert_eq!(keys(&text), ["upstream.urll", "upstream.url"]);
    let text = with("[listn]\nworkers = 1\n[listen]\naddress = \"here\"\n");
    assert_eq!(keys(&text), ["listn", "listen.address"]);
    // When it is not there, the misspelling is all that is to be said.
    assert_eq!(keys(&SMALLEST.replace("\nurl = ", "\nurll = ")), ["upstream.urll"]);
    assert_eq!(keys(&SMALLEST.replace("public_url", "public_ulr")), ["public_ulr"]);
    assert_eq!(keys(&SMALLEST.replace("[[idp]]", "[[ipd]]")), ["ipd"]);
}

#[test]
fn an_unknown_key_hides_nothing_of_its_section() {
    assert_eq!(keys(&SMALLEST.replace("id = \"main\"", "foo = 1")), ["idp.0.foo", "idp.0.id"]);
    let text = with("[[access]]\npath = \"/x\"\nbar = 1\n[[local_user]]\nqux = 1\n");
    assert_eq!(keys(&text), ["access.0.bar", "local_user.0.qux", "local_user", "access.0"]);
}

#[test]
fn settings_of_an_idp_are_judged_whatever_its_metadata_is_like() {
    let settings = "max_age = \"0s\"\nauthn_context = [\"\"]\nrequest_binding = \"post\"";
    let idp = |id: &str, file: &str| {
        let lines = format!("id = \"{id}\"\nmetadata_file = \"{file}\"\n{settings}");
        SMALLEST.replace("id = \"main\"\nmetadata_file = \"idp.xml\"", &lines)
    };
    assert_eq!(keys(&idp("main", "missing.xml")), ["idp.0.max_age", "idp.0.authn_context.0", "idp.0.metadata_file"]);
    assert_eq!(keys(&idp("Main", "idp.xml")), ["idp.0.id", "idp.0.max_age", "idp.0.authn_context.0", "idp.0.request_binding"]);
}

#[test]
fn addresses_of_an_idp_are_judged_whatever_its_certificates_are_like() {
    let by_hand = |certificate: &str| {
        let lines = format!("entity_id = \"a b\"\nsso_url = \"/sso\"\nslo_url = \"ftp://x\"\ncertificates = [\"{certificate}\"]");
        SMALLEST.replace("metadata_file = \"idp.xml\"", &lines)
    };
    let addresses = ["idp.0.entity_id", "idp.0.sso_url", "idp.0.slo_url"];
    assert_eq!(keys(&by_hand("idp.crt")), addresses);
    assert_eq!(keys(&by_hand("missing.crt")), [&["idp.0.certificates.0"], &addresses[..]].concat());
}

#[test]
fn a_bad_site_hides_nothing_of_what_is_below_it() {
    let below = "[sp]\nentity_id = \"a b\"\nacs_url = \"/x?y\"\n[logout]\nreturn_to = \"//evil.example\"\n";
    for change in ["public_url = \"nowhere\"\n", "prefix = \"nowhere\"\n"] {
        let key = change.split(' ').next().unwrap();
        assert_eq!(keys(&with(&format!("{change}{below}"))), [key, "sp.entity_id", "sp.acs_url", "logout.return_to"]);
    }
    let absolute = below.replace("/x?y", "https://other.example/x?y").replace("//evil", "https://other.example/../evil");
    assert_eq!(
        keys(&with(&format!("public_url = \"nowhere\"\n{absolute}"))),
        ["public_url", "sp.entity_id", "sp.acs_url", "logout.return_to"]
    );
}

#[test]
fn certificate_and_key_are_judged_each() {
    let listen = |lines: &str| with(&format!("[listen]\n{lines}"));
    let both = ["listen.certificate", "listen.key"];
    assert_eq!(keys(&listen("certificate = \"sp.key\"\nkey = \"sp.crt\"\n")), both);
    assert_eq!(keys(&listen("certificate = \"missing.crt\"\nkey = \"sp.crt\"\n")), both);
    assert_eq!(keys(&listen("key = \"sp.crt\"\n")), both);
    assert_eq!(keys(&listen("certificate = \"sp.key\"\n")), ["listen.key", "listen.certificate"]);
    let pair = |pair: &str| SMALLEST.replace("{ key = \"sp.key\", certificate = \"sp.crt\" }", pair);
    let both = ["sp.keys.0.key", "sp.keys.0.certificate"];
    assert_eq!(keys(&pair("{ key = \"sp.crt\", certificate = \"sp.key\" }")), both);
    assert_eq!(keys(&pair("{ key = \"sp.crt\", certificate = \"missing.crt\" }")), ["sp.keys.0.certificate", "sp.keys.0.key"]);
    assert_eq!(keys(&pair("{ key = \"sp.crt\" }")), ["sp.keys.0.certificate", "sp.keys.0.key"]);
}
