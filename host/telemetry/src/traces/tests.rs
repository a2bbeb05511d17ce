mod sending;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, SpanFlags};
use prost::Message as _;
use wharf_core::outcome::CallResult;

use super::*;
use crate::metrics::{EventOutcome, Metrics};
use recording::CHILDREN_MAX;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn config(endpoint: &str, waiting_max: &str, batch_max: &str) -> Config {
    let values = BTreeMap::from([
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
        ("OTEL_BSP_MAX_QUEUE_SIZE", waiting_max),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", batch_max),
        ("OTEL_BSP_SCHEDULE_DELAY", "3600000"),
    ]);
    let get = |name: &str| values.get(name).map(|value| (*value).to_owned());
    config::read(get).expect("no problems").expect("wanted")
}

/// Traces whose queue nobody empties.
fn unsent(sampler: Sampler, waiting_max: &str) -> (Tracer, Arc<Queue>, Metrics) {
    unsent_in(sampler, waiting_max, "1")
}

fn unsent_in(
    sampler: Sampler,
    waiting_max: &str,
    batch_max: &str,
) -> (Tracer, Arc<Queue>, Metrics) {
    let metrics = Metrics::new("0.0.0", &crate::logs::Dropped::default());
    let batches = config("http://c", waiting_max, batch_max).batches;
    let queue = Arc::new(Queue::new(batches, metrics.spans()));
    let shared = Shared {
        sampler,
        queue: queue.clone(),
    };
    let tracer = Traces(Some(Arc::new(shared))).tracer("order", "order-1");
    (tracer, queue, metrics)
}

fn about() -> About<'static> {
    About {
        began: Instant::now(),
        destination: "shop.order.ORD-1.placed",
        template: Some("shop.order.{order}.placed"),
        message_id: "ORD-1.placed",
        key: "ORD-1",
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
fn spans(queue: &Queue) -> Vec<Span> {
    let spans = queue.next(otlp::Spans::default());
    sent(&spans, 0, spans.len())
}

/// What a collector reads of a request with these.
fn sent(spans: &otlp::Spans, from: usize, to: usize) -> Vec<Span> {
    let resource = BTreeMap::from([("service.name".to_owned(), "shop".to_owned())]);
    let bytes = otlp::Envelope::new(&resource, "1.2.3").request(spans, from, to);
    let request = ExportTraceServiceRequest::decode(&*bytes).expect("OTLP");
    assert_eq!(request.encoded_len(), bytes.len(), "a field is there twice");
    let [of_resource] = &request.resource_spans[..] else {
        panic!("one resource: {request:?}");
    };
    let named = &of_resource
        .resource
        .as_ref()
        .expect("a resource")
        .attributes;
    assert_eq!((named.len(), &*named[0].key), (1, "service.name"));
    let [of_scope] = &of_resource.scope_spans[..] else {
        panic!("one scope: {request:?}");
    };
    let scope = of_scope.scope.as_ref().expect("a scope");
    assert_eq!((&*scope.name, &*scope.version), ("wharf", "1.2.3"));
    for span in &of_scope.spans {
        let keys: BTreeSet<&str> = span.attributes.iter().map(|pair| &*pair.key).collect();
        assert_eq!(keys.len(), span.attributes.len(), "{:?}", span.attributes);
    }
    of_scope.spans.clone()
}

fn text(span: &Span, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|pair| pair.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        other => panic!("{other:?}"),
    }
}

/// The code of an error; none of what is none.
fn error(span: &Span) -> Option<&str> {
    let status = span.status.as_ref()?;
    assert_eq!(status.code(), StatusCode::Error);
    Some(&status.message)
}

fn has_remote_parent(span: &Span) -> bool {
    assert_ne!(span.flags & SpanFlags::ContextHasIsRemoteMask as u32, 0);
    span.flags & SpanFlags::ContextIsRemoteMask as u32 != 0
}

fn id(id: u64) -> Vec<u8> {
    id.to_be_bytes().to_vec()
}

fn dropped(metrics: &Metrics, reason: &str) -> u64 {
    let line = format!("wharf_spans_dropped_total{{reason=\"{reason}\"}} ");
    let all = metrics.encode();
    let value = all.lines().find_map(|text| text.strip_prefix(&line));
    value.expect("it is exposed").parse().expect("a count")
}

fn settled(tracer: &Tracer) {
    let trace = tracer.begin(Some(PARENT), &about());
    trace.waited();
    trace.end(EventOutcome::Committed);
}

