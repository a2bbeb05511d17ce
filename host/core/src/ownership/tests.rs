use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::report::{FORMAT, HandlerReport};

const LEASE_MS: u64 = 10_000;
const IN_USE: Named = Named {
    number: 2,
    component: Digest([2; 32]),
};
const OLD: Named = Named {
    number: 1,
    component: Digest([1; 32]),
};

fn share(handler: &str) -> Share<'_> {
    Share {
        handler,
        partition: 0,
        version: IN_USE,
        generation: "g1",
    }
}

fn runs(version: Named, generation: &str) -> HandlerReport {
    let running = Running {
        version: version.number,
        component: version.component,
        generation: generation.to_owned(),
        since_ms: 0,
    };
    HandlerReport {
        running: Some(running),
        ..HandlerReport::default()
    }
}

fn report(host: &str, state: HandlerReport) -> HostReport {
    HostReport {
        format: FORMAT,
        host: host.to_owned(),
        wharf: String::new(),
        started_ms: 0,
        written_ms: 0,
        draining: false,
        handlers: BTreeMap::from([("order".to_owned(), state)]),
    }
}

fn asker(host: &str, owned: usize) -> Asker<'_> {
    Asker {
        host,
        version: IN_USE,
        owned,
    }
}

/// The two hosts in the order that hashing gives them for `order`.
fn ranked<'a>(one: &'a str, other: &'a str) -> [&'a str; 2] {
    let mut hosts = [one, other];
    hosts.sort_by_key(|host| weight(&share("order"), host));
    hosts
}

/// Reports of a host, as often as it writes them, from `from_ms` to `to_ms`.
fn keeps_reporting(peers: &mut Peers, host: &str, from_ms: u64, to_ms: u64) {
    for now_ms in (from_ms..=to_ms).step_by(3_000) {
        peers.saw(report(host, runs(IN_USE, "g1")), now_ms);
    }
    peers.saw(report(host, runs(IN_USE, "g1")), to_ms);
}

/// What an owner of two partitions does for a host that owns none.
fn given_up(peers: &Peers, owner: &str, now_ms: u64) -> Option<Successor> {
    peers.successor(&share("order"), &asker(owner, 2), now_ms)
}

fn freer(host: &str, at_once: usize) -> Option<Successor> {
    let host = host.to_owned();
    Some(Successor::Freer { host, at_once })
}

#[test]
fn all_hosts_agree_on_one_order_and_each_has_its_own_place() {
    let hosts = ["a", "b", "c"];
    let turns = hosts.map(|me| {
        let mut peers = Peers::new(LEASE_MS, LEASE_MS);
        for other in hosts.iter().filter(|other| **other != me) {
            peers.saw(report(other, runs(IN_USE, "g1")), 0);
        }
        match peers.turn(&share("order"), &asker(me, 0), None, 1) {
            Turn::Rank(rank) => rank,
            Turn::Last => u32::MAX,
        }
    });
    assert_eq!(BTreeSet::from(turns), BTreeSet::from([0, 1, 2]));
}

#[test]
fn what_is_free_is_spread_and_a_host_that_leaves_moves_only_its_own() {
    let names: Vec<String> = (0..300).map(|n| format!("handler-{n}")).collect();
    let first = |name: &str, hosts: &[&'static str]| {
        let least = hosts.iter().min_by_key(|host| weight(&share(name), host));
        *least.expect("a host")
    };
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    for name in &names {
        let before = first(name, &["a", "b", "c"]);
        *counts.entry(before).or_default() += 1;
        if before != "c" {
            assert_eq!(first(name, &["a", "b"]), before);
        }
    }
    assert!(counts.values().all(|n| (70..130).contains(n)), "{counts:?}");
}

#[test]
fn an_owner_gives_up_to_a_host_that_was_there_for_two_leases_and_not_before() {
    let mut peers = Peers::new(LEASE_MS, LEASE_MS);
    keeps_reporting(&mut peers, "b", 5_000, 24_999);
    assert_eq!(given_up(&peers, "a", 24_999), None);
    assert_eq!(given_up(&peers, "a", 25_000), freer("b", 1));
}

#[test]
fn who_owns_one_more_keeps_it_and_of_several_only_the_one_with_most_gives() {
    let mut peers = Peers::new(LEASE_MS, LEASE_MS);
    keeps_reporting(&mut peers, "b", 0, 30_000);
    let asked =
        |peers: &Peers, host, owned| peers.successor(&share("order"), &asker(host, owned), 30_000);
    assert_eq!(asked(&peers, "a", 1), None);
    assert_eq!(asked(&peers, "a", 2), freer("b", 1));
    assert_eq!(asked(&peers, "a", 300), freer("b", 150));
    let owns = HandlerReport {
        owns: true,
        ..runs(IN_USE, "g1")
    };
    let mut busy = report("z", owns.clone());
    for handler in ["payment", "audit"] {
        busy.handlers.insert(handler.to_owned(), owns.clone());
    }
    peers.saw(busy, 30_000);
    // It owns three, and gives itself.
    assert_eq!(asked(&peers, "a", 3), None);
    assert_eq!(asked(&peers, "a", 4), freer("b", 1));
}

