//! From what was kept of an event to spans of OpenTelemetry.
//!
//! Names follow the semantic conventions for messaging and HTTP; what they have
//! no name for begins with `wharf.`. `docs/traces.md` lists all of it.

use std::borrow::Cow;
use std::time::{Instant, SystemTime};

use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use wharf_core::outcome::CallResult;
use wharf_core::trace::Context;

use super::random_span_id;
use super::recording::{Attempt, Call, Child, Ended, Phase, Recording, What};
use crate::metrics::EventOutcome;

/// One instant on both clocks. Taken anew for each batch, so that a wall clock
/// that is set does not leave all later spans beside it.
pub(super) struct Anchor {
    instant: Instant,
    time: SystemTime,
    scope: InstrumentationScope,
}

impl Anchor {
    pub(super) fn now() -> Self {
        let scope = InstrumentationScope::builder("wharf").with_version(env!("CARGO_PKG_VERSION"));
        Self {
            instant: Instant::now(),
            time: SystemTime::now(),
            scope: scope.build(),
        }
    }

    fn at(&self, instant: Instant) -> SystemTime {
        let ago = self.instant.saturating_duration_since(instant);
        self.time.checked_sub(ago).unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

/// A span before its attributes.
struct Outline {
    context: Context,
    parent: Option<u64>,
    remote_parent: bool,
    kind: SpanKind,
    name: Cow<'static, str>,
    began: Instant,
    ended: Instant,
}

/// Appends the event's spans, its own first.
pub(super) fn append(spans: &mut Vec<SpanData>, event: Ended, anchor: &Anchor) {
    let Ended {
        recording,
        outcome,
        ended,
    } = event;
    let context = recording.context;
    let attempts: Vec<&Attempt> = recording.children.iter().filter_map(attempt_of).collect();
    let (status, attributes) = of_process(&recording, &attempts, outcome);
    let outline = Outline {
        context,
        parent: recording.parent,
        remote_parent: true,
        kind: SpanKind::Consumer,
        name: match &recording.about.template {
            Some(template) => format!("process {template}").into(),
            None => "process".into(),
        },
        began: recording.began,
        ended,
    };
    spans.push(span(outline, status, attributes, anchor));
    for child in recording.children {
        append_child(spans, context, child, anchor);
    }
}

fn attempt_of(child: &Child) -> Option<&Attempt> {
    match &child.what {
        What::Attempt(_, attempt) => Some(attempt),
        What::Phase(_) => None,
    }
}

fn of_process(
    recording: &Recording,
    attempts: &[&Attempt],
    outcome: EventOutcome,
) -> (Status, Vec<KeyValue>) {
    let (source, about) = (&recording.source, &recording.about);
    let mut attributes = vec![
        KeyValue::new("messaging.system", "nats"),
        KeyValue::new("messaging.operation.type", "process"),
        KeyValue::new("messaging.operation.name", "process"),
        text("messaging.destination.name", &about.destination),
        text("messaging.message.id", &about.message_id),
        text("messaging.consumer.group.name", &source.handler),
        text("wharf.lineage", &source.lineage),
        text("wharf.key", &about.key),
        KeyValue::new("wharf.outcome", outcome.as_str()),
        number("wharf.attempts", attempts.len() as u64),
    ];
    if let Some(template) = &about.template {
        attributes.push(KeyValue::new(
            "messaging.destination.template",
            Value::String(template.clone().into()),
        ));
    }
    if about.sequence > 0 {
        attributes.push(number("wharf.stream.sequence", about.sequence));
    }
    if let Some(attempt) = attempts.last() {
        attributes.push(number("wharf.handler.version", attempt.version.into()));
    }
    let code = match outcome {
        EventOutcome::Dead => recording.death.as_deref().or(Some("dead")),
        _ => None,
    };
    (status(code, &mut attributes), attributes)
}

fn append_child(spans: &mut Vec<SpanData>, process: Context, child: Child, anchor: &Anchor) {
    let outline = |span_id, kind, name: &'static str| Outline {
        context: process.with_span(span_id),
        parent: Some(process.span_id),
        remote_parent: false,
        kind,
        name: name.into(),
        began: child.began,
        ended: child.ended,
    };
    match child.what {
        What::Phase(phase) => {
            let (kind, name, attributes) = of_phase(phase);
            let outline = outline(random_span_id(), kind, name);
            spans.push(span(outline, Status::Unset, attributes, anchor));
        }
        What::Attempt(span_id, attempt) => {
            let mut attributes = vec![
                number("wharf.attempt", attempt.number.into()),
                number("wharf.handler.version", attempt.version.into()),
                KeyValue::new("wharf.result", attempt.result),
            ];
            let status = status(attempt.error.as_deref(), &mut attributes);
            let outline = outline(span_id, SpanKind::Internal, "invoke");
            let context = outline.context;
            spans.push(span(outline, status, attributes, anchor));
            for call in attempt.calls {
                spans.push(of_call(context, call, anchor));
            }
        }
    }
}

fn of_phase(phase: Phase) -> (SpanKind, &'static str, Vec<KeyValue>) {
    let operation = |kind| KeyValue::new("messaging.operation.type", kind);
    match phase {
        Phase::LaneWait => (SpanKind::Internal, "lane wait", Vec::new()),
        Phase::Load => (SpanKind::Internal, "load", Vec::new()),
        Phase::Hold => (SpanKind::Internal, "hold", Vec::new()),
        Phase::Commit => (SpanKind::Internal, "commit", Vec::new()),
        // The emissions' parent is the process span: it outlives a crash in the
        // record, and so this one is a client and no producer.
        Phase::Publish(count) => {
            let attributes = vec![
                KeyValue::new("messaging.system", "nats"),
                operation("send"),
                KeyValue::new("messaging.operation.name", "publish"),
                number("messaging.batch.message_count", count as u64),
            ];
            (SpanKind::Client, "publish", attributes)
        }
        Phase::Park => (SpanKind::Internal, "park", Vec::new()),
        Phase::Settle => (SpanKind::Internal, "settle", vec![operation("settle")]),
    }
}

fn of_call(attempt: Context, call: Call, anchor: &Anchor) -> SpanData {
    let mut attributes = vec![
        KeyValue::new("http.request.method", call.method.clone()),
        KeyValue::new("wharf.need", call.need),
    ];
    if let Some((address, port)) = call.server {
        attributes.push(KeyValue::new("server.address", address));
        attributes.push(KeyValue::new("server.port", i64::from(port)));
    }
    if let Some(status) = call.status {
        attributes.push(KeyValue::new(
            "http.response.status_code",
            i64::from(status),
        ));
    }
    let error = call_error(call.result);
    let status = status(error.as_deref(), &mut attributes);
    let outline = Outline {
        context: attempt.with_span(call.span_id),
        parent: Some(attempt.span_id),
        remote_parent: false,
        kind: SpanKind::Client,
        name: call.method.into(),
        began: call.began,
        ended: call.ended,
    };
    span(outline, status, attributes, anchor)
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

fn span(outline: Outline, status: Status, attributes: Vec<KeyValue>, anchor: &Anchor) -> SpanData {
    let Context {
        trace_id,
        span_id,
        flags,
    } = outline.context;
    SpanData {
        span_context: SpanContext::new(
            TraceId::from(trace_id),
            SpanId::from(span_id),
            TraceFlags::new(flags),
            false,
            TraceState::NONE,
        ),
        parent_span_id: outline.parent.map_or(SpanId::INVALID, SpanId::from),
        parent_span_is_remote: outline.remote_parent && outline.parent.is_some(),
        span_kind: outline.kind,
        name: outline.name,
        start_time: anchor.at(outline.began),
        end_time: anchor.at(outline.ended),
        attributes,
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status,
        instrumentation_scope: anchor.scope.clone(),
    }
}

/// With a code it is an error, which `error.type` names as well.
fn status(code: Option<&str>, attributes: &mut Vec<KeyValue>) -> Status {
    match code {
        None => Status::Unset,
        Some(code) => {
            attributes.push(text("error.type", code));
            Status::error(code.to_owned())
        }
    }
}

fn text(key: &'static str, value: &str) -> KeyValue {
    KeyValue::new(key, value.to_owned())
}

fn number(key: &'static str, value: u64) -> KeyValue {
    KeyValue::new(key, i64::try_from(value).unwrap_or(i64::MAX))
}
