//! What a handler has to do with the world: needs, metrics, settings, secrets.

use std::collections::BTreeMap;
use std::time::Duration;

use toml::de::DeValue;

use super::{
    ConfigKey, LabelBound, Metric, MetricKind, NeedPolicy, OnUnknown, RecordCalls, SecretKey, StatusSet,
};
use crate::config::names::{self, Form, HEADER, LABEL, METRIC, SETTING};
use crate::config::{Code, Item, Table, integer_value, number_value};

const NEEDS_MAX: usize = 32;
const METRICS_MAX: usize = 64;
const SETTINGS_MAX: usize = 128;
const LABELS_MAX: usize = 8;
/// Series of one metric, `other` of each label included.
const SERIES_MAX: u64 = 10_000;

pub(super) fn needs(table: &Table<'_>) -> BTreeMap<String, NeedPolicy> {
    named(table, NEEDS_MAX, &LABEL, need)
}

pub(super) fn metrics(table: &Table<'_>) -> BTreeMap<String, Metric> {
    named(table, METRICS_MAX, &METRIC, metric)
}

pub(super) fn config(table: &Table<'_>) -> BTreeMap<String, ConfigKey> {
    named(table, SETTINGS_MAX, &SETTING, |key| ConfigKey {
        default: key.text("default", 0..=4096).map(str::to_owned),
        required: key.flag("required").unwrap_or(false),
    })
}

pub(super) fn secrets(table: &Table<'_>) -> BTreeMap<String, SecretKey> {
    named(table, SETTINGS_MAX, &SETTING, |key| SecretKey {
        required: key.flag("required").unwrap_or(true),
    })
}

/// Reads tables under names that the author chose.
fn named<T>(table: &Table<'_>, max: usize, form: &Form, read: impl Fn(&Table<'_>) -> T) -> BTreeMap<String, T> {
    table.at_most(max);
    let mut all = BTreeMap::new();
    for (name, inner) in table.named_tables() {
        table.name_fits(&name, form);
        all.insert(name.value.to_owned(), read(&inner));
    }
    all
}

fn need(table: &Table<'_>) -> NeedPolicy {
    let header = idempotency_header(table);
    let on_unknown = table.choice("on_unknown", &[("retry", OnUnknown::Retry), ("park", OnUnknown::Park)]);
    // Sending again is safe only where the need can tell the second from the first.
    let by_default = if header.is_some() { OnUnknown::Retry } else { OnUnknown::Park };
    let timeout = Duration::from_millis(1)..=Duration::from_hours(1);
    let ttl = Duration::from_secs(1)..=Duration::from_hours(24 * 365);
    NeedPolicy {
        timeout: table.duration("timeout", timeout).unwrap_or(Duration::from_secs(5)),
        required: table.flag("required").unwrap_or(true),
        failure_status: failure_status(table).unwrap_or_default(),
        idempotency_header: header,
        idempotency_ttl: table.duration("idempotency_ttl", ttl).unwrap_or(Duration::from_hours(24)),
        on_unknown: on_unknown.unwrap_or(by_default),
        record_calls: record_calls(table).unwrap_or(RecordCalls::Shadow),
    }
}

fn record_calls(table: &Table<'_>) -> Option<RecordCalls> {
    let options = [("off", RecordCalls::Off), ("shadow", RecordCalls::Shadow), ("all", RecordCalls::All)];
    let chosen = table.choice("record_calls", &options)?;
    let message = format!("`{}` does nothing yet: no call is recorded", table.path_of("record_calls"));
    table.problem("record_calls", Code::NotBuiltYet, message, "remove the key");
    Some(chosen)
}

fn idempotency_header(table: &Table<'_>) -> Option<String> {
    let name = table.name("idempotency_header", &HEADER)?.to_ascii_lowercase();
    if names::is_request_header(&name) {
        let message = format!("`{name}` is a header that the host sets itself");
        table.problem("idempotency_header", Code::ReservedName, message, "name the header that the need reads keys from");
    }
    Some(name)
}

fn failure_status(table: &Table<'_>) -> Option<StatusSet> {
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    for item in table.list("failure_status", 0..=64)? {
        let Some((from, to)) = status_range(item.get_ref()) else {
            let message = format!("an element of `{}` is no failure", table.path_of("failure_status"));
            let remedy = "write statuses from 300 to 599 such as \"429\", or a class: \"3xx\", \"4xx\", \"5xx\"";
            table.problem_at(&item.span(), Code::BadValue, message, remedy);
            continue;
        };
        if ranges.iter().any(|range| from <= range.1 && range.0 <= to) {
            let message = format!("`{}` names a status twice", table.path_of("failure_status"));
            table.problem_at(&item.span(), Code::Duplicate, message, "remove what another element covers");
        }
        ranges.push((from, to));
    }
    ranges.sort_unstable();
    Some(StatusSet(ranges))
}

