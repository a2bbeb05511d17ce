//! Three nodes: what one node never shows. Copies that lag, routes that break
//! while both ends stay up, and leaders that move.

mod common;
mod support;

use async_nats::Client;
use async_nats::jetstream;
use bytes::Bytes;
use common::cluster::{Cluster, NODES};
use common::proxy::{Flow, Proxy};
use common::reading::{MANY, mark, sequences};
use common::{connect, links, plain, soon, store, until};
use futures_util::StreamExt;
use futures_util::future::join_all;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::{commit, ek, ledger_on, options, place, provision};
use wharf_jetstream::assets::{Place, PlaceRegistry};
use wharf_jetstream::connection::{self, Links, Purpose};
use wharf_jetstream::ledger::{CommitOptions, CommitResult, Ledger};
use wharf_jetstream::reader::{self, CONSUMER_PREFIX, Event, Reader, Reason, Settings};
use wharf_jetstream::registry::{CODE_STREAM, Registry};

/// Three servers want the machine for themselves.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A stream on `a.>`, in files on all nodes.
async fn stream(js: &jetstream::Context) -> jetstream::stream::Stream {
    let config = jetstream::stream::Config {
        name: "A".into(),
        subjects: vec!["a.>".into()],
        num_replicas: NODES,
        allow_direct: true,
        ..Default::default()
    };
    js.create_stream(config).await.expect("a stream")
}

mod copies_that_lag {
    use super::*;

    const LEDGER: &str = "WHARF-L-order-1";
    const KEYS: usize = 8;
    /// Of each key.
    const ROUNDS: usize = 200;
    /// How late the copy beside the host is.
    const LAG: Duration = Duration::from_millis(5);
    const SWEPT_LATE: Duration = Duration::from_millis(100);

