//! The probe on three nodes, and the hosts that run it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::jetstream;
use futures_util::TryStreamExt;
use futures_util::future::join_all;
use wharf_demo::HostProcess;
use wharf_demo::process::HostOptions;

use crate::cluster::{Cluster, NODES};
use crate::probe::{Probe, STREAMS, bundle};
use crate::proxy::{Flow, Proxy, Way};
use crate::support::{Broker, Plan, SOON, Site, folder, started, until};

/// The shortest that a place may ask for.
pub const LEASE: Duration = Duration::from_secs(3);
const NAMES: [&str; 2] = ["a", "b"];

/// Two seats for hosts, and what both of them work on.
pub struct Stand {
    pub probe: Probe<Cluster>,
    pub seats: Vec<Seat>,
}

/// A host's own way to the broker, and what it is started with.
pub struct Seat {
    pub way: Proxy,
    pub options: HostOptions,
}

impl Seat {
    /// What connections of this kind say and hear from now on arrives when the way
    /// is healed; `which` is a part of their name.
    pub fn hang(&self, which: &str) {
        for way in [Way::ToServer, Way::FromServer] {
            self.way.set_for(which, way, Flow::HangAfter(0));
        }
    }
}

impl Broker for Cluster {
    fn urls(&self) -> Vec<String> {
        self.urls()
    }
}

/// The streams of a `wharf.toml`, on all nodes, and none of them small.
fn replicated(streams: &str) -> String {
    let large = streams.replace("\"1MiB\"", "\"512MiB\"");
    large.replace("\nmax_bytes", "\nreplicas = 3\nmax_bytes")
}

/// A site on three nodes that has all its streams.
pub async fn site(plan: Plan) -> Site<Cluster> {
    let plan = Plan {
        streams: replicated(&plan.streams),
        ..plan
    };
    let site = Site::around(Cluster::start().await, folder(), plan).await;
    site.provision().await;
    assert_replicated(&site).await;
    site
}

/// Whatever was made for the handlers follows what the place says of streams.
async fn assert_replicated(site: &Site<Cluster>) {
    let jetstream = jetstream::new(site.client().await);
    let streams: Vec<_> = jetstream.streams().try_collect().await.expect("listed");
    for stream in streams {
        let config = stream.config;
        assert_eq!(config.num_replicas, NODES, "copies of {}", config.name);
    }
}

impl Stand {
    /// Seats on different nodes. No host runs.
    pub async fn set() -> Self {
        Self::of(bundle()).await
    }

    /// The same with another version of the probe.
    pub async fn of(bundles: PathBuf) -> Self {
        let lease = format!("lease = \"{}s\"", LEASE.as_secs());
        let site = site(Plan::of(bundles, STREAMS).host(&lease)).await;
        let mut seats = Vec::new();
        for (node, name) in NAMES.iter().enumerate() {
            let way = Proxy::to(site.nats.node(node).port()).await;
            let options = site.seat(name, &[way.url()]);
            seats.push(Seat { way, options });
        }
        let probe = Probe::of(site).await;
        Self { probe, seats }
    }

    /// Hosts run what is deployed, and bring nothing themselves; the folder that
    /// they would have brought.
    pub fn follow_the_registry(&mut self) -> String {
        for seat in &mut self.seats {
            seat.options.handlers = None;
        }
        let bundles = self.probe.site.options.handlers.as_ref();
        let bundles = bundles.and_then(|bundles| bundles.to_str());
        bundles.expect("UTF-8").to_owned()
    }

    /// A host in each seat, all of them ready.
    pub async fn hosts(&self) -> Vec<HostProcess> {
        let mut hosts = Vec::new();
        for seat in &self.seats {
            hosts.push(started(&seat.options).await);
        }
        hosts
    }