/// Informational and successful answers cannot be failures.
fn status_range(value: &DeValue<'_>) -> Option<(u16, u16)> {
    let status = match value {
        DeValue::String(text) => match text.as_ref() {
            "3xx" => return Some((300, 399)),
            "4xx" => return Some((400, 499)),
            "5xx" => return Some((500, 599)),
            digits => digits.parse().ok()?,
        },
        DeValue::Integer(integer) => u16::try_from(integer_value(integer)).ok()?,
        DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => return None,
    };
    (300..=599).contains(&status).then_some((status, status))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Histogram,
}

fn metric(table: &Table<'_>) -> Metric {
    table.require("kind", "write kind = \"counter\" or kind = \"histogram\"");
    table.require("help", "write help = \"…\", one line that says what it counts, and its unit");
    let kind = table.choice("kind", &[("counter", Kind::Counter), ("histogram", Kind::Histogram)]);
    let buckets = buckets(table);
    if kind == Some(Kind::Histogram) {
        table.require("buckets", "write buckets = [0.1, 0.3, 1, 3], the upper bounds in the unit of its name");
    }
    if kind == Some(Kind::Counter) && table.has("buckets") {
        let message = format!("`{}` has no effect: a counter has no buckets", table.path_of("buckets"));
        table.problem("buckets", Code::NoEffect, message, "remove it, or write kind = \"histogram\"");
    }
    Metric {
        kind: match kind {
            Some(Kind::Histogram) => MetricKind::Histogram { buckets },
            Some(Kind::Counter) | None => MetricKind::Counter,
        },
        help: table.text("help", 1..=512).unwrap_or_default().to_owned(),
        labels: labels(&table.table("labels")),
    }
}

fn buckets(table: &Table<'_>) -> Vec<f64> {
    let mut buckets: Vec<f64> = Vec::new();
    for item in table.list("buckets", 1..=64).unwrap_or_default() {
        match number_value(item.get_ref()).filter(|bound| bound.is_finite()) {
            Some(bound) if buckets.last().is_none_or(|last| *last < bound) => buckets.push(bound),
            Some(bound) => {
                let message = format!("`{}` does not ascend at {bound}", table.path_of("buckets"));
                table.problem_at(&item.span(), Code::BadValue, message, "sort the bounds, each once");
            }
            None => {
                let message = format!("`{}` has an element that is no number", table.path_of("buckets"));
                table.problem_at(&item.span(), Code::WrongType, message, "write finite numbers, without quotes");
            }
        }
    }
    buckets
}

fn labels(table: &Table<'_>) -> BTreeMap<String, LabelBound> {
    table.at_most(LABELS_MAX);
    let mut labels = BTreeMap::new();
    let mut series: u64 = 1;
    for (name, value) in table.named() {
        if table.name_fits(&name, &METRIC) && ["handler", "le"].contains(&name.value) {
            let message = format!("the label `{}` is set by the host", name.value);
            table.problem_at(&name.span, Code::ReservedName, message, "give it another name");
        }
        if let Some(bound) = label(table, &name, value.get_ref()) {
            series = series.saturating_mul(1 + label_values(&bound));
            labels.insert(name.value.to_owned(), bound);
        }
    }
    if series > SERIES_MAX {
        let message = format!("the labels of `{}` make {series} series", table.path());
        table.problem_here(Code::OutOfBounds, message, format!("at most {SERIES_MAX} are allowed; list fewer values"));
    }
    labels
}

fn label(table: &Table<'_>, name: &Item<&str>, value: &DeValue<'_>) -> Option<LabelBound> {
    if value.is_integer() {
        return table.count(name.value, 1..=1000).map(LabelBound::AtMost);
    }
    let values = table.texts(name.value, 1..=256)?;
    Some(LabelBound::Values(values.into_iter().map(|item| item.value.to_owned()).collect()))
}

fn label_values(bound: &LabelBound) -> u64 {
    match bound {
        LabelBound::Values(values) => values.len() as u64,
        LabelBound::AtMost(count) => u64::from(*count),
    }
}
