//! Who works: a handler's lanes, for as long as this host may run them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use wharf_core::judge::HoldReason;
use wharf_core::outcome::HostFault;
use wharf_core::record::Block;
use wharf_telemetry::metrics::UnsettledState;
use wharf_telemetry::traces::Phase;

use crate::clock;
use crate::handler::Handler;
use crate::ordered::lease::Lease;
use crate::standing::Standing;
use crate::work::{Stopped, Work};

/// One handler (and partition) in the hands of this host.
pub struct Owner {
    pub handler: Arc<Handler>,
    /// 0 where there are no partitions.
    pub partition: u32,
    /// No new attempt starts: drain, pause, or the lease is gone.
    pub leave: CancellationToken,
    /// Running attempts are interrupted: the drain's deadline, or the lease.
    pub cut: CancellationToken,
    /// None where there is nothing to own (`ordering = "none"`).
    pub lease: Option<Arc<Lease>>,
    /// Events at or below it are settled: commits of events above it may have an
    /// outbox that has not gone out. 0 where there is no watermark.
    pub watermark: AtomicU64,
    /// Dead and queued events of the records that this owner has seen.
    pub standing: Standing,
    /// Every event up to it has been handed to its lane since the takeover, or
    /// lay at or below the watermark then.
    pub read: AtomicU64,
}

impl Owner {
    /// The watermark has moved.
    pub fn passed(&self, watermark: u64) {
        self.watermark.fetch_max(watermark, Ordering::Relaxed);
    }

    /// All events up to `sequence` are with their lanes, or are gone.
    pub fn has_read(&self, sequence: u64) {
        self.read.fetch_max(sequence, Ordering::SeqCst);
    }

    pub fn read(&self) -> u64 {
        self.read.load(Ordering::SeqCst)
    }

    pub fn watermark(&self) -> u64 {
        self.watermark.load(Ordering::Relaxed)
    }

    /// Waits until an attempt may start.
    ///
    /// # Errors
    /// [`Stopped`] when none may start any more.
    pub async fn may_start(&self) -> Result<(), Stopped> {
        if self.leave.is_cancelled() {
            return Err(Stopped);
        }
        let Some(lease) = &self.lease else {
            return Ok(());
        };
        tokio::select! {
            () = lease.held() => Ok(()),
            () = self.leave.cancelled() => Err(Stopped),
        }
    }

    /// Holds an event in its lane until the block's time has come.
    ///
    /// # Errors
    /// [`Stopped`] when the lane has to end first.
    pub async fn hold(
        &self,
        work: &Work,
        block: Block,
        reason: HoldReason,
    ) -> Result<Block, Stopped> {
        work.gauge.set(reason.into());
        let wait_ms = block.next_due_ms.saturating_sub(clock::now_ms());
        let sleep = self.sleep(wait_ms, &self.leave);
        work.trace.span(Phase::Hold, sleep).await?;
        work.gauge.set(UnsettledState::Held);
        Ok(block)
    }

    /// A pause before anything of the event has happened: a drain ends it.
    ///
    /// # Errors
    /// [`Stopped`] when the lane has to end first.
    pub async fn pause_before(&self, fault: &HostFault, delay_ms: u64) -> Result<(), Stopped> {
        self.handler.report(fault);
        self.sleep(delay_ms, &self.leave).await
    }

    /// A pause while something is owed: only the deadline ends it.
    ///
    /// # Errors
    /// [`Stopped`] when the lane is cut off.
    pub async fn pause_after(&self, fault: &HostFault, delay_ms: u64) -> Result<(), Stopped> {
        self.handler.report(fault);
        self.sleep(delay_ms, &self.cut).await
    }

    async fn sleep(&self, ms: u64, until: &CancellationToken) -> Result<(), Stopped> {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(ms)) => Ok(()),
            () = until.cancelled() => Err(Stopped),
        }
    }
}
