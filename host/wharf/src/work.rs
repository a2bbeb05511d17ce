//! What a lane works on, and what becomes of it.

use std::time::Instant;

use bytes::Bytes;
use wharf_core::admit::{Facts, Origin};
use wharf_core::event::{Event, Position};
use wharf_core::ids::{content_hash, event_hash};
use wharf_core::record::{Attribute, Flow};
use wharf_core::{commit, record};

/// An event on its way through a lane.
#[derive(Debug, Clone)]
pub struct Work {
    pub event: Event,
    pub key: String,
    pub place: Place,
    pub parcel: Parcel,
    /// No try of this event can have begun in an earlier process.
    pub first_seen: bool,
    pub received: Instant,
}

/// Where the event came from; the owned form of `admit::Origin`.
#[derive(Debug, Clone)]
pub enum Place {
    Log { stream: String, created_ns: u64 },
    Queue { stream: String, created_ns: u64 },
    Shared,
    Timer { id: String },
}

/// The bytes as they came, for parking.
#[derive(Debug, Clone, Default)]
pub struct Parcel {
    pub subject: String,
    pub headers: Vec<Attribute>,
    /// The header block, when it is not UTF-8.
    pub raw_headers: Vec<u8>,
    pub data: Bytes,
}

/// How an event was settled. Metrics and logs carry it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settlement {
    Committed,
    Duplicate,
    Ignored,
    Dead,
    Queued,
}

/// The lane ends before the event is settled: it has not happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped;

impl Work {
    pub fn facts(&self) -> Facts<'_> {
        Facts {
            event: event_hash(&self.event.source, &self.event.id),
            content: content_hash(&self.event.event_type, &self.event.subject, &self.event.data),
            origin: self.origin(),
        }
    }

    fn origin(&self) -> Origin<'_> {
        let at = self.event.position;
        match &self.place {
            Place::Log { stream, created_ns } => Origin::Log { at, stream, created_ns: *created_ns },
            Place::Queue { stream, created_ns } => Origin::Queue { at, stream, created_ns: *created_ns },
            Place::Shared => Origin::Shared { at },
            Place::Timer { id } => Origin::Timer { id },
        }
    }

    /// What this event's emissions and timers inherit.
    pub fn flow(&self) -> Flow {
        let event = &self.event;
        Flow {
            correlation_id: event.correlation_id.clone().unwrap_or_else(|| event.id.clone()),
            causation_id: event.id.clone(),
            hops: event.hops + 1,
            traceparent: event.traceparent.clone(),
            tracestate: event.tracestate.clone(),
        }
    }

    /// The event that a timer comes back as.
    pub fn timer(key: &str, timer: &record::Timer) -> Self {
        let id = commit::record_timer_id(timer);
        let flow = timer.flow.clone().unwrap_or_default();
        let event = Event {
            id: id.clone(),
            source: "wharf".into(),
            event_type: format!("wharf.timer.{}", timer.name),
            subject: String::new(),
            content_type: String::new(),
            time_ms: timer.due_ms,
            position: Position::default(),
            correlation_id: Some(flow.correlation_id),
            causation_id: Some(flow.causation_id),
            attributes: Vec::new(),
            headers: Vec::new(),
            hops: flow.hops,
            traceparent: flow.traceparent,
            tracestate: flow.tracestate,
            data: Bytes::from(timer.data.clone()),
        };
        Self {
            parcel: Parcel { data: event.data.clone(), ..Parcel::default() },
            event,
            key: key.to_owned(),
            place: Place::Timer { id },
            first_seen: false,
            received: Instant::now(),
        }
    }
}
