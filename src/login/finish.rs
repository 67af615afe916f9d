//! The IdP's answer (Profiles 4.1.4 and 4.1.5): to a login that began here, or one that nobody asked for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Login;
use super::assurance::{accepted_contexts, inherited, must_be_young_enough, reauthenticated};
use super::refusal::{LoginError, Refusal};
use super::test_report::TestReport;
use crate::clock::Timestamp;
use crate::return_path::ReturnPath;
use crate::saml::verify::verify_response;
use crate::saml::{
    Checks, Envelope, Expectations, Expected, IdentityProvider, IdpInitiated, SamlError, VerifiedAssertion, decode_response, peek,
};
use crate::session::{Origin, Session};
use crate::store::{NewLogin, PendingLogin};
use crate::token::{Entropy, HashedToken, PlainToken, public_id};

/// How often an IdP may begin logins for one user or browser in [`RESTART_WINDOW`] before we think that it answers our requests
/// without saying so, which would go round for ever.
const RESTARTS: u8 = 5;
const RESTART_WINDOW: Duration = Duration::from_secs(60);

/// What a browser carries from the IdP to us.
#[derive(Clone, Debug)]
pub enum Carried {
    /// The form field `SAMLResponse`.
    Response(String),
    /// The form field or parameter `SAMLart`: the response is to be had for it.
    Artifact(String),
}

/// What was brought to the assertion consumer service, and by whom.
#[derive(Clone, Debug)]
pub struct Posted {
    /// The response, or the artifact of it.
    pub carried: Carried,
    /// The form field or parameter `RelayState`.
    pub relay_state: Option<String>,
    /// The IdP that the address names (`/acs/{idp}`).
    pub idp: Option<String>,
    /// Hashes of the browser's login cookies.
    pub browsers: Vec<HashedToken>,
    /// Key of the session whose cookie came along.
    pub session: Option<HashedToken>,
}

/// A response that nothing vouches for yet.
pub(super) struct Received {
    pub(super) octets: Vec<u8>,
    pub(super) envelope: Envelope,
    /// The IdP that handed it out for an artifact.
    pub(super) by: Option<Arc<IdentityProvider>>,
}

impl Received {
    /// What an IdP hands out for an artifact is a response of its own.
    fn must_be_of(&self, idp: &IdentityProvider) -> Result<(), LoginError> {
        match &self.by {
            Some(by) if by.id != idp.id => Err(another_issuer("Response", by, idp)),
            _ => Ok(()),
        }
    }
}

/// What it led to.
#[derive(Debug)]
pub enum Finished {
    /// A new session.
    SignedIn(SignedIn),
    /// The IdP began a login, and it is taken as a wish: one must begin here.
    Restart {
        /// The IdP's short name.
        idp: String,
        /// RelayState's page.
        return_to: ReturnPath,
    },
    /// A passive login of somebody who has no session at the IdP.
    NotSignedIn {
        /// The IdP's short name.
        idp: String,
        /// Where the user wanted to go, and goes without a session.
        return_to: ReturnPath,
    },
    /// A login of the test page.
    Tested(Box<TestReport>),
}

/// A new session, and what the browser must know of it.
#[derive(Debug)]
pub struct SignedIn {
    /// For the session cookie.
    pub token: PlainToken,
    /// The session.
    pub session: Arc<Session>,
    /// Where the user wanted to go.
    pub return_to: ReturnPath,
    /// Whether it began here.
    pub solicited: bool,
}

impl Login {
    /// Takes the IdP's answer, in this order: it is decoded (or had for its artifact) and looked at; its issuer names an IdP; InResponseTo names a login
    /// that is pending in this browser; it is verified; the pending login is taken, once; the assertion's ID is claimed, once;
    /// the mapping makes an identity of it; a new session begins, and the browser's old one ends.
    ///
    /// # Errors
    /// A [`Refusal`] with its reason code, and a page for the user to go on to.
    pub async fn finish(&self, posted: Posted, now: Timestamp, entropy: &dyn Entropy) -> Result<Finished, Refusal> {
        let received = match posted.carried.clone() {
            Carried::Response(field) => {
                let read = move || decode_response(&field).and_then(|octets| peek(&octets).map(|envelope| (octets, envelope)));
                let (octets, envelope) = self.workers.reading.run(read).await??;
                Received { octets, envelope, by: None }
            }
            Carried::Artifact(text) => self.resolve(&posted, &text, now, entropy).await?,
        };
        let request_id = match &received.envelope {
            Envelope { in_response_to: Some(id), .. } => Some(id.clone()),
            Envelope { failure: Some(_), .. } => self.refused_request(&posted, now).await?,
            Envelope { .. } => None,
        };
        match request_id {
            Some(request_id) => self.finish_solicited(&posted, received, &request_id, now, entropy).await,
            None => self.finish_unsolicited(&posted, received, now, entropy).await,
        }
    }

