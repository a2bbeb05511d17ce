//! The thread that makes spans and sends them.
//!
//! Threads of their own, with a runtime of their own: whatever a collector does,
//! no worker of the host is ever in it.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_otlp::{Protocol, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::TelemetryResourceDetector;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use tokio::runtime::{Builder, Runtime};

use super::Identity;
use super::client::Client;
use super::config::Config;
use super::queue::Queue;
use super::span_data::{Anchor, append};
use crate::Error;
use crate::metrics::SpanLoss;

struct Sender {
    queue: Arc<Queue>,
    exporter: opentelemetry_otlp::SpanExporter,
    runtime: Runtime,
    batch_max: usize,
    export_timeout: Duration,
    endpoint: String,
    /// The last batch was not taken; said once.
    failing: bool,
}

/// Starts the thread.
///
/// # Errors
/// [`Error::TraceExport`].
pub(super) fn start(
    config: &Config,
    identity: Identity<'_>,
    queue: Arc<Queue>,
) -> Result<(), Error> {
    let failed = |error: &dyn std::fmt::Display| Error::TraceExport(error.to_string());
    // A worker of its own keeps connections going between batches: one whose
    // answer nobody waits for any more is closed then, and not with the next.
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("traces-io")
        .enable_all()
        .build()
        .map_err(|error| failed(&error))?;
    let mut sender = Sender {
        queue,
        exporter: exporter(config, identity)?,
        runtime,
        batch_max: config.batches.batch_max,
        export_timeout: config.batches.export_timeout,
        endpoint: config.endpoint.to_string(),
        failing: false,
    };
    let run = move || {
        loop {
            sender.send_next();
        }
    };
    let thread = thread::Builder::new().name("traces".into()).spawn(run);
    thread.map(drop).map_err(|error| failed(&error))
}

/// Everything is said outright, so that the library asks no variable again.
fn exporter(
    config: &Config,
    identity: Identity<'_>,
) -> Result<opentelemetry_otlp::SpanExporter, Error> {
    let https = config.endpoint.scheme_str() == Some("https");
    let headers: HashMap<String, String> = config.headers.clone().into_iter().collect();
    let mut exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(config.endpoint.to_string())
        .with_timeout(config.timeout)
        .with_headers(headers)
        .with_http_client(Client::new(https, config.timeout)?)
        .build()
        .map_err(|error| Error::TraceExport(error.to_string()))?;
    exporter.set_resource(&resource(config, identity));
    Ok(exporter)
}

/// What the operator says of the host goes before what it knows of itself.
fn resource(config: &Config, identity: Identity<'_>) -> Resource {
    let text = |key: &str, value: &str| KeyValue::new(key.to_owned(), value.to_owned());
    let said = config.resource.iter().map(|(key, value)| text(key, value));
    Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_attributes([
            text("service.version", identity.version),
            text("service.instance.id", identity.instance),
        ])
        .with_attributes(said)
        .build()
}

impl Sender {
    fn send_next(&mut self) {
        let events = self.queue.next();
        let anchor = Anchor::now();
        let mut spans = Vec::with_capacity(events.iter().map(super::recording::Ended::spans).sum());
        for event in events {
            append(&mut spans, event, &anchor);
        }
        while !spans.is_empty() {
            let rest = spans.split_off(self.batch_max.min(spans.len()));
            self.send(std::mem::replace(&mut spans, rest));
        }
    }

    fn send(&mut self, batch: Vec<SpanData>) {
        let count = batch.len();
        let export = async {
            let sent = self.exporter.export(batch);
            match tokio::time::timeout(self.export_timeout, sent).await {
                Ok(sent) => sent.map_err(|error| error.to_string()),
                Err(_) => Err("no answer within OTEL_BSP_EXPORT_TIMEOUT".to_owned()),
            }
        };
        match self.runtime.block_on(export) {
            Ok(()) => {
                self.queue.metrics.exported(count);
                if std::mem::take(&mut self.failing) {
                    tracing::info!(endpoint = self.endpoint, "the collector takes spans again");
                }
            }
            Err(reason) => {
                self.queue.metrics.lost(SpanLoss::NotTaken, count);
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!(
                        endpoint = self.endpoint,
                        reason,
                        "the collector does not take spans; they are dropped and counted"
                    );
                }
            }
        }
    }
}
