//! One payment, against a gateway that answers as scripted.

use handler_payment::{Payment, payment};
use serde_json::{Value, json};
use wharf::Failure;
use wharf::http::CallError;
use wharf::testing::{Answer, Delivery, Entity, Outcome, Then, answer, event, scripted};

const ORDER: &str = "ORD/7781 ä";
const CHARGES: &str = "POST /charges";
const LOOK_UP: &str = "GET /charges/ORD%2F7781%20%C3%A4";
const CANCEL: &str = "POST /charges/ORD%2F7781%20%C3%A4/cancel";

fn entity(script: impl IntoIterator<Item = Outcome>) -> Entity<payment> {
    Entity::new(ORDER).need("gateway", scripted(script))
}

fn charge() -> Delivery {
    event(
        "payment.charge",
        &json!({"amount": 2500, "currency": "EUR", "customer": "ann@example.com"}),
    )
}

fn cancel() -> Delivery {
    event("payment.cancel", &json!({}))
}

fn captured(status: u16) -> Answer {
    let body = json!({"charge_id": "ch-1", "order": ORDER, "amount": 2500, "currency": "EUR", "status": "captured"});
    answer(status, &body)
}

fn declined(status: u16) -> Answer {
    answer(
        status,
        &json!({"charge_id": "ch-1", "order": ORDER, "status": "declined", "reason": "card-expired"}),
    )
}

fn cancelled() -> Answer {
    answer(200, &json!({"status": "cancelled"}))
}

fn lost() -> Outcome {
    Err(CallError::UnknownOutcome("connection cut".into()))
}

/// The one thing said to the order.
#[track_caller]
fn said(then: &Then) -> (String, Value) {
    let [emission] = then.emitted() else {
        panic!("said {:?}", then.types())
    };
    assert_eq!(emission.key, None, "the order has the payment's key");
    (
        emission.event_type.clone(),
        serde_json::from_slice(&emission.data).expect("an answer is JSON"),
    )
}

fn told_captured() -> (String, Value) {
    (
        "order.payment-captured".into(),
        json!({"charge_id": "ch-1"}),
    )
}

fn told_declined() -> (String, Value) {
    (
        "order.payment-declined".into(),
        json!({"reason": "card-expired"}),
    )
}

fn told_cancelled() -> (String, Value) {
    ("order.payment-cancelled".into(), json!({}))
}

/// The label and value of the one measurement.
#[track_caller]
fn measured(then: &Then) -> &str {
    let [sample] = then.samples() else {
        panic!("{} measurements", then.samples().len())
    };
    assert_eq!(sample.name, "payment_process_duration_seconds");
    assert!((0.0..10.0).contains(&sample.value), "{}", sample.value);
    &sample.labels[0].1
}

#[test]
fn a_charge_is_made_under_the_order_s_key_and_the_order_is_told() {
    let mut entity = entity([Ok(captured(201))]);
    let then = entity.when(charge()).ok();
    assert_eq!(then.targets(), [CHARGES]);
    let call = &then.calls()[0].0;
    assert_eq!(
        call.json::<Value>(),
        json!({"order": ORDER, "amount": 2500, "currency": "EUR"})
    );
    assert_eq!(
        call.request.idempotency_key.as_deref(),
        Some("charge-ORD%2F7781%20%C3%A4")
    );
    assert_eq!(said(&then), told_captured());
    assert_eq!(measured(&then), "captured");
    assert_eq!(
        entity.state(),
        Some(Payment::Captured {
            charge_id: "ch-1".into()
        })
    );
}

#[test]
fn a_decline_is_an_answer_and_not_a_failure() {
    let mut entity = entity([Ok(declined(201))]);
    let then = entity.when(charge()).ok();
    assert_eq!(said(&then), told_declined());
    assert_eq!(measured(&then), "declined");
}

#[test]
fn a_repeated_charge_gets_the_same_answer_without_a_call() {
    let mut entity = entity([Ok(captured(201))]);
    entity.when(charge()).ok();
    for _ in 0..3 {
        let then = entity.when(charge()).ok();
        assert!(then.calls().is_empty());
        assert_eq!(said(&then), told_captured());
    }
}

