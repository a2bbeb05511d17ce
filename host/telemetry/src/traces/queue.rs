//! A bounded queue between those who trace and the thread that sends.
//!
//! Bounded in spans, as the specification counts. An event's spans are written
//! by whoever ended it, so that nothing of it is freed on another thread than it
//! came from; what waits is bytes. The thread is woken when a batch is full, not
//! for each event: it looks for itself when the delay is over.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::config::Batches;
use super::otlp::Spans;
use super::recording::Recording;
use super::span_data;
use crate::metrics::{EventOutcome, SpanLoss, SpanMetrics};

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
    full: VecDeque<Spans>,
    filling: Spans,
    /// The memory of the batch that was sent last, for the next that begins.
    spare: Option<Spans>,
    /// Of `full` and `filling`.
    spans: usize,
    /// The thread has taken a batch and is not done with it.
    sending: bool,
    /// Batches go out as they are, full or not.
    flushing: bool,
}

thread_local! {
    /// One event's spans, until they are in the queue.
    static WRITTEN: RefCell<Spans> = RefCell::default();
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

    /// Takes the spans of an event that ends now, or drops and counts them when
    /// there is no room. Never waits for the collector.
    pub(super) fn push(&self, recording: &Recording, outcome: EventOutcome) {
        self.metrics.lost(SpanLoss::TooMany, recording.cut);
        WRITTEN.with_borrow_mut(|written| {
            written.clear();
            span_data::append(written, recording, outcome);
            self.take_in(written);
        });
    }

    fn take_in(&self, event: &Spans) {
        let mut line = self.lock();
        if line.spans + event.len() > self.batches.waiting_max {
            drop(line);
            self.metrics.lost(SpanLoss::QueueFull, event.len());
            return;
        }
        if line.push(event, self.batches.batch_max) {
            drop(line);
            self.filled.notify_one();
        }
    }

    /// The next batch: a full one, or what there is when the delay is over. The
    /// one before has been dealt with. Blocks the calling thread.
    pub(super) fn next(&self, mut before: Spans) -> Spans {
        before.clear();
        let mut line = self.lock();
        line.spare = Some(before);
        line.sending = false;
        self.emptied.notify_all();
        let mut due = Instant::now() + self.batches.delay;
        loop {
            let left = due.saturating_duration_since(Instant::now());
            let any = line.flushing || left.is_zero();
            if let Some(batch) = line.take(any) {
                return batch;
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
        while line.sending || line.spans > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.emptied.wait_timeout(line, left);
            line = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        line.flushing = false;
        !line.sending && line.spans == 0
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    /// One more event, whole: a batch has at most `batch_max` spans, or one event.
    /// True when that made the first batch full.
    fn push(&mut self, event: &Spans, batch_max: usize) -> bool {
        let before = self.full.len();
        if self.filling.len() > 0 && self.filling.len() + event.len() > batch_max {
            self.close();
        }
        self.filling.extend(event);
        self.spans += event.len();
        if self.filling.len() >= batch_max {
            self.close();
        }
        before == 0 && !self.full.is_empty()
    }

    fn close(&mut self) {
        let spare = self.spare.take();
        let next = spare.unwrap_or_else(|| self.filling.fresh());
        self.full
            .push_back(std::mem::replace(&mut self.filling, next));
    }

    /// A full batch; `any` is content with less.
    fn take(&mut self, any: bool) -> Option<Spans> {
        if self.full.is_empty() && any && self.filling.len() > 0 {
            self.close();
        }
        let batch = self.full.pop_front()?;
        self.spans -= batch.len();
        self.sending = true;
        Some(batch)
    }
}
