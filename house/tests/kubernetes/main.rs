//! What `k8s/` holds, against what a cluster and a host expect of it. No
//! cluster is asked: the API server's own schemas are kept in the checkout.
//!
//! Each module is a pure function from texts to problems, with fixtures that show
//! it failing; `checkout` applies them to this checkout.

mod broken;
mod checkout;
mod layer;
mod pods;
mod relations;
mod schema;
mod yaml;

use std::fmt;

/// Something that a cluster would refuse, or that would break in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file with a line; and within it the document and the path, where known.
    place: String,
    what: String,
}

impl Problem {
    fn new(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            what: what.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}
