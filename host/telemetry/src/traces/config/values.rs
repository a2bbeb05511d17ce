//! Variables as values, and what is wrong with them.

use std::collections::BTreeMap;
use std::time::Duration;

use http::Uri;
use percent_encoding::percent_decode_str;

use super::Problem;

/// A day; what is longer is a mistake of units.
const MILLIS_MAX: u64 = 86_400_000;
const COUNT_MAX: u64 = 1_000_000;

/// Reads variables and keeps what is wrong with them. An empty variable is one
/// that is not set.
pub(super) struct Reader<'a> {
    get: &'a dyn Fn(&str) -> Option<String>,
    pub(super) problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(get: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            get,
            problems: Vec::new(),
        }
    }

    pub(super) fn wrong(&mut self, variable: &'static str, reason: &str) {
        self.problems.push(Problem {
            variable,
            reason: reason.to_owned(),
        });
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        let value = (self.get)(name)?.trim().to_owned();
        (!value.is_empty()).then_some(value)
    }

    /// The first of these that is set: the signal's own goes before the general.
    pub(super) fn first(&self, names: [&'static str; 2]) -> Option<&'static str> {
        names.into_iter().find(|name| self.text(name).is_some())
    }

    pub(super) fn flag(&mut self, name: &'static str) -> bool {
        let lower = self.text(name).map(|text| text.to_ascii_lowercase());
        match lower.as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => {
                self.wrong(name, "is neither `true` nor `false`");
                false
            }
        }
    }

    /// None when it is not set, or wrong.
    pub(super) fn one_of<T: Copy>(&mut self, name: &'static str, known: &[(&str, T)]) -> Option<T> {
        let found = self.text(name)?;
        let value = known.iter().find(|(text, _)| *text == found);
        if value.is_none() {
            let names: Vec<String> = known.iter().map(|(text, _)| format!("`{text}`")).collect();
            let reason = format!("`{found}` is not supported; write {}", names.join(" or "));
            self.wrong(name, &reason);
        }
        value.map(|(_, value)| *value)
    }

    pub(super) fn millis(&mut self, name: &'static str, usual: u64) -> Duration {
        Duration::from_millis(self.number(name, "milliseconds", MILLIS_MAX, usual))
    }

    pub(super) fn count(&mut self, name: &'static str, usual: u64) -> usize {
        let count = self.number(name, "spans", COUNT_MAX, usual);
        usize::try_from(count).unwrap_or(usize::MAX)
    }

    fn number(&mut self, name: &'static str, unit: &str, max: u64, usual: u64) -> u64 {
        let Some(text) = self.text(name) else {
            return usual;
        };
        match text.parse() {
            Ok(number) if (1..=max).contains(&number) => number,
            _ => {
                let reason = format!("`{text}` is no whole number of {unit} from 1 to {max}");
                self.wrong(name, &reason);
                usual
            }
        }
    }

    /// A number from 0 to 1.
    pub(super) fn share(&mut self, name: &'static str, usual: f64) -> f64 {
        let Some(text) = self.text(name) else {
            return usual;
        };
        match text.parse() {
            Ok(share) if (0.0..=1.0).contains(&share) => share,
            _ => {
                self.wrong(name, &format!("`{text}` is no number from 0 to 1"));
                usual
            }
        }
    }

    /// `a=1,b=2`, values percent-encoded. Values may be credentials and are not
    /// repeated in what is said.
    pub(super) fn pairs(&mut self, name: &'static str) -> BTreeMap<String, String> {
        let mut pairs = BTreeMap::new();
        let text = self.text(name).unwrap_or_default();
        let parts = text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty());
        for (at, part) in parts.enumerate() {
            let pair = part.split_once('=').and_then(|(key, value)| {
                let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
                let key = key.trim();
                (!key.is_empty()).then(|| (key.to_owned(), value.into_owned()))
            });
            match pair {
                Some((key, value)) => drop(pairs.insert(key, value)),
                None => {
                    let place = at + 1;
                    self.wrong(name, &format!("entry {place} is not `name=value`"));
                }
            }
        }
        pairs
    }

    /// An address with `path` behind it. A password in it would end in logs.
    pub(super) fn url(&mut self, name: &'static str, path: &str) -> Option<Uri> {
        let text = self.text(name)?;
        let whole = match path {
            "" => text,
            path => format!("{}{path}", text.trim_end_matches('/')),
        };
        let parsed = whole.parse::<Uri>().ok().filter(|uri| {
            let scheme = matches!(uri.scheme_str(), Some("http" | "https"));
            let host = uri.host().is_some_and(|host| !host.is_empty());
            let password = uri.authority().is_some_and(|at| at.as_str().contains('@'));
            scheme && host && !password
        });
        if parsed.is_none() {
            self.wrong(
                name,
                "is no address such as http://collector:4318, http or https, without a password",
            );
        }
        parsed
    }
}
