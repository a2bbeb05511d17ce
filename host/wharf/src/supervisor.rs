//! Follows the registry: what is deployed runs here, in the version that has
//! the traffic.
//!
//! One task watches. Each handler has a keeper, which brings what runs in line
//! with what is deployed, one change after another, and reports how far it is.

mod keeper;
pub mod needs;
mod reports;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use wharf_core::{deployment, report};
use wharf_jetstream::registry::{Entry, Key, Registry, Seen, Watch};

use crate::assemble::Parts;
use crate::codes::Code;
use crate::drain::Drain;
use crate::http::Readiness;
use crate::ordered::Settings;
use keeper::{Keeper, Wanted};
use reports::Reports;

/// Before a watch that could not be opened is tried again.
const WATCH_PAUSE: Duration = Duration::from_secs(2);
/// How long tasks may take to hear that they are cut off, releases included.
const CUT_WITHIN: Duration = Duration::from_secs(4);

/// What the registry holds, the last value of each key; None: it is gone.
type Stock = BTreeMap<Key, Option<Entry>>;

/// What all keepers of a host share.
struct Site {
    parts: Parts,
    registry: Registry,
    settings: Settings,
    reports: Reports,
    drain: Drain,
}

/// The keepers, by handler. One that is told None stops its handler.
struct Crew {
    site: Arc<Site>,
    wanted: BTreeMap<String, watch::Sender<Option<Wanted>>>,
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
    let reports = Reports::new(settings.sharing.host(), settings.sharing.lease());
    let site = Arc::new(Site {
        parts,
        registry,
        settings,
        reports,
        drain: drain.clone(),
    });
    let reporting = tokio::spawn(reports::keep(site.clone()));
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
            site.registry
                .watch(links, site.settings.sharing.host())
                .await
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
        // Old revisions come first, and must not be followed on the way.
        let mut first = Some(Stock::new());
        let leave = self.site.drain.leave.clone();
        loop {
            let seen = tokio::select! {
                seen = watch.next() => seen,
                () = leave.cancelled() => return,
            };
            let (key, entry) = match seen {
                Seen::Value(key, entry) => (key, Some(entry)),
                Seen::Gone(key) => (key, None),
                Seen::CaughtUp => {
                    if let Some(stock) = first.take() {
                        self.begin(stock, readiness);
                    }
                    continue;
                }
                Seen::RolledBack { reason } => {
                    tracing::error!(reason, "the registry is not the one that was followed");
                    tokio::select! {
                        () = tokio::time::sleep(WATCH_PAUSE) => {}
                        () = leave.cancelled() => {}
                    }
                    return;
                }
                Seen::Unavailable { reason } => {
                    tracing::warn!(reason, "the registry cannot be read just now");
                    continue;
                }
            };
            match (key, &mut first) {
                (Key::Host(host), _) => self.hear(&host, entry),
                (key, Some(stock)) => drop(stock.insert(key, entry)),
                (key, None) => self.change(key, entry),
            }
        }
    }

    /// A value is another one now, or gone.
    fn change(&mut self, key: Key, entry: Option<Entry>) {
        match (key, entry) {
            (Key::Handler(name), Some(entry)) => drop(self.deploy(name, &entry)),
            (Key::Handler(name), None) => self.withdraw(&name),
            (Key::Need(name), Some(entry)) => self.needs.put(&name, &entry, &self.site),
            (Key::Need(name), None) => self.needs.remove(&name, &self.site),
            (Key::Host(host), entry) => self.hear(&host, entry),
        }
    }

    /// What another host says of itself.
    fn hear(&self, host: &str, entry: Option<Entry>) {
        let sharing = &self.site.settings.sharing;
        match entry.map(|entry| report::decode(&entry.bytes)) {
            Some(Some(report)) => sharing.saw(report),
            // Of another format it says nothing that this version knows.
            Some(None) => {}
            None => sharing.gone(host),
        }
    }

    /// All that is deployed now. The host is ready when each has been tried.
    fn begin(&mut self, stock: Stock, readiness: &Arc<Readiness>) {
        let (mut deployed, mut needs) = (BTreeMap::new(), BTreeMap::new());
        for (key, entry) in stock {
            match (key, entry) {
                (Key::Handler(name), Some(entry)) => drop(deployed.insert(name, entry)),
                (Key::Need(name), Some(entry)) => drop(needs.insert(name, entry)),
                _ => {}
            }
        }
        if deployed.is_empty() && !self.wanted.is_empty() {
            tracing::error!("the registry was made again, and is empty: what runs goes on");
            return;
        }
        self.needs.replace(&needs, &self.site);
        // A registry that was restored may hold less than was followed.
        let gone = |name: &&String| !deployed.contains_key(*name);
        let gone: Vec<String> = self.wanted.keys().filter(gone).cloned().collect();
        for name in gone {
            self.withdraw(&name);
        }
        let handlers = deployed.len();
        let tried: Vec<_> = deployed
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
            keeper.send_replace(Some(wanted));
            return None;
        }
        let (sender, receiver) = watch::channel(Some(wanted));
        let (tried, first) = oneshot::channel();
        let keeper = Keeper::new(name.clone(), self.site.clone());
        self.tasks.spawn(keeper.run(receiver, tried));
        self.wanted.insert(name, sender);
        Some(first)
    }

    fn withdraw(&mut self, name: &str) {
        let Some(keeper) = self.wanted.get(name) else {
            return;
        };
        if keeper.send_replace(None).is_some() {
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
