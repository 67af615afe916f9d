//! A login that begins here (Profiles 4.1.2): a pending login, and a request for the IdP.

use std::sync::Arc;

use super::assurance::accepted_contexts;
use super::refusal::{LoginError, Refusal};
use super::{Login, PENDING_PER_BROWSER};
use crate::access::Assurance;
use crate::clock::Timestamp;
use crate::return_path::ReturnPath;
use crate::saml::{Outgoing, RequestParts, request};
use crate::store::PendingLogin;
use crate::token::{Entropy, HashedToken, message_id, public_id};

/// A login that somebody wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The IdP's short name.
    pub idp: String,
    /// Hash of the browser's login cookie.
    pub browser: HashedToken,
    /// Where to go afterwards.
    pub return_to: ReturnPath,
    /// The user must authenticate anew.
    pub force_authn: bool,
    /// The IdP must not ask the user anything: whoever has no session there comes back without one.
    pub passive: bool,
    /// What the login must be good enough for.
    pub assurance: Assurance,
    /// Show what the IdP says, and make no session.
    pub test: bool,
    /// The session that the browser has now; a new one replaces it.
    pub previous: Option<HashedToken>,
}

/// A login that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// ID of the AuthnRequest.
    pub request_id: String,
    /// What the browser must do.
    pub outgoing: Outgoing,
}

impl Login {
    /// Begins a login: keeps what must be known when the answer comes, and writes the request. RelayState is random and means
    /// nothing to anybody (Bindings 3.4.3 gives it 80 octets and no protection).
    ///
    /// # Errors
    /// No such IdP, a request that can't be written, a store that is away, too many logins that begin at once.
    pub async fn start(&self, wish: Wish, now: Timestamp, entropy: &dyn Entropy) -> Result<Begun, Refusal> {
        let asked_anew = wish.force_authn || wish.assurance.max_auth_age.is_some();
        let refused =
            |error: LoginError| Refusal::from(error).by(&wish.idp).towards(&wish.return_to).asking(asked_anew, &wish.assurance);
        let idp = self.idp(&wish.idp, now).map_err(refused)?;
        let authn_context = accepted_contexts(&idp.authn_context, &wish.assurance.authn_context).map_err(refused)?;
        let force_authn = asked_anew || idp.force_authn;
        let request_id = message_id(entropy);
        let relay_state = public_id(entropy);
        let write = {
            let (sp, id, relay_state, is_passive) = (Arc::clone(&self.sp), request_id.clone(), relay_state.clone(), wish.passive);
            move || {
                let (relay_state, authn_context) = (Some(relay_state.as_str()), authn_context.as_slice());
                request::start(&idp, &sp, RequestParts { id: &id, now, relay_state, force_authn, is_passive, authn_context })
            }
        };
        let outgoing = self.workers.signing.run(write).await.map_err(refused)?.map_err(|error| refused(error.into()))?;
        let pending = PendingLogin {
            request_id: request_id.clone(),
            browser: wish.browser,
            idp: wish.idp.clone(),
            relay_state,
            return_to: wish.return_to.clone(),
            force_authn,
            passive: wish.passive,
            assurance: wish.assurance.clone(),
            test: wish.test,
            previous: wish.previous,
            started: now,
        };
        self.store.save_pending(pending, PENDING_PER_BROWSER, now).await.map_err(|error| refused(error.into()))?;
        Ok(Begun { request_id, outgoing })
    }
}
