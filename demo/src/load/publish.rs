//! Publishing as a careful producer does: again with the same id, until the
//! broker has acknowledged it.

use std::time::{Duration, Instant};

use async_nats::jetstream::context::ContextBuilder;
use async_nats::jetstream::{self, publish::PublishAck};
use async_nats::{Client, HeaderMap};

use crate::Error;
use crate::shop::{Message, SOURCE};

/// How long one try waits for its acknowledgement.
const ACK_WAIT: Duration = Duration::from_secs(2);
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_MOST: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub struct Publisher {
    jetstream: jetstream::Context,
    give_up: Duration,
}

impl Publisher {
    /// Tries each message for at most `give_up`.
    pub fn new(client: Client, give_up: Duration) -> Self {
        let jetstream = ContextBuilder::new().timeout(ACK_WAIT).build(client);
        Self { jetstream, give_up }
    }

    /// Returns when the broker has stored the message, now or before.
    ///
    /// # Errors
    /// [`Error::NotAcknowledged`] when it has not in the time given; it may be
    /// stored all the same.
    ///
    /// # Cancel safety
    /// Dropped halfway, the message may or may not be stored; publishing it
    /// again is safe within the stream's duplicate window.
    pub async fn publish(&self, message: &Message) -> Result<PublishAck, Error> {
        let begun = Instant::now();
        let mut pause = PAUSE_FIRST;
        let mut tries = 0;
        loop {
            tries += 1;
            let last = match self.try_once(message).await {
                Ok(ack) => return Ok(ack),
                Err(error) => error,
            };
            if begun.elapsed() + pause > self.give_up {
                let (subject, waited) = (message.subject.clone(), begun.elapsed());
                return Err(Error::NotAcknowledged {
                    subject,
                    tries,
                    waited,
                    last: last.to_string(),
                });
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MOST);
        }
    }

    async fn try_once(
        &self,
        message: &Message,
    ) -> Result<PublishAck, jetstream::context::PublishError> {
        let subject = message.subject.clone();
        let data = message.data.clone().into();
        self.jetstream
            .publish_with_headers(subject, headers(message), data)
            .await?
            .await
    }
}

/// CloudEvents 1.0, NATS binding, binary mode.
fn headers(message: &Message) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", message.id.as_str());
    headers.insert("ce-specversion", "1.0");
    headers.insert("ce-id", message.id.as_str());
    headers.insert("ce-type", message.event_type.as_str());
    headers.insert("ce-source", SOURCE);
    headers.insert("content-type", "application/json");
    headers.insert("traceparent", message.traceparent.as_str());
    headers
}
