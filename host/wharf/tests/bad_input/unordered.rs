//! Handlers without order: events of one key, copies of one event, and what a
//! success leaves behind.

use wharf_core::record::{Record, Status};
use wharf_demo::stream::Stream;

use crate::stage::{Stage, for_teller, slow_teller, teller};
use crate::support::{SOON, until};
use crate::{ALONE, watch};

/// What the teller of a key has told, in the order of the stream.
pub async fn told(stage: &Stage, key: &str, wanted: usize) -> Vec<String> {
    let stream = Stream::new(stage.site.client().await, "TEST");
    let subject = format!("test.told.{key}");
    until(&subject, SOON, async || {
        let found = stream.read_matching(&subject).await.ok()?;
        let texts = found
            .iter()
            .map(|message| String::from_utf8_lossy(&message.data).into_owned());
        (found.len() >= wanted).then(|| texts.collect())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn interleaving_05_an_event_that_retries_survives_the_commit_of_another_of_its_key() {
    let _alone = ALONE.lock().await;
    let mut stage = Stage::set(&[teller("effect-once")]).await;
    let ledger = stage.site.ledger("teller").await;
    // The second commits while the first is still failing.
    stage.wire.publish(&for_teller("k", "slow", 30, 0));
    until("the first failure", SOON, async || {
        let records = ledger.records().await;
        let failing = |record: &&Record| record.status() == Status::Retrying;
        records.iter().any(|record| failing(&record)).then_some(())
    })
    .await;
    let last = stage.wire.publish(&for_teller("k", "quick", 0, 0));
    assert_eq!(
        told(&stage, "k", 2).await,
        ["quick 1 true", "slow 31 false"]
    );
    watch::settled(&ledger, last).await;
    let records = ledger.records().await;
    assert_eq!(records.len(), 2, "each event is an entity of its own");
    assert!(records.iter().all(|record| record.status() == Status::Live));
}

#[tokio::test(flavor = "multi_thread")]
async fn interleaving_13_a_success_after_a_failure_leaves_no_record_in_trouble() {
    let _alone = ALONE.lock().await;
    let mut stage = Stage::set(&[teller("at-least-once")]).await;
    let ledger = stage.site.ledger("teller").await;
    stage.wire.publish(&for_teller("good", "1", 0, 0));
    let last = stage.wire.publish(&for_teller("bad", "2", 2, 0));
    // A copy that comes later cannot be told from the first: it says nothing of
    // being the first.
    assert_eq!(told(&stage, "good", 1).await, ["1 1 false"]);
    assert_eq!(told(&stage, "bad", 1).await, ["2 3 false"]);
    watch::settled(&ledger, last).await;
    let records = ledger.records().await;
    let left: Vec<Status> = records.iter().map(Record::status).collect();
    assert_eq!(left, [Status::Live], "only the failure left a record");
    assert_eq!(told(&stage, "bad", 1).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_of_an_event_that_come_together_run_once() {
    let _alone = ALONE.lock().await;
    let mut stage = Stage::set(&[teller("effect-once")]).await;
    let ledger = stage.site.ledger("teller").await;
    let copy = for_teller("k", "1", 0, 400);
    stage.wire.publish(&copy);
    stage.wire.publish(&copy);
    let last = stage.wire.publish(&copy);
    watch::settled(&ledger, last).await;
    let samples = watch::metrics(&stage.host).await;
    let of = |name, label: (&str, &str)| samples.count(name, &[("handler", "teller"), label]);
    assert_eq!(of("wharf_attempts_total", ("result", "done")), 1);
    assert_eq!(of("wharf_events_total", ("outcome", "duplicate")), 2);
    assert_eq!(told(&stage, "k", 1).await, ["1 1 true"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_comes_later_is_presumed_new_and_found_by_its_write() {
    let _alone = ALONE.lock().await;
    let mut stage = Stage::set(&[teller("effect-once")]).await;
    let ledger = stage.site.ledger("teller").await;
    let copy = for_teller("k", "1", 0, 0);
    let first = stage.wire.publish(&copy);
    watch::settled(&ledger, first).await;
    let last = stage.wire.publish(&copy);
    watch::settled(&ledger, last).await;
    let samples = watch::metrics(&stage.host).await;
    let of = |name, label: (&str, &str)| samples.count(name, &[("handler", "teller"), label]);
    assert_eq!(of("wharf_events_total", ("outcome", "committed")), 1);
    assert_eq!(of("wharf_events_total", ("outcome", "duplicate")), 1);
    // It ran, since its record was not read first; nothing of that counts.
    assert_eq!(of("wharf_attempts_total", ("result", "done")), 2);
    assert_eq!(ledger.records().await.len(), 1);
    assert_eq!(told(&stage, "k", 1).await, ["1 1 true"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_in_trouble_leave_their_places_to_others() {
    let _alone = ALONE.lock().await;
    let mut stage = Stage::set(&[slow_teller()]).await;
    let ledger = stage.site.ledger("teller").await;
    // More than move at once, and than are fetched ahead.
    for nth in 0..400 {
        stage
            .wire
            .publish(&for_teller("bad", &nth.to_string(), 90, 0));
    }
    let last = stage.wire.publish(&for_teller("good", "other", 0, 0));
    assert_eq!(told(&stage, "good", 1).await, ["other 1 false"]);
    // A record that is rewritten while they are read may come twice.
    until("all others in trouble", SOON, async || {
        let records = ledger.records().await;
        let retrying = |record: &Record| record.status() == Status::Retrying;
        (records.len() == 400 && records.iter().all(retrying)).then_some(())
    })
    .await;
    assert!(ledger.checkpoint().await.watermark < last);
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_events_that_a_host_will_not_come_to_soon_are_left_to_others() {
    const EVENTS: u32 = 200;
    /// Twice what one attempt at a time is given besides: acknowledgements may be on
    /// their way.
    const TAKEN_MAX: u64 = 2 * 33;
    let _alone = ALONE.lock().await;
    let mut stage = Stage::set(&[slow_teller()]).await;
    for nth in 0..EVENTS {
        let event = for_teller("slow", &nth.to_string(), 0, 50);
        stage.wire.publish(&event);
    }
    told(&stage, "slow", 3).await;
    let consumer = watch::consumer(&stage.site, "TEST", "teller-1").await;
    let taken = consumer["num_ack_pending"].as_u64().expect("a number");
    assert!((1..=TAKEN_MAX).contains(&taken), "{consumer:#}");
}
