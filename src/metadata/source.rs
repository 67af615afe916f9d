//! Where an IdP's metadata is, and what a document from there must be like.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use thiserror::Error;

use crate::clock::Timestamp;
use crate::outbound::{Client, FetchError, Got, Validators};
use crate::saml::{IdentityProvider, IdpMetadata, MetadataError, TrustAnchors, read_idp, read_signed_idp};
use crate::web_url::WebUrl;

/// Where an entity ID goes in the URL of a metadata query service.
pub const ENTITY_ID: &str = "{entity_id}";
/// What stands for itself in a URL's path (RFC 3986, 2.3); the metadata query protocol escapes all else.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// An http or https address of metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataUrl(WebUrl);

impl MetadataUrl {
    /// Reads an absolute URL. [`ENTITY_ID`] in it stands for the IdP's entity ID, percent-encoded: the form of the metadata
    /// query protocol (MDQ).
    ///
    /// # Errors
    /// In words that follow the URL.
    pub fn parse(text: &str, entity_id: Option<&str>) -> Result<Self, &'static str> {
        let text = match (text.contains(ENTITY_ID), entity_id) {
            (true, None) => return Err("has a place for the entity ID, so entity_id must be set"),
            (true, Some(id)) => text.replace(ENTITY_ID, &utf8_percent_encode(id, ESCAPED).to_string()),
            (false, _) => text.to_owned(),
        };
        WebUrl::parse(&text).map(Self)
    }

    /// Whether nobody on the way can change what comes: TLS, or no way at all.
    pub fn is_private(&self) -> bool {
        self.0.is_private()
    }

    /// The address itself.
    pub fn web(&self) -> &WebUrl {
        &self.0
    }
}

impl fmt::Display for MetadataUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where metadata comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Fetched.
    Url(MetadataUrl),
    /// A file, which may be replaced while samlgate runs.
    File(PathBuf),
}

/// What the operator says of an IdP, waiting for what its metadata says.
#[derive(Clone)]
pub struct Template(Arc<Assemble>);

type Assemble = dyn Fn(IdpMetadata) -> Result<IdentityProvider, String> + Send + Sync;

impl Template {
    /// From a function that puts both together, or says in words why they don't go together.
    pub fn new(assemble: impl Fn(IdpMetadata) -> Result<IdentityProvider, String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(assemble))
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Template(..)")
    }
}

/// An IdP whose metadata can change.
#[derive(Clone, Debug)]
pub struct Source {
    /// The IdP's short name.
    pub id: String,
    /// Where its metadata is.
    pub place: Place,
    /// Which IdP in it.
    pub entity_id: Option<String>,
    /// Who must have signed it.
    pub signers: Option<TrustAnchors>,
    /// Whether it must say until when it holds: without TLS, somebody on the way could serve an old one for ever.
    pub must_end: bool,
    /// The longest time between two looks at a URL.
    pub refresh: Duration,
    /// What the operator says of the IdP.
    pub template: Template,
}

/// Why a document is no use.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unusable {
    /// It isn't metadata of the IdP, or isn't believed.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// It doesn't go with the configuration.
    #[error("{0}")]
    Settings(String),
    /// It came by http and would hold for ever.
    #[error("the metadata has no validUntil, without which metadata by http can't be told from an old one; use https")]
    NoEnd,
    /// It names another IdP than the one that has been here.
    #[error(
        "the metadata is that of {got:?} now, and was that of {was:?}; if the IdP really changed its entity ID, restart samlgate (users \
         will have another `sub`)"
    )]
    EntityChanged {
        /// The entity ID so far.
        was: String,
        /// The entity ID now.
        got: String,
    },
}

impl Unusable {
    /// The stable code of the cause.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Metadata(error) => error.code(),
            Self::Settings(_) => "metadata_settings",
            Self::NoEnd => "metadata_without_end",
            Self::EntityChanged { .. } => "metadata_entity_changed",
        }
    }
}

