//! Exactly one gauge for every event that does not move (promise P6).

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use prometheus_client::metrics::gauge::Gauge;

use super::handler::HandlerMetrics;
use super::labels::UnsettledState;

/// One event, counted in the gauge of its state until this is dropped.
#[derive(Debug)]
pub struct Unsettled {
    handler: Arc<HandlerMetrics>,
    state: UnsettledState,
}

impl Unsettled {
    pub(super) fn new(handler: Arc<HandlerMetrics>, state: UnsettledState) -> Self {
        handler.unsettled.get(state).gauge.inc();
        Self { handler, state }
    }

    /// Where it is counted.
    pub fn state(&self) -> UnsettledState {
        self.state
    }

    /// Counts it in another state from now on.
    pub fn set(&mut self, state: UnsettledState) {
        self.handler.unsettled.get(state).gauge.inc();
        self.handler.unsettled.get(self.state).gauge.dec();
        self.state = state;
    }
}

impl Drop for Unsettled {
    fn drop(&mut self) {
        self.handler.unsettled.get(self.state).gauge.dec();
    }
}

/// A gauge that holds what lanes count and what only the records tell of.
#[derive(Debug)]
pub(super) struct StateGauge {
    gauge: Gauge,
    stored: AtomicI64,
}

impl StateGauge {
    pub(super) fn new(gauge: Gauge) -> Self {
        Self {
            gauge,
            stored: AtomicI64::new(0),
        }
    }

    pub(super) fn set_stored(&self, events: u64) {
        let events = i64::try_from(events).unwrap_or(i64::MAX);
        let before = self.stored.swap(events, Relaxed);
        self.gauge.inc_by(events - before);
    }

    pub(super) fn add_stored(&self, events: i64) {
        self.stored.fetch_add(events, Relaxed);
        self.gauge.inc_by(events);
    }
}
