//! Reads a stream like a log: in order, each event once, from a position that
//! the caller keeps.
//!
//! The broker side is an ephemeral consumer without acknowledgements, pulled
//! by credit. Whatever raises a doubt (a gap, a heartbeat that knows of more,
//! silence, a broken connection) ends that consumer, and another one begins
//! behind the last event received without a gap. So nothing is handed out
//! twice, nothing out of order, and nothing is passed over in silence.
//!
//! It refuses to read on a source that is not the one it was reading: see
//! [`RolledBack`].

mod event;
mod open;
mod source;

use crate::api::Api;
use crate::api::message::StoredMessage;
use crate::connection::Links;
use crate::error::Error;
use crate::pull::session::{Mode, Session, Signal};
use crate::pull::{Credit, Delivery, End, Origin, fetch};
use futures_util::future::BoxFuture;
use open::{Failure, Opened, Plan, Stepped};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

pub use event::{Event, Reason, Settings};
pub use open::CONSUMER_PREFIX;
pub use source::{RolledBack, SourceFacts, SourceMark, facts};

/// Shortest time between two consumers of one reader: abandoned ones count
/// against the stream's limit until the broker forgets them.
const REOPEN_MIN: Duration = Duration::from_secs(1);
const REOPEN_JITTER: Duration = Duration::from_millis(250);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// Broken connections without an event in between after which the next events
/// are fetched one by one.
const DROPS_MAX: u32 = 2;
/// Events fetched one by one behind the last that the client cannot parse.
const STEPS: u32 = 32;

/// Reads one stream.
pub struct Reader {
    links: Links,
    api: Api,
    stream: String,
    filters: Vec<String>,
    settings: Settings,
    credit: Credit,
    /// Moves with each delivery.
    mark: SourceMark,
    phase: Phase,
    /// Events that are known and not handed out.
    ready: VecDeque<Event>,
    /// Consumer to be deleted before the next one is made.
    abandoned: Option<String>,
    /// None before the first consumer.
    reason: Option<Reason>,
    opened: Option<Instant>,
    not_before: Instant,
    /// Connections broken since the last delivery.
    drops: u32,
    /// Attempts failed since the last that succeeded.
    failures: u32,
}

enum Phase {
    Resting,
    Opening(BoxFuture<'static, Result<Opened, Failure>>),
    Reading(Box<Reading>),
    Stepping(Stepping),
}

struct Reading {
    session: Session,
    /// Number of the next delivery, by the consumer's count.
    expected: u64,
}

struct Stepping {
    fetch: BoxFuture<'static, Result<Stepped, Failure>>,
    count: u32,
    left: u32,
}

/// What lies behind a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ahead {
    /// First and last sequence of what is gone unread.
    pub lost: Option<(u64, u64)>,
    /// The first sequence that one of the filters selects; none when there is none.
    pub next: Option<u64>,
}

/// Looks behind a mark, by the word of the stream's leader and after the same check
/// of the source as a reader's.
///
/// # Errors
/// As [`Api::call`]; and within, that the source is not the one that was read.
pub async fn ahead(
    api: &Api,
    stream: &str,
    filters: &[String],
    mark: &SourceMark,
) -> Result<Result<Ahead, RolledBack>, Error> {
    let checked = match source::check(api, stream, mark).await {
        Ok(checked) => checked,
        Err(Failure::RolledBack(rolled_back)) => return Ok(Err(rolled_back)),
        Err(Failure::Broker { error, .. }) => return Err(error),
    };
    let next = fetch::next_stored(api, stream, filters, checked.next_sequence).await?;
    Ok(Ok(Ahead {
        lost: checked.lost,
        next: next.map(|message| message.sequence),
    }))
}

impl Reader {
    /// A reader that begins at `mark.watermark + 1`. It does nothing before
    /// `next` is called with credit granted. `filters` must not overlap; none
    /// means all subjects. Deliveries come on `links.consume`, which should
    /// serve this reader alone.
    ///
    /// # Panics
    /// When the pace is out of bounds.
    pub fn open(
        links: Links,
        stream: impl Into<String>,
        filters: Vec<String>,
        mark: SourceMark,
        settings: Settings,
    ) -> Self {
        settings.pace.assert_valid();
        Self {
            api: Api::new(links.control.clone()),
            links,
            stream: stream.into(),
            filters,
            settings,
            credit: Credit::default(),
            mark,
            phase: Phase::Resting,
            ready: VecDeque::new(),
            abandoned: None,
            reason: None,
            opened: None,
            not_before: Instant::now(),
            drops: 0,
            failures: 0,
        }
    }

