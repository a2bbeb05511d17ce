//! Whether streams keep what they acknowledged, in plain words.

use std::collections::BTreeSet;
use std::time::Duration;

use wharf_core::config::units::format_duration;
use wharf_core::manifest::Manifest;
use wharf_core::place::Place;
use wharf_jetstream::api::stream::StreamInfo;
use wharf_jetstream::capabilities::{SYNC_ADVICE, Weakness, weaknesses};
use wharf_jetstream::catalog::{Catalog, Covering};

use super::finding::{Finding, advice, bad, good};
use crate::bundle;
use crate::codes::Code;

/// Looks at every stream that events or records of the handlers lie in.
pub fn look(catalog: &Catalog, place: &Place, manifests: &[&Manifest]) -> Vec<Finding> {
    let (events, own) = names(catalog, place, manifests);
    let streams = |names: BTreeSet<String>| names.into_iter().filter_map(|name| catalog.get(&name));
    let events = streams(events).map(|info| (info, weaknesses(&info.config)));
    let own = streams(own).map(|info| {
        let found = weaknesses(&info.config).into_iter();
        (
            info,
            found.filter(|weakness| !is_by_design(*weakness)).collect(),
        )
    });
    let looked: Vec<(&StreamInfo, Vec<Weakness>)> = events.chain(own).collect();
    let mut findings: Vec<Finding> = looked
        .iter()
        .filter(|(_, found)| found.is_empty())
        .map(|(info, _)| sound(info))
        .collect();
    findings.extend(unsound(&looked));
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
    manifests: &[&Manifest],
) -> (BTreeSet<String>, BTreeSet<String>) {
    let mut events: BTreeSet<String> = place.streams.keys().cloned().collect();
    let mut own = BTreeSet::new();
    for manifest in manifests {
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

fn sound(info: &StreamInfo) -> Finding {
    let name = &info.config.name;
    let window = format_duration(Duration::from_nanos(info.config.duplicate_window));
    let replicas = info.config.num_replicas;
    let fact = format!("stream {name}: {replicas} replicas, knows message ids for {window}");
    good("durability", fact)
}

/// One finding for each weakness, with all the streams that have it.
fn unsound(looked: &[(&StreamInfo, Vec<Weakness>)]) -> Vec<Finding> {
    let mut by_weakness: Vec<(Weakness, Vec<&str>)> = Vec::new();
    for (info, found) in looked {
        for weakness in found {
            let name = info.config.name.as_str();
            match by_weakness.iter_mut().find(|(known, _)| known == weakness) {
                Some((_, names)) => names.push(name),
                None => by_weakness.push((*weakness, vec![name])),
            }
        }
    }
    let finding = |(weakness, names): (Weakness, Vec<&str>)| {
        let noun = if names.len() == 1 {
            "stream"
        } else {
            "streams"
        };
        let fact = format!("{noun} {}: {}", names.join(", "), weakness.reason());
        bad("durability", Code::NotDurable, fact, weakness.remedy())
    };
    by_weakness.into_iter().map(finding).collect()
}
