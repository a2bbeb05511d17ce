//! One table of a file, with the keys that it may have.

use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::shape::{Shape, join};
use super::{Code, Report, Span};

/// A table being read. A table that the file leaves out reads like an empty one.
pub(crate) struct Table<'a> {
    report: &'a Report<'a>,
    shape: Shape,
    /// Where this is in the file, such as `needs.gateway`.
    path: String,
    entries: Option<&'a DeTable<'a>>,
    span: Span,
}

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item<T> {
    pub value: T,
    pub span: Span,
}

impl<'a> Table<'a> {
    /// The whole file.
    pub fn root(
        report: &'a Report<'a>,
        keys: &'static [&'static str],
        entries: &'a DeTable<'a>,
    ) -> Self {
        let (shape, path) = (Shape::root(keys), String::new());
        let table = Self {
            report,
            shape,
            path,
            entries: Some(entries),
            span: 0..0,
        };
        table.report_unknown_keys();
        table
    }

    /// The table under a key.
    pub fn table(&self, key: &str) -> Self {
        let found = self.get(key);
        let entries = found.and_then(|value| self.as_table(key, value));
        self.inner(
            self.shape.child(key),
            join(&self.path, &quoted(key)),
            entries,
            self.span_of(key),
        )
    }

    /// The tables under names that the author chooses, in order of name.
    pub fn named_tables(&self) -> Vec<(Item<&'a str>, Self)> {
        let read = |(name, value): (Item<&'a str>, &'a Spanned<DeValue<'a>>)| {
            let entries = self.as_table(name.value, value);
            let (shape, path) = (self.shape.named(), self.path_of(name.value));
            let table = self.inner(shape, path, entries, name.span.clone());
            (name, table)
        };
        self.named().into_iter().map(read).collect()
    }

    /// The names that the author chose, in order, with their values.
    pub fn named(&self) -> Vec<(Item<&'a str>, &'a Spanned<DeValue<'a>>)> {
        let entries = self.entries.into_iter().flatten();
        entries
            .map(|(key, value)| {
                (
                    Item {
                        value: key.get_ref().as_ref(),
                        span: key.span(),
                    },
                    value,
                )
            })
            .collect()
    }

    /// The tables of a list of tables, in order, with a bound on how many.
    pub fn tables(&self, key: &str, count: RangeInclusive<usize>) -> Vec<Self> {
        let Some(value) = self.get(key) else {
            return Vec::new();
        };
        let DeValue::Array(items) = value.get_ref() else {
            self.wrong_type(
                key,
                value,
                "a list of tables",
                &format!("begin each with `[[{key}]]`"),
            );
            return Vec::new();
        };
        if self
            .within(key, items.len(), &count, |n| format!("{n} tables"))
            .is_none()
        {
            return Vec::new();
        }
        let read = |(at, item): (usize, &'a Spanned<DeValue<'a>>)| {
            let path = format!("{}[{at}]", join(&self.path, key));
            let entries = self.as_table(&path, item);
            self.inner(self.shape.child(key), path, entries, item.span())
        };
        items.iter().enumerate().map(read).collect()
    }

    /// Whether the file sets the key.
    pub fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Whether the file has this table.
    pub fn is_there(&self) -> bool {
        self.entries.is_some()
    }

    /// Reports a key that has no default and is not there. A value that should
    /// have been a table is reported as that and misses nothing.
    pub fn require(&self, key: &str, remedy: &str) {
        if self.is_there() && !self.has(key) {
            let message = format!("`{}` is missing", self.path_of(key));
            self.problem(key, Code::MissingKey, message, remedy);
        }
    }

    /// Reports a problem with the value of `key`, at the table when it has none.
    pub fn problem(
        &self,
        key: &str,
        code: Code,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.report.add(&self.span_of(key), code, message, remedy);
    }

    /// Reports a problem with the table itself.
    pub fn problem_here(&self, code: Code, message: impl Into<String>, remedy: impl Into<String>) {
        self.report.add(&self.span, code, message, remedy);
    }

    /// Reports a table with too many names in it.
    pub fn at_most(&self, max: usize) {
        let count = self.entries.map_or(0, DeTable::len);
        if count > max {
            let message = format!("`{}` has {count} entries", self.path);
            self.problem_here(
                Code::OutOfBounds,
                message,
                format!("at most {max} are allowed"),
            );
        }
    }

    /// Reports a problem at a place of this file.
    pub fn problem_at(
        &self,
        span: &Span,
        code: Code,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.report.add(span, code, message, remedy);
    }

    /// Where the value of `key` stands, or the table when it has none.
    pub fn span_of(&self, key: &str) -> Span {
        match self.entries.and_then(|entries| entries.get_key_value(key)) {
            // A table's own span is its header or its first key; its name is plainer.
            Some((name, value)) if value.get_ref().is_table() => name.span(),
            Some((_, value)) => value.span(),
            None => self.span.clone(),
        }
    }

    /// The path of a key as the author would write it.
    pub fn path_of(&self, key: &str) -> String {
        join(&self.path, &quoted(key))
    }

    /// The path of this table as the author would write it.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The value of a key, of whatever type.
    pub fn get(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        assert!(self.shape.knows(key), "`{key}` is not in the list of keys");
        self.entries.and_then(|entries| entries.get(key))
    }

    pub(super) fn wrong_type(
        &self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        needs: &str,
        remedy: &str,
    ) {
        let (path, found) = (self.path_of(key), said(value.get_ref()));
        let message = format!("`{path}` is {found}; it needs {needs}");
        self.report
            .add(&value.span(), Code::WrongType, message, remedy);
    }

    fn inner(
        &self,
        shape: Shape,
        path: String,
        entries: Option<&'a DeTable<'a>>,
        span: Span,
    ) -> Self {
        let table = Self {
            report: self.report,
            shape,
            path,
            entries,
            span,
        };
        table.report_unknown_keys();
        table
    }

    fn as_table(&self, key: &str, value: &'a Spanned<DeValue<'a>>) -> Option<&'a DeTable<'a>> {
        let entries = value.get_ref().as_table();
        if entries.is_none() {
            self.wrong_type(
                key,
                value,
                "a table",
                "write `{ key = value }`, or a header of its own",
            );
        }
        entries
    }

    fn report_unknown_keys(&self) {
        for (key, _) in self.entries.into_iter().flatten() {
            let name = key.get_ref().as_ref();
            if !self.shape.knows(name) {
                let message = format!("there is no key `{}`", self.path_of(name));
                let remedy = self.shape.advice(&self.path, name);
                self.report
                    .add(&key.span(), Code::UnknownKey, message, remedy);
            }
        }
    }
}

/// A key as it is written in TOML.
fn quoted(key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || "_-[]".contains(c);
    if !key.is_empty() && key.chars().all(bare) {
        key.to_owned()
    } else {
        format!("{key:?}")
    }
}

fn said(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a decimal number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
