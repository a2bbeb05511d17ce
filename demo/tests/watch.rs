//! Waiting for a shop to come to rest, on a real broker and a real gateway.

#![allow(
    clippy::unwrap_used,
    reason = "a test says what it expects by panicking"
)]

mod common;

use std::time::Duration;

use async_nats::jetstream::{self, stream::Config};
use bytes::Bytes;
use http::{Request, StatusCode};
use wharf_demo::gateway::{Gateway, Modes};
use wharf_demo::process::loopback;
use wharf_demo::run::{Rest, Watcher};
use wharf_demo::shop::{AUDIT_STREAM, STREAM};
use wharf_demo::{NatsServer, client};

/// One order that was placed and confirmed, and both events audited.
async fn one_order(nats: &NatsServer) -> jetstream::Context {
    let jetstream = jetstream::new(nats.connect().await.unwrap());
    for (name, subjects) in [(STREAM, "shop.>"), (AUDIT_STREAM, "audit.>")] {
        let config = Config {
            name: name.into(),
            subjects: vec![subjects.into()],
            ..Config::default()
        };
        jetstream.create_stream(config).await.unwrap();
    }
    for subject in [
        "shop.order.A.placed",
        "shop.order.A.confirmed",
        "audit.1",
        "audit.2",
    ] {
        jetstream
            .publish(subject, "{}".into())
            .await
            .unwrap()
            .await
            .unwrap();
    }
    jetstream
}

async fn send_mail(gateway: &Gateway) {
    let mail = r#"{"to": "c", "template": "t", "order": "A", "subject": "", "body": ""}"#;
    let request = Request::post("/mails").header("content-type", "application/json");
    let request = request.body(Bytes::from(mail)).unwrap();
    let sent = client::send(gateway.address(), request, Duration::from_secs(5))
        .await
        .unwrap();
    assert_eq!(sent.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_shop_is_waited_for_until_the_last_mail_is_out() {
    let folder = tempfile::tempdir().unwrap();
    let nats = common::nats(folder.path()).await;
    one_order(&nats).await;
    let gateway = Gateway::start(loopback(0), 7, Modes::default())
        .await
        .unwrap();
    let watcher = Watcher::new(&nats.connect().await.unwrap(), &gateway);

    let waiting = watcher.settle(&[], 1, Duration::from_secs(30));
    tokio::pin!(waiting);
    let early = tokio::time::timeout(Duration::from_secs(1), &mut waiting).await;
    assert!(early.is_err(), "a mail is missing: {early:?}");
    send_mail(&gateway).await;
    let Rest::Done(tally) = waiting.await else {
        panic!("the mail is out")
    };
    assert_eq!((tally.placed, tally.confirmed, tally.ended()), (1, 1, 1));
    assert_eq!((tally.events, tally.links, tally.mails), (2, 2, 1));
}

#[tokio::test]
async fn a_shop_in_which_nothing_moves_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut nats = common::nats(folder.path()).await;
    let jetstream = one_order(&nats).await;
    jetstream
        .publish("shop.order.B.placed", "{}".into())
        .await
        .unwrap()
        .await
        .unwrap();
    let gateway = Gateway::start(loopback(0), 7, Modes::default())
        .await
        .unwrap();
    let watcher = Watcher::new(&nats.connect().await.unwrap(), &gateway);

    let rest = watcher.settle(&[], 2, Duration::from_millis(600)).await;
    assert!(
        matches!(rest, Rest::Stalled(tally) if tally.placed == 2),
        "{rest:?}"
    );
    nats.kill().await.unwrap();
    let rest = watcher.settle(&[], 2, Duration::from_millis(600)).await;
    assert!(matches!(rest, Rest::Stalled(_)), "{rest:?}");
}
