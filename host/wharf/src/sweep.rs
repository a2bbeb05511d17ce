//! At takeover: entities that an earlier owner left with something to do.
//!
//! Timers, queues and owed outboxes stand in the records; what says "look at
//! this entity" may be lost with a stream or a crash. One pass over the headers
//! of all records finds those that hold anything, beside the first events.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::mpsc;
use wharf_core::outcome::HostFault;
use wharf_core::record::{self, Record};

use crate::ordered::lanes::Lanes;
use crate::owner::Owner;

/// Entities on their way from the sweep to their lanes.
const AHEAD: usize = 64;

/// Counts what stands still, for a handler whose entities have no lanes.
pub async fn count(owner: &Owner) {
    tokio::select! {
        () = sweep(owner, None) => {}
        () = owner.leave.cancelled() => {}
    }
}

/// Starts the pass; the keys come as they are found.
pub fn start(owner: &Arc<Owner>, lanes: &Lanes) -> mpsc::Receiver<String> {
    let (found, keys) = mpsc::channel(AHEAD);
    let owner = owner.clone();
    lanes.aside(async move {
        tokio::select! {
            () = sweep(&owner, Some(&found)) => {}
            () = owner.leave.cancelled() => {}
        }
    });
    keys
}

async fn sweep(owner: &Owner, found: Option<&mpsc::Sender<String>>) {
    loop {
        match pass(owner, found).await {
            Ok(()) => return,
            Err(fault) => owner.handler.report(&fault),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn pass(owner: &Owner, found: Option<&mpsc::Sender<String>>) -> Result<(), HostFault> {
    let ledger = &owner.handler.ledger;
    let broker = |e: wharf_jetstream::error::Error| HostFault::broker(e.to_string());
    let mut held = ledger.sweep_held().await.map_err(broker)?;
    let mut tokens = Vec::new();
    while let Some(record) = held.next().await.map_err(broker)? {
        tokens.push(record.ek);
    }
    let reads = tokens.into_iter().map(|token| {
        let ledger = ledger.clone();
        async move {
            let stored = ledger.load(&token).await;
            (token, stored)
        }
    });
    let mut reads = futures_util::stream::iter(reads).buffered(AHEAD);
    while let Some((token, stored)) = reads.next().await {
        let Some(stored) = stored.map_err(broker)? else {
            continue;
        };
        // One that cannot be read keeps no other from being visited.
        match record::decode(&stored.bytes) {
            Ok(record) => {
                if !visit(owner, found, &token, record).await {
                    return Ok(());
                }
            }
            Err(error) => owner
                .handler
                .report(&HostFault::record(format!("{token}: {error}"))),
        }
    }
    Ok(())
}

/// False when nobody takes keys any more. A stray has no lane: it waits for a
/// person.
async fn visit(
    owner: &Owner,
    found: Option<&mpsc::Sender<String>>,
    token: &str,
    record: Record,
) -> bool {
    match found {
        // Its lane reads it again, and counts what it finds then.
        Some(found) if !record.key.is_empty() => found.send(record.key).await.is_ok(),
        Some(_) | None => {
            owner.standing.see(token, Some(&record));
            true
        }
    }
}
