use super::*;

fn seen(n: u8, at_s: u32) -> SeenId {
    SeenId {
        event: [n; 16],
        content: [n; 8],
        at_s,
    }
}

fn full() -> Record {
    let mut record = Record::new("ORD-1");
    record.cursor = Some(Cursor {
        stream: "SHOP".into(),
        created_ns: 1,
        sequence: 7,
        stored_ns: 9,
    });
    record.remember(seen(1, 10), 32, 86_400_000);
    record.state = Some(State {
        version: 1,
        data: b"{}".to_vec(),
    });
    record.timers.push(Timer {
        name: "unpaid".into(),
        due_ms: 5,
        ..Timer::default()
    });
    record
}

#[test]
fn what_is_written_is_read() {
    assert_eq!(decode(&encode(&full())), Ok(full()));
}

#[test]
fn an_unknown_format_is_refused_and_names_itself() {
    let mut bytes = encode(&full());
    bytes[0] = 9;
    assert_eq!(decode(&bytes), Err(Error::Format { found: 9 }));
    assert_eq!(decode(&[]), Err(Error::Empty));
}

#[test]
fn a_field_of_a_newer_version_survives_a_rewrite() {
    let mut bytes = encode(&full());
    prost::encoding::string::encode(77, &"later".to_owned(), &mut bytes);
    let mut record = decode(&bytes).expect("a newer field is no error");
    record.written_ms = 12;
    let again = encode(&record);
    assert!(
        again.windows(5).any(|w| w == b"later"),
        "the field was stripped"
    );
    assert_eq!(decode(&again), Ok(record));
}

#[test]
fn a_cut_record_is_malformed() {
    let bytes = encode(&full());
    for cut in 2..bytes.len() {
        if let Ok(record) = decode(&bytes[..cut]) {
            assert_ne!(record, full());
        }
    }
}

#[test]
fn the_id_list_keeps_the_newest_and_counts_early_evictions() {
    let mut record = Record::new("k");
    for n in 0..4 {
        record.remember(seen(n, 100), 3, 1_000_000);
        assert_eq!(record.ids_evicted_early, u64::from(n == 3));
    }
    assert_eq!(record.find(&[0; 16]), None);
    assert_eq!(record.find(&[3; 16]), Some(seen(3, 100)));
}

#[test]
fn ids_older_than_the_horizon_go_without_being_counted() {
    let mut record = Record::new("k");
    record.remember(seen(1, 100), 32, 10_000);
    record.remember(seen(2, 200), 32, 10_000);
    assert_eq!(record.ids_evicted_early, 0);
    assert_eq!(record.seen().count(), 1);
}

#[test]
fn interleaving_28_a_record_with_the_default_id_list_stays_small() {
    let mut record = Record::new("ORD-7781");
    for n in 0..32 {
        record.remember(seen(n, 1_700_000_000), 32, 86_400_000);
    }
    record.state = Some(State {
        version: 1,
        data: vec![b'x'; 128],
    });
    assert!(
        encode(&record).len() < 1_200,
        "{} bytes",
        encode(&record).len()
    );
    for n in 0..=255 {
        record.remember(seen(n, 1_700_000_000), 9_999, 86_400_000);
    }
    assert_eq!(
        record.seen().count(),
        IDS_MAX,
        "the bound holds whatever a manifest says"
    );
}

#[test]
fn interleaving_21_a_record_with_a_timer_a_block_or_an_owed_confirmation_is_held() {
    let mut record = Record::new("k");
    assert!(!record.is_held());
    record.timers.push(Timer::default());
    assert!(record.is_held());
    record.timers.clear();
    record.block = Some(Block::live());
    assert!(record.is_held());
    record.block = None;
    record.outbox = Some(Outbox {
        sequence: 0,
        ..Outbox::default()
    });
    assert!(record.is_held());
    record.outbox = Some(Outbox {
        sequence: 4,
        ..Outbox::default()
    });
    assert!(!record.is_held());
}
