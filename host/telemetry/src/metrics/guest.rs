//! Metrics that handlers declare, under the names that they declare.
//!
//! The exposition appends `_total` to every counter. A counter declared with
//! that ending is a family of the name before it; one without is exposed with
//! the type `unknown`, which is the only type whose samples keep such a name.
//! The engine has bounded names, labels and values already; what comes here
//! otherwise is dropped.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::histogram::Histogram;
use wharf_core::manifest::{Metric, MetricKind};

use super::catalog::PREFIXES;
use crate::Error;

/// Series of one metric of one handler; a version that goes on where another
/// left off brings its own label values.
pub(super) const SERIES_MAX: usize = 10_000;

/// Whether an observation was one.
pub(super) enum Taken {
    Counted,
    Dropped,
}

/// What all handlers of the host declare, by name.
#[derive(Debug, Default)]
pub(super) struct Guest(Mutex<BTreeMap<String, Declared>>);

#[derive(Debug, Clone)]
struct Declared {
    metric: Metric,
    by_handler: BTreeMap<String, Arc<Series>>,
}

/// One metric of one handler.
#[derive(Debug)]
pub(super) struct Series {
    metric: Metric,
    values: Mutex<BTreeMap<Vec<(String, String)>, Value>>,
}

#[derive(Debug)]
enum Value {
    Sum(f64),
    Histogram(Histogram),
}

impl Guest {
    /// Replaces what `handler` declared before, or changes nothing.
    pub(super) fn declare(
        &self,
        handler: &str,
        metrics: &BTreeMap<String, Metric>,
    ) -> Result<BTreeMap<String, Arc<Series>>, Error> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = without(&all, handler);
        let mut series = BTreeMap::new();
        for (name, metric) in metrics {
            check(&next, name, metric)?;
            let before = all
                .get(name)
                .and_then(|declared| declared.by_handler.get(handler));
            let kept = before
                .filter(|before| same_shape(&before.metric, metric))
                .cloned();
            let own = kept.unwrap_or_else(|| Arc::new(Series::new(metric.clone())));
            let new = || Declared {
                metric: metric.clone(),
                by_handler: BTreeMap::new(),
            };
            let declared = next.entry(name.clone()).or_insert_with(new);
            declared
                .by_handler
                .insert(handler.to_owned(), Arc::clone(&own));
            series.insert(name.clone(), own);
        }
        *all = next;
        Ok(series)
    }
}

fn without(all: &BTreeMap<String, Declared>, handler: &str) -> BTreeMap<String, Declared> {
    let mut others = all.clone();
    others.retain(|_, declared| {
        declared.by_handler.remove(handler);
        !declared.by_handler.is_empty()
    });
    others
}

fn check(all: &BTreeMap<String, Declared>, name: &str, metric: &Metric) -> Result<(), Error> {
    if PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
        return Err(Error::MetricReserved {
            metric: name.to_owned(),
        });
    }
    let exposed = exposed(name, &metric.kind);
    for (other, declared) in all {
        if other == name && !same_shape(&declared.metric, metric) {
            let handlers: Vec<&str> = declared.by_handler.keys().map(String::as_str).collect();
            return Err(Error::MetricShape {
                metric: name.to_owned(),
                other: handlers.join(", "),
            });
        }
        let others = self::exposed(other, &declared.metric.kind);
        if other != name
            && let Some(both) = exposed.iter().find(|name| others.contains(name))
        {
            let (metric, other) = (name.to_owned(), other.clone());
            return Err(Error::MetricOverlap {
                metric,
                other,
                exposed: both.clone(),
            });
        }
    }
    Ok(())
}

/// What label values are allowed may differ, and the words of the help.
fn same_shape(a: &Metric, b: &Metric) -> bool {
    a.kind == b.kind && a.labels.keys().eq(b.labels.keys())
}

