//! One mail for each final event.

use handler_notification::notification;
use serde_json::{Value, json};
use wharf::Failure;
use wharf::http::CallError;
use wharf::testing::{Delivery, Entity, Outcome, Then, answer, event, scripted};

fn entity(script: impl IntoIterator<Item = Outcome>) -> Entity<notification> {
    Entity::new("ORD-7781")
        .config("from", "shop@example.com")
        .need("mail", scripted(script))
}

fn sent() -> Outcome {
    Ok(answer(202, &json!({"mail_id": "m-1"})))
}

fn confirmed() -> Delivery {
    let data = json!({
        "customer": "ann@example.com", "amount": 2505, "currency": "EUR", "charge_id": "ch-1",
        "goods": [{"sku": "A", "qty": 2}],
    });
    event("order.confirmed", &data)
}

fn rejected(reason: &str) -> Delivery {
    event(
        "order.rejected",
        &json!({"customer": "ann@example.com", "reason": reason, "detail": "B"}),
    )
}

#[track_caller]
fn mail(then: &Then) -> Value {
    assert_eq!(then.targets(), ["POST /mails"]);
    then.calls()[0].0.json()
}

#[test]
fn a_confirmed_order_is_told_with_what_was_charged() {
    let then = entity([sent()]).when(confirmed()).ok();
    let expected = json!({
        "from": "shop@example.com", "to": "ann@example.com", "template": "order-confirmed", "order": "ORD-7781",
        "subject": "Your order ORD-7781 is confirmed",
        "body": "Your order ORD-7781 is confirmed. We charged 25.05 EUR. Your goods are on their way.",
    });
    assert_eq!(mail(&then), expected);
    assert!(then.emitted().is_empty());
}

#[test]
fn every_other_end_says_why_and_that_nothing_was_charged() {
    let cancelled = event("order.cancelled", &json!({"customer": "ann@example.com"}));
    let ends = [
        (
            rejected("out-of-stock"),
            "order-rejected",
            "Not everything in it is in stock.",
        ),
        (
            rejected("payment-declined"),
            "order-rejected",
            "Your payment was declined.",
        ),
        (
            rejected("invalid"),
            "order-rejected",
            "We could not read it as an order.",
        ),
        (cancelled, "order-cancelled", "It was not paid in time."),
    ];
    for (end, template, why) in ends {
        let mail = mail(&entity([sent()]).when(end).ok());
        assert_eq!(mail["template"], template);
        let body = mail["body"].as_str().expect("a body is text");
        assert!(
            body.contains(why) && body.ends_with("You were not charged."),
            "{body}"
        );
    }
}

#[test]
fn every_try_of_an_event_sends_the_same_mail_under_the_same_key() {
    let lost = Err(CallError::UnknownOutcome("cut".into()));
    let mut entity = entity([lost, sent(), sent()]);
    let first = entity.when(confirmed().id("e-1"));
    assert!(matches!(first.failure(), Some(Failure::Unavailable(outage)) if outage.need == "mail"));
    let again = entity.when(confirmed().id("e-1").again()).ok();
    assert_eq!(first.calls()[0].0, again.calls()[0].0);
    let other = entity.when(confirmed().id("e-2")).ok();
    let key = |then: &Then| then.calls()[0].0.request.idempotency_key.clone();
    assert_ne!(key(&first), key(&other));
}

#[test]
fn a_mail_that_was_not_taken_is_tried_again() {
    let then = entity([Ok(answer(500, &json!({})))]).when(confirmed());
    assert!(
        matches!(then.failure(), Some(Failure::Retry(problem)) if problem.code == "unexpected-status")
    );
}

#[test]
fn an_order_of_nobody_is_not_told() {
    let end = event(
        "order.rejected",
        &json!({"customer": "", "reason": "invalid", "detail": "no usable customer"}),
    );
    let then = entity([]).when(end).ok();
    assert!(then.calls().is_empty());
    assert_eq!(then.lines().len(), 1);
}

#[test]
fn an_event_that_ends_nothing_sends_nothing() {
    assert!(
        entity([])
            .when(event("order.placed", &json!({})))
            .ok()
            .calls()
            .is_empty()
    );
}
