//! `[metrics.M]`: what a handler counts and measures.

use std::collections::BTreeMap;

use toml::de::DeValue;

use super::outside::named;
use super::{LabelBound, Metric, MetricKind};
use crate::config::names::METRIC;
use crate::config::{Code, Item, Table, number_value};

const METRICS_MAX: usize = 64;
const LABELS_MAX: usize = 8;
/// Series of one metric, `other` of each label included.
const SERIES_MAX: u64 = 10_000;

pub(super) fn read(table: &Table<'_>) -> BTreeMap<String, Metric> {
    for (name, _) in table.named() {
        if name.value.starts_with("wharf_") {
            let message = format!(
                "`{}` begins like the host's own metrics",
                table.path_of(name.value)
            );
            table.problem_at(
                &name.span,
                Code::ReservedName,
                message,
                "give it another prefix",
            );
        }
    }
    named(table, METRICS_MAX, &METRIC, metric)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Histogram,
}

fn metric(table: &Table<'_>) -> Metric {
    table.require("kind", "write kind = \"counter\" or kind = \"histogram\"");
    table.require(
        "help",
        "write help = \"…\", one line that says what it counts, and its unit",
    );
    let kind = table.choice(
        "kind",
        &[("counter", Kind::Counter), ("histogram", Kind::Histogram)],
    );
    let buckets = buckets(table);
    if kind == Some(Kind::Histogram) {
        table.require(
            "buckets",
            "write buckets = [0.1, 0.3, 1, 3], the upper bounds in the unit of its name",
        );
    }
    if kind == Some(Kind::Counter) && table.has("buckets") {
        let message = format!(
            "`{}` has no effect: a counter has no buckets",
            table.path_of("buckets")
        );
        table.problem(
            "buckets",
            Code::NoEffect,
            message,
            "remove it, or write kind = \"histogram\"",
        );
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
                table.problem_at(
                    &item.span(),
                    Code::BadValue,
                    message,
                    "sort the bounds, each once",
                );
            }
            None => {
                let message = format!(
                    "`{}` has an element that is no number",
                    table.path_of("buckets")
                );
                table.problem_at(
                    &item.span(),
                    Code::WrongType,
                    message,
                    "write finite numbers, without quotes",
                );
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
            table.problem_at(
                &name.span,
                Code::ReservedName,
                message,
                "give it another name",
            );
        }
        if let Some(bound) = label(table, &name, value.get_ref()) {
            series = series.saturating_mul(1 + label_values(&bound));
            labels.insert(name.value.to_owned(), bound);
        }
    }
    if series > SERIES_MAX {
        let message = format!("the labels of `{}` make {series} series", table.path());
        table.problem_here(
            Code::OutOfBounds,
            message,
            format!("at most {SERIES_MAX} are allowed; list fewer values"),
        );
    }
    labels
}

fn label(table: &Table<'_>, name: &Item<&str>, value: &DeValue<'_>) -> Option<LabelBound> {
    if value.is_integer() {
        return table.count(name.value, 1..=1000).map(LabelBound::AtMost);
    }
    let values = table.texts(name.value, 1..=256)?;
    Some(LabelBound::Values(
        values
            .into_iter()
            .map(|item| item.value.to_owned())
            .collect(),
    ))
}

fn label_values(bound: &LabelBound) -> u64 {
    match bound {
        LabelBound::Values(values) => values.len() as u64,
        LabelBound::AtMost(count) => u64::from(*count),
    }
}
