//! Collectors that are not there, that hang, and the end of a host.

use std::time::{Duration, Instant};

use wharf_demo::load::Spec;
use wharf_demo::metrics::Samples;
use wharf_demo::process::free_port;

use crate::alone;
use crate::receiver::{Receiver, Silent};
use crate::shop::{assert_balanced, neighbours, orders, place};
use crate::spans::Span;
use crate::support::{Plan, Site};

const ORDERS: u32 = 150;
/// A drain that sends its last spans; the drain's own time is a part of it.
const ENDS_WITHIN: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_absent_or_hangs_holds_up_no_order_and_is_counted() {
    let _machine = alone().await;
    let silent = Silent::start().await;
    let absent = format!("http://127.0.0.1:{}", free_port().expect("a port"));
    let (alone, samples) = shop(None).await;
    assert_eq!(dropped(&samples), 0);
    for collector in [absent, silent.url()] {
        let (took, samples) = shop(Some(&collector)).await;
        println!(
            "{took:?} with {collector}, {alone:?} without; {} dropped",
            dropped(&samples)
        );
        let reason = [("reason", "queue-full")];
        let full = samples.count("wharf_spans_dropped_total", &reason);
        assert!(full > 0, "everything waited for the collector");
        assert_eq!(samples.count("wharf_spans_exported_total", &[]), 0);
        // One wait for a collector would be a second at the least.
        assert!(
            took < 2 * alone + Duration::from_secs(5),
            "{took:?}, {alone:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_sends_what_waits_and_is_not_held_up_by_a_collector_that_hangs() {
    let _machine = alone().await;
    let receiver = Receiver::start().await;
    let mut site = site(Some(&receiver.url())).await;
    site.options
        .env
        .push(("OTEL_BSP_SCHEDULE_DELAY".into(), "3600000".into()));
    let mut host = site.host().await;
    place(&site.client().await, &order(1)).await;
    assert_balanced(&site, &[&host], 1, "").await;
    assert_eq!(receiver.spans(), [] as [Span; 0], "no batch is full");
    let ended = host.term(ENDS_WITHIN).await.expect("SIGTERM is sent");
    assert!(ended.success(), "{ended}");
    let spans = receiver.spans();
    for handler in ["order", "inventory", "payment", "notification", "audit"] {
        assert!(
            spans
                .iter()
                .any(|span| span.is_process() && span.what().0 == handler),
            "nothing of {handler} was sent"
        );
    }

    let silent = Silent::start().await;
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), silent.url());
    site.options.env.push(endpoint);
    let mut host = site.host().await;
    place(&site.client().await, &order(2)).await;
    assert_balanced(&site, &[&host], 2, "").await;
    let told = Instant::now();
    let ended = host.term(ENDS_WITHIN).await.expect("SIGTERM is sent");
    println!("ended {:?} after SIGTERM", told.elapsed());
    assert!(ended.success(), "{ended}");
    assert!(site.host_log().contains("too slow for the last spans"));
}

/// One order that can be served.
fn order(first: u32) -> Spec {
    Spec {
        first,
        stock: 50,
        ..orders(1, 1_000.0)
    }
}

/// The time that orders take as fast as they can, and what the host counted.
async fn shop(collector: Option<&str>) -> (Duration, Samples) {
    let mut site = site(collector).await;
    // Full at once, so that all ways to lose a span are gone.
    for (name, value) in [
        ("OTEL_BSP_MAX_QUEUE_SIZE", "64"),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "1000"),
    ] {
        site.options.env.push((name.into(), value.into()));
    }
    let host = site.host().await;
    let client = site.client().await;
    let began = Instant::now();
    place(&client, &orders(ORDERS, 1_000.0)).await;
    assert_balanced(&site, &[&host], ORDERS, "").await;
    let took = began.elapsed();
    (took, host.metrics().await.expect("the host answers"))
}

async fn site(collector: Option<&str>) -> Site {
    let plan = Plan::shop().modes(neighbours());
    let mut site = Site::provisioned(plan).await;
    if let Some(collector) = collector {
        let endpoint = (
            "OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(),
            collector.to_owned(),
        );
        site.options.env.push(endpoint);
    }
    site
}

fn dropped(samples: &Samples) -> u64 {
    samples.count("wharf_spans_dropped_total", &[])
}
