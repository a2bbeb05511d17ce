//! `wharf doctor`: what the broker can do for Wharf, and whether it keeps what
//! it acknowledges, in plain words.

mod assets;
mod durability;
mod finding;
mod needs;
mod permissions;
mod server;

use std::path::{Path, PathBuf};

use clap::Args;
use wharf_jetstream::api::Api;
use wharf_jetstream::catalog::Catalog;

use super::connect::connect;
use super::failure::Failure;
use crate::bundle::{self, Shelf};
use crate::config::{self, PlaceArgs, Setting};
use crate::output::{Answer, OutputArgs};
use finding::{Finding, Report};

pub use permissions::require as require_permissions;

const AFTER_HELP: &str = "\
Exit code 1: P1 (no loss) does not hold with this broker. With --quiet nothing
is printed when all is well, so that it serves as a check in scripts.

Examples:
  wharf doctor
  wharf doctor --handlers target/bundles --needs needs.toml
  wharf doctor --quiet --nats-url nats://broker:4222";

/// Look at the broker, the streams and the needs, and say what is not well.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct DoctorArgs {
    /// Folder of bundles, whose streams and permissions are looked at
    /// [default: target/bundles, when there is one].
    #[arg(long, value_name = "DIR", env = "WHARF_HANDLERS")]
    handlers: Option<PathBuf>,
    /// Where the needs are [default: needs.toml, when there is one].
    #[arg(long, value_name = "FILE", env = "WHARF_NEEDS")]
    needs: Option<PathBuf>,
    /// Print only what is not well.
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Looks at everything; fails when something is not well.
pub async fn run(args: DoctorArgs) -> Result<Answer, Failure> {
    let shelf = shelf(args.handlers.as_deref())?;
    let setting = args.place.load("wharf doctor")?;
    let needs = config::needs(args.needs.as_deref())?;
    let api = connect(&setting.connection).await?;

    let mut findings = Vec::new();
    if let Some(account) = server::look(api.connection(), &mut findings).await? {
        findings.extend(server::limits(&account));
        streams(&api, &setting, &shelf, &mut findings).await?;
    }
    if let Some(needs) = &needs {
        findings.extend(needs::look(&needs.value).await);
    }
    let report = Report::new(findings, args.quiet);
    let failure = report.failure();
    Ok(Answer::new(&report, &report).but(failure))
}

/// What a user may not do is said first: it hides everything else.
async fn streams(
    api: &Api,
    setting: &Setting,
    shelf: &Shelf,
    findings: &mut Vec<Finding>,
) -> Result<(), Failure> {
    let denied = permissions::look(api, &shelf.manifests()).await?;
    let may_look = denied.is_empty();
    findings.extend(denied);
    if !may_look {
        return Ok(());
    }
    findings.push(finding::good(
        "permissions",
        "this user may do what Wharf does",
    ));
    let place = setting.place();
    let catalog = Catalog::read(api).await?;
    findings.extend(assets::look(api, &place, &shelf.manifests()).await?);
    findings.extend(durability::look(&catalog, &place, &shelf.manifests()));
    findings.extend(server::clock(api, &catalog).await?);
    Ok(())
}

fn shelf(named: Option<&Path>) -> Result<Shelf, Failure> {
    let default = Path::new("target/bundles");
    match named {
        Some(folder) => bundle::read_all(folder),
        None if default.is_dir() => bundle::read_all(default),
        None => Ok(Shelf::default()),
    }
}
