//! From the generated types to the contract's, bounded on the way.
//!
//! Here stand the bounds on how much a guest may hand over. What it means
//! (names that the manifest declares, keys, subjects, dues) is checked by
//! `wharf_core::effects`, before the commit.

use wharf_core::contract::{
    Due, Effects, Emission, Failure, Outage, Problem, StateChange, Timer, TimerChange,
};
use wharf_core::effects::EMISSION_OVERHEAD;
use wharf_core::limits::Limits;

use crate::bindings::types as wit;
use crate::text;

/// Timer changes of one call: each of an entity's timers, some times over.
const TIMER_CHANGES_MAX: usize = 64;
const NAME_BYTES_MAX: usize = 128;

/// A bound that effects break; the text names it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Broken {
    #[error("{count} emissions; limits.emits is {max}")]
    TooManyEmissions { count: usize, max: u32 },
    #[error("the emissions have {bytes} bytes; limits.emit_bytes is {max}")]
    EmitBytes { bytes: u64, max: u64 },
    #[error("the state has {bytes} bytes; limits.state_bytes is {max}")]
    StateBytes { bytes: usize, max: u64 },
    #[error("{count} timer changes; {TIMER_CHANGES_MAX} are allowed")]
    TooManyTimers { count: usize },
}

/// Makes effects the contract's, if they are within the limits.
///
/// # Errors
///
/// The first bound that they break.
pub(crate) fn accept(effects: wit::Effects, limits: &Limits) -> Result<Effects, Broken> {
    let count = effects.emit.len();
    if count > limits.emits as usize {
        return Err(Broken::TooManyEmissions {
            count,
            max: limits.emits,
        });
    }
    let bytes = effects.emit.iter().map(emission_bytes).sum();
    if bytes > limits.emit_bytes {
        return Err(Broken::EmitBytes {
            bytes,
            max: limits.emit_bytes,
        });
    }
    let count = effects.timers.len();
    if count > TIMER_CHANGES_MAX {
        return Err(Broken::TooManyTimers { count });
    }
    Ok(Effects {
        emit: effects.emit.into_iter().map(emission).collect(),
        state: state(effects.state, limits)?,
        timers: effects.timers.into_iter().map(timer_change).collect(),
    })
}

/// A handler's own failure, with its texts bounded.
pub(crate) fn accept_failure(failure: wit::Failure) -> Failure {
    match failure {
        wit::Failure::Retry(given) => Failure::Retry(problem(given)),
        wit::Failure::Reject(given) => Failure::Reject(problem(given)),
        wit::Failure::NotReady(given) => Failure::NotReady(problem(given)),
        wit::Failure::Unavailable(outage) => Failure::Unavailable(Outage {
            need: text::head(&outage.need, NAME_BYTES_MAX).to_owned(),
            message: text::cut(outage.message),
            after_ms: outage.after_ms,
        }),
    }
}

fn emission_bytes(emission: &wit::Emission) -> u64 {
    let attributes = emission
        .attributes
        .iter()
        .map(|(name, value)| name.len() + value.len());
    let key = emission.key.as_ref().map_or(0, String::len);
    let content_type = emission.content_type.as_ref().map_or(0, String::len);
    let own = emission.event_type.len() + key + content_type + emission.data.len();
    (own + attributes.sum::<usize>()) as u64 + EMISSION_OVERHEAD
}

fn emission(emission: wit::Emission) -> Emission {
    Emission {
        event_type: emission.event_type,
        key: emission.key,
        content_type: emission.content_type,
        attributes: emission.attributes,
        data: emission.data,
    }
}

fn state(state: wit::StateChange, limits: &Limits) -> Result<StateChange, Broken> {
    match state {
        wit::StateChange::Keep => Ok(StateChange::Keep),
        wit::StateChange::Delete => Ok(StateChange::Delete),
        wit::StateChange::Put(bytes) if bytes.len() as u64 > limits.state_bytes => {
            Err(Broken::StateBytes {
                bytes: bytes.len(),
                max: limits.state_bytes,
            })
        }
        wit::StateChange::Put(bytes) => Ok(StateChange::Put(bytes)),
    }
}

