//! One entity's events, one after another.
//!
//! A lane holds at most `max_lane` events in memory. What comes beyond that, or
//! behind a head that has been at it for longer than `max_hold`, is spilled: put
//! into the ledger behind the head, which settles it, so that one slow key stops
//! no other. When the head is done the lane works its queue off before anything
//! newer.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;
use wharf_core::commit;
use wharf_core::entry::{self, Entry};
use wharf_core::outcome::HostFault;
use wharf_core::record::{Record, Status, Timer};
use wharf_jetstream::parking::{self, EntryPosition};
use wharf_jetstream::timers::Firing;
use wharf_telemetry::traces::Phase;

use super::line::{Aside, Line, Start, Step};
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

/// Where settlements are reported.
pub trait Settles: Send + Sync {
    fn settled(&self, work: &Work, settlement: Settlement);
}

/// What became of the timers that are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// All that were due have run, or wait for a person.
    Ran(u32),
    /// An event in trouble comes first.
    Behind,
}

impl Lane {
    pub fn new(key: String) -> Self {
        Self {
            entity: Entity::new(key),
            line: Mutex::default(),
            spilled: Notify::new(),
        }
    }

    /// What waits in it.
    pub fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().expect("no panic while held")
    }

    /// Works until nothing is left, or until it has to stop; what is left then
    /// has not happened. Started by whoever got [`Start::Runner`].
    pub async fn run(&self, owner: &Owner, settles: &dyn Settles) {
        loop {
            let ended = match self.step() {
                Step::Event(work) => self.run_event(owner, settles, &work).await,
                Step::Aside(item) => Box::pin(self.run_aside(owner, item)).await,
                Step::WorkOff => Box::pin(self.work_off(owner)).await,
                Step::End => return,
            };
            if let Err(Stopped) = ended {
                self.line().stop_runner();
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
                self.line().stop_spiller();
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
        work.trace.waited();
        let troubled = self.run_troubled_timer(owner);
        work.trace.span(Phase::Load, troubled).await?;
        let settlement = pipeline::process(owner, &self.entity, work).await?;
        match settlement {
            Settlement::Dead | Settlement::Queued => self.line().look_behind(),
            Settlement::Committed | Settlement::Duplicate | Settlement::Ignored => {}
        }
        self.line().moved();
        settles.settled(work, settlement);
        Ok(())
    }

    async fn run_aside(&self, owner: &Owner, item: Aside) -> Result<(), Stopped> {
        if let Aside::Visit = item {
            self.line().look_behind();
        }
        if self.run_due_timers(owner).await? == Due::Behind {
            // The event in trouble may be one of the queue.
            self.stall();
            // The lane looks again by itself; the firing would only come again
            // every half minute, and keep those of other keys waiting.
            if let Aside::Firing(firing) = item {
                owner.may_start().await?;
                let _ = firing.token.ack().await;
            }
            return Ok(());
        }
        match item {
            Aside::Firing(firing) => self.let_go(owner, &firing).await,
            Aside::Visit => Ok(()),
        }
    }

    /// Only the leader may say that there is nothing to fire: a copy can lack a
    /// timer that a newer owner's commit has set.
    async fn let_go(&self, owner: &Owner, firing: &Firing) -> Result<(), Stopped> {
        self.entity.distrust().await;
        if self.run_due_timers(owner).await? == Due::Behind {
            self.stall();
        }
        owner.may_start().await?;
        // Lost with the connection, the firing comes again and finds nothing.
        let _ = firing.token.ack().await;
        Ok(())
    }

    fn stall(&self) {
        let mut line = self.line();
        line.stall();
        line.look_behind();
    }

    /// Runs the timers that are due and arms the next. A blocked entity's come
    /// due late: whoever lifts the block arms them again.
    async fn run_due_timers(&self, owner: &Owner) -> Result<Due, Stopped> {
        let mut ran = 0;
        loop {
            let known = finish::load(owner, &self.entity).await?;
            let Some(record) = known.record() else {
                return Ok(Due::Ran(ran));
            };
            if let Some(timer) = record.dead_timer() {
                park::dead_timer(owner, &self.entity, &known, timer).await?;
                continue;
            }
            if record.status() == Status::Dead {
                return Ok(Due::Ran(ran));
            }
            if record.status().is_trouble() && record.troubled_timer().is_none() {
                return Ok(Due::Behind);
            }
            match record.troubled_timer().or_else(|| record.next_timer()) {
                Some(timer) if is_due(record, timer) => {
                    self.run_timer(owner, timer).await?;
                    ran += 1;
                }
                Some(_) => {
                    finish::arm(owner, &self.entity, record).await?;
                    return Ok(Due::Ran(ran));
                }
                None => return Ok(Due::Ran(ran)),
            }
        }
    }

    /// A timer that was in trouble before a restart goes before the events that
    /// waited behind it.
    async fn run_troubled_timer(&self, owner: &Owner) -> Result<(), Stopped> {
        let known = finish::load(owner, &self.entity).await?;
        if let Some(timer) = known.record().and_then(Record::dead_timer) {
            return Box::pin(park::dead_timer(owner, &self.entity, &known, timer)).await;
        }
        match known.record().and_then(Record::troubled_timer) {
            Some(timer) => Box::pin(self.run_timer(owner, timer)).await,
            None => Ok(()),
        }
    }

    async fn run_timer(&self, owner: &Owner, timer: &Timer) -> Result<(), Stopped> {
        let work = Work::timer(&self.entity.key, timer, &owner.handler);
        let settlement = pipeline::process(owner, &self.entity, &work).await?;
        let outcome = settlement.outcome();
        let took = work.received.elapsed();
        owner.handler.metrics.event(outcome, took);
        work.trace.end(outcome);
        if settlement == Settlement::Dead {
            self.line().look_behind();
        }
        Ok(())
    }

    /// Runs what is queued in the ledger, in order, if the key may go on.
    async fn work_off(&self, owner: &Owner) -> Result<(), Stopped> {
        let known = finish::load(owner, &self.entity).await?;
        let record = known.record();
        if record.is_some_and(|record| record.status() == Status::Dead) {
            self.line().wait_for_person();
            return Ok(());
        }
        let Some((head, tail)) = record.and_then(Record::queue) else {
            let free = self.line().settle_behind();
            return if free {
                Ok(())
            } else {
                self.await_spill(owner).await
            };
        };
        // What comes before the queue may have to be read again first, and what
        // is on its way there may come before what is there.
        if owner.read() < tail {
            return self.await_spill(owner).await;
        }
        let sequences = self.ready(owner).await?;
        if sequences.is_empty() {
            return self.await_entries(owner, (head, tail)).await;
        }
        for sequence in sequences {
            match self.entry(owner, sequence).await? {
                Some(entry) => self.run_entry(owner, entry).await?,
                None => return self.await_spill(owner).await,
            }
            self.line().moved();
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
        let token = self.entity.token();
        let _counted = owner.standing.work_off(token, entry.sequence);
        match unpack::queued(&owner.handler, &entry) {
            Unpacked::Work(work) => {
                let settlement = pipeline::process(owner, &self.entity, &work).await?;
                work.trace.end(settlement.outcome());
            }
            Unpacked::Ignored(work) => finish::pass(owner, &self.entity, &work).await?,
            Unpacked::Stray(work, why) => {
                let settlement = park::undecodable(owner, &self.entity, &work, &why).await?;
                work.trace.end(settlement.outcome());
            }
        }
        Ok(())
    }

    /// The sequences of the entries that may run, in order: from the queue's head
    /// up to what is still on its way there. Entries below the head are resolved,
    /// and only a crash kept them from being removed.
    async fn ready(&self, owner: &Owner) -> Result<Vec<u64>, Stopped> {
        // First what spills, then the record: what has begun to spill since is
        // above, and what has ended is in the record.
        let below = self.line().spill_floor().unwrap_or(u64::MAX);
        let known = finish::load(owner, &self.entity).await?;
        let Some((head, _)) = known.record().and_then(Record::queue) else {
            return Ok(Vec::new());
        };
        let mut ready = Vec::new();
        for position in self.entries(owner).await? {
            match position {
                EntryPosition::Stream(sequence) if sequence >= below => {}
                EntryPosition::Stream(sequence) if sequence >= head => ready.push(sequence),
                EntryPosition::Stream(sequence) if !is_listed(known.record(), sequence) => {
                    // Still there, it is found by the next queue of the key.
                    let parking = &owner.handler.parking;
                    let _ = parking.delete(self.entity.token(), &position).await;
                }
                EntryPosition::Stream(_) | EntryPosition::Timer(_) => {}
            }
        }
        Ok(ready)
    }

    async fn entries(&self, owner: &Owner) -> Result<Vec<EntryPosition>, Stopped> {
        loop {
            match owner.handler.parking.list(self.entity.token()).await {
                Ok(positions) => return Ok(positions),
                Err(error) => {
                    let fault = HostFault::broker(error.to_string());
                    owner.pause_before(&fault, FAULT_PAUSE_MS).await?;
                }
            }
        }
    }

    /// The record names entries that are not there. They are on their way from
    /// this host's spiller, or their events are read again and write them;
    /// unless all has been read, and nothing is on its way.
    async fn await_entries(&self, owner: &Owner, queue: (u64, u64)) -> Result<(), Stopped> {
        self.await_spill(owner).await?;
        if self.line().spill_floor().is_some() || !self.ready(owner).await?.is_empty() {
            return Ok(());
        }
        let known = finish::load(owner, &self.entity).await?;
        let Some(record) = known.record().filter(|r| r.queue() == Some(queue)) else {
            return Ok(());
        };
        let lost = record.block.as_ref().map_or(0, |block| block.queued);
        owner.handler.metrics.source_lost(u64::from(lost));
        tracing::error!(
            handler = owner.handler.name(),
            key = self.entity.key,
            head = queue.0,
            tail = queue.1,
            events = lost,
            "events are lost: the queue names events that are neither parked nor in the source any more"
        );
        let next = owner
            .handler
            .stamp(&self.entity, |stamp| commit::queue_gone(record, stamp));
        self.entity
            .write(owner, &owner.handler.version(), &known, next)
            .await
            .map(|_| ())
    }

    /// None while the entry is not there, or not whole.
    async fn entry(&self, owner: &Owner, sequence: u64) -> Result<Option<Entry>, Stopped> {
        loop {
            let position = EntryPosition::Stream(sequence);
            let fault = match owner
                .handler
                .parking
                .read(self.entity.token(), &position)
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

    // The guard must not live across what the step leads to.
    fn step(&self) -> Step {
        self.line().next()
    }

    fn next_spill(&self) -> Result<Vec<Work>, Start> {
        self.line().next_spill()
    }
}

/// Between tries while the broker does not answer.
const FAULT_PAUSE_MS: u64 = 500;
/// How often an entry that is not there yet is looked for.
const SPILL_LOOK: Duration = Duration::from_millis(500);

fn is_listed(record: Option<&Record>, sequence: u64) -> bool {
    record.is_some_and(|record| record.dead.iter().any(|dead| dead.sequence == sequence))
}

/// One in trouble keeps its own time; the pipeline waits for that.
fn is_due(record: &Record, timer: &Timer) -> bool {
    record.troubled_timer().is_some() || timer.due_ms <= crate::clock::now_ms()
}
