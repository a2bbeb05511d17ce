//! One table of a file, with the keys that it may have.

use toml::de::{DeTable, DeValue};
use toml::Spanned;

use super::{Code, Report, Span, similar};

/// A table being read. A table that the file leaves out reads like an empty one.
pub(crate) struct Table<'a> {
    report: &'a Report<'a>,
    /// Every key of the file; a single capital letter stands for any name.
    keys: &'static [&'static str],
    /// Where this is in `keys`, such as `needs.N`.
    shape: String,
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
    pub fn root(report: &'a Report<'a>, keys: &'static [&'static str], entries: &'a DeTable<'a>) -> Self {
        let (shape, path) = (String::new(), String::new());
        let table = Self { report, keys, shape, path, entries: Some(entries), span: 0..0 };
        table.report_unknown_keys();
        table
    }

    /// The table under a key.
    pub fn table(&self, key: &str) -> Self {
        let found = self.get(key);
        let entries = found.and_then(|value| self.as_table(key, value));
        self.inner(join(&self.shape, key), join(&self.path, &quoted(key)), entries, self.span_of(key))
    }

    /// The tables under names that the author chooses, in order of name.
    pub fn named_tables(&self) -> Vec<(Item<&'a str>, Self)> {
        let read = |(name, value): (Item<&'a str>, &'a Spanned<DeValue<'a>>)| {
            let entries = self.as_table(name.value, value);
            let (shape, path) = (join(&self.shape, self.placeholder()), self.path_of(name.value));
            let table = self.inner(shape, path, entries, name.span.clone());
            (name, table)
        };
        self.named().into_iter().map(read).collect()
    }

    /// The names that the author chose, in order, with their values.
    pub fn named(&self) -> Vec<(Item<&'a str>, &'a Spanned<DeValue<'a>>)> {
        let entries = self.entries.into_iter().flatten();
        entries
            .map(|(key, value)| (Item { value: key.get_ref().as_ref(), span: key.span() }, value))
            .collect()
    }

    /// The tables of a list of tables, in order.
    pub fn tables(&self, key: &str) -> Vec<Self> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let DeValue::Array(items) = value.get_ref() else {
            self.wrong_type(key, value, "a list of tables", &format!("begin each with `[[{key}]]`"));
            return Vec::new();
        };
        let read = |(at, item): (usize, &'a Spanned<DeValue<'a>>)| {
            let path = format!("{}[{at}]", join(&self.path, key));
            let entries = self.as_table(&path, item);
            self.inner(join(&self.shape, key), path, entries, item.span())
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

    /// Reports a key that has no default and is not there.
    pub fn require(&self, key: &str, remedy: &str) {
        if !self.has(key) {
            let message = format!("`{}` is missing", self.path_of(key));
            self.problem(key, Code::MissingKey, message, remedy);
        }
    }

    /// Reports a problem with the value of `key`, at the table when it has none.
    pub fn problem(&self, key: &str, code: Code, message: impl Into<String>, remedy: impl Into<String>) {
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
            self.problem_here(Code::OutOfBounds, message, format!("at most {max} are allowed"));
        }
    }

    /// Reports a problem at a place of this file.
    pub fn problem_at(&self, span: &Span, code: Code, message: impl Into<String>, remedy: impl Into<String>) {
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

    pub fn get(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        assert!(self.knows(key), "`{key}` of `{}` is not in the list of keys", self.shape);
        self.entries.and_then(|entries| entries.get(key))
    }

    pub(super) fn wrong_type(&self, key: &str, value: &Spanned<DeValue<'_>>, needs: &str, remedy: &str) {
        let (path, found) = (self.path_of(key), said(value.get_ref()));
        let message = format!("`{path}` is {found}; it needs {needs}");
        self.report.add(&value.span(), Code::WrongType, message, remedy);
    }

    fn inner(&self, shape: String, path: String, entries: Option<&'a DeTable<'a>>, span: Span) -> Self {
        let table = Self { report: self.report, keys: self.keys, shape, path, entries, span };
        table.report_unknown_keys();
        table
    }

    fn as_table(&self, key: &str, value: &'a Spanned<DeValue<'a>>) -> Option<&'a DeTable<'a>> {
        let entries = value.get_ref().as_table();
        if entries.is_none() {
            self.wrong_type(key, value, "a table", "write `{ key = value }`, or a header of its own");
        }
        entries
    }

    /// What may stand in this table.
    fn children(&self) -> impl Iterator<Item = &'static str> {
        let inside = move |key: &&'static str| {
            let rest = key.strip_prefix(self.shape.as_str())?;
            let rest = if self.shape.is_empty() { rest } else { rest.strip_prefix('.')? };
            rest.split('.').next()
        };
        self.keys.iter().filter_map(inside)
    }

    fn placeholder(&self) -> &'static str {
        self.children().find(|child| is_placeholder(child)).unwrap_or("")
    }

    fn knows(&self, key: &str) -> bool {
        self.children().any(|child| child == key || is_placeholder(child))
    }

    fn report_unknown_keys(&self) {
        for (key, _) in self.entries.into_iter().flatten() {
            let name = key.get_ref().as_ref();
            if !self.knows(name) {
                let message = format!("there is no key `{}`", self.path_of(name));
                self.report.add(&key.span(), Code::UnknownKey, message, self.advice(name));
            }
        }
    }

    /// What an unknown key may have been meant to be.
    fn advice(&self, name: &str) -> String {
        if let Some(known) = similar::nearest(name, self.children()) {
            return format!("did you mean `{}`?", self.path_of(known));
        }
        let elsewhere = self.keys.iter().find(|key| key.rsplit('.').next() == Some(name));
        match elsewhere.map(|key| key.rsplit_once('.').map_or("", |(table, _)| table)) {
            Some("") => format!("`{name}` belongs above the first table of the file"),
            Some(table) => format!("`{name}` belongs in the table `{table}`"),
            None => {
                let mut known: Vec<&str> = self.children().collect();
                known.dedup();
                format!("remove it; here may stand: {}", known.join(", "))
            }
        }
    }
}

fn is_placeholder(child: &str) -> bool {
    child.len() == 1 && child.starts_with(|c: char| c.is_ascii_uppercase())
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// A key as it is written in TOML.
fn quoted(key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || "_-[]".contains(c);
    if !key.is_empty() && key.chars().all(bare) { key.to_owned() } else { format!("{key:?}") }
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