fn timer_change(change: wit::TimerChange) -> TimerChange {
    match change {
        wit::TimerChange::Cancel(name) => TimerChange::Cancel(name),
        wit::TimerChange::Set(timer) => TimerChange::Set(Timer {
            name: timer.name,
            due: match timer.due {
                wit::Due::AfterMs(ms) => Due::AfterMs(ms),
                wit::Due::AtMs(ms) => Due::AtMs(ms),
            },
            data: timer.data,
        }),
    }
}

fn problem(problem: wit::Problem) -> Problem {
    let code = if is_code(&problem.code) {
        problem.code
    } else {
        "other".to_owned()
    };
    Problem {
        code,
        message: text::cut(problem.message),
        after_ms: problem.after_ms,
    }
}

fn is_code(code: &str) -> bool {
    let plain = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    (1..=64).contains(&code.len()) && code.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn emission() -> wit::Emission {
        wit::Emission {
            event_type: "order.placed".into(),
            key: Some("K".into()),
            content_type: None,
            attributes: vec![("partner".into(), "x".into())],
            data: b"{}".to_vec(),
        }
    }

    fn emit(emit: Vec<wit::Emission>) -> wit::Effects {
        wit::Effects {
            emit,
            state: wit::StateChange::Keep,
            timers: Vec::new(),
        }
    }

    fn put(bytes: usize) -> wit::Effects {
        wit::Effects {
            state: wit::StateChange::Put(vec![1; bytes]),
            ..emit(Vec::new())
        }
    }

    fn small() -> Limits {
        Limits {
            emits: 2,
            emit_bytes: 400,
            state_bytes: 10,
            ..Limits::default()
        }
    }

    #[test]
    fn effects_within_all_bounds_pass_unchanged() {
        let accepted = accept(emit(vec![emission(), emission()]), &small()).expect("within");
        assert_eq!(accepted.emit.len(), 2);
        assert_eq!(accepted.emit[0].data, b"{}");
        assert_eq!(
            accept(put(10), &small()).map(|e| e.state),
            Ok(StateChange::Put(vec![1; 10]))
        );
    }

    #[test]
    fn every_bound_on_effects_is_refused_by_its_name() {
        let large = wit::Emission {
            data: vec![0; 400],
            ..emission()
        };
        let cancel = wit::TimerChange::Cancel("t".into());
        let timers = wit::Effects {
            timers: vec![cancel; 65],
            ..emit(Vec::new())
        };
        for (effects, expected) in [
            (
                emit(vec![emission(); 3]),
                Broken::TooManyEmissions { count: 3, max: 2 },
            ),
            (
                emit(vec![large]),
                Broken::EmitBytes {
                    bytes: 549,
                    max: 400,
                },
            ),
            (put(11), Broken::StateBytes { bytes: 11, max: 10 }),
            (timers, Broken::TooManyTimers { count: 65 }),
        ] {
            assert_eq!(accept(effects, &small()), Err(expected));
        }
    }

    #[test]
    fn codes_outside_the_pattern_become_other_and_long_texts_are_cut() {
        let long = "x".repeat(65);
        for (given, kept) in [
            ("unknown-currency", "unknown-currency"),
            ("", "other"),
            (&long, "other"),
        ] {
            let problem = wit::Problem {
                code: given.into(),
                message: "é".repeat(4096),
                after_ms: Some(7),
            };
            let Failure::Reject(kept_problem) = accept_failure(wit::Failure::Reject(problem))
            else {
                panic!("another failure came out");
            };
            assert_eq!(kept_problem.code, kept);
            assert_eq!(kept_problem.message.len(), 4096);
            assert_eq!(kept_problem.after_ms, Some(7));
        }
    }
}
