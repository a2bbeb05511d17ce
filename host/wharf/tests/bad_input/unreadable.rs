//! Messages that the client library cannot receive: it drops the connection.

use crate::event::Raw;
use crate::stage::{Stage, keep, kept, rogue_without_order};
use crate::support::{SOON, until};
use crate::{ALONE, watch};
use wharf_core::entry::Entry;
use wharf_demo::stream::Stream;

/// Beyond two ack waits: an unordered handler suspects a message only when it
/// breaks the connection for the second time, and it comes again after one.
const TWO_ACK_WAITS: std::time::Duration = std::time::Duration::from_secs(100);

fn loose(name: &str, id: &str) -> Raw {
    Raw::event(&format!("test.loose.{name}"), id, "emit-flood", "1")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_is_not_utf8_does_not_cut_off_the_events_behind_it() {
    let _alone = ALONE.lock().await;
    let mut stage = Stage::set(&[keep()]).await;
    let ledger = stage.site.ledger("keep").await;
    stage.wire.publish(&kept("k", "1", "a"));
    let bad = [
        kept("k", "2", "x").with("x-odd", b"\xff\xfe".to_vec()),
        kept("k", "3", "x").with(b"x-\xff".to_vec(), "odd"),
        kept("k", "4", "x").with("ce-note", b"\xc3(".to_vec()),
    ];
    let sequences = bad.each_ref().map(|raw| stage.wire.publish(raw));
    // Odd, but text: an event like any other.
    stage
        .wire
        .publish(&kept("k", "5", "b").with("na me", "value"));
    let last = stage.wire.publish(&kept("other", "6", "c"));
    for (raw, sequence) in bad.iter().zip(sequences) {
        let entry = watch::parked(&ledger, sequence).await;
        assert_eq!(entry.code, "header-not-utf8", "{}", entry.message);
        assert_as_stored(&entry, raw);
    }
    watch::settled(&ledger, last).await;
    assert_eq!(
        (
            watch::text(&ledger, "k").await,
            watch::text(&ledger, "other").await
        ),
        ("ab".into(), "c".into())
    );
    // Reading goes on as before, and the connection stays.
    let next = stage.wire.publish(&kept("k", "7", "d"));
    watch::settled(&ledger, next).await;
    let reopened = async || {
        watch::metrics(&stage.host)
            .await
            .count("wharf_reader_reopened_total", &[("handler", "keep")])
    };
    let before = reopened().await;
    watch::some_beats(&ledger).await;
    assert_eq!(reopened().await, before, "the connection goes on breaking");
    assert_eq!(watch::text(&ledger, "k").await, "abd");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_is_not_utf8_does_not_cut_off_an_unordered_handler() {
    let _alone = ALONE.lock().await;
    let mut stage = Stage::set(&[rogue_without_order()]).await;
    let ledger = stage.site.ledger("rogue-without-order").await;
    let bad = loose("bad", "2").with("x-odd", b"\xff".to_vec());
    stage.wire.publish(&loose("before", "1"));
    let sequence = stage.wire.publish(&bad);
    stage.wire.publish(&loose("behind", "3"));
    let out = Stream::new(stage.site.client().await, "TEST");
    let emitted = async |name: &str| {
        let subject = format!("test.out.{name}.flood");
        until(&subject, TWO_ACK_WAITS, async || {
            (out.read_matching(&subject).await.ok()?.len() == 1).then_some(())
        })
        .await;
    };
    emitted("before").await;
    emitted("behind").await;
    stage.wire.publish(&loose("later", "4"));
    emitted("later").await;
    let entry = until("the bad event to be parked", TWO_ACK_WAITS, async || {
        ledger.entry(sequence).await
    })
    .await;
    assert_eq!(entry.code, "header-not-utf8", "{}", entry.message);
    assert_as_stored(&entry, &bad);
    // Acknowledged: it is not delivered again.
    until("nothing to be unacknowledged", SOON, async || {
        let consumer = watch::consumer(&stage.site, "TEST", "rogue-without-order-1").await;
        (consumer["num_ack_pending"] == 0 && consumer["num_pending"] == 0).then_some(())
    })
    .await;
    stage.host.require_running().expect("the host is alive");
}

/// Fetched from the stream, so the very bytes.
#[track_caller]
fn assert_as_stored(entry: &Entry, raw: &Raw) {
    assert!(
        entry.header_block == raw.block(),
        "the headers of event {} are others",
        entry.sequence
    );
    assert_eq!(
        (entry.subject.as_bytes(), &entry.data[..]),
        (&raw.subject[..], &raw.payload[..])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_that_is_not_utf8_does_not_cut_off_the_events_behind_it() {
    let _alone = ALONE.lock().await;
    let mut stage = Stage::set(&[keep(), rogue_without_order()]).await;
    let (keep, unordered) = (
        stage.site.ledger("keep").await,
        stage.site.ledger("rogue-without-order").await,
    );
    let odd = |raw: Raw, before: &str, end: &[u8]| Raw {
        subject: [before.as_bytes(), end].concat(),
        ..raw
    };
    // Shown alike, and not the same.
    let bad = [
        (&keep, odd(kept("k", "1", "x"), "test.keep.", b"\xff")),
        (&keep, odd(kept("k", "2", "y"), "test.keep.", b"\xfe")),
        (&unordered, odd(loose("k", "3"), "test.loose.", b"\xff")),
        (&unordered, odd(loose("k", "4"), "test.loose.", b"\xfe")),
    ];
    let sequences = bad.each_ref().map(|(_, raw)| stage.wire.publish(raw));
    let last = stage.wire.publish(&kept("k", "5", "a"));
    watch::settled(&keep, last).await;
    assert_eq!(watch::text(&keep, "k").await, "a");
    for ((ledger, raw), sequence) in bad.iter().zip(sequences) {
        let parked = until("the bad event to be parked", TWO_ACK_WAITS, async || {
            ledger.entry(sequence).await
        });
        let entry = parked.await;
        assert_eq!(entry.code, "subject-not-utf8", "{}", entry.message);
        assert!(entry.header_block == raw.block() && entry.data == raw.payload);
    }
    stage.host.require_running().expect("the host is alive");
}
