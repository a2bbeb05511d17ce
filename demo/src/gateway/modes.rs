//! How a gateway misbehaves, and what that means for one request.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::draw;

/// Switchable while the gateway runs; everything at its default is a gateway
/// in good health. Rates are shares from 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Modes {
    /// Time that a request takes, drawn evenly between the two.
    pub latency_min_ms: u64,
    pub latency_max_ms: u64,
    /// Requests answered with 503 and without effect.
    pub error_rate: f64,
    /// Orders whose charge the bank declines; the same orders in every run.
    pub decline_rate: f64,
    /// Requests whose effect is made and whose connection is then cut.
    pub cut_after_rate: f64,
    /// Requests are taken and not answered until this is switched off; then
    /// their connections are cut.
    pub hang: bool,
    /// An answer's body comes in pieces, spread over this time.
    pub slow_body_ms: u64,
    /// Refuse connections for this long from now, then open again.
    pub down_ms: u64,
}

impl Default for Modes {
    fn default() -> Self {
        Self {
            latency_min_ms: 0,
            latency_max_ms: 0,
            error_rate: 0.0,
            decline_rate: 0.0,
            cut_after_rate: 0.0,
            hang: false,
            slow_body_ms: 0,
            down_ms: 0,
        }
    }
}

/// What happens to one request besides its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Answered,
    /// 503 instead of the work.
    Refused,
    /// The work, and no answer.
    Cut,
}

impl Modes {
    /// # Errors
    /// The first setting that cannot be meant, with its reason.
    pub fn check(&self) -> Result<(), String> {
        let rates = [
            ("error_rate", self.error_rate),
            ("decline_rate", self.decline_rate),
            ("cut_after_rate", self.cut_after_rate),
        ];
        if let Some((name, rate)) = rates.iter().find(|(_, rate)| !(0.0..=1.0).contains(rate)) {
            return Err(format!("{name} is {rate}; a share from 0 to 1 is expected"));
        }
        if self.latency_min_ms > self.latency_max_ms {
            return Err(format!(
                "latency_min_ms is {} and latency_max_ms {}; the least must not exceed the most",
                self.latency_min_ms, self.latency_max_ms
            ));
        }
        Ok(())
    }

    /// How long the `nth` request under a name takes.
    pub fn latency(&self, seed: u64, name: &str, nth: u32) -> Duration {
        let words = ["latency", name, &nth.to_string()];
        Duration::from_millis(draw::between(
            seed,
            &words,
            self.latency_min_ms,
            self.latency_max_ms,
        ))
    }

    /// What becomes of the `nth` request under a name. A retry draws anew.
    pub fn fate(&self, seed: u64, name: &str, nth: u32) -> Fate {
        let nth = nth.to_string();
        if draw::share(seed, &["error", name, &nth]) < self.error_rate {
            Fate::Refused
        } else if draw::share(seed, &["cut", name, &nth]) < self.cut_after_rate {
            Fate::Cut
        } else {
            Fate::Answered
        }
    }

    /// Whether the bank declines this order, and why.
    pub fn declined(&self, seed: u64, order: &str) -> Option<&'static str> {
        (draw::share(seed, &["decline", order]) < self.decline_rate).then_some("card-declined")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_orders_are_declined_in_every_run() {
        let modes = Modes {
            decline_rate: 0.1,
            ..Modes::default()
        };
        let declined = |seed| {
            let orders = (0..2_000).map(|n| format!("ORD-{n}"));
            orders
                .filter(|order| modes.declined(seed, order).is_some())
                .collect::<Vec<_>>()
        };
        assert_eq!(declined(7), declined(7));
        assert_ne!(declined(7), declined(8));
        assert!(
            (150..250).contains(&declined(7).len()),
            "{} of 2,000",
            declined(7).len()
        );
    }

    #[test]
    fn a_retry_does_not_meet_the_same_fate_for_ever() {
        let modes = Modes {
            cut_after_rate: 0.5,
            ..Modes::default()
        };
        let fates: Vec<Fate> = (0..20).map(|nth| modes.fate(1, "key", nth)).collect();
        assert!(fates.contains(&Fate::Cut) && fates.contains(&Fate::Answered));
    }

    #[test]
    fn settings_that_cannot_be_meant_are_refused() {
        let bad = [
            Modes {
                error_rate: 1.5,
                ..Modes::default()
            },
            Modes {
                decline_rate: -0.1,
                ..Modes::default()
            },
            Modes {
                cut_after_rate: f64::NAN,
                ..Modes::default()
            },
            Modes {
                latency_min_ms: 2,
                latency_max_ms: 1,
                ..Modes::default()
            },
        ];
        for modes in bad {
            assert!(modes.check().is_err(), "{modes:?}");
        }
        assert_eq!(Modes::default().check(), Ok(()));
    }
}
