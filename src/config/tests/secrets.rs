//! Secrets in wrong places, and the right places for them.

use super::*;

/// Everything that is said about a configuration with these variables.
fn said(variables: &[(&str, &str)]) -> String {
    load_in(&folder(), "samlgate.toml", SMALLEST, variables).expect_err("must be refused").to_string()
}

fn fixture(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)).unwrap()
}

const KEYS: [&str; 4] =
    ["SAMLGATE_LISTEN__KEY", "SAMLGATE_UPSTREAM__KEY", "SAMLGATE_HEADERS__ASSERTION__KEY", "SAMLGATE_SP__KEYS__0__KEY"];

#[test]
fn a_key_in_the_place_of_its_files_name_is_not_shown() {
    let pem = fixture("sp.key");
    let lines: Vec<&str> = pem.lines().collect();
    let bare: String = lines.iter().filter(|line| !line.starts_with("---")).copied().collect();
    let broken = pem.replace("-----BEGIN", "----BEGIN");
    let indented = pem.replace('\n', " ");
    for key in KEYS {
        let mut given = vec![bare.as_str(), broken.as_str(), &indented];
        if key.starts_with("SAMLGATE_LISTEN") || key.starts_with("SAMLGATE_UPSTREAM") {
            given.push(&pem);
        }
        // Each line alone: some have a slash in them, some begin with one.
        given.extend(lines.iter().filter(|line| !line.starts_with("---")));
        for text in given {
            for variable in [key.to_owned(), format!("{key}_FILE")] {
                let said = said(&[(&variable, text), ("SAMLGATE_LISTEN__CERTIFICATE", "sp.crt")]);
                let part = if text.contains(lines[1]) { lines[1] } else { text };
                assert!(!said.contains(&part[..8]), "{variable}: {said}");
            }
        }
    }
    let slash = said(&[("SAMLGATE_LISTEN__KEY", "/qRMdd7QmQ0Cq2cVgVYx4z8mV+uJ"), ("SAMLGATE_LISTEN__CERTIFICATE", "sp.crt")]);
    assert!(!slash.contains("qRMdd7Q"), "{slash}");
}

#[test]
fn a_key_among_certificates_is_not_shown() {
    let bundle = fixture("sp.crt") + &fixture("sp.key");
    let problem = said(&[("SAMLGATE_LISTEN__CERTIFICATE", &bundle), ("SAMLGATE_LISTEN__KEY", "sp.key")]);
    assert!(problem.starts_with("listen.certificate (SAMLGATE_LISTEN__CERTIFICATE): is no file name"), "{problem}");
    assert!(!problem.contains("BEGIN"), "{problem}");
}

#[test]
fn names_that_are_names_are_shown() {
    let folder = folder();
    let there = folder.path().join("assertionkeyofproduction").display().to_string();
    for name in ["missing.key", "/run/secrets/missing.key", "keys/of/production/assertion.pem", "key", &there] {
        let said = load_in(&folder, "samlgate.toml", SMALLEST, &[("SAMLGATE_SP__KEYS__0__KEY", name)]).unwrap_err().to_string();
        assert!(said.contains(name) || name == there, "{said}");
    }
    fs::create_dir(folder.path().join("secrets")).unwrap();
    let name = "secrets/assertionkeyofproduction";
    let said = load_in(&folder, "samlgate.toml", SMALLEST, &[("SAMLGATE_SP__KEYS__0__KEY", name)]).unwrap_err().to_string();
    assert!(said.contains(name), "{said}");
}

#[test]
fn the_keys_of_tls_are_given_as_files_too() {
    let listen = |lines: &str| with(&format!("[listen]\ncertificate = \"sp-ec.crt\"\n{lines}"));
    let tls = loaded(&listen("key_file = \"sp-ec.key\"\n")).unwrap().listen.tls.unwrap();
    assert!(tls.key.ends_with("sp-ec.key"));
    assert_eq!(
        refused(&listen("key = \"sp-ec.key\"\nkey_file = \"sp-ec.key\"\n")),
        ["listen.key: is given twice; take away either it or listen.key_file"]
    );
    assert!(refused(&listen("key_file = \"missing.key\"\n"))[0].starts_with("listen.key_file: DIR/missing.key cannot be read"));
    let https = SMALLEST.replace("http://127.0.0.1:3000", "https://127.0.0.1:3000");
    let upstream = https.replace("[sp]", "certificate = \"sp-ec.crt\"\nkey_file = \"sp-ec.key\"\n[sp]");
    assert!(loaded(&upstream).unwrap().upstream.client_certificate.unwrap().key.ends_with("sp-ec.key"));
    let plain = upstream.replace("https://127.0.0.1:3000", "http://127.0.0.1:3000");
    assert!(refused(&plain).iter().any(|line| line.starts_with("upstream.key_file: has no meaning without TLS")));
}
