//! Identity headers: which names are ours, and what stands in them.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::Identity;
use super::reserved::{LONGEST_NAME, Reserved};
use super::signature::{self, RequestSigner};

pub use super::reserved::folded;

/// Longest header name that may be configured, in octets.
pub const LONGEST_HEADER_NAME: usize = LONGEST_NAME;

/// The `[headers]` section: names and words.
#[derive(Clone, Debug)]
pub struct HeaderSettings {
    /// Header of the user name; `None`: not sent (likewise below).
    pub user: Option<HeaderName>,
    /// Header of the mail address.
    pub email: Option<HeaderName>,
    /// Header of the display name.
    pub name: Option<HeaderName>,
    /// Header of the tenant.
    pub tenant: Option<HeaderName>,
    /// Header of the role.
    pub role: Option<HeaderName>,
    /// Header of the groups.
    pub groups: Option<HeaderName>,
    /// Headers of extra fields, by field.
    pub extra: BTreeMap<String, HeaderName>,
    /// Between groups: ASCII without letters, digits and `%`.
    pub separator: String,
    /// Value maps of a preset: field (`role`, `groups`, ...) -> value -> what the application wants.
    pub value_maps: BTreeMap<String, BTreeMap<String, String>>,
    /// The assertion's header.
    pub assertion: HeaderName,
    /// More names that clients may not send.
    pub strip: Vec<String>,
}

impl HeaderSettings {
    /// The headers that carry one value, with the field's name.
    fn single(&self) -> [(&'static str, Option<&HeaderName>); 5] {
        [
            ("user", self.user.as_ref()),
            ("email", self.email.as_ref()),
            ("name", self.name.as_ref()),
            ("tenant", self.tenant.as_ref()),
            ("role", self.role.as_ref()),
        ]
    }

    /// Every header that samlgate sets, with its key under `[headers]`.
    pub fn all(&self) -> impl Iterator<Item = (String, &HeaderName)> {
        let single = self.single().into_iter().filter_map(|(key, header)| Some((key.to_owned(), header?)));
        let groups = self.groups.iter().map(|header| ("groups".to_owned(), header));
        let extra = self.extra.iter().map(|(key, header)| (format!("extra.{key}"), header));
        single.chain(groups).chain(extra).chain([("assertion.header".to_owned(), &self.assertion)])
    }
}

/// The `[headers]` section, compiled. The settings can be read, and no longer be changed.
#[derive(Clone, Debug)]
pub struct HeaderPlan {
    settings: HeaderSettings,
    reserved: Reserved,
    signer: Option<Arc<RequestSigner>>,
}

impl Deref for HeaderPlan {
    type Target = HeaderSettings;

    fn deref(&self) -> &HeaderSettings {
        &self.settings
    }
}

impl HeaderPlan {
    /// Compiles the names once, so that no request has to.
    pub fn new(settings: HeaderSettings) -> Self {
        let own: Vec<&HeaderName> = settings.all().map(|(_, header)| header).collect();
        let own = own.into_iter().map(HeaderName::as_str);
        let reserved = Reserved::new(own.chain(settings.strip.iter().map(String::as_str)));
        Self { settings, reserved, signer: None }
    }

    /// Has requests signed. From then on clients may not send signatures of their own.
    #[must_use]
    pub fn signed_by(mut self, signer: Arc<RequestSigner>) -> Self {
        signature::NAMES.iter().for_each(|name| self.reserved.add(name));
        self.signer = Some(signer);
        self
    }

    /// `[headers.signature]`; none: requests aren't signed.
    pub fn signer(&self) -> Option<&Arc<RequestSigner>> {
        self.signer.as_ref()
    }

    /// Removes every header that a client could pass off as identity: all names of this plan, the ones in `strip` and the
    /// well-known ones, in every spelling that folds to them (case; `-`, `_`, `.` and other non-alphanumerics alike).
    /// The `Connection` header's nominations are judged elsewhere.
    pub fn strip(&self, headers: &mut HeaderMap) {
        remove_where(headers, |name| self.is_reserved(name));
    }

