//! The shared consumer against a real server.

mod common;

use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use common::{Server, links, plain, soon, store, stream, until};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use wharf_jetstream::pull::{Delivery, Pace};
use wharf_jetstream::shared::{Event, SharedConsumer};

const MANY: u64 = 1_000_000;
const ACK_WAIT: Duration = Duration::from_secs(2);

struct Place {
    server: Server,
    js: async_nats::jetstream::Context,
    durable: PullConsumer,
}

fn config(ack_wait: Duration) -> pull::Config {
    pull::Config {
        durable_name: Some("work".to_owned()),
        ack_policy: AckPolicy::Explicit,
        ack_wait,
        max_ack_pending: 1_000,
        ..Default::default()
    }
}

async fn place() -> Place {
    place_with(ACK_WAIT).await
}

async fn place_with(ack_wait: Duration) -> Place {
    let server = Server::start();
    let js = plain(&server).await;
    let durable = stream(&js, "A")
        .await
        .create_consumer(config(ack_wait))
        .await
        .expect("a consumer");
    Place {
        server,
        js,
        durable,
    }
}

impl Place {
    async fn bind(&self) -> SharedConsumer {
        let links = links(&self.server).await;
        let bound = SharedConsumer::bind(links, "A", "work", Pace::default()).await;
        let mut shared = bound.expect("bound");
        shared.grant(MANY, MANY * 1024);
        shared
    }

    async fn unacknowledged(&self) -> usize {
        self.durable.get_info().await.expect("info").num_ack_pending
    }
}

async fn delivery(shared: &mut SharedConsumer) -> Delivery {
    loop {
        match soon("the next event", shared.next()).await {
            Event::Delivery(delivery) => return delivery,
            Event::Resumed { .. } | Event::Unavailable { .. } => {}
            other @ (Event::Gone | Event::Lapsed) => panic!("unexpected: {other:?}"),
        }
    }
}

