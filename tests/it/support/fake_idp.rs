//! An identity provider in memory. It signs with libxmlsec1 (through samael), never with the engine under test.
//!
//! The demo's identity provider includes this file too: it stands on dev-dependencies and the library's ground floor alone.
#![allow(dead_code, reason = "every user of this file uses a part of it")]
#![allow(unreachable_pub, missing_docs, reason = "included by the tests and by the demo, and public in neither")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's tool: what goes wrong ends the test")]

#[path = "fake_idp/artifact.rs"]
mod artifact;
#[path = "fake_idp/document.rs"]
mod document;
#[path = "fake_idp/encryption.rs"]
mod encryption;
#[path = "fake_idp/logout.rs"]
mod logout;
#[path = "fake_idp/metadata.rs"]
mod metadata;
#[path = "fake_idp/requests.rs"]
mod requests;
#[path = "fake_idp/wrapping.rs"]
mod wrapping;

use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use samlgate::clock::Timestamp;

#[allow(unused_imports, reason = "see above")]
pub use artifact::{ArtifactResponseBuilder, ParsedResolve, parse_artifact_resolve};
#[allow(unused_imports, reason = "see above")]
pub use document::{element, without_element};
#[allow(unused_imports, reason = "see above")]
pub use encryption::{Encryption, KeyPlace, SP_CERTIFICATE, SP_OLD_CERTIFICATE, SP_SHORT_CERTIFICATE, Wrap};
#[allow(unused_imports, reason = "see above")]
pub use logout::{LogoutBuilder, ParsedLogout, SLO, parse_logout, parse_logout_soap};
#[allow(unused_imports, reason = "see above")]
pub use requests::{ParsedRequest, parse_authn_request};

/// The entity ID of the service provider that responses are made for, unless another is named.
pub const SP: &str = "https://app.example/_samlgate/metadata";
/// Its assertion consumer service.
pub const ACS: &str = "https://app.example/_samlgate/acs";

/// urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified
pub const UNSPECIFIED: &str = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified";
/// urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress
pub const EMAIL: &str = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress";
/// urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport
pub const PASSWORD: &str = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport";

/// Keys of the fixtures: RSA 2048, another one, one that is too short, EC P-256. Key and certificate, PEM.
pub const RSA: (&str, &str) = (include_str!("../../fixtures/idp.key"), include_str!("../../fixtures/idp.crt"));
pub const OTHER: (&str, &str) = (include_str!("../../fixtures/idp-other.key"), include_str!("../../fixtures/idp-other.crt"));
pub const WEAK: (&str, &str) = (include_str!("../../fixtures/idp-weak.key"), include_str!("../../fixtures/idp-weak.crt"));
pub const EC: (&str, &str) = (include_str!("../../fixtures/idp-ec.key"), include_str!("../../fixtures/idp-ec.crt"));

/// What is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    Response,
    Assertion,
    Both,
    None,
}

/// How it is signed: the method and the digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    RsaSha256,
    RsaSha384,
    RsaSha512,
    RsaSha1,
    EcdsaSha256,
}

impl Algorithm {
    fn uris(self) -> (&'static str, &'static str) {
        const SHA256: &str = "http://www.w3.org/2001/04/xmlenc#sha256";
        match self {
            Self::RsaSha256 => ("http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", SHA256),
            Self::RsaSha384 => {
                ("http://www.w3.org/2001/04/xmldsig-more#rsa-sha384", "http://www.w3.org/2001/04/xmldsig-more#sha384")
            }
            Self::RsaSha512 => ("http://www.w3.org/2001/04/xmldsig-more#rsa-sha512", "http://www.w3.org/2001/04/xmlenc#sha512"),
            Self::RsaSha1 => ("http://www.w3.org/2000/09/xmldsig#rsa-sha1", "http://www.w3.org/2000/09/xmldsig#sha1"),
            Self::EcdsaSha256 => ("http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256", SHA256),
        }
    }
}

