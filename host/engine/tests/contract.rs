//! What the contract promises to a handler that behaves.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use support::{Bench, effects, event, guest_fault, plain, put_text, settings};
use wharf_core::contract::{Due, Failure, StateChange, TimerChange};
use wharf_core::manifest::{InstancePolicy, LabelBound, Metric, MetricKind};
use wharf_core::outcome::{GuestFaultKind, Outcome};
use wharf_engine::{Observation, State};

fn state(bytes: &[u8], version: u32) -> Option<State<'_>> {
    Some(State { bytes, version })
}

#[tokio::test]
async fn everything_of_an_event_goes_in_and_every_effect_comes_out() {
    let bench = Bench::new(settings()).await;
    let report = bench
        .attempt(event("echo"), b"the data", state(b"before", 1))
        .await;
    assert!(report.wall >= report.cpu);
    assert!(report.memory_bytes > 0);
    let effects = effects(report);
    let emission = &effects.emit[0];
    let seen = String::from_utf8(emission.data.clone()).expect("text");
    assert_eq!(
        seen,
        "evt-1 web ORD-1 7 2 false flow-1 [(\"partner\", \"acme\")]"
    );
    assert_eq!(emission.key.as_deref(), Some("ORD-1"));
    assert_eq!(emission.content_type.as_deref(), Some("text/plain"));
    assert_eq!(
        emission.attributes,
        [("partner".to_owned(), "x".to_owned())]
    );
    assert_eq!(effects.state, StateChange::Put(b"before".to_vec()));
    let [TimerChange::Set(timer), TimerChange::Cancel(cancelled)] = &effects.timers[..] else {
        panic!("other timers: {:?}", effects.timers);
    };
    assert_eq!(
        (timer.name.as_str(), timer.due),
        ("later", Due::AfterMs(1000))
    );
    assert_eq!(
        (timer.data.as_slice(), cancelled.as_str()),
        (b"the data".as_slice(), "earlier")
    );
}

#[tokio::test]
async fn an_entity_without_state_gets_none() {
    let bench = Bench::new(settings()).await;
    assert_eq!(
        effects(bench.run("echo", "").await).state,
        StateChange::Delete
    );
}

#[tokio::test]
async fn each_failure_of_a_handler_comes_out_as_itself() {
    let bench = Bench::new(settings()).await;
    let failure = |report: wharf_engine::Report| match report.outcome {
        Outcome::Failed(failure) => failure,
        other => panic!("no failure: {other:?}"),
    };
    let Failure::Retry(retry) = failure(bench.run("retry", "why").await) else {
        panic!()
    };
    assert_eq!(
        (&*retry.code, &*retry.message, retry.after_ms),
        ("try-again", "why", Some(5))
    );
    assert!(
        matches!(failure(bench.run("reject", "").await), Failure::Reject(p) if p.code == "never")
    );
    assert!(matches!(
        failure(bench.run("not-ready", "").await),
        Failure::NotReady(_)
    ));
    assert!(
        matches!(failure(bench.run("bad-code", "").await), Failure::Retry(p) if p.code == "other")
    );
    let Failure::Unavailable(outage) = failure(bench.run("unavailable", "down").await) else {
        panic!()
    };
    assert_eq!(
        (&*outage.need, &*outage.message, outage.after_ms),
        ("gateway", "down", Some(7))
    );
}

#[tokio::test]
async fn the_wall_clock_stands_at_now_ms_for_the_whole_attempt() {
    let bench = Bench::new(settings()).await;
    assert_eq!(
        put_text(bench.run("clock", "").await),
        "1700000001234 1700000001234"
    );
}

#[tokio::test]
async fn random_numbers_are_the_same_in_every_try_of_an_event_and_in_no_other() {
    let bench = Bench::new(settings()).await;
    let first = put_text(bench.run("random", "").await);
    assert_eq!(first, put_text(bench.run("random", "").await));
    let mut other = event("random");
    other.idempotency_key = "fedcba9876543210fedcba9876543210".into();
    assert_ne!(first, put_text(bench.attempt(other, b"", None).await));
}

#[tokio::test]
async fn config_answers_what_was_declared_and_nothing_else() {
    let mut settings = settings();
    settings.config = BTreeMap::from([("currency".to_owned(), "EUR".to_owned())]);
    let bench = Bench::new(settings).await;
    assert_eq!(
        put_text(bench.run("config", "currency").await),
        r#"Some("EUR")"#
    );
    assert_eq!(put_text(bench.run("config", "PATH").await), "None");
}

