//! Whether streams keep what they acknowledged, in plain words.

use std::collections::BTreeSet;
use std::time::Duration;

use wharf_core::config::units::format_duration;
use wharf_core::place::Place;
use wharf_jetstream::api::stream::StreamInfo;
use wharf_jetstream::capabilities::{SYNC_ADVICE, Weakness, weaknesses};
use wharf_jetstream::catalog::{Catalog, Covering};

use super::finding::{Finding, advice, bad, good};
use crate::bundle::{self, Bundle};
use crate::codes::Code;

/// Looks at every stream that events or records of the handlers lie in.
pub fn look(catalog: &Catalog, place: &Place, bundles: &[Bundle]) -> Vec<Finding> {
    let (events, own) = names(catalog, place, bundles);
    let mut findings = Vec::new();
    for info in events.iter().filter_map(|name| catalog.get(name)) {
        findings.extend(stream(info, &weaknesses(&info.config)));
    }
    for info in own.iter().filter_map(|name| catalog.get(name)) {
        let found: Vec<Weakness> = weaknesses(&info.config)
            .into_iter()
            .filter(|weakness| !is_by_design(*weakness))
            .collect();
        findings.extend(stream(info, &found));
    }
    if findings.is_empty() {
        findings.push(advice(
            "durability",
            "no stream was looked at",
            "name bundles with --handlers, or a wharf.toml with --config",
        ));
    }
    findings.push(advice(
        "durability",
        "how often the broker writes to disk cannot be asked",
        SYNC_ADVICE,
    ));
    findings
}

/// The streams of events, and those that the host keeps.
fn names(
    catalog: &Catalog,
    place: &Place,
    bundles: &[Bundle],
) -> (BTreeSet<String>, BTreeSet<String>) {
    let mut events: BTreeSet<String> = place.streams.keys().cloned().collect();
    let mut own = BTreeSet::new();
    for manifest in bundles.iter().map(|bundle| &bundle.manifest) {
        events.insert(manifest.stream.clone());
        for template in manifest.emits.values() {
            if let Covering::One(info) = catalog.covering(&template.pattern()) {
                events.insert(info.config.name.clone());
            }
        }
        if let Ok(lineage) = bundle::lineage(&manifest.name) {
            own.extend([lineage.ledger_stream(), lineage.timer_stream()]);
        }
    }
    (events, own)
}

/// A ledger keeps the last record of an entity, a timer stream what has not
/// been answered: nothing of either is lost by that.
fn is_by_design(weakness: Weakness) -> bool {
    match weakness {
        Weakness::ForgetsPerSubject | Weakness::ForgetsWhenRead => true,
        Weakness::OneReplica
        | Weakness::InMemory
        | Weakness::AcknowledgedBeforeWritten
        | Weakness::ForgetsWhenFull
        | Weakness::ForgetsWithAge => false,
    }
}

fn stream(info: &StreamInfo, found: &[Weakness]) -> Vec<Finding> {
    let name = &info.config.name;
    if found.is_empty() {
        let window = format_duration(Duration::from_nanos(info.config.duplicate_window));
        let replicas = info.config.num_replicas;
        return vec![good(
            "durability",
            format!("stream {name}: {replicas} replicas, knows message ids for {window}"),
        )];
    }
    let finding = |weakness: &Weakness| {
        bad(
            "durability",
            Code::NotDurable,
            format!("stream {name}: {}", weakness.reason()),
            weakness.remedy(),
        )
    };
    found.iter().map(finding).collect()
}