/// An identity provider: a name and a key.
#[derive(Clone, Debug)]
pub struct FakeIdp {
    pub entity_id: String,
    key_der: Vec<u8>,
    certificate_pem: String,
    algorithm: Algorithm,
}

impl FakeIdp {
    /// One with the RSA key of the fixtures.
    pub fn new(entity_id: &str) -> Self {
        Self::with_key(entity_id, RSA, Algorithm::RsaSha256)
    }

    /// One with another key.
    pub fn with_key(entity_id: &str, (key, certificate): (&str, &str), algorithm: Algorithm) -> Self {
        Self { entity_id: entity_id.to_owned(), key_der: der(key), certificate_pem: certificate.to_owned(), algorithm }
    }

    /// The signing certificate, PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The signing certificate, DER.
    pub fn certificate_der(&self) -> Vec<u8> {
        der(&self.certificate_pem)
    }

    /// Metadata with one address for logins, by Redirect and by POST.
    pub fn metadata(&self, sso_url: &str) -> String {
        let certificate = STANDARD.encode(self.certificate_der());
        let (id, url) = (escape(&self.entity_id), escape(sso_url));
        format!(
            r#"<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" entityID="{id}"><md:IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol"><md:KeyDescriptor use="signing"><ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:X509Data><ds:X509Certificate>{certificate}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor><md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="{url}"/><md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="{url}"/></md:IDPSSODescriptor></md:EntityDescriptor>"#
        )
    }

    /// A response that [`SP`] would believe, were it issued now: change what the test is about. It is issued at
    /// 2026-03-01T12:00:00Z, unsolicited, and its assertion is signed.
    pub fn response(&self) -> ResponseBuilder {
        ResponseBuilder {
            idp: self.clone(),
            id: fresh_id("_r"),
            assertion_id: fresh_id("_a"),
            issuer: Some(self.entity_id.clone()),
            response_issuer: Some(self.entity_id.clone()),
            subject: Some(("alice".to_owned(), UNSPECIFIED.to_owned())),
            attributes: Vec::new(),
            audience: Some(SP.to_owned()),
            destination: Some(ACS.to_owned()),
            recipient: Some(ACS.to_owned()),
            in_response_to: None,
            at: Timestamp::from_unix(1_772_366_400),
            lifetime: Duration::from_secs(5 * 60),
            session_index: Some("s1".to_owned()),
            session_not_on_or_after: None,
            authn_context: Some(PASSWORD.to_owned()),
            status: None,
            sign: Sign::Assertion,
            algorithm: self.algorithm,
            wrapped: None,
            evil: "evil".to_owned(),
            edits: Vec::new(),
            damages: Vec::new(),
            template_edit: None,
            encryption: None,
            forgery: None,
        }
    }
}

type Edit = Box<dyn FnOnce(String) -> String>;

/// A response in the making. `None` leaves an element or attribute out.
pub struct ResponseBuilder {
    idp: FakeIdp,
    id: String,
    assertion_id: String,
    issuer: Option<String>,
    response_issuer: Option<String>,
    subject: Option<(String, String)>,
    attributes: Vec<(String, Vec<String>)>,
    audience: Option<String>,
    destination: Option<String>,
    recipient: Option<String>,
    in_response_to: Option<String>,
    at: Timestamp,
    lifetime: Duration,
    session_index: Option<String>,
    session_not_on_or_after: Option<Timestamp>,
    authn_context: Option<String>,
    status: Option<(String, Option<String>)>,
    sign: Sign,
    algorithm: Algorithm,
    wrapped: Option<u8>,
    evil: String,
    edits: Vec<Edit>,
    damages: Vec<Edit>,
    template_edit: Option<fn(&str) -> String>,
    encryption: Option<Encryption>,
    forgery: Option<(String, String)>,
}

