//! The command line. Each command is a module with its flags and a function
//! that gives an answer or a failure; printing and exit codes are here.

pub mod check;
mod connect;
#[cfg(feature = "demo")]
mod demo;
mod deploy;
mod doctor;
mod entity;
pub mod failure;
mod host;
mod inspect;
mod needs;
pub mod provision;
mod publish;
mod rollout;
mod status;
mod table;
mod turning;
mod versions;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::codes::{Code, Exit};
use crate::output::{Answer, Format};
use failure::Failure;

/// In the help of every command.
const EXIT_CODES: &str = "\
Exit codes:
  0 done   1 failed   2 wrong command line   3 a check found problems
  4 not found   5 refused, or in conflict   6 not reachable   7 time was up
  130 interrupted";

const AFTER_HELP: &str = "\
Examples:
  wharf demo
  wharf check
  wharf provision --dry-run
  wharf host --handlers target/bundles --needs needs.toml
  wharf publish order.placed --key ORD-1 --data @order.json --wait";

/// Event handlers as WebAssembly components on NATS JetStream: no event lost,
/// each taking effect once, in order.
#[derive(Debug, Parser)]
#[command(name = "wharf", version, after_help = AFTER_HELP, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Host(host::HostArgs),
    Check(check::CheckArgs),
    Provision(provision::ProvisionArgs),
    Publish(publish::PublishArgs),
    Entity(entity::EntityArgs),
    Deploy(deploy::DeployArgs),
    Needs(needs::NeedsArgs),
    Inspect(inspect::InspectArgs),
    Completions(CompletionsArgs),
    Status(status::StatusArgs),
    Versions(versions::VersionsArgs),
    Rollback(versions::RollbackArgs),
    Pause(versions::PauseArgs),
    Resume(versions::ResumeArgs),
    Doctor(doctor::DoctorArgs),
    #[cfg(feature = "demo")]
    Demo(wharf_demo::DemoArgs),
    #[cfg(feature = "demo")]
    #[command(hide = true)]
    Gateway(wharf_demo::GatewayArgs),
}

/// Print what completes `wharf` in a shell.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  wharf completions bash > /etc/bash_completion.d/wharf
  wharf completions zsh > ~/.zfunc/_wharf")]
struct CompletionsArgs {
    /// The shell.
    shell: clap_complete::Shell,
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    let parsed = grammar()
        .try_get_matches_from(&words)
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let exit = match parsed {
        Ok(cli) => execute(cli.command),
        Err(error) => refuse(&error, &words),
    };
    ExitCode::from(exit as u8)
}

/// The command line, with the exit codes in each command's help.
fn grammar() -> clap::Command {
    fn with_exit_codes(command: clap::Command) -> clap::Command {
        let help = match command.get_after_help() {
            Some(help) => format!("{help}\n\n{EXIT_CODES}"),
            None => EXIT_CODES.to_owned(),
        };
        command.after_help(help).mut_subcommands(with_exit_codes)
    }
    with_exit_codes(Cli::command())
}

fn execute(command: Command) -> Exit {
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            return Answer::from(Failure::new(Code::Unexpected, error.to_string()))
                .print(Format::Table);
        }
    };
    let exit = runtime.block_on(dispatch(command));
    // A read of stdin or a compilation that nobody waits for any more must not
    // keep the process.
    runtime.shutdown_background();
    exit
}

async fn dispatch(command: Command) -> Exit {
    match command {
        // These two drain when they are interrupted.
        Command::Host(args) => print(args.output.output, host::run(args).await),
        #[cfg(feature = "demo")]
        Command::Demo(args) => demo::run(args).await,
        #[cfg(feature = "demo")]
        Command::Gateway(args) => demo::gateway(args).await,
        Command::Check(args) => interruptible(args.output.output, check::run(args)).await,
        Command::Provision(args) => interruptible(args.output.output, provision::run(args)).await,
        Command::Publish(args) => interruptible(args.output.output, publish::run(args)).await,
        Command::Entity(args) => interruptible(args.output(), entity::run(args)).await,
        Command::Deploy(args) => interruptible(args.output.output, deploy::run(args)).await,
        Command::Needs(args) => interruptible(args.output(), needs::run(args)).await,
        Command::Inspect(args) => interruptible(args.output.output, inspect::run(args)).await,
        Command::Completions(args) => {
            let mut out = std::io::stdout();
            clap_complete::generate(args.shell, &mut grammar(), "wharf", &mut out);
            Exit::Ok
        }
        Command::Status(args) => interruptible(args.output.output, status::run(args)).await,
        Command::Versions(args) => {
            interruptible(args.output.output, versions::versions(args)).await
        }
        Command::Rollback(args) => {
            interruptible(args.change.output.output, versions::rollback(args)).await
        }
        Command::Pause(args) => {
            interruptible(args.change.output.output, versions::pause(args)).await
        }
        Command::Resume(args) => {
            interruptible(args.change.output.output, versions::resume(args)).await
        }
        Command::Doctor(args) => interruptible(args.output.output, doctor::run(args)).await,
    }
}

