//! What this host says of itself in the registry.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use wharf_core::report::{self, HandlerReport, HostReport};
use wharf_jetstream::registry::{Key, Saved};

use super::Site;
use crate::clock;
use crate::sharing::Sharing;

/// Changes that come together are written together.
const GATHER: Duration = Duration::from_millis(20);
/// A report is written this often within its lifetime.
const PER_LIFETIME: u32 = 3;

/// The state of all handlers, as keepers tell it.
pub struct Reports {
    host: String,
    /// How long a report outlives the host.
    lifetime: Duration,
    started_ms: u64,
    handlers: Mutex<BTreeMap<String, HandlerReport>>,
    changed: Notify,
    ended: CancellationToken,
}

impl Reports {
    pub fn new(host: &str, lifetime: Duration) -> Self {
        Self {
            host: host.to_owned(),
            lifetime,
            started_ms: clock::now_ms(),
            handlers: Mutex::default(),
            changed: Notify::new(),
            ended: CancellationToken::new(),
        }
    }

    pub fn set(&self, handler: &str, report: HandlerReport) {
        self.handlers().insert(handler.to_owned(), report);
        self.changed.notify_one();
    }

    pub fn remove(&self, handler: &str) {
        self.handlers().remove(handler);
        self.changed.notify_one();
    }

    /// Nothing runs here any more.
    pub fn ended(&self) {
        self.ended.cancel();
    }

    fn now(&self, draining: bool, sharing: &Sharing) -> Bytes {
        let mut handlers = self.handlers().clone();
        for (handler, report) in &mut handlers {
            report.owns = sharing.owns(handler);
        }
        let report = HostReport {
            format: report::FORMAT,
            host: self.host.clone(),
            wharf: env!("CARGO_PKG_VERSION").to_owned(),
            started_ms: self.started_ms,
            written_ms: clock::now_ms(),
            draining,
            handlers,
        };
        Bytes::from(report::encode(&report))
    }

    fn handlers(&self) -> MutexGuard<'_, BTreeMap<String, HandlerReport>> {
        self.handlers.lock().expect("no panic while held")
    }
}

/// Writes the report at each change and often enough to stay alive, and takes
/// it away at the end.
pub async fn keep(site: Arc<Site>) {
    let (reports, leave) = (&site.reports, &site.drain.leave);
    let sharing = &site.settings.sharing;
    let mut told = false;
    loop {
        let draining = leave.is_cancelled();
        let report = reports.now(draining, sharing);
        let saved = site
            .registry
            .report(&reports.host, report, reports.lifetime);
        let saved = tokio::select! {
            saved = saved => saved,
            () = reports.ended.cancelled() => break,
        };
        if let Saved::Refused { reason } = saved {
            tracing::warn!(reason, "this host cannot report itself");
        }
        told |= draining;
        tokio::select! {
            () = reports.changed.notified() => tokio::time::sleep(GATHER).await,
            () = sharing.changed.notified() => tokio::time::sleep(GATHER).await,
            () = tokio::time::sleep(reports.lifetime / PER_LIFETIME) => {}
            () = leave.cancelled(), if !told => {}
            () = reports.ended.cancelled() => break,
        }
    }
    // It would vanish by itself.
    let key = Key::Host(reports.host.clone());
    let _ = tokio::time::timeout(Duration::from_secs(1), site.registry.remove(&key)).await;
}
