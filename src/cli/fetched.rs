//! IdPs whose metadata has to be fetched, for commands that need to know them.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::config::Config;
use crate::login::EntityIdTaken;
use crate::metadata::source::NotHad;
use crate::metadata::{Kept, Place, Source, Unusable, look};
use crate::outbound::Client;
use crate::saml::IdentityProvider;

/// The longest that a command waits for one source.
const PATIENCE: Duration = Duration::from_secs(10);

/// An IdP that couldn't be had.
pub(super) struct Missing {
    /// Its short name.
    pub(super) id: String,
    /// Where its metadata should be.
    pub(super) url: String,
    /// Why.
    pub(super) why: NotHad,
}

impl Missing {
    fn of(source: &Source, why: NotHad) -> Self {
        let url = match &source.place {
            Place::Url(url) => url.to_string(),
            Place::File(path) => path.display().to_string(),
        };
        Self { id: source.id.clone(), url, why }
    }
}

/// Fetches what has to be fetched, all at the same time, and puts it into the configuration. Returns what couldn't be had.
pub(super) fn complete(config: &mut Config, now: Timestamp) -> Vec<Missing> {
    let fetched: Vec<_> =
        config.metadata_sources.iter().filter(|source| matches!(source.place, Place::Url(_))).cloned().collect();
    if fetched.is_empty() {
        return Vec::new();
    }
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return Vec::new() };
    let client = Client::new();
    let kept = config.data_dir.as_deref().map(Kept::new);
    let copy = |source: &Source| {
        let octets = kept.as_ref()?.read(source).ok()??;
        source.idp(&octets, now).ok()
    };
    let looks = fetched.iter().map(|source| look(source, &client, PATIENCE, now));
    let looked = runtime.block_on(futures_util::future::join_all(looks));
    let mut missing = Vec::new();
    for (source, looked) in fetched.iter().zip(looked) {
        match looked {
            Ok(idp) => {
                if let Some(idp) = idp {
                    take(config, source, idp, &mut missing);
                }
            }
            Err(why) => {
                // The copy is what a start would believe too.
                if matches!(why, NotHad::Away(_)) {
                    config.identity_providers.extend(copy(source));
                }
                missing.push(Missing::of(source, why));
            }
        }
    }
    let order = config.idp_order.clone();
    config.identity_providers.sort_by_key(|idp| order.iter().position(|id| *id == idp.id));
    missing
}

fn take(config: &mut Config, source: &Source, idp: IdentityProvider, missing: &mut Vec<Missing>) {
    let taken = config.identity_providers.iter().find(|other| other.entity_id == idp.entity_id).map(|other| other.id.as_str());
    let taken = taken.or((config.service_provider.entity_id == idp.entity_id).then_some("samlgate itself"));
    match taken {
        Some(whose) => {
            let why = Unusable::Settings(EntityIdTaken(whose.to_owned()).to_string());
            missing.push(Missing::of(source, why.into()));
        }
        None => config.identity_providers.push(idp),
    }
}
