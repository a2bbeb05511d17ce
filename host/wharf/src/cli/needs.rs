//! `wharf needs`: where the needs of an environment are, in the registry.

use std::fmt;
use std::path::PathBuf;

use bytes::Bytes;
use clap::{Args, Subcommand};
use serde::Serialize;
use wharf_core::needs::{self, Need};
use wharf_jetstream::registry::{Key, Kind, Registry, Saved};

use super::connect::registry;
use super::failure::Failure;
use super::table::Table;
use crate::codes::Code;
use crate::config::{self, PlaceArgs};
use crate::deploy::not_saved;
use crate::output::{Answer, Format, OutputArgs};
use crate::supervisor::needs::read;

const AFTER_HELP: &str = "\
Hosts follow a change at once; calls that run end where they began. What a host
was told with --needs goes before the registry. Secrets stay with the hosts: write
${secret:NAME}, and give each host WHARF_SECRET_<NAME>.

Examples:
  wharf needs ls
  wharf needs apply needs.toml
  wharf needs set gateway --url https://pay.example.com --auth-header authorization --auth-value 'Bearer ${secret:TOKEN}'
  wharf needs show gateway";

/// Where the needs are that handlers call.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct NeedsArgs {
    #[command(subcommand)]
    command: NeedsCommand,
}

#[derive(Debug, Subcommand)]
enum NeedsCommand {
    /// List all needs.
    #[command(after_help = "Examples:\n  wharf needs ls -o json")]
    Ls(Common),
    /// Show a need as needs.toml would have it.
    #[command(after_help = "Examples:\n  wharf needs show gateway")]
    Show(ShowArgs),
    /// Say where a need is.
    #[command(after_help = "Examples:\n  wharf needs set mail --url http://mail.internal:8080")]
    Set(SetArgs),
    /// Take over every need of a needs.toml; others stay as they are.
    #[command(after_help = "Examples:\n  wharf needs apply needs.toml")]
    Apply(ApplyArgs),
}

#[derive(Debug, Args)]
struct Common {
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// The need's name.
    need: String,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct SetArgs {
    /// The need's name.
    need: String,
    /// Its address; a call's path is appended.
    #[arg(long)]
    url: String,
    /// Header that carries its credential.
    #[arg(long, value_name = "NAME", requires = "auth_value")]
    auth_header: Option<String>,
    /// The credential, with secrets as ${secret:NAME}.
    #[arg(long, value_name = "VALUE", requires = "auth_header")]
    auth_value: Option<String>,
    /// Calls at once on a host, all handlers together.
    #[arg(long, value_name = "COUNT")]
    max_in_flight: Option<u32>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct ApplyArgs {
    /// The file.
    #[arg(value_name = "FILE", default_value = "needs.toml")]
    file: PathBuf,
    #[command(flatten)]
    common: Common,
}

impl NeedsArgs {
    pub fn output(&self) -> Format {
        let common = match &self.command {
            NeedsCommand::Ls(common) => common,
            NeedsCommand::Show(args) => &args.common,
            NeedsCommand::Set(args) => &args.common,
            NeedsCommand::Apply(args) => &args.common,
        };
        common.output.output
    }
}

/// Runs one of the verbs.
pub async fn run(args: NeedsArgs) -> Result<Answer, Failure> {
    match args.command {
        NeedsCommand::Ls(common) => ls(&common).await,
        NeedsCommand::Show(args) => show(&args).await,
        NeedsCommand::Set(args) => set(&args).await,
        NeedsCommand::Apply(args) => apply(&args).await,
    }
}

async fn ls(common: &Common) -> Result<Answer, Failure> {
    let registry = registry(&common.place, "wharf needs").await?;
    let mut rows = Vec::new();
    for (name, entry) in registry.list(Kind::Needs).await? {
        rows.push(Row::of(&name, &read(&name, &entry)?));
    }
    let list = List { needs: rows };
    Ok(Answer::new(&list, &list))
}

async fn show(args: &ShowArgs) -> Result<Answer, Failure> {
    let registry = registry(&args.common.place, "wharf needs").await?;
    let key = Key::Need(args.need.clone());
    let Some(entry) = registry.read(&key).await? else {
        let message = format!(
            "the registry does not say where the need `{}` is",
            args.need
        );
        return Err(Failure::new(Code::NeedUnknown, message).place(key.to_string()));
    };
    let need = read(&args.need, &entry)?;
    let row = Row::of(&args.need, &need);
    Ok(Answer::new(needs::text(&args.need, &need), &row))
}

async fn set(args: &SetArgs) -> Result<Answer, Failure> {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut text = format!("[needs.{}]\nurl = {}\n", args.need, quoted(&args.url));
    if let (Some(header), Some(value)) = (&args.auth_header, &args.auth_value) {
        let (header, value) = (quoted(header), quoted(value));
        text += &format!("auth = {{ header = {header}, value = {value} }}\n");
    }
    if let Some(max) = args.max_in_flight {
        text += &format!("max_in_flight = {max}\n");
    }
    let parsed = needs::parse("the command line", &text).map_err(Failure::problems)?;
    let registry = registry(&args.common.place, "wharf needs").await?;
    put_all(&registry, &parsed).await
}

async fn apply(args: &ApplyArgs) -> Result<Answer, Failure> {
    let file = config::needs(Some(&args.file))?;
    let Some(file) = file else {
        let message = format!("there is no file {}", args.file.display());
        return Err(Failure::new(Code::FileUnreadable, message));
    };
    let registry = registry(&args.common.place, "wharf needs").await?;
    put_all(&registry, &file.value).await
}

async fn put_all(registry: &Registry, needs: &needs::Needs) -> Result<Answer, Failure> {
    let mut rows = Vec::new();
    for (name, need) in needs {
        put(registry, name, need).await?;
        rows.push(Row::of(name, need));
    }
    let list = List { needs: rows };
    Ok(Answer::new(&list, &list).next("wharf needs ls"))
}

async fn put(registry: &Registry, name: &str, need: &Need) -> Result<(), Failure> {
    let key = Key::Need(name.to_owned());
    let bytes = Bytes::from(needs::text(name, need));
    let before = registry.read(&key).await?;
    if before.as_ref().is_some_and(|entry| entry.bytes == bytes) {
        return Ok(());
    }
    let expected = before.map_or(0, |entry| entry.revision);
    match registry.write(&key, expected, bytes).await {
        Saved::Stored { .. } => Ok(()),
        other => Err(not_saved(&key, other)),
    }
}

#[derive(Debug, Serialize)]
struct List {
    needs: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    need: String,
    url: String,
    /// The header alone: what it carries is nobody's to read.
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_header: Option<String>,
    max_in_flight: u32,
}

impl Row {
    fn of(name: &str, need: &Need) -> Self {
        Self {
            need: name.to_owned(),
            url: need.url.as_str().to_owned(),
            auth_header: need.auth.as_ref().map(|auth| auth.header.clone()),
            max_in_flight: need.max_in_flight,
        }
    }
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(&["need", "url", "credential", "at once"]);
        for row in &self.needs {
            table.row([
                row.need.clone(),
                row.url.clone(),
                row.auth_header.clone().unwrap_or_default(),
                row.max_in_flight.to_string(),
            ]);
        }
        write!(f, "{table}")
    }
}
