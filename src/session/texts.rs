//! The texts of a session that are rarely asked, in one piece: each on its own would cost more in bookkeeping than in letters.

use std::fmt;

use super::Origin;
use crate::clock::Timestamp;
use crate::saml::NameId;

/// Public id, IdP, issuer, the four parts of the NameID, SessionIndex, AuthnContextClassRef.
const PARTS: usize = 9;

/// Nine texts one after the other. An absent one is empty.
pub(super) struct Texts {
    text: Box<str>,
    ends: [u32; PARTS],
}

impl Texts {
    pub(super) fn new(sid: &str, origin: &Origin) -> Self {
        let optional = |text: &Option<String>| text.clone().unwrap_or_default();
        let name_id = &origin.name_id;
        let (format, qualifier, sp_qualifier) =
            (optional(&name_id.format), optional(&name_id.name_qualifier), optional(&name_id.sp_name_qualifier));
        let (session_index, acr) = (optional(&origin.session_index), optional(&origin.acr));
        let parts: [&str; PARTS] =
            [sid, &origin.idp, &origin.issuer, &name_id.value, &format, &qualifier, &sp_qualifier, &session_index, &acr];
        let mut end = 0;
        // A response has a quarter of a megabyte at most, so nothing here comes near 4 GiB.
        let ends = parts.map(|part| {
            end += part.len();
            u32::try_from(end).unwrap_or(u32::MAX)
        });
        Self { text: parts.concat().into(), ends }
    }

    /// Octets of all of them.
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    pub(super) fn sid(&self) -> &str {
        self.part(0)
    }

    pub(super) fn idp(&self) -> &str {
        self.part(1)
    }

    /// Issuer and NameID value.
    pub(super) fn subject(&self) -> (&str, &str) {
        (self.part(2), self.part(3))
    }

    /// AuthnContextClassRef.
    pub(super) fn acr(&self) -> Option<&str> {
        Some(self.part(8)).filter(|acr| !acr.is_empty())
    }

    /// All but the public id, with the times.
    pub(super) fn origin(
        &self,
        auth_time: Timestamp,
        reauthenticated: Option<Timestamp>,
        not_on_or_after: Option<Timestamp>,
    ) -> Origin {
        let optional = |at| Some(self.part(at)).filter(|part| !part.is_empty()).map(str::to_owned);
        Origin {
            idp: self.part(1).to_owned(),
            issuer: self.part(2).to_owned(),
            name_id: NameId {
                value: self.part(3).to_owned(),
                format: optional(4),
                name_qualifier: optional(5),
                sp_name_qualifier: optional(6),
            },
            session_index: optional(7),
            auth_time,
            reauthenticated,
            acr: optional(8),
            not_on_or_after,
        }
    }

    fn part(&self, at: usize) -> &str {
        let end = |at: usize| self.ends.get(at).map_or(0, |end| *end as usize);
        let start = at.checked_sub(1).map_or(0, end);
        self.text.get(start..end(at)).unwrap_or_default()
    }
}

impl fmt::Debug for Texts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Texts").field("sid", &self.sid()).field("idp", &self.idp()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_comes_back_as_it_was() {
        let some = |text: &str| Some(text.to_owned());
        let mut origin = Origin {
            idp: "corp".into(),
            issuer: "https://idp.example/ä".into(),
            name_id: NameId {
                value: "alice\u{1F600}".into(),
                format: some("urn:f"),
                name_qualifier: some("nq"),
                sp_name_qualifier: some("sp"),
            },
            session_index: some("_1"),
            auth_time: Timestamp::from_unix(5),
            reauthenticated: Some(Timestamp::from_unix(7)),
            acr: some("urn:acr"),
            not_on_or_after: Some(Timestamp::from_unix(9)),
        };
        let texts = Texts::new("sid1", &origin);
        assert_eq!(texts.origin(origin.auth_time, origin.reauthenticated, origin.not_on_or_after), origin);
        assert_eq!((texts.sid(), texts.idp()), ("sid1", "corp"));
        assert_eq!(texts.subject(), ("https://idp.example/ä", "alice\u{1F600}"));

        assert_eq!(texts.acr(), Some("urn:acr"));

        (origin.name_id.format, origin.name_id.sp_name_qualifier, origin.session_index) = (None, None, None);
        let texts = Texts::new("sid1", &origin);
        assert_eq!(texts.origin(origin.auth_time, origin.reauthenticated, origin.not_on_or_after), origin);
    }
}
