//! One IdP's metadata through time: a step looks at the source, decides what is believed, and says when to look again.
//!
//! What is newly read and no good never takes the place of what was good. What was good is believed until its validUntil, and
//! not a moment longer: `Login` refuses it from then on, whether a step comes or not.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{Digest, SHA256, digest};
use tracing::{error, info, warn};

use super::board::Board;
use super::changes;
use super::kept::Kept;
use super::schedule;
use super::source::{MetadataUrl, Place, Read, Source, Unusable};
use crate::clock::{Clock, Timestamp};
use crate::login::Login;
use crate::outbound::{Client, FetchError, Got, Validators};
use crate::saml::{IdentityProvider, MetadataError, SamlError};
use crate::token::Entropy;

/// The longest that a fetch may take.
const FETCH: Duration = Duration::from_secs(60);
/// How often a file is looked at: that costs nothing.
const FILE: Duration = Duration::from_secs(10);

/// What all watched sources share.
pub struct WatchedParts {
    /// Where what was read goes.
    pub login: Arc<Login>,
    /// Fetches.
    pub client: Client,
    /// Copies, when there is a `data_dir`.
    pub kept: Option<Kept>,
    /// Where operators see how it goes.
    pub board: Arc<Board>,
    /// "Now".
    pub clock: Arc<dyn Clock>,
    /// For chance in waiting.
    pub entropy: Arc<dyn Entropy>,
}

/// A source with what is known of it.
pub struct Watched {
    source: Source,
    parts: Arc<WatchedParts>,
    /// Entity ID that the IdP has had since the start.
    entity_id: Option<String>,
    believed: Option<Believed>,
    validators: Validators,
    /// What the file was like when it was last read, good or not.
    file: Option<Stamp>,
    failures: u32,
    /// Whether the end of what was believed has been told.
    end_told: bool,
}

/// What is known of the document that is believed.
#[derive(Clone, Copy)]
struct Believed {
    hash: Digest,
    cache_duration: Option<Duration>,
}

/// By what a change of a file is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    octets: u64,
    inode: u64,
}

/// Why a look gave nothing to believe.
enum Failed {
    Fetch(FetchError),
    Unusable(Unusable),
    File(PathBuf, std::io::Error),
    EntityIdTaken(String),
}

impl Failed {
    fn code(&self) -> &'static str {
        match self {
            Self::Fetch(error) => error.code(),
            Self::Unusable(error) => error.code(),
            Self::File(..) => "metadata_file",
            Self::EntityIdTaken(_) => "metadata_entity_taken",
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Fetch(error) => error.to_string(),
            Self::Unusable(error) => error.to_string(),
            Self::File(path, error) => format!("{} cannot be read: {error}", path.display()),
            Self::EntityIdTaken(why) => why.clone(),
        }
    }
}

impl From<Unusable> for Failed {
    fn from(error: Unusable) -> Self {
        Self::Unusable(error)
    }
}

/// What a good look found.
enum Found {
    /// The same as before; `false`: without asking anybody.
    Same(bool),
    New,
}

impl Watched {
    /// A source that nobody has looked at yet.
    pub fn new(source: Source, parts: Arc<WatchedParts>) -> Self {
        let known = parts.login.idps().iter().find(|idp| idp.id == source.id).map(|idp| idp.entity_id.clone());
        parts.board.change(&source.id, |_| {});
        Self {
            source,
            parts,
            entity_id: known,
            believed: None,
            validators: Validators::default(),
            file: None,
            failures: 0,
            end_told: false,
        }
    }

    /// Looks at the source and says how long to wait until the next look.
    pub async fn step(&mut self) -> Duration {
        self.step_within(FETCH).await
    }

    /// As [`Self::step`], when fetching may take no longer than `limit`.
    pub async fn step_within(&mut self, limit: Duration) -> Duration {
        let looked = match self.source.place.clone() {
            Place::Url(url) => self.fetch(&url, limit).await,
            Place::File(path) => self.read_file(&path),
        };
        let now = self.parts.clock.now();
        match looked {
            Ok(found) => self.succeeded(&found, now),
            Err(failed) => self.failed(&failed, now),
        }
        self.tell_end(now);
        self.wait(now)
    }

