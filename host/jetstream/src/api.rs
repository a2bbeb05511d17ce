//! JetStream's request API, typed as far as Wharf uses it.
//!
//! Answers come from the stream's leader. The client library's own types are
//! not used: what they do not know they drop, and every echo of the server is
//! to be compared field by field.

pub mod consumer;
pub mod message;
pub mod stamp;
pub mod stream;

use async_nats::HeaderMap;
use async_nats::client::{Request, RequestErrorKind};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::connection::{API_PREFIX, Connection, Denial, Fault, REQUEST_TIMEOUT};
use crate::error::Error;
use consumer::{ConsumerConfig, ConsumerInfo};
use message::{Query, StoredMessage};
use stream::{StreamConfig, StreamInfo, StreamPage};

/// JetStream's numbers for refusals that something follows from.
pub mod code {
    pub const CONSUMER_NOT_FOUND: u64 = 10014;
    pub const CLUSTER_NOT_AVAILABLE: u64 = 10008;
    pub const MESSAGE_NOT_FOUND: u64 = 10037;
    pub const NOT_ENABLED_FOR_ACCOUNT: u64 = 10039;
    pub const SEQUENCE_NOT_FOUND: u64 = 10043;
    pub const INSUFFICIENT_STORAGE: u64 = 10047;
    pub const STREAM_NAME_IN_USE: u64 = 10058;
    pub const STREAM_NOT_FOUND: u64 = 10059;
    pub const SUBJECTS_OVERLAP: u64 = 10065;
    pub const REPLICAS_NEED_CLUSTER: u64 = 10074;
    pub const NOT_ENABLED: u64 = 10076;
    pub const CONSUMER_EXISTS: u64 = 10148;
    pub const REQUIRED_API_LEVEL: u64 = 10185;
}

/// API level that has a lifetime for each message: nats-server 2.11.
pub const LEVEL_TTL: u32 = 1;
/// API level that has message schedules: nats-server 2.12.
pub const LEVEL_SCHEDULES: u32 = 2;

const REQUIRED_LEVEL: &str = "Nats-Required-Api-Level";

/// The API as one connection sees it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Api {
    connection: Connection,
}

impl Api {
    pub fn new(connection: Connection) -> Self {
        Self { connection }
    }

    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Calls `$JS.API.<path>`.
    ///
    /// # Errors
    /// As [`Connection::api`].
    ///
    /// # Cancel safety
    /// The broker may have carried out a call whose answer is not awaited.
    pub async fn call<B, A>(&self, path: &str, body: &B) -> Result<A, Error>
    where
        B: Serialize + ?Sized,
        A: DeserializeOwned,
    {
        self.connection.api(path, encode(path, body)?).await
    }

    /// Calls `$JS.API.<path>` on a broker that must have at least API level
    /// `level`: a server of an older version would ignore what it does not
    /// know, and in a mixed cluster any of them may be the one that answers.
    async fn call_at<B, A>(&self, level: u32, path: &str, body: &B) -> Result<A, Error>
    where
        B: Serialize + ?Sized,
        A: DeserializeOwned,
    {
        let subject = format!("{API_PREFIX}.{path}");
        let mut headers = HeaderMap::new();
        headers.insert(REQUIRED_LEVEL, level.to_string());
        let request = Request::new()
            .payload(encode(path, body)?)
            .headers(headers)
            .timeout(Some(REQUEST_TIMEOUT));
        let mut denials = self.connection.denials();
        match self
            .connection
            .client()
            .send_request(subject.clone(), request)
            .await
        {
            Ok(answer) => accept(&subject, &answer.payload),
            Err(error) => Err(unanswered(subject, &error, denials.try_recv().ok())),
        }
    }

    /// None when there is no such stream.
    ///
    /// # Errors
    /// As `call`.
    pub async fn stream(&self, name: &str) -> Result<Option<StreamInfo>, Error> {
        absent(self.call(&format!("STREAM.INFO.{name}"), &Nothing {}).await)
    }

    /// As `stream`, for a stream that has to be there.
    ///
    /// # Errors
    /// As `call`; without the stream, the broker's own refusal.
    pub async fn require_stream(&self, name: &str) -> Result<StreamInfo, Error> {
        self.call(&format!("STREAM.INFO.{name}"), &Nothing {}).await
    }

    /// The subjects that match `filter` and hold a message, ascending; none when
    /// there is no such stream. The broker names 100,000 at most.
    ///
    /// # Errors
    /// As `call`.
    pub async fn subjects(&self, stream: &str, filter: &str) -> Result<Vec<String>, Error> {
        let body = serde_json::json!({ "subjects_filter": filter });
        let answer = self.call(&format!("STREAM.INFO.{stream}"), &body).await;
        let subjects = absent::<StreamInfo>(answer)?.and_then(|info| info.state.subjects);
        Ok(subjects.unwrap_or_default().into_keys().collect())
    }

    /// `level`: the API level that has everything `config` asks for.
    ///
    /// # Errors
    /// As `call`; a stream of the name with another shape is `Error::Api`.
    pub async fn create_stream(
        &self,
        config: &StreamConfig,
        level: u32,
    ) -> Result<StreamInfo, Error> {
        self.call_at(level, &format!("STREAM.CREATE.{}", config.name), config)
            .await
    }

