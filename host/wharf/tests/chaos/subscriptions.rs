//! What a handler subscribes to changes while events come and hosts die.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use wharf_core::checkpoint::Checkpoint;
use wharf_demo::gateway::Modes;

use crate::alone;
use crate::probe::{Probe, STREAMS, bundle};
use crate::support::{Plan, SOON, Site, until};

const KEYS: u64 = 20;

/// The first version.
const FIRST: &str = "subjects = [\"probe.{id}.first\"]\nkey = \"{id}\"";
/// One subject more.
const WIDER: &str = "subjects = [\"probe.{id}.first\", \"probe.{id}.second\"]\nkey = \"{id}\"";
/// Both, and other entities.
const OTHER_KEYS: &str = "subjects = [\"probe.{id}.{kind}\"]\nkey = \"{kind}/{id}\"";

/// A site whose probe has the first version.
async fn site(folder: &Path, host: &str, hang: bool) -> Probe {
    let modes = Modes {
        hang,
        ..Modes::default()
    };
    let roomy = STREAMS.replace("1MiB", "64MiB");
    let plan = Plan::of(version(folder, "first", FIRST), &roomy).host(host);
    Probe::of(Site::provisioned(plan.modes(modes)).await).await
}

/// The probe with this `[[on]]`, below `folder`.
fn version(folder: &Path, name: &str, on: &str) -> PathBuf {
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

/// Publishes to both subjects of all keys, one after another, until told to end;
/// the sequence of each line.
async fn load(probe: &Probe, end: &AtomicBool) -> BTreeMap<String, u64> {
    let mut sent = BTreeMap::new();
    let mut pace = tokio::time::interval(Duration::from_millis(2));
    for nth in 0.. {
        pace.tick().await;
        if end.load(Ordering::Relaxed) {
            break;
        }
        let kind = if nth % 3 == 2 { "second" } else { "first" };
        let line = format!("{kind} {nth}");
        let subject = format!("probe.{}.{kind}", nth % KEYS);
        let sequence = probe.publish(subject, "note", &line).await;
        sent.insert(line, sequence);
    }
    sent
}

/// Waits until another so many messages of the stream are settled.
async fn until_passed(probe: &Probe, more: u64) {
    let now = probe.ledger.checkpoint().await.watermark;
    probe.until_settled(now + more).await;
}

/// The command says where the new subscription counts from.
async fn deploy_and_wait(probe: &Probe, bundles: &str) {
    let deploy = ["deploy", bundles, "--wait", "-o", "json"];
    let told = probe.site.operate(&deploy).await;
    let told: Value = serde_json::from_str(&told).expect("JSON");
    let told = &told["data"]["handlers"][0]["subscription"];
    assert_eq!(told["state"], "done", "{told}");
    let now = probe.ledger.checkpoint().await;
    assert_eq!(told["counts_behind"], now.counts_behind, "{now:?}");
}

async fn until_changed(probe: &Probe, from: &Checkpoint) -> Checkpoint {
    until("the subscription to change", SOON, async || {
        let now = probe.ledger.checkpoint().await;
        (now.generation != from.generation).then_some(now)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interleaving_31_a_subscription_that_changes_under_load_and_sigkill_loses_nothing() {
    let _machine = alone().await;
    let folder = tempfile::tempdir().expect("a folder");
    let probe = site(folder.path(), "lease = \"3s\"", false).await;
    let mut host = probe.site.host().await;
    let end = AtomicBool::new(false);
    let changes = async {
        let mut counted = Counted {
            versions: vec![("first", 0)],
            removed: 0..0,
        };
        let versions = [("wider", WIDER), ("keys", OTHER_KEYS), ("back", FIRST)];
        for (nth, (name, on)) in versions.into_iter().enumerate() {
            until_passed(&probe, 300).await;
            let before = probe.ledger.checkpoint().await;
            let bundles = version(folder.path(), name, on);
            let bundles = bundles.to_str().expect("UTF-8");
            if nth == 1 {
                // The host dies somewhere on the way from one to the other.
                probe.site.operate(&["deploy", bundles]).await;
                host.kill().await.expect("SIGKILL is sent");
                host = probe.site.host().await;
            } else {
                deploy_and_wait(&probe, bundles).await;
            }
            let now = until_changed(&probe, &before).await;
            assert!(now.counts_behind >= before.watermark, "{now:?}");
            println!("{name} counts behind {}", now.counts_behind);
            counted.versions.push((name, now.counts_behind));
            counted.removed = before.watermark..now.counts_behind + 1;
        }
        until_passed(&probe, 300).await;
        end.store(true, Ordering::Relaxed);
        counted
    };
    let (counted, sent) = tokio::join!(changes, load(&probe, &end));
    let first = |(line, sequence): (&String, &u64)| line.starts_with("first").then_some(*sequence);
    let last_first = sent.iter().filter_map(first).max().expect("some");
    probe.until_settled(last_first).await;
    assert_told_once(&sent, &told(&probe).await, &counted);
}

/// Which version's subscription counts for an event.
struct Counted {
    /// Each behind a sequence.
    versions: Vec<(&'static str, u64)>,
    /// Where the last version may have found events of the removed subject that the
    /// one before it had not begun.
    removed: Range<u64>,
}

impl Counted {
    fn wants(&self, line: &str, sequence: u64) -> bool {
        let mut counting = self.versions.iter().rev();
        let version = counting.find(|(_, behind)| sequence > *behind);
        let (version, _) = version.expect("the first counts from the start");
        line.starts_with("first") || ["wider", "keys"].contains(version)
    }
}

/// Each event was told once, if its subject counted, and those of an entity in order.
fn assert_told_once(
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_is_held_stops_no_other_while_the_subscription_changes() {
    let _machine = alone().await;
    let folder = tempfile::tempdir().expect("a folder");
    let lines = "lease = \"3s\"\ndrain = \"2s\"";
    let probe = site(folder.path(), lines, true).await;
    let mut host = probe.site.host().await;
    let before = probe.ledger.checkpoint().await;
    let first = |key: u64| format!("probe.{key}.first");
    probe.publish(first(KEYS), "call", "the held one").await;

    let wider = version(folder.path(), "wider", WIDER);
    let wider = wider.to_str().expect("UTF-8");
    probe.site.operate(&["deploy", wider]).await;
    let goes_on = "reading goes on by the earlier subscription";
    let until_on = async |times: usize| {
        let look = async || (probe.site.host_log().matches(goes_on).count() >= times).then_some(());
        until(goes_on, SOON, look).await;
    };
    until_on(1).await;
    let mut wanted = vec!["the held one".to_owned()];
    for nth in 0..200 {
        let line = format!("beside {nth}");
        probe.publish(first(nth % KEYS), "note", &line).await;
        wanted.push(line);
    }
    let others = wanted.len() - 1;
    let told_so_far = async || told(&probe).await.values().flatten().count();
    let look = async || (told_so_far().await == others).then_some(());
    until("the others to be told", SOON, look).await;

    // Whoever comes next begins the change again, and it still waits for the one.
    host.kill().await.expect("SIGKILL is sent");
    host = probe.site.host().await;
    until_on(2).await;
    let now = probe.ledger.checkpoint().await;
    assert_eq!(now.generation, before.generation, "it is not settled yet");
    probe.hang(false);
    let now = until_changed(&probe, &before).await;
    let new = "probe.new.second".to_owned();
    let sequence = probe.publish(new, "note", "of the new one").await;
    assert!(sequence > now.counts_behind);
    wanted.push("of the new one".to_owned());
    let look = async || (told_so_far().await >= wanted.len()).then_some(());
    until("all to be told", SOON, look).await;
    let mut told: Vec<String> = told(&probe).await.into_values().flatten().collect();
    told.sort();
    wanted.sort();
    assert_eq!(told, wanted);
    host.require_running().expect("the host runs");
}

/// What the probe has told, by entity.
async fn told(probe: &Probe) -> BTreeMap<String, Vec<String>> {
    let stored = probe.noted.read_matching("noted.>").await;
    let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for message in stored.expect("it answers") {
        let line = String::from_utf8(message.data).expect("text");
        told.entry(message.subject).or_default().push(line);
    }
    told
}
