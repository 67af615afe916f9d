//! Our logout messages, and the binding that carries them (Profiles 4.4.3). They are always signed, with the first of our keys.

use uppsala::XmlWriter;

use crate::clock::Timestamp;
use crate::saml::enveloped;
use crate::saml::keys::SpKey;
use crate::saml::outgoing::{Head, Message, Outgoing, check_relay_state, send};
use crate::saml::provider::{Binding, Endpoint, IdentityProvider, RequestBinding, ServiceProvider};
use crate::saml::request::RequestError;
use crate::saml::soap::SOAP;
use crate::saml::verified::NameId;

/// What differs from one logout to the next.
#[derive(Clone, Copy, Debug)]
pub struct LogoutParts<'a> {
    /// The request's ID: an NCName that nobody can guess (`token::message_id`).
    pub id: &'a str,
    /// IssueInstant.
    pub now: Timestamp,
    /// Until when the IdP may act on the request.
    pub not_on_or_after: Timestamp,
    /// Opaque, at most 80 octets.
    pub relay_state: Option<&'a str>,
    /// The user, exactly as the IdP asserted.
    pub name_id: &'a NameId,
    /// The session's SessionIndex, as the IdP asserted.
    pub session_index: Option<&'a str>,
}

/// Tells the IdP that the user logged out (Profiles 4.4.3.1), by Redirect or POST. `None` when it has no logout service for either.
///
/// # Errors
/// `RelayStateTooLong`, `NoKey`, `Signing`.
pub fn start(idp: &IdentityProvider, sp: &ServiceProvider, parts: LogoutParts<'_>) -> Result<Option<Outgoing>, RequestError> {
    check_relay_state(parts.relay_state)?;
    let wanted = match idp.request_binding {
        RequestBinding::Auto | RequestBinding::Redirect => Binding::Redirect,
        RequestBinding::Post => Binding::Post,
    };
    let Some(service) = service(idp, wanted) else { return Ok(None) };
    let to = &service.location;
    let message = Request { destination: to, issuer: &sp.entity_id, parts };
    send(&message, service.binding, to, parts.relay_state, Some(key(sp)?)).map(Some)
}

/// How a logout that the IdP asked for went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerStatus {
    /// The sessions have ended, or there was none.
    Success,
    /// Not all of them could be ended (Core 3.7.3.2).
    PartialLogout,
    /// The request was refused.
    Requester,
    /// Something failed on our side.
    Responder,
}

impl AnswerStatus {
    /// The codes, top-level and second (Core 3.2.2.2).
    fn codes(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Success => ("urn:oasis:names:tc:SAML:2.0:status:Success", None),
            Self::PartialLogout => {
                ("urn:oasis:names:tc:SAML:2.0:status:Success", Some("urn:oasis:names:tc:SAML:2.0:status:PartialLogout"))
            }
            Self::Requester => ("urn:oasis:names:tc:SAML:2.0:status:Requester", None),
            Self::Responder => ("urn:oasis:names:tc:SAML:2.0:status:Responder", None),
        }
    }
}

/// An answer to a LogoutRequest.
#[derive(Clone, Copy, Debug)]
pub struct AnswerParts<'a> {
    /// The response's ID: an NCName that nobody can guess (`token::message_id`).
    pub id: &'a str,
    /// IssueInstant.
    pub now: Timestamp,
    /// The request's ID.
    pub in_response_to: &'a str,
    /// How it went.
    pub status: AnswerStatus,
}

/// Answers a LogoutRequest that came through the browser (Profiles 4.4.3.4): by the binding that it came by, when the IdP takes
/// that, else by the other. The request's RelayState goes back unchanged, however long (Bindings 3.4.3). `None` when the IdP has
/// no logout service to answer to.
///
/// # Errors
/// `NoKey`, `Signing`.
pub fn answer(
    idp: &IdentityProvider,
    sp: &ServiceProvider,
    came_by: Binding,
    relay_state: Option<&str>,
    parts: AnswerParts<'_>,
) -> Result<Option<Outgoing>, RequestError> {
    let Some(service) = service(idp, came_by) else { return Ok(None) };
    let to = service.response_location.as_ref().unwrap_or(&service.location);
    let message = Response { destination: Some(to), issuer: &sp.entity_id, parts };
    send(&message, service.binding, to, relay_state, Some(key(sp)?)).map(Some)
}

