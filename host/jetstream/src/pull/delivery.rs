//! One message that the broker handed over.

use super::headers::Headers;
use super::metadata::Metadata;
use crate::api::message::StoredMessage;
use crate::connection::Connection;
use crate::error::Error;
use async_nats::{Message, Subject};
use bytes::Bytes;
use std::sync::Arc;
use wharf_core::event::Position;

/// The incarnation of a stream: made again under its name, it is another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    pub stream: String,
    /// When the stream was created, nanoseconds since 1970.
    pub created_ns: u64,
}

/// A message as it came, not yet decoded.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub origin: Arc<Origin>,
    pub position: Position,
    pub subject: String,
    pub headers: Headers,
    pub payload: Bytes,
    /// How often it was delivered by its consumer, this time included. Not a
    /// number of attempts: the broker may have lost the others on the way.
    pub delivered: u64,
    /// Messages behind it when it was sent.
    pub pending: u64,
    /// How to acknowledge; None when it is read like a log.
    pub token: Option<AckToken>,
}

impl Delivery {
    /// What it takes of a byte credit: subject, headers and payload.
    pub fn bytes(&self) -> u64 {
        (self.subject.len() + self.headers.bytes() + self.payload.len()) as u64
    }

    /// From the client, with the numbers of its reply subject.
    pub(crate) fn received(
        origin: &Arc<Origin>,
        message: Message,
        metadata: &Metadata,
        token: Option<AckToken>,
    ) -> Self {
        let position = Position {
            sequence: metadata.stream_sequence,
            stored_ns: metadata.stored_ns,
        };
        Self {
            origin: origin.clone(),
            position,
            subject: message.subject.into_string(),
            headers: message.headers.map_or(Headers::None, Headers::Parsed),
            payload: message.payload,
            delivered: metadata.delivered,
            pending: metadata.pending,
            token,
        }
    }

    /// From the stream itself, past the client's parser.
    pub(crate) fn fetched(
        origin: &Arc<Origin>,
        message: StoredMessage,
        token: Option<AckToken>,
    ) -> Self {
        Self {
            origin: origin.clone(),
            position: Position {
                sequence: message.sequence,
                stored_ns: message.stored_ns,
            },
            subject: message.subject,
            headers: Headers::raw(message.header_block),
            payload: message.data,
            // A consumer has delivered it before, in vain.
            delivered: if token.is_some() { 2 } else { 1 },
            pending: 0,
            token,
        }
    }
}

/// The right to acknowledge one delivery. Acknowledging twice is harmless, and
/// so is acknowledging what was handed to somebody else in the meantime: it is
/// no fence, only the end of redelivery.
#[derive(Debug, Clone)]
pub struct AckToken {
    link: Arc<Connection>,
    reply: Subject,
    sequence: u64,
}

impl AckToken {
    pub(crate) fn new(link: &Arc<Connection>, reply: Subject, sequence: u64) -> Self {
        Self {
            link: link.clone(),
            reply,
            sequence,
        }
    }

    /// The stream sequence of the delivery.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Acknowledges without waiting for the broker. When the connection breaks
    /// the acknowledgement may be lost, and the event comes again.
    ///
    /// # Errors
    /// `Closed`.
    pub async fn ack(&self) -> Result<(), Error> {
        self.tell(Bytes::from_static(b"+ACK")).await
    }

    /// Acknowledges and waits until the broker has noted it.
    ///
    /// # Errors
    /// `NoResponder` when the consumer is gone; `TimedOut`, `Denied`, `Closed`.
    pub async fn ack_confirmed(&self) -> Result<(), Error> {
        let answer = self
            .link
            .request(self.reply.as_str(), Bytes::from_static(b"+ACK"))
            .await;
        answer.map(|_| ())
    }

    /// Tells the broker that work goes on, which starts its ack wait again.
    ///
    /// # Errors
    /// `Closed`.
    pub async fn in_progress(&self) -> Result<(), Error> {
        self.tell(Bytes::from_static(b"+WPI")).await
    }

    /// Gives the delivery back; it is redelivered at once to whoever pulls,
    /// also to us. Hence only for a consumer that has stopped pulling.
    pub(crate) async fn release(&self) -> Result<(), Error> {
        self.tell(Bytes::from_static(b"-NAK")).await
    }

    async fn tell(&self, what: Bytes) -> Result<(), Error> {
        let sent = self.link.client().publish(self.reply.clone(), what).await;
        sent.map_err(|_| Error::Closed)
    }
}
