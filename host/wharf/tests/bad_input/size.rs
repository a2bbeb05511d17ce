//! As large as the broker lets through.

use wharf_core::entry::Entry;
use wharf_demo::stream::Stream;

use crate::event::Raw;
use crate::stage::{Stage, for_rogue, keep, kept, rogue};
use crate::support::ledger::Ledger;
use crate::{ALONE, watch};

/// What a host may take of main memory at most while it is fed large events.
const RESIDENT_BYTES_MAX: u64 = 400 << 20;

/// Filled up with data to what the broker takes at most, headers included.
fn filled(raw: Raw, max_payload: usize) -> Raw {
    let room = max_payload - raw.block().len();
    raw.payload("d".repeat(room))
}

/// Structured mode at the broker's limit; `text` is repeated to fill it.
fn structured(subject: &str, before: &str, fill: &str, after: &str, max_payload: usize) -> Raw {
    let raw = Raw::structured(subject, "");
    let room = max_payload - raw.block().len() - before.len() - after.len();
    let text = [before, &fill.repeat(room / fill.len()), after].concat();
    raw.payload(text)
}

#[tokio::test(flavor = "multi_thread")]
async fn interleaving_09_a_payload_at_the_brokers_limit_is_parked_in_parts() {
    let _alone = ALONE.lock().await;
    let mut stage = Stage::set(&[keep()]).await;
    let ledger = stage.site.ledger("keep").await;
    let max = stage.wire.max_payload;
    // The state would be over its limit; and bytes that are no event at all.
    let cases = [
        (filled(kept("large", "1", ""), max), "bad-output"),
        (
            structured("test.keep.large", "{\"x\":\"", "d", "\"", max),
            "structured",
        ),
        (
            filled(kept("large", "2", "").without("ce-type"), max),
            "missing-attribute",
        ),
    ];
    for (raw, code) in cases {
        let sequence = stage.wire.publish(&raw);
        stage
            .wire
            .publish(&kept("large", &format!("behind-{code}"), "."));
        let entry = watch::parked(&ledger, sequence).await;
        assert_eq!(entry.code, code, "{}", entry.message);
        watch::assert_kept_whole(&entry, &raw);
        assert!(
            ledger.parts(sequence).await.len() > 1,
            "{code}: it cannot fit one message"
        );
    }
    let last = stage.wire.publish(&kept("other", "1", "good"));
    watch::settled(&ledger, last).await;
    assert_eq!(
        (
            watch::text(&ledger, "large").await,
            watch::text(&ledger, "other").await
        ),
        ("...".into(), "good".into())
    );
    watch::some_beats(&ledger).await;
    let samples = watch::metrics(&stage.host).await;
    let attempts = |result| {
        samples.count(
            "wharf_attempts_total",
            &[("handler", "keep"), ("result", result)],
        )
    };
    assert_eq!((attempts("bad-output"), attempts("done")), (2, 4));
    let reopened = samples.count("wharf_reader_reopened_total", &[("handler", "keep")]);
    assert_eq!(reopened, 0, "a connection was lost");
    let memory = stage.host.memory().expect("the host is alive");
    assert!(memory.resident_max_bytes < RESIDENT_BYTES_MAX, "{memory:?}");
}

/// Each text is bounded by nothing but the broker's limit of a message.
#[tokio::test(flavor = "multi_thread")]
async fn no_text_from_outside_makes_a_record_or_an_emission_larger_than_the_broker_takes() {
    let _alone = ALONE.lock().await;
    let mut stage = Stage::set(&[keep(), rogue("")]).await;
    let max = stage.wire.max_payload;
    let (keep, rogue) = (
        stage.site.ledger("keep").await,
        stage.site.ledger("rogue").await,
    );
    let reserved = structured(
        "test.keep.k",
        r#"{"specversion":"1.0","id":"1","source":"s","data":"x","type":"wharf."#,
        "t",
        "\"}",
        max,
    );
    let half = "m".repeat(max / 2 - 100);
    let twice = Raw::structured("test.keep.k", format!(r#"{{"{half}":1,"{half}":2}}"#));
    for (raw, code) in [(reserved, "reserved-type"), (twice, "structured")] {
        let sequence = stage.wire.publish(&raw);
        let entry = watch::parked(&keep, sequence).await;
        assert_eq!(entry.code, code);
        watch::assert_kept_whole(&entry, &raw);
        assert_says_little(&keep, &entry).await;
    }
    let members = [
        "correlationid",
        "causationid",
        "traceparent",
        "tracestate",
        "source",
    ];
    for member in members {
        stage.wire.publish(&with_long(member, max));
    }
    // As long as the broker lets headers be, and longer once they are encoded.
    let name = "ce-correlationid";
    let headers = for_rogue("k", "headers", "emit-flood", "1").with(name, "\"".repeat(60 << 10));
    stage.wire.publish(&headers);
    let last = stage
        .wire
        .publish(&for_rogue("k", "last", "emit-flood", "1"));
    watch::settled(&rogue, last).await;
    let out = Stream::new(stage.site.client().await, "TEST");
    let emitted = out
        .read_matching("test.out.k.flood")
        .await
        .expect("the broker answers");
    assert_eq!(emitted.len(), members.len() + 2, "each event emits once");
    stage.host.require_running().expect("the host is alive");
}

/// An event that makes *rogue* emit, with one member at the broker's limit,
/// of characters that a header holds in three bytes each.
fn with_long(member: &str, max_payload: usize) -> Raw {
    let traceparent = if member == "tracestate" {
        r#""traceparent":"00-a-b-01","#
    } else {
        ""
    };
    let source = if member == "source" {
        ""
    } else {
        r#""source":"s","#
    };
    let before = format!(
        r#"{{"specversion":"1.0","id":"{member}","type":"emit-flood","data":1,{traceparent}{source}"{member}":""#
    );
    structured("test.rogue", &before, "%", "\"}", max_payload - 64).with("x-key", "k")
}

async fn assert_says_little(ledger: &Ledger, entry: &Entry) {
    let records = ledger.records().await;
    let block = records
        .iter()
        .filter_map(|record| record.block.as_ref().map(|block| block.message.len()));
    let listed: usize = records
        .iter()
        .flat_map(|record| &record.dead)
        .map(|dead| dead.code.len())
        .sum();
    assert!(
        block.max().unwrap_or(0) + listed < 8 << 10,
        "the record repeats the event"
    );
    assert!(
        entry.message.len() <= 4 << 10,
        "the message has {} bytes",
        entry.message.len()
    );
}
