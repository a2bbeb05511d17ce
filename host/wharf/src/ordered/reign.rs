//! Owning a partition: read, hand out, write the checkpoint, until it ends.

mod ending;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use wharf_core::event::Undecodable;
use wharf_core::outcome::HostFault;
use wharf_jetstream::pull::Delivery;
use wharf_jetstream::reader::{self, Reader, RolledBack};
use wharf_jetstream::timers::{Fired, Firings};

use wharf_telemetry::metrics::{Unsettled, UnsettledState};

use super::Settings;
use super::claim::Claimed;
use super::heard::{alarm_lost, alarm_rolled_back, next_firing, reopened};
use super::lane::Settles;
use super::lanes::{Book, Lanes};
use super::lease::Lease;
use super::line::Aside;
use super::tenancy::Tenancy;
use super::turning::Turning;
use crate::drain::Drain;
use crate::entity::Entity;
use crate::handler::Handler;
use crate::owner::Owner;
use crate::park;
use crate::standing::Standing;
use crate::sweep;
use crate::unpack::{Rules, Unpacked, stray_token, unpack};
use crate::work::{Arrival, Place, Settlement, Work};

/// How owning a partition ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Everything that ran is settled, and the checkpoint is released.
    Drained,
    /// Another host owns it.
    Lost,
    /// The same as drained, for another host that is to own it.
    GivenUp,
    /// The source is not the one that the checkpoint speaks of.
    Paused,
    /// The same as drained: the checkpoint is of this version's subscriptions now.
    Turned,
}

/// The checkpoint is written at the latest after so many settled events.
const CHECKPOINT_EVENTS: u64 = 1_000;
/// How far `high` is reserved ahead of the lanes.
const HIGH_STEP: u64 = 1_000;
/// Firings that are asked for at once; a lane takes each as it comes.
const FIRINGS_MAX: u64 = 256;
/// The router's own beat.
const TICK: Duration = Duration::from_millis(100);
/// How often memory and ledger are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Owns the partition until the drain, or until it is lost.
pub async fn reign(
    handler: &Arc<Handler>,
    partition: u32,
    settings: &Settings,
    drain: &Drain,
    claimed: Claimed,
) -> End {
    let mut reign = Reign::new(handler, partition, settings, drain, claimed);
    // However this ends, by a panic too, no lane outlives it.
    let _leave = reign.owner.leave.clone().drop_guard();
    let _cut = reign.owner.cut.clone().drop_guard();
    tracing::info!(
        handler = handler.name(),
        partition,
        epoch = reign.tenancy.checkpoint().epoch,
        watermark = reign.tenancy.checkpoint().watermark,
        "partition taken"
    );
    handler.metrics.partition(partition).owned();
    let _owned = settings.sharing.own(handler.name());
    let end = reign.run().await;
    reign.finish(end, drain).await
}

struct Reign {
    owner: Arc<Owner>,
    tenancy: Tenancy,
    lanes: Lanes,
    book: Arc<Book>,
    settings: Settings,
    /// `high` of the epoch before: what lies above was never begun.
    first_seen_above: u64,
    begun: u64,
    asked: Asked,
    looked: Instant,
    /// Set while the ledger has no room for more.
    full: Option<Unsettled>,
    /// The whole host's signal.
    drain_leave: CancellationToken,
    /// For whom the partition is given up.
    successor: Option<String>,
    /// Set while what an earlier subscription began is settled.
    turning: Option<Turning>,
}

/// Credit that the reader has and has not used.
#[derive(Default)]
struct Asked {
    events: u64,
    /// Below zero after one delivery that was larger than what was left.
    bytes: i64,
}

