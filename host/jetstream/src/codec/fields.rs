//! Headers as names and texts, CloudEvents attributes apart.

use crate::pull::Entry;
use percent_encoding::percent_decode;
use std::borrow::Cow;
use wharf_core::event::Undecodable;

const PREFIX: &str = "ce-";

/// Attributes by name. Most names are known and asked for once.
pub(super) type Attributes<'a> = Vec<(Cow<'a, str>, String)>;

/// The headers of a delivery; names in lower case, sorted by them. Values of
/// one name keep their order.
pub(super) struct Fields<'a> {
    /// `ce-…` headers without the prefix, decoded; each name once.
    pub(super) attributes: Attributes<'a>,
    /// All other headers.
    pub(super) others: Vec<(String, String)>,
}

impl<'a> Fields<'a> {
    /// # Errors
    /// A name or value that is not UTF-8, before or after percent-decoding; an
    /// attribute that is there twice with different values.
    pub(super) fn read(entries: &'a [Entry<'_>]) -> Result<Self, Undecodable> {
        let mut fields = Self {
            attributes: Vec::with_capacity(entries.len()),
            others: Vec::new(),
        };
        for (name, value) in entries {
            let shown = || String::from_utf8_lossy(name).into_owned();
            let not_text = || Undecodable::HeaderNotUtf8 { name: shown() };
            let text_name = std::str::from_utf8(name).map_err(|_| not_text())?;
            let text = std::str::from_utf8(value).map_err(|_| not_text())?;
            match split_prefix(text_name) {
                Some(attribute) => {
                    let decoded = percent_decode(value)
                        .decode_utf8()
                        .map_err(|_| not_text())?;
                    let named = (lower_case(attribute), decoded.into_owned());
                    fields.attributes.push(named);
                }
                None => {
                    let named = (text_name.to_ascii_lowercase(), text.to_owned());
                    fields.others.push(named);
                }
            }
        }
        // The client keeps no order of names; ours makes every try the same.
        fields.attributes.sort();
        fields.others.sort_by(|a, b| a.0.cmp(&b.0));
        each_once(&mut fields.attributes)?;
        Ok(fields)
    }

    /// The value of a header that may be there once.
    ///
    /// # Errors
    /// It is there twice with different values.
    pub(super) fn single(&self, name: &str) -> Result<Option<&str>, Undecodable> {
        let mut values = self
            .others
            .iter()
            .filter(|(found, _)| found == name)
            .map(|(_, v)| v);
        let Some(first) = values.next() else {
            return Ok(None);
        };
        let rest: Vec<_> = values.collect();
        if rest.iter().any(|value| *value != first) {
            let count = rest.len() + 1;
            return Err(Undecodable::DuplicateHeader {
                name: name.to_owned(),
                count,
            });
        }
        Ok(Some(first))
    }

    /// Trace context; contradictory headers are none, since a trace is never
    /// worth a dead event.
    pub(super) fn trace(&self) -> (Option<String>, Option<String>) {
        let value = |name| self.single(name).ok().flatten().map(str::to_owned);
        match value("traceparent") {
            Some(parent) => (Some(parent), value("tracestate")),
            None => (None, None),
        }
    }
}

fn lower_case(name: &str) -> Cow<'_, str> {
    match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => name.to_ascii_lowercase().into(),
        false => name.into(),
    }
}

/// What follows the prefix of an attribute, in whatever case that is written.
fn split_prefix(name: &str) -> Option<&str> {
    let (prefix, attribute) = name.split_at_checked(PREFIX.len())?;
    (prefix.eq_ignore_ascii_case(PREFIX) && !attribute.is_empty()).then_some(attribute)
}

/// Repetitions of one value are one; different values are an error.
fn each_once(attributes: &mut Attributes<'_>) -> Result<(), Undecodable> {
    // Sorted by name, so equal names are neighbours.
    attributes.dedup();
    let twice = attributes.windows(2).find(|pair| pair[0].0 == pair[1].0);
    let Some(name) = twice.map(|pair| pair[0].0.clone()) else {
        return Ok(());
    };
    let count = attributes
        .iter()
        .filter(|(found, _)| *found == name)
        .count();
    Err(Undecodable::DuplicateHeader {
        name: format!("{PREFIX}{name}"),
        count,
    })
}
