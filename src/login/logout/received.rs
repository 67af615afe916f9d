//! Logout messages that come from IdPs (Profiles 4.4): requests, which end sessions here, and answers to requests of ours.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::login::refusal::{LoginError, Refusal};
use crate::login::verifying::Places;
use crate::login::{Login, another_issuer, still_valid};
use crate::return_path::ReturnPath;
use crate::saml::logout::{
    AnswerParts, AnswerStatus, LogoutEnvelope, LogoutError, LogoutExpectations, LogoutMessage, LogoutRequest, LogoutStatus,
    MessageKind, Received, answer, answer_soap, attribute_redirect, peek, peek_redirect, peek_soap, verify_post, verify_redirect,
    verify_soap,
};
use crate::saml::{Binding, IdentityProvider, Outgoing, SamlError, decode_response};
use crate::store::{LogoutMark, PendingLogout, StoreError};
use crate::token::{Entropy, message_id};

/// Longest RelayState that is given back, in octets.
const MAX_RELAY_STATE: usize = 2048;

/// A logout message as it came.
#[derive(Clone, Debug)]
pub enum Arrived {
    /// By the Redirect binding: the query as it stands in the address.
    Redirect(String),
    /// By the POST binding.
    Post {
        /// Which form field it came in.
        kind: MessageKind,
        /// The field's value.
        field: String,
        /// The form field `RelayState`.
        relay_state: Option<String>,
    },
    /// By SOAP, from the IdP itself.
    Soap(Vec<u8>),
}

/// What a logout message led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Concluded {
    /// The IdP has ended sessions.
    AtIdp {
        /// The IdP's short name.
        idp: String,
        /// ID of its request.
        saml_request_id: String,
        /// What became of its request.
        ended: Ended,
        /// What it is answered.
        answer: Answer,
    },
    /// The IdP has answered a logout that began here.
    AtUser {
        /// The IdP's short name.
        idp: String,
        /// How it went there.
        status: LogoutStatus,
        /// Where the user goes now.
        return_to: ReturnPath,
    },
}

/// What became of an IdP's request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// So many sessions have ended; none, when none was there.
    Sessions(usize),
    /// The same request was here before.
    Already,
    /// The store is away, so sessions may still live.
    Failed(StoreError),
}

/// What an IdP's request is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The browser takes it to the IdP.
    Browser(Outgoing),
    /// The envelope.
    Soap(String),
    /// It can't be answered: the IdP has no service that takes answers, or we have no key, or too much is going on.
    None(&'static str),
}

/// A logout message that is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Which message it was; `None` when not even that could be told.
    pub kind: Option<MessageKind>,
    /// Why.
    pub why: Refusal,
}

/// A message of which is known whose it claims to be.
struct Attributed {
    idp: Arc<IdentityProvider>,
    message: Message,
    envelope: LogoutEnvelope,
}

/// A message, decoded.
enum Message {
    Redirect(String),
    Post(Vec<u8>),
    Soap(Vec<u8>),
}

impl Login {
    /// Takes a logout message of an IdP, in this order: it is decoded and looked at; its issuer names an IdP (by the Redirect
    /// binding, the IdP whose key has signed it and whom it names); an answer names a logout that began here; it is verified. Then a
    /// request ends the sessions that it concerns, in whatever browser they are, and is answered; an answer is taken, once.
    ///
    /// No cookie is looked at: the IdP's POST comes without the session cookie, its own request without any, and who may end a
    /// session is decided by the signature.
    ///
    /// # Errors
    /// A [`Refused`] with its reason code. Nothing has happened then.
    pub async fn receive_logout(&self, arrived: Arrived, now: Timestamp, entropy: &dyn Entropy) -> Result<Concluded, Refused> {
        let mut kind = match &arrived {
            Arrived::Redirect(query) => peek_redirect(query).ok().map(|seen| seen.kind),
            Arrived::Post { kind, .. } => Some(*kind),
            Arrived::Soap(_) => Some(MessageKind::Request),
        };
        let relay_state = match &arrived {
            Arrived::Post { relay_state, .. } => relay_state.clone(),
            Arrived::Redirect(_) | Arrived::Soap(_) => None,
        };
        let Attributed { idp, message, envelope } =
            self.attribute(arrived, now).await.map_err(|error| Refused { kind, why: error.into() })?;
        kind = Some(envelope.kind);
        let refused = |error: LoginError| Refused { kind, why: Refusal::from(error).by(&idp.id) };
        if relay_state.as_ref().is_some_and(|state| state.len() > MAX_RELAY_STATE) {
            return Err(refused(LogoutError::Query("RelayState is longer than 2048 octets").into()));
        }
        let came_by = match message {
            Message::Redirect(_) => Some(Binding::Redirect),
            Message::Post(_) => Some(Binding::Post),
            Message::Soap(_) => None,
        };
        let pending = match envelope.kind {
            MessageKind::Request => None,
            MessageKind::Response => Some(self.answered(&envelope, &idp, now).await.map_err(refused)?),
        };
        let request_id = pending.as_ref().map(|pending| pending.request_id.clone());
        let received = self.verify_logout(&idp, message, request_id, now).await.map_err(refused)?;
        let relay_state = relay_state.or_else(|| received.relay_state().map(str::to_owned));
        match (received.into_message(), pending) {
            (LogoutMessage::Request(request), None) => Ok(self.end_for(&idp, &request, came_by, relay_state, now, entropy).await),
            (LogoutMessage::Response(response), Some(pending)) => {
                let taken = self.store.take_pending_logout(&pending.request_id, now).await;
                let taken = taken.map_err(|error| refused(error.into()))?;
                let Some(PendingLogout { return_to, .. }) = taken else {
                    return Err(refused(LogoutError::InResponseToMismatch.into()));
                };
                Ok(Concluded::AtUser { idp: idp.id.clone(), status: response.status().clone(), return_to })
            }
            _ => Err(refused(LoginError::Internal)),
        }
    }

