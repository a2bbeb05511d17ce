//! May this event run? Answered from the entity's record alone.

use crate::commit::record_timer_id;
use crate::event::Position;
use crate::ids::{ContentHash, EventHash};
use crate::record::{Record, Status, Timer};

/// What admission knows of an event.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    pub event: EventHash,
    pub content: ContentHash,
    pub origin: Origin<'a>,
}

/// How the event came to the lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin<'a> {
    /// Read from an ordered handler's log.
    Log {
        at: Position,
        stream: &'a str,
        created_ns: u64,
    },
    /// Delivered by the shared consumer of an unordered handler.
    Shared { at: Position },
    /// An entry of the durable queue, in the owner's lane.
    Queue {
        at: Position,
        stream: &'a str,
        created_ns: u64,
    },
    /// A timer of the entity.
    Timer { id: &'a str },
}

/// What is to be done with the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    Run,
    Duplicate(Duplicate),
    /// A known id with other content: parked as `id-conflict`.
    Conflict,
    /// Goes behind what waits before it, durably.
    Queue,
    /// It is queued or dead already: its entry is written again, nothing else.
    Rewrite,
    /// It is dead, and later events have passed it: as `Rewrite`.
    RewriteDead,
    /// A lower sequence with a later time: the source was restored. It runs, and
    /// the host alarms.
    RunRestored,
}

/// Why an event counts as done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duplicate {
    /// Its id is remembered, with the same content.
    KnownId,
    /// It lies at or below the cursor, in sequence and in stored time.
    BelowCursor,
    /// It is no longer in the record's queue, or among its timers.
    Resolved,
}

/// Decides over one event. `None` means that the entity has no record.
pub fn admit(record: Option<&Record>, facts: &Facts<'_>) -> Admission {
    match (record, facts.origin) {
        (
            Some(record),
            Origin::Log {
                at,
                stream,
                created_ns,
            },
        ) => admit_log(record, facts, at, stream, created_ns),
        (Some(record), Origin::Shared { at }) => admit_shared(record, facts, at),
        (Some(record), Origin::Queue { at, .. }) => admit_queued(record, facts, at),
        (Some(record), Origin::Timer { id }) => admit_timer(record, id),
        (None, Origin::Log { .. } | Origin::Shared { .. }) => Admission::Run,
        // What stood in the record is gone with it.
        (None, Origin::Queue { .. } | Origin::Timer { .. }) => {
            Admission::Duplicate(Duplicate::Resolved)
        }
    }
}

/// An entry counts only while the record says that it waits.
fn admit_queued(record: &Record, facts: &Facts<'_>, at: Position) -> Admission {
    match record.queue() {
        Some((head, tail)) if (head..=tail).contains(&at.sequence) => {
            admit_known(record, facts).unwrap_or(Admission::Run)
        }
        Some(_) | None => Admission::Duplicate(Duplicate::Resolved),
    }
}

/// A timer runs only while the record holds it: it may have fired elsewhere, or
/// been cancelled or replaced since.
fn admit_timer(record: &Record, id: &str) -> Admission {
    let holds = |timer: &Timer| record_timer_id(timer) == id && !record.is_dead_timer(timer);
    match record.timers.iter().any(holds) {
        true => Admission::Run,
        false => Admission::Duplicate(Duplicate::Resolved),
    }
}

/// Reading a log: queue and cursor speak before the id list, since an entry of
/// the queue must be rewritten whatever else is known of its id.
fn admit_log(
    record: &Record,
    facts: &Facts<'_>,
    at: Position,
    stream: &str,
    created_ns: u64,
) -> Admission {
    if record.dead.iter().any(|dead| dead.sequence == at.sequence) {
        return Admission::RewriteDead;
    }
    if let Some((head, tail)) = record.queue()
        && (head..=tail).contains(&at.sequence)
    {
        return Admission::Rewrite;
    }
    let mut admission = Admission::Run;
    if let Some(cursor) = &record.cursor
        && cursor.stream == stream
        && cursor.created_ns == created_ns
        && at.sequence <= cursor.sequence
    {
        if at.stored_ns <= cursor.stored_ns {
            return Admission::Duplicate(Duplicate::BelowCursor);
        }
        admission = Admission::RunRestored;
    }
    if let Some((_, tail)) = record.queue()
        && at.sequence > tail
    {
        return Admission::Queue;
    }
    if record.status() == Status::Dead {
        return Admission::Queue;
    }
    admit_known(record, facts).unwrap_or(admission)
}

/// An unordered event is its own entity: all that the record can say is that
/// this very event is done, dead or in trouble.
fn admit_shared(record: &Record, facts: &Facts<'_>, at: Position) -> Admission {
    match record.queue() {
        Some((head, tail)) if (head..=tail).contains(&at.sequence) => Admission::Rewrite,
        // Another event under this id: what blocks it may have had other content.
        Some(_) => match admit_known(record, facts) {
            Some(Admission::Duplicate(why)) => Admission::Duplicate(why),
            Some(_) | None => Admission::Queue,
        },
        None => admit_known(record, facts).unwrap_or(Admission::Run),
    }
}

fn admit_known(record: &Record, facts: &Facts<'_>) -> Option<Admission> {
    let seen = record.find(&facts.event)?;
    if seen.content == facts.content {
        return Some(Admission::Duplicate(Duplicate::KnownId));
    }
    Some(Admission::Conflict)
}

#[cfg(test)]
mod tests;
