//! `metadata_url`, `metadata_signing_certificate` and `refresh`.

use std::time::Duration;

use super::*;
use crate::metadata::Place;

fn idp(lines: &str) -> String {
    SMALLEST.replace("metadata_file = \"idp.xml\"", lines)
}

#[test]
fn an_idp_by_url_is_waited_for() {
    let config = loaded(&idp("metadata_url = \"https://idp.example.com/metadata\"")).unwrap();
    assert!(config.identity_providers.is_empty());
    assert_eq!(config.idp_order, ["main"]);
    let source = &config.metadata_sources[0];
    let Place::Url(url) = &source.place else { panic!("{source:?}") };
    assert_eq!(url.to_string(), "https://idp.example.com/metadata");
    assert_eq!((source.id.as_str(), source.refresh, source.must_end), ("main", Duration::from_secs(3600), false));
    assert!(source.signers.is_none() && source.entity_id.is_none());
}

#[test]
fn a_file_is_read_at_once_and_watched() {
    let config = loaded(SMALLEST).unwrap();
    assert_eq!((config.identity_providers.len(), config.metadata_sources.len()), (1, 1));
    assert!(matches!(&config.metadata_sources[0].place, Place::File(path) if path.ends_with("idp.xml")));
}

#[test]
fn without_tls_the_metadata_must_be_signed() {
    let plain = "metadata_url = \"http://mdq.example.com/metadata\"";
    let problems = refused(&idp(plain));
    assert!(problems.len() == 1 && problems[0].starts_with("idp.0.metadata_url: is http: "), "{problems:?}");
    let config = loaded(&idp(&format!("{plain}\nmetadata_signing_certificate = \"idp.crt\""))).unwrap();
    let source = &config.metadata_sources[0];
    assert!(source.must_end && source.signers.as_ref().is_some_and(|signers| signers.certificates().len() == 1));
    let config = loaded(&idp("metadata_url = \"http://127.0.0.1:8080/metadata\"")).unwrap();
    assert!(!config.metadata_sources[0].must_end);
}

#[test]
fn a_query_service_needs_to_know_whom_to_ask_for() {
    let template = "metadata_url = \"https://mdq.example.com/entities/{entity_id}\"";
    assert!(refused(&idp(template))[0].contains("entity_id must be set"));
    let config = loaded(&idp(&format!("{template}\nentity_id = \"https://idp.example.com/x\""))).unwrap();
    let Place::Url(url) = &config.metadata_sources[0].place else { panic!() };
    assert_eq!(url.to_string(), "https://mdq.example.com/entities/https%3A%2F%2Fidp.example.com%2Fx");
}

#[test]
fn slips_are_told() {
    let url = "metadata_url = \"https://idp.example.com/metadata\"";
    for (lines, problem) in [
        (
            "metadata_url = \"idp.example.com/metadata\"".to_owned(),
            "idp.0.metadata_url: \"idp.example.com/metadata\" is not an absolute URL",
        ),
        ("metadata_url = \"file:///etc/idp.xml\"".to_owned(), "idp.0.metadata_url: "),
        (format!("{url}\nrefresh = \"5s\""), "idp.0.refresh: must be between 1m and 7d"),
        (format!("{url}\nrefresh = \"30d\""), "idp.0.refresh: must be between 1m and 7d"),
        (format!("{url}\nmetadata_signing_certificate = \"missing.crt\""), "idp.0.metadata_signing_certificate: "),
        (format!("{url}\nmetadata_signing_certificate = \"sp.key\""), "idp.0.metadata_signing_certificate: has no certificate"),
        (format!("{url}\nmetadata_file = \"idp.xml\""), "idp.0: is described twice"),
        // The file of the tests isn't signed.
        (
            "metadata_file = \"idp.xml\"\nmetadata_signing_certificate = \"idp.crt\"".to_owned(),
            "idp.0.metadata_file: the metadata is not signed",
        ),
    ] {
        let problems = refused(&idp(&lines));
        assert!(problems.len() == 1 && problems[0].starts_with(problem), "{lines}: {problems:?}");
    }
    let by_hand =
        "entity_id = \"https://idp.example.com\"\nsso_url = \"https://idp.example.com/sso\"\ncertificates = [\"idp.crt\"]";
    let pinned = refused(&idp(&format!("{by_hand}\nmetadata_signing_certificate = \"idp.crt\"")));
    assert_eq!(pinned, ["idp.0.metadata_signing_certificate: has no effect without metadata; take it away"]);

    let warned = |lines: &str, warning: &str| {
        let warnings = loaded(&idp(lines)).unwrap().warnings;
        assert!(warnings.iter().any(|line| line.starts_with(warning)), "{warnings:?}");
    };
    warned(&format!("{url}\nrefresh = \"2d\""), "idp.0.refresh: is 2d: a key that the IdP withdraws");
    warned("metadata_file = \"idp.xml\"\nrefresh = \"2h\"", "idp.0.refresh: has no effect");
    warned(&format!("{url}\nidp_initiated = \"accept\""), "idp.0.idp_initiated: is accept");
}

#[test]
fn what_is_fetched_must_go_with_the_settings() {
    let url = "metadata_url = \"https://idp.example.com/metadata\"\nrequest_binding = \"post\"";
    let config = loaded(&idp(url)).unwrap();
    // The metadata of the tests offers Redirect alone.
    let error = config.metadata_sources[0].idp(metadata("https://idp.example.com").as_bytes(), now()).unwrap_err();
    assert_eq!(error.code(), "metadata_settings");
    assert!(error.to_string().contains("HTTP-POST"), "{error}");
    let config = loaded(&idp("metadata_url = \"https://idp.example.com/metadata\"\nclock_skew = \"7s\"")).unwrap();
    let idp = config.metadata_sources[0].idp(metadata("https://idp.example.com").as_bytes(), now()).unwrap();
    assert_eq!((idp.id.as_str(), idp.clock_skew), ("main", Duration::from_secs(7)));
}
