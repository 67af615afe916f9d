//! New keys, ours and the identity provider's, step by step as docs/key-rollover.md has it: no login fails on the way.

use samlgate::saml::TrustedCertificate;

use crate::metadata_refresh::{at, waiting_site, watch};
use crate::support::app::{SSO, Setup, TestApp};
use crate::support::fake_idp::{
    Algorithm, Encryption, FakeIdp, OTHER, ParsedRequest, SP_CERTIFICATE, SP_OLD_CERTIFICATE, UNSPECIFIED, parse_authn_request,
};
use crate::support::metadata_server::MetadataServer;
use crate::support::site::{IDP, Jar, Site, request_id};

/// The certificates that our metadata publishes for a use, as the pairs' names.
fn published(app: &TestApp, purpose: &str) -> Vec<&'static str> {
    let xml = app.browser().open(&app.url("/_samlgate/metadata")).text();
    let body = |pem: &str| -> String { pem.lines().filter(|line| !line.starts_with('-')).collect() };
    let name = |descriptor: &str| {
        let named = [("old", SP_OLD_CERTIFICATE), ("new", SP_CERTIFICATE)];
        named.into_iter().find(|(_, pem)| descriptor.contains(&body(pem))).expect("a certificate of ours").0
    };
    let descriptors = xml.split("<md:KeyDescriptor use=\"").skip(1);
    descriptors.filter(|descriptor| descriptor.starts_with(purpose)).map(name).collect()
}

/// A login at an IdP that knows these certificates of ours and encrypts for one: the certificate that verified the request.
fn login(app: &TestApp, known: &[&'static str], encrypt_for: &'static str) -> &'static str {
    let mut browser = app.browser();
    let page = browser.visit(&app.url("/page"));
    let to = page.redirect();
    assert!(to.starts_with(SSO), "{to}");
    let mut good = known.iter().filter_map(|certificate| Some((*certificate, parse_authn_request(&to, Some(certificate)).ok()?)));
    let (certificate, request): (&str, ParsedRequest) = good.next().expect("the request is signed by a key that the IdP knows");
    let response = app.answer(&request).encrypt(Encryption::default().recipients(&[(encrypt_for, None)]));
    let page = app.finish(&mut browser, &request, response);
    assert_eq!(page.status, 303, "{}", page.text());
    certificate
}

#[test]
fn our_keys_change_without_a_failed_login() {
    let (old, new) = (SP_OLD_CERTIFICATE, SP_CERTIFICATE);
    let start = |keys: &[&str]| Setup::new().sp_keys(keys).start();
    // The new pair stands second: it is published and decrypts, and the old one signs. Some IdPs know it already, some don't.
    let app = start(&["sp-old", "sp"]);
    assert_eq!((published(&app, "signing"), published(&app, "encryption")), (vec!["old", "new"], vec!["old", "new"]));
    assert_eq!(login(&app, &[old], old), old);
    assert_eq!(login(&app, &[old, new], old), old);
    assert_eq!(login(&app, &[old, new], new), old);
    // Then it stands first and signs, and the old one still decrypts.
    let app = start(&["sp", "sp-old"]);
    assert_eq!((published(&app, "signing"), published(&app, "encryption")), (vec!["new", "old"], vec!["new", "old"]));
    assert_eq!(login(&app, &[old, new], old), new);
    assert_eq!(login(&app, &[old, new], new), new);
    // At last the old one goes, and is good for nothing.
    let app = start(&["sp"]);
    assert_eq!((published(&app, "signing"), published(&app, "encryption")), (vec!["new"], vec!["new"]));
    assert_eq!(login(&app, &[new], new), new);
    let mut browser = app.browser();
    let request = app.begin(&mut browser, "/page");
    let response = app.answer(&request).encrypt(Encryption::default().recipients(&[(old, None)]));
    let page = app.finish(&mut browser, &request, response);
    assert!(page.status == 403 && page.text().contains("decryption_failed"), "{}", page.text());
}

/// What becomes of a login whose answer this IdP signs.
async fn answered_by(site: &Site, idp: &FakeIdp) -> String {
    let mut jar = Jar::default();
    let away = site.open_application(&mut jar, "/page").await;
    let response = idp.response().to("https://app.example/_samlgate/metadata", "https://app.example/_samlgate/acs");
    let response = response.at(site.now()).subject("alice", UNSPECIFIED).in_response_to(&request_id(&away)).base64();
    let got = site.post(&mut jar, "/_samlgate/acs", &response, None).await;
    if got.status == 303 { "ok".to_owned() } else { got.reason().to_owned() }
}

#[tokio::test]
async fn the_identity_provider_s_keys_change_without_a_failed_login() {
    let (old, new) = (FakeIdp::new(IDP), FakeIdp::with_key(IDP, OTHER, Algorithm::RsaSha256));
    let metadata = |keys: &[&FakeIdp]| {
        let all: Vec<String> = keys.iter().map(|idp| idp.metadata(SSO)).collect();
        let descriptor = |xml: &str| {
            let (start, end) = (xml.find("<md:KeyDescriptor").unwrap(), xml.find("<md:SingleSignOn").unwrap());
            xml[start..end].to_owned()
        };
        let descriptors: String = all.iter().map(|xml| descriptor(xml)).collect();
        all[0].replace(&descriptor(&all[0]), &descriptors)
    };
    let server = MetadataServer::start(&metadata(&[&old]));
    let site = waiting_site();
    let (mut watched, _) = watch(&site, at(&server.url()), None);
    watched.step().await;
    assert_eq!((answered_by(&site, &old).await, answered_by(&site, &new).await), ("ok".into(), "signature_invalid".into()));
    // The IdP announces its new key, a refresh later it signs with it: both are good in between.
    server.serves(&metadata(&[&old, &new]));
    watched.step().await;
    assert_eq!((answered_by(&site, &old).await, answered_by(&site, &new).await), ("ok".into(), "ok".into()));
    // A login that began before the old key went is answered after it.
    let mut jar = Jar::default();
    let away = site.open_application(&mut jar, "/page").await;
    server.serves(&metadata(&[&new]));
    watched.step().await;
    let response = new.response().to("https://app.example/_samlgate/metadata", "https://app.example/_samlgate/acs");
    let response = response.at(site.now()).in_response_to(&request_id(&away)).base64();
    assert_eq!(site.post(&mut jar, "/_samlgate/acs", &response, None).await.status, 303);
    assert_eq!((answered_by(&site, &old).await, answered_by(&site, &new).await), ("signature_invalid".into(), "ok".into()));
    let trusted = TrustedCertificate::from_pem(OTHER.1.as_bytes()).unwrap();
    assert_eq!(site.login.idps()[0].anchors.certificates(), [trusted]);
}
