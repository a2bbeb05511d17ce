//! `handler.toml` as checked values: what belongs to a handler's code.
//!
//! `parse` reports every problem at once, each with line and remedy. Meaning,
//! units and defaults of every key stand in `docs/manifest.md`.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::limits::Limits;
use crate::pattern::{KeyRule, Pattern, Template};

/// A whole, valid `handler.toml`.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    pub name: String,
    pub description: String,
    pub stream: String,
    pub start: Start,
    pub ordering: Ordering,
    pub on_dead: OnDead,
    pub delivery: Delivery,
    pub instance: InstancePolicy,
    pub max_in_flight: u32,
    pub timers: Vec<String>,
    /// Lower-case names of headers that are passed as attributes.
    pub headers: Vec<String>,
    pub on: Vec<Subscription>,
    /// Event type to subject template, in the manifest's order of keys.
    pub emits: BTreeMap<String, Template>,
    /// None: the handler keeps no state.
    pub state: Option<StatePolicy>,
    pub dedup: Dedup,
    pub retry: Retry,
    pub guard: Guard,
    pub limits: Limits,
    pub needs: BTreeMap<String, NeedPolicy>,
    pub metrics: BTreeMap<String, Metric>,
    pub config: BTreeMap<String, ConfigKey>,
    pub secrets: BTreeMap<String, SecretKey>,
}

/// Where a handler begins when it is deployed for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    New,
    All,
    Sequence(u64),
    /// Milliseconds since 1970.
    TimeMs(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ordering {
    Key,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDead {
    Block,
    Continue,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    EffectOnce,
    AtLeastOnce,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstancePolicy {
    Fresh,
    Reuse,
}

/// One `[[on]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    pub subjects: Vec<Pattern>,
    /// None: no entity.
    pub key: Option<KeyRule>,
    /// None: all types.
    pub types: Option<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatePolicy {
    pub version: u32,
    pub ttl: Option<Duration>,
    pub content_type: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dedup {
    pub remember: u32,
    pub keep_for: Duration,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    pub max_attempts: u32,
    pub initial: Duration,
    pub factor: f64,
    pub cap: Duration,
    pub max_age: Duration,
    pub guest_faults: u32,
    pub not_ready_max_age: Duration,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Guard {
    pub dead_share: f64,
    pub window: Duration,
    pub min_events: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeedPolicy {
    pub timeout: Duration,
    pub required: bool,
    pub failure_status: StatusSet,
    /// Lower-case header name.
    pub idempotency_header: Option<String>,
    pub idempotency_ttl: Duration,
    pub on_unknown: OnUnknown,
    pub record_calls: RecordCalls,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnUnknown {
    Retry,
    Park,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordCalls {
    Off,
    Shadow,
    All,
}

/// A set of HTTP statuses, as inclusive ranges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusSet(pub Vec<(u16, u16)>);

impl StatusSet {
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|(from, to)| (*from..=*to).contains(&status))
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    pub kind: MetricKind,
    pub help: String,
    /// Declared labels: a list of values, or a maximum number of values.
    pub labels: BTreeMap<String, LabelBound>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum MetricKind {
    Counter,
    Histogram { buckets: Vec<f64> },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelBound {
    Values(Vec<String>),
    AtMost(u32),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigKey {
    pub default: Option<String>,
    pub required: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretKey {
    pub required: bool,
}
