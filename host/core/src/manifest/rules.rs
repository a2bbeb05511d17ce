//! Rules between the settings of one manifest: contradictions, and settings
//! that would change nothing.

use super::{Delivery, Manifest, Ordering, subscriptions};
use crate::config::units::format_duration;
use crate::config::{Code, Table};

pub(super) fn check(root: &Table<'_>, manifest: &Manifest) {
    match manifest.ordering {
        Ordering::Key => keyed(root, manifest),
        Ordering::None => unordered(root, manifest),
    }
    if manifest.delivery == Delivery::AtLeastOnce {
        at_least_once(root, manifest);
    }
    lifetimes(root, manifest);
    delays(root, manifest);
    times(root, manifest);
    unused_limits(root, manifest);
    for (_, need) in root.table("needs").named_tables() {
        need_without_header(&need);
    }
    settings(root);
}

fn keyed(root: &Table<'_>, manifest: &Manifest) {
    for (table, subscription) in subscriptions::tables(root).iter().zip(&manifest.on) {
        if subscription.key.is_none() && !table.has("key") {
            let message = format!(
                "`{}` is missing: ordering = \"key\" needs a key of every event",
                table.path_of("key")
            );
            let remedy =
                "write key = \"{…}\" with a capture of the subject, or ordering = \"none\"";
            table.problem_here(Code::MissingKey, message, remedy);
        }
    }
}

/// With `ordering = "none"` the entity is the event itself: nothing comes after
/// it that could find a state, a timer or a dead predecessor.
fn unordered(root: &Table<'_>, manifest: &Manifest) {
    let remedy = "write ordering = \"key\" and a key rule, or remove it";
    for (key, used) in commits(root, manifest) {
        if used {
            let message = format!(
                "`{key}` and ordering = \"none\" contradict: each event is an entity of its own"
            );
            root.problem(key, Code::Contradiction, message, remedy);
        }
    }
    if root.has("on_dead") {
        let message =
            "`on_dead` has no effect with ordering = \"none\": no event waits for another";
        root.problem("on_dead", Code::NoEffect, message, remedy);
    }
    if root.table("dedup").has("remember") {
        let message =
            "`dedup.remember` has no effect with ordering = \"none\": a record is of one event";
        root.table("dedup")
            .problem("remember", Code::NoEffect, message, remedy);
    }
}

/// What only commits can write, and whether the manifest asks for it.
fn commits(root: &Table<'_>, manifest: &Manifest) -> [(&'static str, bool); 2] {
    [
        ("state", root.has("state")),
        ("timers", !manifest.timers.is_empty()),
    ]
}

/// Without a commit nothing but one emission, which its derived id protects,
/// can be done once.
fn at_least_once(root: &Table<'_>, manifest: &Manifest) {
    if manifest.ordering == Ordering::Key {
        let message =
            "delivery = \"at-least-once\" needs ordering = \"none\": order is kept by commits";
        root.problem(
            "delivery",
            Code::Contradiction,
            message,
            "write ordering = \"none\", or remove delivery",
        );
        for (key, used) in commits(root, manifest) {
            if used {
                let message = format!(
                    "`{key}` and delivery = \"at-least-once\" contradict: it is written by commits"
                );
                root.problem(
                    key,
                    Code::Contradiction,
                    message,
                    "remove it, or remove delivery",
                );
            }
        }
    }
    if manifest.limits.emits > 1 {
        let message = "delivery = \"at-least-once\" allows one emission for each event";
        let remedy = "write limits.emits = 1, or remove delivery";
        root.table("limits")
            .problem("emits", Code::Contradiction, message, remedy);
    }
}

fn lifetimes(root: &Table<'_>, manifest: &Manifest) {
    let Some(ttl) = manifest.state.as_ref().and_then(|state| state.ttl) else {
        return;
    };
    let horizon = manifest.dedup.keep_for;
    if ttl < horizon {
        let message = format!(
            "`state.ttl` is {}, less than `dedup.for` ({}): they share a record",
            format_duration(ttl),
            format_duration(horizon)
        );
        root.table("state").problem(
            "ttl",
            Code::Contradiction,
            message,
            "raise state.ttl, or lower dedup.for",
        );
    }
}

