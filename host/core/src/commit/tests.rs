mod walk;

use std::time::Duration;

use super::*;
use crate::admit::{Admission, admit};
use crate::event::Position;
use crate::ids::event_hash;
use crate::record::encode;

const STREAM: &str = "SHOP";
const CREATED: u64 = 7;
const NOW: u64 = 1_700_000_000_000;
const HOUR: u64 = 3_600_000;
const DEDUP: Dedup = Dedup {
    remember: 32,
    keep_for: Duration::from_secs(86_400),
};

/// As the host does for followers without a gap.
fn queued(record: Option<&Record>, stamp: &Stamp<'_>, first: u64, last: u64) -> Record {
    let count = u32::try_from(last - first + 1).expect("few");
    super::queued(record, stamp, &Followers { first, last, count })
}

fn at(sequence: u64) -> Position {
    Position {
        sequence,
        stored_ns: sequence * 10,
    }
}

fn log(sequence: u64) -> Facts<'static> {
    let origin = Origin::Log {
        at: at(sequence),
        stream: STREAM,
        created_ns: CREATED,
    };
    Facts {
        event: event(sequence),
        content: [1; 8],
        origin,
    }
}

fn entry(sequence: u64) -> Facts<'static> {
    let origin = Origin::Queue {
        at: at(sequence),
        stream: STREAM,
        created_ns: CREATED,
    };
    Facts {
        origin,
        ..log(sequence)
    }
}

fn shared(sequence: u64) -> Facts<'static> {
    Facts {
        origin: Origin::Shared { at: at(sequence) },
        ..log(sequence)
    }
}

fn firing(id: &str) -> Facts<'_> {
    Facts {
        event: event_hash("wharf", id),
        content: [0; 8],
        origin: Origin::Timer { id },
    }
}

fn event(sequence: u64) -> [u8; 16] {
    event_hash("web", &sequence.to_string())
}

fn stamp(now_ms: u64) -> Stamp<'static> {
    Stamp {
        key: "ORD-1",
        commit_id: [9; 16],
        now_ms,
    }
}

fn change<'a>(facts: &'a Facts<'a>) -> Change<'a> {
    Change {
        stamp: stamp(NOW),
        facts,
        dedup: &DEDUP,
        state: None,
        digest: b"digest",
    }
}

fn checked(effects: Effects, emissions: Vec<Emission>) -> Checked {
    Checked {
        effects,
        emissions,
        flow: flow(),
    }
}

fn nothing() -> Checked {
    checked(Effects::default(), Vec::new())
}

fn flow() -> Flow {
    Flow {
        correlation_id: "c".into(),
        hops: 1,
        ..Flow::default()
    }
}

fn emission(id: &str) -> Emission {
    Emission {
        id: id.into(),
        subject: "shop.a".into(),
        ..Emission::default()
    }
}

fn timers(changes: Vec<TimerChange>) -> Checked {
    checked(
        Effects {
            timers: changes,
            ..Effects::default()
        },
        Vec::new(),
    )
}

fn set(name: &str, due: Due) -> TimerChange {
    TimerChange::Set(crate::contract::Timer {
        name: name.into(),
        due,
        data: name.into(),
    })
}

fn put(data: &[u8]) -> Checked {
    checked(
        Effects {
            state: StateChange::Put(data.to_vec()),
            ..Effects::default()
        },
        Vec::new(),
    )
}

fn death(facts: &Facts<'_>) -> Death {
    let block = Block {
        event: facts.event.to_vec(),
        transient: 3,
        code: "no".into(),
        ..Block::default()
    };
    let (message, backtrace, stderr_tail) = ("No.".into(), String::new(), String::new());
    Death {
        code: "no".into(),
        message,
        block,
        backtrace,
        stderr_tail,
    }
}

fn retrying(facts: &Facts<'_>) -> Block {
    let mut block = Block {
        event: facts.event.to_vec(),
        transient: 1,
        ..Block::default()
    };
    block.set_status(Status::Retrying);
    block
}

fn run(record: Option<&Record>, facts: &Facts<'_>, checked: Checked) -> Record {
    done(record, &change(facts), checked).expect("few timers")
}

fn die(record: Option<&Record>, facts: &Facts<'_>, on_dead: OnDead) -> Record {
    dead(record, &change(facts), on_dead, &death(facts))
}

fn cursor(record: &Record) -> u64 {
    record.cursor.as_ref().map_or(0, |cursor| cursor.sequence)
}

/// 10 is done, 11 is dead, and 12 and 13 are queued behind it.
fn blocked() -> Record {
    let record = die(
        Some(&run(None, &log(10), nothing())),
        &log(11),
        OnDead::Block,
    );
    queued(Some(&record), &stamp(NOW), 12, 13)
}

