//! What a handler subscribes to changes while events come and hosts die.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::Client;
use serde_json::Value;
use wharf_core::checkpoint::Checkpoint;
use wharf_demo::gateway::Modes;
use wharf_demo::load::Publisher;
use wharf_demo::shop::Message;
use wharf_demo::stream::Stream;

use crate::alone;
use crate::probe::bundle;
use crate::support::{Plan, SOON, Site, until};

const STREAMS: &str = r#"
[streams.PROBE]
subjects = ["probe.{id}.>"]
max_bytes = "64MiB"

[streams.NOTED]
subjects = ["noted.{key}"]
max_bytes = "64MiB"
"#;
const KEYS: u64 = 20;

/// The first version.
const FIRST: &str = "subjects = [\"probe.{id}.first\"]\nkey = \"{id}\"";
/// One subject more.
const WIDER: &str = "subjects = [\"probe.{id}.first\", \"probe.{id}.second\"]\nkey = \"{id}\"";
/// Both, and other entities.
const OTHER_KEYS: &str = "subjects = [\"probe.{id}.{kind}\"]\nkey = \"{kind}/{id}\"";

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
async fn load(client: Client, end: &AtomicBool) -> BTreeMap<String, u64> {
    let publisher = Publisher::new(client, SOON);
    let mut sent = BTreeMap::new();
    let mut pace = tokio::time::interval(Duration::from_millis(2));
    for nth in 0.. {
        pace.tick().await;
        if end.load(Ordering::Relaxed) {
            break;
        }
        let kind = if nth % 3 == 2 { "second" } else { "first" };
        let line = format!("{kind} {nth}");
        let key = (nth % KEYS).to_string();
        let sequence = send(&publisher, &key, kind, "note", &line).await;
        sent.insert(line, sequence);
    }
    sent
}

/// Publishes a line of its own; its sequence.
async fn send(publisher: &Publisher, key: &str, kind: &str, what: &str, line: &str) -> u64 {
    let message = Message {
        subject: format!("probe.{key}.{kind}"),
        id: line.replace(' ', "-"),
        event_type: what.to_owned(),
        data: line.as_bytes().to_vec(),
        traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned(),
    };
    publisher.publish(&message).await.expect("stored").sequence
}

/// The command says where the new subscription counts from.
async fn deploy_and_wait(site: &Site, bundles: &str) {
    let deploy = ["deploy", bundles, "--wait", "-o", "json"];
    let told = site.operate(&deploy).await;
    let told: Value = serde_json::from_str(&told).expect("JSON");
    let told = &told["data"]["handlers"][0]["subscription"];
    assert_eq!(told["state"], "done", "{told}");
    let now = site.ledger("probe").await.checkpoint().await;
    assert_eq!(told["counts_behind"], now.counts_behind, "{now:?}");
}

