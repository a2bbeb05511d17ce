//! `wharf versions`, `wharf rollback`, `wharf pause` and `wharf resume`: a
//! handler's deployment, looked at and changed.

use std::fmt;

use clap::Args;
use serde::Serialize;
use wharf_core::deployment::{Author, Deployment, Digest, NoWayBack, Pause};

use super::connect::registry;
use super::failure::Failure;
use super::rollout::{Convergence, WaitArgs, Wanted};
use super::table::Table;
use crate::clock;
use crate::codes::Code;
use crate::config::PlaceArgs;
use crate::deploy::{self, Stands, Step};
use crate::output::{Answer, OutputArgs};

/// List a handler's versions, and how they followed one another.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wharf versions payment
  wharf versions payment -o json")]
pub struct VersionsArgs {
    /// The handler's name.
    handler: String,
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Give the traffic back to the version that had it before.
#[derive(Debug, Args)]
#[command(after_help = "\
Twice is there and back. A pause that the guard set ends with it.

Examples:
  wharf rollback payment --wait -m 'charges twice'
  wharf rollback payment --to 3")]
pub struct RollbackArgs {
    /// The handler's name.
    handler: String,
    /// This version instead of the one before.
    #[arg(long, value_name = "VERSION")]
    to: Option<u32>,
    #[command(flatten)]
    pub change: ChangeArgs,
}

/// Stop a handler on all hosts; its events wait in the stream.
#[derive(Debug, Args)]
#[command(after_help = "\
What runs is finished. It outlasts restarts and deployments, until `wharf resume`.

Examples:
  wharf pause payment -m 'the bank is closed' --wait")]
pub struct PauseArgs {
    /// The handler's name.
    handler: String,
    #[command(flatten)]
    pub change: ChangeArgs,
}

/// Let a paused handler go on.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wharf resume payment --wait")]
pub struct ResumeArgs {
    /// The handler's name.
    handler: String,
    #[command(flatten)]
    pub change: ChangeArgs,
}

/// What every change of a deployment is told.
#[derive(Debug, Args)]
pub struct ChangeArgs {
    /// Why; written into the deployment.
    #[arg(short = 'm', long = "message", value_name = "WHY", default_value = "")]
    why: String,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Shows a deployment.
pub async fn versions(args: VersionsArgs) -> Result<Answer, Failure> {
    let registry = registry(&args.place, "wharf versions").await?;
    let stands = deploy::read(&registry, &args.handler).await?;
    let stands = stands.ok_or_else(|| deploy::unknown(&args.handler))?;
    let view = View::of(&stands.deployment);
    Ok(Answer::new(&view, &view).next(format!("wharf rollback {}", args.handler)))
}

/// Returns to an earlier version.
pub async fn rollback(args: RollbackArgs) -> Result<Answer, Failure> {
    let RollbackArgs {
        handler,
        to,
        change,
    } = args;
    let back = |before: &Deployment, author: Author<'_>| {
        before.rolled_back(to, author).map(Some).map_err(|error| {
            let code = match error {
                NoWayBack::Unknown { .. } => Code::VersionUnknown,
                NoWayBack::First { .. } | NoWayBack::Already { .. } => Code::NoWayBack,
            };
            Failure::new(code, error.to_string()).place(handler.clone())
        })
    };
    change.apply("wharf rollback", &handler, back).await
}

/// Stops a handler everywhere.
pub async fn pause(args: PauseArgs) -> Result<Answer, Failure> {
    let stop = |before: &Deployment, author: Author<'_>| {
        let by_person = before.paused.as_ref().is_some_and(|p| p.version.is_none());
        Ok((!by_person).then(|| before.paused(None, author)))
    };
    args.change.apply("wharf pause", &args.handler, stop).await
}

/// Lets it go on.
pub async fn resume(args: ResumeArgs) -> Result<Answer, Failure> {
    let go =
        |before: &Deployment, _: Author<'_>| Ok(before.paused.is_some().then(|| before.resumed()));
    args.change.apply("wharf resume", &args.handler, go).await
}

impl ChangeArgs {
    async fn apply(
        &self,
        command: &str,
        handler: &str,
        next: impl Fn(&Deployment, Author<'_>) -> Result<Option<Deployment>, Failure>,
    ) -> Result<Answer, Failure> {
        let registry = registry(&self.place, command).await?;
        let by = deploy::whoami();
        let (step, stands) = deploy::change(&registry, handler, |before| {
            let before = before.ok_or_else(|| deploy::unknown(handler))?;
            let author = Author {
                by: &by,
                why: &self.why,
                now_ms: clock::now_ms(),
            };
            next(before, author)
        })
        .await?;
        let (hosts, failure) = self.wait.settle(&registry, &[wanted(&stands)]).await?;
        let report = Changed {
            changed: step != Step::Unchanged,
            deployment: View::of(&stands.deployment),
            hosts,
        };
        Ok(Answer::new(&report, &report)
            .but(failure)
            .next("wharf status"))
    }
}

fn wanted(stands: &Stands) -> Wanted {
    Wanted {
        handler: stands.deployment.handler.clone(),
        version: stands.deployment.stable,
        component: stands.deployment.in_use().component,
        // Whoever pauses, resumes or rolls back knows whether it is.
        paused: stands.deployment.paused.is_some(),
        revision: stands.revision,
    }
}

/// A deployment as people and programs read it.
#[derive(Debug, Serialize)]
struct View {
    handler: String,
    lineage: String,
    stable: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    paused: Option<Pause>,
    versions: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    version: u32,
    component: Digest,
    manifest: Digest,
    added: String,
    /// When it last took over; empty when it never had the traffic.
    took_over: String,
    by: String,
    why: String,
}

#[derive(Debug, Serialize)]
struct Changed {
    changed: bool,
    #[serde(flatten)]
    deployment: View,
    #[serde(skip_serializing_if = "Option::is_none")]
    hosts: Option<Convergence>,
}

impl View {
    fn of(deployment: &Deployment) -> Self {
        let row = |version: &wharf_core::deployment::Version| {
            let last = deployment
                .history
                .iter()
                .rev()
                .find(|change| change.version == version.number);
            Row {
                version: version.number,
                component: version.component,
                manifest: version.manifest,
                added: clock::text(version.added_ms),
                took_over: last.map_or_else(String::new, |change| clock::text(change.at_ms)),
                by: last.map_or_else(String::new, |change| change.by.clone()),
                why: last.map_or_else(String::new, |change| change.why.clone()),
            }
        };
        Self {
            handler: deployment.handler.clone(),
            lineage: deployment.lineage.clone(),
            stable: deployment.stable,
            paused: deployment.paused.clone(),
            versions: deployment.versions.iter().map(row).collect(),
        }
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(&["", "version", "component", "took over", "by", "why"]);
        for row in self.versions.iter().rev() {
            let mark = if row.version == self.stable { "*" } else { "" };
            table.row([
                mark.to_owned(),
                row.version.to_string(),
                row.component.short(),
                row.took_over.clone(),
                row.by.clone(),
                row.why.clone(),
            ]);
        }
        write!(f, "{table}")?;
        match &self.paused {
            Some(pause) => {
                let since = clock::text(pause.at_ms);
                write!(f, "paused since {since} by {}: {}", pause.by, pause.why)
            }
            None => Ok(()),
        }
    }
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.changed {
            writeln!(f, "nothing to change")?;
        }
        write!(f, "{}", self.deployment)?;
        match &self.hosts {
            Some(hosts) => write!(f, "\n{hosts}"),
            None => Ok(()),
        }
    }
}
