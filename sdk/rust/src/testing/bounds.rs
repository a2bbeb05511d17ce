//! What the host accepts of a handler (`wharf:handler/types`).

use crate::failure::Failure;
use crate::wire::{Due, Effects, Emission, StateChange, Timer, TimerChange};

const KEY_BYTES_MAX: usize = 256;
const TIMER_CHANGES_MAX: usize = 64;
const TIMER_DATA_BYTES_MAX: usize = 4096;
const TIMER_AHEAD_MS_MAX: u64 = 10 * 365 * 24 * 3600 * 1000;
/// What the host counts for each emission beside its parts.
const EMISSION_OVERHEAD_BYTES: usize = 128;

/// Limits of the manifest that the kit holds a handler to; the defaults are the
/// manifest's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// `limits.state_bytes`
    pub state_bytes: usize,
    /// `limits.emit_bytes`
    pub emit_bytes: usize,
    /// `limits.emits`
    pub emits: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            state_bytes: 256 * 1024,
            emit_bytes: 256 * 1024,
            emits: 64,
        }
    }
}

impl Bounds {
    /// Panics on what the host would call a guest fault.
    #[track_caller]
    pub(super) fn hold(self, result: &Result<Effects, Failure>) {
        let broken = match result {
            Ok(effects) => self.effects(effects),
            Err(failure) => code(failure),
        };
        if let Err(broken) = broken {
            panic!("the host would not accept this: {broken}");
        }
    }

    fn effects(self, effects: &Effects) -> Result<(), String> {
        if let StateChange::Put(state) = &effects.state {
            at_most(state.len(), self.state_bytes, "bytes of state")?;
        }
        at_most(effects.emit.len(), self.emits, "emissions")?;
        let mut bytes = 0;
        for emission in &effects.emit {
            bytes += emitted(emission)?;
        }
        at_most(bytes, self.emit_bytes, "bytes of emissions")?;
        at_most(effects.timers.len(), TIMER_CHANGES_MAX, "timer changes")?;
        effects.timers.iter().try_for_each(timer)
    }
}

/// Checks an emission and tells what it weighs.
fn emitted(emission: &Emission) -> Result<usize, String> {
    let Emission {
        event_type,
        key,
        content_type,
        attributes,
        data,
    } = emission;
    let key_bytes = key.as_ref().map_or(1, String::len);
    if !(1..=KEY_BYTES_MAX).contains(&key_bytes) {
        return Err(format!("a key of {key_bytes} bytes for {event_type}"));
    }
    let json = content_type
        .as_ref()
        .is_none_or(|kind| kind.contains("json"));
    if data.is_empty() && json {
        return Err(format!("{event_type} without data"));
    }
    let plain = |name: &str| {
        name.bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    if let Some((name, _)) = attributes
        .iter()
        .find(|(name, _)| !(1..=20).contains(&name.len()) || !plain(name))
    {
        return Err(format!("the attribute name `{name}` of {event_type}"));
    }
    let attribute_bytes: usize = attributes
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    let named_bytes = event_type.len() + content_type.as_ref().map_or(0, String::len);
    Ok(data.len() + key_bytes + attribute_bytes + named_bytes + EMISSION_OVERHEAD_BYTES)
}

fn timer(change: &TimerChange) -> Result<(), String> {
    let TimerChange::Set(Timer { name, due, data }) = change else {
        return Ok(());
    };
    at_most(data.len(), TIMER_DATA_BYTES_MAX, "bytes of timer data")?;
    match due {
        Due::AfterMs(delay) if *delay > TIMER_AHEAD_MS_MAX => {
            Err(format!("the timer {name} is due in over 10 years"))
        }
        Due::AfterMs(_) | Due::AtMs(_) => Ok(()),
    }
}

fn code(failure: &Failure) -> Result<(), String> {
    let (Failure::Retry(problem) | Failure::Reject(problem) | Failure::NotReady(problem)) = failure
    else {
        return Ok(());
    };
    let code = &problem.code;
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if (1..=64).contains(&code.len()) && code.bytes().all(plain) {
        return Ok(());
    }
    Err(format!(
        "the failure code `{code}` is not [a-z0-9-]{{1,64}}"
    ))
}

fn at_most(count: usize, limit: usize, what: &str) -> Result<(), String> {
    if count <= limit {
        return Ok(());
    }
    Err(format!("{count} {what}, where {limit} are allowed"))
}
