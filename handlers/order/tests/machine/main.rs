//! One order, event by event.

mod checks;
mod finals;
mod orders;
mod steps;

use handler_order::{Order, order};
use serde_json::{Value, json};
use wharf::testing::{Delivery, Entity, Then, event};

const ORDER: &str = "ORD-7781";

fn new() -> Entity<order> {
    Entity::new(ORDER)
}

/// Two SKUs: two pieces of A at 10.00, one of B at 5.00.
fn placed() -> Delivery {
    let lines = json!([
        {"sku": "A", "qty": 2, "unit_price": 1000},
        {"sku": "B", "qty": 1, "unit_price": 500},
    ]);
    event(
        "order.placed",
        &json!({"customer": "ann@example.com", "currency": "EUR", "lines": lines}),
    )
}

fn reserved(sku: &str) -> Delivery {
    event("order.stock-reserved", &json!({"sku": sku, "qty": 1}))
}

fn refused(sku: &str) -> Delivery {
    event(
        "order.stock-refused",
        &json!({"sku": sku, "reason": "out-of-stock"}),
    )
}

fn captured() -> Delivery {
    event("order.payment-captured", &json!({"charge_id": "ch-1"}))
}

fn declined() -> Delivery {
    event("order.payment-declined", &json!({"reason": "card-expired"}))
}

fn payment_cancelled() -> Delivery {
    event("order.payment-cancelled", &json!({}))
}

/// An order after some events.
#[track_caller]
fn after(events: impl IntoIterator<Item = Delivery>) -> Entity<order> {
    let mut entity = new();
    for event in events {
        entity.when(event).ok();
    }
    entity
}

/// An order that waits for its money.
#[track_caller]
fn charging() -> Entity<order> {
    after([placed(), reserved("A"), reserved("B")])
}

/// An order that was not paid in time.
#[track_caller]
fn cancelling() -> Entity<order> {
    let mut entity = charging();
    entity.fire("unpaid").ok();
    entity
}

#[track_caller]
fn phase(entity: &Entity<order>) -> String {
    let state: Value = entity.state().expect("an order has state");
    let _: Order = entity.state().expect("and it is an order");
    state["phase"].as_str().expect("a phase is text").to_owned()
}

/// What was said and to whom: `inventory.release A`; without a key to itself.
fn said(then: &Then) -> Vec<String> {
    let line = |emission: &wharf::Emission| match &emission.key {
        Some(key) => format!("{} {key}", emission.event_type),
        None => emission.event_type.clone(),
    };
    then.emitted().iter().map(line).collect()
}
