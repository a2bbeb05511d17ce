//! A host that cannot run the version, beside one that can, while the registry
//! comes and goes.

use std::time::Duration;

use wharf_jetstream::registry;

use crate::ALONE;
use crate::stand::{LEASE, Stand, until_at_rest};
use crate::support::{SOON, started};

const KEYS: [&str; 4] = ["k0", "k1", "k2", "k3"];
const PAUSE: Duration = Duration::from_millis(60);
/// How often the registry is lost and found again, and how long each takes.
const FLAPS: usize = 8;
const FLAP: Duration = Duration::from_millis(400);
const FIT: usize = 0;
const UNFIT: usize = 1;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interleaving_35_who_refused_the_version_is_given_nothing_while_the_registry_flaps() {
    let _machine = ALONE.lock().await;
    let mut stand = Stand::set().await;
    let bundles = stand.follow_the_registry();
    // It does not know where the gateway is: the probe cannot run there.
    let needs = stand.probe.site.options.needs.with_file_name("none.toml");
    std::fs::write(&needs, "").expect("written");
    stand.seats[UNFIT].options.needs = needs;
    let probe = &stand.probe;
    let mut hosts = stand.hosts().await;
    probe.site.operate(&["deploy", &bundles]).await;
    assert_eq!(stand.owner().await, FIT);
    let before = probe.ledger.checkpoint().await;

    let client = probe.site.client().await;
    let flapping = async {
        for _ in 0..FLAPS {
            for seat in &stand.seats {
                seat.hang("control");
            }
            tokio::time::sleep(FLAP).await;
            for seat in &stand.seats {
                seat.way.cut("control");
                seat.way.heal();
            }
            probe.site.nats.step_down(&client, registry::STREAM).await;
            tokio::time::sleep(FLAP).await;
        }
    };
    let mut sent = stand.send_notes_during(&KEYS, PAUSE, flapping).await;
    stand.assert_done(&sent).await;
    until_at_rest(&hosts).await;
    let after = probe.ledger.checkpoint().await;
    assert_eq!(after.owner, before.owner, "nobody else can run it");
    assert_eq!(after.epoch, before.epoch, "it was let go and taken again");

    // The one that can leaves: the other leaves it alone for as long as it likes.
    let ended = hosts[FIT].term(SOON).await.expect("SIGTERM is sent");
    assert!(ended.success(), "{ended}");
    let meanwhile = stand
        .send_notes_during(&KEYS, PAUSE, tokio::time::sleep(2 * LEASE))
        .await;
    let now = probe.ledger.checkpoint().await;
    assert!(now.released && now.epoch == after.epoch, "{now:?}");
    hosts[FIT] = started(&stand.seats[FIT].options).await;
    for ((_, lines), (_, more)) in sent.iter_mut().zip(meanwhile) {
        lines.extend(more);
    }
    stand.assert_done(&sent).await;
    until_at_rest(&hosts).await;
}
