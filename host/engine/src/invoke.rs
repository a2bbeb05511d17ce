//! One attempt: guest code on one event, once.
//!
//! Whatever happens, a [`Report`] comes back: this never retries and decides
//! nothing. After a time-out, a cancellation or a fault the instance is thrown
//! away, since nothing is known about what it holds.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::SemaphorePermit;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use wharf_core::contract::Event;
use wharf_core::limits::Limits;
use wharf_core::outcome::{Call, Outcome};

use crate::bindings::types as wit;
use crate::classify::{Evidence, classify};
use crate::component::Component;
use crate::context::{Desk, Scene, Subject};
use crate::journal::{Journal, Speaker};
use crate::observations::Observation;
use crate::outbound::trace::{Exchange, Trace};
use crate::runtime::Runtime;
use crate::start::{Exports, Instance};

pub(crate) use crate::classify::{Ended, Step};

/// What an attempt is made on. Not printable: it holds payloads.
#[derive(Clone)]
pub struct Attempt<'a> {
    /// As the handler sees it; `now_ms` is where its wall clock stands.
    pub event: Arc<Event>,
    /// The event's bytes.
    pub data: &'a [u8],
    /// What the handler last put for the entity; none when it has none.
    pub state: Option<State<'a>>,
    /// The handler's lineage: part of every derived key.
    pub lineage: Arc<str>,
    /// Its place in a trace.
    pub trace: Trace,
    /// Ends the attempt, uncounted: drain, swap, lost ownership.
    pub cancel: CancellationToken,
}

/// Stored state, and the shape that it has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct State<'a> {
    /// As it was put.
    pub bytes: &'a [u8],
    /// `state.version` of the manifest under which it was put.
    pub version: u32,
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// Every call to a need, in order, also when the attempt did not end well.
    pub calls: Vec<Call>,
    /// The calls as a trace tells them; empty when nobody records it.
    pub exchanges: Vec<Exchange>,
    /// What the guest measured, already held to the manifest.
    pub observations: Vec<Observation>,
    /// Observations and labels that the manifest does not declare.
    pub observations_dropped: u64,
    /// Bytes of log lines beyond `limits.log_bytes`.
    pub log_bytes_cut: u64,
    /// Whether an instance was started for it; else one was used again.
    pub started: bool,
    /// Time spent waiting for a free instance, before the attempt began.
    pub waited: Duration,
    /// Time on the clock, from the start of the instance to the answer.
    pub wall: Duration,
    /// CPU time, host functions included, waiting left out. For an attempt that
    /// ends within one tick (5 ms): time on the clock, less waiting.
    pub cpu: Duration,
    /// All linear memories of the instance at the end, in bytes.
    pub memory_bytes: u64,
}

impl Runtime {
    /// Makes one attempt. Waits for a free instance first.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the guest like a cancellation, and loses the
    /// report: calls that it made are forgotten. Use `cancel` instead.
    pub async fn invoke(&self, component: &Component, attempt: Attempt<'_>) -> Report {
        let asked = Instant::now();
        // Declared first, so that the slot is given back after the instance.
        let Some(_slot) = self.slot(&attempt.cancel).await else {
            return Report::cancelled(asked.elapsed());
        };
        let began = Instant::now();
        let mut instance = prepare(component, &attempt, began);
        let started = instance.exports.is_none();
        let desk = Arc::clone(&instance.store.data().desk);
        let limits = &component.settings.limits;
        let ended = {
            let work = pin!(handle(&mut instance, component, &attempt));
            bounded(&desk, limits, &attempt.cancel, work).await
        };
        let ended = ended.map_or_else(|ended| ended, Ended::Returned);
        let outcome = classified(&instance, ended);
        let mut report = Report::take(&mut instance, outcome);
        report.started = started;
        report.waited = began - asked;
        report.wall = began.elapsed();
        component.keep(instance, &report.outcome);
        report
    }

    /// None when the attempt is cancelled before there is room for it.
    async fn slot(&self, cancel: &CancellationToken) -> Option<SemaphorePermit<'_>> {
        if cancel.is_cancelled() {
            return None;
        }
        if let Ok(slot) = self.slots.try_acquire() {
            return Some(slot);
        }
        tokio::select! {
            slot = self.slots.acquire() => slot.ok(),
            () = cancel.cancelled() => None,
        }
    }
}

/// An instance with the attempt's scene set: one that waited, or a new one
/// that is not started yet.
fn prepare(component: &Component, attempt: &Attempt<'_>, began: Instant) -> Instance {
    let event = &attempt.event;
    let limits = &component.settings.limits;
    let journal = Journal::new(
        Some(Speaker {
            handler: Arc::clone(&component.settings.handler),
            version: Arc::clone(&component.version),
            event: Arc::clone(event),
            trace: attempt.trace,
        }),
        limits.log_bytes,
    );
    let subject = Subject {
        event: Arc::clone(event),
        lineage: Arc::clone(&attempt.lineage),
        trace: attempt.trace,
        deadline: began + limits.time,
    };
    let scene = Scene {
        subject: Some(subject),
        ..Scene::default()
    };
    let seed = &event.idempotency_key;
    if let Some(mut instance) = component.warm.take() {
        let context = instance.store.data_mut();
        context.desk.clear(journal, event.now_ms, seed);
        context.limiter.begin();
        context.scene = scene;
        instance.store.set_epoch_deadline(1);
        return instance;
    }
    let desk = Desk::new(journal, event.now_ms, seed);
    // The key is a hash already; the guest's hash tables need no better seed.
    let insecure = u128::from_str_radix(seed, 16).unwrap_or(0);
    Instance::new(component, desk, scene, insecure)
}

