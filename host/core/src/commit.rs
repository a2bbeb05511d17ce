//! What the record becomes. Every change of an entity is one of these functions;
//! each gives the whole next record, to be written by compare-and-set.

use crate::admit::{Facts, Origin};
use crate::contract::{Due, Effects, StateChange, TimerChange};
use crate::effects::{Refusal, TIMER_AFTER_MAX_MS};
use crate::ids::{event_hash, timer_id};
use crate::judge::Death;
use crate::manifest::{Dedup, OnDead, StatePolicy};
use crate::record::{
    self, Block, Cursor, DEAD_MAX, DeadEntry, Emission, Flow, Outbox, Record, SeenId, State,
    Status, TIMERS_MAX, Timer,
};

/// What every write of a record carries.
#[derive(Debug, Clone, Copy)]
pub struct Stamp<'a> {
    pub key: &'a str,
    /// Drawn for this write.
    pub commit_id: [u8; 16],
    pub now_ms: u64,
}

/// A change that an event makes.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    pub stamp: Stamp<'a>,
    pub facts: &'a Facts<'a>,
    pub dedup: &'a Dedup,
    pub state: Option<&'a StatePolicy>,
    /// The component that handled it.
    pub digest: &'a [u8],
}

/// Events that go behind a key's head together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Followers {
    /// The lowest and the highest sequence.
    pub first: u64,
    pub last: u64,
    pub count: u32,
}

/// Effects that passed the check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    pub effects: Effects,
    /// The same emissions, addressed.
    pub emissions: Vec<Emission>,
    pub flow: Flow,
}

/// The handler is done with the event.
///
/// # Errors
/// [`Refusal::TooManyTimers`], which only the record can tell.
pub fn done(
    record: Option<&Record>,
    change: &Change<'_>,
    checked: Checked,
) -> Result<Record, Refusal> {
    let mut next = base(record, &change.stamp);
    change.digest.clone_into(&mut next.digest);
    let Checked {
        effects,
        emissions,
        flow,
    } = checked;
    apply_state(&mut next, change, effects.state);
    consume_timer(&mut next, change.facts);
    apply_timers(&mut next, change, effects.timers, &flow)?;
    next.outbox = (!emissions.is_empty()).then(|| outbox(change, emissions, flow));
    settle(&mut next, change);
    Ok(next)
}

/// What goes out of a success that leaves no record, because nothing came before
/// it and its handler takes repetitions. State and timers are none: a manifest
/// that has them promises more.
pub fn unrecorded(change: &Change<'_>, checked: Checked) -> Option<Outbox> {
    let Checked {
        emissions, flow, ..
    } = checked;
    (!emissions.is_empty()).then(|| outbox(change, emissions, flow))
}

/// The event is settled without having run: skipped by a person, or a
/// duplicate whose place in the queue or among the timers must go.
pub fn passed(record: &Record, change: &Change<'_>) -> Record {
    let mut next = base(Some(record), &change.stamp);
    consume_timer(&mut next, change.facts);
    settle(&mut next, change);
    next
}

/// The event waits in its lane; `block` comes from the judge.
pub fn held(record: Option<&Record>, stamp: &Stamp<'_>, block: Block) -> Record {
    let mut next = base(record, stamp);
    next.block = Some(Queue::of(&next).behind(block));
    next
}