    /// Some IdPs refuse without saying which request (Keycloak 26.0): RelayState, which is random, says it to the browser
    /// that has begun this login. Only a refusal can come of it: whoever is signed in is so by InResponseTo.
    async fn refused_request(&self, posted: &Posted, now: Timestamp) -> Result<Option<String>, LoginError> {
        let Some(state) = &posted.relay_state else { return Ok(None) };
        let pending = self.store.pending_in(&posted.browsers, now).await?;
        Ok(pending.into_iter().find(|pending| pending.relay_state == *state).map(|pending| pending.request_id))
    }

    async fn finish_solicited(
        &self,
        posted: &Posted,
        received: Received,
        request_id: &str,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<Finished, Refusal> {
        let claimed = match &received.envelope.issuer {
            Some(issuer) => Some(self.idp_of_issuer(issuer, now)?),
            None => None,
        };
        let Some(pending) = self.store.pending(request_id, now).await? else {
            return Err(self.without_pending(posted, request_id, now).await?);
        };
        let refused = |error: LoginError| {
            let refusal = Refusal::from(error).by(&pending.idp).towards(&pending.return_to);
            refusal.asking(pending.force_authn, &pending.assurance)
        };
        if !posted.browsers.contains(&pending.browser) {
            return Err(refused(LoginError::BrowserMismatch));
        }
        let idp = self.idp(&pending.idp, now).map_err(refused)?;
        if let Some(other) = claimed.filter(|claimed| claimed.id != idp.id) {
            return Err(refused(another_issuer("Response", &idp, &other)));
        }
        must_be_addressed(posted, &idp).map_err(refused)?;
        received.must_be_of(&idp).map_err(refused)?;
        let (verified, checks) = self.verify(&idp, received.octets, Some(&pending), now).await.map_err(refused)?;
        if pending.test {
            self.take(&pending, None, now).await.map_err(refused)?;
            return Ok(Finished::Tested(Box::new(self.report(&idp.id, &checks, verified))));
        }
        if pending.passive && verified.as_ref().is_err_and(is_no_passive) {
            self.take(&pending, None, now).await.map_err(refused)?;
            return Ok(Finished::NotSignedIn { idp: idp.id.clone(), return_to: pending.return_to.clone() });
        }
        // The answer belongs to this browser's own login, so what the IdP says may be shown to the user.
        let assertion = verified.map_err(|error| Refusal { said: words(&error), ..refused(error.into()) })?;
        let proven = reauthenticated(&pending, &assertion, now);
        must_be_young_enough(&pending.assurance, proven, now).map_err(refused)?;
        let token = PlainToken::generate(entropy);
        self.take(&pending, Some(token.hash()), now).await.map_err(refused)?;
        let old = [posted.session, pending.previous];
        let session = self.sign_in(&idp, (&assertion, proven), &token, old, now, entropy).await.map_err(refused)?;
        Ok(Finished::SignedIn(SignedIn { token, session, return_to: pending.return_to.clone(), solicited: true }))
    }

    async fn finish_unsolicited(
        &self,
        posted: &Posted,
        received: Received,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<Finished, Refusal> {
        let return_to = self.return_path(posted.relay_state.as_deref().unwrap_or_default());
        let idp = match &received.envelope.issuer {
            Some(issuer) => self.idp_of_issuer(issuer, now),
            None => Err(SamlError::UnknownIssuer(String::new()).into()),
        };
        let idp = idp.map_err(|error| Refusal::from(error).towards(&return_to))?;
        let refused = |error: LoginError| Refusal::from(error).by(&idp.id).towards(&return_to);
        must_be_addressed(posted, &idp).map_err(refused)?;
        received.must_be_of(&idp).map_err(refused)?;
        if idp.idp_initiated == IdpInitiated::Off {
            return Err(refused(SamlError::UnsolicitedNotAllowed.into()));
        }
        let (verified, _) = self.verify(&idp, received.octets, None, now).await.map_err(refused)?;
        let assertion = verified.map_err(|error| refused(error.into()))?;
        // Used already, perhaps, before a restart that made the store forget it: then it is no more than a wish.
        let may_be_used = self.store.remembers_since().is_some_and(|since| assertion.issued() <= since.plus(idp.clock_skew));
        if idp.idp_initiated == IdpInitiated::Restart || may_be_used {
            self.may_restart(&assertion, &posted.browsers, now).await.map_err(refused)?;
            return Ok(Finished::Restart { idp: idp.id.clone(), return_to });
        }
        let token = PlainToken::generate(entropy);
        let session =
            self.sign_in(&idp, (&assertion, None), &token, [posted.session, None], now, entropy).await.map_err(refused)?;
        Ok(Finished::SignedIn(SignedIn { token, session, return_to, solicited: false }))
    }

    /// What an answer is refused with when its login is not pending: it was finished (in this browser or another one), or it
    /// began too long ago, or never.
    pub(super) async fn without_pending(&self, posted: &Posted, request_id: &str, now: Timestamp) -> Result<Refusal, LoginError> {
        let Some(finished) = self.store.finished(request_id, now).await? else { return Ok(LoginError::LoginExpired.into()) };
        if !posted.browsers.contains(&finished.browser) {
            return Ok(LoginError::BrowserMismatch.into());
        }
        let session = match finished.session {
            Some(key) => self.store.session(&key)?,
            None => None,
        };
        let replayed = LoginError::Replayed("the answer was posted before, by the same browser");
        let signed_in = session.is_some_and(|session| session.is_live(now));
        Ok(Refusal { signed_in, ..Refusal::from(replayed).towards(&finished.return_to) })
    }

    /// Takes a pending login; of two who come at the same moment one gets it.
    async fn take(&self, pending: &PendingLogin, session: Option<HashedToken>, now: Timestamp) -> Result<(), LoginError> {
        match self.store.take_pending(&pending.request_id, session, now).await? {
            Some(_) => Ok(()),
            None => Err(LoginError::Replayed("the answer was posted twice at the same moment")),
        }
    }

    /// Verifies on a thread of its own: the answer to a login that is pending in the browser that posted it, or an unsolicited
    /// response. They have separate places, so that strangers' junk can't take those of people who are signing in.
    async fn verify(
        &self,
        idp: &Arc<IdentityProvider>,
        octets: Vec<u8>,
        pending: Option<&PendingLogin>,
        now: Timestamp,
    ) -> Result<(Result<VerifiedAssertion, SamlError>, Checks), LoginError> {
        let request_id = pending.map(|pending| pending.request_id.clone());
        let asked = pending.map_or(&[][..], |pending| &pending.assurance.authn_context);
        let authn_context = accepted_contexts(&idp.authn_context, asked)?;
        let authenticated_since = pending.filter(|pending| pending.force_authn).map(|pending| pending.started);
        let places = self.workers.for_answer_to(request_id.as_deref());
        let acs_urls = self.acs_urls(idp);
        let sp = Arc::clone(&self.sp);
        let idp = Arc::clone(idp);
        let work = move || {
            let started = Instant::now();
            let expectations = Expectations {
                idp_entity_id: &idp.entity_id,
                sp_entity_id: &sp.entity_id,
                acs_urls: &acs_urls,
                expected: request_id.as_deref().map_or(Expected::Unsolicited, Expected::AnswerTo),
                compat: idp.compat,
                clock_skew: idp.clock_skew,
                max_age: idp.max_age,
                authn_context: &authn_context,
                authenticated_since,
                decryption_keys: &sp.keys,
            };
            let mut checks = Checks::default();
            let verified = verify_response(&octets, &idp.anchors, &expectations, now, &mut checks);
            metrics::histogram!("samlgate_verify_seconds").record(started.elapsed().as_secs_f64());
            (verified, checks)
        };
        let (verified, checks) = places.run(work).await?;
        if matches!(verified, Err(SamlError::EnginesDisagree(_))) {
            metrics::counter!("samlgate_engines_disagree_total").increment(1);
        }
        Ok((verified, checks))
    }

    /// Claims the assertion, makes an identity of it, begins the session and ends the browser's old ones. With the assertion comes
    /// when the user authenticated anew, if this login proves it. A login that was issued before its user logged out at the IdP ends
    /// here.
    async fn sign_in(
        &self,
        idp: &IdentityProvider,
        (assertion, proven): (&VerifiedAssertion, Option<Timestamp>),
        token: &PlainToken,
        old: [Option<HashedToken>; 2],
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<Arc<Session>, LoginError> {
        // Neither part can contain a NUL, so no two pairs have the same text.
        let once = HashedToken::of(&format!("assertion\0{}\0{}", assertion.issuer(), assertion.id()));
        if !self.store.claim(once, assertion.claim_until(), now).await? {
            return Err(LoginError::Replayed("this assertion was used before"));
        }
        let identity = self.mapping.apply(assertion)?;
        let mut reauthenticated = proven;
        for key in old.iter().flatten() {
            let inherited = self.store.session(key)?.and_then(|old| inherited(&old, assertion, now));
            reauthenticated = reauthenticated.max(inherited);
        }
        let origin = Origin {
            idp: idp.id.clone(),
            issuer: assertion.issuer().to_owned(),
            name_id: assertion.name_id().clone(),
            session_index: assertion.session_index().map(str::to_owned),
            auth_time: assertion.authn_instant(),
            reauthenticated,
            acr: assertion.authn_context().map(str::to_owned),
            not_on_or_after: assertion.session_not_on_or_after(),
        };
        let session =
            Session::new(token.hash(), public_id(entropy), identity, origin, Arc::clone(&self.headers), &self.session, now);
        let session = self.store.save_session(session, self.session.max_per_user, now).await?;
        // After the session is there, so that a logout at this very moment finds it or is found.
        let login = NewLogin {
            issuer: assertion.issuer(),
            name_id: assertion.name_id(),
            session_index: assertion.session_index(),
            issued: assertion.issued(),
        };
        let logged_out = self.store.is_logged_out(login, now).await;
        if logged_out != Ok(false) {
            self.store.end_session(session.key()).await?;
            logged_out?;
            return Err(LoginError::LoggedOutAtIdp);
        }
        for key in old.into_iter().flatten() {
            self.store.end_session(&key).await?;
        }
        Ok(session)
    }

    /// Whether an unsolicited response may begin one more login.
    async fn may_restart(
        &self,
        assertion: &VerifiedAssertion,
        browsers: &[HashedToken],
        now: Timestamp,
    ) -> Result<(), LoginError> {
        let subject = HashedToken::of(&format!("{}\0{}", assertion.issuer(), assertion.name_id().value));
        for who in [Some(subject), browsers.first().copied()].into_iter().flatten() {
            if !self.restarts_left(who, now).await? {
                return Err(LoginError::GoesRound);
            }
        }
        Ok(())
    }

    async fn restarts_left(&self, who: HashedToken, now: Timestamp) -> Result<bool, LoginError> {
        for n in 0..RESTARTS {
            let once = HashedToken::of(&format!("restart\0{:02x?}\0{n}", who.octets()));
            if self.store.claim(once, now.plus(RESTART_WINDOW), now).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// `/acs/{idp}` takes the answers of that IdP only.
pub(super) fn must_be_addressed(posted: &Posted, idp: &IdentityProvider) -> Result<(), LoginError> {
    match posted.idp.as_deref() {
        Some(named) if named != idp.id => {
            Err(LoginError::OtherAddress { answered: idp.id.clone(), named: named.chars().take(200).collect() })
        }
        _ => Ok(()),
    }
}

/// Another IdP than the one that was asked has answered.
pub(super) fn another_issuer(element: &'static str, asked: &IdentityProvider, answered: &IdentityProvider) -> LoginError {
    let (expected, got) = (asked.entity_id.clone(), answered.entity_id.clone());
    SamlError::IssuerMismatch { element, expected, got }.into()
}

/// Whether the IdP says that it would have had to ask the user something (Core 3.2.2.2). It may be unsigned: it only refuses.
fn is_no_passive(error: &SamlError) -> bool {
    matches!(error, SamlError::StatusNotSuccess { status, .. } if status.rsplit('/').next() == Some("NoPassive"))
}

/// What the IdP itself says about its refusal.
fn words(error: &SamlError) -> Option<String> {
    match error {
        SamlError::StatusNotSuccess { message, .. } => message.clone(),
        _ => None,
    }
}
