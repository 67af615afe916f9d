//! How long metadata holds: validUntil and cacheDuration (Metadata 2.2.1 and 4.3.1).

use std::time::Duration;

use super::entities::Element;
use super::error::{MetadataError, shown};
use crate::clock::Timestamp;

const DAY: u64 = 24 * 60 * 60;

/// What one element says of its own validity, unread.
#[derive(Clone, Debug)]
pub(super) struct Validity {
    element: &'static str,
    valid_until: Option<String>,
    cache_duration: Option<String>,
}

impl Validity {
    pub(super) fn of(element: &Element, name: &'static str) -> Self {
        let attribute = |name| element.attribute(name).map(str::to_owned);
        Self { element: name, valid_until: attribute("validUntil"), cache_duration: attribute("cacheDuration") }
    }

    /// Until when this element holds; an error when that is past. Without a time zone it is read as UTC (Core 1.3.3).
    pub(super) fn until(&self, now: Timestamp) -> Result<Option<Timestamp>, MetadataError> {
        let Some(text) = &self.valid_until else { return Ok(None) };
        let until = Timestamp::parse_rfc3339(text)
            .or_else(|| Timestamp::parse_rfc3339(&format!("{text}Z")))
            .ok_or_else(|| MetadataError::ValidUntil { element: self.element, got: shown(text) })?;
        if now < until { Ok(Some(until)) } else { Err(MetadataError::Expired { element: self.element, at: until.to_string() }) }
    }

    /// How long a copy may be kept. What can't be read is said to `warn` and changes nothing.
    pub(super) fn cache(&self, mut warn: impl FnMut(String)) -> Option<Duration> {
        let text = self.cache_duration.as_deref()?;
        let read = duration(text);
        if read.is_none() {
            warn(format!("cacheDuration of {} is not a duration and is ignored: {}", self.element, shown(text)));
        }
        read
    }
}

/// Reads an xs:duration that isn't negative; a year is 365 days and a month 30, fractions of a second are dropped.
fn duration(text: &str) -> Option<Duration> {
    let text = text.strip_prefix('P')?;
    let (date, clock) = match text.split_once('T') {
        Some((_, "")) => return None,
        Some((date, clock)) => (date, clock),
        None => (text, ""),
    };
    if date.is_empty() && clock.is_empty() {
        return None;
    }
    let days = sum(date, &[('Y', 365 * DAY), ('M', 30 * DAY), ('D', DAY)])?;
    let seconds = sum(clock, &[('H', 60 * 60), ('M', 60), ('S', 1)])?;
    Some(Duration::from_secs(days.saturating_add(seconds)))
}

/// Adds up numbers, each followed by a unit; the units must come in the given order.
fn sum(mut text: &str, units: &[(char, u64)]) -> Option<u64> {
    let mut total: u64 = 0;
    for (unit, seconds) in units {
        if let Some((number, rest)) = text.split_once(*unit) {
            let whole = match number.split_once('.') {
                Some((whole, fraction)) if *unit == 'S' && fraction.bytes().all(|b| b.is_ascii_digit()) => whole,
                _ => number,
            };
            if whole.is_empty() || !whole.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            total = total.saturating_add(whole.parse().unwrap_or(u64::MAX).saturating_mul(*seconds));
            text = rest;
        }
    }
    text.is_empty().then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_xml_schema() {
        for (text, seconds) in [
            ("PT1H", 3600),
            ("PT6H0M0.000S", 6 * 3600),
            ("P1D", DAY),
            ("P1Y2M3DT4H5M6S", 365 * DAY + 60 * DAY + 3 * DAY + 4 * 3600 + 5 * 60 + 6),
            ("P0Y0M0DT6H0M0.000S", 6 * 3600),
            ("PT99999999999999999999S", u64::MAX),
        ] {
            assert_eq!(duration(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for bad in ["", "P", "PT", "3600", "-PT1H", "PT1", "P1H", "PT1S1H", "PTS", "PT1.5H", "P1DT"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }
}
