//! One entity's events, one after another.
//!
//! A lane holds at most `max_lane` events in memory. What comes beyond that, or
//! behind a head that has been at it for longer than `max_hold`, is spilled: put
//! into the ledger behind the head, which settles it, so that one slow key stops
//! no other. When the head is done the lane works its queue off before anything
//! newer.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use wharf_core::entry::{self, Entry};
use wharf_core::outcome::HostFault;
use wharf_core::record::{Record, Status};
use wharf_jetstream::parking::{self, EntryPosition};
use wharf_jetstream::timers::Firing;

use crate::entity::Entity;
use crate::owner::Owner;
use crate::unpack::{self, Unpacked};
use crate::work::{Settlement, Stopped, Work};
use crate::{finish, park, pipeline};

/// The lane of one entity.
pub struct Lane {
    pub entity: Entity,
    line: Mutex<Line>,
    spilled: Notify,
}

#[derive(Default)]
struct Line {
    waiting: VecDeque<Item>,
    /// Events on their way into the ledger, in order.
    spilling: VecDeque<Work>,
    runner: bool,
    spiller: bool,
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

/// What waits in a lane.
pub enum Item {
    Event(Box<Work>),
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

/// Where settlements are reported.
pub trait Settles: Send + Sync {
    fn settled(&self, work: &Work, settlement: Settlement);
}

enum Step {
    Item(Item),
    WorkOff,
    End,
}

impl Lane {
    pub fn new(key: &str) -> Self {
        Self {
            entity: Entity::new(key),
            line: Mutex::default(),
            spilled: Notify::new(),
        }
    }

    /// Takes an event in, behind all others.
    pub fn push(&self, work: Work, lane_max: usize) -> Start {
        let mut line = self.line();
        if line.behind == Behind::Nothing && line.waiting.len() < lane_max {
            line.waiting.push_back(Item::Event(Box::new(work)));
            return line.start_runner();
        }
        if line.behind == Behind::Nothing {
            line.behind = Behind::Queue;
        }
        line.spilling.push_back(work);
        line.start_spiller()
    }

    /// Takes in what has no place in the log and never spills.
    pub fn push_aside(&self, item: Item) -> Start {
        let mut line = self.line();
        line.waiting.push_back(item);
        line.start_runner()
    }

    /// Spills what waits behind a head that has been at work since before
    /// `since`.
    pub fn spill_followers(&self, since: Instant) -> Start {
        let mut line = self.line();
        if line.head_since.is_none_or(|begun| begun > since) {
            return Start::Nothing;
        }
        let waiting = std::mem::take(&mut line.waiting);
        for item in waiting {
            match item {
                Item::Event(work) => line.spilling.push_back(*work),
                Item::Firing(_) | Item::Visit => line.waiting.push_back(item),
            }
        }
        if line.spilling.is_empty() {
            return Start::Nothing;
        }
        line.behind = Behind::Queue;
        line.start_spiller()
    }

    /// Whether nothing of it runs or waits, so that it may be dropped.
    pub fn is_idle(&self) -> bool {
        let line = self.line();
        !line.runner && !line.spiller && line.waiting.is_empty() && line.spilling.is_empty()
    }

    /// Works until nothing is left, or until it has to stop; what is left then
    /// has not happened. Started by whoever got [`Start::Runner`].
    pub async fn run(&self, owner: &Owner, settles: &dyn Settles) {
        loop {
            let ended = match self.next() {
                Step::Item(Item::Event(work)) => self.run_event(owner, settles, &work).await,
                Step::Item(Item::Firing(firing)) => self.run_firing(owner, firing).await,
                Step::Item(Item::Visit) => self.visit(owner).await,
                Step::WorkOff => self.work_off(owner).await,
                Step::End => return,
            };
            if let Err(Stopped) = ended {
                self.line().runner = false;
                return;
            }
        }
    }

