mod queue;
mod timers;
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
    let record = run(None, &log(10), put(&[7; 1000]));
    let bytes = record.bytes();
    assert_eq!(bytes, encode(&record).len());
    let size = bytes as u64;
    assert!(size > 1000);
    assert_eq!(check_size(bytes, size), Ok(()));
    assert_eq!(
        check_size(bytes, size - 1),
        Err(Refusal::RecordTooLarge {
            found: bytes,
            max: size - 1
        })
    );
}
