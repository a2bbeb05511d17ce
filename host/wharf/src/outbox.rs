//! Publishing what a commit emitted, in order, under ids that repeat.
//!
//! Emissions of one entity keep their order: one unacknowledged publish at a
//! time. Different entities publish side by side.

use std::collections::BTreeSet;
use std::time::Instant;

use wharf_core::commit;
use wharf_core::outcome::HostFault;
use wharf_core::record::{Emission, Flow, Outbox, Status};
use wharf_jetstream::catalog::lookup;
use wharf_jetstream::codec::{self, Encoded, Outgoing};
use wharf_jetstream::publisher::PublishError;
use wharf_telemetry::metrics::UnsettledState;

use crate::clock;
use crate::entity::{Entity, Write};
use crate::owner::Owner;
use crate::work::{Gauge, Stopped};

/// Between tries of an emission that the broker does not take.
const PAUSE_MS: u64 = 250;
/// Between tries of an emission that the broker refuses for good.
const BLOCKED_PAUSE_MS: u64 = 5_000;

/// Publishes the emissions of a commit made just now.
///
/// # Errors
/// [`Stopped`] when the lane is cut off; the record still holds the outbox.
pub async fn publish(
    owner: &Owner,
    entity: &Entity,
    outbox: &Outbox,
    gauge: &Gauge,
) -> Result<(), Stopped> {
    let started = Instant::now();
    for emission in &outbox.emissions {
        deliver(owner, entity, outbox, emission, gauge, Sent::Never).await?;
    }
    let count = outbox.emissions.len() as u64;
    owner.handler.metrics.published(count, started.elapsed());
    Ok(())
}

/// Publishes what an earlier process may or may not have published.
///
/// # Errors
/// [`Stopped`] when the lane is cut off.
pub async fn publish_again(owner: &Owner, entity: &Entity, outbox: &Outbox) -> Result<(), Stopped> {
    let gauge = Gauge::new(&owner.handler.metrics);
    for emission in &outbox.emissions {
        deliver(owner, entity, outbox, emission, &gauge, Sent::Maybe).await?;
    }
    Ok(())
}

/// Whether the emission can be stored already.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sent {
    Never,
    Maybe,
}

/// Brings one emission into its stream, once.
///
/// Inside the destination's duplicate window a repetition is harmless. Beyond
/// half of it the stream is asked first what it has (interleavings 3 and 22);
/// where it cannot say, nothing is published and the entity is outbox-blocked.
async fn deliver(
    owner: &Owner,
    entity: &Entity,
    outbox: &Outbox,
    emission: &Emission,
    gauge: &Gauge,
    mut sent: Sent,
) -> Result<(), Stopped> {
    let subject = &emission.subject;
    let mut blocked = false;
    loop {
        if sent == Sent::Maybe {
            match Box::pin(already_stored(owner, outbox, emission)).await {
                Ok(Stored::Yes) => break,
                Ok(Stored::No) => {}
                Ok(Stored::Unsure { reason }) => {
                    blocked = true;
                    let message = format!("{subject}: {reason}");
                    Box::pin(block(owner, entity, gauge, "look-up-unsure", &message)).await?;
                    continue;
                }
                Err(fault) => {
                    Box::pin(owner.pause_after(&fault, PAUSE_MS)).await?;
                    continue;
                }
            }
        }
        let answer = match encoded(outgoing(owner, outbox, emission)) {
            Ok(message) => {
                let publisher = &owner.handler.publisher;
                let (subject, headers) = (message.subject, Some(message.headers));
                publisher.publish(subject, headers, message.payload).await
            }
            Err(error) => Err(error),
        };
        match answer {
            Ok(_) => break,
            Err(error) if is_for_good(&error) => {
                blocked = true;
                let message = format!("{subject}: {error}");
                Box::pin(block(owner, entity, gauge, "emission-refused", &message)).await?;
            }
            Err(error) => {
                sent = Sent::Maybe;
                gauge.set(UnsettledState::OutboxBlocked);
                let fault = HostFault::broker(format!("publish to {subject}: {error}"));
                Box::pin(owner.pause_after(&fault, PAUSE_MS)).await?;
            }
        }
    }
    if blocked {
        Box::pin(unblock(owner, entity)).await?;
    }
    gauge.set(UnsettledState::InFlight);
    Ok(())
}

enum Stored {
    Yes,
    No,
    Unsure { reason: String },
}

/// Clocks of two leaders may differ by this much.
const CLOCKS_APART_MS: u64 = 10_000;