    /// Puts spilled events into the ledger, several with one write, then works
    /// them off if nobody else does. Started by whoever got [`Start::Spiller`].
    pub async fn spill(&self, owner: &Owner, settles: &dyn Settles) {
        let start = loop {
            let batch = match self.next_spill() {
                Ok(batch) => batch,
                Err(start) => break start,
            };
            let Ok(settlements) = park::queue_all(owner, &self.entity, &batch).await else {
                self.line().spiller = false;
                return;
            };
            for (work, settlement) in batch.iter().zip(settlements) {
                settles.settled(work, settlement);
            }
            self.spilled.notify_waiters();
        };
        if start == Start::Runner {
            self.run(owner, settles).await;
        }
    }

    async fn run_event(
        &self,
        owner: &Owner,
        settles: &dyn Settles,
        work: &Work,
    ) -> Result<(), Stopped> {
        let settlement = pipeline::process(owner, &self.entity, work).await?;
        match settlement {
            Settlement::Dead | Settlement::Queued => self.line().look_behind(),
            Settlement::Committed | Settlement::Duplicate | Settlement::Ignored => {}
        }
        settles.settled(work, settlement);
        Ok(())
    }

    /// Runs what is due, arms the next timer, and only then lets the firing go.
    async fn run_firing(&self, owner: &Owner, firing: Firing) -> Result<(), Stopped> {
        if self.run_due_timers(owner).await? == 0 {
            // Only the leader may say that there is nothing to fire: a copy can
            // lack a timer that a newer owner's commit has set.
            self.entity.distrust().await;
            self.run_due_timers(owner).await?;
        }
        owner.may_start().await?;
        // Lost with the connection, the firing comes again and finds nothing.
        let _ = firing.token.ack().await;
        Ok(())
    }

    /// How many were due. A blocked entity's come due late: whoever lifts the
    /// block arms them again.
    async fn run_due_timers(&self, owner: &Owner) -> Result<u32, Stopped> {
        let mut due = 0;
        loop {
            let known = finish::load(owner, &self.entity).await?;
            let Some(record) = known.record() else {
                return Ok(due);
            };
            if record.status() == Status::Dead {
                return Ok(due);
            }
            match record.next_timer() {
                Some(timer) if timer.due_ms <= crate::clock::now_ms() => {
                    let work = Work::timer(&self.entity.key, timer, &owner.handler.metrics);
                    pipeline::process(owner, &self.entity, &work).await?;
                    due += 1;
                }
                Some(_) => {
                    finish::arm(owner, &self.entity, record).await?;
                    return Ok(due);
                }
                None => return Ok(due),
            }
        }
    }

    async fn visit(&self, owner: &Owner) -> Result<(), Stopped> {
        self.line().look_behind();
        self.run_due_timers(owner).await.map(|_| ())
    }