    /// Lets the reader hand out so much more. Events and bytes
    /// ([`Delivery::bytes`]) both bound it; one delivery may overdraw the
    /// bytes by the size of a largest message.
    pub fn grant(&mut self, events: u64, bytes: u64) {
        self.credit.grant(events, bytes);
    }

    /// The last sequence handed out or given up as lost; the watermark at first.
    pub fn position(&self) -> u64 {
        self.mark.watermark
    }

    /// The next event. Without credit, deliveries wait until it is dropped,
    /// called again after a `grant`, and so on.
    ///
    /// # Errors
    /// The source is not the one that was read. Calling again looks again.
    ///
    /// # Cancel safety
    /// Safe: nothing is lost, and what is under way goes on with the next call.
    pub async fn next(&mut self) -> Result<Event, RolledBack> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(event);
            }
            match &mut self.phase {
                Phase::Resting => self.rest().await,
                Phase::Opening(opening) => {
                    let outcome = opening.await;
                    self.opened(outcome)?;
                }
                Phase::Reading(reading) => {
                    let signal = reading.session.next(&self.credit, Mode::Pulling).await;
                    self.hear(signal);
                }
                Phase::Stepping(stepping) => {
                    let outcome = (&mut stepping.fetch).await;
                    self.stepped(outcome)?;
                }
            }
        }
    }

    /// Stops reading and deletes the consumer on the broker. A reader that is
    /// dropped instead leaves its consumer until the broker forgets it.
    pub async fn close(self) {
        let consumer = match &self.phase {
            Phase::Reading(reading) => Some(reading.session.consumer().to_owned()),
            Phase::Resting | Phase::Opening(_) | Phase::Stepping(_) => self.abandoned.clone(),
        };
        if let Some(consumer) = consumer {
            // The broker forgets it by itself when it cannot be told.
            let _ = self.api.delete_consumer(&self.stream, &consumer).await;
        }
    }

    /// Waits until another consumer, or fetching one by one, may begin.
    async fn rest(&mut self) {
        if self.credit.is_spent() {
            std::future::pending::<()>().await;
        }
        self.links.consume.connected().await;
        if self.drops >= DROPS_MAX {
            tokio::time::sleep_until(self.not_before.min(self.retry_at())).await;
            let fetch = open::step(self.plan());
            self.phase = Phase::Stepping(Stepping {
                fetch: Box::pin(fetch),
                count: 0,
                left: STEPS,
            });
        } else {
            tokio::time::sleep_until(self.not_before).await;
            self.phase = Phase::Opening(Box::pin(open::open(self.plan())));
        }
    }

    fn plan(&self) -> Plan {
        Plan {
            links: self.links.clone(),
            api: self.api.clone(),
            stream: self.stream.clone(),
            filters: self.filters.clone(),
            settings: self.settings.clone(),
            mark: self.mark,
            abandoned: self.abandoned.clone(),
        }
    }

    fn opened(&mut self, outcome: Result<Opened, Failure>) -> Result<(), RolledBack> {
        self.phase = Phase::Resting;
        let opened = self.attempted(outcome)?;
        let Some(Opened { session, lost }) = opened else {
            return Ok(());
        };
        self.lose(lost);
        if let Some(reason) = self.reason.take() {
            self.ready.push_back(Event::Reopened { reason });
        }
        self.opened = Some(Instant::now());
        self.abandoned = None;
        self.phase = Phase::Reading(Box::new(Reading {
            session,
            expected: 1,
        }));
        Ok(())
    }

    /// None after a failure that is reported as an event and tried again.
    fn attempted<T>(&mut self, outcome: Result<T, Failure>) -> Result<Option<T>, RolledBack> {
        let pause = REOPEN_MIN * 2u32.pow(self.failures.min(3));
        match outcome {
            Ok(value) => {
                self.failures = 0;
                return Ok(Some(value));
            }
            Err(Failure::RolledBack(rolled_back)) => {
                self.not_before = Instant::now() + REOPEN_MIN;
                return Err(rolled_back);
            }
            Err(Failure::Broker { error, abandoned }) => {
                self.abandoned = abandoned.or(self.abandoned.take());
                self.ready.push_back(Event::Unavailable { error });
            }
        }
        self.failures = self.failures.saturating_add(1);
        self.not_before = Instant::now() + pause.min(RETRY_MAX);
        Ok(None)
    }

    fn hear(&mut self, signal: Signal) {
        let Phase::Reading(reading) = &mut self.phase else {
            unreachable!("signals come from a session")
        };
        match signal {
            Signal::Delivered {
                delivery,
                consumer_sequence: found,
            } => {
                let expected = reading.expected;
                if found != expected {
                    self.abandon(Reason::Gap { expected, found });
                } else if delivery.position.sequence <= self.mark.watermark {
                    let received = self.mark.watermark;
                    let found = delivery.position.sequence;
                    self.abandon(Reason::WentBack { received, found });
                } else {
                    reading.expected += 1;
                    self.accept(delivery);
                }
            }
            Signal::Heartbeat {
                last_consumer,
                last_stream,
            } => {
                let received = reading.expected - 1;
                let sent = last_consumer.unwrap_or(received);
                let reached = last_stream
                    .filter(|_| received > 0)
                    .unwrap_or(self.mark.watermark);
                if sent != received {
                    self.abandon(Reason::Missed { sent, received });
                } else if reached < self.mark.watermark {
                    let received = self.mark.watermark;
                    self.abandon(Reason::WentBack {
                        received,
                        found: reached,
                    });
                }
            }
            Signal::Lapsed => unreachable!("a reader never stops pulling"),
            Signal::Ended(end) => {
                if end == End::ConnectionLost {
                    self.drops += 1;
                }
                self.abandon(Reason::Ended(end));
            }
        }
    }

    fn accept(&mut self, delivery: Delivery) {
        self.drops = 0;
        self.mark.watermark = delivery.position.sequence;
        self.mark.stored_ns = delivery.position.stored_ns;
        self.credit.spend(&delivery);
        self.ready.push_back(Event::Delivery(delivery));
    }

    fn abandon(&mut self, reason: Reason) {
        if let Phase::Reading(reading) = &self.phase {
            self.abandoned = Some(reading.session.consumer().to_owned());
        }
        self.phase = Phase::Resting;
        self.reason = Some(reason);
        let jitter = REOPEN_JITTER.mul_f64(rand::random_range(0.0..1.0));
        let soonest = self
            .opened
            .map_or_else(Instant::now, |opened| opened + REOPEN_MIN);
        self.not_before = soonest.max(Instant::now()) + jitter;
    }

    fn lose(&mut self, lost: Option<(u64, u64)>) {
        if let Some((from, to)) = lost {
            self.mark.watermark = to;
            self.mark.stored_ns = 0;
            self.ready.push_back(Event::SourceLost { from, to });
        }
    }

    fn stepped(&mut self, outcome: Result<Stepped, Failure>) -> Result<(), RolledBack> {
        let Phase::Stepping(before) = std::mem::replace(&mut self.phase, Phase::Resting) else {
            unreachable!("a step ends stepping")
        };
        let Some(Stepped {
            lost,
            message,
            origin,
        }) = self.attempted(outcome)?
        else {
            return Ok(());
        };
        self.lose(lost);
        let (count, left) = match message {
            Some(message) => (
                before.count + 1,
                self.take_step(message, &origin, before.left),
            ),
            None => (before.count, 0),
        };
        if left == 0 || self.credit.is_spent() {
            self.drops = 0;
            self.reason = Some(Reason::Stepped { count });
        } else {
            let fetch = Box::pin(open::step(self.plan()));
            self.phase = Phase::Stepping(Stepping { fetch, count, left });
        }
        Ok(())
    }

    /// Hands out a fetched event; how many more are fetched one by one.
    fn take_step(&mut self, message: StoredMessage, origin: &Arc<Origin>, left: u32) -> u32 {
        let receivable = fetch::is_receivable(&message);
        if !receivable {
            tracing::warn!(
                stream = %self.stream,
                sequence = message.sequence,
                "an event's subject or headers cannot be received; it was fetched from the stream"
            );
        }
        self.accept(Delivery::fetched(origin, message, None));
        if receivable { left - 1 } else { STEPS }
    }

    /// Fetching needs no new consumer, so only failures slow it down.
    fn retry_at(&self) -> Instant {
        match self.failures {
            0 => Instant::now(),
            _ => self.not_before,
        }
    }
}