/// An IdP and what its document says of caching.
#[derive(Clone, Debug)]
pub(super) struct Read {
    pub(super) idp: IdentityProvider,
    pub(super) cache_duration: Option<Duration>,
}

impl Source {
    /// The IdP, as a document from there says.
    ///
    /// # Errors
    /// One variant of [`Unusable`] per cause.
    pub fn idp(&self, octets: &[u8], now: Timestamp) -> Result<IdentityProvider, Unusable> {
        self.read(octets, now).map(|read| read.idp)
    }

    /// Reads a document from there.
    pub(super) fn read(&self, octets: &[u8], now: Timestamp) -> Result<Read, Unusable> {
        let entity_id = self.entity_id.as_deref();
        let metadata = match &self.signers {
            Some(signers) => read_signed_idp(octets, signers, entity_id, now)?,
            None => read_idp(octets, entity_id, now)?,
        };
        if self.must_end && metadata.valid_until.is_none() {
            return Err(Unusable::NoEnd);
        }
        let cache_duration = metadata.cache_duration;
        let idp = (self.template.0)(metadata).map_err(Unusable::Settings)?;
        Ok(Read { idp, cache_duration })
    }
}

/// Why an IdP can't be had at the moment.
#[derive(Debug, Error)]
pub enum NotHad {
    /// Nothing came.
    #[error(transparent)]
    Away(#[from] FetchError),
    /// What came is no use.
    #[error(transparent)]
    Unusable(#[from] Unusable),
}

/// Fetches an IdP's metadata once, for commands: nothing is kept or changed. `None` for a file, which the configuration has read.
///
/// # Errors
/// As said.
pub async fn look(source: &Source, client: &Client, limit: Duration, now: Timestamp) -> Result<Option<IdentityProvider>, NotHad> {
    let Place::Url(url) = &source.place else { return Ok(None) };
    match client.get(url.web(), &Validators::default(), limit).await? {
        Got::Fresh { octets, .. } => Ok(Some(source.idp(&octets, now)?)),
        Got::NotModified => Err(FetchError::Status(304).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_absolute_and_plain() {
        let MetadataUrl(url) = MetadataUrl::parse("https://idp.example:8443/metadata?x=1", None).unwrap();
        assert_eq!((url.https, url.host.as_str(), url.port, url.path.as_str()), (true, "idp.example", 8443, "/metadata?x=1"));
        assert_eq!(url.to_string(), "https://idp.example:8443/metadata?x=1");
        assert_eq!(MetadataUrl::parse("http://[::1]/m", None).unwrap().0.host, "::1");
        assert_eq!(MetadataUrl::parse("https://idp.example", None).unwrap().0.path, "/");
        for bad in [
            "",
            "idp.example/metadata",
            "/metadata",
            "file:///etc/passwd",
            "ftp://x/y",
            "https://u:p@x/",
            "https:///x",
            "https://x/#y",
        ] {
            assert!(MetadataUrl::parse(bad, None).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_query_service_gets_the_entity_id_escaped() {
        let template = "https://mdq.example/entities/{entity_id}";
        let url = MetadataUrl::parse(template, Some("https://idp.example/a b?c&d=%41")).unwrap();
        assert_eq!(url.0.path, "/entities/https%3A%2F%2Fidp.example%2Fa%20b%3Fc%26d%3D%2541");
        assert!(MetadataUrl::parse(template, None).is_err());
    }

    #[test]
    fn only_tls_and_this_machine_are_private() {
        for (url, private) in [
            ("https://idp.example/", true),
            ("http://127.0.0.1:8080/", true),
            ("http://[::1]/", true),
            ("http://localhost/", true),
            ("http://idp.localhost/", true),
            ("http://localhost.example/", false),
            ("http://10.0.0.1/", false),
            ("http://127.0.0.1.example/", false),
        ] {
            assert_eq!(MetadataUrl::parse(url, None).unwrap().is_private(), private, "{url}");
        }
    }
}
