//! Looks through all records for those marked with `hold`, by headers only.
//!
//! The broker's consumer is without acknowledgements and in memory; when it
//! breaks, another goes on behind the last record seen. What is written during
//! the sweep moves to the stream's end and is seen there. The broker may place
//! the consumer beside a copy of the stream that lags, so its end is no end
//! before the newest record that the leader had at the beginning.

use std::sync::Arc;
use std::time::Duration;

use super::HOLD;
use crate::api::Api;
use crate::api::consumer::{AckPolicy, ConsumerConfig, DeliverPolicy};
use crate::api::message::Query;
use crate::error::Error;
use crate::names::{Lineage, last_token};
use crate::pull::session::{Acknowledged, Mode, Session, Signal, Source};
use crate::pull::{Credit, Delivery, Origin, Pace, largest_delivery};

/// Headers asked for at once.
const BATCH: u64 = 2_000;
/// Consumers made one after another without any record seen.
const RESTARTS_MAX: u32 = 10;
const PAUSE: Duration = Duration::from_millis(200);
const INACTIVE: Duration = Duration::from_secs(30);

/// A record written with `hold`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The entity's token, not its key.
    pub ek: String,
    /// At the time it was seen; it may have changed since.
    pub revision: u64,
}

/// A sweep under way. Dropping it leaves a consumer that the broker removes.
pub struct Sweep {
    api: Api,
    lineage: Lineage,
    run: Option<Run>,
    credit: Credit,
    last_seen: u64,
    /// Of the leader's records at the beginning.
    newest: u64,
    restarts: u32,
}

struct Run {
    stream: String,
    session: Session,
    /// The consumer's sequence of the last delivery.
    received: u64,
}

enum Step {
    Seen(Delivery),
    Waiting,
    /// Something is missing or over: go on with another consumer.
    Broken,
    Done,
}

impl Sweep {
    pub(super) async fn start(api: Api, lineage: Lineage) -> Result<Self, Error> {
        let credit = Credit::default();
        let mut sweep = Self {
            api,
            lineage,
            run: None,
            credit,
            last_seen: 0,
            newest: 0,
            restarts: 0,
        };
        sweep.newest = sweep.newest_now().await?;
        sweep.run = sweep.begin().await?;
        if sweep.run.is_none() {
            sweep.end().await?;
        }
        Ok(sweep)
    }

    /// The next held record; None when all have been seen.
    ///
    /// # Errors
    /// As [`Api::call`], after several attempts to go on.
    ///
    /// # Cancel safety
    /// Not safe: a record that was received may be lost. Drop the sweep.
    pub async fn next(&mut self) -> Result<Option<Held>, Error> {
        loop {
            let Some(run) = &mut self.run else {
                return Ok(None);
            };
            let step = run.step(&self.api, &mut self.credit).await;
            match step {
                Step::Done => self.end().await?,
                Step::Waiting => {}
                Step::Broken => self.restart().await?,
                Step::Seen(delivery) => {
                    self.restarts = 0;
                    self.last_seen = delivery.position.sequence;
                    if delivery.pending == 0 {
                        self.end().await?;
                    }
                    if is_held(&delivery) {
                        let ek = last_token(&delivery.subject).to_owned();
                        return Ok(Some(Held {
                            ek,
                            revision: self.last_seen,
                        }));
                    }
                }
            }
        }
    }

    /// None when there is nothing (more) to see.
    async fn begin(&mut self) -> Result<Option<Run>, Error> {
        let stream = self.lineage.ledger_stream();
        let info = self.api.require_stream(&stream).await?;
        let consumer = self.api.create_consumer(&stream, &self.consumer()).await?;
        if consumer.num_pending == 0 {
            self.api.delete_consumer(&stream, &consumer.name).await?;
            return Ok(None);
        }
        let connection = Arc::new(self.api.connection().clone());
        let origin = Origin {
            stream: stream.clone(),
            created_ns: info.created_ns,
        };
        let source = Source {
            origin: Arc::new(origin),
            consumer: consumer.name,
            largest: largest_delivery(connection.max_payload(), None),
            acknowledged: Acknowledged::Never,
        };
        let session = Session::start(connection, source, Pace::default()).await?;
        self.credit = Credit::default();
        Ok(Some(Run {
            stream,
            session,
            received: 0,
        }))
    }

