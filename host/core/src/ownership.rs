//! Which of several hosts works a partition.
//!
//! What nobody holds is taken in turns: rendezvous hashing over the hosts that
//! report the version in use, so that each decides alone and all agree. What is
//! held moves only when its owner gives it up: to a host that runs the version in
//! use where the owner does not, or from the host that owns most to the one that
//! owns least.
//!
//! Only thrift depends on it. Whoever owns, and however many believe that they
//! do, the record is the fence.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use crate::deployment::Digest;
use crate::report::{HostReport, Running};

/// For how many leases a host must have reported the same without a break
/// before an owner gives up for it.
const STABLE_LEASES: u64 = 2;
/// For how many leases a host that let a partition lie is not given another.
const DECLINED_LEASES: u64 = 30;
/// An owner that owns so many more than another one has too many.
const TOO_MANY_MORE: usize = 2;

/// A partition of an ordered handler, and what a host has to run to work it.
#[derive(Debug, Clone, Copy)]
pub struct Share<'a> {
    pub handler: &'a str,
    pub partition: u32,
    /// What the deployment names.
    pub version: Named,
    /// What the handler subscribes to: see [`crate::checkpoint::generation`].
    pub generation: &'a str,
}

/// A version and its component: a number alone may have been given twice, by a
/// registry that was made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named {
    pub number: u32,
    pub component: Digest,
}

/// The host that asks, and what it runs of the handler.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    pub host: &'a str,
    pub version: Named,
    /// Partitions that it owns, of all handlers.
    pub owned: usize,
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

/// For whom an owner should give a partition up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Successor {
    /// It runs the version in use, and the owner does not.
    Fit { host: String },
    /// It owns less than the owner, which owns most. So many may move at once.
    Freer { host: String, at_once: usize },
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
    owned: usize,
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

    /// Another host has reported.
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
        let owned = report.handlers.values().filter(|handler| handler.owns);
        let peer = Peer {
            owned: owned.count(),
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

    /// Whether a host lives and runs the version in use.
    pub fn is_fit(&self, share: &Share<'_>, host: &str, now_ms: u64) -> bool {
        let mut living = self.living(now_ms);
        living.any(|(name, peer)| name == host && peer.does(share, runs_in_use))
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
        let others = |fit: fn(&Share<'_>, &Running) -> bool| {
            self.living(now_ms)
                .filter(|(host, peer)| *host != asker.host && peer.does(share, fit))
                .map(|(host, _)| host)
                .filter(|host| Some(*host) != except)
                .collect::<Vec<_>>()
        };
        let mut candidates = others(runs_in_use);
        if asker.version != share.version {
            if !candidates.is_empty() {
                return Turn::Last;
            }
            candidates = others(runs_any);
        }
        let own = weight(share, asker.host);
        let before = candidates.iter().filter(|host| weight(share, host) < own);
        Turn::Rank(u32::try_from(before.count()).unwrap_or(u32::MAX))
    }

    /// For whom the owner should give the partition up, if for anyone: only ever
    /// for a host that has run the version in use for two leases without a break.
    pub fn successor(
        &self,
        share: &Share<'_>,
        owner: &Asker<'_>,
        now_ms: u64,
    ) -> Option<Successor> {
        let others = || self.living(now_ms).filter(|(host, _)| *host != owner.host);
        let stable_ms = STABLE_LEASES * self.lease_ms;
        let (host, least) = others()
            .filter(|(host, peer)| {
                peer.does(share, runs_in_use)
                    && peer.age_ms(share.handler, now_ms) >= stable_ms
                    && !self.has_declined(share, host, now_ms)
            })
            .min_by_key(|(host, peer)| (peer.owned, weight(share, host)))?;
        if owner.version != share.version {
            let host = host.to_owned();
            return Some(Successor::Fit { host });
        }
        let more = owner.owned.saturating_sub(least.owned);
        let own = (owner.owned, owner.host);
        let owns_most = others().all(|(host, peer)| (peer.owned, host) < own);
        (more >= TOO_MANY_MORE && owns_most).then(|| Successor::Freer {
            host: host.to_owned(),
            at_once: (more / (1 + others().count())).max(1),
        })
    }

    fn living(&self, now_ms: u64) -> impl Iterator<Item = (&str, &Peer)> {
        let alive = move |peer: &Peer| now_ms.saturating_sub(peer.seen_ms) <= self.ttl_ms;
        let hosts = self.hosts.iter().filter(move |(_, peer)| alive(peer));
        hosts.map(|(host, peer)| (host.as_str(), peer))
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

impl Peer {
    fn runs(&self, handler: &str) -> Option<&Running> {
        runs(&self.report, handler)
    }

    fn does(&self, share: &Share<'_>, fit: fn(&Share<'_>, &Running) -> bool) -> bool {
        self.runs(share.handler)
            .is_some_and(|running| fit(share, running))
    }

    fn age_ms(&self, handler: &str, now_ms: u64) -> u64 {
        let since_ms = self.since_ms.get(handler);
        since_ms.map_or(0, |since_ms| now_ms.saturating_sub(*since_ms))
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
    let runs = Named {
        number: running.version,
        component: running.component,
    };
    runs == share.version
}

fn runs_any(share: &Share<'_>, running: &Running) -> bool {
    running.generation == share.generation
}

/// Each pair of partition and host has a weight of its own, so that a host that
/// comes or goes changes nothing between others; the lowest goes first.
fn weight(share: &Share<'_>, host: &str) -> Reverse<[u8; 32]> {
    let partition = share.partition.to_be_bytes();
    let mut hasher = Sha256::new();
    for part in [share.handler.as_bytes(), &partition, host.as_bytes()] {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    Reverse(hasher.finalize().into())
}

#[cfg(test)]
mod tests;
