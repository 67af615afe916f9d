//! Reading an IdP's metadata (SAML 2.0 Metadata), namespace-aware and without recursion.
//!
//! Without a pinned certificate what is read here is as trustworthy as the way it came: signatures are passed over. With one, only
//! octets that it signed are read.

mod certificates;
mod entities;
mod error;
mod guard;
pub(crate) mod location;
mod role;
mod signed;
mod validity;

use std::time::Duration;

use self::entities::{Element, Entity, MD};
pub use self::error::MetadataError;
use self::error::shown;
use self::validity::Validity;
use super::keys::{TrustAnchors, TrustedCertificate};
use super::provider::{Binding, Endpoint, ResolutionService};
use crate::clock::Timestamp;

/// The most octets that [`read_idp`] takes: 64 MiB, twice the size of the largest federation.
pub const MAX_OCTETS: usize = 64 * 1024 * 1024;
/// How many entity IDs an error lists.
const LISTED: usize = 5;
/// The longest entity ID in characters (Metadata 2.2.1).
const ENTITY_ID_CHARACTERS: usize = 1024;

/// What is known of an IdP: from its metadata, or written by hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdpMetadata {
    /// entityID.
    pub entity_id: String,
    /// Single sign-on services that take POST or Redirect, at least one.
    pub sso: Vec<Endpoint>,
    /// Single logout services that take POST or Redirect.
    pub slo: Vec<Endpoint>,
    /// Artifact resolution services that nobody on the way can listen to.
    pub resolution: Vec<ResolutionService>,
    /// WantAuthnRequestsSigned.
    pub wants_signed_requests: bool,
    /// The keys that sign for the IdP.
    pub anchors: TrustAnchors,
    /// What was skipped and why, for the log.
    pub warnings: Vec<String>,
    /// The earliest validUntil of the IdP's role, its entity and all groups around it.
    pub valid_until: Option<Timestamp>,
    /// The shortest cacheDuration of the same; may be zero, so whoever fetches again needs a floor of their own.
    pub cache_duration: Option<Duration>,
}

impl IdpMetadata {
    /// An IdP without metadata: its entity ID, where logins and (perhaps) logouts go, and its certificates. What the URLs
    /// take is not known, so they are said to take both bindings; Redirect stands first.
    ///
    /// # Errors
    /// When the entity ID or a URL can't be used, or there is no certificate.
    pub fn by_hand(
        entity_id: &str,
        sso_url: &str,
        slo_url: Option<&str>,
        certificates: Vec<TrustedCertificate>,
    ) -> Result<Self, MetadataError> {
        let services = |service, url: &str| {
            usable_location(service, url)?;
            Ok(vec![Endpoint::new(Binding::Redirect, url), Endpoint::new(Binding::Post, url)])
        };
        Ok(Self {
            entity_id: usable_entity_id(entity_id)?.to_owned(),
            sso: services("sso_url", sso_url)?,
            slo: slo_url.map(|url| services("slo_url", url)).transpose()?.unwrap_or_default(),
            resolution: Vec::new(),
            wants_signed_requests: false,
            anchors: TrustAnchors::new(certificates).map_err(|_| MetadataError::NoUsableKey(Vec::new()))?,
            warnings: Vec::new(),
            valid_until: None,
            cache_duration: None,
        })
    }

    /// All that [`Self::by_hand`] would refuse in what is given, but for the certificates, with the name of the argument.
    pub fn mistakes_by_hand(
        entity_id: Option<&str>,
        sso_url: Option<&str>,
        slo_url: Option<&str>,
    ) -> Vec<(&'static str, MetadataError)> {
        let id = entity_id.and_then(|id| usable_entity_id(id).err()).map(|error| ("entity_id", error));
        let urls = [("sso_url", sso_url), ("slo_url", slo_url)];
        let urls = urls.into_iter().filter_map(|(name, url)| Some((name, usable_location(name, url?).err()?)));
        id.into_iter().chain(urls).collect()
    }
}

/// Reads the metadata of one IdP: of the one that is there, or of the one with `entity_id`. At most [`MAX_OCTETS`].
///
/// # Errors
/// One variant of [`MetadataError`] per cause.
pub fn read_idp(xml: &[u8], entity_id: Option<&str>, now: Timestamp) -> Result<IdpMetadata, MetadataError> {
    read_idp_within(xml, entity_id, now, MAX_OCTETS)
}

/// As [`read_idp`], with another limit on the document's octets.
///
/// # Errors
/// As [`read_idp`].
pub fn read_idp_within(
    xml: &[u8],
    entity_id: Option<&str>,
    now: Timestamp,
    max_octets: usize,
) -> Result<IdpMetadata, MetadataError> {
    let text = guard::admit(xml, max_octets)?;
    read_entity(&choose(text, entity_id)?, now)
}

