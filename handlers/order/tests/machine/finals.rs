//! A final state has no way out.

use super::{
    after, cancelling, captured, charging, declined, new, payment_cancelled, phase, placed,
    refused, reserved, said,
};
use handler_order::order;
use serde_json::json;
use wharf::testing::{Entity, event};
use wharf::wire::StateChange;

fn finals() -> Vec<(&'static str, Entity<order>)> {
    let mut confirmed = charging();
    confirmed.when(captured()).ok();
    let mut declined_one = charging();
    declined_one.when(declined()).ok();
    let mut cancelled = cancelling();
    cancelled.when(payment_cancelled()).ok();
    let invalid = after([event(
        "order.placed",
        &json!({"customer": "a", "currency": "EUR", "lines": []}),
    )]);
    vec![
        ("confirmed", confirmed),
        ("rejected", declined_one),
        ("rejected", after([placed(), refused("A")])),
        ("rejected", invalid),
        ("cancelled", cancelled),
    ]
}

#[test]
fn no_message_changes_a_final_state() {
    for (name, mut order) in finals() {
        for message in [
            placed(),
            reserved("A"),
            reserved("B"),
            refused("A"),
            captured(),
            declined(),
            payment_cancelled(),
        ] {
            let then = order.when(message).ok();
            assert!(then.emitted().is_empty(), "{name}: {:?}", said(&then));
            assert_eq!(then.state_change(), Some(&StateChange::Keep), "{name}");
        }
        assert_eq!(phase(&order), name);
        assert!(order.timers().is_empty(), "{name}");
    }
}

#[test]
fn an_order_placed_again_with_another_id_is_not_charged_again() {
    let mut order = new();
    let mut said_in_all = Vec::new();
    for step in [
        placed(),
        placed(),
        reserved("A"),
        placed(),
        reserved("B"),
        placed(),
        captured(),
        placed(),
    ] {
        let then = order.when(step).ok();
        said_in_all.extend(said(&then));
    }
    let times = |what: &str| {
        said_in_all
            .iter()
            .filter(|said| said.starts_with(what))
            .count()
    };
    assert_eq!(
        (
            times("inventory.reserve"),
            times("payment.charge"),
            times("order.confirmed")
        ),
        (2, 1, 1)
    );
}
