use std::collections::BTreeMap;

use super::*;
use crate::report::{FORMAT, HandlerReport};

const LEASE_MS: u64 = 10_000;
const IN_USE: Digest = Digest([2; 32]);
const OLD: Digest = Digest([1; 32]);

fn share(handler: &str) -> Share<'_> {
    Share {
        handler,
        partition: 0,
        component: IN_USE,
        generation: "g1",
    }
}

fn runs(component: Digest, generation: &str) -> HandlerReport {
    let running = Running {
        version: 1,
        component,
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

fn asker(host: &str) -> Asker<'_> {
    Asker {
        host,
        component: IN_USE,
    }
}

/// Hosts in the order that hashing gives them for `order`.
fn ranked<const N: usize>(mut hosts: [&str; N]) -> [&str; N] {
    rank("order", 0, &mut hosts);
    hosts
}

/// Reports of a host, as often as it writes them, from `from_ms` to `to_ms`.
fn keeps_reporting(peers: &mut Peers, host: &str, from_ms: u64, to_ms: u64) {
    for now_ms in (from_ms..=to_ms).step_by(3_000) {
        peers.saw(report(host, runs(IN_USE, "g1")), now_ms);
    }
    peers.saw(report(host, runs(IN_USE, "g1")), to_ms);
}

#[test]
fn all_hosts_agree_on_one_order_and_each_has_its_own_place() {
    let hosts = ["a", "b", "c"];
    let mut seen = Vec::new();
    for me in hosts {
        let mut peers = Peers::new(LEASE_MS, LEASE_MS);
        for other in hosts.iter().filter(|other| **other != me) {
            peers.saw(report(other, runs(IN_USE, "g1")), 0);
        }
        seen.push(peers.turn(&share("order"), &asker(me), None, 1));
    }
    seen.sort_by_key(|turn| match turn {
        Turn::Rank(rank) => *rank,
        Turn::Last => u32::MAX,
    });
    assert_eq!(seen, [Turn::Rank(0), Turn::Rank(1), Turn::Rank(2)]);
}

/// A host that runs all of these.
fn runs_all(host: &str, handlers: &[String]) -> HostReport {
    let state = |name: &String| (name.clone(), runs(IN_USE, "g1"));
    HostReport {
        handlers: handlers.iter().map(state).collect(),
        ..report(host, HandlerReport::default())
    }
}

/// Who should own each handler, as each of the hosts finds by itself.
fn owners(handlers: &[String], hosts: &[&str]) -> BTreeMap<String, Vec<String>> {
    let mut owners: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for me in hosts {
        let mut peers = Peers::new(LEASE_MS, LEASE_MS);
        // A host hears its own report too.
        for host in hosts {
            peers.saw(runs_all(host, handlers), 0);
        }
        for handler in handlers {
            if peers.turn(&share(handler), &asker(me), None, 1) == Turn::Rank(0) {
                owners
                    .entry(handler.clone())
                    .or_default()
                    .push((*me).to_owned());
            }
        }
    }
    owners
}

#[test]
fn each_handler_has_one_host_and_no_host_more_than_its_part() {
    for handlers in [1, 2, 5, 12] {
        let names: Vec<String> = (0..handlers).map(|n| format!("handler-{n}")).collect();
        for round in 0..20 {
            let hosts = ["a", "b", "c"].map(|host| format!("{host}{round}"));
            let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
            for hosts in [&hosts[..1], &hosts[..2], &hosts] {
                let owners = owners(&names, hosts);
                assert_eq!(owners.len(), handlers, "{owners:?}");
                let mut parts: BTreeMap<&str, usize> = BTreeMap::new();
                for owner in owners.values() {
                    assert_eq!(owner.len(), 1, "{owners:?}");
                    *parts.entry(&owner[0]).or_default() += 1;
                }
                let part = handlers.div_ceil(hosts.len());
                assert!(parts.values().all(|owned| *owned <= part), "{owners:?}");
            }
        }
    }
}

#[test]
fn an_owner_with_more_than_its_part_gives_the_rest_up() {
    let names: Vec<String> = (0..5).map(|n| format!("handler-{n}")).collect();
    let mut peers = Peers::new(LEASE_MS, LEASE_MS);
    for now_ms in (0..=20_000).step_by(4_000) {
        for host in ["a", "b"] {
            peers.saw(runs_all(host, &names), now_ms);
        }
    }
    let given_up = names
        .iter()
        .filter_map(|name| peers.successor(&share(name), &asker("a"), 20_000));
    let given_up: Vec<String> = given_up.collect();
    assert!((2..=3).contains(&given_up.len()), "{given_up:?}");
    assert!(given_up.iter().all(|host| host == "b"));
}

#[test]
fn an_owner_gives_up_to_a_host_that_was_there_for_two_leases_and_not_before() {
    let [preferred, owner] = ranked(["a", "b"]);
    let mut peers = Peers::new(LEASE_MS, LEASE_MS);
    keeps_reporting(&mut peers, preferred, 5_000, 24_999);
    let given_up = |peers: &Peers, now| peers.successor(&share("order"), &asker(owner), now);
    assert_eq!(given_up(&peers, 24_999), None);
    assert_eq!(given_up(&peers, 25_000).as_deref(), Some(preferred));
    // The other way round nothing moves, however long.
    let mut peers = Peers::new(LEASE_MS, LEASE_MS);
    keeps_reporting(&mut peers, owner, 0, 99_000);
    let asked = peers.successor(&share("order"), &asker(preferred), 99_000);
    assert_eq!(asked, None);
}

#[test]
fn a_flapping_registry_moves_nothing() {
    let [preferred, owner] = ranked(["a", "b"]);
    let mut peers = Peers::new(LEASE_MS, LEASE_MS);
    // Reports stop for longer than they live, again and again.
    for round in 0..10 {
        let from_ms = round * 30_000;
        keeps_reporting(&mut peers, preferred, from_ms, from_ms + 19_000);
        let now_ms = from_ms + 19_000;
        let given_up = peers.successor(&share("order"), &asker(owner), now_ms);
        assert_eq!(given_up, None, "round {round}");
    }
}

#[test]
fn a_change_of_what_runs_begins_the_time_again() {
    let [preferred, owner] = ranked(["a", "b"]);
    let mut peers = Peers::new(LEASE_MS, LEASE_MS);
    keeps_reporting(&mut peers, preferred, 0, 18_000);
    peers.saw(report(preferred, runs(OLD, "g1")), 19_000);
    keeps_reporting(&mut peers, preferred, 21_000, 40_000);
    let given_up = |peers: &Peers, now| peers.successor(&share("order"), &asker(owner), now);
    assert_eq!(given_up(&peers, 40_999), None);
    keeps_reporting(&mut peers, preferred, 40_000, 41_000);
    assert!(given_up(&peers, 41_000).is_some());
}

#[test]
fn interleaving_35_who_lacks_or_refused_the_version_is_given_nothing() {
    let [preferred, owner] = ranked(["a", "b"]);
    let refused = HandlerReport {
        running: None,
        ..HandlerReport::default()
    };
    let paused = HandlerReport {
        paused: true,
        ..runs(IN_USE, "g1")
    };
    let unfit = [
        ("refused, on the old version", runs(OLD, "g1")),
        ("refused, on none", refused),
        ("paused", paused),
        ("another subscription", runs(IN_USE, "g2")),
    ];
    for (what, state) in unfit {
        let mut peers = Peers::new(LEASE_MS, LEASE_MS);
        for now_ms in (0..=60_000).step_by(3_000) {
            peers.saw(report(preferred, state.clone()), now_ms);
        }
        let share = share("order");
        let given_up = peers.successor(&share, &asker(owner), 60_000);
        assert_eq!(given_up, None, "{what}");
        let turn = peers.turn(&share, &asker(owner), None, 60_000);
        assert_eq!(turn, Turn::Rank(0), "{what}");
    }
}

#[test]
fn interleaving_35_who_let_a_partition_lie_is_not_given_it_again_at_once() {
    let [preferred, owner] = ranked(["a", "b"]);
    let mut peers = Peers::new(LEASE_MS, LEASE_MS);
    keeps_reporting(&mut peers, preferred, 0, 30_000);
    peers.declined("order", preferred, 30_000);
    let given_up = |peers: &Peers, now| peers.successor(&share("order"), &asker(owner), now);
    assert_eq!(given_up(&peers, 30_000), None);
    let later = 30_000 + DECLINED_LEASES * LEASE_MS;
    keeps_reporting(&mut peers, preferred, 30_000, later);
    assert!(given_up(&peers, later).is_some());
}

#[test]
fn an_owner_on_the_wrong_version_gives_up_to_one_on_the_right() {
    for (owner, other) in [("a", "b"), ("b", "a")] {
        let mut peers = Peers::new(LEASE_MS, LEASE_MS);
        keeps_reporting(&mut peers, other, 0, 20_000);
        let unfit = Asker {
            host: owner,
            component: OLD,
        };
        let given_up = peers.successor(&share("order"), &unfit, 20_000);
        assert_eq!(given_up.as_deref(), Some(other));
        assert_eq!(
            peers.turn(&share("order"), &unfit, None, 20_000),
            Turn::Last
        );
    }
}

#[test]
fn where_nobody_runs_the_version_in_use_those_on_another_take_turns() {
    let mut peers = Peers::new(LEASE_MS, LEASE_MS);
    let [first, second] = ranked(["a", "b"]);
    let old = |host| Asker {
        host,
        component: OLD,
    };
    peers.saw(report(first, runs(OLD, "g1")), 0);
    let turn = peers.turn(&share("order"), &old(second), None, 1);
    assert_eq!(turn, Turn::Rank(1));
}

#[test]
fn a_dead_owner_its_old_report_and_one_that_drains_keep_nobody_waiting() {
    let [first, second] = ranked(["a", "b"]);
    let mut peers = Peers::new(LEASE_MS, LEASE_MS);
    peers.saw(report(first, runs(IN_USE, "g1")), 0);
    let share = share("order");
    let turn = |peers: &Peers, except, now| peers.turn(&share, &asker(second), except, now);
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
