//! What is owed after a commit: publish the outbox, arm the timer, confirm.
//!
//! Everything owed stands in the record, so whoever loads it later can finish
//! what a crash left undone. That is what [`load`] does before it lets anyone
//! admit an event.

use wharf_core::admit::Duplicate;
use wharf_core::commit;
use wharf_core::record::{Outbox, Record, Status};
use wharf_telemetry::traces::Phase;

use crate::entity::{Entity, Known, Leftovers, Write};
use crate::owner::Owner;
use crate::work::{Place, Settlement, Stopped, Work};
use crate::{outbox, park};

/// Loads the entity's record and finishes what an earlier owner left of it.
///
/// # Errors
/// [`Stopped`] when the lane has to end first.
pub async fn load(owner: &Owner, entity: &Entity) -> Result<Known, Stopped> {
    loop {
        let (known, leftovers) = entity.load(owner).await?;
        if leftovers == Leftovers::Finished {
            return Ok(known);
        }
        let _alone = entity.finishing.lock().await;
        let (known, leftovers) = entity.load(owner).await?;
        if let Leftovers::Unknown { load } = leftovers {
            Box::pin(finish(owner, entity, &known)).await?;
            entity.finished(load).await;
        }
    }
}

async fn finish(owner: &Owner, entity: &Entity, known: &Known) -> Result<(), Stopped> {
    let unpublished = known
        .record()
        .filter(|record| commit::may_be_unpublished(record, owner.watermark()));
    if let Some(left) = unpublished.and_then(|record| record.outbox.as_ref()) {
        outbox::publish_again(owner, entity, left).await?;
        confirm(owner, entity, left).await?;
    }
    match known.record().map(Record::status) {
        Some(Status::OutboxBlocked) => outbox::unblock(owner, entity).await,
        Some(_) | None => Ok(()),
    }
}

/// The record is written: everything in it now goes out, then the event is
/// settled.
///
/// # Errors
/// [`Stopped`] when the lane is cut off; the record still says what is owed.
pub async fn committed(
    owner: &Owner,
    entity: &Entity,
    work: &Work,
    before: &Known,
    now: &Known,
) -> Result<Settlement, Stopped> {
    let Some(record) = now.record() else {
        return Ok(Settlement::Committed);
    };
    if let Some(out) = &record.outbox {
        publish(owner, entity, work, out).await?;
    }
    // A schedule that stands already needs no other; the sweep at a takeover
    // makes up for one that a crash kept from being made.
    if next_due(before) != next_due(now) {
        Box::pin(arm(owner, entity, record)).await?;
    }
    if let Some(out) = &record.outbox {
        confirm(owner, entity, out).await?;
    }
    let evicted = |known: &Known| known.record().map_or(0, |record| record.ids_evicted_early);
    owner
        .handler
        .metrics
        .ids_evicted_early(evicted(now) - evicted(before).min(evicted(now)));
    if let Place::Queue { .. } = work.place {
        Box::pin(park::remove_resolved(owner, entity, work, now)).await?;
    }
    Ok(Settlement::Committed)
}

/// The event is done already. Its place in the queue must go all the same.
///
/// # Errors
/// [`Stopped`] when the lane has to end first.
pub async fn duplicate(
    owner: &Owner,
    entity: &Entity,
    work: &Work,
    why: Duplicate,
) -> Result<Settlement, Stopped> {
    tracing::debug!(
        handler = owner.handler.name(),
        event_id = work.event.id,
        key = work.key,
        ?why,
        "duplicate"
    );
    if let Place::Queue { .. } = work.place {
        pass(owner, entity, work).await?;
    }
    Ok(Settlement::Duplicate)
}

/// This version does not listen to the event. If an earlier one had trouble with
/// it, that is over.
///
/// # Errors
/// [`Stopped`] when the lane has to end first.
pub async fn ignored(owner: &Owner, entity: &Entity, work: &Work) -> Result<Settlement, Stopped> {
    loop {
        let known = load(owner, entity).await?;
        let event = work.facts().event;
        let troubled = |record: &&Record| {
            let block = record.block.as_ref();
            block.is_some_and(|block| block.status().is_trouble() && block.event == event)
        };
        let Some(record) = known.record().filter(troubled) else {
            return Ok(Settlement::Ignored);
        };
        let next = owner
            .handler
            .change(entity, work, |change| commit::passed(record, change));
        entity
            .write(owner, &owner.handler.version(), &known, next)
            .await?;
    }
}

/// Takes an event that needs no work out of the queue, if it is still there.
///
/// # Errors
/// [`Stopped`] when the lane has to end first.
pub async fn pass(owner: &Owner, entity: &Entity, work: &Work) -> Result<(), Stopped> {
    owner.may_start().await?;
    loop {
        let known = load(owner, entity).await?;
        let Some(record) = known.record().filter(|record| is_queued(record, work)) else {
            return park::remove_resolved(owner, entity, work, &known).await;
        };
        let next = owner
            .handler
            .change(entity, work, |change| commit::passed(record, change));
        if let Write::Written(known) = entity
            .write(owner, &owner.handler.version(), &known, next)
            .await?
        {
            return park::remove_resolved(owner, entity, work, &known).await;
        }
    }
}

/// Whether the record says that the event waits in its queue.
pub fn is_queued(record: &Record, work: &Work) -> bool {
    let range = record.queue();
    range.is_some_and(|(head, tail)| (head..=tail).contains(&work.sequence()))
}

/// An at-least-once handler's success: what it emits has an id of its own, so a
/// repetition is seen once by whoever reads it through a deduplicating stream.
///
/// # Errors
/// [`Stopped`] when the lane is cut off; the event is then delivered again.
pub async fn emit_only(
    owner: &Owner,
    entity: &Entity,
    work: &Work,
    out: Option<Outbox>,
) -> Result<Settlement, Stopped> {
    if let Some(out) = &out {
        publish(owner, entity, work, out).await?;
    }
    Ok(Settlement::Committed)
}

async fn publish(owner: &Owner, entity: &Entity, work: &Work, out: &Outbox) -> Result<(), Stopped> {
    let phase = Phase::Publish(out.emissions.len());
    let publish = outbox::publish(owner, entity, out, &work.gauge);
    work.trace.span(phase, publish).await
}

/// Says to the timer stream when to look at this entity next.
///
/// # Errors
/// [`Stopped`] when the lane is cut off.
pub async fn arm(owner: &Owner, entity: &Entity, record: &Record) -> Result<(), Stopped> {
    let Some(timer) = record.next_timer() else {
        return Ok(());
    };
    owner.handler.arm(owner, entity, timer.due_ms).await
}

fn next_due(known: &Known) -> Option<u64> {
    known
        .record()
        .and_then(Record::next_timer)
        .map(|timer| timer.due_ms)
}

/// Nothing but the record tells that the outbox of a commit without a sequence
/// has gone out, so that is written before its firing is acknowledged.
async fn confirm(owner: &Owner, entity: &Entity, out: &Outbox) -> Result<(), Stopped> {
    loop {
        let (known, _) = entity.load(owner).await?;
        let owed = known.record().filter(|record| {
            let outbox = record.outbox.as_ref();
            record.owes_confirmation() && outbox.is_some_and(|outbox| outbox.event == out.event)
        });
        let Some(record) = owed else { return Ok(()) };
        let next = owner
            .handler
            .stamp(entity, |stamp| commit::confirmed(record, stamp));
        // Lost to this owner's own spiller, it is tried again.
        let by = owner.handler.version();
        let written = Box::pin(entity.write(owner, &by, &known, next)).await?;
        if let Write::Written(_) = written {
            return Ok(());
        }
    }
}
