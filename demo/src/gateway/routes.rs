//! The gateways' HTTP: what each request does once its fate is drawn.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::stream;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::json;

use super::Shared;
use super::books::{Answer, Books, CHARGE, Cancellation, ChargeRequest, MAIL, MailRequest};
use super::door::{Cut, ThenDown};
use super::modes::{Fate, Modes};

/// Pieces that a slow body comes in.
const SLOW_PIECES: u8 = 8;

pub fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/charges", post(charge))
        .route("/charges/{order}", get(latest))
        .route("/charges/{order}/cancel", post(cancel))
        .route("/mails", post(mail))
        .route("/control", get(control).put(set_control))
        .route("/report", get(report))
        .route("/health", get(|| async { StatusCode::OK }))
        .with_state(shared)
}

async fn charge(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Json(request): Json<ChargeRequest>,
) -> Response {
    let key = idempotency_key(&headers);
    let name = key.clone().unwrap_or_else(|| request.order.clone());
    let (seed, modes) = (shared.seed, shared.modes.borrow().clone());
    visit(shared, CHARGE, name, Lossy::Yes, move |books, now_ms| {
        let declined = modes.declined(seed, &request.order);
        answer(
            StatusCode::CREATED,
            books.charge(key.as_deref(), &request, declined, now_ms),
        )
    })
    .await
}

async fn mail(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Json(request): Json<MailRequest>,
) -> Response {
    let key = idempotency_key(&headers);
    let name = key.clone().unwrap_or_else(|| request.order.clone());
    visit(shared, MAIL, name, Lossy::Yes, move |books, now_ms| {
        answer(
            StatusCode::ACCEPTED,
            books.mail(key.as_deref(), &request, now_ms),
        )
    })
    .await
}

async fn latest(State(shared): State<Arc<Shared>>, Path(order): Path<String>) -> Response {
    visit(
        shared,
        "latest",
        order.clone(),
        Lossy::No,
        move |books, _| match books.latest(&order) {
            Some(charge) => Json(charge).into_response(),
            None => (StatusCode::NOT_FOUND, Json(json!({"status": "none"}))).into_response(),
        },
    )
    .await
}

async fn cancel(State(shared): State<Arc<Shared>>, Path(order): Path<String>) -> Response {
    visit(
        shared,
        "cancel",
        order.clone(),
        Lossy::Yes,
        move |books, _| match books.cancel(&order) {
            Cancellation::Captured(charge) => Json(charge).into_response(),
            Cancellation::Cancelled => {
                Json(json!({"status": "cancelled", "order": order})).into_response()
            }
        },
    )
    .await
}

async fn control(State(shared): State<Arc<Shared>>) -> Response {
    Json(shared.modes.borrow().clone()).into_response()
}

async fn set_control(State(shared): State<Arc<Shared>>, Json(mut modes): Json<Modes>) -> Response {
    let down = Duration::from_millis(std::mem::take(&mut modes.down_ms));
    if let Err(reason) = shared.set(modes) {
        return (
            StatusCode::UNPROCESSABLE_ENTITY,
            Json(json!({"error": reason})),
        )
            .into_response();
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    if !down.is_zero() {
        // The door closes when this connection has ended, so it must end now.
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
        response.extensions_mut().insert(ThenDown(down));
    }
    response
}

async fn report(State(shared): State<Arc<Shared>>) -> Response {
    Json(shared.books().ledger()).into_response()
}

/// Whether an answer to this kind of request may be lost after its effect.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lossy {
    Yes,
    No,
}

/// Lets a request meet its fate: wait, fail, or work and perhaps lose the answer.
///
/// The work runs in a task of its own: a caller that gives up and hangs up has
/// not taken its charge back.
async fn visit(
    shared: Arc<Shared>,
    kind: &'static str,
    name: String,
    lossy: Lossy,
    work: impl FnOnce(&mut Books, u64) -> Response + Send + 'static,
) -> Response {
    let task = tokio::spawn(async move {
        let nth = shared.books().visit(kind, &name);
        if shared.wait_while_hanging().await {
            return cut();
        }
        let modes = shared.modes.borrow().clone();
        let drawn = format!("{kind}/{name}");
        tokio::time::sleep(modes.latency(shared.seed, &drawn, nth)).await;
        let fate = modes.fate(shared.seed, &drawn, nth);
        if fate == Fate::Refused {
            let body = json!({"error": "out of order"});
            return (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response();
        }
        let response = work(&mut shared.books(), super::now_ms());
        match fate {
            Fate::Cut if lossy == Lossy::Yes => cut(),
            _ => slowed(response, Duration::from_millis(modes.slow_body_ms)).await,
        }
    });
    // A panic in the work is a bug of the simulator; the caller sees a crash.
    task.await
        .unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

fn answer<T: Serialize>(status: StatusCode, answer: Answer<T>) -> Response {
    match answer {
        Answer::Made(made) | Answer::Replayed(made) => (status, Json(made)).into_response(),
        Answer::Conflict => {
            let error = "this idempotency key was used with another request";
            (
                StatusCode::UNPROCESSABLE_ENTITY,
                Json(json!({"error": error})),
            )
                .into_response()
        }
    }
}

fn cut() -> Response {
    let mut response = StatusCode::OK.into_response();
    response.extensions_mut().insert(Cut);
    response
}

/// The same response with its body in pieces over `time`.
async fn slowed(response: Response, time: Duration) -> Response {
    if time.is_zero() {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(bytes) = axum::body::to_bytes(body, usize::MAX).await else {
        return cut();
    };
    let piece = bytes.len().div_ceil(SLOW_PIECES.into()).max(1);
    let pause = time / u32::from(SLOW_PIECES);
    let pieces = stream::unfold(bytes, move |mut rest: Bytes| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(pause).await;
        let next = rest.split_to(piece.min(rest.len()));
        Some((Ok::<_, std::io::Error>(next), rest))
    });
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from_stream(pieces))
}

fn idempotency_key(headers: &HeaderMap) -> Option<String> {
    let value = headers.get("idempotency-key")?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}
