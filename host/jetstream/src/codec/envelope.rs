//! The plain JSON envelope `{id, type, aggregate_id, data, timestamp, trace_id}`.
//!
//! The first three of `id`, `type`, `data` must be there, and be texts but for
//! `data`; other members mean nothing. `aggregate_id` becomes an attribute.
//! `timestamp` is RFC 3339 or whole milliseconds since 1970. `trace_id` is a
//! `traceparent`, or the 32 hexadecimal digits of a trace.

use super::fields::Fields;
use super::{blank, json, millis};
use crate::pull::Delivery;
use bytes::Bytes;
use serde_json::value::RawValue;
use wharf_core::event::{Event, Undecodable};

const MEMBERS: [&str; 6] = [
    "id",
    "type",
    "aggregate_id",
    "data",
    "timestamp",
    "trace_id",
];

pub(super) struct Envelope {
    id: String,
    event_type: String,
    aggregate_id: Option<String>,
    data: Bytes,
    time_ms: Option<u64>,
    trace: Option<String>,
}

impl Envelope {
    /// None when the payload is not an envelope but plain bytes.
    ///
    /// # Errors
    /// It is one, and says something twice.
    pub(super) fn recognise(payload: &Bytes) -> Result<Option<Self>, Undecodable> {
        // Most raw payloads are told by their first byte.
        if payload.trim_ascii_start().first() != Some(&b'{') {
            return Ok(None);
        }
        let Ok(mut members) = json::members(payload) else {
            return Ok(None);
        };
        members
            .0
            .retain(|(name, _)| MEMBERS.contains(&name.as_str()));
        let text = |name| members.get(name).and_then(json::text);
        let (Some(id), Some(event_type), Some(data)) =
            (text("id"), text("type"), members.get("data"))
        else {
            return Ok(None);
        };
        if let Some(name) = members.repeated() {
            let reason = format!("the envelope's member `{name}` is there twice");
            return Err(Undecodable::Structured { reason });
        }
        Ok(Some(Self {
            id,
            event_type,
            aggregate_id: text("aggregate_id"),
            data: json::source(payload, data),
            time_ms: members.get("timestamp").and_then(timestamp),
            trace: text("trace_id").as_deref().and_then(traceparent),
        }))
    }

    pub(super) fn into_event(self, delivery: &Delivery, fields: Fields<'_>) -> Event {
        let mut event = blank(delivery, fields);
        event.id = self.id;
        event.event_type = self.event_type;
        event.content_type = "application/json".to_owned();
        event.time_ms = self.time_ms.unwrap_or(event.time_ms);
        event
            .attributes
            .extend(self.aggregate_id.map(|id| ("aggregate_id".to_owned(), id)));
        event.traceparent = event.traceparent.or(self.trace);
        event.data = self.data;
        event
    }
}

fn timestamp(value: &RawValue) -> Option<u64> {
    match json::text(value) {
        Some(text) => millis(&text),
        None => value.get().parse().ok(),
    }
}

/// A trace without a span: half of the trace stands for the span that nobody
/// named, so that the event joins the trace.
fn traceparent(trace: &str) -> Option<String> {
    let hex = |text: &str| {
        text.bytes().all(|byte| byte.is_ascii_hexdigit()) && text.bytes().any(|byte| byte != b'0')
    };
    let parts: Vec<&str> = trace.split('-').collect();
    match parts[..] {
        ["00", trace_id, span, flags] => {
            let lengths = (trace_id.len(), span.len(), flags.len()) == (32, 16, 2);
            (lengths && hex(trace_id) && hex(span)).then(|| trace.to_owned())
        }
        [trace_id] if trace_id.len() == 32 && trace_id.is_ascii() => {
            let span = &trace_id[16..];
            (hex(trace_id) && hex(span))
                .then(|| format!("00-{trace_id}-{span}-01").to_ascii_lowercase())
        }
        _ => None,
    }
}