async fn already_stored(
    owner: &Owner,
    outbox: &Outbox,
    emission: &Emission,
) -> Result<Stored, HostFault> {
    let version = owner.handler.version();
    // Another version may have sent the type elsewhere.
    let template = version.manifest.emits.get(&emission.event_type);
    let still =
        template.is_some_and(|template| template.pattern().matches(&emission.subject).is_some());
    let destination = version.destinations.get(&emission.event_type);
    let Some(destination) = destination.filter(|_| still) else {
        let reason = format!(
            "the manifest no longer lists `{}` under `[emits]`",
            emission.event_type
        );
        return Ok(Stored::Unsure { reason });
    };
    let age_ms = clock::now_ms().saturating_sub(outbox.committed_ms);
    if age_ms.saturating_mul(2) < destination.duplicate_window_ms {
        return Ok(Stored::No);
    }
    let ids = BTreeSet::from([emission.id.clone()]);
    let question = lookup::Question {
        stream: &destination.stream,
        subject: &emission.subject,
        ids: &ids,
        since_ns: outbox
            .committed_ms
            .saturating_sub(CLOCKS_APART_MS)
            .saturating_mul(1_000_000),
        committed_ns: outbox.committed_ms.saturating_mul(1_000_000),
        scan_max: lookup::SCAN_MAX,
    };
    let answer = lookup::stored(&owner.handler.api, &question).await;
    match answer.map_err(|e| HostFault::broker(e.to_string()))? {
        lookup::Answer::Stored(found) if found.contains(&emission.id) => Ok(Stored::Yes),
        lookup::Answer::Stored(_) => Ok(Stored::No),
        lookup::Answer::Unsure(doubt) => Ok(Stored::Unsure {
            reason: doubt.reason().to_owned(),
        }),
    }
}

/// The check before the commit refuses what cannot be encoded; a record of
/// another version may still hold it.
fn encoded(outgoing: Outgoing<'_>) -> Result<Encoded, PublishError> {
    codec::encode(outgoing).map_err(|error| PublishError::Other {
        code: 0,
        text: error.to_string(),
    })
}

/// Whether trying again cannot help until a person changes something.
fn is_for_good(error: &PublishError) -> bool {
    match error {
        PublishError::TooLarge
        | PublishError::Denied
        | PublishError::BadSubject
        | PublishError::Other { .. } => true,
        PublishError::Unanswered
        | PublishError::NoStream
        | PublishError::Busy { .. }
        | PublishError::Full { .. }
        | PublishError::Unavailable { .. }
        | PublishError::WrongLastSequence { .. }
        | PublishError::Closed => false,
    }
}

/// Marks the entity in its record, where `wharf entity show` finds it, and
/// waits. Later events of the key stay behind it.
async fn block(
    owner: &Owner,
    entity: &Entity,
    gauge: &Gauge,
    code: &str,
    message: &str,
) -> Result<(), Stopped> {
    let (known, _) = entity.load(owner).await?;
    if let Some(record) = known.record()
        && record.status() == Status::Live
    {
        let next = owner.handler.stamp(entity, |stamp| {
            commit::outbox_blocked(record, stamp, code, message)
        });
        entity
            .write(owner, &owner.handler.version(), &known, next)
            .await?;
    }
    gauge.set(UnsettledState::OutboxBlocked);
    owner
        .pause_after(&HostFault::broker(message.to_owned()), BLOCKED_PAUSE_MS)
        .await?;
    gauge.set(UnsettledState::Held);
    Ok(())
}

/// What refused the emission no longer does.
///
/// # Errors
/// [`Stopped`] when the lane is cut off.
pub async fn unblock(owner: &Owner, entity: &Entity) -> Result<(), Stopped> {
    loop {
        let (known, _) = entity.load(owner).await?;
        let Some(record) = known
            .record()
            .filter(|r| r.status() == Status::OutboxBlocked)
        else {
            return Ok(());
        };
        let next = owner
            .handler
            .stamp(entity, |stamp| commit::outbox_freed(record, stamp));
        if let Write::Written(_) = entity
            .write(owner, &owner.handler.version(), &known, next)
            .await?
        {
            return Ok(());
        }
    }
}

fn outgoing<'a>(owner: &'a Owner, outbox: &'a Outbox, emission: &'a Emission) -> Outgoing<'a> {
    let flow = outbox.flow.as_ref();
    let text = |of: fn(&Flow) -> &str| Some(flow.map_or("", of));
    Outgoing {
        subject: &emission.subject,
        id: &emission.id,
        event_type: &emission.event_type,
        source: owner.handler.lineage.as_str(),
        time_ms: outbox.committed_ms,
        content_type: &emission.content_type,
        attributes: emission
            .attributes
            .iter()
            .map(|a| (a.name.as_str(), a.value.as_str()))
            .collect(),
        correlation_id: text(|flow| &flow.correlation_id),
        causation_id: text(|flow| &flow.causation_id),
        hops: flow.map_or(0, |flow| flow.hops),
        traceparent: flow.and_then(|flow| flow.traceparent.as_deref()),
        tracestate: flow.and_then(|flow| flow.tracestate.as_deref()),
        data: bytes::Bytes::copy_from_slice(&emission.data),
    }
}
