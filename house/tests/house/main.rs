//! The rules of the house, as tests.
//!
//! Each module holds one rule as a pure function from what it looks at to the
//! violations it found, with a small fixture that shows it failing; `checkout`
//! applies all of them to this checkout. Whatever a compiler or
//! clippy can check is left to them.

mod checkout;
mod codes;
mod dependencies;
mod documents;
mod interleavings;
mod leftovers;
mod members;
mod purity;
mod quotes;
mod sizes;
mod source;
mod tree;

use std::fmt;

/// One place where a rule does not hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Violation {
    /// A path of the checkout, with a line where one is known; or a package.
    place: String,
    /// What is wrong and what would put it right.
    problem: String,
}

impl Violation {
    /// A violation at `place`.
    fn new(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            problem: problem.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

/// Fails the calling test with every violation, one a line.
///
/// # Panics
/// When there is a violation.
#[track_caller]
fn assert_none(violations: &[Violation]) {
    let lines: Vec<String> = violations.iter().map(Violation::to_string).collect();
    assert!(
        lines.is_empty(),
        "{} violation(s):\n  {}",
        lines.len(),
        lines.join("\n  ")
    );
}
