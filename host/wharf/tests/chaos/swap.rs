//! Versions change while orders come in.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::alone;
use crate::shop::{assert_balanced, assert_nothing_is_dead, neighbours, orders, place};
use crate::support::rollout::{AUTHOR, Rollout, marked};
use crate::support::{Plan, Site, bundles};

const ORDERS: u32 = 1_500;
const SWAPS: u32 = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_swaps_of_payment_under_load_lose_and_repeat_nothing() {
    let _machine = alone().await;
    let site = Site::provisioned(Plan::shop().modes(neighbours())).await;
    let host = site.host().await;
    let client = site.client().await;
    let rollout = Rollout::of(&site).await;
    let wasm = std::fs::read(bundles().join("payment/handler.wasm")).expect("its component");
    let spec = orders(ORDERS, 500.0);
    let swaps = async {
        let begun = Instant::now();
        let revision = rollout.deploy("payment", &marked(&wasm, "two")).await;
        rollout.followed("payment", revision).await;
        for _ in 1..SWAPS {
            // There and back.
            let back = |before: &wharf_core::deployment::Deployment| {
                before
                    .rolled_back(None, AUTHOR)
                    .expect("there is one before")
            };
            let revision = rollout.change("payment", back).await;
            let state = rollout.followed("payment", revision).await;
            assert_eq!(state.refused, None);
        }
        begun.elapsed()
    };
    let (took, ()) = tokio::join!(swaps, place(&client, &spec));
    println!("{SWAPS} swaps took {took:?}");
    assert_balanced(&site, &[&host], ORDERS, "").await;
    assert_nothing_is_dead(&site, &host.metrics().await.expect("it answers")).await;

    // Each order was committed by one of the two, and both did work.
    let (deployment, _) = rollout.deployment("payment").await;
    let mut work: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
    for record in site.ledger("payment").await.records().await {
        *work.entry(record.digest).or_default() += 1;
    }
    println!("orders by version: {:?}", work.values());
    let known = deployment
        .versions
        .iter()
        .map(|version| version.component.0.to_vec());
    assert_eq!(
        known.collect::<std::collections::BTreeSet<_>>(),
        work.keys().cloned().collect()
    );
    assert_eq!(work.len(), 2, "one version did all the work");
}
