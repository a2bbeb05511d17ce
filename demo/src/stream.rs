//! Reading a stream the slow and certain way: message by message, by sequence.
//!
//! A consumer would be faster, and wrong here: a stored header that is not
//! UTF-8 makes the client library drop its connection at every delivery. The
//! stream API hands such a message over in base64.

use std::ops::RangeInclusive;
use std::time::Duration;

use async_nats::Client;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::Error;

/// Requests under way at once.
const AT_ONCE: usize = 64;
/// The broker's code for "no message here".
const NO_MESSAGE: u64 = 10037;
const RECONNECT_PAUSE_MOST: Duration = Duration::from_millis(500);
/// How long a broker may take to answer a question.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// Connects to one of these servers, and for ever again to any of them.
///
/// # Errors
/// [`Error::Broker`] when the first connection fails.
pub async fn connect(urls: &[String]) -> Result<Client, Error> {
    async_nats::ConnectOptions::new()
        .max_reconnects(None)
        .request_timeout(Some(ANSWER_WITHIN))
        .reconnect_delay_callback(|tries| {
            let doublings = u32::try_from(tries.min(8)).unwrap_or(8);
            (Duration::from_millis(20) * 2u32.pow(doublings)).min(RECONNECT_PAUSE_MOST)
        })
        .connect(urls)
        .await
        .map_err(Error::broker(format!("connecting to {}", urls.join(", "))))
}

/// One stored message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub sequence: u64,
    pub subject: String,
    headers: Vec<(String, String)>,
    pub data: Vec<u8>,
}

impl Stored {
    /// The first header of this name, whatever its case; bytes that are not
    /// UTF-8 are replaced.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The event's id: CloudEvents, else the broker's.
    pub fn event_id(&self) -> Option<&str> {
        self.header("ce-id").or_else(|| self.header("Nats-Msg-Id"))
    }
}

/// A stream's extent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Extent {
    pub messages: u64,
    pub first_seq: u64,
    pub last_seq: u64,
}

/// A stream of the account, by name; nothing is held open.
#[derive(Clone)]
pub struct Stream {
    client: Client,
    name: String,
}

impl Stream {
    pub fn new(client: Client, name: impl Into<String>) -> Self {
        Self {
            client,
            name: name.into(),
        }
    }

    /// # Errors
    /// [`Error::Broker`] when the stream or the broker does not answer.
    pub async fn extent(&self) -> Result<Extent, Error> {
        #[derive(Deserialize)]
        struct Info {
            state: Extent,
        }
        let info: Info = self.ask("STREAM.INFO", Value::Null).await?;
        Ok(info.state)
    }

    /// Every message between the stream's first and last now, in order.
    ///
    /// # Errors
    /// [`Error::Broker`], [`Error::Malformed`].
    pub async fn read_all(&self) -> Result<Vec<Stored>, Error> {
        let extent = self.extent().await?;
        self.read(extent.first_seq.max(1)..=extent.last_seq).await
    }

    /// The messages at these sequences, in order; deleted ones are left out.
    ///
    /// # Errors
    /// [`Error::Broker`], [`Error::Malformed`].
    pub async fn read(&self, sequences: RangeInclusive<u64>) -> Result<Vec<Stored>, Error> {
        stream::iter(sequences)
            .map(|sequence| self.message(json!({"seq": sequence})))
            .buffered(AT_ONCE)
            .try_filter_map(async |message| Ok(message))
            .try_collect()
            .await
    }

    /// The messages on a subject pattern, in order: for streams with gaps.
    ///
    /// # Errors
    /// [`Error::Broker`], [`Error::Malformed`].
    pub async fn read_matching(&self, pattern: &str) -> Result<Vec<Stored>, Error> {
        let mut found: Vec<Stored> = Vec::new();
        let mut next = 1;
        while let Some(message) = self
            .message(json!({"seq": next, "next_by_subj": pattern}))
            .await?
        {
            next = message.sequence + 1;
            found.push(message);
        }
        Ok(found)
    }

