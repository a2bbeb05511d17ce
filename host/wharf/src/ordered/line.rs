//! What waits in a lane, and who works on it. No IO: a mutex guards it, and no
//! decision here outlives its call.

use std::collections::VecDeque;
use std::time::Instant;

use wharf_jetstream::timers::Firing;

use crate::work::Work;

/// Followers that one write of the record covers.
const SPILL_BATCH_MAX: usize = 256;

/// What waits in a lane.
#[derive(Default)]
pub struct Line {
    /// Events in stream order.
    waiting: VecDeque<Work>,
    /// What has no place in the log.
    aside: VecDeque<Aside>,
    /// What is aside has to wait until the event in trouble is done.
    stalled: bool,
    /// Events on their way into the ledger.
    spilling: VecDeque<Work>,
    /// The lowest sequence that the spiller is writing just now.
    spilling_from: Option<u64>,
    runner: bool,
    spiller: bool,
    /// The owner ends: nothing is started any more, since what was abandoned
    /// may come before it.
    stopped: bool,
    behind: Behind,
    /// Since when the head is at work.
    head_since: Option<Instant>,
}

/// What of this key is in the ledger's queue. While anything is, later events
/// must go there too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Behind {
    #[default]
    Nothing,
    /// Events that this lane has to work off, there or on their way there.
    Queue,
    /// They wait behind a dead head, for a person.
    Person,
}

/// Work of an entity that is no event of the log.
pub enum Aside {
    Firing(Firing),
    /// Look at the record: an earlier owner left something.
    Visit,
}

/// The task that a caller has to start for the lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    Nothing,
    Runner,
    Spiller,
}

/// What the runner does next.
pub enum Step {
    Event(Box<Work>),
    Aside(Aside),
    /// Work the ledger's queue off.
    WorkOff,
    End,
}

impl Line {
    /// Takes an event in, behind all others.
    pub fn push(&mut self, work: Work, lane_max: usize) -> Start {
        if self.behind == Behind::Nothing && self.waiting.len() < lane_max {
            self.waiting.push_back(work);
            return self.start_runner();
        }
        self.queue_behind();
        self.spilling.push_back(work);
        self.start_spiller()
    }

    /// Takes in what has no place in the log and never spills. One of a kind is
    /// enough: a later firing, or another look, makes the one before it needless.
    pub fn push_aside(&mut self, item: Aside) -> Start {
        let kind = std::mem::discriminant(&item);
        self.aside
            .retain(|other| std::mem::discriminant(other) != kind);
        self.aside.push_back(item);
        self.start_runner()
    }

    /// Spills what waits behind a head that has been at work since before
    /// `since`.
    pub fn spill_followers(&mut self, since: Instant) -> Start {
        if self.head_since.is_none_or(|begun| begun > since) || self.waiting.is_empty() {
            return Start::Nothing;
        }
        // They come before what is spilling already.
        let mut earlier = std::mem::take(&mut self.waiting);
        earlier.append(&mut self.spilling);
        self.spilling = earlier;
        self.queue_behind();
        self.start_spiller()
    }

    /// Whether nothing runs or waits.
    pub fn is_idle(&self) -> bool {
        let empty = self.waiting.is_empty() && self.aside.is_empty() && self.spilling.is_empty();
        empty && !self.runner && !self.spiller
    }

    /// The runner's next step; at the end it is no longer one.
    pub fn next(&mut self) -> Step {
        let aside = if self.stalled {
            None
        } else {
            self.aside.pop_front()
        };
        let step = match aside {
            Some(item) => Step::Aside(item),
            None => match (self.waiting.pop_front(), self.behind) {
                (Some(work), _) => Step::Event(Box::new(work)),
                (None, Behind::Queue) => Step::WorkOff,
                (None, Behind::Nothing | Behind::Person) => Step::End,
            },
        };
        self.runner = !matches!(step, Step::End);
        self.head_since = self.runner.then(Instant::now);
        step
    }

    /// The spiller's next batch, or what it has to start when there is none.
    ///
    /// # Errors
    /// Nothing is left to spill, and the spiller is no longer one.
    pub fn next_spill(&mut self) -> Result<Vec<Work>, Start> {
        if self.spilling.is_empty() {
            self.spiller = false;
            self.spilling_from = None;
            return Err(match self.behind {
                Behind::Queue => self.start_runner(),
                Behind::Nothing | Behind::Person => Start::Nothing,
            });
        }
        let count = self.spilling.len().min(SPILL_BATCH_MAX);
        let batch: Vec<Work> = self.spilling.drain(..count).collect();
        self.spilling_from = batch.iter().map(Work::sequence).min();
        Ok(batch)
    }

    /// The runner had to stop in the middle.
    pub fn stop_runner(&mut self) {
        (self.runner, self.stopped) = (false, true);
    }

    /// The spiller had to stop in the middle.
    pub fn stop_spiller(&mut self) {
        (self.spiller, self.stopped) = (false, true);
    }

    /// An event is done: what is aside may look again.
    pub fn moved(&mut self) {
        self.stalled = false;
    }

    /// What is aside has to wait for the event in trouble.
    pub fn stall(&mut self) {
        self.stalled = true;
        self.aside.push_front(Aside::Visit);
    }

    /// The record may say that something is queued.
    pub fn look_behind(&mut self) {
        self.behind = Behind::Queue;
    }

    /// The record says that the head is dead.
    pub fn wait_for_person(&mut self) {
        self.behind = Behind::Person;
    }

    /// The record says that nothing is queued: true when nothing is on its way
    /// there either.
    pub fn settle_behind(&mut self) -> bool {
        let free = self.spilling.is_empty() && !self.spiller;
        if free {
            self.behind = Behind::Nothing;
        }
        free
    }

    /// Everything of the queue below it is written.
    pub fn spill_floor(&self) -> Option<u64> {
        let waiting = self.spilling.iter().map(Work::sequence).min();
        waiting.into_iter().chain(self.spilling_from).min()
    }

    fn queue_behind(&mut self) {
        if self.behind == Behind::Nothing {
            self.behind = Behind::Queue;
        }
    }

    fn start_runner(&mut self) -> Start {
        if self.stopped || std::mem::replace(&mut self.runner, true) {
            Start::Nothing
        } else {
            Start::Runner
        }
    }

    fn start_spiller(&mut self) -> Start {
        if self.stopped || std::mem::replace(&mut self.spiller, true) {
            Start::Nothing
        } else {
            Start::Spiller
        }
    }
}
