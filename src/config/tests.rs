use std::fs;
use std::path::Path;
use std::time::Duration;

use figment::Figment;
use figment::providers::{Format as _, Toml};
use figment::value::Value;
use tempfile::TempDir;

use super::*;
use crate::access::Allow;
use crate::proxy::settings::{Address, UpstreamUrl};
use crate::saml::IdpInitiated;

mod addresses;
mod all_at_once;
mod artifacts;
mod choosing;
mod environment;
mod login_terms;
mod metadata_sources;
mod mistakes;
mod request_signature;
mod secrets;

const SMALLEST: &str = r#"
public_url = "https://reports.example.com"
[upstream]
url = "http://127.0.0.1:3000"
[sp]
keys = [{ key = "sp.key", certificate = "sp.crt" }]
[[idp]]
id = "main"
metadata_file = "idp.xml"
[headers.assertion]
key = "assertion.key"
"#;

fn now() -> Timestamp {
    Timestamp::parse_rfc3339("2026-03-01T12:00:00Z").unwrap()
}

/// A folder with keys and metadata in it.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    for name in ["sp.key", "sp.crt", "idp.crt", "sp-ec.key", "sp-ec.crt", "sp-short.key", "sp-short.crt"] {
        fs::copy(fixtures.join(name), folder.path().join(name)).unwrap();
    }
    fs::write(folder.path().join("assertion.key"), crate::identity::assertion::generate_key().unwrap()).unwrap();
    fs::write(folder.path().join("idp.xml"), metadata("https://idp.example.com")).unwrap();
    folder
}

fn metadata(entity_id: &str) -> String {
    let pem = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/idp.crt")).unwrap();
    let certificate: String = pem.lines().filter(|line| !line.starts_with("---")).collect();
    format!(
        r#"<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="{entity_id}">
<IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">
<KeyDescriptor use="signing"><KeyInfo xmlns="http://www.w3.org/2000/09/xmldsig#"><X509Data><X509Certificate>{certificate}</X509Certificate></X509Data></KeyInfo></KeyDescriptor>
<SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="https://idp.example.com/sso"/>
</IDPSSODescriptor></EntityDescriptor>"#
    )
}

fn load_in(folder: &TempDir, name: &str, text: &str, variables: &[(&str, &str)]) -> Result<Config, Problems> {
    let file = folder.path().join(name);
    fs::write(&file, text).unwrap();
    load(Some(&file), variables.iter().map(|&(name, text)| (name.into(), text.into())), now())
}

fn loaded(text: &str) -> Result<Config, Problems> {
    let name = if text.starts_with('{') { "samlgate.json" } else { "samlgate.toml" };
    load_in(&folder(), name, text, &[])
}

/// The lines that the configuration is refused with.
fn refused(text: &str) -> Vec<String> {
    let folder = folder();
    let name = if text.starts_with('{') { "samlgate.json" } else { "samlgate.toml" };
    let problems = load_in(&folder, name, text, &[]).expect_err("must be refused");
    let here = folder.path().display().to_string();
    problems.all().iter().map(|problem| problem.to_string().replace(&here, "DIR")).collect()
}

/// What is wrong with the smallest configuration after one change.
fn refused_after(change: &str) -> Vec<String> {
    refused(&with(change))
}

/// The smallest configuration and more, as JSON; lists grow.
fn with(change: &str) -> String {
    let both = Figment::from(Toml::string(SMALLEST)).admerge(Toml::string(change));
    serde_json::to_string(&both.extract::<Value>().unwrap()).unwrap()
}

