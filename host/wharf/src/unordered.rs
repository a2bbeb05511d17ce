//! `ordering = "none"`: hosts share one durable consumer, and each event is an
//! entity of its own.
//!
//! An event is kept alive while it is worked on and acknowledged when it is
//! settled. A lost acknowledgement costs a redelivery, which finds the record.

mod floor;
mod turns;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::task::{JoinError, JoinSet};
use wharf_core::outcome::HostFault;
use wharf_core::progress::Bounds;
use wharf_jetstream::connection::Links;
use wharf_jetstream::error::Error;
use wharf_jetstream::pull::{AckToken, Delivery, Pace};
use wharf_jetstream::shared::{Event, SharedConsumer};
use wharf_telemetry::metrics::{EventOutcome, Unsettled, UnsettledState};
use wharf_telemetry::traces::{Phase, Trace};

use crate::drain::Drain;
use crate::entity::Entity;
use crate::handler::Handler;
use crate::owner::Owner;
use crate::standing::Standing;
use crate::sweep;
use crate::unpack::{Unpacked, stray_token, unpack};
use crate::work::{Place, Settlement, Stopped, Work};
use crate::{park, pipeline};
use turns::AtWork;

/// Well inside the consumer's ack wait of 30 s.
const IN_PROGRESS_EVERY: Duration = Duration::from_secs(10);
const FAULT_PAUSE: Duration = Duration::from_millis(500);
/// How often the ledger is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Works on the handler's deliveries until the drain.
pub async fn run(handler: Arc<Handler>, bounds: Bounds, drain: Drain) {
    let signals = drain.child();
    let standing = Standing::new(handler.metrics.clone());
    let owner = Arc::new(Owner {
        handler,
        partition: 0,
        leave: signals.leave,
        cut: signals.cut,
        lease: None,
        watermark: AtomicU64::new(0),
        read: AtomicU64::new(0),
        standing,
    });
    let Some(consumer) = bind(&owner).await else {
        return;
    };
    let delivered_before = floor::delivered_before(&owner).await;
    let floor = tokio::spawn(floor::keep(owner.clone()));
    let counted = owner.clone();
    let count = tokio::spawn(async move { sweep::count(&counted).await });
    Share::new(owner, consumer, bounds, delivered_before)
        .run()
        .await;
    // It ends with the same signal; what it was writing is written again.
    let _ = floor.await;
    let _ = count.await;
}

