//! The end of a session that its user wants: here first, then at the IdP.

pub mod received;

use std::sync::Arc;
use std::time::Duration;

use super::Login;
use super::refusal::{LoginError, one_line};
use crate::clock::Timestamp;
use crate::return_path::ReturnPath;
use crate::saml::logout::{LogoutParts, start};
use crate::saml::{IdentityProvider, Outgoing};
use crate::session::Session;
use crate::store::{PendingLogout, StoreError};
use crate::token::{Entropy, HashedToken, message_id};

/// How long the IdP may act on our request: it travels through the browser at once.
const REQUEST_LIFETIME: Duration = Duration::from_secs(5 * 60);

/// What a logout led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoggedOut {
    /// There was no session to end.
    NoSession,
    /// The session has ended here.
    Here {
        /// The session's public id.
        sid: String,
        /// Whose it was.
        user: String,
        /// The IdP's short name.
        idp: String,
        /// What comes next.
        next: Next,
    },
}

/// What comes after the end of a session here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing: the IdP has no logout service, or we have no key to sign with, or it is not configured any more.
    Nothing,
    /// The browser takes our request to the IdP.
    TellIdp {
        /// ID of the LogoutRequest.
        request_id: String,
        /// What the browser must do.
        outgoing: Outgoing,
    },
    /// The IdP should be told, and can't be: the user is still signed in there.
    Untold {
        /// The stable reason code.
        code: &'static str,
        /// For the log. One line.
        detail: String,
    },
}

impl Login {
    /// Ends the session under a key. Then, when its IdP has a logout service, a request for it is made: the user by the name that
    /// the IdP asserted, and its SessionIndex (Profiles 4.4.3.1). There is no RelayState; InResponseTo of the answer says which
    /// logout it is about. Whatever the IdP does or doesn't do then, the session has ended.
    ///
    /// # Errors
    /// When the store is away: then the session may still live, and the user must be told.
    pub async fn logout(
        &self,
        key: &HashedToken,
        return_to: &ReturnPath,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<LoggedOut, StoreError> {
        let session = self.store.session(key)?;
        let ended = self.store.end_session(key).await?;
        let Some(session) = session.filter(|_| ended) else { return Ok(LoggedOut::NoSession) };
        let next = match self.tell_idp(&session, return_to, now, entropy).await {
            Ok(next) => next,
            Err(error) => Next::Untold { code: error.code(), detail: one_line(&error.to_string()) },
        };
        let (sid, user) = (session.sid().to_owned(), session.identity().user().to_owned());
        Ok(LoggedOut::Here { sid, user, idp: session.idp().to_owned(), next })
    }

    async fn tell_idp(
        &self,
        session: &Session,
        return_to: &ReturnPath,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<Next, LoginError> {
        let origin = session.origin();
        let idp = match self.idp(&origin.idp, now) {
            Ok(idp) if idp.entity_id == origin.issuer && self.can_tell(&idp) => idp,
            Ok(_) | Err(LoginError::UnknownIdp) => return Ok(Next::Nothing),
            Err(error) => return Err(error),
        };
        let request_id = message_id(entropy);
        let pending = PendingLogout { request_id: request_id.clone(), idp: idp.id.clone(), return_to: return_to.clone() };
        let write = {
            let (sp, id) = (Arc::clone(&self.sp), request_id.clone());
            move || {
                let (name_id, session_index) = (&origin.name_id, origin.session_index.as_deref());
                let not_on_or_after = now.plus(REQUEST_LIFETIME);
                let parts = LogoutParts { id: &id, now, not_on_or_after, relay_state: None, name_id, session_index };
                start(&idp, &sp, parts)
            }
        };
        let Some(outgoing) = self.workers.signing.run(write).await?? else { return Ok(Next::Nothing) };
        // Without it, the answer finds a page that knows nothing of this logout; that the IdP's session ends matters more.
        let _ = self.store.save_pending_logout(pending, now).await;
        Ok(Next::TellIdp { request_id, outgoing })
    }

    /// Whether logout messages can be sent to an IdP: it has a service for them, and we can sign.
    fn can_tell(&self, idp: &IdentityProvider) -> bool {
        !idp.slo.is_empty() && self.sp.signing_key().is_some()
    }
}
