//! The contract between host and handler as plain values.
//!
//! The engine translates between these and the generated bindings of `wit/`;
//! everything else in the host speaks only these types. Meaning, units and
//! bounds of every field stand in `wit/types.wit` and are not repeated here.

/// One event, as a handler sees it. `data` and `state` travel beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub id: String,
    pub source: String,
    pub event_type: String,
    pub subject: String,
    pub key: String,
    pub content_type: String,
    pub time_ms: u64,
    pub now_ms: u64,
    pub sequence: u64,
    pub attempt: u32,
    pub first_try: bool,
    pub idempotency_key: String,
    pub correlation_id: String,
    pub causation_id: Option<String>,
    pub attributes: Vec<(String, String)>,
}

/// An event that a handler wants published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emission {
    pub event_type: String,
    pub key: Option<String>,
    pub content_type: Option<String>,
    pub attributes: Vec<(String, String)>,
    pub data: Vec<u8>,
}

/// What becomes of the entity's state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum StateChange {
    #[default]
    Keep,
    Put(Vec<u8>),
    Delete,
}

/// When a timer is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    AfterMs(u64),
    AtMs(u64),
}

/// A wake-up for the entity that sets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timer {
    pub name: String,
    pub due: Due,
    pub data: Vec<u8>,
}

/// A change to the entity's timers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimerChange {
    Set(Timer),
    Cancel(String),
}

/// Everything that a handled event changes; committed as one, or not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effects {
    pub emit: Vec<Emission>,
    pub state: StateChange,
    pub timers: Vec<TimerChange>,
}

/// Why a handler could not finish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub code: String,
    pub message: String,
    pub after_ms: Option<u32>,
}

/// Which need is out of service, and what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outage {
    pub need: String,
    pub message: String,
    pub after_ms: Option<u32>,
}

/// A handler gives up on an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    Retry(Problem),
    Reject(Problem),
    Unavailable(Outage),
    NotReady(Problem),
}