async fn ack(delivery: &Delivery) {
    delivery
        .token
        .as_ref()
        .expect("a token")
        .ack()
        .await
        .expect("acknowledged");
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_events_are_over_and_others_come_again() {
    let place = place().await;
    for _ in 0..3 {
        store(&place.js, "a.1", "x").await;
    }
    let mut shared = place.bind().await;
    let first = delivery(&mut shared).await;
    let second = delivery(&mut shared).await;
    let third = delivery(&mut shared).await;
    assert_eq!(
        [&first, &second, &third].map(|d| d.position.sequence),
        [1, 2, 3]
    );
    ack(&first).await;
    third
        .token
        .as_ref()
        .expect("a token")
        .ack_confirmed()
        .await
        .expect("noted");
    let again = delivery(&mut shared).await;
    assert_eq!((again.position.sequence, again.delivered), (2, 2));
    ack(&again).await;
    until("all is acknowledged", async || {
        place.unacknowledged().await == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn work_in_progress_is_not_redelivered() {
    let place = place().await;
    store(&place.js, "a.1", "x").await;
    let mut shared = place.bind().await;
    let only = delivery(&mut shared).await;
    let token = only.token.clone().expect("a token");
    let deadline = tokio::time::Instant::now() + ACK_WAIT * 3;
    while tokio::time::Instant::now() < deadline {
        token.in_progress().await.expect("told");
        let next = tokio::time::timeout(ACK_WAIT / 4, shared.next()).await;
        assert!(next.is_err(), "redelivered: {next:?}");
    }
    ack(&only).await;
    until("all is acknowledged", async || {
        place.unacknowledged().await == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hosts_share_the_events_and_a_killed_server_loses_none() {
    let mut place = place().await;
    for _ in 0..500 {
        store(&place.js, "a.1", "x").await;
    }
    let mut hosts = [place.bind().await, place.bind().await];
    let mut handled: BTreeMap<u64, usize> = BTreeMap::new();
    for host in &mut hosts {
        host.grant(0, 0);
    }
    let [one, two] = &mut hosts;
    let mut killed = false;
    soon("all events", async {
        while handled.len() < 500 {
            let event = tokio::select! {
                event = one.next() => event,
                event = two.next() => event,
            };
            if let Event::Delivery(delivery) = event {
                ack(&delivery).await;
                *handled.entry(delivery.position.sequence).or_default() += 1;
            }
            if handled.len() == 100 && !killed {
                killed = true;
                place.server.kill();
                place.server.restart();
            }
        }
    })
    .await;
    assert!(killed);
    assert_eq!(
        handled.keys().copied().collect::<Vec<_>>(),
        (1..=500).collect::<Vec<_>>()
    );
    // Acknowledgements may have been lost in the cut; then they come again.
    let drain = async {
        loop {
            let event = tokio::select! {
                event = one.next() => event,
                event = two.next() => event,
            };
            if let Event::Delivery(delivery) = event {
                ack(&delivery).await;
            }
        }
    };
    let done = until("all is acknowledged", async || {
        place
            .durable
            .get_info()
            .await
            .is_ok_and(|info| info.num_ack_pending == 0)
    });
    tokio::select! {
        () = drain => unreachable!("it goes on for ever"),
        () = done => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_server_is_noticed_and_pulling_goes_on() {
    let place = place().await;
    let mut shared = place.bind().await;
    store(&place.js, "a.1", "x").await;
    ack(&delivery(&mut shared).await).await;
    place.server.freeze();
    let waiting = tokio::time::timeout(Duration::from_secs(3), shared.next()).await;
    assert!(
        waiting.is_err(),
        "nothing can be reported while nothing answers: {waiting:?}"
    );
    place.server.thaw();
    let resumed = soon("it goes on", shared.next()).await;
    assert!(matches!(resumed, Event::Resumed { .. }), "{resumed:?}");
    let sequence = store(&place.js, "a.1", "x").await;
    assert_eq!(delivery(&mut shared).await.position.sequence, sequence);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vanished_consumer_is_said_to_be_gone_and_used_once_it_is_back() {
    let place = place().await;
    let mut shared = place.bind().await;
    store(&place.js, "a.1", "x").await;
    ack(&delivery(&mut shared).await).await;
    let stream = place.js.get_stream("A").await.expect("the stream");
    stream.delete_consumer("work").await.expect("deleted");
    let gone = soon("the news", shared.next()).await;
    assert!(matches!(gone, Event::Gone), "{gone:?}");
    stream
        .create_consumer(config(ACK_WAIT))
        .await
        .expect("a consumer");
    let again = loop {
        match soon("the next event", shared.next()).await {
            Event::Delivery(delivery) => break delivery,
            Event::Gone | Event::Resumed { .. } | Event::Unavailable { .. } => {}
            Event::Lapsed => panic!("not stopped"),
        }
    };
    assert_eq!(again.position.sequence, 1);

    let missing = SharedConsumer::bind(links(&place.server).await, "A", "none", Pace::default());
    let error = missing.await.err().expect("no such consumer");
    assert_eq!(error.api_code(), Some(10014));
}

#[tokio::test(flavor = "multi_thread")]
async fn interleaving_16_what_a_drain_releases_does_not_come_back_to_it() {
    // What expires is sorted by the server; here only the release decides.
    let place = place_with(Duration::from_secs(60)).await;
    for _ in 0..20 {
        store(&place.js, "a.1", "x").await;
    }
    let mut shared = place.bind().await;
    let mut begun = BTreeSet::new();
    let mut waiting = Vec::new();
    for number in 0..20 {
        let delivery = delivery(&mut shared).await;
        if number % 2 == 0 {
            ack(&delivery).await;
            begun.insert(delivery.position.sequence);
        } else {
            waiting.push(delivery);
        }
    }
    // Pulls are still open: what is stored now still arrives here.
    store(&place.js, "a.1", "late").await;
    shared.stop_pulling();
    waiting.extend(soon("pulls lapse", shared.lapsed()).await);
    waiting.reverse();
    let tokens: Vec<_> = waiting
        .iter()
        .filter_map(|delivery| delivery.token.clone())
        .collect();
    assert_eq!(tokens.len(), 11);
    shared.release(tokens).await.expect("released");
    let back = tokio::time::timeout(Duration::from_millis(500), shared.next()).await;
    assert!(back.is_err(), "it came back: {back:?}");

    let mut other = place.bind().await;
    let mut found = Vec::new();
    for _ in 0..11 {
        let delivery = delivery(&mut other).await;
        assert_eq!(delivery.delivered, 2);
        ack(&delivery).await;
        found.push(delivery.position.sequence);
    }
    assert!(found.is_sorted(), "{found:?}");
    assert!(found.iter().all(|sequence| !begun.contains(sequence)));
}

#[tokio::test(flavor = "multi_thread")]
#[should_panic(expected = "released while pulling")]
async fn releasing_before_pulls_have_lapsed_is_a_mistake() {
    let place = place().await;
    let mut shared = place.bind().await;
    let _ = shared.release(Vec::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_around_headers_that_are_not_text_all_come_and_can_be_acknowledged() {
    let place = place().await;
    let bad = BTreeSet::from([3, 6, 7]);
    for sequence in 1..=10u64 {
        if bad.contains(&sequence) {
            place
                .server
                .publish_raw("a.bad", b"NATS/1.0\r\nx: \xff\r\n\r\n", b"bytes");
        } else {
            store(&place.js, "a.good", "x").await;
        }
    }
    let mut shared = place.bind().await;
    let mut found = BTreeSet::new();
    soon("all events", async {
        while found.len() < 10 {
            let delivery = delivery(&mut shared).await;
            let sequence = delivery.position.sequence;
            if bad.contains(&sequence) {
                assert_eq!(
                    &delivery.headers.block()[..],
                    b"NATS/1.0\r\nx: \xff\r\n\r\n"
                );
            }
            delivery
                .token
                .as_ref()
                .expect("a token")
                .ack_confirmed()
                .await
                .expect("noted");
            found.insert(sequence);
        }
    })
    .await;
    assert_eq!(found, (1..=10).collect());
    until("all is acknowledged", async || {
        place.unacknowledged().await == 0
    })
    .await;
}
