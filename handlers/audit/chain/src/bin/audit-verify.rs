//! Verifies audit chains, and names the first broken link.

use audit_chain::{Error, verify};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::process::ExitCode;

const USAGE: &str = "\
Verifies audit chains, and names the first broken link.

usage: audit-verify [--heads] [FILE]

FILE (or the standard input) holds the data of the events `audit.appended`, one
JSON object on each line, each chain from its first link and in order.

  --heads    prints the key, length and hash of each chain, to be compared with
             the state of the handler `audit`: a chain cannot tell by itself
             that its end was cut off

example: audit-verify --heads audit.ndjson

exit code: 0 all chains are whole, 1 one is broken, 2 they could not be read
";

fn main() -> ExitCode {
    let (flags, files): (Vec<_>, Vec<_>) = std::env::args()
        .skip(1)
        .partition(|word| word.starts_with('-'));
    let heads = match flags.as_slice() {
        [] => false,
        [flag] if flag == "--heads" => true,
        [flag] if flag == "--help" || flag == "-h" => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => return usage(),
    };
    let input: Box<dyn BufRead> = match files.as_slice() {
        [] => Box::new(io::stdin().lock()),
        [path] => match File::open(path) {
            Ok(file) => Box::new(BufReader::new(file)),
            Err(error) => {
                eprintln!("audit-verify: cannot open {path}: {error}");
                return ExitCode::from(2);
            }
        },
        _ => return usage(),
    };
    report(input, heads)
}

fn usage() -> ExitCode {
    eprint!("{USAGE}");
    ExitCode::from(2)
}

fn report(input: impl BufRead, heads: bool) -> ExitCode {
    let verified = match verify(input) {
        Ok(verified) => verified,
        Err(error) => {
            eprintln!("audit-verify: {error}");
            return ExitCode::from(match error {
                Error::Broken { .. } => 1,
                Error::NotALink { .. } | Error::Io { .. } => 2,
            });
        }
    };
    let mut out = io::stdout().lock();
    let mut written = Ok(());
    if heads {
        let mut chains = verified.heads().iter();
        written =
            chains.try_for_each(|(key, head)| writeln!(out, "{key} {} {}", head.n, head.hash));
    }
    let chains = verified.heads().len();
    written =
        written.and_then(|()| writeln!(out, "{chains} chains, {} links: whole", verified.links()));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read the output has stopped; the chains are whole all the same.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("audit-verify: cannot write: {error}");
            ExitCode::from(2)
        }
    }
}
