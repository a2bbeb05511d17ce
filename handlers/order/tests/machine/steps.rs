//! Each step of the machine.

use super::{
    after, cancelling, captured, charging, declined, new, payment_cancelled, phase, placed,
    refused, reserved, said,
};
use serde_json::{Value, json};
use std::time::Duration;

#[test]
fn a_placed_order_asks_for_every_sku_and_sets_its_timer() {
    let mut order = new();
    let then = order.when(placed()).ok();
    assert_eq!(said(&then), ["inventory.reserve A", "inventory.reserve B"]);
    let asked = then.data::<Value>("inventory.reserve");
    assert_eq!(
        asked,
        [
            json!({"order": "ORD-7781", "qty": 2}),
            json!({"order": "ORD-7781", "qty": 1})
        ]
    );
    assert!(
        order.timers()["unpaid"] > Duration::from_hours(24),
        "longer than any outage"
    );
    assert_eq!(phase(&order), "reserving");
}

#[test]
fn the_last_reservation_asks_for_the_money_once() {
    let mut order = after([placed()]);
    assert!(order.when(reserved("B")).ok().emitted().is_empty());
    assert!(
        order.when(reserved("B")).ok().emitted().is_empty(),
        "the same again is not the other one"
    );
    assert!(
        order.when(reserved("C")).ok().emitted().is_empty(),
        "and neither is one it never asked for"
    );
    let then = order.when(reserved("A")).ok();
    assert_eq!(said(&then), ["payment.charge"]);
    let charge = json!({"amount": 2500, "currency": "EUR", "customer": "ann@example.com"});
    assert_eq!(then.data::<Value>("payment.charge"), [charge]);
    assert!(order.when(reserved("A")).ok().emitted().is_empty());
}

#[test]
fn a_captured_payment_sells_the_goods_and_confirms() {
    let mut order = charging();
    let then = order.when(captured()).ok();
    assert_eq!(
        said(&then),
        [
            "inventory.commit A",
            "inventory.commit B",
            "order.confirmed"
        ]
    );
    let confirmed = json!({
        "customer": "ann@example.com", "amount": 2500, "currency": "EUR", "charge_id": "ch-1",
        "goods": [{"sku": "A", "qty": 2}, {"sku": "B", "qty": 1}],
    });
    assert_eq!(then.data::<Value>("order.confirmed"), [confirmed]);
    assert!(order.timers().is_empty());
    assert_eq!(phase(&order), "confirmed");
}

#[test]
fn a_declined_payment_releases_every_reservation_and_rejects() {
    let mut order = charging();
    let then = order.when(declined()).ok();
    assert_eq!(
        said(&then),
        [
            "inventory.release A",
            "inventory.release B",
            "order.rejected"
        ]
    );
    let rejected = json!({"customer": "ann@example.com", "reason": "payment-declined", "detail": "card-expired"});
    assert_eq!(then.data::<Value>("order.rejected"), [rejected]);
    assert!(order.timers().is_empty());
    assert_eq!(phase(&order), "rejected");
}

#[test]
fn a_refused_sku_releases_all_others_answered_or_not_and_rejects() {
    for before in [vec![placed()], vec![placed(), reserved("A")]] {
        let mut order = after(before);
        let then = order.when(refused("B")).ok();
        assert_eq!(said(&then), ["inventory.release A", "order.rejected"]);
        let rejected =
            json!({"customer": "ann@example.com", "reason": "out-of-stock", "detail": "B"});
        assert_eq!(then.data::<Value>("order.rejected"), [rejected]);
        assert!(order.timers().is_empty());
    }
}

#[test]
fn a_refusal_that_contradicts_what_is_known_changes_nothing() {
    let mut order = after([placed(), reserved("A")]);
    assert!(
        order.when(refused("A")).ok().emitted().is_empty(),
        "it is reserved"
    );
    assert!(
        order.when(refused("C")).ok().emitted().is_empty(),
        "it was never asked for"
    );
    assert_eq!(phase(&order), "reserving");
    let mut order = charging();
    assert!(order.when(refused("A")).ok().emitted().is_empty());
    assert_eq!(phase(&order), "charging");
}

#[test]
fn money_that_was_not_asked_for_confirms_nothing() {
    let mut order = after([placed(), reserved("A")]);
    assert!(order.when(captured()).ok().emitted().is_empty());
    order.fire("unpaid").ok();
    assert!(
        order.when(captured()).ok().emitted().is_empty(),
        "goods are missing that nobody paid for"
    );
    assert_eq!(phase(&order), "cancelling");
}

#[test]
fn an_unpaid_order_asks_payment_before_it_is_cancelled() {
    let mut order = charging();
    let then = order.fire("unpaid").ok();
    assert_eq!(said(&then), ["payment.cancel"]);
    assert_eq!(phase(&order), "cancelling");
    let then = order.when(payment_cancelled()).ok();
    assert_eq!(
        said(&then),
        [
            "inventory.release A",
            "inventory.release B",
            "order.cancelled"
        ]
    );
    assert_eq!(
        then.data::<Value>("order.cancelled"),
        [json!({"customer": "ann@example.com"})]
    );
    assert_eq!(phase(&order), "cancelled");
}

#[test]
fn money_that_came_after_all_confirms_the_order() {
    let mut order = cancelling();
    let then = order.when(captured()).ok();
    assert_eq!(
        said(&then),
        [
            "inventory.commit A",
            "inventory.commit B",
            "order.confirmed"
        ]
    );
    assert_eq!(phase(&order), "confirmed");
}

#[test]
fn a_decline_that_came_late_rejects_the_order() {
    let mut order = cancelling();
    let then = order.when(declined()).ok();
    assert_eq!(
        said(&then),
        [
            "inventory.release A",
            "inventory.release B",
            "order.rejected"
        ]
    );
}

#[test]
fn an_order_whose_stock_nobody_answered_for_is_cancelled_the_same_way() {
    let mut order = after([placed(), reserved("A")]);
    assert_eq!(said(&order.fire("unpaid").ok()), ["payment.cancel"]);
    assert!(
        order.when(reserved("B")).ok().emitted().is_empty(),
        "too late to charge"
    );
    let then = order.when(payment_cancelled()).ok();
    assert_eq!(
        said(&then),
        [
            "inventory.release A",
            "inventory.release B",
            "order.cancelled"
        ]
    );
}

#[test]
fn a_payment_that_was_cancelled_by_others_cancels_the_order() {
    let mut order = charging();
    let then = order.when(payment_cancelled()).ok();
    assert_eq!(
        said(&then),
        [
            "inventory.release A",
            "inventory.release B",
            "order.cancelled"
        ]
    );
    assert!(order.timers().is_empty());
}

#[test]
fn a_message_for_an_order_that_was_never_placed_changes_nothing() {
    for message in [
        reserved("A"),
        refused("A"),
        captured(),
        declined(),
        payment_cancelled(),
    ] {
        let mut order = new();
        assert!(order.when(message).ok().emitted().is_empty());
        assert_eq!(order.state_bytes(), None);
    }
}

#[test]
fn the_state_is_readable() {
    let order = after([placed(), reserved("A")]);
    let state: Value = order.state().expect("an order has state");
    let expected = json!({
        "phase": "reserving", "customer": "ann@example.com", "amount": 2500, "currency": "EUR", "charged": false,
        "items": {"A": {"qty": 2, "reserved": true}, "B": {"qty": 1, "reserved": false}},
    });
    assert_eq!(state, expected);
}
