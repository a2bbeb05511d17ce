//! The lanes of one partition, and the tasks that work them.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use futures_util::FutureExt;
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;
use wharf_core::event::Position;
use wharf_core::outcome::HostFault;
use wharf_core::progress::{Bounds, Progress};
use wharf_telemetry::traces::Phase;

use super::lane::{Lane, Settles};
use super::line::{Aside, Start};
use crate::owner::Owner;
use crate::work::{Settlement, Work};

/// Lanes kept once nothing waits in them, for the records that they know.
const IDLE_MAX: usize = 20_000;
/// Bytes of records kept that way.
const IDLE_BYTES_MAX: usize = 32 << 20;

/// All lanes of a partition.
pub struct Lanes {
    owner: Arc<Owner>,
    lanes: HashMap<String, Arc<Lane>>,
    book: Arc<Book>,
    tasks: TaskTracker,
    lane_max: usize,
}

/// What is unsettled, and who is told when it changes.
pub struct Book {
    progress: Mutex<Progress>,
    owner: Arc<Owner>,
    changed: Notify,
}

impl Book {
    pub fn new(owner: Arc<Owner>, watermark: Position) -> Self {
        Self {
            progress: Mutex::new(Progress::new(watermark)),
            owner,
            changed: Notify::new(),
        }
    }

    pub fn receive(&self, at: Position, bytes: u64) {
        self.progress().receive(at, bytes);
    }

    /// Lets the watermark pass an event.
    pub fn settle(&self, at: Position) {
        let watermark = {
            let mut progress = self.progress();
            progress.settle(at.sequence);
            progress.watermark()
        };
        self.owner.passed(watermark.sequence);
        self.changed.notify_one();
    }

    pub fn watermark(&self) -> Position {
        self.progress().watermark()
    }

    /// The last event that came.
    pub fn received(&self) -> Position {
        self.progress().received()
    }

    /// Whether nothing is left of what was received.
    pub fn is_settled(&self) -> bool {
        self.progress().unsettled() == 0
    }

    pub fn credit(&self, bounds: &Bounds) -> (usize, u64) {
        self.progress().credit(bounds)
    }

    /// Resolves when something was settled since the last call.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    fn progress(&self) -> std::sync::MutexGuard<'_, Progress> {
        self.progress.lock().expect("no panic while held")
    }
}

impl Settles for Book {
    fn settled(&self, work: &Work, settlement: Settlement) {
        let began = Instant::now();
        self.owner
            .handler
            .metrics
            .event(settlement.outcome(), work.received.elapsed());
        self.settle(work.event.position);
        work.trace.since(Phase::Settle, began);
        work.trace.end(settlement.outcome());
    }
}

impl Lanes {
    pub fn new(owner: Arc<Owner>, book: Arc<Book>, lane_max: usize) -> Self {
        Self {
            owner,
            lanes: HashMap::new(),
            book,
            tasks: TaskTracker::new(),
            lane_max,
        }
    }

    /// Hands an event to its lane.
    pub fn push(&mut self, work: Work) {
        let lane = self.lane(&work.key);
        let start = lane.line().push(work, self.lane_max);
        self.start(&lane, start);
    }

    /// Hands in what has no place in the log.
    pub fn push_aside(&mut self, key: &str, item: Aside) {
        let lane = self.lane(key);
        let start = lane.line().push_aside(item);
        self.start(&lane, start);
    }

    /// Runs something that the partition waits for when it ends. A panic outside
    /// of any event's line leaves nobody to settle what it held: the owner gives
    /// the partition up and begins again from the checkpoint.
    pub fn aside(&self, task: impl Future<Output = ()> + Send + 'static) {
        let owner = self.owner.clone();
        // An `async` block would hold the task twice.
        self.tasks
            .spawn(AssertUnwindSafe(task).catch_unwind().map(move |ended| {
                if let Err(panic) = ended {
                    owner.handler.report(&HostFault::panic(panic.as_ref()));
                    owner.leave.cancel();
                }
            }));
    }

    /// Spills the followers of heads that have been at work since before `since`.
    pub fn spill_followers(&self, since: Instant) {
        for lane in self.lanes.values() {
            let start = lane.line().spill_followers(since);
            self.start(lane, start);
        }
    }

    /// Forgets idle lanes when there are too many: their records are in the
    /// ledger.
    pub fn trim(&mut self) {
        let bytes: usize = self.lanes.values().map(|lane| lane.entity.weight()).sum();
        if self.lanes.len() > IDLE_MAX || bytes > IDLE_BYTES_MAX {
            let watermark = self.owner.watermark();
            self.lanes.retain(|_, lane| {
                !lane.line().is_idle() || lane.entity.outbox_sequence() > watermark
            });
        }
    }

    /// Resolves when no lane works any more.
    pub fn ended(&self) -> impl Future<Output = ()> + 'static {
        self.tasks.close();
        let tasks = self.tasks.clone();
        async move { tasks.wait().await }
    }

    fn lane(&mut self, key: &str) -> Arc<Lane> {
        if let Some(lane) = self.lanes.get(key) {
            return lane.clone();
        }
        let lane = Arc::new(Lane::new(key.to_owned()));
        self.lanes.insert(key.to_owned(), lane.clone());
        lane
    }

    fn start(&self, lane: &Arc<Lane>, start: Start) {
        let (owner, book, lane) = (self.owner.clone(), self.book.clone(), lane.clone());
        match start {
            Start::Nothing => {}
            Start::Runner => self.aside(async move { lane.run(&owner, &*book).await }),
            Start::Spiller => self.aside(async move { lane.spill(&owner, &*book).await }),
        }
    }
}
