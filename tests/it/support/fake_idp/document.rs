//! The response as XML, and its signatures.

use samael::crypto::{Crypto, CryptoProvider};

use super::{Algorithm, ResponseBuilder, escape};

impl ResponseBuilder {
    pub(super) fn unsigned_xml(&self) -> String {
        let at = self.at;
        let in_response_to = attribute("InResponseTo", self.in_response_to.as_deref());
        let mut xml = format!(
            r#"<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="{}" Version="2.0" IssueInstant="{at}"{}{in_response_to}>{}"#,
            escape(&self.id),
            attribute("Destination", self.destination.as_deref()),
            issuer(self.response_issuer.as_deref()),
        );
        match &self.status {
            None => {
                let success = r#"<samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/>"#;
                xml.push_str(&format!("<samlp:Status>{success}</samlp:Status>{}", self.assertion()));
            }
            Some((codes, message)) => {
                let nested = codes.split('/').rev().fold(String::new(), |inner, code| {
                    let value = format!("urn:oasis:names:tc:SAML:2.0:status:{}", escape(code));
                    format!(r#"<samlp:StatusCode Value="{value}">{inner}</samlp:StatusCode>"#)
                });
                let message = message.as_ref().map(|text| format!("<samlp:StatusMessage>{}</samlp:StatusMessage>", escape(text)));
                xml.push_str(&format!("<samlp:Status>{nested}{}</samlp:Status>", message.unwrap_or_default()));
            }
        }
        xml + "</samlp:Response>"
    }

    fn assertion(&self) -> String {
        let at = self.at;
        let until = at.plus(self.lifetime);
        let name_id = self
            .subject
            .as_ref()
            .map(|(value, format)| format!(r#"<saml:NameID Format="{}">{}</saml:NameID>"#, escape(format), escape(value)));
        let audience = self.audience.as_ref().map(|audience| {
            format!("<saml:AudienceRestriction><saml:Audience>{}</saml:Audience></saml:AudienceRestriction>", escape(audience))
        });
        let statement = self.authn_context.as_ref().map(|class| {
            let until = self.session_not_on_or_after.map(|at| at.to_string());
            format!(
                r#"<saml:AuthnStatement AuthnInstant="{at}"{}{}><saml:AuthnContext><saml:AuthnContextClassRef>{}</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement>"#,
                attribute("SessionIndex", self.session_index.as_deref()),
                attribute("SessionNotOnOrAfter", until.as_deref()),
                escape(class)
            )
        });
        let attributes: String = self
            .attributes
            .iter()
            .map(|(name, values)| {
                let values: String =
                    values.iter().map(|value| format!("<saml:AttributeValue>{}</saml:AttributeValue>", escape(value))).collect();
                format!(r#"<saml:Attribute Name="{}">{values}</saml:Attribute>"#, escape(name))
            })
            .collect();
        let attributes = if attributes.is_empty() {
            attributes
        } else {
            format!("<saml:AttributeStatement>{attributes}</saml:AttributeStatement>")
        };
        format!(
            r#"<saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="{id}" Version="2.0" IssueInstant="{at}">{issuer}<saml:Subject>{name_id}<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer"><saml:SubjectConfirmationData NotOnOrAfter="{until}"{recipient}{in_response_to}/></saml:SubjectConfirmation></saml:Subject><saml:Conditions NotBefore="{at}" NotOnOrAfter="{until}">{audience}</saml:Conditions>{statement}{attributes}</saml:Assertion>"#,
            id = escape(&self.assertion_id),
            issuer = issuer(self.issuer.as_deref()),
            name_id = name_id.unwrap_or_default(),
            recipient = attribute("Recipient", self.recipient.as_deref()),
            in_response_to = attribute("InResponseTo", self.in_response_to.as_deref()),
            audience = audience.unwrap_or_default(),
            statement = statement.unwrap_or_default(),
        )
    }

    /// Signs the element that starts so.
    pub(super) fn signed(&self, xml: &str, element: &str, id: &str) -> String {
        sign_element(xml, element, id, self.algorithm, &self.idp.key_der, self.template_edit)
    }
}

/// Puts a Signature after the Issuer of the element that starts so, and has it filled in by xmlsec.
pub(super) fn sign_element(
    xml: &str,
    element: &str,
    id: &str,
    algorithm: Algorithm,
    key_der: &[u8],
    template_edit: Option<fn(&str) -> String>,
) -> String {
    let (method, digest) = algorithm.uris();
    let template = format!(
        r##"<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:SignedInfo><ds:CanonicalizationMethod Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/><ds:SignatureMethod Algorithm="{method}"/><ds:Reference URI="#{id}"><ds:Transforms><ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"/><ds:Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/></ds:Transforms><ds:DigestMethod Algorithm="{digest}"/><ds:DigestValue/></ds:Reference></ds:SignedInfo><ds:SignatureValue/></ds:Signature>"##
    );
    let template = template_edit.map_or(template.clone(), |edit| edit(&template));
    let start = xml.find(element).unwrap_or_else(|| panic!("no {element}"));
    let tag_end = start + xml[start..].find('>').expect("a tag ends") + 1;
    let at = match xml[tag_end..].strip_prefix("<saml:Issuer>") {
        Some(rest) => xml.len() - rest.len() + rest.find("</saml:Issuer>").expect("an Issuer ends") + "</saml:Issuer>".len(),
        None => tag_end,
    };
    let template = format!("{}{template}{}", &xml[..at], &xml[at..]);
    let signed = Crypto::sign_xml(template, key_der).expect("xmlsec signs");
    // xmlsec writes a declaration, and a line break at the end.
    let body = signed.split_once("?>").map_or(signed.as_str(), |(_, body)| body);
    body.trim().to_owned()
}

pub(super) fn attribute(name: &str, value: Option<&str>) -> String {
    value.map(|value| format!(r#" {name}="{}""#, escape(value))).unwrap_or_default()
}

pub(super) fn issuer(entity_id: Option<&str>) -> String {
    entity_id.map(|id| format!("<saml:Issuer>{}</saml:Issuer>", escape(id))).unwrap_or_default()
}

/// Cuts an element out (its first occurrence), named with its prefix.
pub fn without_element(xml: &str, name: &str) -> String {
    let (start, end) = span(xml, name);
    format!("{}{}", &xml[..start], &xml[end..])
}

/// An element's first occurrence, whole.
pub fn element(xml: &str, name: &str) -> String {
    let (start, end) = span(xml, name);
    xml[start..end].to_owned()
}

fn span(xml: &str, name: &str) -> (usize, usize) {
    let start = [' ', '>', '/'].iter().filter_map(|end| xml.find(&format!("<{name}{end}"))).min();
    let start = start.unwrap_or_else(|| panic!("no {name}"));
    let tag_end = start + xml[start..].find('>').expect("a tag ends") + 1;
    let close = format!("</{name}>");
    let end = if xml[..tag_end].ends_with("/>") {
        tag_end
    } else {
        tag_end + xml[tag_end..].find(&close).expect("an element ends") + close.len()
    };
    (start, end)
}

pub(super) fn replaced(xml: &str, from: &str, to: &str) -> String {
    assert!(xml.contains(from), "{from} is not in {xml}");
    xml.replacen(from, to, 1)
}