#[test]
fn after_an_unknown_outcome_it_asks_before_it_charges_again() {
    let mut entity = entity([lost(), Ok(captured(200))]);
    let then = entity.when(charge());
    let Some(Failure::Unavailable(outage)) = then.failure() else {
        panic!("{then:?}")
    };
    assert_eq!(outage.need, "gateway");
    assert_eq!(measured(&then), "error");
    assert_eq!(entity.state_bytes(), None);

    let then = entity.when(charge().again()).ok();
    assert_eq!(
        then.targets(),
        [LOOK_UP],
        "it was charged, so it is not charged again"
    );
    assert_eq!(said(&then), told_captured());
}

#[test]
fn what_the_gateway_never_heard_of_is_charged_under_the_same_key() {
    let none = answer(404, &json!({"status": "none"}));
    let mut entity = entity([lost(), Ok(none), Ok(captured(201))]);
    let first = entity.when(charge());
    let again = entity.when(charge().again()).ok();
    assert_eq!(again.targets(), [LOOK_UP, CHARGES]);
    let key = |then: &Then, call: usize| then.calls()[call].0.request.idempotency_key.clone();
    assert_eq!(key(&first, 0), key(&again, 1));
    assert_eq!(
        first.calls()[0].0.request.body,
        again.calls()[1].0.request.body
    );
}

#[test]
fn an_unanswered_question_is_not_taken_for_a_no() {
    for outcome in [
        lost(),
        Err(CallError::NotSent("open".into())),
        Ok(answer(500, &json!({}))),
    ] {
        let then = entity([outcome]).when(charge().again());
        assert!(then.failure().is_some());
        assert_eq!(then.targets(), [LOOK_UP]);
    }
}

#[test]
fn an_answer_that_is_none_is_tried_again_and_decides_nothing() {
    let odd = [
        answer(500, &json!({})),
        answer(200, &json!({"status": "pondering"})),
        answer(200, "<html>"),
    ];
    for outcome in odd {
        let mut entity = entity([Ok(outcome)]);
        let then = entity.when(charge());
        assert!(
            matches!(then.failure(), Some(Failure::Retry(_))),
            "{then:?}"
        );
        assert_eq!(measured(&then), "error");
        assert_eq!(entity.state_bytes(), None);
    }
}

#[test]
fn a_cancelled_payment_is_never_charged() {
    let mut entity = entity([Ok(cancelled())]);
    let then = entity.when(cancel()).ok();
    assert_eq!(
        then.targets(),
        [CANCEL],
        "the gateway must not let a late charge land"
    );
    assert_eq!(said(&then), told_cancelled());
    let then = entity.when(charge()).ok();
    assert!(then.calls().is_empty());
    assert_eq!(said(&then), told_cancelled());
}

#[test]
fn a_cancel_that_comes_too_late_learns_of_the_charge() {
    let mut entity = entity([Ok(captured(200))]);
    assert_eq!(said(&entity.when(cancel()).ok()), told_captured());
    assert_eq!(
        entity.state(),
        Some(Payment::Captured {
            charge_id: "ch-1".into()
        })
    );
}

#[test]
fn a_cancel_after_the_decision_gets_the_decision() {
    for (answer, told) in [
        (captured(201), told_captured()),
        (declined(201), told_declined()),
    ] {
        let mut entity = entity([Ok(answer)]);
        entity.when(charge()).ok();
        let then = entity.when(cancel()).ok();
        assert!(then.calls().is_empty());
        assert_eq!(said(&then), told);
    }
}

#[test]
fn a_cancel_that_is_not_answered_cancels_nothing() {
    let mut entity = entity([lost(), Ok(cancelled())]);
    assert!(entity.when(cancel()).failure().is_some());
    assert_eq!(entity.state_bytes(), None);
    assert_eq!(said(&entity.when(cancel().again()).ok()), told_cancelled());
}

#[test]
fn the_state_is_readable() {
    let mut entity = entity([Ok(declined(201))]);
    entity.when(charge()).ok();
    assert_eq!(
        entity.state::<Value>(),
        Some(json!({"status": "declined", "reason": "card-expired"}))
    );
}
