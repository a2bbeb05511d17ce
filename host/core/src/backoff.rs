//! How long to wait before the next try. Integer milliseconds, nothing observed
//! advances it, and the random number comes from outside.

use std::time::Duration;

/// An exponential delay with full jitter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    pub initial: Duration,
    pub factor: f64,
    pub cap: Duration,
}

/// The longest wait that anything may ask for: an hour.
pub const ASKED_MAX_MS: u64 = 3_600_000;

impl Backoff {
    /// The delay before try `n + 1`, where `n` counts tries that failed, from 1.
    ///
    /// `random` is uniform over all of `u64`. `asked_ms` is what the other side
    /// asked for; it applies when it is longer, clamped to [`ASKED_MAX_MS`].
    pub fn delay_ms(&self, n: u32, asked_ms: Option<u64>, random: u64) -> u64 {
        let ceiling = self.ceiling_ms(n);
        let jittered = scale(ceiling, random).max(1);
        jittered.max(asked_ms.unwrap_or(0).min(ASKED_MAX_MS))
    }

    /// `min(cap, initial × factor^(n-1))`, never less than a millisecond.
    pub fn ceiling_ms(&self, n: u32) -> u64 {
        let exponent = i32::try_from(n.saturating_sub(1)).unwrap_or(i32::MAX);
        let grown = self.initial.as_secs_f64() * self.factor.powi(exponent);
        // What no duration can hold is beyond any cap.
        let grown = Duration::try_from_secs_f64(grown).unwrap_or(Duration::MAX);
        millis(grown.min(self.cap)).max(1)
    }
}

/// A whole number of milliseconds; saturates.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// `random` scaled to `1..=ceiling`.
fn scale(ceiling: u64, random: u64) -> u64 {
    let wide = u128::from(random) * u128::from(ceiling);
    u64::try_from(wide >> 64)
        .unwrap_or(ceiling)
        .saturating_add(1)
        .min(ceiling)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Backoff = Backoff {
        initial: Duration::from_millis(200),
        factor: 2.0,
        cap: Duration::from_secs(300),
    };

    #[test]
    fn the_ceiling_doubles_up_to_the_cap() {
        let ceilings: Vec<u64> = [1, 2, 3, 11, 12, 4_000_000_000]
            .map(|n| POLICY.ceiling_ms(n))
            .into();
        assert_eq!(ceilings, [200, 400, 800, 204_800, 300_000, 300_000]);
    }

    #[test]
    fn jitter_is_full_and_in_milliseconds() {
        assert_eq!(POLICY.delay_ms(1, None, 0), 1);
        assert_eq!(POLICY.delay_ms(1, None, u64::MAX), 200);
        assert_eq!(POLICY.delay_ms(1, None, u64::MAX / 2), 100);
    }

    #[test]
    fn observing_a_delay_does_not_advance_it() {
        assert_eq!(POLICY.delay_ms(3, None, 77), POLICY.delay_ms(3, None, 77));
    }

    #[test]
    fn what_was_asked_for_applies_when_longer_and_is_clamped() {
        assert_eq!(POLICY.delay_ms(1, Some(5_000), 0), 5_000);
        assert_eq!(POLICY.delay_ms(4, Some(1), u64::MAX), 1_600);
        assert_eq!(POLICY.delay_ms(1, Some(u64::MAX), 0), ASKED_MAX_MS);
    }
}