#[test]
fn done_moves_the_cursor_remembers_the_id_and_stamps_the_record() {
    let record = run(None, &log(10), nothing());
    let expected = Cursor {
        stream: STREAM.into(),
        created_ns: CREATED,
        sequence: 10,
        stored_ns: 100,
    };
    assert_eq!(record.cursor, Some(expected));
    let seen = SeenId {
        event: event(10),
        content: [1; 8],
        at_s: u32::try_from(NOW / 1000).unwrap(),
    };
    assert_eq!(record.seen().collect::<Vec<_>>(), [seen]);
    assert_eq!((record.key.as_str(), record.written_ms), ("ORD-1", NOW));
    assert_eq!(
        (record.commit_id.as_slice(), record.digest.as_slice()),
        ([9; 16].as_slice(), b"digest".as_slice())
    );
    assert_eq!(
        (record.block, record.outbox, record.state),
        (None, None, None)
    );
}

#[test]
fn the_cursor_keeps_the_highest_stored_time_of_its_stream_and_begins_again_with_another() {
    let before = run(None, &log(10), nothing());
    let earlier = Facts {
        origin: Origin::Log {
            at: Position {
                sequence: 11,
                stored_ns: 50,
            },
            stream: STREAM,
            created_ns: CREATED,
        },
        ..log(11)
    };
    assert_eq!(
        run(Some(&before), &earlier, nothing())
            .cursor
            .unwrap()
            .stored_ns,
        100
    );
    let again = Facts {
        origin: Origin::Log {
            at: Position {
                sequence: 1,
                stored_ns: 5,
            },
            stream: STREAM,
            created_ns: CREATED + 1,
        },
        ..log(1)
    };
    let cursor = run(Some(&before), &again, nothing()).cursor.unwrap();
    assert_eq!(
        (cursor.created_ns, cursor.sequence, cursor.stored_ns),
        (CREATED + 1, 1, 5)
    );
}

#[test]
fn an_unordered_event_and_a_timer_move_no_cursor_and_a_timer_is_not_remembered() {
    let unordered = run(None, &shared(4), nothing());
    assert_eq!(
        (unordered.cursor.as_ref(), unordered.seen().count()),
        (None, 1)
    );
    let timer = run(
        Some(&run(None, &log(10), nothing())),
        &firing("t/1"),
        nothing(),
    );
    assert_eq!((cursor(&timer), timer.seen().count()), (10, 1));
}

#[test]
fn state_is_kept_replaced_with_the_manifests_version_or_deleted() {
    let policy = StatePolicy {
        version: 4,
        ttl: None,
        content_type: "application/json".into(),
    };
    let facts = log(10);
    let with_policy = Change {
        state: Some(&policy),
        ..change(&facts)
    };
    let stored = done(None, &with_policy, put(b"a")).unwrap();
    assert_eq!(
        stored.state,
        Some(State {
            version: 4,
            data: b"a".to_vec()
        })
    );
    let kept = run(Some(&stored), &log(11), nothing());
    assert_eq!(kept.state, stored.state);
    let delete = checked(
        Effects {
            state: StateChange::Delete,
            ..Effects::default()
        },
        Vec::new(),
    );
    assert_eq!(run(Some(&kept), &log(12), delete).state, None);
}

#[test]
fn the_outbox_holds_the_emissions_with_their_ids_and_the_commits_place_and_time() {
    let emissions = vec![emission("id0"), emission("id1")];
    let record = run(
        None,
        &log(10),
        checked(Effects::default(), emissions.clone()),
    );
    let outbox = record.outbox.clone().unwrap();
    assert_eq!(
        (
            outbox.event.as_slice(),
            outbox.sequence,
            outbox.committed_ms
        ),
        (event(10).as_slice(), 10, NOW)
    );
    assert_eq!(
        (outbox.flow.clone(), outbox.emissions.clone()),
        (Some(flow()), emissions)
    );
    // Whatever is written after it carries it, unchanged.
    let later = stamp(NOW + HOUR);
    let carried = [
        held(Some(&record), &later, retrying(&log(11))),
        die(Some(&record), &log(11), OnDead::Block),
        die(Some(&record), &log(11), OnDead::Continue),
        queued(Some(&record), &later, 11, 12),
        outbox_blocked(&record, &later, "no-stream", "…"),
    ];
    for next in carried {
        assert_eq!(next.outbox.as_ref(), Some(&outbox), "{next:?}");
    }
    assert_eq!(
        run(Some(&record), &log(11), nothing()).outbox,
        None,
        "the next commit has its own"
    );
}

#[test]
fn an_outbox_is_published_again_only_when_the_watermark_at_takeover_is_below_it() {
    let record = run(
        None,
        &log(10),
        checked(Effects::default(), vec![emission("id0")]),
    );
    assert!(may_be_unpublished(&record, 9));
    assert!(!may_be_unpublished(&record, 10));
    assert!(!may_be_unpublished(&run(None, &log(10), nothing()), 0));
}

