//! One attempt: guest code runs on one event.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use wharf_core::contract;
use wharf_core::judge;
use wharf_core::manifest::Delivery;
use wharf_core::record::{Block, Record};
use wharf_engine::{Attempt, Report, State};
use wharf_telemetry::metrics::UnsettledState;
use wharf_telemetry::traces::Phase;

use crate::clock;
use crate::entity::Known;
use crate::owner::Owner;
use crate::spans;
use crate::version::Version;
use crate::work::{Stopped, Work};

/// An attempt, and the record it was made on.
pub struct Trial {
    pub tried: Tried,
    /// What it ran on, and by which it is judged.
    pub version: Arc<Version>,
    record: Option<Arc<Record>>,
}

/// What stands in for an attempt's result.
pub enum Tried {
    Ran(Box<Report>),
    /// Not run: a known id with other content.
    Conflict,
}

impl Trial {
    pub fn conflict(owner: &Owner, known: &Known) -> Self {
        Self {
            tried: Tried::Conflict,
            version: owner.handler.version(),
            record: known.shared(),
        }
    }

    /// Whether effects computed on the earlier record hold for this one: only
    /// then is a lost compare-and-set no reason to run the handler again.
    pub fn holds_for(&self, known: &Known) -> bool {
        match (self.record.as_deref(), known.record()) {
            (None, None) => true,
            (Some(then), Some(now)) => {
                then.state == now.state && then.cursor == now.cursor && then.ids == now.ids
            }
            (None, Some(_)) | (Some(_), None) => false,
        }
    }
}

/// Runs the handler once, as soon as it may.
///
/// # Errors
/// [`Stopped`] when no attempt may start any more. A running attempt that is
/// cut off comes back as `Outcome::Cancelled`.
pub async fn run(
    owner: &Owner,
    work: &Work,
    known: &Known,
    waiting: Option<&Block>,
) -> Result<Trial, Stopped> {
    let handler = &owner.handler;
    let _permit = match handler.in_flight.try_acquire() {
        Ok(permit) => permit,
        // Only one that waits has a span of it.
        Err(_) => tokio::select! {
            permit = work.trace.span(Phase::LaneWait, handler.in_flight.acquire()) => {
                permit.map_err(|_| Stopped)?
            }
            () = owner.leave.cancelled() => return Err(Stopped),
        },
    };
    owner.may_start().await?;
    work.gauge.set(UnsettledState::InFlight);
    let version = handler.version();
    let block = waiting.or_else(|| known.record().and_then(|record| record.block.as_ref()));
    let event = event(owner, &version, work, block);
    let number = event.attempt;
    let span = work.trace.attempt();
    let state = known.record().and_then(|record| record.state.as_ref());
    let attempt = Attempt {
        event: Arc::new(event),
        data: &work.event.data,
        state: state.map(|state| State {
            bytes: &state.data,
            version: state.version,
        }),
        lineage: handler.lineage_text.clone(),
        trace: spans::of_calls(work, span),
        cancel: owner.cut.clone(),
    };
    work.begun.store(true, Ordering::Relaxed);
    let (key, event_id) = (work.key.as_str(), work.event.id.as_str());
    tracing::debug!(handler = handler.name(), key, event_id, "attempt begins");
    let report = handler.runtime.invoke(&version.component, attempt).await;
    tracing::debug!(handler = handler.name(), key, event_id, "attempt ended");
    version.account(&handler.metrics, &report);
    work.trace.attempted(span, |ended| {
        spans::attempt(number, &version, &report, ended)
    });
    Ok(Trial {
        tried: Tried::Ran(Box::new(report)),
        version,
        record: known.shared(),
    })
}

/// The event as the guest sees it in this attempt.
fn event(owner: &Owner, version: &Version, work: &Work, block: Option<&Block>) -> contract::Event {
    let event = &work.event;
    let facts = work.facts();
    let troubled = block.is_some_and(|block| block.event == facts.event);
    // Without a record, a copy published later cannot be told from the first.
    let remembers = version.manifest.delivery == Delivery::EffectOnce;
    contract::Event {
        id: event.id.clone(),
        source: event.source.clone(),
        event_type: event.event_type.clone(),
        subject: event.subject.clone(),
        key: work.key.clone(),
        content_type: event.content_type.clone(),
        time_ms: event.time_ms,
        now_ms: clock::now_ms(),
        sequence: event.position.sequence,
        attempt: 1 + judge::attempts(block, &facts.event),
        first_try: work.first_seen && remembers && !troubled && !work.begun.load(Ordering::Relaxed),
        idempotency_key: owner.handler.identity(work).idempotency_key(),
        correlation_id: event
            .correlation_id
            .clone()
            .unwrap_or_else(|| event.id.clone()),
        causation_id: event.causation_id.clone(),
        attributes: version.attributes(event),
    }
}
