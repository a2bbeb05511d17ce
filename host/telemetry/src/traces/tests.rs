use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Instant;

use opentelemetry::trace::{SpanId, SpanKind, Status};
use opentelemetry_sdk::trace::SpanData;
use wharf_core::outcome::CallResult;

use super::*;
use crate::metrics::{EventOutcome, Metrics};
use recording::CHILDREN_MAX;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn config(endpoint: &str, waiting_max: &str, batch_max: &str) -> Config {
    let values = BTreeMap::from([
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "2000"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", waiting_max),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", batch_max),
        ("OTEL_BSP_SCHEDULE_DELAY", "3600000"),
    ]);
    let get = |name: &str| values.get(name).map(|value| (*value).to_owned());
    config::read(get).expect("no problems").expect("wanted")
}

/// Traces whose queue nobody empties.
fn unsent(sampler: Sampler, waiting_max: &str) -> (Tracer, Arc<Queue>, Metrics) {
    let metrics = Metrics::new("0.0.0", &crate::logs::Dropped::default());
    let batches = config("http://c", waiting_max, "1").batches;
    let queue = Arc::new(Queue::new(batches, metrics.spans()));
    let shared = Shared {
        sampler,
        queue: queue.clone(),
    };
    let tracer = Traces(Some(Arc::new(shared))).tracer("order", "order-1");
    (tracer, queue, metrics)
}

fn about() -> About {
    About {
        began: Instant::now(),
        destination: "shop.order.ORD-1.placed".into(),
        template: Some("shop.order.{order}.placed".into()),
        message_id: "ORD-1.placed".into(),
        key: "ORD-1".into(),
        sequence: 7,
    }
}

fn attempt(number: u32, error: Option<&str>, calls: Vec<Call>) -> Attempt {
    Attempt {
        number,
        version: 3,
        result: if error.is_some() { "retry" } else { "done" },
        error: error.map(str::to_owned),
        calls,
    }
}

fn call(span_id: u64, result: CallResult, status: Option<u16>) -> Call {
    Call {
        span_id,
        began: Instant::now(),
        ended: Instant::now(),
        need: "gateway".into(),
        method: "POST".into(),
        server: Some(("pay.example".into(), 8443)),
        status,
        result,
    }
}

/// The spans of the next event in the queue.
fn spans(queue: &Queue) -> Vec<SpanData> {
    let mut spans = Vec::new();
    for ended in queue.next() {
        span_data::append(&mut spans, ended, &span_data::Anchor::now());
    }
    spans
}

fn text(span: &SpanData, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|pair| pair.key.as_str() == key);
    found.map(|pair| pair.value.to_string())
}

fn dropped(metrics: &Metrics, reason: &str) -> u64 {
    let line = format!("wharf_spans_dropped_total{{reason=\"{reason}\"}} ");
    let all = metrics.encode();
    let value = all.lines().find_map(|text| text.strip_prefix(&line));
    value.expect("it is exposed").parse().expect("a count")
}

fn settled(tracer: &Tracer) {
    let trace = tracer.begin(Some(PARENT), about);
    trace.waited();
    trace.end(EventOutcome::Committed);
}

/// An event that failed once, and the ids of its attempts' spans.
async fn twice_tried(tracer: &Tracer) -> (Context, [u64; 2]) {
    let trace = tracer.begin(Some(PARENT), about);
    trace.waited();
    trace.span(Phase::Load, async {}).await;
    let first = trace.attempt().expect("traces are on");
    let failed = call(5, CallResult::FailureStatus(503), Some(503));
    trace.attempted(Some(first), || {
        attempt(1, Some("gateway-down"), vec![failed])
    });
    trace.span(Phase::Hold, async {}).await;
    let second = trace.attempt().expect("traces are on");
    let declined = call(6, CallResult::Answered, Some(402));
    trace.attempted(Some(second), || attempt(2, None, vec![declined]));
    trace.span(Phase::Commit, async {}).await;
    trace.span(Phase::Publish(2), async {}).await;
    trace.since(Phase::Settle, Instant::now());
    trace.end(EventOutcome::Committed);
    let own = trace.context().expect("traces are on");
    (own, [first.context.span_id, second.context.span_id])
}

