//! What an IdP's answer to an artifact can be like when somebody means ill, or the IdP is ill.

use http::StatusCode;

use crate::artifacts::{FORBIDDEN, SEE_OTHER, bring, plan, refused_as, server};
use crate::support::artifact_server::ArtifactServer;
use crate::support::fake_idp::{
    Algorithm, ArtifactResponseBuilder, FakeIdp, OTHER, ResponseBuilder, Sign, element, without_element,
};
use crate::support::site::{Got, IDP, Jar, Site, request_id};

const UNAVAILABLE: StatusCode = StatusCode::SERVICE_UNAVAILABLE;

/// A login that begins here and whose response is like that.
async fn login_with(site: &Site, server: &ArtifactServer, change: impl FnOnce(ResponseBuilder) -> ResponseBuilder) -> (Got, Jar) {
    let mut jar = Jar::default();
    let away = site.open(&mut jar, "/_samlgate/login?idp=corp&return_to=/page").await;
    let artifact = server.keeps(change(site.response().in_response_to(&request_id(&away))).build());
    let got = bring(site, &mut jar, &artifact, "").await;
    (got, jar)
}

#[tokio::test]
async fn an_answer_that_is_not_the_idps_or_not_to_our_question_is_refused() {
    type Change = fn(ArtifactResponseBuilder) -> String;
    let server = server();
    let site = plan(&server).build();
    let cases: [(&str, StatusCode, &str, Change); 14] = [
        ("another issuer", FORBIDDEN, "issuer_mismatch", |a| a.issuer(Some("https://other.example")).envelope()),
        ("no issuer", FORBIDDEN, "issuer_mismatch", |a| a.issuer(None).envelope()),
        ("another question", FORBIDDEN, "in_response_to_mismatch", |a| a.in_response_to(Some("_other")).envelope()),
        ("no question", FORBIDDEN, "in_response_to_mismatch", |a| a.in_response_to(None).unsigned().envelope()),
        ("an error", UNAVAILABLE, "artifact_unresolved", |a| a.status("Requester/RequestDenied").envelope()),
        ("no status", UNAVAILABLE, "artifact_unresolved", |a| without_element(&a.unsigned().envelope(), "samlp:Status")),
        ("too old", FORBIDDEN, "too_old", |a| {
            a.at(samlgate::clock::Timestamp::parse_rfc3339("2026-03-01T11:00:00Z").unwrap()).envelope()
        }),
        ("changed after signing", FORBIDDEN, "signature_invalid", |a| {
            a.envelope().replacen("status:Success", "status:Succes", 1)
        }),
        ("SAML 1.1", FORBIDDEN, "wrong_document", |a| a.replace("Version=\"2.0\"", "Version=\"1.1\"").envelope()),
        ("no envelope", FORBIDDEN, "wrong_document", |a| element(&a.envelope(), "samlp:ArtifactResponse")),
        ("two bodies", FORBIDDEN, "wrong_document", |a| {
            a.envelope().replace("</soap:Body>", "</soap:Body><soap:Body></soap:Body>")
        }),
        ("a header to be understood", FORBIDDEN, "wrong_document", |a| {
            let header = "<soap:Header><x xmlns=\"urn:x\" soap:mustUnderstand=\"1\"/></soap:Header><soap:Body>";
            a.envelope().replace("<soap:Body>", header)
        }),
        ("a DTD bomb", FORBIDDEN, "forbidden_xml", |a| {
            format!("<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;&a;\">]>{}", a.envelope())
        }),
        ("a page", FORBIDDEN, "not_xml", |_| "<html><body>sign in<br></body></html>".to_owned()),
    ];
    for (what, status, reason, change) in cases {
        server.answers(change);
        let (got, jar) = login_with(&site, &server, |response| response).await;
        assert_eq!((got.status, got.reason()), (status, reason), "{what}: {}", got.text);
        assert!(jar.session().is_none(), "{what}");
    }
    assert_eq!(site.sessions().await, 0);
}