fn delays(root: &Table<'_>, manifest: &Manifest) {
    let table = root.table("retry");
    let retry = &manifest.retry;
    if retry.initial > retry.cap {
        let (initial, cap) = (format_duration(retry.initial), format_duration(retry.cap));
        let message = format!("`retry.initial` is {initial}, more than `retry.cap` ({cap})");
        let key = if table.has("initial") {
            "initial"
        } else {
            "cap"
        };
        table.problem(
            key,
            Code::Contradiction,
            message,
            "make the first delay the shorter one",
        );
    }
    if table.has("cap") && retry.cap > retry.max_age {
        let (cap, age) = (format_duration(retry.cap), format_duration(retry.max_age));
        let message = format!("`retry.cap` is {cap}, more than `retry.max_age` ({age})");
        table.problem(
            "cap",
            Code::NoEffect,
            message,
            "lower retry.cap, or raise retry.max_age",
        );
    }
}

fn times(root: &Table<'_>, manifest: &Manifest) {
    let limits = &manifest.limits;
    let whole = format_duration(limits.time);
    if limits.cpu_time > limits.time {
        let message =
            format!("`limits.cpu_time` is more than `limits.time` ({whole}), which includes it");
        root.table("limits").problem(
            "cpu_time",
            Code::Contradiction,
            message,
            "lower it, or raise limits.time",
        );
    }
    for (name, need) in root.table("needs").named_tables() {
        let Some(policy) = manifest.needs.get(name.value) else {
            continue;
        };
        if policy.timeout >= limits.time {
            let (path, timeout) = (need.path_of("timeout"), format_duration(policy.timeout));
            let message = format!("`{path}` is {timeout}, not less than `limits.time` ({whole})");
            let remedy = "a call must end before its attempt does: lower it, or raise limits.time";
            need.problem("timeout", Code::Contradiction, message, remedy);
        }
    }
}

fn unused_limits(root: &Table<'_>, manifest: &Manifest) {
    let rules = [
        (
            "state_bytes",
            manifest.state.is_none(),
            "the handler keeps no state",
            "add [state]",
        ),
        (
            "emit_bytes",
            manifest.emits.is_empty(),
            "the handler emits nothing",
            "add [emits]",
        ),
        (
            "emits",
            manifest.emits.is_empty(),
            "the handler emits nothing",
            "add [emits]",
        ),
        (
            "request_bytes",
            manifest.needs.is_empty(),
            "the handler calls no need",
            "add [needs.N]",
        ),
        (
            "response_bytes",
            manifest.needs.is_empty(),
            "the handler calls no need",
            "add [needs.N]",
        ),
    ];
    let limits = root.table("limits");
    for (key, unused, reason, instead) in rules {
        if unused && limits.has(key) {
            let message = format!("`limits.{key}` has no effect: {reason}");
            limits.problem(
                key,
                Code::NoEffect,
                message,
                format!("remove it, or {instead}"),
            );
        }
    }
}

fn need_without_header(need: &Table<'_>) {
    if need.has("idempotency_ttl") && !need.has("idempotency_header") {
        let path = need.path_of("idempotency_ttl");
        let message = format!("`{path}` has no effect without `idempotency_header`");
        let remedy = "name the header that the need reads keys from, or remove it";
        need.problem("idempotency_ttl", Code::NoEffect, message, remedy);
    }
}

/// Settings and secrets are read through one function, by name.
fn settings(root: &Table<'_>) {
    let config = root.table("config");
    for (name, key) in config.named_tables() {
        if key.has("default") && key.flag("required") == Some(true) {
            let path = config.path_of(name.value);
            let message = format!("`{path}` is required and has a default, so it never is missing");
            key.problem(
                "required",
                Code::Contradiction,
                message,
                "remove one of the two",
            );
        }
    }
    for (name, _) in root.table("secrets").named() {
        if config.has(name.value) {
            let message = format!("`{}` stands in `config` and in `secrets`", name.value);
            let remedy = "give one of them another name; a handler asks for both by name";
            root.problem_at(&name.span, Code::Duplicate, message, remedy);
        }
    }
}
