//! A handler as this host runs it: its manifest, its component, its ledger.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;
use wharf_core::checkpoint::Checkpoint;
use wharf_core::commit::{Change, Stamp};
use wharf_core::event::Event;
use wharf_core::ids::Identity;
use wharf_core::manifest::Manifest;
use wharf_core::outcome::HostFault;
use wharf_core::pattern::Pattern;
use wharf_engine::{Component, Report, Runtime};
use wharf_jetstream::api::Api;
use wharf_jetstream::connection::Broker;
use wharf_jetstream::ledger::{Ledger, Usage};
use wharf_jetstream::names::Lineage;
use wharf_jetstream::parking::Parking;
use wharf_jetstream::publisher::Publisher;
use wharf_jetstream::reader::{self, Reader, SourceMark};
use wharf_jetstream::timers::{ArmResult, Timers};
use wharf_telemetry::metrics::{AttemptResult, HandlerMetrics, NeedMetrics};

use crate::clock;
use crate::entity::Entity;
use crate::owner::Owner;
use crate::work::{Stopped, Work};

/// Everything that the lanes of one handler share.
pub struct Handler {
    pub manifest: Manifest,
    pub lineage: Lineage,
    /// The same, to be shared with each attempt.
    pub lineage_text: Arc<str>,
    pub runtime: Arc<Runtime>,
    /// Swapped whole: a running attempt keeps the version it began on.
    pub component: ArcSwap<Component>,
    pub ledger: Ledger,
    pub parking: Parking,
    /// None when the manifest declares no timers.
    pub timers: Option<Timers>,
    pub publisher: Publisher,
    pub broker: Broker,
    pub api: Api,
    pub source: Source,
    /// Where each emitted type goes.
    pub destinations: BTreeMap<String, Destination>,
    pub in_flight: Semaphore,
    pub metrics: Arc<HandlerMetrics>,
    /// Of each need that the manifest names.
    pub needs: BTreeMap<String, Arc<NeedMetrics>>,
    /// What an emission may have on the wire.
    pub message_bytes_max: u64,
    /// What the record may have.
    pub record_bytes_max: u64,
}

/// The stream that an emitted type goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    pub stream: String,
    pub duplicate_window_ms: u64,
}

/// The incarnation of the stream that the handler reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub stream: String,
    pub created_ns: u64,
}

impl Handler {
    pub fn name(&self) -> &str {
        &self.manifest.name
    }

    pub fn digest(&self) -> [u8; 32] {
        self.component.load().digest()
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

    /// Extension attributes, then the headers that the manifest names.
    pub fn attributes(&self, event: &Event) -> Vec<(String, String)> {
        let named = event
            .headers
            .iter()
            .filter(|(name, _)| self.manifest.headers.contains(name));
        event.attributes.iter().chain(named).cloned().collect()
    }

    /// A change of the record that `work` makes.
    pub fn change<R>(
        &self,
        entity: &Entity,
        work: &Work,
        build: impl FnOnce(&Change<'_>) -> R,
    ) -> R {
        let change = Change {
            stamp: stamp(&entity.key),
            facts: &work.facts(),
            dedup: &self.manifest.dedup,
            state: self.manifest.state.as_ref(),
            digest: &self.digest(),
        };
        build(&change)
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

    /// A reader of the source behind a checkpoint, on a connection of its own.
    ///
    /// # Errors
    /// The broker cannot be reached.
    pub async fn reader(
        &self,
        checkpoint: &Checkpoint,
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
            self.filters(),
            mark,
            settings,
        ))
    }

    /// What the handler subscribes to, as the broker's filters.
    pub fn filters(&self) -> Vec<String> {
        self.manifest
            .on
            .iter()
            .flat_map(|on| &on.subjects)
            .map(Pattern::filter)
            .collect()
    }

    /// Puts an attempt's measures and guest metrics where they belong.
    pub fn account(&self, report: &Report) {
        self.metrics
            .attempt(AttemptResult::of(&report.outcome), report.wall);
        for seen in &report.observations {
            self.metrics.observe(&seen.metric, seen.value, &seen.labels);
        }
        for call in &report.calls {
            if let Some(need) = self.needs.get(&call.need) {
                need.call(call.result, Duration::from_millis(call.took_ms));
            }
        }
        if report.observations_dropped > 0 {
            self.metrics.metrics_dropped(report.observations_dropped);
        }
        if report.log_bytes_cut > 0 {
            self.metrics.log_bytes_cut(report.log_bytes_cut);
        }
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

fn stamp(key: &str) -> Stamp<'_> {
    Stamp {
        key,
        commit_id: clock::commit_id(),
        now_ms: clock::now_ms(),
    }
}
