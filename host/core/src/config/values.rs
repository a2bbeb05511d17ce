//! Values of a table: each reader checks type, form and bounds.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeInteger, DeValue};

use super::names::Form;
use super::{Code, Item, Table, similar, units};

impl<'a> Table<'a> {
    /// A text of `bytes` bytes.
    pub fn text(&self, key: &str, bytes: RangeInclusive<usize>) -> Option<&'a str> {
        let text = self.string(key, "a text")?;
        self.within(key, text.len(), &bytes, |n| format!("{n} bytes"))
            .map(|_| text)
    }

    /// A text of a given form.
    pub fn name(&self, key: &str, form: &Form) -> Option<&'a str> {
        let text = self.string(key, "a text")?;
        if (form.fits)(text) {
            return Some(text);
        }
        let message = format!(
            "`{}` is `{text}`, which has not its form",
            self.path_of(key)
        );
        self.problem(key, Code::BadValue, message, format!("use {}", form.said));
        None
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&self, key: &str, options: &[(&str, T)]) -> Option<T> {
        let words: Vec<&str> = options.iter().map(|(word, _)| *word).collect();
        let text = self.string(key, &one_of(&words))?;
        let found = options.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let message = format!(
                "`{}` is `{text}`; it needs {}",
                self.path_of(key),
                one_of(&words)
            );
            let remedy = match similar::nearest(text, words.iter().copied()) {
                Some(word) => format!("did you mean `{word}`?"),
                None => format!("write {}", one_of(&words)),
            };
            self.problem(key, Code::BadValue, message, remedy);
        }
        found.map(|(_, value)| *value)
    }

    /// True or false.
    pub fn flag(&self, key: &str) -> Option<bool> {
        let value = self.get(key)?;
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            self.wrong_type(
                key,
                value,
                "true or false",
                "write true or false, without quotes",
            );
        }
        flag
    }

    /// A whole number within bounds.
    pub fn count(&self, key: &str, bounds: RangeInclusive<u32>) -> Option<u32> {
        let wide = u64::from(*bounds.start())..=u64::from(*bounds.end());
        self.whole(key, wide).and_then(|n| u32::try_from(n).ok())
    }

    /// A whole number within bounds, up to the largest of TOML.
    pub fn whole(&self, key: &str, bounds: RangeInclusive<u64>) -> Option<u64> {
        let value = self.get(key)?;
        let Some(integer) = value.get_ref().as_integer() else {
            self.wrong_type(key, value, "a whole number", "write digits, without quotes");
            return None;
        };
        let bounds = i128::from(*bounds.start())..=i128::from(*bounds.end());
        let n = self.within(key, integer_value(integer), &bounds, i128::to_string)?;
        u64::try_from(n).ok()
    }

    /// A number within bounds.
    pub fn number(&self, key: &str, bounds: RangeInclusive<f64>) -> Option<f64> {
        let value = self.get(key)?;
        match number_value(value.get_ref()) {
            Some(n) => self.within(key, n, &bounds, f64::to_string),
            None => {
                self.wrong_type(key, value, "a number", "write a number, without quotes");
                None
            }
        }
    }

    /// A duration within bounds.
    pub fn duration(&self, key: &str, bounds: RangeInclusive<Duration>) -> Option<Duration> {
        let form = "a duration such as \"250ms\", \"3s\", \"15m\", \"24h\" or \"90d\"";
        let duration = self.measure(key, form, units::parse_duration)?;
        self.within(key, duration, &bounds, |duration| {
            units::format_duration(*duration)
        })
    }

    /// A size in bytes within bounds.
    pub fn size(&self, key: &str, bounds: RangeInclusive<u64>) -> Option<u64> {
        let form = "a size such as \"512B\", \"64KiB\", \"1MiB\" or \"10GiB\"";
        let bytes = self.measure(key, form, units::parse_size)?;
        self.within(key, bytes, &bounds, |bytes| units::format_size(*bytes))
    }

    /// A list of texts, with a bound on how many.
    pub fn texts(&self, key: &str, count: RangeInclusive<usize>) -> Option<Vec<Item<&'a str>>> {
        let items = self.list(key, count)?;
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            match item.get_ref().as_str() {
                Some(text) => texts.push(Item {
                    value: text,
                    span: item.span(),
                }),
                None => self.wrong_type(key, item, "texts", "put each element in quotes"),
            }
        }
        self.report_repeated(key, &texts);
        Some(texts)
    }

    /// A list of texts of one form, with a bound on how many.
    pub fn names(
        &self,
        key: &str,
        count: RangeInclusive<usize>,
        form: &Form,
    ) -> Option<Vec<Item<&'a str>>> {
        let mut items = self.texts(key, count)?;
        items.retain(|item| self.fits(key, item, form));
        Some(items)
    }

    /// A list, with a bound on how many.
    pub fn list(
        &self,
        key: &str,
        count: RangeInclusive<usize>,
    ) -> Option<&'a [Spanned<DeValue<'a>>]> {
        let value = self.get(key)?;
        let Some(items) = value.get_ref().as_array() else {
            self.wrong_type(key, value, "a list", "put it in brackets: [ … ]");
            return None;
        };
        self.within(key, items.len(), &count, |n| format!("{n} elements"))?;
        Some(items)
    }

    /// Whether an element or a name has a form; reports it if not.
    pub fn fits(&self, key: &str, item: &Item<&str>, form: &Form) -> bool {
        let fits = (form.fits)(item.value);
        if !fits {
            let message = format!(
                "`{}` in `{}` has not its form",
                item.value,
                self.path_of(key)
            );
            self.problem_at(
                &item.span,
                Code::BadValue,
                message,
                format!("use {}", form.said),
            );
        }
        fits
    }

    /// Whether a name that the author chose has a form; reports it if not.
    pub fn name_fits(&self, name: &Item<&str>, form: &Form) -> bool {
        let fits = (form.fits)(name.value);
        if !fits {
            let message = format!(
                "`{}` is not a name for this table",
                self.path_of(name.value)
            );
            self.problem_at(
                &name.span,
                Code::BadValue,
                message,
                format!("use {}", form.said),
            );
        }
        fits
    }

    fn string(&self, key: &str, needs: &str) -> Option<&'a str> {
        let value = self.get(key)?;
        let text = value.get_ref().as_str();
        if text.is_none() {
            self.wrong_type(key, value, needs, "put it in quotes");
        }
        text
    }

    fn measure<T>(&self, key: &str, form: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let value = self.get(key)?;
        let Some(text) = value.get_ref().as_str() else {
            self.wrong_type(
                key,
                value,
                form,
                "write a whole number and its unit, in quotes",
            );
            return None;
        };
        let parsed = parse(text);
        if parsed.is_none() {
            let message = format!("`{}` is `{text}`; it needs {form}", self.path_of(key));
            self.problem(
                key,
                Code::BadValue,
                message,
                "write one whole number and one unit",
            );
        }
        parsed
    }

    /// The value, if it is within bounds; reports it if not.
    pub fn within<T: PartialOrd>(
        &self,
        key: &str,
        value: T,
        bounds: &RangeInclusive<T>,
        said: impl Fn(&T) -> String,
    ) -> Option<T> {
        if bounds.contains(&value) {
            return Some(value);
        }
        let (least, most) = (said(bounds.start()), said(bounds.end()));
        let message = format!(
            "`{}` is {}, outside its bounds",
            self.path_of(key),
            said(&value)
        );
        self.problem(
            key,
            Code::OutOfBounds,
            message,
            format!("allowed are {least} to {most}"),
        );
        None
    }

    fn report_repeated(&self, key: &str, items: &[Item<&str>]) {
        for (at, item) in items.iter().enumerate() {
            if items[..at]
                .iter()
                .any(|earlier| earlier.value == item.value)
            {
                let message = format!("`{}` stands twice in `{}`", item.value, self.path_of(key));
                self.problem_at(
                    &item.span,
                    Code::Duplicate,
                    message,
                    "remove one of the two",
                );
            }
        }
    }
}

/// The value of a number of either type.
pub(crate) fn number_value(value: &DeValue<'_>) -> Option<f64> {
    match value {
        DeValue::Integer(integer) => Some(integer_value(integer) as f64),
        DeValue::Float(float) => float.as_str().parse().ok(),
        DeValue::String(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => None,
    }
}

/// The value of a whole number; what is too large for `i128` is its largest.
pub(crate) fn integer_value(integer: &DeInteger<'_>) -> i128 {
    i128::from_str_radix(integer.as_str(), integer.radix()).unwrap_or(i128::MAX)
}

fn one_of(words: &[impl Display]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    quoted.join(" or ")
}
