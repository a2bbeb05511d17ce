//! Which of several hosts works a partition: rendezvous hashing over the hosts
//! that report the version in use, no host with more than its part, so that each
//! decides alone and all agree.
//!
//! Only thrift depends on it. Whoever owns, and however many believe that they
//! do, the record is the fence.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

use crate::deployment::Digest;
use crate::report::{HostReport, Running};

/// For how many leases a host must have reported the same without a break
/// before an owner gives up for it.
const STABLE_LEASES: u64 = 2;
/// For how many leases a host that let a partition lie is not given another.
const DECLINED_LEASES: u64 = 30;

/// A partition of an ordered handler, and what a host has to run to work it.
#[derive(Debug, Clone, Copy)]
pub struct Share<'a> {
    pub handler: &'a str,
    pub partition: u32,
    /// Component of the version that the deployment names.
    pub component: Digest,
    /// What the handler subscribes to: see [`crate::checkpoint::generation`].
    pub generation: &'a str,
}

/// The host that asks, and what it runs of the handler.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    pub host: &'a str,
    pub component: Digest,
}

/// When a host may take a partition that nobody holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// After so many others, each with a short time to be first.
    Rank(u32),
    /// When no other has wanted it for a lease: others run the version in use,
    /// and this host does not.
    Last,
}

/// The other hosts, as their reports in the registry show them.
#[derive(Debug)]
pub struct Peers {
    lease_ms: u64,
    /// A report that was not renewed for so long is of a host that is gone.
    ttl_ms: u64,
    hosts: BTreeMap<String, Peer>,
    /// When a host was seen to let a handler's partition lie.
    declined: BTreeMap<(String, String), u64>,
}

#[derive(Debug)]
struct Peer {
    report: HostReport,
    seen_ms: u64,
    /// Since when each handler has been reported as it is now.
    since_ms: BTreeMap<String, u64>,
}

impl Peers {
    /// All times are of one monotonic clock of the asker's, in milliseconds.
    pub fn new(lease_ms: u64, ttl_ms: u64) -> Self {
        Self {
            lease_ms,
            ttl_ms,
            hosts: BTreeMap::new(),
            declined: BTreeMap::new(),
        }
    }

    /// A host has reported.
    pub fn saw(&mut self, report: HostReport, now_ms: u64) {
        self.forget(now_ms);
        let before = self.hosts.get(&report.host);
        let since_ms = report
            .handlers
            .keys()
            .map(|handler| {
                let kept = before
                    .filter(|peer| peer.runs(handler) == runs(&report, handler))
                    .and_then(|peer| peer.since_ms.get(handler));
                (handler.clone(), kept.copied().unwrap_or(now_ms))
            })
            .collect();
        let peer = Peer {
            seen_ms: now_ms,
            since_ms,
            report,
        };
        self.hosts.insert(peer.report.host.clone(), peer);
    }

    /// A host has taken its report away.
    pub fn gone(&mut self, host: &str) {
        self.hosts.remove(host);
    }

    /// A host for which a partition was given up did not take it.
    pub fn declined(&mut self, handler: &str, host: &str, now_ms: u64) {
        let key = (handler.to_owned(), host.to_owned());
        self.declined.insert(key, now_ms);
    }

    /// When the asker may take a partition that nobody holds any more. `except`
    /// held it last and let its lease run out: its report only outlives it.
    pub fn turn(
        &self,
        share: &Share<'_>,
        asker: &Asker<'_>,
        except: Option<&str>,
        now_ms: u64,
    ) -> Turn {
        let mut field = self.field(now_ms, |_| 0);
        field.retain(|host, _| Some(*host) != except);
        let others = |fit: fn(&Share<'_>, &Running) -> bool| {
            let others = field.iter().filter(|(host, _)| **host != asker.host);
            let fit = others.filter(|(_, peer)| peer.does(share, fit));
            fit.map(|(host, _)| *host).collect::<Vec<_>>()
        };
        let mut candidates = others(runs_in_use);
        if asker.component != share.component {
            if !candidates.is_empty() {
                return Turn::Last;
            }
            candidates = others(runs_any);
        }
        candidates.push(asker.host);
        rank(share.handler, share.partition, &mut candidates);
        let preferred = preferred(share, &candidates, &field);
        let before = |host: &&&str| **host != asker.host;
        let place = match preferred == Some(asker.host) {
            true => 0,
            // The preferred one goes before all others, wherever it stands.
            false => {
                1 + candidates
                    .iter()
                    .filter(|host| Some(**host) != preferred)
                    .take_while(before)
                    .count()
            }
        };
        Turn::Rank(u32::try_from(place).unwrap_or(u32::MAX))
    }

