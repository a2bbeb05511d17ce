//! What a lane works on, and what becomes of it.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytes::Bytes;
use wharf_core::admit::{Facts, Origin};
use wharf_core::event::{Event, Position};
use wharf_core::ids::{content_hash, event_hash};
use wharf_core::record::Flow;
use wharf_core::{commit, record};
use wharf_jetstream::pull::Delivery;
use wharf_telemetry::metrics::{EventOutcome, HandlerMetrics, Unsettled, UnsettledState};

/// An event on its way through a lane.
#[derive(Debug)]
pub struct Work {
    pub event: Event,
    pub key: String,
    pub place: Place,
    /// As it came, for parking; a timer has none.
    pub delivery: Option<Delivery>,
    /// No try of this event can have begun in an earlier process.
    pub first_seen: bool,
    pub received: Instant,
    /// The one gauge that counts it until it is settled (P6).
    pub gauge: Gauge,
}

/// Where the event came from; the owned form of `admit::Origin`.
#[derive(Debug, Clone)]
pub enum Place {
    Log { stream: String, created_ns: u64 },
    Queue { stream: String, created_ns: u64 },
    Shared,
    Timer { id: String },
}

/// Counts an event in exactly one state.
#[derive(Debug)]
pub struct Gauge(Mutex<Unsettled>);

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

impl Gauge {
    /// Counted as held: in a lane, not begun.
    pub fn new(metrics: &Arc<HandlerMetrics>) -> Self {
        Self(Mutex::new(metrics.unsettled(UnsettledState::Held)))
    }

    /// Counts it elsewhere from now on.
    pub fn set(&self, state: UnsettledState) {
        self.0.lock().expect("no panic while held").set(state);
    }
}

impl Settlement {
    /// As metrics name it.
    pub fn outcome(self) -> EventOutcome {
        match self {
            Self::Committed => EventOutcome::Committed,
            Self::Duplicate => EventOutcome::Duplicate,
            Self::Ignored => EventOutcome::Ignored,
            Self::Dead => EventOutcome::Dead,
            Self::Queued => EventOutcome::Queued,
        }
    }
}

impl Work {
    pub fn facts(&self) -> Facts<'_> {
        Facts {
            event: event_hash(&self.event.source, &self.event.id),
            content: content_hash(
                &self.event.event_type,
                &self.event.subject,
                &self.event.data,
            ),
            origin: self.origin(),
        }
    }

    fn origin(&self) -> Origin<'_> {
        let at = self.event.position;
        match &self.place {
            Place::Log { stream, created_ns } => Origin::Log {
                at,
                stream,
                created_ns: *created_ns,
            },
            Place::Queue { stream, created_ns } => Origin::Queue {
                at,
                stream,
                created_ns: *created_ns,
            },
            Place::Shared => Origin::Shared { at },
            Place::Timer { id } => Origin::Timer { id },
        }
    }

    /// What this event's emissions and timers inherit.
    pub fn flow(&self) -> Flow {
        let event = &self.event;
        Flow {
            correlation_id: event
                .correlation_id
                .clone()
                .unwrap_or_else(|| event.id.clone()),
            causation_id: event.id.clone(),
            hops: event.hops + 1,
            traceparent: event.traceparent.clone(),
            tracestate: event.tracestate.clone(),
        }
    }

    /// The event that a timer comes back as.
    pub fn timer(key: &str, timer: &record::Timer, metrics: &Arc<HandlerMetrics>) -> Self {
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
            delivery: None,
            event,
            key: key.to_owned(),
            place: Place::Timer { id },
            first_seen: false,
            received: Instant::now(),
            gauge: Gauge::new(metrics),
        }
    }
}
