//! The identity provider's logout messages, and its reading of ours: signed and verified with other engines than the ones under
//! test. Only the signature of a query is made by aws-lc, from the octets alone.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use samael::crypto::{CertificateDer, Crypto, CryptoProvider};
use samlgate::clock::Timestamp;

use super::document::{attribute, issuer, replaced, sign_element};
use super::requests::{Incoming, receive};
use super::{Algorithm, FakeIdp, escape, fresh_id};

/// The service provider's single logout service, unless another is named.
pub const SLO: &str = "https://app.example/_samlgate/slo";

const NAMESPACES: &str =
    r#"xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion""#;

impl FakeIdp {
    /// A request to end the sessions of `alice` with SessionIndex `s1`, issued at 2026-03-01T12:00:00Z, for [`SLO`].
    pub fn logout_request(&self) -> LogoutBuilder {
        let content = Content::Request {
            name_id: "<saml:NameID>alice</saml:NameID>".to_owned(),
            session_indexes: vec!["s1".to_owned()],
            not_on_or_after: None,
        };
        self.logout(content, None)
    }

    /// The answer to a request, with the last parts of the status codes: `Success`, `Responder/PartialLogout`.
    pub fn logout_response(&self, in_response_to: &str, status: &str) -> LogoutBuilder {
        self.logout(Content::Response { status: status.to_owned() }, Some(in_response_to.to_owned()))
    }

    fn logout(&self, content: Content, in_response_to: Option<String>) -> LogoutBuilder {
        LogoutBuilder {
            idp: self.clone(),
            id: fresh_id("_l"),
            issuer: Some(self.entity_id.clone()),
            destination: Some(SLO.to_owned()),
            in_response_to,
            at: Timestamp::from_unix(1_772_366_400),
            content,
            signed: true,
            edits: Vec::new(),
        }
    }

    /// [`FakeIdp::metadata`] with an address for logout messages, by Redirect and by POST.
    pub fn metadata_with_logout(&self, sso_url: &str, slo_url: &str) -> String {
        let services: String = ["HTTP-Redirect", "HTTP-POST"]
            .iter()
            .map(|binding| {
                let url = escape(slo_url);
                format!(r#"<md:SingleLogoutService Binding="urn:oasis:names:tc:SAML:2.0:bindings:{binding}" Location="{url}"/>"#)
            })
            .collect();
        let end = "</md:KeyDescriptor>";
        replaced(&self.metadata(sso_url), end, &format!("{end}{services}"))
    }
}

#[derive(Clone)]
enum Content {
    Request { name_id: String, session_indexes: Vec<String>, not_on_or_after: Option<Timestamp> },
    Response { status: String },
}

/// A logout message in the making. `None` leaves an element or attribute out.
#[derive(Clone)]
pub struct LogoutBuilder {
    idp: FakeIdp,
    id: String,
    issuer: Option<String>,
    destination: Option<String>,
    in_response_to: Option<String>,
    at: Timestamp,
    content: Content,
    signed: bool,
    edits: Vec<(String, String)>,
}

impl LogoutBuilder {
    /// ID; a fresh one otherwise.
    pub fn id(mut self, id: &str) -> Self {
        self.id = id.to_owned();
        self
    }

    /// Issuer.
    pub fn issuer(mut self, entity_id: Option<&str>) -> Self {
        self.issuer = entity_id.map(str::to_owned);
        self
    }

    /// Destination.
    pub fn destination(mut self, url: Option<&str>) -> Self {
        self.destination = url.map(str::to_owned);
        self
    }

    /// The user, with a Format.
    pub fn subject(self, value: &str, format: &str) -> Self {
        let xml = format!(r#"<saml:NameID Format="{}">{}</saml:NameID>"#, escape(format), escape(value));
        self.name_id_xml(&xml)
    }

    /// What stands in the place of the NameID.
    pub fn name_id_xml(mut self, xml: &str) -> Self {
        if let Content::Request { name_id, .. } = &mut self.content {
            *name_id = xml.to_owned();
        }
        self
    }

    /// SessionIndexes; none: all sessions.
    pub fn session_indexes(mut self, indexes: &[&str]) -> Self {
        if let Content::Request { session_indexes, .. } = &mut self.content {
            *session_indexes = indexes.iter().map(|&index| index.to_owned()).collect();
        }
        self
    }

    /// NotOnOrAfter.
    pub fn not_on_or_after(mut self, at: Timestamp) -> Self {
        if let Content::Request { not_on_or_after, .. } = &mut self.content {
            *not_on_or_after = Some(at);
        }
        self
    }

    /// IssueInstant.
    pub fn at(mut self, at: Timestamp) -> Self {
        self.at = at;
        self
    }

    /// Nothing is signed.
    pub fn unsigned(mut self) -> Self {
        self.signed = false;
        self
    }

    /// Replaces a text that must be there, before signing.
    pub fn replace(mut self, from: &str, to: &str) -> Self {
        self.edits.push((from.to_owned(), to.to_owned()));
        self
    }

    fn element(&self) -> &'static str {
        match self.content {
            Content::Request { .. } => "LogoutRequest",
            Content::Response { .. } => "LogoutResponse",
        }
    }

