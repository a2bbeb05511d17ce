//! Versions of the probe that subscribe to different things, events for all of
//! them, and which of those count.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use wharf_core::checkpoint::Checkpoint;

use crate::probe::{Probe, bundle};
use crate::support::{Broker, SOON, until};

pub const KEYS: u64 = 20;

/// The first version.
pub const FIRST: &str = "subjects = [\"probe.{id}.first\"]\nkey = \"{id}\"";
/// One subject more.
pub const WIDER: &str = "subjects = [\"probe.{id}.first\", \"probe.{id}.second\"]\nkey = \"{id}\"";

/// The probe with this `[[on]]`, below `folder`.
pub fn version(folder: &Path, name: &str, on: &str) -> PathBuf {
    let built = bundle().join("probe");
    let bundles = folder.join(name);
    let made = bundles.join("probe");
    std::fs::create_dir_all(&made).expect("a folder");
    std::fs::copy(built.join("handler.wasm"), made.join("handler.wasm")).expect("copied");
    let manifest = std::fs::read_to_string(built.join("handler.toml")).expect("a manifest");
    let original = "subjects = [\"probe.{id}.>\"]\nkey = \"{id}\"";
    assert!(manifest.contains(original), "{manifest}");
    let manifest = manifest.replace(original, on);
    std::fs::write(made.join("handler.toml"), manifest).expect("written");
    bundles
}

/// Publishes to these subjects of all keys, one after another, until told to end;
/// the sequence of each line.
pub async fn load<B: Broker>(
    probe: &Probe<B>,
    kinds: &[&str],
    end: &AtomicBool,
) -> BTreeMap<String, u64> {
    let mut sent = BTreeMap::new();
    let mut pace = tokio::time::interval(Duration::from_millis(2));
    for nth in 0_usize.. {
        pace.tick().await;
        if end.load(Ordering::Relaxed) {
            break;
        }
        let kind = kinds[nth % kinds.len()];
        let line = format!("{kind} {nth}");
        let subject = format!("probe.{}.{kind}", nth as u64 % KEYS);
        let sequence = probe.publish(subject, "note", &line).await;
        sent.insert(line, sequence);
    }
    sent
}

/// Waits until another so many messages of the stream are settled.
pub async fn until_passed<B: Broker>(probe: &Probe<B>, more: u64) {
    let now = probe.ledger.checkpoint().await.watermark;
    probe.until_settled(now + more).await;
}

/// Waits until the subscription is another than that of `from`.
pub async fn until_changed<B: Broker>(probe: &Probe<B>, from: &Checkpoint) -> Checkpoint {
    until("the subscription to change", SOON, async || {
        let now = probe.ledger.checkpoint().await;
        (now.generation != from.generation).then_some(now)
    })
    .await
}

/// Which subjects count for an event, behind which sequence.
pub struct Counted {
    /// The subjects of each version, and behind which sequence they count.
    pub versions: Vec<(&'static [&'static str], u64)>,
    /// Where the last version may have found events of the removed subject that the
    /// one before it had not begun.
    pub removed: Range<u64>,
}

impl Counted {
    /// A first version, and nothing removed.
    pub fn from_the_start(kinds: &'static [&'static str]) -> Self {
        Self {
            versions: vec![(kinds, 0)],
            removed: 0..0,
        }
    }

    fn wants(&self, line: &str, sequence: u64) -> bool {
        let mut counting = self.versions.iter().rev();
        let version = counting.find(|(_, behind)| sequence > *behind);
        let (kinds, _) = version.expect("the first counts from the start");
        kinds.iter().any(|kind| line.starts_with(kind))
    }
}

/// Each event was told once, if its subject counted, and those of an entity in order.
pub fn assert_told_once(
    sent: &BTreeMap<String, u64>,
    told: &BTreeMap<String, Vec<String>>,
    counted: &Counted,
) {
    let mut unwanted = 0;
    for (line, sequence) in sent {
        let times = usize::from(counted.wants(line, *sequence));
        unwanted += 1 - times;
        let found = told.values().flatten().filter(|told| *told == line).count();
        let may_lack = line.starts_with("second") && counted.removed.contains(sequence);
        assert!(
            found == times || (may_lack && found == 0),
            "`{line}` at {sequence} was told {found} times; {:?}",
            counted.versions
        );
    }
    assert!(unwanted > 0 && unwanted < sent.len() / 2, "{unwanted}");
    for (entity, lines) in told {
        let order: Vec<u64> = lines.iter().map(|line| sent[line]).collect();
        assert!(order.is_sorted(), "{entity}: {lines:?}");
    }
}

/// What the probe has told, by entity.
pub async fn told<B: Broker>(probe: &Probe<B>) -> BTreeMap<String, Vec<String>> {
    let stored = probe.noted.read_matching("noted.>").await;
    let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for message in stored.expect("it answers") {
        let line = String::from_utf8(message.data).expect("text");
        told.entry(message.subject).or_default().push(line);
    }
    told
}
