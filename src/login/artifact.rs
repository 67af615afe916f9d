//! A response that the IdP hands out for an artifact (Profiles 5, Bindings 3.6). The browser makes us ask, so who may, how often and
//! where is decided before anything is sent.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::Login;
use super::finish::{Posted, Received, must_be_addressed};
use super::refusal::{LoginError, Refusal};
use crate::clock::Timestamp;
use crate::outbound::{Client, FetchError};
use crate::saml::artifact::{self, Artifact, ArtifactError, ArtifactExpectations, MAX_OCTETS, ResolveParts};
use crate::saml::{IdentityProvider, IdpInitiated, ResponseBinding, SamlError, peek};
use crate::store::PendingLogin;
use crate::token::{Entropy, HashedToken, message_id};

/// How long the IdP may take for its answer, connecting included.
const LIMIT: Duration = Duration::from_secs(10);
/// How long an artifact counts as used here. The IdP itself hands a message out once, and forgets it after some minutes.
const USED: Duration = Duration::from_secs(10 * 60);
/// How many used artifacts are remembered with what they led to.
const REMEMBERED: u64 = 10_000;

/// The way to the IdPs' artifact resolution services: so much of it at a time, so often, and no more. Whoever is signing in, and
/// whoever isn't, have separate shares, so that strangers with made-up artifacts can't take those of people.
pub struct BackChannel {
    client: Client,
    limit: Duration,
    solicited: Share,
    others: Share,
    /// What used artifacts led to: the request that was answered, if any.
    led_to: Cache<HashedToken, Option<String>>,
}

impl BackChannel {
    /// By this client.
    pub fn new(client: Client) -> Self {
        Self::within(client, LIMIT)
    }

    /// As [`Self::new`], with another time for each answer.
    pub fn within(client: Client, limit: Duration) -> Self {
        Self { client, limit, solicited: Share::new(64, 100, 200), others: Share::new(8, 10, 20), led_to: Cache::new(REMEMBERED) }
    }
}

/// How much may be asked: at once, and in a second.
struct Share {
    at_once: Semaphore,
    per_second: i64,
    burst: i64,
    /// In thousandths, and as of when.
    left: Mutex<(i64, Timestamp)>,
}

impl Share {
    fn new(at_once: usize, per_second: i64, burst: i64) -> Self {
        let left = Mutex::new((burst * 1000, Timestamp::from_unix(0)));
        Self { at_once: Semaphore::new(at_once), per_second, burst, left }
    }

    /// Room for one question, until it is dropped.
    ///
    /// # Errors
    /// `Busy`.
    fn take(&self, now: Timestamp) -> Result<SemaphorePermit<'_>, LoginError> {
        let permit = self.at_once.try_acquire().map_err(|_| LoginError::Busy)?;
        let mut left = self.left.lock();
        let (thousandths, at) = *left;
        let passed = now.millis().saturating_sub(at.millis()).max(0);
        let thousandths = thousandths.saturating_add(passed.saturating_mul(self.per_second)).min(self.burst * 1000);
        // A clock that was set back gives nothing, and takes nothing.
        let (rest, enough) = if thousandths >= 1000 { (thousandths - 1000, true) } else { (thousandths, false) };
        *left = (rest, now);
        if enough { Ok(permit) } else { Err(LoginError::Busy) }
    }
}

