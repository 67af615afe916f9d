//! What an IDPSSODescriptor says: its services.

use super::entities::{Element, MD};
use super::error::{MetadataError, shown};
use super::location::is_absolute_http;
use crate::saml::provider::{Binding, Endpoint, ResolutionService};
use crate::web_url::WebUrl;

const SAML2: &str = "urn:oasis:names:tc:SAML:2.0:protocol";

/// Whether the role speaks SAML 2.0 (protocolSupportEnumeration, Metadata 2.4.1).
pub(super) fn speaks_saml2(role: &Element) -> bool {
    role.attribute("protocolSupportEnumeration").is_some_and(|all| all.split_ascii_whitespace().any(|one| one == SAML2))
}

/// An xs:boolean attribute.
pub(super) fn flag(role: &Element, name: &str) -> bool {
    matches!(role.attribute(name), Some("true" | "1"))
}

/// The single sign-on services with a binding that we speak, in document order.
///
/// # Errors
/// When there is none, or one has a Location where no browser may be sent.
pub(super) fn sso(role: &Element) -> Result<Vec<Endpoint>, MetadataError> {
    const SERVICE: &str = "SingleSignOnService";
    let services: Vec<Endpoint> = endpoints(role, SERVICE).collect();
    if let Some(bad) = services.iter().find(|service| !is_absolute_http(&service.location)) {
        return Err(MetadataError::Location { service: SERVICE, got: shown(&bad.location) });
    }
    // ResponseLocation means nothing here (Metadata 2.4.3).
    let services: Vec<_> = services.into_iter().map(|service| Endpoint { response_location: None, ..service }).collect();
    if services.is_empty() { Err(MetadataError::NoSso) } else { Ok(services) }
}

/// The single logout services with a binding that we speak. Login works without them, so a bad one is only warned of.
pub(super) fn slo(role: &Element, warnings: &mut Vec<String>) -> Vec<Endpoint> {
    endpoints(role, "SingleLogoutService")
        .filter(|service| {
            let bad = [Some(&service.location), service.response_location.as_ref()];
            let bad = bad.into_iter().flatten().find(|location| !is_absolute_http(location));
            if let Some(bad) = bad {
                warnings.push(format!("a SingleLogoutService was skipped: not an absolute http or https URL: {}", shown(bad)));
            }
            bad.is_none()
        })
        .collect()
}

/// The artifact resolution services that take SOAP, in document order. What they send must come as private as it is asked for, so
/// one without TLS is skipped; login works without them, so that is only warned of.
pub(super) fn resolution(role: &Element, warnings: &mut Vec<String>) -> Vec<ResolutionService> {
    let soap = |element: &&Element| element.attribute("Binding") == Some("urn:oasis:names:tc:SAML:2.0:bindings:SOAP");
    let mut services: Vec<ResolutionService> = Vec::new();
    for element in role.children(MD, "ArtifactResolutionService").filter(soap) {
        let location = element.attribute("Location").unwrap_or_default();
        let url = WebUrl::parse(location).ok().filter(|url| is_absolute_http(location) && url.is_private());
        let index = element.attribute("index").and_then(|index| index.trim_ascii().parse::<u16>().ok());
        match (url, index) {
            (Some(location), Some(index)) if services.iter().all(|known| known.index != index) => {
                services.push(ResolutionService { index, location });
            }
            (Some(_), _) => {
                warnings.push("an ArtifactResolutionService was skipped: its index is missing, no number or taken".to_owned())
            }
            (None, _) => {
                warnings.push(format!("an ArtifactResolutionService was skipped: not an https URL: {}", shown(location)));
            }
        }
    }
    services
}

fn endpoints<'a>(role: &'a Element, service: &'a str) -> impl Iterator<Item = Endpoint> {
    role.children(MD, service).filter_map(|element| {
        let binding = match element.attribute("Binding") {
            Some("urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect") => Binding::Redirect,
            Some("urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST") => Binding::Post,
            _ => return None,
        };
        let location = element.attribute("Location").unwrap_or_default().to_owned();
        Some(Endpoint { binding, location, response_location: element.attribute("ResponseLocation").map(str::to_owned) })
    })
}

#[cfg(test)]
mod tests {
    use crate::clock::Timestamp;
    use crate::saml::metadata::read_idp;

    const CERTIFICATE: &str = include_str!("../keys/testdata/rsa_2048.crt");

    #[test]
    fn resolution_services_are_private_and_have_an_index() {
        let service = |binding: &str, location: &str, index: &str| {
            format!(
                "<md:ArtifactResolutionService Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:{binding}\" Location=\"{location}\" {index}/>"
            )
        };
        let services = [
            service("SOAP", "https://idp.test/resolve", "index=\"1\""),
            service("SOAP", "http://idp.test/resolve", "index=\"2\""),
            service("SOAP", "http://127.0.0.1:8080/resolve", "index=\"3\""),
            service("SOAP", "https://idp.test/again", "index=\"1\""),
            service("SOAP", "https://idp.test/again", ""),
            service("SOAP", "https://idp.test/again", "index=\"65536\""),
            service("SOAP", "file:///etc/passwd", "index=\"4\""),
            service("SOAP", "https://u:p@idp.test/", "index=\"5\""),
            service("HTTP-POST", "https://idp.test/resolve", "index=\"6\""),
        ];
        let certificate: String = CERTIFICATE.lines().filter(|line| !line.starts_with("-----")).collect();
        let xml = format!(
            "<md:EntityDescriptor xmlns:md=\"urn:oasis:names:tc:SAML:2.0:metadata\" entityID=\"https://idp.test\"><md:IDPSSODescriptor \
             protocolSupportEnumeration=\"urn:oasis:names:tc:SAML:2.0:protocol\"><md:KeyDescriptor><ds:KeyInfo \
             xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"><ds:X509Data><ds:X509Certificate>{certificate}</ds:X509Certificate></ds:X509Data>\
             </ds:KeyInfo></md:KeyDescriptor>{}<md:SingleSignOnService Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST\" \
             Location=\"https://idp.test/sso\"/></md:IDPSSODescriptor></md:EntityDescriptor>",
            services.concat()
        );
        let idp = read_idp(xml.as_bytes(), None, Timestamp::from_unix(0)).unwrap();
        let found: Vec<_> = idp.resolution.iter().map(|service| (service.index, service.location.to_string())).collect();
        let expected = [(1, "https://idp.test/resolve"), (3, "http://127.0.0.1:8080/resolve")];
        assert_eq!(found, expected.map(|(index, url)| (index, url.to_owned())));
        assert_eq!(
            idp.warnings.iter().filter(|warning| warning.contains("ArtifactResolutionService")).count(),
            6,
            "{:?}",
            idp.warnings
        );
    }
}
