//! A shop under load, and how its tests look at it.

use std::time::Duration;

use async_nats::Client;
use wharf_demo::gateway::Modes;
use wharf_demo::load::{self, Counters, Spec};
use wharf_demo::metrics::Samples;
use wharf_demo::run::{Rest, Tally, Watcher};
use wharf_demo::{HostProcess, Report};

use crate::support::{Broker, SOON, Site, until};

/// The handlers that own a partition each.
pub const ORDERED: [&str; 5] = ["audit", "inventory", "ledger-count", "order", "payment"];
/// How long a shop in which nothing moves is waited for. Longer than the
/// broker waits before it delivers again what a dead host had.
const PATIENCE: Duration = Duration::from_secs(60);

/// Gateways as a shop's neighbours are: near, and now and then they decline.
pub fn neighbours() -> Modes {
    Modes {
        latency_min_ms: 1,
        latency_max_ms: 10,
        decline_rate: 0.1,
        ..Modes::default()
    }
}

/// Orders at a rate, more than the stock has goods for in the end.
pub fn orders(orders: u32, rate: f64) -> Spec {
    Spec {
        seed: 7,
        first: 1,
        orders,
        skus: 100,
        stock: u64::from(orders) / 40,
        rate: Some(rate),
    }
}

/// Places all orders of a spec.
pub async fn place(client: &Client, spec: &Spec) {
    load::run(client.clone(), spec, &Counters::default())
        .await
        .expect("the load is placed");
}

/// Waits until all orders have ended and nothing is left to do, then holds the
/// books against each other. `note` goes with whatever is wrong.
pub async fn assert_balanced<B: Broker>(
    site: &Site<B>,
    hosts: &[&HostProcess],
    orders: u32,
    note: &str,
) -> Tally {
    let client = site.client().await;
    let watcher = Watcher::new(&client, &site.gateway);
    let rest = watcher.settle(hosts, orders.into(), PATIENCE).await;
    let Rest::Done(tally) = rest else {
        panic!("the shop did not come to rest: {rest:?}\n{note}")
    };
    let report = Report::collect(&client, site.gateway.ledger())
        .await
        .expect("the books can be read");
    assert!(report.balanced, "{report}\n{note}");
    tally
}

/// Nothing is a dead letter: not counted, not in a ledger, not in a record.
pub async fn assert_nothing_is_dead<B: Broker>(site: &Site<B>, samples: &Samples) {
    let dead = samples.count("wharf_events_total", &[("outcome", "dead")]);
    assert_eq!(dead, 0, "events were parked as dead");
    for handler in ORDERED.iter().chain(&["notification"]) {
        let ledger = site.ledger(handler).await;
        assert_eq!(ledger.entries().await, [], "{handler} has parked events");
        let blocked = ledger
            .records()
            .await
            .into_iter()
            .find(|record| record.block.is_some());
        assert_eq!(blocked, None, "{handler} has a blocked entity");
    }
}

/// Events that this host has committed, all handlers together.
pub async fn committed(host: &HostProcess) -> u64 {
    let samples = host.metrics().await.unwrap_or_default();
    samples.count("wharf_events_total", &[("outcome", "committed")])
}

/// Waits until this host has committed so many events.
pub async fn until_committed(host: &HostProcess, events: u64) {
    let look = || async { (committed(host).await >= events).then_some(()) };
    until(&format!("{events} commits"), 4 * SOON, look).await;
}
