//! `wharf check`: everything that can be found wrong without a broker, all at
//! once.

pub mod component;
mod sources;

use std::fmt;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use wharf_core::config::{Located, Problem, Severity};
use wharf_core::crosscheck::{self, Files};
use wharf_core::needs::Needs;
use wharf_core::place::Place;

use super::failure::Failure;
use super::table::{Table, counted};
use crate::bundle::Shelf;
use crate::codes::Code;
use crate::output::{Answer, OutputArgs};
use component::{Component, Look, Looker};
use sources::Sources;

const AFTER_HELP: &str = "\
A folder may be a bundle, or hold bundles; a wharf.toml and a needs.toml in it
are checked with them.

Examples:
  wharf check
  wharf check handlers/order
  wharf check target/bundles --config wharf.toml --needs needs.toml
  wharf check --no-wasm -o json";

/// Check handlers, wharf.toml and needs.toml, and report every problem at once.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct CheckArgs {
    /// Bundles, folders of bundles, or files [default: target/bundles].
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// What belongs to the place [default: wharf.toml, when there is one].
    #[arg(long, value_name = "FILE", env = "WHARF_CONFIG")]
    pub config: Option<PathBuf>,
    /// Where the needs are [default: needs.toml, when there is one].
    #[arg(long, value_name = "FILE", env = "WHARF_NEEDS")]
    pub needs: Option<PathBuf>,
    /// Leave the components alone: neither compile nor start them.
    #[arg(long)]
    pub no_wasm: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// What was looked at and what was found.
#[derive(Debug, Serialize)]
struct Report {
    handlers: Vec<Handler>,
    findings: Vec<Finding>,
    errors: usize,
    warnings: usize,
}

#[derive(Debug, Serialize)]
struct Handler {
    name: String,
    description: String,
    folder: PathBuf,
    component: Component,
}

/// One problem, of a file or of a component.
#[derive(Debug, Serialize)]
pub struct Finding {
    file: String,
    /// From 1; none for a component.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<u32>,
    severity: &'static str,
    code: String,
    message: String,
    remedy: String,
}

/// Checks everything; fails when anything is wrong.
pub async fn run(args: CheckArgs) -> Result<Answer, Failure> {
    let sources = Sources::gather(&args)?;
    let read = sources.read()?;
    let mut findings: Vec<Finding> = read.problems.into_iter().map(Finding::from).collect();
    let across = across(&read.shelf, read.needs.as_ref(), read.place.as_ref());
    findings.extend(across.into_iter().map(Finding::from));
    let mut handlers = Vec::with_capacity(read.shelf.bundles.len());
    let looker = Looker::new(if args.no_wasm {
        Look::Skip
    } else {
        Look::Thorough
    });
    for bundle in read.shelf.bundles {
        let (component, found) = looker.look(&bundle).await?;
        findings.extend(found);
        handlers.push(Handler {
            name: bundle.manifest.name,
            description: bundle.manifest.description,
            folder: bundle.folder,
            component,
        });
    }
    Ok(answer(Report::new(handlers, findings)))
}

/// The rules across files. A place without streams says nothing of streams:
/// they are somebody else's.
fn across(
    shelf: &Shelf,
    needs: Option<&Located<Needs>>,
    place: Option<&Located<Place>>,
) -> Vec<Problem> {
    let place = place.filter(|place| !place.value.streams.is_empty());
    crosscheck::check(Files {
        manifests: &shelf.located,
        needs,
        place,
    })
}

/// For commands that go on only when nothing is wrong; warnings pass.
///
/// # Errors
/// Every problem across the files.
pub fn require_sound(
    shelf: &Shelf,
    needs: Option<&Located<Needs>>,
    place: Option<&Located<Place>>,
) -> Result<(), Failure> {
    errors_of(across(shelf, needs, place))
}

/// For commands that have a broker: what a handler may write fits into one of its
/// messages.
///
/// # Errors
/// Every handler that may write more.
pub fn require_room(shelf: &Shelf, max_payload_bytes: u64) -> Result<(), Failure> {
    errors_of(crosscheck::too_large(&shelf.located, max_payload_bytes))
}

fn errors_of(problems: Vec<Problem>) -> Result<(), Failure> {
    let errors: Vec<Problem> = problems
        .into_iter()
        .filter(|p| p.code.severity() == Severity::Error)
        .collect();
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Failure::problems(errors))
    }
}

fn answer(report: Report) -> Answer {
    let failure = (report.errors > 0).then(|| {
        let (errors, warnings) = (
            counted(report.errors, "error"),
            counted(report.warnings, "warning"),
        );
        Failure::new(Code::Problems, format!("{errors}, {warnings}"))
            .remedy("correct each line that is named above")
    });
    Answer::new(&report, &report)
        .but(failure)
        .next("wharf provision --dry-run")
}

impl Report {
    fn new(handlers: Vec<Handler>, findings: Vec<Finding>) -> Self {
        let errors = findings
            .iter()
            .filter(|finding| finding.severity == ERROR)
            .count();
        let warnings = findings.len() - errors;
        Self {
            handlers,
            findings,
            errors,
            warnings,
        }
    }
}

const ERROR: &str = "error";
const WARNING: &str = "warning";

impl From<Problem> for Finding {
    fn from(problem: Problem) -> Self {
        let Problem {
            file,
            line,
            column,
            code,
            message,
            remedy,
        } = problem;
        let severity = match code.severity() {
            Severity::Error => ERROR,
            Severity::Warning => WARNING,
        };
        Self {
            file,
            line: Some(line),
            column: Some(column),
            severity,
            code: code.to_string(),
            message,
            remedy,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            column,
            severity,
            code,
            message,
            remedy,
        } = self;
        write!(f, "{file}")?;
        if let (Some(line), Some(column)) = (line, column) {
            write!(f, ":{line}:{column}")?;
        }
        writeln!(f, ": {severity}[{code}]: {message}\n  {remedy}")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            write!(f, "{finding}")?;
        }
        let mut table = Table::new(&["handler", "folder", "component", "description"]);
        for handler in &self.handlers {
            table.row([
                handler.name.clone(),
                handler.folder.display().to_string(),
                handler.component.to_string(),
                handler.description.clone(),
            ]);
        }
        if !self.handlers.is_empty() {
            write!(f, "{table}")?;
        }
        Ok(())
    }
}