#[test]
fn a_report_that_comes_and_goes_moves_nothing() {
    let mut peers = Peers::new(LEASE_MS, LEASE_MS);
    // Each break is longer than a report lives, each stretch shorter than two leases.
    for round in 0..10 {
        let from_ms = round * 30_000;
        for now_ms in (from_ms..from_ms + 19_000).step_by(1_000) {
            peers.saw(report("b", runs(IN_USE, "g1")), now_ms);
            assert_eq!(given_up(&peers, "a", now_ms), None, "at {now_ms}");
        }
    }
}

#[test]
fn a_change_of_what_runs_begins_the_time_again() {
    let mut peers = Peers::new(LEASE_MS, LEASE_MS);
    keeps_reporting(&mut peers, "b", 0, 18_000);
    peers.saw(report("b", runs(OLD, "g1")), 19_000);
    keeps_reporting(&mut peers, "b", 21_000, 40_000);
    assert_eq!(given_up(&peers, "a", 40_999), None);
    keeps_reporting(&mut peers, "b", 40_000, 41_000);
    assert!(given_up(&peers, "a", 41_000).is_some());
}

#[test]
fn interleaving_35_who_lacks_or_refused_the_version_is_given_nothing() {
    let [preferred, owner] = ranked("a", "b");
    let paused = HandlerReport {
        paused: true,
        ..runs(IN_USE, "g1")
    };
    let same_component = Named {
        number: 1,
        ..IN_USE
    };
    let unfit = [
        ("refused, on the old version", runs(OLD, "g1")),
        ("refused, on the old manifest", runs(same_component, "g1")),
        ("refused, on none", HandlerReport::default()),
        ("paused", paused),
    ];
    for (what, state) in unfit {
        let mut peers = Peers::new(LEASE_MS, LEASE_MS);
        for now_ms in (0..=60_000).step_by(3_000) {
            peers.saw(report(preferred, state.clone()), now_ms);
        }
        assert_eq!(given_up(&peers, owner, 60_000), None, "{what}");
        let turn = peers.turn(&share("order"), &asker(owner, 0), None, 60_000);
        assert_eq!(turn, Turn::Rank(0), "{what}");
        assert!(!peers.is_fit(&share("order"), preferred, 60_000), "{what}");
    }
}

#[test]
fn interleaving_35_who_let_a_partition_lie_is_not_given_it_again_at_once() {
    let mut peers = Peers::new(LEASE_MS, LEASE_MS);
    keeps_reporting(&mut peers, "b", 0, 30_000);
    peers.declined("order", "b", 30_000);
    assert_eq!(given_up(&peers, "a", 30_000), None);
    let later = 30_000 + DECLINED_LEASES * LEASE_MS;
    keeps_reporting(&mut peers, "b", 30_000, later);
    assert!(given_up(&peers, "a", later).is_some());
}

#[test]
fn an_owner_on_the_wrong_version_gives_up_to_one_on_the_right() {
    for (owner, other) in [("a", "b"), ("b", "a")] {
        let mut peers = Peers::new(LEASE_MS, LEASE_MS);
        keeps_reporting(&mut peers, other, 0, 20_000);
        let unfit = Asker {
            version: OLD,
            ..asker(owner, 1)
        };
        let host = other.to_owned();
        let given_up = peers.successor(&share("order"), &unfit, 20_000);
        assert_eq!(given_up, Some(Successor::Fit { host }));
        assert_eq!(
            peers.turn(&share("order"), &unfit, None, 20_000),
            Turn::Last
        );
    }
}

#[test]
fn where_nobody_runs_the_version_in_use_those_on_another_take_turns() {
    let mut peers = Peers::new(LEASE_MS, LEASE_MS);
    let [first, second] = ranked("a", "b");
    let old = Asker {
        version: OLD,
        ..asker(second, 0)
    };
    peers.saw(report(first, runs(OLD, "g1")), 0);
    let turn = |peers: &Peers| peers.turn(&share("order"), &old, None, 1);
    assert_eq!(turn(&peers), Turn::Rank(1));
    // Of another subscription it could not own.
    peers.saw(report(first, runs(OLD, "g2")), 0);
    assert_eq!(turn(&peers), Turn::Rank(0));
}