#[test]
fn the_smallest_configuration_gets_the_defaults_of_the_interface() {
    let config = loaded(SMALLEST).unwrap();
    assert_eq!(config.public_url.to_string(), "https://reports.example.com");
    assert_eq!((config.prefix.as_str(), config.session_cookie.as_str()), ("/_samlgate", "__Host-samlgate"));
    assert_eq!(config.listen.address, Address::Tcp("0.0.0.0:8080".parse().unwrap()));
    assert_eq!(config.listen.ops_address, Some("127.0.0.1:9090".parse().unwrap()));
    assert_eq!(config.upstream.url, UpstreamUrl::Http { host: "127.0.0.1".to_owned(), port: 3000 });
    assert!(config.upstream.preserve_host && config.upstream.max_body.is_none());
    assert_eq!(config.upstream.response_timeout, Duration::from_secs(60));
    let sp = &config.service_provider;
    assert_eq!(sp.entity_id, "https://reports.example.com/_samlgate/metadata");
    assert_eq!(sp.acs_urls, ["https://reports.example.com/_samlgate/acs"]);
    assert!(sp.sign_requests && sp.keys.len() == 1);
    assert_eq!(sp.slo_url.as_deref(), Some("https://reports.example.com/_samlgate/slo"));
    assert_eq!(sp.soap_slo_url().as_deref(), Some("https://reports.example.com/_samlgate/slo/soap"));
    let idp = &config.identity_providers[0];
    assert_eq!((idp.id.as_str(), idp.entity_id.as_str()), ("main", "https://idp.example.com"));
    assert_eq!(
        (idp.idp_initiated, idp.clock_skew, idp.max_age),
        (IdpInitiated::Restart, Duration::from_secs(60), Duration::from_secs(300))
    );
    assert_eq!(config.acs_urls(idp).last().unwrap(), "https://reports.example.com/_samlgate/acs/main");
    assert_eq!(config.mapping.user.from, ["NameID"]);
    assert!(config.mapping.role.is_none() && config.mapping.email.is_some());
    assert_eq!(config.headers.user.as_ref().unwrap(), "x-user");
    assert_eq!(config.headers.assertion, "x-samlgate-assertion");
    assert!(config.assertion.key_pem.is_some());
    assert_eq!(config.assertion.audience, "https://reports.example.com");
    assert_eq!(config.session.lifetime, Duration::from_secs(43_200));
    assert_eq!(config.log, LogSettings { format: LogFormat::Json, level: "info".to_owned() });
    assert!(config.rules.is_empty());
    assert_eq!(
        config.warnings,
        ["listen.trusted_proxies: is empty, and there is no listen.certificate: name the proxy that ends TLS, \
                                  or every client is logged under the proxy's address"]
    );
}

#[test]
fn the_example_and_every_line_of_defaults_load() {
    let folder = folder();
    fs::copy(folder.path().join("idp.xml"), folder.path().join("entra.xml")).unwrap();
    let example = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/example.toml")).unwrap();
    let config = load_in(&folder, "samlgate.toml", &example, &[]).unwrap();
    assert_eq!(config.warnings, Vec::<String>::new());
    assert_eq!(config.mapping.role.unwrap().default.as_deref(), Some("viewer"));
    assert_eq!(config.rules.len(), 2);
}

#[test]
fn yaml_and_json_say_the_same() {
    let folder = folder();
    let yaml = "public_url: https://reports.example.com\nupstream:\n  url: http://127.0.0.1:3000\nsp:\n  sign_requests: false\nidp:\n- id: main\n  metadata_file: idp.xml\n  idp_initiated: off\n";
    let json = r#"{"public_url": "https://reports.example.com", "upstream": {"url": "http://127.0.0.1:3000"},
        "sp": {"sign_requests": false}, "idp": [{"id": "main", "metadata_file": "idp.xml", "idp_initiated": "off"}]}"#;
    for (name, text) in [("a.yaml", yaml), ("a.yml", yaml), ("a.json", json)] {
        let config = load_in(&folder, name, text, &[]).unwrap();
        assert_eq!(config.identity_providers[0].idp_initiated, IdpInitiated::Off, "{name}");
    }
    let error = load_in(&folder, "bad.toml", "a = = b", &[]).unwrap_err().to_string();
    assert!(error.contains("bad.toml: cannot be understood") && error.contains("line 1"), "{error}");
}

