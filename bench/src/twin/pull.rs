//! Pulls from a consumer in batches, with enough asked for ahead.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use async_nats::jetstream::{self, consumer};
use async_nats::{Client, Message, Subject, Subscriber};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use serde_json::json;

/// Events that one request asks for.
const BATCH: u64 = 500;
/// Events that are asked for and have not come, at least.
const AHEAD: u64 = 1_000;
/// Longer than any row takes.
const EXPIRES: Duration = Duration::from_secs(600);

/// Whether events of a consumer are acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acks {
    /// Each; the consumer is durable.
    Each,
    /// None; the consumer is ephemeral and in memory.
    None,
}

/// A consumer's events, as they come.
pub struct Pull {
    client: Client,
    next: String,
    inbox: Subject,
    deliveries: Subscriber,
    asked: u64,
}

/// One event.
pub struct Delivery {
    pub subject: Subject,
    pub data: Bytes,
    /// Where it is acknowledged; it also says where and when it is stored.
    pub reply: Subject,
}

impl Pull {
    /// Makes a consumer of everything in `stream`, and asks for the first events.
    ///
    /// # Errors
    /// When the broker refuses.
    pub async fn open(client: Client, stream: &str, acks: Acks) -> Result<Self> {
        let name = make_consumer(&client, stream, acks).await?;
        let inbox = Subject::from(client.new_inbox());
        let deliveries = client.subscribe(inbox.clone()).await?;
        let mut pull = Self {
            client,
            next: format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}"),
            inbox,
            deliveries,
            asked: 0,
        };
        pull.ask_ahead().await?;
        Ok(pull)
    }

    /// The next event.
    ///
    /// # Errors
    /// When a request ends without its events.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn next(&mut self) -> Result<Delivery> {
        let message = self.deliveries.next().await;
        self.took(message.context("the subscription is closed")?)
    }

    /// The next event, if it has arrived.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub fn try_next(&mut self) -> Result<Option<Delivery>> {
        match self.deliveries.next().now_or_never() {
            Some(message) => self
                .took(message.context("the subscription is closed")?)
                .map(Some),
            None => Ok(None),
        }
    }

    /// Asks for more when less than enough is under way.
    ///
    /// # Errors
    /// When the connection is closed.
    pub async fn ask_ahead(&mut self) -> Result<()> {
        while self.asked < AHEAD {
            let request = json!({"batch": BATCH, "expires": EXPIRES.as_nanos()}).to_string();
            self.client
                .publish_with_reply(self.next.clone(), self.inbox.clone(), request.into())
                .await?;
            self.asked += BATCH;
        }
        Ok(())
    }

    /// Acknowledges an event; nobody waits for it.
    ///
    /// # Errors
    /// When the connection is closed.
    pub async fn ack(&self, reply: Subject) -> Result<()> {
        self.client
            .publish(reply, Bytes::from_static(b"+ACK"))
            .await?;
        Ok(())
    }

    fn took(&mut self, message: Message) -> Result<Delivery> {
        if let Some(status) = message.status {
            bail!("a pull ended: {status} {:?}", message.description);
        }
        self.asked -= 1;
        Ok(Delivery {
            subject: message.subject,
            data: message.payload,
            reply: message
                .reply
                .context("a delivery without a reply subject")?,
        })
    }
}

impl Delivery {
    /// When the broker stored it, in nanoseconds since 1970.
    ///
    /// # Errors
    /// When the reply subject has another form.
    pub fn stored_ns(&self) -> Result<u64> {
        // $JS.ACK.<stream>.<consumer>.<delivered>.<sequence>.<sequence>.<time>.<pending>
        let time = self.reply.split('.').rev().nth(1);
        let time = time.and_then(|time| time.parse().ok());
        time.with_context(|| format!("no time in {}", self.reply))
    }
}

async fn make_consumer(client: &Client, stream: &str, acks: Acks) -> Result<String> {
    let context = jetstream::new(client.clone());
    let stream = context.get_stream(stream).await?;
    let config = match acks {
        Acks::Each => consumer::pull::Config {
            durable_name: Some("twin".to_owned()),
            ack_policy: consumer::AckPolicy::Explicit,
            max_ack_pending: 20_000,
            ..consumer::pull::Config::default()
        },
        Acks::None => consumer::pull::Config {
            ack_policy: consumer::AckPolicy::None,
            memory_storage: true,
            num_replicas: 1,
            inactive_threshold: Duration::from_secs(60),
            ..consumer::pull::Config::default()
        },
    };
    let mut made = stream.create_consumer(config).await?;
    Ok(made.info().await?.name.clone())
}
