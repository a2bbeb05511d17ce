//! How this host shares ordered handlers with the others of the registry.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use wharf_core::backoff::millis;
use wharf_core::checkpoint::{self, Checkpoint};
use wharf_core::ownership::{Asker, Peers, Share, Successor, Turn};
use wharf_core::report::HostReport;

use crate::handler::Handler;

/// What moves for balance moves in lots, each as late after the one before as
/// it takes until all hosts have heard of that one.
const LOTS_IN_A_LEASE: u32 = 2;

/// This host, and the others as their reports show them.
pub struct Sharing {
    host: String,
    lease: Duration,
    began: Instant,
    peers: Mutex<Peers>,
    owned: Mutex<BTreeSet<String>>,
    lot: Mutex<Lot>,
    /// What this host owns has changed.
    pub changed: Notify,
}

/// What was given up for balance lately.
#[derive(Default)]
struct Lot {
    begun: Option<Instant>,
    given: usize,
}

/// A handler is owned for as long as this lives.
pub struct Owned {
    sharing: Arc<Sharing>,
    handler: String,
}

impl Sharing {
    /// `host` names this process in checkpoints and in its report. A report counts
    /// for as long as a lease.
    pub fn new(host: String, lease: Duration) -> Arc<Self> {
        Arc::new(Self {
            host,
            lease,
            began: Instant::now(),
            peers: Mutex::new(Peers::new(millis(lease), millis(lease))),
            owned: Mutex::default(),
            lot: Mutex::default(),
            changed: Notify::new(),
        })
    }

    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn lease(&self) -> Duration {
        self.lease
    }

    /// A host has reported; this one hears itself too.
    pub fn saw(&self, report: HostReport) {
        if report.host != self.host {
            self.peers().saw(report, self.now_ms());
        }
    }

    /// A host has taken its report away.
    pub fn gone(&self, host: &str) {
        self.peers().gone(host);
    }

    /// A host for which a partition was given up let it lie.
    pub fn declined(&self, handler: &str, host: &str) {
        self.peers().declined(handler, host, self.now_ms());
    }

    /// This host owns the handler from now on.
    pub fn own(self: &Arc<Self>, handler: &str) -> Owned {
        self.owned().insert(handler.to_owned());
        self.changed.notify_one();
        Owned {
            sharing: self.clone(),
            handler: handler.to_owned(),
        }
    }

    pub fn owns(&self, handler: &str) -> bool {
        self.owned().contains(handler)
    }

    /// When this host may take what nobody holds.
    pub fn turn(&self, handler: &Handler, partition: u32, seen: &Checkpoint) -> Turn {
        let now_ms = self.now_ms();
        // Who let its lease run out is not there any more, whatever its report says.
        let expired = !seen.released && seen.owner != self.host;
        let except = expired.then_some(seen.owner.as_str());
        self.ask(handler, partition, |peers, share, asker| {
            peers.turn(share, asker, except, now_ms)
        })
    }

    /// Whether another host lives and can work the partition.
    pub fn is_fit(&self, handler: &Handler, partition: u32, host: &str) -> bool {
        let now_ms = self.now_ms();
        self.ask(handler, partition, |peers, share, _| {
            peers.is_fit(share, host, now_ms)
        })
    }

    /// The host for which this one, which owns the partition, has to give it up.
    pub fn successor(&self, handler: &Handler, partition: u32) -> Option<String> {
        let now_ms = self.now_ms();
        let successor = self.ask(handler, partition, |peers, share, asker| {
            peers.successor(share, asker, now_ms)
        });
        match successor? {
            Successor::Fit { host } => Some(host),
            Successor::Freer { host, at_once } => self.is_in_lot(at_once).then_some(host),
        }
    }

    /// Whether one more may move now.
    fn is_in_lot(&self, at_once: usize) -> bool {
        let mut lot = self.lot.lock().expect("no panic while held");
        let over = |begun: Instant| begun.elapsed() >= self.lease / LOTS_IN_A_LEASE;
        if lot.begun.is_none_or(over) {
            *lot = Lot {
                begun: Some(Instant::now()),
                given: 0,
            };
        }
        lot.given += 1;
        lot.given <= at_once
    }

    fn ask<R>(
        &self,
        handler: &Handler,
        partition: u32,
        decide: impl FnOnce(&Peers, &Share<'_>, &Asker<'_>) -> R,
    ) -> R {
        let version = handler.version();
        let share = Share {
            handler: handler.name(),
            partition,
            version: handler.in_use.load().version,
            generation: &checkpoint::generation_text(&version.manifest.on),
        };
        let asker = Asker {
            host: &self.host,
            version: version.named(),
            owned: self.owned().len(),
        };
        decide(&self.peers(), &share, &asker)
    }

    fn now_ms(&self) -> u64 {
        millis(self.began.elapsed())
    }

    fn peers(&self) -> MutexGuard<'_, Peers> {
        self.peers.lock().expect("no panic while held")
    }

    fn owned(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.owned.lock().expect("no panic while held")
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.sharing.owned().remove(&self.handler);
        self.sharing.changed.notify_one();
    }
}