async fn until_changed(site: &Site, from: &Checkpoint) -> Checkpoint {
    let ledger = site.ledger("probe").await;
    until("the subscription to change", SOON, async || {
        let now = ledger.checkpoint().await;
        (now.generation != from.generation).then_some(now)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interleaving_31_a_subscription_that_changes_under_load_and_sigkill_loses_nothing() {
    let _machine = alone().await;
    let folder = tempfile::tempdir().expect("a folder");
    let first = version(folder.path(), "first", FIRST);
    let plan = Plan::of(first.clone(), STREAMS).host("lease = \"3s\"");
    let site = Site::provisioned(plan).await;
    let mut host = site.host().await;
    let client = site.client().await;
    let end = AtomicBool::new(false);
    let ledger = site.ledger("probe").await;
    let changes = async {
        let mut counted = Counted {
            versions: vec![("first", 0)],
            removed: 0..0,
        };
        let versions = [("wider", WIDER), ("keys", OTHER_KEYS), ("back", FIRST)];
        for (nth, (name, on)) in versions.into_iter().enumerate() {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let before = ledger.checkpoint().await;
            let bundles = version(folder.path(), name, on);
            let bundles = bundles.to_str().expect("UTF-8");
            if nth == 1 {
                // The host dies somewhere on the way from one to the other.
                site.operate(&["deploy", bundles]).await;
                host.kill().await.expect("SIGKILL is sent");
                host = site.host().await;
            } else {
                deploy_and_wait(&site, bundles).await;
            }
            let now = until_changed(&site, &before).await;
            assert!(now.counts_behind >= before.watermark, "{now:?}");
            println!("{name} counts behind {}", now.counts_behind);
            counted.versions.push((name, now.counts_behind));
            counted.removed = before.watermark..now.counts_behind + 1;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        end.store(true, Ordering::Relaxed);
        counted
    };
    let (counted, sent) = tokio::join!(changes, load(client.clone(), &end));
    let first = |(line, sequence): (&String, &u64)| line.starts_with("first").then_some(*sequence);
    let last_first = sent.iter().filter_map(first).max().expect("some");
    let settled = async || ledger.checkpoint().await.watermark >= last_first;
    let look = || async { settled().await.then_some(()) };
    until("all to be settled", SOON, look).await;
    assert_told_once(&sent, &told(&client).await, &counted);
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
    let first = version(folder.path(), "first", FIRST);
    let hang = |hang| Modes {
        hang,
        ..Modes::default()
    };
    let plan = Plan::of(first, STREAMS).host("lease = \"3s\"\ndrain = \"2s\"");
    let site = Site::provisioned(plan.modes(hang(true))).await;
    let mut host = site.host().await;
    let client = site.client().await;
    let publisher = Publisher::new(client.clone(), SOON);
    let ledger = site.ledger("probe").await;
    let before = ledger.checkpoint().await;
    send(&publisher, "held", "first", "call", "the held one").await;

    let wider = version(folder.path(), "wider", WIDER);
    let wider = wider.to_str().expect("UTF-8");
    site.operate(&["deploy", wider]).await;
    let goes_on = "reading goes on by the earlier subscription";
    let until_on = async |times: usize| {
        let look = async || (site.host_log().matches(goes_on).count() >= times).then_some(());
        until(goes_on, SOON, look).await;
    };
    until_on(1).await;
    let mut wanted = vec!["the held one".to_owned()];
    for nth in 0..200 {
        let line = format!("beside {nth}");
        send(
            &publisher,
            &(nth % KEYS).to_string(),
            "first",
            "note",
            &line,
        )
        .await;
        wanted.push(line);
    }
    let others = wanted.len() - 1;
    let told_so_far = async || told(&client).await.values().flatten().count();
    let look = async || (told_so_far().await == others).then_some(());
    until("the others to be told", SOON, look).await;

    // Whoever comes next begins the change again, and it still waits for the one.
    host.kill().await.expect("SIGKILL is sent");
    host = site.host().await;
    until_on(2).await;
    let now = ledger.checkpoint().await;
    assert_eq!(now.generation, before.generation, "it is not settled yet");
    site.gateway
        .set(hang(false))
        .expect("modes that can be meant");
    let now = until_changed(&site, &before).await;
    let sequence = send(&publisher, "new", "second", "note", "of the new one").await;
    assert!(sequence > now.counts_behind);
    wanted.push("of the new one".to_owned());
    let look = async || (told_so_far().await >= wanted.len()).then_some(());
    until("all to be told", SOON, look).await;
    let mut told: Vec<String> = told(&client).await.into_values().flatten().collect();
    told.sort();
    wanted.sort();
    assert_eq!(told, wanted);
    host.require_running().expect("the host runs");
}

/// What the probe has told, by entity.
async fn told(client: &Client) -> BTreeMap<String, Vec<String>> {
    let noted = Stream::new(client.clone(), "NOTED");
    let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for message in noted.read_matching("noted.>").await.expect("it answers") {
        let line = String::from_utf8(message.data).expect("text");
        told.entry(message.subject).or_default().push(line);
    }
    told
}