    /// How many messages match any of these patterns, which must not overlap.
    ///
    /// # Errors
    /// [`Error::Broker`] when the stream or the broker does not answer.
    pub async fn count(&self, patterns: &[&str]) -> Result<u64, Error> {
        #[derive(Deserialize)]
        struct Created {
            name: String,
            num_pending: u64,
        }
        const FORGET_AFTER_NS: u64 = 5_000_000_000;
        // A consumer that nobody pulls from: its backlog is the count.
        let config = json!({
            "deliver_policy": "all",
            "ack_policy": "none",
            "filter_subjects": patterns,
            "inactive_threshold": FORGET_AFTER_NS,
            "mem_storage": true,
        });
        let request = json!({"stream_name": self.name, "config": config});
        let created: Created = self.ask("CONSUMER.CREATE", request).await?;
        let delete = format!("$JS.API.CONSUMER.DELETE.{}.{}", self.name, created.name);
        // Should this be lost, the broker forgets the consumer by itself.
        let _ = self.client.publish(delete, "".into()).await;
        Ok(created.num_pending)
    }

    async fn message(&self, which: Value) -> Result<Option<Stored>, Error> {
        #[derive(Deserialize)]
        struct Got {
            message: Raw,
        }
        match self.ask::<Got>("STREAM.MSG.GET", which).await {
            Ok(got) => got.message.decode().map(Some),
            Err(Error::Broker { source, .. })
                if source
                    .downcast_ref::<Refused>()
                    .is_some_and(|r| r.err_code == NO_MESSAGE) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn ask<T: DeserializeOwned>(&self, what: &str, request: Value) -> Result<T, Error> {
        let subject = format!("$JS.API.{what}.{}", self.name);
        let body = if request.is_null() {
            Vec::new()
        } else {
            request.to_string().into_bytes()
        };
        let reply = self.client.request(subject.clone(), body.into()).await;
        let reply = reply.map_err(Error::broker(&subject))?;
        let answer: Reply<T> = serde_json::from_slice(&reply.payload)
            .map_err(|bad| Error::malformed(&subject, bad))?;
        match answer {
            Reply::Refused { error } => Err(Error::broker(&subject)(error)),
            Reply::Done(done) => Ok(done),
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Reply<T> {
    Refused { error: Refused },
    Done(T),
}

/// What the broker says instead of doing it.
#[derive(Debug, Deserialize, thiserror::Error)]
#[error("{description} ({err_code})")]
struct Refused {
    err_code: u64,
    description: String,
}

#[derive(Deserialize)]
struct Raw {
    subject: String,
    seq: u64,
    #[serde(default)]
    hdrs: String,
    #[serde(default)]
    data: String,
}

impl Raw {
    fn decode(self) -> Result<Stored, Error> {
        let bytes = |text: &str| {
            let what = || format!("message {} on {}", self.seq, self.subject);
            BASE64
                .decode(text)
                .map_err(|bad| Error::malformed(what(), bad))
        };
        let headers = parse_headers(&bytes(&self.hdrs)?);
        let data = bytes(&self.data)?;
        Ok(Stored {
            sequence: self.seq,
            subject: self.subject,
            headers,
            data,
        })
    }
}

/// `NATS/1.0` and then one `name: value` a line.
fn parse_headers(block: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(block);
    let pairs = text.lines().skip(1).filter_map(|line| line.split_once(':'));
    pairs
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_found_whatever_their_case_and_encoding() {
        let block = b"NATS/1.0\r\nCe-Id: a:1\r\nbroken\r\nx-odd: \xff\r\n\r\n";
        let headers = parse_headers(block);
        let stored = Stored {
            sequence: 1,
            subject: "s".into(),
            headers,
            data: vec![],
        };
        assert_eq!(stored.event_id(), Some("a:1"));
        assert_eq!(stored.header("X-ODD"), Some("\u{fffd}"));
        assert_eq!(stored.header("broken"), None);
    }
}