impl ResponseBuilder {
    /// IDs of the Response and the Assertion; fresh ones otherwise.
    pub fn ids(mut self, response: &str, assertion: &str) -> Self {
        (self.id, self.assertion_id) = (response.to_owned(), assertion.to_owned());
        self
    }

    /// Issuer of both.
    pub fn issuer(self, entity_id: &str) -> Self {
        self.response_issuer(Some(entity_id)).assertion_issuer(Some(entity_id))
    }

    /// Issuer of the Response.
    pub fn response_issuer(mut self, entity_id: Option<&str>) -> Self {
        self.response_issuer = entity_id.map(str::to_owned);
        self
    }

    /// Issuer of the Assertion.
    pub fn assertion_issuer(mut self, entity_id: Option<&str>) -> Self {
        self.issuer = entity_id.map(str::to_owned);
        self
    }

    /// The user.
    pub fn subject(mut self, name_id: &str, format: &str) -> Self {
        self.subject = Some((name_id.to_owned(), format.to_owned()));
        self
    }

    /// A Subject without a NameID.
    pub fn no_name_id(mut self) -> Self {
        self.subject = None;
        self
    }

    /// One more attribute.
    pub fn attribute(mut self, name: &str, values: &[&str]) -> Self {
        self.attributes.push((name.to_owned(), values.iter().map(|&value| value.to_owned()).collect()));
        self
    }

    /// Audience.
    pub fn audience(mut self, entity_id: Option<&str>) -> Self {
        self.audience = entity_id.map(str::to_owned);
        self
    }

    /// Audience, Destination and Recipient of another service provider than [`SP`].
    pub fn to(mut self, entity_id: &str, acs: &str) -> Self {
        self.audience = Some(entity_id.to_owned());
        self.destination = Some(acs.to_owned());
        self.recipient = Some(acs.to_owned());
        self
    }

    /// Destination.
    pub fn destination(mut self, url: Option<&str>) -> Self {
        self.destination = url.map(str::to_owned);
        self
    }

    /// Recipient.
    pub fn recipient(mut self, url: Option<&str>) -> Self {
        self.recipient = url.map(str::to_owned);
        self
    }

    /// InResponseTo of both the Response and the SubjectConfirmationData.
    pub fn in_response_to(mut self, id: &str) -> Self {
        self.in_response_to = Some(id.to_owned());
        self
    }

    /// IssueInstant, AuthnInstant and NotBefore.
    pub fn at(mut self, at: Timestamp) -> Self {
        self.at = at;
        self
    }

    /// From IssueInstant to every NotOnOrAfter.
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// SessionIndex.
    pub fn session_index(mut self, index: Option<&str>) -> Self {
        self.session_index = index.map(str::to_owned);
        self
    }

    /// SessionNotOnOrAfter.
    pub fn session_not_on_or_after(mut self, at: Timestamp) -> Self {
        self.session_not_on_or_after = Some(at);
        self
    }

    /// AuthnContextClassRef; `None`: no AuthnStatement at all.
    pub fn authn_context(mut self, class: Option<&str>) -> Self {
        self.authn_context = class.map(str::to_owned);
        self
    }

    /// A status instead of an assertion: the last parts of the codes, `Responder/NoPassive`.
    pub fn status(mut self, code: &str, message: Option<&str>) -> Self {
        self.status = Some((code.to_owned(), message.map(str::to_owned)));
        self
    }

    /// What is signed.
    pub fn sign(mut self, sign: Sign) -> Self {
        self.sign = sign;
        self
    }

    /// Nothing is signed.
    pub fn unsigned(self) -> Self {
        self.sign(Sign::None)
    }

    /// How it is signed.
    pub fn algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// Signature wrapping, 1 to 8 as numbered by Somorovsky and others (2012): what was signed stays in the message, and a
    /// reader who is misled takes [`Self::evil`] for the user.
    pub fn wrapped(mut self, variant: u8) -> Self {
        self.wrapped = Some(variant);
        self.sign(if variant <= 2 { Sign::Response } else { Sign::Assertion })
    }

