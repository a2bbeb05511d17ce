//! Parked entries on a real server: large ones, zombies, half-written ones.

mod common;
mod support;

use bytes::Bytes;
use common::{Server, plain};
use support::{commit, ek, ledger, lineage, options, place, provision};
use wharf_jetstream::ledger::CommitResult;
use wharf_jetstream::parking::{Entry, EntryPosition, ParkResult, Parking};

fn bytes(length: usize) -> Bytes {
    // Not periodic in the size of a part, so that swapped parts are noticed.
    (0..=250).cycle().take(length).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn interleaving_09_an_event_at_the_limit_plus_headers_is_parked_and_read_back_whole() {
    let server = Server::start();
    let ledger = ledger(&server).await;
    let parking = Parking::new(ledger.clone());
    let limit = 1 << 20;
    for (sequence, length) in [(1, limit + (64 << 10)), (2, 5 * limit), (3, 0), (4, limit)] {
        let key = format!("key {sequence}");
        let record = commit(&ledger, &key, 0, "dead").await;
        let (entry, at) = (bytes(length), EntryPosition::Stream(sequence));
        assert_eq!(
            parking.write(&ek(&key), &at, &entry, record).await,
            ParkResult::Parked
        );
        let read = parking.read(&ek(&key), &at).await.expect("read");
        assert!(
            read == Entry::Whole(entry),
            "{length} bytes came back otherwise"
        );
        assert_eq!(parking.list(&ek(&key)).await.expect("list"), [at]);
    }
    let alone = ledger.load_leader(&ek("key 1")).await.expect("read");
    assert_eq!(
        alone.expect("the record").bytes,
        "dead",
        "entries leave the record alone"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zombie_whose_record_moved_on_leaves_no_ghost() {
    let server = Server::start();
    let ledger = ledger(&server).await;
    let parking = Parking::new(ledger.clone());
    let at = EntryPosition::Stream(7);
    let then = commit(&ledger, "a", 0, "dead").await;
    let now = commit(&ledger, "a", then, "resolved").await;
    for (revision, expected) in [
        (then, ParkResult::Superseded),
        (0, ParkResult::Superseded),
        (now, ParkResult::Parked),
    ] {
        let result = parking
            .write(&ek("a"), &at, &bytes(3 << 20), revision)
            .await;
        assert_eq!(result, expected);
        let is_there = expected == ParkResult::Parked;
        assert_eq!(
            parking.list(&ek("a")).await.expect("list").len(),
            usize::from(is_there)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn writing_again_replaces_and_deleting_removes_all_parts() {
    let server = Server::start();
    let ledger = ledger(&server).await;
    let parking = Parking::new(ledger.clone());
    let (a, at, other) = (ek("a"), EntryPosition::Stream(7), EntryPosition::Stream(70));
    let record = commit(&ledger, "a", 0, "dead").await;
    for entry in [bytes(3 << 20), bytes(3 << 20), bytes(10), bytes(2 << 20)] {
        assert_eq!(
            parking.write(&a, &at, &entry, record).await,
            ParkResult::Parked
        );
        assert!(parking.read(&a, &at).await.expect("read") == Entry::Whole(entry));
    }
    assert_eq!(
        parking.write(&a, &other, &bytes(5), record).await,
        ParkResult::Parked
    );
    assert!(parking.delete(&a, &at).await.expect("deleted"));
    assert!(!parking.delete(&a, &at).await.expect("deleted"));
    assert_eq!(parking.read(&a, &at).await.expect("read"), Entry::Absent);
    assert_eq!(
        parking.list(&a).await.expect("list"),
        [other],
        "and no other entry"
    );
    let stream = plain(&server)
        .await
        .get_stream("WHARF-L-order-1")
        .await
        .expect("the ledger");
    assert_eq!(
        stream.cached_info().state.messages,
        2,
        "the record and the other entry"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_without_its_last_part_or_with_a_strange_one_is_incomplete() {
    let server = Server::start();
    let ledger = ledger(&server).await;
    let parking = Parking::new(ledger.clone());
    let (a, at) = (ek("a"), EntryPosition::Stream(7));
    let record = commit(&ledger, "a", 0, "dead").await;
    let long = bytes(3 << 20);
    parking.write(&a, &at, &long, record).await;
    let js = plain(&server).await;
    let stream = js.get_stream("WHARF-L-order-1").await.expect("the ledger");
    let subject = lineage().parked_part(&a, "7", 2);
    let last = stream
        .get_last_raw_message_by_subject(&subject)
        .await
        .expect("the last part");
    stream.delete_message(last.sequence).await.expect("deleted");
    assert_eq!(
        parking.read(&a, &at).await.expect("read"),
        Entry::Incomplete
    );

    // A crash in the middle of writing something else over it.
    parking.write(&a, &at, &long, record).await;
    let first = js
        .publish(lineage().parked_part(&a, "7", 0), "?".into())
        .await
        .expect("sent");
    first.await.expect("stored");
    assert_eq!(
        parking.read(&a, &at).await.expect("read"),
        Entry::Incomplete
    );
    assert_eq!(parking.list(&a).await.expect("list"), vec![at.clone()]);
    assert_eq!(
        parking.write(&a, &at, &long, record).await,
        ParkResult::Parked
    );
    assert!(parking.read(&a, &at).await.expect("read") == Entry::Whole(long));
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_are_listed_by_number_with_timers_last() {
    let server = Server::start();
    let ledger = ledger(&server).await;
    let parking = Parking::new(ledger.clone());
    let record = commit(&ledger, "a", 0, "dead").await;
    let other = commit(&ledger, "b", 0, "dead").await;
    let timer = EntryPosition::Timer("unpaid/abc".into());
    let all = [10, 9, 100, 1].map(EntryPosition::Stream);
    for at in all.iter().chain([&timer]) {
        assert_eq!(
            parking.write(&ek("a"), at, &bytes(9), record).await,
            ParkResult::Parked
        );
    }
    parking
        .write(&ek("b"), &EntryPosition::Stream(2), &bytes(9), other)
        .await;
    let mut expected = [1, 9, 10, 100].map(EntryPosition::Stream).to_vec();
    expected.push(timer.clone());
    assert_eq!(parking.list(&ek("a")).await.expect("list"), expected);
    assert!(parking.read(&ek("a"), &timer).await.expect("read") == Entry::Whole(bytes(9)));
    assert_eq!(parking.list(&ek("nobody")).await.expect("list"), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_the_ledger_or_its_bounds_is_refused() {
    let server = Server::start();
    let mut small = place();
    small.handlers[0].ledger_max_bytes = 2 << 20;
    provision(&server, &small).await;
    let ledger = support::ledger_on(common::connect(&server).await).await;
    let parking = Parking::new(ledger.clone());
    let written = ledger.commit(&ek("a"), 0, "dead".into(), &options()).await;
    let CommitResult::Committed { revision } = written else {
        panic!("{written:?}")
    };
    let at = EntryPosition::Stream(1);
    let result = parking
        .write(&ek("a"), &at, &bytes(5 << 20), revision)
        .await;
    assert_eq!(result, ParkResult::Full);
    assert_eq!(
        parking.read(&ek("a"), &at).await.expect("read"),
        Entry::Incomplete
    );
    let result = parking
        .write(&ek("a"), &at, &bytes(70 << 20), revision)
        .await;
    assert_eq!(result, ParkResult::TooLarge);
}