/// Start, migrate if need be, handle.
async fn handle(
    instance: &mut Instance,
    component: &Component,
    attempt: &Attempt<'_>,
) -> Result<Result<wit::Effects, wit::Failure>, Ended> {
    let exports = instance.started(component).await.map_err(Ended::start)?;
    let migrated = migrate(instance, &exports, component, attempt.state).await?;
    let state = migrated
        .as_deref()
        .or(attempt.state.map(|state| state.bytes));
    let attributes: Vec<(&str, &str)> = attempt
        .event
        .attributes
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    let event = borrowed(&attempt.event, &attributes);
    let answer = exports
        .handler
        .call_handle(&mut instance.store, event, attempt.data, state)
        .await;
    instance.events += 1;
    answer.map_err(|error| Ended::Stopped {
        step: Step::Handle,
        error,
    })
}

/// The state in the component's own shape; none when it has that already.
async fn migrate(
    instance: &mut Instance,
    exports: &Exports,
    component: &Component,
    state: Option<State<'_>>,
) -> Result<Option<Vec<u8>>, Ended> {
    let ours = component.settings.state_version;
    let Some(state) = state.filter(|state| state.version != ours) else {
        return Ok(None);
    };
    if state.version > ours {
        return Err(Ended::StateTooNew {
            stored: state.version,
            ours,
        });
    }
    let Some(migration) = &exports.migration else {
        return Err(Ended::NoMigration {
            stored: state.version,
            ours,
        });
    };
    match migration
        .call_migrate(&mut instance.store, state.version, state.bytes)
        .await
    {
        Ok(Ok(migrated)) => Ok(Some(migrated)),
        Ok(Err(message)) => Err(Ended::MigrationRefused {
            stored: state.version,
            ours,
            message,
        }),
        Err(error) => Err(Ended::Stopped {
            step: Step::Migrate,
            error,
        }),
    }
}

/// Runs guest code under its time limits. The wall clock stands outside of
/// everything, since a sleeping host call cannot be interrupted from within.
///
/// # Errors
///
/// What `work` ended with, or that it was ended from here.
pub(crate) async fn bounded<T>(
    desk: &Desk,
    limits: &Limits,
    cancel: &CancellationToken,
    work: Pin<&mut impl Future<Output = Result<T, Ended>>>,
) -> Result<T, Ended> {
    let deadline = Instant::now() + limits.time;
    tokio::select! {
        biased;
        done = timeout_at(deadline, desk.meter.measure(work)) => {
            done.unwrap_or(Err(Ended::WallTime))
        }
        () = cancel.cancelled() => Err(Ended::Cancelled),
    }
}

/// The outcome of what ended on this instance.
pub(crate) fn classified(instance: &Instance, ended: Ended) -> Outcome {
    let context = instance.store.data();
    let evidence = Evidence {
        limits: &context.settings.limits,
        refused: context.limiter.refused(),
        journal: &context.desk.journal(),
    };
    classify(ended, &evidence)
}

fn borrowed<'a>(event: &'a Event, attributes: &'a [(&'a str, &'a str)]) -> wit::Event<'a> {
    wit::Event {
        id: &event.id,
        source: &event.source,
        event_type: &event.event_type,
        subject: &event.subject,
        key: &event.key,
        content_type: &event.content_type,
        time_ms: event.time_ms,
        now_ms: event.now_ms,
        sequence: event.sequence,
        attempt: event.attempt,
        first_try: event.first_try,
        idempotency_key: &event.idempotency_key,
        correlation_id: &event.correlation_id,
        causation_id: event.causation_id.as_deref(),
        attributes,
    }
}

impl Component {
    /// An instance that ended in order may handle another event, unless it has
    /// grown: what leaks in one event would end a later one.
    fn keep(&self, instance: Instance, outcome: &Outcome) {
        use wharf_core::manifest::InstancePolicy::{Fresh, Reuse};
        let grown = instance.store.data().limiter.is_nearly_full();
        match (self.settings.instance, outcome) {
            (Reuse, Outcome::Done(_) | Outcome::Failed(_)) if !grown => self.warm.give(instance),
            (Reuse, Outcome::Done(_) | Outcome::Failed(_)) => drop(instance),
            (Reuse, Outcome::GuestFault(_) | Outcome::HostFault(_) | Outcome::Cancelled)
            | (Fresh, _) => drop(instance),
        }
    }
}

impl Report {
    fn cancelled(waited: Duration) -> Self {
        Self {
            outcome: Outcome::Cancelled,
            calls: Vec::new(),
            exchanges: Vec::new(),
            observations: Vec::new(),
            observations_dropped: 0,
            log_bytes_cut: 0,
            started: false,
            waited,
            wall: Duration::ZERO,
            cpu: Duration::ZERO,
            memory_bytes: 0,
        }
    }

    fn take(instance: &mut Instance, outcome: Outcome) -> Self {
        let context = instance.store.data_mut();
        let scene = std::mem::take(&mut context.scene);
        Self {
            outcome,
            calls: scene.calls,
            exchanges: scene.exchanges,
            observations: scene.observations.kept,
            observations_dropped: scene.observations.dropped,
            log_bytes_cut: context.desk.journal().finish(),
            cpu: context.desk.meter.spent(),
            memory_bytes: context.limiter.bytes() as u64,
            ..Self::cancelled(Duration::ZERO)
        }
    }
}
