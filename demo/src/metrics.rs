//! The Prometheus text format, read back: just enough to follow a host.

use std::collections::BTreeMap;

/// One scrape.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Samples(Vec<Sample>);

#[derive(Debug, Clone, PartialEq)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Samples {
    /// Reads what it understands and leaves out the rest.
    pub fn parse(text: &str) -> Self {
        Self(text.lines().filter_map(parse_line).collect())
    }

    /// The sum of a metric's samples that carry all of these labels.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.matching(name, labels).map(|sample| sample.value).sum()
    }

    /// The same for what counts whole things.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped first"
    )]
    pub fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.sum(name, labels).round().clamp(0.0, u64::MAX as f64) as u64
    }

    /// Whether the metric is there at all.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|sample| sample.name == name)
    }

    /// The values that a label takes on a metric, each once, in order.
    pub fn values(&self, name: &str, label: &str) -> Vec<String> {
        let mut values: Vec<String> = self
            .matching(name, &[])
            .filter_map(|sample| sample.labels.get(label))
            .cloned()
            .collect();
        values.sort_unstable();
        values.dedup();
        values
    }

    /// A histogram's cumulative buckets: upper bound and count, ascending,
    /// summed over all samples that carry these labels.
    pub fn histogram(&self, name: &str, labels: &[(&str, &str)]) -> Histogram {
        let mut buckets: Vec<(f64, f64)> = Vec::new();
        for sample in self.matching(&format!("{name}_bucket"), labels) {
            let Some(bound) = sample.labels.get("le").and_then(|le| parse_value(le)) else {
                continue;
            };
            match buckets
                .iter_mut()
                .find(|(known, _)| known.total_cmp(&bound).is_eq())
            {
                Some((_, count)) => *count += sample.value,
                None => buckets.push((bound, sample.value)),
            }
        }
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        Histogram(buckets)
    }

    fn matching(&self, name: &str, labels: &[(&str, &str)]) -> impl Iterator<Item = &Sample> {
        self.0.iter().filter(move |sample| {
            let carries = |(name, value): &(&str, &str)| {
                sample.labels.get(*name).is_some_and(|found| found == value)
            };
            sample.name == name && labels.iter().all(carries)
        })
    }
}

/// Cumulative buckets, ascending; the last bound is infinite.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Histogram(Vec<(f64, f64)>);

impl Histogram {
    /// What was observed since `before`, an earlier scrape of the same histogram.
    pub fn since(&self, before: &Self) -> Self {
        let earlier = |bound: f64| {
            before
                .0
                .iter()
                .find(|(known, _)| known.total_cmp(&bound).is_eq())
                .map_or(0.0, |b| b.1)
        };
        // A host that was started again counts from 0; that is not negative work.
        Self(
            self.0
                .iter()
                .map(|&(le, count)| (le, (count - earlier(le)).max(0.0)))
                .collect(),
        )
    }

    /// The value below which the share `q` lies, interpolated within its
    /// bucket. None without observations; above the last finite bound, that bound.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let total = self
            .0
            .last()
            .map(|last| last.1)
            .filter(|total| *total > 0.0)?;
        let rank = q * total;
        let mut below = (0.0, 0.0);
        for &(bound, count) in &self.0 {
            if count >= rank && count > below.1 {
                let within = (rank - below.1) / (count - below.1);
                let value = below.0 + (bound - below.0) * within;
                return Some(if bound.is_finite() { value } else { below.0 });
            }
            below = (bound, count);
        }
        Some(below.0)
    }
}

fn parse_line(line: &str) -> Option<Sample> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let Some((name, rest)) = line.split_once('{') else {
        let mut words = line.split_whitespace();
        let (name, value) = (words.next()?, words.next()?);
        let labels = BTreeMap::new();
        return Some(Sample {
            name: name.to_owned(),
            labels,
            value: parse_value(value)?,
        });
    };
    let (labels, rest) = parse_labels(rest)?;
    let value = parse_value(rest.split_whitespace().next()?)?;
    Some(Sample {
        name: name.trim().to_owned(),
        labels,
        value,
    })
}

/// `name="value",…}` and what follows it.
fn parse_labels(mut rest: &str) -> Option<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(after) = rest.strip_prefix('}') {
            return Some((labels, after));
        }
        let (name, quoted) = rest.split_once("=\"")?;
        let (value, after) = unquote(quoted)?;
        labels.insert(name.trim().to_owned(), value);
        rest = after;
    }
}

/// Up to the closing quote, escapes undone.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    None
}

fn parse_value(text: &str) -> Option<f64> {
    match text {
        "+Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        other => other.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
# HELP wharf_events_total Events by outcome.
# TYPE wharf_events_total counter
wharf_events_total{handler="order",outcome="ok"} 90
wharf_events_total{handler="order",outcome="duplicate"} 10 1700000000
wharf_events_total{outcome="ok",handler="a \"b\", c}"} 1e1
up 1
garbage{
wharf_event_duration_seconds_bucket{handler="order",le="0.1"} 50
wharf_event_duration_seconds_bucket{handler="order",le="0.3"} 90
wharf_event_duration_seconds_bucket{handler="order",le="+Inf"} 100
"#;

    #[test]
    fn sums_go_over_the_labels_that_are_not_asked_for() {
        let samples = Samples::parse(TEXT);
        assert_eq!(
            samples.count("wharf_events_total", &[("handler", "order")]),
            100
        );
        assert_eq!(
            samples.count("wharf_events_total", &[("outcome", "ok")]),
            100
        );
        assert_eq!(samples.count("up", &[]), 1);
        assert!(!samples.has("garbage"));
        assert_eq!(
            samples.values("wharf_events_total", "handler"),
            [r#"a "b", c}"#, "order"]
        );
    }

    #[test]
    fn quantiles_are_interpolated_and_never_infinite() {
        let histogram = Samples::parse(TEXT).histogram("wharf_event_duration_seconds", &[]);
        assert_eq!(histogram.quantile(0.5), Some(0.1));
        let p70 = histogram.quantile(0.7).unwrap();
        assert!((p70 - 0.2).abs() < 1e-9, "{p70}");
        assert_eq!(histogram.quantile(0.99), Some(0.3));
        assert_eq!(Histogram::default().quantile(0.5), None);
    }

    #[test]
    fn only_what_came_since_the_last_scrape_counts() {
        let now = Samples::parse(TEXT).histogram("wharf_event_duration_seconds", &[]);
        assert_eq!(now.since(&now).quantile(0.5), None);
        assert_eq!(now.since(&Histogram::default()), now);
    }
}
