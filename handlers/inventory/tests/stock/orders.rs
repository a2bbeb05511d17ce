//! Whatever is repeated or comes in another order.

use super::{commit, empty, pieces, release, reserve, stocked};
use handler_inventory::inventory;
use serde_json::json;
use std::collections::BTreeMap;
use wharf::testing::{Delivery, Entity, Random, event, permutations};

/// The answers that each order got, by type, without repetitions.
type Answers = BTreeMap<String, Vec<String>>;

fn run(mut sku: Entity<inventory>, requests: &[Delivery]) -> (Entity<inventory>, Answers) {
    let mut answers = Answers::new();
    for request in requests {
        let then = sku.when(request.clone()).ok();
        for emission in then.emitted() {
            let order = emission.key.clone().expect("an answer is addressed");
            let known = answers.entry(order).or_default();
            if !known.contains(&emission.event_type) {
                known.push(emission.event_type.clone());
            }
        }
    }
    (sku, answers)
}

#[test]
fn a_sale_ends_the_same_in_every_order() {
    let requests = [reserve("A", 2), reserve("A", 2), commit("A"), commit("A")];
    for order in permutations(&requests) {
        let (sku, answers) = run(stocked(5), &order);
        assert_eq!(pieces(&sku), (3, 0, 2));
        assert_eq!(answers["A"], ["order.stock-reserved"]);
    }
}

#[test]
fn a_release_ends_the_same_in_every_order() {
    let requests = [reserve("A", 2), reserve("A", 2), release("A"), release("A")];
    for order in permutations(&requests) {
        let (sku, _) = run(stocked(5), &order);
        assert_eq!(pieces(&sku), (5, 0, 0));
    }
}

#[test]
fn two_orders_and_a_delivery_never_sell_more_than_there_is() {
    let stocked = event("inventory.stocked", &json!({"qty": 3}));
    let requests = [
        stocked,
        reserve("A", 2),
        commit("A"),
        reserve("B", 2),
        release("B"),
        reserve("B", 2),
    ];
    for order in permutations(&requests) {
        let (sku, answers) = run(empty(), &order);
        let (on_hand, reserved, sold) = pieces(&sku);
        assert_eq!(on_hand + reserved + sold, 3);
        assert_eq!(reserved, 0, "each order ended");
        assert_eq!(sold == 2, answers["A"] == ["order.stock-reserved"]);
        assert!(
            answers["A"].len() == 1,
            "one answer an order, however often: {answers:?}"
        );
    }
}

/// Many orders, each reserved and then either sold or released, everything sent
/// up to three times and shuffled.
#[test]
fn shuffled_and_repeated_requests_of_many_orders_conserve_the_stock() {
    for seed in 0..200 {
        let mut random = Random::seeded(seed);
        let (orders, given) = (12, 20);
        let mut requests = Vec::new();
        for n in 0..orders {
            let order = format!("ORD-{n}");
            let end = if random.percent(50) {
                commit(&order)
            } else {
                release(&order)
            };
            for request in [reserve(&order, 1 + random.below(4) as u64), end] {
                requests.extend(vec![request; 1 + random.below(3)]);
            }
        }
        random.shuffle(&mut requests);
        let mut sku = stocked(given);
        for request in &requests {
            sku.when(request.clone()).ok();
            let (on_hand, reserved, sold) = pieces(&sku);
            assert_eq!(on_hand + reserved + sold, given, "seed {seed}");
        }
        let (_, reserved, sold) = pieces(&sku);
        assert_eq!(reserved, 0, "seed {seed}: every order ended");
        let again = run(sku, &requests).0;
        assert_eq!(
            pieces(&again).2,
            sold,
            "seed {seed}: the same once more sells nothing"
        );
    }
}