#[test]
fn interleaving_20_a_timers_commit_has_no_sequence_and_owes_a_confirmation_whatever_the_watermark()
{
    let before = run(None, &log(10), timers(vec![set("unpaid", Due::AfterMs(5))]));
    let id = record_timer_id(&before.timers[0]);
    let emits = || checked(Effects::default(), vec![emission("id0")]);
    for facts in [firing(&id), entry(12)] {
        let record = run(Some(&before), &facts, emits());
        assert_eq!(
            record.outbox.as_ref().map(|outbox| outbox.sequence),
            Some(0),
            "{facts:?}"
        );
        assert!(
            record.owes_confirmation() && may_be_unpublished(&record, u64::MAX),
            "{facts:?}"
        );
        assert_eq!(
            ttl_ms(&record, &DEDUP, None),
            None,
            "it does not expire before it is confirmed"
        );
        let confirmed = confirmed(&record, &stamp(NOW));
        assert_eq!(confirmed.outbox, None);
        assert!(!confirmed.owes_confirmation() && !may_be_unpublished(&confirmed, 0));
    }
    let logged = run(Some(&before), &log(11), emits());
    assert!(!logged.owes_confirmation(), "the watermark tells of it");
}

#[test]
fn confirming_changes_nothing_but_the_outbox_and_the_stamp() {
    let before = run(None, &log(10), timers(vec![set("unpaid", Due::AfterMs(5))]));
    let id = record_timer_id(&before.timers[0]);
    let record = run(
        Some(&before),
        &firing(&id),
        checked(Effects::default(), vec![emission("id0")]),
    );
    let later = Stamp {
        commit_id: [8; 16],
        ..stamp(NOW + 1)
    };
    let expected = Record {
        outbox: None,
        commit_id: vec![8; 16],
        written_ms: NOW + 1,
        ..record.clone()
    };
    assert_eq!(confirmed(&record, &later), expected);
}

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

#[test]
fn the_digest_is_that_of_the_component_that_committed_last() {
    let record = run(None, &log(10), nothing());
    let facts = log(11);
    let other = Change {
        digest: b"newer",
        ..change(&facts)
    };
    assert_eq!(
        dead(Some(&record), &other, OnDead::Block, &death(&facts)).digest,
        b"digest"
    );
    assert_eq!(
        done(Some(&record), &other, nothing()).unwrap().digest,
        b"newer"
    );
}

#[test]
fn an_outbox_that_is_refused_for_good_is_a_status_of_its_own_and_is_lifted_again() {
    let before = run(
        None,
        &log(10),
        checked(Effects::default(), vec![emission("id0")]),
    );
    let record = outbox_blocked(&before, &stamp(NOW), "no-stream", "no stream takes it");
    let block = record.block.as_ref().unwrap();
    assert_eq!(
        (record.status(), block.code.as_str(), record.queue()),
        (Status::OutboxBlocked, "no-stream", None)
    );
    assert_eq!(outbox_freed(&record, &stamp(NOW)).block, None);
    let behind = queued(Some(&record), &stamp(NOW), 11, 12);
    let freed = outbox_freed(&behind, &stamp(NOW));
    assert_eq!(
        (freed.status(), freed.queue()),
        (Status::Live, Some((11, 12)))
    );
    assert_eq!(freed.outbox, before.outbox);
}

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

#[test]
fn a_record_lives_for_the_dedup_horizon_or_its_states_time_and_for_ever_while_it_holds_anything() {
    let day = 24 * HOUR;
    let policy = |hours: Option<u64>| StatePolicy {
        version: 1,
        ttl: hours.map(|hours| Duration::from_secs(hours * 3600)),
        content_type: String::new(),
    };
    let plain = run(None, &log(10), nothing());
    let stateful = run(None, &log(10), put(b"a"));
    for (record, policy, expected) in [
        (&plain, None, Some(day)),
        (&plain, Some(policy(None)), Some(day)),
        (&stateful, Some(policy(None)), None),
        (&stateful, Some(policy(Some(48))), Some(2 * day)),
        (&stateful, Some(policy(Some(1))), Some(day)),
        (&stateful, None, None),
        (&blocked(), None, None),
        (&die(Some(&plain), &log(11), OnDead::Continue), None, None),
        (
            &held(Some(&stateful), &stamp(NOW), retrying(&log(11))),
            Some(policy(Some(48))),
            None,
        ),
        (&queued(Some(&plain), &stamp(NOW), 12, 12), None, None),
    ] {
        assert_eq!(
            ttl_ms(record, &DEDUP, policy.as_ref()),
            expected,
            "{record:?}"
        );
    }
}

#[test]
fn interleaving_09_a_record_larger_than_the_broker_takes_is_refused_before_the_commit() {
    let bytes = encode(&run(None, &log(10), put(&[7; 1000])));
    let size = bytes.len() as u64;
    assert!(size > 1000);
    assert_eq!(check_size(&bytes, size), Ok(()));
    assert_eq!(
        check_size(&bytes, size - 1),
        Err(Refusal::RecordTooLarge {
            found: bytes.len(),
            max: size - 1
        })
    );
}
