//! When metadata is looked at again.

use std::time::Duration;

use crate::token::Entropy;

/// Never more often than this, whatever a document says of caching.
const SHORTEST: Duration = Duration::from_secs(60);
/// The first pause after a failure; it doubles from then on.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
/// The longest pause after failures.
const LONGEST_PAUSE: Duration = Duration::from_secs(10 * 60);
/// The longest pause while there is nothing to believe at all.
const LONGEST_PAUSE_WITHOUT: Duration = Duration::from_secs(60);

/// After a document was read: `refresh`, or less when the document may be kept for less (cacheDuration), or ends sooner: then after
/// three quarters of the time that it has left, so that there is time for more than one try. Up to a fifth less, by chance, so
/// that many instances don't come at once.
pub(super) fn after_success(
    refresh: Duration,
    cache_duration: Option<Duration>,
    ends_in: Option<Duration>,
    entropy: &dyn Entropy,
) -> Duration {
    let before_end = ends_in.map(|left| left / 4 * 3);
    let wait = [Some(refresh), cache_duration, before_end].into_iter().flatten().min().unwrap_or(refresh);
    let wait = wait.max(SHORTEST);
    wait - by_chance(wait / 5, entropy)
}

/// After so many failures in a row, at least one; `believed`: an older document still holds. Between half and all of the pause, by
/// chance.
pub(super) fn after_failure(failures: u32, refresh: Duration, believed: bool, entropy: &dyn Entropy) -> Duration {
    let longest = if believed { LONGEST_PAUSE.min(refresh.max(FIRST_PAUSE)) } else { LONGEST_PAUSE_WITHOUT };
    let doubled = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16));
    let pause = doubled.min(longest);
    pause - by_chance(pause / 2, entropy)
}

/// Something between nothing and `most`.
fn by_chance(most: Duration, entropy: &dyn Entropy) -> Duration {
    let mut octets = [0; 2];
    entropy.fill(&mut octets);
    (most / 0x1_0000).saturating_mul(u32::from(u16::from_le_bytes(octets)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Always the same octet.
    struct Fixed(u8);

    impl Entropy for Fixed {
        fn fill(&self, octets: &mut [u8]) {
            octets.fill(self.0);
        }
    }

    const HOUR: Duration = Duration::from_secs(3600);
    const fn minutes(minutes: u64) -> Duration {
        Duration::from_secs(60 * minutes)
    }

    #[test]
    fn a_document_can_only_shorten_the_wait() {
        let wait = |cache, ends| after_success(HOUR, cache, ends, &Fixed(0));
        assert_eq!(wait(None, None), HOUR);
        assert_eq!(wait(Some(minutes(20)), None), minutes(20));
        assert_eq!(wait(Some(HOUR * 24), Some(HOUR * 48)), HOUR);
        assert_eq!(wait(Some(HOUR), Some(minutes(40))), minutes(30));
        // A document that may not be kept at all doesn't make us ask all the time.
        assert_eq!(wait(Some(Duration::ZERO), None), minutes(1));
        assert_eq!(wait(Some(Duration::MAX), Some(Duration::MAX)), HOUR);
    }

    #[test]
    fn chance_takes_up_to_a_fifth() {
        let wait = after_success(HOUR, None, None, &Fixed(0xff));
        assert!(wait >= minutes(48) && wait < minutes(49), "{wait:?}");
        let wait = after_success(HOUR, None, None, &Fixed(0x80));
        assert!(wait > minutes(53) && wait < minutes(55), "{wait:?}");
    }

    #[test]
    fn pauses_double_up_to_a_limit() {
        let pause = |failures, believed| after_failure(failures, HOUR, believed, &Fixed(0)).as_secs();
        let seconds: Vec<u64> = (1..=9).map(|failures| pause(failures, true)).collect();
        assert_eq!(seconds, [10, 20, 40, 80, 160, 320, 600, 600, 600]);
        assert_eq!(pause(u32::MAX, true), 600);
        assert_eq!(pause(9, false), 60);
        // Never longer than what the operator asked for.
        assert_eq!(after_failure(9, minutes(2), true, &Fixed(0)), minutes(2));
        assert!(after_failure(1, HOUR, false, &Fixed(0xff)) > Duration::from_secs(5));
    }
}
