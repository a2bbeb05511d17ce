//! The metrics of one handler.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::families::{Families, Gauges};
use super::guest::{Series, Taken};
use super::labels::{AttemptResult, ByLabel, EventOutcome, ReopenReason, UnsettledState};
use super::state::{StateGauge, Unsettled};

/// Handles to everything that is counted for a handler on this host.
#[derive(Debug)]
pub struct HandlerMetrics {
    name: String,
    events: ByLabel<EventOutcome, Counter>,
    event_seconds: Histogram,
    pub(super) unsettled: ByLabel<UnsettledState, StateGauge>,
    lag: Gauge,
    watermark: Gauges<2>,
    owner: Gauges<2>,
    attempts: ByLabel<AttemptResult, Counter>,
    attempt_seconds: Histogram,
    instances_started: Counter,
    commit_seconds: Histogram,
    commit_conflicts: Counter,
    publish_seconds: Histogram,
    emissions: Counter,
    source_lost: Counter,
    ids_evicted: Counter,
    reader_reopened: ByLabel<ReopenReason, Counter>,
    log_bytes_cut: Counter,
    metrics_dropped: Counter,
    /// What the loaded version declares, by name.
    declared: RwLock<BTreeMap<String, Arc<Series>>>,
}

/// The metrics of one partition of an ordered handler.
#[derive(Debug, Clone)]
pub struct PartitionMetrics {
    watermark: Gauge,
    owner: Gauge,
}

impl HandlerMetrics {
    pub(super) fn new(name: &str, all: &Families) -> Self {
        let of = [("handler", name.to_owned())];
        let with = |label, value: &str| [("handler", name.to_owned()), (label, value.to_owned())];
        Self {
            name: name.to_owned(),
            events: ByLabel::new(|outcome| {
                all.events.get_or_create_owned(&with("outcome", outcome))
            }),
            event_seconds: all.event_seconds.get_or_create_owned(&of),
            unsettled: ByLabel::new(|state| {
                StateGauge::new(all.unsettled.get_or_create_owned(&with("state", state)))
            }),
            lag: all.lag.get_or_create_owned(&of),
            watermark: all.watermark.clone(),
            owner: all.owner.clone(),
            attempts: ByLabel::new(|result| {
                all.attempts.get_or_create_owned(&with("result", result))
            }),
            attempt_seconds: all.attempt_seconds.get_or_create_owned(&of),
            instances_started: all.instances_started.get_or_create_owned(&of),
            commit_seconds: all.commit_seconds.get_or_create_owned(&of),
            commit_conflicts: all.commit_conflicts.get_or_create_owned(&of),
            publish_seconds: all.publish_seconds.get_or_create_owned(&of),
            emissions: all.emissions.get_or_create_owned(&of),
            source_lost: all.source_lost.get_or_create_owned(&of),
            ids_evicted: all.ids_evicted.get_or_create_owned(&of),
            reader_reopened: ByLabel::new(|reason| {
                all.reader_reopened
                    .get_or_create_owned(&with("reason", reason))
            }),
            log_bytes_cut: all.log_bytes_cut.get_or_create_owned(&of),
            metrics_dropped: all.metrics_dropped.get_or_create_owned(&of),
            declared: RwLock::default(),
        }
    }

    /// The name in the handler's manifest.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Counts what became of a delivery, `took` after it came. A released one
    /// did not settle, so its time is not observed.
    pub fn event(&self, outcome: EventOutcome, took: Duration) {
        self.events.get(outcome).inc();
        if outcome != EventOutcome::Released {
            self.event_seconds.observe(took.as_secs_f64());
        }
    }

    /// Counts an event in `state` for as long as what is returned lives.
    #[must_use = "the event is counted only while this lives"]
    pub fn unsettled(self: &Arc<Self>, state: UnsettledState) -> Unsettled {
        Unsettled::new(Arc::clone(self), state)
    }

