//! The shop, while a node dies and leaders move.

use std::time::Duration;

use crate::ALONE;
use crate::shop::{
    assert_balanced, assert_nothing_is_dead, neighbours, orders, place, until_committed,
};
use crate::stand::site;
use crate::support::Plan;

const ORDERS: u32 = 500;
const STREAMS: [&str; 4] = ["SHOP", "AUDIT", "WHARF-L-order-1", "WHARF-L-payment-1"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shop_balances_while_a_node_is_killed_and_leaders_step_down() {
    let _machine = ALONE.lock().await;
    let mut site = site(Plan::shop().host("lease = \"3s\"").modes(neighbours())).await;
    let host = site.host().await;
    let client = site.client().await;
    let trouble = async {
        until_committed(&host, 400).await;
        for stream in STREAMS {
            let leader = site.nats.step_down(&client, stream).await;
            println!("{stream} is led by node {leader} now");
        }
        // The node that leads the source, with all that it leads.
        let node = site.nats.stream_leader(&client, "SHOP").await;
        site.nats.kill(node);
        until_committed(&host, 1_200).await;
        site.nats.restart(node);
        site.nats.until_whole().await;
        for stream in STREAMS {
            site.nats.step_down(&client, stream).await;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    let spec = orders(ORDERS, 40.0);
    tokio::join!(place(&client, &spec), trouble);
    let tally = assert_balanced(&site, &[&host], ORDERS, "").await;
    println!("{tally:?}");
    let samples = host.metrics().await.expect("the same host as at the start");
    assert_nothing_is_dead(&site, &samples).await;
}
