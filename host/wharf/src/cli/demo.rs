//! `wharf demo` and `wharf gateway`: their ends as exit codes.

use wharf_demo::{DemoArgs, Error, GatewayArgs, Output};

use super::failure::Failure;
use crate::codes::{Code, Exit};
use crate::output::{Answer, Format};

/// Runs the demo, which prints its own report.
pub async fn run(args: DemoArgs) -> Exit {
    let format = match args.output {
        Output::Table => Format::Table,
        Output::Json => Format::Json,
    };
    match wharf_demo::run(args).await {
        Ok(outcome) if outcome.report.balanced => Exit::Ok,
        // The report stands on stdout already; an envelope would be a second document.
        Ok(_) => Answer::from(Failure::new(Code::Unbalanced, "the books do not balance"))
            .print(Format::Table),
        Err(error) => end(error, format),
    }
}

/// Runs the gateways alone.
pub async fn gateway(args: GatewayArgs) -> Exit {
    match wharf_demo::run_gateway(args).await {
        Ok(()) => Exit::Ok,
        Err(error) => end(error, Format::Table),
    }
}

fn end(error: Error, format: Format) -> Exit {
    let code = match error {
        Error::Interrupted => {
            eprintln!("interrupted");
            return Exit::Interrupted;
        }
        Error::PortInUse { .. } => Code::PortInUse,
        Error::Usage { .. } => Code::Usage,
        _ => Code::Demo,
    };
    let failure = Failure::new(code, error.to_string());
    let failure = match error {
        Error::PortInUse { port, flag, .. } => failure
            .place(format!("127.0.0.1:{port}"))
            .remedy(format!("free it, or choose another with {flag}")),
        _ => failure,
    };
    Answer::from(failure).print(format)
}
