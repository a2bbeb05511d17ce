//! A checked value that still knows where in its file each key was.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

use super::{Code, Problem, Report};

/// A value read from a file, with the place of every key that the file sets.
#[derive(Debug, Clone, PartialEq)]
pub struct Located<T> {
    pub file: String,
    pub value: T,
    pub(super) places: BTreeMap<Vec<String>, Mark>,
}

/// A place in a file, from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    pub line: u32,
    pub column: u32,
}

impl<T> Located<T> {
    /// Where a key is, such as `["needs", "gateway", "timeout"]`; elements of
    /// lists are numbers from 0. None: the value is a default.
    pub fn place(&self, path: &[&str]) -> Option<Mark> {
        let path: Vec<String> = path.iter().map(|part| (*part).to_owned()).collect();
        self.places.get(&path).copied()
    }

    /// Where a key is, or the innermost table around it, or the file's beginning.
    pub fn nearest(&self, path: &[&str]) -> Mark {
        (0..=path.len())
            .rev()
            .find_map(|depth| self.place(&path[..depth]))
            .unwrap_or(Mark { line: 1, column: 1 })
    }

    /// A problem at a key.
    pub(crate) fn problem(
        &self,
        path: &[&str],
        code: Code,
        message: String,
        remedy: String,
    ) -> Problem {
        let Mark { line, column } = self.nearest(path);
        Problem {
            file: self.file.clone(),
            line,
            column,
            code,
            message,
            remedy,
        }
    }
}

/// The places of all keys and of all elements of lists.
pub(super) fn places(report: &Report<'_>, document: &DeTable<'_>) -> BTreeMap<Vec<String>, Mark> {
    let mut places = BTreeMap::new();
    walk_table(report, document, &mut Vec::new(), &mut places);
    places
}

fn walk_table(
    report: &Report<'_>,
    table: &DeTable<'_>,
    path: &mut Vec<String>,
    places: &mut BTreeMap<Vec<String>, Mark>,
) {
    for (key, value) in table {
        path.push(key.get_ref().to_string());
        places.insert(path.clone(), report.place(&key.span()));
        walk_value(report, value.get_ref(), path, places);
        path.pop();
    }
}

fn walk_value(
    report: &Report<'_>,
    value: &DeValue<'_>,
    path: &mut Vec<String>,
    places: &mut BTreeMap<Vec<String>, Mark>,
) {
    match value {
        DeValue::Table(table) => walk_table(report, table, path, places),
        DeValue::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                path.push(at.to_string());
                places.insert(path.clone(), report.place(&item.span()));
                walk_value(report, item.get_ref(), path, places);
                path.pop();
            }
        }
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => {}
    }
}
