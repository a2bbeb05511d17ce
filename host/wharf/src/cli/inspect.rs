//! `wharf inspect`: what a component is, without running an event.

use std::fmt;
use std::path::PathBuf;

use bytes::Bytes;
use clap::Args;
use serde::Serialize;
use wharf_engine::inspect::{self, Inspection};
use wharf_jetstream::registry::hash;

use super::failure::Failure;
use super::table::counted;
use crate::codes::Code;
use crate::output::{Answer, OutputArgs};

/// Show a component: digest, size, imports and exports.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wharf inspect target/bundles/order/handler.wasm
  wharf inspect handler.wasm -o json")]
pub struct InspectArgs {
    /// The component's file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Debug, Serialize)]
struct Report {
    digest: String,
    bytes: usize,
    imports: Vec<Import>,
    exports: Vec<String>,
    /// A host of this version would run it.
    fits: bool,
}

#[derive(Debug, Serialize)]
struct Import {
    name: String,
    known: bool,
}

/// Reads the file and its types.
pub async fn run(args: InspectArgs) -> Result<Answer, Failure> {
    let place = args.file.display().to_string();
    let bytes = std::fs::read(&args.file)
        .map(Bytes::from)
        .map_err(|error| {
            let message = format!("the component cannot be read: {error}");
            Failure::new(Code::ComponentMissing, message).place(place.clone())
        })?;
    let seen = inspect::inspect(&bytes).map_err(|error| Failure::from(error).place(place))?;
    let report = Report::of(&bytes, seen);
    Ok(Answer::new(&report, &report).next("wharf check"))
}

impl Report {
    fn of(bytes: &Bytes, seen: Inspection) -> Self {
        let import = |name: String| Import {
            known: !seen.unknown.contains(&name),
            name,
        };
        Self {
            digest: hash(bytes).to_string(),
            bytes: bytes.len(),
            fits: seen.unknown.is_empty() && seen.is_handler,
            imports: seen.imports.into_iter().map(import).collect(),
            exports: seen.exports,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}  {}", self.digest, counted(self.bytes, "byte"))?;
        writeln!(f, "exports")?;
        for export in &self.exports {
            writeln!(f, "  {export}")?;
        }
        writeln!(f, "imports")?;
        for import in &self.imports {
            let known = if import.known {
                ""
            } else {
                "  (no host has it)"
            };
            writeln!(f, "  {}{known}", import.name)?;
        }
        match self.fits {
            true => write!(f, "a host would load it"),
            false => write!(f, "no host would load it"),
        }
    }
}
