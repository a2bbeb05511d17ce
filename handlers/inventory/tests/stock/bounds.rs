//! The state of a SKU that sells for years stays small.

use super::{commit, pieces, release, reserve, stock, stocked};
use std::time::Duration;

const HOUR: Duration = Duration::from_hours(1);

#[test]
fn an_ended_reservation_is_remembered_for_a_day_and_then_forgotten() {
    let mut sku = stocked(5);
    sku.when(reserve("ORD-1", 2)).ok();
    sku.when(commit("ORD-1")).ok();
    sku.pass(24 * HOUR - Duration::from_millis(1));
    sku.when(release("ORD-2")).ok();
    assert!(stock(&sku).ended.contains_key("ORD-1"));
    sku.pass(Duration::from_millis(1));
    sku.when(release("ORD-3")).ok();
    assert_eq!(stock(&sku).ended.keys().collect::<Vec<_>>(), ["ORD-2", "ORD-3"]);
    assert_eq!(pieces(&sku), (3, 0, 2));
}

#[test]
fn open_reservations_are_not_forgotten() {
    let mut sku = stocked(5);
    sku.when(reserve("ORD-1", 2)).ok();
    sku.pass(1000 * HOUR);
    sku.when(release("ORD-2")).ok();
    assert_eq!(pieces(&sku), (3, 2, 0));
}

#[test]
fn so_many_open_reservations_that_the_state_would_burst_are_refused() {
    let mut sku = stocked(1_000_000);
    let mut refused = None;
    for n in 0..2000 {
        let order = format!("{n:0>200}");
        if sku.when(reserve(&order, 1)).ok().types() == ["order.stock-refused"] {
            refused = Some(n);
            break;
        }
    }
    let (on_hand, reserved, sold) = pieces(&sku);
    assert!(refused.is_some_and(|n| n > 500), "{refused:?}");
    assert_eq!(on_hand + reserved + sold, 1_000_000);
}

#[test]
fn on_a_day_with_too_many_ends_the_oldest_are_forgotten_early() {
    let mut sku = stocked(1);
    for n in 0..1500 {
        sku.pass(Duration::from_millis(1));
        sku.when(release(&format!("{n:0>250}"))).ok();
    }
    let ended = stock(&sku).ended;
    assert!(ended.len() > 500, "{}", ended.len());
    assert!(ended.contains_key(&format!("{:0>250}", 1499)));
    assert!(!ended.contains_key(&format!("{:0>250}", 0)));
}
