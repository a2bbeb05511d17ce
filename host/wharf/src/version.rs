//! What a swap replaces: a component and the manifest that it runs under.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use wharf_core::checkpoint;
use wharf_core::commit::Change;
use wharf_core::deployment::{self, Digest};
use wharf_core::event::Event;
use wharf_core::manifest::{Manifest, Subscription};
use wharf_core::ownership::Named;
use wharf_engine::{Component, Report};
use wharf_telemetry::metrics::{AttemptResult, HandlerMetrics, NeedMetrics};

use crate::entity::Entity;
use crate::handler::stamp;
use crate::work::Work;

/// One version of a handler. An attempt takes it at its start, and is judged,
/// checked and committed by this one, whatever is swapped meanwhile. Its code is
/// unmapped when the last attempt lets it go.
pub struct Version {
    /// As the deployment counts them.
    pub number: u32,
    /// Of its manifest's text.
    pub manifest_digest: Digest,
    pub manifest: Manifest,
    pub component: Arc<Component>,
    /// The texts of the manifest's patterns, by subscription.
    pub templates: Vec<Vec<String>>,
    /// Where each emitted type goes.
    pub destinations: BTreeMap<String, Destination>,
    /// Of each need that the manifest names.
    pub needs: BTreeMap<String, Arc<NeedMetrics>>,
    /// What an emission may have on the wire.
    pub message_bytes_max: u64,
}

/// The stream that an emitted type goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    pub stream: String,
    pub duplicate_window_ms: u64,
}

/// The texts of the manifest's patterns, by subscription.
pub fn templates(manifest: &Manifest) -> Vec<Vec<String>> {
    let texts = |on: &Subscription| on.subjects.iter().map(ToString::to_string).collect();
    manifest.on.iter().map(texts).collect()
}

impl Version {
    /// Whether it is what a deployment names. A number alone may have been given
    /// twice, by a registry that was made again.
    pub fn is(&self, named: &deployment::Version) -> bool {
        self.number == named.number
            && self.digest() == named.component.0
            && self.manifest_digest == named.manifest
    }

    /// Whether a running reader and its lanes can go on with the other one.
    pub fn binds_like(&self, other: &Self) -> bool {
        let (before, after) = (&self.manifest, &other.manifest);
        before.stream == after.stream
            && before.ordering == after.ordering
            && before.delivery == after.delivery
            && before.max_in_flight == after.max_in_flight
            && before.needs.is_empty() == after.needs.is_empty()
            && before.timers.is_empty() == after.timers.is_empty()
            && checkpoint::generation(&before.on) == checkpoint::generation(&after.on)
    }

    /// As hosts compare what they run.
    pub fn named(&self) -> Named {
        Named {
            number: self.number,
            component: Digest(self.digest()),
        }
    }

    pub fn digest(&self) -> [u8; 32] {
        self.component.digest()
    }

    /// The pattern under which a subscription reads a subject.
    pub fn template(&self, subscription: usize, subject: &str) -> Option<&str> {
        let patterns = &self.manifest.on.get(subscription)?.subjects;
        let at = match patterns.len() {
            1 => 0,
            _ => patterns
                .iter()
                .position(|pattern| pattern.matches(subject).is_some())?,
        };
        Some(self.templates.get(subscription)?.get(at)?)
    }

    /// Extension attributes, then the headers that the manifest names.
    pub fn attributes(&self, event: &Event) -> Vec<(String, String)> {
        let named = event
            .headers
            .iter()
            .filter(|(name, _)| self.manifest.headers.contains(name));
        event.attributes.iter().chain(named).cloned().collect()
    }

    /// A change of the record that `work` makes under this version.
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

    /// Puts an attempt's measures and guest metrics where they belong.
    pub fn account(&self, metrics: &HandlerMetrics, report: &Report) {
        metrics.attempt(AttemptResult::of(&report.outcome), report.wall);
        if report.started {
            metrics.instance_started();
        }
        for seen in &report.observations {
            metrics.observe(&seen.metric, seen.value, &seen.labels);
        }
        for call in &report.calls {
            if let Some(need) = self.needs.get(&call.need) {
                need.call(call.result, Duration::from_millis(call.took_ms));
            }
        }
        if report.observations_dropped > 0 {
            metrics.metrics_dropped(report.observations_dropped);
        }
        if report.log_bytes_cut > 0 {
            metrics.log_bytes_cut(report.log_bytes_cut);
        }
    }
}
