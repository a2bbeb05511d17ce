//! `wharf deploy`: checks bundles, makes what they need on the broker, and gives
//! them the traffic.

use std::fmt;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use serde::Serialize;
use wharf_core::config::Located;
use wharf_core::deployment::{Author, Digest};
use wharf_core::needs::Needs;
use wharf_jetstream::registry::{Kind, Registry};

use super::check::component::{self, Looker};
use super::check::require_sound;
use super::connect::connect;
use super::failure::Failure;
use super::provision;
use super::rollout::{self, Convergence, WaitArgs};
use super::table::Table;
use super::turning::{self, Turn};
use crate::bundle::{self, Bundle, Shelf};
use crate::clock;
use crate::config::{self, PlaceArgs};
use crate::deploy::{self, Known, Parcel, Step};
use crate::output::{Answer, OutputArgs};
use crate::supervisor::needs::read as read_need;

const AFTER_HELP: &str = "\
A bundle is checked as a host would check it, its streams and consumers are made
when they are missing, and then it has the traffic on every host, without a
restart. The same bundle again changes nothing. A host that cannot run it keeps
the version that it has, and `--wait` says which and why. Where `[[on]]` of an
ordered handler changes, `--wait` says behind which sequence the new one counts.

Examples:
  wharf deploy target/bundles/payment --wait -m 'fee for gold customers'
  wharf deploy target/bundles
  wharf deploy target/bundles/order --config wharf.toml -o json";

/// Deploy a handler, or a folder of handlers.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct DeployArgs {
    /// A bundle, or a folder of bundles.
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Why; written into the history.
    #[arg(short = 'm', long = "message", value_name = "WHY", default_value = "")]
    why: String,
    #[command(flatten)]
    wait: WaitArgs,
    /// Where the needs are, to check against [default: needs.toml, when there is one].
    #[arg(long, value_name = "FILE", env = "WHARF_NEEDS")]
    needs: Option<PathBuf>,
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// What was deployed, and what the hosts made of it.
#[derive(Debug, Serialize)]
struct Report {
    handlers: Vec<Row>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hosts: Option<Convergence>,
}

#[derive(Debug, Serialize)]
struct Row {
    handler: String,
    step: Step,
    version: u32,
    component: Digest,
    manifest: Digest,
    /// When the deployment changes what the handler subscribes to.
    #[serde(skip_serializing_if = "Option::is_none")]
    subscription: Option<Turn>,
    #[serde(skip)]
    revision: u64,
}

/// Deploys, and waits for the hosts if that is wanted.
pub async fn run(args: DeployArgs) -> Result<Answer, Failure> {
    let shelf = bundle::read_all(&args.path)?;
    let setting = args.place.load("wharf deploy")?;
    let needs = config::needs(args.needs.as_deref())?;
    require_sound(&shelf, None, setting.file.as_ref())?;
    require_components(&shelf.bundles).await?;
    let api = connect(&setting.connection).await?;
    provision::require_capable(api.connection()).await?;
    provision::make(&api, &setting.place(), &shelf).await?;
    let registry = Registry::open(api.connection().clone()).await?;
    let needs = with_registry(needs, &registry).await?;
    require_sound(&shelf, needs.as_ref(), None)?;
    let turning = turning::of(&api, &shelf.manifests()).await?;
    let mut handlers = put_all(&registry, &shelf, &args.why).await?;
    let wanted: Vec<rollout::Wanted> = handlers.iter().map(Row::wanted).collect();
    let until = args.wait.until();
    let (hosts, mut failure) = args.wait.settle(&registry, &wanted).await?;
    for subject in turning {
        // With one that failed nobody waits for the others, but says what they are.
        let until = until.filter(|_| failure.is_none());
        let turned = subject
            .turned(&api, until.unwrap_or_else(Instant::now))
            .await?;
        if until.is_some() && turned == Turn::Due {
            failure = Some(subject.late());
        }
        let row = handlers
            .iter_mut()
            .find(|row| row.handler == subject.handler);
        row.expect("each was put").subscription = Some(turned);
    }
    let report = Report { handlers, hosts };
    Ok(Answer::new(&report, &report)
        .but(failure)
        .next("wharf status"))
}

/// The needs of a file and, where it is silent, of the registry. Without a file
/// nothing is missing: hosts may have been told what nobody else knows.
async fn with_registry(
    file: Option<Located<Needs>>,
    registry: &Registry,
) -> Result<Option<Located<Needs>>, Failure> {
    let Some(mut file) = file else {
        return Ok(None);
    };
    for (name, entry) in registry.list(Kind::Needs).await? {
        let need = read_need(&name, &entry)?;
        file.value.entry(name).or_insert(need);
    }
    Ok(Some(file))
}

async fn require_components(bundles: &[Bundle]) -> Result<(), Failure> {
    let looker = Looker::new(component::Look::Thorough);
    for bundle in bundles {
        looker.require(bundle).await?;
    }
    Ok(())
}

async fn put_all(registry: &Registry, shelf: &Shelf, why: &str) -> Result<Vec<Row>, Failure> {
    let by = deploy::whoami();
    let mut rows = Vec::with_capacity(shelf.bundles.len());
    for bundle in &shelf.bundles {
        let author = Author {
            by: &by,
            why,
            now_ms: clock::now_ms(),
        };
        let (step, stands) =
            deploy::put(registry, &Parcel::of(bundle)?, Known::TakesOver, author).await?;
        let version = stands.deployment.in_use();
        rows.push(Row {
            handler: bundle.manifest.name.clone(),
            step,
            version: version.number,
            component: version.component,
            manifest: version.manifest,
            subscription: None,
            revision: stands.revision,
        });
    }
    Ok(rows)
}

impl Row {
    fn wanted(&self) -> rollout::Wanted {
        rollout::Wanted {
            handler: self.handler.clone(),
            version: self.version,
            component: self.component,
            paused: false,
            revision: self.revision,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(&["handler", "version", "component", "manifest", ""]);
        for row in &self.handlers {
            let step = match row.step {
                Step::First => "new",
                Step::Switched => "deployed",
                Step::Unchanged => "unchanged",
            };
            let step = match &row.subscription {
                None => step.to_owned(),
                Some(turn) => format!("{step}; {turn}"),
            };
            table.row([
                row.handler.clone(),
                row.version.to_string(),
                row.component.short(),
                row.manifest.short(),
                step,
            ]);
        }
        write!(f, "{table}")?;
        match &self.hosts {
            Some(hosts) => write!(f, "\n{hosts}"),
            None => Ok(()),
        }
    }
}
