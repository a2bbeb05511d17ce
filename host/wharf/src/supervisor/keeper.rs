//! Brings one handler in line with its deployment.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use wharf_core::checkpoint;
use wharf_core::deployment::{self, Author, Deployment};
use wharf_core::manifest::{self, Manifest, Ordering};
use wharf_core::ownership::Named;
use wharf_core::report::{HandlerReport, Refused, Running};
use wharf_telemetry::metrics::UnsettledState;

use super::{CUT_WITHIN, Site};
use crate::cli::failure::Failure;
use crate::clock;
use crate::codes::Code;
use crate::deploy;
use crate::drain::Drain;
use crate::handler::{Handler, InUse};
use crate::version::Version;
use crate::watchdog::Alarm;
use crate::{ordered, unordered};

/// Before what may heal by itself, or by a person's hand, is tried again; twice
/// as long each time.
const TRY_AGAIN: Duration = Duration::from_secs(2);
const TRY_AGAIN_MAX: Duration = Duration::from_secs(60);
/// Earlier versions that are tried in place of one that is refused.
const FALL_BACK_MAX: usize = 3;

/// What is to run.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub deployment: Deployment,
    pub revision: u64,
}

impl Wanted {
    fn in_use(&self) -> InUse {
        let version = self.deployment.in_use();
        InUse {
            version: Named {
                number: version.number,
                component: version.component,
            },
            revision: self.revision,
        }
    }
}

/// Keeps one handler.
pub struct Keeper {
    name: String,
    site: Arc<Site>,
    bound: Option<Bound>,
    /// Counted while a person, or the guard, has stopped it.
    paused: Option<wharf_telemetry::metrics::Unsettled>,
    /// Revision of the deployment in whose place no earlier version runs any more.
    barred: Option<u64>,
}

/// A handler at work.
struct Bound {
    handler: Arc<Handler>,
    drain: Drain,
    task: JoinHandle<()>,
    since_ms: u64,
}

/// How a deployment was followed.
enum Followed {
    Done,
    /// Not yet: it is tried again.
    Again,
    /// Something else is wanted by now.
    Superseded,
}

impl Keeper {
    pub fn new(name: String, site: Arc<Site>) -> Self {
        Self {
            name,
            site,
            bound: None,
            paused: None,
            barred: None,
        }
    }