impl Login {
    /// Has the response of an artifact handed out, in this order: the artifact is read; it wasn't used here before; its SourceID names
    /// an IdP that is asked for artifacts; this browser is signing in with that IdP, or the IdP may begin logins; there is room; it
    /// is claimed, once; then that IdP is asked, at an address from its metadata and nowhere else.
    ///
    /// Nothing of the answer is believed: it goes the way of a posted response.
    ///
    /// # Errors
    /// A [`Refusal`].
    pub(super) async fn resolve(
        &self,
        posted: &Posted,
        text: &str,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<Received, Refusal> {
        let artifact = Artifact::parse(text).map_err(LoginError::from)?;
        let once = HashedToken::of(&format!("artifact\0{}", artifact.text()));
        if let Some(led_to) = self.back_channel.led_to.get(&once) {
            return Err(self.used_before(posted, led_to.as_deref(), now).await?);
        }
        let idp = self.idp_of_source(&artifact, now)?;
        let pending = self.store.pending_in(&posted.browsers, now).await?;
        let pending: Vec<_> = pending.into_iter().filter(|pending| pending.idp == idp.id).collect();
        let refused = |error: LoginError| self.on_the_way(error.into(), &idp, posted, &pending);
        if idp.response_binding != ResponseBinding::Artifact {
            return Err(refused(ArtifactError::NotEnabled.into()));
        }
        must_be_addressed(posted, &idp).map_err(refused)?;
        if pending.is_empty() && idp.idp_initiated == IdpInitiated::Off {
            return Err(refused(LoginError::NoLoginForArtifact));
        }
        let service = idp.resolution.iter().find(|service| service.index == artifact.index());
        let service = service.ok_or_else(|| refused(ArtifactError::NoService(artifact.index()).into()))?;

        let share = if pending.is_empty() { &self.back_channel.others } else { &self.back_channel.solicited };
        let room = share.take(now).map_err(refused)?;
        let claimed = self.store.claim(once, now.plus(USED), now).await.map_err(|error| refused(error.into()))?;
        if !claimed {
            return Err(refused(LoginError::Replayed("this artifact was brought before")));
        }
        let id = message_id(entropy);
        let write = {
            let (sp, id, artifact, destination) =
                (Arc::clone(&self.sp), id.clone(), artifact.clone(), service.location.to_string());
            move || artifact::resolve(&sp, ResolveParts { id: &id, now, destination: &destination, artifact: &artifact })
        };
        let envelope = self.workers.signing.run(write).await.map_err(refused)?.map_err(|error| refused(error.into()))?;
        let BackChannel { client, limit, .. } = &self.back_channel;
        let answer = client.post_soap(&service.location, envelope, *limit, MAX_OCTETS).await;
        drop(room);
        let answer = answer.map_err(|error| refused(unanswered(error).into()))?;

        let asked = pending.last().map(|pending| pending.request_id.as_str());
        let open = {
            let idp = Arc::clone(&idp);
            move || {
                let expectations = ArtifactExpectations {
                    idp_entity_id: &idp.entity_id,
                    in_response_to: &id,
                    compat: idp.compat,
                    clock_skew: idp.clock_skew,
                    max_age: idp.max_age,
                };
                let octets = artifact::open(&answer, &idp.anchors, &expectations, now)?;
                let envelope = peek(&octets)?;
                Ok((octets, envelope))
            }
        };
        let opened: Result<_, ArtifactError> = self.workers.for_answer_to(asked).run(open).await.map_err(refused)?;
        if matches!(opened, Err(ArtifactError::Answer(SamlError::EnginesDisagree(_)))) {
            metrics::counter!("samlgate_engines_disagree_total").increment(1);
        }
        let (octets, envelope) = opened.map_err(|error| refused(error.into()))?;
        self.back_channel.led_to.insert(once, envelope.in_response_to.clone());
        Ok(Received { octets, envelope, by: Some(idp) })
    }

    /// The IdP that an artifact's SourceID names, when it may be believed now.
    fn idp_of_source(&self, artifact: &Artifact, now: Timestamp) -> Result<Arc<IdentityProvider>, LoginError> {
        let idps = self.idps();
        if let Some(idp) = idps.iter().find(|idp| artifact.is_from(&idp.entity_id)) {
            return self.idp(&idp.id, now);
        }
        match self.order.iter().find(|id| !idps.iter().any(|idp| idp.id == **id)) {
            Some(awaited) => Err(LoginError::NoMetadata(awaited.clone())),
            None => Err(ArtifactError::UnknownSource.into()),
        }
    }

    /// A refusal before anybody knows what is in the response: RelayState says where its user wanted to go.
    fn on_the_way(&self, refusal: Refusal, idp: &IdentityProvider, posted: &Posted, pending: &[PendingLogin]) -> Refusal {
        let relay_state = posted.relay_state.as_deref().unwrap_or_default();
        let refusal = refusal.by(&idp.id);
        match pending.iter().find(|pending| pending.relay_state == relay_state) {
            Some(pending) => refusal.towards(&pending.return_to).asking(pending.force_authn, &pending.assurance),
            None => refusal.towards(&self.return_path(relay_state)),
        }
    }

    /// What a second use is refused with: as a response that is posted twice, when the first use finished its login.
    async fn used_before(&self, posted: &Posted, request_id: Option<&str>, now: Timestamp) -> Result<Refusal, Refusal> {
        if let Some(request_id) = request_id
            && self.store.finished(request_id, now).await?.is_some()
        {
            return Ok(self.without_pending(posted, request_id, now).await?);
        }
        Ok(LoginError::Replayed("this artifact was used before").into())
    }
}

fn unanswered(error: FetchError) -> ArtifactError {
    match error {
        FetchError::TooLarge(_) => SamlError::TooLarge("more than 256 KiB").into(),
        error => ArtifactError::Unresolved(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_has_a_burst_a_rate_and_an_end() {
        let share = Share::new(3, 2, 4);
        let at = Timestamp::from_unix;
        for _ in 0..4 {
            assert!(share.take(at(100)).is_ok());
        }
        assert_eq!(share.take(at(100)).err(), Some(LoginError::Busy));
        assert!(share.take(at(101)).is_ok() && share.take(at(101)).is_ok());
        assert_eq!(share.take(at(101)).err(), Some(LoginError::Busy));
        assert_eq!(share.take(at(50)).err(), Some(LoginError::Busy), "a clock that was set back gives nothing");
        let kept: Vec<_> = (0..3).map(|_| share.take(at(1000)).unwrap()).collect();
        assert_eq!(share.take(at(2000)).err(), Some(LoginError::Busy), "three at once");
        drop(kept);
        assert!(share.take(at(2000)).is_ok());
    }
}
