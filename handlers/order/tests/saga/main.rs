//! Order, inventory and payment together, on a bus that delivers in any order,
//! some messages twice, to a gateway that loses answers: the books balance.

mod gateway;
mod world;

use serde_json::json;
use wharf::testing::Random;
use world::{Bus, World};

const SKUS: usize = 4;
const ORDERS: usize = 12;

/// Places orders of one to three SKUs and stocks too little for all.
fn shop(seed: u64, bus: Bus) -> World {
    let mut random = Random::seeded(seed);
    let mut world = World::new(seed, bus);
    for sku in 0..SKUS {
        world.stock(&format!("SKU-{sku}"), 5 + random.below(8) as u64);
    }
    for order in 0..ORDERS {
        let count = 1 + random.below(3);
        let line = |random: &mut Random| {
            let sku = format!("SKU-{}", random.below(SKUS));
            json!({"sku": sku, "qty": 1 + random.below(3), "unit_price": 100})
        };
        let lines: Vec<_> = (0..count).map(|_| line(&mut random)).collect();
        let placed = json!({"customer": format!("c{order}"), "currency": "EUR", "lines": lines});
        world.publish("order.placed", &format!("ORD-{order}"), &placed);
    }
    world
}

#[test]
fn a_bus_that_keeps_order_balances() {
    for seed in 0..150 {
        let mut world = shop(
            seed,
            Bus {
                keeps_order: true,
                repeats_percent: 0,
                timers_percent: 0,
            },
        );
        world.run();
        world.balances();
        assert!(
            world.count("order.confirmed") > 0,
            "seed {seed}: somebody is served"
        );
    }
}

#[test]
fn a_bus_that_reorders_and_repeats_balances() {
    for seed in 0..150 {
        let mut world = shop(
            seed,
            Bus {
                keeps_order: false,
                repeats_percent: 30,
                timers_percent: 0,
            },
        );
        world.run();
        world.balances();
    }
}

#[test]
fn orders_that_run_into_their_timer_at_any_moment_balance() {
    let mut cancelled = 0;
    for seed in 0..150 {
        let mut world = shop(
            seed,
            Bus {
                keeps_order: seed % 2 == 0,
                repeats_percent: 20,
                timers_percent: 10,
            },
        );
        world.run();
        world.balances();
        cancelled += world.count("order.cancelled");
    }
    assert!(
        cancelled > 0,
        "some were cancelled, or the timers tested nothing"
    );
}
