//! A bounded queue between those who trace and the thread that sends.
//!
//! Bounded in spans, as the specification counts. The thread is woken when a
//! batch is full, not for each event: it looks for itself when the delay is
//! over.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::config::Batches;
use super::recording::Ended;
use crate::metrics::{SpanLoss, SpanMetrics};

#[derive(Debug)]
pub(super) struct Queue {
    line: Mutex<Line>,
    /// A batch is full, or somebody waits for a flush.
    filled: Condvar,
    /// A batch was sent or given up.
    emptied: Condvar,
    batches: Batches,
    pub(super) metrics: SpanMetrics,
}

#[derive(Debug, Default)]
struct Line {
    waiting: VecDeque<Ended>,
    /// Of `waiting`.
    spans: usize,
    /// The thread has taken a batch and is not done with it.
    sending: bool,
    /// Batches go out as they are, full or not.
    flushing: bool,
}

impl Queue {
    pub(super) fn new(batches: Batches, metrics: SpanMetrics) -> Self {
        Self {
            line: Mutex::default(),
            filled: Condvar::new(),
            emptied: Condvar::new(),
            batches,
            metrics,
        }
    }

    /// Takes an event's spans, or drops and counts them when there is no room.
    /// Never waits for the collector.
    pub(super) fn push(&self, ended: Ended) {
        let spans = ended.spans();
        self.metrics.lost(SpanLoss::TooMany, ended.recording.cut);
        let mut line = self.lock();
        if line.spans + spans > self.batches.waiting_max {
            drop(line);
            self.metrics.lost(SpanLoss::QueueFull, spans);
            return;
        }
        let before = line.spans;
        line.spans += spans;
        line.waiting.push_back(ended);
        let full = self.batches.batch_max;
        if before < full && line.spans >= full {
            drop(line);
            self.filled.notify_one();
        }
    }

    /// The next batch: a full one, or what there is when the delay is over.
    /// Blocks the calling thread.
    pub(super) fn next(&self) -> Vec<Ended> {
        let mut line = self.lock();
        line.sending = false;
        self.emptied.notify_all();
        let mut due = Instant::now() + self.batches.delay;
        loop {
            let left = due.saturating_duration_since(Instant::now());
            let full = line.spans >= self.batches.batch_max;
            if !line.waiting.is_empty() && (full || line.flushing || left.is_zero()) {
                return self.take(&mut line);
            }
            if left.is_zero() {
                due = Instant::now() + self.batches.delay;
                continue;
            }
            let waited = self.filled.wait_timeout(line, left);
            line = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until nothing is left to send; false after `within`.
    pub(super) fn flush(&self, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        let mut line = self.lock();
        line.flushing = true;
        self.filled.notify_all();
        while line.sending || !line.waiting.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.emptied.wait_timeout(line, left);
            line = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        line.flushing = false;
        !line.sending && line.waiting.is_empty()
    }

    /// Whole events, of as many spans as a batch has; a larger one alone.
    fn take(&self, line: &mut Line) -> Vec<Ended> {
        let mut batch = Vec::new();
        let mut spans = 0;
        while let Some(next) = line.waiting.front().map(Ended::spans) {
            if spans > 0 && spans + next > self.batches.batch_max {
                break;
            }
            spans += next;
            batch.extend(line.waiting.pop_front());
        }
        line.spans -= spans;
        line.sending = true;
        batch
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
