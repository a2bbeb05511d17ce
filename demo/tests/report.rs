//! The report on a real broker: it balances when it should, and finds each kind
//! of imbalance when something is broken by hand.

#![allow(
    clippy::unwrap_used,
    reason = "a test says what it expects by panicking"
)]

mod common;

use async_nats::jetstream::stream::Config;
use async_nats::{HeaderMap, jetstream};
use audit_chain::{Event, Head, Link};
use serde_json::{Value, json};
use wharf_core::record::{self, Record, State};
use wharf_demo::report::{INVENTORY_STREAM, Report};
use wharf_demo::shop::{AUDIT_STREAM, SOURCE, STREAM};

/// A small shop at rest, as it would lie on a broker.
struct World {
    /// Subject, id and data, in stream order.
    events: Vec<(String, String, Value)>,
    links: Vec<Link>,
    stock: Vec<(String, Value)>,
    gateway: Value,
}

/// Two SKUs; `A` is confirmed with two of the first, `B` is rejected.
fn balanced() -> World {
    let placed = |sku: &str| {
        let line = json!({"sku": sku, "qty": 2, "unit_price": 100});
        json!({"customer": "c", "currency": "EUR", "lines": [line]})
    };
    let event = |subject: &str, data: Value| (subject.to_owned(), format!("id-{subject}"), data);
    let events = vec![
        event("shop.inventory.S1.stocked", json!({"qty": 10})),
        event("shop.inventory.S2.stocked", json!({"qty": 1})),
        event("shop.order.A.placed", placed("S1")),
        event("shop.order.B.placed", placed("S2")),
        event("shop.order.B.rejected", json!({"reason": "out-of-stock"})),
        event("shop.order.A.confirmed", json!({})),
    ];
    let mail = |order: &str| {
        let text =
            json!({"mail_id": format!("m-{order}"), "order": order, "template": "t", "to": "c"});
        entry(text)
    };
    World {
        links: audited(&events),
        events,
        stock: vec![
            (
                "S1".into(),
                json!({"on_hand": 8, "reserved": {}, "sold": 2, "ended": {}}),
            ),
            (
                "S2".into(),
                json!({"on_hand": 1, "reserved": {}, "sold": 0, "ended": {}}),
            ),
        ],
        gateway: json!({
            "charges": [charge("ch-1", "A", 200)],
            "mails": [mail("A"), mail("B")],
            "cancelled": [],
        }),
    }
}

fn charge(id: &str, order: &str, amount: u64) -> Value {
    entry(json!({
        "charge_id": id, "order": order, "amount": amount, "currency": "EUR", "status": "captured",
    }))
}

fn entry(mut made: Value) -> Value {
    for (name, value) in [
        ("key", json!("k")),
        ("at_ms", json!(1)),
        ("requests", json!(1)),
    ] {
        made[name] = value;
    }
    made
}

/// The chains that the audit handler would write for these events.
fn audited(events: &[(String, String, Value)]) -> Vec<Link> {
    let mut heads = std::collections::HashMap::<String, Head>::new();
    let link = |(index, (subject, id, data)): (usize, &(String, String, Value))| {
        let tokens: Vec<&str> = subject.split('.').collect();
        let key = format!("{}/{}", tokens[1], tokens[2]);
        let head = heads.entry(key.clone()).or_default();
        let data = data.to_string();
        let event = Event {
            source: SOURCE,
            id,
            event_type: "t",
            subject,
            sequence: index as u64 + 1,
            data: data.as_bytes(),
        };
        let link = head.append(&key, event);
        *head = link.head();
        link
    };
    events.iter().enumerate().map(link).collect()
}

