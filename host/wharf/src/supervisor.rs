//! Follows the registry: what is deployed runs here, in the version that has
//! the traffic.
//!
//! One task watches. Each handler has a keeper, which brings what runs in line
//! with what is deployed, one change after another, and reports how far it is.

mod keeper;
pub mod needs;
mod report;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use wharf_core::deployment;
use wharf_jetstream::registry::{Entry, Key, Registry, Seen, Watch};

use crate::assemble::Parts;
use crate::codes::Code;
use crate::drain::Drain;
use crate::http::Readiness;
use crate::ordered::Settings;
use keeper::{Keeper, Wanted};
use report::Reports;

/// Before a watch that could not be opened is tried again.
const WATCH_PAUSE: Duration = Duration::from_secs(2);
/// How long tasks may take to hear that they are cut off, releases included.
const CUT_WITHIN: Duration = Duration::from_secs(4);

/// What all keepers of a host share.
struct Site {
    parts: Parts,
    registry: Registry,
    settings: Settings,
    reports: Reports,
    drain: Drain,
}

/// The keepers, by handler. A keeper whose sender is dropped stops its handler.
struct Crew {
    site: Arc<Site>,
    wanted: BTreeMap<String, watch::Sender<Wanted>>,
    needs: needs::Known,
    tasks: JoinSet<()>,
}

/// Runs what is deployed until the drain.
pub async fn run(
    parts: Parts,
    registry: Registry,
    settings: Settings,
    drain: &Drain,
    readiness: Arc<Readiness>,
) {
    let reports = Reports::new(&settings.host);
    let site = Arc::new(Site {
        parts,
        registry,
        settings,
        reports,
        drain: drain.clone(),
    });
    let reporting = tokio::spawn(report::keep(site.clone()));
    let mut crew = Crew {
        site: site.clone(),
        wanted: BTreeMap::new(),
        needs: needs::Known::default(),
        tasks: JoinSet::new(),
    };
    while let Some(mut watch) = open(&site).await {
        crew.follow(&mut watch, &readiness).await;
    }
    crew.leave(drain).await;
    site.reports.ended();
    let _ = reporting.await;
}

/// None: the host drains.
async fn open(site: &Site) -> Option<Watch> {
    loop {
        if site.drain.leave.is_cancelled() {
            return None;
        }
        let opened = async {
            let links = site.parts.broker().links("registry").await?;
            site.registry.watch(links, &site.settings.host).await
        };
        match opened.await {
            Ok(watch) => return Some(watch),
            Err(error) => tracing::warn!(
                %error,
                "the registry cannot be followed yet; `wharf provision` or `wharf deploy` makes it where there is none"
            ),
        }
        tokio::select! {
            () = tokio::time::sleep(WATCH_PAUSE) => {}
            () = site.drain.leave.cancelled() => return None,
        }
    }
}

impl Crew {
    /// Until the drain, or until the watch must be opened again.
    async fn follow(&mut self, watch: &mut Watch, readiness: &Arc<Readiness>) {
        // Old revisions come first, and must not run on the way.
        let mut first: Option<BTreeMap<String, Entry>> = Some(BTreeMap::new());
        let leave = self.site.drain.leave.clone();
        loop {
            let seen = tokio::select! {
                seen = watch.next() => seen,
                () = leave.cancelled() => return,
            };
            match seen {
                Seen::Value(Key::Handler(name), entry) => match &mut first {
                    Some(first) => drop(first.insert(name, entry)),
                    None => drop(self.deploy(name, &entry)),
                },
                Seen::Gone(Key::Handler(name)) => match &mut first {
                    Some(first) => drop(first.remove(&name)),
                    None => self.withdraw(&name),
                },
                Seen::CaughtUp => {
                    if let Some(first) = first.take() {
                        self.begin(first, readiness);
                    }
                }
                Seen::RolledBack { reason } => {
                    tracing::error!(reason, "the registry is not the one that was followed");
                    tokio::time::sleep(WATCH_PAUSE).await;
                    return;
                }
                Seen::Unavailable { reason } => {
                    tracing::warn!(reason, "the registry cannot be read just now");
                }
                Seen::Value(Key::Need(name), entry) => {
                    self.needs.put(&name, &entry, &self.site);
                }
                Seen::Gone(Key::Need(name)) => self.needs.remove(&name, &self.site),
                Seen::Value(Key::Host(_), _) | Seen::Gone(Key::Host(_)) => {}
            }
        }
    }

    /// All that is deployed now. The host is ready when each has been tried.
    fn begin(&mut self, all: BTreeMap<String, Entry>, readiness: &Arc<Readiness>) {
        let gone: Vec<String> = self
            .wanted
            .keys()
            .filter(|name| !all.contains_key(*name))
            .cloned()
            .collect();
        for name in gone {
            self.withdraw(&name);
        }
        let handlers = all.len();
        let tried: Vec<_> = all
            .into_iter()
            .filter_map(|(name, entry)| self.deploy(name, &entry))
            .collect();
        let readiness = readiness.clone();
        tokio::spawn(async move {
            for tried in tried {
                let _ = tried.await;
            }
            readiness.bound();
            tracing::info!(handlers, "host ready");
        });
    }

    /// Tells the handler's keeper. Of a new one, what says that it has tried.
    fn deploy(&mut self, name: String, entry: &Entry) -> Option<oneshot::Receiver<()>> {
        let deployment = match deployment::decode(&entry.bytes) {
            Ok(deployment) => deployment,
            Err(error) => {
                let code = Code::DeploymentUnreadable;
                tracing::error!(handler = name, %code, %error, "what runs goes on");
                return None;
            }
        };
        let wanted = Wanted {
            deployment,
            revision: entry.revision,
        };
        if let Some(keeper) = self.wanted.get(&name) {
            keeper.send_replace(wanted);
            return None;
        }
        let (sender, receiver) = watch::channel(wanted);
        let (tried, first) = oneshot::channel();
        let keeper = Keeper::new(name.clone(), self.site.clone());
        self.tasks.spawn(keeper.run(receiver, tried));
        self.wanted.insert(name, sender);
        Some(first)
    }

    fn withdraw(&mut self, name: &str) {
        if self.wanted.remove(name).is_some() {
            tracing::info!(handler = name, "it is not deployed any more");
        }
    }

    /// Waits until every handler has drained.
    async fn leave(mut self, drain: &Drain) {
        let joined = async {
            while let Some(ended) = self.tasks.join_next().await {
                if let Err(error) = ended {
                    tracing::error!(%error, "a handler's keeper ended badly");
                }
            }
        };
        let late = async {
            drain.cut.cancelled().await;
            tokio::time::sleep(CUT_WITHIN).await;
        };
        tokio::select! {
            () = joined => {}
            // Everything durable is one compare-and-set: what is left is a crash at
            // a place that the next owner knows how to go on from.
            () = late => tracing::warn!("what still waits for the broker is left behind"),
        }
    }
}