    /// Until the host drains: a deployment that is gone may come back while its
    /// work still ends. `tried` hears when the first has been followed as far as
    /// it can be.
    pub async fn run(
        mut self,
        mut wanted: watch::Receiver<Option<Wanted>>,
        tried: oneshot::Sender<()>,
    ) {
        let mut tried = Some(tried);
        let leave = self.site.drain.leave.clone();
        let mut pause = TRY_AGAIN;
        while !leave.is_cancelled() {
            let now = wanted.borrow_and_update().clone();
            let followed = match &now {
                Some(now) => self.follow(now, &mut wanted).await,
                None => self.withdraw().await,
            };
            if matches!(followed, Followed::Superseded) {
                continue;
            }
            if let Some(tried) = tried.take() {
                let _ = tried.send(());
            }
            let again = matches!(followed, Followed::Again);
            tokio::select! {
                changed = wanted.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    pause = TRY_AGAIN;
                }
                () = tokio::time::sleep(pause), if again => {
                    pause = (pause * 2).min(TRY_AGAIN_MAX);
                }
                heard = heard(&mut self.bound) => {
                    self.stand_in(heard).await;
                    // The pause is on its way; or all begins again.
                    tokio::select! {
                        _ = tokio::time::timeout(TRY_AGAIN, wanted.changed()) => {}
                        () = leave.cancelled() => {}
                    }
                }
                () = leave.cancelled() => {}
            }
        }
        self.stop().await;
        self.site.reports.remove(&self.name);
    }

    async fn follow(
        &mut self,
        wanted: &Wanted,
        newer: &mut watch::Receiver<Option<Wanted>>,
    ) -> Followed {
        if wanted.deployment.paused.is_some() {
            self.pause(wanted).await;
            return Followed::Done;
        }
        self.paused = None;
        let named = wanted.deployment.in_use();
        if let Some(bound) = &self.bound {
            bound.handler.hear(wanted.in_use());
        }
        let runs = self.version().is_some_and(|version| version.is(named));
        if runs {
            self.tell(wanted, None);
            return Followed::Done;
        }
        let leave = self.site.drain.leave.clone();
        let loaded = tokio::select! {
            loaded = self.load(named) => loaded,
            () = leave.cancelled() => return Followed::Superseded,
            // A pause, or another version, is not to wait for this one.
            Ok(()) = newer.changed() => {
                newer.mark_changed();
                return Followed::Superseded;
            }
        };
        let switched = match loaded {
            Ok(version) => self.switch(wanted, version).await,
            Err(failure) => Err(failure),
        };
        match switched {
            Ok(()) => {
                self.tell(wanted, None);
                Followed::Done
            }
            Err(failure) => self.refuse(wanted, newer, failure).await,
        }
    }

    /// What ran goes on; where nothing did, after a pause or a restart, the last
    /// version before it that this host can run does.
    async fn refuse(
        &mut self,
        wanted: &Wanted,
        newer: &mut watch::Receiver<Option<Wanted>>,
        failure: Failure,
    ) -> Followed {
        let deployment = &wanted.deployment;
        tracing::error!(
            handler = self.name,
            version = deployment.stable,
            code = %failure.code,
            reason = failure.message,
            remedy = failure.remedy,
            "the version is not run"
        );
        let may = speaks_of_the_version(failure.code) && self.barred != Some(wanted.revision);
        if self.bound.is_none() && may {
            let leave = self.site.drain.leave.clone();
            tokio::select! {
                () = self.fall_back(wanted) => {}
                () = leave.cancelled() => return Followed::Superseded,
                Ok(()) = newer.changed() => {
                    newer.mark_changed();
                    return Followed::Superseded;
                }
            }
        }
        let heals = !is_final(failure.code);
        self.tell(wanted, Some(failure));
        if heals {
            Followed::Again
        } else {
            Followed::Done
        }
    }

    async fn fall_back(&mut self, wanted: &Wanted) {
        let deployment = &wanted.deployment;
        // What came after it and was taken back is not for this.
        let earlier = deployment.earlier().into_iter();
        let before = earlier.filter(|version| version.number < deployment.stable);
        for named in before.take(FALL_BACK_MAX) {
            let switched = match self.load(named).await {
                Ok(version) => self.switch(wanted, version).await,
                Err(failure) => Err(failure),
            };
            let version = named.number;
            match switched {
                Ok(()) => {
                    tracing::warn!(handler = self.name, version, "an earlier version runs");
                    return;
                }
                Err(failure) => tracing::warn!(
                    handler = self.name,
                    version,
                    code = %failure.code,
                    reason = failure.message,
                    "nor is the version before it"
                ),
            }
        }
    }

    /// Nothing is deployed any more.
    async fn withdraw(&mut self) -> Followed {
        self.stop().await;
        self.paused = None;
        self.site.reports.remove(&self.name);
        Followed::Done
    }

    /// Gives a version what comes from now on.
    async fn switch(&mut self, wanted: &Wanted, version: Version) -> Result<(), Failure> {
        let number = version.number;
        match &self.bound {
            Some(bound) if bound.handler.version().binds_like(&version) => {
                let before = bound.handler.swap(version);
                bound.handler.watchdog.begin(number);
                tracing::info!(
                    handler = self.name,
                    from = before.number,
                    to = number,
                    "swapped"
                );
            }
            _ => {
                // What cannot be bound stops nothing.
                let lineage = &wanted.deployment.lineage;
                let handler = self.site.parts.bind(lineage, version, wanted.in_use());
                let handler = handler.await?;
                self.stop().await;
                self.start(Arc::new(handler), number);
            }
        }
        Ok(())
    }

    async fn load(&self, version: &deployment::Version) -> Result<Version, Failure> {
        let manifest = self.site.registry.object(version.manifest).await?;
        let manifest = self.read(&manifest)?;
        let wasm = self.site.registry.object(version.component);
        let version = self.site.parts.version(version, manifest, wasm);
        version.await.map_err(Failure::from)
    }

    fn read(&self, text: &Bytes) -> Result<Manifest, Failure> {
        let text = String::from_utf8_lossy(text);
        let read = manifest::read(&format!("{}/handler.toml", self.name), &text);
        let manifest = read.map_err(Failure::problems)?.value;
        if manifest.name == self.name {
            return Ok(manifest);
        }
        let message = format!(
            "the deployment of `{}` names a manifest of `{}`",
            self.name, manifest.name
        );
        Err(Failure::new(Code::DeploymentUnreadable, message))
    }

    fn start(&mut self, handler: Arc<Handler>, number: u32) {
        handler.watchdog.begin(number);
        let drain = self.site.drain.child();
        let settings = self.site.settings.clone();
        let task = match handler.version().manifest.ordering {
            Ordering::Key => {
                tokio::spawn(ordered::run(handler.clone(), 0, settings, drain.clone()))
            }
            Ordering::None => tokio::spawn(unordered::run(
                handler.clone(),
                settings.bounds,
                drain.clone(),
            )),
        };
        tracing::info!(handler = self.name, version = number, "started");
        self.bound = Some(Bound {
            handler,
            drain,
            task,
            since_ms: clock::now_ms(),
        });
    }

    async fn pause(&mut self, wanted: &Wanted) {
        if self.paused.is_none() {
            tracing::warn!(handler = self.name, "paused");
        }
        self.stop().await;
        let metrics = self.site.parts.metrics_of(&self.name);
        self.paused
            .get_or_insert_with(|| metrics.unsettled(UnsettledState::Paused));
        self.tell(wanted, None);
    }

    async fn stand_in(&mut self, heard: Heard) {
        match heard {
            Heard::Alarm(alarm) => self.trip(&alarm).await,
            Heard::Ended => {
                tracing::error!(handler = self.name, "it ended by itself, and begins again");
                self.bound = None;
            }
        }
    }

    /// The guard's word: nothing of the version runs any more, on any host.
    async fn trip(&mut self, alarm: &Alarm) {
        tracing::error!(
            handler = self.name,
            version = alarm.version,
            reason = alarm.why,
            "paused by the guard: `wharf rollback` or a new version ends it, `wharf resume` tries again"
        );
        // Nothing more begins; the pause is written before what runs has ended, for
        // the other hosts.
        if let Some(bound) = &self.bound {
            bound.drain.leave.cancel();
        }
        let author = Author {
            by: "guard",
            why: &alarm.why,
            now_ms: clock::now_ms(),
        };
        let paused = deploy::change(&self.site.registry, &self.name, |before| {
            let before = before.ok_or_else(|| deploy::unknown(&self.name))?;
            let still = before.stable == alarm.version && before.paused.is_none();
            Ok(still.then(|| before.paused(Some(alarm.version), author)))
        });
        match paused.await {
            // It stood in for the one in use, and must not again.
            Ok((_, stands)) if stands.deployment.stable != alarm.version => {
                self.barred = Some(stands.revision);
            }
            Ok(_) => {}
            // It begins again with what is deployed, and the guard with it.
            Err(failure) => {
                tracing::error!(handler = self.name, reason = failure.message, "not paused");
            }
        }
        self.stop().await;
    }

    /// Finishes what runs, releases the rest, and gives the partition back.
    async fn stop(&mut self) {
        let Some(mut bound) = self.bound.take() else {
            return;
        };
        bound.drain.leave.cancel();
        let within = self.site.parts.options().place.host.drain;
        if tokio::time::timeout(within, &mut bound.task).await.is_ok() {
            return;
        }
        bound.drain.cut.cancel();
        if tokio::time::timeout(CUT_WITHIN, &mut bound.task)
            .await
            .is_err()
        {
            tracing::warn!(
                handler = self.name,
                "what still waits for the broker is left behind"
            );
            bound.task.abort();
        }
    }

    fn version(&self) -> Option<Arc<Version>> {
        self.bound.as_ref().map(|bound| bound.handler.version())
    }

    fn tell(&self, wanted: &Wanted, refused: Option<Failure>) {
        let running = self.bound.as_ref().map(|bound| {
            let version = bound.handler.version();
            Running {
                version: version.number,
                component: deployment::Digest(version.digest()),
                generation: generation(&version.manifest),
                since_ms: bound.since_ms,
            }
        });
        let refused = refused.map(|failure| Refused {
            version: wanted.deployment.stable,
            code: failure.code.as_str().to_owned(),
            message: failure.message,
            remedy: failure.remedy,
        });
        let report = HandlerReport {
            running,
            revision: wanted.revision,
            refused,
            paused: wanted.deployment.paused.is_some(),
            // Told when it is written.
            owns: false,
        };
        self.site.reports.set(&self.name, report);
    }
}

