//! Handlers in Python and JavaScript beside the shop.
//!
//! `tools/guests` builds them. Where that could not be done there is nothing to
//! run, and the test says so.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use async_nats::{HeaderMap, jetstream};
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;
use wharf_demo::metrics::Samples;
use wharf_demo::run::Tally;
use wharf_demo::shop::STREAM;
use wharf_demo::stream::{Stored, Stream};
use wharf_demo::{HostProcess, draw};

use crate::alone;
use crate::shop::{assert_balanced, neighbours, orders, place};
use crate::support::ledger::Ledger;
use crate::support::{Plan, READY_WITHIN, SHOP_STREAMS, SOON, Site, bundles, until};

const ORDERS: u32 = 500;
const PYTHON: &str = "customers";
const JAVASCRIPT: &str = "demand";
/// As in both manifests: instances that exist at once, and that are kept.
const AT_ONCE: u64 = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_python_and_a_javascript_handler_run_beside_the_shop_on_instances_that_are_reused() {
    let Some(guests) = guests() else { return };
    let _machine = alone().await;
    let folder = beside_the_shop(&guests);
    let plan = Plan::of(folder.path().to_owned(), SHOP_STREAMS);
    let site = Site::provisioned(plan.modes(neighbours())).await;
    let mut host = site.start_host();
    // Interpreters are large, and are compiled one after the other.
    let ready = host.wait_ready(3 * READY_WITHIN).await;
    ready.expect("the host gets ready");
    let client = site.client().await;
    place(&client, &orders(ORDERS, 50.0)).await;
    let tally = assert_balanced(&site, &[&host], ORDERS, "").await;

    let stream = Stream::new(client, STREAM);
    let events = stream.read_all().await.expect("the shop's stream");
    let asked = of_types(&events, &DEMAND_TYPES).count() as u64;
    until_committed(&host, PYTHON, tally.ended()).await;
    until_committed(&host, JAVASCRIPT, asked).await;
    customers_agree(&site.ledger(PYTHON).await, &events, &tally).await;
    demand_agrees(&site, &events).await;

    let samples = host.metrics().await.expect("it answers");
    for guest in [PYTHON, JAVASCRIPT] {
        let (attempts, started) = instances(&samples, guest);
        println!("{guest}: {attempts} attempts on {started} instances");
        assert!((1..=AT_ONCE).contains(&started), "{guest}: {started}");
    }
    let (attempts, started) = instances(&samples, "order");
    assert_eq!(attempts, started, "fresh instances are not reused");
    println!("{:?}", host.memory().expect("the host runs"));
    refuses_what_it_cannot_read(&site).await;
}

const DEMAND_TYPES: [&str; 5] = [
    "inventory.stocked",
    "inventory.reserve",
    "inventory.commit",
    "inventory.release",
    "order.stock-refused",
];

/// What the Python handler keeps of a customer.
#[derive(Debug, Deserialize)]
struct Customer {
    orders: BTreeMap<String, u64>,
    spent: BTreeMap<String, u64>,
}

/// All customers together are the shop's books, and each regular one was told of.
async fn customers_agree(ledger: &Ledger, events: &[Stored], tally: &Tally) {
    let customers: Vec<Customer> = states(ledger).await.into_values().collect();
    let orders = |end: &str| customers.iter().map(|c| c.orders[end]).sum::<u64>();
    let counted = ["confirmed", "rejected", "cancelled"].map(orders);
    assert_eq!(
        counted,
        [tally.confirmed, tally.rejected, tally.cancelled],
        "confirmed, rejected, cancelled"
    );
    let spent: u64 = customers.iter().flat_map(|c| c.spent.values()).sum();
    let confirmed = of_types(events, &["order.confirmed"]).map(data);
    let taken = confirmed.map(|order| order["amount"].as_u64().expect("an amount"));
    assert_eq!(spent, taken.sum::<u64>(), "minor units");

    let regular = customers.iter().filter(|c| c.orders["confirmed"] >= 3);
    let told = of_types(events, &["customer.regular"]).count();
    assert!(told > 0, "nobody became a regular: order more");
    assert_eq!(told, regular.count(), "regular customers");
}

/// What the JavaScript handler keeps of a SKU, in pieces.
#[derive(Debug, Deserialize)]
struct Demand {
    asked: u64,
    sold: u64,
    missed: u64,
    returned: u64,
    open: BTreeMap<String, u64>,
}

/// Each SKU's demand is what was asked for, and sold what the inventory sold.
async fn demand_agrees(site: &Site, events: &[Stored]) {
    let mut asked = BTreeMap::<String, u64>::new();
    for request in of_types(events, &["inventory.reserve"]) {
        let sku = request.subject.split('.').nth(2).expect("a SKU").to_owned();
        *asked.entry(sku).or_default() += data(request)["qty"].as_u64().expect("pieces");
    }
    let stock: BTreeMap<String, Value> = states(&site.ledger("inventory").await).await;
    let demand: BTreeMap<String, Demand> = states(&site.ledger(JAVASCRIPT).await).await;
    assert_eq!(demand.len(), stock.len(), "SKUs");
    for (sku, demand) in &demand {
        let said = asked.get(sku).copied().unwrap_or_default();
        assert_eq!(demand.asked, said, "{sku}: {demand:?}");
        assert_eq!(
            Some(demand.sold),
            stock[sku]["sold"].as_u64(),
            "{sku}: {demand:?}"
        );
        assert!(demand.open.is_empty(), "{sku}: {demand:?}");
        let ended = demand.sold + demand.missed + demand.returned;
        assert_eq!(demand.asked, ended, "{sku}: {demand:?}");
    }
    let missed = demand.values().filter(|demand| demand.missed >= 10);
    let told = of_types(events, &["restock.wanted"]).count();
    assert!(told > 0, "no SKU ran out: give less stock");
    assert_eq!(told, missed.count(), "wanted SKUs");
}