    /// Runs the next event of the ledger's queue, if the key may go on.
    async fn work_off(&self, owner: &Owner) -> Result<(), Stopped> {
        let known = finish::load(owner, &self.entity).await?;
        let record = known.record();
        if record.is_some_and(|record| record.status() == Status::Dead) {
            self.line().behind = Behind::Person;
            return Ok(());
        }
        let Some((head, _)) = record.and_then(Record::queue) else {
            let free = self.line().settle_behind();
            return if free {
                Ok(())
            } else {
                self.await_spill(owner).await
            };
        };
        let sequences = self.queued_from(owner, head).await?;
        if sequences.is_empty() {
            return self.await_spill(owner).await;
        }
        for sequence in sequences {
            match self.entry(owner, sequence).await? {
                Some(entry) => self.run_entry(owner, entry).await?,
                None => return self.await_spill(owner).await,
            }
            if self.is_blocked(owner).await? {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn is_blocked(&self, owner: &Owner) -> Result<bool, Stopped> {
        let known = finish::load(owner, &self.entity).await?;
        Ok(known
            .record()
            .is_some_and(|record| record.status() == Status::Dead))
    }

    async fn run_entry(&self, owner: &Owner, entry: Entry) -> Result<(), Stopped> {
        match unpack::queued(&owner.handler, &entry) {
            Unpacked::Work(work) => pipeline::process(owner, &self.entity, &work)
                .await
                .map(|_| ()),
            Unpacked::Ignored(work) => finish::pass(owner, &self.entity, &work).await,
            Unpacked::Stray(work, why) => park::undecodable(owner, &self.entity, &work, &why)
                .await
                .map(|_| ()),
        }
    }

    /// The sequences of the entries from `head` on, in order.
    async fn queued_from(&self, owner: &Owner, head: u64) -> Result<Vec<u64>, Stopped> {
        let positions = loop {
            match owner.handler.parking.list(&self.entity.token).await {
                Ok(positions) => break positions,
                Err(error) => {
                    owner
                        .pause_before(&HostFault::broker(error.to_string()), FAULT_PAUSE_MS)
                        .await?
                }
            }
        };
        let sequence = |position| match position {
            EntryPosition::Stream(sequence) => Some(sequence),
            EntryPosition::Timer(_) => None,
        };
        Ok(positions
            .into_iter()
            .filter_map(sequence)
            .filter(|sequence| *sequence >= head)
            .collect())
    }

    /// None while the entry is not there, or not whole.
    async fn entry(&self, owner: &Owner, sequence: u64) -> Result<Option<Entry>, Stopped> {
        loop {
            let position = EntryPosition::Stream(sequence);
            let fault = match owner
                .handler
                .parking
                .read(&self.entity.token, &position)
                .await
            {
                Ok(parking::Entry::Absent | parking::Entry::Incomplete) => return Ok(None),
                Ok(parking::Entry::Whole(bytes)) => match entry::decode(&bytes) {
                    Ok(entry) => return Ok(Some(entry)),
                    Err(error) => HostFault::record(error.to_string()),
                },
                Err(error) => HostFault::broker(error.to_string()),
            };
            owner.pause_before(&fault, FAULT_PAUSE_MS).await?;
        }
    }

    /// The record speaks of an entry that is not there yet: it is on its way
    /// from this host's spiller, or its event is read again and writes it.
    async fn await_spill(&self, owner: &Owner) -> Result<(), Stopped> {
        let spilled = self.spilled.notified();
        tokio::select! {
            () = spilled => Ok(()),
            () = tokio::time::sleep(SPILL_LOOK) => Ok(()),
            () = owner.leave.cancelled() => Err(Stopped),
        }
    }

    fn next(&self) -> Step {
        let mut line = self.line();
        let step = match (line.waiting.pop_front(), line.behind) {
            (Some(item), _) => Step::Item(item),
            (None, Behind::Queue) => Step::WorkOff,
            (None, Behind::Nothing | Behind::Person) => Step::End,
        };
        line.runner = !matches!(step, Step::End);
        line.head_since = line.runner.then(Instant::now);
        step
    }

    /// The next batch, or what to start when there is none.
    fn next_spill(&self) -> Result<Vec<Work>, Start> {
        let mut line = self.line();
        if line.spilling.is_empty() {
            line.spiller = false;
            return Err(if line.behind == Behind::Queue {
                line.start_runner()
            } else {
                Start::Nothing
            });
        }
        let count = line.spilling.len().min(SPILL_BATCH_MAX);
        Ok(line.spilling.drain(..count).collect())
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().expect("no panic while held")
    }
}

/// Followers that one write of the record covers.
const SPILL_BATCH_MAX: usize = 256;
/// Between tries while the broker does not answer.
const FAULT_PAUSE_MS: u64 = 500;
/// How often an entry that is not there yet is looked for.
const SPILL_LOOK: Duration = Duration::from_millis(200);

impl Line {
    fn start_runner(&mut self) -> Start {
        if std::mem::replace(&mut self.runner, true) {
            Start::Nothing
        } else {
            Start::Runner
        }
    }

    fn start_spiller(&mut self) -> Start {
        if std::mem::replace(&mut self.spiller, true) {
            Start::Nothing
        } else {
            Start::Spiller
        }
    }

    /// The record may say that something is queued.
    fn look_behind(&mut self) {
        self.behind = Behind::Queue;
    }

    /// The record says that nothing is queued: true when nothing is on its way
    /// there either.
    fn settle_behind(&mut self) -> bool {
        let free = self.spilling.is_empty() && !self.spiller;
        if free {
            self.behind = Behind::Nothing;
        }
        free
    }
}