    fn consumer(&self) -> ConsumerConfig {
        ConsumerConfig {
            deliver_policy: DeliverPolicy::ByStartSequence,
            opt_start_seq: Some(self.last_seen + 1),
            ack_policy: AckPolicy::None,
            filter_subject: Some(self.lineage.records()),
            headers_only: true,
            mem_storage: true,
            num_replicas: 1,
            inactive_threshold: u64::try_from(INACTIVE.as_nanos()).ok(),
            ..ConsumerConfig::default()
        }
    }

    /// The consumer has no more: that is all, unless its copy lags.
    async fn end(&mut self) -> Result<(), Error> {
        if self.is_whole().await? {
            self.finish().await;
            return Ok(());
        }
        self.restart().await
    }

    async fn is_whole(&self) -> Result<bool, Error> {
        // What was the newest may be gone, or written again and yet to be seen.
        Ok(self.last_seen >= self.newest || self.newest_now().await? <= self.last_seen)
    }

    async fn newest_now(&self) -> Result<u64, Error> {
        let (stream, records) = (self.lineage.ledger_stream(), self.lineage.records());
        let found = self.api.message(&stream, &Query::last(&records)).await?;
        Ok(found.map_or(0, |message| message.sequence))
    }

    async fn restart(&mut self) -> Result<(), Error> {
        self.finish().await;
        let mut error = Error::Lagging {
            stream: self.lineage.ledger_stream(),
        };
        while self.restarts < RESTARTS_MAX {
            self.restarts += 1;
            tokio::time::sleep(PAUSE * self.restarts).await;
            match self.begin().await {
                Ok(None) if !self.is_whole().await? => {}
                Ok(run) => {
                    self.run = run;
                    return Ok(());
                }
                Err(again) => error = again,
            }
        }
        Err(error)
    }

    /// The consumer would go by itself, but counts until then.
    async fn finish(&mut self) {
        if let Some(run) = self.run.take() {
            let deleted = self
                .api
                .delete_consumer(&run.stream, run.session.consumer())
                .await;
            if let Err(error) = deleted {
                tracing::debug!(message = %error, "a sweep's consumer is left to its time-out");
            }
        }
    }
}

impl Run {
    async fn step(&mut self, api: &Api, credit: &mut Credit) -> Step {
        if credit.is_spent() {
            *credit = Credit::default();
            credit.grant(BATCH, u64::MAX);
        }
        match self.session.next(credit, Mode::Pulling).await {
            Signal::Delivered {
                delivery,
                consumer_sequence,
            } => {
                if consumer_sequence != self.received + 1 {
                    return Step::Broken;
                }
                self.received = consumer_sequence;
                credit.spend(&delivery);
                Step::Seen(delivery)
            }
            Signal::Heartbeat { last_consumer, .. } => match last_consumer {
                // Sent, and lost on the way.
                Some(sent) if sent != self.received => Step::Broken,
                Some(_) | None => self.look(api).await,
            },
            Signal::Lapsed => Step::Broken,
            Signal::Ended(end) => {
                tracing::debug!(message = %end, "a sweep goes on with another consumer");
                Step::Broken
            }
        }
    }

    /// Nothing comes: records that were counted may have gone in the meantime.
    async fn look(&self, api: &Api) -> Step {
        match api.consumer(&self.stream, self.session.consumer()).await {
            Ok(Some(info)) if info.num_pending == 0 => Step::Done,
            Ok(Some(_)) => Step::Waiting,
            Ok(None) | Err(_) => Step::Broken,
        }
    }
}

fn is_held(delivery: &Delivery) -> bool {
    let entries = delivery.headers.entries();
    entries
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case(HOLD.as_bytes()))
}
