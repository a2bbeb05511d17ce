//! `wharf provision`: makes what a place and its handlers need on the broker.
//!
//! Nothing that exists is changed, and no checkpoint is ever written over. What
//! has another shape stops the whole, before anything is made.

mod checkpoints;
mod wanted;

use std::fmt;

use clap::Args;
use serde::Serialize;
use wharf_core::manifest::Manifest;
use wharf_core::place::Place;
use wharf_jetstream::api::Api;
use wharf_jetstream::assets::{self, Action};
use wharf_jetstream::capabilities::{self, Account, Capabilities, Lack};
use wharf_jetstream::connection::{Broker, Connection};

use super::check::{require_room, require_sound};
use super::connect::connect;
use super::doctor::require_permissions;
use super::failure::Failure;
use super::host::HandlersArgs;
use super::table::Table;
use crate::bundle::{self, Shelf};
use crate::codes::Code;
use crate::config::PlaceArgs;
use crate::output::{Answer, OutputArgs};

pub use checkpoints::{read as checkpoint, require_subscription};

const AFTER_HELP: &str = "\
Makes streams, ledgers, consumers and first checkpoints; what is there already
stays as it is. Run it again at any time.

Examples:
  wharf provision --dry-run
  wharf provision --handlers target/bundles --config wharf.toml
  wharf provision --nats-context prod -o json";

/// Make what the handlers need on the broker, or show what is missing.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct ProvisionArgs {
    #[command(flatten)]
    handlers: HandlersArgs,
    #[command(flatten)]
    place: PlaceArgs,
    /// Show the plan and make nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Every asset and what was, or would be, done about it.
