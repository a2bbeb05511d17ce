//! Fields of events and spans, in the order in which they were given.

use std::error::Error;
use std::fmt::{Debug, Display};

use serde_json::Value;
use tracing::field::{Field, Visit};

/// Bytes of one text value; a longer one is cut. Container runtimes break
/// lines at 16 KiB.
pub(super) const TEXT_BYTES_MAX: usize = 8 << 10;
const CUT: &str = "…";

/// Names with values; setting a name again replaces its value.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    pub(super) fn set(&mut self, name: &'static str, value: Value) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    pub(super) fn set_all(&mut self, others: &Self) {
        for (name, value) in &others.0 {
            self.set(name, value.clone());
        }
    }

    /// Takes a field out.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        let at = self.0.iter().position(|(known, _)| *known == name)?;
        Some(self.0.remove(at).1)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.0.iter().map(|(name, value)| (*name, value))
    }

    /// Turns a field that holds the text of a JSON object into that object;
    /// any other text stays what it is.
    pub(super) fn embed(&mut self, name: &'static str) {
        let field = self.0.iter_mut().find(|(known, _)| *known == name);
        if let Some((_, value)) = field
            && let Some(object) = value
                .as_str()
                .and_then(|text| serde_json::from_str(text).ok())
        {
            *value = Value::Object(object);
        }
    }

    fn text(&mut self, field: &Field, text: &dyn Display) {
        let mut text = text.to_string();
        if text.len() > TEXT_BYTES_MAX {
            text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
            text.push_str(CUT);
        }
        self.set(field.name(), Value::String(text));
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, &value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.text(field, &format_args!("{value:?}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field.name(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field.name(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field.name(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no number for what is not finite.
        match serde_json::Number::from_f64(value) {
            Some(number) => self.set(field.name(), Value::Number(number)),
            None => self.text(field, &value),
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let mut text = value.to_string();
        let mut cause = value.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        self.text(field, &text);
    }
}
