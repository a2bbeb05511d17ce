//! Parked events: dead letters, and what is queued behind a blocked key.
//!
//! Record first, entry second, settle third. An entry is written under the
//! record's revision, so that a host that lost the entity cannot leave a ghost.
//! A crash in between is mended by the event itself, which is read again and
//! finds that it only has to write its entry; a timer, which nobody reads again,
//! stays in the record until its entry is there.

use bytes::Bytes;
use wharf_core::admit::{Admission, admit};
use wharf_core::commit::{self, Followers};
use wharf_core::entry::{self, Entry, QUEUED};
use wharf_core::event::Undecodable;
use wharf_core::judge::Death;
use wharf_core::outcome::HostFault;
use wharf_core::record::{Block, DeadEntry, Status, Timer};
use wharf_core::trace::Context;
use wharf_jetstream::parking::{self, EntryPosition, ParkResult};
use wharf_telemetry::traces::Phase;

use crate::clock;
use crate::entity::{Entity, Known, Write};
use crate::finish;
use crate::owner::Owner;
use crate::work::{Place, Settlement, Stopped, Work};

const PAUSE_MS: u64 = 250;
/// What is kept of the reason why an event is undecodable.
const REASON_BYTES_MAX: usize = 512;

/// A death, and the component that gave the event up.
pub struct Given {
    pub death: Death,
    pub by: [u8; 32],
}

/// The record says that the event is dead; now its entry is written.
///
/// # Errors
/// [`Stopped`] when the lane is cut off: the event, read again, goes on here.
pub async fn dead(
    owner: &Owner,
    entity: &Entity,
    work: &Work,
    known: &Known,
    given: &Given,
) -> Result<Settlement, Stopped> {
    let Given { death, by } = given;
    work.gauge.leave_to_record();
    work.trace.died(&death.code);
    tracing::error!(
        handler = owner.handler.name(),
        event_id = work.event.id,
        key = work.key,
        code = death.code,
        reason = death.message,
        "dead letter"
    );
    let entry = Entry {
        code: death.code.clone(),
        message: death.message.clone(),
        transient: death.block.transient,
        guest_faults: death.block.guest_faults,
        first_failure_ms: death.block.first_failure_ms,
        backtrace: death.backtrace.clone(),
        stderr_tail: death.stderr_tail.clone(),
        digest: by.to_vec(),
        ..describe(owner, work)
    };
    write(owner, entity, work, known, entry).await?;
    if let Place::Timer { id } = &work.place {
        drop_timer(owner, entity, id).await?;
    }
    if let Some(record) = known.record() {
        finish::arm(owner, entity, record).await?;
    }
    Ok(Settlement::Dead)
}

/// A dead timer whose entry may be missing: a crash came between.
///
/// # Errors
/// [`Stopped`] when the lane is cut off.
pub async fn dead_timer(
    owner: &Owner,
    entity: &Entity,
    known: &Known,
    timer: &Timer,
) -> Result<(), Stopped> {
    let work = Work::timer(&entity.key, timer, &owner.handler);
    let (code, message) = cause(known, &work);
    work.trace.died(&code);
    let entry = Entry {
        code,
        message,
        ..describe(owner, &work)
    };
    write(owner, entity, &work, known, entry).await?;
    work.trace.end(Settlement::Dead.outcome());
    drop_timer(owner, entity, &work.event.id).await
}

async fn drop_timer(owner: &Owner, entity: &Entity, id: &str) -> Result<(), Stopped> {
    loop {
        let known = finish::load(owner, entity).await?;
        let Some(record) = known.record() else {
            return Ok(());
        };
        let next = owner
            .handler
            .stamp(entity, |stamp| commit::timer_parked(record, stamp, id));
        if let Write::Written(_) = entity
            .write(owner, &owner.handler.version(), &known, next)
            .await?
        {
            return Ok(());
        }
    }
}

/// The event is dead or queued already, and was read again: a crash may have
/// come between record and entry.
///
/// # Errors
/// [`Stopped`] when the lane is cut off.
pub async fn rewrite(owner: &Owner, entity: &Entity, work: &Work) -> Result<Settlement, Stopped> {
    let known = finish::load(owner, entity).await?;
    let (code, message) = cause(&known, work);
    let settlement = if code == QUEUED {
        Settlement::Queued
    } else {
        Settlement::Dead
    };
    let parked = owner
        .handler
        .parking
        .read(entity.token(), &position(work))
        .await;
    // One that was queued and is dead since says so from now on.
    if let Ok(parking::Entry::Whole(bytes)) = parked
        && entry::decode(&bytes).is_ok_and(|entry| entry.code == code)
    {
        return Ok(settlement);
    }
    write(
        owner,
        entity,
        work,
        &known,
        Entry {
            code,
            message,
            ..describe(owner, work)
        },
    )
    .await?;
    Ok(settlement)
}

/// Puts an event behind what blocks its key.
///
/// # Errors
/// [`Stopped`] when the lane is cut off.
pub async fn queue(owner: &Owner, entity: &Entity, work: &Work) -> Result<Settlement, Stopped> {
    let settled = queue_all(owner, entity, std::slice::from_ref(work)).await?;
    Ok(settled[0])
}