    /// Whether the source is a URL: then a start waits for the first look.
    pub fn is_fetched(&self) -> bool {
        matches!(self.source.place, Place::Url(_))
    }

    async fn fetch(&mut self, url: &MetadataUrl, limit: Duration) -> Result<Found, Failed> {
        let got = self.parts.client.get(url.web(), &self.validators, limit).await.map_err(Failed::Fetch)?;
        let now = self.parts.clock.now();
        match got {
            Got::NotModified => match self.current().and_then(|idp| idp.valid_until.filter(|_| !idp.is_valid(now))) {
                None => Ok(Found::Same(true)),
                Some(until) => Err(ended(until).into()),
            },
            Got::Fresh { octets, validators } => {
                // Only what is good may be answered with "not modified" the next time.
                self.validators = Validators::default();
                let found = self.take(&octets, "url", now)?;
                self.validators = validators;
                if matches!(found, Found::New) {
                    self.keep(&octets);
                }
                Ok(found)
            }
        }
    }

    fn read_file(&mut self, path: &Path) -> Result<Found, Failed> {
        let before = self.file.take();
        let failed = |error| Failed::File(path.to_owned(), error);
        let stamp = Stamp::of(path).map_err(failed)?;
        if before == Some(stamp) {
            // One that was no good before is none now: the failure lasts, and isn't told again.
            self.file = before;
            return Ok(Found::Same(false));
        }
        let octets = std::fs::read(path).map_err(failed)?;
        self.file = Some(stamp);
        self.take(&octets, "file", self.parts.clock.now())
    }

    /// Believes a document from now on, when it is good.
    fn take(&mut self, octets: &[u8], origin: &str, now: Timestamp) -> Result<Found, Failed> {
        let hash = digest(&SHA256, octets);
        let current = self.current();
        if self.believed.is_some_and(|believed| believed.hash.as_ref() == hash.as_ref())
            && current.as_ref().is_some_and(|idp| idp.is_valid(now))
        {
            return Ok(Found::Same(true));
        }
        let Read { idp, cache_duration } = self.source.read(octets, now)?;
        if let Some(was) = self.entity_id.as_ref().filter(|was| **was != idp.entity_id) {
            return Err(Unusable::EntityChanged { was: was.clone(), got: idp.entity_id }.into());
        }
        let same = current.as_ref().is_some_and(|current| says_the_same(current, &idp));
        self.parts.login.put_idp(idp.clone()).map_err(|taken| Failed::EntityIdTaken(taken.to_string()))?;
        self.entity_id = Some(idp.entity_id.clone());
        self.believed = Some(Believed { hash, cache_duration });
        self.end_told = false;
        if !same {
            changes::tell(current.as_deref(), &idp, origin, now);
        }
        Ok(Found::New)
    }

    fn keep(&self, octets: &[u8]) {
        let Some(kept) = &self.parts.kept else { return };
        if let Err(error) = kept.write(&self.source, octets) {
            warn!(
                event = "metadata_copy",
                idp = self.source.id,
                %error,
                "no copy of the metadata could be kept in data_dir: a start while its source is away will be without it"
            );
        }
    }

    fn succeeded(&mut self, found: &Found, now: Timestamp) {
        if matches!(found, Found::Same(false)) {
            return;
        }
        if self.failures > 0 {
            info!(event = "metadata_back", idp = self.source.id, failures = self.failures, "the metadata can be had again");
        }
        self.failures = 0;
        self.parts.board.change(&self.source.id, |state| {
            state.last_success = Some(now);
            (state.failures, state.failing, state.from_copy) = (0, None, false);
        });
    }

