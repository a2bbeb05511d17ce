//! A handler that misbehaves harms nobody but itself: each way of it has a
//! named outcome, in bounded time and memory, and the next event is handled as
//! if nothing had happened.

mod support;

use std::time::{Duration, Instant};

use support::{Bench, effects, event, guest_fault, put_text, settings};
use tokio_util::sync::CancellationToken;
use wharf_core::contract::{Failure, StateChange};
use wharf_core::limits::Limits;
use wharf_core::outcome::{GuestFaultKind, Outcome};
use wharf_engine::Settings;

fn limited(change: impl FnOnce(&mut Limits)) -> Settings {
    let mut settings = settings();
    change(&mut settings.limits);
    settings
}

#[tokio::test]
async fn a_trap_is_a_fault_that_shows_where_it_happened() {
    let bench = Bench::new(settings()).await;
    let fault = guest_fault(bench.run("trap", "").await);
    assert_eq!(fault.kind, GuestFaultKind::Trap);
    assert!(fault.message.contains("unreachable"), "{}", fault.message);
    assert!(fault.backtrace.contains("adversary"), "{}", fault.backtrace);
    assert!(fault.backtrace.lines().count() <= 20);
    bench.is_unharmed().await;
}

#[tokio::test]
async fn a_panic_tells_its_message_at_the_end_of_stderr() {
    let bench = Bench::new(settings()).await;
    let fault = guest_fault(bench.run("panic", "the reason").await);
    assert_eq!(fault.kind, GuestFaultKind::Trap);
    assert!(
        fault.stderr_tail.contains("the reason"),
        "{}",
        fault.stderr_tail
    );
    bench.is_unharmed().await;
}

#[tokio::test]
async fn calling_exit_is_a_fault_of_its_own() {
    let bench = Bench::new(settings()).await;
    let fault = guest_fault(bench.run("exit", "").await);
    assert_eq!(fault.kind, GuestFaultKind::Exit);
    bench.is_unharmed().await;
}

#[tokio::test]
async fn an_overflowing_stack_is_a_trap() {
    let bench = Bench::new(settings()).await;
    let fault = guest_fault(bench.run("stack-overflow", "").await);
    assert_eq!(fault.kind, GuestFaultKind::Trap);
    bench.is_unharmed().await;
}

#[tokio::test]
async fn an_endless_loop_ends_when_its_cpu_time_is_used_up() {
    let bench = Bench::new(limited(|limits| {
        limits.cpu_time = Duration::from_millis(100);
    }))
    .await;
    let report = bench.run("loop", "").await;
    assert!(report.cpu >= Duration::from_millis(100), "{:?}", report.cpu);
    assert!(report.cpu < Duration::from_millis(400), "{:?}", report.cpu);
    let fault = guest_fault(report);
    assert_eq!(fault.kind, GuestFaultKind::CpuTime);
    assert!(
        fault.message.contains("limits.cpu_time"),
        "{}",
        fault.message
    );
    bench.is_unharmed().await;
}

#[tokio::test]
async fn other_events_are_handled_while_guests_loop_on_the_same_thread() {
    let bench = Bench::new(limited(|limits| {
        limits.cpu_time = Duration::from_millis(300);
    }))
    .await;
    let timed = async |event_type| (bench.run(event_type, "").await, Instant::now());
    let ((first, first_at), (second, second_at), (quick, quick_at)) =
        tokio::join!(timed("loop"), timed("loop"), timed("random"));
    assert_eq!(guest_fault(first).kind, GuestFaultKind::CpuTime);
    assert_eq!(guest_fault(second).kind, GuestFaultKind::CpuTime);
    assert!(matches!(quick.outcome, Outcome::Done(_)));
    assert!(
        quick_at < first_at.min(second_at),
        "it had to wait for a loop"
    );
    bench.is_unharmed().await;
}

