//! One event, one straight line.
//!
//!     load → admit → invoke → judge → check → commit → publish → settle
//!
//! A lane calls [`process`] for one event of one entity at a time. It returns
//! when the event is settled, or when the lane has to stop; in between it may
//! hold the event for as long as the policy says. Whatever fails on the host's
//! side is tried again and never counts as an attempt. Letting the watermark
//! pass, or acknowledging, is the caller's: it owns the delivery.
//!
//! Thousands of events are held at once, each as a future of this line. So what
//! most of them never come to is boxed, and the attempt too, since few run at a
//! time.

use std::ops::ControlFlow;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use wharf_core::admit::{Admission, admit};
use wharf_core::judge::HoldReason;
use wharf_core::outcome::HostFault;
use wharf_core::record::{Block, Record, Status};
use wharf_telemetry::traces::Phase;

use crate::attempt::{self, Trial};
use crate::decide::{Decided, Decision, decide};
use crate::entity::{Entity, Known, Write};
use crate::owner::Owner;
use crate::park::Given;
use crate::version::Version;
use crate::work::{Settlement, Stopped, Work};
use crate::{finish, park};

/// Brings an event to its end. A panic of the host is a host fault like any
/// other: it holds this event, and ends neither the host nor the lane.
///
/// # Errors
/// [`Stopped`] when the lane has to end first: the event has then not happened,
/// and whoever reads it again finishes it.
///
/// # Cancel safety
/// Safe: everything durable is one compare-and-set, and what is owed after it
/// is found in the record again.
pub async fn process(owner: &Owner, entity: &Entity, work: &Work) -> Result<Settlement, Stopped> {
    work.trace.waited();
    loop {
        match AssertUnwindSafe(straight(owner, entity, work))
            .catch_unwind()
            .await
        {
            Ok(ended) => return ended,
            Err(panic) => {
                entity.distrust().await;
                work.gauge.give_up_slot();
                owner
                    .pause_before(&HostFault::panic(panic.as_ref()), PANIC_PAUSE_MS)
                    .await?;
            }
        }
    }
}

/// Before an event on which the host panicked is tried again.
const PANIC_PAUSE_MS: u64 = 5_000;

async fn straight(owner: &Owner, entity: &Entity, work: &Work) -> Result<Settlement, Stopped> {
    let mut waiting: Option<Block> = None;
    let mut tried: Option<Trial> = None;
    loop {
        let known = match admitted(owner, entity, work, &mut tried).await? {
            ControlFlow::Continue(known) => known,
            ControlFlow::Break(settlement) => return Ok(settlement),
        };
        // Effects that were computed on another record are worth nothing.
        tried = tried.filter(|trial| trial.holds_for(&known));
        if waiting.is_none() && tried.is_none() {
            waiting = Box::pin(resume_hold(owner, work, &known)).await?;
        }
        let trial = match tried.take() {
            Some(trial) => trial,
            None => Box::pin(attempt::run(owner, work, &known, waiting.as_ref())).await?,
        };
        let by = &trial.version;
        let Decided { decision, saw } =
            decide(owner, entity, work, &known, waiting.as_ref(), &trial);
        let counts = || {
            let watchdog = &owner.handler.watchdog;
            watchdog.saw(by.number, work.facts().event, &saw);
        };
        match decision {
            Decision::Commit(next) => match commit(owner, entity, work, by, &known, next).await? {
                Write::Written(now) => {
                    counts();
                    return finish::committed(owner, entity, work, &known, &now).await;
                }
                Write::Lost => tried = Some(trial),
            },
            Decision::EmitOnly(outbox) => {
                counts();
                return finish::emit_only(owner, entity, work, outbox).await;
            }
            Decision::Dead(next, death) => {
                match commit(owner, entity, work, by, &known, next).await? {
                    Write::Written(known) => {
                        counts();
                        let by = by.digest();
                        let given = Given { death, by };
                        return Box::pin(park::dead(owner, entity, work, &known, &given)).await;
                    }
                    Write::Lost => tried = Some(trial),
                }
            }
            Decision::Hold {
                next,
                block,
                reason,
            } => match Box::pin(record_hold(owner, entity, work, by, &known, next)).await? {
                Write::Written(_) => {
                    counts();
                    waiting = Some(Box::pin(owner.hold(work, block, reason)).await?);
                }
                Write::Lost => tried = Some(trial),
            },
            Decision::Pause { fault, delay_ms } => {
                work.gauge.give_up_slot();
                Box::pin(owner.pause_before(&fault, delay_ms)).await?;
            }
            Decision::Release => return Err(Stopped),
        }
    }
}

/// The record, when the event is to be handled; otherwise how it was settled
/// without that.
async fn admitted(
    owner: &Owner,
    entity: &Entity,
    work: &Work,
    tried: &mut Option<Trial>,
) -> Result<ControlFlow<Settlement, Known>, Stopped> {
    if tried.is_none() {
        owner.may_start().await?;
    }
    let load = work.gauge.while_quick(finish::load(owner, entity));
    let known = work.trace.span(Phase::Load, load).await?;
    let settlement = match admit(known.record(), &work.facts()) {
        Admission::Run | Admission::RunRestored | Admission::Conflict
            if owner.handler.ignores(work) =>
        {
            Box::pin(finish::ignored(owner, entity, work)).await?
        }
        Admission::Run => return Ok(ControlFlow::Continue(known)),
        Admission::RunRestored => {
            owner.handler.alarm_restored(work);
            return Ok(ControlFlow::Continue(known));
        }
        Admission::Conflict => {
            *tried = Some(Trial::conflict(owner, &known));
            return Ok(ControlFlow::Continue(known));
        }
        Admission::Duplicate(why) => Box::pin(finish::duplicate(owner, entity, work, why)).await?,
        Admission::Queue => Box::pin(park::queue(owner, entity, work)).await?,
        Admission::Rewrite | Admission::RewriteDead => {
            Box::pin(park::rewrite(owner, entity, work)).await?
        }
    };
    Ok(ControlFlow::Break(settlement))
}

/// Writes the next record over the one that the attempt was made on.
fn commit<'a>(
    owner: &'a Owner,
    entity: &'a Entity,
    work: &'a Work,
    by: &'a Version,
    known: &'a Known,
    next: Record,
) -> impl Future<Output = Result<Write, Stopped>> + 'a {
    let write = entity.write(owner, by, known, next);
    work.trace.span(Phase::Commit, write)
}

/// A restart does not shorten a backoff: an event in trouble waits until its
/// time first.
async fn resume_hold(owner: &Owner, work: &Work, known: &Known) -> Result<Option<Block>, Stopped> {
    let block = known.record().and_then(|record| record.block.as_ref());
    let Some(block) = block.filter(|block| block.event == work.facts().event) else {
        return Ok(None);
    };
    let reason = match block.status() {
        Status::Retrying => HoldReason::Retrying,
        Status::WaitingNeed => HoldReason::WaitingNeed,
        Status::NotReady => HoldReason::NotReady,
        Status::Live | Status::Dead | Status::OutboxBlocked => return Ok(None),
    };
    owner.hold(work, block.clone(), reason).await.map(Some)
}

/// Attempts are in the record before the next one can start; a hold that
/// changes nothing worth remembering is not written.
async fn record_hold(
    owner: &Owner,
    entity: &Entity,
    work: &Work,
    by: &Version,
    known: &Known,
    next: Option<Record>,
) -> Result<Write, Stopped> {
    match next {
        Some(next) => commit(owner, entity, work, by, known, next).await,
        None => Ok(Write::Written(known.clone())),
    }
}
