//! Spans as a collector has them, whoever it is.

use std::collections::BTreeMap;

use wharf_core::trace::Context;

/// A span, ids in hexadecimal digits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Span {
    pub trace: String,
    pub id: String,
    /// Empty: it begins the trace.
    pub parent: String,
    pub name: String,
    /// In capitals, without prefix: `CONSUMER`.
    pub kind: String,
    pub attributes: BTreeMap<String, String>,
    /// The message of an error's status.
    pub error: Option<String>,
}

impl Span {
    pub fn get(&self, attribute: &str) -> &str {
        self.attributes.get(attribute).map_or("", String::as_str)
    }

    pub fn is_process(&self) -> bool {
        self.kind == "CONSUMER"
    }

    /// Handler and last token of the subject: which event it is of.
    pub fn what(&self) -> (&str, &str) {
        let subject = self.get("messaging.destination.name");
        let last = subject.rsplit('.').next().expect("one token at least");
        (self.get("messaging.consumer.group.name"), last)
    }
}

/// The spans of the trace that a `traceparent` names.
pub fn of_trace(spans: &[Span], traceparent: &str) -> Vec<Span> {
    let trace = context(traceparent).trace_id_text();
    let of = spans.iter().filter(|span| span.trace == trace);
    of.cloned().collect()
}

/// The spans right below one, in order of their names.
pub fn below<'a>(spans: &'a [Span], parent: &Span) -> Vec<&'a Span> {
    let mut below: Vec<&Span> = spans.iter().filter(|s| s.parent == parent.id).collect();
    below.sort_by(|a, b| a.name.cmp(&b.name));
    below
}

/// The process span of a handler and the last token of a subject.
pub fn process<'a>(spans: &'a [Span], what: (&str, &str)) -> &'a Span {
    let mut found = spans.iter().filter(|s| s.is_process() && s.what() == what);
    let first = found.next();
    assert_eq!(found.next(), None, "{what:?} twice");
    first.unwrap_or_else(|| panic!("no process span of {what:?} in {spans:#?}"))
}

pub fn context(traceparent: &str) -> Context {
    Context::parse(traceparent).expect("a traceparent")
}

/// The `traceparent` that names this span.
pub fn traceparent(span: &Span) -> String {
    format!("00-{}-{}-01", span.trace, span.id)
}
