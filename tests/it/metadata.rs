//! Identity providers' metadata: the shared corpus with its verdicts, and the cases that it doesn't have.

use std::path::Path;
use std::time::{Duration, Instant};

use samlgate::clock::Timestamp;
use samlgate::saml::keys::TrustedCertificate;
use samlgate::saml::{Binding, Endpoint, IdpMetadata, MetadataError, read_idp};
use serde_json::Value;

use crate::support::fake_idp::{FakeIdp, OTHER, RSA, WEAK};

/// "usable" of the corpus means that the file can be read. These identity providers can't be trusted all the same: the error
/// that says so.
fn refused_for_good_reason(file: &str) -> Option<&'static str> {
    match file {
        // Their only signing keys are RSA with 1024 bits.
        "simplesamlphp-feide.xml" | "multiple-descriptors.xml" | "slo-responselocation.xml" => Some("metadata_no_usable_key"),
        // All identity providers in this old federation speak SAML 1.1 only.
        "ukfederation-excerpt.xml" => Some("metadata_not_saml2"),
        _ => None,
    }
}

/// What must be refused because its signature is broken is refused without a look at the signature, for another reason; none is
/// left for the time when signatures of metadata are verified.
#[test]
fn the_shared_corpus_gets_its_verdicts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors/metadata");
    let Ok(index) = std::fs::read(folder.join("index.json")) else {
        eprintln!("SKIPPED: ../shared/vectors/metadata is not here");
        return;
    };
    let index: Value = serde_json::from_slice(&index).unwrap();
    let entries = index["entries"].as_array().unwrap();
    assert!(entries.len() >= 40);
    let mut wrong = Vec::new();
    for entry in entries {
        let file = entry["file"].as_str().unwrap();
        let xml = std::fs::read(folder.join(file)).unwrap();
        let now = Timestamp::parse_rfc3339(entry["now"].as_str().unwrap()).unwrap();
        let selected = entry["select_entity_id"].as_str();
        let got = read_idp(&xml, selected, now);
        let good = match (entry["expected"].as_str().unwrap(), &got) {
            ("usable", Ok(idp)) => refused_for_good_reason(file).is_none() && says_the_same(&entry["facts"], idp, file),
            ("usable", Err(error)) => refused_for_good_reason(file) == Some(error.code()),
            ("reject", got) => got.is_err(),
            ("either", _) => true,
            (other, _) => panic!("{file}: unknown verdict {other}"),
        };
        if !good {
            wrong.push(format!("{file}: {got:?}"));
        }
        if selected.is_some() {
            let several = matches!(read_idp(&xml, None, now), Err(MetadataError::SeveralIdps { .. }));
            assert!(several || got.is_err(), "{file} holds several");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Compares with what another parser read.
fn says_the_same(facts: &Value, idp: &IdpMetadata, file: &str) -> bool {
    let idps = facts["idps"].as_array().unwrap();
    let fact = idps.iter().find(|fact| fact["entityID"] == idp.entity_id.as_str());
    let fact = fact.unwrap_or_else(|| panic!("{file}: no facts of {}", idp.entity_id));
    let location = |services: &[Endpoint], binding| {
        services.iter().find(|service| service.binding == binding).map(|service| service.location.clone())
    };
    let said = |name: &str| fact["sso"][name].as_str().map(str::to_owned);
    location(&idp.sso, Binding::Redirect) == said("HTTP-Redirect")
        && location(&idp.sso, Binding::Post) == said("HTTP-POST")
        && idp.wants_signed_requests == (fact["want_authn_requests_signed"] == "true")
        && idp.slo.len() <= fact["slo"].as_array().unwrap().len()
        && idp.anchors.certificates().len() <= fact["signing_cert_tails"].as_array().unwrap().len().max(1)
}

const NOW: &str = "2026-03-01T12:00:00Z";

fn read(xml: &str) -> Result<IdpMetadata, MetadataError> {
    read_idp(xml.as_bytes(), None, Timestamp::parse_rfc3339(NOW).unwrap())
}

fn metadata() -> String {
    FakeIdp::new("https://idp.example/metadata").metadata("https://idp.example/sso")
}

fn body(pem: &str) -> String {
    pem.lines().filter(|line| !line.starts_with('-')).collect()
}

fn trusted(pem: &str) -> TrustedCertificate {
    TrustedCertificate::from_pem(pem.as_bytes()).unwrap()
}

fn group(attributes: &str, inner: &str) -> String {
    format!(r#"<g:EntitiesDescriptor xmlns:g="urn:oasis:names:tc:SAML:2.0:metadata" {attributes}>{inner}</g:EntitiesDescriptor>"#)
}

#[test]
fn what_the_metadata_says_is_read() {
    let slo = r#"<md:SingleLogoutService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location=" https://idp.example/slo " ResponseLocation="https://idp.example/slo/done"/><md:SingleLogoutService Binding="urn:oasis:names:tc:SAML:2.0:bindings:SOAP" Location="https://idp.example/soap"/><md:SingleLogoutService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="/slo"/>"#;
    let xml = metadata()
        .replace("<md:SingleSignOn", &format!("{slo}<md:SingleSignOn"))
        .replacen(slo, "", 1)
        .replace("<md:IDPSSODescriptor ", "<md:IDPSSODescriptor WantAuthnRequestsSigned=\"1\" ");
    let idp = read(&format!("\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?>\n{xml}\n")).unwrap();
    assert_eq!(idp.entity_id, "https://idp.example/metadata");
    assert_eq!(
        idp.sso,
        [Endpoint::new(Binding::Redirect, "https://idp.example/sso"), Endpoint::new(Binding::Post, "https://idp.example/sso")]
    );
    assert_eq!(
        idp.slo,
        [Endpoint {
            response_location: Some("https://idp.example/slo/done".to_owned()),
            ..Endpoint::new(Binding::Post, "https://idp.example/slo")
        }]
    );
    assert!(idp.wants_signed_requests);
    assert_eq!(idp.anchors.certificates(), [trusted(RSA.1)]);
    assert_eq!(idp.warnings.len(), 1, "{:?}", idp.warnings);
    assert!(idp.warnings[0].contains("\"/slo\""));
}

#[test]
fn keys_of_all_good_descriptors_are_trusted_and_no_others() {
    let key = |attributes: &str, data: &str| {
        format!(
            r#"<md:KeyDescriptor {attributes}><ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#">{data}</ds:KeyInfo></md:KeyDescriptor>"#
        )
    };
    let data = |pems: &[&str]| {
        let certificates: String =
            pems.iter().map(|pem| format!("<ds:X509Certificate>{}</ds:X509Certificate>", body(pem))).collect();
        format!("<ds:X509Data>{certificates}</ds:X509Data>")
    };
    let with = |keys: &[String]| {
        let xml = metadata();
        let (start, end) = (xml.find("<md:KeyDescriptor").unwrap(), xml.find("<md:SingleSignOn").unwrap());
        read(&format!("{}{}{}", &xml[..start], keys.concat(), &xml[end..]))
    };
    let certificates = |keys: &[String]| with(keys).unwrap().anchors.certificates().to_vec();

    let rsa = data(&[RSA.1]);
    let other = data(&[OTHER.1]);
    assert_eq!(certificates(&[key("use='signing'", &rsa), key("", &other)]), [trusted(RSA.1), trusted(OTHER.1)]);
    assert_eq!(certificates(&[key("", &format!("{rsa}{other}"))]), [trusted(RSA.1), trusted(OTHER.1)]);
    assert_eq!(certificates(&[key("", &rsa), key("use='signing'", &rsa)]), [trusted(RSA.1)]);
    assert_eq!(certificates(&[key("use='encryption'", &other), key("", &rsa)]), [trusted(RSA.1)]);
    assert_eq!(certificates(&[key("use='Signing'", &other), key("", &rsa)]), [trusted(RSA.1)]);
    // An issuer's certificate stands behind the IdP's own.
    assert_eq!(certificates(&[key("", &data(&[RSA.1, OTHER.1]))]), [trusted(RSA.1)]);

    let idp = with(&[key("", &data(&[WEAK.1])), key("", "<ds:KeyName>x</ds:KeyName>"), key("", &rsa)]).unwrap();
    assert_eq!(idp.anchors.certificates(), [trusted(RSA.1)]);
    assert_eq!(idp.warnings.len(), 2, "{:?}", idp.warnings);
    for none in
        [key("", &data(&[WEAK.1])), key("use='encryption'", &rsa), key("", &rsa.replace("ds:X509Data", "ds:X")), String::new()]
    {
        assert!(matches!(with(&[none]), Err(MetadataError::NoUsableKey(_))));
    }
    // Metadata's own namespace is forgiven, and warned of.
    let careless = key("", &rsa).replace("http://www.w3.org/2000/09/xmldsig#", "urn:oasis:names:tc:SAML:2.0:metadata");
    let idp = with(&[careless]).unwrap();
    assert_eq!(idp.anchors.certificates(), [trusted(RSA.1)]);
    assert!(idp.warnings[0].contains("namespace"), "{:?}", idp.warnings);
    // A local name in another namespace is not that element.
    let foreign = key("", &rsa).replace("http://www.w3.org/2000/09/xmldsig#", "urn:x");
    assert!(matches!(with(&[foreign]), Err(MetadataError::NoUsableKey(_))));
}

#[test]
fn valid_until_holds_at_every_level_and_the_earliest_counts() {
    let at = |time: &str| Timestamp::parse_rfc3339(time);
    let xml = group(
        "validUntil='2026-03-05T00:00:00Z' cacheDuration='P1D'",
        &group(
            "validUntil='2026-03-04T00:00:00Z'",
            &metadata()
                .replace("entityID", "validUntil='2026-03-02T00:00:00' cacheDuration='soon' entityID")
                .replace("<md:IDPSSODescriptor", "<md:IDPSSODescriptor cacheDuration='PT6H'"),
        ),
    );
    let idp = read(&xml).unwrap();
    assert_eq!(idp.valid_until, at("2026-03-02T00:00:00Z"));
    assert_eq!(idp.cache_duration, Some(Duration::from_secs(6 * 3600)));
    assert!(idp.warnings.iter().any(|warning| warning.contains("\"soon\"")));

    let past = "validUntil='2026-03-01T12:00:00Z'";
    for (xml, element) in [
        (group(past, &metadata()), "EntitiesDescriptor"),
        (group("", &group(past, &metadata())), "EntitiesDescriptor"),
        (metadata().replace("entityID", &format!("{past} entityID")), "EntityDescriptor"),
        (metadata().replace("<md:IDPSSODescriptor", &format!("<md:IDPSSODescriptor {past}")), "IDPSSODescriptor"),
    ] {
        assert_eq!(read(&xml), Err(MetadataError::Expired { element, at: NOW.to_owned() }));
    }
    let odd = metadata().replace("entityID", "validUntil='next year' entityID");
    assert!(matches!(read(&odd), Err(MetadataError::ValidUntil { element: "EntityDescriptor", .. })));
    // Another group's end is none of ours.
    let beside = group("", &format!("{}{}", group(past, ""), group("", &metadata())));
    assert!(read(&beside).is_ok());
}

#[test]
fn of_several_identity_providers_one_is_chosen_by_name() {
    let named = |id: &str| FakeIdp::new(id).metadata("https://idp.example/sso");
    let all: String = (1..=7).map(|n| named(&format!("https://idp{n}.example"))).collect();
    let xml = group("", &format!("{}{}", group("", &all), named("https://last.example")));
    let now = Timestamp::parse_rfc3339(NOW).unwrap();
    for id in ["https://idp1.example", "https://idp7.example", "https://last.example"] {
        assert_eq!(read_idp(xml.as_bytes(), Some(id), now).unwrap().entity_id, id);
    }
    let Err(MetadataError::SeveralIdps { count, some }) = read(&xml) else { panic!("eight is several") };
    assert_eq!((count, some.len()), (8, 6));
    let message = read(&xml).unwrap_err().to_string();
    assert!(message.contains("entity_id") && message.contains("https://idp5.example") && !message.contains("idp6"), "{message}");
    assert!(matches!(read_idp(xml.as_bytes(), Some("https://idp1.example/"), now), Err(MetadataError::EntityNotFound { .. })));
    let twice = group("", &metadata().repeat(2));
    assert!(matches!(read_idp(twice.as_bytes(), Some("https://idp.example/metadata"), now), Err(MetadataError::EntityTwice(_))));
}

#[test]
fn what_is_no_identity_provider_s_metadata_is_refused_by_its_cause() {
    let cases: Vec<(String, &str)> = vec![
        (String::new(), "metadata_not_xml"),
        ("<html/>".to_owned(), "metadata_wrong_document"),
        (metadata().replace("</md:IDPSSODescriptor>", ""), "metadata_not_xml"),
        (format!("{}<x/>", metadata()), "metadata_not_xml"),
        (format!("<!DOCTYPE x>{}", metadata()), "metadata_forbidden_xml"),
        (metadata().replace("<md:IDP", "<?x y?><md:IDP"), "metadata_forbidden_xml"),
        (format!("<?xml version='1.0' encoding='UTF-7'?>{}", metadata()), "metadata_not_utf8"),
        (metadata().replace("SAML:2.0:metadata", "SAML:9.9:metadata"), "metadata_wrong_document"),
        (metadata().replace("md:IDPSSODescriptor", "md:SPSSODescriptor"), "metadata_no_idp"),
        (group("", ""), "metadata_no_idp"),
        (format!("<x>{}</x>", metadata()), "metadata_wrong_document"),
        (group("", &format!("<g:Extensions>{}</g:Extensions>", metadata())), "metadata_no_idp"),
        (metadata().replace("SAML:2.0:protocol", "SAML:1.1:protocol"), "metadata_not_saml2"),
        (metadata().replace("https://idp.example/metadata", "https://sts.windows.net/{tenantid}/"), "metadata_tenant_template"),
        (metadata().replace("https://idp.example/metadata", ""), "metadata_entity_id"),
        (metadata().replace("https://idp.example/metadata", "a b"), "metadata_entity_id"),
        (metadata().replace("https://idp.example/metadata", &"x".repeat(1025)), "metadata_entity_id"),
        (metadata().replace("bindings:HTTP", "bindings:OTHER"), "metadata_no_sso"),
        (metadata().replace("https://idp.example/sso", "javascript:alert(1)"), "metadata_location"),
        (metadata().replace("https://idp.example/sso", "/sso"), "metadata_location"),
    ];
    for (xml, code) in cases {
        let error = read(&xml).expect_err(&xml);
        assert_eq!(error.code(), code, "{xml}: {error}");
        assert!(!error.to_string().is_empty());
    }
}

#[test]
fn hostile_shapes_are_refused_quickly() {
    let open = "<EntitiesDescriptor xmlns='urn:oasis:names:tc:SAML:2.0:metadata'>";
    let deep = open.repeat(200_000);
    let wide = format!("<md:EntityDescriptor {}/>", (0..500_000).map(|n| format!("a{n}='' ")).collect::<String>());
    let quotes = format!("<md:EntityDescriptor a='{}", "<".repeat(1_000_000));
    let many = metadata().replace("<md:IDP", &format!("{}<md:IDP", "<md:x/>".repeat(200_000)));
    let comments = format!("{}{}", "<!-- x -->".repeat(200_000), metadata());
    for (what, xml, code) in [
        ("deep", deep, Some("metadata_too_complex")),
        ("wide", wide, Some("metadata_too_complex")),
        ("quotes", quotes, Some("metadata_not_xml")),
        ("many", many, Some("metadata_too_complex")),
        ("comments", comments, None),
    ] {
        let start = Instant::now();
        let got = read(&xml);
        assert_eq!(got.as_ref().err().map(MetadataError::code), code, "{what}");
        assert!(start.elapsed() < Duration::from_secs(5), "{what} took {:?}", start.elapsed());
    }
    let now = Timestamp::parse_rfc3339(NOW).unwrap();
    let small = samlgate::saml::metadata::read_idp_within(metadata().as_bytes(), None, now, 100);
    assert_eq!(small, Err(MetadataError::TooLarge(100)));
}

#[test]
fn an_identity_provider_can_be_written_by_hand() {
    let by_hand = |id, sso, slo, keys| IdpMetadata::by_hand(id, sso, slo, keys);
    let idp = by_hand("urn:idp", "https://idp.example/sso", Some("https://idp.example/slo"), vec![trusted(RSA.1)]).unwrap();
    assert_eq!((idp.sso.len(), idp.slo.len()), (2, 2));
    assert!(by_hand("urn:idp", "https://idp.example/sso", None, vec![trusted(RSA.1)]).unwrap().slo.is_empty());
    for (id, sso, slo, keys, code) in [
        ("", "https://idp.example/sso", None, vec![trusted(RSA.1)], "metadata_entity_id"),
        ("urn:idp", "idp.example", None, vec![trusted(RSA.1)], "metadata_location"),
        ("urn:idp", "https://idp.example/sso", Some("slo"), vec![trusted(RSA.1)], "metadata_location"),
        ("urn:idp", "https://idp.example/sso", None, Vec::new(), "metadata_no_usable_key"),
    ] {
        assert_eq!(by_hand(id, sso, slo, keys).unwrap_err().code(), code);
    }
}