/// Data that make no sense are dead at once, with the guest's own words.
async fn refuses_what_it_cannot_read(site: &Site) {
    let order = json!({"customer": "nobody", "currency": "EUR", "amount": "much"});
    let sent = send(site, "shop.order.ODD.confirmed", "order.confirmed", &order).await;
    dead(site, PYTHON, sent, "ValueError: currency and amount").await;
    let request = json!({"order": 7, "qty": 1});
    let sent = send(
        site,
        "shop.inventory.ODD.reserve",
        "inventory.reserve",
        &request,
    )
    .await;
    dead(site, JAVASCRIPT, sent, "order and qty are not").await;
}

async fn dead(site: &Site, handler: &str, sequence: u64, says: &str) {
    let ledger = site.ledger(handler).await;
    let entry = until(&format!("{handler}'s dead letter"), SOON, async || {
        ledger.entry(sequence).await
    })
    .await;
    assert_eq!(entry.code, "undecodable", "{}", entry.message);
    assert!(entry.message.starts_with(says), "{}", entry.message);
}

async fn send(site: &Site, subject: &str, event_type: &str, data: &Value) -> u64 {
    let mut headers = HeaderMap::new();
    let id = format!("{:016x}", draw::bits(0, &[subject]));
    for (name, value) in [
        ("ce-id", &*id),
        ("ce-type", event_type),
        ("ce-source", "test"),
    ] {
        headers.insert(name, value);
    }
    headers.insert("ce-specversion", "1.0");
    headers.insert("content-type", "application/json");
    let jetstream = jetstream::new(site.client().await);
    let body = data.to_string().into();
    let sent = jetstream
        .publish_with_headers(subject.to_owned(), headers, body)
        .await;
    sent.expect("sent").await.expect("stored").sequence
}

/// Attempts that ended, and for how many of them an instance was started.
fn instances(samples: &Samples, handler: &str) -> (u64, u64) {
    let of = [("handler", handler)];
    (
        samples.count("wharf_attempts_total", &of),
        samples.count("wharf_instances_started_total", &of),
    )
}

async fn until_committed(host: &HostProcess, handler: &str, events: u64) {
    let labels = [("handler", handler), ("outcome", "committed")];
    let what = format!("{handler} to commit {events} events");
    let seen = until(&what, SOON, async || {
        let samples = host.metrics().await.unwrap_or_default();
        let seen = samples.count("wharf_events_total", &labels);
        (seen >= events).then_some(seen)
    })
    .await;
    assert_eq!(seen, events, "{handler} committed more than there was");
}

/// What a handler keeps, by key.
async fn states<S: serde::de::DeserializeOwned>(ledger: &Ledger) -> BTreeMap<String, S> {
    let records = ledger.records().await.into_iter();
    let states = records.filter_map(|record| Some((record.key, record.state?)));
    states
        .map(|(key, state)| (key, serde_json::from_slice(&state.data).expect("JSON")))
        .collect()
}

fn of_types<'a>(events: &'a [Stored], types: &'a [&str]) -> impl Iterator<Item = &'a Stored> {
    events.iter().filter(|event| {
        let event_type = event.header("ce-type").unwrap_or_default();
        types.contains(&event_type)
    })
}

fn data(event: &Stored) -> Value {
    serde_json::from_slice(&event.data).expect("JSON")
}

/// The bundles that `just guests` makes. Without them there is nothing to test,
/// which is said.
fn guests() -> Option<Vec<PathBuf>> {
    let folder = bundles().with_file_name("bundles-guests");
    let guests = [PYTHON, JAVASCRIPT].map(|name| folder.join(name));
    let missing = guests
        .iter()
        .find(|bundle| !bundle.join("handler.wasm").is_file());
    if let Some(missing) = missing {
        // Not by a macro, whose output nobody sees while the test passes.
        let why = format!(
            "skipped: no {}; `./just guests` builds it\n",
            missing.display()
        );
        io::stderr().write_all(why.as_bytes()).expect("stderr");
        return None;
    }
    Some(guests.into())
}

/// A folder with the shop's bundles and these.
fn beside_the_shop(guests: &[PathBuf]) -> TempDir {
    let folder = TempDir::with_prefix_in("bundles-", env!("CARGO_TARGET_TMPDIR"));
    let folder = folder.expect("a folder");
    let shop = fs::read_dir(bundles()).expect("bundles");
    let shop = shop.map(|entry| entry.expect("a bundle").path());
    for bundle in shop.chain(guests.iter().cloned()) {
        copy(
            &bundle,
            &folder.path().join(bundle.file_name().expect("a name")),
        );
    }
    folder
}

fn copy(bundle: &Path, to: &Path) {
    fs::create_dir(to).expect("a folder");
    for file in ["handler.toml", "handler.wasm"] {
        fs::copy(bundle.join(file), to.join(file)).expect("copied");
    }
}
