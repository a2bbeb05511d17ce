//! From deliveries to events, and from emissions to messages.
//!
//! Four wire forms are read; the first that applies is the one:
//!
//! 1. *Structured* CloudEvents: the content type is `application/cloudevents…`.
//!    Only the JSON format is understood; headers say nothing about the event.
//! 2. *Binary* CloudEvents: there is a `ce-…` header. Names are compared
//!    without case, values are percent-decoded.
//! 3. The *envelope* `{id, type, aggregate_id, data, timestamp, trace_id}`: the
//!    payload is a JSON object with texts `id` and `type`, and `data`.
//! 4. *Raw* bytes: everything else. The id is `Nats-Msg-Id`, else
//!    `<stream>/<created>/<sequence>`.
//!
//! A form that applies and is broken is [`Undecodable`], never read as the
//! next one: an event that changed its id by losing a header would run again.

mod encode;
mod envelope;
mod fields;
mod json;
mod structured;

use crate::pull::{Delivery, is_subject_text};
use fields::{Attributes, Fields};
use std::borrow::Cow;
use wharf_core::event::{Event, Undecodable};

pub use encode::{EncodeError, Encoded, Outgoing, encode};

/// Longest id of an event, in bytes.
const ID_BYTES_MAX: usize = 256;
const STRUCTURED: &str = "application/cloudevents";

/// Bounds of what is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The header block as it is on the wire, in bytes.
    pub header_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_bytes: 64 << 10,
        }
    }
}

/// Reads an event from a delivery.
///
/// # Errors
/// Why it is not one. The delivery keeps its bytes, to be parked.
pub fn decode(delivery: &Delivery, limits: &Limits) -> Result<Event, Undecodable> {
    let (bytes, max) = (delivery.headers.bytes(), limits.header_bytes);
    if bytes > max {
        return Err(Undecodable::HeadersTooLarge { bytes, max });
    }
    // Different bytes are shown alike: taken as text, two keys would be one.
    if !is_subject_text(&delivery.subject) {
        return Err(Undecodable::SubjectNotUtf8);
    }
    let entries = delivery.headers.entries();
    let fields = Fields::read(&entries)?;
    let content_type = fields
        .single("content-type")?
        .unwrap_or_default()
        .to_owned();
    let event = if is_structured(&content_type) {
        structured::decode(delivery, fields, &content_type)?
    } else if !fields.attributes.is_empty() {
        binary(delivery, fields, content_type)?
    } else if let Some(envelope) = envelope::Envelope::recognise(&delivery.payload)? {
        envelope.into_event(delivery, fields)
    } else {
        raw(delivery, fields, content_type)?
    };
    match event.id.len() {
        1..=ID_BYTES_MAX => Ok(event),
        bytes => Err(Undecodable::IdLength { bytes }),
    }
}

fn binary(
    delivery: &Delivery,
    mut fields: Fields<'_>,
    content_type: String,
) -> Result<Event, Undecodable> {
    let attributes = std::mem::take(&mut fields.attributes);
    let mut event = cloud_event(delivery, fields, attributes)?;
    if !content_type.is_empty() {
        event.content_type = content_type;
    }
    event.data = delivery.payload.clone();
    Ok(event)
}

fn raw(
    delivery: &Delivery,
    fields: Fields<'_>,
    content_type: String,
) -> Result<Event, Undecodable> {
    let id = match fields.single("nats-msg-id")? {
        Some(id) if !id.is_empty() => id.to_owned(),
        Some(_) | None => {
            let (origin, sequence) = (&delivery.origin, delivery.position.sequence);
            format!("{}/{}/{sequence}", origin.stream, origin.created_ns)
        }
    };
    let mut event = blank(delivery, fields);
    event.id = id;
    event.content_type = content_type;
    event.data = delivery.payload.clone();
    Ok(event)
}

/// An event from CloudEvents attributes, wherever they stood. Those that the
/// host gives a meaning of its own are lifted out.
fn cloud_event(
    delivery: &Delivery,
    fields: Fields<'_>,
    mut attributes: Attributes<'_>,
) -> Result<Event, Undecodable> {
    let mut take = |name: &str| {
        let at = attributes.iter().position(|(found, _)| found == name)?;
        Some(attributes.remove(at).1).filter(|value| !value.is_empty())
    };
    let missing = |name| Undecodable::MissingAttribute { name };
    let version = take("specversion").ok_or(missing("specversion"))?;
    if version != "1.0" {
        return Err(Undecodable::SpecVersion { found: version });
    }
    let mut event = blank(delivery, fields);
    event.id = take("id").ok_or(missing("id"))?;
    event.source = take("source").ok_or(missing("source"))?;
    event.event_type = take("type").ok_or(missing("type"))?;
    if let Some(time_ms) = take("time").as_deref().and_then(millis) {
        event.time_ms = time_ms;
    }
    event.content_type = take("datacontenttype").unwrap_or_default();
    event.correlation_id = take("correlationid");
    event.causation_id = take("causationid");
    // Not a number: somebody else's attribute of that name, so a first hop.
    event.hops = take("wharfhops")
        .and_then(|hops| hops.parse().ok())
        .unwrap_or(0);
    let trace = (take("traceparent"), take("tracestate"));
    if event.traceparent.is_none() {
        (event.traceparent, event.tracestate) = trace;
    }
    let owned = |(name, value): (Cow<'_, str>, String)| (name.into_owned(), value);
    event.attributes = attributes.into_iter().map(owned).collect();
    Ok(event)
}

/// What all forms have in common; the rest is empty.
fn blank(delivery: &Delivery, fields: Fields<'_>) -> Event {
    let (traceparent, tracestate) = fields.trace();
    Event {
        id: String::new(),
        source: String::new(),
        event_type: String::new(),
        subject: delivery.subject.clone(),
        content_type: String::new(),
        time_ms: delivery.position.stored_ns / 1_000_000,
        position: delivery.position,
        correlation_id: None,
        causation_id: None,
        attributes: Vec::new(),
        headers: fields.others,
        hops: 0,
        traceparent,
        tracestate,
        data: bytes::Bytes::new(),
    }
}

/// RFC 3339 to milliseconds; None when it is none, or lies before 1970.
fn millis(text: &str) -> Option<u64> {
    crate::api::stamp::parse(text)
        .map(|nanos| nanos / 1_000_000)
        .filter(|millis| *millis > 0)
}

fn is_structured(content_type: &str) -> bool {
    let start = bare(content_type).get(..STRUCTURED.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(STRUCTURED))
}

/// The media type without parameters, in lower case.
fn media_type(content_type: &str) -> String {
    bare(content_type).to_ascii_lowercase()
}

fn bare(content_type: &str) -> &str {
    let (media_type, _) = content_type.split_once(';').unwrap_or((content_type, ""));
    media_type.trim()
}

fn is_json(media_type: &str) -> bool {
    media_type.is_empty() || media_type.ends_with("/json") || media_type.ends_with("+json")
}

#[cfg(test)]
mod tests;