/// Answers a LogoutRequest that came by SOAP: the XML of an envelope around a signed LogoutResponse (Bindings 3.2.2).
///
/// # Errors
/// `NoKey`, `Signing`.
pub fn answer_soap(sp: &ServiceProvider, parts: AnswerParts<'_>) -> Result<String, RequestError> {
    let message = Response { destination: None, issuer: &sp.entity_id, parts };
    enveloped::signed_in_soap(&message, key(sp)?)
}

/// Whose fault it is that there is no answer (SOAP 1.1, 4.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SoapFault {
    /// The message can't be believed or understood.
    Client,
    /// Something failed on our side; it may be sent again.
    Server,
}

/// What a message by SOAP gets that no answer can be signed for (Bindings 3.2.3.3): a SOAP fault with a few words. It is not signed,
/// and says nothing that depends on a key or a session.
pub fn soap_fault(fault: SoapFault, words: &str) -> String {
    let code = match fault {
        SoapFault::Client => "soap:Client",
        SoapFault::Server => "soap:Server",
    };
    let mut xml = XmlWriter::new();
    xml.start_element("soap:Envelope", &[("xmlns:soap", SOAP)]);
    xml.start_element("soap:Body", &[]);
    xml.start_element("soap:Fault", &[]);
    for (name, text) in [("faultcode", code), ("faultstring", words)] {
        xml.start_element(name, &[]);
        xml.text(text);
        xml.end_element(name);
    }
    for name in ["soap:Fault", "soap:Body", "soap:Envelope"] {
        xml.end_element(name);
    }
    xml.into_string()
}

/// The IdP's first logout service of the wanted binding, else of the other.
fn service(idp: &IdentityProvider, wanted: Binding) -> Option<&Endpoint> {
    idp.slo.iter().find(|service| service.binding == wanted).or_else(|| idp.slo.first())
}

fn key(sp: &ServiceProvider) -> Result<&SpKey, RequestError> {
    sp.signing_key().ok_or(RequestError::NoKey)
}

/// A LogoutRequest (Core 3.7.1).
struct Request<'a> {
    destination: &'a str,
    issuer: &'a str,
    parts: LogoutParts<'a>,
}

impl Message for Request<'_> {
    const FIELD: &'static str = "SAMLRequest";

    fn id(&self) -> &str {
        self.parts.id
    }

    fn write(&self, xml: &mut XmlWriter, after_issuer: impl FnOnce(&mut XmlWriter)) {
        let LogoutParts { id, now, not_on_or_after, name_id, session_index, .. } = self.parts;
        let head = Head {
            element: "samlp:LogoutRequest",
            id,
            issue_instant: now,
            destination: Some(self.destination),
            issuer: self.issuer,
        };
        head.write(xml, &[("NotOnOrAfter", not_on_or_after.to_string().as_str())]);
        after_issuer(xml);
        let attributes = [
            ("NameQualifier", &name_id.name_qualifier),
            ("SPNameQualifier", &name_id.sp_name_qualifier),
            ("Format", &name_id.format),
        ];
        let attributes: Vec<(&str, &str)> =
            attributes.iter().filter_map(|(name, value)| value.as_deref().map(|value| (*name, value))).collect();
        xml.start_element("saml:NameID", &attributes);
        xml.text(&name_id.value);
        xml.end_element("saml:NameID");
        if let Some(session_index) = session_index {
            xml.start_element("samlp:SessionIndex", &[]);
            xml.text(session_index);
            xml.end_element("samlp:SessionIndex");
        }
        xml.end_element(head.element);
    }
}

/// A LogoutResponse (Core 3.7.2).
struct Response<'a> {
    destination: Option<&'a str>,
    issuer: &'a str,
    parts: AnswerParts<'a>,
}

impl Message for Response<'_> {
    const FIELD: &'static str = "SAMLResponse";

    fn id(&self) -> &str {
        self.parts.id
    }

    fn write(&self, xml: &mut XmlWriter, after_issuer: impl FnOnce(&mut XmlWriter)) {
        let AnswerParts { id, now, in_response_to, status } = self.parts;
        let head =
            Head { element: "samlp:LogoutResponse", id, issue_instant: now, destination: self.destination, issuer: self.issuer };
        head.write(xml, &[("InResponseTo", in_response_to)]);
        after_issuer(xml);
        xml.start_element("samlp:Status", &[]);
        match status.codes() {
            (top, None) => xml.empty_element("samlp:StatusCode", &[("Value", top)]),
            (top, Some(second)) => {
                xml.start_element("samlp:StatusCode", &[("Value", top)]);
                xml.empty_element("samlp:StatusCode", &[("Value", second)]);
                xml.end_element("samlp:StatusCode");
            }
        }
        xml.end_element("samlp:Status");
        xml.end_element(head.element);
    }
}
