//! Where calls stand in a trace.

use std::time::{Duration, Instant};

use http::Method;
use sha2::{Digest, Sha256};
use wharf_core::outcome::CallResult;
use wharf_core::trace::Context;

/// How an attempt stands in a trace, and what its calls carry therefore.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Trace {
    /// In none: calls carry no `traceparent`.
    #[default]
    None,
    /// Nobody records here: calls carry on what the event brought.
    Passed(Context),
    /// The attempt is this span: each call is a span below it and carries its
    /// own.
    Span(Context),
}

/// One call as a trace tells it. What it carried is no part of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Exchange {
    pub need: String,
    pub method: Method,
    /// None when nobody says where the need is.
    pub server: Option<Server>,
    /// The span that the request named as its own.
    pub span_id: u64,
    pub began: Instant,
    /// None when the attempt was ended in the middle of it.
    pub took: Option<Duration>,
    /// None without an answer.
    pub status: Option<u16>,
    pub result: CallResult,
}

/// Where a need is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    pub address: String,
    pub port: u16,
}

impl Trace {
    /// What the `call`th call of an attempt carries.
    pub(crate) fn of_call(self, call: usize) -> Option<Context> {
        match self {
            Self::None => None,
            Self::Passed(context) => Some(context),
            Self::Span(parent) => Some(parent.with_span(below(parent.span_id, call))),
        }
    }

    /// The id of the call's span, when somebody records it.
    pub(crate) fn span_of_call(self, call: usize) -> Option<u64> {
        match self {
            Self::None | Self::Passed(_) => None,
            Self::Span(parent) => parent.is_sampled().then(|| below(parent.span_id, call)),
        }
    }

    /// As logs carry it; empty outside of a trace.
    pub(crate) fn id(self) -> String {
        match self {
            Self::None => String::new(),
            Self::Passed(context) | Self::Span(context) => context.trace_id_text(),
        }
    }
}

/// A span id that follows from the parent's: nothing random is drawn between a
/// guest and its call.
fn below(parent: u64, call: usize) -> u64 {
    let hash = Sha256::new()
        .chain_update(parent.to_be_bytes())
        .chain_update(call.to_be_bytes())
        .finalize();
    let first = hash.first_chunk().expect("a hash has 32 bytes");
    u64::from_be_bytes(*first).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parent(flags: &str) -> Context {
        let text = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}");
        Context::parse(&text).expect("valid")
    }

    #[test]
    fn calls_of_one_attempt_share_the_trace_and_have_spans_of_their_own() {
        let trace = Trace::Span(parent("01"));
        let first = trace.of_call(0).expect("a context");
        let second = trace.of_call(1).expect("a context");
        assert_eq!(first.trace_id, parent("01").trace_id);
        assert!(first.is_sampled());
        assert_ne!(first, second);
        assert_ne!(first, parent("01"));
        assert_eq!(trace.span_of_call(0), Some(first.span_id));
    }

    #[test]
    fn where_nobody_records_the_events_own_context_goes_on() {
        let passed = Trace::Passed(parent("01"));
        assert_eq!(passed.of_call(3), Some(parent("01")));
        assert_eq!(passed.span_of_call(3), None);
        assert_eq!(Trace::None.of_call(0), None);
        let unsampled = Trace::Span(parent("00"));
        assert!(unsampled.of_call(0).is_some_and(|call| !call.is_sampled()));
        assert_eq!(unsampled.span_of_call(0), None);
    }
}