#[tokio::test]
async fn declared_metrics_come_with_the_report() {
    let mut settings = settings();
    let metric = |kind, labels| Metric {
        kind,
        help: String::new(),
        labels,
    };
    let kinds = BTreeMap::from([("kind".to_owned(), LabelBound::Values(vec!["a".to_owned()]))]);
    let buckets = MetricKind::Histogram { buckets: vec![1.0] };
    settings.metrics = BTreeMap::from([
        (
            "events_total".to_owned(),
            metric(MetricKind::Counter, kinds),
        ),
        (
            "duration_seconds".to_owned(),
            metric(buckets, BTreeMap::new()),
        ),
    ]);
    let report = Bench::new(settings).await.run("measure", "").await;
    let kind = ("kind".to_owned(), "a".to_owned());
    let expected = [
        Observation {
            metric: "events_total".into(),
            value: 2.0,
            labels: vec![kind],
        },
        Observation {
            metric: "duration_seconds".into(),
            value: 0.5,
            labels: Vec::new(),
        },
    ];
    assert_eq!(report.observations, expected);
    assert_eq!(report.observations_dropped, 1);
}

#[tokio::test]
async fn older_state_is_migrated_before_it_is_handled() {
    let mut settings = settings();
    settings.state_version = 3;
    let bench = Bench::new(settings).await;
    assert!(bench.component.has_migration());
    let migrated = bench.attempt(event("echo"), b"", state(b"old", 1)).await;
    assert_eq!(effects(migrated).state, StateChange::Put(b"1:old".to_vec()));
    let current = bench.attempt(event("echo"), b"", state(b"new", 3)).await;
    assert_eq!(effects(current).state, StateChange::Put(b"new".to_vec()));
}

#[tokio::test]
async fn state_that_cannot_be_migrated_is_a_fault_that_says_why() {
    let mut two = settings();
    two.state_version = 2;
    let bench = Bench::new(two.clone()).await;
    for (bytes, version, reason) in [
        (b"refuse".as_slice(), 1, "this shape is not known"),
        (b"trap", 1, "unreachable"),
        (b"x", 3, "under state.version 3, and this component knows 2"),
    ] {
        let fault = guest_fault(
            bench
                .attempt(event("echo"), b"", state(bytes, version))
                .await,
        );
        assert_eq!(fault.kind, GuestFaultKind::Migration);
        assert!(fault.message.contains(reason), "{}", fault.message);
    }
    let without = Bench::with(plain(), two).await.expect("loads");
    assert!(!without.component.has_migration());
    let fault = guest_fault(without.attempt(event("echo"), b"", state(b"x", 1)).await);
    assert_eq!(fault.kind, GuestFaultKind::Migration);
    assert!(
        fault.message.contains("does not export `migration`"),
        "{}",
        fault.message
    );
}

#[tokio::test]
async fn a_fresh_instance_remembers_nothing() {
    let bench = Bench::new(settings()).await;
    for _ in 0..3 {
        assert_eq!(put_text(bench.run("count", "").await), "1");
    }
}

#[tokio::test]
async fn a_reused_instance_remembers_until_it_fails() {
    let mut settings = settings();
    settings.instance = InstancePolicy::Reuse;
    let bench = Bench::new(settings).await;
    for expected in ["1", "2", "3"] {
        assert_eq!(put_text(bench.run("count", "").await), expected);
    }
    assert_eq!(bench.runtime.usage().warm, 1);
    guest_fault(bench.run("trap", "").await);
    assert_eq!(bench.runtime.usage().warm, 0);
    assert_eq!(put_text(bench.run("count", "").await), "1");
}

#[tokio::test]
async fn each_event_on_a_reused_instance_has_its_own_clock_limits_and_logs() {
    let mut settings = settings();
    settings.instance = InstancePolicy::Reuse;
    settings.limits.log_bytes = 1000;
    let bench = Bench::new(settings).await;
    assert!(bench.run("log-flood", "1000000").await.log_bytes_cut > 900_000);
    assert_eq!(bench.run("log", "short").await.log_bytes_cut, 0);
    assert_eq!(
        put_text(bench.run("clock", "").await),
        "1700000001234 1700000001234"
    );
    let mut later = event("clock");
    later.now_ms += 5;
    let report = bench.attempt(later, b"", None).await;
    assert_eq!(put_text(report), "1700000001239 1700000001239");
    assert_eq!(bench.runtime.usage().warm, 1);
}

#[tokio::test]
async fn reuse_never_makes_an_event_wait() {
    let mut settings = settings();
    settings.instance = InstancePolicy::Reuse;
    let bench = Arc::new(Bench::new(settings).await);
    let sleep = || bench.run("sleep", "30");
    let reports = tokio::join!(sleep(), sleep(), sleep(), sleep());
    for report in [reports.0, reports.1, reports.2, reports.3] {
        assert_eq!(put_text(report), "survived");
    }
    // Two of the four may wait for another event; the others are gone.
    assert_eq!(bench.runtime.usage().warm, 2);
    bench.is_unharmed().await;
}
