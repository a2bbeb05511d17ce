//! One run of pulling from one consumer, until something ends it.

use super::delivery::{AckToken, Delivery, Origin};
use super::metadata::Metadata;
use super::status::Status;
use super::{Ask, Credit, Pace};
use crate::connection::{API_PREFIX, Connection, Link, Status as LinkStatus};
use crate::error::Error;
use async_nats::{Message, Subscriber};
use futures_util::StreamExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Which consumer is pulled from.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) origin: Arc<Origin>,
    pub(crate) consumer: String,
    /// The largest delivery that it can make, in bytes as a pull counts them.
    pub(crate) largest: u64,
    pub(crate) acknowledged: Acknowledged,
}

/// Whether deliveries are to be acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Acknowledged {
    Each,
    Never,
}

/// Whether a request that is over is followed by another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Pulling,
    Stopped,
}

/// What a session reports.
#[derive(Debug)]
pub(crate) enum Signal {
    Delivered {
        delivery: Delivery,
        consumer_sequence: u64,
    },
    Heartbeat {
        last_consumer: Option<u64>,
        last_stream: Option<u64>,
    },
    /// Stopped, and no request is open: nothing can arrive any more.
    Lapsed,
    Ended(End),
}

/// Why a session is over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum End {
    #[error("the connection broke")]
    ConnectionLost,
    #[error("the broker was silent for longer than its heartbeats allow")]
    Silent,
    #[error("the consumer was deleted")]
    Deleted,
    #[error("nobody answers for the consumer")]
    NoResponders,
    #[error("the consumer moved to another server")]
    Moved,
    #[error("the broker refuses the pull: {text} ({code})")]
    Refused { code: u16, text: String },
    /// A delivery whose reply subject is not understood.
    #[error("a delivery carries no position: `{reply}`")]
    Unplaced { reply: String },
    #[error("the connection is closed")]
    Closed,
}

struct Request {
    token: String,
    left: u64,
    delivered: bool,
}

/// One subscription, one consumer, at most one open request.
pub(crate) struct Session {
    connection: Arc<Connection>,
    source: Source,
    pace: Pace,
    /// Reply subjects without their last token, ending in a dot. New for each
    /// session: an old request then has nobody to deliver to.
    inbox: String,
    replies: Subscriber,
    request: Option<Request>,
    requests_made: u64,
    link: watch::Receiver<LinkStatus>,
    reconnects: u64,
    /// When the broker was last heard of.
    heard: Instant,
    /// When this was last polled: an owner that was away is no silence.
    polled: Instant,
}

impl Session {
    /// Subscribes; the first request goes out with the first `next`.
    ///
    /// # Errors
    /// `Closed`.
    pub(crate) async fn start(
        connection: Arc<Connection>,
        source: Source,
        pace: Pace,
    ) -> Result<Self, Error> {
        let link = connection.status();
        let reconnects = link.borrow().reconnects;
        let inbox = format!("{}.", connection.client().new_inbox());
        let subscribed = connection.client().subscribe(format!("{inbox}*")).await;
        let replies = subscribed.map_err(|_| Error::Closed)?;
        let now = Instant::now();
        Ok(Self {
            connection,
            source,
            pace,
            inbox,
            replies,
            request: None,
            requests_made: 0,
            link,
            reconnects,
            heard: now,
            polled: now,
        })
    }

    pub(crate) fn consumer(&self) -> &str {
        &self.source.consumer
    }

    /// Waits for the next thing to report. Credit is read here, and spent by
    /// the owner when it accepts a delivery.
    ///
    /// # Cancel safety
    /// Safe: nothing is taken from the subscription without being reported.
    pub(crate) async fn next(&mut self, credit: &Credit, mode: Mode) -> Signal {
        self.excuse_absence();
        loop {
            self.polled = Instant::now();
            if self.request.is_none() {
                match mode {
                    Mode::Stopped => return Signal::Lapsed,
                    Mode::Pulling => {
                        if let Some(ask) = credit.ask(self.source.largest)
                            && self.pull(ask).await.is_err()
                        {
                            return Signal::Ended(End::Closed);
                        }
                    }
                }
            }
            if let Some(signal) = self.wait().await {
                return signal;
            }
        }
    }

