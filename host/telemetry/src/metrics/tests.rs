mod declared;
mod document;
mod exposition;

use std::time::Duration;

use exposition::Exposition;
use wharf_core::outcome::{CallResult, GuestFault, GuestFaultKind, Outcome};

use super::*;

const MS: Duration = Duration::from_millis(1);

fn metrics() -> Metrics {
    Metrics::new("1.2.3", &Dropped::default())
}

fn scrape(metrics: &Metrics) -> Exposition {
    Exposition::parse(&metrics.encode()).expect("every scrape parses")
}

#[test]
fn every_definition_is_exposed_with_its_type_its_help_and_exactly_its_labels() {
    let metrics = metrics();
    metrics.handler("order").partition(0);
    metrics.need("gateway");
    metrics.spans();
    let seen = scrape(&metrics);
    for definition in HOST {
        let family = seen
            .family(definition.family())
            .unwrap_or_else(|| panic!("{definition:?} is not exposed"));
        assert_eq!(family.kind, definition.kind.name(), "{definition:?}");
        assert_eq!(family.help, format!("{}.", definition.help));
        assert!(!family.samples.is_empty(), "{definition:?} has no sample");
        for sample in &family.samples {
            let labels: Vec<&str> = sample
                .labels
                .keys()
                .map(String::as_str)
                .filter(|label| *label != "le")
                .collect();
            let mut expected = definition.labels.to_vec();
            expected.sort_unstable();
            assert_eq!(labels, expected, "{definition:?}");
        }
    }
    let known: Vec<&str> = HOST.iter().map(Definition::family).collect();
    let unknown: Vec<&String> = seen
        .names()
        .filter(|name| !known.contains(&name.as_str()))
        .collect();
    assert!(unknown.is_empty(), "exposed and not defined: {unknown:?}");
}

#[test]
fn the_hosts_names_have_the_prefixes_that_no_handler_may_use() {
    for definition in HOST {
        assert!(
            catalog::PREFIXES
                .iter()
                .any(|prefix| definition.name.starts_with(prefix)),
            "{definition:?}"
        );
        assert!(!definition.help.ends_with('.'), "{definition:?}");
    }
}

#[test]
fn a_handler_counts_what_it_is_told_under_its_own_label() {
    let metrics = metrics();
    let order = metrics.handler("order");
    metrics.handler("audit").event(EventOutcome::Committed, MS);
    order.event(EventOutcome::Committed, MS);
    order.event(EventOutcome::Committed, 2 * MS);
    order.event(EventOutcome::Released, MS);
    order.attempt(AttemptResult::Done, MS);
    order.attempt(AttemptResult::GuestFault(GuestFaultKind::CpuTime), MS);
    order.instance_started();
    order.commit(MS);
    order.commit_conflict();
    order.published(3, MS);
    order.source_lost(7);
    order.ids_evicted_early(2);
    order.reader_reopened(ReopenReason::Gap);
    order.log_bytes_cut(100);
    order.metrics_dropped(4);
    order.set_lag(12);
    let seen = scrape(&metrics);
    let of = |name: &str, labels: &[(&str, &str)]| {
        let labels: Vec<(&str, &str)> = [("handler", "order")]
            .iter()
            .chain(labels)
            .copied()
            .collect();
        seen.value(name, &labels)
    };
    for (name, labels, expected) in [
        ("wharf_events_total", vec![("outcome", "committed")], 2.0),
        ("wharf_events_total", vec![("outcome", "released")], 1.0),
        ("wharf_events_total", vec![("outcome", "dead")], 0.0),
        ("wharf_event_duration_seconds_count", vec![], 2.0),
        ("wharf_attempts_total", vec![("result", "done")], 1.0),
        ("wharf_attempts_total", vec![("result", "cpu-time")], 1.0),
        ("wharf_attempt_duration_seconds_count", vec![], 2.0),
        ("wharf_instances_started_total", vec![], 1.0),
        ("wharf_commit_duration_seconds_count", vec![], 1.0),
        ("wharf_commit_conflicts_total", vec![], 1.0),
        ("wharf_emissions_total", vec![], 3.0),
        ("wharf_publish_duration_seconds_count", vec![], 1.0),
        ("wharf_source_lost_events_total", vec![], 7.0),
        ("wharf_ids_evicted_early_total", vec![], 2.0),
        ("wharf_reader_reopened_total", vec![("reason", "gap")], 1.0),
        ("wharf_guest_log_bytes_cut_total", vec![], 100.0),
        ("wharf_metrics_dropped_total", vec![], 4.0),
        ("wharf_lag_events", vec![], 12.0),
    ] {
        assert_eq!(of(name, &labels), Some(expected), "{name} {labels:?}");
    }
}

#[test]
fn durations_are_in_seconds_and_fall_into_their_buckets() {
    let metrics = metrics();
    metrics
        .handler("order")
        .attempt(AttemptResult::Done, Duration::from_millis(30));
    let seen = scrape(&metrics);
    let bucket = |le| {
        seen.value(
            "wharf_attempt_duration_seconds_bucket",
            &[("handler", "order"), ("le", le)],
        )
    };
    assert_eq!(
        (bucket("0.025"), bucket("0.05"), bucket("+Inf")),
        (Some(0.0), Some(1.0), Some(1.0))
    );
    assert_eq!(
        seen.value(
            "wharf_attempt_duration_seconds_sum",
            &[("handler", "order")]
        ),
        Some(0.03)
    );
}