    fn field(&self) -> &'static str {
        match self.content {
            Content::Request { .. } => "SAMLRequest",
            Content::Response { .. } => "SAMLResponse",
        }
    }

    /// The XML without a signature.
    pub fn xml(&self) -> String {
        let (more, content) = match &self.content {
            Content::Request { name_id, session_indexes, not_on_or_after } => {
                let indexes: String = session_indexes
                    .iter()
                    .map(|index| format!("<samlp:SessionIndex>{}</samlp:SessionIndex>", escape(index)))
                    .collect();
                let until = not_on_or_after.map(|at| at.to_string());
                (attribute("NotOnOrAfter", until.as_deref()), format!("{name_id}{indexes}"))
            }
            Content::Response { status } => {
                let nested = status.split('/').rev().fold(String::new(), |inner, code| {
                    let value = format!("urn:oasis:names:tc:SAML:2.0:status:{}", escape(code));
                    format!(r#"<samlp:StatusCode Value="{value}">{inner}</samlp:StatusCode>"#)
                });
                (attribute("InResponseTo", self.in_response_to.as_deref()), format!("<samlp:Status>{nested}</samlp:Status>"))
            }
        };
        let xml = format!(
            r#"<samlp:{element} {NAMESPACES} ID="{id}" Version="2.0" IssueInstant="{at}"{destination}{more}>{issuer}{content}</samlp:{element}>"#,
            element = self.element(),
            id = escape(&self.id),
            at = self.at,
            destination = attribute("Destination", self.destination.as_deref()),
            issuer = issuer(self.issuer.as_deref()),
        );
        self.edits.iter().fold(xml, |xml, (from, to)| replaced(&xml, from, to))
    }

    /// The XML as it is posted, signed by xmlsec.
    pub fn post(&self) -> String {
        self.sign(&self.xml())
    }

    /// The XML in a SOAP envelope, signed by xmlsec where it stands.
    pub fn soap(&self) -> String {
        self.sign(&format!(
            r#"<SOAP-ENV:Envelope xmlns:SOAP-ENV="http://schemas.xmlsoap.org/soap/envelope/"><SOAP-ENV:Header/><SOAP-ENV:Body>{}</SOAP-ENV:Body></SOAP-ENV:Envelope>"#,
            self.xml()
        ))
    }

    fn sign(&self, xml: &str) -> String {
        if !self.signed {
            return xml.to_owned();
        }
        let element = format!("<samlp:{} ", self.element());
        sign_element(xml, &element, &self.id, self.idp.algorithm, &self.idp.key_der, None)
    }

    /// The query of a redirect. ECDSA signatures are DER here, as Java makes them.
    pub fn redirect(&self, relay_state: Option<&str>) -> String {
        let mut query = format!("{}={}", self.field(), encoded(&STANDARD.encode(deflated(self.xml().as_bytes()))));
        if let Some(relay_state) = relay_state {
            query.push_str(&format!("&RelayState={}", encoded(relay_state)));
        }
        if self.signed { self.idp.sign_query(&query) } else { query }
    }
}

impl FakeIdp {
    /// Adds SigAlg and Signature to a query.
    pub fn sign_query(&self, query: &str) -> String {
        let (method, _) = self.algorithm.uris();
        let query = format!("{query}&SigAlg={}", encoded(method));
        let random = SystemRandom::new();
        let rsa = |encoding| {
            let pair = RsaKeyPair::from_pkcs8(&self.key_der).expect("an RSA key");
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(encoding, &random, query.as_bytes(), &mut signature).expect("signs");
            signature
        };
        let signature = match self.algorithm {
            Algorithm::RsaSha256 => rsa(&RSA_PKCS1_SHA256),
            Algorithm::RsaSha384 => rsa(&RSA_PKCS1_SHA384),
            Algorithm::RsaSha512 => rsa(&RSA_PKCS1_SHA512),
            Algorithm::RsaSha1 => panic!("aws-lc does not sign with SHA-1"),
            Algorithm::EcdsaSha256 => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &self.key_der).expect("an EC key");
                pair.sign(&random, query.as_bytes()).expect("signs").as_ref().to_vec()
            }
        };
        format!("{query}&Signature={}", encoded(&STANDARD.encode(signature)))
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn deflated(octets: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(octets).and_then(|()| encoder.finish()).expect("memory")
}

/// What an identity provider reads from a logout message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParsedLogout {
    /// LogoutRequest or LogoutResponse.
    pub element: String,
    pub id: String,
    pub issuer: String,
    pub destination: Option<String>,
    pub not_on_or_after: Option<String>,
    pub name_id: Option<String>,
    /// Attributes of the NameID, sorted.
    pub name_id_attributes: Vec<(String, String)>,
    pub session_indexes: Vec<String>,
    pub in_response_to: Option<String>,
    /// Last parts of the status codes: `Success/PartialLogout`.
    pub status: String,
    pub relay_state: Option<String>,
}

