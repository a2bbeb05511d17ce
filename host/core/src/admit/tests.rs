use super::*;
use crate::record::{Block, Cursor, DeadEntry, SeenId};

const STREAM: &str = "SHOP";

fn log(sequence: u64, stored_ns: u64) -> Facts<'static> {
    let at = Position {
        sequence,
        stored_ns,
    };
    facts(
        sequence,
        Origin::Log {
            at,
            stream: STREAM,
            created_ns: 1,
        },
    )
}

fn facts(n: u64, origin: Origin<'static>) -> Facts<'static> {
    Facts {
        event: hash(n),
        content: [1; 8],
        origin,
    }
}

fn hash(n: u64) -> EventHash {
    let mut event = [0; 16];
    event[..8].copy_from_slice(&n.to_be_bytes());
    event
}

/// Cursor at sequence 10, time 100; event 10 remembered.
fn record() -> Record {
    let mut record = Record::new("k");
    record.cursor = Some(Cursor {
        stream: STREAM.into(),
        created_ns: 1,
        sequence: 10,
        stored_ns: 100,
    });
    record.remember(
        SeenId {
            event: hash(10),
            content: [1; 8],
            at_s: 1,
        },
        32,
        1000,
    );
    record
}

fn queued(head: u64, tail: u64, status: Status) -> Record {
    let mut record = record();
    record.block = Some(Block {
        head,
        tail,
        status: status.into(),
        ..Block::default()
    });
    record
}

#[test]
fn an_entity_without_a_record_runs() {
    assert_eq!(admit(None, &log(1, 1)), Admission::Run);
}

#[test]
fn above_the_cursor_runs_and_at_or_below_it_is_a_duplicate() {
    assert_eq!(admit(Some(&record()), &log(11, 101)), Admission::Run);
    for (sequence, stored) in [(10, 100), (9, 99), (3, 100)] {
        let admission = admit(Some(&record()), &log(sequence, stored));
        assert_eq!(admission, Admission::Duplicate(Duplicate::BelowCursor));
    }
}

#[test]
fn interleaving_02_a_lower_sequence_with_a_later_time_is_a_new_event_and_alarms() {
    assert_eq!(admit(Some(&record()), &log(4, 101)), Admission::RunRestored);
}

#[test]
fn another_incarnation_of_the_stream_starts_over() {
    let at = Position {
        sequence: 2,
        stored_ns: 5,
    };
    let facts = facts(
        2,
        Origin::Log {
            at,
            stream: STREAM,
            created_ns: 2,
        },
    );
    assert_eq!(admit(Some(&record()), &facts), Admission::Run);
}

#[test]
fn the_same_id_published_again_is_a_duplicate_and_with_other_bytes_a_conflict() {
    let mut again = log(11, 101);
    again.event = hash(10);
    assert_eq!(
        admit(Some(&record()), &again),
        Admission::Duplicate(Duplicate::KnownId)
    );
    again.content = [2; 8];
    assert_eq!(admit(Some(&record()), &again), Admission::Conflict);
}

#[test]
fn events_behind_a_dead_head_queue_and_those_of_the_queue_are_only_rewritten() {
    let record = queued(12, 15, Status::Dead);
    assert_eq!(admit(Some(&record), &log(12, 120)), Admission::Rewrite);
    assert_eq!(admit(Some(&record), &log(15, 150)), Admission::Rewrite);
    assert_eq!(admit(Some(&record), &log(16, 160)), Admission::Queue);
    assert_eq!(
        admit(Some(&record), &log(9, 90)),
        Admission::Duplicate(Duplicate::BelowCursor)
    );
}

#[test]
fn interleaving_19_below_the_head_of_a_resolved_queue_is_a_duplicate_not_an_entry() {
    let mut record = queued(3_001, 5_000, Status::Dead);
    record.cursor.as_mut().expect("set above").sequence = 3_000;
    assert_eq!(
        admit(Some(&record), &log(6, 60)),
        Admission::Duplicate(Duplicate::BelowCursor)
    );
}

#[test]
fn events_ahead_of_an_overflow_queue_still_run_and_later_ones_queue() {
    let record = queued(65, 70, Status::Live);
    assert_eq!(admit(Some(&record), &log(11, 110)), Admission::Run);
    assert_eq!(admit(Some(&record), &log(66, 660)), Admission::Rewrite);
    assert_eq!(admit(Some(&record), &log(71, 710)), Admission::Queue);
}

#[test]
fn a_dead_event_that_others_passed_is_only_rewritten() {
    let mut record = record();
    record.dead.push(DeadEntry {
        sequence: 5,
        ..DeadEntry::default()
    });
    assert_eq!(admit(Some(&record), &log(5, 50)), Admission::RewriteDead);
    assert_eq!(admit(Some(&record), &log(11, 110)), Admission::Run);
}

#[test]
fn an_unordered_event_finds_only_its_own_record() {
    let at = Position {
        sequence: 4,
        stored_ns: 4,
    };
    let shared = facts(10, Origin::Shared { at });
    assert_eq!(admit(None, &shared), Admission::Run);
    assert_eq!(
        admit(Some(&record()), &shared),
        Admission::Duplicate(Duplicate::KnownId)
    );
    let dead = queued(4, 4, Status::Dead);
    assert_eq!(admit(Some(&dead), &shared), Admission::Rewrite);
    // Under the same id again, later: behind what a person has to decide.
    let at = Position {
        sequence: 9,
        stored_ns: 9,
    };
    let again = facts(11, Origin::Shared { at });
    assert_eq!(admit(Some(&dead), &again), Admission::Queue);
    let done = facts(10, Origin::Shared { at });
    assert_eq!(
        admit(Some(&dead), &done),
        Admission::Duplicate(Duplicate::KnownId)
    );
}

#[test]
fn a_queued_entry_runs_only_while_the_record_says_that_it_waits() {
    let queue = |n, sequence| {
        let at = Position {
            sequence,
            stored_ns: sequence,
        };
        facts(
            n,
            Origin::Queue {
                at,
                stream: STREAM,
                created_ns: 1,
            },
        )
    };
    let record = queued(12, 15, Status::Live);
    assert_eq!(admit(Some(&record), &queue(12, 12)), Admission::Run);
    let known = admit(Some(&record), &queue(10, 13));
    assert_eq!(known, Admission::Duplicate(Duplicate::KnownId));
    for sequence in [11, 16] {
        let passed = admit(Some(&record), &queue(sequence, sequence));
        assert_eq!(passed, Admission::Duplicate(Duplicate::Resolved));
    }
    let gone = admit(None, &queue(12, 12));
    assert_eq!(gone, Admission::Duplicate(Duplicate::Resolved));
}

#[test]
fn interleaving_36_a_timer_runs_only_while_the_record_holds_it() {
    let timer = Timer {
        name: "unpaid".into(),
        set_by: vec![7; 16],
        ..Timer::default()
    };
    let id = record_timer_id(&timer);
    let fired = Facts {
        event: hash(1),
        content: [1; 8],
        origin: Origin::Timer { id: &id },
    };
    let mut record = record();
    let resolved = Admission::Duplicate(Duplicate::Resolved);
    assert_eq!(admit(Some(&record), &fired), resolved);
    assert_eq!(admit(None, &fired), resolved);
    record.timers.push(timer);
    assert_eq!(admit(Some(&record), &fired), Admission::Run);
}
