//! What reader and timers tell an owner, in the words of metrics and logs.

use wharf_jetstream::pull::End as PullEnd;
use wharf_jetstream::reader::Reason;
use wharf_jetstream::timers::{Fired, Firings};
use wharf_telemetry::metrics::ReopenReason;

use crate::handler::Handler;

/// Waits for ever where there are no timers.
///
/// # Cancel safety
/// Safe.
pub async fn next_firing(firings: &mut Option<Firings>) -> Fired {
    match firings {
        Some(firings) => firings.next().await,
        None => std::future::pending().await,
    }
}

/// The handler pauses.
pub fn alarm_rolled_back(handler: &Handler, detail: &str) {
    tracing::error!(
        handler = handler.name(),
        code = "WH0301",
        reason = detail,
        "source-rolled-back: the stream is not the one that the checkpoint speaks of; the handler pauses"
    );
}

/// Sequences that nobody can read any more.
pub fn alarm_lost(handler: &Handler, from: u64, to: u64) {
    handler.metrics.source_lost(to - from + 1);
    tracing::error!(
        handler = handler.name(),
        from,
        to,
        "source-lost: the stream no longer has these events"
    );
}

/// Why a reader began again, as metrics name it.
pub fn reopened(reason: &Reason) -> ReopenReason {
    match reason {
        Reason::Gap { .. } | Reason::WentBack { .. } => ReopenReason::Gap,
        Reason::Missed { .. } => ReopenReason::HeartbeatMismatch,
        Reason::Stepped { .. } | Reason::Ended(PullEnd::ConnectionLost | PullEnd::Closed) => {
            ReopenReason::Reconnected
        }
        Reason::Ended(PullEnd::Silent) => ReopenReason::HeartbeatMissed,
        Reason::Ended(
            PullEnd::Deleted
            | PullEnd::NoResponders
            | PullEnd::Moved
            | PullEnd::Refused { .. }
            | PullEnd::Unplaced { .. },
        ) => ReopenReason::ConsumerGone,
    }
}
