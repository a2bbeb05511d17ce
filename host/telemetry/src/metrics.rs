//! Metrics for Prometheus, as OpenMetrics 1.0 text.
//!
//! Every metric of the host is defined once, in [`HOST`], under the prefixes
//! `wharf_` and `process_`; metrics that handlers declare appear under their
//! own names, with the label `handler` added. Units are base units (seconds,
//! bytes). Label values are from closed enums, or are names that an operator
//! chose (handlers, needs, partitions); never an event's.
//!
//! Handles are resolved once, by [`Metrics::handler`] and [`Metrics::need`];
//! what they do afterwards looks nothing up.

mod catalog;
mod families;
mod guest;
mod handler;
mod labels;
mod need;
mod process;
mod span;
mod state;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use wharf_core::manifest::Metric;

use crate::Error;
use crate::logs::Dropped;
pub use catalog::{Definition, HOST, Kind};
use families::Families;
use guest::Guest;
pub use handler::{HandlerMetrics, PartitionMetrics};
pub use labels::{AttemptResult, EventOutcome, ReopenReason, SpanLoss, UnsettledState};
pub use need::NeedMetrics;
pub use span::SpanMetrics;
pub use state::Unsettled;

/// The `content-type` of [`Metrics::encode`].
///
/// OpenMetrics and not the older text format: a counter that a handler declares
/// without `_total` keeps its name there only as a metric of unknown type.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics of a host.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    families: Families,
    guest: Arc<Guest>,
    handlers: Mutex<BTreeMap<String, Arc<HandlerMetrics>>>,
    needs: Mutex<BTreeMap<String, Arc<NeedMetrics>>>,
}

impl Metrics {
    /// `version` is the host's; `dropped` counts its log lines.
    pub fn new(version: &str, dropped: &Dropped) -> Self {
        let mut registry = Registry::default();
        let families = Families::register(&mut registry, version, dropped);
        let guest = Arc::new(Guest::default());
        registry.register_collector(Box::new(process::Process));
        registry.register_collector(Box::new(Arc::clone(&guest)));
        Self {
            registry,
            families,
            guest,
            handlers: Mutex::default(),
            needs: Mutex::default(),
        }
    }

    /// The metrics of a handler, by the name in its manifest. All are there, at
    /// zero, from the first call on.
    pub fn handler(&self, name: &str) -> Arc<HandlerMetrics> {
        let mut handlers = self.handlers.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(HandlerMetrics::new(name, &self.families));
        Arc::clone(handlers.entry(name.to_owned()).or_insert_with(new))
    }

    /// The metrics of a need, by the name in the manifests.
    pub fn need(&self, name: &str) -> Arc<NeedMetrics> {
        let mut needs = self.needs.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(NeedMetrics::new(name, &self.families));
        Arc::clone(needs.entry(name.to_owned()).or_insert_with(new))
    }

    /// The metrics of spans.
    pub fn spans(&self) -> SpanMetrics {
        SpanMetrics::new(&self.families)
    }

    /// Takes the metrics that a handler's manifest declares, in place of those
    /// of its earlier version. What both declare alike goes on counting.
    ///
    /// # Errors
    /// [`Error::MetricReserved`], [`Error::MetricShape`],
    /// [`Error::MetricOverlap`]; then nothing has changed.
    pub fn declare(&self, handler: &str, metrics: &BTreeMap<String, Metric>) -> Result<(), Error> {
        let series = self.guest.declare(handler, metrics)?;
        self.handler(handler).expose(series);
        Ok(())
    }

    /// WebAssembly instances that exist now, and how many there may be.
    pub fn set_instances(&self, now: usize, max: usize) {
        self.families
            .instances
            .set(i64::try_from(now).unwrap_or(i64::MAX));
        self.families
            .instances_max
            .set(i64::try_from(max).unwrap_or(i64::MAX));
    }

    /// Everything, as text of the type [`CONTENT_TYPE`].
    pub fn encode(&self) -> String {
        let mut out = String::with_capacity(16 << 10);
        text::encode(&mut out, &self.registry).expect("a String takes every write");
        out
    }
}
