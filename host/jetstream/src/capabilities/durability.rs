//! How a stream may lose what it acknowledged. For `doctor`: none of this
//! keeps a host from working.

use crate::api::stream::{Discard, Retention, Storage, StreamConfig, UNLIMITED};

/// What no request can ask the broker.
pub const SYNC_ADVICE: &str = "nats-server writes to disk every two minutes unless it is told \
    otherwise: set `jetstream { sync_interval: always }`, which replicated streams on 2.15 can \
    afford, or accept to lose acknowledged events when all replicas lose power at once";

/// A way in which acknowledged messages can be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weakness {
    OneReplica,
    InMemory,
    AcknowledgedBeforeWritten,
    ForgetsWhenFull,
    ForgetsWithAge,
    ForgetsPerSubject,
    ForgetsWhenRead,
}

impl Weakness {
    pub fn reason(self) -> &'static str {
        match self {
            Self::OneReplica => "it has one replica: what its server's disk loses is lost",
            Self::InMemory => "it is kept in memory: a restart loses it",
            Self::AcknowledgedBeforeWritten => "it acknowledges before it writes",
            Self::ForgetsWhenFull => "when it is full it drops the oldest events, read or not",
            Self::ForgetsWithAge => "it drops events by age, read or not",
            Self::ForgetsPerSubject => "it drops older events of a subject, read or not",
            Self::ForgetsWhenRead => "it drops events that one reader has acknowledged",
        }
    }

    pub fn remedy(self) -> &'static str {
        match self {
            Self::OneReplica => "use three servers and `replicas = 3`",
            Self::InMemory => "make it again with file storage",
            Self::AcknowledgedBeforeWritten => "make it again without `persist_mode: async`",
            Self::ForgetsWhenFull => "set `discard: new`",
            Self::ForgetsWithAge => "remove `max_age`, or make it longer than any outage",
            Self::ForgetsPerSubject => "remove `max_msgs_per_subject`",
            Self::ForgetsWhenRead => "make it again with limits retention",
        }
    }
}

/// The weaknesses of a stream of events, the worst first.
pub fn weaknesses(config: &StreamConfig) -> Vec<Weakness> {
    let is_async = config.persist_mode.as_deref() == Some("async");
    let has_limit = config.max_bytes != UNLIMITED || config.max_msgs != UNLIMITED;
    let all = [
        (config.storage == Storage::Memory, Weakness::InMemory),
        (is_async, Weakness::AcknowledgedBeforeWritten),
        (
            config.discard == Discard::Old && has_limit,
            Weakness::ForgetsWhenFull,
        ),
        (config.max_age > 0, Weakness::ForgetsWithAge),
        (
            config.max_msgs_per_subject != UNLIMITED,
            Weakness::ForgetsPerSubject,
        ),
        (
            config.retention != Retention::Limits,
            Weakness::ForgetsWhenRead,
        ),
        (config.num_replicas < 2, Weakness::OneReplica),
    ];
    all.into_iter()
        .filter_map(|(applies, weakness)| applies.then_some(weakness))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_loses_acknowledged_messages_is_a_weakness() {
        let sound = StreamConfig {
            num_replicas: 3,
            discard: Discard::New,
            max_bytes: 1 << 30,
            ..StreamConfig::new("S", vec!["s.>".into()])
        };
        assert_eq!(weaknesses(&sound), []);
        let unlimited = StreamConfig {
            max_bytes: UNLIMITED,
            discard: Discard::Old,
            ..sound.clone()
        };
        assert_eq!(weaknesses(&unlimited), []);
        let weak = StreamConfig {
            storage: Storage::Memory,
            discard: Discard::Old,
            max_age: 1,
            num_replicas: 1,
            persist_mode: Some("async".into()),
            ..sound
        };
        use Weakness::*;
        let expected = [
            InMemory,
            AcknowledgedBeforeWritten,
            ForgetsWhenFull,
            ForgetsWithAge,
            OneReplica,
        ];
        assert_eq!(weaknesses(&weak), expected);
    }
}
