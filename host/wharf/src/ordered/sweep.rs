//! At takeover: entities that an earlier owner left with something to do.
//!
//! Timers, queues and owed outboxes stand in the records; what says "look at
//! this entity" may be lost with a stream or a crash. One pass over the headers
//! of all records finds those that hold anything, beside the first events.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use wharf_core::outcome::HostFault;
use wharf_core::record::{self, Record, Status};
use wharf_telemetry::metrics::UnsettledState;

use super::lanes::Lanes;
use crate::owner::Owner;

/// Entities on their way from the sweep to their lanes.
const AHEAD: usize = 64;

/// Starts the pass; the keys come as they are found.
pub fn start(owner: &Arc<Owner>, lanes: &Lanes) -> mpsc::Receiver<String> {
    let (found, keys) = mpsc::channel(AHEAD);
    let owner = owner.clone();
    lanes.aside(async move {
        tokio::select! {
            () = sweep(&owner, &found) => {}
            () = owner.leave.cancelled() => {}
        }
    });
    keys
}

async fn sweep(owner: &Owner, found: &mpsc::Sender<String>) {
    loop {
        match pass(owner, found).await {
            Ok(()) => return,
            Err(fault) => owner.handler.report(&fault),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn pass(owner: &Owner, found: &mpsc::Sender<String>) -> Result<(), HostFault> {
    let ledger = &owner.handler.ledger;
    let broker = |e: wharf_jetstream::error::Error| HostFault::broker(e.to_string());
    let mut held = ledger.sweep_held().await.map_err(broker)?;
    let mut stored = Stored::default();
    while let Some(record) = held.next().await.map_err(broker)? {
        let Some(current) = ledger.load_leader(&record.ek).await.map_err(broker)? else {
            continue;
        };
        let record = record::decode(&current.bytes)
            .map_err(|e| HostFault::record(format!("{}: {e}", record.ek)))?;
        stored.count(&record);
        // A stray has no lane: it waits for a person.
        if !record.key.is_empty() && found.send(record.key).await.is_err() {
            return Ok(());
        }
    }
    owner
        .handler
        .metrics
        .add_stored(UnsettledState::Dead, stored.dead);
    Ok(())
}

/// What the records alone tell of.
#[derive(Default)]
struct Stored {
    dead: i64,
}

impl Stored {
    fn count(&mut self, record: &Record) {
        let blocks = i64::from(record.status() == Status::Dead);
        self.dead += blocks + i64::try_from(record.dead.len()).unwrap_or(i64::MAX);
    }
}
