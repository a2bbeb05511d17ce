//! Taking a partition over: when its checkpoint is released, or has stood still
//! for the lease by this host's own monotonic clock, and it is this host's turn.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wharf_core::backoff::millis;
use wharf_core::checkpoint::{self, Checkpoint, Claim, Claimant};
use wharf_core::outcome::HostFault;
use wharf_core::ownership::Turn;
use wharf_jetstream::ledger::CommitResult;

use crate::clock;
use crate::drain::Drain;
use crate::handler::Handler;
use crate::sharing::Sharing;

/// A checkpoint that this host has just taken.
pub struct Claimed {
    /// As it was: its watermark and `high` are those of the last epoch.
    pub before: Checkpoint,
    pub checkpoint: Checkpoint,
    pub revision: u64,
    /// Just before the write that took it.
    pub taken: Instant,
}

/// How often a checkpoint of another owner is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// Waits until the partition may be taken, and takes it. None: the host drains.
pub async fn claim(
    handler: &Arc<Handler>,
    partition: u32,
    sharing: &Sharing,
    drain: &Drain,
) -> Option<Claimed> {
    let mut seen: Option<(u64, Instant)> = None;
    loop {
        let wait = match look(handler, partition).await {
            Err(fault) => {
                handler.report(&fault);
                LOOK
            }
            Ok((before, revision)) => {
                let since = match seen {
                    Some((at, since)) if at == revision => since,
                    _ => Instant::now(),
                };
                seen = Some((revision, since));
                match judge(handler, partition, sharing, &before, since) {
                    Claim::Take => {
                        match take(handler, partition, sharing, before, revision).await {
                            Some(claimed) => return Some(claimed),
                            None => LOOK,
                        }
                    }
                    Claim::Wait { ms } => Duration::from_millis(ms).min(LOOK),
                    Claim::OtherGeneration => {
                        handler.report(&other_generation(handler));
                        sharing.lease()
                    }
                }
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = drain.leave.cancelled() => return None,
        }
    }
}

/// `since` is when the checkpoint was first seen as it is.
fn judge(
    handler: &Handler,
    partition: u32,
    sharing: &Sharing,
    seen: &Checkpoint,
    since: Instant,
) -> Claim {
    let (unchanged_ms, lease_ms) = (millis(since.elapsed()), millis(sharing.lease()));
    let mut claimant = Claimant {
        host: sharing.host(),
        revision: handler.revision(),
        generation: &checkpoint::generation(&handler.version().manifest.on),
        turn: Turn::Rank(0),
        successor_lives: false,
    };
    match checkpoint::claim(seen, &claimant, unchanged_ms, lease_ms) {
        // It is free: whose turn it is matters now, and not before.
        Claim::Take => {
            claimant.turn = sharing.turn(handler, partition, seen);
            claimant.successor_lives = sharing.is_fit(handler, partition, &seen.successor);
            checkpoint::claim(seen, &claimant, unchanged_ms, lease_ms)
        }
        held => held,
    }
}

async fn look(handler: &Handler, partition: u32) -> Result<(Checkpoint, u64), HostFault> {
    let stored = handler
        .ledger
        .read_checkpoint(partition)
        .await
        .map_err(|e| HostFault::broker(e.to_string()))?;
    let Some(stored) = stored else {
        let message =
            format!("no checkpoint for partition {partition}; `wharf provision` makes it");
        return Err(HostFault::broker(message));
    };
    let seen = checkpoint::decode(&stored.bytes).map_err(|e| HostFault::record(e.to_string()))?;
    Ok((seen, stored.revision))
}

async fn take(
    handler: &Handler,
    partition: u32,
    sharing: &Sharing,
    before: Checkpoint,
    revision: u64,
) -> Option<Claimed> {
    let taken = Instant::now();
    let mut checkpoint = before.taken(sharing.host(), clock::now_ms());
    let on = &handler.version().manifest.on;
    if checkpoint.generation == checkpoint::generation(on) {
        // One from before checkpoints said what they are of says so from now on; and
        // a host that knows only an earlier deployment cannot turn it any more.
        checkpoint.on = checkpoint::reads(on);
        let revision = handler.revision().unwrap_or(0);
        checkpoint.revision = checkpoint.revision.max(revision);
    }
    let bytes = bytes::Bytes::from(checkpoint::encode(&checkpoint));
    match handler
        .ledger
        .write_checkpoint(partition, revision, bytes)
        .await
    {
        CommitResult::Committed { revision } => {
            if before.released && ![sharing.host(), ""].contains(&before.successor.as_str()) {
                sharing.declined(handler.name(), &before.successor);
            }
            Some(Claimed {
                before,
                checkpoint,
                revision,
                taken,
            })
        }
        CommitResult::Lost { .. } => {
            tracing::debug!(
                handler = handler.name(),
                partition,
                "another host took it first"
            );
            None
        }
        other => {
            handler.report(&HostFault::broker(format!(
                "take the checkpoint: {other:?}"
            )));
            None
        }
    }
}

fn other_generation(handler: &Handler) -> HostFault {
    HostFault::record(format!(
        "handler `{}` subscribes to other subjects, or by another key rule, than its checkpoint says; \
         and not by an earlier deployment: this host waits for a newer one",
        handler.name()
    ))
}