#[tokio::test]
async fn the_phases_and_attempts_of_an_event_are_spans_below_its_own() {
    let (tracer, queue, _) = unsent(Sampler::parent_based(1.0), "100");
    let (own, [first, second]) = twice_tried(&tracer).await;
    let spans = spans(&queue);
    let under: Vec<(&str, SpanId)> = spans[1..]
        .iter()
        .map(|span| (&*span.name, span.parent_span_id))
        .collect();
    let expected = [
        ("lane wait", own.span_id),
        ("load", own.span_id),
        ("invoke", own.span_id),
        ("POST", first),
        ("hold", own.span_id),
        ("invoke", own.span_id),
        ("POST", second),
        ("commit", own.span_id),
        ("publish", own.span_id),
        ("settle", own.span_id),
    ];
    assert_eq!(under, expected.map(|(name, id)| (name, SpanId::from(id))));
    for span in &spans {
        assert_eq!(span.span_context.trace_id(), own.trace_id.into());
        assert!(span.span_context.is_sampled());
        assert!(span.start_time <= span.end_time, "{}", span.name);
    }
    assert_eq!(spans[3].status, Status::error("gateway-down"));
    let error = text(&spans[3], "error.type");
    assert_eq!(error.as_deref(), Some("gateway-down"));
    assert_eq!(spans[6].status, Status::Unset);
    let count = text(&spans[9], "messaging.batch.message_count");
    assert_eq!(count.as_deref(), Some("2"));
}

#[tokio::test]
async fn the_span_of_an_event_is_a_consumers_below_the_messages_own() {
    let (tracer, queue, _) = unsent(Sampler::parent_based(1.0), "100");
    let (own, _) = twice_tried(&tracer).await;
    let process = &spans(&queue)[0];
    assert_eq!(process.name, "process shop.order.{order}.placed");
    assert_eq!(process.span_kind, SpanKind::Consumer);
    assert_eq!(process.span_context.span_id(), own.span_id.into());
    assert_eq!(process.parent_span_id, 0x00f0_67aa_0ba9_02b7.into());
    assert!(process.parent_span_is_remote);
    assert_eq!(process.status, Status::Unset);
    let destination = "shop.order.ORD-1.placed";
    for (key, value) in [
        ("messaging.system", "nats"),
        ("messaging.operation.type", "process"),
        ("messaging.operation.name", "process"),
        ("messaging.destination.name", destination),
        (
            "messaging.destination.template",
            "shop.order.{order}.placed",
        ),
        ("messaging.message.id", "ORD-1.placed"),
        ("messaging.consumer.group.name", "order"),
        ("wharf.lineage", "order-1"),
        ("wharf.key", "ORD-1"),
        ("wharf.stream.sequence", "7"),
        ("wharf.handler.version", "3"),
        ("wharf.attempts", "2"),
        ("wharf.outcome", "committed"),
    ] {
        assert_eq!(text(process, key).as_deref(), Some(value), "{key}");
    }
}