    /// Whether a client may not send this name (also for trailers).
    pub fn is_reserved(&self, name: &HeaderName) -> bool {
        self.reserved.has(name)
    }

    /// The lines for an identity, assertion not included. Absent values have no line.
    ///
    /// The value is ASCII, and decoding it as UTF-8 in percent-encoding (RFC 3986) gives back exactly what the IdP asserted:
    /// `%`, everything outside ASCII, control characters, and spaces at both ends are encoded, all else stands as it is.
    /// Within groups the separator's characters are encoded too, so that splitting first and decoding then is unambiguous.
    pub fn render(&self, identity: &Identity) -> Vec<(HeaderName, HeaderValue)> {
        let mut lines = Vec::new();
        let mut line = |header: &HeaderName, text: String| {
            // The text is visible ASCII and spaces; should it ever not be, no header is better than half of one.
            if let Ok(value) = HeaderValue::try_from(text) {
                lines.push((header.clone(), value));
            }
        };
        let values = [Some(identity.user()), identity.email(), identity.name(), identity.tenant(), identity.role()];
        for ((field, header), value) in self.single().into_iter().zip(values) {
            if let (Some(header), Some(value)) = (header, value) {
                line(header, encode(self.word(field, value), ""));
            }
        }
        if let Some(header) = &self.groups {
            let groups: Vec<String> =
                identity.groups().map(|group| encode(self.word("groups", group), &self.separator)).collect();
            if !groups.is_empty() {
                line(header, groups.join(&self.separator));
            }
        }
        for (field, value) in identity.extra() {
            if let Some(header) = self.extra.get(field) {
                line(header, encode(self.word(field, value), ""));
            }
        }
        lines
    }

    /// The lines for an identity and its assertion, as octets without room to spare.
    pub fn write(&self, identity: &Identity, assertion: &HeaderValue) -> Box<[u8]> {
        let mut octets = Vec::new();
        for (name, value) in self.render(identity) {
            write_line(&mut octets, &name, &value);
        }
        write_line(&mut octets, &self.assertion, assertion);
        octets.into()
    }

    /// The application's word for a value; the value itself when it has none.
    fn word<'a>(&'a self, field: &str, value: &'a str) -> &'a str {
        self.value_maps.get(field).and_then(|words| words.get(value)).map_or(value, String::as_str)
    }
}

/// Removes the headers with such names. Nothing is allocated unless there is one.
pub(crate) fn remove_where(headers: &mut HeaderMap, is_doomed: impl Fn(&HeaderName) -> bool) {
    let doomed: Vec<HeaderName> = headers.keys().filter(|name| is_doomed(name)).cloned().collect();
    for name in doomed {
        headers.remove(name);
    }
}

/// Writes a header line (RFC 9112 section 5), the name in title case, as applications expect it that compare letter by letter. Neither
/// a name nor a value can hold a line end: their types see to that.
pub(crate) fn write_line(octets: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    let name = name.as_str().as_bytes();
    let from = octets.len();
    octets.extend_from_slice(name);
    let mut first = true;
    for octet in octets.iter_mut().skip(from) {
        if first {
            octet.make_ascii_uppercase();
        }
        first = *octet == b'-';
    }
    octets.extend_from_slice(b": ");
    octets.extend_from_slice(value.as_bytes());
    octets.extend_from_slice(b"\r\n");
}

/// Percent-encodes as [`HeaderPlan::render`] says; `reserved` are the separator's characters.
fn encode(text: &str, reserved: &str) -> String {
    use std::fmt::Write as _;
    let inner = text.trim_start_matches(' ');
    let from = text.len() - inner.len();
    let until = from + inner.trim_end_matches(' ').len();
    let mut encoded = String::with_capacity(text.len());
    for (at, octet) in text.bytes().enumerate() {
        let plain = match octet {
            b'%' => false,
            b' ' => (from..until).contains(&at),
            _ => octet.is_ascii_graphic(),
        };
        if plain && !reserved.as_bytes().contains(&octet) {
            encoded.push(char::from(octet));
        } else {
            let _ = write!(encoded, "%{octet:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests;
