//! The same order more than once, in every way in which it can come again.

use std::time::Duration;

use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::stream::{Config, DiscardPolicy};
use async_nats::{HeaderMap, jetstream};
use wharf_demo::HostProcess;
use wharf_demo::gateway::{Charge, ChargeStatus};
use wharf_demo::shop::{Message, SOURCE, STREAM};

use crate::beside_others;
use crate::shop::{assert_balanced, orders};
use crate::support::{Plan, SOON, Site, until};

/// The shop's own stream is somebody else's here: the window in which the
/// broker knows an id again is shorter than a test.
const STREAMS: &str = r#"
[streams.AUDIT]
subjects = ["audit.>"]
max_bytes = "1GiB"
"#;
const WINDOW: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_published_again_at_once_after_a_crash_and_after_the_window_is_one_order() {
    let _machine = beside_others().await;
    let (site, jetstream) = shop().await;
    let mut host = site.host().await;
    let spec = orders(1, 1_000.0);
    let order = spec.orders().next().expect("one order");
    for stocked in spec.stock() {
        publish(&jetstream, &stocked, Some(&stocked.id)).await;
    }
    let placed = Message::placed(&order);

    // At once: the broker drops two of three, the host the one without an id
    // that the broker would know.
    let sent = [1, 2, 3].map(|_| publish(&jetstream, &placed, Some(&placed.id)));
    let sent = futures_util::future::join_all(sent).await;
    assert_eq!(sent.iter().filter(|ack| !ack.duplicate).count(), 1);
    publish(&jetstream, &placed, None).await;
    let last = publish(&jetstream, &placed, Some("another id")).await;
    assert_one(&site, &host, last.sequence, 2).await;

    // After a crash: what the host had in memory is gone.
    host.kill().await.expect("SIGKILL is sent");
    let last = publish(&jetstream, &placed, None).await;
    let host = site.host().await;
    assert_one(&site, &host, last.sequence, 1).await;

    // After the window: the broker takes it as new.
    let last = until("the window's end", SOON, || async {
        let ack = publish(&jetstream, &placed, Some(&placed.id)).await;
        (!ack.duplicate).then_some(ack)
    })
    .await;
    assert_one(&site, &host, last.sequence, 2).await;
}

/// The shop on a stream that forgets ids after [`WINDOW`].
async fn shop() -> (Site, jetstream::Context) {
    let plan = Plan { streams: STREAMS.to_owned(), ..Plan::shop().host("lease = \"3s\"") };
    let site = Site::set(plan).await;
    let jetstream = jetstream::new(site.client().await);
    let config = Config {
        name: STREAM.to_owned(),
        subjects: vec!["shop.*.*.>".to_owned()],
        discard: DiscardPolicy::New,
        duplicate_window: WINDOW,
        allow_direct: true,
        ..Config::default()
    };
    jetstream.create_stream(config).await.expect("the stream is made");
    site.provision().await;
    (site, jetstream)
}

/// Everything up to `sequence` is settled; the order handler has seen so many
/// duplicates in this host's life; and there was one order.
async fn assert_one(site: &Site, host: &HostProcess, sequence: u64, duplicates: u64) {
    until("the duplicates to be settled", SOON, || async {
        let samples = host.metrics().await.ok()?;
        (samples.count("wharf_watermark", &[("handler", "order")]) >= sequence).then_some(())
    })
    .await;
    let tally = assert_balanced(site, host, 1, "").await;
    assert_eq!((tally.confirmed, tally.ended(), tally.mails), (1, 1, 1));
    let ledger = site.gateway.ledger();
    let charges: Vec<&Charge> = ledger.charges.iter().map(|entry| &entry.made).collect();
    assert_eq!(charges.len(), 1, "{charges:?}");
    assert_eq!(charges[0].status, ChargeStatus::Captured);
    let samples = host.metrics().await.expect("the host answers");
    let seen = samples.count("wharf_events_total", &[("handler", "order"), ("outcome", "duplicate")]);
    assert_eq!(seen, duplicates);
}

async fn publish(jetstream: &jetstream::Context, message: &Message, msg_id: Option<&str>) -> PublishAck {
    let mut headers = HeaderMap::new();
    if let Some(id) = msg_id {
        headers.insert("Nats-Msg-Id", id);
    }
    headers.insert("ce-specversion", "1.0");
    headers.insert("ce-id", message.id.as_str());
    headers.insert("ce-type", message.event_type.as_str());
    headers.insert("ce-source", SOURCE);
    headers.insert("content-type", "application/json");
    let (subject, data) = (message.subject.clone(), message.data.clone().into());
    let sent = jetstream.publish_with_headers(subject, headers, data).await.expect("it is sent");
    sent.await.expect("it is stored")
}