#[test]
fn the_environment_alone_is_enough() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (key, crt, xml) = (path("sp.key"), path("sp.crt"), path("idp.xml"));
    let pem = fs::read_to_string(path("assertion.key")).unwrap();
    let variables = [
        ("SAMLGATE_PUBLIC_URL", "https://reports.example.com"),
        ("SAMLGATE_UPSTREAM__URL", "http://127.0.0.1:3000"),
        ("SAMLGATE_SP__KEYS__0__KEY_FILE", &key),
        ("SAMLGATE_SP__KEYS__0__CERTIFICATE", &crt),
        ("SAMLGATE_SP__ENTITY_ID", "42"),
        ("SAMLGATE_IDP__0__ID", "main"),
        ("SAMLGATE_IDP__0__METADATA_FILE", &xml),
        ("SAMLGATE_HEADERS__ASSERTION__KEY", &pem),
        ("SAMLGATE_LISTEN__WORKERS", "2"),
        ("SAMLGATE_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
    ];
    let config = load_in(&folder, "empty.toml", "", &variables).unwrap();
    assert_eq!((config.listen.workers, config.service_provider.entity_id.as_str()), (2, "42"));
    assert!(config.assertion.key_pem.is_some());
    let error = load_in(&folder, "empty.toml", SMALLEST, &[("SAMLGATE_LISTEN__WORKERS", "many"), ("SAMLGATE_LOG__LEVL", "info")])
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "listen.workers (SAMLGATE_LISTEN__WORKERS): must be a whole number, 0 or more, not \"many\"\n\
         log.levl (SAMLGATE_LOG__LEVL): unknown key; did you mean \"level\"?"
    );
}

#[test]
fn an_idp_is_described_in_exactly_one_way() {
    let idp = |lines: &str| SMALLEST.replace("metadata_file = \"idp.xml\"", lines);
    let by_hand =
        "entity_id = \"https://idp.example.com\"\nsso_url = \"https://idp.example.com/sso\"\ncertificates = [\"idp.crt\"]";
    assert_eq!(loaded(&idp(by_hand)).unwrap().identity_providers[0].sso.len(), 2);
    let inline = format!("metadata_xml = '''{}'''", metadata("https://inline.example.com"));
    assert_eq!(loaded(&idp(&inline)).unwrap().identity_providers[0].entity_id, "https://inline.example.com");
    assert!(refused(&idp(&format!("{by_hand}\n{inline}")))[0].starts_with("idp.0: is described twice"));
    assert!(refused(&idp(""))[0].starts_with("idp.0: has no metadata"));
    let other = idp("metadata_file = \"idp.xml\"\nentity_id = \"https://other.example.com\"");
    assert!(refused(&other)[0].starts_with("idp.0.metadata_file: "), "{:?}", refused(&other));
    let same = format!("{SMALLEST}\n[[idp]]\nid = \"again\"\nmetadata_file = \"idp.xml\"\n");
    assert!(refused(&same)[0].starts_with("idp.1: has the entity ID of \"main\""));
    assert!(refused(&idp("metadata_file = \"idp.xml\"\nrequest_binding = \"post\""))[0].starts_with("idp.0.request_binding: "));
}

#[test]
fn our_entity_id_is_not_the_idps() {
    assert_eq!(
        refused_after("[sp]\nentity_id = \"https://idp.example.com\"\n"),
        ["sp.entity_id: is the entity ID of the IdP \"main\"; ours must be another one"]
    );
}

#[test]
fn another_acs_url_is_published_and_the_default_one_served_too() {
    for given in ["https://reports.example.com/saml/acs", "/saml/acs"] {
        let config = loaded(&with(&format!("[sp]\nacs_url = \"{given}\"\n"))).unwrap();
        let urls = ["https://reports.example.com/saml/acs", "https://reports.example.com/_samlgate/acs"];
        assert_eq!(config.service_provider.acs_urls, urls);
    }
    for bad in [
        "https://other.example.com/acs",
        "https://reports.example.com.evil/acs",
        "/",
        "/a?b",
        "/a/../b",
        "//x",
        "/_samlgate/login",
    ] {
        assert!(refused_after(&format!("[sp]\nacs_url = \"{bad}\"\n"))[0].starts_with("sp.acs_url: "), "{bad}");
    }
}

