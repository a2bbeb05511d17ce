//! A handler as this host runs it: its streams, its ledger, its version.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;
use wharf_core::checkpoint::Checkpoint;
use wharf_core::commit::{Change, Stamp};
use wharf_core::ids::Identity;
use wharf_core::manifest::Subscription;
use wharf_core::outcome::HostFault;
use wharf_core::ownership::Named;
use wharf_core::pattern::Pattern;
use wharf_core::route::listens;
use wharf_engine::Runtime;
use wharf_jetstream::api::Api;
use wharf_jetstream::connection::Broker;
use wharf_jetstream::ledger::{Ledger, Usage};
use wharf_jetstream::names::Lineage;
use wharf_jetstream::parking::Parking;
use wharf_jetstream::publisher::Publisher;
use wharf_jetstream::reader::{self, Reader, SourceMark};
use wharf_jetstream::timers::{ArmResult, Timers};
use wharf_telemetry::metrics::HandlerMetrics;
use wharf_telemetry::traces::Tracer;

use crate::clock;
use crate::entity::Entity;
use crate::owner::Owner;
use crate::version::Version;
use crate::watchdog::Watchdog;
use crate::work::{Stopped, Work};

/// Everything that the lanes of one handler share.
pub struct Handler {
    pub name: String,
    pub lineage: Lineage,
    /// The same, to be shared with each attempt.
    pub lineage_text: Arc<str>,
    pub runtime: Arc<Runtime>,
    /// Swapped whole: a running attempt keeps the version it began on.
    pub version: ArcSwap<Version>,
    /// What the deployment names: another version while this host refuses it.
    pub in_use: ArcSwap<InUse>,
    /// 0 before any has named it.
    pub revision: AtomicU64,
    pub ledger: Ledger,
    pub parking: Parking,
    /// None when the manifest declares no timers.
    pub timers: Option<Timers>,
    pub publisher: Publisher,
    pub broker: Broker,
    pub api: Api,
    pub source: Source,
    pub in_flight: Semaphore,
    pub watchdog: Watchdog,
    pub metrics: Arc<HandlerMetrics>,
    pub tracer: Tracer,
    /// What the record may have.
    pub record_bytes_max: u64,
}

/// The version that has the traffic, as this host has heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InUse {
    pub version: Named,
    /// Of the deployment in the registry.
    pub revision: u64,
}

/// The incarnation of the stream that the handler reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub stream: String,
    pub created_ns: u64,
}

impl Handler {
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn identity<'a>(&'a self, work: &'a Work) -> Identity<'a> {
        let event = &work.event;
        Identity {
            lineage: self.lineage.as_str(),
            source: &event.source,
            id: &event.id,
            key: &work.key,
        }
    }

    /// What runs of it now. A caller that needs more than one thing of it takes
    /// it once.
    pub fn version(&self) -> Arc<Version> {
        self.version.load_full()
    }

    /// Hears of a deployment. What it names runs here, or soon will, or is refused.
    pub fn hear(&self, in_use: InUse) {
        self.in_use.store(Arc::new(in_use));
        self.note_revision();
    }

    /// Gives the traffic to another version that reads the same.
    pub fn swap(&self, version: Version) -> Arc<Version> {
        let before = self.version.swap(Arc::new(version));
        self.note_revision();
        before
    }

    fn note_revision(&self) {
        let in_use = self.in_use.load();
        if in_use.version == self.version().named() {
            self.revision.store(in_use.revision, Ordering::Relaxed);
        }
    }

    /// Of the last deployment that named what runs here. None: it stands in for one
    /// that cannot be run.
    pub fn revision(&self) -> Option<u64> {
        let revision = self.revision.load(Ordering::Relaxed);
        (revision > 0).then_some(revision)
    }

    /// Whether the event is settled without the guest. A version that came after
    /// it was unpacked may listen to it.
    pub fn ignores(&self, work: &Work) -> bool {
        work.ignored && listens(&self.version().manifest, &work.event).is_none()
    }

    /// A change of the record that `work` makes without an attempt.
    pub fn change<R>(
        &self,
        entity: &Entity,
        work: &Work,
        build: impl FnOnce(&Change<'_>) -> R,
    ) -> R {
        self.version().change(entity, work, build)
    }

    /// A change of the record that no event makes.
    pub fn stamp<R>(&self, entity: &Entity, build: impl FnOnce(&Stamp<'_>) -> R) -> R {
        build(&stamp(&entity.key))
    }

    /// Has the timer stream wake the entity at `due_ms`.
    ///
    /// # Errors
    /// [`Stopped`] when the lane is cut off.
    pub async fn arm(&self, owner: &Owner, entity: &Entity, due_ms: u64) -> Result<(), Stopped> {
        let Some(timers) = &self.timers else {
            return Ok(());
        };
        loop {
            match timers.arm(owner.partition, &entity.key, due_ms).await {
                ArmResult::Armed => return Ok(()),
                other => {
                    owner
                        .pause_after(&HostFault::broker(format!("arm a timer: {other:?}")), 250)
                        .await?;
                }
            }
        }
    }

    /// A reader of what these subscriptions select, behind a checkpoint, on a
    /// connection of its own.
    ///
    /// # Errors
    /// The broker cannot be reached.
    pub async fn reader(
        &self,
        checkpoint: &Checkpoint,
        on: &[Subscription],
    ) -> Result<Reader, wharf_jetstream::error::Error> {
        let links = self.broker.links(self.name()).await?;
        let mark = SourceMark {
            created_ns: checkpoint.created_ns,
            watermark: checkpoint.watermark,
            stored_ns: checkpoint.watermark_stored_ns,
        };
        let settings = reader::Settings::new(self.lineage.as_str());
        Ok(Reader::open(
            links,
            &self.source.stream,
            filters(on),
            mark,
            settings,
        ))
    }

    /// A fault of the host or the broker: said once a pause, never counted.
    pub fn report(&self, fault: &HostFault) {
        tracing::warn!(
            handler = self.name(),
            fault = fault.kind.code(),
            reason = fault.message,
            "host fault"
        );
    }

    /// The ledger is at 80 % of its limit.
    pub fn alarm_full(&self, usage: &Usage) {
        tracing::error!(
            handler = self.name(),
            bytes = usage.bytes,
            bytes_max = usage.bytes_max,
            "the ledger is nearly full: reading stops; raise the limit of its stream"
        );
    }

    /// The source holds a lower sequence with a later time: it was restored.
    pub fn alarm_restored(&self, work: &Work) {
        tracing::error!(
            handler = self.name(),
            event_id = work.event.id,
            key = work.key,
            sequence = work.event.position.sequence,
            "the source stream was restored: an event below the cursor is newer than it; it is handled as new"
        );
    }
}

/// What subscriptions select, as the broker's filters.
pub fn filters(on: &[Subscription]) -> Vec<String> {
    let patterns = on.iter().flat_map(|on| &on.subjects);
    patterns.map(Pattern::filter).collect()
}

/// Of a change that is made now.
pub fn stamp(key: &str) -> Stamp<'_> {
    Stamp {
        key,
        commit_id: clock::commit_id(),
        now_ms: clock::now_ms(),
    }
}
