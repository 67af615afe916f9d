//! What the bindings need to know of a message of ours, and which binding carries it (Bindings 3.4, 3.5).

use uppsala::XmlWriter;

use super::keys::SpKey;
use super::post_form::{self, PostForm};
use super::provider::Binding;
use super::redirect;
use super::request::RequestError;
use super::xml::{ASSERTION, PROTOCOL};
use crate::clock::Timestamp;

/// The most octets of a RelayState of ours (Bindings 3.4.3).
const MAX_RELAY_STATE: usize = 80;

/// What the browser gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// A redirect to this URL.
    Redirect(String),
    /// A form that posts itself.
    Post(PostForm),
}

/// A protocol message of ours.
pub(super) trait Message {
    /// The parameter or form field that carries it: `SAMLRequest` or `SAMLResponse`.
    const FIELD: &'static str;

    /// Its ID.
    fn id(&self) -> &str;

    /// Writes the XML, with `after_issuer` writing at the place of the Signature (Core 3.2.1, 3.2.2).
    fn write(&self, xml: &mut XmlWriter, after_issuer: impl FnOnce(&mut XmlWriter));

    /// The XML, unsigned.
    fn to_xml(&self) -> String {
        let mut xml = XmlWriter::new();
        self.write(&mut xml, |_| {});
        xml.into_string()
    }
}

/// What all messages of ours have in common (Core 3.2.1, 3.2.2).
pub(super) struct Head<'a> {
    /// The element, with the prefix `samlp`.
    pub(super) element: &'static str,
    /// ID.
    pub(super) id: &'a str,
    /// IssueInstant.
    pub(super) issue_instant: Timestamp,
    /// Destination; not needed in SOAP, where nobody stands between.
    pub(super) destination: Option<&'a str>,
    /// Our entity ID.
    pub(super) issuer: &'a str,
}

impl Head<'_> {
    /// Begins the element, with more attributes, and writes the Issuer.
    pub(super) fn write(&self, xml: &mut XmlWriter, more: &[(&str, &str)]) {
        let issue_instant = self.issue_instant.to_string();
        let mut attributes = vec![
            ("xmlns:samlp", PROTOCOL),
            ("xmlns:saml", ASSERTION),
            ("ID", self.id),
            ("Version", "2.0"),
            ("IssueInstant", issue_instant.as_str()),
        ];
        attributes.extend(self.destination.map(|destination| ("Destination", destination)));
        attributes.extend_from_slice(more);
        xml.start_element(self.element, &attributes);
        xml.start_element("saml:Issuer", &[]);
        xml.text(self.issuer);
        xml.end_element("saml:Issuer");
    }
}

/// Refuses a RelayState that is too long for one of ours.
///
/// # Errors
/// `RelayStateTooLong`.
pub(super) fn check_relay_state(relay_state: Option<&str>) -> Result<(), RequestError> {
    match relay_state.map(str::len) {
        Some(long) if long > MAX_RELAY_STATE => Err(RequestError::RelayStateTooLong(long)),
        _ => Ok(()),
    }
}

/// Puts a message for `to`, a URL, on a binding, signed when there is a key.
///
/// # Errors
/// `Signing`.
pub(super) fn send(
    message: &impl Message,
    binding: Binding,
    to: &str,
    relay_state: Option<&str>,
    key: Option<&SpKey>,
) -> Result<Outgoing, RequestError> {
    match binding {
        Binding::Redirect => redirect::url(message, to, relay_state, key).map(Outgoing::Redirect),
        Binding::Post => post_form::form(message, to, relay_state, key).map(Outgoing::Post),
    }
}
