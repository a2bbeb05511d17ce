//! The shape of each asset, and why it has it.

use std::collections::BTreeMap;
use std::time::Duration;

use wharf_core::manifest::{Ordering, Start};

use super::{Place, PlaceHandler, PlaceRegistry, PlaceStream, UsesTimers};
use crate::api::consumer::{AckPolicy, ConsumerConfig, DeliverPolicy};
use crate::api::stream::{Discard, Retention, StreamConfig};
use crate::api::{LEVEL_SCHEDULES, LEVEL_TTL, stamp};
use crate::names::firing_consumer;
use crate::registry;

/// How long a stream of events knows the ids of what was published to it.
pub(super) const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);
/// After this long without a sign of life a delivery goes to another host.
const ACK_WAIT: Duration = Duration::from_secs(30);
/// Deliveries are never given up by the broker.
const FOR_EVER: i64 = -1;
/// Firings of one partition that may be unacknowledged.
const FIRINGS_MAX: i64 = 4_096;

/// One stream or consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asset {
    pub(super) shape: Shape,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape {
    Stream {
        config: Box<StreamConfig>,
        kind: Kind,
        level: u32,
    },
    Consumer {
        stream: String,
        config: Box<ConsumerConfig>,
    },
}

/// Which fields of a stream matter depends on what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Events,
    Ledger,
    Timers,
    /// Of the registry: a bucket, or an object store.
    Registry,
}

/// Everything that the place needs, streams before their consumers.
pub(super) fn of(place: &Place) -> Vec<Asset> {
    let registry = place.registry.map(of_registry).into_iter().flatten();
    let events = place.streams.iter().map(events);
    let of_handlers = place.handlers.iter().flat_map(|handler| {
        let mut assets = vec![ledger(handler)];
        if handler.ordering == Ordering::None {
            assets.push(consumer(&handler.stream, shared(handler)));
        }
        if handler.timers == UsesTimers::Yes {
            assets.push(timers(handler));
            let stream = handler.lineage.timer_stream();
            let firing = |partition| consumer(&stream, firings(handler, partition));
            assets.extend((0..handler.partitions).map(firing));
        }
        assets
    });
    registry.chain(events).chain(of_handlers).collect()
}

/// The shapes that clients take for a bucket and an object store.
fn of_registry(wanted: PlaceRegistry) -> [Asset; 2] {
    let shape = |name: &str, subjects: &[&str]| StreamConfig {
        discard: Discard::New,
        num_replicas: wanted.replicas,
        allow_rollup_hdrs: true,
        allow_direct: true,
        ..StreamConfig::new(name, subjects.iter().map(ToString::to_string).collect())
    };
    let bucket = StreamConfig {
        max_msgs_per_subject: registry::HISTORY,
        deny_delete: true,
        allow_msg_ttl: true,
        ..shape(registry::STREAM, &["$KV.WHARF.>"])
    };
    let code = shape(
        registry::CODE_STREAM,
        &["$O.WHARF-CODE.C.>", "$O.WHARF-CODE.M.>"],
    );
    [
        stream(bucket, Kind::Registry, LEVEL_TTL),
        stream(code, Kind::Registry, 0),
    ]
}

/// Events are refused when the stream is full, never forgotten.
fn events(wanted: &PlaceStream) -> Asset {
    let config = StreamConfig {
        discard: Discard::New,
        num_replicas: wanted.replicas,
        max_bytes: limit(wanted.max_bytes),
        duplicate_window: nanos(DUPLICATE_WINDOW),
        allow_direct: true,
        ..StreamConfig::new(&wanted.name, wanted.subjects.clone())
    };
    stream(config, Kind::Events, 0)
}

/// One message a subject; records may expire, and leave no marker behind.
fn ledger(handler: &PlaceHandler) -> Asset {
    let lineage = &handler.lineage;
    let config = StreamConfig {
        discard: Discard::New,
        num_replicas: handler.replicas,
        max_bytes: limit(handler.ledger_max_bytes),
        max_msgs_per_subject: 1,
        allow_direct: true,
        allow_msg_ttl: true,
        metadata: metadata(handler),
        ..StreamConfig::new(lineage.ledger_stream(), vec![lineage.ledger_subjects()])
    };
    stream(config, Kind::Ledger, LEVEL_TTL)
}

/// A limit would drop schedules, and `discard: new` excludes them. What has
/// fired lies there until it is acknowledged and no longer: a work queue, whose
/// consumers never cover the schedules themselves.
fn timers(handler: &PlaceHandler) -> Asset {
    let lineage = &handler.lineage;
    let config = StreamConfig {
        retention: Retention::WorkQueue,
        num_replicas: handler.replicas,
        // The server makes it so with schedules, and echoes it.
        allow_rollup_hdrs: true,
        allow_msg_schedules: true,
        metadata: metadata(handler),
        ..StreamConfig::new(lineage.timer_stream(), vec![lineage.timer_subjects()])
    };
    stream(config, Kind::Timers, LEVEL_SCHEDULES)
}

/// The consumer that all hosts share when order does not matter.
fn shared(handler: &PlaceHandler) -> ConsumerConfig {
    let (deliver_policy, sequence, time) = match (handler.resume_behind, handler.start) {
        (Some(floor), _) => (DeliverPolicy::ByStartSequence, Some(floor + 1), None),
        (None, Start::New) => (DeliverPolicy::New, None, None),
        (None, Start::All) => (DeliverPolicy::All, None, None),
        (None, Start::Sequence(first)) => (DeliverPolicy::ByStartSequence, Some(first), None),
        (None, Start::TimeMs(ms)) => {
            let time = stamp::format(ms.saturating_mul(1_000_000));
            (DeliverPolicy::ByStartTime, None, Some(time))
        }
    };
    ConsumerConfig {
        deliver_policy,
        opt_start_seq: sequence,
        opt_start_time: time,
        filter_subjects: handler.filters.clone(),
        max_ack_pending: Some(i64::from(handler.max_ack_pending)),
        metadata: metadata(handler),
        ..durable(handler.lineage.to_string())
    }
}

fn firings(handler: &PlaceHandler, partition: u32) -> ConsumerConfig {
    ConsumerConfig {
        filter_subjects: vec![handler.lineage.firings(partition)],
        max_ack_pending: Some(FIRINGS_MAX),
        metadata: metadata(handler),
        ..durable(firing_consumer(partition))
    }
}

fn durable(name: String) -> ConsumerConfig {
    ConsumerConfig {
        durable_name: Some(name.clone()),
        name: Some(name),
        ack_policy: AckPolicy::Explicit,
        ack_wait: Some(nanos(ACK_WAIT)),
        max_deliver: Some(FOR_EVER),
        ..ConsumerConfig::default()
    }
}

/// For exporters and people; nothing is decided by it.
fn metadata(handler: &PlaceHandler) -> BTreeMap<String, String> {
    BTreeMap::from([("wharf-lineage".to_owned(), handler.lineage.to_string())])
}

fn stream(config: StreamConfig, kind: Kind, level: u32) -> Asset {
    Asset {
        shape: Shape::Stream {
            config: Box::new(config),
            kind,
            level,
        },
    }
}

fn consumer(stream: &str, config: ConsumerConfig) -> Asset {
    Asset {
        shape: Shape::Consumer {
            stream: stream.to_owned(),
            config: Box::new(config),
        },
    }
}

fn limit(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
