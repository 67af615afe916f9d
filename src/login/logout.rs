//! The end of a session that its user wants.

use super::Login;
use crate::store::StoreError;
use crate::token::HashedToken;

/// What a logout led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoggedOut {
    /// There was no session to end.
    NoSession,
    /// The session has ended here. The IdP was not told.
    Here {
        /// The session's public id.
        sid: String,
        /// Whose it was.
        user: String,
        /// The IdP's short name.
        idp: String,
    },
}

impl Login {
    /// Ends the session under a key.
    ///
    /// # Errors
    /// When the store is away: then the session may still live, and the user must be told.
    pub async fn logout(&self, key: &HashedToken) -> Result<LoggedOut, StoreError> {
        let session = self.store.session(key)?;
        let ended = self.store.end_session(key).await?;
        Ok(match session.filter(|_| ended) {
            Some(session) => LoggedOut::Here {
                sid: session.sid().to_owned(),
                user: session.identity().user().to_owned(),
                idp: session.idp().to_owned(),
            },
            None => LoggedOut::NoSession,
        })
    }
}
