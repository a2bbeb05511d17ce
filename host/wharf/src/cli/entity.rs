//! `wharf entity show`: one entity of a handler, from its record.

mod read;
mod view;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use wharf_jetstream::ledger::Ledger;
use wharf_jetstream::parking::Parking;
use wharf_jetstream::publisher::Publisher;

use super::connect::connect;
use super::failure::Failure;
use super::provision::require_capable;
use crate::bundle;
use crate::clock;
use crate::codes::Code;
use crate::config::PlaceArgs;
use crate::output::{Answer, Format, OutputArgs};
use view::View;

pub use read::record;
pub use view::status;

/// Look at entities.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  wharf entity show order ORD-1")]
pub struct EntityArgs {
    #[command(subcommand)]
    command: EntityCommand,
}

#[derive(Debug, Subcommand)]
enum EntityCommand {
    Show(ShowArgs),
}

const AFTER_HELP: &str = "\
An event of a handler without order is an entity of its own: `wharf publish
--wait` prints its key.

Examples:
  wharf entity show order ORD-1
  wharf entity show inventory SKU-7 --nats-context prod -o json";

/// Show an entity: status, queue, timers, state, and who committed last.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
struct ShowArgs {
    /// The handler's name.
    handler: String,
    /// The entity's key.
    key: String,
    /// Folder of bundles, where the manifest says how the state is printed.
    #[arg(long, value_name = "DIR", env = "WHARF_HANDLERS")]
    handlers: Option<PathBuf>,
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl EntityArgs {
    pub fn output(&self) -> Format {
        match &self.command {
            EntityCommand::Show(args) => args.output.output,
        }
    }
}

/// Shows what is asked for.
pub async fn run(args: EntityArgs) -> Result<Answer, Failure> {
    match args.command {
        EntityCommand::Show(args) => show(args).await,
    }
}

async fn show(args: ShowArgs) -> Result<Answer, Failure> {
    let lineage = bundle::lineage(&args.handler)?;
    let content_type = content_type(&args)?;
    let setting = args.place.load("wharf entity")?;
    let api = connect(&setting.connection).await?;
    require_capable(api.connection()).await?;
    if api.stream(&lineage.ledger_stream()).await?.is_none() {
        let message = format!("there is no handler `{}` on this broker", args.handler);
        return Err(Failure::new(Code::UnknownHandler, message).place(lineage.ledger_stream()));
    }
    let Some(stored) = record(&api, &lineage, &args.key).await? else {
        let message = format!("handler `{}` knows no entity `{}`", args.handler, args.key);
        return Err(Failure::new(Code::NoEntity, message).place(lineage.to_string()));
    };
    let publisher = Publisher::new(api.connection().clone(), 1).await?;
    let parking = Parking::new(Ledger::open(
        api.connection().clone(),
        publisher,
        lineage.clone(),
    ));
    let entries = parking.list(&stored.token).await?;
    let view = View::new(
        &args.handler,
        &lineage,
        &stored,
        &entries,
        content_type.as_deref(),
        clock::now_ms(),
    );
    Ok(Answer::new(&view, &view))
}

/// How the state is printed. None: nobody says, and the bytes decide.
fn content_type(args: &ShowArgs) -> Result<Option<String>, Failure> {
    let Some(folder) = &args.handlers else {
        return Ok(None);
    };
    let shelf = bundle::read_all(folder)?;
    let state = shelf
        .get(&args.handler)
        .and_then(|bundle| bundle.manifest.state.as_ref());
    Ok(state.map(|state| state.content_type.clone()))
}
