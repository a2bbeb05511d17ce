//! Metrics that the manifest declares. Get one from
//! [`metric!`](crate::metric!), which checks its name and labels.

type Labels = Vec<(&'static str, String)>;

/// A number that only grows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counter {
    name: &'static str,
    labels: Labels,
}

impl Counter {
    #[doc(hidden)]
    pub fn __checked(name: &'static str, labels: Labels) -> Self {
        Self { name, labels }
    }

    /// Adds to it. Negative and non-finite values are dropped and counted.
    pub fn add(self, value: f64) {
        crate::host::add(self.name, value, &owned(self.labels));
    }
}

/// A distribution; its buckets are in the manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    name: &'static str,
    labels: Labels,
}

impl Histogram {
    #[doc(hidden)]
    pub fn __checked(name: &'static str, labels: Labels) -> Self {
        Self { name, labels }
    }

    /// Observes a value, in the unit of the metric's name.
    pub fn observe(self, value: f64) {
        crate::host::observe(self.name, value, &owned(self.labels));
    }
}

fn owned(labels: Labels) -> Vec<(String, String)> {
    labels
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}
