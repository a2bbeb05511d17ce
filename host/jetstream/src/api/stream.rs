//! Streams: what Wharf sets and reads of their configuration and state.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::stamp;

/// No bound, in the fields where the server writes -1 (or, in some, 0).
pub const UNLIMITED: i64 = -1;

/// A stream's configuration. Fields that Wharf has no use for are left to the
/// server's defaults at creation and ignored in an echo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamConfig {
    pub name: String,
    #[serde(default)]
    pub subjects: Vec<String>,
    #[serde(default)]
    pub retention: Retention,
    #[serde(default)]
    pub discard: Discard,
    #[serde(default)]
    pub storage: Storage,
    pub num_replicas: u32,
    #[serde(default = "unlimited", deserialize_with = "limit")]
    pub max_bytes: i64,
    #[serde(default = "unlimited", deserialize_with = "limit")]
    pub max_msgs: i64,
    #[serde(default = "unlimited", deserialize_with = "limit")]
    pub max_msgs_per_subject: i64,
    /// Of one message, headers included, in bytes.
    #[serde(default = "unlimited", deserialize_with = "limit")]
    pub max_msg_size: i64,
    /// In nanoseconds; 0 is for ever.
    #[serde(default)]
    pub max_age: u64,
    /// In nanoseconds; 0 at creation takes the server's default.
    #[serde(default)]
    pub duplicate_window: u64,
    #[serde(default)]
    pub no_ack: bool,
    #[serde(default)]
    pub sealed: bool,
    #[serde(default)]
    pub deny_delete: bool,
    #[serde(default)]
    pub deny_purge: bool,
    #[serde(default)]
    pub allow_rollup_hdrs: bool,
    #[serde(default)]
    pub allow_direct: bool,
    #[serde(default)]
    pub allow_msg_ttl: bool,
    #[serde(default)]
    pub allow_msg_schedules: bool,
    /// In nanoseconds; 0 leaves no marker behind what expired.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub subject_delete_marker_ttl: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_transform: Option<SubjectTransform>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<serde_json::Value>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<serde_json::Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persist_mode: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

impl StreamConfig {
    /// A limits stream in files without limits, one replica, nothing allowed.
    pub fn new(name: impl Into<String>, subjects: Vec<String>) -> Self {
        Self {
            name: name.into(),
            subjects,
            retention: Retention::Limits,
            discard: Discard::Old,
            storage: Storage::File,
            num_replicas: 1,
            max_bytes: UNLIMITED,
            max_msgs: UNLIMITED,
            max_msgs_per_subject: UNLIMITED,
            max_msg_size: UNLIMITED,
            max_age: 0,
            duplicate_window: 0,
            no_ack: false,
            sealed: false,
            deny_delete: false,
            deny_purge: false,
            allow_rollup_hdrs: false,
            allow_direct: false,
            allow_msg_ttl: false,
            allow_msg_schedules: false,
            subject_delete_marker_ttl: 0,
            subject_transform: None,
            mirror: None,
            sources: Vec::new(),
            persist_mode: None,
            metadata: BTreeMap::new(),
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Retention {
    #[default]
    Limits,
    Interest,
    WorkQueue,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Discard {
    #[default]
    Old,
    New,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Storage {
    #[default]
    File,
    Memory,
}

/// How the stream renames what is published to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubjectTransform {
    pub src: String,
    pub dest: String,
}

/// Answer of `STREAM.INFO` and `STREAM.CREATE`.
#[derive(Debug, Clone, Deserialize)]
pub struct StreamInfo {
    pub config: StreamConfig,
    /// When this incarnation began, in nanoseconds since 1970.
    #[serde(rename = "created", deserialize_with = "stamp::deserialize")]
    pub created_ns: u64,
    pub state: StreamState,
}

#[derive(Debug, Clone, Deserialize)]
pub struct StreamState {
    pub messages: u64,
    pub bytes: u64,
    #[serde(rename = "first_seq")]
    pub first_sequence: u64,
    /// Of the oldest message; 0 in a stream that never had one.
    #[serde(rename = "first_ts", deserialize_with = "stamp::deserialize")]
    pub first_ns: u64,
    #[serde(rename = "last_seq")]
    pub last_sequence: u64,
    /// Of the newest message, also when it is gone; 0 when there was none.
    #[serde(rename = "last_ts", deserialize_with = "stamp::deserialize")]
    pub last_ns: u64,
    /// Gaps between first and last.
    #[serde(default, rename = "num_deleted")]
    pub deleted: u64,
    /// Those gaps, when they were asked for.
    #[serde(default, rename = "deleted")]
    pub deleted_sequences: Option<Vec<u64>>,
    /// Messages a subject, when a subject filter was given.
    #[serde(default)]
    pub subjects: Option<BTreeMap<String, u64>>,
}

#[derive(Debug, Deserialize)]
pub struct StreamPage {
    pub total: usize,
    #[serde(default)]
    pub streams: Option<Vec<StreamInfo>>,
}

fn unlimited() -> i64 {
    UNLIMITED
}

/// The server writes "no limit" as -1 or 0, by version and field.
fn limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let value = i64::deserialize(deserializer)?;
    Ok(if value > 0 { value } else { UNLIMITED })
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}
