//! `ordering = "none"`: hosts share one durable consumer, and each event is an
//! entity of its own.
//!
//! An event is kept alive while it is worked on and acknowledged when it is
//! settled. A lost acknowledgement costs a redelivery, which finds the record.
//!
//! Thousands of deliveries may be held, so that those in trouble stop nobody; only
//! some hundreds move at once, and few more are fetched ahead of them. What comes
//! early only waits: it is with this host and not with one that has time, has to
//! be given back at a drain, and is cold when its turn comes.

mod acks;
mod alive;
mod floor;
mod room;
mod turns;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::sync::{Notify, Semaphore};
use tokio::task::{JoinError, JoinSet};
use tokio_util::task::AbortOnDropHandle;
use wharf_core::ids::{EventHash, event_entity};
use wharf_core::manifest::{Delivery as Promise, Manifest};
use wharf_core::outcome::HostFault;
use wharf_core::progress::Bounds;
use wharf_jetstream::connection::Links;
use wharf_jetstream::error::Error;
use wharf_jetstream::pull::{AckToken, Delivery, Pace};
use wharf_jetstream::shared::{Event, SharedConsumer};
use wharf_telemetry::metrics::{Unsettled, UnsettledState};
use wharf_telemetry::traces::Phase;

use crate::drain::Drain;
use crate::entity::Entity;
use crate::handler::Handler;
use crate::owner::Owner;
use crate::standing::Standing;
use crate::sweep;
use crate::unpack::{Rules, Unpacked, stray_token, unpack};
use crate::work::{Arrival, Place, Settlement, Stopped, Work};
use crate::{park, pipeline};
use acks::Acks;
use alive::Alive;
use room::Room;
use turns::{AtWork, Turn};

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
    shared: Arc<Shared>,
    tasks: JoinSet<Ended>,
}

/// What the tasks of all deliveries have in common.
struct Shared {
    owner: Arc<Owner>,
    at_work: AtWork,
    alive: Alive,
    acks: Acks,
    room: Room,
    /// Room for those that move. Closed when no further one may begin.
    slots: Arc<Semaphore>,
    /// Deliveries that wait for room.
    ahead: AtomicUsize,
    /// Fewer wait than should.
    few_ahead: Notify,
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
        let room = Room::beside(owner.handler.version().manifest.max_in_flight);
        let shared = Arc::new(Shared {
            owner: owner.clone(),
            at_work: AtWork::default(),
            alive: Alive::default(),
            acks: Acks::default(),
            room,
            slots: Arc::new(Semaphore::new(room.moving)),
            ahead: AtomicUsize::new(0),
            few_ahead: Notify::new(),
        });
        Self {
            owner,
            consumer,
            bounds,
            held: Load::default(),
            asked: Load::default(),
            delivered_before,
            full: None,
            shared,
            tasks: JoinSet::new(),
        }
    }

    /// Until the drain, and then until what had begun has ended.
    async fn run(self) {
        let shared = self.shared.clone();
        let _acks = {
            let shared = self.shared.clone();
            AbortOnDropHandle::new(tokio::spawn(async move {
                let failed = |error: Error| {
                    let fault = HostFault::broker(error.to_string());
                    shared.owner.handler.report(&fault);
                };
                shared.acks.run(failed).await
            }))
        };
        tokio::select! {
            () = self.work() => {}
            never = shared.alive.run() => match never {},
        }
    }

    async fn work(mut self) {
        let leave = self.owner.leave.clone();
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            self.grant();
            tokio::select! {
                biased;
                () = leave.cancelled() => break,
                _ = look.tick() => self.look().await,
                Some(ended) = self.tasks.join_next() => drop(self.ended(ended)),
                event = self.consumer.next() => self.hear(event),
                () = self.shared.few_ahead.notified() => {}
            }
        }
        self.end().await;
    }

    /// Asks for what the bounds leave room for and what can begin soon, less what
    /// was asked for before.
    fn grant(&mut self) {
        let waiting = self.shared.ahead.load(Ordering::Relaxed);
        let room = self.shared.room;
        // In few large requests: each costs the broker about as much as an event.
        if self.full.is_some() || waiting > room.few_ahead() {
            return;
        }
        let most = |max: u64| i64::try_from(max).unwrap_or(i64::MAX);
        let held = most(self.bounds.held_max as u64) - self.held.events;
        let ahead = self.shared.slots.available_permits() + room.ahead;
        let ahead = most(ahead as u64) - most(waiting as u64);
        let events = held.min(ahead) - self.asked.events;
        let bytes = most(self.bounds.held_bytes_max) - self.held.bytes - self.asked.bytes;
        let (events, bytes) = (events.max(0), bytes.max(0));
        if events > 0 || bytes > 0 {
            self.consumer
                .grant(events.unsigned_abs(), bytes.unsigned_abs());
            self.asked.events += events;
            self.asked.bytes += bytes;
        }
    }

    /// The consumer may be another one now, made again from its floor: what that
    /// one delivers first may have been delivered before.
    fn doubt(&mut self) {
        self.delivered_before = u64::MAX;
    }

    async fn look(&mut self) {
        self.weigh_ledger().await;
        if self.delivered_before == u64::MAX {
            self.delivered_before = floor::delivered_before(&self.owner).await;
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
                self.doubt();
            }
            Event::Unavailable { error } => handler.report(&HostFault::broker(error.to_string())),
            Event::Gone => {
                self.doubt();
                handler.report(&HostFault::broker(format!(
                    "the consumer `{}` of stream `{}` is gone; `wharf provision` makes it again",
                    handler.lineage, handler.source.stream
                )));
            }
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
        let arrival = Arrival::new(&self.owner.handler, first_seen);
        let shared = self.shared.clone();
        shared.ahead.fetch_add(1, Ordering::Relaxed);
        self.tasks.spawn(async move {
            let token = shared.run(delivery, arrival).await;
            Ended { bytes, token }
        });
    }

    /// Lets outstanding pulls lapse, gives back what did not begin, and again
    /// whatever ends unsettled. Giving back before brings it straight back
    /// (interleaving 16).
    async fn end(mut self) {
        self.shared.slots.close();
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
                None => break,
            }
            while let Some(ended) = self.tasks.try_join_next() {
                unbegun.extend(self.ended(ended));
            }
        }
        // With a flush behind them.
        let acknowledged = self.shared.acks.send().await;
        if let Err(error) = acknowledged.and(self.consumer.release(unbegun).await) {
            self.owner
                .handler
                .report(&HostFault::broker(error.to_string()));
        }
    }
}

