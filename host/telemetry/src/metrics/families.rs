//! The host's metrics, registered under their definitions.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};

use super::catalog::{self, Definition};
use crate::logs::Dropped;

pub(super) type Labels<const N: usize> = [(&'static str, String); N];
pub(super) type Counters<const N: usize> = Family<Labels<N>, Counter>;
pub(super) type Gauges<const N: usize> = Family<Labels<N>, Gauge>;
pub(super) type Histograms = Family<Labels<1>, Histogram, fn() -> Histogram>;

/// From a fast commit to an event that was held for an hour.
const EVENT_BUCKETS: [f64; 17] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
    300.0, 3600.0,
];
/// From a tenth of a millisecond to the longest attempt by default.
const WORK_BUCKETS: [f64; 16] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    10.0, 30.0,
];

/// One family for every definition that is measured by the host.
#[derive(Debug)]
pub(super) struct Families {
    pub(super) events: Counters<2>,
    pub(super) event_seconds: Histograms,
    pub(super) unsettled: Gauges<2>,
    pub(super) lag: Gauges<1>,
    pub(super) watermark: Gauges<2>,
    pub(super) owner: Gauges<2>,
    pub(super) attempts: Counters<2>,
    pub(super) attempt_seconds: Histograms,
    pub(super) instances_started: Counters<1>,
    pub(super) commit_seconds: Histograms,
    pub(super) commit_conflicts: Counters<1>,
    pub(super) publish_seconds: Histograms,
    pub(super) emissions: Counters<1>,
    pub(super) source_lost: Counters<1>,
    pub(super) ids_evicted: Counters<1>,
    pub(super) reader_reopened: Counters<2>,
    pub(super) log_bytes_cut: Counters<1>,
    pub(super) metrics_dropped: Counters<1>,
    pub(super) need_calls: Counters<2>,
    pub(super) need_seconds: Histograms,
    pub(super) instances: Gauge,
    pub(super) instances_max: Gauge,
    pub(super) spans_exported: Counter,
    pub(super) spans_dropped: Counters<1>,
}

impl Families {
    pub(super) fn register(registry: &mut Registry, version: &str, dropped: &Dropped) -> Self {
        let build = Info::new([("version", version.to_owned())]);
        registry.register(catalog::BUILD.family(), catalog::BUILD.help, build);
        add(registry, &catalog::LOG_LINES_DROPPED, dropped.0.clone());
        Self {
            events: add(registry, &catalog::EVENTS, Family::default()),
            event_seconds: add(
                registry,
                &catalog::EVENT_SECONDS,
                histograms(|| Histogram::new(EVENT_BUCKETS)),
            ),
            unsettled: add(registry, &catalog::UNSETTLED, Family::default()),
            lag: add(registry, &catalog::LAG, Family::default()),
            watermark: add(registry, &catalog::WATERMARK, Family::default()),
            owner: add(registry, &catalog::OWNER, Family::default()),
            attempts: add(registry, &catalog::ATTEMPTS, Family::default()),
            attempt_seconds: add(registry, &catalog::ATTEMPT_SECONDS, histograms(work)),
            instances_started: add(registry, &catalog::INSTANCES_STARTED, Family::default()),
            commit_seconds: add(registry, &catalog::COMMIT_SECONDS, histograms(work)),
            commit_conflicts: add(registry, &catalog::COMMIT_CONFLICTS, Family::default()),
            publish_seconds: add(registry, &catalog::PUBLISH_SECONDS, histograms(work)),
            emissions: add(registry, &catalog::EMISSIONS, Family::default()),
            source_lost: add(registry, &catalog::SOURCE_LOST, Family::default()),
            ids_evicted: add(registry, &catalog::IDS_EVICTED, Family::default()),
            reader_reopened: add(registry, &catalog::READER_REOPENED, Family::default()),
            log_bytes_cut: add(registry, &catalog::LOG_BYTES_CUT, Family::default()),
            metrics_dropped: add(registry, &catalog::METRICS_DROPPED, Family::default()),
            need_calls: add(registry, &catalog::NEED_CALLS, Family::default()),
            need_seconds: add(registry, &catalog::NEED_SECONDS, histograms(work)),
            instances: add(registry, &catalog::INSTANCES, Gauge::default()),
            instances_max: add(registry, &catalog::INSTANCES_MAX, Gauge::default()),
            spans_exported: add(registry, &catalog::SPANS_EXPORTED, Counter::default()),
            spans_dropped: add(registry, &catalog::SPANS_DROPPED, Family::default()),
        }
    }
}

fn work() -> Histogram {
    Histogram::new(WORK_BUCKETS)
}

fn histograms(make: fn() -> Histogram) -> Histograms {
    Family::new_with_constructor(make)
}

fn add<M: Metric + Clone>(registry: &mut Registry, definition: &Definition, metric: M) -> M {
    registry.register(definition.family(), definition.help, metric.clone());
    metric
}
