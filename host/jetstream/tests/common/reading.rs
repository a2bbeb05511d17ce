//! Reads with the log reader and says what came.

use super::soon;
use std::time::Duration;
use wharf_jetstream::connection::Links;
use wharf_jetstream::pull::Delivery;
use wharf_jetstream::reader::{Event, Reader, Reason, Settings, SourceMark, facts};

/// More credit than any test uses.
pub const MANY: u64 = 1_000_000;

pub async fn mark(links: &Links, stream: &str, from: u64) -> SourceMark {
    facts(&links.control, stream)
        .await
        .expect("the stream's facts")
        .mark_before(from)
}

pub async fn reader(links: &Links, stream: &str, filters: &[&str], from: u64) -> Reader {
    let mark = mark(links, stream, from).await;
    let filters = filters.iter().map(|filter| (*filter).to_owned()).collect();
    let mut reader = Reader::open(
        links.clone(),
        stream,
        filters,
        mark,
        Settings::new("test-1"),
    );
    reader.grant(MANY, MANY * 1024);
    reader
}

/// The next delivery, whatever happens before it, and the reasons for breaks.
pub async fn delivery(reader: &mut Reader) -> (Delivery, Vec<Reason>) {
    let mut reasons = Vec::new();
    // One deadline for all of it: breaks without an end are no progress.
    let delivery = soon("the next delivery", async {
        loop {
            match reader.next().await.expect("the same source") {
                Event::Delivery(delivery) => break delivery,
                Event::Reopened { reason } => reasons.push(reason),
                Event::Unavailable { .. } => {}
                Event::SourceLost { from, to } => panic!("lost {from} to {to}"),
            }
        }
    })
    .await;
    (delivery, reasons)
}

/// Sequences of the next `count` deliveries, and the reasons for breaks.
pub async fn sequences(reader: &mut Reader, count: usize) -> (Vec<u64>, Vec<Reason>) {
    let mut found = Vec::new();
    let mut all = Vec::new();
    while found.len() < count {
        let (delivery, reasons) = delivery(reader).await;
        found.push(delivery.position.sequence);
        all.extend(reasons);
    }
    (found, all)
}

pub async fn nothing(reader: &mut Reader, wait: Duration) {
    let next = tokio::time::timeout(wait, reader.next()).await;
    assert!(next.is_err(), "unexpected: {next:?}");
}
