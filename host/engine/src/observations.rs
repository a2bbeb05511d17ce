//! Metrics of guests, held to what the manifest declares.
//!
//! Nothing here depends on a metrics library: an attempt's observations are
//! values in its report, and the caller adds them to its registry.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use wharf_core::manifest::{LabelBound, Metric, MetricKind};

/// One value for one declared metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// The declared name.
    pub metric: String,
    /// To add to a counter, or to observe in a histogram. Finite; never
    /// negative for a counter.
    pub value: f64,
    /// Every declared label in order of name; empty text where the guest gave
    /// none, `other` where its value is beyond the bound.
    pub labels: Vec<(String, String)>,
}

/// What the guest asked for: the two functions of the interface `metrics`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Add,
    Observe,
}

/// Observations that one attempt may make; more are dropped and counted.
const OBSERVATIONS_MAX: usize = 1024;
/// A label value beyond this many bytes becomes `other`.
const LABEL_BYTES_MAX: usize = 128;
const OTHER: &str = "other";

/// Values seen of labels that declare only how many there may be. Shared by
/// all attempts of a component.
#[derive(Debug, Default)]
pub(crate) struct SeenLabels(Mutex<BTreeMap<String, BTreeSet<String>>>);

/// The observations of one attempt.
#[derive(Debug, Default)]
pub(crate) struct Observations {
    pub(crate) kept: Vec<Observation>,
    pub(crate) dropped: u64,
}

impl Observations {
    /// Takes what is declared and counts what is not.
    pub(crate) fn take(
        &mut self,
        declared: &BTreeMap<String, Metric>,
        seen: &SeenLabels,
        operation: Operation,
        name: String,
        value: f64,
        labels: Vec<(String, String)>,
    ) {
        let metric = declared
            .get(&name)
            .filter(|metric| fits(metric, operation, value));
        let Some(metric) = metric.filter(|_| self.kept.len() < OBSERVATIONS_MAX) else {
            self.dropped += 1;
            return;
        };
        let undeclared = labels
            .iter()
            .filter(|(label, _)| !metric.labels.contains_key(label));
        self.dropped += undeclared.count() as u64;
        let labels = metric
            .labels
            .iter()
            .map(|(label, bound)| {
                let given = labels.iter().find(|(given, _)| given == label);
                let value = given.map_or("", |(_, value)| value.as_str());
                (label.clone(), seen.bounded(&name, label, bound, value))
            })
            .collect();
        self.kept.push(Observation {
            metric: name,
            value,
            labels,
        });
    }
}

fn fits(metric: &Metric, operation: Operation, value: f64) -> bool {
    match (&metric.kind, operation) {
        (MetricKind::Counter, Operation::Add) => value.is_finite() && value >= 0.0,
        (MetricKind::Histogram { .. }, Operation::Observe) => value.is_finite(),
        (MetricKind::Counter, Operation::Observe)
        | (MetricKind::Histogram { .. }, Operation::Add) => false,
    }
}

impl SeenLabels {
    fn bounded(&self, metric: &str, label: &str, bound: &LabelBound, value: &str) -> String {
        let known = value.is_empty()
            || value.len() <= LABEL_BYTES_MAX
                && match bound {
                    LabelBound::Values(values) => values.iter().any(|known| known == value),
                    LabelBound::AtMost(max) => self.admits(metric, label, *max as usize, value),
                };
        if known {
            value.to_owned()
        } else {
            OTHER.to_owned()
        }
    }

    fn admits(&self, metric: &str, label: &str, max: usize, value: &str) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let values = seen.entry(format!("{metric}/{label}")).or_default();
        values.contains(value) || values.len() < max && values.insert(value.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared() -> BTreeMap<String, Metric> {
        let label = |name: &str, bound| (name.to_owned(), bound);
        let counter = Metric {
            kind: MetricKind::Counter,
            help: String::new(),
            labels: BTreeMap::from([
                label("kind", LabelBound::Values(vec!["a".into(), "b".into()])),
                label("place", LabelBound::AtMost(2)),
            ]),
        };
        let histogram = Metric {
            kind: MetricKind::Histogram { buckets: vec![1.0] },
            help: String::new(),
            labels: BTreeMap::new(),
        };
        BTreeMap::from([
            ("events_total".into(), counter),
            ("seconds".into(), histogram),
        ])
    }

    fn labels(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    fn add(out: &mut Observations, seen: &SeenLabels, value: f64, pairs: &[(&str, &str)]) {
        let name = "events_total".to_owned();
        out.take(
            &declared(),
            seen,
            Operation::Add,
            name,
            value,
            labels(pairs),
        );
    }

    #[test]
    fn label_values_beyond_the_declared_become_other_across_attempts() {
        let seen = SeenLabels::default();
        let mut places = Vec::new();
        for place in ["x", "y", "z", "x"] {
            let mut out = Observations::default();
            add(&mut out, &seen, 1.0, &[("kind", "c"), ("place", place)]);
            assert_eq!(
                out.kept[0].labels[0],
                ("kind".to_owned(), "other".to_owned())
            );
            places.push(out.kept[0].labels[1].1.clone());
        }
        assert_eq!(places, ["x", "y", "other", "x"]);
    }

    #[test]
    fn what_is_not_declared_or_not_a_number_is_dropped_and_counted() {
        let seen = SeenLabels::default();
        let mut out = Observations::default();
        for value in [-1.0, f64::NAN, f64::INFINITY] {
            add(&mut out, &seen, value, &[]);
        }
        let all = declared();
        out.take(
            &all,
            &seen,
            Operation::Add,
            "unknown".into(),
            1.0,
            Vec::new(),
        );
        out.take(
            &all,
            &seen,
            Operation::Add,
            "seconds".into(),
            1.0,
            Vec::new(),
        );
        assert!(out.kept.is_empty());
        assert_eq!(out.dropped, 5);
        out.take(
            &all,
            &seen,
            Operation::Observe,
            "seconds".into(),
            -1.0,
            labels(&[("x", "y")]),
        );
        assert_eq!(out.kept.len(), 1);
        assert_eq!(out.dropped, 6);
    }

    #[test]
    fn labels_that_the_guest_left_out_are_empty() {
        let mut out = Observations::default();
        add(&mut out, &SeenLabels::default(), 2.0, &[("kind", "a")]);
        assert_eq!(out.kept[0].labels, labels(&[("kind", "a"), ("place", "")]));
    }

    #[test]
    fn an_attempt_cannot_make_the_report_grow_without_end() {
        let mut out = Observations::default();
        let seen = SeenLabels::default();
        for _ in 0..OBSERVATIONS_MAX + 5 {
            add(&mut out, &seen, 1.0, &[]);
        }
        assert_eq!((out.kept.len(), out.dropped), (OBSERVATIONS_MAX, 5));
    }
}
