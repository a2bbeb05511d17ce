//! Dead heads, what is queued behind them, and how it is worked off.

use super::*;

#[test]
fn a_held_event_is_not_settled_and_keeps_the_queue_behind_it() {
    let before = queued(Some(&run(None, &log(10), nothing())), &stamp(NOW), 12, 14);
    let record = held(Some(&before), &stamp(NOW), retrying(&log(11)));
    assert_eq!(
        (record.status(), record.queue(), cursor(&record)),
        (Status::Retrying, Some((12, 14)), 10)
    );
    assert_eq!(record.find(&event(11)), None);
    let first = held(None, &stamp(NOW), retrying(&log(1)));
    assert_eq!(
        (first.status(), first.queue(), first.cursor),
        (Status::Retrying, None, None)
    );
}

#[test]
fn done_after_holding_forgets_the_trouble() {
    let record = held(
        Some(&run(None, &log(10), nothing())),
        &stamp(NOW),
        retrying(&log(11)),
    );
    assert_eq!(run(Some(&record), &log(11), nothing()).block, None);
}

#[test]
fn trouble_of_an_event_that_was_settled_without_a_word_is_over_with_the_next() {
    let before = run(None, &log(10), nothing());
    let record = held(Some(&before), &stamp(NOW), retrying(&log(11)));
    assert_eq!(run(Some(&record), &log(12), nothing()).block, None);
    // A firing comes from beside the log, and tells nothing of its events.
    let timer = run(
        Some(&before),
        &log(11),
        timers(vec![set("unpaid", Due::AfterMs(1))]),
    );
    let id = record_timer_id(&timer.timers[0]);
    let record = held(Some(&timer), &stamp(NOW), retrying(&log(12)));
    let fired = run(Some(&record), &firing(&id), nothing());
    assert_eq!(fired.block, Some(retrying(&log(12))));
}

#[test]
fn trouble_of_a_timer_outlasts_events_and_ends_with_it() {
    let timer = run(None, &log(10), timers(vec![set("unpaid", Due::AfterMs(1))]));
    let id = record_timer_id(&timer.timers[0]);
    let record = held(Some(&timer), &stamp(NOW), retrying(&firing(&id)));
    let next = run(Some(&record), &log(11), nothing());
    assert_eq!(next.block, Some(retrying(&firing(&id))));
    assert_eq!(run(Some(&next), &firing(&id), nothing()).block, None);
}

#[test]
fn a_queue_that_is_gone_leaves_the_key_free_and_a_timers_attempts_counted() {
    let before = queued(Some(&run(None, &log(10), nothing())), &stamp(NOW), 12, 14);
    let free = queue_gone(&before, &stamp(NOW));
    assert_eq!((free.block.as_ref(), cursor(&free)), (None, 10));
    assert_eq!(admit(Some(&free), &log(15)), Admission::Run);

    let timer = run(None, &log(10), timers(vec![set("unpaid", Due::AfterMs(1))]));
    let id = record_timer_id(&timer.timers[0]);
    let troubled = held(Some(&timer), &stamp(NOW), retrying(&firing(&id)));
    let troubled = queued(Some(&troubled), &stamp(NOW), 12, 14);
    let free = queue_gone(&troubled, &stamp(NOW));
    assert_eq!(free.block, Some(retrying(&firing(&id))));
}

#[test]
fn a_dead_event_blocks_its_key_from_its_own_place_on_and_is_neither_settled_nor_remembered() {
    let record = die(
        Some(&run(None, &log(10), nothing())),
        &log(11),
        OnDead::Block,
    );
    assert_eq!(
        (record.status(), record.queue(), cursor(&record)),
        (Status::Dead, Some((11, 11)), 10)
    );
    assert_eq!(record.find(&event(11)), None);
    let block = record.block.as_ref().unwrap();
    assert_eq!(
        (block.code.as_str(), block.transient, block.event.as_slice()),
        ("no", 3, event(11).as_slice())
    );
    assert_eq!(admit(Some(&record), &log(11)), Admission::Rewrite);
    assert_eq!(admit(Some(&record), &log(12)), Admission::Queue);
}

#[test]
fn a_dead_head_keeps_the_followers_that_are_queued_already() {
    let before = queued(Some(&run(None, &log(10), nothing())), &stamp(NOW), 13, 14);
    let record = die(Some(&before), &log(11), OnDead::Block);
    assert_eq!(
        (record.status(), record.queue()),
        (Status::Dead, Some((11, 14)))
    );
    assert_eq!(
        admit(Some(&record), &log(12)),
        Admission::Rewrite,
        "the lane's own are between them"
    );
}

#[test]
fn with_continue_a_dead_event_is_listed_settled_and_passed_by_the_next() {
    let record = die(
        Some(&run(None, &log(10), nothing())),
        &log(11),
        OnDead::Continue,
    );
    let listed = DeadEntry {
        sequence: 11,
        timer_id: String::new(),
        code: "no".into(),
    };
    assert_eq!(
        (
            record.dead.as_slice(),
            record.block.as_ref(),
            cursor(&record)
        ),
        ([listed].as_slice(), None, 11)
    );
    assert_eq!(admit(Some(&record), &log(11)), Admission::RewriteDead);
    assert_eq!(admit(Some(&record), &log(12)), Admission::Run);
    let passed = run(Some(&record), &log(12), nothing());
    assert_eq!(passed.dead, record.dead, "it still waits for a person");
}

