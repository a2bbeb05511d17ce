//! The log reader against a real server: kills, silence, purges, restores and
//! messages that the client cannot receive.

mod common;

use common::{PATIENCE, Server, links, plain, soon, store, stream};
use std::collections::BTreeSet;
use std::time::Duration;
use wharf_jetstream::connection::Links;
use wharf_jetstream::pull::{Delivery, End};
use wharf_jetstream::reader::{
    CONSUMER_PREFIX, Event, Reader, Reason, RolledBack, Settings, SourceMark, facts,
};

const MANY: u64 = 1_000_000;
const BAD_HEADERS: &[u8] = b"NATS/1.0\r\nx-bad: \xff\xfe\r\n\r\n";

async fn mark(links: &Links, stream: &str, from: u64) -> SourceMark {
    facts(&links.control, stream).await.expect("the stream's facts").mark_before(from)
}

async fn reader(links: &Links, stream: &str, filters: &[&str], from: u64) -> Reader {
    let mark = mark(links, stream, from).await;
    let filters = filters.iter().map(|filter| (*filter).to_owned()).collect();
    let mut reader = Reader::open(links.clone(), stream, filters, mark, Settings::new("test-1"));
    reader.grant(MANY, MANY * 1024);
    reader
}

/// The next delivery, whatever happens before it, and the reasons for breaks.
async fn delivery(reader: &mut Reader) -> (Delivery, Vec<Reason>) {
    let mut reasons = Vec::new();
    loop {
        match soon("the next event", reader.next()).await.expect("the same source") {
            Event::Delivery(delivery) => return (delivery, reasons),
            Event::Reopened { reason } => reasons.push(reason),
            Event::Unavailable { .. } => {}
            Event::SourceLost { from, to } => panic!("lost {from} to {to}"),
        }
    }
}

/// Sequences of the next `count` deliveries, and the reasons for breaks.
async fn sequences(reader: &mut Reader, count: usize) -> (Vec<u64>, Vec<Reason>) {
    let mut found = Vec::new();
    let mut all = Vec::new();
    while found.len() < count {
        let (delivery, reasons) = delivery(reader).await;
        found.push(delivery.position.sequence);
        all.extend(reasons);
    }
    (found, all)
}

