//! One message per partition: how far it is settled, who owns it, since when.
//!
//! The lease is for thrift, the record is the fence: two owners at work cost
//! attempts, never order or effects.

use data_encoding::HEXLOWER;
use prost::Message;
use sha2::{Digest, Sha256};

use crate::event::Position;
use crate::manifest::Subscription;
use crate::ownership::Turn;
use crate::pattern::{KeyRule, Pattern};

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
    /// For whom the owner has let go. Others leave it alone for a lease.
    #[prost(string, tag = "11")]
    pub successor: String,
    /// The subscriptions behind `generation`; empty without order.
    #[prost(message, repeated, tag = "12")]
    pub on: Vec<Reads>,
    /// They count behind this sequence: what lies there or before it was settled
    /// by an earlier generation, or lay before the handler's first event.
    #[prost(uint64, tag = "13")]
    pub counts_behind: u64,
    /// The newest revision of a deployment that it was owned for under `generation`;
    /// 0 at first.
    #[prost(uint64, tag = "14")]
    pub revision: u64,
}

/// One `[[on]]` in the texts of its manifest, without its types.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Reads {
    #[prost(string, repeated, tag = "1")]
    pub subjects: Vec<String>,
    /// None: no entity.
    #[prost(string, optional, tag = "2")]
    pub key: Option<String>,
}

/// A host that would own a partition.
#[derive(Debug, Clone, Copy)]
pub struct Claimant<'a> {
    pub host: &'a str,
    /// Of its version.
    pub generation: &'a [u8],
    /// Revision of the deployment whose version in use it runs. None: it runs
    /// another one, and turns nothing.
    pub revision: Option<u64>,
    pub turn: Turn,
    /// Whether the host that the checkpoint is released for lives and can run it.
    pub successor_lives: bool,
}