async fn bind(owner: &Owner) -> Option<SharedConsumer> {
    let handler = &owner.handler;
    loop {
        let bound = match handler.broker.links(handler.name()).await {
            Ok(links) => consumer(handler, links).await,
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

/// The consumer, once batched reads of the ledger may be believed.
async fn consumer(handler: &Handler, links: Links) -> Result<SharedConsumer, Error> {
    handler.ledger.set_floor_from_leader().await?;
    let (stream, durable) = (&handler.source.stream, handler.lineage.as_str());
    SharedConsumer::bind(links, stream, durable, Pace::default()).await
}

/// This host's share of the consumer, and what it is working on.
struct Share {
    owner: Arc<Owner>,
    consumer: SharedConsumer,
    bounds: Bounds,
    /// Deliveries that are not settled, and their bytes.
    held: Load,
    /// Credit that the consumer has and has not used.
    asked: Load,
    /// No delivery above it was made to any host before this one bound.
    delivered_before: u64,
    /// Set while the ledger has no room for more.
    full: Option<Unsettled>,
    at_work: Arc<AtWork>,
    tasks: JoinSet<Ended>,
}

/// A number of deliveries and their bytes. Credit can go below zero by one
/// delivery that was larger than what was left.
#[derive(Debug, Clone, Copy, Default)]
struct Load {
    events: i64,
    bytes: i64,
}

/// A delivery is done with.
struct Ended {
    bytes: i64,
    /// Not settled: to be given back.
    token: Option<AckToken>,
}

impl Share {
    fn new(
        owner: Arc<Owner>,
        consumer: SharedConsumer,
        bounds: Bounds,
        delivered_before: u64,
    ) -> Self {
        Self {
            owner,
            consumer,
            bounds,
            held: Load::default(),
            asked: Load::default(),
            delivered_before,
            full: None,
            at_work: Arc::default(),
            tasks: JoinSet::new(),
        }
    }

    async fn run(mut self) {
        let leave = self.owner.leave.clone();
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            self.grant();
            tokio::select! {
                biased;
                () = leave.cancelled() => break,
                _ = look.tick() => self.weigh_ledger().await,
                Some(ended) = self.tasks.join_next() => drop(self.ended(ended)),
                event = self.consumer.next() => self.hear(event),
            }
        }
        self.end().await;
    }

    /// Asks for what the bounds leave room for, less what was asked for before.
    fn grant(&mut self) {
        if self.full.is_some() {
            return;
        }
        let most = |max: u64| i64::try_from(max).unwrap_or(i64::MAX);
        let events = most(self.bounds.held_max as u64) - self.held.events - self.asked.events;
        let bytes = most(self.bounds.held_bytes_max) - self.held.bytes - self.asked.bytes;
        let (events, bytes) = (events.max(0), bytes.max(0));
        if events > 0 || bytes > 0 {
            self.consumer
                .grant(events.unsigned_abs(), bytes.unsigned_abs());
            self.asked.events += events;
            self.asked.bytes += bytes;
        }
    }

    /// A full ledger would fail in the middle of an event: at 80 % nothing more
    /// is pulled.
    async fn weigh_ledger(&mut self) {
        let handler = &self.owner.handler;
        match handler.ledger.usage().await {
            Ok(usage) if usage.is_nearly_full() => {
                handler.alarm_full(&usage);
                let count = || handler.metrics.unsettled(UnsettledState::Paused);
                self.full.get_or_insert_with(count);
            }
            Ok(_) => self.full = None,
            Err(error) => handler.report(&HostFault::broker(error.to_string())),
        }
    }

    /// The token of what was not settled.
    fn ended(&mut self, ended: Result<Ended, JoinError>) -> Option<AckToken> {
        self.held.events -= 1;
        match ended {
            Ok(Ended { bytes, token }) => {
                self.held.bytes -= bytes;
                token
            }
            // It comes again after the consumer's ack wait.
            Err(error) => {
                self.owner
                    .handler
                    .report(&HostFault::broker(format!("a delivery's task: {error}")));
                None
            }
        }
    }

    fn hear(&mut self, event: Event) {
        let handler = self.owner.handler.clone();
        match event {
            Event::Delivery(delivery) => self.begin(delivery),
            Event::Resumed { reason } => {
                tracing::info!(handler = handler.name(), %reason, "pulling began again");
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
        let bytes = i64::try_from(delivery.bytes()).unwrap_or(i64::MAX);
        self.asked.events -= 1;
        self.asked.bytes -= bytes;
        self.held.events += 1;
        self.held.bytes += bytes;
        self.owner.handler.metrics.set_lag(delivery.pending);
        let first_seen =
            delivery.delivered == 1 && delivery.position.sequence > self.delivered_before;
        let work = one(
            self.owner.clone(),
            self.at_work.clone(),
            delivery,
            first_seen,
        );
        let owner = self.owner.clone();
        self.tasks.spawn(async move {
            // After a panic it comes again when the ack wait is over.
            let token = match AssertUnwindSafe(work).catch_unwind().await {
                Ok(token) => token,
                Err(panic) => {
                    owner.handler.report(&HostFault::panic(panic.as_ref()));
                    None
                }
            };
            Ended { bytes, token }
        });
    }

    /// Lets outstanding pulls lapse, gives back what did not begin, and again
    /// whatever ends unsettled. Giving back before brings it straight back
    /// (interleaving 16).
    async fn end(mut self) {
        let late = self.consumer.lapsed().await;
        let mut unbegun: Vec<AckToken> = late.into_iter().filter_map(|d| d.token).collect();
        loop {
            if let Err(error) = self.consumer.release(std::mem::take(&mut unbegun)).await {
                self.owner
                    .handler
                    .report(&HostFault::broker(error.to_string()));
            }
            match self.tasks.join_next().await {
                Some(ended) => unbegun.extend(self.ended(ended)),
                None => return,
            }
            while let Some(ended) = self.tasks.try_join_next() {
                unbegun.extend(self.ended(ended));
            }
        }
    }
}

/// One delivery, kept alive until it is settled. Gives the token back when it
/// was not.
async fn one(
    owner: Arc<Owner>,
    at_work: Arc<AtWork>,
    delivery: Delivery,
    first_seen: bool,
) -> Option<AckToken> {
    let token = delivery.token.clone()?;
    let work = unpack(&owner.handler, delivery, Place::Shared, first_seen);
    let settled = tokio::select! {
        settled = settle(&owner, &at_work, work) => settled,
        never = keep_alive(&token) => match never {},
    };
    match settled {
        Ok((trace, outcome)) => {
            if let Err(error) = trace.span(Phase::Settle, token.ack()).await {
                owner.handler.report(&HostFault::broker(error.to_string()));
            }
            trace.end(outcome);
            None
        }
        Err(Stopped) => Some(token),
    }
}

/// What is left to do then is to acknowledge it, and to end its span.
async fn settle(
    owner: &Owner,
    at_work: &AtWork,
    unpacked: Unpacked,
) -> Result<(Trace, EventOutcome), Stopped> {
    let (work, settlement) = match unpacked {
        Unpacked::Work(work) => {
            let settlement = process(owner, at_work, &work).await?;
            (work, settlement)
        }
        Unpacked::Ignored(work) => (work, Settlement::Ignored),
        Unpacked::Stray(work, why) => {
            let token = stray_token(&work);
            let settlement =
                park::stray(owner, &Entity::with_token("", token), &work, &why).await?;
            (work, settlement)
        }
    };
    let outcome = settlement.outcome();
    owner
        .handler
        .metrics
        .event(outcome, work.received.elapsed());
    Ok((work.trace, outcome))
}

async fn process(owner: &Owner, at_work: &AtWork, work: &Work) -> Result<Settlement, Stopped> {
    let key = wharf_core::ids::event_entity(&work.event.source, &work.event.id);
    let turn = tokio::select! {
        turn = at_work.begin(&key) => turn,
        () = owner.leave.cancelled() => return Err(Stopped),
    };
    if turn.had_to_wait {
        // The same event, published twice: it has run.
        work.begun.store(true, Ordering::Relaxed);
    }
    let entity = Entity::new(&key);
    let delivered = work
        .delivery
        .as_ref()
        .map_or(1, |delivery| delivery.delivered);
    if delivered > 1 {
        // Another host may have committed it since this one looked last.
        entity.distrust().await;
    }
    pipeline::process(owner, &entity, work).await
}

async fn keep_alive(token: &AckToken) -> std::convert::Infallible {
    loop {
        tokio::time::sleep(IN_PROGRESS_EVERY).await;
        // Lost with the connection, the next one is sent in time.
        let _ = token.in_progress().await;
    }
}
