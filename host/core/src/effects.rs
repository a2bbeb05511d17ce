//! Checks what a handler returned, before anything of it is committed.
//!
//! What breaks a bound here is the component's fault and discards the attempt;
//! nothing is cut to fit. The engine bounds what it lifts; meaning is here.

use std::collections::BTreeMap;

use crate::contract::{Due, Effects, Emission, StateChange, Timer, TimerChange};
use crate::ids::Identity;
use crate::manifest::{Delivery, Manifest};
use crate::pattern::Template;
use crate::record::{self, TIMERS_MAX};

/// Bytes that each emission counts for, beside its data, subject and attributes.
pub const EMISSION_OVERHEAD: u64 = 128;
/// Headers that the attributes of an emission make, percent-encoded: the broker
/// takes 64 KiB for all headers of a message.
pub const ATTRIBUTES_WIRE_BYTES_MAX: usize = 32 << 10;
/// Data of a timer.
pub const TIMER_DATA_MAX: usize = 4096;
/// Ten years.
pub const TIMER_AFTER_MAX_MS: u64 = 10 * 365 * 86_400_000;
/// Attributes that only the host sets.
const HOST_ATTRIBUTES: [&str; 15] = [
    "specversion",
    "id",
    "source",
    "type",
    "time",
    "subject",
    "data",
    "datacontenttype",
    "correlationid",
    "causationid",
    "wharfhops",
    "traceparent",
    "tracestate",
    "contenttype",
    "natsmsgid",
];

/// What the check needs of the handler and of the event.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    pub manifest: &'a Manifest,
    pub identity: Identity<'a>,
    /// Hops of the event being handled.
    pub hops: u32,
    /// What a message on the wire may have, headers included.
    pub message_bytes_max: u64,
}

/// Why effects are refused. `Display` is what the dead letter says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("{found} emissions; limit `emits` is {max}")]
    TooManyEmissions { found: usize, max: u32 },
    #[error("the emissions have {found} bytes; limit `emit_bytes` is {max}")]
    EmissionsTooLarge { found: u64, max: u64 },
    #[error("emission {index} has {found} bytes; the broker takes messages of {max}")]
    MessageTooLarge { index: usize, found: u64, max: u64 },
    #[error("emission {index} has the type `{event_type}`, which `[emits]` does not list")]
    TypeNotDeclared { index: usize, event_type: String },
    #[error("emission {index}: {reason}")]
    Key { index: usize, reason: String },
    #[error("emission {index}: attribute `{name}` {reason}")]
    Attribute {
        index: usize,
        name: String,
        reason: &'static str,
    },
    #[error(
        "the attributes of emission {index} make {found} bytes of headers; at most {ATTRIBUTES_WIRE_BYTES_MAX} are allowed"
    )]
    AttributesTooLarge { index: usize, found: usize },
    #[error("emission {index} has no data, and its content type is JSON")]
    EmptyData { index: usize },
    #[error("emission {index}: the content type is not printable ASCII of at most 256 bytes")]
    ContentType { index: usize },
    #[error("the state is empty; return `delete` to remove it")]
    EmptyState,
    #[error("the state has {found} bytes; limit `state_bytes` is {max}")]
    StateTooLarge { found: usize, max: u64 },
    #[error("the handler put state, and its manifest has no `[state]`")]
    StateNotDeclared,
    #[error("timer `{name}` is not in the manifest's `timers`")]
    TimerNotDeclared { name: String },
    #[error("timer `{name}` has {found} bytes of data; at most {TIMER_DATA_MAX} are allowed")]
    TimerDataTooLarge { name: String, found: usize },
    #[error("timer `{name}` is due in more than 10 years")]
    TimerTooFar { name: String },
    #[error("the entity would hold {found} timers; at most {TIMERS_MAX} are allowed")]
    TooManyTimers { found: usize },
    #[error("an at-least-once handler may emit once an event, and this is {found} emissions")]
    NotOneEmission { found: usize },
    #[error("the chain of causes has {found} hops; limit `hops` is {max}")]
    Loop { found: u32, max: u32 },
    #[error("the entity's record would have {found} bytes; the broker's limit leaves {max}")]
    RecordTooLarge { found: usize, max: u64 },
}

impl Refusal {
    /// A chain of causes that is too long is no one version's fault: it is dead
    /// at once, with a code of its own.
    pub fn is_loop(&self) -> bool {
        matches!(self, Self::Loop { .. })
    }
}

/// Checks effects and gives the emissions their ids and subjects.
///
/// # Errors
/// The first [`Refusal`] found.
pub fn check(context: &Context<'_>, effects: &Effects) -> Result<Vec<record::Emission>, Refusal> {
    let limits = &context.manifest.limits;
    if effects.emit.len() > limits.emits as usize {
        return Err(Refusal::TooManyEmissions {
            found: effects.emit.len(),
            max: limits.emits,
        });
    }
    if context.manifest.delivery == Delivery::AtLeastOnce && effects.emit.len() > 1 {
        return Err(Refusal::NotOneEmission {
            found: effects.emit.len(),
        });
    }
    if !effects.emit.is_empty() && context.hops >= limits.hops {
        return Err(Refusal::Loop {
            found: context.hops + 1,
            max: limits.hops,
        });
    }
    check_state(context.manifest, &effects.state)?;
    for change in &effects.timers {
        check_timer(context.manifest, change)?;
    }
    check_emissions(context, &effects.emit)
}

