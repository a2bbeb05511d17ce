//! Timers in the record: set, fired, dead.

use super::*;

#[test]
fn a_timer_is_set_replaced_cancelled_and_consumed_in_the_order_of_the_list() {
    let names = |record: &Record| -> Vec<(String, u64)> {
        record
            .timers
            .iter()
            .map(|timer| (timer.name.clone(), timer.due_ms))
            .collect()
    };
    let both = vec![
        set("unpaid", Due::AfterMs(HOUR)),
        set("remind", Due::AtMs(NOW + 5)),
    ];
    let record = run(None, &log(10), timers(both));
    assert_eq!(
        names(&record),
        [("unpaid".into(), NOW + HOUR), ("remind".into(), NOW + 5)]
    );
    assert_eq!(
        record.next_timer().map(|timer| timer.name.as_str()),
        Some("remind")
    );
    assert_eq!(
        (record.timers[0].data.as_slice(), &record.timers[0].flow),
        (b"unpaid".as_slice(), &Some(flow()))
    );

    let replaced = run(
        Some(&record),
        &log(11),
        timers(vec![set("unpaid", Due::AfterMs(1))]),
    );
    assert_eq!(
        names(&replaced),
        [("remind".into(), NOW + 5), ("unpaid".into(), NOW + 1)]
    );
    let twice = vec![
        set("unpaid", Due::AfterMs(1)),
        TimerChange::Cancel("unpaid".into()),
        set("unpaid", Due::AfterMs(9)),
    ];
    assert_eq!(
        names(&run(None, &log(10), timers(twice))),
        [("unpaid".into(), NOW + 9)]
    );
    let cancelled = run(
        Some(&record),
        &log(11),
        timers(vec![TimerChange::Cancel("unpaid".into())]),
    );
    assert_eq!(names(&cancelled), [("remind".into(), NOW + 5)]);
    assert_eq!(
        run(
            None,
            &log(10),
            timers(vec![TimerChange::Cancel("unpaid".into())])
        )
        .timers,
        []
    );

    let id = record_timer_id(&record.timers[1]);
    let left = [("unpaid".to_owned(), NOW + HOUR)];
    assert_eq!(names(&run(Some(&record), &firing(&id), nothing())), left);
    assert_eq!(names(&passed(&record, &change(&firing(&id)))), left);
}

#[test]
fn a_timer_due_too_far_away_is_due_in_ten_years_and_none_overflows() {
    for due in [Due::AtMs(u64::MAX), Due::AfterMs(TIMER_AFTER_MAX_MS)] {
        let record = run(None, &log(10), timers(vec![set("unpaid", due)]));
        assert_eq!(record.timers[0].due_ms, NOW + TIMER_AFTER_MAX_MS);
    }
    let past = run(None, &log(10), timers(vec![set("unpaid", Due::AtMs(3))]));
    assert_eq!(past.timers[0].due_ms, 3, "a past one is due at once");
}

#[test]
fn an_entity_holds_16_timers_and_not_17_after_all_changes_are_applied() {
    let sixteen: Vec<TimerChange> = (0..16)
        .map(|n| set(&format!("t{n}"), Due::AfterMs(1)))
        .collect();
    let record = run(None, &log(10), timers(sixteen));
    assert_eq!(record.timers.len(), TIMERS_MAX);
    let facts = log(11);
    let more = done(
        Some(&record),
        &change(&facts),
        timers(vec![set("another", Due::AfterMs(1))]),
    );
    assert_eq!(more, Err(Refusal::TooManyTimers { found: 17 }));
    let exchanged = vec![
        set("another", Due::AfterMs(1)),
        TimerChange::Cancel("t3".into()),
    ];
    assert!(done(Some(&record), &change(&facts), timers(exchanged)).is_ok());
}