    /// One page of all streams of the account, from `offset`.
    ///
    /// # Errors
    /// As `call`.
    pub async fn streams(&self, offset: usize) -> Result<StreamPage, Error> {
        self.call("STREAM.LIST", &serde_json::json!({ "offset": offset }))
            .await
    }

    /// None when there is no such message (or no such stream).
    ///
    /// # Errors
    /// As `call`.
    pub async fn message(
        &self,
        stream: &str,
        query: &Query<'_>,
    ) -> Result<Option<StoredMessage>, Error> {
        let answer = self.call(&format!("STREAM.MSG.GET.{stream}"), query).await;
        Ok(absent::<message::Answer>(answer)?.map(|answer| answer.message))
    }

    /// Removes what lies on subjects that match `filter`; the number removed.
    ///
    /// # Errors
    /// As `call`.
    pub async fn purge(&self, stream: &str, filter: &str) -> Result<u64, Error> {
        #[derive(Deserialize)]
        struct Purged {
            purged: u64,
        }
        let body = serde_json::json!({ "filter": filter });
        let purged: Purged = self.call(&format!("STREAM.PURGE.{stream}"), &body).await?;
        Ok(purged.purged)
    }

    /// None when the stream or the consumer does not exist.
    ///
    /// # Errors
    /// As `call`.
    pub async fn consumer(&self, stream: &str, name: &str) -> Result<Option<ConsumerInfo>, Error> {
        absent(
            self.call(&format!("CONSUMER.INFO.{stream}.{name}"), &Nothing {})
                .await,
        )
    }

    /// Creates, never updates. A consumer without a name gets one from the broker.
    ///
    /// # Errors
    /// As `call`; a consumer of the name with another shape is `Error::Api`.
    pub async fn create_consumer(
        &self,
        stream: &str,
        config: &ConsumerConfig,
    ) -> Result<ConsumerInfo, Error> {
        #[derive(Serialize)]
        struct Create<'a> {
            stream_name: &'a str,
            config: &'a ConsumerConfig,
            action: &'a str,
        }
        let verb = match &config.name {
            Some(name) => format!("CONSUMER.CREATE.{stream}.{name}"),
            None => format!("CONSUMER.CREATE.{stream}"),
        };
        let body = Create {
            stream_name: stream,
            config,
            action: "create",
        };
        self.call(&verb, &body).await
    }

    /// # Errors
    /// As `call`.
    pub async fn delete_consumer(&self, stream: &str, name: &str) -> Result<(), Error> {
        #[derive(Deserialize)]
        struct Deleted {}
        let verb = format!("CONSUMER.DELETE.{stream}.{name}");
        absent::<Deleted>(self.call(&verb, &Nothing {}).await).map(|_| ())
    }
}

#[derive(Deserialize)]
struct Verdict {
    error: Option<Fault>,
}

fn encode<B: Serialize + ?Sized>(path: &str, body: &B) -> Result<Bytes, Error> {
    let unsendable = |error: serde_json::Error| Error::Unsendable {
        subject: format!("{API_PREFIX}.{path}"),
        reason: error.to_string(),
    };
    serde_json::to_vec(body)
        .map(Bytes::from)
        .map_err(unsendable)
}

fn accept<A: DeserializeOwned>(subject: &str, payload: &[u8]) -> Result<A, Error> {
    let malformed = |error: serde_json::Error| Error::Malformed {
        subject: subject.to_owned(),
        reason: error.to_string(),
    };
    let verdict: Verdict = serde_json::from_slice(payload).map_err(malformed)?;
    match verdict.error {
        None => serde_json::from_slice(payload).map_err(malformed),
        Some(fault) => Err(Error::Api {
            subject: subject.to_owned(),
            err_code: fault.err_code,
            status: fault.code,
            text: fault.description,
        }),
    }
}

/// A denial comes beside the silence that it causes.
fn unanswered(subject: String, error: &async_nats::RequestError, denial: Option<Denial>) -> Error {
    match error.kind() {
        RequestErrorKind::TimedOut => match denial {
            Some(Denial { action, subject }) => Error::Denied { action, subject },
            None => {
                let after_ms = u64::try_from(REQUEST_TIMEOUT.as_millis()).unwrap_or(u64::MAX);
                Error::TimedOut { subject, after_ms }
            }
        },
        RequestErrorKind::NoResponders => Error::NoResponder { subject },
        RequestErrorKind::InvalidSubject | RequestErrorKind::MaxPayloadExceeded => {
            Error::Unsendable {
                subject,
                reason: error.to_string(),
            }
        }
        RequestErrorKind::Other => Error::Closed,
    }
}

/// An empty JSON object: some requests refuse an empty body.
#[derive(Serialize)]
struct Nothing {}

/// "Not there" is an answer, not an error.
fn absent<T>(answer: Result<T, Error>) -> Result<Option<T>, Error> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) => match error.api_code() {
            Some(
                code::STREAM_NOT_FOUND
                | code::CONSUMER_NOT_FOUND
                | code::MESSAGE_NOT_FOUND
                | code::SEQUENCE_NOT_FOUND,
            ) => Ok(None),
            Some(_) | None => Err(error),
        },
    }
}
