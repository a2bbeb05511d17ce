//! The shared consumer's ack floor, kept where it survives the consumer: one
//! that vanished is made again from there, never from the manifest's start.

use std::sync::Arc;
use std::time::Duration;

use wharf_core::checkpoint;
use wharf_core::outcome::HostFault;

use crate::clock;
use crate::owner::Owner;

const EVERY: Duration = Duration::from_secs(5);

/// Writes the floor down as it rises, until the drain. Hosts do so side by side
/// and the higher floor stays.
pub async fn keep(owner: Arc<Owner>) {
    loop {
        if let Err(fault) = write(&owner).await {
            owner.handler.report(&fault);
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = owner.leave.cancelled() => return,
        }
    }
}

async fn write(owner: &Owner) -> Result<(), HostFault> {
    let handler = &owner.handler;
    let broker = |e: wharf_jetstream::error::Error| HostFault::broker(e.to_string());
    let consumer = handler
        .api
        .consumer(&handler.source.stream, handler.lineage.as_str())
        .await
        .map_err(broker)?;
    let Some(consumer) = consumer else {
        return Ok(());
    };
    let Some(stored) = handler
        .ledger
        .read_checkpoint(owner.partition)
        .await
        .map_err(broker)?
    else {
        return Ok(());
    };
    let seen = checkpoint::decode(&stored.bytes).map_err(|e| HostFault::record(e.to_string()))?;
    if consumer.ack_floor.stream_seq <= seen.watermark {
        return Ok(());
    }
    let floor = wharf_core::event::Position {
        sequence: consumer.ack_floor.stream_seq,
        stored_ns: 0,
    };
    let next = seen.advanced(floor, 0, clock::now_ms());
    let bytes = bytes::Bytes::from(checkpoint::encode(&next));
    // Lost to another host's write: the next round looks again.
    handler
        .ledger
        .write_checkpoint(owner.partition, stored.revision, bytes)
        .await;
    Ok(())
}
