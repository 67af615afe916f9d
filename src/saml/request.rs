//! The AuthnRequest that starts a login (Core 3.4), and the binding that carries it (Profiles 4.1.3).

use thiserror::Error;
use uppsala::XmlWriter;

use super::keys::SpKey;
use super::outgoing::{Head, Message, Outgoing, check_relay_state, send};
use super::provider::{Binding, IdentityProvider, RequestBinding, ResponseBinding, ServiceProvider};
use crate::clock::Timestamp;

const TRANSIENT: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient";

/// Why a login can't be started. All of them are mistakes in the configuration or in samlgate, none is the user's.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RequestError {
    /// The configured binding isn't offered.
    #[error("the IdP has no single sign-on service with the binding that request_binding asks for")]
    NoEndpoint,
    /// Nowhere to answer to.
    #[error("there is no assertion consumer service URL to ask for")]
    NoAcs,
    /// RelayState is longer than the bindings allow (Bindings 3.4.3).
    #[error("RelayState has {0} octets, 80 are allowed")]
    RelayStateTooLong(usize),
    /// The request must be signed, by `sign_requests` or because the IdP wants it.
    #[error("requests to this IdP must be signed, but there is no key; add one to [sp] keys")]
    NoKey,
    /// The key can't sign.
    #[error("signing the request failed: {0}")]
    Signing(&'static str),
}

impl RequestError {
    /// The stable code of the cause, for logs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoEndpoint => "request_no_endpoint",
            Self::NoAcs => "request_no_acs",
            Self::RelayStateTooLong(_) => "request_relay_state_too_long",
            Self::NoKey => "request_no_key",
            Self::Signing(_) => "request_signing",
        }
    }
}

/// What differs from one login to the next.
#[derive(Clone, Copy, Debug)]
pub struct RequestParts<'a> {
    /// The request's ID: an NCName that nobody can guess (`token::message_id`).
    pub id: &'a str,
    /// IssueInstant.
    pub now: Timestamp,
    /// Opaque, at most 80 octets.
    pub relay_state: Option<&'a str>,
    /// The user must authenticate anew, whatever the IdP's configuration says.
    pub force_authn: bool,
    /// The IdP must not show anything.
    pub is_passive: bool,
    /// RequestedAuthnContext, of which one must be met exactly; empty: none is requested.
    pub authn_context: &'a [String],
}

/// An AuthnRequest (Core 3.4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthnRequest<'a> {
    /// ID.
    pub id: &'a str,
    /// IssueInstant.
    pub issue_instant: Timestamp,
    /// The single sign-on service it goes to.
    pub destination: &'a str,
    /// Our entity ID.
    pub issuer: &'a str,
    /// AssertionConsumerServiceURL.
    pub acs_url: &'a str,
    /// ProtocolBinding: how the answer is to come.
    pub response_binding: ResponseBinding,
    /// ForceAuthn.
    pub force_authn: bool,
    /// IsPassive.
    pub is_passive: bool,
    /// NameIDPolicy's Format; `None`: no policy.
    pub name_id_format: Option<&'a str>,
    /// RequestedAuthnContext, of which one must be met exactly; empty: none is requested.
    pub authn_context: &'a [String],
}

impl AuthnRequest<'_> {
    /// The XML, unsigned.
    pub fn to_xml(&self) -> String {
        Message::to_xml(self)
    }
}

impl Message for AuthnRequest<'_> {
    const FIELD: &'static str = "SAMLRequest";

    fn id(&self) -> &str {
        self.id
    }

    fn write(&self, xml: &mut XmlWriter, after_issuer: impl FnOnce(&mut XmlWriter)) {
        let mut attributes = vec![
            (
                "ProtocolBinding",
                match self.response_binding {
                    ResponseBinding::Post => "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST",
                    ResponseBinding::Artifact => "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Artifact",
                },
            ),
            ("AssertionConsumerServiceURL", self.acs_url),
        ];
        if self.force_authn {
            attributes.push(("ForceAuthn", "true"));
        }
        if self.is_passive {
            attributes.push(("IsPassive", "true"));
        }
        let head = Head {
            element: "samlp:AuthnRequest",
            id: self.id,
            issue_instant: self.issue_instant,
            destination: Some(self.destination),
            issuer: self.issuer,
        };
        head.write(xml, &attributes);
        after_issuer(xml);
        match self.name_id_format {
            // AllowCreate has no meaning for an identifier that is made anew each time (Core errata E14).
            Some(TRANSIENT) => xml.empty_element("samlp:NameIDPolicy", &[("Format", TRANSIENT)]),
            Some(format) => xml.empty_element("samlp:NameIDPolicy", &[("Format", format), ("AllowCreate", "true")]),
            None => {}
        }
        if !self.authn_context.is_empty() {
            xml.start_element("samlp:RequestedAuthnContext", &[("Comparison", "exact")]);
            for class in self.authn_context {
                xml.start_element("saml:AuthnContextClassRef", &[]);
                xml.text(class);
                xml.end_element("saml:AuthnContextClassRef");
            }
            xml.end_element("samlp:RequestedAuthnContext");
        }
        xml.end_element("samlp:AuthnRequest");
    }
}

/// Builds the AuthnRequest and puts it on the binding that the IdP takes and the operator wants. It is signed when
/// `sign_requests` is on or the IdP wants it (WantAuthnRequestsSigned), with the first of our keys.
///
/// # Errors
/// One variant of [`RequestError`] per cause.
pub fn start(idp: &IdentityProvider, sp: &ServiceProvider, parts: RequestParts<'_>) -> Result<Outgoing, RequestError> {
    check_relay_state(parts.relay_state)?;
    let with = |binding| idp.sso.iter().find(|service| service.binding == binding);
    let service = match idp.request_binding {
        RequestBinding::Auto => with(Binding::Redirect).or_else(|| with(Binding::Post)),
        RequestBinding::Redirect => with(Binding::Redirect),
        RequestBinding::Post => with(Binding::Post),
    };
    let service = service.ok_or(RequestError::NoEndpoint)?;
    let key: Option<&SpKey> =
        if sp.sign_requests || idp.wants_signed_requests { Some(sp.keys.first().ok_or(RequestError::NoKey)?) } else { None };
    let request = AuthnRequest {
        id: parts.id,
        issue_instant: parts.now,
        destination: &service.location,
        issuer: &sp.entity_id,
        acs_url: sp.acs_urls.first().ok_or(RequestError::NoAcs)?,
        response_binding: idp.response_binding,
        force_authn: parts.force_authn || idp.force_authn,
        is_passive: parts.is_passive,
        name_id_format: sp.name_id_format.urn(),
        authn_context: parts.authn_context,
    };
    send(&request, service.binding, &service.location, parts.relay_state, key)
}
