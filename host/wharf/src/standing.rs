//! What stands still by the records alone: dead letters and queued events.
//!
//! They are in no lane, so no guard counts them. Each record that is read or
//! written says how many it holds; the gauges follow the difference. A queued
//! event that is being worked off has a guard of its own for that time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use wharf_core::record::{Record, Status};
use wharf_telemetry::metrics::{HandlerMetrics, UnsettledState};

/// Counts by entity of one owner; only entities that hold something are kept.
pub struct Standing {
    metrics: Arc<HandlerMetrics>,
    entities: Mutex<HashMap<String, Held>>,
}

/// What an entity's record holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Held {
    dead: i64,
    queued: i64,
    /// The sequences that the queue spans.
    queue: Option<(u64, u64)>,
    /// Of the queue, and counted by its own guard.
    worked_off: Option<u64>,
}

/// A queued event is in a lane, until this is dropped.
pub struct WorkedOff<'a> {
    standing: &'a Standing,
    token: String,
}

impl Standing {
    pub fn new(metrics: Arc<HandlerMetrics>) -> Self {
        Self {
            metrics,
            entities: Mutex::default(),
        }
    }

    /// The record of an entity is now this.
    pub fn see(&self, token: &str, record: Option<&Record>) {
        self.change(token, |before| Held {
            worked_off: before.worked_off,
            ..record.map(Held::of).unwrap_or_default()
        });
    }

    /// The queued event of that sequence is counted elsewhere for now.
    pub fn work_off(&self, token: &str, sequence: u64) -> WorkedOff<'_> {
        self.change(token, |before| Held {
            worked_off: Some(sequence),
            ..before
        });
        WorkedOff {
            standing: self,
            token: token.to_owned(),
        }
    }

    fn change(&self, token: &str, next: impl FnOnce(Held) -> Held) {
        let mut entities = self.entities();
        let before = entities.get(token).copied().unwrap_or_default();
        let now = next(before);
        if now == Held::default() {
            entities.remove(token);
        } else {
            entities.insert(token.to_owned(), now);
        }
        self.move_gauges(before, now);
    }

    fn move_gauges(&self, before: Held, now: Held) {
        let moved = |state, events| {
            if events != 0 {
                self.metrics.add_stored(state, events);
            }
        };
        moved(UnsettledState::Dead, now.dead - before.dead);
        moved(UnsettledState::Queued, now.waiting() - before.waiting());
    }

    fn entities(&self) -> MutexGuard<'_, HashMap<String, Held>> {
        self.entities.lock().expect("no panic while held")
    }
}

impl Held {
    fn of(record: &Record) -> Self {
        let heads = i64::from(record.status() == Status::Dead);
        // A dead head stands in the range, and is not counted as queued.
        let behind_dead = |(head, tail): (u64, u64)| (head + heads.unsigned_abs(), tail);
        let queued = record.block.as_ref().map_or(0, |block| block.queued);
        Self {
            dead: heads + i64::try_from(record.dead.len()).unwrap_or(i64::MAX),
            queued: i64::from(queued),
            queue: record.queue().map(behind_dead),
            worked_off: None,
        }
    }

    fn waiting(&self) -> i64 {
        let in_queue = |sequence| {
            let queue = self.queue;
            queue.is_some_and(|(head, tail)| (head..=tail).contains(&sequence))
        };
        self.queued - i64::from(self.worked_off.is_some_and(in_queue))
    }
}

impl Drop for WorkedOff<'_> {
    fn drop(&mut self) {
        self.standing.change(&self.token, |before| Held {
            worked_off: None,
            ..before
        });
    }
}

impl Drop for Standing {
    /// Another host counts them from now on.
    fn drop(&mut self) {
        let entities = std::mem::take(&mut *self.entities());
        for held in entities.into_values() {
            self.move_gauges(held, Held::default());
        }
    }
}

#[cfg(test)]
mod tests {
    use wharf_core::record::Block;
    use wharf_telemetry::logs::Dropped;
    use wharf_telemetry::metrics::Metrics;

    use super::*;

    fn queue_of(queued: u32, head: u64) -> Record {
        let block = Block {
            head,
            tail: 9,
            queued,
            ..Block::default()
        };
        Record {
            block: Some(block),
            ..Record::default()
        }
    }

    #[test]
    fn a_queued_event_that_is_worked_off_is_counted_once() {
        let metrics = Metrics::new("1.2.3", &Dropped::default());
        let standing = Standing::new(metrics.handler("order"));
        let queued = || standing.entities().values().map(Held::waiting).sum::<i64>();
        standing.see("k", Some(&queue_of(3, 7)));
        assert_eq!(queued(), 3);
        let worked_off = standing.work_off("k", 7);
        assert_eq!(queued(), 2, "its own guard counts it");
        standing.see("k", Some(&queue_of(2, 8)));
        assert_eq!(queued(), 2, "it has left the queue");
        drop(worked_off);
        assert_eq!(queued(), 2);
        let given_back = standing.work_off("k", 8);
        drop(given_back);
        assert_eq!(queued(), 2, "it waits again");
        let dies = standing.work_off("k", 8);
        let mut dead = queue_of(1, 8);
        dead.block
            .as_mut()
            .expect("a block")
            .set_status(Status::Dead);
        standing.see("k", Some(&dead));
        assert_eq!(queued(), 1, "it is counted as dead");
        drop(dies);
        assert_eq!(queued(), 1);
        standing.see("k", None);
        assert!(standing.entities().is_empty());
    }
}