#[test]
fn with_continue_64_dead_events_are_listed_and_the_65th_blocks() {
    let mut record = run(None, &log(1), nothing());
    for sequence in 2..66 {
        record = die(Some(&record), &log(sequence), OnDead::Continue);
        assert_eq!(record.status(), Status::Live);
    }
    assert_eq!(record.dead.len(), DEAD_MAX);
    let record = die(Some(&record), &log(66), OnDead::Continue);
    assert_eq!(
        (record.dead.len(), record.status(), record.queue()),
        (64, Status::Dead, Some((66, 66)))
    );
    assert_eq!(cursor(&record), 65);
    assert_eq!(admit(Some(&record), &log(67)), Admission::Queue);
}

#[test]
fn an_unordered_dead_event_is_its_own_queue() {
    let record = die(None, &shared(4), OnDead::Block);
    assert_eq!(
        (record.status(), record.queue(), record.cursor.as_ref()),
        (Status::Dead, Some((4, 4)), None)
    );
    assert_eq!(admit(Some(&record), &shared(4)), Admission::Rewrite);
}

#[test]
fn followers_go_behind_a_head_that_runs_and_the_range_only_grows() {
    let first = queued(None, &stamp(NOW), 65, 70);
    assert_eq!(
        (first.status(), first.queue(), first.cursor.as_ref()),
        (Status::Live, Some((65, 70)), None)
    );
    let more = queued(Some(&first), &stamp(NOW), 71, 90);
    assert_eq!(more.queue(), Some((65, 90)));
    assert_eq!(
        queued(Some(&more), &stamp(NOW), 80, 85).queue(),
        Some((65, 90))
    );
}

#[test]
fn queuing_behind_a_head_in_trouble_leaves_its_trouble_alone() {
    let waiting = held(
        Some(&run(None, &log(10), nothing())),
        &stamp(NOW),
        retrying(&log(11)),
    );
    let record = queued(Some(&waiting), &stamp(NOW), 12, 14);
    let mut expected = retrying(&log(11));
    (expected.head, expected.tail, expected.queued) = (12, 14, 3);
    assert_eq!(record.block, Some(expected));
    let blocked = blocked();
    assert_eq!(
        (blocked.status(), blocked.queue()),
        (Status::Dead, Some((11, 13)))
    );
}

#[test]
fn a_record_with_a_live_queue_stays_blocked_after_done_so_that_nothing_overtakes_the_queue() {
    let before = queued(Some(&run(None, &log(10), nothing())), &stamp(NOW), 13, 14);
    let record = run(Some(&before), &log(11), nothing());
    assert_eq!(
        (record.status(), record.queue(), cursor(&record)),
        (Status::Live, Some((13, 14)), 11)
    );
    assert_eq!(admit(Some(&record), &log(12)), Admission::Run);
    assert_eq!(admit(Some(&record), &log(13)), Admission::Rewrite);
    assert_eq!(admit(Some(&record), &log(15)), Admission::Queue);
    assert_eq!(ttl_ms(&record, &DEDUP, None), None);
}

#[test]
fn working_off_the_queue_moves_head_and_cursor_until_nothing_is_left() {
    let mut record = blocked();
    for (sequence, queue) in [(11, Some((12, 13))), (12, Some((13, 13))), (13, None)] {
        assert_eq!(admit(Some(&record), &entry(sequence)), Admission::Run);
        record = run(Some(&record), &entry(sequence), nothing());
        assert_eq!((record.queue(), cursor(&record)), (queue, sequence));
        assert_eq!(record.status(), Status::Live);
        assert_eq!(
            admit(Some(&record), &log(sequence)),
            Admission::Duplicate(crate::admit::Duplicate::BelowCursor)
        );
    }
    assert_eq!(record.block, None);
    assert_eq!(admit(Some(&record), &log(14)), Admission::Run);
}

#[test]
fn an_entry_of_the_queue_that_dies_becomes_the_head_and_keeps_those_behind_it() {
    let record = run(Some(&blocked()), &entry(11), nothing());
    let record = die(Some(&record), &entry(12), OnDead::Block);
    assert_eq!(
        (record.status(), record.queue(), cursor(&record)),
        (Status::Dead, Some((12, 13)), 11)
    );
    let listed = die(
        Some(&run(Some(&blocked()), &entry(11), nothing())),
        &entry(12),
        OnDead::Continue,
    );
    assert_eq!(
        (listed.status(), listed.queue(), cursor(&listed)),
        (Status::Live, Some((13, 13)), 12)
    );
}

#[test]
fn what_is_passed_is_remembered_as_if_it_had_run_and_gives_its_place_up() {
    let record = passed(&blocked(), &change(&entry(11)));
    assert_eq!(
        (record.queue(), cursor(&record), record.status()),
        (Some((12, 13)), 11, Status::Live)
    );
    assert!(record.find(&event(11)).is_some());
    let republished = Facts {
        event: event(11),
        ..log(20)
    };
    let after = passed(&passed(&record, &change(&entry(12))), &change(&entry(13)));
    assert_eq!(
        admit(Some(&after), &republished),
        Admission::Duplicate(crate::admit::Duplicate::KnownId)
    );
}
