//! Metrics that a handler declares.

use wharf_core::manifest::{LabelBound, MetricKind};

use super::*;

fn counter(labels: &[&str]) -> Metric {
    metric(MetricKind::Counter, labels)
}

fn histogram(buckets: &[f64], labels: &[&str]) -> Metric {
    metric(
        MetricKind::Histogram {
            buckets: buckets.to_vec(),
        },
        labels,
    )
}

fn metric(kind: MetricKind, labels: &[&str]) -> Metric {
    let bound = |name: &&str| ((*name).to_owned(), LabelBound::AtMost(4));
    Metric {
        kind,
        help: "What it counts".into(),
        labels: labels.iter().map(bound).collect(),
    }
}

fn declared(metrics: &[(&str, Metric)]) -> BTreeMap<String, Metric> {
    metrics
        .iter()
        .map(|(name, metric)| ((*name).to_owned(), metric.clone()))
        .collect()
}

fn pairs(labels: &[(&str, &str)]) -> Vec<(String, String)> {
    labels
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn a_declared_metric_is_exposed_under_exactly_its_declared_name() {
    let metrics = metrics();
    let shop = declared(&[
        ("orders_total", counter(&["status"])),
        ("payments", counter(&[])),
        (
            "payment_process_duration_seconds",
            histogram(&[0.1, 0.3, 1.0, 3.0], &["status"]),
        ),
    ]);
    metrics.declare("payment", &shop).unwrap();
    let handler = metrics.handler("payment");
    handler.observe("orders_total", 2.0, &pairs(&[("status", "ok")]));
    handler.observe("orders_total", 0.5, &pairs(&[("status", "ok")]));
    handler.observe("payments", 1.0, &[]);
    handler.observe(
        "payment_process_duration_seconds",
        0.2,
        &pairs(&[("status", "captured")]),
    );
    let seen = scrape(&metrics);
    assert_eq!(
        seen.value("orders_total", &[("handler", "payment"), ("status", "ok")]),
        Some(2.5)
    );
    assert_eq!(seen.family("orders").unwrap().kind, "counter");
    assert_eq!(seen.value("payments", &[("handler", "payment")]), Some(1.0));
    assert_eq!(seen.family("payments").unwrap().kind, "unknown");
    let bucket = |le| {
        let labels = [("handler", "payment"), ("status", "captured"), ("le", le)];
        seen.value("payment_process_duration_seconds_bucket", &labels)
    };
    assert_eq!(
        (bucket("0.1"), bucket("0.3"), bucket("1.0"), bucket("3.0")),
        (Some(0.0), Some(1.0), Some(1.0), Some(1.0))
    );
    assert_eq!(
        seen.value("wharf_metrics_dropped_total", &[("handler", "payment")]),
        Some(0.0)
    );
}

#[test]
fn an_observation_that_the_declaration_does_not_allow_is_dropped_and_counted() {
    let metrics = metrics();
    let own = declared(&[
        ("orders_total", counter(&["status"])),
        ("seconds", histogram(&[1.0], &[])),
    ]);
    metrics.declare("order", &own).unwrap();
    let handler = metrics.handler("order");
    let ok = pairs(&[("status", "ok")]);
    handler.observe("unknown_total", 1.0, &[]);
    handler.observe("orders_total", 1.0, &[]);
    handler.observe("orders_total", 1.0, &pairs(&[("state", "ok")]));
    handler.observe(
        "orders_total",
        1.0,
        &pairs(&[("status", "ok"), ("status", "ok")]),
    );
    for value in [-1.0, f64::NAN, f64::INFINITY] {
        handler.observe("orders_total", value, &ok);
    }
    handler.observe("seconds", f64::NEG_INFINITY, &[]);
    let seen = scrape(&metrics);
    assert_eq!(
        seen.value("wharf_metrics_dropped_total", &[("handler", "order")]),
        Some(8.0)
    );
    assert!(seen.family("orders").unwrap().samples.is_empty());
}

#[test]
fn two_handlers_share_a_name_of_one_shape_and_not_of_two() {
    let metrics = metrics();
    metrics
        .declare(
            "order",
            &declared(&[("seconds", histogram(&[1.0], &["kind"]))]),
        )
        .unwrap();
    metrics
        .declare(
            "audit",
            &declared(&[("seconds", histogram(&[1.0], &["kind"]))]),
        )
        .unwrap();
    for handler in ["order", "audit"] {
        metrics
            .handler(handler)
            .observe("seconds", 0.5, &pairs(&[("kind", "a")]));
        let labels = [("handler", handler), ("kind", "a")];
        assert_eq!(scrape(&metrics).value("seconds_count", &labels), Some(1.0));
    }
    for other in [
        histogram(&[1.0, 2.0], &["kind"]),
        histogram(&[1.0], &[]),
        counter(&["kind"]),
    ] {
        let refused = metrics
            .declare("payment", &declared(&[("seconds", other)]))
            .unwrap_err();
        assert!(
            matches!(&refused, Error::MetricShape { metric, other } if metric == "seconds" && other == "audit, order")
        );
    }
}

#[test]
fn names_of_the_host_and_names_that_expose_the_same_samples_are_refused() {
    let metrics = metrics();
    for name in ["wharf_events_total", "wharf_mine", "process_open_fds"] {
        let refused = metrics
            .declare("order", &declared(&[(name, counter(&[]))]))
            .unwrap_err();
        assert!(
            matches!(refused, Error::MetricReserved { .. }),
            "{name}: {refused}"
        );
    }
    for (one, other) in [
        (("orders_total", counter(&[])), ("orders", counter(&[]))),
        (
            ("orders", histogram(&[1.0], &[])),
            ("orders_total", counter(&[])),
        ),
        (
            ("orders", histogram(&[1.0], &[])),
            ("orders_count", counter(&[])),
        ),
        (
            ("orders_sum", counter(&[])),
            ("orders", histogram(&[1.0], &[])),
        ),
    ] {
        let refused = metrics
            .declare("order", &declared(&[one.clone(), other.clone()]))
            .unwrap_err();
        assert!(matches!(refused, Error::MetricOverlap { .. }), "{refused}");
        metrics.declare("order", &declared(&[one])).unwrap();
        let refused = metrics.declare("audit", &declared(&[other])).unwrap_err();
        assert!(matches!(refused, Error::MetricOverlap { .. }), "{refused}");
        metrics.declare("order", &BTreeMap::new()).unwrap();
    }
}

#[test]
fn a_refused_declaration_changes_nothing() {
    let metrics = metrics();
    metrics
        .declare("order", &declared(&[("orders_total", counter(&[]))]))
        .unwrap();
    metrics.handler("order").observe("orders_total", 1.0, &[]);
    let bad = declared(&[("another_total", counter(&[])), ("wharf_x", counter(&[]))]);
    assert!(metrics.declare("order", &bad).is_err());
    metrics.handler("order").observe("orders_total", 1.0, &[]);
    let seen = scrape(&metrics);
    assert_eq!(
        seen.value("orders_total", &[("handler", "order")]),
        Some(2.0)
    );
    assert!(seen.family("another").is_none());
}

#[test]
fn a_new_version_goes_on_counting_what_it_declares_alike_and_forgets_the_rest() {
    let metrics = metrics();
    let first = [
        ("orders_total", counter(&[])),
        ("old_total", counter(&[])),
        ("seconds", histogram(&[1.0], &[])),
    ];
    metrics.declare("order", &declared(&first)).unwrap();
    let handler = metrics.handler("order");
    for name in ["orders_total", "old_total", "seconds"] {
        handler.observe(name, 1.0, &[]);
    }
    let second = [
        ("orders_total", counter(&[])),
        ("seconds", histogram(&[5.0], &[])),
    ];
    metrics.declare("order", &declared(&second)).unwrap();
    handler.observe("orders_total", 1.0, &[]);
    handler.observe("old_total", 1.0, &[]);
    let seen = scrape(&metrics);
    assert_eq!(
        seen.value("orders_total", &[("handler", "order")]),
        Some(2.0)
    );
    assert!(seen.family("old").is_none());
    assert!(
        seen.family("seconds").unwrap().samples.is_empty(),
        "other buckets begin again"
    );
    assert_eq!(
        seen.value("wharf_metrics_dropped_total", &[("handler", "order")]),
        Some(1.0)
    );
}

#[test]
fn no_text_of_a_handler_breaks_the_exposition() {
    let metrics = metrics();
    let mut evil = counter(&["x"]);
    evil.help = "a\nwharf_events_total 9\n# EOF\n \\ \"".into();
    metrics
        .declare("order", &declared(&[("evil_total", evil)]))
        .unwrap();
    let value = "\"} 1\nwharf_events_total{handler=\"a\\";
    metrics
        .handler("order")
        .observe("evil_total", 1.0, &pairs(&[("x", value)]));
    let seen = scrape(&metrics);
    assert_eq!(
        seen.value("evil_total", &[("handler", "order"), ("x", value)]),
        Some(1.0)
    );
    assert_eq!(
        seen.family("evil").unwrap().help,
        "a\nwharf_events_total 9\n# EOF\n \\ \""
    );
}

#[test]
fn the_series_of_one_metric_are_bounded() {
    let metrics = metrics();
    metrics
        .declare("order", &declared(&[("orders_total", counter(&["x"]))]))
        .unwrap();
    let handler = metrics.handler("order");
    for n in 0..guest::SERIES_MAX + 3 {
        handler.observe("orders_total", 1.0, &pairs(&[("x", &n.to_string())]));
    }
    handler.observe("orders_total", 1.0, &pairs(&[("x", "0")]));
    let seen = scrape(&metrics);
    assert_eq!(
        seen.family("orders").unwrap().samples.len(),
        guest::SERIES_MAX
    );
    assert_eq!(
        seen.value("orders_total", &[("handler", "order"), ("x", "0")]),
        Some(2.0)
    );
    assert_eq!(
        seen.value("wharf_metrics_dropped_total", &[("handler", "order")]),
        Some(3.0)
    );
}