#[tokio::test]
async fn a_sleeping_host_call_ends_with_the_wall_time_and_costs_no_cpu_time() {
    let bench = Bench::new(limited(|limits| limits.time = Duration::from_millis(150))).await;
    let report = bench.run("sleep", "60000").await;
    assert!(
        report.wall >= Duration::from_millis(150),
        "{:?}",
        report.wall
    );
    assert!(report.wall < Duration::from_secs(5), "{:?}", report.wall);
    assert!(report.cpu < Duration::from_millis(100), "{:?}", report.cpu);
    assert_eq!(guest_fault(report).kind, GuestFaultKind::WallTime);
    bench.is_unharmed().await;
}

#[tokio::test]
async fn sleeping_within_the_limit_is_allowed() {
    let bench = Bench::new(settings()).await;
    let report = bench.run("sleep", "50").await;
    assert!(
        report.wall >= Duration::from_millis(50),
        "{:?}",
        report.wall
    );
    assert_eq!(put_text(report), "survived");
}

#[tokio::test]
async fn memory_stops_growing_at_the_limit() {
    let bench = Bench::new(limited(|limits| limits.memory_bytes = 16 << 20)).await;
    let report = bench.run("grow-memory", "").await;
    assert!(report.memory_bytes <= 16 << 20, "{}", report.memory_bytes);
    let fault = guest_fault(report);
    assert_eq!(fault.kind, GuestFaultKind::Memory);
    assert!(
        fault.message.contains("limits.memory is 16777216"),
        "{}",
        fault.message
    );
    bench.is_unharmed().await;
}

#[tokio::test]
async fn a_guest_may_cope_with_memory_that_it_does_not_get() {
    let bench = Bench::new(settings()).await;
    assert_eq!(put_text(bench.run("try-memory", "").await), "coped");
}

#[tokio::test]
async fn a_hundred_megabytes_of_log_lines_are_cut_and_counted() {
    let bench = Bench::new(limited(|limits| limits.log_bytes = 64 << 10)).await;
    let report = bench.run("log-flood", (100 << 20).to_string()).await;
    assert!(report.log_bytes_cut > 99 << 20, "{}", report.log_bytes_cut);
    assert_eq!(put_text(report), "survived");
    bench.is_unharmed().await;
}

#[tokio::test]
async fn a_hundred_megabytes_on_stdout_are_cut_and_counted() {
    let bench = Bench::new(limited(|limits| limits.cpu_time = Duration::from_secs(10))).await;
    let report = bench.run("stdout-flood", (100 << 20).to_string()).await;
    assert!(report.log_bytes_cut > 99 << 20, "{}", report.log_bytes_cut);
    assert_eq!(put_text(report), "survived");
    bench.is_unharmed().await;
}

#[tokio::test]
async fn one_log_line_larger_than_any_call_may_be_is_a_trap() {
    let bench = Bench::new(settings()).await;
    let fault = guest_fault(bench.run("log-huge", (20 << 20).to_string()).await);
    assert_eq!(fault.kind, GuestFaultKind::Trap);
    bench.is_unharmed().await;
}

#[tokio::test]
async fn a_hundred_thousand_emissions_are_bad_output() {
    let bench = Bench::new(settings()).await;
    let fault = guest_fault(bench.run("emit-flood", "100000").await);
    assert_eq!(fault.kind, GuestFaultKind::BadOutput);
    bench.is_unharmed().await;
}

#[tokio::test]
async fn emissions_are_counted_to_the_one() {
    let bench = Bench::new(limited(|limits| limits.emits = 64)).await;
    assert_eq!(effects(bench.run("emit-flood", "64").await).emit.len(), 64);
    let fault = guest_fault(bench.run("emit-flood", "65").await);
    assert_eq!(fault.kind, GuestFaultKind::BadOutput);
    assert!(
        fault.message.contains("65 emissions; limits.emits is 64"),
        "{}",
        fault.message
    );
}

#[tokio::test]
async fn the_largest_allowed_effects_pass() {
    let bench = Bench::new(limited(|limits| {
        limits.emits = 1024;
        limits.emit_bytes = 1024 * 160;
    }))
    .await;
    assert_eq!(
        effects(bench.run("emit-flood", "1024").await).emit.len(),
        1024
    );
}