    /// For whom the owner should give the partition up: the host that is
    /// preferred among those that have been there without a break for two leases.
    pub fn successor(&self, share: &Share<'_>, owner: &Asker<'_>, now_ms: u64) -> Option<String> {
        let stable_ms = STABLE_LEASES * self.lease_ms;
        let age_ms = |host: &str| if host == owner.host { 0 } else { stable_ms };
        let field = self.field(now_ms, age_ms);
        let mut candidates: Vec<&str> = field
            .iter()
            .filter(|(host, peer)| **host != owner.host && peer.does(share, runs_in_use))
            .map(|(host, _)| *host)
            .filter(|host| !self.has_declined(share, host, now_ms))
            .collect();
        if owner.component == share.component {
            candidates.push(owner.host);
        }
        rank(share.handler, share.partition, &mut candidates);
        let preferred = preferred(share, &candidates, &field)?;
        (preferred != owner.host).then(|| preferred.to_owned())
    }

    /// The hosts that live, each with what it has run for its `age_ms` at least.
    fn field(&self, now_ms: u64, age_ms: impl Fn(&str) -> u64) -> Field<'_> {
        let living = self
            .hosts
            .iter()
            .filter(|(_, peer)| now_ms.saturating_sub(peer.seen_ms) <= self.ttl_ms);
        living
            .map(|(host, peer)| {
                let steady = peer
                    .since_ms
                    .iter()
                    .filter(|(_, since_ms)| now_ms.saturating_sub(**since_ms) >= age_ms(host))
                    .filter_map(|(handler, _)| Some((handler.as_str(), peer.runs(handler)?)));
                (host.as_str(), Steady(steady.collect()))
            })
            .collect()
    }

    fn has_declined(&self, share: &Share<'_>, host: &str, now_ms: u64) -> bool {
        let key = (share.handler.to_owned(), host.to_owned());
        self.declined
            .get(&key)
            .is_some_and(|at| now_ms.saturating_sub(*at) < DECLINED_LEASES * self.lease_ms)
    }

    /// Hosts come and go under new names; what is long over is dropped.
    fn forget(&mut self, now_ms: u64) {
        let (ttl_ms, lease_ms) = (self.ttl_ms, self.lease_ms);
        self.hosts
            .retain(|_, peer| now_ms.saturating_sub(peer.seen_ms) <= ttl_ms);
        self.declined
            .retain(|_, at| now_ms.saturating_sub(*at) < DECLINED_LEASES * lease_ms);
    }
}

/// Hosts, and what each runs.
type Field<'a> = BTreeMap<&'a str, Steady<'a>>;

/// The handlers that a host runs.
struct Steady<'a>(BTreeMap<&'a str, &'a Running>);

impl Steady<'_> {
    fn does(&self, share: &Share<'_>, fit: fn(&Share<'_>, &Running) -> bool) -> bool {
        let running = self.0.get(share.handler);
        running.is_some_and(|running| fit(share, running))
    }
}

impl Peer {
    fn runs(&self, handler: &str) -> Option<&Running> {
        runs(&self.report, handler)
    }
}

/// What a host works with, if it takes events of the handler at all.
fn runs<'a>(report: &'a HostReport, handler: &str) -> Option<&'a Running> {
    let handler = report.handlers.get(handler)?;
    handler
        .running
        .as_ref()
        .filter(|_| !report.draining && !handler.paused)
}

fn runs_in_use(share: &Share<'_>, running: &Running) -> bool {
    running.component == share.component && running.generation == share.generation
}

fn runs_any(share: &Share<'_>, running: &Running) -> bool {
    running.generation == share.generation
}

/// The candidate that should have the partition: the first in rank that has not
/// its part of all ordered handlers already, when they are given out one after
/// another in the order of their names.
fn preferred<'a>(share: &Share<'_>, candidates: &[&'a str], field: &Field<'_>) -> Option<&'a str> {
    let mut handlers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (host, steady) in field {
        let ordered = steady.0.iter().filter(|(_, runs)| is_ordered(runs));
        for (handler, _) in ordered {
            handlers.entry(handler).or_default().push(host);
        }
    }
    handlers.insert(share.handler, candidates.to_vec());
    let hosts: BTreeSet<&str> = handlers.values().flatten().copied().collect();
    let part = handlers.len().div_ceil(hosts.len().max(1));
    let mut given: BTreeMap<&str, usize> = BTreeMap::new();
    for (handler, hosts) in &mut handlers {
        rank(handler, share.partition, hosts);
        let free = |host: &&&str| given.get(**host).copied().unwrap_or(0) < part;
        let Some(host) = hosts.iter().find(free).or(hosts.first()) else {
            continue;
        };
        if *handler == share.handler {
            return candidates
                .iter()
                .find(|candidate| *candidate == host)
                .copied();
        }
        *given.entry(host).or_default() += 1;
    }
    None
}

/// Reports name a subscription for ordered handlers alone.
fn is_ordered(running: &Running) -> bool {
    !running.generation.is_empty()
}

/// Each pair of partition and host has a weight of its own; the highest first.
fn rank(handler: &str, partition: u32, hosts: &mut [&str]) {
    let partition = partition.to_be_bytes();
    hosts.sort_by_cached_key(|host| {
        let mut hasher = Sha256::new();
        for part in [handler.as_bytes(), &partition, host.as_bytes()] {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        Reverse(<[u8; 32]>::from(hasher.finalize()))
    });
}

#[cfg(test)]
mod tests;
