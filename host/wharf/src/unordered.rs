//! `ordering = "none"`: hosts share one durable consumer, and each event is an
//! entity of its own.
//!
//! An event is kept alive while it is worked on and acknowledged when it is
//! settled. A lost acknowledgement costs a redelivery, which finds the record.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;
use wharf_core::manifest::Delivery as Guarantee;
use wharf_core::outcome::HostFault;
use wharf_core::progress::Bounds;
use wharf_jetstream::pull::{AckToken, Delivery};
use wharf_jetstream::shared::{Event, SharedConsumer};

use crate::drain::Drain;
use crate::entity::Entity;
use crate::handler::Handler;
use crate::owner::Owner;
use crate::unpack::{Unpacked, entity_key, stray_token, unpack};
use crate::work::{Place, Settlement, Stopped};
use crate::{park, pipeline};

/// Well inside the consumer's ack wait of 30 s.
const IN_PROGRESS_EVERY: Duration = Duration::from_secs(10);

/// Works on the handler's deliveries until the drain.
pub async fn run(handler: Arc<Handler>, bounds: Bounds, drain: Drain) {
    let signals = drain.child();
    let owner = Arc::new(Owner {
        handler: handler.clone(),
        partition: 0,
        leave: signals.leave,
        cut: signals.cut,
        lease: None,
        watermark: AtomicU64::new(0),
    });
    let Some(mut consumer) = bind(&owner).await else { return };
    let tasks = TaskTracker::new();
    let held = Arc::new(Semaphore::new(bounds.held_max));
    let bytes_each = bounds.held_bytes_max / bounds.held_max.max(1) as u64;
    let mut asked = 0;
    loop {
        let free = held.available_permits() as u64;
        if free > asked {
            consumer.grant(free - asked, (free - asked) * bytes_each);
            asked = free;
        }
        let event = tokio::select! {
            biased;
            () = owner.leave.cancelled() => break,
            event = consumer.next() => event,
            () = room(&held, asked) => continue,
        };
        match event {
            Event::Delivery(delivery) => {
                asked = asked.saturating_sub(1);
                let Ok(permit) = held.clone().try_acquire_owned() else { continue };
                handler.metrics.unsettled(1);
                tasks.spawn(one(owner.clone(), delivery, permit));
            }
            Event::Reopened { reason } => tracing::info!(handler = handler.name(), %reason, "pulling began again"),
            Event::Unavailable { error } => handler.report(&HostFault::broker(error.to_string())),
            Event::Gone => handler.report(&HostFault::broker(format!(
                "the consumer `{}` on stream `{}` is gone; `wharf provision` makes it again",
                handler.lineage, handler.source.stream
            ))),
        }
    }
    leave(&owner, consumer, &tasks).await;
}

/// Stops pulling, lets outstanding pulls lapse, then waits for what runs: giving
/// a delivery back while a pull is open brings it straight back (interleaving
/// 16).
async fn leave(owner: &Owner, mut consumer: SharedConsumer, tasks: &TaskTracker) {
    tasks.close();
    let unstarted = consumer.stop().await;
    tasks.wait().await;
    let mut tokens: Vec<AckToken> = unstarted.into_iter().filter_map(|delivery| delivery.token).collect();
    tokens.extend(owner.handler.given_back());
    tokens.sort_by_key(AckToken::sequence);
    consumer.release(&tokens).await;
}

async fn room(held: &Semaphore, asked: u64) {
    // Resolves when a permit is freed beyond what was asked for already.
    while held.available_permits() as u64 <= asked {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
