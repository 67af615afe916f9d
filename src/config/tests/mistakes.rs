//! What is refused, and in which words.

use super::*;

#[test]
fn every_mistake_of_form_is_listed_at_once_with_the_nearest_known_key() {
    insta::assert_snapshot!(refused(
        r#"
public_ulr = "https://reports.example.com"
colour = "red"
prefix = 5
[listen]
adress = "0.0.0.0:1"
workers = -1
trusted_proxies = ["10.0.0.0/8", 7]
sign_requests = true
prefix = "/x"
[upstream]
url = "http://127.0.0.1:3000"
connect_timeout = "5"
idle_timeout = 10
max_body = "10MB"
preserve_host = "yes"
[[idp]]
id = "main"
metadata_file = "idp.xml"
idp_initiated = "resart"
[identity]
user = "NameID"
[identity.role]
transform = ["trim", "upper"]
[log]
format = "xml"
[storage]
kind = "postgres"
"#
    ).join("\n"), @r#"
    colour: unknown key; docs/configuration.md lists all keys
    identity.role.transform.1: "upper" is not one of "trim", "lowercase", "uppercase", "before_at"
    identity.user: must be a table, not "NameID"
    idp.0.idp_initiated: "resart" is not one of "off", "restart", "accept"; did you mean "restart"?
    listen.adress: unknown key; did you mean "address"?
    listen.prefix: unknown key; "prefix" stands at the top level: in TOML, before the first [section]
    listen.sign_requests: unknown key; did you mean "sp.sign_requests"?
    listen.trusted_proxies.1: must be a text in quotes, not the number `7`
    listen.workers: must be a whole number, 0 or more, not the number `-1`
    log.format: "xml" is not one of "json", "text"
    prefix: must be a text in quotes, not the number `5`
    public_ulr: unknown key; did you mean "public_url"?
    storage.kind: "postgres" is not one of "memory", "sqlite", "redis"
    upstream.connect_timeout: "5" is not a duration; write a number and a unit, such as "90s", "15m", "12h" or "30d"
    upstream.idle_timeout: must be a duration in quotes, such as "90s", not the number `10`
    upstream.max_body: "10MB" is not a size; write "unlimited" or a number with B, KiB, MiB or GiB, such as "10MiB"
    upstream.preserve_host: must be true or false, not "yes"
    sp.keys: is empty, but sp.sign_requests is true; run `samlgate keygen` and write keys = [{ key = "sp.key", certificate = "sp.crt" }], or set sp.sign_requests = false
    "#);
}

#[test]
fn every_mistake_of_meaning_is_listed_at_once() {
    insta::assert_snapshot!(refused(
        r#"
public_url = "https://reports.example.com/app"
prefix = "samlgate/"
[listen]
address = "localhost:8080"
ops_address = "9090"
certificate = "missing.crt"
key = "sp.key"
trusted_proxies = ["10.0.0.0/8", "everybody"]
[upstream]
url = "http://127.0.0.1:3000/app"
connect_timeout = "0s"
[sp]
keys = [{ key = "sp.key", certificate = "sp-ec.crt" }, { certificate = "sp.crt" }]
name_id_format = "mail"
[[idp]]
id = "Main IdP"
metadata_file = "missing.xml"
compat = ["sha-1"]
[[idp]]
id = "two"
[[idp]]
id = "two"
entity_id = "https://idp.example.com"
sso_url = "https://idp.example.com/sso"
[identity.user]
pattern = "("
default = "guest"
[identity.role]
allowed = ["admin", "admin"]
default = "viewer"
required = true
[headers]
preset = "graphana"
user = "Host"
role = "X-Role"
groups = "x_role"
separator = "%"
strip = ["cookie", "a b"]
extra = { department = "X-Department" }
[headers.assertion]
key = "sp.key"
lifetime = "1s"
[session]
cookie = "a b"
lifetime = "1s"
[logout]
return_to = "https://evil.example/"
[log]
level = "loud"
[[access]]
path = "api"
allow = "anyone"
roles = ["admin"]
[[access]]
path = "/x?y"
[[access]]
path = "/y"
methods = ["get", "G T"]
groups = ["staff"]
"#
    ).join("\n"), @r#"
    public_url: "https://reports.example.com/app" must be scheme, host and port only, such as https://reports.example.com
    prefix: "samlgate/" must begin with a slash, not end with one, and hold letters, digits and - _ . ~ only, such as "/_samlgate"
    listen.address: "localhost:8080" is neither IP and port, such as "0.0.0.0:8080", "unix:/run/samlgate.sock" nor "systemd"
    listen.ops_address: "9090" is neither IP and port, such as "127.0.0.1:9090", nor "off"
    listen.certificate: DIR/missing.crt cannot be read: No such file or directory (os error 2)
    listen.trusted_proxies.1: "everybody" is not a network; write it as "10.0.0.0/8", or an address as "10.0.0.7"
    upstream.url: "http://127.0.0.1:3000/app" has a path; the application gets the path that the user asked for, so write scheme, host and port only
    upstream.connect_timeout: is zero: nothing would ever be in time
    idp.0.id: "Main IdP" must be 1 to 32 small letters, digits, - and _: it stands in URLs and metrics
    idp.0.compat.0: "sha-1" is not one of sha1, aes-cbc, rsa-1.5, no-audience, empty-reference
    idp.0.metadata_file: DIR/missing.xml cannot be read: No such file or directory (os error 2)
    idp.1: has no metadata; set metadata_url or metadata_file to what the IdP offers, or entity_id, sso_url and certificates
    idp.2.id: "two" is the id of another IdP too; ids must differ
    idp.2.certificates: is missing; without metadata, entity_id, sso_url and certificates are needed
    sp.keys.0: the private key does not belong to the certificate
    sp.keys.1.key: is missing; name the private key's file
    sp.name_id_format: "mail" is not one of unspecified, email, persistent, transient or a URN ("urn:...")
    identity.user.pattern: "(" is no regular expression: unclosed group
    identity.user.default: would sign in whoever has no name as somebody; take it away
    identity.role.allowed.1: "admin" stands there twice
    identity.role.default: "viewer" is not in identity.role.allowed; add it there
    headers.preset: "graphana" is not one of none, grafana, gitea, forgejo, jenkins, cloudbeaver, netbox, sonarqube, rundeck, opensearch, superset, airflow, pgadmin, jupyterhub, radicale, paperless; did you mean "grafana"?
    headers.user: "Host" means something else in HTTP or is set by samlgate itself; take another name
    headers.extra.department: there is no [identity.extra.department] to fill it; add one, or take it away
    headers.separator: "%" must be one to four spaces or ASCII signs, and no letter, digit or %, such as "," or "|"
    headers.strip.0: without "cookie" no request would arrive as it was sent; take it away
    headers.strip.1: "a b" is no header name
    headers.groups: x_role is the header of headers.role too, at least to applications that can't tell - from _; take another one
    headers.assertion.lifetime: must be between 5s and 1h; a minute is enough, since a new one is made at half of it
    headers.assertion.key: is not an EC P-256 private key in PEM (PKCS #8 or SEC 1); make one with `samlgate keygen`
    session.lifetime: is too short to log in; take at least "10s"
    session.cookie: "a b" is no cookie name; use letters, digits, - and _
    access.0.path: "api" must begin with a slash
    access.0.allow: stands beside roles, groups, users or tenants; keep one of them
    access.1.path: "/x?y" may have no query or fragment: rules are compared with the path alone
    access.1: lets nobody in and keeps nobody out; add allow = "anyone", "signed-in" or "nobody", or roles, groups, users or tenants
    access.2.methods.0: "get": methods are case-sensitive; write "GET"
    access.2.methods.1: "G T" is no method; write "GET", "POST" ...
    access.2.groups: nobody ever has one: identity.groups.from is empty
    log.level: "loud" is no level; use error, warn, info, debug or trace, or directives such as "info,samlgate::login=debug"
    "#);
}

#[test]
fn what_later_versions_bring_is_refused_and_never_ignored() {
    let text = with(
        r#"
[[access]]
path = "/x"
allow = "signed-in"
[storage]
kind = "redis"
url_file = "redis.url"
encryption_key = "x"
cache_staleness = "1s"
[provisioning]
mode = "scim"
first_login = "idp-initiated"
scim_tokens = ["sha256:x"]
email_conflict = "link"
[local_login]
allow = "break-glass"
networks = ["10.0.0.0/8"]
[[local_user]]
name = "root"
[admin]
roles = ["admin"]
[telemetry]
otlp_endpoint = "http://127.0.0.1:4317"
"#,
    );
    let problems = refused(&text);
    let keys: Vec<&str> = problems.iter().map(|line| line.split(": is not available in this version").next().unwrap()).collect();
    assert_eq!(
        keys,
        [
            "storage.kind",
            "storage.url",
            "storage.encryption_key",
            "storage.cache_staleness",
            "provisioning.mode",
            "provisioning.first_login",
            "provisioning.scim_tokens",
            "provisioning.email_conflict",
            "local_login.allow",
            "local_login.networks",
            "local_user",
            "admin.roles",
            "telemetry.otlp_endpoint",
        ],
        "{problems:#?}"
    );
}

#[test]
fn required_keys_say_what_to_write() {
    let problems = refused("");
    let begin = |at: usize| problems[at].split(';').next().unwrap();
    assert_eq!(problems.len(), 4, "{problems:#?}");
    assert_eq!(begin(0), "public_url: is required");
    assert_eq!(begin(1), "upstream.url: is required");
    assert_eq!(begin(2), "idp: is missing");
    assert_eq!(begin(3), "sp.keys: is empty, but sp.sign_requests is true");
    assert!(problems[3].contains("samlgate keygen"));
    let missing = load(Some(Path::new("/nowhere/samlgate.toml")), std::iter::empty(), now()).unwrap_err();
    assert_eq!(missing.all()[0].key, "/nowhere/samlgate.toml");
}

#[test]
fn a_secret_is_given_once() {
    let twice = SMALLEST.replace("key = \"assertion.key\"", "key = \"assertion.key\"\nkey_file = \"assertion.key\"");
    assert_eq!(refused(&twice), ["headers.assertion.key: is given twice; take away either it or headers.assertion.key_file"]);
    let file = SMALLEST.replace("key = \"assertion.key\"", "key_file = \"assertion.key\"");
    assert!(loaded(&file).unwrap().assertion.key_pem.is_some());
}

#[test]
fn no_secret_is_shown() {
    let config = loaded(SMALLEST).unwrap();
    let pem = String::from_utf8(config.assertion.key_pem.clone().unwrap()).unwrap();
    let body = pem.lines().nth(1).unwrap();
    let octets = format!("{:?}", &config.assertion.key_pem.as_ref().unwrap()[30..40]);
    let shown = format!("{config:?}");
    assert!(!shown.contains(body) && !shown.contains(octets.trim_matches(['[', ']'])));
}

#[test]
fn a_secret_in_the_wrong_place_is_not_shown() {
    let secret = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg".repeat(5);
    let wrong_type = with(&format!("listen = \"{secret}\""));
    let no_file = SMALLEST.replace("key = \"assertion.key\"", &format!("key = \"{secret}\""));
    for text in [wrong_type, no_file] {
        let problems = refused(&text);
        assert!(problems.len() == 1 && !problems[0].contains("MIGHAgEA"), "{problems:?}");
    }
}