#[tokio::test]
async fn another_key_signs_nothing() {
    let server = server();
    let site = plan(&server).build();
    // The envelope by a key that nobody trusts, around a good response: it can only refuse.
    server.answers(|answer| {
        let stranger = FakeIdp::with_key(IDP, OTHER, Algorithm::RsaSha256);
        let envelope = answer.unsigned().envelope();
        let id = envelope.split("ArtifactResponse xmlns").nth(1).unwrap().split(" ID=\"").nth(1).unwrap();
        let id = id.split('"').next().unwrap().to_owned();
        stranger.sign_in_place(&envelope, "<samlp:ArtifactResponse ", &id, None)
    });
    refused_as(&login_with(&site, &server, |response| response).await.0, FORBIDDEN, "signature_invalid");
    // And a response by that key in a good envelope.
    server.is_proper();
    let (got, _) = login_with(&site, &server, |response| {
        response.unsigned().edit(|xml| {
            let id = xml.split("<saml:Assertion ").nth(1).unwrap().split(" ID=\"").nth(1).unwrap().split('"').next().unwrap();
            FakeIdp::with_key(IDP, OTHER, Algorithm::RsaSha256).sign_in_place(&xml, "<saml:Assertion ", id, None)
        })
    })
    .await;
    refused_as(&got, FORBIDDEN, "signature_invalid");
}

/// Neither TLS nor the envelope's signature vouches for a response: it must be signed itself, or its assertion.
#[tokio::test]
async fn an_unsigned_response_is_refused_whatever_is_around_it() {
    let server = server();
    let site = plan(&server).build();
    refused_as(&login_with(&site, &server, ResponseBuilder::unsigned).await.0, FORBIDDEN, "signature_missing");
    server.answers(|answer| answer.unsigned().envelope());
    refused_as(&login_with(&site, &server, ResponseBuilder::unsigned).await.0, FORBIDDEN, "signature_missing");
}

#[tokio::test]
async fn the_response_is_held_to_every_rule_of_a_posted_one() {
    let server = server();
    let site = plan(&server).build();
    for (reason, change) in [
        (
            "audience_mismatch",
            (|r: ResponseBuilder| r.audience(Some("https://other.example"))) as fn(ResponseBuilder) -> ResponseBuilder,
        ),
        ("destination_mismatch", |r| r.destination(Some("https://other.example/acs"))),
        ("recipient_mismatch", |r| r.recipient(Some("https://other.example/acs"))),
        ("unknown_issuer", |r| r.issuer("https://other.example")),
        ("name_id_missing", ResponseBuilder::no_name_id),
        ("status_not_success", |r| r.status("Responder/AuthnFailed", None)),
    ] {
        refused_as(&login_with(&site, &server, change).await.0, FORBIDDEN, reason);
    }
}

#[tokio::test]
async fn signature_wrapping_inside_the_envelope_misleads_nobody() {
    let server = server();
    let site = plan(&server).build();
    for outer in [true, false] {
        server.answers(move |answer| if outer { answer.envelope() } else { answer.unsigned().envelope() });
        for variant in 1..=8 {
            let (got, jar) = login_with(&site, &server, |response| response.wrapped(variant)).await;
            assert!(got.status.is_client_error() && jar.session().is_none(), "{variant} {outer}: {}", got.text);
        }
    }
    // The genuine message stands where nobody looks, an evil one where everybody does.
    type Change = fn(ArtifactResponseBuilder) -> String;
    fn evil_response(xml: &str) -> String {
        let response = without_element(&element(xml, "samlp:Response"), "ds:Signature");
        response.replace("alice", "root").replace(" ID=\"_", " ID=\"_e")
    }
    let wrappings: [(&str, Change); 6] = [
        ("in the header", |a| {
            let xml = a.unsigned().envelope();
            let genuine = element(&xml, "samlp:Response");
            xml.replace(&genuine, &evil_response(&xml))
                .replace("<soap:Body>", &format!("<soap:Header>{genuine}</soap:Header><soap:Body>"))
        }),
        ("in the extensions", |a| {
            let xml = a.unsigned().envelope();
            let genuine = element(&xml, "samlp:Response");
            let hidden = format!("<samlp:Extensions>{genuine}</samlp:Extensions>{}", evil_response(&xml));
            xml.replace(&genuine, &hidden)
        }),
        ("before the genuine one", |a| {
            let xml = a.unsigned().envelope();
            let genuine = element(&xml, "samlp:Response");
            xml.replace(&genuine, &format!("{}{genuine}", evil_response(&xml)))
        }),
        ("after the genuine one", |a| {
            let xml = a.unsigned().envelope();
            let genuine = element(&xml, "samlp:Response");
            xml.replace(&genuine, &format!("{genuine}{}", evil_response(&xml)))
        }),
        ("in a signed answer inside an answer", |a| {
            let xml = a.envelope();
            let genuine = element(&xml, "samlp:ArtifactResponse");
            let outer = without_element(&genuine, "ds:Signature").replace(" ID=\"_ar", " ID=\"_ear");
            let outer = outer.replace(&element(&outer, "samlp:Response"), &format!("{}{genuine}", evil_response(&xml)));
            xml.replace(&genuine, &outer)
        }),
        ("with the genuine assertion in an element of its own", |a| {
            let xml = a.unsigned().envelope();
            let genuine = element(&xml, "saml:Assertion");
            let evil = without_element(&genuine, "ds:Signature").replace("alice", "root").replace(" ID=\"_", " ID=\"_e");
            xml.replace(&genuine, &evil).replace("<samlp:Status>", &format!("<x xmlns=\"urn:x\">{genuine}</x><samlp:Status>"))
        }),
    ];
    for (what, change) in wrappings {
        server.answers(change);
        let (got, jar) = login_with(&site, &server, |response| response.sign(Sign::Assertion)).await;
        assert!(got.status.is_client_error() && jar.session().is_none(), "{what}: {} {}", got.status, got.text);
    }
    assert_eq!(site.sessions().await, 0);
}

