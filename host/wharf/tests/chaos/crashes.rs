//! The host dies at any moment and is started again.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use wharf_demo::draw;
use wharf_demo::run::Watcher;

use crate::alone;
use crate::shop::{ORDERED, assert_balanced, committed, neighbours, orders, place};
use crate::support::{Plan, Site};

const ORDERS: u32 = 2_000;
const KILLS: u32 = 10;
/// The longest life of a host that is going to be killed. Of each, the lease of
/// the one before takes three seconds.
const LIFE_MAX: Duration = Duration::from_secs(7);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_killed_ten_times_during_two_thousand_orders_loses_and_repeats_nothing() {
    let _machine = alone().await;
    let seed = seed();
    println!("seed {seed}; repeat with WHARF_CHAOS_SEED={seed}");
    let site = Site::provisioned(Plan::shop().host("lease = \"3s\"").modes(neighbours())).await;
    let client = site.client().await;
    let spec = orders(ORDERS, 40.0);
    let (host, ()) = tokio::join!(lives(&site, seed), place(&client, &spec));

    let watcher = Watcher::new(&client, &site.gateway);
    let ended = watcher.tally().await.expect("the broker answers").ended();
    println!("{ended} orders had ended when the last order was placed and the last host killed");
    let tally = assert_balanced(&site, &[&host], ORDERS, &format!("seed {seed}")).await;
    println!("{tally:?}");
    for handler in ORDERED {
        let epoch = site.ledger(handler).await.checkpoint().await.epoch;
        assert!(
            epoch >= 3,
            "seed {seed}: {handler} was taken over {epoch} times only"
        );
    }
}

/// Hosts that are killed one after another, each at a moment drawn from the
/// seed; the one that lives comes back.
async fn lives(site: &Site, seed: u64) -> wharf_demo::HostProcess {
    for nth in 0..KILLS {
        let mut host = site.start_host();
        let life_ms = draw::between(seed, &["life", &nth.to_string()], 0, millis(LIFE_MAX));
        tokio::time::sleep(Duration::from_millis(life_ms)).await;
        let committed = committed(&host).await;
        host.require_running()
            .expect("a host ends by a signal only");
        host.kill().await.expect("SIGKILL is sent");
        println!("killed after {life_ms} ms and {committed} commits");
    }
    site.host().await
}

/// Another one in every run, unless one is asked for.
pub fn seed() -> u64 {
    let asked = std::env::var("WHARF_CHAOS_SEED").ok();
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock after 1970");
    asked.map_or(millis(since), |seed| {
        seed.parse().expect("WHARF_CHAOS_SEED is a number")
    })
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).expect("not for ever")
}
