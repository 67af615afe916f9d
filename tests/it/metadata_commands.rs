//! The commands where metadata is fetched or written: `check`, `explain`, `metadata`.

use samlgate::clock::Timestamp;
use samlgate::saml::{SpKey, TrustAnchors, TrustedCertificate};

use crate::commands::{Folder, err, out, run};
use crate::support::app::{IDP, SSO, Setup};
use crate::support::fake_idp::{EMAIL, FakeIdp};
use crate::support::metadata_server::MetadataServer;

fn by_url(folder: &Folder, url: &str) -> String {
    folder.changed("url.toml", "metadata_file = \"idp.xml\"", &format!("metadata_url = \"{url}\""))
}

#[test]
fn check_fetches_and_tells_a_source_that_is_away_from_one_that_is_wrong() {
    let folder = Folder::new();
    let server = MetadataServer::start(&FakeIdp::new(IDP).metadata(SSO));
    let config = by_url(&folder, &server.url());
    let good = run(&["check", "--config", &config]);
    assert_eq!(good.status.code(), Some(0), "{}", err(&good));
    assert!(out(&good).contains(IDP), "{}", out(&good));

    server.serves("<html/>");
    let wrong = run(&["check", "--config", &config]);
    assert_eq!((wrong.status.code(), out(&wrong).as_str()), (Some(64), ""));
    assert!(err(&wrong).starts_with("idp.0.metadata_url: ") && err(&wrong).contains("EntityDescriptor"), "{}", err(&wrong));

    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let away = run(&["check", "--config", &by_url(&folder, &format!("http://{free}/metadata"))]);
    assert_eq!(away.status.code(), Some(0), "{}", err(&away));
    assert!(out(&away).contains("can't be fetched now"), "{}", out(&away));
}

#[test]
fn explain_knows_an_idp_by_url() {
    let folder = Folder::new();
    let server = MetadataServer::start(&FakeIdp::new(IDP).metadata(SSO));
    let config = by_url(&folder, &server.url());
    folder.write("response", &FakeIdp::new(IDP).response().subject("ada", EMAIL).attribute("groups", &["admin"]).build());
    let response = folder.path("response");
    let explained = run(&["explain", "--config", &config, "--at", "2026-03-01T12:00:30Z", &response]);
    assert_eq!(explained.status.code(), Some(0), "{}{}", out(&explained), err(&explained));
    server.serves("garbage");
    let explained = run(&["explain", "--config", &config, "--at", "2026-03-01T12:00:30Z", &response]);
    assert_eq!(explained.status.code(), Some(1));
    assert!(err(&explained).contains("the metadata of corp can't be had"), "{}", err(&explained));
}

#[test]
fn refresh_asks_the_running_instance() {
    let server = MetadataServer::start(&FakeIdp::new(IDP).metadata(SSO));
    let app = Setup::new().metadata(&format!("metadata_url = \"{}\"", server.url())).start();
    let folder = Folder::new();
    let address = format!("ops_address = \"{}\"", app.ops_address());
    let config = folder.changed("running.toml", "ops_address = \"127.0.0.1:0\"", &address);
    let before = server.seen().len();
    let output = run(&["refresh", "--config", &config]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    server.wait_for(before + 1);
    drop(app);
    assert_eq!(run(&["refresh", "--config", &config]).status.code(), Some(1));
}

#[test]
fn our_metadata_is_signed_and_ends_when_asked() {
    let folder = Folder::new();
    let config = folder.path("samlgate.toml");
    let plain = out(&run(&["metadata", "--config", &config]));
    assert!(!plain.contains("Signature>") && !plain.contains("validUntil"), "{plain}");

    let output = run(&["metadata", "--config", &config, "--sign", "--valid-for", "30d"]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let signed = out(&output);
    let until = signed.split("validUntil=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    assert!(Timestamp::parse_rfc3339(until).is_some(), "{until}");
    // Both engines find the signature good; that it is no identity provider's is found behind that.
    let certificate = include_str!("../fixtures/sp.crt");
    let pinned = TrustAnchors::new(vec![TrustedCertificate::from_pem(certificate.as_bytes()).unwrap()]).unwrap();
    let read = |xml: &str| samlgate::saml::read_signed_idp(xml.as_bytes(), &pinned, None, Timestamp::from_unix(0)).unwrap_err();
    assert_eq!(read(signed.trim_end()).code(), "metadata_no_idp");
    assert_eq!(read(&signed.trim_end().replace("/acs\"", "/evil\"")).code(), "metadata_signature");
    assert!(SpKey::from_pem(include_bytes!("../fixtures/sp.key"), certificate.as_bytes()).is_ok());

    for wrong in ["1s", "soon", "-1d"] {
        assert_eq!(run(&["metadata", "--config", &config, &format!("--valid-for={wrong}")]).status.code(), Some(64), "{wrong}");
    }
    let keyless =
        folder.changed("keyless.toml", "keys = [{ key = \"sp.key\", certificate = \"sp.crt\" }]", "sign_requests = false");
    let output = run(&["metadata", "--config", &keyless, "--sign"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(err(&output).contains("can't be signed"), "{}", err(&output));
}