#[tokio::test]
async fn a_response_of_another_idp_is_not_taken_from_this_one() {
    let server = server();
    let mut plan = plan(&server);
    plan.idps.push(crate::support::site::idp("other", "https://other.example", "https://other.example/sso"));
    let site = plan.build();
    // Asked: corp. Signed and issued: other. Both are trusted, and share the fixtures' key.
    let (got, _) = login_with(&site, &server, |response| response.issuer("https://other.example")).await;
    refused_as(&got, FORBIDDEN, "issuer_mismatch");
    // The same when nobody was asked.
    let artifact = server.keeps(site.response().issuer("https://other.example").build());
    refused_as(&bring(&site, &mut Jar::default(), &artifact, "/").await, FORBIDDEN, "issuer_mismatch");
    // A login that is pending with the other one, answered by an artifact of corp.
    let mut jar = Jar::default();
    let away = site.open(&mut jar, "/_samlgate/login?idp=other").await;
    let id = crate::support::fake_idp::parse_authn_request(away.location(), None).unwrap().id;
    let artifact = server.keeps(site.response().issuer("https://other.example").in_response_to(&id).build());
    refused_as(&bring(&site, &mut jar, &artifact, "/").await, FORBIDDEN, "issuer_mismatch");
    let artifact = server.keeps(site.response().in_response_to(&id).build());
    refused_as(&bring(&site, &mut jar, &artifact, "/").await, FORBIDDEN, "issuer_mismatch");
    assert_eq!(site.sessions().await, 0);
}

#[tokio::test]
async fn an_answer_that_is_too_large_or_leads_elsewhere_is_not_followed() {
    let server = server();
    let site = plan(&server).build();
    let elsewhere = crate::artifacts::server();
    let redirect = format!("HTTP/1.1 307 Temporary Redirect\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n", elsewhere.url());
    server.answers_raw(redirect.as_bytes());
    refused_as(&login_with(&site, &server, |response| response).await.0, UNAVAILABLE, "artifact_unresolved");
    assert!(elsewhere.contacts().is_empty());
    for broken in [
        "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n<soap:Envelope",
        "hello",
    ] {
        server.answers_raw(broken.as_bytes());
        refused_as(&login_with(&site, &server, |response| response).await.0, UNAVAILABLE, "artifact_unresolved");
    }
    server.is_endless();
    refused_as(&login_with(&site, &server, |response| response).await.0, FORBIDDEN, "too_large");
    server.answers_raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n<");
    refused_as(&login_with(&site, &server, |response| response).await.0, FORBIDDEN, "too_large");
    server.is_proper();
    assert_eq!(login_with(&site, &server, |response| response).await.0.status, SEE_OTHER);
}

#[tokio::test]
async fn an_artifact_that_the_idp_does_not_know_is_said_to_be_unknown() {
    let server = server();
    let site = plan(&server).build();
    let mut jar = Jar::default();
    site.open_application(&mut jar, "/page").await;
    let got = bring(&site, &mut jar, &FakeIdp::new(IDP).artifact(1, "made up"), "").await;
    refused_as(&got, FORBIDDEN, "artifact_unknown");
}
