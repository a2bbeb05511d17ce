use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, Error, InstanceAllocationStrategy, PoolingAllocationConfig, Store};

use super::*;
use GuestFaultKind as Kind;

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

fn start(error: impl Into<Error>) -> Ended {
    Ended::start(error.into())
}

fn handle(error: impl Into<Error>) -> Ended {
    let error = error.into();
    Ended::Stopped {
        step: Step::Handle,
        error,
    }
}

fn migrate(error: impl Into<Error>) -> Ended {
    let error = error.into();
    Ended::Stopped {
        step: Step::Migrate,
        error,
    }
}

fn guest_kind(outcome: Outcome) -> Kind {
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
    for (ended, expected) in [
        (handle(Trap::UnreachableCodeReached), Kind::Trap),
        (handle(Trap::StackOverflow), Kind::Trap),
        (start(Trap::MemoryOutOfBounds), Kind::Trap),
        (handle(I32Exit(0)), Kind::Exit),
        (handle(CpuTimeUsedUp), Kind::CpuTime),
        (handle(Error::msg("not UTF-8")), Kind::BadOutput),
        (migrate(Trap::UnreachableCodeReached), Kind::Migration),
        (migrate(Error::msg("not UTF-8")), Kind::Migration),
        (Ended::WallTime, Kind::WallTime),
        (Ended::StateTooNew { stored: 2, ours: 1 }, Kind::Migration),
        (Ended::NoMigration { stored: 1, ours: 2 }, Kind::Migration),
    ] {
        let shown = format!("{ended:?}");
        assert_eq!(guest_kind(classified(ended, None)), expected, "{shown}");
    }
}

#[test]
fn memory_that_was_refused_explains_a_trap_but_nothing_clearer() {
    let refused = Some(Refused::MemoryBytes(99));
    for (ended, expected) in [
        (handle(Trap::UnreachableCodeReached), Kind::Memory),
        (start(Error::msg("too large")), Kind::Memory),
        (handle(I32Exit(1)), Kind::Exit),
        (start(CpuTimeUsedUp), Kind::CpuTime),
        (migrate(Trap::UnreachableCodeReached), Kind::Migration),
    ] {
        let shown = format!("{ended:?}");
        assert_eq!(guest_kind(classified(ended, refused)), expected, "{shown}");
    }
}

#[test]
fn what_only_the_host_can_cause_is_no_fault_of_the_guest() {
    let no_memory = || io::Error::from(io::ErrorKind::OutOfMemory);
    for (ended, expected) in [
        (start(pool_is_full()), HostFaultKind::PoolFull),
        (handle(pool_is_full()), HostFaultKind::PoolFull),
        (handle(no_memory()), HostFaultKind::Engine),
        (start(Error::msg("anything else")), HostFaultKind::Engine),
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
