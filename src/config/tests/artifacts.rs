//! `response_binding`.

use super::*;
use crate::saml::{ResponseBinding, sp_metadata};

const SERVICE: &str = "<ArtifactResolutionService Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:SOAP\" \
                       Location=\"https://idp.example.com/resolve\" index=\"0\"/>";

/// The IdP with this resolution service, or none, and more lines.
fn idp(service: &str, lines: &str) -> String {
    let xml = metadata("https://idp.example.com").replace("<SingleSignOnService", &format!("{service}<SingleSignOnService"));
    let xml = xml.replacen(&format!("{service}<SingleSignOnService"), "<SingleSignOnService", usize::from(service.is_empty()));
    SMALLEST.replace("metadata_file = \"idp.xml\"", &format!("metadata_xml = '''{xml}'''\n{lines}"))
}

const ARTIFACT: &str = "response_binding = \"artifact\"";

#[test]
fn it_is_off_unless_it_is_set() {
    let config = loaded(&idp(SERVICE, "")).unwrap();
    assert_eq!(config.identity_providers[0].response_binding, ResponseBinding::Post);
    assert!(!sp_metadata::write(&config.service_provider).contains("HTTP-Artifact"));
    let config = loaded(&idp(SERVICE, ARTIFACT)).unwrap();
    assert_eq!(config.identity_providers[0].response_binding, ResponseBinding::Artifact);
    assert!(sp_metadata::write(&config.service_provider).contains("HTTP-Artifact"));
}

#[test]
fn it_needs_an_address_to_ask_at() {
    for service in ["", &SERVICE.replace("https:", "http:"), &SERVICE.replace("bindings:SOAP", "bindings:PAOS")] {
        let problems = refused(&idp(service, ARTIFACT));
        assert!(problems.len() == 1 && problems[0].starts_with("idp.0.response_binding: "), "{problems:?}");
    }
    let by_hand =
        "entity_id = \"https://idp.example.com\"\nsso_url = \"https://idp.example.com/sso\"\ncertificates = [\"idp.crt\"]";
    let problems = refused(&SMALLEST.replace("metadata_file = \"idp.xml\"", &format!("{by_hand}\n{ARTIFACT}")));
    assert!(problems.len() == 1 && problems[0].contains("ArtifactResolutionService"), "{problems:?}");
}

#[test]
fn it_needs_a_key_that_signs() {
    let text = idp(SERVICE, ARTIFACT);
    let keys = "keys = [{ key = \"sp.key\", certificate = \"sp.crt\" }]";
    let problems = refused(&text.replace(keys, "sign_requests = false"));
    assert!(
        problems.len() == 1 && problems[0].starts_with("idp.0.response_binding: is artifact, which needs a key"),
        "{problems:?}"
    );
}