    fn failed(&mut self, failed: &Failed, now: Timestamp) {
        self.failures = self.failures.saturating_add(1);
        let (reason, failures, id) = (failed.code(), self.failures, self.source.id.clone());
        let before = self.parts.board.states().get(&id).and_then(|state| state.failing);
        metrics::counter!("samlgate_idp_metadata_failures_total", "idp" => id.clone(), "reason" => reason).increment(1);
        if matches!(failed, Failed::Unusable(Unusable::Metadata(MetadataError::Signature(SamlError::EnginesDisagree(_))))) {
            metrics::counter!("samlgate_engines_disagree_total").increment(1);
        }
        self.parts.board.change(&id, |state| (state.failures, state.failing) = (failures, Some(reason)));
        if self.current().is_none() {
            self.recall(now);
        }
        if matches!(failed, Failed::File(..)) && before == Some(reason) {
            // A file is looked at often: that it is still not there isn't told every time.
            return;
        }
        let why = failed.words();
        match self.current() {
            Some(idp) if idp.is_valid(now) => {
                let until = idp.valid_until.map_or_else(|| "it can be had again".to_owned(), |until| until.to_string());
                warn!(
                    event = "metadata_failed",
                    idp = id,
                    reason,
                    failures,
                    "no new metadata: {why}. The last good one is believed until {until}"
                );
            }
            Some(_) => error!(
                event = "metadata_failed",
                idp = id,
                reason,
                failures,
                "no new metadata: {why}. The last good one has ended (validUntil), so NOBODY CAN SIGN IN by this identity provider"
            ),
            None => error!(
                event = "metadata_failed",
                idp = id,
                reason,
                failures,
                "no metadata: {why}. There is no copy either, so NOBODY CAN SIGN IN by this identity provider"
            ),
        }
    }

    /// Believes the copy in `data_dir`, when there is nothing else.
    fn recall(&mut self, now: Timestamp) {
        let Some(kept) = &self.parts.kept else { return };
        let id = self.source.id.clone();
        let octets = match kept.read(&self.source) {
            Ok(None) => return,
            Ok(Some(octets)) => octets,
            Err(error) => {
                warn!(event = "metadata_copy", idp = id, %error, "the copy of the metadata in data_dir cannot be read");
                return;
            }
        };
        match self.take(&octets, "copy", now) {
            Ok(_) => self.parts.board.change(&id, |state| state.from_copy = true),
            Err(failed) => {
                let why = failed.words();
                warn!(event = "metadata_copy", idp = id, "the copy of the metadata in data_dir is no use: {why}");
            }
        }
    }

    /// Says once that what was believed has ended, when nothing newer came in time.
    fn tell_end(&mut self, now: Timestamp) {
        let Some(idp) = self.current().filter(|idp| !self.end_told && !idp.is_valid(now)) else { return };
        self.end_told = true;
        let valid_until = idp.valid_until.map(|until| until.to_string());
        error!(
            event = "metadata_expired",
            idp = idp.id,
            valid_until,
            "the identity provider's metadata has ended (validUntil): it is believed nothing until newer metadata can be had"
        );
    }

    fn wait(&self, now: Timestamp) -> Duration {
        if matches!(self.source.place, Place::File(_)) {
            return FILE;
        }
        let (refresh, entropy) = (self.source.refresh, &*self.parts.entropy);
        let current = self.current();
        if self.failures > 0 {
            return schedule::after_failure(self.failures, refresh, current.is_some_and(|idp| idp.is_valid(now)), entropy);
        }
        let cache_duration = self.believed.and_then(|believed| believed.cache_duration);
        let ends_in = current.and_then(|idp| idp.valid_until).map(|until| until.since(now));
        schedule::after_success(refresh, cache_duration, ends_in, entropy)
    }

    fn current(&self) -> Option<Arc<IdentityProvider>> {
        self.parts.login.idps().iter().find(|idp| idp.id == self.source.id).cloned()
    }
}

impl Stamp {
    fn of(path: &Path) -> std::io::Result<Self> {
        use std::os::unix::fs::MetadataExt as _;
        let found = std::fs::metadata(path)?;
        Ok(Self { modified: found.modified().ok(), octets: found.len(), inode: found.ino() })
    }
}

fn ended(until: Timestamp) -> Unusable {
    MetadataError::Expired { element: "the document", at: until.to_string() }.into()
}

/// Whether nothing changed that an operator would want to hear of. validUntil of metadata that is signed anew every day changes
/// every day.
fn says_the_same(one: &IdentityProvider, other: &IdentityProvider) -> bool {
    one.anchors == other.anchors && one.sso == other.sso && one.slo == other.slo && one.warnings == other.warnings
}
