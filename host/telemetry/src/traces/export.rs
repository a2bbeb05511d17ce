//! The thread that sends spans.
//!
//! Threads of their own, with a runtime of their own: whatever a collector does,
//! no worker of the host is ever in it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri};
use http_body_util::Full;
use tokio::runtime::{Builder, Runtime};

use super::Identity;
use super::client::Client;
use super::config::Config;
use super::otlp::{Envelope, Partial, Spans};
use super::queue::Queue;
use crate::Error;
use crate::metrics::SpanLoss;

struct Sender {
    queue: Arc<Queue>,
    client: Client,
    envelope: Envelope,
    headers: HeaderMap,
    endpoint: Uri,
    runtime: Runtime,
    batch_max: usize,
    export_timeout: Duration,
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
        client: Client::new(
            config.endpoint.scheme_str() == Some("https"),
            config.timeout,
        )?,
        envelope: Envelope::new(&resource(config, identity), identity.version),
        headers: headers(config, identity).map_err(|error| failed(&error))?,
        endpoint: config.endpoint.clone(),
        runtime,
        batch_max: config.batches.batch_max,
        export_timeout: config.batches.export_timeout,
        failing: false,
    };
    let run = move || {
        let mut spans = Spans::default();
        loop {
            spans = sender.queue.next(spans);
            sender.send_all(&spans);
        }
    };
    let thread = thread::Builder::new().name("traces".into()).spawn(run);
    thread.map(drop).map_err(|error| failed(&error))
}

fn headers(config: &Config, identity: Identity<'_>) -> Result<HeaderMap, http::Error> {
    let mut headers = HeaderMap::new();
    let agent = format!("wharf/{}", identity.version);
    headers.insert(USER_AGENT, HeaderValue::try_from(agent)?);
    for (name, value) in &config.headers {
        headers.insert(HeaderName::try_from(name)?, HeaderValue::try_from(value)?);
    }
    let protobuf = HeaderValue::from_static("application/x-protobuf");
    headers.insert(CONTENT_TYPE, protobuf);
    Ok(headers)
}

/// What the operator says of the host goes before what it knows of itself.
fn resource(config: &Config, identity: Identity<'_>) -> BTreeMap<String, String> {
    let own = [
        ("service.version", identity.version),
        ("service.instance.id", identity.instance),
        ("telemetry.sdk.name", "wharf"),
        ("telemetry.sdk.language", "rust"),
        ("telemetry.sdk.version", identity.version),
    ];
    let own = own.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let mut resource = BTreeMap::from(own);
    resource.extend(config.resource.clone());
    resource
}

impl Sender {
    fn send_all(&mut self, spans: &Spans) {
        let mut from = 0;
        while from < spans.len() {
            let to = spans.len().min(from + self.batch_max);
            self.send(self.envelope.request(spans, from, to), to - from);
            from = to;
        }
    }

    fn send(&mut self, body: Vec<u8>, count: usize) {
        let mut request = Request::post(self.endpoint.clone());
        if let Some(headers) = request.headers_mut() {
            headers.clone_from(&self.headers);
        }
        let export = async {
            let request = request.body(Full::new(Bytes::from(body)));
            let sent = self.client.send(request.map_err(|e| e.to_string())?);
            match tokio::time::timeout(self.export_timeout, sent).await {
                Ok(sent) => sent,
                Err(_) => Err("no answer within OTEL_BSP_EXPORT_TIMEOUT".to_owned()),
            }
        };
        let (lost, reason) = match self.runtime.block_on(export) {
            Ok(answer) => {
                let Partial { rejected, message } = answer.partial.unwrap_or_default();
                let rejected = usize::try_from(rejected).unwrap_or(0);
                (rejected.min(count), message)
            }
            Err(reason) => (count, reason),
        };
        self.queue.metrics.exported(count - lost);
        self.queue.metrics.lost(SpanLoss::NotTaken, lost);
        let failing = lost > 0;
        match (failing, std::mem::replace(&mut self.failing, failing)) {
            (true, false) => tracing::warn!(
                endpoint = %self.endpoint,
                lost,
                of = count,
                reason,
                "the collector does not take spans; they are dropped and counted"
            ),
            (false, true) => {
                tracing::info!(endpoint = %self.endpoint, "the collector takes spans again");
            }
            (true, true) | (false, false) => {}
        }
    }
}
