//! `ordering = "none"`: hosts share one durable consumer, and each event is an
//! entity of its own.
//!
//! An event is kept alive while it is worked on and acknowledged when it is
//! settled. A lost acknowledgement costs a redelivery, which finds the record.

mod floor;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use wharf_core::outcome::HostFault;
use wharf_core::progress::Bounds;
use wharf_jetstream::pull::{AckToken, Delivery, Pace};
use wharf_jetstream::shared::{Event, SharedConsumer};

use crate::drain::Drain;
use crate::entity::Entity;
use crate::handler::Handler;
use crate::owner::Owner;
use crate::unpack::{Unpacked, stray_token, unpack};
use crate::work::{Place, Settlement, Stopped, Work};
use crate::{park, pipeline};

/// Well inside the consumer's ack wait of 30 s.
const IN_PROGRESS_EVERY: Duration = Duration::from_secs(10);
const FAULT_PAUSE: Duration = Duration::from_millis(500);

/// Works on the handler's deliveries until the drain.
pub async fn run(handler: Arc<Handler>, bounds: Bounds, drain: Drain) {
    let signals = drain.child();
    let owner = Arc::new(Owner {
        handler,
        partition: 0,
        leave: signals.leave,
        cut: signals.cut,
        lease: None,
        watermark: AtomicU64::new(0),
    });
    let Some(consumer) = bind(&owner).await else {
        return;
    };
    let floor = tokio::spawn(floor::keep(owner.clone()));
    Share::new(owner, consumer, bounds).run().await;
    // It ends with the same signal; what it was writing is written again.
    let _ = floor.await;
}

async fn bind(owner: &Owner) -> Option<SharedConsumer> {
    let handler = &owner.handler;
    loop {
        let bound = match handler.broker.links(handler.name()).await {
            Ok(links) => {
                let (stream, durable) = (&handler.source.stream, handler.lineage.as_str());
                SharedConsumer::bind(links, stream, durable, Pace::default()).await
            }
            Err(error) => Err(error),
        };
        match bound {
            Ok(consumer) => return Some(consumer),
            Err(error) => handler.report(&HostFault::broker(error.to_string())),
        }
        tokio::select! {
            () = tokio::time::sleep(FAULT_PAUSE) => {}
            () = owner.leave.cancelled() => return None,
        }
    }
}

/// This host's share of the consumer, and what it is working on.
struct Share {
    owner: Arc<Owner>,
    consumer: SharedConsumer,
    /// One permit for each delivery that is not settled.
    room: Arc<Semaphore>,
    bytes_each: u64,
    asked: usize,
    tasks: JoinSet<Option<AckToken>>,
}

impl Share {
    fn new(owner: Arc<Owner>, consumer: SharedConsumer, bounds: Bounds) -> Self {
        let held_max = bounds.held_max.max(1);
        Self {
            owner,
            consumer,
            room: Arc::new(Semaphore::new(held_max)),
            bytes_each: bounds.held_bytes_max / held_max as u64,
            asked: 0,
            tasks: JoinSet::new(),
        }
    }

    async fn run(mut self) {
        let leave = self.owner.leave.clone();
        loop {
            self.grant();
            tokio::select! {
                biased;
                () = leave.cancelled() => break,
                event = self.consumer.next() => self.hear(event),
                Some(_) = self.tasks.join_next() => {}
            }
        }
        self.end().await;
    }

    fn grant(&mut self) {
        let more = self.room.available_permits().saturating_sub(self.asked);
        if more > 0 {
            self.consumer
                .grant(more as u64, more as u64 * self.bytes_each);
            self.asked += more;
        }
    }

    fn hear(&mut self, event: Event) {
        let handler = self.owner.handler.clone();
        match event {
            Event::Delivery(delivery) => self.begin(delivery),
            Event::Resumed { reason } => {
                tracing::info!(handler = handler.name(), %reason, "pulling began again")
            }
            Event::Unavailable { error } => handler.report(&HostFault::broker(error.to_string())),
            Event::Gone => handler.report(&HostFault::broker(format!(
                "the consumer `{}` of stream `{}` is gone; `wharf provision` makes it again",
                handler.lineage, handler.source.stream
            ))),
            Event::Lapsed => {}
        }
    }

    fn begin(&mut self, delivery: Delivery) {
        self.asked = self.asked.saturating_sub(1);
        self.owner.handler.metrics.set_lag(delivery.pending);
        match self.room.clone().try_acquire_owned() {
            Ok(permit) => {
                self.tasks
                    .spawn(one(self.owner.clone(), delivery, Some(permit)));
            }
            // Cannot be: as much is asked for as there is room. It is worked on
            // all the same.
            Err(_) => {
                self.tasks.spawn(one(self.owner.clone(), delivery, None));
            }
        }
    }

    /// Lets outstanding pulls lapse and what runs end; then gives back what did
    /// not begin. Giving back earlier brings it straight back (interleaving 16).
    async fn end(mut self) {
        let late = self.consumer.lapsed().await;
        let mut unbegun: Vec<AckToken> = late
            .into_iter()
            .filter_map(|delivery| delivery.token)
            .collect();
        while let Some(ended) = self.tasks.join_next().await {
            unbegun.extend(ended.ok().flatten());
        }
        if let Err(error) = self.consumer.release(unbegun).await {
            self.owner
                .handler
                .report(&HostFault::broker(error.to_string()));
        }
    }
}

/// One delivery, kept alive until it is settled. Gives the token back when it
/// was not.
async fn one(
    owner: Arc<Owner>,
    delivery: Delivery,
    _room: Option<OwnedSemaphorePermit>,
) -> Option<AckToken> {
    let token = delivery.token.clone()?;
    // The broker may have handed it to another host before: what that one did
    // is in the record, or was never begun.
    let first_seen = delivery.delivered == 1;
    let work = unpack(&owner.handler, delivery, Place::Shared, first_seen);
    let settled = tokio::select! {
        settled = settle(&owner, work) => settled,
        never = keep_alive(&token) => match never {},
    };
    match settled {
        Ok(()) => {
            if let Err(error) = token.ack().await {
                owner.handler.report(&HostFault::broker(error.to_string()));
            }
            None
        }
        Err(Stopped) => Some(token),
    }
}

async fn settle(owner: &Owner, unpacked: Unpacked) -> Result<(), Stopped> {
    let (work, settlement) = match unpacked {
        Unpacked::Work(work) => {
            let settlement = process(owner, &work).await?;
            (work, settlement)
        }
        Unpacked::Ignored(work) => (work, Settlement::Ignored),
        Unpacked::Stray(work, why) => {
            let token = stray_token(&owner.handler, work.event.position);
            let settlement =
                park::stray(owner, &Entity::with_token("", token), &work, &why).await?;
            (work, settlement)
        }
    };
    owner
        .handler
        .metrics
        .event(settlement.outcome(), work.received.elapsed());
    Ok(())
}

async fn process(owner: &Owner, work: &Work) -> Result<Settlement, Stopped> {
    let key = wharf_core::ids::event_entity(&work.event.source, &work.event.id);
    pipeline::process(owner, &Entity::new(&key), work).await
}

async fn keep_alive(token: &AckToken) -> std::convert::Infallible {
    loop {
        tokio::time::sleep(IN_PROGRESS_EVERY).await;
        // Lost with the connection, the next one is sent in time.
        let _ = token.in_progress().await;
    }
}
