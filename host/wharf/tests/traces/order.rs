//! One order, through all five handlers of the shop and the one beside it, as
//! one tree of spans.

use std::collections::BTreeMap;

use wharf_demo::load::Publisher;
use wharf_demo::shop::{Line, Message, Order, Placed, STREAM};
use wharf_demo::stream::Stream;

use crate::alone;
use crate::receiver::Receiver;
use crate::rotel::{self, Rotel};
use crate::spans::{Span, below, context, of_trace, process, traceparent};
use crate::support::{Plan, SOON, Site};

/// Handler and event, and what its process span is below of.
type Step = (
    &'static str,
    &'static str,
    Option<(&'static str, &'static str)>,
);

/// What happens of an order that is paid.
const STEPS: [Step; 15] = [
    ("order", "placed", None),
    ("inventory", "reserve", Some(("order", "placed"))),
    ("order", "stock-reserved", Some(("inventory", "reserve"))),
    ("payment", "charge", Some(("order", "stock-reserved"))),
    ("order", "payment-captured", Some(("payment", "charge"))),
    ("inventory", "commit", Some(("order", "payment-captured"))),
    (
        "notification",
        "confirmed",
        Some(("order", "payment-captured")),
    ),
    (
        "ledger-count",
        "confirmed",
        Some(("order", "payment-captured")),
    ),
    ("audit", "placed", None),
    ("audit", "reserve", Some(("order", "placed"))),
    ("audit", "stock-reserved", Some(("inventory", "reserve"))),
    ("audit", "charge", Some(("order", "stock-reserved"))),
    ("audit", "payment-captured", Some(("payment", "charge"))),
    ("audit", "commit", Some(("order", "payment-captured"))),
    ("audit", "confirmed", Some(("order", "payment-captured"))),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_collector_prints_the_tree_of_one_order_through_all_five_handlers() {
    let Some(program) = rotel::program() else {
        println!("SKIPPED: no rotel-agent in .tools/bin that runs here; `./just rotel` brings it");
        return;
    };
    let _machine = alone().await;
    let rotel = Rotel::start(&program).await;
    let mut site = site(&rotel.url()).await;
    soon(&mut site);
    let _host = site.host().await;
    let placed = buy(&site).await;
    let is_whole = |spans: &[Span]| is_whole(spans, &placed);
    let spans = rotel.until("all spans of the order", is_whole).await;
    assert_tree(&of_trace(&spans, &placed), &placed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn emissions_name_the_span_that_emitted_them_and_the_record_remembers_it() {
    let _machine = alone().await;
    let receiver = Receiver::start().await;
    let mut site = site(&receiver.url()).await;
    soon(&mut site);
    let resource = "service.namespace=shop,service.name=ignored";
    for (name, value) in [
        ("OTEL_RESOURCE_ATTRIBUTES", resource),
        ("OTEL_SERVICE_NAME", "wharf-test"),
    ] {
        site.options.env.push((name.into(), value.into()));
    }
    let _host = site.host().await;
    let placed = buy(&site).await;
    let is_whole = |spans: &[Span]| is_whole(spans, &placed);
    let spans = receiver.until("all spans of the order", is_whole).await;
    let spans = of_trace(&spans, &placed);
    assert_tree(&spans, &placed);

    let first = process(&spans, ("order", "placed"));
    assert_eq!(first.get("service.name"), "wharf-test");
    assert_eq!(first.get("service.namespace"), "shop");
    assert_eq!(first.get("service.version"), env!("CARGO_PKG_VERSION"));
    assert!(!first.get("service.instance.id").is_empty());

    let stored = Stream::new(site.client().await, STREAM);
    let stored = stored.read_all().await.expect("read");
    for (handler, event, parent) in STEPS.iter().filter(|(handler, ..)| *handler != "audit") {
        let Some(parent) = parent else { continue };
        let last = format!(".{event}");
        let message = stored.iter().find(|stored| stored.subject.ends_with(&last));
        let carried = message.expect("stored").header("traceparent");
        let expected = traceparent(process(&spans, *parent));
        assert_eq!(carried, Some(expected.as_str()), "{handler} {event}");
    }
    let record = site.ledger("order").await.record("ORD-1").await;
    let outbox = record.expect("a record").outbox.expect("emissions");
    let last = process(&spans, ("order", "payment-captured"));
    let flow = outbox.flow.expect("what emissions inherit");
    assert_eq!(flow.traceparent, Some(traceparent(last)));
}

async fn site(collector: &str) -> Site {
    let mut site = Site::provisioned(Plan::shop()).await;
    let endpoint = (
        "OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(),
        collector.to_owned(),
    );
    site.options.env.push(endpoint);
    site
}

/// Spans are sent at once.
fn soon(site: &mut Site) {
    let delay = ("OTEL_BSP_SCHEDULE_DELAY".to_owned(), "100".to_owned());
    site.options.env.push(delay);
}

/// Stocks one article and places an order for it. Gives the order's
/// `traceparent`.
async fn buy(site: &Site) -> String {
    let publisher = Publisher::new(site.client().await, SOON);
    let order = Order {
        id: "ORD-1".to_owned(),
        placed: Placed {
            customer: "c-1".to_owned(),
            currency: "EUR".to_owned(),
            lines: vec![Line {
                sku: "SKU-1".to_owned(),
                qty: 1,
                unit_price: 250,
            }],
        },
    };
    let placed = Message::placed(&order);
    for message in [Message::stocked("SKU-1", "first", 10), placed.clone()] {
        publisher.publish(&message).await.expect("stored");
    }
    placed.traceparent
}

fn is_whole(spans: &[Span], placed: &str) -> bool {
    let trace = of_trace(spans, placed);
    trace.iter().filter(|span| span.is_process()).count() >= STEPS.len()
}

fn assert_tree(spans: &[Span], placed: &str) {
    let publisher = format!("{:016x}", context(placed).span_id);
    let mut seen = 0;
    for (handler, event, parent) in STEPS {
        let span = process(spans, (handler, event));
        let parent = match parent {
            None => publisher.as_str(),
            Some(parent) => &process(spans, parent).id,
        };
        assert_eq!(span.parent, parent, "{handler} {event}");
        assert_process(span, handler);
        seen += 1 + assert_children(spans, span, (handler, event));
    }
    assert_eq!(seen, spans.len(), "spans that nobody expects: {spans:#?}");
}

fn assert_process(span: &Span, handler: &str) {
    let template = match handler {
        "order" | "notification" => "shop.order.{order}.",
        "inventory" => "shop.inventory.{sku}.",
        "payment" => "shop.payment.{order}.",
        "audit" => "shop.{aggregate}.{id}.>",
        _ => "shop.{aggregate}.{id}.confirmed",
    };
    let name = format!("process {template}");
    assert!(span.name.starts_with(&name), "{span:#?}");
    assert_eq!(span.error, None, "{span:#?}");
    for (key, value) in BTreeMap::from([
        ("messaging.system", "nats"),
        ("messaging.operation.type", "process"),
        ("messaging.operation.name", "process"),
        ("wharf.outcome", "committed"),
        ("wharf.attempts", "1"),
        ("wharf.handler.version", "1"),
    ]) {
        assert_eq!(span.get(key), value, "{key} of {span:#?}");
    }
    assert_eq!(span.get("wharf.lineage"), format!("{handler}-1"));
    let template = span.get("messaging.destination.template");
    assert_eq!(span.name, format!("process {template}"));
    for key in ["messaging.message.id", "wharf.key", "wharf.stream.sequence"] {
        assert!(!span.get(key).is_empty(), "{key} of {span:#?}");
    }
}

/// Gives the number of spans below.
fn assert_children(spans: &[Span], span: &Span, what: (&str, &str)) -> usize {
    let children = below(spans, span);
    let phases: Vec<&str> = children
        .iter()
        .filter(|child| !child.is_process())
        .map(|child| child.name.as_str())
        .collect();
    let expected: &[&str] = match what {
        // At least once: no record is written.
        ("notification", _) => &["invoke", "lane wait", "load", "settle"],
        ("inventory", "commit") | ("ledger-count", _) => {
            &["commit", "invoke", "lane wait", "load", "settle"]
        }
        _ => &["commit", "invoke", "lane wait", "load", "publish", "settle"],
    };
    assert_eq!(phases, expected, "{what:?}");
    let is_invoke = |child: &&&Span| child.name == "invoke";
    let invoke = children.iter().find(is_invoke).expect("looked at above");
    let calls = below(spans, invoke);
    let need = match what {
        ("payment", _) => Some("gateway"),
        ("notification", _) => Some("mail"),
        _ => None,
    };
    assert_eq!(calls.len(), usize::from(need.is_some()), "{what:?}");
    for call in &calls {
        assert_eq!((call.name.as_str(), call.kind.as_str()), ("POST", "CLIENT"));
        assert_eq!(call.get("http.request.method"), "POST");
        assert_eq!(call.get("server.address"), "127.0.0.1");
        assert_eq!(Some(call.get("wharf.need")), need);
        let status = call.get("http.response.status_code");
        assert!(status.starts_with('2'), "{call:#?}");
    }
    phases.len() + calls.len()
}
