//! Whatever comes late, twice, or in another order.

use super::{captured, declined, new, payment_cancelled, phase, placed, refused, reserved, said};
use wharf::testing::{Delivery, Entity, Random, permutations};

/// The laws that hold for any messages whatever.
fn holds(messages: &[Delivery], fire: bool) {
    let mut order: Entity<handler_order::order> = new();
    let mut all = Vec::new();
    for message in messages {
        all.extend(said(&order.when(message.clone()).ok()));
    }
    if fire && order.timers().contains_key("unpaid") {
        all.extend(said(&order.fire("unpaid").ok()));
        all.extend(said(&order.when(payment_cancelled()).ok()));
    }
    let times = |what: &str| all.iter().filter(|said| said.starts_with(what)).count();
    let ended = times("order.confirmed") + times("order.rejected") + times("order.cancelled");
    assert!(ended <= 1, "one end: {all:?}");
    assert!(times("payment.charge") <= 1, "one charge: {all:?}");
    assert!(
        times("inventory.commit") == 0 || times("inventory.release") == 0,
        "sold or released: {all:?}"
    );
    if times("order.confirmed") == 1 {
        assert_eq!(times("inventory.commit"), 2, "all is sold: {all:?}");
        assert_eq!(times("payment.charge"), 1, "what was asked for: {all:?}");
    }
    let open = order.timers().contains_key("unpaid");
    if order.state_bytes().is_some() {
        let phase = phase(&order);
        assert_eq!(
            open,
            phase == "reserving" || phase == "charging",
            "{phase}: a waiting order has its timer"
        );
        assert_eq!(
            ended == 1,
            !open && phase != "cancelling",
            "{phase}: {all:?}"
        );
    }
    assert!(
        !fire || order.state_bytes().is_none() || ended == 1,
        "no order waits for ever: {all:?}"
    );
}

#[test]
fn every_order_of_the_ordinary_messages_keeps_the_laws() {
    let paid = [
        placed(),
        placed(),
        reserved("A"),
        reserved("B"),
        reserved("A"),
        captured(),
    ];
    let refused = [
        placed(),
        reserved("A"),
        refused("B"),
        refused("A"),
        captured(),
        placed(),
    ];
    let torn = [
        placed(),
        reserved("A"),
        reserved("B"),
        captured(),
        declined(),
        payment_cancelled(),
    ];
    for messages in [paid, refused, torn] {
        for order in permutations(&messages) {
            holds(&order, false);
            holds(&order, true);
        }
    }
}

#[test]
fn any_messages_at_all_keep_the_laws() {
    let kinds = [
        placed(),
        reserved("A"),
        reserved("B"),
        reserved("C"),
        refused("A"),
        refused("B"),
        captured(),
        declined(),
        payment_cancelled(),
    ];
    for seed in 0..2000 {
        let mut random = Random::seeded(seed);
        let count = 1 + random.below(12);
        let messages: Vec<_> = (0..count)
            .map(|_| kinds[random.below(kinds.len())].clone())
            .collect();
        holds(&messages, random.percent(50));
    }
}
