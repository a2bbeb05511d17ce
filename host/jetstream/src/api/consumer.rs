//! Consumers: what Wharf sets and reads of their configuration and state.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A consumer's configuration. `None` and empty are left to the server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsumerConfig {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub durable_name: Option<String>,
    #[serde(default)]
    pub deliver_policy: DeliverPolicy,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opt_start_seq: Option<u64>,
    /// RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opt_start_time: Option<String>,
    #[serde(default)]
    pub ack_policy: AckPolicy,
    /// In nanoseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ack_wait: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_deliver: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_ack_pending: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter_subject: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filter_subjects: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backoff: Vec<u64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub headers_only: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mem_storage: bool,
    /// 0 is the stream's.
    #[serde(default)]
    pub num_replicas: u32,
    /// In nanoseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inactive_threshold: Option<u64>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority_policy: Option<String>,
}

impl ConsumerConfig {
    /// The subjects that it delivers, in order, whichever field names them;
    /// empty means all.
    pub fn filters(&self) -> Vec<&str> {
        let one = self
            .filter_subject
            .iter()
            .filter(|filter| !filter.is_empty());
        let mut all: Vec<&str> = one
            .chain(&self.filter_subjects)
            .map(String::as_str)
            .collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliverPolicy {
    #[default]
    All,
    Last,
    New,
    ByStartSequence,
    ByStartTime,
    LastPerSubject,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AckPolicy {
    #[default]
    None,
    All,
    Explicit,
    FlowControl,
}

/// Answer of `CONSUMER.INFO` and `CONSUMER.CREATE`.
#[derive(Debug, Clone, Deserialize)]
pub struct ConsumerInfo {
    pub name: String,
    pub config: ConsumerConfig,
    /// The last delivery that it made.
    pub delivered: Position,
    pub ack_floor: Position,
    pub num_ack_pending: u64,
    pub num_pending: u64,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Position {
    pub consumer_seq: u64,
    pub stream_seq: u64,
}
