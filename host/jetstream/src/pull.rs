//! The pull engine under the log reader and the shared consumer.
//!
//! Deliveries are asked for only as far as the owner has credit, one request
//! at a time, each with heartbeats, so that silence means something is wrong.
//! The engine never decides what follows from an end: it reports why it ended,
//! and its owner begins a new [`session::Session`] when and how it sees fit.

mod delivery;
pub(crate) mod fetch;
mod headers;
pub(crate) mod metadata;
pub(crate) mod session;
mod status;

pub use delivery::{AckToken, Delivery, Origin};
pub use headers::{Entry, Headers};
pub use session::End;

use std::time::Duration;

/// Most events of one pull request; far below what a subscription buffers.
const BATCH_MAX: u64 = 16_384;
/// What a delivery weighs beside headers and payload: its subject and the
/// reply subject, which the server counts too (a protocol line has 4 KiB).
const LINE_BYTES: u64 = 8 << 10;

/// How long pulls last and how often the broker must say that it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Life of one pull request.
    pub expires: Duration,
    /// Heartbeats while nothing is delivered; at most half of `expires`.
    pub heartbeat: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            expires: Duration::from_secs(2),
            heartbeat: Duration::from_millis(500),
        }
    }
}

impl Pace {
    /// Silence of this length means that something is wrong.
    pub(crate) fn patience(&self) -> Duration {
        self.heartbeat * 3
    }

    pub(crate) fn assert_valid(&self) {
        assert!(
            self.heartbeat * 2 <= self.expires,
            "heartbeats at most half the expiry"
        );
        assert!(
            self.heartbeat >= Duration::from_millis(100),
            "heartbeats of 100 ms or more"
        );
    }
}

/// False for a subject that is not UTF-8: the client drops the connection that
/// it comes on, and the API shows it with U+FFFD in it, which nobody writes.
pub(crate) fn is_subject_text(subject: &str) -> bool {
    !subject.contains(char::REPLACEMENT_CHARACTER)
}

/// What the owner can take, not counting what it was handed already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Credit {
    events: u64,
    /// Below zero after one delivery that was larger than what was left.
    bytes: i64,
}

/// One pull request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) events: u64,
    pub(crate) bytes: u64,
}

impl Credit {
    pub(crate) fn grant(&mut self, events: u64, bytes: u64) {
        self.events = self.events.saturating_add(events);
        self.bytes = self
            .bytes
            .saturating_add(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    pub(crate) fn spend(&mut self, delivery: &Delivery) {
        self.events = self.events.saturating_sub(1);
        self.bytes = self
            .bytes
            .saturating_sub(i64::try_from(delivery.bytes()).unwrap_or(i64::MAX));
    }

    pub(crate) fn is_spent(&self) -> bool {
        self.events == 0 || self.bytes <= 0
    }

    /// The next request; None without credit. Its bytes are never below
    /// `floor`, the largest possible delivery: the broker ends a smaller
    /// request without delivering anything, for ever. So one request can
    /// overdraw the bytes, by less than `floor`.
    pub(crate) fn ask(&self, floor: u64) -> Option<Ask> {
        if self.is_spent() {
            return None;
        }
        let bytes = u64::try_from(self.bytes).unwrap_or(0).max(floor);
        Some(Ask {
            events: self.events.min(BATCH_MAX),
            bytes,
        })
    }
}

/// The largest delivery that a stream can make, in bytes as a pull counts
/// them. `max_msg_size` is the stream's, if it has one.
pub(crate) fn largest_delivery(max_payload: u64, max_msg_size: Option<u64>) -> u64 {
    max_payload.max(max_msg_size.unwrap_or(0)) + LINE_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interleaving_38_a_pull_is_never_smaller_than_one_message() {
        let floor = largest_delivery(1 << 20, Some(4 << 20));
        assert!(floor > 4 << 20);
        let mut credit = Credit::default();
        credit.grant(10, 1);
        assert_eq!(
            credit.ask(floor),
            Some(Ask {
                events: 10,
                bytes: floor
            })
        );
        credit.grant(0, 64 << 20);
        assert_eq!(
            credit.ask(floor),
            Some(Ask {
                events: 10,
                bytes: (64 << 20) + 1
            })
        );
    }

    #[test]
    fn without_credit_for_events_or_bytes_nothing_is_asked_for() {
        let mut credit = Credit::default();
        assert_eq!(credit.ask(1), None);
        credit.grant(5, 0);
        assert_eq!(credit.ask(1), None);
        credit.grant(u64::MAX, u64::MAX);
        assert_eq!(
            credit.ask(1),
            Some(Ask {
                events: BATCH_MAX,
                bytes: i64::MAX as u64
            })
        );
    }
}
