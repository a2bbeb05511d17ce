//! The log reader among messages that the client library cannot receive.

mod common;

use common::reading::{delivery, reader, sequences};
use common::{Server, links, plain, soon, store, stream};
use std::collections::BTreeSet;
use wharf_jetstream::reader::{Event, Reason};

const BAD_HEADERS: &[u8] = b"NATS/1.0\r\nx-bad: \xff\xfe\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn events_around_headers_that_are_not_text_all_come_in_order() {
    let server = Server::start();
    let js = plain(&server).await;
    stream(&js, "A").await;
    let mut bad = BTreeSet::new();
    for sequence in 1..=20u64 {
        // One alone, and three in a row.
        if [4, 10, 11, 12].contains(&sequence) {
            server.publish_raw("a.bad", BAD_HEADERS, b"bytes");
            bad.insert(sequence);
        } else {
            store(&js, "a.good", "").await;
        }
    }
    let links = links(&server).await;
    let mut reader = reader(&links, "A", &["a.good", "a.bad"], 1).await;
    for sequence in 1..=20u64 {
        let (delivery, _) = delivery(&mut reader).await;
        assert_eq!(delivery.position.sequence, sequence);
        if bad.contains(&sequence) {
            assert_eq!(delivery.headers.block(), BAD_HEADERS);
            assert_eq!(&delivery.payload[..], b"bytes");
        }
    }
    let caught_up = soon("the end of stepping", reader.next())
        .await
        .expect("the same source");
    let stepped = Reason::Stepped { count: 17 };
    assert!(
        matches!(&caught_up, Event::Reopened { reason } if *reason == stepped),
        "{caught_up:?}"
    );
    store(&js, "a.good", "").await;
    assert_eq!(sequences(&mut reader, 1).await, (vec![21], vec![]));
    // The connection for requests never saw any of them.
    assert_eq!(links.control.status().borrow().reconnects, 0);
    assert!(links.consume.status().borrow().reconnects >= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_else_the_client_cannot_parse_follows_the_same_path() {
    let server = Server::start();
    let js = plain(&server).await;
    stream(&js, "A").await;
    store(&js, "a.good", "").await;
    server.publish_raw("a.bad", b"NATS/1.0\r\na header without colon\r\n\r\n", b"");
    server.publish_raw("a.bad", b"NATS/1.0\r\nna me: value\r\n\r\n", b"");
    store(&js, "a.good", "").await;
    let links = links(&server).await;
    let mut reader = reader(&links, "A", &[], 1).await;
    assert_eq!(sequences(&mut reader, 4).await.0, [1, 2, 3, 4]);
}
