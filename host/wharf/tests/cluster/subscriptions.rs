//! Owners that do not hear of the version that subscribes to more.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::ALONE;
use crate::stand::{Stand, until_at_rest};
use crate::turning::{
    Counted, FIRST, WIDER, assert_told_once, load, told, until_changed, until_passed, version,
};

/// How often events of which subject come.
const KINDS: [&str; 4] = ["first", "second", "first", "third"];

/// One subject more than the wider one.
const WIDEST: &str = "subjects = [\"probe.{id}.first\", \"probe.{id}.second\", \"probe.{id}.third\"]\nkey = \"{id}\"";

/// What an owner hears nothing on while another version is deployed.
const REGISTRY: &str = "control";
const EVERYTHING: &str = "";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interleaving_31_an_owner_that_does_not_hear_of_a_subject_passes_none_of_its_events() {
    let _machine = ALONE.lock().await;
    let folder = tempfile::tempdir().expect("a folder");
    let stand = Stand::of(version(folder.path(), "first", FIRST)).await;
    let probe = &stand.probe;
    let hosts = stand.hosts().await;
    let end = AtomicBool::new(false);
    let changes = async {
        let mut counted = Counted::from_the_start(&["first"]);
        let versions: [(_, _, &[&str], _); 2] = [
            ("wider", WIDER, &["first", "second"], REGISTRY),
            ("widest", WIDEST, &["first", "second", "third"], EVERYTHING),
        ];
        for (name, on, kinds, unheard) in versions {
            until_passed(probe, 200).await;
            let owner = stand.owner().await;
            let before = probe.ledger.checkpoint().await;
            stand.seats[owner].hang(unheard);
            let bundles = version(folder.path(), name, on);
            let bundles = bundles.to_str().expect("UTF-8");
            probe.site.operate(&["deploy", bundles]).await;
            if unheard == REGISTRY {
                // It goes on as before, and passes events of the subject that it
                // does not know.
                until_passed(probe, 200).await;
                let now = probe.ledger.checkpoint().await;
                assert_eq!(now.generation, before.generation, "{now:?}");
            } else {
                stand.until_taken_from(owner).await;
            }
            stand.seats[owner].way.heal();
            let now = until_changed(probe, &before).await;
            println!("{name} counts behind {}", now.counts_behind);
            counted.versions.push((kinds, now.counts_behind));
        }
        until_passed(probe, 400).await;
        end.store(true, Ordering::Relaxed);
        counted
    };
    let (counted, sent) = tokio::join!(changes, load(probe, &KINDS, &end));
    let last = sent.values().max().expect("some");
    probe.until_settled(*last).await;
    until_at_rest(&hosts).await;
    assert_told_once(&sent, &told(probe).await, &counted);
}
