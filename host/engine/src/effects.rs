//! From the generated types to the contract's, with the bounds of `wit/types`
//! and of the manifest's `[limits]` checked on the way.
//!
//! What depends on names that the manifest declares (emitted types, timers) is
//! checked where subjects are known, not here.

use wharf_core::contract::{
    Due, Effects, Emission, Failure, Outage, Problem, StateChange, Timer, TimerChange,
};
use wharf_core::limits::Limits;

use crate::bindings::types as wit;
use crate::text;

const KEY_BYTES_MAX: usize = 256;
const TIMER_BYTES_MAX: usize = 4096;
const TIMER_CHANGES_MAX: usize = 64;
const NAME_BYTES_MAX: usize = 128;
/// What each emission costs beside its own bytes.
const EMISSION_OVERHEAD: u64 = 128;
const TEN_YEARS_MS: u64 = 10 * 366 * 24 * 3_600_000;

/// A bound that effects break; the text names it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Broken {
    #[error("{count} emissions; limits.emits is {max}")]
    TooManyEmissions { count: usize, max: u32 },
    #[error("the emissions have {bytes} bytes; limits.emit_bytes is {max}")]
    EmitBytes { bytes: u64, max: u64 },
    #[error("emission {at}: the type has {bytes} bytes; 1 to {NAME_BYTES_MAX} are allowed")]
    EmissionType { at: usize, bytes: usize },
    #[error("emission {at}: the key has {bytes} bytes; 1 to {KEY_BYTES_MAX} are allowed")]
    EmissionKey { at: usize, bytes: usize },
    #[error("emission {at}: the attribute name {name:?} is not of [a-z0-9]{{1,20}}")]
    Attribute { at: usize, name: String },
    #[error("emission {at}: no data, and the content type is JSON or not given")]
    NoData { at: usize },
    #[error("the state has {bytes} bytes; limits.state_bytes is {max}")]
    StateBytes { bytes: usize, max: u64 },
    #[error("an empty state was put; use `delete` to remove it")]
    EmptyState,
    #[error("{count} timer changes; {TIMER_CHANGES_MAX} are allowed")]
    TooManyTimers { count: usize },
    #[error("a timer's name has {bytes} bytes; 1 to {NAME_BYTES_MAX} are allowed")]
    TimerName { bytes: usize },
    #[error("timer {name:?}: its data have {bytes} bytes; {TIMER_BYTES_MAX} are allowed")]
    TimerData { name: String, bytes: usize },
    #[error("timer {name:?}: due in more than 10 years")]
    TimerDue { name: String },
}

/// Checks effects and makes them the contract's.
///
/// # Errors
///
/// The first bound that they break.
pub(crate) fn accept(effects: wit::Effects, limits: &Limits) -> Result<Effects, Broken> {
    let count = effects.emit.len();
    if count > limits.emits as usize {
        return Err(Broken::TooManyEmissions { count, max: limits.emits });
    }
    let bytes = effects.emit.iter().map(emission_bytes).sum();
    if bytes > limits.emit_bytes {
        return Err(Broken::EmitBytes { bytes, max: limits.emit_bytes });
    }
    let count = effects.timers.len();
    if count > TIMER_CHANGES_MAX {
        return Err(Broken::TooManyTimers { count });
    }
    Ok(Effects {
        emit: effects
            .emit
            .into_iter()
            .enumerate()
            .map(|(at, emission)| accept_emission(at, emission))
            .collect::<Result<_, _>>()?,
        state: accept_state(effects.state, limits)?,
        timers: effects.timers.into_iter().map(accept_timer).collect::<Result<_, _>>()?,
    })
}

/// A handler's own failure, with its texts bounded.
pub(crate) fn accept_failure(failure: wit::Failure) -> Failure {
    match failure {
        wit::Failure::Retry(problem) => Failure::Retry(accept_problem(problem)),
        wit::Failure::Reject(problem) => Failure::Reject(accept_problem(problem)),
        wit::Failure::NotReady(problem) => Failure::NotReady(accept_problem(problem)),
        wit::Failure::Unavailable(outage) => Failure::Unavailable(Outage {
            need: text::head(&outage.need, NAME_BYTES_MAX).to_owned(),
            message: text::cut(outage.message),
            after_ms: outage.after_ms,
        }),
    }
}

