//! The ledger against a real server: races, expiry, lost answers, full streams.

mod common;
mod support;

use std::collections::BTreeSet;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::proxy::{Flow, Proxy, Way};
use common::{Server, connect, settings, soon, until};
use futures_util::future::join_all;
use support::{commit, ek, ledger, ledger_on, options, place, provision};
use wharf_jetstream::connection::{self, Purpose, Settings};
use wharf_jetstream::ledger::{CommitOptions, CommitResult, Ledger};

#[tokio::test(flavor = "multi_thread")]
async fn a_committed_record_is_read_back_in_a_batch_and_from_the_leader() {
    let server = Server::start();
    let ledger = ledger(&server).await;
    assert_eq!(ledger.load(&ek("a")).await.expect("read"), None);
    let options = options();
    let written = ledger.commit(&ek("a"), 0, "one".into(), &options).await;
    let CommitResult::Committed { revision } = written else {
        panic!("{written:?}")
    };
    assert!(matches!(
        ledger.write_checkpoint(0, 0, "here".into()).await,
        CommitResult::Committed { .. }
    ));
    let singly = ledger.reads().leader;
    let batched = ledger.load(&ek("a")).await.expect("read").expect("stored");
    assert_eq!(
        ledger.reads().leader,
        singly,
        "the sentinel makes a batch enough"
    );
    assert_eq!(
        (batched.revision, &batched.bytes[..]),
        (revision, &b"one"[..])
    );
    assert_eq!(batched.commit_id, Some(options.commit_id));
    assert_eq!(
        ledger.load_leader(&ek("a")).await.expect("read"),
        Some(batched)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_writers_with_one_expectation_one_wins_and_the_others_see_its_record() {
    let server = Server::start();
    let ledger = ledger(&server).await;
    let mut revision = 0;
    for round in 0..20 {
        let writers = (0..16).map(|writer| {
            let (ledger, bytes) = (ledger.clone(), Bytes::from(format!("{round}/{writer}")));
            async move {
                (
                    ledger
                        .commit(&ek("a"), revision, bytes.clone(), &options())
                        .await,
                    bytes,
                )
            }
        });
        let results = join_all(writers).await;
        let won = |result: &CommitResult| matches!(result, CommitResult::Committed { .. });
        let (winners, losers): (Vec<_>, Vec<_>) = results.into_iter().partition(|(r, _)| won(r));
        let [(CommitResult::Committed { revision: next }, bytes)] = &winners[..] else {
            panic!("{} winners", winners.len())
        };
        for (result, _) in &losers {
            let CommitResult::Lost {
                current: Some(current),
            } = result
            else {
                panic!("{result:?}")
            };
            assert_eq!((current.revision, &current.bytes), (*next, bytes));
        }
        revision = *next;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn interleaving_24_unseen_keys_cost_a_request_for_every_256_of_them() {
    const KEYS: usize = 10_000;
    let server = Server::start();
    let connection = connect(&server).await;
    let writer = ledger(&server).await;
    let stored = (0..KEYS).step_by(10);
    join_all(stored.map(|n| commit_named(&writer, n))).await;
    assert!(matches!(
        writer.write_checkpoint(0, 0, "c".into()).await,
        CommitResult::Committed { .. }
    ));

    let reader = ledger_on(connection.clone()).await;
    reader.set_floor_from_leader().await.expect("the floor");
    let sent = || connection.client().statistics().out_messages.load(Relaxed);
    let before = sent();
    let keys: Vec<String> = (0..KEYS).map(|n| ek(&n.to_string())).collect();
    let found = join_all(keys.iter().map(|ek| reader.load(ek))).await;
    let requests = sent() - before;

    for (n, found) in found.into_iter().enumerate() {
        let bytes = found.expect("read").map(|stored| stored.bytes);
        assert_eq!(bytes, (n % 10 == 0).then(|| Bytes::from(n.to_string())));
    }
    let least = KEYS.div_ceil(256) as u64;
    assert!(
        (least..=2 * least).contains(&requests),
        "{requests} requests for {KEYS} keys"
    );
    assert_eq!(reader.reads().leader, 0);
}

async fn commit_named(ledger: &Ledger, n: usize) {
    commit(ledger, &n.to_string(), 0, &n.to_string()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_batch_is_believed_before_the_leader_was_asked_or_below_what_it_said() {
    let server = Server::start();
    let writer = ledger(&server).await;
    commit(&writer, "a", 0, "old").await;
    for _ in 0..10 {
        commit(
            &writer,
            "b",
            writer
                .load_leader(&ek("b"))
                .await
                .expect("read")
                .map_or(0, |s| s.revision),
            "b",
        )
        .await;
    }
    let fresh = ledger_on(connect(&server).await).await;
    fresh.load(&ek("a")).await.expect("read").expect("stored");
    assert_eq!((fresh.reads().batches, fresh.reads().leader), (0, 1));

    // The ledger begins again behind the reader's back, like a replica that
    // lags: batches reach less far than what the reader knows of.
    fresh.set_floor_from_leader().await.expect("the floor");
    let js = common::plain(&server).await;
    common::delete_stream(&server, &js, "WHARF-L-order-1").await;
    provision(&server, &place()).await;
    let again = ledger_on(connect(&server).await).await;
    commit(&again, "a", 0, "new").await;
    assert!(matches!(
        again.write_checkpoint(0, 0, "c".into()).await,
        CommitResult::Committed { .. }
    ));
    let read = fresh.load(&ek("a")).await.expect("read").expect("stored");
    assert_eq!(read.bytes, "new");
    assert_eq!((fresh.reads().batches, fresh.reads().leader), (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_outgrow_one_answer_are_all_read() {
    let server = Server::start();
    let ledger = ledger(&server).await;
    let large = Bytes::from(vec![7; 200 << 10]);
    for n in 0..120 {
        let written = ledger
            .commit(&ek(&n.to_string()), 0, large.clone(), &options())
            .await;
        assert!(
            matches!(written, CommitResult::Committed { .. }),
            "{written:?}"
        );
    }
    let keys: Vec<String> = (0..121).map(|n: u32| ek(&n.to_string())).collect();
    let found = join_all(keys.iter().map(|ek| ledger.load(ek))).await;
    let (last, stored) = found.split_last().expect("some");
    assert!(
        stored
            .iter()
            .all(|s| s.as_ref().expect("read").as_ref().expect("there").bytes == large)
    );
    assert_eq!(last.as_ref().expect("read"), &None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_expires_and_a_write_over_what_has_expired_is_lost() {
    let server = Server::start();
    let ledger = ledger(&server).await;
    let short = CommitOptions {
        ttl: Some(Duration::from_millis(300)),
        ..options()
    };
    let written = ledger.commit(&ek("a"), 0, "gone soon".into(), &short).await;
    let CommitResult::Committed { revision } = written else {
        panic!("{written:?}")
    };
    let rewritten = commit(&ledger, "b", 0, "first").await;
    let with_ttl = CommitOptions {
        ttl: Some(Duration::from_secs(1)),
        ..options()
    };
    let shortened = ledger
        .commit(&ek("b"), rewritten, "short".into(), &with_ttl)
        .await;
    let CommitResult::Committed { revision: kept } = shortened else {
        panic!("{shortened:?}")
    };
    let kept = commit(&ledger, "b", kept, "for ever again").await;
    until("the record expires", async || {
        matches!(ledger.load_leader(&ek("a")).await, Ok(None))
    })
    .await;
    let late = ledger
        .commit(&ek("a"), revision, "late".into(), &options())
        .await;
    assert_eq!(late, CommitResult::Lost { current: None });
    commit(&ledger, "a", 0, "anew").await;
    assert_eq!(
        ledger
            .load_leader(&ek("b"))
            .await
            .expect("read")
            .expect("kept")
            .revision,
        kept
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_in_a_crash_is_known_as_ours_and_not_made_twice() {
    let mut server = Server::start();
    let direct = ledger(&server).await;
    let proxy = Proxy::to(server.port()).await;
    let settings = Settings::new("test", proxy.url());
    let through = connection::connect(&settings, &Purpose::Ledger)
        .await
        .expect("connected");
    let ledger = ledger_on(through).await;
    commit(&ledger, "a", 0, "before").await;

    proxy.set(Way::FromServer, Flow::Lost);
    let id = options();
    let writing = tokio::spawn({
        let ledger = ledger.clone();
        async move { ledger.commit(&ek("a"), 1, "ours".into(), &id).await }
    });
    let is_stored = async || {
        direct
            .load_leader(&ek("a"))
            .await
            .is_ok_and(|s| s.is_some_and(|s| s.bytes == "ours"))
    };
    until("the write is stored", is_stored).await;
    let first = direct
        .load_leader(&ek("a"))
        .await
        .expect("read")
        .expect("stored");
    server.kill();
    proxy.heal();
    server.restart();
    let result = soon("the commit ends", writing).await.expect("no panic");
    assert_eq!(
        result,
        CommitResult::Committed {
            revision: first.revision
        }
    );
    let now = direct
        .load_leader(&ek("a"))
        .await
        .expect("read")
        .expect("stored");
    assert_eq!(now, first, "written once");
    // The same commit once more, as a caller that was told `Unanswered` does.
    let repeated = ledger.commit(&ek("a"), 1, "ours".into(), &id).await;
    assert_eq!(
        repeated,
        CommitResult::Committed {
            revision: first.revision
        }
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_nobody_answers_ends_unanswered_within_its_patience() {
    let server = Server::start();
    let ledger = ledger(&server).await;
    server.freeze();
    let start = Instant::now();
    let result = ledger.commit(&ek("a"), 0, "x".into(), &options()).await;
    server.thaw();
    assert_eq!(result, CommitResult::Unanswered);
    assert!(
        start.elapsed() < Duration::from_secs(30),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_ledger_refuses_and_tells_how_full_it_is() {
    let server = Server::start();
    let mut small = place();
    small.handlers[0].ledger_max_bytes = 64 << 10;
    provision(&server, &small).await;
    let ledger = ledger_on(connect(&server).await).await;
    assert!(!ledger.usage().await.expect("usage").is_nearly_full());
    let mut n = 0;
    let result = loop {
        n += 1;
        let bytes = vec![0; 4 << 10].into();
        match ledger
            .commit(&ek(&n.to_string()), 0, bytes, &options())
            .await
        {
            CommitResult::Committed { .. } => assert!(n < 17, "never full"),
            other => break other,
        }
    };
    assert_eq!(result, CommitResult::Full);
    let usage = ledger.usage().await.expect("usage");
    assert!(usage.is_nearly_full(), "{usage:?}");
    assert_eq!(usage.bytes_max, Some(64 << 10));
    let too_large = vec![0; 2 << 20].into();
    let result = ledger.commit(&ek("large"), 0, too_large, &options()).await;
    assert_eq!(result, CommitResult::TooLarge);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_may_not_write_records_is_told_so_at_once() {
    let server = Server::configured(
        r#"authorization { users: [
            { user: "all", password: "p" },
            { user: "few", password: "p", permissions: { publish: { deny: ["wl.>"] } } },
        ] }"#,
    );
    let as_user = async |user: &str| {
        let auth = connection::Auth::User {
            user: user.into(),
            password: "p".into(),
        };
        let settings = Settings {
            auth,
            ..settings(&server)
        };
        connection::connect(&settings, &Purpose::Ledger)
            .await
            .expect("connected")
    };
    let api = wharf_jetstream::api::Api::new(as_user("all").await);
    let plan = wharf_jetstream::assets::plan(&api, &place())
        .await
        .expect("a plan");
    wharf_jetstream::assets::apply(&api, &plan)
        .await
        .expect("provisioned");
    let ledger = ledger_on(as_user("few").await).await;
    let start = Instant::now();
    let result = ledger.commit(&ek("a"), 0, "x".into(), &options()).await;
    assert!(
        matches!(result, CommitResult::Unavailable { .. }),
        "{result:?}"
    );
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_is_swapped_like_a_record() {
    let server = Server::start();
    let ledger = ledger(&server).await;
    assert_eq!(ledger.read_checkpoint(3).await.expect("read"), None);
    let first = ledger.write_checkpoint(3, 0, "one".into()).await;
    let CommitResult::Committed { revision } = first else {
        panic!("{first:?}")
    };
    let stale = ledger.write_checkpoint(3, 0, "other".into()).await;
    let CommitResult::Lost {
        current: Some(current),
    } = stale
    else {
        panic!("{stale:?}")
    };
    assert_eq!(
        (current.revision, &current.bytes[..]),
        (revision, &b"one"[..])
    );
    assert!(matches!(
        ledger.write_checkpoint(3, revision, "two".into()).await,
        CommitResult::Committed { .. }
    ));
    assert_eq!(
        ledger
            .read_checkpoint(3)
            .await
            .expect("read")
            .expect("stored")
            .bytes,
        "two"
    );
    assert_eq!(ledger.read_checkpoint(0).await.expect("read"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_finds_each_held_record_and_no_other_also_across_a_crash() {
    const RECORDS: u32 = 6_000;
    let mut server = Server::start();
    let ledger = ledger(&server).await;
    let mut nothing = ledger.sweep_held().await.expect("a sweep");
    assert_eq!(nothing.next().await.expect("swept"), None);
    let write = |n: u32| {
        let ledger = ledger.clone();
        async move {
            let options = CommitOptions {
                hold: n.is_multiple_of(3),
                ..options()
            };
            ledger
                .commit(&ek(&n.to_string()), 0, "r".into(), &options)
                .await
        }
    };
    let written = join_all((0..RECORDS).map(write)).await;
    assert!(
        written
            .iter()
            .all(|result| matches!(result, CommitResult::Committed { .. }))
    );

    let mut sweep = ledger.sweep_held().await.expect("a sweep");
    let mut found = BTreeSet::new();
    while let Some(held) = soon("the sweep goes on", sweep.next())
        .await
        .expect("swept")
    {
        assert!(found.insert(held.ek), "seen twice");
        if found.len() == 500 {
            server.kill();
            server.restart();
        }
    }
    let expected: BTreeSet<String> = (0..RECORDS)
        .filter(|n| n.is_multiple_of(3))
        .map(|n| ek(&n.to_string()))
        .collect();
    assert_eq!(found.len(), expected.len());
    assert_eq!(found, expected);
}
