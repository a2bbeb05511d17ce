//! What a SKU answers, and what it keeps.

use super::{answer, commit, empty, pieces, release, reserve, stock, stocked};
use handler_inventory::End;
use serde_json::json;
use std::time::Duration;
use wharf::Failure;
use wharf::testing::{bytes, event};

fn reserved(order: &str, qty: u64) -> (String, String, serde_json::Value) {
    (
        "order.stock-reserved".into(),
        order.into(),
        json!({"sku": "SKU-1", "qty": qty}),
    )
}

fn refused(order: &str, reason: &str) -> (String, String, serde_json::Value) {
    (
        "order.stock-refused".into(),
        order.into(),
        json!({"sku": "SKU-1", "reason": reason}),
    )
}

#[test]
fn pieces_that_are_there_are_reserved_and_the_order_is_told() {
    let mut sku = stocked(5);
    assert_eq!(answer(&mut sku, reserve("ORD-1", 3)), reserved("ORD-1", 3));
    assert_eq!(pieces(&sku), (2, 3, 0));
}

#[test]
fn the_last_piece_is_reserved_once() {
    let mut sku = stocked(1);
    assert_eq!(answer(&mut sku, reserve("ORD-1", 1)), reserved("ORD-1", 1));
    assert_eq!(
        answer(&mut sku, reserve("ORD-2", 1)),
        refused("ORD-2", "out-of-stock")
    );
    assert_eq!(pieces(&sku), (0, 1, 0));
}

#[test]
fn a_sku_that_was_never_stocked_refuses() {
    let mut sku = empty();
    assert_eq!(
        answer(&mut sku, reserve("ORD-1", 1)),
        refused("ORD-1", "out-of-stock")
    );
}

#[test]
fn a_repeated_reserve_gets_the_same_answer_and_no_more_pieces() {
    let mut sku = stocked(5);
    for _ in 0..3 {
        assert_eq!(answer(&mut sku, reserve("ORD-1", 2)), reserved("ORD-1", 2));
    }
    assert_eq!(
        answer(&mut sku, reserve("ORD-1", 4)),
        reserved("ORD-1", 2),
        "another number is no new request"
    );
    assert_eq!(pieces(&sku), (3, 2, 0));
}

#[test]
fn a_refused_order_stays_refused_when_pieces_arrive() {
    let mut sku = stocked(1);
    assert_eq!(
        answer(&mut sku, reserve("ORD-1", 2)),
        refused("ORD-1", "out-of-stock")
    );
    sku.when(event("inventory.stocked", &json!({"qty": 10})))
        .ok();
    assert_eq!(
        answer(&mut sku, reserve("ORD-1", 2)),
        refused("ORD-1", "out-of-stock")
    );
    assert_eq!(pieces(&sku), (11, 0, 0));
}

#[test]
fn released_pieces_can_be_reserved_by_others() {
    let mut sku = stocked(2);
    sku.when(reserve("ORD-1", 2)).ok();
    assert!(sku.when(release("ORD-1")).ok().emitted().is_empty());
    assert_eq!(answer(&mut sku, reserve("ORD-2", 2)), reserved("ORD-2", 2));
}

#[test]
fn a_release_that_comes_before_its_reserve_leaves_a_tombstone() {
    let mut sku = stocked(2);
    sku.when(release("ORD-1")).ok();
    assert_eq!(stock(&sku).ended["ORD-1"].how, End::Released);
    assert_eq!(
        answer(&mut sku, reserve("ORD-1", 1)),
        refused("ORD-1", "released")
    );
    assert_eq!(pieces(&sku), (2, 0, 0));
}

#[test]
fn committed_pieces_are_sold_once_and_are_not_released() {
    let mut sku = stocked(5);
    sku.when(reserve("ORD-1", 2)).ok();
    for request in [commit("ORD-1"), commit("ORD-1"), release("ORD-1")] {
        assert!(sku.when(request).ok().emitted().is_empty());
    }
    assert_eq!(pieces(&sku), (3, 0, 2));
    assert_eq!(answer(&mut sku, reserve("ORD-1", 2)), reserved("ORD-1", 2));
    assert_eq!(pieces(&sku), (3, 0, 2));
}

#[test]
fn a_commit_that_comes_before_its_reserve_makes_it_a_sale() {
    let mut sku = stocked(5);
    sku.when(commit("ORD-1")).ok();
    assert_eq!(answer(&mut sku, reserve("ORD-1", 2)), reserved("ORD-1", 2));
    assert_eq!(pieces(&sku), (3, 0, 2));
}

#[test]
fn a_commit_of_what_was_released_changes_nothing_and_is_logged_as_an_error() {
    let mut sku = stocked(5);
    sku.when(reserve("ORD-1", 2)).ok();
    sku.when(release("ORD-1")).ok();
    let then = sku.when(commit("ORD-1")).ok();
    assert_eq!(then.lines().len(), 1);
    assert_eq!(pieces(&sku), (5, 0, 0));
}

#[test]
fn a_reserve_of_nothing_is_refused() {
    let mut sku = stocked(5);
    assert_eq!(
        answer(&mut sku, reserve("ORD-1", 0)),
        refused("ORD-1", "bad-quantity")
    );
}

#[test]
fn what_cannot_be_read_is_rejected_and_what_cannot_be_counted_too() {
    let mut sku = stocked(5);
    for data in [
        &b"{\"order\":\"ORD-1\",\"qty\":-1}"[..],
        b"{\"qty\":1}",
        b"",
        b"\xff",
    ] {
        let then = sku.when(bytes("inventory.reserve", data));
        assert!(
            matches!(then.failure(), Some(Failure::Reject(problem)) if problem.code == "bad-data")
        );
    }
    let then = sku.when(event("inventory.stocked", &json!({"qty": i64::MAX})));
    assert!(
        matches!(then.failure(), Some(Failure::Reject(problem)) if problem.code == "too-much-stock")
    );
    assert_eq!(pieces(&sku), (5, 0, 0));
}

#[test]
fn the_state_is_readable() {
    let mut sku = stocked(5);
    sku.when(reserve("ORD-1", 2)).ok();
    sku.when(release("ORD-2")).ok();
    let state: serde_json::Value = sku.state().expect("there is state");
    let at_ms = state["ended"]["ORD-2"]["at_ms"].clone();
    let expected = json!({
        "on_hand": 3, "reserved": {"ORD-1": 2}, "sold": 0,
        "ended": {"ORD-2": {"how": "released", "at_ms": at_ms}},
    });
    assert_eq!(state, expected);
}

#[test]
fn an_event_that_changes_nothing_does_not_write_the_state() {
    let mut sku = stocked(5);
    sku.when(reserve("ORD-1", 2)).ok();
    sku.pass(Duration::from_secs(60));
    let then = sku.when(reserve("ORD-1", 2)).ok();
    assert_eq!(then.state_change(), Some(&wharf::wire::StateChange::Keep));
}