#[test]
fn a_dead_owner_its_old_report_and_one_that_drains_keep_nobody_waiting() {
    let [first, second] = ranked("a", "b");
    let mut peers = Peers::new(LEASE_MS, LEASE_MS);
    peers.saw(report(first, runs(IN_USE, "g1")), 0);
    let share = share("order");
    let turn = |peers: &Peers, except, now| peers.turn(&share, &asker(second, 0), except, now);
    assert_eq!(turn(&peers, None, 1), Turn::Rank(1));
    assert_eq!(turn(&peers, Some(first), 1), Turn::Rank(0));
    assert_eq!(turn(&peers, None, LEASE_MS + 1), Turn::Rank(0));
    let draining = HostReport {
        draining: true,
        ..report(first, runs(IN_USE, "g1"))
    };
    peers.saw(draining, 2);
    assert_eq!(turn(&peers, None, 3), Turn::Rank(0));
    peers.saw(report(first, runs(IN_USE, "g1")), 4);
    peers.gone(first);
    assert_eq!(turn(&peers, None, 5), Turn::Rank(0));
}

/// Hosts that hear each other, and move partitions as they should.
struct World {
    hosts: Vec<String>,
    peers: Vec<Peers>,
    owner: BTreeMap<String, usize>,
    /// Of a handler that is swapped all the time.
    swapped: u32,
    moves: usize,
}

impl World {
    fn new(hosts: usize, handlers: usize) -> Self {
        let name = |n| format!("handler-{n}");
        Self {
            hosts: (0..hosts).map(|n| format!("host-{n}")).collect(),
            peers: (0..hosts).map(|_| Peers::new(LEASE_MS, LEASE_MS)).collect(),
            owner: (0..handlers).map(|n| (name(n), 0)).collect(),
            swapped: 2,
            moves: 0,
        }
    }

    fn owned(&self, host: usize) -> usize {
        self.owner.values().filter(|owner| **owner == host).count()
    }

    fn version(&self, handler: &str) -> Named {
        let swapped = handler == "handler-0";
        Named {
            number: if swapped { self.swapped } else { 2 },
            ..IN_USE
        }
    }

    fn report(&self, host: usize) -> HostReport {
        let state = |(handler, owner): (&String, &usize)| {
            let state = HandlerReport {
                owns: *owner == host,
                ..runs(self.version(handler), "g1")
            };
            (handler.clone(), state)
        };
        HostReport {
            handlers: self.owner.iter().map(state).collect(),
            ..report(&self.hosts[host], HandlerReport::default())
        }
    }

    /// Everybody reports, and each owner looks; one that gives up does so for as
    /// many as it may.
    fn step(&mut self, now_ms: u64) {
        for host in 0..self.hosts.len() {
            let report = self.report(host);
            for (at, peers) in self.peers.iter_mut().enumerate() {
                if at != host {
                    peers.saw(report.clone(), now_ms);
                }
            }
        }
        for host in 0..self.hosts.len() {
            self.look(host, now_ms);
        }
    }

    fn look(&mut self, host: usize, now_ms: u64) {
        let own = self.owner.iter().filter(|(_, owner)| **owner == host);
        let own: Vec<String> = own.map(|(handler, _)| handler.clone()).collect();
        let owned = own.len();
        let mut given = 0;
        for handler in own {
            let version = self.version(&handler);
            let share = Share {
                version,
                ..share(&handler)
            };
            let asker = Asker {
                version,
                ..asker(&self.hosts[host], owned)
            };
            let successor = self.peers[host].successor(&share, &asker, now_ms);
            let Some(Successor::Freer { host: to, at_once }) = successor else {
                continue;
            };
            if given < at_once {
                given += 1;
                self.moves += 1;
                let to = self.hosts.iter().position(|name| *name == to);
                self.owner.insert(handler, to.expect("a host"));
            }
        }
    }
}

#[test]
fn what_one_host_owns_is_spread_evenly_and_then_nothing_moves_whatever_is_swapped() {
    for (hosts, handlers) in [(2, 5), (3, 5), (3, 40), (10, 7), (10, 100)] {
        let mut world = World::new(hosts, handlers);
        let mut now_ms = 0;
        let mut run = |world: &mut World, steps: u64, swap: bool| {
            for _ in 0..steps {
                now_ms += 2_000;
                world.swapped += u32::from(swap);
                world.step(now_ms);
            }
        };
        run(&mut world, 200, false);
        let owned: Vec<usize> = (0..hosts).map(|host| world.owned(host)).collect();
        let most = owned.iter().max().expect("a host");
        let least = owned.iter().min().expect("a host");
        assert!(most - least <= 1, "{hosts} hosts own {owned:?}");
        assert!(world.moves <= 2 * handlers, "{} moves", world.moves);
        let moved = world.moves;
        run(&mut world, 200, true);
        assert_eq!(world.moves, moved, "{hosts} hosts, {handlers} handlers");
    }
}