impl Reign {
    fn new(
        handler: &Arc<Handler>,
        partition: u32,
        settings: &Settings,
        drain: &Drain,
        claimed: Claimed,
    ) -> Self {
        let lease = Arc::new(Lease::new(settings.sharing.lease(), claimed.taken));
        let signals = drain.child();
        let owner = Arc::new(Owner {
            handler: handler.clone(),
            partition,
            leave: signals.leave,
            cut: signals.cut,
            lease: Some(lease.clone()),
            watermark: AtomicU64::new(claimed.before.watermark),
            read: AtomicU64::new(claimed.before.watermark),
            standing: Standing::new(handler.metrics.clone()),
        });
        let book = Arc::new(Book::new(owner.clone(), claimed.before.watermark()));
        let high = claimed.before.high;
        Self {
            lanes: Lanes::new(owner.clone(), book.clone(), settings.lane_max),
            owner,
            tenancy: Tenancy::new(handler.clone(), partition, lease, claimed),
            book,
            settings: settings.clone(),
            first_seen_above: high,
            begun: high,
            asked: Asked::default(),
            looked: Instant::now(),
            full: None,
            drain_leave: drain.leave.clone(),
            successor: None,
            turning: None,
        }
    }

    async fn run(&mut self) -> End {
        if let Err(end) = self.prepare().await {
            return end;
        }
        let mut reader = match self.open_reader().await {
            Ok(reader) => reader,
            Err(end) => return end,
        };
        let mut firings = match self.open_firings().await {
            Ok(firings) => firings,
            Err(end) => return end,
        };
        let mut held = sweep::start(&self.owner, &self.lanes);
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let leave = self.owner.leave.clone();
        loop {
            self.grant(&mut reader);
            let ended = tokio::select! {
                biased;
                () = leave.cancelled() => Err(self.left()),
                _ = tick.tick() => self.beat().await,
                fired = next_firing(&mut firings) => {
                    self.fire(fired, &mut firings);
                    Ok(())
                }
                Some(key) = held.recv() => {
                    self.lanes.push_aside(&key, Aside::Visit);
                    Ok(())
                }
                read = reader.next(), if !self.has_read_earlier() => self.read(read).await,
                () = self.book.changed() => Ok(()),
            };
            if let Err(end) = ended {
                return end;
            }
        }
    }
}

impl Reign {
    /// What must be known before the first event: how fresh the ledger's copies
    /// have to be for a first load, and by which subscriptions it is read.
    async fn prepare(&mut self) -> Result<(), End> {
        let handler = self.owner.handler.clone();
        while let Err(error) = handler.ledger.set_floor_from_leader().await {
            handler.report(&HostFault::broker(error.to_string()));
            self.breathe().await?;
        }
        loop {
            match Turning::begin(&handler, self.tenancy.checkpoint()).await {
                Ok(turning) => {
                    self.turning = turning;
                    return Ok(());
                }
                Err(doubt) => doubt.heed(&handler)?,
            }
            self.breathe().await?;
        }
    }

    async fn open_reader(&mut self) -> Result<Reader, End> {
        let handler = self.owner.handler.clone();
        loop {
            let version = handler.version();
            let before = self.turning.as_ref().map(|turning| &turning.before);
            let on = before.unwrap_or(&version.manifest.on);
            match handler.reader(self.tenancy.checkpoint(), on).await {
                Ok(reader) => return Ok(reader),
                Err(error) => handler.report(&HostFault::broker(error.to_string())),
            }
            self.breathe().await?;
        }
    }

    async fn open_firings(&mut self) -> Result<Option<Firings>, End> {
        let handler = self.owner.handler.clone();
        let Some(timers) = &handler.timers else {
            return Ok(None);
        };
        loop {
            let opened = match handler.broker.links(handler.name()).await {
                Ok(links) => timers.firings(links, self.owner.partition).await,
                Err(error) => Err(error),
            };
            match opened {
                Ok(mut firings) => {
                    firings.grant(FIRINGS_MAX);
                    return Ok(Some(firings));
                }
                Err(error) => handler.report(&HostFault::broker(error.to_string())),
            }
            self.breathe().await?;
        }
    }