    /// The user that a wrapped message pretends.
    pub fn evil(mut self, name_id: &str) -> Self {
        self.evil = name_id.to_owned();
        self
    }

    /// Changes the XML before it is signed.
    pub fn edit(mut self, edit: impl FnOnce(String) -> String + 'static) -> Self {
        self.edits.push(Box::new(edit));
        self
    }

    /// Replaces a text that must be there, before signing.
    pub fn replace(self, from: &str, to: &str) -> Self {
        let (from, to) = (from.to_owned(), to.to_owned());
        self.edit(move |xml| document::replaced(&xml, &from, &to))
    }

    /// Changes every Signature before it is filled in: another transform, another reference.
    pub fn edit_signature(mut self, edit: fn(&str) -> String) -> Self {
        self.template_edit = Some(edit);
        self
    }

    /// Encrypts the Assertion, after it is signed and before the Response is.
    pub fn encrypt(mut self, encryption: Encryption) -> Self {
        self.encryption = Some(encryption);
        self
    }

    /// Changes the Assertion after it is signed and before the Response is.
    pub fn forge_assertion(mut self, from: &str, to: &str) -> Self {
        self.forgery = Some((from.to_owned(), to.to_owned()));
        self
    }

    /// Encrypts the NameID, before anything is signed.
    pub fn encrypt_name_id(self, encryption: Encryption) -> Self {
        self.edit(move |xml| encryption.around(&xml, "saml:NameID", "saml:EncryptedID"))
    }

    /// Encrypts the first attribute that is not encrypted yet, before anything is signed.
    pub fn encrypt_attribute(self, encryption: Encryption) -> Self {
        self.edit(move |xml| encryption.around(&xml, "saml:Attribute", "saml:EncryptedAttribute"))
    }

    /// Changes the XML after it is signed (and wrapped).
    pub fn damage(mut self, damage: impl FnOnce(String) -> String + 'static) -> Self {
        self.damages.push(Box::new(damage));
        self
    }

    /// Replaces a text that must be there, after signing.
    pub fn damage_by_replacing(self, from: &str, to: &str) -> Self {
        let (from, to) = (from.to_owned(), to.to_owned());
        self.damage(move |xml| document::replaced(&xml, &from, &to))
    }

    /// The XML.
    pub fn build(mut self) -> String {
        let edits = std::mem::take(&mut self.edits);
        let damages = std::mem::take(&mut self.damages);
        let mut xml = edits.into_iter().fold(self.unsigned_xml(), |xml, edit| edit(xml));
        if matches!(self.sign, Sign::Assertion | Sign::Both) && self.status.is_none() {
            xml = self.signed(&xml, "<saml:Assertion ", &self.assertion_id);
        }
        if let Some((from, to)) = &self.forgery {
            xml = document::replaced(&xml, from, to);
        }
        if let Some(encryption) = &self.encryption {
            xml = encryption.around(&xml, "saml:Assertion", "saml:EncryptedAssertion");
        }
        if matches!(self.sign, Sign::Response | Sign::Both) {
            xml = self.signed(&xml, "<samlp:Response ", &self.id);
        }
        if let Some(variant) = self.wrapped {
            xml = wrapping::wrap(&xml, variant, &self.evil);
        }
        damages.into_iter().fold(xml, |xml, damage| damage(xml))
    }

    /// As it is posted.
    pub fn base64(self) -> String {
        STANDARD.encode(self.build())
    }
}

/// Text as it stands in XML, in an attribute too.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\r', "&#13;")
}

fn der(pem: &str) -> Vec<u8> {
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    STANDARD.decode(body).expect("a PEM file")
}

/// An ID that no other response has, of this process or another.
fn fresh_id(prefix: &str) -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let random = std::hash::RandomState::new().build_hasher().finish();
    format!("{prefix}{random:016x}{:08x}", COUNTER.fetch_add(1, Ordering::Relaxed))
}