/// The event is dead. Written before its entry is; a timer's data stay in the
/// record until then, see [`timer_parked`].
pub fn dead(
    record: Option<&Record>,
    change: &Change<'_>,
    on_dead: OnDead,
    death: &Death,
) -> Record {
    let mut next = base(record, &change.stamp);
    let (sequence, timer) = place(change.facts);
    if on_dead == OnDead::Continue && next.dead.len() < DEAD_MAX {
        settle(&mut next, change);
        let entry = DeadEntry {
            sequence,
            timer_id: timer.to_owned(),
            code: death.code.clone(),
        };
        next.dead.push(entry);
        return next;
    }
    let mut queue = Queue::of(&next);
    // The head leaves the count of those that wait; a dead timer was none, has
    // no sequence, and stands before whatever is queued.
    if let Origin::Queue { .. } = change.facts.origin {
        queue.count = queue.count.saturating_sub(1);
    }
    if sequence > 0 {
        queue.head = sequence;
        queue.tail = queue.tail.max(sequence);
    }
    let mut block = queue.behind(death.block.clone());
    block.set_status(Status::Dead);
    timer.clone_into(&mut block.head_timer);
    next.block = Some(block);
    next
}

/// The entry of a dead timer is written: only now the record may lose its data.
pub fn timer_parked(record: &Record, stamp: &Stamp<'_>, id: &str) -> Record {
    let mut next = base(Some(record), stamp);
    next.timers.retain(|timer| record_timer_id(timer) != id);
    next
}

/// Later events of a blocked or overfull entity go behind it, several at once,
/// since every write rewrites the record. Written before their entries are.
pub fn queued(record: Option<&Record>, stamp: &Stamp<'_>, followers: &Followers) -> Record {
    let Followers { first, last, count } = *followers;
    let mut next = base(record, stamp);
    let mut block = next.block.take().unwrap_or_else(Block::live);
    // What was ahead of the queue may have to go there after it.
    block.head = if block.tail == 0 {
        first
    } else {
        block.head.min(first)
    };
    block.tail = block.tail.max(last);
    block.queued += count;
    next.block = Some(block);
    next
}

/// The outbox of a commit without a sequence has gone out.
pub fn confirmed(record: &Record, stamp: &Stamp<'_>) -> Record {
    let mut next = base(Some(record), stamp);
    next.outbox = None;
    next
}

/// Committed, and the broker refuses an emission for good.
pub fn outbox_blocked(record: &Record, stamp: &Stamp<'_>, code: &str, message: &str) -> Record {
    let mut next = base(Some(record), stamp);
    let mut block = next.block.take().unwrap_or_else(Block::live);
    // What else holds the entity outlives this.
    if block.status() == Status::Live {
        block.set_status(Status::OutboxBlocked);
        code.clone_into(&mut block.code);
        message.clone_into(&mut block.message);
    }
    next.block = Some(block);
    next
}

/// What the queue still names cannot come any more: neither its entries nor
/// their events are there.
pub fn queue_gone(record: &Record, stamp: &Stamp<'_>) -> Record {
    let mut next = base(Some(record), stamp);
    let of_timer = record.troubled_timer().is_some();
    next.block = next.block.take().filter(|_| of_timer).map(|block| Block {
        head: 0,
        tail: 0,
        queued: 0,
        ..block
    });
    next
}

/// The refused emission went out after all.
pub fn outbox_freed(record: &Record, stamp: &Stamp<'_>) -> Record {
    let mut next = base(Some(record), stamp);
    let queue = Queue::of(&next);
    next.block = (queue.tail > 0).then(|| queue.behind(Block::live()));
    next
}

/// How long the record may live: for ever while it holds anything, else the
/// dedup horizon, or the state's own.
pub fn ttl_ms(record: &Record, dedup: &Dedup, state: Option<&StatePolicy>) -> Option<u64> {
    if record.is_held() {
        return None;
    }
    let horizon = crate::backoff::millis(dedup.keep_for);
    match (&record.state, state) {
        (None, _) => Some(horizon),
        (Some(_), Some(policy)) => policy
            .ttl
            .map(|ttl| crate::backoff::millis(ttl).max(horizon)),
        (Some(_), None) => None,
    }
}

fn base(record: Option<&Record>, stamp: &Stamp<'_>) -> Record {
    let mut next = record.cloned().unwrap_or_else(|| Record::new(stamp.key));
    next.commit_id = stamp.commit_id.to_vec();
    next.written_ms = stamp.now_ms;
    next
}