/// Puts followers behind the head of their key, with one write of the record.
/// What turns out to be done already is settled as a duplicate.
///
/// # Errors
/// [`Stopped`] when the lane is cut off.
pub async fn queue_all(
    owner: &Owner,
    entity: &Entity,
    works: &[Work],
) -> Result<Vec<Settlement>, Stopped> {
    loop {
        let known = finish::load(owner, entity).await?;
        let admissions: Vec<Admission> = works
            .iter()
            .map(|w| admit(known.record(), &w.facts()))
            .collect();
        let sequences = || {
            let waiting = works
                .iter()
                .zip(&admissions)
                .filter(|(_, admission)| waits(admission));
            waiting.map(|(work, _)| work.event.position.sequence)
        };
        let known = match (sequences().min(), sequences().max()) {
            (Some(first), Some(last)) => {
                let count = u32::try_from(sequences().count()).unwrap_or(u32::MAX);
                let followers = Followers { first, last, count };
                let next = owner.handler.stamp(entity, |stamp| {
                    commit::queued(known.record(), stamp, &followers)
                });
                match entity
                    .write(owner, &owner.handler.version(), &known, next)
                    .await?
                {
                    Write::Written(known) => known,
                    Write::Lost => continue,
                }
            }
            _ => known,
        };
        works.iter().for_each(|work| work.gauge.leave_to_record());
        let mut settlements = Vec::with_capacity(works.len());
        for (work, admission) in works.iter().zip(&admissions) {
            settlements.push(queue_entry(owner, entity, work, &known, admission).await?);
        }
        return Ok(settlements);
    }
}

/// Whether an event goes behind the queue. One that would conflict goes too: it
/// is judged when its turn comes.
fn waits(admission: &Admission) -> bool {
    match admission {
        Admission::Run | Admission::RunRestored | Admission::Conflict | Admission::Queue => true,
        Admission::Duplicate(_) | Admission::Rewrite | Admission::RewriteDead => false,
    }
}

async fn queue_entry(
    owner: &Owner,
    entity: &Entity,
    work: &Work,
    known: &Known,
    admission: &Admission,
) -> Result<Settlement, Stopped> {
    match admission {
        Admission::Duplicate(_) => Ok(Settlement::Duplicate),
        Admission::Rewrite | Admission::RewriteDead => rewrite(owner, entity, work).await,
        Admission::Run | Admission::RunRestored | Admission::Conflict | Admission::Queue => {
            let entry = Entry {
                code: QUEUED.into(),
                ..describe(owner, work)
            };
            write(owner, entity, work, known, entry).await?;
            Ok(Settlement::Queued)
        }
    }
}

/// Parks bytes that are no event. A stray is an entity of its own: nothing waits
/// behind it, and nobody can mistake it for a key.
///
/// # Errors
/// [`Stopped`] when the lane is cut off.
pub async fn stray(
    owner: &Owner,
    entity: &Entity,
    work: &Work,
    why: &Undecodable,
) -> Result<Settlement, Stopped> {
    let known = finish::load(owner, entity).await?;
    match known.record() {
        Some(_) => rewrite(owner, entity, work).await,
        None => undecodable(owner, entity, work, why).await,
    }
}

/// Makes an event that cannot be decoded a dead letter of this entity.
///
/// # Errors
/// [`Stopped`] when the lane is cut off.
pub async fn undecodable(
    owner: &Owner,
    entity: &Entity,
    work: &Work,
    why: &Undecodable,
) -> Result<Settlement, Stopped> {
    let message = shortened(why.to_string());
    let block = Block {
        code: why.code().into(),
        message: message.clone(),
        ..Block::default()
    };
    let (backtrace, stderr_tail) = (String::new(), String::new());
    let death = Death {
        code: why.code().into(),
        message,
        block,
        backtrace,
        stderr_tail,
    };
    let version = owner.handler.version();
    let (on_dead, by) = (version.manifest.on_dead, version.digest());
    let given = Given { death, by };
    owner.may_start().await?;
    loop {
        let known = finish::load(owner, entity).await?;
        if let (Place::Queue { .. }, Some(record)) = (&work.place, known.record())
            && !finish::is_queued(record, work)
        {
            remove_resolved(owner, entity, work, &known).await?;
            return Ok(Settlement::Duplicate);
        }
        let next = owner.handler.change(entity, work, |change| {
            commit::dead(known.record(), change, on_dead, &given.death)
        });
        if let Write::Written(known) = entity
            .write(owner, &owner.handler.version(), &known, next)
            .await?
        {
            return dead(owner, entity, work, &known, &given).await;
        }
    }
}

/// The reason repeats names and types that the event chose, which may be as
/// large as the event; the record would not fit a message then.
fn shortened(mut reason: String) -> String {
    reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
    reason
}

