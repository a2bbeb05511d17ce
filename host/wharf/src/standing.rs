//! What stands still by the records alone: dead letters and queued events.
//!
//! They are in no lane, so no guard counts them. Each record that is read or
//! written says how many it holds; the gauges follow the difference.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use wharf_core::record::{Record, Status};
use wharf_telemetry::metrics::{HandlerMetrics, UnsettledState};

/// Counts by entity of one owner; only entities that hold something are kept.
pub struct Standing {
    metrics: Arc<HandlerMetrics>,
    counts: Mutex<HashMap<String, Counts>>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    dead: i64,
    queued: i64,
}

impl Standing {
    pub fn new(metrics: Arc<HandlerMetrics>) -> Self {
        Self {
            metrics,
            counts: Mutex::default(),
        }
    }

    /// The record of an entity is now this.
    pub fn see(&self, token: &str, record: Option<&Record>) {
        let now = record.map(Counts::of).unwrap_or_default();
        let mut counts = self.counts.lock().expect("no panic while held");
        let before = if now == Counts::default() {
            counts.remove(token).unwrap_or_default()
        } else {
            counts.insert(token.to_owned(), now).unwrap_or_default()
        };
        self.move_gauges(before, now);
    }

    fn move_gauges(&self, before: Counts, now: Counts) {
        if before.dead != now.dead {
            self.metrics
                .add_stored(UnsettledState::Dead, now.dead - before.dead);
        }
        if before.queued != now.queued {
            self.metrics
                .add_stored(UnsettledState::Queued, now.queued - before.queued);
        }
    }
}

impl Counts {
    fn of(record: &Record) -> Self {
        let heads = i64::from(record.status() == Status::Dead);
        let queued = record.block.as_ref().map_or(0, |block| block.queued);
        Self {
            dead: heads + i64::try_from(record.dead.len()).unwrap_or(i64::MAX),
            queued: i64::from(queued),
        }
    }
}

impl Drop for Standing {
    /// Another host counts them from now on.
    fn drop(&mut self) {
        let counts = self.counts.get_mut().expect("no panic while held");
        let all = std::mem::take(counts);
        for counted in all.into_values() {
            self.move_gauges(counted, Counts::default());
        }
    }
}
