//! From what was kept of an event to spans of OpenTelemetry.
//!
//! Names follow the semantic conventions for messaging and HTTP; what they have
//! no name for begins with `wharf.`. `docs/traces.md` lists all of it.

use std::borrow::Cow;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use wharf_core::outcome::CallResult;
use wharf_core::trace::Context;

use super::otlp::{Attributes, Message, Spans};
use super::random_span_id;
use super::recording::{About, Attempt, Call, Child, Phase, Recording, What};
use crate::metrics::EventOutcome;

/// One instant on both clocks. Taken anew for each event, so that a wall clock
/// that is set does not leave all later spans beside it.
struct Anchor {
    instant: Instant,
    time_ns: u64,
}

impl Anchor {
    /// `instant` is now.
    fn at_now(instant: Instant) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let nanos = since.map_or(0, |since| since.as_nanos());
        Self {
            instant,
            time_ns: u64::try_from(nanos).unwrap_or(u64::MAX),
        }
    }

    fn at(&self, instant: Instant) -> u64 {
        let ago = self.instant.saturating_duration_since(instant).as_nanos();
        self.time_ns
            .saturating_sub(u64::try_from(ago).unwrap_or(u64::MAX))
    }

    fn times(&self, span: &mut Message, began: Instant, ended: Instant) {
        span.fixed64(7, self.at(began));
        span.fixed64(8, self.at(ended));
    }
}

/// As the protocol numbers them.
#[derive(Clone, Copy)]
enum Kind {
    Internal = 1,
    Client = 3,
    Consumer = 5,
}

/// Beside the eight flags of W3C: whether the parent is of another process, and
/// that this is known.
const PARENT_IS_KNOWN: u32 = 1 << 8;
const PARENT_IS_REMOTE: u32 = 1 << 9;
const STATUS_ERROR: u64 = 2;

/// Fields of a span.
const NAME: u32 = 5;
const KIND: u32 = 6;
const ATTRIBUTES: u32 = 9;

/// What [`opening`] adds to the text of an event, in bytes: ids, keys, lengths and the
/// names of attributes.
const OPENING_BYTES: usize = 240;

/// What of an event's own span is known when it begins.
pub(super) fn opening(context: Context, parent: Option<u64>, about: &About<'_>) -> Message {
    let template = about.template.unwrap_or_default();
    let texts = [
        about.destination,
        about.message_id,
        about.key,
        template,
        template,
    ];
    let texts: usize = texts.iter().map(|text| text.len()).sum();
    let mut span = Message::with_capacity(OPENING_BYTES + texts);
    let remote = parent.map_or(0, |_| PARENT_IS_REMOTE);
    identity(&mut span, context, parent, remote);
    let name = if template.is_empty() {
        "process"
    } else {
        "process "
    };
    span.texts(NAME, &[name, template]);
    span.varint(KIND, Kind::Consumer as u64);
    let mut attributes = span.attributes(ATTRIBUTES);
    attributes
        .text("messaging.destination.name", about.destination)
        .text("messaging.message.id", about.message_id)
        .text("wharf.key", about.key);
    if !template.is_empty() {
        attributes.text("messaging.destination.template", template);
    }
    if about.sequence > 0 {
        attributes.number("wharf.stream.sequence", about.sequence);
    }
    span
}

/// Appends the spans of an event that ends now, its own first.
pub(super) fn append(spans: &mut Spans, recording: &Recording, outcome: EventOutcome) {
    let ended = Instant::now();
    let anchor = Anchor::at_now(ended);
    spans.push(|span| {
        span.written(&recording.opening);
        span.written(&recording.source.attributes);
        anchor.times(span, recording.began, ended);
        let attempts = || recording.children.iter().filter_map(attempt_of);
        let mut attributes = span.attributes(ATTRIBUTES);
        attributes
            .text("wharf.outcome", outcome.as_str())
            .number("wharf.attempts", attempts().count() as u64);
        if let Some(attempt) = attempts().next_back() {
            attributes.number("wharf.handler.version", attempt.version.into());
        }
        if outcome == EventOutcome::Dead {
            failed(span, recording.death.as_deref().unwrap_or("dead"));
        }
    });
    for child in &recording.children {
        append_child(spans, recording.context, child, &anchor);
    }
}

/// The attributes that all spans `process …` of a handler have.
pub(super) fn of_source(handler: &str, lineage: &str) -> Message {
    let mut attributes = Message::default();
    attributes
        .attributes(ATTRIBUTES)
        .text("messaging.system", "nats")
        .text("messaging.operation.type", "process")
        .text("messaging.operation.name", "process")
        .text("messaging.consumer.group.name", handler)
        .text("wharf.lineage", lineage);
    attributes
}