    /// One thing that happens; None when it is of no interest to the owner.
    async fn wait(&mut self) -> Option<Signal> {
        let patience = match self.request {
            Some(_) => self.pace.patience(),
            // Without a request the broker owes no sign of life.
            None => Duration::from_secs(3600),
        };
        tokio::select! {
            biased;
            // First what arrived before the connection broke, then the news of it.
            message = self.replies.next() => match message {
                Some(message) => {
                    self.heard = Instant::now();
                    self.receive(message)
                }
                None => Some(Signal::Ended(End::Closed)),
            },
            () = broken(&mut self.link, self.reconnects) => {
                Some(Signal::Ended(End::ConnectionLost))
            }
            () = tokio::time::sleep_until(self.heard + patience) => match self.request {
                Some(_) => Some(Signal::Ended(End::Silent)),
                None => {
                    self.heard = Instant::now();
                    None
                }
            },
        }
    }

    fn receive(&mut self, message: Message) -> Option<Signal> {
        // Deliveries keep the subject that they were published on; only what is
        // addressed to the inbox itself is the server's word.
        match message.subject.strip_prefix(self.inbox.as_str()) {
            Some(token) => {
                let status = Status::of(&message)?;
                let current = self
                    .request
                    .as_ref()
                    .is_some_and(|open| open.token == token);
                self.heed(status, current)
            }
            None => Some(self.deliver(message)),
        }
    }

    fn heed(&mut self, status: Status, current: bool) -> Option<Signal> {
        match status {
            Status::Heartbeat {
                last_consumer,
                last_stream,
            } => Some(Signal::Heartbeat {
                last_consumer,
                last_stream,
            }),
            Status::Over => {
                self.request.take_if(|_| current);
                None
            }
            Status::BytesReached => {
                let over = self.request.take_if(|_| current);
                if over.is_some_and(|request| !request.delivered) {
                    // Something larger than the stream's limits promised.
                    self.source.largest = self.source.largest.saturating_mul(2);
                }
                None
            }
            Status::Deleted => Some(Signal::Ended(End::Deleted)),
            Status::Moved => Some(Signal::Ended(End::Moved)),
            Status::NoResponders => current.then_some(Signal::Ended(End::NoResponders)),
            Status::Refused { code, text } => {
                current.then_some(Signal::Ended(End::Refused { code, text }))
            }
        }
    }

    fn deliver(&mut self, message: Message) -> Signal {
        let reply = message.reply.clone().unwrap_or_else(|| "".into());
        let Some(metadata) = Metadata::parse(&reply) else {
            return Signal::Ended(End::Unplaced {
                reply: reply.into_string(),
            });
        };
        if let Some(request) = &mut self.request {
            request.delivered = true;
            request.left = request.left.saturating_sub(1);
        }
        self.request.take_if(|request| request.left == 0);
        let token = match self.source.acknowledged {
            Acknowledged::Never => None,
            Acknowledged::Each => Some(AckToken::new(
                &self.connection,
                reply,
                metadata.stream_sequence,
            )),
        };
        let delivery = Delivery::received(&self.source.origin, message, &metadata, token);
        Signal::Delivered {
            delivery,
            consumer_sequence: metadata.consumer_sequence,
        }
    }

    async fn pull(&mut self, ask: Ask) -> Result<(), Error> {
        let token = self.requests_made.to_string();
        let body = serde_json::json!({
            "batch": ask.events,
            "max_bytes": i64::try_from(ask.bytes).unwrap_or(i64::MAX),
            "expires": nanos(self.pace.expires),
            "idle_heartbeat": nanos(self.pace.heartbeat),
        });
        let subject = format!(
            "{API_PREFIX}.CONSUMER.MSG.NEXT.{}.{}",
            self.source.origin.stream, self.source.consumer
        );
        let reply = format!("{}{token}", self.inbox);
        let client = self.connection.client();
        let sent = client
            .publish_with_reply(subject, reply, body.to_string().into())
            .await;
        sent.map_err(|_| Error::Closed)?;
        self.requests_made += 1;
        self.heard = Instant::now();
        self.request = Some(Request {
            token,
            left: ask.events,
            delivered: false,
        });
        Ok(())
    }

    /// What waits in the subscription is read before silence is judged, but it
    /// may still be on its way into it: an owner that was away for longer than
    /// a heartbeat waits afresh.
    fn excuse_absence(&mut self) {
        let now = Instant::now();
        if now.saturating_duration_since(self.polled) > self.pace.heartbeat {
            self.heard = now;
        }
    }
}

/// Ends when the connection is down, or was since it had this many reconnects.
async fn broken(link: &mut watch::Receiver<LinkStatus>, reconnects: u64) {
    let broken = |now: &LinkStatus| now.link == Link::Disconnected || now.reconnects != reconnects;
    // An error means that the connection is gone altogether.
    let _ = link.wait_for(broken).await;
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
