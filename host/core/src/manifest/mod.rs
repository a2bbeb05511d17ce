//! `handler.toml` as checked values: what belongs to a handler's code.
//!
//! `parse` reports every problem at once, each with line and remedy. Meaning,
//! units and defaults of every key stand in `docs/manifest.md`.

mod keys;
mod metrics;
mod outside;
mod policy;
mod rules;
mod start;
mod subscriptions;
mod types;

#[cfg(test)]
mod tests;

use crate::config::names::{LABEL, STREAM};
use crate::config::{self, Code, Located, Problem, Table};
use crate::record::TIMERS_MAX;

pub use keys::KEYS;
pub use types::{
    ConfigKey, Dedup, Delivery, Guard, InstancePolicy, LabelBound, Manifest, Metric, MetricKind,
    NeedPolicy, OnDead, OnUnknown, Ordering, RecordCalls, Retry, SecretKey, Start, StatePolicy,
    StatusSet, Subscription,
};

/// Most names that `headers` may list.
pub const HEADERS_MAX: usize = 32;

/// Reads a `handler.toml`. `file` is the name that problems carry.
///
/// # Errors
/// Every problem of the file, in order of position.
pub fn parse(file: &str, text: &str) -> Result<Manifest, Vec<Problem>> {
    read(file, text).map(|manifest| manifest.value)
}

/// Like [`parse`], with the place of every key, for checks across files.
///
/// # Errors
/// Every problem of the file, in order of position.
pub fn read(file: &str, text: &str) -> Result<Located<Manifest>, Vec<Problem>> {
    config::read(file, text, KEYS, |root| {
        let manifest = build(root);
        rules::check(root, &manifest);
        manifest
    })
}

/// Prefix of event types that the host itself makes.
pub(crate) const RESERVED_TYPE: &str = "wharf.";

fn build(root: &Table<'_>) -> Manifest {
    root.require(
        "name",
        "write name = \"…\"; state and dedup belong to it, so it stays for ever",
    );
    root.require(
        "stream",
        "write stream = \"…\", the stream that holds the handler's events",
    );
    let on = subscriptions::read(root);
    let keyed = on.iter().any(|subscription| subscription.key.is_some());
    let ordering = ordering(root).unwrap_or(if keyed { Ordering::Key } else { Ordering::None });
    let delivery = delivery(root).unwrap_or(Delivery::EffectOnce);
    let limits = policy::limits(&root.table("limits"), delivery);
    Manifest {
        name: owned(root.name("name", &LABEL)),
        description: owned(root.text("description", 0..=1024)),
        stream: stream(root),
        start: start::read(root).unwrap_or(Start::New),
        ordering,
        on_dead: on_dead(root).unwrap_or(OnDead::Block),
        delivery,
        instance: instance(root).unwrap_or(InstancePolicy::Fresh),
        max_in_flight: root.count("max_in_flight", 1..=10_000).unwrap_or(256),
        timers: timers(root),
        headers: headers(root),
        on,
        emits: subscriptions::emits(&root.table("emits")),
        state: root
            .has("state")
            .then(|| policy::state(&root.table("state"))),
        dedup: policy::dedup(&root.table("dedup"), ordering),
        retry: policy::retry(&root.table("retry")),
        guard: policy::guard(&root.table("guard")),
        limits,
        needs: outside::needs(&root.table("needs")),
        metrics: metrics::read(&root.table("metrics")),
        config: outside::config(&root.table("config")),
        secrets: outside::secrets(&root.table("secrets")),
    }
}

fn ordering(root: &Table<'_>) -> Option<Ordering> {
    root.choice(
        "ordering",
        &[("key", Ordering::Key), ("none", Ordering::None)],
    )
}

fn on_dead(root: &Table<'_>) -> Option<OnDead> {
    root.choice(
        "on_dead",
        &[("block", OnDead::Block), ("continue", OnDead::Continue)],
    )
}

fn delivery(root: &Table<'_>) -> Option<Delivery> {
    let options = [
        ("effect-once", Delivery::EffectOnce),
        ("at-least-once", Delivery::AtLeastOnce),
    ];
    root.choice("delivery", &options)
}

fn instance(root: &Table<'_>) -> Option<InstancePolicy> {
    root.choice(
        "instance",
        &[
            ("fresh", InstancePolicy::Fresh),
            ("reuse", InstancePolicy::Reuse),
        ],
    )
}

fn stream(root: &Table<'_>) -> String {
    let stream = root.name("stream", &STREAM);
    if stream.is_some_and(is_host_stream) {
        let message = "`stream` names a stream that the host keeps for itself";
        root.problem(
            "stream",
            Code::ReservedName,
            message,
            "name the stream that holds the events",
        );
    }
    owned(stream)
}

/// Streams of ledgers, timers, buckets and objects.
pub(crate) fn is_host_stream(name: &str) -> bool {
    ["WHARF", "KV_", "OBJ_"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

fn timers(root: &Table<'_>) -> Vec<String> {
    let names = root
        .names("timers", 0..=TIMERS_MAX, &LABEL)
        .unwrap_or_default();
    names
        .into_iter()
        .map(|item| item.value.to_owned())
        .collect()
}

/// Lower-case names, once each.
fn headers(root: &Table<'_>) -> Vec<String> {
    let items = root
        .names("headers", 0..=HEADERS_MAX, &config::names::HEADER)
        .unwrap_or_default();
    let mut headers: Vec<String> = Vec::with_capacity(items.len());
    for item in items {
        let name = item.value.to_ascii_lowercase();
        if config::names::is_wire_header(&name) {
            let message = format!("`{name}` in `headers` is read by the host");
            let remedy = "remove it: attributes and trace context reach the handler anyway";
            root.problem_at(&item.span, Code::NoEffect, message, remedy);
        } else if headers.contains(&name) {
            let message = format!("`{name}` stands twice in `headers`, apart from case");
            root.problem_at(
                &item.span,
                Code::Duplicate,
                message,
                "remove one of the two",
            );
        }
        headers.push(name);
    }
    headers
}

fn owned(text: Option<&str>) -> String {
    text.unwrap_or_default().to_owned()
}