/// An entry of the queue is settled by a commit: it goes, unless that commit
/// listed it as dead.
///
/// # Errors
/// [`Stopped`] when the lane is cut off.
pub async fn remove_resolved(
    owner: &Owner,
    entity: &Entity,
    work: &Work,
    known: &Known,
) -> Result<(), Stopped> {
    let sequence = work.event.position.sequence;
    if known
        .record()
        .is_some_and(|record| record.dead.iter().any(|dead| dead.sequence == sequence))
    {
        return Ok(());
    }
    loop {
        match owner
            .handler
            .parking
            .delete(entity.token(), &position(work))
            .await
        {
            Ok(_) => return Ok(()),
            Err(error) => {
                owner
                    .pause_after(&HostFault::broker(error.to_string()), PAUSE_MS)
                    .await?;
            }
        }
    }
}

async fn write(
    owner: &Owner,
    entity: &Entity,
    work: &Work,
    known: &Known,
    entry: Entry,
) -> Result<(), Stopped> {
    let write = write_entry(owner, entity, work, known, entry);
    work.trace.span(Phase::Park, write).await
}

async fn write_entry(
    owner: &Owner,
    entity: &Entity,
    work: &Work,
    known: &Known,
    entry: Entry,
) -> Result<(), Stopped> {
    let bytes = bytes::Bytes::from(entry::encode(&entry));
    let mut revision = known.revision;
    loop {
        let parking = &owner.handler.parking;
        match parking
            .write(entity.token(), &position(work), &bytes, revision)
            .await
        {
            ParkResult::Parked => return Ok(()),
            ParkResult::Superseded => {
                // The record moved on, by this owner or another: the entry is
                // owed only while it says so.
                if finish::load(owner, entity).await?.revision == revision {
                    entity.distrust().await;
                }
                let known = finish::load(owner, entity).await?;
                if !still_owed(&known, work) {
                    return Ok(());
                }
                revision = known.revision;
            }
            other => {
                owner
                    .pause_after(&HostFault::broker(format!("park: {other:?}")), PAUSE_MS)
                    .await?;
            }
        }
    }
}

fn still_owed(known: &Known, work: &Work) -> bool {
    let Some(record) = known.record() else {
        return false;
    };
    let sequence = work.event.position.sequence;
    let listed = record.dead.iter().any(|dead| match &work.place {
        Place::Timer { id } => dead.timer_id == *id,
        Place::Log { .. } | Place::Queue { .. } | Place::Shared => dead.sequence == sequence,
    });
    let blocks = record
        .block
        .as_ref()
        .is_some_and(|block| match &work.place {
            Place::Timer { id } => block.head_timer == *id,
            Place::Log { .. } | Place::Queue { .. } | Place::Shared => {
                (block.head..=block.tail).contains(&sequence)
            }
        });
    listed || blocks
}

/// What the record says about an event that is dead or queued.
fn cause(known: &Known, work: &Work) -> (String, String) {
    let Some(record) = known.record() else {
        return (QUEUED.into(), String::new());
    };
    let sequence = work.sequence();
    let is_this = |dead: &&DeadEntry| match &work.place {
        Place::Timer { id } => dead.timer_id == *id,
        Place::Log { .. } | Place::Queue { .. } | Place::Shared => dead.sequence == sequence,
    };
    if let Some(dead) = record.dead.iter().find(is_this) {
        return (dead.code.clone(), String::new());
    }
    let heads = |block: &Block| match &work.place {
        Place::Timer { id } => block.head_timer == *id,
        Place::Log { .. } | Place::Queue { .. } | Place::Shared => block.head == sequence,
    };
    match &record.block {
        Some(block) if block.status() == Status::Dead && heads(block) => {
            (block.code.clone(), block.message.clone())
        }
        _ => (QUEUED.into(), String::new()),
    }
}

fn position(work: &Work) -> EntryPosition {
    match &work.place {
        Place::Timer { id } => EntryPosition::Timer(wharf_core::ids::entity_token(id)),
        Place::Log { .. } | Place::Queue { .. } | Place::Shared => {
            EntryPosition::Stream(work.event.position.sequence)
        }
    }
}

fn describe(owner: &Owner, work: &Work) -> Entry {
    let event = &work.event;
    let source = &owner.handler.source;
    let origin = work.delivery.as_ref().map(|delivery| &delivery.origin);
    let (timer_id, subject, header_block, data) = match (&work.place, &work.delivery) {
        (Place::Timer { id }, _) => (id.clone(), String::new(), Bytes::new(), event.data.clone()),
        (_, Some(delivery)) => (
            String::new(),
            delivery.subject.clone(),
            delivery.headers.block(),
            delivery.payload.clone(),
        ),
        (_, None) => (
            String::new(),
            event.subject.clone(),
            Bytes::new(),
            event.data.clone(),
        ),
    };
    Entry {
        key: work.key.clone(),
        stream: source.stream.clone(),
        created_ns: origin.map_or(source.created_ns, |origin| origin.created_ns),
        sequence: event.position.sequence,
        stored_ns: event.position.stored_ns,
        subject,
        header_block,
        data,
        trace_id: work
            .traceparent()
            .and_then(|text| Context::parse(&text))
            .map(Context::trace_id_text)
            .unwrap_or_default(),
        parked_ms: clock::now_ms(),
        event_id: event.id.clone(),
        event_type: event.event_type.clone(),
        timer_id,
        ..Entry::default()
    }
}