impl Shared {
    /// One delivery, kept alive until it is settled. Gives the token back when it
    /// was not.
    async fn run(&self, delivery: Delivery, arrival: Arrival) -> Option<AckToken> {
        let token = delivery.token.clone();
        let _alive = token.as_ref().map(|token| self.alive.keep(token));
        let slot = self.slots.clone().acquire_owned().await;
        if self.ahead.fetch_sub(1, Ordering::Relaxed) == self.room.few_ahead() {
            self.few_ahead.notify_one();
        }
        let (Ok(slot), Some(token)) = (slot, token.clone()) else {
            return token;
        };
        arrival.gauge.take_slot(slot);
        // Large, and made only now.
        let settled = Box::pin(self.settle(&token, delivery, arrival));
        match AssertUnwindSafe(settled).catch_unwind().await {
            Ok(Ok(())) => None,
            Ok(Err(Stopped)) => Some(token),
            // It comes again when the ack wait is over.
            Err(panic) => {
                self.owner.handler.report(&HostFault::panic(panic.as_ref()));
                None
            }
        }
    }

    async fn settle(
        &self,
        token: &AckToken,
        delivery: Delivery,
        arrival: Arrival,
    ) -> Result<(), Stopped> {
        let owner = &*self.owner;
        let unpacked = unpack(&owner.handler, delivery, Place::Shared, arrival, Rules::Own);
        let (work, settlement) = match unpacked {
            Unpacked::Work(work) => {
                let settlement = self.process(&work).await?;
                (work, settlement)
            }
            Unpacked::Ignored(work) => (work, Settlement::Ignored),
            Unpacked::Stray(work, why) => {
                let entity = Entity::with_token(String::new(), stray_token(&work));
                let settlement = Box::pin(park::stray(owner, &entity, &work, &why)).await?;
                (work, settlement)
            }
        };
        let outcome = settlement.outcome();
        owner
            .handler
            .metrics
            .event(outcome, work.received.elapsed());
        let began = Instant::now();
        self.acks.put(token.clone());
        work.trace.since(Phase::Settle, began);
        work.trace.end(outcome);
        Ok(())
    }

    async fn process(&self, work: &Work) -> Result<Settlement, Stopped> {
        let owner = &*self.owner;
        let event = work.facts().event;
        let turn = match self.at_work.try_begin(event) {
            Some(turn) => turn,
            None => Box::pin(self.wait_for_turn(work, event)).await?,
        };
        let entity = Entity::new(event_entity(&work.event.source, &work.event.id));
        if turn.had_to_wait {
            // The same event, published twice: it has run.
            work.begun.store(true, Ordering::Relaxed);
        } else if work.first_seen && may_presume_new(&owner.handler.version().manifest) {
            entity.presume_new().await;
        }
        let delivery = work.delivery.as_ref();
        if delivery.is_some_and(|delivery| delivery.delivered > 1) {
            // Another host may have committed it since this one looked last.
            entity.distrust().await;
        }
        pipeline::process(owner, &entity, work).await
    }

    /// A copy is at work, for as long as that takes.
    async fn wait_for_turn(&self, work: &Work, event: EventHash) -> Result<Turn, Stopped> {
        work.gauge.give_up_slot();
        tokio::select! {
            turn = self.at_work.begin(event) => Ok(turn),
            () = self.owner.leave.cancelled() => Err(Stopped),
        }
    }
}

/// Whether an event that no host was given before is taken for one that has no
/// record, unread. It can have one, of a copy that was published outside the
/// stream's duplicate window. Then whatever is written is found to come late, and
/// the record is read after all: it costs an attempt without effects. So the
/// attempt must have none besides: no calls. An at-least-once handler takes
/// repetitions anyway: its successes leave no record, and write none here.
fn may_presume_new(manifest: &Manifest) -> bool {
    manifest.needs.is_empty() || manifest.delivery == Promise::AtLeastOnce
}
