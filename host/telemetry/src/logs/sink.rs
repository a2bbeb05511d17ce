//! A bounded buffer between those who log and whoever writes.

use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::Dropped;

/// Bytes that may wait to be written, besides those being written.
pub(super) const WAITING_BYTES_MAX: usize = 4 << 20;

/// Where lines go in. Clones share the buffer.
#[derive(Debug, Clone)]
pub(super) struct Sink(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    filled: Condvar,
    written: Condvar,
    dropped: Dropped,
}

/// Whole lines, and how many bytes have passed through so far.
#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<u8>,
    accepted: u64,
    written: u64,
}

impl Sink {
    /// Starts the thread that writes. It lives as long as the process.
    /// `notice` makes the line that tells how many others were dropped.
    pub(super) fn start(
        writer: impl Write + Send + 'static,
        notice: impl Fn(u64) -> String + Send + 'static,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        thread::Builder::new()
            .name("logs".into())
            .spawn(move || of_thread.write_on(writer, notice))?;
        Ok(Self(shared))
    }

    /// Takes a line, or drops and counts it when the buffer is full. Never
    /// waits for the writer.
    pub(super) fn push(&self, line: &str) {
        let mut queue = self.0.lock();
        if queue.waiting.len() + line.len() > WAITING_BYTES_MAX {
            self.0.dropped.0.inc();
            return;
        }
        queue.waiting.extend_from_slice(line.as_bytes());
        queue.accepted += line.len() as u64;
        drop(queue);
        self.0.filled.notify_one();
    }

    /// Waits until everything pushed so far is written; false after `within`.
    pub(super) fn flush(&self, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        let mut queue = self.0.lock();
        let wanted = queue.accepted;
        while queue.written < wanted {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.0.written.wait_timeout(queue, left);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    pub(super) fn dropped(&self) -> Dropped {
        self.0.dropped.clone()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_on(&self, mut writer: impl Write, notice: impl Fn(u64) -> String) {
        let mut lines = Vec::new();
        let mut told = 0;
        loop {
            self.wait_for(&mut lines);
            match writer.write_all(&lines).and_then(|()| writer.flush()) {
                Ok(()) => self.tell(&mut writer, &notice, &mut told),
                Err(_) => self.count_lost(&lines),
            }
            self.lock().written += lines.len() as u64;
            self.written.notify_all();
            lines.clear();
        }
    }

    /// Says once how many lines were dropped since it was last said.
    fn tell(&self, writer: &mut impl Write, notice: &impl Fn(u64) -> String, told: &mut u64) {
        let dropped = self.dropped.lines();
        if dropped > *told && writer.write_all(notice(dropped - *told).as_bytes()).is_ok() {
            *told = dropped;
        }
    }

    /// Stderr is closed or full: nobody is left to tell, but the count is kept.
    fn count_lost(&self, lines: &[u8]) {
        let lost = lines.iter().filter(|byte| **byte == b'\n').count();
        self.dropped.0.inc_by(lost as u64);
    }

    /// Swaps what waits into `lines`, which is empty, once there is something.
    fn wait_for(&self, lines: &mut Vec<u8>) {
        let mut queue = self.lock();
        while queue.waiting.is_empty() {
            queue = self
                .filled
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(&mut queue.waiting, lines);
    }
}
