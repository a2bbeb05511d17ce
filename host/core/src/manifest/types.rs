//! The values of a manifest. Units are in the types; durations are exact to
//! the millisecond, sizes are bytes.

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
    /// Event type to subject template.
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

/// Whether the events of a key are handled one after another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ordering {
    Key,
    None,
}

/// What the later events of a key do when one is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDead {
    Block,
    Continue,
}

/// Whether a success is recorded, so that it takes effect once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    EffectOnce,
    AtLeastOnce,
}

/// Whether guest memory lives from one event to the next.
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

/// Table `[state]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatePolicy {
    /// Shape of the state, from 1.
    pub version: u32,
    /// Since the last commit; None: for ever. Not below `dedup.for`.
    pub ttl: Option<Duration>,
    /// How the state is printed.
    pub content_type: String,
}

/// Table `[dedup]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dedup {
    /// Event ids that an entity's record keeps, 1 to 256.
    pub remember: u32,
    /// `dedup.for`: how long a record without state, timer or block lives.
    pub keep_for: Duration,
}

/// Table `[retry]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// Counted attempts, the first included.
    pub max_attempts: u32,
    /// The longest first delay; full jitter is drawn below it.
    pub initial: Duration,
    /// Growth of the delay, 1 to 100.
    pub factor: f64,
    /// The longest delay; not below `initial`.
    pub cap: Duration,
    /// Since the first counted failure, less the time that a need was down.
    pub max_age: Duration,
    /// Traps and limit overruns that one version may cause on an event.
    pub guest_faults: u32,
    /// How long `not-ready` may go on.
    pub not_ready_max_age: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            max_attempts: 8,
            initial: Duration::from_millis(200),
            factor: 2.0,
            cap: Duration::from_mins(5),
            max_age: Duration::from_hours(24),
            guest_faults: 3,
            not_ready_max_age: Duration::from_hours(1),
        }
    }
}

/// Table `[guard]`, which nothing acts on yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Guard {
    /// Share of distinct events that may go dead, 0 to 1.
    pub dead_share: f64,
    pub window: Duration,
    /// Below this many events in the window the share says nothing.
    pub min_events: u32,
}

impl Default for Guard {
    fn default() -> Self {
        Self {
            dead_share: 0.1,
            window: Duration::from_mins(1),
            min_events: 20,
        }
    }
}

/// One `[needs.N]`: how this handler uses an outside dependency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeedPolicy {
    /// A call, from connect to the answer's last byte; less than `limits.time`.
    pub timeout: Duration,
    /// False: its failure leaves the handler's own answer alone.
    pub required: bool,
    /// Answers that count as failures of the need.
    pub failure_status: StatusSet,
    /// Lower-case header name.
    pub idempotency_header: Option<String>,
    /// How long the need remembers an idempotency key.
    pub idempotency_ttl: Duration,
    pub on_unknown: OnUnknown,
    pub record_calls: RecordCalls,
}

/// What follows a call of which nobody knows whether it was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnUnknown {
    Retry,
    Park,
}

/// Which answers are kept for shadow and replay; nothing acts on it yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordCalls {
    Off,
    Shadow,
    All,
}

/// A set of HTTP statuses, as inclusive ranges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusSet(pub Vec<(u16, u16)>);

impl Default for StatusSet {
    /// Timeouts, "too early", "too many" and every 5xx.
    fn default() -> Self {
        Self(vec![(408, 408), (425, 425), (429, 429), (500, 599)])
    }
}

impl StatusSet {
    /// Whether a status is in the set.
    pub fn contains(&self, status: u16) -> bool {
        self.0
            .iter()
            .any(|(from, to)| (*from..=*to).contains(&status))
    }
}

/// One `[metrics.M]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    pub kind: MetricKind,
    pub help: String,
    /// Declared labels: a list of values, or a maximum number of values.
    pub labels: BTreeMap<String, LabelBound>,
}

/// What a metric measures.
#[derive(Debug, Clone, PartialEq)]
pub enum MetricKind {
    Counter,
    /// Upper bounds, ascending, without infinity.
    Histogram {
        buckets: Vec<f64>,
    },
}

/// How many values a label of a metric may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelBound {
    Values(Vec<String>),
    AtMost(u32),
}

/// One `config.K`: a setting that the deployment gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigKey {
    pub default: Option<String>,
    pub required: bool,
}

/// One `secrets.K`: a value that the deployment gives by reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretKey {
    pub required: bool,
}
