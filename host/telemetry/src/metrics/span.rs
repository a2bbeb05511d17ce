//! What becomes of spans on their way to a collector.

use prometheus_client::metrics::counter::Counter;

use super::families::Families;
use super::labels::{ByLabel, SpanLoss};

/// Handles to what is counted of spans.
#[derive(Debug)]
pub struct SpanMetrics {
    exported: Counter,
    lost: ByLabel<SpanLoss, Counter>,
}

impl SpanMetrics {
    pub(super) fn new(all: &Families) -> Self {
        let with = |reason: &str| [("reason", reason.to_owned())];
        Self {
            exported: all.spans_exported.clone(),
            lost: ByLabel::new(|reason| all.spans_dropped.get_or_create_owned(&with(reason))),
        }
    }

    /// A collector has taken so many.
    pub fn exported(&self, spans: usize) {
        self.exported.inc_by(spans as u64);
    }

    /// So many will reach no collector.
    pub fn lost(&self, reason: SpanLoss, spans: usize) {
        if spans > 0 {
            self.lost.get(reason).inc_by(spans as u64);
        }
    }
}
