//! Who may work on what, while the registry comes and goes, and beside a host
//! that cannot.

use std::time::Duration;

use wharf_core::report;
use wharf_demo::HostProcess;
use wharf_jetstream::registry;

use crate::ALONE;
use crate::stand::{LEASE, Stand, until_at_rest};
use crate::support::rollout::Rollout;
use crate::support::{SOON, started, until};

const KEYS: [&str; 4] = ["k0", "k1", "k2", "k3"];
const PAUSE: Duration = Duration::from_millis(60);
/// How often the registry is lost and found again, and how long each takes.
const FLAPS: usize = 5;
const FLAP: Duration = Duration::from_millis(400);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interleaving_35_a_registry_that_flaps_and_a_host_that_refuses_move_nothing() {
    let _machine = ALONE.lock().await;
    let mut stand = Stand::set().await;
    let bundles = stand.follow_the_registry();
    let mut hosts = stand.hosts().await;
    stand.probe.site.operate(&["deploy", &bundles]).await;
    let owner = stand.owner().await;
    let before = stand.probe.ledger.checkpoint().await;
    let flapping = flap_the_registry_of(&stand, owner);
    let mut sent = stand.send_notes_during(&KEYS, PAUSE, flapping).await;
    stand.assert_done(&sent).await;
    until_at_rest(&hosts).await;
    let after = stand.probe.ledger.checkpoint().await;
    assert_eq!((&after.owner, after.epoch), (&before.owner, before.epoch));

    // The other one does not know where the gateway is any more: it cannot run the
    // probe, and leaves it alone for as long as its owner is away.
    let other = 1 - owner;
    end(&mut hosts[other]).await;
    let needs = stand.probe.site.options.needs.with_file_name("none.toml");
    std::fs::write(&needs, "").expect("written");
    stand.seats[other].options.needs = needs;
    hosts[other] = started(&stand.seats[other].options).await;
    end(&mut hosts[owner]).await;
    let away = tokio::time::sleep(2 * LEASE);
    let meanwhile = stand.send_notes_during(&KEYS, PAUSE, away).await;
    let now = stand.probe.ledger.checkpoint().await;
    assert!(now.released && now.epoch == after.epoch, "{now:?}");
    hosts[owner] = started(&stand.seats[owner].options).await;
    for ((_, lines), (_, more)) in sent.iter_mut().zip(meanwhile) {
        lines.extend(more);
    }
    stand.assert_done(&sent).await;
    until_at_rest(&hosts).await;
}

/// The registry is out of the owner's reach again and again, and has another leader
/// each time; then for so long that it has forgotten the owner.
async fn flap_the_registry_of(stand: &Stand, owner: usize) {
    let nats = &stand.probe.site.nats;
    let client = stand.probe.site.client().await;
    let seat = &stand.seats[owner];
    for _ in 0..FLAPS {
        seat.hang("control");
        tokio::time::sleep(FLAP).await;
        seat.way.cut("control");
        seat.way.heal();
        nats.step_down(&client, registry::STREAM).await;
        tokio::time::sleep(FLAP).await;
    }
    let id = stand.probe.ledger.checkpoint().await.owner;
    let rollout = Rollout::of(&stand.probe.site).await;
    seat.hang("control");
    until("the owner to be forgotten", SOON, async || {
        let reports = rollout.registry.list(registry::Kind::Hosts).await.ok()?;
        let mut reports = reports
            .iter()
            .filter_map(|(_, entry)| report::decode(&entry.bytes));
        reports.all(|report| report.host != id).then_some(())
    })
    .await;
    // The others look twice a second.
    stand.probe.ledger.beats().await;
    seat.way.cut("control");
    seat.way.heal();
}

async fn end(host: &mut HostProcess) {
    let ended = host.term(SOON).await.expect("SIGTERM is sent");
    assert!(ended.success(), "{ended}");
}
