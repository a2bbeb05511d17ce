//! How an attempt ended: the closed set that the judge decides over.

use crate::contract::{Effects, Failure};

/// What the engine reports for one attempt. The engine never retries and never
/// decides; it classifies, totally.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The handler returned `ok`.
    Done(Effects),
    /// The handler returned one of its own failures.
    Failed(Failure),
    /// The component broke a rule: trap, limit, bad output.
    GuestFault(GuestFault),
    /// The host could not run it; says nothing about the handler.
    HostFault(HostFault),
    /// The host ended the attempt on purpose: drain, swap, lost ownership.
    Cancelled,
}

/// Why the component is at fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestFault {
    pub kind: GuestFaultKind,
    /// For people; at most 4096 bytes.
    pub message: String,
    /// Wasm frames, innermost first; at most 20 lines.
    pub backtrace: String,
    /// The end of what the guest wrote to stderr; at most 4096 bytes.
    pub stderr_tail: String,
}

/// The ways in which a component can be at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum GuestFaultKind {
    /// `unreachable`, out of bounds, stack overflow, a failed assertion.
    Trap,
    /// It called `exit`.
    Exit,
    /// More CPU time than `limits.cpu_time`.
    CpuTime,
    /// More time on the clock than `limits.time`, host calls included.
    WallTime,
    /// More memory than `limits.memory`.
    Memory,
    /// Effects or texts that break a bound of the contract or the manifest.
    BadOutput,
    /// `migrate` failed, or is missing where the state is older.
    Migration,
}

impl GuestFaultKind {
    /// The code that dead letters and metrics carry.
    pub fn code(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::Exit => "exit",
            Self::CpuTime => "cpu-time",
            Self::WallTime => "wall-time",
            Self::Memory => "memory",
            Self::BadOutput => "bad-output",
            Self::Migration => "migration",
        }
    }
}

/// Why the host could not run an attempt, or could not finish after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFault {
    pub kind: HostFaultKind,
    pub message: String,
}

/// What of the host failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostFaultKind {
    /// No free instance in the pool.
    PoolFull,
    /// The engine failed in a way that no guest can cause.
    Engine,
    /// The broker does not answer or refuses for a reason that passes.
    Broker,
    /// The record is of a format this version does not know, or of another key.
    Record,
    /// A panic inside the host, caught at the task's edge.
    Panic,
}

impl HostFault {
    /// The broker does not do its part.
    pub fn broker(message: String) -> Self {
        Self {
            kind: HostFaultKind::Broker,
            message,
        }
    }

    /// The host itself panicked; `payload` is what it panicked with.
    pub fn panic(payload: &(dyn std::any::Any + Send)) -> Self {
        let text = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned());
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
        Self {
            kind: HostFaultKind::Panic,
            message: text.unwrap_or_else(|| "panic".to_owned()),
        }
    }

    /// What is stored cannot be used by this version.
    pub fn record(message: String) -> Self {
        Self {
            kind: HostFaultKind::Record,
            message,
        }
    }
}

impl HostFaultKind {
    /// The code that logs and metrics carry.
    pub fn code(self) -> &'static str {
        match self {
            Self::PoolFull => "pool-full",
            Self::Engine => "engine",
            Self::Broker => "broker",
            Self::Record => "record",
            Self::Panic => "panic",
        }
    }
}

/// What one call to a need came to, as the host saw it. The judge reads these
/// to tell a need that is down from a handler that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub need: String,
    pub result: CallResult,
    /// As the need asked (`retry-after`), already in milliseconds.
    pub retry_after_ms: Option<u64>,
    /// False for GET, HEAD and OPTIONS.
    pub unsafe_method: bool,
    /// From the call to its result, in milliseconds.
    pub took_ms: u64,
}

/// The result of a call, reduced to what policy needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallResult {
    /// An answer that does not count as a failure of the need.
    Answered,
    /// An answer whose status the manifest lists in `failure_status`.
    FailureStatus(u16),
    /// Nothing was sent.
    NotSent,
    /// It was sent, and no whole answer came.
    UnknownOutcome,
    /// The guest's request was refused by the host: no word about the need.
    Refused,
    /// The answer was larger than `limits.response_bytes`.
    TooLarge,
}
