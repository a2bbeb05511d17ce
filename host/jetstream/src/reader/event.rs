//! What goes into a reader and what comes out of it.

use crate::error::Error;
use crate::pull::{Delivery, End, Pace};
use std::time::Duration;

/// How a reader reads.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Part of the consumers' names, such as a lineage.
    pub label: String,
    pub pace: Pace,
    /// After how long the broker forgets a consumer that nobody pulls from.
    pub inactive: Duration,
}

impl Settings {
    pub fn new(label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            pace: Pace::default(),
            inactive: Duration::from_secs(10),
        }
    }
}

/// What a reader yields.
#[derive(Debug)]
pub enum Event {
    /// The next event of the stream that the filters select.
    Delivery(Delivery),
    /// There was a break; deliveries go on where they stopped.
    Reopened { reason: Reason },
    /// These sequences, or some of them, are gone from the source and were
    /// never handed out. Deliveries go on behind them.
    SourceLost { from: u64, to: u64 },
    /// Reading is not possible just now; it is tried again.
    Unavailable { error: Error },
}

/// Why a reader began another consumer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    #[error("{0}")]
    Ended(#[from] End),
    #[error("a delivery was number {found} of its consumer and not {expected}")]
    Gap { expected: u64, found: u64 },
    #[error("the broker has sent {sent} deliveries and {received} arrived")]
    Missed { sent: u64, received: u64 },
    #[error("the consumer went back to sequence {found}, behind {received}")]
    WentBack { received: u64, found: u64 },
    #[error("{count} events were fetched one by one")]
    Stepped { count: u32 },
}
