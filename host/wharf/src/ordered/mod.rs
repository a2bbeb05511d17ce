//! `ordering = "key"`: the source is read like a log.
//!
//! One task owns a (handler, partition): it claims the checkpoint, reads from
//! the watermark on, hands events to lanes in stream order, and writes the
//! checkpoint, which is also the renewal of its lease. Two owners at work cost
//! attempts, never order: the record is the fence.

mod claim;
mod heard;
pub mod lane;
pub mod lanes;
pub mod lease;
mod line;
mod reign;
mod tenancy;
mod turning;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;
use wharf_core::outcome::HostFault;
use wharf_core::progress::Bounds;
use wharf_telemetry::metrics::UnsettledState;

use crate::drain::Drain;
use crate::handler::Handler;
use crate::sharing::Sharing;

pub use reign::End;

/// What of the place applies to an owner of partitions.
#[derive(Clone)]
pub struct Settings {
    pub sharing: Arc<Sharing>,
    /// How long what runs may take to end when a partition is given up.
    pub drain: Duration,
    pub bounds: Bounds,
    /// Events in one lane's memory.
    pub lane_max: usize,
    /// Longest that followers wait in memory behind a head at work.
    pub hold_max: Duration,
}

/// Owns the partition whenever it is this host's turn, until the drain.
pub async fn run(handler: Arc<Handler>, partition: u32, settings: Settings, drain: Drain) {
    while !drain.leave.is_cancelled() {
        let Some(claimed) = claim::claim(&handler, partition, &settings.sharing, &drain).await
        else {
            return;
        };
        let reign = reign::reign(&handler, partition, &settings, &drain, claimed);
        let end = AssertUnwindSafe(reign).catch_unwind().await;
        match end {
            Ok(End::Drained) => return,
            Ok(End::Lost | End::GivenUp | End::Turned) => {}
            Err(panic) => handler.report(&HostFault::panic(panic.as_ref())),
            Ok(End::Paused) => {
                let _counted = handler.metrics.unsettled(UnsettledState::Paused);
                pause(&drain.leave).await;
            }
        }
    }
}

/// Before a paused source is looked at again.
async fn pause(leave: &CancellationToken) {
    tokio::select! {
        () = tokio::time::sleep(Duration::from_secs(5)) => {}
        () = leave.cancelled() => {}
    }
}
