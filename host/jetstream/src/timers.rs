//! Scheduled messages that say "look at this entity", one an entity.
//!
//! The record is the truth about timers. A schedule is a hint that the broker
//! hands back at its time, and may be lost: arming again just before the due
//! time can lose the new schedule with the old one. So whoever gets a firing
//! arms again before it acknowledges, while the record has any timer left.

use async_nats::HeaderMap;
use bytes::Bytes;
use wharf_core::ids::entity_token;

use crate::api::{Api, stamp};
use crate::connection::{Connection, Links};
use crate::error::Error;
use crate::ledger::{Store, Written};
use crate::names::{Lineage, firing_consumer, last_token};
use crate::publisher::Publisher;
use crate::pull::{AckToken, Delivery, Pace};
use crate::shared::{Event, SharedConsumer};

const SCHEDULE: &str = "Nats-Schedule";
const TARGET: &str = "Nats-Schedule-Target";
const NANOS_PER_MS: u64 = 1_000_000;

/// Arms the timers of one lineage.
#[derive(Clone)]
pub struct Timers {
    lineage: Lineage,
    api: Api,
    store: Store,
}

/// How arming ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArmResult {
    /// It will fire, at the earliest at its time.
    Armed,
    /// It may be armed. Arming again is right.
    Unanswered,
    /// It is not armed, and the broker said why.
    Unavailable { reason: String },
}

/// The firings of one partition, for its owner only.
pub struct Firings {
    shared: SharedConsumer,
}

/// What comes of waiting for a firing.
#[derive(Debug)]
pub enum Fired {
    Due(Firing),
    /// Pulling is not possible just now; it is tried again.
    Unavailable {
        error: Error,
    },
    /// Stream or consumer do not exist any more.
    Gone,
    /// Pulling was stopped and nothing can arrive any more.
    Lapsed,
}

/// An entity's time has come. Acknowledge when the record no longer needs it;
/// until then it comes again.
#[derive(Debug, Clone)]
pub struct Firing {
    pub ek: String,
    pub key: String,
    pub token: AckToken,
}

impl Timers {
    /// Binds to the timer stream of a lineage, whose shape `assets` has made
    /// or verified. `publisher` belongs to `connection`.
    pub fn open(connection: Connection, publisher: Publisher, lineage: Lineage) -> Self {
        let store = Store::new(connection.clone(), publisher);
        Self {
            lineage,
            api: Api::new(connection),
            store,
        }
    }

    /// Arms the entity's one schedule, replacing what was armed. A time that
    /// has passed fires at once; the broker looks about four times a second.
    /// `due_ms` is in milliseconds since 1970.
    ///
    /// # Cancel safety
    /// It may be armed.
    pub async fn arm(&self, partition: u32, key: &str, due_ms: u64) -> ArmResult {
        let ek = entity_token(key);
        let mut headers = HeaderMap::new();
        let due = stamp::format(due_ms.saturating_mul(NANOS_PER_MS));
        headers.insert(SCHEDULE, format!("@at {due}"));
        headers.insert(TARGET, self.lineage.firing(partition, &ek));
        let subject = self.lineage.schedule(partition, &ek);
        let key = Bytes::copy_from_slice(key.as_bytes());
        match self.store.put(&subject, &headers, &key).await {
            Written::Stored { .. } => ArmResult::Armed,
            Written::Unanswered => ArmResult::Unanswered,
            Written::Unavailable { reason } => ArmResult::Unavailable { reason },
            Written::Refused => refused("it refuses the schedule"),
            Written::Full => refused("the stream of timers has a limit, which it must not have"),
            Written::TooLarge => refused("the key is larger than a message may be"),
        }
    }

    /// Takes the entity's schedule back; true when there was one. A firing that
    /// is under way still comes.
    ///
    /// # Errors
    /// As [`Api::call`].
    pub async fn disarm(&self, partition: u32, key: &str) -> Result<bool, Error> {
        let subject = self.lineage.schedule(partition, &entity_token(key));
        Ok(self
            .api
            .purge(&self.lineage.timer_stream(), &subject)
            .await?
            > 0)
    }

    /// Begins to pull the partition's firings, as far as `grant` allows.
    ///
    /// # Errors
    /// As [`SharedConsumer::bind`].
    pub async fn firings(&self, links: Links, partition: u32) -> Result<Firings, Error> {
        let stream = self.lineage.timer_stream();
        let consumer = firing_consumer(partition);
        let shared = SharedConsumer::bind(links, &stream, &consumer, Pace::default()).await?;
        Ok(Firings { shared })
    }
}

impl Firings {
    /// Lets so many more firings be delivered.
    pub fn grant(&mut self, firings: u64) {
        self.shared
            .grant(firings, firings.saturating_mul(FIRING_BYTES_MAX));
    }

    pub fn stop_pulling(&mut self) {
        self.shared.stop_pulling();
    }

    /// The next firing. A message that is none is acknowledged and passed over.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn next(&mut self) -> Fired {
        loop {
            match self.shared.next().await {
                Event::Delivery(delivery) => match firing(&delivery) {
                    Some(firing) => return Fired::Due(firing),
                    None => self.pass_over(&delivery).await,
                },
                Event::Resumed { reason } => {
                    tracing::debug!(message = %reason, "firings are pulled again");
                }
                Event::Unavailable { error } => return Fired::Unavailable { error },
                Event::Gone => return Fired::Gone,
                Event::Lapsed => return Fired::Lapsed,
            }
        }
    }

    async fn pass_over(&mut self, delivery: &Delivery) {
        tracing::warn!(subject = %delivery.subject, "this is no firing of Wharf");
        self.shared.grant(1, delivery.bytes());
        if let Some(token) = &delivery.token {
            // Lost with the connection, it comes again and is passed over again.
            let _ = token.ack().await;
        }
    }
}

/// Subject, headers and key of a firing, generously.
const FIRING_BYTES_MAX: u64 = 4 << 10;

/// The key is checked against its token: nothing else can be trusted here.
fn firing(delivery: &Delivery) -> Option<Firing> {
    let key = std::str::from_utf8(&delivery.payload).ok()?;
    let ek = last_token(&delivery.subject);
    let token = delivery.token.clone()?;
    (entity_token(key) == ek).then(|| Firing {
        ek: ek.to_owned(),
        key: key.to_owned(),
        token,
    })
}

fn refused(reason: &str) -> ArmResult {
    ArmResult::Unavailable {
        reason: reason.to_owned(),
    }
}