#[test]
fn another_logout_service_is_published_when_there_is_a_key() {
    for given in ["https://reports.example.com/saml/slo", "/saml/slo"] {
        let config = loaded(&with(&format!("[sp]\nslo_url = \"{given}\"\n"))).unwrap();
        assert_eq!(config.service_provider.slo_url.as_deref(), Some("https://reports.example.com/saml/slo"));
    }
    for bad in [
        "https://other.example.com/slo",
        "/",
        "/a?b",
        "/slo/",
        "/_samlgate/acs",
        "/_samlgate/slo/soap",
        "/_samlgate/logout",
        "/taken\"\nacs_url = \"/taken",
        "/saml\"\nacs_url = \"/saml/soap",
    ] {
        assert!(refused_after(&format!("[sp]\nslo_url = \"{bad}\"\n"))[0].starts_with("sp.slo_url: "), "{bad}");
    }
    let keys = SMALLEST.lines().find(|line| line.starts_with("keys")).unwrap();
    let without = SMALLEST.replace(keys, "sign_requests = false");
    assert_eq!(loaded(&without).unwrap().service_provider.slo_url, None);
    let wanted = SMALLEST.replace(keys, "sign_requests = false\nslo_url = \"/slo\"");
    assert!(refused(&wanted)[0].starts_with("sp.slo_url: needs a key"));
}

#[test]
fn weaknesses_are_named_at_every_start() {
    let text =
        SMALLEST.replace("id = \"main\"", "id = \"main\"\ncompat = [\"sha1\", \"no-audience\"]\nidp_initiated = \"accept\"");
    let config = loaded(&text).unwrap();
    let compat = config.identity_providers[0].compat;
    assert!(compat.sha1 && compat.no_audience && !compat.empty_reference);
    let begins = |start: &str| config.warnings.iter().any(|warning| warning.starts_with(start));
    assert!(begins("idp.0.compat: sha1 weakens logins by main") && begins("idp.0.compat: no-audience"));
    assert!(begins("idp.0.idp_initiated: is accept"));
}

#[test]
fn certificates_are_warned_about_before_they_end() {
    let folder = folder();
    let file = folder.path().join("x.toml");
    fs::write(&file, SMALLEST).unwrap();
    let pem = fs::read(folder.path().join("idp.crt")).unwrap();
    let end = crate::saml::TrustedCertificate::from_pem(&pem).unwrap().not_after;
    let warnings = |at: i64| load(Some(&file), std::iter::empty(), Timestamp::from_unix(at)).unwrap().warnings.join("\n");
    assert!(!warnings(end - 31 * 86_400).contains("idp.0: a certificate of main"));
    assert!(warnings(end - 3 * 86_400).contains("idp.0: a certificate of main ends in 3 days"));
    assert!(warnings(end + 1).contains("idp.0: a certificate of main ended on "));
}

#[test]
fn cookie_names_fit_the_scheme() {
    let http = SMALLEST.replace("https://reports", "http://reports");
    let config = loaded(&http).unwrap();
    assert_eq!(config.session_cookie, "samlgate");
    assert!(config.warnings.iter().any(|warning| warning.starts_with("public_url: is http")));
    let local = loaded(&SMALLEST.replace("https://reports.example.com", "http://localhost:8080")).unwrap();
    assert!(!local.warnings.iter().any(|warning| warning.starts_with("public_url: ")));
    let prefixed = format!("{http}\n[session]\ncookie = \"__Host-x\"\n");
    assert!(refused(&prefixed)[0].starts_with("session.cookie: browsers take"));
    assert_eq!(loaded(&with("[session]\ncookie = \"app\"\n")).unwrap().session_cookie, "app");
}