    /// Decodes a message and finds the IdP whose it is, or claims to be.
    async fn attribute(&self, arrived: Arrived, now: Timestamp) -> Result<Attributed, LoginError> {
        let (message, envelope) = match arrived {
            Arrived::Redirect(query) => return self.attribute_signed(query, now).await,
            Arrived::Post { kind, field, .. } => {
                let read = move || -> Result<_, LogoutError> {
                    let octets = decode_response(&field)?;
                    let envelope = peek(&octets, kind)?;
                    Ok((Message::Post(octets), envelope))
                };
                self.workers.reading.run(read).await??
            }
            Arrived::Soap(octets) => {
                let read = move || peek_soap(&octets).map(|envelope| (Message::Soap(octets), envelope));
                self.workers.reading.run(read).await??
            }
        };
        let idp = match &envelope.issuer {
            Some(issuer) => self.idp_of_issuer(issuer, now)?,
            None => return Err(SamlError::UnknownIssuer(String::new()).into()),
        };
        Ok(Attributed { idp, message, envelope })
    }

    async fn attribute_signed(&self, query: String, now: Timestamp) -> Result<Attributed, LoginError> {
        let idps = self.idps.load_full();
        let work = move || {
            let (idp, envelope) = attribute_redirect(&query, idps.as_slice())?;
            let idp = still_valid(idp, now)?;
            Ok(Attributed { idp, message: Message::Redirect(query), envelope })
        };
        self.workers.reading.run(work).await?
    }

    /// The logout of ours that an answer is about.
    async fn answered(
        &self,
        envelope: &LogoutEnvelope,
        idp: &IdentityProvider,
        now: Timestamp,
    ) -> Result<PendingLogout, LoginError> {
        let request_id = envelope.in_response_to.as_deref().ok_or(LogoutError::InResponseToMismatch)?;
        let pending = self.store.pending_logout(request_id, now).await?.ok_or(LogoutError::InResponseToMismatch)?;
        if pending.idp != idp.id {
            let asked = self.idp(&pending.idp, now)?;
            return Err(another_issuer("LogoutResponse", &asked, idp));
        }
        Ok(pending)
    }

    /// Verifies on a thread of its own. What anybody can send has other places than answers to logouts that began here, and than
    /// queries, whose signature is good already.
    async fn verify_logout(
        &self,
        idp: &Arc<IdentityProvider>,
        message: Message,
        request_id: Option<String>,
        now: Timestamp,
    ) -> Result<Received, LoginError> {
        let places: &Places = match (&message, &request_id) {
            (Message::Redirect(_), _) | (_, Some(_)) => &self.workers.verifying,
            (Message::Post(_) | Message::Soap(_), None) => &self.workers.logouts,
        };
        let slo_urls = self.slo_urls(matches!(message, Message::Soap(_)));
        let (idp, sp) = (Arc::clone(idp), Arc::clone(&self.sp));
        let work = move || {
            let expectations = LogoutExpectations {
                idp_entity_id: &idp.entity_id,
                slo_urls: &slo_urls,
                in_response_to: request_id.as_deref(),
                sp_entity_id: &sp.entity_id,
                decryption_keys: &sp.keys,
                compat: idp.compat,
                clock_skew: idp.clock_skew,
                max_age: idp.max_age,
            };
            let kind = if request_id.is_some() { MessageKind::Response } else { MessageKind::Request };
            match &message {
                Message::Redirect(query) => verify_redirect(query, &idp.anchors, &expectations, now),
                Message::Post(octets) => verify_post(octets, kind, &idp.anchors, &expectations, now),
                Message::Soap(octets) => verify_soap(octets, &idp.anchors, &expectations, now),
            }
        };
        let received = places.run(work).await?;
        if matches!(received, Err(LogoutError::Saml(SamlError::EnginesDisagree(_)))) {
            metrics::counter!("samlgate_engines_disagree_total").increment(1);
        }
        Ok(received?)
    }

    /// Ends what a request concerns, and answers it: Success also when nothing was there, so that nobody learns who is signed in,
    /// and the IdP's logout goes on.
    async fn end_for(
        &self,
        idp: &Arc<IdentityProvider>,
        request: &LogoutRequest,
        came_by: Option<Binding>,
        relay_state: Option<String>,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Concluded {
        let (issued, scope) = (request.issue_instant(), request.scope());
        let mark = LogoutMark::new(request.id(), scope, issued, idp.max_age, idp.clock_skew);
        let (ended, status) = match self.store.end_at_idp(mark, now).await {
            Ok(Some(count)) => (Ended::Sessions(count), AnswerStatus::Success),
            Ok(None) => (Ended::Already, AnswerStatus::Success),
            Err(error) => (Ended::Failed(error), AnswerStatus::Responder),
        };
        let write = {
            let (sp, idp) = (Arc::clone(&self.sp), Arc::clone(idp));
            let (id, in_response_to) = (message_id(entropy), request.id().to_owned());
            move || {
                let parts = AnswerParts { id: &id, now, in_response_to: &in_response_to, status };
                match came_by {
                    Some(binding) => Ok(answer(&idp, &sp, binding, relay_state.as_deref(), parts)?
                        .map_or(Answer::None("no_logout_service"), Answer::Browser)),
                    None => answer_soap(&sp, parts).map(Answer::Soap),
                }
            }
        };
        let answer = match self.workers.signing.run(write).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => Answer::None(error.code()),
            Err(error) => Answer::None(error.code()),
        };
        Concluded::AtIdp { idp: idp.id.clone(), saml_request_id: request.id().to_owned(), ended, answer }
    }
}
