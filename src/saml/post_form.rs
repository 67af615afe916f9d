//! The HTTP-POST binding, writing half (Bindings 3.5): the form as data. The page around it is made on the web floor.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::enveloped;
use super::keys::SpKey;
use super::outgoing::Message;
use super::request::RequestError;

/// A form that the browser posts to the IdP. Values are plain text: whoever writes the page escapes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostForm {
    /// Where it goes: an absolute http or https URL.
    pub action: String,
    /// Hidden fields: SAMLRequest or SAMLResponse, and perhaps RelayState.
    pub fields: Vec<(String, String)>,
}

/// The form that carries a message. With a key, the message has an enveloped signature (Core 5.4).
pub(super) fn form<M: Message>(
    message: &M,
    to: &str,
    relay_state: Option<&str>,
    key: Option<&SpKey>,
) -> Result<PostForm, RequestError> {
    let xml = match key {
        Some(key) => enveloped::signed(message, key)?,
        None => message.to_xml(),
    };
    let mut fields = vec![(M::FIELD.to_owned(), STANDARD.encode(xml))];
    if let Some(relay_state) = relay_state {
        fields.push(("RelayState".to_owned(), relay_state.to_owned()));
    }
    Ok(PostForm { action: to.to_owned(), fields })
}