/// A put state is between 1 byte and the limit, also when `migrate` made it.
///
/// # Errors
///
/// The bound that it breaks.
pub(crate) fn check_state(state: &[u8], limits: &Limits) -> Result<(), Broken> {
    if state.is_empty() {
        return Err(Broken::EmptyState);
    }
    if state.len() as u64 > limits.state_bytes {
        return Err(Broken::StateBytes { bytes: state.len(), max: limits.state_bytes });
    }
    Ok(())
}

fn emission_bytes(emission: &wit::Emission) -> u64 {
    let attributes = emission.attributes.iter().map(|(name, value)| name.len() + value.len());
    let key = emission.key.as_ref().map_or(0, String::len);
    let content_type = emission.content_type.as_ref().map_or(0, String::len);
    let own = emission.event_type.len() + key + content_type + emission.data.len();
    (own + attributes.sum::<usize>()) as u64 + EMISSION_OVERHEAD
}

fn accept_emission(at: usize, emission: wit::Emission) -> Result<Emission, Broken> {
    let bytes = emission.event_type.len();
    if bytes == 0 || bytes > NAME_BYTES_MAX {
        return Err(Broken::EmissionType { at, bytes });
    }
    if let Some(bytes) = emission.key.as_ref().map(String::len)
        && (bytes == 0 || bytes > KEY_BYTES_MAX)
    {
        return Err(Broken::EmissionKey { at, bytes });
    }
    if let Some((name, _)) = emission.attributes.iter().find(|(name, _)| !is_attribute(name)) {
        return Err(Broken::Attribute { at, name: text::head(name, NAME_BYTES_MAX).to_owned() });
    }
    if emission.data.is_empty() && emission.content_type.as_deref().is_none_or(is_json) {
        return Err(Broken::NoData { at });
    }
    Ok(Emission {
        event_type: emission.event_type,
        key: emission.key,
        content_type: emission.content_type,
        attributes: emission.attributes,
        data: emission.data,
    })
}

fn accept_state(state: wit::StateChange, limits: &Limits) -> Result<StateChange, Broken> {
    Ok(match state {
        wit::StateChange::Keep => StateChange::Keep,
        wit::StateChange::Delete => StateChange::Delete,
        wit::StateChange::Put(bytes) => {
            check_state(&bytes, limits)?;
            StateChange::Put(bytes)
        }
    })
}

fn accept_timer(change: wit::TimerChange) -> Result<TimerChange, Broken> {
    let check_name = |name: &str| match name.len() {
        1..=NAME_BYTES_MAX => Ok(()),
        bytes => Err(Broken::TimerName { bytes }),
    };
    match change {
        wit::TimerChange::Cancel(name) => {
            check_name(&name)?;
            Ok(TimerChange::Cancel(name))
        }
        wit::TimerChange::Set(timer) => {
            check_name(&timer.name)?;
            if timer.data.len() > TIMER_BYTES_MAX {
                return Err(Broken::TimerData { name: timer.name, bytes: timer.data.len() });
            }
            let due = match timer.due {
                wit::Due::AfterMs(ms) if ms > TEN_YEARS_MS => {
                    return Err(Broken::TimerDue { name: timer.name });
                }
                wit::Due::AfterMs(ms) => Due::AfterMs(ms),
                wit::Due::AtMs(ms) => Due::AtMs(ms),
            };
            Ok(TimerChange::Set(Timer { name: timer.name, due, data: timer.data }))
        }
    }
}

fn accept_problem(problem: wit::Problem) -> Problem {
    let code = if is_code(&problem.code) { problem.code } else { "other".to_owned() };
    Problem { code, message: text::cut(problem.message), after_ms: problem.after_ms }
}

fn is_code(code: &str) -> bool {
    let plain = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    (1..=64).contains(&code.len()) && code.bytes().all(plain)
}

fn is_attribute(name: &str) -> bool {
    let plain = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9');
    (1..=20).contains(&name.len()) && name.bytes().all(plain)
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    essence == "application/json" || essence.ends_with("+json") || essence.is_empty()
}

#[cfg(test)]
mod tests;
