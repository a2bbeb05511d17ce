//! The metrics of one need, all handlers together.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use wharf_core::outcome::CallResult;

use super::families::Families;
use super::labels::{ByLabel, CallLabel};

/// Handles to what is counted for a need.
#[derive(Debug)]
pub struct NeedMetrics {
    calls: ByLabel<CallLabel, Counter>,
    seconds: Histogram,
}

impl NeedMetrics {
    pub(super) fn new(name: &str, all: &Families) -> Self {
        let with = |result: &str| [("need", name.to_owned()), ("result", result.to_owned())];
        Self {
            calls: ByLabel::new(|result| all.need_calls.get_or_create_owned(&with(result))),
            seconds: all
                .need_seconds
                .get_or_create_owned(&[("need", name.to_owned())]),
        }
    }

    /// A call ended, sent or not.
    pub fn call(&self, result: CallResult, took: Duration) {
        self.calls.get(CallLabel::from(result)).inc();
        self.seconds.observe(took.as_secs_f64());
    }
}
