//! `wharf status`: what is deployed, and which hosts run it.

use std::collections::BTreeMap;
use std::fmt;

use clap::Args;
use serde::Serialize;
use wharf_core::deployment::{self, Deployment, Digest, Pause};
use wharf_core::report::{HostReport, Refused};
use wharf_jetstream::api::Api;
use wharf_jetstream::names::Lineage;
use wharf_jetstream::registry::Kind;

use super::connect::registry;
use super::failure::Failure;
use super::provision;
use super::rollout;
use super::table::{Table, counted};
use crate::clock;
use crate::codes::Code;
use crate::config::PlaceArgs;
use crate::output::{Answer, OutputArgs};

/// Show what is deployed, and which hosts run it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wharf status
  wharf status -o json")]
pub struct StatusArgs {
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Debug, Serialize)]
struct Report {
    handlers: Vec<Handler>,
    hosts: Vec<Host>,
}

#[derive(Debug, Serialize)]
struct Handler {
    handler: String,
    version: u32,
    component: Digest,
    since: String,
    by: String,
    why: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    paused: Option<Pause>,
    /// Living hosts, by the version that they run.
    running: BTreeMap<u32, usize>,
    /// The host that works an ordered handler; the others stand by.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    refused: Vec<Refusal>,
}

#[derive(Debug, Serialize)]
struct Refusal {
    host: String,
    #[serde(flatten)]
    refused: Refused,
}

#[derive(Debug, Serialize)]
struct Host {
    host: String,
    wharf: String,
    up_since: String,
    handlers: usize,
}

/// Reads the registry.
pub async fn run(args: StatusArgs) -> Result<Answer, Failure> {
    let registry = registry(&args.place, "wharf status").await?;
    let api = Api::new(registry.connection().clone());
    let hosts = rollout::hosts(&registry).await?;
    let mut handlers = Vec::new();
    for (name, entry) in registry.list(Kind::Handlers).await? {
        let deployment = deployment::decode(&entry.bytes).map_err(|error| {
            Failure::new(Code::DeploymentUnreadable, error.to_string()).place(name)
        })?;
        let owner = owner(&api, &deployment).await;
        // One that reports no more is gone, and its lease runs out.
        let owner = owner.filter(|owner| hosts.iter().any(|host| host.host == *owner));
        handlers.push(Handler::of(deployment, owner, &hosts));
    }
    let hosts = hosts.into_iter().map(Host::from).collect();
    let report = Report { handlers, hosts };
    let next = match report.handlers.first() {
        Some(first) => format!("wharf versions {}", first.handler),
        None => "wharf deploy target/bundles".to_owned(),
    };
    Ok(Answer::new(&report, &report).next(next))
}

/// None: nobody works it just now, it is unordered, or it cannot be told.
async fn owner(api: &Api, deployment: &Deployment) -> Option<String> {
    let lineage = Lineage::parse(&deployment.lineage).ok()?;
    let checkpoint = provision::checkpoint(api, &lineage).await.ok()??;
    (!checkpoint.released && !checkpoint.owner.is_empty()).then_some(checkpoint.owner)
}

impl Handler {
    fn of(deployment: Deployment, owner: Option<String>, hosts: &[HostReport]) -> Self {
        let name = &deployment.handler;
        let mut running = BTreeMap::new();
        let mut refused = Vec::new();
        for host in hosts {
            let Some(report) = host.handlers.get(name) else {
                continue;
            };
            if let Some(runs) = &report.running {
                *running.entry(runs.version).or_default() += 1;
            }
            if let Some(why) = &report.refused {
                refused.push(Refusal {
                    host: host.host.clone(),
                    refused: why.clone(),
                });
            }
        }
        let last = deployment.history.last();
        Self {
            version: deployment.stable,
            component: deployment.in_use().component,
            since: last.map_or_else(String::new, |change| clock::text(change.at_ms)),
            by: last.map_or_else(String::new, |change| change.by.clone()),
            why: last.map_or_else(String::new, |change| change.why.clone()),
            running,
            owner,
            refused,
            paused: deployment.paused,
            handler: deployment.handler,
        }
    }

    fn state(&self) -> String {
        let mut lines: Vec<String> = self
            .running
            .iter()
            .map(|(version, hosts)| match *version == self.version {
                true => format!("on {}", counted(*hosts, "host")),
                false => format!("version {version} on {}", counted(*hosts, "host")),
            })
            .collect();
        if let Some(pause) = &self.paused {
            lines.push(format!("paused by {}: {}", pause.by, pause.why));
        } else if lines.is_empty() {
            lines.push("on no host".to_owned());
        }
        lines.extend(self.owner.iter().map(|owner| format!("owned by {owner}")));
        let refusals = self.refused.iter().map(|refusal| {
            let Refused {
                version,
                code,
                message,
                ..
            } = &refusal.refused;
            format!(
                "{} refuses version {version}: {message} ({code})",
                refusal.host
            )
        });
        lines.extend(refusals);
        lines.join("\n")
    }
}

impl From<HostReport> for Host {
    fn from(report: HostReport) -> Self {
        let runs = report
            .handlers
            .values()
            .filter(|handler| handler.running.is_some());
        Self {
            handlers: runs.count(),
            up_since: clock::text(report.started_ms),
            host: report.host,
            wharf: report.wharf,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(&["handler", "version", "component", "since", "state"]);
        for handler in &self.handlers {
            table.row([
                handler.handler.clone(),
                handler.version.to_string(),
                handler.component.short(),
                handler.since.clone(),
                handler.state(),
            ]);
        }
        writeln!(f, "{table}")?;
        let mut table = Table::new(&["host", "wharf", "up since", "handlers"]);
        for host in &self.hosts {
            table.row([
                host.host.clone(),
                host.wharf.clone(),
                host.up_since.clone(),
                host.handlers.to_string(),
            ]);
        }
        write!(f, "{table}")
    }
}