fn attempt_of(child: &Child) -> Option<&Attempt> {
    match &child.what {
        What::Attempt(_, attempt) => Some(attempt),
        What::Phase(_) => None,
    }
}

fn append_child(spans: &mut Spans, process: Context, child: &Child, anchor: &Anchor) {
    match &child.what {
        What::Phase(phase) => spans.push(|span| {
            let (kind, name) = named(*phase);
            below(span, process, random_span_id(), kind, name);
            anchor.times(span, child.began, child.ended);
            of_phase(&mut span.attributes(ATTRIBUTES), *phase);
        }),
        What::Attempt(span_id, attempt) => {
            spans.push(|span| {
                below(span, process, *span_id, Kind::Internal, "invoke");
                anchor.times(span, child.began, child.ended);
                span.attributes(ATTRIBUTES)
                    .number("wharf.attempt", attempt.number.into())
                    .number("wharf.handler.version", attempt.version.into())
                    .text("wharf.result", attempt.result);
                if let Some(code) = &attempt.error {
                    failed(span, code);
                }
            });
            for call in &attempt.calls {
                append_call(spans, process.with_span(*span_id), call, anchor);
            }
        }
    }
}

fn named(phase: Phase) -> (Kind, &'static str) {
    match phase {
        Phase::LaneWait => (Kind::Internal, "lane wait"),
        Phase::Load => (Kind::Internal, "load"),
        Phase::Hold => (Kind::Internal, "hold"),
        Phase::Commit => (Kind::Internal, "commit"),
        // The emissions' parent is the process span: it outlives a crash in the
        // record, and so this one is a client and no producer.
        Phase::Publish(_) => (Kind::Client, "publish"),
        Phase::Park => (Kind::Internal, "park"),
        Phase::Settle => (Kind::Internal, "settle"),
    }
}

fn of_phase(attributes: &mut Attributes<'_>, phase: Phase) {
    match phase {
        Phase::LaneWait | Phase::Load | Phase::Hold | Phase::Commit | Phase::Park => {}
        Phase::Publish(count) => {
            attributes
                .text("messaging.system", "nats")
                .text("messaging.operation.type", "send")
                .text("messaging.operation.name", "publish")
                .number("messaging.batch.message_count", count as u64);
        }
        Phase::Settle => {
            attributes.text("messaging.operation.type", "settle");
        }
    }
}

fn append_call(spans: &mut Spans, attempt: Context, call: &Call, anchor: &Anchor) {
    spans.push(|span| {
        below(span, attempt, call.span_id, Kind::Client, &call.method);
        anchor.times(span, call.began, call.ended);
        let mut attributes = span.attributes(ATTRIBUTES);
        attributes
            .text("http.request.method", &call.method)
            .text("wharf.need", &call.need);
        if let Some((address, port)) = &call.server {
            attributes
                .text("server.address", address)
                .number("server.port", (*port).into());
        }
        if let Some(status) = call.status {
            attributes.number("http.response.status_code", status.into());
        }
        if let Some(code) = call_error(call.result) {
            failed(span, &code);
        }
    });
}

/// What the policy of the need counts as a failure, no more: a declined card is
/// an answer.
fn call_error(result: CallResult) -> Option<Cow<'static, str>> {
    match result {
        CallResult::Answered => None,
        CallResult::FailureStatus(status) => Some(status.to_string().into()),
        CallResult::NotSent => Some("not-sent".into()),
        CallResult::UnknownOutcome => Some("unknown-outcome".into()),
        CallResult::Refused => Some("refused".into()),
        CallResult::TooLarge => Some("too-large".into()),
    }
}

/// Begins a span below another of this host.
fn below(span: &mut Message, parent: Context, span_id: u64, kind: Kind, name: &str) {
    identity(span, parent.with_span(span_id), Some(parent.span_id), 0);
    span.text(NAME, name);
    span.varint(KIND, kind as u64);
}

/// Which span it is, below which; `remote` is [`PARENT_IS_REMOTE`] or 0.
fn identity(span: &mut Message, context: Context, parent: Option<u64>, remote: u32) {
    let Context {
        trace_id,
        span_id,
        flags,
    } = context;
    span.bytes(1, &trace_id.to_be_bytes());
    span.bytes(2, &span_id.to_be_bytes());
    if let Some(parent) = parent {
        span.bytes(4, &parent.to_be_bytes());
    }
    span.fixed32(16, u32::from(flags) | PARENT_IS_KNOWN | remote);
}

/// An error with this code, which `error.type` names as well.
fn failed(span: &mut Message, code: &str) {
    span.attributes(ATTRIBUTES).text("error.type", code);
    span.message(15, |status| {
        status.text(2, code);
        status.varint(3, STATUS_ERROR);
    });
}
