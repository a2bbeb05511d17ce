//! The shared consumer's ack floor, kept where it survives the consumer: one
//! that vanished is made again from there, never from the manifest's start.

use std::sync::Arc;
use std::time::Duration;

use wharf_core::checkpoint;
use wharf_core::outcome::HostFault;

use crate::clock;
use crate::owner::Owner;

const EVERY: Duration = Duration::from_secs(5);
/// How far ahead of what was delivered the checkpoint's `high` is kept, at the
/// least: four times as far as all hosts together got since the last look, so that
/// they do not get there before the next.
const HIGH_STEP: u64 = 20_000;

/// Writes the floor down as it rises, until the drain. Hosts do so side by side
/// and the higher floor stays.
pub async fn keep(owner: Arc<Owner>) {
    let mut delivered = None;
    loop {
        match write(&owner, delivered).await {
            Ok(now) => delivered = now,
            Err(fault) => owner.handler.report(&fault),
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = owner.leave.cancelled() => return,
        }
    }
}

/// The highest sequence that may have been delivered to a host before now: by
/// the consumer, or by one before it that vanished. When it cannot be told,
/// nothing counts as seen for the first time.
pub async fn delivered_before(owner: &Owner) -> u64 {
    let handler = &owner.handler;
    let (stream, durable) = (&handler.source.stream, handler.lineage.as_str());
    let consumer = handler.api.consumer(stream, durable).await;
    let stored = handler.ledger.read_checkpoint(owner.partition).await;
    match (consumer, stored) {
        (Ok(Some(consumer)), Ok(Some(stored))) => match checkpoint::decode(&stored.bytes) {
            Ok(seen) => seen.high.max(consumer.delivered.stream_seq),
            Err(_) => u64::MAX,
        },
        _ => u64::MAX,
    }
}

/// What was delivered by now; `before` is what was at the last look.
async fn write(owner: &Owner, before: Option<u64>) -> Result<Option<u64>, HostFault> {
    let handler = &owner.handler;
    let broker = |e: wharf_jetstream::error::Error| HostFault::broker(e.to_string());
    let consumer = handler
        .api
        .consumer(&handler.source.stream, handler.lineage.as_str())
        .await
        .map_err(broker)?;
    let Some(consumer) = consumer else {
        return Ok(None);
    };
    let delivered = consumer.delivered.stream_seq;
    let Some(stored) = handler
        .ledger
        .read_checkpoint(owner.partition)
        .await
        .map_err(broker)?
    else {
        return Ok(Some(delivered));
    };
    let seen = checkpoint::decode(&stored.bytes).map_err(|e| HostFault::record(e.to_string()))?;
    // A stream made again begins at 1: the floor of the old one says nothing.
    let same = seen.created_ns == handler.source.created_ns;
    let rose = consumer.ack_floor.stream_seq > seen.watermark;
    let moved = delivered.saturating_sub(before.unwrap_or(delivered));
    let step = HIGH_STEP.max(moved.saturating_mul(4));
    let high = delivered + step;
    if !same || (!rose && high < seen.high + step / 2) {
        return Ok(Some(delivered));
    }
    let floor = wharf_core::event::Position {
        sequence: consumer.ack_floor.stream_seq.max(seen.watermark),
        stored_ns: 0,
    };
    let next = seen.advanced(floor, high.max(seen.high), clock::now_ms());
    let bytes = bytes::Bytes::from(checkpoint::encode(&next));
    // Lost to another host's write: the next round looks again.
    handler
        .ledger
        .write_checkpoint(owner.partition, stored.revision, bytes)
        .await;
    Ok(Some(delivered))
}