/// An event that failed once, and the ids of its attempts' spans.
async fn twice_tried(tracer: &Tracer) -> (Context, [u64; 2]) {
    let trace = tracer.begin(Some(PARENT), &about());
    trace.waited();
    trace.span(Phase::Load, async {}).await;
    let first = trace.attempt().expect("traces are on");
    let failed = call(5, CallResult::FailureStatus(503), Some(503));
    trace.attempted(Some(first), |_| {
        attempt(1, Some("gateway-down"), vec![failed])
    });
    trace.span(Phase::Hold, async {}).await;
    let second = trace.attempt().expect("traces are on");
    let declined = call(6, CallResult::Answered, Some(402));
    trace.attempted(Some(second), |_| attempt(2, None, vec![declined]));
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
    let under: Vec<(&str, Vec<u8>)> = spans[1..]
        .iter()
        .map(|span| (&*span.name, span.parent_span_id.clone()))
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
    assert_eq!(under, expected.map(|(name, parent)| (name, id(parent))));
    for span in &spans {
        assert_eq!(span.trace_id, own.trace_id.to_be_bytes());
        assert_eq!(span.flags & 0xff, u32::from(own.flags));
        let (start, end) = (span.start_time_unix_nano, span.end_time_unix_nano);
        assert!(0 < start && start <= end, "{}", span.name);
    }
    assert_eq!(error(&spans[3]), Some("gateway-down"));
    let named = text(&spans[3], "error.type");
    assert_eq!(named.as_deref(), Some("gateway-down"));
    assert_eq!(error(&spans[6]), None);
    let count = text(&spans[9], "messaging.batch.message_count");
    assert_eq!(count.as_deref(), Some("2"));
}

