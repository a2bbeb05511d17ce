//! The publisher against a real server, its restarts and its silence.

mod common;

use async_nats::HeaderMap;
use common::{Server, connect, plain, settings, soon, stream};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use wharf_jetstream::connection::{self, Auth, Purpose};
use wharf_jetstream::publisher::{PublishError, Publisher};

fn header(name: &str, value: &str) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert(name, value);
    Some(headers)
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledgements_tell_stream_sequence_and_duplicates() {
    let server = Server::start();
    stream(&plain(&server).await, "A").await;
    let publisher = Publisher::new(connect(&server).await, 8)
        .await
        .expect("a publisher");
    let first = publisher
        .publish("a.1", header("Nats-Msg-Id", "x"), "1".into())
        .await
        .expect("ack");
    assert_eq!(
        (&*first.stream, first.sequence, first.duplicate),
        ("A", 1, false)
    );
    let again = publisher
        .publish("a.1", header("Nats-Msg-Id", "x"), "1".into())
        .await
        .expect("ack");
    assert_eq!((again.sequence, again.duplicate), (1, true));
    assert_eq!(publisher.in_flight(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_task_sends_is_stored_in_that_order_and_each_ack_finds_its_publish() {
    let server = Server::start();
    let stream = stream(&plain(&server).await, "A").await;
    let publisher = Publisher::new(connect(&server).await, 64)
        .await
        .expect("a publisher");
    let mut pending = FuturesUnordered::new();
    for number in 0..5_000u64 {
        let sent = publisher.send("a.x", None, number.to_string().into()).await;
        pending.push(async move { (number, sent.await.expect("ack").sequence) });
        while pending.len() > 60 {
            let (number, sequence) = pending.next().await.expect("one is pending");
            assert_eq!(sequence, number + 1);
        }
    }
    while let Some((number, sequence)) = pending.next().await {
        assert_eq!(sequence, number + 1);
    }
    let last = stream.get_raw_message(5_000).await.expect("stored");
    assert_eq!(last.payload, "4999");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_refusal_of_a_stream_is_told_apart() {
    let server = Server::start();
    let js = plain(&server).await;
    let limited =
        |name: &str, max_message_size, max_messages| async_nats::jetstream::stream::Config {
            name: name.to_owned(),
            subjects: vec![format!("{}.>", name.to_lowercase())],
            max_message_size,
            max_messages,
            discard: async_nats::jetstream::stream::DiscardPolicy::New,
            ..Default::default()
        };
    js.create_stream(limited("SMALL", 100, -1))
        .await
        .expect("a stream");
    js.create_stream(limited("SHORT", -1, 1))
        .await
        .expect("a stream");
    let publisher = Publisher::new(connect(&server).await, 8)
        .await
        .expect("a publisher");

    let expect = |sequence: &str| header("Nats-Expected-Last-Subject-Sequence", sequence);
    assert!(
        publisher
            .publish("small.a", expect("0"), "1".into())
            .await
            .is_ok()
    );
    let lost = publisher.publish("small.a", expect("0"), "2".into()).await;
    assert_eq!(
        lost,
        Err(PublishError::WrongLastSequence { actual: Some(1) })
    );
    let large = publisher
        .publish("small.a", None, vec![0; 200].into())
        .await;
    assert_eq!(large, Err(PublishError::TooLarge));
    let larger = publisher
        .publish("small.a", None, vec![0; 2 << 20].into())
        .await;
    assert_eq!(larger, Err(PublishError::TooLarge));
    assert!(publisher.publish("short.a", None, "1".into()).await.is_ok());
    let full = publisher.publish("short.a", None, "2".into()).await;
    assert!(
        matches!(full, Err(PublishError::Full { code: 10077, .. })),
        "{full:?}"
    );
    assert_eq!(
        publisher.publish("nowhere", None, "1".into()).await,
        Err(PublishError::NoStream)
    );
    assert_eq!(
        publisher.publish("a b", None, "1".into()).await,
        Err(PublishError::BadSubject)
    );
    assert_eq!(publisher.in_flight(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_permissions_forbid_is_denied_at_once_and_the_rest_goes_on() {
    let server = Server::configured(
        r#"authorization { users = [
            { user: all, password: p },
            { user: some, password: p, permissions: {
                publish: { deny: ["a.secret"] }, subscribe: { allow: ["_INBOX.>"] } } } ] }"#,
    );
    let mut all = settings(&server);
    all.auth = Auth::User {
        user: "all".into(),
        password: "p".into(),
    };
    let control = connection::connect(&all, &Purpose::Control)
        .await
        .expect("connected");
    stream(&async_nats::jetstream::new(control.client().clone()), "A").await;

    let mut some = settings(&server);
    some.auth = Auth::User {
        user: "some".into(),
        password: "p".into(),
    };
    let emit = connection::connect(&some, &Purpose::Emit)
        .await
        .expect("connected");
    let publisher = Publisher::new(emit, 8).await.expect("a publisher");
    let start = Instant::now();
    assert_eq!(
        publisher.publish("a.secret", None, "1".into()).await,
        Err(PublishError::Denied)
    );
    assert!(
        start.elapsed() < Duration::from_secs(4),
        "not only after the deadline"
    );
    assert!(publisher.publish("a.open", None, "1".into()).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_ends_as_unanswered_after_the_deadline() {
    let server = Server::start();
    stream(&plain(&server).await, "A").await;
    let patience = Duration::from_millis(500);
    let connection = connect(&server).await;
    let publisher = Publisher::with_deadline(connection, 8, patience)
        .await
        .expect("a publisher");
    assert!(publisher.publish("a.1", None, "1".into()).await.is_ok());
    server.freeze();
    let start = Instant::now();
    let silent = publisher.publish("a.1", None, "2".into()).await;
    assert_eq!(silent, Err(PublishError::Unanswered));
    assert!(start.elapsed() >= patience);
    server.thaw();
    // The late answer of the second does not become the third's.
    let third = soon("the third", publisher.publish("a.1", None, "3".into()))
        .await
        .expect("ack");
    assert_eq!(third.sequence, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_killed_server_comes_back_what_was_sent_is_unanswered_at_once() {
    let mut server = Server::start();
    stream(&plain(&server).await, "A").await;
    let connection = connect(&server).await;
    let deadline = Duration::from_secs(300);
    let publisher = Publisher::with_deadline(connection.clone(), 8, deadline).await;
    let publisher = publisher.expect("a publisher");
    server.freeze();
    let statistics = connection.client().statistics();
    let sent = || statistics.out_messages.load(Ordering::Relaxed);
    let before = sent();
    let pending = publisher.send("a.1", None, "1".into()).await;
    soon("the client has it", async {
        while sent() == before {
            tokio::task::yield_now().await;
        }
    })
    .await;
    connection.client().flush().await.expect("written");
    server.kill();
    server.restart();
    assert_eq!(
        soon("the edge", pending).await,
        Err(PublishError::Unanswered)
    );
    assert!(
        soon("the next", publisher.publish("a.1", None, "2".into()))
            .await
            .is_ok()
    );
    assert_eq!(connection.status().borrow().reconnects, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_of_publishes_is_under_way_at_once() {
    let server = Server::start();
    stream(&plain(&server).await, "A").await;
    let publisher = Publisher::new(connect(&server).await, 16)
        .await
        .expect("a publisher");
    server.freeze();
    let mut pending = Vec::new();
    for _ in 0..16 {
        pending.push(publisher.send("a.1", None, "1".into()).await);
    }
    assert_eq!(publisher.in_flight(), 16);
    let seventeenth = publisher.send("a.1", None, "1".into());
    assert!(
        tokio::time::timeout(Duration::from_millis(200), seventeenth)
            .await
            .is_err()
    );
    server.thaw();
    for sent in pending {
        assert!(soon("an ack", sent).await.is_ok());
    }
}
