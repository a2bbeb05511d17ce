//! What a lane works on, and what becomes of it.

use std::pin::pin;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;
use wharf_core::admit::{Facts, Origin};
use wharf_core::event::{Event, Position};
use wharf_core::ids::{ContentHash, EventHash, content_hash, event_hash};
use wharf_core::record::Flow;
use wharf_core::trace::Context;
use wharf_core::{commit, record};
use wharf_jetstream::pull::Delivery;
use wharf_telemetry::metrics::{EventOutcome, HandlerMetrics, Unsettled, UnsettledState};
use wharf_telemetry::traces::{About, Trace};

use crate::handler::Handler;
use crate::spans;

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
    /// A try of it has begun in this one.
    pub begun: AtomicBool,
    /// Its type is not listed: it is settled without the guest, after what
    /// another version may have left of it is finished.
    pub ignored: bool,
    pub received: Instant,
    /// The one gauge that counts it until it is settled (P6).
    pub gauge: Gauge,
    /// Its span, and what happens below it.
    pub trace: Trace,
    pub hashes: Hashes,
}

/// What stands for the event in records, worked out once.
#[derive(Debug, Default)]
pub struct Hashes(OnceLock<(EventHash, ContentHash)>);

/// Where the event came from; the owned form of `admit::Origin`.
#[derive(Debug, Clone)]
pub enum Place {
    Log { stream: String, created_ns: u64 },
    Queue { stream: String, created_ns: u64 },
    Shared,
    Timer { id: String },
}

/// Counts an event in exactly one state, until it is counted by its record.
#[derive(Debug)]
pub struct Gauge(Mutex<Counted>);

#[derive(Debug)]
struct Counted {
    state: Option<Unsettled>,
    /// What it holds while it moves, where only so many may move at once.
    slot: Option<OwnedSemaphorePermit>,
}

/// An event, just come in.
#[derive(Debug)]
pub struct Arrival {
    /// As [`Work::first_seen`].
    pub first_seen: bool,
    pub received: Instant,
    pub gauge: Gauge,
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

/// Longer ids of a flow are replaced by the event's own: they would be carried
/// on in every header that follows.
const CORRELATION_BYTES_MAX: usize = 256;
/// What W3C Trace Context has every hop carry on at the least.
const TRACE_BYTES_MAX: usize = 512;

/// What takes longer is no longer under way.
const QUICK: Duration = Duration::from_secs(1);

/// The lane ends before the event is settled: it has not happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped;

impl Gauge {
    /// Counted as held: in a lane, not begun.
    pub fn new(metrics: &Arc<HandlerMetrics>) -> Self {
        Self(Mutex::new(Counted {
            state: Some(metrics.unsettled(UnsettledState::Held)),
            slot: None,
        }))
    }

    /// Counts it elsewhere from now on. One that waits for something takes
    /// nobody's place.
    pub fn set(&self, state: UnsettledState) {
        let mut counted = self.counted();
        if let Some(counted) = &mut counted.state {
            counted.set(state);
        }
        if !matches!(state, UnsettledState::Held | UnsettledState::InFlight) {
            counted.slot = None;
        }
    }

    /// It moves, until it is settled or waits for something.
    pub fn take_slot(&self, slot: OwnedSemaphorePermit) {
        self.counted().slot = Some(slot);
    }

    /// Another one may move when `work` takes long: it waits for something then.
    pub async fn while_quick<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        tokio::select! {
            biased;
            done = work.as_mut() => return done,
            // In a block, so that there is no timer for what is done at once.
            () = async { tokio::time::sleep(QUICK).await } => self.give_up_slot(),
        }
        work.await
    }

    /// It waits: another one may move.
    pub fn give_up_slot(&self) {
        self.counted().slot = None;
    }

    /// From now on the record counts it, as dead or queued.
    pub fn leave_to_record(&self) {
        self.counted().state = None;
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().expect("no panic while held")
    }
}

impl Arrival {
    /// It has come this moment.
    pub fn new(handler: &Handler, first_seen: bool) -> Self {
        Self {
            first_seen,
            received: Instant::now(),
            gauge: Gauge::new(&handler.metrics),
        }
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
    /// Its place in the log; 0 for a timer.
    pub fn sequence(&self) -> u64 {
        self.event.position.sequence
    }

    pub fn facts(&self) -> Facts<'_> {
        let (event, content) = *self.hashes.0.get_or_init(|| self.hash());
        Facts {
            event,
            content,
            origin: self.origin(),
        }
    }

    fn hash(&self) -> (EventHash, ContentHash) {
        let event = &self.event;
        (
            event_hash(&event.source, &event.id),
            content_hash(&event.event_type, &event.subject, &event.data),
        )
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
        let short = |text: &Option<String>, max| text.clone().filter(|text| text.len() <= max);
        Flow {
            correlation_id: short(&event.correlation_id, CORRELATION_BYTES_MAX)
                .unwrap_or_else(|| event.id.clone()),
            causation_id: event.id.clone(),
            hops: event.hops + 1,
            traceparent: self.traceparent(),
            tracestate: short(&event.tracestate, TRACE_BYTES_MAX).filter(|_| self.goes_on()),
        }
    }

    /// Whether it is in the trace that it came in. One whose `traceparent` is
    /// malformed begins another, to which its `tracestate` says nothing.
    fn goes_on(&self) -> bool {
        let Some(own) = self.trace.context() else {
            return true;
        };
        let brought = self.event.traceparent.as_deref().and_then(Context::parse);
        brought.is_some_and(|brought| brought.trace_id == own.trace_id)
    }

    /// What emissions and timers carry: the event's own span, so that they are
    /// below it; without traces what the event brought.
    pub fn traceparent(&self) -> Option<String> {
        let own = self.trace.context().map(|context| context.to_string());
        let brought = self.event.traceparent.as_ref();
        own.or_else(|| {
            brought
                .filter(|text| text.len() <= TRACE_BYTES_MAX)
                .cloned()
        })
    }

    /// The event that a timer comes back as.
    pub fn timer(key: &str, timer: &record::Timer, handler: &Handler) -> Self {
        let id = commit::record_timer_id(timer);
        let flow = timer.flow.clone().unwrap_or_default();
        let event = Event {
            id: id.clone(),
            source: record::TIMER_SOURCE.into(),
            event_type: format!("wharf.timer.{}", timer.name),
            subject: String::new(),
            content_type: String::new(),
            time_ms: timer.due_ms,
            position: Position::default(),
            correlation_id: Some(flow.correlation_id),
            causation_id: Some(flow.causation_id),
            attributes: Vec::new(),
            headers: Vec::new(),
            // A timer is no further hop: one that sets itself again is no loop.
            hops: flow.hops.saturating_sub(1),
            traceparent: flow.traceparent,
            tracestate: flow.tracestate,
            data: Bytes::from(timer.data.clone()),
        };
        let Arrival {
            first_seen,
            received,
            gauge,
        } = Arrival::new(handler, false);
        let about = About {
            destination: &event.event_type,
            template: Some(&event.event_type),
            ..spans::about(&event, key, None, received)
        };
        let trace = handler.tracer.begin(event.traceparent.as_deref(), &about);
        Self {
            delivery: None,
            trace,
            event,
            key: key.to_owned(),
            place: Place::Timer { id },
            first_seen,
            begun: AtomicBool::new(false),
            ignored: false,
            received,
            gauge,
            hashes: Hashes::default(),
        }
    }
}
