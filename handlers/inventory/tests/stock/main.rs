//! Stock of one SKU, event by event and in every order.

mod answers;
mod bounds;
mod orders;

use handler_inventory::{Stock, inventory};
use serde_json::{Value, json};
use wharf::testing::{Bounds, Delivery, Entity, event};

const SKU: &str = "SKU-1";

fn empty() -> Entity<inventory> {
    Entity::new(SKU).bounds(Bounds {
        state_bytes: 512 * 1024,
        ..Bounds::default()
    })
}

/// A SKU with this many pieces on hand.
fn stocked(qty: u64) -> Entity<inventory> {
    let mut entity = empty();
    entity
        .when(event("inventory.stocked", &json!({"qty": qty})))
        .ok();
    entity
}

fn reserve(order: &str, qty: u64) -> Delivery {
    event("inventory.reserve", &json!({"order": order, "qty": qty}))
}

fn release(order: &str) -> Delivery {
    event("inventory.release", &json!({"order": order}))
}

fn commit(order: &str) -> Delivery {
    event("inventory.commit", &json!({"order": order}))
}

fn stock(entity: &Entity<inventory>) -> Stock {
    entity.state().expect("a SKU that was touched has state")
}

/// On hand, reserved, sold.
fn pieces(entity: &Entity<inventory>) -> (u64, u64, u64) {
    let stock = stock(entity);
    (stock.on_hand, stock.reserved.values().sum(), stock.sold)
}

/// The answer to one request: its type, whom it is for, its data.
#[track_caller]
fn answer(entity: &mut Entity<inventory>, request: Delivery) -> (String, String, Value) {
    let then = entity.when(request).ok();
    let [emission] = then.emitted() else {
        panic!("{} answers", then.emitted().len())
    };
    let data = serde_json::from_slice(&emission.data).expect("an answer is JSON");
    (
        emission.event_type.clone(),
        emission.key.clone().expect("an answer is addressed"),
        data,
    )
}