/// As [`read_idp`], when the document's root must be signed by one of `signers` (Metadata 3): only what that signature covers is
/// read.
///
/// # Errors
/// As [`read_idp`]; `Unsigned`, `Signature`.
pub fn read_signed_idp(
    xml: &[u8],
    signers: &TrustAnchors,
    entity_id: Option<&str>,
    now: Timestamp,
) -> Result<IdpMetadata, MetadataError> {
    read_idp(&signed::octets(xml, signers, MAX_OCTETS)?, entity_id, now)
}

/// Finds the one IdP that is meant.
fn choose(text: &str, wanted: Option<&str>) -> Result<Entity, MetadataError> {
    let mut chosen: Option<Entity> = None;
    let (mut count, mut matching) = (0, 0);
    let mut some = Vec::new();
    entities::each(text, |entity| {
        if entity.element.children(MD, "IDPSSODescriptor").next().is_none() {
            return;
        }
        let id = entity.element.attribute("entityID").unwrap_or_default();
        count += 1;
        if count <= LISTED {
            some.push(shown(id));
        }
        if wanted.is_none_or(|wanted| wanted == id) {
            matching += 1;
            chosen.get_or_insert(entity);
        }
    })?;
    if count > LISTED {
        some.push("...".to_owned());
    }
    match (chosen, wanted) {
        (None, _) if count == 0 => Err(MetadataError::NoIdp),
        (None, wanted) => Err(MetadataError::EntityNotFound { wanted: shown(wanted.unwrap_or_default()), some }),
        (Some(_), None) if count > 1 => Err(MetadataError::SeveralIdps { count, some }),
        (Some(_), Some(wanted)) if matching > 1 => Err(MetadataError::EntityTwice(shown(wanted))),
        (Some(entity), _) => Ok(entity),
    }
}

fn read_entity(entity: &Entity, now: Timestamp) -> Result<IdpMetadata, MetadataError> {
    let entity_id = usable_entity_id(entity.element.attribute("entityID").unwrap_or_default())?;
    let mut warnings = Vec::new();
    let role = choose_role(&entity.element, entity_id, &mut warnings)?;

    let own = [Validity::of(&entity.element, "EntityDescriptor"), Validity::of(role, "IDPSSODescriptor")];
    let (mut valid_until, mut cache_duration) = (None, None);
    for validity in entity.around.iter().chain(&own) {
        valid_until = earlier(valid_until, validity.until(now)?);
        cache_duration = earlier(cache_duration, validity.cache(|warning| warnings.push(warning)));
    }

    let sso = role::sso(role)?;
    let slo = role::slo(role, &mut warnings);
    let resolution = role::resolution(role, &mut warnings);
    let certificates = certificates::signing(role, &mut warnings);
    let anchors = TrustAnchors::new(certificates).map_err(|_| MetadataError::NoUsableKey(warnings.clone()))?;
    Ok(IdpMetadata {
        entity_id: entity_id.to_owned(),
        sso,
        slo,
        resolution,
        wants_signed_requests: role::flag(role, "WantAuthnRequestsSigned"),
        anchors,
        warnings,
        valid_until,
        cache_duration,
    })
}

/// The IdP role that speaks SAML 2.0. An entity may have one for every protocol; of several for SAML 2.0 the first is taken.
fn choose_role<'a>(entity: &'a Element, entity_id: &str, warnings: &mut Vec<String>) -> Result<&'a Element, MetadataError> {
    let mut roles = entity.children(MD, "IDPSSODescriptor").filter(|role| role::speaks_saml2(role));
    let role = roles.next().ok_or_else(|| MetadataError::NotSaml2(shown(entity_id)))?;
    if roles.next().is_some() {
        warnings.push("there are several IDPSSODescriptors for SAML 2.0; the first is used".to_owned());
    }
    Ok(role)
}

/// An entity ID that can name one IdP (Core 8.3.6, Metadata 2.2.1).
fn usable_location(service: &'static str, url: &str) -> Result<(), MetadataError> {
    if location::is_absolute_http(url) { Ok(()) } else { Err(MetadataError::Location { service, got: shown(url) }) }
}

fn usable_entity_id(id: &str) -> Result<&str, MetadataError> {
    if id.is_empty() {
        return Err(MetadataError::EntityId("is missing"));
    }
    if id.chars().count() > ENTITY_ID_CHARACTERS {
        return Err(MetadataError::EntityId("is longer than 1024 characters"));
    }
    if id.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(MetadataError::EntityId("contains white space or control characters"));
    }
    if id.contains(['{', '}']) {
        return Err(MetadataError::TenantTemplate(shown(id)));
    }
    Ok(id)
}

fn earlier<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    one.into_iter().chain(other).min()
}