    /// The seat of the host that owns the partition, and has for a while.
    pub async fn owner(&self) -> usize {
        let mut seen = self.probe.ledger.checkpoint().await;
        loop {
            self.probe.ledger.beats().await;
            let now = self.probe.ledger.checkpoint().await;
            if now.epoch == seen.epoch && !now.released && !now.owner.is_empty() {
                return seat_of(&now.owner);
            }
            seen = now;
        }
    }

    /// Waits until another host owns the partition.
    pub async fn until_taken_from(&self, seat: usize) {
        let what = format!("another host than {} to take over", NAMES[seat]);
        let look = || async {
            let owner = self.probe.ledger.checkpoint().await.owner;
            (!owner.is_empty() && seat_of(&owner) != seat).then_some(())
        };
        until(&what, SOON, look).await;
    }

    /// Notes for each key, in order and one behind the other, for as long as
    /// `acts` goes on; what was sent.
    pub async fn send_notes_during(
        &self,
        keys: &[&str],
        pause: Duration,
        acts: impl Future<Output = ()>,
    ) -> Vec<(String, Vec<String>)> {
        let note = |key: &str, nth: usize| ("note", vec![format!("{key}-{nth}")]);
        self.send_during(keys, pause, note, acts).await
    }

    /// The same with other events: `event` gives a type, and the lines that the
    /// event tells of.
    pub async fn send_during(
        &self,
        keys: &[&str],
        pause: Duration,
        event: impl Fn(&str, usize) -> (&'static str, Vec<String>),
        acts: impl Future<Output = ()>,
    ) -> Vec<(String, Vec<String>)> {
        let over = AtomicBool::new(false);
        let of_key = async |key: &&str| {
            let (mut sent, mut nth) = (Vec::new(), 0);
            while !over.load(Ordering::Relaxed) {
                let (what, lines) = event(key, nth);
                self.probe.send(key, what, lines.join(" ")).await;
                sent.extend(lines);
                nth += 1;
                tokio::time::sleep(pause).await;
            }
            (key.to_string(), sent)
        };
        let acting = async {
            acts.await;
            over.store(true, Ordering::Relaxed);
        };
        tokio::join!(join_all(keys.iter().map(of_key)), acting).0
    }

    /// Each line took effect once and in order: in the state, and outside.
    pub async fn assert_done(&self, sent: &[(String, Vec<String>)]) {
        let lines: usize = sent.iter().map(|(_, lines)| lines.len()).sum();
        until(&format!("{lines} lines outside"), 2 * SOON, || async {
            let extent = self.probe.noted.extent().await.ok()?;
            (extent.messages >= lines as u64).then_some(())
        })
        .await;
        let mut told = BTreeMap::<String, Vec<String>>::new();
        for message in self.probe.noted.read_all().await.expect("read") {
            let key = message.subject.trim_start_matches("noted.").to_owned();
            let line = String::from_utf8(message.data).expect("text");
            let line = line.trim_end().to_owned();
            told.entry(key).or_default().push(line);
        }
        for (key, lines) in sent {
            assert_eq!(told.get(key), Some(lines), "told of {key}");
            assert_eq!(&self.probe.state(key).await, lines, "state of {key}");
        }
    }
}

/// The hosts of a stand have settled everything, and say so.
pub async fn until_at_rest(hosts: &[HostProcess]) {
    for host in hosts {
        let look = || async {
            let samples = host.metrics().await.ok()?;
            (samples.count("wharf_unsettled", &[("handler", "probe")]) == 0).then_some(())
        };
        until("a host at rest", SOON, look).await;
    }
}

/// What all hosts have counted.
pub async fn counted(hosts: &[HostProcess], name: &str) -> u64 {
    let of_host = async |host: &HostProcess| {
        let samples = host.metrics().await.expect("the host answers");
        samples.count(name, &[("handler", "probe")])
    };
    join_all(hosts.iter().map(of_host)).await.iter().sum()
}

fn seat_of(owner: &str) -> usize {
    let found = NAMES
        .iter()
        .position(|name| owner.starts_with(&format!("{name}-")));
    found.unwrap_or_else(|| panic!("an unknown owner: {owner}"))
}
