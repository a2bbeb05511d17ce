//! What the host answers over HTTP: health, readiness, metrics.
//!
//! Losing the broker flips readiness, never health: a restart would not bring
//! it back, and would lose what is in memory.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use wharf_engine::Runtime;
use wharf_jetstream::connection::{Link, Status};
use wharf_telemetry::metrics::Metrics;

/// What readiness depends on.
pub struct Readiness {
    /// Set once, when all handlers are loaded and their assets bound.
    bound: AtomicBool,
    draining: AtomicBool,
    broker: watch::Sender<Option<watch::Receiver<Status>>>,
}

impl Readiness {
    pub fn new() -> Arc<Self> {
        let (broker, _) = watch::channel(None);
        Arc::new(Self {
            bound: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            broker,
        })
    }

    /// The broker's connection, as soon as there is one.
    pub fn connected(&self, status: watch::Receiver<Status>) {
        self.broker.send_replace(Some(status));
    }

    pub fn bound(&self) {
        self.bound.store(true, Ordering::Relaxed);
    }

    pub fn draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    fn report(&self) -> Report {
        let broker = self
            .broker
            .borrow()
            .as_ref()
            .is_some_and(|status| status.borrow().link == Link::Connected);
        let handlers = self.bound.load(Ordering::Relaxed);
        let draining = self.draining.load(Ordering::Relaxed);
        Report {
            ready: broker && handlers && !draining,
            broker,
            handlers,
            draining,
        }
    }
}

/// Why the host is ready, or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct Report {
    ready: bool,
    /// The broker is connected.
    broker: bool,
    /// All handlers are loaded and their streams bound.
    handlers: bool,
    draining: bool,
}

/// Opens the address.
///
/// # Errors
/// The system's reason, such as a port in use.
pub async fn bind(listen: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(listen).await
}

/// Serves until `stop`.
///
/// # Errors
/// The listener failed.
pub async fn serve(
    listener: TcpListener,
    readiness: Arc<Readiness>,
    metrics: Arc<Metrics>,
    runtime: Arc<Runtime>,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let app = Router::new()
        .route("/health", get(|| async { "ok\n" }))
        .route("/ready", get(ready))
        .route("/metrics", get(exposition))
        .with_state(Rooms {
            readiness,
            metrics,
            runtime,
        });
    axum::serve(listener, app)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
}

#[derive(Clone)]
struct Rooms {
    readiness: Arc<Readiness>,
    metrics: Arc<Metrics>,
    runtime: Arc<Runtime>,
}

async fn ready(State(rooms): State<Rooms>) -> Response {
    let report = rooms.readiness.report();
    let status = if report.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, axum::Json(report)).into_response()
}

async fn exposition(State(rooms): State<Rooms>) -> Response {
    let usage = rooms.runtime.usage();
    let now = (usage.running + usage.warm) as usize;
    rooms.metrics.set_instances(now, usage.max as usize);
    let content_type = wharf_telemetry::metrics::CONTENT_TYPE;
    (
        [(header::CONTENT_TYPE, content_type)],
        rooms.metrics.encode(),
    )
        .into_response()
}
