//! Timers that a late owner knows nothing of.

use bytes::Bytes;
use rustix::process::Signal;
use wharf_core::ids::entity_token;
use wharf_core::record;
use wharf_demo::stream::Stream;
use wharf_jetstream::connection::{Purpose, Settings, connect};
use wharf_jetstream::ledger::{CommitId, CommitOptions, CommitResult, Ledger};
use wharf_jetstream::names::Lineage;
use wharf_jetstream::publisher::Publisher;
use wharf_jetstream::timers::{ArmResult, Timers};

use crate::ALONE;
use crate::stand::{Stand, until_at_rest};
use crate::support::{SOON, now_ms, until};

/// What has fired lies there until it is acknowledged.
const FIRINGS: &str = "wt.probe-1.f.0.*";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interleaving_36_a_timer_set_while_the_owner_was_frozen_fires_once() {
    let _machine = ALONE.lock().await;
    let stand = Stand::set().await;
    let probe = &stand.probe;
    let hosts = stand.hosts().await;
    let owner = stand.owner().await;
    // The owner's copy of the record has no timer.
    probe.send("k", "note", "first").await;
    probe.until_told("k", &["first"]).await;
    hosts[owner].signal(Signal::STOP).expect("it is signalled");
    stand.until_taken_from(owner).await;
    probe.send("k", "arm", "1500 rang").await;
    let due_ms = until("a timer", SOON, || async {
        let record = probe.ledger.record("k").await?;
        record.timers.first().map(|timer| timer.due_ms)
    })
    .await;
    // It comes back just before the timer fires.
    until("the timer's time", SOON, || async {
        (now_ms() + 300 > due_ms).then_some(())
    })
    .await;
    hosts[owner].signal(Signal::CONT).expect("it is signalled");

    probe.until_told("k", &["first", "rang"]).await;
    until_acknowledged(&stand).await;
    until_at_rest(&hosts).await;
    assert_eq!(probe.told("k").await, ["first", "rang"]);
    assert_eq!(probe.state("k").await, ["first", "armed rang", "rang"]);
    assert_eq!(probe.record("k").await.timers, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interleaving_36_an_owner_whose_copy_lacks_the_timer_asks_the_leader_before_it_lets_a_firing_go()
 {
    let _machine = ALONE.lock().await;
    let stand = Stand::set().await;
    let probe = &stand.probe;
    let hosts = stand.hosts().await;
    probe.send("far", "arm", "600000 never").await;
    probe.send("k", "note", "first").await;
    probe.until_told("k", &["first"]).await;

    // Another owner's commit, of which the hosts' copies know nothing.
    let settings = Settings::new("test", probe.site.nats.url(0));
    let connection = connect(&settings, &Purpose::Ledger)
        .await
        .expect("connected");
    let publisher = Publisher::new(connection.clone(), 16)
        .await
        .expect("opened");
    let lineage = Lineage::new("probe", 1).expect("a name");
    let ledger = Ledger::open(connection.clone(), publisher.clone(), lineage.clone());
    let mut timer = until("a timer", SOON, || async {
        probe.ledger.record("far").await?.timers.first().cloned()
    })
    .await;
    timer.due_ms = now_ms();
    timer.data = b"rang".to_vec();
    write_timer(&ledger, "k", timer.clone()).await;
    let timers = Timers::open(connection, publisher, lineage);
    assert_eq!(timers.arm(0, "k", timer.due_ms).await, ArmResult::Armed);

    probe.until_told("k", &["first", "rang"]).await;
    until_acknowledged(&stand).await;
    until_at_rest(&hosts).await;
    assert_eq!(probe.told("k").await, ["first", "rang"]);
    assert_eq!(probe.state("k").await, ["first", "rang"]);
}

/// Puts a timer into a key's record, as its owner does.
async fn write_timer(ledger: &Ledger, key: &str, timer: record::Timer) {
    let token = entity_token(key);
    let stored = ledger.load_leader(&token).await.expect("read");
    let stored = stored.expect("a record");
    let mut record = record::decode(&stored.bytes).expect("a record");
    let commit_id = CommitId::random();
    record.timers.push(timer);
    record.commit_id = commit_id.0.to_vec();
    let options = CommitOptions {
        ttl: None,
        hold: true,
        commit_id,
    };
    let bytes = Bytes::from(record::encode(&record));
    let written = ledger.commit(&token, stored.revision, bytes, &options);
    assert!(matches!(written.await, CommitResult::Committed { .. }));
}

async fn until_acknowledged(stand: &Stand) {
    let firings = Stream::new(stand.probe.site.client().await, "WHARF-T-probe-1");
    // What a host had that froze comes again after 30 s.
    until("no firing left", 3 * SOON, || async {
        let left = firings.read_matching(FIRINGS).await.ok()?;
        left.is_empty().then_some(())
    })
    .await;
}