/// The event's id is remembered, its place passed, its troubles forgotten.
///
/// An id that is known already keeps its first content: a conflict does not
/// make the original one.
fn settle(next: &mut Record, change: &Change<'_>) {
    let facts = change.facts;
    if !matches!(facts.origin, Origin::Timer { .. }) && next.find(&facts.event).is_none() {
        let at_s = u32::try_from(change.stamp.now_ms / 1000).unwrap_or(u32::MAX);
        let seen = SeenId {
            event: facts.event,
            content: facts.content,
            at_s,
        };
        let keep_ms = crate::backoff::millis(change.dedup.keep_for);
        next.remember(seen, change.dedup.remember as usize, keep_ms);
    }
    // All of the key up to an entry of the queue is settled too, so the cursor
    // moves with it: the id list alone may be shorter than the queue was.
    if let Origin::Log {
        at,
        stream,
        created_ns,
    }
    | Origin::Queue {
        at,
        stream,
        created_ns,
    } = facts.origin
    {
        // Resolved, it is no longer one that others have passed.
        next.dead.retain(|dead| dead.sequence != at.sequence);
        let highest = next
            .cursor
            .as_ref()
            .filter(|c| c.created_ns == created_ns)
            .map_or(0, |c| c.stored_ns);
        let passed = match facts.origin {
            // An entry may be resolved after later events have passed it.
            Origin::Queue { .. } => next
                .cursor
                .as_ref()
                .filter(|c| c.created_ns == created_ns)
                .map_or(0, |c| c.sequence),
            Origin::Log { .. } | Origin::Shared { .. } | Origin::Timer { .. } => 0,
        };
        next.cursor = Some(Cursor {
            stream: stream.to_owned(),
            created_ns,
            sequence: at.sequence.max(passed),
            stored_ns: highest.max(at.stored_ns),
        });
    }
    let queue = Queue::of(next).without(facts);
    next.block = match next.block.take() {
        Some(block) if keeps_trouble(next, &block, facts) => Some(queue.behind(block)),
        Some(_) | None => (queue.tail > 0).then(|| queue.behind(Block::live())),
    };
}

/// What a block says of the queue, whatever else becomes of it.
#[derive(Clone, Copy)]
struct Queue {
    head: u64,
    tail: u64,
    count: u32,
}

impl Queue {
    fn of(record: &Record) -> Self {
        let block = record.block.as_ref();
        Self {
            head: block.map_or(0, |block| block.head),
            tail: block.map_or(0, |block| block.tail),
            count: block.map_or(0, |block| block.queued),
        }
    }

    /// An entry that is settled leaves, and takes all before it along: they
    /// were settled earlier.
    fn without(self, facts: &Facts<'_>) -> Self {
        let Origin::Queue { at, .. } = facts.origin else {
            return self;
        };
        if !(self.head..=self.tail).contains(&at.sequence) {
            return self;
        }
        if at.sequence == self.tail {
            return Self {
                head: 0,
                tail: 0,
                count: 0,
            };
        }
        Self {
            head: at.sequence + 1,
            count: self.count.saturating_sub(1),
            ..self
        }
    }

    fn behind(self, block: Block) -> Block {
        Block {
            head: self.head,
            tail: self.tail,
            queued: self.count,
            ..block
        }
    }
}

/// A timer's attempts are not an event's to forget, nor the reverse. Trouble of
/// another event of the log is over: it came before this one, and was settled
/// without a word, by a version that does not listen to it.
fn keeps_trouble(next: &Record, block: &Block, facts: &Facts<'_>) -> bool {
    if !block.status().is_trouble() || block.event == facts.event {
        return false;
    }
    match facts.origin {
        Origin::Timer { .. } => true,
        Origin::Log { .. } | Origin::Shared { .. } | Origin::Queue { .. } => {
            next.timers.iter().any(|timer| is_event_of(timer, block))
        }
    }
}

