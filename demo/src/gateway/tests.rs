//! Over real HTTP: what a caller sees, and what the books say afterwards.

use bytes::Bytes;
use http::{Request, StatusCode};
use serde_json::{Value, json};

use super::*;
use crate::client::{self, Answer, Lost};

const LIMIT: Duration = Duration::from_secs(5);

async fn gateway(modes: Modes) -> Gateway {
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    Gateway::start(address, 7, modes).await.unwrap()
}

async fn send(
    gateway: &Gateway,
    method: &str,
    path: &str,
    key: Option<&str>,
    body: Value,
) -> Result<Answer, Lost> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/json");
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    let request = request.body(Bytes::from(body.to_string())).unwrap();
    client::send(gateway.address(), request, LIMIT).await
}

async fn charge(gateway: &Gateway, key: &str, order: &str, amount: u64) -> Result<Answer, Lost> {
    let body = json!({"order": order, "amount": amount, "currency": "EUR"});
    send(gateway, "POST", "/charges", Some(key), body).await
}

fn read(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

#[tokio::test]
async fn the_same_key_gives_the_same_answer_and_one_charge() {
    let gateway = gateway(Modes::default()).await;
    let first = charge(&gateway, "k1", "ORD-1", 399).await.unwrap();
    let again = charge(&gateway, "k1", "ORD-1", 399).await.unwrap();
    assert_eq!(first.status, StatusCode::CREATED);
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    assert_eq!(read(&first)["status"], "captured");
    let ledger = gateway.ledger();
    assert_eq!(ledger.charges.len(), 1);
    assert_eq!(ledger.charges[0].requests, 2);
}

#[tokio::test]
async fn a_key_used_for_another_request_is_refused() {
    let gateway = gateway(Modes::default()).await;
    charge(&gateway, "k1", "ORD-1", 399).await.unwrap();
    let other = charge(&gateway, "k1", "ORD-1", 400).await.unwrap();
    assert_eq!(other.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(gateway.ledger().charges.len(), 1);
}

#[tokio::test]
async fn another_key_for_a_paid_order_takes_the_money_again() {
    let gateway = gateway(Modes::default()).await;
    charge(&gateway, "k1", "ORD-1", 399).await.unwrap();
    charge(&gateway, "k2", "ORD-1", 399).await.unwrap();
    let ledger = gateway.ledger();
    let captured = ledger
        .charges
        .iter()
        .filter(|c| c.made.status == ChargeStatus::Captured);
    assert_eq!(captured.count(), 2);
}

#[tokio::test]
async fn a_charge_is_found_by_its_order_even_with_an_odd_name() {
    let gateway = gateway(Modes::default()).await;
    let none = send(&gateway, "GET", "/charges/a%2Fb%20%2A", None, Value::Null)
        .await
        .unwrap();
    assert_eq!(
        (none.status, read(&none)["status"].as_str()),
        (StatusCode::NOT_FOUND, Some("none"))
    );
    charge(&gateway, "k1", "a/b *", 5).await.unwrap();
    let found = send(&gateway, "GET", "/charges/a%2Fb%20%2A", None, Value::Null)
        .await
        .unwrap();
    assert_eq!(
        (found.status, read(&found)["amount"].as_u64()),
        (StatusCode::OK, Some(5))
    );
}

#[tokio::test]
async fn a_cancelled_order_is_never_charged_and_a_charged_one_not_cancelled() {
    let gateway = gateway(Modes::default()).await;
    let cancelled = send(&gateway, "POST", "/charges/ORD-1/cancel", None, Value::Null)
        .await
        .unwrap();
    assert_eq!(read(&cancelled)["status"], "cancelled");
    let late = charge(&gateway, "k1", "ORD-1", 5).await.unwrap();
    assert_eq!(late.status, StatusCode::CREATED);
    assert_eq!(read(&late)["status"], "declined");
    assert_eq!(read(&late)["reason"], "cancelled");

    charge(&gateway, "k2", "ORD-2", 5).await.unwrap();
    let paid = send(&gateway, "POST", "/charges/ORD-2/cancel", None, Value::Null)
        .await
        .unwrap();
    assert_eq!(read(&paid)["status"], "captured");
}

#[tokio::test]
async fn declines_follow_from_the_seed_and_the_order() {
    let gateway = gateway(Modes {
        decline_rate: 0.5,
        ..Modes::default()
    })
    .await;
    for n in 0..20 {
        let order = format!("ORD-{n}");
        let answer = read(&charge(&gateway, &format!("k{n}"), &order, 1).await.unwrap());
        let declined = gateway.modes().declined(7, &order).is_some();
        assert_eq!(
            answer["status"],
            if declined { "declined" } else { "captured" },
            "{order}"
        );
        assert_eq!(answer["reason"].is_string(), declined);
    }
}

#[tokio::test]
async fn a_cut_after_the_charge_leaves_the_charge_made() {
    let gateway = gateway(Modes {
        cut_after_rate: 1.0,
        ..Modes::default()
    })
    .await;
    let lost = charge(&gateway, "k1", "ORD-1", 5).await.unwrap_err();
    assert!(matches!(lost, Lost::Cut(_)), "{lost}");
    assert_eq!(gateway.ledger().charges.len(), 1);
    gateway.set(Modes::default()).unwrap();
    let asked = send(&gateway, "GET", "/charges/ORD-1", None, Value::Null)
        .await
        .unwrap();
    assert_eq!(read(&asked)["status"], "captured");
    let again = charge(&gateway, "k1", "ORD-1", 5).await.unwrap();
    assert_eq!(again.status, StatusCode::CREATED);
    assert_eq!(gateway.ledger().charges.len(), 1);
}

#[tokio::test]
async fn an_error_makes_no_charge() {
    let gateway = gateway(Modes {
        error_rate: 1.0,
        ..Modes::default()
    })
    .await;
    let refused = charge(&gateway, "k1", "ORD-1", 5).await.unwrap();
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(gateway.ledger().charges.is_empty());
}

#[tokio::test]
async fn down_refuses_connections_and_up_serves_the_same_port() {
    let gateway = gateway(Modes::default()).await;
    charge(&gateway, "k1", "ORD-1", 5).await.unwrap();
    gateway.down().await;
    let lost = charge(&gateway, "k2", "ORD-2", 5).await.unwrap_err();
    assert!(matches!(lost, Lost::NotConnected(_)), "{lost}");
    gateway.up().await;
    let again = charge(&gateway, "k1", "ORD-1", 5).await.unwrap();
    assert_eq!(again.status, StatusCode::CREATED);
    assert_eq!(gateway.ledger().charges.len(), 1);
}

#[tokio::test]
async fn down_over_http_answers_first_and_comes_back_by_itself() {
    let gateway = gateway(Modes::default()).await;
    let mut door = gateway.actual.clone();
    let ordered = send(&gateway, "PUT", "/control", None, json!({"down_ms": 300}))
        .await
        .unwrap();
    assert_eq!(ordered.status, StatusCode::NO_CONTENT);
    let in_time = |door: &mut watch::Receiver<Door>, want| {
        let mut door = door.clone();
        async move {
            tokio::time::timeout(LIMIT, door.wait_for(|d| *d == want))
                .await
                .is_ok()
        }
    };
    assert!(in_time(&mut door, Door::Closed).await);
    let lost = charge(&gateway, "k1", "ORD-1", 5).await.unwrap_err();
    assert!(matches!(lost, Lost::NotConnected(_)), "{lost}");
    assert!(in_time(&mut door, Door::Open).await);
    assert_eq!(
        charge(&gateway, "k1", "ORD-1", 5).await.unwrap().status,
        StatusCode::CREATED
    );
}

#[tokio::test]
async fn a_caller_that_hangs_up_is_charged_all_the_same() {
    let latency = Modes {
        latency_min_ms: 200,
        latency_max_ms: 200,
        ..Modes::default()
    };
    let gateway = gateway(latency).await;
    let body = json!({"order": "ORD-1", "amount": 5, "currency": "EUR"}).to_string();
    let request = Request::post("/charges")
        .header("content-type", "application/json")
        .header("idempotency-key", "k1")
        .body(Bytes::from(body))
        .unwrap();
    let impatient = client::send(gateway.address(), request, Duration::from_millis(50)).await;
    assert!(matches!(impatient, Err(Lost::TimedOut(_))));
    let deadline = tokio::time::Instant::now() + LIMIT;
    while gateway.ledger().charges.is_empty() {
        assert!(
            tokio::time::Instant::now() < deadline,
            "the charge was not made"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_hanging_gateway_neither_answers_nor_charges() {
    let gateway = gateway(Modes {
        hang: true,
        ..Modes::default()
    })
    .await;
    let hanging = charge(&gateway, "k1", "ORD-1", 5);
    tokio::pin!(hanging);
    let early = tokio::time::timeout(Duration::from_millis(100), &mut hanging).await;
    assert!(early.is_err(), "a hanging gateway answered");
    gateway.set(Modes::default()).unwrap();
    assert!(matches!(hanging.await, Err(Lost::Cut(_))));
    assert!(gateway.ledger().charges.is_empty());
}

#[tokio::test]
async fn a_slow_body_comes_late_and_whole() {
    let gateway = gateway(Modes {
        slow_body_ms: 160,
        ..Modes::default()
    })
    .await;
    let begun = std::time::Instant::now();
    let answer = charge(&gateway, "k1", "ORD-1", 5).await.unwrap();
    assert_eq!(read(&answer)["status"], "captured");
    assert!(
        begun.elapsed() >= Duration::from_millis(160),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn a_mail_is_sent_once_per_key_and_reported() {
    let gateway = gateway(Modes::default()).await;
    let body = json!({"to": "a@b", "template": "confirmed", "order": "ORD-1", "subject": "s", "body": "b"});
    for _ in 0..2 {
        let sent = send(&gateway, "POST", "/mails", Some("m1"), body.clone())
            .await
            .unwrap();
        assert_eq!(sent.status, StatusCode::ACCEPTED);
    }
    let report = send(&gateway, "GET", "/report", None, Value::Null)
        .await
        .unwrap();
    let ledger: Ledger = serde_json::from_slice(&report.body).unwrap();
    assert_eq!(ledger, gateway.ledger());
    assert_eq!(ledger.mails.len(), 1);
    assert_eq!(
        (
            ledger.mails[0].made.template.as_str(),
            ledger.mails[0].requests
        ),
        ("confirmed", 2)
    );
}

#[tokio::test]
async fn modes_that_cannot_be_meant_are_refused_over_http() {
    let gateway = gateway(Modes::default()).await;
    let rate = send(&gateway, "PUT", "/control", None, json!({"error_rate": 2}))
        .await
        .unwrap();
    assert_eq!(rate.status, StatusCode::UNPROCESSABLE_ENTITY);
    let name = send(&gateway, "PUT", "/control", None, json!({"eror_rate": 0.5}))
        .await
        .unwrap();
    assert_eq!(name.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(gateway.modes(), Modes::default());
}
