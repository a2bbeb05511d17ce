//! Reading configuration files so that every problem comes out at once.
//!
//! A file is parsed with recovery, then read key by key. Each reader returns
//! the checked value or reports a [`Problem`] with line, column and remedy, and
//! goes on. Which keys exist stands in one list for each file; a key outside the
//! list is reported, and a reader that asks for one outside it panics in tests.

mod located;
pub(crate) mod names;
mod problem;
mod report;
mod shape;
mod similar;
pub(crate) mod subjects;
mod table;
pub mod units;
mod values;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::cell::RefCell;

use toml::de::DeTable;

pub use located::{Located, Mark};
pub use problem::{Code, Problem, Severity};
pub(crate) use report::{Report, Span};
pub(crate) use table::{Item, Table};
pub(crate) use values::{integer_value, number_value};

/// Largest file that is read, in bytes.
pub const FILE_BYTES_MAX: usize = 1 << 20;

/// Reads a file with `build`, which sees the root table.
///
/// # Errors
/// Every problem found, in order of position.
pub(crate) fn read<T>(
    file: &str,
    text: &str,
    keys: &'static [&'static str],
    build: impl FnOnce(&Table<'_>) -> T,
) -> Result<Located<T>, Vec<Problem>> {
    let report = Report::new(file, text);
    if text.len() > FILE_BYTES_MAX {
        let message = format!(
            "the file has {} bytes; at most {FILE_BYTES_MAX} are read",
            text.len()
        );
        report.add(
            &(0..0),
            Code::OutOfBounds,
            message,
            "split it, or shorten it",
        );
        return Err(report.into_problems());
    }
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        report.add(
            &span,
            Code::Syntax,
            error.message(),
            "see https://toml.io for the file's syntax",
        );
    }
    let root = Table::root(&report, keys, document.get_ref());
    let value = build(&root);
    let places = located::places(&report, document.get_ref());
    let problems = report.into_problems();
    if problems.is_empty() {
        Ok(Located {
            file: file.to_owned(),
            value,
            places,
        })
    } else {
        Err(problems)
    }
}

/// Problems so far; readers hold it behind a shared reference.
type Sink = RefCell<Vec<Problem>>;