    fn fire(&mut self, fired: Fired, firings: &mut Option<Firings>) {
        let handler = self.owner.handler.clone();
        match fired {
            Fired::Due(firing) => {
                if let Some(firings) = firings {
                    firings.grant(1);
                }
                let key = firing.key.clone();
                self.lanes.push_aside(&key, Aside::Firing(firing));
            }
            Fired::Unavailable { error } => handler.report(&HostFault::broker(error.to_string())),
            Fired::Gone => handler.report(&HostFault::broker(
                "the stream of timers is gone; run `wharf provision`".into(),
            )),
            Fired::Lapsed => {}
        }
    }

    /// A pause between tries, in which the lease is kept.
    async fn breathe(&mut self) -> Result<(), End> {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(500)) => {}
            () = self.owner.leave.cancelled() => return Err(self.left()),
        }
        if self.tenancy.is_due() {
            self.write(0).await?;
        }
        Ok(())
    }

    /// Asks for what the bounds leave room for, less what was asked for before.
    fn grant(&mut self, reader: &mut Reader) {
        if self.full.is_some() || self.has_read_earlier() {
            return;
        }
        let (events, bytes) = self.book.credit(&self.settings.bounds);
        let more_events = (events as u64).saturating_sub(self.asked.events);
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let more_bytes = bytes.saturating_sub(self.asked.bytes).max(0);
        if more_events > 0 || more_bytes > 0 {
            reader.grant(more_events, more_bytes.unsigned_abs());
            self.asked.events += more_events;
            self.asked.bytes += more_bytes;
        }
    }

    async fn read(&mut self, read: Result<reader::Event, RolledBack>) -> Result<(), End> {
        let handler = self.owner.handler.clone();
        match read {
            Ok(reader::Event::Delivery(delivery)) => return self.take_in(delivery).await,
            Ok(reader::Event::Reopened { reason }) => {
                handler.metrics.reader_reopened(reopened(&reason));
                tracing::info!(handler = handler.name(), %reason, "the reader began again");
            }
            Ok(reader::Event::SourceLost { from, to }) => {
                self.owner.has_read(to);
                alarm_lost(&handler, from, to);
            }
            Ok(reader::Event::Unavailable { error }) => {
                handler.report(&HostFault::broker(error.to_string()));
            }
            Err(rolled_back) => {
                alarm_rolled_back(&handler, &rolled_back.to_string());
                return Err(End::Paused);
            }
        }
        Ok(())
    }

    /// Hands a delivery to its lane. Nothing above `high` gets there before the
    /// checkpoint says so.
    async fn take_in(&mut self, delivery: Delivery) -> Result<(), End> {
        let kept_back = match &mut self.turning {
            Some(turning) => turning.keep_back(delivery),
            None => Some(delivery),
        };
        let Some(delivery) = kept_back else {
            return Ok(());
        };
        let at = delivery.position;
        while at.sequence > self.tenancy.checkpoint().high {
            if self.owner.leave.is_cancelled() {
                return Err(self.left());
            }
            self.write(at.sequence + HIGH_STEP).await?;
        }
        self.begun = self.begun.max(at.sequence);
        self.asked.events = self.asked.events.saturating_sub(1);
        self.asked.bytes -= i64::try_from(delivery.bytes()).unwrap_or(i64::MAX);
        self.book.receive(at, delivery.bytes());
        self.owner.handler.metrics.set_lag(delivery.pending);
        let handler = &self.owner.handler;
        let place = Place::Log {
            stream: handler.source.stream.clone(),
            created_ns: handler.source.created_ns,
        };
        let arrival = Arrival::new(handler, at.sequence > self.first_seen_above);
        let rules = match &self.turning {
            Some(turning) => Rules::Earlier(&turning.before),
            None => Rules::Own,
        };
        match unpack(handler, delivery, place, arrival, rules) {
            Unpacked::Work(work) => self.lanes.push(work),
            // Another version may have handled it and left something to finish.
            Unpacked::Ignored(work)
                if at.sequence <= self.first_seen_above && !work.key.is_empty() =>
            {
                self.lanes.push(work);
            }
            Unpacked::Ignored(work) => self.book.settled(&work, Settlement::Ignored),
            Unpacked::Stray(work, why) => self.stray(work, why),
        }
        self.owner.has_read(at.sequence);
        Ok(())
    }

    fn stray(&self, work: Work, why: Undecodable) {
        let (owner, book) = (self.owner.clone(), self.book.clone());
        self.lanes.aside(async move {
            let token = stray_token(&work);
            let entity = Entity::with_token(String::new(), token);
            if let Ok(settlement) = park::stray(&owner, &entity, &work, &why).await {
                book.settled(&work, settlement);
            }
        });
    }

    /// Ten times a second: the checkpoint when it is due, spilling, trimming.
    async fn beat(&mut self) -> Result<(), End> {
        if let Some(since) = Instant::now().checked_sub(self.settings.hold_max) {
            self.lanes.spill_followers(since);
        }
        if self.looked.elapsed() >= LOOK_EVERY {
            self.looked = Instant::now();
            self.lanes.trim();
            self.weigh_ledger().await;
            self.give_way()?;
            self.tend_turning().await?;
        }
        self.turn().await?;
        let settled = self
            .book
            .watermark()
            .sequence
            .saturating_sub(self.tenancy.checkpoint().watermark);
        if self.tenancy.is_due() || settled >= CHECKPOINT_EVENTS {
            self.write(0).await?;
        }
        Ok(())
    }

    async fn tend_turning(&mut self) -> Result<(), End> {
        let Some(turning) = &mut self.turning else {
            return Ok(());
        };
        let handler = &self.owner.handler;
        let (received, watermark) = (self.book.received(), self.book.watermark());
        let tended = turning.tend(handler, received, watermark.sequence).await;
        let ahead = turning.take_ahead();
        if let Err(doubt) = tended {
            doubt.heed(handler)?;
        }
        match ahead {
            Some(delivery) => self.take_in(delivery).await,
            None => Ok(()),
        }
    }

    /// Whether all that an earlier subscription began is with its lanes.
    fn has_read_earlier(&self) -> bool {
        self.turning.as_ref().is_some_and(Turning::has_read)
    }

    /// Ends what is owned under an earlier subscription when nothing of it is left.
    async fn turn(&mut self) -> Result<(), End> {
        let Some(turning) = self.turning.as_mut().filter(|turning| turning.has_read()) else {
            return Ok(());
        };
        if !self.book.is_settled() {
            return Ok(());
        }
        let handler = &self.owner.handler;
        match turning.settled(handler, self.book.received()).await {
            Ok(()) => Err(End::Turned),
            Err(fault) => {
                handler.report(&fault);
                Ok(())
            }
        }
    }

    /// Hosts share the handlers: this one may be another's to work.
    fn give_way(&mut self) -> Result<(), End> {
        let (handler, partition) = (&self.owner.handler, self.owner.partition);
        let Some(successor) = self.settings.sharing.successor(handler, partition) else {
            return Ok(());
        };
        tracing::info!(
            handler = handler.name(),
            partition,
            successor,
            "partition given up"
        );
        self.successor = Some(successor);
        Err(End::GivenUp)
    }

    /// A full ledger would fail in the middle of an event: at 80 % nothing more
    /// is read.
    async fn weigh_ledger(&mut self) {
        let handler = &self.owner.handler;
        match handler.ledger.usage().await {
            Ok(usage) if usage.is_nearly_full() => {
                handler.alarm_full(&usage);
                self.full
                    .get_or_insert_with(|| handler.metrics.unsettled(UnsettledState::Paused));
            }
            Ok(_) => self.full = None,
            Err(error) => handler.report(&HostFault::broker(error.to_string())),
        }
    }

    /// Writes the checkpoint, with `high` raised where it is lower.
    async fn write(&mut self, high: u64) -> Result<(), End> {
        let high = high.max(self.tenancy.checkpoint().high);
        Ok(self.tenancy.write(self.book.watermark(), high).await?)
    }

    /// Why the owner leaves: the host drains, or a task of it has panicked.
    fn left(&self) -> End {
        if self.drain_leave.is_cancelled() {
            End::Drained
        } else {
            End::Paused
        }
    }
}
