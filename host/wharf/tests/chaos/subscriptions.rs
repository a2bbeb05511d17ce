//! What a handler subscribes to changes while events come and hosts die.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use wharf_demo::gateway::Modes;

use crate::alone;
use crate::probe::{Probe, STREAMS};
use crate::support::{Plan, SOON, Site, until};
use crate::turning::{
    Counted, FIRST, KEYS, WIDER, assert_told_once, load, told, until_changed, until_passed, version,
};

/// How often events of which subject come.
const KINDS: [&str; 3] = ["first", "first", "second"];

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interleaving_31_a_subscription_that_changes_under_load_and_sigkill_loses_nothing() {
    let _machine = alone().await;
    let folder = tempfile::tempdir().expect("a folder");
    let probe = site(folder.path(), "lease = \"3s\"", false).await;
    let mut host = probe.site.host().await;
    let end = AtomicBool::new(false);
    let changes = async {
        let mut counted = Counted::from_the_start(&["first"]);
        let both: &[&str] = &["first", "second"];
        let versions: [(_, _, &[&str]); 3] = [
            ("wider", WIDER, both),
            ("keys", OTHER_KEYS, both),
            ("back", FIRST, &["first"]),
        ];
        for (nth, (name, on, kinds)) in versions.into_iter().enumerate() {
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
            counted.versions.push((kinds, now.counts_behind));
            counted.removed = before.watermark..now.counts_behind + 1;
        }
        until_passed(&probe, 300).await;
        end.store(true, Ordering::Relaxed);
        counted
    };
    let (counted, sent) = tokio::join!(changes, load(&probe, &KINDS, &end));
    let first = |(line, sequence): (&String, &u64)| line.starts_with("first").then_some(*sequence);
    let last_first = sent.iter().filter_map(first).max().expect("some");
    probe.until_settled(last_first).await;
    assert_told_once(&sent, &told(&probe).await, &counted);
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
