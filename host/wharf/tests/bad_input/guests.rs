//! Components that misbehave while they handle an event.

use std::time::{Duration, Instant};

use crate::stage::{Stage, for_rogue, keep, kept, rogue};
use crate::support::ledger::Ledger;
use crate::support::until;
use crate::{ALONE, watch};

/// What a host may take of main memory at most, whatever its guests do.
const RESIDENT_BYTES_MAX: u64 = 400 << 20;
/// `retry.guest_faults` of the handler.
const FAULTS: u64 = 2;
/// Faults at the deadline take their time, and the machine may be slow.
const PATIENCE: Duration = Duration::from_secs(120);

const LIMITS: &str = r#"
time = "5s"
cpu_time = "2s"
state_bytes = "4KiB"
"#;

/// What an event makes the guest do, and how it ends.
struct Case {
    event_type: &'static str,
    data: &'static str,
    code: &'static str,
    /// Words of the dead letter's message.
    says: &'static str,
}

const fn case(
    event_type: &'static str,
    data: &'static str,
    code: &'static str,
    says: &'static str,
) -> Case {
    Case {
        event_type,
        data,
        code,
        says,
    }
}

const CASES: &[Case] = &[
    case("trap", "", "trap", "unreachable"),
    case("panic", "the reason", "trap", "unreachable"),
    case("stack-overflow", "", "trap", "wasm trap"),
    case("exit", "", "exit", "exit"),
    case("loop", "", "cpu-time", "cpu_time"),
    case("sleep", "60000", "wall-time", "limits.time"),
    case("grow-memory", "", "memory", "memory"),
    case("log-huge", "20971520", "trap", "too much data"),
    case("handles", "", "trap", ""),
    case("emit-flood", "100000", "bad-output", "too much data"),
    case("emit-flood", "65", "bad-output", "emits"),
    case("echo", "", "bad-output", "`seen`"),
    case("state-flood", "4097", "bad-output", "state_bytes"),
    case("unavailable", "", "bad-output", "gateway"),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_a_guest_ends_dead_with_its_code_and_its_traces() {
    let _alone = ALONE.lock().await;
    let mut stage = Stage::set(&[keep(), rogue(LIMITS)]).await;
    let ledger = stage.site.ledger("rogue").await;
    let sequences = send_each_fault(&mut stage);
    let last = stage.wire.publish(&for_rogue("last", "last", "count", ""));
    let what = "every fault to be settled";
    until(what, PATIENCE, async || {
        (ledger.checkpoint().await.watermark >= last).then_some(())
    })
    .await;
    for (case, sequence) in CASES.iter().zip(sequences) {
        assert_dead_and_gone_by(&ledger, case, sequence).await;
    }
    watch::some_beats(&ledger).await;
    assert_attempts(&stage).await;
    stage.host.require_running().expect("the host is alive");
    let memory = stage.host.memory().expect("the host is alive");
    assert!(memory.resident_max_bytes < RESIDENT_BYTES_MAX, "{memory:?}");
}

/// Each fault on a key of its own, with a good event behind it. Gives the
/// sequences of the bad ones.
fn send_each_fault(stage: &mut Stage) -> Vec<u64> {
    let mut sequences = Vec::new();
    for (number, case) in CASES.iter().enumerate() {
        let key = format!("{number}-{}", case.event_type);
        let bad = for_rogue(&key, &format!("{key}-bad"), case.event_type, case.data);
        sequences.push(stage.wire.publish(&bad));
        let good = for_rogue(&key, &format!("{key}-good"), "count", "");
        stage.wire.publish(&good);
    }
    sequences
}

/// The dead letter tells all there is to know, and the event behind it took
/// effect.
async fn assert_dead_and_gone_by(ledger: &Ledger, case: &Case, sequence: u64) {
    let name = format!("{} {}", case.event_type, case.data);
    let entry = watch::parked(ledger, sequence).await;
    let says = &entry.message;
    assert_eq!(entry.code, case.code, "{name}: {says}");
    assert!(says.contains(case.says), "{name}: {says}");
    let attempts = (u64::from(entry.guest_faults), entry.transient);
    assert_eq!(attempts, (FAULTS, 0), "{name}");
    // Of the version that the good event behind it ran on, too.
    let record = ledger.record(&entry.key).await;
    let digest = record.expect("the good event was committed").digest;
    assert_eq!((entry.digest.len(), &entry.digest), (32, &digest), "{name}");
    assert!(entry.first_failure_ms > 0, "{name}");
    assert!(entry.parked_ms >= entry.first_failure_ms, "{name}");
    let backtrace = &entry.backtrace;
    assert!(
        case.code != "trap" || backtrace.contains("adversary"),
        "{name}: {backtrace}"
    );
    let stderr = &entry.stderr_tail;
    assert!(
        case.event_type != "panic" || stderr.contains(case.data),
        "{name}: {stderr}"
    );
    // In a fresh instance, whatever became of the one before.
    assert_eq!(watch::text(ledger, &entry.key).await, "1", "{name}");
}

/// Each bad event was tried as often as the manifest allows, and no more; each
/// good one once.
async fn assert_attempts(stage: &Stage) {
    let samples = watch::metrics(&stage.host).await;
    let (bad, good) = (CASES.len() as u64, CASES.len() as u64 + 1);
    let attempts = samples.count("wharf_attempts_total", &[("handler", "rogue")]);
    assert_eq!(attempts, FAULTS * bad + good);
    let dead = samples.count(
        "wharf_unsettled",
        &[("handler", "rogue"), ("state", "dead")],
    );
    assert_eq!(dead, bad);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_megabytes_of_logs_are_cut_counted_and_harm_nobody() {
    let _alone = ALONE.lock().await;
    const FLOOD: u64 = 100 << 20;
    let mut stage = Stage::set(&[keep(), rogue("cpu_time = \"20s\"\ntime = \"60s\"\n")]).await;
    let ledger = stage.site.ledger("rogue").await;
    for event_type in ["log-flood", "stdout-flood"] {
        let sequence = stage.wire.publish(&for_rogue(
            event_type,
            event_type,
            event_type,
            FLOOD.to_string(),
        ));
        until(event_type, PATIENCE, async || {
            (ledger.checkpoint().await.watermark >= sequence).then_some(())
        })
        .await;
        assert_eq!(watch::text(&ledger, event_type).await, "survived");
    }
    let samples = watch::metrics(&stage.host).await;
    let cut = samples.count("wharf_guest_log_bytes_cut_total", &[("handler", "rogue")]);
    assert!(cut > 2 * FLOOD - (1 << 20), "{cut} bytes were cut");
    let written = std::fs::metadata(&stage.site.options.log)
        .expect("the host logs")
        .len();
    assert!(written < 2 << 20, "the host's log has {written} bytes");
    let memory = stage.host.memory().expect("the host is alive");
    assert!(memory.resident_max_bytes < RESIDENT_BYTES_MAX, "{memory:?}");
}

/// Guests that sleep or spin for as long as they may, all at once.
const SLEEPERS: usize = 16;
const SPINNERS: usize = 4;
const GOOD: usize = 25;

#[tokio::test(flavor = "multi_thread")]
async fn guests_that_sleep_and_spin_delay_their_own_keys_only() {
    let _alone = ALONE.lock().await;
    let mut stage = Stage::set(&[keep(), rogue("time = \"20s\"\ncpu_time = \"8s\"\n")]).await;
    let calm = good_events(&mut stage, "calm").await;
    for nth in 0..SLEEPERS + SPINNERS {
        let event_type = if nth < SLEEPERS { "sleep" } else { "loop" };
        stage.wire.publish(&for_rogue(
            &format!("bad-{nth}"),
            &format!("bad-{nth}"),
            event_type,
            "",
        ));
    }
    until("all bad guests to be at work", PATIENCE, async || {
        (in_flight(&stage).await >= SLEEPERS + SPINNERS).then_some(())
    })
    .await;
    let busy = good_events(&mut stage, "busy").await;
    println!(
        "slowest of {GOOD} good events of both handlers: {calm:?} alone, {busy:?} beside {SLEEPERS} sleepers and {SPINNERS} spinners"
    );
    assert!(
        in_flight(&stage).await >= SLEEPERS + SPINNERS,
        "the bad guests ended before the good ones"
    );
    let samples = watch::metrics(&stage.host).await;
    assert_eq!(
        samples.count(
            "wharf_attempts_total",
            &[("handler", "rogue"), ("result", "cpu-time")]
        ),
        0
    );
    assert_eq!(
        samples.count(
            "wharf_attempts_total",
            &[("handler", "rogue"), ("result", "wall-time")]
        ),
        0
    );
}

async fn in_flight(stage: &Stage) -> usize {
    let samples = watch::metrics(&stage.host).await;
    let number = samples.count(
        "wharf_unsettled",
        &[("handler", "rogue"), ("state", "in-flight")],
    );
    usize::try_from(number).expect("a small number")
}

/// Events of other keys of the same handler, and of another handler; how long
/// the slowest took until its effect was stored.
async fn good_events(stage: &mut Stage, name: &str) -> Duration {
    let (rogue, keep) = (
        stage.site.ledger("rogue").await,
        stage.site.ledger("keep").await,
    );
    let mut slowest = Duration::ZERO;
    for nth in 0..GOOD {
        let key = format!("{name}-{nth}");
        let begun = Instant::now();
        stage.wire.publish(&for_rogue(&key, &key, "count", ""));
        stage.wire.publish(&kept(&key, &key, "1"));
        until("both good events", PATIENCE, async || {
            let both = (
                watch::text(&rogue, &key).await,
                watch::text(&keep, &key).await,
            );
            (both == ("1".into(), "1".into())).then_some(())
        })
        .await;
        slowest = slowest.max(begun.elapsed());
    }
    slowest
}
