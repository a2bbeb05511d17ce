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
use super::recording::{Attempt, Call, Child, Ended, Phase, Recording, What};
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
/// Of a span.
const ATTRIBUTES: u32 = 9;

/// A span before its attributes.
struct Outline<'a> {
    context: Context,
    parent: Option<u64>,
    remote_parent: bool,
    kind: Kind,
    name: Cow<'a, str>,
    began: Instant,
    ended: Instant,
    /// With a code it is an error, which `error.type` names as well.
    error: Option<Cow<'a, str>>,
}

/// Appends the spans of an event that ends now, its own first.
pub(super) fn append(spans: &mut Spans, event: &Ended) {
    let Ended {
        recording,
        outcome,
        ended,
    } = event;
    let anchor = Anchor::at_now(*ended);
    let code = match outcome {
        EventOutcome::Dead => Some(recording.death.as_deref().unwrap_or("dead")),
        _ => None,
    };
    let outline = Outline {
        context: recording.context,
        parent: recording.parent,
        remote_parent: true,
        kind: Kind::Consumer,
        name: match &recording.about.template {
            Some(template) => format!("process {template}").into(),
            None => "process".into(),
        },
        began: recording.began,
        ended: *ended,
        error: code.map(Cow::from),
    };
    span(spans, &outline, &anchor, |attributes| {
        of_process(attributes, recording, *outcome);
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

fn of_process(attributes: &mut Attributes<'_>, recording: &Recording, outcome: EventOutcome) {
    let about = &recording.about;
    let attempts = || recording.children.iter().filter_map(attempt_of);
    attributes
        .written(&recording.source.attributes)
        .text("messaging.destination.name", &about.destination)
        .text("messaging.message.id", &about.message_id)
        .text("wharf.key", &about.key)
        .text("wharf.outcome", outcome.as_str())
        .number("wharf.attempts", attempts().count() as u64);
    if let Some(template) = &about.template {
        attributes.text("messaging.destination.template", template);
    }
    if about.sequence > 0 {
        attributes.number("wharf.stream.sequence", about.sequence);
    }
    if let Some(attempt) = attempts().next_back() {
        attributes.number("wharf.handler.version", attempt.version.into());
    }
}

fn attempt_of(child: &Child) -> Option<&Attempt> {
    match &child.what {
        What::Attempt(_, attempt) => Some(attempt),
        What::Phase(_) => None,
    }
}

fn append_child(spans: &mut Spans, process: Context, child: &Child, anchor: &Anchor) {
    let outline = |span_id, kind, name: &'static str| Outline {
        context: process.with_span(span_id),
        parent: Some(process.span_id),
        remote_parent: false,
        kind,
        name: name.into(),
        began: child.began,
        ended: child.ended,
        error: None,
    };
    match &child.what {
        What::Phase(phase) => {
            let (kind, name) = named(*phase);
            let outline = outline(random_span_id(), kind, name);
            span(spans, &outline, anchor, |attributes| {
                of_phase(attributes, *phase);
            });
        }
        What::Attempt(span_id, attempt) => {
            let outline = Outline {
                error: attempt.error.as_deref().map(Cow::from),
                ..outline(*span_id, Kind::Internal, "invoke")
            };
            span(spans, &outline, anchor, |attributes| {
                attributes
                    .number("wharf.attempt", attempt.number.into())
                    .number("wharf.handler.version", attempt.version.into())
                    .text("wharf.result", attempt.result);
            });
            for call in &attempt.calls {
                append_call(spans, outline.context, call, anchor);
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
    let outline = Outline {
        context: attempt.with_span(call.span_id),
        parent: Some(attempt.span_id),
        remote_parent: false,
        kind: Kind::Client,
        name: call.method.as_str().into(),
        began: call.began,
        ended: call.ended,
        error: call_error(call.result),
    };
    span(spans, &outline, anchor, |attributes| {
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

fn span(
    spans: &mut Spans,
    outline: &Outline<'_>,
    anchor: &Anchor,
    attributes: impl FnOnce(&mut Attributes<'_>),
) {
    let Context {
        trace_id,
        span_id,
        flags,
    } = outline.context;
    let remote = outline.remote_parent && outline.parent.is_some();
    let remote = if remote { PARENT_IS_REMOTE } else { 0 };
    spans.push(|span: &mut Message| {
        span.bytes(1, &trace_id.to_be_bytes());
        span.bytes(2, &span_id.to_be_bytes());
        if let Some(parent) = outline.parent {
            span.bytes(4, &parent.to_be_bytes());
        }
        span.text(5, &outline.name);
        span.varint(6, outline.kind as u64);
        span.fixed64(7, anchor.at(outline.began));
        span.fixed64(8, anchor.at(outline.ended));
        let mut named = span.attributes(ATTRIBUTES);
        attributes(&mut named);
        if let Some(code) = &outline.error {
            named.text("error.type", code);
            span.message(15, |status| {
                status.text(2, code);
                status.varint(3, STATUS_ERROR);
            });
        }
        span.fixed32(16, u32::from(flags) | PARENT_IS_KNOWN | remote);
    });
}
