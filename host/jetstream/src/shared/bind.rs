//! The shared consumer's conversations with the broker: finding it, and
//! looking for messages that cannot be received.

use crate::api::Api;
use crate::api::consumer::{ConsumerConfig, Position};
use crate::api::message::StoredMessage;
use crate::connection::Connection;
use crate::error::Error;
use crate::pull::metadata::Metadata;
use crate::pull::session::{Acknowledged, Source};
use crate::pull::{AckToken, Delivery, Origin, fetch, largest_delivery};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

const CONSUMER_NOT_FOUND: u64 = 10014;
const STREAM_NOT_FOUND: u64 = 10059;
/// Messages looked at after one break.
const SCAN_MAX: u32 = 10_000;
/// Found messages kept in memory at once.
const FOUND_MAX: usize = 16;
/// The server's default, when a consumer does not say.
const ACK_WAIT: Duration = Duration::from_secs(30);

pub(super) struct Plan {
    api: Api,
    stream: String,
    durable: String,
}

impl Plan {
    pub(super) fn new(api: Api, stream: &str, durable: &str) -> Self {
        Self {
            api,
            stream: stream.to_owned(),
            durable: durable.to_owned(),
        }
    }
}

/// A consumer as the broker described it last.
#[derive(Clone)]
pub(super) struct Bound {
    pub(super) origin: Arc<Origin>,
    pub(super) durable: String,
    pub(super) ack_wait: Duration,
    filters: Vec<String>,
    /// Everything at or below it is acknowledged.
    ack_floor: u64,
    /// Nothing above it was ever delivered.
    delivered: u64,
    max_msg_size: Option<u64>,
}

pub(super) enum Failure {
    /// There is no such stream or consumer.
    Gone,
    Broker(Error),
}

/// How far the search has come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scan {
    from: u64,
    left: u32,
}

impl Default for Scan {
    fn default() -> Self {
        Self {
            from: 0,
            left: SCAN_MAX,
        }
    }
}

pub(super) struct Found {
    pub(super) messages: Vec<StoredMessage>,
    /// Some when the search goes on.
    pub(super) rest: Option<Scan>,
}

pub(super) fn not_found(stream: &str, durable: &str) -> Error {
    Error::Api {
        subject: format!("CONSUMER.INFO.{stream}.{durable}"),
        err_code: CONSUMER_NOT_FOUND,
        status: 404,
        text: format!("the stream `{stream}` has no consumer `{durable}`"),
    }
}

pub(super) async fn bind(plan: Plan) -> Result<Bound, Failure> {
    #[derive(Deserialize)]
    struct Info {
        config: ConsumerConfig,
        ack_floor: Position,
        delivered: Position,
    }
    let stream = plan
        .api
        .stream(&plan.stream)
        .await
        .map_err(Failure::Broker)?;
    let stream = stream.ok_or(Failure::Gone)?;
    let path = format!("CONSUMER.INFO.{}.{}", plan.stream, plan.durable);
    let info: Result<Info, Error> = plan.api.call(&path, &serde_json::json!({})).await;
    let info = info.map_err(|error| match error.api_code() {
        Some(CONSUMER_NOT_FOUND | STREAM_NOT_FOUND) => Failure::Gone,
        Some(_) | None => Failure::Broker(error),
    })?;
    Ok(Bound {
        origin: Arc::new(Origin {
            stream: plan.stream,
            created_ns: stream.created_ns,
        }),
        durable: plan.durable,
        ack_wait: info.config.ack_wait.map_or(ACK_WAIT, Duration::from_nanos),
        filters: info
            .config
            .filters()
            .into_iter()
            .map(str::to_owned)
            .collect(),
        ack_floor: info.ack_floor.stream_seq,
        delivered: info.delivered.stream_seq,
        max_msg_size: u64::try_from(stream.config.max_msg_size)
            .ok()
            .filter(|size| *size > 0),
    })
}

impl Bound {
    pub(super) fn source(&self, max_payload: u64) -> Source {
        Source {
            origin: self.origin.clone(),
            consumer: self.durable.clone(),
            largest: largest_delivery(max_payload, self.max_msg_size),
            acknowledged: Acknowledged::Each,
        }
    }

    /// A fetched message with the right to acknowledge it.
    pub(super) fn delivery(&self, link: &Arc<Connection>, message: StoredMessage) -> Delivery {
        let (sequence, stored_ns) = (message.sequence, message.stored_ns);
        let reply = Metadata::reply_for(&self.origin.stream, &self.durable, sequence, stored_ns);
        let token = AckToken::new(link, reply.into(), sequence);
        Delivery::fetched(&self.origin, message, Some(token))
    }
}

/// Looks for messages that the client cannot parse among those that were
/// delivered and may not be acknowledged.
pub(super) async fn find(api: Api, bound: Bound, scan: Scan) -> Result<Found, Error> {
    let mut messages = Vec::new();
    let mut from = scan.from.max(bound.ack_floor + 1);
    for looked_at in 0..scan.left {
        if messages.len() == FOUND_MAX {
            let rest = Some(Scan {
                from,
                left: scan.left - looked_at,
            });
            return Ok(Found { messages, rest });
        }
        let next = fetch::next_stored(&api, &bound.origin.stream, &bound.filters, from).await?;
        let Some(message) = next.filter(|message| message.sequence <= bound.delivered) else {
            break;
        };
        from = message.sequence + 1;
        if !fetch::is_receivable(&message) {
            messages.push(message);
        }
    }
    Ok(Found {
        messages,
        rest: None,
    })
}