#[test]
fn a_call_is_a_client_span_and_an_error_only_where_the_need_counts_one() {
    let (tracer, queue, _) = unsent(Sampler::parent_based(1.0), "100");
    let trace = tracer.begin(Some(PARENT), about);
    let calls = vec![
        call(5, CallResult::FailureStatus(503), Some(503)),
        call(6, CallResult::Answered, Some(402)),
        call(7, CallResult::UnknownOutcome, None),
    ];
    trace.attempted(trace.attempt(), || attempt(1, None, calls));
    trace.end(EventOutcome::Committed);
    let spans = spans(&queue);
    let seen: Vec<_> = spans[2..]
        .iter()
        .map(|span| {
            assert_eq!(span.span_kind, SpanKind::Client);
            assert_eq!(text(span, "http.request.method").as_deref(), Some("POST"));
            assert_eq!(text(span, "server.address").as_deref(), Some("pay.example"));
            assert_eq!(text(span, "server.port").as_deref(), Some("8443"));
            assert_eq!(text(span, "wharf.need").as_deref(), Some("gateway"));
            let status = text(span, "http.response.status_code");
            (status, text(span, "error.type"), span.status.clone())
        })
        .collect();
    let some = |text: &str| Some(text.to_owned());
    let expected = [
        (some("503"), some("503"), Status::error("503")),
        (some("402"), None, Status::Unset),
        (
            None,
            some("unknown-outcome"),
            Status::error("unknown-outcome"),
        ),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn an_event_without_a_usable_traceparent_begins_a_trace() {
    let (tracer, queue, _) = unsent(Sampler::parent_based(1.0), "100");
    for brought in [None, Some("00-a-b-01")] {
        let trace = tracer.begin(brought, about);
        let own = trace.context().expect("traces are on");
        assert!(own.is_sampled() && own.trace_id != 0 && own.span_id != 0);
        trace.end(EventOutcome::Duplicate);
        let spans = spans(&queue);
        assert_eq!(spans[0].parent_span_id, 0.into());
        assert!(!spans[0].parent_span_is_remote);
    }
}

#[test]
fn what_is_not_sampled_is_not_recorded_and_goes_on_unsampled() {
    let (tracer, queue, _) = unsent(Sampler::parent_based(1.0), "100");
    let unsampled = PARENT.replace("-01", "-00");
    let trace = tracer.begin(Some(&unsampled), || panic!("nobody needs it"));
    let own = trace.context().expect("traces are on");
    assert!(!own.is_sampled() && !trace.is_recording());
    assert_eq!(own.trace_id_text(), "4bf92f3577b34da6a3ce929d0e0e4736");
    trace.waited();
    trace.end(EventOutcome::Committed);
    settled(&tracer);
    assert_eq!(spans(&queue).len(), 2, "only the sampled event");
}

#[test]
fn without_traces_nothing_is_known_and_nothing_asked() {
    let tracer = Traces::off().tracer("order", "order-1");
    let trace = tracer.begin(Some(PARENT), || panic!("nobody needs it"));
    assert_eq!(trace.context(), None);
    assert!(trace.attempt().is_none());
    trace.attempted(None, || panic!("nobody needs it"));
    trace.end(EventOutcome::Committed);
    assert!(Traces::off().flush(Duration::ZERO));
}

#[test]
fn a_released_event_is_told_of_when_it_had_begun_and_an_ignored_one_never() {
    let (tracer, queue, _) = unsent(Sampler::parent_based(1.0), "100");
    drop(tracer.begin(Some(PARENT), about));
    let ignored = tracer.begin(Some(PARENT), about);
    ignored.since(Phase::Settle, Instant::now());
    ignored.end(EventOutcome::Ignored);
    let begun = tracer.begin(Some(PARENT), about);
    begun.waited();
    drop(begun);
    let spans = spans(&queue);
    assert_eq!(spans.len(), 2);
    assert_eq!(
        text(&spans[0], "wharf.outcome").as_deref(),
        Some("released")
    );
}

#[test]
fn a_dead_event_is_an_error_under_its_code() {
    let (tracer, queue, _) = unsent(Sampler::parent_based(1.0), "100");
    let trace = tracer.begin(Some(PARENT), about);
    trace.attempted(trace.attempt(), || attempt(1, None, Vec::new()));
    trace.refused("bad-output");
    trace.died("bad-output");
    trace.end(EventOutcome::Dead);
    let spans = spans(&queue);
    assert_eq!(spans[0].status, Status::error("bad-output"));
    assert_eq!(text(&spans[0], "error.type").as_deref(), Some("bad-output"));
    assert_eq!(
        text(&spans[1], "wharf.result").as_deref(),
        Some("bad-output")
    );
    assert_eq!(spans[1].status, Status::error("bad-output"));
}

#[test]
fn a_record_that_is_looked_at_twice_is_loaded_once() {
    let (tracer, queue, _) = unsent(Sampler::parent_based(1.0), "100");
    let trace = tracer.begin(Some(PARENT), about);
    let began = Instant::now();
    trace.since(Phase::Load, began);
    trace.since(Phase::Load, Instant::now());
    trace.end(EventOutcome::Committed);
    assert_eq!(spans(&queue).len(), 2);
}

#[test]
fn an_event_has_a_bounded_number_of_spans_and_the_rest_is_counted() {
    let (tracer, queue, metrics) = unsent(Sampler::parent_based(1.0), "1000");
    let trace = tracer.begin(Some(PARENT), about);
    for number in 0..1_000 {
        trace.attempted(trace.attempt(), || attempt(number, None, Vec::new()));
    }
    trace.end(EventOutcome::Committed);
    assert_eq!(spans(&queue).len(), 1 + CHILDREN_MAX);
    assert_eq!(dropped(&metrics, "too-many"), 1_000 - CHILDREN_MAX as u64);
}

#[test]
fn a_full_queue_drops_and_counts() {
    let (tracer, queue, metrics) = unsent(Sampler::parent_based(1.0), "5");
    for _ in 0..4 {
        settled(&tracer);
    }
    assert_eq!(
        dropped(&metrics, "queue-full"),
        4,
        "two events of two spans"
    );
    assert_eq!(spans(&queue).len(), 2);
    settled(&tracer);
    assert_eq!(dropped(&metrics, "queue-full"), 4, "there is room again");
}

/// A collector that reads one request after another and answers it, or not.
fn collector(answer: Option<&'static str>) -> (String, thread::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let served = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut seen = Vec::new();
        let mut bytes = [0; 4096];
        let whole = |seen: &[u8]| {
            let head = seen.windows(4).position(|at| at == b"\r\n\r\n")?;
            let text = String::from_utf8_lossy(&seen[..head]).to_lowercase();
            let length = text.split("content-length: ").nth(1)?;
            let length: usize = length.lines().next()?.parse().ok()?;
            (seen.len() >= head + 4 + length).then_some(())
        };
        while whole(&seen).is_none() {
            let count = stream.read(&mut bytes).expect("bytes");
            assert!(count > 0, "the request was cut off");
            seen.extend_from_slice(&bytes[..count]);
        }
        if let Some(answer) = answer {
            let text = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n");
            stream
                .write_all(text.as_bytes())
                .expect("the answer is sent");
        } else {
            let patience = Some(Duration::from_secs(20));
            stream.set_read_timeout(patience).expect("a time-out");
            let gone = stream.read(&mut bytes).expect("the other side gives up");
            assert_eq!(gone, 0, "nothing more is sent");
        }
        seen
    });
    (address, served)
}

