//! One message per partition: how far it is settled, who owns it, since when.
//!
//! The lease is for thrift, the record is the fence: two owners at work cost
//! attempts, never order or effects.

use prost::Message;

use sha2::{Digest, Sha256};

use crate::event::Position;
use crate::manifest::Subscription;

/// The format that this version writes.
pub const FORMAT: u8 = 1;

/// Position, lease and epoch of one (lineage, partition).
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Checkpoint {
    #[prost(string, tag = "1")]
    pub stream: String,
    #[prost(uint64, tag = "2")]
    pub created_ns: u64,
    /// Every event at or below it is settled.
    #[prost(uint64, tag = "3")]
    pub watermark: u64,
    /// When the broker stored that event; 0 when it was never read.
    #[prost(uint64, tag = "4")]
    pub watermark_stored_ns: u64,
    /// No event above it has reached a lane in this or any earlier epoch.
    #[prost(uint64, tag = "5")]
    pub high: u64,
    /// Hash of subjects and key rule: hosts of another one may not own.
    #[prost(bytes = "vec", tag = "6")]
    pub generation: Vec<u8>,
    /// The host that wrote it.
    #[prost(string, tag = "7")]
    pub owner: String,
    /// One more at every takeover.
    #[prost(uint64, tag = "8")]
    pub epoch: u64,
    /// The owner has let go: anyone may take over at once.
    #[prost(bool, tag = "9")]
    pub released: bool,
    /// By the writer's clock; for people, never compared.
    #[prost(uint64, tag = "10")]
    pub written_ms: u64,
}

/// Why bytes are not a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the checkpoint is empty")]
    Empty,
    #[error("checkpoint format {found} is unknown to this version, which writes {FORMAT}")]
    Format { found: u8 },
    #[error("the checkpoint does not parse: {reason}")]
    Malformed { reason: String },
}

/// What a host that does not own the partition may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// Take over now.
    Take,
    /// Look again after this many milliseconds.
    Wait { ms: u64 },
    /// The checkpoint is of another subscription generation.
    OtherGeneration,
}

/// What an owner may do, by the time since its last successful renewal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tenure {
    Holds,
    /// Past two thirds of the lease: start nothing, acknowledge nothing.
    Doubtful,
}

/// Reads a checkpoint.
///
/// # Errors
/// See [`Error`].
pub fn decode(bytes: &[u8]) -> Result<Checkpoint, Error> {
    let (format, body) = bytes.split_first().ok_or(Error::Empty)?;
    if *format != FORMAT {
        return Err(Error::Format { found: *format });
    }
    Checkpoint::decode(body).map_err(|e| Error::Malformed {
        reason: e.to_string(),
    })
}

pub fn encode(checkpoint: &Checkpoint) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + checkpoint.encoded_len());
    bytes.push(FORMAT);
    checkpoint.encode_raw(&mut bytes);
    bytes
}

/// May this host take over? `unchanged_ms` is how long it has seen the same
/// revision, by its own monotonic clock; no two clocks are compared.
pub fn claim(seen: &Checkpoint, generation: &[u8], unchanged_ms: u64, lease_ms: u64) -> Claim {
    if seen.generation != generation {
        return Claim::OtherGeneration;
    }
    if seen.released || unchanged_ms >= lease_ms {
        return Claim::Take;
    }
    Claim::Wait {
        ms: lease_ms - unchanged_ms,
    }
}

/// What a subscription generation is known by: the subjects and the key rules,
/// in order. Types are left out: an event whose type is not listed is settled
/// all the same.
pub fn generation(on: &[Subscription]) -> Vec<u8> {
    let mut hasher = Sha256::new();
    let mut part = |text: &str| {
        hasher.update((text.len() as u64).to_be_bytes());
        hasher.update(text);
    };
    for subscription in on {
        part("on");
        subscription
            .subjects
            .iter()
            .for_each(|subject| part(&subject.to_string()));
        part("key");
        part(
            &subscription
                .key
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
        );
    }
    hasher.finalize()[..16].to_vec()
}