/// The family and every name that its samples have or may have.
fn exposed(name: &str, kind: &MetricKind) -> Vec<String> {
    let family = family(name, kind);
    let suffixes: &[&str] = match kind {
        MetricKind::Counter if family == name => &[""],
        MetricKind::Counter => &["", "_total", "_created"],
        MetricKind::Histogram { .. } => &["", "_bucket", "_sum", "_count", "_created"],
    };
    suffixes
        .iter()
        .map(|suffix| format!("{family}{suffix}"))
        .collect()
}

fn family<'n>(name: &'n str, kind: &MetricKind) -> &'n str {
    match kind {
        MetricKind::Counter => name
            .strip_suffix("_total")
            .filter(|family| !family.is_empty())
            .unwrap_or(name),
        MetricKind::Histogram { .. } => name,
    }
}

impl Series {
    fn new(metric: Metric) -> Self {
        Self {
            metric,
            values: Mutex::default(),
        }
    }

    /// See [`HandlerMetrics::observe`](super::HandlerMetrics::observe).
    pub(super) fn observe(&self, value: f64, labels: &[(String, String)]) -> Taken {
        let declared = self
            .metric
            .labels
            .keys()
            .eq(labels.iter().map(|(name, _)| name));
        let fits = match self.metric.kind {
            MetricKind::Counter => value.is_finite() && value >= 0.0,
            MetricKind::Histogram { .. } => value.is_finite(),
        };
        if !declared || !fits {
            return Taken::Dropped;
        }
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = values.get_mut(labels) {
            known.take(value);
            return Taken::Counted;
        }
        if values.len() >= SERIES_MAX {
            return Taken::Dropped;
        }
        let mut new = Value::new(&self.metric.kind);
        new.take(value);
        values.insert(labels.to_vec(), new);
        Taken::Counted
    }

    fn encode(
        &self,
        handler: &str,
        type_: MetricType,
        encoder: &mut MetricEncoder<'_>,
    ) -> std::fmt::Result {
        let values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        for (labels, value) in values.iter() {
            let labels = ([("handler", handler)], labels.as_slice());
            value.encode(type_, encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

impl Value {
    fn new(kind: &MetricKind) -> Self {
        match kind {
            MetricKind::Counter => Self::Sum(0.0),
            MetricKind::Histogram { buckets } => {
                Self::Histogram(Histogram::new(buckets.iter().copied()))
            }
        }
    }

    fn take(&mut self, value: f64) {
        match self {
            Self::Sum(sum) => *sum += value,
            Self::Histogram(histogram) => histogram.observe(value),
        }
    }

    fn encode(&self, type_: MetricType, mut encoder: MetricEncoder<'_>) -> std::fmt::Result {
        match (self, type_) {
            (Self::Histogram(histogram), _) => histogram.encode(encoder),
            (Self::Sum(sum), MetricType::Counter) => {
                encoder.encode_counter::<NoLabelSet, _, f64>(sum, None)
            }
            // A sample without a suffix, which is all that a gauge's is.
            (Self::Sum(sum), _) => encoder.encode_gauge(sum),
        }
    }
}

impl Collector for Guest {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, declared) in all.iter() {
            let kind = &declared.metric.kind;
            let family = family(name, kind);
            let type_ = match kind {
                MetricKind::Histogram { .. } => MetricType::Histogram,
                MetricKind::Counter if family == name => MetricType::Unknown,
                MetricKind::Counter => MetricType::Counter,
            };
            let help = escaped(&declared.metric.help);
            let mut metric = encoder.encode_descriptor(family, &help, None, type_)?;
            for (handler, series) in &declared.by_handler {
                series.encode(handler, type_, &mut metric)?;
            }
        }
        Ok(())
    }
}

/// The encoder escapes label values, not help.
fn escaped(help: &str) -> String {
    help.replace('\\', r"\\")
        .replace('"', r#"\""#)
        .replace('\n', r"\n")
}