/// Whether a block speaks of the event that a timer comes back as.
pub fn is_event_of(timer: &Timer, block: &Block) -> bool {
    block.event == event_hash(record::TIMER_SOURCE, &record_timer_id(timer))
}

/// The sequence an entry is filed under, or the timer's id.
fn place<'a>(facts: &Facts<'a>) -> (u64, &'a str) {
    match facts.origin {
        Origin::Log { at, .. } | Origin::Shared { at } | Origin::Queue { at, .. } => {
            (at.sequence, "")
        }
        Origin::Timer { id } => (0, id),
    }
}

fn apply_state(next: &mut Record, change: &Change<'_>, state: StateChange) {
    match state {
        StateChange::Keep => {}
        StateChange::Put(data) => {
            let version = change.state.map_or(1, |policy| policy.version);
            next.state = Some(State { version, data });
        }
        StateChange::Delete => next.state = None,
    }
}

fn consume_timer(next: &mut Record, facts: &Facts<'_>) {
    if let Origin::Timer { id } = facts.origin {
        next.timers.retain(|timer| record_timer_id(timer) != id);
    }
}

/// The id of the event that a record's timer comes back as.
pub fn record_timer_id(timer: &Timer) -> String {
    let set_by = timer.set_by.as_slice().try_into().unwrap_or_default();
    timer_id(&timer.name, &set_by, timer.position)
}

fn apply_timers(
    next: &mut Record,
    change: &Change<'_>,
    changes: Vec<TimerChange>,
    flow: &Flow,
) -> Result<(), Refusal> {
    for (position, timer_change) in changes.into_iter().enumerate() {
        match timer_change {
            TimerChange::Cancel(name) => next.timers.retain(|timer| timer.name != name),
            TimerChange::Set(timer) => {
                next.timers.retain(|old| old.name != timer.name);
                next.timers.push(Timer {
                    due_ms: due_ms(timer.due, change.stamp.now_ms),
                    name: timer.name,
                    data: timer.data,
                    set_by: change.facts.event.to_vec(),
                    position: u32::try_from(position).unwrap_or(u32::MAX),
                    flow: Some(flow.clone()),
                });
            }
        }
    }
    if next.timers.len() > TIMERS_MAX {
        return Err(Refusal::TooManyTimers {
            found: next.timers.len(),
        });
    }
    Ok(())
}

fn due_ms(due: Due, now_ms: u64) -> u64 {
    match due {
        Due::AfterMs(after) => now_ms.saturating_add(after),
        Due::AtMs(at) => at.min(now_ms.saturating_add(TIMER_AFTER_MAX_MS)),
    }
}

fn outbox(change: &Change<'_>, emissions: Vec<Emission>, flow: Flow) -> Outbox {
    let sequence = match change.facts.origin {
        Origin::Log { at, .. } | Origin::Shared { at } => at.sequence,
        Origin::Queue { .. } | Origin::Timer { .. } => 0,
    };
    Outbox {
        event: change.facts.event.to_vec(),
        sequence,
        committed_ms: change.stamp.now_ms,
        flow: Some(flow),
        emissions,
    }
}

/// Checks the record's size against what the broker takes, in bytes.
///
/// # Errors
/// [`Refusal::RecordTooLarge`].
pub fn check_size(found: usize, max: u64) -> Result<(), Refusal> {
    match found as u64 > max {
        true => Err(Refusal::RecordTooLarge { found, max }),
        false => Ok(()),
    }
}

/// Whether the outbox may not have gone out yet, as far as the record and the
/// watermark at takeover can tell.
pub fn may_be_unpublished(record: &record::Record, watermark: u64) -> bool {
    let Some(outbox) = &record.outbox else {
        return false;
    };
    outbox.sequence == 0 || outbox.sequence > watermark
}

#[cfg(test)]
mod tests;