    /// Reads after each acknowledged write of one key.
    #[derive(Debug, Default)]
    struct Seen {
        reads: usize,
        /// Plain direct gets that showed less than was acknowledged.
        stale_direct: usize,
        /// The same of the ledger's own reads; there must be none.
        stale: Vec<(u64, u64)>,
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn interleaving_11_a_record_is_never_older_than_ones_own_write_or_the_takeover() {
        let _machine = ALONE.lock().await;
        let cluster = Cluster::start().await;
        let client = provisioned(&cluster).await;
        // A host is answered by the copy of the node that it is connected to.
        let leader = cluster.stream_leader(&client, LEDGER).await;
        let (near, far) = ((leader + 1) % NODES, (leader + 2) % NODES);
        let here = ledger_on(connect(cluster.node(near)).await).await;
        let there = ledger_on(connect(cluster.node(far)).await).await;
        let checkpoint = here.write_checkpoint(0, 0, "c".into()).await;
        assert!(matches!(checkpoint, CommitResult::Committed { .. }));
        here.set_floor_from_leader().await.expect("the floor");
        let direct = plain(cluster.node(near)).await;

        let mut partitions = 1..;
        for lag in [Duration::ZERO, LAG] {
            cluster.route_of_copies(leader, near, Flow::Late(lag));
            let keys = |what: &'static str| (0..KEYS).map(move |n| format!("{what}-{n}-{lag:?}"));
            let own = keys("own").map(|key| after_own_writes(&here, &direct, key));
            let own = sum(join_all(own).await);
            println!(
                "lag {lag:?}, after one's own writes: {own:?}; {:?}",
                here.reads()
            );
            let taken = keys("taken").zip(partitions.by_ref());
            let taken = taken.map(|taken| after_takeovers(&there, &here, &direct, taken));
            let taken = sum(join_all(taken).await);
            println!("lag {lag:?}, after takeovers: {taken:?}");
            assert_eq!(own.stale, [], "older than one's own write");
            assert_eq!(taken.stale, [], "older than the ledger at the takeover");
            if lag > Duration::ZERO {
                assert!(own.stale_direct > 0, "no copy lagged, so nothing was shown");
            }
        }
        assert!(here.reads().batched > 0, "no batch was read");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_sweep_beside_a_copy_that_lags_finds_what_was_held_just_before() {
        let _machine = ALONE.lock().await;
        let cluster = Cluster::start().await;
        let client = provisioned(&cluster).await;
        let leader = cluster.stream_leader(&client, LEDGER).await;
        let ledger = ledger_on(connect(cluster.node(leader)).await).await;
        commit(&ledger, "not held", 0, "x").await;
        // The broker chooses where the sweep's consumer lives.
        for other in (0..NODES).filter(|other| *other != leader) {
            cluster.route_of_copies(leader, other, Flow::Late(SWEPT_LATE));
        }
        for nth in 0..6 {
            let ek = ek(&format!("held-{nth}"));
            let options = CommitOptions {
                hold: true,
                ..options()
            };
            let written = ledger.commit(&ek, 0, "x".into(), &options).await;
            assert!(
                matches!(written, CommitResult::Committed { .. }),
                "{written:?}"
            );
            let mut sweep = ledger.sweep_held().await.expect("a sweep");
            let mut found = Vec::new();
            while let Some(held) = soon("the sweep", sweep.next()).await.expect("goes on") {
                found.push(held.ek);
            }
            assert_eq!(found.len(), nth + 1, "{found:?}");
            assert_eq!(found.last(), Some(&ek));
        }
    }

    async fn provisioned(cluster: &Cluster) -> Client {
        let mut place = place();
        place.streams.iter_mut().for_each(|s| s.replicas = 3);
        place.handlers.iter_mut().for_each(|h| h.replicas = 3);
        provision(cluster.node(0), &place).await;
        async_nats::connect(cluster.url(0))
            .await
            .expect("connected")
    }

    async fn after_own_writes(ledger: &Ledger, direct: &jetstream::Context, key: String) -> Seen {
        let mut seen = Seen::default();
        let mut revision = 0;
        for _ in 0..ROUNDS {
            revision = commit(ledger, &key, revision, "x").await;
            seen.look(ledger, direct, &key, revision).await;
        }
        seen
    }

    /// Another host's writes, and each time a host that takes over: it writes the
    /// checkpoint, and asks the leader. What that says is not enough: a leader that
    /// has just been elected may know of less than was acknowledged.
    async fn after_takeovers(
        writer: &Ledger,
        host: &Ledger,
        direct: &jetstream::Context,
        (key, partition): (String, u32),
    ) -> Seen {
        let mut seen = Seen::default();
        let mut revision = 0;
        let mut checkpoint = 0;
        for _ in 0..ROUNDS {
            revision = commit(writer, &key, revision, "x").await;
            let written = host.write_checkpoint(partition, checkpoint, "c".into());
            let CommitResult::Committed { revision: taken } = written.await else {
                panic!("the checkpoint is another's");
            };
            checkpoint = taken;
            host.set_floor_from_leader().await.expect("the floor");
            seen.look(host, direct, &key, revision).await;
        }
        seen
    }

    impl Seen {
        /// Reads a key both ways.
        async fn look(
            &mut self,
            ledger: &Ledger,
            direct: &jetstream::Context,
            key: &str,
            least: u64,
        ) {
            let ek = ek(key);
            let path = format!("DIRECT.GET.{LEDGER}.{}", ledger.lineage().record(&ek));
            let client = direct.client();
            let plainly = client.request(format!("$JS.API.{path}"), "".into());
            let (plainly, loaded) = tokio::join!(plainly, ledger.load(&ek));
            let headers = plainly.expect("an answer").headers;
            let sequence = headers
                .as_ref()
                .and_then(|headers| headers.get("Nats-Sequence"));
            let plainly = sequence.map_or(0, |at| at.as_str().parse().expect("a number"));
            let loaded = loaded.expect("read").map_or(0, |record| record.revision);
            self.reads += 1;
            self.stale_direct += usize::from(plainly < least);
            if loaded < least {
                self.stale.push((least, loaded));
            }
        }
    }

    fn sum(all: Vec<Seen>) -> Seen {
        all.into_iter().fold(Seen::default(), |mut sum, one| {
            sum.reads += one.reads;
            sum.stale_direct += one.stale_direct;
            sum.stale.extend(one.stale);
            sum
        })
    }
}

/// How late the copy is beside the host that fetches.
const OBJECTS_LATE: Duration = Duration::from_millis(100);

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_was_put_is_fetched_at_once_beside_a_copy_that_lags() {
    let _machine = ALONE.lock().await;
    let cluster = Cluster::start().await;
    let place = Place {
        registry: Some(PlaceRegistry { replicas: 3 }),
        ..Place::default()
    };
    provision(cluster.node(0), &place).await;
    let client = plain(cluster.node(0)).await.client();
    let leader = cluster.stream_leader(&client, CODE_STREAM).await;
    let (near, far) = ((leader + 1) % NODES, (leader + 2) % NODES);
    let registry = async |node| {
        let connection = connect(cluster.node(node)).await;
        Registry::open(connection).await.expect("opened")
    };
    let (here, there) = (registry(near).await, registry(far).await);
    cluster.route_of_copies(leader, near, Flow::Late(OBJECTS_LATE));
    for nth in 0..12u8 {
        let bytes = Bytes::from(vec![nth; 900 << 10]);
        let digest = there.put_object(&bytes).await.expect("put");
        let fetched = here.object(digest).await;
        assert!(
            fetched == Ok(bytes),
            "{nth}: {:?}",
            fetched.map(|found| found.len())
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn interleaving_29_the_last_event_of_all_that_dies_with_a_route_is_delivered() {
    let _machine = ALONE.lock().await;
    let cluster = Cluster::start().await;
    let publisher = plain(cluster.node(0)).await;
    stream(&publisher).await;
    store(&publisher, "a.1", "").await;
    // What is stored has to be on its way from the reader's node only.
    let leader = cluster.stream_leader(&publisher.client(), "A").await;
    let home = (leader + 1) % NODES;
    let publisher = plain(cluster.node(leader)).await;
    let links = links(cluster.node(home)).await;
    let (mut reader, elsewhere) = reader_elsewhere(&cluster, &links, home).await;

    // The last event of all dies on the route between reader and client.
    cluster.route(elsewhere, home, Flow::Lost);
    let sent = publisher.publish("a.1", "lost on its way".into()).await;
    let stored = sent.expect("sent");
    let reading = async {
        let begun = Instant::now();
        let (found, reasons) = sequences(&mut reader, 1).await;
        (found, reasons, begun.elapsed())
    };
    let breaking = async {
        until("the delivery is lost", async || {
            cluster.lost("$JS.ACK.A.") > 0
        })
        .await;
        cluster.cut(elsewhere, home);
        cluster.heal();
    };
    let ((found, reasons, took), ()) = tokio::join!(reading, breaking);
    println!("noticed after {took:?}: {reasons:?}");
    assert_eq!(found, [2]);
    let missed = Reason::Missed {
        sent: 2,
        received: 1,
    };
    assert_eq!(reasons, [missed]);
    assert_eq!(
        links.consume.status().borrow().reconnects,
        0,
        "the client saw no break"
    );
    assert_eq!(stored.await.expect("stored").sequence, 2);
}

/// How long connections break, five times a second and more.
const STORM: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn interleaving_34_a_storm_of_reconnects_piles_up_no_consumers() {
    const READERS: usize = 6;
    let _machine = ALONE.lock().await;
    let cluster = Cluster::start().await;
    let js = plain(cluster.node(0)).await;
    stream(&js).await;
    let way = Proxy::to(cluster.node(1).port()).await;
    let census = Census::begin(&js).await;
    let (last, told) = tokio::sync::watch::channel(u64::MAX);
    let readers = (0..READERS).map(|n| {
        let (url, last) = (way.url(), told.clone());
        async move { read_all(&url, &format!("r{n}"), last).await }
    });
    let readers: Vec<_> = readers.map(tokio::spawn).collect();

    let begun = Instant::now();
    let mut most = BTreeMap::new();
    let mut stored = 0;
    while begun.elapsed() < STORM {
        stored = store(&js, "a.1", "").await;
        for _ in 0..4 {
            tokio::time::sleep(Duration::from_millis(40)).await;
            let now = by_label(consumers(&js).await);
            now.into_iter().for_each(|(label, count)| {
                let most: &mut usize = most.entry(label).or_default();
                *most = count.max(*most);
            });
        }
        way.cut("");
    }
    last.send_replace(stored);
    let all: Vec<u64> = (1..=stored).collect();
    for reader in readers {
        assert_eq!(reader.await.expect("no panic"), all);
    }
    let seconds = usize::try_from(begun.elapsed().as_secs()).expect("few") + 1;
    let made = census.made();
    println!(
        "in {:?} made {made:?}, at most at once {most:?}",
        begun.elapsed()
    );
    assert_eq!(made.len(), READERS);
    assert!(made.values().all(|made| *made > 1), "the storm was none");
    assert!(
        made.values().all(|made| *made <= seconds),
        "more than one a second"
    );
    assert!(most.values().all(|most| *most == 1), "one beside another");
}

/// Reads until the event that `last` names in the end; what came.
async fn read_all(url: &str, label: &str, last: tokio::sync::watch::Receiver<u64>) -> Vec<u64> {
    let settings = connection::Settings::new("test", url);
    let connected = |purpose| {
        let settings = settings.clone();
        let once = async move || connection::connect(&settings, &purpose).await.ok();
        async move {
            loop {
                if let Some(connection) = once().await {
                    return connection;
                }
            }
        }
    };
    let links = Links {
        control: connected(Purpose::Control).await,
        consume: connected(Purpose::Consume(label.to_owned())).await,
    };
    let mark = loop {
        // The answer may be lost in the storm.
        if let Ok(facts) = reader::facts(&links.control, "A").await {
            break facts.mark_before(1);
        }
    };
    let mut reader = Reader::open(links, "A", vec![], mark, Settings::new(label));
    reader.grant(MANY, MANY * 1024);
    let mut found = Vec::new();
    soon("all events", async {
        while found.last() != Some(&*last.borrow()) {
            let next = tokio::time::timeout(Duration::from_millis(200), reader.next());
            if let Ok(event) = next.await
                && let Event::Delivery(delivery) = event.expect("the same source")
            {
                found.push(delivery.position.sequence);
            }
        }
    })
    .await;
    found
}

/// Counts the consumers that are made, by their readers' labels.
struct Census(Arc<Mutex<Vec<String>>>);

impl Census {
    async fn begin(js: &jetstream::Context) -> Self {
        let client = js.client();
        let created = client
            .subscribe("$JS.EVENT.ADVISORY.CONSUMER.CREATED.A.*")
            .await;
        let mut created = created.expect("subscribed");
        client.flush().await.expect("the server knows");
        let names = Arc::new(Mutex::new(Vec::new()));
        let seen = names.clone();
        tokio::spawn(async move {
            while let Some(message) = created.next().await {
                let name = message.subject.rsplit('.').next().expect("a token");
                seen.lock().expect("no panic").push(name.to_owned());
            }
        });
        Self(names)
    }

    fn made(&self) -> BTreeMap<String, usize> {
        by_label(self.0.lock().expect("no panic").clone())
    }
}

fn by_label(consumers: Vec<String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for name in consumers {
        let label = name
            .strip_prefix(CONSUMER_PREFIX)
            .and_then(|rest| rest.rsplit_once('-'));
        *counts
            .entry(label.expect("a reader's").0.to_owned())
            .or_default() += 1;
    }
    counts
}

/// A reader that has read event 1, and whose consumer lives on another node.
async fn reader_elsewhere(cluster: &Cluster, links: &Links, home: usize) -> (Reader, usize) {
    let js = plain(cluster.node(home)).await;
    soon("a consumer on another node", async {
        loop {
            let mut reader = open(links, "last").await;
            assert_eq!(sequences(&mut reader, 1).await.0, [1]);
            let consumer = consumers(&js).await.pop().expect("the reader's consumer");
            let lives = cluster.consumer_leader(&js.client(), "A", &consumer).await;
            if lives != home {
                return (reader, lives);
            }
            reader.close().await;
        }
    })
    .await
}

/// A reader of everything, with all credit, so patient that the time in which a
/// route comes back is no silence.
async fn open(links: &Links, label: &str) -> Reader {
    let mut settings = Settings::new(label);
    settings.pace.expires = Duration::from_secs(12);
    settings.pace.heartbeat = Duration::from_secs(3);
    let mark = mark(links, "A", 1).await;
    let mut reader = Reader::open(links.clone(), "A", vec![], mark, settings);
    reader.grant(MANY, MANY * 1024);
    reader
}

async fn consumers(js: &jetstream::Context) -> Vec<String> {
    use futures_util::TryStreamExt;
    let stream = js.get_stream("A").await.expect("the stream");
    stream.consumer_names().try_collect().await.expect("names")
}