/// Reads a logout message from a URL, its query, or the body of a form. With the service provider's certificate (PEM) the
/// signature must be there and must verify.
///
/// # Errors
/// In words, for the test that failed.
pub fn parse_logout(encoded: &str, sp_certificate: Option<&str>) -> Result<ParsedLogout, String> {
    let field = if encoded.contains("SAMLRequest=") { "SAMLRequest" } else { "SAMLResponse" };
    let Incoming { xml, relay_state, .. } = receive(encoded, field, sp_certificate)?;
    let parsed = read(&xml, relay_state)?;
    let expected = if field == "SAMLRequest" { "LogoutRequest" } else { "LogoutResponse" };
    if parsed.element == expected { Ok(parsed) } else { Err(format!("a {} in {field}", parsed.element)) }
}

/// Reads the LogoutResponse in a SOAP envelope; its signature must verify.
///
/// # Errors
/// In words, for the test that failed.
pub fn parse_logout_soap(xml: &str, sp_certificate: &str) -> Result<ParsedLogout, String> {
    let certificate = CertificateDer::from(super::der(sp_certificate));
    Crypto::verify_signed_xml(xml, &certificate, Some("ID")).map_err(|error| format!("the XML signature: {error}"))?;
    let body = xml.split_once("<soap:Body>").and_then(|(_, rest)| rest.split_once("</soap:Body>")).ok_or("no Body")?;
    read(body.0, None)
}

fn read(xml: &str, relay_state: Option<String>) -> Result<ParsedLogout, String> {
    const SAMLP: &str = "urn:oasis:names:tc:SAML:2.0:protocol";
    const SAML: &str = "urn:oasis:names:tc:SAML:2.0:assertion";
    let document = uppsala::parse(xml).map_err(|error| error.to_string())?;
    let root = document.document_element().ok_or("empty")?;
    let attribute = |name: &str| document.get_attribute(root, name).map(str::to_owned);
    let all = |namespace: &str, name: &str| document.get_elements_by_tag_name_ns(namespace, name);
    let text = |id| document.text_content_deep(id);
    let name_id = all(SAML, "NameID").into_iter().next();
    let element = document.element(root).ok_or("empty")?;
    if element.name.namespace_uri.as_deref() != Some(SAMLP) {
        return Err(format!("not of the protocol: {}", element.name));
    }
    let codes: Vec<String> = all(SAMLP, "StatusCode")
        .into_iter()
        .filter_map(|id| document.get_attribute(id, "Value")?.rsplit(':').next().map(str::to_owned))
        .collect();
    let mut name_id_attributes: Vec<(String, String)> = name_id
        .and_then(|id| document.element(id))
        .map(|element| element.attributes.iter().map(|one| (one.name.local_name.to_string(), one.value.to_string())).collect())
        .unwrap_or_default();
    name_id_attributes.sort();
    Ok(ParsedLogout {
        element: element.name.local_name.to_string(),
        id: attribute("ID").ok_or("no ID")?,
        issuer: all(SAML, "Issuer").into_iter().next().map(text).ok_or("no Issuer")?,
        destination: attribute("Destination"),
        not_on_or_after: attribute("NotOnOrAfter"),
        name_id: name_id.map(text),
        name_id_attributes,
        session_indexes: all(SAMLP, "SessionIndex").into_iter().map(text).collect(),
        in_response_to: attribute("InResponseTo"),
        status: codes.join("/"),
        relay_state,
    })
}
