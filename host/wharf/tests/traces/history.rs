//! Events that do not go straight: dead, later, and across a crash.

use async_nats::jetstream;

use crate::alone;
use crate::probe::Probe;
use crate::receiver::Receiver;
use crate::spans::{Span, below, context, process, traceparent};
use crate::support::{SOON, until};

/// What the probe's events carry.
const BROUGHT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_is_an_error_and_a_timer_goes_on_in_the_trace_that_set_it() {
    let _machine = alone().await;
    let receiver = Receiver::start().await;
    let probe = probe(&receiver).await;
    let _host = probe.site.host().await;
    probe.send("a", "reject", "no").await;
    probe.send("b", "arm", "50 rang").await;
    probe.until_told("b", &["rang"]).await;
    let told = |spans: &[Span]| spans.iter().filter(|s| s.is_process()).count() == 3;
    let spans = receiver.until("three events", told).await;

    let dead = process(&spans, ("probe", "reject"));
    assert_eq!(dead.error.as_deref(), Some("told-to"));
    assert_eq!(dead.get("wharf.outcome"), "dead");
    assert_eq!(dead.get("error.type"), "told-to");
    let names: Vec<&str> = below(&spans, dead)
        .iter()
        .map(|s| s.name.as_str())
        .collect();
    let expected = ["commit", "invoke", "lane wait", "load", "park", "settle"];
    assert_eq!(names, expected);
    let attempt = below(&spans, dead)[1];
    assert_eq!(attempt.error.as_deref(), Some("told-to"));
    assert_eq!(attempt.get("wharf.result"), "reject");

    let set = process(&spans, ("probe", "arm"));
    let timer = spans
        .iter()
        .find(|span| span.name == "process wharf.timer.tick");
    let timer = timer.expect("the timer's span");
    assert_eq!((&timer.trace, &timer.parent), (&set.trace, &set.id));
    assert_eq!(set.parent, format!("{:016x}", context(BROUGHT).span_id));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emission_that_a_crash_held_up_still_names_the_span_that_emitted_it() {
    let _machine = alone().await;
    let receiver = Receiver::start().await;
    let probe = probe(&receiver).await;
    let jetstream = jetstream::new(probe.site.client().await);
    let mut host = probe.site.host().await;
    fill(&jetstream).await;
    probe.send("k", "note", "told late").await;
    let held = until("the commit", SOON, || async {
        let record = probe.ledger.record("k").await?;
        record.outbox?.flow?.traceparent
    })
    .await;
    host.kill().await.expect("SIGKILL is sent");
    let noted = jetstream.get_stream("NOTED").await.expect("the stream");
    noted.purge().await.expect("purged");
    let _next = probe.site.host().await;
    probe.until_told("k", &["told late"]).await;

    let stored = probe.noted.read_matching("noted.k").await.expect("read");
    assert_eq!(stored[0].header("traceparent"), Some(held.as_str()));
    assert_eq!(context(&held).trace_id, context(BROUGHT).trace_id);
    assert_ne!(held, BROUGHT, "the span is the handler's own");
    // The next host reads the event again; its span is another one.
    let again = |spans: &[Span]| spans.iter().any(Span::is_process);
    let spans = receiver.until("the event read again", again).await;
    let again = process(&spans, ("probe", "note"));
    assert_eq!(again.get("wharf.outcome"), "duplicate");
    assert_ne!(traceparent(again), held);
}

async fn probe(receiver: &Receiver) -> Probe {
    let mut probe = Probe::set("lease = \"3s\"").await;
    probe.site.options.env.extend([
        ("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), receiver.url()),
        ("OTEL_BSP_SCHEDULE_DELAY".to_owned(), "100".to_owned()),
    ]);
    probe
}

/// Leaves no room in the stream of what is told, not even for a few bytes.
async fn fill(jetstream: &jetstream::Context) {
    for bytes in [100_000, 10_000, 1_000, 100, 1] {
        loop {
            let filler = vec![b'.'; bytes].into();
            let sent = jetstream.publish("noted.filler", filler).await;
            if sent.expect("sent").await.is_err() {
                break;
            }
        }
    }
}