    /// How many events stand in `state` by the records alone, beside those that
    /// [`unsettled`](Self::unsettled) counts: parked ones, or those of entities
    /// that have no lane on this host.
    pub fn set_stored(&self, state: UnsettledState, events: u64) {
        self.unsettled.get(state).set_stored(events);
    }

    /// Changes the number of [`set_stored`](Self::set_stored).
    pub fn add_stored(&self, state: UnsettledState, events: i64) {
        self.unsettled.get(state).add_stored(events);
    }

    /// Events in the stream that the handler has not come to.
    pub fn set_lag(&self, events: u64) {
        self.lag.set(clamped(events));
    }

    /// The handles of a partition, from 0.
    pub fn partition(&self, partition: u32) -> PartitionMetrics {
        let labels = [
            ("handler", self.name.clone()),
            ("partition", partition.to_string()),
        ];
        PartitionMetrics {
            watermark: self.watermark.get_or_create_owned(&labels),
            owner: self.owner.get_or_create_owned(&labels),
        }
    }

    /// An attempt ended.
    pub fn attempt(&self, result: AttemptResult, took: Duration) {
        self.attempts.get(result).inc();
        self.attempt_seconds.observe(took.as_secs_f64());
    }

    /// An instance was started for an attempt.
    pub fn instance_started(&self) {
        self.instances_started.inc();
    }

    /// A record's write was answered, whatever the answer.
    pub fn commit(&self, took: Duration) {
        self.commit_seconds.observe(took.as_secs_f64());
    }

    /// A commit lost to another write of the record.
    pub fn commit_conflict(&self) {
        self.commit_conflicts.inc();
    }

    /// All emissions of a commit were acknowledged.
    pub fn published(&self, emissions: u64, took: Duration) {
        self.emissions.inc_by(emissions);
        self.publish_seconds.observe(took.as_secs_f64());
    }

    /// Sequences that the source no longer had.
    pub fn source_lost(&self, events: u64) {
        self.source_lost.inc_by(events);
    }

    /// Event ids forgotten before their time.
    pub fn ids_evicted_early(&self, ids: u64) {
        self.ids_evicted.inc_by(ids);
    }

    /// The reader was replaced.
    pub fn reader_reopened(&self, reason: ReopenReason) {
        self.reader_reopened.get(reason).inc();
    }

    /// Bytes of guest log lines beyond `limits.log_bytes`.
    pub fn log_bytes_cut(&self, bytes: u64) {
        self.log_bytes_cut.inc_by(bytes);
    }

    /// Guest observations that were dropped before they came here.
    pub fn metrics_dropped(&self, observations: u64) {
        self.metrics_dropped.inc_by(observations);
    }

    /// Adds to a declared counter, or observes in a declared histogram.
    /// `labels` are all that the metric declares, in order of name, with values
    /// within their bounds. Dropped and counted where they are not, where the
    /// name is not declared, and where the value is not finite, or is negative
    /// for a counter.
    pub fn observe(&self, name: &str, value: f64, labels: &[(String, String)]) {
        let declared = self.declared.read().unwrap_or_else(PoisonError::into_inner);
        let taken = declared
            .get(name)
            .map_or(Taken::Dropped, |series| series.observe(value, labels));
        match taken {
            Taken::Counted => {}
            Taken::Dropped => self.metrics_dropped(1),
        }
    }

    pub(super) fn expose(&self, declared: BTreeMap<String, Arc<Series>>) {
        *self
            .declared
            .write()
            .unwrap_or_else(PoisonError::into_inner) = declared;
    }
}

impl PartitionMetrics {
    /// Everything up to this sequence is settled.
    pub fn set_watermark(&self, sequence: u64) {
        self.watermark.set(clamped(sequence));
    }

    /// This host owns the partition from now on.
    pub fn owned(&self) {
        self.owner.set(1);
    }

    /// This host no longer owns the partition.
    pub fn released(&self) {
        self.owner.set(0);
    }
}

fn clamped(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