pub fn tenure(since_renewal_ms: u64, lease_ms: u64) -> Tenure {
    if since_renewal_ms.saturating_mul(3) < lease_ms.saturating_mul(2) {
        Tenure::Holds
    } else {
        Tenure::Doubtful
    }
}

impl Checkpoint {
    pub fn watermark(&self) -> Position {
        Position {
            sequence: self.watermark,
            stored_ns: self.watermark_stored_ns,
        }
    }

    /// The same, owned by `owner` in the next epoch.
    #[must_use]
    pub fn taken(&self, owner: &str, now_ms: u64) -> Self {
        let owner = owner.to_owned();
        Self {
            owner,
            epoch: self.epoch + 1,
            released: false,
            written_ms: now_ms,
            ..self.clone()
        }
    }

    /// The same, further on.
    #[must_use]
    pub fn advanced(&self, watermark: Position, high: u64, now_ms: u64) -> Self {
        let (sequence, stored_ns) = (watermark.sequence, watermark.stored_ns);
        Self {
            watermark: sequence,
            watermark_stored_ns: stored_ns,
            high: high.max(sequence),
            written_ms: now_ms,
            ..self.clone()
        }
    }

    /// The same, let go. Everything that began has ended, so `high` falls back
    /// to what really began.
    #[must_use]
    pub fn released(&self, watermark: Position, begun: u64, now_ms: u64) -> Self {
        let high = begun.max(watermark.sequence);
        Self {
            released: true,
            high,
            ..self.advanced(watermark, high, now_ms)
        }
    }

    /// Whether no try of this event can have begun in an earlier epoch.
    pub fn is_first_seen(&self, sequence: u64) -> bool {
        sequence > self.high
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen() -> Checkpoint {
        Checkpoint {
            generation: vec![1],
            epoch: 4,
            watermark: 10,
            high: 1010,
            ..Checkpoint::default()
        }
    }

    #[test]
    fn what_is_written_is_read_and_other_formats_are_refused() {
        assert_eq!(decode(&encode(&seen())), Ok(seen()));
        assert_eq!(decode(&[7, 1, 2]), Err(Error::Format { found: 7 }));
        assert_eq!(decode(&[]), Err(Error::Empty));
    }

    #[test]
    fn a_lease_is_taken_when_released_or_when_it_stood_still_for_its_time() {
        assert_eq!(claim(&seen(), &[1], 9_999, 10_000), Claim::Wait { ms: 1 });
        assert_eq!(claim(&seen(), &[1], 10_000, 10_000), Claim::Take);
        let released = Checkpoint {
            released: true,
            ..seen()
        };
        assert_eq!(claim(&released, &[1], 0, 10_000), Claim::Take);
    }

    #[test]
    fn interleaving_31_a_host_of_another_generation_may_not_own() {
        let released = Checkpoint {
            released: true,
            ..seen()
        };
        assert_eq!(
            claim(&released, &[2], 99_999, 10_000),
            Claim::OtherGeneration
        );
    }

    #[test]
    fn an_owner_starts_nothing_past_two_thirds_of_its_lease() {
        assert_eq!(tenure(6_666, 10_000), Tenure::Holds);
        assert_eq!(tenure(6_667, 10_000), Tenure::Doubtful);
    }

    #[test]
    fn an_event_above_high_is_certainly_seen_for_the_first_time() {
        assert!(seen().is_first_seen(1011));
        assert!(!seen().is_first_seen(1010));
        let released = seen().released(
            Position {
                sequence: 50,
                stored_ns: 5,
            },
            40,
            1,
        );
        assert_eq!(
            (released.high, released.watermark, released.released),
            (50, 50, true)
        );
    }

    #[test]
    fn a_takeover_begins_a_new_epoch_at_the_same_place() {
        let taken = Checkpoint {
            released: true,
            ..seen()
        }
        .taken("h2", 9);
        assert_eq!(
            (taken.epoch, taken.watermark, taken.high, taken.released),
            (5, 10, 1010, false)
        );
    }
}
