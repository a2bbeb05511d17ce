//! What spans tell of an event, in the words of telemetry.

use std::time::Instant;

use wharf_core::contract::Failure;
use wharf_core::outcome::Outcome;
use wharf_core::trace::Context;
use wharf_engine::{Exchange, Report, Trace};
use wharf_telemetry::metrics::AttemptResult;
use wharf_telemetry::traces::{About, Attempt, AttemptSpan, Call};

use crate::version::Version;
use crate::work::Work;

/// What the event's span names.
pub fn about<'a>(
    event: &'a wharf_core::event::Event,
    key: &'a str,
    template: Option<&'a str>,
    began: Instant,
) -> About<'a> {
    About {
        began,
        destination: &event.subject,
        template,
        message_id: &event.id,
        key,
        sequence: event.position.sequence,
    }
}

/// Where an attempt's calls stand. Without traces they carry on what the event
/// brought.
pub fn of_calls(work: &Work, attempt: Option<AttemptSpan>) -> Trace {
    let brought = || work.event.traceparent.as_deref().and_then(Context::parse);
    match attempt {
        Some(span) => Trace::Span(span.context),
        None => brought().map_or(Trace::None, Trace::Passed),
    }
}

/// The attempt as its span tells it.
pub fn attempt(number: u32, version: &Version, report: &Report, ended: Instant) -> Attempt {
    Attempt {
        number,
        version: version.number,
        result: AttemptResult::of(&report.outcome).as_str(),
        error: code(&report.outcome).map(str::to_owned),
        calls: report.exchanges.iter().map(|e| call(e, ended)).collect(),
    }
}

/// Under which code the attempt failed. One that was ended on purpose did not.
fn code(outcome: &Outcome) -> Option<&str> {
    match outcome {
        Outcome::Done(_) | Outcome::Cancelled => None,
        Outcome::Failed(failure) => Some(match failure {
            Failure::Retry(problem) | Failure::Reject(problem) | Failure::NotReady(problem) => {
                &problem.code
            }
            Failure::Unavailable(_) => "unavailable",
        }),
        Outcome::GuestFault(fault) => Some(fault.kind.code()),
        Outcome::HostFault(fault) => Some(fault.kind.code()),
    }
}

/// A call that was ended in the middle ended with its attempt.
fn call(exchange: &Exchange, attempt_ended: Instant) -> Call {
    let ended = exchange.took.map(|took| exchange.began + took);
    let server = exchange.server.as_ref();
    Call {
        span_id: exchange.span_id,
        began: exchange.began,
        ended: ended.unwrap_or(attempt_ended),
        need: exchange.need.clone(),
        method: method(&exchange.method),
        server: server.map(|server| (server.address.clone(), server.port)),
        status: exchange.status,
        result: exchange.result,
    }
}

/// Only methods that are known by name: a handler could make up others.
fn method(method: &wharf_engine::Method) -> String {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"];
    let known = KNOWN.iter().find(|known| **known == method.as_str());
    known.map_or("_OTHER", |known| known).to_owned()
}