fn check_emissions(
    context: &Context<'_>,
    emit: &[Emission],
) -> Result<Vec<record::Emission>, Refusal> {
    let max = context.manifest.limits.emit_bytes;
    let mut total = 0;
    let mut out = Vec::with_capacity(emit.len());
    for (index, emission) in emit.iter().enumerate() {
        let addressed = address(context, index, emission)?;
        let bytes = size(&addressed);
        if bytes > context.message_bytes_max {
            return Err(Refusal::MessageTooLarge {
                index,
                found: bytes,
                max: context.message_bytes_max,
            });
        }
        total += bytes;
        if total > max {
            return Err(Refusal::EmissionsTooLarge { found: total, max });
        }
        out.push(addressed);
    }
    Ok(out)
}

/// What an emission counts for.
fn size(emission: &record::Emission) -> u64 {
    let attributes: usize = emission
        .attributes
        .iter()
        .map(|a| a.name.len() + a.value.len())
        .sum();
    (emission.data.len() + emission.subject.len() + attributes) as u64 + EMISSION_OVERHEAD
}

fn address(
    context: &Context<'_>,
    index: usize,
    emission: &Emission,
) -> Result<record::Emission, Refusal> {
    let template = declared(&context.manifest.emits, index, &emission.event_type)?;
    let key = emission.key.as_deref().unwrap_or(context.identity.key);
    let subject = template.subject_for(key).map_err(|e| Refusal::Key {
        index,
        reason: e.to_string(),
    })?;
    let content_type = content_type(index, emission)?;
    let attributes = attributes(index, &emission.attributes)?;
    Ok(record::Emission {
        id: context
            .identity
            .emission(u32::try_from(index).unwrap_or(u32::MAX)),
        subject,
        event_type: emission.event_type.clone(),
        content_type,
        attributes,
        data: emission.data.clone(),
    })
}

fn declared<'a>(
    emits: &'a BTreeMap<String, Template>,
    index: usize,
    event_type: &str,
) -> Result<&'a Template, Refusal> {
    let missing = || Refusal::TypeNotDeclared {
        index,
        event_type: shown(event_type),
    };
    emits.get(event_type).ok_or_else(missing)
}

fn content_type(index: usize, emission: &Emission) -> Result<String, Refusal> {
    let content_type = emission
        .content_type
        .as_deref()
        .unwrap_or("application/json");
    let printable = content_type.bytes().all(|b| (0x20..0x7f).contains(&b));
    if content_type.is_empty() || content_type.len() > 256 || !printable {
        return Err(Refusal::ContentType { index });
    }
    if emission.data.is_empty() && is_json(content_type) {
        return Err(Refusal::EmptyData { index });
    }
    Ok(content_type.to_owned())
}

fn is_json(content_type: &str) -> bool {
    let media = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    media == "application/json" || media.ends_with("+json")
}

fn attributes(index: usize, given: &[(String, String)]) -> Result<Vec<record::Attribute>, Refusal> {
    let mut out: Vec<record::Attribute> = Vec::with_capacity(given.len());
    for (name, value) in given {
        let refuse = |reason| Refusal::Attribute {
            index,
            name: shown(name),
            reason,
        };
        if !(1..=20).contains(&name.len())
            || !name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        {
            return Err(refuse("is not a name of `[a-z0-9]{1,20}`"));
        }
        if HOST_ATTRIBUTES.contains(&name.as_str()) {
            return Err(refuse("is set by the host"));
        }
        if out.iter().any(|a| a.name == *name) {
            return Err(refuse("is given twice"));
        }
        out.push(record::Attribute {
            name: name.clone(),
            value: value.clone(),
        });
    }
    let found = out.iter().map(wire_bytes).sum();
    if found > ATTRIBUTES_WIRE_BYTES_MAX {
        return Err(Refusal::AttributesTooLarge { index, found });
    }
    Ok(out)
}

/// What an attribute takes as a header: `ce-name: value` and a line end, with
/// everything outside visible ASCII, quotes and percent signs encoded.
fn wire_bytes(attribute: &record::Attribute) -> usize {
    let value = attribute.value.bytes();
    let encoded = |b: u8| {
        if b.is_ascii_graphic() && b != b'"' && b != b'%' {
            1
        } else {
            3
        }
    };
    attribute.name.len() + "ce-: \r\n".len() + value.map(encoded).sum::<usize>()
}

fn check_state(manifest: &Manifest, change: &StateChange) -> Result<(), Refusal> {
    let StateChange::Put(data) = change else {
        return Ok(());
    };
    if manifest.state.is_none() {
        return Err(Refusal::StateNotDeclared);
    }
    if data.is_empty() {
        return Err(Refusal::EmptyState);
    }
    let max = manifest.limits.state_bytes;
    if data.len() as u64 > max {
        return Err(Refusal::StateTooLarge {
            found: data.len(),
            max,
        });
    }
    Ok(())
}

fn check_timer(manifest: &Manifest, change: &TimerChange) -> Result<(), Refusal> {
    let name = match change {
        TimerChange::Set(Timer { name, .. }) | TimerChange::Cancel(name) => name,
    };
    if !manifest.timers.contains(name) {
        return Err(Refusal::TimerNotDeclared { name: shown(name) });
    }
    let TimerChange::Set(timer) = change else {
        return Ok(());
    };
    if timer.data.len() > TIMER_DATA_MAX {
        return Err(Refusal::TimerDataTooLarge {
            name: shown(name),
            found: timer.data.len(),
        });
    }
    match timer.due {
        Due::AfterMs(after) if after > TIMER_AFTER_MAX_MS => {
            Err(Refusal::TimerTooFar { name: shown(name) })
        }
        Due::AfterMs(_) | Due::AtMs(_) => Ok(()),
    }
}

/// A guest's text, short enough for a message.
fn shown(text: &str) -> String {
    text[..text.floor_char_boundary(80)].to_owned()
}

#[cfg(test)]
mod tests;
