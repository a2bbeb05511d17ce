//! Where spans go during a row: an HTTP server that counts what it is sent and
//! answers like a collector in good health.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::routing::post;
use futures_util::StreamExt as _;
use tokio::net::TcpListener;
use wharf_demo::process::loopback;

/// A collector of its own on this machine. Ends with the value.
#[derive(Debug)]
pub struct Sink {
    address: SocketAddr,
    received: Arc<AtomicU64>,
    serving: tokio::task::JoinHandle<()>,
}

impl Sink {
    /// # Errors
    /// When no port can be listened on.
    pub async fn start() -> Result<Self> {
        let received = Arc::new(AtomicU64::new(0));
        let routes = Router::new()
            .route("/v1/traces", post(take))
            .with_state(Arc::clone(&received));
        let listener = TcpListener::bind(loopback(0)).await?;
        let address = listener.local_addr()?;
        let serving = tokio::spawn(async move {
            // Serving ends when the task is aborted, and not before.
            let _ = axum::serve(listener, routes).await;
        });
        Ok(Self {
            address,
            received,
            serving,
        })
    }

    /// The standard variables that make a host send its spans here.
    pub fn environment(&self) -> Vec<(String, String)> {
        let endpoint = format!("http://{}", self.address);
        [
            ("OTEL_TRACES_EXPORTER", "otlp"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
            ("OTEL_TRACES_SAMPLER", "parentbased_always_on"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    /// Bytes of spans so far.
    pub fn received_bytes(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// An empty body is the whole answer of a collector that took everything.
async fn take(
    State(received): State<Arc<AtomicU64>>,
    body: Body,
) -> (StatusCode, [(header::HeaderName, &'static str); 1]) {
    let mut pieces = body.into_data_stream();
    while let Some(Ok(piece)) = pieces.next().await {
        received.fetch_add(piece.len() as u64, Ordering::Relaxed);
    }
    (
        StatusCode::OK,
        [(header::CONTENT_TYPE, "application/x-protobuf")],
    )
}
