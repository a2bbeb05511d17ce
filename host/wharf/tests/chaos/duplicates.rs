//! The same order more than once, in every way in which it can come again.

use std::time::Duration;

use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::stream::Config;
use async_nats::{Client, HeaderMap, jetstream};
use wharf_demo::gateway::ChargeStatus;
use wharf_demo::load::Spec;
use wharf_demo::run::unsettled;
use wharf_demo::shop::{Message, SOURCE, STREAM};
use wharf_demo::stream::Stream;
use wharf_demo::{HostProcess, Report};

use crate::beside_others;
use crate::shop::orders;
use crate::support::{Plan, SOON, Site, until};

/// Far shorter than the two minutes that a host insists on at its start, and
/// than a test.
const WINDOW: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_published_again_at_once_after_a_crash_and_after_the_window_is_one_order() {
    let _machine = beside_others().await;
    let site = Site::provisioned(Plan::shop().host("lease = \"3s\"")).await;
    let jetstream = jetstream::new(site.client().await);
    let mut host = site.host().await;
    let spec = Spec {
        stock: 50,
        ..orders(1, 1_000.0)
    };
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
    shorten_window(&jetstream).await;
    let last = until("the window's end", SOON, || async {
        let ack = publish(&jetstream, &placed, Some(&placed.id)).await;
        (!ack.duplicate).then_some(ack)
    })
    .await;
    assert_one(&site, &host, last.sequence, 2).await;
}

/// Has the broker forget the ids that it knows.
pub async fn shorten_window(jetstream: &jetstream::Context) {
    set_window(jetstream, WINDOW).await;
}

pub async fn set_window(jetstream: &jetstream::Context, window: Duration) {
    let mut stream = jetstream
        .get_stream(STREAM)
        .await
        .expect("the stream is there");
    let config = stream
        .info()
        .await
        .expect("the broker answers")
        .config
        .clone();
    let config = Config {
        duplicate_window: window,
        ..config
    };
    jetstream
        .update_stream(config)
        .await
        .expect("the stream is edited");
}

/// Everything up to `sequence` is settled; the order handler has seen so many
/// duplicates in this host's life; and there was one order.
async fn assert_one(site: &Site, host: &HostProcess, sequence: u64, duplicates: u64) {
    until("the duplicates to be settled", SOON, || async {
        let samples = host.metrics().await.ok()?;
        (samples.count("wharf_watermark", &[("handler", "order")]) >= sequence).then_some(())
    })
    .await;
    let client = site.client().await;
    let report = until("a shop at rest", SOON, || at_rest(&client, site, host)).await;
    assert!(report.balanced, "{report}");
    assert!(
        report.to_string().contains("1 placed: 1 confirmed"),
        "{report}"
    );
    let charges = site.gateway.ledger().charges;
    assert_eq!(charges.len(), 1, "{charges:?}");
    assert_eq!(charges[0].made.status, ChargeStatus::Captured);
    let samples = host.metrics().await.expect("the host answers");
    for handler in ["order", "audit"] {
        let of = [("handler", handler), ("outcome", "duplicate")];
        assert_eq!(
            samples.count("wharf_events_total", &of),
            duplicates,
            "{handler}"
        );
    }
}

/// The books, once nothing moves and the customer has a mail.
pub async fn at_rest(client: &Client, site: &Site, host: &HostProcess) -> Option<Report> {
    let events = Stream::new(client.clone(), STREAM);
    let before = events.extent().await.ok()?;
    let report = Report::collect(client, site.gateway.ledger()).await.ok()?;
    let held = unsettled(&host.metrics().await.ok()?)?;
    let still = events.extent().await.ok()? == before;
    (still && held == 0 && site.gateway.counts().1 > 0).then_some(report)
}

pub async fn publish(
    jetstream: &jetstream::Context,
    message: &Message,
    msg_id: Option<&str>,
) -> PublishAck {
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
    let sent = jetstream
        .publish_with_headers(subject, headers, data)
        .await
        .expect("it is sent");
    sent.await.expect("it is stored")
}