async fn nothing(reader: &mut Reader, wait: Duration) {
    let next = tokio::time::timeout(wait, reader.next()).await;
    assert!(next.is_err(), "unexpected: {next:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_in_stream_order_with_position_subject_headers_and_bytes() {
    let server = Server::start();
    let js = plain(&server).await;
    stream(&js, "A").await;
    for number in 1..=3 {
        store(&js, &format!("a.{number}"), "x").await;
    }
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("k", "v");
    js.publish_with_headers("a.4", headers, "y".into()).await.expect("sent").await.expect("stored");
    let links = links(&server).await;
    let mut reader = reader(&links, "A", &[], 1).await;
    assert_eq!(sequences(&mut reader, 3).await, (vec![1, 2, 3], vec![]));
    let (last, _) = delivery(&mut reader).await;
    assert_eq!((last.subject.as_str(), &last.payload[..], last.pending), ("a.4", &b"y"[..], 0));
    assert_eq!(last.headers.entries()[0].0.as_ref(), b"k");
    assert!(last.position.stored_ns > 0 && last.token.is_none());
    assert_eq!(last.origin.stream, "A");
    assert_eq!(last.origin.created_ns, mark(&links, "A", 1).await.created_ns);
    store(&js, "a.5", "z").await;
    assert_eq!(sequences(&mut reader, 1).await.0, [5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_select_and_the_position_is_the_callers() {
    let server = Server::start();
    let js = plain(&server).await;
    stream(&js, "A").await;
    for subject in ["a.x.1", "a.y.1", "a.z.1", "a.x.2", "a.y.2", "a.z.2"] {
        store(&js, subject, "").await;
    }
    let links = links(&server).await;
    let mut reader = reader(&links, "A", &["a.x.*", "a.z.*"], 2).await;
    assert_eq!(sequences(&mut reader, 3).await.0, [3, 4, 6]);
    assert_eq!(reader.position(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_is_handed_out_than_granted() {
    let server = Server::start();
    let js = plain(&server).await;
    stream(&js, "A").await;
    for _ in 0..10 {
        store(&js, "a.1", "0123456789").await;
    }
    let links = links(&server).await;
    let mark = mark(&links, "A", 1).await;
    let mut reader = Reader::open(links, "A", vec![], mark, Settings::new("test-1"));
    nothing(&mut reader, Duration::from_millis(300)).await;
    reader.grant(2, MANY);
    assert_eq!(sequences(&mut reader, 2).await.0, [1, 2]);
    nothing(&mut reader, Duration::from_millis(300)).await;
    reader.grant(8, 0);
    assert_eq!(sequences(&mut reader, 8).await.0, (3..=10).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn interleaving_38_a_message_at_the_brokers_limit_comes_through_the_smallest_byte_credit() {
    let server = Server::start();
    let js = plain(&server).await;
    stream(&js, "A").await;
    let largest = "x".repeat(1 << 20);
    store(&js, "a.1", &largest).await;
    store(&js, "a.2", &"y".repeat(64 << 10)).await;
    let links = links(&server).await;
    let mark = mark(&links, "A", 1).await;
    let mut reader = Reader::open(links, "A", vec![], mark, Settings::new("test-1"));
    reader.grant(10, 1);
    let (first, _) = delivery(&mut reader).await;
    assert_eq!(first.payload.len(), 1 << 20);
    // The overdraft is paid back before anything else is asked for.
    nothing(&mut reader, Duration::from_millis(300)).await;
    reader.grant(0, first.bytes());
    let (second, _) = delivery(&mut reader).await;
    assert_eq!(second.position.sequence, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_idles_for_longer_than_the_broker_remembers_it_goes_on() {
    let server = Server::start();
    let js = plain(&server).await;
    stream(&js, "A").await;
    store(&js, "a.1", "").await;
    let links = links(&server).await;
    let mark = mark(&links, "A", 1).await;
    let mut settings = Settings::new("test-1");
    settings.inactive = Duration::from_secs(1);
    let mut reader = Reader::open(links, "A", vec![], mark, settings);
    reader.grant(1, MANY);
    assert_eq!(sequences(&mut reader, 1).await.0, [1]);
    let stream = js.get_stream("A").await.expect("the stream");
    common::until("the broker forgets the consumer", async || {
        stream.get_info().await.is_ok_and(|info| info.state.consumer_count == 0)
    })
    .await;
    store(&js, "a.2", "").await;
    reader.grant(1, MANY);
    let (found, reasons) = sequences(&mut reader, 1).await;
    assert_eq!(found, [2]);
    assert_eq!(reasons, [Reason::Ended(End::NoResponders)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_of_the_server_lose_repeat_and_reorder_nothing() {
    let mut server = Server::start();
    let js = plain(&server).await;
    stream(&js, "A").await;
    let links = links(&server).await;
    let mut reader = reader(&links, "A", &[], 1).await;
    let mut expected = 1;
    for _ in 0..3 {
        let mut stored = 0;
        for _ in 0..200 {
            stored = store(&js, "a.1", "").await;
        }
        // Some are read before the kill, the rest after it.
        let before = sequences(&mut reader, 50).await.0;
        server.kill();
        server.restart();
        let left = usize::try_from(stored - expected + 1).expect("few") - 50;
        let after = sequences(&mut reader, left).await.0;
        let all: Vec<u64> = before.into_iter().chain(after).collect();
        assert_eq!(all, (expected..=stored).collect::<Vec<_>>());
        expected = stored + 1;
        common::until("the server stores again", async || {
            js.get_stream("A").await.is_ok()
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missed_heartbeats_begin_another_reader_and_the_old_one_is_deleted() {
    let server = Server::start();
    let js = plain(&server).await;
    let stream = stream(&js, "A").await;
    store(&js, "a.1", "").await;
    let links = links(&server).await;
    let mut reader = reader(&links, "A", &[], 1).await;
    assert_eq!(sequences(&mut reader, 1).await.0, [1]);
    server.freeze();
    let waiting = tokio::time::timeout(Duration::from_secs(3), reader.next()).await;
    assert!(waiting.is_err(), "nothing can be reported while nothing answers: {waiting:?}");
    server.thaw();
    store(&js, "a.2", "").await;
    let (found, reasons) = sequences(&mut reader, 1).await;
    assert_eq!(found, [2]);
    assert_eq!(reasons, [Reason::Ended(End::Silent)]);
    let names: Vec<String> = consumers(&stream).await;
    assert_eq!(names.len(), 1, "{names:?}");
    assert!(names[0].starts_with(&format!("{CONSUMER_PREFIX}test-1-")), "{names:?}");
    reader.close().await;
    assert_eq!(consumers(&stream).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_consumer_is_replaced_where_it_stopped() {
    let server = Server::start();
    let js = plain(&server).await;
    let stream = stream(&js, "A").await;
    store(&js, "a.1", "").await;
    let links = links(&server).await;
    let mut reader = reader(&links, "A", &[], 1).await;
    assert_eq!(sequences(&mut reader, 1).await.0, [1]);
    for name in consumers(&stream).await {
        stream.delete_consumer(&name).await.expect("deleted");
    }
    store(&js, "a.2", "").await;
    let (found, reasons) = sequences(&mut reader, 1).await;
    assert_eq!(found, [2]);
    assert_eq!(reasons, [Reason::Ended(End::Deleted)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_taken_by_somebody_else_shows_as_a_gap_or_in_a_heartbeat() {
    let server = Server::start();
    let js = plain(&server).await;
    let stream = stream(&js, "A").await;
    store(&js, "a.1", "").await;
    let links = links(&server).await;
    let mark = mark(&links, "A", 1).await;
    let mut reader = Reader::open(links, "A", vec![], mark, Settings::new("test-1"));
    reader.grant(1, MANY);
    assert_eq!(sequences(&mut reader, 1).await.0, [1]);
    // Without credit no pull is open, so the thief gets the next event.
    store(&js, "a.2", "stolen").await;
    steal(&stream, 1).await;
    reader.grant(MANY, MANY * 1024);
    let (found, reasons) = sequences(&mut reader, 1).await;
    assert_eq!(found, [2]);
    assert_eq!(reasons, [Reason::Missed { sent: 2, received: 1 }]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_event_behind_a_stolen_one_is_held_back() {
    let server = Server::start();
    let js = plain(&server).await;
    let stream = stream(&js, "A").await;
    store(&js, "a.1", "").await;
    let links = links(&server).await;
    let mark = mark(&links, "A", 1).await;
    let mut reader = Reader::open(links, "A", vec![], mark, Settings::new("test-1"));
    reader.grant(1, MANY);
    assert_eq!(sequences(&mut reader, 1).await.0, [1]);
    store(&js, "a.2", "stolen").await;
    store(&js, "a.3", "").await;
    steal(&stream, 1).await;
    reader.grant(MANY, MANY * 1024);
    let (found, reasons) = sequences(&mut reader, 2).await;
    assert_eq!(found, [2, 3]);
    assert_eq!(reasons, [Reason::Gap { expected: 2, found: 3 }]);
}

#[tokio::test(flavor = "multi_thread")]
async fn interleaving_30_a_restored_source_pauses_and_a_purged_one_says_what_is_gone() {
    let server = Server::start();
    let js = plain(&server).await;
    let stream = stream(&js, "A").await;
    for _ in 0..20 {
        store(&js, "a.1", "").await;
    }
    let links = links(&server).await;

    // The watermark lies above the last sequence, as after a restore.
    let ahead = SourceMark { watermark: 40, ..mark(&links, "A", 1).await };
    let mut reader = Reader::open(links.clone(), "A", vec![], ahead, Settings::new("test-1"));
    reader.grant(MANY, MANY);
    let refused = soon("a refusal", reader.next()).await.expect_err("rolled back");
    assert_eq!(refused, RolledBack::Shorter { watermark: 40, last: 20 });

    // The sequence exists, but it is another event.
    let other = SourceMark { watermark: 10, stored_ns: 1, ..ahead };
    let mut reader = Reader::open(links.clone(), "A", vec![], other, Settings::new("test-1"));
    reader.grant(MANY, MANY);
    let refused = soon("a refusal", reader.next()).await.expect_err("rolled back");
    assert!(matches!(refused, RolledBack::OtherEvent { sequence: 10, .. }), "{refused:?}");

    // The stream was made again.
    let older = SourceMark { created_ns: ahead.created_ns - 1, watermark: 0, stored_ns: 0 };
    let mut reader = Reader::open(links.clone(), "A", vec![], older, Settings::new("test-1"));
    reader.grant(MANY, MANY);
    let refused = soon("a refusal", reader.next()).await.expect_err("another stream");
    assert!(matches!(refused, RolledBack::CreatedAgain { .. }), "{refused:?}");

    // After a purge to 11 the reader from 5 would begin at 11 without a gap.
    stream.purge().sequence(11).await.expect("purged");
    let behind = SourceMark { watermark: 4, ..ahead };
    let mut reader = Reader::open(links, "A", vec![], behind, Settings::new("test-1"));
    reader.grant(MANY, MANY);
    let first = soon("the loss", reader.next()).await.expect("the same source");
    assert!(matches!(first, Event::SourceLost { from: 5, to: 10 }), "{first:?}");
    assert_eq!(sequences(&mut reader, 10).await.0, (11..=20).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_restored_while_it_is_read_stops_the_reader() {
    let mut server = Server::start();
    let js = plain(&server).await;
    stream(&js, "A").await;
    for _ in 0..5 {
        store(&js, "a.1", "").await;
    }
    server.kill();
    let backup = server.folder().join("backup");
    copy(&server.folder().join("store"), &backup);
    server.restart();
    common::until("the server stores again", async || js.get_stream("A").await.is_ok()).await;
    for _ in 0..5 {
        store(&js, "a.1", "").await;
    }
    let links = links(&server).await;
    let mut reader = reader(&links, "A", &[], 1).await;
    assert_eq!(sequences(&mut reader, 10).await.0.len(), 10);
    server.kill();
    std::fs::remove_dir_all(server.folder().join("store")).expect("removed");
    copy(&backup, &server.folder().join("store"));
    server.restart();
    let refused = loop {
        match soon("a refusal", reader.next()).await {
            Err(refused) => break refused,
            Ok(Event::Unavailable { .. } | Event::Reopened { .. }) => {}
            Ok(other) => panic!("unexpected: {other:?}"),
        }
    };
    assert_eq!(refused, RolledBack::Shorter { watermark: 10, last: 5 });
}

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
    let caught_up = soon("the end of stepping", reader.next()).await.expect("the same source");
    let stepped = Reason::Stepped { count: 8 };
    assert!(matches!(&caught_up, Event::Reopened { reason } if *reason == stepped), "{caught_up:?}");
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
    // A status of its own making is an event like any other, not the server's word.
    server.publish_raw("a.good", b"NATS/1.0 409 Consumer Deleted\r\n\r\n", b"forged");
    let links = links(&server).await;
    let mut reader = reader(&links, "A", &[], 1).await;
    assert_eq!(sequences(&mut reader, 4).await.0, [1, 2, 3, 4]);
    server.publish_raw("a.good", b"NATS/1.0 409 Consumer Deleted\r\n\r\n", b"forged");
    let (found, _) = sequences(&mut reader, 1).await;
    assert_eq!(found, [5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_stream_is_reported_and_waited_for() {
    let server = Server::start();
    let js = plain(&server).await;
    stream(&js, "A").await;
    let links = links(&server).await;
    let mut reader = reader(&links, "A", &[], 1).await;
    js.delete_stream("A").await.expect("deleted");
    let first = soon("a report", reader.next()).await.expect("no other source");
    let Event::Unavailable { error } = first else { panic!("unexpected: {first:?}") };
    assert_eq!(error.api_code(), Some(10059));
    stream(&js, "A").await;
    let refused = tokio::time::timeout(PATIENCE, async {
        loop {
            if let Err(refused) = reader.next().await {
                break refused;
            }
        }
    });
    let refused = refused.await.expect("in time");
    assert!(matches!(refused, RolledBack::CreatedAgain { .. }), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_are_dropped_half_way_lose_nothing() {
    let server = Server::start();
    let js = plain(&server).await;
    stream(&js, "A").await;
    for _ in 0..300 {
        store(&js, "a.1", "").await;
    }
    let links = links(&server).await;
    let mut reader = reader(&links, "A", &[], 1).await;
    let mut found = Vec::new();
    soon("all events", async {
        while found.len() < 300 {
            tokio::select! {
                biased;
                () = tokio::task::yield_now() => {}
                event = reader.next() => match event.expect("the same source") {
                    Event::Delivery(delivery) => found.push(delivery.position.sequence),
                    other => panic!("unexpected: {other:?}"),
                }
            }
        }
    })
    .await;
    assert_eq!(found, (1..=300).collect::<Vec<_>>());
}

async fn consumers(stream: &async_nats::jetstream::stream::Stream) -> Vec<String> {
    use futures_util::TryStreamExt;
    stream.consumer_names().try_collect().await.expect("names")
}

/// Pulls `count` events from the reader's consumer, as nobody should.
async fn steal(stream: &async_nats::jetstream::stream::Stream, count: usize) {
    use futures_util::StreamExt;
    let name = consumers(stream).await.pop().expect("a consumer");
    let thief: async_nats::jetstream::consumer::PullConsumer =
        stream.get_consumer(&name).await.expect("the reader's consumer");
    let mut batch = thief.fetch().max_messages(count).messages().await.expect("a batch");
    for _ in 0..count {
        soon("the stolen event", batch.next()).await.expect("one").expect("a message");
    }
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    let done = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(done.expect("cp runs").success());
}