#[derive(Debug, Serialize)]
struct Report {
    dry_run: bool,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Step {
    asset: String,
    action: Verb,
    /// Differences, each with its remedy; or where a checkpoint begins.
    details: Vec<String>,
    /// What a host that finds it so gives up with.
    #[serde(skip)]
    code: Code,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Verb {
    /// It is missing.
    Create,
    Created,
    Exists,
    /// It is there in another shape.
    Differs,
    /// It cannot be used or made.
    Refused,
}

/// Plans, and makes what is missing unless only the plan is wanted.
pub async fn run(args: ProvisionArgs) -> Result<Answer, Failure> {
    let shelf = bundle::read_all(&args.handlers.handlers)?;
    let setting = args.place.load("wharf provision")?;
    require_sound(&shelf, None, setting.file.as_ref())?;
    let api = connect(&setting.connection).await?;
    require_capable(api.connection()).await?;
    let report = carry_out(&api, &setting.place(), &shelf, args.dry_run).await?;
    if args.dry_run || report.steps.iter().any(Step::is_blocking) {
        let failure = refused(&report);
        let next = if report.is_fulfilled() {
            "wharf host"
        } else {
            "wharf provision"
        };
        return Ok(Answer::new(&report, &report).but(failure).next(next));
    }
    Ok(Answer::new(&report, &report).next("wharf host"))
}

/// Makes what handlers that are about to be deployed lack.
///
/// # Errors
/// What stands in the way, or what may not be made here.
pub async fn make(api: &Api, place: &Place, shelf: &Shelf) -> Result<(), Failure> {
    let report = carry_out(api, place, shelf, false).await?;
    match shortfall(&report.steps) {
        None => Ok(()),
        Some(failure) => Err(failure),
    }
}

/// The plan; carried out, unless only the plan is wanted or something stands in
/// its way.
async fn carry_out(
    api: &Api,
    place: &Place,
    shelf: &Shelf,
    dry_run: bool,
) -> Result<Report, Failure> {
    require_room(shelf, api.connection().max_payload())?;
    let wanted = wanted::place(api, place, &shelf.manifests()).await?;
    let plan = assets::plan(api, &wanted).await?;
    let steps: Vec<Step> = plan.steps.iter().map(Step::from).collect();
    let firsts = checkpoints::plan(api, &shelf.manifests()).await?;
    if dry_run || steps.iter().chain(&firsts).any(Step::is_blocking) {
        let steps = [steps, firsts].concat();
        return Ok(Report { dry_run, steps });
    }
    assets::apply(api, &plan).await.map_err(problem)?;
    let firsts = checkpoints::make(api, &shelf.manifests()).await?;
    let steps = steps.into_iter().map(Step::made).chain(firsts).collect();
    Ok(Report { dry_run, steps })
}

/// For a host, which binds and makes nothing: whether the broker can serve, and
/// has everything in its shape.
///
/// # Errors
/// What the broker lacks; what is missing or differs, with the line that makes
/// it.
pub async fn verify(
    broker: &Broker,
    place: &Place,
    manifests: &[&Manifest],
) -> Result<(), Failure> {
    require_capable(broker.control()).await?;
    let api = Api::new(broker.control().clone());
    require_permissions(&api, manifests).await?;
    let wanted = wanted::place(&api, place, manifests).await?;
    let plan = assets::plan(&api, &wanted).await?;
    let steps: Vec<Step> = plan.steps.iter().map(Step::from).collect();
    if let Some(failure) = shortfall(&steps) {
        return Err(failure);
    }
    checkpoints::verify(&api, manifests).await
}

/// Every asset and checkpoint as it is now.
///
/// # Errors
/// The broker does not answer, or a checkpoint cannot be read.
pub async fn survey(
    api: &Api,
    place: &Place,
    manifests: &[&Manifest],
) -> Result<Vec<Step>, Failure> {
    let wanted = wanted::place(api, place, manifests).await?;
    let plan = assets::plan(api, &wanted).await?;
    let steps = plan.steps.iter().map(Step::from);
    Ok(steps
        .chain(checkpoints::plan(api, manifests).await?)
        .collect())
}

/// Everything that keeps a host from binding, in one failure: what is in the
/// way before what is missing.
fn shortfall(steps: &[Step]) -> Option<Failure> {
    let mut blocking: Vec<&Step> = steps.iter().filter(|step| step.is_blocking()).collect();
    // A consumer that differs for that reason alone is not to be changed by hand.
    blocking.sort_by_key(|step| step.code != Code::CheckpointConflict);
    if let Some(first) = blocking.first() {
        let lines: Vec<String> = blocking.iter().map(|step| step.line()).collect();
        return Some(Failure::new(first.code, lines.join("\n  ")).place(assets_of(&blocking)));
    }
    let missing: Vec<&Step> = steps
        .iter()
        .filter(|step| step.action == Verb::Create)
        .collect();
    let first = missing.first()?;
    let are = if missing.len() == 1 { "is" } else { "are" };
    let message = format!("{} {are} missing", assets_of(&missing));
    Some(
        Failure::new(first.code, message)
            .remedy("run `wharf provision` with the same --handlers and --config"),
    )
}

fn assets_of(steps: &[&Step]) -> String {
    let assets: Vec<&str> = steps.iter().map(|step| step.asset.as_str()).collect();
    assets.join(", ")
}

/// Refuses a broker without JetStream, without permission, or too old.
///
/// # Errors
/// The first reason why it cannot serve.
pub async fn require_capable(connection: &Connection) -> Result<(), Failure> {
    capable(&capabilities::probe(connection).await?).map(drop)
}

/// The account, when the broker can serve.
///
/// # Errors
/// The first reason why it cannot.
pub fn capable(capabilities: &Capabilities) -> Result<Account, Failure> {
    let server = format!("nats-server {}", capabilities.version);
    capabilities.require().cloned().map_err(|lack| {
        let code = match &lack {
            Lack::Disabled | Lack::NotForAccount => Code::JetStreamDisabled,
            Lack::TooOld { .. } => Code::ServerTooOld,
            Lack::Denied { .. } => Code::Denied,
            Lack::NoLeader | Lack::Silent { .. } => Code::Unanswered,
        };
        Failure::new(code, lack.to_string()).place(server)
    })
}

/// Why nothing was made; the table has the details.
fn refused(report: &Report) -> Option<Failure> {
    let blocking: Vec<&Step> = report
        .steps
        .iter()
        .filter(|step| step.is_blocking())
        .collect();
    let first = blocking.first()?;
    let message = match blocking.len() {
        1 => "one asset stands in the way; nothing was made".to_owned(),
        n => format!("{n} assets stand in the way; nothing was made"),
    };
    Some(Failure::new(first.code, message).place(assets_of(&blocking)))
}

fn problem(problem: assets::Problem) -> Failure {
    let assets::Problem {
        asset,
        reason,
        remedy,
    } = problem;
    Failure::new(Code::BrokerRefused, reason)
        .place(asset)
        .remedy(remedy)
}

impl Report {
    fn is_fulfilled(&self) -> bool {
        self.steps.iter().all(|step| step.action == Verb::Exists)
    }
}

impl Step {
    /// Why a host cannot use it as it is. None: it can.
    pub fn shortfall(&self) -> Option<Failure> {
        shortfall(std::slice::from_ref(self))
    }

    /// Whether it stands in the way of the whole plan.
    fn is_blocking(&self) -> bool {
        matches!(self.action, Verb::Differs | Verb::Refused)
    }

    /// After the plan was carried out.
    fn made(self) -> Self {
        let action = if self.action == Verb::Create {
            Verb::Created
        } else {
            self.action
        };
        Self { action, ..self }
    }

    fn line(&self) -> String {
        format!("{}: {}", self.asset, self.details.join("; "))
    }
}

impl From<&assets::Step> for Step {
    fn from(step: &assets::Step) -> Self {
        let (action, code, details) = match &step.action {
            Action::Create => (Verb::Create, Code::AssetMissing, Vec::new()),
            Action::Exists => (Verb::Exists, Code::AssetMissing, Vec::new()),
            Action::Differs(differences) => {
                let line = |d: &assets::Difference| format!("{d}; {}", d.remedy);
                (
                    Verb::Differs,
                    Code::AssetDiffers,
                    differences.iter().map(line).collect(),
                )
            }
            Action::Refused { reason, remedy } => (
                Verb::Refused,
                Code::SourceUnfit,
                vec![format!("{reason}; {remedy}")],
            ),
        };
        Self {
            asset: step.asset.clone(),
            action,
            details,
            code,
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Created => "created",
            Self::Exists => "exists",
            Self::Differs => "differs",
            Self::Refused => "refused",
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(&["asset", "action", "details"]);
        for step in &self.steps {
            table.row([
                step.asset.clone(),
                step.action.to_string(),
                step.details.join("\n"),
            ]);
        }
        write!(f, "{table}")
    }
}
