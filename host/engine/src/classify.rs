//! The one function from how guest code ended to an outcome.
//!
//! Total: whatever wasmtime may report falls into one case. The default is the
//! guest's fault, because everything that runs inside its call is driven by
//! it; the host's own failures are the few that are recognised by type.

use std::io;

use wasmtime::{PoolConcurrencyLimitError, Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;
use wharf_core::limits::Limits;
use wharf_core::outcome::{GuestFault, GuestFaultKind, HostFault, HostFaultKind, Outcome};

use crate::bindings::types as wit;
use crate::effects;
use crate::journal::Journal;
use crate::limiter::Refused;
use crate::start::CpuTimeUsedUp;
use crate::text;

const BACKTRACE_LINES_MAX: usize = 20;

/// What was being done with the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Start,
    Migrate,
    Handle,
}

/// How an attempt ended, before anyone says whose fault it was.
#[derive(Debug)]
pub(crate) enum Ended {
    Returned(Result<wit::Effects, wit::Failure>),
    Stopped {
        step: Step,
        error: wasmtime::Error,
    },
    StateTooNew {
        stored: u32,
        ours: u32,
    },
    NoMigration {
        stored: u32,
        ours: u32,
    },
    MigrationRefused {
        stored: u32,
        ours: u32,
        message: String,
    },
    WallTime,
    Cancelled,
}

impl Ended {
    pub(crate) fn start(error: wasmtime::Error) -> Self {
        Self::Stopped {
            step: Step::Start,
            error,
        }
    }
}

/// What else is known about the attempt.
pub(crate) struct Evidence<'a> {
    pub(crate) limits: &'a Limits,
    /// Memory or table elements that the guest asked for in vain.
    pub(crate) refused: Option<Refused>,
    pub(crate) journal: &'a Journal,
}

/// Whose doing it was that an attempt ended as it did.
pub(crate) fn classify(ended: Ended, evidence: &Evidence<'_>) -> Outcome {
    let migration = |message: String| evidence.fault(GuestFaultKind::Migration, message);
    match ended {
        Ended::Returned(Ok(effects)) => done(effects, evidence),
        Ended::Returned(Err(failure)) => failed(failure),
        Ended::Stopped { step, error } => stopped(step, &error, evidence),
        Ended::Cancelled => Outcome::Cancelled,
        Ended::WallTime => {
            let limit = evidence.limits.time;
            let message = format!("no answer within limits.time, which is {limit:?}");
            evidence.fault(GuestFaultKind::WallTime, message)
        }
        Ended::StateTooNew { stored, ours } => migration(format!(
            "the state was put under state.version {stored}, and this component knows {ours}: \
             deploy a version that knows it"
        )),
        Ended::NoMigration { stored, ours } => migration(format!(
            "the state was put under state.version {stored}, the manifest says {ours}, and the \
             component does not export `migration`"
        )),
        Ended::MigrationRefused {
            stored,
            ours,
            message,
        } => migration(format!(
            "migrating the state from version {stored} to {ours} was refused: {message}"
        )),
    }
}

fn done(effects: wit::Effects, evidence: &Evidence<'_>) -> Outcome {
    match effects::accept(effects, evidence.limits) {
        Ok(effects) => Outcome::Done(effects),
        Err(broken) => evidence.fault(GuestFaultKind::BadOutput, broken.to_string()),
    }
}

fn failed(failure: wit::Failure) -> Outcome {
    Outcome::Failed(effects::accept_failure(failure))
}

fn stopped(step: Step, error: &wasmtime::Error, evidence: &Evidence<'_>) -> Outcome {
    if let Some(fault) = host_fault(step, error, evidence) {
        return Outcome::HostFault(fault);
    }
    let backtrace = error.downcast_ref::<WasmBacktrace>();
    let (kind, message) = guest_fault(step, error, backtrace.is_some(), evidence);
    // A trap while migrating is still the migration's failure.
    let kind = if step == Step::Migrate {
        GuestFaultKind::Migration
    } else {
        kind
    };
    let mut fault = evidence.guest_fault(kind, message);
    fault.backtrace = backtrace.map(frames).unwrap_or_default();
    Outcome::GuestFault(fault)
}

/// What only the host can cause.
fn host_fault(step: Step, error: &wasmtime::Error, evidence: &Evidence<'_>) -> Option<HostFault> {
    let fault = |kind| HostFault {
        kind,
        message: format!("{error:#}"),
    };
    if error.is::<PoolConcurrencyLimitError>() {
        return Some(fault(HostFaultKind::PoolFull));
    }
    // Memory or a stack that the system did not give.
    if error.is::<io::Error>() || error.is::<wasmtime::error::OutOfMemory>() {
        return Some(fault(HostFaultKind::Engine));
    }
    let by_guest = error.is::<Trap>()
        || error.is::<I32Exit>()
        || error.is::<CpuTimeUsedUp>()
        || error.is::<WasmBacktrace>();
    // Starting needs nothing of the guest but its code, its memory and its
    // tables, and `load` has started it once before.
    let unexplained = step == Step::Start && !by_guest && evidence.refused.is_none();
    unexplained.then(|| fault(HostFaultKind::Engine))
}

fn guest_fault(
    step: Step,
    error: &wasmtime::Error,
    in_guest_code: bool,
    evidence: &Evidence<'_>,
) -> (GuestFaultKind, String) {
    let cause = error.root_cause().to_string();
    if error.is::<CpuTimeUsedUp>() {
        let limit = evidence.limits.cpu_time;
        return (
            GuestFaultKind::CpuTime,
            format!("more than limits.cpu_time, which is {limit:?}"),
        );
    }
    if let Some(exit) = error.downcast_ref::<I32Exit>() {
        return (
            GuestFaultKind::Exit,
            format!("the guest called exit({})", exit.0),
        );
    }
    if let Some(refused) = evidence.refused {
        let limit = evidence.limits.memory_bytes;
        let wanted = match refused {
            Refused::MemoryBytes(bytes) => format!("{bytes} bytes; limits.memory is {limit}"),
            Refused::TableElements(count) => format!("{count} table elements"),
        };
        return (
            GuestFaultKind::Memory,
            format!("more memory than allowed, {wanted}: {cause}"),
        );
    }
    // Raised after guest code returned: the answer itself cannot be taken.
    if step == Step::Handle && !in_guest_code && !error.is::<Trap>() {
        return (
            GuestFaultKind::BadOutput,
            format!("the answer cannot be taken: {cause}"),
        );
    }
    (GuestFaultKind::Trap, cause)
}

fn frames(backtrace: &WasmBacktrace) -> String {
    let text = backtrace.to_string();
    let frames = text
        .lines()
        .skip(1)
        .take(BACKTRACE_LINES_MAX)
        .map(str::trim_end);
    text::cut(frames.collect::<Vec<_>>().join("\n"))
}

impl Evidence<'_> {
    fn fault(&self, kind: GuestFaultKind, message: String) -> Outcome {
        Outcome::GuestFault(self.guest_fault(kind, message))
    }

    fn guest_fault(&self, kind: GuestFaultKind, message: String) -> GuestFault {
        GuestFault {
            kind,
            message: text::cut(message),
            backtrace: String::new(),
            stderr_tail: self.journal.stderr_tail(),
        }
    }
}

#[cfg(test)]
mod tests;
