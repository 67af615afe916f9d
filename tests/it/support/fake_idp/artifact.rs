//! The identity provider's artifacts, its answers to those who bring them, and its reading of what we ask.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use samael::crypto::{CertificateDer, Crypto, CryptoProvider};
use samlgate::clock::Timestamp;

use super::document::{attribute, issuer, replaced, sign_element};
use super::{Algorithm, FakeIdp, escape, fresh_id};

const SOAP: &str = "http://schemas.xmlsoap.org/soap/envelope/";

impl FakeIdp {
    /// A type 4 artifact of this IdP, for its resolution service with that index.
    pub fn artifact(&self, index: u16, handle: &str) -> String {
        let source = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, self.entity_id.as_bytes());
        let mut octets = vec![0, 4];
        octets.extend_from_slice(&index.to_be_bytes());
        octets.extend_from_slice(source.as_ref());
        octets.extend_from_slice(format!("{handle:*<20.20}").as_bytes());
        STANDARD.encode(octets)
    }

    /// [`FakeIdp::metadata`] with an artifact resolution service that has index 1.
    pub fn metadata_with_artifacts(&self, sso_url: &str, resolution_url: &str) -> String {
        let service = format!(
            r#"<md:ArtifactResolutionService Binding="urn:oasis:names:tc:SAML:2.0:bindings:SOAP" Location="{}" index="1"/>"#,
            escape(resolution_url)
        );
        let end = "</md:KeyDescriptor>";
        replaced(&self.metadata(sso_url), end, &format!("{end}{service}"))
    }

    /// The answer to an ArtifactResolve, with a message in it or none, issued at 2026-03-01T12:00:00Z and signed.
    pub fn artifact_response(&self, in_response_to: &str, message: &str) -> ArtifactResponseBuilder {
        ArtifactResponseBuilder {
            idp: self.clone(),
            issuer: Some(self.entity_id.clone()),
            in_response_to: Some(in_response_to.to_owned()),
            at: Timestamp::from_unix(1_772_366_400),
            status: "Success".to_owned(),
            message: message.to_owned(),
            signed: true,
            before_signing: Vec::new(),
        }
    }

    /// Signs the first element of a document that starts so, where it stands.
    pub fn sign_in_place(&self, xml: &str, element: &str, id: &str, template: Option<fn(&str) -> String>) -> String {
        sign_element(xml, element, id, Algorithm::RsaSha256, &self.key_der, template)
    }
}

/// An answer in the making.
#[derive(Clone)]
pub struct ArtifactResponseBuilder {
    idp: FakeIdp,
    issuer: Option<String>,
    in_response_to: Option<String>,
    at: Timestamp,
    status: String,
    message: String,
    signed: bool,
    before_signing: Vec<(String, String)>,
}

impl ArtifactResponseBuilder {
    /// Issuer.
    pub fn issuer(mut self, entity_id: Option<&str>) -> Self {
        self.issuer = entity_id.map(str::to_owned);
        self
    }

    /// InResponseTo.
    pub fn in_response_to(mut self, id: Option<&str>) -> Self {
        self.in_response_to = id.map(str::to_owned);
        self
    }

    /// IssueInstant.
    pub fn at(mut self, at: Timestamp) -> Self {
        self.at = at;
        self
    }

    /// The last parts of the status codes.
    pub fn status(mut self, status: &str) -> Self {
        self.status = status.to_owned();
        self
    }

    /// The ArtifactResponse is not signed.
    pub fn unsigned(mut self) -> Self {
        self.signed = false;
        self
    }

    /// Replaces a text that must be there, before signing.
    pub fn replace(mut self, from: &str, to: &str) -> Self {
        self.before_signing.push((from.to_owned(), to.to_owned()));
        self
    }

    /// In its SOAP envelope.
    pub fn envelope(&self) -> String {
        let id = fresh_id("_ar");
        let codes = self.status.split('/').rev().fold(String::new(), |inner, code| {
            format!(r#"<samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:{}">{inner}</samlp:StatusCode>"#, escape(code))
        });
        let xml = format!(
            r#"<soap:Envelope xmlns:soap="{SOAP}"><soap:Body><samlp:ArtifactResponse xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="{id}" Version="2.0" IssueInstant="{}"{}>{}<samlp:Status>{codes}</samlp:Status>{}</samlp:ArtifactResponse></soap:Body></soap:Envelope>"#,
            self.at,
            attribute("InResponseTo", self.in_response_to.as_deref()),
            issuer(self.issuer.as_deref()),
            self.message,
        );
        let xml = self.before_signing.iter().fold(xml, |xml, (from, to)| replaced(&xml, from, to));
        if self.signed { self.idp.sign_in_place(&xml, "<samlp:ArtifactResponse ", &id, None) } else { xml }
    }
}

/// What an identity provider reads from an ArtifactResolve.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParsedResolve {
    pub id: String,
    pub issuer: String,
    pub destination: String,
    pub issue_instant: String,
    pub artifact: String,
}

/// Reads the ArtifactResolve in a SOAP envelope; its signature must verify with the service provider's certificate (PEM).
///
/// # Errors
/// In words, for the test that failed.
pub fn parse_artifact_resolve(xml: &str, sp_certificate: &str) -> Result<ParsedResolve, String> {
    let certificate = CertificateDer::from(super::der(sp_certificate));
    Crypto::verify_signed_xml(xml, &certificate, Some("ID")).map_err(|error| format!("the XML signature: {error}"))?;
    let document = uppsala::parse(xml).map_err(|error| error.to_string())?;
    let only = |namespace: &str, name: &str| {
        let all = document.get_elements_by_tag_name_ns(namespace, name);
        match all.as_slice() {
            [one] => Ok(*one),
            _ => Err(format!("{} {name}", all.len())),
        }
    };
    let samlp = "urn:oasis:names:tc:SAML:2.0:protocol";
    only(SOAP, "Envelope").and(only(SOAP, "Body"))?;
    let resolve = only(samlp, "ArtifactResolve")?;
    let attribute = |name: &str| document.get_attribute(resolve, name).map(str::to_owned).ok_or_else(|| format!("no {name}"));
    Ok(ParsedResolve {
        id: attribute("ID")?,
        destination: attribute("Destination")?,
        issue_instant: attribute("IssueInstant")?,
        issuer: document.text_content_deep(only("urn:oasis:names:tc:SAML:2.0:assertion", "Issuer")?),
        artifact: document.text_content_deep(only(samlp, "Artifact")?),
    })
}
