use super::*;
use crate::saml::fixture::{IDP, Sign, anchors, now, response, verify};

const INDEX_1: &str = "AAQAAXv5lM5eNgGCBMYVbMh9p+TgxQCsQUFBQUFBQUFBQUFBQUFBQUFBQUE=";

fn in_envelope(message: &str) -> String {
    format!(
        "<e:Envelope xmlns:e=\"{SOAP}\" xmlns:p=\"{PROTOCOL}\" xmlns:a=\"urn:oasis:names:tc:SAML:2.0:assertion\" xmlns:x=\"urn:x\"><e:Body>\
         <p:ArtifactResponse ID=\"_ar\" Version=\"2.0\" IssueInstant=\"2026-03-01T12:00:20Z\" InResponseTo=\"_resolve\">\
         <a:Issuer>{IDP}</a:Issuer><p:Status><p:StatusCode Value=\"{SUCCESS}\"/></p:Status>{message}</p:ArtifactResponse></e:Body></e:Envelope>"
    )
}

fn opened(envelope: &str) -> Result<String, ArtifactError> {
    let expectations = ArtifactExpectations {
        idp_entity_id: IDP,
        in_response_to: "_resolve",
        compat: Compat::default(),
        clock_skew: Duration::from_secs(60),
        max_age: Duration::from_secs(300),
    };
    open(envelope.as_bytes(), &anchors(), &expectations, now()).map(|octets| String::from_utf8(octets).unwrap())
}

#[test]
fn an_artifact_is_read_strictly() {
    let artifact = Artifact::parse(INDEX_1).unwrap();
    assert_eq!((artifact.index(), artifact.text()), (1, INDEX_1));
    assert!(!artifact.is_from(IDP));
    let mut octets = vec![0, 4, 1, 2];
    octets.extend(source_id(IDP));
    octets.extend([b'h'; 20]);
    let artifact = Artifact::parse(&STANDARD.encode(&octets)).unwrap();
    assert_eq!(artifact.index(), 0x0102);
    assert!(artifact.is_from(IDP) && !artifact.is_from("https://idp.test/metadata2"));
    // FIPS 180, "abc".
    assert_eq!(source_id("abc")[..4], [0xa9, 0x99, 0x3e, 0x36]);
    for (bad, octet) in [(0, 1), (1, 3), (1, 5)] {
        let mut octets = octets.clone();
        octets[bad] = octet;
        assert_eq!(Artifact::parse(&STANDARD.encode(octets)).unwrap_err().code(), "artifact_invalid");
    }
    for bad in ["", " ", "AAQ=", &format!("{INDEX_1}\n"), &INDEX_1.replace('+', "-"), &STANDARD.encode(&octets[..43])] {
        assert_eq!(Artifact::parse(bad).unwrap_err().code(), "artifact_invalid", "{bad:?}");
    }
}

#[test]
fn the_response_is_read_with_the_namespaces_around_it_and_nothing_else() {
    for sign in [Sign::Assertion, Sign::Response, Sign::Both] {
        let inner = opened(&in_envelope(&response(sign, &[]))).unwrap();
        assert!(inner.starts_with("<p:Response xmlns:") && inner.contains("xmlns:x=\"urn:x\""), "{inner}");
        assert!(!inner.contains("ArtifactResponse") && !inner.contains("Envelope>"), "{inner}");
        assert_eq!(verify(&inner).unwrap().name_id().value, "alice@example.com");
    }
    // Declared in the envelope alone.
    let signed = response(Sign::Assertion, &[]);
    let bare = signed.replacen(" xmlns:p=\"urn:oasis:names:tc:SAML:2.0:protocol\"", "", 1);
    let bare = bare.replacen(" xmlns:a=\"urn:oasis:names:tc:SAML:2.0:assertion\"", "", 1);
    assert_eq!(verify(&opened(&in_envelope(&bare)).unwrap()).unwrap().id(), "_a");
    // Declared there as something else.
    let other = in_envelope(&bare).replacen("xmlns:a=\"urn:oasis:names:tc:SAML:2.0:assertion\"", "xmlns:a=\"urn:a\"", 1);
    assert_eq!(opened(&other).unwrap_err().code(), "forbidden_xml");
}

#[test]
fn there_is_one_message_and_it_is_a_response() {
    assert_eq!(opened(&in_envelope("")).unwrap_err(), ArtifactError::Empty);
    let one = response(Sign::Assertion, &[]);
    let other = one.replace("ID=\"_", "ID=\"_z").replace("#_a", "#_za");
    for (message, code) in [
        (format!("{one}{other}"), "forbidden_xml"),
        (format!("<x:x>{one}</x:x>"), "wrong_document"),
        (format!("<p:Extensions>{one}</p:Extensions>{other}"), "forbidden_xml"),
        ("<p:LogoutRequest ID=\"_l\"/>".to_owned(), "wrong_document"),
        ("<a:Assertion ID=\"_l\"/>".to_owned(), "wrong_document"),
    ] {
        assert_eq!(opened(&in_envelope(&message)).unwrap_err().code(), code, "{message}");
    }
}

#[test]
fn a_fault_is_told_in_its_own_words() {
    let fault = format!(
        "<e:Envelope xmlns:e=\"{SOAP}\"><e:Body><e:Fault><faultcode>e:Client</faultcode><faultstring>no\nsuch SP</faultstring></e:Fault>\
         </e:Body></e:Envelope>"
    );
    let error = opened(&fault).unwrap_err();
    assert_eq!(error.code(), "artifact_unresolved");
    assert!(error.to_string().contains("\"no\\nsuch SP\""), "{error}");
}

#[test]
fn a_saved_answer_gives_its_response() {
    let saved = in_envelope(&response(Sign::Assertion, &[])).replace("_resolve", "_whatever");
    let inner = response_in(saved.as_bytes()).unwrap().unwrap();
    assert!(verify(std::str::from_utf8(&inner).unwrap()).is_ok());
    assert_eq!(response_in(response(Sign::Assertion, &[]).as_bytes()).map(drop_ok), None);
    assert_eq!(response_in(in_envelope("").as_bytes()).map(drop_ok), Some(Err(ArtifactError::Empty)));
}

fn drop_ok<T, E>(result: Result<T, E>) -> Result<(), E> {
    result.map(drop)
}
