//! Timers against a real server: replacing, precision, restarts, numbers.

mod common;
mod support;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::{Server, connect, links, plain, soon, until};
use futures_util::future::join_all;
use support::{ek, lineage, place, provision};
use wharf_jetstream::publisher::Publisher;
use wharf_jetstream::timers::{ArmResult, Fired, Firing, Firings, Timers};

fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970");
    since.as_millis().try_into().expect("a time")
}

async fn timers(server: &Server) -> Timers {
    provision(server, &place()).await;
    let connection = connect(server).await;
    let publisher = Publisher::new(connection.clone(), 1_024)
        .await
        .expect("a publisher");
    Timers::open(connection, publisher, lineage())
}

async fn firings(server: &Server, timers: &Timers) -> Firings {
    let mut firings = timers
        .firings(links(server).await, 0)
        .await
        .expect("the consumer");
    firings.grant(10_000);
    firings
}

async fn due(firings: &mut Firings) -> Firing {
    loop {
        match soon("a firing", firings.next()).await {
            Fired::Due(firing) => return firing,
            Fired::Unavailable { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timer_fires_once_at_its_time_and_one_of_the_past_at_once() {
    let server = Server::start();
    let timers = timers(&server).await;
    let mut firings = firings(&server, &timers).await;
    // Behind the middle of a second: without fractions it would fire too early.
    let late = (now_ms() / 1_000 + 2) * 1_000 + 900;
    assert_eq!(timers.arm(0, "late * one", late).await, ArmResult::Armed);
    assert_eq!(
        timers.arm(0, "past", now_ms() - 60_000).await,
        ArmResult::Armed
    );
    let first = due(&mut firings).await;
    assert_eq!((&first.key[..], now_ms() < late), ("past", true));
    first.token.ack_confirmed().await.expect("acknowledged");
    let second = due(&mut firings).await;
    let fired_ms = now_ms();
    assert_eq!(
        (&second.key[..], &second.ek),
        ("late * one", &ek("late * one"))
    );
    assert!(
        (late..late + 5_000).contains(&fired_ms),
        "{} ms off",
        fired_ms.abs_diff(late)
    );
    second.token.ack_confirmed().await.expect("acknowledged");
    let state = stream_state(&server).await;
    assert_eq!(state.messages, 0, "neither schedules nor firings are left");
}

#[tokio::test(flavor = "multi_thread")]
async fn arming_again_replaces_and_disarming_takes_back() {
    let server = Server::start();
    let timers = timers(&server).await;
    let start = now_ms();
    for due in [600, 60_000_000, 1_500] {
        assert_eq!(timers.arm(0, "a", start + due).await, ArmResult::Armed);
    }
    assert_eq!(timers.arm(0, "b", start + 700).await, ArmResult::Armed);
    assert!(timers.disarm(0, "b").await.expect("disarmed"));
    assert!(!timers.disarm(0, "b").await.expect("disarmed"));
    assert_eq!(timers.arm(0, "end", start + 2_500).await, ArmResult::Armed);
    let mut firings = firings(&server, &timers).await;
    let first = due(&mut firings).await;
    assert_eq!(first.key, "a");
    assert!(now_ms() >= start + 1_500, "the first time was replaced");
    assert_eq!(
        due(&mut firings).await.key,
        "end",
        "nothing else fired in between"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn pending_timers_and_unacknowledged_firings_survive_a_crash_of_the_server() {
    let mut server = Server::start();
    let timers = timers(&server).await;
    let start = now_ms();
    for n in 0..20 {
        assert_eq!(
            timers.arm(0, &format!("fired {n}"), start).await,
            ArmResult::Armed
        );
        assert_eq!(
            timers.arm(0, &format!("later {n}"), start + 4_000).await,
            ArmResult::Armed
        );
    }
    let has_fired = async || stream_subjects(&server, "f").await == 20;
    until("the past ones have fired", has_fired).await;
    server.kill();
    server.restart();
    let mut firings = firings(&server, &timers).await;
    let mut seen = BTreeMap::new();
    while seen.len() < 40 {
        let firing = due(&mut firings).await;
        assert!(
            !firing.key.starts_with("later") || now_ms() >= start + 4_000,
            "{}",
            firing.key
        );
        firing.token.ack_confirmed().await.expect("acknowledged");
        *seen.entry(firing.key).or_insert(0) += 1;
    }
    assert!(seen.values().all(|times| *times == 1), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_thousand_timers_none_is_lost() {
    const TIMERS: u64 = 1_000;
    let server = Server::start();
    let timers = timers(&server).await;
    let mut firings = firings(&server, &timers).await;
    let start = now_ms() + 300;
    let arm = |n: u64| {
        let timers = timers.clone();
        async move { timers.arm(0, &n.to_string(), start + n).await }
    };
    let armed = join_all((0..TIMERS).map(arm)).await;
    assert!(armed.iter().all(|result| *result == ArmResult::Armed));
    let mut seen = BTreeMap::new();
    while (seen.len() as u64) < TIMERS {
        let firing = due(&mut firings).await;
        firing.token.ack().await.expect("acknowledged");
        *seen.entry(firing.key).or_insert(0) += 1;
    }
    assert!(seen.values().all(|times| *times == 1), "some fired twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unacknowledged_firing_comes_again_and_a_stranger_is_passed_over() {
    let server = Server::start();
    let timers = timers(&server).await;
    let js = plain(&server).await;
    let stranger = format!("wt.{}.f.0.{}", lineage(), ek("somebody else"));
    js.publish(stranger, "not that key".into())
        .await
        .expect("sent")
        .await
        .expect("stored");
    timers.arm(0, "a", now_ms()).await;
    let mut first = firings(&server, &timers).await;
    let unacknowledged = due(&mut first).await;
    assert_eq!(unacknowledged.key, "a");
    first.stop_pulling();
    while !matches!(soon("the pulls lapse", first.next()).await, Fired::Lapsed) {}
    // Half the ack wait, so that a firing which is still ours stays ours.
    tokio::time::timeout(Duration::from_millis(500), async {
        let mut second = firings(&server, &timers).await;
        due(&mut second).await
    })
    .await
    .expect_err("nobody else gets it before its time");
    let mut after = firings(&server, &timers).await;
    assert_eq!(due(&mut after).await.key, "a");
}

async fn stream_state(server: &Server) -> async_nats::jetstream::stream::State {
    let stream = plain(server)
        .await
        .get_stream("WHARF-T-order-1")
        .await
        .expect("the stream");
    stream.cached_info().state.clone()
}

/// Subjects of schedules (`s`) or firings (`f`) that hold a message.
async fn stream_subjects(server: &Server, kind: &str) -> usize {
    use futures_util::TryStreamExt;
    let stream = plain(server)
        .await
        .get_stream("WHARF-T-order-1")
        .await
        .expect("the stream");
    let filter = format!("wt.{}.{kind}.>", lineage());
    let subjects = stream.info_with_subjects(filter).await.expect("subjects");
    subjects
        .try_collect::<Vec<_>>()
        .await
        .expect("all of them")
        .len()
}
