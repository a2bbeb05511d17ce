//! What was measured: rows of samples, ratios of pairs, and whether the stated
//! bounds hold.

use std::fmt;

use serde::Serialize;

/// Everything that one run of the yardstick says.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    pub rows: Vec<Row>,
    pub checks: Vec<Check>,
}

/// One thing, measured several times.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    pub group: &'static str,
    pub name: String,
    pub unit: &'static str,
    pub samples: Vec<f64>,
    /// Of the samples.
    pub median: f64,
    /// Against another row whose samples were taken in turn with these.
    pub ratio: Option<Ratio>,
    /// What else is worth knowing, where it was seen: a name, and the median.
    pub details: Vec<(&'static str, f64)>,
}

/// Sample by sample against another row.
#[derive(Debug, Clone, Serialize)]
pub struct Ratio {
    pub against: String,
    pub pairs: Vec<f64>,
    /// Of the pairs' ratios.
    pub median: f64,
}

/// A bound that the project states.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    pub what: String,
    pub bound: Bound,
    /// None: it was not measured.
    pub value: Option<f64>,
    pub holds: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Row {
    pub fn new(
        group: &'static str,
        name: impl Into<String>,
        unit: &'static str,
        samples: Vec<f64>,
    ) -> Self {
        Self {
            group,
            name: name.into(),
            unit,
            median: median(&samples),
            samples,
            ratio: None,
            details: Vec::new(),
        }
    }

    /// With the ratio of each sample to the other row's of the same turn.
    #[must_use]
    pub fn against(mut self, other: &Self) -> Self {
        let pairs = self.samples.iter().zip(&other.samples);
        let pairs: Vec<f64> = pairs.map(|(ours, theirs)| ours / theirs).collect();
        self.ratio = Some(Ratio {
            against: other.name.clone(),
            median: median(&pairs),
            pairs,
        });
        self
    }

    #[must_use]
    pub fn detail(mut self, name: &'static str, samples: &[f64]) -> Self {
        if !samples.is_empty() {
            self.details.push((name, median(samples)));
        }
        self
    }

    /// The median ratio to the row that it is compared with.
    pub fn median_ratio(&self) -> Option<f64> {
        self.ratio.as_ref().map(|ratio| ratio.median)
    }
}

impl Check {
    pub fn new(what: impl Into<String>, bound: Bound, value: Option<f64>) -> Self {
        Self {
            what: what.into(),
            bound,
            value,
            holds: value.is_some_and(|value| match bound {
                Bound::AtLeast(least) => value >= least,
                Bound::AtMost(most) => value <= most,
            }),
        }
    }
}

impl Report {
    /// Whether every bound of the rows that ran holds; a row without a ratio does not.
    pub fn holds(&self) -> bool {
        self.checks.iter().all(|check| check.holds)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut group = "";
        for row in &self.rows {
            if row.group != group {
                group = row.group;
                writeln!(out, "\n{group}")?;
            }
            writeln!(out, "{row}")?;
        }
        writeln!(out, "\nbounds")?;
        for check in &self.checks {
            writeln!(out, "{check}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Row {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name, unit, median, ..
        } = self;
        let least = self.samples.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.samples.iter().copied().fold(0.0, f64::max);
        let digits = if *median < 100.0 { 2 } else { 0 };
        write!(out, "  {name:<44} {median:>9.digits$} {unit:<10}")?;
        write!(out, " [{least:.digits$} .. {most:.digits$}]")?;
        if let Some(ratio) = &self.ratio {
            write!(out, "  {:.2} x {}", ratio.median, ratio.against)?;
        }
        for (name, value) in &self.details {
            write!(out, "  {name} {value:.1}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Check {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.holds { "holds" } else { "BROKEN" };
        let (sense, bound) = match self.bound {
            Bound::AtLeast(least) => ("at least", least),
            Bound::AtMost(most) => ("at most", most),
        };
        let value = self
            .value
            .map_or("not measured".to_owned(), |value| format!("{value:.2}"));
        write!(
            out,
            "  {verdict:<7} {:<50} {value:>12}  ({sense} {bound})",
            self.what
        )
    }
}

/// The middle one; of an even number, the mean of the middle two; 0 of none.
pub fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    match (sorted.len(), sorted.len() / 2) {
        (0, _) => 0.0,
        (count, middle) if count % 2 == 1 => sorted[middle],
        (_, middle) => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
    }

    #[test]
    fn a_ratio_is_the_median_of_pairs_and_not_of_medians() {
        let twin = Row::new("g", "twin", "events/s", vec![100.0, 10.0, 100.0]);
        let ours = Row::new("g", "ours", "events/s", vec![50.0, 6.0, 40.0]).against(&twin);
        is(ours.median_ratio().expect("compared"), 0.5);
        is(ours.median, 40.0);
    }

    #[test]
    fn what_was_not_measured_does_not_hold() {
        assert!(!Check::new("x", Bound::AtLeast(0.4), None).holds);
        assert!(Check::new("x", Bound::AtLeast(0.4), Some(0.4)).holds);
        assert!(!Check::new("x", Bound::AtMost(1.25), Some(1.26)).holds);
    }

    #[test]
    fn medians_of_none_one_and_two() {
        is(median(&[]), 0.0);
        is(median(&[3.0]), 3.0);
        is(median(&[1.0, 2.0]), 1.5);
    }
}