/// How much later the next in rank may take what nobody holds.
pub const TURN_MS: u64 = 500;

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
    /// The checkpoint is of another subscription generation, and this host may
    /// not turn it.
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
///
/// A released partition is free at once, another when it stood still for the
/// lease; one that this very process holds and does not work is its own. Then
/// hosts take turns, so that the preferred one gets it; after one more lease
/// anyone may. One of another generation is for hosts that may turn it, whose
/// deployment is newer than what turned it last.
pub fn claim(
    seen: &Checkpoint,
    claimant: &Claimant<'_>,
    unchanged_ms: u64,
    lease_ms: u64,
) -> Claim {
    if seen.generation != claimant.generation && !seen.may_turn(claimant.revision) {
        return Claim::OtherGeneration;
    }
    let own = !seen.released && seen.owner == claimant.host;
    let held_ms = if seen.released || own { 0 } else { lease_ms };
    let for_me = seen.released && seen.successor == claimant.host;
    let for_another = seen.released && claimant.successor_lives && !for_me;
    let turn_ms = match claimant.turn {
        Turn::Rank(_) | Turn::Last if own || for_me => 0,
        Turn::Rank(_) | Turn::Last if for_another => lease_ms,
        Turn::Rank(rank) => lease_ms.min(u64::from(rank) * TURN_MS),
        Turn::Last => lease_ms,
    };
    match (held_ms + turn_ms).checked_sub(unchanged_ms) {
        None | Some(0) => Claim::Take,
        Some(ms) => Claim::Wait { ms },
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

/// What a checkpoint says of subscriptions.
pub fn reads(on: &[Subscription]) -> Vec<Reads> {
    let text = |on: &Subscription| Reads {
        subjects: on.subjects.iter().map(ToString::to_string).collect(),
        key: on.key.as_ref().map(ToString::to_string),
    };
    on.iter().map(text).collect()
}

/// The same for people and reports: hexadecimal digits.
pub fn generation_text(on: &[Subscription]) -> String {
    HEXLOWER.encode(&generation(on))
}

pub fn tenure(since_renewal_ms: u64, lease_ms: u64) -> Tenure {
    if since_renewal_ms.saturating_mul(3) < lease_ms.saturating_mul(2) {
        Tenure::Holds
    } else {
        Tenure::Doubtful
    }
}

impl Checkpoint {
    /// What it is of, to be read to the end by it; types are not kept.
    ///
    /// # Errors
    /// [`Error::Malformed`]: a text is no pattern, or no key rule.
    pub fn subscriptions(&self) -> Result<Vec<Subscription>, Error> {
        let malformed = |reason: String| Error::Malformed { reason };
        let parsed = |reads: &Reads| {
            let patterns = reads.subjects.iter().map(|text| Pattern::parse(text));
            let key = reads.key.as_deref().map(KeyRule::parse).transpose();
            Ok(Subscription {
                subjects: patterns
                    .collect::<Result<_, _>>()
                    .map_err(|e| malformed(e.to_string()))?,
                key: key.map_err(|e| malformed(e.to_string()))?,
                types: None,
            })
        };
        self.on.iter().map(parsed).collect()
    }

    /// Whether a host may settle what this generation began, and turn it to its
    /// own. One that has not heard of the deployment that turned it last may not.
    pub fn may_turn(&self, revision: Option<u64>) -> bool {
        !self.on.is_empty() && revision.is_some_and(|revision| revision > self.revision)
    }

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
            successor: String::new(),
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

    /// The same, let go, for `successor` if it names one. Everything that began
    /// has ended, so `high` falls back to what really began.
    #[must_use]
    pub fn released(
        &self,
        watermark: Position,
        begun: u64,
        successor: Option<&str>,
        now_ms: u64,
    ) -> Self {
        let high = begun.max(watermark.sequence);
        Self {
            released: true,
            successor: successor.unwrap_or_default().to_owned(),
            high,
            ..self.advanced(watermark, high, now_ms)
        }
    }

    /// The same, of other subscriptions, which count behind `at`: everything that
    /// was begun is settled.
    #[must_use]
    pub fn turned(&self, on: &[Subscription], at: Position, revision: u64) -> Self {
        Self {
            generation: generation(on),
            on: reads(on),
            watermark: at.sequence,
            watermark_stored_ns: at.stored_ns,
            high: self.high.max(at.sequence),
            counts_behind: at.sequence,
            revision,
            ..self.clone()
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

    fn claimant(turn: Turn) -> Claimant<'static> {
        Claimant {
            host: "h2",
            generation: &[1],
            revision: Some(7),
            turn,
            successor_lives: true,
        }
    }

    /// Where the checkpoint is released for nobody, or for one that is gone.
    fn nobody_named(turn: Turn) -> Claimant<'static> {
        Claimant {
            successor_lives: false,
            ..claimant(turn)
        }
    }

    #[test]
    fn a_process_retakes_what_it_holds_and_does_not_work() {
        let own = Checkpoint {
            owner: "h2".to_owned(),
            ..seen()
        };
        let claimed = claim(&own, &claimant(Turn::Last), 0, 10_000);
        assert_eq!(claimed, Claim::Take);
    }

    #[test]
    fn a_lease_is_taken_when_released_or_when_it_stood_still_for_its_time() {
        let first = nobody_named(Turn::Rank(0));
        assert_eq!(claim(&seen(), &first, 9_999, 10_000), Claim::Wait { ms: 1 });
        assert_eq!(claim(&seen(), &first, 10_000, 10_000), Claim::Take);
        assert_eq!(claim(&released_for(""), &first, 0, 10_000), Claim::Take);
    }

    #[test]
    fn what_is_free_is_taken_in_turns_and_by_anyone_after_a_lease() {
        let wait = |ms| Claim::Wait { ms };
        let (free, taken) = (released_for(""), seen());
        let cases = [
            (&free, nobody_named(Turn::Rank(1)), 0, wait(TURN_MS)),
            (&free, nobody_named(Turn::Rank(1)), TURN_MS, Claim::Take),
            (&free, nobody_named(Turn::Rank(99)), 9_999, wait(1)),
            (&free, nobody_named(Turn::Last), 9_999, wait(1)),
            (&free, nobody_named(Turn::Last), 10_000, Claim::Take),
            (&released_for("h2"), claimant(Turn::Last), 0, Claim::Take),
            (&released_for("h3"), claimant(Turn::Rank(0)), 9_999, wait(1)),
            (
                &released_for("h3"),
                claimant(Turn::Rank(0)),
                10_000,
                Claim::Take,
            ),
            (
                &released_for("h3"),
                nobody_named(Turn::Rank(0)),
                0,
                Claim::Take,
            ),
            (
                &taken,
                nobody_named(Turn::Rank(2)),
                10_000,
                wait(2 * TURN_MS),
            ),
            (&taken, nobody_named(Turn::Last), 19_999, wait(1)),
            (&taken, nobody_named(Turn::Last), 20_000, Claim::Take),
        ];
        for (at, (checkpoint, claimant, unchanged_ms, expected)) in cases.into_iter().enumerate() {
            let claimed = claim(checkpoint, &claimant, unchanged_ms, 10_000);
            assert_eq!(claimed, expected, "case {at}");
        }
    }

    #[test]
    fn a_takeover_forgets_for_whom_it_was() {
        let taken = released_for("h3").taken("h2", 9);
        assert_eq!((taken.successor.as_str(), taken.released), ("", false));
    }

    fn released_for(successor: &str) -> Checkpoint {
        Checkpoint {
            released: true,
            successor: successor.to_owned(),
            ..seen()
        }
    }

    fn on(subjects: &[&str], key: &str) -> Subscription {
        Subscription {
            subjects: subjects
                .iter()
                .map(|text| Pattern::parse(text).expect("a pattern"))
                .collect(),
            key: Some(KeyRule::parse(key).expect("a key rule")),
            types: None,
        }
    }

    #[test]
    fn interleaving_31_only_a_host_of_a_newer_deployment_takes_another_generation() {
        let seen = Checkpoint {
            on: reads(&[on(&["shop.{id}"], "{id}")]),
            revision: 7,
            ..released_for("")
        };
        let unknown = Checkpoint {
            on: Vec::new(),
            ..seen.clone()
        };
        let cases = [
            (&seen, None, Claim::OtherGeneration),
            (&seen, Some(6), Claim::OtherGeneration),
            (&seen, Some(7), Claim::OtherGeneration),
            (&seen, Some(8), Claim::Take),
            // What it has begun could not be read to its end.
            (&unknown, Some(8), Claim::OtherGeneration),
        ];
        for (checkpoint, revision, expected) in cases {
            let other = Claimant {
                generation: &[2],
                revision,
                ..nobody_named(Turn::Rank(0))
            };
            let claimed = claim(checkpoint, &other, 99_999, 10_000);
            assert_eq!(claimed, expected, "{revision:?}");
        }
    }

    #[test]
    fn a_turned_checkpoint_tells_what_it_is_of_and_from_where() {
        let before = [on(&["shop.{id}"], "{id}")];
        let after = [on(&["shop.{id}", "more.{id}"], "data:/id")];
        let seen = Checkpoint {
            generation: generation(&before),
            on: reads(&before),
            high: 60,
            ..released_for("h2")
        };
        assert_eq!(seen.subscriptions(), Ok(before.to_vec()));
        let at = Position {
            sequence: 50,
            stored_ns: 5,
        };
        let turned = seen.turned(&after, at, 8);
        assert_eq!(turned.subscriptions(), Ok(after.to_vec()));
        assert_eq!(turned.generation, generation(&after));
        assert_eq!((turned.watermark(), turned.counts_behind), (at, 50));
        assert_eq!((turned.high, turned.revision), (60, 8));
        assert!(turned.released, "for its successor still");
        let broken = Checkpoint {
            on: vec![Reads {
                subjects: vec!["a..b".to_owned()],
                key: None,
            }],
            ..seen
        };
        assert!(broken.subscriptions().is_err());
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
            None,
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
