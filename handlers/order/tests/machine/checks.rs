//! Orders that make no sense are decided, not dead-lettered.

use super::{new, phase, said};
use serde_json::{Value, json};
use wharf::Failure;
use wharf::testing::{bytes, event};

fn line(sku: &str, qty: i64, unit_price: i64) -> Value {
    json!({"sku": sku, "qty": qty, "unit_price": unit_price})
}

/// What a placed order is rejected with.
#[track_caller]
fn rejected(customer: &str, currency: &str, lines: &[Value]) -> Value {
    let mut order = new();
    let placed = json!({"customer": customer, "currency": currency, "lines": lines});
    let then = order.when(event("order.placed", &placed)).ok();
    assert_eq!(said(&then), ["order.rejected"], "{placed}");
    assert_eq!(phase(&order), "rejected");
    assert!(order.timers().is_empty());
    let data = then.data::<Value>("order.rejected").remove(0);
    assert_eq!(data["reason"], "invalid");
    data
}

#[test]
fn an_order_without_sense_is_rejected_with_a_reason() {
    let max = i64::MAX;
    let many: Vec<_> = (0..51).map(|n| line(&format!("SKU-{n}"), 1, 1)).collect();
    let cases = [
        ("EUR", vec![], "nothing to pay"),
        ("EUR", vec![line("A", 1, 0)], "nothing to pay"),
        (
            "EUR",
            vec![line("A", 0, 5)],
            "a quantity is from 1 to a million",
        ),
        (
            "EUR",
            vec![line("A", -1, 5)],
            "a quantity is from 1 to a million",
        ),
        (
            "EUR",
            vec![line("A", 1_000_000, 5), line("A", 1, 5)],
            "a quantity is from 1 to a million",
        ),
        ("EUR", vec![line("A", 1, -5)], "a price is below nothing"),
        ("EUR", vec![line("A", 3, max)], "the total is too large"),
        (
            "EUR",
            vec![line("A", 1, max), line("B", 1, max), line("C", 1, max)],
            "the total is too large",
        ),
        (
            "EUR",
            vec![line("A", 1, 9_007_199_254_740_992)],
            "the total is too large",
        ),
        ("EUR", vec![line("", 1, 5)], "a SKU has 1 to 256 bytes"),
        (
            "EUR",
            vec![line(&"x".repeat(257), 1, 5)],
            "a SKU has 1 to 256 bytes",
        ),
        ("EUR", many, "more than 50 different SKUs"),
        (
            "eur",
            vec![line("A", 1, 5)],
            "a currency is three upper-case letters",
        ),
        (
            "",
            vec![line("A", 1, 5)],
            "a currency is three upper-case letters",
        ),
    ];
    for (currency, lines, detail) in cases {
        let data = rejected("ann@example.com", currency, &lines);
        assert_eq!(data["detail"], detail);
        assert_eq!(data["customer"], "ann@example.com");
    }
}

#[test]
fn an_order_of_nobody_is_rejected_and_nobody_is_told() {
    for customer in ["", &"x".repeat(321)] {
        let data = rejected(customer, "EUR", &[line("A", 1, 5)]);
        assert_eq!(data["customer"], "");
    }
}

#[test]
fn lines_of_one_sku_are_reserved_together() {
    let mut order = new();
    let lines = [line("A", 1, 100), line("B", 1, 50), line("A", 2, 90)];
    let placed = json!({"customer": "ann", "currency": "EUR", "lines": lines});
    let then = order.when(event("order.placed", &placed)).ok();
    assert_eq!(said(&then), ["inventory.reserve A", "inventory.reserve B"]);
    let quantities: Vec<_> = then
        .data::<Value>("inventory.reserve")
        .iter()
        .map(|data| data["qty"].clone())
        .collect();
    assert_eq!(quantities, [3, 1]);
    let state: Value = order.state().expect("an order has state");
    assert_eq!(state["amount"], 330);
}

#[test]
fn the_largest_order_fits_the_bounds_of_every_step() {
    let sku = |n: usize| format!("{n:0>256}");
    let lines: Vec<_> = (0..50).map(|n| line(&sku(n), 1_000_000, 1)).collect();
    let placed = json!({"customer": "x".repeat(320), "currency": "EUR", "lines": lines});
    let mut order = new();
    assert_eq!(
        order
            .when(event("order.placed", &placed))
            .ok()
            .emitted()
            .len(),
        50
    );
    for n in 0..50 {
        order
            .when(event(
                "order.stock-reserved",
                &json!({"sku": sku(n), "qty": 1}),
            ))
            .ok();
    }
    let then = order
        .when(event(
            "order.payment-captured",
            &json!({"charge_id": "ch-1"}),
        ))
        .ok();
    assert_eq!(then.emitted().len(), 51);
}

#[test]
fn what_is_no_order_at_all_is_rejected_as_data() {
    for data in [
        &b""[..],
        b"{}",
        b"[]",
        b"{\"customer\":\"a\",\"currency\":\"EUR\",\"lines\":[{\"sku\":\"A\"}]}",
    ] {
        let then = new().when(bytes("order.placed", data));
        assert!(
            matches!(then.failure(), Some(Failure::Reject(problem)) if problem.code == "bad-data")
        );
    }
}
