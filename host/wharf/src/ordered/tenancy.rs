//! The checkpoint in the owner's hands: each write of it renews the lease.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use wharf_core::checkpoint::{self, Checkpoint};
use wharf_core::event::Position;
use wharf_core::outcome::HostFault;
use wharf_jetstream::ledger::{CommitResult, Stored};

use super::claim::Claimed;
use super::lease::Lease;
use super::reign::End;
use crate::clock;
use crate::handler::Handler;

/// The checkpoint is written this often, and is also the lease's renewal.
pub const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);
/// How long a release may take once the drain's deadline is over.
const RELEASE_WITHIN: Duration = Duration::from_secs(2);
/// After a write that was not answered.
const PAUSE: Duration = Duration::from_millis(100);

/// Another host has taken the partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost;

/// An owner's checkpoint and its revision.
pub struct Tenancy {
    handler: Arc<Handler>,
    partition: u32,
    lease: Arc<Lease>,
    checkpoint: Checkpoint,
    revision: u64,
    written: Instant,
}

impl From<Lost> for End {
    fn from(Lost: Lost) -> Self {
        Self::Lost
    }
}

impl Tenancy {
    pub fn new(handler: Arc<Handler>, partition: u32, lease: Arc<Lease>, claimed: Claimed) -> Self {
        Self {
            handler,
            partition,
            lease,
            checkpoint: claimed.checkpoint,
            revision: claimed.revision,
            written: claimed.taken,
        }
    }

    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Whether the lease wants to be renewed.
    pub fn is_due(&self) -> bool {
        self.written.elapsed() >= CHECKPOINT_EVERY
    }

    /// Writes how far the owner has come. What the broker does not answer is
    /// tried again by the next write; meanwhile the lease runs down by itself.
    ///
    /// # Errors
    /// [`Lost`].
    pub async fn write(&mut self, watermark: Position, high: u64) -> Result<(), Lost> {
        let next = self.checkpoint.advanced(watermark, high, clock::now_ms());
        self.put(next).await
    }

    /// Writes the checkpoint as released, as long as there is time for it: else
    /// the lease has to run out.
    pub async fn release(&mut self, released: Checkpoint, cut: &CancellationToken) {
        let late = async {
            cut.cancelled().await;
            tokio::time::sleep(RELEASE_WITHIN).await;
        };
        tokio::pin!(late);
        while !self.checkpoint.released {
            let put = tokio::select! {
                put = self.put(released.clone()) => put,
                () = &mut late => return,
            };
            if put == Err(Lost) {
                return;
            }
        }
    }

    async fn put(&mut self, next: Checkpoint) -> Result<(), Lost> {
        let sent = Instant::now();
        let bytes = bytes::Bytes::from(checkpoint::encode(&next));
        let ledger = &self.handler.ledger;
        let written = ledger.write_checkpoint(self.partition, self.revision, bytes);
        match written.await {
            CommitResult::Committed { revision } => {
                self.lease.renew(sent);
                self.written = sent;
                self.revision = revision;
                let metrics = self.handler.metrics.partition(self.partition);
                metrics.set_watermark(next.watermark);
                self.checkpoint = next;
                Ok(())
            }
            CommitResult::Lost { current } if self.is_own(current.as_ref()) => {
                // An earlier write of ours that nobody had answered.
                self.revision = current.map_or(self.revision, |stored| stored.revision);
                Ok(())
            }
            CommitResult::Lost { .. } => {
                let (handler, partition) = (self.handler.name(), self.partition);
                tracing::warn!(handler, partition, "another host owns it now");
                Err(Lost)
            }
            other => {
                let message = format!("checkpoint: {other:?}");
                self.handler.report(&HostFault::broker(message));
                tokio::time::sleep(PAUSE).await;
                Ok(())
            }
        }
    }

    /// Whether a checkpoint is this owner's, of this epoch.
    fn is_own(&self, stored: Option<&Stored>) -> bool {
        let seen = stored.and_then(|stored| checkpoint::decode(&stored.bytes).ok());
        seen.is_some_and(|seen| {
            seen.owner == self.checkpoint.owner && seen.epoch == self.checkpoint.epoch
        })
    }
}