#[test]
fn an_event_that_does_not_move_is_in_exactly_one_gauge_until_it_is_settled() {
    let metrics = metrics();
    let handler = metrics.handler("order");
    let counted = || {
        let seen = scrape(&metrics);
        let of = |state: &&str| {
            seen.value("wharf_unsettled", &[("handler", "order"), ("state", state)]) == Some(1.0)
        };
        let states = [
            "in-flight",
            "held",
            "queued",
            "retrying",
            "waiting-need",
            "not-ready",
            "dead",
            "outbox-blocked",
            "paused",
        ];
        let total = seen.sum("wharf_unsettled");
        (
            states
                .into_iter()
                .filter(|state| of(state))
                .collect::<Vec<_>>(),
            total,
        )
    };
    let mut event = handler.unsettled(UnsettledState::Held);
    assert_eq!(counted(), (vec!["held"], 1.0));
    for (state, name) in [
        (UnsettledState::InFlight, "in-flight"),
        (UnsettledState::Retrying, "retrying"),
        (UnsettledState::WaitingNeed, "waiting-need"),
        (UnsettledState::NotReady, "not-ready"),
        (UnsettledState::Queued, "queued"),
        (UnsettledState::Dead, "dead"),
        (UnsettledState::OutboxBlocked, "outbox-blocked"),
        (UnsettledState::Paused, "paused"),
    ] {
        event.set(state);
        assert_eq!(counted(), (vec![name], 1.0));
        assert_eq!(event.state(), state);
    }
    drop(event);
    assert_eq!(counted(), (vec![], 0.0));
}

#[test]
fn what_only_the_records_tell_of_is_added_to_what_lanes_hold() {
    let metrics = metrics();
    let handler = metrics.handler("order");
    let dead = || {
        scrape(&metrics).value(
            "wharf_unsettled",
            &[("handler", "order"), ("state", "dead")],
        )
    };
    let event = handler.unsettled(UnsettledState::Dead);
    handler.set_stored(UnsettledState::Dead, 5);
    assert_eq!(dead(), Some(6.0));
    handler.add_stored(UnsettledState::Dead, 2);
    handler.set_stored(UnsettledState::Dead, 3);
    drop(event);
    assert_eq!(dead(), Some(3.0));
}

#[test]
fn every_outcome_of_an_attempt_counts_as_one_result() {
    let fault = |kind| {
        let (message, backtrace, stderr_tail) = (String::new(), String::new(), String::new());
        Outcome::GuestFault(GuestFault {
            kind,
            message,
            backtrace,
            stderr_tail,
        })
    };
    let metrics = metrics();
    let handler = metrics.handler("order");
    handler.attempt(AttemptResult::of(&Outcome::Cancelled), MS);
    handler.attempt(AttemptResult::of(&fault(GuestFaultKind::Migration)), MS);
    let seen = scrape(&metrics);
    for result in ["cancelled", "migration"] {
        assert_eq!(
            seen.value(
                "wharf_attempts_total",
                &[("handler", "order"), ("result", result)]
            ),
            Some(1.0)
        );
    }
    assert_eq!(
        Some(seen.sum("wharf_attempts_total")),
        Some(2.0),
        "and nothing besides"
    );
}

#[test]
fn a_need_counts_calls_by_result_and_leaves_the_status_out() {
    let metrics = metrics();
    let need = metrics.need("gateway");
    for status in [500, 503, 429] {
        need.call(CallResult::FailureStatus(status), MS);
    }
    need.call(CallResult::NotSent, MS);
    let seen = scrape(&metrics);
    let calls = |result| {
        seen.value(
            "wharf_need_calls_total",
            &[("need", "gateway"), ("result", result)],
        )
    };
    assert_eq!(
        (
            calls("failure-status"),
            calls("not-sent"),
            calls("answered")
        ),
        (Some(3.0), Some(1.0), Some(0.0))
    );
    assert_eq!(
        seen.value(
            "wharf_need_call_duration_seconds_count",
            &[("need", "gateway")]
        ),
        Some(4.0)
    );
}

#[test]
fn ownership_and_watermark_belong_to_a_partition() {
    let metrics = metrics();
    let partition = metrics.handler("order").partition(3);
    partition.owned();
    partition.set_watermark(77);
    let labels = [("handler", "order"), ("partition", "3")];
    let seen = scrape(&metrics);
    assert_eq!(seen.value("wharf_owner", &labels), Some(1.0));
    assert_eq!(seen.value("wharf_watermark", &labels), Some(77.0));
    partition.released();
    assert_eq!(scrape(&metrics).value("wharf_owner", &labels), Some(0.0));
}

#[test]
fn the_host_tells_its_build_its_instances_and_the_log_lines_it_dropped() {
    let dropped = Dropped::default();
    let metrics = Metrics::new("1.2.3", &dropped);
    metrics.set_instances(3, 100);
    dropped.0.inc_by(9);
    let seen = scrape(&metrics);
    assert_eq!(
        seen.value("wharf_build_info", &[("version", "1.2.3")]),
        Some(1.0)
    );
    assert_eq!(seen.value("wharf_instances", &[]), Some(3.0));
    assert_eq!(seen.value("wharf_instances_max", &[]), Some(100.0));
    assert_eq!(seen.value("wharf_log_lines_dropped_total", &[]), Some(9.0));
}
