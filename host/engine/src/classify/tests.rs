use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, Error, InstanceAllocationStrategy, PoolingAllocationConfig, Store};

use super::*;

fn classified(ended: Ended, refused: Option<Refused>) -> Outcome {
    let limits = Limits::default();
    let mut journal = Journal::new(None, 0);
    journal.print(crate::journal::Source::Stderr, b"last words\n");
    classify(
        ended,
        &Evidence {
            limits: &limits,
            refused,
            journal: &journal,
        },
    )
}

fn stopped(step: Step, error: impl Into<Error>) -> Ended {
    Ended::Stopped {
        step,
        error: error.into(),
    }
}

fn guest_kind(outcome: Outcome) -> GuestFaultKind {
    match outcome {
        Outcome::GuestFault(fault) => {
            assert_eq!(fault.stderr_tail, "last words");
            fault.kind
        }
        other => panic!("no guest fault: {other:?}"),
    }
}

fn host_kind(outcome: Outcome) -> HostFaultKind {
    match outcome {
        Outcome::HostFault(fault) => fault.kind,
        other => panic!("no host fault: {other:?}"),
    }
}

/// What a pool of one says to the second.
fn pool_is_full() -> Error {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(1)
        .total_core_instances(1)
        .total_memories(1);
    pool.total_tables(1).total_stacks(1);
    let mut config = Config::new();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    let engine = Engine::new(&config).expect("a pool of one");
    let empty = wat::parse_str("(component)").expect("well-formed");
    let component = Component::from_binary(&engine, &empty).expect("the empty component");
    let linker = Linker::new(&engine);
    let mut first = Store::new(&engine, ());
    linker
        .instantiate(&mut first, &component)
        .expect("room for one");
    let second = linker.instantiate(&mut Store::new(&engine, ()), &component);
    second.expect_err("no room for two")
}

#[test]
fn what_a_guest_does_in_its_call_is_its_own_fault() {
    let refused = Some(Refused::MemoryBytes(99));
    for (ended, refused, expected) in [
        (
            stopped(Step::Handle, Trap::UnreachableCodeReached),
            None,
            GuestFaultKind::Trap,
        ),
        (
            stopped(Step::Handle, Trap::StackOverflow),
            None,
            GuestFaultKind::Trap,
        ),
        (
            stopped(Step::Start, Trap::MemoryOutOfBounds),
            None,
            GuestFaultKind::Trap,
        ),
        (
            stopped(Step::Handle, I32Exit(0)),
            None,
            GuestFaultKind::Exit,
        ),
        (
            stopped(Step::Handle, I32Exit(1)),
            refused,
            GuestFaultKind::Exit,
        ),
        (
            stopped(Step::Handle, CpuTimeUsedUp),
            None,
            GuestFaultKind::CpuTime,
        ),
        (
            stopped(Step::Start, CpuTimeUsedUp),
            refused,
            GuestFaultKind::CpuTime,
        ),
        (
            stopped(Step::Handle, Trap::UnreachableCodeReached),
            refused,
            GuestFaultKind::Memory,
        ),
        (
            stopped(Step::Start, Error::msg("too large")),
            refused,
            GuestFaultKind::Memory,
        ),
        (
            stopped(Step::Handle, Error::msg("not UTF-8")),
            None,
            GuestFaultKind::BadOutput,
        ),
        (
            stopped(Step::Migrate, Trap::UnreachableCodeReached),
            None,
            GuestFaultKind::Migration,
        ),
        (
            stopped(Step::Migrate, Error::msg("not UTF-8")),
            None,
            GuestFaultKind::Migration,
        ),
        (Ended::WallTime, None, GuestFaultKind::WallTime),
        (
            Ended::StateTooNew { stored: 2, ours: 1 },
            None,
            GuestFaultKind::Migration,
        ),
        (
            Ended::NoMigration { stored: 1, ours: 2 },
            None,
            GuestFaultKind::Migration,
        ),
    ] {
        let shown = format!("{ended:?}");
        assert_eq!(guest_kind(classified(ended, refused)), expected, "{shown}");
    }
}

#[test]
fn what_only_the_host_can_cause_is_no_fault_of_the_guest() {
    let no_memory = || io::Error::from(io::ErrorKind::OutOfMemory);
    for (ended, expected) in [
        (
            stopped(Step::Start, pool_is_full()),
            HostFaultKind::PoolFull,
        ),
        (
            stopped(Step::Handle, pool_is_full()),
            HostFaultKind::PoolFull,
        ),
        (stopped(Step::Handle, no_memory()), HostFaultKind::Engine),
        (
            stopped(Step::Start, Error::msg("anything else")),
            HostFaultKind::Engine,
        ),
    ] {
        let shown = format!("{ended:?}");
        assert_eq!(host_kind(classified(ended, None)), expected, "{shown}");
    }
}

#[test]
fn a_cause_is_found_below_what_was_said_about_it() {
    let error = Error::from(I32Exit(2))
        .context("while handling")
        .context("outermost");
    let ended = Ended::Stopped {
        step: Step::Handle,
        error,
    };
    assert_eq!(guest_kind(classified(ended, None)), GuestFaultKind::Exit);
}

#[test]
fn answers_and_cancellations_are_what_they_are() {
    assert_eq!(classified(Ended::Cancelled, None), Outcome::Cancelled);
    let effects = wit::Effects {
        emit: Vec::new(),
        state: wit::StateChange::Keep,
        timers: Vec::new(),
    };
    // Memory that was refused does not matter to a guest that coped.
    let refused = Some(Refused::MemoryBytes(99));
    let done = classified(Ended::Returned(Ok(effects)), refused);
    assert_eq!(
        done,
        Outcome::Done(wharf_core::contract::Effects::default())
    );
    let problem = wit::Problem {
        code: "early".into(),
        message: String::new(),
        after_ms: None,
    };
    let failed = classified(Ended::Returned(Err(wit::Failure::NotReady(problem))), None);
    assert!(matches!(failed, Outcome::Failed(_)));
}