#[test]
fn interleaving_21_two_dead_timers_of_one_entity_are_told_apart() {
    let both = vec![
        set("unpaid", Due::AfterMs(1)),
        set("remind", Due::AfterMs(1)),
    ];
    let record = run(None, &log(10), timers(both));
    let ids: Vec<String> = record.timers.iter().map(record_timer_id).collect();
    let mut dying = record;
    for id in &ids {
        dying = die(Some(&dying), &firing(id), OnDead::Continue);
    }
    let listed: Vec<(u64, &String)> = dying
        .dead
        .iter()
        .map(|dead| (dead.sequence, &dead.timer_id))
        .collect();
    assert_eq!(listed, [(0, &ids[0]), (0, &ids[1])]);
    assert_ne!(ids[0], ids[1]);
    assert_eq!((cursor(&dying), dying.status()), (10, Status::Live));
    assert_eq!(
        admit(Some(&dying), &log(11)),
        Admission::Run,
        "no event has sequence 0"
    );
}

#[test]
fn interleaving_21_a_timer_set_again_for_a_past_time_gets_another_id() {
    let first = run(None, &log(10), timers(vec![set("unpaid", Due::AtMs(1))]));
    let mut ids = vec![record_timer_id(&first.timers[0])];
    let again = || timers(vec![set("unpaid", Due::AtMs(1))]);
    let mut record = first;
    for _ in 0..3 {
        let id = ids.last().unwrap().clone();
        record = run(Some(&record), &firing(&id), again());
        ids.push(record_timer_id(&record.timers[0]));
    }
    record = run(Some(&record), &log(11), again());
    ids.push(record_timer_id(&record.timers[0]));
    assert_eq!(record.timers.len(), 1);
    let distinct: std::collections::BTreeSet<&String> = ids.iter().collect();
    assert_eq!(distinct.len(), 5, "{ids:?}");
}

#[test]
fn a_firing_that_was_overtaken_by_a_new_setting_does_not_consume_it() {
    let first = run(None, &log(10), timers(vec![set("unpaid", Due::AfterMs(1))]));
    let old = record_timer_id(&first.timers[0]);
    let reset = run(
        Some(&first),
        &log(11),
        timers(vec![set("unpaid", Due::AfterMs(HOUR))]),
    );
    assert_eq!(
        run(Some(&reset), &firing(&old), nothing()).timers,
        reset.timers
    );
    assert_eq!(passed(&reset, &change(&firing(&old))).timers, reset.timers);
}

#[test]
fn interleaving_21_a_record_with_a_timer_never_expires() {
    let record = run(
        None,
        &log(10),
        timers(vec![set("unpaid", Due::AfterMs(90 * 24 * HOUR))]),
    );
    assert_eq!(ttl_ms(&record, &DEDUP, None), None);
    let id = record_timer_id(&record.timers[0]);
    assert_eq!(
        ttl_ms(&run(Some(&record), &firing(&id), nothing()), &DEDUP, None),
        Some(24 * HOUR)
    );
}

#[test]
fn a_dead_timer_stands_before_the_queue_and_leaves_its_head_where_it_is() {
    let timer = run(None, &log(10), timers(vec![set("unpaid", Due::AfterMs(1))]));
    let id = record_timer_id(&timer.timers[0]);
    let before = queued(Some(&timer), &stamp(NOW), 12, 14);
    let record = die(Some(&before), &firing(&id), OnDead::Block);
    assert_eq!(
        (record.status(), record.queue()),
        (Status::Dead, Some((12, 14)))
    );
    assert_eq!(record.block.as_ref().unwrap().head_timer, id);
    let resolved = passed(&record, &change(&firing(&id)));
    assert_eq!(
        (resolved.status(), resolved.queue(), cursor(&resolved)),
        (Status::Live, Some((12, 14)), 10)
    );
    assert_eq!(resolved.block.unwrap().head_timer, "");
}

#[test]
fn a_dead_timer_with_nothing_queued_blocks_the_key_and_later_events_queue_from_the_first_on() {
    let timer = run(None, &log(10), timers(vec![set("unpaid", Due::AfterMs(1))]));
    let id = record_timer_id(&timer.timers[0]);
    let record = die(Some(&timer), &firing(&id), OnDead::Block);
    assert_eq!((record.status(), record.queue()), (Status::Dead, None));
    assert_eq!(admit(Some(&record), &log(11)), Admission::Queue);
    assert_eq!(
        queued(Some(&record), &stamp(NOW), 11, 11).queue(),
        Some((11, 11))
    );
}
