//! Placing orders on a real broker, also while it dies and comes back.

#![allow(
    clippy::unwrap_used,
    reason = "a test says what it expects by panicking"
)]

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::stream::Config;
use wharf_demo::NatsServer;
use wharf_demo::load::{self, Counters, Spec};
use wharf_demo::shop::{Message, STREAM};
use wharf_demo::stream::{Stored, Stream};

const SPEC: Spec = Spec {
    seed: 7,
    first: 1,
    orders: 300,
    skus: 10,
    stock: 5,
    rate: None,
};

async fn shop(nats: &NatsServer) -> Stream {
    let client = nats.connect().await.unwrap();
    let config = Config {
        name: STREAM.into(),
        subjects: vec!["shop.>".into()],
        ..Config::default()
    };
    jetstream::new(client.clone())
        .create_stream(config)
        .await
        .unwrap();
    Stream::new(client, STREAM)
}

fn expected() -> BTreeMap<String, Message> {
    let orders = SPEC.orders().map(|order| Message::placed(&order));
    SPEC.stock()
        .chain(orders)
        .map(|message| (message.id.clone(), message))
        .collect()
}

fn assert_is(stored: &Stored, message: &Message) {
    assert_eq!(stored.subject, message.subject);
    assert_eq!(stored.data, message.data);
    assert_eq!(stored.header("ce-specversion"), Some("1.0"));
    assert_eq!(stored.header("ce-type"), Some(message.event_type.as_str()));
    assert_eq!(stored.header("content-type"), Some("application/json"));
    assert_eq!(
        stored.header("traceparent"),
        Some(message.traceparent.as_str())
    );
    assert_eq!(stored.header("nats-msg-id"), stored.header("ce-id"));
}

#[tokio::test]
async fn a_load_stores_stock_first_and_then_every_order_once() {
    let folder = tempfile::tempdir().unwrap();
    let nats = common::nats(folder.path()).await;
    let shop = shop(&nats).await;
    let counters = Counters::default();
    let client = nats.connect().await.unwrap();
    let done = load::run(client.clone(), &SPEC, &counters).await.unwrap();
    assert_eq!(
        (done.orders, counters.stocked(), counters.placed()),
        (300, 10, 300)
    );

    // The same load again is what a customer's retry looks like.
    load::run(client, &SPEC, &counters).await.unwrap();
    let stored = shop.read_all().await.unwrap();
    let expected = expected();
    assert_eq!(stored.len(), expected.len());
    for message in &stored {
        assert_is(message, &expected[message.event_id().unwrap()]);
    }
    let stocked = |message: &Stored| message.subject.ends_with(".stocked");
    assert!(stored[..10].iter().all(stocked) && !stored[10..].iter().any(stocked));
    assert_eq!(shop.count(&["shop.order.*.placed"]).await.unwrap(), 300);
}

#[tokio::test]
async fn a_load_survives_a_broker_that_is_killed_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut nats = common::nats(folder.path()).await;
    let shop = shop(&nats).await;
    let client = nats.connect().await.unwrap();
    let spec = Spec {
        rate: Some(150.0),
        ..SPEC
    };
    let counters = std::sync::Arc::new(Counters::default());
    let seen = std::sync::Arc::clone(&counters);
    let load = tokio::spawn(async move { load::run(client, &spec, &counters).await });
    for kill_at in [50, 150] {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        while seen.placed() < kill_at {
            assert!(
                tokio::time::Instant::now() < deadline,
                "the load does not move"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        nats.kill().await.unwrap();
        nats.start_again().await.unwrap();
    }
    load.await.unwrap().unwrap();

    let expected = expected();
    let stored = shop.read_all().await.unwrap();
    let mut copies = BTreeMap::<&str, usize>::new();
    for message in &stored {
        let id = message.event_id().unwrap();
        assert_is(message, &expected[id]);
        *copies.entry(id).or_default() += 1;
    }
    let missing: Vec<&String> = expected
        .keys()
        .filter(|id| !copies.contains_key(id.as_str()))
        .collect();
    assert!(missing.is_empty(), "acknowledged and lost: {missing:?}");
    assert!(
        copies.values().all(|count| *count == 1),
        "stored twice: {copies:?}"
    );
}

#[tokio::test]
async fn a_message_whose_header_is_not_text_is_read_like_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let nats = common::nats(folder.path()).await;
    let shop = shop(&nats).await;
    common::publish_raw(
        &nats,
        "shop.order.A.placed",
        b"NATS/1.0\r\nce-id: \xff\r\n\r\n",
        b"{}",
    )
    .await;
    let client = nats.connect().await.unwrap();
    client
        .publish("shop.order.B.placed", "{}".into())
        .await
        .unwrap();
    client.flush().await.unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while shop.extent().await.unwrap().messages < 2 {
        assert!(
            tokio::time::Instant::now() < deadline,
            "two messages were published"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let subjects: Vec<String> = shop
        .read_all()
        .await
        .unwrap()
        .into_iter()
        .map(|message| message.subject)
        .collect();
    assert_eq!(subjects, ["shop.order.A.placed", "shop.order.B.placed"]);
    let matching = shop.read_matching("shop.order.B.>").await.unwrap();
    assert_eq!(
        matching
            .iter()
            .map(|message| message.sequence)
            .collect::<Vec<_>>(),
        [2]
    );
}
