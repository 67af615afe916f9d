//! Points in time in a message, measured by our clock with some tolerance.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::saml::error::{SamlError, cut};
use crate::saml::xml::Element;

/// Our clock, how far the IdP's may be off, and how old a message may be.
pub(in crate::saml) struct Moment {
    /// Now.
    pub(in crate::saml) now: Timestamp,
    /// How far the IdP's clock may be off.
    pub(in crate::saml) skew: Duration,
    /// Oldest IssueInstant.
    pub(in crate::saml) max_age: Duration,
}

impl Moment {
    /// Refuses what is only valid later.
    pub(super) fn begun(&self, what: &'static str, at: Timestamp) -> Result<(), SamlError> {
        if at > self.now.plus(self.skew) {
            return Err(SamlError::NotYetValid { what, at: at.to_string(), now: self.now.to_string() });
        }
        Ok(())
    }

    /// Refuses what has ended: NotOnOrAfter is the first instant at which it is over.
    pub(in crate::saml) fn not_ended(&self, what: &'static str, at: Timestamp) -> Result<(), SamlError> {
        if self.now >= at.plus(self.skew) {
            return Err(SamlError::Expired { what, at: at.to_string(), now: self.now.to_string() });
        }
        Ok(())
    }

    /// Refuses what was issued in the future or too long ago.
    pub(in crate::saml) fn recent(&self, what: &'static str, at: Timestamp) -> Result<(), SamlError> {
        self.begun(what, at)?;
        if self.now >= at.plus(self.max_age).plus(self.skew) {
            return Err(SamlError::TooOld { what, at: at.to_string() });
        }
        Ok(())
    }
}

/// An xs:dateTime attribute with a time zone (Core 1.3.3).
///
/// # Errors
/// `WrongDocument`.
pub(in crate::saml) fn instant(element: Element<'_>, name: &str) -> Result<Option<Timestamp>, SamlError> {
    let Some(text) = element.attribute(name) else { return Ok(None) };
    match Timestamp::parse_rfc3339(text) {
        Some(at) => Ok(Some(at)),
        None => Err(SamlError::WrongDocument { expected: "a time like 2026-03-01T12:00:00Z", got: cut(text) }),
    }
}

/// An xs:dateTime attribute that must be there.
///
/// # Errors
/// `WrongDocument`.
pub(in crate::saml) fn required_instant(element: Element<'_>, name: &'static str) -> Result<Timestamp, SamlError> {
    instant(element, name)?.ok_or(SamlError::WrongDocument { expected: name, got: String::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn moment(now: i64) -> Moment {
        Moment { now: Timestamp::from_unix(now), skew: MINUTE, max_age: 5 * MINUTE }
    }

    #[test]
    fn begins_and_ends_with_the_skew_and_not_a_moment_later() {
        let at = Timestamp::from_unix(10_000);
        assert!(moment(10_000 - 60).begun("x", at).is_ok());
        assert_eq!(moment(10_000 - 61).begun("x", at).unwrap_err().code(), "not_yet_valid");
        assert!(moment(10_000 + 59).not_ended("x", at).is_ok());
        assert_eq!(moment(10_000 + 60).not_ended("x", at).unwrap_err().code(), "expired");
        assert!(moment(10_000 + 359).recent("x", at).is_ok());
        assert_eq!(moment(10_000 + 360).recent("x", at).unwrap_err().code(), "too_old");
        assert_eq!(moment(10_000 - 61).recent("x", at).unwrap_err().code(), "not_yet_valid");
    }

    #[test]
    fn the_ends_of_time_do_not_overflow() {
        let end = Timestamp::from_millis(i64::MAX);
        let moment = Moment { now: end, skew: Duration::MAX, max_age: Duration::MAX };
        assert!(moment.begun("x", end).is_ok());
        assert_eq!(moment.not_ended("x", end).unwrap_err().code(), "expired");
        assert_eq!(moment.recent("x", end).unwrap_err().code(), "too_old");
    }
}