#[tokio::test]
async fn a_state_over_its_limit_is_bad_output() {
    let bench = Bench::new(limited(|limits| limits.state_bytes = 1000)).await;
    let state = effects(bench.run("state-flood", "1000").await).state;
    assert_eq!(state, StateChange::Put(vec![1; 1000]));
    for bytes in ["1001", "20000000"] {
        let fault = guest_fault(bench.run("state-flood", bytes).await);
        assert_eq!(fault.kind, GuestFaultKind::BadOutput, "{bytes}");
    }
    bench.is_unharmed().await;
}

#[tokio::test]
async fn handles_that_are_never_given_back_run_out() {
    let bench = Bench::new(settings()).await;
    let fault = guest_fault(bench.run("handles", "").await);
    assert_eq!(fault.kind, GuestFaultKind::Trap);
    bench.is_unharmed().await;
}

#[tokio::test]
async fn random_bytes_come_in_bounded_amounts() {
    let bench = Bench::new(settings()).await;
    assert_eq!(
        put_text(bench.run("random-flood", "65536").await),
        "survived"
    );
    let fault = guest_fault(bench.run("random-flood", "65537").await);
    assert_eq!(fault.kind, GuestFaultKind::Trap);
    bench.is_unharmed().await;
}

#[tokio::test]
async fn the_texts_of_a_failure_are_bounded() {
    let bench = Bench::new(settings()).await;
    let report = bench.run("failure-flood", "100000").await;
    let Outcome::Failed(Failure::Reject(problem)) = report.outcome else {
        panic!("not rejected: {:?}", report.outcome);
    };
    assert_eq!(problem.code, "large");
    assert_eq!(problem.message.len(), 4096);
}

#[tokio::test]
async fn a_cancelled_attempt_ends_even_in_a_loop() {
    let bench = Bench::new(limited(|limits| limits.cpu_time = Duration::from_secs(20))).await;
    for running in ["loop", "sleep"] {
        let cancel = CancellationToken::new();
        let began = Instant::now();
        let attempt = bench.cancellable(event(running), b"60000", None, cancel.clone());
        let (report, ()) = tokio::join!(attempt, async {
            assert_eq!(bench.runtime.usage().running, 1);
            cancel.cancel();
        });
        assert_eq!(report.outcome, Outcome::Cancelled, "{running}");
        assert!(began.elapsed() < Duration::from_secs(5), "{running}");
        bench.is_unharmed().await;
    }
}

#[tokio::test]
async fn attempts_beyond_the_slots_wait_and_are_not_refused() {
    let bench = Bench::new(settings()).await;
    let (a, b, c, d, e) = tokio::join!(
        bench.run("sleep", "300"),
        bench.run("sleep", "300"),
        bench.run("sleep", "300"),
        bench.run("sleep", "300"),
        bench.run("sleep", "1"),
    );
    assert!(e.waited >= Duration::from_millis(50), "{:?}", e.waited);
    for report in [a, b, c, d, e] {
        assert_eq!(put_text(report), "survived");
    }
    bench.is_unharmed().await;
}

#[tokio::test]
async fn an_attempt_can_be_cancelled_while_it_waits_for_a_slot() {
    let bench = Bench::new(settings()).await;
    let (cancel, end) = (CancellationToken::new(), CancellationToken::new());
    let hold = || bench.cancellable(event("sleep"), b"60000", None, end.clone());
    let waiting = async {
        let waits = bench.cancellable(event("random"), b"", None, cancel.clone());
        let report = waits.await;
        end.cancel();
        report
    };
    let (_, _, _, _, report, ()) = tokio::join!(hold(), hold(), hold(), hold(), waiting, async {
        assert_eq!(bench.runtime.usage().running, 4);
        cancel.cancel();
    });
    assert_eq!(report.outcome, Outcome::Cancelled);
    assert_eq!(report.wall, Duration::ZERO, "it was begun");
    bench.is_unharmed().await;
}

#[tokio::test]
async fn a_thousand_faults_leave_no_instance_behind() {
    let bench = Bench::new(settings()).await;
    for _ in 0..1000 {
        assert_eq!(
            guest_fault(bench.run("trap", "").await).kind,
            GuestFaultKind::Trap
        );
    }
    bench.is_unharmed().await;
}
