//! Receivers of our own: one that keeps spans, and one that never answers.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1 as otlp;
use prost::Message;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::spans::Span;
use crate::support::{SOON, until};

/// Takes spans over OTLP/HTTP. Gone with its value.
pub struct Receiver {
    address: SocketAddr,
    spans: Arc<Mutex<Vec<Span>>>,
    serving: JoinHandle<()>,
}

impl Receiver {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let spans = Arc::new(Mutex::new(Vec::new()));
        let kept = spans.clone();
        let take = move |body: Bytes| async move {
            let Ok(request) = ExportTraceServiceRequest::decode(body) else {
                return StatusCode::BAD_REQUEST;
            };
            let all = request.resource_spans.into_iter().flat_map(|resource| {
                let spans = resource
                    .scope_spans
                    .into_iter()
                    .flat_map(|scope| scope.spans);
                let about = attributes(resource.resource.unwrap_or_default().attributes);
                spans.map(move |span| read(span, &about))
            });
            kept.lock().expect("no panic while held").extend(all);
            StatusCode::OK
        };
        let router = Router::new().route("/v1/traces", post(take));
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("it serves");
        });
        Self {
            address,
            spans,
            serving,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn spans(&self) -> Vec<Span> {
        self.spans.lock().expect("no panic while held").clone()
    }

    /// Waits until these spans are what `is_enough` wants.
    pub async fn until(&self, what: &str, is_enough: impl Fn(&[Span]) -> bool) -> Vec<Span> {
        until(what, 2 * SOON, || async {
            let spans = self.spans();
            is_enough(&spans).then_some(spans)
        })
        .await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Accepts connections and says nothing. Gone with its value.
pub struct Silent {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Silent {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let accepting = tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                held.push(stream);
            }
        });
        Self { address, accepting }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// A span with the attributes of its resource beside its own.
fn read(span: otlp::Span, about: &[(String, String)]) -> Span {
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|b| format!("{b:02x}")).collect() };
    let kind = span.kind().as_str_name();
    let error = span
        .status
        .as_ref()
        .filter(|status| status.code() == otlp::status::StatusCode::Error);
    Span {
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        kind: kind.trim_start_matches("SPAN_KIND_").to_owned(),
        error: error.map(|status| status.message.clone()),
        attributes: attributes(span.attributes)
            .into_iter()
            .chain(about.iter().cloned())
            .collect(),
        name: span.name,
    }
}

fn attributes(pairs: Vec<KeyValue>) -> Vec<(String, String)> {
    let text = |value: Option<AnyValue>| match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("no such attribute is sent: {other:?}"),
    };
    let pairs = pairs.into_iter();
    pairs.map(|pair| (pair.key, text(pair.value))).collect()
}
