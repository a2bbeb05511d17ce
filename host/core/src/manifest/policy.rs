//! `[state]`, `[dedup]`, `[retry]`, `[guard]` and `[limits]`.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::{Dedup, Delivery, Guard, Ordering, Retry, StatePolicy};
use crate::config::names::MEDIA_TYPE;
use crate::config::{Code, Table};
use crate::limits::Limits;
use crate::record::IDS_MAX;

/// What a record has room for.
const REMEMBER_MAX: u32 = 256;
const _: () = assert!(REMEMBER_MAX as usize == IDS_MAX);
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
/// The broker's own limit of a message.
const MESSAGE_MAX: u64 = 64 * MIB;
/// Largest memory of a 32-bit guest.
const MEMORY_MAX: u64 = 4 << 30;
/// The broker counts a message's lifetime in whole seconds, from one.
const LIFETIME: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(24 * 3650);

pub(super) fn state(table: &Table<'_>) -> StatePolicy {
    let content_type = table
        .name("content_type", &MEDIA_TYPE)
        .unwrap_or("application/json");
    StatePolicy {
        version: table.count("version", 1..=u32::MAX).unwrap_or(1),
        ttl: table.duration("ttl", LIFETIME),
        content_type: content_type.to_owned(),
    }
}

pub(super) fn dedup(table: &Table<'_>, ordering: Ordering) -> Dedup {
    let keep_for = match ordering {
        Ordering::Key => Duration::from_hours(24),
        Ordering::None => Duration::from_mins(2),
    };
    Dedup {
        remember: table.count("remember", 1..=REMEMBER_MAX).unwrap_or(32),
        keep_for: table.duration("for", LIFETIME).unwrap_or(keep_for),
    }
}

pub(super) fn retry(table: &Table<'_>) -> Retry {
    let base = Retry::default();
    let delay = Duration::from_millis(1)..=Duration::from_hours(24);
    let age = Duration::from_secs(1)..=Duration::from_hours(24 * 365);
    Retry {
        max_attempts: table
            .count("max_attempts", 1..=10_000)
            .unwrap_or(base.max_attempts),
        initial: table
            .duration("initial", delay.clone())
            .unwrap_or(base.initial),
        factor: table.number("factor", 1.0..=100.0).unwrap_or(base.factor),
        cap: table.duration("cap", delay).unwrap_or(base.cap),
        max_age: table
            .duration("max_age", age.clone())
            .unwrap_or(base.max_age),
        guest_faults: table
            .count("guest_faults", 1..=1000)
            .unwrap_or(base.guest_faults),
        not_ready_max_age: table
            .duration("not_ready_max_age", age)
            .unwrap_or(base.not_ready_max_age),
    }
}

/// Its values are checked, so that a file is right on the day it is built.
pub(super) fn guard(table: &Table<'_>) -> Guard {
    let base = Guard::default();
    let window = Duration::from_secs(1)..=Duration::from_hours(24);
    let guard = Guard {
        dead_share: table
            .number("dead_share", 0.0..=1.0)
            .unwrap_or(base.dead_share),
        window: table.duration("window", window).unwrap_or(base.window),
        min_events: table
            .count("min_events", 1..=1_000_000)
            .unwrap_or(base.min_events),
    };
    if table.is_there() {
        let message = "`guard` does nothing yet: this version pauses a handler after faults on ten distinct events in a row, and for no share of dead events";
        table.problem_here(Code::NotBuiltYet, message, "remove the table");
    }
    guard
}

/// Defaults follow from other settings in two places: an at-least-once handler
/// emits at most one event, and CPU time is part of the time.
pub(super) fn limits(table: &Table<'_>, delivery: Delivery) -> Limits {
    let base = Limits::default();
    let emits = match delivery {
        Delivery::EffectOnce => base.emits,
        Delivery::AtLeastOnce => 1,
    };
    let duration = Duration::from_millis(1)..=Duration::from_hours(1);
    let size = |key: &str, least: u64, most: u64| table.size(key, least..=most);
    let time = table
        .duration("time", duration.clone())
        .unwrap_or(base.time);
    Limits {
        time,
        cpu_time: table
            .duration("cpu_time", duration)
            .unwrap_or(base.cpu_time.min(time)),
        memory_bytes: size("memory", 64 * KIB, MEMORY_MAX).unwrap_or(base.memory_bytes),
        state_bytes: size("state_bytes", 1, MESSAGE_MAX).unwrap_or(base.state_bytes),
        emit_bytes: size("emit_bytes", 1, MESSAGE_MAX).unwrap_or(base.emit_bytes),
        emits: table.count("emits", 1..=1024).unwrap_or(emits),
        request_bytes: size("request_bytes", 0, MESSAGE_MAX).unwrap_or(base.request_bytes),
        response_bytes: size("response_bytes", 0, MESSAGE_MAX).unwrap_or(base.response_bytes),
        log_bytes: size("log_bytes", 0, 16 * MIB).unwrap_or(base.log_bytes),
        hops: table.count("hops", 1..=1024).unwrap_or(base.hops),
    }
}