async fn interruptible(
    format: Format,
    command: impl Future<Output = Result<Answer, Failure>>,
) -> Exit {
    tokio::select! {
        answer = command => print(format, answer),
        Ok(()) = tokio::signal::ctrl_c() => {
            eprintln!("interrupted");
            Exit::Interrupted
        }
    }
}

fn print(format: Format, answer: Result<Answer, Failure>) -> Exit {
    answer.unwrap_or_else(Answer::from).print(format)
}

/// Help is an answer; everything else is a mistake in the command line.
fn refuse(error: &clap::Error, words: &[OsString]) -> Exit {
    let is_mistake =
        error.use_stderr() && error.kind() != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    if is_mistake && asks_for_json(words) {
        let text = error.to_string();
        let message = text.lines().next().unwrap_or_default();
        let failure = Failure::new(
            Code::Usage,
            message.strip_prefix("error: ").unwrap_or(message),
        );
        return Answer::from(failure).print(Format::Json);
    }
    // A closed pipe is nobody's error.
    let _ = error.print();
    if error.use_stderr() {
        Exit::Usage
    } else {
        Exit::Ok
    }
}

/// Whether `-o json` is among the words, in any of its spellings.
fn asks_for_json(words: &[OsString]) -> bool {
    let words: Vec<&str> = words.iter().filter_map(|word| word.to_str()).collect();
    let apart = words
        .windows(2)
        .any(|pair| matches!(pair, ["-o" | "--output", "json"]));
    apart
        || words
            .iter()
            .any(|word| matches!(*word, "-ojson" | "-o=json" | "--output=json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_help_of_every_command_has_an_example_that_parses() {
        fn visit(command: &clap::Command, path: &str, seen: &mut u32) {
            let help = command
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            let path = format!("{path} {}", command.get_name()).trim().to_owned();
            let subcommands: Vec<_> = command
                .get_subcommands()
                .filter(|sub| sub.get_name() != "help")
                .collect();
            if subcommands.is_empty() {
                *seen += 1;
            }
            for part in ["Examples:", "Exit codes:"] {
                assert!(help.contains(part), "`{path}` has no {part} in its help");
            }
            for line in help
                .lines()
                .filter(|line| line.trim_start().starts_with("wharf "))
            {
                let words = line.split(['|', '>', '#']).next().unwrap_or_default();
                let parsed = Cli::try_parse_from(as_a_shell_splits(words));
                assert!(
                    parsed.is_ok(),
                    "the example of `{path}` does not parse: {line}: {parsed:?}"
                );
            }
            for sub in subcommands {
                visit(sub, &path, seen);
            }
        }
        let mut seen = 0;
        visit(&grammar(), "", &mut seen);
        assert!(seen >= 6, "only {seen} commands were looked at");
    }

    /// Text between single quotes is one word.
    fn as_a_shell_splits(line: &str) -> Vec<&str> {
        let parts = line.split('\'').enumerate();
        parts
            .flat_map(|(nth, part)| match nth % 2 {
                0 => part.split_whitespace().collect(),
                _ => vec![part],
            })
            .collect()
    }

    #[test]
    fn json_is_recognised_in_a_command_line_that_does_not_parse() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        assert!(asks_for_json(&words("wharf check --nonsense -o json")));
        assert!(asks_for_json(&words(
            "wharf check --output=json --nonsense"
        )));
        assert!(!asks_for_json(&words("wharf publish json -o table")));
    }
}
