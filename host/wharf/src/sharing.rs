//! How this host shares ordered handlers with the others of the registry.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use wharf_core::backoff::millis;
use wharf_core::checkpoint;
use wharf_core::deployment::Digest;
use wharf_core::ownership::{Asker, Peers, Share, Turn};
use wharf_core::report::HostReport;

use crate::handler::Handler;

/// This host, and the others as their reports show them.
pub struct Sharing {
    host: String,
    lease: Duration,
    began: Instant,
    peers: Mutex<Peers>,
}

impl Sharing {
    /// `host` names this process in checkpoints and in its report.
    pub fn new(host: String, lease: Duration) -> Arc<Self> {
        let (lease_ms, report_ms) = (millis(lease), millis(Self::report_lifetime_of(lease)));
        Arc::new(Self {
            host,
            lease,
            began: Instant::now(),
            peers: Mutex::new(Peers::new(lease_ms, report_ms)),
        })
    }

    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn lease(&self) -> Duration {
        self.lease
    }

    /// How long a report counts that is not renewed: as long as a lease.
    pub fn report_lifetime(&self) -> Duration {
        Self::report_lifetime_of(self.lease)
    }

    fn report_lifetime_of(lease: Duration) -> Duration {
        lease
    }

    /// A host has reported; this one hears itself too.
    pub fn saw(&self, report: HostReport) {
        self.peers().saw(report, self.now_ms());
    }

    /// A host has taken its report away.
    pub fn gone(&self, host: &str) {
        self.peers().gone(host);
    }

    /// A host for which a partition was given up let it lie.
    pub fn declined(&self, handler: &str, host: &str) {
        self.peers().declined(handler, host, self.now_ms());
    }

    /// When this host may take what nobody holds. `except` let its lease run out.
    pub fn turn(&self, handler: &Handler, partition: u32, except: Option<&str>) -> Turn {
        let now_ms = self.now_ms();
        self.ask(handler, partition, |peers, share, asker| {
            peers.turn(share, asker, except, now_ms)
        })
    }

    /// The host for which this one, which owns the partition, should give it up.
    pub fn successor(&self, handler: &Handler, partition: u32) -> Option<String> {
        let now_ms = self.now_ms();
        self.ask(handler, partition, |peers, share, asker| {
            peers.successor(share, asker, now_ms)
        })
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
            component: **handler.wanted.load(),
            generation: &checkpoint::generation_text(&version.manifest.on),
        };
        let asker = Asker {
            host: &self.host,
            component: Digest(version.digest()),
        };
        decide(&self.peers(), &share, &asker)
    }

    fn now_ms(&self) -> u64 {
        millis(self.began.elapsed())
    }

    fn peers(&self) -> MutexGuard<'_, Peers> {
        self.peers.lock().expect("no panic while held")
    }
}
