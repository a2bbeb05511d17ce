//! Broker and gateways go away and come back while orders are under way.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use wharf_core::record::{Block, Status};
use wharf_demo::client;
use wharf_demo::gateway::{Fate, Modes};
use wharf_demo::metrics::Samples;

use crate::alone;
use crate::shop::{
    assert_balanced, assert_nothing_is_dead, neighbours, orders, place, until_committed,
};
use crate::support::{Plan, SOON, Site, until};

const ATTEMPTS: &str = "wharf_attempts_total";
/// Decides which answers are lost.
const SEED: u64 = 7;
const GATEWAY_DOWN: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_killed_three_times_mid_run_costs_neither_an_event_nor_a_restart() {
    let _machine = alone().await;
    let mut site = Site::provisioned(Plan::shop().modes(neighbours())).await;
    let mut host = site.host().await;
    let client = site.client().await;
    let spec = orders(600, 60.0);
    let outages = async {
        for nth in 1..=3 {
            until_committed(&host, 800 * nth).await;
            site.nats.kill().await.expect("SIGKILL is sent");
            until_not_ready(&site).await;
            site.nats.start_again().await.expect("the broker is back");
            host.wait_ready(SOON).await.expect("the host is back");
        }
    };
    tokio::join!(place(&client, &spec), outages);

    assert_balanced(&site, &[&host], spec.orders, "").await;
    let samples = host.metrics().await.expect("the same host as at the start");
    assert_nothing_is_dead(&site, &samples).await;
    assert_nothing_was_counted(&samples);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_is_down_for_twenty_seconds_and_loses_every_fifth_answer_dead_letters_nothing()
 {
    let _machine = alone().await;
    let modes = Modes {
        cut_after_rate: 0.2,
        ..neighbours()
    };
    let site = Site::provisioned(Plan {
        seed: SEED,
        ..Plan::shop().modes(modes)
    })
    .await;
    let host = site.host().await;
    let client = site.client().await;
    let spec = orders(800, 40.0);
    let outage = async {
        until_committed(&host, 1_000).await;
        site.gateway.down().await;
        let down = Instant::now();
        tokio::time::sleep(GATEWAY_DOWN).await;
        let waiting = waiting_charges(&site).await;
        println!(
            "{waiting} charges wait for the gateway after {:?}",
            down.elapsed()
        );
        assert!(waiting > 0, "no charge met the outage");
        site.gateway.up().await;
    };
    tokio::join!(place(&client, &spec), outage);

    assert_balanced(&site, &[&host], spec.orders, "").await;
    let lost = lost_answers(&site);
    println!("{lost} charges were made and not answered");
    assert!(lost > 0, "no answer was lost");
    let samples = host.metrics().await.expect("the host answers");
    assert_nothing_is_dead(&site, &samples).await;
    assert_nothing_was_counted(&samples);
}

/// Charges whose first request was carried out and then cut.
fn lost_answers(site: &Site) -> usize {
    let modes = site.gateway.modes();
    let charges = site.gateway.ledger().charges;
    let keys = charges.iter().filter_map(|charge| charge.key.as_deref());
    keys.filter(|key| modes.fate(SEED, &format!("charge/{key}"), 0) == Fate::Cut)
        .count()
}

/// No outage is a handler's own failure.
fn assert_nothing_was_counted(samples: &Samples) {
    const UNCOUNTED: [&str; 4] = ["done", "unavailable", "host-fault", "cancelled"];
    for result in samples.values(ATTEMPTS, "result") {
        let attempts = samples.count(ATTEMPTS, &[("result", &result)]);
        assert!(
            attempts == 0 || UNCOUNTED.contains(&&*result),
            "{attempts} attempts came to `{result}`"
        );
    }
}

/// What waits for the gateway has not been counted as tried.
async fn waiting_charges(site: &Site) -> usize {
    let records = site.ledger("payment").await.records().await;
    let blocks: Vec<Block> = records
        .into_iter()
        .filter_map(|record| record.block)
        .collect();
    for block in &blocks {
        assert_eq!(block.status(), Status::WaitingNeed, "{block:?}");
        assert_eq!((block.transient, block.guest_faults), (0, 0), "{block:?}");
        assert_eq!(block.need, "gateway", "{block:?}");
    }
    blocks.len()
}

async fn until_not_ready(site: &Site) {
    let ask = || async {
        let answer = client::get(site.options.listen, "/ready", SOON)
            .await
            .ok()?;
        (answer.status == StatusCode::SERVICE_UNAVAILABLE).then_some(())
    };
    until("the host to notice that the broker is gone", SOON, ask).await;
}
