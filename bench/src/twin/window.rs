//! Publishes under way, answered through one inbox: the slot's number is the
//! last token of the reply subject, so an answer needs neither a task nor a
//! channel of its own.

use anyhow::{Context, Result, bail};
use async_nats::{Client, HeaderMap, Message, Subject, Subscriber};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use serde::Deserialize;

/// A bounded number of publishes; `T` is what the author wants back with each
/// answer.
pub struct Window<T> {
    client: Client,
    inbox: String,
    replies: Subscriber,
    slots: Vec<Option<T>>,
    free: Vec<usize>,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(default)]
    seq: u64,
    #[serde(borrow)]
    error: Option<&'a serde_json::value::RawValue>,
}

impl<T> Window<T> {
    /// # Errors
    /// When the connection is closed.
    pub async fn open(client: Client, size: usize) -> Result<Self> {
        let inbox = format!("{}.", client.new_inbox());
        let replies = client.subscribe(format!("{inbox}*")).await?;
        Ok(Self {
            client,
            inbox,
            replies,
            slots: std::iter::repeat_with(|| None).take(size).collect(),
            free: (0..size).rev().collect(),
        })
    }

    pub fn has_room(&self) -> bool {
        !self.free.is_empty()
    }

    pub fn is_empty(&self) -> bool {
        self.free.len() == self.slots.len()
    }

    /// Publishes; there must be room.
    ///
    /// # Errors
    /// When the connection is closed.
    pub async fn send(
        &mut self,
        subject: impl Into<Subject>,
        headers: HeaderMap,
        payload: Bytes,
        note: T,
    ) -> Result<()> {
        let slot = self.free.pop().context("no room in the window")?;
        self.slots[slot] = Some(note);
        let reply = format!("{}{slot}", self.inbox);
        self.client
            .publish_with_reply_and_headers(subject.into(), reply, headers, payload)
            .await?;
        Ok(())
    }

    /// The next answer: what was noted, and where the message is stored.
    ///
    /// # Errors
    /// When the broker refused the publish.
    ///
    /// # Cancel safety
    /// Safe: an answer that was not handed out is handed out by the next call.
    pub async fn answered(&mut self) -> Result<(T, u64)> {
        let reply = self.replies.next().await.context("the inbox is closed")?;
        self.read(&reply)
    }

    /// The next answer, if it has arrived.
    ///
    /// # Errors
    /// When the broker refused the publish.
    pub fn try_answered(&mut self) -> Result<Option<(T, u64)>> {
        match self.replies.next().now_or_never() {
            Some(reply) => self.read(&reply.context("the inbox is closed")?).map(Some),
            None => Ok(None),
        }
    }

    fn read(&mut self, reply: &Message) -> Result<(T, u64)> {
        let slot: usize = reply.subject[self.inbox.len()..].parse()?;
        let note = self.slots[slot].take().context("an answer to nobody")?;
        self.free.push(slot);
        let answer: Answer<'_> = serde_json::from_slice(&reply.payload)
            .with_context(|| format!("no stream answered: {:?}", reply.status))?;
        match answer.error {
            Some(error) => bail!("the broker refuses: {error}"),
            None => Ok((note, answer.seq)),
        }
    }
}