/// Puts a world on a broker of its own and reads the report.
async fn report(world: World) -> Report {
    let folder = tempfile::tempdir().unwrap();
    let nats = common::nats(folder.path()).await;
    let client = nats.connect().await.unwrap();
    let jetstream = jetstream::new(client.clone());
    let subjects = [
        (STREAM, "shop.>"),
        (AUDIT_STREAM, "audit.>"),
        (INVENTORY_STREAM, "wl.inventory-1.>"),
    ];
    for (name, subjects) in subjects {
        let config = Config {
            name: name.into(),
            subjects: vec![subjects.into()],
            ..Config::default()
        };
        jetstream.create_stream(config).await.unwrap();
    }
    let put = async |subject: String, id: &str, data: Vec<u8>| {
        let mut headers = HeaderMap::new();
        headers.insert("ce-id", id);
        let sent = jetstream
            .publish_with_headers(subject, headers, data.into())
            .await;
        sent.unwrap().await.unwrap();
    };
    for (subject, id, data) in world.events {
        put(subject, &id, data.to_string().into_bytes()).await;
    }
    for link in world.links {
        let subject = format!("audit.{}.appended", link.key);
        put(
            subject,
            &link.hash.to_string(),
            serde_json::to_vec(&link).unwrap(),
        )
        .await;
    }
    for (index, (sku, state)) in world.stock.into_iter().enumerate() {
        let state = State {
            version: 1,
            data: state.to_string().into_bytes(),
        };
        let record = Record {
            state: Some(state),
            ..Record::new(&sku)
        };
        put(
            format!("wl.inventory-1.r.{index}"),
            &sku,
            record::encode(&record),
        )
        .await;
    }
    let gateway = serde_json::from_value(world.gateway).unwrap();
    Report::collect(&client, gateway).await.unwrap()
}

/// Breaks a world, and expects exactly these checks to fail, each naming the
/// offender by these words.
async fn finds(break_it: impl FnOnce(&mut World), expected: &[(&str, &str)]) {
    let mut world = balanced();
    break_it(&mut world);
    let report = report(world).await;
    assert!(!report.balanced, "{report}");
    let failed: Vec<&str> = report
        .checks
        .iter()
        .filter(|c| !c.holds)
        .map(|c| c.name)
        .collect();
    let names: Vec<&str> = expected.iter().map(|(name, _)| *name).collect();
    assert_eq!(failed, names, "{report}");
    for (name, words) in expected {
        let check = report.check(name).unwrap();
        assert!(
            check.offenders.iter().any(|named| named.contains(words)),
            "{name}: {check}"
        );
    }
}

/// Adds an event, and its link, as if the handlers had made it.
fn happened(world: &mut World, subject: &str, id: &str) {
    world.events.push((subject.into(), id.into(), json!({})));
    world.links = audited(&world.events);
}

#[tokio::test]
async fn a_shop_at_rest_balances() {
    let report = report(balanced()).await;
    assert!(report.balanced, "{report}");
    assert!(
        report
            .check("final states")
            .unwrap()
            .says
            .contains("2 placed: 1 confirmed, 1 rejected")
    );
    assert!(
        report
            .check("stock")
            .unwrap()
            .says
            .contains("11 given = 9 left + 2 sold")
    );
}

#[tokio::test]
async fn an_order_placed_twice_is_one_order() {
    let mut world = balanced();
    let again = world.events[2].2.clone();
    world
        .events
        .push(("shop.order.A.placed".into(), "another id".into(), again));
    world.links = audited(&world.events);
    let report = report(world).await;
    assert!(report.balanced, "{report}");
}

#[tokio::test]
async fn an_order_that_ends_in_two_ways_is_found() {
    let break_it = |world: &mut World| happened(world, "shop.order.A.cancelled", "x");
    finds(
        break_it,
        &[("final states", "A: 2 final events (confirmed")],
    )
    .await;
}

#[tokio::test]
async fn a_final_event_that_was_published_twice_is_found() {
    let break_it = |world: &mut World| {
        let again = world.events[5].clone();
        world.events.push(again);
    };
    finds(break_it, &[("final states", "A: 2 final events")]).await;
}

#[tokio::test]
async fn an_order_that_never_ends_is_found() {
    let break_it = |world: &mut World| {
        world.events.remove(4);
        world.links = audited(&world.events);
    };
    let mail = ("mails", "B: 1 mails, and it has not ended");
    finds(break_it, &[("final states", "B: no final event"), mail]).await;
}

#[tokio::test]
async fn an_order_that_was_charged_twice_is_found() {
    let break_it = |world: &mut World| {
        world.gateway["charges"]
            .as_array_mut()
            .unwrap()
            .push(charge("ch-2", "A", 200));
    };
    finds(break_it, &[("charges", "A: captured 2 times (ch-1, ch-2)")]).await;
}

#[tokio::test]
async fn a_rejected_order_that_was_charged_is_found() {
    let break_it = |world: &mut World| {
        world.gateway["charges"]
            .as_array_mut()
            .unwrap()
            .push(charge("ch-2", "B", 200));
    };
    finds(break_it, &[("charges", "B: captured, and rejected")]).await;
}