/// What a handler at work tells by itself.
enum Heard {
    Alarm(Alarm),
    /// It ended although nobody told it to.
    Ended,
}

async fn heard(bound: &mut Option<Bound>) -> Heard {
    let Some(bound) = bound else {
        return std::future::pending().await;
    };
    tokio::select! {
        alarm = bound.handler.watchdog.alarm() => Heard::Alarm(alarm),
        _ = &mut bound.task => Heard::Ended,
    }
}

/// Empty where there is nothing to own.
fn generation(manifest: &Manifest) -> String {
    match manifest.ordering {
        Ordering::Key => checkpoint::generation_text(&manifest.on),
        Ordering::None => String::new(),
    }
}

/// The version cannot be run here; not that nobody could say what it is just now.
fn speaks_of_the_version(code: Code) -> bool {
    is_final(code)
        || matches!(
            code,
            Code::NeedWithoutAddress
                | Code::NotCovered
                | Code::DestinationUnfit
                | Code::ObjectMissing
                | Code::DigestMismatch
                | Code::CheckpointConflict
        )
}

/// Trying again would meet the same bytes and the same settings.
fn is_final(code: Code) -> bool {
    matches!(
        code,
        Code::ComponentCorrupt
            | Code::ComponentIsModule
            | Code::UnknownImport
            | Code::WrongWorld
            | Code::ComponentTooLarge
            | Code::ComponentStart
            | Code::DeploymentUnreadable
            | Code::Problems
            | Code::SettingMissing
    )
}