fn started(endpoint: &str) -> (Traces, Metrics) {
    let metrics = Metrics::new("0.0.0", &crate::logs::Dropped::default());
    let identity = Identity {
        version: "1.2.3",
        instance: "host-7",
    };
    let mut config = config(endpoint, "100", "50");
    config.headers.insert("api-key".into(), "k".into());
    let traces = Traces::start(&config, identity, metrics.spans()).expect("it starts");
    (traces, metrics)
}

#[test]
fn a_flush_sends_what_waits_and_says_so() {
    let (address, served) = collector(Some("200 OK"));
    let (traces, metrics) = started(&address);
    settled(&traces.tracer("order", "order-1"));
    assert!(traces.flush(Duration::from_secs(10)));
    let seen = served.join().expect("served");
    let text = String::from_utf8_lossy(&seen);
    assert!(text.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{text}");
    for part in [
        "content-type: application/x-protobuf",
        "api-key: k",
        "process shop.order.{order}.placed",
        "service.version",
        "host-7",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let all = metrics.encode();
    assert!(all.contains("wharf_spans_exported_total 2"), "{all}");
}

#[test]
fn a_collector_that_refuses_costs_its_batch_and_is_counted() {
    let (address, served) = collector(Some("400 Bad Request"));
    let (traces, metrics) = started(&address);
    settled(&traces.tracer("order", "order-1"));
    assert!(traces.flush(Duration::from_secs(10)));
    served.join().expect("served");
    assert_eq!(dropped(&metrics, "not-taken"), 2);
}

#[test]
fn a_flush_does_not_wait_for_a_collector_that_never_answers() {
    let (address, served) = collector(None);
    let (traces, _metrics) = started(&address);
    let tracer = traces.tracer("order", "order-1");
    settled(&tracer);
    let began = Instant::now();
    assert!(!traces.flush(Duration::from_millis(200)));
    // Those who trace do not wait either.
    settled(&tracer);
    let took = began.elapsed();
    assert!(took < Duration::from_millis(1_500), "{took:?}");
    served.join().expect("served");
}
