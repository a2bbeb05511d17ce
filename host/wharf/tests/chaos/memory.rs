//! What a host holds of main memory.

use crate::alone;
use crate::shop::{assert_balanced, neighbours, orders, place};
use crate::support::{Plan, Site};

const ORDERS: u32 = 2_000;
const RESIDENT_BYTES_MAX: u64 = 150_000_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_handled_two_thousand_orders_holds_at_most_150_megabytes() {
    let _machine = alone().await;
    let site = Site::provisioned(Plan::shop().modes(neighbours())).await;
    let host = site.host().await;
    place(&site.client().await, &orders(ORDERS, 200.0)).await;
    assert_balanced(&site, &[&host], ORDERS, "").await;
    let memory = host.memory().expect("the host runs");
    println!("{memory:?}");
    assert!(memory.resident_bytes <= RESIDENT_BYTES_MAX, "{memory:?}");
}
