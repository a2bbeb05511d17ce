//! What went out before a restart does not go out again after it.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::jetstream;
use wharf_demo::HostProcess;
use wharf_demo::load::Spec;
use wharf_demo::shop::{Message, STREAM};
use wharf_demo::stream::{Stored, Stream};

use crate::beside_others;
use crate::duplicates::{at_rest, publish, set_window, shorten_window};
use crate::shop::{ORDERED, orders};
use crate::support::{Plan, SOON, Site, until};

/// E1 commits, publishes and is passed by the watermark; the host dies. When
/// the destination has forgotten the ids, E2 comes to the same entity: nothing
/// tells a host that looks at the record alone that E1's emissions went out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interleaving_03_after_a_restart_and_the_window_the_next_event_publishes_nothing_again() {
    let _machine = beside_others().await;
    let site = Site::provisioned(Plan::shop().host("lease = \"3s\"")).await;
    let client = site.client().await;
    let jetstream = jetstream::new(client.clone());
    let mut host = site.host().await;
    let spec = Spec {
        stock: 50,
        ..orders(1, 1_000.0)
    };
    let order = spec.orders().next().expect("one order");
    let mut first = 0;
    for stocked in spec.stock() {
        first = publish(&jetstream, &stocked, None).await.sequence;
    }
    publish(&jetstream, &Message::placed(&order), None).await;
    until("a shop at rest", SOON, || at_rest(&client, &site, &host)).await;
    let events = Stream::new(client.clone(), STREAM);
    let captured = last_of(&events, "payment-captured").await;
    assert!(captured > first, "the order was paid");
    until("the checkpoint", SOON, || passed(&host, captured)).await;
    // So have those of the others, which emitted too.
    for handler in ORDERED {
        site.ledger(handler).await.beats().await;
    }

    host.kill().await.expect("SIGKILL is sent");
    let emission = last_emission(&events).await;
    shorten_window(&jetstream).await;
    forgotten(&jetstream, &emission).await;
    // As a host insists on it; the ids stay forgotten.
    set_window(&jetstream, Duration::from_secs(120)).await;
    let host = site.host().await;
    let late = Message {
        subject: format!("shop.order.{}.stock-refused", order.id),
        id: "late".to_owned(),
        event_type: "order.stock-refused".to_owned(),
        data: br#"{"sku":"none","reason":"out-of-stock"}"#.to_vec(),
        ..Message::placed(&order)
    };
    let late = publish(&jetstream, &late, None).await.sequence;
    until("the late event", SOON, || passed(&host, late)).await;

    let mut seen = BTreeMap::new();
    for stored in events.read_all().await.expect("read") {
        let id = stored.event_id().expect("every event has an id").to_owned();
        seen.entry(id)
            .or_insert_with(Vec::new)
            .push(stored.sequence);
    }
    seen.retain(|id, sequences| id != "probe" && sequences.len() > 1);
    assert_eq!(seen, BTreeMap::new(), "stored more than once");
}

/// The order handler's checkpoint has passed one of its events.
async fn passed(host: &HostProcess, sequence: u64) -> Option<()> {
    let samples = host.metrics().await.ok()?;
    let watermark = samples.count("wharf_watermark", &[("handler", "order")]);
    (watermark >= sequence).then_some(())
}

/// Where the last event of a kind stands.
async fn last_of(events: &Stream, what: &str) -> u64 {
    let stored = events.read_all().await.expect("read");
    let found = stored
        .iter()
        .rev()
        .find(|event| event.subject.ends_with(what));
    found.map_or(0, |event| event.sequence)
}

/// Waits until the stream has forgotten the ids of the host's emissions: it takes
/// something else under one of them.
async fn forgotten(jetstream: &jetstream::Context, emission: &str) {
    let probe = Message {
        subject: "shop.probe.1.looked".to_owned(),
        id: "probe".to_owned(),
        event_type: "probe.looked".to_owned(),
        ..Message::stocked("none", "none", 1)
    };
    until("the window's end", SOON, || async {
        let ack = publish(jetstream, &probe, Some(emission)).await;
        (!ack.duplicate).then_some(())
    })
    .await;
}

/// The id of the last event that a handler emitted.
async fn last_emission(events: &Stream) -> String {
    let stored = events.read_all().await.expect("read");
    let emitted = |stored: &&Stored| stored.header("ce-source") == Some("order-1");
    let last = stored
        .iter()
        .rev()
        .find(emitted)
        .expect("the order emitted");
    last.event_id().expect("every event has an id").to_owned()
}
