//! The log reader against a real server: order, credit, kills and silence.

mod common;

use async_nats::jetstream;
use common::proxy::{Flow, Proxy, Way};
use common::reading::{MANY, delivery, mark, nothing, reader, sequences};
use common::{Server, links, plain, soon, store, stream, until};
use std::time::Duration;
use wharf_jetstream::connection::{self, Purpose};
use wharf_jetstream::pull::End;
use wharf_jetstream::reader::{CONSUMER_PREFIX, Event, Reader, Reason, Settings};

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
    js.publish_with_headers("a.4", headers, "y".into())
        .await
        .expect("sent")
        .await
        .expect("stored");
    let links = links(&server).await;
    let mut reader = reader(&links, "A", &[], 1).await;
    assert_eq!(sequences(&mut reader, 3).await, (vec![1, 2, 3], vec![]));
    let (last, _) = delivery(&mut reader).await;
    assert_eq!(
        (last.subject.as_str(), &last.payload[..], last.pending),
        ("a.4", &b"y"[..], 0)
    );
    assert_eq!(last.headers.entries()[0].0.as_ref(), b"k");
    assert!(last.position.stored_ns > 0 && last.token.is_none());
    assert_eq!(last.origin.stream, "A");
    assert_eq!(
        last.origin.created_ns,
        mark(&links, "A", 1).await.created_ns
    );
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
    assert_eq!(
        sequences(&mut reader, 8).await.0,
        (3..=10).collect::<Vec<_>>()
    );
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
    until("the broker forgets the consumer", async || {
        stream
            .get_info()
            .await
            .is_ok_and(|info| info.state.consumer_count == 0)
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
        until("the server stores again", async || {
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
    assert!(
        waiting.is_err(),
        "nothing can be reported while nothing answers: {waiting:?}"
    );
    server.thaw();
    store(&js, "a.2", "").await;
    let (found, reasons) = sequences(&mut reader, 1).await;
    assert_eq!(found, [2]);
    assert_eq!(reasons, [Reason::Ended(End::Silent)]);
    let names: Vec<String> = consumers(&stream).await;
    assert_eq!(names.len(), 1, "{names:?}");
    assert!(
        names[0].starts_with(&format!("{CONSUMER_PREFIX}test-1-")),
        "{names:?}"
    );
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
    assert_eq!(
        reasons,
        [Reason::Missed {
            sent: 2,
            received: 1
        }]
    );
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
    assert_eq!(
        reasons,
        [Reason::Gap {
            expected: 2,
            found: 3
        }]
    );
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

/// Stores events whose deliveries are lost on the way, and nothing else.
async fn swallow(js: &jetstream::Context, way: &Proxy, count: usize) {
    way.set(Way::FromServer, Flow::Lost);
    for _ in 0..count {
        store(js, "a.1", "lost on its way").await;
    }
    until("they are lost", async || {
        way.lost("lost on its way") == count
    })
    .await;
    way.heal();
}

/// A reader whose deliveries may be lost, and which has read event 1.
async fn on_lossy_way(server: &Server, way: &Proxy) -> Reader {
    let mut links = links(server).await;
    let through = connection::Settings::new("test", way.url());
    let consume = connection::connect(&through, &Purpose::Consume("test".into())).await;
    links.consume = consume.expect("connected");
    let mark = mark(&links, "A", 1).await;
    let mut settings = Settings::new("test-1");
    // So patient that the time without a word is no silence.
    settings.pace.expires = Duration::from_secs(20);
    settings.pace.heartbeat = Duration::from_secs(5);
    let mut reader = Reader::open(links, "A", vec![], mark, settings);
    reader.grant(MANY, MANY * 1024);
    assert_eq!(sequences(&mut reader, 1).await.0, [1]);
    reader
}

#[tokio::test(flavor = "multi_thread")]
async fn interleaving_01_a_delivery_that_dies_on_its_way_comes_before_its_successors() {
    let server = Server::start();
    let js = plain(&server).await;
    stream(&js, "A").await;
    store(&js, "a.1", "").await;
    let way = Proxy::to(server.port()).await;
    let mut reader = on_lossy_way(&server, &way).await;
    swallow(&js, &way, 2).await;
    store(&js, "a.1", "arrives first").await;
    let (found, reasons) = sequences(&mut reader, 3).await;
    assert_eq!(found, [2, 3, 4]);
    let gap = Reason::Gap {
        expected: 2,
        found: 4,
    };
    assert_eq!(reasons, [gap]);
}

#[tokio::test(flavor = "multi_thread")]
async fn interleaving_29_the_last_event_of_all_that_dies_on_its_way_is_not_left_unseen() {
    let server = Server::start();
    let js = plain(&server).await;
    stream(&js, "A").await;
    store(&js, "a.1", "").await;
    let way = Proxy::to(server.port()).await;
    let mut reader = on_lossy_way(&server, &way).await;
    swallow(&js, &way, 1).await;
    let (found, reasons) = sequences(&mut reader, 1).await;
    assert_eq!(found, [2]);
    let missed = Reason::Missed {
        sent: 2,
        received: 1,
    };
    assert_eq!(reasons, [missed]);
}

async fn consumers(stream: &jetstream::stream::Stream) -> Vec<String> {
    use futures_util::TryStreamExt;
    stream.consumer_names().try_collect().await.expect("names")
}

/// Pulls `count` events from the reader's consumer, as nobody should.
async fn steal(stream: &jetstream::stream::Stream, count: usize) {
    use futures_util::StreamExt;
    let name = consumers(stream).await.pop().expect("a consumer");
    let thief: jetstream::consumer::PullConsumer = stream
        .get_consumer(&name)
        .await
        .expect("the reader's consumer");
    let mut batch = thief
        .fetch()
        .max_messages(count)
        .messages()
        .await
        .expect("a batch");
    for _ in 0..count {
        soon("the stolen event", batch.next())
            .await
            .expect("one")
            .expect("a message");
    }
}
