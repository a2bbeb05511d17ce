//! `wharf host`: gathers what a host is told, then runs it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use wharf_telemetry::{logs, traces};

use super::failure::Failure;
use crate::bundle::{self, Shelf};
use crate::codes::Code;
use crate::config::{self, PlaceArgs};
use crate::output::{Answer, OutputArgs};
use crate::run::{self, HostOptions};

const AFTER_HELP: &str = "\
Waits for a broker that is not there yet and says so; ends at once when the
broker cannot serve, or a stream of --handlers is missing. SIGTERM drains, a second one hurries.
Secrets of needs come from WHARF_SECRET_<NAME>, values of a handler's [config]
and [secrets] from WHARF_SET_<HANDLER>__<KEY>, the log filter from WHARF_LOG.
Traces go to the collector that OTEL_EXPORTER_OTLP_ENDPOINT names.

Examples:
  wharf host --handlers target/bundles --needs needs.toml
  wharf host --config /etc/wharf/wharf.toml --listen 0.0.0.0:8080 --log-format json";

/// Run handlers until SIGTERM.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct HostArgs {
    /// Folder of bundles to deploy at the start [default: none; what is deployed
    /// is in the registry].
    #[arg(long, value_name = "DIR", env = "WHARF_HANDLERS")]
    handlers: Option<PathBuf>,
    /// Where the needs are [default: needs.toml, when there is one].
    #[arg(long, value_name = "FILE", env = "WHARF_NEEDS")]
    needs: Option<PathBuf>,
    #[command(flatten)]
    place: PlaceArgs,
    /// Address of health, readiness and metrics [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDRESS", env = "WHARF_LISTEN")]
    listen: Option<SocketAddr>,
    /// How a log line is written [default: text on a terminal, else json].
    #[arg(long, value_enum, env = "WHARF_LOG_FORMAT")]
    log_format: Option<LogFormat>,
    /// Where compiled components are kept, so that the next start is quick.
    #[arg(long, value_name = "DIR", env = "WHARF_CACHE")]
    cache: Option<PathBuf>,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `--handlers`, on every command that reads bundles.
#[derive(Debug, Clone, Args)]
pub struct HandlersArgs {
    /// Folder of bundles: in each a handler.toml and a handler.wasm.
    #[arg(
        long,
        value_name = "DIR",
        env = "WHARF_HANDLERS",
        default_value = "target/bundles"
    )]
    pub handlers: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// One object a line.
    Json,
    /// For a terminal.
    Text,
}

/// Runs a host until it has drained.
pub async fn run(args: HostArgs) -> Result<Answer, Failure> {
    let logs = install_logs(args.log_format)?;
    let setting = args.place.load("wharf host")?;
    let needs = config::needs(args.needs.as_deref())?;
    let shelf = match &args.handlers {
        Some(folder) => bundle::read_all(folder)?,
        None => Shelf::default(),
    };
    super::check::require_sound(&shelf, needs.as_ref(), setting.file.as_ref())?;
    let mut place = setting.place();
    if let Some(listen) = args.listen {
        place.host.listen = listen;
    }
    let needs = needs
        .as_ref()
        .map(|needs| config::resolve(&needs.file, &needs.value))
        .transpose()?
        .unwrap_or_default();
    let options = HostOptions {
        place,
        connection: setting.connection,
        needs,
        shelf,
        lookup: Arc::new(config::handler_value),
        cache_dir: args.cache,
        logs,
        traces: traces()?,
    };
    run::host(Arc::new(options)).await?;
    Ok(Answer::silent())
}

fn traces() -> Result<Option<traces::Config>, Failure> {
    let variable = |name: &str| std::env::var_os(name).map(|v| v.to_string_lossy().into_owned());
    traces::config::read(variable).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Failure::new(Code::TraceSettings, lines.join("; "))
    })
}

fn install_logs(format: Option<LogFormat>) -> Result<logs::Logs, Failure> {
    let format = match format {
        Some(LogFormat::Json) => logs::Format::Json,
        Some(LogFormat::Text) => logs::Format::Text,
        None => logs::Format::of_stderr(),
    };
    let filter =
        std::env::var(logs::FILTER_VARIABLE).unwrap_or_else(|_| logs::FILTER_DEFAULT.to_owned());
    logs::install(format, &filter).map_err(|error| {
        Failure::new(Code::Usage, error.to_string())
            .place(logs::FILTER_VARIABLE)
            .remedy("write a filter such as `info,guest=debug`")
    })
}