#[tokio::test]
async fn a_confirmed_order_that_was_never_charged_is_found() {
    let break_it = |world: &mut World| world.gateway["charges"] = json!([]);
    finds(break_it, &[("charges", "A: confirmed, and never charged")]).await;
}

#[tokio::test]
async fn a_charge_over_another_amount_is_found() {
    let break_it = |world: &mut World| world.gateway["charges"][0]["amount"] = json!(201);
    finds(
        break_it,
        &[("amounts", "A: 201 EUR taken, 200 EUR ordered")],
    )
    .await;
}

#[tokio::test]
async fn a_lost_mail_is_found() {
    let break_it = |world: &mut World| {
        world.gateway["mails"].as_array_mut().unwrap().pop();
    };
    finds(break_it, &[("mails", "B: ended, and nobody was told")]).await;
}

#[tokio::test]
async fn a_customer_who_was_told_twice_is_found() {
    let break_it = |world: &mut World| {
        let again = world.gateway["mails"][0].clone();
        world.gateway["mails"].as_array_mut().unwrap().push(again);
    };
    finds(break_it, &[("mails", "A: 2 mails")]).await;
}

#[tokio::test]
async fn a_piece_that_vanished_is_found() {
    let break_it = |world: &mut World| world.stock[0].1["on_hand"] = json!(7);
    finds(
        break_it,
        &[("stock", "S1: 10 given, 7 left + 0 reserved + 2 sold")],
    )
    .await;
}

#[tokio::test]
async fn a_reservation_that_stays_is_found() {
    let break_it = |world: &mut World| {
        world.stock[1].1 = json!({"on_hand": 0, "reserved": {"B": 1}, "sold": 0});
    };
    finds(break_it, &[("stock", "S2: 1 still reserved (B)")]).await;
}

#[tokio::test]
async fn a_sale_without_a_confirmed_order_is_found() {
    let break_it = |world: &mut World| {
        world.stock[1].1 = json!({"on_hand": 0, "reserved": {}, "sold": 1});
    };
    finds(break_it, &[("sales", "S2: 1 sold, 0 in confirmed orders")]).await;
}

#[tokio::test]
async fn a_delivery_that_the_inventory_missed_is_found() {
    let break_it = |world: &mut World| {
        world.stock.pop();
    };
    finds(
        break_it,
        &[("stock", "S2: 1 given, and the inventory has no record")],
    )
    .await;
}

#[tokio::test]
async fn a_link_with_a_forged_hash_is_found() {
    let break_it = |world: &mut World| {
        let forged = world.links[0].hash;
        world.links[5].hash = forged;
    };
    finds(break_it, &[("audit chains", "`order/A` breaks at link 2")]).await;
}

#[tokio::test]
async fn a_missing_link_is_found_in_the_chain_and_as_an_event_without_one() {
    let break_it = |world: &mut World| {
        world.links.remove(2);
    };
    let chain = (
        "audit chains",
        "`order/A` breaks at link 2: link 1 should come here",
    );
    finds(
        break_it,
        &[
            chain,
            ("audit is whole", "shop.order.A.placed at 3 is not audited"),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_cut_off_end_of_a_chain_is_found() {
    let break_it = |world: &mut World| {
        world.links.pop();
    };
    finds(
        break_it,
        &[(
            "audit is whole",
            "shop.order.A.confirmed at 6 is not audited",
        )],
    )
    .await;
}

#[tokio::test]
async fn an_event_that_was_audited_twice_is_found() {
    let break_it = |world: &mut World| {
        let last = world.links[5].clone();
        let (id, data) = (&world.events[5].1, world.events[5].2.to_string());
        let event = Event {
            source: SOURCE,
            id,
            event_type: "t",
            subject: "shop.order.A.confirmed",
            sequence: 6,
            data: data.as_bytes(),
        };
        world.links.push(last.head().append("order/A", event));
    };
    finds(break_it, &[("audit is whole", "is audited 2 times")]).await;
}

#[tokio::test]
async fn an_event_that_was_changed_after_the_audit_is_found() {
    let break_it = |world: &mut World| world.events[5].2 = json!({"changed": true});
    finds(
        break_it,
        &[("audit chains", "the event at 6 has another data")],
    )
    .await;
}
