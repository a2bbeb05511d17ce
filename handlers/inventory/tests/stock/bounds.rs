//! The state of a SKU that sells for years stays small.

use super::{commit, empty, pieces, release, reserve, stock, stocked};
use handler_inventory::{End, Ended, Stock, inventory};
use shop_types::{Refusal, Refused};
use std::time::Duration;
use wharf::testing::Entity;

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
    assert_eq!(
        stock(&sku).ended.keys().collect::<Vec<_>>(),
        ["ORD-2", "ORD-3"]
    );
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

/// A SKU with this many open and ended reservations of orders with long names.
fn crowded(open: usize, ended: usize) -> Entity<inventory> {
    let order = |n: usize| format!("{n:0>200}");
    let now_ms = empty().now_ms();
    let end = |n: usize| Ended {
        how: End::Released,
        at_ms: now_ms - 10_000 + n as u64,
    };
    let stock = Stock {
        on_hand: 10,
        reserved: (0..open).map(|n| (order(n), 1)).collect(),
        sold: 0,
        ended: (0..ended).map(|n| (order(n), end(n))).collect(),
    };
    empty().given(&stock)
}

#[test]
fn so_many_open_reservations_that_the_state_would_burst_are_refused() {
    let mut sku = crowded(729, 0);
    assert_eq!(
        sku.when(reserve(&"a".repeat(250), 1)).ok().types(),
        ["order.stock-reserved"]
    );
    let then = sku.when(reserve(&"b".repeat(250), 1)).ok();
    let [refused] = &then.data::<Refused>("order.stock-refused")[..] else {
        panic!("{then:?}")
    };
    assert_eq!(refused.reason, Refusal::TooManyWaiting);
    assert_eq!(pieces(&sku), (9, 730, 0));
    assert_eq!(
        sku.when(reserve("c", 1)).ok().types(),
        ["order.stock-reserved"],
        "a short name fits"
    );
}

#[test]
fn on_a_day_with_too_many_ends_the_oldest_are_forgotten_early() {
    let mut sku = crowded(0, 1240);
    sku.when(release("last")).ok();
    assert_eq!(stock(&sku).ended.len(), 1241, "all fit");
    for n in 0..3 {
        sku.when(release(&format!("{n:a>250}"))).ok();
    }
    let ended = stock(&sku).ended;
    assert_eq!(ended.len(), 1241);
    let oldest = ended.values().map(|ended| ended.at_ms).min();
    assert_eq!(
        oldest,
        Some(sku.now_ms() - 10_000 + 3),
        "three went, the oldest"
    );
}

#[test]
fn a_crowded_state_keeps_within_its_limit() {
    let mut sku = crowded(730, 1241);
    sku.when(release("one-more")).ok();
    let bytes = sku.state_bytes().map(<[u8]>::len);
    assert!(bytes.is_some_and(|bytes| bytes < 512 * 1024), "{bytes:?}");
}