#[tokio::test]
async fn the_span_of_an_event_is_a_consumers_below_the_messages_own() {
    let (tracer, queue, _) = unsent(Sampler::parent_based(1.0), "100");
    let (own, _) = twice_tried(&tracer).await;
    let process = &spans(&queue)[0];
    assert_eq!(process.name, "process shop.order.{order}.placed");
    assert_eq!(process.kind(), SpanKind::Consumer);
    assert_eq!(process.span_id, id(own.span_id));
    assert_eq!(process.parent_span_id, id(0x00f0_67aa_0ba9_02b7));
    assert!(has_remote_parent(process));
    assert_eq!(error(process), None);
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
    let trace = tracer.begin(Some(PARENT), &about());
    let calls = vec![
        call(5, CallResult::FailureStatus(503), Some(503)),
        call(6, CallResult::Answered, Some(402)),
        call(7, CallResult::UnknownOutcome, None),
    ];
    trace.attempted(trace.attempt(), |_| attempt(1, None, calls));
    trace.end(EventOutcome::Committed);
    let spans = spans(&queue);
    let seen: Vec<_> = spans[2..]
        .iter()
        .map(|span| {
            assert_eq!(span.kind(), SpanKind::Client);
            assert!(!has_remote_parent(span));
            assert_eq!(text(span, "http.request.method").as_deref(), Some("POST"));
            assert_eq!(text(span, "server.address").as_deref(), Some("pay.example"));
            assert_eq!(text(span, "server.port").as_deref(), Some("8443"));
            assert_eq!(text(span, "wharf.need").as_deref(), Some("gateway"));
            let status = text(span, "http.response.status_code");
            (
                status,
                text(span, "error.type"),
                error(span).map(str::to_owned),
            )
        })
        .collect();
    let some = |text: &str| Some(text.to_owned());
    let expected = [
        (some("503"), some("503"), some("503")),
        (some("402"), None, None),
        (None, some("unknown-outcome"), some("unknown-outcome")),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn an_event_without_a_usable_traceparent_begins_a_trace() {
    let (tracer, queue, _) = unsent(Sampler::parent_based(1.0), "100");
    for brought in [None, Some("00-a-b-01")] {
        let trace = tracer.begin(brought, &about());
        let own = trace.context().expect("traces are on");
        assert!(own.is_sampled() && own.trace_id != 0 && own.span_id != 0);
        trace.end(EventOutcome::Duplicate);
        let spans = spans(&queue);
        assert!(spans[0].parent_span_id.is_empty());
        assert!(!has_remote_parent(&spans[0]));
    }
}

#[test]
fn what_is_not_sampled_is_not_recorded_and_goes_on_unsampled() {
    let (tracer, queue, _) = unsent(Sampler::parent_based(1.0), "100");
    let unsampled = PARENT.replace("-01", "-00");
    let trace = tracer.begin(Some(&unsampled), &about());
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
    let trace = tracer.begin(Some(PARENT), &about());
    assert_eq!(trace.context(), None);
    assert!(trace.attempt().is_none());
    trace.attempted(None, |_| panic!("nobody needs it"));
    trace.end(EventOutcome::Committed);
    assert!(Traces::off().flush(Duration::ZERO));
}

#[test]
fn a_released_event_is_told_of_when_it_had_begun_and_an_ignored_one_never() {
    let (tracer, queue, _) = unsent(Sampler::parent_based(1.0), "100");
    drop(tracer.begin(Some(PARENT), &about()));
    let ignored = tracer.begin(Some(PARENT), &about());
    ignored.since(Phase::Settle, Instant::now());
    ignored.end(EventOutcome::Ignored);
    let begun = tracer.begin(Some(PARENT), &about());
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
fn what_is_no_event_of_the_handler_has_no_template_and_a_timer_no_sequence() {
    let (tracer, queue, _) = unsent(Sampler::parent_based(1.0), "100");
    let about = About {
        template: None,
        sequence: 0,
        ..about()
    };
    let trace = tracer.begin(Some(PARENT), &about);
    trace.since(Phase::Park, Instant::now());
    trace.end(EventOutcome::Dead);
    let spans = spans(&queue);
    assert_eq!(spans[0].name, "process");
    assert_eq!(text(&spans[0], "messaging.destination.template"), None);
    assert_eq!(text(&spans[0], "wharf.stream.sequence"), None);
    assert_eq!(text(&spans[0], "wharf.key").as_deref(), Some("ORD-1"));
}

#[test]
fn a_batch_whose_memory_was_used_before_has_its_own_spans_and_no_others() {
    let (tracer, queue, _) = unsent(Sampler::parent_based(1.0), "100");
    let mut batch = otlp::Spans::default();
    let mut seen = BTreeSet::new();
    for nth in 1..=4 {
        settled(&tracer);
        batch = queue.next(batch);
        let spans = sent(&batch, 0, batch.len());
        seen.extend(spans.iter().map(|span| span.span_id.clone()));
        assert_eq!((spans.len(), seen.len()), (2, 2 * nth));
    }
}

#[test]
fn a_dead_event_is_an_error_under_its_code() {
    let (tracer, queue, _) = unsent(Sampler::parent_based(1.0), "100");
    let trace = tracer.begin(Some(PARENT), &about());
    trace.attempted(trace.attempt(), |_| attempt(1, None, Vec::new()));
    trace.refused("bad-output");
    trace.died("bad-output");
    trace.end(EventOutcome::Dead);
    let spans = spans(&queue);
    assert_eq!(error(&spans[0]), Some("bad-output"));
    assert_eq!(text(&spans[0], "error.type").as_deref(), Some("bad-output"));
    assert_eq!(
        text(&spans[1], "wharf.result").as_deref(),
        Some("bad-output")
    );
    assert_eq!(error(&spans[1]), Some("bad-output"));
}

#[test]
fn a_record_that_is_looked_at_twice_is_loaded_once() {
    let (tracer, queue, _) = unsent(Sampler::parent_based(1.0), "100");
    let trace = tracer.begin(Some(PARENT), &about());
    let began = Instant::now();
    trace.since(Phase::Load, began);
    trace.since(Phase::Load, Instant::now());
    trace.end(EventOutcome::Committed);
    assert_eq!(spans(&queue).len(), 2);
}

#[test]
fn an_event_has_a_bounded_number_of_spans_and_the_rest_is_counted() {
    let (tracer, queue, metrics) = unsent(Sampler::parent_based(1.0), "1000");
    let trace = tracer.begin(Some(PARENT), &about());
    for number in 0..1_000 {
        trace.attempted(trace.attempt(), |_| attempt(number, None, Vec::new()));
    }
    trace.end(EventOutcome::Committed);
    assert_eq!(spans(&queue).len(), 1 + CHILDREN_MAX);
    assert_eq!(dropped(&metrics, "too-many"), 1_000 - CHILDREN_MAX as u64);
}

#[test]
fn texts_of_every_length_and_parts_of_a_batch_are_read_as_they_were() {
    // Past each length at which a length takes a byte more.
    let lengths: Vec<usize> = (1..301).chain(16_300..16_400).collect();
    let mut spans = otlp::Spans::default();
    for length in &lengths {
        let long = "x".repeat(*length);
        spans.push(|span| {
            span.text(5, &long);
            span.attributes(9).text("k", &long).number("n", u64::MAX);
        });
    }
    for (from, to) in [(0, 400), (0, 150), (150, 400), (399, 400)] {
        let read = sent(&spans, from, to);
        let names: Vec<usize> = read.iter().map(|span| span.name.len()).collect();
        assert_eq!(names, lengths[from..to]);
        for span in &read {
            assert_eq!(text(span, "k").as_ref(), Some(&span.name));
            assert_eq!(text(span, "n"), Some(i64::MAX.to_string()));
        }
    }
}

#[test]
fn a_batch_is_of_whole_events() {
    let (tracer, queue, _) = unsent_in(Sampler::parent_based(1.0), "100", "3");
    settled(&tracer);
    settled(&tracer);
    assert_eq!(spans(&queue).len(), 2, "two events are four spans");
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