#[test]
fn presets_give_names_and_keys_replace_them() {
    let config = loaded(&with("[headers]\npreset = \"grafana\"\nrole = \"\"\nemail = \"X-Mail\"\n")).unwrap();
    let plan = &config.headers;
    assert_eq!((plan.user.as_ref().unwrap().as_str(), plan.email.as_ref().unwrap().as_str()), ("x-webauth-user", "x-mail"));
    assert!(plan.role.is_none());
    assert_eq!(plan.value_maps["role"]["admin"], "Admin");
    let error = refused_after("[headers]\npreset = \"Grafana\"\n");
    assert!(error[0].ends_with("did you mean \"grafana\"?"), "{error:?}");
}

#[test]
fn rules_are_read_in_order() {
    let rules = "[identity.role]\nfrom = [\"role\"]\n[[access]]\npath = \"/a\"\nmethods = [\"GET\", \"HEAD\"]\nallow = \"anyone\"\n[[access]]\npath = \"/b/**\"\nroles = [\"admin\"]\n[[access]]\npath = \"/**\"\nallow = \"nobody\"\n[[access]]\npath = \"/c\"\nallow = \"signed-in\"\n";
    let config = loaded(&with(rules)).unwrap();
    let allows: Vec<&Allow> = config.rules.iter().map(|rule| &rule.allow).collect();
    assert!(matches!(allows[..], [Allow::Anyone, Allow::Members { .. }, Allow::Nobody, Allow::SignedIn]));
    assert_eq!(config.rules[0].methods, [http::Method::GET, http::Method::HEAD]);
    assert!(config.warnings.iter().any(|warning| warning == "access.3: is never reached: access.2 matches every request"));
}

#[test]
fn an_upstream_that_is_samlgate_itself_is_refused() {
    for url in ["http://127.0.0.1:8080", "http://localhost:8080", "http://[::1]:8080"] {
        let text = SMALLEST.replace("http://127.0.0.1:3000", url);
        assert!(refused(&text)[0].starts_with("upstream.url: is listen.address"), "{url}");
    }
    assert!(loaded(&SMALLEST.replace("http://127.0.0.1:3000", "http://10.1.2.3:8080")).is_ok());
}

#[test]
fn tls_files_must_belong_together() {
    let listen = |certificate: &str, key: &str| with(&format!("[listen]\ncertificate = \"{certificate}\"\nkey = \"{key}\"\n"));
    let tls = loaded(&listen("sp-ec.crt", "sp-ec.key")).unwrap().listen.tls.unwrap();
    assert!(tls.certificate.ends_with("sp-ec.crt") && tls.key.is_absolute());
    assert!(refused(&listen("sp-ec.crt", "sp.key"))[0].starts_with("listen.key: does not go with listen.certificate"));
    assert!(refused(&listen("sp.key", "sp.key"))[0].starts_with("listen.certificate: has no certificate"));
    assert!(refused_after("[listen]\nkey = \"sp.key\"\n")[0].starts_with("listen.certificate: is missing"));
    assert!(refused_after("[upstream]\nca = \"idp.crt\"\n")[0].starts_with("upstream.ca: has no meaning without TLS"));
}

#[test]
fn a_short_key_may_decrypt_but_not_sign() {
    let short = "{ key = \"sp-short.key\", certificate = \"sp-short.crt\" }";
    let long = "keys = [{ key = \"sp.key\", certificate = \"sp.crt\" }";
    let config = loaded(&SMALLEST.replace(long, &format!("{long}, {short}"))).unwrap();
    assert_eq!(config.service_provider.keys.len(), 2);
    let first = SMALLEST.replace(long, &format!("keys = [{short}"));
    assert!(refused(&first)[0].starts_with("sp.keys.0: is too short to sign with"), "{:?}", refused(&first));
}
