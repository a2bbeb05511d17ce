//! Looking at a host and its ledgers until something holds.

use wharf_core::entry::Entry;
use wharf_demo::HostProcess;
use wharf_demo::metrics::Samples;

use crate::event::Raw;
use crate::support::ledger::Ledger;
use crate::support::{SOON, Site, until};

/// What the host counts, asked again while it is busy.
pub async fn metrics(host: &HostProcess) -> Samples {
    until("metrics", SOON, async || host.metrics().await.ok()).await
}

/// Waits until a handler has settled everything up to `sequence`.
pub async fn settled(ledger: &Ledger, sequence: u64) {
    let what = format!("the watermark to pass {sequence}");
    until(&what, SOON, async || {
        (ledger.checkpoint().await.watermark >= sequence).then_some(())
    })
    .await;
}

/// Waits until the event at `sequence` is parked, whole.
pub async fn parked(ledger: &Ledger, sequence: u64) -> Entry {
    let what = format!("event {sequence} to be parked");
    until(&what, SOON, async || ledger.entry(sequence).await).await
}

/// The host goes on working for some beats of its own: long enough for a loop
/// to show itself.
pub async fn some_beats(ledger: &Ledger) {
    ledger.beats().await;
}

/// An entry is as good as the message: same subject, payload and headers.
#[track_caller]
pub fn assert_kept_whole(entry: &Entry, raw: &Raw) {
    assert_eq!(entry.subject.as_bytes(), raw.subject);
    assert!(
        entry.data == raw.payload,
        "the payload of event {} is another",
        entry.sequence
    );
    // The client library keeps no order of names.
    let lines = |block: &[u8]| {
        let mut lines: Vec<Vec<u8>> = block
            .split(|byte| *byte == b'\n')
            .map(<[u8]>::to_vec)
            .collect();
        lines.sort();
        lines
    };
    assert!(
        lines(&entry.header_block) == lines(&raw.block()),
        "the headers of event {} are others",
        entry.sequence
    );
}

/// Waits until the shop's stream holds the order's last event.
pub async fn confirmed(site: &Site, order: &str) {
    let stream = wharf_demo::stream::Stream::new(site.client().await, wharf_demo::shop::STREAM);
    let subject = format!("shop.order.{order}.confirmed");
    until(&subject, SOON, async || {
        let found = stream.read_matching(&subject).await.ok()?;
        (found.len() == 1).then_some(())
    })
    .await;
}

/// The state of a key as text; empty when there is none.
pub async fn text(ledger: &Ledger, key: &str) -> String {
    let state = ledger.record(key).await.and_then(|record| record.state);
    state.map_or_else(String::new, |state| {
        String::from_utf8_lossy(&state.data).into_owned()
    })
}

/// What the broker says of a consumer.
pub async fn consumer(site: &Site, stream: &str, name: &str) -> serde_json::Value {
    let subject = format!("$JS.API.CONSUMER.INFO.{stream}.{name}");
    let answer = site
        .client()
        .await
        .request(subject, "".into())
        .await
        .expect("the broker answers");
    serde_json::from_slice(&answer.payload).expect("JSON")
}
