//! Timers across crashes.

use async_nats::jetstream;
use async_nats::jetstream::context::PublishErrorKind;
use wharf_core::record::Record;
use wharf_demo::stream::Stream;

use crate::beside_others;
use crate::probe::{Probe, until_unsettled};
use crate::support::{SOON, now_ms, until};

/// What has fired lies there until it is acknowledged.
const FIRINGS: &str = "wt.probe-1.f.0.*";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timer_survives_a_crash_over_its_time_and_fires_once_in_the_entitys_order() {
    let _machine = beside_others().await;
    let probe = Probe::set("lease = \"3s\"").await;
    let mut host = probe.site.host().await;
    probe.send("k", "arm", "2000 rang").await;
    probe.send("k", "note", "a").await;
    probe.until_told("k", &["a"]).await;
    host.kill().await.expect("SIGKILL is sent");
    let due_ms = probe.record("k").await.timers[0].due_ms;
    until("the timer's time", SOON, || async {
        (now_ms() > due_ms).then_some(())
    })
    .await;

    let mut host = probe.site.host().await;
    probe.until_told("k", &["a", "rang"]).await;
    probe.send("k", "note", "b").await;
    probe.until_told("k", &["a", "rang", "b"]).await;
    assert_eq!(probe.state("k").await, ["armed rang", "a", "rang", "b"]);
    assert_eq!(probe.record("k").await.timers, []);

    // Once more through a start, with another timer to tell when all is done.
    let ended = host.term(SOON).await.expect("SIGTERM is sent");
    assert!(ended.success(), "{ended}");
    let _host = probe.site.host().await;
    probe.send("later", "arm", "300 bell").await;
    probe.until_told("later", &["bell"]).await;
    assert_eq!(probe.told("k").await, ["a", "rang", "b"]);
    assert_eq!(probe.state("k").await, ["armed rang", "a", "rang", "b"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interleaving_20_a_timers_commit_is_published_before_its_firing_is_acknowledged() {
    let _machine = beside_others().await;
    let probe = Probe::set("lease = \"3s\"").await;
    let client = probe.site.client().await;
    let firings = Stream::new(client.clone(), "WHARF-T-probe-1");
    let firings = || async {
        firings
            .read_matching(FIRINGS)
            .await
            .expect("an answer")
            .len()
    };
    let jetstream = jetstream::new(client);
    fill(&jetstream).await;

    // The firing commits, and what it tells has nowhere to go.
    let mut host = probe.site.host().await;
    let arm = probe.send("k", "arm", "300 rang").await;
    until("the timer's commit", SOON, || async {
        probe
            .ledger
            .record("k")
            .await
            .filter(Record::owes_confirmation)
    })
    .await;
    assert_eq!(probe.state("k").await, ["armed rang", "rang"]);
    assert_eq!(firings().await, 1, "the firing is not acknowledged");
    probe.until_settled(arm).await;
    host.kill().await.expect("SIGKILL is sent");

    // Nobody overtakes it, whoever owns the key.
    let host = probe.site.host().await;
    probe.send("k", "note", "after").await;
    // The outbox that is owed, and the event behind it.
    until_unsettled(&host, "outbox-blocked", 1).await;
    until_unsettled(&host, "held", 1).await;
    assert_eq!(probe.state("k").await, ["armed rang", "rang"]);
    assert_eq!(probe.told("k").await, [""; 0]);

    let stream = jetstream
        .get_stream("NOTED")
        .await
        .expect("the stream is there");
    stream
        .purge()
        .filter("noted.filler")
        .await
        .expect("there is room again");
    probe.until_told("k", &["rang", "after"]).await;
    assert_eq!(probe.state("k").await, ["armed rang", "rang", "after"]);
    // The broker waits 30 s for the dead host's acknowledgement.
    until("the firing's acknowledgement", 3 * SOON, || async {
        (firings().await == 0).then_some(())
    })
    .await;
    assert!(!probe.record("k").await.owes_confirmation());
    assert_eq!(probe.told("k").await, ["rang", "after"]);
}

/// Fills the stream of what is told until it takes nothing any more.
async fn fill(jetstream: &jetstream::Context) {
    for bytes in [64 << 10, 1 << 10, 1] {
        loop {
            let filler = vec![b'.'; bytes].into();
            let sent = jetstream
                .publish("noted.filler", filler)
                .await
                .expect("it is sent");
            match sent.await {
                Ok(_) => {}
                Err(refused) => {
                    assert_eq!(refused.kind(), PublishErrorKind::Other, "{refused}");
                    break;
                }
            }
        }
    }
}
